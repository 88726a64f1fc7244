/* Dumps of this kernel's table, and its settings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ct_fixture.h"
#include "ct_lab.h"
#include "syncd/ct_sysctl.h"

static void
test_dump_in_steps_sees_every_entry_once(void **state)
{
	struct fixture *f = *state;
	static uint8_t times[2000];
	unsigned steps = 0;
	int more;

	for (uint16_t i = 0; i < 2000; i++) {
		struct flow_record flow = i % 2 ? tcp6() : tcp4();

		flow.key.orig.src_port = i;
		flow.reply = flow_tuple_invert(&flow.key);
		ct_inject_upsert(f->inject_b, &flow, TIMEOUT_S, 0, i);
	}
	ct_inject_flush(f->inject_b);
	memset(times, 0, sizeof(times));
	f->entry_count = 0;
	ct_lab_enter(f->netns_b);
	assert_int_equal(ct_dump_start(f->dump_b, 0), 0);
	while ((more = ct_dump_step(f->dump_b, 100)) == 1)
		steps++;
	assert_int_equal(more, 0);
	assert_in_range(steps, 5, 20);
	assert_int_equal(f->entry_count, 2000);
	for (unsigned i = 0; i < f->entry_count; i++)
		times[f->entries[i].flow.key.orig.src_port]++;
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(times[i], 1);

	/* One family; given up halfway; again. */
	f->entry_count = 0;
	assert_int_equal(ct_dump_start(f->dump_b, TD_AF_INET6), 0);
	assert_int_equal(ct_dump_step(f->dump_b, 1), 1);
	ct_dump_abort(f->dump_b);
	assert_in_range(f->entry_count, 1, 999);
	f->entry_count = 0;
	assert_int_equal(ct_dump_start(f->dump_b, TD_AF_INET6), 0);
	while (ct_dump_step(f->dump_b, 100) == 1)
		continue;
	assert_int_equal(f->entry_count, 1000);
	clean_b(f);
}

static void
test_settings_are_made_and_shown(void **state)
{
	struct fixture *f = *state;
	struct ct_sysctl sysctl;
	int64_t max;

	/* Only what the tests before left behind would be counted. */
	ct_lab_enter(f->netns_b);
	assert_int_equal(ct_sysctl_count(), 0);
	ct_lab_enter(f->netns_a);
	ct_sysctl_apply(1, &sysctl);
	assert_int_equal(sysctl.settings[CT_SET_EVENTS].effective, 1);
	assert_int_equal(sysctl.settings[CT_SET_ACCT].effective, 1);
	assert_int_equal(sysctl.settings[CT_SET_TIMESTAMP].effective, 1);
	max = sysctl.settings[CT_SET_MAX].effective;
	assert_true(max > 1);
	assert_int_equal(sysctl.settings[CT_SET_MAX].error, 0);
	/* More than there is, in a namespace that may not change it: said, not hidden.
	 */
	ct_sysctl_apply((uint32_t)max + 1, &sysctl);
	assert_int_equal(sysctl.settings[CT_SET_MAX].effective, max);
	assert_int_equal(sysctl.settings[CT_SET_MAX].wanted, max + 1);
	assert_true(sysctl.settings[CT_SET_MAX].error < 0);
	ct_sysctl_set_tcp_loose(&sysctl, false);
	assert_int_equal(sysctl.settings[CT_SET_TCP_LOOSE].effective, 0);
	ct_sysctl_set_tcp_loose(&sysctl, true);
	assert_int_equal(sysctl.settings[CT_SET_TCP_LOOSE].effective, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dump_in_steps_sees_every_entry_once),
		cmocka_unit_test(test_settings_are_made_and_shown),
	};

	return CT_RUN(tests);
}
