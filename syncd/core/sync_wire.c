#include "syncd/core/sync_wire.h"

#include <assert.h>
#include <string.h>
#include <tandem/assert.h>
#include "sync.pb-c.h"

static_assert(TANDEM__SYNC__ROLE__INITIALIZE == (int)TD_ROLE_INITIALIZE, "roles");
static_assert(TANDEM__SYNC__ROLE__BACKUP == (int)TD_ROLE_BACKUP, "roles");
static_assert(TANDEM__SYNC__ROLE__ACTIVE == (int)TD_ROLE_ACTIVE, "roles");
static_assert(SYNC_BLOB_MAX + 1024 < SYNC_MESSAGE_MAX, "a full batch fits a message");

/* protobuf-c 1.4.1 frees unset members after a failed unpack: zeroed memory and a free
 * that does nothing make that harmless. */
static void *
arena_alloc(void *data, size_t size)
{
	struct sync_decoder *decoder = data;
	size_t align = alignof(max_align_t);
	void *p;

	if (size > SYNC_ARENA_BYTES - decoder->used)
		return NULL;
	p = decoder->arena + decoder->used;
	memset(p, 0, size);
	size = (size + align - 1) / align * align;
	decoder->used += size;
	if (decoder->used > SYNC_ARENA_BYTES)
		decoder->used = SYNC_ARENA_BYTES;
	return p;
}

static void
arena_free(void *data, void *p)
{
	(void)data;
	(void)p;
}

static bool
take_name(char ret_name[TD_NAME_MAX], const ProtobufCBinaryData *from)
{
	if (from->len >= TD_NAME_MAX)
		return false;
	memset(ret_name, 0, TD_NAME_MAX);
	if (from->len == 0)
		return true; /* without data to point to */
	memcpy(ret_name, from->data, from->len);
	return memchr(ret_name, '\0', from->len) == NULL;
}

static bool
take_digest(uint8_t ret_digest[TD_DIGEST_BYTES], const ProtobufCBinaryData *from)
{
	if (from->len != TD_DIGEST_BYTES)
		return false;
	memcpy(ret_digest, from->data, TD_DIGEST_BYTES);
	return true;
}

static bool
take_role(enum td_role *ret_role, Tandem__Sync__Role from)
{
	if ((int)from < 0 || (int)from > (int)TD_ROLE_ACTIVE)
		return false;
	*ret_role = (enum td_role)from;
	return true;
}

static enum sync_drop
hello_take(const Tandem__Sync__Hello *in, struct sync_hello *out)
{
	if (!take_name(out->cluster, &in->cluster) ||
	    !take_name(out->node, &in->node) ||
	    !take_digest(out->config_digest, &in->config_digest) ||
	    !take_role(&out->role, in->role))
		return SYNC_DROP_FIELD;
	out->major = in->major;
	out->minor = in->minor;
	out->node_index = in->node_index;
	out->boot = in->boot;
	out->link = in->link;
	out->heard_link = in->heard_link;
	out->term = in->term;
	out->config_generation = in->config_generation;
	out->epoch = in->epoch;
	out->stored_epoch = in->stored_epoch;
	out->applied.epoch = in->applied_epoch;
	out->applied.seq = in->applied_seq;
	out->applied_whole = in->applied_whole;
	out->flows = in->flows;
	return SYNC_OK;
}

static enum sync_drop
batch_take(const Tandem__Sync__Batch *in, struct sync_batch *out)
{
	/* A record is three bytes at the very least: a count that the blob cannot hold
	 * is refused here, so that nobody loops for it. */
	if (in->blob.len > SYNC_BLOB_MAX || in->records > in->blob.len / 3)
		return SYNC_DROP_BLOB;
	out->epoch = in->epoch;
	out->seq = in->seq;
	out->snapshot_end = in->snapshot_end;
	out->caught_up = in->caught_up;
	out->records = in->records;
	out->blob = in->blob.data;
	out->blob_len = in->blob.len;
	out->snapshot_sent = in->snapshot_sent;
	out->snapshot_total = in->snapshot_total;
	return SYNC_OK;
}

static enum sync_drop
report_take(const Tandem__Sync__Report *in, struct sync_report *out)
{
	if (!take_role(&out->role, in->role) ||
	    !take_digest(out->config_digest, &in->config_digest))
		return SYNC_DROP_FIELD;
	out->term = in->term;
	out->applied.epoch = in->applied_epoch;
	out->applied.seq = in->applied_seq;
	out->unapplied = in->unapplied;
	out->caught_up = in->caught_up;
	out->flows = in->flows;
	out->config_generation = in->config_generation;
	return SYNC_OK;
}

static enum sync_drop
call_take(const Tandem__Sync__PeerCall *in, struct sync_call *out)
{
	if (in->bytes.len > SYNC_CALL_MAX)
		return SYNC_DROP_FIELD;
	out->id = in->id;
	out->answer = in->answer;
	out->status = in->status;
	out->method = in->method;
	out->bytes = in->bytes.data;
	out->len = in->bytes.len;
	return SYNC_OK;
}

enum sync_drop
sync_msg_decode(struct sync_decoder *decoder, const uint8_t *bytes, size_t len,
    struct sync_msg *ret_msg)
{
	ProtobufCAllocator allocator = {
		.alloc = arena_alloc, .free = arena_free, .allocator_data = decoder
	};
	Tandem__Sync__Envelope *in;
	struct sync_msg msg;
	enum sync_drop drop = SYNC_OK;

	if (len > SYNC_MESSAGE_MAX)
		return SYNC_DROP_TOO_LONG;
	decoder->used = 0;
	in = tandem__sync__envelope__unpack(&allocator, len, bytes);
	if (in == NULL)
		return SYNC_DROP_ENVELOPE;

	memset(&msg, 0, sizeof(msg));
	msg.to_link = in->to_link;
	switch (in->body_case) {
	case TANDEM__SYNC__ENVELOPE__BODY_HELLO:
		msg.kind = SYNC_HELLO;
		drop = hello_take(in->hello, &msg.hello);
		break;
	case TANDEM__SYNC__ENVELOPE__BODY_START:
		msg.kind = SYNC_START;
		msg.start = (struct sync_start){ in->start->epoch, in->start->first_seq,
			in->start->snapshot != 0 };
		break;
	case TANDEM__SYNC__ENVELOPE__BODY_BATCH:
		msg.kind = SYNC_BATCH;
		drop = batch_take(in->batch, &msg.batch);
		break;
	case TANDEM__SYNC__ENVELOPE__BODY_REPORT:
		msg.kind = SYNC_REPORT;
		drop = report_take(in->report, &msg.report);
		break;
	case TANDEM__SYNC__ENVELOPE__BODY_RESYNC:
		msg.kind = SYNC_RESYNC;
		break;
	case TANDEM__SYNC__ENVELOPE__BODY_PEER_CALL:
		msg.kind = SYNC_PEER_CALL;
		drop = call_take(in->peer_call, &msg.call);
		break;
	case TANDEM__SYNC__ENVELOPE__BODY__NOT_SET:
	default: /* the generated enumeration is not closed */
		drop = SYNC_DROP_BODY;
		break;
	}
	if (drop == SYNC_OK)
		*ret_msg = msg;
	return drop;
}

/* The generated types have no const; packing only reads. */
static ProtobufCBinaryData
borrow(const void *bytes, size_t len)
{
	return (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)bytes, .len = len };
}

size_t
sync_msg_encode(const struct sync_msg *msg, uint8_t *buf)
{
	Tandem__Sync__Envelope env = TANDEM__SYNC__ENVELOPE__INIT;
	Tandem__Sync__Hello hello = TANDEM__SYNC__HELLO__INIT;
	Tandem__Sync__Start start = TANDEM__SYNC__START__INIT;
	Tandem__Sync__Batch batch = TANDEM__SYNC__BATCH__INIT;
	Tandem__Sync__Report report = TANDEM__SYNC__REPORT__INIT;
	Tandem__Sync__Resync resync = TANDEM__SYNC__RESYNC__INIT;
	Tandem__Sync__PeerCall call = TANDEM__SYNC__PEER_CALL__INIT;

	env.to_link = msg->to_link;
	switch (msg->kind) {
	case SYNC_HELLO:
		hello.major = msg->hello.major;
		hello.minor = msg->hello.minor;
		hello.cluster = borrow(msg->hello.cluster, strlen(msg->hello.cluster));
		hello.node = borrow(msg->hello.node, strlen(msg->hello.node));
		hello.node_index = msg->hello.node_index;
		hello.boot = msg->hello.boot;
		hello.link = msg->hello.link;
		hello.heard_link = msg->hello.heard_link;
		hello.role = (Tandem__Sync__Role)msg->hello.role;
		hello.term = msg->hello.term;
		hello.config_generation = msg->hello.config_generation;
		hello.config_digest = borrow(msg->hello.config_digest, TD_DIGEST_BYTES);
		hello.epoch = msg->hello.epoch;
		hello.stored_epoch = msg->hello.stored_epoch;
		hello.applied_epoch = msg->hello.applied.epoch;
		hello.applied_seq = msg->hello.applied.seq;
		hello.applied_whole = msg->hello.applied_whole;
		hello.flows = msg->hello.flows;
		env.body_case = TANDEM__SYNC__ENVELOPE__BODY_HELLO;
		env.hello = &hello;
		break;
	case SYNC_START:
		start.epoch = msg->start.epoch;
		start.first_seq = msg->start.first_seq;
		start.snapshot = msg->start.snapshot;
		env.body_case = TANDEM__SYNC__ENVELOPE__BODY_START;
		env.start = &start;
		break;
	case SYNC_BATCH:
		td_assert(msg->batch.blob_len <= SYNC_BLOB_MAX);
		batch.epoch = msg->batch.epoch;
		batch.seq = msg->batch.seq;
		batch.snapshot_end = msg->batch.snapshot_end;
		batch.caught_up = msg->batch.caught_up;
		batch.records = msg->batch.records;
		batch.blob = borrow(msg->batch.blob, msg->batch.blob_len);
		batch.snapshot_sent = msg->batch.snapshot_sent;
		batch.snapshot_total = msg->batch.snapshot_total;
		env.body_case = TANDEM__SYNC__ENVELOPE__BODY_BATCH;
		env.batch = &batch;
		break;
	case SYNC_REPORT:
		report.role = (Tandem__Sync__Role)msg->report.role;
		report.term = msg->report.term;
		report.applied_epoch = msg->report.applied.epoch;
		report.applied_seq = msg->report.applied.seq;
		report.unapplied = msg->report.unapplied;
		report.caught_up = msg->report.caught_up;
		report.flows = msg->report.flows;
		report.config_generation = msg->report.config_generation;
		report.config_digest =
		    borrow(msg->report.config_digest, TD_DIGEST_BYTES);
		env.body_case = TANDEM__SYNC__ENVELOPE__BODY_REPORT;
		env.report = &report;
		break;
	case SYNC_RESYNC:
		env.body_case = TANDEM__SYNC__ENVELOPE__BODY_RESYNC;
		env.resync = &resync;
		break;
	case SYNC_PEER_CALL:
		td_assert(msg->call.len <= SYNC_CALL_MAX);
		call.id = msg->call.id;
		call.answer = msg->call.answer;
		call.status = msg->call.status;
		call.method = msg->call.method;
		call.bytes = borrow(msg->call.bytes, msg->call.len);
		env.body_case = TANDEM__SYNC__ENVELOPE__BODY_PEER_CALL;
		env.peer_call = &call;
		break;
	case SYNC_KIND_COUNT:
		td_assert(false);
		break;
	}
	td_assert(tandem__sync__envelope__get_packed_size(&env) <= SYNC_MESSAGE_MAX);
	return tandem__sync__envelope__pack(&env, buf);
}

const char *
sync_drop_name(enum sync_drop drop)
{
	static const char *const names[SYNC_DROP_COUNT] = {
		[SYNC_OK] = "ok",
		[SYNC_DROP_TOO_LONG] = "too_long",
		[SYNC_DROP_ENVELOPE] = "envelope",
		[SYNC_DROP_BODY] = "body",
		[SYNC_DROP_FIELD] = "field",
		[SYNC_DROP_BLOB] = "blob",
	};

	td_assert(drop < SYNC_DROP_COUNT);
	return names[drop];
}

const char *
sync_msg_name(enum sync_msg_kind kind)
{
	static const char *const names[SYNC_KIND_COUNT] = {
		[SYNC_HELLO] = "hello",
		[SYNC_START] = "start",
		[SYNC_BATCH] = "batch",
		[SYNC_REPORT] = "report",
		[SYNC_RESYNC] = "resync",
		[SYNC_PEER_CALL] = "peer_call",
	};

	td_assert(kind < SYNC_KIND_COUNT);
	return names[kind];
}
