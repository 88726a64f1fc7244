/*
 * lb.bpf.c - the scheduler: chooses a server for the first packet of a balanced flow.
 *
 * A tc program on ingress of every member's parent device, behind the fence. Only a
 * packet to a bind that no conntrack entry carries is its business: it gets the slot of
 * a server, or TD_MARK_SERVER_DROP, in the low bits of the packet mark. The
 * translation, the source list and the firewall are nftables' (docs/nat.md), every
 * later packet is conntrack's. An entry whose TCP session has ended carries no SYN:
 * conntrack puts a new entry in its place, which needs a server of its own.
 *
 *   packet -> fence -> here: mark -> guard (mark drop, sources, firewall)
 *                                 -> translate_in (mark -> server) -> conntrack
 *
 * Always TC_ACT_UNSPEC: later filters go on. Tagged frames belong to another device.
 * A first fragment carries the ports and is marked; reassembly keeps its mark. Later
 * fragments and everything but TCP and UDP (ICMP errors!) are left alone.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <tandem/mark.h>
#include "../bpf/lb_maps.h"

#define FAMILY_INET 2
#define FAMILY_INET6 10
#define EXTENSION_HEADERS_MAX 6
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV4_FRAGMENT_OFFSET 0x1fff

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_BINDS_MAX);
	__type(key, struct lb_bind_key);
	__type(value, struct lb_bind);
} lb_binds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct lb_service);
} lb_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LB_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} lb_counters SEC(".maps");

/* The kernel's conntrack lookup; the options in their first form, which every kernel
 * that has the function takes. Of the entry only the state of a TCP session is read,
 * at the place where the running kernel has it. */
struct ip_ct_tcp {
	__u8 state;
} __attribute__((preserve_access_index));
union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
} __attribute__((preserve_access_index));
struct nf_conn {
	union nf_conntrack_proto proto;
} __attribute__((preserve_access_index));
struct bpf_ct_opts___tandem {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb,
    struct bpf_sock_tuple *tuple, __u32 tuple_len, struct bpf_ct_opts___tandem *opts,
    __u32 opts_len) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;

struct packet {
	struct lb_bind_key destination;
	__be32 source[4];
	__be16 source_port;
	__u32 transport; /* offset of the TCP or UDP header */
};

static __always_inline void
count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&lb_counters, &counter);

	if (value != NULL)
		++*value;
}

/* 0: filled in; 1: not for us; negative: cannot be read. */
static __always_inline int
read_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0)
		return -1;
	if (ip.version != 4 || ip.ihl < 5)
		return -1;
	if (ip.frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		return 1;
	p->destination.family = FAMILY_INET;
	p->destination.protocol = ip.protocol;
	__builtin_memcpy(p->destination.address, &ip.daddr, 4);
	p->source[0] = ip.saddr;
	p->transport = ETH_HLEN + ip.ihl * 4;
	return 0;
}

static __always_inline int
read_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip6;
	__u32 at = ETH_HLEN + sizeof(ip6);
	__u8 next;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)) < 0)
		return -1;
	if (ip6.version != 6)
		return -1;
	next = ip6.nexthdr;
#pragma unroll
	for (int i = 0; i < EXTENSION_HEADERS_MAX; i++) {
		__u8 header[4];

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		    next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
			break;
		if (bpf_skb_load_bytes(skb, at, header, sizeof(header)) < 0)
			return -1;
		if (next == IPPROTO_FRAGMENT) {
			if ((header[2] << 8 | header[3]) & IPV6_FRAGMENT_OFFSET)
				return 1;
			at += 8;
		} else {
			at += (header[1] + 1) * 8;
		}
		next = header[0];
	}
	p->destination.family = FAMILY_INET6;
	p->destination.protocol = next;
	__builtin_memcpy(p->destination.address, &ip6.daddr, 16);
	__builtin_memcpy(p->source, &ip6.saddr, 16);
	p->transport = at;
	return 0;
}

static __always_inline int
read_packet(struct __sk_buff *skb, struct packet *p)
{
	__be16 ports[2];
	int r;

	if (skb->vlan_present)
		return 1;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		r = read_ipv4(skb, p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		r = read_ipv6(skb, p);
	else
		return 1;
	if (r != 0)
		return r;
	if (p->destination.protocol != IPPROTO_TCP &&
	    p->destination.protocol != IPPROTO_UDP)
		return 1;
	if (bpf_skb_load_bytes(skb, p->transport, ports, sizeof(ports)) < 0)
		return -1;
	p->source_port = ports[0];
	p->destination.port = ports[1];
	return 0;
}

/* TCP begins with a SYN; anything else without an entry is the rest of a session that
 * is not known here (yet): a server chosen now would only reset it. */
static __always_inline int
begins_flow(struct __sk_buff *skb, const struct packet *p)
{
	__u8 flags;

	if (p->destination.protocol != IPPROTO_TCP)
		return 1;
	if (bpf_skb_load_bytes(skb, p->transport + 13, &flags, 1) < 0)
		return 0;
	return (flags & 0x17) == 0x02; /* of FIN, SYN, RST and ACK only SYN */
}

/* Whether an entry carries the packet. From TIME_WAIT and CLOSE a SYN begins anew, from
 * every other state it is part of the session: a repeated SYN, or one out of place. */
static __always_inline int
is_known(struct __sk_buff *skb, const struct packet *p, int begins)
{
	struct bpf_ct_opts___tandem opts = { .netns_id = -1,
		.l4proto = p->destination.protocol };
	struct bpf_sock_tuple tuple = { 0 };
	struct nf_conn *ct;
	int known = 1;
	__u32 len;

	if (p->destination.family == FAMILY_INET) {
		tuple.ipv4.saddr = p->source[0];
		__builtin_memcpy(&tuple.ipv4.daddr, p->destination.address, 4);
		tuple.ipv4.sport = p->source_port;
		tuple.ipv4.dport = p->destination.port;
		len = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, p->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, p->destination.address, 16);
		tuple.ipv6.sport = p->source_port;
		tuple.ipv6.dport = p->destination.port;
		len = sizeof(tuple.ipv6);
	}
	ct = bpf_skb_ct_lookup(skb, &tuple, len, &opts, sizeof(opts));
	if (ct == NULL)
		return 0;
	if (begins && p->destination.protocol == IPPROTO_TCP) {
		__u8 state = ct->proto.tcp.state;

		known =
		    state != TCP_CONNTRACK_TIME_WAIT && state != TCP_CONNTRACK_CLOSE;
	}
	bpf_ct_release(ct);
	return known;
}

static __always_inline __u32
choose(const struct packet *p, const struct lb_bind *bind)
{
	__u32 index = bind->service, len, at;
	struct lb_service *service = bpf_map_lookup_elem(&lb_services, &index);
	const struct lb_table *table;

	if (service == NULL)
		return TD_MARK_SERVER_DROP;
	table = &service->table[*(volatile __u32 *)&service->active & 1];
	len = *(const volatile __u32 *)&table->len;
	if (len == 0 || len > LB_TABLE_MAX)
		return TD_MARK_SERVER_DROP;
	if (bind->algorithm == LB_SOURCE)
		at = lb_source_hash((const __u32 *)p->source) % len;
	else
		at = __sync_fetch_and_add(&service->cursor, 1) % len;
	/* The compiler knows that a rest of `len` is below it; the verifier must see
	 * it. */
	asm volatile("" : "+r"(at));
	if (at >= LB_TABLE_MAX)
		return TD_MARK_SERVER_DROP;
	return table->slot[at];
}

static __always_inline void
mark(struct __sk_buff *skb, __u32 slot)
{
	skb->mark = (skb->mark & ~TD_MARK_SERVER_MASK) | (slot & TD_MARK_SERVER_MASK);
}

SEC("tc")
int
lb_schedule(struct __sk_buff *skb)
{
	struct packet p = { 0 };
	const struct lb_bind *bind;
	__u32 slot;
	int begins, r = read_packet(skb, &p);

	if (r != 0) {
		if (r < 0)
			count(LB_UNREADABLE);
		return TC_ACT_UNSPEC;
	}
	bind = bpf_map_lookup_elem(&lb_binds, &p.destination);
	if (bind == NULL)
		return TC_ACT_UNSPEC;
	begins = begins_flow(skb, &p);
	if (is_known(skb, &p, begins)) {
		count(LB_KNOWN);
		return TC_ACT_UNSPEC;
	}
	if (!begins) {
		count(LB_MIDSTREAM);
		mark(skb, TD_MARK_SERVER_DROP);
		return TC_ACT_UNSPEC;
	}
	slot = choose(&p, bind);
	count(slot == TD_MARK_SERVER_DROP ? LB_NO_SERVER : LB_SCHEDULED);
	mark(skb, slot);
	return TC_ACT_UNSPEC;
}
