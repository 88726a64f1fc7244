/*
 * counter_key.h - what a counter of the ruleset means, in the words of the model.
 *
 * Pure. Metrics take their labels from here, and a counter finds its earlier value by
 * it when the configuration, and with it every index, has changed.
 */
#ifndef TANDEM_LBCORE_COUNTER_KEY_H
#define TANDEM_LBCORE_COUNTER_KEY_H

#include <tandem/config.h>
#include "lbcore/nat/apply.h"
#include "lbcore/nat/core/nat_ruleset.h"

#define COUNTER_OBJECT_MAX 64
#define COUNTER_RULE_MAX 96

struct counter_key {
	const char *kind;                /* "ingress", "egress", "server_in" ... */
	char object[COUNTER_OBJECT_MAX]; /* address, network, balancer or name */
	char rule[COUNTER_RULE_MAX];     /* the rule or server in it; may be empty */
};

void counter_key(const struct td_config *config, const struct nat_counter *counter,
    struct counter_key *ret_key);

/* Sets base[i] of every new counter to what the old one of the same meaning had. */
void counter_carry(const struct td_config *old_config, const struct nat_ruleset *old,
    const struct nat_count *old_counts, const struct td_config *config,
    const struct nat_ruleset *ruleset, struct nat_count *ret_base);

#endif
