/*
 * pivot.h - samples as tables for people and as JSON for programs.
 *
 * Samples with the same label names form one table: a row per set of label values, a
 * column per metric. What has no label becomes a list of names and values. The same
 * grouping makes the JSON, so that a script finds what the operator sees:
 *
 *   tandem_lb_server_up{balancer="web",server="s1"} 1     BALANCER  SERVER  UP  WEIGHT
 *   tandem_lb_server_weight{balancer="web",server="s1"} 2  web       s1      1       2
 */
#ifndef TANDEM_ROUTERD_PIVOT_H
#define TANDEM_ROUTERD_PIVOT_H

#include "routerd/core/samples.h"
#include "routerd/core/text.h"

typedef bool pivot_filter(const struct sample *sample);

void pivot_tables(struct text *out, const struct sample_set *set, pivot_filter *filter,
    const char *prefix);
/* {"values": {name: value}, "tables": [{"labels": [...], "rows": [{...}]}]}. A metric
 * that the set holds twice is there once, with the value that came last. */
void pivot_json(struct text *out, const struct sample_set *set, pivot_filter *filter,
    const char *prefix);

/* A value with the unit that its name promises: _seconds, _bytes. */
void pivot_value(struct text *out, const char *name, double value);

#endif
