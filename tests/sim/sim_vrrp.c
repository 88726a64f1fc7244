/*
 * sim_vrrp.c - two nodes, their segments and their witness links, from one seed.
 *
 *   sim_vrrp [--seeds N] [--first S] [--verbose]
 *
 * The real election (vrrpd/core/node.c) runs on both nodes; everything else is
 * modelled: ports that are cut in one or both directions, loss, delay, carrier,
 * processes that stall, freeze anywhere between two actions, crash and come back,
 * planned hand-overs.
 *
 *        node 0 --port--+-- segment m (hosts) --+--port-- node 1
 *               \------------ witness w ---------------/
 *
 * What is checked is what no node can see alone:
 *   exclusive  never do both nodes hold the answer right (the fence's deadline, not the
 *              role) while a path has worked both ways for long enough to carry one
 *              message each way. Two Backups may decide at the same instant, before
 *              either can have heard of the other: that ends one message later.
 *              Nor can the peer know of a round that was lost on all paths, if the
 *              node was stopped before its next one;
 *   parted     never do both hold the answer right while one of them alone is cut off
 *              from everything, nor when it is back: not for a moment;
 *   single     after heal and quiet exactly one node is Active, and it is fit if the
 * other is not; terms      a node never uses a term twice, not even across a crash;
 *   fenced     a node that is not Active has the answer right closed.
 * A failure prints the seed and what happened last.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "vrrpd/core/node.h"

#define MEMBERS_MAX 3
#define WITNESSES_MAX 2
/* No hints in here: nobody probes real neighbours. */
#define MESSAGE_BYTES_MAX (WITNESS_PAYLOAD_BYTES_MIN + 2 * MEMBERS_MAX)
#define QUEUE_MAX 65536
#define INBOX_MAX 4096
#define LOG_LINES 64
#define DELAY_MAX_NS (2 * NS_PER_MS)
#define PROMOTE_MAX_NS (3 * NS_PER_MS)
#define PARTITIONS 4 /* per seed */
#define SEGMENT_FRAME_NS (20 * NS_PER_MS)

enum direction { TX, RX };

struct message {
	bool witness;
	uint8_t member, priority;
	int64_t interval_ns;
	size_t len;
	uint8_t bytes[MESSAGE_BYTES_MAX];
};

struct outcome {
	bool sent, ok;
	int64_t before;
};

enum event_kind { WAKE, DELIVER, READABLE, PROBE_END, BARRIER_END, STORE, SENT, FAULT };

struct event {
	int64_t at;
	uint64_t order;
	enum event_kind kind;
	uint8_t node, member;
	uint64_t life, timer;
	int64_t answer_ns;
	bool reached;
	struct outcome sent;
	struct message msg;
};

struct sim_node {
	struct node_config cfg;
	struct node core;
	bool running;
	uint64_t life;  /* counts restarts: events of an earlier one are void */
	uint64_t timer; /* counts armings: only the last one fires */
	bool armed;
	int64_t armed_for;
	int64_t busy_until;        /* frozen, stalled, or in the middle of something */
	int64_t freeze_in_actions; /* the next performed action takes this long */
	uint64_t stored_term, used_term;
	int64_t answer_ns; /* the fence: survives the process */
	int64_t active_at;
	int64_t reached_at; /* when the last words left that arrived */
	int64_t frame_at[MEMBERS_MAX], hears_since[MEMBERS_MAX]; /* -1: not */
	bool addresses, port_cut[MEMBERS_MAX][2], carrier[MEMBERS_MAX],
	    asked_switchover;
	bool witness_cut[WITNESSES_MAX]; /* outgoing */
	struct message inbox[INBOX_MAX];
	unsigned inbox_count;
};

struct sim {
	uint64_t random, order;
	int64_t now;
	bool verbose, failed;
	unsigned members, witnesses;
	unsigned loss_percent;
	struct sim_node node[2];
	struct event *queue;
	unsigned queue_count;
	bool deserted[MEMBERS_MAX]; /* no host on that segment: nobody talks or answers
				     */
	int64_t path_ok_since[MEMBERS_MAX + WITNESSES_MAX]; /* -1: not */
	int64_t running_since; /* both processes; -1: not */
	int64_t both_since;    /* both hold the right; -1: not */
	bool parted;           /* a whole pair was parted at one stroke, and healed */
	int64_t exchange_ns;   /* a path that worked this long has carried the news */
	char log[LOG_LINES][160];
	unsigned log_at;
	uint64_t takeovers;
};

static uint64_t
rnd(struct sim *s)
{
	/* splitmix64 */
	uint64_t z = s->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static int64_t
rnd_below(struct sim *s, int64_t n)
{
	return (int64_t)(rnd(s) % (uint64_t)n);
}

__attribute__((format(printf, 2, 3))) static void
note(struct sim *s, const char *format, ...)
{
	char *line = s->log[s->log_at++ % LOG_LINES];
	va_list ap;
	int n = snprintf(line, sizeof(s->log[0]), "%12.3f ms  ", (double)s->now / 1e6);

	va_start(ap, format);
	vsnprintf(line + n, sizeof(s->log[0]) - (size_t)n, format, ap);
	va_end(ap);
	if (s->verbose)
		puts(line);
}

static void
violated(struct sim *s, const char *what)
{
	note(s, "VIOLATED: %s", what);
	s->failed = true;
}

/* ---- the event queue: a binary heap by time, then order ---- */

static bool
before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
push(struct sim *s, struct event ev)
{
	unsigned i = s->queue_count++;

	td_assert(s->queue_count < QUEUE_MAX);
	ev.order = s->order++;
	while (i > 0 && before(&ev, &s->queue[(i - 1) / 2])) {
		s->queue[i] = s->queue[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->queue[i] = ev;
}

static struct event
pop(struct sim *s)
{
	struct event top = s->queue[0], last = s->queue[--s->queue_count];
	unsigned i = 0;

	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= s->queue_count)
			break;
		if (child + 1 < s->queue_count &&
		    before(&s->queue[child + 1], &s->queue[child]))
			child++;
		if (!before(&s->queue[child], &last))
			break;
		s->queue[i] = s->queue[child];
		i = child;
	}
	s->queue[i] = last;
	return top;
}

/* ---- the network ---- */

static bool
member_works(const struct sim *s, unsigned m, unsigned from, unsigned to)
{
	const struct sim_node *a = &s->node[from], *b = &s->node[to];

	return a->carrier[m] && b->carrier[m] && !a->port_cut[m][TX] &&
	       !b->port_cut[m][RX];
}

static bool
path_works(const struct sim *s, unsigned path)
{
	if (s->loss_percent != 0)
		return false;
	if (path >= s->members)
		return !s->node[0].witness_cut[path - s->members] &&
		       !s->node[1].witness_cut[path - s->members];
	return s->node[0].cfg.advertises[path] && member_works(s, path, 0, 1) &&
	       member_works(s, path, 1, 0);
}

static void
watch_paths(struct sim *s)
{
	for (unsigned p = 0; p < s->members + s->witnesses; p++) {
		if (!path_works(s, p))
			s->path_ok_since[p] = -1;
		else if (s->path_ok_since[p] < 0)
			s->path_ok_since[p] = s->now;
	}
	for (unsigned i = 0; i < 2; i++)
		for (unsigned m = 0; m < s->members; m++) {
			struct sim_node *sn = &s->node[i];

			if (!sn->carrier[m] || sn->port_cut[m][RX])
				sn->hears_since[m] = -1;
			else if (sn->hears_since[m] < 0)
				sn->hears_since[m] = s->now;
		}
	for (unsigned i = 0; i < 2; i++)
		if (!s->node[i].running || s->node[i].busy_until > s->now)
			s->running_since = -1;
		else if (s->running_since < 0)
			s->running_since = s->now;
}

static bool
some_path_for(const struct sim *s, int64_t duration_ns)
{
	for (unsigned p = 0; p < s->members + s->witnesses; p++)
		if (s->path_ok_since[p] >= 0 &&
		    s->now - s->path_ok_since[p] >= duration_ns)
			return true;
	return false;
}

static void
transmit(
    struct sim *s, unsigned from, int64_t at, const struct message *msg, bool works)
{
	struct event ev = { .kind = DELIVER, .node = (uint8_t)(1 - from), .msg = *msg };

	if (!works || rnd_below(s, 100) < s->loss_percent)
		return;
	ev.at = at + 10 * NS_PER_US + rnd_below(s, DELAY_MAX_NS - 10 * NS_PER_US);
	push(s, ev);
	if (at - s->now < s->node[from].cfg.interval_ns / 2) /* not after a freeze */
		s->node[from].reached_at = at;
}

/* ---- one node: performing what the election says ---- */

static void step(struct sim *s, unsigned i, const struct node_event *ev);

static void
wake_at(struct sim *s, unsigned i, int64_t at)
{
	s->node[i].armed = true;
	push(s, (struct event){ .at = at,
		    .kind = WAKE,
		    .node = (uint8_t)i,
		    .life = s->node[i].life,
		    .timer = ++s->node[i].timer });
}

static void
send_all(struct sim *s, unsigned i, const struct node_action *a, int64_t at,
    struct outcome *oc)
{
	struct sim_node *sn = &s->node[i];
	struct message msg = { .priority = a->priority,
		.interval_ns = sn->cfg.interval_ns };
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX];

	if (!oc->sent)
		oc->before = at;
	oc->sent = true;
	if (a->kind == NODE_DO_SEND_WITNESS) {
		msg.witness = true;
		msg.len = witness_payload_encode(&a->witness, bytes);
		td_assert(msg.len <= sizeof(msg.bytes));
		memcpy(msg.bytes, bytes, msg.len);
		for (unsigned w = 0; w < s->witnesses; w++)
			transmit(s, i, at, &msg, !sn->witness_cut[w]);
		oc->ok = true;
		return;
	}
	for (unsigned m = 0; m < s->members; m++) {
		if (!sn->cfg.advertises[m] || !sn->core.member[m].link_up)
			continue;
		msg.member = (uint8_t)m;
		transmit(s, i, at, &msg, member_works(s, m, i, 1 - i));
		oc->ok = true;
	}
}

/* A neighbour answers at once; its silence takes the whole time. */
static void
probe(struct sim *s, unsigned i, uint8_t m, int64_t at)
{
	const struct sim_node *sn = &s->node[i];
	bool reached = !s->deserted[m] && sn->carrier[m] && !sn->port_cut[m][TX] &&
		       !sn->port_cut[m][RX];
	bool quick = reached || s->deserted[m];

	push(s, (struct event){ .at = at + (quick ? rnd_below(s, DELAY_MAX_NS)
						  : node_probe_ns(&sn->cfg)),
		    .kind = PROBE_END,
		    .node = (uint8_t)i,
		    .member = m,
		    .reached = reached,
		    .life = sn->life });
}

static void
perform(struct sim *s, unsigned i, const struct node_action *a, struct outcome *oc)
{
	struct sim_node *sn = &s->node[i];
	int64_t at = sn->busy_until;

	if (sn->freeze_in_actions > 0 && rnd_below(s, 3) == 0) {
		note(s, "node %u freezes for %.1f ms before action %u", i,
		    (double)sn->freeze_in_actions / 1e6, (unsigned)a->kind);
		at = sn->busy_until += sn->freeze_in_actions;
		sn->freeze_in_actions = 0;
	}
	switch (a->kind) {
	case NODE_DO_PREPARE_TERM:
	case NODE_DO_ANNOUNCE:
	case NODE_DO_PROBE_CANCEL:
	case NODE_DO_REPLY:
	case NODE_DO_ROLE:
		break;
	case NODE_DO_PERSIST_TERM:
		if (a->term <= sn->used_term)
			violated(s, "terms: a term is used twice");
		sn->stored_term = sn->used_term = a->term;
		break;
	case NODE_DO_FENCE:
		/* A store made late stores the date it was decided with. */
		if (at <= s->now)
			sn->answer_ns = a->answer.ns;
		else
			push(s, (struct event){ .at = at,
				    .kind = STORE,
				    .node = (uint8_t)i,
				    .life = sn->life,
				    .answer_ns = a->answer.ns });
		break;
	case NODE_DO_SEND_ADVERTS:
	case NODE_DO_SEND_WITNESS:
		send_all(s, i, a, at, oc);
		break;
	case NODE_DO_PROMOTE:
		sn->addresses = true;
		sn->busy_until += rnd_below(s, PROMOTE_MAX_NS);
		s->takeovers++;
		break;
	case NODE_DO_DEMOTE:
		sn->addresses = false;
		break;
	case NODE_DO_BARRIER:
		push(s, (struct event){ .at = at + rnd_below(s, 30 * NS_PER_MS),
			    .kind = BARRIER_END,
			    .node = (uint8_t)i,
			    .life = sn->life,
			    .member = rnd_below(s, 8) != 0 });
		break;
	case NODE_DO_PROBE:
		probe(s, i, a->member, at);
		break;
	case NODE_DO_STOPPED:
		note(s, "node %u stopped", i);
		sn->running = false;
		sn->answer_ns = 0;
		sn->life++;
		break;
	}
}

/* The earlier of two Actives renewed its right by a round that was lost on every path,
 * and was stopped before the next one: the peer counts from the round before. */
static bool
last_words_lost(const struct sim *s)
{
	const struct sim_node *sn =
	    &s->node[s->node[1].active_at < s->node[0].active_at];

	return (!sn->running || sn->busy_until > s->now) &&
	       sn->core.round_at.ns - sn->reached_at > sn->cfg.interval_ns / 2;
}

static void
check_now(struct sim *s)
{
	bool both = s->node[0].answer_ns > s->now && s->node[1].answer_ns > s->now;

	watch_paths(s);
	for (unsigned i = 0; i < 2; i++) {
		const struct sim_node *sn = &s->node[i];

		if (sn->running && sn->busy_until <= s->now &&
		    sn->core.role != TD_ROLE_ACTIVE && sn->answer_ns > s->now)
			violated(s, "fenced: a Backup holds the answer right");
		if (sn->running && sn->core.role == TD_ROLE_ACTIVE &&
		    sn->core.promoted && sn->busy_until <= s->now && !sn->addresses)
			violated(s, "an Active node has no addresses");
	}
	if (!both) {
		s->both_since = -1;
		return;
	}
	if (s->parted)
		violated(s, "parted: two answer rights");
	if (s->both_since < 0) {
		int64_t apart_ns = s->node[0].active_at - s->node[1].active_at;

		s->both_since = s->now;
		note(s, "both nodes hold the answer right");
		if (some_path_for(s, s->exchange_ns) && !last_words_lost(s) &&
		    (apart_ns > DELAY_MAX_NS || apart_ns < -DELAY_MAX_NS))
			violated(s,
			    "exclusive: a second answer right although a path worked");
	} else if (s->now - s->both_since > 2 * DELAY_MAX_NS + PROMOTE_MAX_NS &&
		   some_path_for(s, s->exchange_ns) && s->running_since >= 0 &&
		   s->now - s->running_since >= s->exchange_ns) {
		violated(s, "exclusive: two answer rights outlive a heal");
	}
}

static void
step(struct sim *s, unsigned i, const struct node_event *ev)
{
	struct sim_node *sn = &s->node[i];
	struct outcome oc = { 0 };
	struct node_actions out;
	enum td_role role;

	if (sn->busy_until < s->now)
		sn->busy_until = s->now;
	role = sn->core.role;
	node_step(&sn->cfg, &sn->core, ev, (struct td_instant){ s->now }, &out);
	if (sn->core.role != role && sn->core.role == TD_ROLE_ACTIVE)
		sn->active_at = s->now;
	if (sn->core.role != role)
		note(s, "node %u %d -> %d reason=%s term=%" PRIu64 " priority=%u", i,
		    (int)role, (int)sn->core.role, node_reason_name(sn->core.reason),
		    sn->core.term, sn->core.priority);
	for (unsigned k = 0; k < out.count && sn->running; k++)
		perform(s, i, &out.list[k], &oc);
	if (oc.sent && sn->running)
		push(s, (struct event){ .at = sn->busy_until,
			    .kind = SENT,
			    .node = (uint8_t)i,
			    .life = sn->life,
			    .sent = oc });
	check_now(s);
}

static void
deliver(struct sim *s, unsigned i, const struct message *msg)
{
	struct node_event ev = { .kind = NODE_EV_ADVERT, .member = msg->member };
	struct witness_payload payload;

	if (msg->witness) {
		td_assert(witness_payload_decode(msg->bytes, msg->len, &payload) ==
			  WITNESS_OK);
		ev =
		    (struct node_event){ .kind = NODE_EV_WITNESS, .witness = &payload };
	} else {
		s->node[i].frame_at[msg->member] = s->now;
		ev.advert.priority = msg->priority;
		ev.advert.interval_ns = msg->interval_ns;
	}
	step(s, i, &ev);
}

/* All of it in one go, in the order of arrival, like a loop over recv. */
static void
drain(struct sim *s, unsigned i)
{
	struct sim_node *sn = &s->node[i];

	for (unsigned k = 0; k < sn->inbox_count && sn->running; k++)
		deliver(s, i, &sn->inbox[k]);
	sn->inbox_count = 0;
}

static void
tell_carrier(struct sim *s, unsigned i, unsigned m)
{
	struct sim_node *sn = &s->node[i];
	struct node_event ev = { .kind = NODE_EV_LINK, .member = (uint8_t)m };

	ev.link_up = sn->carrier[m];
	if (sn->core.member[m].link_up != ev.link_up)
		step(s, i, &ev);
}

/* The process runs: what lies in its sockets first, then the timer. */
static void
wake(struct sim *s, unsigned i)
{
	struct sim_node *sn = &s->node[i];
	struct node_event ev = { .kind = NODE_EV_TICK };

	drain(s, i);
	for (unsigned m = 0; m < s->members && sn->running; m++)
		tell_carrier(s, i, m);
	for (unsigned m = 0; m < s->members && sn->running; m++) {
		struct node_event frame = { .kind = NODE_EV_FRAME,
			.member = (uint8_t)m };

		int64_t last = s->now - s->now % SEGMENT_FRAME_NS;

		if (sn->hears_since[m] >= 0 && last >= sn->hears_since[m] &&
		    !s->deserted[m])
			sn->frame_at[m] = last;
		frame.frame_at.ns = sn->frame_at[m];
		step(s, i, &frame);
	}
	if (sn->running && sn->busy_until <= s->now)
		step(s, i, &ev);
}

static void
start_node(struct sim *s, unsigned i)
{
	struct sim_node *sn = &s->node[i];
	struct node_event ev = { .kind = NODE_EV_STARTUP };

	note(s, "node %u starts", i);
	sn->running = true;
	sn->life++;
	sn->inbox_count = 0;
	sn->addresses = false;
	sn->answer_ns = 0; /* tandemd zeroes the lease of a dead vrrpd */
	sn->busy_until = s->now;
	node_init(&sn->core, sn->stored_term);
	step(s, i, &ev);
	for (unsigned m = 0; m < s->members; m++) {
		ev = (struct node_event){ .kind = NODE_EV_LINK, .member = (uint8_t)m };
		ev.link_up = sn->carrier[m];
		step(s, i, &ev);
	}
	ev = (struct node_event){ .kind = NODE_EV_SYNC_STATE };
	ev.sync.have_state = ev.sync.peer_has_state = rnd_below(s, 4) != 0;
	step(s, i, &ev);
	wake_at(s, i, s->now);
}

/* ---- faults ---- */

static void
set_carrier(struct sim *s, unsigned i, unsigned m, bool up)
{
	struct sim_node *sn = &s->node[i];

	sn->carrier[m] = up;
	note(s, "node %u member %u carrier %d", i, m, up);
	if (sn->running && sn->busy_until <= s->now)
		tell_carrier(s, i, m);
}

static void
heal(struct sim *s)
{
	note(s, "heal");
	s->loss_percent = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct sim_node *sn = &s->node[i];

		memset(sn->port_cut, 0, sizeof(sn->port_cut));
		memset(sn->witness_cut, 0, sizeof(sn->witness_cut));
		for (unsigned m = 0; m < s->members; m++)
			if (!sn->carrier[m])
				set_carrier(s, i, m, true);
		if (!sn->running)
			start_node(s, i);
	}
}

static void
cut_node(struct sim *s, unsigned i)
{
	struct sim_node *sn = &s->node[i];

	note(s, "node %u loses all ports", i);
	memset(sn->port_cut, 1, sizeof(sn->port_cut));
	memset(s->node[0].witness_cut, 1, sizeof(sn->witness_cut));
	memset(s->node[1].witness_cut, 1, sizeof(sn->witness_cut));
}

static void
crash(struct sim *s, unsigned i)
{
	struct sim_node *sn = &s->node[i];

	if (!sn->running)
		return;
	note(s, "node %u crashes", i);
	sn->running = false;
	sn->life++;
}

static void
freeze(struct sim *s, unsigned i, int64_t duration_ns)
{
	struct sim_node *sn = &s->node[i];

	note(s, "node %u frozen for %.1f ms", i, (double)duration_ns / 1e6);
	if (sn->busy_until < s->now)
		sn->busy_until = s->now;
	sn->busy_until += duration_ns;
	wake_at(s, i, sn->busy_until);
}

static void
fault(struct sim *s)
{
	unsigned i = (unsigned)rnd_below(s, 2), m = (unsigned)rnd_below(s, s->members);
	struct sim_node *sn = &s->node[i];
	struct node_event ev = { .kind = NODE_EV_SWITCHOVER };
	int64_t interval_ns = sn->cfg.interval_ns;
	unsigned w = s->witnesses > 0 ? (unsigned)rnd_below(s, s->witnesses) : 0;

	switch (rnd_below(s, 16)) {
	case 0:
		note(s, "node %u member %u cut tx", i, m);
		sn->port_cut[m][TX] = true;
		break;
	case 1:
		note(s, "node %u member %u cut rx", i, m);
		sn->port_cut[m][RX] = true;
		break;
	case 2:
		note(s, "node %u member %u cut", i, m);
		sn->port_cut[m][TX] = sn->port_cut[m][RX] = true;
		break;
	case 3:
		set_carrier(s, i, m, !sn->carrier[m]);
		break;
	case 4:
		note(s, "witness %u from node %u cut", w, i);
		sn->witness_cut[w] = true;
		break;
	case 5:
		note(s, "witness %u cut", w);
		s->node[0].witness_cut[w] = s->node[1].witness_cut[w] = true;
		break;
	case 6:
		cut_node(s, i);
		break;
	case 7:
	case 8:
		heal(s);
		break;
	case 9:
		s->loss_percent = (unsigned)rnd_below(s, 60);
		note(s, "loss %u %%", s->loss_percent);
		break;
	case 10:
		crash(s, i);
		break;
	case 11:
		if (!sn->running)
			start_node(s, i);
		break;
	case 12:
		freeze(s, i, rnd_below(s, 30 * interval_ns));
		break;
	case 13:
		sn->freeze_in_actions = rnd_below(s, 30 * interval_ns);
		break;
	case 14:
		if (sn->running && sn->busy_until <= s->now)
			step(s, i, &ev);
		break;
	case 15:
		ev.kind = NODE_EV_SHUTDOWN;
		ev.now = rnd_below(s, 2) != 0;
		if (sn->running && sn->busy_until <= s->now)
			step(s, i, &ev);
		break;
	}
	watch_paths(s);
}

/* ---- running ---- */

static void
handle(struct sim *s, const struct event *ev)
{
	struct sim_node *sn = &s->node[ev->node];
	struct node_event ne;
	bool current = sn->running && ev->life == sn->life;
	bool busy = sn->busy_until > s->now;

	switch (ev->kind) {
	case WAKE:
		if (!current || ev->timer != sn->timer)
			break;
		sn->armed = false;
		if (busy)
			wake_at(s, ev->node, sn->busy_until);
		else
			wake(s, ev->node);
		break;
	case DELIVER:
		if (!sn->running)
			break;
		if (sn->inbox_count < INBOX_MAX)
			sn->inbox[sn->inbox_count++] = ev->msg;
		if (!busy)
			drain(s, ev->node);
		else if (sn->inbox_count == 1)
			push(s, (struct event){ .at = sn->busy_until,
				    .kind = READABLE,
				    .node = ev->node,
				    .life = sn->life });
		break;
	case READABLE:
		if (!current)
			break;
		if (!busy) {
			drain(s, ev->node);
			break;
		}
		push(s, (struct event){ .at = sn->busy_until,
			    .kind = READABLE,
			    .node = ev->node,
			    .life = sn->life });
		break;
	case PROBE_END:
	case BARRIER_END:
		if (!current)
			break;
		if (busy) {
			struct event later = *ev;

			later.at = sn->busy_until;
			push(s, later);
			break;
		}
		ne = (struct node_event){ .kind = NODE_EV_BARRIER };
		ne.barrier_ok = ev->member != 0;
		if (ev->kind == PROBE_END) {
			ne = (struct node_event){ .kind = NODE_EV_PROBED,
				.member = ev->member };
			ne.nobody = s->deserted[ev->member];
			ne.reached = ev->reached;
		}
		step(s, ev->node, &ne);
		break;
	case STORE:
		if (current)
			sn->answer_ns = ev->answer_ns;
		break;
	case SENT:
		if (!current)
			break;
		ne = (struct node_event){ .kind = NODE_EV_SENT,
			.sent = { .before = { ev->sent.before }, .ok = ev->sent.ok } };
		step(s, ev->node, &ne);
		break;
	case FAULT:
		fault(s);
		break;
	}
}

/* As the loop does: one timer, moved when the deadline moves; it runs a little late. */
static void
arm(struct sim *s, unsigned i)
{
	struct sim_node *sn = &s->node[i];
	int64_t deadline = node_deadline(&sn->core).ns, late_ns;

	if (!sn->running || deadline == INT64_MAX ||
	    (sn->armed && sn->armed_for == deadline))
		return;
	late_ns =
	    rnd_below(s, rnd_below(s, 200) == 0 ? 5 * NS_PER_MS : 200 * NS_PER_US);
	wake_at(s, i, (deadline > s->now ? deadline : s->now) + late_ns);
	sn->armed_for = deadline;
}

static void
run_until(struct sim *s, int64_t end)
{
	while (s->queue_count > 0 && s->queue[0].at <= end && !s->failed) {
		struct event ev = pop(s);

		s->now = ev.at;
		handle(s, &ev);
		check_now(s);
		for (unsigned i = 0; i < 2; i++)
			arm(s, i);
	}
	s->now = end;
}

/* Time to settle, and then nothing moves any more. */
static void
run_quiet(struct sim *s, int64_t duration_ns)
{
	uint64_t takeovers;

	run_until(s, s->now + duration_ns / 2);
	takeovers = s->takeovers;
	run_until(s, s->now + duration_ns / 2);
	if (!s->failed && s->takeovers != takeovers)
		violated(s, "single: the role moves although nothing happens");
}

static void
check_single(struct sim *s, int fit)
{
	unsigned actives = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct sim_node *sn = &s->node[i];
		bool active = sn->running && sn->core.role == TD_ROLE_ACTIVE;

		actives += active;
		if (active && sn->answer_ns <= s->now)
			violated(s, "single: the Active node is fenced");
		if (active && fit >= 0 && (unsigned)fit != i)
			violated(s, "single: the less fit node is Active");
	}
	if (actives != 1)
		violated(s, "single: not exactly one Active after quiet");
}

static bool
all_deserted(const struct sim *s)
{
	for (unsigned m = 0; m < s->members; m++)
		if (!s->deserted[m])
			return false;
	return true;
}

/* The Active loses every cable at one stroke and gets them back at one stroke. Where
 * there is nobody but the two routers nobody is answered twice. */
static void
part(struct sim *s, int64_t interval_ns)
{
	unsigned active = s->node[1].core.role == TD_ROLE_ACTIVE;

	run_until(s, s->now + rnd_below(s, 2 * interval_ns));
	s->parted = !all_deserted(s);
	cut_node(s, rnd_below(s, 2) == 0 ? active : 1 - active);
	run_until(s, s->now + rnd_below(s, 20 * interval_ns));
	heal(s);
	run_until(s, s->now + 20 * interval_ns);
	s->parted = false;
}

static void
init(struct sim *s, uint64_t seed)
{
	static const int64_t intervals[] = { 10 * NS_PER_MS, 20 * NS_PER_MS,
		100 * NS_PER_MS, 1 * NS_PER_S };
	int64_t interval_ns;
	bool preempt;

	s->random = seed;
	s->running_since = s->both_since = -1;
	s->members = 1 + (unsigned)rnd_below(s, MEMBERS_MAX);
	for (unsigned m = 0; m < MEMBERS_MAX; m++)
		s->deserted[m] = rnd_below(s, 4) == 0;
	s->witnesses = 1 + (unsigned)rnd_below(s, WITNESSES_MAX);
	interval_ns = intervals[rnd_below(s, 4)];
	preempt = rnd_below(s, 2) != 0;
	/* One turn, its lateness, the way there, and the stall of a takeover's work. */
	s->exchange_ns = interval_ns + 5 * NS_PER_MS + 2 * DELAY_MAX_NS + 4 * NS_PER_MS;
	for (unsigned p = 0; p < MEMBERS_MAX + WITNESSES_MAX; p++)
		s->path_ok_since[p] = -1;
	for (unsigned i = 0; i < 2; i++) {
		struct node_config *cfg = &s->node[i].cfg;

		cfg->index = (uint8_t)i;
		cfg->priority = (uint8_t)(1 + rnd_below(s, 254));
		cfg->interval_ns = interval_ns;
		cfg->preempt = preempt;
		cfg->preempt_delay_ns = rnd_below(s, 3) * NS_PER_S;
		cfg->member_count = (uint8_t)s->members;
		for (unsigned m = 0; m < s->members; m++) {
			s->node[i].carrier[m] = true;
			cfg->advertises[m] =
			    m != 2; /* the third one is adverts: none */
		}
	}
}

static bool
run_seed(uint64_t seed, bool verbose, uint64_t *takeovers)
{
	struct sim *s = calloc(1, sizeof(*s));
	int64_t interval_ns, quiet_ns;
	unsigned faults, victim, m;
	bool failed;

	td_assert(s != NULL);
	s->queue = calloc(QUEUE_MAX, sizeof(*s->queue));
	td_assert(s->queue != NULL);
	s->verbose = verbose;
	init(s, seed);
	interval_ns = s->node[0].cfg.interval_ns;
	quiet_ns = 60 * interval_ns + 8 * NS_PER_S;
	start_node(s, 0);
	run_until(s, rnd_below(s, 10 * interval_ns));
	start_node(s, 1);
	run_until(s, s->now + 20 * interval_ns);
	faults = (unsigned)rnd_below(s, 40);
	for (unsigned f = 0; f < faults && !s->failed; f++) {
		push(s, (struct event){ .at = s->now, .kind = FAULT });
		run_until(s, s->now + rnd_below(s, 20 * interval_ns));
	}
	if (!s->failed) {
		heal(s);
		run_until(s, s->now + NODE_BARRIER_NS + 2 * NODE_DRAIN_NS);
		heal(s); /* a node that was just stopping comes back as well */
		run_quiet(s, quiet_ns);
	}
	if (!s->failed)
		check_single(s, -1);
	/* One silent cut of one port, carrier up: the other node must end up Active, or
	 * stay it, and with a Backup's port cut nothing may move. */
	if (!s->failed) {
		victim = (unsigned)rnd_below(s, 2);
		m = (unsigned)rnd_below(s, s->members);
		note(s, "node %u member %u silently cut, alone", victim, m);
		s->node[victim].port_cut[m][TX] = true;
		s->node[victim].port_cut[m][RX] = rnd_below(s, 2) != 0 || m == 2;
		run_quiet(s, quiet_ns);
		if (!s->failed)
			check_single(s, s->deserted[m] ? -1 : (int)(1 - victim));
	}
	if (!s->failed) {
		heal(s);
		run_until(s, s->now + quiet_ns);
	}
	for (unsigned k = 0; k < PARTITIONS && !s->failed; k++) {
		part(s, interval_ns);
		run_until(s, s->now + quiet_ns);
		if (!s->failed)
			check_single(s, -1);
	}
	failed = s->failed;
	if (failed) {
		printf("seed %" PRIu64 " failed; the last events:\n", seed);
		for (unsigned k = 0; k < LOG_LINES; k++)
			if (s->log[(s->log_at + k) % LOG_LINES][0] != '\0')
				puts(s->log[(s->log_at + k) % LOG_LINES]);
	}
	*takeovers += s->takeovers;
	free(s->queue);
	free(s);
	return !failed;
}

int
main(int argc, char **argv)
{
	uint64_t first = 1, seeds = 1000, takeovers = 0, failures = 0;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
			seeds = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc) {
			first = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--verbose") == 0) {
			verbose = true;
		} else {
			fprintf(stderr,
			    "usage: %s [--seeds N] [--first S] [--verbose]\n", argv[0]);
			return 2;
		}
	}
	for (uint64_t seed = first; seed < first + seeds && failures < 3; seed++)
		failures += !run_seed(seed, verbose, &takeovers);
	printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " takeovers, %" PRIu64
	       " failures\n",
	    seeds, first, takeovers, failures);
	return failures == 0 ? 0 : 1;
}
