#include "vrrpd/term_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <tandem/assert.h>

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

static int
read_term(int dir_fd, const char *name, uint64_t *ret_term)
{
	char text[32];
	ssize_t len;
	int fd, result;

	*ret_term = 0;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	result = len < 0 ? -errno : 0;
	close(fd);
	if (result < 0)
		return result;
	text[len] = '\0';
	return parse_term(text, ret_term);
}

int
term_store_open(struct term_store *ts, int dir_fd, uint64_t *ret_term)
{
	int result;

	*ts = (struct term_store){ .dir_fd = dir_fd };
	*ret_term = 0;
	if (dir_fd < 0)
		return 0;
	result = read_term(dir_fd, TERM_FILE, &ts->stored);
	if (result == -ENOENT)
		result = 0;
	*ret_term = ts->stored;
	/* What was prepared is one above what was in use: too high by one at most, and
	 * too high is the safe side. `stored` stays 0, so the file is written anew. */
	if (result < 0)
		(void)read_term(dir_fd, TERM_NEXT_FILE, ret_term);
	return result;
}

/* Takes `fd` over. */
static int
flush_begin(struct term_store *ts, int fd, uint64_t term)
{
	int result;

	td_assert(!ts->flushing);
	ts->flush = (struct aiocb){ .aio_fildes = fd };
	ts->flush.aio_sigevent.sigev_notify = SIGEV_NONE;
	if (aio_fsync(O_SYNC, &ts->flush) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	ts->flushing = true;
	ts->flush_term = term;
	return 0;
}

/* Writes the file; its flush is the caller's. Returns the descriptor. */
static int
write_next(const struct term_store *ts, uint64_t term)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRIu64 "\n", term);
	int fd = openat(ts->dir_fd, TERM_NEXT_FILE,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, text, (size_t)len);
	if (written != len) {
		int result = written < 0 ? -errno : -ENOSPC;

		close(fd);
		return result;
	}
	return fd;
}

static int
start_next(struct term_store *ts)
{
	uint64_t term = ts->next_term;
	int fd;

	if (ts->directory_dirty) {
		ts->directory_dirty = false;
		/* The descriptor we were given may be a mere path. */
		fd = openat(ts->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -errno : flush_begin(ts, fd, 0);
	}
	if (term == 0)
		return 0;
	ts->next_term = 0;
	ts->prepared = 0; /* that file is overwritten */
	fd = write_next(ts, term);
	return fd < 0 ? fd : flush_begin(ts, fd, term);
}

int
term_store_poll(struct term_store *ts)
{
	int ended = 0, started;

	if (ts->flushing) {
		int error = aio_error(&ts->flush);

		if (error == EINPROGRESS)
			return 0;
		(void)aio_return(&ts->flush);
		close(ts->flush.aio_fildes);
		ts->flushing = false;
		if (error == 0 && ts->flush_term != 0)
			ts->prepared = ts->flush_term;
		ended = -error;
	}
	started = start_next(ts);
	return ended < 0 ? ended : started;
}

int
term_store_finish(struct term_store *ts)
{
	int result = 0;

	while (ts->flushing || ts->directory_dirty || ts->next_term != 0) {
		const struct aiocb *const list[] = { &ts->flush };

		if (ts->flushing)
			(void)aio_suspend(list, 1, NULL);
		int r = term_store_poll(ts);

		result = result < 0 ? result : r;
	}
	return result;
}

int
term_store_prepare(struct term_store *ts, uint64_t term)
{
	if (ts->dir_fd < 0 || term == ts->prepared || term <= ts->stored)
		return 0;
	if (ts->flushing && ts->flush_term == term)
		return 0;
	ts->next_term = term;
	return term_store_poll(ts);
}

int
term_store_commit(struct term_store *ts, uint64_t term)
{
	int result = 0;

	if (ts->dir_fd < 0 || term <= ts->stored)
		return 0;
	(void)term_store_poll(ts);
	if (ts->prepared != term) {
		result = term_store_prepare(ts, term);
		if (result == 0)
			result = term_store_finish(ts);
	}
	if (result < 0)
		return result;
	if (ts->prepared != term)
		return -EIO;
	if (renameat(ts->dir_fd, TERM_NEXT_FILE, ts->dir_fd, TERM_FILE) < 0)
		return -errno;
	ts->stored = term;
	ts->prepared = 0;
	ts->directory_dirty = true;
	return 0;
}
