/* link_device.c - the virtual MAC device of a member, and the sysctls of both devices.
 */
#include "vrrpd/link_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/if.h>
#include <linux/if_link.h>

#include <libmnl/libmnl.h>

void
link_put_delete(struct rtnl_batch *batch, uint32_t ifindex)
{
	struct nlmsghdr *message = rtnl_begin(batch, RTM_DELLINK, 0);
	struct ifinfomsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));

	head->ifi_index = (int)ifindex;
}

/* "td51-wan0", or "td51v6-wan0" for IPv6 alone; a parent's name that leaves no room is
 * replaced by its ifindex. */
static void
device_name(const struct link_member *member, char name[static TD_IFNAME_MAX])
{
	const char *family = member->family == TD_AF_INET6 ? "v6" : "";
	char full[TD_IFNAME_MAX + 16];

	snprintf(full, sizeof(full), "td%u%s-%s", member->vrid, family, member->name);
	if (strlen(full) >= TD_IFNAME_MAX)
		snprintf(full, sizeof(full), "td%u%s-%u", member->vrid, family,
		    member->facts.parent_ifindex);
	snprintf(name, TD_IFNAME_MAX, "%.*s", TD_IFNAME_MAX - 1, full);
}

static void
put_create(struct link_member *member, struct rtnl_batch *batch, const char *name)
{
	struct nlmsghdr *message =
	    rtnl_begin(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data;

	(void)mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	mnl_attr_put_u32(message, IFLA_LINK, member->facts.parent_ifindex);
	mnl_attr_put(message, IFLA_ADDRESS, LINK_MAC_BYTES, member->mac);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "macvlan");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u32(message, IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
}

static void
put_alias(struct link_member *member, struct rtnl_batch *batch, uint32_t ifindex)
{
	struct nlmsghdr *message = rtnl_begin(batch, RTM_SETLINK, 0);
	struct ifinfomsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	char alias[96];

	head->ifi_index = (int)ifindex;
	snprintf(alias, sizeof(alias), LINK_ALIAS_PREFIX "%s:%s",
	    member->link->instance, member->name);
	mnl_attr_put_str(message, IFLA_IFALIAS, alias);
}

/* No link-local address from the virtual MAC: it would be on both nodes at once. */
static void
put_no_made_addresses(struct rtnl_batch *batch, uint32_t ifindex)
{
	struct nlmsghdr *message = rtnl_begin(batch, RTM_SETLINK, 0);
	struct ifinfomsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	struct nlattr *families, *inet6;

	head->ifi_index = (int)ifindex;
	families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(message, TD_AF_INET6);
	mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(message, inet6);
	mnl_attr_nest_end(message, families);
}

static void
put_up(struct rtnl_batch *batch, uint32_t ifindex)
{
	struct nlmsghdr *message = rtnl_begin(batch, RTM_SETLINK, 0);
	struct ifinfomsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));

	head->ifi_index = (int)ifindex;
	head->ifi_change = IFF_UP;
	head->ifi_flags = IFF_UP;
}

int
link_device_up(struct link_member *member)
{
	struct rtnl_batch *batch = &member->link->batch;
	int result;

	rtnl_batch_init(batch, &member->link->rtnl, NULL, NULL);
	put_up(batch, member->facts.device_ifindex);
	result = rtnl_commit(batch);
	return result < 0 ? result : batch->first_error;
}

/*
 * Two devices on one wire. Without arp_announce=2 the node's own questions leave the
 * parent with a virtual address as sender and clients cache the physical MAC for it;
 * without arp_ignore=1 the parent answers for the virtual addresses. arp_filter is left
 * alone: with two routes to the same subnet it can silence the parent's own address.
 */
static const struct {
	const char *family, *key;
	long value;
} DEVICE_SYSCTLS[] = {
	{ "ipv4", "arp_ignore", 1 },
	{ "ipv4", "arp_announce", 2 },
	{ "ipv4", "rp_filter", 0 },
	{ "ipv4", "accept_local", 1 },
	{ "ipv4", "promote_secondaries", 1 },
	{ "ipv6", "disable_ipv6", 0 },
	{ "ipv6", "accept_ra", 0 },
	{ "ipv6", "autoconf", 0 },
	{ "ipv6", "accept_dad", 0 },
	{ "ipv6", "dad_transmits", 0 },
	{ "ipv6", "router_solicitations", 0 },
};

static int
set_device_sysctls(struct link_member *member)
{
	char name[96];

	for (size_t i = 0; i < sizeof(DEVICE_SYSCTLS) / sizeof(DEVICE_SYSCTLS[0]);
	     i++) {
		int result;

		snprintf(name, sizeof(name), "%s/conf/%s/%s", DEVICE_SYSCTLS[i].family,
		    member->facts.device_name, DEVICE_SYSCTLS[i].key);
		result = sysctl_write(name, DEVICE_SYSCTLS[i].value);
		if (result < 0 && result != -ENOENT) /* IPv6 may be absent */
			return link_fail(member->link, result, "sysctl %s", name);
	}
	return 0;
}

static int
set_parent_sysctls(struct link_member *member)
{
	static const struct {
		const char *key;
		long value;
	} wanted[] = { { "arp_ignore", 1 }, { "arp_announce", 2 } };
	struct sysctl_store *store = member->link->sysctls;
	char name[96];
	long found;
	int result;

	for (size_t i = 0; member->virtual_mac && i < 2; i++) {
		snprintf(name, sizeof(name), "ipv4/conf/%s/%s",
		    member->facts.parent_name, wanted[i].key);
		result = sysctl_change(store, name, wanted[i].value);
		if (result < 0)
			return link_fail(member->link, result, "sysctl %s", name);
	}
	/* Strict would drop what the other device of the pair has the better route for.
	 */
	snprintf(
	    name, sizeof(name), "ipv4/conf/%s/rp_filter", member->facts.parent_name);
	if (sysctl_read(name, &found) == 0 && found == 1) {
		result = sysctl_change(store, name, 2);
		if (result < 0)
			return link_fail(member->link, result, "sysctl %s", name);
	}
	/* Deleting one virtual address must not delete the others of its subnet. */
	snprintf(name, sizeof(name), "ipv4/conf/%s/promote_secondaries",
	    member->facts.device_name);
	if (!member->virtual_mac) {
		result = sysctl_change(store, name, 1);
		if (result < 0)
			return link_fail(member->link, result, "sysctl %s", name);
	}
	return 0;
}

/* The effective value is the larger of "all" and the device's: strict in "all" is
 * pushed down to the devices, so that ours alone can be without. */
static int
push_down_rp_filter(struct link *link)
{
	static const char all[] = "ipv4/conf/all/rp_filter";
	struct dirent *entry;
	char name[160];
	long strict, found;
	DIR *dir;

	if (sysctl_read(all, &strict) < 0 || strict == 0)
		return 0;
	dir = opendir("/proc/sys/net/ipv4/conf");
	if (dir == NULL)
		return link_fail(link, -errno, "sysctl ipv4/conf");
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "all") == 0 ||
		    strlen(entry->d_name) >= TD_IFNAME_MAX)
			continue;
		snprintf(name, sizeof(name), "ipv4/conf/%s/rp_filter", entry->d_name);
		if (sysctl_read(name, &found) == 0 && found < strict)
			(void)sysctl_change(link->sysctls, name, strict);
	}
	closedir(dir);
	if (sysctl_change(link->sysctls, all, 0) < 0)
		return link_fail(link, -EPERM, "sysctl %s", all);
	return 0;
}

static void
take_device(struct link_member *member, const struct link_seen *seen)
{
	member->facts.device_ifindex = seen->ifindex;
	memcpy(member->facts.device_name, seen->name, sizeof(seen->name));
}

/* One of the name, or of any name with our alias: ours if it is what we would create.
 */
static bool
is_usable(const struct link_member *member, const struct link_seen *seen)
{
	return seen->is_macvlan && seen->macvlan_mode == MACVLAN_MODE_PRIVATE &&
	       seen->parent_ifindex == member->facts.parent_ifindex &&
	       memcmp(seen->mac, member->mac, LINK_MAC_BYTES) == 0;
}

static int
find_or_create_device(struct link_member *member)
{
	struct link *link = member->link;
	struct link_seen seen;
	char name[TD_IFNAME_MAX];
	int result;

	device_name(member, name);
	result = link_read(link, name, 0, &seen);
	if (result == 0 && is_usable(member, &seen)) {
		take_device(member, &seen);
		return 0;
	}
	rtnl_batch_init(&link->batch, &link->rtnl, NULL, NULL);
	if (result == 0 && seen.is_macvlan &&
	    strncmp(seen.alias, LINK_ALIAS_PREFIX, strlen(LINK_ALIAS_PREFIX)) == 0)
		link_put_delete(
		    &link->batch, seen.ifindex); /* VRID or parent changed */
	put_create(member, &link->batch, name);
	result = rtnl_commit(&link->batch);
	if (result == 0)
		result = link->batch.first_error;
	if (result == 0)
		result = link_read(link, name, 0, &seen);
	if (result < 0)
		return link_fail(
		    link, result, "%s: create on %s", name, member->facts.parent_name);
	take_device(member, &seen);
	return 0;
}

int
link_member_restore(struct link_member *member)
{
	struct link *link = member->link;
	int result;

	if (member->facts.parent_ifindex == 0)
		return link_fail(link, -ENODEV, "%s", member->name);
	member->restored = true;
	result = push_down_rp_filter(link);
	if (result == 0)
		result = set_parent_sysctls(member);
	if (result < 0 || !member->virtual_mac)
		return result;
	result = find_or_create_device(member);
	if (result < 0)
		return result;
	rtnl_batch_init(&link->batch, &link->rtnl, NULL, NULL);
	put_alias(member, &link->batch, member->facts.device_ifindex);
	result = rtnl_commit(&link->batch);
	if (result == 0)
		result = link->batch.first_error;
	if (result < 0)
		return link_fail(link, result, "%s: alias", member->facts.device_name);
	/* Refused where IPv6 is disabled: then there is nothing to make. */
	rtnl_batch_init(&link->batch, &link->rtnl, NULL, NULL);
	put_no_made_addresses(&link->batch, member->facts.device_ifindex);
	(void)rtnl_commit(&link->batch);
	result = set_device_sysctls(member);
	if (result < 0)
		return result;
	result = link_device_up(member);
	if (result < 0)
		return link_fail(link, result, "%s: up", member->facts.device_name);
	return 0;
}
