/*
 * rtnl.h - rtnetlink requests in batches.
 *
 * The kernel carries a request out inside send(): when rtnl_commit returns, everything
 * has happened, and what was refused is known by index. Successes are not acknowledged
 * one by one; a batch of 250 addresses costs one send and one receive.
 *
 * Memory   a batch is a fixed buffer of the caller; what does not fit is sent on the
 * way. Errors   negative errno.
 */
#ifndef TANDEM_VRRPD_RTNL_H
#define TANDEM_VRRPD_RTNL_H

#include <stddef.h>
#include <stdint.h>
#include <linux/netlink.h>

#define RTNL_BATCH_BYTES 65536
#define RTNL_MESSAGE_MAX 512 /* bytes of one request of ours */

struct rtnl {
	int fd;
	uint32_t seq;
};

typedef void rtnl_refused(void *context, unsigned index, int error);

struct rtnl_batch {
	struct rtnl *rtnl;
	rtnl_refused
	    *refused; /* for each refused message, counted from 0; may be NULL */
	void *context;
	unsigned count; /* messages begun */
	unsigned failures;
	int first_error; /* of the kernel; 0 = none */
	uint32_t first_seq;
	size_t used;           /* complete messages */
	struct nlmsghdr *open; /* begun after them; NULL = none */
	uint8_t bytes[RTNL_BATCH_BYTES];
};

int rtnl_open(struct rtnl *rtnl);
void rtnl_close(struct rtnl *rtnl);

void rtnl_batch_init(
    struct rtnl_batch *batch, struct rtnl *rtnl, rtnl_refused *refused, void *context);
/* Starts the next message; the previous one is complete. Attributes are then put with
 * mnl_attr_put*, at most RTNL_MESSAGE_MAX bytes. */
struct nlmsghdr *rtnl_begin(struct rtnl_batch *batch, uint16_t type, uint16_t flags);
/* Carries out what was begun. The first failure to talk to the kernel, else 0: refusals
 * are in first_error and failures. */
int rtnl_commit(struct rtnl_batch *batch);

/* One request with an answer (NLM_F_DUMP in its flags: all of them). `each` is called
 * with every message and must not use the same rtnl; a dump that changed meanwhile is
 * run again, so `each` may see a thing twice. */
typedef void rtnl_each(void *context, const struct nlmsghdr *message);
int rtnl_query(
    struct rtnl *rtnl, struct nlmsghdr *request, rtnl_each *each, void *context);

#endif
