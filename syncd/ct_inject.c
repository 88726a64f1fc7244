#include "syncd/ct_inject.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include <tandem/assert.h>
#include "syncd/core/flow.h"
#include "syncd/ct_socket.h"

/* Room for the answers to one batch: an overrun here would lose results. */
#define RCVBUF_BYTES (4U << 20)

/* Both tuples of a flow may be taken by an entry of their own, and either may vanish
 * and come back while we look: then it is a live flow's and not ours to fight over. */
#define ATTEMPTS_MAX 10U
/* Batches that are sent again for want of memory. A deletion that is given up leaves a
 * flow that lives here until its timeout: nobody mentions it again. */
#define PRESSURE_MAX 8U

/*
 * What is tried next for an operation. One round sends one message per unfinished
 * operation and reads all answers; most operations are done after the first.
 *
 *   UPDATE --ENOENT--> CREATE --EEXIST--> LOOK_ORIG --same--> UPDATE
 *      |                  ^                |    |
 *      |                  |              other  `-ENOENT-> LOOK_REPLY --ENOENT-->
 * CREATE
 *      `-EBUSY-> LOOK_ORIG|                v                   |
 *                         `------------ REMOVE <------found----'
 */
enum step {
	STEP_CREATE,
	STEP_UPDATE,
	STEP_LOOK_ORIG,
	STEP_LOOK_REPLY,
	STEP_REMOVE,
	STEP_DELETE,
	STEP_STRICT,
	STEP_DONE
};

struct operation {
	struct flow_record flow; /* delete: only the key */
	uint64_t cookie;
	uint32_t timeout_s;
	unsigned flags;
	enum step step;
	unsigned attempts;
	bool lowered;  /* the entry has status bits which the record has no more */
	bool replaced; /* something that was in the way is deleted */
	struct flow_key in_way;
	uint32_t in_way_id;
	struct ct_result result;
	/* This round's answer. */
	bool answered;
	int status;
	bool found;
	struct flow_record found_flow;
	struct ct_facts found_facts;
};

#define SEEN_BITS 8192U

struct ct_inject {
	int fd;
	uint32_t portid;
	uint32_t seq;
	ct_result_handler *on_result;
	void *context;
	bool flushing;
	struct ct_inject_counters counters;
	uint64_t seen[SEEN_BITS / 64]; /* bit per hash of a queued key */
	uint32_t count;
	struct operation operations[CT_INJECT_BATCH_MAX];
	_Alignas(8) uint8_t out[CT_INJECT_BATCH_MAX * CT_MESSAGE_MAX];
	_Alignas(8) uint8_t in[8192];
};

int
ct_inject_new(
    ct_result_handler *on_result, void *context, struct ct_inject **ret_inject)
{
	struct ct_inject *inject = calloc(1, sizeof(*inject));
	int64_t granted;
	int result = 0;

	td_assert(on_result != NULL);
	if (inject == NULL)
		return -ENOMEM;
	inject->on_result = on_result;
	inject->context = context;
	inject->fd = ct_socket_open(&inject->portid);
	if (inject->fd < 0) {
		result = inject->fd;
		goto out;
	}
	granted = ct_socket_set_rcvbuf(inject->fd, RCVBUF_BYTES);
	if (granted < 0)
		result = (int)granted;
out:
	if (result < 0) {
		ct_inject_free(inject);
		return result;
	}
	*ret_inject = inject;
	return 0;
}

void
ct_inject_free(struct ct_inject *inject)
{
	if (inject == NULL)
		return;
	if (inject->fd >= 0)
		close(inject->fd);
	free(inject);
}

uint32_t
ct_inject_portid(const struct ct_inject *inject)
{
	return inject->portid;
}

const struct ct_inject_counters *
ct_inject_counters(const struct ct_inject *inject)
{
	return &inject->counters;
}

const char *
ct_outcome_name(enum ct_outcome outcome)
{
	static const char *const names[CT_OUTCOME_COUNT] = {
		[CT_CREATED] = "created",
		[CT_UPDATED] = "updated",
		[CT_REPLACED] = "replaced",
		[CT_DELETED] = "deleted",
		[CT_ABSENT] = "absent",
		[CT_REFUSED] = "refused",
	};

	td_assert(outcome < CT_OUTCOME_COUNT);
	return names[outcome];
}

/* ---- one round ---- */

static size_t
encode_step(struct operation *op, void *buf, uint32_t seq)
{
	switch (op->step) {
	case STEP_CREATE:
		return ct_encode_create(buf, seq, &op->flow, op->timeout_s);
	case STEP_UPDATE:
		return ct_encode_update(buf, seq, &op->flow, op->timeout_s);
	case STEP_LOOK_ORIG:
		return ct_encode_get(buf, seq, &op->flow.key);
	case STEP_LOOK_REPLY: {
		struct flow_key reply = op->flow.key;

		reply.orig = op->flow.reply;
		return ct_encode_get(buf, seq, &reply);
	}
	case STEP_REMOVE:
		return ct_encode_delete(buf, seq, &op->in_way, op->in_way_id);
	case STEP_DELETE:
		return ct_encode_delete(buf, seq, &op->flow.key, 0);
	case STEP_STRICT:
		return ct_encode_strict(buf, seq, &op->flow);
	case STEP_DONE:
		break;
	}
	td_assert(op->step != STEP_DONE);
	return 0;
}

static void
take_answer(struct operation *op, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);

		if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*error))
			return;
		op->answered = true;
		op->status = error->error;
		return;
	}
	op->found = ct_decode(nlh, &op->found_flow, &op->found_facts) == CT_OK;
}

/*
 * Netlink has carried out the whole batch when send returns, and its answers are queued
 * in order: errors of single messages, then the acknowledgement that the last one asked
 * for. An empty queue before that acknowledgement means that the batch was not
 * processed.
 */
static int
read_answers(struct ct_inject *inject, struct operation *const sent[],
    uint32_t sent_count, uint32_t first_seq)
{
	uint32_t last_seq = first_seq + sent_count - 1;
	int failure = 0;

	for (;;) {
		ssize_t n =
		    recv(inject->fd, inject->in, sizeof(inject->in), MSG_DONTWAIT);
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)inject->in;
		int left = (int)n;

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				break;
			failure = -errno;
			if (errno == ENOBUFS)
				continue;
			return failure;
		}
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			uint32_t index = nlh->nlmsg_seq - first_seq;

			/* Not ours: the late rest of a batch that failed. */
			if (index < sent_count)
				take_answer(sent[index], nlh);
		}
	}
	if (failure != 0)
		return failure;
	if (!sent[last_seq - first_seq]->answered) {
		/* Without the capability the first message alone is answered. */
		return sent[0]->answered && sent[0]->status < 0 ? sent[0]->status
								: -EPROTO;
	}
	return 0;
}

static int
run_round(struct ct_inject *inject)
{
	struct operation *sent[CT_INJECT_BATCH_MAX];
	uint32_t sent_count = 0, first_seq = inject->seq + 1;
	struct nlmsghdr *last = NULL;
	size_t len = 0;

	for (uint32_t i = 0; i < inject->count; i++) {
		struct operation *op = &inject->operations[i];

		if (op->step == STEP_DONE)
			continue;
		op->answered = op->found = false;
		op->status = 0;
		last = (struct nlmsghdr *)(inject->out + len);
		len += encode_step(op, last, ++inject->seq);
		sent[sent_count++] = op;
	}
	if (sent_count == 0)
		return 0;
	last->nlmsg_flags |= NLM_F_ACK;
	inject->counters.messages += sent_count;
	inject->counters.batches++;
	for (;;) {
		if (send(inject->fd, inject->out, len, 0) >= 0)
			return read_answers(inject, sent, sent_count, first_seq);
		if (errno != EINTR)
			return -errno;
	}
}

/* ---- what an answer means ---- */

static void
finish(struct operation *op, enum ct_outcome outcome, int status)
{
	op->step = STEP_DONE;
	op->result = (struct ct_result){
		.cookie = op->cookie, .outcome = outcome, .status = status
	};
}

static bool
is_same_entry(const struct operation *op)
{
	const uint16_t nat = FLOW_STATUS_SRC_NAT | FLOW_STATUS_DST_NAT;
	uint16_t wanted =
	    (uint16_t)((flow_has_src_nat(&op->flow) ? FLOW_STATUS_SRC_NAT : 0) |
		       (flow_has_dst_nat(&op->flow) ? FLOW_STATUS_DST_NAT : 0));

	/* The lookup finds an entry by its reply tuple too, so the key is compared. An
	 * entry with the right tuples but without NAT bits translates nothing. */
	return flow_key_equal(&op->flow.key, &op->found_flow.key) &&
	       memcmp(&op->flow.reply, &op->found_flow.reply, sizeof(op->flow.reply)) ==
		   0 &&
	       (op->found_flow.status & nat) == wanted;
}

static void
remove_found(struct operation *op)
{
	if (!(op->flags & CT_INJECT_REPLACE)) {
		finish(op, CT_REFUSED, op->lowered ? -EBUSY : -EEXIST);
		return;
	}
	op->in_way = op->found_flow.key;
	op->in_way_id = op->found_facts.id;
	op->step = STEP_REMOVE;
}

static void
after_create(struct operation *op)
{
	switch (op->status) {
	case 0:
		finish(op, op->replaced ? CT_REPLACED : CT_CREATED, 0);
		break;
	case -EEXIST:
		op->lowered = false;
		op->step = STEP_LOOK_ORIG;
		break;
	case -EAGAIN: /* the extensions changed under the new entry */
		break;
	case -EOPNOTSUPP:
		/* This kernel may lack the helper: the flow itself is worth having. */
		if (op->flow.helper != FLOW_HELPER_NONE) {
			op->flow.helper = FLOW_HELPER_NONE;
			break;
		}
		finish(op, CT_REFUSED, op->status);
		break;
	default:
		finish(op, CT_REFUSED, op->status);
		break;
	}
}

static void
after_update(struct operation *op)
{
	switch (op->status) {
	case 0:
		finish(op, CT_UPDATED, 0);
		break;
	case -ENOENT:
	case -ETIME: /* dying */
		op->step = STEP_CREATE;
		break;
	case -EBUSY:
		/* SEEN_REPLY or ASSURED would have to go: a newer connection has taken
		 * over the tuple where the flow lives. */
		op->lowered = true;
		op->step = STEP_LOOK_ORIG;
		break;
	default:
		finish(op, CT_REFUSED, op->status);
		break;
	}
}

static void
after_look_orig(struct operation *op)
{
	if (op->found) {
		if (is_same_entry(op) && !op->lowered)
			op->step = STEP_UPDATE;
		else
			remove_found(op);
	} else if (op->status == -ENOENT) {
		op->step = op->lowered ? STEP_CREATE : STEP_LOOK_REPLY;
	} else {
		/* Something is there that cannot be read as a flow. */
		finish(op, CT_REFUSED, op->status < 0 ? op->status : -EEXIST);
	}
}

static void
after_look_reply(struct operation *op)
{
	if (op->found)
		remove_found(op);
	else if (op->status == -ENOENT)
		op->step = STEP_CREATE;
	else
		finish(op, CT_REFUSED, op->status < 0 ? op->status : -EEXIST);
}

/* The socket's or the kernel's memory, not the flow: the batch is worth another try. */
static bool
is_pressure(int result)
{
	return result == -ENOBUFS || result == -ENOMEM;
}

static void
advance(struct operation *op)
{
	switch (op->step) {
	case STEP_CREATE:
		after_create(op);
		break;
	case STEP_UPDATE:
		after_update(op);
		break;
	case STEP_LOOK_ORIG:
		after_look_orig(op);
		break;
	case STEP_LOOK_REPLY:
		after_look_reply(op);
		break;
	case STEP_REMOVE:
		op->replaced = op->replaced || op->status == 0;
		op->step = STEP_CREATE;
		break;
	case STEP_DELETE:
		if (is_pressure(op->status))
			break; /* tried again, ATTEMPTS_MAX times */
		if (op->status == 0)
			finish(op, CT_DELETED, 0);
		else if (op->status == -ENOENT)
			finish(op, CT_ABSENT, 0);
		else
			finish(op, CT_REFUSED, op->status);
		break;
	case STEP_STRICT:
		if (op->status == 0)
			finish(op, CT_UPDATED, 0);
		else if (op->status == -ENOENT || op->status == -ETIME)
			finish(op, CT_ABSENT, 0);
		else
			finish(op, CT_REFUSED, op->status);
		break;
	case STEP_DONE:
		break;
	}
	if (op->step != STEP_DONE && ++op->attempts == ATTEMPTS_MAX)
		finish(op, CT_REFUSED, op->status < 0 ? op->status : -EEXIST);
}

static void
count_result(struct ct_inject *inject, const struct ct_result *result)
{
	inject->counters.outcomes[result->outcome]++;
	if (result->outcome == CT_REFUSED) {
		unsigned error = (unsigned)-result->status;

		inject->counters
		    .refused[error < CT_INJECT_ERRNO_MAX ? error
							 : CT_INJECT_ERRNO_MAX - 1]++;
	}
}

int
ct_inject_flush(struct ct_inject *inject)
{
	bool unfinished = inject->count > 0;
	unsigned pressed = 0;
	int result = 0;

	td_assert(!inject->flushing);
	inject->flushing = true;
	while (unfinished) {
		result = run_round(inject);
		unfinished = false;
		for (uint32_t i = 0; i < inject->count; i++) {
			struct operation *op = &inject->operations[i];

			if (op->step == STEP_DONE)
				continue;
			/* Every step may be carried out twice: what was done without
			 * our having heard of it answers that it is there or gone. */
			if (result == 0)
				advance(op);
			else if (!is_pressure(result) || pressed == PRESSURE_MAX)
				finish(op, CT_REFUSED, result);
			unfinished = unfinished || op->step != STEP_DONE;
		}
		pressed += is_pressure(result);
	}
	for (uint32_t i = 0; i < inject->count; i++) {
		const struct ct_result *r = &inject->operations[i].result;

		count_result(inject, r);
		inject->on_result(inject->context, r);
	}
	inject->count = 0;
	memset(inject->seen, 0, sizeof(inject->seen));
	inject->flushing = false;
	return result;
}

/* ---- queue ---- */

/* Only guards against two operations on one flow in a batch; anybody may guess it. */
static uint32_t
hash_key(const struct flow_key *key)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t)], hash = 0;

	static_assert(sizeof(*key) % sizeof(uint64_t) == 0, "key in whole words");
	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15U;
	return (uint32_t)(hash >> 32) % SEEN_BITS;
}

static bool
is_queued(const struct ct_inject *inject, const struct flow_key *key)
{
	for (uint32_t i = 0; i < inject->count; i++) {
		if (flow_key_equal(&inject->operations[i].flow.key, key))
			return true;
	}
	return false;
}

/* An operation may take several rounds, so a later one on the same flow would overtake
 * it: a deletion before the retried creation, say. It waits for the next batch. */
static int
next_operation(
    struct ct_inject *inject, const struct flow_key *key, struct operation **ret_op)
{
	uint32_t hash = hash_key(key);
	bool seen = inject->seen[hash / 64] >> (hash % 64) & 1;
	struct operation *op;
	int result = 0;

	td_assert(!inject->flushing);
	if (inject->count == CT_INJECT_BATCH_MAX || (seen && is_queued(inject, key)))
		result = ct_inject_flush(inject);
	inject->seen[hash / 64] |= UINT64_C(1) << (hash % 64);
	op = &inject->operations[inject->count++];
	op->attempts = 0;
	op->flags = 0;
	op->lowered = op->replaced = false;
	*ret_op = op;
	return result;
}

int
ct_inject_upsert(struct ct_inject *inject, const struct flow_record *flow,
    uint32_t timeout_s, unsigned flags, uint64_t cookie)
{
	struct operation *op;
	int result = next_operation(inject, &flow->key, &op);

	td_assert(timeout_s >= 1);
	op->flow = *flow;
	op->timeout_s = timeout_s;
	op->flags = flags;
	op->cookie = cookie;
	op->step = flags & CT_INJECT_EXPECT_PRESENT ? STEP_UPDATE : STEP_CREATE;
	return result;
}

int
ct_inject_delete(struct ct_inject *inject, const struct flow_key *key, uint64_t cookie)
{
	struct operation *op;
	int result = next_operation(inject, key, &op);

	op->flow.key = *key;
	op->cookie = cookie;
	op->step = STEP_DELETE;
	return result;
}

int
ct_inject_strict(
    struct ct_inject *inject, const struct flow_record *flow, uint64_t cookie)
{
	struct operation *op;
	int result = next_operation(inject, &flow->key, &op);

	op->flow = *flow;
	op->cookie = cookie;
	op->step = STEP_STRICT;
	return result;
}
