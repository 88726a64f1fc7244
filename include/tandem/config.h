/*
 * config.h - the configuration of one router pair, validated, as every room receives it.
 *
 * One YAML file for both nodes is parsed by a short-lived child without privileges
 * (common/config_yaml.c), checked (common/config_check.c) and packed
 * (common/config_wire.c); the other rooms only ever see this struct. What is written here
 * holds: names are unique, references are resolved to indices, ranges are in range.
 *
 * Memory   td_config owns all arrays; td_config_free frees them. Strings are fixed arrays.
 * Units    in the names. YAML durations are written like 100ms, 1.5s, 5m.
 * IPv4 and IPv6 are equal everywhere: an address carries its family.
 */
#ifndef TANDEM_CONFIG_H
#define TANDEM_CONFIG_H

#include <tandem/addr.h>

#define TD_NAME_MAX 32          /* with the NUL: names of nodes, networks, servers ... */
#define TD_NODES 2
#define TD_FAMILIES 2           /* [0] IPv4, [1] IPv6 */
#define TD_KEY_BYTES 32         /* CURVE public key; Z85 in the file */
#define TD_DIGEST_BYTES 32      /* BLAKE2b-256 of the packed configuration */
#define TD_INTERFACES_MAX 32
#define TD_BATCH_BYTES_MIN 4096
#define TD_BATCH_BYTES_MAX 131072 /* what a message between the nodes can carry */
#define TD_SYNC_LINKS_MAX 2
#define TD_ADDRS_PER_INTERFACE_MAX 255 /* the count field of an advertisement */
#define TD_ROUTES_PER_INTERFACE_MAX 256
#define TD_NETWORKS_MAX 1024
#define TD_CIDRS_PER_NETWORK_MAX 64
#define TD_CIDRS_MAX 4096              /* of all networks */
#define TD_PUBLIC_ADDRESSES_MAX 4096
#define TD_RULES_PER_LIST_MAX 4096
#define TD_PREFIXES_PER_LIST_MAX 1024  /* sources, destinations */
#define TD_STATIC_NATS_MAX 4096
#define TD_PORT_FORWARDS_MAX 4096
#define TD_BALANCERS_MAX 1024
#define TD_BINDS_PER_BALANCER_MAX 64
#define TD_BINDS_MAX 4096              /* of all balancers */
#define TD_SERVERS_PER_BALANCER_MAX 1024
#define TD_SERVERS_MAX 4094            /* of all balancers: TD_MARK_SERVER_MAX */
#define TD_TRACK_SCRIPTS_MAX 16        /* the bits of a witness field */
#define TD_PATH_MAX 256                /* with the NUL: of a program to run */

enum td_vrrp_mode { TD_VRRP_NODE, TD_VRRP_INDEPENDENT };
enum td_adverts { TD_ADVERTS_MULTICAST, TD_ADVERTS_UNICAST, TD_ADVERTS_NONE };
enum td_fence_mode { TD_FENCE_ON, TD_FENCE_OFF };

struct td_node {
	char name[TD_NAME_MAX];
	uint8_t priority;                 /* 1..254; 255 = address owner, independent mode only */
	uint8_t public_key[2][TD_KEY_BYTES]; /* second one for rotation; zero = unset */
	struct td_addr sync_address[TD_SYNC_LINKS_MAX]; /* [0] mandatory; family 0 = unset */
	struct td_endpoint management;    /* HTTP; family 0 = none */
};

/* One member: a real interface, its virtual router and its virtual addresses. */
struct td_interface {
	char name[TD_IFNAME_MAX];
	uint8_t vrid;                     /* 1..255; may be 0 when adverts = none */
	enum td_adverts adverts;
	bool virtual_mac;                 /* default yes */
	/* Own address of node i here, [0] IPv4 and [1] IPv6: source and unicast peer of
	 * advertisements; of a family both nodes or none; family 0 = first of the interface.
	 * Set when unicast: of one family with addresses, in independent mode of all. */
	struct td_addr node_address[TD_FAMILIES][TD_NODES];
	struct td_prefix *addresses;      /* virtual addresses, both families */
	uint32_t address_count;
	struct td_route *routes;          /* present only while Active */
	uint32_t route_count;
	bool is_public;                   /* WAN side: source NAT and ingress firewall */
};

struct td_route {
	struct td_prefix destination;     /* len 0 = default route */
	struct td_addr gateway;           /* family 0 = on link */
};

struct td_vrrp_config {
	enum td_vrrp_mode mode;           /* default node */
	uint8_t version;                  /* of IPv4: 3, or 2 in independent mode; IPv6: 3 */
	int64_t advertisement_interval_ns; /* 10ms..40.95s, whole centiseconds; default 100ms;
	                                      version 2: whole seconds, default 1s */
	bool preempt;                     /* default no */
	int64_t preempt_delay_ns;
	bool accept;                      /* default yes: packets to virtual addresses */
	bool checksum_pseudo_header;      /* IPv4 send form; default yes */
	enum td_fence_mode fence;
	uint32_t garp_repeat;             /* announcements after the first; default 4 */
	int64_t garp_refresh_ns;          /* default 60s */
	bool keepalived_names;            /* extra log lines */
};

struct td_sync_config {
	uint16_t port;                    /* ZeroMQ; default 4810 */
	uint16_t witness_port;            /* UDP; default 4811 */
	int64_t batch_interval_ns;        /* default 2ms */
	uint32_t batch_bytes;             /* default 65536, TD_BATCH_BYTES_MIN.._MAX */
	uint32_t flows_max;               /* shadow bound and conntrack table size; 262144 */
	int64_t lease_ns;                 /* added to a replica's remaining time; default 60s */
};

enum td_protocol { TD_PROTO_ANY, TD_PROTO_TCP, TD_PROTO_UDP, TD_PROTO_ICMP };

struct td_firewall_rule {             /* what it allows, or denies in an allow policy */
	enum td_protocol protocol;        /* icmp means ICMP and ICMPv6 by family */
	struct td_port_range ports;       /* 0-0 = all */
	struct td_prefix *sources;        /* empty = any */
	uint32_t source_count;
	struct td_prefix *destinations;   /* empty = any (egress rules) */
	uint32_t destination_count;
};

/* An isolated network behind one member. */
struct td_network {
	char name[TD_NAME_MAX];
	uint32_t interface;               /* index into interfaces */
	struct td_prefix *cidrs;          /* v4 and v6 */
	uint32_t cidr_count;
	struct td_addr source_nat[2];     /* one per family; family 0 = routed, no NAT */
	bool egress_allow;                /* default policy of the offering */
	struct td_firewall_rule *egress;  /* exceptions to it */
	uint32_t egress_count;
};

struct td_public_address {
	struct td_addr address;           /* one of an interface's virtual addresses */
	struct td_firewall_rule *ingress; /* allow list; default deny */
	uint32_t ingress_count;
};

struct td_static_nat {
	struct td_addr public_address, private_address;
};

struct td_port_forward {
	char name[TD_NAME_MAX];
	struct td_addr public_address, private_address;
	enum td_protocol protocol;        /* tcp or udp */
	struct td_port_range public_ports, private_ports; /* equal length */
	struct td_prefix *sources;
	uint32_t source_count;
};

enum td_lb_algorithm { TD_LB_ROUNDROBIN, TD_LB_SOURCE };
enum td_health_type { TD_HEALTH_NONE, TD_HEALTH_TCP };

struct td_health {
	enum td_health_type type;
	int64_t interval_ns, timeout_ns;  /* default 2s, 1s */
	uint32_t rise, fall;              /* default 2, 3 */
	uint16_t port;                    /* 0 = the server's own */
};

struct td_server {
	char name[TD_NAME_MAX];
	struct td_endpoint endpoint;
	uint32_t weight;                  /* 0..256, default 1; 0 = drain */
};

struct td_balancer {
	char name[TD_NAME_MAX];
	enum td_protocol protocol;        /* tcp or udp */
	enum td_lb_algorithm algorithm;
	struct td_endpoint *binds;
	uint32_t bind_count;
	struct td_prefix *sources;        /* source CIDR list; empty = any */
	uint32_t source_count;
	struct td_health health;
	struct td_server *servers;
	uint32_t server_count;
};

/* What is run when the role changes; and after each of the four the one for all. */
enum td_hook {
	TD_HOOK_ACTIVE,
	TD_HOOK_BACKUP,
	TD_HOOK_FAULT,
	TD_HOOK_STOP,
	TD_HOOK_NOTIFY,
	TD_HOOK_COUNT
};

struct td_hooks_config {
	char path[TD_HOOK_COUNT][TD_PATH_MAX]; /* absolute; empty = none */
	int64_t timeout_ns;               /* of one run; default 10s */
	char user[TD_NAME_MAX];           /* who runs them; default tandem-hookd */
};

/* A program that says whether this node is fit to serve. */
struct td_track_script {
	char name[TD_NAME_MAX];
	char path[TD_PATH_MAX];
	int64_t interval_ns, timeout_ns;  /* default 1s, the interval */
	uint32_t rise, fall;              /* default 2, 3 */
};

struct td_config {
	char cluster[TD_NAME_MAX];
	uint32_t self;                    /* index of --node; not part of the digest */
	uint64_t generation;              /* counted by apply, not part of the digest */
	uint8_t digest[TD_DIGEST_BYTES];
	struct td_node nodes[TD_NODES];
	struct td_vrrp_config vrrp;
	struct td_sync_config sync;
	struct td_hooks_config hooks;
	struct td_track_script *track_scripts;
	uint32_t track_script_count;
	struct td_interface *interfaces;
	uint32_t interface_count;
	struct td_network *networks;
	uint32_t network_count;
	struct td_public_address *public_addresses;
	uint32_t public_address_count;
	struct td_static_nat *static_nats;
	uint32_t static_nat_count;
	struct td_port_forward *port_forwards;
	uint32_t port_forward_count;
	struct td_balancer *balancers;
	uint32_t balancer_count;
};

/* Where a file is wrong. `key` is a path such as interfaces[1].addresses[0]. */
struct td_config_error {
	char file[256];
	unsigned line, column;            /* from 1; 0 = unknown */
	char key[128];
	char reason[256];
};

/* Parses and validates. Returns a new config, or NULL with *ret_error filled. `node` may be
 * NULL: then self is 0 and only the pair-wide checks are made. */
struct td_config *td_config_load(const char *path, const char *node,
    struct td_config_error *ret_error);
struct td_config *td_config_parse(const char *text, size_t len, const char *file,
    const char *node, struct td_config_error *ret_error);

/* Packed form (proto/config.proto) for memfds and the peer: what the digest covers, hence
 * without self and generation, which travel beside it. pack: malloced, the caller frees;
 * NULL: no memory. unpack: NULL if the bytes are no configuration that holds what is
 * promised above; the digest is computed again. */
uint8_t *td_config_pack(const struct td_config *config, size_t *ret_len);
struct td_config *td_config_unpack(const uint8_t *bytes, size_t len);

void td_config_free(struct td_config *config);

const char *td_hook_name(enum td_hook hook); /* "active", as in the file */
bool td_hooks_any(const struct td_hooks_config *hooks);
/* The same programs, and in the same order; not how often they are run. */
bool td_track_scripts_equal(const struct td_config *a, const struct td_config *b);

#endif
