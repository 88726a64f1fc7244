/*
 * control_wire.h - the control socket's messages as bytes: proto/control.proto. The
 * only file that sees the generated types.
 *
 * Decoders take bytes from anybody in group tandem, and from the peer: bounded, checked
 * for NUL inside strings by their length, freed before return.
 */
#ifndef TANDEM_ROUTERD_CONTROL_WIRE_H
#define TANDEM_ROUTERD_CONTROL_WIRE_H

#include "routerd/core/samples.h"

#define CONTROL_BYTES_MAX (128U << 10)
#define CONTROL_TEXT_MAX (47U << 10)  /* of one message */
#define CONTROL_CONFIG_MAX (4U << 20) /* of a configuration, in parts */
#define CONTROL_VERSION 1

enum control_command {
	CONTROL_CMD_NONE,
	CONTROL_CMD_SAMPLES,
	CONTROL_CMD_LIST,
	CONTROL_CMD_SWITCHOVER,
	CONTROL_CMD_RESYNC,
	CONTROL_CMD_CHECK,
	CONTROL_CMD_APPLY,
	CONTROL_CMD_TEXT,
	CONTROL_CMD_MAINTENANCE,
	CONTROL_CMD_COUNT
};

struct control_request {
	uint64_t id;
	enum control_command command; /* an unknown one decodes to NONE */
	char *text;                   /* owned; never NULL after decode */
	bool alone;
};

struct control_reply {
	uint64_t id;
	bool more;
	int32_t status;
	char *text; /* owned; never NULL after decode */
};

struct peer_call {
	uint64_t generation;
	uint8_t digest[TD_DIGEST_BYTES];
	char node[TD_NAME_MAX];
	char *text; /* owned; never NULL after decode */
};

/* Encoders: malloced bytes, NULL without memory or over CONTROL_BYTES_MAX. */
uint8_t *control_request_encode(const struct control_request *request, size_t *ret_len);
/* With samples [first, first + *count); lowers *count to what fits. */
uint8_t *control_reply_encode(const struct control_reply *reply,
    const struct sample *samples, size_t *count, size_t *ret_len);
uint8_t *peer_call_encode(const struct peer_call *call, size_t *ret_len);

/* Decoders: false and nothing owned on any error. Samples are added to the set. */
bool control_request_decode(
    const uint8_t *bytes, size_t len, struct control_request *ret_request);
bool control_reply_decode(const uint8_t *bytes, size_t len,
    struct control_reply *ret_reply, struct sample_set *set);
bool peer_call_decode(const uint8_t *bytes, size_t len, struct peer_call *ret_call);

#endif
