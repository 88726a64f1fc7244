/*
 * client.h - tandemctl's end of the control socket.
 *
 * Errors   negative errno; -ENOENT or -ECONNREFUSED: the instance does not run.
 */
#ifndef TANDEM_CTL_CLIENT_H
#define TANDEM_CTL_CLIENT_H

#include "routerd/control_wire.h"

int client_connect(const char *instance);

/* Sends one request and waits for the last reply; samples are added to the set (may be
 * NULL for none). ret_reply->text is the caller's. */
int client_call(int fd, enum control_command command, const char *text, bool alone,
    int64_t limit_ns, struct control_reply *ret_reply, struct sample_set *set);

/* The instance that is meant when none is named: the only one that runs. Negative
 * errno: -ENOENT none, -EEXIST several. */
int client_find_instance(char ret_name[32]);

#endif
