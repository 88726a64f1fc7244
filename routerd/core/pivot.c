#include "routerd/core/pivot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 32
#define CELL_MAX 64
#define ROWS_SHOWN_MAX 10000
#define LINE_WIDTH 100
#define ACROSS_MAX 6        /* rows of a wide table that may become columns */
#define SILENT_ROWS_SHOWN 4 /* up to here a table is shown whole */

/* One table: borrowed pointers into the sample set. */
struct pivot {
	const struct sample *shape; /* its label names are the key columns */
	const struct sample *column[COLUMNS_MAX]; /* the first sample of each metric */
	unsigned column_count;
	const struct sample **row;   /* first sample of each row */
	double (*cell)[COLUMNS_MAX]; /* NAN = none */
	size_t row_count, row_capacity;
	size_t last_row;
};

struct pivots {
	struct pivot *list;
	size_t count, capacity;
	bool failed; /* no memory */
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

/* Without the part that every name here shares. */
static const char *
short_name(const char *name, const char *prefix)
{
	static const char ours[] = "tandem_";
	size_t len = strlen(prefix);

	if (strncmp(name, prefix, len) == 0 && name[len] != '\0')
		return name + len;
	return strncmp(name, ours, sizeof(ours) - 1) == 0 ? name + sizeof(ours) - 1
							  : name;
}

static bool
is_key(const struct sample *s, const char *name)
{
	for (unsigned i = 0; i < s->label_count; i++)
		if (strcmp(s->key[i], name) == 0)
			return true;
	return false;
}

/* Longer where a key of the same row has the short one:
 * tandem_vrrp_role{role="Backup"}. */
static const char *
column_name(const struct pivot *p, unsigned column, const char *prefix)
{
	const char *full = p->column[column]->name;
	const char *name = short_name(full, prefix);

	if (is_key(p->shape, name))
		name = short_name(full, "tandem_");
	return is_key(p->shape, name) ? full : name;
}

/* row_count if there is none. Metrics come entity by entity or metric by metric, so the
 * row is almost always the one used last or the one after it. */
static size_t
find_row(const struct pivot *p, const struct sample *s)
{
	if (p->last_row < p->row_count && same_row(p->row[p->last_row], s))
		return p->last_row;
	if (p->last_row + 1 < p->row_count && same_row(p->row[p->last_row + 1], s))
		return p->last_row + 1;
	for (size_t row = 0; row < p->row_count; row++)
		if (same_row(p->row[row], s))
			return row;
	return p->row_count;
}

static unsigned
find_column(const struct pivot *p, const struct sample *s)
{
	unsigned column = 0;

	while (
	    column < p->column_count && strcmp(p->column[column]->name, s->name) != 0)
		column++;
	return column;
}

static bool
grow_rows(struct pivot *p)
{
	size_t capacity = p->row_capacity == 0 ? 8 : p->row_capacity * 2;
	void *row, *cell;

	if (p->row_count < p->row_capacity)
		return true;
	row = realloc(p->row, capacity * sizeof(*p->row));
	if (row != NULL)
		p->row = row;
	cell = realloc(p->cell, capacity * sizeof(*p->cell));
	if (cell != NULL)
		p->cell = cell;
	if (row == NULL || cell == NULL)
		return false;
	p->row_capacity = capacity;
	return true;
}

/* The table that has this metric; else one that has a row for what it measures. */
static struct pivot *
find_table(const struct pivots *ps, const struct sample *s)
{
	for (size_t i = 0; i < ps->count; i++) {
		struct pivot *p = &ps->list[i];

		if (same_shape(s, p->shape) && find_column(p, s) < p->column_count)
			return p;
	}
	for (size_t i = 0; i < ps->count; i++) {
		struct pivot *p = &ps->list[i];

		if (same_shape(s, p->shape) && p->column_count < COLUMNS_MAX &&
		    find_row(p, s) < p->row_count)
			return p;
	}
	return NULL;
}

static struct pivot *
new_table(struct pivots *ps, const struct sample *s)
{
	size_t capacity = ps->capacity == 0 ? 16 : ps->capacity * 2;
	struct pivot *grown;

	if (ps->count == ps->capacity) {
		grown = realloc(ps->list, capacity * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		ps->list = grown;
		ps->capacity = capacity;
	}
	ps->list[ps->count] = (struct pivot){ .shape = s };
	return &ps->list[ps->count++];
}

static bool
add_cell(struct pivots *ps, const struct sample *s)
{
	struct pivot *p = find_table(ps, s);
	unsigned column;
	size_t row;

	if (p == NULL)
		p = new_table(ps, s);
	if (p == NULL)
		return false;
	row = find_row(p, s);
	if (row == p->row_count) {
		if (!grow_rows(p))
			return false;
		p->row[p->row_count++] = s;
		for (unsigned c = 0; c < COLUMNS_MAX; c++)
			p->cell[row][c] = (double)NAN;
	}
	column = find_column(p, s);
	if (column == p->column_count)
		p->column[p->column_count++] = s;
	p->cell[row][column] = s->number;
	p->last_row = row;
	return true;
}

static void
pivots_init(struct pivots *ps, const struct sample_set *set, pivot_filter *filter)
{
	*ps = (struct pivots){ 0 };
	for (size_t i = 0; i < set->count && !ps->failed; i++)
		if (shown(&set->list[i], filter))
			ps->failed = !add_cell(ps, &set->list[i]);
}

static void
pivots_fini(struct pivots *ps)
{
	for (size_t i = 0; i < ps->count; i++) {
		free(ps->list[i].row);
		free(ps->list[i].cell);
	}
	free(ps->list);
}

void
pivot_value(struct text *out, const char *name, double value)
{
	static const char *const sizes[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned size = 0;

	if (ends_with(name, "_seconds") || ends_with(name, "_seconds_sum")) {
		double size_of = fabs(value);

		if (value < 0)
			text_puts(out, "never");
		else if (size_of >= 120)
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
	pivot_value(&t, p->column[column]->name, p->cell[row][column]);
	snprintf(cell, CELL_MAX, "%s", t.bytes != NULL ? t.bytes : "");
	text_free(&t);
}

/* What the columns' names have in common after `prefix`, up to an underscore. */
static size_t
common_prefix(const struct pivot *p, const char *prefix)
{
	const char *first = column_name(p, 0, prefix);
	size_t len = 0;

	if (p->column_count < 2)
		return 0;
	for (size_t i = 0; first[i] != '\0'; i++) {
		for (unsigned c = 1; c < p->column_count; c++)
			if (strncmp(column_name(p, c, prefix), first, i + 1) != 0)
				return len;
		if (first[i] == '_')
			len = i + 1;
	}
	return len;
}

/* Whether the rows are ways in which something can go, rather than things. */
static bool
is_tally(const struct sample *shape)
{
	static const char *const keys[] = { "reason", "outcome", "result", "what" };

	for (unsigned l = 0; l < shape->label_count; l++)
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (strcmp(shape->key[l], keys[i]) == 0)
				return true;
	return false;
}

/* What has never happened says nothing to a person; a thing is shown even so. */
static bool
row_is_silent(const struct pivot *p, size_t row)
{
	if (p->row_count <= SILENT_ROWS_SHOWN || !is_tally(p->shape))
		return false;
	for (unsigned c = 0; c < p->column_count; c++)
		if (p->column[c]->type != TD_COUNTER ||
		    (!isnan(p->cell[row][c]) && p->cell[row][c] != 0))
			return false;
	return true;
}

static void
column_header(const struct pivot *p, unsigned column, const char *prefix, char *cell)
{
	unsigned labels = p->shape->label_count;

	if (column < labels)
		header(cell, p->shape->key[column]);
	else
		header(cell,
		    column_name(p, column - labels, prefix) + common_prefix(p, prefix));
}

static void
table_line(struct text *out, const struct pivot *p, const char *prefix, size_t line,
    unsigned columns, const size_t *width)
{
	char cell[CELL_MAX];

	for (unsigned c = 0; c < columns; c++) {
		bool last = c + 1 == columns;

		if (line == 0)
			column_header(p, c, prefix, cell);
		else
			cell_text(p, line - 1, c, cell);
		if (c < p->shape->label_count)
			text_printf(out, "%s%-*s", c > 0 ? "  " : "",
			    last ? 0 : (int)width[c], cell);
		else
			text_printf(out, "  %*s", (int)width[c], cell);
	}
	text_puts(out, "\n");
}

/* A few things with many metrics: one column per thing. */
static void
table_across(struct text *out, const struct pivot *p, const char *prefix,
    unsigned columns, size_t rows)
{
	size_t name_width = 0, width[ACROSS_MAX] = { 0 };
	char cell[CELL_MAX];

	for (unsigned c = 0; c < columns; c++) {
		column_header(p, c, prefix, cell);
		name_width = strlen(cell) > name_width ? strlen(cell) : name_width;
		for (size_t r = 0; r < rows; r++) {
			cell_text(p, r, c, cell);
			width[r] = strlen(cell) > width[r] ? strlen(cell) : width[r];
		}
	}
	for (unsigned c = 0; c < columns; c++) {
		column_header(p, c, prefix, cell);
		text_printf(out, "%-*s", (int)name_width, cell);
		for (size_t r = 0; r < rows; r++) {
			cell_text(p, r, c, cell);
			text_printf(out, "  %*s", (int)width[r], cell);
		}
		text_puts(out, "\n");
	}
}

static void
table(struct text *out, const struct pivot *p, const char *prefix)
{
	unsigned columns =
	    p->shape->label_count + (p->shape->type == TD_INFO ? 0 : p->column_count);
	size_t rows = p->row_count < ROWS_SHOWN_MAX ? p->row_count : ROWS_SHOWN_MAX;
	size_t width[TD_SAMPLE_LABELS_MAX + COLUMNS_MAX];
	size_t silent = 0, total = 0;
	char cell[CELL_MAX];

	for (unsigned c = 0; c < columns; c++) {
		column_header(p, c, prefix, cell);
		width[c] = strlen(cell);
		for (size_t r = 0; r < rows; r++) {
			cell_text(p, r, c, cell);
			if (strlen(cell) > width[c])
				width[c] = strlen(cell);
		}
	}
	for (unsigned c = 0; c < columns; c++)
		total += width[c] + 2;
	if (total > LINE_WIDTH && rows <= ACROSS_MAX) {
		table_across(out, p, prefix, columns, rows);
		return;
	}
	table_line(out, p, prefix, 0, columns, width);
	for (size_t r = 0; r < rows; r++) {
		if (row_is_silent(p, r))
			silent++;
		else
			table_line(out, p, prefix, r + 1, columns, width);
	}
	if (silent > 0)
		text_printf(out, "(%zu more, all zero)\n", silent);
	if (rows < p->row_count)
		text_printf(out, "(%zu more rows: use --json)\n", p->row_count - rows);
}

static void
value_list(struct text *out, const struct pivot *p, const char *prefix)
{
	size_t width = 0;
	char cell[CELL_MAX];

	for (unsigned c = 0; c < p->column_count; c++) {
		size_t len = strlen(short_name(p->column[c]->name, prefix));

		width = len > width ? len : width;
	}
	for (unsigned c = 0; c < p->column_count; c++) {
		cell_text(p, 0, c, cell);
		text_printf(out, "%-*s  %s\n", (int)width,
		    short_name(p->column[c]->name, prefix), cell);
	}
}

void
pivot_tables(struct text *out, const struct sample_set *set, pivot_filter *filter,
    const char *prefix)
{
	struct pivots ps;

	pivots_init(&ps, set, filter);
	out->failed = out->failed || ps.failed;
	for (size_t i = 0; i < ps.count; i++) {
		if (i > 0)
			text_puts(out, "\n");
		if (ps.list[i].shape->label_count == 0)
			value_list(out, &ps.list[i], prefix);
		else
			table(out, &ps.list[i], prefix);
	}
	pivots_fini(&ps);
}

static void
json_cells(struct text *out, const struct pivot *p, size_t row, const char *prefix)
{
	const char *separator = "";

	for (unsigned c = 0; c < p->column_count; c++) {
		if (isnan(p->cell[row][c]))
			continue;
		text_puts(out, separator);
		text_json_string(out, column_name(p, c, prefix));
		text_puts(out, ": ");
		text_number(out, p->cell[row][c]);
		separator = ", ";
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
	if (s->type != TD_INFO) {
		text_puts(out, ", ");
		json_cells(out, p, row, prefix);
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
	struct pivots ps;

	pivots_init(&ps, set, filter);
	out->failed = out->failed || ps.failed;
	text_puts(out, "{\"values\": {");
	for (size_t i = 0; i < ps.count; i++) {
		if (ps.list[i].shape->label_count > 0)
			continue;
		text_puts(out, separator);
		json_cells(out, &ps.list[i], 0, prefix);
		separator = ", ";
	}
	text_puts(out, "}, \"tables\": [");
	separator = "";
	for (size_t i = 0; i < ps.count; i++) {
		if (ps.list[i].shape->label_count == 0)
			continue;
		text_puts(out, separator);
		json_table(out, &ps.list[i], prefix);
		separator = ",\n";
	}
	text_puts(out, "]}");
	pivots_fini(&ps);
}
