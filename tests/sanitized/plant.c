/*
 * plant - makes one mistake, with the rights of a process of tandemd.
 *
 *   plant WHO KIND   WHO   room     a user of its own and one capability
 *                          rootless as tandem-mgmtd: no capability, an empty root
 *                          parser   as the parser: besides, no file and no child
 *                          fork     a child that executes nothing
 *                    KIND  address, undefined, leak
 */
#include "routerd/confine.h"
#include "routerd/spawn.h"

#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int
make_mistake(const char *kind)
{
	volatile int number = INT_MAX;
	char *volatile text = malloc(10);

	if (strcmp(kind, "undefined") == 0)
		number = number + 1;
	if (strcmp(kind, "leak") != 0)
		free(text);
	if (strcmp(kind, "address") == 0)
		return text[0];
	text = NULL;
	return 0;
}

static int
child_main(const char *who, const char *kind)
{
	const struct rlimit none = { 0, 0 };

	if (strcmp(who, "room") != 0 && confine_self() < 0) {
		fprintf(stderr, "plant: this kernel has no Landlock\n");
		return 3;
	}
	if (strcmp(who, "parser") == 0)
		setrlimit(RLIMIT_NPROC, &none);
	return make_mistake(kind);
}

int
main(int argc, char **argv)
{
	const struct passwd *user = getpwnam("tandem-mgmtd");
	bool room;
	const char *child[] = { "plant", NULL, NULL, "now", NULL };
	struct spawn_spec spec = { .path = "/proc/self/exe",
		.argv = child,
		.capabilities = { -1 },
		.stdin_fd = -1,
		.stdout_fd = -1,
		.control_fd = -1,
		.life_fd = -1 };
	int status;
	pid_t pid;

	if (argc == 4)
		return child_main(argv[1], argv[2]);
	if (argc != 3 || user == NULL)
		return 2;
	room = strcmp(argv[1], "room") == 0;
	child[1] = argv[1];
	child[2] = argv[2];
	spec.uid = user->pw_uid;
	spec.gid = user->pw_gid;
	spec.confined = strcmp(argv[1], "parser") == 0;
	if (room) {
		spec.capabilities[0] = CAP_NET_ADMIN;
		spec.capabilities[1] = -1;
	}
	if (strcmp(argv[1], "fork") == 0) {
		pid = fork();
		if (pid == 0)
			exit(make_mistake(argv[2]));
	} else {
		pid = spawn(&spec);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
