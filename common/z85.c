#include "common/z85.h"

#include <string.h>

static const char alphabet[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ".-:+=^!/*?&<>()[]{}@%$#";

_Static_assert(sizeof(alphabet) == 85 + 1, "base 85");

bool
z85_key_decode(const char *text, uint8_t ret_key[Z85_KEY_BYTES])
{
	uint8_t key[Z85_KEY_BYTES];

	if (strlen(text) != Z85_KEY_STRLEN - 1)
		return false;
	for (unsigned i = 0; i < Z85_KEY_BYTES / 4; i++) {
		uint64_t value = 0;

		for (unsigned j = 0; j < 5; j++) {
			const char *digit = strchr(alphabet, text[5 * i + j]);

			if (digit == NULL)
				return false;
			value = value * 85 + (uint64_t)(digit - alphabet);
		}
		if (value > UINT32_MAX)
			return false;
		for (unsigned j = 0; j < 4; j++)
			key[4 * i + j] = (uint8_t)(value >> (24 - 8 * j));
	}
	memcpy(ret_key, key, sizeof(key));
	return true;
}

void
z85_key_encode(const uint8_t key[Z85_KEY_BYTES], char ret_text[Z85_KEY_STRLEN])
{
	for (unsigned i = 0; i < Z85_KEY_BYTES / 4; i++) {
		uint32_t value = 0;

		for (unsigned j = 0; j < 4; j++)
			value = value << 8 | key[4 * i + j];
		for (unsigned j = 5; j-- > 0; value /= 85)
			ret_text[5 * i + j] = alphabet[value % 85];
	}
	ret_text[Z85_KEY_STRLEN - 1] = '\0';
}
