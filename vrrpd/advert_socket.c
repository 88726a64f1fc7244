#include "vrrpd/advert_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/log.h"
#include "common/loop.h"

#define RECEIVE_BYTES 2048
#define RECEIVE_BUFFER_BYTES (256 * 1024)
/* One wake-up reads at most this many: a flood must not keep us from our own advert. */
#define DRAIN_MAX 512
#define PRIORITY_CONTROL                                                               \
	7 /* TC_PRIO_CONTROL: ahead of transit traffic in the queue                    \
	   */
#define TOS_CONTROL 0xc0

struct advert_socket {
	struct loop *loop;
	struct loop_fd lf;
	advert_heard *heard;
	void *context;
	int packet_fd;
	int ip_fd; /* unicast: sends; IPv6 multicast: holds the membership */
	struct advert_binding b;
	struct advert_counters counters;
	bool heard_other_list; /* by the last advertisement */
	int64_t heard_interval_ns;
};

static void
on_readable(struct loop_fd *lf, uint32_t events)
{
	(void)events;
	advert_socket_drain(lf->context);
}

int
advert_socket_new(struct loop *loop, advert_heard *heard, void *context,
    struct advert_socket **ret_socket)
{
	struct advert_socket *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->loop = loop;
	s->heard = heard;
	s->context = context;
	s->packet_fd = s->ip_fd = -1;
	*ret_socket = s;
	return 0;
}

void
advert_binding_add(struct advert_binding *b, const struct td_addr *addr)
{
	size_t len = td_addr_len(addr);
	unsigned max =
	    addr->family == AF_INET6 ? VRRP_ADDRESSES6_MAX : VRRP_ADDRESSES_MAX;

	if (addr->family == b->accept.family && b->address_count < max)
		memcpy(b->addresses + len * b->address_count++, addr->bytes, len);
}

static void
close_all(struct advert_socket *s)
{
	if (s->packet_fd >= 0) {
		loop_fd_remove(&s->lf);
		close(s->packet_fd);
	}
	if (s->ip_fd >= 0)
		close(s->ip_fd);
	s->packet_fd = s->ip_fd = -1;
}

void
advert_socket_free(struct advert_socket *s)
{
	if (s == NULL)
		return;
	close_all(s);
	free(s);
}

/* Protocol 112 in untagged frames of our family that came in. A parent also shows the
 * frames of its VLANs; those belong to other members. */
static int
filter_adverts(int fd, uint8_t family)
{
	const bool v6 = family == AF_INET6;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7),
		BPF_STMT(
		    BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 5, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v6 ? ETH_P_IPV6 : ETH_P_IP, 0, 3),
		/* protocol, or next header */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHER_HEADER_BYTES + (v6 ? 6 : 9)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VRRP_PROTOCOL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, RECEIVE_BYTES),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
		return -errno;
	return 0;
}

static int
open_packet(struct advert_socket *s)
{
	uint8_t family = s->b.accept.family;
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)s->b.ifindex };
	struct packet_mreq group = { .mr_ifindex = (int)s->b.ifindex,
		.mr_type = PACKET_MR_MULTICAST,
		.mr_alen = 6 };
	int buffer = RECEIVE_BUFFER_BYTES, priority = PRIORITY_CONTROL, result;
	/* Protocol 0: nothing arrives before the filter is in place. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	memcpy(group.mr_address, vrrp_group_mac(family), 6);
	if (filter_adverts(fd, family) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) < 0 ||
	    bind(fd, (struct sockaddr *)&sll, sizeof(sll)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group)) <
		0)
		goto fail;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	result = loop_fd_add(s->loop, &s->lf, fd, EPOLLIN, on_readable, s);
	if (result < 0) {
		close(fd);
		return result;
	}
	s->packet_fd = fd;
	return 0;
fail:
	result = -errno;
	close(fd);
	return result;
}

/* Sends only, the packet socket hears; bound to the parent. */
static int
open_ip(const struct advert_socket *s)
{
	static const struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog filter = { 1, (struct sock_filter *)nothing };
	int priority = PRIORITY_CONTROL, result;
	int fd = socket(
	    s->b.accept.family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, VRRP_PROTOCOL);
	char name[IF_NAMESIZE];

	if (fd < 0)
		return -errno;
	if (if_indextoname(s->b.ifindex, name) == NULL ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

/* The length of a socket address of this advertisement's family. */
static socklen_t
socket_address(const struct advert_socket *s, const struct td_addr *addr,
    struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = addr->family;
	if (addr->family == AF_INET) {
		memcpy(&in->sin_addr, addr->bytes, 4);
		return sizeof(*in);
	}
	memcpy(&in6->sin6_addr, addr->bytes, 16);
	if (td_addr_is_link_local(addr))
		in6->sin6_scope_id = s->b.ifindex;
	return sizeof(*in6);
}

static int
open_unicast(struct advert_socket *s)
{
	bool v6 = s->b.accept.family == AF_INET6;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int ttl = VRRP_TTL, tos = TOS_CONTROL, one = 1, result;
	int fd = open_ip(s);
	struct sockaddr_storage own;
	socklen_t len = socket_address(s, &s->b.accept.own, &own);

	if (fd < 0)
		return fd;
	if (setsockopt(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, &ttl, sizeof(ttl)) <
		0 ||
	    setsockopt(fd, level, v6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos)) < 0 ||
	    /* The address may be away, or still tentative: nobody tells us when not. */
	    setsockopt(fd, level, v6 ? IPV6_FREEBIND : IP_FREEBIND, &one, sizeof(one)) <
		0 ||
	    bind(fd, (struct sockaddr *)&own, len) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	s->ip_fd = fd;
	return 0;
}

/* Without IPv6 on the parent there is no group: it is heard where nobody snoops. */
static void
join_group6(struct advert_socket *s)
{
	struct td_addr group = vrrp_group(AF_INET6);
	struct ipv6_mreq mreq = { .ipv6mr_interface = s->b.ifindex };
	int fd = open_ip(s);

	memcpy(&mreq.ipv6mr_multiaddr, group.bytes, 16);
	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mreq, sizeof(mreq)) < 0)
		log_warn("vrrp", "vrid=%u if=%s ff02::12 not joined: %s",
		    s->b.accept.vrid, s->b.name, strerror(fd < 0 ? -fd : errno));
	s->ip_fd = fd;
}

/* What was queued in them meanwhile is kept. */
static bool
same_sockets(const struct advert_binding *a, const struct advert_binding *b)
{
	return a->ifindex == b->ifindex && strcmp(a->name, b->name) == 0 &&
	       a->accept.family == b->accept.family &&
	       a->accept.unicast == b->accept.unicast &&
	       td_addr_equal(&a->accept.own, &b->accept.own) &&
	       td_addr_equal(&a->accept.peer, &b->accept.peer);
}

int
advert_socket_bind(struct advert_socket *s, const struct advert_binding *binding)
{
	uint8_t family = binding->accept.family;
	int result;

	td_assert(binding->accept.unicast == false || binding->accept.peer.family != 0);
	if (s->packet_fd >= 0 && same_sockets(&s->b, binding)) {
		s->b = *binding;
		return 0;
	}
	close_all(s);
	s->b = *binding;
	if (s->b.ifindex == 0)
		return 0;
	td_assert(family == AF_INET || family == AF_INET6);
	result = open_packet(s);
	if (result == 0 && s->b.accept.unicast && s->b.accept.own.family == family)
		result = open_unicast(s);
	else if (result == 0 && !s->b.accept.unicast && family == AF_INET6)
		join_group6(s);
	if (result < 0)
		close_all(s);
	return result;
}

static struct vrrp_advert
advert_of(const struct advert_socket *s, uint8_t priority)
{
	return (struct vrrp_advert){ .version = s->b.accept.version,
		.family = s->b.accept.family,
		.vrid = s->b.accept.vrid,
		.priority = priority,
		.max_adver_interval_ns = s->b.interval_ns,
		.checksum = s->b.checksum,
		.address_count = s->b.address_count,
		.addresses = s->b.addresses };
}

size_t
advert_socket_frame(
    const struct advert_socket *s, uint8_t priority, uint8_t *buf, size_t size)
{
	struct vrrp_advert advert = advert_of(s, priority);

	if (s->b.ifindex == 0 || s->b.accept.unicast || s->b.address_count == 0 ||
	    s->b.accept.own.family == 0)
		return 0;
	return vrrp_frame_encode(&advert, s->b.source_mac, &s->b.accept.own, buf, size);
}

static int
send_multicast(struct advert_socket *s, uint8_t priority)
{
	uint8_t family = s->b.accept.family;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_protocol = htons(family == AF_INET6 ? ETH_P_IPV6 : ETH_P_IP),
		.sll_ifindex = (int)s->b.ifindex,
		.sll_halen = 6 };
	uint8_t frame[VRRP_FRAME_BYTES_MAX];
	size_t len = advert_socket_frame(s, priority, frame, sizeof(frame));

	td_assert(len > 0);
	memcpy(to.sll_addr, vrrp_group_mac(family), 6);
	if (sendto(s->packet_fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

static int
send_unicast(struct advert_socket *s, uint8_t priority)
{
	struct vrrp_advert advert = advert_of(s, priority);
	struct sockaddr_storage to;
	socklen_t to_len = socket_address(s, &s->b.accept.peer, &to);
	uint8_t message[VRRP_MESSAGE_BYTES_MAX];
	size_t len = vrrp_advert_encode(
	    &advert, &s->b.accept.own, &s->b.accept.peer, message, sizeof(message));

	td_assert(len > 0);
	if (sendto(s->ip_fd, message, len, 0, (struct sockaddr *)&to, to_len) < 0)
		return -errno;
	return 0;
}

int
advert_socket_send(struct advert_socket *s, uint8_t priority)
{
	int result;

	if (s->packet_fd < 0 || (s->b.accept.unicast && s->ip_fd < 0))
		result = -ENODEV;
	else if (s->b.address_count == 0 || s->b.accept.own.family == 0)
		result = -EADDRNOTAVAIL;
	else if (s->b.accept.unicast)
		result = send_unicast(s, priority);
	else
		result = send_multicast(s, priority);
	if (result < 0) {
		s->counters.send_failed++;
		log_limited(LOG_LV_WARN, "vrrp", 1,
		    "vrid=%u if=%s advertisement not sent: %s", s->b.accept.vrid,
		    s->b.name, strerror(-result));
		return result;
	}
	s->counters.sent++;
	if (priority == VRRP_PRIORITY_RESIGN)
		s->counters.priority_zero_sent++;
	return 0;
}

static bool
has_address(const struct advert_binding *b, const uint8_t *address, size_t len)
{
	for (unsigned i = 0; i < b->address_count; i++)
		if (memcmp(b->addresses + i * len, address, len) == 0)
			return true;
	return false;
}

/* In any order, which the RFC leaves open. */
static bool
same_list(const struct advert_binding *b, const struct vrrp_advert *advert)
{
	size_t len = advert->family == AF_INET6 ? 16 : 4;

	if (advert->address_count != b->address_count)
		return false;
	if (memcmp(advert->addresses, b->addresses, b->address_count * len) == 0)
		return true;
	for (unsigned i = 0; i < advert->address_count; i++)
		if (!has_address(b, advert->addresses + i * len, len))
			return false;
	return true;
}

/* What RFC 9568 sections 7.1 and 8.3.2 want logged and nothing more; said when it
 * begins. */
static void
note_differences(struct advert_socket *s, const struct vrrp_advert *advert,
    const struct td_addr *source)
{
	bool other_list = !same_list(&s->b, advert);
	int64_t interval_ns = advert->max_adver_interval_ns;
	char text[TD_ADDR_STRLEN];

	(void)td_addr_format(source, text);
	s->counters.other_addresses += other_list;
	s->counters.other_interval += interval_ns != s->b.interval_ns;
	if (other_list && !s->heard_other_list)
		log_limited(LOG_LV_WARN, "vrrp", 1,
		    "vrid=%u if=%s %s advertises another list of %u addresses",
		    s->b.accept.vrid, s->b.name, text, advert->address_count);
	if (interval_ns != s->b.interval_ns && interval_ns != s->heard_interval_ns)
		log_limited(LOG_LV_INFO, "vrrp", 1,
		    "vrid=%u if=%s %s advertises every %lld ms", s->b.accept.vrid,
		    s->b.name, text, (long long)(interval_ns / NS_PER_MS));
	s->heard_other_list = other_list;
	s->heard_interval_ns = interval_ns;
	if (advert->priority == VRRP_PRIORITY_OWNER && s->b.is_owner)
		log_limited(LOG_LV_WARN, "vrrp", 1,
		    "vrid=%u if=%s %s claims to own the addresses as well",
		    s->b.accept.vrid, s->b.name, text);
}

static void
receive_one(struct advert_socket *s, const uint8_t *frame, size_t len)
{
	struct vrrp_advert advert;
	struct td_addr source = { 0 };
	char text[TD_ADDR_STRLEN];
	enum vrrp_drop drop = VRRP_DROP_IP_HEADER;

	if (len >= ETHER_HEADER_BYTES)
		drop = vrrp_receive(frame + ETHER_HEADER_BYTES,
		    len - ETHER_HEADER_BYTES, &s->b.accept, &advert, &source);
	s->counters.dropped[drop] += drop != VRRP_OK;
	if (drop == VRRP_OK) {
		s->counters.received++;
		s->counters.message_only +=
		    advert.version == VRRP_VERSION &&
		    advert.checksum == VRRP_CHECKSUM_MESSAGE_ONLY;
		s->counters.priority_zero_received +=
		    advert.priority == VRRP_PRIORITY_RESIGN;
		note_differences(s, &advert, &source);
		s->heard(s->context, &advert, &source);
	} else if (drop != VRRP_DROP_OWN && drop != VRRP_DROP_VRID) {
		log_limited(LOG_LV_WARN, "vrrp", 1,
		    "vrid=%u if=%s advertisement from %s dropped reason=%s",
		    s->b.accept.vrid, s->b.name,
		    source.family != 0 ? td_addr_format(&source, text) : "?",
		    vrrp_drop_name(drop));
	}
}

void
advert_socket_drain(struct advert_socket *s)
{
	uint8_t frame[RECEIVE_BYTES];

	for (unsigned i = 0; i < DRAIN_MAX && s->packet_fd >= 0; i++) {
		ssize_t len = recv(s->packet_fd, frame, sizeof(frame), 0);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0) /* EAGAIN; ENETDOWN is told by link events */
			break;
		receive_one(s, frame, (size_t)len);
	}
}

const struct advert_counters *
advert_socket_counters(const struct advert_socket *s)
{
	return &s->counters;
}
