/* Injection against this kernel: refusals, clashes, order, windows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "ct_fixture.h"
#include "ct_lab.h"

/* What the next sends fail with: this one is linked before the C library's. */
static int send_failures, send_errno;

ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
	if (send_failures > 0) {
		send_failures--;
		errno = send_errno;
		return -1;
	}
	return sendto(fd, buf, len, flags, NULL, 0);
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

struct pressure_row {
	const char *name;
	int failures, error;
	enum ct_outcome outcome;
	unsigned left; /* flows in the kernel afterwards */
};

static const struct pressure_row pressure_rows[] = {
	{ "no buffer once / deleted", 1, ENOBUFS, CT_DELETED, 0 },
	{ "no memory a few times / deleted", 8, ENOMEM, CT_DELETED, 0 },
	{ "no buffer for ever / given up, and said so", 1000, ENOBUFS, CT_REFUSED, 1 },
	{ "a broken socket / given up at once", 1, EBADF, CT_REFUSED, 1 },
};

static void
test_a_deletion_survives_a_moment_without_memory(void **state)
{
	struct fixture *f = *state;
	struct flow_record flow = tcp4();

	for (size_t i = 0; i < sizeof(pressure_rows) / sizeof(pressure_rows[0]); i++) {
		const struct pressure_row *row = &pressure_rows[i];

		print_message("  %s\n", row->name);
		upsert(f, f->inject_b, &flow, 0);
		f->result_count = 0;
		ct_inject_delete(f->inject_b, &flow.key, 1);
		send_failures = row->failures;
		send_errno = row->error;
		ct_inject_flush(f->inject_b);
		send_failures = 0;
		assert_int_equal(f->result_count, 1);
		assert_int_equal(f->results[0].outcome, row->outcome);
		assert_int_equal(
		    f->results[0].status, row->outcome == CT_REFUSED ? -row->error : 0);
		dump(f);
		assert_int_equal(f->entry_count, row->left);
		clean_b(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal_names_its_record),
		cmocka_unit_test(test_clashes),
		cmocka_unit_test(test_operations_on_one_flow_keep_their_order),
		cmocka_unit_test(test_a_deletion_survives_a_moment_without_memory),
		cmocka_unit_test(test_windows_are_judged_again_where_they_can_be),
	};

	return CT_RUN(tests);
}
