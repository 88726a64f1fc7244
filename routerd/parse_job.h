/*
 * parse_job.h - reading a configuration without trusting it.
 *
 * The YAML parser runs in a short-lived child of this same program with another uid, no
 * capability and small limits. It reads the text from a descriptor and answers through
 * a pipe: a head and the packed configuration, or the error. tandemd itself looks at
 * the head only, after a check of lengths and digest, and passes the packed bytes on;
 * it never unpacks them.
 */
#ifndef TANDEM_ROUTERD_PARSE_JOB_H
#define TANDEM_ROUTERD_PARSE_JOB_H

#include <sys/types.h>
#include <tandem/config.h>
#include "common/loop.h"

#define PARSE_TEXT_MAX (16U << 20) /* bytes of YAML */
#define PARSE_PACKED_MAX (16U << 20)
#define PARSE_ERROR_MAX 1024
#define PARSE_LIMIT_NS (20 * NS_PER_S)

/* Child to parent, same program: copied as memory. */
struct parse_head {
	uint32_t magic;
	uint32_t packed_len; /* bytes that follow; 0 = refused, `error` tells why */
	uint32_t self;
	struct td_endpoint management;
	uint8_t
	    digest[TD_DIGEST_BYTES]; /* of the configuration, as the rooms compute it */
	char node[TD_NAME_MAX];
	char cluster[TD_NAME_MAX];
	char hooks_user[TD_NAME_MAX];
	uint8_t programs[TD_DIGEST_BYTES]; /* of what is run, and as whom */
	char error[PARSE_ERROR_MAX];       /* FILE:LINE:COL: KEY: reason */
};

struct parse_job;

/* Exactly once per job. packed is a sealed memfd now owned by the callee, -1 when
 * refused; then head->error is filled. */
typedef void parse_done(void *context, const struct parse_head *head, int packed_fd);

/* `text_fd` is read from its start; borrowed until this returns. Negative errno. */
int parse_job_start(struct loop *loop, int text_fd, const char *file, const char *node,
    uid_t uid, gid_t gid, parse_done *done, void *context, struct parse_job **ret_job);
/* The child is reaped by the owner of SIGCHLD, who tells it here; true if it was ours.
 */
bool parse_job_reaped(struct parse_job *job, pid_t pid, int wait_status);
/* Kills the child and forgets the job without calling back; NULL is fine. */
void parse_job_cancel(struct parse_job *job);

/* main() of the child. */
int parse_child_main(const char *file, const char *node);

/* "FILE:LINE:COL: KEY: reason", without the parts that are unknown. */
void parse_error_format(const struct td_config_error *error, char *buf, size_t len);

/* A sealed memfd with these bytes, or negative errno. */
int memfd_with(const char *name, const void *bytes, size_t len);

#endif
