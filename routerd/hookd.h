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
#include "routerd/core/track.h"
#include "routerd/hook_output.h"
#include "routerd/hook_run.h"

enum hook_result { HOOK_OK, HOOK_FAILED, HOOK_TIMED_OUT, HOOK_REFUSED, HOOK_RESULTS };

struct hook_record {
	uint64_t runs[HOOK_RESULTS];
	bool ran; /* the three below mean something */
	enum hook_result last;
	enum hook_state last_state;
	int64_t last_ns;
};

struct hookd;

/* A track script. */
struct tracked {
	struct hookd *h;
	struct td_track_script script;
	struct track track;
	struct hook_run run;
	struct hook_output output;
	struct loop_timer timer;
};

struct hookd {
	struct room *room;
	struct loop *loop;
	struct td_config *config; /* owned */
	char user_problem[80];    /* why nothing may be run; "" = it may */
	struct hook_queue queue;
	struct hook_run run;
	struct hook_output output;
	struct td_instant began;
	struct loop_timer timer, lock_timer, stop_timer;
	bool vrrpd_up;
	int lock_fd; /* -1 = was not handed over */
	bool lock_told;
	struct hook_record record[TD_HOOK_COUNT];
	struct td_histogram durations;
	struct tracked tracked[TD_TRACK_SCRIPTS_MAX];
	unsigned tracked_count;
	struct loop_timer fitness_timer;
};

/* hookd_program.c: what runs, and as what. */
#define HOOKD_VARIABLES_MAX 12
#define HOOKD_VARIABLE_MAX (TD_REASON_MAX + 32)
struct hookd_environment {
	unsigned count;
	char variable[HOOKD_VARIABLES_MAX][HOOKD_VARIABLE_MAX];
};
/* With what every program is told. */
void environment_init(struct hookd_environment *env, const struct hookd *h);
void environment_set(
    struct hookd_environment *env, const char *name, const char *value);
/* argv[0] is the program, which is examined; `who` is in front of what it says. 0, or
 * negative errno with *ret_problem. */
int hookd_start_program(const struct hookd *h, struct hook_run *run,
    struct hook_output *output, const char *who, const char *const *argv,
    const struct hookd_environment *env, char *ret_problem, size_t size);
/* hook_run_reap, and the end of its output. */
bool hookd_reap_program(
    struct hook_run *run, struct hook_output *output, int *ret_wait_status);
void hookd_judge_user(struct hookd *h);
/* 0, or why something in the configuration must not be run on this machine. */
int hookd_judge_config(const struct td_config *config, char *ret_problem, size_t size);

/* hookd_track.c */
void hookd_track_init(struct hookd *h);
void hookd_track_config(struct hookd *h, bool changed);
void hookd_track_begin(struct hookd *h); /* nothing of an earlier life runs any more */
void hookd_track_reap(struct hookd *h);
void hookd_track_tell(struct hookd *h);
void hookd_track_status(const struct hookd *h, struct room_status *st);

const char *hook_result_name(enum hook_result result);
void hookd_status(void *context, struct room_status *st);

#endif
