/* room_socket.c - one message, or one control packet with its descriptor, per packet.
 */
#include "common/room_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 4

static int
packet_send(int fd, const uint8_t *bytes, size_t len, int passed_fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (passed_fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	}
	while (sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET || errno == ENOTCONN)
			return -EPIPE;
		return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
	}
	return 0;
}

/* Receives one packet: its length, 0 if there is none, -EPIPE, -EBADMSG (dropped). */
static int
packet_recv(int fd, struct msghdr *mh)
{
	const size_t controllen = mh->msg_controllen;
	bool reset = false;
	ssize_t n;

	for (;;) {
		mh->msg_controllen = controllen;
		n = recvmsg(fd, mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if (errno == EINTR)
			continue;
		/* Says once that the peer went away with packets unread; what it had
		 * sent before is still in our queue. */
		if (errno == ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (errno == EAGAIN)
			return 0;
		return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	}
	/* No packet of ours is empty, so nothing is the end. */
	if (n == 0)
		return -EPIPE;
	if (mh->msg_flags & MSG_TRUNC)
		return -EBADMSG;
	return (int)n;
}

int
msg_send(int fd, const struct td_msg *msg)
{
	uint8_t buf[TD_MSG_BYTES_MAX];
	size_t len;
	int r = msg_encode(msg, buf, &len);

	return r < 0 ? r : packet_send(fd, buf, len, -1);
}

int
msg_recv(int fd, struct td_msg *ret_msg)
{
	uint8_t buf[TD_MSG_BYTES_MAX];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	/* Without room for control data the kernel keeps descriptors out of this
	 * process. */
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int n = packet_recv(fd, &mh);

	if (n <= 0)
		return n;
	n = msg_decode(buf, (size_t)n, ret_msg);
	return n < 0 ? n : 1;
}

static bool
kind_has_fd(enum control_kind kind)
{
	switch (kind) {
	case CONTROL_CONFIG:
	case CONTROL_LINK:
	case CONTROL_FD:
		return true;
	case CONTROL_CONFIG_ACK:
	case CONTROL_START:
	case CONTROL_PING:
	case CONTROL_PONG:
	case CONTROL_STOP:
	case CONTROL_BUSY:
		break;
	}
	return false;
}

int
control_send(int fd, const struct control_packet *packet)
{
	uint8_t buf[TD_CONTROL_BYTES_MAX];
	size_t len;
	int r;

	if (kind_has_fd(packet->kind) != (packet->fd >= 0))
		return -EINVAL;
	r = control_encode(packet, buf, &len);
	return r < 0 ? r : packet_send(fd, buf, len, packet->fd);
}

/* Collects the descriptors that came along; more than FDS_MAX the kernel drops. */
static unsigned
take_fds(struct msghdr *mh, int ret_fds[FDS_MAX])
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t bytes;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		bytes = c->cmsg_len - CMSG_LEN(0);
		for (size_t at = 0; at + sizeof(int) <= bytes && count < FDS_MAX;
		     at += sizeof(int))
			memcpy(&ret_fds[count++], CMSG_DATA(c) + at, sizeof(int));
	}
	return count;
}

int
control_recv(int fd, struct control_packet *ret_packet)
{
	uint8_t buf[TD_CONTROL_BYTES_MAX];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	int fds[FDS_MAX];
	unsigned fd_count;
	struct control_packet packet;
	int n = packet_recv(fd, &mh);

	if (n == 0)
		return 0;
	if (n < 0 && n != -EBADMSG)
		return n;
	fd_count = take_fds(&mh, fds);
	if (n > 0 && control_decode(buf, (size_t)n, &packet) == 0 &&
	    fd_count == (kind_has_fd(packet.kind) ? 1U : 0U)) {
		*ret_packet = packet;
		if (fd_count == 1)
			ret_packet->fd = fds[0];
		return 1;
	}
	for (unsigned i = 0; i < fd_count; i++)
		close(fds[i]);
	return -EBADMSG;
}
