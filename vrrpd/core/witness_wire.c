#include "vrrpd/core/witness_wire.h"

#include <string.h>
#include <tandem/assert.h>
#include <tandem/instant.h>
#include <tandem/reader.h>
#include <tandem/room.h>

/* The range of advertisement_interval in the configuration. */
#define INTERVAL_NS_MIN (10 * NS_PER_MS)
#define INTERVAL_NS_MAX (4095 * NS_PER_CS)

enum witness_drop
witness_header_decode(
    const uint8_t *packet, size_t len, struct witness_header *ret_header)
{
	struct td_reader rd = { packet, len, false };
	struct witness_header h;
	uint8_t magic0 = read_u8(&rd), magic1 = read_u8(&rd), version = read_u8(&rd);

	h.sender = read_u8(&rd);
	read_bytes(&rd, h.session, sizeof(h.session));
	h.seq = read_be64(&rd);
	if (rd.failed)
		return WITNESS_DROP_TRUNCATED;
	if (magic0 != 'T' || magic1 != 'W')
		return WITNESS_DROP_MAGIC;
	if (version != WITNESS_VERSION)
		return WITNESS_DROP_VERSION;
	*ret_header = h;
	return WITNESS_OK;
}

void
witness_header_encode(
    const struct witness_header *header, uint8_t ret_bytes[WITNESS_HEADER_BYTES])
{
	struct td_writer wr = { ret_bytes, WITNESS_HEADER_BYTES, false };

	write_u8(&wr, 'T');
	write_u8(&wr, 'W');
	write_u8(&wr, WITNESS_VERSION);
	write_u8(&wr, header->sender);
	write_bytes(&wr, header->session, sizeof(header->session));
	write_be64(&wr, header->seq);
	td_assert(!wr.failed && wr.left == 0);
}

static size_t
hint_len(uint8_t family)
{
	return family == TD_AF_INET ? 4 : family == TD_AF_INET6 ? 16 : 0;
}

static bool
decode_hints(struct td_reader *rd, struct witness_payload *p)
{
	for (unsigned i = 0; i < p->member_count; i++) {
		struct td_addr *hint = &p->hint[i];

		hint->family = read_u8(rd);
		if (hint->family != 0 && hint_len(hint->family) == 0)
			return false;
		read_bytes(rd, hint->bytes, hint_len(hint->family));
	}
	return true;
}

enum witness_drop
witness_payload_decode(
    const uint8_t *bytes, size_t len, struct witness_payload *ret_payload)
{
	struct td_reader rd = { bytes, len, false };
	struct witness_payload p;
	uint64_t interval_ns;

	memset(&p, 0, sizeof(p));
	p.cluster = read_be64(&rd);
	p.challenge = read_be64(&rd);
	p.echo = read_be64(&rd);
	p.role = read_u8(&rd);
	p.priority = read_u8(&rd);
	p.base_priority = read_u8(&rd);
	p.flags = read_be16(&rd) & WITNESS_FLAGS_KNOWN;
	p.member_count = read_u8(&rd);
	p.term = read_be64(&rd);
	interval_ns = read_be64(&rd);
	p.generation = read_be64(&rd);
	if (rd.failed)
		return WITNESS_DROP_TRUNCATED;
	if (p.role > TD_ROLE_ACTIVE || p.member_count > TD_INTERFACES_MAX ||
	    interval_ns < INTERVAL_NS_MIN || interval_ns > INTERVAL_NS_MAX ||
	    p.term == UINT64_MAX)
		return WITNESS_DROP_FIELD;
	p.interval_ns = (int64_t)interval_ns;
	for (unsigned i = 0; i < p.member_count; i++)
		p.member[i] = read_u8(&rd) & WITNESS_MEMBER_BITS_KNOWN;
	if (rd.left > 0 && !decode_hints(&rd, &p))
		return WITNESS_DROP_FIELD;
	if (rd.left > 0)
		p.unfit = read_be16(&rd);
	if (rd.failed)
		return WITNESS_DROP_TRUNCATED;
	*ret_payload = p;
	return WITNESS_OK;
}

size_t
witness_payload_encode(
    const struct witness_payload *payload, uint8_t ret_bytes[WITNESS_PAYLOAD_BYTES_MAX])
{
	struct td_writer wr = { ret_bytes, WITNESS_PAYLOAD_BYTES_MAX, false };

	td_assert(payload->member_count <= TD_INTERFACES_MAX);
	write_be64(&wr, payload->cluster);
	write_be64(&wr, payload->challenge);
	write_be64(&wr, payload->echo);
	write_u8(&wr, payload->role);
	write_u8(&wr, payload->priority);
	write_u8(&wr, payload->base_priority);
	write_be16(&wr, payload->flags);
	write_u8(&wr, payload->member_count);
	write_be64(&wr, payload->term);
	write_be64(&wr, (uint64_t)payload->interval_ns);
	write_be64(&wr, payload->generation);
	write_bytes(&wr, payload->member, payload->member_count);
	for (unsigned i = 0; i < payload->member_count; i++) {
		write_u8(&wr, payload->hint[i].family);
		write_bytes(
		    &wr, payload->hint[i].bytes, hint_len(payload->hint[i].family));
	}
	if (payload->unfit != 0)
		write_be16(&wr, payload->unfit);
	td_assert(!wr.failed);
	return WITNESS_PAYLOAD_BYTES_MAX - wr.left;
}

const char *
witness_drop_name(enum witness_drop drop)
{
	static const char *const names[WITNESS_DROP_COUNT] = {
		[WITNESS_OK] = "ok",
		[WITNESS_DROP_TRUNCATED] = "truncated",
		[WITNESS_DROP_MAGIC] = "magic",
		[WITNESS_DROP_VERSION] = "version",
		[WITNESS_DROP_SENDER] = "sender",
		[WITNESS_DROP_SEAL] = "seal",
		[WITNESS_DROP_CLUSTER] = "cluster",
		[WITNESS_DROP_FIELD] = "field",
		[WITNESS_DROP_UNPROVEN] = "unproven_session",
		[WITNESS_DROP_REPLAY] = "replay",
	};

	td_assert(drop < WITNESS_DROP_COUNT);
	return names[drop];
}
