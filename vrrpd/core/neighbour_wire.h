/*
 * neighbour_wire.h - ARP packets and IPv6 neighbour discovery as Ethernet frames.
 *
 * Source   RFC 826, RFC 5227 (ARP probes); RFC 4861 sections 4.3, 4.4 (NS, NA), 7.1
 * (what a valid one is). Announcements: RFC 9568 with errata 7947, 7949. Errors
 * decoding: one value per check. Encoding cannot fail: addresses of the wrong family
 * are a caller's error (td_assert). Memory   frames are written into the caller's
 * buffer.
 */
#ifndef TANDEM_VRRPD_CORE_NEIGHBOUR_WIRE_H
#define TANDEM_VRRPD_CORE_NEIGHBOUR_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <tandem/addr.h>

#define NEIGHBOUR_FRAME_MAX 86 /* Ethernet, IPv6, NA with its option */
#define NEIGHBOUR_FRAME_MIN 60 /* ARP is padded to it */

/* "I am `addr`, with `mac`": gratuitous ARP request, or unsolicited NA with R and O
 * set. Returns the length. */
size_t neighbour_announce_encode(const struct td_addr *addr, const uint8_t mac[6],
    uint8_t frame[NEIGHBOUR_FRAME_MAX]);

/* "Who has `target`?" asked by `own` with `mac`; own->family 0: from 0.0.0.0 or ::. */
size_t neighbour_question_encode(const struct td_addr *target,
    const struct td_addr *own, const uint8_t mac[6],
    uint8_t frame[NEIGHBOUR_FRAME_MAX]);

/* "`addr` is at `mac`": an ARP packet's sender, or a neighbour advertisement's target.
 */
struct neighbour_answer {
	struct td_addr addr;
	uint8_t mac[6];
};

enum neighbour_drop {
	NEIGHBOUR_OK,
	NEIGHBOUR_DROP_TRUNCATED,
	NEIGHBOUR_DROP_OTHER,  /* not an ARP reply nor a neighbour advertisement */
	NEIGHBOUR_DROP_FORMAT, /* ARP for other hardware or protocol */
	NEIGHBOUR_DROP_HOPS,   /* hop limit is not 255: it came through a router */
	NEIGHBOUR_DROP_CHECKSUM,
	NEIGHBOUR_DROP_OPTION /* an option of length zero */
};

/* An NA without a target link-layer address option (answering a unicast question) is
 * taken with the frame's source MAC. */
enum neighbour_drop neighbour_answer_decode(
    const uint8_t *frame, size_t len, struct neighbour_answer *ret_answer);

#endif
