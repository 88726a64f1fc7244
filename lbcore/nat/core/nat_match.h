/*
 * nat_match.h - the matches that rules are made of, as nftables text.
 *
 * Every function appends one match followed by a space, or nothing when the match would
 * match everything. A rule is written per family: the functions that return bool say
 * false when the list names only addresses of the other family, so that the rule does
 * not exist in this one; nothing was appended then.
 */
#ifndef TANDEM_LBCORE_NAT_MATCH_H
#define TANDEM_LBCORE_NAT_MATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/config.h>

struct nat_text;

#define NAT_FAMILIES 2
extern const uint8_t nat_family[NAT_FAMILIES]; /* TD_AF_INET, TD_AF_INET6 */

const char *nat_ip(uint8_t family); /* "ip" or "ip6" */

bool nat_match_possible(
    uint8_t family, const struct td_prefix *prefixes, uint32_t count);
/* field: "saddr" or "daddr". A list is any of its members; empty is everything. */
bool nat_match_prefixes(struct nat_text *text, uint8_t family, const char *field,
    const struct td_prefix *prefixes, uint32_t count);

/* The same as several rules: how many a list is worth, and the match of one of them. A
 * short list is a rule per member, because the kernel takes thousands of rules in a
 * transaction easily and thousands of sets in minutes (docs/nat.md). */
#define NAT_WAYS_MAX 8 /* longer lists are a set */
uint32_t nat_match_ways(
    uint8_t family, const struct td_prefix *prefixes, uint32_t count);
void nat_match_way(struct nat_text *text, uint8_t family, const char *field,
    const struct td_prefix *prefixes, uint32_t count, uint32_t way);
void nat_match_protocol(struct nat_text *text, uint8_t family,
    enum td_protocol protocol, struct td_port_range ports);

/* Appends "a, b-c" style members without braces: prefixes of one family, host bits
 * cleared, those inside another one left out. Returns how many. */
uint32_t nat_list_prefixes(struct nat_text *text, uint8_t family,
    const struct td_prefix *prefixes, uint32_t count);

#endif
