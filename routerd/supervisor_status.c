#include "routerd/supervisor.h"

#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "common/room_status.h"

/* Not the configuration in force: refused, or never heard to be taken back. While one
 * is being spread that is nothing to tell. */
static bool
config_stale(const struct child *child)
{
	const struct supervisor *sv = child->sv;

	return sv->apply.state == APPLY_IDLE &&
	       (child->refused ||
		   (child->configured && child->generation != sv->current.generation));
}

static void
child_status(struct room_status *st, const struct child *child, struct td_instant now)
{
	const char *name = td_room_name(child->room);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)child->pid);
	status_info(st, "tandem_room_info", "room", name, "state",
	    watch_state_name(child->watch.state), "pid", pid, "last_exit",
	    child->last_exit, NULL);
	status_counter(st, "tandem_room_spawns_total", (double)child->watch.spawns,
	    "room", name, NULL);
	status_counter(st, "tandem_room_deaths_total", (double)child->watch.deaths,
	    "room", name, NULL);
	status_counter(st, "tandem_room_hangs_total", (double)child->watch.hangs,
	    "room", name, NULL);
	status_gauge(st, "tandem_room_crash_loop", watch_crash_loop(&child->watch),
	    "room", name, NULL);
	status_gauge(
	    st, "tandem_room_config_stale", config_stale(child), "room", name, NULL);
	status_gauge(st, "tandem_room_uptime_seconds",
	    watch_alive(&child->watch)
		? (double)instant_diff_ns(now, child->watch.started) / 1e9
		: 0,
	    "room", name, NULL);
}

void
supervisor_status(struct supervisor *sv, uint64_t id)
{
	struct room_status *st = room_status_new();
	struct child *mgmtd = &sv->child[TD_ROOM_MGMTD];
	struct td_msg part;
	size_t at = 0;

	if (st == NULL)
		return;
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++)
		child_status(st, &sv->child[room], loop_now(sv->loop));
	status_gauge(st, "tandem_supervisor_fence_loaded", sv->fence_loaded, NULL);
	status_gauge(
	    st, "tandem_supervisor_balancer_loaded", sv->balancer_loaded, NULL);
	status_counter(st, "tandem_supervisor_last_words_total",
	    (double)sv->last_words.sent, NULL);
	status_gauge(st, "tandem_supervisor_lateness_seconds",
	    (double)loop_lateness_ns(sv->loop) / 1e9, NULL);
	/* A few kilobytes: one part, which the link takes or mgmtd is stuck anyway. */
	while (room_status_next_part(st, id, &at, &part))
		if (mgmtd->link >= 0 && msg_send(mgmtd->link, &part) < 0)
			log_limited(LOG_LV_WARN, "control", 1, "status part not sent");
	room_status_free(st);
}
