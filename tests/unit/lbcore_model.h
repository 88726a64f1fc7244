/*
 * lbcore_model.h - the model of docs/example.yaml, built by hand, for the tests of
 * lbcore. Everything is static: tests copy the struct and point single fields
 * elsewhere.
 */
#ifndef TANDEM_TESTS_LBCORE_MODEL_H
#define TANDEM_TESTS_LBCORE_MODEL_H

#include <string.h>
#include <tandem/assert.h>
#include <tandem/config.h>

#define MODEL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline struct td_addr
model_addr(const char *text)
{
	struct td_addr addr;

	td_assert(td_addr_parse(text, &addr));
	return addr;
}

static inline struct td_prefix
model_prefix(const char *text)
{
	struct td_prefix prefix;

	td_assert(td_prefix_parse(text, &prefix));
	return prefix;
}

static inline struct td_endpoint
model_endpoint(const char *text)
{
	struct td_endpoint endpoint;

	td_assert(td_endpoint_parse(text, &endpoint));
	return endpoint;
}

static inline struct td_config
model_lab(void)
{
	static struct td_prefix wan[5], lan[2], cidrs[2], everywhere[1], near[1];
	static struct td_interface interfaces[2];
	static struct td_firewall_rule egress[1], ingress10[2], ingress11[1],
	    ingress12[2];
	static struct td_network networks[1];
	static struct td_public_address public[3];
	static struct td_static_nat statics[1];
	static struct td_port_forward forwards[1];
	static struct td_endpoint bind_web[1], bind_dns[1];
	static struct td_server web[3], dns[2];
	static struct td_balancer balancers[2];
	struct td_config config;

	memset(&config, 0, sizeof(config));
	strcpy(config.cluster, "lab");
	config.vrrp.accept = true;
	strcpy(config.nodes[0].name, "r1");
	strcpy(config.nodes[1].name, "r2");
	config.nodes[0].sync_address[0] = model_addr("10.255.0.1");
	config.nodes[1].sync_address[0] = model_addr("10.255.0.2");

	wan[0] = model_prefix("203.0.113.1/24");
	wan[1] = model_prefix("203.0.113.10/24");
	wan[2] = model_prefix("203.0.113.11/24");
	wan[3] = model_prefix("203.0.113.12/24");
	wan[4] = model_prefix("2001:db8:1::1/64");
	lan[0] = model_prefix("10.1.1.1/24");
	lan[1] = model_prefix("fd00:1:1::1/64");
	interfaces[0] = (struct td_interface){ .name = "wan0",
		.vrid = 51,
		.virtual_mac = true,
		.is_public = true,
		.addresses = wan,
		.address_count = 5 };
	interfaces[1] = (struct td_interface){ .name = "lan0",
		.vrid = 52,
		.virtual_mac = true,
		.addresses = lan,
		.address_count = 2 };
	config.interfaces = interfaces;
	config.interface_count = 2;

	cidrs[0] = model_prefix("10.1.1.0/24");
	cidrs[1] = model_prefix("fd00:1:1::/64");
	everywhere[0] = model_prefix("0.0.0.0/0");
	egress[0] = (struct td_firewall_rule){ .protocol = TD_PROTO_TCP,
		.ports = { 25, 25 },
		.destinations = everywhere,
		.destination_count = 1 };
	networks[0] = (struct td_network){ .name = "net1",
		.interface = 1,
		.cidrs = cidrs,
		.cidr_count = 2,
		.source_nat = { model_addr("203.0.113.1") },
		.egress_allow = true,
		.egress = egress,
		.egress_count = 1 };
	config.networks = networks;
	config.network_count = 1;

	near[0] = model_prefix("203.0.113.0/24");
	ingress10[0] = (struct td_firewall_rule){ .protocol = TD_PROTO_TCP,
		.ports = { 8000, 8010 } };
	ingress10[1] = (struct td_firewall_rule){ .protocol = TD_PROTO_UDP,
		.ports = { 8000, 8010 },
		.sources = near,
		.source_count = 1 };
	ingress11[0] = (struct td_firewall_rule){ .protocol = TD_PROTO_ANY };
	ingress12[0] =
	    (struct td_firewall_rule){ .protocol = TD_PROTO_TCP, .ports = { 80, 80 } };
	ingress12[1] =
	    (struct td_firewall_rule){ .protocol = TD_PROTO_UDP, .ports = { 53, 53 } };
	public[0] =
	    (struct td_public_address){ model_addr("203.0.113.10"), ingress10, 2 };
	public[1] =
	    (struct td_public_address){ model_addr("203.0.113.11"), ingress11, 1 };
	public[2] =
	    (struct td_public_address){ model_addr("203.0.113.12"), ingress12, 2 };
	config.public_addresses = public;
	config.public_address_count = 3;

	statics[0] = (struct td_static_nat){ model_addr("203.0.113.11"),
		model_addr("10.1.1.11") };
	config.static_nats = statics;
	config.static_nat_count = 1;
	forwards[0] = (struct td_port_forward){ .name = "ssh-farm",
		.public_address = model_addr("203.0.113.10"),
		.private_address = model_addr("10.1.1.12"),
		.protocol = TD_PROTO_TCP,
		.public_ports = { 8000, 8010 },
		.private_ports = { 8000, 8010 } };
	config.port_forwards = forwards;
	config.port_forward_count = 1;

	bind_web[0] = model_endpoint("203.0.113.12:80");
	web[0] = (struct td_server){ "s1", model_endpoint("10.1.1.11:8080"), 1 };
	web[1] = (struct td_server){ "s2", model_endpoint("10.1.1.12:8080"), 2 };
	web[2] = (struct td_server){ "s3", model_endpoint("10.1.1.13:8080"), 1 };
	balancers[0] = (struct td_balancer){ .name = "web",
		.protocol = TD_PROTO_TCP,
		.algorithm = TD_LB_ROUNDROBIN,
		.binds = bind_web,
		.bind_count = 1,
		.health = { .type = TD_HEALTH_TCP,
		    .interval_ns = 2000000000,
		    .timeout_ns = 1000000000,
		    .rise = 2,
		    .fall = 3 },
		.servers = web,
		.server_count = 3 };
	bind_dns[0] = model_endpoint("203.0.113.12:53");
	dns[0] = (struct td_server){ "s1", model_endpoint("10.1.1.11:5353"), 1 };
	dns[1] = (struct td_server){ "s2", model_endpoint("10.1.1.12:5353"), 1 };
	balancers[1] = (struct td_balancer){ .name = "dns",
		.protocol = TD_PROTO_UDP,
		.algorithm = TD_LB_SOURCE,
		.binds = bind_dns,
		.bind_count = 1,
		.servers = dns,
		.server_count = 2 };
	config.balancers = balancers;
	config.balancer_count = 2;
	return config;
}

#endif
