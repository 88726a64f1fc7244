// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fence.bpf.c - tc programs that silence a node whose lease is over.
 *
 * Attached to ingress and egress of a member's parent device: below the virtual MAC
 * device, so that nothing gets around them that the kernel sends or receives on the
 * wire (only AF_XDP, XDP_TX and packet sockets with PACKET_QDISC_BYPASS would).
 *
 *            frame on a member's parent
 *                     |
 *         answer lease good? -- yes --> pass on (TC_ACT_UNSPEC: the next filter
 * decides) | no tagged for another VLAN, or protocol 112? -- yes --> pass on | no in:
 * ARP/ND question for, or packet to a virtual address         --> drop to the virtual
 * MAC                     --> drop, unless the forward lease is good out: ARP/NA
 * naming, or packet from a virtual address             --> drop, unless it is from the
 * virtual MAC                      transit and the forward lease is good; then with the
 * parent's own MAC
 *
 * Ingress looks at targets and destinations, egress at senders and sources: so a Backup
 * can still resolve and reach the addresses of the Active.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <tandem/fence.h>

#define ETH_HEADER_BYTES 14
#define VLAN_TAG_BYTES 4
#define VLAN_VID_MASK 0x0fff
#define VLAN_TAGS_MAX 2

#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_VLAN 0x8100
#define TYPE_IPV6 0x86dd
#define TYPE_QINQ 0x88a8

#define FAMILY_INET 2 /* as in tandem/addr.h, which needs a C library */
#define FAMILY_INET6 10

#define PROTOCOL_ICMPV6 58
#define PROTOCOL_VRRP 112

#define ND_SOLICIT 135
#define ND_ADVERT 136

struct eth_header {
	__u8 destination[6], source[6];
	__u16 type;
};

struct vlan_tag {
	__u16 tci, type;
};

/* Addresses are byte arrays: nothing below is aligned behind a 14-byte header. */
struct arp_packet {
	__u8 formats[4], hardware_len, protocol_len, operation[2];
	__u8 sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
};

struct ipv4_header {
	__u8 version_ihl, tos, middle[7], protocol, checksum[2];
	__u8 source[4], destination[4];
};

struct ipv6_header {
	__u8 flow[4], payload_len[2], next_header, hop_limit;
	__u8 source[16], destination[16];
};

struct nd_message {
	__u8 type, code, checksum[2], reserved[4], target[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TD_FENCE_LEASES);
	__type(key, __u32);
	__type(value, struct td_fence_lease);
} fence_lease SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TD_FENCE_MEMBERS);
	__type(key, __u32);
	__type(value, struct td_fence_member);
} fence_members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TD_FENCE_ADDRESSES);
	__type(key, struct td_fence_address);
	__type(value, __u32);
} fence_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TD_FENCE_MEMBERS);
	__type(key, __u32);
	__type(value, __u64);
} fence_rx SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TD_FENCE_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} fence_counters SEC(".maps");

enum right { RIGHT_NONE, RIGHT_FORWARD, RIGHT_ANSWER };

static __always_inline void
count(__u32 which)
{
	__u64 *counter = bpf_map_lookup_elem(&fence_counters, &which);

	if (counter != NULL)
		(*counter)++;
}

static __always_inline int
drop(__u32 which)
{
	count(which);
	return TC_ACT_SHOT;
}

static __always_inline enum right
lease_right(__u32 slot, __u64 now)
{
	const struct td_fence_lease *lease = bpf_map_lookup_elem(&fence_lease, &slot);

	if (lease == NULL)
		return RIGHT_NONE;
	if (now < *(const volatile __u64 *)&lease->answer_deadline_ns)
		return RIGHT_ANSWER;
	if (now < *(const volatile __u64 *)&lease->forward_deadline_ns)
		return RIGHT_FORWARD;
	return RIGHT_NONE;
}

/* What this node may do with an address: everything, unless it is a virtual one. */
static __always_inline enum right
address_right(__u32 ifindex, __u8 family, const __u8 *bytes, __u64 now)
{
	struct td_fence_address key = { .family = family };
	const __u32 *lease;

	if (family == FAMILY_INET) {
		__builtin_memcpy(key.bytes, bytes, 4);
	} else {
		__builtin_memcpy(key.bytes, bytes, 16);
		if (key.bytes[0] == 0xfe && (key.bytes[1] & 0xc0) == 0x80)
			key.ifindex = ifindex;
	}
	lease = bpf_map_lookup_elem(&fence_addresses, &key);
	if (lease == NULL)
		return RIGHT_ANSWER;
	return lease_right(*lease & TD_FENCE_LEASE_MASK, now);
}

/* The compiler would call a memcmp that does not exist here. */
static __always_inline bool
bytes_equal(const __u8 *a, const __u8 *b, int len)
{
	__u8 differ = 0;

#pragma unroll
	for (int i = 0; i < len; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

/* The rights of the virtual routers on one parent: one for each family. */
struct rights {
	enum right v4, v6;
};

static __always_inline struct rights
member_rights(const struct td_fence_member *member, __u64 now)
{
	struct rights rights;

	rights.v4 = lease_right(member->lease4, now);
	rights.v6 = member->lease6 == member->lease4 ? rights.v4
						     : lease_right(member->lease6, now);
	return rights;
}

/* What this node may do with a MAC: everything, unless it is a virtual one. */
static __always_inline enum right
mac_right(
    const struct td_fence_member *member, const __u8 *mac, const struct rights *rights)
{
	if ((member->flags & TD_FENCE_MAC4) &&
	    bytes_equal(mac, member->virtual_mac4, 6))
		return rights->v4;
	if ((member->flags & TD_FENCE_MAC6) &&
	    bytes_equal(mac, member->virtual_mac6, 6))
		return rights->v6;
	return RIGHT_ANSWER;
}

/*
 * Where the network header begins and of which type it is. False: the frame is for
 * another VLAN, which is another segment with a fence of its own. Priority tags (VID 0)
 * belong to this one: the kernel treats such frames as untagged.
 */
static __always_inline bool
find_network(struct __sk_buff *skb, const struct eth_header *eth, __u32 *ret_offset,
    __u16 *ret_type)
{
	__u32 offset = ETH_HEADER_BYTES;
	__u16 type = bpf_ntohs(eth->type);

	if (skb->vlan_present && (skb->vlan_tci & VLAN_VID_MASK) != 0)
		return false;
#pragma unroll
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag tag;

		if (type != TYPE_VLAN && type != TYPE_QINQ)
			break;
		if (bpf_skb_load_bytes(skb, offset, &tag, sizeof(tag)) != 0)
			break;
		if ((bpf_ntohs(tag.tci) & VLAN_VID_MASK) != 0)
			return false;
		type = bpf_ntohs(tag.type);
		offset += VLAN_TAG_BYTES;
	}
	*ret_offset = offset;
	*ret_type = type;
	return true;
}

/* A frame too short for its headers is left to the rule for MACs: the kernel ignores
 * it. */

SEC("tc")
int
td_fence_in(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	const struct td_fence_member *member =
	    bpf_map_lookup_elem(&fence_members, &ifindex);
	struct rights rights;
	struct eth_header eth;
	enum right right;
	__u32 offset, slot;
	__u64 now, *last;
	__u16 type;

	if (member == NULL)
		return TC_ACT_UNSPEC;
	now = bpf_ktime_get_boot_ns();
	slot = member->slot;
	last = bpf_map_lookup_elem(&fence_rx, &slot);
	if (last != NULL)
		*last = now;
	rights = member_rights(member, now);
	if (rights.v4 == RIGHT_ANSWER && rights.v6 == RIGHT_ANSWER)
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)) != 0 ||
	    !find_network(skb, &eth, &offset, &type))
		return TC_ACT_UNSPEC;

	if (type == TYPE_ARP) {
		struct arp_packet arp;

		/* An announcement (sender = target) asks nobody: a Backup learns from
		 * it. */
		if (bpf_skb_load_bytes(skb, offset, &arp, sizeof(arp)) == 0 &&
		    !bytes_equal(arp.sender_ip, arp.target_ip, 4) &&
		    address_right(ifindex, FAMILY_INET, arp.target_ip, now) !=
			RIGHT_ANSWER)
			return drop(TD_FENCE_IN_ARP);
	} else if (type == TYPE_IPV4) {
		struct ipv4_header ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) == 0) {
			if (ip.protocol == PROTOCOL_VRRP)
				return TC_ACT_UNSPEC;
			if (address_right(ifindex, FAMILY_INET, ip.destination, now) !=
			    RIGHT_ANSWER)
				return drop(TD_FENCE_IN_IP);
		}
	} else if (type == TYPE_IPV6) {
		struct ipv6_header ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) == 0) {
			struct nd_message nd;

			if (ip.next_header == PROTOCOL_VRRP)
				return TC_ACT_UNSPEC;
			if (ip.next_header == PROTOCOL_ICMPV6 &&
			    bpf_skb_load_bytes(
				skb, offset + sizeof(ip), &nd, sizeof(nd)) == 0 &&
			    nd.type == ND_SOLICIT &&
			    address_right(ifindex, FAMILY_INET6, nd.target, now) !=
				RIGHT_ANSWER)
				return drop(TD_FENCE_IN_ND);
			if (address_right(ifindex, FAMILY_INET6, ip.destination, now) !=
			    RIGHT_ANSWER)
				return drop(TD_FENCE_IN_IP);
		}
	}

	right = mac_right(member, eth.destination, &rights);
	if (right == RIGHT_ANSWER)
		return TC_ACT_UNSPEC;
	if (right != RIGHT_FORWARD)
		return drop(TD_FENCE_IN_MAC);
	count(TD_FENCE_DRAINED);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int
td_fence_out(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	const struct td_fence_member *member =
	    bpf_map_lookup_elem(&fence_members, &ifindex);
	/* What came in by some device is transit; what this node made itself did not.
	 */
	enum right enough = skb->ingress_ifindex != 0 ? RIGHT_FORWARD : RIGHT_ANSWER;
	struct rights rights;
	struct eth_header eth;
	enum right right;
	__u32 offset;
	__u64 now;
	__u16 type;

	if (member == NULL)
		return TC_ACT_UNSPEC;
	now = bpf_ktime_get_boot_ns();
	rights = member_rights(member, now);
	if (rights.v4 == RIGHT_ANSWER && rights.v6 == RIGHT_ANSWER)
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)) != 0 ||
	    !find_network(skb, &eth, &offset, &type))
		return TC_ACT_UNSPEC;

	if (type == TYPE_ARP) {
		struct arp_packet arp;

		if (bpf_skb_load_bytes(skb, offset, &arp, sizeof(arp)) == 0 &&
		    address_right(ifindex, FAMILY_INET, arp.sender_ip, now) !=
			RIGHT_ANSWER)
			return drop(TD_FENCE_OUT_ARP);
	} else if (type == TYPE_IPV4) {
		struct ipv4_header ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) == 0) {
			if (ip.protocol == PROTOCOL_VRRP)
				return TC_ACT_UNSPEC;
			if (address_right(ifindex, FAMILY_INET, ip.source, now) <
			    enough)
				return drop(TD_FENCE_OUT_IP);
		}
	} else if (type == TYPE_IPV6) {
		struct ipv6_header ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) == 0) {
			struct nd_message nd;

			if (ip.next_header == PROTOCOL_VRRP)
				return TC_ACT_UNSPEC;
			if (ip.next_header == PROTOCOL_ICMPV6 &&
			    bpf_skb_load_bytes(
				skb, offset + sizeof(ip), &nd, sizeof(nd)) == 0 &&
			    nd.type == ND_ADVERT &&
			    address_right(ifindex, FAMILY_INET6, nd.target, now) !=
				RIGHT_ANSWER)
				return drop(TD_FENCE_OUT_ND);
			if (address_right(ifindex, FAMILY_INET6, ip.source, now) <
			    enough)
				return drop(TD_FENCE_OUT_IP);
		}
	}

	right = mac_right(member, eth.source, &rights);
	if (right == RIGHT_ANSWER)
		return TC_ACT_UNSPEC;
	if (right < enough)
		return drop(TD_FENCE_OUT_MAC);
	/* The virtual MAC as source would pull the switches back from the new Active.
	 */
	if (bpf_skb_store_bytes(
		skb, offsetof(struct eth_header, source), member->own_mac, 6, 0) != 0)
		return drop(TD_FENCE_OUT_MAC);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
