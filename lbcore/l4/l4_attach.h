/*
 * l4_attach.h - the scheduler on a device: tc ingress, preference 2, behind the fence.
 *
 * Rights   CAP_NET_ADMIN and a descriptor of the program.
 * Errors   negative errno. Attaching again replaces; detaching nothing is fine.
 */
#ifndef TANDEM_LBCORE_L4_ATTACH_H
#define TANDEM_LBCORE_L4_ATTACH_H

#include <stdint.h>

int l4_attach(uint32_t ifindex, int prog_fd);
int l4_detach(uint32_t ifindex);
/* 1: our filter is there; 0: it is not. */
int l4_attached(uint32_t ifindex);

#endif
