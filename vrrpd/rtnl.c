#include "vrrpd/rtnl.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <tandem/assert.h>

#define ANSWER_BYTES 65536
#define DUMP_TRIES 4
#define RECEIVE_BUFFER_BYTES (1 << 20)

int
rtnl_open(struct rtnl *rtnl)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int one = 1, size = RECEIVE_BUFFER_BYTES;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	/* Refusals without a copy of the request: a whole refused batch must fit. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*rtnl = (struct rtnl){ .fd = fd };
	return 0;
}

void
rtnl_close(struct rtnl *rtnl)
{
	close(rtnl->fd);
	rtnl->fd = -1;
}

void
rtnl_batch_init(
    struct rtnl_batch *batch, struct rtnl *rtnl, rtnl_refused *refused, void *context)
{
	batch->rtnl = rtnl;
	batch->refused = refused;
	batch->context = context;
	batch->count = 0;
	batch->failures = 0;
	batch->first_error = 0;
	batch->first_seq = rtnl->seq + 1;
	batch->used = 0;
	batch->open = NULL;
}

/* The message begun last has its final length only now. */
static void
close_message(struct rtnl_batch *batch)
{
	if (batch->open != NULL)
		batch->used += NLMSG_ALIGN(batch->open->nlmsg_len);
	batch->open = NULL;
	td_assert(batch->used <= sizeof(batch->bytes));
}

static void
take_refusal(struct rtnl_batch *batch, const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != NLMSG_ERROR || error->error == 0)
		return;
	batch->failures++;
	if (batch->first_error == 0)
		batch->first_error = error->error;
	if (batch->refused != NULL)
		batch->refused(batch->context, message->nlmsg_seq - batch->first_seq,
		    error->error);
}

static int
flush_batch(struct rtnl_batch *batch)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_Alignas(struct nlmsghdr) uint8_t answer[16384];
	ssize_t got;

	if (batch->used == 0)
		return 0;
	got = sendto(batch->rtnl->fd, batch->bytes, batch->used, 0,
	    (struct sockaddr *)&kernel, sizeof(kernel));
	batch->used = 0;
	if (got < 0)
		return -errno;
	while (
	    (got = recv(batch->rtnl->fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0) {
		int left = (int)got;

		for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)answer;
		     mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left))
			take_refusal(batch, m);
	}
	return errno == EAGAIN ? 0 : -errno;
}

struct nlmsghdr *
rtnl_begin(struct rtnl_batch *batch, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message;

	close_message(batch);
	if (batch->used + RTNL_MESSAGE_MAX > sizeof(batch->bytes)) {
		int result = flush_batch(batch);

		if (result < 0 && batch->first_error == 0)
			batch->first_error = result;
	}
	message = mnl_nlmsg_put_header(batch->bytes + batch->used);
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = ++batch->rtnl->seq;
	batch->open = message;
	batch->count++;
	return message;
}

int
rtnl_commit(struct rtnl_batch *batch)
{
	close_message(batch);
	return flush_batch(batch);
}

/* 1 = more to come, 0 = complete, negative errno; -EAGAIN: the dump was inconsistent.
 */
static int
take_answers(
    uint32_t seq, uint8_t *bytes, int len, rtnl_each *each, void *context, bool dump)
{
	for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)bytes;
	     mnl_nlmsg_ok(m, len); m = mnl_nlmsg_next(m, &len)) {
		if (m->nlmsg_seq != seq)
			continue;
		if (m->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EAGAIN;
		if (m->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)mnl_nlmsg_get_payload(m))->error;
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		each(context, m);
		if (!dump)
			return 0;
	}
	return 1;
}

int
rtnl_query(struct rtnl *rtnl, struct nlmsghdr *request, rtnl_each *each, void *context)
{
	static _Thread_local _Alignas(struct nlmsghdr) uint8_t bytes[ANSWER_BYTES];
	bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int result = -EAGAIN;

	for (int tries = 0; result == -EAGAIN && tries < DUMP_TRIES; tries++) {
		uint32_t seq = ++rtnl->seq;

		request->nlmsg_flags |= NLM_F_REQUEST;
		request->nlmsg_seq = seq;
		if (send(rtnl->fd, request, request->nlmsg_len, 0) < 0)
			return -errno;
		do {
			ssize_t got = recv(rtnl->fd, bytes, sizeof(bytes), 0);

			if (got < 0)
				return -errno;
			result =
			    take_answers(seq, bytes, (int)got, each, context, dump);
		} while (result == 1);
	}
	return result;
}
