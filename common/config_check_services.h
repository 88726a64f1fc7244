/* config_check_services.h - between the parts of config_check: what all need. */
#ifndef TANDEM_COMMON_CONFIG_CHECK_SERVICES_H
#define TANDEM_COMMON_CONFIG_CHECK_SERVICES_H

#include "common/config_check.h"

struct check {
	const struct td_config *config;
	struct config_complaint *complaint;
	char path[64]; /* of what is looked at now */
};

/* Sets the path. */
void check_at(struct check *c, const char *path, ...) __attribute__((format(printf, 2, 3)));
/* Says what is wrong with `key` at the path ("" = the path itself); false. */
bool check_wrong(struct check *c, const char *key, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));

/* Each returns false after it has said what is wrong. */
bool check_name(struct check *c, const char *key, const char *name);
bool check_host(struct check *c, const char *key, const struct td_addr *addr);
/* The same of an address that a node has for itself: no virtual one. */
bool check_own(struct check *c, const char *key, const struct td_addr *addr);
bool check_range_ns(struct check *c, const char *key, int64_t ns, int64_t min_ns,
    int64_t max_ns);
bool check_range(struct check *c, const char *key, uint32_t value, uint32_t min,
    uint32_t max);

/* The interface that has this virtual address, or NULL. */
const struct td_interface *check_find_virtual(const struct td_config *config,
    const struct td_addr *addr);

bool check_interfaces(struct check *c);
/* Networks, public addresses, NAT, port forwarding and balancers. */
bool check_services(struct check *c);

#endif
