#include "routerd/parse_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/log.h"
#include "routerd/confine.h"
#include "routerd/spawn.h"

#define MAGIC 0x74644346U

struct parse_job {
	pid_t pid;
	int pipe_fd;
	struct loop_fd lf;
	struct loop_timer timer;
	parse_done *done;
	void *context;
	uint8_t *bytes; /* head, then packed */
	size_t len, capacity;
};

int
memfd_with(const char *name, const void *bytes, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n =
		    pwrite(fd, (const char *)bytes + done, len - done, (off_t)done);

		if (n <= 0) {
			int error = n < 0 ? -errno : -EIO;

			close(fd);
			return error;
		}
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static void
job_free(struct parse_job *job)
{
	loop_fd_remove(&job->lf);
	loop_timer_cancel(&job->timer);
	close(job->pipe_fd);
	free(job->bytes);
	free(job);
}

static void
refuse(struct parse_head *head, const char *why)
{
	*head = (struct parse_head){ .magic = MAGIC };
	snprintf(head->error, sizeof(head->error), "%s", why);
}

static bool
terminated(const char *string, size_t size)
{
	return memchr(string, '\0', size) != NULL;
}

/* The child held hostile input: what it says is checked like any other. */
static bool
head_valid(const struct parse_head *h, size_t following)
{
	return h->magic == MAGIC && h->packed_len == following && h->self < TD_NODES &&
	       terminated(h->node, sizeof(h->node)) &&
	       terminated(h->cluster, sizeof(h->cluster)) &&
	       terminated(h->error, sizeof(h->error));
}

static bool
digest_valid(const struct parse_head *head, const uint8_t *packed)
{
	uint8_t digest[TD_DIGEST_BYTES];

	crypto_generichash(digest, sizeof(digest), packed, head->packed_len, NULL, 0);
	return memcmp(digest, head->digest, sizeof(digest)) == 0;
}

static void
job_finish(struct parse_job *job, const char *failure)
{
	struct parse_head head;
	int packed_fd = -1;
	parse_done *done = job->done;
	void *context = job->context;

	if (failure == NULL && job->len < sizeof(head))
		failure = "the parser died; see the log";
	if (failure == NULL) {
		memcpy(&head, job->bytes, sizeof(head));
		if (!head_valid(&head, job->len - sizeof(head)))
			failure = "the parser answered nonsense";
	}
	if (failure == NULL && head.packed_len > 0 &&
	    !digest_valid(&head, job->bytes + sizeof(head)))
		failure = "the parser's digest is wrong";
	if (failure == NULL && head.packed_len > 0) {
		packed_fd = memfd_with(
		    "tandem-config", job->bytes + sizeof(head), head.packed_len);
		if (packed_fd < 0)
			failure = strerror(-packed_fd);
	}
	if (failure != NULL) {
		refuse(&head, failure);
		packed_fd = -1;
		if (job->pid > 0)
			kill(job->pid, SIGKILL);
	}
	job_free(job);
	done(context, &head, packed_fd);
}

static void
on_pipe(struct loop_fd *lf, uint32_t events)
{
	struct parse_job *job = lf->context;

	(void)events;
	for (;;) {
		ssize_t n;

		if (job->len == job->capacity) {
			job_finish(job, "the configuration is too large");
			return;
		}
		n = read(job->pipe_fd, job->bytes + job->len, job->capacity - job->len);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			job_finish(job, n < 0 ? strerror(errno) : NULL);
			return;
		}
		job->len += (size_t)n;
	}
}

static void
on_deadline(struct loop_timer *timer)
{
	job_finish(timer->context, "the parser took too long");
}

int
parse_job_start(struct loop *loop, int text_fd, const char *file, const char *node,
    uid_t uid, gid_t gid, parse_done *done, void *context, struct parse_job **ret_job)
{
	const char *argv[] = { "tandemd", "--parse-config", "--file", file,
		node != NULL ? "--node" : NULL, node, NULL };
	struct spawn_spec spec = {
		.path = "/proc/self/exe",
		.argv = argv,
		.uid = uid,
		.gid = gid,
		.capabilities = { -1 },
		.confined = true,
		.stdin_fd = text_fd,
		.control_fd = -1,
		.life_fd = -1,
	};
	struct parse_job *job = calloc(1, sizeof(*job));
	int pipes[2], error;

	if (job == NULL)
		return -ENOMEM;
	job->capacity = sizeof(struct parse_head) + PARSE_PACKED_MAX + 1;
	job->bytes = malloc(job->capacity);
	if (job->bytes == NULL || pipe2(pipes, O_CLOEXEC) < 0) {
		free(job->bytes);
		free(job);
		return -ENOMEM;
	}
	spec.stdout_fd = pipes[1];
	lseek(text_fd, 0, SEEK_SET);
	job->pid = spawn(&spec);
	close(pipes[1]);
	job->pipe_fd = pipes[0];
	fcntl(job->pipe_fd, F_SETFL, O_NONBLOCK);
	job->done = done;
	job->context = context;
	error = job->pid < 0
		    ? job->pid
		    : loop_fd_add(loop, &job->lf, job->pipe_fd, EPOLLIN, on_pipe, job);
	loop_timer_init(loop, &job->timer, on_deadline, job);
	if (error < 0) {
		close(job->pipe_fd);
		free(job->bytes);
		free(job);
		return error;
	}
	loop_timer_set(&job->timer, instant_add(loop_now(loop), PARSE_LIMIT_NS));
	*ret_job = job;
	return 0;
}

bool
parse_job_reaped(struct parse_job *job, pid_t pid, int wait_status)
{
	if (job == NULL || job->pid != pid)
		return false;
	job->pid = 0;
	if (wait_status != 0 &&
	    !(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 1))
		log_err("config", "parser pid=%d died wait_status=0x%x", (int)pid,
		    wait_status);
	return true;
}

void
parse_job_cancel(struct parse_job *job)
{
	if (job == NULL)
		return;
	if (job->pid > 0)
		kill(job->pid, SIGKILL);
	job_free(job);
}

void
parse_error_format(const struct td_config_error *error, char *buf, size_t len)
{
	char where[32] = "";

	if (error->line > 0 && error->column > 0)
		snprintf(where, sizeof(where), ":%u:%u", error->line, error->column);
	else if (error->line > 0)
		snprintf(where, sizeof(where), ":%u", error->line);
	snprintf(buf, len, "%s%s: %s%s%s", error->file, where, error->key,
	    error->key[0] != '\0' ? ": " : "", error->reason);
}

/* The length, or negative errno. */
static ssize_t
read_text(char *text)
{
	size_t len = 0;
	ssize_t n = 0;

	while (len <= PARSE_TEXT_MAX &&
	       (n = read(STDIN_FILENO, text + len, PARSE_TEXT_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return -errno;
	return len > PARSE_TEXT_MAX ? -EFBIG : (ssize_t)len;
}

static bool
write_all(const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, at, len);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static int
answer_refused(const char *error)
{
	struct parse_head head;

	refuse(&head, error);
	write_all(&head, sizeof(head));
	return 1;
}

/* With its NUL: where one ends and the next begins is part of it. */
static void
digest_text(crypto_generichash_state *state, const char *text)
{
	crypto_generichash_update(state, (const uint8_t *)text, strlen(text) + 1);
}

static void
digest_programs(const struct td_config *config, uint8_t ret_digest[TD_DIGEST_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, TD_DIGEST_BYTES);
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
		digest_text(&state, config->hooks.path[hook]);
	digest_text(&state, config->hooks.user);
	for (uint32_t i = 0; i < config->track_script_count; i++) {
		digest_text(&state, config->track_scripts[i].name);
		digest_text(&state, config->track_scripts[i].path);
	}
	crypto_generichash_final(&state, ret_digest, TD_DIGEST_BYTES);
}

static int
answer_config(const struct td_config *config)
{
	struct parse_head head = {
		.magic = MAGIC,
		.self = config->self,
		.management = config->nodes[config->self].management,
	};
	size_t packed_len = 0;
	uint8_t *packed = td_config_pack(config, &packed_len);
	bool written;

	if (packed == NULL || packed_len > PARSE_PACKED_MAX)
		return answer_refused("the packed configuration is too large");
	head.packed_len = (uint32_t)packed_len;
	memcpy(head.digest, config->digest, sizeof(head.digest));
	snprintf(head.node, sizeof(head.node), "%s", config->nodes[config->self].name);
	snprintf(head.cluster, sizeof(head.cluster), "%s", config->cluster);
	snprintf(head.hooks_user, sizeof(head.hooks_user), "%s", config->hooks.user);
	digest_programs(config, head.programs);
	written = write_all(&head, sizeof(head)) && write_all(packed, packed_len);
	free(packed);
	return written ? 0 : 2;
}

int
parse_child_main(const char *file, const char *node)
{
	const struct rlimit no_children = { 0, 0 };
	struct td_config_error error = { 0 };
	struct td_config *config;
	char message[PARSE_ERROR_MAX];
	char *text = malloc(PARSE_TEXT_MAX + 1);
	ssize_t len;
	int result;

	/* Where the kernel cannot do it, uid, limits and no capability remain. */
	confine_self();
	setrlimit(RLIMIT_NPROC, &no_children);
	len = text != NULL ? read_text(text) : -ENOMEM;
	if (len < 0) {
		snprintf(message, sizeof(message), "%s: %s", file,
		    len == -EFBIG ? "larger than 16 MiB" : strerror((int)-len));
		free(text);
		return answer_refused(message);
	}
	config = td_config_parse(text, (size_t)len, file, node, &error);
	free(text);
	if (config == NULL) {
		parse_error_format(&error, message, sizeof(message));
		return answer_refused(message);
	}
	result = answer_config(config);
	td_config_free(config);
	return result;
}
