/*
 * text.h - a string that grows: for pages, tables and metrics.
 *
 * Memory   text_free frees; `bytes` is always NUL-terminated once something was added.
 * Errors   without memory, or beyond TEXT_BYTES_MAX, `failed` is set and stays; what is
 *          added afterwards is dropped.
 */
#ifndef TANDEM_ROUTERD_TEXT_H
#define TANDEM_ROUTERD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_BYTES_MAX (32U << 20)

struct text {
	char *bytes; /* owned */
	size_t len, capacity;
	bool failed;
};

void text_add(struct text *t, const char *bytes, size_t len);
void text_puts(struct text *t, const char *string);
void text_printf(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_free(struct text *t);

/* A JSON string with its quotes; bytes that are not valid UTF-8 become U+FFFD. */
void text_json_string(struct text *t, const char *string);
/* A number as JSON and Prometheus like it: integers without an exponent. */
void text_number(struct text *t, double value);
/* The string with &, <, > and quotes as entities. */
void text_html(struct text *t, const char *string);

#endif
