/*
 * options.h - the command line of tandemd.
 *
 * Errors   options_parse returns NULL, or one line that says what is wrong.
 * Memory   all strings borrow from argv.
 */
#ifndef TANDEM_ROUTERD_OPTIONS_H
#define TANDEM_ROUTERD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
	const char *instance;
	const char *netns;   /* NULL = the one it was started in */
	const char *node;    /* NULL = host name */
	const char *config;  /* NULL = /etc/tandem/INSTANCE.yaml */
	const char *libexec; /* NULL = beside the program */
	bool users_root; /* children keep uid 0 (capabilities are dropped all the same)
			  */
	bool syslog;
	bool verbose;
	bool help, version;
	bool
	    parse_config; /* internal: this is the child that reads the configuration */
	const char *file; /* internal: its name in error messages */
};

const char *options_parse(
    int argc, char **argv, struct options *ret_options, char *buf, size_t buf_len);

/* A name that may stand in a path, a link name and a metric label: letters, digits,
 * dash, underscore; 1..31 characters; no leading dash. */
bool instance_name_valid(const char *name);

#endif
