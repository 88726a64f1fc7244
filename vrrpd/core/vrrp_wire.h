/*
 * vrrp_wire.h - VRRP advertisements as bytes: version 3, and version 2 over IPv4.
 *
 * Source   RFC 9568 sections 5.2 and 7.1 with errata 8299, 8300 and 8301; version 2:
 *          RFC 3768 sections 5.3 and 7.1, authentication type 0; Ethernet, IPv4 and
 *          IPv6 headers as RFC 894, RFC 791 and RFC 8200.
 * Units    nanoseconds; the wire has centiseconds, in version 2 whole seconds.
 * Memory   no pointer is kept; a decoded advertisement borrows its address list from
 *          the bytes it was read from.
 * Errors   enum vrrp_drop, one value per check, in the order of the checks.
 *
 *   0       1       2       3
 *   +-------+-------+-------+-------+
 *   |ver|typ| vrid  |  prio | count |
 *   +-------+-------+-------+-------+
 *   |rsv|interval cs|   checksum    |
 *   +-------+-------+-------+-------+
 *   | count addresses of 4 or 16    |
 *
 * Version 2 has the authentication type and the interval in one byte each instead of
 * the 16 bits of interval, and eight more bytes, zero, after the addresses.
 *
 * The checksum over IPv4 has two forms in the field: the letter of the RFC sums the
 * message alone, most implementations sum the pseudo-header too. We send the latter
 * unless told otherwise and accept both.
 */
#ifndef TANDEM_VRRP_WIRE_H
#define TANDEM_VRRP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/addr.h>

#define VRRP_PROTOCOL 112
#define VRRP_VERSION 3
#define VRRP_VERSION_2 2
#define VRRP_TYPE_ADVERTISEMENT 1
#define VRRP_TTL 255
#define VRRP_PRIORITY_OWNER 255
#define VRRP_PRIORITY_RESIGN 0
#define VRRP_ADDRESSES_MAX 255
/* What fits into 1500 bytes: an advertisement is never fragmented. */
#define VRRP_ADDRESSES6_MAX 90
#define VRRP_ADDRESS_BYTES_MAX (VRRP_ADDRESSES6_MAX * 16)

#define ETHER_HEADER_BYTES 14
#define IPV4_HEADER_BYTES 20
#define IPV6_HEADER_BYTES 40
#define VRRP_HEADER_BYTES 8
#define VRRP_AUTH_BYTES 8 /* version 2, after the addresses */
#define VRRP_MESSAGE_BYTES_MAX (VRRP_HEADER_BYTES + VRRP_ADDRESS_BYTES_MAX)
#define VRRP_FRAME_BYTES_MAX                                                           \
	(ETHER_HEADER_BYTES + IPV6_HEADER_BYTES + VRRP_MESSAGE_BYTES_MAX)

enum vrrp_drop {
	VRRP_OK,
	VRRP_DROP_IP_HEADER, /* not a whole, sound IP packet of protocol 112 */
	VRRP_DROP_FRAGMENT,  /* an advertisement is never fragmented */
	VRRP_DROP_TTL,       /* not 255: it crossed a router */
	VRRP_DROP_TRUNCATED, /* shorter than the fixed header */
	VRRP_DROP_VERSION,
	VRRP_DROP_TYPE,
	VRRP_DROP_AUTH,        /* version 2: a type other than 0, or CARP */
	VRRP_DROP_COUNT,       /* address count 0 */
	VRRP_DROP_LENGTH,      /* shorter than its address count claims */
	VRRP_DROP_CHECKSUM,    /* neither form is right */
	VRRP_DROP_INTERVAL,    /* interval 0 */
	VRRP_DROP_LINK_LOCAL,  /* IPv6: the first address is not link-local */
	VRRP_DROP_VRID,        /* not the virtual router of this interface */
	VRRP_DROP_OWN,         /* our own frame, looped back */
	VRRP_DROP_DESTINATION, /* multicast in unicast mode or the reverse */
	VRRP_DROP_SOURCE, /* unicast: not from the peer; multicast: from a stranger */
	VRRP_DROP_INTERVAL_MISMATCH, /* version 2: not ours, and never learned */
	VRRP_DROP_COUNT_OF_REASONS
};

enum vrrp_checksum {
	VRRP_CHECKSUM_PSEUDO_HEADER,
	VRRP_CHECKSUM_MESSAGE_ONLY, /* IPv4 only; all of version 2 */
};

struct vrrp_advert {
	uint8_t version; /* VRRP_VERSION, or VRRP_VERSION_2 for IPv4 */
	uint8_t family;  /* TD_AF_INET or TD_AF_INET6 */
	uint8_t vrid;
	uint8_t priority;
	int64_t max_adver_interval_ns;
	enum vrrp_checksum checksum; /* to be sent, or found to be right */
	uint8_t address_count;
	const uint8_t *addresses; /* borrowed: count times 4 or 16 bytes */
};

/* An IP packet that carries protocol 112. */
struct vrrp_packet {
	struct td_addr source, destination;
	uint8_t ttl;            /* or hop limit */
	const uint8_t *payload; /* borrowed */
	size_t payload_len;     /* from the IP header: padding is not ours */
};

/* What an interface accepts; everything else is dropped by reason. */
struct vrrp_accept {
	uint8_t version, family;
	uint8_t vrid;
	bool unicast;
	struct td_addr own;  /* our source address there; family 0 = unknown */
	struct td_addr peer; /* the only source obeyed; family 0 = any */
	int64_t interval_ns; /* version 2: the only one obeyed */
};

/* `packet` starts at the IP header. */
enum vrrp_drop vrrp_ipv4_decode(
    const uint8_t *packet, size_t len, struct vrrp_packet *ret_packet);
enum vrrp_drop vrrp_ipv6_decode(
    const uint8_t *packet, size_t len, struct vrrp_packet *ret_packet);

/* `version` is the one that is spoken here; the other one is refused as such. */
enum vrrp_drop vrrp_advert_decode(uint8_t version, const uint8_t *message, size_t len,
    const struct td_addr *source, const struct td_addr *destination,
    struct vrrp_advert *ret_advert);

/* The whole ladder for one received packet of accept->family. *ret_source is written as
 * soon as it is known, also for a dropped packet, so that the log can name the sender.
 */
enum vrrp_drop vrrp_receive(const uint8_t *packet, size_t len,
    const struct vrrp_accept *accept, struct vrrp_advert *ret_advert,
    struct td_addr *ret_source);

/* Returns the length of the message, or 0 when it does not fit or the interval is out
 * of range: 1..4095 centiseconds, in version 2 whole seconds up to 255. */
size_t vrrp_advert_encode(const struct vrrp_advert *advert,
    const struct td_addr *source, const struct td_addr *destination, uint8_t *buf,
    size_t size);

/* A whole Ethernet frame to the group of the advertisement's family; the length or 0.
 */
size_t vrrp_frame_encode(const struct vrrp_advert *advert, const uint8_t source_mac[6],
    const struct td_addr *source, uint8_t *buf, size_t size);

/* 00-00-5E-00-01-vrid, or -02- for IPv6. */
void vrrp_virtual_mac(uint8_t family, uint8_t vrid, uint8_t ret_mac[6]);
struct td_addr vrrp_group(uint8_t family); /* 224.0.0.18, ff02::12 */
/* 01-00-5E-00-00-12, 33-33-00-00-00-12: six bytes. */
const uint8_t *vrrp_group_mac(uint8_t family);

const char *vrrp_drop_name(enum vrrp_drop drop);

#endif
