/* health_fsm.c - see health_fsm.h */
#include "lbcore/health/core/health_fsm.h"

#include <string.h>
#include <tandem/assert.h>

static const char *const status_names[] = {
	[HEALTH_L4OK] = "L4OK",
	[HEALTH_L4TOUT] = "L4TOUT",
	[HEALTH_L4CON] = "L4CON",
	[HEALTH_SOCKERR] = "SOCKERR",
};

static const char *const reasons[] = {
	[HEALTH_L4OK] = "Layer4 check passed",
	[HEALTH_L4TOUT] = "Layer4 timeout",
	[HEALTH_L4CON] = "Layer4 connection problem",
	[HEALTH_SOCKERR] = "Socket error",
};

const char *
health_status_name(enum health_result result)
{
	return status_names[result];
}

const char *
health_reason(enum health_result result)
{
	return reasons[result];
}

void
health_init(struct health *h, const struct td_health *config, struct td_instant first)
{
	td_assert(config->rise > 0 && config->fall > 0);
	memset(h, 0, sizeof(*h));
	h->deadline = first;
	h->up = true;
	h->score = config->rise;
}

/* A check that could not be made is no word about the server. */
static void
judge(const struct td_health *config, struct health *h, enum health_result result,
    struct health_actions *out)
{
	bool was_up = h->up;

	switch (result) {
	case HEALTH_L4OK:
		if (h->score + 1 < config->rise)
			h->score++;
		else
			h->score = config->rise + config->fall - 1;
		break;
	case HEALTH_L4TOUT:
	case HEALTH_L4CON:
		if (h->score > config->rise)
			h->score--;
		else
			h->score = 0;
		break;
	case HEALTH_SOCKERR:
		break;
	}
	h->up = h->score >= config->rise;
	out->changed = h->up != was_up;
}

static void
finish(const struct td_health *config, bool backup, struct health *h,
    enum health_result result, struct td_instant now, struct health_actions *out)
{
	int64_t interval_ns = backup ? 2 * config->interval_ns : config->interval_ns;

	out->judged = true;
	out->result = result;
	out->duration_ns = instant_diff_ns(now, h->began);
	h->checking = false;
	h->deadline = instant_add(h->began, interval_ns);
	judge(config, h, result, out);
}

void
health_step(const struct td_health *config, bool backup, struct health *h,
    const struct health_event *ev, struct td_instant now, struct health_actions *out)
{
	memset(out, 0, sizeof(*out));
	switch (ev->kind) {
	case HEALTH_EV_TICK:
		if (!instant_reached(now, h->deadline))
			break;
		if (h->checking) {
			out->cancel = true;
			finish(config, backup, h, HEALTH_L4TOUT, now, out);
			break;
		}
		out->start = true;
		h->checking = true;
		h->began = now;
		h->deadline = instant_add(now, config->timeout_ns);
		break;
	case HEALTH_EV_RESULT:
		if (h->checking)
			finish(config, backup, h, ev->result, now, out);
		break;
	}
}
