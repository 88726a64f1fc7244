#include "agent.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd = -1;
static bool stopped;
static const struct mode *running;

void
fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("lab-agent: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t
parse_count(const char *text, int64_t min, int64_t max)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
		fail("%s: not a number between %lld and %lld", text, (long long)min,
		    (long long)max);
	return value;
}

static int
loop_epoll(void)
{
	if (epoll_fd < 0) {
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_fd < 0)
			fail("epoll_create1: %s", strerror(errno));
	}
	return epoll_fd;
}

void
source_add(struct source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop_epoll(), EPOLL_CTL_ADD, source->fd, &ev) < 0)
		fail("epoll_ctl: %s", strerror(errno));
}

void
source_modify(struct source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop_epoll(), EPOLL_CTL_MOD, source->fd, &ev) < 0)
		fail("epoll_ctl: %s", strerror(errno));
}

void
source_remove(struct source *source)
{
	if (source->fd < 0)
		return;
	(void)epoll_ctl(loop_epoll(), EPOLL_CTL_DEL, source->fd, NULL);
	close(source->fd);
	source->fd = -1;
}

static struct source *garbage;

void
source_free_later(struct source *source)
{
	source->garbage_next = garbage;
	garbage = source;
}

static void
garbage_free(void)
{
	while (garbage != NULL) {
		struct source *next = garbage->garbage_next;

		free(garbage);
		garbage = next;
	}
}

void
fifo_priority(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	if (priority <= 0)
		return;
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
	if (sched_setscheduler(0, SCHED_FIFO, &param) < 0)
		fprintf(
		    stderr, "lab-agent: no real-time priority: %s\n", strerror(errno));
}

static void
stdin_ready(struct source *source, uint32_t events)
{
	static char line[256];
	static size_t used;
	char buf[256];
	ssize_t n;

	(void)events;
	n = read(source->fd, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		stopped = true;
		source_remove(source);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != '\n') {
			if (used + 1 < sizeof(line))
				line[used++] = buf[i];
			continue;
		}
		line[used] = '\0';
		used = 0;
		if (strcmp(line, "finish") == 0)
			stopped = true;
		else if (running->command != NULL)
			running->command(line);
	}
}

static void
signal_ready(struct source *source, uint32_t events)
{
	(void)events;
	stopped = true;
	source_remove(source);
}

static void
tick_ready(struct source *source, uint32_t events)
{
	uint64_t expirations;

	(void)events;
	/* However late the process is, one tick: a burst would not be what was asked
	 * for. */
	if (read(source->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		running->tick(now_ns());
}

static bool
loop_over(const struct mode *mode)
{
	return stopped && (mode->settled == NULL || mode->settled());
}

void
loop_run(const struct mode *mode)
{
	struct source in = { STDIN_FILENO, stdin_ready, NULL };
	struct source sig = { -1, signal_ready, NULL };
	struct source tick = { -1, tick_ready, NULL };
	struct epoll_event events[256];
	sigset_t set;

	running = mode;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	sig.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	source_add(&sig, EPOLLIN);
	/* a regular file or /dev/null cannot be watched: then only signals end the
	 * agent */
	if (epoll_ctl(loop_epoll(), EPOLL_CTL_ADD, STDIN_FILENO,
		&(struct epoll_event){ .events = EPOLLIN, .data.ptr = &in }) < 0 &&
	    errno != EPERM)
		fail("standard input: %s", strerror(errno));
	if (mode->tick_ns > 0) {
		struct itimerspec every = {
			.it_interval = { mode->tick_ns / NS_PER_S,
			    mode->tick_ns % NS_PER_S },
			.it_value = { 0, 1 },
		};
		tick.fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
		timerfd_settime(tick.fd, 0, &every, NULL);
		source_add(&tick, EPOLLIN);
	}
	while (!loop_over(mode)) {
		garbage_free();
		int n = epoll_wait(epoll_fd, events, 256, -1);

		if (n < 0 && errno != EINTR)
			fail("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < n && !loop_over(mode); i++) {
			struct source *source = events[i].data.ptr;

			/* closed by an earlier handler of this round */
			if (source->fd >= 0)
				source->ready(source, events[i].events);
		}
	}
	mode->finish();
	fflush(stdout);
}
