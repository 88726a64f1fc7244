#include "routerd/hookd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"

#define LOCK_RETRY_NS (10 * NS_PER_MS)
#define PROBLEM_MAX 512

static int
start_hook(struct hookd *h, char *ret_problem, size_t size)
{
	const struct hook_change *now = &h->queue.now;
	bool router = now->router[0] != '\0';
	char priority[8], term[24], who[24];
	struct hookd_environment env;
	const char *argv[] = { h->config->hooks.path[h->queue.hook],
		router ? "INSTANCE" : "GROUP",
		router ? now->router : room_instance(h->room),
		hook_state_keepalived(now->state), priority, NULL };

	snprintf(priority, sizeof(priority), "%u", now->priority);
	snprintf(term, sizeof(term), "%" PRIu64, now->term);
	environment_init(&env, h);
	environment_set(&env, "ROUTER", now->router);
	environment_set(&env, "ROLE", hook_state_name(now->state));
	environment_set(&env, "OLD_ROLE", hook_state_name(h->queue.before));
	environment_set(&env, "TERM", term);
	environment_set(&env, "PRIORITY", priority);
	environment_set(&env, "REASON", now->reason);
	environment_set(&env, "HOOK", td_hook_name(h->queue.hook));
	snprintf(who, sizeof(who), "hook=%s", td_hook_name(h->queue.hook));
	return hookd_start_program(
	    h, &h->run, &h->output, who, argv, &env, ret_problem, size);
}

static void
record_end(struct hookd *h, enum hook_result result)
{
	struct hook_record *record = &h->record[h->queue.hook];

	record->runs[result]++;
	record->ran = true;
	record->last = result;
	record->last_state = h->queue.now.state;
	record->last_ns = instant_diff_ns(clock_now(), h->began);
	if (result != HOOK_REFUSED)
		histogram_add(&h->durations, record->last_ns);
}

/* False: nothing runs, which is recorded and told. */
static bool
begin(struct hookd *h)
{
	char problem[PROBLEM_MAX];

	h->began = clock_now();
	if (start_hook(h, problem, sizeof(problem)) == 0) {
		log_info("hook", "hook=%s role=%s router=%s term=%" PRIu64 " pid=%d",
		    td_hook_name(h->queue.hook), hook_state_name(h->queue.now.state),
		    h->queue.now.router, h->queue.now.term, (int)h->run.pid);
		return true;
	}
	record_end(h, HOOK_REFUSED);
	log_err("hook", "hook=%s role=%s refused: %s", td_hook_name(h->queue.hook),
	    hook_state_name(h->queue.now.state), problem);
	return false;
}

static void
step(struct hookd *h, struct hook_event ev)
{
	const struct td_hooks_config *cfg = &h->config->hooks;
	enum hook_action action = hook_queue_step(cfg, &h->queue, &ev, clock_now());

	while (action == HOOK_DO_RUN && !begin(h)) {
		ev = (struct hook_event){ .kind = HOOK_EV_EXIT };
		action = hook_queue_step(cfg, &h->queue, &ev, clock_now());
	}
	if (action == HOOK_DO_TERMINATE) {
		log_warn("hook", "hook=%s role=%s pid=%d takes too long: SIGTERM",
		    td_hook_name(h->queue.hook), hook_state_name(h->queue.now.state),
		    (int)h->run.pid);
		hook_run_signal(&h->run, SIGTERM);
	} else if (action == HOOK_DO_KILL) {
		log_warn("hook", "hook=%s pid=%d: SIGKILL", td_hook_name(h->queue.hook),
		    (int)h->run.pid);
		hook_run_signal(&h->run, SIGKILL);
	} else if (action == HOOK_DO_LEAVE) {
		room_exit(h->room, EXIT_SUCCESS);
	}
	loop_timer_set(&h->timer, hook_queue_deadline(&h->queue));
}

static void
on_timer(struct loop_timer *timer)
{
	step(timer->context, (struct hook_event){ .kind = HOOK_EV_TICK });
}

static void
on_child(void *context, int signo)
{
	struct hookd *h = context;
	enum hook_result result = HOOK_FAILED;
	int wait_status;

	(void)signo;
	hookd_track_reap(h);
	if (!hookd_reap_program(&h->run, &h->output, &wait_status))
		return;
	if (h->queue.timed_out)
		result = HOOK_TIMED_OUT;
	else if (wait_status == 0)
		result = HOOK_OK;
	record_end(h, result);
	log_line(result == HOOK_OK ? LOG_LV_INFO : LOG_LV_WARN, "hook",
	    "hook=%s role=%s result=%s %s=%d duration=%.3fs",
	    td_hook_name(h->queue.hook), hook_state_name(h->queue.now.state),
	    hook_result_name(result), WIFSIGNALED(wait_status) ? "signal" : "exit",
	    WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status),
	    (double)h->record[h->queue.hook].last_ns / NS_PER_S);
	step(h, (struct hook_event){ .kind = HOOK_EV_EXIT });
}

static void
take_lock(struct loop_timer *timer)
{
	struct hookd *h = timer->context;

	if (h->lock_fd < 0 || flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		step(h, (struct hook_event){ .kind = HOOK_EV_READY });
		hookd_track_begin(h);
		return;
	}
	if (!h->lock_told)
		log_notice("hook", "waiting for the end of a run of an earlier life");
	h->lock_told = true;
	loop_timer_set(timer, instant_add(loop_now(h->loop), LOCK_RETRY_NS));
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct hookd *h = context;

	if (strcmp(name, "hook-lock") == 0 && h->lock_fd < 0)
		h->lock_fd = fd;
	else
		close(fd);
}

/* A router without its hooks is better than none: at the start a bad one is told and
 * refused when its time comes. A change to a bad one is refused, a way back is not. */
static int
on_config(void *context, struct td_config *config)
{
	struct hookd *h = context;
	char problem[PROBLEM_MAX];
	int error = hookd_judge_config(config, problem, sizeof(problem));
	bool other_scripts =
	    h->config != NULL && !td_track_scripts_equal(config, h->config);
	bool change = h->config != NULL && config->generation > h->config->generation &&
		      (other_scripts || memcmp(&config->hooks, &h->config->hooks,
					    sizeof(config->hooks)) != 0);

	if (error < 0) {
		log_err(
		    "hook", "generation=%" PRIu64 " %s", config->generation, problem);
		if (change) {
			room_refusal(h->room, problem);
			td_config_free(config);
			return error;
		}
	}
	td_config_free(h->config);
	h->config = config;
	hookd_judge_user(h);
	hookd_track_config(h, other_scripts);
	if (!h->queue.ready)
		loop_timer_set(&h->lock_timer, loop_now(h->loop));
	return 0;
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct hookd *h = context;
	bool routers = h->config->vrrp.mode == TD_VRRP_INDEPENDENT;
	struct hook_change change;

	if (msg->kind == TD_MSG_REQUEST) {
		room_reply(h->room, from, msg->request.id, -EOPNOTSUPP,
		    "hookd answers status");
		return;
	}
	if (msg->kind != TD_MSG_ROLE || (msg->role.router[0] != '\0') != routers)
		return;
	change = hook_change_of(&msg->role);
	step(h, (struct hook_event){ .kind = HOOK_EV_CHANGE, .change = &change });
}

static void
on_link_up(void *context, enum td_room peer)
{
	struct hookd *h = context;

	if (peer != TD_ROOM_VRRPD)
		return;
	h->vrrpd_up = true;
	hookd_track_tell(h);
}

/* Without an election this node serves nothing. One that stopped has said so before. */
static void
on_link_down(void *context, enum td_room peer)
{
	struct hookd *h = context;

	if (peer != TD_ROOM_VRRPD)
		return;
	h->vrrpd_up = false;
	for (unsigned i = 0; i < h->queue.line_count; i++) {
		struct hook_change change = h->queue.line[i].newest;

		if (change.state == HOOK_STOP || change.state == HOOK_UNKNOWN)
			continue;
		change.state = HOOK_FAULT;
		snprintf(change.reason, sizeof(change.reason), "vrrpd_gone");
		step(h,
		    (struct hook_event){ .kind = HOOK_EV_CHANGE, .change = &change });
	}
	/* A stop waited for its last word. */
	if (h->stop_timer.deadline.ns != TD_NEVER.ns)
		loop_timer_set(&h->stop_timer, loop_now(h->loop));
}

static void
on_stop_timer(struct loop_timer *timer)
{
	step(timer->context, (struct hook_event){ .kind = HOOK_EV_STOP });
}

/* tandemd asks us when vrrpd has left. A SIGTERM to all processes comes to us as soon
 * as to vrrpd, whose last word then is still to come. */
static void
on_stop(void *context, bool orphan)
{
	struct hookd *h = context;
	bool replaced = h->user_problem[0] != '\0'; /* by one with another user */

	/* After tandemd's death its next life waits for ours to end. */
	if (orphan)
		step(h, (struct hook_event){ .kind = HOOK_EV_STOP_NOW });
	else
		loop_timer_set(
		    &h->stop_timer, instant_add(loop_now(h->loop),
					h->vrrpd_up && !replaced ? HOOK_STOP_NS : 0));
}

int
main(int argc, char **argv)
{
	static struct hookd h;
	const struct room_callbacks callbacks = { .config = on_config,
		.fd = on_fd,
		.link_up = on_link_up,
		.link_down = on_link_down,
		.message = on_message,
		.status = hookd_status,
		.stop = on_stop };

	h.lock_fd = -1;
	hook_queue_init(&h.queue);
	h.room = room_open(argc, argv, TD_ROOM_HOOKD, &callbacks, &h);
	h.loop = room_loop(h.room);
	/* The programs have the same user: they shall not look into this process. */
	prctl(PR_SET_DUMPABLE, 0);
	loop_timer_init(h.loop, &h.timer, on_timer, &h);
	loop_timer_init(h.loop, &h.lock_timer, take_lock, &h);
	loop_timer_init(h.loop, &h.stop_timer, on_stop_timer, &h);
	hookd_track_init(&h);
	if (loop_signal_add(h.loop, SIGCHLD, on_child, &h) < 0)
		return EXIT_FAILURE;
	return room_run(h.room);
}
