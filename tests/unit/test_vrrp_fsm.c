/* Every row of RFC 9568 section 6.4, as docs/vrrp-transitions.md lists them. */
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
#define NOW INT64_C(1000000000000)
#define OLD (NOW + 17) /* a deadline that is left alone */
#define NONE INT64_MAX

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
};

static struct td_addr
address(uint8_t last)
{
	return (struct td_addr){ TD_AF_INET, { 192, 0, 2, last } };
}

static void
test_transitions(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct vrrp_config cfg = { row->priority, I, row->preempt, address(2) };
		struct vrrp_router r = { row->state, I, { row->deadline } };
		struct vrrp_event ev = { row->event,
			{ row->advert_priority, row->advert_interval_ns,
			    address(row->source) } };
		struct vrrp_actions out;
		bool good;

		vrrp_step(&cfg, &r, &ev, (struct td_instant){ NOW }, &out);
		good =
		    r.state == row->want_state && r.deadline.ns == row->want_deadline &&
		    r.active_adver_interval_ns == row->want_interval_ns &&
		    out.count == row->want_count &&
		    memcmp(out.list, row->want, out.count * sizeof(out.list[0])) == 0;
		if (!good) {
			print_error(
			    "row \"%s\": state %d deadline %+lld ns, %u actions\n",
			    row->name, (int)r.state, (long long)(r.deadline.ns - NOW),
			    out.count);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void
test_skew_keeps_the_order_at_10_ms(void **context)
{
	struct vrrp_config high = { 254, 10 * NS_PER_MS, true, address(2) };
	struct vrrp_config low = { 253, 10 * NS_PER_MS, true, address(3) };
	struct vrrp_router r = { VRRP_BACKUP, 10 * NS_PER_MS, { 0 } };

	(void)context;
	assert_int_equal(vrrp_skew_time_ns(&high, &r), 78125);
	assert_true(vrrp_skew_time_ns(&low, &r) > vrrp_skew_time_ns(&high, &r));
}

static void
test_a_changed_priority_moves_the_running_skew(void **context)
{
	struct vrrp_config cfg = { 200, I, true, address(2) };
	struct vrrp_router r = { VRRP_BACKUP, I, { NOW + DOWN(100, I) } };

	(void)context;
	vrrp_priority_changed(&cfg, &r, 100);
	assert_int_equal(r.deadline.ns, NOW + DOWN(200, I));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_skew_keeps_the_order_at_10_ms),
		cmocka_unit_test(test_a_changed_priority_moves_the_running_skew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
