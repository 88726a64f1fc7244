/*
 * announce_plan.h - which address to announce when.
 *
 *   start or burst: every address at once, then `repeat` rounds after growing pauses
 *   (0.1, 0.5, 1, 2, 2, 2 ... s), then a round every refresh interval. Within a later
 * round one frame per millisecond: switches drop bursts, storm control counts them.
 *
 * Source   docs/fence.md, Announcements. The RFC asks for one announcement per address
 * and is silent on repeats; a lost one costs a client its router for minutes. Units
 * nanoseconds of CLOCK_BOOTTIME. Memory   the caller owns everything. The plan knows
 * addresses by index only. Errors   none.
 */
#ifndef TANDEM_VRRPD_CORE_ANNOUNCE_PLAN_H
#define TANDEM_VRRPD_CORE_ANNOUNCE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/instant.h>

#define ANNOUNCE_SPACING_NS NS_PER_MS
#define ANNOUNCE_BURST_GAP_NS (20 * NS_PER_MS)

struct announce_plan {
	/* configuration */
	uint32_t repeat;    /* rounds after the first */
	int64_t refresh_ns; /* 0 = no refresh */
	uint32_t count;     /* addresses */
	/* state */
	bool running;
	uint32_t round; /* 0 = the first, at once; then repeats, then refreshes */
	uint32_t next;  /* index within the round */
	struct td_instant deadline;  /* of the next frame; TD_NEVER = nothing to do */
	struct td_instant burst_end; /* no new burst before */
};

/* Stopped, with no addresses. */
void announce_plan_init(
    struct announce_plan *plan, uint32_t repeat, int64_t refresh_ns);

/* A change of addresses while running begins again with the first round. */
void announce_plan_set_count(
    struct announce_plan *plan, uint32_t count, struct td_instant now);
void announce_plan_start(struct announce_plan *plan, struct td_instant now);
/* True if a new first round begins: running, and the last one is long enough ago. */
bool announce_plan_burst(struct announce_plan *plan, struct td_instant now);
void announce_plan_stop(struct announce_plan *plan);

/* The next address to announce, if one is due. Call until false, then wait for
 * deadline. */
bool announce_plan_next(
    struct announce_plan *plan, struct td_instant now, uint32_t *ret_index);

#endif
