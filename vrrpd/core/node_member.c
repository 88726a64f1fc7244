#include "vrrpd/core/node_internal.h"

#include <string.h>
#include <tandem/assert.h>

#define SILENT_PROBES_MAX 2 /* in a row make a member unreached */
#define QUIET_NS_MIN (1 * NS_PER_S)

static struct node_action *
action_new(struct node_actions *out, enum node_action_kind kind)
{
	struct node_action *a;

	td_assert(out->count < NODE_ACTIONS_MAX);
	a = &out->list[out->count++];
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	return a;
}

void
node_do(struct node_actions *out, enum node_action_kind kind)
{
	(void)action_new(out, kind);
}

bool
members_any_link(const struct node_config *cfg, const struct node *n)
{
	for (unsigned m = 0; m < cfg->member_count; m++)
		if (n->member[m].link_up)
			return true;
	return false;
}

bool
members_all_links(const struct node_config *cfg, const struct node *n)
{
	for (unsigned m = 0; m < cfg->member_count; m++)
		if (!n->member[m].link_up)
			return false;
	return true;
}

static int
bits_set(unsigned bits)
{
	int count = 0;

	for (; bits != 0; bits &= bits - 1)
		count++;
	return count;
}

int
scripts_unfit_balance(const struct node *n)
{
	return bits_set(n->unfit) - bits_set(n->peer.unfit);
}

int
members_unfit_balance(const struct node_config *cfg, const struct node *n)
{
	int balance = 0;

	for (unsigned m = 0; m < cfg->member_count; m++) {
		const struct node_member *mb = &n->member[m];
		unsigned peer = mb->peer_bits;

		if (!mb->link_up ||
		    (mb->unreached && (peer & WITNESS_MEMBER_REACHED) != 0))
			balance++;
		if ((peer & WITNESS_MEMBER_LINK_UP) == 0 ||
		    ((peer & WITNESS_MEMBER_UNREACHED) != 0 && mb->reached))
			balance--;
	}
	return balance;
}

/* A Backup does not notice that it cannot send: it would be the preferred node again at
 * once. What was found out as Active holds until it is refuted. */
void
members_handed_over(const struct node_config *cfg, struct node *n)
{
	for (unsigned m = 0; m < cfg->member_count; m++)
		n->member[m].handed_over =
		    n->member[m].link_up && n->member[m].unreached &&
		    (n->member[m].peer_bits & WITNESS_MEMBER_REACHED) != 0;
}

static int64_t
advert_gap_ns(const struct node *n)
{
	return n->peer.interval_ns * 5 / 2;
}

static bool
hears_adverts(const struct node *n, const struct node_member *mb, struct td_instant now)
{
	return instant_diff_ns(now, mb->advert_at) <= advert_gap_ns(n);
}

uint8_t
member_bits(const struct node_config *cfg, const struct node *n, uint8_t member,
    struct td_instant now)
{
	const struct node_member *mb = &n->member[member];
	unsigned bits = 0;

	td_assert(member < cfg->member_count);
	if (mb->link_up)
		bits |= WITNESS_MEMBER_LINK_UP;
	if (hears_adverts(n, mb, now))
		bits |= WITNESS_MEMBER_HEARS_ADVERTS;
	if (mb->suspect)
		bits |= WITNESS_MEMBER_SUSPECT;
	if (mb->reached)
		bits |= WITNESS_MEMBER_REACHED;
	if (mb->unreached)
		bits |= WITNESS_MEMBER_UNREACHED;
	return (uint8_t)bits;
}

/* The peer has been Active for long enough to be heard here, and is alive. */
static bool
misses_adverts(const struct node_config *cfg, const struct node *n, uint8_t member,
    struct td_instant now)
{
	return n->role == TD_ROLE_BACKUP && n->peer.role == TD_ROLE_ACTIVE &&
	       cfg->advertises[member] && !hears_adverts(n, &n->member[member], now) &&
	       instant_diff_ns(now, n->peer.active_since) > advert_gap_ns(n);
}

static bool
is_quiet(
    const struct node_config *cfg, const struct node_member *mb, struct td_instant now)
{
	int64_t quiet_ns = 10 * cfg->interval_ns;

	if (quiet_ns < QUIET_NS_MIN)
		quiet_ns = QUIET_NS_MIN;
	return mb->frame_at.ns > 0 && instant_diff_ns(now, mb->frame_at) > quiet_ns;
}

bool
members_isolated(
    const struct node_config *cfg, const struct node *n, struct td_instant now)
{
	for (unsigned m = 0; m < cfg->member_count; m++) {
		const struct node_member *mb = &n->member[m];

		if (mb->link_up && !(mb->unreached && is_quiet(cfg, mb, now)))
			return false;
	}
	return cfg->member_count > 0;
}

bool
members_nobody(const struct node_config *cfg, const struct node *n)
{
	for (unsigned m = 0; m < cfg->member_count; m++)
		if (n->member[m].link_up && !n->member[m].nobody)
			return false;
	return members_any_link(cfg, n);
}

static bool
is_suspect(const struct node_config *cfg, const struct node *n, uint8_t member,
    struct td_instant now)
{
	const struct node_member *mb = &n->member[member];

	return mb->link_up && (mb->handed_over || misses_adverts(cfg, n, member, now) ||
				  is_quiet(cfg, mb, now));
}

/* A doubt because of mere silence is none yet: a segment may be idle. */
bool
node_member_cut(const struct node_config *cfg, const struct node *n, uint8_t member,
    struct td_instant now)
{
	const struct node_member *mb = &n->member[member];
	unsigned missed = WITNESS_MEMBER_SUSPECT | WITNESS_MEMBER_HEARS_ADVERTS;

	if (!mb->link_up || !node_peer_alive(cfg, n, now))
		return false;
	if (mb->unreached || mb->handed_over || misses_adverts(cfg, n, member, now))
		return true;
	return n->role == TD_ROLE_ACTIVE && node_witness_alive(cfg, n, now) &&
	       cfg->advertises[member] &&
	       (mb->peer_bits & missed) == WITNESS_MEMBER_SUSPECT;
}

static void
probe_now(struct node *n, uint8_t member, struct node_actions *out)
{
	n->member[member].next_probe = TD_NEVER;
	n->member[member].asked_since_round = true;
	action_new(out, NODE_DO_PROBE)->member = member;
}

static void
probes_end(struct node *n, uint8_t member, struct node_actions *out)
{
	struct node_member *mb = &n->member[member];

	mb->probing = mb->reached = mb->unreached = false;
	mb->silent_probes = 0;
	action_new(out, NODE_DO_PROBE_CANCEL)->member = member;
}

void
members_stop_probes(struct node *n, struct node_actions *out)
{
	for (uint8_t m = 0; m < NODE_MEMBERS_MAX; m++) {
		n->member[m].suspect = false;
		if (n->member[m].probing)
			probes_end(n, m, out);
	}
}

bool
members_review(const struct node_config *cfg, struct node *n, struct td_instant now,
    struct node_actions *out)
{
	bool tell = false, witness = node_witness_alive(cfg, n, now);
	bool alone =
	    (n->role == TD_ROLE_ACTIVE || n->isolated) && !node_peer_alive(cfg, n, now);

	for (uint8_t m = 0; m < cfg->member_count; m++) {
		struct node_member *mb = &n->member[m];
		bool suspect = is_suspect(cfg, n, m, now);
		/* Without a witness there is nobody to compare with, but a node may be
		 * cut off as a whole. */
		bool doubt = suspect || (mb->peer_bits & WITNESS_MEMBER_SUSPECT) != 0;
		bool cut_off =
		    n->silent || (!witness && alone && is_quiet(cfg, mb, now));
		bool probe = mb->link_up && ((witness && doubt) || cut_off);

		tell |= suspect != mb->suspect;
		mb->suspect = suspect;
		if (!probe && mb->probing) {
			probes_end(n, m, out);
		} else if (probe && !mb->probing) {
			mb->probing = true;
			mb->nobody = false; /* that was then */
			probe_now(n, m, out);
		} else if (probe && instant_reached(now, mb->next_probe)) {
			probe_now(n, m, out);
		}
	}
	return tell;
}

bool
member_probed(const struct node_config *cfg, struct node *n, uint8_t member,
    const struct node_event *ev, struct td_instant now, struct node_actions *out)
{
	struct node_member *mb = &n->member[member];
	bool was_reached = mb->reached, was_unreached = mb->unreached;

	if (!mb->probing)
		return false;
	mb->nobody = ev->nobody;
	if (ev->nobody) {
		/* Frames that come in are no substitute for an answer: they may be the
		 * other node's. Two nodes alone on a segment would take them for a sign
		 * of life each in turn, and hand over for ever. */
		mb->reached = mb->unreached = false;
		mb->silent_probes = 0;
	} else if (ev->reached) {
		silence_answered(cfg, n, mb, now);
		mb->reached = true;
		mb->unreached = mb->handed_over = false;
		mb->silent_probes = 0;
	} else if (++mb->silent_probes >= SILENT_PROBES_MAX) {
		mb->silent_probes = SILENT_PROBES_MAX;
		mb->reached = false;
		mb->unreached = true;
	}
	/* Only the way to a verdict is hurried; a verdict is then renewed at leisure.
	 */
	if (!ev->nobody && !ev->reached && !mb->unreached)
		probe_now(n, member, out);
	else
		mb->next_probe = instant_add(now, 5 * cfg->interval_ns);
	return mb->reached != was_reached || mb->unreached != was_unreached;
}
