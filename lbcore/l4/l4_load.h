/*
 * l4_load.h - the scheduler program's way into the kernel.
 *
 * Loading BPF needs root; attaching it and filling its maps does not. So tandemd's
 * loader child calls l4_load and passes the descriptors to lbd under the names below.
 *
 * Lifetime  program and maps live while a descriptor or an attachment does.
 * Errors    negative errno; the verifier's words go to the log, area "lb".
 */
#ifndef TANDEM_LBCORE_L4_LOAD_H
#define TANDEM_LBCORE_L4_LOAD_H

#include <stdbool.h>

enum l4_fd { L4_FD_PROG, L4_FD_BINDS, L4_FD_SERVICES, L4_FD_COUNTERS, L4_FD_COUNT };

struct l4_fds {
	int fd[L4_FD_COUNT]; /* owned, close-on-exec; -1 = absent */
};

/* "lb-prog", "lb-binds", "lb-services", "lb-counters": the CONTROL_FD names. */
const char *l4_fd_name(enum l4_fd which);

int l4_load(struct l4_fds *ret_fds);

/* For the receiver: all absent; takes `fd` if `name` is one of ours (an older one of
 * that name is closed), else returns false and the caller keeps it; all there? */
void l4_fds_init(struct l4_fds *fds);
bool l4_fds_take(struct l4_fds *fds, const char *name, int fd);
bool l4_fds_complete(const struct l4_fds *fds);
void l4_fds_close(struct l4_fds *fds);

#endif
