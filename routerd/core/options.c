#include "routerd/core/options.h"

#include <stdio.h>
#include <string.h>

#define INSTANCE_MAX 31

bool
instance_name_valid(const char *name)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-_";
	size_t len = strlen(name);

	return len >= 1 && len <= INSTANCE_MAX && strspn(name, allowed) == len &&
	       name[0] != '-';
}

static const char *
store_value(struct options *o, const char *key, const char *value)
{
	const char **const slots[] = { &o->instance, &o->netns, &o->node, &o->config,
		&o->libexec, &o->file };
	static const char *const keys[] = { "--instance", "--netns", "--node",
		"--config", "--libexec", "--file" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i]) == 0) {
			*slots[i] = value;
			return NULL;
		}
	}
	if (strcmp(key, "--users") == 0) {
		o->users_root = strcmp(value, "root") == 0;
		return o->users_root || strcmp(value, "tandem") == 0 ? NULL
								     : "root or tandem";
	}
	if (strcmp(key, "--log") == 0) {
		o->syslog = strcmp(value, "syslog") == 0;
		return o->syslog || strcmp(value, "stderr") == 0 ? NULL
								 : "stderr or syslog";
	}
	return "unknown option";
}

static bool *
find_flag(struct options *o, const char *key)
{
	if (strcmp(key, "--help") == 0)
		return &o->help;
	if (strcmp(key, "--version") == 0)
		return &o->version;
	if (strcmp(key, "--verbose") == 0)
		return &o->verbose;
	if (strcmp(key, "--parse-config") == 0)
		return &o->parse_config;
	return NULL;
}

const char *
options_parse(
    int argc, char **argv, struct options *ret_options, char *buf, size_t buf_len)
{
	struct options o = { 0 };

	for (int i = 1; i < argc; i++) {
		bool *flag = find_flag(&o, argv[i]);
		const char *problem;

		if (flag != NULL) {
			*flag = true;
			continue;
		}
		if (argv[i][0] != '-') {
			snprintf(buf, buf_len, "%s: options only", argv[i]);
			return buf;
		}
		problem = store_value(&o, argv[i], i + 1 < argc ? argv[i + 1] : "");
		if (problem == NULL && i + 1 == argc)
			problem = "needs a value";
		if (problem != NULL) {
			snprintf(buf, buf_len, "%s: %s", argv[i], problem);
			return buf;
		}
		i++;
	}
	if (!o.help && !o.version && !o.parse_config) {
		if (o.instance == NULL)
			return "--instance NAME is missing";
		if (!instance_name_valid(o.instance)) {
			snprintf(buf, buf_len,
			    "--instance %s: letters, digits, dash and "
			    "underscore, at most %d",
			    o.instance, INSTANCE_MAX);
			return buf;
		}
	}
	*ret_options = o;
	return NULL;
}
