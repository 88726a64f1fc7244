/*
 * arena.h - memory for one message or one file: taken in pieces, given back at once.
 *
 * Memory   zeroed. Nothing is freed singly.
 * Limits   beyond `bytes_max` in total an allocation fails: input from outside cannot make
 *          a process grow.
 */
#ifndef TANDEM_COMMON_ARENA_H
#define TANDEM_COMMON_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *newest; /* owned */
	size_t used;                /* of the newest block */
	size_t bytes, bytes_max;    /* all blocks together */
};

void arena_init(struct arena *arena, size_t bytes_max);
void arena_fini(struct arena *arena); /* twice is fine */
void *arena_alloc(struct arena *arena, size_t size); /* NULL: full, or no memory */

/* A protobuf-c allocator over the arena. protobuf-c's own clean-up after a failed unpack
 * reads members it has not set yet: zeroed memory makes that harmless. */
struct ProtobufCAllocator;
struct ProtobufCAllocator arena_protobuf(struct arena *arena);

#endif
