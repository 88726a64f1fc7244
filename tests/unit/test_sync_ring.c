/* The ring of unacknowledged batches: bytes stay what they were, and it never
 * overfills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "syncd/core/sync_ring.h"

static const struct td_instant t0 = { 0 };

static bool
push(struct sync_ring *ring, uint64_t seq, uint32_t reserve, uint32_t len)
{
	uint8_t *room = sync_ring_reserve(ring, reserve);

	if (room == NULL)
		return false;
	memset(room, (int)(seq & 0xff), len);
	sync_ring_commit(ring, seq, len, 1, t0);
	return true;
}

static void
check_all(const struct sync_ring *ring)
{
	uint32_t held = 0;

	for (uint32_t i = 0; i < ring->count; i++) {
		const struct sync_slot *slot = sync_ring_at(ring, i);
		const uint8_t *bytes = sync_ring_bytes(ring, slot);

		assert_true(slot->offset + slot->len <= ring->bytes_max);
		for (uint32_t j = 0; j < slot->len; j++)
			assert_int_equal(slot->seq & 0xff, bytes[j]);
		held += slot->len;
	}
	assert_int_equal(held, ring->held_bytes);
}

static void
batches_of_any_size_keep_their_bytes(void **state)
{
	struct sync_ring *ring = malloc(sizeof(*ring));
	uint64_t seq = 1;
	uint32_t random = 7;
	unsigned refused = 0;

	(void)state;
	assert_true(sync_ring_init(ring, 1000));
	for (unsigned i = 0; i < 50000; i++) {
		random = random * 1664525 + 1013904223;
		if ((random >> 16) % 3 != 0) {
			if (push(ring, seq, 200, (random >> 8) % 201))
				seq++;
			else
				refused++;
		} else if (ring->count > 0) {
			sync_ring_drop_first(ring);
		}
		check_all(ring);
	}
	assert_true(refused > 100);
	sync_ring_fini(ring);
	free(ring);
}

static void
a_full_ring_refuses_and_goes_on_after_an_acknowledgement(void **state)
{
	struct sync_ring *ring = malloc(sizeof(*ring));

	(void)state;
	assert_true(sync_ring_init(ring, 300));
	assert_true(push(ring, 1, 100, 100));
	assert_true(push(ring, 2, 100, 100));
	assert_true(push(ring, 3, 100, 100));
	assert_false(push(ring, 4, 100, 100));
	sync_ring_drop_first(ring);
	assert_true(push(ring, 4, 100, 100));
	assert_false(push(ring, 5, 100, 100));
	check_all(ring);
	sync_ring_clear(ring);
	assert_true(push(ring, 9, 100, 100));
	check_all(ring);
	sync_ring_fini(ring);
	free(ring);
}

static void
empty_batches_fill_slots_only(void **state)
{
	struct sync_ring *ring = malloc(sizeof(*ring));
	uint64_t seq = 1;

	(void)state;
	assert_true(sync_ring_init(ring, 4096));
	while (push(ring, seq, 100, 0))
		seq++;
	assert_int_equal(SYNC_RING_SLOTS, ring->count);
	assert_int_equal(0, ring->held_bytes);
	sync_ring_fini(ring);
	free(ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_of_any_size_keep_their_bytes),
		cmocka_unit_test(
		    a_full_ring_refuses_and_goes_on_after_an_acknowledgement),
		cmocka_unit_test(empty_batches_fill_slots_only),
	};

	return cmocka_run_group_tests_name("sync_ring", tests, NULL, NULL);
}
