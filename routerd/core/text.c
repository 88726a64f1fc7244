#include "routerd/core/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
reserve(struct text *t, size_t more)
{
	size_t need = t->len + more + 1;
	size_t capacity = t->capacity;
	char *grown;

	if (t->failed)
		return false;
	if (need <= capacity)
		return true;
	if (need > TEXT_BYTES_MAX) {
		t->failed = true;
		return false;
	}
	while (capacity < need)
		capacity = capacity == 0 ? 256 : capacity * 2;
	grown = realloc(t->bytes, capacity);
	if (grown == NULL) {
		t->failed = true;
		return false;
	}
	t->bytes = grown;
	t->capacity = capacity;
	return true;
}

void
text_add(struct text *t, const char *bytes, size_t len)
{
	if (!reserve(t, len))
		return;
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
	t->bytes[t->len] = '\0';
}

void
text_puts(struct text *t, const char *string)
{
	text_add(t, string, strlen(string));
}

void
text_printf(struct text *t, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0 || !reserve(t, (size_t)len)) {
		t->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf(t->bytes + t->len, (size_t)len + 1, format, args);
	va_end(args);
	t->len += (size_t)len;
}

void
text_free(struct text *t)
{
	free(t->bytes);
	*t = (struct text){ 0 };
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), 0 if there is none. */
static size_t
utf8_len(const unsigned char *p)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] < 0x80                             ? 1
		     : (p[0] & 0xe0) == 0xc0                 ? 2
		     : (p[0] & 0xf0) == 0xe0                 ? 3
		     : (p[0] & 0xf8) == 0xf0 && p[0] <= 0xf4 ? 4
							     : 0;
	uint32_t code;

	if (len <= 1)
		return len;
	code = p[0] & (0xffU >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	if (code < lowest[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return len;
}

void
text_json_string(struct text *t, const char *string)
{
	const unsigned char *p = (const unsigned char *)string;

	text_add(t, "\"", 1);
	while (*p != '\0') {
		size_t len = utf8_len(p);

		if (len == 0) {
			text_puts(t, "\\ufffd");
			p++;
			continue;
		}
		if (*p == '"' || *p == '\\')
			text_printf(t, "\\%c", *p);
		else if (*p == '\n')
			text_puts(t, "\\n");
		else if (*p < 0x20 || *p == 0x7f)
			text_printf(t, "\\u%04x", *p);
		else
			text_add(t, (const char *)p, len);
		p += len;
	}
	text_add(t, "\"", 1);
}

void
text_number(struct text *t, double value)
{
	if (isnan(value) || isinf(value))
		text_puts(t, "0"); /* JSON has no word for either */
	else if (fabs(value) < 1e15 && value == floor(value))
		text_printf(t, "%.0f", value);
	else
		text_printf(t, "%.9g", value);
}

void
text_html(struct text *t, const char *string)
{
	for (; *string != '\0'; string++) {
		switch (*string) {
		case '&':
			text_puts(t, "&amp;");
			break;
		case '<':
			text_puts(t, "&lt;");
			break;
		case '>':
			text_puts(t, "&gt;");
			break;
		case '"':
			text_puts(t, "&quot;");
			break;
		default:
			text_add(t, string, 1);
		}
	}
}
