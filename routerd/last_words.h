/*
 * last_words.h - what tandemd says on the wire for a vrrpd that is gone.
 *
 * vrrpd hands over, per member, the complete frame of a priority-0 advertisement while
 * it is Active. When it dies, the peer then takes over after its skew time instead of
 * its Active_Down_Interval. The packet socket is opened beforehand, so nothing can fail
 * at the moment it is needed but the send itself.
 */
#ifndef TANDEM_ROUTERD_LAST_WORDS_H
#define TANDEM_ROUTERD_LAST_WORDS_H

#include <tandem/room.h>

struct last_words {
	int fd; /* AF_PACKET; -1 = not available */
	struct td_msg_last_words frame[2 * TD_INTERFACES_MAX]; /* one per family */
	unsigned count;
	uint64_t sent;
};

int last_words_init(struct last_words *lw);
void last_words_fini(struct last_words *lw);
/* Replaces, or with len 0 forgets, the frame of that interface and family. */
void last_words_set(struct last_words *lw, const struct td_msg_last_words *words);
/* Sends all frames once and forgets them; how many went out. */
unsigned last_words_say(struct last_words *lw);

#endif
