/*
 * What must hold whatever goes wrong; README.md is the table of the names. Each check
 * knows the rules (RFC 9568 section 6.1, DESIGN section 4), not the code under test.
 */
#include "tests/sim/vrrp/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One turn, its lateness, the way there and back, and the stall of a takeover's work.
 */
#define EXCHANGE_NS (LATE_MAX_NS + 4 * DELAY_MAX_NS + PROMOTE_MAX_NS)

static const char *const names[] = { "exclusive", "single", "prompt", "calm", "quiet",
	"patient", "terms", "stale", "tie", "parted", "fenced", "dated", "drained",
	"resigned", "yields", "synced", "addresses" };

bool
invariant_exists(const char *name)
{
	for (unsigned k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		if (strcmp(names[k], name) == 0)
			return true;
	return false;
}

void
violated(struct world *w, const char *invariant, const char *what)
{
	td_assert(invariant_exists(invariant));
	if (w->violated != NULL || (w->only != NULL && strcmp(w->only, invariant) != 0))
		return;
	note(w, "VIOLATED %s: %s", invariant, what);
	w->violated = invariant;
}

static int64_t
later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
sooner_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* RFC 9568 section 6.1 */
static int64_t
skew_ns(const struct machine *mc, int64_t interval_ns)
{
	return (256 - mc->priority) * interval_ns / 256;
}

static int64_t
down_ns(const struct machine *mc, int64_t interval_ns)
{
	return 3 * interval_ns + skew_ns(mc, interval_ns);
}

static int64_t
longest_interval(const struct world *w)
{
	int64_t longest_ns = 0;

	for (unsigned i = 0; i < w->machines; i++)
		longest_ns = later_of(longest_ns, w->machine[i].interval_ns);
	return longest_ns;
}

static int64_t
shortest_interval(const struct world *w)
{
	int64_t shortest_ns = NEVER;

	for (unsigned i = 0; i < w->machines; i++)
		shortest_ns = sooner_of(shortest_ns, w->machine[i].interval_ns);
	return shortest_ns;
}

static bool
holds(const struct world *w, unsigned i, unsigned right)
{
	const struct machine *mc = &w->machine[i];

	return mc->powered && mc->paused_until == 0 &&
	       mc->answer_clock[right] > machine_clock(w, i);
}

/* ---- what the checks are told ---- */

void
check_started(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	mc->awake_at = w->now;
	for (unsigned r = 0; r < w->rights; r++)
		mc->watched[r] = (struct watched){ .learned_ns = mc->interval_ns,
			.base_at = w->now };
}

void
check_awake(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];
	int64_t clock = machine_clock(w, i), interval_ns = mc->interval_ns;
	int64_t slept_ns = clock - mc->slept_clock;

	mc->awake_at = w->now;
	for (unsigned r = 0; r < w->rights; r++) {
		struct watched *wd = &mc->watched[r];

		wd->base_at = w->now;
		/* Longer than any turn: the tick must have noticed. A router by the
		 * letter has no turns as Backup but its deadline. */
		if (w->mode == &mode_pair
			? slept_ns > 2 * interval_ns + LATE_MAX_NS
			: clock - later_of(wd->expect_clock, wd->late_clock) >
			      interval_ns)
			wd->late_clock = clock + interval_ns;
	}
}

void
check_disturbed(struct world *w)
{
	for (unsigned i = 0; i < w->machines; i++)
		for (unsigned r = 0; r < w->rights; r++)
			w->machine[i].watched[r].base_at = w->now;
}

void
check_arrived(struct world *w, const struct message *msg)
{
	unsigned right = w->mode == &mode_pair ? 0 : msg->path;

	if (w->now - msg->sent_at > DELAY_MAX_NS)
		w->late_words_at[right] = w->now;
}

static void
heard_active(struct world *w, unsigned i, struct watched *wd, int64_t interval_ns)
{
	wd->learned_ns = interval_ns;
	wd->expect_clock = machine_clock(w, i) + down_ns(&w->machine[i], interval_ns);
	wd->late_clock = 0;
}

static void
heard_in_pair(struct world *w, unsigned i, const struct message *msg,
    const struct witness_payload *payload)
{
	struct watched *wd = &w->machine[i].watched[0];
	bool active =
	    payload != NULL ? payload->role == TD_ROLE_ACTIVE : msg->priority != 0;
	bool resigns = payload != NULL ? (payload->flags & WITNESS_RESIGN) != 0
				       : msg->priority == 0;

	wd->base_at = w->now;
	wd->learned_ns = payload != NULL ? payload->interval_ns : msg->interval_ns;
	if (active) {
		heard_active(w, i, wd, wd->learned_ns);
	} else if (resigns) {
		wd->expect_clock = 0;
		/* What waited in the socket may be old news. */
		if (w->now > w->machine[i].awake_at)
			wd->late_clock = 0;
	}
}

static void
heard_alone(struct world *w, unsigned i, const struct message *msg)
{
	struct machine *mc = &w->machine[i];
	struct watched *wd = &mc->watched[msg->path];
	enum td_role role = w->mode->role(mc, msg->path);
	bool greater = msg->priority > mc->priority ||
		       (msg->priority == mc->priority && msg->from > i);

	if (role == TD_ROLE_BACKUP && msg->priority == 0) {
		wd->expect_clock = machine_clock(w, i) + skew_ns(mc, wd->learned_ns);
		wd->late_clock = 0;
	} else if ((role == TD_ROLE_BACKUP &&
		       (!mc->preempt || msg->priority >= mc->priority)) ||
		   (role == TD_ROLE_ACTIVE && greater)) {
		heard_active(w, i, wd, msg->interval_ns);
	}
}

void
check_heard(struct world *w, unsigned i, const struct message *msg,
    const struct witness_payload *payload)
{
	if (w->mode == &mode_pair)
		heard_in_pair(w, i, msg, payload);
	else
		heard_alone(w, i, msg);
}

static bool
is_one_of(const char *reason, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, reason) == 0)
			return true;
	return false;
}

void
check_role(struct world *w, unsigned i, unsigned right, enum td_role from,
    enum td_role to, const char *reason)
{
	static const char *const planned[] = { "link_down", "partial_cut", "preempted",
		"unfit", NULL };
	static const char *const resigns[] = { "unfit", "maintenance", "link_down",
		"partial_cut", "preempted", "switchover", "shutdown", "lease_lapsed",
		"isolated", NULL };
	static const char *const roles[] = { "Initialize", "Backup", "Active" };
	struct machine *mc = &w->machine[i];
	struct watched *wd = &mc->watched[right];
	int64_t clock = machine_clock(w, i);

	note(w, "machine %u right %u %s -> %s reason=%s", i, right, roles[from],
	    roles[to], reason);
	wd->base_at = w->now;
	wd->waits_longer = is_one_of(reason, resigns);
	if (to == TD_ROLE_ACTIVE) {
		w->takeovers++;
		wd->active_clock = clock;
		wd->active_at = w->now;
	}
	if (from == TD_ROLE_BACKUP && to == TD_ROLE_ACTIVE) {
		if (clock < wd->expect_clock)
			violated(w, "patient",
			    "a takeover before Active_Down_Interval is over");
		if (clock < wd->late_clock)
			violated(w, "patient",
			    "own lateness is taken for the silence of others");
	}
	if (to == TD_ROLE_BACKUP) {
		wd->late_clock = 0; /* it listens anew */
		if (from == TD_ROLE_INITIALIZE)
			wd->learned_ns = mc->interval_ns;
		wd->expect_clock = clock + down_ns(mc, wd->learned_ns);
	}
	if (from == TD_ROLE_ACTIVE)
		w->yielded_at[right] = w->now;
	if (from == TD_ROLE_ACTIVE && is_one_of(reason, planned) &&
	    clock - wd->active_clock < later_of(NODE_HOLD_NS_MIN, 10 * mc->interval_ns))
		violated(w, "calm", "the role goes on before the hold is over");
}

/* ---- exclusive ---- */

/* The witness of a new process is believed after an exchange both ways. */
static bool
is_proven(const struct world *w, unsigned from, unsigned to)
{
	const struct witness_session *session = &w->machine[to].session;

	return session->peer_known &&
	       memcmp(session->peer_session, &w->machine[from].session_id,
		   sizeof(w->machine[from].session_id)) == 0;
}

/* Since when `to` believes what `from` says on this path of a pair; NEVER: not. */
static int64_t
believed_since(const struct world *w, unsigned p, unsigned from, unsigned to)
{
	int64_t since = path_ok_since(w, p, from, to);

	if (p < MEMBERS_MAX)
		return w->machine[from].node_config.advertises[p] ? since : NEVER;
	return is_proven(w, from, to) ? later_of(since, w->machine[to].proven_at)
				      : NEVER;
}

/* The same, if the exchange that it takes could have been. */
static int64_t
believable_since(const struct world *w, unsigned p, unsigned from, unsigned to)
{
	if (p < MEMBERS_MAX || is_proven(w, from, to))
		return believed_since(w, p, from, to);
	return later_of(path_ok_since(w, p, from, to), path_ok_since(w, p, to, from));
}

/* Every message of every running machine has reached every other one since then. */
static int64_t
whole_since(const struct world *w, unsigned member)
{
	int64_t since = 0;

	for (unsigned a = 0; a < w->machines; a++)
		for (unsigned b = 0; b < w->machines; b++)
			if (a != b && w->machine[a].powered && w->machine[b].powered)
				since = later_of(since, path_ok_since(w, member, a, b));
	return since;
}

/* `i` opens its fence while `other` may answer. Had it heard what that lease stands on?
 */
static bool
could_know(const struct world *w, unsigned i, unsigned other, unsigned right,
    const struct round *base, const struct round *round)
{
	const struct machine *mc = &w->machine[i], *oc = &w->machine[other];
	int64_t apart_ns = mc->watched[right].active_at - oc->watched[right].active_at;
	bool mixed = longest_interval(w) != shortest_interval(w);
	bool greater =
	    mc->priority > oc->priority || (mc->priority == oc->priority && i > other);

	/* Both decided before either could hear of the other; what is stored late was
	 * decided then; and nobody can tell late words from true ones. */
	if ((apart_ns <= DELAY_MAX_NS && apart_ns >= -DELAY_MAX_NS) ||
	    base->at <= round->at ||
	    w->now - w->late_words_at[right] < longest_interval(w) + EXCHANGE_NS)
		return false;
	if (!round->sent || w->now - round->at < DELAY_MAX_NS)
		return false;
	/* One that has just started waits by its own interval. */
	if (mc->started_at > round->at && mc->interval_ns < oc->interval_ns)
		return false;
	if (w->mode == &mode_independent) {
		/* RFC 9568 lets the greater one begin before the lesser one ends, or go
		 * on if it decided first; a third router's priority 0 starts
		 * everybody's Skew_Time; and the last advertisement of one that yields
		 * may teach its shorter interval. */
		if ((mc->preempt && mc->priority > oc->priority) ||
		    (greater && apart_ns < 0) ||
		    w->now - w->resigned_at[right] <
			longest_interval(w) + EXCHANGE_NS ||
		    (mixed && w->now - w->yielded_at[right] <
				  4 * longest_interval(w) + EXCHANGE_NS))
			return false;
		return whole_since(w, right) <= round->at;
	}
	for (unsigned p = 0; p < PATHS_MAX; p++)
		if ((round->paths & 1u << p) != 0 &&
		    believed_since(w, p, other, i) <= round->at)
			return true;
	return false;
}

/* The last round of `other` may still be on its way: then the one before counts, for as
 * long as it lasts. */
static bool
knew(const struct world *w, unsigned i, unsigned other, unsigned right,
    const struct round *base)
{
	const struct watched *wd = &w->machine[other].watched[right];
	bool lasts = machine_clock(w, other) - wd->previous.clock <
		     3 * w->machine[other].interval_ns;

	return could_know(w, i, other, right, base, &wd->last) ||
	       (lasts && could_know(w, i, other, right, base, &wd->previous));
}

void
check_round(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	mc->round.sent = true;
	mc->rounds[mc->rounds_at++ % ROUNDS] = mc->round;
}

/* The one round that a lease with this end stands on. */
static const struct round *
round_of(const struct machine *mc, int64_t until_clock)
{
	const struct round *found = NULL;

	for (unsigned k = 0; k < ROUNDS; k++) {
		const struct round *round = &mc->rounds[k];

		if (round->sent && round->clock + 3 * mc->interval_ns == until_clock &&
		    (found == NULL || round->in_tick))
			found = round;
	}
	return found;
}

/* The fence is about to open, or to stay open for longer. */
void
check_lease(struct world *w, unsigned i, unsigned right, int64_t until_clock)
{
	struct machine *mc = &w->machine[i];
	struct watched *wd = &mc->watched[right];
	const struct round *round = round_of(mc, until_clock);

	if (until_clock <= machine_clock(w, i))
		return; /* decided in time, stored too late */
	if (round == NULL) {
		violated(w, "dated", "no round began three intervals before this end");
		round = &mc->rounds[(mc->rounds_at - 1) % ROUNDS];
	}
	if (!round->in_tick)
		violated(w, "drained", "a round from before the sockets were read");
	wd->previous = wd->last;
	if (!holds(w, i, right)) {
		wd->previous.sent = false;
		for (unsigned k = 0; k < w->machines; k++)
			if (k != i && holds(w, k, right) && knew(w, i, k, right, round))
				violated(w, "exclusive",
				    "a second answer right although a path worked");
	}
	wd->last = *round;
}

/* Two rights that a cut, or a clock that stood still, has let grow must end: after one
 * exchange if terms are heard, when the witness is known to be silent if not, and when
 * an Active has gone unheard for long enough. */
static void
check_pair_of_rights(struct world *w, unsigned a, unsigned b, unsigned right)
{
	const struct machine *ma = &w->machine[a], *mb = &w->machine[b];
	int64_t both_at =
	    later_of(w->both_at[right][a][b], later_of(ma->awake_at, mb->awake_at));
	int64_t witness = NEVER, advert = NEVER, one_way = NEVER;
	int64_t interval_ns = longest_interval(w);

	if (!machine_awake(w, a) || !machine_awake(w, b))
		return;
	if (w->mode == &mode_independent)
		witness = whole_since(w, right);
	for (unsigned p = 0; w->mode == &mode_pair && p < PATHS_MAX; p++) {
		int64_t ab = believable_since(w, p, a, b),
			ba = believable_since(w, p, b, a);

		one_way = sooner_of(one_way, sooner_of(ab, ba));
		advert = sooner_of(advert, later_of(ab, ba));
		if (p >= MEMBERS_MAX)
			witness = sooner_of(witness, later_of(ab, ba));
	}
	if (witness != NEVER &&
	    w->now - later_of(both_at, witness) > interval_ns + EXCHANGE_NS)
		violated(w, "exclusive", "two answer rights outlive a heal");
	if (advert != NEVER &&
	    w->now - later_of(both_at, advert) > 5 * interval_ns + EXCHANGE_NS)
		violated(w, "exclusive", "two answer rights outlive a heal");
	if (one_way != NEVER &&
	    w->now - later_of(both_at, one_way) > 8 * interval_ns + EXCHANGE_NS)
		violated(w, "yields", "an Active that is not heard goes on");
}

static void
check_rights(struct world *w, unsigned right)
{
	bool held[MACHINES_MAX];

	for (unsigned i = 0; i < w->machines; i++) {
		held[i] = holds(w, i, right);
		if (held[i] && machine_awake(w, i) && !w->machine[i].stepping &&
		    w->mode->role(&w->machine[i], right) != TD_ROLE_ACTIVE)
			violated(w, "fenced", "a Backup holds the answer right");
	}
	for (unsigned a = 0; a < w->machines; a++)
		for (unsigned b = a + 1; b < w->machines; b++) {
			int64_t *both_at = &w->both_at[right][a][b];

			if (!held[a] || !held[b]) {
				*both_at = -1;
				continue;
			}
			if (w->parted)
				violated(w, "parted",
				    "two rights around a cut of all ports");
			if (*both_at < 0) {
				*both_at = w->now;
				note(w, "machines %u and %u hold answer right %u", a, b,
				    right);
			}
			check_pair_of_rights(w, a, b, right);
		}
}

/* ---- prompt ---- */

static bool
is_fit(const struct world *w, unsigned i)
{
	const struct machine *mc = &w->machine[i];
	bool all_up = true, some = false;

	for (unsigned m = 0; m < w->members; m++) {
		all_up &= mc->carrier[m];
		some |= port_works(w, i, m) && !w->deserted[m] && path_is_clean(w, m);
	}
	return some && (all_up || machine_clock(w, i) - mc->started_clock >
				      NODE_STARTUP_HOLD_NS + NS_PER_S);
}

static bool
waits_too_long(const struct world *w, unsigned i, unsigned right)
{
	const struct machine *mc = &w->machine[i];
	const struct watched *wd = &mc->watched[right];
	int64_t clock = machine_clock(w, i);
	int64_t longest_ns = longest_interval(w);
	int64_t down = down_ns(mc, longest_ns);

	if (w->mode == &mode_independent)
		return clock - later_of(wd->expect_clock, wd->late_clock) >
			   LATE_MAX_NS + PROMOTE_MAX_NS &&
		       w->now - mc->awake_at >
			   mc->interval_ns + LATE_MAX_NS + PROMOTE_MAX_NS;
	/* It looks again every interval, and a frame of the segment ends isolation. */
	return is_fit(w, i) &&
	       w->now - wd->base_at > (wd->waits_longer ? 2 : 1) * down +
					  3 * mc->interval_ns + 30 * NS_PER_MS;
}

static void
check_machine(struct world *w, unsigned i)
{
	const struct machine *mc = &w->machine[i];

	if (!machine_awake(w, i) || mc->stepping)
		return;
	for (unsigned r = 0; r < w->rights; r++)
		if (w->mode->role(mc, r) == TD_ROLE_BACKUP && waits_too_long(w, i, r))
			violated(w, "prompt",
			    "a fit router hears nobody and does not take over");
	if (w->mode == &mode_pair && mc->node.role == TD_ROLE_ACTIVE &&
	    mc->node.promoted && !mc->addresses)
		violated(w, "addresses", "an Active node has none");
}

void
check_now(struct world *w)
{
	for (unsigned r = 0; r < w->rights; r++)
		check_rights(w, r);
	for (unsigned i = 0; i < w->machines; i++)
		check_machine(w, i);
}

/* ---- after heal and quiet ---- */

void
check_quiet(struct world *w, uint64_t takeovers_before)
{
	if (w->takeovers != takeovers_before)
		violated(w, "quiet", "the role moves although nothing happens");
}

void
check_single(struct world *w, int fit)
{
	for (unsigned r = 0; r < w->rights; r++) {
		unsigned actives = 0;

		for (unsigned i = 0; i < w->machines; i++) {
			if (w->mode->role(&w->machine[i], r) != TD_ROLE_ACTIVE)
				continue;
			actives++;
			if (!holds(w, i, r))
				violated(w, "single", "the Active one is fenced");
			if (fit >= 0 && (unsigned)fit != i)
				violated(w, "single", "the less fit node is Active");
		}
		if (actives != 1)
			violated(w, "single", "not exactly one Active after quiet");
	}
}
