/*
 * metrics.h - samples as the Prometheus text exposition format, version 0.0.4.
 *
 * One HELP and TYPE per family, families together, label values escaped, and an
 * `instance` label on every sample: the scraper's own becomes exported_instance only
 * when it does not set honor_labels.
 */
#ifndef TANDEM_ROUTERD_METRICS_H
#define TANDEM_ROUTERD_METRICS_H

#include "routerd/core/samples.h"
#include "routerd/core/text.h"

/* Sorts the set. Names outside [a-zA-Z_:][a-zA-Z0-9_:]* are left out. */
void metrics_render(struct text *out, struct sample_set *set, const char *instance);

/* What the metric `name` tells, for HELP lines and docs; never NULL. */
const char *metrics_help(const char *name);

#endif
