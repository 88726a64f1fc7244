/*
 * instance.h - the places of one instance on this host: directories, lock, key,
 * generation.
 *
 *   /run/tandem/NAME/            lock, life, pid, control.sock
 *   /var/lib/tandem/NAME/        secret.key (root, 0600), generation
 *   /var/lib/tandem/NAME/ROOM/   what that room keeps, its own uid, 0700
 *
 * Errors   negative errno, logged where they arise.
 */
#ifndef TANDEM_ROUTERD_INSTANCE_H
#define TANDEM_ROUTERD_INSTANCE_H

#include <sys/types.h>
#include <tandem/config.h>
#include <tandem/room.h>

struct instance {
	const char *name; /* borrowed */
	char run_dir[64], state_dir[64];
	int lock_fd;
	int life_fd; /* locked; every room holds it too: who finds it free is alone */
	uid_t uid[TD_ROOM_COUNT];
	gid_t gid[TD_ROOM_COUNT];
	gid_t control_gid;
	int room_dir[TD_ROOM_COUNT]; /* O_PATH; -1 for rooms that keep nothing */
};

/* -EBUSY: the same instance runs already. Waits a few seconds for the processes of an
 * earlier life whose supervisor was killed: they resign and leave. */
int instance_open(struct instance *in, const char *name, bool users_root);
void instance_close(struct instance *in);

/* The listening control socket (SOCK_SEQPACKET, 0660, group tandem). */
int instance_control_socket(const struct instance *in);
/* The HTTP listener; the address need not exist yet. */
int instance_http_socket(const struct td_endpoint *endpoint);

/* 32 raw bytes of secret.key. -ENOENT: no key yet; -EPERM: others may read it. */
int instance_secret_key(const struct instance *in, uint8_t ret_key[TD_KEY_BYTES]);

/* What was committed last; 0 and no digest on the first start. */
int instance_generation_load(const struct instance *in, uint64_t *ret_generation,
    uint8_t ret_digest[TD_DIGEST_BYTES]);
int instance_generation_save(const struct instance *in, uint64_t generation,
    const uint8_t digest[TD_DIGEST_BYTES]);

/* In maintenance, until it is ended: a file that outlives us. */
bool instance_maintenance(const struct instance *in);
int instance_maintenance_set(const struct instance *in, bool on);

/* Replaces a file in one step, keeping owner and mode of the old one. */
int file_replace(const char *path, const void *bytes, size_t len, mode_t mode);
/* Whether file_replace could succeed. */
int file_replaceable(const char *path);

#endif
