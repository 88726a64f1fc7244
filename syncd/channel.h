/*
 * channel.h - framed messages to and from the one peer, sealed and authenticated.
 *
 *   node 0   DEALER ---- connects ---->  ROUTER   node 1      each node sends on its
 * own ROUTER <--- connects ------ DEALER               connection and receives on the
 * one the peer opened
 *
 * Two connections, one per direction, because then both nodes are alike: no rule is
 * needed about who connects, a DEALER with one endpoint never spreads messages over old
 * and new connections, and a connection that died silently on the receiving side
 * disturbs nobody.
 *
 * ZeroMQ over TCP with CURVE, keys pinned on both sides: the connecting side accepts
 * only the peer's key as the server's, the accepting side asks zap.h. ZeroMQ is only
 * transport here: what is under way when a connection ends is lost without notice, and
 * the session (sync_session.h) starts again from acknowledged positions.
 *
 * Source   libzmq 4.3.4. ZMTP heartbeats stay off: with back-pressure they abort it.
 * This is the only file that sees ZeroMQ. Limits   messages of SYNC_MESSAGE_MAX bytes;
 * handshakes of 2 s. Binds and connects from the node's sync address only. Of two sync
 * addresses the first is used. Memory   one object. Message bytes are borrowed until
 * the handler returns. Errors   negative errno. A sync address that does not exist yet
 * is waited for.
 */
#ifndef TANDEM_SYNCD_CHANNEL_H
#define TANDEM_SYNCD_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/config.h>
#include "common/loop.h"
#include "syncd/core/zap.h"

struct channel;

struct channel_config {
	struct td_addr own_address, peer_address;
	uint16_t port, peer_port;
	uint8_t secret_key[TD_KEY_BYTES], public_key[TD_KEY_BYTES];
	uint8_t peer_keys[2][TD_KEY_BYTES]; /* second one for rotation; zero = unset */
	void (*on_message)(void *context, const uint8_t *bytes, size_t len);
	/* The sending connection is there and authenticated, or no longer is. */
	void (*on_transport)(void *context, bool up);
	/* All that was ready has been handed over. */
	void (*on_idle)(void *context);
	void *context;
};

enum channel_refusal {
	CHANNEL_REFUSED_KEY,       /* CURVE, but not with a key of the peer */
	CHANNEL_REFUSED_NO_CURVE,  /* another mechanism */
	CHANNEL_REFUSED_HANDSHAKE, /* broken off, timed out, or not ZMTP */
	CHANNEL_REFUSED_BY_PEER,   /* our own connection was refused, or not by the peer
				    */
	CHANNEL_REFUSED_COUNT
};

struct channel_counters {
	uint64_t refused[CHANNEL_REFUSED_COUNT];
	uint64_t connects, disconnects; /* of the sending connection, authenticated */
	uint64_t accepts;               /* of receiving connections, authenticated */
	uint64_t messages_sent, messages_received;
	uint64_t bytes_sent, bytes_received;
	uint64_t unsent; /* no connection, or its queue is full */
};

int channel_new(
    struct loop *loop, const struct channel_config *cfg, struct channel **ret_channel);
void channel_free(struct channel *channel);

/* -EAGAIN: not sent; the transport has lost it and is to be taken as down. */
int channel_send(struct channel *channel, const uint8_t *bytes, size_t len);

/* Looks for what arrived: to be called at the end of a wake-up in which something was
 * sent, because sending may swallow the descriptor's edge. */
void channel_poll(struct channel *channel);

/* Opens the sending connection again: TCP may take minutes to see a cut. */
void channel_reconnect(struct channel *channel);

const struct channel_counters *channel_counters(const struct channel *channel);
const char *channel_refusal_name(enum channel_refusal refusal);

#endif
