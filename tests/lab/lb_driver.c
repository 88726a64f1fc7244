/*
 * lb_driver FILE NODE - lbcore without tandemd: loads the scheduler, applies FILE in
 * the network namespace it runs in, then obeys lines on stdin. Each is answered by
 * lines on stdout, the last of them "ok" or "error NUMBER".
 *
 *   apply FILE             another configuration
 *   restart FILE           as if lbd had died: a new engine with the same descriptors
 *   up|down BALANCER NAME  health of a server
 *   counts                 "KIND|OBJECT|RULE|PACKETS|BYTES" per counter
 *   stats                  "applied N", "unchanged N" ...
 *   maintain               what lbd does once a second
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "lbcore/counter_key.h"
#include "lbcore/engine.h"
#include "lbcore/l4/l4_load.h"

#define NOBODY 65534

static const char *node;
static struct l4_fds fds;

static int
apply(struct engine *engine, const char *file)
{
	struct td_config_error error;
	struct td_config *config = td_config_load(file, node, &error);

	if (config == NULL) {
		fprintf(stderr, "%s:%u: %s: %s\n", error.file, error.line, error.key,
		    error.reason);
		return -EINVAL;
	}
	return engine_apply(engine, config);
}

static int
health(struct engine *engine, const char *balancer, const char *server, bool up)
{
	const struct td_config *config = engine_config(engine);

	for (uint32_t b = 0; b < config->balancer_count; b++)
		for (uint32_t s = 0; s < config->balancers[b].server_count; s++)
			if (strcmp(config->balancers[b].name, balancer) == 0 &&
			    strcmp(config->balancers[b].servers[s].name, server) == 0)
				return engine_set_health(engine, b, s, up) ? 0
									   : -ENOENT;
	return -ENOENT;
}

static int
counts(struct engine *engine)
{
	const struct nat_ruleset *ruleset = engine_ruleset(engine);
	const struct nat_count *values = engine_counts(engine);

	for (uint32_t i = 0; values != NULL && i < ruleset->counter_count; i++) {
		struct counter_key key;

		counter_key(engine_config(engine), &ruleset->counters[i], &key);
		printf("%s|%s|%s|%llu|%llu\n", key.kind, key.object, key.rule,
		    (unsigned long long)values[i].packets,
		    (unsigned long long)values[i].bytes);
	}
	return values != NULL ? 0 : -EIO;
}

static int
stats(struct engine *engine)
{
	struct engine_stats s;

	engine_stats(engine, &s);
	printf("applied %llu\nunchanged %llu\nrefused %llu\nrepaired %llu\n",
	    (unsigned long long)s.applied, (unsigned long long)s.unchanged,
	    (unsigned long long)s.refused, (unsigned long long)s.repaired);
	for (unsigned i = 0; i < LB_COUNTER_COUNT; i++)
		printf("scheduler_%u %llu\n", i, (unsigned long long)s.scheduled[i]);
	return 0;
}

/* tandemd keeps the descriptors and passes copies of them. */
static int
start(struct engine **ret_engine, const char *file)
{
	int r = engine_new(ret_engine);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < L4_FD_COUNT; i++)
		engine_take_fd(*ret_engine, l4_fd_name(i), dup(fds.fd[i]));
	return apply(*ret_engine, file);
}

static int
obey(struct engine **engine_at, char *line)
{
	struct engine *engine = *engine_at;
	char *word = strtok(line, " \n"), *one = strtok(NULL, " \n");
	char *two = strtok(NULL, " \n");

	if (word == NULL)
		return -EINVAL;
	if (strcmp(word, "counts") == 0)
		return counts(engine);
	if (strcmp(word, "stats") == 0)
		return stats(engine);
	if (strcmp(word, "maintain") == 0) {
		engine_maintain(engine);
		return 0;
	}
	if (one != NULL && strcmp(word, "apply") == 0)
		return apply(engine, one);
	if (one != NULL && strcmp(word, "restart") == 0) {
		engine_free(engine);
		return start(engine_at, one);
	}
	if (two != NULL && (strcmp(word, "up") == 0 || strcmp(word, "down") == 0))
		return health(engine, one, two, strcmp(word, "up") == 0);
	return -EINVAL;
}

static void
answer(int r)
{
	if (r < 0)
		printf("error %d\n", -r);
	else
		printf("ok\n");
	fflush(stdout);
}

static int
drop_privileges(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) <
	    0)
		return -EPERM;
	return capng_change_id(
		   NOBODY, NOBODY, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) == 0
		   ? 0
		   : -EPERM;
}

int
main(int argc, char **argv)
{
	struct engine *engine;
	char line[512];
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: lb_driver FILE NODE\n");
		return 2;
	}
	log_init("lb_driver", argv[2], LOG_TO_STDERR);
	node = argv[2];
	r = l4_load(&fds);
	if (r == 0)
		r = drop_privileges();
	if (r == 0)
		r = start(&engine, argv[1]);
	answer(r);
	if (r < 0)
		return 1;
	while (fgets(line, sizeof(line), stdin) != NULL)
		answer(obey(&engine, line));
	engine_free(engine);
	return 0;
}
