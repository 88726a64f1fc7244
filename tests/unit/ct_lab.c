#include "ct_lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

const char *
ct_lab_missing(void)
{
	if (geteuid() != 0)
		return "needs root for network namespaces";
	if (system("command -v nft >/dev/null && command -v ip >/dev/null") != 0)
		return "needs the nft and ip commands";
	if (access("/proc/sys/net/netfilter/nf_conntrack_max", R_OK) != 0)
		return "this kernel has no conntrack";
	return NULL;
}

int
ct_lab_new(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), netns;

	assert_true(home >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	/* Without close-on-exec: commands refer to it as /proc/self/fd/N. */
	netns = open("/proc/self/ns/net", O_RDONLY);
	assert_true(netns >= 0);
	assert_int_equal(system("ip link set lo up"), 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return netns;
}

void
ct_lab_enter(int netns)
{
	assert_int_equal(setns(netns, CLONE_NEWNET), 0);
}

void
ct_lab_run(int netns, const char *format, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	ct_lab_enter(netns);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

void
ct_lab_wire(int netns_a, const char *a, int netns_b, const char *b)
{
	ct_lab_run(netns_a,
	    "ip link add %s type veth peer name %s netns /proc/self/fd/%d", a, b,
	    netns_b);
	ct_lab_run(netns_a, "ip link set %s up", a);
	ct_lab_run(netns_b, "ip link set %s up", b);
}

void
ct_lab_move(int from, const char *ifname, int to)
{
	ct_lab_run(from, "ip link set %s netns /proc/self/fd/%d", ifname, to);
}

uint8_t
ct_lab_addr(const char *text, uint8_t bytes[16])
{
	uint8_t family = strchr(text, ':') != NULL ? TD_AF_INET6 : TD_AF_INET;

	memset(bytes, 0, 16);
	assert_int_equal(
	    inet_pton(family == TD_AF_INET6 ? AF_INET6 : AF_INET, text, bytes), 1);
	return family;
}
