#include "common/room_wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/arena.h"
#include "room.pb-c.h"

/* A packet of 64 KiB full of two-byte samples unpacks to about 4 MiB. */
#define DECODE_BYTES_MAX (8 * 1024 * 1024)

/* Both sides number alike; a new value must be added to both. */
static_assert(TANDEM__ROOM__ROOM__HOOKD + 1 == (int)TD_ROOM_COUNT, "rooms");
static_assert(TANDEM__ROOM__ROLE__ACTIVE == (int)TD_ROLE_ACTIVE, "roles");
static_assert(
    TANDEM__ROOM__REQUEST_KIND__MAINTENANCE == (int)TD_REQ_MAINTENANCE, "requests");
static_assert(
    TANDEM__ROOM__SAMPLE_TYPE__HISTOGRAM_BUCKET == (int)TD_HISTOGRAM_BUCKET, "samples");
static_assert(TANDEM__ROOM__CONTROL_KIND__CONTROL_BUSY == (int)CONTROL_BUSY, "control");
static_assert(DECODE_BYTES_MAX >
		  TD_MSG_BYTES_MAX / 2 *
		      (sizeof(Tandem__Room__Sample) + sizeof(Tandem__Room__Sample *)),
    "the densest packet can be unpacked");

static bool
in_range(int value, int max)
{
	return value >= 0 && value <= max;
}

/* Copies a text into an array of `size`; false if it does not fit. */
static bool
take_text(char *ret_text, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		return false;
	memcpy(ret_text, text, len + 1);
	return true;
}

/* ---- encode ---- */

static ProtobufCBinaryData
text_bytes(char *text)
{
	return (ProtobufCBinaryData){ .data = (uint8_t *)text,
		.len = text != NULL ? strlen(text) : 0 };
}

/* The generated types have no const; packing only reads. */
static char *
borrow(const char *text)
{
	return (char *)(uintptr_t)text;
}

static int
pack(const Tandem__Room__Msg *packed, uint8_t *buf, size_t *ret_len)
{
	if (tandem__room__msg__get_packed_size(packed) > TD_MSG_BYTES_MAX)
		return -EMSGSIZE;
	*ret_len = tandem__room__msg__pack(packed, buf);
	return 0;
}

static bool
sample_fill(const struct td_sample *sample, Tandem__Room__Sample *ret_packed,
    char *labels[2 * TD_SAMPLE_LABELS_MAX])
{
	if (sample->label_count > TD_SAMPLE_LABELS_MAX)
		return false;
	tandem__room__sample__init(ret_packed);
	ret_packed->name = borrow(sample->name);
	ret_packed->type = (Tandem__Room__SampleType)sample->type;
	ret_packed->value = sample->value;
	ret_packed->n_label = 2 * sample->label_count;
	ret_packed->label = labels;
	for (unsigned i = 0; i < sample->label_count; i++) {
		labels[2 * i] = borrow(sample->label_key[i]);
		labels[2 * i + 1] = borrow(sample->label_value[i]);
	}
	return true;
}

size_t
msg_sample_bytes(const struct td_sample *sample)
{
	Tandem__Room__Sample packed;
	char *labels[2 * TD_SAMPLE_LABELS_MAX];

	if (!sample_fill(sample, &packed, labels))
		return TD_MSG_BYTES_MAX;
	/* Its own tag and its length, which a varint of three bytes holds. */
	return 1 + 3 + tandem__room__sample__get_packed_size(&packed);
}

static int
encode_status(const struct td_msg_status *status, uint8_t *buf, size_t *ret_len)
{
	Tandem__Room__Msg packed = TANDEM__ROOM__MSG__INIT;
	Tandem__Room__StatusPart part = TANDEM__ROOM__STATUS_PART__INIT;
	size_t count = status->sample_count;
	struct {
		Tandem__Room__Sample sample;
		char *labels[2 * TD_SAMPLE_LABELS_MAX];
	} *each = NULL;
	int r = -EINVAL;

	if (count > TD_MSG_SAMPLES_MAX)
		return -EMSGSIZE;
	each = calloc(count + 1, sizeof(*each));
	part.sample = calloc(count + 1, sizeof(*part.sample));
	if (each == NULL || part.sample == NULL) {
		r = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		if (!sample_fill(&status->samples[i], &each[i].sample, each[i].labels))
			goto out;
		part.sample[i] = &each[i].sample;
	}
	part.n_sample = count;
	part.id = status->id;
	part.more = status->more;
	packed.body_case = TANDEM__ROOM__MSG__BODY_STATUS;
	packed.status = &part;
	r = pack(&packed, buf, ret_len);
out:
	free(each);
	free(part.sample);
	return r;
}

int
msg_encode(const struct td_msg *msg, uint8_t buf[TD_MSG_BYTES_MAX], size_t *ret_len)
{
	Tandem__Room__Msg packed = TANDEM__ROOM__MSG__INIT;

	switch (msg->kind) {
	case TD_MSG_NONE:
		return -EINVAL;
	case TD_MSG_ROLE: {
		Tandem__Room__RoleChange role = TANDEM__ROOM__ROLE_CHANGE__INIT;

		role.role = (Tandem__Room__Role)msg->role.role;
		role.term = msg->role.term;
		role.reason = borrow(msg->role.reason);
		role.peer_alive = msg->role.peer_alive;
		role.peer_role = (Tandem__Room__Role)msg->role.peer_role;
		role.peer_term = msg->role.peer_term;
		role.fault = msg->role.fault;
		role.priority = msg->role.priority;
		role.router = borrow(msg->role.router);
		packed.body_case = TANDEM__ROOM__MSG__BODY_ROLE;
		packed.role = &role;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_SYNC_STATE: {
		Tandem__Room__SyncState sync = TANDEM__ROOM__SYNC_STATE__INIT;

		sync.connected = msg->sync_state.connected;
		sync.have_state = msg->sync_state.have_state;
		sync.peer_has_state = msg->sync_state.peer_has_state;
		sync.seq_sent = msg->sync_state.seq_sent;
		sync.seq_acked = msg->sync_state.seq_acked;
		sync.unapplied = msg->sync_state.unapplied;
		sync.reason = borrow(msg->sync_state.reason);
		packed.body_case = TANDEM__ROOM__MSG__BODY_SYNC_STATE;
		packed.sync_state = &sync;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_BARRIER: {
		Tandem__Room__Barrier barrier = TANDEM__ROOM__BARRIER__INIT;

		barrier.id = msg->barrier.id;
		barrier.done = msg->barrier.done;
		barrier.ok = msg->barrier.ok;
		packed.body_case = TANDEM__ROOM__MSG__BODY_BARRIER;
		packed.barrier = &barrier;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_SERVER_HEALTH: {
		Tandem__Room__ServerHealth health = TANDEM__ROOM__SERVER_HEALTH__INIT;

		health.balancer = msg->server_health.balancer;
		health.server = msg->server_health.server;
		health.generation = msg->server_health.generation;
		health.up = msg->server_health.up;
		health.detail = borrow(msg->server_health.detail);
		health.duration_ns = msg->server_health.duration_ns;
		packed.body_case = TANDEM__ROOM__MSG__BODY_SERVER_HEALTH;
		packed.server_health = &health;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_LAST_WORDS: {
		Tandem__Room__LastWords words = TANDEM__ROOM__LAST_WORDS__INIT;

		if (msg->last_words.len > sizeof(msg->last_words.frame))
			return -EINVAL;
		words.ifindex = msg->last_words.ifindex;
		words.family = msg->last_words.family;
		words.frame.data = (uint8_t *)(uintptr_t)msg->last_words.frame;
		words.frame.len = msg->last_words.len;
		packed.body_case = TANDEM__ROOM__MSG__BODY_LAST_WORDS;
		packed.last_words = &words;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_REQUEST: {
		Tandem__Room__Request request = TANDEM__ROOM__REQUEST__INIT;

		request.id = msg->request.id;
		request.what = (Tandem__Room__RequestKind)msg->request.what;
		request.number = msg->request.number;
		request.text = text_bytes(msg->request.text);
		request.has_text = msg->request.text != NULL;
		if (request.text.len > TD_MSG_TEXT_MAX)
			return -EMSGSIZE;
		packed.body_case = TANDEM__ROOM__MSG__BODY_REQUEST;
		packed.request = &request;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_REPLY: {
		Tandem__Room__Reply reply = TANDEM__ROOM__REPLY__INIT;

		reply.id = msg->reply.id;
		reply.status = msg->reply.status;
		reply.text = text_bytes(msg->reply.text);
		reply.has_text = msg->reply.text != NULL;
		if (reply.text.len > TD_MSG_TEXT_MAX)
			return -EMSGSIZE;
		packed.body_case = TANDEM__ROOM__MSG__BODY_REPLY;
		packed.reply = &reply;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_STATUS:
		return encode_status(&msg->status, buf, ret_len);
	case TD_MSG_PEER_CALL: {
		Tandem__Room__PeerCall call = TANDEM__ROOM__PEER_CALL__INIT;

		if (msg->peer_call.len > TD_MSG_PEER_CALL_MAX)
			return -EMSGSIZE;
		call.id = msg->peer_call.id;
		call.answer = msg->peer_call.answer;
		call.status = msg->peer_call.status;
		call.method = msg->peer_call.method;
		call.bytes.data = msg->peer_call.bytes;
		call.bytes.len = msg->peer_call.len;
		packed.body_case = TANDEM__ROOM__MSG__BODY_PEER_CALL;
		packed.peer_call = &call;
		return pack(&packed, buf, ret_len);
	}
	case TD_MSG_FITNESS: {
		Tandem__Room__Fitness fitness = TANDEM__ROOM__FITNESS__INIT;

		fitness.generation = msg->fitness.generation;
		fitness.known = msg->fitness.known;
		fitness.unfit = msg->fitness.unfit;
		packed.body_case = TANDEM__ROOM__MSG__BODY_FITNESS;
		packed.fitness = &fitness;
		return pack(&packed, buf, ret_len);
	}
	}
	return -EINVAL;
}

/* ---- decode ---- */

static int
decode_role(const Tandem__Room__RoleChange *in, struct td_msg_role *ret_role)
{
	if (!in_range((int)in->role, TD_ROLE_ACTIVE) ||
	    !in_range((int)in->peer_role, TD_ROLE_ACTIVE) ||
	    !take_text(ret_role->reason, sizeof(ret_role->reason), in->reason) ||
	    !take_text(ret_role->router, sizeof(ret_role->router), in->router) ||
	    in->priority > UINT8_MAX)
		return -EBADMSG;
	ret_role->fault = in->fault;
	ret_role->priority = (uint8_t)in->priority;
	ret_role->role = (enum td_role)in->role;
	ret_role->term = in->term;
	ret_role->peer_alive = in->peer_alive;
	ret_role->peer_role = (enum td_role)in->peer_role;
	ret_role->peer_term = in->peer_term;
	return 0;
}

static int
decode_sync_state(const Tandem__Room__SyncState *in, struct td_msg_sync_state *ret_sync)
{
	if (!take_text(ret_sync->reason, sizeof(ret_sync->reason), in->reason))
		return -EBADMSG;
	ret_sync->connected = in->connected;
	ret_sync->have_state = in->have_state;
	ret_sync->peer_has_state = in->peer_has_state;
	ret_sync->seq_sent = in->seq_sent;
	ret_sync->seq_acked = in->seq_acked;
	ret_sync->unapplied = in->unapplied;
	return 0;
}

static int
decode_health(
    const Tandem__Room__ServerHealth *in, struct td_msg_server_health *ret_health)
{
	if (!take_text(ret_health->detail, sizeof(ret_health->detail), in->detail))
		return -EBADMSG;
	ret_health->balancer = in->balancer;
	ret_health->server = in->server;
	ret_health->generation = in->generation;
	ret_health->up = in->up;
	ret_health->duration_ns = in->duration_ns;
	return 0;
}

static int
decode_last_words(
    const Tandem__Room__LastWords *in, struct td_msg_last_words *ret_words)
{
	if (in->frame.len > sizeof(ret_words->frame) || in->family > UINT8_MAX)
		return -EBADMSG;
	ret_words->family = (uint8_t)in->family;
	ret_words->ifindex = in->ifindex;
	ret_words->len = (uint16_t)in->frame.len;
	if (in->frame.len > 0)
		memcpy(ret_words->frame, in->frame.data, in->frame.len);
	return 0;
}

/* A text of our own: NUL-terminated, none inside. */
static int
decode_text(const ProtobufCBinaryData *in, bool present, char **ret_text)
{
	char *text;

	if (!present)
		return in->len == 0 ? 0 : -EBADMSG;
	if (in->len > TD_MSG_TEXT_MAX ||
	    (in->len > 0 && memchr(in->data, '\0', in->len) != NULL))
		return -EBADMSG;
	text = malloc(in->len + 1);
	if (text == NULL)
		return -ENOMEM;
	if (in->len > 0)
		memcpy(text, in->data, in->len);
	text[in->len] = '\0';
	*ret_text = text;
	return 0;
}

static int
decode_request(const Tandem__Room__Request *in, struct td_msg_request *ret_request)
{
	if (!in_range((int)in->what, TD_REQ_MAINTENANCE))
		return -EBADMSG;
	ret_request->id = in->id;
	ret_request->what = (enum td_request)in->what;
	ret_request->number = in->number;
	return decode_text(&in->text, in->has_text, &ret_request->text);
}

static int
decode_reply(const Tandem__Room__Reply *in, struct td_msg_reply *ret_reply)
{
	ret_reply->id = in->id;
	ret_reply->status = in->status;
	return decode_text(&in->text, in->has_text, &ret_reply->text);
}

static const char *
place_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *place = *at;

	memcpy(place, text, size);
	*at += size;
	return place;
}

/* The array and all strings are one allocation, so that msg_free is one free. */
static int
decode_status(const Tandem__Room__StatusPart *in, struct td_msg_status *ret_status)
{
	size_t text_bytes = 0;
	char *at;

	if (in->n_sample > TD_MSG_SAMPLES_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < in->n_sample; i++) {
		const Tandem__Room__Sample *sample = in->sample[i];

		if (!in_range((int)sample->type, TD_HISTOGRAM_BUCKET) ||
		    sample->n_label % 2 != 0 ||
		    sample->n_label > 2 * TD_SAMPLE_LABELS_MAX)
			return -EBADMSG;
		text_bytes += strlen(sample->name) + 1;
		for (size_t j = 0; j < sample->n_label; j++)
			text_bytes += strlen(sample->label[j]) + 1;
	}
	ret_status->id = in->id;
	ret_status->more = in->more;
	if (in->n_sample == 0)
		return 0;
	ret_status->samples =
	    calloc(1, in->n_sample * sizeof(*ret_status->samples) + text_bytes);
	if (ret_status->samples == NULL)
		return -ENOMEM;
	at = (char *)(ret_status->samples + in->n_sample);
	for (size_t i = 0; i < in->n_sample; i++) {
		const Tandem__Room__Sample *from = in->sample[i];
		struct td_sample *sample = &ret_status->samples[i];

		sample->name = place_text(&at, from->name);
		sample->type = (enum td_sample_type)from->type;
		sample->value = from->value;
		sample->label_count = (unsigned)(from->n_label / 2);
		for (unsigned j = 0; j < sample->label_count; j++) {
			sample->label_key[j] = place_text(&at, from->label[2 * j]);
			sample->label_value[j] =
			    place_text(&at, from->label[2 * j + 1]);
		}
	}
	ret_status->sample_count = in->n_sample;
	return 0;
}

static int
decode_fitness(const Tandem__Room__Fitness *in, struct td_msg_fitness *ret_fitness)
{
	if (in->known > UINT16_MAX || in->unfit > UINT16_MAX)
		return -EBADMSG;
	ret_fitness->generation = in->generation;
	ret_fitness->known = (uint16_t)in->known;
	ret_fitness->unfit = (uint16_t)in->unfit;
	return 0;
}

static int
decode_peer_call(const Tandem__Room__PeerCall *in, struct td_msg_peer_call *ret_call)
{
	if (in->bytes.len > TD_MSG_PEER_CALL_MAX)
		return -EBADMSG;
	ret_call->id = in->id;
	ret_call->answer = in->answer;
	ret_call->status = in->status;
	ret_call->method = in->method;
	if (in->bytes.len == 0)
		return 0;
	ret_call->bytes = malloc(in->bytes.len);
	if (ret_call->bytes == NULL)
		return -ENOMEM;
	memcpy(ret_call->bytes, in->bytes.data, in->bytes.len);
	ret_call->len = in->bytes.len;
	return 0;
}

static int
decode_body(const Tandem__Room__Msg *in, struct td_msg *ret_msg)
{
	switch (in->body_case) {
	case TANDEM__ROOM__MSG__BODY_ROLE:
		ret_msg->kind = TD_MSG_ROLE;
		return decode_role(in->role, &ret_msg->role);
	case TANDEM__ROOM__MSG__BODY_SYNC_STATE:
		ret_msg->kind = TD_MSG_SYNC_STATE;
		return decode_sync_state(in->sync_state, &ret_msg->sync_state);
	case TANDEM__ROOM__MSG__BODY_BARRIER:
		ret_msg->kind = TD_MSG_BARRIER;
		ret_msg->barrier = (struct td_msg_barrier){ .id = in->barrier->id,
			.done = in->barrier->done,
			.ok = in->barrier->ok };
		return 0;
	case TANDEM__ROOM__MSG__BODY_SERVER_HEALTH:
		ret_msg->kind = TD_MSG_SERVER_HEALTH;
		return decode_health(in->server_health, &ret_msg->server_health);
	case TANDEM__ROOM__MSG__BODY_LAST_WORDS:
		ret_msg->kind = TD_MSG_LAST_WORDS;
		return decode_last_words(in->last_words, &ret_msg->last_words);
	case TANDEM__ROOM__MSG__BODY_REQUEST:
		ret_msg->kind = TD_MSG_REQUEST;
		return decode_request(in->request, &ret_msg->request);
	case TANDEM__ROOM__MSG__BODY_REPLY:
		ret_msg->kind = TD_MSG_REPLY;
		return decode_reply(in->reply, &ret_msg->reply);
	case TANDEM__ROOM__MSG__BODY_STATUS:
		ret_msg->kind = TD_MSG_STATUS;
		return decode_status(in->status, &ret_msg->status);
	case TANDEM__ROOM__MSG__BODY_PEER_CALL:
		ret_msg->kind = TD_MSG_PEER_CALL;
		return decode_peer_call(in->peer_call, &ret_msg->peer_call);
	case TANDEM__ROOM__MSG__BODY_FITNESS:
		ret_msg->kind = TD_MSG_FITNESS;
		return decode_fitness(in->fitness, &ret_msg->fitness);
	case TANDEM__ROOM__MSG__BODY__NOT_SET:
	default: /* the generated enum has a member beyond the wire's */
		return -EBADMSG;
	}
}

int
msg_decode(const uint8_t *bytes, size_t len, struct td_msg *ret_msg)
{
	struct td_msg msg = { .kind = TD_MSG_NONE };
	struct arena arena;
	ProtobufCAllocator allocator;
	Tandem__Room__Msg *packed;
	int r = -EBADMSG;

	if (len > TD_MSG_BYTES_MAX)
		return -EBADMSG;
	arena_init(&arena, DECODE_BYTES_MAX);
	allocator = arena_protobuf(&arena);
	packed = tandem__room__msg__unpack(&allocator, len, bytes);
	if (packed != NULL)
		r = decode_body(packed, &msg);
	arena_fini(&arena);
	if (r == 0)
		*ret_msg = msg;
	return r;
}

void
msg_free(struct td_msg *msg)
{
	switch (msg->kind) {
	case TD_MSG_REQUEST:
		free(msg->request.text);
		break;
	case TD_MSG_REPLY:
		free(msg->reply.text);
		break;
	case TD_MSG_STATUS:
		free(msg->status.samples);
		break;
	case TD_MSG_PEER_CALL:
		free(msg->peer_call.bytes);
		break;
	case TD_MSG_NONE:
	case TD_MSG_ROLE:
	case TD_MSG_SYNC_STATE:
	case TD_MSG_BARRIER:
	case TD_MSG_SERVER_HEALTH:
	case TD_MSG_LAST_WORDS:
	case TD_MSG_FITNESS:
		break;
	}
	*msg = (struct td_msg){ .kind = TD_MSG_NONE };
}

/* ---- control packets ---- */

int
control_encode(const struct control_packet *packet, uint8_t buf[TD_CONTROL_BYTES_MAX],
    size_t *ret_len)
{
	Tandem__Room__Control packed = TANDEM__ROOM__CONTROL__INIT;

	packed.kind = (Tandem__Room__ControlKind)packet->kind;
	packed.room = (Tandem__Room__Room)packet->room;
	packed.number = packet->number;
	packed.status = packet->status;
	packed.text = borrow(packet->text);
	packed.present = true;
	if (tandem__room__control__get_packed_size(&packed) > TD_CONTROL_BYTES_MAX)
		return -EMSGSIZE;
	*ret_len = tandem__room__control__pack(&packed, buf);
	return 0;
}

int
control_decode(const uint8_t *bytes, size_t len, struct control_packet *ret_packet)
{
	struct control_packet packet = { .fd = -1 };
	struct arena arena;
	ProtobufCAllocator allocator;
	Tandem__Room__Control *packed;
	int r = -EBADMSG;

	if (len > TD_CONTROL_BYTES_MAX)
		return -EBADMSG;
	arena_init(&arena, DECODE_BYTES_MAX);
	allocator = arena_protobuf(&arena);
	packed = tandem__room__control__unpack(&allocator, len, bytes);
	if (packed != NULL && packed->present &&
	    in_range((int)packed->kind, CONTROL_BUSY) &&
	    in_range((int)packed->room, TD_ROOM_COUNT - 1) &&
	    take_text(packet.text, sizeof(packet.text), packed->text)) {
		packet.kind = (enum control_kind)packed->kind;
		packet.room = (enum td_room)packed->room;
		packet.number = packed->number;
		packet.status = packed->status;
		*ret_packet = packet;
		r = 0;
	}
	arena_fini(&arena);
	return r;
}
