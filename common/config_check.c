#include "common/config_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tandem/instant.h>
#include "common/config_check_services.h"
#include "common/duration.h"

void
check_at(struct check *c, const char *path, ...)
{
	va_list ap;

	va_start(ap, path);
	vsnprintf(c->path, sizeof(c->path), path, ap);
	va_end(ap);
}

bool
check_wrong(struct check *c, const char *key, const char *reason, ...)
{
	va_list ap;

	snprintf(c->complaint->key, sizeof(c->complaint->key), "%s%s%.40s", c->path,
	    c->path[0] != '\0' && key[0] != '\0' ? "." : "", key);
	va_start(ap, reason);
	vsnprintf(c->complaint->reason, sizeof(c->complaint->reason), reason, ap);
	va_end(ap);
	return false;
}

bool
check_range_ns(
    struct check *c, const char *key, int64_t ns, int64_t min_ns, int64_t max_ns)
{
	char is[DURATION_STRLEN], min[DURATION_STRLEN], max[DURATION_STRLEN];

	if (ns >= min_ns && ns <= max_ns)
		return true;
	return check_wrong(c, key, "%s is not in %s..%s",
	    ns < 0 ? "a negative duration" : duration_format(ns, is),
	    duration_format(min_ns, min), duration_format(max_ns, max));
}

bool
check_range(
    struct check *c, const char *key, uint32_t value, uint32_t min, uint32_t max)
{
	if (value >= min && value <= max)
		return true;
	return check_wrong(
	    c, key, "%" PRIu32 " is not in %" PRIu32 "..%" PRIu32, value, min, max);
}

static bool
is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* Names go into paths, nftables names, metric labels and log lines. */
bool
check_name(struct check *c, const char *key, const char *name)
{
	bool valid = is_alphanumeric(name[0]);

	for (const char *at = name; *at != '\0'; at++)
		valid = valid && (is_alphanumeric(*at) || strchr("._-", *at) != NULL);
	return valid || check_wrong(c, key,
			    "'%.40s' is no name: letters, digits and . _ - after a "
			    "letter or digit",
			    name);
}

static const char *
why_no_host(const struct td_addr *addr)
{
	static const uint8_t zero[16], mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *b = addr->bytes;

	if (addr->family == TD_AF_INET) {
		if (b[0] == 0)
			return "unspecified";
		if (b[0] == 127)
			return "a loopback address";
		if (b[0] >= 224)
			return b[0] < 240 ? "a multicast address" : "reserved";
		return NULL;
	}
	if (memcmp(b, zero, 15) == 0 && b[15] <= 1)
		return b[15] == 0 ? "unspecified" : "a loopback address";
	if (b[0] == 0xff)
		return "a multicast address";
	if (memcmp(b, mapped, sizeof(mapped)) == 0)
		return "an IPv4-mapped address";
	return NULL;
}

bool
check_host(struct check *c, const char *key, const struct td_addr *addr)
{
	const char *why = why_no_host(addr);
	char text[TD_ADDR_STRLEN];

	return why == NULL ||
	       check_wrong(c, key, "%s is %s", td_addr_format(addr, text), why);
}

const struct td_interface *
check_find_virtual(const struct td_config *config, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < config->interface_count; i++)
		for (uint32_t j = 0; j < config->interfaces[i].address_count; j++)
			if (td_addr_equal(
				&config->interfaces[i].addresses[j].addr, addr))
				return &config->interfaces[i];
	return NULL;
}

bool
check_own(struct check *c, const char *key, const struct td_addr *addr)
{
	char text[TD_ADDR_STRLEN];
	const struct td_interface *interface = check_find_virtual(c->config, addr);

	if (!check_host(c, key, addr))
		return false;
	return interface == NULL ||
	       check_wrong(c, key,
		   "%s is a virtual address of %s; this one must be the node's own",
		   td_addr_format(addr, text), interface->name);
}

/* ---- nodes ---- */

static bool
key_is_set(const uint8_t key[TD_KEY_BYTES])
{
	static const uint8_t zero[TD_KEY_BYTES];

	return memcmp(key, zero, TD_KEY_BYTES) != 0;
}

static bool
check_keys(struct check *c)
{
	static const char *const names[2] = { "public_key", "public_key_next" };
	const struct td_node *nodes = c->config->nodes;

	for (unsigned i = 0; i < 2 * TD_NODES; i++) {
		const uint8_t *key = nodes[i / 2].public_key[i % 2];

		check_at(c, "nodes[%u]", i / 2);
		if (!key_is_set(key)) {
			if (i % 2 == 0)
				return check_wrong(c, names[0], "the key is all zero");
			continue;
		}
		for (unsigned j = 0; j < i; j++)
			if (memcmp(key, nodes[j / 2].public_key[j % 2], TD_KEY_BYTES) ==
			    0)
				return check_wrong(c, names[i % 2],
				    "the same key as nodes[%u].%s", j / 2,
				    names[j % 2]);
	}
	return true;
}

/* A sync link carries every session's addresses; a public network must not be one. */
static bool
check_sync_link(struct check *c, const struct td_addr *addr)
{
	char text[TD_ADDR_STRLEN];

	if (!check_own(c, "", addr))
		return false;
	if (addr->family == TD_AF_INET6 && td_addr_is_link_local(addr))
		return check_wrong(c, "", "%s is link-local, which needs an interface",
		    td_addr_format(addr, text));
	for (uint32_t i = 0; i < c->config->interface_count; i++) {
		const struct td_interface *interface = &c->config->interfaces[i];

		for (uint32_t j = 0;
		     interface->is_public && j < interface->address_count; j++)
			if (td_prefix_contains(&interface->addresses[j], addr))
				return check_wrong(c, "",
				    "%s lies in the public network of %s",
				    td_addr_format(addr, text), interface->name);
	}
	return true;
}

static bool
check_sync_links(struct check *c)
{
	const struct td_node *nodes = c->config->nodes;
	char text[TD_ADDR_STRLEN];

	for (unsigned i = 0; i < TD_NODES * TD_SYNC_LINKS_MAX; i++) {
		unsigned node = i / TD_SYNC_LINKS_MAX, link = i % TD_SYNC_LINKS_MAX;
		const struct td_addr *addr = &nodes[node].sync_address[link];

		if (nodes[0].sync_address[link].family != addr->family) {
			check_at(c, "nodes[%u].sync_addresses", node);
			return check_wrong(c, "",
			    "the nodes must have as many sync addresses, of the same "
			    "families");
		}
		if (addr->family == 0)
			continue;
		check_at(c, "nodes[%u].sync_addresses[%u]", node, link);
		if (!check_sync_link(c, addr))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (td_addr_equal(
				addr, &nodes[j / TD_SYNC_LINKS_MAX]
					   .sync_address[j % TD_SYNC_LINKS_MAX]))
				return check_wrong(c, "",
				    "%s is nodes[%u].sync_addresses[%u] already",
				    td_addr_format(addr, text), j / TD_SYNC_LINKS_MAX,
				    j % TD_SYNC_LINKS_MAX);
	}
	return true;
}

static bool
check_management(struct check *c)
{
	const struct td_endpoint *first = &c->config->nodes[0].management;

	for (unsigned i = 0; i < TD_NODES; i++) {
		const struct td_endpoint *management = &c->config->nodes[i].management;

		check_at(c, "nodes[%u]", i);
		if (management->addr.family == 0)
			continue;
		if (!check_own(c, "management", &management->addr))
			return false;
		if (i > 0 && td_addr_equal(&first->addr, &management->addr))
			return check_wrong(
			    c, "management", "the same address as nodes[0].management");
	}
	return true;
}

static bool
check_nodes(struct check *c)
{
	const struct td_node *nodes = c->config->nodes;
	bool independent = c->config->vrrp.mode == TD_VRRP_INDEPENDENT;

	for (unsigned i = 0; i < TD_NODES; i++) {
		check_at(c, "nodes[%u]", i);
		if (!check_name(c, "name", nodes[i].name) ||
		    !check_range(
			c, "priority", nodes[i].priority, 1, independent ? 255 : 254))
			return false;
	}
	if (strcmp(nodes[0].name, nodes[1].name) == 0)
		return check_wrong(
		    c, "name", "'%s' is nodes[0] already", nodes[1].name);
	return check_keys(c) && check_sync_links(c) && check_management(c);
}

/* ---- vrrp, sync ---- */

static bool
check_vrrp(struct check *c)
{
	const struct td_vrrp_config *vrrp = &c->config->vrrp;

	check_at(c, "vrrp");
	if (!check_range(c, "version", vrrp->version, 2, 3))
		return false;
	if (vrrp->version == 2 && vrrp->mode != TD_VRRP_INDEPENDENT)
		return check_wrong(
		    c, "version", "version 2 is spoken in mode independent only");
	if (vrrp->version == 2 && vrrp->advertisement_interval_ns % NS_PER_S != 0)
		return check_wrong(
		    c, "advertisement_interval", "version 2 knows whole seconds only");
	/* The 12 bits of centiseconds of RFC 9568 section 5.2.7. */
	if (!check_range_ns(c, "advertisement_interval",
		vrrp->advertisement_interval_ns, NS_PER_CS, 4095 * NS_PER_CS))
		return false;
	if (vrrp->advertisement_interval_ns % NS_PER_CS != 0)
		return check_wrong(c, "advertisement_interval",
		    "not a whole number of centiseconds (10ms)");
	if (vrrp->garp_refresh_ns != 0 &&
	    !check_range_ns(
		c, "garp_refresh", vrrp->garp_refresh_ns, NS_PER_S, 3600 * NS_PER_S))
		return false;
	return check_range_ns(
		   c, "preempt_delay", vrrp->preempt_delay_ns, 0, 3600 * NS_PER_S) &&
	       check_range(c, "garp_repeat", vrrp->garp_repeat, 0, 100);
}

static bool
check_sync(struct check *c)
{
	const struct td_sync_config *sync = &c->config->sync;

	check_at(c, "sync");
	return check_range(c, "port", sync->port, 1, UINT16_MAX) &&
	       check_range(c, "witness_port", sync->witness_port, 1, UINT16_MAX) &&
	       check_range_ns(c, "batch_interval", sync->batch_interval_ns,
		   100 * NS_PER_US, NS_PER_S) &&
	       check_range(c, "batch_bytes", sync->batch_bytes, TD_BATCH_BYTES_MIN,
		   TD_BATCH_BYTES_MAX) &&
	       check_range(c, "flows_max", sync->flows_max, 1024, 64 * 1024 * 1024) &&
	       check_range_ns(c, "lease", sync->lease_ns, NS_PER_S, 3600 * NS_PER_S);
}

/* ---- hooks ---- */

const char *
td_hook_name(enum td_hook hook)
{
	static const char *const names[TD_HOOK_COUNT] = { "active", "backup", "fault",
		"stop", "notify" };

	return names[hook];
}

void
config_hooks_default(struct td_hooks_config *ret_hooks)
{
	*ret_hooks = (struct td_hooks_config){ .timeout_ns = 10 * NS_PER_S,
		.user = "tandem-hookd" };
}

bool
td_hooks_any(const struct td_hooks_config *hooks)
{
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
		if (hooks->path[hook][0] != '\0')
			return true;
	return false;
}

/* Absolute, and without steps that mean nothing or lead back: what is checked before a
 * run is then this path, component by component. */
static bool
is_plain_path(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || path[len - 1] == '/')
		return false;
	for (const char *at = path; at != NULL; at = strchr(at + 1, '/'))
		if (at[1] == '/' || strncmp(at, "/./", 3) == 0 ||
		    strncmp(at, "/../", 4) == 0 || strcmp(at, "/.") == 0 ||
		    strcmp(at, "/..") == 0)
			return false;
	for (const char *at = path; *at != '\0'; at++)
		if (*at < ' ' || *at == 0x7f)
			return false;
	return true;
}

/* Whether a program is there, and whose it is, is a question to each machine
 * (routerd/hook_path.h). */
static bool
check_hooks(struct check *c)
{
	const struct td_hooks_config *hooks = &c->config->hooks;

	struct td_hooks_config none;

	check_at(c, "hooks");
	config_hooks_default(&none);
	if (!td_hooks_any(hooks) && c->config->track_script_count == 0 &&
	    (hooks->timeout_ns != none.timeout_ns ||
		strcmp(hooks->user, none.user) != 0))
		return check_wrong(
		    c, "", "one of active, backup, fault, stop and notify is needed");
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
		if (hooks->path[hook][0] != '\0' && !is_plain_path(hooks->path[hook]))
			return check_wrong(c, td_hook_name((enum td_hook)hook),
			    "'%.100s' is no absolute path without . and ..",
			    hooks->path[hook]);
	return check_name(c, "user", hooks->user) &&
	       check_range_ns(
		   c, "timeout", hooks->timeout_ns, 100 * NS_PER_MS, 3600 * NS_PER_S);
}

bool
td_track_scripts_equal(const struct td_config *a, const struct td_config *b)
{
	bool equal = a->track_script_count == b->track_script_count;

	for (uint32_t i = 0; equal && i < a->track_script_count; i++)
		equal =
		    strcmp(a->track_scripts[i].name, b->track_scripts[i].name) == 0 &&
		    strcmp(a->track_scripts[i].path, b->track_scripts[i].path) == 0;
	return equal;
}

static bool
check_track_scripts(struct check *c)
{
	const struct td_track_script *scripts = c->config->track_scripts;

	for (uint32_t i = 0; i < c->config->track_script_count; i++) {
		const struct td_track_script *script = &scripts[i];

		check_at(c, "track_scripts[%" PRIu32 "]", i);
		if (!check_name(c, "name", script->name))
			return false;
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(scripts[j].name, script->name) == 0)
				return check_wrong(c, "name",
				    "'%s' is track_scripts[%" PRIu32 "] already",
				    script->name, j);
		if (script->path[0] == '\0' || !is_plain_path(script->path))
			return check_wrong(c, "script",
			    "'%.100s' is no absolute path without . and ..",
			    script->path);
		if (!check_range_ns(c, "interval", script->interval_ns, 100 * NS_PER_MS,
			3600 * NS_PER_S) ||
		    !check_range_ns(c, "timeout", script->timeout_ns, 10 * NS_PER_MS,
			3600 * NS_PER_S) ||
		    !check_range(c, "rise", script->rise, 1, 100) ||
		    !check_range(c, "fall", script->fall, 1, 100))
			return false;
		if (c->config->vrrp.mode == TD_VRRP_INDEPENDENT)
			return check_wrong(
			    c, "", "mode independent compares nothing with a peer");
	}
	return true;
}

bool
config_check(const struct td_config *config, struct config_complaint *ret_complaint)
{
	struct check c = { .config = config, .complaint = ret_complaint };

	if (!check_name(&c, "cluster", config->cluster))
		return false;
	if (config->self >= TD_NODES)
		return check_wrong(&c, "nodes", "no node %" PRIu32, config->self);
	return check_nodes(&c) && check_vrrp(&c) && check_sync(&c) && check_hooks(&c) &&
	       check_track_scripts(&c) && check_interfaces(&c) && check_services(&c);
}
