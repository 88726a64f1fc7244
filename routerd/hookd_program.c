/* hookd_program.c - what tandem-hookd may run, and what it tells it. */
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <tandem/assert.h>
#include "common/config_check.h"
#include "routerd/hook_path.h"
#include "routerd/hookd.h"

#define PROBLEM_MAX 512

void
environment_set(struct hookd_environment *env, const char *name, const char *value)
{
	td_assert(env->count < HOOKD_VARIABLES_MAX);
	snprintf(env->variable[env->count++], HOOKD_VARIABLE_MAX, "TANDEM_%s=%s", name,
	    value);
}

void
environment_init(struct hookd_environment *env, const struct hookd *h)
{
	env->count = 0;
	environment_set(env, "INSTANCE", room_instance(h->room));
	environment_set(env, "CLUSTER", h->config->cluster);
	environment_set(env, "NODE", h->config->nodes[h->config->self].name);
}

int
hookd_start_program(const struct hookd *h, struct hook_run *run,
    struct hook_output *output, const char *who, const char *const *argv,
    const struct hookd_environment *env, char *ret_problem, size_t size)
{
	const char *envp[HOOKD_VARIABLES_MAX + 2] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	};
	int error, output_fd;

	if (h->user_problem[0] != '\0') {
		snprintf(ret_problem, size, "%s", h->user_problem);
		return -EPERM;
	}
	error = hook_path_check(argv[0], ret_problem, size);
	if (error < 0)
		return error;
	for (unsigned i = 0; i < env->count; i++)
		envp[1 + i] = env->variable[i];
	output_fd = error = hook_output_open(output, h->loop, who);
	if (error >= 0) {
		error = hook_run_start(run, argv, envp, h->lock_fd, output_fd);
		close(output_fd);
	}
	if (error < 0) {
		hook_output_close(output);
		snprintf(ret_problem, size, "%s", strerror(-error));
	}
	return error;
}

bool
hookd_reap_program(
    struct hook_run *run, struct hook_output *output, int *ret_wait_status)
{
	if (!hook_run_reap(run, ret_wait_status))
		return false;
	hook_output_close(output);
	return true;
}

/* A development machine without our users runs everything as root (--users root). */
static bool
user_is_missing(const struct td_hooks_config *hooks)
{
	struct td_hooks_config none;

	config_hooks_default(&none);
	return getpwnam(hooks->user) == NULL &&
	       (geteuid() != 0 || strcmp(hooks->user, none.user) != 0);
}

/* tandemd gave this process its user; one that is asked for later comes with a new
 * process. */
void
hookd_judge_user(struct hookd *h)
{
	const char *user = h->config->hooks.user;
	const struct passwd *pw = getpwnam(user);

	h->user_problem[0] = '\0';
	if (user_is_missing(&h->config->hooks))
		snprintf(h->user_problem, sizeof(h->user_problem),
		    "hooks.user '%s' does not exist", user);
	else if (pw != NULL && pw->pw_uid != geteuid())
		snprintf(h->user_problem, sizeof(h->user_problem),
		    "hooks.user '%s' is not the user of this process", user);
}

__attribute__((format(printf, 4, 5))) static int
judge_program(
    const char *path, char *ret_problem, size_t size, const char *key_format, ...)
{
	char problem[PROBLEM_MAX], key[64];
	int error = hook_path_check(path, problem, sizeof(problem));
	va_list ap;

	if (error == 0)
		return 0;
	va_start(ap, key_format);
	vsnprintf(key, sizeof(key), key_format, ap);
	va_end(ap);
	snprintf(ret_problem, size, "%s: %.400s", key, problem);
	return error;
}

int
hookd_judge_config(const struct td_config *config, char *ret_problem, size_t size)
{
	const struct td_hooks_config *hooks = &config->hooks;
	bool any = td_hooks_any(hooks) || config->track_script_count > 0;
	int error = 0;

	for (unsigned hook = 0; hook < TD_HOOK_COUNT && error == 0; hook++)
		if (hooks->path[hook][0] != '\0')
			error = judge_program(hooks->path[hook], ret_problem, size,
			    "hooks.%s", td_hook_name((enum td_hook)hook));
	for (uint32_t i = 0; i < config->track_script_count && error == 0; i++)
		error = judge_program(config->track_scripts[i].path, ret_problem, size,
		    "track_scripts[%u].script", i);
	if (error == 0 && any && user_is_missing(hooks)) {
		snprintf(
		    ret_problem, size, "hooks.user: '%s' does not exist", hooks->user);
		error = -EINVAL;
	}
	return error;
}
