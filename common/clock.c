#include "common/clock.h"

#include <time.h>
#include <tandem/assert.h>

struct td_instant
clock_now(void)
{
	struct timespec ts;

	td_assert(clock_gettime(CLOCK_BOOTTIME, &ts) == 0);
	return (struct td_instant){ (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec };
}

int64_t
clock_wall_ms(void)
{
	struct timespec ts;

	td_assert(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / NS_PER_MS;
}
