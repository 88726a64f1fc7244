#include "syncd/ct_socket.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

int
ct_socket_open(uint32_t *ret_portid)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	socklen_t addr_len = sizeof(addr);
	int one = 1, result;
	int fd = socket(
	    AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &addr_len) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one)) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	if (ret_portid != NULL)
		*ret_portid = addr.nl_pid;
	return fd;
}

int64_t
ct_socket_set_rcvbuf(int fd, uint32_t bytes)
{
	int wanted = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
	int granted;
	socklen_t len = sizeof(granted);

	/* SO_RCVBUFFORCE needs CAP_NET_ADMIN in the initial user namespace. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted)) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len) < 0)
		return -errno;
	return granted;
}
