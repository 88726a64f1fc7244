#include "syncd/ct_dump.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "syncd/core/flow.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_socket.h"

/* The kernel fills parts of up to 32 KiB when it has seen a reader with that much room.
 */
#define PART_BYTES 65536U

struct ct_dump {
	int dump_fd; /* -1 while no dump is running: closing it is what ends one early
		      */
	int query_fd;
	uint32_t seq;
	struct ct_filter filter;
	ct_event_handler *on_entry;
	void *context;
	struct ct_dump_counters counters;
	_Alignas(8) uint8_t part[PART_BYTES];
};

int
ct_dump_new(const struct ct_filter *filter, ct_event_handler *on_entry, void *context,
    struct ct_dump **ret_dump)
{
	struct ct_dump *dump = calloc(1, sizeof(*dump));

	td_assert(on_entry != NULL);
	if (dump == NULL)
		return -ENOMEM;
	dump->dump_fd = -1;
	dump->on_entry = on_entry;
	dump->context = context;
	if (filter != NULL)
		dump->filter = *filter;
	dump->query_fd = ct_socket_open(NULL);
	if (dump->query_fd < 0) {
		int result = dump->query_fd;

		ct_dump_free(dump);
		return result;
	}
	*ret_dump = dump;
	return 0;
}

void
ct_dump_free(struct ct_dump *dump)
{
	if (dump == NULL)
		return;
	ct_dump_abort(dump);
	if (dump->query_fd >= 0)
		close(dump->query_fd);
	free(dump);
}

void
ct_dump_set_filter(struct ct_dump *dump, const struct ct_filter *filter)
{
	dump->filter = *filter;
}

int
ct_dump_start(struct ct_dump *dump, uint8_t family)
{
	_Alignas(8) uint8_t request[CT_MESSAGE_MAX];
	size_t len;
	int fd, result;

	if (dump->dump_fd >= 0)
		return -EBUSY;
	fd = ct_socket_open(NULL);
	if (fd < 0)
		return fd;
	len = ct_encode_dump(request, ++dump->seq, family);
	if (send(fd, request, len, 0) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	dump->dump_fd = fd;
	dump->counters.started++;
	return 0;
}

bool
ct_dump_running(const struct ct_dump *dump)
{
	return dump->dump_fd >= 0;
}

void
ct_dump_abort(struct ct_dump *dump)
{
	if (dump->dump_fd < 0)
		return;
	close(dump->dump_fd);
	dump->dump_fd = -1;
}

static void
handle_entry(struct ct_dump *dump, const struct nlmsghdr *nlh)
{
	struct flow_record flow;
	struct ct_event event = { .kind = CT_EVENT_DUMPED, .flow = &flow };
	enum ct_drop drop = ct_decode(nlh, &flow, &event.facts);

	if (drop != CT_OK) {
		dump->counters.dropped[drop]++;
		return;
	}
	if (ct_filter_skips(&dump->filter, &flow.key)) {
		dump->counters.skipped++;
		return;
	}
	/* What the entry has none of is not mentioned: that is told as well. */
	flow.present |= FLOW_HAS_MARK | FLOW_HAS_SEQADJ | FLOW_HAS_HELPER;
	dump->counters.entries++;
	dump->on_entry(dump->context, &event);
}

/* 1: more parts follow, 0: that was the end, negative errno: failed. */
static int
handle_part(struct ct_dump *dump, size_t len, uint32_t *entries)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)dump->part;
	int left = (int)len;

	dump->counters.bytes += len;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != dump->seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);

			if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*error))
				return -EBADMSG;
			return error->error < 0 ? error->error : -EPROTO;
		}
		handle_entry(dump, nlh);
		++*entries;
	}
	return 1;
}

int
ct_dump_step(struct ct_dump *dump, uint32_t entries_max)
{
	uint32_t entries = 0;
	int result = 1;

	td_assert(dump->dump_fd >= 0);
	while (result == 1 && entries < entries_max) {
		ssize_t n = recv(
		    dump->dump_fd, dump->part, PART_BYTES, MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				return 1;
			result = -errno;
		} else if ((size_t)n > PART_BYTES) {
			result = -EMSGSIZE;
		} else {
			result = handle_part(dump, (size_t)n, &entries);
			/* The handler may have given up. */
			if (dump->dump_fd < 0)
				return -ECANCELED;
		}
	}
	if (result == 1)
		return 1;
	ct_dump_abort(dump);
	if (result == 0)
		dump->counters.finished++;
	else
		dump->counters.failed++;
	return result;
}

const struct ct_dump_counters *
ct_dump_counters(const struct ct_dump *dump)
{
	return &dump->counters;
}

int
ct_dump_get(struct ct_dump *dump, const struct flow_key *key,
    struct flow_record *ret_flow, struct ct_facts *ret_facts)
{
	_Alignas(8) uint8_t buf[4096];
	uint32_t seq = ++dump->seq;
	size_t len = ct_encode_get(buf, seq, key);
	ssize_t n;

	if (send(dump->query_fd, buf, len, 0) < 0)
		return -errno;
	/* The kernel has answered before send returned. */
	while ((n = recv(dump->query_fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
		struct flow_record flow;
		struct ct_facts facts;

		if (!mnl_nlmsg_ok(nlh, (int)n) || nlh->nlmsg_seq != seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);

			if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*error))
				return -EBADMSG;
			return error->error < 0 ? error->error : -EPROTO;
		}
		if (ct_decode(nlh, &flow, &facts) != CT_OK)
			return -EBADMSG;
		flow.present |= FLOW_HAS_MARK | FLOW_HAS_SEQADJ | FLOW_HAS_HELPER;
		*ret_flow = flow;
		*ret_facts = facts;
		return 0;
	}
	return -errno;
}
