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
#define PRIORITY_CONTROL 7 /* TC_PRIO_CONTROL: ahead of transit traffic in the queue   \
			    */
#define TOS_CONTROL 0xc0

struct advert_socket {
	struct loop *loop;
	struct loop_fd lf;
	advert_heard *heard;
	void *context;
	int packet_fd, unicast_fd;
	struct advert_binding b;
	struct advert_counters counters;
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
	s->packet_fd = s->unicast_fd = -1;
	*ret_socket = s;
	return 0;
}

static void
close_all(struct advert_socket *s)
{
	if (s->packet_fd >= 0) {
		loop_fd_remove(&s->lf);
		close(s->packet_fd);
	}
	if (s->unicast_fd >= 0)
		close(s->unicast_fd);
	s->packet_fd = s->unicast_fd = -1;
}

void
advert_socket_free(struct advert_socket *s)
{
	if (s == NULL)
		return;
	close_all(s);
	free(s);
}

/* Protocol 112 in untagged IPv4 frames that came in. A parent also shows the frames of
 * its VLANs; those belong to other members. */
static const struct sock_filter advert_filter[] = {
	BPF_STMT(
	    BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 5, 0),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHER_HEADER_BYTES + 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VRRP_PROTOCOL, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, RECEIVE_BYTES),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int
open_packet(struct advert_socket *s)
{
	struct sock_fprog filter = { sizeof(advert_filter) / sizeof(advert_filter[0]),
		(struct sock_filter *)advert_filter };
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
	memcpy(group.mr_address, vrrp_group_mac_v4, 6);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
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

static int
open_unicast(struct advert_socket *s)
{
	static const struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog filter = { 1, (struct sock_filter *)nothing };
	struct sockaddr_in own = { .sin_family = AF_INET };
	int ttl = VRRP_TTL, tos = TOS_CONTROL, priority = PRIORITY_CONTROL, result;
	int fd =
	    socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, VRRP_PROTOCOL);
	char name[IF_NAMESIZE];

	if (fd < 0)
		return -errno;
	memcpy(&own.sin_addr, s->b.accept.own.bytes, 4);
	if (if_indextoname(s->b.ifindex, name) == NULL ||
	    /* This socket only sends; the packet socket hears. */
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	s->unicast_fd = fd;
	return 0;
}

int
advert_socket_bind(struct advert_socket *s, const struct advert_binding *binding)
{
	int result;

	td_assert(binding->accept.unicast == false || binding->accept.peer.family != 0);
	close_all(s);
	s->b = *binding;
	if (s->b.ifindex == 0)
		return 0;
	result = open_packet(s);
	if (result == 0 && s->b.accept.unicast && s->b.accept.own.family == AF_INET)
		result = open_unicast(s);
	if (result < 0)
		close_all(s);
	return result;
}

static struct vrrp_advert
advert_of(const struct advert_socket *s, uint8_t priority)
{
	return (struct vrrp_advert){ .family = AF_INET,
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
	struct td_addr group = vrrp_group(AF_INET);

	if (s->b.accept.unicast || s->b.address_count == 0 ||
	    s->b.accept.own.family == 0)
		return 0;
	return vrrp_frame_encode(&advert, s->b.source_mac, vrrp_group_mac_v4,
	    &s->b.accept.own, &group, buf, size);
}

static int
send_multicast(struct advert_socket *s, uint8_t priority)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)s->b.ifindex,
		.sll_halen = 6 };
	uint8_t frame[VRRP_FRAME_BYTES_MAX];
	size_t len = advert_socket_frame(s, priority, frame, sizeof(frame));

	td_assert(len > 0);
	memcpy(to.sll_addr, vrrp_group_mac_v4, 6);
	if (sendto(s->packet_fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

static int
send_unicast(struct advert_socket *s, uint8_t priority)
{
	struct vrrp_advert advert = advert_of(s, priority);
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint8_t message[VRRP_HEADER_BYTES + VRRP_ADDRESSES_MAX * 4];
	size_t len = vrrp_advert_encode(
	    &advert, &s->b.accept.own, &s->b.accept.peer, message, sizeof(message));

	td_assert(len > 0);
	memcpy(&to.sin_addr, s->b.accept.peer.bytes, 4);
	if (sendto(s->unicast_fd, message, len, 0, (struct sockaddr *)&to, sizeof(to)) <
	    0)
		return -errno;
	return 0;
}

int
advert_socket_send(struct advert_socket *s, uint8_t priority)
{
	int result;

	if (s->packet_fd < 0 || (s->b.accept.unicast && s->unicast_fd < 0))
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
		    advert.checksum == VRRP_CHECKSUM_MESSAGE_ONLY;
		s->counters.priority_zero_received +=
		    advert.priority == VRRP_PRIORITY_RESIGN;
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
