#include "routerd/last_words.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/log.h"

int
last_words_init(struct last_words *lw)
{
	*lw = (struct last_words){ .fd = -1 };
	/* Protocol 0: it never receives anything. */
	lw->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return lw->fd < 0 ? -errno : 0;
}

void
last_words_fini(struct last_words *lw)
{
	if (lw->fd >= 0)
		close(lw->fd);
	lw->fd = -1;
}

void
last_words_set(struct last_words *lw, const struct td_msg_last_words *words)
{
	unsigned i = 0;

	while (i < lw->count && (lw->frame[i].ifindex != words->ifindex ||
				    lw->frame[i].family != words->family))
		i++;
	if (words->len == 0) {
		if (i < lw->count)
			lw->frame[i] = lw->frame[--lw->count];
		return;
	}
	if (i == 2 * TD_INTERFACES_MAX || words->len > sizeof(words->frame))
		return;
	lw->frame[i] = *words;
	if (i == lw->count)
		lw->count++;
}

unsigned
last_words_say(struct last_words *lw)
{
	unsigned sent = 0;

	for (unsigned i = 0; i < lw->count; i++) {
		struct sockaddr_ll to = {
			.sll_family = AF_PACKET,
			.sll_ifindex = (int)lw->frame[i].ifindex,
			.sll_halen = 6,
		};

		memcpy(to.sll_addr, lw->frame[i].frame, 6);
		if (sendto(lw->fd, lw->frame[i].frame, lw->frame[i].len, MSG_DONTWAIT,
			(struct sockaddr *)&to, sizeof(to)) >= 0)
			sent++;
		else
			log_warn("watch", "last words ifindex=%u error=%s",
			    lw->frame[i].ifindex, strerror(errno));
	}
	lw->count = 0;
	lw->sent += sent;
	return sent;
}
