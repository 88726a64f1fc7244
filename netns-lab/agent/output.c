#include "agent.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- addresses ------------------------------------------------------------------ */

static socklen_t
address_parse(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		return sizeof(*v6);
	}
	fail("%s: not an address", text);
}

unsigned
parse_ranges(const char *text, struct port_range *ret, unsigned max)
{
	char copy[256], *save = NULL;
	unsigned count = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *item = strtok_r(copy, ",", &save); item != NULL;
	     item = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(item, '-');

		if (count == max)
			fail("%s: too many ports", text);
		if (dash != NULL)
			*dash = '\0';
		ret[count].first = (uint16_t)parse_count(item, 1, 65535);
		ret[count].last = dash == NULL
				      ? ret[count].first
				      : (uint16_t)parse_count(dash + 1, 1, 65535);
		count++;
	}
	return count;
}

void
target_parse(
    struct target *ret, const char *dest, const char *ports, const char *source)
{
	memset(ret, 0, sizeof(*ret));
	if (dest == NULL)
		fail("--dest is needed");
	ret->address_len = address_parse(dest, &ret->address);
	if (ports != NULL && parse_ranges(ports, &ret->ports, 1) == 1)
		target_port(ret, ret->ports.first);
	if (source != NULL)
		ret->local_len = address_parse(source, &ret->local);
}

void
target_port(struct target *target, uint16_t port)
{
	/* the port stands at the same place in both families */
	((struct sockaddr_in *)&target->address)->sin_port = htons(port);
}

int
target_connect(const struct target *target, int type)
{
	int one = 1, user_timeout_ms = 120000;
	int fd =
	    socket(target->address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
		    sizeof(user_timeout_ms));
	}
	if (target->local_len > 0 &&
	    bind(fd, (const struct sockaddr *)&target->local, target->local_len) < 0)
		goto failed;
	if (connect(fd, (const struct sockaddr *)&target->address,
		target->address_len) < 0 &&
	    errno != EINPROGRESS)
		goto failed;
	return fd;
failed:;
	int error = errno;
	close(fd);
	return -error;
}

/* --- the numbered message ------------------------------------------------------- */

void
frame_encode(const struct frame *frame, uint8_t *buf)
{
	uint32_t head[2] = { htobe32(frame->magic), htobe32(frame->session) };
	uint64_t seq = htobe64(frame->seq);
	uint32_t tail[2] = { htobe32(frame->server), 0 };

	memcpy(buf, head, 8);
	memcpy(buf + 8, &seq, 8);
	memcpy(buf + 16, tail, 8);
}

void
frame_decode(const uint8_t *buf, struct frame *ret_frame)
{
	uint32_t head[2], tail;
	uint64_t seq;

	memcpy(head, buf, 8);
	memcpy(&seq, buf + 8, 8);
	memcpy(&tail, buf + 16, 4);
	*ret_frame = (struct frame){ .magic = be32toh(head[0]),
		.session = be32toh(head[1]),
		.seq = be64toh(seq),
		.server = be32toh(tail) };
}

/* --- attempts ------------------------------------------------------------------- */

struct attempt *
attempts_add(struct attempts *attempts, int64_t sent_ns)
{
	if (attempts->count == attempts->capacity) {
		attempts->capacity =
		    attempts->capacity == 0 ? 65536 : attempts->capacity * 2;
		attempts->list = realloc(
		    attempts->list, attempts->capacity * sizeof(attempts->list[0]));
		if (attempts->list == NULL)
			fail("out of memory");
	}
	attempts->list[attempts->count] = (struct attempt){ .sent_ns = sent_ns };
	return &attempts->list[attempts->count++];
}

int
compare_ns(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

struct blackout {
	int64_t from_ns,
	    to_ns; /* sending of the answered attempts around the lost ones */
	size_t lost;
	bool open; /* nothing was answered any more */
};

#define BLACKOUTS_MAX 16

static void
blackouts_insert(struct blackout *list, size_t *count, struct blackout found)
{
	size_t at = *count;

	if (*count < BLACKOUTS_MAX)
		(*count)++;
	else if (found.to_ns - found.from_ns <=
		 list[BLACKOUTS_MAX - 1].to_ns - list[BLACKOUTS_MAX - 1].from_ns)
		return;
	else
		at = BLACKOUTS_MAX - 1;
	while (at > 0 && list[at - 1].to_ns - list[at - 1].from_ns <
			     found.to_ns - found.from_ns) {
		list[at] = list[at - 1];
		at--;
	}
	list[at] = found;
}

void
attempts_print(const struct attempts *attempts, int64_t late_max_ns)
{
	struct blackout list[BLACKOUTS_MAX];
	size_t count = 0, lost = 0, judged = 0, run = 0;
	int64_t horizon = now_ns() - late_max_ns, last_answered = 0, slowest = 0;

	for (size_t i = 0; i < attempts->count; i++) {
		const struct attempt *attempt = &attempts->list[i];
		int64_t took = attempt->answered_ns - attempt->sent_ns;

		if (attempt->sent_ns > horizon && attempt->answered_ns == 0)
			break;
		judged++;
		if (attempt->answered_ns == 0 || took > late_max_ns) {
			lost++;
			run++;
			continue;
		}
		if (run > 0)
			blackouts_insert(list, &count,
			    (struct blackout){ last_answered == 0
						   ? attempts->list[0].sent_ns
						   : last_answered,
				attempt->sent_ns, run, false });
		run = 0;
		last_answered = attempt->sent_ns;
		if (took > slowest)
			slowest = took;
	}
	if (run > 0)
		blackouts_insert(list, &count,
		    (struct blackout){
			last_answered, attempts->list[judged - 1].sent_ns, run, true });
	printf("\"sent\":%zu,\"lost\":%zu,\"slowest_ns\":%lld,\"blackouts\":[", judged,
	    lost, (long long)slowest);
	for (size_t i = 0; i < count; i++)
		printf("%s{\"from\":%lld,\"to\":%lld,\"lost\":%zu,\"open\":%s}",
		    i == 0 ? "" : ",", (long long)list[i].from_ns,
		    (long long)list[i].to_ns, list[i].lost,
		    list[i].open ? "true" : "false");
	printf("]");
}
