/* nat_text.c - see nat_text.h */
#include "lbcore/nat/core/nat_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
reserve(struct nat_text *text, size_t need)
{
	size_t capacity = text->capacity == 0 ? 4096 : text->capacity;
	char *grown;

	if (need > NAT_TEXT_BYTES_MAX) {
		text->error = -E2BIG;
		return false;
	}
	while (capacity < need)
		capacity *= 2;
	if (capacity == text->capacity)
		return true;
	grown = realloc(text->bytes, capacity);
	if (grown == NULL) {
		text->error = -ENOMEM;
		return false;
	}
	text->bytes = grown;
	text->capacity = capacity;
	return true;
}

void
nat_text_add(struct nat_text *text, const char *format, ...)
{
	va_list args, again;
	int len;

	if (text->error != 0)
		return;
	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len < 0)
		text->error = -EINVAL;
	else if (reserve(text, text->len + (size_t)len + 1)) {
		vsnprintf(text->bytes + text->len, (size_t)len + 1, format, again);
		text->len += (size_t)len;
	}
	va_end(again);
	va_end(args);
}

void
nat_text_fini(struct nat_text *text)
{
	free(text->bytes);
	memset(text, 0, sizeof(*text));
}
