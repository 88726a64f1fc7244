/* l4_fds.c - the descriptors of the scheduler, for those who do not load it; l4_load.h
 */
#include <string.h>
#include <tandem/assert.h>
#include <unistd.h>
#include "lbcore/l4/l4_load.h"

static const char *const names[L4_FD_COUNT] = {
	[L4_FD_PROG] = "lb-prog",
	[L4_FD_BINDS] = "lb-binds",
	[L4_FD_SERVICES] = "lb-services",
	[L4_FD_COUNTERS] = "lb-counters",
};

const char *
l4_fd_name(enum l4_fd which)
{
	td_assert(which < L4_FD_COUNT);
	return names[which];
}

void
l4_fds_init(struct l4_fds *fds)
{
	for (unsigned i = 0; i < L4_FD_COUNT; i++)
		fds->fd[i] = -1;
}

bool
l4_fds_take(struct l4_fds *fds, const char *name, int fd)
{
	for (unsigned i = 0; i < L4_FD_COUNT; i++)
		if (strcmp(name, names[i]) == 0) {
			if (fds->fd[i] >= 0)
				close(fds->fd[i]);
			fds->fd[i] = fd;
			return true;
		}
	return false;
}

bool
l4_fds_complete(const struct l4_fds *fds)
{
	for (unsigned i = 0; i < L4_FD_COUNT; i++)
		if (fds->fd[i] < 0)
			return false;
	return true;
}

void
l4_fds_close(struct l4_fds *fds)
{
	for (unsigned i = 0; i < L4_FD_COUNT; i++)
		if (fds->fd[i] >= 0)
			close(fds->fd[i]);
	l4_fds_init(fds);
}
