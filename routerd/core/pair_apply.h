/*
 * pair_apply.h - one configuration on both nodes, or on neither.
 *
 *   TEXT to both -> CHECK both -> PREPARE both -> COMMIT the Backup -> COMMIT the
 * Active
 *        \              \               \                 \                  \
 *         `--------------`---- refused    `-----------------`------------------`->
 * ABORT both
 *
 * The Backup goes first: what the check did not foresee is then found where it costs
 * nothing. ABORT after a commit returns that node to its previous configuration
 * (tandemd keeps it until the next one is prepared).
 *
 * An answer that does not come counts as a refusal after a deadline. Alone: only this
 * node is asked; used when the peer is down.
 */
#ifndef TANDEM_ROUTERD_PAIR_APPLY_H
#define TANDEM_ROUTERD_PAIR_APPLY_H

#include <tandem/instant.h>

#define PAIR_REASON_MAX 512
#define PAIR_NAME_MAX 32

enum pair_side { PAIR_LOCAL, PAIR_PEER };

enum pair_method {      /* on the wire between two mgmtd: append only */
	PAIR_HELLO = 1, /* bytes: generation, digest; not part of an apply */
	PAIR_CHECK = 2,
	PAIR_PREPARE = 3,
	PAIR_COMMIT = 4,
	PAIR_ABORT = 5,
	PAIR_TEXT =
	    6, /* in as many calls as it takes; answered here once it is all there */
};

enum pair_phase {
	PAIR_IDLE,
	PAIR_HANDING_OVER,
	PAIR_CHECKING,
	PAIR_PREPARING,
	PAIR_COMMITTING_FIRST,
	PAIR_COMMITTING_SECOND,
	PAIR_ABORTING,
};

struct pair_apply {
	enum pair_phase phase;
	struct td_instant deadline;
	bool alone;
	bool check_only;      /* ends after CHECK */
	enum pair_side first; /* commits first */
	unsigned waiting;     /* bit per side */
	int32_t status;       /* result; 0 = both run the new configuration */
	char reason[PAIR_REASON_MAX];
	/* Of the nodes, for reasons. Copies: the configuration they come from is
	 * replaced while this runs. */
	char name[2][PAIR_NAME_MAX];
};

/* What to do now: the call `method` to every side in `ask`, or done. */
struct pair_output {
	enum pair_method method;
	unsigned ask;
	bool done;
};

void pair_begin(struct pair_apply *p, bool alone, bool check_only, bool local_is_active,
    const char *local_name, const char *peer_name, struct td_instant now,
    struct pair_output *out);
void pair_answer(struct pair_apply *p, enum pair_side side, enum pair_method method,
    int32_t status, const char *text, struct td_instant now, struct pair_output *out);
/* What is being asked in a phase. */
enum pair_method pair_method_of(enum pair_phase phase);

void pair_tick(struct pair_apply *p, struct td_instant now, struct pair_output *out);

#endif
