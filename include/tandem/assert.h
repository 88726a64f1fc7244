/*
 * assert.h - td_assert: our own invariants, checked in every build.
 *
 * A failed td_assert aborts the process. The supervisor then withdraws our addresses and
 * the peer takes over: a wrong router is worse than none. Never use it on input.
 */
#ifndef TANDEM_ASSERT_H
#define TANDEM_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define td_assert(claim)                                                                 \
	do {                                                                             \
		if (!(claim)) {                                                          \
			fprintf(stderr, "%s:%d: %s: broken invariant: %s\n", __FILE__,   \
			    __LINE__, __func__, #claim);                                 \
			abort();                                                         \
		}                                                                        \
	} while (0)

#endif
