/* A node in maintenance steps back as long as, and only as long as, the peer lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/unit/node_fixture.h"

static const struct setup as_active = {
	.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
};
static const struct setup as_backup = {
	.role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .term = 4, .peer_term = 4
};

static struct node_actions
step(struct node *n, struct node_event ev, int64_t ns)
{
	struct node_actions out;

	node_step(&config, n, &ev, at(ns), &out);
	return out;
}

static struct node_event
maintenance(bool on)
{
	return (struct node_event){ .kind = NODE_EV_MAINTENANCE, .maintenance = on };
}

static struct node_event
witness(const struct witness_payload *w)
{
	return (struct node_event){ .kind = NODE_EV_WITNESS, .witness = w };
}

static bool
has(const struct node_actions *out, enum node_action_kind kind)
{
	for (unsigned i = 0; i < out->count; i++)
		if (out->list[i].kind == kind)
			return true;
	return false;
}

static void
an_active_hands_over_as_planned(void **context)
{
	struct node n = make(&config, &as_active);
	struct node_event barrier = { .kind = NODE_EV_BARRIER, .barrier_ok = true };
	struct node_actions out = step(&n, maintenance(true), 1);

	(void)context;
	assert_true(has(&out, NODE_DO_BARRIER) && has(&out, NODE_DO_SEND_WITNESS));
	assert_true((out.list[0].witness.flags & WITNESS_MAINTENANCE) != 0);
	assert_true((n.alarms & NODE_ALARM_MAINTENANCE) != 0);
	out = step(&n, barrier, 2);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_MAINTENANCE);
	assert_int_equal(out.list[0].kind, NODE_DO_FENCE);
	assert_int_equal(out.list[0].forward.ns, NOW + 2 + NODE_DRAIN_NS);
}

static void
it_stays_while_the_peer_cannot_take_over_and_goes_when_it_can(void **context)
{
	static const struct {
		const char *name;
		struct setup setup;
		uint16_t flags;
		bool peer_link_down;
	} rows[] = {
		{ "nobody there", { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 },
		    0, false },
		{ "without the state",
		    { .role = TD_ROLE_ACTIVE,
			.peer = PEER_BACKUP,
			.term = 4,
			.peer_term = 4,
			.peer_no_state = true },
		    0, false },
		{ "deaf",
		    { .role = TD_ROLE_ACTIVE,
			.peer = PEER_BACKUP,
			.term = 4,
			.peer_term = 4,
			.deaf_peer = true },
		    0, false },
		{ "in maintenance itself",
		    { .role = TD_ROLE_ACTIVE,
			.peer = PEER_BACKUP,
			.term = 4,
			.peer_term = 4 },
		    WITNESS_MAINTENANCE, false },
		{ "with a link down",
		    { .role = TD_ROLE_ACTIVE,
			.peer = PEER_BACKUP,
			.term = 4,
			.peer_term = 4 },
		    0, true },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node n = make(&config, &rows[i].setup);
		struct witness_payload w = witness_of(&as_active, TD_ROLE_BACKUP);
		struct node_actions out;

		n.peer.flags |= rows[i].flags;
		if (rows[i].peer_link_down)
			n.member[1].peer_bits = 0;
		out = step(&n, maintenance(true), 1);
		if (has(&out, NODE_DO_BARRIER) || n.role != TD_ROLE_ACTIVE)
			fail_msg("%s: hands over", rows[i].name);
		out = step(&n, witness(&w), 2);
		if (!has(&out, NODE_DO_BARRIER))
			fail_msg("%s: does not hand over afterwards", rows[i].name);
	}
}

static void
a_barrier_that_failed_is_asked_for_again_after_the_hold(void **context)
{
	struct node n = make(&config, &as_active);
	struct witness_payload w = witness_of(&as_active, TD_ROLE_BACKUP);
	struct node_actions out;

	(void)context;
	step(&n, maintenance(true), 1);
	out = step(&n, (struct node_event){ .kind = NODE_EV_BARRIER }, 2);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_false(has(&out, NODE_DO_BARRIER));
	n.answer_deadline = n.tick_deadline = at(2 * NODE_HOLD_NS_MIN);
	n.peer.witness_at = n.peer.alive_at = at(NODE_HOLD_NS_MIN);
	out = step(&n, witness(&w), 3 + NODE_HOLD_NS_MIN);
	assert_true(has(&out, NODE_DO_BARRIER));
}

static void
a_backup_follows_a_peer_that_stops_or_is_gone_and_no_other(void **context)
{
	static const struct {
		const char *name;
		enum td_role peer_role;
		bool peer_link_down, takes_over;
	} rows[] = {
		{ "gave the role away, and lives", TD_ROLE_BACKUP, false, false },
		{ "gave it away because it is cut off", TD_ROLE_BACKUP, true, true },
		{ "stops", TD_ROLE_INITIALIZE, false, true },
	};
	struct node_event frame = { .kind = NODE_EV_FRAME, .frame_at = at(2 * I) };
	struct node n;

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct witness_payload w = witness_of(&as_backup, rows[i].peer_role);

		n = make(&config, &as_backup);
		step(&n, maintenance(true), 1);
		w.flags |= WITNESS_RESIGN;
		if (rows[i].peer_link_down)
			w.member[1] = 0;
		step(&n, witness(&w), 2);
		step(&n, (struct node_event)ADVERT(0, 0), 2);
		n.tick_deadline = n.down_deadline = at(I / 2);
		step(&n, (struct node_event)TICK, I / 2);
		if ((n.role == TD_ROLE_ACTIVE) != rows[i].takes_over)
			fail_msg("%s: %s", rows[i].name, td_role_name(n.role));
	}
	n = make(&config, &as_backup);
	step(&n, maintenance(true), 1);
	step(&n, frame, 2 * I); /* somebody else is there: it is the peer who is gone */
	n.tick_deadline = at(DOWN);
	step(&n, (struct node_event)TICK, DOWN);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(n.reason, NODE_BY_ACTIVE_DOWN_TIMER);
}

/* Both are Backup: whose turn is it after Active_Down_Interval? */
static void
the_other_one_goes_first_whatever_else_speaks_for_us(void **context)
{
	static const struct {
		const char *name;
		bool own, peer, takes_over;
	} rows[] = {
		{ "neither", false, false, true },
		{ "we are", true, false, false },
		{ "the peer is", false, true, true },
		{ "both are", true, true, true },
	};
	/* We hold the state and the peer does not: it would be our turn. */
	struct setup s = {
		.role = TD_ROLE_BACKUP, .peer = PEER_BACKUP, .peer_no_state = true
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node n = make(&config, &s);

		if (rows[i].peer)
			n.peer.flags |= WITNESS_MAINTENANCE;
		step(&n, maintenance(rows[i].own), 1);
		n.tick_deadline = n.down_deadline = at(I / 2);
		step(&n, (struct node_event)TICK, I / 2);
		if ((n.role == TD_ROLE_ACTIVE) != rows[i].takes_over)
			fail_msg("%s: %s", rows[i].name, td_role_name(n.role));
	}
}

static void
nothing_is_handed_to_a_peer_in_maintenance(void **context)
{
	struct node n = make(&config, &as_active);
	struct node_event down = { .kind = NODE_EV_LINK, .member = 1 };
	struct node_actions out;

	(void)context;
	n.peer.flags |= WITNESS_MAINTENANCE;
	step(&n, down, 1);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	out = step(&n, (struct node_event){ .kind = NODE_EV_SWITCHOVER }, 2);
	assert_int_equal(out.list[0].kind, NODE_DO_REPLY);
	assert_int_equal(out.list[0].refusal, NODE_REFUSED_PEER_MAINTENANCE);
	n.peer.flags &= (uint16_t)~WITNESS_MAINTENANCE;
	step(&n, (struct node_event)TICK, 3);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_LINK_DOWN);
}

static void
it_does_not_preempt_and_may_again_afterwards(void **context)
{
	struct setup s = {
		.role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .peer_priority = 50
	};
	struct node_config cfg = config;
	struct node_actions out;
	struct node n;

	(void)context;
	cfg.preempt = true;
	n = make(&cfg, &s);
	n.maintenance = true;
	node_step(&cfg, &n, &(struct node_event)TICK, at(I / 2), &out);
	assert_false(n.claiming);
	n.maintenance = false;
	n.tick_deadline = at(I);
	node_step(&cfg, &n, &(struct node_event)TICK, at(I), &out);
	assert_true(n.claiming);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_active_hands_over_as_planned),
		cmocka_unit_test(
		    it_stays_while_the_peer_cannot_take_over_and_goes_when_it_can),
		cmocka_unit_test(
		    a_barrier_that_failed_is_asked_for_again_after_the_hold),
		cmocka_unit_test(
		    a_backup_follows_a_peer_that_stops_or_is_gone_and_no_other),
		cmocka_unit_test(the_other_one_goes_first_whatever_else_speaks_for_us),
		cmocka_unit_test(nothing_is_handed_to_a_peer_in_maintenance),
		cmocka_unit_test(it_does_not_preempt_and_may_again_afterwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
