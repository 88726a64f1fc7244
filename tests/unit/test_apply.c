#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "routerd/core/apply.h"
#include "routerd/core/pair_apply.h"

static const struct td_instant t0 = { NS_PER_S };

#define BIT(room) (UINT32_C(1) << (room))
#define ROOMS (BIT(TD_ROOM_VRRPD) | BIT(TD_ROOM_SYNCD))

/* ---- one node: generation 4 is in force, 5 is spread to vrrpd and syncd ---- */

static struct apply
begun(void)
{
	struct apply a = { 0 };

	assert_int_equal(apply_begin(&a, ROOMS, 5, 4, t0), APPLY_ACT_NONE);
	return a;
}

static void
test_all_accept_it_is_done(void **state)
{
	struct apply a = begun();

	(void)state;
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 5, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 5, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(apply_ack(&a, TD_ROOM_SYNCD, 5, 0, "", t0), APPLY_ACT_DONE);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.state, APPLY_IDLE);
}

static void
test_nobody_runs_it_is_done_at_once(void **state)
{
	struct apply a = { 0 };

	(void)state;
	assert_int_equal(apply_begin(&a, 0, 5, 4, t0), APPLY_ACT_DONE);
	assert_int_equal(a.status, 0);
}

static void
test_one_refuses_all_get_the_old_one_and_the_reason_names_it(void **state)
{
	struct apply a = begun();

	(void)state;
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 5, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(apply_ack(&a, TD_ROOM_SYNCD, 5, -ENOSPC, "no room", t0),
	    APPLY_ACT_SEND_OLD);
	assert_int_equal(a.sent, ROOMS);
	/* A late answer about the new one says nothing about the old one. */
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 5, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 4, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(apply_ack(&a, TD_ROOM_SYNCD, 4, 0, "", t0), APPLY_ACT_DONE);
	assert_int_equal(a.status, -ENOSPC);
	assert_string_equal(a.reason, "syncd: no room");
}

static void
test_one_dies_on_it_the_others_are_returned(void **state)
{
	struct apply a = begun();

	(void)state;
	assert_int_equal(apply_room_gone(&a, TD_ROOM_LBD, t0), APPLY_ACT_NONE);
	assert_int_equal(apply_room_gone(&a, TD_ROOM_SYNCD, t0), APPLY_ACT_SEND_OLD);
	/* It starts with the old one anyway. */
	assert_int_equal(a.sent, BIT(TD_ROOM_VRRPD));
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 4, 0, "", t0), APPLY_ACT_DONE);
	assert_int_equal(a.status, -EIO);
	assert_string_equal(a.reason, "syncd: died on it");
}

static void
test_silence_is_refusal_and_a_silent_revert_ends_too(void **state)
{
	struct apply a = begun();
	struct td_instant late = instant_add(t0, APPLY_LIMIT_NS);

	(void)state;
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 5, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(
	    apply_tick(&a, instant_add(t0, APPLY_LIMIT_NS - 1)), APPLY_ACT_NONE);
	assert_int_equal(apply_tick(&a, late), APPLY_ACT_SEND_OLD);
	assert_int_equal(a.status, -ETIMEDOUT);
	assert_non_null(strstr(a.reason, "syncd"));
	assert_int_equal(apply_tick(&a, late), APPLY_ACT_NONE);
	assert_int_equal(
	    apply_tick(&a, instant_add(late, APPLY_LIMIT_NS)), APPLY_ACT_DONE);
	assert_int_equal(a.status, -ETIMEDOUT);
}

static void
test_a_file_that_cannot_be_written_is_undone_and_waited_for(void **state)
{
	struct apply a = begun();
	struct apply nobody = { 0 };

	(void)state;
	apply_ack(&a, TD_ROOM_VRRPD, 5, 0, "", t0);
	assert_int_equal(apply_ack(&a, TD_ROOM_SYNCD, 5, 0, "", t0), APPLY_ACT_DONE);
	assert_int_equal(apply_undo(&a, -EROFS, "no room", t0), APPLY_ACT_SEND_OLD);
	assert_int_equal(a.sent, ROOMS);
	assert_int_equal(apply_ack(&a, TD_ROOM_SYNCD, 4, 0, "", t0), APPLY_ACT_NONE);
	assert_int_equal(apply_ack(&a, TD_ROOM_VRRPD, 4, 0, "", t0), APPLY_ACT_DONE);
	assert_int_equal(a.status, -EROFS);
	assert_string_equal(a.reason, "no room");

	apply_begin(&nobody, 0, 5, 4, t0);
	assert_int_equal(apply_undo(&nobody, -EROFS, "no room", t0), APPLY_ACT_DONE);
	assert_int_equal(nobody.status, -EROFS);
}

/* ---- both nodes ---- */

enum { L = 1U << PAIR_LOCAL, P = 1U << PAIR_PEER };

struct pair_step {
	enum pair_side side;
	enum pair_method method;
	int32_t status;
	const char *text;
	/* then: */
	enum pair_method next;
	unsigned ask;
	bool done;
};

struct pair_row {
	const char *name;
	bool alone, check_only, local_is_active;
	int32_t status;
	const char *reason;
	struct pair_step step[12];
};

static const struct pair_row pair_rows[] = {
	{ "both accept / the Backup commits first, here the peer", false, false, true,
	    0, "",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", PAIR_PREPARE, L | P, false },
		{ PAIR_PEER, PAIR_PREPARE, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_PREPARE, 0, "", PAIR_COMMIT, P, false },
		{ PAIR_PEER, PAIR_COMMIT, 0, "", PAIR_COMMIT, L, false },
		{ PAIR_LOCAL, PAIR_COMMIT, 0, "", 0, 0, true } } },
	{ "both accept / this node is the Backup", false, false, false, 0, "",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", PAIR_PREPARE, L | P, false },
		{ PAIR_PEER, PAIR_PREPARE, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_PREPARE, 0, "", PAIR_COMMIT, L, false },
		{ PAIR_LOCAL, PAIR_COMMIT, 0, "", PAIR_COMMIT, P, false },
		{ PAIR_PEER, PAIR_COMMIT, 0, "", 0, 0, true } } },
	{ "check refused / nothing is to be undone", false, false, true, -EINVAL,
	    "r2: line 3",
	    { { PAIR_PEER, PAIR_CHECK, -EINVAL, "line 3", 0, 0, true } } },
	{ "prepare refused / both abort", false, false, true, -EROFS, "r1: no room",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", PAIR_PREPARE, L | P, false },
		{ PAIR_LOCAL, PAIR_PREPARE, -EROFS, "no room", PAIR_ABORT, L | P,
		    false },
		{ PAIR_PEER, PAIR_PREPARE, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_ABORT, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_ABORT, 0, "", 0, 0, true } } },
	{ "second commit refused / the first one is returned", false, false, true, -EIO,
	    "r1: vrrpd: died on it",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", PAIR_PREPARE, L | P, false },
		{ PAIR_PEER, PAIR_PREPARE, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_PREPARE, 0, "", PAIR_COMMIT, P, false },
		{ PAIR_PEER, PAIR_COMMIT, 0, "", PAIR_COMMIT, L, false },
		{ PAIR_LOCAL, PAIR_COMMIT, -EIO, "vrrpd: died on it", PAIR_ABORT, L | P,
		    false },
		{ PAIR_PEER, PAIR_ABORT, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_ABORT, 0, "", 0, 0, true } } },
	{ "abort refused / the reason says which node is left behind", false, false,
	    true, -EIO, "r1: broken; r2 could not be returned: stuck",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", PAIR_PREPARE, L | P, false },
		{ PAIR_LOCAL, PAIR_PREPARE, -EIO, "broken", PAIR_ABORT, L | P, false },
		{ PAIR_PEER, PAIR_ABORT, -EIO, "stuck", 0, 0, false },
		{ PAIR_LOCAL, PAIR_ABORT, 0, "", 0, 0, true } } },
	{ "alone / the peer is not asked", true, false, true, 0, "",
	    { { PAIR_PEER, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_CHECK, 0, "", PAIR_PREPARE, L, false },
		{ PAIR_LOCAL, PAIR_PREPARE, 0, "", PAIR_COMMIT, L, false },
		{ PAIR_LOCAL, PAIR_COMMIT, 0, "", 0, 0, true } } },
	{ "check only / ends after the check", false, true, true, 0, "",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", 0, 0, true } } },
	{ "an answer twice, or to another question / ignored", false, false, true, 0,
	    "",
	    { { PAIR_LOCAL, PAIR_CHECK, 0, "", 0, 0, false },
		{ PAIR_LOCAL, PAIR_CHECK, -EIO, "again", 0, 0, false },
		{ PAIR_PEER, PAIR_COMMIT, -EIO, "early", 0, 0, false },
		{ PAIR_PEER, PAIR_CHECK, 0, "", PAIR_PREPARE, L | P, false },
		{ PAIR_PEER, PAIR_CHECK, -EIO, "late", 0, 0, false } } },
};

/* Both have the whole text. */
static void
hand_over(struct pair_apply *p, struct pair_output *out)
{
	pair_answer(p, PAIR_LOCAL, PAIR_TEXT, 0, "", t0, out);
	if (!p->alone)
		pair_answer(p, PAIR_PEER, PAIR_TEXT, 0, "", t0, out);
}

static void
test_pair_the_text_cannot_be_handed_over(void **state)
{
	struct pair_apply p = { 0 };
	struct pair_output out;

	(void)state;
	pair_begin(&p, false, false, true, "r1", "r2", t0, &out);
	pair_answer(&p, PAIR_PEER, PAIR_TEXT, -EHOSTUNREACH, "not reachable", t0, &out);
	assert_true(out.done);
	assert_int_equal(p.status, -EHOSTUNREACH);
	assert_string_equal(p.reason, "r2: not reachable");
}

static void
check_pair_row(const struct pair_row *row)
{
	struct pair_apply p = { 0 };
	struct pair_output out;

	pair_begin(&p, row->alone, row->check_only, row->local_is_active, "r1", "r2",
	    t0, &out);
	assert_int_equal(out.method, PAIR_TEXT);
	assert_int_equal(out.ask, row->alone ? L : L | P);
	hand_over(&p, &out);
	assert_int_equal(out.method, PAIR_CHECK);
	assert_int_equal(out.ask, row->alone ? L : L | P);
	for (const struct pair_step *s = row->step; s->method != 0; s++) {
		pair_answer(&p, s->side, s->method, s->status, s->text, t0, &out);
		if (out.ask != s->ask || out.done != s->done ||
		    (s->ask != 0 && out.method != s->next))
			fail_msg("%s: step %d: method %d ask %u done %d", row->name,
			    (int)(s - row->step), (int)out.method, out.ask, out.done);
	}
	assert_int_equal(p.status, row->status);
	assert_string_equal(p.reason, row->reason);
}

static void
test_pair_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pair_rows) / sizeof(pair_rows[0]); i++)
		check_pair_row(&pair_rows[i]);
}

static void
test_pair_silence_is_refusal(void **state)
{
	struct pair_apply p = { 0 };
	struct pair_output out;
	struct td_instant now = t0;

	(void)state;
	pair_begin(&p, false, false, true, "r1", "r2", now, &out);
	hand_over(&p, &out);
	pair_answer(&p, PAIR_LOCAL, PAIR_CHECK, 0, "", now, &out);
	pair_answer(&p, PAIR_PEER, PAIR_CHECK, 0, "", now, &out);
	pair_answer(&p, PAIR_LOCAL, PAIR_PREPARE, 0, "", now, &out);
	pair_tick(&p, now, &out);
	assert_int_equal(out.ask, 0);
	now = p.deadline;
	pair_tick(&p, now, &out);
	assert_int_equal(out.method, PAIR_ABORT);
	assert_int_equal(out.ask, L | P);
	assert_string_equal(p.reason, "r2: no answer");
	pair_tick(&p, p.deadline, &out);
	assert_true(out.done);
	assert_int_equal(p.status, -ETIMEDOUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_accept_it_is_done),
		cmocka_unit_test(test_nobody_runs_it_is_done_at_once),
		cmocka_unit_test(
		    test_one_refuses_all_get_the_old_one_and_the_reason_names_it),
		cmocka_unit_test(test_one_dies_on_it_the_others_are_returned),
		cmocka_unit_test(
		    test_a_file_that_cannot_be_written_is_undone_and_waited_for),
		cmocka_unit_test(test_silence_is_refusal_and_a_silent_revert_ends_too),
		cmocka_unit_test(test_pair_rows),
		cmocka_unit_test(test_pair_silence_is_refusal),
		cmocka_unit_test(test_pair_the_text_cannot_be_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
