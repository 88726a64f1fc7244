#include "common/config_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include <tandem/config.h>

#define ARENA_BYTES_MAX (256UL * 1024 * 1024)

struct parse {
	struct config_tree *tree;
	struct config_node *open; /* innermost open collection */
	unsigned depth;
	const char *key; /* seen in a mapping, waits for its value */
	unsigned key_line, key_column;
	struct td_config_error *error;
};

__attribute__((format(printf, 4, 5))) static bool
fail_at(struct parse *p, unsigned line, unsigned column, const char *reason, ...)
{
	va_list ap;

	p->error->line = line;
	p->error->column = column;
	p->error->key[0] = '\0';
	if (p->open != NULL)
		config_node_path(p->open, p->error->key, sizeof(p->error->key));
	if (p->key != NULL) {
		size_t len = strlen(p->error->key);

		snprintf(p->error->key + len, sizeof(p->error->key) - len, "%s%s",
		    len > 0 ? "." : "", p->key);
	}
	va_start(ap, reason);
	vsnprintf(p->error->reason, sizeof(p->error->reason), reason, ap);
	va_end(ap);
	return false;
}

static bool
fail_mark(struct parse *p, yaml_mark_t mark, const char *reason)
{
	return fail_at(
	    p, (unsigned)mark.line + 1, (unsigned)mark.column + 1, "%s", reason);
}

/* ---- the text as a whole ---- */

/* Length of the UTF-8 sequence at `at` (RFC 3629: no overlong form, no surrogate), or
 * 0. */
static size_t
utf8_sequence(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		unsigned long min;
	} form[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 } };

	for (size_t len = 1; len <= 4 && len <= left; len++) {
		unsigned long code = at[0] & (unsigned char)~form[len - 1].mask;

		if ((at[0] & form[len - 1].mask) != form[len - 1].lead)
			continue;
		for (size_t i = 1; i < len; i++) {
			if ((at[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (at[i] & 0x3f);
		}
		if (code < form[len - 1].min || code > 0x10ffff ||
		    (code >= 0xd800 && code <= 0xdfff))
			return 0;
		return len;
	}
	return 0;
}

static bool
text_valid(struct parse *p, const char *text, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned line = 1;
	size_t at = 0, line_start = 0, step;

	if (len > CONFIG_BYTES_MAX)
		return fail_at(p, 0, 0, "larger than %d MiB", CONFIG_BYTES_MAX >> 20);
	for (; at < len; at += step) {
		step = utf8_sequence(bytes + at, len - at);
		if (step == 0)
			return fail_at(
			    p, line, (unsigned)(at - line_start) + 1, "not UTF-8");
		if (bytes[at] == '\n') {
			line++;
			line_start = at + 1;
		} else if ((bytes[at] < ' ' && bytes[at] != '\t' &&
			       bytes[at] != '\r') ||
			   bytes[at] == 0x7f) {
			return fail_at(p, line, (unsigned)(at - line_start) + 1,
			    "control character 0x%02x", bytes[at]);
		}
	}
	return true;
}

/* ---- the tree ---- */

static const char *
keep_text(struct parse *p, const yaml_event_t *event)
{
	size_t len = event->data.scalar.length;
	char *text = arena_alloc(&p->tree->arena, len + 1);

	if (text != NULL)
		memcpy(text, event->data.scalar.value, len); /* the arena is zeroed */
	return text;
}

/* Escapes in double quotes can make characters that the text itself may not have. */
static bool
scalar_valid(struct parse *p, const yaml_event_t *event)
{
	for (size_t i = 0; i < event->data.scalar.length; i++) {
		unsigned char c = event->data.scalar.value[i];

		if (c < ' ' || c == 0x7f)
			return fail_mark(p, event->start_mark,
			    "a value must be on one line, without control characters");
	}
	return true;
}

const struct config_node *
config_node_child(const struct config_node *mapping, const char *key)
{
	for (const struct config_node *n = mapping->first; n != NULL; n = n->next)
		if (n->key != NULL && strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

static bool
take_key(struct parse *p, const yaml_event_t *event)
{
	const struct config_node *twin;
	const char *key;

	if (event->type != YAML_SCALAR_EVENT)
		return fail_mark(p, event->start_mark, "a key must be plain text");
	key = keep_text(p, event);
	if (key == NULL)
		return fail_mark(p, event->start_mark, "too large");
	twin = config_node_child(p->open, key);
	p->key = key;
	p->key_line = (unsigned)event->start_mark.line + 1;
	p->key_column = (unsigned)event->start_mark.column + 1;
	if (twin != NULL)
		return fail_at(p, p->key_line, p->key_column,
		    "given twice, first in line %u", twin->key_line);
	if (p->open->count >= CONFIG_KEYS_MAX)
		return fail_mark(p, event->start_mark, "too many keys");
	return true;
}

static bool
add_node(struct parse *p, const yaml_event_t *event, enum config_node_kind kind)
{
	struct config_node *node = arena_alloc(&p->tree->arena, sizeof(*node));

	if (node == NULL || ++p->tree->node_count > CONFIG_NODES_MAX)
		return fail_mark(p, event->start_mark, "too many values in this file");
	node->kind = kind;
	node->line = (unsigned)event->start_mark.line + 1;
	node->column = (unsigned)event->start_mark.column + 1;
	node->key = p->key;
	node->key_line = p->key_line;
	node->key_column = p->key_column;
	p->key = NULL;
	node->parent = p->open;
	if (p->open == NULL) {
		p->tree->root = node;
	} else {
		node->index = p->open->count++;
		if (p->open->last != NULL)
			p->open->last->next = node;
		else
			p->open->first = node;
		p->open->last = node;
	}
	if (kind == CONFIG_SCALAR) {
		node->text = keep_text(p, event);
		return node->text != NULL ||
		       fail_mark(p, event->start_mark, "too large");
	}
	if (++p->depth > CONFIG_DEPTH_MAX)
		return fail_mark(p, event->start_mark, "nested too deeply");
	p->open = node;
	return true;
}

static bool
refuse_extras(struct parse *p, const yaml_event_t *event, const yaml_char_t *anchor,
    const yaml_char_t *tag)
{
	if (anchor != NULL)
		return fail_mark(
		    p, event->start_mark, "anchors and aliases are not allowed");
	if (tag != NULL)
		return fail_mark(p, event->start_mark, "tags are not allowed");
	return true;
}

static bool
take_event(struct parse *p, const yaml_event_t *event)
{
	bool begins = event->type == YAML_SCALAR_EVENT ||
		      event->type == YAML_SEQUENCE_START_EVENT ||
		      event->type == YAML_MAPPING_START_EVENT;

	if (event->type == YAML_ALIAS_EVENT)
		return fail_mark(
		    p, event->start_mark, "anchors and aliases are not allowed");
	if (event->type == YAML_DOCUMENT_START_EVENT && p->tree->root != NULL)
		return fail_mark(p, event->start_mark, "a second document in one file");
	if (event->type == YAML_SCALAR_EVENT &&
	    (!refuse_extras(
		 p, event, event->data.scalar.anchor, event->data.scalar.tag) ||
		!scalar_valid(p, event)))
		return false;
	if (event->type == YAML_SEQUENCE_START_EVENT &&
	    !refuse_extras(p, event, event->data.sequence_start.anchor,
		event->data.sequence_start.tag))
		return false;
	if (event->type == YAML_MAPPING_START_EVENT &&
	    !refuse_extras(p, event, event->data.mapping_start.anchor,
		event->data.mapping_start.tag))
		return false;
	if (begins && p->open == NULL && event->type != YAML_MAPPING_START_EVENT)
		return fail_mark(p, event->start_mark,
		    event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0
			? "the file is empty"
			: "the file must be a mapping (key: value)");
	if (begins && p->open != NULL && p->open->kind == CONFIG_MAPPING &&
	    p->key == NULL)
		return take_key(p, event);
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return add_node(p, event, CONFIG_SCALAR);
	case YAML_SEQUENCE_START_EVENT:
		return add_node(p, event, CONFIG_SEQUENCE);
	case YAML_MAPPING_START_EVENT:
		return add_node(p, event, CONFIG_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		p->open = p->open->parent;
		p->depth--;
		return true;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_ALIAS_EVENT:
		return true;
	}
	return true;
}

static bool
fail_syntax(struct parse *p, const yaml_parser_t *parser, const char *text, size_t len)
{
	size_t at = parser->problem_mark.index;

	/* The mark counts characters; a tab is found from the bytes only in an ASCII
	 * file, where it matters: people indent with it. */
	if (at < len && text[at] == '\t')
		return fail_mark(p, parser->problem_mark,
		    "a tab where YAML wants spaces for indentation");
	return fail_mark(p, parser->problem_mark,
	    parser->problem != NULL ? parser->problem : "not YAML");
}

bool
config_tree_parse(struct config_tree *tree, const char *text, size_t len,
    struct td_config_error *ret_error)
{
	struct parse p = { .tree = tree, .error = ret_error };
	yaml_parser_t parser;
	bool ok = true, end = false;

	*tree = (struct config_tree){ .root = NULL };
	arena_init(&tree->arena, ARENA_BYTES_MAX);
	if (!text_valid(&p, text, len))
		return false;
	if (!yaml_parser_initialize(&parser))
		return fail_at(&p, 0, 0, "no memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (ok && !end) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			ok = fail_syntax(&p, &parser, text, len);
			break;
		}
		end = event.type == YAML_STREAM_END_EVENT;
		ok = take_event(&p, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (ok && tree->root == NULL)
		ok = fail_at(&p, 1, 1, "the file is empty");
	return ok;
}

void
config_tree_free(struct config_tree *tree)
{
	arena_fini(&tree->arena);
	tree->root = NULL;
}

/* ---- paths ---- */

static const struct config_node *
child_at(const struct config_node *sequence, unsigned long index)
{
	const struct config_node *n = sequence->first;

	while (n != NULL && n->index != index)
		n = n->next;
	return n;
}

const struct config_node *
config_tree_find(const struct config_tree *tree, const char *path)
{
	const struct config_node *node = tree->root;

	while (node != NULL && *path != '\0') {
		const struct config_node *child = NULL;

		if (*path == '[') {
			char *end;
			unsigned long index = strtoul(path + 1, &end, 10);

			if (node->kind == CONFIG_SEQUENCE && *end == ']')
				child = child_at(node, index);
			path = *end == ']' ? end + 1 : end;
		} else {
			size_t len = strcspn(path, ".[");
			char key[64];

			if (node->kind == CONFIG_MAPPING && len < sizeof(key)) {
				memcpy(key, path, len);
				key[len] = '\0';
				child = config_node_child(node, key);
			}
			path += len;
		}
		if (child == NULL)
			break;
		node = child;
		if (*path == '.')
			path++;
	}
	return node;
}

void
config_node_path(const struct config_node *node, char *ret_path, size_t size)
{
	const struct config_node *way[CONFIG_DEPTH_MAX + 2];
	unsigned depth = 0;
	size_t len = 0;

	ret_path[0] = '\0';
	for (; node != NULL && node->parent != NULL && depth < CONFIG_DEPTH_MAX + 2;
	     node = node->parent)
		way[depth++] = node;
	while (depth-- > 0 && len < size) {
		int n;

		if (way[depth]->parent->kind == CONFIG_SEQUENCE)
			n = snprintf(
			    ret_path + len, size - len, "[%u]", way[depth]->index);
		else
			n = snprintf(ret_path + len, size - len, "%s%s",
			    len > 0 ? "." : "", way[depth]->key);
		len += (size_t)n;
	}
}
