/*
 * fence.h - the self-fencing lease: silence of a node that does not renew it.
 *
 * Two tc programs (bpf/fence.bpf.c) stand on ingress and egress of each member's parent
 * device and ask, packet by packet, whether the lease is still good: nothing has to run
 * for the fence to close. What they match: docs/fence.md.
 *
 * Order    at start: fence_member_set and fence_address_add for everything, then
 *          fence_attach (a program without its maps filled fences nothing),
 * link_reconcile, fence_prune, and only then may the virtual MAC device come up.
 *          takeover: fence_renew, then addresses. Yielding: fence_close (or fence_drain
 * in a planned hand-over), then the rest; in a drain the addresses and routes stay
 * until the forward deadline has passed, or there is nothing to drain with. Restart
 * fence_attach puts the new program in the place of one left by an earlier life in a
 * single step, so the fence is never open in between. fence_free leaves the programs
 * attached: only fence_detach opens. Clock    CLOCK_BOOTTIME. fence_new refuses a time
 * namespace whose offset is not zero. Rights   CAP_NET_ADMIN for attach, detach, check;
 * nothing for the rest. Errors   negative errno.
 */
#ifndef TANDEM_VRRPD_FENCE_H
#define TANDEM_VRRPD_FENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/addr.h>
#include <tandem/fence.h>
#include <tandem/instant.h>
#include "vrrpd/fence_load.h"

struct fence;

/* One virtual router on a parent device; one per family may share it, each with its own
 * lease. */
struct fence_member {
	uint32_t ifindex;     /* of the parent device */
	uint8_t family;       /* 0: the only one there */
	unsigned lease;       /* 0 in node mode; < TD_FENCE_LEASES */
	bool has_virtual_mac; /* else only addresses are matched */
	uint8_t virtual_mac[6];
	uint8_t own_mac[6]; /* the parent's */
};

struct fence_counters {
	uint64_t count[TD_FENCE_COUNTERS];
};

/* Takes the descriptors over, on success only. `instance` names the attachment (two
 * instances on one device do not replace each other). All leases are left as they are.
 */
int fence_new(
    const struct fence_fds *fds, const char *instance, struct fence **ret_fence);
void fence_free(struct fence *fence); /* leases are closed first; NULL is fine */

/* Adds or changes. -ENOSPC beyond TD_FENCE_MEMBERS parents. */
int fence_member_set(struct fence *fence, const struct fence_member *member);
int fence_member_remove(struct fence *fence, uint32_t ifindex);

/* `ifindex` (the parent) matters for link-local addresses only. Adding again is fine;
 * removing what is absent too. */
int fence_address_add(
    struct fence *fence, const struct td_addr *addr, uint32_t ifindex, unsigned lease);
int fence_address_remove(
    struct fence *fence, const struct td_addr *addr, uint32_t ifindex);

/* Removes the members and addresses of an earlier life that this one did not set again,
 * and detaches from those members. What vrrpd left when it was killed stays fenced
 * until then. */
int fence_prune(struct fence *fence);

/* clsact is created where missing and never deleted: others hang their programs there.
 */
int fence_attach(struct fence *fence, uint32_t ifindex);
int fence_detach(struct fence *fence, uint32_t ifindex);
/* 0: both of ours are in place. -ENOENT: one is missing; -ESTALE: it is another
 * program. Either way: alarm, and fence_attach. About 0.1 ms; call it every second and
 * when link_callbacks.tc_changed says so. */
int fence_check(const struct fence *fence, uint32_t ifindex);

/* One 64-bit store: answering is right until `deadline` = time of evidence + lease. */
void fence_renew(struct fence *fence, unsigned lease, struct td_instant deadline);
/* Answer closed, transit allowed until `forward_deadline`. */
void fence_drain(
    struct fence *fence, unsigned lease, struct td_instant forward_deadline);
/* Both closed. */
void fence_close(struct fence *fence, unsigned lease);

struct td_instant fence_answer_deadline(const struct fence *fence, unsigned lease);
struct td_instant fence_forward_deadline(const struct fence *fence, unsigned lease);
bool fence_is_open(const struct fence *fence, unsigned lease, struct td_instant now);

/* When the last frame of any kind came in on a member; ns 0 = none since fence_load. */
struct td_instant fence_last_frame(const struct fence *fence, uint32_t ifindex);

int fence_counters_read(const struct fence *fence, struct fence_counters *ret_counters);
/* "in_arp", "in_nd", ... : label values for metrics. */
const char *fence_counter_name(enum td_fence_drop which);

#endif
