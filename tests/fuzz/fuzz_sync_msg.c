/*
 * Any sequence of messages from the peer, each after two bytes of length: undecodable,
 * or the same after another round through the codec; and a session that is up takes it,
 * whatever it says. The first byte of a message's length also steers: with its top bit
 * a batch is given the position the session waits for, so that its records are looked
 * at.
 */
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "syncd/core/sync_session.h"
#include "syncd/core/sync_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct sync_session session;
static struct sync_decoder decoder, decoder_again;
static uint8_t buf[SYNC_MESSAGE_MAX];

static void
sink_send(void *context, const struct sync_msg *msg)
{
	(void)context;
	td_assert(sync_msg_encode(msg, buf) <= SYNC_MESSAGE_MAX);
}

static bool
sink_persist(void *context, uint64_t epoch)
{
	(void)context;
	(void)epoch;
	return true;
}

static void
sink_upsert(void *context, uint32_t index, const struct flow_record *flow,
    uint32_t timeout_s, bool present)
{
	(void)context;
	(void)flow;
	(void)timeout_s;
	(void)present;
	sync_session_applied(&session, index, index % 7 == 3 ? -12 : 0);
}

static void
sink_delete(void *context, const struct flow_key *key)
{
	(void)context;
	(void)key;
}

static void
sink_flush(void *context)
{
	(void)context;
}

static void
sink_acked(void *context, int64_t latency_ns, uint32_t records)
{
	(void)context;
	(void)latency_ns;
	(void)records;
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

static void
bring_up(struct td_instant now)
{
	struct sync_msg hello = { .kind = SYNC_HELLO };

	hello.hello.major = SYNC_MAJOR;
	strcpy(hello.hello.cluster, "fuzz");
	hello.hello.node_index = 1;
	hello.hello.boot = 2;
	hello.hello.link = 3;
	hello.hello.heard_link = session.own_link;
	sync_session_receive(&session, &hello, now);
	td_assert(session.link == SYNC_LINK_UP);
}

static void
round_trip(const struct sync_msg *msg)
{
	static uint8_t first[SYNC_MESSAGE_MAX], second[SYNC_MESSAGE_MAX];
	struct sync_msg again;
	size_t len = sync_msg_encode(msg, first);

	td_assert(sync_msg_decode(&decoder_again, first, len, &again) == SYNC_OK);
	td_assert(sync_msg_encode(&again, second) == len);
	td_assert(memcmp(first, second, len) == 0);
}

static void
take(struct sync_msg *msg, bool fits, struct td_instant now)
{
	if (fits && msg->kind != SYNC_HELLO) {
		msg->to_link = session.own_link;
		if (msg->kind == SYNC_BATCH) {
			msg->batch.epoch = session.applied.epoch;
			msg->batch.seq = session.applied.seq + 1;
		}
	}
	sync_session_receive(&session, msg, now);
	sync_session_tick(&session, now);
	td_assert(session.shadow->count <= session.shadow->flows_max);
	td_assert(session.ring.held_bytes <= session.cfg.window_bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct td_reader rd = { bytes, len, false };
	struct td_instant now = { NS_PER_S };
	struct shadow shadow;
	struct sync_config cfg;
	struct sync_sink sink = { NULL, sink_send, sink_persist, sink_upsert,
		sink_delete, sink_flush, sink_acked, sink_barrier, sink_call };

	sync_config_defaults(&cfg);
	strcpy(cfg.cluster, "fuzz");
	cfg.boot = 1;
	cfg.batch_bytes = 1024;
	cfg.window_bytes = 8192;
	cfg.snapshot_window_bytes = 4096;
	td_assert(shadow_init(&shadow, 16, (struct siphash_key){ 1, 2 }));
	td_assert(sync_session_init(&session, &cfg, &shadow, &sink, now));
	sync_session_ready(&session, now);
	sync_session_transport(&session, true, now);
	bring_up(now);

	while (rd.left > 2) {
		uint16_t head = read_be16(&rd);
		size_t n = head & 0x3fff;
		struct sync_msg msg;

		if (n > rd.left)
			n = rd.left;
		if (sync_msg_decode(&decoder, read_take(&rd, n), n, &msg) == SYNC_OK) {
			round_trip(&msg);
			take(&msg, (head & 0x8000) != 0, now);
		}
		now = instant_add(now, NS_PER_MS);
		if (head & 0x4000)
			sync_session_role(
			    &session, head % 3, head % 5, TD_ROLE_INITIALIZE, 0, now);
	}
	sync_session_fini(&session);
	shadow_fini(&shadow);
	return 0;
}
