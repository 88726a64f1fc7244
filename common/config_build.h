/*
 * config_build.h - from values as they are written to struct td_config: texts become
 * addresses, durations and keys, names become indices, absent values their defaults.
 */
#ifndef TANDEM_COMMON_CONFIG_BUILD_H
#define TANDEM_COMMON_CONFIG_BUILD_H

#include "common/config_check.h"

struct yaml_config;

/* A new configuration, not yet checked; NULL with *ret_complaint filled. */
struct td_config *config_build(const struct yaml_config *yaml,
    struct config_complaint *ret_complaint);

#endif
