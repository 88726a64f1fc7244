/*
 * node_internal.h - what the files of the election (node.h) share: node.c applies
 * events, node_role.c changes roles, node_member.c watches the members, node_silence.c
 * whether anything is heard at all, node_view.c shows the state.
 *
 * A silent cut of one member is found in three steps, none of which alone changes a
 * role:
 *   doubt    the Backup misses the Active's advertisements on a member while it hears
 *            the Active elsewhere, or a member hears no frame at all. The doubt is a
 * bit in the witness, so both nodes know of it; probe    both ask known neighbours of
 * that member, again and again; verdict  a node is less fit on a member if nobody
 * answers it twice in a row while somebody answers the peer. Without a link it is less
 * fit at once. Only the Active acts on the verdict: it hands over if it is less fit on
 * more members than the peer. Equal misery never moves anything.
 */
#ifndef TANDEM_VRRP_NODE_INTERNAL_H
#define TANDEM_VRRP_NODE_INTERNAL_H

#include "vrrpd/core/node.h"

unsigned node_alarms(
    const struct node_config *cfg, const struct node *n, struct td_instant now);
bool node_heard_within_down(const struct node_config *cfg, const struct node *n,
    struct td_instant at, struct td_instant now);

void node_do(struct node_actions *out, enum node_action_kind kind);

/* Revises doubts and starts or ends probes. Returns true if the peer should be told. */
bool members_review(const struct node_config *cfg, struct node *n,
    struct td_instant now, struct node_actions *out);
/* A probe ended. Returns true if the peer should be told. */
bool member_probed(const struct node_config *cfg, struct node *n, uint8_t member,
    const struct node_event *ev, struct td_instant now, struct node_actions *out);
void members_stop_probes(struct node *n, struct node_actions *out);

/* On how many more members we are unfit than the peer; negative: the peer is. */
int scripts_unfit_balance(const struct node *n);
int members_unfit_balance(const struct node_config *cfg, const struct node *n);
/* No member hears a frame, or an answer to its probes. */
bool members_isolated(
    const struct node_config *cfg, const struct node *n, struct td_instant now);
/* Each member with a link has been probed, and nobody is known there. */
bool members_nobody(const struct node_config *cfg, const struct node *n);
void members_handed_over(const struct node_config *cfg, struct node *n);
bool members_any_link(const struct node_config *cfg, const struct node *n);
bool members_all_links(const struct node_config *cfg, const struct node *n);
uint8_t member_bits(const struct node_config *cfg, const struct node *n, uint8_t member,
    struct td_instant now);

/* A deadline that runs: not TD_NEVER. */
static inline bool
instant_is_set(struct td_instant t)
{
	return t.ns != TD_NEVER.ns;
}

void node_do_fence(
    struct node_actions *out, struct td_instant answer, struct td_instant forward);
void node_do_adverts(struct node_actions *out, uint8_t priority);
void node_do_witness(const struct node_config *cfg, const struct node *n,
    struct td_instant now, struct node_actions *out);
void node_do_reply(struct node *n, struct node_actions *out, enum node_refusal refusal);
void node_do_term(struct node_actions *out, enum node_action_kind kind, uint64_t term);
void node_handover_cancel(
    struct node *n, struct node_actions *out, enum node_refusal refusal);
void node_become_active(const struct node_config *cfg, struct node *n,
    enum node_reason reason, struct td_instant now, struct node_actions *out);
void node_yield(const struct node_config *cfg, struct node *n, enum node_reason reason,
    struct td_instant now, struct node_actions *out);
void node_resign(const struct node_config *cfg, struct node *n, enum node_reason reason,
    bool drain, struct td_instant now, struct node_actions *out);
void node_lapse(const struct node_config *cfg, struct node *n, enum node_reason reason,
    struct td_instant now, struct node_actions *out);

/* Something was heard then: a frame, the peer, an answer. */
void silence_heard(struct node *n, struct td_instant at);
/* A probe was answered. */
void silence_answered(const struct node_config *cfg, struct node *n,
    const struct node_member *mb, struct td_instant now);
/* A tick, of which `turn` begins a round or its like: are the neighbours to be asked? */
void silence_turn(const struct node_config *cfg, struct node *n, bool turn,
    struct td_instant now);
/* A Backup whose peer fell silent together with everybody else may be what was cut off:
 * from when on it may take over, TD_NEVER while nobody else is heard. */
struct td_instant silence_takeover_at(
    const struct node_config *cfg, const struct node *n, struct td_instant now);
/* `before`, a round of the Active left. */
void silence_round(struct node *n, struct td_instant before);
/* Renews the answer right, suspends it or gives it back. */
void silence_review(const struct node_config *cfg, struct node *n,
    struct td_instant now, struct node_actions *out);

#endif
