/* A ctnetlink message: whatever decodes must encode, and decode to the same flow. */
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include "syncd/core/flow.h"
#include "syncd/ct_filter.h"
#include "syncd/ct_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ct_filter filter;
	_Alignas(8) uint8_t buf[CT_MESSAGE_MAX];
	struct flow_record flow, again;
	struct ct_facts facts;
	struct nlmsghdr *nlh;
	enum ct_drop drop;

	if (size < sizeof(*nlh))
		return 0;
	nlh = malloc(size);
	td_assert(nlh != NULL);
	memcpy(nlh, data, size);
	nlh->nlmsg_len = (uint32_t)size;
	drop = ct_decode(nlh, &flow, &facts);
	free(nlh);
	if (drop != CT_OK)
		return 0;
	ct_filter_skips(&filter, &flow.key);
	ct_encode_update(buf, 1, &flow, 1);
	ct_encode_get(buf, 1, &flow.key);
	ct_encode_create(buf, 1, &flow, flow.timeout_s);
	td_assert(ct_decode((struct nlmsghdr *)buf, &again, &facts) == CT_OK);
	td_assert(flow_key_equal(&again.key, &flow.key));
	td_assert(again.mark == flow.mark && again.timeout_s == flow.timeout_s);
	if (flow.status & FLOW_STATUS_SEQ_ADJUST)
		td_assert(memcmp(again.seqadj, flow.seqadj, sizeof(flow.seqadj)) == 0);
	if (flow.key.protocol == FLOW_TCP && (flow.present & FLOW_HAS_TCP)) {
		td_assert(again.tcp_state == flow.tcp_state);
		td_assert(memcmp(again.tcp_wscale, flow.tcp_wscale, 2) == 0);
	}
	return 0;
}
