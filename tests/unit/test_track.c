/* What a track script says about a node: judgement, hysteresis, and runs without a
 * word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "routerd/core/track.h"

static const struct td_track_script cfg = { .interval_ns = 1000 * NS_PER_MS,
	.timeout_ns = 600 * NS_PER_MS,
	.rise = 2,
	.fall = 3 };

static struct td_instant
at(int64_t ms)
{
	return (struct td_instant){ ms * NS_PER_MS };
}

/* One letter per run: + passed, - failed, ? no word. After each the judgement: f, u or
 * . for unknown. */
static void
every_series_of_results_is_judged_as_told(void **state)
{
	static const struct {
		const char *name, *results, *verdicts;
	} rows[] = {
		{ "two passes make it fit", "++-", ".ff" },
		{ "one pass does not", "+-", ".." },
		{ "three failures in a row make it unfit", "---", "..u" },
		{ "two do not", "++--+--+", ".fffffff" },
		{ "one that is unfit needs two passes", "---+-++", "..uuuuf" },
		{ "no word says nothing at the start", "?????", "....." },
		{ "no word keeps a fit node fit", "++????????", ".fffffffff" },
		{ "no word keeps an unfit node unfit", "---???????", "..uuuuuuuu" },
		{ "no word breaks a series", "++--?--?-", ".ffffffff" },
		{ "a series after it counts", "++--?---", ".ffffffu" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct track t;
		int64_t now = 0;

		track_init(&t, at(0));
		for (size_t k = 0; rows[i].results[k] != '\0'; k++, now += 1000) {
			char result = rows[i].results[k];
			char want = rows[i].verdicts[k];

			assert_int_equal(
			    track_step(&cfg, &t, TRACK_EV_TICK, at(now)), TRACK_DO_RUN);
			track_step(&cfg, &t,
			    result == '+'   ? TRACK_EV_OK
			    : result == '-' ? TRACK_EV_FAILED
					    : TRACK_EV_NO_WORD,
			    at(now + 10));
			if (track_verdict_name(t.verdict)[0] != want &&
			    !(want == '.' && t.verdict == TRACK_UNKNOWN))
				fail_msg("%s: %s after run %zu", rows[i].name,
				    track_verdict_name(t.verdict), k);
		}
	}
}

static void
a_run_that_takes_too_long_is_ended_and_gives_no_word(void **state)
{
	struct track t;

	(void)state;
	track_init(&t, at(0));
	for (int64_t now = 0; now < 2000; now += 1000) {
		track_step(&cfg, &t, TRACK_EV_TICK, at(now));
		track_step(&cfg, &t, TRACK_EV_OK, at(now + 5));
	}
	assert_int_equal(t.verdict, TRACK_FIT);
	for (int64_t now = 2000; now < 30000; now += 4000) {
		assert_int_equal(
		    track_step(&cfg, &t, TRACK_EV_TICK, at(now)), TRACK_DO_RUN);
		assert_int_equal(t.deadline.ns, at(now + 600).ns);
		assert_int_equal(track_step(&cfg, &t, TRACK_EV_TICK, at(now + 600)),
		    TRACK_DO_TERMINATE);
		assert_int_equal(
		    track_step(&cfg, &t, TRACK_EV_TICK, at(now + 1600)), TRACK_DO_KILL);
		assert_int_equal(t.deadline.ns, TD_NEVER.ns);
		/* However it ends then, and also if it says that all is well. */
		track_step(&cfg, &t, now % 8000 == 2000 ? TRACK_EV_FAILED : TRACK_EV_OK,
		    at(now + 1700));
		assert_int_equal(t.verdict, TRACK_FIT);
		assert_int_equal(t.last, TRACK_NO_WORD);
		/* It was due long ago: an interval of peace, not at once. */
		assert_int_equal(t.deadline.ns, at(now + 2700).ns);
	}
	assert_int_equal(t.runs[TRACK_NO_WORD], 7);
	assert_int_equal(t.runs[TRACK_OK], 2);
}

static void
what_makes_no_sense_is_ignored(void **state)
{
	struct track t;

	(void)state;
	track_init(&t, at(10));
	assert_int_equal(track_step(&cfg, &t, TRACK_EV_TICK, at(9)), TRACK_DO_NOTHING);
	assert_int_equal(
	    track_step(&cfg, &t, TRACK_EV_FAILED, at(9)), TRACK_DO_NOTHING);
	assert_int_equal(t.runs[TRACK_FAILED], 0);
	assert_int_equal(t.phase, TRACK_WAITING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_series_of_results_is_judged_as_told),
		cmocka_unit_test(a_run_that_takes_too_long_is_ended_and_gives_no_word),
		cmocka_unit_test(what_makes_no_sense_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
