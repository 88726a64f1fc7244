/* link_read.c - what the kernel says about links and addresses. */
#include "vrrpd/link_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>

#include <libmnl/libmnl.h>

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

int
link_dump_addresses(struct link *link, rtnl_each *each, void *context)
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
	return link_dump_addresses(member->link, on_own_address, member);
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
