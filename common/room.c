#include "common/room.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/log.h"
#include "common/room_process.h"
#include "common/room_status.h"
#include "common/room_wire.h"

#define PACKED_BYTES_MAX (16L * 1024 * 1024)
#define PACKETS_PER_WAKE_UP 64 /* then the other descriptors have their turn */
#define QUEUE_BYTES_MAX (16UL * 1024 * 1024)
#define STOP_SECONDS 5 /* a stop that hangs ends by SIGALRM */

/* A status part that waits for the link to take it. */
struct queued {
	struct queued *next;
	size_t len;
	uint8_t bytes[];
};

struct link {
	struct room *room;
	enum td_room peer;
	struct loop_fd lf; /* lf.fd owned */
	bool up; /* has a descriptor; read, and told, once the room is started */
	struct queued *queue, **queue_end;
	size_t queue_bytes;
};

struct room {
	struct loop *loop;
	enum td_room self;
	char instance[ROOM_INSTANCE_MAX];
	struct room_callbacks callbacks;
	void *context;
	struct loop_fd control_lf; /* fd owned */
	struct link links[TD_ROOM_COUNT];
	struct td_config *config; /* owned: the first one, until CONTROL_START */
	bool started, stopping, exiting;
	char refusal[TD_REASON_MAX]; /* of the configuration that is being delivered */
	uint64_t undecodable_count, unsent_count;
};

/* ---- links ---- */

static void
queue_drop(struct link *link)
{
	while (link->queue != NULL) {
		struct queued *next = link->queue->next;

		free(link->queue);
		link->queue = next;
	}
	link->queue_end = &link->queue;
	link->queue_bytes = 0;
}

static void
link_close(struct link *link)
{
	struct room *room = link->room;
	int fd = link->lf.fd;

	if (!link->up)
		return;
	link->up = false;
	loop_fd_remove(&link->lf);
	close(fd);
	queue_drop(link);
	if (room->started && room->callbacks.link_down != NULL)
		room->callbacks.link_down(room->context, link->peer);
}

static int
queue_push(struct link *link, const uint8_t *bytes, size_t len)
{
	struct queued *item;
	int r;

	if (link->queue_bytes + len > QUEUE_BYTES_MAX)
		return -EAGAIN;
	item = malloc(sizeof(*item) + len);
	if (item == NULL)
		return -ENOMEM;
	item->next = NULL;
	item->len = len;
	memcpy(item->bytes, bytes, len);
	if (link->queue == NULL) {
		r = loop_fd_modify(&link->lf, EPOLLIN | EPOLLOUT);
		if (r < 0) {
			free(item);
			return r;
		}
	}
	*link->queue_end = item;
	link->queue_end = &item->next;
	link->queue_bytes += len;
	return 0;
}

static void
queue_flush(struct link *link)
{
	while (link->queue != NULL) {
		struct queued *item = link->queue;

		if (send(link->lf.fd, item->bytes, item->len,
			MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return;
			break; /* the read side will see the end */
		}
		link->queue = item->next;
		link->queue_bytes -= item->len;
		free(item);
	}
	queue_drop(link);
	loop_fd_modify(&link->lf, EPOLLIN);
}

static int
queue_or_send(struct link *link, const struct td_msg *msg)
{
	uint8_t buf[TD_MSG_BYTES_MAX];
	size_t len;
	int r = msg_encode(msg, buf, &len);

	if (r < 0)
		return r;
	if (link->queue == NULL) {
		if (send(link->lf.fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EAGAIN && errno != ENOBUFS)
			return -ENOTCONN;
	}
	return queue_push(link, buf, len);
}

int
room_send(struct room *room, enum td_room to, const struct td_msg *msg)
{
	struct link *link = &room->links[to];
	int r;

	td_assert((unsigned)to < TD_ROOM_COUNT);
	if (!link->up)
		return -ENOTCONN;
	r = msg_send(link->lf.fd, msg);
	if (r < 0)
		room->unsent_count++;
	return r == -EPIPE ? -ENOTCONN : r;
}

int
room_reply(
    struct room *room, enum td_room to, uint64_t id, int status, const char *text)
{
	/* msg_send only reads. */
	struct td_msg msg = { .kind = TD_MSG_REPLY,
		.reply = {
		    .id = id, .status = status, .text = (char *)(uintptr_t)text } };

	return room_send(room, to, &msg);
}

int
room_status_send(
    struct room *room, enum td_room to, uint64_t id, struct room_status *st)
{
	struct link *link = &room->links[to];
	struct td_msg part;
	size_t at = 0;

	td_assert((unsigned)to < TD_ROOM_COUNT);
	if (!link->up)
		return -ENOTCONN;
	if (st->failed)
		log_limited(LOG_LV_WARN, "room", 1, "to=%s status is cut: too large",
		    td_room_name(to));
	while (room_status_next_part(st, id, &at, &part)) {
		int r = queue_or_send(link, &part);

		if (r < 0) {
			room->unsent_count++;
			return r;
		}
	}
	return 0;
}

static void
answer_status(struct room *room, enum td_room to, uint64_t id)
{
	struct room_status *st = room_status_new();
	const char *name = td_room_name(room->self);

	if (st == NULL)
		return;
	status_gauge(st, "tandem_room_timer_lateness_seconds",
	    (double)loop_lateness_ns(room->loop) / 1e9, "room", name, NULL);
	status_counter(st, "tandem_room_messages_undecodable_total",
	    (double)room->undecodable_count, "room", name, NULL);
	status_counter(st, "tandem_room_messages_unsent_total",
	    (double)room->unsent_count, "room", name, NULL);
	room->callbacks.status(room->context, st);
	room_status_send(room, to, id, st);
	room_status_free(st);
}

static void
link_message(struct link *link, struct td_msg *msg)
{
	struct room *room = link->room;

	if (msg->kind == TD_MSG_REQUEST && msg->request.what == TD_REQ_STATUS &&
	    room->callbacks.status != NULL)
		answer_status(room, link->peer, msg->request.id);
	else if (room->callbacks.message != NULL)
		room->callbacks.message(room->context, link->peer, msg);
}

static void
on_link(struct loop_fd *lf, uint32_t events)
{
	struct link *link = lf->context;
	struct room *room = link->room;
	struct td_msg msg;

	if (events & EPOLLOUT)
		queue_flush(link);
	for (unsigned i = 0; i < PACKETS_PER_WAKE_UP && !room->exiting; i++) {
		int r = msg_recv(lf->fd, &msg);

		if (r == 1) {
			link_message(link, &msg);
			msg_free(&msg);
		} else if (r == -EBADMSG || r == -ENOMEM) {
			room->undecodable_count++;
			log_limited(LOG_LV_WARN, "room", 1,
			    "from=%s dropped=message reason=%s",
			    td_room_name(link->peer), strerror(-r));
		} else {
			if (r < 0)
				link_close(link);
			return;
		}
	}
}

/* Starts reading, and tells the room. */
static void
link_start(struct link *link)
{
	struct room *room = link->room;
	int fd = link->lf.fd;
	int r = loop_fd_add(room->loop, &link->lf, fd, EPOLLIN, on_link, link);

	if (r < 0) {
		log_err("room", "to=%s link refused: %s", td_room_name(link->peer),
		    strerror(-r));
		close(fd);
		link->up = false;
		return;
	}
	if (room->callbacks.link_up != NULL)
		room->callbacks.link_up(room->context, link->peer);
}

static void
link_open(struct room *room, enum td_room peer, int fd)
{
	struct link *link = &room->links[peer];

	link_close(link);
	link->lf = (struct loop_fd){ .fd = fd };
	link->up = true;
	if (room->started)
		link_start(link);
}

/* ---- the control socket ---- */

static struct td_config *
config_receive(int fd, const struct control_packet *packet)
{
	struct td_config *config = NULL;
	struct stat st;
	uint8_t *bytes = NULL;
	char *end;
	unsigned long self = strtoul(packet->text, &end, 10);

	if (end == packet->text || *end != '\0' || self >= TD_NODES)
		return NULL;
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > PACKED_BYTES_MAX)
		return NULL;
	bytes = malloc((size_t)st.st_size);
	if (bytes != NULL &&
	    pread(fd, bytes, (size_t)st.st_size, 0) == (ssize_t)st.st_size)
		config = td_config_unpack(bytes, (size_t)st.st_size);
	free(bytes);
	if (config != NULL) {
		config->self = (uint32_t)self;
		config->generation = packet->number;
	}
	return config;
}

static void
config_acknowledge(struct room *room, uint64_t generation, int status)
{
	struct control_packet ack = { .kind = CONTROL_CONFIG_ACK,
		.room = room->self,
		.number = generation,
		.status = status,
		.fd = -1 };
	int r;

	if (status < 0)
		memcpy(ack.text, room->refusal, sizeof(ack.text));
	r = control_send(room->control_lf.fd, &ack);
	if (r < 0)
		log_err("room", "config_ack generation=%llu unsent: %s",
		    (unsigned long long)generation, strerror(-r));
}

static int
config_deliver(struct room *room, struct td_config *config)
{
	uint64_t generation = config->generation;
	int r = 0;

	if (room->callbacks.config != NULL)
		r = room->callbacks.config(room->context, config);
	else
		td_config_free(config);
	config_acknowledge(room, generation, r);
	room->refusal[0] = '\0';
	if (r < 0)
		log_err("room", "generation=%llu refused: %s",
		    (unsigned long long)generation, strerror(-r));
	return r;
}

static void
on_config(struct room *room, const struct control_packet *packet)
{
	struct td_config *config = config_receive(packet->fd, packet);

	close(packet->fd);
	if (config == NULL) {
		log_err("room", "generation=%llu cannot be read",
		    (unsigned long long)packet->number);
		config_acknowledge(room, packet->number, -EBADMSG);
		return;
	}
	if (room->started) {
		config_deliver(room, config);
		return;
	}
	td_config_free(room->config);
	room->config = config;
}

static void
on_start(struct room *room)
{
	struct td_config *config = room->config;

	if (room->started)
		return;
	room->config = NULL;
	if (config == NULL || config_deliver(room, config) < 0) {
		log_err("room", "start without a usable configuration");
		room_exit(room, EXIT_FAILURE);
		return;
	}
	room->started = true;
	for (unsigned i = 0; i < TD_ROOM_COUNT && !room->exiting; i++) {
		if (room->links[i].up)
			link_start(&room->links[i]);
	}
}

static void
room_stop(struct room *room, bool orphan)
{
	if (room->stopping)
		return;
	room->stopping = true;
	/* By the kernel's clock, so that a stop that hangs ends too. */
	alarm(STOP_SECONDS);
	log_info("room", "stop reason=%s", orphan ? "orphan" : "requested");
	if (room->started && room->callbacks.stop != NULL)
		room->callbacks.stop(room->context, orphan);
	else
		room_exit(room, EXIT_SUCCESS);
}

static void
control_packet(struct room *room, const struct control_packet *packet)
{
	struct control_packet pong;

	switch (packet->kind) {
	case CONTROL_CONFIG:
		on_config(room, packet);
		break;
	case CONTROL_LINK:
		link_open(room, packet->room, packet->fd);
		break;
	case CONTROL_FD:
		if (room->callbacks.fd != NULL)
			room->callbacks.fd(room->context, packet->text, packet->fd);
		else
			close(packet->fd);
		break;
	case CONTROL_START:
		on_start(room);
		break;
	case CONTROL_PING:
		pong = (struct control_packet){ .kind = CONTROL_PONG,
			.room = room->self,
			.number = packet->number,
			.fd = -1 };
		/* Unsent means a supervisor that does not read; it will ask again. */
		control_send(room->control_lf.fd, &pong);
		break;
	case CONTROL_STOP:
		room_stop(room, false);
		break;
	case CONTROL_CONFIG_ACK:
	case CONTROL_PONG:
	case CONTROL_BUSY:
		log_limited(LOG_LV_WARN, "room", 1, "control kind=%d is not for a room",
		    (int)packet->kind);
		break;
	}
}

static void
on_control(struct loop_fd *lf, uint32_t events)
{
	struct room *room = lf->context;
	struct control_packet packet;

	(void)events;
	for (unsigned i = 0; i < PACKETS_PER_WAKE_UP && !room->exiting; i++) {
		int r = control_recv(lf->fd, &packet);

		if (r == 1) {
			control_packet(room, &packet);
		} else if (r == -EBADMSG || r == -ENOMEM) {
			room->undecodable_count++;
			log_limited(LOG_LV_WARN, "room", 1,
			    "control dropped=packet reason=%s", strerror(-r));
		} else if (r < 0) {
			int fd = lf->fd;

			loop_fd_remove(lf);
			close(fd);
			room_stop(room, true);
			return;
		} else {
			return;
		}
	}
}

static void
on_sigterm(void *context, int signo)
{
	struct room *room = context;

	(void)signo;
	/* From tandemd's death (PR_SET_PDEATHSIG) or from somebody's hand: the end of
	 * the control socket tells them apart, and a second call does nothing. */
	on_control(&room->control_lf, 0);
	room_stop(room, false);
}

/* ---- begin and end ---- */

struct room *
room_open(int argc, char **argv, enum td_room self,
    const struct room_callbacks *callbacks, void *context)
{
	struct room_arguments args = room_arguments_parse(argc, argv);
	const char *level = getenv("TANDEM_LOG_LEVEL");
	const char *target = getenv("TANDEM_LOG_TARGET");
	char program[32];
	struct room *room;

	snprintf(program, sizeof(program), "tandem-%s", td_room_name(self));
	room = calloc(1, sizeof(*room));
	td_assert(room != NULL);
	snprintf(room->instance, sizeof(room->instance), "%s", args.instance);
	log_init(program, room->instance,
	    target != NULL && strcmp(target, "syslog") == 0 ? LOG_TO_SYSLOG
							    : LOG_TO_STDERR);
	if (level != NULL && strcmp(level, "debug") == 0)
		log_set_level(LOG_LV_DEBUG);
	room_process_init();
	room->self = self;
	room->callbacks = *callbacks;
	room->context = context;
	room->loop = loop_new();
	td_assert(room->loop != NULL);
	for (unsigned i = 0; i < TD_ROOM_COUNT; i++) {
		room->links[i].room = room;
		room->links[i].peer = (enum td_room)i;
		room->links[i].queue_end = &room->links[i].queue;
	}
	fcntl(args.control_fd, F_SETFD, FD_CLOEXEC);
	if (loop_signal_add(room->loop, SIGTERM, on_sigterm, room) < 0 ||
	    loop_fd_add(room->loop, &room->control_lf, args.control_fd, EPOLLIN,
		on_control, room) < 0)
		room_usage(argv[0], "--control-fd cannot be watched");
	return room;
}

static void
room_free(struct room *room)
{
	room->started = false; /* no more callbacks */
	for (unsigned i = 0; i < TD_ROOM_COUNT; i++)
		link_close(&room->links[i]);
	if (room->control_lf.loop != NULL)
		close(room->control_lf.fd);
	loop_free(room->loop);
	td_config_free(room->config);
	free(room);
}

int
room_run(struct room *room)
{
	int code = loop_run(room->loop);

	if (code < 0) {
		log_err("room", "event loop: %s", strerror(-code));
		code = EXIT_FAILURE;
	}
	room_free(room);
	return code;
}

void
room_exit(struct room *room, int code)
{
	room->exiting = true;
	loop_stop(room->loop, code);
}

void
room_busy(struct room *room)
{
	const struct control_packet busy = {
		.kind = CONTROL_BUSY, .room = room->self, .fd = -1
	};

	/* Unsent: the pings will judge as if nothing had been announced. */
	control_send(room->control_lf.fd, &busy);
}

void
room_refusal(struct room *room, const char *reason)
{
	snprintf(room->refusal, sizeof(room->refusal), "%s", reason);
}

struct loop *
room_loop(struct room *room)
{
	return room->loop;
}

const char *
room_instance(const struct room *room)
{
	return room->instance;
}
