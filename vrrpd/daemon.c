#include "vrrpd/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"

/* What follows from an action at once (a refused barrier, a finished send) is given
 * back to the election; that converges after one or two rounds. */
#define ROUNDS_MAX 8
#define NODE_LEASE 0

struct outcome {
	bool sent, sent_ok; /* adverts or witness were to leave; one did */
	struct td_instant before;
	bool barrier_failed;
};

static void
sending(struct outcome *oc)
{
	if (!oc->sent)
		oc->before = clock_now();
	oc->sent = true;
}

static void
send_adverts(struct daemon *d, uint8_t priority, struct outcome *oc)
{
	sending(oc);
	for (unsigned i = 0; i < d->member_count; i++) {
		struct member *mb = &d->member[i];

		if (d->node.member[i].link_up && member_send_adverts(mb, priority))
			oc->sent_ok = true;
	}
}

unsigned
daemon_send_witness(struct daemon *d, const struct witness_payload *payload)
{
	struct witness_payload with_hints = *payload;

	for (unsigned i = 0; i < d->member_count; i++)
		with_hints.hint[i] = d->member[i].hint;
	return witness_socket_send(d->witness, &with_hints);
}

static void
send_witness(
    struct daemon *d, const struct witness_payload *payload, struct outcome *oc)
{
	sending(oc);
	if (daemon_send_witness(d, payload) > 0)
		oc->sent_ok = true;
}

static void
promote(struct daemon *d, struct td_instant now)
{
	for (unsigned i = 0; i < d->member_count; i++)
		member_promote(&d->member[i]);
	for (unsigned i = 0; i < d->member_count; i++)
		announce_start(d->member[i].announce, now);
	for (unsigned i = 0; i < d->member_count; i++)
		member_last_words(&d->member[i], true);
	histogram_add(&d->counters.takeover, instant_diff_ns(clock_now(), now));
}

static void
demote(struct daemon *d)
{
	for (unsigned i = 0; i < d->member_count; i++) {
		member_last_words(&d->member[i], false);
		member_demote(&d->member[i]);
	}
}

static void
set_fence(struct daemon *d, const struct node_action *a)
{
	if (d->fence == NULL)
		return;
	if (a->answer.ns != 0) {
		d->counters.fence_renewals++;
		fence_renew(d->fence, NODE_LEASE, a->answer);
	} else if (a->forward.ns != 0) {
		fence_drain(d->fence, NODE_LEASE, a->forward);
	} else {
		fence_close(d->fence, NODE_LEASE);
	}
}

static void
tell_role(struct daemon *d, struct td_instant now)
{
	static const enum td_room rooms[] = { TD_ROOM_SYNCD, TD_ROOM_LBD, TD_ROOM_MGMTD,
		TD_ROOM_TANDEMD, TD_ROOM_HOOKD };
	struct td_msg msg = { .kind = TD_MSG_ROLE };

	node_role(&d->cfg, &d->node, now, &msg.role);
	for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		int result = room_send(d->room, rooms[i], &msg);

		/* A link that comes up later is told then. */
		if (result < 0 && result != -ENOTCONN)
			log_limited(LOG_LV_WARN, "vrrp", 1, "role not told to %s: %s",
			    td_room_name(rooms[i]), strerror(-result));
	}
}

static void
ask_barrier(struct daemon *d, struct outcome *oc)
{
	struct td_msg msg = { .kind = TD_MSG_BARRIER,
		.barrier = { .id = ++d->barrier_id } };

	if (room_send(d->room, TD_ROOM_SYNCD, &msg) < 0)
		oc->barrier_failed = true;
}

static void
store_term(struct daemon *d, const struct node_action *a)
{
	int result = a->kind == NODE_DO_PREPARE_TERM
			 ? term_store_prepare(&d->terms, a->term)
			 : term_store_commit(&d->terms, a->term);

	/* A full disk is no reason to leave the network without a router: the peer and
	 * this process remember the term as well. */
	if (result < 0) {
		d->counters.term_errors++;
		log_limited(LOG_LV_ERR, "vrrp", 1, "term=%" PRIu64 " not stored: %s",
		    a->term, strerror(-result));
	}
}

static void
reply_switchover(struct daemon *d, enum node_refusal refusal)
{
	int status = refusal == NODE_REFUSED_NOT ? 0 : -EBUSY;

	if (refusal == NODE_REFUSED_BARRIER)
		status = -ETIMEDOUT;
	log_notice("vrrp", "switchover %s%s",
	    refusal == NODE_REFUSED_NOT ? "done" : "refused: ",
	    node_refusal_text(refusal));
	(void)room_reply(d->room, d->request_from, d->request_id, status,
	    node_refusal_text(refusal));
}

static void
perform(struct daemon *d, const struct node_action *a, struct td_instant now,
    struct outcome *oc)
{
	switch (a->kind) {
	case NODE_DO_PREPARE_TERM:
	case NODE_DO_PERSIST_TERM:
		store_term(d, a);
		break;
	case NODE_DO_FENCE:
		set_fence(d, a);
		break;
	case NODE_DO_SEND_ADVERTS:
		send_adverts(d, a->priority, oc);
		break;
	case NODE_DO_SEND_WITNESS:
		send_witness(d, &a->witness, oc);
		break;
	case NODE_DO_PROMOTE:
		promote(d, now);
		break;
	case NODE_DO_DEMOTE:
		demote(d);
		break;
	case NODE_DO_ANNOUNCE:
		for (unsigned i = 0; i < d->member_count; i++)
			announce_burst(d->member[i].announce, now);
		break;
	case NODE_DO_ROLE:
		tell_role(d, now);
		break;
	case NODE_DO_BARRIER:
		ask_barrier(d, oc);
		break;
	case NODE_DO_PROBE:
		member_probe(&d->member[a->member], now);
		break;
	case NODE_DO_PROBE_CANCEL:
		member_probe_cancel(&d->member[a->member]);
		break;
	case NODE_DO_REPLY:
		reply_switchover(d, a->refusal);
		break;
	case NODE_DO_STOPPED:
		/* Sockets are being read further up the stack: take down later. */
		loop_timer_set(&d->exit_timer, now);
		break;
	}
}

const char *
daemon_router_name(const struct member *mb, char buf[TD_NAME_MAX])
{
	snprintf(buf, TD_NAME_MAX, "%s%s", mb->interface->name,
	    mb->family == TD_AF_INET6 ? "-v6" : "");
	return buf;
}

void
daemon_log_entering(const struct member *mb, const char *state)
{
	char name[TD_NAME_MAX];

	if (mb->d->config->vrrp.keepalived_names)
		log_notice("vrrp", "(%s) Entering %s STATE",
		    daemon_router_name(mb, name), state);
}

/* What keepalived calls so: a node that cannot take over as it is. */
static void
log_fault(struct daemon *d, bool before)
{
	bool fault = d->node.published.fault;

	if (before == fault || d->node.role != TD_ROLE_BACKUP)
		return;
	for (unsigned i = 0; i < d->member_count; i++)
		daemon_log_entering(&d->member[i], fault ? "FAULT" : "BACKUP");
}

static void
log_transition(struct daemon *d, enum td_role from, uint64_t term_before)
{
	const char *reason = node_reason_name(d->node.reason);
	enum td_role to = d->node.role;

	if (from == to && (to != TD_ROLE_ACTIVE || term_before == d->node.term))
		return;
	d->counters.transitions[d->node.reason]++;
	if (d->node.reason == NODE_BY_LEASE_LAPSED)
		d->counters.fence_lapses++;
	for (unsigned i = 0; i < d->member_count; i++) {
		const struct member *mb = &d->member[i];

		log_notice("vrrp",
		    "vrid=%u if=%s %s -> %s reason=%s term=%" PRIu64 " priority=%u",
		    mb->interface->vrid, mb->interface->name, td_role_name(from),
		    td_role_name(to), reason, d->node.term, d->node.priority);
		if (from != to)
			daemon_log_entering(mb, to == TD_ROLE_ACTIVE   ? "MASTER"
						: to == TD_ROLE_BACKUP ? "BACKUP"
								       : "STOP");
	}
}

static void
log_alarms(struct daemon *d, unsigned before)
{
	for (unsigned bit = 1; bit <= NODE_ALARM_LAST; bit <<= 1) {
		bool raised = (d->node.alarms & bit) != 0;

		if (((before ^ d->node.alarms) & bit) != 0)
			log_line(raised ? LOG_LV_WARN : LOG_LV_NOTICE, "vrrp",
			    "alarm=%s %s", node_alarm_name(bit),
			    raised ? "raised" : "cleared");
	}
}

static void
step(struct daemon *d, const struct node_event *ev, struct td_instant now,
    struct outcome *oc)
{
	struct node_actions out;
	enum td_role role = d->node.role;
	uint64_t term = d->node.term;
	unsigned alarms = d->node.alarms;
	bool fault = d->node.published.fault;

	node_step(&d->cfg, &d->node, ev, now, &out);
	for (unsigned i = 0; i < out.count; i++)
		perform(d, &out.list[i], now, oc);
	/* Words come after deeds. */
	log_transition(d, role, term);
	log_fault(d, fault);
	log_alarms(d, alarms);
}

void
daemon_event(struct daemon *d, const struct node_event *first, struct td_instant now)
{
	struct node_event ev = *first;
	struct outcome oc = { 0 };
	unsigned rounds = 0;

	if (!d->running)
		return;
	step(d, &ev, now, &oc);
	while ((oc.sent || oc.barrier_failed) && rounds++ < ROUNDS_MAX) {
		struct outcome next = { 0 };

		if (oc.sent) {
			ev = (struct node_event){ .kind = NODE_EV_SENT,
				.sent = { .before = oc.before, .ok = oc.sent_ok } };
			next.barrier_failed = oc.barrier_failed;
			now = clock_now();
		} else {
			ev = (struct node_event){ .kind = NODE_EV_BARRIER,
				.barrier_ok = false };
		}
		step(d, &ev, now, &next);
		oc = next;
	}
	loop_timer_set(&d->timer, node_deadline(&d->node));
}

/* What the fence has seen of each segment. A member whose programs could not be
 * attached shows nothing. */
static void
look_at_segments(struct daemon *d, struct td_instant now)
{
	bool present = false, watched = false;

	for (unsigned i = 0; i < d->member_count; i++) {
		const struct member *mb = &d->member[i];
		uint32_t ifindex = link_facts(mb->link)->parent_ifindex;

		present |= ifindex != 0;
		watched |= mb->fence_attached;
	}
	d->cfg.blind = present && !watched;
	for (unsigned i = 0; i < d->member_count && d->fence != NULL; i++) {
		struct node_event frame = { .kind = NODE_EV_FRAME,
			.member = (uint8_t)i };

		frame.frame_at = fence_last_frame(
		    d->fence, link_facts(d->member[i].link)->parent_ifindex);
		daemon_event(d, &frame, now);
	}
}

void
daemon_tick(struct loop_timer *timer)
{
	struct daemon *d = timer->context;
	struct td_instant now = clock_now();
	struct node_event ev = { .kind = NODE_EV_TICK };
	int64_t late_ns = instant_diff_ns(now, node_deadline(&d->node));

	if (late_ns > 0) {
		histogram_add(&d->counters.lateness, late_ns);
		d->counters.late_ticks += late_ns > d->cfg.interval_ns;
	}
	/* The loop has read what it knew to be ready; what came since counts as well.
	 */
	for (unsigned i = 0; i < d->member_count; i++)
		member_drain_adverts(&d->member[i]);
	witness_socket_drain(d->witness);
	look_at_segments(d, now);
	daemon_event(d, &ev, now);
}
