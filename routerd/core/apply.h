/*
 * apply.h - one configuration into all rooms of this node, or back to the old one.
 *
 *   IDLE --begin--> SPREADING --all accepted--> IDLE (done, 0)
 *                      | one refused, died, or is late
 *                      v
 *                  REVERTING --all answered or late--> IDLE (done, the first reason)
 *                      ^
 *                      `-- undo, when all had accepted and it still cannot be kept
 *
 * A room that is down when it begins is not asked: it gets the configuration in force
 * when it starts. Reverting goes to every room that was sent the new configuration,
 * whether it had answered or not.
 *
 * Memory   the caller owns the struct. Errors: none.
 */
#ifndef TANDEM_ROUTERD_APPLY_H
#define TANDEM_ROUTERD_APPLY_H

#include <tandem/instant.h>
#include <tandem/room.h>

#define APPLY_LIMIT_NS (8 * NS_PER_S)
#define APPLY_REASON_MAX 160

enum apply_state { APPLY_IDLE, APPLY_SPREADING, APPLY_REVERTING };

struct apply {
	enum apply_state state;
	struct td_instant deadline;
	uint64_t generation; /* the new one */
	uint64_t old_generation;
	uint32_t sent, waiting; /* bit per enum td_room */
	int32_t status;
	char reason[APPLY_REASON_MAX];
};

enum apply_action {
	APPLY_ACT_NONE,
	APPLY_ACT_SEND_OLD, /* to the rooms in `sent` */
	APPLY_ACT_DONE,     /* `status` and `reason` hold the result */
};

/* `rooms`: those that run and are now sent the new configuration by the caller. */
enum apply_action apply_begin(struct apply *a, uint32_t rooms, uint64_t generation,
    uint64_t old_generation, struct td_instant now);
enum apply_action apply_ack(struct apply *a, enum td_room room, uint64_t generation,
    int32_t status, const char *text, struct td_instant now);
enum apply_action apply_room_gone(
    struct apply *a, enum td_room room, struct td_instant now);
/* Right after it was done with status 0. `status` is what it ends with. */
enum apply_action apply_undo(
    struct apply *a, int32_t status, const char *reason, struct td_instant now);
enum apply_action apply_tick(struct apply *a, struct td_instant now);

#endif
