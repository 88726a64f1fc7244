/*
 * engine.h - one model made true in the kernel: rules, scheduler, devices, counters.
 *
 * What main.c (the room) and the test driver share. The engine owns the configuration
 * that is in force; a new one is either carried out whole or refused, and then the old
 * one is in force as before.
 *
 * Order    rules, then scheduler tables, then binds, then devices, then forwarding.
 * Health   servers are up until told otherwise. It is kept across a new configuration
 *          for a server of the same balancer and name, and across a restart for those
 *          that are checked.
 * Rights   CAP_NET_ADMIN; the scheduler's descriptors come from a process with more.
 * Errors   negative errno; the reason is logged, area "nat" or "lb".
 */
#ifndef TANDEM_LBCORE_ENGINE_H
#define TANDEM_LBCORE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/config.h>
#include "lbcore/l4/bpf/lb_maps.h"
#include "lbcore/nat/apply.h"
#include "lbcore/nat/core/nat_ruleset.h"

struct engine;

int engine_new(struct engine **ret_engine);
void engine_free(struct engine *engine); /* what is in the kernel stays */

/* A descriptor of the scheduler (lbcore/l4/l4_load.h): owned if true is returned. */
bool engine_take_fd(struct engine *engine, const char *name, int fd);

/* Owns the configuration, also a refused one. */
int engine_apply(struct engine *engine, struct td_config *config);

/* False: no such server in the configuration in force. */
bool engine_set_health(
    struct engine *engine, uint32_t balancer, uint32_t server, bool up);

/* Attaches the scheduler where a device came or lost it, writes a table again that was
 * changed. Cheap; called once a second. */
void engine_maintain(struct engine *engine);

/* engine_fd is readable when somebody changed nftables; engine_watch reads what. True:
 * it was our table, and engine_maintain will write it again. */
int engine_fd(const struct engine *engine);
bool engine_watch(struct engine *engine);

const struct td_config *engine_config(const struct engine *engine); /* NULL: none yet */
bool engine_server_up(const struct engine *engine, uint32_t balancer, uint32_t server);
bool engine_device_attached(const struct engine *engine, uint32_t interface);
const struct nat_ruleset *engine_ruleset(const struct engine *engine);

struct engine_stats {
	uint64_t applied, unchanged, refused, repaired; /* of the ruleset */
	bool scheduler; /* its program and maps are here */
	uint64_t scheduled[LB_COUNTER_COUNT];
};
void engine_stats(struct engine *engine, struct engine_stats *ret_stats);

/* Counts of engine_ruleset's counters, in its order; they go on when the rules are
 * written anew. The array is the engine's and valid until the next call. NULL: error.
 */
const struct nat_count *engine_counts(struct engine *engine);

#endif
