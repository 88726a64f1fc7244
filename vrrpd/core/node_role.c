#include <tandem/assert.h>
#include "vrrpd/core/node_internal.h"

/* A resigned node competes again only after the peer had this many chances. */
#define RESIGN_INTERVALS 2

static int64_t
longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void
node_do_fence(
    struct node_actions *out, struct td_instant answer, struct td_instant forward)
{
	node_do(out, NODE_DO_FENCE);
	out->list[out->count - 1].answer = answer;
	out->list[out->count - 1].forward = forward;
}

void
node_do_term(struct node_actions *out, enum node_action_kind kind, uint64_t term)
{
	node_do(out, kind);
	out->list[out->count - 1].term = term;
}

void
node_do_adverts(struct node_actions *out, uint8_t priority)
{
	node_do(out, NODE_DO_SEND_ADVERTS);
	out->list[out->count - 1].priority = priority;
}

void
node_do_witness(const struct node_config *cfg, const struct node *n,
    struct td_instant now, struct node_actions *out)
{
	node_do(out, NODE_DO_SEND_WITNESS);
	node_witness(cfg, n, now, &out->list[out->count - 1].witness);
}

void
node_do_reply(struct node *n, struct node_actions *out, enum node_refusal refusal)
{
	if (!n->handover_asked)
		return;
	n->handover_asked = false;
	node_do(out, NODE_DO_REPLY);
	out->list[out->count - 1].refusal = refusal;
}

void
node_handover_cancel(
    struct node *n, struct node_actions *out, enum node_refusal refusal)
{
	n->barrier_deadline = TD_NEVER;
	node_do_reply(n, out, refusal);
}

/* A drain that is under way ends here: the addresses stay. */
void
node_become_active(const struct node_config *cfg, struct node *n,
    enum node_reason reason, struct td_instant now, struct node_actions *out)
{
	td_assert(n->role == TD_ROLE_BACKUP);
	n->role = TD_ROLE_ACTIVE;
	n->reason = reason;
	n->term++;
	n->prepare_term = false;
	/* Above what was advertised before, so that a woken or rebooted node of higher
	 * priority does not pull the traffic back before it holds the state. */
	n->priority = cfg->priority;
	if (!n->peer_resigned && n->peer.priority >= n->priority)
		n->priority = n->peer.priority < NODE_PRIORITY_MAX
				  ? n->peer.priority + 1
				  : NODE_PRIORITY_MAX;
	n->answer_deadline = instant_add(now, node_lease_ns(cfg));
	n->tick_deadline = instant_add(now, cfg->interval_ns);
	n->hold_deadline =
	    instant_add(now, longer(NODE_HOLD_NS_MIN, 10 * cfg->interval_ns));
	n->withdraw_deadline = n->defer_deadline = n->rival_since = TD_NEVER;
	n->down_deadline = n->resign_deadline = n->claim_since = TD_NEVER;
	n->peer_resigned = n->claiming = false;
	n->renew = true;
	n->promoted = false;
	n->taken_at = now;
	n->silent_since = n->life_at = TD_NEVER;
	/* The fence opens, and addresses come, when the first words have left
	 * (on_sent): a node that is stopped before it could say so must not hold a
	 * right either. */
	node_do_term(out, NODE_DO_PERSIST_TERM, n->term);
	node_do_adverts(out, n->priority);
	node_do_witness(cfg, n, now, out);
}

/* Leaves Active towards Backup. `drain`: transit may still flow for a while. */
static void
become_backup(const struct node_config *cfg, struct node *n, enum node_reason reason,
    bool drain, struct td_instant now, struct node_actions *out)
{
	td_assert(n->role == TD_ROLE_ACTIVE);
	n->role = TD_ROLE_BACKUP;
	n->reason = reason;
	n->priority = cfg->priority;
	n->down_deadline = instant_add(now, node_active_down_interval_ns(cfg, n));
	n->rival_since = n->claim_since = n->defer_deadline = TD_NEVER;
	n->withdraw_deadline = drain ? instant_add(now, NODE_DRAIN_NS) : TD_NEVER;
	n->renew = n->silent = false;
	n->peer_resigned = false;
	n->silent_since = n->life_at = TD_NEVER;
	node_handover_cancel(n, out, NODE_REFUSED_NOT_ACTIVE);
	node_do_fence(out, (struct td_instant){ 0 },
	    drain ? n->withdraw_deadline : (struct td_instant){ 0 });
	n->prepare_term = true;
}

/* The peer serves already: no word of ours may stand against it. */
void
node_yield(const struct node_config *cfg, struct node *n, enum node_reason reason,
    struct td_instant now, struct node_actions *out)
{
	become_backup(cfg, n, reason, false, now, out);
	node_do_witness(cfg, n, now, out);
	node_do(out, NODE_DO_DEMOTE);
}

/* Gives the role away: the peer may take over at once, the fence is closed before. */
void
node_resign(const struct node_config *cfg, struct node *n, enum node_reason reason,
    bool drain, struct td_instant now, struct node_actions *out)
{
	int64_t wait_ns = RESIGN_INTERVALS * node_active_down_interval_ns(cfg, n);

	node_do_reply(n, out, NODE_REFUSED_NOT);
	become_backup(cfg, n, reason, drain, now, out);
	n->down_deadline = n->resign_deadline = instant_add(now, wait_ns);
	if (n->stopping)
		n->role = TD_ROLE_INITIALIZE;
	node_do_adverts(out, 0);
	node_do_witness(cfg, n, now, out);
	if (!drain)
		node_do(out, NODE_DO_DEMOTE);
}

/* Our own lateness outlived the lease, or we were cut off. Whether the peer took over
 * is not known yet: listen first, and let it go ahead if it is there. */
void
node_lapse(const struct node_config *cfg, struct node *n, enum node_reason reason,
    struct td_instant now, struct node_actions *out)
{
	int64_t wait_ns = node_active_down_interval_ns(cfg, n);

	become_backup(cfg, n, reason, false, now, out);
	n->resign_deadline = instant_add(now, wait_ns);
	node_do_witness(cfg, n, now, out);
	node_do(out, NODE_DO_DEMOTE);
}
