#include "syncd/ct_filter.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>
#include <tandem/assert.h>
#include "syncd/core/flow.h"

/* Addresses of which no flow is worth a failover. */
static const struct {
	uint8_t family;
	uint8_t first[16]; /* network order */
	uint8_t prefix_len;
} never[] = {
	{ TD_AF_INET, { 127 }, 8 },
	{ TD_AF_INET, { 169, 254 }, 16 },
	{ TD_AF_INET, { 224 }, 3 }, /* multicast, reserved, broadcast */
	{ TD_AF_INET6, { [15] = 1 }, 128 },
	{ TD_AF_INET6, { 0xfe, 0x80 }, 10 },
	{ TD_AF_INET6, { 0xff }, 8 },
};
#define NEVER_COUNT (sizeof(never) / sizeof(never[0]))

static size_t
family_bytes(uint8_t family)
{
	return family == TD_AF_INET6 ? 16 : 4;
}

bool
ct_filter_add_local(struct ct_filter *filter, const struct td_addr *addr)
{
	if (addr->family != TD_AF_INET && addr->family != TD_AF_INET6)
		return false;
	for (uint32_t i = 0; i < filter->local_count; i++) {
		if (memcmp(&filter->local[i], addr, sizeof(*addr)) == 0)
			return true;
	}
	if (filter->local_count == CT_FILTER_ADDRESSES_MAX)
		return false;
	filter->local[filter->local_count++] = *addr;
	return true;
}

bool
ct_filter_add_own_portid(struct ct_filter *filter, uint32_t portid)
{
	if (portid == 0)
		return false;
	if (ct_filter_is_own(filter, portid))
		return true;
	if (filter->own_portid_count == CT_FILTER_PORTIDS_MAX)
		return false;
	filter->own_portid[filter->own_portid_count++] = portid;
	return true;
}

bool
ct_filter_is_own(const struct ct_filter *filter, uint32_t portid)
{
	for (uint32_t i = 0; i < filter->own_portid_count; i++) {
		if (filter->own_portid[i] == portid)
			return true;
	}
	return false;
}

static bool
prefix_has(const uint8_t *first, uint8_t prefix_len, const uint8_t *addr)
{
	uint8_t bytes = prefix_len / 8, bits = prefix_len % 8;

	if (memcmp(first, addr, bytes) != 0)
		return false;
	return bits == 0 || ((first[bytes] ^ addr[bytes]) >> (8 - bits)) == 0;
}

static bool
skips_address(const struct ct_filter *filter, uint8_t family, const uint8_t *addr)
{
	size_t len = family_bytes(family);

	for (size_t i = 0; i < NEVER_COUNT; i++) {
		if (never[i].family == family &&
		    prefix_has(never[i].first, never[i].prefix_len, addr))
			return true;
	}
	for (uint32_t i = 0; i < filter->local_count; i++) {
		if (filter->local[i].family == family &&
		    memcmp(filter->local[i].bytes, addr, len) == 0)
			return true;
	}
	return false;
}

bool
ct_filter_skips(const struct ct_filter *filter, const struct flow_key *key)
{
	return skips_address(filter, key->family, key->orig.src) ||
	       skips_address(filter, key->family, key->orig.dst);
}

/*
 * The kernel builds every event the same way, so that the original tuple's addresses
 * stand at fixed offsets behind headers that are checked before they are trusted:
 *
 *    0 nlmsghdr   12 port id of the originator (host order)
 *   16 nfgenmsg   16 family
 *   20 CTA_TUPLE_ORIG, nested
 *   24   CTA_TUPLE_IP, nested
 *   28     CTA_IP_V4_SRC  32 address     CTA_IP_V6_SRC  32 address
 *   36     CTA_IP_V4_DST  40 address     48 CTA_IP_V6_DST  52 address
 */
enum layout {
	AT_PORTID = offsetof(struct nlmsghdr, nlmsg_pid),
	AT_FAMILY = 16,
	AT_ORIG_TYPE = 22,
	AT_IP_TYPE = 26,
	AT_SRC_TYPE = 30,
	AT_SRC = 32,
	AT_V4_DST_TYPE = 38,
	AT_V4_DST = 40,
	AT_V6_DST_TYPE = 50,
	AT_V6_DST = 52,
};

struct assembler {
	struct sock_filter *program;
	uint16_t count;
};

static void
emit(struct assembler *a, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	td_assert(a->count < CT_FILTER_PROGRAM_MAX);
	a->program[a->count++] = (struct sock_filter){ code, jt, jf, k };
}

static void
emit_accept(struct assembler *a)
{
	emit(a, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
}

static void
emit_drop(struct assembler *a)
{
	emit(a, BPF_RET | BPF_K, 0, 0, 0);
}

/* BPF loads are big-endian; the header fields are in host order. */
static void
emit_accept_unless_type(struct assembler *a, uint32_t at, uint16_t type)
{
	emit(a, BPF_LD | BPF_H | BPF_ABS, 0, 0, at);
	emit(a, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, htons(type));
	emit_accept(a);
}

/* Compares the leading `prefix_len` bits of the address at `at`; equal = drop. */
static void
emit_drop_if_prefix(
    struct assembler *a, uint32_t at, const uint8_t *first, uint8_t prefix_len)
{
	uint8_t words = (uint8_t)((prefix_len + 31) / 32);
	bool partial = prefix_len % 32 != 0;

	for (uint8_t i = 0; i < words; i++) {
		bool last = i + 1 == words;
		/* From here to behind the final drop, when a word differs. */
		uint8_t skip = (uint8_t)(2 * (words - i - 1) + 1);
		uint32_t word;

		memcpy(&word, first + 4 * i, sizeof(word));
		word = ntohl(word);
		emit(a, BPF_LD | BPF_W | BPF_ABS, 0, 0, at + 4U * i);
		if (partial && !last)
			skip++;
		if (partial && last) {
			uint32_t mask = UINT32_MAX << (32 - prefix_len % 32);

			emit(a, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
			word &= mask;
		}
		emit(a, BPF_JMP | BPF_JEQ | BPF_K, 0, skip, word);
	}
	emit_drop(a);
}

static void
emit_address(
    struct assembler *a, const struct ct_filter *filter, uint8_t family, uint32_t at)
{
	for (size_t i = 0; i < NEVER_COUNT; i++) {
		if (never[i].family == family)
			emit_drop_if_prefix(a, at, never[i].first, never[i].prefix_len);
	}
	for (uint32_t i = 0; i < filter->local_count; i++) {
		if (filter->local[i].family == family)
			emit_drop_if_prefix(a, at, filter->local[i].bytes,
			    (uint8_t)(8 * family_bytes(family)));
	}
}

static void
emit_family(struct assembler *a, const struct ct_filter *filter, uint8_t family)
{
	bool v6 = family == TD_AF_INET6;

	emit_accept_unless_type(a, AT_SRC_TYPE, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC);
	emit_accept_unless_type(a, v6 ? AT_V6_DST_TYPE : AT_V4_DST_TYPE,
	    v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST);
	emit_address(a, filter, family, AT_SRC);
	emit_address(a, filter, family, v6 ? AT_V6_DST : AT_V4_DST);
	emit_accept(a);
}

uint16_t
ct_filter_compile(const struct ct_filter *filter, struct sock_filter *program)
{
	struct assembler a = { program, 0 };
	uint16_t family_jump;

	for (uint32_t i = 0; i < filter->own_portid_count; i++) {
		emit(&a, BPF_LD | BPF_W | BPF_ABS, 0, 0, AT_PORTID);
		emit(&a, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, htonl(filter->own_portid[i]));
		emit_drop(&a);
	}
	emit_accept_unless_type(&a, AT_ORIG_TYPE, CTA_TUPLE_ORIG | NLA_F_NESTED);
	emit_accept_unless_type(&a, AT_IP_TYPE, CTA_TUPLE_IP | NLA_F_NESTED);
	/* IPv6 stands behind IPv4, farther than a conditional jump reaches. */
	emit(&a, BPF_LD | BPF_B | BPF_ABS, 0, 0, AT_FAMILY);
	emit(&a, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, TD_AF_INET);
	family_jump = a.count;
	emit(&a, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_family(&a, filter, TD_AF_INET);
	program[family_jump].k = (uint32_t)(a.count - family_jump - 1);
	emit(&a, BPF_LD | BPF_B | BPF_ABS, 0, 0, AT_FAMILY);
	emit(&a, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, TD_AF_INET6);
	emit_accept(&a);
	emit_family(&a, filter, TD_AF_INET6);
	return a.count;
}
