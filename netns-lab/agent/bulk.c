/*
 * Paced downloads. Each ends with the sender's BLAKE2b-256 of what it sent; the
 * receiver compares it with its own.
 */
#include "agent.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define TICK_NS (10 * NS_PER_MS)

struct download {
	struct source source;
	crypto_generichash_state hash;
	bool requested, closed;
	bool complete, checksum_right;
	uint64_t received_bytes, at_mark_bytes;
	uint8_t digest[DIGEST_BYTES];
	size_t digest_len;
	int64_t last_data_ns, pause_ns;
	int error;
};

static struct download *list;
static size_t total, opened;
static uint64_t size_bytes;
static uint32_t rate_kib;
static struct target target;
static const char *kind;
static bool ready_said;

static void
download_end(struct download *d, int error)
{
	d->closed = true;
	d->error = error;
	source_remove(&d->source);
}

static void
download_data(struct download *d, const uint8_t *buf, size_t len)
{
	uint64_t body = size_bytes - d->received_bytes;
	uint8_t own[DIGEST_BYTES];

	if (body > len)
		body = len;
	crypto_generichash_update(&d->hash, buf, body);
	d->received_bytes += body;
	for (size_t i = (size_t)body; i < len && d->digest_len < DIGEST_BYTES; i++)
		d->digest[d->digest_len++] = buf[i];
	if (d->digest_len < DIGEST_BYTES)
		return;
	crypto_generichash_final(&d->hash, own, DIGEST_BYTES);
	d->complete = true;
	d->checksum_right = memcmp(own, d->digest, DIGEST_BYTES) == 0;
	download_end(d, 0);
}

static void
download_ready(struct source *source, uint32_t events)
{
	struct download *d = (struct download *)source;
	static uint8_t buf[262144];
	int64_t now = now_ns();
	ssize_t n;

	if (!d->requested && (events & EPOLLOUT) != 0) {
		struct frame frame = {
			.magic = MAGIC_BULK, .session = rate_kib, .seq = size_bytes
		};

		frame_encode(&frame, buf);
		if (send(source->fd, buf, FRAME_BYTES, MSG_NOSIGNAL) == FRAME_BYTES) {
			d->requested = true;
			d->last_data_ns = now;
			source_modify(source, EPOLLIN);
		}
	}
	n = recv(source->fd, buf, sizeof(buf), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		download_end(d, n < 0 ? errno : EPIPE);
		return;
	}
	if (now - d->last_data_ns > d->pause_ns)
		d->pause_ns = now - d->last_data_ns;
	d->last_data_ns = now;
	download_data(d, buf, (size_t)n);
}

static void
bulk_tick(int64_t now)
{
	size_t started = 0;

	if (opened < total) {
		struct download *d = &list[opened++];
		unsigned ports = (unsigned)(target.ports.last - target.ports.first) + 1;
		int fd;

		target_port(&target, (uint16_t)(target.ports.first + opened % ports));
		fd = target_connect(&target, SOCK_STREAM);
		crypto_generichash_init(&d->hash, NULL, 0, DIGEST_BYTES);
		d->source.fd = fd < 0 ? -1 : fd;
		d->source.ready = download_ready;
		d->last_data_ns = now;
		if (fd < 0)
			download_end(d, -fd);
		else
			source_add(&d->source, EPOLLIN | EPOLLOUT);
	}
	for (size_t i = 0; i < total; i++)
		started += list[i].received_bytes > 0 || list[i].closed;
	if (!ready_said && started == total) {
		ready_said = true;
		printf("{\"event\":\"ready\",\"mode\":\"bulk\",\"kind\":\"%s\",\"t\":%"
		       "lld}\n",
		    kind, (long long)now);
	}
}

static void
bulk_command(const char *line)
{
	size_t complete = 0, open = 0, flowing = 0;
	int64_t now = now_ns();

	for (size_t i = 0; i < total; i++) {
		if (strcmp(line, "mark") == 0) {
			list[i].at_mark_bytes = list[i].received_bytes;
			list[i].pause_ns = 0;
		}
		complete += list[i].complete;
		open += !list[i].closed;
		flowing +=
		    !list[i].closed && now - list[i].last_data_ns < 500 * NS_PER_MS;
	}
	if (strcmp(line, "mark") == 0)
		return;
	printf("{\"event\":\"status\",\"mode\":\"bulk\",\"kind\":\"%s\",\"count\":%zu,"
	       "\"complete\":%zu,\"open\":%zu,\"alive\":%zu}\n",
	    kind, total, complete, open, complete + flowing);
}

static void
bulk_finish(void)
{
	size_t complete = 0, right = 0, reset = 0;
	int64_t pause = 0;
	uint64_t mark_min = UINT64_MAX, mark_max = 0;

	for (size_t i = 0; i < total; i++) {
		const struct download *d = &list[i];

		complete += d->complete;
		right += d->checksum_right;
		reset += d->closed && !d->complete;
		if (d->pause_ns > pause)
			pause = d->pause_ns;
		if (d->at_mark_bytes < mark_min)
			mark_min = d->at_mark_bytes;
		if (d->at_mark_bytes > mark_max)
			mark_max = d->at_mark_bytes;
	}
	printf("{\"event\":\"result\",\"mode\":\"bulk\",\"kind\":\"%s\",\"count\":%zu,"
	       "\"complete\":%zu,\"checksum_right\":%zu,\"reset\":%zu,\"pause_max_ns\":"
	       "%lld,"
	       "\"mark_percent_min\":%.1f,\"mark_percent_max\":%.1f}\n",
	    kind, total, complete, right, reset, (long long)pause,
	    100.0 * (double)mark_min / (double)size_bytes,
	    100.0 * (double)mark_max / (double)size_bytes);
}

void
bulk_main(const struct options *options)
{
	static const struct mode mode = { .command = bulk_command,
		.tick = bulk_tick,
		.finish = bulk_finish,
		.tick_ns = TICK_NS };

	kind = options->kind;
	total = (size_t)options->count;
	size_bytes = (uint64_t)options->bytes;
	rate_kib = (uint32_t)options->rate_kib;
	if (size_bytes == 0)
		fail("--bytes is needed");
	target_parse(&target, options->dest, options->ports, options->source);
	list = calloc(total, sizeof(*list));
	if (list == NULL)
		fail("out of memory");
	for (size_t i = 0; i < total; i++)
		list[i].source.fd = -1;
	loop_run(&mode);
}
