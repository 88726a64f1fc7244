/*
 * tandem-mgmtd - what tandemctl and the metrics system talk to. It has no capability
 * and decides nothing about traffic.
 */
#include "routerd/mgmtd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "routerd/confine.h"

const char *
mgmtd_node_name(const struct mgmtd *m)
{
	return m->config != NULL ? m->config->nodes[m->config->self].name : "";
}

const char *
mgmtd_peer_name(const struct mgmtd *m)
{
	return m->config != NULL ? m->config->nodes[1 - m->config->self].name : "";
}

int
mgmtd_request(struct mgmtd *m, enum td_room room, uint64_t id, enum td_request what,
    uint64_t number, const char *text)
{
	struct td_msg msg = {
		.kind = TD_MSG_REQUEST,
		.request = { .id = id,
		    .what = what,
		    .number = number,
		    .text = (char *)(uintptr_t)text },
	};

	return room_send(m->room, room, &msg);
}

static void
digest_hex(const uint8_t digest[TD_DIGEST_BYTES], char ret_hex[2 * TD_DIGEST_BYTES + 1])
{
	for (size_t i = 0; i < TD_DIGEST_BYTES; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static void
put(struct sample_set *set, const char *name, double value)
{
	samples_put(set, TD_ROOM_MGMTD, TD_GAUGE, name, value, NULL);
}

static void
config_samples(const struct mgmtd *m, struct sample_set *set)
{
	char hex[2 * TD_DIGEST_BYTES + 1];

	if (m->config == NULL)
		return;
	samples_put(set, TD_ROOM_MGMTD, TD_INFO, "tandem_info", 1, "node",
	    mgmtd_node_name(m), "cluster", m->config->cluster, "version",
	    TANDEM_VERSION, NULL);
	put(set, "tandem_config_generation", (double)m->config->generation);
	digest_hex(m->config->digest, hex);
	samples_put(
	    set, TD_ROOM_MGMTD, TD_INFO, "tandem_config_info", 1, "digest", hex, NULL);
	if (!m->peer.known)
		return;
	put(set, "tandem_config_peer_generation", (double)m->peer.generation);
	digest_hex(m->peer.digest, hex);
	samples_put(set, TD_ROOM_MGMTD, TD_INFO, "tandem_config_peer_info", 1, "digest",
	    hex, NULL);
}

void
mgmtd_own_samples(struct mgmtd *m, struct sample_set *set)
{
	config_samples(m, set);
	for (int role = TD_ROLE_INITIALIZE; role <= TD_ROLE_ACTIVE; role++)
		samples_put(set, TD_ROOM_MGMTD, TD_GAUGE, "tandem_role",
		    m->role.role == (enum td_role)role, "role",
		    td_role_name((enum td_role)role), NULL);
	samples_put(set, TD_ROOM_MGMTD, TD_INFO, "tandem_role_info", 1, "role",
	    td_role_name(m->role.role), "reason", m->role.reason, NULL);
	put(set, "tandem_term", (double)m->role.term);
	put(set, "tandem_peer_alive", m->role.peer_alive);
	put(set, "tandem_peer_term", (double)m->role.peer_term);
	samples_put(set, TD_ROOM_MGMTD, TD_INFO, "tandem_peer_info", 1, "node",
	    mgmtd_peer_name(m), "role",
	    m->role.peer_alive ? td_role_name(m->role.peer_role) : "", NULL);
	put(set, "tandem_pair_sync_connected", m->sync.connected);
	put(set, "tandem_pair_have_state", m->sync.have_state);
	put(set, "tandem_protected", m->sync.connected && m->sync.peer_has_state);
	samples_put(set, TD_ROOM_MGMTD, TD_INFO, "tandem_pair_sync_info", 1, "reason",
	    m->sync.reason, NULL);
	put(set, "tandem_control_clients", m->client_count);
	samples_put(set, TD_ROOM_MGMTD, TD_COUNTER, "tandem_control_rejected_total",
	    (double)m->control_rejected, NULL);
}

static int
on_config(void *context, struct td_config *config)
{
	struct mgmtd *m = context;

	td_config_free(m->config);
	m->config = config;
	apply_hello(m);
	return 0;
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct mgmtd *m = context;

	if (strcmp(name, "control-listen") == 0) {
		control_open(m, fd);
	} else if (strcmp(name, "http-listen") == 0) {
		http_open(m, fd);
	} else {
		log_warn("control", "descriptor name=%s is not for mgmtd", name);
		close(fd);
	}
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct mgmtd *m = context;

	switch (msg->kind) {
	case TD_MSG_ROLE:
		m->role = msg->role;
		break;
	case TD_MSG_SYNC_STATE:
		if (msg->sync_state.connected && !m->sync.connected)
			loop_timer_set(&m->hello_timer, loop_now(m->loop));
		m->sync = msg->sync_state;
		break;
	case TD_MSG_STATUS:
		collect_part(m, from, &msg->status);
		break;
	case TD_MSG_REPLY:
		if (!apply_room_reply(m, &msg->reply))
			control_room_reply(m, &msg->reply);
		break;
	case TD_MSG_PEER_CALL:
		apply_peer_call(m, &msg->peer_call);
		break;
	case TD_MSG_NONE:
	case TD_MSG_BARRIER:
	case TD_MSG_SERVER_HEALTH:
	case TD_MSG_LAST_WORDS:
	case TD_MSG_FITNESS:
	case TD_MSG_REQUEST:
		break;
	}
}

static void
on_link_down(void *context, enum td_room peer)
{
	struct mgmtd *m = context;

	/* What a dead room said is no longer true. */
	if (peer == TD_ROOM_VRRPD)
		m->role = (struct td_msg_role){ .role = TD_ROLE_INITIALIZE,
			.reason = "vrrpd_down" };
	else if (peer == TD_ROOM_SYNCD)
		m->sync = (struct td_msg_sync_state){ .reason = "syncd_down" };
}

static void
on_stop(void *context, bool orphan)
{
	struct mgmtd *m = context;

	(void)orphan;
	http_close(m);
	control_close(m);
	apply_fini(m);
	room_exit(m->room, 0);
}

int
main(int argc, char **argv)
{
	struct mgmtd m = { .control_listen = -1, .next_id = 1 };
	const struct room_callbacks callbacks = {
		.config = on_config,
		.fd = on_fd,
		.link_down = on_link_down,
		.message = on_message,
		.stop = on_stop,
	};
	int code, error;

	signal(SIGPIPE, SIG_IGN);
	m.room = room_open(argc, argv, TD_ROOM_MGMTD, &callbacks, &m);
	m.loop = room_loop(m.room);
	error = confine_self();
	if (error < 0)
		log_info("start", "no empty root: %s", strerror(-error));
	apply_init(&m);
	code = room_run(m.room);
	td_config_free(m.config);
	return code;
}
