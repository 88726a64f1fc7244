/* The ruleset of the example model is the golden file; single rules have rows of their
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <cmocka.h>
#include "lbcore_model.h"
#include "lbcore/l4/core/l4_slots.h"
#include "lbcore/nat/core/nat_ruleset.h"

#define GOLDEN TD_SOURCE_DIR "/tests/unit/golden/nat_lab.nft"

static struct nat_ruleset
compile(const struct td_config *config)
{
	struct nat_ruleset ruleset;
	struct l4_slots slots;

	assert_int_equal(l4_slots_init(&slots, config), 0);
	assert_int_equal(nat_ruleset_compile(&ruleset, config, &slots), 0);
	l4_slots_fini(&slots);
	return ruleset;
}

static char *
golden_read(void)
{
	FILE *f = fopen(GOLDEN, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

/* TD_GOLDEN_WRITE=1 makes the file anew, to be read before it is committed. */
static void
the_example_model_gives_the_golden_ruleset(void **state)
{
	struct td_config config = model_lab();
	struct nat_ruleset ruleset = compile(&config);
	char *golden;

	(void)state;
	if (getenv("TD_GOLDEN_WRITE") != NULL) {
		FILE *f = fopen(GOLDEN, "w");

		assert_non_null(f);
		fputs(ruleset.text, f);
		fclose(f);
	}
	golden = golden_read();
	assert_string_equal(ruleset.text, golden);
	free(golden);
	nat_ruleset_fini(&ruleset);
}

static void
both_nodes_compile_the_same_bytes(void **state)
{
	struct td_config config = model_lab();
	struct nat_ruleset r1 = compile(&config), r2;

	(void)state;
	config.self = 1;
	r2 = compile(&config);
	assert_string_equal(r1.text, r2.text);
	assert_true(r1.digest == r2.digest);
	nat_ruleset_fini(&r1);
	nat_ruleset_fini(&r2);
}

struct row {
	const char *name;
	void (*change)(struct td_config *config);
	const char *present[4];
	const char *absent[2];
};

static void
deny(struct td_config *config)
{
	config->networks[0].egress_allow = false;
}

static void
no_source_nat(struct td_config *config)
{
	memset(
	    &config->networks[0].source_nat, 0, sizeof(config->networks[0].source_nat));
}

static void
source_nat6(struct td_config *config)
{
	config->networks[0].source_nat[1] = model_addr("2001:db8:1::1");
}

static void
moved_range(struct td_config *config)
{
	config->port_forwards[0].public_ports = (struct td_port_range){ 8000, 8002 };
	config->port_forwards[0].private_ports = (struct td_port_range){ 9000, 9002 };
}

static void
long_moved_range(struct td_config *config)
{
	config->port_forwards[0].private_ports = (struct td_port_range){ 9000, 9010 };
}

static void
moved_port(struct td_config *config)
{
	config->port_forwards[0].public_ports = (struct td_port_range){ 2222, 2222 };
	config->port_forwards[0].private_ports = (struct td_port_range){ 22, 22 };
}

static void
forward_sources(struct td_config *config)
{
	static struct td_prefix sources[3];

	sources[0] = model_prefix("198.51.100.7/24");
	sources[1] = model_prefix("198.51.100.128/25");
	sources[2] = model_prefix("2001:db8::/32");
	config->port_forwards[0].sources = sources;
	config->port_forwards[0].source_count = 3;
}

static void
forward_foreign_sources(struct td_config *config)
{
	forward_sources(config);
	config->port_forwards[0].sources += 2;
	config->port_forwards[0].source_count = 1;
}

static void
forward_all_sources(struct td_config *config)
{
	static struct td_prefix sources[2];

	sources[0] = model_prefix("198.51.100.0/24");
	sources[1] = model_prefix("0.0.0.0/0");
	config->port_forwards[0].sources = sources;
	config->port_forwards[0].source_count = 2;
}

static void
forward_two_sources(struct td_config *config)
{
	static struct td_prefix sources[2];

	sources[0] = model_prefix("198.51.100.0/25");
	sources[1] = model_prefix("192.0.2.1");
	config->port_forwards[0].sources = sources;
	config->port_forwards[0].source_count = 2;
}

static void
forward_many_sources(struct td_config *config)
{
	static struct td_prefix sources[9];

	for (uint32_t i = 0; i < MODEL_COUNT(sources); i++) {
		sources[i] = model_prefix("198.51.0.0/24");
		sources[i].addr.bytes[2] = (uint8_t)i;
	}
	config->port_forwards[0].sources = sources;
	config->port_forwards[0].source_count = MODEL_COUNT(sources);
}

static void
egress_both(struct td_config *config)
{
	static struct td_prefix sources[2], destinations[2];

	sources[0] = model_prefix("10.1.1.1");
	sources[1] = model_prefix("10.1.1.2");
	destinations[0] = model_prefix("192.0.2.1");
	destinations[1] = model_prefix("192.0.2.2");
	config->networks[0].egress[0].sources = sources;
	config->networks[0].egress[0].source_count = 2;
	config->networks[0].egress[0].destinations = destinations;
	config->networks[0].egress[0].destination_count = 2;
}

static void
balancer_sources(struct td_config *config)
{
	static struct td_prefix sources[1];

	sources[0] = model_prefix("203.0.113.0/25");
	config->balancers[0].sources = sources;
	config->balancers[0].source_count = 1;
}

static void
unlisted_static(struct td_config *config)
{
	config->static_nats[0].public_address = model_addr("203.0.113.1");
}

static void
nothing(struct td_config *config)
{
	config->network_count = 0;
	config->public_address_count = 0;
	config->static_nat_count = 0;
	config->port_forward_count = 0;
	config->balancer_count = 0;
}

static void
independent(struct td_config *config)
{
	config->vrrp.mode = TD_VRRP_INDEPENDENT;
}

static void
no_accept(struct td_config *config)
{
	config->vrrp.accept = false;
}

static void
owner_no_accept(struct td_config *config)
{
	independent(config);
	no_accept(config);
	config->nodes[0].priority = 255;
}

static void
lan_without_gateway(struct td_config *config)
{
	config->interfaces[1].address_count = 0;
}

static const struct row rows[] = {
	{ "S8 egress / allow policy: rules deny, the rest passes", NULL,
	    { "th dport 25 counter name egress_0_0 drop",
		"counter name egress_0_default accept" },
	    { "egress_0_0 accept" } },
	{ "S8 egress / deny policy: the same rule allows, the rest is dropped", deny,
	    { "th dport 25 counter name egress_0_0 accept",
		"counter name egress_0_default drop" },
	    { "egress_0_0 drop" } },
	{ "S8 egress / an IPv4 destination makes no IPv6 rule", NULL,
	    { "meta nfproto ipv4 meta l4proto tcp th dport 25" },
	    { "meta nfproto ipv6 meta l4proto tcp th dport 25" } },
	{ "S4 source NAT / one virtual address, never within the inside", NULL,
	    { "ip saddr 10.1.1.0/24 ip daddr != @inside4 counter name source_nat_0 "
	      "snat "
	      "ip to 203.0.113.1\n" },
	    { "snat ip6 to 2001" } },
	{ "S4 source NAT / absent: routed as it is", no_source_nat, { "goto egress_0" },
	    { "source_nat_0" } },
	{ "S4 source NAT / IPv6 when asked for", source_nat6,
	    { "ip6 saddr fd00:1:1::/64 ip6 daddr != @inside6 counter name "
	      "source_nat_0 "
	      "snat ip6 to 2001:db8:1::1\n" },
	    { NULL } },
	{ "S4 source NAT / the router's own traffic stays as it is", NULL,
	    { "priority srcnat; policy accept;\n\t\tfib saddr type local accept\n" },
	    { NULL } },
	{ "S5 static NAT / both directions", NULL,
	    { "ip daddr 203.0.113.11 counter name static_0_in dnat ip to 10.1.1.11\n",
		"ip saddr 10.1.1.11 ip daddr != @inside4 counter name static_0_out "
		"snat ip "
		"to 203.0.113.11\n" },
	    { NULL } },
	{ "S5 static NAT / echo to it needs a rule", NULL,
	    { "chain ingress_1 {\n\t\tmeta nfproto ipv4 counter name ingress_1_0 "
	      "accept\n"
	      "\t\tcounter name ingress_1_denied drop\n" },
	    { NULL } },
	{ "S5 static NAT / on an address without a list: closed, echo too",
	    unlisted_static,
	    { "chain ingress_closed {\n\t\tip daddr 203.0.113.1 counter name "
	      "drop_ingress "
	      "drop\n" },
	    { NULL } },
	{ "S6 port forward / an equal range keeps the port", NULL,
	    { "ip daddr 203.0.113.10 meta l4proto tcp th dport 8000-8010 counter name "
	      "port_forward_0 dnat ip to 10.1.1.12\n" },
	    { NULL } },
	{ "S6 port forward / a short moved range is a rule per port", moved_range,
	    { "th dport 8000 counter name port_forward_0 dnat ip to 10.1.1.12:9000\n",
		"th dport 8002 counter name port_forward_0 dnat ip to "
		"10.1.1.12:9002\n" },
	    { "th dport 8003" } },
	{ "S6 port forward / a long moved range is a map in order", long_moved_range,
	    { "th dport 8000-8010 counter name port_forward_0 dnat ip to 10.1.1.12 : "
	      "th "
	      "dport map { 8000 : 9000, 8001 : 9001, 8002 : 9002, ",
		"8010 : 9010 }\n" },
	    { NULL } },
	{ "S6 port forward / one port", moved_port,
	    { "th dport 2222 counter name port_forward_0 dnat ip to 10.1.1.12:22\n" },
	    { NULL } },
	{ "S6 port forward / sources: host bits cleared, nested and foreign ones left "
	  "out",
	    forward_sources,
	    { "ip daddr 203.0.113.10 ip saddr 198.51.100.0/24 meta l4proto tcp" },
	    { "2001:db8::/32" } },
	{ "S6 port forward / sources of the other family only: no rule",
	    forward_foreign_sources, { "chain translate_in" },
	    { "port_forward_0 dnat" } },
	{ "S6 port forward / a short source list is a rule per member",
	    forward_two_sources,
	    { "ip saddr 198.51.100.0/25 meta l4proto tcp th dport 8000-8010 counter "
	      "name "
	      "port_forward_0 dnat ip to 10.1.1.12\n\t\tip daddr 203.0.113.10 ip saddr "
	      "192.0.2.1/32 meta" },
	    { NULL } },
	{ "S6 port forward / a long source list is a set", forward_many_sources,
	    { "ip saddr { 198.51.0.0/24, 198.51.1.0/24, 198.51.2.0/24," }, { NULL } },
	{ "S8 egress / sources and destinations are combined", egress_both,
	    { "ip saddr 10.1.1.1/32 ip daddr 192.0.2.1/32 meta l4proto tcp",
		"ip saddr 10.1.1.1/32 ip daddr 192.0.2.2/32 meta l4proto tcp",
		"ip saddr 10.1.1.2/32 ip daddr 192.0.2.1/32 meta l4proto tcp",
		"ip saddr 10.1.1.2/32 ip daddr 192.0.2.2/32 meta l4proto tcp" },
	    { "ip saddr 10.1.1.1/32 meta" } },
	{ "S6 port forward / everybody in the list is no match at all",
	    forward_all_sources, { "ip daddr 203.0.113.10 meta l4proto tcp" },
	    { "198.51.100" } },
	{ "S6 hairpin / client and server in one network: the tier's virtual address",
	    NULL,
	    { "ct status dnat ip saddr 10.1.1.0/24 ip daddr 10.1.1.0/24 snat "
	      "ip to "
	      "10.1.1.1\n",
		"ct status dnat ip6 saddr fd00:1:1::/64 ip6 daddr fd00:1:1::/64 "
		"snat ip6 to fd00:1:1::1\n" },
	    { NULL } },
	{ "S6 hairpin / without a virtual address in the network: none, never an own "
	  "one",
	    lan_without_gateway, { "chain translate_out" },
	    { "ct status dnat ip saddr" } },
	{ "S7 ingress / default deny per public address", NULL,
	    { "ip daddr vmap { 203.0.113.10 : goto ingress_0, 203.0.113.11 : goto "
	      "ingress_1, 203.0.113.12 : goto ingress_2 }\n\t\tip daddr @public4 goto "
	      "ingress_closed\n",
		"counter name ingress_0_denied drop" },
	    { NULL } },
	{ "S7 ingress / protocol, ports and sources", NULL,
	    { "ip saddr 203.0.113.0/24 meta l4proto udp th dport 8000-8010 counter "
	      "name "
	      "ingress_0_1 accept" },
	    { NULL } },
	{ "S7 ingress / an inside source from the public side is dropped", NULL,
	    { "iifname { \"wan0\", \"td51-wan0\" } ip saddr @inside4 counter name "
	      "drop_spoofed drop" },
	    { NULL } },
	{ "S7 ingress / a virtual router per family: both devices are the public side",
	    independent,
	    { "iifname { \"wan0\", \"td51-wan0\", \"td51v6-wan0\" } ip6 saddr "
	      "@inside6 counter name drop_spoofed drop" },
	    { NULL } },
	{ "accept: no / a virtual address answers neighbour discovery alone", no_accept,
	    { "chain input_virtual {\n\t\ticmpv6 type { nd-neighbor-solicit, "
	      "nd-neighbor-advert } accept\n\t\tcounter name drop_unserved drop" },
	    { "untracked accept\n\t\ticmp type echo-request" } },
	{ "accept: no / an address owner accepts all the same", owner_no_accept,
	    { "\t\ticmp type echo-request accept\n\t\ticmpv6 type echo-request" },
	    { "nd-neighbor-solicit" } },
	{ "L10 balancer / source list: others refused before the translation",
	    balancer_sources,
	    { "ip daddr 203.0.113.12 meta l4proto tcp th dport 80 ip saddr != { "
	      "203.0.113.0/25 } counter name balancer_0_denied drop\n" },
	    { NULL } },
	{ "L4 balancer / marked without a server is dropped", NULL,
	    { "meta mark & 0x00000fff vmap @server_chain\n\t\tmeta mark & 0x00000fff "
	      "!= 0 "
	      "counter name drop_lost_mark drop\n" },
	    { NULL } },
	{ "empty model / still a table that forwards nothing", nothing,
	    { "hook forward priority filter; policy drop;" },
	    { "snat ip", "vmap @server_chain" } },
};

static void
rows_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < MODEL_COUNT(rows); i++) {
		struct td_config config = model_lab();
		struct nat_ruleset ruleset;

		if (rows[i].change != NULL)
			rows[i].change(&config);
		ruleset = compile(&config);
		for (size_t p = 0; p < 4 && rows[i].present[p] != NULL; p++)
			if (strstr(ruleset.text, rows[i].present[p]) == NULL)
				fail_msg("%s: absent: %s\n%s", rows[i].name,
				    rows[i].present[p], ruleset.text);
		for (size_t p = 0; p < 2 && rows[i].absent[p] != NULL; p++)
			if (strstr(ruleset.text, rows[i].absent[p]) != NULL)
				fail_msg(
				    "%s: present: %s", rows[i].name, rows[i].absent[p]);
		nat_ruleset_fini(&ruleset);
	}
}

/* Metrics are found by these names: each once, each used by a rule. */
static void
counters_are_unique_and_used(void **state)
{
	struct td_config config = model_lab();
	struct nat_ruleset ruleset = compile(&config);

	(void)state;
	for (uint32_t i = 0; i < ruleset.counter_count; i++) {
		const struct nat_counter *counter = &ruleset.counters[i];
		char declared[64];

		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(
			    counter->name, ruleset.counters[j].name);
		snprintf(
		    declared, sizeof(declared), "\tcounter %s { }\n", counter->name);
		assert_non_null(strstr(ruleset.text, declared));
		if (counter->kind == NAT_COUNT_SERVER_IN ||
		    counter->kind == NAT_COUNT_SERVER_OUT)
			snprintf(declared, sizeof(declared), ": \"%s\"", counter->name);
		else
			snprintf(declared, sizeof(declared), "counter name %s",
			    counter->name);
		assert_non_null(strstr(ruleset.text, declared));
	}
	nat_ruleset_fini(&ruleset);
}

static void
a_different_rule_is_a_different_digest(void **state)
{
	struct td_config config = model_lab();
	struct nat_ruleset a = compile(&config), b;
	char comment[NAT_COMMENT_MAX];

	(void)state;
	nat_ruleset_comment(a.digest, comment);
	assert_non_null(strstr(a.text, comment));
	config.balancers[0].servers[0].endpoint.port = 8081;
	b = compile(&config);
	assert_true(a.digest != b.digest);
	nat_ruleset_fini(&a);
	nat_ruleset_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_model_gives_the_golden_ruleset),
		cmocka_unit_test(both_nodes_compile_the_same_bytes),
		cmocka_unit_test(rows_hold),
		cmocka_unit_test(counters_are_unique_and_used),
		cmocka_unit_test(a_different_rule_is_a_different_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
