#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "common/histogram.h"

static const struct {
	int64_t ns;
	unsigned bucket;
} rows[] = {
	{ -5, 0 },
	{ 0, 0 },
	{ 1000, 0 },
	{ 1001, 1 },
	{ 2000, 1 },
	{ 2001, 2 },
	{ INT64_C(1000) << 22, 22 },
	{ (INT64_C(1000) << 22) + 1, 23 },
	{ INT64_C(3600000000000), 23 },
};

static void
a_duration_falls_into_the_smallest_bucket_that_holds_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct td_histogram h = { .count = 0 };

		histogram_add(&h, rows[i].ns);
		assert_int_equal(h.bucket[rows[i].bucket], 1);
		assert_int_equal(h.count, 1);
		assert_int_equal(h.sum_ns, rows[i].ns > 0 ? rows[i].ns : 0);
	}
}

static void
quantiles_are_upper_bounds(void **state)
{
	struct td_histogram h = { .count = 0 };

	(void)state;
	assert_int_equal(histogram_quantile_ns(&h, 0.5), 0);
	for (unsigned i = 0; i < 99; i++)
		histogram_add(&h, 3000);
	histogram_add(&h, 100000);
	assert_int_equal(histogram_quantile_ns(&h, 0.5), 4000);
	assert_int_equal(histogram_quantile_ns(&h, 0.99), 4000);
	assert_int_equal(histogram_quantile_ns(&h, 1.0), 100000); /* not 128 us */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_duration_falls_into_the_smallest_bucket_that_holds_it),
		cmocka_unit_test(quantiles_are_upper_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
