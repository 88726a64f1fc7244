/*
 * Only in sanitized builds, in every program of them: where a report goes.
 *
 * A report must not be lost because its process may open no file (Landlock), write none
 * (RLIMIT_FSIZE) or has a stderr that nobody reads: log_path would lose it. While a
 * test reads the FIFO SANITIZER_REPORTS, each process opens it before main() and
 * reports there; a FIFO is neither a file to open later nor one with a size. Without a
 * reader reports go to stderr, as ever.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

/* Above the numbers that a supervisor gives to its children, below their limit. */
#define FD_MIN 20

/* gcc's two runtimes each write to a descriptor of their own, and the second one closes
 * that of the first when it wakes up: they cannot share one. */
static int address_fd = -1, undefined_fd = -1;
static void (*set_undefined_fd)(void *fd);

/* A runtime believes only the process that set the number, not its child. */
static void
report_there(void)
{
	__sanitizer_set_report_fd((void *)(intptr_t)address_fd);
	if (set_undefined_fd != NULL)
		set_undefined_fd((void *)(intptr_t)undefined_fd);
}

__attribute__((constructor)) static void
open_reports(void)
{
	int fifo = open(SANITIZER_REPORTS, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	void *runtime = dlopen("libubsan.so.1", RTLD_NOLOAD | RTLD_NOW);

	if (fifo < 0)
		return;
	/* A full pipe waits for its reader instead of cutting a report short. */
	fcntl(fifo, F_SETFL, O_WRONLY);
	address_fd = fcntl(fifo, F_DUPFD_CLOEXEC, FD_MIN);
	undefined_fd = fcntl(fifo, F_DUPFD_CLOEXEC, FD_MIN);
	close(fifo);
	if (runtime != NULL)
		*(void **)&set_undefined_fd =
		    dlsym(runtime, "__sanitizer_set_report_fd");
	if (address_fd < 0 || undefined_fd < 0)
		return;
	pthread_atfork(NULL, NULL, report_there);
	report_there();
}

/* Looking for leaks takes a clone and /proc. A process that may have neither would fail
 * at its end for that alone: in tandem-mgmtd and in the parser nobody looks for leaks.
 */
int
__lsan_is_turned_off(void)
{
	int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct rlimit children;

	if (tasks >= 0)
		close(tasks);
	return tasks < 0 || (getuid() != 0 && getrlimit(RLIMIT_NPROC, &children) == 0 &&
				children.rlim_cur == 0);
}
