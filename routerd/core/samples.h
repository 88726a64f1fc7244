/*
 * samples.h - what the rooms said about themselves at one moment: the one source of
 * /metrics, of the JSON pages and of tandemctl's tables.
 *
 * Memory   the set owns copies of all strings.
 */
#ifndef TANDEM_ROUTERD_SAMPLES_H
#define TANDEM_ROUTERD_SAMPLES_H

#include <tandem/room.h>

#define SAMPLES_MAX 262144

struct sample {
	enum td_room room;
	enum td_sample_type type;
	char *name;
	unsigned label_count;
	char *key[TD_SAMPLE_LABELS_MAX];
	char *value[TD_SAMPLE_LABELS_MAX];
	double number;
};

struct sample_set {
	struct sample *list;
	size_t count, capacity;
	uint64_t dropped; /* over SAMPLES_MAX, or without memory */
};

void samples_add(
    struct sample_set *set, enum td_room room, const struct td_sample *sample);
/* One of our own: labels are key, value pairs ending with NULL. */
void samples_put(struct sample_set *set, enum td_room room, enum td_sample_type type,
    const char *name, double number, ...);
void samples_free(struct sample_set *set);

/* By name; within a name the order of arrival. */
void samples_sort(struct sample_set *set);
/* By room, for a page that does not change with who answered first. */
void samples_sort_rooms(struct sample_set *set);

/* The first sample of that name, or NULL. With `key`: whose label `key` is `value`. */
const struct sample *samples_find(
    const struct sample_set *set, const char *name, const char *key, const char *value);
double samples_number(const struct sample_set *set, const char *name, double fallback);
/* "" if there is no such label, or no sample. */
const char *sample_label(const struct sample *sample, const char *key);

#endif
