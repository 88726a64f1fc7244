/* This node's stream to the peer. */
#include "syncd/core/sync_parts.h"

#include <string.h>
#include <tandem/assert.h>

/* Batches made in one tick; the loop must come round in between. */
#define BATCHES_PER_TICK 16

void
sync_mark_dirty(struct sync_session *s, uint32_t index, struct td_instant now)
{
	if (s->shadow->dirty_count == 0)
		s->dirty_since = now;
	shadow_dirty_add(s->shadow, index);
}

/* ---- one record ---- */

static void
encode(const struct sync_session *s, struct td_writer *wr, const struct shadow_entry *e,
    struct td_instant now)
{
	struct flow_change change = {
		.deleted = (e->flags & SHADOW_DELETED) != 0,
		.known = (e->flags & SHADOW_PEER_HAS) != 0 && s->peer_remembers,
		.term = e->term,
		.version = e->version,
		.flow = e->flow,
	};

	/* The authority says it again in its own term, whoever said it first. */
	if (s->authority.side == SYNC_SELF && s->authority.term > change.term)
		change.term = s->authority.term;
	change.flow.timeout_s = sync_remaining_s(e, now);
	flow_change_encode(wr, &change);
	td_assert(!wr->failed);
}

static void
encode_dirty(struct sync_session *s, struct td_writer *wr, struct td_instant now)
{
	uint32_t index = shadow_dirty_first(s->shadow);
	struct shadow_entry *e = shadow_at(s->shadow, index);

	encode(s, wr, e, now);
	if (e->flags & SHADOW_DELETED) {
		s->count.deletes_sent++;
		shadow_remove(s->shadow, index);
	} else {
		s->count.upserts_sent++;
		e->flags |= SHADOW_PEER_HAS;
		shadow_dirty_remove(s->shadow, index);
	}
	if (s->catchup_left > 0)
		s->catchup_left--;
	if (s->barrier.pending && s->barrier.left > 0)
		s->barrier.left--;
}

/* The next entry of the slab, if it belongs into the snapshot. True if it was encoded.
 */
static bool
encode_snapshot(struct sync_session *s, struct td_writer *wr, struct td_instant now)
{
	uint32_t index = s->snapshot.next++;
	struct shadow_entry *e;

	if (!shadow_used(s->shadow, index))
		return false;
	e = shadow_at(s->shadow, index);
	if ((e->flags & (SHADOW_DELETED | SHADOW_DIRTY)) != 0 ||
	    sync_entry_owner(s, e).side != SYNC_SELF)
		return false;
	encode(s, wr, e, now);
	e->flags |= SHADOW_PEER_HAS;
	s->snapshot.sent++;
	s->count.upserts_sent++;
	return true;
}

/* ---- batches ---- */

bool
sync_stream_window_open(const struct sync_session *s)
{
	return s->ring.held_bytes + s->cfg.batch_bytes <= s->cfg.window_bytes &&
	       s->ring.count < SYNC_RING_SLOTS;
}

static bool
snapshot_may_go_on(const struct sync_session *s)
{
	return s->snapshot.running &&
	       s->ring.held_bytes + s->cfg.batch_bytes <= s->cfg.snapshot_window_bytes;
}

bool
sync_stream_work_waits(const struct sync_session *s)
{
	return s->shadow->dirty_count > 0 || snapshot_may_go_on(s) ||
	       (!s->caught_up_sent && !s->snapshot.running);
}

static void
send_slot(struct sync_session *s, const struct sync_slot *slot, bool snapshot_end,
    bool caught_up)
{
	struct sync_msg msg = { .kind = SYNC_BATCH };

	msg.batch = (struct sync_batch){
		.epoch = s->epoch,
		.seq = slot->seq,
		.snapshot_end = snapshot_end,
		.caught_up = caught_up,
		.records = slot->records,
		.blob = sync_ring_bytes(&s->ring, slot),
		.blob_len = slot->len,
		.snapshot_sent = s->snapshot.sent,
		.snapshot_total = s->snapshot.total,
	};
	s->count.bytes_sent += slot->len;
	sync_send(s, &msg);
}

/* Makes and sends the next batch; live changes first, the snapshot fills up. False if
 * there was nothing to send, or no room for it. */
static bool
send_batch(struct sync_session *s, struct td_instant now)
{
	uint32_t room = s->cfg.batch_bytes, records = 0;
	bool snapshot_end = false, caught_up = false;
	struct td_writer wr = { NULL, room, false };

	if (!sync_stream_window_open(s) || !sync_stream_work_waits(s))
		return false;
	wr.at = sync_ring_reserve(&s->ring, room);
	if (wr.at == NULL)
		return false;

	while (wr.left >= FLOW_WIRE_MAX && s->shadow->dirty_count > 0) {
		encode_dirty(s, &wr, now);
		records++;
	}
	if (s->shadow->dirty_count == 0)
		s->catchup_left = 0;
	if (snapshot_may_go_on(s)) {
		while (wr.left >= FLOW_WIRE_MAX && s->snapshot.next < s->snapshot.end) {
			if (encode_snapshot(s, &wr, now))
				records++;
		}
		if (s->snapshot.next == s->snapshot.end && s->catchup_left == 0) {
			snapshot_end = true;
			s->snapshot.running = false;
			s->snapshot.end_seq = s->next_seq;
			s->count.snapshots_sent++;
		}
	}
	if (!s->caught_up_sent && !s->snapshot.running && s->catchup_left == 0) {
		caught_up = true;
		s->caught_up_sent = true;
	}
	if (records == 0 && !snapshot_end && !caught_up)
		return false;

	sync_ring_commit(&s->ring, s->next_seq, room - (uint32_t)wr.left, records, now);
	s->next_seq++;
	s->last_batch_at = now;
	s->dirty_since = now;
	send_slot(
	    s, sync_ring_at(&s->ring, s->ring.count - 1), snapshot_end, caught_up);
	return true;
}

/* ---- barrier ---- */

static void
barrier_answer(struct sync_session *s, bool ok)
{
	s->barrier.pending = false;
	s->sink.barrier(s->sink.context, s->barrier.id, ok);
}

static void
barrier_check(struct sync_session *s, struct td_instant now)
{
	if (!s->barrier.pending)
		return;
	if (s->shadow->dirty_count == 0)
		s->barrier.left = 0;
	if (!s->barrier.drained && s->barrier.left == 0) {
		s->barrier.drained = true;
		s->barrier.seq = s->next_seq - 1;
	}
	if (s->barrier.drained && s->acked_seq >= s->barrier.seq)
		barrier_answer(s, true);
	else if (instant_reached(now, s->barrier.deadline))
		barrier_answer(s, false);
}

void
sync_session_barrier(
    struct sync_session *s, uint64_t id, int64_t timeout_ns, struct td_instant now)
{
	if (s->barrier.pending)
		barrier_answer(s, false);
	s->barrier.id = id;
	if (s->link != SYNC_LINK_UP) {
		barrier_answer(s, false);
		return;
	}
	s->barrier.pending = true;
	s->barrier.drained = false;
	s->barrier.left = s->shadow->dirty_count;
	s->barrier.deadline = instant_add(now, timeout_ns);
	barrier_check(s, now);
}

/* ---- life ---- */

void
sync_stream_tick(struct sync_session *s, struct td_instant now)
{
	bool due = instant_reached(
	    now, instant_add(s->last_batch_at, s->cfg.batch_interval_ns));

	/* The interval bounds how often the peer is woken, not how long a change waits:
	 * the first one after a pause goes at once. */
	if (s->link == SYNC_LINK_UP && (due || s->barrier.pending)) {
		for (unsigned i = 0; i < BATCHES_PER_TICK; i++) {
			if (!send_batch(s, now))
				break;
		}
	}
	barrier_check(s, now);
}

void
sync_stream_acked(
    struct sync_session *s, struct sync_position position, struct td_instant now)
{
	if (position.epoch != s->epoch)
		return; /* of before START: nothing of this stream is applied yet */
	if (position.seq >= s->next_seq) {
		s->snapshot_needed = true;
		sync_link_restart(s, SYNC_RESTART_ACK, now);
		return;
	}
	if (position.seq > s->acked_seq)
		s->acked_seq = position.seq;
	while (s->ring.count > 0) {
		const struct sync_slot *slot = sync_ring_at(&s->ring, 0);

		if (slot->seq > position.seq)
			break;
		s->sink.acked(s->sink.context, instant_diff_ns(now, slot->sent_at),
		    slot->records);
		sync_ring_drop_first(&s->ring);
	}
	if (s->ring.count == 0 && s->shadow->dirty_count == 0 && !s->snapshot_needed)
		s->diverged = false;
}

void
sync_stream_snapshot(struct sync_session *s)
{
	struct sync_msg msg = { .kind = SYNC_START };

	s->snapshot.running = true;
	s->snapshot.next = 0;
	s->snapshot.end = s->shadow->high;
	s->snapshot.sent = 0;
	s->snapshot.total = shadow_flows(s->shadow);
	s->catchup_left = s->shadow->dirty_count;
	s->caught_up_sent = false;
	s->snapshot_needed = false;
	msg.start = (struct sync_start){ s->epoch, s->next_seq, true };
	sync_send(s, &msg);
}

/* The ring still holds everything after what the peer has applied. */
static bool
can_replay(const struct sync_session *s)
{
	uint64_t have = s->peer.applied.seq;

	/* Replayed batches say nothing of the end of a snapshot: its sweep would never
	 * come, and with it the deletions that were given up for it. */
	if (have < s->snapshot.end_seq)
		return false;
	if (s->snapshot_needed || !s->peer.applied_whole ||
	    s->peer.applied.epoch != s->epoch || have >= s->next_seq)
		return false;
	return have + 1 + s->ring.count >= s->next_seq;
}

void
sync_stream_link_up(struct sync_session *s, struct td_instant now)
{
	struct sync_msg msg = { .kind = SYNC_START };

	if (!can_replay(s)) {
		/* Deletions need not be told: the sweep at the end of the snapshot
		 * removes what the peer has and this node does not. */
		sync_ring_clear(&s->ring);
		shadow_forget_deleted(s->shadow);
		s->acked_seq = s->next_seq - 1;
		sync_stream_snapshot(s);
		return;
	}
	sync_stream_acked(s, s->peer.applied, now);
	s->catchup_left = s->shadow->dirty_count;
	s->caught_up_sent = false;
	msg.start = (struct sync_start){ s->epoch, s->peer.applied.seq + 1, false };
	sync_send(s, &msg);
	for (uint32_t i = 0; i < s->ring.count; i++) {
		send_slot(s, sync_ring_at(&s->ring, i), false, false);
		s->count.replayed_batches++;
	}
}

void
sync_stream_link_down(struct sync_session *s)
{
	if (s->snapshot.running) {
		s->snapshot.running = false;
		s->snapshot_needed = true;
	}
	if (s->barrier.pending)
		barrier_answer(s, false);
}
