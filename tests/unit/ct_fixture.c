#include "ct_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "ct_lab.h"
#include "syncd/ct_sysctl.h"

void
on_event(void *context, const struct ct_event *event)
{
	struct fixture *f = context;

	f->events_total++;
	if (f->event_count == SEEN_MAX)
		return;
	f->events[f->event_count++] = (struct seen_event){ event->kind, event->portid,
		event->facts, *event->flow };
}

void
on_overrun(void *context)
{
	struct fixture *f = context;

	f->overruns++;
}

void
on_entry(void *context, const struct ct_event *event)
{
	struct fixture *f = context;

	if (f->entry_count == SEEN_MAX)
		return;
	f->entries[f->entry_count++] = (struct seen_event){ event->kind, event->portid,
		event->facts, *event->flow };
}

void
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

int
ct_setup(void **state)
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

int
ct_teardown(void **state)
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

void
drain(struct fixture *f)
{
	int n;

	f->event_count = 0;
	while ((n = ct_events_drain(f->events_a, 256)) > 0)
		continue;
	assert_int_equal(n, 0);
}

void
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

const struct ct_result *
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

void
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

struct flow_record
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

void
nat_source(struct flow_record *flow, const char *address, uint16_t port)
{
	ct_lab_addr(address, flow->reply.dst);
	if (flow->key.protocol == FLOW_ICMP || flow->key.protocol == FLOW_ICMPV6)
		flow->reply.src_port = port;
	else
		flow->reply.dst_port = port;
	flow->status |= FLOW_STATUS_SRC_NAT;
}

void
nat_destination(struct flow_record *flow, const char *address, uint16_t port)
{
	ct_lab_addr(address, flow->reply.src);
	if (flow->key.protocol != FLOW_ICMP && flow->key.protocol != FLOW_ICMPV6)
		flow->reply.src_port = port;
	flow->status |= FLOW_STATUS_DST_NAT;
}

struct flow_record
tcp4(void)
{
	return make_flow(FLOW_TCP, "10.1.1.11", 40000, "203.0.113.254", 443);
}

struct flow_record
tcp6(void)
{
	return make_flow(FLOW_TCP, "fd00:1:1::11", 40000, "2001:db8:1::fe", 443);
}

struct flow_record
udp4(void)
{
	return make_flow(FLOW_UDP, "10.1.1.11", 40001, "203.0.113.254", 53);
}

struct flow_record
icmp4(void)
{
	return make_flow(FLOW_ICMP, "10.1.1.11", 0x1234, "203.0.113.254", 8 << 8);
}

struct flow_record
icmp6(void)
{
	return make_flow(
	    FLOW_ICMPV6, "fd00:1:1::11", 0x1234, "2001:db8:1::fe", 128 << 8);
}

void
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

void
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
