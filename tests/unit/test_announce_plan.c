/* When which address is announced: rows of (what happens, then which frames are due).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "vrrpd/core/announce_plan.h"

#define MS NS_PER_MS

static struct td_instant
at(int64_t ms)
{
	return (struct td_instant){ ms * MS };
}

/* Frames due at `now`; the indices must follow each other from `first` on. */
static unsigned
take(struct announce_plan *plan, struct td_instant now, uint32_t first)
{
	unsigned taken = 0;
	uint32_t index;

	while (announce_plan_next(plan, now, &index)) {
		assert_int_equal(index, first + taken);
		taken++;
	}
	return taken;
}

static struct announce_plan
plan_of(uint32_t repeat, int64_t refresh_ms, uint32_t count)
{
	struct announce_plan plan;

	announce_plan_init(&plan, repeat, refresh_ms * MS);
	announce_plan_set_count(&plan, count, at(0));
	return plan;
}

static void
test_nothing_is_due_before_the_start(void **context)
{
	struct announce_plan plan = plan_of(4, 60000, 3);

	(void)context;
	assert_int_equal(take(&plan, at(1000), 0), 0);
	assert_int_equal(plan.deadline.ns, TD_NEVER.ns);
}

static void
test_the_first_round_is_due_at_once(void **context)
{
	struct announce_plan plan = plan_of(4, 60000, 100);

	(void)context;
	announce_plan_start(&plan, at(5));
	assert_int_equal(take(&plan, at(5), 0), 100);
	assert_int_equal(plan.deadline.ns, at(105).ns);
}

static void
test_repeats_follow_after_growing_pauses_one_frame_a_millisecond(void **context)
{
	static const struct {
		int64_t pause_ms;
	} rounds[] = { { 100 }, { 500 }, { 1000 }, { 2000 }, { 2000 } };
	struct announce_plan plan = plan_of(5, 0, 3);
	int64_t now = 0;

	(void)context;
	announce_plan_start(&plan, at(now));
	assert_int_equal(take(&plan, at(now), 0), 3);
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		now += rounds[i].pause_ms;
		assert_int_equal(take(&plan, at(now - 1), 0), 0);
		assert_int_equal(take(&plan, at(now), 0), 1);
		assert_int_equal(take(&plan, at(++now), 1), 1);
		assert_int_equal(take(&plan, at(++now), 2), 1);
	}
	assert_int_equal(plan.deadline.ns, TD_NEVER.ns);
}

static void
test_refreshes_go_on_for_ever(void **context)
{
	struct announce_plan plan = plan_of(0, 60000, 2);
	int64_t now = 0;

	(void)context;
	announce_plan_start(&plan, at(now));
	assert_int_equal(take(&plan, at(now), 0), 2);
	for (int i = 0; i < 1000; i++) {
		now += 60000;
		assert_int_equal(take(&plan, at(now - 1), 0), 0);
		assert_int_equal(take(&plan, at(now), 0), 1);
		assert_int_equal(take(&plan, at(++now), 1), 1);
	}
}

static void
test_a_late_caller_does_not_send_a_burst_in_a_later_round(void **context)
{
	struct announce_plan plan = plan_of(4, 0, 10);

	(void)context;
	announce_plan_start(&plan, at(0));
	(void)take(&plan, at(0), 0);
	assert_int_equal(take(&plan, at(5000), 0), 1);
	assert_int_equal(plan.deadline.ns, at(5001).ns);
}

static void
test_a_burst_begins_again_but_not_within_20_ms(void **context)
{
	struct announce_plan plan = plan_of(4, 0, 3);

	(void)context;
	assert_false(announce_plan_burst(&plan, at(0)));
	announce_plan_start(&plan, at(100));
	(void)take(&plan, at(100), 0);
	assert_false(announce_plan_burst(&plan, at(119)));
	assert_true(announce_plan_burst(&plan, at(120)));
	assert_int_equal(take(&plan, at(120), 0), 3);
	assert_int_equal(plan.deadline.ns, at(220).ns);
}

static void
test_a_stop_ends_everything(void **context)
{
	struct announce_plan plan = plan_of(4, 60000, 3);

	(void)context;
	announce_plan_start(&plan, at(0));
	(void)take(&plan, at(0), 0);
	announce_plan_stop(&plan);
	assert_int_equal(take(&plan, at(100000), 0), 0);
	assert_int_equal(plan.deadline.ns, TD_NEVER.ns);
	assert_false(announce_plan_burst(&plan, at(100000)));
}

static void
test_new_addresses_are_announced_at_once(void **context)
{
	struct announce_plan plan = plan_of(1, 60000, 2);

	(void)context;
	announce_plan_start(&plan, at(0));
	(void)take(&plan, at(0), 0);
	announce_plan_set_count(&plan, 5, at(50));
	assert_int_equal(take(&plan, at(50), 0), 5);
}

static void
test_no_addresses_mean_no_frames(void **context)
{
	struct announce_plan plan = plan_of(4, 60000, 0);

	(void)context;
	announce_plan_start(&plan, at(0));
	assert_int_equal(take(&plan, at(0), 0), 0);
	assert_int_equal(plan.deadline.ns, TD_NEVER.ns);
	announce_plan_set_count(&plan, 1, at(10));
	assert_int_equal(take(&plan, at(10), 0), 1);
	announce_plan_set_count(&plan, 0, at(20));
	assert_int_equal(take(&plan, at(100000), 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_due_before_the_start),
		cmocka_unit_test(test_the_first_round_is_due_at_once),
		cmocka_unit_test(
		    test_repeats_follow_after_growing_pauses_one_frame_a_millisecond),
		cmocka_unit_test(test_refreshes_go_on_for_ever),
		cmocka_unit_test(
		    test_a_late_caller_does_not_send_a_burst_in_a_later_round),
		cmocka_unit_test(test_a_burst_begins_again_but_not_within_20_ms),
		cmocka_unit_test(test_a_stop_ends_everything),
		cmocka_unit_test(test_new_addresses_are_announced_at_once),
		cmocka_unit_test(test_no_addresses_mean_no_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
