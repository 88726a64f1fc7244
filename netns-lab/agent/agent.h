/*
 * agent.h - what the modes of lab-agent share.
 *
 * One process is one mode in one network namespace: a server of everything, or one kind
 * of session or probe. It prints one JSON object per line on standard output and obeys
 * lines on standard input:
 *
 *   mark     "the fault is about to happen": longest silences are counted from here
 *   status   print what lives now
 *   finish   print the result and exit (also SIGTERM, SIGINT and end of input)
 *
 * Sessions answer both when they know: as soon as a message that was sent after the
 * command is echoed on each, for `finish` after 5 s at most, for `status` after 1 s.
 *
 * Units    nanoseconds of CLOCK_BOOTTIME, the clock of Tandem's own logs.
 */
#ifndef LAB_AGENT_H
#define LAB_AGENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* --- the event loop ------------------------------------------------------------- */

struct source {
	int fd;
	void (*ready)(struct source *source, uint32_t events);
	struct source *garbage_next;
};

struct mode {
	void (*command)(const char *line); /* "mark" and "status" */
	void (*tick)(int64_t now);         /* every tick_ns */
	bool (*settled)(void);             /* finish was asked: may it? NULL = yes */
	void (*finish)(void);              /* prints the result */
	int64_t tick_ns;                   /* 0 = no tick */
};

int64_t now_ns(void);
int64_t parse_count(const char *text, int64_t min, int64_t max); /* exits on nonsense */
void source_add(struct source *source, uint32_t events);
void source_modify(struct source *source, uint32_t events);
void source_remove(struct source *source); /* and closes */
/* For a heap object that starts with its source: this round may still hold an event of
 * it. */
void source_free_later(struct source *source);
void loop_run(const struct mode *mode);
void fifo_priority(int priority); /* best effort; also locks memory */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* --- addresses ------------------------------------------------------------------ */

struct port_range {
	uint16_t first, last;
};

struct target {
	struct sockaddr_storage address;
	socklen_t address_len;
	struct sockaddr_storage local;
	socklen_t local_len; /* 0 = any */
	struct port_range ports;
};

void target_parse(
    struct target *ret, const char *dest, const char *ports, const char *source);
void target_port(struct target *target, uint16_t port);
int target_connect(
    const struct target *target, int type); /* non-blocking; fd or -errno */
unsigned parse_ranges(const char *text, struct port_range *ret, unsigned max);

/* --- the numbered message ------------------------------------------------------- */

#define FRAME_BYTES 24
#define MAGIC_ECHO 0x54444531u /* client: numbered message; server: the same back */
#define MAGIC_BULK 0x54444231u /* client: send `seq` bytes at `session` KiB/s */
#define DIGEST_BYTES 32        /* BLAKE2b-256 of a bulk download follows it */

struct frame {
	uint32_t magic;
	uint32_t session;
	uint64_t seq;
	uint32_t server; /* which server answered */
};

void frame_encode(const struct frame *frame, uint8_t *buf);
void frame_decode(const uint8_t *buf, struct frame *ret_frame);

/* --- output --------------------------------------------------------------------- */

/* Attempts in order of sending, to find what was lost in between. */
struct attempts {
	struct attempt {
		int64_t sent_ns;
		int64_t answered_ns; /* 0 = never */
	} * list;
	size_t count, capacity;
};

struct attempt *attempts_add(struct attempts *attempts, int64_t sent_ns);
/* `"sent":N,"lost":N,"blackouts":[...]`: runs of lost attempts, longest first. An
 * attempt answered after more than late_max_ns is lost; attempts younger than that are
 * not judged. */
void attempts_print(const struct attempts *attempts, int64_t late_max_ns);

int compare_ns(const void *a, const void *b);

/* --- modes ---------------------------------------------------------------------- */

struct options {
	const char *kind, *dest, *ports, *source, *tcp, *udp;
	const char *interfaces[4];
	const char *asks[4];
	unsigned interface_count;
	bool listen_only, stay;
	int64_t count, interval_us, bytes, rate_kib, server, fifo;
};

void serve_main(const struct options *options);
void sessions_main(const struct options *options);
void bulk_main(const struct options *options);
void udp_main(const struct options *options);
void connects_main(const struct options *options);
void ping_main(const struct options *options);
void observe_main(const struct options *options);
void stalls_main(const struct options *options);

#endif
