/* Key pairs, key files, the epoch file, and who may connect. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/z85.h"
#include "syncd/core/zap.h"
#include "syncd/epoch_file.h"
#include "syncd/keys.h"

struct dir {
	char path[64], file[96];
	int fd;
};

static int
dir_new(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	strcpy(d->path, "/tmp/test_keys.XXXXXX");
	assert_non_null(mkdtemp(d->path));
	snprintf(d->file, sizeof(d->file), "%s/secret.key", d->path);
	d->fd = open(d->path, O_PATH | O_DIRECTORY);
	assert_true(d->fd >= 0);
	*state = d;
	return 0;
}

static int
dir_free(void **state)
{
	struct dir *d = *state;

	unlink(d->file);
	unlinkat(d->fd, "epoch", 0);
	close(d->fd);
	rmdir(d->path);
	free(d);
	return 0;
}

static void
file_fill(const struct dir *d, const char *text, mode_t mode)
{
	int fd = open(d->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(strlen(text), write(fd, text, strlen(text)));
	assert_int_equal(0, fchmod(fd, mode));
	close(fd);
}

static void
a_public_key_is_that_of_curvezmq(void **state)
{
	/* The pair printed in ZeroMQ's manual page of zmq_curve. */
	static const char public_text[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
	static const char secret_text[] = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";
	uint8_t secret_key[32], public_key[32];
	struct key_pair pair;

	(void)state;
	assert_true(z85_key_decode(secret_text, secret_key));
	assert_true(z85_key_decode(public_text, public_key));
	assert_int_equal(0, key_pair_from_secret(secret_key, &pair));
	assert_memory_equal(public_key, pair.public_key, 32);
}

static void
a_key_file_is_private_and_reads_back(void **state)
{
	const struct dir *d = *state;
	struct key_pair pair, back;
	struct stat st;

	assert_int_equal(0, key_pair_new(&pair));
	assert_int_equal(0, key_file_write(d->file, &pair));
	assert_int_equal(0, stat(d->file, &st));
	assert_int_equal(0600, st.st_mode & 07777);
	assert_int_equal(0, key_file_read(d->file, &back));
	assert_memory_equal(&pair, &back, sizeof(pair));
	/* And is never replaced. */
	assert_int_equal(-EEXIST, key_file_write(d->file, &pair));
}

static void
key_files_that_are_not_are_refused(void **state)
{
	const struct dir *d = *state;
	static const char good[] = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\n";
	static const struct {
		const char *name, *text;
		mode_t mode;
		int status;
	} rows[] = {
		{ "good", good, 0600, 0 },
		{ "good without newline", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
		    0400, 0 },
		{ "readable by the group", good, 0640, -EPERM },
		{ "readable by others", good, 0604, -EPERM },
		{ "empty", "", 0600, -EBADMSG },
		{ "too short", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%c\n", 0600,
		    -EBADMSG },
		{ "too long", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs0\n", 0600,
		    -EBADMSG },
		{ "not Z85", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%c~\n", 0600,
		    -EBADMSG },
		{ "zero", "0000000000000000000000000000000000000000\n", 0600,
		    -EBADMSG },
	};
	struct key_pair pair;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r;

		file_fill(d, rows[i].text, rows[i].mode);
		r = key_file_read(d->file, &pair);
		if (r != rows[i].status)
			fail_msg("%s: %s", rows[i].name, strerror(-r));
	}
	unlink(d->file);
	assert_int_equal(-ENOENT, key_file_read(d->file, &pair));
}

static void
the_epoch_is_zero_at_first_and_then_what_was_stored(void **state)
{
	const struct dir *d = *state;
	uint64_t epoch = 99;

	assert_int_equal(0, epoch_file_read(d->fd, &epoch));
	assert_int_equal(0, epoch);
	assert_int_equal(0, epoch_file_write(d->fd, 7));
	assert_int_equal(0, epoch_file_write(d->fd, UINT64_MAX));
	assert_int_equal(0, epoch_file_read(d->fd, &epoch));
	assert_true(epoch == UINT64_MAX);
	assert_int_equal(-1, faccessat(d->fd, "epoch.new", F_OK, 0));
}

static void
an_epoch_file_with_something_else_is_refused(void **state)
{
	const struct dir *d = *state;
	static const char *const texts[] = { "", "x\n", "5", "-1\n", "5 6\n",
		"99999999999999999999999\n" };
	uint64_t epoch;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd = openat(d->fd, "epoch", O_WRONLY | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(
		    strlen(texts[i]), write(fd, texts[i], strlen(texts[i])));
		close(fd);
		assert_int_equal(-EBADMSG, epoch_file_read(d->fd, &epoch));
	}
}

static void
only_the_peers_keys_may_connect(void **state)
{
	uint8_t keys[2][TD_KEY_BYTES] = { { 1, 2, 3 }, { 4, 5, 6 } };
	uint8_t one_key[2][TD_KEY_BYTES] = { { 1, 2, 3 } };
	uint8_t other[TD_KEY_BYTES] = { 1, 2, 4 }, zero[TD_KEY_BYTES] = { 0 };
	const struct {
		const char *name, *version, *domain, *mechanism;
		const uint8_t *key;
		size_t key_len, frames;
		const uint8_t (*allowed)[TD_KEY_BYTES];
		enum zap_verdict verdict;
	} rows[] = {
		{ "the key", "1.0", "tandem", "CURVE", keys[0], 32, 7, keys,
		    ZAP_ALLOWED },
		{ "the second key", "1.0", "tandem", "CURVE", keys[1], 32, 7, keys,
		    ZAP_ALLOWED },
		{ "a second key that is not set", "1.0", "tandem", "CURVE", keys[1], 32,
		    7, one_key, ZAP_DENIED_KEY },
		{ "zero is no key", "1.0", "tandem", "CURVE", zero, 32, 7, one_key,
		    ZAP_DENIED_KEY },
		{ "one byte off", "1.0", "tandem", "CURVE", other, 32, 7, keys,
		    ZAP_DENIED_KEY },
		{ "a short key", "1.0", "tandem", "CURVE", keys[0], 31, 7, keys,
		    ZAP_DENIED_REQUEST },
		{ "no key", "1.0", "tandem", "CURVE", keys[0], 32, 6, keys,
		    ZAP_DENIED_REQUEST },
		{ "NULL", "1.0", "tandem", "NULL", keys[0], 32, 6, keys,
		    ZAP_DENIED_MECHANISM },
		{ "PLAIN", "1.0", "tandem", "PLAIN", keys[0], 32, 7, keys,
		    ZAP_DENIED_MECHANISM },
		{ "another domain", "1.0", "global", "CURVE", keys[0], 32, 7, keys,
		    ZAP_DENIED_DOMAIN },
		{ "no domain", "1.0", "", "CURVE", keys[0], 32, 7, keys,
		    ZAP_DENIED_DOMAIN },
		{ "another version", "2.0", "tandem", "CURVE", keys[0], 32, 7, keys,
		    ZAP_DENIED_REQUEST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct zap_frame frames[ZAP_FRAMES] = {
			{ (const uint8_t *)rows[i].version, strlen(rows[i].version) },
			{ (const uint8_t *)"1", 1 },
			{ (const uint8_t *)rows[i].domain, strlen(rows[i].domain) },
			{ (const uint8_t *)"10.255.0.2", 10 },
			{ (const uint8_t *)"", 0 },
			{ (const uint8_t *)rows[i].mechanism,
			    strlen(rows[i].mechanism) },
			{ rows[i].key, rows[i].key_len },
		};

		if (zap_judge(frames, rows[i].frames, rows[i].allowed) !=
		    rows[i].verdict)
			fail_msg("%s", rows[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_public_key_is_that_of_curvezmq),
		cmocka_unit_test_setup_teardown(
		    a_key_file_is_private_and_reads_back, dir_new, dir_free),
		cmocka_unit_test_setup_teardown(
		    key_files_that_are_not_are_refused, dir_new, dir_free),
		cmocka_unit_test_setup_teardown(
		    the_epoch_is_zero_at_first_and_then_what_was_stored, dir_new,
		    dir_free),
		cmocka_unit_test_setup_teardown(
		    an_epoch_file_with_something_else_is_refused, dir_new, dir_free),
		cmocka_unit_test(only_the_peers_keys_may_connect),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
