/*
 * flow_wire.h - flow records as bytes: the blob inside a batch.
 *
 * Source   docs/protocol.md, "Flow records". A record is a length byte and that many
 *          bytes. Later minor versions add fields at the end under new flag bits: what
 *          this decoder does not know lies behind what it knows and is skipped.
 * Units    timeouts in seconds remaining when the record was encoded.
 * Memory   the caller owns everything; nothing is allocated.
 * Errors   the decoder returns the reason; the reader then stands anywhere and the rest
 *          of the blob is worthless.
 */
#ifndef TANDEM_SYNCD_FLOW_WIRE_H
#define TANDEM_SYNCD_FLOW_WIRE_H

#include <tandem/reader.h>
#include "syncd/core/flow.h"

#define FLOW_WIRE_MAX 129                /* bytes of any encoded change */
#define FLOW_WIRE_TIMEOUT_MAX (1U << 30) /* seconds */

/* One flow as it is now, or its end. A deletion has nothing but the key in `flow`. */
struct flow_change {
	bool deleted;
	bool known;       /* the receiver was told of this flow before */
	uint32_t term;    /* of the router that says so */
	uint32_t version; /* counts the changes of this flow at its owner */
	struct flow_record flow;
};

enum flow_drop {
	FLOW_OK,
	FLOW_DROP_TRUNCATED, /* the record, or one of its fields, reaches past the end
			      */
	FLOW_DROP_NUMBER,    /* a number too large for its field */
	FLOW_DROP_TCP,       /* TCP fields on another protocol, or out of range */
	FLOW_DROP_STATUS,    /* bits that are never replicated */
	FLOW_DROP_HELPER,
	FLOW_DROP_COUNT
};

/* Sets writer->failed if there is no room: reserve FLOW_WIRE_MAX. */
void flow_change_encode(struct td_writer *wr, const struct flow_change *change);
enum flow_drop flow_change_decode(struct td_reader *rd, struct flow_change *ret_change);

const char *flow_drop_name(enum flow_drop drop);

#endif
