/*
 * What a process was about to say when it was killed must not be heard in its next
 * life: what the seeds 100212, 107011 and 110821 once failed by. And what does arrive
 * late, the network's doing, costs one exchange and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "tests/sim/vrrp/sim.h"

#define WORLDS 60

static int
active_of(const struct world *w)
{
	for (unsigned i = 0; i < w->machines; i++)
		if (w->mode->role(&w->machine[i], 0) == TD_ROLE_ACTIVE)
			return (int)i;
	return -1;
}

/* A pair with one Active node, or NULL if this seed makes something else. */
static struct world *
settled_pair(uint64_t seed, int64_t *ret_interval_ns)
{
	struct world *w = world_new(seed, false, NULL);

	world_choose(w);
	w->undisturbed = true;
	if (w->mode != &mode_pair) {
		world_free(w);
		return NULL;
	}
	*ret_interval_ns = w->machine[0].interval_ns;
	for (unsigned i = 0; i < w->machines; i++)
		machine_start(w, i);
	run_until(w, w->now + 10 * NS_PER_S);
	assert_null(w->violated);
	assert_true(active_of(w) >= 0);
	return w;
}

static void
test_a_killed_process_says_nothing_any_more(void **context)
{
	unsigned stopped_on_the_way = 0;

	(void)context;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		int64_t interval_ns, killed_at;
		struct world *w = settled_pair(seed, &interval_ns);
		struct machine *mc;
		unsigned a;

		if (w == NULL)
			continue;
		a = (unsigned)active_of(w);
		mc = &w->machine[a];
		mc->freeze_in_actions = 8 * interval_ns;
		machine_tell(w, a, &(struct control){ .kind = CTL_STOP, .flag = true });
		if (mc->running && mc->stepping) {
			stopped_on_the_way++;
			run_until(w, w->now + interval_ns);
			machine_kill(w, a);
			memset(mc->answer_clock, 0, sizeof(mc->answer_clock));
			killed_at = w->now;
			machine_start(w, a);
			/* Past the moment in which it would have gone on. */
			run_until(w, w->now + 9 * interval_ns);
			assert_true(w->resigned_at[0] <= killed_at);
			run_until(w, w->now + 40 * interval_ns);
			assert_null(w->violated);
			assert_true(active_of(w) >= 0);
		}
		world_free(w);
	}
	assert_true(stopped_on_the_way >= 3);
}

static void
test_a_late_resignation_costs_one_exchange(void **context)
{
	unsigned played = 0;

	(void)context;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		int64_t interval_ns;
		struct world *w = settled_pair(seed, &interval_ns);
		struct event late = { .kind = EV_DELIVER };
		unsigned a;

		if (w == NULL)
			continue;
		a = (unsigned)active_of(w);
		late.machine = (uint8_t)(1 - a);
		late.msg.from = (uint8_t)a;
		late.msg.interval_ns = interval_ns;
		late.at = w->now;
		push(w, &late);
		/* It is believed, or it is not; two rights outlive no exchange. */
		run_until(w, w->now + 40 * interval_ns + 2 * NS_PER_S);
		assert_null(w->violated);
		check_single(w, -1);
		assert_null(w->violated);
		played++;
		world_free(w);
	}
	assert_true(played > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_killed_process_says_nothing_any_more),
		cmocka_unit_test(test_a_late_resignation_costs_one_exchange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
