/*
 * node.h - the election of one node of a pair; its interfaces are members of it.
 *
 * Source   RFC 9568 sections 6.1 and 6.4 for timers and priorities; what is ours on top
 *          (terms, lease, witness, partial cuts) is described row by row in
 *          docs/vrrp-node-mode.md.
 * Units    nanoseconds of CLOCK_BOOTTIME; terms count takeovers of the pair.
 * Memory   the caller owns everything; no pointer is kept after return, no allocation.
 * Errors   none: every (role, event) pair is defined.
 *
 *                 nobody heard for Active_Down_Interval, or the peer resigned
 *      startup  .----------------------------------------------------------.
 *   Initialize -> Backup                                                Active
 *                 '----------------------------------------------------------'
 *                 higher term, lease lapsed, less fit than the peer, switchover
 *
 * The caller delivers everything it has received before NODE_EV_TICK: only a tick takes
 * over, so what lies unread in a socket always counts first. After it has carried out
 * the actions it reports every send of advertisements or witness with NODE_EV_SENT.
 */
#ifndef TANDEM_VRRP_NODE_H
#define TANDEM_VRRP_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/instant.h>
#include <tandem/room.h>
#include "vrrpd/core/witness_wire.h"

#define NODE_MEMBERS_MAX TD_INTERFACES_MAX

#define NODE_PRIORITY_MAX 254 /* 255 is the address owner of independent mode */

/* Lease of the answer right, and RFC 9568's factor of Active_Down_Interval. */
#define NODE_LEASE_INTERVALS 3
/* Transit may drain this long after a planned hand-over. */
#define NODE_DRAIN_NS (1 * NS_PER_S)
/* The first words of a takeover leave this soon after it was decided, or the sockets
 * are read again before the node answers. */
#define NODE_FRESH_NS (2 * NS_PER_MS)
/* How long a planned hand-over waits for syncd's "everything is at the peer". */
#define NODE_BARRIER_NS (1 * NS_PER_S)
/* Members need a link before listening counts, but a dead one must not keep a node out.
 */
#define NODE_STARTUP_HOLD_NS (3 * NS_PER_S)

/* No second hand-over for fitness within the longer of this and ten intervals. */
#define NODE_HOLD_NS_MIN (1 * NS_PER_S)

enum node_reason {
	NODE_BY_STARTUP,
	NODE_BY_ACTIVE_DOWN_TIMER,
	NODE_BY_PEER_RESIGNED,
	NODE_BY_HIGHER_TERM,     /* the peer is Active with a higher term */
	NODE_BY_HIGHER_PRIORITY, /* both Active, equal term or no witness */
	NODE_BY_NOT_HEARD,       /* the peer stays Active although we answer */
	NODE_BY_LEASE_LAPSED, /* we were late: others may have taken over meanwhile */
	NODE_BY_ISOLATED,     /* nothing is heard anywhere: it is we who are cut off */
	NODE_BY_LINK_DOWN,
	NODE_BY_PARTIAL_CUT,
	NODE_BY_SWITCHOVER, /* asked for */
	NODE_BY_PREEMPTED,  /* the peer claimed, and is the preferred node */
	NODE_BY_SHUTDOWN,
	NODE_BY_UNFIT,       /* more track scripts fail here than at the peer */
	NODE_BY_MAINTENANCE, /* this node steps back for work on it */
	NODE_BY_TERM_RAISED, /* still Active, in a new term above one heard of */
	NODE_REASONS
};

struct node_config {
	uint8_t index;    /* of this node; the lower one wins a tie */
	uint8_t priority; /* 1..254 */
	int64_t interval_ns;
	bool preempt;
	int64_t preempt_delay_ns;
	uint8_t member_count;
	bool advertises[NODE_MEMBERS_MAX]; /* false: adverts: none */
	bool blind; /* no NODE_EV_FRAME comes from any member: fence=off */
};

struct node_member {
	bool link_up;
	struct td_instant advert_at;  /* the peer's last advertisement here */
	struct td_instant frame_at;   /* any frame at all, as told by NODE_EV_FRAME */
	struct td_instant next_probe; /* not before; TD_NEVER while one runs */
	bool handed_over;        /* for its sake; in doubt until a probe is answered */
	bool suspect;            /* our own doubt */
	bool probing;            /* our doubt or the peer's */
	uint8_t silent_probes;   /* in a row */
	bool reached, unreached; /* outcome, valid while probing */
	bool nobody;             /* the last probe had nobody to ask */
	bool asked_since_round;  /* the probe that runs began after the last round */
	uint8_t peer_bits;       /* enum witness_member_bit, last heard */
};

/* The peer as the witness shows it. */
struct node_peer {
	struct td_instant witness_at; /* last message; long ago = never */
	struct td_instant active_at;  /* last sign of it as Active, on any path */
	struct td_instant active_since;
	struct td_instant alive_at; /* last sign of life */
	enum td_role role;
	uint64_t term;
	uint8_t priority; /* effective, last heard of it as Active; 0 = never */
	uint8_t base_priority;
	uint16_t flags;      /* enum witness_flag */
	uint16_t unfit;      /* bit per track script */
	int64_t interval_ns; /* learned */
};

enum node_alarm {
	NODE_ALARM_PEER_SILENT = 1 << 0,    /* on all paths */
	NODE_ALARM_WITNESS_SILENT = 1 << 1, /* while the peer is heard otherwise */
	NODE_ALARM_PARTIAL_CUT = 1 << 2,    /* a member is silent, the peer is alive */
	NODE_ALARM_LINK_DOWN = 1 << 3,
	NODE_ALARM_ONE_WAY = 1 << 4,  /* we hear the peer's witness, it not ours */
	NODE_ALARM_ISOLATED = 1 << 5, /* no peer, no frame, no answer anywhere: the
					 answer right is suspended or given up */
	NODE_ALARM_MAINTENANCE = 1 << 6, /* ours */
	NODE_ALARM_UNFIT = 1 << 7,
	NODE_ALARM_LAST = NODE_ALARM_UNFIT,
};

struct node {
	enum td_role role;
	enum node_reason reason; /* of the last transition */
	uint64_t term;           /* ours while Active, else the highest known */
	uint8_t priority;        /* effective: what we advertise */
	unsigned alarms;         /* enum node_alarm */
	struct node_member member[NODE_MEMBERS_MAX];
	struct node_peer peer;

	bool have_state, peer_has_state; /* from syncd */
	uint16_t unfit; /* bit per track script that finds us unfit */
	bool maintenance; /* hands over if the peer can, does not take over while it
			     lives */

	struct td_instant
	    tick_deadline; /* next turn: adverts (Active), witness (both) */
	struct td_instant down_deadline;     /* Active_Down_Timer, in Backup */
	struct td_instant answer_deadline;   /* the lease, in Active */
	struct td_instant withdraw_deadline; /* end of the drain: addresses go */
	struct td_instant listen_deadline;   /* start-up hold ends at the latest */
	struct td_instant
	    defer_deadline; /* a better candidate may take over until then */
	struct td_instant barrier_deadline;
	struct td_instant rival_since; /* both Active and we answered: since then */
	struct td_instant answered_at; /* a rival, last */
	struct td_instant claim_since; /* conditions of preemption hold since then */
	struct td_instant
	    hold_deadline; /* no second hand-over by a partial cut before */
	struct td_instant resign_deadline; /* the resign flag is shown until then */
	struct td_instant heard_at; /* last frame, probe answer or sign of the peer */
	struct td_instant round_at, round_before; /* the last two rounds left then */
	struct td_instant proven_at;     /* the last one that was surely heard */
	struct td_instant taken_at;      /* sockets were read, then the role taken */
	struct td_instant silent_since;  /* suspended or isolated since then */
	struct td_instant life_at;       /* first sign of life after that */
	struct td_instant look_deadline; /* whether something was heard */
	bool silent;                     /* nothing was heard since the last round */
	bool stopping;                   /* SHUTDOWN was asked for */
	bool stopped;                    /* and NODE_DO_STOPPED given */
	bool isolated;                   /* and waits for a first sign of life */
	bool peer_resigned;              /* takeover needs no further wait */
	bool claiming;
	bool prepare_term;                /* the term to come is not on disk yet */
	bool promoted;                    /* Active, fence opened, addresses there */
	bool renew;                       /* the next SENT belongs to a tick */
	enum node_reason handover_reason; /* what the barrier is for */
	bool handover_asked;              /* by a request that awaits its answer */
	struct td_msg_role published;     /* by the last NODE_DO_ROLE */
};

enum node_event_kind {
	NODE_EV_STARTUP,
	NODE_EV_SHUTDOWN, /* graceful: hand over, then NODE_DO_STOPPED */
	NODE_EV_TICK,     /* the deadline was reached; sockets are drained */
	NODE_EV_ADVERT,   /* from the peer, on a member */
	NODE_EV_WITNESS,  /* authentic and new */
	NODE_EV_LINK,     /* carrier of a member */
	NODE_EV_FRAME,    /* last frame of any kind received on a member */
	NODE_EV_PROBED,   /* the probe of a member ended */
	NODE_EV_SYNC_STATE,
	NODE_EV_SWITCHOVER,
	NODE_EV_MAINTENANCE,
	NODE_EV_UNFIT, /* what the track scripts find */
	NODE_EV_BARRIER,
	NODE_EV_SENT, /* adverts or witness left, or failed to */
};

struct node_event {
	enum node_event_kind kind;
	uint8_t member; /* ADVERT, LINK, FRAME, PROBED */
	bool nobody;    /* PROBED: there was nobody to ask */
	union {
		struct {
			uint8_t priority;
			int64_t interval_ns;
		} advert;
		const struct witness_payload *witness; /* borrowed for the call */
		bool link_up;
		struct td_instant frame_at;
		bool reached; /* PROBED: somebody answered */
		struct {
			bool have_state, peer_has_state;
		} sync;
		bool maintenance;
		uint16_t unfit;
		bool barrier_ok;
		struct {
			struct td_instant before; /* read just before the send */
			bool ok;                  /* on at least one path */
		} sent;
		bool now; /* SHUTDOWN: without barrier and drain */
	};
};

enum node_action_kind {
	NODE_DO_PREPARE_TERM, /* term: the next one we would use; make storing it cheap
			       */
	NODE_DO_PERSIST_TERM, /* term: stored before the next action */
	NODE_DO_FENCE,        /* answer and forward deadlines; ns 0 = closed */
	NODE_DO_SEND_ADVERTS, /* priority, on every member that advertises */
	NODE_DO_SEND_WITNESS,
	NODE_DO_PROMOTE,  /* addresses, routes, announcements */
	NODE_DO_DEMOTE,   /* stop announcing; addresses and routes away */
	NODE_DO_ANNOUNCE, /* again: another Active was heard */
	NODE_DO_ROLE,     /* tell the other rooms */
	NODE_DO_BARRIER,  /* ask syncd */
	NODE_DO_PROBE,    /* member: one probe; PROBED follows */
	NODE_DO_PROBE_CANCEL,
	NODE_DO_REPLY,   /* to the switchover request: status */
	NODE_DO_STOPPED, /* the shutdown is complete */
};

/* Why a switchover is refused. */
enum node_refusal {
	NODE_REFUSED_NOT = 0,
	NODE_REFUSED_NOT_ACTIVE,
	NODE_REFUSED_NO_PEER, /* no witness: nobody could be told */
	NODE_REFUSED_PEER_NOT_BACKUP,
	NODE_REFUSED_PEER_NO_STATE, /* sessions would be lost */
	NODE_REFUSED_PEER_UNFIT,
	NODE_REFUSED_PEER_MAINTENANCE,
	NODE_REFUSED_BUSY,
	NODE_REFUSED_BARRIER, /* syncd could not bring everything over in time */
	NODE_REFUSALS
};

struct node_action {
	enum node_action_kind kind;
	uint8_t member;
	uint8_t priority;
	uint64_t term;
	struct td_instant answer, forward;
	enum node_refusal refusal;
	struct witness_payload witness; /* SEND_WITNESS: what was true at this place in
					   the list; later actions change it */
};

#define NODE_ACTIONS_MAX (16 + 2 * NODE_MEMBERS_MAX)

struct node_actions {
	unsigned count;
	struct node_action list[NODE_ACTIONS_MAX];
};

/* `term` is the highest one ever persisted here. All links are down until told. */
void node_init(struct node *n, uint64_t term);

/* Applies one event. Fills `out` with what the world must now do, in that order. */
void node_step(const struct node_config *cfg, struct node *n,
    const struct node_event *ev, struct td_instant now, struct node_actions *out);

/* cfg->priority was `old` until now. */
void node_priority_changed(const struct node_config *cfg, struct node *n, uint8_t old);

/* When the next NODE_EV_TICK is due. */
struct td_instant node_deadline(const struct node *n);

/* What NODE_DO_SEND_WITNESS carries; cluster, challenge, echo and generation are filled
 * in where it is sealed. */
void node_witness(const struct node_config *cfg, const struct node *n,
    struct td_instant now, struct witness_payload *ret_payload);

/* What NODE_DO_ROLE carries; the reason's name included. */
void node_role(const struct node_config *cfg, const struct node *n,
    struct td_instant now, struct td_msg_role *ret_role);

/* Times derived from the configuration and the learned interval. */
int64_t node_skew_time_ns(const struct node_config *cfg, const struct node *n);
int64_t node_active_down_interval_ns(
    const struct node_config *cfg, const struct node *n);
int64_t node_lease_ns(const struct node_config *cfg);
int64_t node_probe_ns(const struct node_config *cfg);

bool node_peer_alive(
    const struct node_config *cfg, const struct node *n, struct td_instant now);
bool node_witness_alive(
    const struct node_config *cfg, const struct node *n, struct td_instant now);

/* The peer is alive, and yet something is wrong on this member. */
bool node_member_cut(const struct node_config *cfg, const struct node *n,
    uint8_t member, struct td_instant now);

const char *node_reason_name(enum node_reason reason);
const char *node_refusal_text(enum node_refusal refusal);
const char *node_alarm_name(enum node_alarm alarm);

#endif
