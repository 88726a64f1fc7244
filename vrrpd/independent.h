/*
 * independent.h - mode: independent. Every member is a virtual router of its own, by
 * the letter of RFC 9568 (core/vrrp_fsm.h), against routers of any make.
 *
 * There is no witness and no common role: a member has its own lease of the fence, and
 * for the other rooms the node is Active while any member is. Internal to vrrpd.
 */
#ifndef TANDEM_VRRPD_INDEPENDENT_H
#define TANDEM_VRRPD_INDEPENDENT_H

#include "vrrpd/daemon.h"

/* router_timer of a member */
void independent_timer(struct loop_timer *timer);

/* All members are open: starts those that have a link. */
void independent_start(struct daemon *d);
void independent_stop(struct daemon *d);

void independent_advert(
    struct member *mb, const struct vrrp_advert *advert, const struct td_addr *source);
void independent_link(struct member *mb, bool up);
void independent_config(struct daemon *d, uint8_t old_priority);

/* What NODE_DO_ROLE says in node mode. */
void independent_role(const struct daemon *d, struct td_msg_role *ret_role);
/* The state of every router, to hookd. */
void independent_tell_routers(const struct daemon *d);

#endif
