#include "common/config_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cyaml/cyaml.h>
#include <tandem/config.h>
#include "common/config_tree.h"

#define TEXT_MAX 255

/* ---- the schema ---- */

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define TEXT(key, flags, type, member)                                                 \
	CYAML_FIELD_STRING_PTR(key, flags, struct type, member, 1, TEXT_MAX)
#define NUMBER(key, type, member)                                                      \
	CYAML_FIELD_UINT_PTR(key, OPTIONAL, struct type, member)
#define SWITCH(key, type, member)                                                      \
	CYAML_FIELD_BOOL_PTR(key, OPTIONAL, struct type, member)
#define CHOICE(key, type, member, words)                                               \
	CYAML_FIELD_ENUM_PTR(key, OPTIONAL | CYAML_FLAG_STRICT, struct type, member,   \
	    words, CYAML_ARRAY_LEN(words))
#define LIST(key, flags, type, member, entry, min, max)                                \
	CYAML_FIELD_SEQUENCE(                                                          \
	    key, (flags) | CYAML_FLAG_POINTER, struct type, member, entry, min, max)
#define TEXTS(key, flags, type, member, min, max)                                      \
	LIST(key, flags, type, member, &text_entry, min, max)

static const cyaml_schema_value_t text_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_MAX),
};

static const cyaml_strval_t mode_words[] = {
	{ "node", TD_VRRP_NODE },
	{ "independent", TD_VRRP_INDEPENDENT },
};
static const cyaml_strval_t adverts_words[] = {
	{ "multicast", TD_ADVERTS_MULTICAST },
	{ "unicast", TD_ADVERTS_UNICAST },
	{ "none", TD_ADVERTS_NONE },
};
static const cyaml_strval_t protocol_words[] = {
	{ "any", TD_PROTO_ANY },
	{ "tcp", TD_PROTO_TCP },
	{ "udp", TD_PROTO_UDP },
	{ "icmp", TD_PROTO_ICMP },
};
static const cyaml_strval_t service_words[] = {
	{ "tcp", TD_PROTO_TCP },
	{ "udp", TD_PROTO_UDP },
};
static const cyaml_strval_t policy_words[] = {
	{ "deny", 0 },
	{ "allow", 1 },
};
static const cyaml_strval_t algorithm_words[] = {
	{ "roundrobin", TD_LB_ROUNDROBIN },
	{ "source", TD_LB_SOURCE },
};
static const cyaml_strval_t health_words[] = {
	{ "none", TD_HEALTH_NONE },
	{ "tcp", TD_HEALTH_TCP },
};

static const cyaml_schema_field_t node_fields[] = {
	TEXT("name", REQUIRED, yaml_node_entry, name),
	CYAML_FIELD_UINT("priority", REQUIRED, struct yaml_node_entry, priority),
	TEXT("public_key", REQUIRED, yaml_node_entry, public_key),
	TEXT("public_key_next", OPTIONAL, yaml_node_entry, public_key_next),
	TEXTS("sync_addresses", REQUIRED, yaml_node_entry, sync_addresses, 1,
	    TD_SYNC_LINKS_MAX),
	TEXT("management", OPTIONAL, yaml_node_entry, management),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t node_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_node_entry, node_fields),
};

static const cyaml_schema_field_t vrrp_fields[] = {
	CHOICE("mode", yaml_vrrp, mode, mode_words),
	NUMBER("version", yaml_vrrp, version),
	TEXT("advertisement_interval", OPTIONAL, yaml_vrrp, advertisement_interval),
	SWITCH("preempt", yaml_vrrp, preempt),
	TEXT("preempt_delay", OPTIONAL, yaml_vrrp, preempt_delay),
	SWITCH("accept", yaml_vrrp, accept),
	SWITCH("checksum_pseudo_header", yaml_vrrp, checksum_pseudo_header),
	SWITCH("fence", yaml_vrrp, fence),
	NUMBER("garp_repeat", yaml_vrrp, garp_repeat),
	TEXT("garp_refresh", OPTIONAL, yaml_vrrp, garp_refresh),
	SWITCH("keepalived_names", yaml_vrrp, keepalived_names),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sync_fields[] = {
	NUMBER("port", yaml_sync, port),
	NUMBER("witness_port", yaml_sync, witness_port),
	TEXT("batch_interval", OPTIONAL, yaml_sync, batch_interval),
	NUMBER("batch_bytes", yaml_sync, batch_bytes),
	NUMBER("flows_max", yaml_sync, flows_max),
	TEXT("lease", OPTIONAL, yaml_sync, lease),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t hooks_fields[] = {
	TEXT("active", OPTIONAL, yaml_hooks, path[TD_HOOK_ACTIVE]),
	TEXT("backup", OPTIONAL, yaml_hooks, path[TD_HOOK_BACKUP]),
	TEXT("fault", OPTIONAL, yaml_hooks, path[TD_HOOK_FAULT]),
	TEXT("stop", OPTIONAL, yaml_hooks, path[TD_HOOK_STOP]),
	TEXT("notify", OPTIONAL, yaml_hooks, path[TD_HOOK_NOTIFY]),
	TEXT("timeout", OPTIONAL, yaml_hooks, timeout),
	TEXT("user", OPTIONAL, yaml_hooks, user),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t track_fields[] = {
	TEXT("name", REQUIRED, yaml_track_script, name),
	TEXT("script", REQUIRED, yaml_track_script, path),
	TEXT("interval", OPTIONAL, yaml_track_script, interval),
	TEXT("timeout", OPTIONAL, yaml_track_script, timeout),
	NUMBER("rise", yaml_track_script, rise),
	NUMBER("fall", yaml_track_script, fall),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t track_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_track_script, track_fields),
};

static const cyaml_schema_field_t route_fields[] = {
	TEXT("to", REQUIRED, yaml_route, to),
	TEXT("via", OPTIONAL, yaml_route, via),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t route_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_route, route_fields),
};

static const cyaml_schema_field_t interface_fields[] = {
	TEXT("name", REQUIRED, yaml_interface, name),
	SWITCH("public", yaml_interface, is_public),
	NUMBER("vrid", yaml_interface, vrid),
	CHOICE("adverts", yaml_interface, adverts, adverts_words),
	SWITCH("virtual_mac", yaml_interface, virtual_mac),
	TEXTS("node_addresses", OPTIONAL, yaml_interface, node_addresses, TD_NODES,
	    TD_FAMILIES *TD_NODES),
	TEXTS("addresses", REQUIRED, yaml_interface, addresses, 1,
	    TD_ADDRS_PER_INTERFACE_MAX),
	LIST("routes", OPTIONAL, yaml_interface, routes, &route_entry, 0,
	    TD_ROUTES_PER_INTERFACE_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t interface_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_interface, interface_fields),
};

static const cyaml_schema_field_t rule_fields[] = {
	CHOICE("protocol", yaml_rule, protocol, protocol_words),
	TEXT("ports", OPTIONAL, yaml_rule, ports),
	TEXTS("sources", OPTIONAL, yaml_rule, sources, 0, TD_PREFIXES_PER_LIST_MAX),
	TEXTS("destinations", OPTIONAL, yaml_rule, destinations, 0,
	    TD_PREFIXES_PER_LIST_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t rule_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_rule, rule_fields),
};

static const cyaml_schema_field_t network_fields[] = {
	TEXT("name", REQUIRED, yaml_network, name),
	TEXT("interface", REQUIRED, yaml_network, interface),
	TEXTS("cidrs", REQUIRED, yaml_network, cidrs, 1, TD_CIDRS_PER_NETWORK_MAX),
	TEXTS("source_nat", OPTIONAL, yaml_network, source_nat, 0, 2),
	CHOICE("egress_default", yaml_network, egress_default, policy_words),
	LIST("egress", OPTIONAL, yaml_network, egress, &rule_entry, 0,
	    TD_RULES_PER_LIST_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t network_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_network, network_fields),
};

static const cyaml_schema_field_t public_address_fields[] = {
	TEXT("address", REQUIRED, yaml_public_address, address),
	LIST("ingress", OPTIONAL, yaml_public_address, ingress, &rule_entry, 0,
	    TD_RULES_PER_LIST_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t public_address_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_public_address, public_address_fields),
};

static const cyaml_schema_field_t static_nat_fields[] = {
	TEXT("public", REQUIRED, yaml_static_nat, public_address),
	TEXT("private", REQUIRED, yaml_static_nat, private_address),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t static_nat_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_static_nat, static_nat_fields),
};

static const cyaml_schema_field_t port_forward_fields[] = {
	TEXT("name", REQUIRED, yaml_port_forward, name),
	CYAML_FIELD_ENUM("protocol", CYAML_FLAG_STRICT, struct yaml_port_forward,
	    protocol, service_words, CYAML_ARRAY_LEN(service_words)),
	TEXT("public", REQUIRED, yaml_port_forward, public_address),
	TEXT("public_ports", REQUIRED, yaml_port_forward, public_ports),
	TEXT("private", REQUIRED, yaml_port_forward, private_address),
	TEXT("private_ports", OPTIONAL, yaml_port_forward, private_ports),
	TEXTS("sources", OPTIONAL, yaml_port_forward, sources, 0,
	    TD_PREFIXES_PER_LIST_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t port_forward_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_port_forward, port_forward_fields),
};

static const cyaml_schema_field_t health_fields[] = {
	CHOICE("type", yaml_health, type, health_words),
	TEXT("interval", OPTIONAL, yaml_health, interval),
	TEXT("timeout", OPTIONAL, yaml_health, timeout),
	NUMBER("rise", yaml_health, rise),
	NUMBER("fall", yaml_health, fall),
	NUMBER("port", yaml_health, port),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t server_fields[] = {
	TEXT("name", REQUIRED, yaml_server, name),
	TEXT("endpoint", REQUIRED, yaml_server, endpoint),
	NUMBER("weight", yaml_server, weight),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t server_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_server, server_fields),
};

static const cyaml_schema_field_t balancer_fields[] = {
	TEXT("name", REQUIRED, yaml_balancer, name),
	CYAML_FIELD_ENUM("protocol", CYAML_FLAG_STRICT, struct yaml_balancer, protocol,
	    service_words, CYAML_ARRAY_LEN(service_words)),
	CHOICE("algorithm", yaml_balancer, algorithm, algorithm_words),
	TEXTS("binds", REQUIRED, yaml_balancer, binds, 1, TD_BINDS_PER_BALANCER_MAX),
	TEXTS("sources", OPTIONAL, yaml_balancer, sources, 0, TD_PREFIXES_PER_LIST_MAX),
	CYAML_FIELD_MAPPING_PTR(
	    "health", OPTIONAL, struct yaml_balancer, health, health_fields),
	LIST("servers", OPTIONAL, yaml_balancer, servers, &server_entry, 0,
	    TD_SERVERS_PER_BALANCER_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t balancer_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_balancer, balancer_fields),
};

static const cyaml_schema_field_t config_fields[] = {
	TEXT("cluster", REQUIRED, yaml_config, cluster),
	LIST("nodes", REQUIRED, yaml_config, nodes, &node_entry, TD_NODES, TD_NODES),
	CYAML_FIELD_MAPPING_PTR(
	    "vrrp", OPTIONAL, struct yaml_config, vrrp, vrrp_fields),
	CYAML_FIELD_MAPPING_PTR(
	    "sync", OPTIONAL, struct yaml_config, sync, sync_fields),
	CYAML_FIELD_MAPPING_PTR(
	    "hooks", OPTIONAL, struct yaml_config, hooks, hooks_fields),
	LIST("track_scripts", OPTIONAL, yaml_config, track_scripts, &track_entry, 0,
	    TD_TRACK_SCRIPTS_MAX),
	LIST("interfaces", REQUIRED, yaml_config, interfaces, &interface_entry, 1,
	    TD_INTERFACES_MAX),
	LIST("networks", OPTIONAL, yaml_config, networks, &network_entry, 0,
	    TD_NETWORKS_MAX),
	LIST("public_addresses", OPTIONAL, yaml_config, public_addresses,
	    &public_address_entry, 0, TD_PUBLIC_ADDRESSES_MAX),
	LIST("static_nat", OPTIONAL, yaml_config, static_nat, &static_nat_entry, 0,
	    TD_STATIC_NATS_MAX),
	LIST("port_forwarding", OPTIONAL, yaml_config, port_forwarding,
	    &port_forward_entry, 0, TD_PORT_FORWARDS_MAX),
	LIST("load_balancers", OPTIONAL, yaml_config, load_balancers, &balancer_entry,
	    0, TD_BALANCERS_MAX),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_config, config_fields),
};

static const cyaml_config_t cyaml_settings = {
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS,
};

/* ---- the tree against the schema: libcyaml itself reports no key and line ---- */

__attribute__((format(printf, 3, 4))) static bool
wrong(struct td_config_error *error, const struct config_node *node, const char *reason,
    ...)
{
	va_list ap;

	config_node_path(node, error->key, sizeof(error->key));
	error->line = node->line;
	error->column = node->column;
	va_start(ap, reason);
	vsnprintf(error->reason, sizeof(error->reason), reason, ap);
	va_end(ap);
	return false;
}

static bool
check_number(struct td_config_error *error, const struct config_node *node)
{
	uint64_t value = 0;
	const char *at = node->text;

	for (; *at >= '0' && *at <= '9' && value <= UINT32_MAX; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	/* No leading zero: libcyaml would read it as octal. */
	if (*at != '\0' || at == node->text || value > UINT32_MAX ||
	    (node->text[0] == '0' && node->text[1] != '\0'))
		return wrong(error, node, "'%.40s' is no whole number", node->text);
	return true;
}

static bool
check_switch(struct td_config_error *error, const struct config_node *node)
{
	static const char *words[] = { "yes", "no", "on", "off", "true", "false" };

	for (size_t i = 0; i < CYAML_ARRAY_LEN(words); i++)
		if (strcmp(node->text, words[i]) == 0)
			return true;
	return wrong(error, node, "'%.40s' is neither yes nor no", node->text);
}

static bool
check_choice(struct td_config_error *error, const struct config_node *node,
    const cyaml_schema_value_t *schema)
{
	char words[128] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < schema->enumeration.count; i++) {
		if (strcmp(node->text, schema->enumeration.strings[i].str) == 0)
			return true;
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s",
		    i > 0 ? ", " : "", schema->enumeration.strings[i].str);
	}
	return wrong(error, node, "'%.40s' is none of: %s", node->text, words);
}

static bool check_value(struct td_config_error *error, const struct config_node *node,
    const cyaml_schema_value_t *schema);

static bool
check_mapping(struct td_config_error *error, const struct config_node *node,
    const cyaml_schema_value_t *schema)
{
	const cyaml_schema_field_t *field;
	const struct config_node *child;

	for (child = node->first; child != NULL; child = child->next) {
		for (field = schema->mapping.fields; field->key != NULL; field++)
			if (strcmp(field->key, child->key) == 0)
				break;
		if (field->key == NULL) {
			wrong(error, child, "unknown key");
			error->line = child->key_line;
			error->column = child->key_column;
			return false;
		}
		if (!check_value(error, child, &field->value))
			return false;
	}
	for (field = schema->mapping.fields; field->key != NULL; field++)
		if (!(field->value.flags & CYAML_FLAG_OPTIONAL) &&
		    config_node_child(node, field->key) == NULL)
			return wrong(
			    error, node, "the key '%s' is missing", field->key);
	return true;
}

static bool
check_sequence(struct td_config_error *error, const struct config_node *node,
    const cyaml_schema_value_t *schema)
{
	const struct config_node *child;

	if (node->count < schema->sequence.min)
		return wrong(error, node, "%u entries, at least %u needed", node->count,
		    schema->sequence.min);
	if (node->count > schema->sequence.max)
		return wrong(error, node, "%u entries, at most %u possible",
		    node->count, schema->sequence.max);
	for (child = node->first; child != NULL; child = child->next)
		if (!check_value(error, child, schema->sequence.entry))
			return false;
	return true;
}

static bool
check_value(struct td_config_error *error, const struct config_node *node,
    const cyaml_schema_value_t *schema)
{
	enum config_node_kind want = schema->type == CYAML_MAPPING    ? CONFIG_MAPPING
				     : schema->type == CYAML_SEQUENCE ? CONFIG_SEQUENCE
								      : CONFIG_SCALAR;

	if (node->kind == CONFIG_SCALAR && node->text[0] == '\0')
		return wrong(error, node, "has no value");
	if (node->kind != want)
		return wrong(error, node,
		    want == CONFIG_MAPPING    ? "must be a mapping (key: value)"
		    : want == CONFIG_SEQUENCE ? "must be a list"
					      : "must be a single value");
	switch (schema->type) {
	case CYAML_MAPPING:
		return check_mapping(error, node, schema);
	case CYAML_SEQUENCE:
		return check_sequence(error, node, schema);
	case CYAML_UINT:
		return check_number(error, node);
	case CYAML_BOOL:
		return check_switch(error, node);
	case CYAML_ENUM:
		return check_choice(error, node, schema);
	case CYAML_STRING:
		return strlen(node->text) <= TEXT_MAX ||
		       wrong(error, node, "longer than %d bytes", TEXT_MAX);
	default:
		return wrong(error, node, "of a type the schema does not know");
	}
}

struct yaml_config *
config_yaml_load(const struct config_tree *tree, const char *text, size_t len,
    struct td_config_error *ret_error)
{
	struct yaml_config *yaml = NULL;
	cyaml_err_t r;

	if (!check_value(ret_error, tree->root, &config_schema))
		return NULL;
	r = cyaml_load_data((const uint8_t *)text, len, &cyaml_settings, &config_schema,
	    (cyaml_data_t **)&yaml, NULL);
	if (r != CYAML_OK) {
		wrong(ret_error, tree->root, "%s", cyaml_strerror(r));
		return NULL;
	}
	return yaml;
}

void
config_yaml_free(struct yaml_config *yaml)
{
	if (yaml != NULL)
		cyaml_free(&cyaml_settings, &config_schema, yaml, 0);
}
