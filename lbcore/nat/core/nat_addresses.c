/* nat_addresses.c - which addresses of the model play which part; see nat_compile.h */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lbcore/nat/core/nat_compile.h"

static int
address_compare(const void *a, const void *b)
{
	return td_addr_compare(a, b);
}

static void
address_add(struct nat_addresses *addresses, const struct td_addr *addr)
{
	addresses->list[addresses->count++] = *addr;
}

static void
sort_unique(struct nat_addresses *addresses)
{
	uint32_t kept = 0;

	qsort(addresses->list, addresses->count, sizeof(*addresses->list),
	    address_compare);
	for (uint32_t i = 0; i < addresses->count; i++)
		if (kept == 0 ||
		    !td_addr_equal(&addresses->list[kept - 1], &addresses->list[i]))
			addresses->list[kept++] = addresses->list[i];
	addresses->count = kept;
}

int
nat_addresses_init(struct nat_compiler *c)
{
	const struct td_config *config = c->config;
	size_t max = 1 + (size_t)config->public_address_count +
		     config->static_nat_count + config->port_forward_count;

	for (uint32_t i = 0; i < config->interface_count; i++)
		max += config->interfaces[i].address_count;
	for (uint32_t i = 0; i < config->balancer_count; i++)
		max += config->balancers[i].bind_count;
	c->virtual_addresses.list = calloc(max, sizeof(struct td_addr));
	c->public_addresses.list = calloc(max, sizeof(struct td_addr));
	if (c->virtual_addresses.list == NULL || c->public_addresses.list == NULL)
		return -ENOMEM;

	for (uint32_t i = 0; i < config->interface_count; i++)
		for (uint32_t a = 0; a < config->interfaces[i].address_count; a++) {
			const struct td_addr *addr =
			    &config->interfaces[i].addresses[a].addr;

			address_add(&c->virtual_addresses, addr);
			if (config->interfaces[i].is_public)
				address_add(&c->public_addresses, addr);
		}
	for (uint32_t i = 0; i < config->public_address_count; i++) {
		address_add(
		    &c->virtual_addresses, &config->public_addresses[i].address);
		address_add(&c->public_addresses, &config->public_addresses[i].address);
	}
	for (uint32_t i = 0; i < config->static_nat_count; i++) {
		address_add(
		    &c->virtual_addresses, &config->static_nats[i].public_address);
		address_add(
		    &c->public_addresses, &config->static_nats[i].public_address);
	}
	for (uint32_t i = 0; i < config->port_forward_count; i++)
		address_add(
		    &c->virtual_addresses, &config->port_forwards[i].public_address);
	for (uint32_t i = 0; i < config->balancer_count; i++)
		for (uint32_t b = 0; b < config->balancers[i].bind_count; b++)
			address_add(
			    &c->virtual_addresses, &config->balancers[i].binds[b].addr);
	sort_unique(&c->virtual_addresses);
	sort_unique(&c->public_addresses);
	return 0;
}

void
nat_addresses_fini(struct nat_compiler *c)
{
	free(c->virtual_addresses.list);
	free(c->public_addresses.list);
	memset(&c->virtual_addresses, 0, sizeof(c->virtual_addresses));
	memset(&c->public_addresses, 0, sizeof(c->public_addresses));
}

const struct td_addr *
nat_gateway(
    const struct td_config *config, const struct td_network *network, uint8_t family)
{
	const struct td_interface *interface = &config->interfaces[network->interface];

	for (uint32_t a = 0; a < interface->address_count; a++) {
		const struct td_addr *addr = &interface->addresses[a].addr;

		if (addr->family != family)
			continue;
		for (uint32_t i = 0; i < network->cidr_count; i++)
			if (td_prefix_contains(&network->cidrs[i], addr))
				return addr;
	}
	return NULL;
}

bool
nat_has_inside(const struct td_config *config, uint8_t family)
{
	for (uint32_t n = 0; n < config->network_count; n++)
		for (uint32_t i = 0; i < config->networks[n].cidr_count; i++)
			if (config->networks[n].cidrs[i].addr.family == family)
				return true;
	return false;
}
