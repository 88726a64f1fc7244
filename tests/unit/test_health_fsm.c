#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "lbcore/health/core/health_fsm.h"

static const struct td_health config = { .type = TD_HEALTH_TCP,
	.interval_ns = 2 * NS_PER_S,
	.timeout_ns = NS_PER_S,
	.rise = 2,
	.fall = 3 };

static struct td_instant
at_ms(int64_t ms)
{
	return (struct td_instant){ ms * NS_PER_MS };
}

/* One letter per check: + passed, - refused, ! could not be made. One letter per state
 * afterwards: U up, D down. */
struct row {
	const char *name, *checks, *states;
};

static const struct row rows[] = {
	{ "begins up / the first check fails / down at once", "-", "D" },
	{ "begins up / the first check passes / full lives", "+--+", "UUUU" },
	{ "up / fall - 1 failures / still up", "+++--", "UUUUU" },
	{ "up / fall failures in a row / down", "+++---", "UUUUUD" },
	{ "up / a success in between gives all lives back", "+--+---", "UUUUUUD" },
	{ "down / rise - 1 successes / still down", "-+", "DD" },
	{ "down / rise successes / up with full lives", "-++--", "DDUUU" },
	{ "down / a failure in between begins anew", "-+-+", "DDDD" },
	{ "a check that could not be made changes nothing", "+++--!!!", "UUUUUUUU" },
	{ "a check that could not be made does not raise", "-+!", "DDD" },
};

static void
rise_and_fall(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct health h;
		struct health_actions out;
		int64_t ms = 0;

		health_init(&h, &config, at_ms(0));
		for (size_t c = 0; rows[i].checks[c] != '\0'; c++, ms += 2000) {
			struct health_event ev = { .kind = HEALTH_EV_TICK };
			bool was_up = h.up;

			health_step(&config, false, &h, &ev, at_ms(ms), &out);
			assert_true(out.start);
			ev.kind = HEALTH_EV_RESULT;
			ev.result = rows[i].checks[c] == '+'   ? HEALTH_L4OK
				    : rows[i].checks[c] == '-' ? HEALTH_L4CON
							       : HEALTH_SOCKERR;
			health_step(&config, false, &h, &ev, at_ms(ms + 10), &out);
			assert_true(out.judged);
			assert_int_equal(out.duration_ns, 10 * NS_PER_MS);
			if (h.up != (rows[i].states[c] == 'U'))
				fail_msg("%s: check %zu: %s", rows[i].name, c + 1,
				    h.up ? "up" : "down");
			assert_int_equal(out.changed, h.up != was_up);
		}
	}
}

static void
a_check_that_is_not_due_does_not_begin(void **state)
{
	struct health_event tick = { .kind = HEALTH_EV_TICK };
	struct health_actions out;
	struct health h;

	(void)state;
	health_init(&h, &config, at_ms(500));
	health_step(&config, false, &h, &tick, at_ms(499), &out);
	assert_false(out.start);
	health_step(&config, false, &h, &tick, at_ms(500), &out);
	assert_true(out.start);
	assert_int_equal(h.deadline.ns, at_ms(1500).ns);
}

static void
no_answer_within_the_timeout_is_a_failure(void **state)
{
	struct health_event tick = { .kind = HEALTH_EV_TICK };
	struct health_event late = { .kind = HEALTH_EV_RESULT, .result = HEALTH_L4OK };
	struct health_actions out;
	struct health h;

	(void)state;
	health_init(&h, &config, at_ms(0));
	health_step(&config, false, &h, &tick, at_ms(0), &out);
	health_step(&config, false, &h, &tick, at_ms(999), &out);
	assert_false(out.judged);
	health_step(&config, false, &h, &tick, at_ms(1001), &out);
	assert_true(out.cancel);
	assert_true(out.changed);
	assert_int_equal(out.result, HEALTH_L4TOUT);
	assert_int_equal(out.duration_ns, 1001 * NS_PER_MS);
	assert_false(h.up);
	/* What comes after that is nobody's answer any more. */
	health_step(&config, false, &h, &late, at_ms(1002), &out);
	assert_false(out.judged);
	assert_int_equal(h.deadline.ns, at_ms(2000).ns);
}

static void
the_next_check_is_an_interval_after_the_last_began(void **state)
{
	struct health_event tick = { .kind = HEALTH_EV_TICK };
	struct health_event passed = { .kind = HEALTH_EV_RESULT,
		.result = HEALTH_L4OK };
	struct health_actions out;
	struct health h;

	(void)state;
	health_init(&h, &config, at_ms(0));
	health_step(&config, false, &h, &tick, at_ms(7), &out);
	health_step(&config, false, &h, &passed, at_ms(900), &out);
	assert_int_equal(h.deadline.ns, at_ms(2007).ns);
}

static void
the_backup_asks_half_as_often(void **state)
{
	struct health_event tick = { .kind = HEALTH_EV_TICK };
	struct health_event passed = { .kind = HEALTH_EV_RESULT,
		.result = HEALTH_L4OK };
	struct health_actions out;
	struct health h;

	(void)state;
	health_init(&h, &config, at_ms(0));
	health_step(&config, true, &h, &tick, at_ms(0), &out);
	health_step(&config, true, &h, &passed, at_ms(1), &out);
	assert_int_equal(h.deadline.ns, at_ms(4000).ns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rise_and_fall),
		cmocka_unit_test(a_check_that_is_not_due_does_not_begin),
		cmocka_unit_test(no_answer_within_the_timeout_is_a_failure),
		cmocka_unit_test(the_next_check_is_an_interval_after_the_last_began),
		cmocka_unit_test(the_backup_asks_half_as_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
