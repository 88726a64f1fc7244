/*
 * mgmtd.h - tandem-mgmtd: control socket, metrics, pages, apply on both nodes.
 * Internal.
 *
 *   mgmtd.c          main, messages of the rooms
 *   mgmtd_collect.c  asking rooms for samples, with a deadline
 *   mgmtd_control.c  tandemctl's socket
 *   mgmtd_http.c     HTTP
 *   mgmtd_apply.c    configurations: with the peer's mgmtd, and for it
 */
#ifndef TANDEM_ROUTERD_MGMTD_H
#define TANDEM_ROUTERD_MGMTD_H

#include "common/loop.h"
#include "common/room.h"
#include "routerd/control_wire.h"
#include "routerd/core/pair_apply.h"
#include "routerd/core/samples.h"

struct mgmtd;
struct client;
struct collection;
struct http;

/* What the peer's mgmtd last said about its configuration. */
struct peer_config {
	bool known;
	bool differs; /* as last told in the log */
	struct td_instant heard;
	uint64_t generation;
	uint8_t digest[TD_DIGEST_BYTES];
};

struct applying {
	struct pair_apply pair;
	struct loop_timer timer;
	struct client *client; /* NULL: it went away; the apply goes on */
	bool by_root;
	char *text;       /* owned YAML */
	size_t handed[2]; /* bytes of it that each side has */
	uint64_t generation;
	uint64_t local_id, peer_id; /* of the calls under way; 0 = none */
};

/* A call of the peer that tandemd works on. */
struct serving {
	uint64_t peer_id, local_id;
	uint32_t method;
};

struct mgmtd {
	struct room *room;
	struct loop *loop;
	struct td_config *config; /* owned */
	uint64_t next_id;
	struct td_msg_role role;
	struct td_msg_sync_state sync;
	struct peer_config peer;
	struct applying applying;
	struct serving serving;
	struct loop_timer hello_timer;
	struct collection *collections;
	int control_listen;
	struct loop_fd control_lf;
	struct client *clients;
	unsigned client_count;
	uint64_t control_rejected;
	struct http *http;
};

/* mgmtd.c */
const char *mgmtd_node_name(const struct mgmtd *m);
const char *mgmtd_peer_name(const struct mgmtd *m);
void mgmtd_own_samples(struct mgmtd *m, struct sample_set *set);
int mgmtd_request(struct mgmtd *m, enum td_room room, uint64_t id, enum td_request what,
    uint64_t number, const char *text);

/* mgmtd_collect.c */

/* Called exactly once; the set is the callee's from then on (samples_free). */
typedef void collect_done(void *context, struct sample_set *set);
/* TD_REQ_STATUS of every room, plus mgmtd's own samples and the alarms. */
struct collection *collect_status(struct mgmtd *m, collect_done *done, void *context);
/* TD_REQ_LIST `text` of one room. */
struct collection *collect_list(struct mgmtd *m, enum td_room room, const char *text,
    collect_done *done, void *context);
void collect_cancel(struct mgmtd *m, struct collection *collection); /* NULL is fine */
/* Ends all that would call `done`, with what has been answered. */
void collect_finish_all(struct mgmtd *m, collect_done *done);
void collect_part(
    struct mgmtd *m, enum td_room from, const struct td_msg_status *status);

/* mgmtd_control.c */
void control_open(struct mgmtd *m, int listen_fd);
void control_close(struct mgmtd *m);
void control_room_reply(struct mgmtd *m, const struct td_msg_reply *reply);
/* Answers the client's request; NULL is fine. */
void control_answer(struct client *client, int32_t status, const char *text);

/* mgmtd_http.c */
void http_open(struct mgmtd *m, int listen_fd);
void http_close(struct mgmtd *m);

/* mgmtd_apply.c */
void apply_init(struct mgmtd *m);
void apply_fini(struct mgmtd *m);
/* Takes `text` (malloced) over. */
void apply_request(struct mgmtd *m, struct client *client, bool by_root, char *text,
    bool check_only, bool alone);
void apply_client_gone(struct mgmtd *m, const struct client *client);
bool apply_room_reply(
    struct mgmtd *m, const struct td_msg_reply *reply); /* was it ours? */
void apply_peer_call(struct mgmtd *m, const struct td_msg_peer_call *call);
void apply_hello(struct mgmtd *m);

#endif
