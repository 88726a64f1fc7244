/*
 * system_check.c - tandemctl check: whether this machine can run an instance, found out
 * by trying, not by version numbers. Nothing is changed.
 */
#include "ctl/local.h"

#include <errno.h>
#include <grp.h>
#include <linux/netlink.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zmq.h>
#include "common/log.h"
#include "lbcore/l4/l4_load.h"
#include "routerd/core/text.h"
#include "vrrpd/fence_load.h"

enum verdict { OK, WARN, FAIL };

struct report {
	struct text out;
	bool json;
	unsigned count, warnings, failures;
};

static void
item(struct report *r, const char *name, enum verdict verdict, const char *detail)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };

	r->warnings += verdict == WARN;
	r->failures += verdict == FAIL;
	if (r->json) {
		text_printf(&r->out,
		    "%s\n  {\"item\": \"%s\", \"verdict\": \"%s\", \"detail\": ",
		    r->count > 0 ? "," : "", name, words[verdict]);
		text_json_string(&r->out, detail);
		text_puts(&r->out, "}");
	} else {
		text_printf(&r->out, "%-22s %-5s %s\n", name, words[verdict], detail);
	}
	r->count++;
}

static bool
read_line(const char *path, char *buf, int len)
{
	FILE *file = fopen(path, "re");
	bool read = file != NULL && fgets(buf, len, file) != NULL;

	if (file != NULL)
		fclose(file);
	if (read)
		buf[strcspn(buf, "\n")] = '\0';
	return read;
}

static void
check_users(struct report *r)
{
	static const char *const users[] = { "tandem-vrrpd", "tandem-syncd",
		"tandem-lbd", "tandem-checkd", "tandem-mgmtd", "tandem-hookd" };
	char missing[160] = "";

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		size_t used = strlen(missing);

		if (getpwnam(users[i]) == NULL)
			snprintf(
			    missing + used, sizeof(missing) - used, " %s", users[i]);
	}
	item(r, "users", missing[0] == '\0' ? OK : FAIL,
	    missing[0] == '\0' ? "one for every process" : missing + 1);
	item(r, "group tandem", getgrnam("tandem") != NULL ? OK : WARN,
	    getgrnam("tandem") != NULL ? "may use tandemctl"
				       : "missing: only root may use tandemctl");
}

static void
check_conntrack(struct report *r)
{
	char value[64];

	if (!read_line(
		"/proc/sys/net/netfilter/nf_conntrack_max", value, sizeof(value))) {
		item(r, "conntrack", FAIL, "nf_conntrack is not loaded");
		return;
	}
	item(r, "conntrack", OK, "present");
	item(r, "conntrack events",
	    access("/proc/sys/net/netfilter/nf_conntrack_events", F_OK) == 0 ? OK
									     : FAIL,
	    "CONFIG_NF_CONNTRACK_EVENTS");
	item(r, "conntrack timestamps",
	    access("/proc/sys/net/netfilter/nf_conntrack_timestamp", F_OK) == 0 ? OK
										: WARN,
	    "CONFIG_NF_CONNTRACK_TIMESTAMP");
}

static void
check_sockets(struct report *r)
{
	int netfilter = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	item(r, "netfilter netlink", netfilter >= 0 ? OK : FAIL,
	    netfilter >= 0 ? "present" : strerror(errno));
	item(r, "packet socket", packet >= 0 ? OK : FAIL,
	    packet >= 0 ? "present" : strerror(errno));
	if (netfilter >= 0)
		close(netfilter);
	if (packet >= 0)
		close(packet);
}

static void
check_bpf(struct report *r)
{
	struct fence_fds fence;
	struct l4_fds l4;
	int error;

	if (geteuid() != 0) {
		item(r, "fence program", WARN, "not tried: needs root");
		item(r, "balancer program", WARN, "not tried: needs root");
		return;
	}
	fence_fds_init(&fence);
	l4_fds_init(&l4);
	error = fence_load(&fence);
	item(r, "fence program", error == 0 ? OK : FAIL,
	    error == 0 ? "the kernel takes it" : strerror(-error));
	error = l4_load(&l4);
	item(r, "balancer program", error == 0 ? OK : WARN,
	    error == 0 ? "the kernel takes it" : strerror(-error));
	fence_fds_close(&fence);
	l4_fds_close(&l4);
}

static void
check_realtime(struct report *r)
{
	const struct sched_param fifo = { .sched_priority = 1 };
	const struct sched_param other = { .sched_priority = 0 };
	struct rlimit lock;
	bool granted = sched_setscheduler(0, SCHED_FIFO, &fifo) == 0;

	item(r, "SCHED_FIFO", granted ? OK : WARN,
	    granted ? "granted" : strerror(errno));
	if (granted)
		sched_setscheduler(0, SCHED_OTHER, &other);
	getrlimit(RLIMIT_MEMLOCK, &lock);
	item(r, "memory lock", OK,
	    lock.rlim_max == RLIM_INFINITY ? "unlimited"
					   : "limited: vrrpd gets CAP_IPC_LOCK");
}

static void
check_clock(struct report *r)
{
	char line[128];
	long long seconds = 0, nanoseconds = 0;
	bool offset = false;
	FILE *file = fopen("/proc/self/timens_offsets", "re");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "boottime %lld %lld", &seconds, &nanoseconds) == 2)
			offset = seconds != 0 || nanoseconds != 0;
	if (file != NULL)
		fclose(file);
	item(r, "boot clock", offset ? FAIL : OK,
	    offset ? "a time namespace shifts it: the fence cannot work"
		   : "not shifted");
}

static void
check_key(struct report *r, const char *instance)
{
	char path[160], detail[240];
	struct stat st;

	snprintf(path, sizeof(path), TANDEM_STATEDIR "/%s/secret.key", instance);
	if (stat(path, &st) < 0) {
		snprintf(detail, sizeof(detail), "%s: %s", path, strerror(errno));
		item(r, "secret key", FAIL, detail);
	} else {
		bool safe = st.st_uid == 0 && (st.st_mode & 077) == 0;

		snprintf(detail, sizeof(detail), "%s%s", path,
		    safe ? "" : ": must belong to root with mode 0600");
		item(r, "secret key", safe ? OK : FAIL, detail);
	}
}

int
local_check_system(const struct command *command)
{
	struct report r = { .json = command->json };
	struct utsname uts;
	bool curve = zmq_has("curve") != 0;

	log_init("tandemctl", "check", LOG_TO_STDERR);
	log_set_level(LOG_LV_ERR);
	if (r.json)
		text_puts(&r.out, "{\"items\": [");
	if (uname(&uts) == 0)
		item(&r, "kernel", OK, uts.release);
	check_users(&r);
	check_conntrack(&r);
	check_sockets(&r);
	check_bpf(&r);
	check_realtime(&r);
	check_clock(&r);
	item(&r, "CURVE", curve ? OK : FAIL,
	    curve ? "libzmq has it" : "libzmq was built without");
	if (command->instance != NULL)
		check_key(&r, command->instance);
	if (r.json)
		text_printf(&r.out, "\n], \"warnings\": %u, \"failures\": %u}\n",
		    r.warnings, r.failures);
	else
		text_printf(&r.out, "%u items, %u warnings, %u failures\n", r.count,
		    r.warnings, r.failures);
	fputs(r.out.bytes != NULL ? r.out.bytes : "", stdout);
	text_free(&r.out);
	return r.failures == 0 ? CTL_OK : CTL_FAILED;
}
