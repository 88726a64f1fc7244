/*
 * room.h - how the processes of one instance talk.
 *
 * tandemd starts every room with one SOCK_SEQPACKET socket, its control socket, and joins
 * any two rooms that talk with a socket pair of their own (a link). When a room is
 * restarted, tandemd hands a new link to both ends. A message is one struct td_msg, packed
 * as protobuf (proto/room.proto) by common/room_wire.c, the only file that sees the
 * generated types. The rooms of a pair never include one another: this is their contract.
 *
 *            tandemd ------- control socket to each -------.
 *               |                                          |
 *   vrrpd <-> syncd    vrrpd <-> lbd    checkd <-> lbd    syncd <-> lbd
 *   vrrpd <-> hookd    mgmtd <-> each of {tandemd, vrrpd, syncd, lbd, checkd, hookd}
 *
 * Limits   one packed message <= TD_MSG_BYTES_MAX; longer status goes in parts.
 * Order    kept per link. A link whose reader is stuck loses the newest message: the sender
 *          gets -EAGAIN and keeps its state, to be sent again on the next change.
 */
#ifndef TANDEM_ROOM_H
#define TANDEM_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/addr.h>
#include <tandem/config.h>

#define TD_MSG_BYTES_MAX 65536
#define TD_REASON_MAX 64

enum td_room {
	TD_ROOM_TANDEMD,
	TD_ROOM_VRRPD,
	TD_ROOM_SYNCD,
	TD_ROOM_LBD,
	TD_ROOM_CHECKD,
	TD_ROOM_MGMTD,
	TD_ROOM_HOOKD,
	TD_ROOM_COUNT
};

enum td_role { TD_ROLE_INITIALIZE, TD_ROLE_BACKUP, TD_ROLE_ACTIVE };

enum td_msg_kind {
	TD_MSG_NONE,
	TD_MSG_ROLE,          /* vrrpd -> syncd, lbd, mgmtd, hookd, tandemd: at link-up and on
	                         change */
	TD_MSG_SYNC_STATE,    /* syncd -> vrrpd, mgmtd: at link-up and on change */
	TD_MSG_BARRIER,       /* vrrpd -> syncd and back: "everything up to now is at the peer" */
	TD_MSG_SERVER_HEALTH, /* checkd -> lbd; lbd -> mgmtd */
	TD_MSG_LAST_WORDS,    /* vrrpd -> tandemd: frame to send should vrrpd die */
	TD_MSG_REQUEST,       /* mgmtd -> any room */
	TD_MSG_REPLY,         /* its answer */
	TD_MSG_STATUS,        /* answer to TD_REQ_STATUS, in parts */
	TD_MSG_PEER_CALL,     /* mgmtd -> syncd -> peer's syncd -> peer's mgmtd, and back */
	TD_MSG_FITNESS,       /* hookd -> vrrpd: at link-up, on change, and now and then */
};

struct td_msg_role {
	enum td_role role;
	uint64_t term;
	char reason[TD_REASON_MAX]; /* active_down_timer, preempted, peer_resigned ... */
	bool peer_alive;            /* heard on any path within its down interval */
	enum td_role peer_role;     /* meaningful if peer_alive */
	uint64_t peer_term;
	bool fault;                 /* not Active and, as it is, not able to become it */
	uint8_t priority;           /* advertised */
	char router[TD_NAME_MAX];   /* to hookd in mode independent: whose state this is, the
	                               interface, for IPv6 with -v6; else empty: the node */
};

struct td_msg_sync_state {
	bool connected;             /* an authenticated session with the peer */
	bool have_state;            /* this node holds the peer's whole state */
	bool peer_has_state;        /* the peer holds ours: acked, unapplied 0 */
	uint64_t seq_sent, seq_acked;
	uint64_t unapplied;
	char reason[TD_REASON_MAX]; /* why not in sync; empty if it is */
};

struct td_msg_barrier {
	uint64_t id;
	bool done; /* false: request, true: answer */
	bool ok;   /* answer: the peer has acknowledged everything; else timed out */
};

struct td_msg_server_health {
	uint32_t balancer, server; /* indices into the config of that generation */
	uint64_t generation;
	bool up;
	char detail[TD_REASON_MAX]; /* "Layer4 check passed", "Layer4 timeout" ... */
	int64_t duration_ns;
};

struct td_msg_last_words {
	uint32_t ifindex;
	uint8_t family;        /* an interface may have a virtual router of each */
	uint16_t len;          /* 0 = nothing to say on this interface any more */
	uint8_t frame[256];    /* complete Ethernet frame: priority-0 advertisement */
};

/* Text of a CONFIG_CHECK: what is run, and as whom, must stay what it is. */
#define TD_SAME_PROGRAMS "same-programs"

enum td_request {
	TD_REQ_STATUS,         /* every room */
	TD_REQ_SWITCHOVER,     /* vrrpd: planned hand-over to the peer */
	TD_REQ_RESYNC,         /* syncd: full snapshot now */
	TD_REQ_LIST,           /* lbd, syncd: text = what ("lb", "nat", "flows"); status parts */
	TD_REQ_CONFIG_CHECK,   /* tandemd: the text it was given; reply: digest or the error */
	TD_REQ_CONFIG_PREPARE, /* tandemd: the same; number = new generation */
	TD_REQ_CONFIG_COMMIT,  /* tandemd: number = generation prepared */
	TD_REQ_CONFIG_ABORT,   /* tandemd: number = generation prepared, or just committed */
	TD_REQ_CONFIG_TEXT,    /* tandemd: text = next part of a YAML text, number = its
	                          offset; 0 begins anew */
	TD_REQ_MAINTENANCE,    /* tandemd, which keeps it, and from there vrrpd: number = 1
	                          on, 0 off */
};

struct td_msg_request {
	uint64_t id;
	enum td_request what;
	uint64_t number;
	char *text;            /* owned by the message; may be NULL; <= 60 KiB */
};

struct td_msg_reply {
	uint64_t id;
	int32_t status;        /* 0 or a negative errno */
	char *text;            /* owned; reason, or result */
};

/* One value of a room's state. The same samples make /metrics, tables and --json. */
enum td_sample_type { TD_GAUGE, TD_COUNTER, TD_INFO, TD_HISTOGRAM_BUCKET };
#define TD_SAMPLE_LABELS_MAX 6
struct td_sample {
	const char *name;      /* tandem_vrrp_adverts_sent_total; borrowed */
	enum td_sample_type type;
	unsigned label_count;
	const char *label_key[TD_SAMPLE_LABELS_MAX];
	const char *label_value[TD_SAMPLE_LABELS_MAX];
	double value;          /* TD_INFO: always 1, the facts are labels */
};

struct td_msg_status {
	uint64_t id;
	bool more;             /* further parts follow under the same id */
	struct td_sample *samples; /* array and its strings owned by the message */
	size_t sample_count;
};

struct td_msg_peer_call {
	uint64_t id;
	bool answer;
	int32_t status;        /* answer: 0, negative errno, -EHOSTUNREACH without a peer */
	uint32_t method;       /* mgmtd's own numbering */
	uint8_t *bytes;        /* owned; <= 48 KiB */
	size_t len;
};

struct td_msg_fitness {
	uint64_t generation;   /* of the configuration whose scripts are meant */
	uint16_t known, unfit; /* bit per script; of the others the last word stands */
};

struct td_msg {
	enum td_msg_kind kind;
	union {
		struct td_msg_role role;
		struct td_msg_sync_state sync_state;
		struct td_msg_barrier barrier;
		struct td_msg_server_health server_health;
		struct td_msg_last_words last_words;
		struct td_msg_request request;
		struct td_msg_reply reply;
		struct td_msg_status status;
		struct td_msg_peer_call peer_call;
		struct td_msg_fitness fitness;
	};
};

const char *td_room_name(enum td_room room); /* "vrrpd" */
const char *td_role_name(enum td_role role); /* "Active" */

#endif
