#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "routerd/core/watch.h"

#define MS NS_PER_MS
#define STEPS_MAX 24

struct step {
	enum watch_event event;
	int64_t at_ns;
	enum watch_action action;
	enum watch_state state;
};

struct row {
	const char *name;
	struct step step[STEPS_MAX];
};

#define START                                                                          \
	{                                                                              \
		WATCH_EV_START, 0, WATCH_ACT_SPAWN, WATCH_STARTING                     \
	}
#define UP                                                                             \
	{                                                                              \
		WATCH_EV_PONG, 10 * MS, WATCH_ACT_NONE, WATCH_UP                       \
	}
#define PING(at)                                                                       \
	{                                                                              \
		WATCH_EV_TICK, at, WATCH_ACT_PING, WATCH_UP                            \
	}

/* Rules of a room that must answer within a second: a ping every 250 ms, four missed.
 */
static const struct row rows[] = {
	{ "down / start / spawn", { START } },
	{ "down / exit, tick, pong, stop / nothing",
	    { { WATCH_EV_EXIT, 0, WATCH_ACT_NONE, WATCH_DOWN },
		{ WATCH_EV_TICK, 0, WATCH_ACT_NONE, WATCH_DOWN },
		{ WATCH_EV_PONG, 0, WATCH_ACT_NONE, WATCH_DOWN },
		{ WATCH_EV_STOP, 0, WATCH_ACT_NONE, WATCH_DOWN } } },
	{ "starting / start again / nothing",
	    { START, { WATCH_EV_START, 1, WATCH_ACT_NONE, WATCH_STARTING } } },
	{ "starting / pong / up", { START, UP } },
	{ "starting / early tick / nothing",
	    { START, { WATCH_EV_TICK, 249 * MS, WATCH_ACT_NONE, WATCH_STARTING } } },
	{ "starting / tick / ping",
	    { START, { WATCH_EV_TICK, 250 * MS, WATCH_ACT_PING, WATCH_STARTING } } },
	{ "up / four pings unanswered / killed within a second and a quarter",
	    { START, UP, PING(250 * MS), PING(500 * MS), PING(750 * MS),
		PING(1000 * MS),
		{ WATCH_EV_TICK, 1250 * MS, WATCH_ACT_KILL, WATCH_KILLED } } },
	{ "up / an answer in between / the count begins again",
	    { START, UP, PING(250 * MS), PING(500 * MS), PING(750 * MS),
		{ WATCH_EV_PONG, 760 * MS, WATCH_ACT_NONE, WATCH_UP }, PING(1000 * MS),
		PING(1250 * MS), PING(1500 * MS), PING(1750 * MS),
		{ WATCH_EV_TICK, 2000 * MS, WATCH_ACT_KILL, WATCH_KILLED } } },
	{ "up / the whole machine frozen for 3 s / one missed ping, not twelve",
	    { START, UP, PING(250 * MS), PING(3500 * MS), PING(3750 * MS),
		{ WATCH_EV_PONG, 3760 * MS, WATCH_ACT_NONE, WATCH_UP } } },
	{ "up / busy with a configuration / not killed at once",
	    { START, UP, { WATCH_EV_CONFIG_SENT, 100 * MS, WATCH_ACT_NONE, WATCH_UP },
		PING(250 * MS), PING(500 * MS), PING(750 * MS), PING(1000 * MS),
		PING(1250 * MS),
		{ WATCH_EV_CONFIG_ACK, 1300 * MS, WATCH_ACT_NONE, WATCH_UP },
		PING(1500 * MS), PING(1750 * MS), PING(2000 * MS), PING(2250 * MS),
		{ WATCH_EV_TICK, 2500 * MS, WATCH_ACT_KILL, WATCH_KILLED } } },
	{ "up / long work announced / not killed at once, after its answer as before",
	    { START, UP, { WATCH_EV_BUSY, 100 * MS, WATCH_ACT_NONE, WATCH_UP },
		PING(250 * MS), PING(500 * MS), PING(750 * MS), PING(1000 * MS),
		PING(1250 * MS), { WATCH_EV_PONG, 1300 * MS, WATCH_ACT_NONE, WATCH_UP },
		PING(1500 * MS), PING(1750 * MS), PING(2000 * MS), PING(2250 * MS),
		{ WATCH_EV_TICK, 2500 * MS, WATCH_ACT_KILL, WATCH_KILLED } } },
	{ "killed / exit / spawned again at once",
	    { START, UP, PING(250 * MS), PING(500 * MS), PING(750 * MS),
		PING(1000 * MS),
		{ WATCH_EV_TICK, 1250 * MS, WATCH_ACT_KILL, WATCH_KILLED },
		{ WATCH_EV_TICK, 9000 * MS, WATCH_ACT_NONE, WATCH_KILLED },
		{ WATCH_EV_EXIT, 9001 * MS, WATCH_ACT_SPAWN, WATCH_STARTING } } },
	{ "up / first death / spawned at once",
	    { START, UP,
		{ WATCH_EV_EXIT, 500 * MS, WATCH_ACT_SPAWN, WATCH_STARTING } } },
	{ "up / second death within the minute / waits half a second",
	    { START, UP, { WATCH_EV_EXIT, 500 * MS, WATCH_ACT_SPAWN, WATCH_STARTING },
		{ WATCH_EV_EXIT, 600 * MS, WATCH_ACT_NONE, WATCH_BACKOFF },
		{ WATCH_EV_TICK, 1099 * MS, WATCH_ACT_NONE, WATCH_BACKOFF },
		{ WATCH_EV_TICK, 1100 * MS, WATCH_ACT_SPAWN, WATCH_STARTING } } },
	{ "backoff / third death / waits twice as long",
	    { START, { WATCH_EV_EXIT, 1, WATCH_ACT_SPAWN, WATCH_STARTING },
		{ WATCH_EV_EXIT, 0, WATCH_ACT_NONE, WATCH_BACKOFF },
		{ WATCH_EV_TICK, 500 * MS, WATCH_ACT_SPAWN, WATCH_STARTING },
		{ WATCH_EV_EXIT, 500 * MS, WATCH_ACT_NONE, WATCH_BACKOFF },
		{ WATCH_EV_TICK, 1499 * MS, WATCH_ACT_NONE, WATCH_BACKOFF },
		{ WATCH_EV_TICK, 1500 * MS, WATCH_ACT_SPAWN, WATCH_STARTING } } },
	{ "up / death after a quiet minute / the series begins again",
	    { START, { WATCH_EV_EXIT, 0, WATCH_ACT_SPAWN, WATCH_STARTING },
		{ WATCH_EV_EXIT, 60000 * MS, WATCH_ACT_SPAWN, WATCH_STARTING } } },
	{ "backoff / stop / down",
	    { START, { WATCH_EV_EXIT, 0, WATCH_ACT_SPAWN, WATCH_STARTING },
		{ WATCH_EV_EXIT, 0, WATCH_ACT_NONE, WATCH_BACKOFF },
		{ WATCH_EV_STOP, 1, WATCH_ACT_NONE, WATCH_DOWN },
		{ WATCH_EV_TICK, 900 * MS, WATCH_ACT_NONE, WATCH_DOWN } } },
	{ "up / stop / asked once, not restarted when it leaves",
	    { START, UP, { WATCH_EV_STOP, 20 * MS, WATCH_ACT_STOP, WATCH_STOPPING },
		{ WATCH_EV_STOP, 21 * MS, WATCH_ACT_NONE, WATCH_STOPPING },
		{ WATCH_EV_TICK, 300 * MS, WATCH_ACT_NONE, WATCH_STOPPING },
		{ WATCH_EV_EXIT, 310 * MS, WATCH_ACT_NONE, WATCH_DOWN } } },
	{ "killed / stop / asked in vain, not restarted",
	    { START, UP, PING(250 * MS), PING(500 * MS), PING(750 * MS),
		PING(1000 * MS),
		{ WATCH_EV_TICK, 1250 * MS, WATCH_ACT_KILL, WATCH_KILLED },
		{ WATCH_EV_STOP, 1251 * MS, WATCH_ACT_STOP, WATCH_STOPPING },
		{ WATCH_EV_EXIT, 1252 * MS, WATCH_ACT_NONE, WATCH_DOWN } } },
};

static void
check_row(const struct row *row)
{
	struct watch_rules rules = watch_rules_for(1000 * MS);
	struct watch w = { .deadline = TD_NEVER };

	for (unsigned i = 0; i < STEPS_MAX; i++) {
		const struct step *s = &row->step[i];
		enum watch_action action;

		if (i > 0 && s->event == 0 && s->at_ns == 0 && s->action == 0)
			break;
		action = watch_step(
		    &rules, &w, s->event, (struct td_instant){ NS_PER_S + s->at_ns });
		if (action != s->action || w.state != s->state)
			fail_msg("%s: step %u: action %d state %s", row->name, i,
			    (int)action, watch_state_name(w.state));
	}
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void
test_backoff_ends_at_its_maximum(void **state)
{
	struct watch_rules rules = watch_rules_for(NS_PER_S);
	struct watch w = { .deadline = TD_NEVER };
	struct td_instant now = { NS_PER_S };

	(void)state;
	watch_step(&rules, &w, WATCH_EV_START, now);
	for (int i = 0; i < 40; i++) {
		watch_step(&rules, &w, WATCH_EV_EXIT, now);
		if (w.state == WATCH_BACKOFF) {
			assert_true(
			    instant_diff_ns(w.deadline, now) <= rules.backoff_max_ns);
			now = w.deadline;
			assert_int_equal(watch_step(&rules, &w, WATCH_EV_TICK, now),
			    WATCH_ACT_SPAWN);
		}
	}
	assert_int_equal(w.deaths, 40);
	assert_int_equal(w.spawns, 41);
	assert_true(watch_crash_loop(&w));
	watch_step(&rules, &w, WATCH_EV_EXIT, now);
	assert_int_equal(instant_diff_ns(w.deadline, now), rules.backoff_max_ns);
}

static void
test_a_stop_that_hangs_is_killed_once(void **state)
{
	struct watch_rules rules = watch_rules_for(NS_PER_S);
	struct watch w = { .deadline = TD_NEVER };
	int64_t now_ns = NS_PER_S;
	int kills = 0;

	(void)state;
	watch_step(&rules, &w, WATCH_EV_START, (struct td_instant){ now_ns });
	watch_step(&rules, &w, WATCH_EV_PONG, (struct td_instant){ now_ns });
	watch_step(&rules, &w, WATCH_EV_STOP, (struct td_instant){ now_ns });
	for (int i = 0; i < 60; i++) {
		now_ns += rules.ping_interval_ns;
		/* Answering pings is not leaving. */
		watch_step(&rules, &w, WATCH_EV_PONG, (struct td_instant){ now_ns });
		kills += watch_step(&rules, &w, WATCH_EV_TICK,
			     (struct td_instant){ now_ns }) == WATCH_ACT_KILL;
	}
	assert_int_equal(kills, 1);
	assert_int_equal(w.state, WATCH_STOPPING);
	assert_int_equal(w.hangs, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_backoff_ends_at_its_maximum),
		cmocka_unit_test(test_a_stop_that_hangs_is_killed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
