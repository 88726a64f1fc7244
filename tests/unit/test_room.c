/*
 * The life of a room: the test is tandemd, the room is a forked child. The child tells
 * what its callbacks saw over its link to mgmtd, as replies; the test is mgmtd's end
 * too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/room.h"

#define DEADLINE_MS 5000

/* ---- the room ---- */

struct subject {
	struct room *room;
	struct td_config *config;
	char early[256]; /* what happened before there was a link to tell it */
	char reply[2048];
};

static void
tell(struct subject *s, const char *text)
{
	if (room_reply(s->room, TD_ROOM_MGMTD, 0, 0, text) == -ENOTCONN) {
		size_t len = strlen(s->early);

		snprintf(s->early + len, sizeof(s->early) - len, "%s;", text);
	}
}

static int
on_config(void *context, struct td_config *config)
{
	struct subject *s = context;
	bool refuse = config->generation == 666;

	snprintf(s->reply, sizeof(s->reply), "config %s self=%u generation=%llu",
	    config->cluster, config->self, (unsigned long long)config->generation);
	tell(s, s->reply);
	if (refuse) {
		td_config_free(config);
		return -EINVAL;
	}
	td_config_free(s->config);
	s->config = config;
	return 0;
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct subject *s = context;

	snprintf(
	    s->reply, sizeof(s->reply), "fd %s %s", name, fd >= 0 ? "open" : "none");
	tell(s, s->reply);
	close(fd);
}

static void
on_link_up(void *context, enum td_room peer)
{
	struct subject *s = context;

	snprintf(
	    s->reply, sizeof(s->reply), "%slink_up %s", s->early, td_room_name(peer));
	s->early[0] = '\0';
	tell(s, s->reply);
}

static void
on_link_down(void *context, enum td_room peer)
{
	struct subject *s = context;

	snprintf(s->reply, sizeof(s->reply), "link_down %s", td_room_name(peer));
	tell(s, s->reply);
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct subject *s = context;

	if (msg->kind == TD_MSG_REQUEST && msg->request.what == TD_REQ_SWITCHOVER) {
		tell(s, "hangs now");
		for (;;) /* as a broken room would */
			pause();
	}
	snprintf(s->reply, sizeof(s->reply), "message from=%s kind=%d",
	    td_room_name(from), (int)msg->kind);
	tell(s, s->reply);
}

static void
on_status(void *context, struct room_status *st)
{
	char index[32];

	(void)context;
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(index, sizeof(index), "%u", i);
		status_counter(st, "tandem_subject_total", i, "index", index, NULL);
	}
}

static void
on_stop(void *context, bool orphan)
{
	struct subject *s = context;

	td_config_free(s->config);
	s->config = NULL;
	room_exit(s->room, orphan ? 41 : 40);
}

static void
subject_main(int control_fd)
{
	static const struct room_callbacks callbacks = { on_config, on_fd, on_link_up,
		on_link_down, on_message, on_status, on_stop };
	static struct subject subject;
	char number[16];
	const char *argv[] = { "tandem-lbd", "--instance", "unit", "--control-fd",
		number, NULL };

	snprintf(number, sizeof(number), "%d", control_fd);
	subject.room = room_open(5, (char **)argv, TD_ROOM_LBD, &callbacks, &subject);
	exit(room_run(subject.room));
}

/* ---- tandemd ---- */

struct harness {
	pid_t pid;
	int control, mgmtd; /* our ends; mgmtd -1 = no link yet */
};

static struct harness
start(void)
{
	struct harness h = { .mgmtd = -1 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		close(fds[0]);
		subject_main(fds[1]);
	}
	close(fds[1]);
	h.control = fds[0];
	return h;
}

static int
wait_end(struct harness *h)
{
	int status = 0;

	/* Ends by itself, or the alarm ends this test. */
	alarm(20);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	alarm(0);
	if (h->control >= 0)
		close(h->control);
	if (h->mgmtd >= 0)
		close(h->mgmtd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
control(struct harness *h, enum control_kind kind, enum td_room room, uint64_t number,
    const char *text, int fd)
{
	struct control_packet packet = {
		.kind = kind, .room = room, .number = number, .fd = fd
	};

	snprintf(packet.text, sizeof(packet.text), "%s", text);
	assert_int_equal(control_send(h->control, &packet), 0);
}

static struct control_packet
control_wait(struct harness *h)
{
	struct pollfd pfd = { .fd = h->control, .events = POLLIN };
	struct control_packet packet;

	assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
	assert_int_equal(control_recv(h->control, &packet), 1);
	return packet;
}

static struct td_msg
msg_wait(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct td_msg msg;

	assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
	assert_int_equal(msg_recv(fd, &msg), 1);
	return msg;
}

static void
expect_told(struct harness *h, const char *text)
{
	struct td_msg msg = msg_wait(h->mgmtd);

	assert_int_equal(msg.kind, TD_MSG_REPLY);
	assert_string_equal(msg.reply.text, text);
	msg_free(&msg);
}

/* Hands over one end of a new link; returns ours. */
static int
give_link(struct harness *h, enum td_room peer)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	control(h, CONTROL_LINK, peer, 0, "", fds[1]);
	close(fds[1]);
	return fds[0];
}

static void
give_config(struct harness *h, uint64_t generation, const char *self, bool readable)
{
	struct td_config_error error;
	struct td_config *config =
	    td_config_load(TD_SOURCE_DIR "/docs/example.yaml", NULL, &error);
	size_t len;
	uint8_t *bytes;
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (config == NULL)
		fail_msg(
		    "%s:%u %s: %s", error.file, error.line, error.key, error.reason);
	bytes = td_config_pack(config, &len);
	assert_non_null(bytes);
	if (!readable)
		bytes[0] ^= 0xff;
	assert_int_equal(write(fd, bytes, len), len);
	control(h, CONTROL_CONFIG, TD_ROOM_TANDEMD, generation, self, fd);
	free(bytes);
	close(fd);
	td_config_free(config);
}

static struct harness
start_running(void)
{
	struct harness h = start();

	h.mgmtd = give_link(&h, TD_ROOM_MGMTD);
	give_config(&h, 1, "0", true);
	control(&h, CONTROL_START, TD_ROOM_TANDEMD, 0, "", -1);
	assert_int_equal(control_wait(&h).kind, CONTROL_CONFIG_ACK);
	expect_told(&h, "config lab self=0 generation=1");
	expect_told(&h, "link_up mgmtd");
	return h;
}

static void
stop(struct harness *h)
{
	control(h, CONTROL_STOP, TD_ROOM_TANDEMD, 0, "", -1);
	assert_int_equal(wait_end(h), 40);
}

static void
a_room_has_its_descriptors_before_its_configuration_and_then_its_links(void **state)
{
	struct harness h = start();
	struct td_msg request = { .kind = TD_MSG_BARRIER };
	struct control_packet ack;
	int checkd, null_fd = open("/dev/null", O_RDONLY);

	(void)state;
	checkd = give_link(&h, TD_ROOM_CHECKD);
	assert_int_equal(msg_send(checkd, &request), 0); /* read only after the start */
	give_config(&h, 7, "1", true);
	control(&h, CONTROL_FD, TD_ROOM_TANDEMD, 0, "lb-prog", null_fd);
	control(&h, CONTROL_PING, TD_ROOM_TANDEMD, 99, "", -1);
	assert_int_equal(control_wait(&h).kind, CONTROL_PONG);
	control(&h, CONTROL_START, TD_ROOM_TANDEMD, 0, "", -1);
	ack = control_wait(&h);
	assert_int_equal(ack.kind, CONTROL_CONFIG_ACK);
	assert_int_equal(ack.number, 7);
	assert_int_equal(ack.status, 0);
	h.mgmtd = give_link(&h, TD_ROOM_MGMTD);
	/* Everything before this link was noted by the room and is told with it: the
	 * message on checkd's link may come before or after. */
	struct td_msg msg = msg_wait(h.mgmtd);
	assert_non_null(msg.reply.text);
	assert_ptr_equal(
	    strstr(msg.reply.text, "fd lb-prog open;config lab self=1 generation=7;"
				   "link_up checkd;"),
	    msg.reply.text);
	if (strstr(msg.reply.text, "message from=checkd kind=3;") == NULL)
		expect_told(&h, "message from=checkd kind=3");
	msg_free(&msg);
	close(null_fd);
	close(checkd);
	expect_told(&h, "link_down checkd");
	stop(&h);
}

static void
a_later_configuration_may_be_refused(void **state)
{
	struct harness h = start_running();
	struct control_packet ack;

	(void)state;
	give_config(&h, 666, "0", true);
	ack = control_wait(&h);
	assert_int_equal(ack.number, 666);
	assert_int_equal(ack.status, -EINVAL);
	give_config(&h, 3, "0", true);
	ack = control_wait(&h);
	assert_int_equal(ack.number, 3);
	assert_int_equal(ack.status, 0);
	give_config(&h, 4, "0", false);
	assert_int_equal(control_wait(&h).status, -EBADMSG);
	give_config(&h, 5, "2", true); /* there are two nodes */
	assert_int_equal(control_wait(&h).status, -EBADMSG);
	stop(&h);
}

static void
a_room_without_a_usable_first_configuration_ends(void **state)
{
	struct harness h = start();

	(void)state;
	give_config(&h, 666, "0", true);
	control(&h, CONTROL_START, TD_ROOM_TANDEMD, 0, "", -1);
	assert_int_equal(control_wait(&h).status, -EINVAL);
	assert_int_equal(wait_end(&h), EXIT_FAILURE);
	h = start();
	control(&h, CONTROL_START, TD_ROOM_TANDEMD, 0, "", -1);
	assert_int_equal(wait_end(&h), EXIT_FAILURE);
}

static void
a_ping_is_answered_with_its_number(void **state)
{
	struct harness h = start_running();
	struct control_packet pong;

	(void)state;
	control(&h, CONTROL_PING, TD_ROOM_TANDEMD, 12345, "", -1);
	pong = control_wait(&h);
	assert_int_equal(pong.kind, CONTROL_PONG);
	assert_int_equal(pong.number, 12345);
	assert_int_equal(pong.room, TD_ROOM_LBD);
	stop(&h);
}

static void
a_room_that_hangs_answers_no_ping(void **state)
{
	struct harness h = start_running();
	struct td_msg request = { .kind = TD_MSG_REQUEST,
		.request = { .what = TD_REQ_SWITCHOVER } };
	struct pollfd pfd = { .fd = h.control, .events = POLLIN };

	(void)state;
	assert_int_equal(msg_send(h.mgmtd, &request), 0);
	expect_told(&h, "hangs now");
	control(&h, CONTROL_PING, TD_ROOM_TANDEMD, 1, "", -1);
	assert_int_equal(poll(&pfd, 1, 200), 0);
	kill(h.pid, SIGKILL);
	assert_int_equal(wait_end(&h), -SIGKILL);
}

static void
the_death_of_tandemd_is_told_as_orphan(void **state)
{
	struct harness h = start_running();

	(void)state;
	close(h.control);
	h.control = -1;
	assert_int_equal(wait_end(&h), 41);
}

static void
sigterm_stops_and_the_terminals_signals_do_not(void **state)
{
	struct harness h = start_running();

	(void)state;
	kill(h.pid, SIGINT);
	kill(h.pid, SIGHUP);
	control(&h, CONTROL_PING, TD_ROOM_TANDEMD, 1, "", -1);
	assert_int_equal(control_wait(&h).kind, CONTROL_PONG);
	kill(h.pid, SIGTERM);
	assert_int_equal(wait_end(&h), 40);
}

static void
a_replaced_link_goes_down_and_up(void **state)
{
	struct harness h = start_running();
	int first = give_link(&h, TD_ROOM_SYNCD), second;
	char c;

	(void)state;
	expect_told(&h, "link_up syncd");
	second = give_link(&h, TD_ROOM_SYNCD);
	expect_told(&h, "link_down syncd");
	expect_told(&h, "link_up syncd");
	assert_int_equal(recv(first, &c, 1, MSG_DONTWAIT), 0);
	close(first);
	close(second);
	expect_told(&h, "link_down syncd");
	stop(&h);
}

static void
an_undecodable_message_is_dropped_and_the_link_stays(void **state)
{
	struct harness h = start_running();
	struct td_msg msg = { .kind = TD_MSG_BARRIER };

	(void)state;
	assert_int_equal(send(h.mgmtd, "\xff\xff\xff", 3, 0), 3);
	assert_int_equal(msg_send(h.mgmtd, &msg), 0);
	expect_told(&h, "message from=mgmtd kind=3");
	stop(&h);
}

static void
a_large_status_arrives_whole_though_the_link_is_small(void **state)
{
	struct harness h = start_running();
	struct td_msg request = { .kind = TD_MSG_REQUEST,
		.request = { .id = 31, .what = TD_REQ_STATUS } };
	unsigned subject = 0, built_in = 0;
	bool more = true;

	(void)state;
	assert_int_equal(msg_send(h.mgmtd, &request), 0);
	/* Its pong says that it has answered: more than the link holds is queued now.
	 */
	control(&h, CONTROL_PING, TD_ROOM_TANDEMD, 1, "", -1);
	assert_int_equal(control_wait(&h).kind, CONTROL_PONG);
	while (more) {
		struct td_msg part = msg_wait(h.mgmtd);

		assert_int_equal(part.kind, TD_MSG_STATUS);
		assert_int_equal(part.status.id, 31);
		for (size_t i = 0; i < part.status.sample_count; i++) {
			const struct td_sample *s = &part.status.samples[i];

			if (strcmp(s->name, "tandem_subject_total") != 0)
				built_in++;
			else
				assert_true(s->value == (double)subject++);
		}
		more = part.status.more;
		msg_free(&part);
	}
	assert_int_equal(subject, 20000);
	assert_true(built_in > 0);
	stop(&h);
}

static void
a_wrong_command_line_gives_usage_and_exit_code_2(void **state)
{
	static const char *const rows[][6] = {
		{ "tandem-lbd", NULL },
		{ "tandem-lbd", "--instance", "a", NULL },
		{ "tandem-lbd", "--control-fd", "0", NULL },
		{ "tandem-lbd", "--instance", "a/b", "--control-fd", "0", NULL },
		{ "tandem-lbd", "--instance", "a", "--control-fd", "200", NULL },
		{ "tandem-lbd", "--instance", "a", "--control-fd", "x", NULL },
		{ "tandem-lbd", "--what", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct harness h = { .control = -1, .mgmtd = -1 };
		int argc = 0;

		while (argc < 6 && rows[i][argc] != NULL)
			argc++;
		h.pid = fork();
		if (h.pid == 0) {
			struct room_callbacks none = { 0 };
			const char *argv[7] = { 0 };

			for (int j = 0; j < argc; j++)
				argv[j] = rows[i][j];
			if (freopen("/dev/null", "w", stderr) == NULL)
				exit(3);
			room_open(argc, (char **)argv, TD_ROOM_LBD, &none, NULL);
			exit(0);
		}
		if (wait_end(&h) != 2)
			fail_msg("row %zu", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_room_has_its_descriptors_before_its_configuration_and_then_its_links),
		cmocka_unit_test(a_later_configuration_may_be_refused),
		cmocka_unit_test(a_room_without_a_usable_first_configuration_ends),
		cmocka_unit_test(a_ping_is_answered_with_its_number),
		cmocka_unit_test(a_room_that_hangs_answers_no_ping),
		cmocka_unit_test(the_death_of_tandemd_is_told_as_orphan),
		cmocka_unit_test(sigterm_stops_and_the_terminals_signals_do_not),
		cmocka_unit_test(a_replaced_link_goes_down_and_up),
		cmocka_unit_test(an_undecodable_message_is_dropped_and_the_link_stays),
		cmocka_unit_test(a_large_status_arrives_whole_though_the_link_is_small),
		cmocka_unit_test(a_wrong_command_line_gives_usage_and_exit_code_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
