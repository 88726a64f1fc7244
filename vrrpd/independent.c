#include "vrrpd/independent.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"

void
independent_role(const struct daemon *d, struct td_msg_role *ret_role)
{
	struct td_msg_role role = { .role = TD_ROLE_INITIALIZE, .term = d->node.term };

	for (unsigned i = 0; i < d->member_count; i++)
		if ((int)d->member[i].router.state > (int)role.role)
			role.role = (enum td_role)d->member[i].router.state;
	snprintf(role.reason, sizeof(role.reason), "independent");
	*ret_role = role;
}

static_assert((int)VRRP_INITIALIZE == (int)TD_ROLE_INITIALIZE &&
		  (int)VRRP_BACKUP == (int)TD_ROLE_BACKUP &&
		  (int)VRRP_ACTIVE == (int)TD_ROLE_ACTIVE,
    "states and roles are the same words");

static void
tell_role(struct daemon *d)
{
	static const enum td_room rooms[] = { TD_ROOM_SYNCD, TD_ROOM_LBD, TD_ROOM_MGMTD,
		TD_ROOM_TANDEMD, TD_ROOM_HOOKD };
	struct td_msg msg = { .kind = TD_MSG_ROLE };
	int result;

	independent_role(d, &msg.role);
	if (msg.role.role == d->node.role)
		return;
	/* A term counts what the node as a whole takes over, as in node mode. */
	if (msg.role.role == TD_ROLE_ACTIVE) {
		msg.role.term = ++d->node.term;
		result = term_store_commit(&d->terms, d->node.term);
		if (result < 0) {
			d->counters.term_errors++;
			log_limited(LOG_LV_ERR, "vrrp", 1, "term not stored: %s",
			    strerror(-result));
		}
	}
	d->node.role = msg.role.role;
	for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		(void)room_send(d->room, rooms[i], &msg);
}

static void
advertise(struct member *mb)
{
	struct td_instant before = clock_now(), until;

	if (!member_send_adverts(mb, mb->router_config.priority))
		return;
	until = vrrp_renew(&mb->router_config, &mb->router, before);
	if (mb->d->fence == NULL)
		return;
	mb->d->counters.fence_renewals++;
	fence_renew(mb->d->fence, mb->lease, until);
}

static void
perform(struct member *mb, enum vrrp_action_kind action, struct td_instant now)
{
	struct fence *fence = mb->d->fence;

	switch (action) {
	case VRRP_DO_SEND_ADVERT:
		advertise(mb);
		break;
	case VRRP_DO_SEND_RESIGN:
		if (fence != NULL)
			fence_close(fence, mb->lease);
		(void)member_send_adverts(mb, VRRP_PRIORITY_RESIGN);
		break;
	case VRRP_DO_PROMOTE:
		member_promote(mb);
		announce_start(mb->announce, now);
		member_last_words(mb, true);
		break;
	case VRRP_DO_DEMOTE:
		if (fence != NULL)
			fence_close(fence, mb->lease);
		member_last_words(mb, false);
		member_demote(mb);
		break;
	}
}

static char
family_digit(const struct member *mb)
{
	return mb->family == TD_AF_INET6 ? '6' : '4';
}

static const char *
reason_of(const struct vrrp_event *ev, enum vrrp_state to)
{
	switch (ev->kind) {
	case VRRP_EV_STARTUP:
		return "startup";
	case VRRP_EV_SHUTDOWN:
		return "shutdown";
	case VRRP_EV_TICK:
		return "active_down_timer";
	case VRRP_EV_ADVERT:
		return to == VRRP_BACKUP ? "higher_priority" : "peer_resigned";
	}
	return "";
}

/* Initialize without a stop is a link that is down. */
static void
tell_router(const struct member *mb, const char *reason)
{
	struct td_msg msg = { .kind = TD_MSG_ROLE,
		.role = { .role = (enum td_role)mb->router.state,
		    .term = mb->d->node.term,
		    .fault = mb->router.state == VRRP_INITIALIZE && !mb->d->stopping,
		    .priority = mb->router_config.priority } };

	snprintf(msg.role.reason, sizeof(msg.role.reason), "%s",
	    msg.role.fault ? "link_down" : reason);
	daemon_router_name(mb, msg.role.router);
	(void)room_send(mb->d->room, TD_ROOM_HOOKD, &msg);
}

void
independent_tell_routers(const struct daemon *d)
{
	for (unsigned i = 0; i < d->member_count; i++)
		tell_router(&d->member[i], "told_again");
}

static void
event(struct member *mb, const struct vrrp_event *ev, struct td_instant now)
{
	struct daemon *d = mb->d;
	enum vrrp_state from = mb->router.state;
	struct vrrp_actions out;

	vrrp_step(&mb->router_config, &mb->router, ev, now, &out);
	for (unsigned i = 0; i < out.count; i++)
		perform(mb, out.list[i], now);
	loop_timer_set(&mb->router_timer, mb->router.deadline);
	if (mb->router.state == from)
		return;
	log_notice("vrrp", "vrid=%u if=%s af=%c %s -> %s reason=%s priority=%u",
	    mb->interface->vrid, mb->interface->name, family_digit(mb),
	    td_role_name((enum td_role)from),
	    td_role_name((enum td_role)mb->router.state),
	    reason_of(ev, mb->router.state), mb->router_config.priority);
	daemon_log_entering(mb, mb->router.state == VRRP_ACTIVE   ? "MASTER"
				: mb->router.state == VRRP_BACKUP ? "BACKUP"
				: d->stopping                     ? "STOP"
								  : "FAULT");
	tell_role(d);
	tell_router(mb, reason_of(ev, mb->router.state));
}

/* Whatever woke it: an Active that slept through its lease starts again as a Backup. */
static bool
overslept(struct member *mb, struct td_instant now)
{
	int64_t late_ns = instant_diff_ns(now, mb->router.deadline);
	struct vrrp_event ev = { .kind = VRRP_EV_SHUTDOWN };

	switch (vrrp_judge_lateness(&mb->router_config, &mb->router, now)) {
	case VRRP_IN_TIME:
		return false;
	case VRRP_LISTEN_AGAIN:
		loop_timer_set(&mb->router_timer, mb->router.deadline);
		return true;
	case VRRP_OVERSLEPT:
		log_warn("vrrp",
		    "vrid=%u if=%s af=%c late by %" PRId64 " ms: listening again",
		    mb->interface->vrid, mb->interface->name, family_digit(mb),
		    late_ns / NS_PER_MS);
		mb->d->counters.fence_lapses++;
		event(mb, &ev, now);
		ev.kind = VRRP_EV_STARTUP;
		event(mb, &ev, now);
		return true;
	}
	return false;
}

void
independent_timer(struct loop_timer *timer)
{
	struct member *mb = timer->context;
	struct td_instant now = clock_now();
	struct vrrp_event ev = { .kind = VRRP_EV_TICK };
	int64_t late_ns;

	member_drain_adverts(mb);
	late_ns = instant_diff_ns(now, mb->router.deadline);
	if (late_ns >= 0) {
		histogram_add(&mb->d->counters.lateness, late_ns);
		mb->d->counters.late_ticks +=
		    late_ns > mb->router_config.advertisement_interval_ns;
	}
	if (!overslept(mb, now))
		event(mb, &ev, now);
}

void
independent_advert(
    struct member *mb, const struct vrrp_advert *advert, const struct td_addr *source)
{
	struct vrrp_event ev = { .kind = VRRP_EV_ADVERT };
	struct td_instant now = clock_now();
	bool rival;

	/* Its answer would renew a lease that is over, before the rest is read. */
	if (mb->router.state == VRRP_ACTIVE)
		(void)overslept(mb, now);
	rival = mb->router.state == VRRP_ACTIVE;
	ev.advert.priority = advert->priority;
	ev.advert.max_adver_interval_ns = advert->max_adver_interval_ns;
	ev.advert.source = *source;
	/* It may have changed since the link came up. */
	mb->router_config.primary = member_own_address(mb, mb->family);
	event(mb, &ev, now);
	/* Whoever has learned the other one's MAC meanwhile must learn ours again. */
	if (rival && mb->router.state == VRRP_ACTIVE)
		announce_burst(mb->announce, now);
}

void
independent_link(struct member *mb, bool up)
{
	struct vrrp_event ev = { .kind = up ? VRRP_EV_STARTUP : VRRP_EV_SHUTDOWN };

	mb->router_config.primary = member_own_address(mb, mb->family);
	event(mb, &ev, clock_now());
}

void
independent_start(struct daemon *d)
{
	const struct td_vrrp_config *vrrp = &d->config->vrrp;

	for (unsigned i = 0; i < d->member_count; i++) {
		struct member *mb = &d->member[i];

		mb->router_config = (struct vrrp_config){
			.version =
			    mb->family == TD_AF_INET ? vrrp->version : VRRP_VERSION,
			.preempt_delay_ns = vrrp->preempt_delay_ns,
			.priority = d->config->nodes[d->config->self].priority,
			.advertisement_interval_ns = vrrp->advertisement_interval_ns,
			.preempt_mode = vrrp->preempt
		};
		vrrp_init(&mb->router);
		if (link_facts(mb->link)->carrier)
			independent_link(mb, true);
	}
}

void
independent_stop(struct daemon *d)
{
	struct vrrp_event ev = { .kind = VRRP_EV_SHUTDOWN };

	for (unsigned i = 0; i < d->member_count; i++) {
		event(&d->member[i], &ev, clock_now());
		loop_timer_cancel(&d->member[i].router_timer);
	}
}

void
independent_config(struct daemon *d, uint8_t old_priority)
{
	for (unsigned i = 0; i < d->member_count; i++) {
		struct member *mb = &d->member[i];

		mb->router_config.priority = d->config->nodes[d->config->self].priority;
		mb->router_config.preempt_mode = d->config->vrrp.preempt;
		mb->router_config.preempt_delay_ns = d->config->vrrp.preempt_delay_ns;
		vrrp_priority_changed(&mb->router_config, &mb->router, old_priority);
		loop_timer_set(&mb->router_timer, mb->router.deadline);
	}
}
