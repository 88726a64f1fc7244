#include "vrrpd/witness_socket.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/log.h"
#include "common/loop.h"

#define KEY_CONTEXT "tandem witness v1"
#define DRAIN_MAX 512
#define PRIORITY_CONTROL 7
#define TOS_CONTROL 0xc0
#define PEER_KEYS 2

struct witness_link {
	struct witness_socket *ws;
	struct loop_fd lf;
	int fd;
	struct sockaddr_storage to;
	socklen_t to_len;
};

struct witness_socket {
	struct loop *loop;
	witness_heard *heard;
	witness_asked *asked;
	void *context;
	struct witness_link link[TD_SYNC_LINKS_MAX];
	uint8_t self;
	uint64_t cluster, generation, peer_generation;
	uint8_t session[WITNESS_SESSION_BYTES];
	uint64_t seq;
	struct witness_session peer;
	unsigned key_count, key_in_use; /* the one that opened the last packet */
	bool key_proven;
	uint8_t key[PEER_KEYS][crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	struct witness_counters counters;
};

static_assert(WITNESS_SESSION_BYTES + 8 == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    "session and sequence are the nonce");
static_assert(WITNESS_SEAL_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
static_assert(TD_KEY_BYTES == crypto_scalarmult_BYTES, "X25519");

static bool
is_zero(const uint8_t key[TD_KEY_BYTES])
{
	return sodium_is_zero(key, TD_KEY_BYTES) == 1;
}

/* Both ends must arrive at the same bytes: the node of lower index comes first. */
static int
derive_key(const struct td_config *config, const uint8_t secret[TD_KEY_BYTES],
    const uint8_t own_public[TD_KEY_BYTES], const uint8_t peer_public[TD_KEY_BYTES],
    uint8_t *ret_key)
{
	uint8_t shared[crypto_scalarmult_BYTES];
	crypto_generichash_state st;
	const uint8_t *first = config->self == 0 ? own_public : peer_public;
	const uint8_t *second = config->self == 0 ? peer_public : own_public;

	if (crypto_scalarmult(shared, secret, peer_public) != 0)
		return -EINVAL; /* a point of small order: no key at all */
	crypto_generichash_init(&st, (const uint8_t *)KEY_CONTEXT, strlen(KEY_CONTEXT),
	    crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
	crypto_generichash_update(&st, shared, sizeof(shared));
	crypto_generichash_update(&st, first, TD_KEY_BYTES);
	crypto_generichash_update(&st, second, TD_KEY_BYTES);
	crypto_generichash_update(
	    &st, (const uint8_t *)config->cluster, strlen(config->cluster));
	crypto_generichash_final(
	    &st, ret_key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(&st, sizeof(st));
	return 0;
}

static int
derive_keys(struct witness_socket *ws, const struct td_config *config,
    const uint8_t secret[TD_KEY_BYTES])
{
	const struct td_node *self = &config->nodes[config->self];
	const struct td_node *peer = &config->nodes[1 - config->self];
	uint8_t own_public[TD_KEY_BYTES];

	if (crypto_scalarmult_base(own_public, secret) != 0)
		return -EINVAL;
	if (memcmp(own_public, self->public_key[0], TD_KEY_BYTES) != 0 &&
	    memcmp(own_public, self->public_key[1], TD_KEY_BYTES) != 0)
		return -ENOKEY;
	for (unsigned i = 0; i < PEER_KEYS; i++) {
		if (is_zero(peer->public_key[i]))
			continue;
		if (derive_key(config, secret, own_public, peer->public_key[i],
			ws->key[ws->key_count]) < 0)
			return -EINVAL;
		ws->key_count++;
	}
	return ws->key_count > 0 ? 0 : -EINVAL;
}

static uint64_t
random_u64(void)
{
	uint64_t value;

	randombytes_buf(&value, sizeof(value));
	return value;
}

static uint64_t
cluster_hash(const char *cluster)
{
	uint8_t hash[crypto_generichash_BYTES_MIN];
	uint64_t value = 0;

	crypto_generichash(
	    hash, sizeof(hash), (const uint8_t *)cluster, strlen(cluster), NULL, 0);
	for (unsigned i = 0; i < 8; i++)
		value = value << 8 | hash[i];
	return value;
}

static socklen_t
socket_address(const struct td_addr *addr, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (addr->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, addr->bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, addr->bytes, 16);
	return sizeof(*in6);
}

static void drain_link(struct witness_link *link);

static void
on_readable(struct loop_fd *lf, uint32_t events)
{
	(void)events;
	drain_link(lf->context);
}

static int
open_link(struct witness_link *link, const struct td_addr *own,
    const struct td_addr *peer, uint16_t port)
{
	struct sockaddr_storage local;
	socklen_t local_len = socket_address(own, port, &local);
	int on = 1, tos = TOS_CONTROL, priority = PRIORITY_CONTROL, result;
	int fd = socket(own->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	link->to_len = socket_address(peer, port, &link->to);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) < 0)
		goto fail;
	/* The address may come later than we do. */
	if (own->family == AF_INET)
		result = setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) |
			 setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else
		result = setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on)) |
			 setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) |
			 setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	if (result < 0 || bind(fd, (struct sockaddr *)&local, local_len) < 0)
		goto fail;
	result = loop_fd_add(link->ws->loop, &link->lf, fd, EPOLLIN, on_readable, link);
	if (result < 0) {
		close(fd);
		return result;
	}
	link->fd = fd;
	return 0;
fail:
	result = -errno;
	close(fd);
	return result;
}

int
witness_socket_new(struct loop *loop, const struct td_config *config,
    const uint8_t secret[TD_KEY_BYTES], witness_heard *heard, witness_asked *asked,
    void *context, struct witness_socket **ret_socket)
{
	const struct td_node *self = &config->nodes[config->self];
	const struct td_node *peer = &config->nodes[1 - config->self];
	struct witness_socket *ws;
	int result;

	if (sodium_init() < 0)
		return -ENOSYS;
	ws = calloc(1, sizeof(*ws));
	if (ws == NULL)
		return -ENOMEM;
	ws->loop = loop;
	ws->heard = heard;
	ws->asked = asked;
	ws->context = context;
	ws->self = (uint8_t)config->self;
	ws->cluster = cluster_hash(config->cluster);
	ws->generation = config->generation;
	randombytes_buf(ws->session, sizeof(ws->session));
	witness_session_init(&ws->peer, random_u64());
	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX; i++) {
		ws->link[i].ws = ws;
		ws->link[i].fd = -1;
	}
	result = derive_keys(ws, config, secret);
	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX && result == 0; i++)
		if (self->sync_address[i].family != 0 &&
		    peer->sync_address[i].family == self->sync_address[i].family)
			result = open_link(&ws->link[i], &self->sync_address[i],
			    &peer->sync_address[i], config->sync.witness_port);
	if (result < 0) {
		witness_socket_free(ws);
		return result;
	}
	*ret_socket = ws;
	return 0;
}

void
witness_socket_free(struct witness_socket *ws)
{
	if (ws == NULL)
		return;
	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX; i++)
		if (ws->link[i].fd >= 0) {
			loop_fd_remove(&ws->link[i].lf);
			close(ws->link[i].fd);
		}
	sodium_memzero(ws, sizeof(*ws));
	free(ws);
}

static void
make_nonce(const struct witness_header *header,
    uint8_t ret_nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES])
{
	memcpy(ret_nonce, header->session, WITNESS_SESSION_BYTES);
	for (unsigned i = 0; i < 8; i++)
		ret_nonce[WITNESS_SESSION_BYTES + i] =
		    (uint8_t)(header->seq >> (56 - 8 * i));
}

/* Until the peer has been heard it is not known which of its keys it holds: take turns.
 */
static unsigned
choose_key(const struct witness_socket *ws)
{
	if (ws->key_proven)
		return ws->key_in_use;
	return (unsigned)(ws->seq % ws->key_count);
}

unsigned
witness_socket_send(struct witness_socket *ws, const struct witness_payload *payload)
{
	struct witness_payload p = *payload;
	struct witness_header h = { .sender = ws->self, .seq = ++ws->seq };
	uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	uint8_t packet[WITNESS_PACKET_BYTES_MAX], plain[WITNESS_PAYLOAD_BYTES_MAX];
	unsigned long long sealed_len;
	size_t plain_len, len;
	unsigned sent = 0;

	p.cluster = ws->cluster;
	p.generation = ws->generation;
	p.challenge = ws->peer.challenge;
	p.echo = ws->peer.echo;
	memcpy(h.session, ws->session, sizeof(h.session));
	witness_header_encode(&h, packet);
	plain_len = witness_payload_encode(&p, plain);
	make_nonce(&h, nonce);
	crypto_aead_xchacha20poly1305_ietf_encrypt(packet + WITNESS_HEADER_BYTES,
	    &sealed_len, plain, plain_len, packet, WITNESS_HEADER_BYTES, NULL, nonce,
	    ws->key[choose_key(ws)]);
	len = WITNESS_HEADER_BYTES + (size_t)sealed_len;
	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX; i++) {
		struct witness_link *link = &ws->link[i];

		if (link->fd < 0)
			continue;
		if (sendto(link->fd, packet, len, 0, (struct sockaddr *)&link->to,
			link->to_len) < 0) {
			ws->counters.link[i].send_failed++;
			log_limited(LOG_LV_WARN, "witness", 1, "link=%u not sent: %s",
			    i, strerror(errno));
		} else {
			ws->counters.link[i].sent++;
			sent++;
		}
	}
	return sent;
}

static bool
unseal(struct witness_socket *ws, const struct witness_header *h, const uint8_t *packet,
    size_t len, uint8_t *ret_plain, size_t *ret_len)
{
	uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	unsigned long long plain_len;

	make_nonce(h, nonce);
	for (unsigned i = 0; i < ws->key_count; i++) {
		unsigned k = (ws->key_in_use + i) % ws->key_count;

		if (crypto_aead_xchacha20poly1305_ietf_decrypt(ret_plain, &plain_len,
			NULL, packet + WITNESS_HEADER_BYTES, len - WITNESS_HEADER_BYTES,
			packet, WITNESS_HEADER_BYTES, nonce, ws->key[k]) == 0) {
			ws->key_in_use = k;
			ws->key_proven = true;
			*ret_len = (size_t)plain_len;
			return true;
		}
	}
	return false;
}

static enum witness_drop
receive_packet(struct witness_socket *ws, const uint8_t *packet, size_t len,
    struct witness_payload *ret_payload, bool *ret_answer)
{
	uint8_t plain[1024];
	struct witness_header h;
	size_t plain_len;
	enum witness_drop drop = witness_header_decode(packet, len, &h);

	*ret_answer = false;
	if (drop != WITNESS_OK)
		return drop;
	if (h.sender != 1 - ws->self)
		return WITNESS_DROP_SENDER;
	td_assert(len <= sizeof(plain));
	if (!unseal(ws, &h, packet, len, plain, &plain_len))
		return WITNESS_DROP_SEAL;
	drop = witness_payload_decode(plain, plain_len, ret_payload);
	if (drop != WITNESS_OK)
		return drop;
	if (ret_payload->cluster != ws->cluster)
		return WITNESS_DROP_CLUSTER;
	return witness_session_receive(
	    &ws->peer, &h, ret_payload, random_u64(), ret_answer);
}

static void
drain_link(struct witness_link *link)
{
	struct witness_socket *ws = link->ws;
	unsigned index = (unsigned)(link - ws->link);
	uint8_t packet[1024];

	for (unsigned i = 0; i < DRAIN_MAX && link->fd >= 0; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t from_len = sizeof(from);
		struct witness_payload payload;
		enum witness_drop drop;
		bool answer;
		ssize_t len = recvfrom(link->fd, packet, sizeof(packet), 0,
		    (struct sockaddr *)&from, &from_len);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			break;
		drop = receive_packet(ws, packet, (size_t)len, &payload, &answer);
		if (drop == WITNESS_OK || drop == WITNESS_DROP_REPLAY)
			ws->counters.link[index].received++;
		if (answer)
			ws->asked(ws->context);
		if (drop == WITNESS_OK) {
			ws->peer_generation = payload.generation;
			ws->counters.sessions = ws->peer.sessions;
			ws->heard(ws->context, &payload);
			continue;
		}
		ws->counters.dropped[drop]++;
		/* A second link brings every message twice; that is no event. */
		if (drop != WITNESS_DROP_REPLAY && drop != WITNESS_DROP_UNPROVEN)
			log_limited(LOG_LV_WARN, "witness", 1,
			    "link=%u packet of %zd bytes dropped reason=%s", index, len,
			    witness_drop_name(drop));
	}
}

void
witness_socket_drain(struct witness_socket *ws)
{
	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX; i++)
		drain_link(&ws->link[i]);
}

void
witness_socket_set_generation(struct witness_socket *ws, uint64_t generation)
{
	ws->generation = generation;
}

uint64_t
witness_socket_peer_generation(const struct witness_socket *ws)
{
	return ws->peer_generation;
}

const struct witness_counters *
witness_socket_counters(const struct witness_socket *ws)
{
	return &ws->counters;
}
