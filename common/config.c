#include <tandem/config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/config_build.h"
#include "common/config_check.h"
#include "common/config_tree.h"
#include "common/config_yaml.h"

static void
rules_free(struct td_firewall_rule *rules, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		free(rules[i].sources);
		free(rules[i].destinations);
	}
	free(rules);
}

void
td_config_free(struct td_config *config)
{
	if (config == NULL)
		return;
	for (uint32_t i = 0; i < config->interface_count; i++) {
		free(config->interfaces[i].addresses);
		free(config->interfaces[i].routes);
	}
	free(config->track_scripts);
	free(config->interfaces);
	for (uint32_t i = 0; i < config->network_count; i++) {
		free(config->networks[i].cidrs);
		rules_free(
		    config->networks[i].egress, config->networks[i].egress_count);
	}
	free(config->networks);
	for (uint32_t i = 0; i < config->public_address_count; i++)
		rules_free(config->public_addresses[i].ingress,
		    config->public_addresses[i].ingress_count);
	free(config->public_addresses);
	free(config->static_nats);
	for (uint32_t i = 0; i < config->port_forward_count; i++)
		free(config->port_forwards[i].sources);
	free(config->port_forwards);
	for (uint32_t i = 0; i < config->balancer_count; i++) {
		free(config->balancers[i].binds);
		free(config->balancers[i].sources);
		free(config->balancers[i].servers);
	}
	free(config->balancers);
	free(config);
}

static void
set_error(struct td_config_error *error, const struct config_tree *tree,
    const struct config_complaint *complaint)
{
	const struct config_node *node = config_tree_find(tree, complaint->key);

	error->line = node->line;
	error->column = node->column;
	snprintf(error->key, sizeof(error->key), "%s", complaint->key);
	snprintf(error->reason, sizeof(error->reason), "%s", complaint->reason);
}

static bool
find_self(
    struct td_config *config, const char *node, struct config_complaint *ret_complaint)
{
	if (node == NULL)
		return true;
	for (uint32_t i = 0; i < TD_NODES; i++)
		if (strcmp(config->nodes[i].name, node) == 0) {
			config->self = i;
			return true;
		}
	snprintf(ret_complaint->key, sizeof(ret_complaint->key), "nodes");
	snprintf(ret_complaint->reason, sizeof(ret_complaint->reason),
	    "no node is named '%.40s'", node);
	return false;
}

struct td_config *
td_config_parse(const char *text, size_t len, const char *file, const char *node,
    struct td_config_error *ret_error)
{
	struct td_config *config = NULL;
	struct yaml_config *yaml = NULL;
	struct config_complaint complaint;
	struct config_tree tree;

	*ret_error = (struct td_config_error){ .line = 0 };
	snprintf(ret_error->file, sizeof(ret_error->file), "%s", file);
	if (!config_tree_parse(&tree, text, len, ret_error))
		goto out;
	yaml = config_yaml_load(&tree, text, len, ret_error);
	if (yaml == NULL)
		goto out;
	config = config_build(yaml, &complaint);
	if (config == NULL || !config_check(config, &complaint) ||
	    !find_self(config, node, &complaint)) {
		set_error(ret_error, &tree, &complaint);
		td_config_free(config);
		config = NULL;
	} else if (!td_config_digest(config)) {
		snprintf(ret_error->reason, sizeof(ret_error->reason), "no memory");
		td_config_free(config);
		config = NULL;
	}
out:
	config_yaml_free(yaml);
	config_tree_free(&tree);
	return config;
}

/* The whole file, up to one byte more than is allowed. */
static int
read_file(const char *path, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len = 0, size = 0;
	int r = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (len == size) {
			char *larger;

			if (len > CONFIG_BYTES_MAX)
				break;
			size = size > 0 ? 2 * size : 65536;
			larger = realloc(text, size);
			if (larger == NULL) {
				r = -ENOMEM;
				break;
			}
			text = larger;
		}
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

struct td_config *
td_config_load(const char *path, const char *node, struct td_config_error *ret_error)
{
	struct td_config *config;
	char *text = NULL;
	size_t len = 0;
	int r = read_file(path, &text, &len);

	if (r < 0) {
		*ret_error = (struct td_config_error){ .line = 0 };
		snprintf(ret_error->file, sizeof(ret_error->file), "%s", path);
		snprintf(
		    ret_error->reason, sizeof(ret_error->reason), "%s", strerror(-r));
		return NULL;
	}
	config = td_config_parse(text, len, path, node, ret_error);
	free(text);
	return config;
}
