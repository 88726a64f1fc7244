#include "vrrpd/link_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_addr.h>

#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"

/* Below an administrator's 1024 for IPv6; IPv4 routes are put before equal ones
 * instead. */
#define ROUTE6_METRIC 512

#define APPLY_CHUNK 16
#define APPLY_SLICE_NS (2 * NS_PER_MS)
#define APPLY_REPAIR_GAP_NS (10 * NS_PER_MS)

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
    const uint8_t mac[LINK_MAC_BYTES])
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
	/* Without one the kernel cannot solicit a next hop on this device for transit,
	 * and an advertisement over IPv6 has to begin with one: RFC 9568 section 5.2.9.
	 */
	if (has6 && !has_link_local &&
	    (interface->virtual_mac || interface->adverts != TD_ADVERTS_NONE))
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

struct outcome {
	struct link_member *member;
	const struct link_wanted *what;
	unsigned from; /* index of the batch's first message */
	bool *present; /* by message; may be NULL */
	int error;     /* the first one */
};

static void
name_refused(struct outcome *outcome, const char *verb, unsigned index, int error)
{
	const struct link_wanted *what = outcome->what;
	struct link_member *member = outcome->member;
	char text[TD_ADDR_STRLEN];

	if (outcome->error != 0)
		return;
	outcome->error = error;
	if (index < what->address_count)
		link_fail(member->link, error, "%s: %s address %s",
		    member->facts.device_name, verb,
		    td_prefix_format(&what->addresses[index], text));
	else
		link_fail(member->link, error, "%s: %s route %s",
		    member->facts.device_name, verb,
		    td_prefix_format(
			&what->routes[index - what->address_count].destination, text));
}

static void
on_apply_refused(void *context, unsigned index, int error)
{
	struct outcome *outcome = context;

	outcome->present[index] = true;
	if (error != -EEXIST)
		name_refused(outcome, "add", outcome->from + index, error);
}

/* `count` addresses and routes from `from` on. present: it was there, or was refused.
 */
static int
apply_some(struct link_member *member, unsigned from, unsigned count, bool *present)
{
	struct rtnl_batch *batch = &member->link->batch;
	const struct link_wanted *wanted = &member->wanted;
	struct outcome outcome = { member, wanted, from, present, 0 };
	int result;

	rtnl_batch_init(batch, &member->link->rtnl, on_apply_refused, &outcome);
	for (unsigned i = from; i < from + count; i++) {
		/* Routes without EXCL: an administrator's equal one stays, behind ours.
		 */
		if (i < wanted->address_count)
			link_put_address(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
			    member->facts.device_ifindex, &wanted->addresses[i]);
		else
			link_put_route(batch, RTM_NEWROUTE, NLM_F_CREATE, member,
			    &wanted->routes[i - wanted->address_count]);
	}
	result = rtnl_commit(batch);
	if (result < 0)
		return link_fail(member->link, result, "%s: netlink", member->name);
	return outcome.error;
}

static void
tell_repaired(struct link_member *member, unsigned index)
{
	struct link *link = member->link;

	member->repaired_count++;
	if (link->callbacks.repaired != NULL)
		link->callbacks.repaired(link->context, member,
		    index < member->wanted.address_count
			? &member->wanted.addresses[index].addr
			: NULL);
}

static void
apply_done(struct link_member *member)
{
	member->applying = false;
	if (member->repaired_count > 0)
		log_limited(LOG_LV_WARN, "link", 5,
		    "if=%s put back %u addresses or routes that somebody removed",
		    member->name, member->repaired_count);
	loop_timer_set(&member->timer,
	    member->repair_wanted ? instant_add(clock_now(), APPLY_REPAIR_GAP_NS)
				  : TD_NEVER);
}

/* IPv6 addresses cost the kernel ten times as much as IPv4 ones: with many of them the
 * adverts must get their turn in between. */
static int
apply_slice(struct link_member *member)
{
	unsigned all = member->wanted.address_count + member->wanted.route_count;
	struct td_instant end = instant_add(clock_now(), APPLY_SLICE_NS);
	int first_error = 0;

	/* A callback may demote, or promote again: the state is read anew. */
	while (member->applying && member->apply_next < all &&
	       !instant_reached(clock_now(), end)) {
		unsigned from = member->apply_next;
		unsigned count = all - from < APPLY_CHUNK ? all - from : APPLY_CHUNK;
		bool present[APPLY_CHUNK] = { false };
		int result = apply_some(member, from, count, present);

		if (first_error == 0)
			first_error = result;
		member->apply_next += count;
		for (unsigned i = 0; member->repairing && i < count; i++)
			if (!present[i])
				tell_repaired(member, from + i);
	}
	if (!member->applying)
		return first_error;
	if (member->apply_next < all)
		loop_timer_set(&member->timer, clock_now());
	else
		apply_done(member);
	return first_error;
}

int
link_apply(struct link_member *member, bool repair)
{
	if (member->facts.device_ifindex == 0)
		return link_fail(member->link, -ENODEV, "%s", member->name);
	member->applying = true;
	member->repairing = repair;
	member->repair_wanted = false;
	member->repaired_count = 0;
	member->apply_next = 0;
	return apply_slice(member);
}

void
link_apply_cancel(struct link_member *member)
{
	member->applying = false;
	member->repairing = false;
	member->repair_wanted = false;
	loop_timer_cancel(&member->timer);
}

void
link_apply_timer(struct loop_timer *timer)
{
	struct link_member *member = timer->context;
	int result;

	if (!member->facts.promoted || member->facts.device_ifindex == 0)
		return;
	result = member->applying ? apply_slice(member) : link_apply(member, true);
	if (result < 0)
		log_limited(LOG_LV_WARN, "link", 5, "if=%s %s", member->name,
		    member->link->error);
}

/*
 * Backwards: the last address of a subnet is a secondary one and goes quietly. The
 * first one would make the next one primary, with all its routes: 100 addresses took 50
 * ms.
 */
static unsigned
withdraw_index(const struct link_wanted *what, unsigned message)
{
	return what->address_count + what->route_count - 1 - message;
}

static void
on_withdraw_refused(void *context, unsigned index, int error)
{
	struct outcome *outcome = context;

	/* Gone already: with its address, its device, or by somebody's hand. */
	if (error != -EADDRNOTAVAIL && error != -ESRCH && error != -ENODEV &&
	    error != -ENOENT)
		name_refused(
		    outcome, "remove", withdraw_index(outcome->what, index), error);
}

int
link_withdraw(struct link_member *member, const struct link_wanted *what)
{
	struct rtnl_batch *batch = &member->link->batch;
	struct outcome outcome = { member, what, 0, NULL, 0 };
	uint32_t ifindex = member->facts.device_ifindex;
	int result;

	if (ifindex == 0)
		return 0;
	rtnl_batch_init(batch, &member->link->rtnl, on_withdraw_refused, &outcome);
	for (unsigned m = 0; m < what->address_count + what->route_count; m++) {
		unsigned i = withdraw_index(what, m);

		if (i < what->address_count)
			link_put_address(
			    batch, RTM_DELADDR, 0, ifindex, &what->addresses[i]);
		else
			link_put_route(batch, RTM_DELROUTE, 0, member,
			    &what->routes[i - what->address_count]);
	}
	result = rtnl_commit(batch);
	if (result < 0)
		return link_fail(member->link, result, "%s: netlink", member->name);
	return outcome.error;
}
