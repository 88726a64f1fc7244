#include "common/config_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Says what is wrong; false, so that a check can return it. */
__attribute__((format(printf, 3, 4))) static bool
complain(struct config_complaint *ret, const char *reason, const char *key, ...)
{
	va_list ap;

	va_start(ap, key);
	vsnprintf(ret->key, sizeof(ret->key), key, ap);
	va_end(ap);
	snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
	return false;
}

bool
config_check(const struct td_config *config, struct config_complaint *ret_complaint)
{
	for (uint32_t i = 0; i < config->network_count; i++)
		if (config->networks[i].interface >= config->interface_count)
			return complain(ret_complaint, "no such interface",
			    "networks[%u].interface", i);
	if (config->self >= TD_NODES)
		return complain(ret_complaint, "no such node", "nodes");
	return true;
}
