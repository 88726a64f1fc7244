/* Ownership: who is believed, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "syncd/core/sync_owner.h"

#define INIT                                                                           \
	{                                                                              \
		TD_ROLE_INITIALIZE, 0                                                  \
	}
#define BACKUP(term)                                                                   \
	{                                                                              \
		TD_ROLE_BACKUP, term                                                   \
	}
#define ACTIVE(term)                                                                   \
	{                                                                              \
		TD_ROLE_ACTIVE, term                                                   \
	}

static void
the_authority_follows_the_active_router(void **state)
{
	static const struct {
		const char *name;
		struct sync_authority before;
		struct sync_claim self, peer;
		bool first;
		struct sync_authority after;
	} rows[] = {
		{ "nobody Active / as before", { SYNC_NOBODY, 0 }, BACKUP(0), BACKUP(0),
		    true, { SYNC_NOBODY, 0 } },
		{ "the Active one stepped down, none yet / as before", { SYNC_PEER, 5 },
		    BACKUP(4), BACKUP(5), true, { SYNC_PEER, 5 } },
		{ "we take over", { SYNC_PEER, 5 }, ACTIVE(6), ACTIVE(5), false,
		    { SYNC_SELF, 6 } },
		{ "we take over alone", { SYNC_PEER, 5 }, ACTIVE(6), INIT, false,
		    { SYNC_SELF, 6 } },
		{ "the peer takes over", { SYNC_SELF, 5 }, BACKUP(5), ACTIVE(6), true,
		    { SYNC_PEER, 6 } },
		{ "woken from a freeze, not yet stepped down", { SYNC_SELF, 5 },
		    ACTIVE(5), ACTIVE(6), true, { SYNC_PEER, 6 } },
		{ "woken, and the link is gone again", { SYNC_PEER, 6 }, ACTIVE(5),
		    INIT, true, { SYNC_PEER, 6 } },
		{ "lower term, but the peer says it is Backup", { SYNC_PEER, 6 },
		    ACTIVE(5), BACKUP(6), true, { SYNC_SELF, 6 } },
		{ "both Active with one term / first node", { SYNC_SELF, 6 }, ACTIVE(6),
		    ACTIVE(6), true, { SYNC_SELF, 6 } },
		{ "both Active with one term / second node", { SYNC_SELF, 6 },
		    ACTIVE(6), ACTIVE(6), false, { SYNC_PEER, 6 } },
		{ "terms began anew on the peer", { SYNC_PEER, 9 }, BACKUP(0),
		    ACTIVE(1), true, { SYNC_PEER, 9 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sync_authority got = sync_authority_after(
		    rows[i].before, rows[i].self, rows[i].peer, rows[i].first);

		if (got.side != rows[i].after.side || got.term != rows[i].after.term)
			fail_msg(
			    "%s: side %d term %u", rows[i].name, got.side, got.term);
	}
}

static void
a_change_is_taken_from_the_owner_or_a_higher_term(void **state)
{
	static const struct {
		const char *name;
		struct sync_authority authority;
		enum sync_side side;
		uint32_t term, incoming;
		bool first, accepted;
	} rows[] = {
		{ "Backup / flow of the Active peer", { SYNC_PEER, 5 }, SYNC_PEER, 5, 5,
		    true, true },
		{ "Backup / flow we changed under an older term", { SYNC_PEER, 6 },
		    SYNC_SELF, 5, 6, true, true },
		{ "Backup / such a flow, said in the peer's old words",
		    { SYNC_PEER, 6 }, SYNC_SELF, 5, 4, true, true },
		{ "Active / stale peer, flow untouched since its term",
		    { SYNC_SELF, 6 }, SYNC_PEER, 5, 5, true, false },
		{ "Active / stale peer, flow we changed", { SYNC_SELF, 6 }, SYNC_SELF,
		    6, 5, true, false },
		{ "Active, not knowing of a higher term yet", { SYNC_SELF, 6 },
		    SYNC_SELF, 6, 7, true, true },
		{ "Active / same term, peer may not", { SYNC_SELF, 6 }, SYNC_SELF, 6, 6,
		    false, false },
		{ "Backup / same term, the Active one may", { SYNC_PEER, 6 }, SYNC_SELF,
		    6, 6, false, true },
		{ "no authority / first node keeps its own", { SYNC_NOBODY, 0 },
		    SYNC_SELF, 0, 0, true, false },
		{ "no authority / second node yields", { SYNC_NOBODY, 0 }, SYNC_SELF, 0,
		    0, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (sync_accepts(rows[i].authority, rows[i].side, rows[i].term,
			rows[i].incoming, rows[i].first) != rows[i].accepted)
			fail_msg("%s", rows[i].name);
	}
}

/* If both sides refused one another's state of a flow they would send it for ever. */
static void
of_two_states_of_a_flow_exactly_one_wins(void **state)
{
	(void)state;
	for (unsigned side = SYNC_NOBODY; side <= SYNC_PEER; side++) {
		for (uint32_t term = 0; term < 4; term++) {
			for (uint32_t ours = 0; ours < 5; ours++) {
				for (uint32_t theirs = 0; theirs < 5; theirs++) {
					struct sync_authority here = { side, term };
					struct sync_authority there = { side, term };
					uint32_t a = ours, b = theirs;
					bool here_yields, there_yields;

					if (side == SYNC_SELF)
						there.side = SYNC_PEER;
					if (side == SYNC_PEER)
						there.side = SYNC_SELF;
					/* The authority says everything in its term. */
					if (side == SYNC_SELF && a < term)
						a = term;
					if (side == SYNC_PEER && b < term)
						b = term;
					here_yields = sync_accepts(
					    here, SYNC_SELF, ours, b, true);
					there_yields = sync_accepts(
					    there, SYNC_SELF, theirs, a, false);
					assert_true(here_yields != there_yields);
				}
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_authority_follows_the_active_router),
		cmocka_unit_test(a_change_is_taken_from_the_owner_or_a_higher_term),
		cmocka_unit_test(of_two_states_of_a_flow_exactly_one_wins),
	};

	return cmocka_run_group_tests_name("sync_owner", tests, NULL, NULL);
}
