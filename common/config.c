#include <tandem/config.h>

#include <stdlib.h>

static void
rules_free(struct td_firewall_rule *rules, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		free(rules[i].sources);
		free(rules[i].destinations);
	}
	free(rules);
}

void
td_config_free(struct td_config *config)
{
	if (config == NULL)
		return;
	for (uint32_t i = 0; i < config->interface_count; i++) {
		free(config->interfaces[i].addresses);
		free(config->interfaces[i].routes);
	}
	free(config->interfaces);
	for (uint32_t i = 0; i < config->network_count; i++) {
		free(config->networks[i].cidrs);
		rules_free(
		    config->networks[i].egress, config->networks[i].egress_count);
	}
	free(config->networks);
	for (uint32_t i = 0; i < config->public_address_count; i++)
		rules_free(config->public_addresses[i].ingress,
		    config->public_addresses[i].ingress_count);
	free(config->public_addresses);
	free(config->static_nats);
	for (uint32_t i = 0; i < config->port_forward_count; i++)
		free(config->port_forwards[i].sources);
	free(config->port_forwards);
	for (uint32_t i = 0; i < config->balancer_count; i++) {
		free(config->balancers[i].binds);
		free(config->balancers[i].sources);
		free(config->balancers[i].servers);
	}
	free(config->balancers);
	free(config);
}
