/*
 * nat_compile.h - what the parts of the ruleset compiler share; private to nat/core.
 */
#ifndef TANDEM_LBCORE_NAT_COMPILE_H
#define TANDEM_LBCORE_NAT_COMPILE_H

#include <stdbool.h>
#include "lbcore/nat/core/nat_ruleset.h"
#include "lbcore/nat/core/nat_text.h"

/* Sorted, each once: the model may name an address in several places. */
struct nat_addresses {
	struct td_addr *list; /* owned */
	uint32_t count;
};

struct nat_compiler {
	const struct td_config *config; /* borrowed */
	const struct l4_slots *slots;   /* borrowed */
	struct nat_text text;
	struct nat_counter *counters; /* owned */
	uint32_t counter_count, counter_capacity;
	struct nat_addresses
	    virtual_addresses;                 /* everything that moves with the role */
	struct nat_addresses public_addresses; /* of those, what the firewall closes */
};

/* The name of a counter, which exists from now on; valid until the next call. */
const char *nat_counter(
    struct nat_compiler *c, enum nat_counter_kind kind, uint32_t index, uint32_t sub);

/* nat_addresses.c */
int nat_addresses_init(struct nat_compiler *c);
void nat_addresses_fini(struct nat_compiler *c);
/* The virtual address of a network's own interface inside the network. */
const struct td_addr *nat_gateway(
    const struct td_config *config, const struct td_network *network, uint8_t family);
bool nat_has_inside(const struct td_config *config, uint8_t family);

/* nat_filter.c */
void nat_compile_sets(struct nat_compiler *c);
void nat_compile_guard(struct nat_compiler *c);
void nat_compile_ingress(struct nat_compiler *c);
void nat_compile_input(struct nat_compiler *c);
void nat_compile_egress(struct nat_compiler *c);
void nat_compile_forwarding(struct nat_compiler *c);

/* nat_translate.c */
void nat_compile_servers(struct nat_compiler *c);
void nat_compile_translate_in(struct nat_compiler *c);
void nat_compile_translate_out(struct nat_compiler *c);

#endif
