/* Links, HELLO, reports, timers and the view of a session. */
#include "syncd/core/sync_session.h"

#include <string.h>
#include <tandem/assert.h>
#include "syncd/core/sync_parts.h"

void
sync_config_defaults(struct sync_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->batch_interval_ns = 2 * NS_PER_MS;
	cfg->batch_bytes = 65536;
	cfg->window_bytes = 4U << 20;
	cfg->snapshot_window_bytes = 1U << 20;
	cfg->hello_interval_ns = 200 * NS_PER_MS;
	cfg->heartbeat_ns = 100 * NS_PER_MS;
	cfg->peer_timeout_ns = NS_PER_S;
	cfg->lag_max_ns = 2 * NS_PER_S;
	cfg->lease_s = 60;
}

bool
sync_session_init(struct sync_session *s, const struct sync_config *cfg,
    struct shadow *shadow, const struct sync_sink *sink, struct td_instant now)
{
	td_assert(
	    cfg->batch_bytes >= FLOW_WIRE_MAX && cfg->batch_bytes <= SYNC_BLOB_MAX);
	td_assert(cfg->window_bytes / 4 >= cfg->batch_bytes);
	td_assert(cfg->snapshot_window_bytes >= 2 * cfg->batch_bytes);
	memset(s, 0, sizeof(*s));
	s->cfg = *cfg;
	s->sink = *sink;
	s->shadow = shadow;
	s->next_seq = 1;
	s->self_claim.role = TD_ROLE_INITIALIZE;
	s->peer_claim.role = TD_ROLE_INITIALIZE;
	s->hello_at = now;
	s->report_at = now;
	s->retry_at = now;
	s->resync_at = now;
	s->last_batch_at = now;
	s->peer_deadline = TD_NEVER;
	s->own_link = cfg->boot;
	return sync_ring_init(&s->ring, cfg->window_bytes);
}

void
sync_session_fini(struct sync_session *s)
{
	sync_ring_fini(&s->ring);
}

void
sync_send(struct sync_session *s, struct sync_msg *msg)
{
	msg->to_link = msg->kind == SYNC_HELLO ? 0 : s->peer_link;
	s->count.sent[msg->kind]++;
	s->sink.send(s->sink.context, msg);
}

static void
send_hello(struct sync_session *s, struct td_instant now)
{
	struct sync_msg msg = { .kind = SYNC_HELLO };
	struct sync_hello *h = &msg.hello;

	h->major = SYNC_MAJOR;
	h->minor = SYNC_MINOR;
	memcpy(h->cluster, s->cfg.cluster, sizeof(h->cluster));
	memcpy(h->node, s->cfg.node, sizeof(h->node));
	h->node_index = s->cfg.node_index;
	h->boot = s->cfg.boot;
	h->link = s->own_link;
	h->heard_link = s->peer_link;
	h->role = s->self_claim.role;
	h->term = s->self_claim.term;
	h->config_generation = s->cfg.generation;
	memcpy(h->config_digest, s->cfg.digest, sizeof(h->config_digest));
	h->epoch = s->epoch;
	h->stored_epoch = s->cfg.stored_epoch;
	h->applied = s->applied;
	h->applied_whole = s->whole && !s->diverged;
	h->flows = shadow_flows(s->shadow);
	s->hello_at = instant_add(now, s->cfg.hello_interval_ns);
	sync_send(s, &msg);
}

static void
send_report(struct sync_session *s, struct td_instant now)
{
	struct sync_msg msg = { .kind = SYNC_REPORT };

	msg.report = (struct sync_report){
		.role = s->self_claim.role,
		.term = s->self_claim.term,
		.applied = s->applied,
		.unapplied = s->shadow->unapplied_count,
		.caught_up = s->caught_up && s->whole,
		.flows = shadow_flows(s->shadow),
		.config_generation = s->cfg.generation,
	};
	memcpy(msg.report.config_digest, s->cfg.digest, TD_DIGEST_BYTES);
	s->report_due = false;
	s->report_at = instant_add(now, s->cfg.heartbeat_ns);
	sync_send(s, &msg);
}

/* ---- the link ---- */

static void
link_end(struct sync_session *s)
{
	sync_stream_link_down(s);
	s->started = false;
	s->caught_up = false;
	s->sweep.running = false;
	s->peer_link = 0;
	s->peer_claim.role = TD_ROLE_INITIALIZE;
	s->peer_deadline = TD_NEVER;
	memset(&s->peer_report, 0, sizeof(s->peer_report));
	s->own_link = s->cfg.boot + ++s->link_number;
	if (s->own_link == 0) /* 0 means nobody */
		s->own_link = s->cfg.boot + ++s->link_number;
}

/* What is under way in either direction may be lost: both begin again with HELLO. */
void
sync_link_restart(struct sync_session *s, enum sync_restart why, struct td_instant now)
{
	if (s->link != SYNC_LINK_UP)
		return;
	s->count.restarts[why]++;
	link_end(s);
	s->link = SYNC_LINK_HELLO;
	s->hello_at = now;
}

static void
authority_update(struct sync_session *s)
{
	enum sync_side before = s->authority.side;

	s->authority = sync_authority_after(
	    s->authority, s->self_claim, s->peer_claim, s->cfg.node_index == 0);
	/* Taken over without the whole state: what this node holds is what counts now,
	 * and nobody knows how it differs from what the peer holds. */
	if (before == SYNC_PEER && s->authority.side == SYNC_SELF &&
	    !(s->caught_up && s->whole))
		s->snapshot_needed = true;
}

static uint32_t
term_of(uint64_t term)
{
	return term < UINT32_MAX ? (uint32_t)term : UINT32_MAX;
}

static void
peer_says(struct sync_session *s, enum td_role role, uint64_t term)
{
	s->peer_claim = (struct sync_claim){ role, term_of(term) };
	authority_update(s);
}

static uint64_t
highest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A stream of this process has an epoch higher than any the peer may remember, even if
 * this node's disk was lost. */
static bool
choose_epoch(struct sync_session *s)
{
	uint64_t epoch;

	if (s->epoch != 0)
		return true;
	epoch = highest(s->cfg.stored_epoch, s->peer.epoch);
	epoch = highest(epoch, s->peer.stored_epoch);
	epoch = highest(epoch, s->peer.applied.epoch) + 1;
	if (!s->sink.persist_epoch(s->sink.context, epoch))
		return false;
	s->epoch = epoch;
	s->cfg.stored_epoch = epoch;
	return true;
}

static void
link_up(struct sync_session *s, struct td_instant now)
{
	if (!choose_epoch(s)) {
		s->count.refused[SYNC_REFUSED_EPOCH]++;
		s->refusal = SYNC_REFUSED_EPOCH;
		return;
	}
	s->link = SYNC_LINK_UP;
	s->link_up_at = now;
	s->peer_deadline = instant_add(now, s->cfg.peer_timeout_ns);
	s->report_at = now;
	send_hello(s, now);
	sync_stream_link_up(s, now);
}

static enum sync_refusal
hello_check(const struct sync_session *s, const struct sync_hello *h)
{
	if (h->major != SYNC_MAJOR)
		return SYNC_REFUSED_VERSION;
	if (strcmp(h->cluster, s->cfg.cluster) != 0)
		return SYNC_REFUSED_CLUSTER;
	if (h->node_index != 1 - s->cfg.node_index || h->boot == s->cfg.boot ||
	    h->link == 0)
		return SYNC_REFUSED_NODE;
	return SYNC_REFUSED_NOT;
}

static void
hello_receive(struct sync_session *s, const struct sync_hello *h, struct td_instant now)
{
	enum sync_refusal refusal = hello_check(s, h);

	if (refusal != SYNC_REFUSED_NOT) {
		s->count.refused[refusal]++;
		s->refusal = refusal;
		return;
	}
	if (!s->ready || s->link == SYNC_LINK_DOWN)
		return; /* it will be said again */
	s->refusal = SYNC_REFUSED_NOT;
	if (h->link != s->peer_link)
		sync_link_restart(s, SYNC_RESTART_PEER, now);
	s->peer_link = h->link;
	if (s->link != SYNC_LINK_UP)
		s->peer_remembers = h->boot == s->peer.boot || s->peer.boot == 0;
	s->peer = *h;
	peer_says(s, h->role, h->term);
	if (s->link == SYNC_LINK_UP)
		s->peer_deadline = instant_add(now, s->cfg.peer_timeout_ns);
	if (h->heard_link != s->own_link)
		send_hello(s, now);
	else if (s->link != SYNC_LINK_UP)
		link_up(s, now);
}

static void
report_receive(
    struct sync_session *s, const struct sync_report *r, struct td_instant now)
{
	s->peer_report = *r;
	s->peer.config_generation = r->config_generation;
	memcpy(s->peer.config_digest, r->config_digest, TD_DIGEST_BYTES);
	peer_says(s, r->role, r->term);
	sync_stream_acked(s, r->applied, now);
}

void
sync_session_receive(
    struct sync_session *s, const struct sync_msg *msg, struct td_instant now)
{
	s->count.received[msg->kind]++;
	if (msg->kind == SYNC_HELLO) {
		hello_receive(s, &msg->hello, now);
		return;
	}
	if (s->link != SYNC_LINK_UP || msg->to_link != s->own_link) {
		s->count.foreign++;
		return;
	}
	s->peer_deadline = instant_add(now, s->cfg.peer_timeout_ns);
	switch (msg->kind) {
	case SYNC_START:
		sync_apply_start(s, &msg->start, now);
		break;
	case SYNC_BATCH:
		sync_apply_batch(s, &msg->batch, now);
		break;
	case SYNC_REPORT:
		report_receive(s, &msg->report, now);
		break;
	case SYNC_RESYNC:
		sync_stream_snapshot(s);
		break;
	case SYNC_PEER_CALL:
		s->sink.peer_call(s->sink.context, &msg->call);
		break;
	case SYNC_HELLO:
	case SYNC_KIND_COUNT:
		td_assert(false);
		break;
	}
}

void
sync_session_transport(struct sync_session *s, bool up, struct td_instant now)
{
	s->transport = up;
	if (up && s->link == SYNC_LINK_DOWN) {
		s->link = SYNC_LINK_HELLO;
		s->hello_at = now;
	} else if (!up && s->link != SYNC_LINK_DOWN) {
		if (s->link == SYNC_LINK_UP)
			s->count.restarts[SYNC_RESTART_TRANSPORT]++;
		link_end(s);
		s->link = SYNC_LINK_DOWN;
	}
}

void
sync_session_ready(struct sync_session *s, struct td_instant now)
{
	s->ready = true;
	s->hello_at = now;
}

void
sync_session_generation(struct sync_session *s, uint64_t generation,
    const uint8_t digest[TD_DIGEST_BYTES], struct td_instant now)
{
	s->cfg.generation = generation;
	memcpy(s->cfg.digest, digest, TD_DIGEST_BYTES);
	s->report_at = now;
}

void
sync_session_role(struct sync_session *s, enum td_role role, uint64_t term,
    enum td_role peer_role, uint64_t peer_term, struct td_instant now)
{
	s->self_claim = (struct sync_claim){ role, term_of(term) };
	if (role == TD_ROLE_ACTIVE)
		s->own_term = term_of(term);
	/* That the election hears nobody is no statement of the peer. */
	if (peer_role == TD_ROLE_ACTIVE)
		s->peer_claim = (struct sync_claim){ peer_role, term_of(peer_term) };
	authority_update(s);
	s->report_at = now;
}

bool
sync_session_resync(struct sync_session *s, struct td_instant now)
{
	struct sync_msg msg = { .kind = SYNC_RESYNC };

	(void)now;
	if (s->link != SYNC_LINK_UP)
		return false;
	sync_send(s, &msg);
	sync_stream_snapshot(s);
	return true;
}

bool
sync_session_call(struct sync_session *s, const struct sync_call *call)
{
	struct sync_msg msg = { .kind = SYNC_PEER_CALL, .call = *call };

	if (s->link != SYNC_LINK_UP)
		return false;
	sync_send(s, &msg);
	return true;
}

/* ---- time ---- */

void
sync_session_tick(struct sync_session *s, struct td_instant now)
{
	if (s->link == SYNC_LINK_UP && instant_reached(now, s->peer_deadline))
		sync_link_restart(s, SYNC_RESTART_SILENT, now);
	if (s->link == SYNC_LINK_HELLO && s->ready && instant_reached(now, s->hello_at))
		send_hello(s, now);
	if (s->link == SYNC_LINK_UP && s->snapshot_needed && !s->snapshot.running)
		sync_stream_snapshot(s);
	sync_apply_tick(s, now);
	/* The role before the flows that were changed under it. */
	if (s->link == SYNC_LINK_UP &&
	    (s->report_due || instant_reached(now, s->report_at)))
		send_report(s, now);
	sync_stream_tick(s, now);
}

struct td_instant
sync_session_deadline(const struct sync_session *s, struct td_instant now)
{
	struct td_instant at = TD_NEVER;

	if (s->sweep.running || s->audit.running || s->retry.running ||
	    s->kernel_pending || (s->report_due && s->link == SYNC_LINK_UP))
		return now;
	if (s->shadow->unapplied_count > 0 || s->strays)
		at = instant_earlier(at, s->retry_at);
	if (s->link == SYNC_LINK_HELLO && s->ready)
		at = instant_earlier(at, s->hello_at);
	if (s->barrier.pending)
		at = instant_earlier(at, s->barrier.deadline);
	if (s->link != SYNC_LINK_UP)
		return at;
	at = instant_earlier(at, s->peer_deadline);
	at = instant_earlier(at, s->report_at);
	if (sync_stream_work_waits(s) && sync_stream_window_open(s))
		at = instant_earlier(
		    at, instant_add(s->last_batch_at, s->cfg.batch_interval_ns));
	return at;
}

/* ---- the view ---- */

static int64_t
lag_ns(const struct sync_session *s, struct td_instant now)
{
	struct td_instant oldest = now;

	if (s->ring.count > 0)
		oldest = sync_ring_at(&s->ring, 0)->sent_at;
	else if (s->shadow->dirty_count > 0)
		oldest = s->dirty_since;
	return instant_diff_ns(now, oldest);
}

static const char *
reason(const struct sync_session *s, const struct sync_view *v)
{
	if (!s->ready)
		return "reading the kernel's table";
	if (s->refusal != SYNC_REFUSED_NOT)
		return sync_refusal_name(s->refusal);
	if (s->link == SYNC_LINK_DOWN)
		return "no connection";
	if (s->link == SYNC_LINK_HELLO)
		return "no answer from the peer";
	if (s->undecodable)
		return "undecodable records from the peer";
	if (s->full || s->full_peer)
		return "flows_max reached";
	if (!s->caught_up)
		return s->whole ? "catching up" : "receiving the snapshot";
	if (s->shadow->unapplied_count > 0)
		return "flows refused by this kernel";
	if (s->snapshot.running || s->snapshot_needed)
		return "sending the snapshot";
	if (!s->peer_report.caught_up)
		return "the peer is catching up";
	if (s->peer_report.unapplied > 0)
		return "flows refused by the peer's kernel";
	if (v->lag_ns > s->cfg.lag_max_ns)
		return "the peer does not acknowledge";
	return "";
}

void
sync_session_view(
    const struct sync_session *s, struct td_instant now, struct sync_view *ret_view)
{
	struct sync_view *v = ret_view;

	memset(v, 0, sizeof(*v));
	v->connected = s->link == SYNC_LINK_UP;
	v->seq_sent = s->next_seq - 1;
	v->seq_acked = s->acked_seq;
	v->flows = shadow_flows(s->shadow);
	v->pending = s->shadow->dirty_count;
	v->unapplied = s->shadow->unapplied_count;
	v->peer_unapplied = s->peer_report.unapplied;
	v->peer_flows = s->peer_report.flows;
	v->lag_ns = lag_ns(s, now);
	v->generation_differs =
	    v->connected &&
	    memcmp(s->peer.config_digest, s->cfg.digest, TD_DIGEST_BYTES) != 0;
	/* The Active router's own kernel is the state: nobody holds a newer one. */
	v->have_state = s->authority.side == SYNC_SELF || (s->caught_up && s->whole);
	v->peer_has_state = v->connected && s->caught_up_sent && !s->snapshot_needed &&
			    !s->full && s->peer_report.caught_up &&
			    s->peer_report.unapplied == 0 &&
			    v->lag_ns <= s->cfg.lag_max_ns;
	v->reason = reason(s, v);
}

const char *
sync_refusal_name(enum sync_refusal refusal)
{
	static const char *const names[SYNC_REFUSED_COUNT] = {
		[SYNC_REFUSED_NOT] = "not",
		[SYNC_REFUSED_VERSION] = "protocol version differs",
		[SYNC_REFUSED_CLUSTER] = "cluster differs",
		[SYNC_REFUSED_NODE] = "not the other node of the pair",
		[SYNC_REFUSED_EPOCH] = "epoch could not be stored",
	};

	td_assert(refusal < SYNC_REFUSED_COUNT);
	return names[refusal];
}

const char *
sync_restart_name(enum sync_restart restart)
{
	static const char *const names[SYNC_RESTART_COUNT] = {
		[SYNC_RESTART_TRANSPORT] = "transport",
		[SYNC_RESTART_SILENT] = "silent",
		[SYNC_RESTART_PEER] = "peer",
		[SYNC_RESTART_GAP] = "gap",
		[SYNC_RESTART_EPOCH] = "epoch",
		[SYNC_RESTART_ACK] = "ack",
	};

	td_assert(restart < SYNC_RESTART_COUNT);
	return names[restart];
}
