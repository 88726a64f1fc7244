/*
 * ct_events.h - the kernel's announcements of conntrack changes in this namespace.
 *
 * Source   NFNLGRP_CONNTRACK_NEW, _UPDATE, _DESTROY; docs/conntrack.md for what the
 *          kernel says when, and what it never says.
 * Order    subscribe (ct_events_new) before the first dump: nothing falls between.
 * Overrun  the socket is lossy on purpose: a reliable one would park dying entries and
 *          fill the table when we stall. Lost events are reported by the overrun
 *          handler; the caller must dump (ct_dump.h) and merge.
 * Memory   one object with one receive buffer, allocated at start; nothing per event.
 * Errors   negative errno.
 */
#ifndef TANDEM_SYNCD_CT_EVENTS_H
#define TANDEM_SYNCD_CT_EVENTS_H

#include <stdint.h>
#include "syncd/ct_wire.h"

struct ct_filter;

enum ct_event_kind {
	CT_EVENT_NEW,
	CT_EVENT_UPDATE,
	CT_EVENT_DESTROY,
	CT_EVENT_DUMPED, /* from a dump: the entry as it stands */
};

struct ct_event {
	enum ct_event_kind kind;
	uint32_t portid; /* netlink port id of who changed it; 0 = the kernel */
	struct ct_facts facts;
	/* Borrowed until the handler returns. What is not in flow->present is not told.
	 */
	const struct flow_record *flow;
};

typedef void ct_event_handler(void *context, const struct ct_event *event);
typedef void ct_overrun_handler(void *context);

struct ct_events_config {
	const struct ct_filter *filter; /* copied; may be NULL */
	uint32_t rcvbuf_bytes;          /* 0 = 32 MiB; forced beyond rmem_max */
	ct_event_handler *on_event;
	ct_overrun_handler *on_overrun; /* once per ENOBUFS, when all before is read */
	void *context;
};

struct ct_events_counters {
	uint64_t received[3]; /* by enum ct_event_kind, own and skipped included */
	uint64_t own;         /* echoes of our injections that reached user space */
	uint64_t skipped;     /* by the filter in user space */
	uint64_t overruns;
	uint64_t dropped[CT_DROP_COUNT]; /* undecodable, by reason */
	uint64_t bytes;
	uint32_t rcvbuf_bytes;   /* what the kernel granted */
	int kernel_filter_error; /* 0, or why only user space filters: negative errno */
};

struct ct_events;

int ct_events_new(const struct ct_events_config *config, struct ct_events **ret_events);
void ct_events_free(struct ct_events *events);

int ct_events_fd(const struct ct_events *events); /* readable = drain */

/* Replaces the filter (addresses or port ids changed). When the kernel does not take
 * the program, its negative errno is returned and kept; user space skips the same
 * flows. */
int ct_events_set_filter(struct ct_events *events, const struct ct_filter *filter);

/* Reads until the socket is empty or `messages_max` events were handled. Returns how
 * many messages were read (0 = empty), or negative errno for a broken socket. */
int ct_events_drain(struct ct_events *events, uint32_t messages_max);

const struct ct_events_counters *ct_events_counters(const struct ct_events *events);
/* Bytes waiting in the receive queue now, of rcvbuf_bytes; negative errno. */
int64_t ct_events_backlog_bytes(const struct ct_events *events);

#endif
