/*
 * shadow.h - what must be replicated, held in user space: one entry per flow.
 *
 *   slab      entries by index, allocated once for flows_max and touched as they are
 *             used; a freed entry is used again first
 *   index     linear hashing over chains: each insertion splits at most one chain, so
 *             growing never stalls
 *   dirty     the entries the peer must be told of, oldest first, each at most once: a
 *             slow peer costs no memory, changes coalesce
 *
 * Memory   flows_max * 144 bytes and 4 to 8 bytes of index per flow, as address space;
 *          resident is what is used. Indices stay valid until shadow_remove; pointers
 *          from shadow_at as well (the slab never moves).
 * Errors   shadow_init: false without memory. shadow_insert: SHADOW_NONE when full;
 * what that means is the caller's business (sync_session.h).
 */
#ifndef TANDEM_SYNCD_SHADOW_H
#define TANDEM_SYNCD_SHADOW_H

#include "syncd/core/flow.h"
#include "syncd/core/siphash.h"

#define SHADOW_NONE UINT32_MAX

#define SHADOW_USED 0x01U
#define SHADOW_DIRTY 0x02U
#define SHADOW_DELETED 0x04U   /* ended here; stays until the peer was told */
#define SHADOW_PEER_HAS 0x08U  /* was sent to the peer or came from it */
#define SHADOW_UNAPPLIED 0x10U /* the kernel refused it; retried */
#define SHADOW_OF_PEER 0x20U   /* the last change came from the peer */
#define SHADOW_STRAY 0x40U     /* this kernel moved on, and it is not its flow */

struct shadow_entry {
	struct flow_record
	    flow; /* its timeout_s is not a remaining time in here but the
		     second of CLOCK_BOOTTIME at which the flow expires */
	uint32_t chain_next;
	uint32_t dirty_next, dirty_prev;
	uint32_t term, version; /* of the last change */
	uint16_t sweep;         /* last snapshot that had it */
	uint8_t audit;          /* last audit that saw it in the kernel */
	uint8_t flags;          /* SHADOW_* */
};
static_assert(sizeof(struct shadow_entry) == 144, "entry: the memory promise");

struct shadow {
	struct shadow_entry *slab; /* owned */
	uint32_t *bucket;          /* owned */
	struct siphash_key key;
	uint32_t flows_max;
	uint32_t high;        /* entries of the slab ever used */
	uint32_t free_head;   /* chained by chain_next */
	uint32_t mask, split; /* linear hashing: chains = mask + 1 + split */
	uint32_t bucket_max;
	uint32_t dirty_head, dirty_tail;
	uint32_t count, dirty_count, deleted_count, unapplied_count;
};

bool shadow_init(struct shadow *shadow, uint32_t flows_max, struct siphash_key key);
void shadow_fini(struct shadow *shadow);

uint32_t shadow_find(const struct shadow *shadow, const struct flow_key *key);
struct shadow_entry *shadow_at(const struct shadow *shadow, uint32_t index);
bool shadow_used(const struct shadow *shadow, uint32_t index); /* any index */

/* A new entry with this key, otherwise zero; the key must not be there yet. */
uint32_t shadow_insert(struct shadow *shadow, const struct flow_key *key);
void shadow_remove(struct shadow *shadow, uint32_t index);

/* At the end of the list, if it is not in it. */
void shadow_dirty_add(struct shadow *shadow, uint32_t index);
void shadow_dirty_remove(struct shadow *shadow, uint32_t index); /* not listed: fine */
uint32_t shadow_dirty_first(const struct shadow *shadow);

/* Keep the counts right. */
void shadow_set_deleted(struct shadow *shadow, uint32_t index, bool deleted);
void shadow_set_unapplied(struct shadow *shadow, uint32_t index, bool unapplied);

/* Frees what is only waiting to be told as deleted; returns how many. */
uint32_t shadow_forget_deleted(struct shadow *shadow);

/* Flows that exist: without those that only wait to be told as deleted. */
uint32_t shadow_flows(const struct shadow *shadow);

#endif
