#include "vrrpd/term_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERM_FILE "term"
#define TERM_NEXT_FILE "term.next"

static int
parse_term(const char *text, uint64_t *ret_term)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || errno != 0 || strcmp(end, "\n") != 0 ||
	    value >= UINT64_MAX - 1)
		return -EINVAL;
	*ret_term = value;
	return 0;
}

int
term_store_open(struct term_store *ts, int dir_fd, uint64_t *ret_term)
{
	char text[32];
	ssize_t len;
	int fd, result;

	*ts = (struct term_store){ .dir_fd = dir_fd };
	*ret_term = 0;
	if (dir_fd < 0)
		return 0;
	fd = openat(dir_fd, TERM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	len = read(fd, text, sizeof(text) - 1);
	result = len < 0 ? -errno : 0;
	close(fd);
	if (result < 0)
		return result;
	text[len] = '\0';
	result = parse_term(text, ret_term);
	ts->stored = *ret_term;
	return result;
}

int
term_store_prepare(struct term_store *ts, uint64_t term)
{
	char text[32];
	int fd, len, result = 0;

	if (ts->dir_fd < 0 || term == ts->prepared)
		return 0;
	ts->prepared = 0;
	fd = openat(ts->dir_fd, TERM_NEXT_FILE,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	len = snprintf(text, sizeof(text), "%" PRIu64 "\n", term);
	if (write(fd, text, (size_t)len) != len)
		result = errno != 0 ? -errno : -EIO;
	else if (fsync(fd) < 0)
		result = -errno;
	close(fd);
	if (result == 0)
		ts->prepared = term;
	return result;
}

int
term_store_commit(struct term_store *ts, uint64_t term)
{
	int result;

	if (ts->dir_fd < 0 || term <= ts->stored)
		return 0;
	if (ts->prepared != term) {
		result = term_store_prepare(ts, term);
		if (result < 0)
			return result;
	}
	if (renameat(ts->dir_fd, TERM_NEXT_FILE, ts->dir_fd, TERM_FILE) < 0)
		return -errno;
	ts->stored = term;
	ts->prepared = 0;
	ts->unflushed = true;
	return 0;
}

int
term_store_flush(struct term_store *ts)
{
	int fd, result = 0;

	if (!ts->unflushed)
		return 0;
	/* The descriptor we were given may be a mere path. */
	fd = openat(ts->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		result = -errno;
	close(fd);
	if (result == 0)
		ts->unflushed = false;
	return result;
}
