#include "routerd/confine.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of <linux/landlock.h> in newer kernels; the ABI tells what this one knows. */
#define FS_ABI_1 ((UINT64_C(1) << 13) - 1) /* execute ... make_sym */
#define FS_REFER (UINT64_C(1) << 13)       /* ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)    /* ABI 3 */
#define NET_TCP UINT64_C(3)                /* ABI 4: bind, connect */
#define FS_IOCTL_DEV (UINT64_C(1) << 15)   /* ABI 5 */
#define SCOPES UINT64_C(3)                 /* ABI 6: abstract sockets, signals */

struct ruleset {
	uint64_t fs, net, scoped;
};

int
confine_self(void)
{
	struct ruleset rules = { .fs = FS_ABI_1 };
	size_t size = offsetof(struct ruleset, net);
	long abi = syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd, error = 0;

	if (abi < 1)
		return abi < 0 ? -errno : -EOPNOTSUPP;
	if (abi >= 2)
		rules.fs |= FS_REFER;
	if (abi >= 3)
		rules.fs |= FS_TRUNCATE;
	if (abi >= 4) {
		rules.net = NET_TCP;
		size = offsetof(struct ruleset, scoped);
	}
	if (abi >= 5)
		rules.fs |= FS_IOCTL_DEV;
	if (abi >= 6) {
		rules.scoped = SCOPES;
		size = sizeof(rules);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		error = -errno;
	close(fd);
	return error;
}
