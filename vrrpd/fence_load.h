/*
 * fence_load.h - the fence program's way into the kernel.
 *
 * Loading BPF needs root (CAP_BPF, and map creation with
 * kernel.unprivileged_bpf_disabled); everything afterwards, attaching included, only
 * CAP_NET_ADMIN. So tandemd's loader child calls fence_load and passes the descriptors
 * on under the names below.
 *
 * Lifetime  maps and programs live while a descriptor or an attachment does. tandemd
 * keeps them across restarts of vrrpd, so the lease survives vrrpd, not tandemd. Errors
 * negative errno; the verifier's words go to the log, area "fence".
 */
#ifndef TANDEM_VRRPD_FENCE_LOAD_H
#define TANDEM_VRRPD_FENCE_LOAD_H

#include <stdbool.h>

enum fence_fd {
	FENCE_FD_INGRESS, /* program */
	FENCE_FD_EGRESS,  /* program */
	FENCE_FD_LEASE,   /* maps: include/tandem/fence.h */
	FENCE_FD_MEMBERS,
	FENCE_FD_ADDRESSES,
	FENCE_FD_RX,
	FENCE_FD_COUNTERS,
	FENCE_FD_COUNT
};

struct fence_fds {
	int fd[FENCE_FD_COUNT]; /* owned, close-on-exec; -1 = absent */
};

/* "fence-ingress", "fence-egress", "fence-lease", "fence-members", "fence-addresses",
 * "fence-rx", "fence-counters": the CONTROL_FD names. */
const char *fence_fd_name(enum fence_fd which);

/* Loads programs and maps with the fence closed. */
int fence_load(struct fence_fds *ret_fds);

/* For the receiver: all absent; takes `fd` if `name` is one of the seven (an older one
 * of that name is closed), else returns false and the caller keeps it; all there? */
void fence_fds_init(struct fence_fds *fds);
bool fence_fds_take(struct fence_fds *fds, const char *name, int fd);
bool fence_fds_complete(const struct fence_fds *fds);
void fence_fds_close(struct fence_fds *fds);

/* Zeroes every lease behind `lease_fd`, at once: what tandemd does when vrrpd is gone.
 * The kernel checks no capability for it, only the descriptor. */
int fence_revoke(int lease_fd);

#endif
