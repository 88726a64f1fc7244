/* nat_translate.c - the chains that translate: servers, forwards, static and source
 * NAT. */
#include <string.h>
#include <tandem/mark.h>
#include "lbcore/l4/core/l4_slots.h"
#include "lbcore/nat/core/nat_compile.h"
#include "lbcore/nat/core/nat_match.h"

/* " to ADDR" in the form that a NAT statement wants, without a port. */
static void
translation(struct nat_compiler *c, const char *statement, const struct td_addr *addr)
{
	char buf[TD_ADDR_STRLEN];

	nat_text_add(&c->text, "%s %s to %s", statement, nat_ip(addr->family),
	    td_addr_format(addr, buf));
}

static void
server_map(struct nat_compiler *c, const char *name, const char *type,
    enum nat_counter_kind kind)
{
	uint32_t listed = 0;

	nat_text_add(&c->text, "\tmap %s {\n\t\ttype mark : %s\n", name, type);
	for (uint32_t b = 0; b < c->config->balancer_count; b++)
		for (uint32_t s = 0; s < c->config->balancers[b].server_count; s++) {
			uint16_t slot = l4_slot(c->slots, b, s);

			nat_text_add(&c->text,
			    "%s0x%08x : ", listed++ > 0 ? ", " : "\t\telements = { ",
			    slot);
			if (kind == NAT_COUNT_SERVER_NEW)
				nat_text_add(&c->text, "goto server_%u", slot);
			else
				nat_text_add(
				    &c->text, "\"%s\"", nat_counter(c, kind, b, s));
		}
	nat_text_add(&c->text, "%s\t}\n", listed > 0 ? " }\n" : "");
}

/*
 * One chain per server: the slot goes into the conntrack mark, where it stays for the
 * life of the flow and travels to the peer; the packet mark gives its bits back, so
 * that no routing rule sees them on a first packet only; the destination becomes the
 * server. A chain and not an element of a `dnat to mark map`, because only with
 * constants can the other owners' bits of the mark be left alone.
 */
void
nat_compile_servers(struct nat_compiler *c)
{
	char buf[TD_ADDR_STRLEN];

	if (c->slots->server_count == 0)
		return;
	for (uint32_t b = 0; b < c->config->balancer_count; b++) {
		const struct td_balancer *balancer = &c->config->balancers[b];

		for (uint32_t s = 0; s < balancer->server_count; s++) {
			const struct td_endpoint *endpoint =
			    &balancer->servers[s].endpoint;
			uint16_t slot = l4_slot(c->slots, b, s);

			nat_text_add(&c->text,
			    "\tchain server_%u {\n"
			    "\t\tct mark set ct mark & 0x%08x | 0x%08x\n"
			    "\t\tmeta mark set meta mark & 0x%08x\n"
			    "\t\tcounter name %s\n",
			    slot, ~TD_MARK_SERVER_MASK, slot, ~TD_MARK_SERVER_MASK,
			    nat_counter(c, NAT_COUNT_SERVER_NEW, b, s));
			nat_text_add(&c->text,
			    "\t\tmeta l4proto %s dnat %s to %s\n\t}\n",
			    balancer->protocol == TD_PROTO_UDP ? "udp" : "tcp",
			    nat_ip(endpoint->addr.family),
			    td_endpoint_format(endpoint, buf));
		}
	}
	server_map(c, "server_chain", "verdict", NAT_COUNT_SERVER_NEW);
	server_map(c, "server_in", "counter", NAT_COUNT_SERVER_IN);
	server_map(c, "server_out", "counter", NAT_COUNT_SERVER_OUT);
	nat_text_add(&c->text,
	    "\tchain server_traffic {\n"
	    "\t\tct direction original counter name ct mark & 0x%08x map @server_in\n"
	    "\t\tct direction reply counter name ct mark & 0x%08x map "
	    "@server_out\n\t}\n",
	    TD_MARK_SERVER_MASK, TD_MARK_SERVER_MASK);
}

/* `dnat to A:first-last` would let the kernel choose any port of the range: a moved
 * range is a map of its ports. An unmoved one needs no port at all. */
static void
forward_target(struct nat_compiler *c, const struct td_addr *addr,
    struct td_port_range from, struct td_port_range to)
{
	struct td_endpoint endpoint = { *addr, to.first };
	char buf[TD_ADDR_STRLEN];

	if (from.first == to.first) {
		translation(c, "dnat", addr);
		nat_text_add(&c->text, "\n");
		return;
	}
	if (from.first == from.last) {
		nat_text_add(&c->text, "dnat %s to %s\n", nat_ip(addr->family),
		    td_endpoint_format(&endpoint, buf));
		return;
	}
	nat_text_add(&c->text,
	    addr->family == TD_AF_INET ? "dnat ip to %s" : "dnat ip6 to [%s]",
	    td_addr_format(addr, buf));
	nat_text_add(&c->text, " : th dport map { ");
	for (uint32_t i = 0; from.first + i <= from.last; i++)
		nat_text_add(&c->text, "%s%u : %u", i > 0 ? ", " : "", from.first + i,
		    to.first + i);
	nat_text_add(&c->text, " }\n");
}

/* One range of a forward: the whole one, or a single port of it. */
static void
forward_range(struct nat_compiler *c, uint32_t index, struct td_port_range from,
    struct td_port_range to)
{
	const struct td_port_forward *forward = &c->config->port_forwards[index];
	uint8_t family = forward->public_address.family;
	uint32_t ways = nat_match_ways(family, forward->sources, forward->source_count);
	char buf[TD_ADDR_STRLEN];

	for (uint32_t way = 0; way < ways; way++) {
		nat_text_add(&c->text, "\t\t%s daddr %s ", nat_ip(family),
		    td_addr_format(&forward->public_address, buf));
		nat_match_way(&c->text, family, "saddr", forward->sources,
		    forward->source_count, way);
		nat_match_protocol(&c->text, family, forward->protocol, from);
		nat_text_add(&c->text, "counter name %s ",
		    nat_counter(c, NAT_COUNT_PORT_FORWARD, index, 0));
		forward_target(c, &forward->private_address, from, to);
	}
}

/* A short moved range is a rule per port, for the reason of nat_match_ways. */
static void
port_forward(struct nat_compiler *c, uint32_t index)
{
	struct td_port_range from = c->config->port_forwards[index].public_ports;
	struct td_port_range to = c->config->port_forwards[index].private_ports;

	if (from.first == to.first || from.last - from.first >= NAT_WAYS_MAX) {
		forward_range(c, index, from, to);
		return;
	}
	for (uint16_t i = 0; i <= from.last - from.first; i++) {
		uint16_t public_port = (uint16_t)(from.first + i);
		uint16_t private_port = (uint16_t)(to.first + i);

		forward_range(c, index,
		    (struct td_port_range){ public_port, public_port },
		    (struct td_port_range){ private_port, private_port });
	}
}

void
nat_compile_translate_in(struct nat_compiler *c)
{
	const struct td_config *config = c->config;
	char buf[TD_ADDR_STRLEN];

	nat_text_add(&c->text,
	    "\tchain translate_in {\n"
	    "\t\ttype nat hook prerouting priority dstnat; policy accept;\n");
	if (c->slots->server_count > 0)
		nat_text_add(&c->text, "\t\tmeta mark & 0x%08x vmap @server_chain\n",
		    TD_MARK_SERVER_MASK);
	nat_text_add(&c->text, "\t\tmeta mark & 0x%08x != 0 counter name %s drop\n",
	    TD_MARK_SERVER_MASK, nat_counter(c, NAT_COUNT_DROP, NAT_DROP_LOST_MARK, 0));

	for (uint32_t i = 0; i < config->port_forward_count; i++)
		port_forward(c, i);
	for (uint32_t i = 0; i < config->static_nat_count; i++) {
		const struct td_static_nat *nat = &config->static_nats[i];

		nat_text_add(&c->text, "\t\t%s daddr %s counter name %s ",
		    nat_ip(nat->public_address.family),
		    td_addr_format(&nat->public_address, buf),
		    nat_counter(c, NAT_COUNT_STATIC_IN, i, 0));
		translation(c, "dnat", &nat->private_address);
		nat_text_add(&c->text, "\n");
	}
	nat_text_add(&c->text, "\t}\n");
}

/* A client and its server in one network: the answer must come back through us. */
static void
hairpin(struct nat_compiler *c, const struct td_network *network, uint8_t family)
{
	const struct td_addr *gateway = nat_gateway(c->config, network, family);

	if (gateway == NULL)
		return;
	nat_text_add(&c->text, "\t\tct status dnat ");
	nat_match_prefixes(
	    &c->text, family, "saddr", network->cidrs, network->cidr_count);
	nat_match_prefixes(
	    &c->text, family, "daddr", network->cidrs, network->cidr_count);
	translation(c, "snat", gateway);
	nat_text_add(&c->text, "\n");
}

/* Only traffic that came in from somewhere is translated: a packet from an address of
 * this host is the router's own, and stays what it is on both nodes. */
void
nat_compile_translate_out(struct nat_compiler *c)
{
	const struct td_config *config = c->config;
	char buf[TD_ADDR_STRLEN];

	nat_text_add(&c->text,
	    "\tchain translate_out {\n"
	    "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
	    "\t\tfib saddr type local accept\n");
	for (uint32_t n = 0; n < config->network_count; n++)
		for (unsigned f = 0; f < NAT_FAMILIES; f++)
			hairpin(c, &config->networks[n], nat_family[f]);

	for (uint32_t i = 0; i < config->static_nat_count; i++) {
		const struct td_static_nat *nat = &config->static_nats[i];
		uint8_t family = nat->private_address.family;

		nat_text_add(&c->text, "\t\t%s saddr %s %s daddr != @inside%c ",
		    nat_ip(family), td_addr_format(&nat->private_address, buf),
		    nat_ip(family), family == TD_AF_INET ? '4' : '6');
		nat_text_add(&c->text, "counter name %s ",
		    nat_counter(c, NAT_COUNT_STATIC_OUT, i, 0));
		translation(c, "snat", &nat->public_address);
		nat_text_add(&c->text, "\n");
	}

	for (uint32_t n = 0; n < config->network_count; n++) {
		const struct td_network *network = &config->networks[n];

		for (unsigned f = 0; f < NAT_FAMILIES; f++) {
			uint8_t family = nat_family[f];
			const struct td_addr *addr = &network->source_nat[f];

			if (addr->family != family || network->cidr_count == 0 ||
			    !nat_match_possible(
				family, network->cidrs, network->cidr_count))
				continue;
			nat_text_add(&c->text, "\t\t");
			nat_match_prefixes(&c->text, family, "saddr", network->cidrs,
			    network->cidr_count);
			nat_text_add(&c->text, "%s daddr != @inside%c counter name %s ",
			    nat_ip(family), family == TD_AF_INET ? '4' : '6',
			    nat_counter(c, NAT_COUNT_SOURCE_NAT, n, 0));
			translation(c, "snat", addr);
			nat_text_add(&c->text, "\n");
		}
	}
	nat_text_add(&c->text, "\t}\n");
}
