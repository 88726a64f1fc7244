/*
 * fence.h - the memory shared between vrrpd, tandemd and the fence program in the kernel.
 *
 * The fence is a tc program on ingress and egress of each member's parent device. It
 * compares bpf_ktime_get_boot_ns() with deadlines in one element of a memory-mapped array
 * (BPF_F_MMAPABLE): nothing has to run for it to close. Facts: docs/architecture.md.
 *
 * answer   until then this node may use the virtual addresses and the virtual MAC: ARP and
 *          ND, local IP, source MAC. Exclusive: at most one node of a pair.
 * forward  until then transit frames sent to the virtual MAC are still forwarded; outlives
 *          `answer` only in a planned hand-over.
 *
 * Both are CLOCK_BOOTTIME nanoseconds, 0 = closed. A renewal stores time of evidence plus
 * lease, never now plus lease: a process woken late then writes a date in the past. Written
 * with one 64-bit store, by vrrpd; by tandemd only 0, when vrrpd is gone.
 */
#ifndef TANDEM_FENCE_H
#define TANDEM_FENCE_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u64 td_fence_u64;
#else
#include <stdint.h>
typedef uint64_t td_fence_u64;
#endif

struct td_fence_lease {
	td_fence_u64 answer_deadline_ns;
	td_fence_u64 forward_deadline_ns;
};

#endif
