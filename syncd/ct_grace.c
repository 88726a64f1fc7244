#include "syncd/ct_grace.h"

#include <errno.h>
#include <stdlib.h>
#include "syncd/core/flow.h"
#include "syncd/ct_dump.h"
#include "syncd/ct_inject.h"

struct ct_grace {
	struct ct_dump *dump;
	struct ct_inject *inject;
	uint64_t cookie;
	struct ct_grace_counters counters;
};

static void
on_entry(void *context, const struct ct_event *event)
{
	struct ct_grace *grace = context;

	if (!event->facts.tcp_liberal || !ct_knows_scales(event->flow))
		return;
	/* Without accounting nothing is known about packets: then time must do. */
	if (event->facts.counted && (event->facts.packets[FLOW_ORIG] == 0 ||
					event->facts.packets[FLOW_REPLY] == 0)) {
		grace->counters.idle++;
		return;
	}
	grace->counters.strict++;
	ct_inject_strict(grace->inject, event->flow, grace->cookie);
}

int
ct_grace_new(const struct ct_filter *filter, struct ct_inject *inject, uint64_t cookie,
    struct ct_grace **ret_grace)
{
	struct ct_grace *grace = calloc(1, sizeof(*grace));
	int result;

	if (grace == NULL)
		return -ENOMEM;
	grace->inject = inject;
	grace->cookie = cookie;
	result = ct_dump_new(filter, on_entry, grace, &grace->dump);
	if (result < 0) {
		free(grace);
		return result;
	}
	*ret_grace = grace;
	return 0;
}

void
ct_grace_free(struct ct_grace *grace)
{
	if (grace == NULL)
		return;
	ct_dump_free(grace->dump);
	free(grace);
}

int
ct_grace_start(struct ct_grace *grace)
{
	int result = ct_dump_start(grace->dump, 0);

	if (result < 0)
		return result;
	grace->counters.walks++;
	grace->counters.idle = 0;
	return 0;
}

bool
ct_grace_running(const struct ct_grace *grace)
{
	return ct_dump_running(grace->dump);
}

void
ct_grace_abort(struct ct_grace *grace)
{
	ct_dump_abort(grace->dump);
}

int
ct_grace_step(struct ct_grace *grace, uint32_t entries_max)
{
	int more = ct_dump_step(grace->dump, entries_max);
	int result = ct_inject_flush(grace->inject);

	if (result < 0) {
		ct_grace_abort(grace);
		return result;
	}
	return more;
}

const struct ct_grace_counters *
ct_grace_counters(const struct ct_grace *grace)
{
	return &grace->counters;
}
