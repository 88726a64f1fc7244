# mount_root "$0" "$@" - sourced. `ip netns exec` and `ip -n` fail where / is not a mount
# point, as in a plain chroot: there, the script starts again with / bound onto itself in a
# mount namespace of its own.
# shellcheck shell=bash
mount_root() {
	[ "$(id -u)" = 0 ] || return 0
	! mountpoint -q / || return 0
	local script root=/run/tandem-lab-root
	script=$(realpath "$1")
	shift
	mkdir -p "$root"
	# shellcheck disable=SC2016
	exec unshare --mount --propagation private sh -c '
		root=$1 cwd=$2
		shift 2
		mount --rbind / "$root" || exit 1
		exec chroot "$root" sh -c "cd \"\$1\" && shift && exec \"\$@\"" sh "$cwd" "$@"
	' sh "$root" "$PWD" "$script" "$@"
}
