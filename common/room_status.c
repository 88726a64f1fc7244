#include "common/room_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "common/histogram.h"
#include "common/room_wire.h"

#define PART_BYTES_MAX (TD_MSG_BYTES_MAX - 64) /* the rest: id, more, tags */
#define TEXT_MAX 1024 /* of a name or label; longer ones are cut */

struct room_status *
room_status_new(void)
{
	struct room_status *st = calloc(1, sizeof(*st));

	if (st != NULL)
		arena_init(&st->strings, STATUS_BYTES_MAX);
	return st;
}

void
room_status_free(struct room_status *st)
{
	if (st == NULL)
		return;
	arena_fini(&st->strings);
	free(st->samples);
	free(st);
}

static const char *
keep_text(struct room_status *st, const char *text)
{
	size_t len = strnlen(text, TEXT_MAX);
	char *copy = arena_alloc(&st->strings, len + 1);

	if (copy == NULL) {
		st->failed = true;
		return "";
	}
	memcpy(copy, text, len); /* the arena is zeroed: ends with NUL */
	return copy;
}

static bool
grow(struct room_status *st)
{
	size_t size = st->size > 0 ? 2 * st->size : 64;
	struct td_sample *samples;

	if (st->count < st->size)
		return true;
	if (st->count >= STATUS_SAMPLES_MAX)
		return false;
	samples = realloc(st->samples, size * sizeof(*samples));
	if (samples == NULL)
		return false;
	st->samples = samples;
	st->size = size;
	return true;
}

static struct td_sample *
add(struct room_status *st, const char *name, enum td_sample_type type, double value)
{
	struct td_sample *sample;

	if (st->failed || !grow(st)) {
		st->failed = true;
		return NULL;
	}
	sample = &st->samples[st->count++];
	*sample = (struct td_sample){ .type = type, .value = value };
	sample->name = keep_text(st, name);
	return sample;
}

static void
add_label(struct room_status *st, struct td_sample *sample, const char *key,
    const char *value)
{
	td_assert(sample->label_count < TD_SAMPLE_LABELS_MAX);
	sample->label_key[sample->label_count] = keep_text(st, key);
	sample->label_value[sample->label_count] = keep_text(st, value);
	sample->label_count++;
}

static void
add_labels(struct room_status *st, struct td_sample *sample, va_list ap)
{
	const char *key;

	if (sample == NULL)
		return;
	while ((key = va_arg(ap, const char *)) != NULL) {
		const char *value = va_arg(ap, const char *);

		td_assert(value != NULL);
		add_label(st, sample, key, value);
	}
}

void
status_gauge(struct room_status *st, const char *name, double value, ...)
{
	va_list ap;

	va_start(ap, value);
	add_labels(st, add(st, name, TD_GAUGE, value), ap);
	va_end(ap);
}

void
status_counter(struct room_status *st, const char *name, double value, ...)
{
	va_list ap;

	va_start(ap, value);
	add_labels(st, add(st, name, TD_COUNTER, value), ap);
	va_end(ap);
}

void
status_info(struct room_status *st, const char *name, ...)
{
	va_list ap;

	va_start(ap, name);
	add_labels(st, add(st, name, TD_INFO, 1), ap);
	va_end(ap);
}

static void
add_histogram_sample(struct room_status *st, const char *name, const char *suffix,
    double value, const char *le, va_list ap)
{
	char full[TEXT_MAX];
	struct td_sample *sample;

	snprintf(full, sizeof(full), "%s%s", name, suffix);
	sample = add(st, full, TD_HISTOGRAM_BUCKET, value);
	add_labels(st, sample, ap);
	if (sample != NULL && le != NULL)
		add_label(st, sample, "le", le);
}

void
status_histogram(
    struct room_status *st, const char *name, const struct td_histogram *histogram, ...)
{
	uint64_t cumulative = 0;
	va_list ap;

	for (unsigned i = 0; i < TD_HISTOGRAM_BUCKETS; i++) {
		char le[32] = "+Inf";

		cumulative += histogram->bucket[i];
		if (i < TD_HISTOGRAM_BUCKETS - 1)
			snprintf(le, sizeof(le), "%.9g", (double)(1U << i) / 1e6);
		va_start(ap, histogram);
		add_histogram_sample(st, name, "_bucket", (double)cumulative, le, ap);
		va_end(ap);
	}
	va_start(ap, histogram);
	add_histogram_sample(
	    st, name, "_sum", (double)histogram->sum_ns / 1e9, NULL, ap);
	va_end(ap);
	va_start(ap, histogram);
	add_histogram_sample(st, name, "_count", (double)histogram->count, NULL, ap);
	va_end(ap);
}

bool
room_status_next_part(
    const struct room_status *st, uint64_t id, size_t *at, struct td_msg *ret_part)
{
	size_t first = *at, bytes = 0, count = 0;

	/* One beyond the end says that the last part has gone out. */
	if (first > st->count || (first == st->count && first > 0))
		return false;
	while (first + count < st->count && count < TD_MSG_SAMPLES_MAX) {
		bytes += msg_sample_bytes(&st->samples[first + count]);
		if (bytes > PART_BYTES_MAX)
			break;
		count++;
	}
	/* TEXT_MAX and the number of labels keep each sample far below a packet. */
	td_assert(count > 0 || st->count == 0);
	*ret_part = (struct td_msg){ .kind = TD_MSG_STATUS,
		.status = { .id = id,
		    .more = first + count<st->count, .samples = count> 0
				? st->samples + first
				: NULL,
		    .sample_count = count } };
	*at = first + count > 0 ? first + count : 1;
	return true;
}
