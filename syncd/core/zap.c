#include "syncd/core/zap.h"

#include <stdbool.h>
#include <string.h>
#include <tandem/assert.h>

enum { F_VERSION, F_ID, F_DOMAIN, F_ADDRESS, F_IDENTITY, F_MECHANISM, F_KEY };

static bool
frame_is(const struct zap_frame *frame, const char *text)
{
	return frame->len == strlen(text) &&
	       memcmp(frame->bytes, text, frame->len) == 0;
}

static bool
key_is(const struct zap_frame *frame, const uint8_t key[TD_KEY_BYTES])
{
	static const uint8_t none[TD_KEY_BYTES];

	return memcmp(key, none, TD_KEY_BYTES) != 0 &&
	       memcmp(key, frame->bytes, TD_KEY_BYTES) == 0;
}

enum zap_verdict
zap_judge(const struct zap_frame *frames, size_t frame_count,
    const uint8_t allowed[2][TD_KEY_BYTES])
{
	if (frame_count <= F_MECHANISM || !frame_is(&frames[F_VERSION], "1.0"))
		return ZAP_DENIED_REQUEST;
	if (!frame_is(&frames[F_DOMAIN], ZAP_DOMAIN))
		return ZAP_DENIED_DOMAIN;
	if (!frame_is(&frames[F_MECHANISM], "CURVE"))
		return ZAP_DENIED_MECHANISM;
	if (frame_count != ZAP_FRAMES || frames[F_KEY].len != TD_KEY_BYTES)
		return ZAP_DENIED_REQUEST;
	if (!key_is(&frames[F_KEY], allowed[0]) && !key_is(&frames[F_KEY], allowed[1]))
		return ZAP_DENIED_KEY;
	return ZAP_ALLOWED;
}

const char *
zap_verdict_name(enum zap_verdict verdict)
{
	static const char *const names[ZAP_VERDICT_COUNT] = {
		[ZAP_ALLOWED] = "allowed",
		[ZAP_DENIED_REQUEST] = "bad_request",
		[ZAP_DENIED_DOMAIN] = "wrong_domain",
		[ZAP_DENIED_MECHANISM] = "no_curve",
		[ZAP_DENIED_KEY] = "wrong_key",
	};

	td_assert(verdict < ZAP_VERDICT_COUNT);
	return names[verdict];
}
