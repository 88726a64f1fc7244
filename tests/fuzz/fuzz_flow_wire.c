/* Any blob: each record is refused, or encodes and decodes to itself. */
#include <string.h>
#include <tandem/assert.h>
#include "syncd/core/flow_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct td_reader rd = { bytes, len, false };
	struct flow_change first, second;

	while (rd.left > 0 && flow_change_decode(&rd, &first) == FLOW_OK) {
		uint8_t buf[FLOW_WIRE_MAX];
		struct td_writer wr = { buf, sizeof(buf), false };
		struct td_reader again = { buf, 0, false };
		char text[FLOW_TEXT_MAX];

		flow_change_encode(&wr, &first);
		td_assert(!wr.failed);
		again.left = sizeof(buf) - wr.left;
		td_assert(flow_change_decode(&again, &second) == FLOW_OK);
		td_assert(again.left == 0);
		td_assert(memcmp(&first, &second, sizeof(first)) == 0);
		td_assert(strlen(flow_format(&first.flow, text)) < FLOW_TEXT_MAX);
		td_assert(flow_helper_name(first.flow.helper) != NULL);
	}
	return 0;
}
