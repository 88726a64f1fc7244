#include "routerd/core/metrics.h"

#include <string.h>

static bool
name_valid(const char *name)
{
	static const char first[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char rest[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	    "0123456789";

	return name[0] != '\0' && strchr(first, name[0]) != NULL &&
	       strspn(name, rest) == strlen(name);
}

/* A histogram's three series are one family. */
static size_t
family_len(const struct sample *s)
{
	static const char *const suffixes[] = { "_bucket", "_sum", "_count" };
	size_t len = strlen(s->name);

	if (s->type != TD_HISTOGRAM_BUCKET)
		return len;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t cut = strlen(suffixes[i]);

		if (len > cut && strcmp(s->name + len - cut, suffixes[i]) == 0)
			return len - cut;
	}
	return len;
}

static const char *
type_name(enum td_sample_type type)
{
	switch (type) {
	case TD_GAUGE:
	case TD_INFO:
		return "gauge";
	case TD_COUNTER:
		return "counter";
	case TD_HISTOGRAM_BUCKET:
		return "histogram";
	}
	return "untyped";
}

static void
render_label(struct text *out, const char *key, const char *value, bool first)
{
	text_printf(out, "%s%s=\"", first ? "" : ",", key);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			text_puts(out, "\\n");
		else if (*value == '"' || *value == '\\')
			text_printf(out, "\\%c", *value);
		else
			text_add(out, value, 1);
	}
	text_puts(out, "\"");
}

static void
render_sample(struct text *out, const struct sample *s, const char *instance)
{
	text_printf(out, "%s{", s->name);
	render_label(out, "instance", instance, true);
	for (unsigned i = 0; i < s->label_count; i++)
		if (name_valid(s->key[i]) && strcmp(s->key[i], "instance") != 0)
			render_label(out, s->key[i], s->value[i], false);
	text_puts(out, "} ");
	text_number(out, s->number);
	text_puts(out, "\n");
}

void
metrics_render(struct text *out, struct sample_set *set, const char *instance)
{
	char family[128] = "";

	samples_sort(set);
	for (size_t i = 0; i < set->count; i++) {
		const struct sample *s = &set->list[i];
		size_t len = family_len(s);

		if (!name_valid(s->name) || len >= sizeof(family))
			continue;
		if (strlen(family) != len || strncmp(family, s->name, len) != 0) {
			memcpy(family, s->name, len);
			family[len] = '\0';
			text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family,
			    metrics_help(family), family, type_name(s->type));
		}
		render_sample(out, s, instance);
	}
}
