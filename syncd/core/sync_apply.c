/* The peer's stream, this kernel's events, and the passes over the shadow. */
#include "syncd/core/sync_parts.h"

#include <string.h>
#include <tandem/assert.h>

/* A slice of a pass: looking is cheap, the kernel is not. */
#define WALK_ENTRIES_PER_TICK 8192
#define WALK_OPERATIONS_PER_TICK 512
#define RETRY_INTERVAL_NS NS_PER_S
#define RESYNC_INTERVAL_NS (10 * NS_PER_S)
#define ERRNO_EXIST (-17) /* -EEXIST of the kernel ABI */

static uint32_t
now_s(struct td_instant now)
{
	return (uint32_t)(now.ns / NS_PER_S);
}

static uint32_t
deadline_s(uint32_t timeout_s, struct td_instant now)
{
	if (timeout_s > FLOW_WIRE_TIMEOUT_MAX)
		timeout_s = FLOW_WIRE_TIMEOUT_MAX;
	return now_s(now) + timeout_s;
}

uint32_t
sync_remaining_s(const struct shadow_entry *e, struct td_instant now)
{
	uint32_t end = e->flow.timeout_s, at = now_s(now);

	return end > at ? end - at : 0;
}

struct sync_authority
sync_entry_owner(const struct sync_session *s, const struct shadow_entry *e)
{
	return sync_owner_of(
	    s->authority, e->flags & SHADOW_OF_PEER ? SYNC_PEER : SYNC_SELF, e->term);
}

static void
kernel_put(struct sync_session *s, uint32_t index, bool present, struct td_instant now)
{
	const struct shadow_entry *e = shadow_at(s->shadow, index);

	s->kernel_pending = true;
	s->kernel_operations++;
	s->sink.kernel_upsert(s->sink.context, index, &e->flow,
	    sync_remaining_s(e, now) + s->cfg.lease_s, present);
}

static void
kernel_drop(struct sync_session *s, const struct flow_key *key)
{
	s->kernel_pending = true;
	s->kernel_operations++;
	s->sink.kernel_delete(s->sink.context, key);
}

static void
kernel_flush(struct sync_session *s)
{
	if (!s->kernel_pending)
		return;
	s->kernel_pending = false;
	s->sink.kernel_flush(s->sink.context);
}

/* Room for a new flow. Deletions that wait for a peer that does not come are given up
 * first: it will get a snapshot instead. */
static uint32_t
insert(struct sync_session *s, const struct flow_key *key)
{
	uint32_t index = shadow_insert(s->shadow, key);

	if (index == SHADOW_NONE && s->shadow->deleted_count > 0) {
		s->count.forgotten += shadow_forget_deleted(s->shadow);
		s->snapshot_needed = true;
		index = shadow_insert(s->shadow, key);
	}
	if (index == SHADOW_NONE) {
		s->count.full++;
		s->full = true;
	}
	return index;
}

/* ---- the peer's stream ---- */

void
sync_apply_start(
    struct sync_session *s, const struct sync_start *start, struct td_instant now)
{
	struct sync_position before = s->applied;

	if (start->epoch < before.epoch || start->epoch == 0 || start->first_seq == 0 ||
	    (!start->snapshot &&
		(start->epoch != before.epoch || start->first_seq != before.seq + 1 ||
		    !s->whole))) {
		sync_link_restart(s, SYNC_RESTART_EPOCH, now);
		return;
	}
	s->started = true;
	if (!start->snapshot)
		return;
	s->applied = (struct sync_position){ start->epoch, start->first_seq - 1 };
	s->whole = false;
	s->undecodable = false;
	s->doubtful = false;
	s->full_peer = false;
	s->sweep.running = false;
	s->sweep_now++;
	s->snapshot_received = 0;
	s->snapshot_expected = 0;
	s->report_due = true;
}

/* The peer is wrong about this flow: tell it what is right. */
static void
refuse(struct sync_session *s, uint32_t index, bool deleted, struct td_instant now)
{
	struct shadow_entry *e = shadow_at(s->shadow, index);

	if (deleted)
		s->count.refused_deletes++;
	else
		s->count.refused_upserts++;
	e->term = sync_entry_owner(s, e).term;
	e->flags &= (uint8_t)~SHADOW_OF_PEER;
	e->flags |= SHADOW_PEER_HAS; /* it must be told of the end as well */
	sync_mark_dirty(s, index, now);
}

static bool
accepts(const struct sync_session *s, uint32_t index, uint32_t term)
{
	const struct shadow_entry *e = shadow_at(s->shadow, index);

	return sync_accepts(s->authority,
	    e->flags & SHADOW_OF_PEER ? SYNC_PEER : SYNC_SELF, e->term, term,
	    s->cfg.node_index == 0);
}

/* The peer was told of this flow, and that it ended, or missed that: it ended here
 * while a higher term was Active. Tell it again. */
static void
refuse_ended(struct sync_session *s, uint32_t index, struct td_instant now)
{
	struct shadow_entry *e = shadow_at(s->shadow, index);

	s->count.refused_ended++;
	e->term = s->authority.term;
	e->flags |= SHADOW_PEER_HAS;
	shadow_set_deleted(s->shadow, index, true);
	sync_mark_dirty(s, index, now);
}

static void
apply_delete(
    struct sync_session *s, const struct flow_change *change, struct td_instant now)
{
	uint32_t index = shadow_find(s->shadow, &change->flow.key);

	if (index == SHADOW_NONE) {
		s->count.deletes_unknown++;
		return;
	}
	if (!accepts(s, index, change->term)) {
		refuse(s, index, true, now);
		return;
	}
	s->count.deletes_applied++;
	if ((shadow_at(s->shadow, index)->flags & SHADOW_DELETED) == 0)
		kernel_drop(s, &change->flow.key);
	shadow_remove(s->shadow, index);
}

static void
apply_upsert(
    struct sync_session *s, const struct flow_change *change, struct td_instant now)
{
	uint32_t index = shadow_find(s->shadow, &change->flow.key);
	struct shadow_entry *e;
	bool present = false,
	     older = s->authority.side == SYNC_SELF && change->term < s->authority.term;

	if (index == SHADOW_NONE) {
		index = insert(s, &change->flow.key);
		if (index == SHADOW_NONE) {
			s->full_peer = true;
			s->whole = false;
			return;
		}
		e = shadow_at(s->shadow, index);
		if (older && change->known) {
			refuse_ended(s, index, now);
			return;
		}
		/* Said before the peer became the authority, and told here to have
		 * ended since: the two have crossed on their way. */
		if (change->known && s->authority.side == SYNC_PEER &&
		    change->term < s->authority.term)
			s->doubtful = true;
	} else {
		if (!accepts(s, index, change->term)) {
			refuse(s, index, false, now);
			return;
		}
		e = shadow_at(s->shadow, index);
		/* With another reply tuple it is another flow: not to be updated. */
		present = (e->flags & (SHADOW_DELETED | SHADOW_UNAPPLIED)) == 0 &&
			  memcmp(&e->flow.reply, &change->flow.reply,
			      sizeof(e->flow.reply)) == 0;
		shadow_set_deleted(s->shadow, index, false);
		shadow_dirty_remove(s->shadow, index);
	}
	e->flow = change->flow;
	e->flow.timeout_s = deadline_s(change->flow.timeout_s, now);
	e->term = change->term;
	e->version = change->version;
	e->flags |= SHADOW_OF_PEER | SHADOW_PEER_HAS;
	e->flags &= (uint8_t)~SHADOW_STRAY; /* this is what sets the kernel right */
	e->sweep = s->sweep_now;
	e->audit = s->audit_now;
	s->count.upserts_applied++;
	if (older) {
		/* Opened at the other side of a cut. It is ours now: say so, or the
		 * sweep of a running snapshot would remove it at the peer. */
		s->count.merged++;
		sync_mark_dirty(s, index, now);
	}
	kernel_put(s, index, present, now);
}

static void
apply_records(
    struct sync_session *s, const struct sync_batch *batch, struct td_instant now)
{
	struct td_reader rd = { batch->blob, batch->blob_len, false };

	for (uint32_t i = 0; i < batch->records; i++) {
		struct flow_change change;
		enum flow_drop drop = flow_change_decode(&rd, &change);

		if (drop != FLOW_OK) {
			/* What follows it is unreadable. Going on without it and asking
			 * for everything again is better than a link that breaks at the
			 * same record for ever. */
			s->count.undecodable[drop]++;
			s->undecodable = true;
			s->whole = false;
			return;
		}
		if (change.deleted)
			apply_delete(s, &change, now);
		else
			apply_upsert(s, &change, now);
	}
}

void
sync_apply_batch(
    struct sync_session *s, const struct sync_batch *batch, struct td_instant now)
{
	if (!s->started || batch->epoch != s->applied.epoch) {
		sync_link_restart(s, SYNC_RESTART_EPOCH, now);
		return;
	}
	if (batch->seq <= s->applied.seq) {
		s->count.duplicate_batches++;
		return;
	}
	if (batch->seq != s->applied.seq + 1) {
		sync_link_restart(s, SYNC_RESTART_GAP, now);
		return;
	}
	s->count.bytes_received += batch->blob_len;
	apply_records(s, batch, now);
	kernel_flush(s);
	s->applied.seq = batch->seq;
	s->report_due = true;
	if (!s->whole) {
		s->snapshot_received = batch->snapshot_sent;
		s->snapshot_expected = batch->snapshot_total;
	}
	if (batch->snapshot_end) {
		s->sweep = (struct sync_walk){ .running = true };
		s->caught_up_after_sweep = false;
	}
	if (batch->caught_up && s->sweep.running)
		s->caught_up_after_sweep = true;
	else if (batch->caught_up)
		s->caught_up = true;
}

void
sync_session_applied(struct sync_session *s, uint32_t index, int status)
{
	struct shadow_entry *e;
	bool stray;

	if (!shadow_used(s->shadow, index))
		return; /* deleted by the same batch */
	e = shadow_at(s->shadow, index);
	stray = (e->flags & SHADOW_STRAY) != 0;
	e->flags &= (uint8_t)~SHADOW_STRAY;
	if (status == 0) {
		shadow_set_unapplied(s->shadow, index, false);
		return;
	}
	s->count.kernel_refusals++;
	if (stray)
		return; /* the entry is there, and its owner will say more */
	if (status == ERRNO_EXIST && s->authority.side == SYNC_SELF) {
		/* Both routers gave away the same tuple while they could not talk. The
		 * flow of the Active one is in use; the other cannot be served. */
		s->count.clashes++;
		shadow_remove(s->shadow, index);
		return;
	}
	shadow_set_unapplied(s->shadow, index, true);
}

/* ---- this kernel ---- */

static void
local_new(struct sync_session *s, enum sync_local what, const struct flow_record *flow,
    struct td_instant now)
{
	uint32_t index = insert(s, &flow->key);
	struct shadow_entry *e;

	if (index == SHADOW_NONE)
		return;
	e = shadow_at(s->shadow, index);
	e->flow = *flow;
	e->flow.timeout_s = deadline_s(flow->timeout_s, now);
	e->term = s->own_term;
	e->version = 1;
	s->diverged = true;
	e->audit = s->audit_now;
	/* What a Backup finds in its kernel at start is what the Active router once
	 * sent: it is not news for that one, and swept unless its snapshot has it. Who
	 * is Active may not be known yet: what this node owns when the link comes up is
	 * in its snapshot anyway. */
	if (what == SYNC_LOCAL_DUMPED && (!s->ready || s->authority.side == SYNC_PEER))
		return;
	if (what == SYNC_LOCAL_DUMPED)
		s->count.audit_found++;
	sync_mark_dirty(s, index, now);
}

static void
local_changed(struct sync_session *s, uint32_t index, enum sync_local what,
    const struct flow_record *flow, struct td_instant now)
{
	struct shadow_entry *e = shadow_at(s->shadow, index);
	struct flow_record update = *flow;
	uint32_t old_deadline = e->flow.timeout_s, remaining;
	bool changed;

	e->audit = s->audit_now;
	if (what == SYNC_LOCAL_DUMPED && update.tcp_state == e->flow.tcp_state) {
		/* These move with every packet and replicas begin with others: alone
		 * they are no reason to send a flow. */
		memcpy(update.tcp_flags, e->flow.tcp_flags, sizeof(update.tcp_flags));
	}
	update.timeout_s = deadline_s(flow->timeout_s, now);
	changed = flow_merge(&e->flow, &update);
	remaining = old_deadline > now_s(now) ? old_deadline - now_s(now) : 0;
	if (!changed && what == SYNC_LOCAL_DUMPED) {
		/* The kernel never announces that packets prolonged a flow. Tell the
		 * peer when half of what it knows has passed. */
		if (e->flow.timeout_s > old_deadline &&
		    (remaining < 30 ||
			remaining < (e->flow.timeout_s - now_s(now)) / 2))
			s->count.audit_refreshed++;
		else if (e->flags & SHADOW_PEER_HAS) {
			e->flow.timeout_s = old_deadline;
			return;
		}
	} else if (what == SYNC_LOCAL_DUMPED) {
		s->count.audit_found++;
	}
	e->version++;
	e->term = s->own_term;
	e->flags &= (uint8_t) ~(SHADOW_OF_PEER | SHADOW_STRAY);
	s->diverged = true;
	sync_mark_dirty(s, index, now);
}

/* The flow ended here, and this node owns it. */
static void
local_end(struct sync_session *s, uint32_t index, struct td_instant now)
{
	struct shadow_entry *e = shadow_at(s->shadow, index);

	s->diverged = true;
	/* A flow that began and ended before the peer was told is nothing to tell. */
	if ((e->flags & SHADOW_PEER_HAS) == 0) {
		shadow_remove(s->shadow, index);
		return;
	}
	shadow_set_unapplied(s->shadow, index, false);
	shadow_set_deleted(s->shadow, index, true);
	e->version++;
	e->term = s->own_term;
	e->flags &= (uint8_t) ~(SHADOW_OF_PEER | SHADOW_STRAY);
	sync_mark_dirty(s, index, now);
}

/* A replica is gone from this kernel. That says nothing about the flow: only its owner
 * knows whether it lives. Without a link nobody can tell, so it stays. */
static void
replica_lost(struct sync_session *s, uint32_t index, struct td_instant now)
{
	const struct shadow_entry *e = shadow_at(s->shadow, index);

	if (s->link == SYNC_LINK_UP &&
	    e->flow.timeout_s + s->cfg.lease_s <= now_s(now)) {
		s->count.replica_expired++;
		shadow_remove(s->shadow, index);
		return;
	}
	s->count.replica_reinserted++;
	kernel_put(s, index, false, now);
}

void
sync_session_local(struct sync_session *s, enum sync_local what,
    const struct flow_record *flow, struct td_instant now)
{
	uint32_t index = shadow_find(s->shadow, &flow->key);
	struct shadow_entry *e;

	if (index == SHADOW_NONE) {
		if (what != SYNC_LOCAL_DESTROYED)
			local_new(s, what, flow, now);
		return;
	}
	e = shadow_at(s->shadow, index);
	if (e->flags & SHADOW_DELETED) {
		if (what == SYNC_LOCAL_DESTROYED)
			return;
		/* Begun anew with the same tuple before the peer was told of the end.
		 */
		shadow_set_deleted(s->shadow, index, false);
		e->flow = *flow;
		e->flow.timeout_s = deadline_s(flow->timeout_s, now);
		e->flow.present = 0;
	}
	if (sync_entry_owner(s, e).side == SYNC_SELF) {
		if (what == SYNC_LOCAL_DESTROYED)
			local_end(s, index, now);
		else
			local_changed(s, index, what, flow, now);
	} else if (what == SYNC_LOCAL_DESTROYED) {
		replica_lost(s, index, now);
	} else {
		/* A packet here before the election told us that we are Active, whose
		 * audit will find it; or after we have ceased to be, and then the
		 * kernel must go back to what the owner says. */
		e->audit = s->audit_now;
		if (what != SYNC_LOCAL_CHANGED)
			return;
		s->count.stray++;
		e->flags |= SHADOW_STRAY;
		if (!s->strays)
			s->retry_at = instant_add(now, RETRY_INTERVAL_NS);
		s->strays = true;
	}
}

void
sync_session_audit_begin(struct sync_session *s)
{
	s->audit.running = false;
	/* One that was aborted did not see everything: it does not count as the first
	 * of the two which an entry must be missing from. */
	if (!s->audit_running)
		s->audit_now++;
	s->audit_running = true;
	s->full = false; /* said again if there is still no room */
}

void
sync_session_audit_end(struct sync_session *s)
{
	if (!s->audit_running)
		return;
	s->audit_running = false;
	s->count.audits++;
	s->audit = (struct sync_walk){ .running = true };
}

/* ---- passes ---- */

static void
sweep_entry(struct sync_session *s, uint32_t index, struct td_instant now)
{
	const struct shadow_entry *e = shadow_at(s->shadow, index);
	struct flow_key key = e->flow.key;

	(void)now;
	/* What waits to be sent is judged by the peer when it gets it. */
	if (e->sweep == s->sweep_now || (e->flags & SHADOW_DIRTY) != 0 ||
	    sync_entry_owner(s, e).side != SYNC_PEER)
		return;
	s->count.swept++;
	if ((e->flags & SHADOW_DELETED) == 0)
		kernel_drop(s, &key);
	shadow_remove(s->shadow, index);
}

/* Two audits, because a dump may miss an entry while the hash is resized. */
static void
audit_entry(struct sync_session *s, uint32_t index, struct td_instant now)
{
	const struct shadow_entry *e = shadow_at(s->shadow, index);

	if ((uint8_t)(s->audit_now - e->audit) < 2 ||
	    (e->flags & (SHADOW_DELETED | SHADOW_UNAPPLIED)) != 0)
		return;
	s->count.audit_lost++;
	if (sync_entry_owner(s, e).side == SYNC_SELF)
		local_end(s, index, now);
	else
		replica_lost(s, index, now);
}

static void
retry_entry(struct sync_session *s, uint32_t index, struct td_instant now)
{
	struct shadow_entry *e = shadow_at(s->shadow, index);

	if (e->flags & SHADOW_DELETED)
		return;
	/* Ours by now, and this kernel is ahead of what it refused: the audit after the
	 * takeover takes its state. */
	if ((e->flags & SHADOW_STRAY) != 0 &&
	    sync_entry_owner(s, e).side == SYNC_SELF) {
		e->flags &= (uint8_t)~SHADOW_STRAY;
		shadow_set_unapplied(s->shadow, index, false);
		return;
	}
	if (e->flags & SHADOW_UNAPPLIED)
		kernel_put(s, index, false, now);
	else if (e->flags & SHADOW_STRAY)
		kernel_put(s, index, true, now);
}

typedef void walk_visit(struct sync_session *s, uint32_t index, struct td_instant now);

static void
walk_on(struct sync_session *s, struct sync_walk *walk, walk_visit *visit,
    struct td_instant now)
{
	uint64_t operations_end = s->kernel_operations + WALK_OPERATIONS_PER_TICK;
	uint32_t left = WALK_ENTRIES_PER_TICK;

	if (!walk->running)
		return;
	while (left > 0 && s->kernel_operations < operations_end &&
	       walk->next < s->shadow->high) {
		if (shadow_used(s->shadow, walk->next))
			visit(s, walk->next, now);
		walk->next++;
		left--;
	}
	if (walk->next >= s->shadow->high)
		walk->running = false;
}

/* Records that were lost here come again only with a snapshot. Not at once and not
 * often: the same record may be lost again, and there may still be no room. */
static void
ask_again(struct sync_session *s, struct td_instant now)
{
	bool room = s->shadow->count < s->shadow->flows_max / 10 * 9;
	struct sync_msg msg = { .kind = SYNC_RESYNC };

	if (s->link != SYNC_LINK_UP || !instant_reached(now, s->resync_at) ||
	    !(s->undecodable || s->doubtful || (s->full_peer && room)))
		return;
	s->resync_at = instant_add(now, RESYNC_INTERVAL_NS);
	sync_send(s, &msg);
}

void
sync_apply_tick(struct sync_session *s, struct td_instant now)
{
	bool sweeping = s->sweep.running;

	ask_again(s, now);

	walk_on(s, &s->sweep, sweep_entry, now);
	walk_on(s, &s->audit, audit_entry, now);
	if ((s->shadow->unapplied_count > 0 || s->strays) && !s->retry.running &&
	    instant_reached(now, s->retry_at)) {
		s->strays = false;
		s->retry = (struct sync_walk){ .running = true };
		s->retry_at = instant_add(now, RETRY_INTERVAL_NS);
	}
	walk_on(s, &s->retry, retry_entry, now);
	kernel_flush(s);

	if (sweeping && !s->sweep.running) {
		s->count.snapshots_received++;
		s->whole = !s->undecodable && !s->full_peer;
		if (s->caught_up_after_sweep)
			s->caught_up = true;
		s->report_due = true;
	}
}
