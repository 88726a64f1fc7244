/*
 * Two sync sessions with kernels of their own, over a link that delays, breaks, loses
 * what was under way and mixes remains of an old connection into a new one; routers
 * that crash, freeze, swap roles and are both Active; a slow peer and a kernel that
 * refuses flows.
 *
 * The world knows which flows really live: it is what sends packets. The Active
 * router's kernel sees them and makes events. What no router can see alone is checked
 * here:
 *
 *   quiet      after peace both shadows and both kernels hold the same flows, and
 * exactly those that live acked      a state that the peer acknowledged before a router
 * died is in the other's kernel when that one takes over stale      while a higher term
 * is Active, nothing that a router of a lower term says removes or changes a flow in
 * the Active router's kernel bounded    neither shadow nor ring grows beyond its limit
 *
 *   sim_sync [--seeds N] [--seed S]     a failing seed is printed and replays exactly
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "syncd/core/sync_session.h"
#include "syncd/core/sync_wire.h"

#define FLOWS 160
#define QUEUE_MAX 4096
#define FLOWS_MAX 256
#define STEPS 1500
#define STEP_NS (5 * NS_PER_MS)
#define QUIET_STEPS 3000

struct packet {
	int64_t arrives_ns;
	size_t len;
	uint8_t *bytes; /* owned */
};

struct queue {
	struct packet packet[QUEUE_MAX];
	unsigned head, count;
};

/* What one kernel has of flow i. */
struct kernel_flow {
	bool here;
	uint32_t mark; /* the state that matters in this world: counts up */
	int64_t expires_ns;
};

struct router {
	unsigned index;
	struct sync_session session;
	struct shadow shadow;
	struct kernel_flow kernel[FLOWS];
	struct queue to_peer;
	bool process; /* the daemon runs */
	bool node;    /* the machine runs */
	bool frozen;
	enum td_role role;
	uint64_t term, epoch_stored, boots;
	int64_t slow_until_ns, refuse_until_ns;
	int64_t audit_at_ns;
	struct {
		uint32_t index;
		int status;
	} result[FLOWS_MAX * 8];
	unsigned result_count;
	struct sync_decoder decoder;
	uint64_t terms_seen;
};

static struct world {
	uint64_t seed, random;
	int64_t now_ns;
	bool connected;
	int64_t flap_ns; /* the connection just made ends again; 0 = it does not */
	struct router r[2];
	bool lives[FLOWS];
	uint32_t mark[FLOWS];
	/* What the Active router's peer acknowledged, as the Active router saw it. */
	uint64_t highest_term;
	unsigned long events, failovers, cuts, packets;
	bool trace;
} w;

static uint64_t
random_u64(void)
{
	/* xorshift64*: any generator will do, as long as it is ours. */
	w.random ^= w.random >> 12;
	w.random ^= w.random << 25;
	w.random ^= w.random >> 27;
	return w.random * UINT64_C(2685821657736338717);
}

static unsigned
below(unsigned n)
{
	return (unsigned)(random_u64() >> 33) % n;
}

static struct td_instant
now(void)
{
	return (struct td_instant){ w.now_ns };
}

static void
fail(const char *what, unsigned flow)
{
	printf("sim_sync: FAILED seed=%llu at %.3f s: %s (flow %u, lives=%d mark=%u)\n",
	    (unsigned long long)w.seed, (double)w.now_ns / 1e9, what, flow,
	    flow < FLOWS ? w.lives[flow] : -1, flow < FLOWS ? w.mark[flow] : 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct router *r = &w.r[i];
		struct sync_view v;

		sync_session_view(&r->session, now(), &v);
		printf("  r%u process=%d node=%d frozen=%d role=%d term=%llu link=%d "
		       "flows=%llu pending=%llu reason=%s\n",
		    i, r->process, r->node, r->frozen, r->role,
		    (unsigned long long)r->term, r->session.link,
		    (unsigned long long)v.flows, (unsigned long long)v.pending,
		    v.reason);
		if (flow < FLOWS)
			printf("     kernel here=%d mark=%u\n", r->kernel[flow].here,
			    r->kernel[flow].mark);
	}
	exit(1);
}

/* ---- flows ---- */

static struct flow_key
key_of(unsigned i)
{
	struct flow_key key;

	memset(&key, 0, sizeof(key));
	key.family = i % 5 == 4 ? TD_AF_INET6 : TD_AF_INET;
	key.protocol = i % 3 == 0 ? FLOW_UDP : FLOW_TCP;
	key.orig.src[0] = 10;
	key.orig.dst[0] = 192;
	key.orig.src_port = (uint16_t)(1000 + i);
	key.orig.dst_port = 80;
	return key;
}

static unsigned
number_of(const struct flow_key *key)
{
	return key->orig.src_port - 1000U;
}

static struct flow_record
record_of(unsigned i, uint32_t mark)
{
	struct flow_record flow;

	memset(&flow, 0, sizeof(flow));
	flow.key = key_of(i);
	flow.reply = flow_tuple_invert(&flow.key);
	flow.reply.dst[0] = 203; /* source NAT */
	flow.present = FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_MARK;
	flow.status = FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_SRC_NAT;
	flow.mark = mark;
	flow.timeout_s = 120;
	if (flow.key.protocol == FLOW_TCP) {
		flow.present |= FLOW_HAS_TCP;
		flow.tcp_state = FLOW_TCP_ESTABLISHED;
		flow.timeout_s = 3600;
	}
	return flow;
}

/* ---- the sink ---- */

static void
sink_send(void *context, const struct sync_msg *msg)
{
	struct router *r = context;
	struct queue *q = &r->to_peer;
	static uint8_t buf[SYNC_MESSAGE_MAX];
	struct packet *p;
	int64_t after = w.now_ns;

	if (!w.connected || !w.r[1 - r->index].node)
		return;
	if (q->count == QUEUE_MAX)
		fail("more messages under way than any window allows", FLOWS);
	p = &q->packet[(q->head + q->count) % QUEUE_MAX];
	if (q->count > 0)
		after = q->packet[(q->head + q->count - 1) % QUEUE_MAX].arrives_ns;
	p->len = sync_msg_encode(msg, buf);
	p->bytes = malloc(p->len);
	memcpy(p->bytes, buf, p->len);
	p->arrives_ns = w.now_ns + (int64_t)below(8) * NS_PER_MS;
	if (p->arrives_ns < after)
		p->arrives_ns = after;
	q->count++;
	w.packets++;
}

static bool
sink_persist(void *context, uint64_t epoch)
{
	struct router *r = context;

	if (epoch <= r->epoch_stored)
		fail("an epoch was used twice", FLOWS);
	r->epoch_stored = epoch;
	return true;
}

static void
result(struct router *r, uint32_t index, int status)
{
	if (r->result_count == sizeof(r->result) / sizeof(r->result[0]))
		fail("more kernel operations than fit a batch", FLOWS);
	r->result[r->result_count].index = index;
	r->result[r->result_count++].status = status;
}

static void
stale_check(const struct router *r, unsigned i, const char *what)
{
	/* The Active router of the highest term forwards this flow's packets. Until its
	 * daemon is told of the role, it cannot know better. */
	if (r->role == TD_ROLE_ACTIVE && r->term == w.highest_term &&
	    r->session.self_claim.term == r->term && r->kernel[i].here && w.lives[i])
		fail(what, i);
}

static void
sink_upsert(void *context, uint32_t index, const struct flow_record *flow,
    uint32_t timeout_s, bool present)
{
	struct router *r = context;
	unsigned i = number_of(&flow->key);
	struct kernel_flow *k = &r->kernel[i];

	(void)present;
	if (w.now_ns < r->refuse_until_ns && below(3) == 0) {
		result(r, index, -ENOMEM);
		return;
	}
	if (k->here && k->mark > flow->mark)
		stale_check(r, i, "a stale update changed a flow of the Active router");
	k->here = true;
	k->mark = flow->mark;
	k->expires_ns = w.now_ns + timeout_s * NS_PER_S;
	result(r, index, 0);
}

static void
sink_delete(void *context, const struct flow_key *key)
{
	struct router *r = context;
	unsigned i = number_of(key);

	stale_check(r, i, "a stale deletion removed a flow of the Active router");
	r->kernel[i].here = false;
}

static void
sink_flush(void *context)
{
	struct router *r = context;

	for (unsigned i = 0; i < r->result_count; i++)
		sync_session_applied(
		    &r->session, r->result[i].index, r->result[i].status);
	r->result_count = 0;
}

static void
sink_acked(void *context, int64_t latency_ns, uint32_t records)
{
	(void)context;
	(void)records;
	if (latency_ns < 0)
		fail("an acknowledgement from the future", FLOWS);
}

static void
sink_barrier(void *context, uint64_t id, bool ok)
{
	(void)context;
	(void)id;
	(void)ok;
}

static void
sink_call(void *context, const struct sync_call *call)
{
	(void)context;
	(void)call;
}

/* ---- routers ---- */

static void
audit(struct router *r)
{
	sync_session_audit_begin(&r->session);
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow_record flow;

		if (!r->kernel[i].here)
			continue;
		flow = record_of(i, r->kernel[i].mark);
		flow.timeout_s =
		    (uint32_t)((r->kernel[i].expires_ns - w.now_ns) / NS_PER_S);
		sync_session_local(&r->session, SYNC_LOCAL_DUMPED, &flow, now());
	}
	sync_session_audit_end(&r->session);
	r->audit_at_ns = w.now_ns + 2 * NS_PER_S;
}

/* As the daemon does it: what passed before it knew is read from the kernel. */
static void
role_tell(struct router *r)
{
	bool became_active =
	    r->role == TD_ROLE_ACTIVE && r->session.self_claim.role != TD_ROLE_ACTIVE;

	if (!r->process)
		return;
	sync_session_role(&r->session, r->role, r->term, TD_ROLE_INITIALIZE, 0, now());
	if (became_active)
		audit(r);
}

static void
process_start(struct router *r)
{
	struct sync_config cfg;
	struct sync_sink sink = { r, sink_send, sink_persist, sink_upsert, sink_delete,
		sink_flush, sink_acked, sink_barrier, sink_call };
	struct siphash_key key = { w.seed, r->index };

	sync_config_defaults(&cfg);
	strcpy(cfg.cluster, "sim");
	cfg.node_index = r->index;
	cfg.boot = random_u64() | 1;
	cfg.stored_epoch = r->epoch_stored;
	cfg.batch_bytes = 512;
	cfg.window_bytes = 4096;
	cfg.snapshot_window_bytes = 2048;
	cfg.lease_s = 60;
	td_assert(shadow_init(&r->shadow, FLOWS_MAX, key));
	td_assert(sync_session_init(&r->session, &cfg, &r->shadow, &sink, now()));
	r->process = true;
	r->result_count = 0;
	role_tell(r);
	sync_session_transport(&r->session, w.connected, now());
	audit(r);
	sync_session_ready(&r->session, now());
}

static void
queue_drop(struct queue *q)
{
	while (q->count > 0) {
		free(q->packet[q->head].bytes);
		q->head = (q->head + 1) % QUEUE_MAX;
		q->count--;
	}
}

static void
transport(bool up)
{
	if (w.connected == up)
		return;
	w.connected = up;
	w.cuts += !up;
	/* What was under way is lost, or arrives much later: remains of the old
	 * connection are read before or among what the new one brings. */
	for (unsigned i = 0; i < 2; i++) {
		if (!up && below(2) == 0)
			queue_drop(&w.r[i].to_peer);
		if (w.r[i].process && !w.r[i].frozen)
			sync_session_transport(&w.r[i].session, up, now());
	}
}

static void
process_stop(struct router *r)
{
	if (!r->process)
		return;
	r->process = false;
	sync_session_fini(&r->session);
	shadow_fini(&r->shadow);
	queue_drop(&r->to_peer);
	queue_drop(&w.r[1 - r->index].to_peer);
	if (w.r[1 - r->index].process) {
		sync_session_transport(&w.r[1 - r->index].session, false, now());
		if (w.connected)
			sync_session_transport(&w.r[1 - r->index].session, true, now());
	}
}

static void
local(struct router *r, enum sync_local what, unsigned i)
{
	struct flow_record flow = record_of(i, r->kernel[i].mark);

	if (what == SYNC_LOCAL_DESTROYED)
		flow.present = 0;
	if (r->process && !r->frozen)
		sync_session_local(&r->session, what, &flow, now());
	w.events++;
}

static struct router *
active(void)
{
	struct router *best = NULL;

	for (unsigned i = 0; i < 2; i++) {
		struct router *r = &w.r[i];

		if (r->node && !r->frozen && r->role == TD_ROLE_ACTIVE &&
		    (best == NULL || r->term > best->term))
			best = r;
	}
	return best;
}

/* What a router that dies now may lose: flows not acknowledged. Everything else must be
 * in the other's kernel, in the acknowledged state or a later one. */
static void
acked_check(const struct router *dead, const struct router *heir)
{
	const struct sync_session *s = &dead->session;
	struct sync_view v;

	if (!dead->process || !heir->process || s->link != SYNC_LINK_UP ||
	    dead->role != TD_ROLE_ACTIVE || dead->term != w.highest_term ||
	    s->authority.side != SYNC_SELF || s->ring.count > 0)
		return;
	sync_session_view(s, now(), &v);
	if (!v.peer_has_state || w.now_ns < heir->refuse_until_ns)
		return;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow_key key = key_of(i);
		uint32_t index = shadow_find(&dead->shadow, &key);
		const struct shadow_entry *e;

		if (index == SHADOW_NONE || !dead->kernel[i].here || !w.lives[i])
			continue;
		e = shadow_at(&dead->shadow, index);
		if ((e->flags & (SHADOW_DIRTY | SHADOW_DELETED | SHADOW_UNAPPLIED)) !=
			0 ||
		    (e->flags & SHADOW_PEER_HAS) == 0)
			continue;
		if (!heir->kernel[i].here)
			fail("an acknowledged flow is lost by a failover", i);
		if (heir->kernel[i].mark < e->flow.mark)
			fail("an acknowledged state is lost by a failover", i);
	}
}

static void
take_over(struct router *r)
{
	w.failovers++;
	r->term = ++w.highest_term;
	r->role = TD_ROLE_ACTIVE;
	if (below(4) != 0) /* packets before the daemon hears of it */
		role_tell(r);
}

static void
step_down(struct router *r)
{
	r->role = TD_ROLE_BACKUP;
	role_tell(r);
}

static void
thaw(struct router *r)
{
	r->frozen = false;
	if (r->process)
		sync_session_transport(&r->session, w.connected, now());
}

/* One that only believes so has heard better by now, and starts anew. */
static bool
is_the_active(const struct router *r)
{
	return r->role == TD_ROLE_ACTIVE && r->term == w.highest_term;
}

static void
node_die(struct router *r)
{
	struct router *other = &w.r[1 - r->index];

	if (other->node && !other->frozen && other->role != TD_ROLE_ACTIVE)
		acked_check(r, other);
	process_stop(r);
	r->node = false;
	r->frozen = false;
	r->role = TD_ROLE_INITIALIZE;
	memset(r->kernel, 0, sizeof(r->kernel));
	if (other->node && !other->frozen && !is_the_active(other))
		take_over(other);
}

static void
fault(void)
{
	struct router *r = &w.r[below(2)], *other = &w.r[1 - r->index];

	switch (below(14)) {
	case 0:
		if (other->node && !other->frozen)
			node_die(r);
		break;
	case 1:
	case 2:
		if (!r->node) {
			r->node = true;
			r->role = TD_ROLE_BACKUP;
			process_start(r);
		}
		break;
	case 3: /* planned */
		if (r->node && other->node && !r->frozen && !other->frozen &&
		    r->role == TD_ROLE_ACTIVE && other->role == TD_ROLE_BACKUP) {
			step_down(r);
			take_over(other);
		}
		break;
	case 4: /* the daemon alone */
		if (r->node && r->process && !r->frozen)
			process_stop(r);
		break;
	case 5:
	case 6:
		if (r->node && !r->process && !r->frozen)
			process_start(r);
		break;
	case 7:
		transport(false);
		break;
	case 8:
	case 9:
		transport(true);
		/* Half of them end while the first messages are under way. */
		if (below(2) == 0)
			w.flap_ns = w.now_ns + (int64_t)below(60) * NS_PER_MS;
		break;
	case 10: /* frozen: the other takes over; both are Active when it wakes */
		if (r->node && !r->frozen && other->node && !other->frozen) {
			r->frozen = true;
			if (!is_the_active(other))
				take_over(other);
		}
		break;
	case 11:
		if (r->frozen)
			thaw(r);
		break;
	case 12:
		r->slow_until_ns = w.now_ns + NS_PER_S / 2;
		break;
	case 13:
		r->refuse_until_ns = w.now_ns + NS_PER_S / 2;
		break;
	}
	/* The election sees two Active routers: the lower term yields. */
	for (unsigned i = 0; i < 2; i++) {
		struct router *a = &w.r[i];

		if (a->role == TD_ROLE_ACTIVE && !a->frozen &&
		    a->term < w.highest_term && below(3) == 0)
			step_down(a);
	}
}

/* ---- the world's steps ---- */

static void
traffic(void)
{
	struct router *r = active();
	unsigned n = below(6);

	for (unsigned j = 0; j < n; j++) {
		unsigned i = below(FLOWS);

		if (r == NULL) {
			continue;
		} else if (!w.lives[i]) {
			w.lives[i] = true;
			w.mark[i]++;
			r->kernel[i].here = true;
			r->kernel[i].mark = w.mark[i];
			r->kernel[i].expires_ns = w.now_ns + 120 * NS_PER_S;
			local(r, SYNC_LOCAL_CHANGED, i);
		} else if (!r->kernel[i].here) {
			w.lives[i] = false; /* its packets meet no entry: a reset */
		} else if (below(3) == 0) {
			w.lives[i] = false;
			r->kernel[i].here = false;
			local(r, SYNC_LOCAL_DESTROYED, i);
		} else {
			w.mark[i]++;
			r->kernel[i].mark = w.mark[i];
			r->kernel[i].expires_ns = w.now_ns + 120 * NS_PER_S;
			local(r, SYNC_LOCAL_CHANGED, i);
		}
	}
	/* A router that wrongly believes to be Active says wrong things. */
	for (unsigned k = 0; k < 2; k++) {
		struct router *s = &w.r[k];
		unsigned i = below(FLOWS);

		if (s == r || !s->node || s->frozen || s->role != TD_ROLE_ACTIVE ||
		    !s->kernel[i].here || below(4) != 0)
			continue;
		if (below(2) == 0) {
			s->kernel[i].here = false;
			local(s, SYNC_LOCAL_DESTROYED, i);
		} else {
			local(s, SYNC_LOCAL_CHANGED, i);
		}
	}
}

/* Replicas expire in a kernel that sees no packets, and are announced like any other.
 */
static void
expiries(void)
{
	struct router *r = &w.r[below(2)];
	unsigned i = below(FLOWS);

	if (!r->node || r == active() || !r->kernel[i].here || below(20) != 0)
		return;
	r->kernel[i].here = false;
	local(r, SYNC_LOCAL_DESTROYED, i);
}

static void
deliver(struct router *r)
{
	struct queue *q = &w.r[1 - r->index].to_peer;

	if (!r->process || r->frozen || w.now_ns < r->slow_until_ns)
		return;
	while (q->count > 0 && q->packet[q->head].arrives_ns <= w.now_ns) {
		struct packet *p = &q->packet[q->head];
		struct sync_msg msg;

		if (sync_msg_decode(&r->decoder, p->bytes, p->len, &msg) != SYNC_OK)
			fail("a message cannot be decoded", FLOWS);
		sync_session_receive(&r->session, &msg, now());
		free(p->bytes);
		q->head = (q->head + 1) % QUEUE_MAX;
		q->count--;
	}
}

static void
bounds_check(const struct router *r)
{
	const struct sync_session *s = &r->session;

	if (r->shadow.count > r->shadow.flows_max ||
	    s->ring.held_bytes > s->cfg.window_bytes)
		fail("a bound is broken", FLOWS);
	if (s->count.undecodable[FLOW_DROP_TRUNCATED] != 0)
		fail("a record cannot be decoded", FLOWS);
}

static void
step(void)
{
	w.now_ns += STEP_NS;
	if (w.flap_ns != 0 && w.now_ns >= w.flap_ns) {
		w.flap_ns = 0;
		transport(false);
	}
	for (unsigned k = 0; k < 2; k++) {
		struct router *r = &w.r[(k + (w.now_ns / STEP_NS)) % 2];

		if (!r->process || r->frozen)
			continue;
		deliver(r);
		if (w.now_ns >= r->audit_at_ns)
			audit(r);
		if (r->term != 0 && below(8) == 0)
			role_tell(r);
		sync_session_tick(&r->session, now());
		bounds_check(r);
	}
}

/* Peace: everything runs, one router is Active, the link is there. */
static void
quiet(void)
{
	struct router *a, *b;

	for (unsigned i = 0; i < 2; i++) {
		struct router *r = &w.r[i];

		r->slow_until_ns = r->refuse_until_ns = 0;
		if (r->frozen)
			thaw(r);
		if (!r->node) {
			r->node = true;
			r->role = TD_ROLE_BACKUP;
		}
		if (!r->process)
			process_start(r);
	}
	w.flap_ns = 0;
	transport(true);
	a = active();
	if (a == NULL) {
		a = &w.r[below(2)];
		take_over(a);
	}
	b = &w.r[1 - a->index];
	if (b->role == TD_ROLE_ACTIVE)
		step_down(b);
	role_tell(a);
	role_tell(b);
	for (unsigned i = 0; i < QUIET_STEPS; i++)
		step();
}

static void
quiet_check(void)
{
	struct router *a = active(), *b = &w.r[1 - a->index];

	for (unsigned k = 0; k < 2; k++) {
		struct sync_view v;

		sync_session_view(&w.r[k].session, now(), &v);
		if (!v.connected || !v.have_state || !v.peer_has_state ||
		    v.reason[0] != '\0')
			fail("not in sync after peace", FLOWS);
		if (v.pending != 0 || v.unapplied != 0)
			fail("work is left after peace", FLOWS);
	}
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow_key key = key_of(i);
		uint32_t ia = shadow_find(&a->shadow, &key);
		uint32_t ib = shadow_find(&b->shadow, &key);

		if (a->kernel[i].here != b->kernel[i].here)
			fail("the kernels differ after peace", i);
		if (a->kernel[i].here && a->kernel[i].mark != b->kernel[i].mark)
			fail("the kernels' states differ after peace", i);
		if ((ia != SHADOW_NONE) != a->kernel[i].here ||
		    (ia != SHADOW_NONE) != (ib != SHADOW_NONE))
			fail("the shadows differ after peace", i);
		if (ia != SHADOW_NONE && shadow_at(&a->shadow, ia)->flow.mark !=
					     shadow_at(&b->shadow, ib)->flow.mark)
			fail("the shadows' states differ after peace", i);
	}
	if (shadow_flows(&a->shadow) != shadow_flows(&b->shadow))
		fail("the shadows' sizes differ after peace", FLOWS);
}

static void
run(uint64_t seed)
{
	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	w.now_ns = 1000 * NS_PER_S;
	w.connected = true;
	for (unsigned i = 0; i < 2; i++) {
		w.r[i].index = i;
		w.r[i].node = true;
		w.r[i].role = TD_ROLE_BACKUP;
		process_start(&w.r[i]);
	}
	take_over(&w.r[below(2)]);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < STEPS; i++) {
			traffic();
			expiries();
			if (below(60) == 0)
				fault();
			step();
		}
		quiet();
		quiet_check();
	}
	for (unsigned i = 0; i < 2; i++) {
		process_stop(&w.r[i]);
		queue_drop(&w.r[i].to_peer);
	}
}

int
main(int argc, char **argv)
{
	uint64_t seeds = 200, first = 1;
	unsigned long events = 0, failovers = 0, cuts = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seeds") == 0)
			seeds = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0) {
			first = strtoull(argv[i + 1], NULL, 10);
			seeds = 1;
		}
	}
	for (uint64_t s = first; s < first + seeds; s++) {
		run(s);
		events += w.events;
		failovers += w.failovers;
		cuts += w.cuts;
	}
	printf(
	    "sim_sync: %llu seeds from %llu: %lu events, %lu takeovers, %lu cuts, all "
	    "invariants held\n",
	    (unsigned long long)seeds, (unsigned long long)first, events, failovers,
	    cuts);
	return 0;
}
