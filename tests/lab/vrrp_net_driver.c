/*
 * vrrp_net_driver - vrrpd's kernel side on a command line, for tests/lab/test_fence.py
 * and test_link.py: one command per line of stdin, one line of answer each ("ok ..." or
 * "err ERRNO text"); events arrive in between as lines that begin with "event".
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>

#include <tandem/addr.h>
#include <tandem/config.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "vrrpd/announce.h"
#include "vrrpd/fence.h"
#include "vrrpd/fence_load.h"
#include "vrrpd/link.h"
#include "vrrpd/probe.h"

#define WORDS_MAX 600
#define LINE_BYTES 32768
#define MEMBERS_MAX 4

/* A member with what vrrpd keeps beside it. Commands name it by its handle: the
 * interface, or what stands before "=" in "six=eth0" where two share one. */
struct member {
	char handle[TD_IFNAME_MAX];
	struct td_interface interface;
	struct link_member *link;
	struct announce *announce;
	struct probe *probe;
};

struct driver {
	struct loop *loop;
	struct loop_fd input;
	struct loop_timer renewal;
	int64_t lease_ns, renew_every_ns;
	struct fence_fds fds;
	struct fence *fence;
	struct link *link;
	struct member members[MEMBERS_MAX];
	unsigned member_count;
	char line[LINE_BYTES];
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
	unsigned lease = 0;
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
		/* NAME MAC OWN_MAC [4|6 LEASE]: one of two on this parent */
		struct fence_member member = { .ifindex = ifindex };

		if (n > 6) {
			member.family = w[5][0] == '6' ? AF_INET6 : AF_INET;
			member.lease = (unsigned)atoi(w[6]);
		}
		member.has_virtual_mac = parse_mac(w[3], member.virtual_mac);
		(void)parse_mac(w[4], member.own_mac);
		result = fence_member_set(d->fence, &member);
	} else if (strcmp(what, "unmember") == 0) {
		result = fence_member_remove(d->fence, ifindex);
	} else if (strcmp(what, "add") == 0 || strcmp(what, "remove") == 0) {
		struct td_addr addr; /* NAME ADDRESS [LEASE] */

		lease = n > 4 ? (unsigned)atoi(w[4]) : 0;
		if (!td_addr_parse(w[3], &addr))
			result = -EINVAL;
		else if (what[0] == 'a')
			result = fence_address_add(d->fence, &addr, ifindex, lease);
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
		/* milliseconds; which lease */
		lease = n > 3 ? (unsigned)atoi(w[3]) : 0;
		fence_renew(d->fence, lease, instant_add(now, atol(w[2]) * NS_PER_MS));
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
say(const char *event, struct link_member *link, const char *detail)
{
	const struct member *member = link_member_context(link);

	printf("event %s %s %s\n", event, member->interface.name, detail);
	fflush(stdout);
}

static void
on_carrier(void *context, struct link_member *link, bool up)
{
	(void)context;
	say("carrier", link, up ? "up" : "down");
}

static void
on_gone(void *context, struct link_member *link)
{
	(void)context;
	say("gone", link, "");
}

static void
on_back(void *context, struct link_member *link)
{
	(void)context;
	say("back", link, "");
}

static void
on_changed(void *context, struct link_member *link)
{
	(void)context;
	say("changed", link, "");
}

static void
on_repaired(void *context, struct link_member *link, const struct td_addr *addr)
{
	char text[TD_ADDR_STRLEN];

	(void)context;
	say("repaired", link, addr != NULL ? td_addr_format(addr, text) : "route");
}

static void
on_tc_changed(void *context, struct link_member *link)
{
	(void)context;
	say("tc", link, "");
}

static const struct link_callbacks LINK_CALLBACKS = { .carrier = on_carrier,
	.gone = on_gone,
	.back = on_back,
	.changed = on_changed,
	.repaired = on_repaired,
	.tc_changed = on_tc_changed };

static void
on_probe(void *context, const struct probe_result *result)
{
	const struct member *member = context;
	char text[TD_ADDR_STRLEN] = "-";
	const uint8_t *m = result->mac;

	if (result->first.family != 0)
		(void)td_addr_format(&result->first, text);
	printf("event probe %s asked=%u answered=%u first=%s "
	       "mac=%02x:%02x:%02x:%02x:%02x:%02x virtual=%d delay_us=%lld\n",
	    member->interface.name, result->asked, result->answered, text, m[0], m[1],
	    m[2], m[3], m[4], m[5], result->virtual_mac,
	    (long long)(result->delay_ns / 1000));
	fflush(stdout);
}

static void
forget_interface(struct member *member)
{
	free(member->interface.addresses);
	free(member->interface.routes);
	member->interface = (struct td_interface){ 0 };
}

static struct member *
find_member(struct driver *d, const char *name)
{
	for (unsigned i = 0; i < d->member_count; i++)
		if (strcmp(d->members[i].handle, name) == 0)
			return &d->members[i];
	return NULL;
}

/* NAME VRID mac|nomac ADDRESS/LEN... [via DESTINATION GATEWAY|-]... */
static int
parse_interface(char **w, int n, struct td_interface *ret)
{
	struct td_interface in = { 0 };

	snprintf(in.name, sizeof(in.name), "%s", w[0]);
	in.vrid = (uint8_t)atoi(w[1]);
	in.virtual_mac = strcmp(w[2], "mac") == 0;
	in.addresses = calloc(WORDS_MAX, sizeof(*in.addresses));
	in.routes = calloc(WORDS_MAX, sizeof(*in.routes));
	for (int i = 3; i < n; i++) {
		struct td_route *route = &in.routes[in.route_count];

		if (strcmp(w[i], "via") != 0) {
			if (!td_prefix_parse(w[i], &in.addresses[in.address_count++]))
				return -EINVAL;
			continue;
		}
		if (i + 2 >= n || !td_prefix_parse(w[i + 1], &route->destination))
			return -EINVAL;
		if (strcmp(w[i + 2], "-") != 0 &&
		    !td_addr_parse(w[i + 2], &route->gateway))
			return -EINVAL;
		in.route_count++;
		i += 2;
	}
	*ret = in;
	return 0;
}

static void
member_command(struct driver *d, char **w, int n)
{
	struct member *member = find_member(d, w[2]);
	const char *what = w[1];
	struct td_instant begun = clock_now();
	char text[512] = "";
	int result = 0;

	if (member == NULL) {
		answer(-ENOENT, w[2]);
		return;
	}
	if (strcmp(what, "restore") == 0) {
		result = link_member_restore(member->link);
	} else if (strcmp(what, "promote") == 0) {
		result = link_promote(member->link);
	} else if (strcmp(what, "demote") == 0) {
		result = link_demote(member->link);
	} else if (strcmp(what, "update") == 0) {
		struct td_interface in;

		result = parse_interface(w + 2, n - 2, &in);
		if (result == 0) {
			result = link_member_update(member->link, &in);
			forget_interface(member);
			member->interface = in;
		}
	} else if (strcmp(what, "close") == 0) {
		link_member_close(member->link);
		forget_interface(member);
	} else if (strcmp(what, "facts") == 0) {
		const struct link_facts *f = link_facts(member->link);
		char own4[TD_ADDR_STRLEN] = "-", own6[TD_ADDR_STRLEN] = "-";

		if (f->own_address4.family != 0)
			(void)td_addr_format(&f->own_address4, own4);
		if (f->own_address6.family != 0)
			(void)td_addr_format(&f->own_address6, own6);
		snprintf(text, sizeof(text),
		    "parent=%s:%u device=%s:%u carrier=%d mtu=%u own4=%s own6=%s "
		    "promoted=%d vmac=%02x:%02x:%02x:%02x:%02x:%02x",
		    f->parent_name, f->parent_ifindex, f->device_name,
		    f->device_ifindex, f->carrier, f->mtu, own4, own6, f->promoted,
		    f->virtual_mac[0], f->virtual_mac[1], f->virtual_mac[2],
		    f->virtual_mac[3], f->virtual_mac[4], f->virtual_mac[5]);
	} else {
		result = -ENOSYS;
	}
	if (text[0] == '\0' && result == 0)
		snprintf(text, sizeof(text), "us=%lld",
		    (long long)(instant_diff_ns(clock_now(), begun) / 1000));
	answer(result, result < 0 ? link_error(d->link) : text);
}

static void
link_command(struct driver *d, char **w, int n)
{
	const char *what = w[1];
	int result = 0;

	if (strcmp(what, "new") == 0) {
		int dir = n > 3 ? open(w[3], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

		result =
		    link_new(d->loop, "lab", w[2], dir, &LINK_CALLBACKS, d, &d->link);
	} else if (strcmp(what, "free") == 0) {
		link_free(d->link);
		while (d->member_count > 0)
			forget_interface(&d->members[--d->member_count]);
	} else if (strcmp(what, "open") == 0) {
		struct member *member = &d->members[d->member_count++];
		size_t len = strcspn(w[2], "=");

		snprintf(
		    member->handle, sizeof(member->handle), "%.*s", (int)len, w[2]);
		w[2] += w[2][len] == '=' ? len + 1 : 0;
		result = parse_interface(w + 2, n - 2, &member->interface);
		if (result == 0)
			result = link_member_open(
			    d->link, &member->interface, member, &member->link);
	} else if (strcmp(what, "reconcile") == 0) {
		struct td_interface list[MEMBERS_MAX];
		unsigned count = 0;

		for (int i = 2; i < n && count < MEMBERS_MAX; i++) {
			const struct member *member = find_member(d, w[i]);

			if (member != NULL)
				list[count++] = member->interface;
		}
		result = link_reconcile(d->link, list, count);
	} else {
		member_command(d, w, n);
		return;
	}
	answer(result, result < 0 && d->link != NULL ? link_error(d->link) : NULL);
}

static int
announce_bind_member(
    struct driver *d, struct member *member, uint32_t repeat, long refresh_ms)
{
	const struct link_facts *facts = link_facts(member->link);
	const struct td_prefix *addresses;
	unsigned count;
	int result = 0;

	if (member->announce == NULL)
		result = announce_new(
		    d->loop, repeat, refresh_ms * NS_PER_MS, &member->announce);
	if (result == 0)
		result = announce_bind(
		    member->announce, facts->device_ifindex, facts->virtual_mac);
	addresses = link_addresses(member->link, &count);
	return result < 0 ? result : announce_set(member->announce, addresses, count);
}

/* announce VERB MEMBER ... */
static void
announce_command(struct driver *d, char **w, int n)
{
	struct member *member = find_member(d, w[2]);
	const char *what = w[1];
	struct td_instant begun = clock_now();
	char text[128] = "";
	int result = 0;

	if (member == NULL || (member->announce == NULL && strcmp(what, "bind") != 0))
		result = -ENOENT;
	else if (strcmp(what, "bind") == 0 && n == 5)
		result =
		    announce_bind_member(d, member, (uint32_t)atoi(w[3]), atol(w[4]));
	else if (strcmp(what, "start") == 0)
		announce_start(member->announce, begun);
	else if (strcmp(what, "burst") == 0)
		announce_burst(member->announce, begun);
	else if (strcmp(what, "stop") == 0)
		announce_stop(member->announce);
	else
		result = -ENOSYS;
	if (result == 0 && member->announce != NULL)
		snprintf(text, sizeof(text),
		    "us=%lld sent=%llu failed=%llu rounds=%llu",
		    (long long)(instant_diff_ns(clock_now(), begun) / 1000),
		    (unsigned long long)announce_counters(member->announce)->sent,
		    (unsigned long long)announce_counters(member->announce)->failed,
		    (unsigned long long)announce_counters(member->announce)->rounds);
	answer(result, text[0] != '\0' ? text : NULL);
}

/* probe neighbours MEMBER MS [EXTRA...] [peer=ADDRESS...]; probe address MEMBER MS
 * ADDRESS */
static void
probe_command(struct driver *d, char **w, int n)
{
	struct member *member = n > 3 ? find_member(d, w[2]) : NULL;
	struct td_instant now = clock_now(), deadline;
	struct td_addr addrs[PROBE_TARGETS_MAX], peer;
	struct probe_pair pair = { 0 };
	unsigned count = 0;
	int result = 0;

	if (member == NULL) {
		answer(-ENOENT, NULL);
		return;
	}
	pair.addresses = link_addresses(member->link, &pair.address_count);
	if (member->probe == NULL) {
		const struct link_facts *facts = link_facts(member->link);
		struct probe_member pm = { .parent_ifindex = facts->parent_ifindex,
			.own_address4 = facts->own_address4,
			.own_address6 = facts->own_address6 };

		memcpy(pm.own_mac, facts->own_mac, 6);
		memcpy(pm.virtual_mac, facts->virtual_mac, 6);
		result = probe_new(d->loop, on_probe, member, &member->probe);
		if (result == 0)
			result = probe_bind(member->probe, &pm);
	}
	deadline = instant_add(now, atol(w[3]) * NS_PER_MS);
	for (int i = 4; i < n && count < PROBE_TARGETS_MAX; i++)
		if (strncmp(w[i], "peer=", 5) == 0 && td_addr_parse(w[i] + 5, &peer))
			pair.peer[peer.family == TD_AF_INET6] = peer;
		else if (td_addr_parse(w[i], &addrs[count]))
			count++;
	if (result == 0 && strcmp(w[1], "neighbours") == 0)
		result =
		    probe_neighbours(member->probe, addrs, count, &pair, now, deadline);
	else if (result == 0 && count == 1)
		result = probe_address(member->probe, &addrs[0], now, deadline);
	answer(result, NULL);
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
	else if (strcmp(w[0], "link") == 0 && n >= 2)
		link_command(d, w, n);
	else if (strcmp(w[0], "announce") == 0 && n >= 3)
		announce_command(d, w, n);
	else if (strcmp(w[0], "probe") == 0)
		probe_command(d, w, n);
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
		char copy[LINE_BYTES];

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
	/* Nothing is freed at the end: what was lost on the way is then what leaked. */
	static struct driver d;

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
