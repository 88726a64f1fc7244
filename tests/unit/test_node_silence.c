/* What a node that hears nothing may do (vrrpd/core/node_silence.c). */
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

/* A turn whose words have left. */
static struct node_actions
turn(struct node *n, int64_t ns)
{
	step(n, (struct node_event)TICK, ns);
	return step(n,
	    (struct node_event){ .kind = NODE_EV_SENT, .sent = { at(ns), true } }, ns);
}

static struct node_actions
heard_frame(struct node *n, int64_t ns)
{
	step(n, (struct node_event){ .kind = NODE_EV_FRAME, .frame_at = at(ns) }, ns);
	return step(n, (struct node_event)TICK, ns);
}

static struct node_actions
heard_backup(struct node *n, int64_t ns)
{
	struct setup s = { .peer_term = 4 };
	struct witness_payload w = witness_of(&s, TD_ROLE_BACKUP);

	return step(
	    n, (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &w }, ns);
}

static struct node_actions
probed(struct node *n, uint8_t member, bool reached, bool nobody, int64_t ns)
{
	return step(n,
	    (struct node_event){ .kind = NODE_EV_PROBED,
		.member = member,
		.reached = reached,
		.nobody = nobody },
	    ns);
}

/* How many actions of a kind; the last one goes to ret_action, which may be NULL. */
static unsigned
count(const struct node_actions *out, enum node_action_kind kind,
    struct node_action *ret_action)
{
	unsigned found = 0;

	for (unsigned i = 0; i < out->count; i++) {
		if (out->list[i].kind != kind)
			continue;
		found++;
		if (ret_action != NULL)
			*ret_action = out->list[i];
	}
	return found;
}

static int64_t
opened_until(const struct node_actions *out)
{
	struct node_action fence;

	return count(out, NODE_DO_FENCE, &fence) == 1 ? fence.answer.ns - NOW : -1;
}

/* Active; the peer is heard last at 0, a round leaves at I / 2 and each I after it. */
static struct node
active(enum peer peer)
{
	struct setup s = { .role = TD_ROLE_ACTIVE, .peer = peer, .term = 4 };

	return make(&config, &s);
}

static void
test_a_round_counts_when_something_was_heard_after_it(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out = turn(&n, I / 2);

	(void)context;
	/* Nothing since it left. */
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	out = heard_backup(&n, I);
	assert_int_equal(opened_until(&out), I / 2 + 3 * I);
}

static void
test_what_was_on_its_way_proves_only_the_round_before(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	turn(&n, I / 2);
	turn(&n, I + I / 2);
	out = heard_backup(&n, I + I / 2 + I / 20);
	assert_int_equal(opened_until(&out), I / 2 + 3 * I);
}

static void
test_frames_are_looked_at_soon_and_half_an_interval_after_a_round(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	turn(&n, I / 2);
	assert_int_equal(node_deadline(&n).ns, NOW + I / 2 + I / 5);
	step(&n, (struct node_event)TICK, I / 2 + I / 5);
	assert_int_equal(node_deadline(&n).ns, NOW + I);
	out = heard_frame(&n, I);
	assert_int_equal(opened_until(&out), I / 2 + 3 * I);
	assert_int_equal(node_deadline(&n).ns, NOW + I + I / 2);
}

static void
test_who_never_heard_a_peer_is_not_bound(void **context)
{
	struct node n = active(ABSENT);
	struct node_actions out;

	(void)context;
	for (int64_t t = I / 2; t < 50 * I; t += I) {
		out = turn(&n, t);
		assert_int_equal(opened_until(&out), t + 3 * I);
	}
}

static void
test_who_sees_no_frames_is_not_bound(void **context)
{
	struct node_config cfg = config;
	struct setup s = { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 };
	struct node n = make(&config, &s);
	struct node_event sent = { .kind = NODE_EV_SENT };
	struct node_actions out;

	(void)context;
	cfg.blind = true;
	for (int64_t t = I / 2; t < 50 * I; t += I) {
		feed(&cfg, &n, (struct node_event)TICK, t);
		sent.sent.before = at(t);
		sent.sent.ok = true;
		node_step(&cfg, &n, &sent, at(t), &out);
		assert_int_equal(opened_until(&out), t + 3 * I);
	}
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, 0);
}

/* Rounds go out into silence from I / 2 on. */
static struct node
suspended(void)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	for (int64_t t = I / 2; t <= 3 * I + I / 2; t += I) {
		out = turn(&n, t);
		assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	}
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(n.term, 4);
	assert_true((n.alarms & NODE_ALARM_ISOLATED) != 0);
	return n;
}

static void
test_in_silence_the_neighbours_are_asked_at_once(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	turn(&n, I / 2);
	out = step(&n, (struct node_event)TICK, I + I / 2);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), 2);
	step(&n,
	    (struct node_event){
		.kind = NODE_EV_SENT, .sent = { at(I + I / 2), true } },
	    I + I / 2);
	/* An answer proves the round that left just before the question. */
	out = probed(&n, 1, true, false, I + I / 2 + 1);
	assert_int_equal(opened_until(&out), I + I / 2 + 3 * I);
}

static void
test_a_slow_answer_proves_only_the_round_before(void **context)
{
	struct setup s = { .peer_term = 4 };
	struct witness_payload w = witness_of(&s, TD_ROLE_BACKUP);
	struct node_event doubt = { .kind = NODE_EV_WITNESS, .witness = &w };
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	w.member[0] |= WITNESS_MEMBER_SUSPECT;
	turn(&n, I / 2);
	out = step(&n, doubt, I + I / 4);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), 1);
	turn(&n, I + I / 2);
	/* It may have been on its way when the cables parted, before this round. */
	out = probed(&n, 0, true, false, I + I / 2 + 1);
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	assert_int_equal(n.proven_at.ns, NOW + I / 2);
}

/* The peer speaks right after each of our rounds, which proves only the one before. */
static void
test_what_no_turn_would_find_in_time_is_asked_in_between(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	for (int64_t t = I / 2; t < 2 * I; t += I) {
		turn(&n, t);
		out = heard_backup(&n, t + I / 20);
		assert_int_equal(count(&out, NODE_DO_PROBE, NULL), 0);
	}
	out = turn(&n, 2 * I + I / 2);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), 0);
	out = step(&n, (struct node_event)TICK, 2 * I + 3 * I / 4);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), 0);
	/* Half an interval before the right ends. */
	assert_int_equal(node_deadline(&n).ns, NOW + 3 * I);
	out = step(&n, (struct node_event)TICK, 3 * I);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), config.member_count);
	out = probed(&n, 0, true, false, 3 * I + 1);
	assert_int_equal(opened_until(&out), 2 * I + I / 2 + 3 * I);
}

static void
test_a_dead_peer_costs_nothing_where_a_neighbour_answers(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;
	struct node_action probe;
	int64_t open = 3 * I;

	(void)context;
	for (int64_t t = I / 2; t < 100 * I; t += I) {
		out = step(&n, (struct node_event)TICK, t);
		step(&n,
		    (struct node_event){
			.kind = NODE_EV_SENT, .sent = { at(t), true } },
		    t);
		if (count(&out, NODE_DO_PROBE, &probe) > 0) {
			out = probed(&n, probe.member, true, false, t + NS_PER_MS);
			if (opened_until(&out) > open)
				open = opened_until(&out);
		}
		assert_true(open > t + I / 2);
	}
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static void
test_where_nobody_is_known_nothing_is_suspended(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	turn(&n, I / 2);
	turn(&n, I + I / 2);
	probed(&n, 0, false, true, I + I / 2);
	out = probed(&n, 1, false, true, I + I / 2);
	assert_int_equal(opened_until(&out), I + I / 2 + 3 * I);
}

static void
test_a_lost_round_or_two_are_followed_by_words_at_once(void **context)
{
	struct node n = active(PEER_BACKUP);
	struct node_actions out;

	(void)context;
	turn(&n, I / 2);
	turn(&n, I + I / 2);
	out = heard_backup(&n, 2 * I);
	assert_int_equal(count(&out, NODE_DO_SEND_ADVERTS, NULL), 1);
	assert_int_equal(opened_until(&out), I + I / 2 + 3 * I);
}

static void
test_silence_suspends_the_right_and_a_frame_does_not_give_it_back(void **context)
{
	struct node n = suspended();
	struct node_actions out = heard_frame(&n, 4 * I);

	(void)context;
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	assert_int_equal(count(&out, NODE_DO_SEND_ADVERTS, NULL), 1);
	out = turn(&n, 4 * I + I / 2);
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	out = heard_backup(&n, 5 * I);
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	/* One and a half intervals of listening, and no Active was heard. */
	out = heard_frame(&n, 5 * I + I / 2 - 1);
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	assert_int_equal(node_deadline(&n).ns, NOW + 5 * I + I / 2);
	out = heard_frame(&n, 5 * I + I / 2);
	assert_int_equal(opened_until(&out), 4 * I + I / 2 + 3 * I);
	assert_int_equal(count(&out, NODE_DO_ANNOUNCE, NULL), 1);
	assert_int_equal(n.term, 4);
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, 0);
}

static void
test_a_peer_that_is_not_heard_may_be_frozen_until_its_lease_ends(void **context)
{
	struct node n = suspended();
	struct node_actions out;

	(void)context;
	heard_frame(&n, 4 * I);
	for (int64_t t = 4 * I + I / 2; t < 7 * I; t += I) {
		out = turn(&n, t);
		assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
		heard_frame(&n, t + I / 2);
	}
	out = heard_frame(&n, 4 * I + DOWN);
	assert_int_equal(opened_until(&out), 6 * I + I / 2 + 3 * I);
}

static void
test_a_suspended_node_yields_to_an_active_peer(void **context)
{
	struct node n = suspended();
	struct setup s = { .peer_term = 5 };
	struct witness_payload w = witness_of(&s, TD_ROLE_ACTIVE);

	(void)context;
	heard_frame(&n, 4 * I);
	step(&n, (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &w },
	    4 * I + 1);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_HIGHER_TERM);
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, 0);
}

static void
test_a_suspended_node_does_not_answer_beside_an_active_one(void **context)
{
	struct node n = suspended();
	struct node_event advert = { .kind = NODE_EV_ADVERT,
		.advert = { 50, I } }; /* the lesser one: we go on */
	struct node_actions out;

	(void)context;
	n.peer.witness_at = at(-100 * I);
	heard_frame(&n, 4 * I);
	turn(&n, 4 * I + I / 2);
	step(&n, advert, 5 * I);
	out = heard_frame(&n, 6 * I);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	/* Its lease ends, or it says that it is Backup. */
	out = heard_backup(&n, 6 * I + I / 2);
	assert_int_equal(opened_until(&out), 4 * I + I / 2 + 3 * I);
}

static void
test_a_sign_of_life_that_ends_again_opens_nothing(void **context)
{
	struct node n = suspended();
	struct node_actions out;

	(void)context;
	heard_frame(&n, 4 * I);
	for (int64_t t = 4 * I + I / 2; t < 8 * I; t += I) {
		out = turn(&n, t);
		assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	}
	/* It begins anew. */
	out = heard_frame(&n, 8 * I);
	assert_int_equal(count(&out, NODE_DO_FENCE, NULL), 0);
	assert_int_equal(n.life_at.ns, NOW + 8 * I);
}

/* Answers are all that is heard: two intervals without one would end the listening. */
static void
test_answers_alone_give_the_right_back(void **context)
{
	struct node n = suspended();
	struct node_actions out;
	int64_t open = 0, t;

	(void)context;
	probed(&n, 0, true, false, 4 * I);
	probed(&n, 1, true, false, 4 * I);
	for (t = 4 * I + I / 2; open <= 0 && t < 12 * I; t += I) {
		out = step(&n, (struct node_event)TICK, t);
		assert_true(count(&out, NODE_DO_PROBE, NULL) > 0);
		step(&n,
		    (struct node_event){
			.kind = NODE_EV_SENT, .sent = { at(t), true } },
		    t);
		for (uint8_t m = 0; m < config.member_count && open <= 0; m++) {
			out = probed(&n, m, true, false, t + NS_PER_MS);
			open = opened_until(&out);
		}
	}
	assert_in_range(t, 4 * I + DOWN, 4 * I + DOWN + 3 * I);
}

static void
test_a_suspended_node_that_knows_nobody_any_more_only_listens(void **context)
{
	struct node n = suspended();
	struct node_actions out;
	int64_t open = 0, t;

	(void)context;
	probed(&n, 0, false, true, 4 * I);
	probed(&n, 1, false, true, 4 * I);
	for (t = 4 * I + I / 2; open <= 0 && t < 12 * I; t += I) {
		out = turn(&n, t);
		open = opened_until(&out);
	}
	assert_in_range(t, 4 * I + DOWN, 4 * I + DOWN + 3 * I);
}

/* Backup; the peer, Active, is heard last at 0. */
static struct node
backup(void)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .term = 4 };
	struct node n = make(&config, &s);

	n.heard_at = at(0);
	return n;
}

/* Turns until `end`; how many probes they asked for. */
static unsigned
turns(struct node *n, int64_t begin, int64_t end)
{
	struct node_actions out;
	unsigned probes = 0;

	for (int64_t t = begin; t <= end; t += I / 10) {
		if (n->role != TD_ROLE_BACKUP)
			break;
		out = step(n, (struct node_event)TICK, t);
		probes += count(&out, NODE_DO_PROBE, NULL);
	}
	return probes;
}

static void
test_a_backup_to_which_all_is_silent_asks_and_does_not_take_over(void **context)
{
	struct node n = backup();

	(void)context;
	assert_int_equal(turns(&n, I / 2, I + I / 5), 0);
	assert_int_equal(node_deadline(&n).ns, NOW + I + I / 2); /* to ask */
	assert_int_equal(turns(&n, I + I / 2, 3 * I), config.member_count);
	turns(&n, 3 * I, 20 * I);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.term, 4);
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, NODE_ALARM_ISOLATED);
	/* Something comes in: the peer, if it is there, is heard within its time. */
	step(&n, (struct node_event){ .kind = NODE_EV_FRAME, .frame_at = at(20 * I) },
	    20 * I + 1);
	turns(&n, 20 * I + 1, 20 * I + DOWN - I / 10);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, 0);
	step(&n, (struct node_event){ .kind = NODE_EV_FRAME, .frame_at = at(21 * I) },
	    21 * I + 1);
	turns(&n, 20 * I + DOWN - I / 10, 25 * I);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static void
test_a_backup_that_was_cut_off_finds_its_peer_again(void **context)
{
	struct node n = backup();
	struct node_event advert = ADVERT(0, 150);

	(void)context;
	turns(&n, I / 2, 10 * I);
	step(&n, advert, 10 * I + 1);
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, 0);
	turns(&n, 10 * I + 1, 13 * I);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_STARTUP);
}

static void
test_one_answer_is_enough_for_a_backup_to_take_over_in_time(void **context)
{
	struct node n = backup();

	(void)context;
	turns(&n, I / 2, I + I / 2);
	probed(&n, 1, true, false, 2 * I);
	turns(&n, 2 * I, DOWN + I / 10);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(n.reason, NODE_BY_ACTIVE_DOWN_TIMER);
}

static void
test_a_backup_that_knows_nobody_takes_over_in_time(void **context)
{
	struct node n = backup();

	(void)context;
	turns(&n, I / 2, 3 * I);
	probed(&n, 0, false, true, 3 * I);
	turns(&n, 3 * I, DOWN - I / 10);
	probed(&n, 1, false, true, DOWN - I / 10);
	turns(&n, DOWN, DOWN + I / 10);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

/* As where the segment is so quiet that it is in doubt all the time. */
static void
test_a_member_that_is_probed_at_leisure_is_asked_at_once(void **context)
{
	struct setup s = { .peer_term = 4 };
	struct witness_payload w = witness_of(&s, TD_ROLE_ACTIVE);
	struct node n = backup();
	struct node_actions out;

	(void)context;
	w.member[0] |= WITNESS_MEMBER_SUSPECT;
	out =
	    step(&n, (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &w }, 0);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), 1);
	probed(&n, 0, true, false, NS_PER_MS);
	out = step(&n, (struct node_event)TICK, I + I / 2);
	assert_int_equal(count(&out, NODE_DO_PROBE, NULL), config.member_count);
	probed(&n, 0, true, false, I + I / 2 + NS_PER_MS);
	turns(&n, 2 * I, DOWN + I / 10);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

/* Whom it did not know then it may know now. */
static void
test_a_backup_asks_again_whether_it_knows_nobody(void **context)
{
	struct node n = backup();
	struct node_event advert = ADVERT(0, 150), other = ADVERT(1, 150);

	(void)context;
	turns(&n, I / 2, I + I / 2);
	probed(&n, 0, false, true, I + I / 2);
	probed(&n, 1, false, true, I + I / 2);
	step(&n, advert, 2 * I);
	step(&n, other, 2 * I);
	turns(&n, 2 * I, 3 * I);
	assert_int_equal(node_deadline(&n).ns, NOW + 3 * I + I / 2);
	assert_int_equal(turns(&n, 3 * I + I / 2, 4 * I), config.member_count);
	/* Nobody has answered yet. */
	turns(&n, 4 * I, 10 * I);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.alarms & NODE_ALARM_ISOLATED, NODE_ALARM_ISOLATED);
}

/* Without frames a dead neighbour would keep it from ever taking over. */
static void
test_a_backup_that_sees_no_frames_takes_over_in_time(void **context)
{
	struct node_config cfg = config;
	struct node n = backup();

	(void)context;
	cfg.blind = true;
	for (int64_t t = I / 2; t < DOWN; t += I / 10)
		feed(&cfg, &n, (struct node_event)TICK, t);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	feed(&cfg, &n, (struct node_event)TICK, DOWN);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_round_counts_when_something_was_heard_after_it),
		cmocka_unit_test(test_what_was_on_its_way_proves_only_the_round_before),
		cmocka_unit_test(
		    test_frames_are_looked_at_soon_and_half_an_interval_after_a_round),
		cmocka_unit_test(test_who_never_heard_a_peer_is_not_bound),
		cmocka_unit_test(test_in_silence_the_neighbours_are_asked_at_once),
		cmocka_unit_test(
		    test_a_dead_peer_costs_nothing_where_a_neighbour_answers),
		cmocka_unit_test(test_where_nobody_is_known_nothing_is_suspended),
		cmocka_unit_test(
		    test_a_lost_round_or_two_are_followed_by_words_at_once),
		cmocka_unit_test(
		    test_silence_suspends_the_right_and_a_frame_does_not_give_it_back),
		cmocka_unit_test(
		    test_a_peer_that_is_not_heard_may_be_frozen_until_its_lease_ends),
		cmocka_unit_test(test_a_suspended_node_yields_to_an_active_peer),
		cmocka_unit_test(
		    test_a_suspended_node_does_not_answer_beside_an_active_one),
		cmocka_unit_test(test_a_sign_of_life_that_ends_again_opens_nothing),
		cmocka_unit_test(
		    test_a_backup_to_which_all_is_silent_asks_and_does_not_take_over),
		cmocka_unit_test(test_a_backup_that_was_cut_off_finds_its_peer_again),
		cmocka_unit_test(
		    test_one_answer_is_enough_for_a_backup_to_take_over_in_time),
		cmocka_unit_test(test_a_slow_answer_proves_only_the_round_before),
		cmocka_unit_test(
		    test_what_no_turn_would_find_in_time_is_asked_in_between),
		cmocka_unit_test(test_answers_alone_give_the_right_back),
		cmocka_unit_test(
		    test_a_suspended_node_that_knows_nobody_any_more_only_listens),
		cmocka_unit_test(
		    test_a_member_that_is_probed_at_leisure_is_asked_at_once),
		cmocka_unit_test(test_who_sees_no_frames_is_not_bound),
		cmocka_unit_test(test_a_backup_that_knows_nobody_takes_over_in_time),
		cmocka_unit_test(test_a_backup_asks_again_whether_it_knows_nobody),
		cmocka_unit_test(test_a_backup_that_sees_no_frames_takes_over_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
