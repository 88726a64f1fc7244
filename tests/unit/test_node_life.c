/* The election of a node over several events: leases, hand-overs, cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/unit/node_fixture.h"

static struct node_actions
step(const struct node_config *cfg, struct node *n, struct node_event ev, int64_t ns)
{
	struct node_actions out;

	node_step(cfg, n, &ev, at(ns), &out);
	return out;
}

static void
frame(struct node *n, uint8_t member, int64_t heard, int64_t ns)
{
	step(&config, n,
	    (struct node_event){
		.kind = NODE_EV_FRAME, .member = member, .frame_at = at(heard) },
	    ns);
}

static struct node_event
sent(int64_t before, bool ok)
{
	return (struct node_event){ .kind = NODE_EV_SENT, .sent = { at(before), ok } };
}

static struct node
taking_over(void)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = ABSENT };
	struct node n = make(&config, &s);
	struct node_actions out;

	n.down_deadline = at(0);
	out = step(&config, &n, (struct node_event)TICK, 0);
	assert_int_equal(out.list[1].kind, NODE_DO_SEND_ADVERTS);
	return n;
}

static void
test_fence_and_addresses_follow_the_first_words(void **context)
{
	struct node n = taking_over();
	struct node_actions out = step(&config, &n, sent(10, true), 20);

	(void)context;
	assert_true(
	    same_actions(&out, (enum node_action_kind[]){ FENCE, PROMOTE, ROLE }, 3));
	/* From before the send, never from now. */
	assert_int_equal(out.list[0].answer.ns, NOW + 10 + 3 * I);
}

static void
test_words_that_did_not_leave_open_nothing(void **context)
{
	struct node n = taking_over();
	struct node_actions out = step(&config, &n, sent(10, false), 20);

	(void)context;
	assert_int_equal(out.count, 0);
}

static void
test_a_round_that_outlived_the_lease_does_not_renew_it(void **context)
{
	struct node n = taking_over();
	struct node_actions out = step(&config, &n, sent(10, true), 3 * I + 1);

	(void)context;
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_LEASE_LAPSED);
	assert_int_equal(out.list[0].kind, FENCE);
	assert_int_equal(out.list[0].answer.ns, 0);
}

static void
test_a_takeover_that_was_stopped_on_its_way_reads_and_speaks_again(void **context)
{
	struct node n = taking_over();
	int64_t late = NODE_FRESH_NS + 1;
	struct node_actions out = step(&config, &n, sent(late, true), late);

	(void)context;
	assert_int_equal(out.count, 0);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(node_deadline(&n).ns, NOW + late);
	out = step(&config, &n, (struct node_event)TICK, late);
	assert_int_equal(out.list[0].kind, ADVERTS);
	out = step(&config, &n, sent(late, true), late);
	assert_true(
	    same_actions(&out, (enum node_action_kind[]){ FENCE, PROMOTE, ROLE }, 3));
}

static void
test_the_interval_of_the_active_node_is_learned(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE_NO_WITNESS };
	struct node n = make(&config, &s);
	struct node_event advert = { .kind = NODE_EV_ADVERT, .advert = { 150, 2 * I } };

	(void)context;
	step(&config, &n, advert, 0);
	assert_int_equal(n.down_deadline.ns, NOW + 2 * DOWN);
}

static void
test_an_answer_between_turns_does_not_renew(void **context)
{
	struct setup s = { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 };
	struct node n = make(&config, &s);
	struct node_actions out;

	(void)context;
	step(&config, &n, (struct node_event)ADVERT(0, 50), 1);
	out = step(&config, &n, sent(2, true), 3);
	assert_int_equal(out.count, 0);
	assert_int_equal(n.answer_deadline.ns, NOW + 3 * I);
}

static void
test_own_lateness_is_not_the_peers_silence(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE };
	struct node n = make(&config, &s);

	(void)context;
	/* Stopped for five seconds; nothing was in the sockets. */
	step(&config, &n, (struct node_event)TICK, 5 * NS_PER_S);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.down_deadline.ns, NOW + 5 * NS_PER_S + I);
	/* Others are heard from then on: the peer has its turn after them. */
	frame(&n, 0, 5 * NS_PER_S + I, 5 * NS_PER_S + I);
	step(&config, &n, (struct node_event)TICK, 5 * NS_PER_S + I);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	step(&config, &n, (struct node_event)TICK, 5 * NS_PER_S + 5 * I / 2);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static void
test_a_takeover_advertises_above_the_last_priority_heard(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE };
	struct node n = make(&config, &s);
	struct node_event sync = { .kind = NODE_EV_SYNC_STATE };
	struct witness_payload w = witness_of(&s, TD_ROLE_BACKUP);

	(void)context;
	for (int64_t t = I / 2; t <= 5 * I; t += I) {
		frame(&n, 0, t, t);
		step(&config, &n, (struct node_event)TICK, t);
	}
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(n.priority, 151);
	/* Until the peer is back and holds the state. */
	w.term = n.term;
	step(&config, &n, sent(5 * I, true), 5 * I);
	step(&config, &n, (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &w },
	    6 * I);
	step(&config, &n, (struct node_event)TICK, 6 * I);
	assert_int_equal(n.priority, 151);
	sync.sync.have_state = sync.sync.peer_has_state = true;
	step(&config, &n, sync, 6 * I);
	step(&config, &n, (struct node_event)TICK, 6 * I + 1);
	assert_int_equal(n.priority, 100);
}

static void
test_priority_0_makes_a_backup_with_state_due_at_once(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE };
	struct node n = make(&config, &s);

	(void)context;
	step(&config, &n, (struct node_event)ADVERT(0, 0), I / 4);
	assert_int_equal(
	    n.role, TD_ROLE_BACKUP); /* what is still unread counts first */
	/* Even if the peer, restarted, is the preferred Backup again. */
	n.peer.role = TD_ROLE_BACKUP;
	step(&config, &n, (struct node_event)TICK, I / 4);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(n.reason, NODE_BY_PEER_RESIGNED);
}

static void
test_priority_0_makes_a_backup_without_state_wait_for_the_skew(void **context)
{
	struct setup s = {
		.role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .no_state = true
	};
	struct node n = make(&config, &s);

	(void)context;
	step(&config, &n, (struct node_event)ADVERT(0, 0), 1);
	assert_int_equal(n.down_deadline.ns, NOW + 1 + node_skew_time_ns(&config, &n));
	assert_false(n.peer_resigned);
}

static void
test_forged_resignations_do_not_move_the_role_to_and_fro(void **context)
{
	struct setup s = {
		.role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);

	(void)context;
	n.hold_deadline = at(10 * I); /* it was Active a moment ago */
	step(&config, &n, (struct node_event)ADVERT(0, 0), 1);
	assert_false(n.peer_resigned);
	/* The Active that is there answers priority 0 at once. */
	step(&config, &n, (struct node_event)ADVERT(0, 150), 2);
	step(&config, &n, (struct node_event)TICK, I / 2);
	step(&config, &n, (struct node_event)TICK, I);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	step(&config, &n, (struct node_event)ADVERT(0, 0), 10 * I);
	assert_true(n.peer_resigned);
}

static void
test_start_up_waits_for_the_links_but_not_for_ever(void **context)
{
	struct node_event link = { .kind = NODE_EV_LINK, .member = 0, .link_up = true };
	struct node n;
	int64_t t;

	(void)context;
	node_init(&n, 0);
	step(&config, &n, (struct node_event){ .kind = NODE_EV_STARTUP }, 0);
	for (t = I; t < 2 * NS_PER_S; t += I)
		step(&config, &n, (struct node_event)TICK, t);
	step(&config, &n, link, t);
	for (; t < NODE_STARTUP_HOLD_NS; t += I)
		step(&config, &n, (struct node_event)TICK, t);
	assert_int_equal(n.role, TD_ROLE_BACKUP); /* member 1 is still missing */
	for (; t < NODE_STARTUP_HOLD_NS + 2 * I; t += I)
		step(&config, &n, (struct node_event)TICK, t);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static void
test_without_any_link_there_is_no_takeover(void **context)
{
	struct node n;

	(void)context;
	node_init(&n, 0);
	step(&config, &n, (struct node_event){ .kind = NODE_EV_STARTUP }, 0);
	for (int64_t t = I; t < 20 * NS_PER_S; t += I)
		step(&config, &n, (struct node_event)TICK, t);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
}

static void
test_switchover_closes_the_fence_before_it_resigns(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);
	struct node_event barrier = { .kind = NODE_EV_BARRIER, .barrier_ok = true };
	struct node_actions out;

	(void)context;
	step(&config, &n, (struct node_event){ .kind = NODE_EV_SWITCHOVER }, 1);
	out = step(&config, &n, barrier, 2);
	assert_true(same_actions(&out,
	    (enum node_action_kind[]){ REPLY, FENCE, ADVERTS, WITNESS, ROLE, PREPARE },
	    6));
	assert_int_equal(out.list[0].refusal, NODE_REFUSED_NOT);
	assert_int_equal(out.list[1].answer.ns, 0);
	assert_int_equal(out.list[1].forward.ns, NOW + 2 + NODE_DRAIN_NS);
	assert_int_equal(out.list[2].priority, 0);
	assert_true((out.list[3].witness.flags & WITNESS_RESIGN) != 0);
	assert_int_equal(out.list[3].witness.role, TD_ROLE_BACKUP);
	/* The addresses stay for the drain, then go. */
	n.tick_deadline = at(2 * NODE_DRAIN_NS);
	n.down_deadline = at(3 * NODE_DRAIN_NS);
	frame(&n, 0, NODE_DRAIN_NS, NODE_DRAIN_NS);
	out = step(&config, &n, (struct node_event)TICK, 2 + NODE_DRAIN_NS);
	assert_true(
	    same_actions(&out, (enum node_action_kind[]){ FENCE, DEMOTE, ROLE }, 3));
	assert_int_equal(out.list[0].forward.ns, 0);
}

static void
test_switchover_without_acknowledgement_is_called_off(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);
	struct node_actions out;

	(void)context;
	step(&config, &n, (struct node_event){ .kind = NODE_EV_SWITCHOVER }, 1);
	out = step(&config, &n, (struct node_event){ .kind = NODE_EV_BARRIER }, 2);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(out.list[0].kind, REPLY);
	assert_int_equal(out.list[0].refusal, NODE_REFUSED_BARRIER);
	assert_int_equal(n.hold_deadline.ns, NOW + 2 + NODE_HOLD_NS_MIN);
	/* A longer hold that runs is not cut short by that. */
	n.hold_deadline = at(9 * NS_PER_S);
	step(&config, &n, (struct node_event){ .kind = NODE_EV_SWITCHOVER }, 3);
	step(&config, &n, (struct node_event){ .kind = NODE_EV_BARRIER }, 4);
	assert_int_equal(n.hold_deadline.ns, NOW + 9 * NS_PER_S);
}

static void
test_switchover_is_called_off_if_the_peer_has_lost_the_state_meanwhile(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);
	struct node_event barrier = { .kind = NODE_EV_BARRIER, .barrier_ok = true };
	struct witness_payload lost;
	struct node_actions out;

	(void)context;
	step(&config, &n, (struct node_event){ .kind = NODE_EV_SWITCHOVER }, 1);
	s.peer_no_state = true;
	lost = witness_of(&s, TD_ROLE_BACKUP);
	step(&config, &n,
	    (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &lost }, 2);
	out = step(&config, &n, barrier, 3);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_int_equal(out.list[0].kind, REPLY);
	assert_int_equal(out.list[0].refusal, NODE_REFUSED_PEER_NO_STATE);
}

static void
test_preemption_is_asked_for_and_granted(void **context)
{
	struct setup backup = {
		.role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .peer_priority = 50
	};
	struct setup active = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node_config cfg = config;
	struct witness_payload w;
	struct node n;
	struct node_actions out;

	(void)context;
	cfg.preempt = true;
	cfg.preempt_delay_ns = 2 * I;
	n = make(&cfg, &backup);
	w = witness_of(&backup, TD_ROLE_ACTIVE);
	for (int64_t t = I / 2; t < 5 * I; t += I) {
		struct node_event heard = { .kind = NODE_EV_WITNESS, .witness = &w };

		step(&cfg, &n, heard, t);
		step(&cfg, &n, (struct node_event)ADVERT(0, 50), t);
		step(&cfg, &n, (struct node_event)ADVERT(1, 50), t);
		step(&cfg, &n, (struct node_event)TICK, t);
		assert_int_equal(n.claiming, t >= 2 * I + I / 2);
	}
	n = make(&cfg, &active);
	w = witness_of(&active, TD_ROLE_BACKUP);
	w.flags |= WITNESS_CLAIM;
	out = step(
	    &cfg, &n, (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &w }, 1);
	assert_true(same_actions(&out, (enum node_action_kind[]){ BARRIER }, 1));
}

static void
test_a_backup_without_state_does_not_claim(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP,
		.peer = PEER_ACTIVE,
		.peer_priority = 50,
		.no_state = true };
	struct node_config cfg = config;
	struct node n;

	(void)context;
	cfg.preempt = true;
	n = make(&cfg, &s);
	step(&cfg, &n, (struct node_event)TICK, I / 2);
	assert_false(n.claiming);
}

static void
test_an_active_that_is_not_heard_yields(void **context)
{
	struct setup s = { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 };
	struct node n = make(&config, &s);

	(void)context;
	for (int64_t t = I / 2; t < 10 * I && n.role == TD_ROLE_ACTIVE; t += I) {
		step(&config, &n, (struct node_event)ADVERT(0, 50), t);
		step(&config, &n, (struct node_event)TICK, t);
		step(&config, &n, sent(t, true), t);
	}
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_NOT_HEARD);
}

static unsigned
count(const struct node_actions *out, enum node_action_kind kind)
{
	unsigned found = 0;

	for (unsigned i = 0; i < out->count; i++)
		found += out->list[i].kind == kind;
	return found;
}

/* The Backup's side of a silent cut of member 1. */
static void
test_a_backup_that_misses_one_member_doubts_probes_and_waits(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE };
	struct node n = make(&config, &s);
	struct witness_payload w = witness_of(&s, TD_ROLE_ACTIVE);
	struct node_actions out;
	unsigned probes = 0;

	(void)context;
	for (int64_t t = I / 2; t < 20 * I; t += I) {
		out = step(&config, &n, (struct node_event)ADVERT(0, 150), t);
		probes += count(&out, NODE_DO_PROBE);
		out = step(&config, &n,
		    (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &w }, t);
		probes += count(&out, NODE_DO_PROBE);
		out = step(&config, &n, (struct node_event)TICK, t);
		probes += count(&out, NODE_DO_PROBE);
	}
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_true(n.member[1].suspect);
	assert_false(n.member[0].suspect);
	assert_int_equal(probes, 1); /* one runs until its outcome is told */
	assert_true((n.alarms & NODE_ALARM_PARTIAL_CUT) != 0);
}

struct verdict_row {
	const char *name;
	bool reached;       /* our probes of member 1 */
	unsigned peer_bits; /* what the Backup says about it */
	enum td_role want_role;
};

/* The Active's side. */
static const struct verdict_row verdicts[] = {
	{ "nobody answers us, somebody answers the peer / hand over", false,
	    WITNESS_MEMBER_REACHED, TD_ROLE_BACKUP },
	{ "nobody answers either / nothing moves", false, WITNESS_MEMBER_UNREACHED,
	    TD_ROLE_ACTIVE },
	{ "nobody answers us, the peer is still probing / wait", false, 0,
	    TD_ROLE_ACTIVE },
	{ "we are answered, the peer is not: its port is cut / stay", true,
	    WITNESS_MEMBER_UNREACHED, TD_ROLE_ACTIVE },
	{ "both are answered: only adverts are lost / stay", true,
	    WITNESS_MEMBER_REACHED, TD_ROLE_ACTIVE },
};

static void
test_verdicts_of_a_partial_cut(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		const struct verdict_row *row = &verdicts[i];
		struct setup s = { .role = TD_ROLE_ACTIVE,
			.peer = PEER_BACKUP,
			.term = 4,
			.peer_term = 4 };
		struct node n = make(&config, &s);
		struct witness_payload w = witness_of(&s, TD_ROLE_BACKUP);
		struct node_event heard = { .kind = NODE_EV_WITNESS, .witness = &w };
		struct node_event probed = {
			.kind = NODE_EV_PROBED, .member = 1, .reached = row->reached
		};
		struct node_actions out;

		w.member[1] = (uint8_t)(WITNESS_MEMBER_LINK_UP |
					WITNESS_MEMBER_SUSPECT | row->peer_bits);
		out = step(&config, &n, heard, 1);
		assert_int_equal(count(&out, NODE_DO_PROBE), 1);
		step(&config, &n, probed, 2);
		/* One silent probe is no verdict. */
		assert_int_equal(n.role, TD_ROLE_ACTIVE);
		step(&config, &n, probed, 3);
		if (n.role != row->want_role)
			fail_msg("row \"%s\": role %d", row->name, (int)n.role);
		if (n.role == TD_ROLE_BACKUP)
			assert_int_equal(n.reason, NODE_BY_PARTIAL_CUT);
	}
}

/* Two routers alone on an idle segment: each hears at most the other. */
static void
test_a_member_where_nobody_can_be_asked_gives_no_verdict(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);
	struct witness_payload w = witness_of(&s, TD_ROLE_BACKUP);
	struct node_event heard = { .kind = NODE_EV_WITNESS, .witness = &w };
	struct node_event probed = {
		.kind = NODE_EV_PROBED, .member = 1, .nobody = true
	};

	(void)context;
	w.member[1] = WITNESS_MEMBER_LINK_UP | WITNESS_MEMBER_SUSPECT |
		      WITNESS_MEMBER_REACHED | WITNESS_MEMBER_HEARS_ADVERTS;
	step(&config, &n, heard, 1);
	for (int64_t t = 2; t < 6; t++)
		step(&config, &n, probed, t);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	assert_false(n.member[1].reached || n.member[1].unreached);
}

static void
test_no_second_hand_over_within_the_hold(void **context)
{
	struct setup s = {
		.role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4
	};
	struct node n = make(&config, &s);
	struct node_event down = {
		.kind = NODE_EV_LINK, .member = 0, .link_up = false
	};

	(void)context;
	n.hold_deadline = at(I);
	step(&config, &n, down, 1);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
	n.peer.witness_at = at(I);
	step(&config, &n, (struct node_event)TICK, I);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
}

/* An Active whose peer and members have all been silent since 0; probes get `answer`.
 */
static struct node
cut_off(bool peer_known, bool answer, int64_t until)
{
	struct setup s = { .role = TD_ROLE_ACTIVE,
		.peer = peer_known ? PEER_BACKUP : ABSENT,
		.term = 4 };
	struct node n = make(&config, &s);

	frame(&n, 0, 0, 0);
	frame(&n, 1, 0, 0);
	for (int64_t t = I / 2; t <= until; t += I) {
		step(&config, &n, (struct node_event)TICK, t);
		step(&config, &n, sent(t, true), t);
		for (uint8_t m = 0; m < 2; m++)
			step(&config, &n,
			    (struct node_event){ .kind = NODE_EV_PROBED,
				.member = m,
				.reached = answer && m == 1 },
			    t + I / 4);
	}
	return n;
}

static void
test_an_active_that_is_cut_off_everywhere_closes_its_fence(void **context)
{
	struct node n = cut_off(true, false, 2 * NS_PER_S);

	(void)context;
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.reason, NODE_BY_ISOLATED);
	assert_true((n.alarms & NODE_ALARM_ISOLATED) != 0);
	/* For as long as it lasts. */
	step(&config, &n, (struct node_event)TICK, 20 * NS_PER_S);
	step(&config, &n, (struct node_event)TICK, 21 * NS_PER_S);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	/* A first frame: listen as at the start, then serve again. */
	frame(&n, 0, 22 * NS_PER_S, 22 * NS_PER_S);
	step(&config, &n, (struct node_event)TICK, 22 * NS_PER_S);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	assert_int_equal(n.down_deadline.ns, NOW + 22 * NS_PER_S + DOWN);
	for (int64_t t = 0; t < DOWN; t += I)
		step(&config, &n, (struct node_event)TICK, 22 * NS_PER_S + t);
	assert_int_equal(n.role, TD_ROLE_BACKUP);
	step(&config, &n, (struct node_event)TICK, 22 * NS_PER_S + DOWN);
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static void
test_one_answer_on_a_quiet_segment_is_no_isolation(void **context)
{
	struct node n = cut_off(true, true, 5 * NS_PER_S);

	(void)context;
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static void
test_a_node_without_a_peer_is_alone_but_not_isolated(void **context)
{
	struct node n = cut_off(false, false, 5 * NS_PER_S);

	(void)context;
	assert_int_equal(n.role, TD_ROLE_ACTIVE);
}

static bool
at_fault(const struct node *n, int64_t ns)
{
	struct td_msg_role role;

	node_role(&config, n, at(ns), &role);
	return role.fault;
}

static bool
tells_role(const struct node_actions *out)
{
	for (unsigned i = 0; i < out->count; i++)
		if (out->list[i].kind == NODE_DO_ROLE)
			return true;
	return false;
}

static void
test_a_backup_without_any_link_is_at_fault_and_says_so(void **context)
{
	struct setup s = { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE };
	struct node n = make(&config, &s);
	struct node_event link = { .kind = NODE_EV_LINK };
	struct node_actions out;

	(void)context;
	out = step(&config, &n, link, 1);
	assert_false(at_fault(&n, 1) || tells_role(&out));
	link.member = 1;
	out = step(&config, &n, link, 2);
	assert_true(at_fault(&n, 2) && tells_role(&out));
	link.link_up = true;
	out = step(&config, &n, link, 3);
	assert_true(!at_fault(&n, 3) && tells_role(&out));
}

static void
test_a_node_that_starts_is_not_at_fault_until_its_links_had_their_time(void **context)
{
	struct node_actions out;
	struct node n;

	(void)context;
	node_init(&n, 0);
	step(&config, &n, (struct node_event){ .kind = NODE_EV_STARTUP }, 0);
	assert_false(at_fault(&n, 0));
	out = step(&config, &n, (struct node_event)TICK, NODE_STARTUP_HOLD_NS - 1);
	assert_false(at_fault(&n, NODE_STARTUP_HOLD_NS - 1) || tells_role(&out));
	out = step(&config, &n, (struct node_event)TICK, NODE_STARTUP_HOLD_NS);
	assert_true(at_fault(&n, NODE_STARTUP_HOLD_NS) && tells_role(&out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_an_active_that_is_cut_off_everywhere_closes_its_fence),
		cmocka_unit_test(test_one_answer_on_a_quiet_segment_is_no_isolation),
		cmocka_unit_test(test_a_node_without_a_peer_is_alone_but_not_isolated),
		cmocka_unit_test(test_fence_and_addresses_follow_the_first_words),
		cmocka_unit_test(test_words_that_did_not_leave_open_nothing),
		cmocka_unit_test(
		    test_a_round_that_outlived_the_lease_does_not_renew_it),
		cmocka_unit_test(
		    test_a_takeover_that_was_stopped_on_its_way_reads_and_speaks_again),
		cmocka_unit_test(test_the_interval_of_the_active_node_is_learned),
		cmocka_unit_test(test_an_answer_between_turns_does_not_renew),
		cmocka_unit_test(test_own_lateness_is_not_the_peers_silence),
		cmocka_unit_test(
		    test_a_takeover_advertises_above_the_last_priority_heard),
		cmocka_unit_test(test_priority_0_makes_a_backup_with_state_due_at_once),
		cmocka_unit_test(
		    test_priority_0_makes_a_backup_without_state_wait_for_the_skew),
		cmocka_unit_test(test_start_up_waits_for_the_links_but_not_for_ever),
		cmocka_unit_test(test_without_any_link_there_is_no_takeover),
		cmocka_unit_test(
		    test_forged_resignations_do_not_move_the_role_to_and_fro),
		cmocka_unit_test(test_switchover_closes_the_fence_before_it_resigns),
		cmocka_unit_test(test_switchover_without_acknowledgement_is_called_off),
		cmocka_unit_test(
		    test_switchover_is_called_off_if_the_peer_has_lost_the_state_meanwhile),
		cmocka_unit_test(test_preemption_is_asked_for_and_granted),
		cmocka_unit_test(test_a_backup_without_state_does_not_claim),
		cmocka_unit_test(test_an_active_that_is_not_heard_yields),
		cmocka_unit_test(
		    test_a_backup_that_misses_one_member_doubts_probes_and_waits),
		cmocka_unit_test(test_verdicts_of_a_partial_cut),
		cmocka_unit_test(
		    test_a_member_where_nobody_can_be_asked_gives_no_verdict),
		cmocka_unit_test(test_no_second_hand_over_within_the_hold),
		cmocka_unit_test(
		    test_a_backup_without_any_link_is_at_fault_and_says_so),
		cmocka_unit_test(
		    test_a_node_that_starts_is_not_at_fault_until_its_links_had_their_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
