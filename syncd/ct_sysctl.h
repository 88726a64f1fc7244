/*
 * ct_sysctl.h - the conntrack settings of this network namespace.
 *
 *   nf_conntrack_events = 1     the default 2 leaves flows born while nobody listens
 *                               without events for their whole life
 *   nf_conntrack_acct = 1       flows born without it never count
 *   nf_conntrack_timestamp = 1  same
 *   nf_conntrack_max, _buckets  writable in the initial namespace only; elsewhere shown
 *
 * Errors   a setting that could not be made is not fatal here: the value in force and
 * the error stand in the result, and the caller decides and shows them.
 */
#ifndef TANDEM_SYNCD_CT_SYSCTL_H
#define TANDEM_SYNCD_CT_SYSCTL_H

#include <stdbool.h>
#include <stdint.h>

enum ct_setting {
	CT_SET_EVENTS,
	CT_SET_ACCT,
	CT_SET_TIMESTAMP,
	CT_SET_MAX,
	CT_SET_BUCKETS,
	CT_SET_TCP_LOOSE,
	CT_SET_COUNT
};

struct ct_setting_state {
	int64_t wanted;    /* -1: left as it is */
	int64_t effective; /* -1: unreadable */
	int error; /* 0, or why `wanted` could not be written (negative errno) */
};

struct ct_sysctl {
	struct ct_setting_state settings[CT_SET_COUNT];
};

/* Makes all settings but tcp_loose. flows_max: entries wanted (0 = leave); max is only
 * ever raised, because all namespaces of the machine share it. */
void ct_sysctl_apply(uint32_t flows_max, struct ct_sysctl *ret_state);

/* Reads all of it again. */
void ct_sysctl_refresh(struct ct_sysctl *state);

/* tcp_loose=0 makes mid-stream packets of unknown flows INVALID. Only when the snapshot
 * is in, or the pick-up time of a cold start is over: before, it would cut running
 * sessions. */
void ct_sysctl_set_tcp_loose(struct ct_sysctl *state, bool loose);

/* Entries in the table of this namespace now, or negative errno. */
int64_t ct_sysctl_count(void);

const char *ct_setting_name(enum ct_setting setting); /* "nf_conntrack_events" */

#endif
