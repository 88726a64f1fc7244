#include "routerd/core/section.h"

#include <string.h>

static bool
starts(const struct sample *s, const char *prefix)
{
	return strncmp(s->name, prefix, strlen(prefix)) == 0;
}

static bool
is_vrrp(const struct sample *s)
{
	return (s->room == TD_ROOM_VRRPD || s->room == TD_ROOM_HOOKD) &&
	       !starts(s, "tandem_room_");
}

static bool
is_sync(const struct sample *s)
{
	return s->room == TD_ROOM_SYNCD && !starts(s, "tandem_room_");
}

static bool
is_nat(const struct sample *s)
{
	return s->room == TD_ROOM_LBD && starts(s, "tandem_nat_");
}

static bool
is_lb(const struct sample *s)
{
	return (s->room == TD_ROOM_LBD || s->room == TD_ROOM_CHECKD) &&
	       !starts(s, "tandem_room_") && !is_nat(s);
}

static const struct section sections[] = {
	{ "vrrp", "tandem_vrrp_", is_vrrp, NULL },
	{ "sync", "tandem_sync_", is_sync, NULL },
	{ "lb", "tandem_lb_", is_lb, "lb" },
	{ "nat", "tandem_nat_", is_nat, "nat" },
};

const struct section *
section_find(const char *name)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (strcmp(sections[i].name, name) == 0)
			return &sections[i];
	return NULL;
}
