/*
 * probe.h - one TCP connect check: a socket, from an own address of this node.
 *
 * The source is never a virtual address: a check of the Backup must work, and no check
 * may end up in a replicated tuple. It is the node address of the interface, if the
 * configuration names one, or else the interface's first address of the family that is
 * not virtual.
 *
 * Memory   the caller owns the descriptor.
 */
#ifndef TANDEM_LBCORE_PROBE_H
#define TANDEM_LBCORE_PROBE_H

#include <stdint.h>
#include <tandem/config.h>
#include "lbcore/health/core/health_fsm.h"

/* Begins to connect. Returns a descriptor that becomes writable when it is decided, or
 * -1 with *ret_result: decided already. */
int probe_start(const struct td_config *config, const struct td_endpoint *server,
    enum health_result *ret_result);

/* Of a descriptor that is writable. */
enum health_result probe_result(int fd);

/* Closes with a reset: no TIME_WAIT here, no half-open session there. */
void probe_close(int fd);

#endif
