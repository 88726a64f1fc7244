/* hookd_status.c - the samples of tandem-hookd. */
#include "routerd/hookd.h"

const char *
hook_result_name(enum hook_result result)
{
	static const char *const names[HOOK_RESULTS] = { "ok", "failed", "timeout",
		"refused" };

	return names[result];
}

void
hookd_status(void *context, struct room_status *st)
{
	const struct hookd *h = context;

	hookd_track_status(h, st);
	if (!td_hooks_any(&h->config->hooks))
		return;
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++) {
		const struct hook_record *record = &h->record[hook];
		const char *name = td_hook_name((enum td_hook)hook);

		if (h->config->hooks.path[hook][0] == '\0')
			continue;
		for (unsigned r = 0; r < HOOK_RESULTS; r++)
			status_counter(st, "tandem_hook_runs_total",
			    (double)record->runs[r], "hook", name, "result",
			    hook_result_name((enum hook_result)r), NULL);
		status_gauge(st, "tandem_hook_failing",
		    record->ran && record->last != HOOK_OK, "hook", name, NULL);
		status_info(st, "tandem_hook_last_info", "hook", name, "role",
		    record->ran ? hook_state_name(record->last_state) : "none",
		    "result", record->ran ? hook_result_name(record->last) : "none",
		    NULL);
		status_gauge(st, "tandem_hook_last_duration_seconds",
		    (double)record->last_ns / NS_PER_S, "hook", name, NULL);
	}
	status_gauge(st, "tandem_hook_running", h->run.pid != 0, NULL);
	status_gauge(st, "tandem_hook_waiting", hook_queue_waiting(&h->queue), NULL);
	status_counter(
	    st, "tandem_hook_coalesced_total", (double)h->queue.coalesced, NULL);
	status_histogram(st, "tandem_hook_seconds", &h->durations, NULL);
}
