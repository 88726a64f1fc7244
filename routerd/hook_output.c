#include "routerd/hook_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/log.h"

#define READ_BYTES 4096
#define READS_MAX 16 /* of one turn: as much as a pipe holds */

static void
end_line(struct hook_output *o)
{
	if (o->len == 0)
		return;
	if (o->logged < HOOK_OUTPUT_LINES_MAX) {
		o->logged++;
		log_info("output", "%s: %.*s", o->who, (int)o->len, o->line);
	} else {
		o->held_back++;
	}
	o->len = 0;
}

static void
take(struct hook_output *o, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			end_line(o);
			continue;
		}
		if (o->len == sizeof(o->line))
			end_line(o);
		o->line[o->len++] = bytes[i] != '\0' ? bytes[i] : ' ';
	}
}

/* False at the end: nobody is left who could write. */
static bool
read_some(struct hook_output *o)
{
	char bytes[READ_BYTES];

	for (unsigned i = 0; i < READS_MAX; i++) {
		ssize_t len = read(o->lf.fd, bytes, sizeof(bytes));

		if (len <= 0)
			return len < 0 && (errno == EAGAIN || errno == EINTR);
		take(o, bytes, (size_t)len);
	}
	return true;
}

static void
finish(struct hook_output *o)
{
	int fd = o->lf.fd;

	loop_fd_remove(&o->lf);
	close(fd);
	end_line(o);
	if (o->held_back > 0)
		log_notice("output", "%s: held_back=%" PRIu64 " more lines", o->who,
		    o->held_back);
}

static void
on_readable(struct loop_fd *lf, uint32_t events)
{
	struct hook_output *o = lf->context;

	(void)events;
	if (!read_some(o))
		finish(o);
}

int
hook_output_open(struct hook_output *o, struct loop *loop, const char *who)
{
	int ends[2], error;

	td_assert(o->lf.loop == NULL);
	*o = (struct hook_output){ 0 };
	snprintf(o->who, sizeof(o->who), "%s", who);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* Only our end: a program may expect that a write waits. */
	error = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0
		    ? -errno
		    : loop_fd_add(loop, &o->lf, ends[0], EPOLLIN, on_readable, o);
	if (error < 0) {
		close(ends[0]);
		close(ends[1]);
		return error;
	}
	return ends[1];
}

void
hook_output_close(struct hook_output *o)
{
	if (o->lf.loop == NULL)
		return;
	(void)read_some(o);
	finish(o);
}
