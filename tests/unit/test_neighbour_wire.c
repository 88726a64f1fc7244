/*
 * ARP and neighbour discovery against frames that scapy 2.5 made: our own encoder
 * proves nothing about our decoder, nor the other way round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "vrrpd/core/neighbour_wire.h"

static const char SCAPY_GARP[] =
    "ffffffffffff00005e0001330806000108000604000100005e0001330a010101"
    "00005e0001330a010101000000000000000000000000000000000000";
static const char SCAPY_NA[] =
    "33330000000100005e00013386dd6000000000203afffd000001000100000000"
    "000000000001ff02000000000000000000000000000188007d64a0000000fd00"
    "0001000100000000000000000001020100005e000133";
static const char SCAPY_ARP_QUESTION[] =
    "ffffffffffff02090100000a0806000108000604000102090100000a0a010102"
    "0000000000000a010101000000000000000000000000000000000000";
static const char SCAPY_ARP_PROBE[] =
    "ffffffffffff02090100000a0806000108000604000102090100000a00000000"
    "0000000000000a010101000000000000000000000000000000000000";
static const char SCAPY_NS[] =
    "3333ffabcdef02090100000a86dd6000000000203afffe800000000000000000"
    "000000000002ff0200000000000000000001ffabcdef8700cbd200000000fd00"
    "0000000000000000000012abcdef010102090100000a";
static const char SCAPY_NS_FROM_NOBODY[] =
    "3333ffabcdef02090100000a86dd6000000000183aff00000000000000000000"
    "000000000000ff0200000000000000000001ffabcdef8700ce7100000000fd00"
    "0000000000000000000012abcdef";
static const char SCAPY_ARP_REPLY[] =
    "02090100000a00005e0001330806000108000604000200005e0001330a010101"
    "02090100000a0a010102000000000000000000000000000000000000";
static const char SCAPY_NA_WITHOUT_MAC[] =
    "02090100000a00005e00013386dd6000000000183afffd000001000100000000"
    "000000000001fe80000000000000000000000000000288009f21e0000000fd00"
    "0001000100000000000000000001";

static const uint8_t VIRTUAL_MAC[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, 0x33 };
static const uint8_t OWN_MAC[6] = { 0x02, 0x09, 0x01, 0x00, 0x00, 0x0a };
static const struct td_addr NOBODY;

static size_t
from_hex(const char *hex, uint8_t *ret)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &ret[i]), 1);
	return len;
}

static struct td_addr
addr(const char *text)
{
	struct td_addr a = { 0 };

	assert_true(td_addr_parse(text, &a));
	return a;
}

static void
test_encoding(void **context)
{
	const struct {
		const char *name, *target,
		    *own; /* own NULL: announcement; "": nobody */
		const char *expected;
	} rows[] = {
		{ "announcement of an IPv4 address", "10.1.1.1", NULL, SCAPY_GARP },
		{ "announcement of an IPv6 address", "fd00:1:1::1", NULL, SCAPY_NA },
		{ "ARP question", "10.1.1.1", "10.1.1.2", SCAPY_ARP_QUESTION },
		{ "ARP probe without own address", "10.1.1.1", "", SCAPY_ARP_PROBE },
		{ "solicitation", "fd00::12ab:cdef", "fe80::2", SCAPY_NS },
		{ "solicitation from ::", "fd00::12ab:cdef", "", SCAPY_NS_FROM_NOBODY },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t expected[128], frame[NEIGHBOUR_FRAME_MAX];
		size_t expected_len = from_hex(rows[i].expected, expected), len;
		struct td_addr target = addr(rows[i].target), own = NOBODY;

		if (rows[i].own == NULL) {
			len = neighbour_announce_encode(&target, VIRTUAL_MAC, frame);
		} else {
			if (rows[i].own[0] != '\0')
				own = addr(rows[i].own);
			len = neighbour_question_encode(&target, &own, OWN_MAC, frame);
		}
		print_message("%s\n", rows[i].name);
		assert_int_equal(len, expected_len);
		assert_memory_equal(frame, expected, len);
	}
}

static void
test_answers_are_read(void **context)
{
	const struct {
		const char *frame, *address;
	} rows[] = {
		{ SCAPY_ARP_REPLY, "10.1.1.1" },
		{ SCAPY_NA, "fd00:1:1::1" },
		{ SCAPY_NA_WITHOUT_MAC, "fd00:1:1::1" },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t frame[160] = { 0 };
		size_t len = from_hex(rows[i].frame, frame);
		struct neighbour_answer answer;
		struct td_addr expected = addr(rows[i].address);

		assert_int_equal(
		    neighbour_answer_decode(frame, len, &answer), NEIGHBOUR_OK);
		assert_true(td_addr_equal(&answer.addr, &expected));
		assert_memory_equal(answer.mac, VIRTUAL_MAC, 6);
		/* Padding of the wire is not the message's. */
		assert_int_equal(
		    neighbour_answer_decode(frame, len + 20, &answer), NEIGHBOUR_OK);
	}
}

static void
test_questions_are_no_answers(void **context)
{
	const char *rows[] = { SCAPY_GARP, SCAPY_ARP_QUESTION, SCAPY_NS };

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t frame[128];
		size_t len = from_hex(rows[i], frame);
		struct neighbour_answer answer;

		assert_int_equal(
		    neighbour_answer_decode(frame, len, &answer), NEIGHBOUR_DROP_OTHER);
	}
}

static void
test_every_truncation_is_refused(void **context)
{
	const struct {
		const char *frame;
		size_t whole; /* without padding */
	} rows[] = { { SCAPY_ARP_REPLY, 42 }, { SCAPY_NA, 86 } };

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t frame[128];
		struct neighbour_answer answer;

		(void)from_hex(rows[i].frame, frame);
		for (size_t len = 0; len < rows[i].whole; len++)
			assert_int_equal(neighbour_answer_decode(frame, len, &answer),
			    NEIGHBOUR_DROP_TRUNCATED);
	}
}

static void
test_each_field_is_checked(void **context)
{
	const struct {
		const char *name, *frame;
		size_t offset;
		uint8_t value;
		enum neighbour_drop expected;
	} rows[] = {
		{ "another ethertype", SCAPY_ARP_REPLY, 12, 0x88,
		    NEIGHBOUR_DROP_OTHER },
		{ "ARP for another hardware", SCAPY_ARP_REPLY, 15, 6,
		    NEIGHBOUR_DROP_FORMAT },
		{ "ARP for another protocol", SCAPY_ARP_REPLY, 16, 9,
		    NEIGHBOUR_DROP_FORMAT },
		{ "ARP with long MACs", SCAPY_ARP_REPLY, 18, 8, NEIGHBOUR_DROP_FORMAT },
		{ "ARP with long addresses", SCAPY_ARP_REPLY, 19, 16,
		    NEIGHBOUR_DROP_FORMAT },
		{ "IP version 5", SCAPY_NA, 14, 0x50, NEIGHBOUR_DROP_OTHER },
		{ "UDP", SCAPY_NA, 20, 17, NEIGHBOUR_DROP_OTHER },
		{ "hop limit 254", SCAPY_NA, 21, 254, NEIGHBOUR_DROP_HOPS },
		{ "a flipped bit", SCAPY_NA, 70, 0xff, NEIGHBOUR_DROP_CHECKSUM },
		{ "length beyond the frame", SCAPY_NA, 19, 40,
		    NEIGHBOUR_DROP_TRUNCATED },
		{ "length without a target", SCAPY_NA, 19, 20,
		    NEIGHBOUR_DROP_TRUNCATED },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t frame[128];
		size_t len = from_hex(rows[i].frame, frame);
		struct neighbour_answer answer;

		print_message("%s\n", rows[i].name);
		frame[rows[i].offset] = rows[i].value;
		assert_int_equal(
		    neighbour_answer_decode(frame, len, &answer), rows[i].expected);
	}
}

static void
test_an_option_of_no_length_ends_the_reading(void **context)
{
	uint8_t frame[128];
	size_t len = from_hex(SCAPY_NA, frame);
	struct neighbour_answer answer;

	(void)context;
	/* Length 1 becomes 0 and the checksum is made right again: 0x0201 - 0x0200. */
	frame[79] = 0;
	frame[57] = (uint8_t)(frame[57] + 1);
	assert_int_equal(
	    neighbour_answer_decode(frame, len, &answer), NEIGHBOUR_DROP_OPTION);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_answers_are_read),
		cmocka_unit_test(test_questions_are_no_answers),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_each_field_is_checked),
		cmocka_unit_test(test_an_option_of_no_length_ends_the_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
