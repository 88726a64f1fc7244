/* config_check_services.c - the second half of config_check: what runs on the
 * addresses. */
#include "common/config_check_services.h"

#include <inttypes.h>
#include <string.h>
#include <tandem/instant.h>

/* ---- prefixes and rules ---- */

static bool
has_host_bits(const struct td_prefix *prefix)
{
	for (unsigned i = prefix->len; i < 8 * td_addr_len(&prefix->addr); i++)
		if ((prefix->addr.bytes[i / 8] >> (7 - i % 8)) & 1)
			return true;
	return false;
}

/* Lists of prefixes are matched as they are: 10.1.1.5/24 would be read two ways. */
static bool
check_prefix(struct check *c, const struct td_prefix *prefix)
{
	char text[TD_ADDR_STRLEN];

	return !has_host_bits(prefix) ||
	       check_wrong(c, "", "%s has bits set after its prefix",
		   td_prefix_format(prefix, text));
}

/* Sources of something that has one family. */
static bool
check_sources(struct check *c, const char *path, const struct td_prefix *sources,
    uint32_t count, uint8_t family)
{
	char text[TD_ADDR_STRLEN];

	for (uint32_t i = 0; i < count; i++) {
		check_at(c, "%s.sources[%" PRIu32 "]", path, i);
		if (!check_prefix(c, &sources[i]))
			return false;
		if (sources[i].addr.family != family)
			return check_wrong(c, "",
			    "%s is of another family than the address",
			    td_prefix_format(&sources[i], text));
	}
	return true;
}

static bool
check_rule_ports(struct check *c, const struct td_firewall_rule *rule)
{
	return rule->ports.first == 0 || rule->protocol == TD_PROTO_TCP ||
	       rule->protocol == TD_PROTO_UDP ||
	       check_wrong(c, "ports", "only tcp and udp have ports");
}

static bool
check_ingress(struct check *c, uint32_t index)
{
	const struct td_public_address *public_address =
	    &c->config->public_addresses[index];

	for (uint32_t i = 0; i < public_address->ingress_count; i++) {
		const struct td_firewall_rule *rule = &public_address->ingress[i];
		char path[sizeof(c->path)];

		check_at(
		    c, "public_addresses[%" PRIu32 "].ingress[%" PRIu32 "]", index, i);
		memcpy(path, c->path, sizeof(path));
		if (!check_rule_ports(c, rule))
			return false;
		if (rule->destination_count > 0)
			return check_wrong(c, "destinations",
			    "an ingress rule has none: it is about this public "
			    "address");
		if (!check_sources(c, path, rule->sources, rule->source_count,
			public_address->address.family))
			return false;
	}
	return true;
}

static bool
network_has_family(const struct td_network *network, uint8_t family)
{
	for (uint32_t i = 0; i < network->cidr_count; i++)
		if (network->cidrs[i].addr.family == family)
			return true;
	return false;
}

static bool
network_covers(const struct td_network *network, const struct td_prefix *prefix)
{
	for (uint32_t i = 0; i < network->cidr_count; i++)
		if (prefix->len >= network->cidrs[i].len &&
		    td_prefix_contains(&network->cidrs[i], &prefix->addr))
			return true;
	return false;
}

static bool
check_egress_rule(struct check *c, const struct td_network *network,
    const struct td_firewall_rule *rule)
{
	char path[sizeof(c->path)], text[TD_ADDR_STRLEN];

	if (!check_rule_ports(c, rule))
		return false;
	memcpy(path, c->path, sizeof(path));
	for (uint32_t i = 0; i < rule->source_count; i++) {
		check_at(c, "%.44s.sources[%" PRIu32 "]", path, i);
		if (!check_prefix(c, &rule->sources[i]))
			return false;
		if (!network_covers(network, &rule->sources[i]))
			return check_wrong(c, "", "%s is not within the cidrs of %s",
			    td_prefix_format(&rule->sources[i], text), network->name);
	}
	for (uint32_t i = 0; i < rule->destination_count; i++) {
		check_at(c, "%.44s.destinations[%" PRIu32 "]", path, i);
		if (!check_prefix(c, &rule->destinations[i]))
			return false;
		if (!network_has_family(network, rule->destinations[i].addr.family))
			return check_wrong(c, "", "%s is of a family that %s has not",
			    td_prefix_format(&rule->destinations[i], text),
			    network->name);
	}
	return true;
}

/* ---- which addresses are where ---- */

/* The address is on a network of an interface, behind one of its routes (the default
 * route proves nothing), or in a network. */
static bool
is_covered(const struct td_config *config, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < config->interface_count; i++) {
		const struct td_interface *interface = &config->interfaces[i];

		for (uint32_t j = 0; j < interface->address_count; j++)
			if (td_prefix_contains(&interface->addresses[j], addr))
				return true;
		for (uint32_t j = 0; j < interface->route_count; j++)
			if (interface->routes[j].destination.len > 0 &&
			    td_prefix_contains(&interface->routes[j].destination, addr))
				return true;
	}
	for (uint32_t i = 0; i < config->network_count; i++)
		for (uint32_t j = 0; j < config->networks[i].cidr_count; j++)
			if (td_prefix_contains(&config->networks[i].cidrs[j], addr))
				return true;
	return false;
}

/* A machine behind the routers. */
static bool
check_inside(struct check *c, const char *key, const struct td_addr *addr)
{
	const struct td_interface *interface = check_find_virtual(c->config, addr);
	char text[TD_ADDR_STRLEN];

	if (!check_host(c, key, addr))
		return false;
	if (interface != NULL)
		return check_wrong(c, key, "%s is a virtual address of %s",
		    td_addr_format(addr, text), interface->name);
	return is_covered(c->config, addr) ||
	       check_wrong(c, key, "%s is in no network of any interface",
		   td_addr_format(addr, text));
}

static bool
check_virtual(
    struct check *c, const char *key, const struct td_addr *addr, bool must_be_public)
{
	const struct td_interface *interface = check_find_virtual(c->config, addr);
	char text[TD_ADDR_STRLEN];

	if (interface == NULL)
		return check_wrong(c, key, "%s is no virtual address of any interface",
		    td_addr_format(addr, text));
	return !must_be_public || interface->is_public ||
	       check_wrong(c, key, "%s is an address of %s, which is not public",
		   td_addr_format(addr, text), interface->name);
}

/* ---- networks ---- */

/* On a network of the interface itself, or behind one of its routes. */
static bool
cidr_is_behind(const struct td_interface *interface, const struct td_prefix *cidr)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (cidr->len >= interface->addresses[i].len &&
		    td_prefix_contains(&interface->addresses[i], &cidr->addr))
			return true;
	for (uint32_t i = 0; i < interface->route_count; i++)
		if (interface->routes[i].destination.len > 0 &&
		    cidr->len >= interface->routes[i].destination.len &&
		    td_prefix_contains(&interface->routes[i].destination, &cidr->addr))
			return true;
	return false;
}

static bool
check_cidr(struct check *c, uint32_t index, uint32_t cidr_index)
{
	const struct td_network *network = &c->config->networks[index];
	const struct td_prefix *cidr = &network->cidrs[cidr_index];
	const struct td_interface *interface =
	    &c->config->interfaces[network->interface];
	char text[TD_ADDR_STRLEN];

	if (!check_prefix(c, cidr))
		return false;
	if (!cidr_is_behind(interface, cidr))
		return check_wrong(c, "",
		    "%s is in no network and behind no route of %s",
		    td_prefix_format(cidr, text), interface->name);
	for (const struct td_network *other = c->config->networks; other <= network;
	     other++)
		for (uint32_t i = 0; i < other->cidr_count; i++) {
			if (&other->cidrs[i] == cidr)
				return true;
			if (td_prefix_overlaps(&other->cidrs[i], cidr))
				return check_wrong(c, "",
				    "%s overlaps with another cidr of network %s",
				    td_prefix_format(cidr, text), other->name);
		}
	return true;
}

static bool
check_source_nat(struct check *c, uint32_t index)
{
	const struct td_network *network = &c->config->networks[index];

	for (unsigned i = 0; i < 2; i++) {
		const struct td_addr *addr = &network->source_nat[i];
		uint8_t family = i == 0 ? TD_AF_INET : TD_AF_INET6;
		char text[TD_ADDR_STRLEN];

		if (addr->family == 0)
			continue;
		check_at(c, "networks[%" PRIu32 "].source_nat", index);
		if (addr->family != family)
			return check_wrong(c, "", "the families are exchanged");
		if (!check_virtual(c, "", addr, true))
			return false;
		if (!network_has_family(network, family))
			return check_wrong(c, "",
			    "%s is of a family that no cidr of %s has",
			    td_addr_format(addr, text), network->name);
	}
	return true;
}

static bool
check_network(struct check *c, uint32_t index)
{
	const struct td_config *config = c->config;
	const struct td_network *network = &config->networks[index];

	check_at(c, "networks[%" PRIu32 "]", index);
	if (network->interface >= config->interface_count)
		return check_wrong(c, "interface", "no such interface");
	if (!check_name(c, "name", network->name))
		return false;
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(config->networks[i].name, network->name) == 0)
			return check_wrong(c, "name",
			    "'%s' is networks[%" PRIu32 "] already", network->name, i);
	if (network->cidr_count == 0)
		return check_wrong(c, "cidrs", "at least one is needed");
	for (uint32_t i = 0; i < network->cidr_count; i++) {
		check_at(c, "networks[%" PRIu32 "].cidrs[%" PRIu32 "]", index, i);
		if (!check_cidr(c, index, i))
			return false;
	}
	if (!check_source_nat(c, index))
		return false;
	for (uint32_t i = 0; i < network->egress_count; i++) {
		check_at(c, "networks[%" PRIu32 "].egress[%" PRIu32 "]", index, i);
		if (!check_egress_rule(c, network, &network->egress[i]))
			return false;
	}
	return true;
}

static bool
check_networks(struct check *c)
{
	uint32_t cidrs = 0;

	for (uint32_t i = 0; i < c->config->network_count; i++)
		cidrs += c->config->networks[i].cidr_count;
	if (cidrs > TD_CIDRS_MAX) {
		check_at(c, "networks");
		return check_wrong(c, "",
		    "%" PRIu32 " cidrs in all, at most %d possible", cidrs,
		    TD_CIDRS_MAX);
	}
	for (uint32_t i = 0; i < c->config->network_count; i++)
		if (!check_network(c, i))
			return false;
	return true;
}

/* ---- public addresses, static NAT, port forwarding ---- */

static bool
check_public_addresses(struct check *c)
{
	const struct td_public_address *list = c->config->public_addresses;
	char text[TD_ADDR_STRLEN];

	for (uint32_t i = 0; i < c->config->public_address_count; i++) {
		check_at(c, "public_addresses[%" PRIu32 "]", i);
		if (!check_virtual(c, "address", &list[i].address, true))
			return false;
		for (uint32_t j = 0; j < i; j++)
			if (td_addr_equal(&list[j].address, &list[i].address))
				return check_wrong(c, "address",
				    "%s is public_addresses[%" PRIu32 "] already",
				    td_addr_format(&list[i].address, text), j);
		if (!check_ingress(c, i))
			return false;
	}
	return true;
}

static bool
check_static_nat(struct check *c, uint32_t index)
{
	const struct td_static_nat *list = c->config->static_nats, *nat = &list[index];
	char text[TD_ADDR_STRLEN];

	if (!check_virtual(c, "public", &nat->public_address, true) ||
	    !check_inside(c, "private", &nat->private_address))
		return false;
	if (nat->public_address.family != nat->private_address.family)
		return check_wrong(c, "private",
		    "%s is of another family than the public address",
		    td_addr_format(&nat->private_address, text));
	for (uint32_t i = 0; i < index; i++) {
		if (td_addr_equal(&list[i].public_address, &nat->public_address))
			return check_wrong(c, "public",
			    "%s is static_nat[%" PRIu32 "] already",
			    td_addr_format(&nat->public_address, text), i);
		if (td_addr_equal(&list[i].private_address, &nat->private_address))
			return check_wrong(c, "private",
			    "%s is static_nat[%" PRIu32 "] already",
			    td_addr_format(&nat->private_address, text), i);
	}
	for (uint32_t i = 0; i < c->config->network_count; i++)
		for (unsigned j = 0; j < 2; j++)
			if (td_addr_equal(&c->config->networks[i].source_nat[j],
				&nat->public_address))
				return check_wrong(c, "public",
				    "%s is the source NAT address of network %s",
				    td_addr_format(&nat->public_address, text),
				    c->config->networks[i].name);
	return true;
}

static const struct td_static_nat *
find_static_nat(const struct td_config *config, const struct td_addr *public_address)
{
	for (uint32_t i = 0; i < config->static_nat_count; i++)
		if (td_addr_equal(
			&config->static_nats[i].public_address, public_address))
			return &config->static_nats[i];
	return NULL;
}

static bool
check_service_protocol(struct check *c, enum td_protocol protocol)
{
	return protocol == TD_PROTO_TCP || protocol == TD_PROTO_UDP ||
	       check_wrong(c, "protocol", "must be tcp or udp");
}

static bool
check_port_forward(struct check *c, uint32_t index)
{
	const struct td_port_forward *list = c->config->port_forwards,
				     *forward = &list[index];
	const struct td_port_range *ports = &forward->public_ports;
	char path[sizeof(c->path)], text[TD_ADDR_STRLEN];

	check_at(c, "port_forwarding[%" PRIu32 "]", index);
	memcpy(path, c->path, sizeof(path));
	if (!check_name(c, "name", forward->name) ||
	    !check_service_protocol(c, forward->protocol) ||
	    !check_virtual(c, "public", &forward->public_address, true) ||
	    !check_inside(c, "private", &forward->private_address))
		return false;
	if (forward->public_address.family != forward->private_address.family)
		return check_wrong(c, "private",
		    "%s is of another family than the public address",
		    td_addr_format(&forward->private_address, text));
	if (ports->first == 0 || forward->private_ports.first == 0)
		return check_wrong(c, "public_ports", "ports are needed");
	if (ports->last - ports->first !=
	    forward->private_ports.last - forward->private_ports.first)
		return check_wrong(c, "private_ports",
		    "%d ports for %d public ones: the ranges must be equally long",
		    forward->private_ports.last - forward->private_ports.first + 1,
		    ports->last - ports->first + 1);
	if (find_static_nat(c->config, &forward->public_address) != NULL)
		return check_wrong(c, "public",
		    "%s has static NAT, which takes all ports",
		    td_addr_format(&forward->public_address, text));
	for (uint32_t i = 0; i < index; i++) {
		if (strcmp(list[i].name, forward->name) == 0)
			return check_wrong(c, "name",
			    "'%s' is port_forwarding[%" PRIu32 "] already",
			    forward->name, i);
		if (list[i].protocol == forward->protocol &&
		    td_addr_equal(&list[i].public_address, &forward->public_address) &&
		    list[i].public_ports.first <= ports->last &&
		    ports->first <= list[i].public_ports.last)
			return check_wrong(c, "public_ports",
			    "ports of %s are forwarded by port_forwarding[%" PRIu32
			    "] already",
			    td_addr_format(&forward->public_address, text), i);
	}
	return check_sources(c, path, forward->sources, forward->source_count,
	    forward->public_address.family);
}

/* ---- balancers ---- */

static bool
check_bind(struct check *c, uint32_t index, const struct td_endpoint *bind)
{
	const struct td_config *config = c->config;
	const struct td_balancer *balancer = &config->balancers[index];
	char text[TD_ADDR_STRLEN];

	if (!check_virtual(c, "", &bind->addr, false))
		return false;
	if (bind->addr.family != balancer->binds[0].addr.family)
		return check_wrong(c, "", "%s is of another family than the first bind",
		    td_endpoint_format(bind, text));
	if (find_static_nat(config, &bind->addr) != NULL)
		return check_wrong(c, "", "%s has static NAT, which takes all ports",
		    td_addr_format(&bind->addr, text));
	for (uint32_t i = 0; i < config->port_forward_count; i++) {
		const struct td_port_forward *forward = &config->port_forwards[i];

		if (forward->protocol == balancer->protocol &&
		    td_addr_equal(&forward->public_address, &bind->addr) &&
		    bind->port >= forward->public_ports.first &&
		    bind->port <= forward->public_ports.last)
			return check_wrong(c, "",
			    "%s is forwarded by port_forwarding[%" PRIu32 "]",
			    td_endpoint_format(bind, text), i);
	}
	for (const struct td_balancer *other = config->balancers; other <= balancer;
	     other++)
		for (uint32_t i = 0; i < other->bind_count; i++) {
			if (&other->binds[i] == bind)
				return true;
			if (other->protocol == balancer->protocol &&
			    other->binds[i].port == bind->port &&
			    td_addr_equal(&other->binds[i].addr, &bind->addr))
				return check_wrong(c, "", "%s is bound by %s already",
				    td_endpoint_format(bind, text), other->name);
		}
	return true;
}

static bool
check_health(struct check *c, uint32_t index)
{
	const struct td_balancer *balancer = &c->config->balancers[index];
	const struct td_health *health = &balancer->health;

	check_at(c, "load_balancers[%" PRIu32 "].health", index);
	if (!check_range_ns(
		c, "interval", health->interval_ns, 100 * NS_PER_MS, 3600 * NS_PER_S) ||
	    !check_range_ns(
		c, "timeout", health->timeout_ns, 10 * NS_PER_MS, 3600 * NS_PER_S) ||
	    !check_range(c, "rise", health->rise, 1, 100) ||
	    !check_range(c, "fall", health->fall, 1, 100))
		return false;
	if (health->timeout_ns > health->interval_ns)
		return check_wrong(c, "timeout", "longer than the interval");
	if (health->type == TD_HEALTH_TCP && balancer->protocol == TD_PROTO_UDP &&
	    health->port == 0)
		return check_wrong(c, "type",
		    "a tcp check of udp servers needs the key 'port': a tcp port of "
		    "theirs");
	return true;
}

static bool
check_server(struct check *c, const struct td_balancer *balancer, uint32_t index)
{
	const struct td_server *server = &balancer->servers[index];
	char text[TD_ADDR_STRLEN];

	if (!check_name(c, "name", server->name) ||
	    !check_range(c, "weight", server->weight, 0, 256) ||
	    !check_inside(c, "endpoint", &server->endpoint.addr))
		return false;
	if (server->endpoint.addr.family != balancer->binds[0].addr.family)
		return check_wrong(c, "endpoint",
		    "%s is of another family than the binds",
		    td_endpoint_format(&server->endpoint, text));
	for (uint32_t i = 0; i < index; i++) {
		const struct td_server *other = &balancer->servers[i];

		if (strcmp(other->name, server->name) == 0)
			return check_wrong(c, "name",
			    "'%s' is servers[%" PRIu32 "] already", server->name, i);
		if (other->endpoint.port == server->endpoint.port &&
		    td_addr_equal(&other->endpoint.addr, &server->endpoint.addr))
			return check_wrong(c, "endpoint",
			    "%s is servers[%" PRIu32 "] already",
			    td_endpoint_format(&server->endpoint, text), i);
	}
	return true;
}

static bool
check_balancer(struct check *c, uint32_t index)
{
	const struct td_balancer *list = c->config->balancers, *balancer = &list[index];
	char path[sizeof(c->path)];

	check_at(c, "load_balancers[%" PRIu32 "]", index);
	memcpy(path, c->path, sizeof(path));
	if (!check_name(c, "name", balancer->name) ||
	    !check_service_protocol(c, balancer->protocol))
		return false;
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(list[i].name, balancer->name) == 0)
			return check_wrong(c, "name",
			    "'%s' is load_balancers[%" PRIu32 "] already",
			    balancer->name, i);
	if (balancer->bind_count == 0)
		return check_wrong(c, "binds", "at least one is needed");
	for (uint32_t i = 0; i < balancer->bind_count; i++) {
		check_at(c, "load_balancers[%" PRIu32 "].binds[%" PRIu32 "]", index, i);
		if (!check_bind(c, index, &balancer->binds[i]))
			return false;
	}
	if (!check_sources(c, path, balancer->sources, balancer->source_count,
		balancer->binds[0].addr.family) ||
	    !check_health(c, index))
		return false;
	for (uint32_t i = 0; i < balancer->server_count; i++) {
		check_at(
		    c, "load_balancers[%" PRIu32 "].servers[%" PRIu32 "]", index, i);
		if (!check_server(c, balancer, i))
			return false;
	}
	return true;
}

static bool
check_balancers(struct check *c)
{
	uint32_t servers = 0, binds = 0;

	for (uint32_t i = 0; i < c->config->balancer_count; i++) {
		servers += c->config->balancers[i].server_count;
		binds += c->config->balancers[i].bind_count;
	}
	check_at(c, "load_balancers");
	if (servers > TD_SERVERS_MAX)
		return check_wrong(c, "",
		    "%" PRIu32 " servers in all, at most %d possible", servers,
		    TD_SERVERS_MAX);
	if (binds > TD_BINDS_MAX)
		return check_wrong(c, "",
		    "%" PRIu32 " binds in all, at most %d possible", binds,
		    TD_BINDS_MAX);
	for (uint32_t i = 0; i < c->config->balancer_count; i++)
		if (!check_balancer(c, i))
			return false;
	return true;
}

bool
check_services(struct check *c)
{
	if (!check_networks(c) || !check_public_addresses(c))
		return false;
	for (uint32_t i = 0; i < c->config->static_nat_count; i++) {
		check_at(c, "static_nat[%" PRIu32 "]", i);
		if (!check_static_nat(c, i))
			return false;
	}
	for (uint32_t i = 0; i < c->config->port_forward_count; i++)
		if (!check_port_forward(c, i))
			return false;
	return check_balancers(c);
}
