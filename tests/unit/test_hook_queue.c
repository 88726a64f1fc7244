/* What a hook is run for and when: order, coalescing, time limits, the stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "routerd/core/hook_queue.h"

#define TIMEOUT_MS 5000

enum { ALL = 31, ONLY_NOTIFY = 1 << TD_HOOK_NOTIFY, ONLY_ACTIVE = 1 << TD_HOOK_ACTIVE };

struct row {
	int at_ms;
	enum hook_event_kind kind;
	enum hook_state state; /* CHANGE */
	uint64_t term;
	const char *router;
	enum hook_action expect;
	enum td_hook hook; /* RUN: which, for which state, after which */
	enum hook_state about, before;
	int deadline_ms; /* -1 = none */
};

struct story {
	const char *name;
	unsigned hooks;
	struct row row[16];
	uint64_t coalesced;
};

#define READY(ms)                                                                      \
	{                                                                              \
		ms, HOOK_EV_READY, HOOK_UNKNOWN, 0, "", HOOK_DO_NOTHING, 0, 0, 0, -1   \
	}
#define QUIET(ms, state, term, deadline)                                               \
	{                                                                              \
		ms, HOOK_EV_CHANGE, state, term, "", HOOK_DO_NOTHING, 0, 0, 0,         \
		    deadline                                                           \
	}
#define RUNS(ms, state, term, hook, before)                                            \
	{                                                                              \
		ms, HOOK_EV_CHANGE, state, term, "", HOOK_DO_RUN, hook, state, before, \
		    (ms) + TIMEOUT_MS                                                  \
	}
#define ENDS(ms, hook, about, before)                                                  \
	{                                                                              \
		ms, HOOK_EV_EXIT, 0, 0, "", HOOK_DO_RUN, hook, about, before,          \
		    (ms) + TIMEOUT_MS                                                  \
	}
#define IDLE(ms)                                                                       \
	{                                                                              \
		ms, HOOK_EV_EXIT, 0, 0, "", HOOK_DO_NOTHING, 0, 0, 0, -1               \
	}
#define DOES(ms, event, action, deadline)                                              \
	{                                                                              \
		ms, event, 0, 0, "", action, 0, 0, 0, deadline                         \
	}

static const struct story stories[] = {
	{ "a change runs the hook of its state, then notify", ALL,
	    { READY(0), RUNS(1, HOOK_BACKUP, 3, TD_HOOK_BACKUP, HOOK_UNKNOWN),
		ENDS(5, TD_HOOK_NOTIFY, HOOK_BACKUP, HOOK_UNKNOWN), IDLE(9),
		RUNS(20, HOOK_ACTIVE, 4, TD_HOOK_ACTIVE, HOOK_BACKUP),
		ENDS(25, TD_HOOK_NOTIFY, HOOK_ACTIVE, HOOK_BACKUP), IDLE(30) },
	    0 },
	{ "a state without a hook of its own runs notify alone", ONLY_NOTIFY,
	    { READY(0), RUNS(1, HOOK_FAULT, 3, TD_HOOK_NOTIFY, HOOK_UNKNOWN), IDLE(2) },
	    0 },
	{ "a state without any hook runs nothing, and counts as told", ONLY_ACTIVE,
	    { READY(0), QUIET(1, HOOK_BACKUP, 3, -1),
		RUNS(2, HOOK_ACTIVE, 4, TD_HOOK_ACTIVE, HOOK_BACKUP), IDLE(3) },
	    0 },
	{ "the same state again is no change", ALL,
	    { READY(0), RUNS(1, HOOK_BACKUP, 3, TD_HOOK_BACKUP, HOOK_UNKNOWN),
		QUIET(2, HOOK_BACKUP, 9, 5001),
		ENDS(5, TD_HOOK_NOTIFY, HOOK_BACKUP, HOOK_UNKNOWN), IDLE(6),
		QUIET(7, HOOK_BACKUP, 3, -1) },
	    0 },
	{ "an Active of a new term took over anew", ONLY_ACTIVE,
	    { READY(0), RUNS(1, HOOK_ACTIVE, 3, TD_HOOK_ACTIVE, HOOK_UNKNOWN), IDLE(2),
		RUNS(3, HOOK_ACTIVE, 5, TD_HOOK_ACTIVE, HOOK_ACTIVE), IDLE(4) },
	    0 },
	{ "a node that has not begun does not stop", ALL,
	    { READY(0), QUIET(1, HOOK_STOP, 0, -1),
		RUNS(2, HOOK_BACKUP, 0, TD_HOOK_BACKUP, HOOK_UNKNOWN) },
	    0 },
	{ "nothing runs beside what an earlier life left", ALL,
	    { QUIET(0, HOOK_BACKUP, 1, -1), QUIET(1, HOOK_ACTIVE, 2, -1),
		{ 2, HOOK_EV_READY, 0, 0, "", HOOK_DO_RUN, TD_HOOK_ACTIVE, HOOK_ACTIVE,
		    HOOK_UNKNOWN, 2 + TIMEOUT_MS } },
	    1 },
	{ "while one runs only the newest state waits, also the one that runs", ALL,
	    { READY(0), RUNS(1, HOOK_BACKUP, 1, TD_HOOK_BACKUP, HOOK_UNKNOWN),
		QUIET(2, HOOK_ACTIVE, 2, 5001), QUIET(3, HOOK_BACKUP, 2, 5001),
		QUIET(4, HOOK_ACTIVE, 4, 5001), QUIET(5, HOOK_BACKUP, 4, 5001),
		/* its notify is overtaken as well */
		ENDS(9, TD_HOOK_BACKUP, HOOK_BACKUP, HOOK_BACKUP),
		ENDS(10, TD_HOOK_NOTIFY, HOOK_BACKUP, HOOK_BACKUP), IDLE(11) },
	    4 },
	{ "too long is SIGTERM, then SIGKILL, then what comes next", ALL,
	    { READY(0), RUNS(1, HOOK_ACTIVE, 1, TD_HOOK_ACTIVE, HOOK_UNKNOWN),
		DOES(5000, HOOK_EV_TICK, HOOK_DO_NOTHING, 5001),
		DOES(5001, HOOK_EV_TICK, HOOK_DO_TERMINATE, 6001),
		DOES(6001, HOOK_EV_TICK, HOOK_DO_KILL, -1),
		ENDS(6002, TD_HOOK_NOTIFY, HOOK_ACTIVE, HOOK_UNKNOWN), IDLE(6003) },
	    0 },
	{ "one that obeys SIGTERM is not killed", ONLY_ACTIVE,
	    { READY(0), RUNS(1, HOOK_ACTIVE, 1, TD_HOOK_ACTIVE, HOOK_UNKNOWN),
		DOES(5001, HOOK_EV_TICK, HOOK_DO_TERMINATE, 6001), IDLE(5002),
		DOES(6001, HOOK_EV_TICK, HOOK_DO_NOTHING, -1) },
	    0 },
	{ "a stop with nothing to run is at once", ALL,
	    { READY(0), DOES(1, HOOK_EV_STOP, HOOK_DO_LEAVE, -1) }, 0 },
	{ "a stop lets the stop hook run, for two seconds", ALL,
	    { READY(0), RUNS(1, HOOK_BACKUP, 1, TD_HOOK_BACKUP, HOOK_UNKNOWN),
		ENDS(2, TD_HOOK_NOTIFY, HOOK_BACKUP, HOOK_UNKNOWN), IDLE(3),
		RUNS(10, HOOK_STOP, 1, TD_HOOK_STOP, HOOK_BACKUP),
		DOES(20, HOOK_EV_STOP, HOOK_DO_NOTHING, 2020),
		DOES(2020, HOOK_EV_TICK, HOOK_DO_KILL, -1),
		DOES(2021, HOOK_EV_EXIT, HOOK_DO_LEAVE, -1) },
	    0 },
	{ "at a stop what was overtaken makes room at once", ALL,
	    { READY(0), RUNS(1, HOOK_ACTIVE, 1, TD_HOOK_ACTIVE, HOOK_UNKNOWN),
		QUIET(10, HOOK_STOP, 1, 5001),
		DOES(20, HOOK_EV_STOP, HOOK_DO_TERMINATE, 270),
		DOES(270, HOOK_EV_TICK, HOOK_DO_KILL, -1),
		{ 280, HOOK_EV_EXIT, 0, 0, "", HOOK_DO_RUN, TD_HOOK_STOP, HOOK_STOP,
		    HOOK_ACTIVE, 2020 },
		{ 290, HOOK_EV_EXIT, 0, 0, "", HOOK_DO_RUN, TD_HOOK_NOTIFY, HOOK_STOP,
		    HOOK_ACTIVE, 2020 },
		DOES(300, HOOK_EV_EXIT, HOOK_DO_LEAVE, -1) },
	    1 },
	{ "without a supervisor nothing is waited for", ALL,
	    { READY(0), RUNS(1, HOOK_ACTIVE, 1, TD_HOOK_ACTIVE, HOOK_UNKNOWN),
		QUIET(10, HOOK_STOP, 1, 5001),
		DOES(20, HOOK_EV_STOP_NOW, HOOK_DO_KILL, -1),
		DOES(21, HOOK_EV_EXIT, HOOK_DO_LEAVE, -1) },
	    0 },
	{ "routers of mode independent take turns, each with its own newest",
	    ONLY_NOTIFY,
	    { READY(0),
		{ 1, HOOK_EV_CHANGE, HOOK_ACTIVE, 1, "wan0", HOOK_DO_RUN,
		    TD_HOOK_NOTIFY, HOOK_ACTIVE, HOOK_UNKNOWN, 5001 },
		{ 2, HOOK_EV_CHANGE, HOOK_BACKUP, 1, "wan0", HOOK_DO_NOTHING, 0, 0, 0,
		    5001 },
		{ 3, HOOK_EV_CHANGE, HOOK_FAULT, 1, "lan0", HOOK_DO_NOTHING, 0, 0, 0,
		    5001 },
		{ 4, HOOK_EV_CHANGE, HOOK_FAULT, 1, "wan0", HOOK_DO_NOTHING, 0, 0, 0,
		    5001 },
		ENDS(5, TD_HOOK_NOTIFY, HOOK_FAULT, HOOK_ACTIVE),
		ENDS(6, TD_HOOK_NOTIFY, HOOK_FAULT, HOOK_UNKNOWN), IDLE(7) },
	    1 },
};

static struct td_instant
at(int ms)
{
	return (struct td_instant){ ms * NS_PER_MS };
}

static unsigned
differs(const struct story *s, unsigned i, const struct hook_queue *q,
    enum hook_action action)
{
	const struct row *r = &s->row[i];
	struct td_instant deadline = hook_queue_deadline(q);
	int64_t deadline_ms = deadline.ns == TD_NEVER.ns ? -1 : deadline.ns / NS_PER_MS;
	bool same = action == r->expect && deadline_ms == r->deadline_ms;

	if (action == HOOK_DO_RUN)
		same = same && q->hook == r->hook && q->now.state == r->about &&
		       q->before == r->before;
	if (!same)
		print_error(
		    "%s / row %u: action %d hook %s for %s after %s until %lld\n",
		    s->name, i, (int)action, td_hook_name(q->hook),
		    hook_state_name(q->now.state), hook_state_name(q->before),
		    (long long)deadline_ms);
	return !same;
}

static void
every_story_goes_as_told(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		const struct story *s = &stories[i];
		struct td_hooks_config cfg = { .timeout_ns = TIMEOUT_MS * NS_PER_MS };
		struct hook_queue q;

		for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
			if ((s->hooks >> hook & 1) != 0)
				snprintf(cfg.path[hook], TD_PATH_MAX, "/hook%u", hook);
		hook_queue_init(&q);
		for (unsigned r = 0; r < 16 && s->row[r].router != NULL; r++) {
			const struct row *row = &s->row[r];
			struct hook_change change = { .state = row->state,
				.term = row->term };
			struct hook_event ev = { .kind = row->kind, .change = &change };

			snprintf(
			    change.router, sizeof(change.router), "%s", row->router);
			wrong += differs(
			    s, r, &q, hook_queue_step(&cfg, &q, &ev, at(row->at_ms)));
		}
		if (q.coalesced != s->coalesced) {
			print_error("%s: coalesced %llu\n", s->name,
			    (unsigned long long)q.coalesced);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void
a_role_becomes_the_state_that_users_know(void **state)
{
	static const struct {
		struct td_msg_role role;
		enum hook_state state;
		const char *word;
	} rows[] = {
		{ { .role = TD_ROLE_ACTIVE }, HOOK_ACTIVE, "MASTER" },
		{ { .role = TD_ROLE_BACKUP }, HOOK_BACKUP, "BACKUP" },
		{ { .role = TD_ROLE_BACKUP, .fault = true }, HOOK_FAULT, "FAULT" },
		{ { .role = TD_ROLE_INITIALIZE, .fault = true }, HOOK_FAULT, "FAULT" },
		{ { .role = TD_ROLE_INITIALIZE }, HOOK_STOP, "STOP" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hook_change change = hook_change_of(&rows[i].role);

		assert_int_equal(change.state, rows[i].state);
		assert_string_equal(hook_state_keepalived(change.state), rows[i].word);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_story_goes_as_told),
		cmocka_unit_test(a_role_becomes_the_state_that_users_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
