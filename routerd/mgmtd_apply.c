#include "routerd/mgmtd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"

#define HELLO_INTERVAL_NS (5 * NS_PER_S)
/* Of a configuration in one message: room and peer calls hold a little more. */
#define TEXT_PART_MAX (40U << 10)
#define PEER_KNOWN_NS (16 * NS_PER_S)

static const enum td_request request_of[] = {
	[PAIR_CHECK] = TD_REQ_CONFIG_CHECK,
	[PAIR_PREPARE] = TD_REQ_CONFIG_PREPARE,
	[PAIR_COMMIT] = TD_REQ_CONFIG_COMMIT,
	[PAIR_ABORT] = TD_REQ_CONFIG_ABORT,
	[PAIR_TEXT] = TD_REQ_CONFIG_TEXT,
};

static int
send_peer_call(struct mgmtd *m, uint64_t id, bool answer, int32_t status,
    uint32_t method, uint64_t generation, const char *text)
{
	struct peer_call call = { .generation = generation,
		.text = (char *)(uintptr_t)text };
	struct td_msg msg = { .kind = TD_MSG_PEER_CALL };
	int error;

	if (m->config == NULL)
		return -ENOTCONN;
	memcpy(call.digest, m->config->digest, sizeof(call.digest));
	snprintf(call.node, sizeof(call.node), "%s", mgmtd_node_name(m));
	msg.peer_call.id = id;
	msg.peer_call.answer = answer;
	msg.peer_call.status = status;
	msg.peer_call.method = method;
	msg.peer_call.bytes = peer_call_encode(&call, &msg.peer_call.len);
	if (msg.peer_call.bytes == NULL)
		return -ENOMEM;
	error = room_send(m->room, TD_ROOM_SYNCD, &msg);
	free(msg.peer_call.bytes);
	return error;
}

/* ---- knowing the peer's configuration ---- */

static void
learn_peer(struct mgmtd *m, const struct peer_call *call)
{
	m->peer.known = true;
	m->peer.heard = loop_now(m->loop);
	m->peer.generation = call->generation;
	memcpy(m->peer.digest, call->digest, sizeof(m->peer.digest));
}

/* Between the two commits of an apply the nodes differ for a moment: only what lasts is
 * said. */
static void
tell_difference(struct mgmtd *m)
{
	bool differs = m->peer.known &&
		       memcmp(m->peer.digest, m->config->digest, TD_DIGEST_BYTES) != 0;

	if (differs == m->peer.differs || m->applying.pair.phase != PAIR_IDLE)
		return;
	m->peer.differs = differs;
	log_notice("config", "generation %s own=%llu peer=%llu",
	    differs ? "differs" : "is the same again",
	    (unsigned long long)m->config->generation,
	    (unsigned long long)m->peer.generation);
}

static void
say_hello(struct mgmtd *m)
{
	if (m->config != NULL && m->sync.connected)
		send_peer_call(
		    m, m->next_id++, false, 0, PAIR_HELLO, m->config->generation, "");
}

void
apply_hello(struct mgmtd *m)
{
	say_hello(m);
	loop_timer_set(
	    &m->hello_timer, instant_add(loop_now(m->loop), HELLO_INTERVAL_NS));
}

static void
on_hello_timer(struct loop_timer *timer)
{
	struct mgmtd *m = timer->context;

	if (m->peer.known && instant_reached(loop_now(m->loop),
				 instant_add(m->peer.heard, PEER_KNOWN_NS)))
		m->peer.known = false;
	if (m->config != NULL)
		tell_difference(m);
	apply_hello(m);
}

/* ---- our own apply ---- */

static void
finish(struct mgmtd *m)
{
	struct applying *a = &m->applying;
	struct client *client = a->client;
	char text[PAIR_REASON_MAX];

	loop_timer_cancel(&a->timer);
	free(a->text);
	a->text = NULL;
	a->client = NULL;
	a->local_id = a->peer_id = 0;
	if (a->pair.status != 0)
		snprintf(text, sizeof(text), "%s", a->pair.reason);
	else if (a->pair.check_only)
		snprintf(text, sizeof(text), "%s",
		    a->pair.alone ? "valid on this node" : "valid on both nodes");
	else
		snprintf(text, sizeof(text), "generation %llu in force on %s",
		    (unsigned long long)a->generation,
		    a->pair.alone ? "this node" : "both nodes");
	if (!a->pair.check_only)
		log_notice("config", "apply %s: %s",
		    a->pair.status == 0 ? "done" : "refused", text);
	control_answer(client, a->pair.status, text);
	apply_hello(m);
}

/* The next part of the text for a side, and its offset. */
static uint64_t
next_part(struct applying *a, enum pair_side side, char part[TEXT_PART_MAX + 1])
{
	size_t offset = a->handed[side];

	snprintf(part, TEXT_PART_MAX + 1, "%s", a->text + offset);
	a->handed[side] += strlen(part);
	return offset;
}

static int
call(struct mgmtd *m, enum pair_side side, enum pair_method method)
{
	struct applying *a = &m->applying;
	uint64_t number = a->generation;
	char part[TEXT_PART_MAX + 1] = "";

	if (method == PAIR_TEXT)
		number = next_part(a, side, part);
	/* Who may steer the router is not root yet, and a hook may run as root. Asked
	 * here alone: each node knows its own users. */
	if (method == PAIR_CHECK && side == PAIR_LOCAL && !a->by_root)
		snprintf(part, sizeof(part), "%s", TD_SAME_PROGRAMS);
	if (side == PAIR_LOCAL) {
		a->local_id = m->next_id++;
		return mgmtd_request(
		    m, TD_ROOM_TANDEMD, a->local_id, request_of[method], number, part);
	}
	a->peer_id = m->next_id++;
	if (!m->sync.connected)
		return -EHOSTUNREACH;
	return send_peer_call(m, a->peer_id, false, 0, method, number, part);
}

static const char *
call_error(int error)
{
	return error == -EHOSTUNREACH
		   ? "not reachable over the sync link (apply --alone changes "
		     "this node only)"
		   : strerror(-error);
}

/* A call that cannot even be sent is an answer, which may lead to the next calls. */
static void
perform(struct mgmtd *m, struct pair_output out)
{
	struct applying *a = &m->applying;

	while (out.ask != 0 && !out.done) {
		struct pair_output next = { 0 };

		for (int side = PAIR_LOCAL;
		     side <= PAIR_PEER && next.ask == 0 && !next.done; side++) {
			int error;

			if ((out.ask & 1U << side) == 0)
				continue;
			error = call(m, (enum pair_side)side, out.method);
			if (error < 0)
				pair_answer(&a->pair, (enum pair_side)side, out.method,
				    error, call_error(error), loop_now(m->loop), &next);
		}
		out = next;
	}
	if (out.done)
		finish(m);
	else
		loop_timer_set(&a->timer, a->pair.deadline);
}

static void
on_apply_timer(struct loop_timer *timer)
{
	struct mgmtd *m = timer->context;
	struct pair_output out;

	pair_tick(&m->applying.pair, loop_now(m->loop), &out);
	perform(m, out);
}

static void
answered(struct mgmtd *m, enum pair_side side, int32_t status, const char *text)
{
	struct applying *a = &m->applying;
	enum pair_method method = pair_method_of(a->pair.phase);
	struct pair_output out;

	if (method == PAIR_TEXT && status == 0 && a->text[a->handed[side]] != '\0') {
		status = call(m, side, PAIR_TEXT);
		if (status == 0)
			return;
		text = call_error(status);
	}
	pair_answer(&a->pair, side, method, status, text, loop_now(m->loop), &out);
	perform(m, out);
}

void
apply_request(struct mgmtd *m, struct client *client, bool by_root, char *text,
    bool check_only, bool alone)
{
	struct applying *a = &m->applying;
	struct pair_output out;
	uint64_t highest;

	if (a->pair.phase != PAIR_IDLE) {
		free(text);
		control_answer(client, -EBUSY, "another change is under way");
		return;
	}
	if (m->config == NULL || text == NULL) {
		free(text);
		control_answer(client, -EAGAIN, "not ready yet");
		return;
	}
	a->text = text;
	a->handed[PAIR_LOCAL] = a->handed[PAIR_PEER] = 0;
	highest = m->config->generation;
	if (m->peer.known && m->peer.generation > highest)
		highest = m->peer.generation;
	a->generation = highest + 1;
	a->client = client;
	a->by_root = by_root;
	pair_begin(&a->pair, alone, check_only, m->role.role == TD_ROLE_ACTIVE,
	    mgmtd_node_name(m), mgmtd_peer_name(m), loop_now(m->loop), &out);
	perform(m, out);
}

void
apply_client_gone(struct mgmtd *m, const struct client *client)
{
	if (m->applying.client == client)
		m->applying.client = NULL;
}

/* ---- for the peer ---- */

static void
answer_peer(
    struct mgmtd *m, uint64_t id, uint32_t method, int32_t status, const char *text)
{
	int error = send_peer_call(m, id, true, status, method,
	    m->config != NULL ? m->config->generation : 0, text);

	if (error < 0)
		log_limited(LOG_LV_WARN, "config", 1, "answer to the peer: %s",
		    strerror(-error));
}

static void
serve(struct mgmtd *m, const struct td_msg_peer_call *msg, const struct peer_call *call)
{
	int error;

	if (msg->method == PAIR_HELLO) {
		learn_peer(m, call);
		answer_peer(m, msg->id, PAIR_HELLO, 0, "");
		return;
	}
	if (msg->method < PAIR_CHECK || msg->method > PAIR_TEXT) {
		answer_peer(m, msg->id, msg->method, -EOPNOTSUPP,
		    "this version cannot do that");
		return;
	}
	if (m->applying.pair.phase != PAIR_IDLE) {
		answer_peer(m, msg->id, msg->method, -EBUSY,
		    "another change is under way here");
		return;
	}
	m->serving = (struct serving){
		.peer_id = msg->id, .local_id = m->next_id++, .method = msg->method
	};
	error = mgmtd_request(m, TD_ROOM_TANDEMD, m->serving.local_id,
	    request_of[msg->method], call->generation,
	    call->text[0] != '\0' ? call->text : NULL);
	if (error < 0)
		answer_peer(m, msg->id, msg->method, error, strerror(-error));
}

void
apply_peer_call(struct mgmtd *m, const struct td_msg_peer_call *msg)
{
	struct peer_call call;

	if (msg->answer && msg->status == -EHOSTUNREACH) {
		if (msg->id == m->applying.peer_id)
			answered(m, PAIR_PEER, msg->status, call_error(-EHOSTUNREACH));
		return;
	}
	if (m->config == NULL || !peer_call_decode(msg->bytes, msg->len, &call)) {
		log_limited(
		    LOG_LV_WARN, "config", 1, "undecodable call of the peer dropped");
		return;
	}
	if (!msg->answer)
		serve(m, msg, &call);
	else if (msg->method == PAIR_HELLO)
		learn_peer(m, &call);
	else if (msg->id == m->applying.peer_id)
		answered(m, PAIR_PEER, msg->status, call.text);
	free(call.text);
}

bool
apply_room_reply(struct mgmtd *m, const struct td_msg_reply *reply)
{
	const char *text = reply->text != NULL ? reply->text : "";

	if (m->applying.local_id != 0 && reply->id == m->applying.local_id) {
		answered(m, PAIR_LOCAL, reply->status, text);
		return true;
	}
	if (m->serving.local_id != 0 && reply->id == m->serving.local_id) {
		m->serving.local_id = 0;
		answer_peer(m, m->serving.peer_id, m->serving.method, reply->status,
		    reply->status != 0 ? text : "");
		return true;
	}
	return false;
}

void
apply_init(struct mgmtd *m)
{
	m->applying.pair.deadline = TD_NEVER;
	loop_timer_init(m->loop, &m->applying.timer, on_apply_timer, m);
	loop_timer_init(m->loop, &m->hello_timer, on_hello_timer, m);
}

void
apply_fini(struct mgmtd *m)
{
	free(m->applying.text);
	m->applying.text = NULL;
}
