/* config_check_interfaces.c - members: their virtual routers, addresses and routes. */
#include "common/config_check_services.h"

#include <inttypes.h>
#include <string.h>

static bool
check_interface_name(struct check *c, const struct td_interface *interface)
{
	const char *name = interface->name;
	bool valid =
	    strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && name[0] != '\0';

	for (const char *at = name; *at != '\0'; at++)
		valid =
		    valid && *at > ' ' && *at < 0x7f && strchr("/:%\"'\\", *at) == NULL;
	return valid ||
	       check_wrong(c, "name", "'%s' cannot be an interface name", name);
}

/* All bits after the prefix are `bit`. */
static bool
host_bits_all(const struct td_prefix *prefix, bool bit)
{
	for (unsigned i = prefix->len; i < 8 * td_addr_len(&prefix->addr); i++)
		if (((prefix->addr.bytes[i / 8] >> (7 - i % 8)) & 1) != bit)
			return false;
	return true;
}

static bool
check_virtual_address(struct check *c, const struct td_interface *interface,
    const struct td_prefix *prefix)
{
	unsigned bits = 8 * (unsigned)td_addr_len(&prefix->addr);
	bool link_local = td_addr_is_link_local(&prefix->addr);
	char text[TD_ADDR_STRLEN];

	if (!check_host(c, "", &prefix->addr))
		return false;
	if (prefix->len == 0)
		return check_wrong(c, "", "a prefix length of 0");
	if (prefix->len + 1U < bits &&
	    (host_bits_all(prefix, false) ||
		(prefix->addr.family == TD_AF_INET && host_bits_all(prefix, true))))
		return check_wrong(c, "",
		    "%s is the network itself, or its broadcast address",
		    td_prefix_format(prefix, text));
	for (const struct td_interface *other = c->config->interfaces;
	     other <= interface; other++)
		for (uint32_t i = 0; i < other->address_count; i++) {
			const struct td_prefix *twin = &other->addresses[i];

			if (twin == prefix)
				return true;
			if (td_addr_equal(&twin->addr, &prefix->addr) &&
			    (!link_local || other == interface))
				return check_wrong(c, "",
				    "%s is an address of %s already",
				    td_addr_format(&prefix->addr, text), other->name);
			if (other != interface && !link_local && prefix->len < bits &&
			    twin->len < 8 * td_addr_len(&twin->addr) &&
			    td_prefix_overlaps(twin, prefix))
				return check_wrong(c, "",
				    "%s overlaps with a network of %s",
				    td_prefix_format(prefix, text), other->name);
		}
	return true;
}

/* Some prefix of the interface holds the gateway, unless all are single addresses: then
 * the network is known only to the nodes' own addresses. */
static bool
gateway_is_on_link(const struct td_interface *interface, const struct td_addr *gateway)
{
	bool all_single = true;

	if (gateway->family == TD_AF_INET6 && td_addr_is_link_local(gateway))
		return true;
	for (uint32_t i = 0; i < interface->address_count; i++) {
		const struct td_prefix *prefix = &interface->addresses[i];

		if (td_prefix_contains(prefix, gateway))
			return true;
		if (prefix->addr.family == gateway->family &&
		    prefix->len < 8 * td_addr_len(gateway))
			all_single = false;
	}
	return all_single;
}

static bool
check_route(struct check *c, const struct td_interface *interface, uint32_t index)
{
	const struct td_route *route = &interface->routes[index];
	char text[TD_ADDR_STRLEN];

	if (!host_bits_all(&route->destination, false))
		return check_wrong(c, "to", "%s has bits set after its prefix",
		    td_prefix_format(&route->destination, text));
	for (uint32_t i = 0; i < index; i++) {
		const struct td_prefix *twin = &interface->routes[i].destination;

		if (twin->len == route->destination.len &&
		    td_addr_equal(&twin->addr, &route->destination.addr))
			return check_wrong(c, "to", "%s is routes[%" PRIu32 "] already",
			    td_prefix_format(twin, text), i);
	}
	if (route->gateway.family == 0)
		return true;
	if (route->gateway.family != route->destination.addr.family)
		return check_wrong(c, "via",
		    "%s is of another family than the destination",
		    td_addr_format(&route->gateway, text));
	if (!check_own(c, "via", &route->gateway))
		return false;
	return gateway_is_on_link(interface, &route->gateway) ||
	       check_wrong(c, "via", "%s is in no network of %s",
		   td_addr_format(&route->gateway, text), interface->name);
}

static const char *const family_name[TD_FAMILIES] = { "IPv4", "IPv6" };

static bool
has_family(const struct td_interface *interface, unsigned family)
{
	uint8_t wanted = family == 0 ? TD_AF_INET : TD_AF_INET6;

	for (uint32_t i = 0; i < interface->address_count; i++)
		if (interface->addresses[i].addr.family == wanted)
			return true;
	return false;
}

/* Of one family: index counts them as they are written in the file. */
static bool
check_own_pair(struct check *c, uint32_t index, unsigned family)
{
	const struct td_interface *interface = &c->config->interfaces[index];
	const struct td_addr *own = interface->node_address[family];
	bool unicast = interface->adverts == TD_ADVERTS_UNICAST;

	if (own[0].family != own[1].family) {
		check_at(c, "interfaces[%" PRIu32 "]", index);
		return check_wrong(c, "node_addresses", "must be of the same family");
	}
	for (unsigned i = 0; i < TD_NODES && own[0].family != 0; i++) {
		check_at(c, "interfaces[%" PRIu32 "].node_addresses[%u]", index,
		    family == 1 && interface->node_address[0][0].family != 0
			? i + TD_NODES
			: i);
		if (!check_own(c, "", &own[i]))
			return false;
		/* RFC 9568 section 5.1.2.1. */
		if (unicast && family == 1 && !td_addr_is_link_local(&own[i]))
			return check_wrong(c, "",
			    "advertisements over IPv6 come from link-local addresses");
	}
	return own[0].family == 0 || !td_addr_equal(&own[0], &own[1]) ||
	       check_wrong(c, "", "the same address for both nodes");
}

static bool
check_node_addresses(struct check *c, uint32_t index)
{
	const struct td_interface *interface = &c->config->interfaces[index];
	bool independent = c->config->vrrp.mode == TD_VRRP_INDEPENDENT;
	bool any = false;

	for (unsigned f = 0; f < TD_FAMILIES; f++) {
		bool set = interface->node_address[f][0].family != 0;

		if (!check_own_pair(c, index, f))
			return false;
		any |= set && has_family(interface, f);
		check_at(c, "interfaces[%" PRIu32 "]", index);
		if (interface->adverts == TD_ADVERTS_UNICAST && independent && !set &&
		    has_family(interface, f))
			return check_wrong(c, "adverts",
			    "unicast needs node_addresses of %s too: the own address "
			    "of each node here",
			    family_name[f]);
	}
	return interface->adverts != TD_ADVERTS_UNICAST || any ||
	       check_wrong(c, "adverts",
		   "unicast needs node_addresses: the own address of each node here");
}

/* By the letter of the RFC a router is elected by its own advertisements, or not at
 * all. Each of them has a lease of the fence. */
static bool
check_independent(struct check *c, uint32_t index)
{
	const struct td_config *config = c->config;
	unsigned routers = 0;

	if (config->vrrp.mode != TD_VRRP_INDEPENDENT)
		return true;
	check_at(c, "interfaces[%" PRIu32 "]", index);
	if (config->interfaces[index].adverts == TD_ADVERTS_NONE)
		return check_wrong(
		    c, "adverts", "mode independent needs advertisements");
	for (uint32_t i = 0; i <= index; i++)
		for (unsigned f = 0; f < TD_FAMILIES; f++)
			routers += has_family(&config->interfaces[i], f);
	return routers <= TD_INTERFACES_MAX ||
	       check_wrong(c, "addresses",
		   "mode independent has room for %d virtual routers, one per "
		   "interface and family",
		   TD_INTERFACES_MAX);
}

static bool
check_vrid(struct check *c, uint32_t index)
{
	const struct td_interface *interfaces = c->config->interfaces;
	const struct td_interface *interface = &interfaces[index];

	if (interface->vrid == 0 &&
	    (interface->adverts != TD_ADVERTS_NONE || interface->virtual_mac))
		return check_wrong(c, "",
		    "the key 'vrid' is missing (only adverts: none with virtual_mac: no"
		    " goes without)");
	for (uint32_t i = 0; i < index; i++) {
		if (strcmp(interfaces[i].name, interface->name) == 0)
			return check_wrong(c, "name",
			    "'%s' is interfaces[%" PRIu32 "] already", interface->name,
			    i);
		if (interface->vrid != 0 && interfaces[i].vrid == interface->vrid)
			return check_wrong(c, "vrid", "%u is the vrid of %s already",
			    (unsigned)interface->vrid, interfaces[i].name);
	}
	return true;
}

bool
check_interfaces(struct check *c)
{
	if (c->config->interface_count == 0) {
		check_at(c, "interfaces");
		return check_wrong(c, "", "at least one is needed");
	}
	for (uint32_t i = 0; i < c->config->interface_count; i++) {
		const struct td_interface *interface = &c->config->interfaces[i];

		check_at(c, "interfaces[%" PRIu32 "]", i);
		if (!check_interface_name(c, interface) || !check_vrid(c, i) ||
		    !check_independent(c, i))
			return false;
		if (interface->address_count == 0)
			return check_wrong(c, "addresses", "at least one is needed");
		for (uint32_t j = 0; j < interface->address_count; j++) {
			check_at(
			    c, "interfaces[%" PRIu32 "].addresses[%" PRIu32 "]", i, j);
			if (!check_virtual_address(
				c, interface, &interface->addresses[j]))
				return false;
		}
		if (!check_node_addresses(c, i))
			return false;
		for (uint32_t j = 0; j < interface->route_count; j++) {
			check_at(
			    c, "interfaces[%" PRIu32 "].routes[%" PRIu32 "]", i, j);
			if (!check_route(c, interface, j))
				return false;
		}
	}
	return true;
}
