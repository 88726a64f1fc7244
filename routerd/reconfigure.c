#include "routerd/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/log.h"

/* The name in error messages of text that came by request and not from the file. */
#define REQUEST_NAME "new configuration"

static const struct stored_config no_config = { .packed_fd = -1, .text_fd = -1 };

static void
config_release(struct stored_config *config)
{
	if (config->packed_fd >= 0)
		close(config->packed_fd);
	if (config->text_fd >= 0)
		close(config->text_fd);
	*config = no_config;
}

static void
config_move(struct stored_config *to, struct stored_config *from)
{
	config_release(to);
	*to = *from;
	*from = no_config;
}

/* A private copy of the file, so that what is parsed is what is kept. */
static int
copy_file(const char *path)
{
	struct stat st;
	char *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		result = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > PARSE_TEXT_MAX)
		result = -EFBIG;
	else if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		result = -ENOMEM;
	else if (read(fd, text, (size_t)st.st_size) != st.st_size)
		result = -EIO;
	else
		result = memfd_with("tandem-yaml", text, (size_t)st.st_size);
	free(text);
	close(fd);
	return result;
}

static int
write_file(const struct supervisor *sv, const struct stored_config *config)
{
	struct stat st;
	char *text;
	int result;

	if (fstat(config->text_fd, &st) < 0)
		return -errno;
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return -ENOMEM;
	if (pread(config->text_fd, text, (size_t)st.st_size, 0) != st.st_size)
		result = -EIO;
	else
		result = file_replace(sv->config_path, text, (size_t)st.st_size, 0640);
	free(text);
	return result;
}

static void parse_finished(void *context, const struct parse_head *head, int packed_fd);

static bool
busy(const struct supervisor *sv)
{
	return sv->job != NULL || sv->apply.state != APPLY_IDLE;
}

/* Takes text_fd over. */
static int
begin_parse(struct supervisor *sv, enum reconfigure_origin origin, int text_fd,
    const char *file, uint64_t generation)
{
	/* The parser shares the uid of the room that has nothing to lose. */
	uid_t uid = sv->instance.uid[TD_ROOM_MGMTD];
	gid_t gid = sv->instance.gid[TD_ROOM_MGMTD];
	int error;

	sv->candidate = no_config;
	sv->candidate.text_fd = text_fd;
	sv->candidate.generation = generation;
	sv->origin = origin;
	error = parse_job_start(
	    sv->loop, text_fd, file, sv->node, uid, gid, parse_finished, sv, &sv->job);
	if (error < 0)
		config_release(&sv->candidate);
	return error;
}

static void
digest_text(
    const uint8_t digest[TD_DIGEST_BYTES], char ret_text[2 * TD_DIGEST_BYTES + 1])
{
	for (size_t i = 0; i < TD_DIGEST_BYTES; i++)
		snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}

/* ---- spreading ---- */

static void apply_perform(struct supervisor *sv, enum apply_action action);

static struct stored_config *
apply_target(struct supervisor *sv)
{
	return sv->origin == ORIGIN_ABORT ? &sv->previous : &sv->prepared;
}

static void
begin_apply(struct supervisor *sv)
{
	const struct stored_config *target = apply_target(sv);
	uint32_t rooms = supervisor_running(sv);
	enum apply_action action;

	action = apply_begin(&sv->apply, rooms, target->generation,
	    sv->current.generation, loop_now(sv->loop));
	supervisor_send_config(sv, rooms, target);
	loop_timer_set(&sv->apply_timer, sv->apply.deadline);
	apply_perform(sv, action);
}

/* The result goes to whom it concerns: the request, or the service manager and the log.
 */
static void
report(struct supervisor *sv, int32_t status, const char *text)
{
	if (sv->origin == ORIGIN_SIGNAL)
		notify_send(&sv->notify, "READY=1");
	else if (sv->origin != ORIGIN_START && sv->origin != ORIGIN_NONE)
		supervisor_reply(sv, sv->request_id, status, text);
	sv->origin = ORIGIN_NONE;
}

static void
adopt(struct supervisor *sv, struct stored_config *target)
{
	struct stored_config old = sv->current;
	int error;

	sv->current = *target;
	*target = no_config;
	config_move(&sv->previous, &old);
	error = instance_generation_save(
	    &sv->instance, sv->current.generation, sv->current.head.digest);
	if (error < 0)
		log_err(
		    "config", "generation could not be stored: %s", strerror(-error));
	resources_http(sv);
	if (strcmp(sv->current.head.hooks_user, sv->previous.head.hooks_user) != 0)
		supervisor_restart(sv, TD_ROOM_HOOKD);
}

static void
apply_succeeded(struct supervisor *sv)
{
	struct stored_config *target = apply_target(sv);
	uint32_t missed;
	int error = sv->origin == ORIGIN_SIGNAL ? 0 : write_file(sv, target);

	if (error < 0) {
		log_err("config", "%s: %s", sv->config_path, strerror(-error));
		apply_perform(sv, apply_undo(&sv->apply, error,
				      "the configuration file could not be written",
				      loop_now(sv->loop)));
		return;
	}
	/* A room that started meanwhile was given the old one. The decision stands:
	 * what it refuses now is an alarm (supervisor_status.c), not a way back. */
	missed = supervisor_running(sv) & ~sv->apply.sent;
	supervisor_send_config(sv, missed, target);
	adopt(sv, target);
	log_notice("config", "generation=%" PRIu64 " in force", sv->current.generation);
	report(sv, 0, "");
}

static void
apply_perform(struct supervisor *sv, enum apply_action action)
{
	switch (action) {
	case APPLY_ACT_NONE:
		return;
	case APPLY_ACT_SEND_OLD:
		log_err("config",
		    "generation=%" PRIu64 " refused: %s: back to %" PRIu64,
		    sv->apply.generation, sv->apply.reason, sv->current.generation);
		supervisor_send_config(sv, sv->apply.sent, &sv->current);
		loop_timer_set(&sv->apply_timer, sv->apply.deadline);
		return;
	case APPLY_ACT_DONE:
		loop_timer_cancel(&sv->apply_timer);
		if (sv->apply.status == 0)
			apply_succeeded(sv);
		else
			report(sv, sv->apply.status, sv->apply.reason);
		return;
	}
}

static void
on_apply_timer(struct loop_timer *timer)
{
	struct supervisor *sv = timer->context;

	apply_perform(sv, apply_tick(&sv->apply, loop_now(sv->loop)));
}

void
reconfigure_ack(
    struct supervisor *sv, enum td_room room, const struct control_packet *packet)
{
	apply_perform(sv, apply_ack(&sv->apply, room, packet->number, packet->status,
			      packet->text, loop_now(sv->loop)));
}

void
reconfigure_room_gone(struct supervisor *sv, enum td_room room)
{
	apply_perform(sv, apply_room_gone(&sv->apply, room, loop_now(sv->loop)));
}

/* ---- parsed ---- */

static void
start_with(struct supervisor *sv)
{
	uint8_t digest[TD_DIGEST_BYTES];
	uint64_t generation = 0;

	config_move(&sv->current, &sv->candidate);
	instance_generation_load(&sv->instance, &generation, digest);
	/* Edited while we were down: that is a new generation. */
	if (generation == 0 ||
	    memcmp(digest, sv->current.head.digest, sizeof(digest)) != 0)
		instance_generation_save(
		    &sv->instance, ++generation, sv->current.head.digest);
	sv->current.generation = generation;
	resources_http(sv);
	supervisor_start(sv);
}

static void
parsed_by_signal(struct supervisor *sv)
{
	if (memcmp(sv->candidate.head.digest, sv->current.head.digest,
		TD_DIGEST_BYTES) == 0) {
		log_notice(
		    "config", "unchanged generation=%" PRIu64, sv->current.generation);
		config_release(&sv->candidate);
		report(sv, 0, "");
		return;
	}
	config_move(&sv->prepared, &sv->candidate);
	begin_apply(sv);
}

static void
parsed_by_request(struct supervisor *sv)
{
	char digest[2 * TD_DIGEST_BYTES + 1];
	int error = file_replaceable(sv->config_path);

	if (error < 0) {
		char text[600];

		snprintf(text, sizeof(text), "%s cannot be replaced: %s",
		    sv->config_path, strerror(-error));
		config_release(&sv->candidate);
		report(sv, error, text);
		return;
	}
	digest_text(sv->candidate.head.digest, digest);
	if (sv->origin == ORIGIN_PREPARE)
		config_move(&sv->prepared, &sv->candidate);
	else
		config_release(&sv->candidate);
	report(sv, 0, digest);
}

static void
parse_finished(void *context, const struct parse_head *head, int packed_fd)
{
	struct supervisor *sv = context;

	sv->job = NULL;
	sv->candidate.head = *head;
	sv->candidate.packed_fd = packed_fd;
	if (packed_fd < 0) {
		if (sv->origin == ORIGIN_START || sv->origin == ORIGIN_SIGNAL)
			log_err("config", "%s", head->error);
		config_release(&sv->candidate);
		if (sv->origin == ORIGIN_START)
			loop_stop(sv->loop, 1);
		report(sv, -EINVAL, head->error);
		return;
	}
	if (sv->origin == ORIGIN_CHECK && sv->same_programs &&
	    memcmp(head->programs, sv->current.head.programs, TD_DIGEST_BYTES) != 0) {
		config_release(&sv->candidate);
		report(
		    sv, -EPERM, "hooks and track_scripts: only root may change them");
		return;
	}
	switch (sv->origin) {
	case ORIGIN_START:
		start_with(sv);
		sv->origin = ORIGIN_NONE;
		break;
	case ORIGIN_SIGNAL:
		parsed_by_signal(sv);
		break;
	case ORIGIN_CHECK:
	case ORIGIN_PREPARE:
		parsed_by_request(sv);
		break;
	case ORIGIN_NONE:
	case ORIGIN_COMMIT:
	case ORIGIN_ABORT:
		config_release(&sv->candidate);
		break;
	}
}

/* ---- asked ---- */

void
reconfigure_init(struct supervisor *sv)
{
	sv->current = sv->prepared = sv->previous = sv->candidate = no_config;
	sv->apply.deadline = TD_NEVER;
}

int
reconfigure_start(struct supervisor *sv)
{
	int text_fd;

	loop_timer_init(sv->loop, &sv->apply_timer, on_apply_timer, sv);
	text_fd = copy_file(sv->config_path);
	if (text_fd < 0) {
		log_err("config", "%s: %s", sv->config_path, strerror(-text_fd));
		return text_fd;
	}
	return begin_parse(sv, ORIGIN_START, text_fd, sv->config_path, 0);
}

void
reconfigure_signal(struct supervisor *sv)
{
	int text_fd;

	if (busy(sv) || !sv->started) {
		log_warn("config", "reload ignored: another change is under way");
		return;
	}
	notify_reloading(&sv->notify);
	text_fd = copy_file(sv->config_path);
	if (text_fd < 0 || begin_parse(sv, ORIGIN_SIGNAL, text_fd, sv->config_path,
			       sv->current.generation + 1) < 0) {
		log_err("config", "%s: cannot be read", sv->config_path);
		notify_send(&sv->notify, "READY=1");
	}
}

static void
request_parse(struct supervisor *sv, enum reconfigure_origin origin,
    const struct td_msg_request *request)
{
	int text_fd = memfd_with("tandem-yaml", sv->staged.bytes, sv->staged.len);
	int error = text_fd;

	sv->request_id = request->id;
	if (text_fd >= 0)
		error = begin_parse(sv, origin, text_fd, REQUEST_NAME, request->number);
	if (error < 0)
		supervisor_reply(sv, request->id, error, strerror(-error));
}

/* Answers are awaited between the parts, so the offset tells a lost or repeated one. */
static void
request_text(struct supervisor *sv, const struct td_msg_request *request)
{
	const char *part = request->text != NULL ? request->text : "";

	if (request->number == 0)
		text_free(&sv->staged);
	if (request->number != sv->staged.len ||
	    sv->staged.len + strlen(part) > PARSE_TEXT_MAX) {
		supervisor_reply(
		    sv, request->id, -EMSGSIZE, "the text came in disorder");
		return;
	}
	text_puts(&sv->staged, part);
	supervisor_reply(sv, request->id, sv->staged.failed ? -ENOMEM : 0, "");
}

static void
request_commit(struct supervisor *sv, const struct td_msg_request *request)
{
	if (sv->current.generation == request->number) {
		/* Asked again, because our answer was lost. */
		supervisor_reply(sv, request->id, 0, "");
	} else if (sv->prepared.packed_fd < 0 ||
		   sv->prepared.generation != request->number) {
		supervisor_reply(sv, request->id, -ENOENT, "nothing is prepared");
	} else {
		sv->origin = ORIGIN_COMMIT;
		sv->request_id = request->id;
		begin_apply(sv);
	}
}

static void
request_abort(struct supervisor *sv, const struct td_msg_request *request)
{
	if (sv->prepared.packed_fd >= 0 && sv->prepared.generation == request->number)
		config_release(&sv->prepared);
	if (sv->current.generation == request->number && sv->previous.packed_fd >= 0) {
		sv->origin = ORIGIN_ABORT;
		sv->request_id = request->id;
		begin_apply(sv);
		return;
	}
	supervisor_reply(sv, request->id, 0, "");
}

void
reconfigure_request(struct supervisor *sv, const struct td_msg_request *request)
{
	if (busy(sv) || sv->stopping) {
		supervisor_reply(sv, request->id, -EBUSY,
		    sv->stopping ? "stopping" : "another change is under way");
		return;
	}
	switch (request->what) {
	case TD_REQ_CONFIG_CHECK:
		sv->same_programs = request->text != NULL &&
				    strcmp(request->text, TD_SAME_PROGRAMS) == 0;
		request_parse(sv, ORIGIN_CHECK, request);
		break;
	case TD_REQ_CONFIG_PREPARE:
		config_release(&sv->prepared);
		request_parse(sv, ORIGIN_PREPARE, request);
		break;
	case TD_REQ_CONFIG_TEXT:
		request_text(sv, request);
		break;
	case TD_REQ_CONFIG_COMMIT:
		text_free(&sv->staged);
		request_commit(sv, request);
		break;
	case TD_REQ_CONFIG_ABORT:
		request_abort(sv, request);
		break;
	case TD_REQ_STATUS:
	case TD_REQ_MAINTENANCE:
	case TD_REQ_SWITCHOVER:
	case TD_REQ_RESYNC:
	case TD_REQ_LIST:
		supervisor_reply(
		    sv, request->id, -EOPNOTSUPP, "not for the supervisor");
		break;
	}
}

void
reconfigure_fini(struct supervisor *sv)
{
	parse_job_cancel(sv->job);
	text_free(&sv->staged);
	config_release(&sv->current);
	config_release(&sv->prepared);
	config_release(&sv->previous);
	config_release(&sv->candidate);
}
