/*
 * daemon.h - tandem-vrrpd's own state: the election and what carries it out.
 *
 *    adverts, witness, links, probes, requests          deadline
 *          |  (drained first)                              |
 *          v                                               v
 *      daemon_event ---------> node_step (core) <------- NODE_EV_TICK
 *                                  |
 *                                  v  actions, in order
 *      term, fence, adverts, witness, addresses, announcements, rooms
 *
 * Internal to vrrpd: main.c wires it, daemon.c runs it, member.c knows one interface,
 * status.c shows it.
 */
#ifndef TANDEM_VRRPD_DAEMON_H
#define TANDEM_VRRPD_DAEMON_H

#include "common/histogram.h"
#include "common/loop.h"
#include "common/room.h"
#include "vrrpd/advert_socket.h"
#include "vrrpd/announce.h"
#include "vrrpd/core/node.h"
#include "vrrpd/core/vrrp_fsm.h"
#include "vrrpd/fence.h"
#include "vrrpd/link.h"
#include "vrrpd/probe.h"
#include "vrrpd/term_store.h"
#include "vrrpd/witness_socket.h"

struct daemon;

#define MEMBER_GATEWAYS_MAX (PROBE_TARGETS_MAX / 2)

/* An interface; in mode independent one virtual router of it, IPv4 or IPv6. */
struct member {
	struct daemon *d;
	uint8_t index;
	uint8_t family;                 /* 0: both, in node mode */
	struct td_interface *interface; /* owned: a copy with what is of the family */
	struct link_member *link;
	struct advert_socket *adverts[TD_FAMILIES]; /* NULL: nothing to advertise */
	struct announce *announce;
	struct probe *probe;
	struct loop_timer nobody_timer; /* a probe without anybody to ask ends by it */
	bool probe_for_hint;            /* ours, not the election's */
	struct td_instant hint_at;
	struct td_addr hint, peer_hint; /* neighbours that answered us, and the peer */
	struct td_addr heard_from[TD_FAMILIES]; /* the peer, last */
	struct td_addr gateway[MEMBER_GATEWAYS_MAX];
	unsigned gateway_count;
	unsigned lease; /* of the fence: one for all in node mode */
	bool fence_attached;
	bool bound; /* sockets belong to the present parent */
	/* mode: independent */
	struct vrrp_config router_config;
	struct vrrp_router router;
	struct loop_timer router_timer;
};

struct daemon_counters {
	uint64_t transitions[NODE_REASONS]; /* by reason */
	uint64_t fence_renewals, fence_lapses, fence_reattached;
	uint64_t late_ticks; /* more than one interval */
	uint64_t term_errors, address_errors, repaired;
	struct td_histogram lateness, takeover;
};

struct daemon {
	struct room *room;
	struct loop *loop;
	struct td_config *config; /* owned */
	struct node_config cfg;
	struct node node;
	struct loop_timer timer, fence_timer, exit_timer;
	struct term_store terms;
	struct fence_fds fence_fds;
	struct fence *fence; /* NULL: fence=off */
	struct link *link;
	struct witness_socket *witness;
	int state_dir_fd;
	bool has_secret, running, stopping;
	bool independent; /* mode; node.role and node.term are all that is used of node
			   */
	uint8_t secret[TD_KEY_BYTES];
	unsigned member_count;
	/* By interface; in mode independent by interface and family, as long as there
	 * is room (the configuration was checked for that). */
	struct member member[TD_INTERFACES_MAX];
	uint64_t barrier_id;
	uint64_t request_id; /* the switchover that awaits its reply */
	enum td_room request_from;
	struct daemon_counters counters;
};

/* Gives one event to the election and does what it says, including everything that
 * follows at once. */
void daemon_event(struct daemon *d, const struct node_event *ev, struct td_instant now);

/* On how many links it left. */
unsigned daemon_send_witness(struct daemon *d, const struct witness_payload *payload);

/* The interface; in mode independent the IPv6 router of it is "wan0-v6". */
const char *daemon_router_name(const struct member *mb, char buf[TD_NAME_MAX]);

/* With keepalived_names: "(wan0) Entering MASTER STATE". */
void daemon_log_entering(const struct member *mb, const char *state);

/* The loop's timer: drains the sockets, looks at the segments, ticks. */
void daemon_tick(struct loop_timer *timer);

/* interface_view.c: a copy of an interface with the addresses and routes of one family,
 * or with all for family 0. NULL: no memory. */
struct td_interface *interface_view_new(
    const struct td_interface *interface, uint8_t family);
void interface_view_free(struct td_interface *view); /* NULL is fine */
bool interface_has_family(const struct td_interface *interface, uint8_t family);

/* member.c: one interface. All of them return 0 or a negative errno, already logged. */
int member_open(struct daemon *d, struct member *mb, uint8_t index, uint8_t family,
    const struct td_interface *interface);
int member_start(struct member *mb); /* the device, once the fence stands */
int member_bind(
    struct member *mb); /* fence, sockets, announcer, probe: to the parent */
int member_update(struct member *mb, const struct td_interface *interface);
void member_close(struct member *mb);
bool member_is_active(const struct member *mb);
void member_promote(struct member *mb);
void member_demote(struct member *mb);
void member_probe(struct member *mb, struct td_instant now);
void member_probe_cancel(struct member *mb);
/* While Active, now and then: who answers here? The peer will have somebody to ask. */
void member_refresh_hint(struct member *mb, struct td_instant now);
void member_check_fence(struct member *mb);
/* member_advert.c: what it sends from: configured, or the first of the interface. */
struct td_addr member_own_address(const struct member *mb, uint8_t family);
/* The peer's; family 0: it has none configured and has not been heard. */
struct td_addr member_peer_address(const struct member *mb, unsigned family_index);
/* Sockets for every family that is advertised, as configured and bound to the parent.
 */
int member_bind_adverts(struct member *mb);
void member_close_adverts(struct member *mb); /* to the parent that is gone */
/* Over every family; true if one advertisement at least has left. */
bool member_send_adverts(struct member *mb, uint8_t priority);
void member_drain_adverts(struct member *mb);
void member_free_adverts(struct member *mb);
/* Hands the frame for "we are gone" to tandemd, or takes it back. */
void member_last_words(struct member *mb, bool speak);
extern const struct link_callbacks member_link_callbacks;

/* status.c */
void daemon_status(void *context, struct room_status *st);

#endif
