/*
 * zap.h - who may open a connection to us.
 *
 * Source   ZeroMQ RFC 27 (ZAP 1.0) and RFC 25 (ZMTP-CURVE). Without an answer of ours
 *          libzmq lets in every client that speaks CURVE, whatever its key.
 * Errors   none: whatever is not on the list is denied, with the reason.
 */
#ifndef TANDEM_SYNCD_ZAP_H
#define TANDEM_SYNCD_ZAP_H

#include <stddef.h>
#include <stdint.h>
#include <tandem/config.h>

#define ZAP_DOMAIN "tandem"
#define ZAP_FRAMES 7 /* of a CURVE request */

enum zap_verdict {
	ZAP_ALLOWED,
	ZAP_DENIED_REQUEST, /* not ZAP 1.0, or frames are missing */
	ZAP_DENIED_DOMAIN,
	ZAP_DENIED_MECHANISM, /* not CURVE */
	ZAP_DENIED_KEY,
	ZAP_VERDICT_COUNT
};

struct zap_frame {
	const uint8_t *bytes; /* borrowed */
	size_t len;
};

/* Frames: version, request id, domain, address, identity, mechanism, key. An allowed
 * key of zero is none. */
enum zap_verdict zap_judge(const struct zap_frame *frames, size_t frame_count,
    const uint8_t allowed[2][TD_KEY_BYTES]);

const char *zap_verdict_name(enum zap_verdict verdict);

#endif
