/*
 * witness_wire.h - what the nodes of a pair tell each other on the witness path.
 *
 * A packet is a clear header and a sealed payload. The header is the additional data of
 * the seal, and session and sequence are its nonce: a session is 16 random bytes drawn
 * once per process, a sequence number is used once.
 *
 *   header    magic 'T' 'W', version, sender, session[16], seq be64          (28 bytes)
 *   payload   cluster be64, challenge be64, echo be64, role, priority, base priority,
 *             flags be16, member count, term be64, interval ns be64, generation be64,
 *             then per member one octet of bits, then per member the hint: family and
 *             4, 16 or no octets of address; then, unless it is zero, unfit be16
 *
 * Units    nanoseconds.
 * Errors   enum witness_drop; a longer payload than we know is accepted, so that a
 *          later version may append fields.
 */
#ifndef TANDEM_WITNESS_WIRE_H
#define TANDEM_WITNESS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/config.h>

#define WITNESS_VERSION 1
#define WITNESS_SESSION_BYTES 16
#define WITNESS_HEADER_BYTES 28
#define WITNESS_PAYLOAD_BYTES_MIN 54
#define WITNESS_PAYLOAD_BYTES_MAX                                                      \
	(WITNESS_PAYLOAD_BYTES_MIN + TD_INTERFACES_MAX * (1 + 1 + 16) + 2)
#define WITNESS_SEAL_BYTES 16
#define WITNESS_PACKET_BYTES_MAX                                                       \
	(WITNESS_HEADER_BYTES + WITNESS_PAYLOAD_BYTES_MAX + WITNESS_SEAL_BYTES)

enum witness_drop {
	WITNESS_OK,
	WITNESS_DROP_TRUNCATED,
	WITNESS_DROP_MAGIC,
	WITNESS_DROP_VERSION,
	WITNESS_DROP_SENDER, /* not the other node of this pair */
	WITNESS_DROP_SEAL,   /* no pinned key opens it */
	WITNESS_DROP_CLUSTER,
	WITNESS_DROP_FIELD,    /* a value out of its range */
	WITNESS_DROP_UNPROVEN, /* a session that has not yet echoed our challenge */
	WITNESS_DROP_REPLAY,   /* a sequence number not above the last one */
	WITNESS_DROP_COUNT
};

enum witness_flag {
	WITNESS_HAVE_STATE = 1 << 0, /* the sender holds its peer's whole state */
	WITNESS_PEER_HAS_STATE = 1 << 1,
	WITNESS_RESIGN = 1 << 2,        /* "take over at once" */
	WITNESS_CLAIM = 1 << 3,         /* "hand over to me when you can": preemption */
	WITNESS_HEARS_WITNESS = 1 << 4, /* the sender hears our witness */
	WITNESS_MAINTENANCE = 1 << 5,   /* the sender steps back while the peer lives */
	WITNESS_FLAGS_KNOWN = (1 << 6) - 1,
};

enum witness_member_bit {
	WITNESS_MEMBER_LINK_UP = 1 << 0,
	WITNESS_MEMBER_HEARS_ADVERTS = 1 << 1, /* of the receiver of this message */
	WITNESS_MEMBER_SUSPECT = 1 << 2,       /* something is wrong here: probe too */
	WITNESS_MEMBER_REACHED = 1 << 3,       /* a neighbour answered our probes */
	WITNESS_MEMBER_UNREACHED = 1 << 4,     /* probed long enough, nobody answered */
	WITNESS_MEMBER_BITS_KNOWN = (1 << 5) - 1,
};

struct witness_header {
	uint8_t sender; /* node index */
	uint8_t session[WITNESS_SESSION_BYTES];
	uint64_t seq;
};

struct witness_payload {
	uint64_t cluster;         /* hash of its name */
	uint64_t challenge, echo; /* see witness_session.h */
	uint8_t role;             /* enum td_role */
	uint8_t priority;         /* effective */
	uint8_t base_priority;    /* configured */
	uint16_t flags;
	uint64_t term;
	int64_t interval_ns;
	uint64_t generation; /* of the configuration */
	uint8_t member_count;
	uint8_t member[TD_INTERFACES_MAX];
	struct td_addr hint[TD_INTERFACES_MAX]; /* somebody who answers there: whom to
						   ask; family 0 = nobody known */
	uint16_t unfit; /* bit per track script that finds the sender unfit */
};

enum witness_drop witness_header_decode(
    const uint8_t *packet, size_t len, struct witness_header *ret_header);
void witness_header_encode(
    const struct witness_header *header, uint8_t ret_bytes[WITNESS_HEADER_BYTES]);

enum witness_drop witness_payload_decode(
    const uint8_t *bytes, size_t len, struct witness_payload *ret_payload);
/* Returns the length. */
size_t witness_payload_encode(const struct witness_payload *payload,
    uint8_t ret_bytes[WITNESS_PAYLOAD_BYTES_MAX]);

const char *witness_drop_name(enum witness_drop drop);

#endif
