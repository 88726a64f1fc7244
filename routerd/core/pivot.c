#include "routerd/core/pivot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 32
#define CELL_MAX 64
#define ROWS_SHOWN_MAX 10000

/* One table: borrowed pointers into the sample set. */
struct pivot {
	const struct sample *shape; /* its label names are the key columns */
	const char *column[COLUMNS_MAX];
	unsigned column_count;
	const struct sample **row;   /* first sample of each row */
	double (*cell)[COLUMNS_MAX]; /* NAN = none */
	size_t row_count;
};

static bool
ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), cut = strlen(suffix);

	return len > cut && strcmp(name + len - cut, suffix) == 0;
}

static bool
same_shape(const struct sample *a, const struct sample *b)
{
	if (a->label_count != b->label_count ||
	    (a->type == TD_INFO) != (b->type == TD_INFO))
		return false;
	if (a->type == TD_INFO && strcmp(a->name, b->name) != 0)
		return false;
	for (unsigned i = 0; i < a->label_count; i++)
		if (strcmp(a->key[i], b->key[i]) != 0)
			return false;
	return true;
}

static bool
same_row(const struct sample *a, const struct sample *b)
{
	for (unsigned i = 0; i < a->label_count; i++)
		if (strcmp(a->value[i], b->value[i]) != 0)
			return false;
	return true;
}

/* Buckets are for machines; the sum and the count stay. */
static bool
shown(const struct sample *s, pivot_filter *filter)
{
	return filter(s) &&
	       !(s->type == TD_HISTOGRAM_BUCKET && ends_with(s->name, "_bucket"));
}

static const char *
short_name(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 && name[len] != '\0' ? name + len : name;
}

static bool
first_of_shape(const struct sample_set *set, size_t at, pivot_filter *filter)
{
	for (size_t i = 0; i < at; i++)
		if (shown(&set->list[i], filter) &&
		    same_shape(&set->list[i], &set->list[at]))
			return false;
	return true;
}

static bool
pivot_init(
    struct pivot *p, const struct sample_set *set, size_t first, pivot_filter *filter)
{
	size_t room = 0;

	*p = (struct pivot){ .shape = &set->list[first] };
	for (size_t i = first; i < set->count; i++)
		if (shown(&set->list[i], filter) && same_shape(&set->list[i], p->shape))
			room++;
	p->row = calloc(room, sizeof(*p->row));
	p->cell = calloc(room, sizeof(*p->cell));
	if (p->row == NULL || p->cell == NULL)
		return false;
	for (size_t i = first; i < set->count; i++) {
		const struct sample *s = &set->list[i];
		size_t row = 0;
		unsigned column = 0;

		if (!shown(s, filter) || !same_shape(s, p->shape))
			continue;
		/* Rooms report entity by entity: the row is almost always the last one.
		 */
		if (p->row_count > 0 && same_row(p->row[p->row_count - 1], s))
			row = p->row_count - 1;
		while (row < p->row_count && !same_row(p->row[row], s))
			row++;
		if (row == p->row_count) {
			p->row[p->row_count++] = s;
			for (unsigned c = 0; c < COLUMNS_MAX; c++)
				p->cell[row][c] = NAN;
		}
		while (
		    column < p->column_count && strcmp(p->column[column], s->name) != 0)
			column++;
		if (column == COLUMNS_MAX)
			continue;
		if (column == p->column_count)
			p->column[p->column_count++] = s->name;
		p->cell[row][column] = s->number;
	}
	return true;
}

static void
pivot_fini(struct pivot *p)
{
	free(p->row);
	free(p->cell);
}

void
pivot_value(struct text *out, const char *name, double value)
{
	static const char *const sizes[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned size = 0;

	if (ends_with(name, "_seconds") || ends_with(name, "_seconds_sum")) {
		double size_of = fabs(value);

		if (size_of >= 120)
			text_printf(out, "%.0f min", value / 60);
		else if (size_of >= 1 || size_of == 0)
			text_printf(out, "%.3g s", value);
		else if (size_of >= 1e-3)
			text_printf(out, "%.3g ms", value * 1e3);
		else
			text_printf(out, "%.3g us", value * 1e6);
	} else if (ends_with(name, "_bytes") || ends_with(name, "_bytes_total")) {
		while (fabs(value) >= 1024 && size < 4) {
			value /= 1024;
			size++;
		}
		text_printf(out, size == 0 ? "%.0f %s" : "%.1f %s", value, sizes[size]);
	} else {
		text_number(out, value);
	}
}

static void
header(char *cell, const char *name)
{
	size_t i = 0;

	for (; name[i] != '\0' && i + 1 < CELL_MAX; i++) {
		char c = name[i] == '_' ? ' ' : name[i];

		cell[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	}
	cell[i] = '\0';
	if (ends_with(cell, " TOTAL"))
		cell[i - 6] = '\0';
	else if (ends_with(cell, " SECONDS"))
		cell[i - 8] = '\0';
	else if (ends_with(cell, " BYTES"))
		cell[i - 6] = '\0';
}

static void
cell_text(const struct pivot *p, size_t row, unsigned column, char *cell)
{
	struct text t = { 0 };

	if (column < p->shape->label_count) {
		snprintf(cell, CELL_MAX, "%s", p->row[row]->value[column]);
		return;
	}
	column -= p->shape->label_count;
	if (isnan(p->cell[row][column])) {
		snprintf(cell, CELL_MAX, "-");
		return;
	}
	pivot_value(&t, p->column[column], p->cell[row][column]);
	snprintf(cell, CELL_MAX, "%s", t.bytes != NULL ? t.bytes : "");
	text_free(&t);
}

/* What the columns' names have in common after `prefix`, up to an underscore. */
static size_t
common_prefix(const struct pivot *p, const char *prefix)
{
	const char *first = short_name(p->column[0], prefix);
	size_t len = 0;

	if (p->column_count < 2)
		return 0;
	for (size_t i = 0; first[i] != '\0'; i++) {
		for (unsigned c = 1; c < p->column_count; c++)
			if (strncmp(short_name(p->column[c], prefix), first, i + 1) !=
			    0)
				return len;
		if (first[i] == '_')
			len = i + 1;
	}
	return len;
}

static void
table(struct text *out, const struct pivot *p, const char *prefix)
{
	unsigned labels = p->shape->label_count;
	unsigned columns = labels + (p->shape->type == TD_INFO ? 0 : p->column_count);
	size_t skip = common_prefix(p, prefix);
	size_t rows = p->row_count < ROWS_SHOWN_MAX ? p->row_count : ROWS_SHOWN_MAX;
	size_t width[TD_SAMPLE_LABELS_MAX + COLUMNS_MAX];
	char cell[CELL_MAX];

	for (unsigned c = 0; c < columns; c++) {
		header(cell, c < labels
				 ? p->shape->key[c]
				 : short_name(p->column[c - labels], prefix) + skip);
		width[c] = strlen(cell);
		for (size_t r = 0; r < rows; r++) {
			cell_text(p, r, c, cell);
			if (strlen(cell) > width[c])
				width[c] = strlen(cell);
		}
	}
	for (size_t line = 0; line <= rows; line++) {
		for (unsigned c = 0; c < columns; c++) {
			int pad = (int)width[c];

			if (line == 0)
				header(cell,
				    c < labels
					? p->shape->key[c]
					: short_name(p->column[c - labels], prefix) +
					      skip);
			else
				cell_text(p, line - 1, c, cell);
			if (c < labels)
				text_printf(out, "%s%-*s", c > 0 ? "  " : "",
				    c + 1 < columns ? pad : 0, cell);
			else
				text_printf(out, "  %*s", pad, cell);
		}
		text_puts(out, "\n");
	}
	if (rows < p->row_count)
		text_printf(out, "(%zu more rows: use --json)\n", p->row_count - rows);
}

static void
value_list(struct text *out, const struct pivot *p, const char *prefix)
{
	size_t width = 0;
	char cell[CELL_MAX];

	for (unsigned c = 0; c < p->column_count; c++) {
		size_t len = strlen(short_name(p->column[c], prefix));

		width = len > width ? len : width;
	}
	for (unsigned c = 0; c < p->column_count; c++) {
		cell_text(p, 0, c, cell);
		text_printf(out, "%-*s  %s\n", (int)width,
		    short_name(p->column[c], prefix), cell);
	}
}

void
pivot_tables(struct text *out, const struct sample_set *set, pivot_filter *filter,
    const char *prefix)
{
	size_t before = out->len;

	for (size_t i = 0; i < set->count; i++) {
		struct pivot p;

		if (!shown(&set->list[i], filter) || !first_of_shape(set, i, filter))
			continue;
		if (out->len > before)
			text_puts(out, "\n");
		if (!pivot_init(&p, set, i, filter))
			out->failed = true;
		else if (p.shape->label_count == 0)
			value_list(out, &p, prefix);
		else
			table(out, &p, prefix);
		pivot_fini(&p);
	}
}

static void
json_row(struct text *out, const struct pivot *p, size_t row, const char *prefix)
{
	const struct sample *s = p->row[row];

	text_puts(out, "{");
	for (unsigned i = 0; i < s->label_count; i++) {
		text_puts(out, i > 0 ? ", " : "");
		text_json_string(out, s->key[i]);
		text_puts(out, ": ");
		text_json_string(out, s->value[i]);
	}
	for (unsigned c = 0; c < p->column_count && s->type != TD_INFO; c++) {
		if (isnan(p->cell[row][c]))
			continue;
		text_puts(out, ", ");
		text_json_string(out, short_name(p->column[c], prefix));
		text_puts(out, ": ");
		text_number(out, p->cell[row][c]);
	}
	text_puts(out, "}");
}

static void
json_table(struct text *out, const struct pivot *p, const char *prefix)
{
	if (p->shape->type == TD_INFO) {
		text_puts(out, "{\"name\": ");
		text_json_string(out, short_name(p->shape->name, prefix));
		text_puts(out, ", \"labels\": [");
	} else {
		text_puts(out, "{\"labels\": [");
	}
	for (unsigned i = 0; i < p->shape->label_count; i++) {
		text_puts(out, i > 0 ? ", " : "");
		text_json_string(out, p->shape->key[i]);
	}
	text_puts(out, "], \"rows\": [");
	for (size_t r = 0; r < p->row_count; r++) {
		text_puts(out, r > 0 ? ",\n  " : "\n  ");
		json_row(out, p, r, prefix);
	}
	text_puts(out, "]}");
}

void
pivot_json(struct text *out, const struct sample_set *set, pivot_filter *filter,
    const char *prefix)
{
	const char *separator = "";

	text_puts(out, "{\"values\": {");
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];

		if (!shown(s, filter) || s->label_count > 0)
			continue;
		text_puts(out, separator);
		text_json_string(out, short_name(s->name, prefix));
		text_puts(out, ": ");
		text_number(out, s->number);
		separator = ", ";
	}
	text_puts(out, "}, \"tables\": [");
	separator = "";
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];
		struct pivot p;

		if (!shown(s, filter) || s->label_count == 0 ||
		    !first_of_shape(set, i, filter))
			continue;
		text_puts(out, separator);
		if (pivot_init(&p, set, i, filter))
			json_table(out, &p, prefix);
		else
			out->failed = true;
		pivot_fini(&p);
		separator = ",\n";
	}
	text_puts(out, "]}");
}
