/*
 * advert_socket.h - VRRP advertisements of one virtual router: sending and hearing
 * them.
 *
 * Family    binding.accept.family: one socket speaks IPv4 or IPv6, to 224.0.0.18 or
 *           ff02::12 or to the peer alone. A member with both families has two.
 * Hearing   a packet socket on the parent device with a filter for protocol 112. It
 *           must be bound to all protocols: a virtual MAC device of our own swallows
 * the Active's frames before a socket for IPv4 alone sees them (docs/fence.md). Sending
 * multicast: whole frames from the virtual MAC through the parent's queue, never past
 * it, so that a shaper there is a delay we share. Unicast: a raw IP socket, the kernel
 * finds the peer's MAC. The IPv6 group is joined in the kernel too: a bridge that
 * snoops MLD passes it on to nobody who did not report it. Errors    negative errno;
 * what is received and refused is counted by reason. Rights    CAP_NET_RAW.
 */
#ifndef TANDEM_VRRPD_ADVERT_SOCKET_H
#define TANDEM_VRRPD_ADVERT_SOCKET_H

#include <tandem/instant.h>
#include "vrrpd/core/vrrp_wire.h"

struct loop;
struct advert_socket;

struct advert_counters {
	uint64_t sent, send_failed, received;
	uint64_t priority_zero_sent, priority_zero_received;
	uint64_t dropped[VRRP_DROP_COUNT_OF_REASONS];
	uint64_t message_only; /* accepted with the checksum of the RFC's letter */
	/* Accepted, though another list or interval than ours: two configurations. */
	uint64_t other_addresses, other_interval;
};

/* One accepted advertisement, in the order of arrival. */
typedef void advert_heard(
    void *context, const struct vrrp_advert *advert, const struct td_addr *source);

struct advert_binding {
	char name[TD_IFNAME_MAX];  /* for the log */
	uint32_t ifindex;          /* of the parent */
	uint8_t source_mac[6];     /* the virtual MAC, or the parent's own */
	struct vrrp_accept accept; /* family, version, own and peer address, vrid */
	int64_t interval_ns;
	bool is_owner; /* of the addresses: our priority is 255 */
	enum vrrp_checksum checksum;
	uint8_t address_count; /* to advertise, of this family; 0: cannot send */
	uint8_t addresses[VRRP_ADDRESS_BYTES_MAX];
};

/* Appends what is of the binding's family and still fits into an advertisement. */
void advert_binding_add(struct advert_binding *binding, const struct td_addr *addr);

int advert_socket_new(struct loop *loop, advert_heard *heard, void *context,
    struct advert_socket **ret_socket);
void advert_socket_free(struct advert_socket *socket); /* NULL is fine */

/* (Re)opens what changed; copies the binding. ifindex 0 closes. */
int advert_socket_bind(
    struct advert_socket *socket, const struct advert_binding *binding);

/* 0 if the kernel took it; -ENODEV, -EADDRNOTAVAIL (no own or no virtual address) ...
 */
int advert_socket_send(struct advert_socket *socket, uint8_t priority);

/* Delivers everything that has arrived. Also called from the loop. */
void advert_socket_drain(struct advert_socket *socket);

/* The frame another process may send for us; its length, or 0 if there is none
 * (unicast, too many addresses for `size`). */
size_t advert_socket_frame(
    const struct advert_socket *socket, uint8_t priority, uint8_t *buf, size_t size);

const struct advert_counters *advert_socket_counters(
    const struct advert_socket *socket);

#endif
