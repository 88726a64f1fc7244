/* l4_maps.c - see l4_maps.h */
#include "lbcore/l4/l4_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tandem/assert.h>
#include <tandem/config.h>
#include <unistd.h>
#include "lbcore/l4/core/l4_slots.h"
#include "lbcore/l4/core/l4_table.h"

struct l4_maps {
	const struct l4_fds *fds; /* borrowed */
	uint8_t *services;        /* the mapped array */
	size_t services_len, stride;
	char owner[LB_SERVICES_MAX][TD_NAME_MAX]; /* the balancer; "" = free */
	int cpu_count;
};

/* The kernel rounds the elements of a mapped array up to 8 bytes. */
static struct lb_service *
service_at(const struct l4_maps *maps, uint32_t index)
{
	td_assert(index < LB_SERVICES_MAX);
	return (struct lb_service *)(void *)(maps->services + index * maps->stride);
}

int
l4_maps_new(struct l4_maps **ret_maps, const struct l4_fds *fds)
{
	struct l4_maps *maps = calloc(1, sizeof(*maps));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	if (maps == NULL)
		return -ENOMEM;
	maps->fds = fds;
	maps->cpu_count = libbpf_num_possible_cpus();
	maps->stride = (sizeof(struct lb_service) + 7) & ~(size_t)7;
	maps->services_len = (maps->stride * LB_SERVICES_MAX + page - 1) & ~(page - 1);
	at = mmap(NULL, maps->services_len, PROT_READ | PROT_WRITE, MAP_SHARED,
	    fds->fd[L4_FD_SERVICES], 0);
	if (maps->cpu_count < 1 || at == MAP_FAILED) {
		int r = at == MAP_FAILED ? -errno : maps->cpu_count;

		free(maps);
		return r;
	}
	maps->services = at;
	*ret_maps = maps;
	return 0;
}

void
l4_maps_free(struct l4_maps *maps)
{
	if (maps == NULL)
		return;
	munmap(maps->services, maps->services_len);
	free(maps);
}

int
l4_maps_fit(const struct td_config *config)
{
	uint32_t binds = 0;

	if (config->balancer_count > LB_SERVICES_MAX)
		return -E2BIG;
	for (uint32_t b = 0; b < config->balancer_count; b++) {
		if (config->balancers[b].server_count > L4_SERVERS_MAX)
			return -E2BIG;
		binds += config->balancers[b].bind_count;
	}
	return binds <= LB_BINDS_MAX ? 0 : -E2BIG;
}

static void
bind_key(const struct td_balancer *balancer, uint32_t bind, struct lb_bind_key *ret_key)
{
	const struct td_endpoint *endpoint = &balancer->binds[bind];

	memset(ret_key, 0, sizeof(*ret_key));
	ret_key->family = endpoint->addr.family;
	ret_key->protocol =
	    balancer->protocol == TD_PROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	ret_key->port = htons(endpoint->port);
	memcpy(ret_key->address, endpoint->addr.bytes, sizeof(ret_key->address));
}

static bool
bind_wanted(const struct td_config *config, const struct lb_bind_key *key)
{
	for (uint32_t b = 0; b < config->balancer_count; b++)
		for (uint32_t i = 0; i < config->balancers[b].bind_count; i++) {
			struct lb_bind_key wanted;

			bind_key(&config->balancers[b], i, &wanted);
			if (memcmp(&wanted, key, sizeof(wanted)) == 0)
				return true;
		}
	return false;
}

static int
remove_unwanted_binds(struct l4_maps *maps, const struct td_config *config)
{
	int fd = maps->fds->fd[L4_FD_BINDS];
	struct lb_bind_key key, next;
	bool more = bpf_map_get_next_key(fd, NULL, &next) == 0;

	while (more) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (!bind_wanted(config, &key) && bpf_map_delete_elem(fd, &key) < 0 &&
		    errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int
service_of(const struct l4_maps *maps, const char *balancer)
{
	for (int i = 0; i < LB_SERVICES_MAX; i++)
		if (strcmp(maps->owner[i], balancer) == 0)
			return i;
	return -1;
}

/* A service stays its balancer's for as long as that exists, so that no packet ever
 * meets one balancer's bind with another one's table. */
static void
assign_services(struct l4_maps *maps, const struct td_config *config)
{
	for (uint32_t i = 0; i < LB_SERVICES_MAX; i++) {
		bool kept = false;

		for (uint32_t b = 0; b < config->balancer_count; b++)
			kept = kept ||
			       strcmp(maps->owner[i], config->balancers[b].name) == 0;
		if (!kept)
			maps->owner[i][0] = '\0';
	}
	for (uint32_t b = 0; b < config->balancer_count; b++)
		if (service_of(maps, config->balancers[b].name) < 0) {
			int unused = service_of(maps, "");

			td_assert(unused >= 0); /* l4_maps_fit */
			strcpy(maps->owner[unused], config->balancers[b].name);
		}
}

static bool
table_has(const struct lb_table *table, uint16_t slot)
{
	for (uint32_t i = 0; i < table->len && i < LB_TABLE_MAX; i++)
		if (table->slot[i] == slot)
			return true;
	return false;
}

int
l4_maps_adopt(struct l4_maps *maps, const struct td_config *config,
    const struct l4_slots *slots, bool *up)
{
	for (uint32_t b = 0; b < config->balancer_count; b++) {
		const struct td_balancer *balancer = &config->balancers[b];
		struct lb_bind value = { .service = LB_SERVICES_MAX };
		const struct lb_service *service;

		for (uint32_t i = 0; i < balancer->bind_count; i++) {
			struct lb_bind_key key;

			bind_key(balancer, i, &key);
			if (bpf_map_lookup_elem(
				maps->fds->fd[L4_FD_BINDS], &key, &value) == 0)
				break;
			if (errno != ENOENT)
				return -errno;
		}
		if (value.service >= LB_SERVICES_MAX ||
		    maps->owner[value.service][0] != '\0')
			continue;
		strcpy(maps->owner[value.service], balancer->name);
		if (balancer->health.type == TD_HEALTH_NONE)
			continue;
		service = service_at(maps, value.service);
		for (uint32_t s = 0; s < balancer->server_count; s++) {
			uint16_t slot = l4_slot(slots, b, s);

			if (balancer->servers[s].weight > 0)
				up[slot] = table_has(
				    &service->table[service->active & 1], slot);
		}
	}
	return 0;
}

void
l4_maps_reschedule(struct l4_maps *maps, const struct td_config *config,
    const struct l4_slots *slots, const bool *up, uint32_t balancer)
{
	const struct td_balancer *b = &config->balancers[balancer];
	struct l4_server servers[L4_SERVERS_MAX];
	int index = service_of(maps, b->name);
	struct lb_service *service;
	uint32_t unused;

	td_assert(index >= 0);
	for (uint32_t s = 0; s < b->server_count; s++) {
		uint16_t slot = l4_slot(slots, balancer, s);

		servers[s] = (struct l4_server){ .name = b->servers[s].name,
			.slot = slot,
			.weight = b->servers[s].weight,
			.up = up[slot] };
	}
	service = service_at(maps, (uint32_t)index);
	unused = (service->active & 1) ^ 1;
	if (b->algorithm == TD_LB_SOURCE)
		l4_table_source(servers, b->server_count, &service->table[unused]);
	else
		l4_table_roundrobin(servers, b->server_count, &service->table[unused]);
	/* Everything in the table is seen before the table is. */
	__atomic_store_n(&service->active, unused, __ATOMIC_RELEASE);
}

int
l4_maps_apply(struct l4_maps *maps, const struct td_config *config,
    const struct l4_slots *slots, const bool *up)
{
	int r = l4_maps_fit(config);

	if (r < 0)
		return r;
	r = remove_unwanted_binds(maps, config);
	if (r < 0)
		return r;
	assign_services(maps, config);
	for (uint32_t b = 0; b < config->balancer_count; b++) {
		const struct td_balancer *balancer = &config->balancers[b];
		struct lb_bind value = {
			.service = (uint32_t)service_of(maps, balancer->name),
			.algorithm = balancer->algorithm == TD_LB_SOURCE
					 ? LB_SOURCE
					 : LB_ROUNDROBIN,
		};

		l4_maps_reschedule(maps, config, slots, up, b);
		for (uint32_t i = 0; i < balancer->bind_count; i++) {
			struct lb_bind_key key;

			bind_key(balancer, i, &key);
			if (bpf_map_update_elem(
				maps->fds->fd[L4_FD_BINDS], &key, &value, BPF_ANY) < 0)
				return -errno;
		}
	}
	return 0;
}

int
l4_maps_counters(struct l4_maps *maps, uint64_t ret_counters[LB_COUNTER_COUNT])
{
	uint64_t *values = calloc((size_t)maps->cpu_count, sizeof(*values));
	int r = 0;

	if (values == NULL)
		return -ENOMEM;
	for (uint32_t c = 0; c < LB_COUNTER_COUNT && r == 0; c++) {
		uint64_t sum = 0;

		if (bpf_map_lookup_elem(maps->fds->fd[L4_FD_COUNTERS], &c, values) < 0)
			r = -errno;
		for (int i = 0; i < maps->cpu_count; i++)
			sum += values[i];
		ret_counters[c] = sum;
	}
	free(values);
	return r;
}
