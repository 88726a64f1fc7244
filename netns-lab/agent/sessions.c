/*
 * N TCP sessions, each sending one numbered message per interval and checking that the
 * echoes come back in order, from one server. A session lives when it was never reset
 * or closed, missed nothing, and its echoes are up to date.
 */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define TICK_NS NS_PER_MS
#define OPEN_PER_TICK 1 /* 1000 new connections a second */
#define BEHIND_MAX_NS (500 * NS_PER_MS)
#define SERVERS_MAX 16

enum fate { CONNECTING, OPEN, REFUSED, RESET, CLOSED, TIMED_OUT, MISORDERED, FATES };
static const char *const fate_names[FATES] = { "connecting", "open", "refused", "reset",
	"closed", "timed_out", "misordered" };

struct session {
	struct source source;
	enum fate fate;
	uint64_t sent, echoed;
	int64_t next_send_ns, last_echo_ns, silence_ns;
	uint32_t server;
	bool moved; /* another server answered: never right for one connection */
	uint8_t in[FRAME_BYTES], out[FRAME_BYTES];
	size_t in_len, out_len;
};

static struct session *list;
static size_t total, opened, decided;
static struct target target;
static const char *kind;
static int64_t interval_ns;
static bool ready_said;

static void
session_end(struct session *s, enum fate fate)
{
	if (s->fate == CONNECTING)
		decided++;
	s->fate = fate;
	source_remove(&s->source);
}

static void
session_error(struct session *s, int error)
{
	if (s->fate == CONNECTING)
		session_end(s, REFUSED);
	else if (error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH)
		session_end(s, TIMED_OUT);
	else
		session_end(s, RESET);
}

static bool
session_send(struct session *s)
{
	/* The rest of a message that the socket took only in part goes first. */
	ssize_t n = send(
	    s->source.fd, s->out + FRAME_BYTES - s->out_len, s->out_len, MSG_NOSIGNAL);

	if (n < 0) {
		/* EAGAIN also while the handshake runs: the first message waits for it.
		 */
		if (errno == EAGAIN)
			return true;
		session_error(s, errno);
		return false;
	}
	s->out_len -= (size_t)n;
	return true;
}

static void
session_echo(struct session *s, int64_t now)
{
	struct frame frame;

	frame_decode(s->in, &frame);
	if (frame.magic != MAGIC_ECHO || frame.session != (uint32_t)(s - list) ||
	    frame.seq != s->echoed + 1) {
		session_end(s, MISORDERED);
		return;
	}
	if (s->echoed == 0)
		s->server = frame.server;
	else if (s->server != frame.server)
		s->moved = true;
	s->echoed = frame.seq;
	if (now - s->last_echo_ns > s->silence_ns)
		s->silence_ns = now - s->last_echo_ns;
	s->last_echo_ns = now;
	if (s->fate == CONNECTING) {
		s->fate = OPEN;
		decided++;
	}
}

static void
session_ready(struct source *source, uint32_t events)
{
	struct session *s = (struct session *)source;
	uint8_t buf[4096];
	ssize_t n;
	int64_t now = now_ns();

	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0)
		return;
	n = recv(source->fd, buf, sizeof(buf), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		session_error(s, errno);
		return;
	}
	if (n == 0) {
		session_end(s, CLOSED);
		return;
	}
	for (ssize_t i = 0; i < n && s->source.fd >= 0; i++) {
		s->in[s->in_len++] = buf[i];
		if (s->in_len == FRAME_BYTES) {
			s->in_len = 0;
			session_echo(s, now);
		}
	}
}

static void
session_open(struct session *s, int64_t now)
{
	unsigned ports = (unsigned)(target.ports.last - target.ports.first) + 1;
	int fd;

	target_port(
	    &target, (uint16_t)(target.ports.first + (size_t)(s - list) % ports));
	fd = target_connect(&target, SOCK_STREAM);
	s->source.fd = fd < 0 ? -1 : fd;
	s->source.ready = session_ready;
	s->last_echo_ns = now;
	s->next_send_ns = now;
	if (fd < 0)
		session_end(s, REFUSED);
	else
		source_add(&s->source, EPOLLIN);
}

static void
session_step(struct session *s, int64_t now)
{
	if (s->source.fd < 0 || now < s->next_send_ns)
		return;
	if (s->out_len == 0) {
		struct frame frame = { .magic = MAGIC_ECHO,
			.session = (uint32_t)(s - list),
			.seq = s->sent + 1 };

		frame_encode(&frame, s->out);
		s->out_len = FRAME_BYTES;
	}
	if (session_send(s) && s->out_len == 0) {
		s->sent++;
		s->next_send_ns += interval_ns;
		if (s->next_send_ns < now) /* a stalled process does not send a burst */
			s->next_send_ns = now + interval_ns;
	}
}

static void
sessions_tick(int64_t now)
{
	for (unsigned i = 0; i < OPEN_PER_TICK && opened < total; i++)
		session_open(&list[opened++], now);
	for (size_t i = 0; i < opened; i++)
		session_step(&list[i], now);
	if (!ready_said && decided == total) {
		size_t open = 0;

		for (size_t i = 0; i < total; i++)
			open += list[i].fate == OPEN;
		ready_said = true;
		printf("{\"event\":\"ready\",\"mode\":\"sessions\",\"kind\":\"%s\","
		       "\"t\":%lld,"
		       "\"established\":%zu,\"failed\":%zu}\n",
		    kind, (long long)now, open, total - open);
	}
}

static bool
session_lives(const struct session *s, int64_t now)
{
	return s->fate == OPEN && now - s->last_echo_ns <= BEHIND_MAX_NS;
}

static void
sessions_command(const char *line)
{
	int64_t now = now_ns();
	size_t alive = 0, open = 0;

	if (strcmp(line, "mark") == 0) {
		for (size_t i = 0; i < total; i++)
			list[i].silence_ns = 0;
		return;
	}
	for (size_t i = 0; i < total; i++) {
		open += list[i].fate == OPEN;
		alive += session_lives(&list[i], now);
	}
	printf(
	    "{\"event\":\"status\",\"mode\":\"sessions\",\"kind\":\"%s\",\"count\":%zu,"
	    "\"open\":%zu,\"alive\":%zu}\n",
	    kind, total, open, alive);
}

static void
sessions_finish(void)
{
	int64_t now = now_ns();
	size_t alive = 0, moved = 0, fates[FATES] = { 0 }, servers[SERVERS_MAX] = { 0 };
	size_t silent_count = 0;
	uint64_t echoes = 0;
	int64_t *silences = calloc(total, sizeof(*silences));

	if (silences == NULL)
		fail("out of memory");
	for (size_t i = 0; i < total; i++) {
		fates[list[i].fate]++;
		moved += list[i].moved;
		echoes += list[i].echoed;
		if (list[i].echoed > 0)
			servers[list[i].server % SERVERS_MAX]++;
		if (!session_lives(&list[i], now))
			continue;
		alive++;
		silences[silent_count++] = list[i].silence_ns;
	}
	qsort(silences, silent_count, sizeof(*silences), compare_ns);
	printf(
	    "{\"event\":\"result\",\"mode\":\"sessions\",\"kind\":\"%s\",\"count\":%zu,"
	    "\"alive\":%zu,\"moved\":%zu,\"echoes\":%llu,\"silence_max_ns\":%lld,"
	    "\"silence_median_ns\":%lld,\"hung\":%zu",
	    kind, total, alive, moved, (unsigned long long)echoes,
	    silent_count == 0 ? -1LL : (long long)silences[silent_count - 1],
	    silent_count == 0 ? -1LL : (long long)silences[silent_count / 2],
	    fates[OPEN] - alive);
	for (int i = 0; i < FATES; i++)
		printf(",\"%s\":%zu", fate_names[i], fates[i]);
	printf(",\"servers\":[");
	for (size_t i = 0; i < SERVERS_MAX; i++)
		printf("%s%zu", i == 0 ? "" : ",", servers[i]);
	printf("]}\n");
	free(silences);
}

void
sessions_main(const struct options *options)
{
	static const struct mode mode = { sessions_command, sessions_tick,
		sessions_finish, TICK_NS };

	kind = options->kind;
	total = (size_t)options->count;
	interval_ns = (options->interval_us == 0 ? 50000 : options->interval_us) * 1000;
	target_parse(&target, options->dest, options->ports, options->source);
	list = calloc(total, sizeof(*list));
	if (list == NULL)
		fail("out of memory");
	for (size_t i = 0; i < total; i++)
		list[i].source.fd = -1;
	loop_run(&mode);
}
