/* tandem-syncd: replication of this node's flows, as one room of the instance. */
#include "syncd/syncd.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>
#include "common/log.h"
#include "syncd/epoch_file.h"

#define BARRIER_TIMEOUT_NS NS_PER_S

/* ---- what the others hear ---- */

static void
tell(struct syncd *sd, enum td_room to)
{
	struct td_msg msg = { .kind = TD_MSG_SYNC_STATE, .sync_state = sd->told };

	sd->told_valid[to] = room_send(sd->room, to, &msg) != -EAGAIN;
}

static void
state_update(struct syncd *sd)
{
	struct td_msg_sync_state *t = &sd->told;
	struct sync_view v;
	bool changed;

	sync_session_view(&sd->session, loop_now(sd->loop), &v);
	changed = t->connected != v.connected || t->have_state != v.have_state ||
		  t->peer_has_state != v.peer_has_state ||
		  strcmp(t->reason, v.reason) != 0;
	t->seq_sent = v.seq_sent;
	t->seq_acked = v.seq_acked;
	t->unapplied = v.unapplied + v.peer_unapplied;
	if (changed) {
		t->connected = v.connected;
		t->have_state = v.have_state;
		t->peer_has_state = v.peer_has_state;
		strncpy(t->reason, v.reason, sizeof(t->reason) - 1);
		log_limited(LOG_LV_INFO, "sync", 10,
		    "connected=%d have_state=%d peer_has_state=%d flows=%llu %s%s",
		    v.connected, v.have_state, v.peer_has_state,
		    (unsigned long long)v.flows,
		    v.reason[0] != '\0' ? "reason=" : "in sync", v.reason);
		memset(sd->told_valid, 0, sizeof(sd->told_valid));
	}
	if (!sd->told_valid[TD_ROOM_VRRPD])
		tell(sd, TD_ROOM_VRRPD);
	if (!sd->told_valid[TD_ROOM_MGMTD])
		tell(sd, TD_ROOM_MGMTD);
}

void
syncd_work(struct syncd *sd)
{
	struct td_instant now = loop_now(sd->loop), deadline;

	sync_session_tick(&sd->session, now);
	peer_after_tick(sd);
	state_update(sd);
	takeover_state(sd, sd->told.have_state);
	/* Work that could go on at once goes on in the next wake-up: the loop must come
	 * round, or the supervisor takes us for hung. */
	deadline = sync_session_deadline(&sd->session, now);
	if (instant_reached(now, deadline))
		deadline = instant_add(now, 1);
	loop_timer_set(&sd->session_timer, deadline);
}

void
syncd_wake(struct syncd *sd)
{
	syncd_work(sd);
	if (sd->channel != NULL)
		channel_poll(sd->channel);
}

static void
on_session_timer(struct loop_timer *timer)
{
	syncd_wake(timer->context);
}

/* ---- configuration ---- */

static_assert(TD_BATCH_BYTES_MAX <= SYNC_BLOB_MAX, "any allowed batch can be sent");

static void
session_config_fill(const struct syncd *sd, struct sync_config *cfg)
{
	const struct td_config *config = sd->config;

	sync_config_defaults(cfg);
	memcpy(cfg->cluster, config->cluster, sizeof(cfg->cluster));
	memcpy(cfg->node, config->nodes[config->self].name, sizeof(cfg->node));
	cfg->node_index = config->self;
	cfg->generation = config->generation;
	memcpy(cfg->digest, config->digest, sizeof(cfg->digest));
	cfg->batch_interval_ns = config->sync.batch_interval_ns;
	cfg->batch_bytes = config->sync.batch_bytes;
	cfg->lease_s = (uint32_t)(config->sync.lease_ns / NS_PER_S);
	randombytes_buf(&cfg->boot, sizeof(cfg->boot));
	/* Links are numbered from it: room before the number wraps to 0. */
	cfg->boot = (cfg->boot >> 1) + 1;
}

/* Also of what start() has only begun. */
static void
close_all(struct syncd *sd)
{
	loop_timer_cancel(&sd->session_timer);
	takeover_close(sd);
	peer_close(sd);
	kernel_close(sd);
	sync_session_fini(&sd->session);
	shadow_fini(&sd->shadow);
}

static int
start(struct syncd *sd)
{
	struct sync_config cfg;
	struct sync_sink sink = { .context = sd };
	struct siphash_key key;
	int r;

	session_config_fill(sd, &cfg);
	r = sd->state_dir >= 0 ? epoch_file_read(sd->state_dir, &cfg.stored_epoch)
			       : -ENOENT;
	/* Not fatal: the peer remembers our epochs as well. */
	if (r < 0)
		log_err("sync", "stored epoch: %s", strerror(-r));
	randombytes_buf(&key, sizeof(key));
	if (!shadow_init(&sd->shadow, sd->config->sync.flows_max, key))
		return -ENOMEM;
	peer_sink(sd, &sink);
	kernel_sink(sd, &sink);
	if (!sync_session_init(
		&sd->session, &cfg, &sd->shadow, &sink, loop_now(sd->loop)))
		return -ENOMEM;
	loop_timer_init(sd->loop, &sd->session_timer, on_session_timer, sd);
	r = kernel_open(sd);
	if (r < 0) {
		log_err("sync", "conntrack: %s", strerror(-r));
		return r;
	}
	r = takeover_open(sd);
	if (r < 0) {
		log_err("sync", "takeover: %s", strerror(-r));
		return r;
	}
	r = peer_open(sd);
	if (r < 0)
		log_err("sync", "channel: %s", strerror(-r));
	return r;
}

static int
on_config(void *context, struct td_config *config)
{
	struct syncd *sd = context;
	struct td_config *old = sd->config;
	int r;

	sd->config = config;
	if (old == NULL) {
		r = start(sd);
		if (r < 0)
			close_all(sd);
		return r;
	}
	r = peer_reconfigure(sd);
	if (r < 0) {
		sd->config = old;
		td_config_free(config);
		return r;
	}
	if (config->sync.flows_max != old->sync.flows_max ||
	    config->sync.batch_interval_ns != old->sync.batch_interval_ns ||
	    config->sync.batch_bytes != old->sync.batch_bytes ||
	    config->sync.lease_ns != old->sync.lease_ns)
		log_notice("sync", "flows_max, batch_interval, batch_bytes, lease: "
				   "takes effect at the next start");
	td_config_free(old);
	sync_session_generation(
	    &sd->session, config->generation, config->digest, loop_now(sd->loop));
	kernel_filter_update(sd);
	syncd_wake(sd);
	return 0;
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct syncd *sd = context;
	uint8_t secret_key[TD_KEY_BYTES];

	if (strcmp(name, "state-dir") == 0) {
		if (sd->state_dir >= 0)
			close(sd->state_dir);
		sd->state_dir = fd;
		return;
	}
	if (strcmp(name, "secret-key") == 0) {
		if (pread(fd, secret_key, sizeof(secret_key), 0) ==
			sizeof(secret_key) &&
		    key_pair_from_secret(secret_key, &sd->keys) == 0)
			sd->have_keys = true;
		sodium_memzero(secret_key, sizeof(secret_key));
	}
	close(fd);
}

/* ---- the other rooms ---- */

static void
on_link_up(void *context, enum td_room peer)
{
	struct syncd *sd = context;

	if (peer == TD_ROOM_VRRPD || peer == TD_ROOM_MGMTD)
		tell(sd, peer);
}

static void
on_role(struct syncd *sd, const struct td_msg_role *role)
{
	bool became_active = role->role == TD_ROLE_ACTIVE && sd->role != TD_ROLE_ACTIVE;

	/* What the kernel said before the change belongs to before. */
	kernel_read_backlog(sd);
	sd->role = role->role;
	sd->term = role->term;
	sync_session_role(&sd->session, role->role, role->term,
	    role->peer_alive ? role->peer_role : TD_ROLE_INITIALIZE, role->peer_term,
	    loop_now(sd->loop));
	log_info("sync", "role=%s term=%llu reason=%s flows=%u",
	    td_role_name(role->role), (unsigned long long)role->term, role->reason,
	    shadow_flows(&sd->shadow));
	/* Packets may have passed before we knew: the kernel has the truth. */
	if (became_active)
		kernel_audit_now(sd);
	takeover_role(sd, became_active);
}

static void
on_request(struct syncd *sd, enum td_room from, const struct td_msg_request *request)
{
	struct room_status *st;

	switch (request->what) {
	case TD_REQ_RESYNC:
		kernel_audit_now(sd);
		if (sync_session_resync(&sd->session, loop_now(sd->loop)))
			room_reply(sd->room, from, request->id, 0, "snapshots begin");
		else
			room_reply(sd->room, from, request->id, -EHOSTUNREACH,
			    "no connection with the peer");
		return;
	case TD_REQ_LIST:
		if (request->text == NULL || strcmp(request->text, "flows") != 0)
			break;
		st = room_status_new();
		if (st == NULL)
			break;
		status_list_flows(sd, st);
		room_status_send(sd->room, from, request->id, st);
		room_status_free(st);
		return;
	case TD_REQ_STATUS:
	case TD_REQ_SWITCHOVER:
	case TD_REQ_CONFIG_CHECK:
	case TD_REQ_CONFIG_PREPARE:
	case TD_REQ_CONFIG_COMMIT:
	case TD_REQ_CONFIG_ABORT:
	case TD_REQ_CONFIG_TEXT:
	case TD_REQ_MAINTENANCE:
		break;
	}
	room_reply(sd->room, from, request->id, -ENOTSUP, "not a request for syncd");
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct syncd *sd = context;

	switch (msg->kind) {
	case TD_MSG_ROLE:
		on_role(sd, &msg->role);
		break;
	case TD_MSG_BARRIER:
		/* Everything the kernel has announced up to now is part of it. */
		kernel_read_backlog(sd);
		sync_session_barrier(&sd->session, msg->barrier.id, BARRIER_TIMEOUT_NS,
		    loop_now(sd->loop));
		break;
	case TD_MSG_REQUEST:
		on_request(sd, from, &msg->request);
		break;
	case TD_MSG_PEER_CALL:
		peer_call_from_mgmtd(sd, &msg->peer_call);
		break;
	case TD_MSG_NONE:
	case TD_MSG_SYNC_STATE:
	case TD_MSG_SERVER_HEALTH:
	case TD_MSG_LAST_WORDS:
	case TD_MSG_FITNESS:
	case TD_MSG_REPLY:
	case TD_MSG_STATUS:
		log_limited(LOG_LV_WARN, "sync", 1, "unexpected message from %s",
		    td_room_name(from));
		return;
	}
	syncd_wake(sd);
}

static void
on_status(void *context, struct room_status *st)
{
	status_fill(context, st);
}

static void
on_stop(void *context, bool orphan)
{
	struct syncd *sd = context;

	(void)orphan;
	close_all(sd);
	room_exit(sd->room, EXIT_SUCCESS);
}

int
main(int argc, char **argv)
{
	static const struct room_callbacks callbacks = { .config = on_config,
		.fd = on_fd,
		.link_up = on_link_up,
		.message = on_message,
		.status = on_status,
		.stop = on_stop };
	struct syncd *sd = calloc(1, sizeof(*sd));
	int code;

	if (sd == NULL || sodium_init() < 0)
		return EXIT_FAILURE;
	sd->state_dir = -1;
	sd->room = room_open(argc, argv, TD_ROOM_SYNCD, &callbacks, sd);
	if (sd->room == NULL)
		return EXIT_FAILURE;
	sd->loop = room_loop(sd->room);
	code = room_run(sd->room);
	key_pair_wipe(&sd->keys);
	td_config_free(sd->config);
	if (sd->state_dir >= 0)
		close(sd->state_dir);
	free(sd);
	return code;
}
