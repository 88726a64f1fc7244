#include "routerd/core/track.h"

#include <string.h>

void
track_init(struct track *t, struct td_instant first)
{
	memset(t, 0, sizeof(*t));
	t->deadline = first;
}

static void
judge(const struct td_track_script *cfg, struct track *t, enum track_result result)
{
	t->streak = t->last == result ? t->streak + 1 : 1;
	t->last = result;
	t->runs[result]++;
	switch (result) {
	case TRACK_OK:
		if (t->streak >= cfg->rise)
			t->verdict = TRACK_FIT;
		break;
	case TRACK_FAILED:
		if (t->streak >= cfg->fall)
			t->verdict = TRACK_UNFIT;
		break;
	case TRACK_NO_WORD:
	case TRACK_RESULTS:
		break;
	}
}

static enum track_action
ended(const struct td_track_script *cfg, struct track *t, enum track_result result,
    struct td_instant now)
{
	struct td_instant next = instant_add(t->began, cfg->interval_ns);

	if (t->phase == TRACK_WAITING)
		return TRACK_DO_NOTHING;
	t->phase = TRACK_WAITING;
	t->deadline =
	    instant_reached(now, next) ? instant_add(now, cfg->interval_ns) : next;
	judge(cfg, t, t->timed_out ? TRACK_NO_WORD : result);
	return TRACK_DO_NOTHING;
}

static enum track_action
tick(const struct td_track_script *cfg, struct track *t, struct td_instant now)
{
	if (!instant_reached(now, t->deadline))
		return TRACK_DO_NOTHING;
	switch (t->phase) {
	case TRACK_WAITING:
		t->phase = TRACK_RUNNING;
		t->began = now;
		t->timed_out = false;
		t->deadline = instant_add(now, cfg->timeout_ns);
		return TRACK_DO_RUN;
	case TRACK_RUNNING:
		t->phase = TRACK_TERMINATED;
		t->timed_out = true;
		t->deadline = instant_add(now, TRACK_GRACE_NS);
		return TRACK_DO_TERMINATE;
	case TRACK_TERMINATED:
		t->phase = TRACK_KILLED;
		t->deadline = TD_NEVER;
		return TRACK_DO_KILL;
	case TRACK_KILLED:
		break;
	}
	return TRACK_DO_NOTHING;
}

enum track_action
track_step(const struct td_track_script *cfg, struct track *t, enum track_event event,
    struct td_instant now)
{
	switch (event) {
	case TRACK_EV_TICK:
		return tick(cfg, t, now);
	case TRACK_EV_OK:
		return ended(cfg, t, TRACK_OK, now);
	case TRACK_EV_FAILED:
		return ended(cfg, t, TRACK_FAILED, now);
	case TRACK_EV_NO_WORD:
		return ended(cfg, t, TRACK_NO_WORD, now);
	}
	return TRACK_DO_NOTHING;
}

const char *
track_verdict_name(enum track_verdict verdict)
{
	static const char *const names[] = { "unknown", "fit", "unfit" };

	return names[verdict];
}

const char *
track_result_name(enum track_result result)
{
	static const char *const names[TRACK_RESULTS] = { "ok", "failed", "no_word" };

	return names[result];
}
