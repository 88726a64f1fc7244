/* What a program writes, as it stands in the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/log.h"
#include "routerd/hook_output.h"

#define CAPTURED_MAX 65536
#define TURNS_MAX 1000

struct stage {
	struct loop *loop;
	struct hook_output output;
	int fd;
	FILE *log;
	int saved_stderr;
	char captured[CAPTURED_MAX];
};

static int
set_up(void **state)
{
	struct stage *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return -1;
	log_init("tandem-hookd", "lab", LOG_TO_STDERR);
	st->loop = loop_new();
	st->log = tmpfile();
	st->saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(st->log), STDERR_FILENO);
	st->fd = hook_output_open(&st->output, st->loop, "hook=active");
	*state = st;
	return st->loop != NULL && st->fd >= 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct stage *st = *state;

	dup2(st->saved_stderr, STDERR_FILENO);
	close(st->saved_stderr);
	fclose(st->log);
	loop_free(st->loop);
	free(st);
	return 0;
}

static const char *
log_of(struct stage *st)
{
	size_t len;

	rewind(st->log);
	len = fread(st->captured, 1, sizeof(st->captured) - 1, st->log);
	st->captured[len] = '\0';
	return st->captured;
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

static void
say(const struct stage *st, const char *text)
{
	assert_int_equal(write(st->fd, text, strlen(text)), strlen(text));
}

static void
on_deadline(struct loop_timer *timer)
{
	loop_stop(timer->context, 0);
}

/* Until so many lines were logged or held back. */
static void
await_lines(struct stage *st, uint64_t lines)
{
	struct loop_timer timer;

	loop_timer_init(st->loop, &timer, on_deadline, st->loop);
	for (int i = 0;
	     i < TURNS_MAX && st->output.logged + st->output.held_back < lines; i++) {
		loop_timer_set(&timer, instant_add(loop_now(st->loop), 10 * NS_PER_MS));
		loop_run(st->loop);
	}
	assert_true(st->output.logged + st->output.held_back >= lines);
}

static void
each_line_stands_in_the_log_with_who_said_it(void **state)
{
	struct stage *st = *state;
	const char *log;

	say(st, "one\n\ntwo \x1b[2J\nno ");
	await_lines(st, 2);
	say(st, "end");
	close(st->fd);
	hook_output_close(&st->output);
	log = log_of(st);
	assert_int_equal(count(log, "\n"), 3);
	assert_non_null(strstr(log, " info: output: hook=active: one\n"));
	assert_non_null(strstr(log, ": hook=active: two  [2J\n"));
	assert_non_null(strstr(log, ": hook=active: no end\n"));
	hook_output_close(&st->output); /* once more does nothing */
	assert_int_equal(count(log_of(st), "\n"), 3);
}

static void
a_line_without_end_is_several(void **state)
{
	struct stage *st = *state;
	char text[2 * HOOK_OUTPUT_LINE_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	say(st, text);
	close(st->fd);
	hook_output_close(&st->output);
	assert_int_equal(count(log_of(st), "\n"), 3);
	assert_int_equal(count(log_of(st), "x"), sizeof(text) - 1);
}

static void
who_says_too_much_is_counted_and_not_held_up(void **state)
{
	struct stage *st = *state;
	int wait_status;
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned i = 0; i < 20000; i++)
			if (write(st->fd, "twenty bytes of it..\n", 21) != 21)
				_exit(1);
		_exit(0);
	}
	close(st->fd);
	await_lines(st, 20000);
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	assert_int_equal(wait_status, 0);
	hook_output_close(&st->output);
	assert_int_equal(
	    count(log_of(st), "twenty bytes of it..\n"), HOOK_OUTPUT_LINES_MAX);
	assert_non_null(strstr(log_of(st), "hook=active: held_back=19900 more lines"));
}

static void
the_end_does_not_wait_for_who_goes_on_writing(void **state)
{
	struct stage *st = *state;
	int wait_status;
	pid_t pid = fork();

	if (pid == 0) {
		close(st->output.lf.fd);
		signal(SIGPIPE, SIG_DFL);
		while (write(st->fd, "and on\n", 7) == 7)
			;
		_exit(1);
	}
	close(st->fd);
	await_lines(st, HOOK_OUTPUT_LINES_MAX + 1);
	hook_output_close(&st->output);
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	assert_true(WIFSIGNALED(wait_status));
	assert_int_equal(WTERMSIG(wait_status), SIGPIPE);
	assert_int_equal(count(log_of(st), ": and on\n"), HOOK_OUTPUT_LINES_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    each_line_stands_in_the_log_with_who_said_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_line_without_end_is_several, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    who_says_too_much_is_counted_and_not_held_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    the_end_does_not_wait_for_who_goes_on_writing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
