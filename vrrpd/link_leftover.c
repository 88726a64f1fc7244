/* link_leftover.c - what an earlier life of this instance left behind. */
#include "vrrpd/link_internal.h"

#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include "common/log.h"

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

/* The macvlan that a member still has: two of them, one per family, may share a
 * parent's name. */
static bool
is_wanted(
    const struct leftovers *left, const char *parent, const struct link_seen *seen)
{
	uint8_t mac[LINK_MAC_BYTES];

	for (unsigned i = 0; i < left->interface_count; i++) {
		const struct td_interface *interface = &left->interfaces[i];

		link_virtual_mac(left->link->cluster, interface, mac);
		if (interface->virtual_mac && strcmp(interface->name, parent) == 0 &&
		    memcmp(mac, seen->mac, LINK_MAC_BYTES) == 0)
			return true;
	}
	return false;
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
	char prefix[sizeof(LINK_ALIAS_PREFIX) + TD_NAME_MAX + 1];
	struct link_seen seen;

	if (message->nlmsg_type != RTM_NEWLINK)
		return;
	link_parse(message, &seen);
	snprintf(prefix, sizeof(prefix), LINK_ALIAS_PREFIX "%s:", left->link->instance);
	if (seen.is_macvlan && strncmp(seen.alias, prefix, strlen(prefix)) == 0) {
		if (is_wanted(left, seen.alias + strlen(prefix), &seen))
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
		link_put_delete(&link->batch, left.unwanted[i]);
	if (result == 0)
		result = link_dump_addresses(link, on_leftover_address, &left);
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
