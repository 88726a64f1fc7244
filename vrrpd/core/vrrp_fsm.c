#include "vrrpd/core/vrrp_fsm.h"

#include <string.h>
#include <tandem/assert.h>

#define PRIORITY_OWNER 255
#define VERSION_2 2

static void
act(struct vrrp_actions *out, enum vrrp_action_kind kind)
{
	td_assert(out->count < VRRP_ACTIONS_MAX);
	out->list[out->count++] = kind;
}

/* RFC 9568 section 6.1; multiplied before divided, so that 10 ms keeps its skew. In
 * version 2 it is a part of a second, whatever the interval: RFC 3768 section 6.1. */
static int64_t
skew_time_ns(
    const struct vrrp_config *cfg, const struct vrrp_router *r, uint8_t priority)
{
	int64_t whole_ns =
	    cfg->version == VERSION_2 ? NS_PER_S : r->active_adver_interval_ns;

	return (256 - priority) * whole_ns / 256;
}

int64_t
vrrp_skew_time_ns(const struct vrrp_config *cfg, const struct vrrp_router *r)
{
	return skew_time_ns(cfg, r, cfg->priority);
}

int64_t
vrrp_active_down_interval_ns(const struct vrrp_config *cfg, const struct vrrp_router *r)
{
	return 3 * r->active_adver_interval_ns + vrrp_skew_time_ns(cfg, r);
}

static struct td_instant
lease_from(const struct vrrp_config *cfg, struct td_instant start)
{
	return instant_add(
	    start, VRRP_LEASE_INTERVALS * cfg->advertisement_interval_ns);
}

struct td_instant
vrrp_renew(
    const struct vrrp_config *cfg, struct vrrp_router *r, struct td_instant before)
{
	struct td_instant decided =
	    instant_add(r->deadline, -cfg->advertisement_interval_ns);

	td_assert(r->state == VRRP_ACTIVE);
	if (instant_reached(before, r->lease_end))
		return r->lease_end;
	if (!r->opened && instant_diff_ns(before, decided) > VRRP_FRESH_NS) {
		r->deadline = before;
		return (struct td_instant){ 0 };
	}
	r->opened = true;
	r->lease_end = lease_from(cfg, before);
	return r->lease_end;
}

enum vrrp_lateness
vrrp_judge_lateness(
    const struct vrrp_config *cfg, struct vrrp_router *r, struct td_instant now)
{
	int64_t interval_ns = cfg->advertisement_interval_ns;

	if (r->state == VRRP_ACTIVE && instant_reached(now, r->lease_end))
		return VRRP_OVERSLEPT;
	if (r->state == VRRP_BACKUP &&
	    instant_diff_ns(now, r->deadline) > interval_ns) {
		r->deadline = instant_add(now, interval_ns);
		return VRRP_LISTEN_AGAIN;
	}
	return VRRP_IN_TIME;
}

void
vrrp_priority_changed(const struct vrrp_config *cfg, struct vrrp_router *r, uint8_t old)
{
	if (r->state != VRRP_BACKUP)
		return;
	r->deadline = instant_add(
	    r->deadline, vrrp_skew_time_ns(cfg, r) - skew_time_ns(cfg, r, old));
}

void
vrrp_init(struct vrrp_router *r)
{
	*r = (struct vrrp_router){ .state = VRRP_INITIALIZE,
		.deadline = TD_NEVER,
		.preempt_at = TD_NEVER,
		.lease_end = TD_NEVER };
}

static void
become_initialize(struct vrrp_router *r)
{
	r->state = VRRP_INITIALIZE;
	r->deadline = r->preempt_at = TD_NEVER;
}

static void
become_active(const struct vrrp_config *cfg, struct vrrp_router *r,
    struct td_instant now, struct vrrp_actions *out)
{
	r->state = VRRP_ACTIVE;
	r->preempt_at = TD_NEVER;
	r->opened = false;
	r->lease_end = lease_from(cfg, now);
	r->deadline = instant_add(now, cfg->advertisement_interval_ns);
	act(out, VRRP_DO_SEND_ADVERT);
	act(out, VRRP_DO_PROMOTE);
}

static void
become_backup(const struct vrrp_config *cfg, struct vrrp_router *r, int64_t interval_ns,
    struct td_instant now)
{
	r->state = VRRP_BACKUP;
	if (cfg->version != VERSION_2)
		r->active_adver_interval_ns = interval_ns;
	r->deadline = instant_add(now, vrrp_active_down_interval_ns(cfg, r));
}

/* RFC 9568 section 6.4.1 */
static void
initialize_step(const struct vrrp_config *cfg, struct vrrp_router *r,
    const struct vrrp_event *ev, struct td_instant now, struct vrrp_actions *out)
{
	switch (ev->kind) {
	case VRRP_EV_STARTUP:
		r->active_adver_interval_ns = cfg->advertisement_interval_ns;
		if (cfg->priority == PRIORITY_OWNER)
			become_active(cfg, r, now, out);
		else
			become_backup(cfg, r, cfg->advertisement_interval_ns, now);
		break;
	case VRRP_EV_SHUTDOWN:
	case VRRP_EV_TICK:
	case VRRP_EV_ADVERT:
		break;
	}
}

/* Preempt_Mode, which the owner has whatever is configured (section 6.1), and our
 * delay, counted from the first advertisement of a lower priority. */
static bool
preempts(const struct vrrp_config *cfg, struct vrrp_router *r, uint8_t priority,
    struct td_instant now)
{
	if (priority >= cfg->priority) {
		r->preempt_at = TD_NEVER;
		return false;
	}
	if (cfg->priority == PRIORITY_OWNER)
		return true;
	if (!cfg->preempt_mode)
		return false;
	r->preempt_at =
	    instant_earlier(r->preempt_at, instant_add(now, cfg->preempt_delay_ns));
	return instant_reached(now, r->preempt_at);
}

/* RFC 9568 section 6.4.2 */
static void
backup_step(const struct vrrp_config *cfg, struct vrrp_router *r,
    const struct vrrp_event *ev, struct td_instant now, struct vrrp_actions *out)
{
	switch (ev->kind) {
	case VRRP_EV_STARTUP:
		break;
	case VRRP_EV_SHUTDOWN:
		become_initialize(r);
		break;
	case VRRP_EV_TICK:
		if (instant_reached(now, r->deadline))
			become_active(cfg, r, now, out);
		break;
	case VRRP_EV_ADVERT:
		if (ev->advert.priority == 0)
			r->deadline = instant_add(now, vrrp_skew_time_ns(cfg, r));
		else if (!preempts(cfg, r, ev->advert.priority, now))
			become_backup(cfg, r, ev->advert.max_adver_interval_ns, now);
		/* Otherwise discard: our own Active_Down_Timer will preempt. */
		break;
	}
}

static bool
advert_wins(const struct vrrp_config *cfg, const struct vrrp_event *ev)
{
	if (ev->advert.priority != cfg->priority)
		return ev->advert.priority > cfg->priority;
	return memcmp(ev->advert.source.bytes, cfg->primary.bytes,
		   sizeof(cfg->primary.bytes)) > 0;
}

/* RFC 9568 section 6.4.3 */
static void
active_step(const struct vrrp_config *cfg, struct vrrp_router *r,
    const struct vrrp_event *ev, struct td_instant now, struct vrrp_actions *out)
{
	switch (ev->kind) {
	case VRRP_EV_STARTUP:
		break;
	case VRRP_EV_SHUTDOWN:
		become_initialize(r);
		act(out, VRRP_DO_SEND_RESIGN);
		act(out, VRRP_DO_DEMOTE);
		break;
	case VRRP_EV_TICK:
		if (!instant_reached(now, r->deadline))
			break;
		r->deadline = instant_add(now, cfg->advertisement_interval_ns);
		act(out, VRRP_DO_SEND_ADVERT);
		break;
	case VRRP_EV_ADVERT:
		if (ev->advert.priority == 0) {
			r->deadline = instant_add(now, cfg->advertisement_interval_ns);
			act(out, VRRP_DO_SEND_ADVERT);
		} else if (advert_wins(cfg, ev)) {
			become_backup(cfg, r, ev->advert.max_adver_interval_ns, now);
			act(out, VRRP_DO_DEMOTE);
		} else if (cfg->version != VERSION_2) {
			/* New in RFC 9568: it silences the loser at once and repairs
			 * the bridges that its advertisement has misled. */
			act(out, VRRP_DO_SEND_ADVERT);
		}
		break;
	}
}

void
vrrp_step(const struct vrrp_config *cfg, struct vrrp_router *r,
    const struct vrrp_event *ev, struct td_instant now, struct vrrp_actions *out)
{
	td_assert(cfg->priority >= 1);
	out->count = 0;
	switch (r->state) {
	case VRRP_INITIALIZE:
		initialize_step(cfg, r, ev, now, out);
		break;
	case VRRP_BACKUP:
		backup_step(cfg, r, ev, now, out);
		break;
	case VRRP_ACTIVE:
		active_step(cfg, r, ev, now, out);
		break;
	}
}
