/* config_wire.c - struct td_config as bytes: proto/config.proto. */
#include <tandem/config.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include <tandem/assert.h>
#include "common/arena.h"
#include "common/config_check.h"
#include "config.pb-c.h"

#define PACKED_BYTES_MAX (16UL * 1024 * 1024)
#define ARENA_BYTES_MAX (256UL * 1024 * 1024)

/* ---- pack: the generated tree borrows from the configuration ---- */

static void *
take(struct arena *arena, size_t count, size_t size)
{
	void *p = arena_alloc(arena, count * size);

	/* Bounded by the configuration, which was bounded when it was made. */
	td_assert(p != NULL);
	return p;
}

/* The generated types have no const; packing only reads. */
static char *
borrow(const char *text)
{
	return (char *)(uintptr_t)text;
}

static ProtobufCBinaryData
pack_addr(const struct td_addr *addr)
{
	return (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)addr->bytes,
		.len = td_addr_len(addr) };
}

static Tandem__Config__Prefix *
pack_prefix(struct arena *arena, const struct td_prefix *from)
{
	Tandem__Config__Prefix *to = take(arena, 1, sizeof(*to));

	tandem__config__prefix__init(to);
	to->addr = pack_addr(&from->addr);
	to->len = from->len;
	return to;
}

static Tandem__Config__Prefix **
pack_prefixes(struct arena *arena, const struct td_prefix *from, size_t count)
{
	Tandem__Config__Prefix **to = take(arena, count, sizeof(*to));

	for (size_t i = 0; i < count; i++)
		to[i] = pack_prefix(arena, &from[i]);
	return to;
}

static Tandem__Config__Endpoint *
pack_endpoint(struct arena *arena, const struct td_endpoint *from)
{
	Tandem__Config__Endpoint *to = take(arena, 1, sizeof(*to));

	tandem__config__endpoint__init(to);
	to->addr = pack_addr(&from->addr);
	to->port = from->port;
	return to;
}

static Tandem__Config__PortRange *
pack_ports(struct arena *arena, const struct td_port_range *from)
{
	Tandem__Config__PortRange *to = take(arena, 1, sizeof(*to));

	tandem__config__port_range__init(to);
	to->first = from->first;
	to->last = from->last;
	return to;
}

static bool
key_is_set(const uint8_t key[TD_KEY_BYTES])
{
	return !sodium_is_zero(key, TD_KEY_BYTES);
}

static Tandem__Config__Node *
pack_node(struct arena *arena, const struct td_node *from)
{
	Tandem__Config__Node *to = take(arena, 1, sizeof(*to));

	tandem__config__node__init(to);
	to->name = borrow(from->name);
	to->priority = from->priority;
	to->public_key = take(arena, 2, sizeof(*to->public_key));
	to->n_public_key = key_is_set(from->public_key[1]) ? 2 : 1;
	for (size_t i = 0; i < to->n_public_key; i++)
		to->public_key[i] = (ProtobufCBinaryData){ .len = TD_KEY_BYTES,
			.data = (uint8_t *)(uintptr_t)from->public_key[i] };
	to->sync_address = take(arena, TD_SYNC_LINKS_MAX, sizeof(*to->sync_address));
	for (size_t i = 0; i < TD_SYNC_LINKS_MAX; i++)
		if (from->sync_address[i].family != 0)
			to->sync_address[to->n_sync_address++] =
			    pack_addr(&from->sync_address[i]);
	to->management = pack_endpoint(arena, &from->management);
	return to;
}

static Tandem__Config__Vrrp *
pack_vrrp(struct arena *arena, const struct td_vrrp_config *from)
{
	Tandem__Config__Vrrp *to = take(arena, 1, sizeof(*to));

	tandem__config__vrrp__init(to);
	to->mode = from->mode;
	to->version = from->version;
	to->advertisement_interval_ns = from->advertisement_interval_ns;
	to->preempt = from->preempt;
	to->preempt_delay_ns = from->preempt_delay_ns;
	to->accept = from->accept;
	to->checksum_pseudo_header = from->checksum_pseudo_header;
	to->fence = from->fence;
	to->garp_repeat = from->garp_repeat;
	to->garp_refresh_ns = from->garp_refresh_ns;
	to->keepalived_names = from->keepalived_names;
	return to;
}

static Tandem__Config__Sync *
pack_sync(struct arena *arena, const struct td_sync_config *from)
{
	Tandem__Config__Sync *to = take(arena, 1, sizeof(*to));

	tandem__config__sync__init(to);
	to->port = from->port;
	to->witness_port = from->witness_port;
	to->batch_interval_ns = from->batch_interval_ns;
	to->batch_bytes = from->batch_bytes;
	to->flows_max = from->flows_max;
	to->lease_ns = from->lease_ns;
	return to;
}

/* Nothing to run is no section: who does not know this one has the same digest. */
static Tandem__Config__Hooks *
pack_hooks(struct arena *arena, const struct td_hooks_config *from)
{
	Tandem__Config__Hooks *to;

	struct td_hooks_config none;

	config_hooks_default(&none);
	if (!td_hooks_any(from) && from->timeout_ns == none.timeout_ns &&
	    strcmp(from->user, none.user) == 0)
		return NULL;
	to = take(arena, 1, sizeof(*to));
	tandem__config__hooks__init(to);
	to->active = borrow(from->path[TD_HOOK_ACTIVE]);
	to->backup = borrow(from->path[TD_HOOK_BACKUP]);
	to->fault = borrow(from->path[TD_HOOK_FAULT]);
	to->stop = borrow(from->path[TD_HOOK_STOP]);
	to->notify = borrow(from->path[TD_HOOK_NOTIFY]);
	to->timeout_ns = from->timeout_ns;
	to->user = borrow(from->user);
	return to;
}

static Tandem__Config__TrackScript *
pack_track_script(struct arena *arena, const struct td_track_script *from)
{
	Tandem__Config__TrackScript *to = take(arena, 1, sizeof(*to));

	tandem__config__track_script__init(to);
	to->name = borrow(from->name);
	to->path = borrow(from->path);
	to->interval_ns = from->interval_ns;
	to->timeout_ns = from->timeout_ns;
	to->rise = from->rise;
	to->fall = from->fall;
	return to;
}

static Tandem__Config__Interface *
pack_interface(struct arena *arena, const struct td_interface *from)
{
	Tandem__Config__Interface *to = take(arena, 1, sizeof(*to));

	tandem__config__interface__init(to);
	to->name = borrow(from->name);
	to->vrid = from->vrid;
	to->adverts = from->adverts;
	to->virtual_mac = from->virtual_mac;
	to->n_node_address = TD_FAMILIES * TD_NODES;
	to->node_address = take(arena, to->n_node_address, sizeof(*to->node_address));
	for (size_t i = 0; i < to->n_node_address; i++)
		to->node_address[i] =
		    pack_addr(&from->node_address[i / TD_NODES][i % TD_NODES]);
	to->n_address = from->address_count;
	to->address = pack_prefixes(arena, from->addresses, from->address_count);
	to->n_route = from->route_count;
	to->route = take(arena, from->route_count, sizeof(*to->route));
	for (size_t i = 0; i < from->route_count; i++) {
		to->route[i] = take(arena, 1, sizeof(*to->route[i]));
		tandem__config__route__init(to->route[i]);
		to->route[i]->destination =
		    pack_prefix(arena, &from->routes[i].destination);
		to->route[i]->gateway = pack_addr(&from->routes[i].gateway);
	}
	to->is_public = from->is_public;
	return to;
}

static Tandem__Config__FirewallRule **
pack_rules(struct arena *arena, const struct td_firewall_rule *from, size_t count)
{
	Tandem__Config__FirewallRule **to = take(arena, count, sizeof(*to));

	for (size_t i = 0; i < count; i++) {
		to[i] = take(arena, 1, sizeof(*to[i]));
		tandem__config__firewall_rule__init(to[i]);
		to[i]->protocol = from[i].protocol;
		to[i]->ports = pack_ports(arena, &from[i].ports);
		to[i]->n_source = from[i].source_count;
		to[i]->source =
		    pack_prefixes(arena, from[i].sources, from[i].source_count);
		to[i]->n_destination = from[i].destination_count;
		to[i]->destination = pack_prefixes(
		    arena, from[i].destinations, from[i].destination_count);
	}
	return to;
}

static Tandem__Config__Network *
pack_network(struct arena *arena, const struct td_network *from)
{
	Tandem__Config__Network *to = take(arena, 1, sizeof(*to));

	tandem__config__network__init(to);
	to->name = borrow(from->name);
	to->interface = from->interface;
	to->n_cidr = from->cidr_count;
	to->cidr = pack_prefixes(arena, from->cidrs, from->cidr_count);
	to->n_source_nat = 2;
	to->source_nat = take(arena, 2, sizeof(*to->source_nat));
	for (size_t i = 0; i < 2; i++)
		to->source_nat[i] = pack_addr(&from->source_nat[i]);
	to->egress_allow = from->egress_allow;
	to->n_egress = from->egress_count;
	to->egress = pack_rules(arena, from->egress, from->egress_count);
	return to;
}

static Tandem__Config__PublicAddress *
pack_public_address(struct arena *arena, const struct td_public_address *from)
{
	Tandem__Config__PublicAddress *to = take(arena, 1, sizeof(*to));

	tandem__config__public_address__init(to);
	to->address = pack_addr(&from->address);
	to->n_ingress = from->ingress_count;
	to->ingress = pack_rules(arena, from->ingress, from->ingress_count);
	return to;
}

static Tandem__Config__StaticNat *
pack_static_nat(struct arena *arena, const struct td_static_nat *from)
{
	Tandem__Config__StaticNat *to = take(arena, 1, sizeof(*to));

	tandem__config__static_nat__init(to);
	to->public_address = pack_addr(&from->public_address);
	to->private_address = pack_addr(&from->private_address);
	return to;
}

static Tandem__Config__PortForward *
pack_port_forward(struct arena *arena, const struct td_port_forward *from)
{
	Tandem__Config__PortForward *to = take(arena, 1, sizeof(*to));

	tandem__config__port_forward__init(to);
	to->name = borrow(from->name);
	to->public_address = pack_addr(&from->public_address);
	to->private_address = pack_addr(&from->private_address);
	to->protocol = from->protocol;
	to->public_ports = pack_ports(arena, &from->public_ports);
	to->private_ports = pack_ports(arena, &from->private_ports);
	to->n_source = from->source_count;
	to->source = pack_prefixes(arena, from->sources, from->source_count);
	return to;
}

static Tandem__Config__Health *
pack_health(struct arena *arena, const struct td_health *from)
{
	Tandem__Config__Health *to = take(arena, 1, sizeof(*to));

	tandem__config__health__init(to);
	to->type = from->type;
	to->interval_ns = from->interval_ns;
	to->timeout_ns = from->timeout_ns;
	to->rise = from->rise;
	to->fall = from->fall;
	to->port = from->port;
	return to;
}

static Tandem__Config__Balancer *
pack_balancer(struct arena *arena, const struct td_balancer *from)
{
	Tandem__Config__Balancer *to = take(arena, 1, sizeof(*to));

	tandem__config__balancer__init(to);
	to->name = borrow(from->name);
	to->protocol = from->protocol;
	to->algorithm = from->algorithm;
	to->n_bind = from->bind_count;
	to->bind = take(arena, from->bind_count, sizeof(*to->bind));
	for (size_t i = 0; i < from->bind_count; i++)
		to->bind[i] = pack_endpoint(arena, &from->binds[i]);
	to->n_source = from->source_count;
	to->source = pack_prefixes(arena, from->sources, from->source_count);
	to->health = pack_health(arena, &from->health);
	to->n_server = from->server_count;
	to->server = take(arena, from->server_count, sizeof(*to->server));
	for (size_t i = 0; i < from->server_count; i++) {
		to->server[i] = take(arena, 1, sizeof(*to->server[i]));
		tandem__config__server__init(to->server[i]);
		to->server[i]->name = borrow(from->servers[i].name);
		to->server[i]->endpoint =
		    pack_endpoint(arena, &from->servers[i].endpoint);
		to->server[i]->weight = from->servers[i].weight;
	}
	return to;
}

/* Allocates the array of messages `to` and fills each from the array `from`. */
#define PACK_EACH(to, n_to, from, from_count, pack_one)                                \
	do {                                                                           \
		(to) = take(arena, (from_count), sizeof(*(to)));                       \
		(n_to) = (from_count);                                                 \
		for (size_t i_ = 0; i_ < (from_count); i_++)                           \
			(to)[i_] = pack_one(arena, &(from)[i_]);                       \
	} while (0)

static void
pack_config(
    struct arena *arena, const struct td_config *from, Tandem__Config__Config *to)
{
	tandem__config__config__init(to);
	to->cluster = borrow(from->cluster);
	PACK_EACH(to->node, to->n_node, from->nodes, (size_t)TD_NODES, pack_node);
	to->vrrp = pack_vrrp(arena, &from->vrrp);
	to->sync = pack_sync(arena, &from->sync);
	to->hooks = pack_hooks(arena, &from->hooks);
	PACK_EACH(to->track_script, to->n_track_script, from->track_scripts,
	    from->track_script_count, pack_track_script);
	PACK_EACH(to->interface, to->n_interface, from->interfaces,
	    from->interface_count, pack_interface);
	PACK_EACH(to->network, to->n_network, from->networks, from->network_count,
	    pack_network);
	PACK_EACH(to->public_address, to->n_public_address, from->public_addresses,
	    from->public_address_count, pack_public_address);
	PACK_EACH(to->static_nat, to->n_static_nat, from->static_nats,
	    from->static_nat_count, pack_static_nat);
	PACK_EACH(to->port_forward, to->n_port_forward, from->port_forwards,
	    from->port_forward_count, pack_port_forward);
	PACK_EACH(to->balancer, to->n_balancer, from->balancers, from->balancer_count,
	    pack_balancer);
}

uint8_t *
td_config_pack(const struct td_config *config, size_t *ret_len)
{
	struct arena arena;
	Tandem__Config__Config packed;
	uint8_t *bytes;
	size_t len;

	arena_init(&arena, SIZE_MAX / 2);
	pack_config(&arena, config, &packed);
	len = tandem__config__config__get_packed_size(&packed);
	bytes = malloc(len);
	if (bytes != NULL)
		*ret_len = tandem__config__config__pack(&packed, bytes);
	arena_fini(&arena);
	return bytes;
}

bool
td_config_digest(struct td_config *config)
{
	size_t len;
	uint8_t *bytes = td_config_pack(config, &len);

	if (bytes == NULL)
		return false;
	crypto_generichash(config->digest, sizeof(config->digest), bytes, len, NULL, 0);
	free(bytes);
	return true;
}

/* ---- unpack: everything is copied and checked ---- */

static bool
unpack_text(char *ret_text, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len == 0 || len >= size)
		return false;
	memcpy(ret_text, from, len + 1);
	return true;
}

/* Zeroed elements; the count is set with them, so that td_config_free knows its work.
 */
static bool
new_array(void **ret_array, uint32_t *ret_count, size_t count, size_t max, size_t size)
{
	if (count > max)
		return false;
	if (count == 0)
		return true;
	*ret_array = calloc(count, size);
	if (*ret_array == NULL)
		return false;
	*ret_count = (uint32_t)count;
	return true;
}
#define NEW_ARRAY(array, count, n, max)                                                \
	new_array((void **)&(array), &(count), (n), (max), sizeof(*(array)))

static bool
unpack_addr(struct td_addr *ret_addr, const ProtobufCBinaryData *from, bool optional)
{
	if (from->len == 0)
		return optional;
	if (from->len != 4 && from->len != 16)
		return false;
	ret_addr->family = from->len == 4 ? TD_AF_INET : TD_AF_INET6;
	memcpy(ret_addr->bytes, from->data, from->len);
	return true;
}

static bool
unpack_u16(uint16_t *ret_value, uint32_t from)
{
	*ret_value = (uint16_t)from;
	return from <= UINT16_MAX;
}

static bool
unpack_prefix(struct td_prefix *ret_prefix, const Tandem__Config__Prefix *from)
{
	if (from == NULL || !unpack_addr(&ret_prefix->addr, &from->addr, false) ||
	    from->len > 8 * from->addr.len)
		return false;
	ret_prefix->len = (uint8_t)from->len;
	return true;
}

static bool
unpack_prefixes(struct td_prefix **ret_prefixes, uint32_t *ret_count,
    Tandem__Config__Prefix *const *from, size_t count, size_t max)
{
	if (!NEW_ARRAY(*ret_prefixes, *ret_count, count, max))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!unpack_prefix(&(*ret_prefixes)[i], from[i]))
			return false;
	return true;
}

static bool
unpack_endpoint(struct td_endpoint *ret_endpoint, const Tandem__Config__Endpoint *from,
    bool optional)
{
	return from != NULL &&
	       unpack_addr(&ret_endpoint->addr, &from->addr, optional) &&
	       unpack_u16(&ret_endpoint->port, from->port) &&
	       (from->port == 0) == (from->addr.len == 0);
}

static bool
unpack_ports(struct td_port_range *ret_ports, const Tandem__Config__PortRange *from)
{
	return from != NULL && unpack_u16(&ret_ports->first, from->first) &&
	       unpack_u16(&ret_ports->last, from->last) && from->first <= from->last &&
	       (from->first == 0) == (from->last == 0);
}

static bool
unpack_node(struct td_node *ret_node, const Tandem__Config__Node *from)
{
	if (!unpack_text(ret_node->name, sizeof(ret_node->name), from->name) ||
	    from->priority > UINT8_MAX || from->n_public_key < 1 ||
	    from->n_public_key > 2 || from->n_sync_address < 1 ||
	    from->n_sync_address > TD_SYNC_LINKS_MAX)
		return false;
	ret_node->priority = (uint8_t)from->priority;
	for (size_t i = 0; i < from->n_public_key; i++) {
		if (from->public_key[i].len != TD_KEY_BYTES)
			return false;
		memcpy(ret_node->public_key[i], from->public_key[i].data, TD_KEY_BYTES);
	}
	for (size_t i = 0; i < from->n_sync_address; i++)
		if (!unpack_addr(
			&ret_node->sync_address[i], &from->sync_address[i], false))
			return false;
	return unpack_endpoint(&ret_node->management, from->management, true);
}

static bool
unpack_vrrp(struct td_vrrp_config *ret_vrrp, const Tandem__Config__Vrrp *from)
{
	if (from == NULL || from->mode > TD_VRRP_INDEPENDENT ||
	    from->version > UINT8_MAX || from->fence > TD_FENCE_OFF)
		return false;
	ret_vrrp->mode = (enum td_vrrp_mode)from->mode;
	ret_vrrp->version = (uint8_t)from->version;
	ret_vrrp->advertisement_interval_ns = from->advertisement_interval_ns;
	ret_vrrp->preempt = from->preempt;
	ret_vrrp->preempt_delay_ns = from->preempt_delay_ns;
	ret_vrrp->accept = from->accept;
	ret_vrrp->checksum_pseudo_header = from->checksum_pseudo_header;
	ret_vrrp->fence = (enum td_fence_mode)from->fence;
	ret_vrrp->garp_repeat = from->garp_repeat;
	ret_vrrp->garp_refresh_ns = from->garp_refresh_ns;
	ret_vrrp->keepalived_names = from->keepalived_names;
	return true;
}

static bool
unpack_sync(struct td_sync_config *ret_sync, const Tandem__Config__Sync *from)
{
	if (from == NULL || !unpack_u16(&ret_sync->port, from->port) ||
	    !unpack_u16(&ret_sync->witness_port, from->witness_port))
		return false;
	ret_sync->batch_interval_ns = from->batch_interval_ns;
	ret_sync->batch_bytes = from->batch_bytes;
	ret_sync->flows_max = from->flows_max;
	ret_sync->lease_ns = from->lease_ns;
	return true;
}

static bool
unpack_hooks(struct td_hooks_config *ret_hooks, const Tandem__Config__Hooks *from)
{
	const char *path[TD_HOOK_COUNT];

	config_hooks_default(ret_hooks);
	if (from == NULL)
		return true;
	path[TD_HOOK_ACTIVE] = from->active;
	path[TD_HOOK_BACKUP] = from->backup;
	path[TD_HOOK_FAULT] = from->fault;
	path[TD_HOOK_STOP] = from->stop;
	path[TD_HOOK_NOTIFY] = from->notify;
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
		if (path[hook][0] != '\0' &&
		    !unpack_text(ret_hooks->path[hook], TD_PATH_MAX, path[hook]))
			return false;
	ret_hooks->timeout_ns = from->timeout_ns;
	return unpack_text(ret_hooks->user, sizeof(ret_hooks->user), from->user);
}

static bool
unpack_track_script(
    struct td_track_script *ret_script, const Tandem__Config__TrackScript *from)
{
	ret_script->interval_ns = from->interval_ns;
	ret_script->timeout_ns = from->timeout_ns;
	ret_script->rise = from->rise;
	ret_script->fall = from->fall;
	return unpack_text(ret_script->name, sizeof(ret_script->name), from->name) &&
	       unpack_text(ret_script->path, sizeof(ret_script->path), from->path);
}

static bool
unpack_interface(struct td_interface *ret_if, const Tandem__Config__Interface *from)
{
	if (!unpack_text(ret_if->name, sizeof(ret_if->name), from->name) ||
	    from->vrid > UINT8_MAX || from->adverts > TD_ADVERTS_NONE ||
	    from->n_node_address != TD_FAMILIES * TD_NODES)
		return false;
	ret_if->vrid = (uint8_t)from->vrid;
	ret_if->adverts = (enum td_adverts)from->adverts;
	ret_if->virtual_mac = from->virtual_mac;
	ret_if->is_public = from->is_public;
	for (size_t i = 0; i < TD_FAMILIES * TD_NODES; i++) {
		struct td_addr *own = &ret_if->node_address[i / TD_NODES][i % TD_NODES];
		uint8_t family = i < TD_NODES ? TD_AF_INET : TD_AF_INET6;

		if (!unpack_addr(own, &from->node_address[i], true) ||
		    (own->family != 0 && own->family != family))
			return false;
	}
	if (!unpack_prefixes(&ret_if->addresses, &ret_if->address_count, from->address,
		from->n_address, TD_ADDRS_PER_INTERFACE_MAX))
		return false;
	if (!NEW_ARRAY(ret_if->routes, ret_if->route_count, from->n_route,
		TD_ROUTES_PER_INTERFACE_MAX))
		return false;
	for (size_t i = 0; i < from->n_route; i++)
		if (!unpack_prefix(
			&ret_if->routes[i].destination, from->route[i]->destination) ||
		    !unpack_addr(
			&ret_if->routes[i].gateway, &from->route[i]->gateway, true))
			return false;
	return true;
}

static bool
unpack_rules(struct td_firewall_rule **ret_rules, uint32_t *ret_count,
    Tandem__Config__FirewallRule *const *from, size_t count)
{
	if (!NEW_ARRAY(*ret_rules, *ret_count, count, TD_RULES_PER_LIST_MAX))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct td_firewall_rule *rule = &(*ret_rules)[i];

		if (from[i]->protocol > TD_PROTO_ICMP ||
		    !unpack_ports(&rule->ports, from[i]->ports) ||
		    !unpack_prefixes(&rule->sources, &rule->source_count,
			from[i]->source, from[i]->n_source, TD_PREFIXES_PER_LIST_MAX) ||
		    !unpack_prefixes(&rule->destinations, &rule->destination_count,
			from[i]->destination, from[i]->n_destination,
			TD_PREFIXES_PER_LIST_MAX))
			return false;
		rule->protocol = (enum td_protocol)from[i]->protocol;
	}
	return true;
}

static bool
unpack_network(struct td_network *ret_network, const Tandem__Config__Network *from)
{
	if (!unpack_text(ret_network->name, sizeof(ret_network->name), from->name) ||
	    from->n_source_nat != 2)
		return false;
	ret_network->interface = from->interface;
	ret_network->egress_allow = from->egress_allow;
	for (size_t i = 0; i < 2; i++)
		if (!unpack_addr(
			&ret_network->source_nat[i], &from->source_nat[i], true))
			return false;
	return unpack_prefixes(&ret_network->cidrs, &ret_network->cidr_count,
		   from->cidr, from->n_cidr, TD_CIDRS_PER_NETWORK_MAX) &&
	       unpack_rules(&ret_network->egress, &ret_network->egress_count,
		   from->egress, from->n_egress);
}

static bool
unpack_public_address(
    struct td_public_address *ret_public, const Tandem__Config__PublicAddress *from)
{
	return unpack_addr(&ret_public->address, &from->address, false) &&
	       unpack_rules(&ret_public->ingress, &ret_public->ingress_count,
		   from->ingress, from->n_ingress);
}

static bool
unpack_static_nat(struct td_static_nat *ret_nat, const Tandem__Config__StaticNat *from)
{
	return unpack_addr(&ret_nat->public_address, &from->public_address, false) &&
	       unpack_addr(&ret_nat->private_address, &from->private_address, false);
}

static bool
unpack_port_forward(
    struct td_port_forward *ret_forward, const Tandem__Config__PortForward *from)
{
	if (from->protocol > TD_PROTO_ICMP)
		return false;
	ret_forward->protocol = (enum td_protocol)from->protocol;
	return unpack_text(ret_forward->name, sizeof(ret_forward->name), from->name) &&
	       unpack_addr(
		   &ret_forward->public_address, &from->public_address, false) &&
	       unpack_addr(
		   &ret_forward->private_address, &from->private_address, false) &&
	       unpack_ports(&ret_forward->public_ports, from->public_ports) &&
	       unpack_ports(&ret_forward->private_ports, from->private_ports) &&
	       unpack_prefixes(&ret_forward->sources, &ret_forward->source_count,
		   from->source, from->n_source, TD_PREFIXES_PER_LIST_MAX);
}

static bool
unpack_health(struct td_health *ret_health, const Tandem__Config__Health *from)
{
	if (from == NULL || from->type > TD_HEALTH_TCP ||
	    !unpack_u16(&ret_health->port, from->port))
		return false;
	ret_health->type = (enum td_health_type)from->type;
	ret_health->interval_ns = from->interval_ns;
	ret_health->timeout_ns = from->timeout_ns;
	ret_health->rise = from->rise;
	ret_health->fall = from->fall;
	return true;
}

static bool
unpack_balancer(struct td_balancer *ret_balancer, const Tandem__Config__Balancer *from)
{
	if (!unpack_text(ret_balancer->name, sizeof(ret_balancer->name), from->name) ||
	    from->protocol > TD_PROTO_ICMP || from->algorithm > TD_LB_SOURCE ||
	    !unpack_health(&ret_balancer->health, from->health) ||
	    !unpack_prefixes(&ret_balancer->sources, &ret_balancer->source_count,
		from->source, from->n_source, TD_PREFIXES_PER_LIST_MAX) ||
	    !NEW_ARRAY(ret_balancer->binds, ret_balancer->bind_count, from->n_bind,
		TD_BINDS_PER_BALANCER_MAX) ||
	    !NEW_ARRAY(ret_balancer->servers, ret_balancer->server_count,
		from->n_server, TD_SERVERS_PER_BALANCER_MAX))
		return false;
	ret_balancer->protocol = (enum td_protocol)from->protocol;
	ret_balancer->algorithm = (enum td_lb_algorithm)from->algorithm;
	for (size_t i = 0; i < from->n_bind; i++)
		if (!unpack_endpoint(&ret_balancer->binds[i], from->bind[i], false))
			return false;
	for (size_t i = 0; i < from->n_server; i++) {
		struct td_server *server = &ret_balancer->servers[i];

		if (!unpack_text(
			server->name, sizeof(server->name), from->server[i]->name) ||
		    !unpack_endpoint(
			&server->endpoint, from->server[i]->endpoint, false))
			return false;
		server->weight = from->server[i]->weight;
	}
	return true;
}

#define UNPACK_EACH(to, to_count, from, n_from, max, unpack_one)                       \
	do {                                                                           \
		if (!NEW_ARRAY(to, to_count, n_from, max))                             \
			return false;                                                  \
		for (size_t i_ = 0; i_ < (n_from); i_++)                               \
			if (!unpack_one(&(to)[i_], (from)[i_]))                        \
				return false;                                          \
	} while (0)

static bool
unpack_config(struct td_config *ret_config, const Tandem__Config__Config *from)
{
	if (!unpack_text(
		ret_config->cluster, sizeof(ret_config->cluster), from->cluster) ||
	    from->n_node != TD_NODES || !unpack_vrrp(&ret_config->vrrp, from->vrrp) ||
	    !unpack_sync(&ret_config->sync, from->sync) ||
	    !unpack_hooks(&ret_config->hooks, from->hooks))
		return false;
	for (size_t i = 0; i < TD_NODES; i++)
		if (!unpack_node(&ret_config->nodes[i], from->node[i]))
			return false;
	UNPACK_EACH(ret_config->track_scripts, ret_config->track_script_count,
	    from->track_script, from->n_track_script, TD_TRACK_SCRIPTS_MAX,
	    unpack_track_script);
	UNPACK_EACH(ret_config->interfaces, ret_config->interface_count,
	    from->interface, from->n_interface, TD_INTERFACES_MAX, unpack_interface);
	UNPACK_EACH(ret_config->networks, ret_config->network_count, from->network,
	    from->n_network, TD_NETWORKS_MAX, unpack_network);
	UNPACK_EACH(ret_config->public_addresses, ret_config->public_address_count,
	    from->public_address, from->n_public_address, TD_PUBLIC_ADDRESSES_MAX,
	    unpack_public_address);
	UNPACK_EACH(ret_config->static_nats, ret_config->static_nat_count,
	    from->static_nat, from->n_static_nat, TD_STATIC_NATS_MAX,
	    unpack_static_nat);
	UNPACK_EACH(ret_config->port_forwards, ret_config->port_forward_count,
	    from->port_forward, from->n_port_forward, TD_PORT_FORWARDS_MAX,
	    unpack_port_forward);
	UNPACK_EACH(ret_config->balancers, ret_config->balancer_count, from->balancer,
	    from->n_balancer, TD_BALANCERS_MAX, unpack_balancer);
	return true;
}

struct td_config *
td_config_unpack(const uint8_t *bytes, size_t len)
{
	struct td_config *config = NULL;
	struct arena arena;
	ProtobufCAllocator allocator;
	Tandem__Config__Config *packed;
	struct config_complaint complaint;

	if (len > PACKED_BYTES_MAX)
		return NULL;
	arena_init(&arena, ARENA_BYTES_MAX);
	allocator = arena_protobuf(&arena);
	packed = tandem__config__config__unpack(&allocator, len, bytes);
	if (packed != NULL)
		config = calloc(1, sizeof(*config));
	/* The semantic checks once more: what this struct promises holds whoever packed
	 * it. */
	if (config != NULL &&
	    (!unpack_config(config, packed) || !config_check(config, &complaint) ||
		!td_config_digest(config))) {
		td_config_free(config);
		config = NULL;
	}
	arena_fini(&arena);
	return config;
}
