/* Flow records as bytes: sizes, exact round trips, and every reason to refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "syncd/core/flow_wire.h"

static struct flow_change
change_of(uint8_t family, uint8_t protocol)
{
	struct flow_change c;
	struct flow_record *f = &c.flow;

	memset(&c, 0, sizeof(c));
	c.term = 7;
	c.version = 300;
	f->key.family = family;
	f->key.protocol = protocol;
	for (unsigned i = 0; i < (family == TD_AF_INET6 ? 16U : 4U); i++) {
		f->key.orig.src[i] = (uint8_t)(10 + i);
		f->key.orig.dst[i] = (uint8_t)(192 + i);
	}
	f->key.orig.src_port = 40000;
	f->key.orig.dst_port = 443;
	if (protocol == FLOW_ICMP)
		f->key.orig.dst_port = 8 << 8;
	if (protocol == FLOW_ICMPV6)
		f->key.orig.dst_port = 128 << 8;
	f->reply = flow_tuple_invert(&f->key);
	f->present = FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_MARK;
	f->status = FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED;
	f->timeout_s = 431999;
	if (protocol == FLOW_TCP) {
		f->present |= FLOW_HAS_TCP;
		f->tcp_state = FLOW_TCP_ESTABLISHED;
		f->tcp_flags[FLOW_ORIG] = 0x23;
		f->tcp_flags[FLOW_REPLY] = 0x27;
		f->tcp_wscale[FLOW_ORIG] = 7;
		f->tcp_wscale[FLOW_REPLY] = 14;
	}
	return c;
}

static void
plain(struct flow_change *c)
{
	(void)c;
}

static void
source_nat(struct flow_change *c)
{
	c->flow.reply.dst[0] = 203;
	c->flow.reply.dst_port = 1025;
	c->flow.status |= FLOW_STATUS_SRC_NAT;
}

static void
both_nats(struct flow_change *c)
{
	source_nat(c);
	c->flow.reply.src[0] = 10;
	c->flow.reply.src_port = 8080;
	c->flow.status |= FLOW_STATUS_DST_NAT;
	c->flow.mark = 0xdeadbeef;
}

static void
icmp_id_translated(struct flow_change *c)
{
	c->flow.reply.dst[0] = 203;
	c->flow.reply.src_port = 9;
}

static void
everything(struct flow_change *c)
{
	both_nats(c);
	c->known = true;
	c->term = UINT32_MAX;
	c->version = UINT32_MAX;
	c->flow.key.zone = 65535;
	c->flow.timeout_s = FLOW_WIRE_TIMEOUT_MAX;
	c->flow.present = FLOW_HAS_ALL;
	c->flow.status = FLOW_STATUS_MASK;
	c->flow.seqadj[FLOW_ORIG] = (struct flow_seqadj){ UINT32_MAX, INT32_MIN, -1 };
	c->flow.seqadj[FLOW_REPLY] = (struct flow_seqadj){ 1, 2, INT32_MAX };
	c->flow.helper = FLOW_HELPER_SANE;
}

static void
deleted(struct flow_change *c)
{
	struct flow_key key = c->flow.key;

	memset(&c->flow, 0, sizeof(c->flow));
	c->flow.key = key;
	c->deleted = true;
}

static void
records_encode_and_decode_to_themselves(void **state)
{
	static const struct {
		const char *name;
		uint8_t family, protocol;
		void (*edit)(struct flow_change *c);
		size_t bytes_max; /* the promise of docs/protocol.md */
	} rows[] = {
		{ "tcp4 / plain", TD_AF_INET, FLOW_TCP, plain, 34 },
		{ "tcp4 / source nat / typical", TD_AF_INET, FLOW_TCP, source_nat, 60 },
		{ "tcp4 / both nats and mark", TD_AF_INET, FLOW_TCP, both_nats, 60 },
		{ "tcp4 / everything", TD_AF_INET, FLOW_TCP, everything,
		    FLOW_WIRE_MAX },
		{ "tcp4 / deletion", TD_AF_INET, FLOW_TCP, deleted, 20 },
		{ "tcp6 / both nats and mark", TD_AF_INET6, FLOW_TCP, both_nats, 110 },
		{ "tcp6 / everything", TD_AF_INET6, FLOW_TCP, everything,
		    FLOW_WIRE_MAX },
		{ "tcp6 / deletion", TD_AF_INET6, FLOW_TCP, deleted, 44 },
		{ "udp4 / source nat", TD_AF_INET, FLOW_UDP, source_nat, 60 },
		{ "udp6 / plain", TD_AF_INET6, FLOW_UDP, plain, 60 },
		{ "icmp4 / plain", TD_AF_INET, FLOW_ICMP, plain, 60 },
		{ "icmp4 / id translated", TD_AF_INET, FLOW_ICMP, icmp_id_translated,
		    60 },
		{ "icmp6 / plain", TD_AF_INET6, FLOW_ICMPV6, plain, 60 },
		{ "sctp / tuple only", TD_AF_INET, 132, plain, 60 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flow_change c = change_of(rows[i].family, rows[i].protocol),
				   back;
		uint8_t buf[FLOW_WIRE_MAX];
		struct td_writer wr = { buf, sizeof(buf), false };
		struct td_reader rd = { buf, 0, false };

		rows[i].edit(&c);
		flow_change_encode(&wr, &c);
		rd.left = sizeof(buf) - wr.left;
		printf("  %-32s %zu bytes\n", rows[i].name, rd.left);
		assert_false(wr.failed);
		assert_true(rd.left <= rows[i].bytes_max);
		assert_int_equal(FLOW_OK, flow_change_decode(&rd, &back));
		assert_int_equal(0, rd.left);
		assert_memory_equal(&c, &back, sizeof(c));
	}
}

static void
every_cut_of_a_record_is_truncated(void **state)
{
	struct flow_change c = change_of(TD_AF_INET6, FLOW_TCP), back;
	uint8_t buf[FLOW_WIRE_MAX];
	struct td_writer wr = { buf, sizeof(buf), false };
	size_t len;

	(void)state;
	everything(&c);
	flow_change_encode(&wr, &c);
	len = sizeof(buf) - wr.left;
	for (size_t cut = 0; cut < len; cut++) {
		struct td_reader rd = { buf, cut, false };

		assert_int_equal(FLOW_DROP_TRUNCATED, flow_change_decode(&rd, &back));
	}
	/* The same with a length byte that admits it. */
	for (uint8_t cut = 0; cut < len - 1; cut++) {
		struct td_reader rd = { buf, len, false };

		buf[0] = cut;
		assert_int_equal(FLOW_DROP_TRUNCATED, flow_change_decode(&rd, &back));
	}
}

static void
fields_of_a_later_version_are_skipped(void **state)
{
	struct flow_change c = change_of(TD_AF_INET, FLOW_TCP), back;
	uint8_t buf[2 * FLOW_WIRE_MAX] = { 0 };
	struct td_writer wr = { buf, sizeof(buf), false };
	struct td_reader rd = { buf, 0, false };

	(void)state;
	flow_change_encode(&wr, &c);
	rd.left = sizeof(buf) - wr.left + 5;
	buf[0] = (uint8_t)(buf[0] + 5);
	buf[1] |= 0xf0; /* the flag bits that announce them */
	assert_int_equal(FLOW_OK, flow_change_decode(&rd, &back));
	assert_int_equal(0, rd.left);
	assert_memory_equal(&c, &back, sizeof(c));
}

static void
bytes_out_of_range_are_refused_by_name(void **state)
{
	/* Offsets in a plain TCP record over IPv4: length, flags 2, protocol, present,
	 * term, version 2, addresses 8, ports 4, status 2, timeout 3, state, flags 2,
	 * wscale. */
	static const struct {
		const char *name;
		unsigned offset;
		uint8_t byte;
		enum flow_drop drop;
	} rows[] = {
		{ "tcp state beyond the kernel's", 25, 10, FLOW_DROP_TCP },
		{ "window scale 15", 28, 0xf0, FLOW_DROP_TCP },
		{ "tcp fields on udp", 3, FLOW_UDP, FLOW_DROP_TCP },
		{ "status bit that is local", 21, 0x08, FLOW_DROP_STATUS },
		{ "none", 25, 5, FLOW_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flow_change c = change_of(TD_AF_INET, FLOW_TCP), back;
		uint8_t buf[FLOW_WIRE_MAX];
		struct td_writer wr = { buf, sizeof(buf), false };
		struct td_reader rd = { buf, 0, false };

		flow_change_encode(&wr, &c);
		rd.left = sizeof(buf) - wr.left;
		assert_int_equal(29, rd.left);
		buf[rows[i].offset] = rows[i].byte;
		if (flow_change_decode(&rd, &back) != rows[i].drop)
			fail_msg("%s", rows[i].name);
	}
}

static void
a_number_without_end_is_refused(void **state)
{
	struct flow_change c = change_of(TD_AF_INET, FLOW_UDP), back;
	uint8_t buf[FLOW_WIRE_MAX];
	struct td_writer wr = { buf, sizeof(buf), false };
	struct td_reader rd = { buf, 0, false };

	(void)state;
	c.term = UINT32_MAX;
	flow_change_encode(&wr, &c);
	rd.left = sizeof(buf) - wr.left;
	buf[9] = 0x1f; /* fifth byte of the term: a bit beyond 32 */
	assert_int_equal(FLOW_DROP_NUMBER, flow_change_decode(&rd, &back));
}

static void
nat_is_told_by_the_tuples(void **state)
{
	struct flow_change c = change_of(TD_AF_INET, FLOW_TCP);

	(void)state;
	assert_false(flow_has_src_nat(&c.flow));
	assert_false(flow_has_dst_nat(&c.flow));
	c.flow.reply.dst_port = 1025;
	assert_true(flow_has_src_nat(&c.flow));
	assert_false(flow_has_dst_nat(&c.flow));
	c = change_of(TD_AF_INET, FLOW_TCP);
	c.flow.reply.src_port = 8080;
	assert_false(flow_has_src_nat(&c.flow));
	assert_true(flow_has_dst_nat(&c.flow));
	c = change_of(TD_AF_INET, FLOW_ICMP);
	assert_false(flow_has_src_nat(&c.flow));
	c.flow.reply.src_port = 9;
	assert_true(flow_has_src_nat(&c.flow));
	assert_false(flow_has_dst_nat(&c.flow));
}

static void
an_update_changes_only_what_it_tells(void **state)
{
	struct flow_record flow = change_of(TD_AF_INET, FLOW_TCP).flow, update = flow;

	(void)state;
	flow.mark = 5;
	update.present = FLOW_HAS_TIMEOUT;
	update.mark = 0;
	update.tcp_state = 9;
	update.status = 0;
	update.timeout_s = 10;
	assert_false(flow_merge(&flow, &update));
	assert_int_equal(10, flow.timeout_s);
	assert_int_equal(5, flow.mark);
	assert_int_equal(FLOW_TCP_ESTABLISHED, flow.tcp_state);
	update.present = FLOW_HAS_MARK;
	assert_true(flow_merge(&flow, &update));
	assert_int_equal(0, flow.mark);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_encode_and_decode_to_themselves),
		cmocka_unit_test(every_cut_of_a_record_is_truncated),
		cmocka_unit_test(fields_of_a_later_version_are_skipped),
		cmocka_unit_test(bytes_out_of_range_are_refused_by_name),
		cmocka_unit_test(a_number_without_end_is_refused),
		cmocka_unit_test(nat_is_told_by_the_tuples),
		cmocka_unit_test(an_update_changes_only_what_it_tells),
	};

	return cmocka_run_group_tests_name("flow_wire", tests, NULL, NULL);
}
