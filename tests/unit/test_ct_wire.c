/* ctnetlink messages: what is refused, and that encoded flows decode to themselves. */
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libmnl/libmnl.h>
#include "syncd/core/flow.h"
#include "syncd/ct_wire.h"

#define MESSAGE_BYTES 1024

struct message {
	_Alignas(8) uint8_t bytes[MESSAGE_BYTES];
	struct nlmsghdr *nlh;
};

static void
start(struct message *m, uint8_t family)
{
	struct nfgenmsg *nfg;

	memset(m, 0, sizeof(*m));
	m->nlh = mnl_nlmsg_put_header(m->bytes);
	m->nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
	nfg = mnl_nlmsg_put_extra_header(m->nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
}

static void
put_tuple(struct message *m, uint16_t type, uint8_t protocol)
{
	struct nlattr *nest = mnl_attr_nest_start(m->nlh, type), *inner;

	inner = mnl_attr_nest_start(m->nlh, CTA_TUPLE_IP);
	mnl_attr_put_u32(m->nlh, CTA_IP_V4_SRC, htonl(0x0a01010b));
	mnl_attr_put_u32(m->nlh, CTA_IP_V4_DST, htonl(0xcb0071fe));
	mnl_attr_nest_end(m->nlh, inner);
	inner = mnl_attr_nest_start(m->nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(m->nlh, CTA_PROTO_NUM, protocol);
	mnl_attr_put_u16(m->nlh, CTA_PROTO_SRC_PORT, htons(40000));
	mnl_attr_put_u16(m->nlh, CTA_PROTO_DST_PORT, htons(443));
	mnl_attr_nest_end(m->nlh, inner);
	mnl_attr_nest_end(m->nlh, nest);
}

/* ---- what is refused ---- */

static void
good(struct message *m)
{
	start(m, TD_AF_INET);
	put_tuple(m, CTA_TUPLE_ORIG, IPPROTO_TCP);
}

static void
other_family(struct message *m)
{
	start(m, 7);
	put_tuple(m, CTA_TUPLE_ORIG, IPPROTO_TCP);
}

static void
no_header(struct message *m)
{
	start(m, TD_AF_INET);
	m->nlh->nlmsg_len = MNL_NLMSG_HDRLEN + 2;
}

static void
no_tuple(struct message *m)
{
	start(m, TD_AF_INET);
	mnl_attr_put_u32(m->nlh, CTA_MARK, htonl(1));
}

static void
addresses_of_the_other_family(struct message *m)
{
	good(m);
	((struct nfgenmsg *)mnl_nlmsg_get_payload(m->nlh))->nfgen_family = TD_AF_INET6;
}

static void
one_address(struct message *m)
{
	struct nlattr *nest, *inner;

	start(m, TD_AF_INET);
	nest = mnl_attr_nest_start(m->nlh, CTA_TUPLE_ORIG);
	inner = mnl_attr_nest_start(m->nlh, CTA_TUPLE_IP);
	mnl_attr_put_u32(m->nlh, CTA_IP_V4_SRC, 1);
	mnl_attr_nest_end(m->nlh, inner);
	mnl_attr_nest_end(m->nlh, nest);
}

static void
no_protocol(struct message *m)
{
	start(m, TD_AF_INET);
	put_tuple(m, CTA_TUPLE_ORIG, 0);
}

static void
sctp(struct message *m)
{
	start(m, TD_AF_INET);
	put_tuple(m, CTA_TUPLE_ORIG, IPPROTO_SCTP);
}

static void
zone_per_direction(struct message *m)
{
	struct nlattr *nest;

	start(m, TD_AF_INET);
	nest = mnl_attr_nest_start(m->nlh, CTA_TUPLE_ORIG);
	mnl_attr_put_u16(m->nlh, CTA_TUPLE_ZONE, htons(5));
	mnl_attr_nest_end(m->nlh, nest);
}

static void
short_mark(struct message *m)
{
	good(m);
	mnl_attr_put_u16(m->nlh, CTA_MARK, 1);
}

static void
short_port(struct message *m)
{
	struct nlattr *nest, *inner;

	good(m);
	nest = mnl_attr_nest_start(m->nlh, CTA_TUPLE_REPLY);
	inner = mnl_attr_nest_start(m->nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(m->nlh, CTA_PROTO_DST_PORT, 1);
	mnl_attr_nest_end(m->nlh, inner);
	mnl_attr_nest_end(m->nlh, nest);
}

static void
helper_without_end(struct message *m)
{
	struct nlattr *nest;

	good(m);
	nest = mnl_attr_nest_start(m->nlh, CTA_HELP);
	mnl_attr_put(m->nlh, CTA_HELP_NAME, 3, "ftp");
	mnl_attr_nest_end(m->nlh, nest);
}

static void
short_counter(struct message *m)
{
	struct nlattr *nest;

	good(m);
	nest = mnl_attr_nest_start(m->nlh, CTA_COUNTERS_ORIG);
	mnl_attr_put_u32(m->nlh, CTA_COUNTERS_PACKETS, 1);
	mnl_attr_nest_end(m->nlh, nest);
}

static const struct {
	const char *name;
	void (*make)(struct message *m);
	enum ct_drop drop;
} refused[] = {
	{ "a tuple is enough", good, CT_OK },
	{ "neither IPv4 nor IPv6", other_family, CT_DROP_FAMILY },
	{ "shorter than its header", no_header, CT_DROP_TRUNCATED },
	{ "no original tuple", no_tuple, CT_DROP_NO_TUPLE },
	{ "IPv4 addresses in an IPv6 message", addresses_of_the_other_family,
	    CT_DROP_TRUNCATED },
	{ "only one address", one_address, CT_DROP_NO_TUPLE },
	{ "no protocol", no_protocol, CT_DROP_NO_TUPLE },
	{ "a protocol that is not carried", sctp, CT_DROP_PROTOCOL },
	{ "a zone per direction", zone_per_direction, CT_DROP_ZONE },
	{ "mark of two bytes", short_mark, CT_DROP_TRUNCATED },
	{ "port of one byte", short_port, CT_DROP_TRUNCATED },
	{ "helper name without end", helper_without_end, CT_DROP_TRUNCATED },
	{ "counter of four bytes", short_counter, CT_DROP_TRUNCATED },
};

static void
test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct message m;
		struct flow_record flow;
		struct ct_facts facts;
		enum ct_drop drop;

		refused[i].make(&m);
		memset(&flow, 0x55, sizeof(flow));
		drop = ct_decode(m.nlh, &flow, &facts);
		if (drop != refused[i].drop)
			fail_msg("%s: %s, expected %s", refused[i].name,
			    ct_drop_name(drop), ct_drop_name(refused[i].drop));
		/* Results are written only on success. */
		if (drop != CT_OK)
			assert_int_equal(flow.key.family, 0x55);
	}
}

/* ---- round trips ---- */

static struct flow_record
full_flow(uint8_t family, uint8_t protocol)
{
	struct flow_record flow;
	size_t len = family == TD_AF_INET6 ? 16 : 4;

	memset(&flow, 0, sizeof(flow));
	flow.key.family = family;
	flow.key.protocol = protocol;
	flow.key.zone = 77;
	for (size_t i = 0; i < len; i++) {
		flow.key.orig.src[i] = (uint8_t)(1 + i);
		flow.key.orig.dst[i] = (uint8_t)(101 + i);
	}
	flow.key.orig.src_port = 0x1234;
	flow.key.orig.dst_port = protocol == IPPROTO_ICMP     ? 8 << 8
				 : protocol == IPPROTO_ICMPV6 ? 128 << 8
							      : 0x5678;
	flow.reply = flow_tuple_invert(&flow.key);
	flow.mark = 0xdeadbeef;
	flow.timeout_s = 4711;
	flow.status = FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_SEQ_ADJUST;
	flow.seqadj[0] = (struct flow_seqadj){ 0xfffffff0, -1, 2 };
	flow.seqadj[1] = (struct flow_seqadj){ 3, INT32_MIN, INT32_MAX };
	flow.helper = FLOW_HELPER_FTP;
	flow.present = FLOW_HAS_STATUS | FLOW_HAS_TIMEOUT | FLOW_HAS_MARK |
		       FLOW_HAS_SEQADJ | FLOW_HAS_HELPER;
	if (protocol == IPPROTO_TCP) {
		flow.tcp_state = FLOW_TCP_ESTABLISHED;
		flow.tcp_flags[0] = 0x03;
		flow.tcp_flags[1] = 0x07;
		flow.tcp_wscale[0] = 3;
		flow.tcp_wscale[1] = 14;
		flow.present |= FLOW_HAS_TCP;
	}
	return flow;
}

static void
test_what_is_encoded_decodes_to_itself(void **state)
{
	static const struct {
		uint8_t family, protocol;
	} rows[] = {
		{ TD_AF_INET, IPPROTO_TCP },
		{ TD_AF_INET6, IPPROTO_TCP },
		{ TD_AF_INET, IPPROTO_UDP },
		{ TD_AF_INET6, IPPROTO_UDP },
		{ TD_AF_INET, IPPROTO_ICMP },
		{ TD_AF_INET6, IPPROTO_ICMPV6 },
		{ TD_AF_INET, IPPROTO_GRE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_Alignas(8) uint8_t buf[CT_MESSAGE_MAX];
		struct flow_record flow = full_flow(rows[i].family, rows[i].protocol),
				   got;
		struct ct_facts facts;
		size_t len = ct_encode_create(buf, 99, &flow, flow.timeout_s);
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;

		assert_true(mnl_nlmsg_ok(nlh, (int)len));
		assert_int_equal(nlh->nlmsg_seq, 99);
		assert_int_equal(ct_decode(nlh, &got, &facts), CT_OK);
		/* A request does not claim what the kernel finds out itself. */
		got.status |= FLOW_STATUS_SEQ_ADJUST;
		assert_memory_equal(&got, &flow, sizeof(got));
	}
}

/* The largest flow there can be, in its largest form, fits. */
static void
test_the_largest_message_fits(void **state)
{
	_Alignas(8) uint8_t buf[CT_MESSAGE_MAX];
	struct flow_record flow = full_flow(TD_AF_INET6, IPPROTO_TCP);

	(void)state;
	flow.reply.dst[0] ^= 0xff;
	flow.reply.src[0] ^= 0xff;
	flow.helper = FLOW_HELPER_NETBIOS_NS;
	assert_in_range(ct_encode_create(buf, 1, &flow, 1), 1, CT_MESSAGE_MAX);
}

static const struct nlattr *
find(const void *buf, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, (const struct nlmsghdr *)buf, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

/* Which attributes a form must and must not have: docs/conntrack.md says what each of
 * these mistakes does. */
static void
test_forms(void **state)
{
	_Alignas(8) uint8_t buf[CT_MESSAGE_MAX];
	struct flow_record flow = full_flow(TD_AF_INET, IPPROTO_TCP);
	uint32_t status;

	(void)state;
	ct_encode_create(buf, 1, &flow, 60);
	assert_null(find(buf, CTA_NAT_SRC));
	assert_null(find(buf, CTA_NAT_DST));

	flow.reply.dst_port++; /* source NAT alone: both manips are pinned */
	flow.status |= FLOW_STATUS_SRC_NAT;
	ct_encode_create(buf, 1, &flow, 60);
	assert_non_null(find(buf, CTA_NAT_SRC));
	assert_non_null(find(buf, CTA_NAT_DST));
	status = ntohl(mnl_attr_get_u32(find(buf, CTA_STATUS)));
	assert_int_equal(status, IPS_CONFIRMED | IPS_SEEN_REPLY);

	ct_encode_update(buf, 1, &flow, 60);
	assert_null(find(buf, CTA_NAT_SRC));
	assert_null(find(buf, CTA_NAT_DST));
	assert_null(find(buf, CTA_HELP));
	assert_non_null(find(buf, CTA_TIMEOUT));
	flow.status |= FLOW_STATUS_FIXED_TIMEOUT;
	ct_encode_update(buf, 1, &flow, 60);
	assert_null(find(buf, CTA_TIMEOUT));

	/* A deletion without a tuple would flush the table. */
	ct_encode_delete(buf, 1, &flow.key, 0);
	assert_non_null(find(buf, CTA_TUPLE_ORIG));
	assert_null(find(buf, CTA_ID));
	ct_encode_delete(buf, 1, &flow.key, 0x1234);
	assert_int_equal(ntohl(mnl_attr_get_u32(find(buf, CTA_ID))), 0x1234);
}

/* Cut anywhere, or with any byte changed, a message is refused or read as a flow, but
 * nothing outside it is touched (under the sanitizers). */
static void
test_damaged_messages(void **state)
{
	_Alignas(8) uint8_t whole[CT_MESSAGE_MAX];
	struct flow_record flow = full_flow(TD_AF_INET6, IPPROTO_TCP), got;
	struct ct_facts facts;
	size_t len = ct_encode_create(whole, 1, &flow, 60);
	struct message m;
	struct nlmsghdr *exact;
	unsigned good_count = 0;

	(void)state;
	for (size_t cut = MNL_NLMSG_HDRLEN; cut < len; cut++) {
		struct nlmsghdr *nlh = malloc(cut);

		assert_non_null(nlh);
		memcpy(nlh, whole, cut);
		nlh->nlmsg_len = (uint32_t)cut;
		good_count += ct_decode(nlh, &got, &facts) == CT_OK;
		free(nlh);
	}
	assert_in_range(good_count, 1, len - 1);
	/* The last attribute claims the padding that is not there any more. */
	good(&m);
	mnl_attr_put(m.nlh, CTA_MARK, 5, "mark");
	exact = malloc(m.nlh->nlmsg_len - 3);
	assert_non_null(exact);
	memcpy(exact, m.nlh, m.nlh->nlmsg_len - 3);
	exact->nlmsg_len = m.nlh->nlmsg_len - 3;
	((struct nlattr *)((uint8_t *)exact + exact->nlmsg_len - 9))->nla_len = 12;
	assert_int_equal(ct_decode(exact, &got, &facts), CT_OK);
	assert_int_equal(got.present & FLOW_HAS_MARK, 0);
	free(exact);
	for (size_t at = MNL_NLMSG_HDRLEN; at < len; at++) {
		struct nlmsghdr *nlh = malloc(len);

		assert_non_null(nlh);
		for (unsigned flip = 1; flip < 256; flip++) {
			memcpy(nlh, whole, len);
			((uint8_t *)nlh)[at] ^= (uint8_t)flip;
			ct_decode(nlh, &got, &facts);
		}
		free(nlh);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_what_is_encoded_decodes_to_itself),
		cmocka_unit_test(test_the_largest_message_fits),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_damaged_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
