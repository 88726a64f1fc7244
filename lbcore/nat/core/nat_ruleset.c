/* nat_ruleset.c - see nat_ruleset.h */
#include "lbcore/nat/core/nat_ruleset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include <tandem/mark.h>
#include "lbcore/l4/core/l4_slots.h"
#include "lbcore/nat/core/nat_compile.h"
#include "lbcore/nat/core/nat_match.h"

#define NAT_COUNTER_RECENT 64

static const char *const drop_names[NAT_DROP_COUNT] = {
	[NAT_DROP_INVALID] = "invalid",
	[NAT_DROP_MIDSTREAM] = "midstream",
	[NAT_DROP_NO_SERVER] = "no_server",
	[NAT_DROP_LOST_MARK] = "lost_mark",
	[NAT_DROP_UNSERVED] = "unserved",
	[NAT_DROP_INGRESS] = "ingress",
	[NAT_DROP_SPOOFED] = "spoofed",
	[NAT_DROP_FORWARD] = "forward",
};

const char *
nat_drop_name(enum nat_drop drop)
{
	td_assert(drop < NAT_DROP_COUNT);
	return drop_names[drop];
}

void
nat_ruleset_comment(uint64_t digest, char ret_comment[NAT_COMMENT_MAX])
{
	snprintf(
	    ret_comment, NAT_COMMENT_MAX, "model %016llx", (unsigned long long)digest);
}

/* Names are made of indices, not of the model's names: those may hold what nftables
 * does not take. A server's are made of its slot, which outlives changes of the order.
 */
static void
counter_name(const struct nat_compiler *c, enum nat_counter_kind kind, uint32_t index,
    uint32_t sub, char name[NAT_COUNTER_NAME_MAX])
{
	const size_t max = NAT_COUNTER_NAME_MAX;

	switch (kind) {
	case NAT_COUNT_DROP:
		snprintf(name, max, "drop_%s", nat_drop_name((enum nat_drop)index));
		break;
	case NAT_COUNT_INGRESS_RULE:
		snprintf(name, max, "ingress_%u_%u", index, sub);
		break;
	case NAT_COUNT_INGRESS_DENIED:
		snprintf(name, max, "ingress_%u_denied", index);
		break;
	case NAT_COUNT_EGRESS_RULE:
		snprintf(name, max, "egress_%u_%u", index, sub);
		break;
	case NAT_COUNT_EGRESS_DEFAULT:
		snprintf(name, max, "egress_%u_default", index);
		break;
	case NAT_COUNT_SOURCE_NAT:
		snprintf(name, max, "source_nat_%u", index);
		break;
	case NAT_COUNT_STATIC_IN:
		snprintf(name, max, "static_%u_in", index);
		break;
	case NAT_COUNT_STATIC_OUT:
		snprintf(name, max, "static_%u_out", index);
		break;
	case NAT_COUNT_PORT_FORWARD:
		snprintf(name, max, "port_forward_%u", index);
		break;
	case NAT_COUNT_SERVER_NEW:
		snprintf(name, max, "server_%u_new", l4_slot(c->slots, index, sub));
		break;
	case NAT_COUNT_SERVER_IN:
		snprintf(name, max, "server_%u_in", l4_slot(c->slots, index, sub));
		break;
	case NAT_COUNT_SERVER_OUT:
		snprintf(name, max, "server_%u_out", l4_slot(c->slots, index, sub));
		break;
	case NAT_COUNT_BALANCER_DENIED:
		snprintf(name, max, "balancer_%u_denied", index);
		break;
	}
}

const char *
nat_counter(
    struct nat_compiler *c, enum nat_counter_kind kind, uint32_t index, uint32_t sub)
{
	struct nat_counter *counter;

	/* A name is asked for again soon or never (a rule of both families, a server's
	 * chain and map), but for the drops, which come first. */
	for (uint32_t i = c->counter_count; i > 0; i--) {
		if (i > NAT_DROP_COUNT && c->counter_count - i >= NAT_COUNTER_RECENT)
			i = NAT_DROP_COUNT;
		counter = &c->counters[i - 1];
		if (counter->kind == kind && counter->index == index &&
		    counter->sub == sub)
			return counter->name;
	}
	if (c->counter_count == NAT_COUNTERS_MAX) {
		c->text.error = -E2BIG;
		return "";
	}
	if (c->counter_count == c->counter_capacity) {
		uint32_t capacity =
		    c->counter_capacity == 0 ? 64 : c->counter_capacity * 2;

		counter = realloc(c->counters, capacity * sizeof(*counter));
		if (counter == NULL) {
			c->text.error = -ENOMEM;
			return "";
		}
		c->counters = counter;
		c->counter_capacity = capacity;
	}
	counter = &c->counters[c->counter_count++];
	memset(counter, 0, sizeof(*counter));
	counter->kind = kind;
	counter->index = index;
	counter->sub = sub;
	counter_name(c, kind, index, sub, counter->name);
	return counter->name;
}

static uint64_t
text_digest(const struct nat_text *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < text->len; i++) {
		h ^= (uint8_t)text->bytes[i];
		h *= UINT64_C(0x100000001b3);
	}
	return h;
}

int
nat_ruleset_compile(struct nat_ruleset *ret_ruleset, const struct td_config *config,
    const struct l4_slots *slots)
{
	struct nat_compiler c = { .config = config, .slots = slots };
	char comment[NAT_COMMENT_MAX];
	uint64_t digest;
	int r;

	r = nat_addresses_init(&c);
	if (r < 0)
		goto out;
	for (uint32_t i = 0; i < NAT_DROP_COUNT; i++)
		nat_counter(&c, NAT_COUNT_DROP, i, 0);
	/* "add" first, so that "delete" has something to delete; one transaction. */
	nat_text_add(&c.text,
	    "add table inet %s\ndelete table inet %s\ntable inet %s {\n", NAT_TABLE,
	    NAT_TABLE, NAT_TABLE);
	nat_compile_sets(&c);
	nat_compile_guard(&c);
	nat_compile_ingress(&c);
	nat_compile_input(&c);
	nat_compile_servers(&c);
	nat_compile_translate_in(&c);
	nat_compile_egress(&c);
	nat_compile_forwarding(&c);
	nat_compile_translate_out(&c);
	for (uint32_t i = 0; i < c.counter_count; i++)
		nat_text_add(&c.text, "\tcounter %s { }\n", c.counters[i].name);
	r = c.text.error;
	if (r < 0)
		goto out;
	digest = text_digest(&c.text);
	nat_ruleset_comment(digest, comment);
	nat_text_add(&c.text, "\tcomment \"%s\"\n}\n", comment);
	r = c.text.error;
	if (r < 0)
		goto out;
	*ret_ruleset = (struct nat_ruleset){ .text = c.text.bytes,
		.len = c.text.len,
		.digest = digest,
		.counters = c.counters,
		.counter_count = c.counter_count };
	c.text = (struct nat_text){ 0 };
	c.counters = NULL;
out:
	nat_text_fini(&c.text);
	nat_addresses_fini(&c);
	free(c.counters);
	return r;
}

void
nat_ruleset_fini(struct nat_ruleset *ruleset)
{
	free(ruleset->text);
	free(ruleset->counters);
	memset(ruleset, 0, sizeof(*ruleset));
}
