/* The term across lives, on a real directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vrrpd/term_store.h"

static char path[] = "/tmp/tandem-term-XXXXXX";
static int dir_fd = -1;

static int
setup(void **state)
{
	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	if (mkdtemp(path) == NULL)
		return -1;
	dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); /* as tandemd gives it */
	return dir_fd < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlinkat(dir_fd, "term", 0);
	unlinkat(dir_fd, "term.next", 0);
	close(dir_fd);
	return rmdir(path);
}

static uint64_t
stored(void)
{
	struct term_store ts;
	uint64_t term = 12345;

	assert_int_equal(term_store_open(&ts, dir_fd, &term), 0);
	return term;
}

static void
put_in(const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
put(const char *text)
{
	put_in("term", text);
}

static void
test_no_file_is_term_0(void **state)
{
	(void)state;
	assert_int_equal(stored(), 0);
}

static void
test_a_prepared_term_counts_only_when_committed(void **state)
{
	struct term_store ts;
	uint64_t term;

	(void)state;
	assert_int_equal(term_store_open(&ts, dir_fd, &term), 0);
	assert_int_equal(term_store_prepare(&ts, 8), 0);
	assert_int_equal(term_store_finish(&ts), 0);
	assert_int_equal(ts.prepared, 8);
	assert_int_equal(stored(), 0);
	assert_int_equal(term_store_commit(&ts, 8), 0);
	assert_int_equal(stored(), 8);
	assert_int_equal(term_store_finish(&ts), 0);
}

static void
test_a_commit_that_nobody_prepared_is_stored_all_the_same(void **state)
{
	struct term_store ts;
	uint64_t term;

	(void)state;
	assert_int_equal(term_store_open(&ts, dir_fd, &term), 0);
	assert_int_equal(term_store_prepare(&ts, 8), 0);
	assert_int_equal(term_store_commit(&ts, 11), 0); /* while 8 is on its way */
	assert_int_equal(stored(), 11);
	assert_int_equal(term_store_finish(&ts), 0);
}

static void
test_the_last_of_several_preparations_wins(void **state)
{
	struct term_store ts;
	uint64_t term;

	(void)state;
	assert_int_equal(term_store_open(&ts, dir_fd, &term), 0);
	for (uint64_t t = 5; t < 10; t++)
		assert_int_equal(term_store_prepare(&ts, t), 0);
	assert_int_equal(term_store_finish(&ts), 0);
	assert_int_equal(ts.prepared, 9);
	assert_int_equal(term_store_commit(&ts, 9), 0);
	assert_int_equal(stored(), 9);
	assert_int_equal(term_store_finish(&ts), 0);
}

static void
test_a_term_never_goes_back(void **state)
{
	struct term_store ts;
	uint64_t term;

	(void)state;
	put("20\n");
	assert_int_equal(term_store_open(&ts, dir_fd, &term), 0);
	assert_int_equal(term, 20);
	assert_int_equal(term_store_commit(&ts, 19), 0);
	assert_int_equal(stored(), 20);
}

static void
test_a_damaged_file_is_an_error(void **state)
{
	static const char *const texts[] = { "", "x\n", "7", "7 \n", "-1\n", "0x10\n",
		"18446744073709551615\n", "99999999999999999999999\n" };
	struct term_store ts;
	uint64_t term;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i]);
		if (term_store_open(&ts, dir_fd, &term) != -EINVAL)
			fail_msg("accepted: \"%s\"", texts[i]);
	}
}

static const struct recover_row {
	const char *name, *term, *next;
	uint64_t recovered;
} recover_rows[] = {
	{ "an empty file / what was prepared", "", "8\n", 8 },
	{ "a torn number is not believed", "12", "8\n", 8 },
	{ "a number nobody can follow", "18446744073709551615\n", "8\n", 8 },
	{ "both are garbage / 0", "\xff\xff", "-1\n", 0 },
};

static void
test_from_a_damaged_file_the_highest_is_recovered_and_stored_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(recover_rows) / sizeof(recover_rows[0]); i++) {
		const struct recover_row *row = &recover_rows[i];
		struct term_store ts;
		uint64_t term = 99;

		print_message("  %s\n", row->name);
		put(row->term);
		put_in("term.next", row->next);
		assert_int_equal(term_store_open(&ts, dir_fd, &term), -EINVAL);
		assert_int_equal(term, row->recovered);
		/* Also when it is no news: the file is still damaged. */
		assert_true(term == 0 || term_store_lacks(&ts, term));
		term += term == 0;
		assert_int_equal(term_store_commit(&ts, term), 0);
		assert_false(term_store_lacks(&ts, term));
		assert_int_equal(term_store_finish(&ts), 0);
		assert_int_equal(stored(), term);
	}
}

/* A directory of that name stands for every disk that refuses. */
static void
test_a_term_that_cannot_be_stored_is_known_as_such_until_it_is(void **state)
{
	struct term_store ts;
	uint64_t term = 99;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "term", 0700), 0);
	assert_int_equal(term_store_open(&ts, dir_fd, &term), -EISDIR);
	assert_int_equal(term, 0);
	assert_true(term_store_commit(&ts, 1) < 0);
	assert_true(term_store_lacks(&ts, 1));
	assert_int_equal(unlinkat(dir_fd, "term", AT_REMOVEDIR), 0);
	assert_int_equal(term_store_commit(&ts, 1), 0);
	assert_false(term_store_lacks(&ts, 1));
	assert_int_equal(term_store_finish(&ts), 0);
	assert_int_equal(stored(), 1);
}

static void
test_a_directory_that_is_gone_is_an_error(void **state)
{
	struct term_store ts;
	uint64_t term;
	int gone;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "gone", 0700), 0);
	gone = openat(dir_fd, "gone", O_PATH | O_DIRECTORY);
	unlinkat(dir_fd, "gone", AT_REMOVEDIR);
	assert_int_equal(term_store_open(&ts, gone, &term), 0);
	assert_true(term_store_commit(&ts, 3) < 0);
	assert_int_equal(ts.stored, 0);
	close(gone);
}

static void
test_without_a_directory_nothing_is_kept_and_nothing_fails(void **state)
{
	struct term_store ts;
	uint64_t term;

	(void)state;
	assert_int_equal(term_store_open(&ts, -1, &term), 0);
	assert_int_equal(term_store_prepare(&ts, 3), 0);
	assert_int_equal(term_store_commit(&ts, 3), 0);
	assert_int_equal(term_store_finish(&ts), 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_no_file_is_term_0),
		TEST(test_a_prepared_term_counts_only_when_committed),
		TEST(test_a_commit_that_nobody_prepared_is_stored_all_the_same),
		TEST(test_the_last_of_several_preparations_wins),
		TEST(test_a_term_never_goes_back),
		TEST(test_a_damaged_file_is_an_error),
		TEST(
		    test_from_a_damaged_file_the_highest_is_recovered_and_stored_again),
		TEST(test_a_term_that_cannot_be_stored_is_known_as_such_until_it_is),
		TEST(test_a_directory_that_is_gone_is_an_error),
		TEST(test_without_a_directory_nothing_is_kept_and_nothing_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
