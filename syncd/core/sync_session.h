/*
 * sync_session.h - replication with the one peer, as a pure state machine.
 *
 *   kernel events ---> shadow ---> dirty list ---> batches ---> peer
 *   kernel        <--- shadow <------------------- batches <--- peer
 *
 * Both directions run at once and are alike: each node sends the flows it owns
 * (sync_owner.h), in a stream of batches (epoch, seq) of its own. An acknowledgement
 * means applied to the kernel.
 *
 *        transport up                both HELLOs heard             silence, gap
 *   DOWN ------------> HELLO --------------------------> UP ------------------> HELLO
 *                        ^                                  other link number
 *
 * Source   docs/protocol.md.
 * Units    instants of CLOCK_BOOTTIME, durations in ns, flow timeouts in seconds.
 * Memory   the caller owns the session, its shadow and the sink. All buffers are
 *          allocated by sync_session_init. No pointer is kept after return.
 * Output   goes through the sink, in order, from within the calls below. A sink must
 * not call back into the session, except kernel_upsert and kernel_flush, which may call
 * sync_session_applied. Errors   messages from the peer never fail: what is wrong with
 * them is counted.
 */
#ifndef TANDEM_SYNCD_SYNC_SESSION_H
#define TANDEM_SYNCD_SYNC_SESSION_H

#include <tandem/instant.h>
#include "syncd/core/flow_wire.h"
#include "syncd/core/shadow.h"
#include "syncd/core/sync_msg.h"
#include "syncd/core/sync_owner.h"
#include "syncd/core/sync_ring.h"

struct sync_session;

struct sync_config {
	char cluster[TD_NAME_MAX], node[TD_NAME_MAX];
	uint32_t node_index;
	uint64_t boot;         /* random, new for every process */
	uint64_t stored_epoch; /* highest ever used, from disk; 0 = never */
	uint64_t generation;
	uint8_t digest[TD_DIGEST_BYTES];
	int64_t batch_interval_ns;
	uint32_t batch_bytes;           /* <= SYNC_BLOB_MAX */
	uint32_t window_bytes;          /* unacknowledged at most; >= 4 batches */
	uint32_t snapshot_window_bytes; /* of them for a snapshot at most */
	int64_t hello_interval_ns;
	int64_t heartbeat_ns;
	int64_t peer_timeout_ns; /* silence that ends a link */
	int64_t lag_max_ns;      /* beyond it the peer does not "have our state" */
	uint32_t lease_s;        /* what a replica lives longer than its flow */
};

/* Sets what docs/protocol.md calls the defaults; names, boot and epoch stay zero. */
void sync_config_defaults(struct sync_config *cfg);

struct sync_sink {
	void *context;
	void (*send)(void *context, const struct sync_msg *msg);
	/* On disk before it returns true. */
	bool (*persist_epoch)(void *context, uint64_t epoch);
	/* Queue for the kernel. `index` comes back in sync_session_applied. */
	void (*kernel_upsert)(void *context, uint32_t index,
	    const struct flow_record *flow, uint32_t timeout_s, bool present);
	void (*kernel_delete)(void *context, const struct flow_key *key);
	/* Everything queued is applied or refused when it returns. */
	void (*kernel_flush)(void *context);
	void (*acked)(void *context, int64_t latency_ns, uint32_t records);
	void (*barrier)(void *context, uint64_t id, bool ok);
	void (*peer_call)(void *context, const struct sync_call *call);
};

enum sync_link { SYNC_LINK_DOWN, SYNC_LINK_HELLO, SYNC_LINK_UP };

/* Why a peer's HELLO was refused. */
enum sync_refusal {
	SYNC_REFUSED_NOT,
	SYNC_REFUSED_VERSION,
	SYNC_REFUSED_CLUSTER,
	SYNC_REFUSED_NODE,  /* not the other index of the pair, or this very process */
	SYNC_REFUSED_EPOCH, /* the epoch could not be stored */
	SYNC_REFUSED_COUNT
};

/* Why a link that was up began again. */
enum sync_restart {
	SYNC_RESTART_TRANSPORT,
	SYNC_RESTART_SILENT, /* peer_timeout_ns */
	SYNC_RESTART_PEER,   /* the peer began a new one */
	SYNC_RESTART_GAP,    /* batch seq is not the next one */
	SYNC_RESTART_EPOCH,  /* batch or start of another or lower epoch */
	SYNC_RESTART_ACK,    /* acknowledges what was never sent */
	SYNC_RESTART_COUNT
};

struct sync_counters {
	uint64_t sent[SYNC_KIND_COUNT], received[SYNC_KIND_COUNT];
	uint64_t refused[SYNC_REFUSED_COUNT]; /* HELLOs */
	uint64_t restarts[SYNC_RESTART_COUNT];
	uint64_t foreign; /* messages for another link: remains of an old one */
	uint64_t duplicate_batches;
	uint64_t bytes_sent, bytes_received; /* of flow records */
	uint64_t upserts_sent, deletes_sent, replayed_batches;
	uint64_t snapshots_sent, snapshots_received; /* complete ones */
	uint64_t upserts_applied, deletes_applied;
	uint64_t deletes_unknown; /* for flows not held: nothing to do */
	uint64_t refused_upserts, refused_deletes; /* older than what this node owns */
	uint64_t swept; /* replicas that a snapshot did not have */
	uint64_t
	    refused_ended; /* upserts of flows that ended while they were cut off */
	uint64_t merged;   /* flows of an older term, unknown here: taken over */
	uint64_t clashes;  /* Active: tuple taken by a flow of this node */
	uint64_t kernel_refusals;
	uint64_t undecodable[FLOW_DROP_COUNT]; /* flow records */
	uint64_t full;                         /* flows not held: flows_max */
	uint64_t forgotten;       /* deletions dropped for room: a snapshot follows */
	uint64_t stray;           /* changes of the peer's flows seen by a Backup */
	uint64_t replica_expired; /* gone here and over its lease */
	uint64_t replica_reinserted; /* gone here before its time */
	uint64_t audits, audit_found, audit_lost, audit_refreshed;
};

/* A pass over the whole slab, in slices. */
struct sync_walk {
	bool running;
	uint32_t next;
};

struct sync_session {
	struct sync_config cfg;
	struct sync_sink sink; /* context borrowed */
	struct shadow *shadow; /* borrowed */
	struct sync_counters count;

	bool ready;     /* the kernel's table was read once */
	bool transport; /* the channel says that there is a connection */
	enum sync_link link;
	enum sync_refusal refusal;
	uint64_t own_link, peer_link, link_number;
	struct sync_hello peer; /* last accepted HELLO */
	bool peer_remembers;    /* it is the process it was on the link before */
	struct sync_report peer_report; /* last one on this link */
	struct td_instant hello_at, report_at, peer_deadline, link_up_at;
	bool report_due;

	struct sync_claim self_claim, peer_claim;
	struct sync_authority authority;
	uint32_t own_term; /* last term in which this node was Active */

	/* This node's stream. */
	uint64_t epoch; /* 0 = not chosen yet */
	uint64_t next_seq, acked_seq;
	struct sync_ring ring;
	struct td_instant last_batch_at, dirty_since;
	uint32_t catchup_left; /* of what waited when the link came up */
	bool caught_up_sent;
	bool snapshot_needed; /* the next link cannot go on where the last one ended */
	bool diverged; /* changed flows in a way that the peer may not have judged yet:
			  should it refuse them, only its snapshot can set this node
			  right */
	struct {
		bool running;
		uint32_t next, end;
		uint64_t sent, total;
		uint64_t end_seq; /* the batch that ended the last one */
	} snapshot;
	struct {
		bool pending, drained;
		uint64_t id, seq;
		uint32_t left;
		struct td_instant deadline;
	} barrier;

	/* The peer's stream. */
	struct sync_position applied;
	bool started; /* START seen on this link */
	bool whole;   /* the peer's whole state is among what is applied */
	bool caught_up, caught_up_after_sweep;
	bool undecodable; /* a record was lost to it */
	bool full;        /* so was one to flows_max */
	bool doubtful;    /* a flow came that ended here, and nobody can say which of
			     the two was first */
	bool full_peer;   /* ... one of the peer's: its snapshot must come again */
	struct td_instant resync_at;
	uint64_t snapshot_received, snapshot_expected;
	uint16_t sweep_now;
	uint8_t audit_now;
	bool audit_running;
	struct sync_walk sweep, audit, retry;
	struct td_instant retry_at;
	bool strays;         /* some entry is SHADOW_STRAY */
	bool kernel_pending; /* something is queued and not flushed */
	uint64_t kernel_operations;
};

/* False without memory. The session starts DOWN and not ready. */
bool sync_session_init(struct sync_session *s, const struct sync_config *cfg,
    struct shadow *shadow, const struct sync_sink *sink, struct td_instant now);
void sync_session_fini(struct sync_session *s);

/* A new generation of the configuration; the link stays. */
void sync_session_generation(struct sync_session *s, uint64_t generation,
    const uint8_t digest[TD_DIGEST_BYTES], struct td_instant now);

/* The first dump is in: before, this node could not tell the peer what it holds. */
void sync_session_ready(struct sync_session *s, struct td_instant now);

void sync_session_transport(struct sync_session *s, bool up, struct td_instant now);

/* From the election. peer_role is what the witness says; INITIALIZE if nothing is. */
void sync_session_role(struct sync_session *s, enum td_role role, uint64_t term,
    enum td_role peer_role, uint64_t peer_term, struct td_instant now);

void sync_session_receive(
    struct sync_session *s, const struct sync_msg *msg, struct td_instant now);

enum sync_local { SYNC_LOCAL_CHANGED, SYNC_LOCAL_DESTROYED, SYNC_LOCAL_DUMPED };

/* The kernel says that this flow changed, ended, or (dump) is there. */
void sync_session_local(struct sync_session *s, enum sync_local what,
    const struct flow_record *flow, struct td_instant now);

/* Around a dump of the whole table; what two audits in a row did not see is gone. An
 * aborted dump just begins again. */
void sync_session_audit_begin(struct sync_session *s);
void sync_session_audit_end(struct sync_session *s);

/* The kernel's answer to kernel_upsert: 0 or a negative errno. */
void sync_session_applied(struct sync_session *s, uint32_t index, int status);

/* Sends and times out. Call after every wake-up and at sync_session_deadline. */
void sync_session_tick(struct sync_session *s, struct td_instant now);
struct td_instant sync_session_deadline(
    const struct sync_session *s, struct td_instant now);

/* Answered through the sink: ok when everything up to now is acknowledged. */
void sync_session_barrier(
    struct sync_session *s, uint64_t id, int64_t timeout_ns, struct td_instant now);

/* Asks the peer for a snapshot, and sends one. False: no link. */
bool sync_session_resync(struct sync_session *s, struct td_instant now);

/* False: no link. */
bool sync_session_call(struct sync_session *s, const struct sync_call *call);

struct sync_view {
	bool connected, have_state, peer_has_state;
	bool generation_differs;
	uint64_t seq_sent, seq_acked;
	uint64_t flows, pending, unapplied, peer_unapplied;
	uint64_t peer_flows;
	int64_t lag_ns;     /* age of the oldest change not acknowledged */
	const char *reason; /* why not in sync; "" if it is */
};
void sync_session_view(
    const struct sync_session *s, struct td_instant now, struct sync_view *ret_view);

const char *sync_refusal_name(enum sync_refusal refusal);
const char *sync_restart_name(enum sync_restart restart);

#endif
