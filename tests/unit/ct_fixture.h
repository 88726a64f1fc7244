/*
 * ct_fixture.h - two namespaces and the conntrack side in both: flows are injected into
 * A, whose events are read; replicas into B, whose table is dumped.
 */
#ifndef TANDEM_TESTS_CT_FIXTURE_H
#define TANDEM_TESTS_CT_FIXTURE_H

#include <stdint.h>
#include "syncd/core/flow.h"
#include "syncd/ct_dump.h"
#include "syncd/ct_events.h"
#include "syncd/ct_inject.h"

#define TIMEOUT_S 600U
#define ASSURED (FLOW_STATUS_SEEN_REPLY | FLOW_STATUS_ASSURED)
#define WSCALE 0x01
#define SACK 0x02
#define CLOSE_INIT 0x04

struct seen_event {
	enum ct_event_kind kind;
	uint32_t portid;
	struct ct_facts facts;
	struct flow_record flow;
};

#define SEEN_MAX 4096

struct fixture {
	int netns_a, netns_b;
	struct ct_inject *inject_a, *inject_b;
	struct ct_events *events_a;
	struct ct_dump *dump_b;
	struct seen_event events[SEEN_MAX];
	unsigned event_count;
	uint64_t events_total;
	unsigned overruns;
	struct seen_event entries[SEEN_MAX];
	unsigned entry_count;
	struct ct_result results[SEEN_MAX];
	unsigned result_count;
	uint64_t results_total, results_ok;
};

/* Fixtures of a cmocka group. */
int ct_setup(void **state);
int ct_teardown(void **state);

/* The handlers, for objects that a test makes itself; context is the fixture. */
void on_event(void *context, const struct ct_event *event);
void on_overrun(void *context);
void on_entry(void *context, const struct ct_event *event);
void on_result(void *context, const struct ct_result *result);

void drain(struct fixture *f);   /* A's events into f->events, the old ones forgotten */
void dump(struct fixture *f);    /* B's table into f->entries */
void clean_b(struct fixture *f); /* empties B's table */

/* Applies one flow and returns what became of it. */
const struct ct_result *upsert(struct fixture *f, struct ct_inject *inject,
    const struct flow_record *flow, unsigned flags);

void assert_result(const struct ct_result *result, enum ct_outcome outcome, int status,
    const char *row);
/* Equal but for time passed. */
void assert_same_flow(const struct flow_record *got, const struct flow_record *wanted,
    const char *where, const char *row);

/* An assured flow without NAT; TCP is established with scales 7 and 9. */
struct flow_record make_flow(uint8_t protocol, const char *src, uint16_t src_port,
    const char *dst, uint16_t dst_port);
void nat_source(struct flow_record *flow, const char *address, uint16_t port_or_id);
void nat_destination(struct flow_record *flow, const char *address, uint16_t port);
struct flow_record tcp4(void);
struct flow_record tcp6(void);
struct flow_record udp4(void);
struct flow_record icmp4(void);
struct flow_record icmp6(void);

/* main() of a program of such tests. */
#define CT_RUN(tests)                                                                  \
	(ct_lab_missing() != NULL                                                      \
		? (printf("skipped: %s\n", ct_lab_missing()), CT_LAB_SKIPPED)          \
		: cmocka_run_group_tests(tests, ct_setup, ct_teardown))

#endif
