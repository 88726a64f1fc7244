/*
 * report.h - the state of the router from its samples: alarms, and the status page in
 * its three forms (terminal, JSON, HTML).
 */
#ifndef TANDEM_ROUTERD_REPORT_H
#define TANDEM_ROUTERD_REPORT_H

#include "routerd/core/samples.h"
#include "routerd/core/text.h"

/* Adds tandem_alarm{alarm="..."} 0 or 1 for every alarm there is. */
void report_alarms(struct sample_set *set);
/* What an alarm means and what to do; "" for an unknown one. */
const char *report_alarm_meaning(const char *alarm);
/* Number of alarms raised. */
unsigned report_alarm_count(const struct sample_set *set);

void report_text(struct text *out, const struct sample_set *set, const char *instance);
void report_json(struct text *out, const struct sample_set *set, const char *instance);
void report_html(struct text *out, const struct sample_set *set, const char *instance);

#endif
