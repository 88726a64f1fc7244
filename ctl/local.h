/*
 * local.h - what tandemctl does without a running instance. Each returns an exit code
 * and has printed its result.
 */
#ifndef TANDEM_CTL_LOCAL_H
#define TANDEM_CTL_LOCAL_H

#include "ctl/command.h"

int local_check_config(const struct command *command);
int local_check_system(const struct command *command);
int local_keygen(const struct command *command);

/* Reads and validates FILE; its text is the caller's. */
int local_read_config(const struct command *command, char **ret_text);

#endif
