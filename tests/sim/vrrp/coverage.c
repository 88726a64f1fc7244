/* How often which fault met which state, over all seeds. */
#include "tests/sim/vrrp/sim.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const pair_names[PAIR_STATES] = { "down", "stopping", "Backup",
	"B alone", "B resigned", "B isolated", "Active", "A alone", "A silent",
	"A handing", "A rivals" };
static const char *const independent_names[INDEPENDENT_STATES] = { "down", "Initialize",
	"Backup", "Active" };

static const struct {
	const char *title;
	const char *const *names;
	unsigned states;
} parts[PARTS] = {
	[PART_PAIR] = { "a pair, one election", pair_names, PAIR_STATES },
	[PART_TWO] = { "two routers by RFC 9568", independent_names,
	    INDEPENDENT_STATES },
	[PART_THREE] = { "three routers by RFC 9568", independent_names,
	    INDEPENDENT_STATES },
};

static uint64_t counts[PARTS][STATES_MAX][FAULTS];

enum coverage_part
coverage_part(const struct world *w)
{
	if (w->mode == &mode_pair)
		return PART_PAIR;
	return w->machines == 2 ? PART_TWO : PART_THREE;
}

void
coverage_count(const struct world *w, unsigned state, enum fault_kind kind)
{
	counts[coverage_part(w)][state][kind]++;
}

/* Can this fault meet this state at all? */
static bool
is_cell(unsigned part, unsigned state, enum fault_kind kind)
{
	bool down = state == 0;

	switch (kind) {
	case FAULT_WITNESS_ONE_WAY:
	case FAULT_WITNESS:
		return part == PART_PAIR;
	case FAULT_SYNC_STATE:
	case FAULT_SWITCHOVER:
	case FAULT_MAINTENANCE:
	case FAULT_UNFIT:
		return part == PART_PAIR && !down;
	case FAULT_PROCESS_DIES:
	case FAULT_EVERYTHING_KILLED:
	case FAULT_FREEZE:
	case FAULT_FREEZE_BETWEEN:
	case FAULT_STOP:
	case FAULT_STOP_NOW:
		return !down;
	case FAULT_START:
		return down;
	default:
		return true;
	}
}

/* What a state that is rare or soon over gets at least: so many faults within that. */
struct follow_up {
	unsigned count;
	int64_t within_ns;
};

static struct follow_up
follow_up_of(const struct world *w, unsigned state)
{
	static const struct follow_up pair[PAIR_STATES] = {
		[PAIR_STOPPING] = { 6, 5 * NS_PER_MS },
		[PAIR_BACKUP_ALONE] = { 2, 5 * NS_PER_MS },
		[PAIR_BACKUP_RESIGNED] = { 2, 5 * NS_PER_MS },
		[PAIR_ISOLATED] = { 2, 5 * NS_PER_MS },
		[PAIR_SUSPENDED] = { 1, 5 * NS_PER_MS },
		[PAIR_HANDING_OVER] = { 5, 20 * NS_PER_MS },
		[PAIR_RIVALS] = { 4, 1 * NS_PER_MS },
	};
	static const struct follow_up independent[INDEPENDENT_STATES] = {
		[INDEPENDENT_INITIALIZE] = { 4, 5 * NS_PER_MS },
	};

	return w->mode == &mode_pair ? pair[state] : independent[state];
}

/* A misfortune seldom comes alone: what lasts for milliseconds only must be met too. */
void
coverage_event(struct world *w, unsigned i)
{
	unsigned state = w->mode->state(w, i);
	struct event ev = { .kind = EV_FAULT, .machine = (uint8_t)i };
	struct follow_up follow_up;

	if (state == w->machine[i].state)
		return;
	w->machine[i].state = state;
	if (w->undisturbed)
		return;
	follow_up = follow_up_of(w, state);
	for (unsigned k = 0; k < follow_up.count; k++) {
		ev.at = w->now + rnd_below(w, follow_up.within_ns);
		if (rnd_below(w, 8) != 0)
			push(w, &ev);
	}
}

bool
coverage_print(uint64_t want)
{
	uint64_t least = UINT64_MAX;

	for (unsigned part = 0; part < PARTS; part++) {
		printf("\n%-25s", parts[part].title);
		for (unsigned s = 0; s < parts[part].states; s++)
			printf(" %10s", parts[part].names[s]);
		putchar('\n');
		for (unsigned f = 0; f < FAULTS; f++) {
			printf("%-25s", fault_name((enum fault_kind)f));
			for (unsigned s = 0; s < parts[part].states; s++) {
				uint64_t count = counts[part][s][f];

				if (!is_cell(part, s, (enum fault_kind)f)) {
					printf(" %10s", "-");
					continue;
				}
				printf(" %10" PRIu64, count);
				if (count < least)
					least = count;
			}
			putchar('\n');
		}
	}
	printf("\nleast covered cell: %" PRIu64 "\n", least);
	return least >= want;
}
