#include "routerd/core/report.h"

#include <stdio.h>
#include <string.h>
#include "routerd/core/pivot.h"

static bool
any(const struct sample_set *set, const char *name, double number)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->list[i].number == number &&
		    strcmp(set->list[i].name, name) == 0)
			return true;
	return false;
}

static const char *
info(const struct sample_set *set, const char *name, const char *label)
{
	return sample_label(samples_find(set, name, NULL, NULL), label);
}

static bool
role_is(const struct sample_set *set, const char *metric, const char *role)
{
	return strcmp(info(set, metric, "role"), role) == 0;
}

static bool
peer_alive(const struct sample_set *set)
{
	return samples_number(set, "tandem_peer_alive", 0) == 1;
}

static bool
room_down(const struct sample_set *set)
{
	return any(set, "tandem_room_up", 0);
}

static bool
crash_loop(const struct sample_set *set)
{
	return any(set, "tandem_room_crash_loop", 1);
}

static bool
config_stale(const struct sample_set *set)
{
	return any(set, "tandem_room_config_stale", 1);
}

static bool
peer_lost(const struct sample_set *set)
{
	return !peer_alive(set);
}

static bool
not_protected(const struct sample_set *set)
{
	return role_is(set, "tandem_role_info", "Active") &&
	       samples_number(set, "tandem_protected", 0) == 0;
}

static bool
no_state(const struct sample_set *set)
{
	return peer_alive(set) && role_is(set, "tandem_role_info", "Backup") &&
	       samples_number(set, "tandem_pair_have_state", 0) == 0;
}

static bool
generation_differs(const struct sample_set *set)
{
	const char *own = info(set, "tandem_config_info", "digest");
	const char *peer = info(set, "tandem_config_peer_info", "digest");

	return peer[0] != '\0' && strcmp(own, peer) != 0;
}

static bool
both_active(const struct sample_set *set)
{
	return peer_alive(set) && role_is(set, "tandem_role_info", "Active") &&
	       role_is(set, "tandem_peer_info", "Active");
}

static bool
no_active(const struct sample_set *set)
{
	return peer_alive(set) && role_is(set, "tandem_role_info", "Backup") &&
	       role_is(set, "tandem_peer_info", "Backup");
}

static bool
fence_off(const struct sample_set *set)
{
	return samples_number(set, "tandem_supervisor_fence_loaded", 1) == 0 ||
	       any(set, "tandem_vrrp_fence_attached", 0);
}

static bool
hook_failed(const struct sample_set *set)
{
	return any(set, "tandem_hook_failing", 1);
}

static bool
balancer_off(const struct sample_set *set)
{
	return samples_number(set, "tandem_supervisor_balancer_loaded", 1) == 0;
}

static bool
table_full(const struct sample_set *set)
{
	const struct sample *max =
	    samples_find(set, "tandem_conntrack_setting", "name", "nf_conntrack_max");

	return max != NULL && max->number > 0 &&
	       samples_number(set, "tandem_conntrack_entries", 0) > 0.9 * max->number;
}

static bool
no_server(const struct sample_set *set)
{
	return any(set, "tandem_lb_balancer_active_servers", 0);
}

/* What the election itself finds wrong. */
static bool
vrrp_alarm(const struct sample_set *set, const char *alarm)
{
	const struct sample *s = samples_find(set, "tandem_vrrp_alarm", "alarm", alarm);

	return s != NULL && s->number == 1;
}

static bool
partial_cut(const struct sample_set *set)
{
	return vrrp_alarm(set, "partial_cut");
}

static bool
link_down(const struct sample_set *set)
{
	return vrrp_alarm(set, "link_down");
}

static bool
one_way(const struct sample_set *set)
{
	return vrrp_alarm(set, "one_way");
}

static bool
witness_silent(const struct sample_set *set)
{
	return vrrp_alarm(set, "witness_silent");
}

static bool
unfit(const struct sample_set *set)
{
	return vrrp_alarm(set, "unfit");
}

static bool
track_silent(const struct sample_set *set)
{
	return any(set, "tandem_track_silent", 1);
}

static bool
maintenance(const struct sample_set *set)
{
	return vrrp_alarm(set, "maintenance");
}

static bool
isolated(const struct sample_set *set)
{
	return vrrp_alarm(set, "isolated");
}

static const struct {
	const char *name;
	bool (*raised)(const struct sample_set *set);
	const char *meaning;
} alarms[] = {
	{ "both_active", both_active, "both nodes claim the Active role" },
	{ "no_active", no_active, "neither node is Active" },
	{ "isolated", isolated, "this node reaches nobody and keeps silent" },
	{ "partial_cut", partial_cut, "the nodes hear each other on some paths only" },
	{ "one_way", one_way, "one node hears the other and is not heard" },
	{ "link_down", link_down, "an interface of this node has no carrier" },
	{ "unfit", unfit, "a track script finds this node unfit" },
	{ "track_silent", track_silent,
	    "a track script gives no answer: the last judgement stands" },
	{ "maintenance", maintenance,
	    "this node steps back for work on it: tandemctl maintenance off" },
	{ "witness_silent", witness_silent, "nothing is heard on the sync link" },
	{ "room_down", room_down, "a process of this node does not answer" },
	{ "crash_loop", crash_loop, "a process died twice within a minute" },
	{ "config_stale", config_stale,
	    "a process does not run the configuration in force" },
	{ "fence_off", fence_off, "a dead or frozen node would not fall silent" },
	{ "peer_lost", peer_lost, "the other node is not heard on any path" },
	{ "not_protected", not_protected,
	    "the other node does not hold every session" },
	{ "no_state", no_state, "this node does not hold the sessions yet" },
	{ "generation_differs", generation_differs,
	    "the nodes run different configurations: tandemctl apply" },
	{ "table_full", table_full, "the connection table is over 90 % full" },
	{ "no_server", no_server, "a load balancer has no server left" },
	{ "hook_failed", hook_failed, "the last run of a hook was no success" },
	{ "balancer_off", balancer_off,
	    "the kernel refused the load balancer's program" },
};

#define ALARM_COUNT (sizeof(alarms) / sizeof(alarms[0]))

void
report_alarms(struct sample_set *set)
{
	bool raised[ALARM_COUNT];

	for (size_t i = 0; i < ALARM_COUNT; i++)
		raised[i] = alarms[i].raised(set);
	for (size_t i = 0; i < ALARM_COUNT; i++)
		samples_put(set, TD_ROOM_MGMTD, TD_GAUGE, "tandem_alarm",
		    raised[i] ? 1 : 0, "alarm", alarms[i].name, NULL);
}

const char *
report_alarm_meaning(const char *alarm)
{
	for (size_t i = 0; i < ALARM_COUNT; i++)
		if (strcmp(alarms[i].name, alarm) == 0)
			return alarms[i].meaning;
	return "";
}

unsigned
report_alarm_count(const struct sample_set *set)
{
	unsigned count = 0;

	for (size_t i = 0; i < set->count; i++)
		count += set->list[i].number == 1 &&
			 strcmp(set->list[i].name, "tandem_alarm") == 0;
	return count;
}

static const char *
or_dash(const char *text)
{
	return text[0] != '\0' ? text : "-";
}

static const char *
in_maintenance(const struct sample_set *set, const char *metric)
{
	return samples_number(set, metric, 0) == 1 ? ", in maintenance" : "";
}

static void
sync_line(struct text *out, const struct sample_set *set)
{
	const char *reason = info(set, "tandem_pair_sync_info", "reason");
	bool connected = samples_number(set, "tandem_pair_sync_connected", 0) == 1;

	text_printf(out, "%s, peer %s our sessions, we %s the peer's%s%s",
	    connected ? "connected" : "not connected",
	    samples_number(set, "tandem_protected", 0) == 1 ? "holds" : "lacks",
	    samples_number(set, "tandem_pair_have_state", 0) == 1 ? "hold" : "lack",
	    reason[0] != '\0' ? ": " : "", reason);
}

/* "active ok (Active), notify running (Active)": nothing without hooks. */
static void
hooks_line(struct text *out, const struct sample_set *set)
{
	const char *separator = "hooks       ";

	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];

		if (strcmp(s->name, "tandem_hook_last_info") != 0)
			continue;
		text_printf(out, "%s%s %s", separator, sample_label(s, "hook"),
		    strcmp(sample_label(s, "result"), "none") != 0
			? sample_label(s, "result")
			: "not run yet");
		if (strcmp(sample_label(s, "role"), "none") != 0)
			text_printf(out, " (%s)", sample_label(s, "role"));
		separator = ", ";
	}
	if (separator[0] != ',')
		return;
	text_printf(out, "%s%s\n",
	    samples_number(set, "tandem_hook_running", 0) == 1 ? "; one runs" : "",
	    samples_number(set, "tandem_hook_waiting", 0) == 1 ? ", the next waits"
							       : "");
}

static void
rooms_text(struct text *out, const struct sample_set *set)
{
	text_printf(out, "\n%-8s  %-9s %8s  %9s  %6s  %s\n", "ROOM", "STATE", "PID",
	    "UPTIME", "DEATHS", "LAST EXIT");
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];
		const char *room = sample_label(s, "room");
		const struct sample *up, *deaths, *uptime;
		struct text time = { 0 };

		if (strcmp(s->name, "tandem_room_info") != 0)
			continue;
		up = samples_find(set, "tandem_room_up", "room", room);
		deaths = samples_find(set, "tandem_room_deaths_total", "room", room);
		uptime = samples_find(set, "tandem_room_uptime_seconds", "room", room);
		pivot_value(
		    &time, "uptime_seconds", uptime != NULL ? uptime->number : 0);
		text_printf(out, "%-8s  %-9s %8s  %9s  %6.0f  %s\n", room,
		    up != NULL && up->number == 0 &&
			    strcmp(sample_label(s, "state"), "up") == 0
			? "silent"
			: sample_label(s, "state"),
		    sample_label(s, "pid"), time.bytes != NULL ? time.bytes : "",
		    deaths != NULL ? deaths->number : 0,
		    or_dash(sample_label(s, "last_exit")));
		text_free(&time);
	}
}

static void
alarms_text(struct text *out, const struct sample_set *set)
{
	if (report_alarm_count(set) == 0) {
		text_puts(out, "\nno alarms\n");
		return;
	}
	text_puts(out, "\nALARM\n");
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];

		if (s->number == 1 && strcmp(s->name, "tandem_alarm") == 0)
			text_printf(out, "%-18s  %s\n", sample_label(s, "alarm"),
			    report_alarm_meaning(sample_label(s, "alarm")));
	}
}

void
report_text(struct text *out, const struct sample_set *set, const char *instance)
{
	const char *peer_digest = info(set, "tandem_config_peer_info", "digest");

	text_printf(out, "instance    %s (cluster %s, node %s, tandem %s)\n", instance,
	    info(set, "tandem_info", "cluster"), info(set, "tandem_info", "node"),
	    info(set, "tandem_info", "version"));
	text_printf(out, "role        %s, term %.0f, reason %s%s\n",
	    or_dash(info(set, "tandem_role_info", "role")),
	    samples_number(set, "tandem_term", 0),
	    or_dash(info(set, "tandem_role_info", "reason")),
	    in_maintenance(set, "tandem_vrrp_maintenance"));
	text_printf(
	    out, "peer        %s: ", or_dash(info(set, "tandem_peer_info", "node")));
	if (peer_alive(set))
		text_printf(out, "%s, term %.0f%s\n",
		    info(set, "tandem_peer_info", "role"),
		    samples_number(set, "tandem_peer_term", 0),
		    in_maintenance(set, "tandem_vrrp_peer_maintenance"));
	else
		text_puts(out, "not heard\n");
	text_puts(out, "sync        ");
	sync_line(out, set);
	text_printf(out, "\ngeneration  %.0f (%.12s), peer ",
	    samples_number(set, "tandem_config_generation", 0),
	    info(set, "tandem_config_info", "digest"));
	if (peer_digest[0] != '\0')
		text_printf(out, "%.0f (%.12s)\n",
		    samples_number(set, "tandem_config_peer_generation", 0),
		    peer_digest);
	else
		text_puts(out, "unknown\n");
	hooks_line(out, set);
	rooms_text(out, set);
	alarms_text(out, set);
}

static void
json_pair(struct text *out, const char *separator, const char *key, const char *value)
{
	text_printf(out, "%s\"%s\": ", separator, key);
	text_json_string(out, value);
}

static void
json_number(
    struct text *out, const char *key, const struct sample_set *set, const char *metric)
{
	text_printf(out, ", \"%s\": ", key);
	text_number(out, samples_number(set, metric, 0));
}

static void
json_bool(struct text *out, const char *key, bool value)
{
	text_printf(out, ", \"%s\": %s", key, value ? "true" : "false");
}

static void
json_rooms(struct text *out, const struct sample_set *set)
{
	const char *separator = "";

	text_puts(out, ",\n \"rooms\": [");
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];
		const struct sample *up;

		if (strcmp(s->name, "tandem_room_info") != 0)
			continue;
		up = samples_find(
		    set, "tandem_room_up", "room", sample_label(s, "room"));
		text_printf(out, "%s\n  {", separator);
		for (unsigned l = 0; l < s->label_count; l++)
			json_pair(out, l > 0 ? ", " : "", s->key[l], s->value[l]);
		json_bool(out, "answers", up != NULL && up->number == 1);
		text_puts(out, "}");
		separator = ",";
	}
	text_puts(out, "]");
}

static void
json_hooks(struct text *out, const struct sample_set *set)
{
	const char *separator = "";

	text_puts(out, ",\n \"hooks\": [");
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];

		if (strcmp(s->name, "tandem_hook_last_info") != 0)
			continue;
		text_printf(out, "%s{", separator);
		for (unsigned l = 0; l < s->label_count; l++)
			json_pair(out, l > 0 ? ", " : "", s->key[l], s->value[l]);
		text_puts(out, "}");
		separator = ", ";
	}
	text_puts(out, "]");
	json_bool(
	    out, "hook_running", samples_number(set, "tandem_hook_running", 0) == 1);
}

static void
json_alarms(struct text *out, const struct sample_set *set)
{
	const char *separator = "";

	text_puts(out, ",\n \"alarms\": [");
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];

		if (s->number != 1 || strcmp(s->name, "tandem_alarm") != 0)
			continue;
		text_printf(out, "%s{", separator);
		json_pair(out, "", "alarm", sample_label(s, "alarm"));
		json_pair(out, ", ", "meaning",
		    report_alarm_meaning(sample_label(s, "alarm")));
		text_puts(out, "}");
		separator = ", ";
	}
	text_puts(out, "]");
}

void
report_json(struct text *out, const struct sample_set *set, const char *instance)
{
	text_puts(out, "{");
	json_pair(out, "", "instance", instance);
	json_pair(out, ", ", "cluster", info(set, "tandem_info", "cluster"));
	json_pair(out, ", ", "node", info(set, "tandem_info", "node"));
	json_pair(out, ", ", "version", info(set, "tandem_info", "version"));
	json_pair(out, ",\n ", "role", info(set, "tandem_role_info", "role"));
	json_number(out, "term", set, "tandem_term");
	json_pair(out, ", ", "reason", info(set, "tandem_role_info", "reason"));
	json_bool(
	    out, "maintenance", samples_number(set, "tandem_vrrp_maintenance", 0) == 1);
	json_number(out, "generation", set, "tandem_config_generation");
	json_pair(out, ", ", "digest", info(set, "tandem_config_info", "digest"));
	text_puts(out, ",\n \"peer\": {");
	json_pair(out, "", "node", info(set, "tandem_peer_info", "node"));
	json_bool(out, "alive", peer_alive(set));
	json_pair(out, ", ", "role", info(set, "tandem_peer_info", "role"));
	json_number(out, "term", set, "tandem_peer_term");
	json_bool(out, "maintenance",
	    samples_number(set, "tandem_vrrp_peer_maintenance", 0) == 1);
	json_number(out, "generation", set, "tandem_config_peer_generation");
	json_pair(out, ", ", "digest", info(set, "tandem_config_peer_info", "digest"));
	text_puts(out, "},\n \"sync\": {");
	json_pair(out, "", "reason", info(set, "tandem_pair_sync_info", "reason"));
	json_bool(out, "connected",
	    samples_number(set, "tandem_pair_sync_connected", 0) == 1);
	json_bool(
	    out, "have_state", samples_number(set, "tandem_pair_have_state", 0) == 1);
	json_bool(
	    out, "peer_has_state", samples_number(set, "tandem_protected", 0) == 1);
	text_puts(out, "}");
	json_rooms(out, set);
	json_hooks(out, set);
	json_alarms(out, set);
	text_puts(out, "}\n");
}

void
report_html(struct text *out, const struct sample_set *set, const char *instance)
{
	struct text plain = { 0 };

	text_puts(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
		       "<meta http-equiv=\"refresh\" content=\"5\"><title>");
	text_html(out, instance);
	text_puts(out, " - ");
	text_html(out, info(set, "tandem_role_info", "role"));
	text_puts(out,
	    "</title><style>body{font:15px/1.5 monospace;margin:2em;color:#222}"
	    "a{color:#05a;margin-right:1.5em}</style></head><body><pre>");
	report_text(&plain, set, instance);
	text_html(out, plain.bytes != NULL ? plain.bytes : "");
	text_puts(out,
	    "</pre><p><a href=\"/api/v1/status\">status</a>"
	    "<a href=\"/api/v1/vrrp\">vrrp</a><a href=\"/api/v1/sync\">sync</a>"
	    "<a href=\"/api/v1/lb\">lb</a><a href=\"/api/v1/nat\">nat</a>"
	    "<a href=\"/metrics\">metrics</a></p></body></html>\n");
	text_free(&plain);
}
