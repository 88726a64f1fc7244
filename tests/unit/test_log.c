/* What reaches stderr, read back through a pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/log.h"

static char captured[8192];
static int saved_stderr, reader;

static void
capture_begin(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	reader = ends[0];
}

static const char *
capture_end(void)
{
	ssize_t len;
	size_t total = 0;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	while ((len = read(reader, captured + total, sizeof(captured) - 1 - total)) > 0)
		total += (size_t)len;
	captured[total] = '\0';
	close(reader);
	return captured;
}

static void
a_line_names_program_instance_level_and_area(void **state)
{
	const char *out;

	(void)state;
	capture_begin();
	log_init("tandem-vrrpd", "lab", LOG_TO_STDERR);
	log_warn("vrrp", "vrid=%u if=%s", 51, "wan0");
	log_debug("vrrp", "not shown at the default level");
	out = capture_end();
	assert_non_null(
	    strstr(out, "Z tandem-vrrpd[lab] warning: vrrp: vrid=51 if=wan0\n"));
	assert_null(strstr(out, "not shown"));
}

static void
journald_gets_the_priority_and_nothing_else_in_front(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	capture_begin();
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("tandem-vrrpd", "lab", LOG_TO_STDERR);
	log_err("vrrp", "fence=off");
	unsetenv("JOURNAL_STREAM");
	log_init("tandem-vrrpd", "lab", LOG_TO_STDERR);
	assert_string_equal(capture_end(), "<3>vrrp: fence=off\n");
}

static void
text_from_outside_cannot_forge_a_line(void **state)
{
	const char *out;

	(void)state;
	capture_begin();
	log_info("ctl", "reason=%s", "x\n<3>vrrp: forged\x1b[2J");
	out = capture_end();
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	assert_null(strchr(out, 0x1b));
}

static void
a_long_line_is_cut_at_1000_bytes(void **state)
{
	char text[3000];
	const char *out;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	capture_begin();
	log_info("area", "%s", text);
	out = capture_end();
	assert_int_equal(strlen(out), 1000);
	assert_int_equal(out[999], '\n');
}

static void
a_flood_is_limited_and_counted(void **state)
{
	struct log_limit limit = { 0 };
	unsigned passed = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		passed += log_limit_pass(&limit, "area", 3);
	assert_int_equal(passed, 3);
	assert_int_equal(limit.held, 97);
	limit.window_start_ns -= INT64_C(1000000000);
	capture_begin();
	assert_true(log_limit_pass(&limit, "area", 3));
	assert_non_null(strstr(capture_end(), "held_back=97"));
	assert_int_equal(limit.held, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_names_program_instance_level_and_area),
		cmocka_unit_test(journald_gets_the_priority_and_nothing_else_in_front),
		cmocka_unit_test(text_from_outside_cannot_forge_a_line),
		cmocka_unit_test(a_long_line_is_cut_at_1000_bytes),
		cmocka_unit_test(a_flood_is_limited_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
