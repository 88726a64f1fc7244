/* addr.c - text forms of addresses: RFC 4291 section 2.2 in, RFC 5952 out. */
#include <tandem/addr.h>

#include <stdio.h>
#include <string.h>
#include <tandem/assert.h>

size_t
td_addr_len(const struct td_addr *addr)
{
	switch (addr->family) {
	case TD_AF_INET:
		return 4;
	case TD_AF_INET6:
		return 16;
	default:
		return 0;
	}
}

/* Reads decimal digits without sign or leading zeros; NULL if there is no number <=
 * max. */
static const char *
take_decimal(const char *at, uint32_t max, uint32_t *ret_value)
{
	uint32_t value = 0;
	const char *start = at;

	for (; *at >= '0' && *at <= '9'; at++) {
		if (at != start && *start == '0')
			return NULL;
		value = value * 10 + (uint32_t)(*at - '0');
		if (value > max)
			return NULL;
	}
	if (at == start)
		return NULL;
	*ret_value = value;
	return at;
}

static bool
parse_ipv4(const char *at, uint8_t ret_bytes[4])
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t octet;

		if (i > 0 && *at++ != '.')
			return false;
		at = take_decimal(at, 255, &octet);
		if (at == NULL)
			return false;
		ret_bytes[i] = (uint8_t)octet;
	}
	return *at == '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* `done` groups were read before the gap at `gap`; moves what follows it to the end. */
static void
expand_gap(uint8_t bytes[16], unsigned done, unsigned gap)
{
	unsigned tail = done - gap;

	memmove(bytes + 16 - 2 * tail, bytes + 2 * gap, 2 * (size_t)tail);
	memset(bytes + 2 * gap, 0, 16 - 2 * (size_t)done);
}

static bool
parse_ipv6(const char *at, uint8_t ret_bytes[16])
{
	const unsigned no_gap = 9;
	unsigned done = 0, gap = no_gap;

	if (at[0] == ':' && at[1] == ':') {
		gap = 0;
		at += 2;
	}
	while (*at != '\0') {
		const char *start = at;
		unsigned group = 0, digits = 0;

		while (hex_value(*at) >= 0 && digits < 5) {
			group = group << 4 | (unsigned)hex_value(*at++);
			digits++;
		}
		if (*at == '.') {
			if (done > 6 ||
			    !parse_ipv4(start, ret_bytes + (size_t)2 * done))
				return false;
			done += 2;
			break;
		}
		if (digits == 0 || digits > 4 || done == 8)
			return false;
		ret_bytes[2 * done] = (uint8_t)(group >> 8);
		ret_bytes[2 * done + 1] = (uint8_t)group;
		done++;
		if (*at == '\0')
			break;
		if (*at++ != ':')
			return false;
		if (*at == ':') {
			if (gap != no_gap)
				return false;
			gap = done;
			at++;
		} else if (*at == '\0') {
			return false;
		}
	}
	if (gap == no_gap)
		return done == 8;
	if (done > 7) /* the gap stands for at least one group */
		return false;
	expand_gap(ret_bytes, done, gap);
	return true;
}

bool
td_addr_parse(const char *text, struct td_addr *ret_addr)
{
	struct td_addr addr;

	memset(&addr, 0, sizeof(addr));
	if (strchr(text, ':') != NULL) {
		if (!parse_ipv6(text, addr.bytes))
			return false;
		addr.family = TD_AF_INET6;
	} else {
		if (!parse_ipv4(text, addr.bytes))
			return false;
		addr.family = TD_AF_INET;
	}
	*ret_addr = addr;
	return true;
}

/* Parses text[0..len) as an address. */
static bool
parse_part(const char *text, size_t len, struct td_addr *ret_addr)
{
	char part[TD_ADDR_STRLEN];

	if (len >= sizeof(part))
		return false;
	memcpy(part, text, len);
	part[len] = '\0';
	return td_addr_parse(part, ret_addr);
}

bool
td_prefix_parse(const char *text, struct td_prefix *ret_prefix)
{
	struct td_addr addr;
	const char *slash = strchr(text, '/');
	uint32_t len;

	if (!parse_part(
		text, slash != NULL ? (size_t)(slash - text) : strlen(text), &addr))
		return false;
	len = (uint32_t)td_addr_len(&addr) * 8;
	if (slash != NULL) {
		const char *end = take_decimal(slash + 1, len, &len);

		if (end == NULL || *end != '\0')
			return false;
	}
	ret_prefix->addr = addr;
	ret_prefix->len = (uint8_t)len;
	return true;
}

bool
td_endpoint_parse(const char *text, struct td_endpoint *ret_endpoint)
{
	struct td_addr addr;
	const char *end, *port_text;
	uint32_t port;

	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (end == NULL || end[1] != ':')
			return false;
		port_text = end + 2;
	} else {
		end = strchr(text, ':');
		if (end == NULL)
			return false;
		port_text = end + 1;
	}
	if (!parse_part(text, (size_t)(end - text), &addr))
		return false;
	if ((addr.family == TD_AF_INET6) != (*end == ']'))
		return false;
	port_text = take_decimal(port_text, UINT16_MAX, &port);
	if (port_text == NULL || *port_text != '\0' || port == 0)
		return false;
	memset(ret_endpoint, 0, sizeof(*ret_endpoint));
	ret_endpoint->addr = addr;
	ret_endpoint->port = (uint16_t)port;
	return true;
}

bool
td_port_range_parse(const char *text, struct td_port_range *ret_range)
{
	uint32_t first, last;

	text = take_decimal(text, UINT16_MAX, &first);
	if (text == NULL || first == 0)
		return false;
	last = first;
	if (*text == '-')
		text = take_decimal(text + 1, UINT16_MAX, &last);
	if (text == NULL || *text != '\0' || last < first)
		return false;
	*ret_range = (struct td_port_range){ (uint16_t)first, (uint16_t)last };
	return true;
}

static unsigned
group_at(const uint8_t *bytes, unsigned i)
{
	return (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
}

/* RFC 5952 section 4: lower case, the longest (then first) run of zero groups becomes
 * "::", but not a single one; section 5: mapped addresses end in dotted form. */
static void
format_ipv6(const uint8_t bytes[16], char *buf)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	unsigned best = 8, best_len = 1;
	char *at = buf;

	if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		snprintf(buf, TD_ADDR_STRLEN, "::ffff:%u.%u.%u.%u", bytes[12],
		    bytes[13], bytes[14], bytes[15]);
		return;
	}
	for (unsigned i = 0; i < 8; i++) {
		unsigned end = i;

		while (end < 8 && group_at(bytes, end) == 0)
			end++;
		if (end - i > best_len) {
			best = i;
			best_len = end - i;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		size_t left = TD_ADDR_STRLEN - (size_t)(at - buf);

		if (i == best) {
			at += snprintf(at, left, "::");
			i += best_len - 1;
			continue;
		}
		at += snprintf(at, left, "%s%x", i > 0 && at[-1] != ':' ? ":" : "",
		    group_at(bytes, i));
	}
}

const char *
td_addr_format(const struct td_addr *addr, char *buf)
{
	switch (addr->family) {
	case TD_AF_INET:
		snprintf(buf, TD_ADDR_STRLEN, "%u.%u.%u.%u", addr->bytes[0],
		    addr->bytes[1], addr->bytes[2], addr->bytes[3]);
		break;
	case TD_AF_INET6:
		format_ipv6(addr->bytes, buf);
		break;
	default:
		snprintf(buf, TD_ADDR_STRLEN, "-");
		break;
	}
	return buf;
}

const char *
td_prefix_format(const struct td_prefix *prefix, char *buf)
{
	size_t len;

	td_addr_format(&prefix->addr, buf);
	len = strlen(buf);
	snprintf(buf + len, TD_ADDR_STRLEN - len, "/%u", prefix->len);
	return buf;
}

const char *
td_endpoint_format(const struct td_endpoint *endpoint, char *buf)
{
	char addr[TD_ADDR_STRLEN - 8]; /* brackets, colon, five digits */
	char full[TD_ADDR_STRLEN];

	td_addr_format(&endpoint->addr, full);
	td_assert(strlen(full) < sizeof(addr));
	memcpy(addr, full, strlen(full) + 1);
	snprintf(buf, TD_ADDR_STRLEN,
	    endpoint->addr.family == TD_AF_INET6 ? "[%s]:%u" : "%s:%u", addr,
	    (unsigned)endpoint->port);
	return buf;
}

bool
td_addr_equal(const struct td_addr *a, const struct td_addr *b)
{
	return td_addr_compare(a, b) == 0;
}

int
td_addr_compare(const struct td_addr *a, const struct td_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, td_addr_len(a));
}

bool
td_addr_is_link_local(const struct td_addr *addr)
{
	if (addr->family == TD_AF_INET)
		return addr->bytes[0] == 169 && addr->bytes[1] == 254;
	return addr->family == TD_AF_INET6 && addr->bytes[0] == 0xfe &&
	       (addr->bytes[1] & 0xc0) == 0x80;
}

static bool
same_leading_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool
td_prefix_contains(const struct td_prefix *prefix, const struct td_addr *addr)
{
	return addr->family != 0 && prefix->addr.family == addr->family &&
	       same_leading_bits(prefix->addr.bytes, addr->bytes, prefix->len);
}

bool
td_prefix_overlaps(const struct td_prefix *a, const struct td_prefix *b)
{
	return td_prefix_contains(
	    a->len < b->len ? a : b, a->len < b->len ? &b->addr : &a->addr);
}
