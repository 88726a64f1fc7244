/*
 * witness_session.h - which witness messages are new: replay protection without clocks.
 *
 * Every process draws a random session and a random challenge at start. A message
 * carries the sender's session, a rising sequence number, the sender's challenge and an
 * echo of the last challenge it saw. Within the accepted session only a higher sequence
 * number counts. Another session is accepted only by a message that echoes our present
 * challenge, which is drawn anew on every acceptance: a recording of an earlier life of
 * the peer, or of ours, cannot contain it. A restarted peer is thus back after one and
 * a half exchanges.
 *
 *   A  session a, challenge x              B  session b, challenge y
 *      (a, 1, x, echo 0)  ------------------>   unproven; remembers x
 *      accepts b          <------------------   (b, 7, y, echo x)
 *      (a, 2, x', echo y) ------------------>   accepts a
 *
 * Randomness is an argument. All messages have passed the seal before they come here.
 */
#ifndef TANDEM_WITNESS_SESSION_H
#define TANDEM_WITNESS_SESSION_H

#include "vrrpd/core/witness_wire.h"

struct witness_session {
	uint8_t peer_session[WITNESS_SESSION_BYTES];
	bool peer_known;
	uint64_t peer_seq;  /* highest accepted */
	uint64_t challenge; /* ours, never 0 */
	uint64_t echo;      /* the peer's last challenge, 0 = none yet */
	uint64_t sessions;  /* accepted so far */
};

void witness_session_init(struct witness_session *s, uint64_t random);

/* `random` becomes the next challenge if this message opens a session. A refused
 * message may still change `echo`: *ret_answer then asks for a message to the peer
 * without waiting for the next turn. */
enum witness_drop witness_session_receive(struct witness_session *s,
    const struct witness_header *header, const struct witness_payload *payload,
    uint64_t random, bool *ret_answer);

#endif
