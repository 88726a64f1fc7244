#include "routerd/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <tandem/instant.h>
#include "common/log.h"

void
notify_init(struct notify *n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len;

	*n = (struct notify){ .fd = -1 };
	if (usec != NULL && (pid == NULL || atol(pid) == (long)getpid()))
		n->watchdog_ns = strtoll(usec, NULL, 10) * NS_PER_US;
	if (path != NULL && (path[0] == '/' || path[0] == '@') &&
	    (len = strlen(path)) < sizeof(addr.sun_path)) {
		memcpy(addr.sun_path, path, len);
		if (path[0] == '@')
			addr.sun_path[0] = '\0';
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (n->fd >= 0 &&
		    connect(n->fd, (struct sockaddr *)&addr,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) <
			0) {
			log_warn("notify", "socket=%s error=%s", path, strerror(errno));
			close(n->fd);
			n->fd = -1;
		}
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void
notify_send(const struct notify *n, const char *format, ...)
{
	char text[512];
	va_list args;
	int len;

	if (n->fd < 0)
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len > 0 && send(n->fd, text,
			   (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1,
			   MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_limited(LOG_LV_WARN, "notify", 1, "error=%s", strerror(errno));
}

void
notify_reloading(const struct notify *n)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}
