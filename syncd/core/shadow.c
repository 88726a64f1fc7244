#include "syncd/core/shadow.h"

#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>

#define BUCKETS_MIN 1024U

bool
shadow_init(struct shadow *shadow, uint32_t flows_max, struct siphash_key key)
{
	td_assert(flows_max > 0 && flows_max < SHADOW_NONE / 2);
	memset(shadow, 0, sizeof(*shadow));
	shadow->key = key;
	shadow->flows_max = flows_max;
	shadow->free_head = SHADOW_NONE;
	shadow->dirty_head = SHADOW_NONE;
	shadow->dirty_tail = SHADOW_NONE;
	shadow->mask = BUCKETS_MIN - 1;
	shadow->bucket_max = BUCKETS_MIN;
	while (shadow->bucket_max < flows_max)
		shadow->bucket_max *= 2;
	/* calloc, because fresh pages of the system are zero and not resident until
	 * they are touched. */
	shadow->slab = calloc(flows_max, sizeof(*shadow->slab));
	shadow->bucket = calloc(shadow->bucket_max, sizeof(*shadow->bucket));
	if (shadow->slab == NULL || shadow->bucket == NULL) {
		shadow_fini(shadow);
		return false;
	}
	memset(shadow->bucket, 0xff, BUCKETS_MIN * sizeof(*shadow->bucket));
	return true;
}

void
shadow_fini(struct shadow *shadow)
{
	free(shadow->slab);
	free(shadow->bucket);
	memset(shadow, 0, sizeof(*shadow));
}

static uint32_t
bucket_of(const struct shadow *shadow, const struct flow_key *key)
{
	uint64_t hash = siphash13(&shadow->key, key, sizeof(*key));
	uint32_t bucket = (uint32_t)hash & shadow->mask;

	if (bucket < shadow->split)
		bucket = (uint32_t)hash & (shadow->mask << 1 | 1);
	return bucket;
}

uint32_t
shadow_find(const struct shadow *shadow, const struct flow_key *key)
{
	uint32_t index = shadow->bucket[bucket_of(shadow, key)];

	while (
	    index != SHADOW_NONE && !flow_key_equal(&shadow->slab[index].flow.key, key))
		index = shadow->slab[index].chain_next;
	return index;
}

bool
shadow_used(const struct shadow *shadow, uint32_t index)
{
	return index < shadow->high && (shadow->slab[index].flags & SHADOW_USED) != 0;
}

struct shadow_entry *
shadow_at(const struct shadow *shadow, uint32_t index)
{
	td_assert(shadow_used(shadow, index));
	return &shadow->slab[index];
}

/* Splits the next chain in turn: about one entry moves. */
static void
grow(struct shadow *shadow)
{
	uint32_t low = shadow->split, high = shadow->split + shadow->mask + 1;
	uint32_t index = shadow->bucket[low];

	shadow->bucket[low] = SHADOW_NONE;
	shadow->bucket[high] = SHADOW_NONE;
	shadow->split++;
	while (index != SHADOW_NONE) {
		struct shadow_entry *e = &shadow->slab[index];
		uint32_t next = e->chain_next;
		uint32_t to = bucket_of(shadow, &e->flow.key);

		td_assert(to == low || to == high);
		e->chain_next = shadow->bucket[to];
		shadow->bucket[to] = index;
		index = next;
	}
	if (shadow->split == shadow->mask + 1) {
		shadow->mask = shadow->mask << 1 | 1;
		shadow->split = 0;
	}
}

uint32_t
shadow_insert(struct shadow *shadow, const struct flow_key *key)
{
	struct shadow_entry *e;
	uint32_t index, bucket, chains = shadow->mask + 1 + shadow->split;

	if (shadow->count == shadow->flows_max)
		return SHADOW_NONE;
	if (shadow->count >= chains && chains < shadow->bucket_max)
		grow(shadow);
	if (shadow->free_head != SHADOW_NONE) {
		index = shadow->free_head;
		shadow->free_head = shadow->slab[index].chain_next;
	} else {
		index = shadow->high++;
	}
	e = &shadow->slab[index];
	memset(e, 0, sizeof(*e));
	e->flow.key = *key;
	e->flags = SHADOW_USED;
	bucket = bucket_of(shadow, key);
	e->chain_next = shadow->bucket[bucket];
	shadow->bucket[bucket] = index;
	shadow->count++;
	return index;
}

void
shadow_remove(struct shadow *shadow, uint32_t index)
{
	struct shadow_entry *e = shadow_at(shadow, index);
	uint32_t *link = &shadow->bucket[bucket_of(shadow, &e->flow.key)];

	shadow_dirty_remove(shadow, index);
	shadow_set_deleted(shadow, index, false);
	shadow_set_unapplied(shadow, index, false);
	while (*link != index) {
		td_assert(*link != SHADOW_NONE);
		link = &shadow->slab[*link].chain_next;
	}
	*link = e->chain_next;
	e->flags = 0;
	e->chain_next = shadow->free_head;
	shadow->free_head = index;
	shadow->count--;
}

void
shadow_dirty_add(struct shadow *shadow, uint32_t index)
{
	struct shadow_entry *e = shadow_at(shadow, index);

	if (e->flags & SHADOW_DIRTY)
		return;
	e->flags |= SHADOW_DIRTY;
	e->dirty_next = SHADOW_NONE;
	e->dirty_prev = shadow->dirty_tail;
	if (shadow->dirty_tail == SHADOW_NONE)
		shadow->dirty_head = index;
	else
		shadow->slab[shadow->dirty_tail].dirty_next = index;
	shadow->dirty_tail = index;
	shadow->dirty_count++;
}

void
shadow_dirty_remove(struct shadow *shadow, uint32_t index)
{
	struct shadow_entry *e = shadow_at(shadow, index);

	if ((e->flags & SHADOW_DIRTY) == 0)
		return;
	e->flags &= (uint8_t)~SHADOW_DIRTY;
	if (e->dirty_prev == SHADOW_NONE)
		shadow->dirty_head = e->dirty_next;
	else
		shadow->slab[e->dirty_prev].dirty_next = e->dirty_next;
	if (e->dirty_next == SHADOW_NONE)
		shadow->dirty_tail = e->dirty_prev;
	else
		shadow->slab[e->dirty_next].dirty_prev = e->dirty_prev;
	shadow->dirty_count--;
}

uint32_t
shadow_dirty_first(const struct shadow *shadow)
{
	return shadow->dirty_head;
}

static void
set_flag(struct shadow_entry *e, uint8_t flag, bool on, uint32_t *count)
{
	if (((e->flags & flag) != 0) == on)
		return;
	if (on) {
		e->flags |= flag;
		(*count)++;
	} else {
		e->flags &= (uint8_t)~flag;
		(*count)--;
	}
}

void
shadow_set_deleted(struct shadow *shadow, uint32_t index, bool deleted)
{
	set_flag(
	    shadow_at(shadow, index), SHADOW_DELETED, deleted, &shadow->deleted_count);
}

void
shadow_set_unapplied(struct shadow *shadow, uint32_t index, bool unapplied)
{
	set_flag(shadow_at(shadow, index), SHADOW_UNAPPLIED, unapplied,
	    &shadow->unapplied_count);
}

uint32_t
shadow_forget_deleted(struct shadow *shadow)
{
	uint32_t forgotten = 0, index = shadow->dirty_head;

	/* Whatever is deleted waits in the dirty list: nothing else keeps it. */
	while (index != SHADOW_NONE) {
		uint32_t next = shadow->slab[index].dirty_next;

		if (shadow->slab[index].flags & SHADOW_DELETED) {
			shadow_remove(shadow, index);
			forgotten++;
		}
		index = next;
	}
	td_assert(shadow->deleted_count == 0);
	return forgotten;
}

uint32_t
shadow_flows(const struct shadow *shadow)
{
	return shadow->count - shadow->deleted_count;
}
