/*
 * The far end of every session and probe: echoes frames, paces bulk downloads, echoes
 * datagrams. One process per server namespace.
 */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LISTENERS_MAX 64u
#define TICK_NS (10 * NS_PER_MS)
#define CHUNK_BYTES 65536
#define OUT_MAX 8192 /* echoes that the peer has not taken yet; more is an error */

struct bulk {
	crypto_generichash_state hash;
	uint64_t left_bytes;
	uint64_t due_bytes; /* pace: may be sent now */
	uint64_t per_tick_bytes;
	uint64_t state; /* of the generator */
	uint8_t chunk[CHUNK_BYTES + DIGEST_BYTES];
	size_t chunk_len, chunk_sent;
	bool digest_made;
};

struct conn {
	struct source source;
	struct conn *next, **link;
	struct bulk *bulk; /* owned; NULL = echo */
	uint8_t in[FRAME_BYTES];
	size_t in_len;
	uint8_t out[OUT_MAX];
	size_t out_len;
};

static uint32_t server_id;
static struct conn *connections;
static uint64_t accepted, datagrams;

static void
conn_close(struct conn *conn)
{
	source_remove(&conn->source);
	*conn->link = conn->next;
	if (conn->next != NULL)
		conn->next->link = conn->link;
	free(conn->bulk);
	source_free_later(&conn->source);
}

static bool
conn_flush(struct conn *conn)
{
	ssize_t n = send(conn->source.fd, conn->out, conn->out_len, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN)
			return false;
		n = 0;
	}
	memmove(conn->out, conn->out + n, conn->out_len - (size_t)n);
	conn->out_len -= (size_t)n;
	source_modify(&conn->source, conn->out_len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

/* xorshift64*: the same bytes for the same download, not compressible, cheap. */
static void
bulk_generate(struct bulk *bulk, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = bulk->state;

		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		bulk->state = x;
		x *= UINT64_C(2685821657736338717);
		memcpy(bulk->chunk + i, &x, 8); /* CHUNK_BYTES is a multiple of 8 */
	}
	bulk->chunk_len = len;
	bulk->chunk_sent = 0;
	crypto_generichash_update(&bulk->hash, bulk->chunk, len);
}

static bool
bulk_send(struct conn *conn)
{
	struct bulk *bulk = conn->bulk;

	for (;;) {
		if (bulk->chunk_sent == bulk->chunk_len) {
			uint64_t len = bulk->due_bytes < CHUNK_BYTES ? bulk->due_bytes
								     : CHUNK_BYTES;

			if (len > bulk->left_bytes)
				len = bulk->left_bytes;
			if (bulk->left_bytes == 0 && !bulk->digest_made) {
				crypto_generichash_final(
				    &bulk->hash, bulk->chunk, DIGEST_BYTES);
				bulk->chunk_len = DIGEST_BYTES;
				bulk->chunk_sent = 0;
				bulk->digest_made = true;
			} else if (len == 0) {
				break;
			} else {
				bulk_generate(bulk, (size_t)len);
				bulk->left_bytes -= len;
				bulk->due_bytes -= len;
			}
		}
		ssize_t n = send(conn->source.fd, bulk->chunk + bulk->chunk_sent,
		    bulk->chunk_len - bulk->chunk_sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		bulk->chunk_sent += (size_t)n;
	}
	return true;
}

static bool
conn_frame(struct conn *conn)
{
	struct frame frame;

	frame_decode(conn->in, &frame);
	if (frame.magic == MAGIC_BULK && conn->bulk == NULL) {
		struct bulk *bulk = calloc(1, sizeof(*bulk));

		if (bulk == NULL)
			return false;
		crypto_generichash_init(&bulk->hash, NULL, 0, DIGEST_BYTES);
		bulk->left_bytes = frame.seq;
		bulk->per_tick_bytes =
		    (uint64_t)frame.session * 1024 * TICK_NS / NS_PER_S;
		bulk->state = frame.seq * 2 + 1;
		conn->bulk = bulk;
		return true;
	}
	if (frame.magic != MAGIC_ECHO || conn->out_len + FRAME_BYTES > OUT_MAX)
		return false;
	frame.server = server_id;
	frame_encode(&frame, conn->out + conn->out_len);
	conn->out_len += FRAME_BYTES;
	return true;
}

static void
conn_ready(struct source *source, uint32_t events)
{
	struct conn *conn = (struct conn *)source;
	uint8_t buf[4096];
	ssize_t n;

	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
		n = recv(source->fd, buf, sizeof(buf), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			conn_close(conn);
			return;
		}
		for (ssize_t i = 0; i < n; i++) {
			conn->in[conn->in_len++] = buf[i];
			if (conn->in_len < FRAME_BYTES)
				continue;
			conn->in_len = 0;
			if (!conn_frame(conn)) {
				conn_close(conn);
				return;
			}
		}
	}
	if (conn->bulk == NULL && !conn_flush(conn))
		conn_close(conn);
}

static void
listener_ready(struct source *source, uint32_t events)
{
	int one = 1;

	(void)events;
	for (;;) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *conn;

		if (fd < 0)
			return;
		conn = calloc(1, sizeof(*conn));
		if (conn == NULL)
			fail("out of memory");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		conn->source.fd = fd;
		conn->source.ready = conn_ready;
		conn->next = connections;
		if (connections != NULL)
			connections->link = &conn->next;
		conn->link = &connections;
		connections = conn;
		source_add(&conn->source, EPOLLIN);
		accepted++;
	}
}

static void
datagram_ready(struct source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < 64; i++) {
		uint8_t buf[2048], control[256];
		struct sockaddr_storage from;
		struct iovec iov = { buf, sizeof(buf) };
		struct msghdr msg = { .msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(source->fd, &msg, 0);
		struct frame frame;

		if (n < FRAME_BYTES)
			return;
		frame_decode(buf, &frame);
		frame.server = server_id;
		frame_encode(&frame, buf);
		iov.iov_len = (size_t)n;
		/* the control message is the address it was sent to: answer from there
		 */
		(void)sendmsg(source->fd, &msg, MSG_NOSIGNAL);
		datagrams++;
	}
}

static void
listen_on(uint16_t port, int type)
{
	static struct source sources[LISTENERS_MAX];
	static unsigned source_count;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct source *source;
	int one = 1, zero = 0, bytes = 1 << 20;
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (source_count == LISTENERS_MAX)
		fail("more than %u ports", LISTENERS_MAX);
	source = &sources[source_count++];
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	}
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		fail("port %u: %s", port, strerror(errno));
	if (type == SOCK_STREAM && listen(fd, 1024) < 0)
		fail("port %u: %s", port, strerror(errno));
	source->fd = fd;
	source->ready = type == SOCK_STREAM ? listener_ready : datagram_ready;
	source_add(source, EPOLLIN);
}

static void
serve_tick(int64_t now)
{
	(void)now;
	for (struct conn *conn = connections, *next; conn != NULL; conn = next) {
		uint64_t cap;

		next = conn->next;
		if (conn->bulk == NULL)
			continue;
		cap = conn->bulk->per_tick_bytes * 100;
		conn->bulk->due_bytes += conn->bulk->per_tick_bytes;
		if (conn->bulk->due_bytes >
		    cap) /* a paused download does not catch up at once */
			conn->bulk->due_bytes = cap;
		if (!bulk_send(conn))
			conn_close(conn);
	}
}

static void
serve_finish(void)
{
	printf(
	    "{\"event\":\"result\",\"mode\":\"serve\",\"server\":%u,\"accepted\":%llu,"
	    "\"datagrams\":%llu}\n",
	    server_id, (unsigned long long)accepted, (unsigned long long)datagrams);
}

void
serve_main(const struct options *options)
{
	static const struct mode mode = {
		.tick = serve_tick, .finish = serve_finish, .tick_ns = TICK_NS
	};
	struct port_range ranges[16];
	unsigned count;

	server_id = (uint32_t)options->server;
	count = options->tcp == NULL ? 0 : parse_ranges(options->tcp, ranges, 16);
	for (unsigned i = 0; i < count; i++)
		for (unsigned port = ranges[i].first; port <= ranges[i].last; port++)
			listen_on((uint16_t)port, SOCK_STREAM);
	count = options->udp == NULL ? 0 : parse_ranges(options->udp, ranges, 16);
	for (unsigned i = 0; i < count; i++)
		for (unsigned port = ranges[i].first; port <= ranges[i].last; port++)
			listen_on((uint16_t)port, SOCK_DGRAM);
	printf("{\"event\":\"ready\",\"mode\":\"serve\",\"server\":%u}\n", server_id);
	fflush(stdout);
	loop_run(&mode);
}
