/*
 * term_store.h - the highest term of this node, across crashes.
 *
 * A takeover must not wait for a disk. So the next term is written and flushed into a
 * file beside the real one while nothing is urgent (prepare), and taking it into use is
 * one rename (commit); the directory is flushed afterwards (flush).
 *
 * Files    "term" and "term.next" in the state directory: a number and a newline.
 * Errors   negative errno. -EINVAL: the file is not what we wrote.
 */
#ifndef TANDEM_VRRPD_TERM_STORE_H
#define TANDEM_VRRPD_TERM_STORE_H

#include <stdbool.h>
#include <stdint.h>

struct term_store {
	int dir_fd; /* borrowed; -1: nothing is kept */
	uint64_t stored, prepared;
	bool unflushed;
};

/* An absent file is term 0. */
int term_store_open(struct term_store *ts, int dir_fd, uint64_t *ret_term);
int term_store_prepare(struct term_store *ts, uint64_t term);
/* Fast if `term` was prepared. Lower than stored: nothing to do. */
int term_store_commit(struct term_store *ts, uint64_t term);
int term_store_flush(struct term_store *ts);

#endif
