/*
 * ct_dump.h - the conntrack table of this network namespace, read in steps.
 *
 * The kernel fills the next part only when the last was read: the pace is the caller's,
 * who calls ct_dump_step from a timer with a budget. Entries come in the kernel's
 * secret order; one that is created or destroyed meanwhile may or may not appear, and a
 * resize of the hash may repeat or miss some: subscribe to events first and merge.
 *
 * Memory   one object, one buffer; nothing per entry.
 * Errors   negative errno.
 */
#ifndef TANDEM_SYNCD_CT_DUMP_H
#define TANDEM_SYNCD_CT_DUMP_H

#include <stdbool.h>
#include <stdint.h>
#include "syncd/ct_events.h"

struct ct_dump;

struct ct_dump_counters {
	uint64_t started, finished, failed;
	uint64_t entries; /* handed to the handler */
	uint64_t skipped; /* by the filter */
	uint64_t dropped[CT_DROP_COUNT];
	uint64_t bytes;
};

/* `filter` is copied and may be NULL. Events have kind CT_EVENT_DUMPED. */
int ct_dump_new(const struct ct_filter *filter, ct_event_handler *on_entry,
    void *context, struct ct_dump **ret_dump);
void ct_dump_free(struct ct_dump *dump);
void ct_dump_set_filter(struct ct_dump *dump, const struct ct_filter *filter);

/* In the namespace the process is in now. family: TD_AF_INET, TD_AF_INET6 or 0 for
 * both. -EBUSY while one is running. */
int ct_dump_start(struct ct_dump *dump, uint8_t family);
bool ct_dump_running(const struct ct_dump *dump);
void ct_dump_abort(struct ct_dump *dump);

/* Reads about `entries_max` entries (whole kernel buffers, so some more). 1: more to
 * come, 0: complete, negative errno: the dump failed and is over. Never blocks. */
int ct_dump_step(struct ct_dump *dump, uint32_t entries_max);

const struct ct_dump_counters *ct_dump_counters(const struct ct_dump *dump);

/* One flow by the tuple of either direction, at once: 0, or -ENOENT. */
int ct_dump_get(struct ct_dump *dump, const struct flow_key *key,
    struct flow_record *ret_flow, struct ct_facts *ret_facts);

#endif
