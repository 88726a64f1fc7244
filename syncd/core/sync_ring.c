#include "syncd/core/sync_ring.h"

#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>

bool
sync_ring_init(struct sync_ring *ring, uint32_t bytes_max)
{
	memset(ring, 0, sizeof(*ring));
	ring->bytes = malloc(bytes_max);
	ring->bytes_max = bytes_max;
	return ring->bytes != NULL;
}

void
sync_ring_fini(struct sync_ring *ring)
{
	free(ring->bytes);
	memset(ring, 0, sizeof(*ring));
}

/*
 *   |....[first batch]...[last batch]....|     write behind the first: the end, then
 *        ^ oldest                    ^ write    the beginning up to the oldest
 *   |[last]......[first batch]..[batch]..|     write before the first: up to it
 */
uint8_t *
sync_ring_reserve(struct sync_ring *ring, uint32_t len)
{
	uint32_t oldest;

	td_assert(len <= ring->bytes_max);
	if (ring->count == SYNC_RING_SLOTS)
		return NULL;
	if (ring->count == 0) {
		ring->write = 0;
		return ring->bytes;
	}
	oldest = ring->slot[ring->first].offset;
	if (ring->write > oldest) {
		if (ring->bytes_max - ring->write >= len)
			return ring->bytes + ring->write;
		if (oldest < len)
			return NULL;
		ring->write = 0;
		return ring->bytes;
	}
	return oldest - ring->write >= len ? ring->bytes + ring->write : NULL;
}

void
sync_ring_commit(struct sync_ring *ring, uint64_t seq, uint32_t len, uint32_t records,
    struct td_instant now)
{
	struct sync_slot *slot =
	    &ring->slot[(ring->first + ring->count) % SYNC_RING_SLOTS];

	td_assert(ring->count < SYNC_RING_SLOTS);
	td_assert(
	    ring->count == 0 || sync_ring_at(ring, ring->count - 1)->seq + 1 == seq);
	*slot = (struct sync_slot){ .seq = seq,
		.sent_at = now,
		.offset = ring->write,
		.len = len,
		.records = records };
	/* An empty batch takes a byte, so that write == oldest can only mean full. */
	ring->write += len > 0 ? len : 1;
	ring->held_bytes += len;
	ring->count++;
}

const struct sync_slot *
sync_ring_at(const struct sync_ring *ring, uint32_t i)
{
	td_assert(i < ring->count);
	return &ring->slot[(ring->first + i) % SYNC_RING_SLOTS];
}

const uint8_t *
sync_ring_bytes(const struct sync_ring *ring, const struct sync_slot *slot)
{
	return ring->bytes + slot->offset;
}

void
sync_ring_drop_first(struct sync_ring *ring)
{
	td_assert(ring->count > 0);
	ring->held_bytes -= ring->slot[ring->first].len;
	ring->first = (ring->first + 1) % SYNC_RING_SLOTS;
	ring->count--;
}

void
sync_ring_clear(struct sync_ring *ring)
{
	ring->count = 0;
	ring->held_bytes = 0;
}
