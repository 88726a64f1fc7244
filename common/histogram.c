#include "common/histogram.h"

#include <tandem/instant.h>

static int64_t
bucket_bound_ns(unsigned i)
{
	return NS_PER_US << i;
}

void
histogram_add(struct td_histogram *h, int64_t duration_ns)
{
	unsigned i = 0;

	if (duration_ns < 0)
		duration_ns = 0;
	while (i < TD_HISTOGRAM_BUCKETS - 1 && duration_ns > bucket_bound_ns(i))
		i++;
	h->bucket[i]++;
	h->count++;
	h->sum_ns += duration_ns;
	if (duration_ns > h->max_ns)
		h->max_ns = duration_ns;
}

int64_t
histogram_quantile_ns(const struct td_histogram *h, double q)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < TD_HISTOGRAM_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (h->count > 0 && (double)seen >= q * (double)h->count)
			return bucket_bound_ns(i) < h->max_ns ? bucket_bound_ns(i)
							      : h->max_ns;
	}
	return h->max_ns;
}
