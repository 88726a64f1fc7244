#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lbcore/l4/core/l4_table.h"

static uint32_t
share(const struct lb_table *table, uint16_t slot)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < table->len; i++)
		n += table->slot[i] == slot;
	return n;
}

struct row {
	const char *name;
	struct l4_server servers[4];
	uint32_t count;
	uint16_t turn[8]; /* expected cycle; 0 ends it */
};

static const struct row turns[] = {
	{ "L2 equal weights / each in turn",
	    { { "a", 1, 1, true }, { "b", 2, 1, true }, { "c", 3, 1, true } }, 3,
	    { 1, 2, 3 } },
	{ "L2 equal weights above one / the same cycle",
	    { { "a", 1, 10, true }, { "b", 2, 10, true } }, 2, { 1, 2 } },
	{ "L7 1:3 / spread, not in a row", { { "a", 1, 1, true }, { "b", 2, 3, true } },
	    2, { 2, 1, 2, 2 } },
	{ "L7 weight 0 / takes nothing", { { "a", 1, 0, true }, { "b", 2, 1, true } },
	    2, { 2 } },
	{ "down / takes nothing", { { "a", 1, 1, false }, { "b", 2, 1, true } }, 2,
	    { 2 } },
	{ "all down / no server", { { "a", 1, 1, false }, { "b", 2, 1, false } }, 2,
	    { 0 } },
	{ "no servers / no server", { { 0 } }, 0, { 0 } },
	{ "order of the names, not of the list",
	    { { "b", 2, 1, true }, { "a", 1, 1, true } }, 2, { 1, 2 } },
};

static void
roundrobin_turns(void **state)
{
	static struct lb_table table;

	(void)state;
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		uint32_t len = 0;

		while (turns[i].turn[len] != 0)
			len++;
		l4_table_roundrobin(turns[i].servers, turns[i].count, &table);
		if (table.len != len)
			fail_msg("%s: length %u", turns[i].name, table.len);
		for (uint32_t t = 0; t < len; t++)
			if (table.slot[t] != turns[i].turn[t])
				fail_msg("%s: turn %u is %u", turns[i].name, t,
				    table.slot[t]);
	}
}

static void
roundrobin_gives_3000_connections_as_1000_each(void **state)
{
	static const struct l4_server servers[] = { { "s1", 7, 1, true },
		{ "s2", 8, 1, true }, { "s3", 9, 1, true } };
	static struct lb_table table;
	unsigned got[10] = { 0 };

	(void)state;
	l4_table_roundrobin(servers, 3, &table);
	for (unsigned i = 0; i < 3000; i++)
		got[table.slot[i % table.len]]++;
	assert_int_equal(got[7], 1000);
	assert_int_equal(got[8], 1000);
	assert_int_equal(got[9], 1000);
}

/* A cycle longer than the table is rounded: each share stays within 2 % of its own. */
static void
roundrobin_rounds_what_does_not_fit(void **state)
{
	static char names[L4_SERVERS_MAX][8];
	static struct l4_server servers[L4_SERVERS_MAX];
	static struct lb_table table;

	(void)state;
	for (unsigned i = 0; i < L4_SERVERS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "s%u", i);
		servers[i] = (struct l4_server){ names[i], (uint16_t)(i + 1),
			255 - i % 2, true };
	}
	servers[0].weight = 1;
	l4_table_roundrobin(servers, L4_SERVERS_MAX, &table);
	assert_in_range(table.len, L4_SERVERS_MAX, LB_TABLE_MAX);
	for (unsigned i = 0; i < L4_SERVERS_MAX; i++)
		assert_in_range(share(&table, (uint16_t)(i + 1)), 1, 16);
	assert_int_equal(share(&table, 1), 1);

	servers[0].weight = 1;
	servers[1].weight = 256;
	servers[2].weight = 255;
	for (unsigned i = 3; i < 20; i++)
		servers[i].weight = 256;
	l4_table_roundrobin(servers, 20, &table);
	for (unsigned i = 1; i < 20; i++)
		assert_in_range(share(&table, (uint16_t)(i + 1)), table.len / 19 - 5,
		    table.len / 19 + 5);
}

static void
source_shares_follow_the_weights(void **state)
{
	static const struct l4_server equal[] = { { "s1", 1, 1, true },
		{ "s2", 2, 1, true }, { "s3", 3, 1, true } };
	static const struct l4_server uneven[] = { { "s1", 1, 1, true },
		{ "s2", 2, 3, true } };
	static struct lb_table table;

	(void)state;
	l4_table_source(equal, 3, &table);
	assert_int_equal(table.len, LB_TABLE_MAX);
	for (uint16_t slot = 1; slot <= 3; slot++)
		assert_in_range(
		    share(&table, slot), LB_TABLE_MAX / 3, LB_TABLE_MAX / 3 + 1);
	l4_table_source(uneven, 2, &table);
	assert_in_range(share(&table, 1), LB_TABLE_MAX / 4 - 1, LB_TABLE_MAX / 4 + 1);
}

static void
source_table_is_the_same_whatever_the_order(void **state)
{
	static const struct l4_server one[] = { { "s1", 1, 1, true },
		{ "s2", 2, 2, true }, { "s3", 3, 1, true } };
	static const struct l4_server two[] = { { "s3", 3, 1, true },
		{ "s1", 1, 1, true }, { "s2", 2, 2, true } };
	static struct lb_table a, b;

	(void)state;
	l4_table_source(one, 3, &a);
	l4_table_source(two, 3, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.slot, b.slot, a.len * sizeof(a.slot[0]));
}

/* Clients of the servers that stay are the ones to keep theirs. */
static void
source_moves_few_when_a_server_goes(void **state)
{
	static struct l4_server servers[] = { { "s1", 1, 1, true },
		{ "s2", 2, 1, true }, { "s3", 3, 1, true }, { "s4", 4, 1, true },
		{ "s5", 5, 1, true } };
	static struct lb_table before, after;
	unsigned moved = 0;

	(void)state;
	l4_table_source(servers, 5, &before);
	servers[2].up = false;
	l4_table_source(servers, 5, &after);
	assert_int_equal(share(&after, 3), 0);
	for (unsigned i = 0; i < LB_TABLE_MAX; i++)
		moved += before.slot[i] != 3 && before.slot[i] != after.slot[i];
	assert_in_range(moved, 0, LB_TABLE_MAX / 10);
}

static void
source_without_servers_is_empty(void **state)
{
	static const struct l4_server down[] = { { "s1", 1, 1, false } };
	static struct lb_table table;

	(void)state;
	table.len = 1;
	l4_table_source(down, 1, &table);
	assert_int_equal(table.len, 0);
}

/* Neighbouring client addresses spread like any others. */
static void
source_hash_spreads_neighbours(void **state)
{
	unsigned bucket[16] = { 0 };

	(void)state;
	for (uint32_t host = 0; host < 4096; host++) {
		uint8_t bytes[16] = { 203, 0, (uint8_t)(host >> 8), (uint8_t)host };
		uint32_t words[4];

		memcpy(words, bytes, sizeof(words));
		bucket[lb_source_hash(words) % 16]++;
	}
	for (unsigned i = 0; i < 16; i++)
		assert_in_range(bucket[i], 200, 312);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roundrobin_turns),
		cmocka_unit_test(roundrobin_gives_3000_connections_as_1000_each),
		cmocka_unit_test(roundrobin_rounds_what_does_not_fit),
		cmocka_unit_test(source_shares_follow_the_weights),
		cmocka_unit_test(source_table_is_the_same_whatever_the_order),
		cmocka_unit_test(source_moves_few_when_a_server_goes),
		cmocka_unit_test(source_without_servers_is_empty),
		cmocka_unit_test(source_hash_spreads_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
