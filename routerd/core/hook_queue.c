#include "routerd/core/hook_queue.h"

#include <assert.h>
#include <string.h>
#include <tandem/assert.h>

static_assert((int)HOOK_ACTIVE == (int)TD_HOOK_ACTIVE &&
		  (int)HOOK_BACKUP == (int)TD_HOOK_BACKUP &&
		  (int)HOOK_FAULT == (int)TD_HOOK_FAULT &&
		  (int)HOOK_STOP == (int)TD_HOOK_STOP,
    "a state has the hook of its name");

void
hook_queue_init(struct hook_queue *q)
{
	memset(q, 0, sizeof(*q));
	q->deadline = q->stop_deadline = TD_NEVER;
}

static bool
is_configured(const struct td_hooks_config *cfg, enum td_hook hook)
{
	return cfg->path[hook][0] != '\0';
}

/* NULL: more routers than there can be interfaces. */
static struct hook_line *
line_of(struct hook_queue *q, const char router[TD_NAME_MAX])
{
	struct hook_line *line;

	for (unsigned i = 0; i < q->line_count; i++)
		if (strcmp(q->line[i].newest.router, router) == 0)
			return &q->line[i];
	if (q->line_count == HOOK_LINES_MAX)
		return NULL;
	line = &q->line[q->line_count++];
	memset(line, 0, sizeof(*line));
	line->newest.state = line->told = HOOK_UNKNOWN;
	memcpy(line->newest.router, router, sizeof(line->newest.router));
	return line;
}

/* The same state is no change; an Active of a new term took over anew. */
static bool
is_news(const struct hook_line *line, const struct hook_change *change)
{
	if (line->newest.state == HOOK_UNKNOWN)
		return change->state != HOOK_STOP; /* not begun yet is no stop */
	return line->newest.state != change->state ||
	       (change->state == HOOK_ACTIVE && line->newest.term != change->term);
}

static void
take_change(struct hook_queue *q, const struct hook_change *change)
{
	struct hook_line *line = line_of(q, change->router);

	if (line == NULL || !is_news(line, change))
		return;
	if (line->waiting)
		q->coalesced++;
	else
		line->since = q->changes;
	q->changes++;
	line->newest = *change;
	line->waiting = true;
}

static enum hook_action
run(const struct td_hooks_config *cfg, struct hook_queue *q, enum td_hook hook,
    struct td_instant now)
{
	q->hook = hook;
	q->phase = HOOK_RUNNING;
	q->timed_out = false;
	q->deadline =
	    instant_earlier(instant_add(now, cfg->timeout_ns), q->stop_deadline);
	return HOOK_DO_RUN;
}

static struct hook_line *
longest_waiting(struct hook_queue *q)
{
	struct hook_line *first = NULL;

	for (unsigned i = 0; i < q->line_count; i++)
		if (q->line[i].waiting &&
		    (first == NULL || q->line[i].since < first->since))
			first = &q->line[i];
	return first;
}

static enum hook_action
next(const struct td_hooks_config *cfg, struct hook_queue *q, struct td_instant now)
{
	struct hook_line *line;

	td_assert(q->phase == HOOK_IDLE);
	if (q->ready && !instant_reached(now, q->stop_deadline)) {
		while ((line = longest_waiting(q)) != NULL) {
			enum td_hook own = (enum td_hook)line->newest.state;

			line->waiting = false;
			q->running_line = (unsigned)(line - q->line);
			q->now = line->newest;
			q->before = line->told;
			line->told = line->newest.state;
			if (is_configured(cfg, own))
				return run(cfg, q, own, now);
			if (is_configured(cfg, TD_HOOK_NOTIFY))
				return run(cfg, q, TD_HOOK_NOTIFY, now);
		}
	}
	if (!q->stopping || q->done)
		return HOOK_DO_NOTHING;
	q->done = true;
	return HOOK_DO_LEAVE;
}

static enum hook_action
ended(const struct td_hooks_config *cfg, struct hook_queue *q, struct td_instant now)
{
	if (q->phase == HOOK_IDLE)
		return HOOK_DO_NOTHING;
	q->phase = HOOK_IDLE;
	q->deadline = TD_NEVER;
	if (q->hook != TD_HOOK_NOTIFY && is_configured(cfg, TD_HOOK_NOTIFY) &&
	    !instant_reached(now, q->stop_deadline)) {
		if (!q->line[q->running_line].waiting)
			return run(cfg, q, TD_HOOK_NOTIFY, now);
		q->coalesced++;
	}
	return next(cfg, q, now);
}

static enum hook_action
late(struct hook_queue *q, struct td_instant now)
{
	if (!instant_reached(now, q->deadline))
		return HOOK_DO_NOTHING;
	switch (q->phase) {
	case HOOK_IDLE:
		break;
	case HOOK_RUNNING:
		q->timed_out = true;
		q->phase = HOOK_TERMINATED;
		q->deadline =
		    instant_add(now, q->stopping ? HOOK_STOP_GRACE_NS : HOOK_GRACE_NS);
		if (!instant_reached(now, q->stop_deadline))
			return HOOK_DO_TERMINATE;
		q->phase = HOOK_KILLED;
		q->deadline = TD_NEVER;
		return HOOK_DO_KILL;
	case HOOK_TERMINATED:
		q->phase = HOOK_KILLED;
		q->deadline = TD_NEVER;
		return HOOK_DO_KILL;
	case HOOK_KILLED:
		break;
	}
	return HOOK_DO_NOTHING;
}

bool
hook_queue_waiting(const struct hook_queue *q)
{
	for (unsigned i = 0; i < q->line_count; i++)
		if (q->line[i].waiting)
			return true;
	return false;
}

static enum hook_action
stop(const struct td_hooks_config *cfg, struct hook_queue *q, int64_t limit_ns,
    struct td_instant now)
{
	q->stopping = true;
	q->stop_deadline =
	    instant_earlier(q->stop_deadline, instant_add(now, limit_ns));
	if (q->phase == HOOK_IDLE)
		return next(cfg, q, now);
	if (q->phase == HOOK_RUNNING && hook_queue_waiting(q))
		q->deadline = now; /* it has been overtaken, and the last word counts */
	else if (q->phase != HOOK_KILLED)
		q->deadline = instant_earlier(q->deadline, q->stop_deadline);
	return late(q, now);
}

enum hook_action
hook_queue_step(const struct td_hooks_config *cfg, struct hook_queue *q,
    const struct hook_event *ev, struct td_instant now)
{
	switch (ev->kind) {
	case HOOK_EV_READY:
		q->ready = true;
		break;
	case HOOK_EV_CHANGE:
		take_change(q, ev->change);
		break;
	case HOOK_EV_EXIT:
		return ended(cfg, q, now);
	case HOOK_EV_TICK:
		return late(q, now);
	case HOOK_EV_STOP:
		return stop(cfg, q, HOOK_STOP_NS, now);
	case HOOK_EV_STOP_NOW:
		return stop(cfg, q, 0, now);
	}
	return q->phase == HOOK_IDLE ? next(cfg, q, now) : HOOK_DO_NOTHING;
}

struct td_instant
hook_queue_deadline(const struct hook_queue *q)
{
	return q->deadline;
}

struct hook_change
hook_change_of(const struct td_msg_role *role)
{
	struct hook_change change = {
		.state = HOOK_STOP, .term = role->term, .priority = role->priority
	};

	if (role->fault)
		change.state = HOOK_FAULT;
	else if (role->role == TD_ROLE_ACTIVE)
		change.state = HOOK_ACTIVE;
	else if (role->role == TD_ROLE_BACKUP)
		change.state = HOOK_BACKUP;
	memcpy(change.reason, role->reason, sizeof(change.reason));
	memcpy(change.router, role->router, sizeof(change.router));
	return change;
}

const char *
hook_state_name(enum hook_state state)
{
	static const char *const names[] = { "Active", "Backup", "Fault", "Stop",
		"none" };

	return names[state];
}

const char *
hook_state_keepalived(enum hook_state state)
{
	static const char *const names[] = { "MASTER", "BACKUP", "FAULT", "STOP",
		"INIT" };

	return names[state];
}
