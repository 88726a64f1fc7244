/*
 * fuzz_control.c - the messages that mgmtd takes from anybody in group tandem and from
 * the peer. The first byte chooses the decoder. What was decoded must encode, and
 * decode to the same again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "routerd/control_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_request(const uint8_t *bytes, size_t len)
{
	struct control_request a, b;
	uint8_t *again;

	if (!control_request_decode(bytes, len, &a))
		return;
	again = control_request_encode(&a, &len);
	td_assert(again != NULL);
	td_assert(control_request_decode(again, len, &b));
	td_assert(a.id == b.id && a.command == b.command && a.alone == b.alone);
	td_assert(strcmp(a.text, b.text) == 0);
	free(a.text);
	free(b.text);
	free(again);
}

static void
check_samples(const struct sample_set *a, const struct sample_set *b)
{
	td_assert(a->count == b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct sample *x = &a->list[i], *y = &b->list[i];

		td_assert(x->room == y->room && x->type == y->type);
		td_assert(strcmp(x->name, y->name) == 0);
		td_assert(memcmp(&x->number, &y->number, sizeof(x->number)) == 0);
		td_assert(x->label_count == y->label_count);
		for (unsigned l = 0; l < x->label_count; l++) {
			td_assert(strcmp(x->key[l], y->key[l]) == 0);
			td_assert(strcmp(x->value[l], y->value[l]) == 0);
		}
	}
}

static void
try_reply(const uint8_t *bytes, size_t len)
{
	struct sample_set a_set = { 0 }, b_set = { 0 };
	struct control_reply a, b;

	if (control_reply_decode(bytes, len, &a, &a_set)) {
		size_t sent = 0;

		do {
			size_t count = a_set.count - sent;
			const struct sample *from =
			    count > 0 ? a_set.list + sent : NULL;
			uint8_t *again = control_reply_encode(&a, from, &count, &len);

			/* A sample as large as a packet does not fit beside the rest of
			 * one. */
			if (again == NULL || (count == 0 && sent < a_set.count)) {
				free(again);
				break;
			}
			td_assert(control_reply_decode(again, len, &b, &b_set));
			td_assert(
			    a.id == b.id && a.status == b.status && a.more == b.more);
			td_assert(strcmp(a.text, b.text) == 0);
			free(b.text);
			free(again);
			sent += count;
		} while (sent < a_set.count);
		if (sent == a_set.count)
			check_samples(&a_set, &b_set);
		free(a.text);
	}
	samples_free(&a_set);
	samples_free(&b_set);
}

static void
try_peer_call(const uint8_t *bytes, size_t len)
{
	struct peer_call a, b;
	uint8_t *again;

	if (!peer_call_decode(bytes, len, &a))
		return;
	again = peer_call_encode(&a, &len);
	td_assert(again != NULL);
	td_assert(peer_call_decode(again, len, &b));
	td_assert(a.generation == b.generation && strcmp(a.node, b.node) == 0);
	td_assert(memcmp(a.digest, b.digest, sizeof(a.digest)) == 0);
	td_assert(strcmp(a.text, b.text) == 0);
	free(a.text);
	free(b.text);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		try_request(data + 1, size - 1);
		break;
	case 1:
		try_reply(data + 1, size - 1);
		break;
	case 2:
		try_peer_call(data + 1, size - 1);
		break;
	}
	return 0;
}
