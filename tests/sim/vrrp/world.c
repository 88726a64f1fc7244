#include "tests/sim/vrrp/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define QUEUE_MAX 65536

uint64_t
rnd(struct world *w)
{
	/* splitmix64 */
	uint64_t z = w->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

int64_t
rnd_below(struct world *w, int64_t n)
{
	return n <= 0 ? 0 : (int64_t)(rnd(w) % (uint64_t)n);
}

void
note(struct world *w, const char *format, ...)
{
	char *line = w->log[w->log_at++ % LOG_LINES];
	va_list ap;
	int n = snprintf(line, sizeof(w->log[0]), "%12.3f ms  ", (double)w->now / 1e6);

	va_start(ap, format);
	vsnprintf(line + n, sizeof(w->log[0]) - (size_t)n, format, ap);
	va_end(ap);
	if (w->verbose)
		puts(line);
}

void
note_dump(const struct world *w)
{
	if (w->verbose)
		return;
	for (unsigned k = 0; k < LOG_LINES; k++)
		if (w->log[(w->log_at + k) % LOG_LINES][0] != '\0')
			puts(w->log[(w->log_at + k) % LOG_LINES]);
}

/* ---- the event queue: a binary heap by time, then order ---- */

static bool
before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void
push(struct world *w, const struct event *ev)
{
	unsigned i = w->queue_count++;
	struct event copy = *ev;

	td_assert(w->queue_count < QUEUE_MAX);
	copy.order = w->order++;
	while (i > 0 && before(&copy, &w->queue[(i - 1) / 2])) {
		w->queue[i] = w->queue[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	w->queue[i] = copy;
}

struct event
pop(struct world *w)
{
	struct event top = w->queue[0], last = w->queue[--w->queue_count];
	unsigned i = 0;

	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= w->queue_count)
			break;
		if (child + 1 < w->queue_count &&
		    before(&w->queue[child + 1], &w->queue[child]))
			child++;
		if (!before(&w->queue[child], &last))
			break;
		w->queue[i] = w->queue[child];
		i = child;
	}
	w->queue[i] = last;
	return top;
}

/* ---- the clocks ---- */

int64_t
machine_clock(const struct world *w, unsigned i)
{
	const struct machine *mc = &w->machine[i];
	int64_t passed = w->now - mc->clock_at;

	if (mc->paused_until != 0 && mc->clock_stops)
		return mc->clock_base;
	return mc->clock_base + passed + passed / 1000 * mc->drift_ppm / 1000;
}

/* The first instant of the world at which the clock shows no less. */
int64_t
machine_clock_reached_at(const struct world *w, unsigned i, int64_t clock)
{
	const struct machine *mc = &w->machine[i];
	int64_t left = clock - machine_clock(w, i);

	if (left <= 0)
		return w->now;
	/* One microsecond for what the divisions leave over. */
	return w->now + left - left / 1000 * mc->drift_ppm / 1000 +
	       (mc->drift_ppm != 0 ? NS_PER_US : 0) + left / NS_PER_MS;
}

void
machine_clock_set(struct world *w, unsigned i, int64_t clock, int drift_ppm)
{
	struct machine *mc = &w->machine[i];

	mc->clock_at = w->now;
	mc->clock_base = clock;
	mc->drift_ppm = drift_ppm;
}

struct world *
world_new(uint64_t seed, bool verbose, const char *only)
{
	struct world *w = calloc(1, sizeof(*w));

	td_assert(w != NULL);
	w->queue = calloc(QUEUE_MAX, sizeof(*w->queue));
	td_assert(w->queue != NULL);
	w->seed = w->random = seed;
	w->verbose = verbose;
	w->only = only;
	return w;
}

void
world_free(struct world *w)
{
	free(w->queue);
	free(w);
}
