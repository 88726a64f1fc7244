/*
 * The election of a node, row by row as docs/vrrp-node-mode.md lists them: a state, an
 * event, then the role, the reason and every action in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "tests/unit/node_fixture.h"

struct row {
	const char *name;
	struct setup setup;
	struct node_event event;
	int64_t when;     /* after NOW */
	bool down_at_now; /* the Active_Down_Timer runs out exactly now */
	enum td_role want_role;
	enum node_reason want_reason;
	uint64_t want_term;
	enum node_action_kind want[WANT_MAX];
	unsigned want_count;
};

static const struct row rows[] = {
	/* Backup */
	{ "backup / down timer, nobody alive / takes over in a new term",
	    { .role = TD_ROLE_BACKUP, .peer = ABSENT, .term = 4 }, TICK, 0, true,
	    TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 5,
	    W(PERSIST, ADVERTS, WITNESS) },
	{ "backup / down timer, without state but nobody alive / takes over",
	    { .role = TD_ROLE_BACKUP, .peer = ABSENT, .no_state = true }, TICK, 0, true,
	    TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 1,
	    W(PERSIST, ADVERTS, WITNESS) },
	{ "backup / down timer, a preferred Backup is alive / lets it go first",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_BACKUP }, TICK, 0, true,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, NOTHING },
	{ "backup / down timer, a Backup of lower priority is alive / takes over",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_BACKUP, .peer_priority = 50 }, TICK,
	    0, true, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 1,
	    W(PERSIST, ADVERTS, WITNESS) },
	{ "backup / down timer, equal priority, the other has the lower index / waits",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_BACKUP, .peer_priority = 100 }, TICK,
	    0, true, TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, NOTHING },
	{ "backup / down timer, the preferred Backup lacks the state / takes over",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_BACKUP, .peer_no_state = true },
	    TICK, 0, true, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 1,
	    W(PERSIST, ADVERTS, WITNESS) },
	{ "backup / down timer, we lack the state, a lower Backup has it / waits",
	    { .role = TD_ROLE_BACKUP,
		.peer = PEER_BACKUP,
		.no_state = true,
		.peer_priority = 50 },
	    TICK, 0, true, TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, NOTHING },
	{ "backup / tick before the down timer / stays",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, TICK, I / 4, false,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, NOTHING },
	{ "backup / its turn / witness only, nothing on the members",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, TICK, I / 2, false,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, W(WITNESS) },
	{ "backup / advertisement / waits again",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, ADVERT(0, 150), I / 4,
	    false, TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, NOTHING },
	{ "backup / advertisement of lower priority / waits again as well",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, ADVERT(1, 1), I / 4, false,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, NOTHING },
	{ "backup / shutdown / leaves in silence",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE },
	    { .kind = NODE_EV_SHUTDOWN }, 0, false, TD_ROLE_INITIALIZE,
	    NODE_BY_SHUTDOWN, 0, W(FENCE, WITNESS, ROLE, STOPPED) },
	{ "backup / switchover / refused",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE },
	    { .kind = NODE_EV_SWITCHOVER }, 0, false, TD_ROLE_BACKUP, NODE_BY_STARTUP,
	    0, W(REPLY) },

	/* Active */
	{ "active / its turn / advertises, then the witness",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TICK, I / 2,
	    false, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4, W(ADVERTS, WITNESS) },
	{ "active / woken after its lease / closes the fence and listens",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TICK, 3 * I,
	    false, TD_ROLE_BACKUP, NODE_BY_LEASE_LAPSED, 4,
	    W(FENCE, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / priority 0 on a member / advertises",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, ADVERT(0, 0), 1,
	    false, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4, W(ADVERTS) },
	{ "active / another Active on a member, witness alive / answers, terms will "
	  "decide",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, ADVERT(0, 200),
	    1, false, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4,
	    W(ADVERTS, WITNESS, ANNOUNCE, ROLE) },
	{ "active / another Active of higher priority, no witness / yields",
	    { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 }, ADVERT(0, 200), 1,
	    false, TD_ROLE_BACKUP, NODE_BY_HIGHER_PRIORITY, 4,
	    W(FENCE, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / another Active of equal priority and lower index, no witness / "
	  "yields",
	    { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 }, ADVERT(0, 100), 1,
	    false, TD_ROLE_BACKUP, NODE_BY_HIGHER_PRIORITY, 4,
	    W(FENCE, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / another Active of lower priority, no witness / answers",
	    { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 }, ADVERT(0, 99), 1,
	    false, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4,
	    W(ADVERTS, WITNESS, ANNOUNCE, ROLE) },
	{ "active / switchover / asks for the barrier",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 },
	    { .kind = NODE_EV_SWITCHOVER }, 1, false, TD_ROLE_ACTIVE,
	    NODE_BY_ACTIVE_DOWN_TIMER, 4, W(BARRIER) },
	{ "active / switchover, nobody on the witness / refused",
	    { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 },
	    { .kind = NODE_EV_SWITCHOVER }, 1, false, TD_ROLE_ACTIVE,
	    NODE_BY_ACTIVE_DOWN_TIMER, 4, W(REPLY) },
	{ "active / switchover, the peer lacks the state / refused",
	    { .role = TD_ROLE_ACTIVE,
		.peer = PEER_BACKUP,
		.term = 4,
		.peer_no_state = true },
	    { .kind = NODE_EV_SWITCHOVER }, 1, false, TD_ROLE_ACTIVE,
	    NODE_BY_ACTIVE_DOWN_TIMER, 4, W(REPLY) },
	{ "active / switchover, the peer does not hear us / refused",
	    { .role = TD_ROLE_ACTIVE,
		.peer = PEER_BACKUP,
		.term = 4,
		.deaf_peer = true },
	    { .kind = NODE_EV_SWITCHOVER }, 1, false, TD_ROLE_ACTIVE,
	    NODE_BY_ACTIVE_DOWN_TIMER, 4, W(REPLY) },
	{ "active / a member loses its link, the peer has it / hands over at once",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 },
	    { .kind = NODE_EV_LINK, .member = 1, .link_up = false }, 1, false,
	    TD_ROLE_BACKUP, NODE_BY_LINK_DOWN, 4,
	    W(WITNESS, FENCE, ADVERTS, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / a member loses its link, nobody else is there / stays",
	    { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 },
	    { .kind = NODE_EV_LINK, .member = 1, .link_up = false }, 1, false,
	    TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4, W(WITNESS) },
	{ "active / shutdown, nobody listens / priority 0 behind the closed fence",
	    { .role = TD_ROLE_ACTIVE, .peer = ABSENT, .term = 4 },
	    { .kind = NODE_EV_SHUTDOWN }, 1, false, TD_ROLE_INITIALIZE,
	    NODE_BY_SHUTDOWN, 4,
	    W(FENCE, ADVERTS, WITNESS, DEMOTE, ROLE, PREPARE, STOPPED) },
	{ "active / shutdown, the peer can take over / first the barrier",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 },
	    { .kind = NODE_EV_SHUTDOWN }, 1, false, TD_ROLE_ACTIVE,
	    NODE_BY_ACTIVE_DOWN_TIMER, 4, W(BARRIER) },
	{ "active / shutdown without tandemd / no barrier",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 },
	    { .kind = NODE_EV_SHUTDOWN, .now = true }, 1, false, TD_ROLE_INITIALIZE,
	    NODE_BY_SHUTDOWN, 4,
	    W(FENCE, ADVERTS, WITNESS, DEMOTE, ROLE, PREPARE, STOPPED) },
};

static void
complain(const char *name, const struct node *n, const struct node_actions *out)
{
	print_error("row \"%s\": role %d reason %s term %llu, actions", name,
	    (int)n->role, node_reason_name(n->reason), (unsigned long long)n->term);
	for (unsigned i = 0; i < out->count; i++)
		print_error(" %d", (int)out->list[i].kind);
	print_error("\n");
}

static void
test_rows(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct node n = make(&config, &row->setup);
		struct node_actions out;

		if (row->down_at_now)
			n.down_deadline = at(row->when);
		node_step(&config, &n, &row->event, at(row->when), &out);
		if (n.role != row->want_role || n.reason != row->want_reason ||
		    n.term != row->want_term ||
		    !same_actions(&out, row->want, row->want_count)) {
			complain(row->name, &n, &out);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* Rows whose event is a witness message. */
struct witness_row {
	const char *name;
	struct setup setup;
	enum td_role role;
	uint64_t term;
	uint8_t priority;
	unsigned flags; /* on top of what the setup says */
	enum td_role want_role;
	enum node_reason want_reason;
	uint64_t want_term;
	int64_t want_down; /* Backup: the down timer relative to NOW */
	enum node_action_kind want[WANT_MAX];
	unsigned want_count;
};

static const struct witness_row witness_rows[] = {
	{ "backup / the Active's witness / waits again",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, TD_ROLE_ACTIVE, 0, 150, 0,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, DOWN + 1, NOTHING },
	{ "backup / a higher term / learns it",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, TD_ROLE_ACTIVE, 9, 150, 0,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 9, DOWN + 1, W(ROLE, PREPARE) },
	{ "backup / a Backup's witness / the down timer runs on",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_BACKUP }, TD_ROLE_BACKUP, 0, 150, 0,
	    TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, DOWN, NOTHING },
	{ "backup / the peer resigns / due at once",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE }, TD_ROLE_BACKUP, 0, 150,
	    WITNESS_RESIGN, TD_ROLE_BACKUP, NODE_BY_STARTUP, 0, 1, W(ROLE) },
	{ "backup without state / the peer resigns but goes on living / not ours",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .no_state = true },
	    TD_ROLE_BACKUP, 0, 150, WITNESS_RESIGN, TD_ROLE_BACKUP, NODE_BY_STARTUP, 0,
	    DOWN, W(ROLE) },
	{ "backup without state / the peer stops / due at once",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .no_state = true },
	    TD_ROLE_INITIALIZE, 0, 150, WITNESS_RESIGN, TD_ROLE_BACKUP, NODE_BY_STARTUP,
	    0, 1, W(ROLE) },
	{ "backup / a resignation from an older term / ignored",
	    { .role = TD_ROLE_BACKUP, .peer = PEER_ACTIVE, .term = 9, .peer_term = 9 },
	    TD_ROLE_BACKUP, 8, 150, WITNESS_RESIGN, TD_ROLE_BACKUP, NODE_BY_STARTUP, 9,
	    DOWN, W(ROLE) },

	{ "active / another Active with a higher term / yields",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TD_ROLE_ACTIVE,
	    5, 1, 0, TD_ROLE_BACKUP, NODE_BY_HIGHER_TERM, 5, DOWN + 1,
	    W(FENCE, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / another Active with a lower term / answers, announces again",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TD_ROLE_ACTIVE,
	    3, 200, 0, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4, 0,
	    W(ADVERTS, WITNESS, ANNOUNCE, ROLE) },
	{ "active / equal term, higher priority / yields",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TD_ROLE_ACTIVE,
	    4, 101, 0, TD_ROLE_BACKUP, NODE_BY_HIGHER_PRIORITY, 4, DOWN + 1,
	    W(FENCE, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / equal term, equal priority, lower index / yields",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TD_ROLE_ACTIVE,
	    4, 100, 0, TD_ROLE_BACKUP, NODE_BY_HIGHER_PRIORITY, 4, DOWN + 1,
	    W(FENCE, WITNESS, DEMOTE, ROLE, PREPARE) },
	{ "active / equal term, lower priority / answers",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TD_ROLE_ACTIVE,
	    4, 99, 0, TD_ROLE_ACTIVE, NODE_BY_ACTIVE_DOWN_TIMER, 4, 0,
	    W(ADVERTS, WITNESS, ANNOUNCE, ROLE) },
	{ "active / a Backup knows a higher term / opens one above it",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4 }, TD_ROLE_BACKUP,
	    7, 150, 0, TD_ROLE_ACTIVE, NODE_BY_TERM_RAISED, 8, 0, W(PERSIST, ROLE) },
	{ "active / the preferred Backup claims, preemption is off / nothing",
	    { .role = TD_ROLE_ACTIVE, .peer = PEER_BACKUP, .term = 4, .peer_term = 4 },
	    TD_ROLE_BACKUP, 4, 150, WITNESS_CLAIM, TD_ROLE_ACTIVE,
	    NODE_BY_ACTIVE_DOWN_TIMER, 4, 0, NOTHING },
};

static void
test_witness_rows(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(witness_rows) / sizeof(witness_rows[0]); i++) {
		const struct witness_row *row = &witness_rows[i];
		struct node n = make(&config, &row->setup);
		struct witness_payload w = witness_of(&row->setup, row->role);
		struct node_event ev = { .kind = NODE_EV_WITNESS, .witness = &w };
		struct node_actions out;

		w.term = row->term;
		w.priority = w.base_priority = row->priority;
		w.flags |= (uint16_t)row->flags;
		node_step(&config, &n, &ev, at(1), &out);
		if (n.role != row->want_role || n.reason != row->want_reason ||
		    n.term != row->want_term ||
		    (n.role == TD_ROLE_BACKUP &&
			n.down_deadline.ns != NOW + row->want_down) ||
		    !same_actions(&out, row->want, row->want_count)) {
			complain(row->name, &n, &out);
			if (n.role == TD_ROLE_BACKUP)
				print_error("  down in %+lld ns\n",
				    (long long)(n.down_deadline.ns - NOW));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_witness_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
