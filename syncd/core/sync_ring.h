/*
 * sync_ring.h - the batches the peer has not acknowledged, for sending again.
 *
 * The ring is the window: a full ring means that the peer is slow, the sender then
 * stops and changes gather in the shadow's dirty list, where they coalesce. It
 * therefore never overflows.
 *
 * Memory   one buffer, allocated at start; batches are encoded in place.
 * Errors   sync_ring_init: false without memory.
 */
#ifndef TANDEM_SYNCD_SYNC_RING_H
#define TANDEM_SYNCD_SYNC_RING_H

#include <stddef.h>
#include <tandem/instant.h>

#define SYNC_RING_SLOTS 1024U

struct sync_slot {
	uint64_t seq;
	struct td_instant sent_at;
	uint32_t offset, len;
	uint32_t records;
};

struct sync_ring {
	uint8_t *bytes; /* owned */
	uint32_t bytes_max;
	uint32_t write; /* where the next batch begins */
	uint32_t first, count;
	uint32_t held_bytes; /* of all batches */
	struct sync_slot slot[SYNC_RING_SLOTS];
};

bool sync_ring_init(struct sync_ring *ring, uint32_t bytes_max);
void sync_ring_fini(struct sync_ring *ring);

/* Room for a batch of up to `len` bytes, or NULL: the window is full. */
uint8_t *sync_ring_reserve(struct sync_ring *ring, uint32_t len);
/* Keeps what was written into the reserved room; seq is the last one plus 1. */
void sync_ring_commit(struct sync_ring *ring, uint64_t seq, uint32_t len,
    uint32_t records, struct td_instant now);

/* The i-th unacknowledged batch, oldest first. */
const struct sync_slot *sync_ring_at(const struct sync_ring *ring, uint32_t i);
const uint8_t *sync_ring_bytes(
    const struct sync_ring *ring, const struct sync_slot *slot);

void sync_ring_drop_first(struct sync_ring *ring);
void sync_ring_clear(struct sync_ring *ring);

#endif
