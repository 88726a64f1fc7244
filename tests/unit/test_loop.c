/* The order of events within a wake-up, and what a handler may do to the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/clock.h"
#include "common/loop.h"

#define TIMERS 200

struct journal {
	struct loop *loop;
	char text[4096];
};

static void
note(struct journal *j, const char *word)
{
	size_t len = strlen(j->text);

	snprintf(
	    j->text + len, sizeof(j->text) - len, "%s%s", len > 0 ? " " : "", word);
}

/* A broken loop must fail the test, not hang it. */
static void
hang_guard(struct loop_timer *timer)
{
	loop_stop(timer->loop, -ETIMEDOUT);
}

static void
guard_init(struct loop *loop, struct loop_timer *guard)
{
	loop_timer_init(loop, guard, hang_guard, NULL);
	loop_timer_set(guard, instant_add(clock_now(), 10 * NS_PER_S));
}

static void
on_timer_stop(struct loop_timer *timer)
{
	note(timer->context, "timer");
	loop_stop(timer->loop, 7);
}

static void
on_readable(struct loop_fd *lf, uint32_t events)
{
	char c;

	(void)events;
	assert_int_equal(read(lf->fd, &c, 1), 1);
	note(lf->context, "fd");
}

static void
a_late_process_reads_before_it_judges_a_timer(void **state)
{
	struct journal j = { .loop = loop_new() };
	struct loop_fd lf = { 0 };
	struct loop_timer timer;
	int ends[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(
	    loop_fd_add(j.loop, &lf, ends[0], EPOLLIN, on_readable, &j), 0);
	loop_timer_init(j.loop, &timer, on_timer_stop, &j);
	loop_timer_set(&timer, instant_add(clock_now(), -3 * NS_PER_S));
	assert_int_equal(send(ends[1], "x", 1, 0), 1);
	assert_int_equal(loop_run(j.loop), 7);
	assert_string_equal(j.text, "fd timer");
	assert_true(loop_lateness_ns(j.loop) >= 3 * NS_PER_S);
	assert_true(timer.deadline.ns == TD_NEVER.ns);
	loop_fd_remove(&lf);
	loop_fd_remove(&lf);
	loop_free(j.loop);
	close(ends[0]);
	close(ends[1]);
}

struct first_reader {
	struct journal *journal;
	int late_sender;
};

/* What arrives after the poll answered, as in a process that was frozen there. */
static void
on_readable_then_more_arrives(struct loop_fd *lf, uint32_t events)
{
	struct first_reader *first = lf->context;
	char c;

	(void)events;
	assert_int_equal(read(lf->fd, &c, 1), 1);
	note(first->journal, "first");
	if (first->late_sender >= 0)
		assert_int_equal(send(first->late_sender, "y", 1, 0), 1);
	first->late_sender = -1;
}

static void
what_arrives_between_poll_and_clock_is_read_too(void **state)
{
	struct journal j = { .loop = loop_new() };
	struct loop_fd first_lf = { 0 }, second_lf = { 0 };
	struct loop_timer timer;
	int first_ends[2], second_ends[2];
	struct first_reader first;

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, first_ends), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, second_ends), 0);
	first = (struct first_reader){ &j, second_ends[1] };
	loop_fd_add(j.loop, &first_lf, first_ends[0], EPOLLIN,
	    on_readable_then_more_arrives, &first);
	loop_fd_add(j.loop, &second_lf, second_ends[0], EPOLLIN, on_readable, &j);
	loop_timer_init(j.loop, &timer, on_timer_stop, &j);
	loop_timer_set(&timer, clock_now());
	assert_int_equal(send(first_ends[1], "x", 1, 0), 1);
	assert_int_equal(loop_run(j.loop), 7);
	assert_string_equal(j.text, "first fd timer");
	loop_free(j.loop);
	for (unsigned i = 0; i < 2; i++) {
		close(first_ends[i]);
		close(second_ends[i]);
	}
}

struct order {
	int64_t last_ns;
	unsigned fired, expected;
};

static void
on_ordered_timer(struct loop_timer *timer)
{
	struct order *order = timer->context;

	assert_true(loop_now(timer->loop).ns >= order->last_ns);
	if (++order->fired == order->expected)
		loop_stop(timer->loop, 0);
}

static struct td_instant fired_deadline[TIMERS];
static unsigned fired_count;

struct shuffled {
	struct loop_timer timer;
	struct td_instant deadline;
};

static void
on_shuffled(struct loop_timer *timer)
{
	struct shuffled *s = timer->context;

	fired_deadline[fired_count++] = s->deadline;
	if (fired_count == TIMERS - TIMERS / 4)
		loop_stop(timer->loop, 0);
}

static void
timers_fire_in_the_order_of_their_deadlines(void **state)
{
	struct loop *loop = loop_new();
	static struct shuffled shuffled[TIMERS];
	struct td_instant start = clock_now();
	uint32_t seed = 99;

	(void)state;
	for (unsigned i = 0; i < TIMERS; i++) {
		loop_timer_init(loop, &shuffled[i].timer, on_shuffled, &shuffled[i]);
		loop_timer_set(&shuffled[i].timer, instant_add(start, i));
	}
	for (unsigned i = 0; i < TIMERS; i++) { /* moving an armed timer re-sorts it */
		seed = seed * 1664525 + 1013904223;
		shuffled[i].deadline = instant_add(start, seed >> 12);
		loop_timer_set(&shuffled[i].timer, shuffled[i].deadline);
	}
	for (unsigned i = 0; i < TIMERS; i += 4)
		loop_timer_cancel(&shuffled[i].timer);
	assert_int_equal(loop_run(loop), 0);
	for (unsigned i = 1; i < fired_count; i++)
		assert_true(fired_deadline[i - 1].ns <= fired_deadline[i].ns);
	loop_free(loop);
}

static void
a_timer_never_fires_early(void **state)
{
	struct loop *loop = loop_new();
	struct loop_timer timer;
	struct order order = { .expected = 1 };

	(void)state;
	loop_timer_init(loop, &timer, on_ordered_timer, &order);
	order.last_ns = clock_now().ns + 20 * NS_PER_MS;
	loop_timer_set(&timer, (struct td_instant){ order.last_ns });
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(order.fired, 1);
	loop_free(loop);
}

struct spinner {
	int sender;
	unsigned runs;
};

static void
on_spinner(struct loop_timer *timer)
{
	struct spinner *s = timer->context;

	if (++s->runs == 5)
		assert_int_equal(send(s->sender, "x", 1, 0), 1);
	if (s->runs > 1000)
		loop_stop(timer->loop, 1);
	loop_timer_set(timer, (struct td_instant){ 1 });
}

static void
on_readable_stop(struct loop_fd *lf, uint32_t events)
{
	(void)events;
	loop_stop(lf->loop, 0);
}

static void
a_timer_that_is_always_due_does_not_starve_descriptors(void **state)
{
	struct loop *loop = loop_new();
	struct loop_fd lf = { 0 };
	struct loop_timer spin;
	struct spinner s = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	loop_fd_add(loop, &lf, ends[0], EPOLLIN, on_readable_stop, NULL);
	loop_timer_init(loop, &spin, on_spinner, &s);
	loop_timer_set(&spin, (struct td_instant){ 1 });
	s.sender = ends[1];
	assert_int_equal(loop_run(loop), 0);
	loop_free(loop);
	close(ends[0]);
	close(ends[1]);
}

struct pair {
	struct loop_fd *other;
	unsigned *handled;
};

static void
on_readable_remove_both(struct loop_fd *lf, uint32_t events)
{
	struct pair *p = lf->context;
	struct loop_fd *other = p->other;

	(void)events;
	(*p->handled)++;
	loop_fd_remove(lf);
	loop_fd_remove(other);
	memset(other, 0xee, sizeof(*other)); /* its memory is ours again */
}

static void
a_handler_may_remove_another_ready_descriptor(void **state)
{
	struct loop *loop = loop_new();
	struct loop_fd a = { 0 }, b = { 0 };
	unsigned handled = 0;
	struct pair pair_a = { &b, &handled }, pair_b = { &a, &handled };
	struct journal j = { .loop = loop };
	struct loop_timer timer;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	loop_fd_add(loop, &a, ends[0], EPOLLIN, on_readable_remove_both, &pair_a);
	loop_fd_add(loop, &b, ends[1], EPOLLIN, on_readable_remove_both, &pair_b);
	assert_int_equal(send(ends[0], "x", 1, 0), 1);
	assert_int_equal(send(ends[1], "x", 1, 0), 1);
	loop_timer_init(loop, &timer, on_timer_stop, &j);
	loop_timer_set(&timer, (struct td_instant){ 1 });
	assert_int_equal(loop_run(loop), 7);
	assert_int_equal(handled, 1);
	loop_free(loop);
	close(ends[0]);
	close(ends[1]);
}

static void
on_signal(void *context, int signo)
{
	struct journal *j = context;

	note(j, signo == SIGUSR1 ? "usr1" : "usr2");
	if (signo == SIGUSR2)
		loop_stop(j->loop, 0);
}

static void
signals_arrive_through_the_loop(void **state)
{
	struct journal j = { .loop = loop_new() };
	struct loop_timer guard;

	(void)state;
	guard_init(j.loop, &guard);
	assert_int_equal(loop_signal_add(j.loop, SIGUSR1, on_signal, &j), 0);
	assert_int_equal(loop_signal_add(j.loop, SIGUSR2, on_signal, &j), 0);
	assert_int_equal(loop_signal_add(j.loop, 0, on_signal, &j), -EINVAL);
	assert_int_equal(loop_signal_add(j.loop, 99, on_signal, &j), -EINVAL);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	assert_int_equal(loop_run(j.loop), 0);
	assert_string_equal(j.text, "usr1 usr2");
	loop_free(j.loop);
}

static void
on_many(struct loop_fd *lf, uint32_t events)
{
	unsigned *count = lf->context;

	(void)events;
	loop_fd_modify(lf, 0);
	if (++*count == 100)
		loop_stop(lf->loop, 0);
}

static void
all_ready_descriptors_are_handled_in_one_wake_up(void **state)
{
	struct loop *loop = loop_new();
	static struct loop_fd lf[100];
	int ends[100][2];
	unsigned count = 0;
	struct journal j = { .loop = loop };
	struct loop_timer timer;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pipe(ends[i]), 0);
		loop_fd_add(loop, &lf[i], ends[i][0], EPOLLIN, on_many, &count);
		assert_int_equal(write(ends[i][1], "x", 1), 1);
	}
	loop_timer_init(loop, &timer, on_timer_stop, &j);
	loop_timer_set(&timer, (struct td_instant){ 1 });
	assert_int_equal(loop_run(loop), 0); /* 7, had the timer come first */
	loop_free(loop);
	for (unsigned i = 0; i < 100; i++) {
		close(ends[i][0]);
		close(ends[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_process_reads_before_it_judges_a_timer),
		cmocka_unit_test(what_arrives_between_poll_and_clock_is_read_too),
		cmocka_unit_test(timers_fire_in_the_order_of_their_deadlines),
		cmocka_unit_test(a_timer_never_fires_early),
		cmocka_unit_test(
		    a_timer_that_is_always_due_does_not_starve_descriptors),
		cmocka_unit_test(a_handler_may_remove_another_ready_descriptor),
		cmocka_unit_test(signals_arrive_through_the_loop),
		cmocka_unit_test(all_ready_descriptors_are_handled_in_one_wake_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
