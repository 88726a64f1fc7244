/*
 * health_fsm.h - when a server goes up and down, and when it is asked next.
 *
 * Source   HAProxy's rise and fall: a server that is up goes down after `fall` failed
 *          checks in a row, one that is down goes up after `rise` passed ones. It
 *          begins up, so that a restart drops nobody, but with one life left: the first
 *          check decides.
 * Units    nanoseconds of CLOCK_BOOTTIME.
 * Time     one check at a time, the next one `interval` after the last one began.
 *          Deadlines are in the state; a tick past the timeout ends a check.
 * Errors   none: every (state, event) pair is defined.
 */
#ifndef TANDEM_LBCORE_HEALTH_FSM_H
#define TANDEM_LBCORE_HEALTH_FSM_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/config.h>
#include <tandem/instant.h>

/* HAProxy's check_status. */
enum health_result {
	HEALTH_L4OK,    /* connected */
	HEALTH_L4TOUT,  /* no answer within the timeout */
	HEALTH_L4CON,   /* refused, or unreachable */
	HEALTH_SOCKERR, /* the check itself could not be made: says nothing */
};

struct health {
	struct td_instant
	    deadline;            /* waiting: of the next check; checking: its timeout */
	struct td_instant began; /* of the running or the last check */
	bool checking;
	bool up;
	uint32_t score; /* 0 .. rise + fall - 1; up from rise on */
};

enum health_event_kind {
	HEALTH_EV_TICK,
	HEALTH_EV_RESULT /* ignored unless a check runs */
};

struct health_event {
	enum health_event_kind kind;
	enum health_result result;
};

struct health_actions {
	bool start;   /* begin a check now */
	bool cancel;  /* forget the running one: it timed out */
	bool judged;  /* `result` is in, `duration_ns` long */
	bool changed; /* and it turned the server up or down */
	enum health_result result;
	int64_t duration_ns;
};

/* `first` is when the first check is due. */
void health_init(
    struct health *h, const struct td_health *config, struct td_instant first);

/* backup: this node probes half as often. */
void health_step(const struct td_health *config, bool backup, struct health *h,
    const struct health_event *ev, struct td_instant now, struct health_actions *out);

const char *health_status_name(enum health_result result); /* "L4OK" */
const char *health_reason(enum health_result result);      /* "Layer4 timeout" */

#endif
