#include "common/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/clock.h"

#define SIGNALS_MAX 65
#define NOT_IN_HEAP (-1)

struct loop {
	int epoll_fd;
	struct td_instant now;
	int64_t lateness_ns;
	bool stop;
	int exit_code;

	/* One timerfd on the clock of the instants: epoll's own timeout has neither its
	 * resolution nor does it go on during suspend. */
	struct loop_fd timer_lf;
	struct td_instant armed;
	struct loop_timer **heap; /* borrowed timers, the earliest first */
	int32_t heap_count, heap_size;

	struct loop_fd signal_lf; /* fd -1 until the first loop_signal_add */
	sigset_t signals;
	struct {
		loop_signal_handler *handler;
		void *context;
	} signal[SIGNALS_MAX];

	struct epoll_event
	    *ready; /* as long as there are descriptors: one poll sees all */
	int ready_count, ready_size, fd_count;
};

/* ---- timers: a binary heap ---- */

static void
heap_put(struct loop *loop, int32_t i, struct loop_timer *timer)
{
	loop->heap[i] = timer;
	timer->heap_index = i;
}

static void
heap_up(struct loop *loop, int32_t i)
{
	struct loop_timer *timer = loop->heap[i];

	while (i > 0 && timer->deadline.ns < loop->heap[(i - 1) / 2]->deadline.ns) {
		heap_put(loop, i, loop->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(loop, i, timer);
}

static void
heap_down(struct loop *loop, int32_t i)
{
	struct loop_timer *timer = loop->heap[i];

	for (;;) {
		int32_t child = 2 * i + 1;

		if (child >= loop->heap_count)
			break;
		if (child + 1 < loop->heap_count &&
		    loop->heap[child + 1]->deadline.ns < loop->heap[child]->deadline.ns)
			child++;
		if (timer->deadline.ns <= loop->heap[child]->deadline.ns)
			break;
		heap_put(loop, i, loop->heap[child]);
		i = child;
	}
	heap_put(loop, i, timer);
}

void
loop_timer_init(struct loop *loop, struct loop_timer *timer,
    loop_timer_handler *handler, void *context)
{
	*timer = (struct loop_timer){ .loop = loop,
		.deadline = TD_NEVER,
		.handler = handler,
		.context = context,
		.heap_index = NOT_IN_HEAP };
}

void
loop_timer_cancel(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;
	int32_t i = timer->heap_index;

	timer->deadline = TD_NEVER;
	if (loop == NULL || i == NOT_IN_HEAP)
		return;
	td_assert(loop->heap[i] == timer);
	timer->heap_index = NOT_IN_HEAP;
	loop->heap_count--;
	if (i < loop->heap_count) {
		heap_put(loop, i, loop->heap[loop->heap_count]);
		heap_up(loop, i);
		heap_down(loop, i);
	}
}

void
loop_timer_set(struct loop_timer *timer, struct td_instant deadline)
{
	struct loop *loop = timer->loop;

	td_assert(loop != NULL);
	if (deadline.ns == TD_NEVER.ns) {
		loop_timer_cancel(timer);
		return;
	}
	timer->deadline = deadline;
	if (timer->heap_index == NOT_IN_HEAP) {
		if (loop->heap_count == loop->heap_size) {
			int32_t size = loop->heap_size > 0 ? 2 * loop->heap_size : 16;
			struct loop_timer **heap =
			    realloc(loop->heap, (size_t)size * sizeof(*heap));

			td_assert(heap != NULL);
			loop->heap = heap;
			loop->heap_size = size;
		}
		heap_put(loop, loop->heap_count++, timer);
	}
	heap_up(loop, timer->heap_index);
	heap_down(loop, timer->heap_index);
}

static struct td_instant
earliest(const struct loop *loop)
{
	return loop->heap_count > 0 ? loop->heap[0]->deadline : TD_NEVER;
}

static int
timer_fd_arm(struct loop *loop)
{
	struct td_instant next = earliest(loop);
	struct itimerspec its = { 0 };

	if (next.ns == loop->armed.ns)
		return 0;
	if (next.ns != TD_NEVER.ns) {
		int64_t ns = next.ns > 0 ? next.ns : 1; /* 0 would disarm */

		its.it_value.tv_sec = ns / NS_PER_S;
		its.it_value.tv_nsec = ns % NS_PER_S;
	}
	if (timerfd_settime(loop->timer_lf.fd, TFD_TIMER_ABSTIME, &its, NULL) < 0)
		return -errno;
	loop->armed = next;
	return 0;
}

static void
on_timer_fd(struct loop_fd *lf, uint32_t events)
{
	uint64_t expirations;

	(void)events;
	if (read(lf->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		lf->loop->armed = TD_NEVER;
}

static void
run_due_timers(struct loop *loop)
{
	/* A handler may arm its timer for an instant already past: that one waits for
	 * the next wake-up, so that descriptors are not starved. */
	int32_t budget = loop->heap_count;

	while (
	    budget-- > 0 && !loop->stop && instant_reached(loop->now, earliest(loop))) {
		struct loop_timer *timer = loop->heap[0];

		loop->lateness_ns = instant_diff_ns(loop->now, timer->deadline);
		loop_timer_cancel(timer);
		timer->handler(timer);
	}
}

/* ---- descriptors ---- */

int
loop_fd_add(struct loop *loop, struct loop_fd *lf, int fd, uint32_t epoll_events,
    loop_fd_handler *handler, void *context)
{
	struct epoll_event ev = { .events = epoll_events, .data.ptr = lf };

	if (loop->fd_count == loop->ready_size) {
		int size = loop->ready_size > 0 ? 2 * loop->ready_size : 16;
		struct epoll_event *ready =
		    realloc(loop->ready, (size_t)size * sizeof(*ready));

		if (ready == NULL)
			return -ENOMEM;
		loop->ready = ready;
		loop->ready_size = size;
	}
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*lf = (struct loop_fd){
		.loop = loop, .fd = fd, .handler = handler, .context = context
	};
	loop->fd_count++;
	return 0;
}

int
loop_fd_modify(struct loop_fd *lf, uint32_t epoll_events)
{
	struct epoll_event ev = { .events = epoll_events, .data.ptr = lf };

	td_assert(lf->loop != NULL);
	if (epoll_ctl(lf->loop->epoll_fd, EPOLL_CTL_MOD, lf->fd, &ev) < 0)
		return -errno;
	return 0;
}

void
loop_fd_remove(struct loop_fd *lf)
{
	struct loop *loop = lf->loop;

	if (loop == NULL)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, lf->fd, NULL);
	lf->loop = NULL;
	lf->fd = -1;
	loop->fd_count--;
	/* It may be about to be handled, and its memory is the owner's again. */
	for (int i = 0; i < loop->ready_count; i++)
		if (loop->ready[i].data.ptr == lf)
			loop->ready[i].data.ptr = NULL;
}

/* Handles all descriptors that are ready; waits for one if `wait`. Reads the clock once
 * after the wait. */
static int
handle_ready(struct loop *loop, bool wait)
{
	int n =
	    epoll_wait(loop->epoll_fd, loop->ready, loop->ready_size, wait ? -1 : 0);

	if (wait)
		loop->now = clock_now();
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->ready_count = n;
	for (int i = 0; i < loop->ready_count && !loop->stop; i++) {
		struct loop_fd *lf = loop->ready[i].data.ptr;

		if (lf != NULL)
			lf->handler(lf, loop->ready[i].events);
	}
	loop->ready_count = 0;
	return 0;
}

/* ---- signals ---- */

static void
on_signal_fd(struct loop_fd *lf, uint32_t events)
{
	struct loop *loop = lf->loop;
	struct signalfd_siginfo si;

	(void)events;
	while (read(lf->fd, &si, sizeof(si)) == sizeof(si))
		if (si.ssi_signo < SIGNALS_MAX &&
		    loop->signal[si.ssi_signo].handler != NULL)
			loop->signal[si.ssi_signo].handler(
			    loop->signal[si.ssi_signo].context, (int)si.ssi_signo);
}

int
loop_signal_add(
    struct loop *loop, int signo, loop_signal_handler *handler, void *context)
{
	sigset_t signals = loop->signals;
	int fd, r;

	if (signo <= 0 || signo >= SIGNALS_MAX)
		return -EINVAL;
	sigaddset(&signals, signo);
	fd = signalfd(loop->signal_lf.fd, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (loop->signal_lf.loop == NULL) {
		r = loop_fd_add(
		    loop, &loop->signal_lf, fd, EPOLLIN, on_signal_fd, NULL);
		if (r < 0) {
			close(fd);
			return r;
		}
	}
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	loop->signals = signals;
	loop->signal[signo].handler = handler;
	loop->signal[signo].context = context;
	return 0;
}

/* ---- the loop ---- */

struct loop *
loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int fd = -1;

	if (loop == NULL)
		return NULL;
	loop->now = clock_now();
	loop->armed = TD_NEVER;
	loop->signal_lf.fd = -1;
	sigemptyset(&loop->signals);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		goto fail;
	fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd < 0)
		goto fail;
	if (loop_fd_add(loop, &loop->timer_lf, fd, EPOLLIN, on_timer_fd, NULL) < 0)
		goto fail;
	return loop;
fail:
	if (fd >= 0)
		close(fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop->ready);
	free(loop);
	return NULL;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	if (loop->signal_lf.fd >= 0)
		close(loop->signal_lf.fd);
	close(loop->timer_lf.fd);
	close(loop->epoll_fd);
	free(loop->heap);
	free(loop->ready);
	free(loop);
}

struct td_instant
loop_now(const struct loop *loop)
{
	return loop->now;
}

int64_t
loop_lateness_ns(const struct loop *loop)
{
	return loop->lateness_ns;
}

int
loop_run(struct loop *loop)
{
	loop->now = clock_now();
	while (!loop->stop) {
		int r = timer_fd_arm(loop);

		if (r < 0)
			return r;
		r = handle_ready(loop, true);
		if (r < 0)
			return r;
		if (loop->stop || !instant_reached(loop->now, earliest(loop)))
			continue;
		/* Between epoll's answer and the reading of the clock this process may
		 * have been frozen for seconds. What arrived meanwhile is read before a
		 * timer may take it for silence. */
		r = handle_ready(loop, false);
		if (r < 0)
			return r;
		run_due_timers(loop);
	}
	loop->stop = false;
	return loop->exit_code;
}

void
loop_stop(struct loop *loop, int exit_code)
{
	loop->stop = true;
	loop->exit_code = exit_code;
}
