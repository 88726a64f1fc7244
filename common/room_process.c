#include "common/room_process.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

void
room_usage(const char *program, const char *reason)
{
	fprintf(stderr,
	    "%s: %s\nusage: %s --instance NAME --control-fd N\n"
	    "This program is started by tandemd.\n",
	    program, reason, program);
	exit(2);
}

static bool
instance_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_-");

	return len > 0 && len < ROOM_INSTANCE_MAX && name[len] == '\0';
}

struct room_arguments
room_arguments_parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "control-fd", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	struct room_arguments args = { NULL, -1 };
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'i':
			args.instance = optarg;
			break;
		case 'c':
			args.control_fd = (int)strtol(optarg, &end, 10);
			if (*end != '\0' || fcntl(args.control_fd, F_GETFD) < 0)
				room_usage(
				    argv[0], "--control-fd is no open descriptor");
			break;
		default:
			room_usage(argv[0], "unknown option");
		}
	}
	if (optind != argc)
		room_usage(argv[0], "too many arguments");
	if (args.instance == NULL || !instance_valid(args.instance))
		room_usage(argv[0], "--instance is missing or no name");
	if (args.control_fd < 0)
		room_usage(argv[0], "--control-fd is missing");
	return args;
}

void
room_process_init(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A Ctrl-C or hang-up on the terminal is tandemd's to handle: it stops the
	 * rooms in order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* SIGTERM, not SIGKILL: an orphaned router resigns before it ends. The end of
	 * the control socket says the same; this also works if a stray process holds it
	 * open. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}
