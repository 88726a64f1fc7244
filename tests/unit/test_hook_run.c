/*
 * Real processes: what is run as a hook, and how all of it ends. The parent of a keeper
 * that is to die is a process of its own here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "routerd/hook_path.h"
#include "routerd/hook_run.h"

#define LIMIT_MS 5000

static char dir[64];

static void
pause_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static bool
file_there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void
await_file(const char *name)
{
	for (int i = 0; i < LIMIT_MS / 10 && !file_there(name); i++)
		pause_ms(10);
	assert_true(file_there(name));
}

/* A pid that a script wrote. */
static pid_t
pid_in(const char *name)
{
	char path[128];
	FILE *file;
	int pid = 0;

	await_file(name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (int i = 0; i < LIMIT_MS / 10 && pid == 0; i++) {
		file = fopen(path, "r");
		assert_non_null(file);
		if (fscanf(file, "%d", &pid) != 1)
			pause_ms(10);
		fclose(file);
	}
	assert_true(pid > 1);
	return pid;
}

static bool
process_alive(pid_t pid)
{
	char path[32], line[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	state = strrchr(line, ')');
	return state != NULL && state[2] != 'Z';
}

static void
await_death(pid_t pid)
{
	for (int i = 0; i < LIMIT_MS / 10 && process_alive(pid); i++)
		pause_ms(10);
	assert_false(process_alive(pid));
}

static int
await_end(struct hook_run *run)
{
	int wait_status = -1;

	for (int i = 0; i < LIMIT_MS / 10; i++) {
		if (hook_run_reap(run, &wait_status))
			return wait_status;
		pause_ms(10);
	}
	fail_msg("it does not end");
	return -1;
}

static struct hook_run
start(const char *script, int lock_fd)
{
	char text[512];
	const char *argv[] = { "/bin/sh", "-c", text, NULL };
	const char *envp[] = { "PATH=/usr/bin:/bin", NULL };
	struct hook_run run = { 0 };

	snprintf(text, sizeof(text), "cd %s; %s", dir, script);
	assert_int_equal(hook_run_start(&run, argv, envp, lock_fd, -1), 0);
	return run;
}

static int
open_lock(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/tandem-hook-run-XXXXXX");
	return mkdtemp(dir) != NULL && chmod(dir, 0755) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void
its_end_is_told_as_it_was(void **state)
{
	static const struct {
		const char *script;
		int code, signal;
	} rows[] = {
		{ "exit 0", 0, 0 },
		{ "exit 7", 7, 0 },
		{ "kill -SEGV $$", 0, SIGSEGV },
		{ "kill -KILL $$", 0, SIGKILL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hook_run run = start(rows[i].script, -1);
		int status = await_end(&run);

		if (rows[i].signal != 0) {
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), rows[i].signal);
		} else {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), rows[i].code);
		}
		assert_int_equal(run.pid, 0);
	}
}

static void
what_is_not_there_ends_with_126(void **state)
{
	const char *argv[] = { "/nonexistent/hook", NULL };
	const char *envp[] = { NULL };
	struct hook_run run = { 0 };
	int status;

	(void)state;
	assert_int_equal(hook_run_start(&run, argv, envp, -1, -1), 0);
	status = await_end(&run);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 126);
}

static void
it_has_no_descriptor_and_no_blocked_signal_of_ours(void **state)
{
	int lock_fd = open_lock();
	sigset_t all, old;
	struct hook_run run;

	(void)state;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	run = start("test \"$(ls /proc/self/fd | wc -l)\" -le 4 &&"
		    " grep -q '^SigBlk:.*0000000000000000$' /proc/self/status &&"
		    " grep -q '^SigIgn:.*0000000000000000$' /proc/self/status",
	    lock_fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(await_end(&run), 0);
	close(lock_fd);
}

static void
sigterm_reaches_all_of_it_and_sigkill_ends_it(void **state)
{
	struct hook_run run =
	    start("trap '' TERM; (trap '' TERM; echo $$ >own; exec sleep 60) & echo $! "
		  ">child;"
		  " trap 'touch told' TERM; while :; do sleep 0.05; done",
		-1);
	pid_t child = pid_in("child");

	(void)state;
	hook_run_signal(&run, SIGTERM);
	await_file("told");
	assert_true(process_alive(child));
	hook_run_signal(&run, SIGKILL);
	assert_true(WIFSIGNALED(await_end(&run)));
	await_death(child);
}

static void
a_child_that_ignores_sigterm_does_not_outlive_a_run_that_was_ended(void **state)
{
	struct hook_run run =
	    start("(trap '' TERM; exec sleep 60) & echo $! >stubborn; wait", -1);
	pid_t child = pid_in("stubborn");

	(void)state;
	hook_run_signal(&run, SIGTERM);
	await_end(&run);
	await_death(child);
}

static void
a_daemon_that_it_starts_goes_on_and_is_not_waited_for(void **state)
{
	int lock_fd = open_lock(), other;
	struct hook_run run = start("sleep 60 & echo $! >daemon", lock_fd);
	pid_t daemon = pid_in("daemon");

	(void)state;
	assert_int_equal(await_end(&run), 0);
	assert_true(process_alive(daemon));
	close(lock_fd);
	other = open_lock();
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
	kill(daemon, SIGKILL);
}

/* Starts a run from a process of its own, which is then killed. */
static void
a_run_ends_with_who_watches_it_and_frees_the_lock_then(void **state)
{
	int lock_fd = open_lock(), other, wait_status;
	pid_t watcher, program, child;

	(void)state;
	assert_int_equal(flock(lock_fd, LOCK_EX | LOCK_NB), 0);
	watcher = fork();
	if (watcher == 0) {
		start("trap '' TERM; (trap '' TERM; exec sleep 60) & echo $! >child2;"
		      " echo $$ >program; wait",
		    lock_fd);
		pause();
		_exit(0);
	}
	close(lock_fd);
	program = pid_in("program");
	child = pid_in("child2");
	other = open_lock();
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	kill(watcher, SIGKILL);
	assert_int_equal(waitpid(watcher, &wait_status, 0), watcher);
	await_death(program);
	await_death(child);
	for (int i = 0; i < LIMIT_MS / 10 && flock(other, LOCK_EX | LOCK_NB) < 0; i++)
		pause_ms(10);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
}

static void
a_keeper_that_somebody_kills_takes_the_run_with_it(void **state)
{
	struct hook_run run = start("trap '' TERM; setsid sleep 60 & echo $! >away; "
				    "(exec sleep 60) & echo $! >near;"
				    " echo $$ >program2; wait",
	    -1);
	pid_t program = pid_in("program2"), near = pid_in("near"),
	      away = pid_in("away");

	(void)state;
	for (int t = 0; t < LIMIT_MS / 10 && getpgid(away) == run.pid; t++)
		pause_ms(10);
	assert_int_not_equal(getpgid(away), run.pid); /* it has left by now */
	kill(run.pid, SIGKILL);
	assert_true(WIFSIGNALED(await_end(&run)));
	await_death(program);
	await_death(near);
	assert_true(process_alive(away)); /* left on purpose, as daemons do */
	kill(away, SIGKILL);
}

/* ---- hook_path: whose program it is ---- */

static void
put(const char *name, const char *target, uid_t uid, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	if (target != NULL) {
		assert_int_equal(symlink(target, path), 0);
		assert_int_equal(lchown(path, uid, 0), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, uid, uid), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
only_root_may_be_able_to_replace_it(void **state)
{
	static const struct {
		const char *name, *target;
		uid_t uid;
		mode_t mode;
		int expect;
		const char *problem;
	} rows[] = {
		{ "good", NULL, 0, 0755, 0, "" },
		{ "unreadable", NULL, 0, 0700, 0, "" },
		{ "writable", NULL, 0, 0757, -EPERM, "can be written by others" },
		{ "group", NULL, 0, 0775, 0, "" },
		{ "foreign", NULL, 1234, 0755, -EPERM, "belongs to uid 1234" },
		{ "plain", NULL, 0, 0644, -EACCES, "no executable" },
		{ "link", "good", 0, 0, 0, "" },
		{ "link_by_another_way", "../../bin/../bin/sh", 0, 0, 0, "" },
		{ "absolute", "/bin/sh", 0, 0, 0, "" },
		{ "foreign_link", "/bin/sh", 1234, 0, -EPERM, "belongs to uid 1234" },
		{ "over_a_foreign_link", "foreign_link", 0, 0, -EPERM, "uid 1234" },
		{ "to_a_writable", "writable", 0, 0, -EPERM, "can be written" },
		{ "loop", "loop", 0, 0, -ELOOP, "" },
		{ "directory", "/bin", 0, 0, -EACCES, "no executable" },
		{ "nowhere", "absent", 0, 0, -ENOENT, "absent" },
		{ "under_a_file", "good/x", 0, 0, -ENOTDIR, "" },
	};
	char base[64], path[128], problem[256];

	(void)state;
	if (geteuid() != 0)
		skip();
	/* not below /tmp, which others can write */
	snprintf(base, sizeof(base), "%s", dir);
	snprintf(dir, sizeof(dir), "/run/tandem-hook-path-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result;

		put(rows[i].name, rows[i].target, rows[i].uid, rows[i].mode);
		snprintf(path, sizeof(path), "%s/%s", dir, rows[i].name);
		problem[0] = '\0';
		result = hook_path_check(path, problem, sizeof(problem));
		if (result != rows[i].expect ||
		    strstr(problem, rows[i].problem) == NULL)
			fail_msg("%s: %d '%s'", rows[i].name, result, problem);
	}
	assert_int_equal(chmod(dir, 0777), 0);
	snprintf(path, sizeof(path), "%s/good", dir);
	assert_int_equal(hook_path_check(path, problem, sizeof(problem)), -EPERM);
	assert_int_equal(hook_path_check("bin/sh", problem, sizeof(problem)), -EINVAL);
	tear_down(NULL);
	snprintf(dir, sizeof(dir), "%s", base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_end_is_told_as_it_was),
		cmocka_unit_test(what_is_not_there_ends_with_126),
		cmocka_unit_test(it_has_no_descriptor_and_no_blocked_signal_of_ours),
		cmocka_unit_test(sigterm_reaches_all_of_it_and_sigkill_ends_it),
		cmocka_unit_test(
		    a_child_that_ignores_sigterm_does_not_outlive_a_run_that_was_ended),
		cmocka_unit_test(a_daemon_that_it_starts_goes_on_and_is_not_waited_for),
		cmocka_unit_test(
		    a_run_ends_with_who_watches_it_and_frees_the_lock_then),
		cmocka_unit_test(a_keeper_that_somebody_kills_takes_the_run_with_it),
		cmocka_unit_test(only_root_may_be_able_to_replace_it),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
