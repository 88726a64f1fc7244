/* l4_table.c - see l4_table.h */
#include "lbcore/l4/core/l4_table.h"

#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "lbcore/l4/core/l4_slots.h"

#define MAGLEV_OFFSET_SEED UINT64_C(0x6f6666736574)
#define MAGLEV_SKIP_SEED UINT64_C(0x736b6970)

static int
server_compare(const void *a, const void *b)
{
	return strcmp(
	    ((const struct l4_server *)a)->name, ((const struct l4_server *)b)->name);
}

/* Those that may be chosen, by name. */
static uint32_t
eligible(const struct l4_server *servers, uint32_t count, struct l4_server *ret)
{
	uint32_t n = 0;

	td_assert(count <= L4_SERVERS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		td_assert(servers[i].weight <= L4_WEIGHT_MAX);
		if (servers[i].up && servers[i].weight > 0)
			ret[n++] = servers[i];
	}
	qsort(ret, n, sizeof(*ret), server_compare);
	return n;
}

static uint32_t
greatest_common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Shrinks the weights until one cycle fits the table: exactly while a common divisor
 * does it, by rounding (at least 1 each) beyond that. Returns the length of the cycle.
 */
static uint32_t
fit_weights(struct l4_server *servers, uint32_t n)
{
	uint32_t divisor = 0, sum = 0;

	for (uint32_t i = 0; i < n; i++)
		divisor = greatest_common_divisor(divisor, servers[i].weight);
	for (uint32_t i = 0; i < n; i++) {
		servers[i].weight /= divisor;
		sum += servers[i].weight;
	}
	if (sum <= LB_TABLE_MAX)
		return sum;

	/* n of the places are for the rounding up to 1. */
	uint32_t scaled = 0;

	for (uint32_t i = 0; i < n; i++) {
		servers[i].weight = servers[i].weight * (LB_TABLE_MAX - n) / sum + 1;
		scaled += servers[i].weight;
	}
	td_assert(scaled <= LB_TABLE_MAX);
	return scaled;
}

void
l4_table_roundrobin(
    const struct l4_server *servers, uint32_t count, struct lb_table *ret_table)
{
	struct l4_server s[L4_SERVERS_MAX];
	int64_t gain[L4_SERVERS_MAX] = { 0 };
	uint32_t n = eligible(servers, count, s);
	uint32_t len = n > 0 ? fit_weights(s, n) : 0;

	for (uint32_t step = 0; step < len; step++) {
		uint32_t best = 0;

		for (uint32_t i = 0; i < n; i++) {
			gain[i] += s[i].weight;
			if (gain[i] > gain[best])
				best = i;
		}
		gain[best] -= len;
		ret_table->slot[step] = s[best].slot;
	}
	ret_table->len = len;
}

void
l4_table_source(
    const struct l4_server *servers, uint32_t count, struct lb_table *ret_table)
{
	struct l4_server s[L4_SERVERS_MAX];
	uint32_t next[L4_SERVERS_MAX], skip[L4_SERVERS_MAX],
	    taken[L4_SERVERS_MAX] = { 0 };
	uint32_t n = eligible(servers, count, s);
	uint32_t heaviest = 1, filled = 0;

	ret_table->len = 0;
	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		next[i] = (uint32_t)(l4_name_hash(s[i].name, MAGLEV_OFFSET_SEED) %
				     LB_TABLE_MAX);
		skip[i] = (uint32_t)(l4_name_hash(s[i].name, MAGLEV_SKIP_SEED) %
					 (LB_TABLE_MAX - 1) +
				     1);
		if (s[i].weight > heaviest)
			heaviest = s[i].weight;
	}

	/* Slot 0 marks a free place: server slots begin at 1. */
	memset(ret_table->slot, 0, sizeof(ret_table->slot));
	for (uint32_t round = 1; filled < LB_TABLE_MAX; round++)
		for (uint32_t i = 0; i < n && filled < LB_TABLE_MAX; i++) {
			/* A server may have taken weight/heaviest of the rounds so far.
			 */
			if (taken[i] * heaviest >= round * s[i].weight)
				continue;
			while (ret_table->slot[next[i]] != 0)
				next[i] = (next[i] + skip[i]) % LB_TABLE_MAX;
			ret_table->slot[next[i]] = s[i].slot;
			taken[i]++;
			filled++;
		}
	ret_table->len = LB_TABLE_MAX;
}
