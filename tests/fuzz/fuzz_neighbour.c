/* Any bytes as a frame: an accepted answer is one that was really in those bytes. */
#include <stdbool.h>
#include <string.h>
#include <tandem/assert.h>
#include "vrrpd/core/neighbour_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The checksum is right by luck only: it is made right in a copy. */
static void
repair(uint8_t *frame, size_t size)
{
	uint8_t *ip = frame + 14, *message = ip + 40;
	size_t len = size >= 54 ? (size_t)(ip[4] << 8 | ip[5]) : 0;
	uint32_t sum = (uint32_t)len + 58;

	if (len < 4 || 54 + len > size)
		return;
	message[2] = message[3] = 0;
	for (size_t i = 0; i < 32; i++)
		sum += i % 2 == 0 ? (uint32_t)ip[8 + i] << 8 : ip[8 + i];
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)message[i] << 8 : message[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	message[2] = (uint8_t)(~sum >> 8);
	message[3] = (uint8_t)~sum;
}

static bool
contains(const uint8_t *bytes, size_t size, const uint8_t *part, size_t len)
{
	for (size_t i = 0; i + len <= size; i++)
		if (memcmp(bytes + i, part, len) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t frame[2048];
	struct neighbour_answer answer;

	if (size > sizeof(frame))
		return 0;
	memcpy(frame, data, size);
	repair(frame, size);
	if (neighbour_answer_decode(frame, size, &answer) != NEIGHBOUR_OK)
		return 0;
	td_assert(td_addr_len(&answer.addr) != 0);
	td_assert(contains(frame, size, answer.addr.bytes, td_addr_len(&answer.addr)));
	td_assert(contains(frame, size, answer.mac, 6));
	/* An announcement of it is a question or an advertisement with the same
	 * meaning. */
	if (answer.addr.family == TD_AF_INET6) {
		uint8_t again[NEIGHBOUR_FRAME_MAX];
		struct neighbour_answer back;
		size_t len = neighbour_announce_encode(&answer.addr, answer.mac, again);

		td_assert(neighbour_answer_decode(again, len, &back) == NEIGHBOUR_OK);
		td_assert(memcmp(&back, &answer, sizeof(back)) == 0);
	}
	return 0;
}
