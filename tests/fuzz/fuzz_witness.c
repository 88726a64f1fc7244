/* Any bytes as a witness packet: what is accepted must encode to the same bytes. */
#include <string.h>
#include <tandem/assert.h>
#include "vrrpd/core/witness_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct witness_header header;
	struct witness_payload payload, back;
	struct witness_session session;
	uint8_t bytes[WITNESS_PAYLOAD_BYTES_MAX], head[WITNESS_HEADER_BYTES];
	bool answer;
	size_t len;

	if (witness_payload_decode(data, size, &payload) == WITNESS_OK) {
		len = witness_payload_encode(&payload, bytes);
		/* A peer without hints leaves them out; encoded, each member has one. */
		td_assert(len <= size + payload.member_count);
		td_assert(witness_payload_decode(bytes, len, &back) == WITNESS_OK);
		td_assert(memcmp(&payload, &back, sizeof(back)) == 0);
	}
	if (witness_header_decode(data, size, &header) != WITNESS_OK)
		return 0;
	witness_header_encode(&header, head);
	td_assert(memcmp(head, data, sizeof(head)) == 0);
	if (witness_payload_decode(data + WITNESS_HEADER_BYTES,
		size - WITNESS_HEADER_BYTES, &payload) != WITNESS_OK)
		return 0;
	witness_session_init(&session, 7);
	if (witness_session_receive(&session, &header, &payload, 9, &answer) ==
	    WITNESS_OK) {
		td_assert(payload.echo == 7);
		td_assert(witness_session_receive(&session, &header, &payload, 11,
			      &answer) == WITNESS_DROP_REPLAY);
	}
	return 0;
}
