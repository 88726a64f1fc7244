/* probe.c - see probe.h */
#include "lbcore/health/probe.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t
address_set(union address *sa, const struct td_addr *addr, uint16_t port)
{
	memset(sa, 0, sizeof(*sa));
	if (addr->family == TD_AF_INET) {
		sa->in.sin_family = AF_INET;
		sa->in.sin_port = htons(port);
		memcpy(&sa->in.sin_addr, addr->bytes, sizeof(sa->in.sin_addr));
		return sizeof(sa->in);
	}
	sa->in6.sin6_family = AF_INET6;
	sa->in6.sin6_port = htons(port);
	memcpy(&sa->in6.sin6_addr, addr->bytes, sizeof(sa->in6.sin6_addr));
	return sizeof(sa->in6);
}

static bool
address_get(const struct sockaddr *sa, struct td_addr *ret_addr)
{
	struct td_addr addr;

	memset(&addr, 0, sizeof(addr));
	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		addr.family = TD_AF_INET;
		memcpy(addr.bytes,
		    &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		addr.family = TD_AF_INET6;
		memcpy(addr.bytes,
		    &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	} else {
		return false;
	}
	*ret_addr = addr;
	return true;
}

static bool
is_virtual(const struct td_interface *interface, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (td_addr_equal(&interface->addresses[i].addr, addr))
			return true;
	return false;
}

static const struct td_interface *
interface_towards(const struct td_config *config, const struct td_addr *server)
{
	for (uint32_t i = 0; i < config->interface_count; i++)
		for (uint32_t a = 0; a < config->interfaces[i].address_count; a++)
			if (td_prefix_contains(
				&config->interfaces[i].addresses[a], server))
				return &config->interfaces[i];
	for (uint32_t n = 0; n < config->network_count; n++)
		for (uint32_t c = 0; c < config->networks[n].cidr_count; c++)
			if (td_prefix_contains(&config->networks[n].cidrs[c], server))
				return &config
					    ->interfaces[config->networks[n].interface];
	return NULL;
}

/* Link-local sources would need a scope, and reach no server that is configured without
 * one. */
static bool
own_address(const struct td_config *config, const struct td_interface *interface,
    uint8_t family, struct td_addr *ret_addr)
{
	const struct td_addr *own =
	    &interface->node_address[family == TD_AF_INET6][config->self];
	struct ifaddrs *list, *ifa;
	bool found = false;

	if (own->family != 0 && !td_addr_is_link_local(own)) {
		*ret_addr = *own;
		return true;
	}
	if (getifaddrs(&list) < 0)
		return false;
	for (ifa = list; ifa != NULL && !found; ifa = ifa->ifa_next) {
		struct td_addr addr;

		if (strcmp(ifa->ifa_name, interface->name) != 0 ||
		    !address_get(ifa->ifa_addr, &addr) || addr.family != family ||
		    td_addr_is_link_local(&addr) || is_virtual(interface, &addr))
			continue;
		*ret_addr = addr;
		found = true;
	}
	freeifaddrs(list);
	return found;
}

int
probe_start(const struct td_config *config, const struct td_endpoint *server,
    enum health_result *ret_result)
{
	const struct td_interface *interface = interface_towards(config, &server->addr);
	union address local, remote;
	struct td_addr source;
	socklen_t len;
	int fd;

	*ret_result = HEALTH_SOCKERR;
	fd = socket(server->addr.family == TD_AF_INET ? AF_INET : AF_INET6,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -1;
	if (interface != NULL) {
		/* The virtual MAC device has the same network while we are Active; the
		 * answer comes to the parent. */
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface->name,
		    (socklen_t)strlen(interface->name));
		if (!own_address(config, interface, server->addr.family, &source))
			goto failed;
		len = address_set(&local, &source, 0);
		if (bind(fd, &local.any, len) < 0)
			goto failed;
	}
	len = address_set(&remote, &server->addr, server->port);
	if (connect(fd, &remote.any, len) == 0 || errno == EINPROGRESS)
		return fd;
	switch (errno) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ETIMEDOUT:
		*ret_result = HEALTH_L4CON;
		break;
	default:
		break;
	}
failed:
	close(fd);
	return -1;
}

enum health_result
probe_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return HEALTH_SOCKERR;
	if (error == 0)
		return HEALTH_L4OK;
	return error == ETIMEDOUT ? HEALTH_L4TOUT : HEALTH_L4CON;
}

void
probe_close(int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}
