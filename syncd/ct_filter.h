/*
 * ct_filter.h - flows that are never replicated: the router's own.
 *
 * A flow is skipped when either address of its original tuple is one of the router's
 * own (adverts, witness, sync, management, health checks), loopback, link-local,
 * multicast, or the IPv4 broadcast. Virtual addresses are not own addresses and must
 * not be in the list.
 *
 * The same decision exists twice: as a socket filter in the kernel, so that such events
 * never fill the receive buffer, and as a predicate for dumps.
 */
#ifndef TANDEM_SYNCD_CT_FILTER_H
#define TANDEM_SYNCD_CT_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/addr.h>

/* The program for twice as many is too long for the kernel's default optmem_max. */
#define CT_FILTER_ADDRESSES_MAX 64
#define CT_FILTER_PORTIDS_MAX 4
#define CT_FILTER_PROGRAM_MAX 4096

struct flow_key;
struct sock_filter;

struct ct_filter {
	struct td_addr local[CT_FILTER_ADDRESSES_MAX];
	uint32_t local_count;
	uint32_t own_portid[CT_FILTER_PORTIDS_MAX]; /* inject sockets: their echo is
						       skipped */
	uint32_t own_portid_count;
};

/* False when full or not an address. Adding twice is fine. */
bool ct_filter_add_local(struct ct_filter *filter, const struct td_addr *addr);
bool ct_filter_add_own_portid(struct ct_filter *filter, uint32_t portid);

bool ct_filter_skips(const struct ct_filter *filter, const struct flow_key *key);
bool ct_filter_is_own(const struct ct_filter *filter, uint32_t portid);

/* Classic BPF for SO_ATTACH_FILTER on an event socket, into CT_FILTER_PROGRAM_MAX
 * instructions at `program`; returns how many. Messages it does not understand pass. */
uint16_t ct_filter_compile(const struct ct_filter *filter, struct sock_filter *program);

#endif
