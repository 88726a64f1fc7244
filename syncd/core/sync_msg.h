/*
 * sync_msg.h - what two syncd say to each other, in our own types.
 *
 * Source   docs/protocol.md. sync_wire.h turns them into bytes and back.
 * Memory   `blob` and `bytes` are borrowed: from the sender's buffers when sending,
 * from the decoder until its next message when received.
 */
#ifndef TANDEM_SYNCD_SYNC_MSG_H
#define TANDEM_SYNCD_SYNC_MSG_H

#include <stddef.h>
#include <tandem/room.h>

#define SYNC_MAJOR 1
#define SYNC_MINOR 0

#define SYNC_BLOB_MAX 131072U   /* bytes of flow records in one batch */
#define SYNC_CALL_MAX 49152U    /* bytes of one peer call */
#define SYNC_MESSAGE_MAX 196608 /* bytes of any message */

enum sync_msg_kind {
	SYNC_HELLO,
	SYNC_START,
	SYNC_BATCH,
	SYNC_REPORT,
	SYNC_RESYNC,
	SYNC_PEER_CALL,
	SYNC_KIND_COUNT
};

struct sync_position {
	uint64_t epoch, seq;
};

struct sync_hello {
	uint32_t major, minor;
	char cluster[TD_NAME_MAX], node[TD_NAME_MAX];
	uint32_t node_index;
	uint64_t boot;
	uint64_t link, heard_link;
	enum td_role role;
	uint64_t term;
	uint64_t config_generation;
	uint8_t config_digest[TD_DIGEST_BYTES];
	uint64_t epoch, stored_epoch;
	struct sync_position applied; /* in the receiver's stream */
	bool applied_whole;
	uint64_t flows;
};

struct sync_start {
	uint64_t epoch, first_seq;
	bool snapshot;
};

struct sync_batch {
	uint64_t epoch, seq;
	bool snapshot_end, caught_up;
	uint32_t records;
	const uint8_t *blob;
	size_t blob_len;
	uint64_t snapshot_sent, snapshot_total;
};

struct sync_report {
	enum td_role role;
	uint64_t term;
	struct sync_position applied;
	uint64_t unapplied;
	bool caught_up;
	uint64_t flows;
	uint64_t config_generation;
	uint8_t config_digest[TD_DIGEST_BYTES];
};

struct sync_call {
	uint64_t id;
	bool answer;
	int32_t status;
	uint32_t method;
	const uint8_t *bytes;
	size_t len;
};

struct sync_msg {
	enum sync_msg_kind kind;
	uint64_t to_link;
	union {
		struct sync_hello hello;
		struct sync_start start;
		struct sync_batch batch;
		struct sync_report report;
		struct sync_call call;
	};
};

#endif
