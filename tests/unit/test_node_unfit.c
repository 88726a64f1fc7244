/* What track scripts find, here and at the peer, and who serves then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/unit/node_fixture.h"

static struct node_actions
step(struct node *n, struct node_event ev, int64_t ns)
{
	struct node_actions out;

	node_step(&config, n, &ev, at(ns), &out);
	return out;
}

static struct node_event
unfit(uint16_t scripts)
{
	return (struct node_event){ .kind = NODE_EV_UNFIT, .unfit = scripts };
}

static bool
has(const struct node_actions *out, enum node_action_kind kind)
{
	for (unsigned i = 0; i < out->count; i++)
		if (out->list[i].kind == kind)
			return true;
	return false;
}

enum what { STAYS, HANDS_OVER, RESIGNS };

static void
an_active_is_compared_with_its_peer(void **context)
{
	static const struct {
		const char *name;
		uint16_t own, peer;
		bool own_link_down, peer_link_down, peer_no_state;
		enum what what;
	} rows[] = {
		{ "nothing fails", 0, 0, false, false, false, STAYS },
		{ "one script fails here", 1, 0, false, false, false, HANDS_OVER },
		{ "the same one fails at both", 1, 1, false, false, false, STAYS },
		{ "one each", 1, 2, false, false, false, STAYS },
		{ "two here, one there", 3, 1, false, false, false, HANDS_OVER },
		{ "one there", 0, 4, false, false, false, STAYS },
		{ "here, but the peer lacks the sessions", 1, 0, false, false, true,
		    STAYS },
		{ "here, but the peer has no link", 1, 0, false, true, false, STAYS },
		{ "three here against a link there", 7, 0, false, true, false,
		    HANDS_OVER },
		{ "a link here against a script there", 0, 1, true, false, false,
		    RESIGNS },
		{ "a link here against two scripts there", 0, 3, true, false, false,
		    STAYS },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct setup s = { .role = TD_ROLE_ACTIVE,
			.peer = PEER_BACKUP,
			.term = 4,
			.peer_term = 4,
			.peer_no_state = rows[i].peer_no_state };
		struct node_event link = { .kind = NODE_EV_LINK, .member = 1 };
		struct node n = make(&config, &s);
		enum what what = STAYS;
		struct node_actions out;

		n.peer.unfit = rows[i].peer;
		if (rows[i].peer_link_down)
			n.member[1].peer_bits = 0;
		out = rows[i].own_link_down ? step(&n, link, 1)
					    : step(&n, unfit(rows[i].own), 1);
		if (n.role == TD_ROLE_BACKUP)
			what = RESIGNS;
		else if (has(&out, NODE_DO_BARRIER))
			what = HANDS_OVER;
		if (what != rows[i].what)
			fail_msg("%s: %d", rows[i].name, (int)what);
	}
}

static void
it_hands_over_as_planned_and_says_why(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node_event barrier = { .kind = NODE_EV_BARRIER, .barrier_ok = true };
	struct node n = make(&config, &s);
	struct node_actions out = step(&n, unfit(2), 1);

	(void)context;
	assert_int_equal(out.list[0].kind, NODE_DO_SEND_WITNESS);
	assert_int_equal(out.list[0].witness.unfit, 2);
	assert_true((n.alarms & NODE_ALARM_UNFIT) != 0);
	out = step(&n, barrier, 2);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_UNFIT);
	assert_int_equal(out.list[0].forward.ns, NOW + 2 + NODE_DRAIN_NS);
	step(&n, unfit(0), 3);
	assert_false((n.alarms & NODE_ALARM_UNFIT) != 0);
}

static void
not_within_the_hold_after_a_takeover(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);
	struct node_actions out;

	(void)context;
	n.hold_deadline = at(10);
	out = step(&n, unfit(1), 1);
	assert_false(has(&out, NODE_DO_BARRIER));
	out = step(&n, unfit(1), 10);
	assert_true(has(&out, NODE_DO_BARRIER));
}

/* Both are Backup, and by state and priority it is the peer's turn, or ours. */
static void
the_fitter_one_goes_first(void **context)
{
	static const struct {
		const char *name;
		uint16_t own, peer;
		bool peer_no_state, takes_over;
	} rows[] = {
		{ "the peer has the priority", 0, 0, false, false },
		{ "and a script that fails", 0, 1, false, true },
		{ "as we have", 1, 1, false, false },
		{ "we hold the state", 0, 0, true, true },
		{ "and have a script that fails", 1, 0, true, false },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct setup s = { .role = TD_ROLE_BACKUP,
			.peer = PEER_BACKUP,
			.peer_no_state = rows[i].peer_no_state };
		struct node n = make(&config, &s);

		n.peer.unfit = rows[i].peer;
		step(&n, unfit(rows[i].own), 1);
		n.tick_deadline = n.down_deadline = at(I / 2);
		step(&n, (struct node_event)TICK, I / 2);
		if ((n.role == TD_ROLE_ACTIVE) != rows[i].takes_over)
			fail_msg("%s", rows[i].name);
	}
}

/* Two nodes that find the same, one after the other, do not hand the role to and fro.
 */
static void
a_fault_that_both_share_moves_the_role_once(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct witness_payload w = witness_of(&s, TD_ROLE_BACKUP);
	struct node_event heard = { .kind = NODE_EV_WITNESS, .witness = &w };
	struct node n = make(&config, &s); /* who took over from one that is unfit */
	struct node_actions out;

	(void)context;
	w.unfit = 1;
	step(&n, heard, 1);
	out = step(&n, unfit(1), 2);
	assert_false(has(&out, NODE_DO_BARRIER));
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	w.unfit = 0; /* there it is over */
	out = step(&n, heard, 3);
	assert_true(has(&out, NODE_DO_BARRIER));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_active_is_compared_with_its_peer),
		cmocka_unit_test(it_hands_over_as_planned_and_says_why),
		cmocka_unit_test(not_within_the_hold_after_a_takeover),
		cmocka_unit_test(the_fitter_one_goes_first),
		cmocka_unit_test(a_fault_that_both_share_moves_the_role_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
