/*
 * tandem-lbd - rules and balancing of one router: the room around lbcore/engine.h.
 *
 * The ruleset and the scheduler stand on both nodes all the time; the role is only
 * shown, and passed on to checkd, which tells the health of the servers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "common/log.h"
#include "common/room.h"
#include "lbcore/engine.h"
#include "lbcore/status.h"

#define MAINTAIN_INTERVAL_NS NS_PER_S

struct lbd {
	struct room *room;
	struct engine *engine;
	struct loop_fd drift;
	struct loop_timer maintain;
	struct td_instant repaired; /* the table, the last time at once */
	struct td_msg_role role;    /* as last heard from vrrpd */
	uint64_t stale_health;      /* told for a configuration that is not in force */
};

/* Writing a large table takes longer than a ping may. */
static void
maintain(struct lbd *lbd)
{
	if (engine_watch(lbd->engine))
		room_busy(lbd->room);
	engine_maintain(lbd->engine);
}

static void
on_maintain(struct loop_timer *timer)
{
	struct lbd *lbd = timer->context;

	maintain(lbd);
	loop_timer_set(timer, instant_add(loop_now(timer->loop), MAINTAIN_INTERVAL_NS));
}

static void
on_drift(struct loop_fd *lf, uint32_t epoll_events)
{
	struct lbd *lbd = lf->context;
	struct td_instant now = loop_now(lf->loop);

	(void)epoll_events;
	if (!engine_watch(lbd->engine))
		return;
	/* At once, but no tug of war: what comes sooner waits for the next round. */
	if (instant_reached(now, instant_add(lbd->repaired, MAINTAIN_INTERVAL_NS))) {
		lbd->repaired = now;
		maintain(lbd);
	}
}

/* Whatever checkd knows of the servers, for the configuration that is in force now. */
static void
ask_health(struct lbd *lbd)
{
	struct td_msg msg = { .kind = TD_MSG_REQUEST,
		.request = { .what = TD_REQ_RESYNC } };

	room_send(lbd->room, TD_ROOM_CHECKD, &msg);
}

/* vrrpd and checkd have no link of their own. */
static void
pass_role_on(struct lbd *lbd)
{
	struct td_msg msg = { .kind = TD_MSG_ROLE, .role = lbd->role };

	room_send(lbd->room, TD_ROOM_CHECKD, &msg);
}

static void
on_link_up(void *context, enum td_room peer)
{
	struct lbd *lbd = context;

	if (peer != TD_ROOM_CHECKD)
		return;
	pass_role_on(lbd);
	ask_health(lbd);
}

static int
on_config(void *context, struct td_config *config)
{
	struct lbd *lbd = context;
	int r = engine_apply(lbd->engine, config);

	if (r < 0)
		return r;
	loop_timer_set(&lbd->maintain,
	    instant_add(loop_now(room_loop(lbd->room)), MAINTAIN_INTERVAL_NS));
	ask_health(lbd);
	return 0;
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct lbd *lbd = context;

	/* "state-dir" and what a newer tandemd may pass: not needed here. */
	if (!engine_take_fd(lbd->engine, name, fd))
		close(fd);
}

static void
server_health(struct lbd *lbd, struct td_msg *msg)
{
	const struct td_msg_server_health *health = &msg->server_health;
	const struct td_config *config = engine_config(lbd->engine);
	bool was_up;

	/* checkd took its configuration a little earlier or later than we did: it tells
	 * everything again for each configuration. */
	if (config == NULL || health->generation != config->generation ||
	    health->balancer >= config->balancer_count ||
	    health->server >= config->balancers[health->balancer].server_count) {
		lbd->stale_health++;
		return;
	}
	was_up = engine_server_up(lbd->engine, health->balancer, health->server);
	engine_set_health(lbd->engine, health->balancer, health->server, health->up);
	if (was_up != health->up) {
		const struct td_balancer *balancer =
		    &config->balancers[health->balancer];

		log_notice("lb", "server=%s/%s %s reason=\"%s\"", balancer->name,
		    balancer->servers[health->server].name, health->up ? "up" : "down",
		    health->detail);
	}
	room_send(lbd->room, TD_ROOM_MGMTD, msg);
}

static void
list(struct lbd *lbd, enum td_room from, const struct td_msg_request *request)
{
	struct room_status *st;
	int r = 0;

	if (request->text == NULL ||
	    (strcmp(request->text, "lb") != 0 && strcmp(request->text, "nat") != 0)) {
		room_reply(
		    lbd->room, from, request->id, -EINVAL, "list what: lb or nat");
		return;
	}
	st = room_status_new();
	if (st == NULL)
		r = -ENOMEM;
	else if (strcmp(request->text, "lb") == 0)
		lbd_status_lb(lbd->engine, st);
	else
		lbd_status_nat(lbd->engine, st);
	if (r == 0)
		r = room_status_send(lbd->room, from, request->id, st);
	if (r < 0)
		room_reply(lbd->room, from, request->id, r, strerror(-r));
	room_status_free(st);
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct lbd *lbd = context;

	switch (msg->kind) {
	case TD_MSG_ROLE:
		lbd->role = msg->role;
		pass_role_on(lbd);
		break;
	case TD_MSG_SERVER_HEALTH:
		server_health(lbd, msg);
		break;
	case TD_MSG_REQUEST:
		if (msg->request.what == TD_REQ_LIST)
			list(lbd, from, &msg->request);
		else
			room_reply(lbd->room, from, msg->request.id, -EOPNOTSUPP,
			    "lbd answers status and list");
		break;
	case TD_MSG_NONE:
	case TD_MSG_SYNC_STATE:
	case TD_MSG_BARRIER:
	case TD_MSG_LAST_WORDS:
	case TD_MSG_REPLY:
	case TD_MSG_STATUS:
	case TD_MSG_PEER_CALL:
	case TD_MSG_FITNESS:
		break;
	}
}

static void
on_status(void *context, struct room_status *st)
{
	struct lbd *lbd = context;

	lbd_status_lb(lbd->engine, st);
	lbd_status_nat(lbd->engine, st);
	status_gauge(st, "tandem_lb_role", lbd->role.role, NULL);
	status_counter(
	    st, "tandem_lb_stale_health_total", (double)lbd->stale_health, NULL);
}

/* Rules, scheduler and forwarding stay: flows go on while we are away. */
static void
on_stop(void *context, bool orphan)
{
	struct lbd *lbd = context;

	(void)orphan;
	room_exit(lbd->room, 0);
}

int
main(int argc, char **argv)
{
	static struct lbd lbd;
	const struct room_callbacks callbacks = { .config = on_config,
		.fd = on_fd,
		.link_up = on_link_up,
		.message = on_message,
		.status = on_status,
		.stop = on_stop };
	int r;

	lbd.room = room_open(argc, argv, TD_ROOM_LBD, &callbacks, &lbd);
	r = engine_new(&lbd.engine);
	if (r < 0) {
		log_err("nat", "nf_tables cannot be reached: %s", strerror(-r));
		return 1;
	}
	loop_timer_init(room_loop(lbd.room), &lbd.maintain, on_maintain, &lbd);
	r = loop_fd_add(room_loop(lbd.room), &lbd.drift, engine_fd(lbd.engine), EPOLLIN,
	    on_drift, &lbd);
	if (r < 0) {
		log_err(
		    "nat", "changes of nf_tables cannot be followed: %s", strerror(-r));
		return 1;
	}
	r = room_run(lbd.room);
	engine_free(lbd.engine);
	return r;
}
