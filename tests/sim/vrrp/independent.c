/* The shell of routers by the letter of RFC 9568: vrrpd/core/vrrp_fsm.h, one per member
 * and machine. The addresses rise with the machine's number. */
#include "tests/sim/vrrp/sim.h"

#include <string.h>

static void
step(struct world *w, unsigned i, unsigned m, enum vrrp_event_kind kind,
    const struct message *msg)
{
	struct machine *mc = &w->machine[i];
	struct vrrp_router *r = &mc->router[m];
	struct vrrp_event ev = { .kind = kind };
	enum vrrp_state state = r->state;

	td_assert(!mc->stepping);
	if (msg != NULL) {
		ev.advert.priority = msg->priority;
		ev.advert.max_adver_interval_ns = msg->interval_ns;
		ev.advert.source = w->machine[msg->from].router_config.primary;
	}
	vrrp_step(&mc->router_config, r, &ev,
	    (struct td_instant){ machine_clock(w, i) }, &mc->router_actions);
	mc->acting = (uint8_t)m;
	mc->actions_at = 0;
	mc->stepping = true;
	if (r->state != state)
		check_role(w, i, m, (enum td_role)state, (enum td_role)r->state,
		    kind == VRRP_EV_TICK      ? "active_down_timer"
		    : kind == VRRP_EV_ADVERT  ? "higher_priority"
		    : kind == VRRP_EV_STARTUP ? "startup"
					      : "shutdown");
}

/* A list of actions that must not wait for anything. */
static void
finish(struct world *w, unsigned i)
{
	while (w->machine[i].stepping)
		w->machine[i].stepping = w->mode->act(w, i);
}

static void
advertise(struct world *w, unsigned i, unsigned m, uint8_t priority)
{
	struct message msg = { .path = (uint8_t)m,
		.from = (uint8_t)i,
		.priority = priority,
		.interval_ns = w->machine[i].interval_ns };

	transmit(w, i, &msg);
}

static bool
independent_act(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];
	unsigned m = mc->acting;
	int64_t until;

	if (mc->actions_at >= mc->router_actions.count)
		return false;
	switch (mc->router_actions.list[mc->actions_at++]) {
	case VRRP_DO_SEND_ADVERT:
		mc->round = (struct round){ .at = w->now,
			.clock = machine_clock(w, i),
			.in_tick = true,
			.paths = 1u << m };
		advertise(w, i, m, mc->router_config.priority);
		check_round(w, i);
		until = vrrp_renew(&mc->router_config, &mc->router[m],
		    (struct td_instant){ mc->round.clock })
			    .ns;
		check_lease(w, i, m, until);
		mc->answer_clock[m] = until;
		break;
	case VRRP_DO_SEND_RESIGN:
		mc->answer_clock[m] = 0;
		w->resigned_at[m] = w->now;
		transmit_resignation(w, i, m);
		break;
	case VRRP_DO_PROMOTE:
		mc->busy_until = w->now + rnd_below(w, PROMOTE_MAX_NS);
		break;
	case VRRP_DO_DEMOTE:
		mc->answer_clock[m] = 0;
		break;
	}
	return true;
}

static void
independent_start(struct world *w, unsigned i)
{
	for (unsigned m = 0; m < w->members; m++)
		vrrp_init(&w->machine[i].router[m]);
}

/* As vrrpd/independent.c does with every event that wakes it. */
static bool
overslept(struct world *w, unsigned i, unsigned m)
{
	struct machine *mc = &w->machine[i];
	struct vrrp_router *r = &mc->router[m];

	switch (vrrp_judge_lateness(
	    &mc->router_config, r, (struct td_instant){ machine_clock(w, i) })) {
	case VRRP_IN_TIME:
		return false;
	case VRRP_LISTEN_AGAIN:
		return true;
	case VRRP_OVERSLEPT:
		step(w, i, m, VRRP_EV_SHUTDOWN, NULL);
		finish(w, i);
		step(w, i, m, VRRP_EV_STARTUP, NULL);
		return true;
	}
	return false;
}

static void
independent_deliver(struct world *w, unsigned i, const struct message *msg)
{
	struct machine *mc = &w->machine[i];
	struct vrrp_router *r = &mc->router[msg->path];
	bool greater = msg->priority > mc->priority ||
		       (msg->priority == mc->priority && msg->from > i);
	enum vrrp_state state;

	if (r->state == VRRP_ACTIVE && overslept(w, i, msg->path))
		finish(w, i);
	check_heard(w, i, msg, NULL);
	state = r->state;
	step(w, i, msg->path, VRRP_EV_ADVERT, msg);
	if (state == VRRP_ACTIVE && msg->priority != 0 &&
	    (r->state == VRRP_BACKUP) != greater)
		violated(w, "tie", "of two Active routers the lesser one goes on");
}

static void
independent_tell(struct world *w, unsigned i, const struct control *ctl)
{
	switch (ctl->kind) {
	case CTL_LINK:
		step(w, i, ctl->member, ctl->flag ? VRRP_EV_STARTUP : VRRP_EV_SHUTDOWN,
		    NULL);
		break;
	case CTL_STOP:
		for (unsigned m = 0; m < w->members; m++) {
			step(w, i, m, VRRP_EV_SHUTDOWN, NULL);
			finish(w, i);
		}
		note(w, "machine %u stopped", i);
		machine_kill(w, i);
		break;
	case CTL_PROBED:
	case CTL_BARRIER:
	case CTL_SYNC:
	case CTL_SWITCHOVER:
	case CTL_MAINTENANCE:
	case CTL_UNFIT:
		break;
	}
}

static void
independent_tick(struct world *w, unsigned i, unsigned m)
{
	if (!overslept(w, i, m))
		step(w, i, m, VRRP_EV_TICK, NULL);
}

static int64_t
independent_deadline(const struct machine *mc, unsigned m)
{
	return mc->router[m].deadline.ns;
}

static enum td_role
independent_role(const struct machine *mc, unsigned right)
{
	return mc->powered && mc->running ? (enum td_role)mc->router[right].state
					  : TD_ROLE_INITIALIZE;
}

/* tandemd says priority 0 for a vrrpd that died as Active. */
static void
independent_last_words(struct world *w, unsigned i)
{
	for (unsigned m = 0; m < w->members; m++)
		if (w->machine[i].router[m].state == VRRP_ACTIVE) {
			transmit_resignation(w, i, m);
			w->resigned_at[m] = w->now;
		}
}

static unsigned
independent_state(const struct world *w, unsigned i)
{
	const struct machine *mc = &w->machine[i];

	if (!mc->powered || !mc->running)
		return INDEPENDENT_DOWN;
	return INDEPENDENT_INITIALIZE + (unsigned)mc->router[0].state;
}

const struct mode mode_independent = {
	.start = independent_start,
	.deliver = independent_deliver,
	.tell = independent_tell,
	.tick = independent_tick,
	.act = independent_act,
	.deadline = independent_deadline,
	.last_words = independent_last_words,
	.role = independent_role,
	.state = independent_state,
};
