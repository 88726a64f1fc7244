#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <protobuf-c/protobuf-c.h>

#define BLOCK_BYTES 16384
#define ALIGNMENT alignof(max_align_t)

struct arena_block {
	struct arena_block *older;
	size_t size;
	alignas(max_align_t) uint8_t bytes[];
};

void
arena_init(struct arena *arena, size_t bytes_max)
{
	*arena = (struct arena){ .bytes_max = bytes_max };
}

void
arena_fini(struct arena *arena)
{
	while (arena->newest != NULL) {
		struct arena_block *older = arena->newest->older;

		free(arena->newest);
		arena->newest = older;
	}
	arena->used = 0;
	arena->bytes = 0;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->newest;
	size_t block_size;

	if (size > arena->bytes_max)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (size == 0)
		size = ALIGNMENT;
	if (block == NULL || block->size - arena->used < size) {
		block_size = size > BLOCK_BYTES ? size : BLOCK_BYTES;
		if (block_size > arena->bytes_max - arena->bytes)
			block_size = size;
		if (block_size > arena->bytes_max - arena->bytes)
			return NULL;
		block = calloc(1, sizeof(*block) + block_size);
		if (block == NULL)
			return NULL;
		block->size = block_size;
		block->older = arena->newest;
		arena->newest = block;
		arena->bytes += block_size;
		arena->used = 0;
	}
	arena->used += size;
	return block->bytes + arena->used - size;
}

static void *
protobuf_alloc(void *data, size_t size)
{
	return arena_alloc(data, size);
}

static void
protobuf_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

ProtobufCAllocator
arena_protobuf(struct arena *arena)
{
	return (ProtobufCAllocator){
		.alloc = protobuf_alloc, .free = protobuf_free, .allocator_data = arena
	};
}
