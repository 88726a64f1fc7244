/*
 * A failover without daemons: connections are opened through router A, what its kernel
 * announces is put into router B's, the cables are moved, and every connection goes on.
 *
 *    client 10.1.1.11 --- router A, then B --- server 203.0.113.254
 *           fd00:1:1::11                              2001:db8:1::fe
 *
 * B has NAT hooks but no NAT rules, and drops whatever has no entry: only the replicas
 * can carry the packets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "ct_lab.h"
#include "syncd/core/flow.h"
#include "syncd/ct_dump.h"
#include "syncd/ct_events.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_grace.h"
#include "syncd/ct_inject.h"
#include "syncd/ct_sysctl.h"

#define DEADLINE_S                                                                     \
	5 /* for one message to arrive; a loaded machine stalls now and then */
#define FLOWS_MAX 64

enum side { CLIENT, SERVER, SIDES };

/* Ports decide which rule translates: the listeners' side and the rules in open_router.
 */
static const struct {
	const char *name;
	int type; /* SOCK_STREAM, SOCK_DGRAM; SOCK_RAW is an echo request */
	enum side opener;
	const char *from, *to; /* the opener's own address, and where it connects */
	uint16_t to_port, listen_port;
	enum side speaks_first; /* after the failover */
} rows[] = {
	{ "tcp, routed, opener speaks", SOCK_STREAM, CLIENT, "10.1.1.11",
	    "203.0.113.254", 5000, 5000, CLIENT },
	{ "tcp, routed, listener speaks", SOCK_STREAM, CLIENT, "10.1.1.11",
	    "203.0.113.254", 5000, 5000, SERVER },
	{ "tcp, source NAT, opener speaks", SOCK_STREAM, CLIENT, "10.1.1.11",
	    "203.0.113.254", 6000, 6000, CLIENT },
	{ "tcp, source NAT, listener speaks", SOCK_STREAM, CLIENT, "10.1.1.11",
	    "203.0.113.254", 6000, 6000, SERVER },
	{ "tcp, destination NAT, opener speaks", SOCK_STREAM, SERVER, "203.0.113.254",
	    "203.0.113.1", 7000, 7001, SERVER },
	{ "tcp, destination NAT, listener speaks", SOCK_STREAM, SERVER, "203.0.113.254",
	    "203.0.113.1", 7000, 7001, CLIENT },
	{ "tcp, NAT both ways, opener speaks", SOCK_STREAM, CLIENT, "10.1.1.11",
	    "10.1.1.1", 8000, 8001, CLIENT },
	{ "tcp, NAT both ways, listener speaks", SOCK_STREAM, CLIENT, "10.1.1.11",
	    "10.1.1.1", 8000, 8001, SERVER },
	{ "udp, source NAT, opener speaks", SOCK_DGRAM, CLIENT, "10.1.1.11",
	    "203.0.113.254", 6000, 6000, CLIENT },
	{ "udp, source NAT, listener speaks", SOCK_DGRAM, CLIENT, "10.1.1.11",
	    "203.0.113.254", 6002, 6002, SERVER },
	{ "udp, destination NAT, listener speaks", SOCK_DGRAM, SERVER, "203.0.113.254",
	    "203.0.113.1", 7000, 7001, CLIENT },
	{ "udp, NAT both ways, listener speaks", SOCK_DGRAM, CLIENT, "10.1.1.11",
	    "10.1.1.1", 8000, 8001, SERVER },
	{ "echo, source NAT", SOCK_RAW, CLIENT, "10.1.1.11", "203.0.113.254", 0, 0,
	    CLIENT },
	{ "tcp6, source NAT, listener speaks", SOCK_STREAM, CLIENT, "fd00:1:1::11",
	    "2001:db8:1::fe", 6000, 6000, SERVER },
	{ "tcp6, destination NAT, listener speaks", SOCK_STREAM, SERVER,
	    "2001:db8:1::fe", "2001:db8:1::1", 7000, 7001, CLIENT },
	{ "tcp6, NAT both ways, opener speaks", SOCK_STREAM, CLIENT, "fd00:1:1::11",
	    "fd00:1:1::1", 8000, 8001, CLIENT },
	{ "udp6, source NAT, listener speaks", SOCK_DGRAM, CLIENT, "fd00:1:1::11",
	    "2001:db8:1::fe", 6003, 6003, SERVER },
	{ "echo6, source NAT", SOCK_RAW, CLIENT, "fd00:1:1::11", "2001:db8:1::fe", 0, 0,
	    CLIENT },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))
#define TCP_ROWS 11U

struct lab {
	int host[SIDES], router_a, router_b;
	int socket[ROWS][SIDES]; /* echo: the opener's only */
	struct flow_record flows[FLOWS_MAX];
	unsigned flow_count;
	unsigned results[CT_OUTCOME_COUNT];
};

/* ---- what the kernel of A says ---- */

static void
on_event(void *context, const struct ct_event *event)
{
	struct lab *lab = context;
	unsigned i;

	for (i = 0; i < lab->flow_count; i++) {
		if (flow_key_equal(&lab->flows[i].key, &event->flow->key))
			break;
	}
	if (i < lab->flow_count) {
		flow_merge(&lab->flows[i], event->flow);
		return;
	}
	assert_true(lab->flow_count < FLOWS_MAX);
	lab->flows[lab->flow_count++] = *event->flow;
}

static void
on_overrun(void *context)
{
	(void)context;
	fail_msg("overrun");
}

static void
on_result(void *context, const struct ct_result *result)
{
	struct lab *lab = context;

	lab->results[result->outcome]++;
}

/* ---- routers and hosts ---- */

static void
plug(struct lab *lab, int router)
{
	static const char *const addresses[] = { "10.1.1.1/24 dev r0",
		"fd00:1:1::1/64 dev r0 "
		"nodad",
		"203.0.113.1/24 dev r1", "2001:db8:1::1/64 dev r1 nodad" };

	(void)lab;
	ct_lab_run(router, "ip link set r0 up; ip link set r1 up");
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		ct_lab_run(router, "ip address add %s", addresses[i]);
}

static void
forward(int router)
{
	ct_lab_run(router, "echo 1 >/proc/sys/net/ipv4/ip_forward;"
			   "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
}

static void
host(
    int netns, const char *addr4, const char *addr6, const char *via4, const char *via6)
{
	ct_lab_run(netns,
	    "ip address add %s dev e0; ip address add %s dev e0 nodad;"
	    " ip route add default via %s; ip -6 route add default via %s;"
	    " echo 0 >/proc/sys/net/ipv4/icmp_ratelimit",
	    addr4, addr6, via4, via6);
}

static int
setup(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct ct_sysctl sysctl;

	assert_non_null(lab);
	*state = lab;
	lab->host[CLIENT] = ct_lab_new();
	lab->host[SERVER] = ct_lab_new();
	lab->router_a = ct_lab_new();
	lab->router_b = ct_lab_new();
	ct_lab_wire(lab->router_a, "r0", lab->host[CLIENT], "e0");
	ct_lab_wire(lab->router_a, "r1", lab->host[SERVER], "e0");
	forward(lab->router_a);
	forward(lab->router_b);
	plug(lab, lab->router_a);
	host(lab->host[CLIENT], "10.1.1.11/24", "fd00:1:1::11/64", "10.1.1.1",
	    "fd00:1:1::1");
	host(lab->host[SERVER], "203.0.113.254/24", "2001:db8:1::fe/64", "203.0.113.1",
	    "2001:db8:1::1");
	ct_lab_enter(lab->router_b);
	ct_sysctl_apply(0, &sysctl);
	ct_lab_enter(lab->router_a);
	ct_sysctl_apply(0, &sysctl);
	ct_lab_run(lab->router_a,
	    "nft 'add table inet t;"
	    " add chain inet t pre { type nat hook prerouting priority -100; };"
	    " add chain inet t post { type nat hook postrouting priority 100; };"
	    " add rule inet t pre meta l4proto {tcp,udp} th dport 7000 meta nfproto "
	    "ipv4"
	    "     dnat ip to 10.1.1.11:7001;"
	    " add rule inet t pre meta l4proto {tcp,udp} th dport 7000"
	    "     dnat ip6 to [fd00:1:1::11]:7001;"
	    " add rule inet t pre meta l4proto {tcp,udp} th dport 8000 meta nfproto "
	    "ipv4"
	    "     dnat ip to 203.0.113.254:8001;"
	    " add rule inet t pre meta l4proto {tcp,udp} th dport 8000"
	    "     dnat ip6 to [2001:db8:1::fe]:8001;"
	    " add rule inet t post oifname r1 th dport 5000 accept;"
	    " add rule inet t post oifname r1 meta nfproto ipv4 snat ip to 203.0.113.1;"
	    " add rule inet t post oifname r1 snat ip6 to 2001:db8:1::1'");
	ct_lab_run(lab->router_b,
	    "nft 'add table inet t;"
	    " add chain inet t pre { type nat hook prerouting priority -100; };"
	    " add chain inet t post { type nat hook postrouting priority 100; };"
	    " add chain inet t through { type filter hook forward priority 0; };"
	    " add chain inet t local { type filter hook input priority 0; };"
	    " add rule inet t through ct state != established counter drop;"
	    " add rule inet t local meta l4proto {tcp,udp} drop'");
	return 0;
}

static int
teardown(void **state)
{
	struct lab *lab = *state;

	for (size_t i = 0; i < ROWS; i++) {
		for (int s = 0; s < SIDES; s++) {
			if (lab->socket[i][s] > 0)
				close(lab->socket[i][s]);
		}
	}
	close(lab->host[CLIENT]);
	close(lab->host[SERVER]);
	close(lab->router_a);
	close(lab->router_b);
	free(lab);
	return 0;
}

/* ---- sockets ---- */

static socklen_t
socket_address(struct sockaddr_storage *ret, const char *text, uint16_t port)
{
	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':') != NULL) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		return sizeof(*in6);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
		return sizeof(*in);
	}
}

static int
new_socket(int netns, int family, int type, int protocol)
{
	const struct timeval deadline = { .tv_sec = DEADLINE_S };
	int fd, one = 1;

	ct_lab_enter(netns);
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)), 0);
	return fd;
}

static void
say(size_t row, int fd, const void *bytes, size_t len, const char *when)
{
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		fail_msg("%s: %s: send: %s", rows[row].name, when, strerror(errno));
}

static void
hear(size_t row, int fd, const void *bytes, size_t len, const char *when)
{
	char buf[128];

	assert_true(len <= sizeof(buf));
	if (recv(fd, buf, len, 0) != (ssize_t)len || memcmp(buf, bytes, len) != 0)
		fail_msg(
		    "%s: %s: not heard: %s", rows[row].name, when, strerror(errno));
}

static void
converse(struct lab *lab, size_t row, enum side first, const char *when)
{
	int a = lab->socket[row][first], b = lab->socket[row][1 - first];

	for (int i = 0; i < 3; i++) {
		say(row, a, when, strlen(when), when);
		hear(row, b, when, strlen(when), when);
		say(row, b, when, strlen(when), when);
		hear(row, a, when, strlen(when), when);
	}
}

/* Enough to leave any window that is judged without the scales of the handshake. */
static void
bulk(struct lab *lab, size_t row, enum side first)
{
	static uint8_t chunk[32768], got[sizeof(chunk)];
	int from = lab->socket[row][first], to = lab->socket[row][1 - first];

	for (unsigned i = 0; i < 16; i++) {
		memset(chunk, (int)(row + i), sizeof(chunk));
		say(row, from, chunk, sizeof(chunk), "bulk");
		if (recv(to, got, sizeof(got), MSG_WAITALL) != sizeof(got) ||
		    memcmp(chunk, got, sizeof(got)) != 0)
			fail_msg("%s: bulk stands still", rows[row].name);
	}
}

static void
echo(struct lab *lab, size_t row, uint16_t seq, const char *when)
{
	bool v6 = strchr(rows[row].to, ':') != NULL;
	int fd = lab->socket[row][CLIENT];
	struct icmphdr request = { .type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO };
	uint8_t answer[128];
	size_t at = v6 ? 0 : 20; /* a raw IPv4 socket gives the IP header, too */
	uint32_t sum = 0;
	uint16_t words[4];

	request.un.echo.id = htons((uint16_t)(0x4d00 + row));
	request.un.echo.sequence = htons(seq);
	memcpy(words, &request, sizeof(words));
	for (int i = 0; i < 4; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	/* For IPv6 the kernel fills it in. */
	request.checksum = (uint16_t)~sum;
	say(row, fd, &request, sizeof(request), when);
	for (;;) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);
		struct icmphdr got;

		if (n < 0)
			fail_msg("%s: %s: no answer", rows[row].name, when);
		if ((size_t)n < at + sizeof(got))
			continue;
		memcpy(&got, answer + at, sizeof(got));
		if (got.type == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
		    got.un.echo.id == request.un.echo.id &&
		    got.un.echo.sequence == request.un.echo.sequence)
			return;
	}
}

static void
open_connection(struct lab *lab, size_t row)
{
	enum side opener = rows[row].opener, listener = 1 - opener;
	struct sockaddr_storage to, at, peer;
	socklen_t to_len = socket_address(&to, rows[row].to, rows[row].to_port);
	socklen_t at_len, peer_len = sizeof(peer);
	int family = to.ss_family, fd;
	static const char *const any[] = { "0.0.0.0", "::" };

	if (rows[row].type == SOCK_RAW) {
		fd = new_socket(lab->host[opener], family, SOCK_RAW,
		    family == AF_INET6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);
		lab->socket[row][opener] = fd;
		if (family == AF_INET6) {
			/* The raw protocol number, if any, must be the protocol's. */
			((struct sockaddr_in6 *)&to)->sin6_port = 0;
		}
		assert_int_equal(connect(fd, (struct sockaddr *)&to, to_len), 0);
		echo(lab, row, 1, "before");
		return;
	}
	at_len = socket_address(&at, any[family == AF_INET6], rows[row].listen_port);
	fd = new_socket(lab->host[listener], family, rows[row].type, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, at_len), 0);
	if (rows[row].type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	lab->socket[row][opener] =
	    new_socket(lab->host[opener], family, rows[row].type, 0);
	if (connect(lab->socket[row][opener], (struct sockaddr *)&to, to_len) != 0)
		fail_msg("%s: connect: %s", rows[row].name, strerror(errno));
	if (rows[row].type == SOCK_STREAM) {
		const struct timeval deadline = { .tv_sec = DEADLINE_S };

		lab->socket[row][listener] =
		    accept(fd, (struct sockaddr *)&peer, &peer_len);
		close(fd);
		assert_true(lab->socket[row][listener] >= 0);
		setsockopt(lab->socket[row][listener], SOL_SOCKET, SO_RCVTIMEO,
		    &deadline, sizeof(deadline));
	} else {
		char byte;

		say(row, lab->socket[row][opener], "?", 1, "opening");
		assert_int_equal(
		    recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&peer, &peer_len), 1);
		assert_int_equal(connect(fd, (struct sockaddr *)&peer, peer_len), 0);
		lab->socket[row][listener] = fd;
	}
	converse(lab, row, opener, "before");
}

/* ---- the failover ---- */

static void
replicate(struct lab *lab, struct ct_events *events, struct ct_inject **ret_inject)
{
	struct ct_inject *inject;

	while (ct_events_drain(events, 64) > 0)
		continue;
	assert_int_equal(lab->flow_count, ROWS);
	ct_lab_enter(lab->router_b);
	assert_int_equal(ct_inject_new(on_result, lab, &inject), 0);
	for (unsigned i = 0; i < lab->flow_count; i++)
		ct_inject_upsert(inject, &lab->flows[i], 120, CT_INJECT_REPLACE, i);
	assert_int_equal(ct_inject_flush(inject), 0);
	assert_int_equal(lab->results[CT_CREATED], ROWS);
	*ret_inject = inject;
}

static void
converse_all(struct lab *lab, uint16_t seq, const char *when)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].type == SOCK_RAW)
			echo(lab, i, seq, when);
		else
			converse(lab, i, rows[i].speaks_first, when);
	}
}

static void
test_connections_go_on_through_the_other_router(void **state)
{
	struct lab *lab = *state;
	struct ct_filter filter = { 0 };
	struct ct_events_config config = { .filter = &filter,
		.on_event = on_event,
		.on_overrun = on_overrun,
		.context = lab };
	struct ct_events *events;
	struct ct_inject *inject;
	struct ct_grace *grace;
	struct flow_record idle;
	int more;

	ct_lab_enter(lab->router_a);
	assert_int_equal(ct_events_new(&config, &events), 0);
	for (size_t i = 0; i < ROWS; i++)
		open_connection(lab, i);
	replicate(lab, events, &inject);

	ct_lab_move(lab->router_a, "r0", lab->router_b);
	ct_lab_move(lab->router_a, "r1", lab->router_b);
	plug(lab, lab->router_b);
	/* Like the first, but nobody sends on it. */
	idle = lab->flows[0];
	idle.key.orig.dst_port++;
	idle.reply = flow_tuple_invert(&idle.key);
	ct_inject_upsert(inject, &idle, 120, 0, 0);
	assert_int_equal(ct_inject_flush(inject), 0);
	converse_all(lab, 2, "after");

	/* The grace is over: windows are judged again, and still nothing is lost. */
	assert_int_equal(ct_grace_new(NULL, inject, 0, &grace), 0);
	assert_int_equal(ct_grace_start(grace), 0);
	assert_int_equal(ct_grace_start(grace), -EBUSY);
	while ((more = ct_grace_step(grace, 4)) == 1)
		continue;
	assert_int_equal(more, 0);
	assert_int_equal(ct_grace_counters(grace)->strict, TCP_ROWS);
	assert_int_equal(ct_grace_counters(grace)->idle, 1);
	assert_int_equal(lab->results[CT_REFUSED], 0);
	/* Nothing is left to do but for the idle one. */
	assert_int_equal(ct_grace_start(grace), 0);
	while ((more = ct_grace_step(grace, UINT32_MAX)) == 1)
		continue;
	assert_int_equal(more, 0);
	assert_int_equal(ct_grace_counters(grace)->strict, TCP_ROWS);
	assert_int_equal(ct_grace_counters(grace)->idle, 1);
	ct_grace_free(grace);
	converse_all(lab, 3, "strict");
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].type != SOCK_STREAM)
			continue;
		bulk(lab, i, CLIENT);
		bulk(lab, i, SERVER);
	}
	/* TCP would have hidden a loss by sending again. */
	ct_lab_run(
	    lab->router_b, "nft list chain inet t through | grep -q 'packets 0 '");
	ct_inject_free(inject);
	ct_events_free(events);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections_go_on_through_the_other_router),
	};

	if (ct_lab_missing() != NULL) {
		printf("skipped: %s\n", ct_lab_missing());
		return CT_LAB_SKIPPED;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
