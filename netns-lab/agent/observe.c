/*
 * The witness: asks ARP and ND for every virtual address and counts the answers. Each
 * question has a sender address of its own (it comes back 1.2 s later), so an answer is
 * tied to its question however late it is; a second answer to one question means that
 * two routers answered.
 *
 * With --listen-only it asks nothing. At the switch's ports towards r1 and r2 that
 * tells which of them answered for those addresses, announced and advertised when: on a
 * shared virtual MAC nothing else can.
 */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ASK_INTERVAL_NS (20 * NS_PER_MS)
#define SENDERS 60
#define SENDER_FIRST 192
#define ASKS_MAX 16
#define SPANS_MAX 64
#define SPAN_GAP_NS (250 * NS_PER_MS)
#define PROTO_VRRP 112

struct spans { /* when something went on without a pause */
	struct span {
		int64_t from_ns, to_ns;
		uint64_t count;
		unsigned value; /* the priority of adverts */
	} list[SPANS_MAX];
	unsigned count;
};

struct asked {
	uint8_t family_v6;
	uint8_t address[16]; /* IPv4 in the first four bytes */
	char text[INET6_ADDRSTRLEN];
	uint64_t questions, answers, doubles;
	unsigned answered[SENDERS]; /* answers to the newest question of that sender */
};

struct port {
	struct source source;
	const char *name;
	int ifindex;
	uint8_t mac[6];
	struct asked asked[ASKS_MAX];
	unsigned asked_count;
	struct spans answers, announcements, adverts;
};

static struct port ports[4];
static unsigned port_count;
static bool listen_only;
static uint64_t ticks;

static void
spans_add(struct spans *spans, int64_t now, unsigned value)
{
	struct span *last = spans->count == 0 ? NULL : &spans->list[spans->count - 1];

	if (last == NULL || now - last->to_ns > SPAN_GAP_NS || last->value != value) {
		if (spans->count == SPANS_MAX)
			return;
		last = &spans->list[spans->count++];
		*last = (struct span){ .from_ns = now, .value = value };
	}
	last->to_ns = now;
	last->count++;
}

/* --- asking --------------------------------------------------------------------- */

static void
sender_address(const struct asked *asked, unsigned sender, uint8_t *ret)
{
	memcpy(ret, asked->address, 16);
	if (asked->family_v6) {
		memset(ret + 8, 0, 8);
		ret[13] = 0xf0;
		ret[15] = (uint8_t)(SENDER_FIRST + sender);
	} else {
		ret[3] = (uint8_t)(SENDER_FIRST + sender);
	}
}

static void
port_send(const struct port *port, const uint8_t *frame, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = port->ifindex };

	(void)sendto(
	    port->source.fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to));
}

static void
ask_arp(const struct port *port, const struct asked *asked, const uint8_t *from)
{
	uint8_t frame[60] = { 0 };
	static const uint8_t head[] = { 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1 };

	memset(frame, 0xff, 6);
	memcpy(frame + 6, port->mac, 6);
	memcpy(frame + 12, head, sizeof(head));
	memcpy(frame + 22, port->mac, 6);
	memcpy(frame + 28, from, 4);
	memcpy(frame + 38, asked->address, 4);
	port_send(port, frame, sizeof(frame));
}

static uint16_t
icmp6_checksum(const uint8_t *ip, const uint8_t *icmp, size_t len)
{
	uint32_t sum = (uint32_t)len + IPPROTO_ICMPV6;

	for (size_t i = 8; i < 40; i += 2) /* both addresses of the IPv6 header */
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(icmp[i] << 8 | icmp[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
ask_nd(const struct port *port, const struct asked *asked, const uint8_t *from)
{
	/* Ethernet 14, IPv6 40, neighbour solicitation 24, source link-layer option 8
	 */
	uint8_t frame[86] = { 0x33, 0x33, 0xff, asked->address[13], asked->address[14],
		asked->address[15] };
	uint8_t *ip = frame + 14, *icmp = frame + 54;
	static const uint8_t group[] = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff };
	uint16_t sum;

	memcpy(frame + 6, port->mac, 6);
	frame[12] = 0x86;
	frame[13] = 0xdd;
	ip[0] = 0x60;
	ip[5] = 32;
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 255;
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, group, sizeof(group));
	memcpy(ip + 37, asked->address + 13, 3);
	icmp[0] = ND_NEIGHBOR_SOLICIT;
	memcpy(icmp + 8, asked->address, 16);
	icmp[24] = ND_OPT_SOURCE_LINKADDR;
	icmp[25] = 1;
	memcpy(icmp + 26, port->mac, 6);
	sum = icmp6_checksum(ip, icmp, 32);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	port_send(port, frame, sizeof(frame));
}

static void
observe_tick(int64_t now)
{
	unsigned sender = (unsigned)(ticks++ % SENDERS);

	(void)now;
	if (listen_only)
		return;
	for (unsigned i = 0; i < port_count; i++) {
		for (unsigned j = 0; j < ports[i].asked_count; j++) {
			struct asked *asked = &ports[i].asked[j];
			uint8_t from[16];

			asked->questions++;
			asked->answered[sender] = 0;
			sender_address(asked, sender, from);
			if (asked->family_v6)
				ask_nd(&ports[i], asked, from);
			else
				ask_arp(&ports[i], asked, from);
		}
	}
}

/* --- listening ------------------------------------------------------------------ */

static void
answer_seen(struct port *port, bool v6, const uint8_t *about, const uint8_t *to,
    const uint8_t *mac, int64_t now)
{
	for (unsigned i = 0; i < port->asked_count; i++) {
		struct asked *asked = &port->asked[i];
		unsigned sender = (unsigned)to[v6 ? 15 : 3] - SENDER_FIRST;

		if (asked->family_v6 != v6 ||
		    memcmp(asked->address, about, v6 ? 16 : 4) != 0)
			continue;
		spans_add(&port->answers, now, 0);
		if (listen_only || sender >= SENDERS)
			continue;
		asked->answers++;
		if (++asked->answered[sender] < 2)
			continue;
		asked->doubles++;
		printf(
		    "{\"event\":\"double_answer\",\"t\":%lld,\"interface\":\"%s\","
		    "\"address\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\"}\n",
		    (long long)now, port->name, asked->text, mac[0], mac[1], mac[2],
		    mac[3], mac[4], mac[5]);
	}
}

static void
frame_seen(struct port *port, const uint8_t *frame, size_t len, int64_t now)
{
	unsigned type = len < 14 ? 0 : (unsigned)(frame[12] << 8 | frame[13]);
	const uint8_t *body = frame + 14;

	if (type == ETH_P_ARP && len >= 42) {
		if (memcmp(body + 14, body + 24, 4) == 0)
			spans_add(&port->announcements, now, 0);
		else if (body[7] == 2)
			answer_seen(port, false, body + 14, body + 24, body + 8, now);
	} else if (type == ETH_P_IP && len >= 14 + 20 + 8 && body[9] == PROTO_VRRP) {
		spans_add(&port->adverts, now, body[(body[0] & 0x0f) * 4 + 2]);
	} else if (type == ETH_P_IPV6 && len >= 54 + 24 && body[6] == IPPROTO_ICMPV6 &&
		   body[40] == ND_NEIGHBOR_ADVERT) {
		if (body[24] == 0xff)
			spans_add(&port->announcements, now, 0);
		else
			answer_seen(port, true, body + 48, body + 24, frame + 6, now);
	}
}

static void
port_ready(struct source *source, uint32_t events)
{
	struct port *port = (struct port *)source;

	(void)events;
	for (int i = 0; i < 64; i++) {
		uint8_t frame[512];
		ssize_t n = recv(source->fd, frame, sizeof(frame), 0);

		if (n <= 0)
			return;
		frame_seen(port, frame, (size_t)n, now_ns());
	}
}

/* Only ARP, IPv4 protocol 112 and ICMPv6 reach the socket: the traffic must not. */
static struct sock_filter filter_code[] = {
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 5, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 2, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 2, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROTO_VRRP, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 512),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static void
port_open(struct port *port, const char *name)
{
	struct sock_fprog filter = { sizeof(filter_code) / sizeof(filter_code[0]),
		filter_code };
	struct packet_mreq promiscuous = { .mr_type = PACKET_MR_PROMISC };
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL) };
	struct ifreq request = { 0 };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	port->name = name;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		fail("%s: %s", name, strerror(errno));
	memcpy(port->mac, request.ifr_hwaddr.sa_data, 6);
	port->ifindex = (int)if_nametoindex(name);
	at.sll_ifindex = port->ifindex;
	promiscuous.mr_ifindex = port->ifindex;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
		sizeof(promiscuous)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("%s: %s", name, strerror(errno));
	port->source.fd = fd;
	port->source.ready = port_ready;
	source_add(&port->source, EPOLLIN);
}

static void
asks_parse(struct port *port, const char *text)
{
	char copy[1024], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *item = strtok_r(copy, ",", &save); item != NULL;
	     item = strtok_r(NULL, ",", &save)) {
		struct asked *asked = &port->asked[port->asked_count];

		if (port->asked_count++ == ASKS_MAX)
			fail("%s: too many addresses", text);
		snprintf(asked->text, sizeof(asked->text), "%s", item);
		if (inet_pton(AF_INET, item, asked->address) != 1) {
			asked->family_v6 = 1;
			if (inet_pton(AF_INET6, item, asked->address) != 1)
				fail("%s: not an address", item);
		}
	}
}

/* --- result --------------------------------------------------------------------- */

static void
spans_print(const char *name, const struct spans *spans)
{
	printf(",\"%s\":[", name);
	for (unsigned i = 0; i < spans->count; i++)
		printf("%s{\"from\":%lld,\"to\":%lld,\"count\":%llu,\"value\":%u}",
		    i == 0 ? "" : ",", (long long)spans->list[i].from_ns,
		    (long long)spans->list[i].to_ns,
		    (unsigned long long)spans->list[i].count, spans->list[i].value);
	printf("]");
}

static void
observe_finish(void)
{
	for (unsigned i = 0; i < port_count; i++) {
		struct port *port = &ports[i];

		printf("{\"event\":\"observed\",\"interface\":\"%s\",\"asked\":[",
		    port->name);
		for (unsigned j = 0; j < port->asked_count; j++)
			printf(
			    "%s{\"address\":\"%s\",\"questions\":%llu,\"answers\":%llu,"
			    "\"doubles\":%llu}",
			    j == 0 ? "" : ",", port->asked[j].text,
			    (unsigned long long)port->asked[j].questions,
			    (unsigned long long)port->asked[j].answers,
			    (unsigned long long)port->asked[j].doubles);
		printf("]");
		spans_print("answers", &port->answers);
		spans_print("announcements", &port->announcements);
		spans_print("adverts", &port->adverts);
		printf("}\n");
	}
	printf("{\"event\":\"result\",\"mode\":\"observe\"}\n");
}

void
observe_main(const struct options *options)
{
	static const struct mode mode = { .tick = observe_tick,
		.finish = observe_finish,
		.tick_ns = ASK_INTERVAL_NS };

	listen_only = options->listen_only;
	port_count = options->interface_count;
	for (unsigned i = 0; i < port_count; i++) {
		port_open(&ports[i], options->interfaces[i]);
		if (options->asks[i] != NULL)
			asks_parse(&ports[i], options->asks[i]);
	}
	printf("{\"event\":\"ready\",\"mode\":\"observe\"}\n");
	fflush(stdout);
	loop_run(&mode);
}
