/*
 * hook_path.h - whether a program may be run as a hook.
 *
 * It must be a plain executable file, and nobody but root may be able to replace it:
 * the file and every directory and symbolic link on the way to it belong to root, and
 * none can be written by others (by group only if that is root's).
 */
#ifndef TANDEM_ROUTERD_HOOK_PATH_H
#define TANDEM_ROUTERD_HOOK_PATH_H

#include <stddef.h>

/* 0; or negative errno with *ret_problem filled: what is wrong, with the path. */
int hook_path_check(const char *path, char *ret_problem, size_t size);

#endif
