/*
 * tandem-checkd - asks the servers of all balancers whether they are there.
 *
 * No capability. Both nodes ask, each for itself: a node acts on its own results, and
 * the first request after a takeover meets no server that is known to be dead. The
 * Backup asks half as often.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include "common/clock.h"
#include "common/histogram.h"
#include "common/log.h"
#include "common/room.h"
#include "lbcore/health/core/health_fsm.h"
#include "lbcore/health/probe.h"

#define CHECKS_RUNNING_MAX 256
#define SPREAD_NS NS_PER_S
#define BUSY_RETRY_NS (10 * NS_PER_MS)
#define RESEND_NS (100 * NS_PER_MS)

struct checkd;

struct check {
	struct checkd *checkd;
	uint32_t balancer, server;
	struct health health;
	struct loop_timer timer;
	struct loop_fd socket; /* while health.checking */
	int fd;                /* -1 = none */
	bool asked;            /* there was a result */
	bool unsaid;           /* lbd has not heard the state */
	enum health_result last_result;
	int64_t last_duration_ns;
	struct td_instant since; /* of the present state */
	uint64_t failures, downs;
};

struct checkd {
	struct room *room;
	struct td_config *config; /* owned */
	struct check *checks;     /* owned; one per server that is checked */
	uint32_t check_count, running;
	bool backup;
	struct loop_timer resend;
	struct td_histogram durations;
	uint64_t unsent;
};

static const struct td_balancer *
balancer_of(const struct check *check)
{
	return &check->checkd->config->balancers[check->balancer];
}

static const struct td_server *
server_of(const struct check *check)
{
	return &balancer_of(check)->servers[check->server];
}

/* Before the first result there is nothing to say: lbd knows better what it heard from
 * an earlier life of ours. */
static void
say(struct check *check)
{
	struct checkd *checkd = check->checkd;
	struct td_msg msg = { .kind = TD_MSG_SERVER_HEALTH };
	int r;

	if (!check->asked)
		return;
	msg.server_health.balancer = check->balancer;
	msg.server_health.server = check->server;
	msg.server_health.generation = checkd->config->generation;
	msg.server_health.up = check->health.up;
	msg.server_health.duration_ns = check->last_duration_ns;
	strcpy(msg.server_health.detail, health_reason(check->last_result));
	r = room_send(checkd->room, TD_ROOM_LBD, &msg);
	check->unsaid = r < 0;
	if (r == -EAGAIN) {
		checkd->unsent++;
		loop_timer_set(&checkd->resend,
		    instant_add(loop_now(room_loop(checkd->room)), RESEND_NS));
	}
}

static void
say_all(struct checkd *checkd)
{
	for (uint32_t i = 0; i < checkd->check_count; i++)
		say(&checkd->checks[i]);
}

static void
on_resend(struct loop_timer *timer)
{
	struct checkd *checkd = timer->context;

	for (uint32_t i = 0; i < checkd->check_count; i++)
		if (checkd->checks[i].unsaid)
			say(&checkd->checks[i]);
}

static uint32_t
active_servers(const struct check *check)
{
	const struct checkd *checkd = check->checkd;
	uint32_t n = 0;

	for (uint32_t i = 0; i < checkd->check_count; i++) {
		const struct check *other = &checkd->checks[i];

		n += other->balancer == check->balancer && other->health.up &&
		     server_of(other)->weight > 0;
	}
	return n;
}

/* The words that monitors of HAProxy look for. */
static void
log_change(const struct check *check)
{
	bool up = check->health.up;
	uint32_t active = active_servers(check);

	log_line(up ? LOG_LV_NOTICE : LOG_LV_WARN, "check",
	    "Server %s/%s is %s, reason: %s, check duration: %lldms. %u active and 0 "
	    "backup "
	    "servers %s.",
	    balancer_of(check)->name, server_of(check)->name, up ? "UP" : "DOWN",
	    health_reason(check->last_result),
	    (long long)(check->last_duration_ns / NS_PER_MS), active,
	    up ? "online" : "left");
	if (!up && active == 0)
		log_err("check", "backend %s has no server available!",
		    balancer_of(check)->name);
}

static void
socket_drop(struct check *check)
{
	if (check->fd < 0)
		return;
	loop_fd_remove(&check->socket);
	probe_close(check->fd);
	check->fd = -1;
	check->checkd->running--;
}

static void perform(
    struct check *check, const struct health_event *ev, struct td_instant now);

static void
on_socket(struct loop_fd *lf, uint32_t epoll_events)
{
	struct check *check = lf->context;
	struct health_event ev = { .kind = HEALTH_EV_RESULT };
	struct td_instant now = loop_now(lf->loop);

	(void)epoll_events;
	ev.result = probe_result(check->fd);
	socket_drop(check);
	perform(check, &ev, now);
}

static void
start(struct check *check, struct td_instant now)
{
	struct checkd *checkd = check->checkd;
	const struct td_balancer *balancer = balancer_of(check);
	struct td_endpoint endpoint = server_of(check)->endpoint;
	struct health_event ev = { .kind = HEALTH_EV_RESULT };

	if (balancer->health.port != 0)
		endpoint.port = balancer->health.port;
	check->fd = probe_start(checkd->config, &endpoint, &ev.result);
	if (check->fd >= 0) {
		checkd->running++;
		if (loop_fd_add(room_loop(checkd->room), &check->socket, check->fd,
			EPOLLOUT, on_socket, check) == 0)
			return;
		ev.result = HEALTH_SOCKERR;
		socket_drop(check);
	}
	if (ev.result == HEALTH_SOCKERR)
		log_limited(LOG_LV_WARN, "check", 1,
		    "server=%s/%s cannot be checked: %s", balancer->name,
		    server_of(check)->name, strerror(errno));
	perform(check, &ev, now);
}

static void
perform(struct check *check, const struct health_event *ev, struct td_instant now)
{
	const struct td_health *config = &balancer_of(check)->health;
	struct health_actions out;
	bool first;

	health_step(config, check->checkd->backup, &check->health, ev, now, &out);
	if (out.cancel)
		socket_drop(check);
	first = out.judged && !check->asked;
	if (out.judged) {
		check->asked = true;
		check->last_result = out.result;
		check->last_duration_ns = out.duration_ns;
		check->failures += out.result != HEALTH_L4OK;
		histogram_add(&check->checkd->durations, out.duration_ns);
	}
	if (out.changed) {
		check->since = now;
		check->downs += !check->health.up;
		log_change(check);
	}
	if (out.changed || first)
		say(check);
	loop_timer_set(&check->timer, check->health.deadline);
	if (out.start)
		start(check, now);
}

static void
on_timer(struct loop_timer *timer)
{
	struct check *check = timer->context;
	const struct health_event tick = { .kind = HEALTH_EV_TICK };
	struct td_instant now = loop_now(timer->loop);

	/* Sockets are bounded: whoever finds none comes back in a moment. */
	if (!check->health.checking && check->checkd->running >= CHECKS_RUNNING_MAX) {
		loop_timer_set(timer, instant_add(now, BUSY_RETRY_NS));
		return;
	}
	perform(check, &tick, now);
}

static const struct check *
find_same(
    const struct checkd *checkd, const struct td_config *config, uint32_t b, uint32_t s)
{
	for (uint32_t i = 0; i < checkd->check_count; i++) {
		const struct check *check = &checkd->checks[i];

		if (strcmp(balancer_of(check)->name, config->balancers[b].name) == 0 &&
		    strcmp(server_of(check)->name,
			config->balancers[b].servers[s].name) == 0)
			return check;
	}
	return NULL;
}

static void
checks_stop(struct checkd *checkd)
{
	for (uint32_t i = 0; i < checkd->check_count; i++) {
		loop_timer_cancel(&checkd->checks[i].timer);
		socket_drop(&checkd->checks[i]);
	}
}

/* State, statistics and rhythm go on for a server whose check and address did not
 * change. */
static void
inherit(struct check *check, const struct check *old, const struct td_config *config)
{
	const struct td_balancer *is = &config->balancers[check->balancer];
	const struct td_balancer *was = balancer_of(old);
	const struct td_server *server = &is->servers[check->server];

	if (memcmp(&is->health, &was->health, sizeof(is->health)) != 0 ||
	    server->endpoint.port != server_of(old)->endpoint.port ||
	    !td_addr_equal(&server->endpoint.addr, &server_of(old)->endpoint.addr))
		return;
	check->health = old->health;
	if (check->health.checking) {
		check->health.checking = false;
		check->health.deadline = check->health.began;
	}
	check->asked = old->asked;
	check->last_result = old->last_result;
	check->last_duration_ns = old->last_duration_ns;
	check->since = old->since;
	check->failures = old->failures;
	check->downs = old->downs;
}

static int
on_config(void *context, struct td_config *config)
{
	struct checkd *checkd = context;
	struct td_instant now = clock_now();
	struct check *checks;
	uint32_t max = 0, count = 0;

	for (uint32_t b = 0; b < config->balancer_count; b++)
		if (config->balancers[b].health.type != TD_HEALTH_NONE)
			max += config->balancers[b].server_count;
	checks = calloc((size_t)max + 1, sizeof(*checks));
	if (checks == NULL) {
		td_config_free(config);
		return -ENOMEM;
	}
	for (uint32_t b = 0; b < config->balancer_count; b++) {
		const struct td_balancer *balancer = &config->balancers[b];
		int64_t spread_ns = balancer->health.interval_ns < SPREAD_NS
					? balancer->health.interval_ns
					: SPREAD_NS;

		if (balancer->health.type == TD_HEALTH_NONE)
			continue;
		for (uint32_t s = 0; s < balancer->server_count; s++) {
			struct check *check = &checks[count];
			const struct check *old = find_same(checkd, config, b, s);

			check->checkd = checkd;
			check->balancer = b;
			check->server = s;
			check->fd = -1;
			check->since = now;
			/* The first round begins at once and is spread. */
			health_init(&check->health, &balancer->health,
			    instant_add(now, spread_ns * count / max));
			if (old != NULL)
				inherit(check, old, config);
			count++;
		}
	}
	checks_stop(checkd);
	free(checkd->checks);
	td_config_free(checkd->config);
	checkd->config = config;
	checkd->checks = checks;
	checkd->check_count = count;
	for (uint32_t i = 0; i < count; i++) {
		loop_timer_init(
		    room_loop(checkd->room), &checks[i].timer, on_timer, &checks[i]);
		loop_timer_set(&checks[i].timer, checks[i].health.deadline);
	}
	log_info("check", "generation=%llu servers=%u",
	    (unsigned long long)config->generation, count);
	/* If lbd takes this configuration later than we do, it asks. */
	say_all(checkd);
	return 0;
}

static void
on_link_up(void *context, enum td_room peer)
{
	if (peer == TD_ROOM_LBD)
		say_all(context);
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct checkd *checkd = context;

	if (msg->kind == TD_MSG_ROLE)
		checkd->backup = msg->role.role != TD_ROLE_ACTIVE;
	if (msg->kind != TD_MSG_REQUEST)
		return;
	if (msg->request.what == TD_REQ_RESYNC) {
		say_all(checkd);
		room_reply(checkd->room, from, msg->request.id, 0, "");
		return;
	}
	room_reply(checkd->room, from, msg->request.id, -EOPNOTSUPP,
	    "checkd answers status and resync");
}

static void
on_status(void *context, struct room_status *st)
{
	struct checkd *checkd = context;
	struct td_instant now = clock_now();

	for (uint32_t i = 0; i < checkd->check_count; i++) {
		const struct check *check = &checkd->checks[i];
		const char *balancer = balancer_of(check)->name;
		const char *server = server_of(check)->name;

		status_gauge(st, "tandem_check_up", check->health.up, "balancer",
		    balancer, "server", server, NULL);
		status_info(st, "tandem_check_status_info", "balancer", balancer,
		    "server", server, "status",
		    check->asked ? health_status_name(check->last_result) : "INI",
		    NULL);
		status_gauge(st, "tandem_check_duration_seconds",
		    (double)check->last_duration_ns / (double)NS_PER_S, "balancer",
		    balancer, "server", server, NULL);
		status_gauge(st, "tandem_check_last_change_seconds",
		    (double)instant_diff_ns(now, check->since) / (double)NS_PER_S,
		    "balancer", balancer, "server", server, NULL);
		status_counter(st, "tandem_check_failures_total",
		    (double)check->failures, "balancer", balancer, "server", server,
		    NULL);
		status_counter(st, "tandem_check_downs_total", (double)check->downs,
		    "balancer", balancer, "server", server, NULL);
	}
	status_gauge(st, "tandem_check_running", checkd->running, NULL);
	status_counter(st, "tandem_check_unsent_total", (double)checkd->unsent, NULL);
	status_histogram(st, "tandem_check_seconds", &checkd->durations, NULL);
}

static void
on_stop(void *context, bool orphan)
{
	struct checkd *checkd = context;

	(void)orphan;
	room_exit(checkd->room, 0);
}

int
main(int argc, char **argv)
{
	static struct checkd checkd;
	const struct room_callbacks callbacks = { .config = on_config,
		.link_up = on_link_up,
		.message = on_message,
		.status = on_status,
		.stop = on_stop };

	checkd.backup = true;
	checkd.room = room_open(argc, argv, TD_ROOM_CHECKD, &callbacks, &checkd);
	loop_timer_init(room_loop(checkd.room), &checkd.resend, on_resend, &checkd);
	return room_run(checkd.room);
}
