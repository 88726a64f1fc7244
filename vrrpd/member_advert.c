/* member_advert.c - the advertisements of one interface, a socket per family. */
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "common/log.h"
#include "vrrpd/daemon.h"
#include "vrrpd/independent.h"

static const uint8_t families[TD_FAMILIES] = { AF_INET, AF_INET6 };

static void
heard_advert(
    void *context, const struct vrrp_advert *advert, const struct td_addr *source)
{
	struct member *mb = context;
	struct node_event ev = { .kind = NODE_EV_ADVERT, .member = mb->index };

	if (mb->d->independent) {
		independent_advert(mb, advert, source);
		return;
	}
	mb->heard_from[source->family == AF_INET6] = *source;
	ev.advert.priority = advert->priority;
	ev.advert.interval_ns = advert->max_adver_interval_ns;
	daemon_event(mb->d, &ev, clock_now());
}

static const struct td_addr *
configured_address(const struct member *mb, uint8_t family, unsigned node)
{
	return &mb->interface->node_address[family == AF_INET6][node];
}

static bool
is_owner(const struct member *mb)
{
	const struct td_config *config = mb->d->config;

	return config->nodes[config->self].priority == VRRP_PRIORITY_OWNER;
}

struct td_addr
member_own_address(const struct member *mb, uint8_t family)
{
	const struct td_addr *configured =
	    configured_address(mb, family, mb->d->config->self);
	const struct link_facts *facts = link_facts(mb->link);

	/* RFC 9568 section 5.1.2.1: over IPv6 the source is link-local. */
	if (configured->family == family &&
	    (family == AF_INET || td_addr_is_link_local(configured)))
		return *configured;
	if (family == AF_INET6)
		return facts->own_address6;
	/* The owner may have no other address than those that it owns. */
	if (facts->own_address4.family == 0 && is_owner(mb))
		for (uint32_t i = 0; i < mb->interface->address_count; i++)
			if (mb->interface->addresses[i].addr.family == AF_INET)
				return mb->interface->addresses[i].addr;
	return facts->own_address4;
}

struct td_addr
member_peer_address(const struct member *mb, unsigned family_index)
{
	const struct td_addr *configured =
	    &mb->interface->node_address[family_index][1 - mb->d->config->self];

	return configured->family != 0 ? *configured : mb->heard_from[family_index];
}

static bool
advertises(const struct member *mb, uint8_t family)
{
	const struct td_interface *interface = mb->interface;

	return interface->vrid != 0 && interface_has_family(interface, family) &&
	       (interface->adverts == TD_ADVERTS_MULTICAST ||
		   (interface->adverts == TD_ADVERTS_UNICAST &&
		       configured_address(mb, family, 0)->family == family));
}

static void
make_binding(
    const struct member *mb, uint8_t family, struct advert_binding *ret_binding)
{
	const struct link_facts *facts = link_facts(mb->link);
	const struct td_config *config = mb->d->config;
	const struct td_addr *peer = configured_address(mb, family, 1 - config->self);
	struct advert_binding b = { .ifindex = facts->parent_ifindex,
		.interval_ns = config->vrrp.advertisement_interval_ns,
		.is_owner = is_owner(mb),
		.checksum = config->vrrp.checksum_pseudo_header
				? VRRP_CHECKSUM_PSEUDO_HEADER
				: VRRP_CHECKSUM_MESSAGE_ONLY };
	const struct td_prefix *addresses;
	unsigned count;

	memcpy(b.name, mb->interface->name, sizeof(b.name));
	memcpy(b.source_mac, facts->virtual_mac, sizeof(b.source_mac));
	b.accept.version = family == AF_INET ? config->vrrp.version : VRRP_VERSION;
	b.accept.family = family;
	b.accept.vrid = mb->interface->vrid;
	b.accept.unicast = mb->interface->adverts == TD_ADVERTS_UNICAST;
	b.accept.own = member_own_address(mb, family);
	b.accept.interval_ns = b.interval_ns;
	if (peer->family == AF_INET || td_addr_is_link_local(peer))
		b.accept.peer = *peer;
	/* The link-local one first, which link_addresses has made if there was none. */
	addresses = link_addresses(mb->link, &count);
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < count; i++)
			if (td_addr_is_link_local(&addresses[i].addr) == (pass == 0))
				advert_binding_add(&b, &addresses[i].addr);
	*ret_binding = b;
}

/* A family that left the configuration of an Active says so: RFC 9568 section 6.4.3. */
static void
stop_advertising(struct member *mb, unsigned f)
{
	if (mb->adverts[f] != NULL && member_is_active(mb))
		(void)advert_socket_send(mb->adverts[f], VRRP_PRIORITY_RESIGN);
	advert_socket_free(mb->adverts[f]);
	mb->adverts[f] = NULL;
}

int
member_bind_adverts(struct member *mb)
{
	struct advert_binding binding;
	int result = 0;

	for (unsigned f = 0; f < TD_FAMILIES && result == 0; f++) {
		if (!advertises(mb, families[f])) {
			stop_advertising(mb, f);
			continue;
		}
		if (mb->adverts[f] == NULL)
			result = advert_socket_new(
			    mb->d->loop, heard_advert, mb, &mb->adverts[f]);
		if (result < 0)
			break;
		make_binding(mb, families[f], &binding);
		result = advert_socket_bind(mb->adverts[f], &binding);
	}
	return result;
}

void
member_close_adverts(struct member *mb)
{
	const struct advert_binding none = { .ifindex = 0 };

	for (unsigned f = 0; f < TD_FAMILIES; f++)
		if (mb->adverts[f] != NULL)
			(void)advert_socket_bind(mb->adverts[f], &none);
}

bool
member_send_adverts(struct member *mb, uint8_t priority)
{
	bool sent = false;

	for (unsigned f = 0; f < TD_FAMILIES; f++)
		if (mb->adverts[f] != NULL &&
		    advert_socket_send(mb->adverts[f], priority) == 0)
			sent = true;
	return sent;
}

void
member_drain_adverts(struct member *mb)
{
	for (unsigned f = 0; f < TD_FAMILIES; f++)
		if (mb->adverts[f] != NULL)
			advert_socket_drain(mb->adverts[f]);
}

void
member_free_adverts(struct member *mb)
{
	for (unsigned f = 0; f < TD_FAMILIES; f++) {
		advert_socket_free(mb->adverts[f]);
		mb->adverts[f] = NULL;
	}
}

void
member_last_words(struct member *mb, bool speak)
{
	for (unsigned f = 0; f < TD_FAMILIES; f++) {
		struct td_msg msg = { .kind = TD_MSG_LAST_WORDS };

		/* Of a family that is not advertised (any more), nothing. */
		msg.last_words.ifindex = link_facts(mb->link)->parent_ifindex;
		msg.last_words.family = families[f];
		if (mb->family != 0 && mb->family != families[f])
			continue;
		if (speak && mb->adverts[f] != NULL)
			msg.last_words.len = (uint16_t)advert_socket_frame(
			    mb->adverts[f], VRRP_PRIORITY_RESIGN, msg.last_words.frame,
			    sizeof(msg.last_words.frame));
		(void)room_send(mb->d->room, TD_ROOM_TANDEMD, &msg);
	}
}
