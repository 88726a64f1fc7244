#include "routerd/supervisor.h"

#include <errno.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/log.h"
#include "routerd/spawn.h"

/*
 * A room whose loop is silent for this long is hung. Also vrrpd: its fence closes by
 * itself long before, and a shorter limit killed healthy ones, because machines stall
 * for some hundred milliseconds now and then.
 */
#define HANG_LIMIT_NS NS_PER_S

static const struct room_spec {
	const char *program;
	int capabilities[SPAWN_CAPABILITIES_MAX];
	bool realtime;
	int oom_score_adj;
} specs[TD_ROOM_COUNT] = {
	[TD_ROOM_VRRPD] = { "tandem-vrrpd", { CAP_NET_ADMIN, CAP_NET_RAW, -1 }, true,
	    -900 },
	[TD_ROOM_SYNCD] = { "tandem-syncd", { CAP_NET_ADMIN, -1 }, false, -500 },
	[TD_ROOM_LBD] = { "tandem-lbd", { CAP_NET_ADMIN, -1 }, false, -500 },
	[TD_ROOM_CHECKD] = { "tandem-checkd", { -1 }, false, 0 },
	[TD_ROOM_MGMTD] = { "tandem-mgmtd", { -1 }, false, 0 },
	[TD_ROOM_HOOKD] = { "tandem-hookd", { -1 }, false, 0 },
};

/* Who talks to whom: include/tandem/room.h. */
static const struct {
	enum td_room a, b;
} links[] = {
	{ TD_ROOM_TANDEMD, TD_ROOM_VRRPD },
	{ TD_ROOM_TANDEMD, TD_ROOM_MGMTD },
	{ TD_ROOM_VRRPD, TD_ROOM_SYNCD },
	{ TD_ROOM_VRRPD, TD_ROOM_LBD },
	{ TD_ROOM_VRRPD, TD_ROOM_HOOKD },
	{ TD_ROOM_CHECKD, TD_ROOM_LBD },
	{ TD_ROOM_SYNCD, TD_ROOM_LBD },
	{ TD_ROOM_MGMTD, TD_ROOM_VRRPD },
	{ TD_ROOM_MGMTD, TD_ROOM_SYNCD },
	{ TD_ROOM_MGMTD, TD_ROOM_LBD },
	{ TD_ROOM_MGMTD, TD_ROOM_CHECKD },
	{ TD_ROOM_MGMTD, TD_ROOM_HOOKD },
};

static const struct control_packet ping = { .kind = CONTROL_PING, .fd = -1 };

static void child_event(struct child *child, enum watch_event event);

static void
send_control(struct child *child, const struct control_packet *packet)
{
	int error;

	if (child->control < 0)
		return;
	error = control_send(child->control, packet);
	/* -EPIPE: it is dying, its end is about to be reaped. */
	if (error < 0 && error != -EPIPE)
		log_limited(LOG_LV_WARN, "watch", 5, "room=%s control kind=%d error=%s",
		    td_room_name(child->room), (int)packet->kind, strerror(-error));
}

void
supervisor_send_fd(struct supervisor *sv, enum td_room room, const char *name, int fd)
{
	struct control_packet packet = { .kind = CONTROL_FD, .room = room, .fd = fd };

	snprintf(packet.text, sizeof(packet.text), "%s", name);
	send_control(&sv->child[room], &packet);
}

void
supervisor_send_config(
    struct supervisor *sv, uint32_t rooms, const struct stored_config *config)
{
	struct control_packet packet = {
		.kind = CONTROL_CONFIG,
		.number = config->generation,
		.fd = config->packed_fd,
	};

	snprintf(packet.text, sizeof(packet.text), "%u", config->head.self);
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++) {
		if ((rooms & UINT32_C(1) << room) == 0)
			continue;
		packet.room = (enum td_room)room;
		child_event(&sv->child[room], WATCH_EV_CONFIG_SENT);
		send_control(&sv->child[room], &packet);
	}
}

uint32_t
supervisor_running(const struct supervisor *sv)
{
	uint32_t rooms = 0;

	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++)
		if (sv->child[room].watch.state == WATCH_UP)
			rooms |= UINT32_C(1) << room;
	return rooms;
}

/* Ready: every room has answered a ping and taken its configuration. */
static void
check_ready(struct supervisor *sv)
{
	if (sv->ready || sv->stopping)
		return;
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++)
		if (sv->child[room].watch.state != WATCH_UP ||
		    !sv->child[room].configured)
			return;
	sv->ready = true;
	log_notice("start", "ready node=%s generation=%llu", sv->node,
	    (unsigned long long)sv->current.generation);
	notify_send(&sv->notify, "READY=1\nSTATUS=%s", td_role_name(sv->role));
}

/* ---- messages to tandemd itself ---- */

void
supervisor_reply(struct supervisor *sv, uint64_t id, int32_t status, const char *text)
{
	struct child *mgmtd = &sv->child[TD_ROOM_MGMTD];
	struct td_msg msg = {
		.kind = TD_MSG_REPLY,
		.reply = { .id = id,
		    .status = status,
		    .text = (char *)(uintptr_t)text },
	};
	int error = mgmtd->link >= 0 ? msg_send(mgmtd->link, &msg) : -ENOTCONN;

	if (error < 0)
		log_warn("control", "reply error=%s", strerror(-error));
}

static void
vrrpd_message(struct supervisor *sv, const struct td_msg *msg)
{
	if (msg->kind == TD_MSG_LAST_WORDS) {
		last_words_set(&sv->last_words, &msg->last_words);
	} else if (msg->kind == TD_MSG_ROLE) {
		sv->role = msg->role.role;
		notify_send(&sv->notify, "STATUS=%s, term %llu", td_role_name(sv->role),
		    (unsigned long long)msg->role.term);
	}
}

static void
tell_maintenance(struct supervisor *sv, bool on)
{
	const struct td_msg msg = { .kind = TD_MSG_REQUEST,
		.request = { .what = TD_REQ_MAINTENANCE, .number = on } };
	struct child *vrrpd = &sv->child[TD_ROOM_VRRPD];
	int error = vrrpd->link >= 0 ? msg_send(vrrpd->link, &msg) : 0;

	/* One that starts is told then. */
	if (error < 0)
		log_warn("watch", "maintenance not told: %s", strerror(-error));
}

static void
set_maintenance(struct supervisor *sv, const struct td_msg_request *request)
{
	bool on = request->number != 0;
	int error = instance_maintenance_set(&sv->instance, on);

	if (error < 0) {
		log_err("watch", "maintenance not stored: %s", strerror(-error));
		supervisor_reply(sv, request->id, error, strerror(-error));
		return;
	}
	tell_maintenance(sv, on);
	supervisor_reply(sv, request->id, 0, on ? "in maintenance" : "in service");
}

static void
mgmtd_message(struct supervisor *sv, const struct td_msg *msg)
{
	if (msg->kind != TD_MSG_REQUEST)
		return;
	if (msg->request.what == TD_REQ_STATUS)
		supervisor_status(sv, msg->request.id);
	else if (msg->request.what == TD_REQ_MAINTENANCE)
		set_maintenance(sv, &msg->request);
	else
		reconfigure_request(sv, &msg->request);
}

static void
close_link(struct child *child)
{
	if (child->link < 0)
		return;
	loop_fd_remove(&child->link_lf);
	close(child->link);
	child->link = -1;
}

static void
on_link(struct loop_fd *lf, uint32_t events)
{
	struct child *child = lf->context;
	struct td_msg msg;
	int got = 0;

	(void)events;
	for (int i = 0;
	     i < 64 && child->link >= 0 && (got = msg_recv(lf->fd, &msg)) > 0; i++) {
		if (child->room == TD_ROOM_VRRPD)
			vrrpd_message(child->sv, &msg);
		else
			mgmtd_message(child->sv, &msg);
		msg_free(&msg);
	}
	if (got == -EBADMSG)
		log_limited(LOG_LV_WARN, "control", 1,
		    "room=%s undecodable message dropped", td_room_name(child->room));
	else if (got < 0)
		close_link(child);
}

/* ---- control socket of a child ---- */

static void
close_control(struct child *child)
{
	if (child->control < 0)
		return;
	loop_fd_remove(&child->control_lf);
	close(child->control);
	child->control = -1;
}

static void
config_acknowledged(struct child *child, const struct control_packet *packet)
{
	struct supervisor *sv = child->sv;

	child_event(child, WATCH_EV_CONFIG_ACK);
	child->refused = packet->status != 0;
	if (packet->status == 0) {
		child->configured = true;
		child->generation = packet->number;
	} else {
		log_err("config", "room=%s generation=%llu refused: %s",
		    td_room_name(child->room), (unsigned long long)packet->number,
		    packet->text[0] != '\0' ? packet->text : strerror(-packet->status));
	}
	reconfigure_ack(sv, child->room, packet);
	check_ready(sv);
}

static void
on_control(struct loop_fd *lf, uint32_t events)
{
	struct child *child = lf->context;
	struct control_packet packet;
	int got = 0;

	(void)events;
	for (int i = 0;
	     i < 64 && child->control >= 0 && (got = control_recv(lf->fd, &packet)) > 0;
	     i++) {
		if (packet.fd >= 0)
			close(packet.fd);
		if (packet.kind == CONTROL_PONG) {
			child_event(child, WATCH_EV_PONG);
			check_ready(child->sv);
		} else if (packet.kind == CONTROL_BUSY) {
			child_event(child, WATCH_EV_BUSY);
		} else if (packet.kind == CONTROL_CONFIG_ACK) {
			config_acknowledged(child, &packet);
		}
	}
	/* The end of the socket is noticed before SIGCHLD; a process that closed it and
	 * lives on is caught by the pings. */
	if (got < 0 && got != -EBADMSG) {
		close_control(child);
		supervisor_reap(child->sv);
	}
}

/* ---- links ---- */

static void
give_link(struct child *child, enum td_room peer, int fd)
{
	send_control(child,
	    &(struct control_packet){ .kind = CONTROL_LINK, .room = peer, .fd = fd });
}

static void
join(struct supervisor *sv, enum td_room a, enum td_room b)
{
	int pair[2];
	struct child *own = &sv->child[b];

	if ((a != TD_ROOM_TANDEMD && sv->child[a].control < 0) ||
	    sv->child[b].control < 0)
		return; /* joined when the other one starts */
	if (socketpair(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		log_err("watch", "link %s-%s error=%s", td_room_name(a),
		    td_room_name(b), strerror(errno));
		return;
	}
	give_link(own, a, pair[1]);
	close(pair[1]);
	if (a != TD_ROOM_TANDEMD) {
		give_link(&sv->child[a], b, pair[0]);
		close(pair[0]);
		return;
	}
	close_link(own);
	own->link = pair[0];
	loop_fd_add(sv->loop, &own->link_lf, own->link, EPOLLIN, on_link, own);
}

static void
join_all(struct supervisor *sv, enum td_room room)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].a == room || links[i].b == room)
			join(sv, links[i].a, links[i].b);
}

/* ---- life and death ---- */

/* hookd has the user that its programs run as, and no way to become another one. */
static void
choose_hooks_user(const struct supervisor *sv, struct spawn_spec *spec)
{
	const char *name = sv->current.head.hooks_user;
	const struct passwd *pw = getpwnam(name);

	if (pw == NULL && !sv->options.users_root)
		log_err("watch", "hooks.user=%s does not exist: no hook is run", name);
	if (pw == NULL)
		return;
	spec->uid = pw->pw_uid;
	spec->gid = pw->pw_gid;
	spec->privileged = pw->pw_uid == 0;
}

static void
start_room(struct child *child)
{
	struct supervisor *sv = child->sv;
	const struct room_spec *rs = &specs[child->room];
	char path[600];
	const char *argv[] = { rs->program, "--instance", sv->options.instance,
		"--control-fd", "3", NULL };
	struct spawn_spec spec = {
		.path = path,
		.argv = argv,
		.uid = sv->instance.uid[child->room],
		.gid = sv->instance.gid[child->room],
		.realtime = rs->realtime,
		.oom_score_adj = rs->oom_score_adj,
		.stdin_fd = -1,
		.stdout_fd = -1,
	};
	int pair[2];
	pid_t pid;

	if (child->room == TD_ROOM_HOOKD)
		choose_hooks_user(sv, &spec);
	snprintf(path, sizeof(path), "%s/%s", sv->libexec, rs->program);
	memcpy(spec.capabilities, rs->capabilities, sizeof(spec.capabilities));
	child->configured = child->refused = false;
	if (socketpair(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		log_err("watch", "room=%s socketpair error=%s",
		    td_room_name(child->room), strerror(errno));
		child_event(child, WATCH_EV_EXIT);
		return;
	}
	spec.control_fd = pair[1];
	spec.life_fd = sv->instance.life_fd;
	pid = spawn(&spec);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		log_err("watch", "room=%s fork error=%s", td_room_name(child->room),
		    strerror(-pid));
		child_event(child, WATCH_EV_EXIT);
		return;
	}
	child->pid = pid;
	child->control = pair[0];
	loop_fd_add(
	    sv->loop, &child->control_lf, child->control, EPOLLIN, on_control, child);
	log_info(
	    "watch", "room=%s pid=%d started", td_room_name(child->room), (int)pid);
	supervisor_send_config(sv, UINT32_C(1) << child->room, &sv->current);
	resources_hand_over(sv, child->room);
	join_all(sv, child->room);
	if (child->room == TD_ROOM_VRRPD && instance_maintenance(&sv->instance))
		tell_maintenance(sv, true);
	send_control(
	    child, &(struct control_packet){ .kind = CONTROL_START, .fd = -1 });
	/* Its answer says that it runs; the next ping would only come a quarter second
	 * later. */
	send_control(child, &ping);
}

static void
close_fence(struct supervisor *sv)
{
	int error = sv->fence_loaded ? fence_revoke(sv->fence.fd[FENCE_FD_LEASE]) : 0;

	if (error < 0)
		log_err(
		    "watch", "fence lease could not be revoked: %s", strerror(-error));
}

/* What cannot wait when vrrpd is gone: nobody may answer for the virtual addresses
 * here, and the peer should know at once. */
static void
vrrpd_gone(struct supervisor *sv)
{
	unsigned said;

	close_fence(sv);
	said = last_words_say(&sv->last_words);
	sv->role = TD_ROLE_INITIALIZE;
	log_notice("watch", "vrrpd is gone: fence=%s last_words=%u",
	    sv->fence_loaded ? "closed" : "off", said);
}

static void
perform(struct child *child, enum watch_action action)
{
	static const struct control_packet stop = { .kind = CONTROL_STOP, .fd = -1 };

	switch (action) {
	case WATCH_ACT_NONE:
		break;
	case WATCH_ACT_SPAWN:
		start_room(child);
		break;
	case WATCH_ACT_PING:
		send_control(child, &ping);
		break;
	case WATCH_ACT_STOP:
		send_control(child, &stop);
		break;
	case WATCH_ACT_KILL:
		log_err("watch", "room=%s pid=%d does not answer: killed",
		    td_room_name(child->room), (int)child->pid);
		/* The kernel may take its time to end it: the lease goes first. The
		 * last words wait until it is reaped, for they send the peer into
		 * office, and the last act of one that wakes up may be to renew the
		 * lease. */
		if (child->room == TD_ROOM_VRRPD)
			close_fence(child->sv);
		kill(child->pid, SIGKILL);
		break;
	}
}

static void
child_event(struct child *child, enum watch_event event)
{
	enum watch_action action =
	    watch_step(&child->rules, &child->watch, event, loop_now(child->sv->loop));

	loop_timer_set(&child->timer, child->watch.deadline);
	perform(child, action);
}

static void
on_timer(struct loop_timer *timer)
{
	child_event(timer->context, WATCH_EV_TICK);
}

static void
describe_exit(char *buf, size_t len, int wait_status)
{
	if (WIFSIGNALED(wait_status))
		snprintf(buf, len, "signal:SIG%s%s",
		    sigabbrev_np(WTERMSIG(wait_status)),
		    WCOREDUMP(wait_status) ? ",core" : "");
	else
		snprintf(buf, len, "code:%d", WEXITSTATUS(wait_status));
}

static void
continue_stop(struct supervisor *sv)
{
	bool alive = false;

	if (!sv->stopping)
		return;
	/* vrrpd leaves first, with everything still in place behind it. */
	if (watch_alive(&sv->child[TD_ROOM_VRRPD].watch))
		return;
	for (int room = TD_ROOM_SYNCD; room < TD_ROOM_COUNT; room++) {
		child_event(&sv->child[room], WATCH_EV_STOP);
		alive = alive || watch_alive(&sv->child[room].watch);
	}
	if (!alive)
		loop_stop(sv->loop, sv->exit_code);
}

static void
child_reaped(struct child *child, int wait_status)
{
	struct supervisor *sv = child->sv;
	bool asked;
	int64_t uptime = instant_diff_ns(loop_now(sv->loop), child->watch.started);

	/* A SIGTERM may have reached the whole group: who leaves early is not called
	 * back. */
	if (sv->stopping)
		child_event(child, WATCH_EV_STOP);
	asked = child->watch.state == WATCH_STOPPING;
	if (child->room == TD_ROOM_VRRPD && (!asked || wait_status != 0))
		vrrpd_gone(sv);
	describe_exit(child->last_exit, sizeof(child->last_exit), wait_status);
	log_line(asked && wait_status == 0 ? LOG_LV_INFO : LOG_LV_ERR, "watch",
	    "room=%s pid=%d exit=%s uptime=%.3fs deaths=%llu%s",
	    td_room_name(child->room), (int)child->pid, child->last_exit,
	    (double)uptime / 1e9, (unsigned long long)(child->watch.deaths + !asked),
	    asked ? " reason=stop" : "");
	child->pid = 0;
	close_control(child);
	close_link(child);
	if (!asked)
		reconfigure_room_gone(sv, child->room);
	child_event(child, WATCH_EV_EXIT);
	if (child->again && !sv->stopping)
		child_event(child, WATCH_EV_START);
	child->again = false;
	if (child->watch.state == WATCH_BACKOFF)
		log_warn("watch",
		    "room=%s crash loop: %u deaths in a row, next start in %lld ms",
		    td_room_name(child->room), child->watch.streak,
		    (long long)(instant_diff_ns(
				    child->watch.deadline, loop_now(sv->loop)) /
				NS_PER_MS));
	continue_stop(sv);
}

void
supervisor_reap(struct supervisor *sv)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		if (parse_job_reaped(sv->job, pid, wait_status))
			continue;
		for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++) {
			if (sv->child[room].pid == pid) {
				child_reaped(&sv->child[room], wait_status);
				break;
			}
		}
	}
}

void
supervisor_init_children(struct supervisor *sv)
{
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++) {
		struct child *child = &sv->child[room];

		*child = (struct child){
			.sv = sv,
			.room = (enum td_room)room,
			.watch = { .deadline = TD_NEVER },
			.rules = watch_rules_for(HANG_LIMIT_NS),
			.control = -1,
			.link = -1,
		};
		loop_timer_init(sv->loop, &child->timer, on_timer, child);
	}
}

void
supervisor_start(struct supervisor *sv)
{
	sv->started = true;
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++)
		child_event(&sv->child[room], WATCH_EV_START);
}

void
supervisor_stop(struct supervisor *sv)
{
	if (!sv->started) {
		loop_stop(sv->loop, sv->exit_code);
		return;
	}
	child_event(&sv->child[TD_ROOM_VRRPD], WATCH_EV_STOP);
	continue_stop(sv);
}

void
supervisor_restart(struct supervisor *sv, enum td_room room)
{
	struct child *child = &sv->child[room];

	if (!watch_alive(&child->watch) || sv->stopping)
		return;
	child->again = true;
	child_event(child, WATCH_EV_STOP);
}

void
supervisor_kill_all(struct supervisor *sv)
{
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++) {
		struct child *child = &sv->child[room];

		if (child->pid <= 0)
			continue;
		log_err("watch", "room=%s pid=%d did not stop in time: killed",
		    td_room_name(child->room), (int)child->pid);
		kill(child->pid, SIGKILL);
	}
}
