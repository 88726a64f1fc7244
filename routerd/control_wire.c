#include "routerd/control_wire.h"

#include <stdlib.h>
#include <string.h>
#include "control.pb-c.h"

/* Fields of one sample besides its strings: tags, lengths, value. */
#define SAMPLE_OVERHEAD 32
#define LABEL_OVERHEAD 12
#define REPLY_OVERHEAD 64
#define SAMPLES_PER_REPLY_MAX 2048
#define LABELS_MAX (SAMPLES_PER_REPLY_MAX * TD_SAMPLE_LABELS_MAX)

static char *
mutable_text(const char *text)
{
	/* protobuf-c packs from char *, and only reads. */
	return (char *)(uintptr_t)(text != NULL ? text : "");
}

uint8_t *
control_request_encode(const struct control_request *request, size_t *ret_len)
{
	Tandem__Control__Request m = TANDEM__CONTROL__REQUEST__INIT;
	uint8_t *bytes;

	m.version = CONTROL_VERSION;
	m.id = request->id;
	m.command = (Tandem__Control__Command)request->command;
	m.text = mutable_text(request->text);
	m.alone = request->alone;
	*ret_len = tandem__control__request__get_packed_size(&m);
	bytes = *ret_len <= CONTROL_BYTES_MAX ? malloc(*ret_len + 1) : NULL;
	if (bytes != NULL)
		tandem__control__request__pack(&m, bytes);
	return bytes;
}

bool
control_request_decode(
    const uint8_t *bytes, size_t len, struct control_request *ret_request)
{
	Tandem__Control__Request *m;
	bool valid;

	if (len > CONTROL_BYTES_MAX)
		return false;
	m = tandem__control__request__unpack(NULL, len, bytes);
	if (m == NULL)
		return false;
	valid = strlen(m->text) <= CONTROL_TEXT_MAX;
	if (valid) {
		struct control_request r = {
			.id = m->id,
			.alone = m->alone,
			.text = strdup(m->text),
		};

		if (m->command > 0 && (int)m->command < CONTROL_CMD_COUNT)
			r.command = (enum control_command)m->command;
		valid = r.text != NULL;
		if (valid)
			*ret_request = r;
	}
	tandem__control__request__free_unpacked(m, NULL);
	return valid;
}

static size_t
sample_bytes(const struct sample *s)
{
	size_t bytes = SAMPLE_OVERHEAD + strlen(s->name);

	for (unsigned i = 0; i < s->label_count; i++)
		bytes += LABEL_OVERHEAD + strlen(s->key[i]) + strlen(s->value[i]);
	return bytes;
}

struct reply_space {
	Tandem__Control__Sample sample[SAMPLES_PER_REPLY_MAX];
	Tandem__Control__Sample *sample_at[SAMPLES_PER_REPLY_MAX];
	Tandem__Control__Label label[LABELS_MAX];
	Tandem__Control__Label *label_at[LABELS_MAX];
};

static size_t
fill_samples(struct reply_space *space, const struct sample *samples, size_t count,
    size_t budget)
{
	size_t used = 0, labels = 0, i;

	for (i = 0; i < count && i < SAMPLES_PER_REPLY_MAX; i++) {
		const struct sample *s = &samples[i];
		Tandem__Control__Sample *to = &space->sample[i];

		used += sample_bytes(s);
		if (used > budget)
			break;
		tandem__control__sample__init(to);
		to->room = (uint32_t)s->room;
		to->type = (Tandem__Control__SampleType)s->type;
		to->name = s->name;
		to->value = s->number;
		to->n_label = s->label_count;
		to->label = &space->label_at[labels];
		for (unsigned l = 0; l < s->label_count; l++, labels++) {
			space->label_at[labels] = &space->label[labels];
			tandem__control__label__init(&space->label[labels]);
			space->label[labels].key = s->key[l];
			space->label[labels].value = s->value[l];
		}
		space->sample_at[i] = to;
	}
	return i;
}

uint8_t *
control_reply_encode(const struct control_reply *reply, const struct sample *samples,
    size_t *count, size_t *ret_len)
{
	Tandem__Control__Reply m = TANDEM__CONTROL__REPLY__INIT;
	size_t text_len = reply->text != NULL ? strlen(reply->text) : 0;
	struct reply_space *space = NULL;
	uint8_t *bytes = NULL;

	if (text_len + REPLY_OVERHEAD > CONTROL_BYTES_MAX)
		return NULL;
	m.id = reply->id;
	m.more = reply->more;
	m.status = reply->status;
	m.text = mutable_text(reply->text);
	if (*count > 0) {
		space = malloc(sizeof(*space));
		if (space == NULL)
			return NULL;
		*count = fill_samples(space, samples, *count,
		    CONTROL_BYTES_MAX - REPLY_OVERHEAD - text_len);
		m.n_sample = *count;
		m.sample = space->sample_at;
	}
	*ret_len = tandem__control__reply__get_packed_size(&m);
	if (*ret_len <= CONTROL_BYTES_MAX)
		bytes = malloc(*ret_len + 1);
	if (bytes != NULL)
		tandem__control__reply__pack(&m, bytes);
	free(space);
	return bytes;
}

static bool
add_sample(struct sample_set *set, const Tandem__Control__Sample *m)
{
	struct td_sample s = {
		.name = m->name,
		.type = (enum td_sample_type)m->type,
		.value = m->value,
		.label_count = (unsigned)m->n_label,
	};

	if (m->n_label > TD_SAMPLE_LABELS_MAX || m->room >= TD_ROOM_COUNT ||
	    m->type < 0 || (int)m->type > TD_HISTOGRAM_BUCKET)
		return false;
	for (size_t i = 0; i < m->n_label; i++) {
		s.label_key[i] = m->label[i]->key;
		s.label_value[i] = m->label[i]->value;
	}
	samples_add(set, (enum td_room)m->room, &s);
	return true;
}

bool
control_reply_decode(const uint8_t *bytes, size_t len, struct control_reply *ret_reply,
    struct sample_set *set)
{
	Tandem__Control__Reply *m;
	struct control_reply r;
	bool valid = true;

	if (len > CONTROL_BYTES_MAX)
		return false;
	m = tandem__control__reply__unpack(NULL, len, bytes);
	if (m == NULL)
		return false;
	r = (struct control_reply){
		.id = m->id,
		.more = m->more,
		.status = m->status,
		.text = strdup(m->text),
	};
	for (size_t i = 0; i < m->n_sample && valid; i++)
		valid = add_sample(set, m->sample[i]);
	valid = valid && r.text != NULL && r.status <= 0;
	if (valid)
		*ret_reply = r;
	else
		free(r.text);
	tandem__control__reply__free_unpacked(m, NULL);
	return valid;
}

uint8_t *
peer_call_encode(const struct peer_call *call, size_t *ret_len)
{
	Tandem__Control__PeerCall m = TANDEM__CONTROL__PEER_CALL__INIT;
	uint8_t *bytes;

	m.generation = call->generation;
	m.digest.data = (uint8_t *)(uintptr_t)call->digest;
	m.digest.len = sizeof(call->digest);
	m.node = mutable_text(call->node);
	m.text = mutable_text(call->text);
	*ret_len = tandem__control__peer_call__get_packed_size(&m);
	bytes = *ret_len <= CONTROL_BYTES_MAX ? malloc(*ret_len + 1) : NULL;
	if (bytes != NULL)
		tandem__control__peer_call__pack(&m, bytes);
	return bytes;
}

bool
peer_call_decode(const uint8_t *bytes, size_t len, struct peer_call *ret_call)
{
	Tandem__Control__PeerCall *m;
	bool valid;

	if (len > CONTROL_BYTES_MAX)
		return false;
	m = tandem__control__peer_call__unpack(NULL, len, bytes);
	if (m == NULL)
		return false;
	valid = m->digest.len == TD_DIGEST_BYTES && strlen(m->node) < TD_NAME_MAX &&
		strlen(m->text) <= CONTROL_TEXT_MAX;
	if (valid) {
		struct peer_call c = { .generation = m->generation,
			.text = strdup(m->text) };

		memcpy(c.digest, m->digest.data, TD_DIGEST_BYTES);
		memcpy(c.node, m->node, strlen(m->node) + 1);
		valid = c.text != NULL;
		if (valid)
			*ret_call = c;
	}
	tandem__control__peer_call__free_unpacked(m, NULL);
	return valid;
}
