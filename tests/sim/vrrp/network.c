/* Ports, paths and what travels on them. */
#include "tests/sim/vrrp/sim.h"

bool
path_exists(const struct world *w, unsigned p)
{
	return p < MEMBERS_MAX ? p < w->members : p - MEMBERS_MAX < w->witnesses;
}

bool
path_is_clean(const struct world *w, unsigned p)
{
	const struct path *path = &w->path[p];

	return path->loss_percent == 0 && path->delay_ns == 0;
}

static bool
port_passes(const struct world *w, unsigned i, unsigned p, enum direction direction)
{
	const struct machine *mc = &w->machine[i];

	return mc->powered && mc->paused_until == 0 &&
	       (p >= MEMBERS_MAX || mc->carrier[p]) && !mc->cut[p][direction];
}

bool
port_works(const struct world *w, unsigned i, unsigned p)
{
	return port_passes(w, i, p, TX) && port_passes(w, i, p, RX);
}

bool
port_hears(const struct world *w, unsigned i, unsigned p)
{
	return port_passes(w, i, p, RX);
}

/* Who hears the segment of a member, and since when. */
static void
watch_hearing(struct world *w, unsigned i)
{
	struct machine *mc = &w->machine[i];

	for (unsigned m = 0; m < w->members; m++) {
		if (!port_passes(w, i, m, RX))
			mc->hears_clock[m] = NEVER;
		else if (mc->hears_clock[m] == NEVER)
			mc->hears_clock[m] = machine_clock(w, i);
	}
}

void
network_watch(struct world *w)
{
	for (unsigned i = 0; i < w->machines; i++)
		watch_hearing(w, i);
	for (unsigned p = 0; p < PATHS_MAX; p++) {
		struct path *path = &w->path[p];
		bool clean = path_exists(w, p) && path_is_clean(w, p);

		for (unsigned a = 0; a < w->machines; a++)
			for (unsigned b = 0; b < w->machines; b++) {
				int64_t *since = &path->ok_since[a][b];

				if (!clean || !port_passes(w, a, p, TX) ||
				    !port_passes(w, b, p, RX))
					*since = NEVER;
				else if (*since == NEVER)
					*since = w->now > path->in_flight_until
						     ? w->now
						     : path->in_flight_until;
			}
	}
}

int64_t
path_ok_since(const struct world *w, unsigned p, unsigned from, unsigned to)
{
	return w->path[p].ok_since[from][to];
}

static void
deliver_later(struct world *w, unsigned to, const struct message *msg)
{
	struct path *path = &w->path[msg->path];
	struct event ev = { .kind = EV_DELIVER, .machine = (uint8_t)to, .msg = *msg };

	ev.msg.sent_at = w->now;
	if (rnd_below(w, 100) < path->loss_percent)
		return;
	ev.at = w->now + 10 * NS_PER_US + rnd_below(w, DELAY_MAX_NS - 10 * NS_PER_US);
	ev.at += rnd_below(w, path->delay_ns);
	if (ev.at > path->in_flight_until)
		path->in_flight_until = ev.at;
	push(w, &ev);
}

void
transmit(struct world *w, unsigned from, const struct message *msg)
{
	if (!port_passes(w, from, msg->path, TX))
		return;
	for (unsigned to = 0; to < w->machines; to++) {
		/* A bit more is decided at arrival: a port may be cut by then. */
		if (to == from || !port_passes(w, to, msg->path, RX))
			continue;
		deliver_later(w, to, msg);
		if (rnd_below(w, 100) < w->path[msg->path].duplicate_percent)
			deliver_later(w, to, msg);
	}
}

void
transmit_resignation(struct world *w, unsigned from, unsigned p)
{
	struct message msg = { .path = (uint8_t)p,
		.from = (uint8_t)from,
		.interval_ns = w->machine[from].interval_ns };

	transmit(w, from, &msg);
}
