#include "vrrpd/announce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_packet.h>

#include <tandem/assert.h>
#include "common/clock.h"
#include "common/loop.h"
#include "vrrpd/core/announce_plan.h"
#include "vrrpd/core/neighbour_wire.h"

struct announce {
	struct announce_plan plan;
	struct loop_timer timer;
	int fd; /* packet socket of the device that owns the addresses; -1 = not bound
		 */
	uint8_t mac[6];
	struct td_addr *addresses; /* owned; plan.count of them */
	struct announce_counters counters;
};

static void
send_one(struct announce *announce, const struct td_addr *addr)
{
	uint8_t frame[NEIGHBOUR_FRAME_MAX];
	size_t len = neighbour_announce_encode(addr, announce->mac, frame);

	if (announce->fd >= 0 &&
	    send(announce->fd, frame, len, MSG_DONTWAIT) == (ssize_t)len)
		announce->counters.sent++;
	else
		announce->counters.failed++;
}

static void
send_due(struct announce *announce, struct td_instant now)
{
	uint32_t index;

	while (announce_plan_next(&announce->plan, now, &index))
		send_one(announce, &announce->addresses[index]);
	loop_timer_set(&announce->timer, announce->plan.deadline);
}

static void
on_timer(struct loop_timer *timer)
{
	send_due(timer->context, loop_now(timer->loop));
}

int
announce_new(struct loop *loop, uint32_t repeat, int64_t refresh_ns,
    struct announce **ret_announce)
{
	struct announce *announce = calloc(1, sizeof(*announce));

	if (announce == NULL)
		return -ENOMEM;
	announce->fd = -1;
	announce_plan_init(&announce->plan, repeat, refresh_ns);
	loop_timer_init(loop, &announce->timer, on_timer, announce);
	*ret_announce = announce;
	return 0;
}

void
announce_free(struct announce *announce)
{
	if (announce == NULL)
		return;
	loop_timer_cancel(&announce->timer);
	if (announce->fd >= 0)
		close(announce->fd);
	free(announce->addresses);
	free(announce);
}

int
announce_bind(struct announce *announce, uint32_t ifindex, const uint8_t mac[6])
{
	/* Protocol 0: it sends only. */
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	if (announce->fd >= 0)
		close(announce->fd);
	announce->fd = fd;
	memcpy(announce->mac, mac, sizeof(announce->mac));
	return 0;
}

static bool
same_addresses(
    const struct announce *announce, const struct td_prefix *addresses, unsigned count)
{
	if (count != announce->plan.count)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!td_addr_equal(&announce->addresses[i], &addresses[i].addr))
			return false;
	return true;
}

int
announce_set(
    struct announce *announce, const struct td_prefix *addresses, unsigned count)
{
	struct td_addr *copy;

	if (same_addresses(announce, addresses, count))
		return 0;
	copy = calloc((size_t)count + 1, sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		copy[i] = addresses[i].addr;
	free(announce->addresses);
	announce->addresses = copy;
	announce_plan_set_count(&announce->plan, count, clock_now());
	if (announce->plan.running)
		send_due(announce, clock_now());
	return 0;
}

void
announce_start(struct announce *announce, struct td_instant now)
{
	announce_plan_start(&announce->plan, now);
	announce->counters.rounds++;
	send_due(announce, now);
}

void
announce_burst(struct announce *announce, struct td_instant now)
{
	if (!announce_plan_burst(&announce->plan, now))
		return;
	announce->counters.rounds++;
	send_due(announce, now);
}

void
announce_one(struct announce *announce, const struct td_addr *addr)
{
	if (announce->plan.running)
		send_one(announce, addr);
}

void
announce_stop(struct announce *announce)
{
	announce_plan_stop(&announce->plan);
	loop_timer_cancel(&announce->timer);
}

const struct announce_counters *
announce_counters(const struct announce *announce)
{
	return &announce->counters;
}
