/* l4_slots.c - see l4_slots.h */
#include "lbcore/l4/core/l4_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include <tandem/mark.h>

struct candidate {
	const char *balancer, *server;
	uint32_t index;
};

uint64_t
l4_name_hash(const char *name, uint64_t seed)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (; *name != '\0'; name++) {
		h ^= (uint8_t)*name;
		h *= UINT64_C(0x100000001b3);
	}
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

static int
candidate_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = strcmp(x->balancer, y->balancer);

	return order != 0 ? order : strcmp(x->server, y->server);
}

static void
assign(const struct candidate *candidates, uint32_t count, uint16_t *slot)
{
	uint8_t taken[TD_MARK_SERVER_MAX + 1] = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		uint64_t h = l4_name_hash(
		    candidates[i].server, l4_name_hash(candidates[i].balancer, 0));
		uint32_t at = (uint32_t)(h % TD_MARK_SERVER_MAX) + 1;

		while (taken[at])
			at = at % TD_MARK_SERVER_MAX + 1;
		taken[at] = 1;
		slot[candidates[i].index] = (uint16_t)at;
	}
}

int
l4_slots_init(struct l4_slots *ret_slots, const struct td_config *config)
{
	struct l4_slots slots = { .balancer_count = config->balancer_count };
	struct candidate *candidates = NULL;
	int r = -ENOMEM;

	slots.first = calloc((size_t)config->balancer_count + 1, sizeof(*slots.first));
	if (slots.first == NULL)
		goto out;
	for (uint32_t b = 0; b < config->balancer_count; b++) {
		slots.first[b] = slots.server_count;
		if (config->balancers[b].server_count >
		    TD_MARK_SERVER_MAX - slots.server_count) {
			r = -E2BIG;
			goto out;
		}
		slots.server_count += config->balancers[b].server_count;
	}

	slots.slot = calloc((size_t)slots.server_count + 1, sizeof(*slots.slot));
	candidates = calloc((size_t)slots.server_count + 1, sizeof(*candidates));
	if (slots.slot == NULL || candidates == NULL)
		goto out;
	for (uint32_t b = 0; b < config->balancer_count; b++)
		for (uint32_t s = 0; s < config->balancers[b].server_count; s++) {
			uint32_t i = slots.first[b] + s;

			candidates[i].balancer = config->balancers[b].name;
			candidates[i].server = config->balancers[b].servers[s].name;
			candidates[i].index = i;
		}
	qsort(candidates, slots.server_count, sizeof(*candidates), candidate_compare);
	assign(candidates, slots.server_count, slots.slot);
	r = 0;
out:
	free(candidates);
	if (r == 0)
		*ret_slots = slots;
	else
		l4_slots_fini(&slots);
	return r;
}

void
l4_slots_fini(struct l4_slots *slots)
{
	free(slots->first);
	free(slots->slot);
	memset(slots, 0, sizeof(*slots));
}
