/*
 * witness_socket.h - the sealed datagrams by which the two nodes see each other.
 *
 * One UDP socket per sync link; every message goes out on all of them. Packets are
 * sealed with XChaCha20-Poly1305; the key is BLAKE2b over the X25519 secret that the
 * two pinned keys share, both public keys and the cluster's name, so that only exactly
 * this pair can make one. The nonce is the sender's random session and its sequence
 * number, which no two packets share. While the peer rotates its key both its pinned
 * keys are tried.
 *
 * Replays   core/witness_session.h.
 * Memory    keys are kept in this struct alone and wiped when it is freed.
 * Errors    negative errno; refused packets are counted by reason and named in the log,
 *           rate-limited.
 */
#ifndef TANDEM_VRRPD_WITNESS_SOCKET_H
#define TANDEM_VRRPD_WITNESS_SOCKET_H

#include <tandem/config.h>
#include "vrrpd/core/witness_session.h"

struct loop;
struct witness_socket;

struct witness_link_counters {
	uint64_t sent, send_failed, received;
};

struct witness_counters {
	struct witness_link_counters link[TD_SYNC_LINKS_MAX];
	uint64_t dropped[WITNESS_DROP_COUNT];
	uint64_t sessions; /* of the peer, accepted so far */
};

/* An authentic, new message. */
typedef void witness_heard(void *context, const struct witness_payload *payload);
/* A message should leave now, not at the next turn: the peer waits for our echo. */
typedef void witness_asked(void *context);

/* `secret` is copied. The configuration is only read during the call. -EINVAL: no
 * usable key of the peer; -ENOKEY: our secret belongs to none of our pinned public
 * keys. */
int witness_socket_new(struct loop *loop, const struct td_config *config,
    const uint8_t secret[TD_KEY_BYTES], witness_heard *heard, witness_asked *asked,
    void *context, struct witness_socket **ret_socket);
void witness_socket_free(struct witness_socket *socket); /* NULL is fine */

/* Completes the payload (cluster, challenge, echo, generation) and sends it on every
 * link. Returns on how many links the kernel took it. */
unsigned witness_socket_send(
    struct witness_socket *socket, const struct witness_payload *payload);

/* Delivers everything that has arrived. Also called from the loop. */
void witness_socket_drain(struct witness_socket *socket);

void witness_socket_set_generation(struct witness_socket *socket, uint64_t generation);
/* The peer's, as last heard; 0 = not yet. */
uint64_t witness_socket_peer_generation(const struct witness_socket *socket);
const struct witness_counters *witness_socket_counters(
    const struct witness_socket *socket);

#endif
