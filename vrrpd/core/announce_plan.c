#include "vrrpd/core/announce_plan.h"

#include <tandem/assert.h>

static const int64_t PAUSE_NS[] = { 100 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,
	2 * NS_PER_S };

#define PAUSES (sizeof(PAUSE_NS) / sizeof(PAUSE_NS[0]))

void
announce_plan_init(struct announce_plan *plan, uint32_t repeat, int64_t refresh_ns)
{
	*plan = (struct announce_plan){
		.repeat = repeat, .refresh_ns = refresh_ns, .deadline = TD_NEVER
	};
}

static void
begin(struct announce_plan *plan, struct td_instant now)
{
	plan->running = true;
	plan->round = 0;
	plan->next = 0;
	plan->deadline = plan->count > 0 ? now : TD_NEVER;
	plan->burst_end = instant_add(now, ANNOUNCE_BURST_GAP_NS);
}

void
announce_plan_set_count(
    struct announce_plan *plan, uint32_t count, struct td_instant now)
{
	plan->count = count;
	if (plan->running)
		begin(plan, now);
}

void
announce_plan_start(struct announce_plan *plan, struct td_instant now)
{
	begin(plan, now);
}

bool
announce_plan_burst(struct announce_plan *plan, struct td_instant now)
{
	if (!plan->running || !instant_reached(now, plan->burst_end))
		return false;
	begin(plan, now);
	return true;
}

void
announce_plan_stop(struct announce_plan *plan)
{
	plan->running = false;
	plan->deadline = TD_NEVER;
}

/* Counted from the end of the round before: a long round does not swallow its pause. */
static struct td_instant
next_round(const struct announce_plan *plan, struct td_instant now)
{
	if (plan->round < plan->repeat)
		return instant_add(
		    now, PAUSE_NS[plan->round < PAUSES ? plan->round : PAUSES - 1]);
	if (plan->refresh_ns > 0)
		return instant_add(now, plan->refresh_ns);
	return TD_NEVER;
}

bool
announce_plan_next(
    struct announce_plan *plan, struct td_instant now, uint32_t *ret_index)
{
	if (!plan->running || !instant_reached(now, plan->deadline))
		return false;
	td_assert(plan->next < plan->count);
	*ret_index = plan->next++;
	if (plan->next < plan->count) {
		if (plan->round > 0)
			plan->deadline = instant_add(now, ANNOUNCE_SPACING_NS);
		return true;
	}
	plan->deadline = next_round(plan, now);
	plan->next = 0;
	if (plan->round <= plan->repeat)
		plan->round++;
	return true;
}
