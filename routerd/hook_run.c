#include "routerd/hook_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "routerd/spawn.h"

#define LOCK_FD 3 /* in the keeper */
#define ORPHANED SIGUSR1

static void
reset_signals(void)
{
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void
program_main(const char *const *argv, const char *const *envp, pid_t keeper)
{
	reset_signals();
	/* Somebody may kill the keeper. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(126);
	close_range(3, ~0U, 0);
	umask(022);
	/* execve takes both without const for reasons of history. */
	execve(argv[0], (char **)(uintptr_t)argv, (char **)(uintptr_t)envp);
	dprintf(STDERR_FILENO, "tandem-hookd: %s: %s\n", argv[0], strerror(errno));
	_exit(126);
}

static void
on_orphaned(int signo)
{
	(void)signo;
	kill(0, SIGKILL);
}

/* Its end tells hookd how the program ended. */
static _Noreturn void
end_alike(int wait_status)
{
	const struct rlimit no_core = { 0, 0 };

	if (WIFEXITED(wait_status))
		_exit(WEXITSTATUS(wait_status));
	setrlimit(RLIMIT_CORE, &no_core);
	reset_signals();
	raise(WTERMSIG(wait_status));
	_exit(126);
}

static _Noreturn void
keeper_main(const char *const *argv, const char *const *envp, int lock_fd,
    int output_fd, pid_t hookd)
{
	struct sigaction orphaned = { .sa_handler = on_orphaned };
	int lock = lock_fd >= 0 ? fcntl(lock_fd, F_DUPFD, 10) : -1;
	int wait_status = 0;
	pid_t program, self = getpid();

	reset_signals();
	signal(SIGTERM, SIG_IGN); /* what the group is told is for the program */
	sigaction(ORPHANED, &orphaned, NULL);
	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, ORPHANED) < 0 ||
	    getppid() != hookd)
		_exit(126);
	/* Nobody shall wait for the end of hookd's sockets because of this process. */
	if (output_fd >= 0 &&
	    (dup2(output_fd, STDOUT_FILENO) < 0 || dup2(output_fd, STDERR_FILENO) < 0))
		_exit(126);
	close(LOCK_FD);
	if (lock >= 0)
		dup2(lock, LOCK_FD);
	close_range(SPAWN_LIFE_FD + 1, ~0U, 0);
	prctl(PR_SET_NAME, "tandem-hook");
	program = fork();
	if (program == 0)
		program_main(argv, envp, self);
	if (program < 0)
		_exit(126);
	while (waitpid(program, &wait_status, 0) < 0)
		if (errno != EINTR)
			_exit(126);
	end_alike(wait_status);
}

int
hook_run_start(struct hook_run *run, const char *const *argv, const char *const *envp,
    int lock_fd, int output_fd)
{
	pid_t self = getpid();
	pid_t pid = fork();

	if (pid == 0)
		keeper_main(argv, envp, lock_fd, output_fd, self);
	if (pid < 0)
		return -errno;
	/* In both processes: whoever comes first, the group is there afterwards. */
	setpgid(pid, pid);
	*run = (struct hook_run){ .pid = pid };
	return 0;
}

void
hook_run_signal(struct hook_run *run, int signo)
{
	if (run->pid == 0)
		return;
	run->sweep = true;
	kill(-run->pid, signo);
}

bool
hook_run_reap(struct hook_run *run, int *ret_wait_status)
{
	siginfo_t info = { .si_pid = 0 };

	if (run->pid == 0 ||
	    waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid == 0)
		return false;
	/* Before it is reaped: until then the number of the group is nobody else's. */
	if (run->sweep || (info.si_code != CLD_EXITED && info.si_status == SIGKILL))
		kill(-run->pid, SIGKILL);
	if (waitpid(run->pid, ret_wait_status, 0) < 0)
		*ret_wait_status = 0;
	run->pid = 0;
	return true;
}
