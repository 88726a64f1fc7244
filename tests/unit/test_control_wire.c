/* The control socket's messages: what is encoded is decoded, what is broken is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "routerd/control_wire.h"

static void
test_request_round_trip(void **state)
{
	struct control_request in = {
		.id = UINT64_MAX,
		.command = CONTROL_CMD_APPLY,
		.text = (char *)(uintptr_t) "cluster: x\n",
		.alone = true,
	};
	struct control_request out;
	size_t len;
	uint8_t *bytes = control_request_encode(&in, &len);

	(void)state;
	assert_non_null(bytes);
	assert_true(control_request_decode(bytes, len, &out));
	assert_true(out.id == in.id);
	assert_int_equal(out.command, in.command);
	assert_string_equal(out.text, in.text);
	assert_true(out.alone);
	free(out.text);
	free(bytes);
}

static void
test_request_of_a_newer_version_is_no_command(void **state)
{
	/* id = 5, command = 99, an unknown field 15. */
	static const uint8_t bytes[] = { 0x10, 5, 0x18, 99, 0x7a, 2, 'h', 'i' };
	struct control_request out;

	(void)state;
	assert_true(control_request_decode(bytes, sizeof(bytes), &out));
	assert_int_equal(out.id, 5);
	assert_int_equal(out.command, CONTROL_CMD_NONE);
	assert_string_equal(out.text, "");
	free(out.text);
}

static void
test_broken_requests_are_refused(void **state)
{
	struct control_request in = { .command = CONTROL_CMD_CHECK };
	static const uint8_t torn[] = { 0x22, 200, 1, 'x' };
	struct control_request out = { .id = 77 };
	size_t len;
	uint8_t *bytes;
	char *text = malloc(CONTROL_TEXT_MAX + 2);

	(void)state;
	assert_false(control_request_decode(torn, sizeof(torn), &out));
	memset(text, 'a', CONTROL_TEXT_MAX + 1);
	text[CONTROL_TEXT_MAX + 1] = '\0';
	in.text = text;
	bytes = control_request_encode(&in, &len);
	assert_non_null(bytes);
	assert_false(control_request_decode(bytes, len, &out));
	text[CONTROL_TEXT_MAX] = '\0';
	free(bytes);
	bytes = control_request_encode(&in, &len);
	assert_true(control_request_decode(bytes, len, &out));
	assert_int_equal(strlen(out.text), CONTROL_TEXT_MAX);
	free(out.text);
	free(bytes);
	free(text);
}

static void
test_samples_go_in_parts_that_fit(void **state)
{
	struct sample_set in = { 0 }, out = { 0 };
	size_t sent = 0, parts = 0;

	(void)state;
	for (int i = 0; i < 5000; i++)
		samples_put(&in, TD_ROOM_SYNCD, TD_COUNTER, "tandem_sync_records_total",
		    i, "operation", "upsert", "outcome", "refused_by_kernel", NULL);
	while (sent < in.count) {
		struct control_reply reply = { .id = 9, .more = true }, got;
		size_t count = in.count - sent, len;
		uint8_t *bytes =
		    control_reply_encode(&reply, in.list + sent, &count, &len);

		assert_non_null(bytes);
		assert_true(count > 0);
		assert_true(len <= CONTROL_BYTES_MAX);
		assert_true(control_reply_decode(bytes, len, &got, &out));
		assert_true(got.more);
		free(got.text);
		free(bytes);
		sent += count;
		parts++;
	}
	assert_true(parts > 1);
	assert_int_equal(out.count, in.count);
	for (size_t i = 0; i < in.count; i++) {
		assert_true(out.list[i].number == (double)i);
		assert_int_equal(out.list[i].room, TD_ROOM_SYNCD);
		assert_string_equal(
		    sample_label(&out.list[i], "outcome"), "refused_by_kernel");
	}
	samples_free(&in);
	samples_free(&out);
}

static void
test_reply_carries_status_and_text(void **state)
{
	struct control_reply in = {
		.id = 3, .status = -EBUSY, .text = (char *)(uintptr_t) "r2: busy"
	};
	struct control_reply out;
	struct sample_set set = { 0 };
	size_t none = 0, len;
	uint8_t *bytes = control_reply_encode(&in, NULL, &none, &len);

	(void)state;
	assert_true(control_reply_decode(bytes, len, &out, &set));
	assert_int_equal(out.status, -EBUSY);
	assert_string_equal(out.text, "r2: busy");
	assert_false(out.more);
	assert_int_equal(set.count, 0);
	free(out.text);
	free(bytes);
}

static void
test_peer_call_round_trip_and_bounds(void **state)
{
	struct peer_call in = { .generation = 12, .node = "r1", .digest = { 1, 2, 3 } };
	/* A digest of one byte. */
	static const uint8_t short_digest[] = { 0x08, 12, 0x12, 1, 0 };
	struct peer_call out;
	size_t len;
	uint8_t *bytes = peer_call_encode(&in, &len);

	(void)state;
	assert_true(peer_call_decode(bytes, len, &out));
	assert_int_equal(out.generation, 12);
	assert_string_equal(out.node, "r1");
	assert_memory_equal(out.digest, in.digest, sizeof(in.digest));
	assert_string_equal(out.text, "");
	free(out.text);
	assert_false(peer_call_decode(short_digest, sizeof(short_digest), &out));
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_round_trip),
		cmocka_unit_test(test_request_of_a_newer_version_is_no_command),
		cmocka_unit_test(test_broken_requests_are_refused),
		cmocka_unit_test(test_samples_go_in_parts_that_fit),
		cmocka_unit_test(test_reply_carries_status_and_text),
		cmocka_unit_test(test_peer_call_round_trip_and_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
