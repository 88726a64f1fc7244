/*
 * tandemd - the supervisor of one instance: starts its processes, gives each what it
 * may have, watches them, and nothing else. Manual: tandemd(8).
 */
#include "routerd/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "common/log.h"
#include "routerd/spawn.h"

#define STOP_LIMIT_NS (5 * NS_PER_S)

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: tandemd --instance NAME [--node NODE] [--netns NETNS] [--config FILE]\n"
    "               [--users tandem|root] [--libexec DIR] [--log stderr|syslog] "
    "[--verbose]\n"
    "Runs in the foreground. --node defaults to the host name, --config "
    "to\n" TANDEM_SYSCONFDIR "/NAME.yaml. See tandemd(8).\n";

static int
enter_netns(const char *name)
{
	char path[300];
	int fd, error = 0;

	if (name[0] == '/')
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
		error = -errno;
		log_err("start", "netns=%s: %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return error;
}

/* Beside the program, so that a tree can be installed anywhere; else where it was built
 * for. */
static void
find_libexec(struct supervisor *sv)
{
	char exe[400];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	snprintf(sv->libexec, sizeof(sv->libexec), "%s", TANDEM_LIBEXECDIR);
	if (sv->options.libexec != NULL) {
		snprintf(sv->libexec, sizeof(sv->libexec), "%s", sv->options.libexec);
		return;
	}
	if (len <= 0)
		return;
	exe[len] = '\0';
	slash = strrchr(exe, '/');
	if (slash == NULL)
		return;
	*slash = '\0';
	snprintf(sv->libexec, sizeof(sv->libexec), "%s/../libexec/tandem", exe);
	if (access(sv->libexec, X_OK) < 0)
		snprintf(sv->libexec, sizeof(sv->libexec), "%s", TANDEM_LIBEXECDIR);
}

static int
check_programs(const struct supervisor *sv)
{
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT; room++) {
		char path[600];

		snprintf(path, sizeof(path), "%s/tandem-%s", sv->libexec,
		    td_room_name((enum td_room)room));
		if (access(path, X_OK) < 0) {
			log_err("start", "%s: %s", path, strerror(errno));
			return -errno;
		}
	}
	return 0;
}

static void
find_paths(struct supervisor *sv)
{
	char path[512];
	char *real;

	if (sv->options.config != NULL)
		snprintf(path, sizeof(path), "%s", sv->options.config);
	else
		snprintf(path, sizeof(path), "%s/%s.yaml", TANDEM_SYSCONFDIR,
		    sv->options.instance);
	/* An apply replaces the file, not a link to it. */
	real = realpath(path, NULL);
	snprintf(
	    sv->config_path, sizeof(sv->config_path), "%s", real != NULL ? real : path);
	free(real);
	if (sv->options.node != NULL) {
		snprintf(sv->node, sizeof(sv->node), "%s", sv->options.node);
	} else {
		gethostname(sv->node, sizeof(sv->node) - 1);
		sv->node[strcspn(sv->node, ".")] = '\0';
	}
}

static void
on_signal(void *context, int signo)
{
	struct supervisor *sv = context;

	if (signo == SIGCHLD) {
		supervisor_reap(sv);
	} else if (signo == SIGHUP) {
		reconfigure_signal(sv);
	} else if (!sv->stopping) {
		sv->stopping = true;
		log_notice("stop", "signal=SIG%s", sigabbrev_np(signo));
		notify_send(&sv->notify, "STOPPING=1\nSTATUS=stopping");
		loop_timer_set(
		    &sv->stop_timer, instant_add(loop_now(sv->loop), STOP_LIMIT_NS));
		supervisor_stop(sv);
	}
}

static void
on_stop_limit(struct loop_timer *timer)
{
	supervisor_kill_all(timer->context);
}

static void
on_watchdog(struct loop_timer *timer)
{
	struct supervisor *sv = timer->context;

	notify_send(&sv->notify, "WATCHDOG=1");
	loop_timer_set(
	    timer, instant_add(loop_now(sv->loop), sv->notify.watchdog_ns / 2));
}

static int
add_signals(struct supervisor *sv)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	int error = 0;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && error == 0; i++)
		error = loop_signal_add(sv->loop, signals[i], on_signal, sv);
	return error;
}

static int
prepare(struct supervisor *sv)
{
	uint8_t key[TD_KEY_BYTES];
	const char *missing;
	int error;

	/* Before the namespace: abstract sockets belong to the one we were started in.
	 */
	notify_init(&sv->notify);
	find_libexec(sv);
	find_paths(sv);
	if ((error = check_programs(sv)) < 0 ||
	    (error = instance_open(
		 &sv->instance, sv->options.instance, sv->options.users_root)) < 0 ||
	    (error = instance_secret_key(&sv->instance, key)) < 0)
		return error;
	explicit_bzero(key, sizeof(key));
	if (sv->options.netns != NULL && (error = enter_netns(sv->options.netns)) < 0)
		return error;
	missing = spawn_missing_rights();
	if (missing[0] != '\0')
		log_warn("start", "without %s", missing);
	sv->loop = loop_new();
	if (sv->loop == NULL)
		return -ENOMEM;
	if ((error = add_signals(sv)) < 0 || (error = resources_open(sv)) < 0)
		return error;
	loop_timer_init(sv->loop, &sv->stop_timer, on_stop_limit, sv);
	loop_timer_init(sv->loop, &sv->watchdog_timer, on_watchdog, sv);
	if (sv->notify.watchdog_ns > 0)
		loop_timer_set(&sv->watchdog_timer, loop_now(sv->loop));
	supervisor_init_children(sv);
	return reconfigure_start(sv);
}

static int
run(const struct options *options)
{
	/* Large, and one per process: not for the stack. */
	struct supervisor *sv = calloc(1, sizeof(*sv));
	int result;

	if (sv == NULL)
		return EXIT_FAILED;
	sv->options = *options;
	sv->control_listen = sv->http_listen = -1;
	sv->last_words.fd = -1;
	sv->notify.fd = -1;
	sv->instance.lock_fd = sv->instance.life_fd = -1;
	fence_fds_init(&sv->fence);
	l4_fds_init(&sv->balancer);
	reconfigure_init(sv);
	result = prepare(sv) < 0 ? EXIT_FAILED : loop_run(sv->loop);
	if (result < 0) {
		log_err("stop", "event loop: %s", strerror(-result));
		result = EXIT_FAILED;
	}
	if (sv->loop != NULL && sv->started)
		log_notice("stop", "stopped exit=%d", result);
	reconfigure_fini(sv);
	resources_close(sv);
	instance_close(&sv->instance);
	if (sv->loop != NULL)
		loop_free(sv->loop);
	free(sv);
	return result;
}

int
main(int argc, char **argv)
{
	struct options options;
	char problem[160];
	const char *error =
	    options_parse(argc, argv, &options, problem, sizeof(problem));

	if (error != NULL) {
		fprintf(stderr, "tandemd: %s\n%s", error, usage);
		return EXIT_USAGE;
	}
	if (options.help) {
		fputs(usage, stdout);
		return 0;
	}
	if (options.version) {
		puts("tandemd " TANDEM_VERSION);
		return 0;
	}
	if (options.parse_config)
		return parse_child_main(
		    options.file != NULL ? options.file : "stdin", options.node);
	log_init("tandemd", options.instance,
	    options.syslog ? LOG_TO_SYSLOG : LOG_TO_STDERR);
	/* The children log where and as much as their supervisor. */
	setenv("TANDEM_LOG_TARGET", options.syslog ? "syslog" : "stderr", 1);
	if (options.verbose) {
		log_set_level(LOG_LV_DEBUG);
		setenv("TANDEM_LOG_LEVEL", "debug", 1);
	}
	if (geteuid() != 0) {
		fprintf(stderr, "tandemd: must be started as root\n");
		return EXIT_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	return run(&options);
}
