/*
 * instant.h - points in time and durations.
 *
 * Units    nanoseconds. An instant is CLOCK_BOOTTIME (it goes on during suspend, so that a
 *          lease is over after a resume); a duration is a plain int64_t named ..._ns.
 *          An instant is a struct so that mixing the two does not compile.
 */
#ifndef TANDEM_INSTANT_H
#define TANDEM_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_CS INT64_C(10000000)
#define NS_PER_S INT64_C(1000000000)

struct td_instant {
	int64_t ns;
};

/* No deadline: later than every instant. */
#define TD_NEVER ((struct td_instant){ INT64_MAX })

static inline struct td_instant
instant_add(struct td_instant t, int64_t duration_ns)
{
	if (t.ns == INT64_MAX)
		return t;
	return (struct td_instant){ t.ns + duration_ns };
}

/* a - b */
static inline int64_t
instant_diff_ns(struct td_instant a, struct td_instant b)
{
	return a.ns - b.ns;
}

static inline bool
instant_reached(struct td_instant now, struct td_instant deadline)
{
	return now.ns >= deadline.ns;
}

static inline struct td_instant
instant_earlier(struct td_instant a, struct td_instant b)
{
	return a.ns < b.ns ? a : b;
}

#endif
