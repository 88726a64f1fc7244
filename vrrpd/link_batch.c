#include "vrrpd/link_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_addr.h>

#include <libmnl/libmnl.h>
#include <tandem/assert.h>

/* Below an administrator's 1024 for IPv6; IPv4 routes are put before equal ones
 * instead. */
#define ROUTE6_METRIC 512

static struct td_prefix
made_link_local(const uint8_t mac[LINK_MAC_BYTES])
{
	struct td_prefix prefix = { .addr.family = TD_AF_INET6, .len = 64 };
	uint8_t *b = prefix.addr.bytes;

	b[0] = 0xfe;
	b[1] = 0x80;
	/* Modified EUI-64, RFC 4291 appendix A. */
	b[8] = mac[0] ^ 0x02;
	b[9] = mac[1];
	b[10] = mac[2];
	b[11] = 0xff;
	b[12] = 0xfe;
	b[13] = mac[3];
	b[14] = mac[4];
	b[15] = mac[5];
	return prefix;
}

int
link_wanted_copy(struct link_wanted *wanted, const struct td_interface *interface,
    bool virtual_mac, const uint8_t mac[LINK_MAC_BYTES])
{
	bool has6 = false, has_link_local = false;
	struct link_wanted copy = { 0 };

	copy.addresses = calloc(interface->address_count + 1, sizeof(*copy.addresses));
	copy.routes = calloc(interface->route_count + 1, sizeof(*copy.routes));
	if (copy.addresses == NULL || copy.routes == NULL) {
		link_wanted_free(&copy);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < interface->address_count; i++) {
		const struct td_addr *addr = &interface->addresses[i].addr;

		has6 = has6 || addr->family == TD_AF_INET6;
		has_link_local = has_link_local || (addr->family == TD_AF_INET6 &&
						       td_addr_is_link_local(addr));
	}
	/* Without one the kernel cannot solicit a next hop on this device for transit.
	 */
	if (virtual_mac && has6 && !has_link_local)
		copy.addresses[copy.address_count++] = made_link_local(mac);
	for (uint32_t i = 0; i < interface->address_count; i++)
		copy.addresses[copy.address_count++] = interface->addresses[i];
	for (uint32_t i = 0; i < interface->route_count; i++)
		copy.routes[copy.route_count++] = interface->routes[i];
	*wanted = copy;
	return 0;
}

void
link_wanted_free(struct link_wanted *wanted)
{
	free(wanted->addresses);
	free(wanted->routes);
	*wanted = (struct link_wanted){ 0 };
}

void
link_put_address(struct rtnl_batch *batch, uint16_t type, uint16_t flags,
    uint32_t ifindex, const struct td_prefix *prefix)
{
	struct nlmsghdr *message = rtnl_begin(batch, type, flags);
	struct ifaddrmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	size_t len = td_addr_len(&prefix->addr);

	head->ifa_family = prefix->addr.family;
	head->ifa_prefixlen = prefix->len;
	head->ifa_index = ifindex;
	mnl_attr_put(message, IFA_LOCAL, len, prefix->addr.bytes);
	mnl_attr_put(message, IFA_ADDRESS, len, prefix->addr.bytes);
	/* Duplicate detection would keep the address unusable for a second. */
	mnl_attr_put_u32(message, IFA_FLAGS, IFA_F_NODAD);
	mnl_attr_put_u8(message, IFA_PROTO, LINK_TAG);
}

void
link_put_route(struct rtnl_batch *batch, uint16_t type, uint16_t flags,
    const struct link_member *member, const struct td_route *route)
{
	struct nlmsghdr *message = rtnl_begin(batch, type, flags);
	struct rtmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	const struct td_addr *destination = &route->destination.addr;
	const struct td_addr *own = destination->family == TD_AF_INET
					? &member->facts.own_address4
					: &member->own_global6;
	size_t len = td_addr_len(destination);

	head->rtm_family = destination->family;
	head->rtm_dst_len = route->destination.len;
	head->rtm_table = RT_TABLE_MAIN;
	head->rtm_protocol = LINK_TAG;
	head->rtm_type = RTN_UNICAST;
	head->rtm_scope =
	    route->gateway.family != 0 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	if (route->destination.len != 0)
		mnl_attr_put(message, RTA_DST, len, destination->bytes);
	mnl_attr_put_u32(message, RTA_OIF, member->facts.device_ifindex);
	if (destination->family == TD_AF_INET6)
		mnl_attr_put_u32(message, RTA_PRIORITY, ROUTE6_METRIC);
	if (route->gateway.family != 0) {
		head->rtm_flags = RTNH_F_ONLINK;
		mnl_attr_put(message, RTA_GATEWAY, td_addr_len(&route->gateway),
		    route->gateway.bytes);
	}
	/* The node's own traffic keeps its own address: it must outlive the role. */
	if (type == RTM_NEWROUTE && own->family != 0)
		mnl_attr_put(message, RTA_PREFSRC, len, own->bytes);
}

struct apply {
	struct link_member *member;
	const struct link_wanted *what;
	bool *present; /* may be NULL */
	int error;
};

static void
name_refused(struct apply *apply, const char *verb, unsigned index, int error)
{
	struct link_member *member = apply->member;
	char text[TD_ADDR_STRLEN];

	if (apply->error != 0)
		return;
	apply->error = error;
	if (index < apply->what->address_count)
		link_fail(member->link, error, "%s: %s address %s",
		    member->facts.device_name, verb,
		    td_prefix_format(&apply->what->addresses[index], text));
	else
		link_fail(member->link, error, "%s: %s route %s",
		    member->facts.device_name, verb,
		    td_prefix_format(
			&apply->what->routes[index - apply->what->address_count]
			     .destination,
			text));
}

static void
on_apply_refused(void *context, unsigned index, int error)
{
	struct apply *apply = context;

	if (error == -EEXIST) {
		if (apply->present != NULL)
			apply->present[index] = true;
		return;
	}
	name_refused(apply, "add", index, error);
}

int
link_apply(struct link_member *member, bool *ret_present)
{
	struct rtnl_batch *batch = &member->link->batch;
	const struct link_wanted *wanted = &member->wanted;
	struct apply apply = { member, wanted, ret_present, 0 };
	uint32_t ifindex = member->facts.device_ifindex;
	int result;

	if (ifindex == 0)
		return link_fail(member->link, -ENODEV, "%s", member->name);
	rtnl_batch_init(batch, &member->link->rtnl, on_apply_refused, &apply);
	for (unsigned i = 0; i < wanted->address_count; i++)
		link_put_address(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex,
		    &wanted->addresses[i]);
	/* Without EXCL: an administrator's equal route stays, behind ours. */
	for (unsigned i = 0; i < wanted->route_count; i++)
		link_put_route(
		    batch, RTM_NEWROUTE, NLM_F_CREATE, member, &wanted->routes[i]);
	result = rtnl_commit(batch);
	if (result < 0)
		return link_fail(member->link, result, "%s: netlink", member->name);
	return apply.error;
}

static void
on_withdraw_refused(void *context, unsigned index, int error)
{
	/* Gone already: with its address, its device, or by somebody's hand. */
	if (error != -EADDRNOTAVAIL && error != -ESRCH && error != -ENODEV &&
	    error != -ENOENT)
		name_refused(context, "remove", index, error);
}

int
link_withdraw(struct link_member *member, const struct link_wanted *what)
{
	struct rtnl_batch *batch = &member->link->batch;
	struct apply apply = { member, what, NULL, 0 };
	uint32_t ifindex = member->facts.device_ifindex;
	int result;

	if (ifindex == 0)
		return 0;
	rtnl_batch_init(batch, &member->link->rtnl, on_withdraw_refused, &apply);
	/* In the order of adding, so that an index means the same; promote_secondaries
	 * keeps the others when a first address goes. */
	for (unsigned i = 0; i < what->address_count; i++)
		link_put_address(batch, RTM_DELADDR, 0, ifindex, &what->addresses[i]);
	for (unsigned i = 0; i < what->route_count; i++)
		link_put_route(batch, RTM_DELROUTE, 0, member, &what->routes[i]);
	result = rtnl_commit(batch);
	if (result < 0)
		return link_fail(member->link, result, "%s: netlink", member->name);
	return apply.error;
}
