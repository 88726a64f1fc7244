/*
 * sim_vrrp - the elections of two and three routers in a bad network, from seeds.
 *
 *   sim_vrrp [--seeds N] [--first S] [--events N] [--cells N] [--failures N]
 *            [--check INVARIANT] [--verbose]
 *
 * Runs N seeds (default 150), or as many as it takes for that many events. --cells
 * fails if a cell of the coverage table stays below N. Exit status: 0 all held, 1 an
 * invariant did not or a cell is short, 2 usage. A failure names the invariant and the
 * seed.
 */
#include "tests/sim/vrrp/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	uint64_t first, seeds, events, cells, failures;
	const char *only;
	bool verbose;
};

struct totals {
	uint64_t seeds, events, takeovers, faults, failures, simulated_s;
};

static int
usage(const char *program)
{
	fprintf(stderr,
	    "usage: %s [--seeds N] [--first S] [--events N] [--cells N] "
	    "[--failures N] [--check INVARIANT] [--verbose]\n",
	    program);
	return 2;
}

static bool
parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--verbose") == 0) {
			o->verbose = true;
			continue;
		}
		if (value == NULL)
			return false;
		if (strcmp(argv[i], "--seeds") == 0)
			o->seeds = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--first") == 0)
			o->first = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--events") == 0)
			o->events = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--cells") == 0)
			o->cells = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--failures") == 0)
			o->failures = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--check") == 0 && invariant_exists(value))
			o->only = value;
		else
			return false;
		i++;
	}
	return true;
}

static void
one_seed(const struct options *o, uint64_t seed, struct totals *t)
{
	struct world *w = world_new(seed, o->verbose, o->only);

	run_seed(w);
	if (w->violated != NULL) {
		note_dump(w);
		printf("seed %" PRIu64 " failed: %s\n", seed, w->violated);
		fflush(stdout);
		t->failures++;
	}
	t->seeds++;
	t->events += w->events;
	t->takeovers += w->takeovers;
	t->faults += w->faults;
	t->simulated_s += (uint64_t)(w->now / NS_PER_S);
	world_free(w);
}

int
main(int argc, char **argv)
{
	struct options o = { .first = 1, .seeds = 150, .failures = 3 };
	struct totals t = { 0 };
	bool covered;

	if (!parse(argc, argv, &o))
		return usage(argv[0]);
	for (uint64_t seed = o.first; t.failures < o.failures &&
				      (seed < o.first + o.seeds || t.events < o.events);
	     seed++)
		one_seed(&o, seed, &t);
	covered = coverage_print(o.cells);
	printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " events, %" PRIu64
	       " simulated seconds, %" PRIu64 " faults, %" PRIu64 " takeovers, %" PRIu64
	       " failures\n",
	    t.seeds, o.first, t.events, t.simulated_s, t.faults, t.takeovers,
	    t.failures);
	if (!covered)
		printf("a cell of the table is below %" PRIu64 "\n", o.cells);
	return t.failures == 0 && covered ? 0 : 1;
}
