/*
 * loop.h - the event loop: epoll, one deadline per timer, signals by signalfd.
 *
 * The clock is read once per wake-up (loop_now); handlers pass that instant on. In one
 * wake-up all ready descriptors are handled before any timer is judged, so a late process
 * reads what has arrived before it concludes that nothing has. A handler should therefore
 * read until EAGAIN (or a bound of its own: descriptors are level-triggered).
 *
 * Memory   the caller owns struct loop_fd and struct loop_timer (embed them); the loop
 *          borrows them until removed. Removing inside a handler is allowed.
 * Errors   negative errno.
 */
#ifndef TANDEM_COMMON_LOOP_H
#define TANDEM_COMMON_LOOP_H

#include <stdint.h>
#include <tandem/instant.h>

struct loop;
struct loop_fd;
struct loop_timer;

typedef void loop_fd_handler(struct loop_fd *lf, uint32_t epoll_events);
typedef void loop_timer_handler(struct loop_timer *timer);
typedef void loop_signal_handler(void *context, int signo);

struct loop_fd {
	struct loop *loop;
	int fd; /* borrowed: closing it is the owner's business, after loop_fd_remove */
	loop_fd_handler *handler;
	void *context;
};

struct loop_timer {
	struct loop *loop;
	struct td_instant deadline; /* TD_NEVER = disarmed */
	loop_timer_handler *handler;
	void *context;
	int32_t heap_index; /* the loop's own */
};

struct loop *loop_new(void);
void loop_free(struct loop *loop);

int loop_fd_add(struct loop *loop, struct loop_fd *lf, int fd, uint32_t epoll_events,
    loop_fd_handler *handler, void *context);
int loop_fd_modify(struct loop_fd *lf, uint32_t epoll_events);
void loop_fd_remove(struct loop_fd *lf); /* twice is fine */

/* Initialises a disarmed timer. */
void loop_timer_init(struct loop *loop, struct loop_timer *timer,
    loop_timer_handler *handler, void *context);
void loop_timer_set(struct loop_timer *timer, struct td_instant deadline);
void loop_timer_cancel(struct loop_timer *timer);

/* Blocks `signo` for the process and delivers it through the loop. */
int loop_signal_add(struct loop *loop, int signo, loop_signal_handler *handler, void *context);

struct td_instant loop_now(const struct loop *loop); /* of this wake-up */
int64_t loop_lateness_ns(const struct loop *loop);   /* how late the last timer ran */

/* Until loop_stop; returns the code given to it, or negative errno. May run again. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int exit_code);

#endif
