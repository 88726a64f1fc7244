/* A child gets its descriptors whichever numbers its parent has free. */
#include "routerd/spawn.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_input_it_reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
