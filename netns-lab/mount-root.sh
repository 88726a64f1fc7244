#!/bin/bash
# mount_root SCRIPT ARGUMENT... - sourced. `ip netns exec` and `ip -n` fail where / is not a
# mount point, as in a plain chroot: there, the script starts again in a mount namespace with
# / bound to a place of its own. Executed, this file is that start.

mount_root() {
	[ "$(id -u)" = 0 ] || return 0
	! mountpoint -q / || return 0
	# --propagation needs the mount point that is missing
	exec unshare --mount --propagation unchanged \
		"$(realpath "${BASH_SOURCE[0]}")" "$PWD" "$(realpath "$1")" "${@:2}"
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0
root=/run/tandem-lab-root
mkdir -p "$root"
mount --rbind / "$root" || exit 1
set -m # else the child would ignore SIGINT, and all that it starts
# shellcheck disable=SC2016
chroot "$root" sh -c 'cd "$1" && shift && exec "$@"' sh "$@" &
child=$!
trap 'kill -TERM "$child"' INT TERM HUP
wait "$child"
status=$?
while kill -0 "$child" 2>/dev/null; do
	wait "$child"
	status=$?
done
# where mounts are shared, the one above is seen outside too
umount -R -l "$root"
exit "$status"
