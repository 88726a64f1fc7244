/*
 * ct_inject.h - replicated flows into this kernel's conntrack table.
 *
 * Operations are queued and sent many per system call. Netlink carries out a request
 * inside sendmsg: when ct_inject_flush has returned, every queued operation is applied
 * or refused, and its handler was called. That is the moment to acknowledge to the
 * peer.
 *
 *   upsert   create, or update when the entry is there. An entry that holds one of the
 *            tuples with another translation is a stale one of ours: it is deleted and
 *            the flow created (counted) with CT_INJECT_REPLACE; without, the flow is
 *            refused with -EEXIST.
 *   delete   by original tuple; an absent entry is success.
 *   strict   takes BE_LIBERAL away, which every replica is inserted with, for TCP flows
 *            whose scales are known; an absent entry is fine. See ct_grace.h.
 *
 * Replicas have status CONFIRMED and the record's SEEN_REPLY and ASSURED, and expire
 * after the given timeout: remaining time plus lease. An expiry is announced like any
 * other DESTROY (port id 0): the caller's shadow must know that it was a replica.
 *
 * Memory   one object; records are copied into it when queued; nothing per operation.
 * Errors   per operation through the handler; a broken socket as negative errno.
 */
#ifndef TANDEM_SYNCD_CT_INJECT_H
#define TANDEM_SYNCD_CT_INJECT_H

#include <stdint.h>
#include "syncd/ct_wire.h"

#define CT_INJECT_BATCH_MAX 64U
#define CT_INJECT_ERRNO_MAX 134 /* counters by errno; higher ones share the last */

enum ct_inject_flags {
	CT_INJECT_REPLACE = 1,        /* this node is Backup: what clashes is stale */
	CT_INJECT_EXPECT_PRESENT = 2, /* try the update form first: saves a round */
};

enum ct_outcome {
	CT_CREATED,
	CT_UPDATED,
	CT_REPLACED, /* a clashing entry was deleted first */
	CT_DELETED,
	CT_ABSENT,  /* delete, strict: there was nothing */
	CT_REFUSED, /* by the kernel: see status */
	CT_OUTCOME_COUNT
};

struct ct_result {
	uint64_t cookie;
	enum ct_outcome outcome;
	int status; /* 0, or the kernel's negative errno if CT_REFUSED */
};

typedef void ct_result_handler(void *context, const struct ct_result *result);

struct ct_inject_counters {
	uint64_t outcomes[CT_OUTCOME_COUNT];
	uint64_t refused[CT_INJECT_ERRNO_MAX]; /* by errno */
	uint64_t messages, batches;            /* sent, retries included */
};

struct ct_inject;

int ct_inject_new(
    ct_result_handler *on_result, void *context, struct ct_inject **ret_inject);
void ct_inject_free(struct ct_inject *inject);

/* For the event filter: changes made here carry this netlink port id. */
uint32_t ct_inject_portid(const struct ct_inject *inject);

/* Queue; a full queue is flushed first. Return 0 or the flush's error. timeout_s >= 1.
 */
int ct_inject_upsert(struct ct_inject *inject, const struct flow_record *flow,
    uint32_t timeout_s, unsigned flags, uint64_t cookie);
int ct_inject_delete(
    struct ct_inject *inject, const struct flow_key *key, uint64_t cookie);
int ct_inject_strict(
    struct ct_inject *inject, const struct flow_record *flow, uint64_t cookie);

/* Applies what is queued and calls the handler once per operation, in queue order. The
 * handler must not queue. On a socket error the operations not known to be applied are
 * reported as CT_REFUSED with that error, which is also returned. */
int ct_inject_flush(struct ct_inject *inject);

const struct ct_inject_counters *ct_inject_counters(const struct ct_inject *inject);
const char *ct_outcome_name(enum ct_outcome outcome);

#endif
