/*
 * mgmtd_http.c - /metrics, /api/v1, the status page, /healthz; only GET, on the
 * management address only. libmicrohttpd runs inside our loop: a request is suspended
 * while the rooms are asked, and resumed with the finished page.
 */
#include "routerd/mgmtd.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "common/log.h"
#include "routerd/core/metrics.h"
#include "routerd/core/report.h"
#include "routerd/core/section.h"

#define CONNECTIONS_MAX 64
#define IDLE_SECONDS 10

struct http {
	struct mgmtd *m;
	struct MHD_Daemon *daemon;
	struct loop_fd lf; /* libmicrohttpd's epoll descriptor */
	struct loop_timer timer;
	int listen_fd;
};

enum page {
	PAGE_STATUS_HTML,
	PAGE_STATUS_JSON,
	PAGE_METRICS,
	PAGE_SECTION,
	PAGE_HEALTH
};

struct http_request {
	struct http *http;
	struct MHD_Connection *connection;
	enum page page;
	const struct section *section;
	struct text body;
	bool ready;
};

static void
drive(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES)
		loop_timer_set(&h->timer,
		    instant_add(loop_now(h->m->loop), (int64_t)wait_ms * NS_PER_MS));
	else
		loop_timer_cancel(&h->timer);
}

static void
on_epoll(struct loop_fd *lf, uint32_t events)
{
	(void)events;
	drive(lf->context);
}

static void
on_timer(struct loop_timer *timer)
{
	drive(timer->context);
}

/* Paths to pages; sections by name under /api/v1/. */
static bool
route(const char *url, enum page *ret_page, const struct section **ret_section)
{
	static const char api[] = "/api/v1/";

	*ret_section = NULL;
	if (strcmp(url, "/") == 0)
		*ret_page = PAGE_STATUS_HTML;
	else if (strcmp(url, "/metrics") == 0)
		*ret_page = PAGE_METRICS;
	else if (strcmp(url, "/healthz") == 0)
		*ret_page = PAGE_HEALTH;
	else if (strcmp(url, "/api/v1/status") == 0)
		*ret_page = PAGE_STATUS_JSON;
	else if (strncmp(url, api, sizeof(api) - 1) == 0 &&
		 (*ret_section = section_find(url + sizeof(api) - 1)) != NULL)
		*ret_page = PAGE_SECTION;
	else
		return false;
	return true;
}

static const char *
content_type(enum page page)
{
	switch (page) {
	case PAGE_STATUS_HTML:
		return "text/html; charset=utf-8";
	case PAGE_STATUS_JSON:
	case PAGE_SECTION:
		return "application/json";
	case PAGE_METRICS:
		return "text/plain; version=0.0.4; charset=utf-8";
	case PAGE_HEALTH:
		break;
	}
	return "text/plain; charset=utf-8";
}

static void
render(struct http_request *r, struct sample_set *set)
{
	const char *instance = room_instance(r->http->m->room);

	switch (r->page) {
	case PAGE_STATUS_HTML:
		report_html(&r->body, set, instance);
		break;
	case PAGE_STATUS_JSON:
		report_json(&r->body, set, instance);
		break;
	case PAGE_METRICS:
		metrics_render(&r->body, set, instance);
		break;
	case PAGE_SECTION:
		pivot_json(&r->body, set, r->section->filter, r->section->prefix);
		text_puts(&r->body, "\n");
		break;
	case PAGE_HEALTH:
		text_printf(&r->body, "%u alarms\n", report_alarm_count(set));
		break;
	}
}

static void
on_collected(void *context, struct sample_set *set)
{
	struct http_request *r = context;

	render(r, set);
	samples_free(set);
	r->ready = true;
	MHD_resume_connection(r->connection);
	/* Resuming takes effect in the next run. */
	loop_timer_set(&r->http->timer, loop_now(r->http->m->loop));
}

static enum MHD_Result
respond(struct MHD_Connection *connection, unsigned code, const char *type,
    const char *body, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	result = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, unsigned code, const char *body)
{
	return respond(
	    connection, code, "text/plain; charset=utf-8", body, strlen(body));
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_len,
    void **state)
{
	struct http *h = context;
	struct http_request *r = *state;
	enum page page;
	const struct section *section;

	(void)version;
	(void)upload;
	if (r != NULL) {
		if (!r->ready)
			return MHD_YES;
		return r->body.failed
			   ? refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
				 "out of memory\n")
			   : respond(connection, MHD_HTTP_OK, content_type(r->page),
				 r->body.bytes, r->body.len);
	}
	if (*upload_len != 0 ||
	    (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (!route(url, &page, &section))
		return refuse(connection, MHD_HTTP_NOT_FOUND, "not found\n");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return MHD_NO;
	*r = (struct http_request){
		.http = h, .connection = connection, .page = page, .section = section
	};
	*state = r;
	MHD_suspend_connection(connection);
	if (collect_status(h->m, on_collected, r) == NULL) {
		r->ready = r->body.failed = true;
		MHD_resume_connection(connection);
	}
	return MHD_YES;
}

static void
on_completed(void *context, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code)
{
	struct http_request *r = *state;

	(void)context;
	(void)connection;
	(void)code;
	if (r == NULL)
		return;
	text_free(&r->body);
	free(r);
	*state = NULL;
}

void
http_open(struct mgmtd *m, int listen_fd)
{
	struct http *h;
	const union MHD_DaemonInfo *info;

	http_close(m);
	h = calloc(1, sizeof(*h));
	if (h == NULL) {
		close(listen_fd);
		return;
	}
	h->m = m;
	loop_timer_init(m->loop, &h->timer, on_timer, h);
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
	    NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, listen_fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	info = h->daemon != NULL
		   ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)
		   : NULL;
	if (info == NULL ||
	    loop_fd_add(m->loop, &h->lf, info->epoll_fd, EPOLLIN, on_epoll, h) < 0) {
		log_err("http", "the listener cannot be served");
		if (h->daemon != NULL)
			MHD_stop_daemon(h->daemon);
		else
			close(listen_fd);
		free(h);
		return;
	}
	m->http = h;
	drive(h);
}

void
http_close(struct mgmtd *m)
{
	struct http *h = m->http;

	if (h == NULL)
		return;
	/* Pages being collected end first: their connections must not be suspended any
	 * more. */
	collect_finish_all(m, on_collected);
	loop_fd_remove(&h->lf);
	MHD_stop_daemon(h->daemon); /* closes the listener */
	loop_timer_cancel(&h->timer);
	free(h);
	m->http = NULL;
}
