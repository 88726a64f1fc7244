#include "vrrpd/core/neighbour_wire.h"

#include <string.h>

#include <tandem/assert.h>
#include <tandem/reader.h>

#define TYPE_ARP 0x0806
#define TYPE_IPV6 0x86dd
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define PROTOCOL_ICMPV6 58
#define ND_SOLICIT 135
#define ND_ADVERT 136
#define ND_HOPS 255
#define OPTION_SOURCE_MAC 1
#define OPTION_TARGET_MAC 2
#define NA_ROUTER_OVERRIDE 0xa0000000U

static const uint8_t BROADCAST[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void
write_ethernet(struct td_writer *wr, const uint8_t destination[6],
    const uint8_t source[6], uint16_t type)
{
	write_bytes(wr, destination, 6);
	write_bytes(wr, source, 6);
	write_be16(wr, type);
}

static size_t
arp_encode(const uint8_t sender[4], const uint8_t mac[6], const uint8_t target_mac[6],
    const uint8_t target[4], uint8_t frame[NEIGHBOUR_FRAME_MAX])
{
	struct td_writer wr = { frame, NEIGHBOUR_FRAME_MAX, false };

	memset(frame, 0, NEIGHBOUR_FRAME_MIN);
	write_ethernet(&wr, BROADCAST, mac, TYPE_ARP);
	write_be16(&wr, 1);      /* Ethernet */
	write_be16(&wr, 0x0800); /* IPv4 */
	write_u8(&wr, 6);
	write_u8(&wr, 4);
	write_be16(&wr, ARP_REQUEST);
	write_bytes(&wr, mac, 6);
	write_bytes(&wr, sender, 4);
	write_bytes(&wr, target_mac, 6);
	write_bytes(&wr, target, 4);
	td_assert(!wr.failed);
	return NEIGHBOUR_FRAME_MIN;
}

/* RFC 8200 section 8.1: over source, destination, length, next header and message. */
static uint16_t
icmpv6_checksum(const uint8_t source[16], const uint8_t destination[16],
    const uint8_t *message, size_t len)
{
	uint32_t sum = (uint32_t)len + PROTOCOL_ICMPV6;

	for (size_t i = 0; i < 16; i += 2) {
		sum += (uint32_t)(source[i] << 8 | source[i + 1]);
		sum += (uint32_t)(destination[i] << 8 | destination[i + 1]);
	}
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)message[i] << 8 : message[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

struct nd {
	uint8_t type;
	uint32_t flags;
	uint8_t source[16], destination[16], destination_mac[6];
	uint8_t option; /* 0 = none */
};

static size_t
nd_encode(const struct nd *nd, const uint8_t target[16], const uint8_t mac[6],
    uint8_t frame[NEIGHBOUR_FRAME_MAX])
{
	struct td_writer wr = { frame, NEIGHBOUR_FRAME_MAX, false };
	uint16_t len = nd->option != 0 ? 32 : 24;
	uint8_t *message = frame + 14 + 40;
	uint16_t checksum;

	write_ethernet(&wr, nd->destination_mac, mac, TYPE_IPV6);
	write_be32(&wr, 6U << 28);
	write_be16(&wr, len);
	write_u8(&wr, PROTOCOL_ICMPV6);
	write_u8(&wr, ND_HOPS);
	write_bytes(&wr, nd->source, 16);
	write_bytes(&wr, nd->destination, 16);
	write_u8(&wr, nd->type);
	write_u8(&wr, 0);
	write_be16(&wr, 0);
	write_be32(&wr, nd->flags);
	write_bytes(&wr, target, 16);
	if (nd->option != 0) {
		write_u8(&wr, nd->option);
		write_u8(&wr, 1); /* eight bytes */
		write_bytes(&wr, mac, 6);
	}
	td_assert(!wr.failed);
	checksum = icmpv6_checksum(nd->source, nd->destination, message, len);
	message[2] = (uint8_t)(checksum >> 8);
	message[3] = (uint8_t)checksum;
	return (size_t)14 + 40 + len;
}

size_t
neighbour_announce_encode(const struct td_addr *addr, const uint8_t mac[6],
    uint8_t frame[NEIGHBOUR_FRAME_MAX])
{
	struct nd nd = { .type = ND_ADVERT,
		.flags = NA_ROUTER_OVERRIDE,
		.destination = { 0xff, 0x02, [15] = 0x01 },
		.destination_mac = { 0x33, 0x33, 0, 0, 0, 0x01 },
		.option = OPTION_TARGET_MAC };

	if (addr->family == TD_AF_INET)
		return arp_encode(addr->bytes, mac, mac, addr->bytes, frame);
	td_assert(addr->family == TD_AF_INET6);
	memcpy(nd.source, addr->bytes, 16);
	return nd_encode(&nd, addr->bytes, mac, frame);
}

size_t
neighbour_question_encode(const struct td_addr *target, const struct td_addr *own,
    const uint8_t mac[6], uint8_t frame[NEIGHBOUR_FRAME_MAX])
{
	static const uint8_t nobody[16];
	const uint8_t *t = target->bytes;
	struct nd nd = { .type = ND_SOLICIT,
		.destination = { 0xff, 0x02, [11] = 0x01, [12] = 0xff, t[13], t[14],
		    t[15] },
		.destination_mac = { 0x33, 0x33, 0xff, t[13], t[14], t[15] } };

	td_assert(own->family == 0 || own->family == target->family);
	if (target->family == TD_AF_INET)
		return arp_encode(
		    own->family != 0 ? own->bytes : nobody, mac, nobody, t, frame);
	td_assert(target->family == TD_AF_INET6);
	memcpy(nd.source, own->bytes, 16); /* zero, "::", if absent */
	/* RFC 4861 section 4.3: no such option with the unspecified source. */
	nd.option = own->family != 0 ? OPTION_SOURCE_MAC : 0;
	return nd_encode(&nd, t, mac, frame);
}

static enum neighbour_drop
arp_decode(struct td_reader *rd, struct neighbour_answer *answer)
{
	uint16_t hardware = read_be16(rd);
	uint16_t protocol = read_be16(rd);
	uint8_t hardware_len = read_u8(rd);
	uint8_t protocol_len = read_u8(rd);
	uint16_t operation = read_be16(rd);

	read_bytes(rd, answer->mac, 6);
	answer->addr.family = TD_AF_INET;
	read_bytes(rd, answer->addr.bytes, 4);
	(void)read_take(rd, 10);
	if (rd->failed)
		return NEIGHBOUR_DROP_TRUNCATED;
	if (hardware != 1 || protocol != 0x0800 || hardware_len != 6 ||
	    protocol_len != 4)
		return NEIGHBOUR_DROP_FORMAT;
	return operation == ARP_REPLY ? NEIGHBOUR_OK : NEIGHBOUR_DROP_OTHER;
}

static enum neighbour_drop
na_options_decode(struct td_reader *rd, struct neighbour_answer *answer)
{
	while (rd->left > 0) {
		uint8_t type = read_u8(rd);
		size_t len = (size_t)read_u8(rd) * 8;
		const uint8_t *body;

		if (!rd->failed && len == 0)
			return NEIGHBOUR_DROP_OPTION;
		body = rd->failed ? NULL : read_take(rd, len - 2);
		if (body == NULL)
			return NEIGHBOUR_DROP_TRUNCATED;
		if (type == OPTION_TARGET_MAC)
			memcpy(answer->mac, body, 6);
	}
	return NEIGHBOUR_OK;
}

static enum neighbour_drop
na_decode(struct td_reader *rd, struct neighbour_answer *answer)
{
	uint32_t first = read_be32(rd);
	uint16_t len = read_be16(rd);
	uint8_t next_header = read_u8(rd);
	uint8_t hops = read_u8(rd);
	const uint8_t *source = read_take(rd, 16);
	const uint8_t *destination = read_take(rd, 16);
	/* What follows the length is padding of the wire. */
	const uint8_t *message = read_take(rd, len);
	struct td_reader body = { message, len, false };
	uint8_t type;

	if (rd->failed)
		return NEIGHBOUR_DROP_TRUNCATED;
	if (first >> 28 != 6 || next_header != PROTOCOL_ICMPV6)
		return NEIGHBOUR_DROP_OTHER;
	type = read_u8(&body);
	(void)read_take(&body, 7);
	answer->addr.family = TD_AF_INET6;
	read_bytes(&body, answer->addr.bytes, 16);
	if (body.failed)
		return NEIGHBOUR_DROP_TRUNCATED;
	if (type != ND_ADVERT)
		return NEIGHBOUR_DROP_OTHER;
	if (hops != ND_HOPS)
		return NEIGHBOUR_DROP_HOPS;
	if (icmpv6_checksum(source, destination, message, len) != 0)
		return NEIGHBOUR_DROP_CHECKSUM;
	return na_options_decode(&body, answer);
}

enum neighbour_drop
neighbour_answer_decode(
    const uint8_t *frame, size_t len, struct neighbour_answer *ret_answer)
{
	struct td_reader rd = { frame, len, false };
	struct neighbour_answer answer = { 0 };
	enum neighbour_drop drop;
	uint16_t type;

	(void)read_take(&rd, 6);
	read_bytes(&rd, answer.mac, 6);
	type = read_be16(&rd);
	if (rd.failed)
		return NEIGHBOUR_DROP_TRUNCATED;
	if (type == TYPE_ARP)
		drop = arp_decode(&rd, &answer);
	else if (type == TYPE_IPV6)
		drop = na_decode(&rd, &answer);
	else
		return NEIGHBOUR_DROP_OTHER;
	if (drop == NEIGHBOUR_OK)
		*ret_answer = answer;
	return drop;
}
