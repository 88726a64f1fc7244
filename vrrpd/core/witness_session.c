#include "vrrpd/core/witness_session.h"

#include <string.h>
#include <tandem/assert.h>

static uint64_t
nonzero(uint64_t random)
{
	return random != 0 ? random : 1; /* 0 on the wire means "none seen" */
}

void
witness_session_init(struct witness_session *s, uint64_t random)
{
	memset(s, 0, sizeof(*s));
	s->challenge = nonzero(random);
}

enum witness_drop
witness_session_receive(struct witness_session *s, const struct witness_header *header,
    const struct witness_payload *payload, uint64_t random, bool *ret_answer)
{
	bool same = s->peer_known && memcmp(s->peer_session, header->session,
					 sizeof(s->peer_session)) == 0;

	*ret_answer = false;
	if (same) {
		if (header->seq <= s->peer_seq)
			return WITNESS_DROP_REPLAY;
		s->peer_seq = header->seq;
		s->echo = payload->challenge;
		return WITNESS_OK;
	}
	/* A replayed stranger may misdirect one echo; the next true message repairs it.
	 */
	*ret_answer = s->echo != payload->challenge;
	s->echo = payload->challenge;
	if (payload->echo != s->challenge)
		return WITNESS_DROP_UNPROVEN;
	memcpy(s->peer_session, header->session, sizeof(s->peer_session));
	s->peer_known = true;
	s->peer_seq = header->seq;
	s->challenge = nonzero(random);
	s->sessions++;
	*ret_answer = true;
	return WITNESS_OK;
}
