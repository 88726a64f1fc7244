#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <cmocka.h>
#include <tandem/mark.h>
#include "lbcore_model.h"
#include "lbcore/l4/core/l4_slots.h"

static struct td_config
many_servers(struct td_server *servers, struct td_balancer *balancer, uint32_t count)
{
	struct td_config config = { .balancers = balancer, .balancer_count = 1 };

	memset(servers, 0, count * sizeof(*servers));
	memset(balancer, 0, sizeof(*balancer));
	strcpy(balancer->name, "pool");
	balancer->servers = servers;
	balancer->server_count = count;
	for (uint32_t i = 0; i < count; i++)
		snprintf(servers[i].name, sizeof(servers[i].name), "server-%u", i);
	return config;
}

static void
every_server_has_a_slot_of_its_own(void **state)
{
	static struct td_server servers[TD_MARK_SERVER_MAX];
	static bool seen[TD_MARK_SERVER_DROP + 1];
	struct td_balancer balancer;
	struct td_config config = many_servers(servers, &balancer, TD_MARK_SERVER_MAX);
	struct l4_slots slots;

	(void)state;
	assert_int_equal(l4_slots_init(&slots, &config), 0);
	for (uint32_t i = 0; i < TD_MARK_SERVER_MAX; i++) {
		uint16_t slot = l4_slot(&slots, 0, i);

		assert_in_range(slot, 1, TD_MARK_SERVER_MAX);
		assert_false(seen[slot]);
		seen[slot] = true;
	}
	l4_slots_fini(&slots);
}

static void
one_server_more_than_slots_is_refused(void **state)
{
	static struct td_server servers[TD_MARK_SERVER_MAX + 1];
	struct td_balancer balancer;
	struct td_config config =
	    many_servers(servers, &balancer, TD_MARK_SERVER_MAX + 1);
	struct l4_slots slots;

	(void)state;
	assert_int_equal(l4_slots_init(&slots, &config), -E2BIG);
}

static void
the_order_in_the_file_does_not_matter(void **state)
{
	struct td_config config = model_lab();
	struct l4_slots before, after;
	struct td_server swap;

	(void)state;
	assert_int_equal(l4_slots_init(&before, &config), 0);
	swap = config.balancers[0].servers[0];
	config.balancers[0].servers[0] = config.balancers[0].servers[2];
	config.balancers[0].servers[2] = swap;
	assert_int_equal(l4_slots_init(&after, &config), 0);
	assert_int_equal(l4_slot(&before, 0, 0), l4_slot(&after, 0, 2));
	assert_int_equal(l4_slot(&before, 0, 2), l4_slot(&after, 0, 0));
	assert_int_equal(l4_slot(&before, 1, 1), l4_slot(&after, 1, 1));
	l4_slots_fini(&before);
	l4_slots_fini(&after);
}

static void
a_removed_server_leaves_the_others_where_they_are(void **state)
{
	static struct td_server servers[100];
	struct td_balancer balancer;
	struct td_config config = many_servers(servers, &balancer, 100);
	struct l4_slots before, after;
	unsigned moved = 0;

	(void)state;
	assert_int_equal(l4_slots_init(&before, &config), 0);
	balancer.servers = servers + 1;
	balancer.server_count = 99;
	assert_int_equal(l4_slots_init(&after, &config), 0);
	for (uint32_t i = 0; i < 99; i++)
		moved += l4_slot(&before, 0, i + 1) != l4_slot(&after, 0, i);
	assert_in_range(moved, 0, 1);
	l4_slots_fini(&before);
	l4_slots_fini(&after);
}

static void
no_balancer_needs_no_slot(void **state)
{
	struct td_config config = { 0 };
	struct l4_slots slots;

	(void)state;
	assert_int_equal(l4_slots_init(&slots, &config), 0);
	assert_int_equal(slots.server_count, 0);
	l4_slots_fini(&slots);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_server_has_a_slot_of_its_own),
		cmocka_unit_test(one_server_more_than_slots_is_refused),
		cmocka_unit_test(the_order_in_the_file_does_not_matter),
		cmocka_unit_test(a_removed_server_leaves_the_others_where_they_are),
		cmocka_unit_test(no_balancer_needs_no_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
