/* What the room says of itself: samples for metrics and tables, and the list of flows.
 */
#include "syncd/syncd.h"

#include <stdio.h>
#include <string.h>

#define FLOWS_LISTED_MAX 5000

static const char *
yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void
number(char buf[24], uint64_t n)
{
	snprintf(buf, 24, "%llu", (unsigned long long)n);
}

static void
fill_state(struct syncd *sd, struct room_status *st)
{
	const struct sync_session *s = &sd->session;
	const struct td_config *config = sd->config;
	struct sync_view v;
	char epoch[24], peer_epoch[24];

	sync_session_view(s, loop_now(sd->loop), &v);
	number(epoch, s->epoch);
	number(peer_epoch, s->applied.epoch);
	status_info(st, "tandem_sync_info", "peer",
	    config->nodes[1 - config->self].name, "reason",
	    v.reason[0] != '\0' ? v.reason : "in sync", "epoch", epoch, "peer_epoch",
	    peer_epoch, "generation_differs", yes_no(v.generation_differs), NULL);
	status_gauge(st, "tandem_sync_connected", v.connected, NULL);
	status_gauge(st, "tandem_sync_have_state", v.have_state, NULL);
	status_gauge(st, "tandem_sync_peer_has_state", v.peer_has_state, NULL);
	status_gauge(st, "tandem_sync_in_sync", v.reason[0] == '\0', NULL);
	status_gauge(st, "tandem_sync_generation_differs", v.generation_differs, NULL);
	status_gauge(st, "tandem_sync_lag_seconds", (double)v.lag_ns / 1e9, NULL);
	status_gauge(st, "tandem_sync_pending_flows", (double)v.pending, NULL);
	status_gauge(st, "tandem_sync_unapplied_flows", (double)v.unapplied, NULL);
	status_gauge(
	    st, "tandem_sync_peer_unapplied_flows", (double)v.peer_unapplied, NULL);
	status_gauge(st, "tandem_sync_sent_seq", (double)v.seq_sent, NULL);
	status_gauge(st, "tandem_sync_acked_seq", (double)v.seq_acked, NULL);
	status_gauge(st, "tandem_sync_applied_seq", (double)s->applied.seq, NULL);
	status_gauge(st, "tandem_sync_flows", (double)v.flows, NULL);
	status_gauge(st, "tandem_sync_peer_flows", (double)v.peer_flows, NULL);
	status_gauge(st, "tandem_sync_flows_max", (double)sd->shadow.flows_max, NULL);
	status_gauge(st, "tandem_sync_window_bytes", (double)s->ring.held_bytes, NULL);
	status_histogram(st, "tandem_sync_ack_seconds", &sd->ack_latency, NULL);

	/* Progress of a running snapshot, 1 when there is none. */
	status_gauge(st, "tandem_sync_snapshot_progress",
	    s->snapshot.running && s->snapshot.end > 0
		? (double)s->snapshot.next / s->snapshot.end
		: 1,
	    "direction", "sent", NULL);
	status_gauge(st, "tandem_sync_snapshot_progress",
	    v.connected && !s->whole
		? (double)s->snapshot_received / (double)(s->snapshot_expected + 1)
		: 1,
	    "direction", "received", NULL);
}

static void
fill_records(const struct sync_counters *c, struct room_status *st)
{
	const struct {
		const char *operation, *outcome;
		uint64_t count;
	} rows[] = {
		{ "upsert", "sent", c->upserts_sent },
		{ "delete", "sent", c->deletes_sent },
		{ "upsert", "applied", c->upserts_applied },
		{ "delete", "applied", c->deletes_applied },
		{ "delete", "unknown", c->deletes_unknown },
		{ "upsert", "refused_older", c->refused_upserts },
		{ "delete", "refused_older", c->refused_deletes },
		{ "delete", "swept", c->swept },
		{ "upsert", "clash", c->clashes },
		{ "upsert", "refused_by_kernel", c->kernel_refusals },
		{ "upsert", "no_room", c->full },
		{ "delete", "no_room", c->forgotten },
		{ "upsert", "stray", c->stray },
		{ "replica", "expired", c->replica_expired },
		{ "replica", "reinserted", c->replica_reinserted },
		{ "audit", "found", c->audit_found },
		{ "audit", "lost", c->audit_lost },
		{ "audit", "refreshed", c->audit_refreshed },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		status_counter(st, "tandem_sync_records_total", (double)rows[i].count,
		    "operation", rows[i].operation, "outcome", rows[i].outcome, NULL);
	for (unsigned i = 1; i < FLOW_DROP_COUNT; i++)
		status_counter(st, "tandem_sync_records_undecodable_total",
		    (double)c->undecodable[i], "reason", flow_drop_name(i), NULL);
	status_counter(st, "tandem_sync_audits_total", (double)c->audits, NULL);
}

static void
fill_link(struct syncd *sd, struct room_status *st)
{
	const struct sync_counters *c = &sd->session.count;
	const struct channel_counters *ch;

	for (unsigned i = 0; i < SYNC_KIND_COUNT; i++) {
		status_counter(st, "tandem_sync_messages_total", (double)c->sent[i],
		    "kind", sync_msg_name(i), "direction", "sent", NULL);
		status_counter(st, "tandem_sync_messages_total", (double)c->received[i],
		    "kind", sync_msg_name(i), "direction", "received", NULL);
	}
	for (unsigned i = 1; i < SYNC_REFUSED_COUNT; i++)
		status_counter(st, "tandem_sync_hellos_refused_total",
		    (double)c->refused[i], "reason", sync_refusal_name(i), NULL);
	for (unsigned i = 0; i < SYNC_RESTART_COUNT; i++)
		status_counter(st, "tandem_sync_link_restarts_total",
		    (double)c->restarts[i], "reason", sync_restart_name(i), NULL);
	for (unsigned i = 1; i < SYNC_DROP_COUNT; i++)
		status_counter(st, "tandem_sync_messages_undecodable_total",
		    (double)sd->undecodable[i], "reason", sync_drop_name(i), NULL);
	status_counter(
	    st, "tandem_sync_messages_foreign_total", (double)c->foreign, NULL);
	status_counter(st, "tandem_sync_batches_replayed_total",
	    (double)c->replayed_batches, NULL);
	status_counter(st, "tandem_sync_batches_duplicate_total",
	    (double)c->duplicate_batches, NULL);
	status_counter(st, "tandem_sync_snapshots_total", (double)c->snapshots_sent,
	    "direction", "sent", NULL);
	status_counter(st, "tandem_sync_snapshots_total", (double)c->snapshots_received,
	    "direction", "received", NULL);
	status_counter(st, "tandem_sync_record_bytes_total", (double)c->bytes_sent,
	    "direction", "sent", NULL);
	status_counter(st, "tandem_sync_record_bytes_total", (double)c->bytes_received,
	    "direction", "received", NULL);
	if (sd->channel == NULL)
		return;
	ch = channel_counters(sd->channel);
	for (unsigned i = 0; i < CHANNEL_REFUSED_COUNT; i++)
		status_counter(st, "tandem_sync_connections_refused_total",
		    (double)ch->refused[i], "reason", channel_refusal_name(i), NULL);
	status_counter(st, "tandem_sync_connects_total", (double)ch->connects, NULL);
	status_counter(
	    st, "tandem_sync_disconnects_total", (double)ch->disconnects, NULL);
	status_counter(st, "tandem_sync_bytes_total", (double)ch->bytes_sent,
	    "direction", "sent", NULL);
	status_counter(st, "tandem_sync_bytes_total", (double)ch->bytes_received,
	    "direction", "received", NULL);
	status_counter(
	    st, "tandem_sync_messages_unsent_total", (double)ch->unsent, NULL);
}

static void
fill_kernel(struct syncd *sd, struct room_status *st)
{
	const struct ct_events_counters *ev;
	const struct ct_inject_counters *in;
	static const char *const kinds[3] = { "new", "update", "destroy" };
	int64_t entries = ct_sysctl_count();

	if (sd->dump == NULL)
		return; /* opening failed: the room is about to end */
	ev = ct_events_counters(sd->events);
	in = ct_inject_counters(sd->inject);

	for (unsigned i = 0; i < 3; i++)
		status_counter(st, "tandem_conntrack_events_total",
		    (double)ev->received[i], "kind", kinds[i], NULL);
	status_counter(st, "tandem_conntrack_events_own_total", (double)ev->own, NULL);
	status_counter(
	    st, "tandem_conntrack_events_skipped_total", (double)ev->skipped, NULL);
	status_counter(st, "tandem_sync_overruns_total", (double)ev->overruns, NULL);
	for (unsigned i = 0; i < CT_OUTCOME_COUNT; i++)
		status_counter(st, "tandem_sync_kernel_operations_total",
		    (double)in->outcomes[i], "outcome", ct_outcome_name(i), NULL);
	for (int i = 1; i < CT_INJECT_ERRNO_MAX; i++) {
		if (in->refused[i] != 0)
			status_counter(st, "tandem_sync_kernel_refused_total",
			    (double)in->refused[i], "errno", strerrorname_np(i), NULL);
	}
	if (entries >= 0)
		status_gauge(st, "tandem_conntrack_entries", (double)entries, NULL);
	for (unsigned i = 0; i < CT_SET_COUNT; i++)
		status_gauge(st, "tandem_conntrack_setting",
		    (double)sd->sysctl.settings[i].effective, "name",
		    ct_setting_name(i), NULL);
}

void
status_fill(struct syncd *sd, struct room_status *st)
{
	fill_state(sd, st);
	fill_records(&sd->session.count, st);
	fill_link(sd, st);
	fill_kernel(sd, st);
}

void
status_list_flows(struct syncd *sd, struct room_status *st)
{
	uint32_t listed = 0, now = (uint32_t)(loop_now(sd->loop).ns / NS_PER_S);

	for (uint32_t i = 0; i < sd->shadow.high && listed < FLOWS_LISTED_MAX; i++) {
		const struct shadow_entry *e;
		char flow[FLOW_TEXT_MAX], timeout[24], mark[24], state[24], term[24];
		bool ours;

		if (!shadow_used(&sd->shadow, i))
			continue;
		e = shadow_at(&sd->shadow, i);
		if (e->flags & SHADOW_DELETED)
			continue;
		ours = sync_owner_of(sd->session.authority,
			   e->flags & SHADOW_OF_PEER ? SYNC_PEER : SYNC_SELF, e->term)
			   .side == SYNC_SELF;
		number(timeout, e->flow.timeout_s > now ? e->flow.timeout_s - now : 0);
		snprintf(mark, sizeof(mark), "0x%x", e->flow.mark);
		number(state, e->flow.tcp_state);
		number(term, e->term);
		status_info(st, "tandem_flow", "flow", flow_format(&e->flow, flow),
		    "owner", ours ? "self" : "peer", "timeout", timeout, "mark", mark,
		    "tcp_state", state, "term", term, NULL);
		listed++;
	}
}
