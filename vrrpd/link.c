#include "vrrpd/link_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>

#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "common/log.h"

#define ALIAS_PREFIX "tandem:"

int
link_fail(struct link *link, int error, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(link->error, sizeof(link->error), format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(link->error))
		snprintf(link->error + len, sizeof(link->error) - (size_t)len, ": %s",
		    strerror(-error));
	return error;
}

const char *
link_error(const struct link *link)
{
	return link->error;
}

void
link_virtual_mac(
    const char *cluster, const struct td_interface *interface, uint8_t ret_mac[6])
{
	uint8_t mac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, interface->vrid };

	if (interface->vrid == 0) {
		uint32_t hash = 2166136261U; /* FNV-1a */

		for (const char *at = cluster; *at != '\0'; at++)
			hash = (hash ^ (uint8_t)*at) * 16777619U;
		hash *= 16777619U; /* the end of the first name counts */
		for (const char *at = interface->name; *at != '\0'; at++)
			hash = (hash ^ (uint8_t)*at) * 16777619U;
		mac[0] = 0x02;
		mac[1] = 0x54; /* "T" */
		mac[2] = (uint8_t)(hash >> 24);
		mac[3] = (uint8_t)(hash >> 16);
		mac[4] = (uint8_t)(hash >> 8);
		mac[5] = (uint8_t)hash;
	}
	memcpy(ret_mac, mac, 6);
}

/* Reading ----------------------------------------------------------------------------
 */

static void
parse_link_info(const struct nlattr *info, struct link_seen *seen)
{
	const struct nlattr *attr, *inner;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			seen->is_macvlan =
			    strcmp(mnl_attr_get_str(attr), "macvlan") == 0;
		if (mnl_attr_get_type(attr) != IFLA_INFO_DATA || !seen->is_macvlan)
			continue;
		mnl_attr_for_each_nested(inner, attr)
		{
			if (mnl_attr_get_type(inner) == IFLA_MACVLAN_MODE)
				seen->macvlan_mode = mnl_attr_get_u32(inner);
		}
	}
}

void
link_parse(const struct nlmsghdr *message, struct link_seen *ret_seen)
{
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	*ret_seen = (struct link_seen){ .ifindex = (uint32_t)head->ifi_index,
		.flags = head->ifi_flags };
	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			snprintf(ret_seen->name, sizeof(ret_seen->name), "%s",
			    mnl_attr_get_str(attr));
			break;
		case IFLA_IFALIAS:
			snprintf(ret_seen->alias, sizeof(ret_seen->alias), "%s",
			    mnl_attr_get_str(attr));
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == LINK_MAC_BYTES)
				memcpy(ret_seen->mac, mnl_attr_get_payload(attr),
				    LINK_MAC_BYTES);
			break;
		case IFLA_MTU:
			ret_seen->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK:
			ret_seen->parent_ifindex = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINKINFO:
			parse_link_info(attr, ret_seen);
			break;
		default:
			break;
		}
	}
}

struct read_link {
	struct link_seen seen;
	bool found;
};

static void
on_link(void *context, const struct nlmsghdr *message)
{
	struct read_link *read = context;

	if (message->nlmsg_type != RTM_NEWLINK)
		return;
	link_parse(message, &read->seen);
	read->found = true;
}

/* By name, or by ifindex if name is NULL. -ENODEV if there is none. */
int
link_read(
    struct link *link, const char *name, uint32_t ifindex, struct link_seen *ret_seen)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[RTNL_MESSAGE_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
	struct ifinfomsg *head = mnl_nlmsg_put_extra_header(request, sizeof(*head));
	struct read_link read = { 0 };
	int result;

	request->nlmsg_type = RTM_GETLINK;
	if (name != NULL)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	else
		head->ifi_index = (int)ifindex;
	result = rtnl_query(&link->rtnl, request, on_link, &read);
	if (result < 0)
		return result;
	if (!read.found)
		return -ENODEV;
	*ret_seen = read.seen;
	return 0;
}

bool
link_parse_address(const struct nlmsghdr *message, struct link_address *ret_address)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	size_t len = head->ifa_family == TD_AF_INET ? 4 : 16;
	bool has_local = false;

	if (head->ifa_family != TD_AF_INET && head->ifa_family != TD_AF_INET6)
		return false;
	*ret_address = (struct link_address){ .ifindex = head->ifa_index };
	ret_address->prefix.addr.family = head->ifa_family;
	ret_address->prefix.len = head->ifa_prefixlen;
	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFA_LOCAL: /* IFA_ADDRESS is the peer's where there is one */
		case IFA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) != len ||
			    (has_local && mnl_attr_get_type(attr) == IFA_ADDRESS))
				break;
			memcpy(ret_address->prefix.addr.bytes,
			    mnl_attr_get_payload(attr), len);
			has_local = has_local || mnl_attr_get_type(attr) == IFA_LOCAL;
			break;
		case IFA_PROTO:
			ret_address->tag = mnl_attr_get_u8(attr);
			break;
		default:
			break;
		}
	}
	return true;
}

static int
dump_addresses(struct link *link, rtnl_each *each, void *context)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[RTNL_MESSAGE_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);

	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_DUMP;
	return rtnl_query(&link->rtnl, request, each, context);
}

bool
link_is_virtual(const struct link_member *member, const struct td_addr *addr)
{
	for (unsigned i = 0; i < member->wanted.address_count; i++)
		if (td_addr_equal(&member->wanted.addresses[i].addr, addr))
			return true;
	return false;
}

/* The first of each kind counts: the kernel lists them in order of age. */
static void
on_own_address(void *context, const struct nlmsghdr *message)
{
	struct link_member *member = context;
	struct link_address address;
	struct td_addr *slot;

	if (message->nlmsg_type != RTM_NEWADDR ||
	    !link_parse_address(message, &address) ||
	    address.ifindex != member->facts.parent_ifindex ||
	    address.tag == LINK_TAG || link_is_virtual(member, &address.prefix.addr))
		return;
	if (address.prefix.addr.family == TD_AF_INET)
		slot = &member->facts.own_address4;
	else if (td_addr_is_link_local(&address.prefix.addr))
		slot = &member->facts.own_address6;
	else
		slot = &member->own_global6;
	if (slot->family == 0)
		*slot = address.prefix.addr;
}

int
link_read_own_addresses(struct link_member *member)
{
	member->facts.own_address4 = (struct td_addr){ 0 };
	member->facts.own_address6 = (struct td_addr){ 0 };
	member->own_global6 = (struct td_addr){ 0 };
	return dump_addresses(member->link, on_own_address, member);
}

void
link_take_parent(struct link_member *member, const struct link_seen *seen)
{
	struct link_facts *facts = &member->facts;

	facts->parent_ifindex = seen->ifindex;
	memcpy(facts->parent_name, seen->name, sizeof(facts->parent_name));
	memcpy(facts->own_mac, seen->mac, sizeof(facts->own_mac));
	facts->carrier = (seen->flags & IFF_UP) && (seen->flags & IFF_RUNNING);
	facts->mtu = seen->mtu;
	if (!member->virtual_mac) {
		facts->device_ifindex = seen->ifindex;
		memcpy(facts->device_name, seen->name, sizeof(facts->device_name));
		memcpy(facts->virtual_mac, seen->mac, sizeof(facts->virtual_mac));
	}
}

/* Life of the context ----------------------------------------------------------------
 */

int
link_new(struct loop *loop, const char *cluster, const char *instance, int state_dir,
    const struct link_callbacks *callbacks, void *context, struct link **ret_link)
{
	struct link *link = calloc(1, sizeof(*link));
	int result;

	if (link == NULL)
		return -ENOMEM;
	link->loop = loop;
	link->callbacks = *callbacks;
	link->context = context;
	link->monitor = -1;
	snprintf(link->cluster, sizeof(link->cluster), "%s", cluster);
	snprintf(link->instance, sizeof(link->instance), "%s", instance);
	result = rtnl_open(&link->rtnl);
	if (result < 0) {
		free(link);
		return result;
	}
	result = sysctl_open(state_dir, &link->sysctls);
	if (result == 0)
		result = link_monitor_open(link);
	if (result < 0) {
		sysctl_free(link->sysctls);
		rtnl_close(&link->rtnl);
		free(link);
		return result;
	}
	*ret_link = link;
	return 0;
}

void
link_free(struct link *link)
{
	if (link == NULL)
		return;
	while (link->members != NULL)
		link_member_close(link->members);
	link_monitor_close(link);
	sysctl_restore(link->sysctls);
	sysctl_free(link->sysctls);
	rtnl_close(&link->rtnl);
	free(link);
}

/* What an earlier life left
 * ------------------------------------------------------------ */

struct leftovers {
	struct link *link;
	const struct td_interface *interfaces;
	unsigned interface_count;
	/* Devices whose tagged addresses and routes are ours. */
	uint32_t ours[2 * TD_INTERFACES_MAX];
	unsigned our_count;
	uint32_t unwanted[2 * TD_INTERFACES_MAX];
	unsigned unwanted_count;
};

static const struct td_interface *
find_interface(const struct leftovers *left, const char *name)
{
	for (unsigned i = 0; i < left->interface_count; i++)
		if (strcmp(left->interfaces[i].name, name) == 0)
			return &left->interfaces[i];
	return NULL;
}

static void
remember(uint32_t *list, unsigned *count, uint32_t ifindex)
{
	for (unsigned i = 0; i < *count; i++)
		if (list[i] == ifindex)
			return;
	if (*count < 2 * TD_INTERFACES_MAX)
		list[(*count)++] = ifindex;
}

static void
on_leftover_link(void *context, const struct nlmsghdr *message)
{
	struct leftovers *left = context;
	const struct td_interface *interface;
	char prefix[sizeof(ALIAS_PREFIX) + TD_NAME_MAX + 1];
	struct link_seen seen;

	if (message->nlmsg_type != RTM_NEWLINK)
		return;
	link_parse(message, &seen);
	snprintf(prefix, sizeof(prefix), ALIAS_PREFIX "%s:", left->link->instance);
	if (seen.is_macvlan && strncmp(seen.alias, prefix, strlen(prefix)) == 0) {
		interface = find_interface(left, seen.alias + strlen(prefix));
		if (interface != NULL && interface->virtual_mac)
			remember(left->ours, &left->our_count, seen.ifindex);
		else
			remember(left->unwanted, &left->unwanted_count, seen.ifindex);
		return;
	}
	if (find_interface(left, seen.name) != NULL)
		remember(left->ours, &left->our_count, seen.ifindex);
}

static bool
is_ours(const struct leftovers *left, uint32_t ifindex)
{
	for (unsigned i = 0; i < left->our_count; i++)
		if (left->ours[i] == ifindex)
			return true;
	return false;
}

static void
on_leftover_address(void *context, const struct nlmsghdr *message)
{
	struct leftovers *left = context;
	struct link_address address;

	if (message->nlmsg_type == RTM_NEWADDR &&
	    link_parse_address(message, &address) && address.tag == LINK_TAG &&
	    is_ours(left, address.ifindex))
		link_put_address(&left->link->batch, RTM_DELADDR, 0, address.ifindex,
		    &address.prefix);
}

/* The message that announced a route, sent back as a deletion, fits it exactly. */
static void
on_leftover_route(void *context, const struct nlmsghdr *message)
{
	struct leftovers *left = context;
	const struct rtmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	uint32_t oif = 0;

	if (message->nlmsg_type != RTM_NEWROUTE || head->rtm_protocol != LINK_TAG ||
	    message->nlmsg_len > RTNL_MESSAGE_MAX)
		return;
	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		if (mnl_attr_get_type(attr) == RTA_OIF)
			oif = mnl_attr_get_u32(attr);
	}
	if (is_ours(left, oif)) {
		struct nlmsghdr *request =
		    rtnl_begin(&left->link->batch, RTM_DELROUTE, 0);

		memcpy(mnl_nlmsg_get_payload(request), head,
		    mnl_nlmsg_get_payload_len(message));
		request->nlmsg_len = message->nlmsg_len;
	}
}

static int
dump_links(struct link *link, rtnl_each *each, void *context)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[RTNL_MESSAGE_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);

	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_DUMP;
	return rtnl_query(&link->rtnl, request, each, context);
}

/* Only our routes: the kernel filters by protocol where it knows strict checking; a
 * router with a full table is read once, at start. */
static int
dump_routes(struct link *link, rtnl_each *each, void *context)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[RTNL_MESSAGE_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
	struct rtmsg *head = mnl_nlmsg_put_extra_header(request, sizeof(*head));

	head->rtm_protocol = LINK_TAG;
	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_DUMP;
	return rtnl_query(&link->rtnl, request, each, context);
}

static void
delete_link(struct rtnl_batch *batch, uint32_t ifindex)
{
	struct nlmsghdr *message = rtnl_begin(batch, RTM_DELLINK, 0);
	struct ifinfomsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));

	head->ifi_index = (int)ifindex;
}

int
link_reconcile(struct link *link, const struct td_interface *interfaces, unsigned count)
{
	struct leftovers left = {
		.link = link, .interfaces = interfaces, .interface_count = count
	};
	struct rtnl removals; /* while the other socket lists */
	int result = rtnl_open(&removals);

	if (result < 0)
		return link_fail(link, result, "netlink");
	rtnl_batch_init(&link->batch, &removals, NULL, NULL);
	result = dump_links(link, on_leftover_link, &left);
	for (unsigned i = 0; i < left.unwanted_count; i++)
		delete_link(&link->batch, left.unwanted[i]);
	if (result == 0)
		result = dump_addresses(link, on_leftover_address, &left);
	if (result == 0)
		result = dump_routes(link, on_leftover_route, &left);
	if (result == 0)
		result = rtnl_commit(&link->batch);
	rtnl_close(&removals);
	if (result < 0)
		return link_fail(link, result, "leftovers of an earlier life");
	if (link->batch.count > 0)
		log_notice("link",
		    "removed what an earlier life left: %u of %u objects",
		    link->batch.count - link->batch.failures, link->batch.count);
	return 0;
}

/* Members
 * ------------------------------------------------------------------------------ */

int
link_member_open(struct link *link, const struct td_interface *interface, void *context,
    struct link_member **ret_member)
{
	struct link_member *member = calloc(1, sizeof(*member));
	struct link_seen seen;
	int result;

	if (member == NULL)
		return -ENOMEM;
	member->link = link;
	member->context = context;
	member->vrid = interface->vrid;
	member->virtual_mac = interface->virtual_mac;
	snprintf(member->name, sizeof(member->name), "%s", interface->name);
	snprintf(member->facts.parent_name, sizeof(member->facts.parent_name), "%s",
	    interface->name);
	link_virtual_mac(link->cluster, interface, member->mac);
	memcpy(member->facts.virtual_mac, member->mac, LINK_MAC_BYTES);
	result = link_wanted_copy(
	    &member->wanted, interface, member->virtual_mac, member->mac);
	if (result == 0)
		result = link_read(link, member->name, 0, &seen);
	if (result == 0) {
		link_take_parent(member, &seen);
		result = link_read_own_addresses(member);
	} else if (result == -ENODEV) {
		result = 0;
	}
	if (result < 0) {
		link_fail(link, result, "%s", member->name);
		link_wanted_free(&member->wanted);
		free(member);
		return result;
	}
	loop_timer_init(link->loop, &member->timer, link_apply_timer, member);
	member->next = link->members;
	link->members = member;
	*ret_member = member;
	return 0;
}

/* "td51-wan0"; a parent's name that leaves no room is replaced by its ifindex. */
static void
device_name(const struct link_member *member, char name[static TD_IFNAME_MAX])
{
	char full[TD_IFNAME_MAX + 8];

	snprintf(full, sizeof(full), "td%u-%s", member->vrid, member->name);
	if (strlen(full) >= TD_IFNAME_MAX)
		snprintf(full, sizeof(full), "td%u-%u", member->vrid,
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
	snprintf(alias, sizeof(alias), ALIAS_PREFIX "%s:%s", member->link->instance,
	    member->name);
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
	    strncmp(seen.alias, ALIAS_PREFIX, strlen(ALIAS_PREFIX)) == 0)
		delete_link(&link->batch, seen.ifindex); /* VRID or parent changed */
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

void
link_member_close(struct link_member *member)
{
	struct link *link = member->link;
	struct link_member **at = &link->members;

	(void)link_demote(member);
	if (member->virtual_mac && member->facts.device_ifindex != 0) {
		rtnl_batch_init(&link->batch, &link->rtnl, NULL, NULL);
		delete_link(&link->batch, member->facts.device_ifindex);
		(void)rtnl_commit(&link->batch);
	}
	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	link_wanted_free(&member->wanted);
	free(member);
}

const struct link_facts *
link_facts(const struct link_member *member)
{
	return &member->facts;
}

void *
link_member_context(const struct link_member *member)
{
	return member->context;
}

const struct td_prefix *
link_addresses(const struct link_member *member, unsigned *ret_count)
{
	*ret_count = member->wanted.address_count;
	return member->wanted.addresses;
}

int
link_promote(struct link_member *member)
{
	member->facts.promoted = true;
	return link_apply(member, false);
}

int
link_demote(struct link_member *member)
{
	member->facts.promoted = false;
	link_apply_cancel(member);
	return link_withdraw(member, &member->wanted);
}

static bool
has_address(const struct link_wanted *wanted, const struct td_prefix *prefix)
{
	for (unsigned i = 0; i < wanted->address_count; i++)
		if (td_addr_equal(&wanted->addresses[i].addr, &prefix->addr) &&
		    wanted->addresses[i].len == prefix->len)
			return true;
	return false;
}

static bool
has_route(const struct link_wanted *wanted, const struct td_route *route)
{
	for (unsigned i = 0; i < wanted->route_count; i++)
		if (memcmp(&wanted->routes[i], route, sizeof(*route)) == 0)
			return true;
	return false;
}

/* What is in `old` and not in `new`; reuses the arrays of `old`. */
static void
keep_difference(struct link_wanted *old, const struct link_wanted *new)
{
	unsigned addresses = 0, routes = 0;

	for (unsigned i = 0; i < old->address_count; i++)
		if (!has_address(new, &old->addresses[i]))
			old->addresses[addresses++] = old->addresses[i];
	for (unsigned i = 0; i < old->route_count; i++)
		if (!has_route(new, &old->routes[i]))
			old->routes[routes++] = old->routes[i];
	old->address_count = addresses;
	old->route_count = routes;
}

int
link_member_update(struct link_member *member, const struct td_interface *interface)
{
	struct link_wanted old = member->wanted, new;
	int result, removed = 0;

	if (interface->vrid != member->vrid ||
	    interface->virtual_mac != member->virtual_mac ||
	    strcmp(interface->name, member->name) != 0)
		return link_fail(member->link, -EINVAL, "%s", member->name);
	result = link_wanted_copy(&new, interface, member->virtual_mac, member->mac);
	if (result < 0)
		return result;
	member->wanted = new;
	keep_difference(&old, &new);
	if (member->facts.promoted) {
		removed = link_withdraw(member, &old);
		result = link_apply(member, false);
	}
	link_wanted_free(&old);
	return result < 0 ? result : removed;
}
