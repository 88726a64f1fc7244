/*
 * siphash.h - SipHash-1-3, the keyed hash of the flow index.
 *
 * Source   Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one
 *          compression and three finalisation rounds. Clients choose their tuples, so a
 *          hash without a secret would let one of them fill a single chain.
 * Errors   none.
 */
#ifndef TANDEM_SYNCD_SIPHASH_H
#define TANDEM_SYNCD_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t siphash13(const struct siphash_key *key, const void *bytes, size_t len);

#endif
