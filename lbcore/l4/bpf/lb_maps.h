/*
 * lb_maps.h - the memory shared by the scheduler program (lb.bpf.c) and lbd.
 *
 *   lb-binds     hash    struct lb_bind_key -> struct lb_bind: address, protocol and
 *                        port that are balanced, and the service behind them
 *   lb-services  array   struct lb_service, memory-mapped by lbd
 *   lb-counters  array   per CPU, LB_COUNTER_COUNT 64-bit counters
 *
 * A service holds two tables. lbd writes the one that is not in use and then stores its
 * number into `active`; the program reads `active` once per packet. The table holds
 * server slots: in turn order for roundrobin, a Maglev lookup table for source. An
 * empty table means that no server can be chosen.
 */
#ifndef TANDEM_LBCORE_LB_MAPS_H
#define TANDEM_LBCORE_LB_MAPS_H

#include <linux/types.h>

#define LB_BINDS_MAX 4096
#define LB_SERVICES_MAX 256
#define LB_TABLE_MAX 4093 /* a prime, as Maglev wants it */

struct lb_bind_key {
	__u8 family;   /* TD_AF_INET or TD_AF_INET6 */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__be16 port;
	__u8 address[16]; /* IPv4 in the first four, the rest zero */
};

enum lb_algorithm { LB_ROUNDROBIN, LB_SOURCE };

struct lb_bind {
	__u32 service;
	__u32 algorithm;
};

struct lb_table {
	__u32 len; /* 0: no server */
	__u16 slot[LB_TABLE_MAX];
};

struct lb_service {
	__u64 cursor; /* of roundrobin; counted up by the program */
	__u32 active; /* 0 or 1 */
	struct lb_table table[2];
};

enum lb_counter {
	LB_SCHEDULED,  /* a server was chosen */
	LB_NO_SERVER,  /* marked to be dropped: no server */
	LB_MIDSTREAM,  /* marked to be dropped: TCP without SYN and without an entry */
	LB_KNOWN,      /* a conntrack entry carries the packet already */
	LB_UNREADABLE, /* truncated or unparsable headers: left alone */
	LB_COUNTER_COUNT
};

/* The source hash, the same number in the kernel and in tests: a murmur3 body over the
 * address's four words, with a fixed seed because both nodes must agree. */
static inline __u32
lb_source_hash(const __u32 words[4])
{
	__u32 h = 0x7a6d0001U;

	for (int i = 0; i < 4; i++) {
		__u32 k = words[i] * 0xcc9e2d51U;

		k = k << 15 | k >> 17;
		h ^= k * 0x1b873593U;
		h = h << 13 | h >> 19;
		h = h * 5 + 0xe6546b64U;
	}
	h ^= 16;
	h ^= h >> 16;
	h *= 0x85ebca6bU;
	h ^= h >> 13;
	h *= 0xc2b2ae35U;
	return h ^ h >> 16;
}

#endif
