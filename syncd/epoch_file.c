#include "syncd/epoch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "epoch"
#define NAME_NEW "epoch.new"

int
epoch_file_read(int directory_fd, uint64_t *ret_epoch)
{
	char text[32], *end;
	unsigned long long epoch;
	ssize_t len;
	int fd = openat(directory_fd, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOENT)
			return -errno;
		*ret_epoch = 0;
		return 0;
	}
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -EBADMSG;
	text[len] = '\0';
	errno = 0;
	epoch = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\n' || end[1] != '\0' ||
	    text[0] == '-')
		return -EBADMSG;
	*ret_epoch = epoch;
	return 0;
}

/* The descriptor handed to us may be O_PATH, which cannot be synced. */
static int
sync_directory(int directory_fd)
{
	int r = 0, fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

int
epoch_file_write(int directory_fd, uint64_t epoch)
{
	char text[32];
	int r = 0, fd;
	int len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)epoch);

	fd = openat(directory_fd, NAME_NEW,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		r = -EIO;
	else if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (r == 0 && renameat(directory_fd, NAME_NEW, directory_fd, NAME) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(directory_fd, NAME_NEW, 0);
		return r;
	}
	return sync_directory(directory_fd);
}
