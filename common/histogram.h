/*
 * histogram.h - durations in fixed exponential buckets, for metrics; no allocation.
 * Bucket i counts values <= 2^i * 1 us; the last one counts the rest.
 */
#ifndef TANDEM_COMMON_HISTOGRAM_H
#define TANDEM_COMMON_HISTOGRAM_H

#include <stdint.h>

#define TD_HISTOGRAM_BUCKETS 24 /* 1 us ... 4.2 s, rest */

struct td_histogram {
	uint64_t bucket[TD_HISTOGRAM_BUCKETS];
	uint64_t count;
	int64_t sum_ns, max_ns;
};

void histogram_add(struct td_histogram *h, int64_t duration_ns);
/* Upper bound of the quantile q (0..1), never above the largest value; 0 when empty. */
int64_t histogram_quantile_ns(const struct td_histogram *h, double q);

#endif
