/* main.c - tandem-vrrpd: from tandemd's messages to a running election. */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"
#include "vrrpd/daemon.h"
#include "vrrpd/independent.h"

#define FENCE_CHECK_NS (1 * NS_PER_S)

static void
take_secret(struct daemon *d, int fd)
{
	d->has_secret = pread(fd, d->secret, sizeof(d->secret), 0) == sizeof(d->secret);
	close(fd);
}

static void
on_fd(void *context, const char *name, int fd)
{
	struct daemon *d = context;

	if (strcmp(name, "secret-key") == 0) {
		take_secret(d, fd);
	} else if (strcmp(name, "state-dir") == 0) {
		if (d->state_dir_fd >= 0)
			close(d->state_dir_fd);
		d->state_dir_fd = fd;
	} else if (!fence_fds_take(&d->fence_fds, name, fd)) {
		log_warn("vrrp", "descriptor %s is not for us", name);
		close(fd);
	}
}

/* The term in use that could not be stored when it was taken into use, until it is.
 * Prepared first: nothing here may wait for the disk. */
static int
keep_term(struct daemon *d)
{
	uint64_t term = d->node.term;
	int result = term_store_poll(&d->terms);

	if (d->node.role != TD_ROLE_ACTIVE || !term_store_lacks(&d->terms, term))
		return result;
	if (d->terms.prepared == term)
		return term_store_commit(&d->terms, term);
	if (result == 0)
		return term_store_prepare(&d->terms, term);
	(void)term_store_prepare(&d->terms, term);
	return result;
}

/* Once a second, and after each takeover: what must not hold up an advertisement. */
static void
on_fence_timer(struct loop_timer *timer)
{
	struct daemon *d = timer->context;
	int result = keep_term(d);

	if (result < 0) {
		d->counters.term_errors++;
		log_limited(LOG_LV_ERR, "vrrp", 1, "term=%" PRIu64 " not stored: %s",
		    d->node.term, strerror(-result));
	}
	for (unsigned i = 0; i < d->member_count; i++) {
		member_check_fence(&d->member[i]);
		if (!d->independent)
			member_refresh_hint(&d->member[i], loop_now(d->loop));
	}
	loop_timer_set(timer, instant_add(loop_now(d->loop), FENCE_CHECK_NS));
}

static void
on_witness(void *context, const struct witness_payload *payload)
{
	struct daemon *d = context;
	struct node_event ev = { .kind = NODE_EV_WITNESS, .witness = payload };

	for (unsigned i = 0; i < d->member_count; i++)
		if (payload->hint[i].family != 0)
			d->member[i].peer_hint = payload->hint[i];
	daemon_event(d, &ev, clock_now());
}

/* The peer waits for our echo: answer now, outside the election's turn. */
static void
on_witness_asked(void *context)
{
	struct daemon *d = context;
	struct witness_payload payload;

	if (!d->running || d->node.role == TD_ROLE_INITIALIZE)
		return;
	node_witness(&d->cfg, &d->node, loop_now(d->loop), &payload);
	(void)daemon_send_witness(d, &payload);
}

static void
make_node_config(const struct td_config *config, struct node_config *ret)
{
	struct node_config cfg = { .index = (uint8_t)config->self,
		.priority = config->nodes[config->self].priority,
		.interval_ns = config->vrrp.advertisement_interval_ns,
		.preempt = config->vrrp.preempt,
		.preempt_delay_ns = config->vrrp.preempt_delay_ns,
		.member_count = (uint8_t)config->interface_count,
		.blind = ret->blind };

	for (uint32_t i = 0; i < config->interface_count; i++)
		cfg.advertises[i] = config->interfaces[i].adverts != TD_ADVERTS_NONE &&
				    config->interfaces[i].vrid != 0;
	*ret = cfg;
}

static int
open_fence(struct daemon *d)
{
	int result;

	if (d->config->vrrp.fence == TD_FENCE_OFF) {
		log_notice("fence", "fence=off by configuration");
		return 0;
	}
	if (!fence_fds_complete(&d->fence_fds)) {
		log_err("fence", "fence=off: its programs could not be loaded");
		return 0;
	}
	result = fence_new(&d->fence_fds, room_instance(d->room), &d->fence);
	if (result < 0)
		log_err("fence", "fence=off: %s", strerror(-result));
	return 0;
}

static void
close_fence(struct daemon *d)
{
	for (unsigned lease = 0; d->fence != NULL && lease < TD_FENCE_LEASES; lease++)
		fence_close(d->fence, lease);
}

/* One member of it, or in mode independent one per family. */
static int
open_interface(struct daemon *d, const struct td_interface *interface)
{
	static const uint8_t each[] = { TD_AF_INET, TD_AF_INET6 }, both[] = { 0 };
	const uint8_t *families = d->independent ? each : both;
	int result = 0;

	for (unsigned f = 0; f < (d->independent ? 2 : 1) && result == 0; f++) {
		uint8_t index = (uint8_t)d->member_count;

		if (families[f] != 0 && !interface_has_family(interface, families[f]))
			continue;
		td_assert(d->member_count < TD_INTERFACES_MAX);
		d->member_count++;
		result =
		    member_open(d, &d->member[index], index, families[f], interface);
	}
	return result;
}

static int
reconcile(struct daemon *d)
{
	struct td_interface views[TD_INTERFACES_MAX];

	for (unsigned i = 0; i < d->member_count; i++)
		views[i] = *d->member[i].interface;
	return link_reconcile(d->link, views, d->member_count);
}

static int
open_members(struct daemon *d)
{
	int result = link_new(d->loop, d->config->cluster, room_instance(d->room),
	    d->state_dir_fd, &member_link_callbacks, d, &d->link);

	if (result < 0) {
		log_err("vrrp", "links: %s", strerror(-result));
		return result;
	}
	for (uint32_t i = 0; i < d->config->interface_count && result == 0; i++)
		result = open_interface(d, &d->config->interfaces[i]);
	if (result == 0) {
		/* Behind a closed fence: what an earlier life left must not speak. */
		close_fence(d);
		if (reconcile(d) < 0)
			log_err("vrrp", "reconcile: %s", link_error(d->link));
		/* Only now: the leftovers had to stay fenced until they were gone. */
		if (d->fence != NULL) {
			int pruned = fence_prune(d->fence);

			if (pruned < 0)
				log_err("fence", "old entries: %s", strerror(-pruned));
		}
	}
	for (unsigned i = 0; i < d->member_count && result == 0; i++)
		result = member_start(&d->member[i]);
	return result;
}

static void
start_election(struct daemon *d)
{
	struct td_instant now = clock_now();
	struct node_event ev = { .kind = NODE_EV_STARTUP };

	d->running = true;
	loop_timer_set(&d->fence_timer, instant_add(now, FENCE_CHECK_NS));
	if (d->independent) {
		independent_start(d);
		return;
	}
	daemon_event(d, &ev, now);
	for (unsigned i = 0; i < d->member_count; i++) {
		ev = (struct node_event){ .kind = NODE_EV_LINK, .member = (uint8_t)i };
		ev.link_up = link_facts(d->member[i].link)->carrier;
		daemon_event(d, &ev, now);
	}
}

static int
open_witness(struct daemon *d)
{
	int result;

	if (!d->has_secret) {
		log_err("witness", "no secret key: nothing can be sealed");
		return -ENOKEY;
	}
	result = witness_socket_new(d->loop, d->config, d->secret, on_witness,
	    on_witness_asked, d, &d->witness);
	sodium_memzero(d->secret, sizeof(d->secret));
	if (result < 0)
		log_err("witness", "%s",
		    result == -ENOKEY
			? "the secret key does not belong to this node's public_key"
			: strerror(-result));
	return result;
}

static int
first_config(struct daemon *d)
{
	const struct td_config *config = d->config;
	uint64_t term;
	int result;

	d->independent = config->vrrp.mode == TD_VRRP_INDEPENDENT;
	make_node_config(config, &d->cfg);
	result = term_store_open(&d->terms, d->state_dir_fd, &term);
	if (result < 0) {
		/* A router without its old terms is better than none: it learns them
		 * from the peer's witness before it takes over from it. */
		d->counters.term_errors++;
		log_err("vrrp",
		    "state directory, file term: %s: going on with term=%" PRIu64,
		    strerror(-result), term);
	}
	node_init(&d->node, term);
	result = d->independent ? 0 : open_witness(d);
	if (result == 0)
		result = open_fence(d);
	if (result == 0)
		result = open_members(d);
	if (result == 0)
		start_election(d);
	return result;
}

static bool
same_member(
    const struct td_interface *a, const struct td_interface *b, bool independent)
{
	bool same = strcmp(a->name, b->name) == 0 && a->vrid == b->vrid &&
		    a->adverts == b->adverts && a->virtual_mac == b->virtual_mac &&
		    link_family(a) == link_family(b);

	/* A family more or less is a virtual router more or less. */
	if (independent)
		same &= interface_has_family(a, TD_AF_INET6) ==
			interface_has_family(b, TD_AF_INET6);
	for (unsigned i = 0; i < TD_FAMILIES * TD_NODES; i++)
		same &= td_addr_equal(&a->node_address[i / TD_NODES][i % TD_NODES],
		    &b->node_address[i / TD_NODES][i % TD_NODES]);
	return same;
}

static bool
same_node(const struct td_node *a, const struct td_node *b)
{
	bool same = memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0;

	for (unsigned i = 0; i < TD_SYNC_LINKS_MAX; i++)
		same &= td_addr_equal(&a->sync_address[i], &b->sync_address[i]);
	return same;
}

/* What may change while the election runs: priorities, preemption, addresses, routes
 * and announcements. */
static bool
applies_live(const struct td_config *old, const struct td_config *new)
{
	bool same = strcmp(old->cluster, new->cluster) == 0 && old->self == new->self &&
		    old->vrrp.mode == new->vrrp.mode &&
		    old->vrrp.version == new->vrrp.version &&
		    old->vrrp.advertisement_interval_ns ==
			new->vrrp.advertisement_interval_ns &&
		    old->vrrp.fence == new->vrrp.fence &&
		    old->sync.witness_port == new->sync.witness_port &&
		    old->interface_count == new->interface_count &&same_node(
						&old->nodes[0], &new->nodes[0]) &&
		    same_node(&old->nodes[1], &new->nodes[1]);

	for (uint32_t i = 0; same && i < old->interface_count; i++)
		same = same_member(&old->interfaces[i], &new->interfaces[i],
		    old->vrrp.mode == TD_VRRP_INDEPENDENT);
	return same;
}

static const struct td_interface *
find_interface(const struct td_config *config, const struct member *mb)
{
	uint32_t i = 0;

	/* applies_live has seen that it is there. */
	while (strcmp(config->interfaces[i].name, mb->interface->name) != 0)
		i++;
	return &config->interfaces[i];
}

/* All members or none: a refused one gives the others what they had. */
static int
update_members(
    struct daemon *d, const struct td_config *old, const struct td_config *new)
{
	int result = 0, undone;
	unsigned i;

	for (i = 0; i < d->member_count && result >= 0; i++)
		result =
		    member_update(&d->member[i], find_interface(new, &d->member[i]));
	if (result >= 0)
		return 0;
	log_err("vrrp", "if=%s generation=%" PRIu64 " refused: %s",
	    d->member[i - 1].interface->name, new->generation, strerror(-result));
	while (i-- > 0) {
		undone =
		    member_update(&d->member[i], find_interface(old, &d->member[i]));
		if (undone < 0)
			log_err("vrrp", "if=%s not everything could be put back: %s",
			    d->member[i].interface->name, strerror(-undone));
	}
	return result;
}

/* Other scripts: what the old ones said means nothing. */
static void
forget_fitness(struct daemon *d)
{
	struct node_event ev = { .kind = NODE_EV_UNFIT };

	daemon_event(d, &ev, loop_now(d->loop));
}

static int
on_config(void *context, struct td_config *config)
{
	struct daemon *d = context;
	struct td_config *old = d->config;
	uint8_t old_priority;
	int result;

	if (!d->running) {
		d->config = config;
		return first_config(d);
	}
	if (!applies_live(old, config)) {
		td_config_free(config);
		return -EOPNOTSUPP;
	}
	d->config = config;
	result = update_members(d, old, config);
	if (result < 0) {
		d->config = old;
		td_config_free(config);
		return result;
	}
	old_priority = d->cfg.priority;
	make_node_config(config, &d->cfg);
	if (d->independent) {
		independent_config(d, old_priority);
	} else {
		node_priority_changed(&d->cfg, &d->node, old_priority);
		witness_socket_set_generation(d->witness, config->generation);
		if (!td_track_scripts_equal(old, config))
			forget_fitness(d);
	}
	td_config_free(old);
	log_notice("vrrp", "generation=%" PRIu64 " applied", config->generation);
	return 0;
}

static void
on_link_up(void *context, enum td_room peer)
{
	struct daemon *d = context;
	struct td_msg msg = { .kind = TD_MSG_ROLE };

	if (!d->running)
		return;
	if (peer == TD_ROOM_SYNCD || peer == TD_ROOM_LBD || peer == TD_ROOM_MGMTD ||
	    peer == TD_ROOM_TANDEMD || peer == TD_ROOM_HOOKD) {
		if (d->independent)
			independent_role(d, &msg.role);
		else
			node_role(&d->cfg, &d->node, loop_now(d->loop), &msg.role);
		(void)room_send(d->room, peer, &msg);
	}
	if (peer == TD_ROOM_HOOKD && d->independent)
		independent_tell_routers(d);
	if (peer == TD_ROOM_TANDEMD)
		for (unsigned i = 0; i < d->member_count; i++)
			member_last_words(
			    &d->member[i], d->node.role == TD_ROLE_ACTIVE);
}

static void
sync_state(struct daemon *d, bool have_state, bool peer_has_state)
{
	struct node_event ev = { .kind = NODE_EV_SYNC_STATE };

	if (d->independent)
		return;
	ev.sync.have_state = have_state;
	ev.sync.peer_has_state = peer_has_state;
	daemon_event(d, &ev, loop_now(d->loop));
}

static void
on_link_down(void *context, enum td_room peer)
{
	/* The kernel still has the replicas; the peer's view comes back with syncd. */
	if (peer == TD_ROOM_SYNCD)
		sync_state(context, false, false);
}

static void
on_request(struct daemon *d, enum td_room from, const struct td_msg_request *request)
{
	struct node_event ev = { .kind = NODE_EV_SWITCHOVER };

	if (request->what == TD_REQ_MAINTENANCE && from == TD_ROOM_TANDEMD) {
		log_notice(
		    "vrrp", "maintenance %s", request->number != 0 ? "on" : "off");
		ev = (struct node_event){ .kind = NODE_EV_MAINTENANCE };
		ev.maintenance = request->number != 0;
		if (!d->independent)
			daemon_event(d, &ev, loop_now(d->loop));
		return;
	}
	if (request->what != TD_REQ_SWITCHOVER) {
		(void)room_reply(
		    d->room, from, request->id, -EOPNOTSUPP, "not for vrrpd");
		return;
	}
	if (d->independent) {
		(void)room_reply(d->room, from, request->id, -EOPNOTSUPP,
		    "mode independent knows no switchover");
		return;
	}
	if (!d->running || d->node.handover_asked) {
		(void)room_reply(d->room, from, request->id, -EBUSY,
		    node_refusal_text(NODE_REFUSED_BUSY));
		return;
	}
	d->request_id = request->id;
	d->request_from = from;
	daemon_event(d, &ev, loop_now(d->loop));
}

/* What the track scripts have judged; of the others the last word stands. */
static void
on_fitness(struct daemon *d, const struct td_msg_fitness *fitness)
{
	struct node_event ev = { .kind = NODE_EV_UNFIT };

	if (d->independent || !d->running ||
	    fitness->generation != d->config->generation)
		return;
	ev.unfit = (uint16_t)((d->node.unfit & ~fitness->known) |
			      (fitness->unfit & fitness->known));
	if (ev.unfit != d->node.unfit)
		daemon_event(d, &ev, loop_now(d->loop));
}

static void
on_message(void *context, enum td_room from, struct td_msg *msg)
{
	struct daemon *d = context;
	struct node_event ev;

	switch (msg->kind) {
	case TD_MSG_SYNC_STATE:
		sync_state(
		    d, msg->sync_state.have_state, msg->sync_state.peer_has_state);
		break;
	case TD_MSG_BARRIER:
		if (!msg->barrier.done || msg->barrier.id != d->barrier_id ||
		    d->independent)
			break;
		ev = (struct node_event){ .kind = NODE_EV_BARRIER };
		ev.barrier_ok = msg->barrier.ok;
		daemon_event(d, &ev, loop_now(d->loop));
		break;
	case TD_MSG_REQUEST:
		on_request(d, from, &msg->request);
		break;
	case TD_MSG_FITNESS:
		on_fitness(d, &msg->fitness);
		break;
	case TD_MSG_NONE:
	case TD_MSG_ROLE:
	case TD_MSG_SERVER_HEALTH:
	case TD_MSG_LAST_WORDS:
	case TD_MSG_REPLY:
	case TD_MSG_STATUS:
	case TD_MSG_PEER_CALL:
		log_limited(LOG_LV_WARN, "vrrp", 1, "unexpected message %d from %s",
		    (int)msg->kind, td_room_name(from));
		break;
	}
}

static void
on_stop(void *context, bool orphan)
{
	struct daemon *d = context;
	struct node_event ev = { .kind = NODE_EV_SHUTDOWN };

	d->stopping = true;
	/* Without tandemd nobody would close the fence after us: no time for a drain.
	 */
	ev.now = orphan;
	if (d->running && d->independent) {
		independent_stop(d);
		loop_timer_set(&d->exit_timer, loop_now(d->loop));
	} else if (d->running) {
		daemon_event(d, &ev, loop_now(d->loop));
	} else {
		room_exit(d->room, 0);
	}
}

static void
close_daemon(struct daemon *d)
{
	d->running = false;
	loop_timer_cancel(&d->timer);
	loop_timer_cancel(&d->fence_timer);
	close_fence(d);
	for (unsigned i = 0; i < d->member_count; i++)
		member_close(&d->member[i]);
	if (d->link != NULL)
		link_free(d->link);
	witness_socket_free(d->witness);
	fence_free(d->fence);
	fence_fds_close(&d->fence_fds);
	(void)term_store_finish(&d->terms);
	if (d->state_dir_fd >= 0)
		close(d->state_dir_fd);
	td_config_free(d->config);
	sodium_memzero(d->secret, sizeof(d->secret));
}

static void
on_exit_timer(struct loop_timer *timer)
{
	struct daemon *d = timer->context;

	close_daemon(d);
	room_exit(d->room, EXIT_SUCCESS);
}

int
main(int argc, char **argv)
{
	static const struct room_callbacks callbacks = { .config = on_config,
		.fd = on_fd,
		.link_up = on_link_up,
		.link_down = on_link_down,
		.message = on_message,
		.status = daemon_status,
		.stop = on_stop };
	static struct daemon d; /* large, and one per process; only passed down */

	d.state_dir_fd = d.terms.dir_fd = -1;
	fence_fds_init(&d.fence_fds);
	d.room = room_open(argc, argv, TD_ROOM_VRRPD, &callbacks, &d);
	if (d.room == NULL)
		return EXIT_FAILURE;
	/* A page fault to a disk could outlast the lease. tandemd has raised the limit.
	 */
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_warn("vrrp", "memory is not locked: %s", strerror(errno));
	d.loop = room_loop(d.room);
	loop_timer_init(d.loop, &d.timer, daemon_tick, &d);
	loop_timer_init(d.loop, &d.fence_timer, on_fence_timer, &d);
	loop_timer_init(d.loop, &d.exit_timer, on_exit_timer, &d);
	return room_run(d.room);
}
