#include "ctl/command.h"

#include <stdio.h>
#include <string.h>
#include "routerd/core/options.h"

enum argument { ARG_NONE, ARG_FILE, ARG_SWITCH };

static const struct {
	const char *name;
	enum verb verb;
	enum argument argument;
} verbs[] = {
	{ "status", VERB_STATUS, ARG_NONE },
	{ "vrrp", VERB_VRRP, ARG_NONE },
	{ "sync", VERB_SYNC, ARG_NONE },
	{ "lb", VERB_LB, ARG_NONE },
	{ "nat", VERB_NAT, ARG_NONE },
	{ "switchover", VERB_SWITCHOVER, ARG_NONE },
	{ "maintenance", VERB_MAINTENANCE, ARG_SWITCH },
	{ "resync", VERB_RESYNC, ARG_NONE },
	{ "apply", VERB_APPLY, ARG_FILE },
	{ "check-config", VERB_CHECK_CONFIG, ARG_FILE },
	{ "check", VERB_CHECK, ARG_NONE },
	{ "keygen", VERB_KEYGEN, ARG_NONE },
	{ "version", VERB_VERSION, ARG_NONE },
	{ "help", VERB_HELP, ARG_NONE },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

const char *
command_name(enum verb verb)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (verbs[i].verb == verb)
			return verbs[i].name;
	return "";
}

static bool *
find_flag(struct command *c, const char *key)
{
	if (strcmp(key, "--json") == 0)
		return &c->json;
	if (strcmp(key, "--alone") == 0)
		return &c->alone;
	if (strcmp(key, "--show") == 0)
		return &c->show;
	if (strcmp(key, "--force") == 0)
		return &c->force;
	return NULL;
}

static const char **
find_value(struct command *c, const char *key)
{
	if (strcmp(key, "--instance") == 0)
		return &c->instance;
	if (strcmp(key, "--node") == 0)
		return &c->node;
	if (strcmp(key, "--out") == 0)
		return &c->file;
	return NULL;
}

struct parse {
	size_t verb; /* VERB_COUNT = none yet */
	bool argument_seen;
};

static const char *
take_word(struct command *c, struct parse *p, const char *word)
{
	if (p->verb < VERB_COUNT) {
		if (verbs[p->verb].argument == ARG_NONE || p->argument_seen)
			return "too many arguments";
		p->argument_seen = true;
		if (verbs[p->verb].argument == ARG_SWITCH) {
			c->on = strcmp(word, "on") == 0;
			return c->on || strcmp(word, "off") == 0 ? NULL : "on or off";
		}
		c->file = word;
		return NULL;
	}
	for (p->verb = 0; p->verb < VERB_COUNT; p->verb++)
		if (strcmp(verbs[p->verb].name, word) == 0)
			break;
	return p->verb < VERB_COUNT ? NULL : "no such command";
}

const char *
command_parse(
    int argc, char **argv, struct command *ret_command, char *buf, size_t buf_len)
{
	struct command c = { 0 };
	struct parse p = { .verb = VERB_COUNT };

	for (int i = 1; i < argc; i++) {
		const char *problem = NULL;
		bool *flag = find_flag(&c, argv[i]);
		const char **value = find_value(&c, argv[i]);

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*ret_command = (struct command){ .verb = VERB_HELP };
			return NULL;
		}
		if (flag != NULL)
			*flag = true;
		else if (value != NULL && i + 1 < argc)
			*value = argv[++i];
		else if (value != NULL)
			problem = "needs a value";
		else if (argv[i][0] == '-' && argv[i][1] != '\0')
			problem = "unknown option";
		else
			problem = take_word(&c, &p, argv[i]);
		if (problem != NULL) {
			snprintf(buf, buf_len, "%s: %s", argv[i], problem);
			return buf;
		}
	}
	if (p.verb == VERB_COUNT)
		return "which command?";
	c.verb = verbs[p.verb].verb;
	if (verbs[p.verb].argument == ARG_FILE && !p.argument_seen) {
		snprintf(buf, buf_len, "%s: needs a FILE", verbs[p.verb].name);
		return buf;
	}
	if (verbs[p.verb].argument == ARG_SWITCH && !p.argument_seen) {
		snprintf(buf, buf_len, "%s: on or off?", verbs[p.verb].name);
		return buf;
	}
	if (c.instance != NULL && !instance_name_valid(c.instance)) {
		snprintf(buf, buf_len, "--instance %s: not a name", c.instance);
		return buf;
	}
	*ret_command = c;
	return NULL;
}
