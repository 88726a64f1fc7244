/*
 * Configuration files: every broken one names its line, key and reason; whole ones
 * load, mean what they say, and survive being packed.
 *
 * tests/unit/config/broken/NAME.yaml begins with three comment lines, `# line:`, `#
 * key:` and `# reason:` (the beginning of a part of it); the line counts the whole
 * file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <tandem/config.h>
#include <tandem/instant.h>
#include "common/config_tree.h"

#define BROKEN TD_SOURCE_DIR "/tests/unit/config/broken"
#define WHOLE TD_SOURCE_DIR "/tests/unit/config/whole.yaml"
#define EXAMPLE TD_SOURCE_DIR "/docs/example.yaml"

static bool
header_line(FILE *file, const char *name, char *ret_value, size_t size)
{
	char line[512];
	size_t len = strlen(name);

	if (fgets(line, sizeof(line), file) == NULL || strncmp(line, name, len) != 0)
		return false;
	line[strcspn(line, "\n")] = '\0';
	snprintf(ret_value, size, "%s", line + len + (line[len] == ' '));
	return true;
}

/* Says what differs, or nothing. */
static unsigned
check_broken(const char *path, const char *name)
{
	char line[32], key[256], reason[256];
	struct td_config_error error;
	struct td_config *config;
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	if (!header_line(file, "# line:", line, sizeof(line)) ||
	    !header_line(file, "# key:", key, sizeof(key)) ||
	    !header_line(file, "# reason:", reason, sizeof(reason)))
		fail_msg("%s: no header", name);
	fclose(file);
	config = td_config_load(path, "r1", &error);
	if (config != NULL) {
		print_error("%s: was accepted\n", name);
		td_config_free(config);
		return 1;
	}
	if (error.line == (unsigned)atoi(line) && error.column > 0 &&
	    strcmp(error.key, key) == 0 && strstr(error.reason, reason) != NULL &&
	    strcmp(error.file, path) == 0)
		return 0;
	print_error("%s: is %u:%u key '%s' reason '%s'\n", name, error.line,
	    error.column, error.key, error.reason);
	return 1;
}

static void
every_broken_file_names_line_key_and_reason(void **state)
{
	DIR *dir = opendir(BROKEN);
	struct dirent *entry;
	unsigned files = 0, wrong = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[1024];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", BROKEN, entry->d_name);
		wrong += check_broken(path, entry->d_name);
		files++;
	}
	closedir(dir);
	assert_int_equal(wrong, 0);
	assert_true(files >= 100);
}

static struct td_config *
load(const char *path)
{
	struct td_config_error error;
	struct td_config *config = td_config_load(path, "r2", &error);

	if (config == NULL)
		fail_msg("%s:%u:%u %s: %s", error.file, error.line, error.column,
		    error.key, error.reason);
	return config;
}

static void
expect_addr(const struct td_addr *addr, const char *text)
{
	char buf[TD_ADDR_STRLEN];

	assert_string_equal(td_addr_format(addr, buf), text);
}

static void
expect_prefix(const struct td_prefix *prefix, const char *text)
{
	char buf[TD_ADDR_STRLEN];

	assert_string_equal(td_prefix_format(prefix, buf), text);
}

static void
expect_endpoint(const struct td_endpoint *endpoint, const char *text)
{
	char buf[TD_ADDR_STRLEN];

	assert_string_equal(td_endpoint_format(endpoint, buf), text);
}

static void
the_example_means_what_it_says(void **state)
{
	struct td_config *c = load(EXAMPLE);

	(void)state;
	assert_string_equal(c->cluster, "lab");
	assert_int_equal(c->self, 1);
	assert_string_equal(c->nodes[0].name, "r1");
	assert_int_equal(c->nodes[0].priority, 150);
	assert_int_equal(c->nodes[0].public_key[0][0], 0x54);
	assert_int_equal(c->nodes[0].public_key[0][31], 0x52);
	expect_addr(&c->nodes[1].sync_address[0], "10.255.0.2");
	assert_int_equal(c->nodes[1].sync_address[1].family, 0);
	expect_endpoint(&c->nodes[0].management, "10.254.0.1:9480");
	assert_int_equal(c->vrrp.advertisement_interval_ns, 100 * NS_PER_MS);
	assert_false(c->vrrp.preempt);
	assert_int_equal(c->vrrp.fence, TD_FENCE_ON);
	assert_int_equal(c->sync.flows_max, 262144);
	assert_int_equal(c->interface_count, 2);
	assert_true(c->interfaces[0].is_public);
	assert_false(c->interfaces[1].is_public);
	assert_int_equal(c->interfaces[0].vrid, 51);
	assert_int_equal(c->interfaces[0].address_count, 5);
	expect_prefix(&c->interfaces[0].addresses[4], "2001:db8:1::1/64");
	assert_int_equal(c->interfaces[0].route_count, 2);
	expect_prefix(&c->interfaces[0].routes[1].destination, "::/0");
	expect_addr(&c->interfaces[0].routes[1].gateway, "2001:db8:1::fe");
	assert_int_equal(c->network_count, 1);
	assert_int_equal(c->networks[0].interface, 1);
	expect_addr(&c->networks[0].source_nat[0], "203.0.113.1");
	assert_int_equal(c->networks[0].source_nat[1].family, 0);
	assert_true(c->networks[0].egress_allow);
	assert_int_equal(c->networks[0].egress[0].ports.last, 25);
	assert_int_equal(c->public_address_count, 3);
	assert_int_equal(c->public_addresses[0].ingress[1].protocol, TD_PROTO_UDP);
	expect_prefix(&c->public_addresses[0].ingress[1].sources[0], "203.0.113.0/24");
	expect_addr(&c->static_nats[0].private_address, "10.1.1.11");
	assert_int_equal(c->port_forwards[0].public_ports.first, 8000);
	assert_int_equal(c->port_forwards[0].private_ports.last, 8010);
	assert_int_equal(c->balancer_count, 2);
	assert_int_equal(c->balancers[0].algorithm, TD_LB_ROUNDROBIN);
	assert_int_equal(c->balancers[0].servers[0].weight, 1);
	assert_int_equal(c->balancers[0].servers[1].weight, 2);
	expect_endpoint(&c->balancers[0].servers[2].endpoint, "10.1.1.13:8080");
	assert_int_equal(c->balancers[0].health.timeout_ns, NS_PER_S);
	assert_int_equal(c->balancers[1].health.type, TD_HEALTH_NONE);
	td_config_free(c);
}

static const char minimal[] =
    "cluster: c\n"
    "nodes:\n"
    "  - {name: a, priority: 1, public_key: "
    "\"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\","
    " sync_addresses: [fd00::1]}\n"
    "  - {name: b, priority: 1, public_key: "
    "\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\","
    " sync_addresses: [fd00::2]}\n"
    "interfaces:\n"
    "  - {name: eth0, vrid: 1, addresses: [\"2001:db8::1/64\"]}\n";

static void
what_is_left_out_has_the_documented_default(void **state)
{
	struct td_config_error error;
	struct td_config *c =
	    td_config_parse(minimal, strlen(minimal), "f", NULL, &error);

	(void)state;
	if (c == NULL)
		fail_msg("%u %s: %s", error.line, error.key, error.reason);
	assert_int_equal(c->self, 0);
	assert_int_equal(c->vrrp.mode, TD_VRRP_NODE);
	assert_int_equal(c->vrrp.version, 3);
	assert_int_equal(c->vrrp.advertisement_interval_ns, 100 * NS_PER_MS);
	assert_false(c->vrrp.preempt);
	assert_int_equal(c->vrrp.preempt_delay_ns, 0);
	assert_true(c->vrrp.accept);
	assert_true(c->vrrp.checksum_pseudo_header);
	assert_int_equal(c->vrrp.fence, TD_FENCE_ON);
	assert_int_equal(c->vrrp.garp_repeat, 4);
	assert_int_equal(c->vrrp.garp_refresh_ns, 60 * NS_PER_S);
	assert_false(c->vrrp.keepalived_names);
	assert_int_equal(c->sync.port, 4810);
	assert_int_equal(c->sync.witness_port, 4811);
	assert_int_equal(c->sync.batch_interval_ns, 2 * NS_PER_MS);
	assert_int_equal(c->sync.batch_bytes, 65536);
	assert_int_equal(c->sync.flows_max, 262144);
	assert_int_equal(c->sync.lease_ns, 60 * NS_PER_S);
	assert_false(td_hooks_any(&c->hooks));
	assert_int_equal(c->hooks.timeout_ns, 10 * NS_PER_S);
	assert_string_equal(c->hooks.user, "tandem-hookd");
	assert_int_equal(c->interfaces[0].adverts, TD_ADVERTS_MULTICAST);
	assert_true(c->interfaces[0].virtual_mac);
	assert_false(c->interfaces[0].is_public);
	assert_int_equal(c->nodes[0].management.addr.family, 0);
	td_config_free(c);
}

static void
variants_that_are_right_are_accepted(void **state)
{
	static const struct {
		const char *name, *old, *new;
	} rows[] = {
		{ "a member that emits nothing needs no vrid", "vrid: 1,",
		    "adverts: none, virtual_mac: no," },
		{ "unicast with both own addresses", "vrid: 1,",
		    "vrid: 1, adverts: unicast,"
		    " node_addresses: [\"fe80::2\", \"fe80::3\"]," },
		{ "own addresses of both families", "vrid: 1,",
		    "vrid: 1, node_addresses: [192.0.2.2, 192.0.2.3,"
		    " \"2001:db8::2\", \"2001:db8::3\"]," },
		{ "unicast in one family of two", "[\"2001:db8::1/64\"]",
		    "[\"2001:db8::1/64\", 192.0.2.1/24], adverts: unicast,"
		    " node_addresses: [192.0.2.2, 192.0.2.3]" },
		{ "mode independent over IPv6 alone",
		    "interfaces:", "vrrp: {mode: independent}\ninterfaces:" },
		{ "an address owner in mode independent",
		    "nodes:\n  - {name: a, priority: 1,",
		    "vrrp: {mode: independent}\n"
		    "nodes:\n  - {name: a, priority: 255," },
		{ "version 2 in mode independent", "interfaces:",
		    "vrrp: {mode: independent, version: 2}\ninterfaces:" },
		{ "a rotation key", "name: a,",
		    "name: a, public_key_next: "
		    "\"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\"," },
		{ "a link-local gateway", "vrid: 1,",
		    "vrid: 1, routes: [{to: \"::/0\", via: \"fe80::1\"}]," },
		{ "an on-link route", "vrid: 1,",
		    "vrid: 1, routes: [{to: 192.0.2.0/24}]," },
		{ "switches by other words", "vrid: 1,", "vrid: 1, public: on," },
		{ "single addresses inside one's own network", "[\"2001:db8::1/64\"]",
		    "[\"2001:db8::1/64\", \"2001:db8::7/128\", 192.0.2.1/32]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[2048];
		const char *at = strstr(minimal, rows[i].old);
		struct td_config_error error;
		struct td_config *c;

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - minimal), minimal,
		    rows[i].new, at + strlen(rows[i].old));
		c = td_config_parse(text, strlen(text), "f", "b", &error);
		if (c == NULL)
			fail_msg("%s: %s: %s", rows[i].name, error.key, error.reason);
		td_config_free(c);
	}
}

static void
an_unknown_node_is_refused(void **state)
{
	struct td_config_error error;

	(void)state;
	assert_null(td_config_load(EXAMPLE, "r3", &error));
	assert_string_equal(error.key, "nodes");
	assert_string_equal(error.reason, "no node is named 'r3'");
	assert_true(error.line > 0);
}

static void
a_file_that_cannot_be_read_is_named(void **state)
{
	struct td_config_error error;

	(void)state;
	assert_null(td_config_load("/nonexistent.yaml", NULL, &error));
	assert_string_equal(error.file, "/nonexistent.yaml");
	assert_string_equal(error.reason, "No such file or directory");
	assert_null(td_config_load("/", NULL, &error));
	assert_string_equal(error.reason, "Is a directory");
}

static void
a_huge_file_is_refused_before_it_is_parsed(void **state)
{
	char *text = malloc(CONFIG_BYTES_MAX + 1);
	struct td_config_error error;

	(void)state;
	assert_non_null(text);
	memset(text, '#', CONFIG_BYTES_MAX + 1);
	assert_null(td_config_parse(text, CONFIG_BYTES_MAX + 1, "f", NULL, &error));
	assert_string_equal(error.reason, "larger than 16 MiB");
	free(text);
	/* An endless file is read no further than that. */
	assert_null(td_config_load("/dev/zero", NULL, &error));
	assert_string_equal(error.reason, "larger than 16 MiB");
}

static void
more_values_than_any_file_has_are_refused(void **state)
{
	size_t len = 2 * (CONFIG_NODES_MAX + 10);
	char *text = malloc(len + 16);
	size_t at = (size_t)sprintf(text, "cluster: [");
	struct td_config_error error;

	(void)state;
	for (size_t i = 0; i < CONFIG_NODES_MAX + 10; i++) {
		text[at++] = 'a';
		text[at++] = ',';
	}
	text[at++] = ']';
	assert_null(td_config_parse(text, at, "f", NULL, &error));
	assert_string_equal(error.reason, "too many values in this file");
	free(text);
}

static void
packing_keeps_everything(void **state)
{
	static const char *const paths[] = { EXAMPLE, WHOLE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct td_config *c = load(paths[i]), *back;
		size_t len, back_len;
		uint8_t *bytes = td_config_pack(c, &len), *back_bytes;

		assert_non_null(bytes);
		back = td_config_unpack(bytes, len);
		assert_non_null(back);
		assert_memory_equal(back->digest, c->digest, TD_DIGEST_BYTES);
		assert_int_equal(back->self, 0); /* travels beside it */
		back_bytes = td_config_pack(back, &back_len);
		assert_int_equal(back_len, len);
		assert_memory_equal(back_bytes, bytes, len);
		assert_memory_equal(back->nodes, c->nodes, sizeof(c->nodes));
		assert_memory_equal(&back->vrrp, &c->vrrp, sizeof(c->vrrp));
		assert_memory_equal(&back->hooks, &c->hooks, sizeof(c->hooks));
		assert_true(td_track_scripts_equal(back, c));
		assert_int_equal(c->track_script_count, i == 0 ? 0 : 2);
		if (i == 1) {
			assert_string_equal(back->track_scripts[1].name, "disk");
			assert_int_equal(back->track_scripts[0].timeout_ns, NS_PER_S);
			assert_int_equal(back->track_scripts[0].fall, 5);
			assert_int_equal(back->track_scripts[1].rise, 2);
		}
		assert_int_equal(back->balancers[0].servers[1].weight,
		    c->balancers[0].servers[1].weight);
		free(bytes);
		free(back_bytes);
		td_config_free(back);
		td_config_free(c);
	}
}

static void
the_digest_covers_the_pair_and_not_the_node(void **state)
{
	struct td_config_error error;
	struct td_config *a = td_config_load(EXAMPLE, "r1", &error);
	struct td_config *b = td_config_load(EXAMPLE, "r2", &error);
	struct td_config *other = load(WHOLE);

	(void)state;
	assert_memory_equal(a->digest, b->digest, TD_DIGEST_BYTES);
	assert_memory_not_equal(a->digest, other->digest, TD_DIGEST_BYTES);
	td_config_free(a);
	td_config_free(b);
	td_config_free(other);
}

/* True if refused; what is accepted must be a configuration that packs again. */
static bool
unpack_refuses(const uint8_t *bytes, size_t len)
{
	struct td_config *config = td_config_unpack(bytes, len);
	size_t again_len;
	uint8_t *again;

	if (config == NULL)
		return true;
	again = td_config_pack(config, &again_len);
	assert_non_null(again);
	free(again);
	td_config_free(config);
	return false;
}

static void
damaged_packed_bytes_do_no_harm(void **state)
{
	struct td_config *c = load(WHOLE);
	size_t len;
	uint8_t *bytes = td_config_pack(c, &len);
	unsigned refused = 0;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		/* A cut between two sections leaves a smaller configuration. */
		unpack_refuses(bytes, i);
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1U << bit);
			refused += unpack_refuses(bytes, len);
			bytes[i] ^= (uint8_t)(1U << bit);
		}
	}
	assert_true(refused > len);
	assert_true(unpack_refuses(bytes, 0));
	free(bytes);
	td_config_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_broken_file_names_line_key_and_reason),
		cmocka_unit_test(the_example_means_what_it_says),
		cmocka_unit_test(what_is_left_out_has_the_documented_default),
		cmocka_unit_test(variants_that_are_right_are_accepted),
		cmocka_unit_test(an_unknown_node_is_refused),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(a_huge_file_is_refused_before_it_is_parsed),
		cmocka_unit_test(more_values_than_any_file_has_are_refused),
		cmocka_unit_test(packing_keeps_everything),
		cmocka_unit_test(the_digest_covers_the_pair_and_not_the_node),
		cmocka_unit_test(damaged_packed_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
