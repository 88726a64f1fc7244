#include "syncd/core/sync_owner.h"

static uint32_t
later(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

struct sync_authority
sync_authority_after(struct sync_authority before, struct sync_claim self,
    struct sync_claim peer, bool first)
{
	struct sync_authority after = before;
	bool self_active = self.role == TD_ROLE_ACTIVE;
	bool peer_active = peer.role == TD_ROLE_ACTIVE;

	if (self_active && peer_active) {
		if (self.term != peer.term)
			after.side = self.term > peer.term ? SYNC_SELF : SYNC_PEER;
		else
			after.side = first ? SYNC_SELF : SYNC_PEER;
		after.term = later(before.term, later(self.term, peer.term));
	} else if (self_active && before.side == SYNC_PEER && self.term < before.term &&
		   peer.role == TD_ROLE_INITIALIZE) {
		/* The higher term may well go on where we cannot hear it. */
		return before;
	} else if (self_active) {
		after.side = SYNC_SELF;
		after.term = later(before.term, self.term);
	} else if (peer_active) {
		after.side = SYNC_PEER;
		after.term = later(before.term, peer.term);
	}
	return after;
}

struct sync_authority
sync_owner_of(struct sync_authority authority, enum sync_side side, uint32_t term)
{
	if (authority.side != SYNC_NOBODY && term < authority.term)
		return authority;
	return (struct sync_authority){ side, term };
}

bool
sync_accepts(struct sync_authority authority, enum sync_side side, uint32_t term,
    uint32_t incoming_term, bool first)
{
	struct sync_authority owner = sync_owner_of(authority, side, term);

	if (owner.side != SYNC_SELF || incoming_term > owner.term)
		return true;
	if (incoming_term < owner.term)
		return false;
	if (authority.side != SYNC_NOBODY && authority.term == owner.term)
		return authority.side == SYNC_PEER;
	return !first;
}
