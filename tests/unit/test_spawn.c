/* What a child gets from its parent, and what it does not. */
#include "routerd/spawn.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534
#define NOT_ALLOWED 77

static int
exit_of_child(const char *script)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	struct spawn_spec spec = { .path = "/bin/sh",
		.argv = argv,
		.uid = NOBODY,
		.gid = NOBODY,
		.capabilities = { -1 },
		.stdin_fd = -1,
		.stdout_fd = -1,
		.control_fd = -1,
		.life_fd = -1 };
	pid_t pid = spawn(&spec);
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_without_input_it_reads_nothing(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	for (int taken = 0; taken < 12; taken++) {
		int fds[12];

		for (int i = 0; i < taken; i++)
			fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_int_equal(exit_of_child("! read line && exit 7"), 7);
		for (int i = 0; i < taken; i++)
			close(fds[i]);
	}
}

static bool
set_limit(int resource, rlim_t value)
{
	const struct rlimit limit = { value, value };

	return setrlimit((__rlimit_resource_t)resource, &limit) == 0;
}

static bool
set_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	bool set = fd >= 0 && write(fd, score, strlen(score)) > 0;

	close(fd);
	return set;
}

/* As under systemd, whose unit gives tandemd what it hands on to vrrpd. A process of
 * its own, so that this one keeps its limits. */
static int
exit_of_child_of_a_rich_parent(const char *script)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (!set_oom_score("500"))
			_exit(NOT_ALLOWED);
		/* Whether these two may be raised is the host's business. */
		set_limit(RLIMIT_RTPRIO, 50);
		set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
		_exit(exit_of_child(script));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_without_realtime_nothing_of_it_is_inherited(void **state)
{
	static const char *const scripts[] = {
		"test $(ulimit -Hr) = 0 && test $(ulimit -Sr) = 0",
		"test $(ulimit -Hl) = 64 && test $(ulimit -Sl) = 64",
		"test $(cat /proc/self/oom_score_adj) = 0",
	};

	(void)state;
	if (geteuid() != 0 || exit_of_child_of_a_rich_parent("exit 0") == NOT_ALLOWED)
		skip();
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (exit_of_child_of_a_rich_parent(scripts[i]) != 0)
			fail_msg("%s", scripts[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_input_it_reads_nothing),
		cmocka_unit_test(test_without_realtime_nothing_of_it_is_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
