/*
 * ct_grace.h - after a takeover: inherited TCP flows get their windows judged again.
 *
 * A replica is inserted with BE_LIBERAL, because no attribute carries sequence numbers
 * and the first packet an entry sees may be a retransmission, which teaches it a window
 * that is too low. Left on, a flow could be reset or fed by whoever guesses its ports.
 * Once packets have passed both ways the kernel has learned the window; then the flag
 * goes.
 *
 * A walk is a paced dump: entries that are liberal, whose scales are known and which
 * have counted packets in both directions since they were inserted here. The idle ones
 * are left for the next walk. Flows that were born here have never been liberal.
 *
 * Memory   one object; the injector is borrowed.
 * Errors   negative errno.
 */
#ifndef TANDEM_SYNCD_CT_GRACE_H
#define TANDEM_SYNCD_CT_GRACE_H

#include <stdbool.h>
#include <stdint.h>

struct ct_filter;
struct ct_grace;
struct ct_inject;

struct ct_grace_counters {
	uint64_t walks;
	uint64_t strict; /* flows whose windows are judged again, sum of all walks */
	uint64_t idle;   /* of the last walk: left liberal, too few packets so far */
};

/* Results of its updates reach the injector's own handler under `cookie`. */
int ct_grace_new(const struct ct_filter *filter, struct ct_inject *inject,
    uint64_t cookie, struct ct_grace **ret_grace);
void ct_grace_free(struct ct_grace *grace);

int ct_grace_start(struct ct_grace *grace); /* -EBUSY while a walk is running */
bool ct_grace_running(const struct ct_grace *grace);
void ct_grace_abort(struct ct_grace *grace); /* no longer Active */

/* Reads about `entries_max` entries and flushes the updates. 1: more, 0: the walk is
 * over, negative errno: it failed and is over. */
int ct_grace_step(struct ct_grace *grace, uint32_t entries_max);

const struct ct_grace_counters *ct_grace_counters(const struct ct_grace *grace);

#endif
