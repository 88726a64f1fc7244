/*
 * ct_wire.h - ctnetlink messages to flow records and back.
 *
 * Source   linux/netfilter/nfnetlink_conntrack.h; behaviour in docs/conntrack.md.
 * Units    the kernel counts timeouts in seconds; ports and numbers in flow records are
 * in host order. Memory   the caller owns everything; nothing is allocated, no pointer
 * is kept. Errors   enum ct_drop when decoding. Encoders return the message's length; a
 * buffer of CT_MESSAGE_MAX bytes is always enough.
 */
#ifndef TANDEM_SYNCD_CT_WIRE_H
#define TANDEM_SYNCD_CT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_key;
struct flow_record;
struct nlmsghdr;

#define CT_MESSAGE_MAX 640

/* Why a message from the kernel gave no flow. */
enum ct_drop {
	CT_OK,
	CT_DROP_TRUNCATED, /* an attribute reaches past the message, or is too short */
	CT_DROP_FAMILY,    /* neither IPv4 nor IPv6 */
	CT_DROP_NO_TUPLE,  /* without original tuple, or one without addresses */
	CT_DROP_PROTOCOL,  /* a protocol that is not replicated */
	CT_DROP_ZONE,      /* in a zone per direction */
	CT_DROP_COUNT
};

/* What the kernel says about a flow beside the record itself. */
struct ct_facts {
	uint32_t id;      /* CTA_ID, 0 if absent: local to this kernel; two entries that
			     had one tuple after one another differ in it */
	bool tcp_liberal; /* the window is not judged in one of the directions */
	bool counted; /* packets[] told: dumps and DESTROY with nf_conntrack_acct=1 */
	uint64_t packets[2]; /* by enum flow_direction, since insertion here */
};

/* Decodes the CT_NEW or CT_DELETE message at nlh (its nlmsg_len already checked to lie
 * inside the buffer). Fields that the message does not tell are zero in the record. */
enum ct_drop ct_decode(const struct nlmsghdr *nlh, struct flow_record *ret_flow,
    struct ct_facts *ret_facts);

const char *ct_drop_name(enum ct_drop drop);

/* Create form: original tuple, its inverse as the reply, both NAT manips pinned,
 * protocol state. Fails with EEXIST rather than choosing another port. */
size_t ct_encode_create(
    void *buf, uint32_t seq, const struct flow_record *flow, uint32_t timeout_s);
/* Update form: everything that may change, no NAT. Fails with ENOENT if absent. */
size_t ct_encode_update(
    void *buf, uint32_t seq, const struct flow_record *flow, uint32_t timeout_s);
/* TCP with the window scales of both sides: its handshake was seen, so its window can
 * be judged. One that was picked up midstream, or never scaled, stays liberal. */
bool ct_knows_scales(const struct flow_record *flow);
/* Takes BE_LIBERAL away, if the scales are known (see ct_inject_strict). */
size_t ct_encode_strict(void *buf, uint32_t seq, const struct flow_record *flow);
/* By tuple of either direction; id 0 = whatever has that tuple. */
size_t ct_encode_delete(
    void *buf, uint32_t seq, const struct flow_key *key, uint32_t id);
size_t ct_encode_get(void *buf, uint32_t seq, const struct flow_key *key);
size_t ct_encode_dump(void *buf, uint32_t seq, uint8_t family);

#endif
