#include "routerd/core/pair_apply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

/* Longer than tandemd needs for spreading and reverting (apply.h). */
#define PHASE_LIMIT_NS (20 * NS_PER_S)

#define BOTH (1U << PAIR_LOCAL | 1U << PAIR_PEER)

enum pair_method
pair_method_of(enum pair_phase phase)
{
	switch (phase) {
	case PAIR_HANDING_OVER:
		return PAIR_TEXT;
	case PAIR_CHECKING:
		return PAIR_CHECK;
	case PAIR_PREPARING:
		return PAIR_PREPARE;
	case PAIR_COMMITTING_FIRST:
	case PAIR_COMMITTING_SECOND:
		return PAIR_COMMIT;
	case PAIR_ABORTING:
	case PAIR_IDLE:
		break;
	}
	return PAIR_ABORT;
}

static void
enter(struct pair_apply *p, enum pair_phase phase, unsigned ask, struct td_instant now,
    struct pair_output *out)
{
	p->phase = phase;
	p->waiting = ask;
	p->deadline = instant_add(now, PHASE_LIMIT_NS);
	*out = (struct pair_output){ .method = pair_method_of(phase), .ask = ask };
}

static void
finish(struct pair_apply *p, struct pair_output *out)
{
	p->phase = PAIR_IDLE;
	p->deadline = TD_NEVER;
	*out = (struct pair_output){ .done = true };
}

static void
advance(struct pair_apply *p, struct td_instant now, struct pair_output *out)
{
	unsigned all = p->alone ? 1U << PAIR_LOCAL : BOTH;

	switch (p->phase) {
	case PAIR_IDLE:
		break;
	case PAIR_HANDING_OVER:
		enter(p, PAIR_CHECKING, all, now, out);
		break;
	case PAIR_CHECKING:
		if (p->check_only)
			finish(p, out);
		else
			enter(p, PAIR_PREPARING, all, now, out);
		break;
	case PAIR_PREPARING:
		enter(p, PAIR_COMMITTING_FIRST, 1U << p->first, now, out);
		break;
	case PAIR_COMMITTING_FIRST:
		if (p->alone)
			finish(p, out);
		else
			enter(p, PAIR_COMMITTING_SECOND, BOTH & ~(1U << p->first), now,
			    out);
		break;
	case PAIR_COMMITTING_SECOND:
	case PAIR_ABORTING:
		finish(p, out);
		break;
	}
}

static void
refuse(struct pair_apply *p, enum pair_side side, int32_t status, const char *text,
    struct td_instant now, struct pair_output *out)
{
	bool nothing_to_undo =
	    p->phase == PAIR_HANDING_OVER || p->phase == PAIR_CHECKING;

	p->status = status;
	snprintf(p->reason, sizeof(p->reason), "%s: %s", p->name[side], text);
	if (nothing_to_undo)
		finish(p, out);
	else
		enter(p, PAIR_ABORTING, p->alone ? 1U << PAIR_LOCAL : BOTH, now, out);
}

void
pair_begin(struct pair_apply *p, bool alone, bool check_only, bool local_is_active,
    const char *local_name, const char *peer_name, struct td_instant now,
    struct pair_output *out)
{
	td_assert(p->phase == PAIR_IDLE);
	*p = (struct pair_apply){
		.alone = alone,
		.check_only = check_only,
		.first = alone || !local_is_active ? PAIR_LOCAL : PAIR_PEER,
	};
	snprintf(p->name[PAIR_LOCAL], PAIR_NAME_MAX, "%s", local_name);
	snprintf(p->name[PAIR_PEER], PAIR_NAME_MAX, "%s", peer_name);
	enter(p, PAIR_HANDING_OVER, alone ? 1U << PAIR_LOCAL : BOTH, now, out);
}

void
pair_answer(struct pair_apply *p, enum pair_side side, enum pair_method method,
    int32_t status, const char *text, struct td_instant now, struct pair_output *out)
{
	*out = (struct pair_output){ 0 };
	if (p->phase == PAIR_IDLE || method != pair_method_of(p->phase) ||
	    (p->waiting & 1U << side) == 0)
		return;
	if (status != 0 && p->phase != PAIR_ABORTING) {
		refuse(p, side, status,
		    text != NULL && text[0] != '\0' ? text : strerror(-status), now,
		    out);
		return;
	}
	if (status != 0) {
		size_t used = strlen(p->reason);

		/* What the operator must know: a node that could not be returned. */
		snprintf(p->reason + used, sizeof(p->reason) - used,
		    "; %s could not be returned: %s", p->name[side],
		    text != NULL && text[0] != '\0' ? text : strerror(-status));
	}
	p->waiting &= ~(1U << side);
	if (p->waiting == 0)
		advance(p, now, out);
}

void
pair_tick(struct pair_apply *p, struct td_instant now, struct pair_output *out)
{
	*out = (struct pair_output){ 0 };
	if (p->phase == PAIR_IDLE || !instant_reached(now, p->deadline))
		return;
	if (p->phase == PAIR_ABORTING) {
		finish(p, out);
		return;
	}
	refuse(p, (p->waiting & 1U << PAIR_LOCAL) != 0 ? PAIR_LOCAL : PAIR_PEER,
	    -ETIMEDOUT, "no answer", now, out);
}
