/* Any packet: undecodable, or a message that encodes and decodes to itself. */
#include <string.h>
#include <tandem/assert.h>
#include "common/room_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
control_round_trip(const uint8_t *bytes, size_t len)
{
	uint8_t first[TD_CONTROL_BYTES_MAX], second[TD_CONTROL_BYTES_MAX];
	size_t first_len, second_len;
	struct control_packet packet;

	if (control_decode(bytes, len, &packet) != 0)
		return;
	td_assert(packet.fd == -1);
	td_assert(control_encode(&packet, first, &first_len) == 0);
	td_assert(control_decode(first, first_len, &packet) == 0);
	td_assert(control_encode(&packet, second, &second_len) == 0);
	td_assert(first_len == second_len && memcmp(first, second, first_len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static uint8_t first[TD_MSG_BYTES_MAX], second[TD_MSG_BYTES_MAX];
	size_t first_len, second_len;
	struct td_msg msg;

	control_round_trip(bytes, len);
	if (msg_decode(bytes, len, &msg) != 0)
		return 0;
	td_assert(msg_encode(&msg, first, &first_len) == 0);
	msg_free(&msg);
	td_assert(msg_decode(first, first_len, &msg) == 0);
	td_assert(msg_encode(&msg, second, &second_len) == 0);
	td_assert(first_len == second_len && memcmp(first, second, first_len) == 0);
	msg_free(&msg);
	return 0;
}
