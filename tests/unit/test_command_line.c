/* The command lines of tandemd and tandemctl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "ctl/command.h"
#include "routerd/core/options.h"

#define ARGS_MAX 12

static int
split(const char *line, char *copy, char **argv)
{
	int argc = 0;
	char *save = NULL;

	strcpy(copy, line);
	for (char *word = strtok_r(copy, " ", &save); word != NULL && argc < ARGS_MAX;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return argc;
}

static void
test_tandemd(void **state)
{
	static const struct {
		const char *line, *error; /* error: part of it; NULL = accepted */
	} rows[] = {
		{ "tandemd --instance blue", NULL },
		{ "tandemd --instance blue --node r1 --netns n --config f --users root",
		    NULL },
		{ "tandemd --instance lab-r1_2 --log syslog --users tandem --verbose",
		    NULL },
		{ "tandemd --help", NULL },
		{ "tandemd --parse-config --file x --node r1", NULL },
		{ "tandemd", "--instance NAME is missing" },
		{ "tandemd --instance", "needs a value" },
		{ "tandemd --instance ../etc", "--instance ../etc" },
		{ "tandemd --instance .", "--instance" },
		{ "tandemd --instance -x", "--instance" },
		{ "tandemd --instance abcdefghijklmnopqrstuvwxyz123456", "at most 31" },
		{ "tandemd --instance blue --users nobody", "root or tandem" },
		{ "tandemd --instance blue --log file", "stderr or syslog" },
		{ "tandemd --instance blue --colour red", "--colour: unknown option" },
		{ "tandemd blue", "blue: options only" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char copy[256], problem[160];
		char *argv[ARGS_MAX];
		struct options o;
		const char *error = options_parse(split(rows[i].line, copy, argv), argv,
		    &o, problem, sizeof(problem));

		if ((error == NULL) != (rows[i].error == NULL) ||
		    (error != NULL && strstr(error, rows[i].error) == NULL))
			fail_msg(
			    "%s: %s", rows[i].line, error != NULL ? error : "accepted");
	}
}

static void
test_tandemd_values(void **state)
{
	char copy[256], problem[160];
	char *argv[ARGS_MAX];
	struct options o;

	(void)state;
	assert_null(options_parse(
	    split("tandemd --instance a --netns n --node r2 --users root --log syslog",
		copy, argv),
	    argv, &o, problem, sizeof(problem)));
	assert_string_equal(o.instance, "a");
	assert_string_equal(o.netns, "n");
	assert_string_equal(o.node, "r2");
	assert_null(o.config);
	assert_true(o.users_root);
	assert_true(o.syslog);
	assert_false(o.verbose);
}

static void
test_tandemctl(void **state)
{
	static const struct {
		const char *line;
		enum verb verb;
		const char *error;
	} rows[] = {
		{ "tandemctl status", VERB_STATUS, NULL },
		{ "tandemctl --instance blue --json vrrp", VERB_VRRP, NULL },
		{ "tandemctl nat --json --instance blue", VERB_NAT, NULL },
		{ "tandemctl apply new.yaml --alone", VERB_APPLY, NULL },
		{ "tandemctl check-config --node r1 a.yaml", VERB_CHECK_CONFIG, NULL },
		{ "tandemctl keygen --out f --force", VERB_KEYGEN, NULL },
		{ "tandemctl maintenance on", VERB_MAINTENANCE, NULL },
		{ "tandemctl maintenance off --json", VERB_MAINTENANCE, NULL },
		{ "tandemctl maintenance", 0, "maintenance: on or off?" },
		{ "tandemctl maintenance maybe", 0, "maybe: on or off" },
		{ "tandemctl maintenance on off", 0, "too many arguments" },
		{ "tandemctl -h", VERB_HELP, NULL },
		{ "tandemctl apply --help", VERB_HELP, NULL },
		{ "tandemctl", 0, "which command" },
		{ "tandemctl apply", 0, "apply: needs a FILE" },
		{ "tandemctl check-config a b", 0, "too many arguments" },
		{ "tandemctl status now", 0, "too many arguments" },
		{ "tandemctl frobnicate", 0, "frobnicate: no such command" },
		{ "tandemctl --fast status", 0, "--fast: unknown option" },
		{ "tandemctl status --instance", 0, "needs a value" },
		{ "tandemctl --instance a/b status", 0, "not a name" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char copy[256], problem[160];
		char *argv[ARGS_MAX];
		struct command c;
		const char *error = command_parse(split(rows[i].line, copy, argv), argv,
		    &c, problem, sizeof(problem));

		if ((error == NULL) != (rows[i].error == NULL) ||
		    (error == NULL && c.verb != rows[i].verb) ||
		    (error != NULL && strstr(error, rows[i].error) == NULL))
			fail_msg(
			    "%s: %s", rows[i].line, error != NULL ? error : "accepted");
	}
}

static void
test_tandemctl_values(void **state)
{
	char copy[256], problem[160];
	char *argv[ARGS_MAX];
	struct command c;

	(void)state;
	assert_null(
	    command_parse(split("tandemctl apply --alone --json x.yaml", copy, argv),
		argv, &c, problem, sizeof(problem)));
	assert_string_equal(c.file, "x.yaml");
	assert_true(c.alone);
	assert_true(c.json);
	assert_null(c.instance);
	assert_null(command_parse(split("tandemctl maintenance on", copy, argv), argv,
	    &c, problem, sizeof(problem)));
	assert_true(c.on);
	assert_string_equal(command_name(VERB_CHECK_CONFIG), "check-config");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tandemd),
		cmocka_unit_test(test_tandemd_values),
		cmocka_unit_test(test_tandemctl),
		cmocka_unit_test(test_tandemctl_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
