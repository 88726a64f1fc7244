/*
 * config_check.h - what a configuration must hold beyond the types of its fields.
 *
 * Pure: a function of the configuration alone. The promise of include/tandem/config.h
 * (unique names, references in range, ranges in range) is what passed here.
 */
#ifndef TANDEM_COMMON_CONFIG_CHECK_H
#define TANDEM_COMMON_CONFIG_CHECK_H

#include <tandem/config.h>

/* The first thing that is wrong. */
struct config_complaint {
	char key[128]; /* a path such as interfaces[1].addresses[0] */
	char reason[256];
};

bool config_check(const struct td_config *config, struct config_complaint *ret_complaint);

/* Without the section: nothing is run. */
void config_hooks_default(struct td_hooks_config *ret_hooks);

/* Sets config->digest; false: no memory. */
bool td_config_digest(struct td_config *config);

#endif
