/* The shadow: a model beside it, its bounds, and what a flow costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "syncd/core/flow_wire.h"
#include "syncd/core/shadow.h"

static const struct siphash_key key0 = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

static struct flow_key
key_of(unsigned i)
{
	struct flow_key key;

	memset(&key, 0, sizeof(key));
	key.family = TD_AF_INET;
	key.protocol = FLOW_TCP;
	memcpy(key.orig.src, &i, sizeof(i));
	key.orig.dst_port = 80;
	return key;
}

static void
the_hash_is_siphash_1_3(void **state)
{
	/* The first vectors of the reference implementation with c=1, d=3 and the key
	 * 00 01 .. 0f over the messages "", 00, 00 01, ... */
	static const uint64_t vectors[] = { 0xabac0158050fc4dc, 0xc9f49bf37d57ca93,
		0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb, 0xcf75576088d38328 };
	uint8_t message[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

	(void)state;
	for (size_t len = 0; len < sizeof(vectors) / sizeof(vectors[0]); len++)
		assert_true(siphash13(&key0, message, len) == vectors[len]);
}

static void
a_random_history_agrees_with_a_model(void **state)
{
	enum { KEYS = 6000 };
	static uint32_t at[KEYS];
	struct shadow shadow;
	unsigned count = 0, dirty = 0, steps = 400000;
	uint32_t random = 1;

	(void)state;
	assert_true(shadow_init(&shadow, 5000, key0));
	memset(at, 0xff, sizeof(at));
	while (steps-- > 0) {
		unsigned k;
		struct flow_key key;

		random = random * 1664525 + 1013904223;
		k = (random >> 8) % KEYS;
		key = key_of(k);
		assert_int_equal(at[k], shadow_find(&shadow, &key));
		if (at[k] == SHADOW_NONE) {
			at[k] = shadow_insert(&shadow, &key);
			assert_true((at[k] == SHADOW_NONE) == (count == 5000));
			count += at[k] != SHADOW_NONE;
		} else if (random % 5 < 2) {
			dirty -= (shadow_at(&shadow, at[k])->flags & SHADOW_DIRTY) != 0;
			shadow_remove(&shadow, at[k]);
			at[k] = SHADOW_NONE;
			count--;
		} else if (random % 5 == 2) {
			dirty += (shadow_at(&shadow, at[k])->flags & SHADOW_DIRTY) == 0;
			shadow_dirty_add(&shadow, at[k]);
		} else if (dirty > 0) {
			shadow_dirty_remove(&shadow, shadow_dirty_first(&shadow));
			dirty--;
		}
		assert_int_equal(count, shadow.count);
		assert_int_equal(dirty, shadow.dirty_count);
		assert_true(shadow.high <= 5000);
	}
	shadow_fini(&shadow);
}

static void
the_dirty_list_keeps_order_and_each_entry_once(void **state)
{
	struct shadow shadow;
	uint32_t index[4];

	(void)state;
	assert_true(shadow_init(&shadow, 8, key0));
	for (unsigned i = 0; i < 4; i++) {
		struct flow_key key = key_of(i);

		index[i] = shadow_insert(&shadow, &key);
		shadow_dirty_add(&shadow, index[i]);
	}
	shadow_dirty_add(&shadow, index[0]); /* again: keeps its place */
	shadow_dirty_remove(&shadow, index[1]);
	shadow_remove(&shadow, index[2]);
	assert_int_equal(2, shadow.dirty_count);
	assert_int_equal(index[0], shadow_dirty_first(&shadow));
	shadow_dirty_remove(&shadow, index[0]);
	assert_int_equal(index[3], shadow_dirty_first(&shadow));
	shadow_dirty_remove(&shadow, index[3]);
	assert_int_equal(SHADOW_NONE, shadow_dirty_first(&shadow));
	shadow_fini(&shadow);
}

static void
deletions_that_wait_can_be_given_up_for_room(void **state)
{
	struct shadow shadow;
	struct flow_key key;

	(void)state;
	assert_true(shadow_init(&shadow, 4, key0));
	for (unsigned i = 0; i < 4; i++) {
		uint32_t index;

		key = key_of(i);
		index = shadow_insert(&shadow, &key);
		shadow_dirty_add(&shadow, index);
		if (i < 3)
			shadow_set_deleted(&shadow, index, true);
	}
	key = key_of(9);
	assert_int_equal(SHADOW_NONE, shadow_insert(&shadow, &key));
	assert_int_equal(1, shadow_flows(&shadow));
	assert_int_equal(3, shadow_forget_deleted(&shadow));
	assert_int_equal(1, shadow_flows(&shadow));
	assert_int_equal(1, shadow.dirty_count);
	assert_int_not_equal(SHADOW_NONE, shadow_insert(&shadow, &key));
	shadow_fini(&shadow);
}

static long
resident_bytes(void)
{
	long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(2, fscanf(f, "%ld %ld", &size, &resident));
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Printed, for docs/protocol.md; only the size is promised, and sanitizers change that.
 */
static void
what_a_flow_costs(void **state)
{
	enum { FLOWS = 200000 };
	static uint8_t blob[65536];
	struct shadow shadow;
	struct flow_change change;
	struct td_writer wr = { blob, sizeof(blob), false };
	long before, after;
	double t0, t1, t2, t3;

	(void)state;
	memset(&change, 0, sizeof(change));
	assert_true(shadow_init(&shadow, 262144, key0));
	before = resident_bytes();
	t0 = seconds();
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow_key key = key_of(i * 2654435761U);

		shadow_dirty_add(&shadow, shadow_insert(&shadow, &key));
	}
	t1 = seconds();
	after = resident_bytes();
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow_key key = key_of(i * 2654435761U);

		assert_int_not_equal(SHADOW_NONE, shadow_find(&shadow, &key));
	}
	t2 = seconds();
	for (uint32_t i = 0; i < FLOWS; i++) {
		if (wr.left < FLOW_WIRE_MAX)
			wr = (struct td_writer){ blob, sizeof(blob), false };
		change.flow = shadow_at(&shadow, i)->flow;
		change.flow.timeout_s = 1000;
		flow_change_encode(&wr, &change);
	}
	t3 = seconds();
	printf("  per flow: %.1f bytes resident, insert %.0f ns, find %.0f ns, encode "
	       "%.0f "
	       "ns\n",
	    (double)(after - before) / FLOWS, (t1 - t0) / FLOWS * 1e9,
	    (t2 - t1) / FLOWS * 1e9, (t3 - t2) / FLOWS * 1e9);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(after - before <= 160L * FLOWS);
#endif
	shadow_fini(&shadow);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash_1_3),
		cmocka_unit_test(a_random_history_agrees_with_a_model),
		cmocka_unit_test(the_dirty_list_keeps_order_and_each_entry_once),
		cmocka_unit_test(deletions_that_wait_can_be_given_up_for_room),
		cmocka_unit_test(what_a_flow_costs),
	};

	return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
