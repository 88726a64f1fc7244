/*
 * z85.h - keys as text.
 *
 * Source   ZeroMQ RFC 32: five characters of base 85 for four bytes, most significant first.
 *          A 32-byte CURVE key is 40 characters.
 */
#ifndef TANDEM_COMMON_Z85_H
#define TANDEM_COMMON_Z85_H

#include <stdbool.h>
#include <stdint.h>

#define Z85_KEY_BYTES 32
#define Z85_KEY_STRLEN 41 /* with the NUL */

/* False, and ret_key untouched, unless text is exactly the 40 characters of a key. */
bool z85_key_decode(const char *text, uint8_t ret_key[Z85_KEY_BYTES]);
void z85_key_encode(const uint8_t key[Z85_KEY_BYTES], char ret_text[Z85_KEY_STRLEN]);

#endif
