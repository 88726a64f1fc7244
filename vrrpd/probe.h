/*
 * probe.h - asking the segment of one member: is anybody there, and who has this
 * address?
 *
 * Source   ARP requests (RFC 826; RFC 5227 probes with sender 0.0.0.0 when the member
 * has no own address) and neighbour solicitations (RFC 4861), sent with the parent's
 * own MAC, so that the fence of a Backup lets them pass. Answers are read by a packet
 *          socket on the parent: the virtual MAC device cannot swallow them.
 * Use      1. the peer says it does not hear us: probe_neighbours tells whether the
 * segment hears us at all.
 *          2. all paths to the peer are silent: probe_address for one virtual address
 * per member; an answer means that somebody serves it: veto. Time     asked at once and
 * again after 1/3 and 2/3 of the time given. Memory   one probe runs at a time and
 * member; a new one ends the old without a callback. Errors   negative errno. Unusable
 * answers are dropped. Rights   CAP_NET_RAW, and CAP_NET_ADMIN for the neighbour table.
 */
#ifndef TANDEM_VRRPD_PROBE_H
#define TANDEM_VRRPD_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/addr.h>
#include <tandem/config.h>
#include <tandem/instant.h>

struct loop;
struct probe;

#define PROBE_TARGETS_MAX 16

struct probe_result {
	unsigned asked;       /* targets */
	unsigned answered;    /* of them; probe_neighbours ends with the first */
	struct td_addr first; /* who answered first; family 0 = nobody */
	uint8_t mac[6];       /* with which MAC */
	bool virtual_mac;     /* it is the member's virtual MAC */
	int64_t delay_ns;     /* of that answer */
};

/* Called once per probe from the loop: at the first answer or at the deadline. */
typedef void probe_done(void *context, const struct probe_result *result);

struct probe_member {
	uint32_t parent_ifindex;
	uint8_t own_mac[6];
	uint8_t virtual_mac[6];      /* to recognise it */
	struct td_addr own_address4; /* family 0 = none */
	struct td_addr own_address6; /* link-local; family 0 = none: solicit from :: */
};

int probe_new(
    struct loop *loop, probe_done *done, void *context, struct probe **ret_probe);
void probe_free(struct probe *probe); /* NULL is fine */
/* Opens the sockets; again when the parent changed. */
int probe_bind(struct probe *probe, const struct probe_member *member);

/* What the two routers answer for. It is nobody else: when the peer is dead it is
 * silent, and proves nothing. */
struct probe_pair {
	struct td_addr peer[TD_FAMILIES];  /* its own ones; family 0 = unknown */
	const struct td_prefix *addresses; /* the virtual ones, borrowed for the call */
	unsigned address_count;
};

/* Known neighbours from the kernel's table of the parent, most recently confirmed
 * first, after `extra` (gateways); at most PROBE_TARGETS_MAX together. Of the table
 * those are left out that have an address of the pair, or its MAC. -ENOENT: there is
 * nobody to ask; no callback then. */
int probe_neighbours(struct probe *probe, const struct td_addr *extra,
    unsigned extra_count, const struct probe_pair *pair, struct td_instant now,
    struct td_instant deadline);
/* Who answers for this address? */
int probe_address(struct probe *probe, const struct td_addr *addr,
    struct td_instant now, struct td_instant deadline);
void probe_cancel(struct probe *probe);
bool probe_is_running(const struct probe *probe);

#endif
