/*
 * nat_text.h - a growing, bounded string for rulesets.
 *
 * A failed append (memory, or NAT_TEXT_BYTES_MAX reached) is remembered, so that a
 * ruleset is written in order and checked once, like td_writer.
 */
#ifndef TANDEM_LBCORE_NAT_TEXT_H
#define TANDEM_LBCORE_NAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define NAT_TEXT_BYTES_MAX (16U << 20)

struct nat_text {
	char *bytes; /* owned; NUL-terminated once anything was appended */
	size_t len, capacity;
	int error; /* 0, -ENOMEM, -E2BIG; stays */
};

void nat_text_add(struct nat_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void nat_text_fini(struct nat_text *text);

#endif
