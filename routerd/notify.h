/*
 * notify.h - the service manager's notification protocol, sd_notify(3), spoken
 * directly.
 *
 * $NOTIFY_SOCKET names an AF_UNIX datagram socket (a leading @ means abstract); without
 * it every call does nothing. The variables are removed from the environment, so that
 * no child can speak for us.
 */
#ifndef TANDEM_ROUTERD_NOTIFY_H
#define TANDEM_ROUTERD_NOTIFY_H

#include <stdint.h>

struct notify {
	int fd;              /* -1 = nobody listens */
	int64_t watchdog_ns; /* 0 = no watchdog; else send WATCHDOG=1 twice as often */
};

void notify_init(struct notify *n);
/* "READY=1\nSTATUS=..." */
void notify_send(const struct notify *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* RELOADING=1 with the monotonic time that Type=notify-reload asks for. */
void notify_reloading(const struct notify *n);

#endif
