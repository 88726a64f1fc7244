#include "ctl/local.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <tandem/config.h>
#include "common/z85.h"
#include "routerd/control_wire.h"
#include "routerd/core/text.h"
#include "routerd/hook_path.h"

static void
print_config_error_text(const struct td_config_error *e)
{
	char where[32] = "";

	if (e->line > 0)
		snprintf(where, sizeof(where), ":%u:%u", e->line, e->column);
	fprintf(stderr, "%s%s: %s%s%s\n", e->file, where, e->key,
	    e->key[0] != '\0' ? ": " : "", e->reason);
}

static void
print_config_error_json(const struct td_config_error *e)
{
	struct text out = { 0 };

	text_puts(&out, "{\"ok\": false, \"file\": ");
	text_json_string(&out, e->file);
	text_printf(
	    &out, ", \"line\": %u, \"column\": %u, \"key\": ", e->line, e->column);
	text_json_string(&out, e->key);
	text_puts(&out, ", \"reason\": ");
	text_json_string(&out, e->reason);
	text_puts(&out, "}\n");
	fputs(out.bytes != NULL ? out.bytes : "", stdout);
	text_free(&out);
}

static void
print_config_error(const struct command *command, const struct td_config_error *e)
{
	if (command->json)
		print_config_error_json(e);
	else
		print_config_error_text(e);
}

/* That a program is not here is no error: the file may be for another machine. */
__attribute__((format(printf, 3, 4))) static bool
program_allowed(
    const struct command *command, const char *path, const char *key_format, ...)
{
	struct td_config_error e = { 0 };
	int error = hook_path_check(path, e.reason, sizeof(e.reason));
	va_list ap;

	va_start(ap, key_format);
	vsnprintf(e.key, sizeof(e.key), key_format, ap);
	va_end(ap);
	snprintf(e.file, sizeof(e.file), "%s", command->file);
	if (error == -ENOENT)
		fprintf(stderr, "%s: %s (on this machine)\n", e.key, e.reason);
	else if (error < 0)
		print_config_error(command, &e);
	return error == 0 || error == -ENOENT;
}

/* What this machine says about what the file wants to be run. */
static bool
programs_allowed(const struct command *command, const struct td_config *config)
{
	for (unsigned hook = 0; hook < TD_HOOK_COUNT; hook++)
		if (config->hooks.path[hook][0] != '\0' &&
		    !program_allowed(command, config->hooks.path[hook], "hooks.%s",
			td_hook_name((enum td_hook)hook)))
			return false;
	for (uint32_t i = 0; i < config->track_script_count; i++)
		if (!program_allowed(command, config->track_scripts[i].path,
			"track_scripts[%u].script", i))
			return false;
	if ((td_hooks_any(&config->hooks) || config->track_script_count > 0) &&
	    getpwnam(config->hooks.user) == NULL)
		fprintf(stderr, "hooks.user: '%s' does not exist (on this machine)\n",
		    config->hooks.user);
	return true;
}

int
local_check_config(const struct command *command)
{
	struct td_config_error error = { 0 };
	struct td_config *config = td_config_load(command->file, command->node, &error);
	char hex[2 * TD_DIGEST_BYTES + 1];

	if (config == NULL) {
		print_config_error(command, &error);
		return CTL_FAILED;
	}
	if (!programs_allowed(command, config)) {
		td_config_free(config);
		return CTL_FAILED;
	}
	sodium_bin2hex(hex, sizeof(hex), config->digest, sizeof(config->digest));
	if (command->json)
		printf("{\"ok\": true, \"digest\": \"%s\"}\n", hex);
	else
		printf("%s: valid, digest %.12s\n", command->file, hex);
	td_config_free(config);
	return CTL_OK;
}

int
local_read_config(const struct command *command, char **ret_text)
{
	const char *file = command->file, *node = command->node;
	struct td_config_error error = { 0 };
	struct td_config *config;
	char *text = malloc(CONTROL_CONFIG_MAX + 1);
	FILE *stream = fopen(file, "re");
	size_t len;
	int code = CTL_FAILED;

	if (stream == NULL || text == NULL) {
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
	} else if ((len = fread(text, 1, CONTROL_CONFIG_MAX + 1, stream)) >
		   CONTROL_CONFIG_MAX) {
		fprintf(stderr, "%s: larger than the %u bytes that can be applied\n",
		    file, CONTROL_CONFIG_MAX);
	} else if (memchr(text, '\0', len) != NULL) {
		fprintf(stderr, "%s: not text\n", file);
	} else if ((config = td_config_parse(text, len, file, node, &error)) == NULL) {
		print_config_error(command, &error);
	} else {
		td_config_free(config);
		text[len] = '\0';
		*ret_text = text;
		text = NULL;
		code = CTL_OK;
	}
	if (stream != NULL)
		fclose(stream);
	free(text);
	return code;
}

static void
print_public(const struct command *command, const char *path, const char *public_key)
{
	struct text out = { 0 };

	if (command->json) {
		text_puts(&out, "{\"file\": ");
		text_json_string(&out, path);
		text_puts(&out, ", \"public_key\": ");
		text_json_string(&out, public_key);
		text_puts(&out, "}\n");
		fputs(out.bytes != NULL ? out.bytes : "", stdout);
		text_free(&out);
	} else {
		printf("public_key: \"%s\"\n", public_key);
	}
}

static int
show_key(const struct command *command, const char *path)
{
	uint8_t secret[Z85_KEY_BYTES], public[Z85_KEY_BYTES];
	char text[64] = "", public_text[Z85_KEY_STRLEN];
	FILE *stream = fopen(path, "re");
	bool valid = stream != NULL && fgets(text, sizeof(text), stream) != NULL;

	if (stream != NULL)
		fclose(stream);
	text[strcspn(text, "\n")] = '\0';
	valid = valid && z85_key_decode(text, secret);
	sodium_memzero(text, sizeof(text));
	if (!valid || crypto_scalarmult_base(public, secret) != 0) {
		fprintf(stderr, "tandemctl: %s: no readable key\n", path);
		return CTL_FAILED;
	}
	sodium_memzero(secret, sizeof(secret));
	z85_key_encode(public, public_text);
	print_public(command, path, public_text);
	return CTL_OK;
}

/* A new file next to the old one, so that there is never half a key. */
static int
write_secret(const char *path, const char *text, bool force)
{
	char temporary[512];
	int fd, error = 0;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd =
	    open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n", text) != Z85_KEY_STRLEN || fsync(fd) < 0)
		error = errno != 0 ? -errno : -EIO;
	close(fd);
	/* link refuses to replace, rename does not. */
	if (error == 0 && (force ? rename(temporary, path) : link(temporary, path)) < 0)
		error = -errno;
	unlink(temporary);
	return error;
}

int
local_keygen(const struct command *command)
{
	uint8_t secret[Z85_KEY_BYTES], public[Z85_KEY_BYTES];
	char secret_text[Z85_KEY_STRLEN], public_text[Z85_KEY_STRLEN];
	char path[256];
	int error;

	if (command->file == NULL && command->instance == NULL) {
		fputs("tandemctl: keygen: --instance NAME or --out FILE\n", stderr);
		return CTL_USAGE;
	}
	if (command->file != NULL) {
		snprintf(path, sizeof(path), "%s", command->file);
	} else {
		mkdir(TANDEM_STATEDIR, 0755);
		snprintf(path, sizeof(path), TANDEM_STATEDIR "/%s", command->instance);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), TANDEM_STATEDIR "/%s/secret.key",
		    command->instance);
	}
	if (sodium_init() < 0)
		return CTL_FAILED;
	if (command->show)
		return show_key(command, path);
	crypto_box_keypair(public, secret);
	z85_key_encode(secret, secret_text);
	z85_key_encode(public, public_text);
	error = write_secret(path, secret_text, command->force);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(secret_text, sizeof(secret_text));
	if (error < 0) {
		fprintf(stderr, "tandemctl: %s: %s%s\n", path, strerror(-error),
		    error == -EEXIST
			? " (--show tells its public key, --force replaces it)"
			: "");
		return CTL_FAILED;
	}
	print_public(command, path, public_text);
	return CTL_OK;
}
