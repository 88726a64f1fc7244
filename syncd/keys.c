#include "syncd/keys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>
#include "common/z85.h"

static_assert(TD_KEY_BYTES == crypto_scalarmult_BYTES, "X25519");
static_assert(TD_KEY_BYTES == Z85_KEY_BYTES, "Z85");

int
key_pair_from_secret(const uint8_t secret_key[TD_KEY_BYTES], struct key_pair *ret_pair)
{
	struct key_pair pair;

	if (sodium_init() < 0)
		return -ENOSYS;
	if (sodium_is_zero(secret_key, TD_KEY_BYTES))
		return -EBADMSG;
	memcpy(pair.secret_key, secret_key, TD_KEY_BYTES);
	crypto_scalarmult_base(pair.public_key, pair.secret_key);
	*ret_pair = pair;
	key_pair_wipe(&pair);
	return 0;
}

int
key_pair_new(struct key_pair *ret_pair)
{
	uint8_t secret_key[TD_KEY_BYTES];
	int r;

	if (sodium_init() < 0)
		return -ENOSYS;
	randombytes_buf(secret_key, sizeof(secret_key));
	r = key_pair_from_secret(secret_key, ret_pair);
	sodium_memzero(secret_key, sizeof(secret_key));
	return r;
}

void
key_pair_wipe(struct key_pair *pair)
{
	sodium_memzero(pair, sizeof(*pair));
}

int
key_file_write(const char *path, const struct key_pair *pair)
{
	char text[Z85_KEY_STRLEN + 1];
	size_t len = Z85_KEY_STRLEN; /* the newline takes the place of the NUL */
	int r = 0, fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	z85_key_encode(pair->secret_key, text);
	text[Z85_KEY_STRLEN - 1] = '\n';
	if (fchmod(fd, 0600) < 0)
		r = -errno;
	else if (write(fd, text, len) != (ssize_t)len)
		r = -EIO;
	else if (fsync(fd) < 0)
		r = -errno;
	sodium_memzero(text, sizeof(text));
	close(fd);
	if (r < 0)
		unlink(path);
	return r;
}

int
key_file_read(const char *path, struct key_pair *ret_pair)
{
	uint8_t secret_key[TD_KEY_BYTES];
	char text[Z85_KEY_STRLEN + 1] = "";
	struct stat st;
	ssize_t len;
	int r, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		r = -errno;
		goto out;
	}
	r = -EPERM;
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		goto out;
	r = -EBADMSG;
	len = read(fd, text, sizeof(text));
	if (len < Z85_KEY_STRLEN - 1 || len > Z85_KEY_STRLEN ||
	    (len == Z85_KEY_STRLEN && text[len - 1] != '\n'))
		goto out;
	text[Z85_KEY_STRLEN - 1] = '\0';
	if (z85_key_decode(text, secret_key))
		r = key_pair_from_secret(secret_key, ret_pair);
out:
	sodium_memzero(secret_key, sizeof(secret_key));
	sodium_memzero(text, sizeof(text));
	close(fd);
	return r;
}
