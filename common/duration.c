#include "common/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tandem/instant.h>

#define DURATION_MAX_NS (INT64_C(1000) * 3600 * NS_PER_S)

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
	/* the largest first */
	{ "h", 3600 * NS_PER_S },
	{ "m", 60 * NS_PER_S },
	{ "s", NS_PER_S },
	{ "ms", NS_PER_MS },
	{ "us", NS_PER_US },
};

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* text up to its unit: digits [ "." digits ]. The value is digits * 10^-decimals. */
bool
duration_parse(const char *text, int64_t *ret_ns)
{
	int64_t digits = 0, scale = 1, unit_ns = 0;
	bool point = false, any = false;
	const char *at = text;

	for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point && any); at++) {
		if (*at == '.') {
			point = true;
			any = false;
			continue;
		}
		any = true;
		digits = digits * 10 + (*at - '0');
		if (point)
			scale *= 10;
		/* Keeps digits * unit within int64_t: 3.6e12 ns per hour. */
		if (digits > 1000000 * INT64_C(1000) || scale > 1000 * 1000)
			return false;
	}
	for (size_t i = 0; i < UNIT_COUNT; i++)
		if (any && strcmp(at, units[i].name) == 0)
			unit_ns = units[i].ns;
	if (unit_ns == 0 || digits > INT64_MAX / unit_ns)
		return false;
	if (digits * unit_ns % scale != 0 || digits * unit_ns / scale > DURATION_MAX_NS)
		return false;
	*ret_ns = digits * unit_ns / scale;
	return true;
}

const char *
duration_format(int64_t ns, char *buf)
{
	if (ns == 0) {
		snprintf(buf, DURATION_STRLEN, "0s");
		return buf;
	}
	for (size_t i = 0; i < UNIT_COUNT; i++)
		if (ns % units[i].ns == 0) {
			snprintf(buf, DURATION_STRLEN, "%" PRId64 "%s",
			    ns / units[i].ns, units[i].name);
			return buf;
		}
	snprintf(buf, DURATION_STRLEN, "%" PRId64 ".%03" PRId64 "us", ns / NS_PER_US,
	    ns % NS_PER_US);
	return buf;
}
