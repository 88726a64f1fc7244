/*
 * The conntrack side against this machine's kernel: every attribute from one
 * namespace's table by event into another's and back by dump; refusals, clashes,
 * echoes, overrun.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/clock.h"
#include "ct_lab.h"
#include "syncd/core/flow.h"
#include "syncd/ct_dump.h"
#include "syncd/ct_events.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_inject.h"
#include "syncd/ct_sysctl.h"

#define TIMEOUT_S 600U
#define ASSURED (FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED)
#define WSCALE 0x01
#define SACK 0x02
#define CLOSE_INIT 0x04

/* ---- what the handlers saw ---- */

struct seen_event {
	enum ct_event_kind kind;
	uint32_t portid;
	struct ct_facts facts;
	struct flow_record flow;
};

#define SEEN_MAX 4096

struct fixture {
	int netns_a, netns_b;
	struct ct_inject *inject_a, *inject_b;
	struct ct_events *events_a;
	struct ct_dump *dump_b;
	struct seen_event events[SEEN_MAX];
	unsigned event_count;
	uint64_t events_total;
	unsigned overruns;
	struct seen_event entries[SEEN_MAX];
	unsigned entry_count;
	struct ct_result results[SEEN_MAX];
	unsigned result_count;
	uint64_t results_total, results_ok;
};

static void
on_event(void *context, const struct ct_event *event)
{
	struct fixture *f = context;

	f->events_total++;
	if (f->event_count == SEEN_MAX)
		return;
	f->events[f->event_count++] = (struct seen_event){ event->kind, event->portid,
		event->facts, *event->flow };
}

static void
on_overrun(void *context)
{
	struct fixture *f = context;

	f->overruns++;
}

static void
on_entry(void *context, const struct ct_event *event)
{
	struct fixture *f = context;

	if (f->entry_count == SEEN_MAX)
		return;
	f->entries[f->entry_count++] = (struct seen_event){ event->kind, event->portid,
		event->facts, *event->flow };
}

static void
on_result(void *context, const struct ct_result *result)
{
	struct fixture *f = context;

	f->results_total++;
	f->results_ok += result->outcome != CT_REFUSED;
	if (f->result_count < SEEN_MAX)
		f->results[f->result_count++] = *result;
}

/* The ruleset registers the hooks: without one, packets are not tracked and NAT is not
 * carried out. */
static void
track(int netns)
{
	ct_lab_run(netns,
	    "nft 'add table inet t;"
	    " add chain inet t f { type filter hook forward priority 0; };"
	    " add rule inet t f ct state invalid counter;"
	    " add chain inet t pre { type nat hook prerouting priority -100; };"
	    " add chain inet t post { type nat hook postrouting priority 100; }'");
}

static int
setup(void **state)
{
	struct fixture *f;
	struct ct_events_config config = { .on_event = on_event,
		.on_overrun = on_overrun };
	struct ct_sysctl sysctl;

	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	config.context = f;
	f->netns_a = ct_lab_new();
	f->netns_b = ct_lab_new();
	ct_lab_enter(f->netns_a);
	ct_sysctl_apply(0, &sysctl);
	assert_int_equal(ct_inject_new(on_result, f, &f->inject_a), 0);
	assert_int_equal(ct_events_new(&config, &f->events_a), 0);
	track(f->netns_a);
	ct_lab_enter(f->netns_b);
	ct_sysctl_apply(0, &sysctl);
	assert_int_equal(ct_inject_new(on_result, f, &f->inject_b), 0);
	assert_int_equal(ct_dump_new(NULL, on_entry, f, &f->dump_b), 0);
	track(f->netns_b);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ct_inject_free(f->inject_a);
	ct_inject_free(f->inject_b);
	ct_events_free(f->events_a);
	ct_dump_free(f->dump_b);
	close(f->netns_a);
	close(f->netns_b);
	free(f);
	return 0;
}

static void
drain(struct fixture *f)
{
	int n;

	f->event_count = 0;
	while ((n = ct_events_drain(f->events_a, 256)) > 0)
		continue;
	assert_int_equal(n, 0);
}

static void
dump(struct fixture *f)
{
	int more;

	f->entry_count = 0;
	ct_lab_enter(f->netns_b);
	assert_int_equal(ct_dump_start(f->dump_b, 0), 0);
	assert_int_equal(ct_dump_start(f->dump_b, 0), -EBUSY);
	while ((more = ct_dump_step(f->dump_b, 64)) == 1)
		continue;
	assert_int_equal(more, 0);
	assert_false(ct_dump_running(f->dump_b));
}

static const struct ct_result *
upsert(struct fixture *f, struct ct_inject *inject, const struct flow_record *flow,
    unsigned flags)
{
	f->result_count = 0;
	assert_int_equal(ct_inject_upsert(inject, flow, TIMEOUT_S, flags, 7), 0);
	assert_int_equal(ct_inject_flush(inject), 0);
	assert_int_equal(f->result_count, 1);
	assert_int_equal(f->results[0].cookie, 7);
	return &f->results[0];
}

static void
assert_result(const struct ct_result *result, enum ct_outcome outcome, int status,
    const char *row)
{
	if (result->outcome != outcome || result->status != status)
		fail_msg("%s: %s %d, expected %s %d", row,
		    ct_outcome_name(result->outcome), result->status,
		    ct_outcome_name(outcome), status);
}

/* ---- flows ---- */

static void
set_tuple(struct flow_tuple *tuple, const char *src, uint16_t src_port, const char *dst,
    uint16_t dst_port)
{
	ct_lab_addr(src, tuple->src);
	ct_lab_addr(dst, tuple->dst);
	tuple->src_port = src_port;
	tuple->dst_port = dst_port;
}

static struct flow_record
make_flow(uint8_t protocol, const char *src, uint16_t src_port, const char *dst,
    uint16_t dst_port)
{
	struct flow_record flow;
	uint8_t unused[16];

	memset(&flow, 0, sizeof(flow));
	flow.key.family = ct_lab_addr(src, unused);
	flow.key.protocol = protocol;
	set_tuple(&flow.key.orig, src, src_port, dst, dst_port);
	flow.reply = flow_tuple_invert(&flow.key);
	flow.status = ASSURED;
	if (protocol == FLOW_TCP) {
		flow.tcp_state = FLOW_TCP_ESTABLISHED;
		flow.tcp_flags[0] = flow.tcp_flags[1] = WSCALE | SACK;
		flow.tcp_wscale[0] = 7;
		flow.tcp_wscale[1] = 9;
		flow.present |= FLOW_HAS_TCP;
	}
	return flow;
}

static void
nat_source(struct flow_record *flow, const char *address, uint16_t port)
{
	ct_lab_addr(address, flow->reply.dst);
	if (flow->key.protocol == FLOW_ICMP || flow->key.protocol == FLOW_ICMPV6)
		flow->reply.src_port = port;
	else
		flow->reply.dst_port = port;
	flow->status |= FLOW_STATUS_SRC_NAT;
}

static void
nat_destination(struct flow_record *flow, const char *address, uint16_t port)
{
	ct_lab_addr(address, flow->reply.src);
	if (flow->key.protocol != FLOW_ICMP && flow->key.protocol != FLOW_ICMPV6)
		flow->reply.src_port = port;
	flow->status |= FLOW_STATUS_DST_NAT;
}

static struct flow_record
tcp4(void)
{
	return make_flow(FLOW_TCP, "10.1.1.11", 40000, "203.0.113.254", 443);
}

static struct flow_record
tcp6(void)
{
	return make_flow(FLOW_TCP, "fd00:1:1::11", 40000, "2001:db8:1::fe", 443);
}

static struct flow_record
udp4(void)
{
	return make_flow(FLOW_UDP, "10.1.1.11", 40001, "203.0.113.254", 53);
}

static struct flow_record
icmp4(void)
{
	return make_flow(FLOW_ICMP, "10.1.1.11", 0x1234, "203.0.113.254", 8 << 8);
}

static struct flow_record
icmp6(void)
{
	return make_flow(
	    FLOW_ICMPV6, "fd00:1:1::11", 0x1234, "2001:db8:1::fe", 128 << 8);
}

/* ---- the list of everything that is carried ---- */

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

/* Equal but for time passed. */
static void
assert_same_flow(const struct flow_record *got, const struct flow_record *wanted,
    const char *where, const char *row)
{
	struct flow_record a = *got, b = *wanted;
	char text_a[FLOW_TEXT_MAX], text_b[FLOW_TEXT_MAX];

	/* IPS_HELPER says by which way the helper came, not that there is one. */
	a.status &= (uint16_t)~FLOW_STATUS_HELPER;
	b.status &= (uint16_t)~FLOW_STATUS_HELPER;
	a.timeout_s = b.timeout_s = 0;
	a.present = b.present = 0;
	if (memcmp(&a, &b, sizeof(a)) != 0)
		fail_msg("%s, %s:\n  got      %s status=%x mark=%x tcp=%u/%x/%x/%u/%u "
			 "seqadj=%d helper=%u\n  expected %s status=%x mark=%x "
			 "tcp=%u/%x/%x/%u/%u seqadj=%d helper=%u",
		    row, where, flow_format(&a, text_a), a.status, a.mark, a.tcp_state,
		    a.tcp_flags[0], a.tcp_flags[1], a.tcp_wscale[0], a.tcp_wscale[1],
		    a.seqadj[0].offset_after, a.helper, flow_format(&b, text_b),
		    b.status, b.mark, b.tcp_state, b.tcp_flags[0], b.tcp_flags[1],
		    b.tcp_wscale[0], b.tcp_wscale[1], b.seqadj[0].offset_after,
		    b.helper);
	if (!(got->status & FLOW_STATUS_FIXED_TIMEOUT) &&
	    (got->timeout_s > TIMEOUT_S || got->timeout_s + 5 < TIMEOUT_S))
		fail_msg("%s, %s: timeout %u", row, where, got->timeout_s);
}

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

/* ---- refusals and clashes ---- */

static void
clean_b(struct fixture *f)
{
	dump(f);
	for (unsigned i = 0; i < f->entry_count; i++)
		ct_inject_delete(f->inject_b, &f->entries[i].flow.key, 0);
	assert_int_equal(ct_inject_flush(f->inject_b), 0);
	dump(f);
	assert_int_equal(f->entry_count, 0);
	f->result_count = 0;
}

static void
test_refusal_names_its_record(void **state)
{
	struct fixture *f = *state;
	const uint32_t bad[] = { 0, 5, 17, 62, 63 };
	const struct ct_inject_counters *counters = ct_inject_counters(f->inject_b);
	/* Since 6.10 the kernel's own policy finds the state out of range. */
	uint64_t refused = counters->refused[EINVAL] + counters->refused[ERANGE];

	f->result_count = 0;
	for (uint32_t i = 0; i < 64; i++) {
		struct flow_record flow = tcp4();

		flow.key.orig.src_port = (uint16_t)(1000 + i);
		flow.reply = flow_tuple_invert(&flow.key);
		/* A TCP state that the kernel does not have. */
		for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
			if (bad[b] == i)
				flow.tcp_state = 200;
		}
		ct_inject_upsert(f->inject_b, &flow, TIMEOUT_S, 0, i);
	}
	assert_int_equal(ct_inject_flush(f->inject_b), 0);
	assert_int_equal(f->result_count, 64);
	for (uint32_t i = 0; i < 64; i++) {
		bool is_bad = false;

		for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++)
			is_bad = is_bad || bad[b] == i;
		assert_int_equal(f->results[i].cookie, i);
		assert_int_equal(
		    f->results[i].outcome, is_bad ? CT_REFUSED : CT_CREATED);
		assert_int_equal(f->results[i].status < 0, is_bad);
	}
	assert_int_equal(
	    counters->refused[EINVAL] + counters->refused[ERANGE] - refused, 5);
	dump(f);
	assert_int_equal(f->entry_count, 59);
	clean_b(f);
}

static void
test_clashes(void **state)
{
	struct fixture *f = *state;
	struct flow_record old, flow, other;

	/* The same original tuple, another translation. */
	old = tcp4();
	nat_source(&old, "203.0.113.1", 50000);
	flow = tcp4();
	nat_source(&flow, "203.0.113.1", 50001);
	upsert(f, f->inject_b, &old, 0);
	assert_result(
	    upsert(f, f->inject_b, &flow, 0), CT_REFUSED, -EEXIST, "not allowed");
	dump(f);
	assert_same_flow(&f->entries[0].flow, &old, "dump", "refused leaves the old");
	assert_result(upsert(f, f->inject_b, &flow, CT_INJECT_REPLACE), CT_REPLACED, 0,
	    "original");
	dump(f);
	assert_int_equal(f->entry_count, 1);
	assert_same_flow(&f->entries[0].flow, &flow, "dump", "replaced");

	/* Another original tuple, the same translated one. */
	other = tcp4();
	other.key.orig.src_port = 40999;
	other.reply = flow_tuple_invert(&other.key);
	nat_source(&other, "203.0.113.1", 50001);
	assert_result(upsert(f, f->inject_b, &other, 0), CT_REFUSED, -EEXIST,
	    "reply, not allowed");
	assert_result(
	    upsert(f, f->inject_b, &other, CT_INJECT_REPLACE), CT_REPLACED, 0, "reply");
	dump(f);
	assert_int_equal(f->entry_count, 1);
	assert_same_flow(&f->entries[0].flow, &other, "dump", "reply replaced");

	/* Both tuples taken, by two entries. */
	upsert(f, f->inject_b, &old, 0);
	assert_result(
	    upsert(f, f->inject_b, &flow, CT_INJECT_REPLACE), CT_REPLACED, 0, "both");
	dump(f);
	assert_int_equal(f->entry_count, 1);
	assert_same_flow(&f->entries[0].flow, &flow, "dump", "both replaced");
	clean_b(f);

	/* The tuple is a new connection's that has not been answered. */
	flow = udp4();
	upsert(f, f->inject_b, &flow, 0);
	flow.status = 0;
	assert_result(upsert(f, f->inject_b, &flow, CT_INJECT_EXPECT_PRESENT),
	    CT_REFUSED, -EBUSY, "lowered, not allowed");
	assert_result(
	    upsert(f, f->inject_b, &flow, CT_INJECT_EXPECT_PRESENT | CT_INJECT_REPLACE),
	    CT_REPLACED, 0, "lowered");
	dump(f);
	assert_same_flow(&f->entries[0].flow, &flow, "dump", "lowered");
	clean_b(f);

	/* Gone meanwhile: the update form becomes a creation. */
	flow = tcp4();
	nat_source(&flow, "203.0.113.1", 50000);
	assert_result(upsert(f, f->inject_b, &flow, CT_INJECT_EXPECT_PRESENT),
	    CT_CREATED, 0, "absent");
	dump(f);
	assert_same_flow(&f->entries[0].flow, &flow, "dump", "created by update");
	clean_b(f);
}

static void
test_operations_on_one_flow_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct flow_record old = tcp4(), flow = tcp4();

	nat_source(&old, "203.0.113.1", 50000);
	nat_source(&flow, "203.0.113.1", 50001);
	upsert(f, f->inject_b, &old, 0);
	f->result_count = 0;
	ct_inject_upsert(f->inject_b, &flow, TIMEOUT_S, CT_INJECT_REPLACE, 1);
	ct_inject_delete(f->inject_b, &flow.key, 2);
	ct_inject_flush(f->inject_b);
	assert_int_equal(f->result_count, 2);
	assert_result(&f->results[0], CT_REPLACED, 0, "first");
	assert_result(&f->results[1], CT_DELETED, 0, "second");
	dump(f);
	assert_int_equal(f->entry_count, 0);
}

static void
test_windows_are_judged_again_where_they_can_be(void **state)
{
	struct fixture *f = *state;
	struct flow_record flow = tcp4(), got;
	struct ct_facts facts;

	upsert(f, f->inject_b, &flow, 0);
	assert_int_equal(ct_dump_get(f->dump_b, &flow.key, &got, &facts), 0);
	assert_true(facts.tcp_liberal);
	assert_true(facts.counted);
	f->result_count = 0;
	ct_inject_strict(f->inject_b, &flow, 1);
	ct_inject_flush(f->inject_b);
	assert_result(&f->results[0], CT_UPDATED, 0, "strict");
	assert_int_equal(ct_dump_get(f->dump_b, &flow.key, &got, &facts), 0);
	assert_false(facts.tcp_liberal);
	assert_int_equal(got.tcp_flags[0], WSCALE | SACK);
	assert_int_equal(got.tcp_flags[1], WSCALE | SACK);
	assert_int_equal(got.tcp_state, FLOW_TCP_ESTABLISHED);

	/* One side's scale is unknown: picked up midstream by its owner, say. */
	flow.tcp_flags[FLOW_REPLY] = SACK;
	upsert(f, f->inject_b, &flow, 0);
	ct_inject_strict(f->inject_b, &flow, 1);
	ct_inject_flush(f->inject_b);
	assert_int_equal(ct_dump_get(f->dump_b, &flow.key, &got, &facts), 0);
	assert_true(facts.tcp_liberal);
	clean_b(f);
	ct_inject_strict(f->inject_b, &flow, 1);
	ct_inject_flush(f->inject_b);
	assert_result(&f->results[0], CT_ABSENT, 0, "strict on nothing");
	assert_int_equal(ct_dump_get(f->dump_b, &flow.key, &got, &facts), -ENOENT);
}

/* ---- events ---- */

static void
test_own_echo_is_not_reported(void **state)
{
	struct fixture *f = *state;
	struct ct_filter filter = { 0 };
	struct ct_inject *stranger;
	struct flow_record flow = tcp4();

	ct_lab_enter(f->netns_a);
	assert_int_equal(ct_inject_new(on_result, f, &stranger), 0);
	assert_true(ct_filter_add_own_portid(&filter, ct_inject_portid(f->inject_a)));
	assert_int_equal(ct_events_set_filter(f->events_a, &filter), 0);
	drain(f);
	upsert(f, f->inject_a, &flow, 0);
	upsert(f, f->inject_a, &flow, 0);
	ct_inject_delete(f->inject_a, &flow.key, 0);
	ct_inject_flush(f->inject_a);
	drain(f);
	assert_int_equal(f->event_count, 0);
	/* Whoever else changes the table is heard: an operator's conntrack -D, say. */
	upsert(f, f->inject_a, &flow, 0);
	upsert(f, stranger, &flow, 0);
	ct_inject_delete(stranger, &flow.key, 0);
	ct_inject_flush(stranger);
	drain(f);
	assert_int_equal(f->event_count, 2);
	assert_int_equal(f->events[0].kind, CT_EVENT_UPDATE);
	assert_int_equal(f->events[1].kind, CT_EVENT_DESTROY);
	assert_int_equal(f->events[1].portid, ct_inject_portid(stranger));
	filter.own_portid_count = 0;
	assert_int_equal(ct_events_set_filter(f->events_a, &filter), 0);
	ct_inject_free(stranger);
}

/* A replica's end is the kernel's doing: the caller must know it as a replica. */
static void
test_expiry_of_a_replica_comes_from_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct flow_record flow = udp4();
	struct ct_filter filter = { 0 };
	struct td_instant until = instant_add(clock_now(), 90 * NS_PER_S);
	struct ct_dump *prod;

	/* A lookup of the expired entry makes the kernel notice at once. */
	ct_lab_enter(f->netns_a);
	assert_int_equal(ct_dump_new(NULL, on_entry, f, &prod), 0);
	ct_filter_add_own_portid(&filter, ct_inject_portid(f->inject_a));
	assert_int_equal(ct_events_set_filter(f->events_a, &filter), 0);
	drain(f);
	ct_inject_upsert(f->inject_a, &flow, 1, 0, 0);
	ct_inject_flush(f->inject_a);
	do {
		struct pollfd pfd = { ct_events_fd(f->events_a), POLLIN, 0 };
		struct flow_record got;
		struct ct_facts facts;

		ct_dump_get(prod, &flow.key, &got, &facts);
		if (poll(&pfd, 1, 50) > 0)
			drain(f);
	} while (f->event_count == 0 && !instant_reached(clock_now(), until));
	assert_int_equal(f->event_count, 1);
	assert_int_equal(f->events[0].kind, CT_EVENT_DESTROY);
	assert_int_equal(f->events[0].portid, 0);
	filter.own_portid_count = 0;
	assert_int_equal(ct_events_set_filter(f->events_a, &filter), 0);
	ct_dump_free(prod);
}

static void
test_flows_of_the_router_itself_are_not_reported(void **state)
{
	struct fixture *f = *state;
	struct ct_filter filter = { 0 };
	struct flow_record flow;
	struct td_addr addr = { 0 };

	addr.family = ct_lab_addr("10.255.0.1", addr.bytes);
	assert_true(ct_filter_add_local(&filter, &addr));
	assert_int_equal(ct_events_set_filter(f->events_a, &filter), 0);
	drain(f);
	flow = make_flow(FLOW_TCP, "10.255.0.1", 999, "10.255.0.2", 4810);
	upsert(f, f->inject_a, &flow, 0);
	flow = make_flow(FLOW_TCP, "10.255.0.2", 999, "10.255.0.1", 4810);
	upsert(f, f->inject_a, &flow, 0);
	flow = tcp4();
	upsert(f, f->inject_a, &flow, 0);
	drain(f);
	assert_int_equal(f->event_count, 1);
	assert_true(flow_key_equal(&f->events[0].flow.key, &flow.key));
	assert_int_equal(ct_events_counters(f->events_a)->skipped, 0);
	ct_inject_delete(f->inject_a, &flow.key, 0);
	ct_inject_flush(f->inject_a);
	filter.local_count = 0;
	ct_events_set_filter(f->events_a, &filter);
	drain(f);
}

static void
test_overrun_is_noticed_after_the_queue_is_empty(void **state)
{
	struct fixture *f = *state;
	struct ct_events_config config = { .rcvbuf_bytes = 4096,
		.on_event = on_event,
		.on_overrun = on_overrun,
		.context = f };
	struct ct_events *tiny;
	struct flow_record flow = tcp4();
	int n;

	ct_lab_enter(f->netns_a);
	assert_int_equal(ct_events_new(&config, &tiny), 0);
	f->event_count = f->overruns = 0;
	f->events_total = 0;
	for (uint16_t i = 0; i < 640; i++) {
		flow.key.orig.src_port = (uint16_t)(2000 + i);
		flow.reply = flow_tuple_invert(&flow.key);
		ct_inject_upsert(f->inject_a, &flow, TIMEOUT_S, 0, i);
	}
	ct_inject_flush(f->inject_a);
	/* One message at a time: the overrun must come after the last that was queued.
	 */
	while ((n = ct_events_drain(tiny, 1)) == 1)
		assert_int_equal(f->overruns, 0);
	assert_int_equal(n, 0);
	assert_int_equal(f->overruns, 1);
	assert_int_equal(ct_events_counters(tiny)->overruns, 1);
	assert_true(f->events_total > 0 && f->events_total < 640);
	/* From here on nothing is lost in silence. */
	f->events_total = 0;
	ct_inject_delete(f->inject_a, &flow.key, 0);
	ct_inject_flush(f->inject_a);
	while ((n = ct_events_drain(tiny, 64)) > 0)
		continue;
	assert_int_equal(f->events_total, 1);
	assert_int_equal(f->overruns, 1);
	ct_events_free(tiny);
	for (uint16_t i = 0; i < 640; i++) {
		flow.key.orig.src_port = (uint16_t)(2000 + i);
		ct_inject_delete(f->inject_a, &flow.key, i);
	}
	ct_inject_flush(f->inject_a);
	drain(f);
}

/* ---- dumps ---- */

static void
test_dump_in_steps_sees_every_entry_once(void **state)
{
	struct fixture *f = *state;
	static uint8_t times[2000];
	unsigned steps = 0;
	int more;

	for (uint16_t i = 0; i < 2000; i++) {
		struct flow_record flow = i % 2 ? tcp6() : tcp4();

		flow.key.orig.src_port = i;
		flow.reply = flow_tuple_invert(&flow.key);
		ct_inject_upsert(f->inject_b, &flow, TIMEOUT_S, 0, i);
	}
	ct_inject_flush(f->inject_b);
	memset(times, 0, sizeof(times));
	f->entry_count = 0;
	ct_lab_enter(f->netns_b);
	assert_int_equal(ct_dump_start(f->dump_b, 0), 0);
	while ((more = ct_dump_step(f->dump_b, 100)) == 1)
		steps++;
	assert_int_equal(more, 0);
	assert_in_range(steps, 5, 20);
	assert_int_equal(f->entry_count, 2000);
	for (unsigned i = 0; i < f->entry_count; i++)
		times[f->entries[i].flow.key.orig.src_port]++;
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(times[i], 1);

	/* One family; given up halfway; again. */
	f->entry_count = 0;
	assert_int_equal(ct_dump_start(f->dump_b, TD_AF_INET6), 0);
	assert_int_equal(ct_dump_step(f->dump_b, 1), 1);
	ct_dump_abort(f->dump_b);
	assert_in_range(f->entry_count, 1, 999);
	f->entry_count = 0;
	assert_int_equal(ct_dump_start(f->dump_b, TD_AF_INET6), 0);
	while (ct_dump_step(f->dump_b, 100) == 1)
		continue;
	assert_int_equal(f->entry_count, 1000);
	clean_b(f);
}

/* ---- settings ---- */

static void
test_settings_are_made_and_shown(void **state)
{
	struct fixture *f = *state;
	struct ct_sysctl sysctl;
	int64_t max;

	/* Only what the tests before left behind would be counted. */
	ct_lab_enter(f->netns_b);
	assert_int_equal(ct_sysctl_count(), 0);
	ct_lab_enter(f->netns_a);
	ct_sysctl_apply(1, &sysctl);
	assert_int_equal(sysctl.settings[CT_SET_EVENTS].effective, 1);
	assert_int_equal(sysctl.settings[CT_SET_ACCT].effective, 1);
	assert_int_equal(sysctl.settings[CT_SET_TIMESTAMP].effective, 1);
	max = sysctl.settings[CT_SET_MAX].effective;
	assert_true(max > 1);
	assert_int_equal(sysctl.settings[CT_SET_MAX].error, 0);
	/* More than there is, in a namespace that may not change it: said, not hidden.
	 */
	ct_sysctl_apply((uint32_t)max + 1, &sysctl);
	assert_int_equal(sysctl.settings[CT_SET_MAX].effective, max);
	assert_int_equal(sysctl.settings[CT_SET_MAX].wanted, max + 1);
	assert_true(sysctl.settings[CT_SET_MAX].error < 0);
	ct_sysctl_set_tcp_loose(&sysctl, false);
	assert_int_equal(sysctl.settings[CT_SET_TCP_LOOSE].effective, 0);
	ct_sysctl_set_tcp_loose(&sysctl, true);
	assert_int_equal(sysctl.settings[CT_SET_TCP_LOOSE].effective, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_attribute_travels),
		cmocka_unit_test(test_refusal_names_its_record),
		cmocka_unit_test(test_clashes),
		cmocka_unit_test(test_operations_on_one_flow_keep_their_order),
		cmocka_unit_test(test_windows_are_judged_again_where_they_can_be),
		cmocka_unit_test(test_own_echo_is_not_reported),
		cmocka_unit_test(test_expiry_of_a_replica_comes_from_the_kernel),
		cmocka_unit_test(test_flows_of_the_router_itself_are_not_reported),
		cmocka_unit_test(test_overrun_is_noticed_after_the_queue_is_empty),
		cmocka_unit_test(test_dump_in_steps_sees_every_entry_once),
		cmocka_unit_test(test_settings_are_made_and_shown),
	};

	if (ct_lab_missing() != NULL) {
		printf("skipped: %s\n", ct_lab_missing());
		return CT_LAB_SKIPPED;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
