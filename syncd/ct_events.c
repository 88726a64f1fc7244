#include "syncd/ct_events.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "syncd/core/flow.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_socket.h"

#define RCVBUF_DEFAULT_BYTES (32U << 20)

/* One event is one datagram; the largest (labels, helper, both NAT tuples) is well
 * below this. Many are read per system call. */
#define SLOT_BYTES 2048U
#define SLOTS 64U

struct ct_events {
	int fd;
	struct ct_filter filter;
	ct_event_handler *on_event;
	ct_overrun_handler *on_overrun;
	void *context;
	bool overrun;
	struct ct_events_counters counters;
	struct mmsghdr messages[SLOTS];
	struct iovec iov[SLOTS];
	_Alignas(8) uint8_t slots[SLOTS][SLOT_BYTES];
};

int
ct_events_set_filter(struct ct_events *events, const struct ct_filter *filter)
{
	struct sock_filter program[CT_FILTER_PROGRAM_MAX];
	struct sock_fprog fprog = { .filter = program };

	events->filter = *filter;
	fprog.len = ct_filter_compile(filter, program);
	if (setsockopt(
		events->fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)) < 0) {
		/* Too long for optmem_max, say: user space still skips the same flows.
		 */
		events->counters.kernel_filter_error = -errno;
		return -errno;
	}
	events->counters.kernel_filter_error = 0;
	return 0;
}

static int
join_groups(int fd)
{
	static const int groups[] = {
		NFNLGRP_CONNTRACK_NEW,
		NFNLGRP_CONNTRACK_UPDATE,
		NFNLGRP_CONNTRACK_DESTROY,
	};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			sizeof(groups[i])) < 0)
			return -errno;
	}
	return 0;
}

int
ct_events_new(const struct ct_events_config *config, struct ct_events **ret_events)
{
	uint32_t rcvbuf =
	    config->rcvbuf_bytes != 0 ? config->rcvbuf_bytes : RCVBUF_DEFAULT_BYTES;
	struct ct_events *events = calloc(1, sizeof(*events));
	int64_t granted;
	int result;

	td_assert(config->on_event != NULL && config->on_overrun != NULL);
	if (events == NULL)
		return -ENOMEM;
	events->on_event = config->on_event;
	events->on_overrun = config->on_overrun;
	events->context = config->context;
	for (unsigned i = 0; i < SLOTS; i++) {
		events->iov[i] = (struct iovec){ events->slots[i], SLOT_BYTES };
		events->messages[i].msg_hdr.msg_iov = &events->iov[i];
		events->messages[i].msg_hdr.msg_iovlen = 1;
	}
	events->fd = ct_socket_open(NULL);
	if (events->fd < 0) {
		result = events->fd;
		goto out;
	}
	granted = ct_socket_set_rcvbuf(events->fd, rcvbuf);
	if (granted < 0) {
		result = (int)granted;
		goto out;
	}
	events->counters.rcvbuf_bytes = (uint32_t)granted;
	/* Before the groups are joined, so that nothing unwanted is ever queued. */
	if (config->filter != NULL)
		ct_events_set_filter(events, config->filter);
	result = join_groups(events->fd);
out:
	if (result < 0) {
		ct_events_free(events);
		return result;
	}
	*ret_events = events;
	return 0;
}

void
ct_events_free(struct ct_events *events)
{
	if (events == NULL)
		return;
	if (events->fd >= 0)
		close(events->fd);
	free(events);
}

int
ct_events_fd(const struct ct_events *events)
{
	return events->fd;
}

static bool
kind_of(const struct nlmsghdr *nlh, enum ct_event_kind *ret_kind)
{
	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_CTNETLINK)
		return false;
	switch (NFNL_MSG_TYPE(nlh->nlmsg_type)) {
	case IPCTNL_MSG_CT_NEW:
		*ret_kind = nlh->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL)
				? CT_EVENT_NEW
				: CT_EVENT_UPDATE;
		return true;
	case IPCTNL_MSG_CT_DELETE:
		*ret_kind = CT_EVENT_DESTROY;
		return true;
	default:
		return false;
	}
}

static void
handle_message(struct ct_events *events, const struct nlmsghdr *nlh)
{
	struct flow_record flow;
	struct ct_event event = { .portid = nlh->nlmsg_pid, .flow = &flow };
	enum ct_drop drop;

	if (!kind_of(nlh, &event.kind))
		return;
	events->counters.received[event.kind]++;
	if (ct_filter_is_own(&events->filter, nlh->nlmsg_pid)) {
		events->counters.own++;
		return;
	}
	drop = ct_decode(nlh, &flow, &event.facts);
	if (drop != CT_OK) {
		events->counters.dropped[drop]++;
		return;
	}
	if (ct_filter_skips(&events->filter, &flow.key)) {
		events->counters.skipped++;
		return;
	}
	/* What a new entry has none of is not mentioned: that is told as well. */
	if (event.kind == CT_EVENT_NEW)
		flow.present |= FLOW_HAS_MARK | FLOW_HAS_SEQADJ | FLOW_HAS_HELPER;
	events->on_event(events->context, &event);
}

static void
handle_datagram(struct ct_events *events, const uint8_t *bytes, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)bytes;
	int left = (int)len;

	events->counters.bytes += len;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		handle_message(events, nlh);
}

/*
 * After an overrun the kernel drops every further event, without another ENOBUFS, until
 * the queue has been read empty. Reporting it earlier would let the caller's dump start
 * while events are still being lost in silence.
 */
static void
report_overrun(struct ct_events *events)
{
	if (!events->overrun)
		return;
	events->overrun = false;
	events->on_overrun(events->context);
}

int
ct_events_drain(struct ct_events *events, uint32_t messages_max)
{
	uint32_t handled = 0;

	while (handled < messages_max) {
		uint32_t room = messages_max - handled;
		int n = recvmmsg(events->fd, events->messages,
		    room < SLOTS ? room : SLOTS, MSG_DONTWAIT, NULL);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN) {
				report_overrun(events);
				break;
			}
			if (errno != ENOBUFS)
				return -errno;
			events->counters.overruns++;
			events->overrun = true;
			continue;
		}
		for (int i = 0; i < n; i++) {
			if (events->messages[i].msg_hdr.msg_flags & MSG_TRUNC)
				events->counters.dropped[CT_DROP_TRUNCATED]++;
			else
				handle_datagram(events, events->slots[i],
				    events->messages[i].msg_len);
		}
		handled += (uint32_t)n;
	}
	return (int)handled;
}

const struct ct_events_counters *
ct_events_counters(const struct ct_events *events)
{
	return &events->counters;
}

int64_t
ct_events_backlog_bytes(const struct ct_events *events)
{
	uint32_t meminfo[SK_MEMINFO_VARS];
	socklen_t len = sizeof(meminfo);

	if (getsockopt(events->fd, SOL_SOCKET, SO_MEMINFO, meminfo, &len) < 0)
		return -errno;
	return meminfo[SK_MEMINFO_RMEM_ALLOC];
}
