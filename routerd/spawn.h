/*
 * spawn.h - starting a child with the rights it needs and no others.
 *
 * The child gets: its own uid and gid, no supplementary groups, exactly `capabilities`
 * (permitted, effective, inheritable, ambient and bounding), no_new_privs, a session of
 * its own, / as directory, stderr, and the descriptors named below. Everything else is
 * closed. What the host does not allow (memory limits, OOM score) is skipped and logged
 * once by the caller through `ret_skipped`.
 */
#ifndef TANDEM_ROUTERD_SPAWN_H
#define TANDEM_ROUTERD_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SPAWN_CAPABILITIES_MAX 4
#define SPAWN_LIFE_FD 4           /* in the child */
#define SPAWN_MEMLOCK_BYTES 65536 /* without `realtime` */

struct spawn_spec {
	const char *path;
	const char *const *argv; /* NULL-terminated */
	uid_t uid;
	gid_t gid;
	int capabilities[SPAWN_CAPABILITIES_MAX]; /* CAP_*; ends with -1 */
	bool privileged;   /* keeps every capability of ours; only with uid 0 */
	bool realtime;     /* SCHED_FIFO, locked memory; without: no right to either */
	int oom_score_adj; /* set in any case: ours would be inherited */
	bool confined;     /* small limits on memory, time, files and processes */
	int stdin_fd;      /* -1 = /dev/null */
	int stdout_fd;     /* -1 = stderr */
	int control_fd;    /* becomes 3; -1 = none */
	int life_fd;       /* becomes 4, held for the child's whole life; -1 = none */
};

#define SPAWN_RT_PRIORITY 40

/* The pid, or negative errno. A failure inside the child (no such program, no such
 * right) ends it with exit code 126 after one line on stderr. */
pid_t spawn(const struct spawn_spec *spec);

/* What this process may not do for its children, as text for one log line; "" if
 * nothing is missing. */
const char *spawn_missing_rights(void);

#endif
