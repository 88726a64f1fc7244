/*
 * vrrp_net_driver - vrrpd's kernel side on a command line, for tests/lab/test_fence.py
 * and test_link.py: one command per line of stdin, one line of answer each ("ok ..." or
 * "err ERRNO text"); events arrive in between as lines that begin with "event".
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>

#include <tandem/addr.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "vrrpd/fence.h"
#include "vrrpd/fence_load.h"

#define WORDS_MAX 16

struct driver {
	struct loop *loop;
	struct loop_fd input;
	struct loop_timer renewal;
	int64_t lease_ns, renew_every_ns;
	struct fence_fds fds;
	struct fence *fence;
	char line[4096];
	size_t len;
};

static void
answer(int result, const char *text)
{
	if (result < 0)
		printf("err %d %s\n", -result, text != NULL ? text : strerror(-result));
	else
		printf("ok %s\n", text != NULL ? text : "");
	fflush(stdout);
}

static bool
parse_mac(const char *text, uint8_t ret[6])
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &ret[0], &ret[1], &ret[2],
		   &ret[3], &ret[4], &ret[5]) == 6;
}

/* As vrrpd runs: no user, no capability but these two. */
static int
drop_privileges(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
	    CAP_NET_ADMIN, CAP_NET_RAW, -1);
	return capng_change_id(65534, 65534, CAPNG_DROP_SUPP_GRP) == 0 ? 0 : -EPERM;
}

static void
on_renewal(struct loop_timer *timer)
{
	struct driver *d = timer->context;
	struct td_instant now = clock_now();

	fence_renew(d->fence, 0, instant_add(now, d->lease_ns));
	loop_timer_set(timer, instant_add(now, d->renew_every_ns));
}

static void
fence_command(struct driver *d, char **w, int n)
{
	const char *what = w[1];
	struct td_instant now = clock_now();
	uint32_t ifindex = n > 2 ? if_nametoindex(w[2]) : 0;
	char text[512] = "";
	int result = 0;

	if (strcmp(what, "load") == 0) {
		result = fence_load(&d->fds);
	} else if (strcmp(what, "new") == 0) {
		result = fence_new(&d->fds, w[2], &d->fence);
	} else if (strcmp(what, "reopen") == 0) {
		/* A second life of vrrpd with the descriptors that tandemd kept. */
		struct fence_fds copies;

		for (int i = 0; i < FENCE_FD_COUNT; i++)
			copies.fd[i] = dup(d->fds.fd[i]);
		fence_free(d->fence);
		d->fds = copies;
		result = fence_new(&d->fds, w[2], &d->fence);
	} else if (strcmp(what, "member") == 0) {
		struct fence_member member = { .ifindex = ifindex };

		member.has_virtual_mac = parse_mac(w[3], member.virtual_mac);
		(void)parse_mac(w[4], member.own_mac);
		result = fence_member_set(d->fence, &member);
	} else if (strcmp(what, "unmember") == 0) {
		result = fence_member_remove(d->fence, ifindex);
	} else if (strcmp(what, "add") == 0 || strcmp(what, "remove") == 0) {
		struct td_addr addr;

		if (!td_addr_parse(w[3], &addr))
			result = -EINVAL;
		else if (what[0] == 'a')
			result = fence_address_add(d->fence, &addr, ifindex, 0);
		else
			result = fence_address_remove(d->fence, &addr, ifindex);
	} else if (strcmp(what, "attach") == 0) {
		result = fence_attach(d->fence, ifindex);
	} else if (strcmp(what, "detach") == 0) {
		result = fence_detach(d->fence, ifindex);
	} else if (strcmp(what, "check") == 0) {
		result = fence_check(d->fence, ifindex);
	} else if (strcmp(what, "prune") == 0) {
		result = fence_prune(d->fence);
	} else if (strcmp(what, "renew") == 0) {
		/* milliseconds of lease; 0 = long */
		long ms = atol(w[2]);

		fence_renew(d->fence, 0, instant_add(now, ms * NS_PER_MS));
	} else if (strcmp(what, "keep") == 0) {
		d->lease_ns = atol(w[2]) * NS_PER_MS;
		d->renew_every_ns = atol(w[3]) * NS_PER_MS;
		on_renewal(&d->renewal);
	} else if (strcmp(what, "drain") == 0) {
		loop_timer_cancel(&d->renewal);
		fence_drain(d->fence, 0, instant_add(now, atol(w[2]) * NS_PER_MS));
	} else if (strcmp(what, "close") == 0) {
		loop_timer_cancel(&d->renewal);
		fence_close(d->fence, 0);
	} else if (strcmp(what, "revoke") == 0) {
		result = fence_revoke(d->fds.fd[FENCE_FD_LEASE]);
	} else if (strcmp(what, "deadline") == 0) {
		snprintf(text, sizeof(text), "%lld %lld %d",
		    (long long)fence_answer_deadline(d->fence, 0).ns,
		    (long long)fence_forward_deadline(d->fence, 0).ns,
		    fence_is_open(d->fence, 0, now));
	} else if (strcmp(what, "last") == 0) {
		snprintf(text, sizeof(text), "%lld %lld",
		    (long long)fence_last_frame(d->fence, ifindex).ns,
		    (long long)now.ns);
	} else if (strcmp(what, "counters") == 0) {
		struct fence_counters counters;
		size_t used = 0;

		result = fence_counters_read(d->fence, &counters);
		for (int i = 0; result == 0 && i < TD_FENCE_COUNTERS; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
			    "%s=%llu ", fence_counter_name(i),
			    (unsigned long long)counters.count[i]);
	} else {
		result = -ENOSYS;
	}
	answer(result, text[0] != '\0' ? text : NULL);
}

static void
command(struct driver *d, char *line)
{
	char *w[WORDS_MAX];
	int n = 0;

	for (char *word = strtok(line, " "); word != NULL && n < WORDS_MAX;
	     word = strtok(NULL, " "))
		w[n++] = word;
	if (n == 0)
		return;
	if (strcmp(w[0], "drop") == 0)
		answer(drop_privileges(), NULL);
	else if (strcmp(w[0], "fence") == 0 && n >= 2)
		fence_command(d, w, n);
	else
		answer(-ENOSYS, w[0]);
}

static void
on_input(struct loop_fd *lf, uint32_t events)
{
	struct driver *d = lf->context;
	ssize_t got = read(lf->fd, d->line + d->len, sizeof(d->line) - 1 - d->len);
	char *end;

	(void)events;
	if (got <= 0) {
		loop_stop(d->loop, 0);
		return;
	}
	d->len += (size_t)got;
	d->line[d->len] = '\0';
	while ((end = strchr(d->line, '\n')) != NULL) {
		size_t used = (size_t)(end - d->line) + 1;
		char copy[4096];

		*end = '\0';
		memcpy(copy, d->line, used);
		memmove(d->line, end + 1, d->len - used + 1);
		d->len -= used;
		command(d, copy);
	}
}

int
main(void)
{
	struct driver d = { 0 };

	log_init("vrrp_net_driver", "test", LOG_TO_STDERR);
	fence_fds_init(&d.fds);
	d.loop = loop_new();
	if (d.loop == NULL)
		return 1;
	loop_timer_init(d.loop, &d.renewal, on_renewal, &d);
	if (loop_fd_add(d.loop, &d.input, 0, EPOLLIN, on_input, &d) < 0)
		return 1;
	return loop_run(d.loop);
}
