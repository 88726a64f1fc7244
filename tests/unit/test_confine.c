/* What a confined process can no longer do, tried in children of their own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "routerd/confine.h"

enum { UNSUPPORTED = 77 };

static int
open_file(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int
list_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY);
}

static int
make_file(void)
{
	return open("/tmp/tandem-test-confine", O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static int
run_program(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int
use_what_is_open(void)
{
	/* Standard error was opened before: writing is still allowed. */
	return write(STDERR_FILENO, "", 0) == 0 ? 0 : -1;
}

/* 0: it went through; errno otherwise; UNSUPPORTED. */
static int
try_confined(int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int error = confine_self();

		if (error == -ENOSYS || error == -EOPNOTSUPP)
			_exit(UNSUPPORTED);
		_exit(error < 0 ? 255 : act() < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
expect(int (*act)(void), int expected)
{
	int result = try_confined(act);

	if (result == UNSUPPORTED)
		skip();
	assert_int_equal(result, expected);
}

static void
test_no_path_can_be_opened(void **state)
{
	(void)state;
	expect(open_file, EACCES);
	expect(list_root, EACCES);
	expect(make_file, EACCES);
}

static void
test_no_program_can_be_run(void **state)
{
	(void)state;
	expect(run_program, EACCES);
}

static void
test_what_is_open_stays_usable(void **state)
{
	(void)state;
	expect(use_what_is_open, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_path_can_be_opened),
		cmocka_unit_test(test_no_program_can_be_run),
		cmocka_unit_test(test_what_is_open_stays_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
