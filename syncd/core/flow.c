#include "syncd/core/flow.h"

#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

static const char *const helper_names[FLOW_HELPER_COUNT] = {
	[FLOW_HELPER_NONE] = "",
	[FLOW_HELPER_FTP] = "ftp",
	[FLOW_HELPER_TFTP] = "tftp",
	[FLOW_HELPER_SIP] = "sip",
	[FLOW_HELPER_H323_Q931] = "Q.931",
	[FLOW_HELPER_H323_RAS] = "RAS",
	[FLOW_HELPER_IRC] = "irc",
	[FLOW_HELPER_PPTP] = "pptp",
	[FLOW_HELPER_AMANDA] = "amanda",
	[FLOW_HELPER_NETBIOS_NS] = "netbios-ns",
	[FLOW_HELPER_SNMP] = "snmp",
	[FLOW_HELPER_SANE] = "sane",
	[FLOW_HELPER_OTHER] = "",
};

bool
flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* The pairs of request and answer that the kernel tracks; another type stays as it is.
 */
static uint8_t
icmp_answer_type(uint8_t protocol, uint8_t type)
{
	static const struct {
		uint8_t protocol, a, b;
	} pairs[] = {
		{ FLOW_ICMP, 8, 0 },       /* echo */
		{ FLOW_ICMP, 13, 14 },     /* timestamp */
		{ FLOW_ICMP, 15, 16 },     /* information */
		{ FLOW_ICMP, 17, 18 },     /* address mask */
		{ FLOW_ICMPV6, 128, 129 }, /* echo */
		{ FLOW_ICMPV6, 139, 140 }, /* node information */
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (pairs[i].protocol != protocol)
			continue;
		if (pairs[i].a == type)
			return pairs[i].b;
		if (pairs[i].b == type)
			return pairs[i].a;
	}
	return type;
}

static bool
is_icmp(uint8_t protocol)
{
	return protocol == FLOW_ICMP || protocol == FLOW_ICMPV6;
}

struct flow_tuple
flow_tuple_invert(const struct flow_key *key)
{
	struct flow_tuple reply;
	const struct flow_tuple *orig = &key->orig;

	memset(&reply, 0, sizeof(reply));
	memcpy(reply.src, orig->dst, sizeof(reply.src));
	memcpy(reply.dst, orig->src, sizeof(reply.dst));
	if (is_icmp(key->protocol)) {
		uint8_t type =
		    icmp_answer_type(key->protocol, (uint8_t)(orig->dst_port >> 8));

		reply.src_port = orig->src_port;
		reply.dst_port = (uint16_t)(type << 8 | (orig->dst_port & 0xff));
	} else {
		reply.src_port = orig->dst_port;
		reply.dst_port = orig->src_port;
	}
	return reply;
}

bool
flow_has_src_nat(const struct flow_record *record)
{
	struct flow_tuple plain = flow_tuple_invert(&record->key);

	if (memcmp(record->reply.dst, plain.dst, sizeof(plain.dst)) != 0)
		return true;
	/* The id of an ICMP query is its source "port", translated with the source. */
	if (is_icmp(record->key.protocol))
		return record->reply.src_port != plain.src_port;
	return record->reply.dst_port != plain.dst_port;
}

bool
flow_has_dst_nat(const struct flow_record *record)
{
	struct flow_tuple plain = flow_tuple_invert(&record->key);

	if (memcmp(record->reply.src, plain.src, sizeof(plain.src)) != 0)
		return true;
	return !is_icmp(record->key.protocol) &&
	       record->reply.src_port != plain.src_port;
}

bool
flow_merge(struct flow_record *record, const struct flow_record *update)
{
	struct flow_record before = *record;
	uint8_t has = update->present;

	td_assert(flow_key_equal(&record->key, &update->key));
	record->reply = update->reply;
	if (has & FLOW_HAS_STATUS)
		record->status = update->status;
	if (has & FLOW_HAS_TIMEOUT)
		record->timeout_s = update->timeout_s;
	if (has & FLOW_HAS_MARK)
		record->mark = update->mark;
	if (has & FLOW_HAS_TCP) {
		record->tcp_state = update->tcp_state;
		memcpy(record->tcp_flags, update->tcp_flags, sizeof(record->tcp_flags));
		memcpy(
		    record->tcp_wscale, update->tcp_wscale, sizeof(record->tcp_wscale));
	}
	if (has & FLOW_HAS_SEQADJ)
		memcpy(record->seqadj, update->seqadj, sizeof(record->seqadj));
	if (has & FLOW_HAS_HELPER)
		record->helper = update->helper;
	record->present |= has;

	before.timeout_s = record->timeout_s;
	return memcmp(&before, record, sizeof(before)) != 0;
}

bool
flow_is_silent(const struct flow_record *record)
{
	return record->key.protocol != FLOW_TCP ||
	       record->tcp_state != FLOW_TCP_ESTABLISHED;
}

const char *
flow_helper_name(enum flow_helper helper)
{
	td_assert(helper < FLOW_HELPER_COUNT);
	return helper_names[helper];
}

enum flow_helper
flow_helper_by_name(const char *name)
{
	if (name[0] == '\0')
		return FLOW_HELPER_NONE;
	for (unsigned i = FLOW_HELPER_FTP; i < FLOW_HELPER_OTHER; i++) {
		if (strcmp(helper_names[i], name) == 0)
			return (enum flow_helper)i;
	}
	return FLOW_HELPER_OTHER;
}

/* IPv4 dotted, IPv6 as eight groups: canonical enough for lists, and without sockets.
 */
static int
format_end(char *buf, size_t size, uint8_t family, const uint8_t *a, unsigned port)
{
	if (family == TD_AF_INET)
		return snprintf(
		    buf, size, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], port);
	return snprintf(buf, size, "[%x:%x:%x:%x:%x:%x:%x:%x]:%u", a[0] << 8 | a[1],
	    a[2] << 8 | a[3], a[4] << 8 | a[5], a[6] << 8 | a[7], a[8] << 8 | a[9],
	    a[10] << 8 | a[11], a[12] << 8 | a[13], a[14] << 8 | a[15], port);
}

const char *
flow_format(const struct flow_record *record, char *buf)
{
	const struct flow_tuple *o = &record->key.orig, *r = &record->reply;
	uint8_t family = record->key.family;
	char end[4][56], protocol[8];

	format_end(end[0], sizeof(end[0]), family, o->src, o->src_port);
	format_end(end[1], sizeof(end[1]), family, o->dst, o->dst_port);
	format_end(end[2], sizeof(end[2]), family, r->src, r->src_port);
	format_end(end[3], sizeof(end[3]), family, r->dst, r->dst_port);
	switch (record->key.protocol) {
	case FLOW_TCP:
		snprintf(protocol, sizeof(protocol), "tcp");
		break;
	case FLOW_UDP:
		snprintf(protocol, sizeof(protocol), "udp");
		break;
	case FLOW_ICMP:
		snprintf(protocol, sizeof(protocol), "icmp");
		break;
	case FLOW_ICMPV6:
		snprintf(protocol, sizeof(protocol), "icmpv6");
		break;
	default:
		snprintf(protocol, sizeof(protocol), "%u", record->key.protocol);
		break;
	}
	snprintf(buf, FLOW_TEXT_MAX, "%s %s>%s reply %s>%s zone=%u", protocol, end[0],
	    end[1], end[2], end[3], record->key.zone);
	return buf;
}
