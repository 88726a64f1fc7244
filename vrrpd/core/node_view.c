#include <string.h>
#include <tandem/assert.h>
#include "vrrpd/core/node_internal.h"

#define PROBE_NS_MIN (50 * NS_PER_MS)

int64_t
node_skew_time_ns(const struct node_config *cfg, const struct node *n)
{
	return (256 - cfg->priority) * n->peer.interval_ns / 256;
}

int64_t
node_active_down_interval_ns(const struct node_config *cfg, const struct node *n)
{
	return NODE_LEASE_INTERVALS * n->peer.interval_ns + node_skew_time_ns(cfg, n);
}

int64_t
node_lease_ns(const struct node_config *cfg)
{
	return NODE_LEASE_INTERVALS * cfg->interval_ns;
}

int64_t
node_probe_ns(const struct node_config *cfg)
{
	return cfg->interval_ns > PROBE_NS_MIN ? cfg->interval_ns : PROBE_NS_MIN;
}

bool
node_heard_within_down(const struct node_config *cfg, const struct node *n,
    struct td_instant at, struct td_instant now)
{
	return instant_diff_ns(now, at) < node_active_down_interval_ns(cfg, n);
}

bool
node_peer_alive(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	return node_heard_within_down(cfg, n, n->peer.alive_at, now);
}

bool
node_witness_alive(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	return node_heard_within_down(cfg, n, n->peer.witness_at, now);
}

unsigned
node_alarms(const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	bool witness = node_witness_alive(cfg, n, now),
	     peer = node_peer_alive(cfg, n, now);
	unsigned alarms = 0;

	if (!peer)
		alarms |= NODE_ALARM_PEER_SILENT;
	if (peer && !witness)
		alarms |= NODE_ALARM_WITNESS_SILENT;
	if (witness && (n->peer.flags & WITNESS_HEARS_WITNESS) == 0)
		alarms |= NODE_ALARM_ONE_WAY;
	if (instant_is_set(n->silent_since))
		alarms |= NODE_ALARM_ISOLATED;
	if (n->maintenance)
		alarms |= NODE_ALARM_MAINTENANCE;
	if (n->unfit != 0)
		alarms |= NODE_ALARM_UNFIT;
	for (uint8_t m = 0; m < cfg->member_count; m++) {
		if (!n->member[m].link_up)
			alarms |= NODE_ALARM_LINK_DOWN;
		if (node_member_cut(cfg, n, m, now))
			alarms |= NODE_ALARM_PARTIAL_CUT;
	}
	return alarms;
}

void
node_witness(const struct node_config *cfg, const struct node *n, struct td_instant now,
    struct witness_payload *ret_payload)
{
	struct witness_payload w;
	unsigned flags = 0;

	memset(&w, 0, sizeof(w));
	if (n->have_state)
		flags |= WITNESS_HAVE_STATE;
	if (n->peer_has_state)
		flags |= WITNESS_PEER_HAS_STATE;
	if (n->resign_deadline.ns != TD_NEVER.ns)
		flags |= WITNESS_RESIGN;
	if (n->claiming)
		flags |= WITNESS_CLAIM;
	if (n->maintenance)
		flags |= WITNESS_MAINTENANCE;
	if (node_witness_alive(cfg, n, now))
		flags |= WITNESS_HEARS_WITNESS;
	w.role = (uint8_t)n->role;
	w.priority = n->priority;
	w.base_priority = cfg->priority;
	w.flags = (uint16_t)flags;
	w.term = n->term;
	w.interval_ns = cfg->interval_ns;
	w.unfit = n->unfit;
	w.member_count = cfg->member_count;
	for (uint8_t m = 0; m < cfg->member_count; m++)
		w.member[m] = member_bits(cfg, n, m, now);
	*ret_payload = w;
}

void
node_role(const struct node_config *cfg, const struct node *n, struct td_instant now,
    struct td_msg_role *ret_role)
{
	struct td_msg_role role;
	const char *reason = node_reason_name(n->reason);

	memset(&role, 0, sizeof(role));
	role.role = n->role;
	role.term = n->term;
	td_assert(strlen(reason) < sizeof(role.reason));
	memcpy(role.reason, reason, strlen(reason));
	role.peer_alive = n->role != TD_ROLE_INITIALIZE && node_peer_alive(cfg, n, now);
	if (role.peer_alive) {
		role.peer_role = n->peer.role;
		role.peer_term = n->peer.term;
	}
	role.priority = n->priority;
	role.fault = n->role == TD_ROLE_BACKUP &&
		     (n->isolated || (!members_any_link(cfg, n) &&
					 instant_reached(now, n->listen_deadline)));
	*ret_role = role;
}

const char *
node_reason_name(enum node_reason reason)
{
	static const char *const names[NODE_REASONS] = {
		[NODE_BY_STARTUP] = "startup",
		[NODE_BY_ACTIVE_DOWN_TIMER] = "active_down_timer",
		[NODE_BY_PEER_RESIGNED] = "peer_resigned",
		[NODE_BY_HIGHER_TERM] = "higher_term",
		[NODE_BY_HIGHER_PRIORITY] = "higher_priority",
		[NODE_BY_NOT_HEARD] = "not_heard",
		[NODE_BY_LEASE_LAPSED] = "lease_lapsed",
		[NODE_BY_ISOLATED] = "isolated",
		[NODE_BY_LINK_DOWN] = "link_down",
		[NODE_BY_PARTIAL_CUT] = "partial_cut",
		[NODE_BY_SWITCHOVER] = "switchover",
		[NODE_BY_PREEMPTED] = "preempted",
		[NODE_BY_SHUTDOWN] = "shutdown",
		[NODE_BY_UNFIT] = "unfit",
		[NODE_BY_MAINTENANCE] = "maintenance",
		[NODE_BY_TERM_RAISED] = "term_raised",
	};

	td_assert(reason < NODE_REASONS);
	return names[reason];
}

const char *
node_refusal_text(enum node_refusal refusal)
{
	static const char *const texts[NODE_REFUSALS] = {
		[NODE_REFUSED_NOT] = "",
		[NODE_REFUSED_NOT_ACTIVE] = "this node is not Active",
		[NODE_REFUSED_NO_PEER] = "the peer is not heard on the witness path",
		[NODE_REFUSED_PEER_NOT_BACKUP] = "the peer is not Backup",
		[NODE_REFUSED_PEER_NO_STATE] = "the peer does not hold the whole state",
		[NODE_REFUSED_PEER_UNFIT] =
		    "the peer is less fit: a member is down or a script fails there",
		[NODE_REFUSED_PEER_MAINTENANCE] = "the peer is in maintenance",
		[NODE_REFUSED_BUSY] = "a hand-over is already under way",
		[NODE_REFUSED_BARRIER] =
		    "the peer did not acknowledge the state in time",
	};

	td_assert(refusal < NODE_REFUSALS);
	return texts[refusal];
}

const char *
node_alarm_name(enum node_alarm alarm)
{
	switch (alarm) {
	case NODE_ALARM_PEER_SILENT:
		return "peer_silent";
	case NODE_ALARM_WITNESS_SILENT:
		return "witness_silent";
	case NODE_ALARM_PARTIAL_CUT:
		return "partial_cut";
	case NODE_ALARM_LINK_DOWN:
		return "link_down";
	case NODE_ALARM_ONE_WAY:
		return "one_way";
	case NODE_ALARM_ISOLATED:
		return "isolated";
	case NODE_ALARM_MAINTENANCE:
		return "maintenance";
	case NODE_ALARM_UNFIT:
		return "unfit";
	}
	return "unknown";
}
