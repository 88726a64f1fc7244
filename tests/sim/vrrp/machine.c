/*
 * A machine and the one process on it. The process does one thing at a time: the
 * actions of a step, then what it was told, then its sockets, and a timer only when
 * they are empty. It may be stopped between any two of these, and between any two
 * actions.
 */
#include "tests/sim/vrrp/sim.h"

bool
machine_awake(const struct world *w, unsigned i)
{
	const struct machine *mc = &w->machine[i];

	return mc->powered && mc->running && mc->paused_until == 0 &&
	       mc->busy_until <= w->now;
}

static unsigned
timer_count(const struct world *w)
{
	return w->rights;
}

/* As the loop does: a timer per deadline, moved when that moves; it runs a little late.
 */
static void
arm(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	for (unsigned t = 0; t < timer_count(w); t++) {
		struct timer *timer = &mc->timer[t];
		int64_t deadline = w->mode->deadline(mc, t);
		struct event ev = { .kind = EV_WAKE,
			.machine = (uint8_t)i,
			.timer = (uint8_t)t,
			.life = mc->life };

		if (timer->armed && timer->deadline == deadline)
			continue;
		timer->armed = deadline != TD_NEVER.ns;
		timer->deadline = deadline;
		ev.id = ++timer->id;
		if (!timer->armed)
			continue;
		ev.at = machine_clock_reached_at(w, i, deadline);
		ev.at += rnd_below(
		    w, rnd_below(w, 200) == 0 ? LATE_MAX_NS : 200 * NS_PER_US);
		push(w, &ev);
	}
}

static bool
stopped_between(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	if (mc->freeze_in_actions == 0 || rnd_below(w, 3) != 0)
		return false;
	note(w, "machine %u is stopped between two actions for %.1f ms", i,
	    (double)mc->freeze_in_actions / 1e6);
	machine_freeze(w, i, mc->freeze_in_actions);
	mc->freeze_in_actions = 0;
	return true;
}

static bool
run_one(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	if (mc->stepping) {
		if (!stopped_between(w, i))
			mc->stepping = w->mode->act(w, i);
		return true;
	}
	if (mc->control_count > 0) {
		struct control ctl = mc->control[0];

		mc->control_count--;
		for (unsigned k = 0; k < mc->control_count; k++)
			mc->control[k] = mc->control[k + 1];
		w->mode->tell(w, i, &ctl);
		return true;
	}
	if (mc->inbox_count > 0) {
		const struct message *msg = &mc->inbox[mc->inbox_head];

		mc->inbox_head = (mc->inbox_head + 1) % INBOX_MAX;
		mc->inbox_count--;
		if (!msg->witness)
			mc->frame_clock[msg->path] = machine_clock(w, i);
		w->mode->deliver(w, i, msg);
		return true;
	}
	for (unsigned t = 0; t < timer_count(w); t++)
		if (mc->tick_wanted[t]) {
			mc->tick_wanted[t] = false;
			w->mode->tick(w, i, t);
			return true;
		}
	return false;
}

static void
run_later(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];
	struct event ev = { .at = mc->busy_until,
		.kind = EV_RUN,
		.machine = (uint8_t)i,
		.life = mc->life };

	if (mc->run_queued)
		return;
	mc->run_queued = true;
	push(w, &ev);
}

void
machine_run(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	if (mc->slept && machine_awake(w, i)) {
		check_awake(w, i);
		mc->slept = false;
	}
	while (machine_awake(w, i) && run_one(w, i))
		;
	if (!mc->running || !mc->powered)
		return;
	if (mc->busy_until > w->now)
		run_later(w, i);
	else if (mc->paused_until == 0)
		arm(w, i);
}

void
machine_tell(struct world *w, unsigned i, const struct control *ctl)
{
	struct machine *mc = &w->machine[i];

	if (!mc->running || !mc->powered)
		return;
	td_assert(mc->control_count < CONTROLS_MAX);
	mc->control[mc->control_count++] = *ctl;
	machine_run(w, i);
}

void
machine_tell_later(
    struct world *w, unsigned i, const struct control *ctl, int64_t delay_ns)
{
	struct event ev = { .at = w->now + delay_ns,
		.kind = EV_CONTROL,
		.machine = (uint8_t)i,
		.life = w->machine[i].life,
		.control = *ctl };

	push(w, &ev);
}

void
machine_start(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	if ((mc->running && mc->powered) || mc->paused_until != 0)
		return;
	note(w, "machine %u starts", i);
	if (!mc->powered) {
		/* A boot: the clock counts from it. */
		mc->powered = true;
		mc->paused_until = 0;
		machine_clock_set(w, i, 20 * NS_PER_S, mc->drift_ppm);
		for (unsigned m = 0; m < MEMBERS_MAX; m++)
			mc->frame_clock[m] = 0;
		network_watch(w);
	}
	mc->running = true;
	mc->life++;
	mc->busy_until = w->now;
	mc->freeze_in_actions = 0;
	mc->run_queued = mc->stepping = mc->slept = false;
	mc->inbox_count = mc->control_count = 0;
	for (unsigned m = 0; m < MEMBERS_MAX; m++) {
		mc->timer[m].armed = mc->tick_wanted[m] = false;
		mc->answer_clock[m] = 0; /* tandemd revokes what a dead vrrpd left */
	}
	mc->started_at = w->now;
	mc->started_clock = machine_clock(w, i);
	check_started(w, i);
	w->mode->start(w, i);
	for (unsigned m = 0; m < w->members; m++)
		machine_tell(w, i,
		    &(struct control){ .kind = CTL_LINK,
			.member = (uint8_t)m,
			.flag = mc->carrier[m] });
	machine_run(w, i);
}

/* SIGKILL of the process; what it was about to do is never done. */
void
machine_kill(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	for (unsigned r = 0; r < w->rights; r++)
		if (w->mode->role(mc, r) == TD_ROLE_ACTIVE)
			w->yielded_at[r] = w->now;
	mc->running = false;
	mc->stepping = false;
	mc->life++;
	for (unsigned t = 0; t < MEMBERS_MAX; t++)
		mc->timer[t].armed = false;
}

static void
falls_asleep(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	if (!mc->slept)
		mc->slept_clock = machine_clock(w, i);
	mc->slept = true;
}

/* SIGSTOP or a starved processor: frames wait in the sockets. */
void
machine_freeze(struct world *w, unsigned i, int64_t duration_ns)
{
	struct machine *mc = &w->machine[i];

	if (mc->busy_until < w->now)
		mc->busy_until = w->now;
	mc->busy_until += duration_ns;
	falls_asleep(w, i);
	run_later(w, i);
}

/* A suspended or migrated machine: frames are lost, the fence does not answer. */
void
machine_pause(struct world *w, unsigned i, int64_t duration_ns, bool clock_stops)
{
	struct machine *mc = &w->machine[i];
	struct event ev = { .at = w->now + duration_ns,
		.kind = EV_RESUME,
		.machine = (uint8_t)i,
		.life = ++mc->pauses };

	falls_asleep(w, i);
	if (clock_stops)
		machine_clock_set(w, i, machine_clock(w, i), mc->drift_ppm);
	mc->clock_stops = clock_stops;
	mc->paused_until = ev.at;
	push(w, &ev);
	network_watch(w);
}

static void
resume(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	note(w, "machine %u resumes", i);
	if (mc->clock_stops) {
		machine_clock_set(w, i, mc->clock_base, mc->drift_ppm);
		for (unsigned t = 0; t < MEMBERS_MAX; t++)
			mc->timer[t].armed = false;
	}
	mc->clock_stops = false;
	mc->paused_until = 0;
	network_watch(w);
	machine_run(w, i);
}

void
machine_set_carrier(struct world *w, unsigned i, unsigned m, bool up)
{
	struct control ctl = { .kind = CTL_LINK, .member = (uint8_t)m, .flag = up };

	w->machine[i].carrier[m] = up;
	network_watch(w);
	machine_tell(w, i, &ctl);
}

void
machine_handle(struct world *w, const struct event *ev)
{
	struct machine *mc = &w->machine[ev->machine];
	unsigned i = ev->machine;
	struct event later;
	bool current = mc->powered && mc->running && ev->life == mc->life;

	switch (ev->kind) {
	case EV_WAKE:
		if (!current || ev->id != mc->timer[ev->timer].id)
			return;
		mc->timer[ev->timer].armed = false;
		mc->tick_wanted[ev->timer] = true;
		break;
	case EV_RUN:
		if (!current)
			return;
		mc->run_queued = false;
		break;
	case EV_DELIVER:
		if (!mc->running || !port_hears(w, i, ev->msg.path))
			return;
		check_arrived(w, &ev->msg);
		if (mc->inbox_count < INBOX_MAX) {
			mc->inbox[(mc->inbox_head + mc->inbox_count) % INBOX_MAX] =
			    ev->msg;
			mc->inbox_count++;
		}
		break;
	case EV_CONTROL:
		if (current)
			machine_tell(w, i, &ev->control);
		return;
	case EV_RESUME:
		if (mc->powered && ev->life == mc->pauses)
			resume(w, i);
		return;
	case EV_START:
		if (mc->running || !mc->powered || ev->life != mc->life)
			return;
		if (mc->paused_until != 0) {
			later = *ev;
			later.at = mc->paused_until;
			push(w, &later);
			return;
		}
		machine_start(w, i);
		return;
	case EV_FAULT:
		return;
	}
	machine_run(w, i);
}
