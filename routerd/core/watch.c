#include "routerd/core/watch.h"

#include <tandem/assert.h>

#define PINGS_PER_LIMIT 4

struct watch_rules
watch_rules_for(int64_t limit_ns)
{
	int64_t interval = limit_ns / PINGS_PER_LIMIT;

	td_assert(interval > 0);
	return (struct watch_rules){
		.ping_interval_ns = interval,
		.missed_max = PINGS_PER_LIMIT,
		.missed_start_max = (uint32_t)(10 * NS_PER_S / interval),
		.missed_config_max = (uint32_t)(10 * NS_PER_S / interval),
		.missed_stop_max = (uint32_t)(3 * NS_PER_S / interval),
		.backoff_ns = 500 * NS_PER_MS,
		.backoff_max_ns = 30 * NS_PER_S,
		.quiet_ns = 60 * NS_PER_S,
	};
}

static uint32_t
missed_limit(const struct watch_rules *rules, const struct watch *w)
{
	if (w->state == WATCH_STOPPING)
		return rules->missed_stop_max;
	if (w->state == WATCH_STARTING)
		return rules->missed_start_max;
	return w->config_pending || w->busy ? rules->missed_config_max
					    : rules->missed_max;
}

static enum watch_action
spawn(const struct watch_rules *rules, struct watch *w, struct td_instant now)
{
	w->state = WATCH_STARTING;
	w->started = now;
	w->missed = 0;
	w->config_pending = false;
	w->busy = false;
	w->spawns++;
	w->deadline = instant_add(now, rules->ping_interval_ns);
	return WATCH_ACT_SPAWN;
}

static int64_t
backoff_ns(const struct watch_rules *rules, uint32_t streak)
{
	int64_t delay = rules->backoff_ns;

	if (streak < 2)
		return 0;
	for (uint32_t i = 2; i < streak && delay < rules->backoff_max_ns; i++)
		delay *= 2;
	return delay < rules->backoff_max_ns ? delay : rules->backoff_max_ns;
}

static enum watch_action
died(const struct watch_rules *rules, struct watch *w, struct td_instant now)
{
	bool quiet = instant_diff_ns(now, w->started) >= rules->quiet_ns;
	int64_t delay;

	w->deaths++;
	w->streak = quiet ? 1 : w->streak + 1;
	delay = backoff_ns(rules, w->streak);
	if (delay == 0)
		return spawn(rules, w, now);
	w->state = WATCH_BACKOFF;
	w->deadline = instant_add(now, delay);
	return WATCH_ACT_NONE;
}

static enum watch_action
kill_it(struct watch *w)
{
	w->state = WATCH_KILLED;
	w->deadline = TD_NEVER;
	w->hangs++;
	return WATCH_ACT_KILL;
}

static enum watch_action
tick(const struct watch_rules *rules, struct watch *w, struct td_instant now)
{
	if (!instant_reached(now, w->deadline))
		return WATCH_ACT_NONE;
	switch (w->state) {
	case WATCH_DOWN:
	case WATCH_KILLED:
		break;
	case WATCH_BACKOFF:
		return spawn(rules, w, now);
	case WATCH_STARTING:
	case WATCH_UP:
	case WATCH_STOPPING:
		if (w->missed >= missed_limit(rules, w)) {
			if (w->state != WATCH_STOPPING)
				return kill_it(w);
			w->deadline =
			    TD_NEVER; /* stays STOPPING: it is not to come back */
			return WATCH_ACT_KILL;
		}
		w->missed++;
		w->deadline = instant_add(now, rules->ping_interval_ns);
		return w->state == WATCH_STOPPING ? WATCH_ACT_NONE : WATCH_ACT_PING;
	}
	return WATCH_ACT_NONE;
}

enum watch_action
watch_step(const struct watch_rules *rules, struct watch *w, enum watch_event event,
    struct td_instant now)
{
	switch (event) {
	case WATCH_EV_START:
		return w->state == WATCH_DOWN ? spawn(rules, w, now) : WATCH_ACT_NONE;
	case WATCH_EV_PONG:
		if (w->state == WATCH_STARTING)
			w->state = WATCH_UP;
		/* In one order on one socket: it was sent after the work. */
		w->busy = false;
		/* A room that is leaving is given its time once, whatever it answers.
		 */
		if (w->state == WATCH_UP)
			w->missed = 0;
		return WATCH_ACT_NONE;
	case WATCH_EV_CONFIG_SENT:
		w->config_pending = true;
		w->missed = 0;
		return WATCH_ACT_NONE;
	case WATCH_EV_CONFIG_ACK:
		w->config_pending = false;
		w->missed = 0;
		return WATCH_ACT_NONE;
	case WATCH_EV_BUSY:
		if (w->state == WATCH_UP) {
			w->busy = true;
			w->missed = 0;
		}
		return WATCH_ACT_NONE;
	case WATCH_EV_EXIT:
		if (w->state == WATCH_STOPPING) {
			w->state = WATCH_DOWN;
			w->deadline = TD_NEVER;
			return WATCH_ACT_NONE;
		}
		return watch_alive(w) ? died(rules, w, now) : WATCH_ACT_NONE;
	case WATCH_EV_TICK:
		return tick(rules, w, now);
	case WATCH_EV_STOP:
		if (w->state == WATCH_BACKOFF) {
			w->state = WATCH_DOWN;
			w->deadline = TD_NEVER;
			return WATCH_ACT_NONE;
		}
		if (!watch_alive(w) || w->state == WATCH_STOPPING)
			return WATCH_ACT_NONE;
		w->state = WATCH_STOPPING;
		w->missed = 0;
		w->deadline = instant_add(now, rules->ping_interval_ns);
		return WATCH_ACT_STOP;
	}
	return WATCH_ACT_NONE;
}

bool
watch_alive(const struct watch *w)
{
	return w->state != WATCH_DOWN && w->state != WATCH_BACKOFF;
}

bool
watch_crash_loop(const struct watch *w)
{
	return w->streak >= 2;
}

const char *
watch_state_name(enum watch_state state)
{
	static const char *const names[] = { "down", "starting", "up", "killed",
		"backoff", "stopping" };

	td_assert(state <= WATCH_STOPPING);
	return names[state];
}
