#include "vrrpd/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSCTL_ROOT "/proc/sys/net/"
#define SYSCTL_FILE "sysctl"
#define SYSCTL_NAME_MAX 96
#define SYSCTL_SAVED_MAX 2048

struct saved {
	char name[SYSCTL_NAME_MAX];
	long value;
};

struct sysctl_store {
	int state_dir; /* borrowed; -1 = none */
	char life[80]; /* first line of the file: boot and network namespace */
	unsigned count;
	struct saved saved[SYSCTL_SAVED_MAX];
};

/* "ipv4/conf/.." would leave the tree; a name with a slash comes from no interface. */
static int
sysctl_path(const char *name, char path[static 160])
{
	int len = snprintf(path, 160, SYSCTL_ROOT "%s", name);

	return len < 160 && strstr(name, "..") == NULL ? 0 : -EINVAL;
}

int
sysctl_read(const char *name, long *ret_value)
{
	char path[160], text[32];
	ssize_t got;
	int fd, result = sysctl_path(name, path);

	if (result < 0)
		return result;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, text, sizeof(text) - 1);
	result = got < 0 ? -errno : 0;
	close(fd);
	if (result == 0) {
		text[got] = '\0';
		*ret_value = strtol(text, NULL, 10);
	}
	return result;
}

int
sysctl_write(const char *name, long value)
{
	char path[160], text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", value);
	int fd, result = sysctl_path(name, path);

	if (result < 0)
		return result;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		result = -errno;
	close(fd);
	return result;
}

/* What was saved is only true for this boot and this network namespace. */
static void
describe_life(char life[static 80])
{
	struct stat ns = { 0 };
	char boot[40] = "unknown";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (file != NULL) {
		if (fscanf(file, "%39s", boot) != 1)
			snprintf(boot, sizeof(boot), "unknown");
		fclose(file);
	}
	(void)stat("/proc/self/ns/net", &ns);
	snprintf(life, 80, "%s %llu", boot, (unsigned long long)ns.st_ino);
}

static void
read_saved(struct sysctl_store *store)
{
	int fd = openat(store->state_dir, SYSCTL_FILE, O_RDONLY | O_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	char line[160];

	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		while (strcmp(line, store->life) == 0 &&
		       store->count < SYSCTL_SAVED_MAX &&
		       fscanf(file, "%95s %ld", store->saved[store->count].name,
			   &store->saved[store->count].value) == 2)
			store->count++;
	}
	fclose(file);
}

/* Before the change, so that a life that ends in between leaves a true file. */
static int
write_saved(const struct sysctl_store *store)
{
	FILE *file;
	int fd, result = 0;

	if (store->state_dir < 0)
		return 0;
	fd = openat(store->state_dir, SYSCTL_FILE ".new",
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (file == NULL) {
		result = -errno;
		if (fd >= 0)
			close(fd);
		return result;
	}
	fprintf(file, "%s\n", store->life);
	for (unsigned i = 0; i < store->count; i++)
		fprintf(file, "%s %ld\n", store->saved[i].name, store->saved[i].value);
	if (fclose(file) != 0 || renameat(store->state_dir, SYSCTL_FILE ".new",
				     store->state_dir, SYSCTL_FILE) < 0)
		result = -errno;
	return result;
}

int
sysctl_open(int state_dir, struct sysctl_store **ret_store)
{
	struct sysctl_store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return -ENOMEM;
	store->state_dir = state_dir;
	describe_life(store->life);
	if (state_dir >= 0)
		read_saved(store);
	*ret_store = store;
	return 0;
}

void
sysctl_free(struct sysctl_store *store)
{
	free(store);
}

int
sysctl_change(struct sysctl_store *store, const char *name, long value)
{
	long found;
	int result = sysctl_read(name, &found);
	bool known = false;

	if (result < 0 || found == value)
		return result;
	for (unsigned i = 0; i < store->count; i++)
		known = known || strcmp(store->saved[i].name, name) == 0;
	if (!known) {
		struct saved *slot = &store->saved[store->count];

		if (store->count == SYSCTL_SAVED_MAX)
			return -ENOSPC;
		if (strlen(name) >= sizeof(slot->name))
			return -ENAMETOOLONG;
		snprintf(slot->name, sizeof(slot->name), "%s", name);
		slot->value = found;
		store->count++;
		result = write_saved(store);
		if (result < 0) {
			store->count--;
			return result;
		}
	}
	return sysctl_write(name, value);
}

void
sysctl_restore(struct sysctl_store *store)
{
	/* Backwards: what was pushed down from "all" is undone after "all" itself. */
	while (store->count > 0) {
		const struct saved *saved = &store->saved[--store->count];

		(void)sysctl_write(saved->name, saved->value);
	}
	if (store->state_dir >= 0)
		(void)unlinkat(store->state_dir, SYSCTL_FILE, 0);
}
