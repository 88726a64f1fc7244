#include "vrrpd/core/node.h"

#include <string.h>
#include <tandem/assert.h>
#include "vrrpd/core/node_internal.h"

#define LONG_AGO ((struct td_instant){ -(INT64_MAX / 4) })
/* A Backup lets a better candidate go first, but not for ever. */
#define DEFER_INTERVALS 3

/* How much less fit than the peer we are. A fault that both share counts nothing. */
static int
unfit_balance(const struct node_config *cfg, const struct node *n)
{
	return members_unfit_balance(cfg, n) + scripts_unfit_balance(n);
}

static bool
fitter_than_peer(const struct node_config *cfg, const struct node *n)
{
	return unfit_balance(cfg, n) < 0;
}

/* In maintenance, and the peer is not: it serves if it can. */
static bool
steps_back(const struct node *n)
{
	return n->maintenance && (n->peer.flags & WITNESS_MAINTENANCE) == 0;
}

static bool
peer_steps_back(const struct node *n)
{
	return !n->maintenance && (n->peer.flags & WITNESS_MAINTENANCE) != 0;
}

/* Both are Backup: is it the peer's turn? */
static bool
peer_goes_first(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	bool peer_state = (n->peer.flags & WITNESS_HAVE_STATE) != 0;
	int unfit = unfit_balance(cfg, n);

	if (!node_witness_alive(cfg, n, now) || n->peer.role != TD_ROLE_BACKUP)
		return false;
	if (steps_back(n) || peer_steps_back(n))
		return steps_back(n);
	if ((n->peer.flags & WITNESS_RESIGN) != 0 && (n->have_state || unfit < 0))
		return false;
	if (unfit != 0)
		return unfit > 0;
	if (peer_state != n->have_state)
		return peer_state;
	if (n->peer.base_priority != cfg->priority)
		return n->peer.base_priority > cfg->priority;
	return cfg->index != 0;
}

static void
try_takeover(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	int64_t down_ns = node_active_down_interval_ns(cfg, n);
	struct td_instant earliest = silence_takeover_at(cfg, n, now);

	n->down_deadline = instant_add(now, cfg->interval_ns); /* to look again */
	if (!members_any_link(cfg, n) || n->isolated)
		return;
	if (!members_all_links(cfg, n) && !instant_reached(now, n->listen_deadline))
		return;
	if (!n->peer_resigned && !instant_reached(now, earliest)) {
		if (instant_is_set(earliest)) {
			n->down_deadline = earliest;
		} else if (!n->isolated) {
			n->isolated = true;
			n->silent_since = now;
		}
		return;
	}
	if (!n->peer_resigned && peer_goes_first(cfg, n, now)) {
		if (!instant_is_set(n->defer_deadline))
			n->defer_deadline = instant_add(now, DEFER_INTERVALS * down_ns);
		if (!instant_reached(now, n->defer_deadline))
			return;
	}
	node_become_active(cfg, n,
	    n->peer_resigned ? NODE_BY_PEER_RESIGNED : NODE_BY_ACTIVE_DOWN_TIMER, now,
	    out);
}

static enum node_refusal
handover_refusal(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	if (n->role != TD_ROLE_ACTIVE)
		return NODE_REFUSED_NOT_ACTIVE;
	if (instant_is_set(n->barrier_deadline))
		return NODE_REFUSED_BUSY;
	if (!node_witness_alive(cfg, n, now) ||
	    (n->peer.flags & WITNESS_HEARS_WITNESS) == 0)
		return NODE_REFUSED_NO_PEER;
	if (n->peer.role != TD_ROLE_BACKUP)
		return NODE_REFUSED_PEER_NOT_BACKUP;
	if ((n->peer.flags & WITNESS_HAVE_STATE) == 0)
		return NODE_REFUSED_PEER_NO_STATE;
	if (peer_steps_back(n))
		return NODE_REFUSED_PEER_MAINTENANCE;
	if (fitter_than_peer(cfg, n))
		return NODE_REFUSED_PEER_UNFIT;
	return NODE_REFUSED_NOT;
}

static void
barrier_begin(struct node *n, enum node_reason reason, struct td_instant now,
    struct node_actions *out)
{
	n->handover_reason = reason;
	n->barrier_deadline = instant_add(now, NODE_BARRIER_NS);
	node_do(out, NODE_DO_BARRIER);
}

static void
barrier_end(const struct node_config *cfg, struct node *n, bool ok,
    struct td_instant now, struct node_actions *out)
{
	enum node_refusal refusal = NODE_REFUSED_BARRIER;

	if (!instant_is_set(n->barrier_deadline))
		return;
	n->barrier_deadline = TD_NEVER;
	/* Meanwhile the peer may have fallen silent, or lost the state or a link. */
	if (ok)
		refusal = handover_refusal(cfg, n, now);
	if (refusal == NODE_REFUSED_NOT || n->handover_reason == NODE_BY_SHUTDOWN) {
		node_resign(cfg, n, n->handover_reason, true, now, out);
	} else {
		struct td_instant hold = instant_add(now, NODE_HOLD_NS_MIN);

		/* The one of the last takeover may last longer. */
		if (hold.ns > n->hold_deadline.ns)
			n->hold_deadline = hold;
		node_do_reply(n, out, refusal);
	}
}

/* The Active alone decides that the peer is the better router. */
static void
judge_fitness(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	enum node_reason reason = NODE_BY_PARTIAL_CUT;

	if (n->role != TD_ROLE_ACTIVE || !instant_reached(now, n->hold_deadline) ||
	    !node_witness_alive(cfg, n, now) || n->peer.role != TD_ROLE_BACKUP ||
	    (n->peer.flags & WITNESS_HEARS_WITNESS) == 0 || peer_steps_back(n))
		return;
	/* What fails here beside the segments: nobody is cut off, so the sessions come
	 * first. The same for work on this node. */
	if (members_unfit_balance(cfg, n) <= 0) {
		if ((steps_back(n) || unfit_balance(cfg, n) > 0) &&
		    handover_refusal(cfg, n, now) == NODE_REFUSED_NOT)
			barrier_begin(n,
			    steps_back(n) ? NODE_BY_MAINTENANCE : NODE_BY_UNFIT, now,
			    out);
		return;
	}
	/* A script that fails at the peer does not keep us here, cut off as we are, but
	 * more of them do. */
	if (unfit_balance(cfg, n) < 0)
		return;
	if (!members_all_links(cfg, n))
		reason = NODE_BY_LINK_DOWN;
	members_handed_over(cfg, n);
	node_resign(cfg, n, reason, false, now, out);
}

/* An Active that loses the peer and everybody else at one time is itself what was cut
 * off: it serves nobody, and the peer has surely taken over. It closes its fence now,
 * or both would answer in the moment in which the cables are mended, and listens like a
 * node that starts once it hears anything. A node that never heard its peer does not
 * draw this conclusion. */
static void
judge_isolation(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	bool peer_lost = n->peer.alive_at.ns > 0 && !node_peer_alive(cfg, n, now);
	struct td_instant listened;

	if (n->role == TD_ROLE_ACTIVE && peer_lost && members_isolated(cfg, n, now)) {
		n->isolated = true;
		node_lapse(cfg, n, NODE_BY_ISOLATED, now, out);
		n->silent_since = now;
	} else if (n->isolated && n->heard_at.ns > n->silent_since.ns) {
		n->isolated = false;
		n->silent_since = TD_NEVER;
		listened = instant_add(now, node_active_down_interval_ns(cfg, n));
		if (n->role == TD_ROLE_BACKUP && n->down_deadline.ns < listened.ns)
			n->down_deadline = listened;
	}
}

/* Another Active was heard while we go on: it must learn of us, and the segment whose
 * tables it has disturbed must be told again. */
static void
answer_rival(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	if (!instant_is_set(n->rival_since))
		n->rival_since = now;
	/* Two nodes that both go on would answer each other's answers without end. */
	if (instant_diff_ns(now, n->answered_at) < cfg->interval_ns / 2)
		return;
	n->answered_at = now;
	node_do_adverts(out, n->priority);
	node_do_witness(cfg, n, now, out);
	node_do(out, NODE_DO_ANNOUNCE);
}

static bool
rival_wins_by_priority(
    const struct node_config *cfg, const struct node *n, uint8_t priority)
{
	if (priority != n->priority)
		return priority > n->priority;
	return cfg->index != 0;
}

static void
peer_is_active(const struct node_config *cfg, struct node *n, uint8_t priority,
    struct td_instant now)
{
	if (n->peer.role != TD_ROLE_ACTIVE ||
	    !node_heard_within_down(cfg, n, n->peer.active_at, now))
		n->peer.active_since = now;
	n->peer.role = TD_ROLE_ACTIVE;
	n->peer.active_at = n->peer.alive_at = now;
	n->peer.priority = priority;
	if (n->role == TD_ROLE_BACKUP) {
		n->peer_resigned = false;
		n->defer_deadline = n->resign_deadline = TD_NEVER;
		n->down_deadline =
		    instant_add(now, node_active_down_interval_ns(cfg, n));
	}
}

/* A node of ours closes its fence before priority 0 leaves, or its supervisor does, and
 * there is no third router for which RFC 9568's Skew_Time would have to be waited.
 * Without the state it is waited, and the peer goes first if it is back by then. So it
 * is shortly after a takeover of our own: anybody on the segment can say priority 0,
 * and the role must not go to and fro as fast as somebody does. */
static void
on_resignation_advert(const struct node_config *cfg, struct node *n,
    struct td_instant now, struct node_actions *out)
{
	struct td_instant soon = instant_add(now, node_skew_time_ns(cfg, n));

	if (n->role == TD_ROLE_ACTIVE) {
		node_do_adverts(out, n->priority);
	} else if (n->have_state && !instant_is_set(n->resign_deadline) &&
		   instant_reached(now, n->hold_deadline) && !n->maintenance) {
		n->peer_resigned = true;
		n->down_deadline = now;
	} else {
		n->down_deadline = instant_earlier(n->down_deadline, soon);
	}
}

static void
on_advert(const struct node_config *cfg, struct node *n, const struct node_event *ev,
    struct td_instant now, struct node_actions *out)
{
	td_assert(ev->member < cfg->member_count);
	if (n->role == TD_ROLE_INITIALIZE)
		return;
	n->peer.interval_ns = ev->advert.interval_ns;
	n->peer.alive_at = now;
	silence_heard(n, now);
	if (ev->advert.priority == 0) {
		on_resignation_advert(cfg, n, now, out);
		return;
	}
	n->member[ev->member].advert_at = now;
	peer_is_active(cfg, n, ev->advert.priority, now);
	if (n->role != TD_ROLE_ACTIVE)
		return;
	/* Terms decide, and adverts carry none: wait for the witness if there is one.
	 */
	if (!node_witness_alive(cfg, n, now) &&
	    rival_wins_by_priority(cfg, n, ev->advert.priority))
		node_yield(cfg, n, NODE_BY_HIGHER_PRIORITY, now, out);
	else
		answer_rival(cfg, n, now, out);
}

static void
learn_term(struct node *n, uint64_t term)
{
	if (term <= n->term)
		return;
	n->term = term;
	n->prepare_term = true;
}

static void
backup_witness(const struct node_config *cfg, struct node *n,
    const struct witness_payload *w, struct td_instant now)
{
	bool current = w->term >= n->term;

	learn_term(n, w->term);
	if (w->role == TD_ROLE_ACTIVE) {
		peer_is_active(cfg, n, w->priority, now);
		return;
	}
	n->peer.role = w->role;
	/* Without the state we accept only from a node that stops or is less fit. */
	if ((w->flags & WITNESS_RESIGN) != 0 && current &&
	    !instant_is_set(n->resign_deadline) &&
	    (w->role == TD_ROLE_INITIALIZE || fitter_than_peer(cfg, n) ||
		(n->have_state && !steps_back(n)))) {
		n->peer_resigned = true;
		n->down_deadline = now;
	}
}

static void
active_witness(const struct node_config *cfg, struct node *n,
    const struct witness_payload *w, struct td_instant now, struct node_actions *out)
{
	if (w->role != TD_ROLE_ACTIVE) {
		n->peer.role = w->role;
		if (w->term > n->term) {
			/* We won by priority while terms could not be heard. What is
			 * written under the old term must not lose to the other's. */
			n->term = w->term + 1;
			n->reason = NODE_BY_TERM_RAISED;
			node_do_term(out, NODE_DO_PERSIST_TERM, n->term);
		}
		if ((w->flags & WITNESS_CLAIM) != 0 && cfg->preempt &&
		    w->base_priority > cfg->priority &&
		    instant_reached(now, n->hold_deadline) &&
		    handover_refusal(cfg, n, now) == NODE_REFUSED_NOT)
			barrier_begin(n, NODE_BY_PREEMPTED, now, out);
		return;
	}
	peer_is_active(cfg, n, w->priority, now);
	if (w->term > n->term) {
		node_yield(cfg, n, NODE_BY_HIGHER_TERM, now, out);
		learn_term(n, w->term);
	} else if (w->term == n->term && rival_wins_by_priority(cfg, n, w->priority)) {
		node_yield(cfg, n, NODE_BY_HIGHER_PRIORITY, now, out);
	} else {
		answer_rival(cfg, n, now, out);
	}
}

static void
on_witness(const struct node_config *cfg, struct node *n,
    const struct witness_payload *w, struct td_instant now, struct node_actions *out)
{
	if (n->role == TD_ROLE_INITIALIZE)
		return;
	n->peer.witness_at = n->peer.alive_at = now;
	silence_heard(n, now);
	n->peer.interval_ns = w->interval_ns;
	n->peer.base_priority = w->base_priority;
	n->peer.flags = w->flags;
	n->peer.term = w->term;
	n->peer.unfit = w->unfit;
	/* Members only one of us knows count as good on both sides. */
	for (unsigned m = 0; m < cfg->member_count; m++)
		n->member[m].peer_bits =
		    m < w->member_count ? w->member[m] : WITNESS_MEMBER_LINK_UP;
	if (n->role == TD_ROLE_ACTIVE)
		active_witness(cfg, n, w, now, out);
	else
		backup_witness(cfg, n, w, now);
}

/* Time in which we did not look is no time in which the peer was silent. */
static void
forgive_lateness(const struct node_config *cfg, struct node *n, int64_t late_ns,
    struct td_instant now)
{
	struct td_instant *const heard[] = { &n->peer.witness_at, &n->peer.active_at,
		&n->peer.alive_at, &n->peer.active_since };
	struct td_instant once_more = instant_add(now, cfg->interval_ns);

	for (unsigned i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
		*heard[i] = instant_earlier(instant_add(*heard[i], late_ns), now);
	for (unsigned m = 0; m < cfg->member_count; m++) {
		struct node_member *mb = &n->member[m];

		mb->advert_at =
		    instant_earlier(instant_add(mb->advert_at, late_ns), now);
		if (mb->frame_at.ns > 0)
			mb->frame_at =
			    instant_earlier(instant_add(mb->frame_at, late_ns), now);
	}
	if (instant_is_set(n->rival_since))
		n->rival_since =
		    instant_earlier(instant_add(n->rival_since, late_ns), now);
	/* Also when the peer has resigned: that may be old news. */
	if (n->role == TD_ROLE_BACKUP && n->down_deadline.ns < once_more.ns)
		n->down_deadline = once_more;
}

static void
review_claim(const struct node_config *cfg, struct node *n, struct td_instant now)
{
	bool entitled = cfg->preempt && n->role == TD_ROLE_BACKUP && n->have_state &&
			n->peer.role == TD_ROLE_ACTIVE && !n->maintenance &&
			node_witness_alive(cfg, n, now) &&
			cfg->priority > n->peer.base_priority &&
			members_all_links(cfg, n) && unfit_balance(cfg, n) <= 0;

	if (!entitled)
		n->claim_since = TD_NEVER;
	else if (!instant_is_set(n->claim_since))
		n->claim_since = now;
	n->claiming =
	    entitled && instant_diff_ns(now, n->claim_since) >= cfg->preempt_delay_ns;
}

static void
active_tick(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	bool mutual = (n->peer.flags & WITNESS_HEARS_WITNESS) != 0 &&
		      node_witness_alive(cfg, n, now);

	if (instant_reached(now, n->answer_deadline)) {
		node_lapse(cfg, n, NODE_BY_LEASE_LAPSED, now, out);
		return;
	}
	if (instant_diff_ns(now, n->peer.active_at) > 2 * n->peer.interval_ns)
		n->rival_since = TD_NEVER;
	if (instant_is_set(n->rival_since)) {
		int64_t rival_ns = instant_diff_ns(now, n->rival_since);

		if (!mutual && rival_ns > 2 * cfg->interval_ns &&
		    rival_wins_by_priority(cfg, n, n->peer.priority)) {
			node_yield(cfg, n, NODE_BY_HIGHER_PRIORITY, now, out);
			return;
		}
		if (rival_ns > node_active_down_interval_ns(cfg, n)) {
			node_yield(cfg, n, NODE_BY_NOT_HEARD, now, out);
			return;
		}
	}
	if (instant_reached(now, n->barrier_deadline)) {
		barrier_end(cfg, n, false, now, out);
		if (n->role != TD_ROLE_ACTIVE)
			return;
	}
	/* The peer holds the state and follows: nothing to keep it away from any more.
	 */
	if (n->peer_has_state && n->peer.role == TD_ROLE_BACKUP &&
	    node_witness_alive(cfg, n, now))
		n->priority = cfg->priority;
	silence_turn(cfg, n, instant_reached(now, n->tick_deadline), now);
	if (instant_reached(now, n->tick_deadline)) {
		if (!n->promoted)
			n->taken_at = now;
		n->renew = true;
		node_do_adverts(out, n->priority);
		node_do_witness(cfg, n, now, out);
	}
}

static void
on_tick(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	int64_t late_ns = instant_diff_ns(now, n->tick_deadline);
	bool turn = instant_reached(now, n->tick_deadline);

	if (turn && late_ns > cfg->interval_ns)
		forgive_lateness(cfg, n, late_ns, now);
	if (instant_reached(now, n->withdraw_deadline)) {
		n->withdraw_deadline = TD_NEVER;
		node_do_fence(out, (struct td_instant){ 0 }, (struct td_instant){ 0 });
		node_do(out, NODE_DO_DEMOTE);
	}
	if (instant_reached(now, n->resign_deadline))
		n->resign_deadline = TD_NEVER;
	switch (n->role) {
	case TD_ROLE_INITIALIZE:
		/* Stopping, in the drain: the resignation may have been lost. */
		if (turn)
			node_do_witness(cfg, n, now, out);
		break;
	case TD_ROLE_BACKUP:
		silence_turn(cfg, n, turn, now);
		if (instant_reached(now, n->down_deadline))
			try_takeover(cfg, n, now, out);
		review_claim(cfg, n, now);
		if (turn && n->role == TD_ROLE_BACKUP)
			node_do_witness(cfg, n, now, out);
		break;
	case TD_ROLE_ACTIVE:
		active_tick(cfg, n, now, out);
		break;
	}
	if (turn) {
		n->tick_deadline = instant_add(n->tick_deadline, cfg->interval_ns);
		if (instant_reached(now, n->tick_deadline))
			n->tick_deadline = instant_add(now, cfg->interval_ns);
	}
}

static void
on_sent(const struct node_config *cfg, struct node *n, const struct node_event *ev,
    struct td_instant now, struct node_actions *out)
{
	/* Only a tick, that is a drained socket, renews. */
	if (n->role != TD_ROLE_ACTIVE || !n->renew)
		return;
	n->renew = false;
	/* The whole round, on every path, must have left before the old lease ended: on
	 * the one path that works the peer may have waited since the round before this
	 * one. */
	if (instant_reached(now, n->answer_deadline)) {
		node_lapse(cfg, n, NODE_BY_LEASE_LAPSED, now, out);
	} else if (!n->promoted &&
		   instant_diff_ns(ev->sent.before, n->taken_at) > NODE_FRESH_NS) {
		/* We were stopped before we could say it: somebody else may have. */
		n->tick_deadline = now;
	} else if (ev->sent.ok) {
		n->answer_deadline = instant_add(ev->sent.before, node_lease_ns(cfg));
		silence_round(n, ev->sent.before);
		if (!n->promoted) {
			node_do_fence(out, n->answer_deadline, n->answer_deadline);
			node_do(out, NODE_DO_PROMOTE);
		}
		n->promoted = true;
	}
}

static void
on_startup(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	if (n->role != TD_ROLE_INITIALIZE || n->stopping)
		return;
	n->role = TD_ROLE_BACKUP;
	n->reason = NODE_BY_STARTUP;
	n->priority = cfg->priority;
	n->peer.interval_ns = cfg->interval_ns;
	n->down_deadline = instant_add(now, node_active_down_interval_ns(cfg, n));
	n->listen_deadline = instant_add(now, NODE_STARTUP_HOLD_NS);
	n->tick_deadline = instant_add(now, cfg->interval_ns);
	node_do_fence(out, (struct td_instant){ 0 }, (struct td_instant){ 0 });
	n->prepare_term = true;
	node_do_witness(cfg, n, now, out);
}

static void
on_shutdown(const struct node_config *cfg, struct node *n, bool at_once,
    struct td_instant now, struct node_actions *out)
{
	bool listener =
	    node_witness_alive(cfg, n, now) && n->peer.role == TD_ROLE_BACKUP;
	bool draining = instant_is_set(n->withdraw_deadline);

	n->stopping = true;
	if (n->role == TD_ROLE_ACTIVE && listener && !at_once) {
		node_handover_cancel(n, out, NODE_REFUSED_BUSY);
		barrier_begin(n, NODE_BY_SHUTDOWN, now, out);
		return;
	}
	if (n->role == TD_ROLE_ACTIVE) {
		node_resign(cfg, n, NODE_BY_SHUTDOWN, false, now, out);
		return;
	}
	n->role = TD_ROLE_INITIALIZE;
	n->reason = NODE_BY_SHUTDOWN;
	n->withdraw_deadline = TD_NEVER;
	node_do_fence(out, (struct td_instant){ 0 }, (struct td_instant){ 0 });
	node_do_witness(cfg, n, now, out);
	if (draining)
		node_do(out, NODE_DO_DEMOTE);
}

static void
on_link(const struct node_config *cfg, struct node *n, const struct node_event *ev,
    struct td_instant now)
{
	bool had_link = members_any_link(cfg, n);
	struct node_member *mb = &n->member[ev->member];
	struct td_instant listened;

	if (mb->link_up == ev->link_up)
		return;
	mb->link_up = ev->link_up;
	mb->frame_at = (struct td_instant){ 0 };
	mb->handed_over = false;
	/* While there was no link, or not every link at start, there was nothing to
	 * hear. */
	listened = instant_add(now, node_active_down_interval_ns(cfg, n));
	if (ev->link_up && n->role == TD_ROLE_BACKUP && !n->peer_resigned &&
	    (!had_link || !instant_reached(now, n->listen_deadline)) &&
	    n->down_deadline.ns < listened.ns)
		n->down_deadline = listened;
}

static void
on_switchover(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	enum node_refusal refusal = handover_refusal(cfg, n, now);

	if (refusal != NODE_REFUSED_NOT) {
		node_do(out, NODE_DO_REPLY);
		out->list[out->count - 1].refusal = refusal;
		return;
	}
	n->handover_asked = true;
	barrier_begin(n, NODE_BY_SWITCHOVER, now, out);
}

static void
publish(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	struct td_msg_role role;
	const struct td_msg_role *old = &n->published;

	node_role(cfg, n, now, &role);
	if (role.role == old->role && role.term == old->term &&
	    role.peer_alive == old->peer_alive && role.peer_role == old->peer_role &&
	    role.peer_term == old->peer_term && role.fault == old->fault)
		return;
	/* The others follow when the addresses are there. */
	if (role.role == TD_ROLE_ACTIVE && !n->promoted)
		return;
	n->published = role;
	node_do(out, NODE_DO_ROLE);
}

void
node_step(const struct node_config *cfg, struct node *n, const struct node_event *ev,
    struct td_instant now, struct node_actions *out)
{
	bool tell = false;

	td_assert(cfg->member_count <= NODE_MEMBERS_MAX);
	td_assert(cfg->index < TD_NODES);
	td_assert(cfg->priority >= 1 && cfg->priority <= NODE_PRIORITY_MAX);
	out->count = 0;
	switch (ev->kind) {
	case NODE_EV_STARTUP:
		on_startup(cfg, n, now, out);
		break;
	case NODE_EV_SHUTDOWN:
		on_shutdown(cfg, n, ev->now, now, out);
		break;
	case NODE_EV_TICK:
		on_tick(cfg, n, now, out);
		break;
	case NODE_EV_ADVERT:
		on_advert(cfg, n, ev, now, out);
		break;
	case NODE_EV_WITNESS:
		on_witness(cfg, n, ev->witness, now, out);
		break;
	case NODE_EV_LINK:
		td_assert(ev->member < cfg->member_count);
		on_link(cfg, n, ev, now);
		tell = true;
		break;
	case NODE_EV_FRAME:
		td_assert(ev->member < cfg->member_count);
		n->member[ev->member].frame_at = ev->frame_at;
		silence_heard(n, ev->frame_at);
		return;
	case NODE_EV_PROBED:
		td_assert(ev->member < cfg->member_count);
		tell = member_probed(cfg, n, ev->member, ev, now, out);
		break;
	case NODE_EV_SYNC_STATE:
		tell = n->have_state != ev->sync.have_state;
		n->have_state = ev->sync.have_state;
		n->peer_has_state = ev->sync.peer_has_state;
		break;
	case NODE_EV_SWITCHOVER:
		on_switchover(cfg, n, now, out);
		break;
	case NODE_EV_MAINTENANCE:
		tell = n->maintenance != ev->maintenance;
		n->maintenance = ev->maintenance;
		break;
	case NODE_EV_UNFIT:
		tell = n->unfit != ev->unfit;
		n->unfit = ev->unfit;
		break;
	case NODE_EV_BARRIER:
		barrier_end(cfg, n, ev->barrier_ok, now, out);
		break;
	case NODE_EV_SENT:
		on_sent(cfg, n, ev, now, out);
		break;
	}
	/* However Active ended, a node that stops does not compete again. */
	if (n->stopping && n->role == TD_ROLE_BACKUP)
		n->role = TD_ROLE_INITIALIZE;
	if (n->role == TD_ROLE_INITIALIZE) {
		members_stop_probes(n, out);
	} else {
		tell |= members_review(cfg, n, now, out);
		if (tell)
			node_do_witness(cfg, n, now, out);
		judge_fitness(cfg, n, now, out);
		judge_isolation(cfg, n, now, out);
		silence_review(cfg, n, now, out);
		n->alarms = node_alarms(cfg, n, now);
	}
	publish(cfg, n, now, out);
	/* It is written to a disk, which may take its time: the peer, the addresses and
	 * the other rooms must not wait for it. */
	if (n->prepare_term) {
		n->prepare_term = false;
		node_do_term(out, NODE_DO_PREPARE_TERM, n->term + 1);
	}
	if (n->stopping && n->role == TD_ROLE_INITIALIZE && !n->stopped &&
	    !instant_is_set(n->withdraw_deadline)) {
		n->stopped = true;
		node_do(out, NODE_DO_STOPPED);
	}
	td_assert(n->role == TD_ROLE_ACTIVE || !instant_is_set(n->barrier_deadline));
}

void
node_priority_changed(const struct node_config *cfg, struct node *n, uint8_t old)
{
	/* One that was raised above the peer's stays until the peer is in sync. */
	if (n->priority == old)
		n->priority = cfg->priority;
}

struct td_instant
node_deadline(const struct node *n)
{
	struct td_instant next = n->withdraw_deadline;

	switch (n->role) {
	case TD_ROLE_INITIALIZE:
		if (instant_is_set(n->withdraw_deadline))
			next = instant_earlier(next, n->tick_deadline);
		break;
	case TD_ROLE_BACKUP:
		next = instant_earlier(next, n->tick_deadline);
		next = instant_earlier(next, n->down_deadline);
		next = instant_earlier(next, n->look_deadline);
		break;
	case TD_ROLE_ACTIVE:
		next = instant_earlier(next, n->tick_deadline);
		next = instant_earlier(next, n->answer_deadline);
		next = instant_earlier(next, n->barrier_deadline);
		next = instant_earlier(next, n->look_deadline);
		break;
	}
	return next;
}

void
node_init(struct node *n, uint64_t term)
{
	memset(n, 0, sizeof(*n));
	n->role = TD_ROLE_INITIALIZE;
	n->term = term;
	n->tick_deadline = n->down_deadline = n->answer_deadline = TD_NEVER;
	n->withdraw_deadline = n->listen_deadline = n->defer_deadline = TD_NEVER;
	n->barrier_deadline = n->rival_since = n->claim_since = TD_NEVER;
	n->resign_deadline = n->silent_since = n->life_at = TD_NEVER;
	n->look_deadline = TD_NEVER;
	n->hold_deadline = n->answered_at = LONG_AGO;
	n->heard_at = n->round_at = n->round_before = n->proven_at = LONG_AGO;
	n->peer.witness_at = n->peer.active_at = n->peer.alive_at = LONG_AGO;
	n->peer.active_since = LONG_AGO;
	n->peer.interval_ns = NS_PER_S;
	for (unsigned m = 0; m < NODE_MEMBERS_MAX; m++) {
		n->member[m].advert_at = LONG_AGO;
		n->member[m].next_probe = TD_NEVER;
		n->member[m].peer_bits = WITNESS_MEMBER_LINK_UP;
	}
}
