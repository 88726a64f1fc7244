/* room_process.h - what a room does as a process before its loop: arguments, signals. */
#ifndef TANDEM_COMMON_ROOM_PROCESS_H
#define TANDEM_COMMON_ROOM_PROCESS_H

#define ROOM_INSTANCE_MAX 32

struct room_arguments {
	const char *instance; /* borrowed from argv: 1..31 letters, digits, - and _ */
	int control_fd;       /* open */
};

/* Ends the program with usage and exit code 2 if the arguments are wrong. */
struct room_arguments room_arguments_parse(int argc, char **argv);
void room_usage(const char *program, const char *reason) __attribute__((noreturn));

/* Signal mask and dispositions, no_new_privs, SIGTERM at the parent's death. */
void room_process_init(void);

#endif
