/*
 * tandemctl - asks a running instance, changes its role and configuration. Manual:
 * tandemctl(8).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/clock.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/local.h"
#include "routerd/core/options.h"
#include "routerd/core/report.h"
#include "routerd/core/section.h"

#define TEXT_PART_MAX (40U << 10)
#define ASK_LIMIT_NS (5 * NS_PER_S)
#define APPLY_LIMIT_NS (100 * NS_PER_S)
#define SWITCHOVER_LIMIT_NS (10 * NS_PER_S)

static const char usage[] =
    "usage: tandemctl [--instance NAME] [--json] COMMAND\n"
    "  status                 role, peer, sync, processes, alarms\n"
    "  vrrp | sync | lb | nat what that part of the router knows and counts\n"
    "  switchover             hand the Active role over to the peer\n"
    "  maintenance on|off     hand over if the peer can, and do not take over "
    "meanwhile\n"
    "  resync                 replicate the whole state again\n"
    "  apply [--alone] FILE   put a configuration in force on both nodes, or on "
    "neither\n"
    "  check-config [--node NODE] FILE\n"
    "  check                  whether this system can run tandem\n"
    "  keygen [--show] [--force] [--out FILE]\n"
    "  version\n"
    "Without --instance: $TANDEM_INSTANCE, or the only one that runs.\n"
    "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not running. See "
    "tandemctl(8).\n";

static int fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
fail(int code, const char *format, ...)
{
	va_list args;

	fputs("tandemctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

static int
not_running(const char *instance, int error)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		return fail(CTL_NOT_RUNNING, "instance %s does not run", instance);
	return fail(CTL_FAILED, "instance %s: %s", instance, strerror(-error));
}

/* Connects, after having found out to whom. */
static int
connect_to(const struct command *c, char instance[32], int *ret_fd)
{
	int fd;

	if (c->instance != NULL) {
		snprintf(instance, 32, "%s", c->instance);
	} else {
		int error = client_find_instance(instance);

		if (error == -ENOENT)
			return fail(CTL_NOT_RUNNING, "no instance runs here");
		if (error == -EEXIST)
			return fail(
			    CTL_USAGE, "several instances run here: --instance NAME");
	}
	fd = client_connect(instance);
	if (fd < 0)
		return not_running(instance, fd);
	*ret_fd = fd;
	return CTL_OK;
}

static int
print(struct text *out)
{
	bool failed = out->failed;

	if (out->bytes != NULL)
		fputs(out->bytes, stdout);
	text_free(out);
	return failed ? fail(CTL_FAILED, "out of memory") : CTL_OK;
}

static int
ask(int fd, const char *instance, enum control_command command, const char *text,
    struct sample_set *set)
{
	struct control_reply reply;
	int error = client_call(fd, command, text, false, ASK_LIMIT_NS, &reply, set);
	int code = CTL_OK;

	if (error < 0)
		return fail(CTL_FAILED, "instance %s: %s", instance, strerror(-error));
	if (reply.status != 0)
		code = fail(CTL_FAILED, "%s: %s", instance, reply.text);
	free(reply.text);
	return code;
}

static int
show_status(const struct command *c, int fd, const char *instance)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };
	int code = ask(fd, instance, CONTROL_CMD_SAMPLES, "", &set);

	if (code == CTL_OK) {
		if (c->json)
			report_json(&out, &set, instance);
		else
			report_text(&out, &set, instance);
		code = print(&out);
	}
	samples_free(&set);
	return code;
}

static int
show_section(const struct command *c, int fd, const char *instance)
{
	const struct section *section = section_find(command_name(c->verb));
	struct sample_set set = { 0 };
	struct text out = { 0 };
	int code = ask(fd, instance, CONTROL_CMD_SAMPLES, "", &set);

	if (code == CTL_OK && section->list != NULL)
		code = ask(fd, instance, CONTROL_CMD_LIST, section->list, &set);
	if (code == CTL_OK) {
		if (c->json) {
			pivot_json(&out, &set, section->filter, section->prefix);
			text_puts(&out, "\n");
		} else {
			pivot_tables(&out, &set, section->filter, section->prefix);
			if (out.len == 0)
				text_puts(&out, "nothing to show\n");
		}
		code = print(&out);
	}
	samples_free(&set);
	return code;
}

static int
print_result(const struct command *c, int32_t status, const char *text)
{
	struct text out = { 0 };

	if (!c->json && status != 0)
		return fail(CTL_FAILED, "%s", text);
	if (!c->json) {
		if (text[0] != '\0')
			puts(text);
		return CTL_OK;
	}
	text_printf(&out,
	    "{\"ok\": %s, \"status\": %d, \"text\": ", status == 0 ? "true" : "false",
	    (int)status);
	text_json_string(&out, text);
	text_puts(&out, "}\n");
	print(&out);
	return status == 0 ? CTL_OK : CTL_FAILED;
}

static int
call_and_print(const struct command *c, int fd, const char *instance,
    enum control_command command, const char *text, int64_t limit_ns)
{
	struct control_reply reply;
	int error = client_call(fd, command, text, c->alone, limit_ns, &reply, NULL);
	int code;

	if (error < 0)
		return fail(CTL_FAILED, "instance %s: %s", instance, strerror(-error));
	code = print_result(c, reply.status, reply.text);
	free(reply.text);
	return code;
}

/* The role and the term of this node; false if nobody could be asked. */
static bool
get_role(int fd, char ret_role[16], double *ret_term)
{
	struct sample_set set = { 0 };
	struct control_reply reply;
	bool got = client_call(fd, CONTROL_CMD_SAMPLES, "", false, ASK_LIMIT_NS, &reply,
		       &set) == 0;

	if (got) {
		free(reply.text);
		snprintf(ret_role, 16, "%s",
		    sample_label(
			samples_find(&set, "tandem_role_info", NULL, NULL), "role"));
		*ret_term = samples_number(&set, "tandem_peer_term", 0);
	}
	samples_free(&set);
	return got;
}

static int
switchover(const struct command *c, int fd, const char *instance)
{
	const struct timespec pause = { .tv_nsec = 20 * NS_PER_MS };
	struct td_instant begin = clock_now();
	struct control_reply reply;
	char role[16] = "", text[128];
	double term = 0;
	int error, code;

	if (!get_role(fd, role, &term))
		return fail(CTL_FAILED, "instance %s does not answer", instance);
	if (strcmp(role, "Active") != 0)
		return print_result(
		    c, -EPERM, "this node is not Active: ask the other one");
	error = client_call(
	    fd, CONTROL_CMD_SWITCHOVER, "", false, ASK_LIMIT_NS, &reply, NULL);
	if (error < 0)
		return fail(CTL_FAILED, "instance %s: %s", instance, strerror(-error));
	if (reply.status != 0) {
		code = print_result(c, reply.status, reply.text);
		free(reply.text);
		return code;
	}
	free(reply.text);
	while (get_role(fd, role, &term) && strcmp(role, "Active") == 0) {
		if (instant_diff_ns(clock_now(), begin) > SWITCHOVER_LIMIT_NS)
			return print_result(c, -ETIMEDOUT, "still Active after 10 s");
		nanosleep(&pause, NULL);
	}
	snprintf(text, sizeof(text), "Active -> %s after %lld ms", role,
	    (long long)(instant_diff_ns(clock_now(), begin) / NS_PER_MS));
	return print_result(c, 0, text);
}

/* In parts that fit a message. */
static int
hand_over(int fd, const char *instance, const char *text)
{
	char part[TEXT_PART_MAX + 1];
	int code = CTL_OK;

	for (size_t at = 0; text[at] != '\0' && code == CTL_OK; at += strlen(part)) {
		snprintf(part, sizeof(part), "%s", text + at);
		code = ask(fd, instance, CONTROL_CMD_TEXT, part, NULL);
	}
	return code;
}

static int
apply(const struct command *c, int fd, const char *instance)
{
	char *text;
	int code = local_read_config(c, &text);

	if (code != CTL_OK)
		return code;
	code = hand_over(fd, instance, text);
	if (code != CTL_OK) {
		free(text);
		return code;
	}
	code = call_and_print(c, fd, instance, CONTROL_CMD_APPLY, "", APPLY_LIMIT_NS);
	free(text);
	return code;
}

static int
run_remote(const struct command *c)
{
	char instance[32] = "";
	int fd = -1;
	int code = connect_to(c, instance, &fd);

	if (code != CTL_OK)
		return code;
	switch (c->verb) {
	case VERB_STATUS:
		code = show_status(c, fd, instance);
		break;
	case VERB_SWITCHOVER:
		code = switchover(c, fd, instance);
		break;
	case VERB_MAINTENANCE:
		code = call_and_print(c, fd, instance, CONTROL_CMD_MAINTENANCE,
		    c->on ? "on" : "off", ASK_LIMIT_NS);
		break;
	case VERB_RESYNC:
		code = call_and_print(
		    c, fd, instance, CONTROL_CMD_RESYNC, "", ASK_LIMIT_NS);
		break;
	case VERB_APPLY:
		code = apply(c, fd, instance);
		break;
	case VERB_VRRP:
	case VERB_SYNC:
	case VERB_LB:
	case VERB_NAT:
		code = show_section(c, fd, instance);
		break;
	case VERB_CHECK_CONFIG:
	case VERB_CHECK:
	case VERB_KEYGEN:
	case VERB_VERSION:
	case VERB_HELP:
		break;
	}
	close(fd);
	return code;
}

int
main(int argc, char **argv)
{
	struct command command;
	char problem[160];
	const char *error =
	    command_parse(argc, argv, &command, problem, sizeof(problem));

	if (error != NULL) {
		fprintf(stderr, "tandemctl: %s (tandemctl help)\n", error);
		return CTL_USAGE;
	}
	if (command.instance == NULL)
		command.instance = getenv("TANDEM_INSTANCE");
	if (command.instance != NULL && !instance_name_valid(command.instance))
		return fail(
		    CTL_USAGE, "TANDEM_INSTANCE %s: not a name", command.instance);
	switch (command.verb) {
	case VERB_HELP:
		fputs(usage, stdout);
		return CTL_OK;
	case VERB_VERSION:
		printf(command.json ? "{\"version\": \"%s\"}\n" : "tandem %s\n",
		    TANDEM_VERSION);
		return CTL_OK;
	case VERB_CHECK_CONFIG:
		return local_check_config(&command);
	case VERB_CHECK:
		return local_check_system(&command);
	case VERB_KEYGEN:
		return local_keygen(&command);
	case VERB_STATUS:
	case VERB_VRRP:
	case VERB_SYNC:
	case VERB_LB:
	case VERB_NAT:
	case VERB_SWITCHOVER:
	case VERB_MAINTENANCE:
	case VERB_RESYNC:
	case VERB_APPLY:
		break;
	}
	return run_remote(&command);
}
