#include "routerd/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"

int
resources_open(struct supervisor *sv)
{
	int error;

	error = fence_load(&sv->fence);
	sv->fence_loaded = error == 0;
	if (error < 0)
		log_err("start", "fence=off: the programs cannot be loaded: %s",
		    strerror(-error));
	error = l4_load(&sv->balancer);
	sv->balancer_loaded = error == 0;
	if (error < 0)
		log_err("start", "no load balancing: the program cannot be loaded: %s",
		    strerror(-error));
	error = last_words_init(&sv->last_words);
	if (error < 0)
		log_warn(
		    "start", "no packet socket for last words: %s", strerror(-error));
	sv->control_listen = instance_control_socket(&sv->instance);
	if (sv->control_listen < 0)
		log_err("start", "control socket: %s", strerror(-sv->control_listen));
	return sv->control_listen < 0 ? sv->control_listen : 0;
}

void
resources_close(struct supervisor *sv)
{
	fence_fds_close(&sv->fence);
	l4_fds_close(&sv->balancer);
	last_words_fini(&sv->last_words);
	if (sv->control_listen >= 0)
		close(sv->control_listen);
	if (sv->http_listen >= 0)
		close(sv->http_listen);
}

static void
hand_over_key(struct supervisor *sv, enum td_room room)
{
	uint8_t key[TD_KEY_BYTES];
	int fd;

	if (instance_secret_key(&sv->instance, key) < 0)
		return;
	/* A new one each time: descriptors of one memfd would share their offset. */
	fd = memfd_with("tandem-key", key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	if (fd < 0)
		return;
	supervisor_send_fd(sv, room, "secret-key", fd);
	close(fd);
}

/* A new description each time: the lock of an earlier life of hookd holds until the
 * last process that shares it is gone. */
static void
hand_over_hook_lock(struct supervisor *sv)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/hooks.lock", sv->instance.run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_err("start", "%s: %s", path, strerror(errno));
		return;
	}
	supervisor_send_fd(sv, TD_ROOM_HOOKD, "hook-lock", fd);
	close(fd);
}

void
resources_hand_over(struct supervisor *sv, enum td_room room)
{
	if (sv->instance.room_dir[room] >= 0)
		supervisor_send_fd(sv, room, "state-dir", sv->instance.room_dir[room]);
	switch (room) {
	case TD_ROOM_VRRPD:
		hand_over_key(sv, room);
		for (int i = 0; i < FENCE_FD_COUNT && sv->fence_loaded; i++)
			supervisor_send_fd(
			    sv, room, fence_fd_name((enum fence_fd)i), sv->fence.fd[i]);
		break;
	case TD_ROOM_SYNCD:
		hand_over_key(sv, room);
		break;
	case TD_ROOM_MGMTD:
		supervisor_send_fd(sv, room, "control-listen", sv->control_listen);
		if (sv->http_listen >= 0)
			supervisor_send_fd(sv, room, "http-listen", sv->http_listen);
		break;
	case TD_ROOM_LBD:
		for (int i = 0; i < L4_FD_COUNT && sv->balancer_loaded; i++)
			supervisor_send_fd(
			    sv, room, l4_fd_name((enum l4_fd)i), sv->balancer.fd[i]);
		break;
	case TD_ROOM_HOOKD:
		hand_over_hook_lock(sv);
		break;
	case TD_ROOM_CHECKD:
	case TD_ROOM_TANDEMD:
	case TD_ROOM_COUNT:
		break;
	}
}

static bool
same_endpoint(const struct td_endpoint *a, const struct td_endpoint *b)
{
	return td_addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

void
resources_http(struct supervisor *sv)
{
	const struct td_endpoint *wanted = &sv->current.head.management;
	int fd;

	if (sv->http_listen >= 0 && sv->previous.packed_fd >= 0 &&
	    same_endpoint(wanted, &sv->previous.head.management))
		return;
	if (sv->http_listen >= 0)
		close(sv->http_listen);
	sv->http_listen = -1;
	if (wanted->addr.family == 0)
		return;
	fd = instance_http_socket(wanted);
	if (fd < 0) {
		char text[TD_ADDR_STRLEN];

		log_err("start", "management=%s: %s", td_endpoint_format(wanted, text),
		    strerror(-fd));
		return;
	}
	sv->http_listen = fd;
	supervisor_send_fd(sv, TD_ROOM_MGMTD, "http-listen", fd);
}
