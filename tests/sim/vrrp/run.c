/* One seed: a configuration, a minute of faults, heal, quiet, one silent cut. */
#include "tests/sim/vrrp/sim.h"

#include <string.h>

#define SEED_NS (60 * NS_PER_S)
#define SEED_FAULTS 5
#define PARTITIONS 4

static void
handle(struct world *w)
{
	struct event ev = pop(w);

	w->now = ev.at;
	w->events++;
	if (ev.kind != EV_FAULT)
		machine_handle(w, &ev);
	else if (!w->undisturbed)
		fault_some(w, ev.machine);
	check_now(w);
	for (unsigned i = 0; i < w->machines; i++)
		coverage_event(w, i);
}

void
run_until(struct world *w, int64_t end)
{
	while (w->queue_count > 0 && w->queue[0].at <= end && w->violated == NULL)
		handle(w);
	if (w->violated == NULL)
		w->now = end;
}

static int64_t
longest_ns(const struct world *w)
{
	int64_t ns = 0;

	for (unsigned i = 0; i < w->machines; i++)
		if (w->machine[i].interval_ns > ns)
			ns = w->machine[i].interval_ns;
	return ns;
}

static void
choose_machine(struct world *w, unsigned i, int64_t interval_ns, bool preempt)
{
	struct machine *mc = &w->machine[i];

	mc->interval_ns = interval_ns;
	/* Equal priorities are worth more than one case in 254. */
	mc->priority = (uint8_t)(rnd_below(w, 4) == 0 ? 100 : 1 + rnd_below(w, 254));
	mc->preempt = preempt;
	mc->powered = true;
	mc->answer_clock[0] = 0;
	machine_clock_set(w, i, NS_PER_S + rnd_below(w, 1000 * NS_PER_S),
	    (int)rnd_below(w, 2 * DRIFT_PPM_MAX + 1) - DRIFT_PPM_MAX);
	mc->node_config = (struct node_config){ .index = (uint8_t)(i & 1),
		.priority = mc->priority,
		.interval_ns = interval_ns,
		.preempt = preempt,
		.preempt_delay_ns = rnd_below(w, 3) * NS_PER_S,
		.member_count = (uint8_t)w->members };
	mc->router_config = (struct vrrp_config){ .version = 3,
		.priority = mc->priority,
		.advertisement_interval_ns = interval_ns,
		.preempt_mode = preempt,
		.primary = {
		    .family = TD_AF_INET, .bytes = { 10, 0, 0, (uint8_t)(i + 1) } } };
	for (unsigned m = 0; m < w->members; m++) {
		mc->carrier[m] = true;
		mc->hears_clock[m] = NEVER;
		/* The third one is adverts: none. */
		mc->node_config.advertises[m] = m != 2;
	}
}

void
world_choose(struct world *w)
{
	static const int64_t intervals[] = { 10 * NS_PER_MS, 20 * NS_PER_MS,
		100 * NS_PER_MS, 100 * NS_PER_MS, 100 * NS_PER_MS, 1 * NS_PER_S };
	int64_t interval_ns = intervals[rnd_below(w, 6)];
	bool preempt = rnd_below(w, 2) != 0, mixed = rnd_below(w, 4) == 0;

	w->mode = rnd_below(w, 2) != 0 ? &mode_pair : &mode_independent;
	w->machines = w->mode == &mode_pair ? 2 : 2 + (unsigned)rnd_below(w, 2);
	w->members = 1 + (unsigned)rnd_below(w, MEMBERS_MAX);
	w->rights = w->mode == &mode_pair ? 1 : w->members;
	w->witnesses =
	    w->mode == &mode_pair ? 1 + (unsigned)rnd_below(w, WITNESSES_MAX) : 0;
	for (unsigned m = 0; m < MEMBERS_MAX; m++)
		w->deserted[m] = rnd_below(w, 4) == 0;
	for (unsigned i = 0; i < w->machines; i++) {
		/* A pair has one file. */
		if (w->mode == &mode_independent) {
			preempt = rnd_below(w, 2) != 0;
			if (mixed)
				interval_ns = intervals[rnd_below(w, 5)];
		}
		choose_machine(w, i, interval_ns, preempt);
	}
	for (unsigned i = 0; i < w->machines; i++)
		note(w, "machine %u: priority %u, interval %.0f ms, preempt %d", i,
		    w->machine[i].priority, (double)w->machine[i].interval_ns / 1e6,
		    w->machine[i].preempt);
	note(w, "%u members, %u witness links", w->members, w->witnesses);
	for (unsigned p = 0; p < PATHS_MAX; p++)
		for (unsigned k = 0; k < MACHINES_MAX * MACHINES_MAX; k++)
			w->path[p].ok_since[k / MACHINES_MAX][k % MACHINES_MAX] = NEVER;
	for (unsigned m = 0; m < MEMBERS_MAX; m++) {
		memset(w->both_at[m], -1, sizeof(w->both_at[m]));
		w->resigned_at[m] = w->yielded_at[m] = -SEED_NS;
		w->late_words_at[m] = -SEED_NS;
	}
	network_watch(w);
}

/* Time to settle, and then nothing moves any more. */
static void
run_quiet(struct world *w, int fit)
{
	int64_t half_ns = 30 * longest_ns(w) + 4 * NS_PER_S;
	uint64_t takeovers;

	run_until(w, w->now + half_ns);
	takeovers = w->takeovers;
	run_until(w, w->now + half_ns);
	if (w->violated != NULL)
		return;
	check_quiet(w, takeovers);
	check_single(w, fit);
}

/* One silent cut of one port, carrier up: the other node must end up Active, or stay
 * it, and with a Backup's port cut nothing may move. */
static void
run_lone_cut(struct world *w)
{
	unsigned victim = (unsigned)rnd_below(w, 2);
	unsigned m = (unsigned)rnd_below(w, w->members);

	note(w, "machine %u member %u silently cut, alone", victim, m);
	w->machine[victim].cut[m][TX] = true;
	w->machine[victim].cut[m][RX] = rnd_below(w, 2) != 0 || m == 2;
	network_watch(w);
	check_disturbed(w);
	run_quiet(w, w->deserted[m] ? -1 : (int)(1 - victim));
}

static bool
somebody_lives_there(const struct world *w)
{
	for (unsigned m = 0; m < w->members; m++)
		if (!w->deserted[m])
			return true;
	return false;
}

/* One of them loses every cable at one stroke and gets them back at one stroke. Where
 * there is nobody but the two routers nobody is answered twice. */
static void
run_parted(struct world *w)
{
	unsigned victim = (unsigned)rnd_below(w, 2);
	int64_t interval_ns = longest_ns(w);

	run_until(w, w->now + rnd_below(w, 2 * interval_ns));
	w->parted = somebody_lives_there(w);
	for (unsigned p = 0; p < PATHS_MAX; p++)
		w->machine[victim].cut[p][TX] = w->machine[victim].cut[p][RX] = true;
	note(w, "machine %u parted from everything", victim);
	network_watch(w);
	check_disturbed(w);
	run_until(w, w->now + rnd_below(w, 20 * interval_ns));
	mend_all(w);
	run_until(w, w->now + 20 * interval_ns);
	w->parted = false;
	run_quiet(w, -1);
}

void
run_seed(struct world *w)
{
	int64_t interval_ns, gap;

	world_choose(w);
	interval_ns = longest_ns(w);
	for (unsigned i = 0; i < w->machines; i++) {
		machine_start(w, i);
		run_until(w, w->now + rnd_below(w, 10 * interval_ns));
	}
	run_until(w, w->now + 20 * interval_ns);
	while ((w->now < SEED_NS || w->faults < SEED_FAULTS) && w->violated == NULL) {
		fault_some(w, -1);
		/* Mostly one upon the other, now and then with time to settle. */
		gap = rnd_below(w, 3) == 0 ? 20 : 5;
		run_until(w, w->now + rnd_below(w, gap * interval_ns));
	}
	w->undisturbed = true;
	if (w->violated == NULL) {
		mend_all(w);
		run_until(
		    w, w->now + NODE_BARRIER_NS + 2 * NODE_DRAIN_NS + 30 * interval_ns);
		mend_all(w); /* one that was just stopping, or frozen, comes back */
		run_quiet(w, -1);
	}
	if (w->mode != &mode_pair)
		return;
	if (w->violated == NULL)
		run_lone_cut(w);
	mend_all(w);
	run_until(w, w->now + 30 * interval_ns + 4 * NS_PER_S);
	for (unsigned k = 0; k < PARTITIONS && w->violated == NULL; k++)
		run_parted(w);
}
