#include "vrrpd/fence_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tandem/assert.h>
#include <tandem/fence.h>
#include "common/log.h"

extern const char fence_bpf_start[], fence_bpf_end[];

static const struct {
	const char *name;   /* of the descriptor */
	const char *symbol; /* in the object */
} FENCE_PARTS[FENCE_FD_COUNT] = {
	[FENCE_FD_INGRESS] = { "fence-ingress", "td_fence_in" },
	[FENCE_FD_EGRESS] = { "fence-egress", "td_fence_out" },
	[FENCE_FD_LEASE] = { "fence-lease", "fence_lease" },
	[FENCE_FD_MEMBERS] = { "fence-members", "fence_members" },
	[FENCE_FD_ADDRESSES] = { "fence-addresses", "fence_addresses" },
	[FENCE_FD_RX] = { "fence-rx", "fence_rx" },
	[FENCE_FD_COUNTERS] = { "fence-counters", "fence_counters" },
};

const char *
fence_fd_name(enum fence_fd which)
{
	td_assert(which < FENCE_FD_COUNT);
	return FENCE_PARTS[which].name;
}

/* libbpf's words end with a newline; the verifier's can be many lines. */
__attribute__((format(printf, 2, 0))) static int
log_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[900];
	int len;

	if (level == LIBBPF_DEBUG)
		return 0;
	len = vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_line(
	    level == LIBBPF_WARN ? LOG_LV_WARN : LOG_LV_DEBUG, "fence", "%s", text);
	return len;
}

static int
part_fd(const struct bpf_object *object, enum fence_fd which)
{
	const char *symbol = FENCE_PARTS[which].symbol;

	if (which == FENCE_FD_INGRESS || which == FENCE_FD_EGRESS)
		return bpf_program__fd(
		    bpf_object__find_program_by_name(object, symbol));
	return bpf_object__find_map_fd_by_name(object, symbol);
}

int
fence_load(struct fence_fds *ret_fds)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "td_fence");
	struct bpf_object *object;
	struct fence_fds fds;
	int result;

	fence_fds_init(&fds);
	libbpf_set_print(log_libbpf);
	object = bpf_object__open_mem(
	    fence_bpf_start, (size_t)(fence_bpf_end - fence_bpf_start), &options);
	if (object == NULL)
		return -errno;
	result = bpf_object__load(object);
	if (result < 0)
		goto out;
	for (unsigned i = 0; i < FENCE_FD_COUNT; i++) {
		int fd = part_fd(object, i);

		/* The object closes its own when it is freed. */
		fds.fd[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fds.fd[i] < 0) {
			result = fd < 0 ? fd : -errno;
			goto out;
		}
	}
	*ret_fds = fds;
out:
	bpf_object__close(object);
	if (result < 0)
		fence_fds_close(&fds);
	return result;
}

void
fence_fds_init(struct fence_fds *fds)
{
	for (unsigned i = 0; i < FENCE_FD_COUNT; i++)
		fds->fd[i] = -1;
}

bool
fence_fds_take(struct fence_fds *fds, const char *name, int fd)
{
	for (unsigned i = 0; i < FENCE_FD_COUNT; i++) {
		if (strcmp(name, FENCE_PARTS[i].name) != 0)
			continue;
		if (fds->fd[i] >= 0)
			close(fds->fd[i]);
		fds->fd[i] = fd;
		return true;
	}
	return false;
}

bool
fence_fds_complete(const struct fence_fds *fds)
{
	for (unsigned i = 0; i < FENCE_FD_COUNT; i++)
		if (fds->fd[i] < 0)
			return false;
	return true;
}

void
fence_fds_close(struct fence_fds *fds)
{
	for (unsigned i = 0; i < FENCE_FD_COUNT; i++) {
		if (fds->fd[i] >= 0)
			close(fds->fd[i]);
		fds->fd[i] = -1;
	}
}

int
fence_revoke(int lease_fd)
{
	size_t len = TD_FENCE_LEASES * sizeof(struct td_fence_lease);
	struct td_fence_lease *lease =
	    mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, lease_fd, 0);

	if (lease == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < TD_FENCE_LEASES; i++) {
		__atomic_store_n(&lease[i].answer_deadline_ns, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&lease[i].forward_deadline_ns, 0, __ATOMIC_RELEASE);
	}
	munmap(lease, len);
	return 0;
}
