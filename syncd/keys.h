/*
 * keys.h - a node's X25519 key pair: who it is to its peer.
 *
 * Shapes   A secret key file holds the 40 characters of the secret key in Z85 and a
 *          newline, mode 0600. The public key is computed from it and stands in the
 *          configuration of both nodes. The witness and the channel use the same pair.
 * Errors   negative errno. key_file_read: -EPERM if others may read the file, -EBADMSG
 * if it does not hold a key. key_file_write: -EEXIST, it never replaces a key.
 */
#ifndef TANDEM_SYNCD_KEYS_H
#define TANDEM_SYNCD_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <tandem/config.h>

struct key_pair {
	uint8_t secret_key[TD_KEY_BYTES];
	uint8_t public_key[TD_KEY_BYTES];
};

int key_pair_new(struct key_pair *ret_pair);
/* -EBADMSG: a secret key of zero. */
int key_pair_from_secret(
    const uint8_t secret_key[TD_KEY_BYTES], struct key_pair *ret_pair);
void key_pair_wipe(struct key_pair *pair);

int key_file_write(const char *path, const struct key_pair *pair);
int key_file_read(const char *path, struct key_pair *ret_pair);

#endif
