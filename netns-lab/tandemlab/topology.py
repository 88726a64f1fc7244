"""The wiring of the lab.

        client 203.0.113.254 2001:db8:1::fe          obs (asks ARP/ND, operator of mgmt)
          |                                           |
   wan ---+-----------------+-------------------+-----+   203.0.113.0/24  2001:db8:1::/64
                            | wan0              | wan0
                           r1 .2               r2 .3      virtual .1 .10 .11 .12  ::1
          sync 10.255.0.1   |\\__ sync0 ------- sync0 _/|   10.255.0.2
          mgmt 10.254.0.1   | \\_ mgmt0 ------- mgmt0 / |   10.254.0.2
                            | lan0              | lan0
   lan ---+---------+-------+-+-----------------+-----+   10.1.1.0/24  fd00:1:1::/64
          |         |         |                       |
         s1 .11    s2 .12    s3 .13                  obs  virtual .1 ::1 = their gateway

Every name is a network namespace (PREFIX-r1 and so on). The four bridges live in a namespace
of their own, PREFIX-switch, whose ports are called NETWORK-HOST: a cable is cut there and not
in the router, so the router sees nothing but silence (or, for a carrier fault, a port that
went down).
"""
import os

from .host import LabError, in_ns, run

HOSTS = ("client", "r1", "r2", "s1", "s2", "s3", "obs")
ROUTERS = ("r1", "r2")
NETWORKS = ("wan", "lan", "sync", "mgmt")

# host: {network: addresses}; the interface is called NETWORK0
CABLES = {
    "client": {"wan": ["203.0.113.254/24", "2001:db8:1::fe/64"]},
    "r1": {"wan": ["203.0.113.2/24", "2001:db8:1::2/64"],
           "lan": ["10.1.1.2/24", "fd00:1:1::2/64"],
           "sync": ["10.255.0.1/24"], "mgmt": ["10.254.0.1/24"]},
    "r2": {"wan": ["203.0.113.3/24", "2001:db8:1::3/64"],
           "lan": ["10.1.1.3/24", "fd00:1:1::3/64"],
           "sync": ["10.255.0.2/24"], "mgmt": ["10.254.0.2/24"]},
    "s1": {"lan": ["10.1.1.11/24", "fd00:1:1::11/64"]},
    "s2": {"lan": ["10.1.1.12/24", "fd00:1:1::12/64"]},
    "s3": {"lan": ["10.1.1.13/24", "fd00:1:1::13/64"]},
    "obs": {"wan": ["203.0.113.253/24"], "lan": ["10.1.1.253/24"],
            "mgmt": ["10.254.0.254/24"]},
}
ROUTES = {
    "client": ["fd00:1:1::/64 via 2001:db8:1::1"],
    "s1": ["0.0.0.0/0 via 10.1.1.1", "::/0 via fd00:1:1::1"],
    "s2": ["0.0.0.0/0 via 10.1.1.1", "::/0 via fd00:1:1::1"],
    "s3": ["0.0.0.0/0 via 10.1.1.1", "::/0 via fd00:1:1::1"],
}
VIRTUAL_WAN = ("203.0.113.1", "203.0.113.10", "203.0.113.11", "203.0.113.12")
VIRTUAL_LAN = ("10.1.1.1",)
VIRTUAL_WAN6 = ("2001:db8:1::1",)
VIRTUAL_LAN6 = ("fd00:1:1::1",)

CUT_TABLE = """
table bridge cut {
	set from_port { type ifname; }
	set to_port { type ifname; }
	chain ingress {
		type filter hook prerouting priority -300;
		iifname @from_port drop
	}
	chain egress {
		type filter hook postrouting priority 300;
		oifname @to_port drop
	}
}
"""

# Addresses must work at once, and nothing may speak on its own.
SYSCTLS = {
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}


class Topology:
    """Namespaces, bridges and cables of one lab."""

    def __init__(self, prefix, adverts_none=False):
        self.prefix = prefix
        self.adverts_none = adverts_none

    def ns(self, host):
        return f"{self.prefix}-{host}"

    def namespaces(self):
        return [self.ns(host) for host in ("switch", *HOSTS)]

    def existing(self):
        listed = run(["ip", "netns", "list"], check=False)
        names = {line.split()[0] for line in listed.splitlines() if line}
        return [name for name in self.namespaces() if name in names]

    def addresses(self, host, network):
        """Own addresses of a host; with `adverts: none` the routers have none on the WAN."""
        if self.adverts_none and network == "wan" and host in ROUTERS:
            return []
        return CABLES[host][network]

    def build(self):
        if self.existing():
            raise LabError(f"a lab called {self.prefix} exists: lab down first")
        run(["ip", "-batch", "-"],
            "".join(f"netns add {name}\n" for name in self.namespaces()))
        for name in self.namespaces():
            self._sysctls(name, SYSCTLS)
        self._wire_switch()
        for host in HOSTS:
            self._configure_host(host)

    def _sysctls(self, namespace, values):
        script = "".join(f"[ ! -e /proc/sys/{key} ] || echo {value} >/proc/sys/{key}\n"
                         for key, value in values.items())
        run(in_ns(namespace, ["sh", "-e"]), script)

    def _wire_switch(self):
        lines = ["link set lo up"]
        for network in NETWORKS:
            lines.append(f"link add {network} up type bridge stp_state 0 forward_delay 0 "
                         "mcast_snooping 0")
        for host, networks in CABLES.items():
            for network in networks:
                port = f"{network}-{host}"
                lines.append(f"link add {port} type veth peer name {network}0 "
                             f"netns {self.ns(host)}")
                lines.append(f"link set {port} master {network} up")
        switch = self.ns("switch")
        # a switch has no addresses and no opinion about IP
        self._sysctls(switch, {
            "net/bridge/bridge-nf-call-iptables": "0",
            "net/bridge/bridge-nf-call-ip6tables": "0",
            "net/bridge/bridge-nf-call-arptables": "0",
            "net/ipv6/conf/default/disable_ipv6": "1",
            "net/ipv6/conf/all/disable_ipv6": "1",
        })
        run(in_ns(switch, ["ip", "-batch", "-"]), "\n".join(lines) + "\n")
        run(in_ns(switch, ["nft", "-f", "-"]), CUT_TABLE)

    def _configure_host(self, host):
        lines = ["link set lo up"]
        for network in CABLES[host]:
            for address in self.addresses(host, network):
                nodad = " nodad" if ":" in address else ""
                lines.append(f"address add {address} dev {network}0{nodad}")
            lines.append(f"link set {network}0 up")
        for route in ROUTES.get(host, []):
            lines.append(f"route add {route}")
        run(in_ns(self.ns(host), ["ip", "-batch", "-"]), "\n".join(lines) + "\n")

    # --- faults of cables ---------------------------------------------------------------

    def ports(self, host, networks=None):
        return [f"{network}-{host}" for network in CABLES[host]
                if networks is None or network in networks]

    def cut(self, ports, direction="both"):
        """Silently: all named ports in one transaction; in = what the host sends is lost."""
        names = ", ".join(f'"{port}"' for port in ports)
        script = ""
        if direction in ("both", "in"):
            script += f"add element bridge cut from_port {{ {names} }}\n"
        if direction in ("both", "out"):
            script += f"add element bridge cut to_port {{ {names} }}\n"
        run(in_ns(self.ns("switch"), ["nft", "-f", "-"]), script)

    def carrier(self, ports, up):
        state = "up" if up else "down"
        run(in_ns(self.ns("switch"), ["ip", "-batch", "-"]),
            "".join(f"link set {port} {state}\n" for port in ports))

    def heal(self):
        """All cables whole again."""
        run(in_ns(self.ns("switch"), ["nft", "-f", "-"]),
            "flush set bridge cut from_port\nflush set bridge cut to_port\n")
        ports = [port for host in CABLES for port in self.ports(host)]
        self.carrier(ports, True)

    def destroy(self):
        for name in self.existing():
            run(["ip", "netns", "delete", name], check=False)

    def holds(self, host, address):
        """Whether a host has the address on any interface."""
        if not os.path.exists(f"/run/netns/{self.ns(host)}"):
            return False
        return f" {address}/" in run(in_ns(self.ns(host), ["ip", "-o", "address"]),
                                     check=False)
