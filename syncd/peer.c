/* The session's messages through the channel, and the calls of the two mgmtd. */
#include "syncd/syncd.h"

#include <errno.h>
#include <string.h>
#include <sodium.h>
#include "common/log.h"
#include "syncd/epoch_file.h"

/* ---- out of the session ---- */

static void
sink_send(void *context, const struct sync_msg *msg)
{
	struct syncd *sd = context;
	size_t len = sync_msg_encode(msg, sd->send_buf);

	channel_send(sd->channel, sd->send_buf, len);
}

static bool
sink_persist_epoch(void *context, uint64_t epoch)
{
	struct syncd *sd = context;
	int r = epoch_file_write(sd->state_dir, epoch);

	if (r < 0) {
		log_limited(LOG_LV_ERR, "sync", 1, "epoch=%llu cannot be stored: %s",
		    (unsigned long long)epoch, strerror(-r));
		return false;
	}
	log_info("sync", "epoch=%llu begins", (unsigned long long)epoch);
	return true;
}

static void
sink_acked(void *context, int64_t latency_ns, uint32_t records)
{
	struct syncd *sd = context;

	(void)records;
	histogram_add(&sd->ack_latency, latency_ns);
}

static void
sink_barrier(void *context, uint64_t id, bool ok)
{
	struct syncd *sd = context;
	struct td_msg msg = { .kind = TD_MSG_BARRIER,
		.barrier = { .id = id, .done = true, .ok = ok } };
	int r = room_send(sd->room, TD_ROOM_VRRPD, &msg);

	log_info("sync", "barrier id=%llu ok=%d", (unsigned long long)id, ok);
	if (r < 0)
		log_warn("sync", "barrier answer unsent: %s", strerror(-r));
}

static void
sink_peer_call(void *context, const struct sync_call *call)
{
	struct syncd *sd = context;
	struct td_msg msg = { .kind = TD_MSG_PEER_CALL };
	int r;

	msg.peer_call = (struct td_msg_peer_call){
		.id = call->id,
		.answer = call->answer,
		.status = call->status,
		.method = call->method,
		.bytes = (uint8_t *)(uintptr_t)call->bytes, /* room_send only reads */
		.len = call->len,
	};
	r = room_send(sd->room, TD_ROOM_MGMTD, &msg);
	if (r == 0 || call->answer)
		return;
	/* Say so to the caller instead of letting it wait; after this wake-up, because
	 * a sink must not call back. */
	sd->bounce.pending = true;
	sd->bounce.call = (struct sync_call){
		.id = call->id, .answer = true, .status = r, .method = call->method
	};
}

void
peer_sink(struct syncd *sd, struct sync_sink *sink)
{
	(void)sd;
	sink->send = sink_send;
	sink->persist_epoch = sink_persist_epoch;
	sink->acked = sink_acked;
	sink->barrier = sink_barrier;
	sink->peer_call = sink_peer_call;
}

/* ---- into the session ---- */

static void
on_message(void *context, const uint8_t *bytes, size_t len)
{
	struct syncd *sd = context;
	struct sync_msg msg;
	enum sync_drop drop = sync_msg_decode(&sd->decoder, bytes, len, &msg);

	if (drop != SYNC_OK) {
		sd->undecodable[drop]++;
		log_limited(LOG_LV_WARN, "sync", 1,
		    "message from the peer dropped reason=%s", sync_drop_name(drop));
		return;
	}
	sync_session_receive(&sd->session, &msg, loop_now(sd->loop));
}

static void
on_transport(void *context, bool up)
{
	struct syncd *sd = context;

	sync_session_transport(&sd->session, up, loop_now(sd->loop));
}

static void
on_idle(void *context)
{
	syncd_work(context);
}

void
peer_call_from_mgmtd(struct syncd *sd, const struct td_msg_peer_call *in)
{
	struct sync_call call = { .id = in->id,
		.answer = in->answer,
		.status = in->status,
		.method = in->method,
		.bytes = in->bytes,
		.len = in->len };
	struct td_msg msg = { .kind = TD_MSG_PEER_CALL };

	if (in->len <= SYNC_CALL_MAX && sync_session_call(&sd->session, &call))
		return;
	if (in->answer)
		return;
	msg.peer_call = (struct td_msg_peer_call){ .id = in->id,
		.answer = true,
		.status = in->len <= SYNC_CALL_MAX ? -EHOSTUNREACH : -EMSGSIZE,
		.method = in->method };
	room_send(sd->room, TD_ROOM_MGMTD, &msg);
}

/* What the session could not do from within its sink. */
void
peer_after_tick(struct syncd *sd)
{
	uint64_t silent = sd->session.count.restarts[SYNC_RESTART_SILENT];

	if (sd->bounce.pending) {
		sd->bounce.pending = false;
		sync_session_call(&sd->session, &sd->bounce.call);
	}
	if (silent != sd->silences_seen) {
		/* TCP may believe in the old connection for minutes. */
		sd->silences_seen = silent;
		log_warn("sync", "the peer is silent: connecting again");
		channel_reconnect(sd->channel);
	}
}

/* ---- life ---- */

static int
channel_config_fill(const struct syncd *sd, struct channel_config *cfg)
{
	const struct td_config *config = sd->config;
	const struct td_node *self = &config->nodes[config->self];
	const struct td_node *peer = &config->nodes[1 - config->self];

	if (!sd->have_keys) {
		log_err("sync", "no secret key: tandemctl keygen makes one");
		return -ENOKEY;
	}
	if (sodium_memcmp(sd->keys.public_key, self->public_key[0], TD_KEY_BYTES) !=
		0 &&
	    sodium_memcmp(sd->keys.public_key, self->public_key[1], TD_KEY_BYTES) !=
		0) {
		log_err("sync",
		    "the secret key is not that of node %s in the configuration",
		    self->name);
		return -EKEYREJECTED;
	}
	memset(cfg, 0, sizeof(*cfg));
	cfg->own_address = self->sync_address[0];
	cfg->peer_address = peer->sync_address[0];
	cfg->port = config->sync.port;
	cfg->peer_port = config->sync.port;
	memcpy(cfg->secret_key, sd->keys.secret_key, TD_KEY_BYTES);
	memcpy(cfg->public_key, sd->keys.public_key, TD_KEY_BYTES);
	memcpy(cfg->peer_keys, peer->public_key, sizeof(cfg->peer_keys));
	cfg->on_message = on_message;
	cfg->on_transport = on_transport;
	cfg->on_idle = on_idle;
	cfg->context = (void *)(uintptr_t)sd;
	return 0;
}

int
peer_open(struct syncd *sd)
{
	int r = channel_config_fill(sd, &sd->channel_config);

	return r < 0 ? r : channel_new(sd->loop, &sd->channel_config, &sd->channel);
}

/* Only what the channel is made of makes a new one. */
int
peer_reconfigure(struct syncd *sd)
{
	struct channel_config cfg;
	struct channel *channel;
	int r = channel_config_fill(sd, &cfg);

	if (r < 0)
		return r;
	/* Without a channel the last change failed, and this may be its revert. */
	if (sd->channel != NULL && memcmp(&cfg, &sd->channel_config, sizeof(cfg)) == 0)
		return 0;
	peer_close(sd);
	sync_session_transport(&sd->session, false, loop_now(sd->loop));
	r = channel_new(sd->loop, &cfg, &channel);
	if (r < 0)
		return r;
	sd->channel = channel;
	sd->channel_config = cfg;
	return 0;
}

void
peer_close(struct syncd *sd)
{
	channel_free(sd->channel);
	sd->channel = NULL;
}
