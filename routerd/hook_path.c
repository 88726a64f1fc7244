#include "routerd/hook_path.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMLINKS_MAX 16

struct walk {
	char done[PATH_MAX]; /* examined, without links in it; "" is the root */
	char todo[PATH_MAX];
	char *problem;
	size_t problem_size;
	unsigned links;
};

__attribute__((format(printf, 3, 4))) static int
wrong(struct walk *w, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(w->problem, w->problem_size, format, ap);
	va_end(ap);
	return error;
}

static void
step_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (slash != NULL)
		*slash = '\0';
}

/* Goes on with the target of the link at `done`. */
static int
follow(struct walk *w)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t len = readlink(w->done, target, sizeof(target) - 1);
	int n;

	if (len < 0)
		return wrong(w, -errno, "%s: %s", w->done, strerror(errno));
	target[len] = '\0';
	if (++w->links > SYMLINKS_MAX)
		return wrong(w, -ELOOP, "%s: %s", w->done, strerror(ELOOP));
	memcpy(rest, w->todo, sizeof(rest));
	n = snprintf(w->todo, sizeof(w->todo), "%s%s", target, rest);
	if (n < 0 || (size_t)n >= sizeof(w->todo))
		return wrong(
		    w, -ENAMETOOLONG, "%s: %s", w->done, strerror(ENAMETOOLONG));
	if (target[0] == '/')
		w->done[0] = '\0';
	else
		step_up(w);
	return 0;
}

static int
check_node(struct walk *w, const char *path, const struct stat *st, bool last)
{
	if (st->st_uid != 0)
		return wrong(w, -EPERM, "%s belongs to uid %u, not to root", path,
		    (unsigned)st->st_uid);
	if (S_ISLNK(st->st_mode))
		return 0;
	if ((st->st_mode & S_IWOTH) != 0 ||
	    ((st->st_mode & S_IWGRP) != 0 && st->st_gid != 0))
		return wrong(w, -EPERM,
		    "%s can be written by others than root (mode %04o)", path,
		    (unsigned)st->st_mode & 07777);
	if (!last && !S_ISDIR(st->st_mode))
		return wrong(w, -ENOTDIR, "%s: %s", path, strerror(ENOTDIR));
	if (last && (!S_ISREG(st->st_mode) || (st->st_mode & 0111) == 0))
		return wrong(w, -EACCES, "%s is no executable file", path);
	return 0;
}

/* Moves one component from `todo` to `done`. */
static int
step(struct walk *w)
{
	char *name = w->todo + strspn(w->todo, "/");
	size_t len = strcspn(name, "/"), used = strlen(w->done);
	bool last = name[len + strspn(name + len, "/")] == '\0';
	struct stat st;
	int result;

	if (len == 2 && memcmp(name, "..", 2) == 0) {
		step_up(w);
	} else if (len > 0 && !(len == 1 && name[0] == '.')) {
		if (used + 1 + len >= sizeof(w->done))
			return wrong(w, -ENAMETOOLONG, "%s: %s", w->done,
			    strerror(ENAMETOOLONG));
		w->done[used] = '/';
		memcpy(w->done + used + 1, name, len);
		w->done[used + 1 + len] = '\0';
	}
	memmove(w->todo, name + len, strlen(name + len) + 1);
	if (lstat(w->done[0] != '\0' ? w->done : "/", &st) < 0)
		return wrong(w, -errno, "%s: %s", w->done, strerror(errno));
	result = check_node(w, w->done[0] != '\0' ? w->done : "/", &st, last);
	if (result == 0 && S_ISLNK(st.st_mode))
		result = follow(w);
	return result;
}

int
hook_path_check(const char *path, char *ret_problem, size_t size)
{
	struct walk w = { .problem = ret_problem, .problem_size = size };
	int n = snprintf(w.todo, sizeof(w.todo), "%s", path);
	struct stat st;
	int result;

	if (n < 0 || (size_t)n >= sizeof(w.todo) || path[0] != '/')
		return wrong(&w, -EINVAL, "'%.100s' is no absolute path", path);
	if (stat("/", &st) < 0)
		return wrong(&w, -errno, "/: %s", strerror(errno));
	result = check_node(&w, "/", &st, false);
	while (result == 0 && w.todo[strspn(w.todo, "/")] != '\0')
		result = step(&w);
	return result;
}
