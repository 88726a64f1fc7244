#include "routerd/instance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/z85.h"

#define CONTROL_GROUP "tandem"
/* A room that stops is ended by its own alarm after five seconds (common/room.c). */
#define LEFTOVERS_NS (7 * NS_PER_S)

static int
make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

static int
find_users(struct instance *in, bool users_root)
{
	struct group *group = getgrnam(CONTROL_GROUP);

	in->control_gid = group != NULL ? group->gr_gid : 0;
	for (int room = TD_ROOM_VRRPD; room < TD_ROOM_COUNT && !users_root; room++) {
		char user[64];
		struct passwd *pw;

		snprintf(
		    user, sizeof(user), "tandem-%s", td_room_name((enum td_room)room));
		pw = getpwnam(user);
		if (pw == NULL) {
			log_err("start",
			    "user=%s does not exist: systemd-sysusers, or --users root",
			    user);
			return -ESRCH;
		}
		in->uid[room] = pw->pw_uid;
		in->gid[room] = pw->pw_gid;
	}
	return 0;
}

/* Takes the lock file `name`, waiting at most `limit_ns`; -EBUSY then. */
static int
take_lock(const struct instance *in, const char *name, int64_t limit_ns, int *ret_fd)
{
	const struct timespec pause = { .tv_nsec = 10 * NS_PER_MS };
	struct td_instant deadline = instant_add(clock_now(), limit_ns);
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", in->run_dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno == EWOULDBLOCK ? -EBUSY : -errno;

		if (error != -EBUSY || instant_reached(clock_now(), deadline)) {
			close(fd);
			return error;
		}
		nanosleep(&pause, NULL);
	}
	*ret_fd = fd;
	return 0;
}

static int
take_locks(struct instance *in)
{
	int error = take_lock(in, "lock", 0, &in->lock_fd);

	if (error == -EBUSY)
		log_err("start", "instance=%s runs already", in->name);
	if (error < 0)
		return error;
	error = take_lock(in, "life", 0, &in->life_fd);
	if (error != -EBUSY)
		return error;
	log_notice("start", "waiting for processes of an earlier life");
	error = take_lock(in, "life", LEFTOVERS_NS, &in->life_fd);
	if (error == -EBUSY)
		log_err(
		    "start", "processes of an earlier life do not leave: kill them");
	return error;
}

static void
write_pid(const struct instance *in)
{
	char path[160], text[16];

	snprintf(path, sizeof(path), "%s/pid", in->run_dir);
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	file_replace(path, text, strlen(text), 0644);
}

static int
open_room_dirs(struct instance *in)
{
	/* The rooms that keep something between two lives. */
	static const enum td_room keepers[] = { TD_ROOM_VRRPD, TD_ROOM_SYNCD,
		TD_ROOM_LBD };

	for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++) {
		enum td_room room = keepers[i];
		char path[192];
		int error;

		snprintf(
		    path, sizeof(path), "%s/%s", in->state_dir, td_room_name(room));
		error = make_dir(path, 0700, in->uid[room], in->gid[room]);
		if (error < 0)
			return error;
		in->room_dir[room] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (in->room_dir[room] < 0)
			return -errno;
	}
	return 0;
}

int
instance_open(struct instance *in, const char *name, bool users_root)
{
	int error;

	*in = (struct instance){ .name = name, .lock_fd = -1, .life_fd = -1 };
	for (int room = 0; room < TD_ROOM_COUNT; room++)
		in->room_dir[room] = -1;
	snprintf(in->run_dir, sizeof(in->run_dir), "%s/%s", TANDEM_RUNDIR, name);
	snprintf(in->state_dir, sizeof(in->state_dir), "%s/%s", TANDEM_STATEDIR, name);
	error = find_users(in, users_root);
	if (error < 0)
		return error;
	if ((error = make_dir(TANDEM_RUNDIR, 0755, 0, 0)) < 0 ||
	    (error = make_dir(TANDEM_STATEDIR, 0755, 0, 0)) < 0 ||
	    (error = make_dir(in->run_dir, 0755, 0, 0)) < 0 ||
	    (error = make_dir(in->state_dir, 0755, 0, 0)) < 0) {
		log_err("start", "directories of instance=%s error=%s", name,
		    strerror(-error));
		return error;
	}
	error = take_locks(in);
	if (error < 0)
		return error;
	write_pid(in);
	error = open_room_dirs(in);
	if (error < 0)
		log_err("start", "state directories error=%s", strerror(-error));
	return error;
}

void
instance_close(struct instance *in)
{
	char path[160];

	if (in->lock_fd < 0)
		return;
	for (int room = 0; room < TD_ROOM_COUNT; room++)
		if (in->room_dir[room] >= 0)
			close(in->room_dir[room]);
	snprintf(path, sizeof(path), "%s/control.sock", in->run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/pid", in->run_dir);
	unlink(path);
	if (in->life_fd >= 0)
		close(in->life_fd);
	close(in->lock_fd);
}

int
instance_control_socket(const struct instance *in)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, error;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control.sock", in->run_dir);
	unlink(addr.sun_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* bind makes it 0755 & ~umask: nobody but root may connect until the group is
	 * set. */
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chown(addr.sun_path, 0, in->control_gid) < 0 ||
	    chmod(addr.sun_path, 0660) < 0 || listen(fd, 16) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int
instance_http_socket(const struct td_endpoint *endpoint)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(endpoint->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(endpoint->port) };
	bool v6 = endpoint->addr.family == TD_AF_INET6;
	const int one = 1;
	int fd, error;

	memcpy(&in4.sin_addr, endpoint->addr.bytes, 4);
	memcpy(&in6.sin6_addr, endpoint->addr.bytes, 16);
	fd = socket(
	    v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* The management interface may come up after us. */
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one));
	else
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	if ((v6 ? bind(fd, (struct sockaddr *)&in6, sizeof(in6))
		: bind(fd, (struct sockaddr *)&in4, sizeof(in4))) < 0 ||
	    listen(fd, 64) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int
instance_secret_key(const struct instance *in, uint8_t ret_key[TD_KEY_BYTES])
{
	char path[160], text[64];
	struct stat st;
	ssize_t len;
	int fd, error = 0;

	snprintf(path, sizeof(path), "%s/secret.key", in->state_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		error = -errno;
		log_err("start", "%s: %s%s", path, strerror(errno),
		    errno == ENOENT ? " (make one: tandemctl keygen)" : "");
		return error;
	}
	len = read(fd, text, sizeof(text) - 1);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	text[len > 0 ? len : 0] = '\0';
	if (fstat(fd, &st) < 0 || st.st_uid != 0 || (st.st_mode & 077) != 0) {
		log_err("start", "%s: must belong to root with mode 0600", path);
		error = -EPERM;
	} else if (!z85_key_decode(text, ret_key)) {
		log_err("start", "%s: not a key of 40 Z85 characters", path);
		error = -EINVAL;
	}
	explicit_bzero(text, sizeof(text));
	close(fd);
	return error;
}

int
file_replaceable(const char *path)
{
	char copy[512];

	snprintf(copy, sizeof(copy), "%s", path);
	return access(dirname(copy), W_OK) < 0 ? -errno : 0;
}

int
file_replace(const char *path, const void *bytes, size_t len, mode_t mode)
{
	char temporary[512], copy[512];
	struct stat st;
	int fd, dir, error = 0;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd =
	    open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (stat(path, &st) == 0) {
		mode = st.st_mode & 07777;
		if (fchown(fd, st.st_uid, st.st_gid) < 0)
			error = -errno;
	}
	if (error == 0 && (write(fd, bytes, len) != (ssize_t)len ||
			      fchmod(fd, mode) < 0 || fsync(fd) < 0))
		error = errno != 0 ? -errno : -EIO;
	close(fd);
	if (error == 0 && rename(temporary, path) < 0)
		error = -errno;
	if (error < 0) {
		unlink(temporary);
		return error;
	}
	snprintf(copy, sizeof(copy), "%s", path);
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		fsync(dir);
		close(dir);
	}
	return 0;
}

bool
instance_maintenance(const struct instance *in)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/maintenance", in->state_dir);
	return access(path, F_OK) == 0;
}

int
instance_maintenance_set(const struct instance *in, bool on)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/maintenance", in->state_dir);
	if (on)
		return file_replace(path, "on\n", 3, 0644);
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int
instance_generation_load(const struct instance *in, uint64_t *ret_generation,
    uint8_t ret_digest[TD_DIGEST_BYTES])
{
	char path[160], hex[2 * TD_DIGEST_BYTES + 1] = "";
	uint64_t generation = 0;
	uint8_t digest[TD_DIGEST_BYTES] = { 0 };
	FILE *file;
	int fields;

	snprintf(path, sizeof(path), "%s/generation", in->state_dir);
	file = fopen(path, "re");
	if (file == NULL && errno != ENOENT)
		return -errno;
	fields = file != NULL
		     ? fscanf(file, "%" SCNu64 " %64[0-9a-f]", &generation, hex)
		     : 0;
	if (file != NULL)
		fclose(file);
	for (size_t i = 0; i < TD_DIGEST_BYTES && strlen(hex) == sizeof(hex) - 1; i++) {
		unsigned byte;

		sscanf(hex + 2 * i, "%2x", &byte);
		digest[i] = (uint8_t)byte;
	}
	*ret_generation = fields >= 1 ? generation : 0;
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

int
instance_generation_save(const struct instance *in, uint64_t generation,
    const uint8_t digest[TD_DIGEST_BYTES])
{
	char path[160], text[128];
	int len;

	snprintf(path, sizeof(path), "%s/generation", in->state_dir);
	len = snprintf(text, sizeof(text), "%" PRIu64 " ", generation);
	for (size_t i = 0; i < TD_DIGEST_BYTES; i++)
		len +=
		    snprintf(text + len, sizeof(text) - (size_t)len, "%02x", digest[i]);
	len += snprintf(text + len, sizeof(text) - (size_t)len, "\n");
	return file_replace(path, text, (size_t)len, 0644);
}
