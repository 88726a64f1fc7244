/*
 * An Active that hears nothing at all may be what was cut off. The peer takes over
 * Active_Down_Interval after the last round that it heard, so the answer right reaches
 * no further than one lease after the last round that was surely heard: one that
 * something was received after. Without a cut that is every round, and nothing is lost.
 *
 *    round   round   round   round
 *      |--*----|--x----|-------|       * the last frame     x cut
 *      '---- lease ----------->' closed from here on, by the date in the fence
 *      '---- Active_Down_Interval --------> the peer may answer
 *
 * A frame that comes in later proves that the cables are whole, not that the peer has
 * waited: a suspended node asks at once and listens before it answers again.
 *
 * The same holds for a Backup: it does not take the peer for dead on the strength of a
 * silence that is everybody's.
 */
#include "vrrpd/core/node_internal.h"

/* What was on its way when the cables parted still arrives: a sign of life proves only
 * a round that had left this long before. */
static int64_t
transit_ns(const struct node_config *cfg)
{
	int64_t wire_ns = 5 * NS_PER_MS / 2, tenth_ns = cfg->interval_ns / 10;

	return tenth_ns > wire_ns ? tenth_ns : wire_ns;
}

/* A peer that is Active answers our first words at once, or says so at its next turn.
 * One of which nothing is heard may be Active and frozen: its lease must end first. */
static int64_t
listen_ns(const struct node_config *cfg, const struct node *n)
{
	return n->peer.alive_at.ns >= n->life_at.ns
		   ? cfg->interval_ns * 3 / 2
		   : node_active_down_interval_ns(cfg, n);
}

/* The peer may be answering, or its lease still run: the election comes first. */
static bool
rival_may_answer(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	return n->peer.role == TD_ROLE_ACTIVE &&
	       node_heard_within_down(cfg, n, n->peer.active_at, now);
}

static bool
is_proven(const struct node_config *cfg, const struct node *n, struct td_instant round)
{
	return instant_diff_ns(n->heard_at, round) >= transit_ns(cfg);
}

/* Who never heard a peer has none to give way to; and who sees no frames, or has nobody
 * to ask, cannot find out. */
static bool
is_bound(const struct node_config *cfg, const struct node *n)
{
	return n->peer.alive_at.ns > 0 && !cfg->blind && !members_nobody(cfg, n);
}

/* --- the Backup ---------------------------------------------------------------------
 */

/* The peer speaks each interval. What was heard before its next words were due proves
 * only that the cables were whole before. */
static struct td_instant
peer_due(const struct node *n)
{
	return instant_add(n->peer.alive_at, n->peer.interval_ns * 5 / 4);
}

static bool
others_were_heard(const struct node *n)
{
	return instant_is_set(n->life_at) && n->life_at.ns >= peer_due(n).ns;
}

struct td_instant
silence_takeover_at(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	if (!instant_reached(now, peer_due(n)) || !is_bound(cfg, n))
		return now;
	if (!others_were_heard(n))
		return TD_NEVER;
	/* They may have been silent because of us until then: the peer's turn. */
	return instant_add(n->life_at, n->peer.interval_ns * 3 / 2);
}

/* ------------------------------------------------------------------------------------
 */

void
silence_heard(struct node *n, struct td_instant at)
{
	if (at.ns > n->heard_at.ns)
		n->heard_at = at;
	if (n->role == TD_ROLE_BACKUP) {
		if (at.ns >= peer_due(n).ns && !others_were_heard(n))
			n->life_at = at;
		n->silent = n->silent && !others_were_heard(n);
	} else if (n->heard_at.ns > n->round_at.ns) {
		n->silent = false;
	}
}

/* Who was asked after the round proves it by the answer, however fast it was. A slow
 * answer to an earlier question may just have been on its way. */
void
silence_answered(const struct node_config *cfg, struct node *n,
    const struct node_member *mb, struct td_instant now)
{
	struct td_instant proof = instant_add(n->round_at, transit_ns(cfg));

	silence_heard(n, mb->asked_since_round && proof.ns > now.ns ? proof : now);
}

/* A member that is probed already, at leisure, is asked now. */
static void
hurry_probes(struct node *n, struct td_instant now)
{
	for (unsigned m = 0; m < NODE_MEMBERS_MAX; m++) {
		struct node_member *mb = &n->member[m];

		if (mb->probing && instant_is_set(mb->next_probe) && !mb->nobody)
			mb->next_probe = now;
	}
}

static bool
backup_is_silent(const struct node *n, struct td_instant now)
{
	return instant_reached(now, peer_due(n)) && !others_were_heard(n);
}

/* Half an interval after a round is the last moment to ask if the right ends with the
 * next one: what was heard right after the round before has not proven that. Without a
 * peer there is no word of it to wait for; and a node that is suspended asks each time,
 * for it must not lose its sign of life. */
static bool
active_is_silent(const struct node_config *cfg, const struct node *n, bool turn,
    struct td_instant now)
{
	struct td_instant next = instant_add(n->tick_deadline, cfg->interval_ns / 4);

	if (turn &&
	    (instant_is_set(n->silent_since) ||
		(!node_peer_alive(cfg, n, now) && !is_proven(cfg, n, n->round_at))))
		return true;
	return n->heard_at.ns <= n->round_at.ns &&
	       (turn || n->silent ||
		   (instant_diff_ns(now, n->round_at) >= cfg->interval_ns / 2 &&
		       instant_reached(
			   next, instant_add(n->proven_at, node_lease_ns(cfg)))));
}

void
silence_turn(
    const struct node_config *cfg, struct node *n, bool turn, struct td_instant now)
{
	bool before = n->silent;

	for (unsigned m = 0; m < NODE_MEMBERS_MAX && turn; m++)
		n->member[m].asked_since_round = false;
	if (n->peer.alive_at.ns <= 0)
		n->silent = false;
	else if (n->role == TD_ROLE_ACTIVE)
		n->silent = active_is_silent(cfg, n, turn, now);
	else
		n->silent = backup_is_silent(n, now);
	if (n->silent && (!before || (turn && n->role == TD_ROLE_ACTIVE)))
		hurry_probes(n, now);
}

void
silence_round(struct node *n, struct td_instant before)
{
	n->round_before = n->promoted ? n->round_at : before;
	n->round_at = before;
	if (!n->promoted)
		n->proven_at = before;
}

static void
speak_now(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	if (n->renew || instant_diff_ns(now, n->round_at) < transit_ns(cfg))
		return; /* a round has just left, or is about to */
	node_do_adverts(out, n->priority);
	node_do_witness(cfg, n, now, out);
}

static void
prove(const struct node_config *cfg, struct node *n, struct td_instant round,
    struct node_actions *out)
{
	n->proven_at = round;
	node_do_fence(out, instant_add(round, node_lease_ns(cfg)),
	    instant_add(round, node_lease_ns(cfg)));
}

static void
review_right(const struct node_config *cfg, struct node *n, bool unbound,
    struct td_instant now, struct node_actions *out)
{
	/* Soon, for a node may be killed at any time; and once more. */
	struct td_instant soon = instant_add(n->round_at, 2 * transit_ns(cfg));
	struct td_instant half = instant_add(n->round_at, cfg->interval_ns / 2);
	struct td_instant look = instant_reached(now, soon) ? half : soon;
	struct td_instant round = n->proven_at;

	if (unbound || is_proven(cfg, n, n->round_at))
		round = n->round_at;
	else if (is_proven(cfg, n, n->round_before))
		round = n->round_before;
	if (round.ns > n->proven_at.ns) {
		/* More than one round may be lost, and the peer's timer run: it must
		 * hear us before it ends, not at our next turn. */
		if (!unbound && n->proven_at.ns < n->round_before.ns)
			speak_now(cfg, n, now, out);
		prove(cfg, n, round, out);
	}
	if (n->proven_at.ns < n->round_at.ns && !instant_reached(now, look))
		n->look_deadline = look;
}

static void
review_suspension(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	struct td_instant round =
	    is_proven(cfg, n, n->round_at) ? n->round_at : n->round_before;
	bool bound = is_bound(cfg, n);
	struct td_instant end;

	if (bound && instant_is_set(n->life_at) &&
	    instant_diff_ns(now, n->heard_at) > 2 * cfg->interval_ns) {
		n->silent_since = now; /* gone again */
		n->life_at = TD_NEVER;
	}
	if (!instant_is_set(n->life_at)) {
		if (bound && n->heard_at.ns <= n->silent_since.ns)
			return;
		n->life_at = now;
		speak_now(cfg, n, now, out);
	}
	end = instant_add(n->life_at, listen_ns(cfg, n));
	if (!instant_reached(now, end)) {
		n->look_deadline = end;
	} else if (round.ns >= n->life_at.ns && (!bound || is_proven(cfg, n, round)) &&
		   !rival_may_answer(cfg, n, now)) {
		n->silent_since = TD_NEVER;
		prove(cfg, n, round, out);
		node_do(out, NODE_DO_ANNOUNCE);
	}
}

void
silence_review(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	bool suspended = instant_is_set(n->silent_since);
	bool unbound = !suspended && !is_bound(cfg, n);

	n->look_deadline = TD_NEVER;
	if (n->role == TD_ROLE_BACKUP && n->peer.alive_at.ns > 0) {
		struct td_instant look =
		    instant_add(n->peer.alive_at, n->peer.interval_ns * 3 / 2);

		if (!instant_reached(now, look))
			n->look_deadline = look;
	}
	if (n->role != TD_ROLE_ACTIVE || !n->promoted)
		return;
	if (!suspended && !unbound &&
	    instant_reached(now, instant_add(n->proven_at, node_lease_ns(cfg)))) {
		n->silent_since = now;
		n->life_at = TD_NEVER;
		suspended = true;
	}
	if (suspended)
		review_suspension(cfg, n, now, out);
	else
		review_right(cfg, n, unbound, now, out);
}
