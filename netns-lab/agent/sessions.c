/*
 * N TCP sessions, each sending one numbered message per interval and checking that the
 * echoes come back in order, from one server.
 *
 * A session lives when it was never reset or closed, missed nothing, and the echo of a
 * message that it sent after the question comes back in time. Only time in which this
 * process ran counts: late itself, it calls no session dead. `behind` says how many had
 * no echo for half a second at the instant of the question, whoever was late.
 */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define TICK_NS NS_PER_MS
#define OPEN_PER_TICK 1 /* 1000 new connections a second */
#define BEHIND_MAX_NS (500 * NS_PER_MS)
#define STATUS_MAX_NS NS_PER_S
#define FINISH_MAX_NS (5 * NS_PER_S)
#define TURN_MAX_NS (100 * NS_PER_MS) /* a longer turn: this process was late */
#define SERVERS_MAX 16

enum fate { CONNECTING, OPEN, REFUSED, RESET, CLOSED, TIMED_OUT, MISORDERED, FATES };
static const char *const fate_names[FATES] = { "connecting", "open", "refused", "reset",
	"closed", "timed_out", "misordered" };

/* What the kernel knows of a connection, to find out why it ended or hangs. */
struct facts {
	int64_t at_ns;
	int error; /* errno that ended it */
	uint16_t port;
	int unacked_bytes, unread_bytes;
	struct tcp_info tcp;
};

struct session {
	struct source source;
	enum fate fate;
	uint64_t sent, echoed;
	uint64_t asked_seq; /* first message that began after the question; 0 = none */
	int64_t next_send_ns, last_echo_ns, silence_ns;
	struct facts facts; /* of the last moment of an ended session */
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
static int64_t last_turn_ns, late_max_ns, late_max_at_ns;

/* `status` and `finish`: one at a time, a new one takes the place of the old one. */
static struct question {
	bool open, final;
	int64_t left_ns;
	size_t unanswered, behind;
} question;

static void
facts_collect(struct facts *ret, int fd, int error)
{
	struct sockaddr_storage local = { 0 };
	socklen_t local_len = sizeof(local), tcp_len = sizeof(ret->tcp);

	*ret = (struct facts){ .at_ns = now_ns(), .error = error };
	if (fd < 0)
		return;
	/* the port stands at the same place in both families */
	if (getsockname(fd, (struct sockaddr *)&local, &local_len) == 0)
		ret->port = ntohs(((struct sockaddr_in *)&local)->sin_port);
	(void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ret->tcp, &tcp_len);
	(void)ioctl(fd, SIOCOUTQ, &ret->unacked_bytes);
	(void)ioctl(fd, SIOCINQ, &ret->unread_bytes);
}

static bool
session_answered(const struct session *s)
{
	return s->asked_seq != 0 && s->echoed >= s->asked_seq;
}

static void
session_end(struct session *s, enum fate fate, int error)
{
	facts_collect(&s->facts, s->source.fd, error);
	if (s->fate == CONNECTING)
		decided++;
	if (s->asked_seq != 0 && !session_answered(s))
		question.unanswered--;
	s->fate = fate;
	source_remove(&s->source);
}

static void
session_error(struct session *s, int error)
{
	if (s->fate == CONNECTING)
		session_end(s, REFUSED, error);
	else if (error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH)
		session_end(s, TIMED_OUT, error);
	else
		session_end(s, RESET, error);
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
		session_end(s, MISORDERED, 0);
		return;
	}
	if (s->echoed == 0)
		s->server = frame.server;
	else if (s->server != frame.server)
		s->moved = true;
	s->echoed = frame.seq;
	if (s->echoed == s->asked_seq)
		question.unanswered--;
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
		session_end(s, CLOSED, 0);
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
		session_end(s, REFUSED, -fd);
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

/* By age alone: also true when only this process was late. */
static bool
session_behind(const struct session *s, int64_t now)
{
	return s->fate == OPEN && now - s->last_echo_ns > BEHIND_MAX_NS;
}

static bool
session_lives(const struct session *s)
{
	return s->fate == OPEN && session_answered(s);
}

static void
question_ask(bool final)
{
	int64_t now = now_ns();

	question = (struct question){ .open = true,
		.final = final,
		.left_ns = interval_ns + (final ? FINISH_MAX_NS : STATUS_MAX_NS) };
	for (size_t i = 0; i < total; i++) {
		struct session *s = &list[i];

		question.behind += session_behind(s, now);
		/* of a message that is on its way into the socket, the next one */
		s->asked_seq =
		    s->source.fd < 0 ? 0 : s->sent + 1 + (uint64_t)(s->out_len > 0);
		question.unanswered += s->source.fd >= 0;
	}
}

static void
status_print(void)
{
	size_t alive = 0, open = 0;

	for (size_t i = 0; i < total; i++) {
		open += list[i].fate == OPEN;
		alive += session_lives(&list[i]);
	}
	printf(
	    "{\"event\":\"status\",\"mode\":\"sessions\",\"kind\":\"%s\",\"count\":%zu,"
	    "\"open\":%zu,\"alive\":%zu,\"behind\":%zu}\n",
	    kind, total, open, alive, question.behind);
}

static void
turn_measure(int64_t now)
{
	int64_t gap = last_turn_ns == 0 ? 0 : now - last_turn_ns;

	last_turn_ns = now;
	if (gap > late_max_ns) {
		late_max_ns = gap;
		late_max_at_ns = now;
	}
	question.left_ns -= gap < TURN_MAX_NS ? gap : TURN_MAX_NS;
}

static void
sessions_tick(int64_t now)
{
	turn_measure(now);
	for (unsigned i = 0; i < OPEN_PER_TICK && opened < total; i++)
		session_open(&list[opened++], now);
	for (size_t i = 0; i < opened; i++)
		session_step(&list[i], now);
	if (question.open && (question.unanswered == 0 || question.left_ns <= 0)) {
		question.open = false;
		if (!question.final)
			status_print();
	}
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

static void
sessions_command(const char *line)
{
	if (strcmp(line, "mark") == 0) {
		for (size_t i = 0; i < total; i++)
			list[i].silence_ns = 0;
		late_max_ns = 0;
	} else if (!question.final) {
		question_ask(false);
	}
}

static bool
sessions_settled(void)
{
	if (!question.final)
		question_ask(true);
	return !question.open;
}

static void
lost_print(struct session *s, bool first)
{
	const struct facts *facts = &s->facts;
	int64_t age, silence;

	if (s->source.fd >= 0)
		facts_collect(&s->facts, s->source.fd, 0);
	age = facts->at_ns - s->last_echo_ns;
	silence = age > s->silence_ns ? age : s->silence_ns;
	printf("%s{\"session\":%zd,\"port\":%u,\"fate\":\"%s\",\"error\":\"%s\","
	       "\"at\":%lld,\"sent\":%llu,\"echoed\":%llu,\"asked\":%llu,"
	       "\"last_echo\":%lld,\"echo_age_ns\":%lld,\"silence_ns\":%lld",
	    first ? "" : ",", s - list, facts->port, fate_names[s->fate],
	    facts->error == 0 ? "" : strerrorname_np(facts->error),
	    (long long)facts->at_ns, (unsigned long long)s->sent,
	    (unsigned long long)s->echoed, (unsigned long long)s->asked_seq,
	    (long long)s->last_echo_ns, (long long)age, (long long)silence);
	printf(",\"unacked_bytes\":%d,\"unread_bytes\":%d,\"tcp_state\":%u,"
	       "\"unacked\":%u,\"retransmits\":%u,\"backoff\":%u,"
	       "\"total_retransmits\":%u,\"rto_us\":%u,\"rtt_us\":%u,"
	       "\"last_ack_ms\":%u,\"last_data_ms\":%u}",
	    facts->unacked_bytes, facts->unread_bytes, facts->tcp.tcpi_state,
	    facts->tcp.tcpi_unacked, facts->tcp.tcpi_retransmits,
	    facts->tcp.tcpi_backoff, facts->tcp.tcpi_total_retrans, facts->tcp.tcpi_rto,
	    facts->tcp.tcpi_rtt, facts->tcp.tcpi_last_ack_recv,
	    facts->tcp.tcpi_last_data_recv);
}

static void
sessions_finish(void)
{
	size_t alive = 0, moved = 0, fates[FATES] = { 0 }, servers[SERVERS_MAX] = { 0 };
	size_t silent_count = 0, lost = 0;
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
		if (!session_lives(&list[i]))
			continue;
		alive++;
		silences[silent_count++] = list[i].silence_ns;
	}
	qsort(silences, silent_count, sizeof(*silences), compare_ns);
	printf(
	    "{\"event\":\"result\",\"mode\":\"sessions\",\"kind\":\"%s\",\"count\":%zu,"
	    "\"alive\":%zu,\"moved\":%zu,\"echoes\":%llu,\"silence_max_ns\":%lld,"
	    "\"silence_median_ns\":%lld,\"hung\":%zu,\"behind\":%zu,"
	    "\"late_max_ns\":%lld,\"late_max_at\":%lld",
	    kind, total, alive, moved, (unsigned long long)echoes,
	    silent_count == 0 ? -1LL : (long long)silences[silent_count - 1],
	    silent_count == 0 ? -1LL : (long long)silences[silent_count / 2],
	    fates[OPEN] - alive, question.behind, (long long)late_max_ns,
	    (long long)late_max_at_ns);
	for (int i = 0; i < FATES; i++)
		printf(",\"%s\":%zu", fate_names[i], fates[i]);
	printf(",\"servers\":[");
	for (size_t i = 0; i < SERVERS_MAX; i++)
		printf("%s%zu", i == 0 ? "" : ",", servers[i]);
	printf("],\"lost\":[");
	for (size_t i = 0; i < total; i++)
		if (!session_lives(&list[i]))
			lost_print(&list[i], lost++ == 0);
	printf("]}\n");
	free(silences);
}

void
sessions_main(const struct options *options)
{
	static const struct mode mode = { .command = sessions_command,
		.tick = sessions_tick,
		.settled = sessions_settled,
		.finish = sessions_finish,
		.tick_ns = TICK_NS };

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
