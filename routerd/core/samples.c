#include "routerd/core/samples.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *
copy(const char *string)
{
	size_t len = strlen(string) + 1;
	char *to = malloc(len);

	if (to != NULL)
		memcpy(to, string, len);
	return to;
}

static void
sample_fini(struct sample *s)
{
	free(s->name);
	for (unsigned i = 0; i < s->label_count; i++) {
		free(s->key[i]);
		free(s->value[i]);
	}
}

static bool
reserve(struct sample_set *set)
{
	size_t capacity = set->capacity == 0 ? 64 : set->capacity * 2;
	struct sample *grown;

	if (set->count < set->capacity)
		return true;
	if (set->count >= SAMPLES_MAX)
		return false;
	grown = realloc(set->list, capacity * sizeof(*grown));
	if (grown == NULL)
		return false;
	set->list = grown;
	set->capacity = capacity;
	return true;
}

void
samples_add(struct sample_set *set, enum td_room room, const struct td_sample *sample)
{
	struct sample s = {
		.room = room, .type = sample->type, .number = sample->value
	};
	bool complete;

	if (sample->name == NULL || sample->label_count > TD_SAMPLE_LABELS_MAX ||
	    !reserve(set)) {
		set->dropped++;
		return;
	}
	s.name = copy(sample->name);
	complete = s.name != NULL;
	for (unsigned i = 0; i < sample->label_count; i++) {
		s.key[i] = copy(sample->label_key[i]);
		s.value[i] = copy(sample->label_value[i]);
		s.label_count = i + 1;
		complete = complete && s.key[i] != NULL && s.value[i] != NULL;
	}
	if (!complete) {
		sample_fini(&s);
		set->dropped++;
		return;
	}
	set->list[set->count++] = s;
}

void
samples_put(struct sample_set *set, enum td_room room, enum td_sample_type type,
    const char *name, double number, ...)
{
	struct td_sample s = { .name = name, .type = type, .value = number };
	const char *key;
	va_list args;

	va_start(args, number);
	while (s.label_count < TD_SAMPLE_LABELS_MAX &&
	       (key = va_arg(args, const char *)) != NULL) {
		s.label_key[s.label_count] = key;
		s.label_value[s.label_count] = va_arg(args, const char *);
		s.label_count++;
	}
	va_end(args);
	samples_add(set, room, &s);
}

void
samples_free(struct sample_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		sample_fini(&set->list[i]);
	free(set->list);
	*set = (struct sample_set){ 0 };
}

typedef bool in_order(const struct sample *a, const struct sample *b);

static bool
by_name(const struct sample *a, const struct sample *b)
{
	return strcmp(a->name, b->name) <= 0;
}

static bool
by_room(const struct sample *a, const struct sample *b)
{
	return a->room <= b->room;
}

/* A merge sort, because it keeps the order of equals; strict C has no stable sort. */
static void
merge_sort(struct sample *list, struct sample *spare, size_t count, in_order *order)
{
	size_t half = count / 2, a = 0, b = half;

	if (count < 2)
		return;
	merge_sort(list, spare, half, order);
	merge_sort(list + half, spare, count - half, order);
	for (size_t i = 0; i < count; i++) {
		bool left = a < half && (b == count || order(&list[a], &list[b]));

		spare[i] = left ? list[a++] : list[b++];
	}
	memcpy(list, spare, count * sizeof(*list));
}

static void
sort(struct sample_set *set, in_order *order)
{
	struct sample *spare;

	if (set->count < 2)
		return;
	/* Without memory the order stays as it came, which is a matter of looks. */
	spare = malloc(set->count * sizeof(*spare));
	if (spare == NULL)
		return;
	merge_sort(set->list, spare, set->count, order);
	free(spare);
}

void
samples_sort(struct sample_set *set)
{
	sort(set, by_name);
}

void
samples_sort_rooms(struct sample_set *set)
{
	sort(set, by_room);
}

const char *
sample_label(const struct sample *sample, const char *key)
{
	for (unsigned i = 0; sample != NULL && i < sample->label_count; i++)
		if (strcmp(sample->key[i], key) == 0)
			return sample->value[i];
	return "";
}

const struct sample *
samples_find(
    const struct sample_set *set, const char *name, const char *key, const char *value)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];

		if (strcmp(s->name, name) == 0 &&
		    (key == NULL || strcmp(sample_label(s, key), value) == 0))
			return s;
	}
	return NULL;
}

double
samples_number(const struct sample_set *set, const char *name, double fallback)
{
	const struct sample *s = samples_find(set, name, NULL, NULL);

	return s != NULL ? s->number : fallback;
}
