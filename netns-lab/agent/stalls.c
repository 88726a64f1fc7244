/*
 * One SCHED_FIFO 1 ms timer per CPU. When even that is late, the machine stood still: a
 * blackout that overlaps such a stall says nothing about the router.
 */
#include "agent.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LATE_NS (5 * NS_PER_MS)
#define CPUS_MAX 64

static volatile bool stop;
static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long stall_count;

static void *
stalls_watch(void *argument)
{
	long cpu = (long)argument;
	struct sched_param param = { .sched_priority = 90 };
	cpu_set_t set;
	int64_t deadline;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	(void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	deadline = now_ns();
	while (!stop) {
		struct timespec at;
		int64_t now;

		deadline += NS_PER_MS;
		at = (struct timespec){ deadline / NS_PER_S, deadline % NS_PER_S };
		clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL);
		now = now_ns();
		if (now - deadline > LATE_NS) {
			pthread_mutex_lock(&print_lock);
			stall_count++;
			printf("{\"event\":\"stall\",\"cpu\":%ld,\"from\":%lld,\"to\":%"
			       "lld}\n",
			    cpu, (long long)deadline, (long long)now);
			fflush(stdout);
			pthread_mutex_unlock(&print_lock);
			deadline = now;
		}
	}
	return NULL;
}

static void
stalls_finish(void)
{
	stop = true;
	printf(
	    "{\"event\":\"result\",\"mode\":\"stalls\",\"count\":%lu}\n", stall_count);
}

void
stalls_main(const struct options *options)
{
	static const struct mode mode = { .finish = stalls_finish };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[CPUS_MAX];

	(void)options;
	for (long cpu = 0; cpu < cpus && cpu < CPUS_MAX; cpu++)
		if (pthread_create(&threads[cpu], NULL, stalls_watch, (void *)cpu) != 0)
			fail("pthread_create");
	printf("{\"event\":\"ready\",\"mode\":\"stalls\",\"cpus\":%ld}\n", cpus);
	fflush(stdout);
	loop_run(&mode);
	for (long cpu = 0; cpu < cpus && cpu < CPUS_MAX; cpu++)
		pthread_join(threads[cpu], NULL);
}
