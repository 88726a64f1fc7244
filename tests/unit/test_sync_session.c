/*
 * One session against a peer played by hand: which message leads to which messages and
 * kernel operations, in order. The whole of two sessions is in tests/sim/sim_sync.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "syncd/core/sync_session.h"
#include "syncd/core/sync_wire.h"

#define PEER_LINK 900
#define SENT_MAX 64
#define KERNEL_MAX 64

struct bench {
	struct sync_session s;
	struct shadow shadow;
	struct td_instant now;
	struct sync_msg sent[SENT_MAX];
	unsigned sent_count;
	/* "+3" flow 3 put, "-3" flow 3 deleted */
	char kernel[KERNEL_MAX * 8];
	uint32_t timeout_s; /* of the last put */
	int refuse;         /* what the kernel says to the next ones */
	uint32_t refused_index;
	bool persist_fails;
	uint64_t persisted;
	int barrier; /* -1 none, else ok */
	unsigned acked_records, calls;
	uint64_t epoch, seq; /* of the peer's stream, as sent so far */
};

/* ---- the sink ---- */

static void
sink_send(void *context, const struct sync_msg *msg)
{
	struct bench *b = context;

	assert_true(b->sent_count < SENT_MAX);
	b->sent[b->sent_count++] = *msg;
}

static bool
sink_persist(void *context, uint64_t epoch)
{
	struct bench *b = context;

	if (!b->persist_fails)
		b->persisted = epoch;
	return !b->persist_fails;
}

static unsigned
number_of(const struct flow_key *key)
{
	return key->orig.src_port;
}

static void
sink_upsert(void *context, uint32_t index, const struct flow_record *flow,
    uint32_t timeout_s, bool present)
{
	struct bench *b = context;
	size_t len = strlen(b->kernel);

	snprintf(b->kernel + len, sizeof(b->kernel) - len, "%c%u", present ? '=' : '+',
	    number_of(&flow->key));
	b->timeout_s = timeout_s;
	if (b->refuse != 0)
		b->refused_index = index;
	sync_session_applied(&b->s, index, b->refuse);
}

static void
sink_delete(void *context, const struct flow_key *key)
{
	struct bench *b = context;
	size_t len = strlen(b->kernel);

	snprintf(b->kernel + len, sizeof(b->kernel) - len, "-%u", number_of(key));
}

static void
sink_flush(void *context)
{
	(void)context;
}

static void
sink_acked(void *context, int64_t latency_ns, uint32_t records)
{
	struct bench *b = context;

	assert_true(latency_ns >= 0);
	b->acked_records += records;
}

static void
sink_barrier(void *context, uint64_t id, bool ok)
{
	struct bench *b = context;

	assert_int_equal(77, id);
	b->barrier = ok;
}

static void
sink_call(void *context, const struct sync_call *call)
{
	struct bench *b = context;

	(void)call;
	b->calls++;
}

/* ---- the peer's hand ---- */

static struct flow_record
flow_of(unsigned i)
{
	struct flow_record flow;

	memset(&flow, 0, sizeof(flow));
	flow.key.family = TD_AF_INET;
	flow.key.protocol = FLOW_UDP;
	flow.key.orig.src_port = (uint16_t)i;
	flow.reply = flow_tuple_invert(&flow.key);
	flow.present = FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT;
	flow.timeout_s = 30;
	return flow;
}

static void
tick(struct bench *b, int64_t after_ns)
{
	b->now = instant_add(b->now, after_ns);
	sync_session_tick(&b->s, b->now);
}

static void
peer_says(struct bench *b, struct sync_msg *msg)
{
	msg->to_link = b->s.own_link;
	sync_session_receive(&b->s, msg, b->now);
}

static void
peer_hello(struct bench *b, uint64_t link, uint64_t heard, struct sync_position applied)
{
	struct sync_msg msg = { .kind = SYNC_HELLO };

	msg.hello.major = SYNC_MAJOR;
	strcpy(msg.hello.cluster, "c");
	msg.hello.node_index = 1;
	msg.hello.boot = 500;
	msg.hello.link = link;
	msg.hello.heard_link = heard;
	msg.hello.applied = applied;
	msg.hello.applied_whole = applied.epoch != 0;
	peer_says(b, &msg);
}

static void
peer_start(struct bench *b, bool snapshot)
{
	struct sync_msg msg = { .kind = SYNC_START };

	b->epoch = 40;
	msg.start = (struct sync_start){ 40, b->seq + 1, snapshot };
	peer_says(b, &msg);
}

/* '+' and '-' with a flow's number: "+1+2-3"; a term for all. */
static void
peer_batch(struct bench *b, const char *records, uint32_t term, bool end)
{
	static uint8_t blob[4096];
	struct td_writer wr = { blob, sizeof(blob), false };
	struct sync_msg msg = { .kind = SYNC_BATCH };
	const char *p = records;

	while (*p != '\0') {
		struct flow_change change = { .deleted = *p == '-', .term = term };
		char *next;

		change.flow = flow_of((unsigned)strtoul(p + 1, &next, 10));
		change.known = *p == '*';
		flow_change_encode(&wr, &change);
		msg.batch.records++;
		p = next;
	}
	msg.batch.epoch = b->epoch;
	msg.batch.seq = ++b->seq;
	msg.batch.snapshot_end = end;
	msg.batch.caught_up = end;
	msg.batch.blob = blob;
	msg.batch.blob_len = sizeof(blob) - wr.left;
	peer_says(b, &msg);
}

static void
peer_report(
    struct bench *b, struct sync_position applied, enum td_role role, uint64_t term)
{
	struct sync_msg msg = { .kind = SYNC_REPORT };

	msg.report.applied = applied;
	msg.report.role = role;
	msg.report.term = term;
	msg.report.caught_up = true;
	peer_says(b, &msg);
}

static void
forget(struct bench *b)
{
	b->sent_count = 0;
	b->kernel[0] = '\0';
}

/* "hello start/5s batch/6(+1-2)ec report" for what was sent since forget. */
static const char *
sent(struct bench *b)
{
	static char text[2048];
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < b->sent_count; i++) {
		const struct sync_msg *m = &b->sent[i];
		struct td_reader rd;

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
		    i > 0 ? " " : "", sync_msg_name(m->kind));
		if (m->kind == SYNC_START)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "/%u%s",
			    (unsigned)m->start.first_seq,
			    m->start.snapshot ? "s" : "r");
		if (m->kind != SYNC_BATCH)
			continue;
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, "/%u(", (unsigned)m->batch.seq);
		rd = (struct td_reader){ m->batch.blob, m->batch.blob_len, false };
		for (uint32_t r = 0; r < m->batch.records; r++) {
			struct flow_change c;

			assert_int_equal(FLOW_OK, flow_change_decode(&rd, &c));
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%u",
			    c.deleted ? '-' : '+', number_of(&c.flow.key));
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n, ")%s%s",
		    m->batch.snapshot_end ? "e" : "", m->batch.caught_up ? "c" : "");
	}
	return text;
}

/* ---- set-up ---- */

static int
bench_new(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sync_config cfg;
	struct sync_sink sink = { b, sink_send, sink_persist, sink_upsert, sink_delete,
		sink_flush, sink_acked, sink_barrier, sink_call };

	assert_non_null(b);
	b->now.ns = 1000 * NS_PER_S;
	b->barrier = -1;
	sync_config_defaults(&cfg);
	strcpy(cfg.cluster, "c");
	cfg.boot = 100;
	cfg.stored_epoch = 6;
	cfg.batch_bytes = 1024;
	cfg.window_bytes = 8192;
	cfg.snapshot_window_bytes = 4096;
	assert_true(shadow_init(&b->shadow, 8, (struct siphash_key){ 1, 2 }));
	assert_true(sync_session_init(&b->s, &cfg, &b->shadow, &sink, b->now));
	*state = b;
	return 0;
}

static int
bench_free(void **state)
{
	struct bench *b = *state;

	sync_session_fini(&b->s);
	shadow_fini(&b->shadow);
	free(b);
	return 0;
}

static void
bring_up(struct bench *b)
{
	sync_session_ready(&b->s, b->now);
	sync_session_transport(&b->s, true, b->now);
	peer_hello(b, PEER_LINK, b->s.own_link, (struct sync_position){ 0, 0 });
	assert_int_equal(SYNC_LINK_UP, b->s.link);
}

/* Both empty, both streams begun, everything acknowledged. */
static int
bench_in_sync(void **state)
{
	struct bench *b;
	struct sync_view v;

	bench_new(state);
	b = *state;
	bring_up(b);
	tick(b, 10 * NS_PER_MS);
	peer_start(b, true);
	peer_batch(b, "", 0, true);
	tick(b, 10 * NS_PER_MS);
	peer_report(b, (struct sync_position){ 7, 1 }, TD_ROLE_BACKUP, 0);
	sync_session_view(&b->s, b->now, &v);
	assert_string_equal("", v.reason);
	assert_true(v.connected && v.have_state && v.peer_has_state);
	forget(b);
	return 0;
}

static void
local(struct bench *b, enum sync_local what, unsigned i)
{
	struct flow_record flow = flow_of(i);

	sync_session_local(&b->s, what, &flow, b->now);
}

static void
role(struct bench *b, enum td_role self, uint64_t term, enum td_role peer,
    uint64_t peer_term)
{
	sync_session_role(&b->s, self, term, peer, peer_term, b->now);
}

static void
view(struct bench *b, struct sync_view *v)
{
	sync_session_view(&b->s, b->now, v);
}

/* ---- links ---- */

static void
nothing_is_said_before_the_kernel_was_read(void **state)
{
	struct bench *b = *state;

	sync_session_transport(&b->s, true, b->now);
	tick(b, NS_PER_S);
	peer_hello(b, PEER_LINK, b->s.own_link, (struct sync_position){ 0, 0 });
	tick(b, NS_PER_S);
	assert_string_equal("", sent(b));
	sync_session_ready(&b->s, b->now);
	tick(b, 0);
	assert_string_equal("hello", sent(b));
}

static void
two_hellos_make_a_link_and_an_empty_snapshot_follows(void **state)
{
	struct bench *b = *state;

	sync_session_ready(&b->s, b->now);
	sync_session_transport(&b->s, true, b->now);
	tick(b, 0);
	peer_hello(b, PEER_LINK, 0, (struct sync_position){ 0, 0 });
	assert_string_equal("hello hello", sent(b));
	assert_true(b->sent[1].hello.heard_link == PEER_LINK);
	assert_int_equal(SYNC_LINK_HELLO, b->s.link);
	forget(b);
	peer_hello(b, PEER_LINK, b->s.own_link, (struct sync_position){ 0, 0 });
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("hello start/1s report batch/1()ec", sent(b));
	assert_true(b->sent[1].to_link == PEER_LINK);
}

static void
the_epoch_is_above_all_that_either_side_remembers(void **state)
{
	struct bench *b = *state;

	b->persist_fails = true;
	sync_session_ready(&b->s, b->now);
	sync_session_transport(&b->s, true, b->now);
	peer_hello(b, PEER_LINK, b->s.own_link, (struct sync_position){ 30, 5 });
	assert_int_equal(SYNC_LINK_HELLO, b->s.link);
	assert_int_equal(1, b->s.count.refused[SYNC_REFUSED_EPOCH]);
	b->persist_fails = false;
	peer_hello(b, PEER_LINK, b->s.own_link, (struct sync_position){ 30, 5 });
	assert_int_equal(SYNC_LINK_UP, b->s.link);
	assert_int_equal(31, b->persisted);
	assert_int_equal(31, b->s.epoch);
}

static void
a_hello_that_does_not_fit_is_refused_by_reason(void **state)
{
	struct bench *b = *state;
	const struct {
		uint32_t major;
		const char *cluster;
		uint32_t node_index;
		uint64_t boot;
		enum sync_refusal refusal;
	} rows[] = {
		{ 2, "c", 1, 500, SYNC_REFUSED_VERSION },
		{ 1, "d", 1, 500, SYNC_REFUSED_CLUSTER },
		{ 1, "c", 0, 500, SYNC_REFUSED_NODE },
		{ 1, "c", 1, 100, SYNC_REFUSED_NODE },
		{ 1, "c", 2, 500, SYNC_REFUSED_NODE },
	};

	sync_session_ready(&b->s, b->now);
	sync_session_transport(&b->s, true, b->now);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sync_msg msg = { .kind = SYNC_HELLO };
		uint64_t before = b->s.count.refused[rows[i].refusal];

		msg.hello.major = rows[i].major;
		strcpy(msg.hello.cluster, rows[i].cluster);
		msg.hello.node_index = rows[i].node_index;
		msg.hello.boot = rows[i].boot;
		msg.hello.link = PEER_LINK;
		msg.hello.heard_link = b->s.own_link;
		peer_says(b, &msg);
		assert_int_equal(before + 1, b->s.count.refused[rows[i].refusal]);
		assert_int_equal(rows[i].refusal, b->s.refusal);
		assert_int_equal(SYNC_LINK_HELLO, b->s.link);
	}
	assert_string_equal("", sent(b));
}

static void
messages_of_another_link_are_not_looked_at(void **state)
{
	struct bench *b = *state;
	struct sync_msg msg = { .kind = SYNC_REPORT };

	msg.to_link = b->s.own_link + 1;
	msg.report.applied = (struct sync_position){ 7, 99 };
	sync_session_receive(&b->s, &msg, b->now);
	assert_int_equal(1, b->s.count.foreign);
	assert_int_equal(SYNC_LINK_UP, b->s.link);
}

static void
silence_ends_a_link(void **state)
{
	struct bench *b = *state;
	uint64_t before = b->s.own_link;
	struct sync_view v;

	tick(b, 900 * NS_PER_MS);
	assert_int_equal(SYNC_LINK_UP, b->s.link);
	tick(b, 200 * NS_PER_MS);
	assert_int_equal(SYNC_LINK_HELLO, b->s.link);
	assert_int_equal(1, b->s.count.restarts[SYNC_RESTART_SILENT]);
	assert_true(b->s.own_link != before);
	view(b, &v);
	assert_false(v.connected || v.have_state || v.peer_has_state);
}

static void
a_batch_out_of_place_ends_the_link(void **state)
{
	struct bench *b = *state;

	b->seq++;
	peer_batch(b, "+1", 0, false);
	assert_int_equal(1, b->s.count.restarts[SYNC_RESTART_GAP]);
	assert_string_equal("", b->kernel);
	assert_int_equal(SYNC_LINK_HELLO, b->s.link);
}

static void
a_batch_twice_is_applied_once(void **state)
{
	struct bench *b = *state;

	peer_batch(b, "+1", 0, false);
	b->seq--;
	peer_batch(b, "+1", 0, false);
	assert_string_equal("+1", b->kernel);
	assert_int_equal(1, b->s.count.duplicate_batches);
	assert_int_equal(SYNC_LINK_UP, b->s.link);
}

static void
a_lower_epoch_is_refused(void **state)
{
	struct bench *b = *state;
	struct sync_msg msg = { .kind = SYNC_START };

	msg.start = (struct sync_start){ 39, 1, true };
	peer_says(b, &msg);
	assert_int_equal(1, b->s.count.restarts[SYNC_RESTART_EPOCH]);
	assert_int_equal(40, b->s.applied.epoch);
}

static void
an_acknowledgement_of_what_was_never_sent_ends_the_link(void **state)
{
	struct bench *b = *state;

	peer_report(b, (struct sync_position){ 7, 2 }, TD_ROLE_BACKUP, 0);
	assert_int_equal(1, b->s.count.restarts[SYNC_RESTART_ACK]);
	assert_true(b->s.snapshot_needed);
}

/* ---- this node's stream ---- */

static void
a_change_goes_at_once_and_later_ones_coalesce(void **state)
{
	struct bench *b = *state;

	tick(b, 10 * NS_PER_MS);
	forget(b);
	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 0);
	assert_string_equal("batch/2(+1)", sent(b));
	forget(b);
	local(b, SYNC_LOCAL_CHANGED, 1);
	local(b, SYNC_LOCAL_CHANGED, 2);
	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, NS_PER_MS);
	assert_string_equal("", sent(b));
	assert_int_equal(
	    NS_PER_MS, instant_diff_ns(sync_session_deadline(&b->s, b->now), b->now));
	tick(b, NS_PER_MS);
	assert_string_equal("batch/3(+1+2)", sent(b));
}

static void
an_end_is_told_to_who_was_told_of_the_flow(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 10 * NS_PER_MS);
	local(b, SYNC_LOCAL_CHANGED, 2);
	local(b, SYNC_LOCAL_DESTROYED, 2);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	forget(b);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("batch/3(-1)", sent(b));
	assert_int_equal(0, b->shadow.count);
}

static void
a_barrier_is_over_when_all_before_it_is_acknowledged(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	sync_session_barrier(&b->s, 77, NS_PER_S, b->now);
	tick(b, 0); /* does not wait for the interval */
	assert_int_equal(-1, b->barrier);
	local(b, SYNC_LOCAL_CHANGED, 2); /* after it: not waited for */
	peer_report(b, (struct sync_position){ 7, 2 }, TD_ROLE_BACKUP, 0);
	tick(b, 0);
	assert_int_equal(1, b->barrier);
	assert_int_equal(1, b->acked_records);
}

static void
a_barrier_fails_in_time_or_without_a_link(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	sync_session_barrier(&b->s, 77, NS_PER_S / 2, b->now);
	tick(b, NS_PER_S / 2);
	assert_int_equal(0, b->barrier);
	b->barrier = -1;
	sync_session_barrier(&b->s, 77, NS_PER_S, b->now);
	sync_session_transport(&b->s, false, b->now);
	assert_int_equal(0, b->barrier);
	b->barrier = -1;
	sync_session_barrier(&b->s, 77, NS_PER_S, b->now);
	assert_int_equal(0, b->barrier);
}

static void
a_new_link_goes_on_where_the_peer_stopped(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 10 * NS_PER_MS);
	local(b, SYNC_LOCAL_CHANGED, 2);
	tick(b, 10 * NS_PER_MS);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	sync_session_transport(&b->s, false, b->now);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	sync_session_transport(&b->s, true, b->now);
	peer_hello(b, 901, b->s.own_link, (struct sync_position){ 7, 2 });
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("hello start/3r batch/3(+2) report batch/4(-1)c", sent(b));
}

static void
a_peer_that_lost_its_state_gets_a_snapshot(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	local(b, SYNC_LOCAL_CHANGED, 2);
	tick(b, 10 * NS_PER_MS);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	sync_session_transport(&b->s, false, b->now);
	forget(b);
	sync_session_transport(&b->s, true, b->now);
	peer_hello(b, 901, b->s.own_link, (struct sync_position){ 0, 0 });
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("hello start/3s report batch/3(+2)ec", sent(b));
}

static void
a_peer_that_stopped_before_what_is_kept_gets_a_snapshot(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 10 * NS_PER_MS);
	peer_report(b, (struct sync_position){ 7, 2 }, TD_ROLE_BACKUP, 0);
	sync_session_transport(&b->s, false, b->now);
	forget(b);
	sync_session_transport(&b->s, true, b->now);
	peer_hello(b, 901, b->s.own_link, (struct sync_position){ 7, 1 });
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("hello start/3s report batch/3(+1)ec", sent(b));
}

static void
the_end_of_a_snapshot_that_was_lost_is_not_replayed(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 10 * NS_PER_MS);
	peer_report(b, (struct sync_position){ 7, 2 }, TD_ROLE_BACKUP, 0);
	assert_true(sync_session_resync(&b->s, b->now));
	forget(b);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("batch/3(+1)ec", sent(b));
	/* Neither START nor the batch has arrived. */
	sync_session_transport(&b->s, false, b->now);
	forget(b);
	sync_session_transport(&b->s, true, b->now);
	peer_hello(b, 901, b->s.own_link, (struct sync_position){ 7, 2 });
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("hello start/4s report batch/4(+1)ec", sent(b));
}

static void
changes_the_peer_has_not_judged_ask_for_its_snapshot(void **state)
{
	struct bench *b = *state;

	sync_session_transport(&b->s, false, b->now);
	sync_session_transport(&b->s, true, b->now);
	forget(b);
	tick(b, 0);
	assert_true(b->sent[0].hello.applied_whole);
	local(b, SYNC_LOCAL_CHANGED, 1);
	forget(b);
	tick(b, NS_PER_S);
	assert_false(b->sent[0].hello.applied_whole);
}

static void
full_without_a_peer_gives_up_deletions_and_then_counts(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 1; i <= 8; i++)
		local(b, SYNC_LOCAL_CHANGED, i);
	tick(b, 10 * NS_PER_MS);
	sync_session_transport(&b->s, false, b->now);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	assert_int_equal(1, b->shadow.deleted_count);
	local(b, SYNC_LOCAL_CHANGED, 9);
	assert_int_equal(1, b->s.count.forgotten);
	assert_true(b->s.snapshot_needed);
	assert_int_equal(0, b->s.count.full);
	local(b, SYNC_LOCAL_CHANGED, 10);
	assert_int_equal(1, b->s.count.full);
	assert_int_equal(8, shadow_flows(&b->shadow));
}

/* ---- the peer's stream ---- */

static void
a_batch_reaches_the_kernel_and_then_is_acknowledged(void **state)
{
	struct bench *b = *state;

	tick(b, 10 * NS_PER_MS);
	forget(b);
	peer_batch(b, "+1+2", 0, false);
	assert_string_equal("+1+2", b->kernel);
	assert_int_equal(30 + 60, b->timeout_s); /* remaining and lease */
	tick(b, 0);
	assert_string_equal("report", sent(b));
	assert_int_equal(40, b->sent[0].report.applied.epoch);
	assert_int_equal(2, b->sent[0].report.applied.seq);
	forget(b);
	peer_batch(b, "+1-2-3", 0, false);
	assert_string_equal("=1-2", b->kernel);
	assert_int_equal(1, b->s.count.deletes_unknown);
}

static void
what_the_kernel_refuses_is_reported_and_tried_again(void **state)
{
	struct bench *b = *state;
	struct sync_view v;

	b->refuse = -ENOMEM;
	peer_batch(b, "+1", 0, false);
	tick(b, 10 * NS_PER_MS);
	assert_int_equal(1, b->sent[b->sent_count - 1].report.unapplied);
	view(b, &v);
	assert_string_equal("flows refused by this kernel", v.reason);
	b->refuse = 0;
	b->kernel[0] = '\0';
	peer_report(b, (struct sync_position){ 7, 1 }, TD_ROLE_BACKUP, 0);
	tick(b, NS_PER_S);
	assert_string_equal("+1", b->kernel);
	view(b, &v);
	assert_int_equal(0, v.unapplied);
}

static void
what_a_snapshot_lacks_is_swept(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1+2+3", 5, false);
	forget(b);
	peer_start(b, true);
	peer_batch(b, "+1+3", 5, false);
	assert_string_equal("=1=3", b->kernel);
	peer_batch(b, "", 5, true);
	tick(b, 0);
	assert_string_equal("=1=3-2", b->kernel);
	assert_int_equal(1, b->s.count.swept);
}

static void
an_interrupted_snapshot_sweeps_nothing(void **state)
{
	struct bench *b = *state;
	struct sync_view v;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1+2", 5, false);
	peer_start(b, true);
	peer_batch(b, "+1", 5, false);
	sync_session_transport(&b->s, false, b->now);
	tick(b, NS_PER_S);
	assert_int_equal(2, b->shadow.count);
	view(b, &v);
	assert_false(v.have_state);
	sync_session_transport(&b->s, true, b->now);
	forget(b);
	tick(b, 0);
	assert_false(b->sent[0].hello.applied_whole);
}

static void
a_stale_router_is_refused_and_told_what_is_right(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1+2", 5, false);
	role(b, TD_ROLE_ACTIVE, 6, TD_ROLE_ACTIVE, 5);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	peer_batch(b, "-1+2", 5, false);
	assert_string_equal("", b->kernel);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("report batch/2(+1+2)", sent(b));
	assert_int_equal(1, b->s.count.refused_deletes);
	assert_int_equal(1, b->s.count.refused_upserts);
}

static void
a_flow_that_ended_does_not_come_back_but_a_new_one_is_merged(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_ACTIVE, 6, TD_ROLE_ACTIVE, 5);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	peer_batch(b, "*1+2", 5, false); /* 1: this node was told of it before */
	assert_string_equal("+2", b->kernel);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("report batch/2(-1+2)", sent(b));
	assert_int_equal(1, b->s.count.refused_ended);
	assert_int_equal(1, b->s.count.merged);
}

static void
a_flow_that_crossed_with_its_end_asks_for_a_snapshot(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 5, TD_ROLE_ACTIVE, 6);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	peer_batch(b, "*1", 6, false); /* in the authority's words */
	peer_batch(b, "+2", 5, false); /* older, and new to us */
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("report", sent(b));
	forget(b);
	peer_batch(b, "*3", 5, false);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("resync report", sent(b));
}

static void
of_two_flows_with_one_tuple_that_of_the_active_router_stays(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_ACTIVE, 6, TD_ROLE_ACTIVE, 5);
	b->refuse = -EEXIST;
	peer_batch(b, "+2", 5, false);
	assert_int_equal(1, b->s.count.clashes);
	assert_int_equal(0, b->shadow.count);
	assert_int_equal(0, b->shadow.unapplied_count);
}

static void
an_undecodable_record_asks_for_a_snapshot_once(void **state)
{
	struct bench *b = *state;
	struct sync_msg msg = { .kind = SYNC_BATCH };
	static const uint8_t junk[3] = { 2, 0, 0 };
	struct sync_view v;

	tick(b, 10 * NS_PER_MS);
	forget(b);
	msg.batch = (struct sync_batch){ .epoch = 40,
		.seq = 2,
		.records = 1,
		.blob = junk,
		.blob_len = sizeof(junk) };
	peer_says(b, &msg);
	tick(b, 0);
	assert_string_equal("resync report", sent(b));
	view(b, &v);
	assert_string_equal("undecodable records from the peer", v.reason);
	assert_false(v.have_state);
	tick(b, 10 * NS_PER_MS);
	assert_int_equal(1, b->s.count.sent[SYNC_RESYNC]);
}

/* ---- this kernel ---- */

static void
a_replica_that_the_kernel_dropped_is_put_back_until_its_lease_is_over(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1", 5, false);
	forget(b);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	assert_string_equal("+1", b->kernel);
	assert_int_equal(90, b->timeout_s);
	for (unsigned i = 0; i < 200; i++) { /* 100 s on a living link */
		forget(b);
		tick(b, NS_PER_S / 2);
		peer_report(b, (struct sync_position){ 7, 1 }, TD_ROLE_ACTIVE, 5);
	}
	forget(b);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	assert_string_equal("", b->kernel);
	assert_int_equal(0, b->shadow.count);
	assert_int_equal(1, b->s.count.replica_expired);
	tick(b, NS_PER_S / 2);
	assert_int_equal(0, b->s.count.deletes_sent);
}

static void
without_a_link_no_replica_is_given_up(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1", 5, false);
	sync_session_transport(&b->s, false, b->now);
	b->now = instant_add(b->now, 3600 * NS_PER_S);
	forget(b);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	assert_string_equal("+1", b->kernel);
	assert_int_equal(60, b->timeout_s);
}

static void
a_kernel_that_moved_a_replica_on_is_set_back_unless_we_take_over(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1+2", 5, false);
	forget(b);
	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, NS_PER_S / 2);
	assert_string_equal("", b->kernel);
	tick(b, NS_PER_S / 2);
	assert_string_equal("=1", b->kernel);
	forget(b);
	local(b, SYNC_LOCAL_CHANGED, 2);
	role(b, TD_ROLE_ACTIVE, 6, TD_ROLE_ACTIVE, 5);
	tick(b, NS_PER_S);
	assert_string_equal("", b->kernel);
	assert_int_equal(2, b->s.count.stray);
}

static void
after_a_takeover_an_end_is_an_end(void **state)
{
	struct bench *b = *state;

	role(b, TD_ROLE_BACKUP, 0, TD_ROLE_ACTIVE, 5);
	peer_batch(b, "+1", 5, false);
	role(b, TD_ROLE_ACTIVE, 6, TD_ROLE_BACKUP, 5);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	local(b, SYNC_LOCAL_DESTROYED, 1);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("batch/2(-1)", sent(b));
	assert_string_equal("", b->kernel);
}

/* The Active router would take flows that have ended for flows it never knew. */
static void
what_a_backup_finds_at_start_is_no_news(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_DUMPED, 1);
	bring_up(b);
	peer_report(b, (struct sync_position){ 0, 0 }, TD_ROLE_ACTIVE, 5);
	forget(b);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("report batch/1()ec", sent(b));
	assert_int_equal(1, shadow_flows(&b->shadow));
}

static void
what_an_active_router_finds_at_start_is_in_its_snapshot(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_DUMPED, 1);
	sync_session_role(&b->s, TD_ROLE_ACTIVE, 5, TD_ROLE_INITIALIZE, 0, b->now);
	bring_up(b);
	forget(b);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("report batch/1(+1)ec", sent(b));
}

static void
an_audit_that_was_aborted_is_none_of_the_two(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 10 * NS_PER_MS);
	for (unsigned aborted = 0; aborted < 3; aborted++)
		sync_session_audit_begin(&b->s);
	sync_session_audit_end(&b->s);
	tick(b, 10 * NS_PER_MS);
	assert_int_equal(1, b->s.count.audits);
	assert_int_equal(0, b->s.count.audit_lost);
	assert_int_equal(1, shadow_flows(&b->shadow));
}

static void
a_flow_that_two_audits_miss_has_ended(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	local(b, SYNC_LOCAL_CHANGED, 2);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	for (unsigned audit = 0; audit < 2; audit++) {
		assert_int_equal(2, shadow_flows(&b->shadow));
		sync_session_audit_begin(&b->s);
		local(b, SYNC_LOCAL_DUMPED, 2);
		sync_session_audit_end(&b->s);
		tick(b, 10 * NS_PER_MS);
	}
	assert_string_equal("batch/3(-1)", sent(b));
	assert_int_equal(1, b->s.count.audit_lost);
}

static void
packets_that_the_kernel_does_not_announce_prolong_a_flow_at_the_peer(void **state)
{
	struct bench *b = *state;

	local(b, SYNC_LOCAL_CHANGED, 1);
	tick(b, 10 * NS_PER_MS);
	forget(b);
	sync_session_audit_begin(&b->s);
	local(b, SYNC_LOCAL_DUMPED, 1); /* nothing has passed yet */
	sync_session_audit_end(&b->s);
	tick(b, 10 * NS_PER_MS);
	assert_string_equal("", sent(b));
	for (unsigned i = 0; i < 40; i++) {
		tick(b, NS_PER_S / 2);
		peer_report(b, (struct sync_position){ 7, 2 }, TD_ROLE_BACKUP, 0);
	}
	assert_int_equal(SYNC_LINK_UP, b->s.link);
	forget(b);
	sync_session_audit_begin(&b->s);
	local(b, SYNC_LOCAL_DUMPED, 1); /* the kernel says 30 s, the peer knows 10 */
	sync_session_audit_end(&b->s);
	tick(b, 10 * NS_PER_MS);
	assert_non_null(strstr(sent(b), "(+1)"));
	assert_int_equal(1, b->s.count.audit_refreshed);
}

static void
a_generation_differs_until_both_have_it(void **state)
{
	struct bench *b = *state;
	struct sync_msg msg = { .kind = SYNC_REPORT };
	uint8_t digest[TD_DIGEST_BYTES] = { 5 };
	struct sync_view v;

	sync_session_generation(&b->s, 2, digest, b->now);
	view(b, &v);
	assert_true(v.generation_differs);
	tick(b, 0);
	assert_int_equal(5, b->sent[b->sent_count - 1].report.config_digest[0]);
	msg.report.applied = (struct sync_position){ 7, 1 };
	msg.report.config_digest[0] = 5;
	peer_says(b, &msg);
	view(b, &v);
	assert_false(v.generation_differs);
}

static void
a_call_passes_both_ways_and_not_without_a_link(void **state)
{
	struct bench *b = *state;
	struct sync_msg msg = { .kind = SYNC_PEER_CALL };
	struct sync_call call = { .id = 3 };

	peer_says(b, &msg);
	assert_int_equal(1, b->calls);
	assert_true(sync_session_call(&b->s, &call));
	sync_session_transport(&b->s, false, b->now);
	assert_false(sync_session_call(&b->s, &call));
	assert_false(sync_session_resync(&b->s, b->now));
}

#define ALONE(f) cmocka_unit_test_setup_teardown(f, bench_new, bench_free)
#define IN_SYNC(f) cmocka_unit_test_setup_teardown(f, bench_in_sync, bench_free)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALONE(nothing_is_said_before_the_kernel_was_read),
		ALONE(two_hellos_make_a_link_and_an_empty_snapshot_follows),
		ALONE(the_epoch_is_above_all_that_either_side_remembers),
		ALONE(a_hello_that_does_not_fit_is_refused_by_reason),
		IN_SYNC(messages_of_another_link_are_not_looked_at),
		IN_SYNC(silence_ends_a_link),
		IN_SYNC(a_batch_out_of_place_ends_the_link),
		IN_SYNC(a_batch_twice_is_applied_once),
		IN_SYNC(a_lower_epoch_is_refused),
		IN_SYNC(an_acknowledgement_of_what_was_never_sent_ends_the_link),
		IN_SYNC(a_change_goes_at_once_and_later_ones_coalesce),
		IN_SYNC(an_end_is_told_to_who_was_told_of_the_flow),
		IN_SYNC(a_barrier_is_over_when_all_before_it_is_acknowledged),
		IN_SYNC(a_barrier_fails_in_time_or_without_a_link),
		IN_SYNC(a_new_link_goes_on_where_the_peer_stopped),
		IN_SYNC(a_peer_that_lost_its_state_gets_a_snapshot),
		IN_SYNC(a_peer_that_stopped_before_what_is_kept_gets_a_snapshot),
		IN_SYNC(the_end_of_a_snapshot_that_was_lost_is_not_replayed),
		IN_SYNC(changes_the_peer_has_not_judged_ask_for_its_snapshot),
		IN_SYNC(full_without_a_peer_gives_up_deletions_and_then_counts),
		IN_SYNC(a_batch_reaches_the_kernel_and_then_is_acknowledged),
		IN_SYNC(what_the_kernel_refuses_is_reported_and_tried_again),
		IN_SYNC(what_a_snapshot_lacks_is_swept),
		IN_SYNC(an_interrupted_snapshot_sweeps_nothing),
		IN_SYNC(a_stale_router_is_refused_and_told_what_is_right),
		IN_SYNC(a_flow_that_ended_does_not_come_back_but_a_new_one_is_merged),
		IN_SYNC(a_flow_that_crossed_with_its_end_asks_for_a_snapshot),
		IN_SYNC(of_two_flows_with_one_tuple_that_of_the_active_router_stays),
		IN_SYNC(an_undecodable_record_asks_for_a_snapshot_once),
		IN_SYNC(
		    a_replica_that_the_kernel_dropped_is_put_back_until_its_lease_is_over),
		IN_SYNC(without_a_link_no_replica_is_given_up),
		IN_SYNC(
		    a_kernel_that_moved_a_replica_on_is_set_back_unless_we_take_over),
		IN_SYNC(after_a_takeover_an_end_is_an_end),
		ALONE(what_a_backup_finds_at_start_is_no_news),
		ALONE(what_an_active_router_finds_at_start_is_in_its_snapshot),
		IN_SYNC(an_audit_that_was_aborted_is_none_of_the_two),
		IN_SYNC(a_flow_that_two_audits_miss_has_ended),
		IN_SYNC(
		    packets_that_the_kernel_does_not_announce_prolong_a_flow_at_the_peer),
		IN_SYNC(a_generation_differs_until_both_have_it),
		IN_SYNC(a_call_passes_both_ways_and_not_without_a_link),
	};

	return cmocka_run_group_tests_name("sync_session", tests, NULL, NULL);
}
