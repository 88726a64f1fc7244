/*
 * log.h - structured, rate-limited log lines: one line per decision, key=value.
 *
 *   log_info("vrrp", "vrid=%u if=%s af=%u Backup -> Active reason=%s", ...);
 *
 * Target   journald's native priority prefix on stderr when JOURNAL_STREAM is set,
 *          otherwise stderr with time, ident and level; syslog when asked.
 * Limits   a line is cut at 1,000 bytes. log_*_limited lets through `burst` lines per
 *          second and call site and then says how many it held back.
 * Keys and secrets are never passed to these functions.
 */
#ifndef TANDEM_COMMON_LOG_H
#define TANDEM_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LV_ERR = 3, LOG_LV_WARN = 4, LOG_LV_NOTICE = 5, LOG_LV_INFO = 6, LOG_LV_DEBUG = 7 };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };

/* ident is "tandem-vrrpd[NAME]"; instance may be NULL. Both strings are copied. */
void log_init(const char *program, const char *instance, enum log_target target);
void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct log_limit {
	int64_t window_start_ns;
	uint32_t passed, held;
};
/* True if a line may pass now; reports held-back lines itself when a window ends. */
bool log_limit_pass(struct log_limit *limit, const char *area, uint32_t burst);

#define log_err(area, ...) log_line(LOG_LV_ERR, area, __VA_ARGS__)
#define log_warn(area, ...) log_line(LOG_LV_WARN, area, __VA_ARGS__)
#define log_notice(area, ...) log_line(LOG_LV_NOTICE, area, __VA_ARGS__)
#define log_info(area, ...) log_line(LOG_LV_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(LOG_LV_DEBUG, area, __VA_ARGS__)
#define log_limited(level, area, burst, ...)                                             \
	do {                                                                             \
		static struct log_limit limit_;                                          \
		if (log_limit_pass(&limit_, area, burst))                                \
			log_line(level, area, __VA_ARGS__);                              \
	} while (0)

#endif
