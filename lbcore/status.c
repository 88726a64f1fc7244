/* status.c - see status.h */
#include "lbcore/status.h"

#include <stdio.h>
#include "common/room.h"
#include "lbcore/counter_key.h"
#include "lbcore/engine.h"

static const char *const scheduler_results[LB_COUNTER_COUNT] = {
	[LB_SCHEDULED] = "scheduled",
	[LB_NO_SERVER] = "no_server",
	[LB_MIDSTREAM] = "midstream",
	[LB_KNOWN] = "known",
	[LB_UNREADABLE] = "unreadable",
};

static const char *
protocol_name(enum td_protocol protocol)
{
	return protocol == TD_PROTO_UDP ? "udp" : "tcp";
}

static void
server_state(struct engine *engine, struct room_status *st, uint32_t b)
{
	const struct td_balancer *balancer = &engine_config(engine)->balancers[b];
	char address[TD_ADDR_STRLEN];
	unsigned active = 0;

	for (uint32_t s = 0; s < balancer->server_count; s++) {
		const struct td_server *server = &balancer->servers[s];
		bool up = engine_server_up(engine, b, s);

		active += up && server->weight > 0;
		status_gauge(st, "tandem_lb_server_up", up, "balancer", balancer->name,
		    "server", server->name, "address",
		    td_endpoint_format(&server->endpoint, address), NULL);
		status_gauge(st, "tandem_lb_server_weight", server->weight, "balancer",
		    balancer->name, "server", server->name, NULL);
	}
	status_gauge(st, "tandem_lb_balancer_active_servers", active, "balancer",
	    balancer->name, NULL);
	for (uint32_t i = 0; i < balancer->bind_count; i++)
		status_info(st, "tandem_lb_bind_info", "balancer", balancer->name,
		    "bind", td_endpoint_format(&balancer->binds[i], address),
		    "protocol", protocol_name(balancer->protocol), "algorithm",
		    balancer->algorithm == TD_LB_SOURCE ? "source" : "roundrobin",
		    NULL);
}

static void
server_counts(struct engine *engine, struct room_status *st)
{
	const struct nat_ruleset *ruleset = engine_ruleset(engine);
	const struct nat_count *counts = engine_counts(engine);

	for (uint32_t i = 0; counts != NULL && i < ruleset->counter_count; i++) {
		const struct nat_counter *counter = &ruleset->counters[i];
		struct counter_key key;
		const char *direction;

		counter_key(engine_config(engine), counter, &key);
		if (counter->kind == NAT_COUNT_SERVER_NEW) {
			status_counter(st, "tandem_lb_server_connections_total",
			    (double)counts[i].packets, "balancer", key.object, "server",
			    key.rule, NULL);
			continue;
		}
		if (counter->kind == NAT_COUNT_BALANCER_DENIED) {
			status_counter(st, "tandem_lb_balancer_denied_total",
			    (double)counts[i].packets, "balancer", key.object, NULL);
			continue;
		}
		if (counter->kind != NAT_COUNT_SERVER_IN &&
		    counter->kind != NAT_COUNT_SERVER_OUT)
			continue;
		direction = counter->kind == NAT_COUNT_SERVER_IN ? "in" : "out";
		status_counter(st, "tandem_lb_server_packets_total",
		    (double)counts[i].packets, "balancer", key.object, "server",
		    key.rule, "direction", direction, NULL);
		status_counter(st, "tandem_lb_server_bytes_total",
		    (double)counts[i].bytes, "balancer", key.object, "server", key.rule,
		    "direction", direction, NULL);
	}
}

void
lbd_status_lb(struct engine *engine, struct room_status *st)
{
	const struct td_config *config = engine_config(engine);
	struct engine_stats stats;

	engine_stats(engine, &stats);
	status_gauge(st, "tandem_lb_scheduler_loaded", stats.scheduler, NULL);
	for (unsigned i = 0; i < LB_COUNTER_COUNT; i++)
		status_counter(st, "tandem_lb_scheduler_packets_total",
		    (double)stats.scheduled[i], "result", scheduler_results[i], NULL);
	if (config == NULL)
		return;
	for (uint32_t i = 0; i < config->interface_count; i++)
		status_gauge(st, "tandem_lb_scheduler_attached",
		    engine_device_attached(engine, i), "interface",
		    config->interfaces[i].name, NULL);
	for (uint32_t b = 0; b < config->balancer_count; b++)
		server_state(engine, st, b);
	if (config->balancer_count > 0)
		server_counts(engine, st);
}

static void
rule_counts(struct engine *engine, struct room_status *st)
{
	const struct nat_ruleset *ruleset = engine_ruleset(engine);
	const struct nat_count *counts = engine_counts(engine);

	for (uint32_t i = 0; counts != NULL && i < ruleset->counter_count; i++) {
		const struct nat_counter *counter = &ruleset->counters[i];
		struct counter_key key;

		if (counter->kind == NAT_COUNT_SERVER_NEW ||
		    counter->kind == NAT_COUNT_SERVER_IN ||
		    counter->kind == NAT_COUNT_SERVER_OUT ||
		    counter->kind == NAT_COUNT_BALANCER_DENIED)
			continue;
		counter_key(engine_config(engine), counter, &key);
		if (counter->kind == NAT_COUNT_DROP) {
			status_counter(st, "tandem_nat_dropped_packets_total",
			    (double)counts[i].packets, "reason", key.object, NULL);
			continue;
		}
		status_counter(st, "tandem_nat_rule_packets_total",
		    (double)counts[i].packets, "kind", key.kind, "object", key.object,
		    "rule", key.rule, NULL);
	}
}

void
lbd_status_nat(struct engine *engine, struct room_status *st)
{
	const struct td_config *config = engine_config(engine);
	struct engine_stats stats;
	char digest[24];

	engine_stats(engine, &stats);
	status_counter(st, "tandem_nat_ruleset_writes_total", (double)stats.applied,
	    "result", "applied", NULL);
	status_counter(st, "tandem_nat_ruleset_writes_total", (double)stats.unchanged,
	    "result", "unchanged", NULL);
	status_counter(st, "tandem_nat_ruleset_writes_total", (double)stats.refused,
	    "result", "refused", NULL);
	status_counter(
	    st, "tandem_nat_ruleset_repaired_total", (double)stats.repaired, NULL);
	if (config == NULL)
		return;
	snprintf(digest, sizeof(digest), "%016llx",
	    (unsigned long long)engine_ruleset(engine)->digest);
	status_info(st, "tandem_nat_ruleset_info", "digest", digest, NULL);
	status_gauge(st, "tandem_nat_generation", (double)config->generation, NULL);
	rule_counts(engine, st);
}
