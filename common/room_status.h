/* room_status.h - the samples of one status answer, and how they are cut into parts. */
#ifndef TANDEM_COMMON_ROOM_STATUS_H
#define TANDEM_COMMON_ROOM_STATUS_H

#include <stdbool.h>
#include <stdarg.h>
#include "common/arena.h"
#include "common/room.h"

#define STATUS_SAMPLES_MAX 1000000
#define STATUS_BYTES_MAX (256UL * 1024 * 1024)

struct room_status {
	struct td_sample *samples; /* owned; their strings are in the arena */
	size_t count, size;
	struct arena strings;
	bool failed; /* a limit or no memory: what was added before stays */
};

/* Fills `ret_part` with the samples from *at on that fit into one packet and moves *at.
 * The part borrows from `st`. False once all have gone out; an empty status is one part. */
bool room_status_next_part(const struct room_status *st, uint64_t id, size_t *at,
    struct td_msg *ret_part);

#endif
