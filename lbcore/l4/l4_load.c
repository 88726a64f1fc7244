/* l4_load.c - see l4_load.h */
#include "lbcore/l4/l4_load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "common/log.h"

extern const unsigned char lb_bpf_start[], lb_bpf_end[];

static int
print_to_log(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	log_warn("lb", "%s", line);
	return 0;
}

static int
duplicate(int fd)
{
	int copy = fd < 0 ? -EBADF : fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

int
l4_load(struct l4_fds *ret_fds)
{
	static const char *const maps[L4_FD_COUNT] = { [L4_FD_BINDS] = "lb_binds",
		[L4_FD_SERVICES] = "lb_services",
		[L4_FD_COUNTERS] = "lb_counters" };
	struct l4_fds fds;
	struct bpf_object *object;
	libbpf_print_fn_t print = libbpf_set_print(print_to_log);
	int r;

	l4_fds_init(&fds);
	object = bpf_object__open_mem(
	    lb_bpf_start, (size_t)(lb_bpf_end - lb_bpf_start), NULL);
	if (object == NULL) {
		r = -errno;
		goto out;
	}
	r = bpf_object__load(object);
	if (r < 0)
		goto out;
	for (unsigned i = 0; i < L4_FD_COUNT; i++) {
		if (i == L4_FD_PROG)
			r = duplicate(bpf_program__fd(
			    bpf_object__find_program_by_name(object, "lb_schedule")));
		else
			r = duplicate(bpf_object__find_map_fd_by_name(object, maps[i]));
		if (r < 0)
			goto out;
		fds.fd[i] = r;
	}
	*ret_fds = fds;
	r = 0;
out:
	if (r < 0)
		l4_fds_close(&fds);
	bpf_object__close(object);
	libbpf_set_print(print);
	return r;
}
