/*
 * What changes in the kernel's tracking around a takeover, beside the flows themselves.
 *
 *   windows   Replicas are liberal. A while after a takeover, those which packets have
 *             passed are judged strictly again; walks go on until none is idle.
 *   pick-up   nf_conntrack_tcp_loose lets a flow without entry begin midstream. A
 * Backup that holds the Active router's state needs it no more; a router that starts
 *             with an empty table does, for as long as it takes running sessions to say
 *             something. It is never switched on again: from then on every flow is
 * known.
 */
#include "syncd/syncd.h"

#include <errno.h>
#include <string.h>
#include "common/log.h"

#define GRACE_NS (30 * NS_PER_S)
#define WALKS_END_NS (600 * NS_PER_S)
#define WALK_STEP_NS (5 * NS_PER_MS)
#define WALK_STEP_ENTRIES 2000
#define PICK_UP_NS (300 * NS_PER_S)

static void
walk_over(struct syncd *sd, struct td_instant now, int result)
{
	const struct ct_grace_counters *count = ct_grace_counters(sd->grace);

	if (result < 0)
		log_warn("sync", "windows of inherited flows: %s", strerror(-result));
	else
		log_info("sync", "windows judged again strict=%llu idle=%llu",
		    (unsigned long long)count->strict, (unsigned long long)count->idle);
	if ((result == 0 && count->idle == 0) || instant_reached(now, sd->walks_end))
		return;
	loop_timer_set(&sd->walk_timer, instant_add(now, GRACE_NS));
}

static void
on_walk(struct loop_timer *timer)
{
	struct syncd *sd = timer->context;
	struct td_instant now = loop_now(sd->loop);
	int r = 0;

	if (!ct_grace_running(sd->grace))
		r = ct_grace_start(sd->grace);
	if (r == 0)
		r = ct_grace_step(sd->grace, WALK_STEP_ENTRIES);
	if (r == 1)
		loop_timer_set(&sd->walk_timer, instant_add(now, WALK_STEP_NS));
	else
		walk_over(sd, now, r);
}

static void
end_pick_up(struct syncd *sd, const char *reason)
{
	const struct ct_setting_state *set = &sd->sysctl.settings[CT_SET_TCP_LOOSE];

	loop_timer_cancel(&sd->pick_up_timer);
	sd->pick_up_ended = true;
	ct_sysctl_set_tcp_loose(&sd->sysctl, false);
	if (set->error < 0)
		log_warn("sync", "nf_conntrack_tcp_loose: %s", strerror(-set->error));
	else
		log_info("sync", "nf_conntrack_tcp_loose=0 reason=%s", reason);
}

static void
on_pick_up_over(struct loop_timer *timer)
{
	end_pick_up(timer->context, "pick_up_time");
}

int
takeover_open(struct syncd *sd)
{
	loop_timer_init(sd->loop, &sd->walk_timer, on_walk, sd);
	loop_timer_init(sd->loop, &sd->pick_up_timer, on_pick_up_over, sd);
	loop_timer_set(&sd->pick_up_timer, instant_add(loop_now(sd->loop), PICK_UP_NS));
	return ct_grace_new(&sd->filter, sd->inject, TAKEOVER_COOKIE, &sd->grace);
}

void
takeover_role(struct syncd *sd, bool became_active)
{
	struct td_instant now = loop_now(sd->loop);

	if (became_active) {
		sd->walks_end = instant_add(now, WALKS_END_NS);
		loop_timer_set(&sd->walk_timer, instant_add(now, GRACE_NS));
	} else if (sd->role != TD_ROLE_ACTIVE) {
		loop_timer_cancel(&sd->walk_timer);
		ct_grace_abort(sd->grace);
	}
}

void
takeover_state(struct syncd *sd, bool have_state)
{
	if (have_state && sd->role == TD_ROLE_BACKUP && !sd->pick_up_ended)
		end_pick_up(sd, "have_state");
}

void
takeover_close(struct syncd *sd)
{
	loop_timer_cancel(&sd->walk_timer);
	loop_timer_cancel(&sd->pick_up_timer);
	ct_grace_free(sd->grace);
	sd->grace = NULL;
}
