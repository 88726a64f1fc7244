/*
 * ct_rate - how fast the conntrack side is on this machine's kernel, in a namespace of
 * its own: flows created, updated and deleted in batches, the same created with one
 * request and one acknowledgement each (what conntrackd's commit does, through the same
 * library), events read, and the table dumped. Nanoseconds of wall clock per flow,
 * median of rounds; the two ways to create take turns.
 *
 *   ct_rate [FLOWS [ROUNDS]]     prints one "name value unit" per line
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include "syncd/core/flow.h"
#include "syncd/ct_dump.h"
#include "syncd/ct_events.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_inject.h"
#include "syncd/ct_sysctl.h"

#define ROUNDS_MAX 31
#define EVENT_CHUNK 8192U /* injected, then read: what a receive buffer holds */

enum figure {
	CREATE_PLAIN,
	CREATE_NAT,
	CREATE_NAT_SINGLY,
	UPDATE_NAT,
	DELETE_NAT,
	READ_EVENT,
	READ_EVENT_CPU,
	DUMP_ENTRY,
	FIGURES
};

static const char *const figure_names[FIGURES] = {
	[CREATE_PLAIN] = "create_plain",
	[CREATE_NAT] = "create_nat",
	[CREATE_NAT_SINGLY] = "create_nat_singly_acked",
	[UPDATE_NAT] = "update_nat",
	[DELETE_NAT] = "delete_nat",
	[READ_EVENT] = "read_event",
	[READ_EVENT_CPU] = "read_event_user_cpu",
	[DUMP_ENTRY] = "dump_entry",
};

struct bench {
	uint32_t flows;
	struct ct_inject *inject;
	struct ct_events *events;
	struct ct_dump *dump;
	uint64_t refused, seen;
	double ns[FIGURES][ROUNDS_MAX];
};

static int64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t
user_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec * INT64_C(1000000000) +
	       usage.ru_utime.tv_usec * INT64_C(1000);
}

static void
die(const char *what, int error)
{
	fprintf(stderr, "ct_rate: %s: %s\n", what, strerror(-error));
	exit(1);
}

static void
on_result(void *context, const struct ct_result *result)
{
	struct bench *bench = context;

	bench->refused += result->outcome == CT_REFUSED;
}

static void
on_event(void *context, const struct ct_event *event)
{
	struct bench *bench = context;

	(void)event;
	bench->seen++;
}

static void
on_overrun(void *context)
{
	(void)context;
	die("event socket overrun", -ENOBUFS);
}

static struct flow_record
make_flow(uint32_t i, bool nat)
{
	struct flow_record flow;
	const uint8_t client[4] = { 10, (uint8_t)(i >> 24), (uint8_t)(i >> 16), 11 };
	const uint8_t server[4] = { 203, 0, 113, 254 }, router[4] = { 203, 0, 113, 1 };

	memset(&flow, 0, sizeof(flow));
	flow.key.family = TD_AF_INET;
	flow.key.protocol = FLOW_TCP;
	memcpy(flow.key.orig.src, client, 4);
	memcpy(flow.key.orig.dst, server, 4);
	flow.key.orig.src_port = (uint16_t)i;
	flow.key.orig.dst_port = (uint16_t)(443 + (i >> 16));
	flow.reply = flow_tuple_invert(&flow.key);
	flow.status = FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED;
	flow.tcp_state = FLOW_TCP_ESTABLISHED;
	flow.tcp_flags[0] = flow.tcp_flags[1] = 3;
	flow.tcp_wscale[0] = flow.tcp_wscale[1] = 7;
	flow.mark = i;
	flow.present = FLOW_HAS_STATUS | FLOW_HAS_TCP | FLOW_HAS_MARK;
	if (nat) {
		memcpy(flow.reply.dst, router, 4);
		flow.status |= FLOW_STATUS_SRC_NAT;
	}
	return flow;
}

static double
upsert_all(struct bench *bench, bool nat, unsigned flags)
{
	int64_t start = clock_ns(CLOCK_MONOTONIC);

	for (uint32_t i = 0; i < bench->flows; i++) {
		struct flow_record flow = make_flow(i, nat);

		ct_inject_upsert(bench->inject, &flow, 3600, flags, i);
	}
	ct_inject_flush(bench->inject);
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / bench->flows;
}

static double
delete_all(struct bench *bench)
{
	int64_t start = clock_ns(CLOCK_MONOTONIC);

	for (uint32_t i = 0; i < bench->flows; i++) {
		struct flow_record flow = make_flow(i, true);

		ct_inject_delete(bench->inject, &flow.key, i);
	}
	ct_inject_flush(bench->inject);
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / bench->flows;
}

/* One request and one acknowledgement per entry, through libnetfilter_conntrack. */
static double
create_singly(struct bench *bench)
{
	struct nfct_handle *handle = nfct_open(CONNTRACK, 0);
	int64_t start;

	if (handle == NULL)
		die("nfct_open", -errno);
	start = clock_ns(CLOCK_MONOTONIC);
	for (uint32_t i = 0; i < bench->flows; i++) {
		struct flow_record flow = make_flow(i, true);
		struct nf_conntrack *ct = nfct_new();
		uint32_t src, dst, nat;

		if (ct == NULL)
			die("nfct_new", -ENOMEM);
		memcpy(&src, flow.key.orig.src, 4);
		memcpy(&dst, flow.key.orig.dst, 4);
		memcpy(&nat, flow.reply.dst, 4);
		nfct_set_attr_u8(ct, ATTR_L3PROTO, AF_INET);
		nfct_set_attr_u8(ct, ATTR_L4PROTO, IPPROTO_TCP);
		nfct_set_attr_u32(ct, ATTR_IPV4_SRC, src);
		nfct_set_attr_u32(ct, ATTR_IPV4_DST, dst);
		nfct_set_attr_u16(ct, ATTR_PORT_SRC, htons(flow.key.orig.src_port));
		nfct_set_attr_u16(ct, ATTR_PORT_DST, htons(flow.key.orig.dst_port));
		nfct_setobjopt(ct, NFCT_SOPT_SETUP_REPLY);
		nfct_set_attr_u32(ct, ATTR_SNAT_IPV4, nat);
		nfct_set_attr_u16(ct, ATTR_SNAT_PORT, htons(flow.reply.dst_port));
		nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
		nfct_set_attr_u32(
		    ct, ATTR_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED);
		nfct_set_attr_u32(ct, ATTR_TIMEOUT, 3600);
		nfct_set_attr_u32(ct, ATTR_MARK, flow.mark);
		bench->refused += nfct_query(handle, NFCT_Q_CREATE, ct) < 0;
		nfct_destroy(ct);
	}
	start = clock_ns(CLOCK_MONOTONIC) - start;
	nfct_close(handle);
	return (double)start / bench->flows;
}

static double
dump_all(struct bench *bench)
{
	int64_t start = clock_ns(CLOCK_MONOTONIC);
	int more;

	bench->seen = 0;
	if (ct_dump_start(bench->dump, 0) < 0)
		die("dump", -errno);
	while ((more = ct_dump_step(bench->dump, UINT32_MAX)) == 1)
		continue;
	if (more < 0 || bench->seen != bench->flows)
		die("dump is not whole", more);
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / bench->flows;
}

/* The events socket belongs to nobody else's changes here: echoes are what is read. */
static void
read_events(struct bench *bench, double *ret_ns, double *ret_user_ns)
{
	int64_t wall = 0, user = 0;
	uint32_t done = 0;

	bench->seen = 0;
	while (done < bench->flows) {
		int64_t wall_start, user_start;

		for (uint32_t i = 0; i < EVENT_CHUNK && done < bench->flows;
		     i++, done++) {
			struct flow_record flow = make_flow(done, true);

			ct_inject_upsert(
			    bench->inject, &flow, 3600, CT_INJECT_EXPECT_PRESENT, i);
		}
		ct_inject_flush(bench->inject);
		wall_start = clock_ns(CLOCK_MONOTONIC);
		user_start = user_ns();
		while (ct_events_drain(bench->events, UINT32_MAX) > 0)
			continue;
		wall += clock_ns(CLOCK_MONOTONIC) - wall_start;
		user += user_ns() - user_start;
	}
	if (bench->seen != bench->flows)
		die("events are missing", -ENOMSG);
	*ret_ns = (double)wall / bench->flows;
	*ret_user_ns = (double)user / bench->flows;
}

static void
run_round(struct bench *bench, unsigned round)
{
	struct ct_events_config config = { .on_event = on_event,
		.on_overrun = on_overrun,
		.rcvbuf_bytes = 64U << 20,
		.context = bench };
	int result;

	bench->ns[CREATE_NAT_SINGLY][round] = create_singly(bench);
	delete_all(bench);
	bench->ns[CREATE_PLAIN][round] = upsert_all(bench, false, 0);
	delete_all(bench);
	bench->ns[CREATE_NAT][round] = upsert_all(bench, true, 0);
	bench->ns[UPDATE_NAT][round] =
	    upsert_all(bench, true, CT_INJECT_EXPECT_PRESENT);
	bench->ns[DUMP_ENTRY][round] = dump_all(bench);
	/* Only while it is measured: a listener makes every change dearer. */
	result = ct_events_new(&config, &bench->events);
	if (result < 0)
		die("events", result);
	read_events(
	    bench, &bench->ns[READ_EVENT][round], &bench->ns[READ_EVENT_CPU][round]);
	ct_events_free(bench->events);
	bench->ns[DELETE_NAT][round] = delete_all(bench);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
	struct ct_sysctl sysctl;
	int result;

	if (bench == NULL || rounds < 1 || rounds > ROUNDS_MAX)
		die("rounds", -EINVAL);
	bench->flows = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000;
	if (unshare(CLONE_NEWNET) < 0)
		die("unshare", -errno);
	ct_sysctl_apply(0, &sysctl);
	if (sysctl.settings[CT_SET_MAX].effective <= (int64_t)bench->flows)
		die("more flows than nf_conntrack_max", -ENOSPC);
	result = ct_inject_new(on_result, bench, &bench->inject);
	if (result == 0)
		result = ct_dump_new(NULL, on_event, bench, &bench->dump);
	if (result < 0)
		die("netlink", result);
	for (unsigned i = 0; i < rounds; i++)
		run_round(bench, i);
	if (bench->refused > 0)
		die("refused", -EINVAL);
	for (unsigned i = 0; i < FIGURES; i++) {
		qsort(bench->ns[i], rounds, sizeof(double), compare);
		printf("%s %.0f ns (%.0f - %.0f)\n", figure_names[i],
		    bench->ns[i][rounds / 2], bench->ns[i][0],
		    bench->ns[i][rounds - 1]);
	}
	ct_dump_free(bench->dump);
	ct_inject_free(bench->inject);
	free(bench);
	return 0;
}
