/* nat_match.c - see nat_match.h */
#include "lbcore/nat/core/nat_match.h"

#include <tandem/assert.h>
#include "lbcore/nat/core/nat_text.h"

const uint8_t nat_family[NAT_FAMILIES] = { TD_AF_INET, TD_AF_INET6 };

const char *
nat_ip(uint8_t family)
{
	return family == TD_AF_INET ? "ip" : "ip6";
}

static struct td_prefix
network_of(const struct td_prefix *prefix)
{
	struct td_prefix n = *prefix;

	for (uint32_t bit = n.len; bit < sizeof(n.addr.bytes) * 8; bit++)
		n.addr.bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
	return n;
}

/* Is the prefix at `index` inside another one of the list? Of equal ones the first
 * stays. */
static bool
covered(const struct td_prefix *prefixes, uint32_t count, uint32_t index)
{
	const struct td_prefix *p = &prefixes[index];

	for (uint32_t i = 0; i < count; i++) {
		const struct td_prefix *q = &prefixes[i];

		if (i == index || q->addr.family != p->addr.family)
			continue;
		if (q->len > p->len || (q->len == p->len && i > index))
			continue;
		if (td_prefix_contains(q, &p->addr))
			return true;
	}
	return false;
}

/* The index of the next prefix of the family that no other one contains, from `from`.
 */
static uint32_t
next_effective(
    uint8_t family, const struct td_prefix *prefixes, uint32_t count, uint32_t from)
{
	while (from < count &&
	       (prefixes[from].addr.family != family || covered(prefixes, count, from)))
		from++;
	return from;
}

static bool
is_everything(uint8_t family, const struct td_prefix *prefixes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (prefixes[i].addr.family == family && prefixes[i].len == 0)
			return true;
	return count == 0;
}

static uint32_t
effective_count(uint8_t family, const struct td_prefix *prefixes, uint32_t count)
{
	uint32_t n = 0;

	if (is_everything(family, prefixes, count))
		return 0;
	for (uint32_t i = next_effective(family, prefixes, count, 0); i < count;
	     i = next_effective(family, prefixes, count, i + 1))
		n++;
	return n;
}

uint32_t
nat_list_prefixes(struct nat_text *text, uint8_t family,
    const struct td_prefix *prefixes, uint32_t count)
{
	uint32_t listed = 0;
	char buf[TD_ADDR_STRLEN];

	for (uint32_t i = next_effective(family, prefixes, count, 0); i < count;
	     i = next_effective(family, prefixes, count, i + 1)) {
		struct td_prefix n = network_of(&prefixes[i]);

		nat_text_add(
		    text, "%s%s", listed > 0 ? ", " : "", td_prefix_format(&n, buf));
		listed++;
	}
	return listed;
}

bool
nat_match_possible(uint8_t family, const struct td_prefix *prefixes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (prefixes[i].addr.family == family)
			return true;
	return count == 0;
}

bool
nat_match_prefixes(struct nat_text *text, uint8_t family, const char *field,
    const struct td_prefix *prefixes, uint32_t count)
{
	uint32_t n;

	if (!nat_match_possible(family, prefixes, count))
		return false;
	n = effective_count(family, prefixes, count);
	/* A zero-length prefix is everything, which nftables does not take in a set. */
	if (n == 0)
		return true;
	nat_text_add(text, "%s %s %s", nat_ip(family), field, n == 1 ? "" : "{ ");
	nat_list_prefixes(text, family, prefixes, count);
	nat_text_add(text, n == 1 ? " " : " } ");
	return true;
}

uint32_t
nat_match_ways(uint8_t family, const struct td_prefix *prefixes, uint32_t count)
{
	uint32_t n;

	if (!nat_match_possible(family, prefixes, count))
		return 0;
	n = effective_count(family, prefixes, count);
	return n == 0 || n > NAT_WAYS_MAX ? 1 : n;
}

void
nat_match_way(struct nat_text *text, uint8_t family, const char *field,
    const struct td_prefix *prefixes, uint32_t count, uint32_t way)
{
	uint32_t at;

	if (nat_match_ways(family, prefixes, count) == 1) {
		nat_match_prefixes(text, family, field, prefixes, count);
		return;
	}
	at = next_effective(family, prefixes, count, 0);
	while (way-- > 0)
		at = next_effective(family, prefixes, count, at + 1);
	td_assert(at < count);
	nat_match_prefixes(text, family, field, &prefixes[at], 1);
}

void
nat_match_protocol(struct nat_text *text, uint8_t family, enum td_protocol protocol,
    struct td_port_range ports)
{
	switch (protocol) {
	case TD_PROTO_ICMP:
		nat_text_add(text, "meta l4proto %s ",
		    family == TD_AF_INET ? "icmp" : "ipv6-icmp");
		return;
	case TD_PROTO_TCP:
		nat_text_add(text, "meta l4proto tcp ");
		break;
	case TD_PROTO_UDP:
		nat_text_add(text, "meta l4proto udp ");
		break;
	case TD_PROTO_ANY:
		if (ports.last != 0)
			nat_text_add(text, "meta l4proto { tcp, udp } ");
		break;
	}
	if (ports.last == 0)
		return;
	if (ports.first == ports.last)
		nat_text_add(text, "th dport %u ", ports.first);
	else
		nat_text_add(text, "th dport %u-%u ", ports.first, ports.last);
}
