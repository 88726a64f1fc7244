/*
 * The filter decides alike in the kernel and in user space. The socket filter is given
 * to a Unix socket pair and fed with messages laid out like the kernel's, so this runs
 * without privilege.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "syncd/core/flow.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_wire.h"

static struct td_addr
address(const char *text)
{
	struct td_addr addr = { 0 };

	addr.family = strchr(text, ':') != NULL ? TD_AF_INET6 : TD_AF_INET;
	assert_int_equal(inet_pton(addr.family == TD_AF_INET6 ? AF_INET6 : AF_INET,
			     text, addr.bytes),
	    1);
	return addr;
}

static struct ct_filter
router_filter(void)
{
	static const char *const own[] = { "10.255.0.1", "10.1.1.2", "203.0.113.2",
		"fd00:1:1::2", "2001:db8:1::2" };
	struct ct_filter filter = { 0 };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		struct td_addr addr = address(own[i]);

		assert_true(ct_filter_add_local(&filter, &addr));
		assert_true(ct_filter_add_local(&filter, &addr));
	}
	assert_int_equal(filter.local_count, 5);
	return filter;
}

static bool
passes_kernel(const struct ct_filter *filter, const void *message, size_t len)
{
	struct sock_filter program[CT_FILTER_PROGRAM_MAX];
	struct sock_fprog fprog = { ct_filter_compile(filter, program), program };
	uint8_t buf[CT_MESSAGE_MAX];
	int pair[2];
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(
	    setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)),
	    0);
	/* A dropped datagram counts as sent. */
	assert_int_equal(send(pair[0], message, len, 0), (ssize_t)len);
	n = recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT);
	assert_true(n == (ssize_t)len || (n < 0 && errno == EAGAIN));
	close(pair[0]);
	close(pair[1]);
	return n >= 0;
}

static struct flow_record
flow_between(const char *src, const char *dst)
{
	struct flow_record flow;
	struct td_addr a = address(src), b = address(dst);

	memset(&flow, 0, sizeof(flow));
	flow.key.family = a.family;
	flow.key.protocol = FLOW_TCP;
	flow.key.orig.src_port = 40000;
	flow.key.orig.dst_port = 443;
	memcpy(flow.key.orig.src, a.bytes, 16);
	memcpy(flow.key.orig.dst, b.bytes, 16);
	flow.reply = flow_tuple_invert(&flow.key);
	return flow;
}

static const struct {
	const char *name, *src, *dst;
	bool skipped;
} rows[] = {
	{ "transit", "10.1.1.11", "203.0.113.254", false },
	{ "to a virtual address", "203.0.113.254", "203.0.113.1", false },
	{ "from the sync address", "10.255.0.1", "10.255.0.2", true },
	{ "to the sync address", "10.255.0.2", "10.255.0.1", true },
	{ "the peer's address alone is not ours", "10.255.0.2", "10.255.0.3", false },
	{ "health check from an own address", "10.1.1.2", "10.1.1.11", true },
	{ "one bit beside an own address", "10.1.1.3", "10.1.1.11", false },
	{ "advert", "203.0.113.9", "224.0.0.18", true },
	{ "broadcast", "10.1.1.11", "255.255.255.255", true },
	{ "loopback", "127.0.0.1", "127.0.0.53", true },
	{ "link-local", "169.254.1.1", "10.1.1.11", true },
	{ "just below multicast", "10.1.1.11", "223.255.255.255", false },
	{ "IPv6 transit", "fd00:1:1::11", "2001:db8:1::fe", false },
	{ "IPv6 from an own address", "fd00:1:1::2", "fd00:1:1::11", true },
	{ "IPv6 to an own address", "2001:db8:1::fe", "2001:db8:1::2", true },
	{ "IPv6 one bit beside", "fd00:1:1::3", "fd00:1:1::11", false },
	{ "IPv6 differs in the first word alone", "fd01:1:1::2", "fd00:1:1::11",
	    false },
	{ "IPv6 multicast", "2001:db8:1::fe", "ff02::12", true },
	{ "IPv6 link-local", "fe80::1", "2001:db8:1::fe", true },
	{ "IPv6 at the end of link-local", "febf:ffff::1", "2001:db8:1::fe", true },
	{ "IPv6 just behind link-local", "fec0::1", "2001:db8:1::fe", false },
	{ "IPv6 loopback", "::1", "::1", true },
	{ "IPv6 just beside loopback", "::2", "2001:db8:1::fe", false },
};

static void
test_kernel_and_user_space_agree(void **state)
{
	struct ct_filter filter = router_filter();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_Alignas(8) uint8_t message[CT_MESSAGE_MAX];
		struct flow_record flow = flow_between(rows[i].src, rows[i].dst);
		size_t len = ct_encode_create(message, 1, &flow, 60);

		if (ct_filter_skips(&filter, &flow.key) != rows[i].skipped)
			fail_msg("%s: user space", rows[i].name);
		if (passes_kernel(&filter, message, len) == rows[i].skipped)
			fail_msg("%s: socket filter", rows[i].name);
	}
}

static void
test_own_port_ids(void **state)
{
	struct ct_filter filter = { 0 };
	_Alignas(8) uint8_t message[CT_MESSAGE_MAX];
	struct flow_record flow = flow_between("10.1.1.11", "203.0.113.254");
	size_t len = ct_encode_create(message, 1, &flow, 60);
	struct nlmsghdr *nlh = (struct nlmsghdr *)message;

	(void)state;
	assert_false(ct_filter_add_own_portid(&filter, 0)); /* 0 is the kernel */
	for (uint32_t i = 0; i < CT_FILTER_PORTIDS_MAX; i++)
		assert_true(ct_filter_add_own_portid(&filter, 0xfeed0000 + i));
	assert_false(ct_filter_add_own_portid(&filter, 1));
	for (uint32_t i = 0; i < CT_FILTER_PORTIDS_MAX; i++) {
		nlh->nlmsg_pid = 0xfeed0000 + i;
		assert_false(passes_kernel(&filter, message, len));
		assert_true(ct_filter_is_own(&filter, nlh->nlmsg_pid));
	}
	nlh->nlmsg_pid = 0;
	assert_true(passes_kernel(&filter, message, len));
	nlh->nlmsg_pid = 0x0000edfe;
	assert_true(passes_kernel(&filter, message, len));
}

/* Another layout must not be filtered by accident: user space decides then. */
static void
test_an_unknown_layout_passes(void **state)
{
	struct ct_filter filter = router_filter();
	struct flow_record flow = flow_between("10.255.0.1", "10.255.0.2");
	_Alignas(8) uint8_t message[CT_MESSAGE_MAX];
	size_t len = ct_encode_create(message, 1, &flow, 60);

	(void)state;
	assert_false(passes_kernel(&filter, message, len));
	message[22] = CTA_TUPLE_REPLY; /* first attribute */
	assert_true(passes_kernel(&filter, message, len));
	ct_encode_create(message, 1, &flow, 60);
	message[30] = CTA_IP_V6_SRC;
	assert_true(passes_kernel(&filter, message, len));
	ct_encode_create(message, 1, &flow, 60);
	message[16] = 7; /* family */
	assert_true(passes_kernel(&filter, message, len));
	/* Shorter than what the program reads: dropped, it is no event. */
	assert_false(passes_kernel(&filter, message, 18));
}

static void
test_a_full_list(void **state)
{
	struct ct_filter filter = { 0 };
	struct td_addr addr = address("fd00::");
	struct sock_filter program[CT_FILTER_PROGRAM_MAX];
	struct flow_record flow = flow_between("fd00::3f", "2001:db8::1");
	_Alignas(8) uint8_t message[CT_MESSAGE_MAX];
	size_t len = ct_encode_create(message, 1, &flow, 60);

	(void)state;
	for (unsigned i = 0; i < CT_FILTER_ADDRESSES_MAX; i++) {
		addr.bytes[15] = (uint8_t)i;
		assert_true(ct_filter_add_local(&filter, &addr));
	}
	addr.bytes[14] = 1;
	assert_false(ct_filter_add_local(&filter, &addr));
	addr.family = 0;
	assert_false(ct_filter_add_local(&filter, &addr));
	assert_in_range(ct_filter_compile(&filter, program), 1, CT_FILTER_PROGRAM_MAX);
	assert_false(passes_kernel(&filter, message, len));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_and_user_space_agree),
		cmocka_unit_test(test_own_port_ids),
		cmocka_unit_test(test_an_unknown_layout_passes),
		cmocka_unit_test(test_a_full_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
