/*
 * sync_parts.h - how the three parts of a session call one another; not for others.
 *
 *   sync_session.c  links, HELLO, reports, timers, the view
 *   sync_stream.c   this node's stream: draining, snapshot, replay, barrier
 *   sync_apply.c    the peer's stream, kernel events, the passes over the shadow
 */
#ifndef TANDEM_SYNCD_SYNC_PARTS_H
#define TANDEM_SYNCD_SYNC_PARTS_H

#include "syncd/core/sync_session.h"

void sync_send(struct sync_session *s, struct sync_msg *msg);
void sync_link_restart(
    struct sync_session *s, enum sync_restart why, struct td_instant now);

/* The owner of an entry as of now. */
struct sync_authority sync_entry_owner(
    const struct sync_session *s, const struct shadow_entry *e);
uint32_t sync_remaining_s(const struct shadow_entry *e, struct td_instant now);

void sync_stream_link_up(struct sync_session *s, struct td_instant now);
void sync_stream_link_down(struct sync_session *s);
void sync_stream_snapshot(struct sync_session *s);
void sync_stream_acked(
    struct sync_session *s, struct sync_position position, struct td_instant now);
void sync_stream_tick(struct sync_session *s, struct td_instant now);
bool sync_stream_work_waits(const struct sync_session *s);
bool sync_stream_window_open(const struct sync_session *s);
void sync_mark_dirty(struct sync_session *s, uint32_t index, struct td_instant now);

void sync_apply_start(
    struct sync_session *s, const struct sync_start *start, struct td_instant now);
void sync_apply_batch(
    struct sync_session *s, const struct sync_batch *batch, struct td_instant now);
void sync_apply_tick(struct sync_session *s, struct td_instant now);

#endif
