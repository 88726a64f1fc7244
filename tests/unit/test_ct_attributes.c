/*
 * Every attribute that is carried, from one namespace's table by event into another's
 * and back by dump. One list: what is not in it is not carried.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ct_fixture.h"
#include "ct_lab.h"

static void
row_plain_tcp4(struct flow_record *f)
{
	*f = tcp4();
}
static void
row_plain_tcp6(struct flow_record *f)
{
	*f = tcp6();
}
static void
row_plain_udp4(struct flow_record *f)
{
	*f = udp4();
}
static void
row_udp6(struct flow_record *f)
{
	*f = make_flow(FLOW_UDP, "fd00:1:1::11", 40001, "2001:db8:1::fe", 53);
}
static void
row_plain_icmp4(struct flow_record *f)
{
	*f = icmp4();
}
static void
row_plain_icmp6(struct flow_record *f)
{
	*f = icmp6();
}
static void
row_gre(struct flow_record *f)
{
	*f = make_flow(IPPROTO_GRE, "10.1.1.11", 0, "203.0.113.254", 0);
}
static void
row_esp(struct flow_record *f)
{
	*f = make_flow(IPPROTO_ESP, "10.1.1.11", 0, "203.0.113.254", 0);
}
static void
row_udplite(struct flow_record *f)
{
	*f = make_flow(IPPROTO_UDPLITE, "10.1.1.11", 5000, "203.0.113.254", 6000);
}
static void
row_unreplied(struct flow_record *f)
{
	*f = udp4();
	f->status = 0;
}
static void
row_seen_reply(struct flow_record *f)
{
	*f = udp4();
	f->status = FLOW_STATUS_SEEN_REPLY;
}
static void
row_fixed_timeout(struct flow_record *f)
{
	*f = udp4();
	f->status |= FLOW_STATUS_FIXED_TIMEOUT;
}
static void
row_mark(struct flow_record *f)
{
	*f = tcp4();
	f->mark = 0x8badf00d;
}
static void
row_zone(struct flow_record *f)
{
	*f = tcp4();
	f->key.zone = 4711;
}
static void
row_src_nat(struct flow_record *f)
{
	*f = tcp4();
	nat_source(f, "203.0.113.1", 50000);
}
static void
row_src_nat_same_port(struct flow_record *f)
{
	*f = tcp4();
	nat_source(f, "203.0.113.1", 40000);
}
static void
row_src_nat_port_only(struct flow_record *f)
{
	*f = tcp4();
	nat_source(f, "10.1.1.11", 50000);
}
static void
row_dst_nat(struct flow_record *f)
{
	*f = make_flow(FLOW_TCP, "203.0.113.254", 40000, "203.0.113.10", 8080);
	nat_destination(f, "10.1.1.11", 80);
}
static void
row_dst_nat_port_only(struct flow_record *f)
{
	*f = make_flow(FLOW_TCP, "203.0.113.254", 40000, "10.1.1.11", 8080);
	nat_destination(f, "10.1.1.11", 80);
}
static void
row_both_nat(struct flow_record *f)
{
	*f = make_flow(FLOW_TCP, "10.1.1.12", 40000, "203.0.113.10", 8080);
	nat_destination(f, "10.1.1.11", 80);
	nat_source(f, "10.1.1.1", 41000);
}
static void
row_udp_both_nat(struct flow_record *f)
{
	*f = make_flow(FLOW_UDP, "10.1.1.12", 40000, "203.0.113.10", 53);
	nat_destination(f, "10.1.1.11", 5353);
	nat_source(f, "10.1.1.1", 41000);
}
static void
row_tcp6_both_nat(struct flow_record *f)
{
	*f = make_flow(FLOW_TCP, "fd00:1:1::12", 40000, "2001:db8:1::10", 8080);
	nat_destination(f, "fd00:1:1::11", 80);
	nat_source(f, "fd00:1:1::1", 41000);
}
static void
row_icmp_src_nat(struct flow_record *f)
{
	*f = icmp4();
	nat_source(f, "203.0.113.1", 0x4321);
}
static void
row_icmp_src_nat_same_id(struct flow_record *f)
{
	*f = icmp4();
	nat_source(f, "203.0.113.1", 0x1234);
}
static void
row_icmp_dst_nat(struct flow_record *f)
{
	*f = make_flow(FLOW_ICMP, "203.0.113.254", 0x1234, "203.0.113.11", 8 << 8);
	nat_destination(f, "10.1.1.11", 0);
}
static void
row_icmp6_src_nat(struct flow_record *f)
{
	*f = icmp6();
	nat_source(f, "2001:db8:1::1", 0x4321);
}
static void
row_icmp_timestamp(struct flow_record *f)
{
	*f = make_flow(FLOW_ICMP, "10.1.1.11", 0x1234, "203.0.113.254", 13 << 8);
}
static void
row_gre_src_nat(struct flow_record *f)
{
	*f = make_flow(IPPROTO_ESP, "10.1.1.11", 0, "203.0.113.254", 0);
	nat_source(f, "203.0.113.1", 0);
}
static void
row_syn_recv(struct flow_record *f)
{
	*f = tcp4();
	f->status = FLOW_STATUS_SEEN_REPLY;
	f->tcp_state = 2;
}
static void
row_time_wait(struct flow_record *f)
{
	*f = tcp4();
	f->tcp_state = 7;
	f->tcp_flags[0] |= CLOSE_INIT;
}
static void
row_no_wscale(struct flow_record *f)
{
	*f = tcp4();
	f->tcp_flags[0] = f->tcp_flags[1] = SACK;
	f->tcp_wscale[0] = f->tcp_wscale[1] = 0;
}
static void
row_seqadj(struct flow_record *f)
{
	*f = tcp4();
	nat_source(f, "203.0.113.1", 50000);
	f->status |= FLOW_STATUS_SEQ_ADJUST;
	f->seqadj[0] = (struct flow_seqadj){ 0x80000001, -4, 12 };
	f->seqadj[1] = (struct flow_seqadj){ 77, 0, -3 };
}
static void
row_helper(struct flow_record *f)
{
	*f = make_flow(FLOW_TCP, "10.1.1.11", 40000, "203.0.113.254", 21);
	f->helper = FLOW_HELPER_FTP;
}

static const struct {
	const char *name;
	void (*make)(struct flow_record *flow);
} carried[] = {
	{ "tcp over IPv4", row_plain_tcp4 },
	{ "tcp over IPv6", row_plain_tcp6 },
	{ "udp over IPv4", row_plain_udp4 },
	{ "udp over IPv6", row_udp6 },
	{ "echo over IPv4", row_plain_icmp4 },
	{ "echo over IPv6", row_plain_icmp6 },
	{ "timestamp query over IPv4", row_icmp_timestamp },
	{ "gre", row_gre },
	{ "a protocol without ports", row_esp },
	{ "udplite", row_udplite },
	{ "no answer seen yet", row_unreplied },
	{ "answered, not assured", row_seen_reply },
	{ "fixed timeout", row_fixed_timeout },
	{ "mark", row_mark },
	{ "zone", row_zone },
	{ "source NAT", row_src_nat },
	{ "source NAT keeps the port", row_src_nat_same_port },
	{ "source NAT of the port alone", row_src_nat_port_only },
	{ "destination NAT", row_dst_nat },
	{ "destination NAT of the port alone", row_dst_nat_port_only },
	{ "NAT both ways", row_both_nat },
	{ "udp with NAT both ways", row_udp_both_nat },
	{ "tcp over IPv6 with NAT both ways", row_tcp6_both_nat },
	{ "echo with source NAT and another id", row_icmp_src_nat },
	{ "echo with source NAT and the same id", row_icmp_src_nat_same_id },
	{ "echo with destination NAT", row_icmp_dst_nat },
	{ "echo over IPv6 with source NAT", row_icmp6_src_nat },
	{ "a protocol without ports with source NAT", row_gre_src_nat },
	{ "tcp in SYN_RECV", row_syn_recv },
	{ "tcp in TIME_WAIT", row_time_wait },
	{ "tcp without window scaling", row_no_wscale },
	{ "sequence adjustment", row_seqadj },
	{ "helper", row_helper },
};
#define CARRIED_COUNT (sizeof(carried) / sizeof(carried[0]))

static void
test_every_attribute_travels(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < CARRIED_COUNT; i++) {
		const char *row = carried[i].name;
		struct flow_record flow, got;
		struct ct_facts facts;

		carried[i].make(&flow);
		drain(f);
		assert_result(upsert(f, f->inject_a, &flow, 0), CT_CREATED, 0, row);
		drain(f);
		if (f->event_count != 1)
			fail_msg("%s: %u events", row, f->event_count);
		assert_int_equal(f->events[0].kind, CT_EVENT_NEW);
		assert_int_equal(f->events[0].portid, ct_inject_portid(f->inject_a));
		assert_int_not_equal(f->events[0].facts.id, 0);
		assert_same_flow(&f->events[0].flow, &flow, "event", row);

		assert_result(
		    upsert(f, f->inject_b, &f->events[0].flow, 0), CT_CREATED, 0, row);
		dump(f);
		if (f->entry_count != 1)
			fail_msg("%s: %u entries", row, f->entry_count);
		assert_same_flow(&f->entries[0].flow, &flow, "dump", row);
		assert_int_equal(ct_dump_get(f->dump_b, &flow.key, &got, &facts), 0);
		assert_same_flow(&got, &flow, "get", row);

		/* Again: an update, by either way of finding that out. */
		assert_result(upsert(f, f->inject_b, &flow, 0), CT_UPDATED, 0, row);
		assert_result(upsert(f, f->inject_b, &flow, CT_INJECT_EXPECT_PRESENT),
		    CT_UPDATED, 0, row);
		dump(f);
		assert_same_flow(&f->entries[0].flow, &flow, "updated", row);

		f->result_count = 0;
		assert_int_equal(ct_inject_delete(f->inject_a, &flow.key, 1), 0);
		assert_int_equal(ct_inject_flush(f->inject_a), 0);
		assert_int_equal(ct_inject_delete(f->inject_b, &flow.key, 2), 0);
		assert_int_equal(ct_inject_delete(f->inject_b, &flow.key, 3), 0);
		assert_int_equal(ct_inject_flush(f->inject_b), 0);
		assert_result(&f->results[0], CT_DELETED, 0, row);
		assert_result(&f->results[1], CT_DELETED, 0, row);
		assert_result(&f->results[2], CT_ABSENT, 0, row);
		drain(f);
		assert_int_equal(f->event_count, 1);
		assert_int_equal(f->events[0].kind, CT_EVENT_DESTROY);
		assert_true(flow_key_equal(&f->events[0].flow.key, &flow.key));
		dump(f);
		assert_int_equal(f->entry_count, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_attribute_travels),
	};

	return CT_RUN(tests);
}
