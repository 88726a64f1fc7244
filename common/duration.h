/*
 * duration.h - durations as operators write them: 100ms, 1.5s, 5m, 0s.
 *
 * Units    us, ms, s, m, h; nanoseconds inside. No sign, no space; a fraction must come out
 *          as whole nanoseconds.
 */
#ifndef TANDEM_COMMON_DURATION_H
#define TANDEM_COMMON_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DURATION_STRLEN 32

/* False, and ret_ns untouched, if the text is no duration or longer than 1000 h. */
bool duration_parse(const char *text, int64_t *ret_ns);

/* Shortest exact form of a duration >= 0, into buf (DURATION_STRLEN), which it returns. */
const char *duration_format(int64_t ns, char *buf);

#endif
