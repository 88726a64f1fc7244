#include "vrrpd/probe.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "vrrpd/core/neighbour_wire.h"
#include "vrrpd/rtnl.h"

#define ASKINGS 3
#define FRAMES_PER_WAKEUP 64
#define PAIR_MACS_MAX 4

struct probe {
	struct loop *loop;
	probe_done *done;
	void *context;
	struct probe_member member;
	struct rtnl rtnl;
	int fd; /* packet socket on the parent; -1 = not bound */
	struct loop_fd lf;
	struct loop_timer timer;

	bool running;
	bool ends_with_first;
	struct td_addr targets[PROBE_TARGETS_MAX];
	bool answered[PROBE_TARGETS_MAX];
	struct td_instant begun, deadline;
	unsigned asked_times;
	struct probe_result result;
};

/*
 * ARP replies and neighbour advertisements only. The socket must be bound to all
 * protocols: one for ARP alone would stand behind the virtual MAC device, which takes
 * what a peer sends from the same MAC.
 */
static int
filter_answers(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct ethhdr, h_proto)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 0, 2),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 14 + 6), /* operation */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 5, 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 6), /* next header */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 40), /* type */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 2048),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

static void
ask(struct probe *probe)
{
	static const struct td_addr nobody;

	for (unsigned i = 0; i < probe->result.asked; i++) {
		const struct td_addr *target = &probe->targets[i];
		const struct td_addr *own = target->family == TD_AF_INET
						? &probe->member.own_address4
						: &probe->member.own_address6;
		uint8_t frame[NEIGHBOUR_FRAME_MAX];
		size_t len;

		if (probe->answered[i])
			continue;
		len = neighbour_question_encode(target,
		    own->family != 0 ? own : &nobody, probe->member.own_mac, frame);
		if (send(probe->fd, frame, len, MSG_DONTWAIT) < 0)
			log_limited(LOG_LV_DEBUG, "probe", 1, "question not sent: %s",
			    strerror(errno));
	}
	probe->asked_times++;
}

static void
plan_next(struct probe *probe)
{
	int64_t whole = instant_diff_ns(probe->deadline, probe->begun);
	struct td_instant next =
	    instant_add(probe->begun, whole * probe->asked_times / ASKINGS);

	loop_timer_set(&probe->timer, probe->asked_times < ASKINGS
					  ? instant_earlier(next, probe->deadline)
					  : probe->deadline);
}

static void
finish(struct probe *probe)
{
	struct probe_result result = probe->result;

	probe_cancel(probe);
	probe->done(probe->context, &result);
}

static void
on_timer(struct loop_timer *timer)
{
	struct probe *probe = timer->context;

	if (instant_reached(loop_now(probe->loop), probe->deadline)) {
		finish(probe);
		return;
	}
	ask(probe);
	plan_next(probe);
}

static void
take_answer(struct probe *probe, const struct neighbour_answer *answer)
{
	struct probe_result *result = &probe->result;

	for (unsigned i = 0; i < result->asked; i++) {
		if (probe->answered[i] ||
		    !td_addr_equal(&probe->targets[i], &answer->addr))
			continue;
		probe->answered[i] = true;
		result->answered++;
		if (result->first.family != 0)
			continue;
		result->first = answer->addr;
		memcpy(result->mac, answer->mac, sizeof(result->mac));
		result->virtual_mac = memcmp(answer->mac, probe->member.virtual_mac,
					  sizeof(result->mac)) == 0;
		result->delay_ns = instant_diff_ns(clock_now(), probe->begun);
	}
}

static void
on_frame(struct loop_fd *lf, uint32_t events)
{
	struct probe *probe = lf->context;

	(void)events;
	for (int i = 0; i < FRAMES_PER_WAKEUP; i++) {
		uint8_t frame[2048];
		struct neighbour_answer answer;
		ssize_t got = recv(lf->fd, frame, sizeof(frame), MSG_DONTWAIT);

		if (got < 0)
			break;
		if (probe->running && neighbour_answer_decode(
					  frame, (size_t)got, &answer) == NEIGHBOUR_OK)
			take_answer(probe, &answer);
	}
	if (probe->running && probe->result.answered > 0 &&
	    (probe->ends_with_first || probe->result.answered == probe->result.asked))
		finish(probe);
}

int
probe_new(struct loop *loop, probe_done *done, void *context, struct probe **ret_probe)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	int result;

	if (probe == NULL)
		return -ENOMEM;
	probe->loop = loop;
	probe->done = done;
	probe->context = context;
	probe->fd = -1;
	loop_timer_init(loop, &probe->timer, on_timer, probe);
	result = rtnl_open(&probe->rtnl);
	if (result < 0) {
		free(probe);
		return result;
	}
	*ret_probe = probe;
	return 0;
}

static void
unbind(struct probe *probe)
{
	if (probe->fd < 0)
		return;
	loop_fd_remove(&probe->lf);
	close(probe->fd);
	probe->fd = -1;
}

void
probe_free(struct probe *probe)
{
	if (probe == NULL)
		return;
	probe_cancel(probe);
	unbind(probe);
	rtnl_close(&probe->rtnl);
	free(probe);
}

int
probe_bind(struct probe *probe, const struct probe_member *member)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)member->parent_ifindex };
	/* Protocol 0 until the filter is there: nothing unfiltered gets in. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, result = 0;

	if (fd < 0)
		return -errno;
	result = filter_answers(fd);
	if (result == 0)
		(void)setsockopt(
		    fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (result == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		result = -errno;
	if (result < 0) {
		close(fd);
		return result;
	}
	probe_cancel(probe);
	unbind(probe);
	result = loop_fd_add(probe->loop, &probe->lf, fd, EPOLLIN, on_frame, probe);
	if (result < 0) {
		close(fd);
		return result;
	}
	probe->fd = fd;
	probe->member = *member;
	return 0;
}

static void
add_target(struct probe *probe, const struct td_addr *addr)
{
	if (probe->result.asked == PROBE_TARGETS_MAX || addr->family == 0)
		return;
	for (unsigned i = 0; i < probe->result.asked; i++)
		if (td_addr_equal(&probe->targets[i], addr))
			return;
	probe->targets[probe->result.asked++] = *addr;
}

struct known {
	struct td_addr addr;
	uint8_t mac[6];
	uint32_t age; /* clock ticks since it was last confirmed */
};

struct known_list {
	uint32_t ifindex;
	const struct probe_pair *pair;
	unsigned count, pair_count;
	struct known known[PROBE_TARGETS_MAX]; /* youngest first */
	uint8_t pair_mac[PAIR_MACS_MAX][6];
};

static bool
is_of_pair(const struct probe_pair *pair, const struct td_addr *addr)
{
	for (unsigned f = 0; f < TD_FAMILIES; f++)
		if (td_addr_equal(&pair->peer[f], addr))
			return true;
	for (unsigned i = 0; i < pair->address_count; i++)
		if (td_addr_equal(&pair->addresses[i].addr, addr))
			return true;
	return false;
}

static bool
has_mac_of_pair(const struct known_list *list, const uint8_t mac[6])
{
	for (unsigned i = 0; i < list->pair_count; i++)
		if (memcmp(list->pair_mac[i], mac, 6) == 0)
			return true;
	return false;
}

/* The peer has more addresses than we know of. */
static void
add_mac_of_pair(struct known_list *list, const uint8_t mac[6])
{
	if (list->pair_count < PAIR_MACS_MAX && !has_mac_of_pair(list, mac))
		memcpy(list->pair_mac[list->pair_count++], mac, 6);
}

static void
on_neighbour(void *context, const struct nlmsghdr *message)
{
	struct known_list *list = context;
	const struct ndmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	struct known known = { .addr.family = head->ndm_family, .age = UINT32_MAX };
	bool has_mac = false;
	unsigned at;

	if (message->nlmsg_type != RTM_NEWNEIGH ||
	    (uint32_t)head->ndm_ifindex != list->ifindex ||
	    (head->ndm_family != TD_AF_INET && head->ndm_family != TD_AF_INET6) ||
	    !(head->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)))
		return;
	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		if (mnl_attr_get_type(attr) == NDA_DST &&
		    mnl_attr_get_payload_len(attr) == td_addr_len(&known.addr))
			memcpy(known.addr.bytes, mnl_attr_get_payload(attr),
			    mnl_attr_get_payload_len(attr));
		if (mnl_attr_get_type(attr) == NDA_LLADDR &&
		    mnl_attr_get_payload_len(attr) == sizeof(known.mac)) {
			memcpy(
			    known.mac, mnl_attr_get_payload(attr), sizeof(known.mac));
			has_mac = true;
		}
		if (mnl_attr_get_type(attr) == NDA_CACHEINFO &&
		    mnl_attr_get_payload_len(attr) >= sizeof(struct nda_cacheinfo))
			known.age =
			    ((const struct nda_cacheinfo *)mnl_attr_get_payload(attr))
				->ndm_confirmed;
	}
	if (!has_mac)
		return;
	if (is_of_pair(list->pair, &known.addr)) {
		add_mac_of_pair(list, known.mac);
		return;
	}
	for (at = list->count; at > 0 && list->known[at - 1].age > known.age; at--)
		if (at < PROBE_TARGETS_MAX)
			list->known[at] = list->known[at - 1];
	if (at == PROBE_TARGETS_MAX)
		return;
	list->known[at] = known;
	if (list->count < PROBE_TARGETS_MAX)
		list->count++;
}

static int
begin(
    struct probe *probe, struct td_instant now, struct td_instant deadline, bool first)
{
	probe->running = true;
	probe->ends_with_first = first;
	probe->begun = now;
	probe->deadline = deadline;
	probe->asked_times = 0;
	ask(probe);
	plan_next(probe);
	return 0;
}

int
probe_neighbours(struct probe *probe, const struct td_addr *extra, unsigned extra_count,
    const struct probe_pair *pair, struct td_instant now, struct td_instant deadline)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[RTNL_MESSAGE_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
	struct known_list list = { .ifindex = probe->member.parent_ifindex,
		.pair = pair };
	int result;

	if (probe->fd < 0)
		return -ENODEV;
	probe_cancel(probe);
	add_mac_of_pair(&list, probe->member.virtual_mac);
	for (unsigned i = 0; i < extra_count; i++)
		add_target(probe, &extra[i]);
	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ndmsg));
	request->nlmsg_type = RTM_GETNEIGH;
	request->nlmsg_flags = NLM_F_DUMP;
	mnl_attr_put_u32(request, NDA_IFINDEX, list.ifindex);
	result = rtnl_query(&probe->rtnl, request, on_neighbour, &list);
	for (unsigned i = 0; result == 0 && i < list.count; i++)
		if (!has_mac_of_pair(&list, list.known[i].mac))
			add_target(probe, &list.known[i].addr);
	if (probe->result.asked == 0)
		return result < 0 ? result : -ENOENT;
	return begin(probe, now, deadline, true);
}

int
probe_address(struct probe *probe, const struct td_addr *addr, struct td_instant now,
    struct td_instant deadline)
{
	if (probe->fd < 0)
		return -ENODEV;
	td_assert(addr->family != 0);
	probe_cancel(probe);
	add_target(probe, addr);
	return begin(probe, now, deadline, true);
}

void
probe_cancel(struct probe *probe)
{
	probe->running = false;
	loop_timer_cancel(&probe->timer);
	probe->result = (struct probe_result){ 0 };
	memset(probe->answered, 0, sizeof(probe->answered));
}

bool
probe_is_running(const struct probe *probe)
{
	return probe->running;
}
