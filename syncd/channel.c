#include "syncd/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sodium.h>
#include <zmq.h>
#include "common/log.h"
#include "syncd/core/sync_msg.h"

/* zmq.h shows it to users of the draft API only; every 4.3 library has it. Without it a
 * connection would be let in if our handler were not there. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

/* What one wake-up hands over. Applying a batch is work: beyond this the loop comes
 * round first, so that reports go out and the supervisor is answered. */
#define MESSAGES_PER_WAKE 64
#define BYTES_PER_WAKE 65536
#define QUEUE_MESSAGES 8192 /* the session's window is the real limit */
#define RECONNECT_MS 100
#define HANDSHAKE_MS 2000
#define CONNECT_MS 1000
#define TCP_SILENCE_MS 3000
#define BIND_RETRY_NS NS_PER_S
#define REFUSED_RETRY_NS NS_PER_S
#define REFUSAL_LOG_NS (60 * NS_PER_S)
#define KEY_FAILURES 2 /* then the peer's other key is tried */

enum { S_SEND, S_RECEIVE, S_ZAP, S_SEND_MONITOR, S_RECEIVE_MONITOR, S_COUNT };

struct channel {
	struct loop *loop; /* borrowed */
	struct channel_config cfg;
	struct channel_counters count;
	void *zmq;
	void *socket[S_COUNT];
	struct loop_fd lf[S_COUNT];
	struct loop_timer again; /* the rest of a long queue; binding */
	struct loop_timer retry; /* connecting after a refusal */
	struct td_instant wake;  /* of what is left of its share: */
	unsigned messages_left;
	uint64_t bytes_end;
	char own_end[96], peer_end[176];
	bool bound, up, lost, processing, more;
	unsigned key,
	    key_failures; /* which of peer_keys is tried, and how often in vain */
	struct {
		struct td_instant quiet_until;
		uint64_t held;
	} refusal_log[CHANNEL_REFUSED_COUNT];
};

const char *
channel_refusal_name(enum channel_refusal refusal)
{
	static const char *const names[CHANNEL_REFUSED_COUNT] = {
		[CHANNEL_REFUSED_KEY] = "wrong_key",
		[CHANNEL_REFUSED_NO_CURVE] = "no_curve",
		[CHANNEL_REFUSED_HANDSHAKE] = "handshake",
		[CHANNEL_REFUSED_BY_PEER] = "refused_by_peer",
	};

	return names[refusal];
}

const struct channel_counters *
channel_counters(const struct channel *channel)
{
	return &channel->count;
}

/* One line, then silence for a minute: whoever is refused tries again at once. */
static void
refused(struct channel *ch, enum channel_refusal reason, const char *from, int detail)
{
	struct td_instant now = loop_now(ch->loop);

	ch->count.refused[reason]++;
	if (!instant_reached(now, ch->refusal_log[reason].quiet_until)) {
		ch->refusal_log[reason].held++;
		return;
	}
	log_warn("sync",
	    "connection refused reason=%s from=%s detail=%d held_back=%llu",
	    channel_refusal_name(reason), from, detail,
	    (unsigned long long)ch->refusal_log[reason].held);
	ch->refusal_log[reason].held = 0;
	ch->refusal_log[reason].quiet_until = instant_add(now, REFUSAL_LOG_NS);
}

/* ---- transport up and down ---- */

static void
transport_set(struct channel *ch, bool up)
{
	if (ch->up == up)
		return;
	ch->up = up;
	if (up)
		ch->count.connects++;
	else
		ch->count.disconnects++;
	ch->cfg.on_transport(ch->cfg.context, up);
}

static int
connect_send(struct channel *ch)
{
	if (zmq_setsockopt(ch->socket[S_SEND], ZMQ_CURVE_SERVERKEY,
		ch->cfg.peer_keys[ch->key], TD_KEY_BYTES) < 0 ||
	    zmq_connect(ch->socket[S_SEND], ch->peer_end) < 0)
		return -errno;
	return 0;
}

void
channel_reconnect(struct channel *ch)
{
	int r;

	if (zmq_disconnect(ch->socket[S_SEND], ch->peer_end) < 0)
		log_debug("sync", "disconnect peer=%s: %s", ch->peer_end,
		    zmq_strerror(errno));
	transport_set(ch, false);
	r = connect_send(ch);
	if (r < 0)
		log_err("sync", "connect peer=%s: %s", ch->peer_end, strerror(-r));
}

/* After a refusal libzmq gives an endpoint up for good, but the peer's key may be about
 * to be changed, or ours to be let in. */
static void
send_failed(struct channel *ch, int detail)
{
	refused(ch, CHANNEL_REFUSED_BY_PEER, ch->peer_end, detail);
	if (ch->retry.deadline.ns == TD_NEVER.ns)
		loop_timer_set(
		    &ch->retry, instant_add(loop_now(ch->loop), REFUSED_RETRY_NS));
}

static void
on_retry(struct loop_timer *timer)
{
	struct channel *ch = timer->context;

	if (ch->up)
		return;
	if (++ch->key_failures >= KEY_FAILURES &&
	    !sodium_is_zero(ch->cfg.peer_keys[1], TD_KEY_BYTES)) {
		ch->key_failures = 0;
		ch->key = 1 - ch->key;
	}
	channel_reconnect(ch);
}

/* ---- what sockets say ---- */

/* The first frame of a monitor event: u16 event, u32 value, in host order. */
static bool
monitor_take(void *socket, uint16_t *ret_event, uint32_t *ret_value)
{
	uint8_t frame[6], address[256];

	if (zmq_recv(socket, frame, sizeof(frame), ZMQ_DONTWAIT) != sizeof(frame))
		return false;
	memcpy(ret_event, frame, sizeof(*ret_event));
	memcpy(ret_value, frame + 2, sizeof(*ret_value));
	zmq_recv(socket, address, sizeof(address), ZMQ_DONTWAIT);
	return true;
}

static bool
send_monitor_read(struct channel *ch)
{
	uint16_t event;
	uint32_t value;

	if (!monitor_take(ch->socket[S_SEND_MONITOR], &event, &value))
		return false;
	switch (event) {
	case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
		ch->key_failures = 0;
		transport_set(ch, true);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
	case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
	case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
		send_failed(ch, (int)value);
		break;
	case ZMQ_EVENT_DISCONNECTED:
		transport_set(ch, false);
		break;
	}
	return true;
}

static bool
receive_monitor_read(struct channel *ch)
{
	uint16_t event;
	uint32_t value;

	if (!monitor_take(ch->socket[S_RECEIVE_MONITOR], &event, &value))
		return false;
	switch (event) {
	case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
		ch->count.accepts++;
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
		refused(ch,
		    value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
			? CHANNEL_REFUSED_NO_CURVE
			: CHANNEL_REFUSED_HANDSHAKE,
		    ch->own_end, (int)value);
		break;
	case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
		refused(ch, CHANNEL_REFUSED_HANDSHAKE, ch->own_end, (int)value);
		break;
	}
	/* HANDSHAKE_FAILED_AUTH is the echo of our own verdict. */
	return true;
}

static bool
zap_read(struct channel *ch)
{
	void *zap = ch->socket[S_ZAP];
	uint8_t bytes[ZAP_FRAMES][256];
	struct zap_frame frame[ZAP_FRAMES] = { { NULL, 0 } };
	enum zap_verdict verdict;
	size_t count = 0;
	int more = 1;

	while (more) {
		uint8_t rest[256];
		bool fits = count < ZAP_FRAMES;
		size_t len_size = sizeof(more);
		int n = zmq_recv(
		    zap, fits ? bytes[count] : rest, sizeof(rest), ZMQ_DONTWAIT);

		if (n < 0)
			return false;
		if (fits) {
			frame[count].bytes = bytes[count];
			frame[count].len = (size_t)n < sizeof(rest) ? (size_t)n : 0;
		}
		count++;
		zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &len_size);
	}
	verdict = zap_judge(frame, count, ch->cfg.peer_keys);
	if (verdict != ZAP_ALLOWED) {
		char from[64] = "";

		if (count > 3)
			snprintf(from, sizeof(from), "%.*s", (int)frame[3].len,
			    (const char *)frame[3].bytes);
		refused(ch,
		    verdict == ZAP_DENIED_MECHANISM ? CHANNEL_REFUSED_NO_CURVE
						    : CHANNEL_REFUSED_KEY,
		    from, (int)verdict);
	}
	zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(zap, frame[1].bytes, count > 1 ? frame[1].len : 0, ZMQ_SNDMORE);
	zmq_send(zap, verdict == ZAP_ALLOWED ? "200" : "400", 3, ZMQ_SNDMORE);
	zmq_send(zap, zap_verdict_name(verdict), strlen(zap_verdict_name(verdict)),
	    ZMQ_SNDMORE);
	zmq_send(zap, "", 0, ZMQ_SNDMORE);
	zmq_send(zap, "", 0, 0);
	return true;
}

/* One message: the frame with the connection's name, then ours. */
static bool
receive_read(struct channel *ch)
{
	void *socket = ch->socket[S_RECEIVE];
	zmq_msg_t frame;
	unsigned part = 0;
	bool more = true;

	while (more) {
		zmq_msg_init(&frame);
		if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(&frame);
			return false;
		}
		more = zmq_msg_more(&frame) != 0;
		if (part == 1 && !more) {
			ch->count.messages_received++;
			ch->count.bytes_received += zmq_msg_size(&frame);
			ch->cfg.on_message(ch->cfg.context, zmq_msg_data(&frame),
			    zmq_msg_size(&frame));
		}
		zmq_msg_close(&frame);
		part++;
	}
	return true;
}

static void
bind_receive(struct channel *ch)
{
	if (zmq_bind(ch->socket[S_RECEIVE], ch->own_end) == 0) {
		ch->bound = true;
		log_info("sync", "listening on %s", ch->own_end);
		return;
	}
	log_limited(LOG_LV_WARN, "sync", 1, "cannot listen on %s: %s; trying again",
	    ch->own_end, zmq_strerror(errno));
	loop_timer_set(&ch->again, instant_add(loop_now(ch->loop), BIND_RETRY_NS));
}

/* Everything that is ready, monitors first: that a connection ended must be known
 * before what came over the next one. Returns whether there was anything. */
static bool
drain(struct channel *ch)
{
	unsigned count = 0;

	while (zap_read(ch))
		count++;
	while (send_monitor_read(ch))
		count++;
	while (receive_monitor_read(ch))
		count++;
	while (ch->messages_left > 0 && ch->count.bytes_received < ch->bytes_end &&
	       receive_read(ch)) {
		count++;
		ch->messages_left--;
	}
	if (ch->messages_left == 0 || ch->count.bytes_received >= ch->bytes_end)
		ch->more = true;
	if (ch->lost) {
		ch->lost = false;
		channel_reconnect(ch);
	}
	return count > 0;
}

static void
process(struct channel *ch, bool idle_first)
{
	struct td_instant now = loop_now(ch->loop);
	bool any = false;

	if (ch->processing)
		return;
	if (now.ns != ch->wake.ns) {
		ch->wake = now;
		ch->messages_left = MESSAGES_PER_WAKE;
		ch->bytes_end = ch->count.bytes_received + BYTES_PER_WAKE;
	}
	ch->processing = true;
	ch->more = false;
	/* What on_idle sends may swallow the next arrival's edge, so look again. */
	for (unsigned i = 0; i < 4; i++) {
		any = drain(ch);
		if (!any && (i > 0 || !idle_first))
			break;
		ch->cfg.on_idle(ch->cfg.context);
	}
	if (any || ch->more)
		loop_timer_set(&ch->again, instant_add(now, 1)); /* next wake-up */
	ch->processing = false;
}

void
channel_poll(struct channel *ch)
{
	process(ch, false);
}

static void
on_readable(struct loop_fd *lf, uint32_t events)
{
	struct channel *ch = lf->context;
	int ready;
	size_t size = sizeof(ready);

	(void)events;
	/* Reading the events is what makes the sending socket carry on. */
	zmq_getsockopt(ch->socket[S_SEND], ZMQ_EVENTS, &ready, &size);
	process(ch, true);
}

static void
on_again(struct loop_timer *timer)
{
	struct channel *ch = timer->context;

	if (!ch->bound)
		bind_receive(ch);
	process(ch, true);
}

int
channel_send(struct channel *ch, const uint8_t *bytes, size_t len)
{
	if (ch->up &&
	    zmq_send(ch->socket[S_SEND], bytes, len, ZMQ_DONTWAIT) == (int)len) {
		ch->count.messages_sent++;
		ch->count.bytes_sent += len;
		return 0;
	}
	ch->count.unsent++;
	ch->lost = ch->up;
	return -EAGAIN;
}

/* ---- set-up ---- */

static void
end_format(char *buf, size_t size, const struct td_addr *addr, uint16_t port)
{
	char text[TD_ADDR_STRLEN];

	td_addr_format(addr, text);
	snprintf(
	    buf, size, addr->family == TD_AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
}

static int
option(void *socket, int name, int value)
{
	return zmq_setsockopt(socket, name, &value, sizeof(value));
}

static int
socket_options(struct channel *ch, void *socket)
{
	int r = 0;

	r |= option(socket, ZMQ_LINGER, 0);
	r |= option(socket, ZMQ_IPV6, ch->cfg.own_address.family == TD_AF_INET6);
	r |= option(socket, ZMQ_SNDHWM, QUEUE_MESSAGES);
	r |= option(socket, ZMQ_RCVHWM, QUEUE_MESSAGES);
	r |= option(socket, ZMQ_IMMEDIATE, 1);
	r |= option(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
	r |= option(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
	r |= option(socket, ZMQ_CONNECT_TIMEOUT, CONNECT_MS);
	r |= option(socket, ZMQ_TCP_MAXRT, TCP_SILENCE_MS);
	r |= option(socket, ZMQ_TCP_KEEPALIVE, 1);
	r |= option(socket, ZMQ_TCP_KEEPALIVE_IDLE, 2);
	r |= option(socket, ZMQ_TCP_KEEPALIVE_INTVL, 1);
	r |= option(socket, ZMQ_TCP_KEEPALIVE_CNT, 3);
	r |= option(socket, ZMQ_BACKLOG, 4);
	return r;
}

static int
monitor_open(struct channel *ch, int of, int monitor, const char *end)
{
	ch->socket[monitor] = zmq_socket(ch->zmq, ZMQ_PAIR);
	if (ch->socket[monitor] == NULL ||
	    zmq_socket_monitor(ch->socket[of], end, ZMQ_EVENT_ALL) < 0)
		return -1;
	return zmq_connect(ch->socket[monitor], end);
}

static int
open_sockets(struct channel *ch)
{
	static const int64_t message_max = SYNC_MESSAGE_MAX;
	const struct channel_config *cfg = &ch->cfg;
	int r = 0;

	ch->socket[S_ZAP] = zmq_socket(ch->zmq, ZMQ_REP);
	ch->socket[S_RECEIVE] = zmq_socket(ch->zmq, ZMQ_ROUTER);
	ch->socket[S_SEND] = zmq_socket(ch->zmq, ZMQ_DEALER);
	if (ch->socket[S_ZAP] == NULL || ch->socket[S_RECEIVE] == NULL ||
	    ch->socket[S_SEND] == NULL ||
	    zmq_bind(ch->socket[S_ZAP], "inproc://zeromq.zap.01") < 0)
		return -errno;
	for (int i = S_SEND; i <= S_RECEIVE; i++) {
		void *socket = ch->socket[i];

		r |= socket_options(ch, socket);
		r |= zmq_setsockopt(
		    socket, ZMQ_MAXMSGSIZE, &message_max, sizeof(message_max));
		r |= zmq_setsockopt(
		    socket, ZMQ_CURVE_PUBLICKEY, cfg->public_key, TD_KEY_BYTES);
		r |= zmq_setsockopt(
		    socket, ZMQ_CURVE_SECRETKEY, cfg->secret_key, TD_KEY_BYTES);
	}
	r |= option(ch->socket[S_RECEIVE], ZMQ_CURVE_SERVER, 1);
	r |= zmq_setsockopt(
	    ch->socket[S_RECEIVE], ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN));
	r |= option(ch->socket[S_RECEIVE], ZMQ_ZAP_ENFORCE_DOMAIN, 1);
	if (r != 0 ||
	    monitor_open(ch, S_SEND, S_SEND_MONITOR, "inproc://sending") < 0 ||
	    monitor_open(ch, S_RECEIVE, S_RECEIVE_MONITOR, "inproc://receiving") < 0)
		return -errno;
	for (int i = 0; i < S_COUNT; i++) {
		int fd;
		size_t size = sizeof(fd);

		if (zmq_getsockopt(ch->socket[i], ZMQ_FD, &fd, &size) < 0)
			return -errno;
		r = loop_fd_add(ch->loop, &ch->lf[i], fd, EPOLLIN, on_readable, ch);
		if (r < 0)
			return r;
	}
	return 0;
}

int
channel_new(
    struct loop *loop, const struct channel_config *cfg, struct channel **ret_channel)
{
	struct channel *ch;
	char own[80], own_any[80], peer[80];
	int r;

	if (zmq_has("curve") == 0)
		return -ENOSYS;
	ch = calloc(1, sizeof(*ch));
	if (ch == NULL)
		return -ENOMEM;
	ch->loop = loop;
	ch->cfg = *cfg;
	loop_timer_init(loop, &ch->again, on_again, ch);
	loop_timer_init(loop, &ch->retry, on_retry, ch);
	end_format(own, sizeof(own), &cfg->own_address, cfg->port);
	end_format(own_any, sizeof(own_any), &cfg->own_address, 0);
	end_format(peer, sizeof(peer), &cfg->peer_address, cfg->peer_port);
	snprintf(ch->own_end, sizeof(ch->own_end), "tcp://%s", own);
	snprintf(ch->peer_end, sizeof(ch->peer_end), "tcp://%s;%s", own_any, peer);
	ch->zmq = zmq_ctx_new();
	r = ch->zmq == NULL ? -ENOMEM : open_sockets(ch);
	if (r == 0)
		r = connect_send(ch);
	if (r < 0) {
		channel_free(ch);
		return r;
	}
	bind_receive(ch);
	*ret_channel = ch;
	return 0;
}

void
channel_free(struct channel *ch)
{
	if (ch == NULL)
		return;
	loop_timer_cancel(&ch->again);
	loop_timer_cancel(&ch->retry);
	for (int i = 0; i < S_COUNT; i++) {
		if (ch->lf[i].loop != NULL)
			loop_fd_remove(&ch->lf[i]);
	}
	for (int i = S_SEND; i <= S_RECEIVE; i++) {
		if (ch->socket[i] != NULL)
			zmq_socket_monitor(ch->socket[i], NULL, 0);
	}
	for (int i = 0; i < S_COUNT; i++) {
		if (ch->socket[i] != NULL)
			zmq_close(ch->socket[i]);
	}
	if (ch->zmq != NULL)
		zmq_ctx_term(ch->zmq);
	sodium_memzero(&ch->cfg, sizeof(ch->cfg));
	free(ch);
}
