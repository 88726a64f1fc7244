# Debian packages by purpose: sourced by install-deps. One list per set, names as in Debian 12.
# shellcheck shell=bash disable=SC2034

# what compiles Tandem and its tests
packages_build=(
	cmake ninja-build pkg-config gcc libc6-dev linux-libc-dev clang llvm
	libnl-3-dev libnl-route-3-dev libmnl-dev libnetfilter-conntrack-dev
	libnftables-dev libnftnl-dev libbpf-dev libzmq3-dev libsodium-dev
	libprotobuf-c-dev protobuf-c-compiler libcyaml-dev libyaml-dev libssl-dev
	libmicrohttpd-dev libcap-ng-dev libsystemd-dev libcmocka-dev
)

# what the lab itself runs
packages_lab=(
	python3 iproute2 nftables procps util-linux conntrack netbase
)

# the peers of the comparison
packages_bench=(
	keepalived conntrackd netbase
)

# what the test suites need beyond that
packages_test=(
	libclang-rt-dev python3-pytest python3-pytest-xdist python3-yaml python3-scapy keepalived
	conntrackd tcpdump tshark frr ucarp iputils-arping iputils-ping ethtool iptables socat
	netcat-openbsd curl jq bpftool
)

# daemons that Debian would enable although only the lab runs them, in namespaces
lab_only_services=(
	keepalived conntrackd frr ucarp
)
