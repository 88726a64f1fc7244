/* The shell of a node of a pair: vrrpd/core/node.h with the witness's session rule. */
#include "tests/sim/vrrp/sim.h"

#include <inttypes.h>
#include <string.h>

/* A planned hand-over to a node that lost the state long enough ago to have said so. */
static void
check_handed_over(struct world *w, unsigned i)
{
	const struct machine *peer = &w->machine[1 - i];

	if (peer->node.have_state || !machine_awake(w, 1 - i) ||
	    peer->awake_at > peer->state_lost_at ||
	    w->machine[i].awake_at > peer->state_lost_at ||
	    w->now - peer->state_lost_at < DELAY_MAX_NS + PROMOTE_MAX_NS)
		return;
	for (unsigned p = MEMBERS_MAX; p < PATHS_MAX; p++)
		if (path_ok_since(w, p, 1 - i, i) < peer->state_lost_at)
			violated(
			    w, "synced", "handed over to a node without the state");
}

static void
step(struct world *w, unsigned i, const struct node_event *ev)
{
	struct machine *mc = &w->machine[i];
	struct node *n = &mc->node;
	enum td_role role = n->role;

	td_assert(!mc->stepping);
	if (ev->kind != NODE_EV_SENT)
		mc->round = (struct round){ .in_tick = ev->kind == NODE_EV_TICK };
	node_step(&mc->node_config, n, ev, (struct td_instant){ machine_clock(w, i) },
	    &mc->node_actions);
	mc->actions_at = 0;
	mc->sent_due = mc->sent_ok = false;
	mc->stepping = true;
	if (n->role != role)
		check_role(w, i, 0, role, n->role, node_reason_name(n->reason));
	if (role == TD_ROLE_ACTIVE && n->role == TD_ROLE_BACKUP &&
	    (n->reason == NODE_BY_SWITCHOVER || n->reason == NODE_BY_PREEMPTED))
		check_handed_over(w, i);
}

static void
sending(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	if (!mc->sent_due) {
		mc->round.at = w->now;
		mc->round.clock = machine_clock(w, i);
	}
	mc->sent_due = true;
}

static void
send_witness(struct world *w, unsigned i, const struct witness_payload *payload)
{
	struct machine *mc = &w->machine[i];
	struct message msg = { .witness = true,
		.from = (uint8_t)i,
		.session = mc->session_id,
		.seq = ++mc->seq };
	struct witness_payload p = *payload;
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX];

	p.challenge = mc->session.challenge;
	p.echo = mc->session.echo;
	msg.len = witness_payload_encode(&p, bytes);
	td_assert(msg.len <= sizeof(msg.bytes));
	memcpy(msg.bytes, bytes, msg.len);
	for (unsigned k = 0; k < w->witnesses; k++) {
		msg.path = (uint8_t)(MEMBERS_MAX + k);
		transmit(w, i, &msg);
		mc->round.paths |= 1u << msg.path;
	}
	mc->sent_ok = true;
}

static void
send_adverts(struct world *w, unsigned i, uint8_t priority)
{
	struct machine *mc = &w->machine[i];
	struct message msg = {
		.priority = priority, .from = (uint8_t)i, .interval_ns = mc->interval_ns
	};

	for (unsigned m = 0; m < w->members; m++) {
		if (!mc->node_config.advertises[m] || !mc->node.member[m].link_up)
			continue;
		msg.path = (uint8_t)m;
		transmit(w, i, &msg);
		mc->round.paths |= 1u << m;
		mc->sent_ok = true;
	}
	if (priority != 0)
		return;
	w->resigned_at[0] = w->now;
	if (mc->answer_clock[0] > machine_clock(w, i))
		violated(w, "resigned", "priority 0 leaves while the fence is open");
}

/* An answer comes at once; silence takes the whole time. */
static void
probe(struct world *w, unsigned i, uint8_t m)
{
	const struct path *path = &w->path[m];
	int64_t probe_ns = node_probe_ns(&w->machine[i].node_config);
	int64_t answer_ns =
	    rnd_below(w, DELAY_MAX_NS) + 2 * rnd_below(w, path->delay_ns);
	struct control ctl = { .kind = CTL_PROBED, .member = m };

	ctl.flag = !w->deserted[m] && port_works(w, i, m) && answer_ns < probe_ns &&
		   rnd_below(w, 100) >= path->loss_percent &&
		   rnd_below(w, 100) >= path->loss_percent;
	if (!ctl.flag)
		answer_ns = w->deserted[m] ? 0 : probe_ns;
	machine_tell_later(w, i, &ctl, answer_ns);
}

static void
perform(struct world *w, unsigned i, const struct node_action *a)
{
	struct machine *mc = &w->machine[i];
	struct control barrier = { .kind = CTL_BARRIER,
		.flag = w->undisturbed || rnd_below(w, 8) != 0 };

	switch (a->kind) {
	case NODE_DO_PREPARE_TERM:
	case NODE_DO_ANNOUNCE:
	case NODE_DO_PROBE_CANCEL:
	case NODE_DO_REPLY:
	case NODE_DO_ROLE:
		break;
	case NODE_DO_PERSIST_TERM:
		if (a->term <= mc->used_term)
			violated(w, "terms", "a term is used twice");
		mc->stored_term = mc->used_term = a->term;
		break;
	case NODE_DO_FENCE:
		if (a->answer.ns != 0)
			check_lease(w, i, 0, a->answer.ns);
		mc->answer_clock[0] = a->answer.ns;
		break;
	case NODE_DO_SEND_ADVERTS:
		sending(w, i);
		send_adverts(w, i, a->priority);
		break;
	case NODE_DO_SEND_WITNESS:
		sending(w, i);
		send_witness(w, i, &a->witness);
		break;
	case NODE_DO_PROMOTE:
		mc->addresses = true;
		mc->busy_until = w->now + rnd_below(w, PROMOTE_MAX_NS);
		break;
	case NODE_DO_DEMOTE:
		mc->addresses = false;
		break;
	case NODE_DO_BARRIER:
		machine_tell_later(w, i, &barrier, rnd_below(w, 30 * NS_PER_MS));
		break;
	case NODE_DO_PROBE:
		probe(w, i, a->member);
		break;
	case NODE_DO_STOPPED:
		note(w, "machine %u stopped", i);
		machine_kill(w, i);
		mc->answer_clock[0] = 0;
		break;
	}
}

static bool
pair_act(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];
	struct node_event ev = { .kind = NODE_EV_SENT };

	if (mc->actions_at < mc->node_actions.count) {
		perform(w, i, &mc->node_actions.list[mc->actions_at++]);
		return mc->running;
	}
	if (!mc->sent_due)
		return false;
	check_round(w, i);
	ev.sent.before.ns = mc->round.clock;
	ev.sent.ok = mc->sent_ok;
	mc->stepping = false;
	step(w, i, &ev);
	return true;
}

static void
pair_start(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];
	struct node_event ev = { .kind = NODE_EV_STARTUP };
	struct control sync = { .kind = CTL_SYNC, .flag = rnd_below(w, 4) != 0 };

	mc->addresses = false;
	mc->session_id = rnd(w);
	mc->seq = 0;
	witness_session_init(&mc->session, rnd(w));
	node_init(&mc->node, mc->stored_term);
	step(w, i, &ev);
	machine_tell(w, i, &sync);
}

static bool
accepted(struct world *w, unsigned i, const struct message *msg,
    struct witness_payload *ret_payload)
{
	struct machine *mc = &w->machine[i];
	struct witness_header header = { .sender = msg->from, .seq = msg->seq };
	struct witness_payload own;
	bool answer, ok;

	td_assert(
	    witness_payload_decode(msg->bytes, msg->len, ret_payload) == WITNESS_OK);
	memcpy(header.session, &msg->session, sizeof(msg->session));
	ok = witness_session_receive(
		 &mc->session, &header, ret_payload, rnd(w), &answer) == WITNESS_OK;
	if (ok && header.seq == mc->session.peer_seq && answer)
		mc->proven_at = w->now;
	if (answer) {
		node_witness(&mc->node_config, &mc->node,
		    (struct td_instant){ machine_clock(w, i) }, &own);
		send_witness(w, i, &own);
	}
	return ok;
}

/* What the peer's word may not do. */
static void
check_step(struct world *w, unsigned i, const struct node *before,
    const struct witness_payload *payload)
{
	const struct machine *mc = &w->machine[i];
	const struct node *n = &mc->node;
	bool yielded =
	    before->role == TD_ROLE_ACTIVE && n->role == TD_ROLE_BACKUP &&
	    (n->reason == NODE_BY_HIGHER_TERM || n->reason == NODE_BY_HIGHER_PRIORITY);

	if (yielded && payload->term < before->term)
		violated(w, "stale", "an Active yields to a lower term");
	if (!before->peer_resigned && n->peer_resigned && payload->term < before->term)
		violated(w, "stale", "a resignation of a lower term is followed");
	if (yielded && payload->term == before->term &&
	    (payload->priority < before->priority ||
		(payload->priority == before->priority && i == 0)))
		violated(w, "tie", "an Active yields to the lesser one of its term");
}

static void
pair_deliver(struct world *w, unsigned i, const struct message *msg)
{
	struct machine *mc = &w->machine[i];
	struct node_event ev = { .kind = NODE_EV_ADVERT, .member = msg->path };
	struct witness_payload payload;
	struct node before;

	if (!msg->witness) {
		check_heard(w, i, msg, NULL);
		ev.advert.priority = msg->priority;
		ev.advert.interval_ns = msg->interval_ns;
		step(w, i, &ev);
		return;
	}
	if (!accepted(w, i, msg, &payload))
		return;
	check_heard(w, i, msg, &payload);
	before = mc->node;
	ev = (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &payload };
	step(w, i, &ev);
	check_step(w, i, &before, &payload);
}

static void
pair_tell(struct world *w, unsigned i, const struct control *ctl)
{
	struct machine *mc = &w->machine[i];
	struct node_event ev = { .member = ctl->member };

	switch (ctl->kind) {
	case CTL_LINK:
		ev.kind = NODE_EV_LINK;
		ev.link_up = ctl->flag;
		break;
	case CTL_PROBED:
		ev.kind = NODE_EV_PROBED;
		ev.nobody = w->deserted[ctl->member];
		ev.reached = ctl->flag;
		break;
	case CTL_BARRIER:
		ev.kind = NODE_EV_BARRIER;
		ev.barrier_ok = ctl->flag;
		break;
	case CTL_SYNC:
		ev.kind = NODE_EV_SYNC_STATE;
		ev.sync.have_state = ev.sync.peer_has_state = ctl->flag;
		if (mc->node.have_state && !ctl->flag)
			mc->state_lost_at = w->now;
		break;
	case CTL_SWITCHOVER:
		ev.kind = NODE_EV_SWITCHOVER;
		break;
	case CTL_MAINTENANCE:
		ev.kind = NODE_EV_MAINTENANCE;
		ev.maintenance = ctl->flag;
		break;
	case CTL_UNFIT:
		ev.kind = NODE_EV_UNFIT;
		ev.unfit = ctl->unfit;
		break;
	case CTL_STOP:
		ev.kind = NODE_EV_SHUTDOWN;
		ev.now = ctl->flag;
		break;
	}
	step(w, i, &ev);
}

#define SEGMENT_FRAME_NS (20 * NS_PER_MS)

static void
pair_tick(struct world *w, unsigned i, unsigned timer)
{
	struct machine *mc = &w->machine[i];
	struct node_event ev = { .kind = NODE_EV_TICK };
	int64_t clock = machine_clock(w, i), last = clock - clock % SEGMENT_FRAME_NS;

	(void)timer;
	for (unsigned m = 0; m < w->members; m++) {
		struct node_event frame = { .kind = NODE_EV_FRAME,
			.member = (uint8_t)m };

		if (mc->hears_clock[m] <= last && !w->deserted[m] &&
		    rnd_below(w, 100) >= w->path[m].loss_percent)
			mc->frame_clock[m] = last;
		frame.frame_at.ns = mc->frame_clock[m];
		node_step(&mc->node_config, &mc->node, &frame,
		    (struct td_instant){ clock }, &mc->node_actions);
	}
	step(w, i, &ev);
}

static int64_t
pair_deadline(const struct machine *mc, unsigned timer)
{
	(void)timer;
	return node_deadline(&mc->node).ns;
}

/* tandemd says priority 0 for a vrrpd that died as Active. */
static void
pair_last_words(struct world *w, unsigned i)
{
	if (!w->machine[i].addresses)
		return;
	for (unsigned m = 0; m < w->members; m++)
		if (w->machine[i].node_config.advertises[m])
			transmit_resignation(w, i, m);
	w->resigned_at[0] = w->now;
}

static enum td_role
pair_role(const struct machine *mc, unsigned right)
{
	(void)right;
	return mc->powered && mc->running ? mc->node.role : TD_ROLE_INITIALIZE;
}

static unsigned
pair_state(const struct world *w, unsigned i)
{
	const struct machine *mc = &w->machine[i];
	const struct node *n = &mc->node;
	bool peer;

	if (!mc->powered || !mc->running)
		return PAIR_DOWN;
	if (n->isolated)
		return PAIR_ISOLATED;
	peer = node_peer_alive(
	    &mc->node_config, n, (struct td_instant){ machine_clock(w, i) });
	switch (n->role) {
	case TD_ROLE_INITIALIZE:
		return PAIR_STOPPING;
	case TD_ROLE_BACKUP:
		if (n->resign_deadline.ns != TD_NEVER.ns)
			return PAIR_BACKUP_RESIGNED;
		return peer ? PAIR_BACKUP : PAIR_BACKUP_ALONE;
	case TD_ROLE_ACTIVE:
		if (n->barrier_deadline.ns != TD_NEVER.ns)
			return PAIR_HANDING_OVER;
		if (n->rival_since.ns != TD_NEVER.ns)
			return PAIR_RIVALS;
		if (n->silent_since.ns != TD_NEVER.ns)
			return PAIR_SUSPENDED;
		return peer ? PAIR_ACTIVE : PAIR_ACTIVE_ALONE;
	}
	return PAIR_DOWN;
}

const struct mode mode_pair = {
	.start = pair_start,
	.deliver = pair_deliver,
	.tell = pair_tell,
	.tick = pair_tick,
	.act = pair_act,
	.deadline = pair_deadline,
	.last_words = pair_last_words,
	.role = pair_role,
	.state = pair_state,
};
