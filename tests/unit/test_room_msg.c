/* Messages and control packets: over the wire and back, and what a hostile end can do.
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
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/histogram.h"
#include "common/room_status.h"
#include "common/room_wire.h"

struct ends {
	int near, far;
};

static struct ends
ends_open(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	return (struct ends){ fds[0], fds[1] };
}

static void
ends_close(struct ends e)
{
	close(e.near);
	close(e.far);
}

static unsigned
open_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Sends and receives; the result must be freed. */
static struct td_msg
pass(const struct td_msg *msg)
{
	struct ends e = ends_open();
	struct td_msg got;

	assert_int_equal(msg_recv(e.far, &got), 0);
	assert_int_equal(msg_send(e.near, msg), 0);
	assert_int_equal(msg_recv(e.far, &got), 1);
	assert_int_equal(got.kind, msg->kind);
	ends_close(e);
	return got;
}

static void
plain_messages_arrive_as_sent(void **state)
{
	static const struct td_msg rows[] = {
		{ .kind = TD_MSG_ROLE,
		    .role = { TD_ROLE_ACTIVE, UINT64_MAX, "active_down_timer", true,
			TD_ROLE_BACKUP, 41, true, 254, "wan0" } },
		{ .kind = TD_MSG_ROLE, .role = { .role = TD_ROLE_INITIALIZE } },
		{ .kind = TD_MSG_SYNC_STATE,
		    .sync_state = { true, true, false, 1ULL << 40, 7, 3,
			"unapplied" } },
		{ .kind = TD_MSG_BARRIER, .barrier = { 9, true, false } },
		{ .kind = TD_MSG_BARRIER, .barrier = { 0, false, false } },
		{ .kind = TD_MSG_SERVER_HEALTH,
		    .server_health = { 1, 2, 3, true, "Layer4 check passed", -5 } },
		{ .kind = TD_MSG_LAST_WORDS,
		    .last_words = { .ifindex = 4,
			.family = TD_AF_INET6,
			.len = 3,
			.frame = { 1, 0, 3 } } },
		{ .kind = TD_MSG_LAST_WORDS, .last_words = { .ifindex = 4 } },
		{ .kind = TD_MSG_FITNESS, .fitness = { 1ULL << 40, 0xffff, 0x8001 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct td_msg got = pass(&rows[i]);

		switch (got.kind) {
		case TD_MSG_ROLE:
			assert_memory_equal(&got.role, &rows[i].role, sizeof(got.role));
			break;
		case TD_MSG_SYNC_STATE:
			assert_memory_equal(&got.sync_state, &rows[i].sync_state,
			    sizeof(got.sync_state));
			break;
		case TD_MSG_BARRIER:
			assert_memory_equal(
			    &got.barrier, &rows[i].barrier, sizeof(got.barrier));
			break;
		case TD_MSG_SERVER_HEALTH:
			assert_memory_equal(&got.server_health, &rows[i].server_health,
			    sizeof(got.server_health));
			break;
		case TD_MSG_LAST_WORDS:
			assert_memory_equal(&got.last_words, &rows[i].last_words,
			    sizeof(got.last_words));
			break;
		case TD_MSG_FITNESS:
			assert_memory_equal(
			    &got.fitness, &rows[i].fitness, sizeof(got.fitness));
			break;
		default:
			fail();
		}
		msg_free(&got);
	}
}

static void
texts_and_bytes_arrive_as_sent(void **state)
{
	char text[] = "cluster: lab\n\xff";
	uint8_t bytes[] = { 0, 1, 0, 255 };
	struct td_msg request = { .kind = TD_MSG_REQUEST,
		.request = { 77, TD_REQ_CONFIG_PREPARE, 12, text } };
	struct td_msg reply = { .kind = TD_MSG_REPLY, .reply = { 77, -EINVAL, NULL } };
	struct td_msg call = { .kind = TD_MSG_PEER_CALL,
		.peer_call = { 5, true, -EHOSTUNREACH, 2, bytes, sizeof(bytes) } };
	struct td_msg got;

	(void)state;
	got = pass(&request);
	assert_int_equal(got.request.id, 77);
	assert_int_equal(got.request.what, TD_REQ_CONFIG_PREPARE);
	assert_int_equal(got.request.number, 12);
	assert_string_equal(got.request.text, text);
	msg_free(&got);
	got = pass(&reply);
	assert_int_equal(got.reply.status, -EINVAL);
	assert_null(got.reply.text);
	text[0] = '\0'; /* an empty text is not an absent one */
	reply.reply.text = text;
	msg_free(&got);
	got = pass(&reply);
	assert_non_null(got.reply.text);
	assert_string_equal(got.reply.text, "");
	msg_free(&got);
	got = pass(&call);
	assert_int_equal(got.peer_call.status, -EHOSTUNREACH);
	assert_true(got.peer_call.answer);
	assert_int_equal(got.peer_call.len, sizeof(bytes));
	assert_memory_equal(got.peer_call.bytes, bytes, sizeof(bytes));
	msg_free(&got);
	msg_free(&got); /* twice is fine */
}

static void
what_is_too_large_is_not_sent(void **state)
{
	static uint8_t bytes[TD_MSG_PEER_CALL_MAX + 1];
	static char text[TD_MSG_TEXT_MAX + 2];
	struct td_msg call = { .kind = TD_MSG_PEER_CALL,
		.peer_call = { .bytes = bytes, .len = sizeof(bytes) } };
	struct td_msg request = { .kind = TD_MSG_REQUEST, .request = { .text = text } };
	struct td_msg none = { .kind = TD_MSG_NONE };
	struct ends e = ends_open();
	struct td_msg got;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(msg_send(e.near, &call), -EMSGSIZE);
	assert_int_equal(msg_send(e.near, &request), -EMSGSIZE);
	assert_int_equal(msg_send(e.near, &none), -EINVAL);
	assert_int_equal(msg_recv(e.far, &got), 0);
	call.peer_call.len--;
	text[TD_MSG_TEXT_MAX] = '\0';
	assert_int_equal(msg_send(e.near, &call), 0);
	assert_int_equal(msg_send(e.near, &request), 0);
	assert_int_equal(msg_recv(e.far, &got), 1);
	assert_int_equal(got.peer_call.len, TD_MSG_PEER_CALL_MAX);
	msg_free(&got);
	assert_int_equal(msg_recv(e.far, &got), 1);
	assert_int_equal(strlen(got.request.text), TD_MSG_TEXT_MAX);
	msg_free(&got);
	ends_close(e);
}

static void
a_reader_that_is_stuck_costs_the_newest_message(void **state)
{
	struct td_msg msg = { .kind = TD_MSG_BARRIER };
	struct ends e = ends_open();
	struct td_msg got;
	int r;

	(void)state;
	do {
		msg.barrier.id++;
		r = msg_send(e.near, &msg);
	} while (r == 0 && msg.barrier.id < 100000);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(msg_recv(e.far, &got), 1);
	assert_int_equal(got.barrier.id, 1);
	ends_close(e);
}

/* Bytes no encoder of ours makes. */
static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[32];
} bad_rows[] = {
	{ "an unknown member of the union", 2, { 0x7a, 0x00 } },
	{ "no protobuf at all", 3, { 0xff, 0xff, 0xff } },
	{ "a length beyond the packet", 3, { 0x0a, 0x20, 0x08 } },
	{ "role 3", 4, { 0x0a, 0x02, 0x08, 0x03 } },
	{ "role -1", 13,
	    { 0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x01 } },
	{ "request 99", 4, { 0x32, 0x02, 0x10, 0x63 } },
	{ "a text with a NUL", 8, { 0x32, 0x06, 0x22, 0x02, 'a', 0x00, 0x28, 0x01 } },
	{ "a text that says it is absent", 5, { 0x32, 0x03, 0x22, 0x01, 'a' } },
	{ "a sample with a key and no value", 8,
	    { 0x42, 0x06, 0x1a, 0x04, 0x1a, 0x02, 'a', 'b' } },
	{ "a sample of type 9", 6, { 0x42, 0x04, 0x1a, 0x02, 0x10, 0x09 } },
};

static void
undecodable_packets_are_dropped_and_the_next_is_read(void **state)
{
	struct td_msg msg = { .kind = TD_MSG_BARRIER, .barrier = { 5, true, true } };
	struct ends e = ends_open();
	struct td_msg got;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		assert_true(send(e.near, bad_rows[i].bytes, bad_rows[i].len, 0) > 0);
		assert_int_equal(msg_send(e.near, &msg), 0);
		if (msg_recv(e.far, &got) != -EBADMSG)
			fail_msg("%s was accepted", bad_rows[i].name);
		assert_int_equal(msg_recv(e.far, &got), 1);
		assert_int_equal(got.barrier.id, 5);
	}
	ends_close(e);
}

/* One byte too many, and without it a barrier with an unknown field: what is cut is not
 * taken for what was sent. */
static void
a_packet_beyond_the_limit_is_dropped(void **state)
{
	static uint8_t bytes[TD_MSG_BYTES_MAX + 1] = { 0x1a, 0x04, 0x08, 0x05, 0x10,
		0x01, 0x7a, 0xf6, 0xff, 0x03 };
	struct ends e = ends_open();
	struct td_msg got;

	(void)state;
	assert_true(send(e.near, bytes, sizeof(bytes), 0) > 0);
	assert_int_equal(msg_recv(e.far, &got), -EBADMSG);
	assert_int_equal(msg_recv(e.far, &got), 0);
	assert_true(send(e.near, bytes, sizeof(bytes) - 1, 0) > 0);
	assert_int_equal(msg_recv(e.far, &got), 1);
	assert_int_equal(got.barrier.id, 5);
	ends_close(e);
}

static void
texts_longer_than_their_field_are_undecodable(void **state)
{
	uint8_t bytes[4 + TD_REASON_MAX] = { 0x0a, 2 + TD_REASON_MAX, 0x1a,
		TD_REASON_MAX };
	struct td_msg got;

	(void)state;
	memset(bytes + 4, 'r', TD_REASON_MAX);
	assert_int_equal(msg_decode(bytes, sizeof(bytes), &got), -EBADMSG);
	bytes[1]--;
	bytes[3]--;
	assert_int_equal(msg_decode(bytes, sizeof(bytes) - 1, &got), 0);
	assert_int_equal(strlen(got.role.reason), TD_REASON_MAX - 1);
}

/* The packet that unpacks to the most memory: empty samples, two bytes each. */
static void
the_densest_packet_is_refused_within_bounds(void **state)
{
	static uint8_t bytes[TD_MSG_BYTES_MAX];
	struct td_msg got;

	(void)state;
	bytes[0] = 0x42;
	bytes[1] = 0xfc;
	bytes[2] = 0xff;
	bytes[3] = 0x03;
	for (size_t i = 4; i + 1 < sizeof(bytes); i += 2)
		bytes[i] = 0x1a;
	assert_int_equal(msg_decode(bytes, sizeof(bytes), &got), -EBADMSG);
}

static void
the_end_of_a_link_comes_after_its_last_message(void **state)
{
	struct td_msg msg = { .kind = TD_MSG_BARRIER, .barrier = { 5, true, true } };
	struct ends e = ends_open();
	struct td_msg got;

	(void)state;
	/* Unread packets at the far end make the kernel say ECONNRESET here first. */
	assert_int_equal(msg_send(e.far, &msg), 0);
	assert_int_equal(msg_send(e.near, &msg), 0);
	close(e.near);
	assert_int_equal(msg_recv(e.far, &got), 1);
	assert_int_equal(msg_recv(e.far, &got), -EPIPE);
	assert_int_equal(msg_recv(e.far, &got), -EPIPE);
	assert_int_equal(msg_send(e.far, &msg), -EPIPE);
	close(e.far);
}

static void
descriptors_sent_on_a_link_stay_outside(void **state)
{
	struct ends e = ends_open();
	struct control_packet with_fd = {
		.kind = CONTROL_FD, .text = "x", .fd = e.near
	};
	unsigned before = open_fds();
	struct td_msg got;

	(void)state;
	assert_int_equal(control_send(e.near, &with_fd), 0);
	assert_int_equal(msg_recv(e.far, &got), -EBADMSG);
	assert_int_equal(open_fds(), before);
	ends_close(e);
}

static void
control_packets_arrive_with_their_descriptor(void **state)
{
	struct ends e = ends_open();
	int pipe_ends[2];
	struct control_packet sent = { .kind = CONTROL_FD,
		.room = TD_ROOM_LBD,
		.number = 3,
		.status = -4,
		.text = "fence-map" };
	struct control_packet got;
	char c;

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	sent.fd = pipe_ends[0];
	assert_int_equal(control_recv(e.far, &got), 0);
	assert_int_equal(control_send(e.near, &sent), 0);
	assert_int_equal(control_recv(e.far, &got), 1);
	assert_int_equal(got.kind, CONTROL_FD);
	assert_int_equal(got.room, TD_ROOM_LBD);
	assert_int_equal(got.number, 3);
	assert_int_equal(got.status, -4);
	assert_string_equal(got.text, "fence-map");
	assert_true(got.fd >= 0 && got.fd != pipe_ends[0]);
	assert_true(fcntl(got.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(pipe_ends[1], "z", 1), 1);
	assert_int_equal(read(got.fd, &c, 1), 1);
	close(got.fd);
	sent = (struct control_packet){ .kind = CONTROL_CONFIG, .fd = -1 };
	assert_int_equal(control_send(e.near, &sent), -EINVAL);
	sent.kind = CONTROL_PING;
	assert_int_equal(control_send(e.near, &sent), 0);
	assert_int_equal(control_recv(e.far, &got), 1);
	assert_int_equal(got.kind, CONTROL_PING);
	assert_int_equal(got.fd, -1);
	close(e.near);
	assert_int_equal(control_recv(e.far, &got), -EPIPE);
	close(e.far);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* Sends bytes with `count` copies of a descriptor. */
static void
send_with_fds(int to, const uint8_t *bytes, size_t len, int fd, unsigned count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	assert_true(count <= 8);
	if (count > 0) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		for (unsigned i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	assert_true(sendmsg(to, &mh, 0) > 0);
}

static void
a_control_packet_with_the_wrong_descriptors_leaks_none(void **state)
{
	static const struct {
		const char *name;
		enum control_kind kind;
		unsigned fds;
	} rows[] = {
		{ "a pong with one", CONTROL_PONG, 1 },
		{ "an acknowledgement with two", CONTROL_CONFIG_ACK, 2 },
		{ "a descriptor packet with none", CONTROL_FD, 0 },
		{ "a descriptor packet with two", CONTROL_FD, 2 },
		{ "a descriptor packet with eight", CONTROL_FD, 8 },
	};
	struct ends e = ends_open();
	unsigned before = open_fds();
	uint8_t bytes[TD_CONTROL_BYTES_MAX];
	struct control_packet got;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct control_packet packet = { .kind = rows[i].kind, .fd = -1 };

		assert_int_equal(control_encode(&packet, bytes, &len), 0);
		send_with_fds(e.near, bytes, len, e.near, rows[i].fds);
		if (control_recv(e.far, &got) != -EBADMSG)
			fail_msg("%s was accepted", rows[i].name);
		assert_int_equal(open_fds(), before);
	}
	/* Undecodable bytes, and too many of them, with descriptors. */
	send_with_fds(e.near, (const uint8_t *)"\xff\xff", 2, e.near, 1);
	assert_int_equal(control_recv(e.far, &got), -EBADMSG);
	send_with_fds(e.near, (const uint8_t[1000]){ 8 }, 1000, e.near, 1);
	assert_int_equal(control_recv(e.far, &got), -EBADMSG);
	assert_int_equal(open_fds(), before);
	ends_close(e);
}

static void
a_status_goes_out_in_parts_and_none_is_lost(void **state)
{
	struct room_status *st = room_status_new();
	struct ends e = ends_open();
	struct td_msg part, got;
	size_t at = 0, received = 0;
	unsigned parts = 0;
	char index[32], longest[2000];
	bool more = true;

	(void)state;
	memset(longest, 'l', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(index, sizeof(index), "%u", i);
		status_gauge(st, "tandem_test_value", i, "index", index, "text",
		    i % 100 == 0 ? longest : "short", NULL);
	}
	while (room_status_next_part(st, 42, &at, &part)) {
		assert_true(more);
		assert_int_equal(msg_send(e.near, &part), 0);
		assert_int_equal(msg_recv(e.far, &got), 1);
		assert_int_equal(got.kind, TD_MSG_STATUS);
		assert_int_equal(got.status.id, 42);
		for (size_t i = 0; i < got.status.sample_count; i++) {
			const struct td_sample *s = &got.status.samples[i];

			snprintf(index, sizeof(index), "%zu", received);
			assert_string_equal(s->name, "tandem_test_value");
			assert_int_equal(s->label_count, 2);
			assert_string_equal(s->label_key[0], "index");
			assert_string_equal(s->label_value[0], index);
			assert_true(s->value == (double)received);
			received++;
		}
		more = got.status.more;
		parts++;
		msg_free(&got);
	}
	assert_false(more);
	assert_int_equal(received, 5000);
	assert_true(parts > 2 && parts < 20);
	room_status_free(st);
	ends_close(e);
}

static void
an_empty_status_is_one_part(void **state)
{
	struct room_status *st = room_status_new();
	struct td_msg part;
	size_t at = 0;

	(void)state;
	assert_true(room_status_next_part(st, 1, &at, &part));
	assert_false(part.status.more);
	assert_int_equal(part.status.sample_count, 0);
	assert_false(room_status_next_part(st, 1, &at, &part));
	room_status_free(st);
}

static void
a_histogram_becomes_cumulative_buckets_in_seconds(void **state)
{
	struct room_status *st = room_status_new();
	struct td_histogram h = { .count = 0 };
	const struct td_sample *s;

	(void)state;
	histogram_add(&h, 1500);
	histogram_add(&h, 3000000);
	histogram_add(&h, INT64_C(60000000000));
	status_histogram(st, "tandem_lag_seconds", &h, "peer", "r2", NULL);
	assert_int_equal(st->count, TD_HISTOGRAM_BUCKETS + 2);
	s = &st->samples[0];
	assert_string_equal(s->name, "tandem_lag_seconds_bucket");
	assert_string_equal(s->label_value[0], "r2");
	assert_string_equal(s->label_key[1], "le");
	assert_string_equal(s->label_value[1], "1e-06");
	assert_true(s->value == 0);
	assert_true(st->samples[1].value == 1);
	assert_string_equal(st->samples[12].label_value[1], "0.004096");
	assert_true(st->samples[12].value == 2);
	s = &st->samples[TD_HISTOGRAM_BUCKETS - 1];
	assert_string_equal(s->label_value[1], "+Inf");
	assert_true(s->value == 3);
	assert_string_equal(
	    st->samples[TD_HISTOGRAM_BUCKETS].name, "tandem_lag_seconds_sum");
	assert_true(st->samples[TD_HISTOGRAM_BUCKETS].value > 60.003);
	assert_string_equal(
	    st->samples[TD_HISTOGRAM_BUCKETS + 1].name, "tandem_lag_seconds_count");
	room_status_free(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_messages_arrive_as_sent),
		cmocka_unit_test(texts_and_bytes_arrive_as_sent),
		cmocka_unit_test(what_is_too_large_is_not_sent),
		cmocka_unit_test(a_reader_that_is_stuck_costs_the_newest_message),
		cmocka_unit_test(undecodable_packets_are_dropped_and_the_next_is_read),
		cmocka_unit_test(a_packet_beyond_the_limit_is_dropped),
		cmocka_unit_test(texts_longer_than_their_field_are_undecodable),
		cmocka_unit_test(the_densest_packet_is_refused_within_bounds),
		cmocka_unit_test(the_end_of_a_link_comes_after_its_last_message),
		cmocka_unit_test(descriptors_sent_on_a_link_stay_outside),
		cmocka_unit_test(control_packets_arrive_with_their_descriptor),
		cmocka_unit_test(
		    a_control_packet_with_the_wrong_descriptors_leaks_none),
		cmocka_unit_test(a_status_goes_out_in_parts_and_none_is_lost),
		cmocka_unit_test(an_empty_status_is_one_part),
		cmocka_unit_test(a_histogram_becomes_cumulative_buckets_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
