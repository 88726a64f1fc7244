/*
 * command.h - the command line of tandemctl.
 */
#ifndef TANDEM_CTL_COMMAND_H
#define TANDEM_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum verb {
	VERB_STATUS,
	VERB_VRRP,
	VERB_SYNC,
	VERB_LB,
	VERB_NAT,
	VERB_SWITCHOVER,
	VERB_MAINTENANCE,
	VERB_RESYNC,
	VERB_APPLY,
	VERB_CHECK_CONFIG,
	VERB_CHECK,
	VERB_KEYGEN,
	VERB_VERSION,
	VERB_HELP,
};

/* Exit codes, as tandemctl(8) documents them. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_NOT_RUNNING = 3 };

struct command {
	enum verb verb;
	const char *instance; /* NULL = the only one that runs */
	const char *file;     /* argument, or --out */
	bool on;              /* maintenance on */
	const char *node;     /* check-config --node */
	bool json;
	bool alone; /* apply --alone */
	bool show;  /* keygen --show: the public key of what is there */
	bool force; /* keygen --force */
};

/* NULL, or one line that says what is wrong (perhaps in buf). Borrows from argv. */
const char *command_parse(
    int argc, char **argv, struct command *ret_command, char *buf, size_t buf_len);

/* The name of a verb: "check-config". */
const char *command_name(enum verb verb);

#endif
