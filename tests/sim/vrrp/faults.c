/* What goes wrong, and what is asked of the routers meanwhile. */
#include "tests/sim/vrrp/sim.h"

#include <string.h>

static const char *const fault_names[FAULTS] = {
	[FAULT_CUT_TX] = "member cut, sending",
	[FAULT_CUT_RX] = "member cut, receiving",
	[FAULT_CUT] = "member cut",
	[FAULT_CARRIER] = "link down or up",
	[FAULT_WITNESS_ONE_WAY] = "witness cut, one way",
	[FAULT_WITNESS] = "witness cut",
	[FAULT_ALL] = "all ports cut",
	[FAULT_ALL_TX] = "all ports cut, sending",
	[FAULT_ALL_RX] = "all ports cut, receiving",
	[FAULT_MEND_ONE] = "one port mended",
	[FAULT_MEND] = "everything mended",
	[FAULT_LOSS] = "loss",
	[FAULT_DELAY] = "delay",
	[FAULT_DUPLICATE] = "duplicates",
	[FAULT_PROCESS_DIES] = "vrrpd killed",
	[FAULT_EVERYTHING_KILLED] = "everything killed",
	[FAULT_POWER] = "power lost",
	[FAULT_START] = "started",
	[FAULT_FREEZE] = "frozen",
	[FAULT_FREEZE_BETWEEN] = "frozen in a step",
	[FAULT_PAUSE] = "suspended",
	[FAULT_PAUSE_STOPPED_CLOCK] = "suspended, clock too",
	[FAULT_DRIFT] = "clock drifts",
	[FAULT_SYNC_STATE] = "sync state",
	[FAULT_SWITCHOVER] = "switchover",
	[FAULT_MAINTENANCE] = "maintenance",
	[FAULT_UNFIT] = "track scripts",
	[FAULT_STOP] = "stopped",
	[FAULT_STOP_NOW] = "stopped at once",
};

const char *
fault_name(enum fault_kind kind)
{
	return fault_names[kind];
}

bool
fault_applies(const struct world *w, enum fault_kind kind, unsigned i)
{
	const struct machine *mc = &w->machine[i];
	bool runs = mc->powered && mc->running;

	switch (kind) {
	case FAULT_WITNESS_ONE_WAY:
	case FAULT_WITNESS:
		return w->witnesses > 0;
	case FAULT_PROCESS_DIES:
	case FAULT_EVERYTHING_KILLED:
	case FAULT_FREEZE:
	case FAULT_FREEZE_BETWEEN:
	case FAULT_STOP:
	case FAULT_STOP_NOW:
		return runs;
	case FAULT_SYNC_STATE:
	case FAULT_SWITCHOVER:
	case FAULT_MAINTENANCE:
	case FAULT_UNFIT:
		return runs && w->mode == &mode_pair;
	case FAULT_START:
		return !runs && mc->paused_until == 0;
	case FAULT_POWER:
		return mc->powered;
	case FAULT_PAUSE:
	case FAULT_PAUSE_STOPPED_CLOCK:
	case FAULT_DRIFT:
		return mc->powered && mc->paused_until == 0;
	case FAULT_CUT_TX:
	case FAULT_CUT_RX:
	case FAULT_CUT:
	case FAULT_CARRIER:
	case FAULT_ALL:
	case FAULT_ALL_TX:
	case FAULT_ALL_RX:
	case FAULT_MEND_ONE:
	case FAULT_MEND:
	case FAULT_LOSS:
	case FAULT_DELAY:
	case FAULT_DUPLICATE:
	case FAULTS:
		break;
	}
	return true;
}

static void
cut(struct world *w, unsigned i, unsigned p, bool tx, bool rx)
{
	bool *port = w->machine[i].cut[p];

	note(w, "  path %u of machine %u%s%s", p, i, tx ? " tx" : "", rx ? " rx" : "");
	port[TX] |= tx;
	port[RX] |= rx;
	network_watch(w);
}

static void
cut_all(struct world *w, unsigned i, bool tx, bool rx)
{
	for (unsigned p = 0; p < PATHS_MAX; p++)
		cut(w, i, p, tx, rx);
}

static void
mend_port(struct world *w, unsigned i, unsigned p)
{
	struct machine *mc = &w->machine[i];

	if (mc->cut[p][TX] || mc->cut[p][RX])
		note(w, "  path %u of machine %u mended", p, i);
	memset(mc->cut[p], 0, sizeof(mc->cut[p]));
	network_watch(w);
	if (p < MEMBERS_MAX && !mc->carrier[p])
		machine_set_carrier(w, i, p, true);
}

static void
mend_path(struct world *w, unsigned p)
{
	struct path *path = &w->path[p];

	path->loss_percent = path->duplicate_percent = 0;
	path->delay_ns = 0;
}

void
mend_all(struct world *w)
{
	for (unsigned p = 0; p < PATHS_MAX; p++)
		mend_path(w, p);
	for (unsigned i = 0; i < w->machines; i++)
		for (unsigned p = 0; p < PATHS_MAX; p++)
			if (path_exists(w, p))
				mend_port(w, i, p);
	for (unsigned i = 0; i < w->machines; i++)
		machine_start(w, i);
	for (unsigned i = 0; w->undisturbed && i < w->machines; i++) {
		machine_tell(w, i, &(struct control){ .kind = CTL_MAINTENANCE });
		machine_tell(w, i, &(struct control){ .kind = CTL_UNFIT });
	}
	check_disturbed(w);
}

static void
restart_later(struct world *w, unsigned i)
{
	struct event ev = { .at =
				w->now + 5 * NS_PER_MS + rnd_below(w, 300 * NS_PER_MS),
		.kind = EV_START,
		.machine = (uint8_t)i,
		.life = w->machine[i].life };

	push(w, &ev);
}

/* As tandemd does: the fence first, then priority 0, then a new process. */
static void
process_dies(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	machine_kill(w, i);
	memset(mc->answer_clock, 0, sizeof(mc->answer_clock));
	w->mode->last_words(w, i);
	restart_later(w, i);
}

/* The kernel and the fence in it go on. */
static void
everything_killed(struct world *w, unsigned i)
{
	machine_kill(w, i);
	if (rnd_below(w, 2) == 0)
		restart_later(w, i);
}

static void
power_lost(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	machine_kill(w, i);
	mc->powered = false;
	mc->paused_until = 0;
	mc->clock_stops = false;
	mc->pauses++;
	memset(mc->answer_clock, 0, sizeof(mc->answer_clock));
	network_watch(w);
}

static void
trouble(struct world *w, enum fault_kind kind, unsigned p)
{
	struct path *path = &w->path[p];

	note(w, "  path %u", p);
	if (kind == FAULT_LOSS)
		path->loss_percent = 1 + (unsigned)rnd_below(w, 99);
	else if (kind == FAULT_DELAY)
		path->delay_ns = 1 + rnd_below(w, 4 * w->machine[0].interval_ns);
	else
		path->duplicate_percent = 1 + (unsigned)rnd_below(w, 99);
	network_watch(w);
}

static void
inflict(struct world *w, enum fault_kind kind, unsigned i)
{
	struct machine *mc = &w->machine[i];
	unsigned m = (unsigned)rnd_below(w, w->members);
	unsigned v = MEMBERS_MAX + (unsigned)rnd_below(w, w->witnesses);
	unsigned p = w->witnesses > 0 && rnd_below(w, 3) == 0 ? v : m;
	int64_t pause_ns = rnd_below(w, 30 * mc->interval_ns);
	struct control ctl = { .flag = rnd_below(w, 2) != 0 };

	switch (kind) {
	case FAULT_CUT_TX:
		cut(w, i, m, true, false);
		break;
	case FAULT_CUT_RX:
		cut(w, i, m, false, true);
		break;
	case FAULT_CUT:
		cut(w, i, m, true, true);
		break;
	case FAULT_CARRIER:
		machine_set_carrier(w, i, m, !mc->carrier[m]);
		break;
	case FAULT_WITNESS_ONE_WAY:
		cut(w, i, v, true, false);
		break;
	case FAULT_WITNESS:
		cut(w, i, v, true, true);
		break;
	case FAULT_ALL:
	case FAULT_ALL_TX:
	case FAULT_ALL_RX:
		cut_all(w, i, kind != FAULT_ALL_RX, kind != FAULT_ALL_TX);
		break;
	case FAULT_MEND_ONE:
		mend_path(w, p);
		mend_port(w, i, p);
		break;
	case FAULT_MEND:
		mend_all(w);
		break;
	case FAULT_LOSS:
	case FAULT_DELAY:
	case FAULT_DUPLICATE:
		trouble(w, kind, p);
		break;
	case FAULT_PROCESS_DIES:
		process_dies(w, i);
		break;
	case FAULT_EVERYTHING_KILLED:
		everything_killed(w, i);
		break;
	case FAULT_POWER:
		power_lost(w, i);
		break;
	case FAULT_START:
		machine_start(w, i);
		break;
	case FAULT_FREEZE:
		machine_freeze(w, i, pause_ns);
		break;
	case FAULT_FREEZE_BETWEEN:
		mc->freeze_in_actions = pause_ns;
		break;
	case FAULT_PAUSE:
	case FAULT_PAUSE_STOPPED_CLOCK:
		machine_pause(w, i, 1 + pause_ns, kind == FAULT_PAUSE_STOPPED_CLOCK);
		break;
	case FAULT_DRIFT:
		machine_clock_set(w, i, machine_clock(w, i),
		    (int)rnd_below(w, 2 * DRIFT_PPM_MAX + 1) - DRIFT_PPM_MAX);
		break;
	case FAULT_SYNC_STATE:
		ctl.kind = CTL_SYNC;
		machine_tell(w, i, &ctl);
		break;
	case FAULT_SWITCHOVER:
		ctl.kind = CTL_SWITCHOVER;
		machine_tell(w, i, &ctl);
		break;
	case FAULT_MAINTENANCE:
		ctl.kind = CTL_MAINTENANCE;
		machine_tell(w, i, &ctl);
		break;
	case FAULT_UNFIT:
		ctl.kind = CTL_UNFIT;
		ctl.unfit = (uint16_t)rnd_below(w, 4);
		machine_tell(w, i, &ctl);
		break;
	case FAULT_STOP:
	case FAULT_STOP_NOW:
		ctl.kind = CTL_STOP;
		ctl.flag = kind == FAULT_STOP_NOW;
		machine_tell(w, i, &ctl);
		break;
	case FAULTS:
		break;
	}
}

void
fault_do(struct world *w, enum fault_kind kind, unsigned i)
{
	w->faults++;
	note(w, "machine %u: %s", i, fault_names[kind]);
	coverage_count(w, w->mode->state(w, i), kind);
	inflict(w, kind, i);
	check_disturbed(w);
}

void
fault_some(struct world *w, int i)
{
	unsigned target = (unsigned)rnd_below(w, w->machines);
	enum fault_kind kind;

	if (i >= 0 && rnd_below(w, 4) != 0)
		target = (unsigned)i;
	/* Everything would be broken for ever without a helping hand now and then. */
	if (i < 0 && rnd_below(w, 8) == 0) {
		fault_do(w, FAULT_MEND, target);
		return;
	}
	do
		kind = (enum fault_kind)rnd_below(w, FAULTS);
	while (!fault_applies(w, kind, target));
	fault_do(w, kind, target);
}
