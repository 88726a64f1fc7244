/*
 * room_wire.h - struct td_msg and struct control_packet as bytes: proto/room.proto.
 *
 * Decoders take bytes from a process that may be hostile: everything is copied into our
 * own bounded structs, numbers out of range and texts too long make the packet undecodable.
 *
 * Errors   encode: -EINVAL (no such message), -EMSGSIZE, -ENOMEM; decode: -EBADMSG,
 *          -ENOMEM.
 */
#ifndef TANDEM_COMMON_ROOM_WIRE_H
#define TANDEM_COMMON_ROOM_WIRE_H

#include "common/room.h"

#define TD_MSG_TEXT_MAX (60 * 1024)       /* of a request or reply */
#define TD_MSG_PEER_CALL_MAX (48 * 1024)
#define TD_MSG_SAMPLES_MAX 4096           /* of one part */
#define TD_CONTROL_BYTES_MAX 256

int msg_encode(const struct td_msg *msg, uint8_t buf[TD_MSG_BYTES_MAX], size_t *ret_len);
int msg_decode(const uint8_t *bytes, size_t len, struct td_msg *ret_msg);
/* What one sample adds to a packed status part, at most. */
size_t msg_sample_bytes(const struct td_sample *sample);

/* The descriptor is not part of the bytes: decode sets fd to -1. */
int control_encode(const struct control_packet *packet, uint8_t buf[TD_CONTROL_BYTES_MAX],
    size_t *ret_len);
int control_decode(const uint8_t *bytes, size_t len, struct control_packet *ret_packet);

#endif
