/* Every row of RFC 9568 section 6.4, as docs/vrrp-transitions.md lists them, and those
 * in which version 2 (RFC 3768) differs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "vrrpd/core/vrrp_fsm.h"

#define I (100 * NS_PER_MS) /* our Advertisement_Interval */
#define J (1 * NS_PER_S)    /* one we learn */
#define SKEW(prio, interval) ((256 - (prio)) * (interval) / 256)
#define DOWN(prio, interval) (3 * (interval) + SKEW(prio, interval))
#define DOWN2(prio) (3 * I + SKEW(prio, NS_PER_S))
#define NOW INT64_C(1000000000000)
#define OLD (NOW + 17) /* a deadline that is left alone */
#define NONE INT64_MAX
#define ANY INT64_MIN

struct row {
	const char *name;
	enum vrrp_state state;
	uint8_t priority;
	bool preempt;
	enum vrrp_event_kind event;
	uint8_t advert_priority;
	int64_t advert_interval_ns;
	uint8_t source;   /* last octet; ours is 2 */
	int64_t deadline; /* before, relative to nothing: absolute */
	enum vrrp_state want_state;
	int64_t want_deadline;
	int64_t want_interval_ns;
	unsigned want_count;
	enum vrrp_action_kind want[VRRP_ACTIONS_MAX];
};

#define ADVERT VRRP_EV_ADVERT
#define SEND VRRP_DO_SEND_ADVERT
#define RESIGN VRRP_DO_SEND_RESIGN
#define PROMOTE VRRP_DO_PROMOTE
#define DEMOTE VRRP_DO_DEMOTE

static const struct row rows[] = {
	{ "initialize / startup as owner / Active at once", VRRP_INITIALIZE, 255, true,
	    VRRP_EV_STARTUP, 0, 0, 0, NONE, VRRP_ACTIVE, NOW + I, I, 2,
	    { SEND, PROMOTE } },
	{ "initialize / startup / Backup, waits Active_Down_Interval", VRRP_INITIALIZE,
	    100, true, VRRP_EV_STARTUP, 0, 0, 0, NONE, VRRP_BACKUP, NOW + DOWN(100, I),
	    I, 0, { 0 } },
	{ "initialize / shutdown / stays", VRRP_INITIALIZE, 100, true, VRRP_EV_SHUTDOWN,
	    0, 0, 0, NONE, VRRP_INITIALIZE, NONE, I, 0, { 0 } },
	{ "initialize / tick / stays", VRRP_INITIALIZE, 100, true, VRRP_EV_TICK, 0, 0,
	    0, NONE, VRRP_INITIALIZE, NONE, I, 0, { 0 } },
	{ "initialize / advertisement / ignored", VRRP_INITIALIZE, 100, true, ADVERT,
	    200, J, 3, NONE, VRRP_INITIALIZE, NONE, I, 0, { 0 } },

	{ "backup / startup / stays", VRRP_BACKUP, 100, true, VRRP_EV_STARTUP, 0, 0, 0,
	    OLD, VRRP_BACKUP, OLD, I, 0, { 0 } },
	{ "backup / shutdown / Initialize without a packet", VRRP_BACKUP, 100, true,
	    VRRP_EV_SHUTDOWN, 0, 0, 0, OLD, VRRP_INITIALIZE, NONE, I, 0, { 0 } },
	{ "backup / tick before the deadline / stays", VRRP_BACKUP, 100, true,
	    VRRP_EV_TICK, 0, 0, 0, OLD, VRRP_BACKUP, OLD, I, 0, { 0 } },
	{ "backup / tick at the deadline / Active", VRRP_BACKUP, 100, true,
	    VRRP_EV_TICK, 0, 0, 0, NOW, VRRP_ACTIVE, NOW + I, I, 2, { SEND, PROMOTE } },
	{ "backup / priority 0 / Skew_Time", VRRP_BACKUP, 100, true, ADVERT, 0, J, 3,
	    OLD, VRRP_BACKUP, NOW + SKEW(100, I), I, 0, { 0 } },
	{ "backup / higher priority / learns the interval, waits again", VRRP_BACKUP,
	    100, true, ADVERT, 150, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 0,
	    { 0 } },
	{ "backup / equal priority, lower address / accepted all the same", VRRP_BACKUP,
	    100, true, ADVERT, 100, I, 1, OLD, VRRP_BACKUP, NOW + DOWN(100, I), I, 0,
	    { 0 } },
	{ "backup / lower priority / discard", VRRP_BACKUP, 100, true, ADVERT, 99, J, 3,
	    OLD, VRRP_BACKUP, OLD, I, 0, { 0 } },
	{ "backup / lower priority, no preemption / accepted", VRRP_BACKUP, 100, false,
	    ADVERT, 99, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 0, { 0 } },
	{ "backup / lower priority, an owner without preempt / discard all the same",
	    VRRP_BACKUP, 255, false, ADVERT, 254, J, 3, OLD, VRRP_BACKUP, OLD, I, 0,
	    { 0 } },
	{ "backup / equal priority, no preemption / accepted", VRRP_BACKUP, 100, false,
	    ADVERT, 100, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 0, { 0 } },

	{ "active / startup / stays", VRRP_ACTIVE, 100, true, VRRP_EV_STARTUP, 0, 0, 0,
	    OLD, VRRP_ACTIVE, OLD, I, 0, { 0 } },
	{ "active / shutdown / priority 0", VRRP_ACTIVE, 100, true, VRRP_EV_SHUTDOWN, 0,
	    0, 0, OLD, VRRP_INITIALIZE, NONE, I, 2, { RESIGN, DEMOTE } },
	{ "active / tick before the deadline / stays", VRRP_ACTIVE, 100, true,
	    VRRP_EV_TICK, 0, 0, 0, OLD, VRRP_ACTIVE, OLD, I, 0, { 0 } },
	{ "active / tick at the deadline / advertises", VRRP_ACTIVE, 100, true,
	    VRRP_EV_TICK, 0, 0, 0, NOW, VRRP_ACTIVE, NOW + I, I, 1, { SEND } },
	{ "active / priority 0 / advertises, timer starts again", VRRP_ACTIVE, 100,
	    true, ADVERT, 0, J, 3, OLD, VRRP_ACTIVE, NOW + I, I, 1, { SEND } },
	{ "active / higher priority / Backup", VRRP_ACTIVE, 100, true, ADVERT, 101, J,
	    1, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 1, { DEMOTE } },
	{ "active / equal priority, higher address / Backup", VRRP_ACTIVE, 100, true,
	    ADVERT, 100, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 1, { DEMOTE } },
	{ "active / equal priority, address above 127 / compared unsigned", VRRP_ACTIVE,
	    100, true, ADVERT, 100, J, 200, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 1,
	    { DEMOTE } },
	{ "active / equal priority, lower address / answered at once", VRRP_ACTIVE, 100,
	    true, ADVERT, 100, J, 1, OLD, VRRP_ACTIVE, OLD, I, 1, { SEND } },
	{ "active / lower priority / answered at once", VRRP_ACTIVE, 100, true, ADVERT,
	    99, J, 3, OLD, VRRP_ACTIVE, OLD, I, 1, { SEND } },
	{ "active / higher priority, no preemption / Backup all the same", VRRP_ACTIVE,
	    100, false, ADVERT, 101, J, 1, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 1,
	    { DEMOTE } },
	{ "active as owner / priority 254 / answered at once", VRRP_ACTIVE, 255, true,
	    ADVERT, 254, J, 3, OLD, VRRP_ACTIVE, OLD, I, 1, { SEND } },
	{ "active as owner / another owner, higher address / Backup", VRRP_ACTIVE, 255,
	    true, ADVERT, 255, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(255, J), J, 1,
	    { DEMOTE } },
};

/* RFC 3768: a skew in parts of a second, nothing is learned. */
static const struct row rows_v2[] = {
	{ "version 2 / initialize / startup / Backup", VRRP_INITIALIZE, 100, true,
	    VRRP_EV_STARTUP, 0, 0, 0, NONE, VRRP_BACKUP, NOW + DOWN2(100), I, 0,
	    { 0 } },
	{ "version 2 / initialize / startup as owner / Active at once", VRRP_INITIALIZE,
	    255, true, VRRP_EV_STARTUP, 0, 0, 0, NONE, VRRP_ACTIVE, NOW + I, I, 2,
	    { SEND, PROMOTE } },
	{ "version 2 / backup / tick at the deadline / Active", VRRP_BACKUP, 100, true,
	    VRRP_EV_TICK, 0, 0, 0, NOW, VRRP_ACTIVE, NOW + I, I, 2, { SEND, PROMOTE } },
	{ "version 2 / backup / priority 0 / Skew_Time of a second", VRRP_BACKUP, 100,
	    true, ADVERT, 0, I, 3, OLD, VRRP_BACKUP, NOW + SKEW(100, NS_PER_S), I, 0,
	    { 0 } },
	{ "version 2 / backup / higher priority / waits again, learns nothing",
	    VRRP_BACKUP, 100, true, ADVERT, 150, J, 3, OLD, VRRP_BACKUP,
	    NOW + DOWN2(100), I, 0, { 0 } },
	{ "version 2 / backup / lower priority / discard", VRRP_BACKUP, 100, true,
	    ADVERT, 99, I, 3, OLD, VRRP_BACKUP, OLD, I, 0, { 0 } },
	{ "version 2 / active / higher priority / Backup", VRRP_ACTIVE, 100, true,
	    ADVERT, 101, I, 1, OLD, VRRP_BACKUP, NOW + DOWN2(100), I, 1, { DEMOTE } },
	{ "version 2 / active / priority 0 / advertises, timer starts again",
	    VRRP_ACTIVE, 100, true, ADVERT, 0, I, 3, OLD, VRRP_ACTIVE, NOW + I, I, 1,
	    { SEND } },
	{ "version 2 / active / lower priority / no answer", VRRP_ACTIVE, 100, true,
	    ADVERT, 99, I, 3, OLD, VRRP_ACTIVE, OLD, I, 0, { 0 } },
	{ "version 2 / active / shutdown / priority 0", VRRP_ACTIVE, 100, true,
	    VRRP_EV_SHUTDOWN, 0, 0, 0, OLD, VRRP_INITIALIZE, NONE, I, 2,
	    { RESIGN, DEMOTE } },
};

static const struct {
	struct row row;
	int64_t delay_ns, preempt_at, want_preempt_at;
} rows_delay[] = {
	{ { "backup / lower priority, first one, preempt_delay / accepted, the delay "
	    "runs",
	      VRRP_BACKUP, 100, true, ADVERT, 99, J, 3, OLD, VRRP_BACKUP,
	      NOW + DOWN(100, J), J, 0, { 0 } },
	    5 * J, NONE, NOW + 5 * J },
	{ { "backup / lower priority, the delay still runs / accepted", VRRP_BACKUP,
	      100, true, ADVERT, 99, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 0,
	      { 0 } },
	    5 * J, NOW + 1, NOW + 1 },
	{ { "backup / lower priority, the delay is over / discard", VRRP_BACKUP, 100,
	      true, ADVERT, 99, J, 3, OLD, VRRP_BACKUP, OLD, I, 0, { 0 } },
	    5 * J, NOW, NOW },
	{ { "backup / higher priority / the delay begins anew", VRRP_BACKUP, 100, true,
	      ADVERT, 101, J, 3, OLD, VRRP_BACKUP, NOW + DOWN(100, J), J, 0, { 0 } },
	    5 * J, NOW + 1, NONE },
};

static struct td_addr
address(uint8_t last)
{
	return (struct td_addr){ TD_AF_INET, { 192, 0, 2, last } };
}

static unsigned
check_row(const struct row *row, uint8_t version, int64_t delay_ns, int64_t preempt_at,
    int64_t want_preempt_at)
{
	struct vrrp_config cfg = { version, row->priority, I, row->preempt, delay_ns,
		address(2) };
	struct vrrp_router r = { .state = row->state,
		.active_adver_interval_ns = I,
		.deadline = { row->deadline },
		.preempt_at = { preempt_at } };
	struct vrrp_event ev = { row->event,
		{ row->advert_priority, row->advert_interval_ns,
		    address(row->source) } };
	struct vrrp_actions out;

	vrrp_step(&cfg, &r, &ev, (struct td_instant){ NOW }, &out);
	if (r.state == row->want_state && r.deadline.ns == row->want_deadline &&
	    r.active_adver_interval_ns == row->want_interval_ns &&
	    (want_preempt_at == ANY || r.preempt_at.ns == want_preempt_at) &&
	    out.count == row->want_count &&
	    memcmp(out.list, row->want, out.count * sizeof(out.list[0])) == 0)
		return 0;
	print_error("row \"%s\", version %u: state %d deadline %+lld ns, %u actions\n",
	    row->name, version, (int)r.state, (long long)(r.deadline.ns - NOW),
	    out.count);
	return 1;
}

static void
test_transitions(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		wrong += check_row(&rows[i], 3, 0, NONE, ANY);
	assert_int_equal(wrong, 0);
}

static void
test_transitions_of_version_2(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(rows_v2) / sizeof(rows_v2[0]); i++)
		wrong += check_row(&rows_v2[i], 2, 0, NONE, ANY);
	assert_int_equal(wrong, 0);
}

static void
test_transitions_with_preempt_delay(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(rows_delay) / sizeof(rows_delay[0]); i++)
		wrong += check_row(&rows_delay[i].row, 3, rows_delay[i].delay_ns,
		    rows_delay[i].preempt_at, rows_delay[i].want_preempt_at);
	assert_int_equal(wrong, 0);
}

static void
test_skew_keeps_the_order_at_10_ms(void **context)
{
	struct vrrp_config high = { 3, 254, 10 * NS_PER_MS, true, 0, address(2) };
	struct vrrp_config low = { 3, 253, 10 * NS_PER_MS, true, 0, address(3) };
	struct vrrp_router r = { .state = VRRP_BACKUP,
		.active_adver_interval_ns = 10 * NS_PER_MS };

	(void)context;
	assert_int_equal(vrrp_skew_time_ns(&high, &r), 78125);
	assert_true(vrrp_skew_time_ns(&low, &r) > vrrp_skew_time_ns(&high, &r));
}

static void
test_a_changed_priority_moves_the_running_skew(void **context)
{
	struct vrrp_config cfg = { 3, 200, I, true, 0, address(2) };
	struct vrrp_router r = { .state = VRRP_BACKUP,
		.active_adver_interval_ns = I,
		.deadline = { NOW + DOWN(100, I) } };

	(void)context;
	vrrp_priority_changed(&cfg, &r, 100);
	assert_int_equal(r.deadline.ns, NOW + DOWN(200, I));
}

/* Every lower advertisement restarts the timer until the delay is over; the silence of
 * three intervals that follows is then ours. */
static void
test_preempt_delay_from_the_first_lower_advertisement(void **context)
{
	struct vrrp_config cfg = { 3, 200, I, true, J, address(2) };
	struct vrrp_router r = { .state = VRRP_BACKUP,
		.active_adver_interval_ns = I,
		.deadline = { NOW + DOWN(200, I) },
		.preempt_at = TD_NEVER };
	struct vrrp_event advert = { ADVERT, { 100, I, address(3) } };
	struct vrrp_event tick = { .kind = VRRP_EV_TICK };
	struct vrrp_actions out;
	int64_t now = NOW;

	(void)context;
	while (r.state == VRRP_BACKUP && now < NOW + 10 * J) {
		now += I / 2;
		vrrp_step(&cfg, &r, &tick, (struct td_instant){ now }, &out);
		if (r.state == VRRP_BACKUP && (now - NOW) % I == 0)
			vrrp_step(&cfg, &r, &advert, (struct td_instant){ now }, &out);
	}
	assert_int_equal(r.state, VRRP_ACTIVE);
	assert_in_range(now, NOW + I + J + 2 * I, NOW + I + J + 4 * I);
	assert_true(r.preempt_at.ns == NONE);
}

static const struct vrrp_config lease_config = { .version = 3,
	.priority = 100,
	.advertisement_interval_ns = I,
	.preempt_mode = true };

/* A router that has just taken over. */
static struct vrrp_router
taking_over(void)
{
	struct vrrp_router r = {
		.state = VRRP_BACKUP, .active_adver_interval_ns = I, .deadline = { NOW }
	};
	struct vrrp_event tick = { .kind = VRRP_EV_TICK };
	struct vrrp_actions out;

	vrrp_step(&lease_config, &r, &tick, (struct td_instant){ NOW }, &out);
	assert_int_equal(r.state, VRRP_ACTIVE);
	return r;
}

static int64_t
renewed(struct vrrp_router *r, int64_t ns)
{
	return vrrp_renew(&lease_config, r, (struct td_instant){ NOW + ns }).ns;
}

static enum vrrp_lateness
lateness(struct vrrp_router *r, int64_t ns)
{
	return vrrp_judge_lateness(&lease_config, r, (struct td_instant){ NOW + ns });
}

static void
test_a_lease_counts_from_before_the_advertisement(void **context)
{
	struct vrrp_router r = taking_over();

	(void)context;
	assert_int_equal(renewed(&r, 1000), NOW + 1000 + 3 * I);
	assert_int_equal(renewed(&r, I), NOW + 4 * I);
	assert_int_equal(lateness(&r, 4 * I - 1), VRRP_IN_TIME);
	assert_int_equal(lateness(&r, 4 * I), VRRP_OVERSLEPT);
}

static void
test_an_advertisement_after_the_lease_renews_nothing(void **context)
{
	struct vrrp_router r = taking_over();

	(void)context;
	(void)renewed(&r, 0);
	assert_int_equal(renewed(&r, 3 * I), NOW + 3 * I);
	assert_int_equal(lateness(&r, 3 * I), VRRP_OVERSLEPT);
}

static void
test_a_takeover_that_was_stopped_on_its_way_reads_and_speaks_again(void **context)
{
	struct vrrp_router r = taking_over();
	struct vrrp_event tick = { .kind = VRRP_EV_TICK };
	struct vrrp_actions out;

	(void)context;
	assert_int_equal(renewed(&r, I / 2), 0);
	assert_int_equal(r.deadline.ns, NOW + I / 2);
	vrrp_step(&lease_config, &r, &tick, (struct td_instant){ NOW + I / 2 }, &out);
	assert_int_equal(out.count, 1);
	assert_int_equal(out.list[0], VRRP_DO_SEND_ADVERT);
	assert_int_equal(renewed(&r, I / 2), NOW + I / 2 + 3 * I);
}

static void
test_a_late_backup_listens_once_more(void **context)
{
	struct vrrp_router r = {
		.state = VRRP_BACKUP, .active_adver_interval_ns = I, .deadline = { NOW }
	};

	(void)context;
	assert_int_equal(lateness(&r, I), VRRP_IN_TIME);
	assert_int_equal(r.deadline.ns, NOW);
	assert_int_equal(lateness(&r, I + 1), VRRP_LISTEN_AGAIN);
	assert_int_equal(r.deadline.ns, NOW + 2 * I + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_transitions_of_version_2),
		cmocka_unit_test(test_transitions_with_preempt_delay),
		cmocka_unit_test(test_skew_keeps_the_order_at_10_ms),
		cmocka_unit_test(test_a_changed_priority_moves_the_running_skew),
		cmocka_unit_test(test_preempt_delay_from_the_first_lower_advertisement),
		cmocka_unit_test(test_a_lease_counts_from_before_the_advertisement),
		cmocka_unit_test(test_an_advertisement_after_the_lease_renews_nothing),
		cmocka_unit_test(
		    test_a_takeover_that_was_stopped_on_its_way_reads_and_speaks_again),
		cmocka_unit_test(test_a_late_backup_listens_once_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
