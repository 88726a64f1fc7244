/*
 * l4_maps.h - what lbd writes for the scheduler: services, their tables, the binds.
 *
 * Order    the ruleset that knows a server stands before l4_maps_apply makes it
 *          choosable: the caller applies rules first. A bind that goes is deleted
 *          before its service is given to another balancer.
 * Memory   l4_maps borrows the descriptors for its life; configuration and slots are
 *          borrowed during a call.
 * Errors   negative errno. -E2BIG: more balancers or binds than the maps hold; nothing
 *          was changed then.
 */
#ifndef TANDEM_LBCORE_L4_MAPS_H
#define TANDEM_LBCORE_L4_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include "lbcore/l4/bpf/lb_maps.h"
#include "lbcore/l4/l4_load.h"

struct td_config;
struct l4_slots;
struct l4_maps;

int l4_maps_new(struct l4_maps **ret_maps, const struct l4_fds *fds);
void l4_maps_free(struct l4_maps *maps);

/* Can the maps hold this configuration? Asked before anything is applied. */
int l4_maps_fit(const struct td_config *config);

/* After a restart, before the first apply: services stay with the balancers whose binds
 * lead to them, and up[slot] becomes false for a checked server that the running tables
 * do not choose. A server that is known to be dead is not tried again because lbd is new. */
int l4_maps_adopt(struct l4_maps *maps, const struct td_config *config,
    const struct l4_slots *slots, bool *up);

/* Makes the maps say this configuration; up[slot] tells a server's health. */
int l4_maps_apply(struct l4_maps *maps, const struct td_config *config,
    const struct l4_slots *slots, const bool *up);
/* One balancer's table anew, after a change of health. */
void l4_maps_reschedule(struct l4_maps *maps, const struct td_config *config,
    const struct l4_slots *slots, const bool *up, uint32_t balancer);

int l4_maps_counters(struct l4_maps *maps, uint64_t ret_counters[LB_COUNTER_COUNT]);

#endif
