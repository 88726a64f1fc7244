#include "syncd/ct_wire.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "syncd/core/flow.h"

/*
 * Flags of a direction that mean something on another node. Unacknowledged data,
 * highest ACK seen and challenge ACK belong to sequence numbers that no attribute
 * carries: "highest ACK seen" without the number makes valid resets invalid. BE_LIBERAL
 * is every replica's (put_tcp), so that a table's own view of it would differ between
 * the nodes of a pair.
 */
#define TCP_FLAGS_CARRIED                                                              \
	(IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM |                      \
	    IP_CT_TCP_FLAG_CLOSE_INIT)

static bool
is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static bool
has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_GRE;
}

/* ---- decoding ---- */

static bool
get_u8(const struct nlattr *attr, uint8_t *ret)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = mnl_attr_get_u8(attr);
	return true;
}

static bool
get_be16(const struct nlattr *attr, uint16_t *ret)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = ntohs(mnl_attr_get_u16(attr));
	return true;
}

static bool
get_be32(const struct nlattr *attr, uint32_t *ret)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = ntohl(mnl_attr_get_u32(attr));
	return true;
}

static bool
get_be64(const struct nlattr *attr, uint64_t *ret)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = be64toh(mnl_attr_get_u64(attr));
	return true;
}

static bool
get_bytes(const struct nlattr *attr, uint8_t *ret, size_t len)
{
	if (mnl_attr_get_payload_len(attr) < len)
		return false;
	memcpy(ret, mnl_attr_get_payload(attr), len);
	return true;
}

/* Returns how many of the two addresses the family needs were there, or -1. */
static int
decode_addresses(const struct nlattr *nest, uint8_t family, struct flow_tuple *tuple)
{
	const struct nlattr *attr;
	int found = 0;
	bool ok = true;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case CTA_IP_V4_SRC:
			ok = family == TD_AF_INET && get_bytes(attr, tuple->src, 4);
			break;
		case CTA_IP_V4_DST:
			ok = family == TD_AF_INET && get_bytes(attr, tuple->dst, 4);
			break;
		case CTA_IP_V6_SRC:
			ok = family == TD_AF_INET6 && get_bytes(attr, tuple->src, 16);
			break;
		case CTA_IP_V6_DST:
			ok = family == TD_AF_INET6 && get_bytes(attr, tuple->dst, 16);
			break;
		default:
			continue;
		}
		if (!ok)
			return -1;
		found++;
	}
	return found;
}

static bool
decode_proto(const struct nlattr *nest, struct flow_tuple *tuple, uint8_t *ret_protocol)
{
	const struct nlattr *attr;
	uint8_t type = 0, code = 0;
	bool icmp = false, ok = true;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case CTA_PROTO_NUM:
			ok = get_u8(attr, ret_protocol);
			break;
		case CTA_PROTO_SRC_PORT:
		case CTA_PROTO_ICMP_ID:
		case CTA_PROTO_ICMPV6_ID:
			ok = get_be16(attr, &tuple->src_port);
			break;
		case CTA_PROTO_DST_PORT:
			ok = get_be16(attr, &tuple->dst_port);
			break;
		case CTA_PROTO_ICMP_TYPE:
		case CTA_PROTO_ICMPV6_TYPE:
			ok = icmp = get_u8(attr, &type);
			break;
		case CTA_PROTO_ICMP_CODE:
		case CTA_PROTO_ICMPV6_CODE:
			ok = get_u8(attr, &code);
			break;
		}
		if (!ok)
			return false;
	}
	if (icmp)
		tuple->dst_port = (uint16_t)(type << 8 | code);
	return true;
}

static enum ct_drop
decode_tuple(const struct nlattr *nest, uint8_t family, struct flow_tuple *tuple,
    uint8_t *ret_protocol)
{
	const struct nlattr *attr;
	int addresses = 0;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case CTA_TUPLE_IP:
			addresses = decode_addresses(attr, family, tuple);
			if (addresses < 0)
				return CT_DROP_TRUNCATED;
			break;
		case CTA_TUPLE_PROTO:
			if (!decode_proto(attr, tuple, ret_protocol))
				return CT_DROP_TRUNCATED;
			break;
		case CTA_TUPLE_ZONE:
			return CT_DROP_ZONE;
		}
	}
	return addresses == 2 ? CT_OK : CT_DROP_NO_TUPLE;
}

static bool
decode_tcp(const struct nlattr *nest, struct flow_record *flow, struct ct_facts *facts)
{
	const struct nlattr *attr;
	bool ok = true;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case CTA_PROTOINFO_TCP_STATE:
			ok = get_u8(attr, &flow->tcp_state);
			break;
		case CTA_PROTOINFO_TCP_WSCALE_ORIGINAL:
			ok = get_u8(attr, &flow->tcp_wscale[FLOW_ORIG]);
			break;
		case CTA_PROTOINFO_TCP_WSCALE_REPLY:
			ok = get_u8(attr, &flow->tcp_wscale[FLOW_REPLY]);
			break;
		case CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: /* flags, then a mask */
			ok = get_u8(attr, &flow->tcp_flags[FLOW_ORIG]);
			break;
		case CTA_PROTOINFO_TCP_FLAGS_REPLY:
			ok = get_u8(attr, &flow->tcp_flags[FLOW_REPLY]);
			break;
		}
		if (!ok)
			return false;
	}
	for (int dir = FLOW_ORIG; dir <= FLOW_REPLY; dir++) {
		if (flow->tcp_flags[dir] & IP_CT_TCP_FLAG_BE_LIBERAL)
			facts->tcp_liberal = true;
		flow->tcp_flags[dir] &= TCP_FLAGS_CARRIED;
		if (flow->tcp_wscale[dir] > FLOW_WSCALE_MAX)
			flow->tcp_wscale[dir] = FLOW_WSCALE_MAX;
	}
	flow->present |= FLOW_HAS_TCP;
	return true;
}

static bool
decode_protoinfo(
    const struct nlattr *nest, struct flow_record *flow, struct ct_facts *facts)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_PROTOINFO_TCP &&
		    !decode_tcp(attr, flow, facts))
			return false;
	}
	return true;
}

static bool
decode_seqadj(
    const struct nlattr *nest, struct flow_record *flow, enum flow_direction dir)
{
	struct flow_seqadj *adj = &flow->seqadj[dir];
	const struct nlattr *attr;
	uint32_t value;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (!get_be32(attr, &value))
			return false;
		switch (mnl_attr_get_type(attr)) {
		case CTA_SEQADJ_CORRECTION_POS:
			adj->correction_pos = value;
			break;
		case CTA_SEQADJ_OFFSET_BEFORE:
			adj->offset_before = (int32_t)value;
			break;
		case CTA_SEQADJ_OFFSET_AFTER:
			adj->offset_after = (int32_t)value;
			break;
		}
	}
	flow->present |= FLOW_HAS_SEQADJ;
	return true;
}

static bool
decode_helper(const struct nlattr *nest, struct flow_record *flow)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		const char *name = mnl_attr_get_payload(attr);

		if (mnl_attr_get_type(attr) != CTA_HELP_NAME)
			continue;
		if (memchr(name, '\0', mnl_attr_get_payload_len(attr)) == NULL)
			return false;
		flow->helper = (uint8_t)flow_helper_by_name(name);
		flow->present |= FLOW_HAS_HELPER;
	}
	return true;
}

static bool
decode_packets(
    const struct nlattr *nest, struct ct_facts *facts, enum flow_direction dir)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) != CTA_COUNTERS_PACKETS)
			continue;
		if (!get_be64(attr, &facts->packets[dir]))
			return false;
		facts->counted = true;
	}
	return true;
}

static enum ct_drop
decode_attribute(
    const struct nlattr *attr, struct flow_record *flow, struct ct_facts *facts)
{
	uint8_t reply_protocol;
	uint32_t status;
	bool ok = true;

	switch (mnl_attr_get_type(attr)) {
	case CTA_TUPLE_ORIG:
		return decode_tuple(
		    attr, flow->key.family, &flow->key.orig, &flow->key.protocol);
	case CTA_TUPLE_REPLY:
		return decode_tuple(
		    attr, flow->key.family, &flow->reply, &reply_protocol);
	case CTA_STATUS:
		ok = get_be32(attr, &status);
		if (ok) {
			flow->status = (uint16_t)(status & FLOW_STATUS_MASK);
			flow->present |= FLOW_HAS_STATUS;
		}
		break;
	case CTA_TIMEOUT:
		ok = get_be32(attr, &flow->timeout_s);
		flow->present |= FLOW_HAS_TIMEOUT;
		break;
	case CTA_MARK:
		ok = get_be32(attr, &flow->mark);
		flow->present |= FLOW_HAS_MARK;
		break;
	case CTA_PROTOINFO:
		ok = decode_protoinfo(attr, flow, facts);
		break;
	case CTA_SEQ_ADJ_ORIG:
		ok = decode_seqadj(attr, flow, FLOW_ORIG);
		break;
	case CTA_SEQ_ADJ_REPLY:
		ok = decode_seqadj(attr, flow, FLOW_REPLY);
		break;
	case CTA_HELP:
		ok = decode_helper(attr, flow);
		break;
	case CTA_ZONE:
		ok = get_be16(attr, &flow->key.zone);
		break;
	case CTA_ID:
		ok = get_be32(attr, &facts->id);
		break;
	case CTA_COUNTERS_ORIG:
		ok = decode_packets(attr, facts, FLOW_ORIG);
		break;
	case CTA_COUNTERS_REPLY:
		ok = decode_packets(attr, facts, FLOW_REPLY);
		break;
	}
	return ok ? CT_OK : CT_DROP_TRUNCATED;
}

enum ct_drop
ct_decode(const struct nlmsghdr *nlh, struct flow_record *ret_flow,
    struct ct_facts *ret_facts)
{
	struct flow_record flow;
	struct ct_facts facts;
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	enum ct_drop drop;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg))
		return CT_DROP_TRUNCATED;
	if (nfg->nfgen_family != TD_AF_INET && nfg->nfgen_family != TD_AF_INET6)
		return CT_DROP_FAMILY;
	memset(&flow, 0, sizeof(flow));
	memset(&facts, 0, sizeof(facts));
	flow.key.family = nfg->nfgen_family;
	/* Not mnl_attr_for_each: it trusts padding behind the message's length. */
	mnl_attr_for_each_payload(
	    (const void *)(nfg + 1), mnl_nlmsg_get_payload_len(nlh) - sizeof(*nfg))
	{
		drop = decode_attribute(attr, &flow, &facts);
		if (drop != CT_OK)
			return drop;
	}
	/* A message without the attribute leaves 0, which is no protocol that
	 * is tracked. */
	if (flow.key.protocol == 0)
		return CT_DROP_NO_TUPLE;
	if (!is_icmp(flow.key.protocol) && !has_ports(flow.key.protocol)) {
		flow.key.orig.src_port = flow.key.orig.dst_port = 0;
		flow.reply.src_port = flow.reply.dst_port = 0;
	}
	/* Their state is more than a tuple, and is not carried. */
	if (flow.key.protocol == IPPROTO_SCTP || flow.key.protocol == IPPROTO_DCCP)
		return CT_DROP_PROTOCOL;
	*ret_flow = flow;
	*ret_facts = facts;
	return CT_OK;
}

const char *
ct_drop_name(enum ct_drop drop)
{
	static const char *const names[CT_DROP_COUNT] = {
		[CT_OK] = "ok",
		[CT_DROP_TRUNCATED] = "truncated",
		[CT_DROP_FAMILY] = "family",
		[CT_DROP_NO_TUPLE] = "no_tuple",
		[CT_DROP_PROTOCOL] = "protocol",
		[CT_DROP_ZONE] = "zone",
	};

	td_assert(drop < CT_DROP_COUNT);
	return names[drop];
}

/* ---- encoding ---- */

static struct nlmsghdr *
put_header(void *buf, uint32_t seq, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = 0;
	return nlh;
}

static size_t
finish(const struct nlmsghdr *nlh)
{
	td_assert(nlh->nlmsg_len <= CT_MESSAGE_MAX);
	return NLMSG_ALIGN(nlh->nlmsg_len);
}

static void
put_icmp(struct nlmsghdr *nlh, uint8_t protocol, const struct flow_tuple *tuple)
{
	bool v6 = protocol == IPPROTO_ICMPV6;

	mnl_attr_put_u16(
	    nlh, v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID, htons(tuple->src_port));
	mnl_attr_put_u8(nlh, v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE,
	    (uint8_t)(tuple->dst_port >> 8));
	mnl_attr_put_u8(nlh, v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE,
	    (uint8_t)tuple->dst_port);
}

static void
put_tuple(struct nlmsghdr *nlh, uint16_t type, const struct flow_key *key,
    const struct flow_tuple *tuple)
{
	bool v6 = key->family == TD_AF_INET6;
	size_t len = v6 ? 16 : 4;
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);
	struct nlattr *inner = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	mnl_attr_put(nlh, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, len, tuple->src);
	mnl_attr_put(nlh, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, len, tuple->dst);
	mnl_attr_nest_end(nlh, inner);
	inner = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, key->protocol);
	if (is_icmp(key->protocol)) {
		put_icmp(nlh, key->protocol, tuple);
	} else if (has_ports(key->protocol)) {
		mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(tuple->src_port));
		mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(tuple->dst_port));
	}
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_nest_end(nlh, nest);
}

static void
put_zone(struct nlmsghdr *nlh, uint16_t zone)
{
	if (zone != 0)
		mnl_attr_put_u16(nlh, CTA_ZONE, htons(zone));
}

/* One manip with one address and, where the protocol has one, one port. */
static void
put_manip(struct nlmsghdr *nlh, uint16_t type, const struct flow_key *key,
    const uint8_t addr[16], uint16_t port)
{
	bool v6 = key->family == TD_AF_INET6;
	size_t len = v6 ? 16 : 4;
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, v6 ? CTA_NAT_V6_MINIP : CTA_NAT_V4_MINIP, len, addr);
	mnl_attr_put(nlh, v6 ? CTA_NAT_V6_MAXIP : CTA_NAT_V4_MAXIP, len, addr);
	if (is_icmp(key->protocol) || has_ports(key->protocol)) {
		struct nlattr *inner = mnl_attr_nest_start(nlh, CTA_NAT_PROTO);

		mnl_attr_put_u16(nlh, CTA_PROTONAT_PORT_MIN, htons(port));
		mnl_attr_put_u16(nlh, CTA_PROTONAT_PORT_MAX, htons(port));
		mnl_attr_nest_end(nlh, inner);
	}
	mnl_attr_nest_end(nlh, nest);
}

/*
 * Both manips are pinned, also the one that changes nothing: left to itself,
 * the kernel answers a clash by silently taking another port. The id of an ICMP
 * query counts as its source port in either manip, and DST is carried out
 * first.
 */
static void
put_nat(struct nlmsghdr *nlh, const struct flow_record *flow)
{
	const struct flow_key *key = &flow->key;
	bool icmp = is_icmp(key->protocol);

	if (!flow_has_src_nat(flow) && !flow_has_dst_nat(flow))
		return;
	put_manip(nlh, CTA_NAT_SRC, key, flow->reply.dst,
	    icmp ? flow->reply.src_port : flow->reply.dst_port);
	put_manip(nlh, CTA_NAT_DST, key, flow->reply.src,
	    icmp ? key->orig.src_port : flow->reply.src_port);
}

static void
put_tcp_flags(struct nlmsghdr *nlh, uint16_t type, uint8_t flags, uint8_t mask)
{
	struct nf_ct_tcp_flags value = { .flags = flags, .mask = mask };

	mnl_attr_put(nlh, type, sizeof(value), &value);
}

/*
 * Sequence numbers are not carried. BE_LIBERAL keeps packets from being judged by a
 * window that the entry has not learned yet. A TCP flow whose state was never told, but
 * which is assured, is established.
 */
static void
put_tcp(struct nlmsghdr *nlh, const struct flow_record *flow)
{
	const uint8_t mask = TCP_FLAGS_CARRIED | IP_CT_TCP_FLAG_BE_LIBERAL;
	bool told = flow->present & FLOW_HAS_TCP;
	struct nlattr *nest, *inner;
	uint8_t flags[2];

	if (flow->key.protocol != IPPROTO_TCP)
		return;
	if (!told && !(flow->status & FLOW_STATUS_ASSURED))
		return;
	for (int dir = FLOW_ORIG; dir <= FLOW_REPLY; dir++)
		flags[dir] = (flow->tcp_flags[dir] & TCP_FLAGS_CARRIED) |
			     IP_CT_TCP_FLAG_BE_LIBERAL;
	nest = mnl_attr_nest_start(nlh, CTA_PROTOINFO);
	inner = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE,
	    told ? flow->tcp_state : FLOW_TCP_ESTABLISHED);
	mnl_attr_put_u8(
	    nlh, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, flow->tcp_wscale[FLOW_ORIG]);
	mnl_attr_put_u8(
	    nlh, CTA_PROTOINFO_TCP_WSCALE_REPLY, flow->tcp_wscale[FLOW_REPLY]);
	put_tcp_flags(nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, flags[FLOW_ORIG], mask);
	put_tcp_flags(nlh, CTA_PROTOINFO_TCP_FLAGS_REPLY, flags[FLOW_REPLY], mask);
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_nest_end(nlh, nest);
}

static void
put_one_seqadj(struct nlmsghdr *nlh, uint16_t type, const struct flow_seqadj *adj)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put_u32(nlh, CTA_SEQADJ_CORRECTION_POS, htonl(adj->correction_pos));
	mnl_attr_put_u32(
	    nlh, CTA_SEQADJ_OFFSET_BEFORE, htonl((uint32_t)adj->offset_before));
	mnl_attr_put_u32(
	    nlh, CTA_SEQADJ_OFFSET_AFTER, htonl((uint32_t)adj->offset_after));
	mnl_attr_nest_end(nlh, nest);
}

static void
put_seqadj(struct nlmsghdr *nlh, const struct flow_record *flow)
{
	if (!(flow->status & FLOW_STATUS_SEQ_ADJUST))
		return;
	put_one_seqadj(nlh, CTA_SEQ_ADJ_ORIG, &flow->seqadj[FLOW_ORIG]);
	put_one_seqadj(nlh, CTA_SEQ_ADJ_REPLY, &flow->seqadj[FLOW_REPLY]);
}

/* The bits that a request may set; the NAT bits follow from the manips. */
static void
put_status(struct nlmsghdr *nlh, const struct flow_record *flow)
{
	uint32_t status = flow->status & (FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED |
					     FLOW_STATUS_FIXED_TIMEOUT);

	mnl_attr_put_u32(nlh, CTA_STATUS, htonl(status | IPS_CONFIRMED));
}

size_t
ct_encode_create(
    void *buf, uint32_t seq, const struct flow_record *flow, uint32_t timeout_s)
{
	struct flow_tuple inverse = flow_tuple_invert(&flow->key);
	const char *helper = flow_helper_name((enum flow_helper)flow->helper);
	struct nlmsghdr *nlh = put_header(
	    buf, seq, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, flow->key.family);

	put_tuple(nlh, CTA_TUPLE_ORIG, &flow->key, &flow->key.orig);
	put_tuple(nlh, CTA_TUPLE_REPLY, &flow->key, &inverse);
	put_zone(nlh, flow->key.zone);
	put_nat(nlh, flow);
	put_status(nlh, flow);
	mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(timeout_s));
	put_tcp(nlh, flow);
	put_seqadj(nlh, flow);
	if (flow->mark != 0)
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(flow->mark));
	if (helper[0] != '\0') {
		struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_HELP);

		mnl_attr_put_strz(nlh, CTA_HELP_NAME, helper);
		mnl_attr_nest_end(nlh, nest);
	}
	return finish(nlh);
}

size_t
ct_encode_update(
    void *buf, uint32_t seq, const struct flow_record *flow, uint32_t timeout_s)
{
	struct nlmsghdr *nlh =
	    put_header(buf, seq, IPCTNL_MSG_CT_NEW, 0, flow->key.family);

	put_tuple(nlh, CTA_TUPLE_ORIG, &flow->key, &flow->key.orig);
	put_zone(nlh, flow->key.zone);
	put_status(nlh, flow);
	/* An entry with a fixed timeout refuses another one with EPERM. */
	if (!(flow->status & FLOW_STATUS_FIXED_TIMEOUT))
		mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(timeout_s));
	put_tcp(nlh, flow);
	put_seqadj(nlh, flow);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(flow->mark));
	return finish(nlh);
}

bool
ct_knows_scales(const struct flow_record *flow)
{
	return flow->key.protocol == IPPROTO_TCP && flow->tcp_flags[FLOW_ORIG] &
							flow->tcp_flags[FLOW_REPLY] &
							IP_CT_TCP_FLAG_WINDOW_SCALE;
}

size_t
ct_encode_strict(void *buf, uint32_t seq, const struct flow_record *flow)
{
	const uint8_t liberal = ct_knows_scales(flow) ? 0 : IP_CT_TCP_FLAG_BE_LIBERAL;
	struct nlmsghdr *nlh =
	    put_header(buf, seq, IPCTNL_MSG_CT_NEW, 0, flow->key.family);
	struct nlattr *nest, *inner;

	put_tuple(nlh, CTA_TUPLE_ORIG, &flow->key, &flow->key.orig);
	put_zone(nlh, flow->key.zone);
	nest = mnl_attr_nest_start(nlh, CTA_PROTOINFO);
	inner = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);
	put_tcp_flags(
	    nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, liberal, IP_CT_TCP_FLAG_BE_LIBERAL);
	put_tcp_flags(
	    nlh, CTA_PROTOINFO_TCP_FLAGS_REPLY, liberal, IP_CT_TCP_FLAG_BE_LIBERAL);
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_nest_end(nlh, nest);
	return finish(nlh);
}

size_t
ct_encode_delete(void *buf, uint32_t seq, const struct flow_key *key, uint32_t id)
{
	struct nlmsghdr *nlh =
	    put_header(buf, seq, IPCTNL_MSG_CT_DELETE, 0, key->family);

	/* Without a tuple this message would flush the table. */
	put_tuple(nlh, CTA_TUPLE_ORIG, key, &key->orig);
	put_zone(nlh, key->zone);
	if (id != 0)
		mnl_attr_put_u32(nlh, CTA_ID, htonl(id));
	return finish(nlh);
}

size_t
ct_encode_get(void *buf, uint32_t seq, const struct flow_key *key)
{
	struct nlmsghdr *nlh = put_header(buf, seq, IPCTNL_MSG_CT_GET, 0, key->family);

	put_tuple(nlh, CTA_TUPLE_ORIG, key, &key->orig);
	put_zone(nlh, key->zone);
	return finish(nlh);
}

size_t
ct_encode_dump(void *buf, uint32_t seq, uint8_t family)
{
	return finish(put_header(buf, seq, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family));
}
