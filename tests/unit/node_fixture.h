/*
 * node_fixture.h - a node in the middle of its life, for the tests of
 * vrrpd/core/node.h. Each test program includes it once; what it does not use is
 * silent.
 */
#ifndef TANDEM_TEST_NODE_FIXTURE_H
#define TANDEM_TEST_NODE_FIXTURE_H

#include <string.h>
#include "vrrpd/core/node.h"

#pragma GCC diagnostic ignored "-Wunused-function"

#define I (100 * NS_PER_MS)
#define NOW INT64_C(1000000000000)
#define DOWN (3 * I + (256 - 100) * I / 256) /* of priority 100 */
#define WANT_MAX 12

/* Two members that advertise; this node is index 1 with priority 100. */
static const struct node_config config = { .index = 1,
	.priority = 100,
	.interval_ns = I,
	.member_count = 2,
	.advertises = { true, true } };

enum peer { ABSENT, PEER_BACKUP, PEER_ACTIVE, PEER_ACTIVE_NO_WITNESS };

struct setup {
	enum td_role role;
	enum peer peer;
	uint64_t term, peer_term;
	bool no_state; /* we do not hold the peer's state */
	bool peer_no_state;
	bool deaf_peer;        /* it does not hear our witness */
	uint8_t peer_priority; /* 0: 150 */
};

static struct td_instant
at(int64_t ns)
{
	return (struct td_instant){ NOW + ns };
}

static struct witness_payload
witness_of(const struct setup *s, enum td_role role)
{
	struct witness_payload w = { .role = (uint8_t)role,
		.priority = s->peer_priority != 0 ? s->peer_priority : 150,
		.base_priority = s->peer_priority != 0 ? s->peer_priority : 150,
		.term = s->peer_term,
		.interval_ns = I,
		.member_count = 2,
		.member = { WITNESS_MEMBER_LINK_UP | WITNESS_MEMBER_HEARS_ADVERTS,
		    WITNESS_MEMBER_LINK_UP | WITNESS_MEMBER_HEARS_ADVERTS } };

	if (!s->peer_no_state)
		w.flags |= WITNESS_HAVE_STATE;
	if (!s->deaf_peer)
		w.flags |= WITNESS_HEARS_WITNESS;
	return w;
}

static void
feed(const struct node_config *cfg, struct node *n, struct node_event ev, int64_t ns)
{
	struct node_actions out;

	node_step(cfg, n, &ev, at(ns), &out);
}

/* A node as it is in the middle of its life, at NOW. */
static struct node
make(const struct node_config *cfg, const struct setup *s)
{
	struct node n;
	struct witness_payload w;
	struct node_event link = { .kind = NODE_EV_LINK };

	node_init(&n, s->term);
	feed(cfg, &n, (struct node_event){ .kind = NODE_EV_STARTUP }, -100 * NS_PER_S);
	for (uint8_t m = 0; m < cfg->member_count; m++) {
		link.member = m;
		link.link_up = true;
		feed(cfg, &n, link, -100 * NS_PER_S);
	}
	n.have_state = !s->no_state;
	if (s->role == TD_ROLE_ACTIVE) {
		n.tick_deadline = n.down_deadline = at(-50 * NS_PER_S);
		feed(cfg, &n, (struct node_event){ .kind = NODE_EV_TICK },
		    -50 * NS_PER_S);
		/* Late: it listens once more, then takes over. */
		feed(cfg, &n, (struct node_event){ .kind = NODE_EV_TICK },
		    -50 * NS_PER_S + I);
		n.term = s->term;
		n.answer_deadline = at(3 * I);
		n.promoted = true;
		n.round_before = at(-I - I / 2);
		n.round_at = n.proven_at = at(-I / 2);
		n.heard_at = at(0);
		n.renew = false;
	}
	n.tick_deadline = at(I / 2);
	n.down_deadline = s->role == TD_ROLE_BACKUP ? at(DOWN) : TD_NEVER;
	if (s->peer == PEER_BACKUP || s->peer == PEER_ACTIVE) {
		w = witness_of(
		    s, s->peer == PEER_ACTIVE ? TD_ROLE_ACTIVE : TD_ROLE_BACKUP);
		n.peer.role = (enum td_role)w.role;
		n.peer.term = w.term;
		n.peer.flags = w.flags;
		n.peer.base_priority = w.base_priority;
		n.peer.witness_at = n.peer.alive_at = at(0);
		n.member[0].peer_bits = w.member[0];
		n.member[1].peer_bits = w.member[1];
	}
	if (s->peer == PEER_ACTIVE || s->peer == PEER_ACTIVE_NO_WITNESS) {
		n.peer.role = TD_ROLE_ACTIVE;
		n.peer.active_at = n.peer.alive_at = at(0);
		n.peer.active_since = at(-10 * NS_PER_S);
		n.peer.priority = s->peer_priority != 0 ? s->peer_priority : 150;
		n.member[0].advert_at = n.member[1].advert_at = at(0);
	}
	feed(cfg, &n, (struct node_event){ .kind = NODE_EV_FRAME },
	    0); /* settles alarms */
	node_role(cfg, &n, at(0), &n.published);
	return n;
}

#define W(...)                                                                         \
	{ __VA_ARGS__ }, sizeof((enum node_action_kind[]){ __VA_ARGS__ }) /            \
			     sizeof(enum node_action_kind)
#define NOTHING { 0 }, 0
#define TICK                                                                           \
	{                                                                              \
		.kind = NODE_EV_TICK                                                   \
	}
#define ADVERT(m, prio)                                                                \
	{                                                                              \
		.kind = NODE_EV_ADVERT, .member = m, .advert = { prio, I }             \
	}
#define FENCE NODE_DO_FENCE
#define ADVERTS NODE_DO_SEND_ADVERTS
#define WITNESS NODE_DO_SEND_WITNESS
#define PREPARE NODE_DO_PREPARE_TERM
#define PERSIST NODE_DO_PERSIST_TERM
#define PROMOTE NODE_DO_PROMOTE
#define DEMOTE NODE_DO_DEMOTE
#define ANNOUNCE NODE_DO_ANNOUNCE
#define ROLE NODE_DO_ROLE
#define BARRIER NODE_DO_BARRIER
#define REPLY NODE_DO_REPLY
#define STOPPED NODE_DO_STOPPED

static bool
same_actions(
    const struct node_actions *out, const enum node_action_kind *want, unsigned count)
{
	bool same = out->count == count;

	for (unsigned i = 0; same && i < count; i++)
		same = out->list[i].kind == want[i];
	return same;
}

#endif
