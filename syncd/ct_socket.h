/*
 * ct_socket.h - a NETLINK_NETFILTER socket of this network namespace.
 *
 * Non-blocking, close-on-exec, bound by the kernel to a port id of its own; error
 * messages come back without the request they answer.
 *
 * Errors   negative errno; -1 is never a descriptor returned.
 */
#ifndef TANDEM_SYNCD_CT_SOCKET_H
#define TANDEM_SYNCD_CT_SOCKET_H

#include <stdint.h>

/* Returns the descriptor, owned by the caller. ret_portid may be NULL. */
int ct_socket_open(uint32_t *ret_portid);

/* Asks for a receive buffer, beyond rmem_max when allowed to. Returns the bytes
 * granted, as the kernel counts them (twice what was asked for). */
int64_t ct_socket_set_rcvbuf(int fd, uint32_t bytes);

#endif
