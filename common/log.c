#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "common/clock.h"

#define LINE_MAX_BYTES 1000

/* The one process-wide exception to "no file-scope state": a log line may be needed
 * where no context is at hand. Written by log_init and log_set_level only. */
static struct {
	char ident[96];
	enum log_level level;
	bool to_syslog, to_journal;
} logger = { .ident = "tandem", .level = LOG_LV_INFO };

/* systemd sets JOURNAL_STREAM to device:inode of the stream it connected to stderr; a
 * program that redirected stderr since then must not write priority prefixes there. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
	       st.st_ino == inode;
}

void
log_init(const char *program, const char *instance, enum log_target target)
{
	if (instance != NULL)
		snprintf(logger.ident, sizeof(logger.ident), "%.40s[%.40s]", program,
		    instance);
	else
		snprintf(logger.ident, sizeof(logger.ident), "%.40s", program);
	logger.to_syslog = target == LOG_TO_SYSLOG;
	logger.to_journal = !logger.to_syslog && stderr_is_journal();
	if (logger.to_syslog)
		openlog(logger.ident, LOG_NDELAY, LOG_DAEMON);
}

void
log_set_level(enum log_level level)
{
	logger.level = level;
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LV_ERR:
		return "error";
	case LOG_LV_WARN:
		return "warning";
	case LOG_LV_NOTICE:
		return "notice";
	case LOG_LV_INFO:
		return "info";
	case LOG_LV_DEBUG:
		return "debug";
	}
	return "?";
}

static int
line_prefix(char *line, size_t size, enum log_level level)
{
	int64_t wall_ms = clock_wall_ms();
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (logger.to_syslog)
		return 0;
	if (logger.to_journal)
		return snprintf(line, size, "<%d>", (int)level);
	gmtime_r(&seconds, &tm);
	return snprintf(line, size,
	    "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s: ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    (int)(wall_ms % 1000), logger.ident, level_name(level));
}

void
log_line(enum log_level level, const char *area, const char *format, ...)
{
	char line[LINE_MAX_BYTES + 1];
	size_t len;
	int n;
	va_list ap;

	if (level > logger.level)
		return;
	len = (size_t)line_prefix(line, LINE_MAX_BYTES, level);
	n = snprintf(line + len, LINE_MAX_BYTES - len, "%.32s: ", area);
	len += (size_t)n;
	va_start(ap, format);
	n = vsnprintf(line + len, LINE_MAX_BYTES - len, format, ap);
	va_end(ap);
	if (n < 0)
		return;
	/* A text from outside must not be able to write a second line. */
	for (char *at = line + len; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = ' ';
	len = strlen(line);
	if (logger.to_syslog) {
		syslog((int)level, "%s", line);
		return;
	}
	line[len++] = '\n';
	/* One write: lines of several processes do not mix. Nothing to do if it fails.
	 */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

bool
log_limit_pass(struct log_limit *limit, const char *area, uint32_t burst)
{
	int64_t now_ns = clock_now().ns;

	if (limit->window_start_ns == 0 ||
	    now_ns - limit->window_start_ns >= NS_PER_S) {
		uint32_t held = limit->held;

		*limit = (struct log_limit){ .window_start_ns = now_ns };
		if (held > 0)
			log_line(LOG_LV_NOTICE, area,
			    "held_back=%u lines like the next one", held);
	}
	if (limit->passed >= burst) {
		limit->held++;
		return false;
	}
	limit->passed++;
	return true;
}
