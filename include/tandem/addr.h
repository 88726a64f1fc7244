/*
 * addr.h - family-tagged addresses. Nothing in Tandem is IPv4-only.
 *
 * Shapes   td_addr: `family` is AF_INET, AF_INET6 or 0 (absent); `bytes` in network order,
 *          IPv4 in the first four, the rest zero. Zero the whole struct before you fill it:
 *          it is compared and hashed as memory.
 * Errors   parsers return false and leave ret_ untouched.
 */
#ifndef TANDEM_ADDR_H
#define TANDEM_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TD_AF_INET 2   /* the values of the kernel ABI, usable in pure cores */
#define TD_AF_INET6 10

#define TD_ADDR_STRLEN 64    /* any td_addr_format result, "[v6]:port" included */
#define TD_IFNAME_MAX 16     /* IFNAMSIZ */

struct td_addr {
	uint8_t family;
	uint8_t bytes[16];
};

struct td_prefix {
	struct td_addr addr; /* host bits kept: 10.0.0.1/24 stays an address with a length */
	uint8_t len;
};

struct td_endpoint {
	struct td_addr addr;
	uint16_t port; /* host order */
};

struct td_port_range {
	uint16_t first, last; /* inclusive, host order */
};

bool td_addr_parse(const char *text, struct td_addr *ret_addr);
bool td_prefix_parse(const char *text, struct td_prefix *ret_prefix); /* no "/n": host */
bool td_endpoint_parse(const char *text, struct td_endpoint *ret_endpoint); /* a:p, [a]:p */
bool td_port_range_parse(const char *text, struct td_port_range *ret_range); /* 80, 80-90 */

/* Write into buf (TD_ADDR_STRLEN) and return it. */
const char *td_addr_format(const struct td_addr *addr, char *buf);
const char *td_prefix_format(const struct td_prefix *prefix, char *buf);
const char *td_endpoint_format(const struct td_endpoint *endpoint, char *buf);

bool td_addr_equal(const struct td_addr *a, const struct td_addr *b);
int td_addr_compare(const struct td_addr *a, const struct td_addr *b); /* network order */
bool td_addr_is_link_local(const struct td_addr *addr);
bool td_prefix_contains(const struct td_prefix *prefix, const struct td_addr *addr);
bool td_prefix_overlaps(const struct td_prefix *a, const struct td_prefix *b);
size_t td_addr_len(const struct td_addr *addr); /* 4, 16 or 0 */

#endif
