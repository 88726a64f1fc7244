/* counter_key.c - see counter_key.h */
#include "lbcore/counter_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
protocol_name(enum td_protocol protocol)
{
	switch (protocol) {
	case TD_PROTO_ANY:
		return "any";
	case TD_PROTO_TCP:
		return "tcp";
	case TD_PROTO_UDP:
		return "udp";
	case TD_PROTO_ICMP:
		return "icmp";
	}
	return "?";
}

/* Rules have no names: their place and what they say, so that a changed rule begins
 * anew. */
static void
rule_words(uint32_t index, const struct td_firewall_rule *rule, char *ret, size_t max)
{
	char first[TD_ADDR_STRLEN] = "";
	const struct td_prefix *prefix = rule->source_count > 0 ? rule->sources
					 : rule->destination_count > 0
					     ? rule->destinations
					     : NULL;

	if (prefix != NULL)
		td_prefix_format(prefix, first);
	if (rule->ports.last == 0)
		snprintf(
		    ret, max, "%u %s %s", index, protocol_name(rule->protocol), first);
	else
		snprintf(ret, max, "%u %s %u-%u %s", index,
		    protocol_name(rule->protocol), rule->ports.first, rule->ports.last,
		    first);
	for (size_t len = strlen(ret); len > 0 && ret[len - 1] == ' '; len--)
		ret[len - 1] = '\0';
}

void
counter_key(const struct td_config *config, const struct nat_counter *counter,
    struct counter_key *ret_key)
{
	uint32_t i = counter->index, sub = counter->sub;
	char buf[TD_ADDR_STRLEN];

	memset(ret_key, 0, sizeof(*ret_key));
	switch (counter->kind) {
	case NAT_COUNT_DROP:
		ret_key->kind = "drop";
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    nat_drop_name((enum nat_drop)i));
		return;
	case NAT_COUNT_INGRESS_RULE:
		ret_key->kind = "ingress";
		rule_words(sub, &config->public_addresses[i].ingress[sub],
		    ret_key->rule, COUNTER_RULE_MAX);
		break;
	case NAT_COUNT_INGRESS_DENIED:
		ret_key->kind = "ingress_denied";
		break;
	case NAT_COUNT_EGRESS_RULE:
		ret_key->kind = "egress";
		rule_words(sub, &config->networks[i].egress[sub], ret_key->rule,
		    COUNTER_RULE_MAX);
		break;
	case NAT_COUNT_EGRESS_DEFAULT:
		ret_key->kind = "egress_default";
		break;
	case NAT_COUNT_SOURCE_NAT:
		ret_key->kind = "source_nat";
		break;
	case NAT_COUNT_STATIC_IN:
		ret_key->kind = "static_nat_in";
		break;
	case NAT_COUNT_STATIC_OUT:
		ret_key->kind = "static_nat_out";
		break;
	case NAT_COUNT_PORT_FORWARD:
		ret_key->kind = "port_forward";
		break;
	case NAT_COUNT_SERVER_NEW:
		ret_key->kind = "server_new";
		break;
	case NAT_COUNT_SERVER_IN:
		ret_key->kind = "server_in";
		break;
	case NAT_COUNT_SERVER_OUT:
		ret_key->kind = "server_out";
		break;
	case NAT_COUNT_BALANCER_DENIED:
		ret_key->kind = "balancer_denied";
		break;
	}
	switch (counter->kind) {
	case NAT_COUNT_DROP:
		break;
	case NAT_COUNT_INGRESS_RULE:
	case NAT_COUNT_INGRESS_DENIED:
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    td_addr_format(&config->public_addresses[i].address, buf));
		break;
	case NAT_COUNT_EGRESS_RULE:
	case NAT_COUNT_EGRESS_DEFAULT:
	case NAT_COUNT_SOURCE_NAT:
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    config->networks[i].name);
		break;
	case NAT_COUNT_STATIC_IN:
	case NAT_COUNT_STATIC_OUT:
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    td_addr_format(&config->static_nats[i].public_address, buf));
		break;
	case NAT_COUNT_PORT_FORWARD:
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    config->port_forwards[i].name);
		break;
	case NAT_COUNT_SERVER_NEW:
	case NAT_COUNT_SERVER_IN:
	case NAT_COUNT_SERVER_OUT:
		snprintf(ret_key->rule, COUNTER_RULE_MAX, "%s",
		    config->balancers[i].servers[sub].name);
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    config->balancers[i].name);
		break;
	case NAT_COUNT_BALANCER_DENIED:
		snprintf(ret_key->object, COUNTER_OBJECT_MAX, "%s",
		    config->balancers[i].name);
		break;
	}
}

struct keyed {
	struct counter_key key;
	struct nat_count count;
};

static int
keyed_compare(const void *a, const void *b)
{
	const struct counter_key *x = &((const struct keyed *)a)->key;
	const struct counter_key *y = &((const struct keyed *)b)->key;
	int order = strcmp(x->kind, y->kind);

	if (order == 0)
		order = strcmp(x->object, y->object);
	return order != 0 ? order : strcmp(x->rule, y->rule);
}

void
counter_carry(const struct td_config *old_config, const struct nat_ruleset *old,
    const struct nat_count *old_counts, const struct td_config *config,
    const struct nat_ruleset *ruleset, struct nat_count *ret_base)
{
	struct keyed *known = calloc(old->counter_count + 1, sizeof(*known));

	/* Without memory the counters begin at 0, which every reader of counters knows.
	 */
	if (known == NULL)
		return;
	for (uint32_t i = 0; i < old->counter_count; i++) {
		counter_key(old_config, &old->counters[i], &known[i].key);
		known[i].count = old_counts[i];
	}
	qsort(known, old->counter_count, sizeof(*known), keyed_compare);
	for (uint32_t i = 0; i < ruleset->counter_count; i++) {
		struct keyed wanted;
		const struct keyed *found;

		counter_key(config, &ruleset->counters[i], &wanted.key);
		found = bsearch(
		    &wanted, known, old->counter_count, sizeof(*known), keyed_compare);
		if (found != NULL)
			ret_base[i] = found->count;
	}
	free(known);
}
