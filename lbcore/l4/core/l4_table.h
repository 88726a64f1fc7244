/*
 * l4_table.h - from weighted servers to the table the scheduler program reads.
 *
 * Source   smooth weighted turn: every server gains its weight per step, the richest is
 *          chosen and pays the sum; a cycle gives each server exactly its share, spread
 *          evenly. Source hash: Maglev (Eisenbud et al., NSDI 2016, section 3.4) over
 *          the prime LB_TABLE_MAX, weighted by how often a server may take a turn.
 * Order    the result depends on names, weights and slots only, never on the order of
 *          the servers: both nodes build the same table.
 * Errors   none: no eligible server (down, or weight 0) gives an empty table.
 */
#ifndef TANDEM_LBCORE_L4_TABLE_H
#define TANDEM_LBCORE_L4_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "lbcore/l4/bpf/lb_maps.h"

#define L4_SERVERS_MAX 1024 /* per balancer */
#define L4_WEIGHT_MAX 256

struct l4_server {
	const char *name; /* borrowed */
	uint16_t slot;
	uint32_t weight; /* 0 = takes no new connections */
	bool up;
};

void l4_table_roundrobin(
    const struct l4_server *servers, uint32_t count, struct lb_table *ret_table);
void l4_table_source(
    const struct l4_server *servers, uint32_t count, struct lb_table *ret_table);

#endif
