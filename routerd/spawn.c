#include "routerd/spawn.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHILD_FAILED 126

static _Noreturn void
child_fail(const char *what)
{
	dprintf(STDERR_FILENO, "tandemd child: %s: %s\n", what, strerror(errno));
	_exit(CHILD_FAILED);
}

static bool
have_capability(int capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, (unsigned)capability) != 0;
}

const char *
spawn_missing_rights(void)
{
	capng_get_caps_process();
	if (!have_capability(CAP_SYS_NICE))
		return "CAP_SYS_NICE (vrrpd runs without SCHED_FIFO)";
	if (!have_capability(CAP_SYS_RESOURCE))
		return "CAP_SYS_RESOURCE (vrrpd has no protection from the OOM killer)";
	return "";
}

static void
set_limit(int resource, rlim_t value)
{
	struct rlimit limit = { value, value };

	setrlimit((__rlimit_resource_t)resource, &limit);
}

static void
lower_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) == 0 &&
	    limit.rlim_max > value)
		set_limit(resource, value);
}

/* Before the privileges go. Returns whether CAP_IPC_LOCK must make up for the limit. */
static bool
set_realtime(void)
{
	struct sched_param param = { .sched_priority = SPAWN_RT_PRIORITY };
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	/* Its own children, should it ever have any, must not inherit the priority. */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
	set_limit(RLIMIT_RTPRIO, SPAWN_RT_PRIORITY);
	return setrlimit(RLIMIT_MEMLOCK, &limit) < 0;
}

/* What tandemd may set for vrrpd's sake is nothing that anybody else needs, least of
 * all a program of the operator's: it could run before the election for ever. */
static void
forget_realtime(void)
{
	lower_limit(RLIMIT_RTPRIO, 0);
	lower_limit(RLIMIT_MEMLOCK, SPAWN_MEMLOCK_BYTES);
}

static void
set_oom_score(int score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "%d", score);
	close(fd);
}

static void
drop_privileges(const struct spawn_spec *spec, bool lock_memory)
{
	const capng_type_t sets =
	    CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET;

	capng_clear(CAPNG_SELECT_ALL);
	for (int i = 0; i < SPAWN_CAPABILITIES_MAX && spec->capabilities[i] >= 0; i++)
		capng_update(CAPNG_ADD, sets, (unsigned)spec->capabilities[i]);
	if (lock_memory)
		capng_update(CAPNG_ADD, sets, CAP_IPC_LOCK);
	if (spec->uid != 0) {
		/* Keeps the permitted set across the change of uid; the bounding set is
		 * reduced while CAP_SETPCAP is still there. */
		if (capng_change_id((int)spec->uid, (int)spec->gid,
			CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0)
			child_fail("changing user");
	} else if (capng_apply(CAPNG_SELECT_BOTH) != 0) {
		child_fail("dropping capabilities");
	}
	for (int i = 0; i < SPAWN_CAPABILITIES_MAX && spec->capabilities[i] >= 0; i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, spec->capabilities[i],
			0, 0) < 0)
			child_fail("ambient capability");
	if (lock_memory)
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		child_fail("no_new_privs");
}

/* 0, 1, 2, the control socket at 3 and the life at 4; the sources may be any of these
 * numbers. */
static void
arrange_descriptors(const struct spawn_spec *spec)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int in =
	    fcntl(spec->stdin_fd >= 0 ? spec->stdin_fd : null, F_DUPFD_CLOEXEC, 10);
	int out = fcntl(spec->stdout_fd >= 0 ? spec->stdout_fd : STDERR_FILENO,
	    F_DUPFD_CLOEXEC, 10);
	int control =
	    spec->control_fd >= 0 ? fcntl(spec->control_fd, F_DUPFD_CLOEXEC, 10) : -1;
	int life = spec->life_fd >= 0 ? fcntl(spec->life_fd, F_DUPFD_CLOEXEC, 10) : -1;

	close_range(3, 9, 0);
	if (in < 0 || out < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || (control >= 0 && dup2(control, 3) < 0) ||
	    (life >= 0 && dup2(life, SPAWN_LIFE_FD) < 0))
		child_fail("descriptors");
	close_range(SPAWN_LIFE_FD + 1, ~0U, 0);
}

static _Noreturn void
child_main(const struct spawn_spec *spec)
{
	static const char *const kept[] = { "JOURNAL_STREAM", "TZ", "ASAN_OPTIONS",
		"UBSAN_OPTIONS", "TANDEM_LOG_LEVEL", "TANDEM_LOG_TARGET" };
	const char *env[sizeof(kept) / sizeof(kept[0]) + 2] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin"
	};
	unsigned env_count = 1;
	bool lock_memory = false;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	/* A ^C at the terminal is for tandemd, which then stops us in the right order.
	 */
	setsid();
	umask(027);
	arrange_descriptors(spec);
	if (chdir("/") < 0)
		child_fail("/");
	set_oom_score(spec->oom_score_adj);
	if (spec->realtime)
		lock_memory = set_realtime();
	else
		forget_realtime();
	if (spec->confined) {
		set_limit(RLIMIT_CPU, 20);
		set_limit(RLIMIT_FSIZE, 0);
		set_limit(RLIMIT_NOFILE, 32);
		set_limit(RLIMIT_CORE, 0);
	}
	if (spec->privileged)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	else
		drop_privileges(spec, lock_memory);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		const char *value = getenv(kept[i]);
		char *pair;

		if (value != NULL && asprintf(&pair, "%s=%s", kept[i], value) >= 0)
			env[env_count++] = pair;
	}
	/* execve takes both without const for reasons of history. */
	execve(spec->path, (char **)(uintptr_t)spec->argv, (char **)(uintptr_t)env);
	child_fail(spec->path);
}

pid_t
spawn(const struct spawn_spec *spec)
{
	pid_t pid = fork();

	if (pid == 0)
		child_main(spec);
	return pid < 0 ? -errno : pid;
}
