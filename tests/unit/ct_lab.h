/*
 * ct_lab.h - network namespaces of a test's own, without names: they vanish with the
 * process.
 *
 * A namespace is a descriptor. Sockets belong to the namespace that was entered when
 * they were opened; commands run in it.
 */
#ifndef TANDEM_TESTS_CT_LAB_H
#define TANDEM_TESTS_CT_LAB_H

#include <stdbool.h>
#include "syncd/core/flow.h"

#define CT_LAB_SKIPPED 77 /* exit code that ctest counts as skipped */

/* Why these tests cannot run here, or NULL. */
const char *ct_lab_missing(void);

int ct_lab_new(void); /* a namespace with loopback up */
void ct_lab_enter(int netns);

/* Runs a shell command in `netns`; ends the test when it fails. */
void ct_lab_run(int netns, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A veth pair: `a` in netns_a, `b` in netns_b. */
void ct_lab_wire(int netns_a, const char *a, int netns_b, const char *b);
void ct_lab_move(int from, const char *ifname, int to);

/* "10.0.0.1" and so on into 16 bytes; returns the family. */
uint8_t ct_lab_addr(const char *text, uint8_t bytes[16]);

#endif
