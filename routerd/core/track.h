/*
 * track.h - what one track script says about this node.
 *
 *              rise successes in a row          fall failures in a row
 *   UNKNOWN ---------------------------> FIT <------------------------> UNFIT
 *      '------------------------------------------------------------------^
 *
 * A run that gives no word (it took too long, died of a signal, could not be run) is no
 * failure of the node: the judgement stands, and the count towards another one begins
 * anew. Nothing is known until the first judgement, whatever it is.
 *
 * Time    one run at a time, the next one `interval` after the last one began, or when
 *         that one has ended. Deadlines are in the state.
 * Units   nanoseconds of CLOCK_BOOTTIME.
 * Errors  none: every (phase, event) pair is defined.
 */
#ifndef TANDEM_ROUTERD_TRACK_H
#define TANDEM_ROUTERD_TRACK_H

#include <tandem/config.h>
#include <tandem/instant.h>

#define TRACK_GRACE_NS (1 * NS_PER_S) /* between SIGTERM and SIGKILL */

enum track_verdict { TRACK_UNKNOWN, TRACK_FIT, TRACK_UNFIT };
enum track_result { TRACK_OK, TRACK_FAILED, TRACK_NO_WORD, TRACK_RESULTS };
enum track_phase { TRACK_WAITING, TRACK_RUNNING, TRACK_TERMINATED, TRACK_KILLED };

struct track {
	enum track_phase phase;
	struct td_instant deadline; /* of the next TICK that does something */
	struct td_instant began;
	bool timed_out;
	enum track_verdict verdict;
	enum track_result last;
	uint32_t streak; /* results like `last` in a row */
	uint64_t runs[TRACK_RESULTS];
};

enum track_event {
	TRACK_EV_TICK,
	TRACK_EV_OK,      /* it ended with code 0 */
	TRACK_EV_FAILED,  /* with another one */
	TRACK_EV_NO_WORD, /* otherwise, or it could not be started */
};

enum track_action { TRACK_DO_NOTHING, TRACK_DO_RUN, TRACK_DO_TERMINATE, TRACK_DO_KILL };

void track_init(struct track *t, struct td_instant first);

/* Applies one event; returns the one thing to do now. */
enum track_action track_step(const struct td_track_script *cfg, struct track *t,
    enum track_event event, struct td_instant now);

const char *track_verdict_name(enum track_verdict verdict);
const char *track_result_name(enum track_result result);

#endif
