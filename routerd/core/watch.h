/*
 * watch.h - when tandemd starts, pings, kills and restarts one room.
 *
 *   DOWN --START--> STARTING --PONG--> UP --STOP--> STOPPING --EXIT--> DOWN
 *                    |  ^               |
 *         silent, EXIT  | delay over    | silent, EXIT
 *                    v  |               v
 *                   BACKOFF <--EXIT-- KILLED
 *
 * Silence  is counted in pings that this process has sent and that were not answered,
 * one per tick, never in elapsed time: when the whole machine was frozen for three
 *          seconds, the first tick afterwards counts as one missed ping, not as twelve.
 * Restart  the first one after a quiet minute is immediate; a room that dies again
 * within the minute waits, twice as long each time. Two deaths within the minute are a
 *          crash loop and raise an alarm: whatever the room was fed should be looked
 * at. Errors   none: every (state, event) pair is defined; what makes no sense is
 * ignored.
 */
#ifndef TANDEM_ROUTERD_WATCH_H
#define TANDEM_ROUTERD_WATCH_H

#include <tandem/instant.h>

enum watch_state {
	WATCH_DOWN,
	WATCH_STARTING, /* spawned, has not answered a ping yet */
	WATCH_UP,
	WATCH_KILLED,   /* told to die at once, not reaped yet */
	WATCH_BACKOFF,  /* dead, to be started again at `deadline` */
	WATCH_STOPPING, /* asked to leave */
};

struct watch_rules {
	int64_t ping_interval_ns;
	uint32_t missed_max;        /* unanswered pings that mean "hung" */
	uint32_t missed_start_max;  /* the same before the first answer */
	uint32_t missed_config_max; /* and while a new configuration is being digested,
				       or work that was announced */
	uint32_t missed_stop_max;   /* and after the request to stop */
	int64_t backoff_ns;         /* delay of the second restart */
	int64_t backoff_max_ns;
	int64_t quiet_ns; /* an uptime that ends a series of crashes */
};

struct watch {
	enum watch_state state;
	struct td_instant deadline; /* of the next TICK that does something */
	struct td_instant started;
	uint32_t missed;
	bool config_pending;
	bool busy;       /* it announced long work and has answered no ping since */
	uint32_t streak; /* deaths without a quiet period in between */
	uint64_t spawns, deaths, hangs;
};

enum watch_event {
	WATCH_EV_START,
	WATCH_EV_PONG,
	WATCH_EV_CONFIG_SENT,
	WATCH_EV_CONFIG_ACK,
	WATCH_EV_BUSY, /* answers after some work, at most as long as a configuration */
	WATCH_EV_EXIT, /* reaped; also: could not be spawned */
	WATCH_EV_TICK,
	WATCH_EV_STOP,
};

enum watch_action {
	WATCH_ACT_NONE,
	WATCH_ACT_SPAWN,
	WATCH_ACT_PING,
	WATCH_ACT_STOP, /* ask it to stop */
	WATCH_ACT_KILL,
};

/* The rules for a room whose hang must be noticed within `limit_ns`. */
struct watch_rules watch_rules_for(int64_t limit_ns);

/* Applies one event; returns the one thing to do now. */
enum watch_action watch_step(const struct watch_rules *rules, struct watch *w,
    enum watch_event event, struct td_instant now);

bool watch_alive(const struct watch *w);      /* a process exists */
bool watch_crash_loop(const struct watch *w); /* at least two deaths in a row */
const char *watch_state_name(enum watch_state state);

#endif
