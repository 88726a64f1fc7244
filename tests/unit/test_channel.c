/*
 * The channel on loopback: who gets in, who does not, and what a listener sees. The
 * bystander is a relay between the two nodes that keeps every byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/clock.h"
#include "common/log.h"
#include "syncd/channel.h"
#include "syncd/keys.h"

#define DEADLINE_NS (20 * NS_PER_S)
#define CAPTURE_MAX (1 << 20)

struct node {
	struct channel *channel;
	struct key_pair keys;
	uint16_t port;
	bool up;
	unsigned received;
	uint8_t last[256];
	size_t last_len;
};

/* Passes bytes between whoever connects and one target, and keeps them. */
struct relay {
	int listener, from, to;
	uint16_t port, target;
	struct loop_fd listener_lf, from_lf, to_lf;
	uint8_t *capture;
	size_t captured;
};

struct world {
	struct loop *loop;
	struct loop_timer stop;
	struct node a, b;
	bool (*done)(struct world *w);
	bool late;
};

static uint16_t
free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(0, bind(fd, (struct sockaddr *)&in, sizeof(in)));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&in, &len));
	close(fd);
	return ntohs(in.sin_port);
}

static struct world *the_world;

static void
check(void)
{
	if (the_world->done != NULL && the_world->done(the_world))
		loop_stop(the_world->loop, 0);
}

static void
on_message(void *context, const uint8_t *bytes, size_t len)
{
	struct node *node = context;

	node->received++;
	node->last_len = len < sizeof(node->last) ? len : sizeof(node->last);
	memcpy(node->last, bytes, node->last_len);
}

static void
on_transport(void *context, bool up)
{
	((struct node *)context)->up = up;
}

static void
on_idle(void *context)
{
	(void)context;
	check();
}

static void
on_stop(struct loop_timer *timer)
{
	struct world *w = timer->context;

	w->late = !w->done(w);
	loop_stop(w->loop, 0);
}

static void
wait_for(struct world *w, bool (*done)(struct world *w), int64_t limit_ns)
{
	w->done = done;
	w->late = false;
	loop_timer_set(&w->stop, instant_add(clock_now(), limit_ns));
	while (!done(w) && !w->late)
		loop_run(w->loop);
	loop_timer_cancel(&w->stop);
}

static void
node_open(struct world *w, struct node *node, uint16_t peer_port,
    const uint8_t *peer_key, const uint8_t *second_key)
{
	struct channel_config cfg = { .port = node->port,
		.peer_port = peer_port,
		.on_message = on_message,
		.on_transport = on_transport,
		.on_idle = on_idle,
		.context = node };

	assert_true(td_addr_parse("127.0.0.1", &cfg.own_address));
	cfg.peer_address = cfg.own_address;
	memcpy(cfg.secret_key, node->keys.secret_key, TD_KEY_BYTES);
	memcpy(cfg.public_key, node->keys.public_key, TD_KEY_BYTES);
	memcpy(cfg.peer_keys[0], peer_key, TD_KEY_BYTES);
	if (second_key != NULL)
		memcpy(cfg.peer_keys[1], second_key, TD_KEY_BYTES);
	assert_int_equal(0, channel_new(w->loop, &cfg, &node->channel));
}

static int
world_new(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	log_init("test", "channel", LOG_TO_STDERR);
	w->loop = loop_new();
	loop_timer_init(w->loop, &w->stop, on_stop, w);
	assert_int_equal(0, key_pair_new(&w->a.keys));
	assert_int_equal(0, key_pair_new(&w->b.keys));
	w->a.port = free_port();
	w->b.port = free_port();
	the_world = w;
	*state = w;
	return 0;
}

static int
world_free(void **state)
{
	struct world *w = *state;

	channel_free(w->a.channel);
	channel_free(w->b.channel);
	loop_free(w->loop);
	free(w);
	return 0;
}

static bool
both_up(struct world *w)
{
	return w->a.up && w->b.up;
}

static bool
b_received(struct world *w)
{
	return w->b.received > 0;
}

static bool
a_received(struct world *w)
{
	return w->a.received > 0;
}

static void
pinned_keys_connect_and_carry_messages(void **state)
{
	struct world *w = *state;

	node_open(w, &w->a, w->b.port, w->b.keys.public_key, NULL);
	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	wait_for(w, both_up, DEADLINE_NS);
	assert_false(w->late);
	assert_int_equal(0, channel_send(w->a.channel, (const uint8_t *)"to b", 4));
	assert_int_equal(0, channel_send(w->b.channel, (const uint8_t *)"to a", 4));
	wait_for(w, b_received, DEADLINE_NS);
	wait_for(w, a_received, DEADLINE_NS);
	assert_int_equal(4, w->b.last_len);
	assert_memory_equal("to b", w->b.last, 4);
	assert_memory_equal("to a", w->a.last, 4);
	for (unsigned i = 0; i < CHANNEL_REFUSED_COUNT; i++)
		assert_int_equal(0, channel_counters(w->b.channel)->refused[i]);
}

static void
the_second_key_of_a_rotation_connects(void **state)
{
	struct world *w = *state;
	struct key_pair old;

	assert_int_equal(0, key_pair_new(&old));
	node_open(w, &w->a, w->b.port, old.public_key, w->b.keys.public_key);
	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	wait_for(w, both_up, DEADLINE_NS);
	assert_false(w->late);
}

static bool
b_refused_key(struct world *w)
{
	return channel_counters(w->b.channel)->refused[CHANNEL_REFUSED_KEY] >= 2;
}

static void
a_wrong_key_is_refused_and_counted(void **state)
{
	struct world *w = *state;
	struct key_pair other;

	assert_int_equal(0, key_pair_new(&other));
	/* a knows b, but b expects somebody else. */
	node_open(w, &w->a, w->b.port, w->b.keys.public_key, NULL);
	node_open(w, &w->b, w->a.port, other.public_key, NULL);
	wait_for(w, b_refused_key, DEADLINE_NS);
	assert_false(w->late);
	assert_false(w->a.up);
	assert_int_equal(-EAGAIN, channel_send(w->a.channel, (const uint8_t *)"x", 1));
	assert_int_equal(0, w->b.received);
	assert_int_equal(0, channel_counters(w->b.channel)->accepts);
}

static bool
b_refused_plain(struct world *w)
{
	return channel_counters(w->b.channel)->refused[CHANNEL_REFUSED_NO_CURVE] >= 1;
}

/* By hand, because libzmq as the client may hang up before the server has looked. */
static void
a_client_without_curve_is_refused_and_counted(void **state)
{
	struct world *w = *state;
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	/* The greeting of ZMTP 3.0: signature, version, mechanism NULL. */
	uint8_t greeting[64] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U',
		'L', 'L' };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	in.sin_port = htons(w->b.port);
	assert_int_equal(0, connect(fd, (struct sockaddr *)&in, sizeof(in)));
	assert_int_equal(sizeof(greeting), write(fd, greeting, sizeof(greeting)));
	wait_for(w, b_refused_plain, DEADLINE_NS);
	assert_false(w->late);
	assert_int_equal(0, w->b.received);
	assert_int_equal(0, channel_counters(w->b.channel)->accepts);
	close(fd);
}

/* ---- what the wire shows ---- */

static void
relay_copy(struct relay *r, int in, int out)
{
	uint8_t buf[65536];
	ssize_t n = read(in, buf, sizeof(buf));

	if (n <= 0)
		return;
	assert_true(r->captured + (size_t)n <= CAPTURE_MAX);
	memcpy(r->capture + r->captured, buf, (size_t)n);
	r->captured += (size_t)n;
	assert_int_equal(n, write(out, buf, (size_t)n));
}

static void
on_from(struct loop_fd *lf, uint32_t events)
{
	struct relay *r = lf->context;

	(void)events;
	relay_copy(r, r->from, r->to);
}

static void
on_to(struct loop_fd *lf, uint32_t events)
{
	struct relay *r = lf->context;

	(void)events;
	relay_copy(r, r->to, r->from);
}

static void
on_accept(struct loop_fd *lf, uint32_t events)
{
	struct relay *r = lf->context;
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(r->target),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = accept(r->listener, NULL, NULL);

	(void)events;
	if (fd < 0 || r->from >= 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	r->from = fd;
	r->to = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(0, connect(r->to, (struct sockaddr *)&in, sizeof(in)));
	loop_fd_add(lf->loop, &r->from_lf, r->from, EPOLLIN, on_from, r);
	loop_fd_add(lf->loop, &r->to_lf, r->to, EPOLLIN, on_to, r);
}

static void
relay_open(struct world *w, struct relay *r, uint16_t target)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	memset(r, 0, sizeof(*r));
	r->from = r->to = -1;
	r->target = target;
	r->capture = malloc(CAPTURE_MAX);
	r->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(0, bind(r->listener, (struct sockaddr *)&in, sizeof(in)));
	assert_int_equal(0, listen(r->listener, 4));
	assert_int_equal(0, getsockname(r->listener, (struct sockaddr *)&in, &len));
	r->port = ntohs(in.sin_port);
	loop_fd_add(w->loop, &r->listener_lf, r->listener, EPOLLIN, on_accept, r);
}

static void
relay_close(struct relay *r)
{
	loop_fd_remove(&r->listener_lf);
	if (r->from >= 0) {
		loop_fd_remove(&r->from_lf);
		loop_fd_remove(&r->to_lf);
		close(r->from);
		close(r->to);
	}
	close(r->listener);
	free(r->capture);
}

static void
the_wire_shows_nothing_of_a_message(void **state)
{
	struct world *w = *state;
	struct relay relay;
	/* A tuple as the record codec writes it: addresses and ports in network order.
	 */
	static const uint8_t tuple[12] = { 203, 0, 113, 77, 10, 1, 1, 11, 0xd4, 0x31,
		0x1f, 0x90 };
	uint8_t message[200];

	memset(message, 0x5a, sizeof(message));
	memcpy(message + 100, tuple, sizeof(tuple));
	relay_open(w, &relay, w->b.port);
	node_open(w, &w->a, relay.port, w->b.keys.public_key, NULL);
	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	wait_for(w, both_up, DEADLINE_NS);
	assert_false(w->late);
	assert_int_equal(0, channel_send(w->a.channel, message, sizeof(message)));
	wait_for(w, b_received, DEADLINE_NS);
	assert_false(w->late);
	assert_memory_equal(message, w->b.last, sizeof(message));

	/* The relay did carry it: greeting, handshake and the sealed message. */
	assert_true(relay.captured > sizeof(message) + 64);
	assert_non_null(memmem(relay.capture, relay.captured, "CURVE", 5));
	assert_null(memmem(relay.capture, relay.captured, tuple, sizeof(tuple)));
	assert_null(memmem(relay.capture, relay.captured, tuple, 4));
	assert_null(memmem(relay.capture, relay.captured, tuple + 4, 4));
	assert_null(memmem(relay.capture, relay.captured, tuple + 8, 4));
	relay_close(&relay);
}

static bool
a_down(struct world *w)
{
	return !w->a.up;
}

static void
a_dead_peer_is_noticed_and_a_new_one_found(void **state)
{
	struct world *w = *state;

	node_open(w, &w->a, w->b.port, w->b.keys.public_key, NULL);
	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	wait_for(w, both_up, DEADLINE_NS);
	assert_false(w->late);
	channel_free(w->b.channel);
	w->b.channel = NULL;
	w->b.up = false;
	wait_for(w, a_down, DEADLINE_NS);
	assert_false(w->late);
	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	wait_for(w, both_up, DEADLINE_NS);
	assert_false(w->late);
	assert_int_equal(0, channel_send(w->a.channel, (const uint8_t *)"again", 5));
	wait_for(w, b_received, DEADLINE_NS);
	assert_false(w->late);
}

static void
a_connection_made_again_on_request_works(void **state)
{
	struct world *w = *state;

	node_open(w, &w->a, w->b.port, w->b.keys.public_key, NULL);
	node_open(w, &w->b, w->a.port, w->a.keys.public_key, NULL);
	wait_for(w, both_up, DEADLINE_NS);
	for (unsigned i = 0; i < 3; i++) {
		channel_reconnect(w->a.channel);
		assert_false(w->a.up);
		wait_for(w, both_up, DEADLINE_NS);
		assert_false(w->late);
	}
	assert_int_equal(0, channel_send(w->a.channel, (const uint8_t *)"again", 5));
	wait_for(w, b_received, DEADLINE_NS);
	assert_false(w->late);
	assert_int_equal(4, channel_counters(w->a.channel)->connects);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    pinned_keys_connect_and_carry_messages, world_new, world_free),
		cmocka_unit_test_setup_teardown(
		    the_second_key_of_a_rotation_connects, world_new, world_free),
		cmocka_unit_test_setup_teardown(
		    a_wrong_key_is_refused_and_counted, world_new, world_free),
		cmocka_unit_test_setup_teardown(
		    a_client_without_curve_is_refused_and_counted, world_new,
		    world_free),
		cmocka_unit_test_setup_teardown(
		    the_wire_shows_nothing_of_a_message, world_new, world_free),
		cmocka_unit_test_setup_teardown(
		    a_dead_peer_is_noticed_and_a_new_one_found, world_new, world_free),
		cmocka_unit_test_setup_teardown(
		    a_connection_made_again_on_request_works, world_new, world_free),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
