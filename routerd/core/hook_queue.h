/*
 * hook_queue.h - which hook runs next, for how long, and what becomes of the others.
 *
 *             change                  deadline              deadline
 *   IDLE --------------> RUNNING ----------------> TERMINATED --------> KILLED
 *     ^                     |  exit                    | exit              | exit
 *     `---------------------+--------------------------+-------------------'
 *                  the newest change that waits, if any, runs at once
 *
 * Order     one program at a time. A change runs the hook of its state and then
 * `notify`. Coalesce  what waits is the newest state only; a state that was overtaken
 * before its first program, or between its two, is left out and counted. Routers   mode
 * node has one line, the node. In mode independent each virtual router has its own;
 * they take turns, the one that waits longest first. Stop      what has begun or waits
 * may go on for HOOK_STOP_NS, then it is killed; what has been overtaken by then is
 * ended at once. Memory    the caller owns everything; no pointer is kept after return.
 * Errors    none: every (phase, event) pair is defined.
 */
#ifndef TANDEM_ROUTERD_HOOK_QUEUE_H
#define TANDEM_ROUTERD_HOOK_QUEUE_H

#include <tandem/config.h>
#include <tandem/instant.h>
#include <tandem/room.h>

#define HOOK_GRACE_NS (1 * NS_PER_S)         /* between SIGTERM and SIGKILL */
#define HOOK_STOP_NS (2 * NS_PER_S)          /* less than tandemd waits for a room */
#define HOOK_STOP_GRACE_NS (250 * NS_PER_MS) /* the same at a stop */
#define HOOK_LINES_MAX (TD_INTERFACES_MAX + 1)

/* Of a node or a router, as users of keepalived know it; the first four of td_hook. */
enum hook_state { HOOK_ACTIVE, HOOK_BACKUP, HOOK_FAULT, HOOK_STOP, HOOK_UNKNOWN };

struct hook_change {
	enum hook_state state;
	uint64_t term;
	uint8_t priority;
	char reason[TD_REASON_MAX];
	char router[TD_NAME_MAX]; /* empty: the node */
};

enum hook_phase { HOOK_IDLE, HOOK_RUNNING, HOOK_TERMINATED, HOOK_KILLED };

struct hook_line {
	struct hook_change newest; /* as last heard; state HOOK_UNKNOWN = free */
	bool waiting;              /* it has not begun */
	uint64_t since;            /* in which order they wait */
	enum hook_state told;      /* by the last one that began */
};

struct hook_queue {
	struct hook_line line[HOOK_LINES_MAX];
	unsigned line_count;
	uint64_t changes;
	uint64_t coalesced;

	enum hook_phase phase;
	struct td_instant deadline; /* of the program that runs */
	struct hook_change now;     /* what it is about */
	enum hook_state before;     /* the state that was told before that one */
	enum td_hook hook;
	unsigned running_line;
	bool timed_out;

	bool ready; /* nothing of an earlier life runs any more */
	bool stopping, done;
	struct td_instant stop_deadline;
};

enum hook_event_kind {
	HOOK_EV_READY,
	HOOK_EV_CHANGE,
	HOOK_EV_EXIT, /* the program ended, or could not be started */
	HOOK_EV_TICK, /* the deadline was reached */
	HOOK_EV_STOP,
	HOOK_EV_STOP_NOW, /* nobody is left whom a run could serve */
};

struct hook_event {
	enum hook_event_kind kind;
	const struct hook_change *change; /* CHANGE: borrowed for the call */
};

enum hook_action {
	HOOK_DO_NOTHING,
	HOOK_DO_RUN,       /* `hook` for `now`; EXIT follows */
	HOOK_DO_TERMINATE, /* SIGTERM to all of it */
	HOOK_DO_KILL,      /* SIGKILL to all of it */
	HOOK_DO_LEAVE,     /* a stop is complete */
};

void hook_queue_init(struct hook_queue *q);

/* Applies one event; returns the one thing to do now. */
enum hook_action hook_queue_step(const struct td_hooks_config *cfg,
    struct hook_queue *q, const struct hook_event *ev, struct td_instant now);

/* When the next HOOK_EV_TICK is due. */
struct td_instant hook_queue_deadline(const struct hook_queue *q);

bool hook_queue_waiting(const struct hook_queue *q);

/* What a role message means to a hook. */
struct hook_change hook_change_of(const struct td_msg_role *role);

const char *hook_state_name(enum hook_state state);       /* "Active" */
const char *hook_state_keepalived(enum hook_state state); /* "MASTER" */

#endif
