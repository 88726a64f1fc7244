/*
 * fake_room - stands in for any room: answers as a room does and misbehaves on request.
 *
 *   SIGUSR1                    hangs for good
 *   SIGUSR2                    leaves with code 3
 *   SIGWINCH                   announces long work and does it, for two seconds
 *   SIGURG                     a vrrpd: gives the role away, or takes it in a new term
 *   RUNDIR/refuse-ROOM exists  refuses the next configuration
 *   RUNDIR/many-ROOM exists    has MANY samples to tell
 *
 * The vrrpd among them says that it is Active, the syncd carries peer calls nowhere.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "common/room.h"

#define MANY 20000
#define BUSY_SECONDS 2

struct fake {
	struct room *room;
	enum td_room self;
	struct td_config *config;
	unsigned fds;
	struct td_msg_role role;
};

static bool
told_to(const struct fake *f, const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), TANDEM_RUNDIR "/%s/%s-%s", room_instance(f->room),
	    what, td_room_name(f->self));
	return access(path, F_OK) == 0;
}

static int
on_config(void *context, struct td_config *config)
{
	struct fake *f = context;

	if (f->config != NULL && told_to(f, "refuse")) {
		td_config_free(config);
		return -ENOSPC;
	}
	td_config_free(f->config);
	f->config = config;
	log_info("fake", "generation=%llu", (unsigned long long)config->generation);
	return 0;
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct fake *f = context;

	f->fds++;
	log_info("fake", "fd name=%s", name);
	close(fd);
}

static void
on_link_up(void *context, enum td_room peer)
{
	struct fake *f = context;
	struct td_msg role = { .kind = TD_MSG_ROLE, .role = f->role };

	if (f->self == TD_ROOM_VRRPD)
		room_send(f->room, peer, &role);
}

static void
change_role(struct fake *f)
{
	struct td_msg msg = { .kind = TD_MSG_ROLE };

	if (f->role.role == TD_ROLE_ACTIVE) {
		f->role.role = TD_ROLE_BACKUP;
	} else {
		f->role.role = TD_ROLE_ACTIVE;
		f->role.term++;
	}
	msg.role = f->role;
	for (int room = 0; room < TD_ROOM_COUNT; room++)
		room_send(f->room, (enum td_room)room, &msg);
	log_info("fake", "role changed to %s", td_role_name(f->role.role));
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct fake *f = context;

	if (msg->kind == TD_MSG_REQUEST) {
		room_reply(f->room, from, msg->request.id, 0, "done");
	} else if (msg->kind == TD_MSG_PEER_CALL) {
		msg->peer_call.answer = true;
		msg->peer_call.status = -EHOSTUNREACH;
		room_send(f->room, from, msg);
	} else if (msg->kind == TD_MSG_FITNESS) {
		log_info("fake", "fitness known=%x unfit=%x", msg->fitness.known,
		    msg->fitness.unfit);
	}
}

static void
on_status(void *context, struct room_status *st)
{
	struct fake *f = context;
	bool many = told_to(f, "many");

	status_gauge(
	    st, "tandem_fake_descriptors", f->fds, "room", td_room_name(f->self), NULL);
	for (int k = 0; many && k < MANY; k++) {
		char number[16];

		snprintf(number, sizeof(number), "%d", k);
		status_counter(st, "tandem_lb_fake_total", k, "number", number, NULL);
	}
}

static void
on_stop(void *context, bool orphan)
{
	struct fake *f = context;

	struct td_msg msg = { .kind = TD_MSG_ROLE,
		.role = { .term = f->role.term, .reason = "shutdown" } };

	log_info("fake", "stop orphan=%d", orphan);
	if (f->self == TD_ROOM_VRRPD)
		room_send(f->room, TD_ROOM_HOOKD, &msg);
	room_exit(f->room, 0);
}

static void
on_signal(void *context, int signo)
{
	struct fake *f = context;

	if (signo == SIGUSR2)
		exit(3);
	if (signo == SIGWINCH) {
		room_busy(f->room);
		sleep(BUSY_SECONDS);
		log_info("fake", "work done");
		return;
	}
	if (signo == SIGURG) {
		change_role(f);
		return;
	}
	for (;;)
		pause();
}

static enum td_room
self_from(const char *program)
{
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++)
		if (strstr(program, td_room_name((enum td_room)room)) != NULL)
			return (enum td_room)room;
	fprintf(stderr, "fake_room: call me by the name of a room\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct fake f = { .self = self_from(argv[0]),
		.role = { .role = TD_ROLE_ACTIVE,
		    .term = 7,
		    .reason = "fake",
		    .priority = 150 } };
	const struct room_callbacks callbacks = {
		.config = on_config,
		.fd = on_fd,
		.link_up = on_link_up,
		.message = on_message,
		.status = on_status,
		.stop = on_stop,
	};
	int code;

	f.room = room_open(argc, argv, f.self, &callbacks, &f);
	loop_signal_add(room_loop(f.room), SIGUSR1, on_signal, &f);
	loop_signal_add(room_loop(f.room), SIGUSR2, on_signal, &f);
	loop_signal_add(room_loop(f.room), SIGWINCH, on_signal, &f);
	loop_signal_add(room_loop(f.room), SIGURG, on_signal, &f);
	code = room_run(f.room);
	td_config_free(f.config);
	return code;
}
