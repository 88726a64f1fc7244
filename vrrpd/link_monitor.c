#include "vrrpd/link_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if.h>

#include <libmnl/libmnl.h>
#include "common/clock.h"
#include "common/log.h"

#define MONITOR_BUFFER_BYTES (1 << 20)
#define REPAIR_DELAY_NS (10 * NS_PER_MS)
#define EVENTS_PER_WAKEUP 64

/*
 * Of routes only the loss of ours matters: a routing daemon beside us may change
 * thousands a second. Netlink fields are in host order, a socket filter loads in
 * network order.
 */
static int
filter_routes(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(
		    BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
		    NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LINK_TAG, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

/* The next member from `m` on that has this device; a parent may have several. */
static struct link_member *
member_of(struct link_member *m, uint32_t ifindex)
{
	for (; m != NULL; m = m->next)
		if (ifindex != 0 && (m->facts.parent_ifindex == ifindex ||
					m->facts.device_ifindex == ifindex))
			return m;
	return NULL;
}

static void
plan_repair(struct link_member *member)
{
	if (!member->facts.promoted)
		return;
	member->repair_wanted = true;
	if (!member->applying)
		loop_timer_set(
		    &member->timer, instant_add(clock_now(), REPAIR_DELAY_NS));
}

static void
member_gone(struct link_member *member)
{
	struct link *link = member->link;

	member->facts.device_ifindex = 0;
	log_warn("link", "if=%s gone", member->name);
	if (link->callbacks.gone != NULL)
		link->callbacks.gone(link->context, member);
}

static void
device_deleted(
    struct link *link, struct link_member *member, const struct link_seen *seen)
{
	if (member->facts.parent_ifindex == seen->ifindex) {
		member->facts.parent_ifindex = 0;
		member->facts.carrier = false;
		member_gone(member);
		return;
	}
	/* Only the virtual MAC device was deleted; the parent is there. */
	member_gone(member);
	if (link->callbacks.back != NULL)
		link->callbacks.back(link->context, member);
}

static void
on_dellink(struct link *link, const struct link_seen *seen)
{
	struct link_member *member = link->members;

	for (; (member = member_of(member, seen->ifindex)) != NULL;
	     member = member->next)
		device_deleted(link, member, seen);
}

static void
on_parent(struct link_member *member, const struct link_seen *seen)
{
	struct link *link = member->link;
	struct link_facts before = member->facts;

	link_take_parent(member, seen);
	if (before.carrier != member->facts.carrier && link->callbacks.carrier != NULL)
		link->callbacks.carrier(link->context, member, member->facts.carrier);
	if ((memcmp(before.own_mac, member->facts.own_mac, sizeof(before.own_mac)) !=
		    0 ||
		strcmp(before.parent_name, member->facts.parent_name) != 0) &&
	    link->callbacks.changed != NULL)
		link->callbacks.changed(link->context, member);
}

/* The device that carries the addresses loses its routes when it is set down. */
static void
on_device(struct link_member *member, const struct link_seen *seen)
{
	struct link_seen now;
	int result;

	memcpy(member->facts.device_name, seen->name, sizeof(seen->name));
	plan_repair(member);
	if ((seen->flags & IFF_UP) || !member->virtual_mac || !member->restored)
		return;
	/* The event may be older than our own setting it up. */
	if (link_read(member->link, NULL, seen->ifindex, &now) < 0 ||
	    (now.flags & IFF_UP))
		return;
	result = link_device_up(member);
	log_limited(LOG_LV_WARN, "link", 5, "if=%s was set down, set up again: %s",
	    seen->name, result == 0 ? "done" : strerror(-result));
}

static void
parent_back(struct link *link, struct link_member *member, const struct link_seen *seen)
{
	link_take_parent(member, seen);
	(void)link_read_own_addresses(member);
	log_notice("link", "if=%s back ifindex=%u", member->name, seen->ifindex);
	if (link->callbacks.back != NULL)
		link->callbacks.back(link->context, member);
}

static void
on_newlink(struct link *link, const struct link_seen *seen)
{
	for (struct link_member *m = link->members; m != NULL; m = m->next) {
		if (m->facts.parent_ifindex == seen->ifindex) {
			on_parent(m, seen);
			if (m->virtual_mac)
				continue;
		}
		if (m->facts.device_ifindex == seen->ifindex)
			on_device(m, seen);
		else if (m->facts.parent_ifindex == 0 &&
			 strcmp(m->name, seen->name) == 0)
			parent_back(link, m, seen);
	}
}

static void
address_changed(struct link *link, struct link_member *member, uint16_t type,
    const struct link_address *address)
{
	if (link_is_virtual(member, &address->prefix.addr)) {
		if (type == RTM_DELADDR)
			plan_repair(member);
		return;
	}
	if (address->ifindex == member->facts.parent_ifindex) {
		struct link_facts before = member->facts;
		struct td_addr before6 = member->own_global6;

		(void)link_read_own_addresses(member);
		if (td_addr_equal(&before.own_address4, &member->facts.own_address4) &&
		    td_addr_equal(&before.own_address6, &member->facts.own_address6) &&
		    td_addr_equal(&before6, &member->own_global6))
			return;
		/* Routes that named the old address as their source went with it. */
		plan_repair(member);
		if (link->callbacks.changed != NULL)
			link->callbacks.changed(link->context, member);
	}
}

static void
on_address(struct link *link, const struct nlmsghdr *message)
{
	struct link_member *member = link->members;
	struct link_address address;

	if (!link_parse_address(message, &address))
		return;
	for (; (member = member_of(member, address.ifindex)) != NULL;
	     member = member->next)
		address_changed(link, member, message->nlmsg_type, &address);
}

static void
on_route_lost(struct link *link, const struct nlmsghdr *message)
{
	const struct rtmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		struct link_member *member = link->members;

		if (mnl_attr_get_type(attr) != RTA_OIF)
			continue;
		for (; (member = member_of(member, mnl_attr_get_u32(attr))) != NULL;
		     member = member->next)
			plan_repair(member);
	}
}

static void
on_tc(struct link *link, const struct nlmsghdr *message)
{
	const struct tcmsg *head = mnl_nlmsg_get_payload(message);
	uint32_t ifindex = (uint32_t)head->tcm_ifindex;

	for (struct link_member *m = link->members; m != NULL; m = m->next)
		if (ifindex != 0 && m->facts.parent_ifindex == ifindex &&
		    link->callbacks.tc_changed != NULL)
			link->callbacks.tc_changed(link->context, m);
}

static void
on_event(struct link *link, const struct nlmsghdr *message)
{
	struct link_seen seen;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK: {
		const struct ifinfomsg *head = mnl_nlmsg_get_payload(message);

		/* A bridge reports its ports in the same words. */
		if (head->ifi_family != AF_UNSPEC)
			return;
		link_parse(message, &seen);
		if (message->nlmsg_type == RTM_NEWLINK)
			on_newlink(link, &seen);
		else
			on_dellink(link, &seen);
		break;
	}
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_address(link, message);
		break;
	case RTM_DELROUTE:
		on_route_lost(link, message);
		break;
	case RTM_DELQDISC:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
		on_tc(link, message);
		break;
	default:
		break;
	}
}

/* Events were lost: every member is looked at as if all had happened to it. */
static void
resync(struct link *link)
{
	struct link_member *next;

	log_limited(
	    LOG_LV_WARN, "link", 1, "netlink events lost: reading everything again");
	for (struct link_member *member = link->members; member != NULL;
	     member = next) {
		struct link_seen seen;
		int result;

		next = member->next;
		result =
		    member->facts.parent_ifindex != 0
			? link_read(link, NULL, member->facts.parent_ifindex, &seen)
			: link_read(link, member->name, 0, &seen);
		if (result == -ENODEV && member->facts.parent_ifindex != 0) {
			seen = (struct link_seen){ .ifindex =
						       member->facts.parent_ifindex };
			on_dellink(link, &seen);
		} else if (result == 0) {
			on_newlink(link, &seen);
			(void)link_read_own_addresses(member);
		}
		plan_repair(member);
		if (link->callbacks.tc_changed != NULL &&
		    member->facts.parent_ifindex != 0)
			link->callbacks.tc_changed(link->context, member);
	}
}

static void
on_monitor(struct loop_fd *lf, uint32_t events)
{
	struct link *link = lf->context;

	(void)events;
	for (int i = 0; i < EVENTS_PER_WAKEUP; i++) {
		_Alignas(struct nlmsghdr) uint8_t bytes[32768];
		ssize_t got = recv(link->monitor, bytes, sizeof(bytes), MSG_DONTWAIT);
		int left = (int)got;

		if (got < 0 && errno == ENOBUFS) {
			resync(link);
			continue;
		}
		if (got < 0)
			return;
		for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)bytes;
		     mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left))
			on_event(link, m);
	}
}

int
link_monitor_open(struct link *link)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_TC };
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int size = MONITOR_BUFFER_BYTES, result;
	int fd =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	result = filter_routes(fd);
	if (result == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		result = -errno;
	for (size_t i = 0; result == 0 && i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			sizeof(groups[i])) < 0)
			result = -errno;
	if (result == 0)
		result = loop_fd_add(
		    link->loop, &link->monitor_lf, fd, EPOLLIN, on_monitor, link);
	if (result < 0) {
		close(fd);
		return result;
	}
	link->monitor = fd;
	return 0;
}

void
link_monitor_close(struct link *link)
{
	if (link->monitor < 0)
		return;
	loop_fd_remove(&link->monitor_lf);
	close(link->monitor);
	link->monitor = -1;
}
