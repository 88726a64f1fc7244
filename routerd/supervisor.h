/*
 * supervisor.h - tandemd's rooms: start, join, watch, stop. Internal to tandemd.
 *
 *   tandemd.c      main, signals, start and end
 *   supervisor.c   children, links, pings, restarts (decisions: core/watch.h)
 *   reconfigure.c  the configuration: first, by signal, by request (core/apply.h)
 *   resources.c    what rooms get as descriptors: fence, balancer, key, directories
 */
#ifndef TANDEM_ROUTERD_SUPERVISOR_H
#define TANDEM_ROUTERD_SUPERVISOR_H

#include <sys/types.h>
#include "common/loop.h"
#include "common/room.h"
#include "lbcore/l4/l4_load.h"
#include "routerd/core/apply.h"
#include "routerd/core/options.h"
#include "routerd/core/text.h"
#include "routerd/core/watch.h"
#include "routerd/instance.h"
#include "routerd/last_words.h"
#include "routerd/notify.h"
#include "routerd/parse_job.h"
#include "vrrpd/fence_load.h"

struct supervisor;

struct child {
	struct supervisor *sv;
	enum td_room room;
	struct watch watch;
	struct watch_rules rules;
	struct loop_timer timer;
	pid_t pid;   /* 0 = none */
	int control; /* -1 = none */
	struct loop_fd control_lf;
	int link; /* to tandemd itself, for the rooms that have one */
	struct loop_fd link_lf;
	bool configured;     /* has acknowledged a configuration */
	bool refused;        /* its last answer to one was no */
	bool again;          /* asked to leave in order to be started anew */
	uint64_t generation; /* that it has acknowledged; valid if configured */
	char last_exit[48];
};

/* A configuration that was parsed: what a room is sent, and what the file says. */
struct stored_config {
	int packed_fd; /* sealed memfd; -1 = none */
	int text_fd;   /* the YAML it came from */
	struct parse_head head;
	uint64_t generation;
};

enum reconfigure_origin {
	ORIGIN_NONE,
	ORIGIN_START,
	ORIGIN_SIGNAL,
	ORIGIN_CHECK,
	ORIGIN_PREPARE,
	ORIGIN_COMMIT,
	ORIGIN_ABORT,
};

struct supervisor {
	struct options options;
	char libexec[512];
	char config_path[512];
	char node[TD_NAME_MAX];
	struct loop *loop;
	struct instance instance;
	struct notify notify;
	struct loop_timer watchdog_timer, stop_timer;
	struct last_words last_words;
	struct fence_fds fence;
	bool fence_loaded;
	struct l4_fds balancer;
	bool balancer_loaded;
	int control_listen, http_listen;
	struct child child[TD_ROOM_COUNT]; /* [TD_ROOM_TANDEMD] unused */

	struct stored_config current, prepared, previous;
	struct text staged; /* what CHECK and PREPARE work on */
	bool same_programs; /* CHECK: hooks and track scripts must stay what they are */
	struct parse_job *job;
	struct stored_config candidate; /* being parsed */
	struct apply apply;
	struct loop_timer apply_timer;
	enum reconfigure_origin origin; /* of the job or the apply under way */
	uint64_t request_id;            /* to be answered when it is done */

	enum td_role role;
	bool started; /* rooms were spawned */
	bool ready;   /* READY=1 was sent */
	bool stopping;
	int exit_code;
};

/* supervisor.c */
void supervisor_init_children(struct supervisor *sv);
void supervisor_start(struct supervisor *sv);
void supervisor_stop(struct supervisor *sv);
void supervisor_reap(struct supervisor *sv);
void supervisor_kill_all(struct supervisor *sv);
/* Asks the room to leave and starts it anew, with what is in force then. */
void supervisor_restart(struct supervisor *sv, enum td_room room);
uint32_t supervisor_running(const struct supervisor *sv); /* bit per room */
/* Sends the configuration to the rooms of the mask. */
void supervisor_send_config(
    struct supervisor *sv, uint32_t rooms, const struct stored_config *config);
void supervisor_send_fd(
    struct supervisor *sv, enum td_room room, const char *name, int fd);
void supervisor_reply(
    struct supervisor *sv, uint64_t id, int32_t status, const char *text);

/* reconfigure.c */
void reconfigure_init(struct supervisor *sv);
int reconfigure_start(struct supervisor *sv);
void reconfigure_signal(struct supervisor *sv);
void reconfigure_request(struct supervisor *sv, const struct td_msg_request *request);
void reconfigure_ack(
    struct supervisor *sv, enum td_room room, const struct control_packet *packet);
void reconfigure_room_gone(struct supervisor *sv, enum td_room room);
void reconfigure_fini(struct supervisor *sv);

/* resources.c */
int resources_open(struct supervisor *sv);
void resources_close(struct supervisor *sv);
void resources_hand_over(struct supervisor *sv, enum td_room room);
/* The management address of the current configuration may have changed. */
void resources_http(struct supervisor *sv);

/* supervisor_status.c */
struct room_status;
void supervisor_status(struct supervisor *sv, uint64_t id);

#endif
