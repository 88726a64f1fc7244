/*
 * fence.h - the memory shared between vrrpd, tandemd and the fence program in the
 * kernel.
 *
 * The fence is a tc program on ingress and egress of each member's parent device. It
 * compares bpf_ktime_get_boot_ns() with deadlines in one element of a memory-mapped
 * array (BPF_F_MMAPABLE): nothing has to run for it to close. Facts:
 * docs/architecture.md.
 *
 * answer   until then this node may use the virtual addresses and the virtual MAC: ARP
 * and ND, local IP, source MAC. Exclusive: at most one node of a pair. forward  until
 * then transit frames sent to the virtual MAC are still forwarded; outlives `answer`
 * only in a planned hand-over.
 *
 * Both are CLOCK_BOOTTIME nanoseconds, 0 = closed. A renewal stores time of evidence
 * plus lease, never now plus lease: a process woken late then writes a date in the
 * past. Written with one 64-bit store, by vrrpd; by tandemd only 0, when vrrpd is gone
 * (fence_revoke).
 *
 * In node mode all members share lease 0; in independent mode each virtual router has
 * its own, so that a parent with routers of both families has two. The other maps are hashes and arrays that only vrrpd writes, through
 * vrrpd/fence.h.
 */
#ifndef TANDEM_FENCE_H
#define TANDEM_FENCE_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u64 td_fence_u64;
typedef __u32 td_fence_u32;
typedef __u16 td_fence_u16;
typedef __u8 td_fence_u8;
#else
#include <stdint.h>
typedef uint64_t td_fence_u64;
typedef uint32_t td_fence_u32;
typedef uint16_t td_fence_u16;
typedef uint8_t td_fence_u8;
#endif

#define TD_FENCE_LEASES 32      /* elements of "fence-lease" */
#define TD_FENCE_MEMBERS 32     /* of "fence-members" and "fence-rx" */
#define TD_FENCE_ADDRESSES 8192 /* of "fence-addresses" */

struct td_fence_lease {
	td_fence_u64 answer_deadline_ns;
	td_fence_u64 forward_deadline_ns;
};

/* "fence-members": ifindex of the parent device (u32) -> this. */
#define TD_FENCE_MAC4 1U /* virtual_mac4 is set */
#define TD_FENCE_MAC6 2U
struct td_fence_member {
	td_fence_u8 virtual_mac4[6];
	td_fence_u8 virtual_mac6[6];
	td_fence_u8 own_mac[6]; /* source of transit frames that drain on `forward` */
	td_fence_u8 lease4;     /* which element of "fence-lease": of virtual_mac4 */
	td_fence_u8 lease6;     /* of virtual_mac6; equal where there is one lease */
	td_fence_u8 slot;       /* which element of "fence-rx" */
	td_fence_u8 zero[3];
	td_fence_u32 flags;
};

/* "fence-addresses": this -> u32: which lease, and above TD_FENCE_LEASE_MASK which life of
 * vrrpd wrote it. Link-local addresses carry the ifindex of their parent, all others 0: they
 * are the node's on whatever member they are asked for. */
#define TD_FENCE_LEASE_MASK 0xffU
struct td_fence_address {
	td_fence_u32 ifindex;
	td_fence_u8 family;
	td_fence_u8 zero[3];
	td_fence_u8 bytes[16];
};

/* "fence-counters": per-CPU array of u64, frames dropped, by what they carried. */
enum td_fence_drop {
	TD_FENCE_IN_ARP,  /* ARP question for a virtual address */
	TD_FENCE_IN_ND,   /* neighbour solicitation for one */
	TD_FENCE_IN_IP,   /* packet to one */
	TD_FENCE_IN_MAC,  /* any other frame to the virtual MAC */
	TD_FENCE_OUT_ARP, /* ARP with a virtual address as sender */
	TD_FENCE_OUT_ND,  /* neighbour advertisement for one */
	TD_FENCE_OUT_IP,  /* packet from one */
	TD_FENCE_OUT_MAC, /* any other frame from the virtual MAC */
	TD_FENCE_DRAINED, /* not dropped: transit passed on the `forward` right alone */
	TD_FENCE_COUNTERS
};

#endif
