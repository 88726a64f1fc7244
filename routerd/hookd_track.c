/* hookd_track.c - runs the track scripts, and tells vrrpd what they find. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "common/clock.h"
#include "common/log.h"
#include "routerd/hookd.h"

#define TELL_NS NS_PER_S /* again and again: a message may have been lost */
#define PROBLEM_MAX 512
/* What a shell, or we, say of a program that cannot be run. */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

void
hookd_track_tell(struct hookd *h)
{
	struct td_msg msg = { .kind = TD_MSG_FITNESS,
		.fitness = { .generation = h->config->generation } };

	for (unsigned i = 0; i < h->tracked_count; i++) {
		enum track_verdict verdict = h->tracked[i].track.verdict;

		if (verdict != TRACK_UNKNOWN)
			msg.fitness.known |= (uint16_t)(1U << i);
		if (verdict == TRACK_UNFIT)
			msg.fitness.unfit |= (uint16_t)(1U << i);
	}
	if (h->vrrpd_up && msg.fitness.known != 0)
		(void)room_send(h->room, TD_ROOM_VRRPD, &msg);
}

static void
on_fitness_timer(struct loop_timer *timer)
{
	struct hookd *h = timer->context;

	hookd_track_tell(h);
	if (h->tracked_count > 0)
		loop_timer_set(timer, instant_add(loop_now(h->loop), TELL_NS));
}

static bool
start_script(struct tracked *t)
{
	const char *argv[] = { t->script.path, t->script.name, NULL };
	struct hookd_environment env;
	char problem[PROBLEM_MAX], who[48];

	/* One of another configuration that is still dying. */
	if (t->run.pid != 0)
		return false;
	environment_init(&env, t->h);
	environment_set(&env, "TRACK", t->script.name);
	snprintf(who, sizeof(who), "script=%s", t->script.name);
	if (hookd_start_program(t->h, &t->run, &t->output, who, argv, &env, problem,
		sizeof(problem)) == 0)
		return true;
	log_limited(
	    LOG_LV_ERR, "track", 1, "script=%s refused: %s", t->script.name, problem);
	return false;
}

static void
step(struct tracked *t, enum track_event event)
{
	enum track_verdict before = t->track.verdict;
	enum track_action action =
	    track_step(&t->script, &t->track, event, clock_now());

	if (action == TRACK_DO_RUN && !start_script(t))
		action =
		    track_step(&t->script, &t->track, TRACK_EV_NO_WORD, clock_now());
	if (action == TRACK_DO_TERMINATE) {
		log_limited(LOG_LV_WARN, "track", 1,
		    "script=%s takes too long: it stays %s", t->script.name,
		    track_verdict_name(t->track.verdict));
		hook_run_signal(&t->run, SIGTERM);
	} else if (action == TRACK_DO_KILL) {
		hook_run_signal(&t->run, SIGKILL);
	}
	loop_timer_set(&t->timer, t->track.deadline);
	if (t->track.verdict == before)
		return;
	log_notice("track", "script=%s %s -> %s", t->script.name,
	    track_verdict_name(before), track_verdict_name(t->track.verdict));
	hookd_track_tell(t->h);
}

static void
on_timer(struct loop_timer *timer)
{
	step(timer->context, TRACK_EV_TICK);
}

void
hookd_track_reap(struct hookd *h)
{
	for (unsigned i = 0; i < TD_TRACK_SCRIPTS_MAX; i++) {
		struct tracked *t = &h->tracked[i];
		enum track_event event = TRACK_EV_FAILED;
		int wait_status;

		if (!hookd_reap_program(&t->run, &t->output, &wait_status) ||
		    i >= h->tracked_count)
			continue;
		if (wait_status == 0)
			event = TRACK_EV_OK;
		else if (WIFSIGNALED(wait_status) ||
			 WEXITSTATUS(wait_status) == EXIT_CANNOT_RUN ||
			 WEXITSTATUS(wait_status) == EXIT_NOT_FOUND)
			event = TRACK_EV_NO_WORD;
		step(t, event);
	}
}

void
hookd_track_begin(struct hookd *h)
{
	for (unsigned i = 0; i < h->tracked_count; i++)
		loop_timer_set(&h->tracked[i].timer, loop_now(h->loop));
	loop_timer_set(&h->fitness_timer, loop_now(h->loop));
}

/* The same scripts go on as they are judged; others begin unknown. */
void
hookd_track_config(struct hookd *h, bool changed)
{
	const struct td_config *config = h->config;
	bool fresh = changed || h->tracked_count != config->track_script_count;

	for (unsigned i = 0; fresh && i < h->tracked_count; i++) {
		hook_run_signal(&h->tracked[i].run, SIGKILL);
		loop_timer_cancel(&h->tracked[i].timer);
	}
	h->tracked_count = config->track_script_count;
	for (unsigned i = 0; i < h->tracked_count; i++) {
		h->tracked[i].script = config->track_scripts[i];
		if (fresh)
			track_init(&h->tracked[i].track, loop_now(h->loop));
	}
	if (fresh && h->queue.ready)
		hookd_track_begin(h);
}

void
hookd_track_init(struct hookd *h)
{
	for (unsigned i = 0; i < TD_TRACK_SCRIPTS_MAX; i++) {
		h->tracked[i].h = h;
		loop_timer_init(
		    h->loop, &h->tracked[i].timer, on_timer, &h->tracked[i]);
	}
	loop_timer_init(h->loop, &h->fitness_timer, on_fitness_timer, h);
}

void
hookd_track_status(const struct hookd *h, struct room_status *st)
{
	for (unsigned i = 0; i < h->tracked_count; i++) {
		const struct track *t = &h->tracked[i].track;
		const char *name = h->tracked[i].script.name;
		uint64_t runs = 0;

		for (unsigned r = 0; r < TRACK_RESULTS; r++) {
			runs += t->runs[r];
			status_counter(st, "tandem_track_runs_total",
			    (double)t->runs[r], "script", name, "result",
			    track_result_name((enum track_result)r), NULL);
		}
		status_info(st, "tandem_track_info", "script", name, "verdict",
		    track_verdict_name(t->verdict), "result",
		    runs > 0 ? track_result_name(t->last) : "none", NULL);
		status_gauge(st, "tandem_track_unfit", t->verdict == TRACK_UNFIT,
		    "script", name, NULL);
		status_gauge(st, "tandem_track_silent",
		    runs > 0 && t->last == TRACK_NO_WORD, "script", name, NULL);
	}
}
