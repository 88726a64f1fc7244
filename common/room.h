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
 * Privileges are already dropped by tandemd before exec. Wrong arguments end the program
 * with usage and exit code 2: room_open never returns NULL. TANDEM_LOG_LEVEL=debug in the
 * environment shows debug lines.
 *
 * Order    tandemd sends CONFIG, FD and LINK packets in any order and then START, and waits
 *          for no answer before START. `fd` is called as they come; at START first `config`,
 *          then `link_up` for each link: whoever gets its configuration has its descriptors.
 *          CONFIG_ACK of the first configuration therefore follows START. Links to tandemd
 *          itself (TD_ROOM_TANDEMD) are links like any other.
 * Stop     CONTROL_STOP or SIGTERM: stop(orphan = false); end of the control socket, which
 *          is tandemd's death: stop(orphan = true). Called once; without a `stop` callback
 *          the room ends. SIGALRM ends a stop that takes longer than 5 s.
 */
#ifndef TANDEM_COMMON_ROOM_H
#define TANDEM_COMMON_ROOM_H

#include <tandem/room.h>
#include "common/loop.h"

struct room;
struct room_status;

struct room_callbacks {
	/* First configuration, and each later one. The room takes ownership, also of one it
	 * refuses. Return 0, or a negative errno: the first one then ends the room, a later
	 * one is refused and the old one goes on. */
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
/* Why the configuration at hand is refused: tandemd shows it instead of the errno. */
void room_refusal(struct room *room, const char *reason);
/* What comes now, before the callback returns, may take as long as a configuration:
 * pings are answered after it. */
void room_busy(struct room *room);

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
/* Cumulative buckets of nanoseconds, given as seconds: samples name_bucket (with label le),
 * name_sum and name_count, all of type TD_HISTOGRAM_BUCKET. At most five labels. */
struct td_histogram;
void status_histogram(struct room_status *st, const char *name,
    const struct td_histogram *histogram, ...);
/* Sends what was built so far for a TD_REQ_LIST request (id) to room `to`, in parts. Parts
 * the link does not take at once are queued (up to 16 MiB, else -EAGAIN); messages of
 * room_send may overtake them. */
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
	CONTROL_BUSY, /* child -> tandemd; until its next PONG */
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
