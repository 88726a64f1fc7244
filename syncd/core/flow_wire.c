#include "syncd/core/flow_wire.h"

#include <tandem/assert.h>

/* The flag word: which fields follow. Bits 12 to 15 belong to later versions. */
#define F_DELETE 0x0001U
#define F_IPV6 0x0002U
#define F_ZONE 0x0004U
#define F_REPLY_DST 0x0008U      /* source NAT: address */
#define F_REPLY_DST_PORT 0x0010U /* source NAT: port */
#define F_REPLY_SRC 0x0020U      /* destination NAT: address */
#define F_REPLY_SRC_PORT 0x0040U /* destination NAT: port, or the ICMP id */
#define F_MARK 0x0080U
#define F_TCP 0x0100U
#define F_SEQADJ 0x0200U
#define F_HELPER 0x0400U
#define F_KNOWN 0x0800U

#define TCP_STATE_MAX 9 /* the kernel's TCP_CONNTRACK_SYN_SENT2 */

/* Seven bits per byte, low ones first, the top bit says that more follow. */
static void
write_varint(struct td_writer *wr, uint32_t v)
{
	while (v >= 0x80) {
		write_u8(wr, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	write_u8(wr, (uint8_t)v);
}

static uint32_t
read_varint(struct td_reader *rd, bool *too_large)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 35; shift += 7) {
		uint8_t byte = read_u8(rd);

		v |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			if (v > UINT32_MAX)
				*too_large = true;
			return (uint32_t)v;
		}
	}
	*too_large = true;
	return 0;
}

static unsigned
change_flags(const struct flow_change *change, const struct flow_tuple *plain)
{
	static const struct flow_seqadj none[2];
	const struct flow_record *flow = &change->flow;
	unsigned flags = 0;

	if (flow->key.family == TD_AF_INET6)
		flags |= F_IPV6;
	if (flow->key.zone != 0)
		flags |= F_ZONE;
	if (change->known)
		flags |= F_KNOWN;
	if (change->deleted)
		return flags | F_DELETE;
	if (memcmp(flow->reply.dst, plain->dst, sizeof(plain->dst)) != 0)
		flags |= F_REPLY_DST;
	if (flow->reply.dst_port != plain->dst_port)
		flags |= F_REPLY_DST_PORT;
	if (memcmp(flow->reply.src, plain->src, sizeof(plain->src)) != 0)
		flags |= F_REPLY_SRC;
	if (flow->reply.src_port != plain->src_port)
		flags |= F_REPLY_SRC_PORT;
	if (flow->mark != 0)
		flags |= F_MARK;
	if (flow->key.protocol == FLOW_TCP)
		flags |= F_TCP;
	if (memcmp(flow->seqadj, none, sizeof(none)) != 0)
		flags |= F_SEQADJ;
	if (flow->helper != FLOW_HELPER_NONE)
		flags |= F_HELPER;
	return flags;
}

static void
write_state(
    struct td_writer *wr, const struct flow_record *flow, unsigned flags, size_t n)
{
	if (flags & F_REPLY_DST)
		write_bytes(wr, flow->reply.dst, n);
	if (flags & F_REPLY_DST_PORT)
		write_be16(wr, flow->reply.dst_port);
	if (flags & F_REPLY_SRC)
		write_bytes(wr, flow->reply.src, n);
	if (flags & F_REPLY_SRC_PORT)
		write_be16(wr, flow->reply.src_port);
	write_be16(wr, flow->status);
	write_varint(wr, flow->timeout_s);
	if (flags & F_MARK)
		write_be32(wr, flow->mark);
	if (flags & F_TCP) {
		write_u8(wr, flow->tcp_state);
		write_bytes(wr, flow->tcp_flags, sizeof(flow->tcp_flags));
		write_u8(wr, (uint8_t)(flow->tcp_wscale[FLOW_ORIG] << 4 |
				       flow->tcp_wscale[FLOW_REPLY]));
	}
	if (flags & F_SEQADJ) {
		for (unsigned i = 0; i < 2; i++) {
			write_be32(wr, flow->seqadj[i].correction_pos);
			write_be32(wr, (uint32_t)flow->seqadj[i].offset_before);
			write_be32(wr, (uint32_t)flow->seqadj[i].offset_after);
		}
	}
	if (flags & F_HELPER)
		write_u8(wr, flow->helper);
}

void
flow_change_encode(struct td_writer *wr, const struct flow_change *change)
{
	const struct flow_record *flow = &change->flow;
	const struct flow_key *key = &flow->key;
	struct flow_tuple plain = flow_tuple_invert(key);
	unsigned flags = change_flags(change, &plain);
	size_t n = flags & F_IPV6 ? 16 : 4;
	uint8_t body[FLOW_WIRE_MAX];
	struct td_writer b = { body, sizeof(body), false };
	size_t len;

	td_assert(key->family == TD_AF_INET || key->family == TD_AF_INET6);
	td_assert(flow->timeout_s <= FLOW_WIRE_TIMEOUT_MAX || change->deleted);
	write_be16(&b, (uint16_t)flags);
	write_u8(&b, key->protocol);
	write_u8(&b, change->deleted ? 0 : flow->present);
	write_varint(&b, change->term);
	write_varint(&b, change->version);
	write_bytes(&b, key->orig.src, n);
	write_bytes(&b, key->orig.dst, n);
	write_be16(&b, key->orig.src_port);
	write_be16(&b, key->orig.dst_port);
	if (flags & F_ZONE)
		write_be16(&b, key->zone);
	if (!change->deleted)
		write_state(&b, flow, flags, n);
	td_assert(!b.failed);

	len = sizeof(body) - b.left;
	if (wr->left < len + 1) {
		wr->failed = true;
		return;
	}
	write_u8(wr, (uint8_t)len);
	write_bytes(wr, body, len);
}

static enum flow_drop
read_state(struct td_reader *rd, struct flow_record *flow, unsigned flags, size_t n)
{
	bool too_large = false;

	flow->reply = flow_tuple_invert(&flow->key);
	if (flags & F_REPLY_DST)
		read_bytes(rd, flow->reply.dst, n);
	if (flags & F_REPLY_DST_PORT)
		flow->reply.dst_port = read_be16(rd);
	if (flags & F_REPLY_SRC)
		read_bytes(rd, flow->reply.src, n);
	if (flags & F_REPLY_SRC_PORT)
		flow->reply.src_port = read_be16(rd);
	flow->status = read_be16(rd);
	flow->timeout_s = read_varint(rd, &too_large);
	if (flags & F_MARK)
		flow->mark = read_be32(rd);
	if (flags & F_TCP) {
		uint8_t wscale;

		flow->tcp_state = read_u8(rd);
		read_bytes(rd, flow->tcp_flags, sizeof(flow->tcp_flags));
		wscale = read_u8(rd);
		flow->tcp_wscale[FLOW_ORIG] = wscale >> 4;
		flow->tcp_wscale[FLOW_REPLY] = wscale & 0x0f;
	}
	if (flags & F_SEQADJ) {
		for (unsigned i = 0; i < 2; i++) {
			flow->seqadj[i].correction_pos = read_be32(rd);
			flow->seqadj[i].offset_before = (int32_t)read_be32(rd);
			flow->seqadj[i].offset_after = (int32_t)read_be32(rd);
		}
	}
	if (flags & F_HELPER)
		flow->helper = read_u8(rd);

	if (rd->failed)
		return FLOW_DROP_TRUNCATED;
	if (too_large || flow->timeout_s > FLOW_WIRE_TIMEOUT_MAX)
		return FLOW_DROP_NUMBER;
	if ((flow->status & ~FLOW_STATUS_MASK) != 0)
		return FLOW_DROP_STATUS;
	if (((flags & F_TCP) != 0) != (flow->key.protocol == FLOW_TCP))
		return FLOW_DROP_TCP;
	if (flow->tcp_state > TCP_STATE_MAX ||
	    flow->tcp_wscale[FLOW_ORIG] > FLOW_WSCALE_MAX ||
	    flow->tcp_wscale[FLOW_REPLY] > FLOW_WSCALE_MAX)
		return FLOW_DROP_TCP;
	if (flow->helper >= FLOW_HELPER_COUNT)
		return FLOW_DROP_HELPER;
	return FLOW_OK;
}

enum flow_drop
flow_change_decode(struct td_reader *rd, struct flow_change *ret_change)
{
	struct flow_change change;
	struct flow_key *key = &change.flow.key;
	struct td_reader b = { NULL, read_u8(rd), false };
	bool too_large = false;
	unsigned flags;
	size_t n;

	memset(&change, 0, sizeof(change));
	b.at = read_take(rd, b.left);
	if (rd->failed)
		return FLOW_DROP_TRUNCATED;

	flags = read_be16(&b);
	n = flags & F_IPV6 ? 16 : 4;
	key->family = flags & F_IPV6 ? TD_AF_INET6 : TD_AF_INET;
	key->protocol = read_u8(&b);
	change.flow.present = read_u8(&b) & FLOW_HAS_ALL;
	change.term = read_varint(&b, &too_large);
	change.version = read_varint(&b, &too_large);
	read_bytes(&b, key->orig.src, n);
	read_bytes(&b, key->orig.dst, n);
	key->orig.src_port = read_be16(&b);
	key->orig.dst_port = read_be16(&b);
	if (flags & F_ZONE)
		key->zone = read_be16(&b);
	if (b.failed)
		return FLOW_DROP_TRUNCATED;
	if (too_large)
		return FLOW_DROP_NUMBER;

	change.known = (flags & F_KNOWN) != 0;
	change.deleted = (flags & F_DELETE) != 0;
	if (change.deleted) {
		change.flow.present = 0;
	} else {
		enum flow_drop drop = read_state(&b, &change.flow, flags, n);

		if (drop != FLOW_OK)
			return drop;
	}
	*ret_change = change;
	return FLOW_OK;
}

const char *
flow_drop_name(enum flow_drop drop)
{
	static const char *const names[FLOW_DROP_COUNT] = {
		[FLOW_OK] = "ok",
		[FLOW_DROP_TRUNCATED] = "truncated",
		[FLOW_DROP_NUMBER] = "number",
		[FLOW_DROP_TCP] = "tcp",
		[FLOW_DROP_STATUS] = "status",
		[FLOW_DROP_HELPER] = "helper",
	};

	td_assert(drop < FLOW_DROP_COUNT);
	return names[drop];
}
