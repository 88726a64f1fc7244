#include "syncd/ct_sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY "/proc/sys/net/netfilter/"

static const char *const names[CT_SET_COUNT] = {
	[CT_SET_EVENTS] = "nf_conntrack_events",
	[CT_SET_ACCT] = "nf_conntrack_acct",
	[CT_SET_TIMESTAMP] = "nf_conntrack_timestamp",
	[CT_SET_MAX] = "nf_conntrack_max",
	[CT_SET_BUCKETS] = "nf_conntrack_buckets",
	[CT_SET_TCP_LOOSE] = "nf_conntrack_tcp_loose",
};

const char *
ct_setting_name(enum ct_setting setting)
{
	return names[setting];
}

static int
open_setting(const char *name, int flags)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), DIRECTORY "%s", name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int64_t
read_setting(const char *name)
{
	char text[32];
	ssize_t n;
	int fd = open_setting(name, O_RDONLY);
	int error;

	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	error = errno;
	close(fd);
	if (n <= 0)
		return n < 0 ? -error : -ENODATA;
	text[n] = '\0';
	return strtoll(text, NULL, 10);
}

static int
write_setting(const char *name, int64_t value)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%lld\n", (long long)value);
	int fd = open_setting(name, O_WRONLY);
	int result = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, (size_t)len) != len)
		result = -errno;
	close(fd);
	return result;
}

static void
refresh_one(struct ct_sysctl *state, enum ct_setting setting)
{
	int64_t value = read_setting(names[setting]);

	state->settings[setting].effective = value < 0 ? -1 : value;
}

static void
make(struct ct_sysctl *state, enum ct_setting setting, int64_t wanted)
{
	struct ct_setting_state *s = &state->settings[setting];

	s->wanted = wanted;
	s->error = 0;
	refresh_one(state, setting);
	if (s->effective == wanted)
		return;
	s->error = write_setting(names[setting], wanted);
	refresh_one(state, setting);
}

static void
raise_to(struct ct_sysctl *state, enum ct_setting setting, int64_t wanted)
{
	struct ct_setting_state *s = &state->settings[setting];

	refresh_one(state, setting);
	s->wanted = wanted;
	s->error = 0;
	if (s->effective >= wanted)
		return;
	make(state, setting, wanted);
}

void
ct_sysctl_apply(uint32_t flows_max, struct ct_sysctl *ret_state)
{
	struct ct_sysctl state;

	for (unsigned i = 0; i < CT_SET_COUNT; i++)
		state.settings[i] = (struct ct_setting_state){ .wanted = -1 };
	make(&state, CT_SET_EVENTS, 1);
	make(&state, CT_SET_ACCT, 1);
	make(&state, CT_SET_TIMESTAMP, 1);
	if (flows_max != 0) {
		raise_to(&state, CT_SET_MAX, flows_max);
		/* One entry hangs in two chains: as many buckets as entries keeps the
		 * chains at two on average. */
		raise_to(&state, CT_SET_BUCKETS, flows_max);
	}
	ct_sysctl_refresh(&state);
	*ret_state = state;
}

void
ct_sysctl_refresh(struct ct_sysctl *state)
{
	for (unsigned i = 0; i < CT_SET_COUNT; i++)
		refresh_one(state, (enum ct_setting)i);
}

void
ct_sysctl_set_tcp_loose(struct ct_sysctl *state, bool loose)
{
	make(state, CT_SET_TCP_LOOSE, loose);
}

int64_t
ct_sysctl_count(void)
{
	return read_setting("nf_conntrack_count");
}
