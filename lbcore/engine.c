/* engine.c - see engine.h */
#include "lbcore/engine.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/assert.h>
#include <tandem/mark.h>
#include "common/log.h"
#include "lbcore/counter_key.h"
#include "lbcore/l4/core/l4_slots.h"
#include "lbcore/l4/l4_attach.h"
#include "lbcore/l4/l4_load.h"
#include "lbcore/l4/l4_maps.h"

/* Everything that follows from one configuration. */
struct model {
	struct td_config *config; /* owned */
	struct l4_slots slots;
	struct nat_ruleset ruleset;
	struct nat_count *base;   /* what the counters had before this table */
	struct nat_count *counts; /* base + kernel, for engine_counts */
	bool up[TD_MARK_SERVER_DROP];
};

struct engine {
	struct nat_apply *nat;
	struct l4_fds fds;
	struct l4_maps *maps; /* NULL until the descriptors are here */
	struct model *model;  /* NULL until a configuration is in force */
	bool attached[TD_INTERFACES_MAX];
	bool forwarding;
	bool drifted; /* our table was changed and is not written again yet */
	struct engine_stats stats;
};

static void
model_free(struct model *model)
{
	if (model == NULL)
		return;
	td_config_free(model->config);
	l4_slots_fini(&model->slots);
	nat_ruleset_fini(&model->ruleset);
	free(model->base);
	free(model->counts);
	free(model);
}

static int
model_new(struct model **ret_model, struct td_config *config)
{
	struct model *model = calloc(1, sizeof(*model));
	int r = -ENOMEM;

	if (model == NULL) {
		td_config_free(config);
		return r;
	}
	model->config = config;
	for (unsigned i = 0; i < TD_MARK_SERVER_DROP; i++)
		model->up[i] = true;
	r = l4_maps_fit(config);
	if (r < 0) {
		log_err(
		    "lb", "more balancers, binds or servers than the scheduler holds");
		goto out;
	}
	r = l4_slots_init(&model->slots, config);
	if (r < 0)
		goto out;
	r = nat_ruleset_compile(&model->ruleset, config, &model->slots);
	if (r < 0) {
		log_err("nat", "the ruleset cannot be built: %s", strerror(-r));
		goto out;
	}
	model->base = calloc(model->ruleset.counter_count, sizeof(*model->base));
	model->counts = calloc(model->ruleset.counter_count, sizeof(*model->counts));
	r = model->base != NULL && model->counts != NULL ? 0 : -ENOMEM;
out:
	if (r == 0)
		*ret_model = model;
	else
		model_free(model);
	return r;
}

/* A server that is in both is as healthy as before. */
static void
inherit_health(struct model *model, const struct model *old)
{
	const struct td_config *was = old->config, *is = model->config;

	for (uint32_t b = 0; b < is->balancer_count; b++)
		for (uint32_t o = 0; o < was->balancer_count; o++) {
			const struct td_balancer *nb = &is->balancers[b];
			const struct td_balancer *ob = &was->balancers[o];

			if (strcmp(nb->name, ob->name) != 0)
				continue;
			for (uint32_t s = 0; s < nb->server_count; s++)
				for (uint32_t t = 0; t < ob->server_count; t++)
					if (strcmp(nb->servers[s].name,
						ob->servers[t].name) == 0)
						model
						    ->up[l4_slot(&model->slots, b, s)] =
						    old->up[l4_slot(&old->slots, o, t)];
		}
}

int
engine_new(struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (engine == NULL)
		return -ENOMEM;
	l4_fds_init(&engine->fds);
	r = nat_apply_new(&engine->nat);
	if (r < 0) {
		free(engine);
		return r;
	}
	*ret_engine = engine;
	return 0;
}

void
engine_free(struct engine *engine)
{
	if (engine == NULL)
		return;
	model_free(engine->model);
	l4_maps_free(engine->maps);
	l4_fds_close(&engine->fds);
	nat_apply_free(engine->nat);
	free(engine);
}

bool
engine_take_fd(struct engine *engine, const char *name, int fd)
{
	int r;

	if (!l4_fds_take(&engine->fds, name, fd))
		return false;
	if (!l4_fds_complete(&engine->fds))
		return true;
	l4_maps_free(engine->maps);
	engine->maps = NULL;
	r = l4_maps_new(&engine->maps, &engine->fds);
	if (r < 0)
		log_err("lb", "the scheduler's maps cannot be used: %s", strerror(-r));
	return true;
}

/* Attached while there is something to balance. */
static void
attach_device(struct engine *engine, uint32_t interface)
{
	const struct td_config *config = engine->model->config;
	const char *name = config->interfaces[interface].name;
	uint32_t ifindex = if_nametoindex(name);
	int r;

	if (ifindex == 0) {
		engine->attached[interface] = false;
		return;
	}
	if (config->balancer_count == 0) {
		l4_detach(ifindex);
		engine->attached[interface] = false;
		return;
	}
	if (engine->attached[interface] && l4_attached(ifindex))
		return;
	if (engine->attached[interface])
		log_warn("lb", "if=%s scheduler was detached: attaching again", name);
	r = l4_attach(ifindex, engine->fds.fd[L4_FD_PROG]);
	engine->attached[interface] = r == 0;
	if (r < 0)
		log_limited(LOG_LV_ERR, "lb", 1,
		    "if=%s scheduler cannot be attached: %s", name, strerror(-r));
	else
		log_info("lb", "if=%s scheduler attached", name);
}

static void
attach_devices(struct engine *engine)
{
	if (engine->maps == NULL)
		return;
	for (uint32_t i = 0; i < engine->model->config->interface_count; i++)
		attach_device(engine, i);
}

static void
detach_devices(struct engine *engine, const struct td_config *old)
{
	const struct td_config *config = engine->model->config;

	for (uint32_t i = 0; i < old->interface_count; i++) {
		uint32_t ifindex = if_nametoindex(old->interfaces[i].name);
		bool kept = false;

		for (uint32_t j = 0; j < config->interface_count; j++)
			kept = kept || strcmp(old->interfaces[i].name,
					   config->interfaces[j].name) == 0;
		if (!kept && ifindex != 0)
			l4_detach(ifindex);
	}
}

static void
open_forwarding(struct engine *engine)
{
	int r = nat_forwarding_open();

	if (r < 0)
		log_limited(LOG_LV_ERR, "nat", 1, "forwarding cannot be opened: %s",
		    strerror(-r));
	else if (!engine->forwarding)
		log_info("nat", "forwarding is open");
	engine->forwarding = r == 0;
}

static const struct nat_count *
counts_read(struct engine *engine, struct model *model)
{
	int r = nat_counts_read(engine->nat, &model->ruleset, model->counts);

	/* The rules were replaced under the dump: once more. */
	if (r == -EINTR)
		r = nat_counts_read(engine->nat, &model->ruleset, model->counts);
	if (r < 0) {
		log_limited(
		    LOG_LV_WARN, "nat", 1, "counters cannot be read: %s", strerror(-r));
		return NULL;
	}
	for (uint32_t i = 0; i < model->ruleset.counter_count; i++) {
		model->counts[i].packets += model->base[i].packets;
		model->counts[i].bytes += model->base[i].bytes;
	}
	return model->counts;
}

const struct nat_count *
engine_counts(struct engine *engine)
{
	return engine->model != NULL ? counts_read(engine, engine->model) : NULL;
}

/* The kernel's counters begin at 0 with a new table: what they had so far goes into the
 * model's base, by what a counter means and not by its place in the configuration. */
static int
write_rules(struct engine *engine, struct model *model, struct model *old, bool force)
{
	const struct nat_count *totals = old != NULL ? counts_read(engine, old) : NULL;
	bool changed;
	int r = nat_apply(engine->nat, &model->ruleset, force, &changed);

	if (r < 0) {
		engine->stats.refused++;
		log_err("nat", "the kernel refuses the ruleset, the old one stays: %s",
		    nat_apply_error(engine->nat));
		return r;
	}
	if (changed)
		engine->stats.applied++;
	else
		engine->stats.unchanged++;
	if (totals != NULL)
		counter_carry(old->config, &old->ruleset, changed ? totals : old->base,
		    model->config, &model->ruleset, model->base);
	log_info("nat", "ruleset=%016llx generation=%llu %s",
	    (unsigned long long)model->ruleset.digest,
	    (unsigned long long)model->config->generation,
	    changed ? "applied" : "unchanged");
	return 0;
}

int
engine_apply(struct engine *engine, struct td_config *config)
{
	struct model *model, *old = engine->model;
	int r = model_new(&model, config);

	if (r < 0)
		return r;
	if (old != NULL) {
		inherit_health(model, old);
		r = write_rules(engine, model, old, false);
	} else {
		/* Nobody watched the table before this process: one that says it has
		 * these rules gives its counters, not its word. */
		bool ours = nat_apply_carries(engine->nat, &model->ruleset);

		r = write_rules(engine, model, ours ? model : NULL, true);
	}
	if (r < 0) {
		model_free(model);
		return r;
	}
	if (engine->maps != NULL) {
		if (old == NULL)
			l4_maps_adopt(engine->maps, config, &model->slots, model->up);
		r = l4_maps_apply(engine->maps, config, &model->slots, model->up);
		if (r < 0) {
			log_err("lb",
			    "the scheduler's maps refuse the configuration: %s",
			    strerror(-r));
			if (old != NULL) {
				write_rules(engine, old, NULL, false);
				l4_maps_apply(
				    engine->maps, old->config, &old->slots, old->up);
			}
			model_free(model);
			return r;
		}
	} else if (config->balancer_count > 0) {
		log_err("lb", "no scheduler in the kernel: balancers do not answer");
	}
	engine->model = model;
	memset(engine->attached, 0, sizeof(engine->attached));
	attach_devices(engine);
	if (old != NULL)
		detach_devices(engine, old->config);
	open_forwarding(engine);
	model_free(old);
	return 0;
}

bool
engine_set_health(struct engine *engine, uint32_t balancer, uint32_t server, bool up)
{
	struct model *model = engine->model;
	uint16_t slot;

	if (model == NULL || balancer >= model->config->balancer_count ||
	    server >= model->config->balancers[balancer].server_count)
		return false;
	slot = l4_slot(&model->slots, balancer, server);
	if (model->up[slot] == up)
		return true;
	model->up[slot] = up;
	if (engine->maps != NULL)
		l4_maps_reschedule(
		    engine->maps, model->config, &model->slots, model->up, balancer);
	return true;
}

bool
engine_watch(struct engine *engine)
{
	engine->drifted = nat_apply_drift(engine->nat) || engine->drifted;
	return engine->drifted && engine->model != NULL;
}

void
engine_maintain(struct engine *engine)
{
	if (engine->model == NULL)
		return;
	if (engine_watch(engine)) {
		log_warn("nat",
		    "table inet %s was changed by somebody else: writing it again",
		    NAT_TABLE);
		if (write_rules(engine, engine->model, engine->model, true) == 0) {
			engine->stats.repaired++;
			engine->drifted = false;
		}
	}
	attach_devices(engine);
	open_forwarding(engine);
}

int
engine_fd(const struct engine *engine)
{
	return nat_apply_fd(engine->nat);
}

const struct td_config *
engine_config(const struct engine *engine)
{
	return engine->model != NULL ? engine->model->config : NULL;
}

bool
engine_server_up(const struct engine *engine, uint32_t balancer, uint32_t server)
{
	td_assert(engine->model != NULL);
	return engine->model->up[l4_slot(&engine->model->slots, balancer, server)];
}

bool
engine_device_attached(const struct engine *engine, uint32_t interface)
{
	td_assert(interface < TD_INTERFACES_MAX);
	return engine->attached[interface];
}

const struct nat_ruleset *
engine_ruleset(const struct engine *engine)
{
	return engine->model != NULL ? &engine->model->ruleset : NULL;
}

void
engine_stats(struct engine *engine, struct engine_stats *ret_stats)
{
	engine->stats.scheduler = engine->maps != NULL;
	if (engine->maps != NULL)
		l4_maps_counters(engine->maps, engine->stats.scheduled);
	*ret_stats = engine->stats;
}
