/* clock.h - the only place that reads clocks. */
#ifndef TANDEM_COMMON_CLOCK_H
#define TANDEM_COMMON_CLOCK_H

#include <tandem/instant.h>

/* CLOCK_BOOTTIME: what every state machine runs on. */
struct td_instant clock_now(void);

/* Wall clock in milliseconds since 1970, for log lines and pages, never for decisions. */
int64_t clock_wall_ms(void);

#endif
