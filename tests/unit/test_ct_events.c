/* Events of this kernel: echoes, expiries, the filter, overrun. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/clock.h"
#include "ct_fixture.h"
#include "ct_lab.h"
#include "syncd/ct_filter.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_echo_is_not_reported),
		cmocka_unit_test(test_expiry_of_a_replica_comes_from_the_kernel),
		cmocka_unit_test(test_flows_of_the_router_itself_are_not_reported),
		cmocka_unit_test(test_overrun_is_noticed_after_the_queue_is_empty),
	};

	return CT_RUN(tests);
}
