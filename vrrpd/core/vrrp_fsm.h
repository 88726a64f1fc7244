/*
 * vrrp_fsm.h - the election of one Virtual Router by the letter (mode: independent).
 *
 * Source   RFC 9568 sections 6.1 to 6.4 with errata; version 2: RFC 3768 section 6.
 *          preempt_delay is ours. Rows in docs/vrrp-transitions.md.
 * Units    nanoseconds of CLOCK_BOOTTIME.
 * Memory   the caller owns everything; no pointer is kept after return.
 * Errors   none: every (state, event) pair is defined.
 *
 * Against a peer of ours node.h decides instead, for all interfaces at once.
 */
#ifndef TANDEM_VRRP_FSM_H
#define TANDEM_VRRP_FSM_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/addr.h>
#include <tandem/instant.h>

/* Lease of the answer right, in our own advertisement intervals. */
#define VRRP_LEASE_INTERVALS 3

enum vrrp_state { VRRP_INITIALIZE, VRRP_BACKUP, VRRP_ACTIVE };

struct vrrp_config {
	uint8_t version;  /* 3 or 2 */
	uint8_t priority; /* 1..255; 255 = the owner of the addresses */
	int64_t advertisement_interval_ns;
	bool preempt_mode;
	int64_t preempt_delay_ns; /* a lower Active Router is borne so long */
	struct td_addr primary;   /* our source address: decides a tie */
};

struct vrrp_router {
	enum vrrp_state state;
	int64_t active_adver_interval_ns; /* learned from the Active Router; version 2
					     knows only the configured one */
	struct td_instant deadline;       /* Active_Down_Timer in Backup, Adver_Timer in
					     Active: the RFC never runs both */
	struct td_instant preempt_at;     /* Backup of a lower Active Router: not obeyed
					     from here on; TD_NEVER = none was heard */
	struct td_instant lease_end;      /* of the answer right, in Active */
	bool opened;                      /* it has begun */
};

enum vrrp_event_kind {
	VRRP_EV_STARTUP,
	VRRP_EV_SHUTDOWN,
	VRRP_EV_TICK,
	VRRP_EV_ADVERT
};

struct vrrp_event {
	enum vrrp_event_kind kind;
	struct { /* VRRP_EV_ADVERT: passed the receive rules */
		uint8_t priority;
		int64_t max_adver_interval_ns;
		struct td_addr source;
	} advert;
};

enum vrrp_action_kind {
	VRRP_DO_SEND_ADVERT, /* with our priority */
	VRRP_DO_SEND_RESIGN, /* with priority 0 */
	VRRP_DO_PROMOTE, /* addresses, then gratuitous ARP and neighbour advertisements
			  */
	VRRP_DO_DEMOTE,
};

#define VRRP_ACTIONS_MAX 4

struct vrrp_actions {
	unsigned count;
	enum vrrp_action_kind list[VRRP_ACTIONS_MAX];
};

/* The router as it is before VRRP_EV_STARTUP. */
void vrrp_init(struct vrrp_router *r);

/* Applies one event. Fills `out` with what the world must now do, in that order. */
void vrrp_step(const struct vrrp_config *cfg, struct vrrp_router *r,
    const struct vrrp_event *ev, struct td_instant now, struct vrrp_actions *out);

int64_t vrrp_skew_time_ns(const struct vrrp_config *cfg, const struct vrrp_router *r);
int64_t vrrp_active_down_interval_ns(
    const struct vrrp_config *cfg, const struct vrrp_router *r);

/* The first words of a takeover leave this soon after it was decided, or the sockets
 * are read again, and it speaks again, before the router answers. */
#define VRRP_FRESH_NS (2 * NS_PER_MS)

/* An advertisement of an Active Router has left, `before` was read just before. Returns
 * the date until which it may answer: three intervals after `before`, or one that is
 * over if the router was stopped for so long that another may have taken over. May move
 * the deadline. */
struct td_instant vrrp_renew(
    const struct vrrp_config *cfg, struct vrrp_router *r, struct td_instant before);

/* What a router may conclude that looks at its deadline as late as now. */
enum vrrp_lateness {
	VRRP_IN_TIME,
	VRRP_LISTEN_AGAIN, /* Backup: our own lateness is no silence of the others */
	VRRP_OVERSLEPT,    /* Active: the lease is over, another may have taken over */
};

/* LISTEN_AGAIN has moved the deadline; after OVERSLEPT the caller stops the router and
 * starts it again, whatever event it woke for. */
enum vrrp_lateness vrrp_judge_lateness(
    const struct vrrp_config *cfg, struct vrrp_router *r, struct td_instant now);

/* The configured priority changed from `old`: the skew that already runs follows it. */
void vrrp_priority_changed(
    const struct vrrp_config *cfg, struct vrrp_router *r, uint8_t old);

#endif
