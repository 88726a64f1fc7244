/* link_internal.h - what the link_*.c files share. */
#ifndef TANDEM_VRRPD_LINK_INTERNAL_H
#define TANDEM_VRRPD_LINK_INTERNAL_H

#include "vrrpd/link.h"

#include <linux/rtnetlink.h>
#include <tandem/instant.h>
#include "common/loop.h"
#include "vrrpd/rtnl.h"
#include "vrrpd/sysctl.h"

#define LINK_TAG 112 /* IFA_PROTO and route protocol: the number of VRRP */
#define LINK_MAC_BYTES 6
#define LINK_ALIAS_PREFIX "tandem:"

/* An own copy of what the configuration wants of a member. */
struct link_wanted {
	struct td_prefix *addresses; /* owned; a made link-local one first */
	unsigned address_count;
	struct td_route *routes; /* owned */
	unsigned route_count;
};

struct link_member {
	struct link *link;
	struct link_member *next;
	void *context;
	char name[TD_IFNAME_MAX]; /* of the parent, in the configuration */
	uint8_t vrid, family;     /* link_family */
	bool virtual_mac;
	uint8_t mac[LINK_MAC_BYTES];
	struct link_wanted wanted;
	struct link_facts facts;
	struct td_addr own_global6; /* of the parent; family 0 = none */
	bool restored;              /* link_member_restore was called */
	/* Putting in place what is wanted, in slices (link_batch.c). */
	bool applying, repairing;
	unsigned apply_next; /* index of the next address or, behind them, route */
	unsigned repaired_count;
	bool repair_wanted;      /* something was removed: look again */
	struct loop_timer timer; /* next slice, or next repair */
};

struct link {
	struct loop *loop;
	char cluster[TD_NAME_MAX], instance[TD_NAME_MAX];
	struct link_callbacks callbacks;
	void *context;
	struct rtnl rtnl;
	int monitor; /* netlink socket with our groups */
	struct loop_fd monitor_lf;
	struct sysctl_store *sysctls;
	struct link_member *members;
	struct rtnl_batch batch;
	char error[LINK_ERROR_MAX];
};

/* Sets link_error and returns `error`. */
int link_fail(struct link *link, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* link_batch.c: messages */
int link_wanted_copy(struct link_wanted *wanted, const struct td_interface *interface,
    const uint8_t mac[LINK_MAC_BYTES]);
void link_wanted_free(struct link_wanted *wanted);
void link_put_address(struct rtnl_batch *batch, uint16_t type, uint16_t flags,
    uint32_t ifindex, const struct td_prefix *prefix);
void link_put_route(struct rtnl_batch *batch, uint16_t type, uint16_t flags,
    const struct link_member *member, const struct td_route *route);
/* Puts what is wanted in place, from the first on: what a slice of time has no room for
 * follows from the member's timer. A repair tells of everything that was missing. */
int link_apply(struct link_member *member, bool repair);
void link_apply_cancel(struct link_member *member);
void link_apply_timer(struct loop_timer *timer);
int link_withdraw(struct link_member *member, const struct link_wanted *what);

/* link_monitor.c: events */
int link_monitor_open(struct link *link);
void link_monitor_close(struct link *link);

/* link_device.c */
void link_put_delete(struct rtnl_batch *batch, uint32_t ifindex);
int link_device_up(struct link_member *member);

/* link_read.c */
struct link_seen {
	uint32_t ifindex, parent_ifindex;
	char name[TD_IFNAME_MAX];
	char alias[96];
	uint8_t mac[LINK_MAC_BYTES];
	uint32_t mtu, flags;
	bool is_macvlan;
	uint32_t macvlan_mode;
};
void link_parse(const struct nlmsghdr *message, struct link_seen *ret_seen);
int link_read(
    struct link *link, const char *name, uint32_t ifindex, struct link_seen *ret_seen);
int link_dump_addresses(struct link *link, rtnl_each *each, void *context);
void link_take_parent(struct link_member *member, const struct link_seen *seen);
int link_read_own_addresses(struct link_member *member);
bool link_is_virtual(const struct link_member *member, const struct td_addr *addr);
struct link_address {
	uint32_t ifindex;
	struct td_prefix prefix;
	uint8_t tag;
};
bool link_parse_address(
    const struct nlmsghdr *message, struct link_address *ret_address);

#endif
