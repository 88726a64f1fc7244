/*
 * announce.h - gratuitous ARP and unsolicited neighbour advertisements of one member.
 *
 * Source   RFC 9568 sections 6.4.1, 6.4.2 with errata 7947 and 7949: ARP request,
 * sender IP = target IP, both hardware addresses = virtual MAC; NA to ff02::1 with R=1
 * S=0 O=1. Pace     core/announce_plan.h: the first of every address at once, repeats
 * and refreshes spread out. Frames leave through the fence: with the lease closed
 * nothing goes. Memory   the caller gives addresses to announce_set; they are copied.
 * Errors   negative errno; a frame that could not be sent is counted, never retried:
 * the next round comes anyway. Rights   CAP_NET_RAW.
 */
#ifndef TANDEM_VRRPD_ANNOUNCE_H
#define TANDEM_VRRPD_ANNOUNCE_H

#include <stdint.h>
#include <tandem/addr.h>
#include <tandem/instant.h>

struct loop;
struct announce;

struct announce_counters {
	uint64_t sent; /* frames */
	uint64_t
	    failed; /* refused by the kernel; ENOBUFS is also what the fence answers */
	uint64_t rounds; /* first rounds and bursts */
};

/* `repeat`: rounds after the first; `refresh_ns`: 0 = never. */
int announce_new(struct loop *loop, uint32_t repeat, int64_t refresh_ns,
    struct announce **ret_announce);
void announce_free(struct announce *announce); /* NULL is fine */

/* Where and as whom: the device that owns the addresses (link_facts.device_ifindex) and
 * its MAC. Again after link_callbacks.back. */
int announce_bind(struct announce *announce, uint32_t ifindex, const uint8_t mac[6]);
/* The addresses; while running, new ones are announced at once. */
int announce_set(
    struct announce *announce, const struct td_prefix *addresses, unsigned count);

/* Became Active: first round now, inside this call. */
void announce_start(struct announce *announce, struct td_instant now);
/* After a heal, or when another Active was heard: as after announce_start, but not more
 * often than every 20 ms. No effect unless running. */
void announce_burst(struct announce *announce, struct td_instant now);
/* One address was put back. */
void announce_one(struct announce *announce, const struct td_addr *addr);
void announce_stop(struct announce *announce);

const struct announce_counters *announce_counters(const struct announce *announce);

#endif
