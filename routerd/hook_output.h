/*
 * hook_output.h - what a program writes, as lines of our log.
 *
 *   program --stdout, stderr--> pipe --> hookd: "hook=active: LINE"
 *
 * A program never has the log itself: it could fill it, or whoever reads it could fall
 * behind, and the election writes there as well. Who writes too much is not held up,
 * the rest is read and counted. Time    the pipe is read when the loop has a turn, and
 * once more when the run ends; then it is closed, also to what the program left behind.
 */
#ifndef TANDEM_ROUTERD_HOOK_OUTPUT_H
#define TANDEM_ROUTERD_HOOK_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include "common/loop.h"

#define HOOK_OUTPUT_LINES_MAX 100 /* of one run */
#define HOOK_OUTPUT_LINE_MAX 256  /* bytes; a longer one becomes several */

/* Zeroed by the owner before the first run. */
struct hook_output {
	struct loop_fd lf; /* fd owned while lf.loop is not NULL */
	char who[48];
	char line[HOOK_OUTPUT_LINE_MAX];
	size_t len;
	unsigned logged;
	uint64_t held_back; /* lines that were not logged */
};

/* The end to write to, which is the caller's; or negative errno. The one of an earlier
 * run must have been closed. */
int hook_output_open(struct hook_output *o, struct loop *loop, const char *who);

/* Logs what is left. Does nothing if nothing is open. */
void hook_output_close(struct hook_output *o);

#endif
