/*
 * section.h - which samples belong to which question: tandemctl vrrp, sync, lb, nat and
 * the JSON pages of the same names.
 */
#ifndef TANDEM_ROUTERD_SECTION_H
#define TANDEM_ROUTERD_SECTION_H

#include "routerd/core/pivot.h"

struct section {
	const char *name;   /* "vrrp" */
	const char *prefix; /* left out in columns: "tandem_vrrp_" */
	pivot_filter *filter;
	const char *list; /* what to ask for in more detail (CONTROL_CMD_LIST); NULL */
};

/* NULL if there is no such section. */
const struct section *section_find(const char *name);

#endif
