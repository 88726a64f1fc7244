/*
 * hook_run.h - one program, run as a group of processes that can be ended as a whole.
 *
 *   hookd --- keeper --- the program --- whatever it starts
 *             `------------ one process group -----------'
 *
 * The keeper waits for the program and ends as it does. When hookd dies, however it
 * dies, the kernel tells the keeper, which then kills the group: no run outlives who
 * watches it, and the next life of hookd, which waits for the lock that the keeper
 * holds, runs nothing beside it. What the program leaves behind when it ends by itself
 * goes on; a daemon that left the group goes on in any case.
 */
#ifndef TANDEM_ROUTERD_HOOK_RUN_H
#define TANDEM_ROUTERD_HOOK_RUN_H

#include <stdbool.h>
#include <sys/types.h>

struct hook_run {
	pid_t pid;  /* of the keeper and of the group; 0 = nothing runs */
	bool sweep; /* the group was signalled: nothing of it may stay */
};

/* argv and envp end with NULL and are borrowed for the call; argv[0] is the program.
 * `lock_fd` is kept open by the keeper alone. `output_fd` becomes stdout and stderr; -1
 * = as ours. 0 or negative errno. A program that cannot be executed ends with code 126
 * after one line on stderr. */
int hook_run_start(struct hook_run *run, const char *const *argv,
    const char *const *envp, int lock_fd, int output_fd);

void hook_run_signal(struct hook_run *run, int signo);

/* True once it has ended; *ret_wait_status as waitpid says. */
bool hook_run_reap(struct hook_run *run, int *ret_wait_status);

#endif
