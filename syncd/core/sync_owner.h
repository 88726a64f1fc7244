/*
 * sync_owner.h - whose word counts for a flow.
 *
 * The kernel that forwards a flow's packets knows its state, and that is the Active
 * router's. Every change carries the term of the router that made it; a term is opened
 * by each takeover and never used twice.
 *
 *   authority   the router last known to be Active, and its term. A takeover makes it
 * the owner of every flow that was changed under a lower term, without touching a
 * single entry.
 *
 *   A Active, term 5     frozen .................. wakes, still believes in term 5
 *   B Backup             B Active, term 6          A's changes carry 5: refused, and
 * B's owns all of A's flows     own state of the flow is sent back
 *
 * Source   docs/protocol.md, "Ownership".
 * Errors   none: every combination is defined.
 */
#ifndef TANDEM_SYNCD_SYNC_OWNER_H
#define TANDEM_SYNCD_SYNC_OWNER_H

#include <tandem/room.h>

enum sync_side { SYNC_NOBODY, SYNC_SELF, SYNC_PEER };

struct sync_authority {
	enum sync_side side;
	uint32_t term;
};

/* What a router says of itself; Initialize: nothing is known of it. */
struct sync_claim {
	enum td_role role;
	uint32_t term;
};

/* `first` breaks a tie of terms, alike on both nodes: whether this is the node that
 * stands first in the configuration. */
struct sync_authority sync_authority_after(struct sync_authority before,
    struct sync_claim self, struct sync_claim peer, bool first);

/* Who owns a flow that `side` changed under `term`: the authority, or the one who
 * changed it since. */
struct sync_authority sync_owner_of(
    struct sync_authority authority, enum sync_side side, uint32_t term);

/* May the peer's change of `incoming_term` replace this node's state of a flow? */
bool sync_accepts(struct sync_authority authority, enum sync_side side, uint32_t term,
    uint32_t incoming_term, bool first);

#endif
