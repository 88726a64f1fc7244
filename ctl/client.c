#include "ctl/client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/clock.h"

int
client_connect(const char *instance)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, error;

	snprintf(addr.sun_path, sizeof(addr.sun_path), TANDEM_RUNDIR "/%s/control.sock",
	    instance);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int
receive(int fd, uint64_t id, struct td_instant deadline,
    struct control_reply *ret_reply, struct sample_set *set)
{
	static uint8_t buf[CONTROL_BYTES_MAX];

	for (;;) {
		int64_t left = instant_diff_ns(deadline, clock_now());
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		struct control_reply reply;
		ssize_t n;
		int ready;

		if (left <= 0)
			return -ETIMEDOUT;
		ready = poll(&poll_fd, 1, (int)(left / NS_PER_MS) + 1);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready <= 0)
			continue;
		n = recv(fd, buf, sizeof(buf), MSG_TRUNC);
		if (n <= 0)
			return n == 0 ? -ECONNRESET : -errno;
		if ((size_t)n > sizeof(buf) ||
		    !control_reply_decode(buf, (size_t)n, &reply, set))
			return -EBADMSG;
		if (reply.id == id && !reply.more) {
			*ret_reply = reply;
			return 0;
		}
		free(reply.text);
	}
}

int
client_call(int fd, enum control_command command, const char *text, bool alone,
    int64_t limit_ns, struct control_reply *ret_reply, struct sample_set *set)
{
	struct control_request request = {
		.id = (uint64_t)clock_now().ns,
		.command = command,
		.text = (char *)(uintptr_t)text,
		.alone = alone,
	};
	struct td_instant deadline = instant_add(clock_now(), limit_ns);
	struct sample_set spare = { 0 };
	size_t len;
	uint8_t *bytes = control_request_encode(&request, &len);
	int error = 0;

	if (bytes == NULL)
		return -EMSGSIZE;
	if (send(fd, bytes, len, MSG_NOSIGNAL) < 0)
		error = -errno;
	free(bytes);
	if (error == 0)
		error = receive(
		    fd, request.id, deadline, ret_reply, set != NULL ? set : &spare);
	samples_free(&spare);
	return error;
}

int
client_find_instance(char ret_name[32])
{
	DIR *dir = opendir(TANDEM_RUNDIR);
	struct dirent *entry;
	unsigned running = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int fd;

		if (entry->d_name[0] == '.' || strlen(entry->d_name) > 31)
			continue;
		fd = client_connect(entry->d_name);
		if (fd < 0)
			continue;
		close(fd);
		if (running++ == 0)
			snprintf(ret_name, 32, "%.31s", entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	return running == 1 ? 0 : running == 0 ? -ENOENT : -EEXIST;
}
