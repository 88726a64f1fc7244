/*
 * room.h - the child's side of include/tandem/room.h: what main() of every room uses.
 *
 *   int main(int argc, char **argv)
 *   {
 *           struct room_callbacks cb = { .config = on_config, .message = on_message, ... };
 *           struct room *room = room_open(argc, argv, TD_ROOM_SYNCD, &cb, &ctx);
 *           return room_run(room);
 *   }
 *
 * room_open parses --instance NAME --control-fd N, starts logging, sets no_new_privs and
 * PR_SET_PDEATHSIG, and answers tandemd's pings from the loop: a loop that hangs is killed.
 * Privileges are already dropped by tandemd before exec.
 */
#ifndef TANDEM_COMMON_ROOM_H
#define TANDEM_COMMON_ROOM_H

#include <tandem/room.h>
#include "common/loop.h"

struct room;
struct room_status;

struct room_callbacks {
	/* First configuration, and each later one. The room takes ownership. Return 0, or a
	 * negative errno: a later configuration is then refused and the old one goes on. */
	int (*config)(void *context, struct td_config *config);
	/* A named descriptor from tandemd ("fence-map", "fence-ingress" ...): owned. */
	void (*fd)(void *context, const char *name, int fd);
	void (*link_up)(void *context, enum td_room peer);   /* also after its restart */
	void (*link_down)(void *context, enum td_room peer);
	/* msg is freed by the caller afterwards. REQUEST/STATUS never arrives here when
	 * `status` is set. */
	void (*message)(void *context, enum td_room from, struct td_msg *msg);
	/* Adds this room's samples. */
	void (*status)(void *context, struct room_status *st);
	/* Graceful stop, or tandemd is gone (orphan): resign, then call room_exit. */
	void (*stop)(void *context, bool orphan);
};

struct room *room_open(int argc, char **argv, enum td_room self,
    const struct room_callbacks *callbacks, void *context);
int room_run(struct room *room);             /* frees the room; the exit code */
void room_exit(struct room *room, int code); /* ends room_run */

struct loop *room_loop(struct room *room);
const char *room_instance(const struct room *room);
/* 0, -ENOTCONN, -EAGAIN (peer not reading), -EMSGSIZE */
int room_send(struct room *room, enum td_room to, const struct td_msg *msg);
/* Answers a request: copies text. */
int room_reply(struct room *room, enum td_room to, uint64_t id, int status, const char *text);

/* The status builder: copies everything. Labels are key, value pairs ending with NULL. */
void status_gauge(struct room_status *st, const char *name, double value, ...);
void status_counter(struct room_status *st, const char *name, double value, ...);
void status_info(struct room_status *st, const char *name, ...);
/* Cumulative buckets of nanoseconds, rendered as seconds: name_bucket, _sum, _count. */
struct td_histogram;
void status_histogram(struct room_status *st, const char *name,
    const struct td_histogram *histogram, ...);
/* Sends what was built so far for a TD_REQ_LIST request (id) to room `to`. */
struct room_status *room_status_new(void);
int room_status_send(struct room *room, enum td_room to, uint64_t id, struct room_status *st);
void room_status_free(struct room_status *st);

/* Framing, used by tandemd as well: one message (+ optional descriptor) per packet.
 * Both are non-blocking. recv: 1 = message, 0 = nothing there, negative errno (-EPIPE: EOF,
 * -EBADMSG: undecodable, packet dropped). */
int msg_send(int fd, const struct td_msg *msg);
int msg_recv(int fd, struct td_msg *ret_msg);
void msg_free(struct td_msg *msg); /* what it owns, not itself */

/* tandemd's control packets (proto/room.proto Control), same framing. */
enum control_kind {
	CONTROL_CONFIG,     /* fd: memfd with td_config_pack bytes; number: generation;
	                       text: decimal index of self */
	CONTROL_CONFIG_ACK, /* child -> tandemd; number: generation; status */
	CONTROL_LINK,       /* fd: link to room `room` */
	CONTROL_FD,         /* fd under name `text` */
	CONTROL_START,      /* everything was handed over: run */
	CONTROL_PING,       /* number: echo */
	CONTROL_PONG,
	CONTROL_STOP,
};
struct control_packet {
	enum control_kind kind;
	enum td_room room;
	uint64_t number;
	int32_t status;
	char text[TD_REASON_MAX];
	int fd; /* -1 = none; owned by the receiver */
};
int control_send(int fd, const struct control_packet *packet);
int control_recv(int fd, struct control_packet *ret_packet);

#endif
