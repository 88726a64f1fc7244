/* apply.c - see apply.h */
#include "lbcore/nat/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <libnftnl/object.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "lbcore/nat/core/nat_ruleset.h"

#define ERROR_MAX 512
#define BUFFER_BYTES (1U << 16)
#define EVENT_BUFFER_BYTES (1 << 20)

struct nat_apply {
	struct nft_ctx *nft;
	struct mnl_socket *query;  /* requests */
	struct mnl_socket *events; /* announcements, non-blocking */
	uint32_t query_port, seq;
	char error[ERROR_MAX];
	char buffer[BUFFER_BYTES];
};

static struct mnl_socket *
netlink_open(unsigned int groups, int flags)
{
	struct mnl_socket *nl =
	    mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | flags);

	if (nl != NULL && mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
		int saved = errno;

		mnl_socket_close(nl);
		errno = saved;
		nl = NULL;
	}
	return nl;
}

int
nat_apply_new(struct nat_apply **ret_apply)
{
	struct nat_apply *apply = calloc(1, sizeof(*apply));
	int size = EVENT_BUFFER_BYTES, r;

	if (apply == NULL)
		return -ENOMEM;
	apply->seq = (uint32_t)time(NULL);
	apply->query = netlink_open(0, 0);
	apply->events = netlink_open(1U << (NFNLGRP_NFTABLES - 1), SOCK_NONBLOCK);
	if (apply->query == NULL || apply->events == NULL) {
		r = -errno;
		nat_apply_free(apply);
		return r;
	}
	apply->query_port = mnl_socket_get_portid(apply->query);
	/* Our own large transactions announce themselves too; what overflows counts as
	 * a change and is answered by looking. */
	setsockopt(mnl_socket_get_fd(apply->events), SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size));
	apply->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (apply->nft == NULL || nft_ctx_buffer_error(apply->nft) != 0 ||
	    nft_ctx_buffer_output(apply->nft) != 0) {
		nat_apply_free(apply);
		return -ENOMEM;
	}
	*ret_apply = apply;
	return 0;
}

void
nat_apply_free(struct nat_apply *apply)
{
	if (apply == NULL)
		return;
	if (apply->query != NULL)
		mnl_socket_close(apply->query);
	if (apply->events != NULL)
		mnl_socket_close(apply->events);
	if (apply->nft != NULL)
		nft_ctx_free(apply->nft);
	free(apply);
}

const char *
nat_apply_error(const struct nat_apply *apply)
{
	return apply->error;
}

/* Sends a request and hands every answer to `handle`. 0 or negative errno; -EINTR: the
 * ruleset changed during a dump. */
static int
query(
    struct nat_apply *apply, const struct nlmsghdr *nlh, mnl_cb_t handle, void *context)
{
	uint32_t seq = nlh->nlmsg_seq;
	ssize_t len;
	int r = 1;

	if (mnl_socket_sendto(apply->query, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r > 0) {
		len = mnl_socket_recvfrom(
		    apply->query, apply->buffer, sizeof(apply->buffer));
		if (len < 0)
			return -errno;
		r = mnl_cb_run(apply->buffer, (size_t)len, seq, apply->query_port,
		    handle, context);
	}
	if (r == 0)
		return 0;
	r = -errno;
	/* The rest of an interrupted dump is still to come: it must not answer the next
	 * request. */
	if (r == -EINTR) {
		struct mnl_socket *fresh = netlink_open(0, 0);

		if (fresh == NULL)
			return -errno;
		mnl_socket_close(apply->query);
		apply->query = fresh;
		apply->query_port = mnl_socket_get_portid(fresh);
	}
	return r;
}

static int
comment_attribute(const struct nftnl_udata *attr, void *context)
{
	char *comment = context;

	if (nftnl_udata_type(attr) == NFTNL_UDATA_TABLE_COMMENT) {
		size_t len = nftnl_udata_len(attr);

		if (len >= NAT_COMMENT_MAX)
			len = NAT_COMMENT_MAX - 1;
		memcpy(comment, nftnl_udata_get(attr), len);
		comment[len] = '\0';
	}
	return 0;
}

static int
table_comment(const struct nlmsghdr *nlh, void *context)
{
	struct nftnl_table *table = nftnl_table_alloc();
	const void *udata;
	uint32_t len;

	if (table == NULL)
		return MNL_CB_ERROR;
	if (nftnl_table_nlmsg_parse(nlh, table) == 0) {
		udata = nftnl_table_get_data(table, NFTNL_TABLE_USERDATA, &len);
		if (udata != NULL)
			nftnl_udata_parse(udata, len, comment_attribute, context);
	}
	nftnl_table_free(table);
	return MNL_CB_OK;
}

/* The comment of the table in the kernel; empty if there is none. */
static int
comment_read(struct nat_apply *apply, char ret_comment[NAT_COMMENT_MAX])
{
	char request[512];
	struct nftnl_table *table = nftnl_table_alloc();
	struct nlmsghdr *nlh;
	int r;

	ret_comment[0] = '\0';
	if (table == NULL)
		return -ENOMEM;
	nlh = nftnl_nlmsg_build_hdr(
	    request, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK, ++apply->seq);
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, NAT_TABLE);
	nftnl_table_nlmsg_build_payload(nlh, table);
	nftnl_table_free(table);
	r = query(apply, nlh, table_comment, ret_comment);
	return r == -ENOENT ? 0 : r;
}

bool
nat_apply_carries(struct nat_apply *apply, const struct nat_ruleset *ruleset)
{
	char want[NAT_COMMENT_MAX], have[NAT_COMMENT_MAX];

	nat_ruleset_comment(ruleset->digest, want);
	return comment_read(apply, have) == 0 && strcmp(want, have) == 0;
}

int
nat_apply(struct nat_apply *apply, const struct nat_ruleset *ruleset, bool force,
    bool *ret_changed)
{
	char want[NAT_COMMENT_MAX], have[NAT_COMMENT_MAX];
	int r;

	nat_ruleset_comment(ruleset->digest, want);
	r = comment_read(apply, have);
	if (r < 0) {
		snprintf(apply->error, sizeof(apply->error),
		    "reading table inet %s: %s", NAT_TABLE, strerror(-r));
		return r;
	}
	if (!force && strcmp(want, have) == 0) {
		*ret_changed = false;
		return 0;
	}
	errno = 0;
	if (nft_run_cmd_from_buffer(apply->nft, ruleset->text) != 0) {
		const char *words = nft_ctx_get_error_buffer(apply->nft);

		r = errno != 0 ? -errno : -EINVAL;
		snprintf(apply->error, sizeof(apply->error), "%s",
		    words != NULL && *words != '\0' ? words : strerror(-r));
		apply->error[strcspn(apply->error, "\n")] = '\0';
		return r;
	}
	nft_ctx_get_output_buffer(apply->nft);
	/* What is announced up to here is our own doing. */
	nat_apply_drift(apply);
	r = comment_read(apply, have);
	if (r == 0 && strcmp(want, have) != 0) {
		snprintf(apply->error, sizeof(apply->error),
		    "table inet %s is not what was written", NAT_TABLE);
		r = -EAGAIN;
	}
	if (r == 0)
		*ret_changed = true;
	return r;
}

int
nat_apply_fd(const struct nat_apply *apply)
{
	return mnl_socket_get_fd(apply->events);
}

/* Every nf_tables message but the generation's names its table in attribute 1 and says
 * so in the family. */
static int
is_our_table(const struct nlmsghdr *nlh, void *context)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	bool *ours = context;

	if ((nlh->nlmsg_type & 0xff) == NFT_MSG_NEWGEN ||
	    nfg->nfgen_family != NFPROTO_INET)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*nfg))
	{
		if (mnl_attr_get_type(attr) == NFTA_TABLE_NAME &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
		    strcmp(mnl_attr_get_str(attr), NAT_TABLE) == 0)
			*ours = true;
	}
	return MNL_CB_OK;
}

bool
nat_apply_drift(struct nat_apply *apply)
{
	bool ours = false;

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(
		    apply->events, apply->buffer, sizeof(apply->buffer));

		if (len < 0 && errno == ENOBUFS) {
			ours = true;
			continue;
		}
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return ours;
		mnl_cb_run(apply->buffer, (size_t)len, 0, 0, is_our_table, &ours);
	}
}

static int
sysctl_one(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), r = 0;
	char value = '0';

	if (fd < 0)
		return -errno;
	if (read(fd, &value, 1) < 0 || (value != '1' && pwrite(fd, "1\n", 2, 0) < 0))
		r = -errno;
	close(fd);
	return r;
}

int
nat_forwarding_open(void)
{
	int r4 = sysctl_one("/proc/sys/net/ipv4/ip_forward");
	int r6 = sysctl_one("/proc/sys/net/ipv6/conf/all/forwarding");

	return r4 < 0 ? r4 : r6 == -ENOENT ? 0 : r6;
}

struct count_context {
	const struct nat_ruleset *ruleset;
	const uint32_t *order; /* indices of the counters, by name */
	struct nat_count *counts;
};

static int
counter_read(const struct nlmsghdr *nlh, void *context)
{
	struct count_context *c = context;
	struct nftnl_obj *object = nftnl_obj_alloc();
	const char *name;
	uint32_t low = 0, high = c->ruleset->counter_count;

	if (object == NULL)
		return MNL_CB_ERROR;
	if (nftnl_obj_nlmsg_parse(nlh, object) < 0)
		goto out;
	name = nftnl_obj_get_str(object, NFTNL_OBJ_NAME);
	while (name != NULL && low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint32_t i = c->order[middle];
		int order = strcmp(name, c->ruleset->counters[i].name);

		if (order == 0) {
			c->counts[i].packets =
			    nftnl_obj_get_u64(object, NFTNL_OBJ_CTR_PKTS);
			c->counts[i].bytes =
			    nftnl_obj_get_u64(object, NFTNL_OBJ_CTR_BYTES);
			break;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
out:
	nftnl_obj_free(object);
	return MNL_CB_OK;
}

static int
name_compare(const void *a, const void *b, void *context)
{
	const struct nat_ruleset *ruleset = context;

	return strcmp(ruleset->counters[*(const uint32_t *)a].name,
	    ruleset->counters[*(const uint32_t *)b].name);
}

int
nat_counts_read(struct nat_apply *apply, const struct nat_ruleset *ruleset,
    struct nat_count *ret_counts)
{
	char request[512];
	uint32_t *order = calloc(ruleset->counter_count + 1, sizeof(*order));
	struct nftnl_obj *object = nftnl_obj_alloc();
	struct count_context context = { ruleset, order, ret_counts };
	struct nlmsghdr *nlh;
	int r = -ENOMEM;

	if (order == NULL || object == NULL)
		goto out;
	for (uint32_t i = 0; i < ruleset->counter_count; i++)
		order[i] = i;
	qsort_r(order, ruleset->counter_count, sizeof(*order), name_compare,
	    (void *)(uintptr_t)ruleset);
	memset(ret_counts, 0, ruleset->counter_count * sizeof(*ret_counts));
	nlh = nftnl_nlmsg_build_hdr(
	    request, NFT_MSG_GETOBJ, NFPROTO_INET, NLM_F_DUMP, ++apply->seq);
	nftnl_obj_set_str(object, NFTNL_OBJ_TABLE, NAT_TABLE);
	nftnl_obj_set_u32(object, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_nlmsg_build_payload(nlh, object);
	r = query(apply, nlh, counter_read, &context);
out:
	if (object != NULL)
		nftnl_obj_free(object);
	free(order);
	return r;
}
