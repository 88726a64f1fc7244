/*
 * sim.h - a small world in which the elections of vrrpd/core run, from one seed.
 *
 *   machine 0 --port--+-- segment m (hosts) --+--port-- machine 1
 *             \       |                       |       /
 *              \      +--port-- machine 2     |      /     independent mode: 2 or 3
 *               \------------ witness w -----------/       pair: two, one election
 *
 * The cores are the real ones. Modelled are the network (network.c), the machine and
 * its process (machine.c), the shells that carry out what the cores say (pair.c,
 * independent.c), what goes wrong (faults.c), and what no router can see alone
 * (invariants.c).
 *
 * Units    nanoseconds. `now` and everything named _at is the world's own time; a
 *          machine's clock has an offset, drifts, and may stand still: what the cores
 *          see is machine_clock().
 * Memory   one world per seed, allocated by run_seed.
 */
#ifndef TANDEM_SIM_VRRP_H
#define TANDEM_SIM_VRRP_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/assert.h>
#include "vrrpd/core/node.h"
#include "vrrpd/core/vrrp_fsm.h"
#include "vrrpd/core/witness_session.h"

#define MACHINES_MAX 3
#define MEMBERS_MAX 3
#define WITNESSES_MAX 2
#define PATHS_MAX                                                                      \
	(MEMBERS_MAX + WITNESSES_MAX) /* witness w is path MEMBERS_MAX + w             \
				       */
/* No hints in here: nobody probes real neighbours. */
#define MESSAGE_BYTES_MAX (WITNESS_PAYLOAD_BYTES_MIN + 2 * MEMBERS_MAX + 2)
#define INBOX_MAX 1024
#define CONTROLS_MAX 32
#define DELAY_MAX_NS (2 * NS_PER_MS)   /* of a path that works */
#define PROMOTE_MAX_NS (3 * NS_PER_MS) /* addresses, routes, announcements */
#define LATE_MAX_NS (5 * NS_PER_MS)    /* of a timer, when nothing is wrong */
#define DRIFT_PPM_MAX 300
#define ROUNDS 8
#define NEVER INT64_MAX

enum direction { TX, RX };

struct message {
	bool witness;
	uint8_t path, from, priority;
	uint64_t seq, session;
	int64_t interval_ns, sent_at;
	size_t len;
	uint8_t bytes[MESSAGE_BYTES_MAX];
};

/* What a process is told other than by its sockets. */
enum control_kind {
	CTL_LINK,
	CTL_PROBED,
	CTL_BARRIER,
	CTL_SYNC,
	CTL_SWITCHOVER,
	CTL_MAINTENANCE,
	CTL_UNFIT,
	CTL_STOP
};

struct control {
	enum control_kind kind;
	uint8_t member;
	uint16_t unfit;
	bool flag; /* LINK: up, MAINTENANCE: on, PROBED: reached, BARRIER: ok, STOP: now
		    */
};

enum event_kind {
	EV_WAKE,
	EV_RUN,
	EV_DELIVER,
	EV_CONTROL,
	EV_RESUME,
	EV_START,
	EV_FAULT
};

struct event {
	int64_t at;
	uint64_t order;
	enum event_kind kind;
	uint8_t machine, timer;
	uint64_t life; /* of the process, EV_RESUME: of the pause */
	uint64_t id;   /* EV_WAKE: of the arming */
	union {
		struct control control;
		struct message msg;
	};
};

struct timer {
	bool armed;
	uint64_t id; /* counts armings: only the last one fires */
	int64_t deadline;
};

/* One round of advertisements that a lease stands on. */
struct round {
	int64_t at;    /* its first send */
	int64_t clock; /* the same, by the sender's clock */
	bool in_tick, sent;
	unsigned paths; /* bits */
};

/* What the checks remember of one machine and one right. */
struct watched {
	bool held;
	struct round last, previous; /* rounds that the fence was opened for */
	int64_t learned_ns;          /* interval that was last learned */
	int64_t expect_clock;        /* no takeover before */
	int64_t late_clock;          /* nor before this, it has not looked for long */
	int64_t base_at; /* since then nothing was heard and nothing changed */
	int64_t active_clock, active_at; /* took over */
	bool waits_longer;               /* it resigned itself */
};

struct machine {
	int64_t interval_ns;
	uint8_t priority;
	bool preempt;

	/* the box */
	bool powered, clock_stops;
	int64_t paused_until; /* 0: not */
	uint64_t pauses;
	int64_t clock_at, clock_base; /* at that time the clock showed that */
	int drift_ppm;
	bool carrier[MEMBERS_MAX], cut[PATHS_MAX][2];
	int64_t frame_clock[MEMBERS_MAX];
	int64_t hears_clock[MEMBERS_MAX];  /* since then; NEVER: not */
	int64_t answer_clock[MEMBERS_MAX]; /* the fence: outlives the process */

	/* the process */
	bool running;
	uint64_t life; /* counts restarts: events of an earlier one are void */
	int64_t busy_until, freeze_in_actions;
	bool run_queued, tick_wanted[MEMBERS_MAX];
	struct timer timer[MEMBERS_MAX];
	struct message inbox[INBOX_MAX];
	unsigned inbox_head, inbox_count;
	struct control control[CONTROLS_MAX];
	unsigned control_count;
	int64_t started_at, started_clock, awake_at; /* runs, unfrozen, since */
	bool slept;                  /* frozen or paused, and has not noticed */
	int64_t slept_clock;         /* since when */
	unsigned actions_at;         /* performed so far */
	bool stepping;               /* in the middle of a list of actions */
	struct round round;          /* of this step */
	struct round rounds[ROUNDS]; /* that left, the last ones */
	unsigned rounds_at;

	/* pair */
	struct node_config node_config;
	struct node node;
	struct node_actions node_actions;
	bool sent_due, sent_ok;
	struct witness_session session;
	uint64_t session_id, seq;
	uint64_t stored_term, used_term;
	bool addresses;
	int64_t state_lost_at, proven_at; /* the peer's session */

	/* independent */
	struct vrrp_config router_config;
	struct vrrp_router router[MEMBERS_MAX];
	struct vrrp_actions router_actions;
	uint8_t acting; /* which router the actions are of */

	/* the checks */
	struct watched watched[MEMBERS_MAX];
	unsigned state; /* last one counted by coverage */
};

struct path {
	unsigned loss_percent, duplicate_percent;
	int64_t delay_ns;        /* on top */
	int64_t in_flight_until; /* what was delayed has arrived by then */
	int64_t ok_since[MACHINES_MAX][MACHINES_MAX]; /* works like that; -1: not */
};

struct world;

/* What the two kinds of election do differently. */
struct mode {
	void (*start)(struct world *w, unsigned i);
	void (*deliver)(struct world *w, unsigned i, const struct message *msg);
	void (*tell)(struct world *w, unsigned i, const struct control *ctl);
	void (*tick)(struct world *w, unsigned i, unsigned timer);
	bool (*act)(struct world *w, unsigned i); /* false: nothing left to do */
	int64_t (*deadline)(const struct machine *mc, unsigned timer);
	void (*last_words)(struct world *w, unsigned i);
	enum td_role (*role)(const struct machine *mc, unsigned right);
	unsigned (*state)(const struct world *w, unsigned i);
};

extern const struct mode mode_pair, mode_independent;

#define LOG_LINES 80

struct world {
	const struct mode *mode;
	uint64_t seed, random, order;
	int64_t now;
	unsigned machines, members, witnesses;
	unsigned rights; /* independent: one per member; pair: one */
	struct machine machine[MACHINES_MAX];
	struct path path[PATHS_MAX];
	bool deserted[MEMBERS_MAX]; /* no host there: nobody talks or answers */
	struct event *queue;
	unsigned queue_count;

	/* the checks */
	const char *only;     /* the one invariant to check, NULL: all */
	const char *violated; /* name of the first one that did not hold */
	/* two rights since; -1: not */
	int64_t both_at[MEMBERS_MAX][MACHINES_MAX][MACHINES_MAX];
	int64_t resigned_at[MEMBERS_MAX];   /* priority 0 was last sent */
	int64_t late_words_at[MEMBERS_MAX]; /* ... and came late */
	int64_t yielded_at[MEMBERS_MAX];    /* somebody ceased to be Active */
	uint64_t events, takeovers, faults;

	bool parted;      /* one is cut off, or has just come back */
	bool undisturbed; /* no more faults */
	bool verbose;
	char log[LOG_LINES][160];
	unsigned log_at;
};

/* world.c */
struct world *world_new(uint64_t seed, bool verbose, const char *only);
void world_free(struct world *w);
uint64_t rnd(struct world *w);
int64_t rnd_below(struct world *w, int64_t n);
void note(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void note_dump(const struct world *w);
void push(struct world *w, const struct event *ev);
struct event pop(struct world *w);
int64_t machine_clock(const struct world *w, unsigned i);
int64_t machine_clock_reached_at(const struct world *w, unsigned i, int64_t clock);
void machine_clock_set(struct world *w, unsigned i, int64_t clock, int drift_ppm);

/* network.c */
bool path_exists(const struct world *w, unsigned p);
bool path_is_clean(const struct world *w, unsigned p);
bool port_works(const struct world *w, unsigned i, unsigned p);
bool port_hears(const struct world *w, unsigned i, unsigned p);
void network_watch(struct world *w); /* after every change of what path_works reads */
void transmit(struct world *w, unsigned from, const struct message *msg);
void transmit_resignation(struct world *w, unsigned from, unsigned p);
/* Since when every message of `from` has reached `to` in time; NEVER: it does not. */
int64_t path_ok_since(const struct world *w, unsigned p, unsigned from, unsigned to);

/* machine.c */
bool machine_awake(const struct world *w, unsigned i);
void machine_start(struct world *w, unsigned i);
void machine_run(struct world *w, unsigned i);
void machine_tell(struct world *w, unsigned i, const struct control *ctl);
void machine_tell_later(
    struct world *w, unsigned i, const struct control *ctl, int64_t delay_ns);
void machine_kill(struct world *w, unsigned i);
void machine_freeze(struct world *w, unsigned i, int64_t duration_ns);
void machine_pause(struct world *w, unsigned i, int64_t duration_ns, bool clock_stops);
void machine_set_carrier(struct world *w, unsigned i, unsigned m, bool up);
void machine_handle(struct world *w, const struct event *ev);

/* faults.c */
enum fault_kind {
	FAULT_CUT_TX,
	FAULT_CUT_RX,
	FAULT_CUT,
	FAULT_CARRIER,
	FAULT_WITNESS_ONE_WAY,
	FAULT_WITNESS,
	FAULT_ALL,
	FAULT_ALL_TX,
	FAULT_ALL_RX,
	FAULT_MEND_ONE,
	FAULT_MEND,
	FAULT_LOSS,
	FAULT_DELAY,
	FAULT_DUPLICATE,
	FAULT_PROCESS_DIES,
	FAULT_EVERYTHING_KILLED,
	FAULT_POWER,
	FAULT_START,
	FAULT_FREEZE,
	FAULT_FREEZE_BETWEEN,
	FAULT_PAUSE,
	FAULT_PAUSE_STOPPED_CLOCK,
	FAULT_DRIFT,
	FAULT_SYNC_STATE,
	FAULT_SWITCHOVER,
	FAULT_MAINTENANCE,
	FAULT_UNFIT,
	FAULT_STOP,
	FAULT_STOP_NOW,
	FAULTS
};

const char *fault_name(enum fault_kind kind);
bool fault_applies(const struct world *w, enum fault_kind kind, unsigned i);
void fault_do(struct world *w, enum fault_kind kind, unsigned i);
/* Some fault, preferably on machine `i` if that is one. */
void fault_some(struct world *w, int i);
void mend_all(struct world *w);

/* invariants.c */
void check_started(struct world *w, unsigned i);
void check_awake(struct world *w, unsigned i);
void check_arrived(struct world *w, const struct message *msg);
/* `payload` is NULL for an advertisement. Before the step. */
void check_heard(struct world *w, unsigned i, const struct message *msg,
    const struct witness_payload *payload);
void check_disturbed(struct world *w); /* something went wrong somewhere */
void check_role(struct world *w, unsigned i, unsigned right, enum td_role from,
    enum td_role to, const char *reason);
void check_round(struct world *w, unsigned i); /* one has left */
void check_lease(struct world *w, unsigned i, unsigned right, int64_t until_clock);
void check_now(struct world *w);
void check_quiet(struct world *w, uint64_t takeovers_before);
void check_single(struct world *w, int fit);
void violated(struct world *w, const char *invariant, const char *what);
bool invariant_exists(const char *name);

/* coverage.c */
#define STATES_MAX 12
enum coverage_part { PART_PAIR, PART_TWO, PART_THREE, PARTS };
enum coverage_part coverage_part(const struct world *w);
void coverage_count(const struct world *w, unsigned state, enum fault_kind kind);
void coverage_event(struct world *w, unsigned i); /* sees rare states */
bool coverage_print(uint64_t want);

enum pair_state {
	PAIR_DOWN,
	PAIR_STOPPING,
	PAIR_BACKUP,
	PAIR_BACKUP_ALONE,
	PAIR_BACKUP_RESIGNED,
	PAIR_ISOLATED,
	PAIR_ACTIVE,
	PAIR_ACTIVE_ALONE,
	PAIR_SUSPENDED,
	PAIR_HANDING_OVER,
	PAIR_RIVALS,
	PAIR_STATES
};
enum independent_state {
	INDEPENDENT_DOWN,
	INDEPENDENT_INITIALIZE,
	INDEPENDENT_BACKUP,
	INDEPENDENT_ACTIVE,
	INDEPENDENT_STATES
};

/* run.c */
void world_choose(struct world *w); /* a configuration, from the seed */
void run_until(struct world *w, int64_t end);
void run_seed(struct world *w);

#endif
