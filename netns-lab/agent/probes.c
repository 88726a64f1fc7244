/*
 * The three probes: numbered UDP echo, new TCP connections, ping. A blackout is the
 * time between the sending of the last answered attempt before and of the first
 * answered attempt after a run of lost ones.
 */
#include "agent.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LATE_MAX_NS (500 * NS_PER_MS)

static struct attempts attempts;
static struct target target;
static const char *kind;
static struct source probe = { .fd = -1 };
static uint64_t refused, moved;
static uint32_t server;
static bool ready_said;

static void
probe_answered(uint64_t seq)
{
	if (seq == 0 || seq > attempts.count || attempts.list[seq - 1].answered_ns != 0)
		return;
	attempts.list[seq - 1].answered_ns = now_ns();
	if (!ready_said) {
		ready_said = true;
		printf(
		    "{\"event\":\"ready\",\"mode\":\"probe\",\"kind\":\"%s\"}\n", kind);
	}
}

static void
probe_command(const char *line)
{
	size_t recent = 0, answered = 0;
	int64_t now = now_ns();

	if (strcmp(line, "status") != 0)
		return;
	for (size_t i = attempts.count; i > 0; i--) {
		const struct attempt *attempt = &attempts.list[i - 1];

		if (now - attempt->sent_ns > 300 * NS_PER_MS)
			break;
		if (now - attempt->sent_ns < 100 * NS_PER_MS)
			continue;
		recent++;
		answered += attempt->answered_ns != 0;
	}
	printf("{\"event\":\"status\",\"mode\":\"probe\",\"kind\":\"%s\",\"count\":1,"
	       "\"alive\":%d}\n",
	    kind, recent > 0 && answered * 10 >= recent * 9);
}

static void
probe_finish(void)
{
	printf(
	    "{\"event\":\"result\",\"mode\":\"probe\",\"kind\":\"%s\",\"refused\":%llu,"
	    "\"moved\":%llu,",
	    kind, (unsigned long long)refused, (unsigned long long)moved);
	attempts_print(&attempts, LATE_MAX_NS);
	printf("}\n");
}

/* --- UDP ------------------------------------------------------------------------ */

static void
udp_ready(struct source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < 64; i++) {
		uint8_t buf[256];
		ssize_t n = recv(source->fd, buf, sizeof(buf), 0);
		struct frame frame;

		if (n < 0 && errno == ECONNREFUSED) {
			refused++;
			continue;
		}
		if (n < FRAME_BYTES)
			return;
		frame_decode(buf, &frame);
		if (frame.magic != MAGIC_ECHO)
			continue;
		if (server != 0 && server != frame.server)
			moved++;
		server = frame.server;
		probe_answered(frame.seq);
	}
}

static void
udp_tick(int64_t now)
{
	struct frame frame = { .magic = MAGIC_ECHO, .seq = attempts.count + 1 };
	uint8_t buf[FRAME_BYTES];

	attempts_add(&attempts, now);
	frame_encode(&frame, buf);
	if (send(probe.fd, buf, sizeof(buf), MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
		refused++;
}

static void
probe_start(const struct options *options, const struct mode *mode)
{
	kind = options->kind;
	target_parse(&target, options->dest, options->ports, options->source);
	loop_run(mode);
}

void
udp_main(const struct options *options)
{
	struct mode mode = { .command = probe_command,
		.tick = udp_tick,
		.finish = probe_finish,
		.tick_ns = NS_PER_MS };

	target_parse(&target, options->dest, options->ports, options->source);
	if (options->interval_us > 0)
		mode.tick_ns = options->interval_us * 1000;
	probe = (struct source){ .fd = target_connect(&target, SOCK_DGRAM),
		.ready = udp_ready };
	if (probe.fd < 0)
		fail("udp: %s", strerror(-probe.fd));
	source_add(&probe, EPOLLIN);
	probe_start(options, &mode);
}

/* --- new TCP connections -------------------------------------------------------- */

struct connection {
	struct source source;
	struct connection *next; /* oldest first */
	uint64_t seq;
	int64_t started_ns;
	bool requested;
};

static struct connection *oldest, **newest = &oldest;

static void
connection_ready(struct source *source, uint32_t events)
{
	struct connection *c = (struct connection *)source;
	uint8_t buf[FRAME_BYTES];
	ssize_t n;

	if (!c->requested && (events & EPOLLOUT) != 0) {
		struct frame frame = { .magic = MAGIC_ECHO, .seq = c->seq };

		frame_encode(&frame, buf);
		if (send(source->fd, buf, sizeof(buf), MSG_NOSIGNAL) == FRAME_BYTES) {
			c->requested = true;
			source_modify(source, EPOLLIN);
			return;
		}
	}
	n = recv(source->fd, buf, sizeof(buf), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == FRAME_BYTES)
		probe_answered(c->seq);
	else
		refused++;
	source_remove(source);
}

static void
connects_tick(int64_t now)
{
	struct connection *c;

	while (oldest != NULL &&
	       (oldest->source.fd < 0 || now - oldest->started_ns > LATE_MAX_NS)) {
		struct connection *old = oldest;

		oldest = old->next;
		if (oldest == NULL)
			newest = &oldest;
		source_remove(&old->source);
		source_free_later(&old->source);
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		fail("out of memory");
	attempts_add(&attempts, now);
	c->seq = attempts.count;
	c->started_ns = now;
	c->source.fd = target_connect(&target, SOCK_STREAM);
	c->source.ready = connection_ready;
	if (c->source.fd < 0) {
		refused++;
		free(c);
		return;
	}
	*newest = c;
	newest = &c->next;
	source_add(&c->source, EPOLLIN | EPOLLOUT);
}

void
connects_main(const struct options *options)
{
	struct mode mode = { .command = probe_command,
		.tick = connects_tick,
		.finish = probe_finish,
		.tick_ns = 20 * NS_PER_MS };

	if (options->interval_us > 0)
		mode.tick_ns = options->interval_us * 1000;
	probe_start(options, &mode);
}

/* --- ping ----------------------------------------------------------------------- */

static uint16_t ping_id;
static bool ping_v6;

static void
ping_ready(struct source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < 64; i++) {
		uint8_t buf[512];
		ssize_t n = recv(source->fd, buf, sizeof(buf), 0);
		size_t skip = 0;
		uint16_t id, low;

		if (n <= 0)
			return;
		if (!ping_v6)
			skip = (size_t)(buf[0] & 0x0f) * 4;
		if ((size_t)n < skip + 8 ||
		    buf[skip] != (ping_v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
			continue;
		memcpy(&id, buf + skip + 4, 2);
		memcpy(&low, buf + skip + 6, 2);
		if (id != ping_id)
			continue;
		/* 16 bits of the number travel: take the youngest attempt that fits. */
		uint64_t seq = (attempts.count & ~UINT64_C(0xffff)) | be16toh(low);
		if (seq > attempts.count)
			seq -= 0x10000;
		probe_answered(seq);
	}
}

static uint16_t
ping_checksum(const uint8_t *buf, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(buf[i] << 8 | buf[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htobe16((uint16_t)~sum);
}

static void
ping_tick(int64_t now)
{
	uint8_t buf[16] = { ping_v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO };
	uint16_t low, sum;

	attempts_add(&attempts, now);
	low = htobe16((uint16_t)attempts.count);
	memcpy(buf + 4, &ping_id, 2);
	memcpy(buf + 6, &low, 2);
	if (!ping_v6) { /* the kernel fills in ICMPv6's */
		sum = ping_checksum(buf, sizeof(buf));
		memcpy(buf + 2, &sum, 2);
	}
	(void)send(probe.fd, buf, sizeof(buf), MSG_NOSIGNAL);
}

void
ping_main(const struct options *options)
{
	struct mode mode = { .command = probe_command,
		.tick = ping_tick,
		.finish = probe_finish,
		.tick_ns = 10 * NS_PER_MS };

	target_parse(&target, options->dest, NULL, options->source);
	ping_v6 = target.address.ss_family == AF_INET6;
	ping_id = (uint16_t)getpid();
	probe.fd =
	    socket(target.address.ss_family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
		ping_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	probe.ready = ping_ready;
	if (probe.fd < 0 || connect(probe.fd, (struct sockaddr *)&target.address,
				target.address_len) < 0)
		fail("ping: %s", strerror(errno));
	if (options->interval_us > 0)
		mode.tick_ns = options->interval_us * 1000;
	source_add(&probe, EPOLLIN);
	probe_start(options, &mode);
}
