/* nat_filter.c - the chains that judge: guard, ingress, input, egress, forwarding. */
#include <stdio.h>
#include <string.h>
#include <tandem/mark.h>
#include "lbcore/l4/core/l4_slots.h"
#include "lbcore/nat/core/nat_compile.h"
#include "lbcore/nat/core/nat_match.h"

static const char *
drop_counter(struct nat_compiler *c, enum nat_drop drop)
{
	return nat_counter(c, NAT_COUNT_DROP, drop, 0);
}

static void
address_set(struct nat_compiler *c, const char *name, uint8_t family,
    const struct nat_addresses *addresses)
{
	char buf[TD_ADDR_STRLEN];
	uint32_t listed = 0;

	nat_text_add(&c->text, "\tset %s%c {\n\t\ttype %s\n", name,
	    family == TD_AF_INET ? '4' : '6',
	    family == TD_AF_INET ? "ipv4_addr" : "ipv6_addr");
	for (uint32_t i = 0; i < addresses->count; i++) {
		if (addresses->list[i].family != family)
			continue;
		nat_text_add(&c->text, "%s%s", listed > 0 ? ", " : "\t\telements = { ",
		    td_addr_format(&addresses->list[i], buf));
		listed++;
	}
	nat_text_add(&c->text, "%s\t}\n", listed > 0 ? " }\n" : "");
}

/* The prefixes of all networks. Equal or nested ones are the configuration's error,
 * which the kernel would name "conflicting intervals"; auto-merge takes them as they
 * are. */
static void
inside_set(struct nat_compiler *c, uint8_t family)
{
	const struct td_config *config = c->config;
	uint32_t listed = 0;

	nat_text_add(&c->text,
	    "\tset inside%c {\n\t\ttype %s\n\t\tflags interval\n\t\tauto-merge\n",
	    family == TD_AF_INET ? '4' : '6',
	    family == TD_AF_INET ? "ipv4_addr" : "ipv6_addr");
	for (uint32_t n = 0; n < config->network_count; n++) {
		const struct td_network *network = &config->networks[n];

		if (network->cidr_count == 0 ||
		    !nat_match_possible(family, network->cidrs, network->cidr_count))
			continue;
		nat_text_add(&c->text, "%s", listed > 0 ? ", " : "\t\telements = { ");
		listed += nat_list_prefixes(
		    &c->text, family, network->cidrs, network->cidr_count);
	}
	nat_text_add(&c->text, "%s\t}\n", listed > 0 ? " }\n" : "");
}

/* Addresses that only the two nodes use between themselves: never forwarded to. */
static void
sync_set(struct nat_compiler *c, uint8_t family)
{
	struct td_addr list[TD_NODES * TD_SYNC_LINKS_MAX];
	struct nat_addresses addresses = { .list = list };

	for (uint32_t n = 0; n < TD_NODES; n++)
		for (uint32_t l = 0; l < TD_SYNC_LINKS_MAX; l++) {
			const struct td_addr *addr =
			    &c->config->nodes[n].sync_address[l];

			if (addr->family == family)
				list[addresses.count++] = *addr;
		}
	address_set(c, "sync", family, &addresses);
}

void
nat_compile_sets(struct nat_compiler *c)
{
	for (unsigned f = 0; f < NAT_FAMILIES; f++) {
		address_set(c, "virtual", nat_family[f], &c->virtual_addresses);
		address_set(c, "public", nat_family[f], &c->public_addresses);
		inside_set(c, nat_family[f]);
		sync_set(c, nat_family[f]);
	}
}

static bool
has_family(const struct td_interface *interface, uint8_t family)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (interface->addresses[i].addr.family == family)
			return true;
	return false;
}

/* One device carries both families, unless each is a virtual router of its own. A name
 * that does not fit is numbered by the kernel and cannot be known here. */
static void
add_virtual_devices(struct nat_compiler *c, const struct td_interface *interface)
{
	bool has4 = has_family(interface, TD_AF_INET);
	bool own6 = has_family(interface, TD_AF_INET6) &&
		    (!has4 || c->config->vrrp.mode == TD_VRRP_INDEPENDENT);

	for (unsigned f = 0; f < NAT_FAMILIES; f++) {
		bool v6 = nat_family[f] == TD_AF_INET6;
		char device[TD_IFNAME_MAX];
		int len = snprintf(device, sizeof(device), "td%u%s-%s", interface->vrid,
		    v6 ? "v6" : "", interface->name);

		if (interface->virtual_mac && (v6 ? own6 : has4) && len < TD_IFNAME_MAX)
			nat_text_add(&c->text, ", \"%s\"", device);
	}
}

/* The public members' devices: the parent and what stands on it. */
static bool
public_devices(struct nat_compiler *c)
{
	const struct td_config *config = c->config;
	uint32_t listed = 0;

	for (uint32_t i = 0; i < config->interface_count; i++) {
		const struct td_interface *interface = &config->interfaces[i];

		if (!interface->is_public)
			continue;
		nat_text_add(&c->text, "%s\"%s\"",
		    listed++ > 0 ? ", " : "\t\tiifname { ", interface->name);
		add_virtual_devices(c, interface);
	}
	return listed > 0;
}

static void
guard_spoofed(struct nat_compiler *c)
{
	for (unsigned f = 0; f < NAT_FAMILIES; f++)
		if (nat_has_inside(c->config, nat_family[f]) && public_devices(c))
			nat_text_add(&c->text,
			    " } %s saddr @inside%c counter name %s drop\n",
			    nat_ip(nat_family[f]),
			    nat_family[f] == TD_AF_INET ? '4' : '6',
			    drop_counter(c, NAT_DROP_SPOOFED));
}

/* A balancer's source list. Refused before the translation, so that nothing is left of
 * the attempt. */
static void
guard_balancer(struct nat_compiler *c, uint32_t index)
{
	const struct td_balancer *balancer = &c->config->balancers[index];
	char buf[TD_ADDR_STRLEN];

	if (balancer->source_count == 0)
		return;
	for (uint32_t b = 0; b < balancer->bind_count; b++) {
		const struct td_endpoint *bind = &balancer->binds[b];
		uint8_t family = bind->addr.family;
		struct td_port_range port = { bind->port, bind->port };
		bool everyone = false;

		for (uint32_t i = 0; i < balancer->source_count; i++)
			everyone =
			    everyone || (balancer->sources[i].addr.family == family &&
					    balancer->sources[i].len == 0);
		if (everyone)
			continue;
		nat_text_add(&c->text, "\t\t%s daddr %s ", nat_ip(family),
		    td_addr_format(&bind->addr, buf));
		nat_match_protocol(&c->text, family, balancer->protocol, port);
		if (nat_match_possible(
			family, balancer->sources, balancer->source_count)) {
			nat_text_add(&c->text, "%s saddr != { ", nat_ip(family));
			nat_list_prefixes(&c->text, family, balancer->sources,
			    balancer->source_count);
			nat_text_add(&c->text, " } ");
		}
		nat_text_add(&c->text, "counter name %s drop\n",
		    nat_counter(c, NAT_COUNT_BALANCER_DENIED, index, 0));
	}
}

/* Is this public address opened by a rule list of its own? */
static bool
has_ingress_list(const struct td_config *config, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < config->public_address_count; i++)
		if (td_addr_equal(&config->public_addresses[i].address, addr))
			return true;
	return false;
}

static void
guard_ingress(struct nat_compiler *c, uint8_t family)
{
	const struct td_config *config = c->config;
	const char *ip = nat_ip(family);
	char buf[TD_ADDR_STRLEN];
	uint32_t listed = 0;

	for (uint32_t i = 0; i < config->public_address_count; i++) {
		const struct td_addr *addr = &config->public_addresses[i].address;

		if (addr->family != family)
			continue;
		if (listed++ == 0)
			nat_text_add(&c->text, "\t\t%s daddr vmap { ", ip);
		else
			nat_text_add(&c->text, ", ");
		nat_text_add(
		    &c->text, "%s : goto ingress_%u", td_addr_format(addr, buf), i);
	}
	if (listed > 0)
		nat_text_add(&c->text, " }\n");
	for (uint32_t i = 0; i < c->public_addresses.count; i++) {
		const struct td_addr *addr = &c->public_addresses.list[i];

		if (addr->family != family || has_ingress_list(config, addr))
			continue;
		nat_text_add(&c->text, "\t\t%s daddr @public%c goto ingress_closed\n",
		    ip, family == TD_AF_INET ? '4' : '6');
		return;
	}
}

/*
 * guard sees every packet right after conntrack and before any translation. What leaves
 * it is either part of a known flow, or new and allowed to its address.
 */
void
nat_compile_guard(struct nat_compiler *c)
{
	nat_text_add(&c->text,
	    "\tchain untracked_in {\n"
	    "\t\ttype filter hook prerouting priority raw; policy accept;\n"
	    "\t\tmeta l4proto 112 notrack\n\t}\n"
	    "\tchain untracked_out {\n"
	    "\t\ttype filter hook output priority raw; policy accept;\n"
	    "\t\tmeta l4proto 112 notrack\n\t}\n");

	/* Own addresses keep the local stack's answer; the virtual ones stay silent, so
	 * that a session whose entry is not here yet is never reset by us. */
	nat_text_add(&c->text,
	    "\tchain invalid_packet {\n"
	    "\t\tip daddr @virtual4 counter name %s drop\n",
	    drop_counter(c, NAT_DROP_INVALID));
	nat_text_add(&c->text, "\t\tip6 daddr @virtual6 counter name %s drop\n",
	    drop_counter(c, NAT_DROP_INVALID));
	nat_text_add(&c->text,
	    "\t\tfib daddr type { local, broadcast, multicast } accept\n"
	    "\t\tcounter name %s drop\n\t}\n",
	    drop_counter(c, NAT_DROP_INVALID));

	nat_text_add(&c->text,
	    "\tchain guard {\n"
	    "\t\ttype filter hook prerouting priority mangle - 10; policy accept;\n");
	/* A SYN after the end of a session is scheduled, but conntrack may take it into
	 * the old entry: then it goes the old way, and its mark is given back. */
	if (c->slots->server_count > 0)
		nat_text_add(&c->text,
		    "\t\tmeta mark & 0x%08x != 0 ct state established,related "
		    "meta mark set meta mark & 0x%08x\n",
		    TD_MARK_SERVER_MASK, ~TD_MARK_SERVER_MASK);
	nat_text_add(&c->text, "\t\tct state established,related,untracked accept\n"
			       "\t\tct state invalid goto invalid_packet\n");
	guard_spoofed(c);
	for (unsigned f = 0; f < NAT_FAMILIES; f++)
		nat_text_add(&c->text,
		    "\t\t%s daddr @virtual%c tcp flags & (fin|syn|rst|ack) != syn "
		    "counter name %s drop\n",
		    nat_ip(nat_family[f]), nat_family[f] == TD_AF_INET ? '4' : '6',
		    drop_counter(c, NAT_DROP_MIDSTREAM));
	/* What replication must hear of a flow; docs/conntrack.md has the figures. */
	nat_text_add(&c->text,
	    "\t\tmeta l4proto tcp ct event set assured,destroy\n"
	    "\t\tmeta l4proto udp ct event set reply,assured,destroy\n");
	nat_text_add(&c->text,
	    "\t\tmeta mark & 0x%08x == 0x%08x counter name %s drop\n",
	    TD_MARK_SERVER_MASK, TD_MARK_SERVER_DROP,
	    drop_counter(c, NAT_DROP_NO_SERVER));
	for (uint32_t b = 0; b < c->config->balancer_count; b++)
		guard_balancer(c, b);
	for (unsigned f = 0; f < NAT_FAMILIES; f++)
		guard_ingress(c, nat_family[f]);
	nat_text_add(&c->text, "\t}\n");
}

static bool
is_static_public(const struct td_config *config, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < config->static_nat_count; i++)
		if (td_addr_equal(&config->static_nats[i].public_address, addr))
			return true;
	return false;
}

static void
echo_accept(struct nat_compiler *c, uint8_t family)
{
	nat_text_add(&c->text, "\t\t%s type echo-request accept\n",
	    family == TD_AF_INET ? "icmp" : "icmpv6");
}

static void
firewall_rule(struct nat_compiler *c, uint8_t family,
    const struct td_firewall_rule *rule, enum nat_counter_kind kind, uint32_t index,
    uint32_t sub, const char *verdict)
{
	/* A family in which one of the lists has no member has no such rule: 0 ways. */
	uint32_t sources = nat_match_ways(family, rule->sources, rule->source_count);
	uint32_t destinations =
	    nat_match_ways(family, rule->destinations, rule->destination_count);

	for (uint32_t i = 0; i < sources * destinations; i++) {
		nat_text_add(&c->text, "\t\tmeta nfproto %s ",
		    family == TD_AF_INET ? "ipv4" : "ipv6");
		nat_match_way(&c->text, family, "saddr", rule->sources,
		    rule->source_count, i / destinations);
		nat_match_way(&c->text, family, "daddr", rule->destinations,
		    rule->destination_count, i % destinations);
		nat_match_protocol(&c->text, family, rule->protocol, rule->ports);
		nat_text_add(&c->text, "counter name %s %s\n",
		    nat_counter(c, kind, index, sub), verdict);
	}
}

/* Per public address: the rules, then nothing. They are judged before the translation,
 * so they name the public address's ports, for hairpin clients too. */
void
nat_compile_ingress(struct nat_compiler *c)
{
	const struct td_config *config = c->config;

	for (uint32_t i = 0; i < config->public_address_count; i++) {
		const struct td_public_address *public = &config->public_addresses[i];
		uint8_t family = public->address.family;

		nat_text_add(&c->text, "\tchain ingress_%u {\n", i);
		for (uint32_t r = 0; r < public->ingress_count; r++)
			firewall_rule(c, family, &public->ingress[r],
			    NAT_COUNT_INGRESS_RULE, i, r, "accept");
		/* The router answers for an address of its own; behind static NAT there
		 * is a host, which only a rule opens. */
		if (!is_static_public(config, &public->address))
			echo_accept(c, family);
		nat_text_add(&c->text, "\t\tcounter name %s drop\n\t}\n",
		    nat_counter(c, NAT_COUNT_INGRESS_DENIED, i, 0));
	}
	nat_text_add(&c->text, "\tchain ingress_closed {\n");
	for (uint32_t i = 0; i < config->static_nat_count; i++) {
		const struct td_addr *addr = &config->static_nats[i].public_address;
		char buf[TD_ADDR_STRLEN];

		if (!has_ingress_list(config, addr))
			nat_text_add(&c->text, "\t\t%s daddr %s counter name %s drop\n",
			    nat_ip(addr->family), td_addr_format(addr, buf),
			    drop_counter(c, NAT_DROP_INGRESS));
	}
	for (unsigned f = 0; f < NAT_FAMILIES; f++)
		echo_accept(c, nat_family[f]);
	nat_text_add(&c->text, "\t\tcounter name %s drop\n\t}\n",
	    drop_counter(c, NAT_DROP_INGRESS));
}

/* RFC 9568 section 6.1, Accept_Mode; an address owner always accepts. */
static bool
accepts_virtual(const struct td_config *config)
{
	return config->vrrp.accept || config->nodes[config->self].priority == 255;
}

/* What reaches the router itself. Its own addresses are the operator's business; a
 * virtual address answers echo and neighbour discovery and nothing else, without
 * "accept" neighbour discovery alone. */
void
nat_compile_input(struct nat_compiler *c)
{
	const char *accepted =
	    accepts_virtual(c->config)
		? "\t\tct state established,related,untracked accept\n"
		  "\t\ticmp type echo-request accept\n"
		  "\t\ticmpv6 type echo-request accept\n"
		: "\t\ticmpv6 type { nd-neighbor-solicit, "
		  "nd-neighbor-advert } accept\n";

	nat_text_add(&c->text,
	    "\tchain input_virtual {\n"
	    "%s"
	    "\t\tcounter name %s drop\n\t}\n"
	    "\tchain input {\n"
	    "\t\ttype filter hook input priority filter; policy accept;\n"
	    "\t\tiif lo accept\n"
	    "\t\tip daddr @virtual4 goto input_virtual\n"
	    "\t\tip6 daddr @virtual6 goto input_virtual\n\t}\n",
	    accepted, drop_counter(c, NAT_DROP_UNSERVED));
}

/* Per network: the exceptions, then the default of the offering. */
void
nat_compile_egress(struct nat_compiler *c)
{
	for (uint32_t n = 0; n < c->config->network_count; n++) {
		const struct td_network *network = &c->config->networks[n];

		nat_text_add(&c->text, "\tchain egress_%u {\n", n);
		for (uint32_t r = 0; r < network->egress_count; r++)
			for (unsigned f = 0; f < NAT_FAMILIES; f++)
				firewall_rule(c, nat_family[f], &network->egress[r],
				    NAT_COUNT_EGRESS_RULE, n, r,
				    network->egress_allow ? "drop" : "accept");
		nat_text_add(&c->text, "\t\tcounter name %s %s\n\t}\n",
		    nat_counter(c, NAT_COUNT_EGRESS_DEFAULT, n, 0),
		    network->egress_allow ? "accept" : "drop");
	}
}

static void
forward_network(struct nat_compiler *c, uint32_t index, uint8_t family)
{
	const struct td_network *network = &c->config->networks[index];
	char digit = family == TD_AF_INET ? '4' : '6';

	if (network->cidr_count == 0 ||
	    !nat_match_possible(family, network->cidrs, network->cidr_count))
		return;
	nat_text_add(&c->text, "\t\t");
	nat_match_prefixes(
	    &c->text, family, "saddr", network->cidrs, network->cidr_count);
	nat_match_prefixes(
	    &c->text, family, "daddr", network->cidrs, network->cidr_count);
	nat_text_add(&c->text, "accept\n\t\t");
	nat_match_prefixes(
	    &c->text, family, "saddr", network->cidrs, network->cidr_count);
	nat_text_add(&c->text, "%s daddr != @inside%c goto egress_%u\n", nat_ip(family),
	    digit, index);
}

/*
 * Established, then what the guard let through to be translated, then each network's
 * own policy. One network never reaches into another one, nor to the sync link.
 */
void
nat_compile_forwarding(struct nat_compiler *c)
{
	nat_text_add(&c->text,
	    "\tchain forwarding {\n"
	    "\t\ttype filter hook forward priority filter; policy drop;\n"
	    "\t\ttcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu\n");
	if (c->slots->server_count > 0)
		nat_text_add(&c->text,
		    "\t\tct mark & 0x%08x != 0 jump server_traffic\n",
		    TD_MARK_SERVER_MASK);
	nat_text_add(&c->text, "\t\tct state established,related accept\n");
	for (unsigned f = 0; f < NAT_FAMILIES; f++)
		nat_text_add(&c->text, "\t\t%s daddr @sync%c counter name %s drop\n",
		    nat_ip(nat_family[f]), nat_family[f] == TD_AF_INET ? '4' : '6',
		    drop_counter(c, NAT_DROP_FORWARD));
	nat_text_add(&c->text, "\t\tct status dnat accept\n");
	for (uint32_t n = 0; n < c->config->network_count; n++)
		for (unsigned f = 0; f < NAT_FAMILIES; f++)
			forward_network(c, n, nat_family[f]);
	nat_text_add(&c->text, "\t\tcounter name %s drop\n\t}\n",
	    drop_counter(c, NAT_DROP_FORWARD));
}
