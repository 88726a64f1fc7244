/*
 * hookd.h - tandem-hookd: runs the operator's programs when the role changes. Internal.
 *
 *   vrrpd --role--> hook_queue (core) --> hook_run --> the program
 *
 * It has the user that the programs run as and nothing else: whatever they do to it,
 * the election neither waits for it nor hears from it. docs/hooks.md says what they
 * get.
 */
#ifndef TANDEM_ROUTERD_HOOKD_H
#define TANDEM_ROUTERD_HOOKD_H

#include "common/histogram.h"
#include "common/loop.h"
#include "common/room.h"
#include "routerd/core/hook_queue.h"
#include "routerd/hook_run.h"

enum hook_result { HOOK_OK, HOOK_FAILED, HOOK_TIMED_OUT, HOOK_REFUSED, HOOK_RESULTS };

struct hook_record {
	uint64_t runs[HOOK_RESULTS];
	bool ran; /* the three below mean something */
	enum hook_result last;
	enum hook_state last_state;
	int64_t last_ns;
};

struct hookd {
	struct room *room;
	struct loop *loop;
	struct td_config *config; /* owned */
	char user_problem[80];    /* why nothing may be run; "" = it may */
	struct hook_queue queue;
	struct hook_run run;
	struct td_instant began;
	struct loop_timer timer, lock_timer, stop_timer;
	bool vrrpd_up;
	int lock_fd; /* -1 = was not handed over */
	bool lock_told;
	struct hook_record record[TD_HOOK_COUNT];
	struct td_histogram durations;
};

const char *hook_result_name(enum hook_result result);
void hookd_status(void *context, struct room_status *st);

#endif
