/*
 * config_tree.h - a YAML text as a tree that knows its lines.
 *
 * What a configuration never needs is refused here, with its line: anchors and aliases,
 * tags, several documents, keys given twice, text that is not UTF-8, control characters,
 * more nodes or depth than any real file has. libcyaml then reads what is left.
 *
 * Memory   all in the tree's arena.
 */
#ifndef TANDEM_COMMON_CONFIG_TREE_H
#define TANDEM_COMMON_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include "common/arena.h"

#define CONFIG_BYTES_MAX (16 * 1024 * 1024)
#define CONFIG_DEPTH_MAX 16
#define CONFIG_NODES_MAX 500000
#define CONFIG_KEYS_MAX 64 /* of one mapping */

struct td_config_error;

enum config_node_kind { CONFIG_SCALAR, CONFIG_SEQUENCE, CONFIG_MAPPING };

struct config_node {
	enum config_node_kind kind;
	unsigned line, column;
	const char *text; /* of a scalar */
	const char *key;  /* in a mapping */
	unsigned key_line, key_column;
	unsigned index;   /* among its parent's children */
	unsigned count;   /* children */
	struct config_node *parent, *first, *last, *next;
};

struct config_tree {
	struct arena arena;
	struct config_node *root; /* a mapping */
	unsigned node_count;
};

/* False with line, column, key and reason of *ret_error filled; file is left alone.
 * config_tree_free in either case. */
bool config_tree_parse(struct config_tree *tree, const char *text, size_t len,
    struct td_config_error *ret_error);
void config_tree_free(struct config_tree *tree);

/* The node at a path such as interfaces[1].addresses[0], or the deepest that exists. */
const struct config_node *config_tree_find(const struct config_tree *tree, const char *path);

/* The path of a node, cut to `size`; "" for the root. */
void config_node_path(const struct config_node *node, char *ret_path, size_t size);

const struct config_node *config_node_child(const struct config_node *mapping,
    const char *key);

#endif
