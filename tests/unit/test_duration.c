/* Durations and keys as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <tandem/instant.h>
#include "common/duration.h"
#include "common/z85.h"

static const struct {
	const char *in;
	int64_t ns; /* -1: refused */
	const char *out;
} rows[] = {
	{ "100ms", 100 * NS_PER_MS, "100ms" },
	{ "1.5s", 1500 * NS_PER_MS, "1500ms" },
	{ "5m", 300 * NS_PER_S, "5m" },
	{ "300s", 300 * NS_PER_S, "5m" },
	{ "0s", 0, "0s" },
	{ "2h", 7200 * NS_PER_S, "2h" },
	{ "10us", 10000, "10us" },
	{ "0.5us", 500, "0.500us" },
	{ "1.001s", 1001 * NS_PER_MS, "1001ms" },
	{ "1000h", 3600000 * NS_PER_S, "1000h" },
	{ "1001h", -1, NULL },
	{ "0.0001us", -1, NULL },
	{ "100", -1, NULL },
	{ "ms", -1, NULL },
	{ "", -1, NULL },
	{ ".5s", -1, NULL },
	{ "1.s", -1, NULL },
	{ "1.5.5s", -1, NULL },
	{ "-1s", -1, NULL },
	{ "1 s", -1, NULL },
	{ "1s ", -1, NULL },
	{ "1S", -1, NULL },
	{ "1d", -1, NULL },
	{ "99999999999999999999s", -1, NULL },
	{ "0.00000000000000000001s", -1, NULL },
};

static void
durations_parse_and_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t ns = -1;
		char buf[DURATION_STRLEN];

		if (duration_parse(rows[i].in, &ns) != (rows[i].ns >= 0) ||
		    ns != rows[i].ns)
			fail_msg("'%s' is %lld", rows[i].in, (long long)ns);
		if (rows[i].out != NULL)
			assert_string_equal(duration_format(ns, buf), rows[i].out);
	}
}

static void
keys_are_z85(void **state)
{
	/* The two words of ZeroMQ RFC 32's test vector, "HelloWorld", four times. */
	static const uint8_t word[8] = { 0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7,
		0x5b };
	static const char text[] = "HelloWorldHelloWorldHelloWorldHelloWorld";
	uint8_t key[Z85_KEY_BYTES];
	char back[Z85_KEY_STRLEN];

	(void)state;
	assert_true(z85_key_decode(text, key));
	for (unsigned i = 0; i < 4; i++)
		assert_memory_equal(key + 8 * i, word, 8);
	z85_key_encode(key, back);
	assert_string_equal(back, text);
	memset(key, 0xff, sizeof(key));
	z85_key_encode(key, back);
	assert_true(z85_key_decode(back, key));
	assert_int_equal(key[31], 0xff);
	assert_false(z85_key_decode("HelloWorld", key));
	assert_false(
	    z85_key_decode("HelloWorldHelloWorldHelloWorldHelloWorldHello", key));
	assert_false(z85_key_decode("HelloWorldHelloWorldHelloWorldHelloWor d", key));
	assert_false(z85_key_decode("#####WorldHelloWorldHelloWorldHelloWorld", key));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_parse_and_format),
		cmocka_unit_test(keys_are_z85),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
