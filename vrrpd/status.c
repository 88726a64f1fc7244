/* status.c - the samples of tandem-vrrpd: /metrics, tables and --json are made of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "vrrpd/daemon.h"

static double
seconds(int64_t ns)
{
	return (double)ns / NS_PER_S;
}

static void
status_node(const struct daemon *d, struct room_status *st, struct td_instant now)
{
	const struct node *n = &d->node;
	const struct td_config *config = d->config;
	struct td_msg_role role;

	node_role(&d->cfg, n, now, &role);
	status_info(st, "tandem_vrrp_info", "node", config->nodes[config->self].name,
	    "role", td_role_name(n->role), "reason", role.reason, "peer",
	    config->nodes[1 - config->self].name, "peer_role",
	    role.peer_alive ? td_role_name(role.peer_role) : "unknown", NULL);
	for (int r = TD_ROLE_INITIALIZE; r <= TD_ROLE_ACTIVE; r++)
		status_gauge(st, "tandem_vrrp_role", (int)n->role == r, "role",
		    td_role_name((enum td_role)r), NULL);
	status_gauge(st, "tandem_vrrp_term", (double)n->term, NULL);
	status_gauge(st, "tandem_vrrp_priority", n->priority, NULL);
	status_gauge(st, "tandem_vrrp_priority_configured", d->cfg.priority, NULL);
	status_gauge(st, "tandem_vrrp_advertisement_interval_seconds",
	    seconds(d->cfg.interval_ns), NULL);
	status_gauge(st, "tandem_vrrp_active_down_interval_seconds",
	    seconds(node_active_down_interval_ns(&d->cfg, n)), NULL);
	status_gauge(st, "tandem_vrrp_peer_alive", role.peer_alive, NULL);
	status_gauge(
	    st, "tandem_vrrp_unfit_scripts", __builtin_popcount(n->unfit), NULL);
	status_gauge(st, "tandem_vrrp_peer_unfit_scripts",
	    role.peer_alive ? __builtin_popcount(n->peer.unfit) : 0, NULL);
	status_gauge(st, "tandem_vrrp_maintenance", n->maintenance, NULL);
	status_gauge(st, "tandem_vrrp_peer_maintenance",
	    role.peer_alive && (n->peer.flags & WITNESS_MAINTENANCE) != 0, NULL);
	status_gauge(st, "tandem_vrrp_peer_term", (double)n->peer.term, NULL);
	status_gauge(st, "tandem_vrrp_have_state", n->have_state, NULL);
	status_gauge(st, "tandem_vrrp_peer_has_state", n->peer_has_state, NULL);
	for (unsigned bit = 1; bit <= NODE_ALARM_LAST; bit <<= 1)
		status_gauge(st, "tandem_vrrp_alarm", (n->alarms & bit) != 0, "alarm",
		    node_alarm_name(bit), NULL);
	for (unsigned r = 0; r < NODE_REASONS; r++)
		status_counter(st, "tandem_vrrp_transitions_total",
		    (double)d->counters.transitions[r], "reason", node_reason_name(r),
		    NULL);
}

static void
status_routers(const struct daemon *d, struct room_status *st)
{
	status_gauge(st, "tandem_vrrp_term", (double)d->node.term, NULL);
	for (unsigned i = 0; i < d->member_count; i++) {
		const struct member *mb = &d->member[i];

		for (int r = VRRP_INITIALIZE; r <= VRRP_ACTIVE; r++)
			status_gauge(st, "tandem_vrrp_router_state",
			    (int)mb->router.state == r, "interface",
			    mb->interface->name, "family",
			    mb->family == TD_AF_INET6 ? "ipv6" : "ipv4", "state",
			    td_role_name((enum td_role)r), NULL);
	}
}

static void
status_adverts(const struct member *mb, unsigned f, struct room_status *st)
{
	const struct advert_counters *c = advert_socket_counters(mb->adverts[f]);
	const char *name = mb->interface->name, *family = f == 0 ? "ipv4" : "ipv6";

	status_counter(st, "tandem_vrrp_adverts_sent_total", (double)c->sent,
	    "interface", name, "family", family, NULL);
	status_counter(st, "tandem_vrrp_adverts_unsent_total", (double)c->send_failed,
	    "interface", name, "family", family, NULL);
	status_counter(st, "tandem_vrrp_adverts_received_total", (double)c->received,
	    "interface", name, "family", family, NULL);
	status_counter(st, "tandem_vrrp_priority_zero_sent_total",
	    (double)c->priority_zero_sent, "interface", name, "family", family, NULL);
	status_counter(st, "tandem_vrrp_priority_zero_received_total",
	    (double)c->priority_zero_received, "interface", name, "family", family,
	    NULL);
	status_counter(st, "tandem_vrrp_adverts_message_only_checksum_total",
	    (double)c->message_only, "interface", name, "family", family, NULL);
	status_counter(st, "tandem_vrrp_adverts_other_addresses_total",
	    (double)c->other_addresses, "interface", name, "family", family, NULL);
	status_counter(st, "tandem_vrrp_adverts_other_interval_total",
	    (double)c->other_interval, "interface", name, "family", family, NULL);
	for (unsigned drop = VRRP_OK + 1; drop < VRRP_DROP_COUNT_OF_REASONS; drop++)
		status_counter(st, "tandem_vrrp_adverts_dropped_total",
		    (double)c->dropped[drop], "interface", name, "family", family,
		    "reason", vrrp_drop_name(drop), NULL);
}

static void
status_link(const struct daemon *d, const struct member *mb, struct room_status *st,
    struct td_instant now)
{
	const struct node_member *nm = &d->node.member[mb->index];
	const char *name = mb->interface->name;
	char vrid[8];

	snprintf(vrid, sizeof(vrid), "%u", mb->interface->vrid);
	status_gauge(st, "tandem_vrrp_link_up", link_facts(mb->link)->carrier,
	    "interface", name, "vrid", vrid, NULL);
	status_gauge(st, "tandem_vrrp_fence_attached", mb->fence_attached, "interface",
	    name, NULL);
	if (d->independent)
		return;
	status_gauge(st, "tandem_vrrp_partial_cut",
	    node_member_cut(&d->cfg, &d->node, mb->index, now), "interface", name,
	    NULL);
	status_gauge(st, "tandem_vrrp_neighbours_unreached", nm->unreached, "interface",
	    name, NULL);
	status_gauge(st, "tandem_vrrp_peer_heard_seconds",
	    nm->advert_at.ns < 0 ? -1 : seconds(instant_diff_ns(now, nm->advert_at)),
	    "interface", name, NULL);
}

static void
status_member(const struct daemon *d, const struct member *mb, struct room_status *st,
    struct td_instant now)
{
	const struct announce_counters *ac = announce_counters(mb->announce);
	const char *name = mb->interface->name;
	bool second = mb->index > 0 && strcmp(name, mb[-1].interface->name) == 0;
	/* The end of the labels in node mode, where one announcer serves both. */
	const char *family_label = d->independent ? "family" : NULL;
	const char *family = mb->family == TD_AF_INET6 ? "ipv6" : "ipv4";

	if (!second)
		status_link(d, mb, st, now);
	status_counter(st, "tandem_vrrp_announcements_sent_total", (double)ac->sent,
	    "interface", name, family_label, family, NULL);
	status_counter(st, "tandem_vrrp_announcements_failed_total", (double)ac->failed,
	    "interface", name, family_label, family, NULL);
	for (unsigned f = 0; f < TD_FAMILIES; f++)
		if (mb->adverts[f] != NULL)
			status_adverts(mb, f, st);
}

static void
status_fence(const struct daemon *d, struct room_status *st, struct td_instant now)
{
	struct fence_counters fc;
	bool open = false;

	for (unsigned i = 0; i < d->member_count; i++)
		open |= d->fence != NULL &&
			fence_is_open(d->fence, d->member[i].lease, now);
	status_gauge(st, "tandem_vrrp_fence_loaded", d->fence != NULL, NULL);
	status_gauge(st, "tandem_vrrp_fence_open", open, NULL);
	status_gauge(st, "tandem_vrrp_fence_lease_left_seconds",
	    open ? seconds(instant_diff_ns(fence_answer_deadline(d->fence, 0), now))
		 : 0,
	    NULL);
	status_counter(st, "tandem_vrrp_fence_renewals_total",
	    (double)d->counters.fence_renewals, NULL);
	status_counter(st, "tandem_vrrp_fence_lapses_total",
	    (double)d->counters.fence_lapses, NULL);
	status_counter(st, "tandem_vrrp_fence_reattached_total",
	    (double)d->counters.fence_reattached, NULL);
	if (d->fence == NULL || fence_counters_read(d->fence, &fc) < 0)
		return;
	for (unsigned i = 0; i < TD_FENCE_COUNTERS; i++)
		status_counter(st, "tandem_vrrp_fence_dropped_total",
		    (double)fc.count[i], "what", fence_counter_name(i), NULL);
}

static void
status_witness(const struct daemon *d, struct room_status *st, struct td_instant now)
{
	const struct witness_counters *c = witness_socket_counters(d->witness);
	char link[8];

	status_gauge(st, "tandem_vrrp_witness_alive",
	    node_witness_alive(&d->cfg, &d->node, now), NULL);
	status_gauge(st, "tandem_vrrp_witness_peer_generation",
	    (double)witness_socket_peer_generation(d->witness), NULL);
	status_counter(
	    st, "tandem_vrrp_witness_peer_sessions_total", (double)c->sessions, NULL);
	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX; i++) {
		if (d->config->nodes[d->config->self].sync_address[i].family == 0)
			continue;
		snprintf(link, sizeof(link), "%u", i);
		status_counter(st, "tandem_vrrp_witness_sent_total",
		    (double)c->link[i].sent, "link", link, NULL);
		status_counter(st, "tandem_vrrp_witness_unsent_total",
		    (double)c->link[i].send_failed, "link", link, NULL);
		status_counter(st, "tandem_vrrp_witness_received_total",
		    (double)c->link[i].received, "link", link, NULL);
	}
	for (unsigned drop = WITNESS_OK + 1; drop < WITNESS_DROP_COUNT; drop++)
		status_counter(st, "tandem_vrrp_witness_dropped_total",
		    (double)c->dropped[drop], "reason", witness_drop_name(drop), NULL);
}

void
daemon_status(void *context, struct room_status *st)
{
	struct daemon *d = context;
	struct td_instant now = clock_now();

	if (!d->running)
		return;
	if (d->independent)
		status_routers(d, st);
	else
		status_node(d, st, now);
	for (unsigned i = 0; i < d->member_count; i++)
		status_member(d, &d->member[i], st, now);
	status_fence(d, st, now);
	if (!d->independent)
		status_witness(d, st, now);
	status_histogram(
	    st, "tandem_vrrp_timer_lateness_seconds", &d->counters.lateness, NULL);
	status_histogram(
	    st, "tandem_vrrp_takeover_duration_seconds", &d->counters.takeover, NULL);
	status_counter(
	    st, "tandem_vrrp_late_ticks_total", (double)d->counters.late_ticks, NULL);
	status_counter(
	    st, "tandem_vrrp_term_errors_total", (double)d->counters.term_errors, NULL);
	status_gauge(st, "tandem_vrrp_term_unstored",
	    d->node.role == TD_ROLE_ACTIVE && term_store_lacks(&d->terms, d->node.term),
	    NULL);
	status_counter(st, "tandem_vrrp_address_errors_total",
	    (double)d->counters.address_errors, NULL);
	status_counter(st, "tandem_vrrp_addresses_repaired_total",
	    (double)d->counters.repaired, NULL);
}
