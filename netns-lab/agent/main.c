/*
 * lab-agent - sessions, probes and witnesses of the lab. See agent.h.
 */
#include "agent.h"

#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static const char usage[] =
    "usage: lab-agent MODE [OPTION...]\n"
    "  serve     --tcp PORTS --udp PORTS --server N      answers everything below\n"
    "  sessions  --dest A --ports P[-Q] --count N [--interval-us 50000] [--source A]\n"
    "  bulk      --dest A --ports P[-Q] --count N --bytes N --rate KIB_PER_S\n"
    "  udp       --dest A --ports P [--interval-us 1000]  echo, every datagram "
    "numbered\n"
    "  connects  --dest A --ports P [--interval-us 20000] new TCP connections\n"
    "  ping      --dest A [--interval-us 10000]           ICMP and ICMPv6 echo\n"
    "  observe   --interface IF --ask A,A... [--interface IF --ask ...] "
    "[--listen-only]\n"
    "  stalls                                             one 1 ms FIFO timer per CPU\n"
    "common: --stay (outlive the starter), --kind NAME (copied into the output), "
    "--fifo PRIORITY\n";

static const struct mode_entry {
	const char *name;
	void (*main)(const struct options *options);
} modes[] = {
	{ "serve", serve_main },
	{ "sessions", sessions_main },
	{ "bulk", bulk_main },
	{ "udp", udp_main },
	{ "connects", connects_main },
	{ "ping", ping_main },
	{ "observe", observe_main },
	{ "stalls", stalls_main },
};

static const struct option long_options[] = {
	{ "kind", required_argument, NULL, 'k' },
	{ "dest", required_argument, NULL, 'd' },
	{ "ports", required_argument, NULL, 'p' },
	{ "source", required_argument, NULL, 's' },
	{ "tcp", required_argument, NULL, 't' },
	{ "udp", required_argument, NULL, 'u' },
	{ "server", required_argument, NULL, 'S' },
	{ "count", required_argument, NULL, 'c' },
	{ "interval-us", required_argument, NULL, 'i' },
	{ "bytes", required_argument, NULL, 'b' },
	{ "rate", required_argument, NULL, 'r' },
	{ "interface", required_argument, NULL, 'I' },
	{ "ask", required_argument, NULL, 'a' },
	{ "fifo", required_argument, NULL, 'f' },
	{ "listen-only", no_argument, NULL, 'l' },
	{ "stay", no_argument, NULL, 'y' },
	{ NULL, 0, NULL, 0 },
};

int
main(int argc, char **argv)
{
	struct options options = { .kind = "", .count = 1, .rate_kib = 1024 };
	int c;

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	while ((c = getopt_long(argc - 1, argv + 1, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'k':
			options.kind = optarg;
			break;
		case 'd':
			options.dest = optarg;
			break;
		case 'p':
			options.ports = optarg;
			break;
		case 's':
			options.source = optarg;
			break;
		case 't':
			options.tcp = optarg;
			break;
		case 'u':
			options.udp = optarg;
			break;
		case 'S':
			options.server = parse_count(optarg, 0, 1000);
			break;
		case 'c':
			options.count = parse_count(optarg, 1, 100000);
			break;
		case 'i':
			options.interval_us = parse_count(optarg, 100, 60000000);
			break;
		case 'b':
			options.bytes = parse_count(optarg, 1, INT64_C(1) << 40);
			break;
		case 'r':
			options.rate_kib = parse_count(optarg, 1, 10000000);
			break;
		case 'f':
			options.fifo = parse_count(optarg, 0, 99);
			break;
		case 'l':
			options.listen_only = true;
			break;
		case 'y':
			options.stay = true;
			break;
		case 'I':
			if (options.interface_count == 4)
				fail("too many interfaces");
			options.interfaces[options.interface_count++] = optarg;
			break;
		case 'a':
			if (options.interface_count == 0)
				fail("--ask before --interface");
			options.asks[options.interface_count - 1] = optarg;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (sodium_init() < 0)
		fail("libsodium does not start");
	/* An agent does not outlive the harness that reads it. */
	if (!options.stay)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, argv[1]) == 0) {
			fifo_priority((int)options.fifo);
			modes[i].main(&options);
			return 0;
		}
	}
	fputs(usage, stderr);
	return 2;
}
