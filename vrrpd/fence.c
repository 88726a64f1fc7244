#include "vrrpd/fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/bpf.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tandem/assert.h>
#include "common/clock.h"
#include "common/log.h"

#define FENCE_PRIORITY 1 /* before every other filter of the device */

struct fence {
	struct fence_fds fds;          /* owned */
	struct td_fence_lease *lease;  /* mapped, TD_FENCE_LEASES */
	const uint64_t *last_frame_ns; /* mapped, TD_FENCE_MEMBERS */
	uint32_t handle;               /* tc handle, from the instance's name */
	uint32_t life;          /* of this vrrpd; the high bits of address entries */
	uint32_t program_id[2]; /* ingress, egress */
	int cpu_count;          /* values per counter */
	struct {
		uint32_t ifindex; /* 0 = free */
		bool current;     /* set by this life: */
		struct td_fence_member entry;
	} slot[TD_FENCE_MEMBERS];
};

static const char *const COUNTER_NAMES[TD_FENCE_COUNTERS] = {
	[TD_FENCE_IN_ARP] = "in_arp",
	[TD_FENCE_IN_ND] = "in_nd",
	[TD_FENCE_IN_IP] = "in_ip",
	[TD_FENCE_IN_MAC] = "in_mac",
	[TD_FENCE_OUT_ARP] = "out_arp",
	[TD_FENCE_OUT_ND] = "out_nd",
	[TD_FENCE_OUT_IP] = "out_ip",
	[TD_FENCE_OUT_MAC] = "out_mac",
	[TD_FENCE_DRAINED] = "drained",
};

/* What libbpf warns of is either expected (clsact exists) or returned as an errno. */
__attribute__((format(printf, 2, 0))) static int
silence_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* FNV-1a: two instances on one device need two handles. */
static uint32_t
instance_handle(const char *instance)
{
	uint32_t hash = 2166136261U;

	for (; *instance != '\0'; instance++)
		hash = (hash ^ (uint8_t)*instance) * 16777619U;
	return hash != 0 ? hash : 1;
}

/*
 * CLOCK_BOOTTIME of a time namespace can be shifted against the kernel's, which the
 * programs read: a lease would be born expired, or live for hours.
 */
static int
check_time_namespace(void)
{
	FILE *file = fopen("/proc/self/timens_offsets", "re");
	long long seconds, nanoseconds;
	char clock_name[32];
	int result = 0;

	if (file == NULL)
		return 0; /* this kernel has no time namespaces */
	while (fscanf(file, "%31s %lld %lld", clock_name, &seconds, &nanoseconds) == 3)
		if (strcmp(clock_name, "boottime") == 0 &&
		    (seconds != 0 || nanoseconds != 0))
			result = -ENOTSUP;
	fclose(file);
	return result;
}

static int
program_id(int fd, uint32_t *ret_id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret_id = info.id;
	return 0;
}

/* The members an earlier life left: they stay fenced until fence_prune. */
static int
read_members(struct fence *fence)
{
	int fd = fence->fds.fd[FENCE_FD_MEMBERS];
	struct td_fence_member member;
	uint32_t ifindex;
	const uint32_t *previous = NULL;

	while (bpf_map_get_next_key(fd, previous, &ifindex) == 0) {
		if (bpf_map_lookup_elem(fd, &ifindex, &member) == 0 &&
		    member.slot < TD_FENCE_MEMBERS)
			fence->slot[member.slot].ifindex = ifindex;
		previous = &ifindex;
	}
	return errno == ENOENT ? 0 : -errno;
}

static void
fence_unmap(struct fence *fence)
{
	if (fence->lease != NULL)
		munmap(fence->lease, TD_FENCE_LEASES * sizeof(*fence->lease));
	if (fence->last_frame_ns != NULL)
		munmap(
		    (void *)fence->last_frame_ns, TD_FENCE_MEMBERS * sizeof(uint64_t));
}

static int
fence_map(struct fence *fence)
{
	void *lease = mmap(NULL, TD_FENCE_LEASES * sizeof(*fence->lease),
	    PROT_READ | PROT_WRITE, MAP_SHARED, fence->fds.fd[FENCE_FD_LEASE], 0);
	void *rx;

	if (lease == MAP_FAILED)
		return -errno;
	fence->lease = lease;
	rx = mmap(NULL, TD_FENCE_MEMBERS * sizeof(uint64_t), PROT_READ, MAP_SHARED,
	    fence->fds.fd[FENCE_FD_RX], 0);
	if (rx == MAP_FAILED)
		return -errno;
	fence->last_frame_ns = rx;
	return 0;
}

int
fence_new(const struct fence_fds *fds, const char *instance, struct fence **ret_fence)
{
	struct fence *fence;
	int result;

	td_assert(fence_fds_complete(fds));
	result = check_time_namespace();
	if (result < 0)
		return result;
	fence = calloc(1, sizeof(*fence));
	if (fence == NULL)
		return -ENOMEM;
	libbpf_set_print(silence_libbpf);
	fence->fds = *fds;
	fence->handle = instance_handle(instance);
	/* Milliseconds since boot: no two lives begin in the same one. */
	fence->life = (uint32_t)(clock_now().ns / NS_PER_MS) << 8;
	fence->cpu_count = libbpf_num_possible_cpus();
	result = fence->cpu_count;
	if (result > 0)
		result = fence_map(fence);
	if (result == 0)
		result = program_id(fds->fd[FENCE_FD_INGRESS], &fence->program_id[0]);
	if (result == 0)
		result = program_id(fds->fd[FENCE_FD_EGRESS], &fence->program_id[1]);
	if (result == 0)
		result = read_members(fence);
	if (result < 0) {
		fence_unmap(fence);
		free(fence);
		return result;
	}
	*ret_fence = fence;
	return 0;
}

void
fence_free(struct fence *fence)
{
	if (fence == NULL)
		return;
	for (unsigned i = 0; i < TD_FENCE_LEASES; i++)
		fence_close(fence, i);
	fence_unmap(fence);
	fence_fds_close(&fence->fds);
	free(fence);
}

static int
slot_find(const struct fence *fence, uint32_t ifindex)
{
	for (int i = 0; i < TD_FENCE_MEMBERS; i++)
		if (fence->slot[i].ifindex == ifindex)
			return i;
	return -ENOENT;
}

static void
fill_entry(struct td_fence_member *entry, const struct fence_member *member)
{
	uint32_t flag = member->family == TD_AF_INET6 ? TD_FENCE_MAC6 : TD_FENCE_MAC4;

	memcpy(entry->own_mac, member->own_mac, 6);
	if (member->family != TD_AF_INET6)
		entry->lease4 = (uint8_t)member->lease;
	if (member->family != TD_AF_INET)
		entry->lease6 = (uint8_t)member->lease;
	entry->flags &= ~flag;
	if (!member->has_virtual_mac)
		return;
	entry->flags |= flag;
	memcpy(flag == TD_FENCE_MAC6 ? entry->virtual_mac6 : entry->virtual_mac4,
	    member->virtual_mac, 6);
}

int
fence_member_set(struct fence *fence, const struct fence_member *member)
{
	/* The first of two families speaks for the other until that one is set: a lease
	 * that nobody else renews. */
	struct td_fence_member entry = { .lease4 = (uint8_t)member->lease,
		.lease6 = (uint8_t)member->lease };
	int slot = slot_find(fence, member->ifindex);

	td_assert(member->ifindex != 0);
	td_assert(member->lease < TD_FENCE_LEASES);
	if (slot < 0) {
		uint32_t index;
		uint64_t never = 0;

		slot = slot_find(fence, 0);
		if (slot < 0)
			return -ENOSPC;
		index = (uint32_t)slot;
		/* The slot's last user may have heard something. */
		if (bpf_map_update_elem(
			fence->fds.fd[FENCE_FD_RX], &index, &never, BPF_ANY) < 0)
			return -errno;
	}
	if (fence->slot[slot].current)
		entry = fence->slot[slot].entry;
	entry.slot = (uint8_t)slot;
	fill_entry(&entry, member);
	if (bpf_map_update_elem(
		fence->fds.fd[FENCE_FD_MEMBERS], &member->ifindex, &entry, BPF_ANY) < 0)
		return -errno;
	fence->slot[slot].ifindex = member->ifindex;
	fence->slot[slot].current = true;
	fence->slot[slot].entry = entry;
	return 0;
}

int
fence_member_remove(struct fence *fence, uint32_t ifindex)
{
	int slot = slot_find(fence, ifindex);

	if (slot < 0)
		return 0;
	if (bpf_map_delete_elem(fence->fds.fd[FENCE_FD_MEMBERS], &ifindex) < 0 &&
	    errno != ENOENT)
		return -errno;
	fence->slot[slot].ifindex = 0;
	fence->slot[slot].current = false;
	return 0;
}

static struct td_fence_address
address_key(const struct td_addr *addr, uint32_t ifindex)
{
	struct td_fence_address key = { .family = addr->family };

	td_assert(addr->family != 0);
	memcpy(key.bytes, addr->bytes, sizeof(key.bytes));
	/* Only IPv6: 169.254/16 on two wires is not told apart by the kernel either. */
	if (addr->family == TD_AF_INET6 && td_addr_is_link_local(addr))
		key.ifindex = ifindex;
	return key;
}

int
fence_address_add(
    struct fence *fence, const struct td_addr *addr, uint32_t ifindex, unsigned lease)
{
	struct td_fence_address key = address_key(addr, ifindex);
	uint32_t value = fence->life | lease;

	td_assert(lease < TD_FENCE_LEASES);
	if (bpf_map_update_elem(
		fence->fds.fd[FENCE_FD_ADDRESSES], &key, &value, BPF_ANY) < 0)
		return errno == E2BIG ? -ENOSPC : -errno;
	return 0;
}

int
fence_address_remove(struct fence *fence, const struct td_addr *addr, uint32_t ifindex)
{
	struct td_fence_address key = address_key(addr, ifindex);

	if (bpf_map_delete_elem(fence->fds.fd[FENCE_FD_ADDRESSES], &key) < 0 &&
	    errno != ENOENT)
		return -errno;
	return 0;
}

/* Deleting while walking may restart the walk of a hash: so one key back, one deleted.
 */
static int
prune_addresses(struct fence *fence)
{
	int fd = fence->fds.fd[FENCE_FD_ADDRESSES];
	struct td_fence_address keys[2], *previous = NULL;
	unsigned at = 0;
	uint32_t value;

	while (bpf_map_get_next_key(fd, previous, &keys[at]) == 0) {
		if (bpf_map_lookup_elem(fd, &keys[at], &value) == 0 &&
		    (value & ~TD_FENCE_LEASE_MASK) != fence->life) {
			if (bpf_map_delete_elem(fd, &keys[at]) < 0 && errno != ENOENT)
				return -errno;
			continue;
		}
		previous = &keys[at];
		at ^= 1;
	}
	return errno == ENOENT ? 0 : -errno;
}

int
fence_prune(struct fence *fence)
{
	int result = prune_addresses(fence);

	for (unsigned i = 0; i < TD_FENCE_MEMBERS; i++) {
		uint32_t ifindex = fence->slot[i].ifindex;
		int r = 0;

		if (ifindex == 0 || fence->slot[i].current)
			continue;
		(void)fence_detach(
		    fence, ifindex); /* the device may be gone: no matter */
		r = fence_member_remove(fence, ifindex);
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

static int
attach_one(
    struct fence *fence, uint32_t ifindex, enum bpf_tc_attach_point point, int fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
	/* REPLACE creates, or changes the program of the filter that is there in one
	 * step. */
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = fence->handle,
	    .priority = FENCE_PRIORITY, .prog_fd = fd, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &options);
}

int
fence_attach(struct fence *fence, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
	    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int result;

	td_assert(slot_find(fence, ifindex) >= 0);
	result = bpf_tc_hook_create(&hook);
	if (result < 0 && result != -EEXIST)
		return result;
	result =
	    attach_one(fence, ifindex, BPF_TC_INGRESS, fence->fds.fd[FENCE_FD_INGRESS]);
	if (result == 0)
		result = attach_one(
		    fence, ifindex, BPF_TC_EGRESS, fence->fds.fd[FENCE_FD_EGRESS]);
	return result;
}

static int
detach_one(const struct fence *fence, uint32_t ifindex, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
	LIBBPF_OPTS(
	    bpf_tc_opts, options, .handle = fence->handle, .priority = FENCE_PRIORITY);

	return bpf_tc_detach(&hook, &options);
}

int
fence_detach(struct fence *fence, uint32_t ifindex)
{
	int in = detach_one(fence, ifindex, BPF_TC_INGRESS);
	int out = detach_one(fence, ifindex, BPF_TC_EGRESS);

	/* ENOENT: no filter; EINVAL: no clsact; ENODEV: no device. Nothing to detach.
	 */
	if (in == -ENOENT || in == -EINVAL || in == -ENODEV)
		in = 0;
	if (out == -ENOENT || out == -EINVAL || out == -ENODEV)
		out = 0;
	return in < 0 ? in : out;
}

static int
check_one(const struct fence *fence, uint32_t ifindex, enum bpf_tc_attach_point point,
    uint32_t expected_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
	LIBBPF_OPTS(
	    bpf_tc_opts, options, .handle = fence->handle, .priority = FENCE_PRIORITY);
	int result = bpf_tc_query(&hook, &options);

	if (result == -EINVAL || result == -ENODEV) /* no clsact, no device */
		return -ENOENT;
	if (result < 0)
		return result;
	return options.prog_id == expected_id ? 0 : -ESTALE;
}

int
fence_check(const struct fence *fence, uint32_t ifindex)
{
	int result = check_one(fence, ifindex, BPF_TC_INGRESS, fence->program_id[0]);

	if (result == 0)
		result = check_one(fence, ifindex, BPF_TC_EGRESS, fence->program_id[1]);
	return result;
}

void
fence_renew(struct fence *fence, unsigned lease, struct td_instant deadline)
{
	td_assert(lease < TD_FENCE_LEASES);
	td_assert(deadline.ns >= 0);
	__atomic_store_n(&fence->lease[lease].answer_deadline_ns, (uint64_t)deadline.ns,
	    __ATOMIC_RELEASE);
}

void
fence_drain(struct fence *fence, unsigned lease, struct td_instant forward_deadline)
{
	td_assert(lease < TD_FENCE_LEASES);
	td_assert(forward_deadline.ns >= 0);
	/* Transit must not be without a right in between. */
	__atomic_store_n(&fence->lease[lease].forward_deadline_ns,
	    (uint64_t)forward_deadline.ns, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fence->lease[lease].answer_deadline_ns, 0, __ATOMIC_SEQ_CST);
}

void
fence_close(struct fence *fence, unsigned lease)
{
	td_assert(lease < TD_FENCE_LEASES);
	__atomic_store_n(&fence->lease[lease].answer_deadline_ns, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&fence->lease[lease].forward_deadline_ns, 0, __ATOMIC_RELEASE);
}

struct td_instant
fence_answer_deadline(const struct fence *fence, unsigned lease)
{
	td_assert(lease < TD_FENCE_LEASES);
	return (struct td_instant){ (int64_t)__atomic_load_n(
	    &fence->lease[lease].answer_deadline_ns, __ATOMIC_ACQUIRE) };
}

struct td_instant
fence_forward_deadline(const struct fence *fence, unsigned lease)
{
	td_assert(lease < TD_FENCE_LEASES);
	return (struct td_instant){ (int64_t)__atomic_load_n(
	    &fence->lease[lease].forward_deadline_ns, __ATOMIC_ACQUIRE) };
}

bool
fence_is_open(const struct fence *fence, unsigned lease, struct td_instant now)
{
	return !instant_reached(now, fence_answer_deadline(fence, lease));
}

struct td_instant
fence_last_frame(const struct fence *fence, uint32_t ifindex)
{
	int slot = slot_find(fence, ifindex);

	if (slot < 0 || ifindex == 0)
		return (struct td_instant){ 0 };
	return (struct td_instant){ (int64_t)__atomic_load_n(
	    &fence->last_frame_ns[slot], __ATOMIC_RELAXED) };
}

int
fence_counters_read(const struct fence *fence, struct fence_counters *ret_counters)
{
	struct fence_counters counters = { 0 };
	uint64_t *per_cpu = calloc((size_t)fence->cpu_count, sizeof(*per_cpu));
	int result = 0;

	if (per_cpu == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < TD_FENCE_COUNTERS && result == 0; i++) {
		if (bpf_map_lookup_elem(fence->fds.fd[FENCE_FD_COUNTERS], &i, per_cpu) <
		    0)
			result = -errno;
		for (int cpu = 0; cpu < fence->cpu_count && result == 0; cpu++)
			counters.count[i] += per_cpu[cpu];
	}
	free(per_cpu);
	if (result == 0)
		*ret_counters = counters;
	return result;
}

const char *
fence_counter_name(enum td_fence_drop which)
{
	td_assert(which < TD_FENCE_COUNTERS);
	return COUNTER_NAMES[which];
}
