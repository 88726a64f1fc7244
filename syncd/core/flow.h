/*
 * flow.h - one conntrack entry, as both nodes of a pair speak of it.
 *
 * Source   ctnetlink attributes (nf_conntrack_netlink.c); which field needs which
 *          attribute is said beside it.
 * Shapes   Everything is host order, except addresses: network order, IPv4 in the first
 *          four bytes and the rest zero. Zero a whole struct before filling it: keys
 * are compared and hashed as memory. Memory   plain values, no pointers. The size is
 * part of the promise to hold a flow in 160 bytes (docs/protocol.md), so it is asserted
 * here. Errors   none.
 */
#ifndef TANDEM_SYNCD_FLOW_H
#define TANDEM_SYNCD_FLOW_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <tandem/addr.h>

#define FLOW_TEXT_MAX 288 /* any flow_format result */

/* IP protocol numbers that have fields of their own; others travel as tuples without.
 */
#define FLOW_ICMP 1
#define FLOW_TCP 6
#define FLOW_UDP 17
#define FLOW_ICMPV6 58

/*
 * ICMP and ICMPv6 keep their three fields in the ports:
 *   src_port = id, dst_port = type << 8 | code
 * in each direction as the kernel gives it (the reply tuple holds the reply's type).
 * Protocols without ports leave both zero.
 */
struct flow_tuple {
	uint8_t src[16], dst[16];
	uint16_t src_port, dst_port;
};

/* What identifies a flow on both nodes. The kernel's own id differs per node. */
struct flow_key {
	struct flow_tuple orig;
	uint16_t zone;
	uint8_t family;   /* TD_AF_INET or TD_AF_INET6 */
	uint8_t protocol; /* IP protocol number */
};

struct flow_seqadj { /* CTA_SEQ_ADJ_ORIG, CTA_SEQ_ADJ_REPLY */
	uint32_t correction_pos;
	int32_t offset_before, offset_after;
};

enum flow_direction { FLOW_ORIG, FLOW_REPLY };

/*
 * Kernel events are partial: a bit says that the fields were in the message. What an
 * event does not carry keeps its value when it is merged (flow_merge). The key and the
 * reply tuple are always there, except in a deletion, which may lack the reply tuple.
 */
#define FLOW_HAS_STATUS 0x01U
#define FLOW_HAS_TIMEOUT 0x02U
#define FLOW_HAS_MARK 0x04U
#define FLOW_HAS_TCP 0x08U /* CTA_PROTOINFO_TCP: state, flags, window scale */
#define FLOW_HAS_SEQADJ 0x10U
#define FLOW_HAS_HELPER 0x20U
#define FLOW_HAS_ALL 0x3fU

/* The bits of CTA_STATUS that mean the same on both nodes: the rest is masked off. */
#define FLOW_STATUS_EXPECTED 0x0001U
#define FLOW_STATUS_SEEN_REPLY 0x0002U
#define FLOW_STATUS_ASSURED 0x0004U
#define FLOW_STATUS_SRC_NAT 0x0010U
#define FLOW_STATUS_DST_NAT 0x0020U
#define FLOW_STATUS_SEQ_ADJUST 0x0040U
#define FLOW_STATUS_FIXED_TIMEOUT 0x0400U
#define FLOW_STATUS_HELPER 0x2000U
#define FLOW_STATUS_MASK 0x2477U

#define FLOW_TCP_ESTABLISHED 3 /* the kernel's TCP_CONNTRACK_ESTABLISHED */
#define FLOW_WSCALE_MAX 14

/*
 * Helpers by number, the same on both nodes: the kernel's names are strings of which
 * only these exist. FLOW_HELPER_OTHER is seen and counted but cannot be put back.
 */
enum flow_helper {
	FLOW_HELPER_NONE,
	FLOW_HELPER_FTP,
	FLOW_HELPER_TFTP,
	FLOW_HELPER_SIP,
	FLOW_HELPER_H323_Q931,
	FLOW_HELPER_H323_RAS,
	FLOW_HELPER_IRC,
	FLOW_HELPER_PPTP,
	FLOW_HELPER_AMANDA,
	FLOW_HELPER_NETBIOS_NS,
	FLOW_HELPER_SNMP,
	FLOW_HELPER_SANE,
	FLOW_HELPER_OTHER,
	FLOW_HELPER_COUNT
};

struct flow_record {
	struct flow_key key;
	struct flow_tuple reply; /* as the kernel has it, after NAT */
	uint32_t mark;           /* CTA_MARK, all 32 bits */
	uint32_t timeout_s;      /* CTA_TIMEOUT: remaining when the message was made */
	struct flow_seqadj seqadj[2]; /* by enum flow_direction */
	uint16_t status;              /* FLOW_STATUS_* */
	uint8_t present;              /* FLOW_HAS_* */
	uint8_t tcp_state;            /* enum tcp_conntrack of the kernel */
	uint8_t tcp_flags[2];         /* IP_CT_TCP_FLAG_*, by direction */
	uint8_t tcp_wscale[2];        /* 0..14, by direction */
	uint8_t helper;               /* enum flow_helper */
	uint8_t reserved[3]; /* zero: an index of labels, masters and expectations */
};
static_assert(sizeof(struct flow_tuple) == 36, "tuple");
static_assert(sizeof(struct flow_key) == 40, "key");
static_assert(sizeof(struct flow_record) == 120, "record: part of the memory promise");

bool flow_key_equal(const struct flow_key *a, const struct flow_key *b);

/* The tuple a packet of the other direction would have if there were no NAT. For ICMP
 * the type becomes that of the answer (echo request <-> reply, and so on). */
struct flow_tuple flow_tuple_invert(const struct flow_key *key);

/* NAT is what makes the reply tuple differ from the inverted original. */
bool flow_has_src_nat(const struct flow_record *record); /* reply.dst is not orig.src */
bool flow_has_dst_nat(const struct flow_record *record); /* reply.src is not orig.dst */

/* Puts what `update` carries into `record`; both have the same key. Returns true if
 * anything but the timeout changed. */
bool flow_merge(struct flow_record *record, const struct flow_record *update);

/* Flows of which the kernel says nothing between the first packets and DESTROY, however
 * long they live: all but established TCP. Their replicas need refreshing. */
bool flow_is_silent(const struct flow_record *record);

/* "ftp"; empty for none and other. By name: OTHER if unknown. */
const char *flow_helper_name(enum flow_helper helper);
enum flow_helper flow_helper_by_name(const char *name);

/* "tcp 10.0.0.1:1234>192.0.2.1:80 reply 192.0.2.1:80>203.0.113.1:1234 zone=0",
 * into buf (FLOW_TEXT_MAX), for lists and for failing tests. Returns buf. */
const char *flow_format(const struct flow_record *record, char *buf);

#endif
