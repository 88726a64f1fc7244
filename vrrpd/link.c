#include "vrrpd/link_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

uint8_t
link_family(const struct td_interface *interface)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (interface->addresses[i].addr.family == TD_AF_INET)
			return TD_AF_INET;
	return interface->address_count > 0 ? TD_AF_INET6 : TD_AF_INET;
}

void
link_virtual_mac(
    const char *cluster, const struct td_interface *interface, uint8_t ret_mac[6])
{
	uint8_t mac[6] = { 0x00, 0x00, 0x5e, 0x00,
		link_family(interface) == TD_AF_INET6 ? 0x02 : 0x01, interface->vrid };

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
	member->family = link_family(interface);
	member->virtual_mac = interface->virtual_mac;
	snprintf(member->name, sizeof(member->name), "%s", interface->name);
	snprintf(member->facts.parent_name, sizeof(member->facts.parent_name), "%s",
	    interface->name);
	link_virtual_mac(link->cluster, interface, member->mac);
	memcpy(member->facts.virtual_mac, member->mac, LINK_MAC_BYTES);
	result = link_wanted_copy(&member->wanted, interface, member->mac);
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

void
link_member_close(struct link_member *member)
{
	struct link *link = member->link;
	struct link_member **at = &link->members;

	(void)link_demote(member);
	if (member->virtual_mac && member->facts.device_ifindex != 0) {
		rtnl_batch_init(&link->batch, &link->rtnl, NULL, NULL);
		link_put_delete(&link->batch, member->facts.device_ifindex);
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
	    link_family(interface) != member->family ||
	    interface->virtual_mac != member->virtual_mac ||
	    strcmp(interface->name, member->name) != 0)
		return link_fail(member->link, -EINVAL, "%s", member->name);
	result = link_wanted_copy(&new, interface, member->mac);
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
