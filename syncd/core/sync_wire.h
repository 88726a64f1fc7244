/*
 * sync_wire.h - peer messages as bytes; the only reader of proto/sync.proto.
 *
 * Limits   a message longer than SYNC_MESSAGE_MAX is refused before it is looked at,
 * and unpacking takes all its memory from an arena of fixed size in the decoder: the
 * peer cannot make this process grow. Memory   the caller owns the decoder. A decoded
 * message borrows from it until the next call. Errors   the decoder returns the reason.
 */
#ifndef TANDEM_SYNCD_SYNC_WIRE_H
#define TANDEM_SYNCD_SYNC_WIRE_H

#include <stdalign.h>
#include "syncd/core/sync_msg.h"

enum sync_drop {
	SYNC_OK,
	SYNC_DROP_TOO_LONG,
	SYNC_DROP_ENVELOPE, /* not our protobuf, or more memory than the arena has */
	SYNC_DROP_BODY,     /* none, or one of a later version */
	SYNC_DROP_FIELD,    /* a text, digest or enumeration out of range */
	SYNC_DROP_BLOB,     /* flow records missing, or longer than allowed */
	SYNC_DROP_COUNT
};

#define SYNC_ARENA_BYTES (2 * SYNC_MESSAGE_MAX)

struct sync_decoder {
	size_t used;
	alignas(max_align_t) uint8_t arena[SYNC_ARENA_BYTES];
};

enum sync_drop sync_msg_decode(struct sync_decoder *decoder, const uint8_t *bytes,
    size_t len, struct sync_msg *ret_msg);

/* Into buf of SYNC_MESSAGE_MAX bytes; the length. */
size_t sync_msg_encode(const struct sync_msg *msg, uint8_t *buf);

const char *sync_drop_name(enum sync_drop drop);
const char *sync_msg_name(enum sync_msg_kind kind); /* "hello" */

#endif
