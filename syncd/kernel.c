/* This kernel's conntrack table: into the session, and out of it. */
#include "syncd/syncd.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include "common/log.h"

#define EVENTS_PER_WAKE 4096
#define BACKLOG_PASSES 16 /* more than the socket's buffer holds */
#define AUDIT_INTERVAL_NS (20 * NS_PER_S)
#define AUDIT_RETRY_NS NS_PER_S
#define DUMP_STEP_NS (5 * NS_PER_MS)
#define DUMP_STEP_ENTRIES 2000

/* ---- out of the session ---- */

static void
sink_upsert(void *context, uint32_t index, const struct flow_record *flow,
    uint32_t timeout_s, bool present)
{
	struct syncd *sd = context;
	unsigned flags = present ? CT_INJECT_EXPECT_PRESENT : 0;

	/* The Active router's own entries are in use; a Backup's are all replicas. */
	if (sd->session.authority.side != SYNC_SELF)
		flags |= CT_INJECT_REPLACE;
	ct_inject_upsert(sd->inject, flow, timeout_s > 0 ? timeout_s : 1, flags, index);
}

static void
sink_delete(void *context, const struct flow_key *key)
{
	struct syncd *sd = context;

	ct_inject_delete(sd->inject, key, SHADOW_NONE);
}

static void
sink_flush(void *context)
{
	struct syncd *sd = context;
	int r = ct_inject_flush(sd->inject);

	if (r < 0)
		log_limited(
		    LOG_LV_ERR, "sync", 1, "conntrack injection: %s", strerror(-r));
}

void
kernel_sink(struct syncd *sd, struct sync_sink *sink)
{
	(void)sd;
	sink->kernel_upsert = sink_upsert;
	sink->kernel_delete = sink_delete;
	sink->kernel_flush = sink_flush;
}

static void
on_result(void *context, const struct ct_result *result)
{
	struct syncd *sd = context;

	if (result->outcome == CT_REFUSED)
		log_limited(LOG_LV_WARN, "sync", 1, "the kernel refused a flow: %s",
		    strerror(-result->status));
	if (result->cookie < SHADOW_NONE)
		sync_session_applied(&sd->session, (uint32_t)result->cookie,
		    result->outcome == CT_REFUSED ? result->status : 0);
}

/* ---- into the session ---- */

static void
on_event(void *context, const struct ct_event *event)
{
	struct syncd *sd = context;
	enum sync_local what = SYNC_LOCAL_CHANGED;

	switch (event->kind) {
	case CT_EVENT_NEW:
	case CT_EVENT_UPDATE:
		break;
	case CT_EVENT_DESTROY:
		what = SYNC_LOCAL_DESTROYED;
		break;
	case CT_EVENT_DUMPED:
		what = SYNC_LOCAL_DUMPED;
		break;
	}
	sync_session_local(&sd->session, what, event->flow, loop_now(sd->loop));
}

static void
on_overrun(void *context)
{
	struct syncd *sd = context;

	log_limited(LOG_LV_WARN, "sync", 1,
	    "conntrack events were lost: reading the whole table");
	kernel_audit_now(sd);
}

int
kernel_read_events(struct syncd *sd)
{
	int r = ct_events_drain(sd->events, EVENTS_PER_WAKE);

	if (r < 0)
		log_limited(
		    LOG_LV_ERR, "sync", 1, "conntrack events: %s", strerror(-r));
	return r;
}

void
kernel_read_backlog(struct syncd *sd)
{
	unsigned passes = 0;

	while (kernel_read_events(sd) == EVENTS_PER_WAKE && ++passes < BACKLOG_PASSES)
		;
	if (passes == BACKLOG_PASSES)
		log_limited(LOG_LV_WARN, "sync", 1,
		    "conntrack events come faster than they are read");
}

static void
on_events_readable(struct loop_fd *lf, uint32_t epoll_events)
{
	struct syncd *sd = lf->context;

	(void)epoll_events;
	kernel_read_events(sd);
	syncd_wake(sd);
}

/* ---- audits: a paced dump, merged ---- */

void
kernel_audit_now(struct syncd *sd)
{
	sd->audit_wanted = true;
	if (!ct_dump_running(sd->dump))
		loop_timer_set(&sd->audit_timer, loop_now(sd->loop));
}

static void
audit_step(struct syncd *sd)
{
	struct td_instant now = loop_now(sd->loop);
	int r = 0;

	if (!ct_dump_running(sd->dump)) {
		kernel_filter_update(sd);
		sd->audit_wanted = false;
		r = ct_dump_start(sd->dump, 0);
		if (r == 0)
			sync_session_audit_begin(&sd->session);
	}
	if (r == 0)
		r = ct_dump_step(sd->dump, DUMP_STEP_ENTRIES);
	if (r == 1) {
		loop_timer_set(&sd->audit_timer, instant_add(now, DUMP_STEP_NS));
		return;
	}
	if (r < 0) {
		log_limited(LOG_LV_WARN, "sync", 1, "conntrack dump: %s", strerror(-r));
		loop_timer_set(&sd->audit_timer, instant_add(now, AUDIT_RETRY_NS));
		return;
	}
	sync_session_audit_end(&sd->session);
	if (!sd->session.ready) {
		log_info(
		    "sync", "conntrack table read flows=%u", shadow_flows(&sd->shadow));
		sync_session_ready(&sd->session, now);
	}
	loop_timer_set(&sd->audit_timer,
	    sd->audit_wanted ? now : instant_add(now, AUDIT_INTERVAL_NS));
}

static void
on_audit(struct loop_timer *timer)
{
	struct syncd *sd = timer->context;

	audit_step(sd);
	syncd_wake(sd);
}

/* ---- the router's own addresses: their flows are never replicated ---- */

static bool
is_virtual(const struct td_config *config, const struct td_addr *addr)
{
	for (uint32_t i = 0; i < config->interface_count; i++) {
		const struct td_interface *itf = &config->interfaces[i];

		for (uint32_t j = 0; j < itf->address_count; j++) {
			if (td_addr_equal(&itf->addresses[j].addr, addr))
				return true;
		}
	}
	return false;
}

static bool
take_address(const struct sockaddr *sa, struct td_addr *ret_addr)
{
	memset(ret_addr, 0, sizeof(*ret_addr));
	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in =
		    (const struct sockaddr_in *)(const void *)sa;

		ret_addr->family = TD_AF_INET;
		memcpy(ret_addr->bytes, &in->sin_addr, 4);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 =
		    (const struct sockaddr_in6 *)(const void *)sa;

		ret_addr->family = TD_AF_INET6;
		memcpy(ret_addr->bytes, &in6->sin6_addr, 16);
		return true;
	}
	return false;
}

void
kernel_filter_update(struct syncd *sd)
{
	struct ct_filter filter;
	struct ifaddrs *all;
	int r;

	memset(&filter, 0, sizeof(filter));
	ct_filter_add_own_portid(&filter, ct_inject_portid(sd->inject));
	for (uint32_t i = 0; i < TD_NODES; i++) {
		for (uint32_t j = 0; j < TD_SYNC_LINKS_MAX; j++) {
			if (sd->config->nodes[i].sync_address[j].family != 0)
				ct_filter_add_local(
				    &filter, &sd->config->nodes[i].sync_address[j]);
		}
	}
	if (getifaddrs(&all) < 0) {
		log_limited(
		    LOG_LV_WARN, "sync", 1, "own addresses: %s", strerror(errno));
		return;
	}
	for (const struct ifaddrs *ifa = all; ifa != NULL; ifa = ifa->ifa_next) {
		struct td_addr addr;

		if (take_address(ifa->ifa_addr, &addr) &&
		    !is_virtual(sd->config, &addr) &&
		    !ct_filter_add_local(&filter, &addr))
			log_limited(LOG_LV_WARN, "sync", 1,
			    "more own addresses than the event filter holds");
	}
	freeifaddrs(all);
	if (memcmp(&filter, &sd->filter, sizeof(filter)) == 0)
		return;
	sd->filter = filter;
	if (sd->dump != NULL)
		ct_dump_set_filter(sd->dump, &filter);
	if (sd->events == NULL)
		return;
	r = ct_events_set_filter(sd->events, &filter);
	if (r < 0)
		log_warn("sync", "event filter: %s", strerror(-r));
}

/* ---- life ---- */

int
kernel_open(struct syncd *sd)
{
	struct ct_events_config config = { .filter = &sd->filter,
		.on_event = on_event,
		.on_overrun = on_overrun,
		.context = sd };
	int r;

	ct_sysctl_apply(sd->config->sync.flows_max, &sd->sysctl);
	for (unsigned i = 0; i < CT_SET_COUNT; i++) {
		const struct ct_setting_state *set = &sd->sysctl.settings[i];

		if (set->error < 0)
			log_warn("sync", "%s wanted=%lld effective=%lld: %s",
			    ct_setting_name(i), (long long)set->wanted,
			    (long long)set->effective, strerror(-set->error));
	}
	r = ct_inject_new(on_result, sd, &sd->inject);
	if (r < 0)
		return r;
	kernel_filter_update(sd);
	r = ct_events_new(&config, &sd->events);
	if (r < 0)
		return r;
	r = ct_dump_new(&sd->filter, on_event, sd, &sd->dump);
	if (r < 0)
		return r;
	loop_timer_init(sd->loop, &sd->audit_timer, on_audit, sd);
	r = loop_fd_add(sd->loop, &sd->events_lf, ct_events_fd(sd->events), EPOLLIN,
	    on_events_readable, sd);
	if (r == 0)
		kernel_audit_now(sd);
	return r;
}

void
kernel_close(struct syncd *sd)
{
	loop_timer_cancel(&sd->audit_timer);
	loop_fd_remove(&sd->events_lf);
	ct_dump_free(sd->dump);
	ct_events_free(sd->events);
	ct_inject_free(sd->inject);
	sd->dump = NULL;
	sd->events = NULL;
	sd->inject = NULL;
}
