#include "routerd/core/apply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

static enum apply_action
finish(struct apply *a)
{
	a->state = APPLY_IDLE;
	a->deadline = TD_NEVER;
	return APPLY_ACT_DONE;
}

static enum apply_action
revert(struct apply *a, int32_t status, struct td_instant now)
{
	a->status = status;
	a->state = APPLY_REVERTING;
	a->waiting = a->sent;
	a->deadline = instant_add(now, APPLY_LIMIT_NS);
	return APPLY_ACT_SEND_OLD;
}

static enum apply_action
answered(struct apply *a, enum td_room room)
{
	a->waiting &= ~(UINT32_C(1) << room);
	return a->waiting == 0 ? finish(a) : APPLY_ACT_NONE;
}

enum apply_action
apply_begin(struct apply *a, uint32_t rooms, uint64_t generation,
    uint64_t old_generation, struct td_instant now)
{
	td_assert(a->state == APPLY_IDLE);
	*a = (struct apply){
		.state = APPLY_SPREADING,
		.deadline = instant_add(now, APPLY_LIMIT_NS),
		.generation = generation,
		.old_generation = old_generation,
		.sent = rooms,
		.waiting = rooms,
	};
	return rooms == 0 ? finish(a) : APPLY_ACT_NONE;
}

enum apply_action
apply_ack(struct apply *a, enum td_room room, uint64_t generation, int32_t status,
    const char *text, struct td_instant now)
{
	if ((a->waiting & UINT32_C(1) << room) == 0)
		return APPLY_ACT_NONE;
	switch (a->state) {
	case APPLY_IDLE:
		break;
	case APPLY_SPREADING:
		if (generation != a->generation)
			break;
		if (status == 0)
			return answered(a, room);
		snprintf(a->reason, sizeof(a->reason), "%s: %s", td_room_name(room),
		    text[0] != '\0' ? text : strerror(-status));
		return revert(a, status, now);
	case APPLY_REVERTING:
		if (generation == a->old_generation)
			return answered(a, room);
		break;
	}
	return APPLY_ACT_NONE;
}

enum apply_action
apply_room_gone(struct apply *a, enum td_room room, struct td_instant now)
{
	uint32_t bit = UINT32_C(1) << room;

	switch (a->state) {
	case APPLY_IDLE:
		break;
	case APPLY_SPREADING:
		/* It starts again with the configuration in force, so it needs no
		 * revert. */
		if ((a->sent & bit) == 0)
			break;
		a->sent &= ~bit;
		snprintf(
		    a->reason, sizeof(a->reason), "%s: died on it", td_room_name(room));
		if (a->sent != 0)
			return revert(a, -EIO, now);
		a->status = -EIO;
		return finish(a);
	case APPLY_REVERTING:
		if ((a->waiting & bit) != 0)
			return answered(a, room);
		break;
	}
	return APPLY_ACT_NONE;
}

enum apply_action
apply_undo(struct apply *a, int32_t status, const char *reason, struct td_instant now)
{
	td_assert(a->state == APPLY_IDLE && a->status == 0 && status < 0);
	snprintf(a->reason, sizeof(a->reason), "%s", reason);
	if (a->sent != 0)
		return revert(a, status, now);
	a->status = status;
	return finish(a);
}

enum apply_action
apply_tick(struct apply *a, struct td_instant now)
{
	if (a->state == APPLY_IDLE || !instant_reached(now, a->deadline))
		return APPLY_ACT_NONE;
	if (a->state == APPLY_REVERTING)
		return finish(a);
	for (int room = 0; room < TD_ROOM_COUNT; room++) {
		if ((a->waiting & UINT32_C(1) << room) == 0)
			continue;
		snprintf(a->reason, sizeof(a->reason), "%s: no answer within %lld s",
		    td_room_name((enum td_room)room),
		    (long long)(APPLY_LIMIT_NS / NS_PER_S));
		break;
	}
	return revert(a, -ETIMEDOUT, now);
}
