/* member.c - one interface of the node: its device, sockets, fence and probes. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"
#include "vrrpd/daemon.h"
#include "vrrpd/independent.h"

#define HINT_REFRESH_NS (10 * NS_PER_S)

static void
probe_over(struct member *mb, bool reached, bool nobody)
{
	struct node_event ev = { .kind = NODE_EV_PROBED,
		.member = mb->index,
		.nobody = nobody,
		.reached = reached };

	daemon_event(mb->d, &ev, loop_now(mb->d->loop));
}

static void
on_probe_done(void *context, const struct probe_result *result)
{
	struct member *mb = context;

	log_debug("vrrp", "if=%s probe asked=%u answered=%u delay=%.1fms",
	    mb->interface->name, result->asked, result->answered,
	    (double)result->delay_ns / NS_PER_MS);
	if (result->answered > 0)
		mb->hint = result->first;
	if (mb->probe_for_hint)
		mb->probe_for_hint = false;
	else
		probe_over(mb, result->answered > 0, false);
}

static void
on_nobody(struct loop_timer *timer)
{
	probe_over(timer->context, false, true);
}

/* Gateways first, they are there even when nobody talks; then whom the peer knows, for
 * a Backup has no traffic of its own and often knows nobody. */
static unsigned
whom_to_ask(const struct member *mb, struct td_addr *ret_targets)
{
	const struct link_facts *facts = link_facts(mb->link);
	struct td_addr own4 = member_own_address(mb, AF_INET);
	unsigned count = 0;

	for (unsigned i = 0; i < mb->gateway_count; i++)
		ret_targets[count++] = mb->gateway[i];
	if (mb->peer_hint.family != 0 && !td_addr_equal(&mb->peer_hint, &own4) &&
	    !td_addr_equal(&mb->peer_hint, &facts->own_address6))
		ret_targets[count++] = mb->peer_hint;
	return count;
}

static int
ask_neighbours(struct member *mb, struct td_instant now, struct td_instant end)
{
	struct td_addr targets[MEMBER_GATEWAYS_MAX + 1];
	unsigned count = whom_to_ask(mb, targets);
	struct probe_pair pair = { 0 };

	for (unsigned f = 0; f < TD_FAMILIES; f++)
		pair.peer[f] = member_peer_address(mb, f);
	pair.addresses = link_addresses(mb->link, &pair.address_count);
	return probe_neighbours(mb->probe, targets, count, &pair, now, end);
}

void
member_probe(struct member *mb, struct td_instant now)
{
	struct td_instant end = instant_add(now, node_probe_ns(&mb->d->cfg));
	int result;

	mb->probe_for_hint = false;
	result = ask_neighbours(mb, now, end);
	if (result < 0) {
		if (result != -ENOENT)
			log_limited(LOG_LV_WARN, "vrrp", 1, "if=%s probe failed: %s",
			    mb->interface->name, strerror(-result));
		loop_timer_set(&mb->nobody_timer, now);
	}
}

void
member_probe_cancel(struct member *mb)
{
	mb->probe_for_hint = false;
	probe_cancel(mb->probe);
	loop_timer_cancel(&mb->nobody_timer);
}

void
member_refresh_hint(struct member *mb, struct td_instant now)
{
	const struct node *n = &mb->d->node;
	bool fresh =
	    mb->hint.family != 0 && instant_diff_ns(now, mb->hint_at) < HINT_REFRESH_NS;

	if (n->role != TD_ROLE_ACTIVE || n->member[mb->index].probing || fresh ||
	    !mb->bound || probe_is_running(mb->probe))
		return;
	mb->hint_at = now;
	mb->probe_for_hint =
	    ask_neighbours(mb, now, instant_add(now, node_probe_ns(&mb->d->cfg))) == 0;
}

static int
fence_member(struct member *mb)
{
	const struct link_facts *facts = link_facts(mb->link);
	struct fence_member fm = { .ifindex = facts->parent_ifindex,
		.family = mb->family,
		.lease = mb->lease,
		.has_virtual_mac = mb->interface->virtual_mac };
	const struct td_prefix *addresses;
	unsigned count;
	int result;

	mb->fence_attached = false;
	if (mb->d->fence == NULL || facts->parent_ifindex == 0)
		return 0;
	memcpy(fm.virtual_mac, facts->virtual_mac, sizeof(fm.virtual_mac));
	memcpy(fm.own_mac, facts->own_mac, sizeof(fm.own_mac));
	result = fence_member_set(mb->d->fence, &fm);
	addresses = link_addresses(mb->link, &count);
	for (unsigned i = 0; i < count && result == 0; i++)
		result = fence_address_add(
		    mb->d->fence, &addresses[i].addr, facts->parent_ifindex, mb->lease);
	if (result == 0)
		result = fence_attach(mb->d->fence, facts->parent_ifindex);
	if (result < 0)
		log_err("fence", "if=%s fence=off: %s", mb->interface->name,
		    strerror(-result));
	mb->fence_attached = result == 0;
	return result;
}

void
member_check_fence(struct member *mb)
{
	const struct link_facts *facts = link_facts(mb->link);
	int result;

	if (mb->d->fence == NULL || facts->parent_ifindex == 0)
		return;
	result = fence_check(mb->d->fence, facts->parent_ifindex);
	if (result == 0 && mb->fence_attached)
		return;
	log_warn("fence", "if=%s detached (%s), attaching again", mb->interface->name,
	    strerror(-result));
	mb->d->counters.fence_reattached++;
	fence_member(mb);
}

static int
bind_probe(struct member *mb)
{
	const struct link_facts *facts = link_facts(mb->link);
	struct probe_member pm = { .parent_ifindex = facts->parent_ifindex,
		.own_address4 = member_own_address(mb, AF_INET),
		.own_address6 = facts->own_address6 };

	memcpy(pm.own_mac, facts->own_mac, sizeof(pm.own_mac));
	memcpy(pm.virtual_mac, facts->virtual_mac, sizeof(pm.virtual_mac));
	return probe_bind(mb->probe, &pm);
}

static int
bind_announce(struct member *mb)
{
	const struct link_facts *facts = link_facts(mb->link);
	const struct td_prefix *addresses;
	unsigned count;
	int result =
	    announce_bind(mb->announce, facts->device_ifindex, facts->virtual_mac);

	if (result < 0)
		return result;
	addresses = link_addresses(mb->link, &count);
	return announce_set(mb->announce, addresses, count);
}

int
member_bind(struct member *mb)
{
	const struct link_facts *facts = link_facts(mb->link);
	const char *what = "advertisements";
	int result;

	mb->bound = false;
	if (facts->parent_ifindex == 0) {
		log_warn(
		    "vrrp", "if=%s is missing, waiting for it", mb->interface->name);
		return 0;
	}
	result = member_bind_adverts(mb);
	if (result == 0) {
		what = "probes";
		result = bind_probe(mb);
	}
	if (result == 0 && facts->device_ifindex != 0) {
		what = "announcements";
		result = bind_announce(mb);
	}
	if (result < 0)
		log_err("vrrp", "if=%s %s: %s", mb->interface->name, what,
		    strerror(-result));
	mb->bound = result == 0;
	return result;
}

/* Gateways are asked first: they are there even when nobody talks. */
static void
collect_gateways(struct member *mb)
{
	mb->gateway_count = 0;
	for (uint32_t i = 0; i < mb->interface->route_count; i++) {
		const struct td_addr *gateway = &mb->interface->routes[i].gateway;

		if (gateway->family != 0 &&
		    mb->gateway_count < sizeof(mb->gateway) / sizeof(mb->gateway[0]))
			mb->gateway[mb->gateway_count++] = *gateway;
	}
}

int
member_open(struct daemon *d, struct member *mb, uint8_t index, uint8_t family,
    const struct td_interface *interface)
{
	const char *what = "link";
	int result = -ENOMEM;

	*mb = (struct member){ .d = d, .index = index, .family = family };
	mb->lease = d->independent ? index : 0;
	loop_timer_init(d->loop, &mb->nobody_timer, on_nobody, mb);
	loop_timer_init(d->loop, &mb->router_timer, independent_timer, mb);
	mb->interface = interface_view_new(interface, family);
	if (mb->interface != NULL) {
		collect_gateways(mb);
		result = link_member_open(d->link, mb->interface, mb, &mb->link);
	}
	if (result == 0) {
		what = "announcements";
		result = announce_new(d->loop, d->config->vrrp.garp_repeat,
		    d->config->vrrp.garp_refresh_ns, &mb->announce);
	}
	if (result == 0) {
		what = "probes";
		result = probe_new(d->loop, on_probe_done, mb, &mb->probe);
	}
	if (result < 0) {
		log_err(
		    "vrrp", "if=%s %s: %s", interface->name, what, strerror(-result));
		return result;
	}
	fence_member(mb);
	return 0;
}

int
member_start(struct member *mb)
{
	int result = link_member_restore(mb->link);

	if (result < 0)
		log_err(
		    "vrrp", "if=%s: %s", mb->interface->name, link_error(mb->d->link));
	return result < 0 ? result : member_bind(mb);
}

static bool
has_address(const struct td_interface *interface, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (td_addr_equal(&interface->addresses[i].addr, addr))
			return true;
	return false;
}

int
member_update(struct member *mb, const struct td_interface *new_interface)
{
	struct td_interface *old = mb->interface;
	struct td_interface *interface = interface_view_new(new_interface, mb->family);
	const struct link_facts *facts = link_facts(mb->link);
	bool fenced = mb->d->fence != NULL && facts->parent_ifindex != 0;
	const struct td_prefix *made;
	unsigned count;
	int result = 0, bound;

	if (interface == NULL)
		return -ENOMEM;
	mb->interface = interface;
	collect_gateways(mb);
	/* New addresses are fenced before they exist, old ones until they are gone. */
	for (uint32_t i = 0; i < interface->address_count && fenced && result == 0; i++)
		result = fence_address_add(mb->d->fence, &interface->addresses[i].addr,
		    facts->parent_ifindex, mb->lease);
	if (result < 0) {
		log_err("vrrp", "if=%s fence: %s", interface->name, strerror(-result));
	} else {
		result = link_member_update(mb->link, interface);
		/* What is wanted of an interface that is away is done when it is back.
		 */
		if (result == -ENODEV && facts->device_ifindex == 0)
			result = 0;
		if (result < 0)
			log_err("vrrp", "if=%s update: %s", interface->name,
			    link_error(mb->d->link));
	}
	/* The link-local address that link made, if there was none before. */
	made = link_addresses(mb->link, &count);
	for (unsigned i = 0; i < count && fenced && result == 0; i++)
		result = fence_address_add(
		    mb->d->fence, &made[i].addr, facts->parent_ifindex, mb->lease);
	for (uint32_t i = 0; i < old->address_count && fenced; i++)
		if (!has_address(interface, &old->addresses[i].addr))
			fence_address_remove(mb->d->fence, &old->addresses[i].addr,
			    facts->parent_ifindex);
	interface_view_free(old);
	bound = member_bind(mb);
	if (member_is_active(mb))
		member_last_words(mb, true);
	return result < 0 ? result : bound;
}

/* Of a member that is still open. */
static bool
is_parent(const struct daemon *d, uint32_t ifindex)
{
	for (unsigned i = 0; i < d->member_count; i++)
		if (d->member[i].link != NULL &&
		    link_facts(d->member[i].link)->parent_ifindex == ifindex)
			return true;
	return false;
}

void
member_close(struct member *mb)
{
	uint32_t ifindex = mb->link != NULL ? link_facts(mb->link)->parent_ifindex : 0;

	loop_timer_cancel(&mb->nobody_timer);
	probe_free(mb->probe);
	announce_free(mb->announce);
	member_free_adverts(mb);
	if (mb->link != NULL)
		link_member_close(mb->link);
	mb->link = NULL;
	/* Only now: the fence outlives what it fences. */
	if (mb->d->fence != NULL && ifindex != 0 && !is_parent(mb->d, ifindex))
		fence_detach(mb->d->fence, ifindex);
	interface_view_free(mb->interface);
}

void
member_promote(struct member *mb)
{
	if (link_promote(mb->link) < 0) {
		mb->d->counters.address_errors++;
		log_err(
		    "vrrp", "if=%s: %s", mb->interface->name, link_error(mb->d->link));
	}
}

void
member_demote(struct member *mb)
{
	announce_stop(mb->announce);
	if (link_demote(mb->link) < 0) {
		mb->d->counters.address_errors++;
		log_err(
		    "vrrp", "if=%s: %s", mb->interface->name, link_error(mb->d->link));
	}
}

bool
member_is_active(const struct member *mb)
{
	return mb->d->independent ? mb->router.state == VRRP_ACTIVE
				  : mb->d->node.role == TD_ROLE_ACTIVE;
}

static void
on_carrier(void *context, struct link_member *link, bool up)
{
	struct daemon *d = context;
	struct member *mb = link_member_context(link);
	struct node_event ev = { .kind = NODE_EV_LINK, .member = mb->index };

	log_notice("vrrp", "if=%s link %s", mb->interface->name, up ? "up" : "down");
	if (d->independent) {
		independent_link(mb, up);
		return;
	}
	ev.link_up = up;
	daemon_event(d, &ev, loop_now(d->loop));
}

static void
on_gone(void *context, struct link_member *link)
{
	struct member *mb = link_member_context(link);

	log_warn("vrrp", "if=%s is gone", mb->interface->name);
	mb->bound = mb->fence_attached = false;
	member_close_adverts(mb);
	if (!link_facts(link)->carrier)
		on_carrier(context, link, false);
}

static void
on_back(void *context, struct link_member *link)
{
	struct daemon *d = context;
	struct member *mb = link_member_context(link);

	log_notice("vrrp", "if=%s is back", mb->interface->name);
	fence_member(mb);
	if (member_start(mb) == 0 && member_is_active(mb)) {
		member_promote(mb);
		announce_start(mb->announce, loop_now(d->loop));
	}
	on_carrier(context, link, link_facts(link)->carrier);
}

static void
on_changed(void *context, struct link_member *link)
{
	struct member *mb = link_member_context(link);

	(void)context;
	fence_member(mb);
	member_bind(mb);
	if (member_is_active(mb))
		member_last_words(mb, true);
}

static void
on_repaired(void *context, struct link_member *link, const struct td_addr *addr)
{
	struct daemon *d = context;
	struct member *mb = link_member_context(link);
	char text[TD_ADDR_STRLEN];

	d->counters.repaired++;
	if (addr == NULL) /* a route, which nobody needs to be told of */
		return;
	log_limited(LOG_LV_WARN, "vrrp", 5,
	    "if=%s address=%s was removed by somebody, put back", mb->interface->name,
	    td_addr_format(addr, text));
	announce_one(mb->announce, addr);
}

static void
on_tc_changed(void *context, struct link_member *link)
{
	(void)context;
	member_check_fence(link_member_context(link));
}

const struct link_callbacks member_link_callbacks = { .carrier = on_carrier,
	.gone = on_gone,
	.back = on_back,
	.changed = on_changed,
	.repaired = on_repaired,
	.tc_changed = on_tc_changed };
