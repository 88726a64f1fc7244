/*
 * nat_ruleset.h - the nftables table of one router, from its model.
 *
 * One table `inet tandem` holds everything: source NAT, static NAT, port forwarding,
 * hairpin, ingress firewall per public address, egress policy per network and the
 * balancer's servers. The text replaces whatever stood there before, in one
 * transaction. docs/nat.md explains the chains and why they stand in this order.
 *
 * Source   reference semantics S4-S8, L7, L10 in docs/nat.md.
 * Pure     the same model gives the same bytes on both nodes, whatever `self` is.
 * Memory   nat_ruleset owns its arrays; nat_ruleset_fini frees them.
 * Errors   -ENOMEM, -E2BIG (text or counters over their bounds).
 */
#ifndef TANDEM_LBCORE_NAT_RULESET_H
#define TANDEM_LBCORE_NAT_RULESET_H

#include <stddef.h>
#include <stdint.h>
#include <tandem/config.h>

struct l4_slots;

#define NAT_TABLE "tandem"
#define NAT_COUNTER_NAME_MAX 40
#define NAT_COUNTERS_MAX 65536

/* What a named counter counts: packets of new flows unless said otherwise. */
enum nat_counter_kind {
	NAT_COUNT_DROP,           /* index: enum nat_drop */
	NAT_COUNT_INGRESS_RULE,   /* index: public address, sub: rule */
	NAT_COUNT_INGRESS_DENIED, /* index: public address */
	NAT_COUNT_EGRESS_RULE,    /* index: network, sub: rule */
	NAT_COUNT_EGRESS_DEFAULT, /* index: network */
	NAT_COUNT_SOURCE_NAT,     /* index: network */
	NAT_COUNT_STATIC_IN,      /* index: static NAT */
	NAT_COUNT_STATIC_OUT,
	NAT_COUNT_PORT_FORWARD,   /* index: port forward */
	NAT_COUNT_SERVER_NEW,     /* index: balancer, sub: server */
	NAT_COUNT_SERVER_IN,      /* every packet to the server */
	NAT_COUNT_SERVER_OUT,     /* every packet from the server */
	NAT_COUNT_BALANCER_DENIED /* index: balancer */
};

/* Why a packet was dropped that no rule of the model names. */
enum nat_drop {
	NAT_DROP_INVALID,   /* conntrack cannot place it */
	NAT_DROP_MIDSTREAM, /* TCP to a virtual address, no SYN, no entry */
	NAT_DROP_NO_SERVER, /* the scheduler had no server */
	NAT_DROP_LOST_MARK, /* marked for a server that the table does not know */
	NAT_DROP_UNSERVED,  /* to a virtual address, nothing configured there */
	NAT_DROP_INGRESS, /* to a public address that the model does not open at all */
	NAT_DROP_SPOOFED, /* an inside source from the public side */
	NAT_DROP_FORWARD, /* not from a network of the model, not translated */
	NAT_DROP_COUNT
};

struct nat_counter {
	char name[NAT_COUNTER_NAME_MAX];
	enum nat_counter_kind kind;
	uint32_t index, sub;
};

struct nat_ruleset {
	char *text;
	size_t len;
	uint64_t digest; /* of the text without the line that carries it */
	struct nat_counter *counters;
	uint32_t counter_count;
};

int nat_ruleset_compile(struct nat_ruleset *ret_ruleset, const struct td_config *config,
    const struct l4_slots *slots);
void nat_ruleset_fini(struct nat_ruleset *ruleset);

/* The table's comment: how a running table is recognised as this ruleset. */
#define NAT_COMMENT_MAX 32
void nat_ruleset_comment(uint64_t digest, char ret_comment[NAT_COMMENT_MAX]);

const char *nat_drop_name(enum nat_drop drop);

#endif
