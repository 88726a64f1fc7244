/*
 * term_store.h - the highest term of this node, across crashes.
 *
 * Neither a takeover nor an advertisement may wait for a disk. So the next term is
 * written into a file beside the real one and flushed in the background (prepare);
 * taking it into use is one rename (commit), whose directory is flushed in the
 * background again. Only a commit that nobody prepared waits.
 *
 * Files    "term" and "term.next" in the state directory: a number and a newline.
 * Errors   negative errno. -EINVAL: the file is not what we wrote. No error here is a
 *          reason not to run: the peer, who has seen every term in use, tells it.
 */
#ifndef TANDEM_VRRPD_TERM_STORE_H
#define TANDEM_VRRPD_TERM_STORE_H

#include <aio.h>
#include <stdbool.h>
#include <stdint.h>

struct term_store {
	int dir_fd; /* borrowed; -1: nothing is kept */
	uint64_t stored, prepared;
	struct aiocb flush;   /* of a file descriptor that it owns */
	bool flushing;        /* the kernel is at work on it */
	uint64_t flush_term;  /* prepared when it ends; 0: it is the directory */
	uint64_t next_term;   /* to be prepared when it ends; 0: none */
	bool directory_dirty; /* to be flushed when it ends */
};

/* An absent file is term 0. `*ret_term` is always set: on an error to the highest term
 * that can be recovered, else 0. */
int term_store_open(struct term_store *ts, int dir_fd, uint64_t *ret_term);
/* Returns before the term is on disk. */
int term_store_prepare(struct term_store *ts, uint64_t term);
/* Fast if `term` was prepared. Lower than stored: nothing to do. */
int term_store_commit(struct term_store *ts, uint64_t term);
/* Sees whether a flush has ended, and starts the next. Call it every second or so; the
 * result is that of a flush that has ended. */
int term_store_poll(struct term_store *ts);
/* Waits for everything. */
int term_store_finish(struct term_store *ts);
/* Whether `term` would be forgotten by a crash of the process. */
static inline bool
term_store_lacks(const struct term_store *ts, uint64_t term)
{
	return ts->dir_fd >= 0 && term > ts->stored;
}

#endif
