/*
 * syncd.h - the process: what its parts share.
 *
 *   main.c    the room: configuration, roles, barriers, what is told to the others
 *   kernel.c  conntrack events and dumps into the session, its flows into the kernel
 *   takeover.c  how strictly packets are tracked before and after a takeover
 *   peer.c    the session's messages through the channel
 *   status.c  samples and lists
 *
 * Every handler of the loop ends with syncd_wake: the session looks at the clock, sends
 * what is due, and the others hear what changed.
 */
#ifndef TANDEM_SYNCD_SYNCD_H
#define TANDEM_SYNCD_SYNCD_H

#include "common/histogram.h"
#include "common/room.h"
#include "syncd/channel.h"
#include "syncd/core/sync_session.h"
#include "syncd/core/sync_wire.h"
#include "syncd/ct_dump.h"
#include "syncd/ct_events.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_grace.h"
#include "syncd/ct_inject.h"
#include "syncd/ct_sysctl.h"
#include "syncd/keys.h"

struct syncd {
	struct room *room;
	struct loop *loop;
	struct td_config *config; /* owned */
	struct key_pair keys;
	bool have_keys;
	int state_dir; /* owned; -1 = none */

	struct shadow shadow;
	struct sync_session session;
	struct loop_timer session_timer;
	enum td_role role;
	uint64_t term;

	/* peer.c */
	struct channel *channel;
	struct channel_config channel_config;
	struct sync_decoder decoder;
	uint8_t send_buf[SYNC_MESSAGE_MAX];
	uint64_t undecodable[SYNC_DROP_COUNT];
	uint64_t silences_seen; /* after each one the channel connects again */
	struct {
		bool pending;
		struct sync_call call;
	} bounce; /* answer to a call that nobody here takes */
	struct td_histogram ack_latency;

	/* kernel.c */
	struct ct_events *events;
	struct ct_dump *dump;
	struct ct_inject *inject;
	struct ct_filter filter;
	struct ct_sysctl sysctl;
	struct loop_fd events_lf;
	struct loop_timer audit_timer;
	bool audit_wanted; /* at once: events were lost, or the role changed */

	/* takeover.c */
	struct ct_grace *grace;
	struct loop_timer walk_timer, pick_up_timer;
	struct td_instant walks_end;
	bool pick_up_ended;

	struct td_msg_sync_state told; /* last one that was sent */
	bool told_valid[TD_ROOM_COUNT];
};

void syncd_wake(struct syncd *sd);
void syncd_work(struct syncd *sd); /* the same without looking at the channel */

int peer_open(struct syncd *sd);
int peer_reconfigure(struct syncd *sd);
void peer_close(struct syncd *sd);
void peer_sink(struct syncd *sd, struct sync_sink *sink);
void peer_after_tick(struct syncd *sd);
void peer_call_from_mgmtd(struct syncd *sd, const struct td_msg_peer_call *call);

int kernel_open(struct syncd *sd);
void kernel_close(struct syncd *sd);
void kernel_sink(struct syncd *sd, struct sync_sink *sink);
int kernel_read_events(struct syncd *sd);   /* some; how many */
void kernel_read_backlog(struct syncd *sd); /* all that is there now */
void kernel_filter_update(struct syncd *sd);
void kernel_audit_now(struct syncd *sd);

#define TAKEOVER_COOKIE UINT64_MAX /* results of no record */
int takeover_open(struct syncd *sd);
void takeover_close(struct syncd *sd);
void takeover_role(struct syncd *sd, bool became_active);
void takeover_state(struct syncd *sd, bool have_state);

void status_fill(struct syncd *sd, struct room_status *st);
void status_list_flows(struct syncd *sd, struct room_status *st);

#endif
