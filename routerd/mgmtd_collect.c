#include "routerd/mgmtd.h"

#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "routerd/core/report.h"

/* A room answers from its loop within milliseconds; what takes longer is hung, and a
 * scrape must not hang with it. */
#define COLLECT_LIMIT_NS (500 * NS_PER_MS)

struct collection {
	struct mgmtd *m;
	struct collection *next;
	uint64_t id;
	uint32_t waiting, answered; /* bit per room */
	bool status;                /* with our own samples and alarms */
	struct sample_set set;
	struct loop_timer timer;
	collect_done *done;
	void *context;
};

static void
unlink_collection(struct collection *c)
{
	struct collection **at = &c->m->collections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	loop_timer_cancel(&c->timer);
}

static void
finish(struct collection *c)
{
	struct sample_set set = c->set;
	collect_done *done = c->done;
	void *context = c->context;

	unlink_collection(c);
	samples_sort_rooms(&set);
	if (c->status) {
		for (int room = TD_ROOM_TANDEMD; room < TD_ROOM_COUNT; room++)
			samples_put(&set, TD_ROOM_MGMTD, TD_GAUGE, "tandem_room_up",
			    room == TD_ROOM_MGMTD || (c->answered >> room & 1), "room",
			    td_room_name((enum td_room)room), NULL);
		mgmtd_own_samples(c->m, &set);
		samples_put(&set, TD_ROOM_MGMTD, TD_COUNTER,
		    "tandem_samples_dropped_total", (double)set.dropped, NULL);
		report_alarms(&set);
	}
	free(c);
	done(context, &set);
}

static void
on_deadline(struct loop_timer *timer)
{
	finish(timer->context);
}

static struct collection *
collect(struct mgmtd *m, uint32_t rooms, enum td_request what, const char *text,
    collect_done *done, void *context)
{
	struct collection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->m = m;
	c->id = m->next_id++;
	c->done = done;
	c->context = context;
	c->status = what == TD_REQ_STATUS;
	c->next = m->collections;
	m->collections = c;
	loop_timer_init(m->loop, &c->timer, on_deadline, c);
	for (int room = 0; room < TD_ROOM_COUNT; room++) {
		uint32_t bit = UINT32_C(1) << room;

		if ((rooms & bit) != 0 &&
		    mgmtd_request(m, (enum td_room)room, c->id, what, 0, text) == 0)
			c->waiting |= bit;
	}
	/* Never before this function has returned, also when nobody is there to wait
	 * for. */
	loop_timer_set(&c->timer, c->waiting != 0
				      ? instant_add(loop_now(m->loop), COLLECT_LIMIT_NS)
				      : loop_now(m->loop));
	return c;
}

struct collection *
collect_status(struct mgmtd *m, collect_done *done, void *context)
{
	uint32_t all = (UINT32_C(1) << TD_ROOM_COUNT) - 1;

	return collect(m, all & ~(UINT32_C(1) << TD_ROOM_MGMTD), TD_REQ_STATUS, NULL,
	    done, context);
}

struct collection *
collect_list(struct mgmtd *m, enum td_room room, const char *text, collect_done *done,
    void *context)
{
	return collect(m, UINT32_C(1) << room, TD_REQ_LIST, text, done, context);
}

void
collect_cancel(struct mgmtd *m, struct collection *collection)
{
	(void)m;
	if (collection == NULL)
		return;
	unlink_collection(collection);
	samples_free(&collection->set);
	free(collection);
}

void
collect_finish_all(struct mgmtd *m, collect_done *done)
{
	struct collection *c = m->collections;

	while (c != NULL) {
		if (c->done == done) {
			finish(c);
			c = m->collections; /* the list has changed */
		} else {
			c = c->next;
		}
	}
}

void
collect_part(struct mgmtd *m, enum td_room from, const struct td_msg_status *status)
{
	struct collection *c = m->collections;
	uint32_t bit = UINT32_C(1) << from;

	while (c != NULL && c->id != status->id)
		c = c->next;
	if (c == NULL || (c->waiting & bit) == 0)
		return; /* too late */
	for (size_t i = 0; i < status->sample_count; i++)
		samples_add(&c->set, from, &status->samples[i]);
	if (status->more)
		return;
	c->waiting &= ~bit;
	c->answered |= bit;
	if (c->waiting == 0)
		finish(c);
}
