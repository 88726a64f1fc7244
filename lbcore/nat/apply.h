/*
 * apply.h - the compiled ruleset into the kernel, and its counters out of it.
 *
 * Source   nf_tables: a batch replaces the table as a whole or not at all, so a packet
 *          is judged by the old rules or the new ones; conntrack is not touched.
 * Same     a table whose comment carries the ruleset's digest is left as it is, unless
 *          the caller knows better; counters go on.
 * Drift    nat_apply_fd is readable when somebody changed nftables; nat_apply_drift
 *          says whether it was our table.
 * Rights   CAP_NET_ADMIN, in the network namespace of the caller.
 * Errors   negative errno; nat_apply_error then holds the kernel's words.
 */
#ifndef TANDEM_LBCORE_NAT_APPLY_H
#define TANDEM_LBCORE_NAT_APPLY_H

#include <stdbool.h>
#include <stdint.h>

struct nat_apply;
struct nat_ruleset;

int nat_apply_new(struct nat_apply **ret_apply);
void nat_apply_free(struct nat_apply *apply); /* the table stays */

/* The rules stand, or the old ones do and the error is returned. `force` writes them
 * even if the table says that it carries them already: it was changed, or may have
 * been while nobody watched. */
int nat_apply(struct nat_apply *apply, const struct nat_ruleset *ruleset, bool force,
    bool *ret_changed);
/* The table in the kernel says that it carries these rules: they were written by this
 * process or an earlier one. Whether somebody changed them since, it cannot say. */
bool nat_apply_carries(struct nat_apply *apply, const struct nat_ruleset *ruleset);
const char *nat_apply_error(const struct nat_apply *apply);

int nat_apply_fd(const struct nat_apply *apply);
/* Reads what was announced: true if our table was changed by somebody else. */
bool nat_apply_drift(struct nat_apply *apply);

/* Forwarding is opened only when a table stands: what would leave untranslated until
 * then never does. Writes what differs. */
int nat_forwarding_open(void);

struct nat_count {
	uint64_t packets, bytes;
};
/* ret_counts[i] belongs to ruleset->counters[i]; a counter that is absent reads 0. */
int nat_counts_read(struct nat_apply *apply, const struct nat_ruleset *ruleset,
    struct nat_count *ret_counts);

#endif
