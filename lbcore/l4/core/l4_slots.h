/*
 * l4_slots.h - which server slot (include/tandem/mark.h) belongs to which server.
 *
 * A slot is replicated inside conntrack marks, so both nodes must come to the same
 * numbers from the same configuration and nothing else: no history, no order of events.
 * A server's slot is a hash of "balancer/server"; colliding names take the next free
 * slot, in the order of their names. Adding or removing a server therefore leaves the
 * others' slots alone, but for the rare neighbour in a collision.
 *
 * Memory   l4_slots owns its arrays; l4_slots_fini frees them.
 * Errors   -E2BIG: more servers than slots; -ENOMEM.
 */
#ifndef TANDEM_LBCORE_L4_SLOTS_H
#define TANDEM_LBCORE_L4_SLOTS_H

#include <stdint.h>
#include <tandem/config.h>

struct l4_slots {
	uint32_t balancer_count;
	uint32_t server_count; /* of all balancers */
	uint32_t *first;       /* balancer -> index of its first server in `slot` */
	uint16_t *slot;        /* 1..TD_MARK_SERVER_MAX */
};

int l4_slots_init(struct l4_slots *ret_slots, const struct td_config *config);
void l4_slots_fini(struct l4_slots *slots);

static inline uint16_t
l4_slot(const struct l4_slots *slots, uint32_t balancer, uint32_t server)
{
	return slots->slot[slots->first[balancer] + server];
}

/* 64-bit FNV-1a of a string, finished with an avalanche: where names become numbers. */
uint64_t l4_name_hash(const char *name, uint64_t seed);

#endif
