/*
 * config_yaml.h - the file as libcyaml reads it: the schema of the keys, and plain structs
 * that hold the values as they are written.
 *
 * Absent optional values are NULL. What a text means is the business of config_build.c.
 */
#ifndef TANDEM_COMMON_CONFIG_YAML_H
#define TANDEM_COMMON_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tandem/config.h>

struct config_tree;
struct td_config_error;

struct yaml_node_entry {
	char *name;
	uint32_t priority;
	char *public_key, *public_key_next;
	char **sync_addresses;
	uint32_t sync_addresses_count;
	char *management;
};

struct yaml_vrrp {
	int *mode;
	uint32_t *version;
	char *advertisement_interval;
	bool *preempt;
	char *preempt_delay;
	bool *accept;
	bool *checksum_pseudo_header;
	bool *fence;
	uint32_t *garp_repeat;
	char *garp_refresh;
	bool *keepalived_names;
};

struct yaml_sync {
	uint32_t *port, *witness_port;
	char *batch_interval;
	uint32_t *batch_bytes, *flows_max;
	char *lease;
};

struct yaml_hooks {
	char *path[TD_HOOK_COUNT];
	char *timeout, *user;
};

struct yaml_track_script {
	char *name, *path, *interval, *timeout;
	uint32_t *rise, *fall;
};

struct yaml_route {
	char *to, *via;
};

struct yaml_interface {
	char *name;
	bool *is_public;
	uint32_t *vrid;
	int *adverts;
	bool *virtual_mac;
	char **node_addresses;
	uint32_t node_addresses_count;
	char **addresses;
	uint32_t addresses_count;
	struct yaml_route *routes;
	uint32_t routes_count;
};

struct yaml_rule {
	int *protocol;
	char *ports;
	char **sources;
	uint32_t sources_count;
	char **destinations;
	uint32_t destinations_count;
};

struct yaml_network {
	char *name, *interface;
	char **cidrs;
	uint32_t cidrs_count;
	char **source_nat;
	uint32_t source_nat_count;
	int *egress_default;
	struct yaml_rule *egress;
	uint32_t egress_count;
};

struct yaml_public_address {
	char *address;
	struct yaml_rule *ingress;
	uint32_t ingress_count;
};

struct yaml_static_nat {
	char *public_address, *private_address;
};

struct yaml_port_forward {
	char *name;
	int protocol;
	char *public_address, *public_ports, *private_address, *private_ports;
	char **sources;
	uint32_t sources_count;
};

struct yaml_health {
	int *type;
	char *interval, *timeout;
	uint32_t *rise, *fall, *port;
};

struct yaml_server {
	char *name, *endpoint;
	uint32_t *weight;
};

struct yaml_balancer {
	char *name;
	int protocol;
	int *algorithm;
	char **binds;
	uint32_t binds_count;
	char **sources;
	uint32_t sources_count;
	struct yaml_health *health;
	struct yaml_server *servers;
	uint32_t servers_count;
};

struct yaml_config {
	char *cluster;
	struct yaml_node_entry *nodes;
	uint32_t nodes_count;
	struct yaml_vrrp *vrrp;
	struct yaml_sync *sync;
	struct yaml_hooks *hooks;
	struct yaml_track_script *track_scripts;
	uint32_t track_scripts_count;
	struct yaml_interface *interfaces;
	uint32_t interfaces_count;
	struct yaml_network *networks;
	uint32_t networks_count;
	struct yaml_public_address *public_addresses;
	uint32_t public_addresses_count;
	struct yaml_static_nat *static_nat;
	uint32_t static_nat_count;
	struct yaml_port_forward *port_forwarding;
	uint32_t port_forwarding_count;
	struct yaml_balancer *load_balancers;
	uint32_t load_balancers_count;
};

/* Checks the tree against the schema (keys, kinds, counts) and loads the text. NULL with
 * *ret_error filled; `file` is left alone. */
struct yaml_config *config_yaml_load(const struct config_tree *tree, const char *text,
    size_t len, struct td_config_error *ret_error);
void config_yaml_free(struct yaml_config *yaml);

#endif
