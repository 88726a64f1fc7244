/* l4_attach.c - see l4_attach.h */
#include "lbcore/l4/l4_attach.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>

#define PREFERENCE 2
#define HANDLE 1

/* libbpf repeats the kernel's "Exclusivity flag on" for a qdisc that exists already. */
static int
print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int
l4_attach(uint32_t ifindex, int prog_fd)
{
	LIBBPF_OPTS(
	    bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PREFERENCE,
	    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	libbpf_print_fn_t print = libbpf_set_print(print_nothing);
	int r = bpf_tc_hook_create(&hook);

	if (r == 0 || r == -EEXIST)
		r = bpf_tc_attach(&hook, &opts);
	libbpf_set_print(print);
	return r;
}

int
l4_detach(uint32_t ifindex)
{
	LIBBPF_OPTS(
	    bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PREFERENCE);
	libbpf_print_fn_t print = libbpf_set_print(print_nothing);
	int r = bpf_tc_detach(&hook, &opts);

	libbpf_set_print(print);
	return r == -ENOENT || r == -EINVAL || r == -ENODEV ? 0 : r;
}

int
l4_attached(uint32_t ifindex)
{
	LIBBPF_OPTS(
	    bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PREFERENCE);
	libbpf_print_fn_t print = libbpf_set_print(print_nothing);
	int r = bpf_tc_query(&hook, &opts);

	libbpf_set_print(print);
	return r == 0;
}
