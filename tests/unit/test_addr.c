/* Text forms of addresses, and what prefixes contain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <tandem/addr.h>

static const struct {
	const char *in;
	const char *out; /* NULL: refused */
} addr_rows[] = {
	{ "0.0.0.0", "0.0.0.0" },
	{ "203.0.113.255", "203.0.113.255" },
	{ "256.0.0.1", NULL },
	{ "1.2.3", NULL },
	{ "1.2.3.4.5", NULL },
	{ "01.2.3.4", NULL },
	{ "1.2.3.4 ", NULL },
	{ " 1.2.3.4", NULL },
	{ "1..2.3", NULL },
	{ "+1.2.3.4", NULL },
	{ "", NULL },
	{ "::", "::" },
	{ "::1", "::1" },
	{ "1::", "1::" },
	{ "2001:DB8::1", "2001:db8::1" },
	{ "2001:0db8:0:0:0:0:0:1", "2001:db8::1" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
	{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
	{ "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
	{ "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
	{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
	{ "1:2:3:4:5:6:7", NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL },
	{ "1:2:3:4::5:6:7:8", NULL },
	{ "1:2:3:4:5:6:7:8:", NULL },
	{ ":1:2:3:4:5:6:7", NULL },
	{ "1::2::3", NULL },
	{ ":::", NULL },
	{ ":", NULL },
	{ "12345::", NULL },
	{ "g::", NULL },
	{ "fe80::1%eth0", NULL },
	{ "1:2:3:4:5:6:7:1.2.3.4", NULL },
	{ "::1.2.3", NULL },
	{ "::1.2.3.4:5", NULL },
};

static void
addresses_parse_and_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(addr_rows) / sizeof(addr_rows[0]); i++) {
		struct td_addr addr;
		uint8_t system_bytes[16] = { 0 };
		char buf[TD_ADDR_STRLEN];
		bool system_ok;

		memset(&addr, 0x55, sizeof(addr));
		if (!td_addr_parse(addr_rows[i].in, &addr)) {
			if (addr_rows[i].out != NULL)
				fail_msg("'%s' was refused", addr_rows[i].in);
			assert_int_equal(addr.family, 0x55);
			continue;
		}
		if (addr_rows[i].out == NULL)
			fail_msg("'%s' was accepted", addr_rows[i].in);
		assert_string_equal(td_addr_format(&addr, buf), addr_rows[i].out);
		system_ok = inet_pton(addr.family, addr_rows[i].in, system_bytes) == 1;
		assert_true(system_ok);
		assert_memory_equal(addr.bytes, system_bytes, sizeof(system_bytes));
	}
}

/* Random bytes, many of them zero: the system's formatter and parser must agree. */
static void
formatting_agrees_with_the_system(void **state)
{
	uint32_t seed = 4711;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct td_addr addr, back;
		char ours[TD_ADDR_STRLEN], system[INET6_ADDRSTRLEN];

		memset(&addr, 0, sizeof(addr));
		addr.family = TD_AF_INET6;
		for (unsigned g = 0; g < 8; g++) {
			seed = seed * 1664525 + 1013904223;
			/* The first group never zero: the system writes ::/96 dotted.
			 */
			if (g == 0 || seed >> 31) {
				addr.bytes[2 * g] = (uint8_t)(seed >> 8);
				addr.bytes[2 * g + 1] = (uint8_t)(seed >> 16) | 1;
			}
		}
		assert_non_null(
		    inet_ntop(AF_INET6, addr.bytes, system, sizeof(system)));
		assert_string_equal(td_addr_format(&addr, ours), system);
		assert_true(td_addr_parse(ours, &back));
		assert_true(td_addr_equal(&addr, &back));
	}
}

static const struct {
	const char *in, *out;
} prefix_rows[] = {
	{ "10.0.0.1/24", "10.0.0.1/24" },
	{ "10.0.0.1", "10.0.0.1/32" },
	{ "::/0", "::/0" },
	{ "fd00::1/128", "fd00::1/128" },
	{ "fd00::1", "fd00::1/128" },
	{ "10.0.0.1/33", NULL },
	{ "fd00::/129", NULL },
	{ "10.0.0.1/", NULL },
	{ "10.0.0.1/024", NULL },
	{ "10.0.0.1/24/24", NULL },
	{ "10.0.0.1/-1", NULL },
	{ "/24", NULL },
};

static void
prefixes_parse_and_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prefix_rows) / sizeof(prefix_rows[0]); i++) {
		struct td_prefix prefix;
		char buf[TD_ADDR_STRLEN];

		if (td_prefix_parse(prefix_rows[i].in, &prefix) !=
		    (prefix_rows[i].out != NULL))
			fail_msg("wrong verdict on '%s'", prefix_rows[i].in);
		if (prefix_rows[i].out != NULL)
			assert_string_equal(
			    td_prefix_format(&prefix, buf), prefix_rows[i].out);
	}
}

static const struct {
	const char *in, *out;
} endpoint_rows[] = {
	{ "10.0.0.1:80", "10.0.0.1:80" },
	{ "[fd00::1]:65535", "[fd00::1]:65535" },
	{ "10.0.0.1:65536", NULL },
	{ "10.0.0.1:0", NULL },
	{ "10.0.0.1:", NULL },
	{ "10.0.0.1", NULL },
	{ "[10.0.0.1]:80", NULL },
	{ "fd00::1:80", NULL },
	{ "[fd00::1]", NULL },
	{ "[fd00::1:80", NULL },
	{ "[fd00::1]80", NULL },
	{ ":80", NULL },
	{ "10.0.0.1:80 ", NULL },
	{ "10.0.0.1:080", NULL },
};

static void
endpoints_parse_and_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(endpoint_rows) / sizeof(endpoint_rows[0]); i++) {
		struct td_endpoint endpoint;
		char buf[TD_ADDR_STRLEN];

		if (td_endpoint_parse(endpoint_rows[i].in, &endpoint) !=
		    (endpoint_rows[i].out != NULL))
			fail_msg("wrong verdict on '%s'", endpoint_rows[i].in);
		if (endpoint_rows[i].out != NULL)
			assert_string_equal(
			    td_endpoint_format(&endpoint, buf), endpoint_rows[i].out);
	}
}

static const struct {
	const char *in;
	uint16_t first, last; /* 0: refused */
} range_rows[] = {
	{ "80", 80, 80 },
	{ "80-90", 80, 90 },
	{ "1-65535", 1, 65535 },
	{ "90-80", 0, 0 },
	{ "0", 0, 0 },
	{ "0-10", 0, 0 },
	{ "80-", 0, 0 },
	{ "-80", 0, 0 },
	{ "65536", 0, 0 },
	{ "80 - 90", 0, 0 },
	{ "", 0, 0 },
};

static void
port_ranges_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(range_rows) / sizeof(range_rows[0]); i++) {
		struct td_port_range range = { 0, 0 };

		if (td_port_range_parse(range_rows[i].in, &range) !=
		    (range_rows[i].first != 0))
			fail_msg("wrong verdict on '%s'", range_rows[i].in);
		assert_int_equal(range.first, range_rows[i].first);
		assert_int_equal(range.last, range_rows[i].last);
	}
}

static const struct {
	const char *a, *b;
	bool contains; /* a contains the address of b */
	bool overlaps;
} overlap_rows[] = {
	{ "10.1.1.0/24", "10.1.1.255", true, true },
	{ "10.1.1.0/24", "10.1.2.0", false, false },
	{ "10.1.1.7/24", "10.1.1.0/24", true, true },
	{ "10.1.1.0/25", "10.1.0.0/16", false, true },
	{ "10.1.1.128/25", "10.1.1.0/25", false, false },
	{ "0.0.0.0/0", "203.0.113.1", true, true },
	{ "0.0.0.0/0", "::1", false, false },
	{ "::/0", "10.0.0.1", false, false },
	{ "fd00:1:1::/63", "fd00:1:1:1::1", true, true },
	{ "fd00:1:1::/64", "fd00:1:1:1::1", false, false },
	{ "2001:db8::1", "2001:db8::1", true, true },
	{ "2001:db8::1", "2001:db8::2", false, false },
};

static void
prefixes_contain_and_overlap(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(overlap_rows) / sizeof(overlap_rows[0]); i++) {
		struct td_prefix a, b;

		assert_true(td_prefix_parse(overlap_rows[i].a, &a));
		assert_true(td_prefix_parse(overlap_rows[i].b, &b));
		if (td_prefix_contains(&a, &b.addr) != overlap_rows[i].contains ||
		    td_prefix_overlaps(&a, &b) != overlap_rows[i].overlaps ||
		    td_prefix_overlaps(&b, &a) != overlap_rows[i].overlaps)
			fail_msg("%s and %s", overlap_rows[i].a, overlap_rows[i].b);
	}
}

static void
addresses_are_ordered_and_classified(void **state)
{
	static const char *sorted[] = { "0.0.0.1", "10.0.0.255", "10.0.1.0",
		"200.0.0.0", "::", "::1", "2001:db8::", "fe80::1" };
	struct td_addr a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++)
		for (size_t j = 0; j < sizeof(sorted) / sizeof(sorted[0]); j++) {
			int order;

			assert_true(td_addr_parse(sorted[i], &a));
			assert_true(td_addr_parse(sorted[j], &b));
			order = td_addr_compare(&a, &b);
			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
			assert_int_equal(td_addr_equal(&a, &b), i == j);
		}
	assert_true(td_addr_parse("169.254.3.4", &a) && td_addr_is_link_local(&a));
	assert_true(td_addr_parse("169.253.3.4", &a) && !td_addr_is_link_local(&a));
	assert_true(td_addr_parse("febf::1", &a) && td_addr_is_link_local(&a));
	assert_true(td_addr_parse("fec0::1", &a) && !td_addr_is_link_local(&a));
	memset(&a, 0, sizeof(a));
	assert_false(td_addr_is_link_local(&a));
	assert_int_equal(td_addr_len(&a), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_parse_and_format),
		cmocka_unit_test(formatting_agrees_with_the_system),
		cmocka_unit_test(prefixes_parse_and_format),
		cmocka_unit_test(endpoints_parse_and_format),
		cmocka_unit_test(port_ranges_parse),
		cmocka_unit_test(prefixes_contain_and_overlap),
		cmocka_unit_test(addresses_are_ordered_and_classified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
