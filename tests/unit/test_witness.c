/* The witness on the wire, and which of its messages are new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <tandem/instant.h>
#include <tandem/room.h>
#include "vrrpd/core/witness_session.h"

static const struct witness_payload example = { .cluster = 0x0102030405060708,
	.challenge = 0x1112131415161718,
	.echo = 0x2122232425262728,
	.role = TD_ROLE_ACTIVE,
	.priority = 151,
	.base_priority = 100,
	.flags = WITNESS_HAVE_STATE | WITNESS_RESIGN,
	.term = 77,
	.interval_ns = 100 * NS_PER_MS,
	.generation = 12,
	.member_count = 3,
	.member = { WITNESS_MEMBER_LINK_UP, WITNESS_MEMBER_SUSPECT,
	    WITNESS_MEMBER_REACHED | WITNESS_MEMBER_LINK_UP },
	.hint = { { TD_AF_INET, { 10, 1, 1, 11 } }, { 0 },
	    { TD_AF_INET6, { 0xfd, [15] = 1 } } } };

#define HINT_BYTES (1 + 4 + 1 + 1 + 16)

static void
test_payload_round_trip(void **context)
{
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX];
	struct witness_payload back;
	size_t len = witness_payload_encode(&example, bytes);

	(void)context;
	assert_int_equal(len, WITNESS_PAYLOAD_BYTES_MIN + 3 + HINT_BYTES);
	assert_int_equal(witness_payload_decode(bytes, len, &back), WITNESS_OK);
	assert_memory_equal(&back, &example, sizeof(back));
}

static void
test_payload_layout_is_fixed(void **context)
{
	static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14,
		0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
		2, 151, 100, 0, 5, 3, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 5, 0xf5,
		0xe1, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 4, 9, 2, 10, 1, 1, 11, 0, 10, 0xfd,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX];

	(void)context;
	assert_int_equal(witness_payload_encode(&example, bytes), sizeof(want));
	assert_memory_equal(bytes, want, sizeof(want));
}

static void
test_what_scripts_find_is_appended_if_there_is_anything(void **context)
{
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX];
	struct witness_payload sick = example, back;
	size_t healthy_len = witness_payload_encode(&example, bytes), len;

	(void)context;
	sick.unfit = 0x8001;
	len = witness_payload_encode(&sick, bytes);
	assert_int_equal(len, healthy_len + 2);
	assert_int_equal(witness_payload_decode(bytes, len, &back), WITNESS_OK);
	assert_memory_equal(&back, &sick, sizeof(back));
	assert_int_equal(
	    witness_payload_decode(bytes, len - 1, &back), WITNESS_DROP_TRUNCATED);
	/* An older node reads as far as it knows. */
	assert_int_equal(witness_payload_decode(bytes, healthy_len, &back), WITNESS_OK);
	assert_memory_equal(&back, &example, sizeof(back));
}

static void
test_payload_truncated_at_every_byte(void **context)
{
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX];
	size_t len = witness_payload_encode(&example, bytes);
	struct witness_payload back;

	(void)context;
	/* Without any hint it is a whole message of a node that knows nobody. */
	for (size_t i = 0; i < len; i++)
		assert_int_equal(witness_payload_decode(bytes, i, &back),
		    i == len - HINT_BYTES ? WITNESS_OK : WITNESS_DROP_TRUNCATED);
}

static void
test_payload_refuses_values_out_of_range(void **context)
{
	static const struct {
		const char *name;
		size_t offset;
		uint8_t value;
	} rows[] = {
		{ "role above Active", 24, 3 },
		{ "more members than there can be", 29, TD_INTERFACES_MAX + 1 },
		{ "interval of centuries", 38, 1 },
		{ "a hint of an unknown family", WITNESS_PAYLOAD_BYTES_MIN + 3, 7 },
	};
	struct witness_payload back;

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX + 64] = { 0 };

		witness_payload_encode(&example, bytes);
		bytes[rows[i].offset] = rows[i].value;
		if (witness_payload_decode(bytes, sizeof(bytes), &back) !=
		    WITNESS_DROP_FIELD)
			fail_msg("accepted: %s", rows[i].name);
	}
}

static void
test_payload_of_a_later_version_may_be_longer(void **context)
{
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX + 8] = { 0 };
	size_t len = witness_payload_encode(&example, bytes);
	struct witness_payload back;

	(void)context;
	bytes[27] |= 0x80; /* a flag we do not know */
	assert_int_equal(witness_payload_decode(bytes, len + 5, &back), WITNESS_OK);
	assert_memory_equal(&back, &example, sizeof(back));
}

static void
test_header(void **context)
{
	struct witness_header h = { .sender = 1, .seq = 0x0a0b0c0d0e0f1011 }, back;
	uint8_t bytes[WITNESS_HEADER_BYTES];

	(void)context;
	memset(h.session, 0x5a, sizeof(h.session));
	witness_header_encode(&h, bytes);
	assert_int_equal(
	    witness_header_decode(bytes, sizeof(bytes), &back), WITNESS_OK);
	assert_int_equal(back.sender, h.sender); /* the struct has padding */
	assert_memory_equal(back.session, h.session, sizeof(h.session));
	assert_int_equal(back.seq, h.seq);
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(
		    witness_header_decode(bytes, i, &back), WITNESS_DROP_TRUNCATED);
	bytes[2] = 2;
	assert_int_equal(
	    witness_header_decode(bytes, sizeof(bytes), &back), WITNESS_DROP_VERSION);
	bytes[0] = 'X';
	assert_int_equal(
	    witness_header_decode(bytes, sizeof(bytes), &back), WITNESS_DROP_MAGIC);
}

/* One end of a conversation. */
struct end {
	struct witness_session session;
	uint8_t id;
	uint64_t seq, random;
};

struct letter {
	struct witness_header header;
	struct witness_payload payload;
};

static struct end
end_new(uint8_t id)
{
	struct end e = { .id = id, .random = id * 1000u };

	witness_session_init(&e.session, ++e.random);
	return e;
}

static struct letter
write_letter(struct end *e)
{
	struct letter l = { .header = { .seq = ++e->seq } };

	memset(l.header.session, e->id, sizeof(l.header.session));
	l.payload.challenge = e->session.challenge;
	l.payload.echo = e->session.echo;
	return l;
}

static enum witness_drop
read_letter(struct end *e, const struct letter *l)
{
	bool answer;

	return witness_session_receive(
	    &e->session, &l->header, &l->payload, ++e->random, &answer);
}

/* Letters go to and fro until both accept. */
static void
introduce(struct end *a, struct end *b)
{
	for (unsigned i = 0; i < 2; i++) {
		struct letter l = write_letter(a);

		read_letter(b, &l);
		l = write_letter(b);
		read_letter(a, &l);
	}
}

static void
test_session_is_opened_by_an_echo(void **context)
{
	struct end a = end_new(1), b = end_new(2);
	struct letter l = write_letter(&a);

	(void)context;
	assert_int_equal(read_letter(&b, &l), WITNESS_DROP_UNPROVEN);
	l = write_letter(&b);
	assert_int_equal(read_letter(&a, &l), WITNESS_OK);
	l = write_letter(&a);
	assert_int_equal(read_letter(&b, &l), WITNESS_OK);
}

static void
test_session_accepts_a_sequence_number_once(void **context)
{
	struct end a = end_new(1), b = end_new(2);
	struct letter first, second;

	(void)context;
	introduce(&a, &b);
	first = write_letter(&a);
	second = write_letter(&a);
	assert_int_equal(read_letter(&b, &second), WITNESS_OK);
	assert_int_equal(read_letter(&b, &second), WITNESS_DROP_REPLAY);
	assert_int_equal(read_letter(&b, &first), WITNESS_DROP_REPLAY);
}

static void
test_session_of_a_restarted_peer_takes_over(void **context)
{
	struct end a = end_new(1), b = end_new(2);
	struct letter l;

	(void)context;
	introduce(&a, &b);
	a = end_new(3);
	introduce(&a, &b);
	l = write_letter(&a);
	assert_int_equal(read_letter(&b, &l), WITNESS_OK);
	assert_int_equal(b.session.sessions, 2);
}

static void
test_session_of_an_earlier_life_stays_dead(void **context)
{
	struct end a = end_new(1), b = end_new(2);
	struct letter recorded[4], l;

	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		recorded[i] = write_letter(&a);
		read_letter(&b, &recorded[i]);
		l = write_letter(&b);
		read_letter(&a, &l);
	}
	a = end_new(3);
	introduce(&a, &b);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(read_letter(&b, &recorded[i]), WITNESS_DROP_UNPROVEN);
	/* And the living session goes on undisturbed. */
	l = write_letter(&a);
	assert_int_equal(read_letter(&b, &l), WITNESS_OK);
	/* Nor do they open a session with a new life of ours. */
	b = end_new(4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(read_letter(&b, &recorded[i]), WITNESS_DROP_UNPROVEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payload_round_trip),
		cmocka_unit_test(test_payload_layout_is_fixed),
		cmocka_unit_test(
		    test_what_scripts_find_is_appended_if_there_is_anything),
		cmocka_unit_test(test_payload_truncated_at_every_byte),
		cmocka_unit_test(test_payload_refuses_values_out_of_range),
		cmocka_unit_test(test_payload_of_a_later_version_may_be_longer),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_session_is_opened_by_an_echo),
		cmocka_unit_test(test_session_accepts_a_sequence_number_once),
		cmocka_unit_test(test_session_of_a_restarted_peer_takes_over),
		cmocka_unit_test(test_session_of_an_earlier_life_stays_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
