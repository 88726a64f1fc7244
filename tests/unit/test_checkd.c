/*
 * tandem-checkd as tandemd starts it: a configuration, a link to lbd, a server that
 * comes and goes, on the loopback device of a network namespace of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/room.h"

#define CHECKD TD_BINARY_DIR "/lbcore/tandem-checkd"
#define OWN_ADDRESS "192.0.2.1"
#define DEADLINE_NS (5 * NS_PER_S)

struct fixture {
	pid_t pid;
	int control, link, listener;
	uint16_t port;
};

static void
set_address(int fd, unsigned long request, const char *text)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	struct sockaddr_in sin = { .sin_family = AF_INET };

	assert_int_equal(inet_pton(AF_INET, text, &sin.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	assert_int_equal(ioctl(fd, request, &ifr), 0);
}

static int
enter_namespace(void **state)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		assert_int_equal(unshare(CLONE_NEWUSER | CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	set_address(fd, SIOCSIFADDR, OWN_ADDRESS);
	set_address(fd, SIOCSIFNETMASK, "255.255.255.0");
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	close(fd);
	return 0;
}

static int
listen_here(uint16_t *ret_port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = inet_addr(OWN_ADDRESS) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sin.sin_port = htons(*ret_port);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*ret_port = ntohs(sin.sin_port);
	return fd;
}

static struct td_config *
configuration(uint16_t port)
{
	static const char format[] =
	    "cluster: t\n"
	    "nodes:\n"
	    "  - name: r1\n"
	    "    priority: 150\n"
	    "    public_key: \"rq:rM>}U?@Lns47E1%%kR.o@n%%FcmmsL/@{H8]yf7\"\n"
	    "    sync_addresses: [10.255.0.1]\n"
	    "  - name: r2\n"
	    "    priority: 100\n"
	    "    public_key: \"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"\n"
	    "    sync_addresses: [10.255.0.2]\n"
	    "interfaces:\n"
	    "  - { name: lo, vrid: 51, public: yes, addresses: [192.0.2.9/24] }\n"
	    "public_addresses:\n"
	    "  - { address: 192.0.2.9, ingress: [ { protocol: tcp, ports: 80 } ] }\n"
	    "load_balancers:\n"
	    "  - name: web\n"
	    "    protocol: tcp\n"
	    "    algorithm: roundrobin\n"
	    "    binds: [\"192.0.2.9:80\"]\n"
	    "    health: { type: tcp, interval: 100ms, timeout: 80ms, rise: 2, fall: 2 "
	    "}\n"
	    "    servers: [ { name: s1, endpoint: \"" OWN_ADDRESS ":%u\" } ]\n";
	char text[2048];
	struct td_config_error error;
	struct td_config *config;
	int len = snprintf(text, sizeof(text), format, port);

	config = td_config_parse(text, (size_t)len, "test", "r1", &error);
	if (config == NULL)
		fail_msg("%u: %s: %s", error.line, error.key, error.reason);
	return config;
}

static int
packed(uint16_t port)
{
	struct td_config *config = configuration(port);
	size_t len;
	uint8_t *bytes = td_config_pack(config, &len);
	int fd = memfd_create("config", MFD_CLOEXEC);

	assert_non_null(bytes);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	free(bytes);
	td_config_free(config);
	return fd;
}

static void
send_control(int fd, enum control_kind kind, uint64_t number, int passed)
{
	struct control_packet packet = { .kind = kind,
		.room = TD_ROOM_LBD,
		.number = number,
		.text = "0",
		.fd = passed };

	assert_int_equal(control_send(fd, &packet), 0);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int control[2], link[2], config;

	assert_non_null(f);
	f->listener = listen_here(&f->port);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, control), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, link),
	    0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		char number[16];

		close(control[0]);
		snprintf(number, sizeof(number), "%d", control[1]);
		execl(CHECKD, "tandem-checkd", "--instance", "test", "--control-fd",
		    number, NULL);
		_exit(127);
	}
	close(control[1]);
	f->control = control[0];
	f->link = link[0];
	config = packed(f->port);
	send_control(f->control, CONTROL_CONFIG, 7, config);
	send_control(f->control, CONTROL_LINK, 0, link[1]);
	send_control(f->control, CONTROL_START, 0, -1);
	close(config);
	close(link[1]);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	int status;

	kill(f->pid, SIGTERM);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(f->control);
	close(f->link);
	if (f->listener >= 0)
		close(f->listener);
	free(f);
	return 0;
}

/* The next word about the server. */
static struct td_msg_server_health
next_health(struct fixture *f)
{
	struct td_instant deadline = instant_add(clock_now(), DEADLINE_NS);

	while (!instant_reached(clock_now(), deadline)) {
		struct pollfd pfd = { .fd = f->link, .events = POLLIN };
		struct td_msg msg;
		int r;

		poll(&pfd, 1, 100);
		r = msg_recv(f->link, &msg);
		if (r == 1 && msg.kind == TD_MSG_SERVER_HEALTH)
			return msg.server_health;
		if (r == 1)
			msg_free(&msg);
	}
	fail_msg("no word from checkd");
	return (struct td_msg_server_health){ 0 };
}

static void
a_server_goes_down_and_up_again(void **state)
{
	struct fixture *f = *state;
	struct td_msg_server_health health = next_health(f);

	assert_true(health.up);
	assert_int_equal(health.generation, 7);
	assert_string_equal(health.detail, "Layer4 check passed");
	close(f->listener);
	f->listener = -1;
	health = next_health(f);
	assert_false(health.up);
	assert_string_equal(health.detail, "Layer4 connection problem");
	f->listener = listen_here(&f->port);
	health = next_health(f);
	assert_true(health.up);
}

static void
everything_is_told_again_when_asked(void **state)
{
	struct fixture *f = *state;
	struct td_msg request = { .kind = TD_MSG_REQUEST,
		.request = { .id = 1, .what = TD_REQ_RESYNC } };

	assert_true(next_health(f).up);
	assert_int_equal(msg_send(f->link, &request), 0);
	assert_true(next_health(f).up);
}

static void
a_silent_server_is_a_timeout(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(f->port),
		.sin_addr.s_addr = inet_addr(OWN_ADDRESS) };
	struct td_msg_server_health health = next_health(f);
	int fd[64];

	assert_true(health.up);
	/* A full accept queue drops further SYNs. */
	assert_int_equal(listen(f->listener, 0), 0);
	for (unsigned i = 0; i < 64; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(fd[i] >= 0);
		connect(fd[i], (struct sockaddr *)&sin, sizeof(sin));
	}
	do
		health = next_health(f);
	while (health.up);
	assert_string_equal(health.detail, "Layer4 timeout");
	assert_in_range(health.duration_ns, 80 * NS_PER_MS, 2 * NS_PER_S);
	for (unsigned i = 0; i < 64; i++)
		close(fd[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_server_goes_down_and_up_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    everything_is_told_again_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_silent_server_is_a_timeout, setup, teardown),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
