/*
 * link.h - virtual MAC devices, virtual addresses and routes of the members.
 *
 * Source   rtnetlink; the sysctl recipe for two devices on one wire is in
 * docs/fence.md. Device   one private macvlan per member with virtual_mac,
 * "td<VRID>-<parent>" (longer names: the parent's ifindex instead), MAC
 * 00:00:5e:00:01:VRID, alias "tandem:INSTANCE:PARENT"; a member with IPv6 addresses
 * alone has "td<VRID>v6-<parent>" and 00:00:5e:00:02:VRID. It is up as long as the
 * instance lives and has addresses only while Active. Without virtual_mac the parent
 * carries them. Several members may share a parent, each with addresses of its own.
 * Tags     addresses IFA_PROTO 112, routes protocol 112: what an earlier life left
 * behind is known by them and by the alias. Time     requests are carried out by the
 * kernel inside the call, in one batch per member (docs/fence.md has the figures);
 * nothing waits for the network. Memory   link owns its members; the td_interface given
 * to link_member_open is borrowed until link_member_close. Errors   negative errno;
 * link_error() then names the object: "td51-wan0: address 203.0.113.10/24: Operation
 * not permitted". Rights   CAP_NET_ADMIN.
 */
#ifndef TANDEM_VRRPD_LINK_H
#define TANDEM_VRRPD_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/addr.h>
#include <tandem/config.h>

struct loop;
struct link;
struct link_member;

#define LINK_ERROR_MAX 160

/* What is known of a member, kept current by events. Read only. */
struct link_facts {
	char parent_name[TD_IFNAME_MAX]; /* follows a rename */
	char device_name[TD_IFNAME_MAX]; /* macvlan, or the parent */
	uint32_t parent_ifindex;         /* 0 = gone */
	uint32_t device_ifindex;         /* macvlan, or the parent; 0 = gone */
	uint8_t virtual_mac[6];          /* the parent's without virtual_mac */
	uint8_t own_mac[6];              /* of the parent */
	bool carrier;                    /* parent up and running */
	uint32_t mtu;
	struct td_addr
	    own_address4; /* first on the parent that is not virtual; may be */
	struct td_addr own_address6; /* absent. 6: link-local */
	bool promoted;               /* addresses should be there */
};

/* All are called from the loop, never from inside a link_ function. They may call link_
 * functions, but not close a member. */
struct link_callbacks {
	void (*carrier)(void *context, struct link_member *member, bool up);
	/* The parent (or the macvlan) was deleted: facts say ifindex 0. */
	void (*gone)(void *context, struct link_member *member);
	/* The parent, or an interface of its name, is there again: the fence must be
	 * attached to facts.parent_ifindex; then call link_member_restore. */
	void (*back)(void *context, struct link_member *member);
	/* The parent's MAC, name or own address changed. */
	void (*changed)(void *context, struct link_member *member);
	/* Somebody removed one of our addresses or routes while promoted. It has been
	 * put back already, at most once per 10 ms and member; announce it again. addr
	 * is NULL for a route. */
	void (*repaired)(
	    void *context, struct link_member *member, const struct td_addr *addr);
	/* A qdisc or filter changed on a member's parent: fence_check. */
	void (*tc_changed)(void *context, struct link_member *member);
};

/* Any callback may be NULL. `state_dir` (borrowed) is where sysctl values found at
 * start are saved for their return at the end; -1 = they are kept in memory only. */
int link_new(struct loop *loop, const char *cluster, const char *instance,
    int state_dir, const struct link_callbacks *callbacks, void *context,
    struct link **ret_link);
/* Closes all members; what was changed in the parents' sysctls is put back. */
void link_free(struct link *link);

/* Removes what an earlier life of this instance left: virtual addresses and routes by
 * tag, macvlans of our alias that no member in `interfaces` wants. Call before
 * member_open, with the fence attached and closed. */
int link_reconcile(
    struct link *link, const struct td_interface *interfaces, unsigned count);

/* Looks the parent up without changing anything: facts are filled, so that the fence
 * can be set up and attached before the virtual MAC exists. A missing parent is no
 * error: facts have ifindex 0 and `back` comes when it appears. */
int link_member_open(struct link *link, const struct td_interface *interface,
    void *context, struct link_member **ret_member);
/* Creates or adopts the macvlan, sets the sysctls, brings it up. */
int link_member_restore(struct link_member *member);
/* Removes addresses, routes and the macvlan. */
void link_member_close(struct link_member *member);

const struct link_facts *link_facts(const struct link_member *member);
void *link_member_context(const struct link_member *member);
/* Every address this member has while Active: the configured ones, and for IPv6 without
 * a configured link-local one, first of all the link-local address made from the
 * virtual router's MAC (not with adverts: none and without virtual_mac). These are the
 * addresses for the fence and for announcements. */
const struct td_prefix *link_addresses(
    const struct link_member *member, unsigned *ret_count);

/* One batch: addresses (no DAD), then routes. What the kernel refuses is counted, the
 * rest goes on; the first error is returned. Both may be called again: promote then
 * puts back what is missing. */
int link_promote(struct link_member *member);
int link_demote(struct link_member *member);

/* The configuration of this member changed (same name): applies the difference in
 * addresses and routes. `interface` replaces the borrowed one. The fence comes first:
 * addresses that are new must be in it. Changes of vrid, virtual_mac or link_family
 * need close and open: -EINVAL. */
int link_member_update(
    struct link_member *member, const struct td_interface *interface);

/* Whose virtual router it is: TD_AF_INET6 if all addresses are, else TD_AF_INET. */
uint8_t link_family(const struct td_interface *interface);

/* The virtual MAC of a member: 00:00:5e:00:01:VRID (-02- for link_family IPv6), or for
 * VRID 0 (adverts: none) a locally administered one from the cluster's and the
 * interface's name, equal on both nodes. */
void link_virtual_mac(
    const char *cluster, const struct td_interface *interface, uint8_t ret_mac[6]);

const char *link_error(const struct link *link); /* of the last failed call */

#endif
