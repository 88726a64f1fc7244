#include "common/config_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/instant.h>
#include "common/config_yaml.h"
#include "common/duration.h"
#include "common/z85.h"

/* Every function below returns false after it has said what is wrong here. */
struct build {
	struct config_complaint *complaint;
	char path[64]; /* of the mapping that is read now */
};

__attribute__((format(printf, 3, 4))) static bool
wrong(struct build *b, const char *key, const char *reason, ...)
{
	va_list ap;

	snprintf(b->complaint->key, sizeof(b->complaint->key), "%s%s%.60s", b->path,
	    b->path[0] != '\0' && key[0] != '\0' && key[0] != '[' ? "." : "", key);
	va_start(ap, reason);
	vsnprintf(b->complaint->reason, sizeof(b->complaint->reason), reason, ap);
	va_end(ap);
	return false;
}

__attribute__((format(printf, 2, 3))) static void
enter(struct build *b, const char *path, ...)
{
	va_list ap;

	va_start(ap, path);
	vsnprintf(b->path, sizeof(b->path), path, ap);
	va_end(ap);
}

/* ---- single values ---- */

static bool
take_name(
    struct build *b, const char *key, const char *text, char *ret_name, size_t size)
{
	if (strlen(text) >= size)
		return wrong(
		    b, key, "'%.40s' is longer than %zu characters", text, size - 1);
	memcpy(ret_name, text, strlen(text) + 1);
	return true;
}

/* An absent number leaves the default. */
static bool
take_number(struct build *b, const char *key, const uint32_t *number, uint32_t min,
    uint32_t max, uint32_t *value)
{
	if (number == NULL)
		return true;
	if (*number < min || *number > max)
		return wrong(b, key, "%u is not in %u..%u", *number, min, max);
	*value = *number;
	return true;
}

static bool
take_u16(struct build *b, const char *key, const uint32_t *number, uint16_t *value)
{
	uint32_t wide = *value;

	if (!take_number(b, key, number, 1, UINT16_MAX, &wide))
		return false;
	*value = (uint16_t)wide;
	return true;
}

static bool
take_duration(struct build *b, const char *key, const char *text, int64_t *value)
{
	if (text == NULL || duration_parse(text, value))
		return true;
	return wrong(b, key, "'%.40s' is no duration such as 100ms, 1.5s or 5m", text);
}

static void
take_switch(const bool *value, bool *ret)
{
	if (value != NULL)
		*ret = *value;
}

static bool
take_addr(struct build *b, const char *key, const char *text, struct td_addr *ret_addr)
{
	if (text == NULL || td_addr_parse(text, ret_addr))
		return true;
	return wrong(b, key, "'%.60s' is no IPv4 or IPv6 address", text);
}

static bool
take_prefix(struct build *b, const char *key, const char *text, struct td_prefix *ret)
{
	if (td_prefix_parse(text, ret))
		return true;
	return wrong(b, key,
	    "'%.60s' is no address with a prefix length such as 10.1.1.0/24", text);
}

static bool
take_endpoint(
    struct build *b, const char *key, const char *text, struct td_endpoint *ret)
{
	if (text == NULL || td_endpoint_parse(text, ret))
		return true;
	return wrong(b, key, "'%.60s' is no address:port or [IPv6 address]:port", text);
}

static bool
take_ports(
    struct build *b, const char *key, const char *text, struct td_port_range *ret)
{
	if (text == NULL || td_port_range_parse(text, ret))
		return true;
	return wrong(b, key,
	    "'%.40s' is no port or range of ports such as 80 or 8000-8010", text);
}

static bool
take_key(
    struct build *b, const char *key, const char *text, uint8_t ret_key[TD_KEY_BYTES])
{
	if (text == NULL || z85_key_decode(text, ret_key))
		return true;
	return wrong(b, key,
	    "no public key: %zu characters, not 40 characters of Z85 from `tandemctl "
	    "keygen`",
	    strlen(text));
}

/* ---- lists ---- */

static bool
new_list(struct build *b, const char *key, void **ret_list, uint32_t *ret_count,
    uint32_t count, size_t size)
{
	if (count == 0)
		return true;
	*ret_list = calloc(count, size);
	if (*ret_list == NULL)
		return wrong(b, key, "no memory");
	*ret_count = count;
	return true;
}
#define NEW_LIST(b, key, list, list_count, count)                                      \
	new_list(b, key, (void **)&(list), &(list_count), count, sizeof(*(list)))

static bool
take_prefixes(struct build *b, const char *key, char *const *texts, uint32_t count,
    struct td_prefix **ret_list, uint32_t *ret_count)
{
	char entry[64];

	if (!NEW_LIST(b, key, *ret_list, *ret_count, count))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		snprintf(entry, sizeof(entry), "%s[%u]", key, i);
		if (!take_prefix(b, entry, texts[i], &(*ret_list)[i]))
			return false;
	}
	return true;
}

/* `list` is egress or ingress of the mapping at `path`. */
static bool
take_rules(struct build *b, const char *path, const char *list,
    const struct yaml_rule *from, uint32_t count, struct td_firewall_rule **ret_rules,
    uint32_t *ret_count)
{
	if (!NEW_LIST(b, list, *ret_rules, *ret_count, count))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct td_firewall_rule *rule = &(*ret_rules)[i];

		enter(b, "%s.%s[%u]", path, list, i);
		if (from[i].protocol != NULL)
			rule->protocol = (enum td_protocol) * from[i].protocol;
		if (!take_ports(b, "ports", from[i].ports, &rule->ports) ||
		    !take_prefixes(b, "sources", from[i].sources, from[i].sources_count,
			&rule->sources, &rule->source_count) ||
		    !take_prefixes(b, "destinations", from[i].destinations,
			from[i].destinations_count, &rule->destinations,
			&rule->destination_count))
			return false;
	}
	return true;
}

/* ---- sections ---- */

static bool
build_nodes(struct build *b, const struct yaml_config *yaml, struct td_config *config)
{
	bool independent = yaml->vrrp != NULL && yaml->vrrp->mode != NULL &&
			   *yaml->vrrp->mode == TD_VRRP_INDEPENDENT;

	for (uint32_t i = 0; i < TD_NODES; i++) {
		const struct yaml_node_entry *from = &yaml->nodes[i];
		struct td_node *node = &config->nodes[i];
		uint32_t priority = 0;
		char entry[64];

		enter(b, "nodes[%u]", i);
		if (from->priority == 255 && !independent)
			return wrong(b, "priority",
			    "255 belongs to an address owner, which only mode "
			    "independent has");
		if (!take_name(b, "name", from->name, node->name, sizeof(node->name)) ||
		    !take_number(b, "priority", &from->priority, 1,
			independent ? 255 : 254, &priority) ||
		    !take_key(b, "public_key", from->public_key, node->public_key[0]) ||
		    !take_key(b, "public_key_next", from->public_key_next,
			node->public_key[1]) ||
		    !take_endpoint(
			b, "management", from->management, &node->management))
			return false;
		node->priority = (uint8_t)priority;
		for (uint32_t j = 0; j < from->sync_addresses_count; j++) {
			snprintf(entry, sizeof(entry), "sync_addresses[%u]", j);
			if (!take_addr(b, entry, from->sync_addresses[j],
				&node->sync_address[j]))
				return false;
		}
	}
	return true;
}

static bool
build_vrrp(struct build *b, const struct yaml_vrrp *from, struct td_vrrp_config *vrrp)
{
	uint32_t version = 3;
	bool fence = true;

	*vrrp = (struct td_vrrp_config){
		.mode = TD_VRRP_NODE,
		.advertisement_interval_ns = 100 * NS_PER_MS,
		.accept = true,
		.checksum_pseudo_header = true,
		.garp_repeat = 4,
		.garp_refresh_ns = 60 * NS_PER_S,
	};
	if (from != NULL && from->version != NULL && *from->version == 2)
		vrrp->advertisement_interval_ns = NS_PER_S;
	if (from != NULL) {
		enter(b, "vrrp");
		if (from->mode != NULL)
			vrrp->mode = (enum td_vrrp_mode) * from->mode;
		take_switch(from->preempt, &vrrp->preempt);
		take_switch(from->accept, &vrrp->accept);
		take_switch(
		    from->checksum_pseudo_header, &vrrp->checksum_pseudo_header);
		take_switch(from->fence, &fence);
		take_switch(from->keepalived_names, &vrrp->keepalived_names);
		if (!take_number(b, "version", from->version, 2, 3, &version) ||
		    !take_duration(b, "advertisement_interval",
			from->advertisement_interval,
			&vrrp->advertisement_interval_ns) ||
		    !take_duration(b, "preempt_delay", from->preempt_delay,
			&vrrp->preempt_delay_ns) ||
		    !take_number(b, "garp_repeat", from->garp_repeat, 0, UINT32_MAX,
			&vrrp->garp_repeat) ||
		    !take_duration(
			b, "garp_refresh", from->garp_refresh, &vrrp->garp_refresh_ns))
			return false;
	}
	vrrp->version = (uint8_t)version;
	vrrp->fence = fence ? TD_FENCE_ON : TD_FENCE_OFF;
	return true;
}

static bool
build_sync(struct build *b, const struct yaml_sync *from, struct td_sync_config *sync)
{
	*sync = (struct td_sync_config){
		.port = 4810,
		.witness_port = 4811,
		.batch_interval_ns = 2 * NS_PER_MS,
		.batch_bytes = 65536,
		.flows_max = 262144,
		.lease_ns = 60 * NS_PER_S,
	};
	if (from == NULL)
		return true;
	enter(b, "sync");
	return take_u16(b, "port", from->port, &sync->port) &&
	       take_u16(b, "witness_port", from->witness_port, &sync->witness_port) &&
	       take_duration(b, "batch_interval", from->batch_interval,
		   &sync->batch_interval_ns) &&
	       take_number(b, "batch_bytes", from->batch_bytes, 0, UINT32_MAX,
		   &sync->batch_bytes) &&
	       take_number(
		   b, "flows_max", from->flows_max, 0, UINT32_MAX, &sync->flows_max) &&
	       take_duration(b, "lease", from->lease, &sync->lease_ns);
}

static bool
build_hooks(
    struct build *b, const struct yaml_hooks *from, struct td_hooks_config *hooks)
{
	config_hooks_default(hooks);
	if (from == NULL)
		return true;
	enter(b, "hooks");
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
		if (from->path[hook] != NULL &&
		    !take_name(b, td_hook_name((enum td_hook)hook), from->path[hook],
			hooks->path[hook], sizeof(hooks->path[hook])))
			return false;
	return take_duration(b, "timeout", from->timeout, &hooks->timeout_ns) &&
	       (from->user == NULL ||
		   take_name(b, "user", from->user, hooks->user, sizeof(hooks->user)));
}

static bool
build_track_script(struct build *b, uint32_t index,
    const struct yaml_track_script *from, struct td_track_script *script)
{
	enter(b, "track_scripts[%u]", index);
	script->interval_ns = NS_PER_S;
	script->rise = 2;
	script->fall = 3;
	if (!take_duration(b, "interval", from->interval, &script->interval_ns))
		return false;
	script->timeout_ns = script->interval_ns;
	return take_name(b, "name", from->name, script->name, sizeof(script->name)) &&
	       take_name(b, "script", from->path, script->path, sizeof(script->path)) &&
	       take_duration(b, "timeout", from->timeout, &script->timeout_ns) &&
	       take_number(b, "rise", from->rise, 0, UINT32_MAX, &script->rise) &&
	       take_number(b, "fall", from->fall, 0, UINT32_MAX, &script->fall);
}

static bool
build_routes(struct build *b, uint32_t index, const struct yaml_interface *from,
    struct td_interface *interface)
{
	if (!NEW_LIST(b, "routes", interface->routes, interface->route_count,
		from->routes_count))
		return false;
	for (uint32_t i = 0; i < from->routes_count; i++) {
		enter(b, "interfaces[%u].routes[%u]", index, i);
		if (!take_prefix(b, "to", from->routes[i].to,
			&interface->routes[i].destination) ||
		    !take_addr(
			b, "via", from->routes[i].via, &interface->routes[i].gateway))
			return false;
	}
	return true;
}

/* Those of both nodes in one family, then perhaps those in the other. */
static bool
build_node_addresses(
    struct build *b, const struct yaml_interface *from, struct td_interface *interface)
{
	struct td_addr addr, *pair = NULL;
	char entry[64];

	if (from->node_addresses_count % TD_NODES != 0)
		return wrong(
		    b, "node_addresses", "one of each node, or one per family");
	for (uint32_t i = 0; i < from->node_addresses_count; i++) {
		snprintf(entry, sizeof(entry), "node_addresses[%u]", i);
		if (!take_addr(b, entry, from->node_addresses[i], &addr))
			return false;
		if (i % TD_NODES == 0)
			pair = interface->node_address[addr.family == TD_AF_INET6];
		else if (pair[0].family != addr.family)
			return wrong(b, "node_addresses", "must be of the same family");
		if (pair[i % TD_NODES].family != 0)
			return wrong(b, entry, "this family was given already");
		pair[i % TD_NODES] = addr;
	}
	return true;
}

static bool
build_interface(struct build *b, uint32_t index, const struct yaml_interface *from,
    struct td_interface *interface)
{
	uint32_t vrid = 0;

	enter(b, "interfaces[%u]", index);
	interface->virtual_mac = true;
	take_switch(from->virtual_mac, &interface->virtual_mac);
	take_switch(from->is_public, &interface->is_public);
	if (from->adverts != NULL)
		interface->adverts = (enum td_adverts) * from->adverts;
	if (!take_name(
		b, "name", from->name, interface->name, sizeof(interface->name)) ||
	    !take_number(b, "vrid", from->vrid, 1, 255, &vrid) ||
	    !take_prefixes(b, "addresses", from->addresses, from->addresses_count,
		&interface->addresses, &interface->address_count))
		return false;
	interface->vrid = (uint8_t)vrid;
	return build_node_addresses(b, from, interface) &&
	       build_routes(b, index, from, interface);
}

static bool
build_source_nat(
    struct build *b, const struct yaml_network *from, struct td_network *network)
{
	char entry[64];

	for (uint32_t i = 0; i < from->source_nat_count; i++) {
		struct td_addr addr;
		struct td_addr *slot;

		snprintf(entry, sizeof(entry), "source_nat[%u]", i);
		if (!take_addr(b, entry, from->source_nat[i], &addr))
			return false;
		slot = &network->source_nat[addr.family == TD_AF_INET ? 0 : 1];
		if (slot->family != 0)
			return wrong(b, entry, "a second address of the same family");
		*slot = addr;
	}
	return true;
}

static bool
build_network(struct build *b, uint32_t index, const struct yaml_network *from,
    struct td_config *config, struct td_network *network)
{
	char path[64];

	snprintf(path, sizeof(path), "networks[%u]", index);
	enter(b, "%s", path);
	network->egress_allow =
	    from->egress_default != NULL && *from->egress_default != 0;
	while (
	    network->interface < config->interface_count &&
	    strcmp(config->interfaces[network->interface].name, from->interface) != 0)
		network->interface++;
	if (network->interface == config->interface_count)
		return wrong(
		    b, "interface", "no interface is named '%.40s'", from->interface);
	return take_name(b, "name", from->name, network->name, sizeof(network->name)) &&
	       take_prefixes(b, "cidrs", from->cidrs, from->cidrs_count,
		   &network->cidrs, &network->cidr_count) &&
	       build_source_nat(b, from, network) &&
	       take_rules(b, path, "egress", from->egress, from->egress_count,
		   &network->egress, &network->egress_count);
}

static bool
build_public_address(struct build *b, uint32_t index,
    const struct yaml_public_address *from, struct td_public_address *public_address)
{
	char path[64];

	snprintf(path, sizeof(path), "public_addresses[%u]", index);
	enter(b, "%s", path);
	return take_addr(b, "address", from->address, &public_address->address) &&
	       take_rules(b, path, "ingress", from->ingress, from->ingress_count,
		   &public_address->ingress, &public_address->ingress_count);
}

static bool
build_port_forward(struct build *b, uint32_t index,
    const struct yaml_port_forward *from, struct td_port_forward *forward)
{
	enter(b, "port_forwarding[%u]", index);
	forward->protocol = (enum td_protocol)from->protocol;
	return take_name(b, "name", from->name, forward->name, sizeof(forward->name)) &&
	       take_addr(b, "public", from->public_address, &forward->public_address) &&
	       take_ports(
		   b, "public_ports", from->public_ports, &forward->public_ports) &&
	       take_addr(
		   b, "private", from->private_address, &forward->private_address) &&
	       take_ports(b, "private_ports",
		   from->private_ports != NULL ? from->private_ports
					       : from->public_ports,
		   &forward->private_ports) &&
	       take_prefixes(b, "sources", from->sources, from->sources_count,
		   &forward->sources, &forward->source_count);
}

static bool
build_health(struct build *b, uint32_t index, const struct yaml_health *from,
    struct td_health *health)
{
	*health = (struct td_health){
		.type = TD_HEALTH_NONE,
		.interval_ns = 2 * NS_PER_S,
		.timeout_ns = NS_PER_S,
		.rise = 2,
		.fall = 3,
	};
	if (from == NULL)
		return true;
	enter(b, "load_balancers[%u].health", index);
	if (from->type != NULL)
		health->type = (enum td_health_type) * from->type;
	return take_duration(b, "interval", from->interval, &health->interval_ns) &&
	       take_duration(b, "timeout", from->timeout, &health->timeout_ns) &&
	       take_number(b, "rise", from->rise, 0, UINT32_MAX, &health->rise) &&
	       take_number(b, "fall", from->fall, 0, UINT32_MAX, &health->fall) &&
	       take_u16(b, "port", from->port, &health->port);
}

static bool
build_servers(struct build *b, uint32_t index, const struct yaml_balancer *from,
    struct td_balancer *balancer)
{
	if (!NEW_LIST(b, "servers", balancer->servers, balancer->server_count,
		from->servers_count))
		return false;
	for (uint32_t i = 0; i < from->servers_count; i++) {
		struct td_server *server = &balancer->servers[i];

		enter(b, "load_balancers[%u].servers[%u]", index, i);
		server->weight = 1;
		if (!take_name(b, "name", from->servers[i].name, server->name,
			sizeof(server->name)) ||
		    !take_endpoint(
			b, "endpoint", from->servers[i].endpoint, &server->endpoint) ||
		    !take_number(b, "weight", from->servers[i].weight, 0, UINT32_MAX,
			&server->weight))
			return false;
	}
	return true;
}

static bool
build_balancer(struct build *b, uint32_t index, const struct yaml_balancer *from,
    struct td_balancer *balancer)
{
	char entry[64];

	enter(b, "load_balancers[%u]", index);
	balancer->protocol = (enum td_protocol)from->protocol;
	if (from->algorithm != NULL)
		balancer->algorithm = (enum td_lb_algorithm) * from->algorithm;
	if (!take_name(b, "name", from->name, balancer->name, sizeof(balancer->name)) ||
	    !NEW_LIST(
		b, "binds", balancer->binds, balancer->bind_count, from->binds_count))
		return false;
	for (uint32_t i = 0; i < from->binds_count; i++) {
		snprintf(entry, sizeof(entry), "binds[%u]", i);
		if (!take_endpoint(b, entry, from->binds[i], &balancer->binds[i]))
			return false;
	}
	return take_prefixes(b, "sources", from->sources, from->sources_count,
		   &balancer->sources, &balancer->source_count) &&
	       build_health(b, index, from->health, &balancer->health) &&
	       build_servers(b, index, from, balancer);
}

static bool
build_config(struct build *b, const struct yaml_config *yaml, struct td_config *config)
{
	if (!take_name(b, "cluster", yaml->cluster, config->cluster,
		sizeof(config->cluster)) ||
	    !build_nodes(b, yaml, config) ||
	    !build_vrrp(b, yaml->vrrp, &config->vrrp) ||
	    !build_sync(b, yaml->sync, &config->sync) ||
	    !build_hooks(b, yaml->hooks, &config->hooks))
		return false;
	enter(b, "%s", "");
	if (!NEW_LIST(b, "track_scripts", config->track_scripts,
		config->track_script_count, yaml->track_scripts_count) ||
	    !NEW_LIST(b, "interfaces", config->interfaces, config->interface_count,
		yaml->interfaces_count) ||
	    !NEW_LIST(b, "networks", config->networks, config->network_count,
		yaml->networks_count) ||
	    !NEW_LIST(b, "public_addresses", config->public_addresses,
		config->public_address_count, yaml->public_addresses_count) ||
	    !NEW_LIST(b, "static_nat", config->static_nats, config->static_nat_count,
		yaml->static_nat_count) ||
	    !NEW_LIST(b, "port_forwarding", config->port_forwards,
		config->port_forward_count, yaml->port_forwarding_count) ||
	    !NEW_LIST(b, "load_balancers", config->balancers, config->balancer_count,
		yaml->load_balancers_count))
		return false;
	for (uint32_t i = 0; i < config->track_script_count; i++)
		if (!build_track_script(
			b, i, &yaml->track_scripts[i], &config->track_scripts[i]))
			return false;
	for (uint32_t i = 0; i < config->interface_count; i++)
		if (!build_interface(
			b, i, &yaml->interfaces[i], &config->interfaces[i]))
			return false;
	for (uint32_t i = 0; i < config->network_count; i++)
		if (!build_network(
			b, i, &yaml->networks[i], config, &config->networks[i]))
			return false;
	for (uint32_t i = 0; i < config->public_address_count; i++)
		if (!build_public_address(
			b, i, &yaml->public_addresses[i], &config->public_addresses[i]))
			return false;
	for (uint32_t i = 0; i < config->static_nat_count; i++) {
		enter(b, "static_nat[%u]", i);
		if (!take_addr(b, "public", yaml->static_nat[i].public_address,
			&config->static_nats[i].public_address) ||
		    !take_addr(b, "private", yaml->static_nat[i].private_address,
			&config->static_nats[i].private_address))
			return false;
	}
	for (uint32_t i = 0; i < config->port_forward_count; i++)
		if (!build_port_forward(
			b, i, &yaml->port_forwarding[i], &config->port_forwards[i]))
			return false;
	for (uint32_t i = 0; i < config->balancer_count; i++)
		if (!build_balancer(
			b, i, &yaml->load_balancers[i], &config->balancers[i]))
			return false;
	return true;
}

struct td_config *
config_build(const struct yaml_config *yaml, struct config_complaint *ret_complaint)
{
	struct build b = { .complaint = ret_complaint };
	struct td_config *config = calloc(1, sizeof(*config));

	if (config == NULL) {
		wrong(&b, "", "no memory");
		return NULL;
	}
	if (!build_config(&b, yaml, config)) {
		td_config_free(config);
		return NULL;
	}
	return config;
}
