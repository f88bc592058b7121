# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For test scripts, to be sourced: counting, bounded commands, and a private network
#
#      namespace $ns_a                      namespace $ns_b
#     +----------------+                   +----------------+
#     |         veth_a |-------------------| veth_b         |
#     +----------------+                   +----------------+
#
# that nothing else is connected to. Names start with sxsk- and carry this process's number;
# whatever the script ends by, its processes and namespaces are gone afterwards.
set -u

lib_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
lib_tmp=$(mktemp -d "${TMPDIR:-/tmp}/sxsk-$$-XXXXXX") || exit 1
lib_prefix=${SXSK_NS_PREFIX:-sxsk}-$$
lib_passed=0 lib_failed=0 lib_skipped=0 lib_finished=0
lib_namespaces=() lib_sweep=''

lib_cleanup()
{
	local status=$? ns

	# A background command that is killed before its exec is still this script, with its traps.
	[ $BASHPID = $$ ] || exit $status
	trap - EXIT
	trap '' INT TERM HUP
	lib_end_jobs
	for ns in "${lib_namespaces[@]}" $(lib_left_over); do
		ip netns del "$ns" 2>/dev/null
	done
	rm -rf "$lib_tmp"
	if [ $status = 0 ] && [ $lib_finished = 0 ]; then
		echo "not ok: the script ended early"
		status=1
	fi
	exit $status
}

# The namespaces whose names start with $lib_sweep, if that is set: those of child processes.
lib_left_over()
{
	[ -z "$lib_sweep" ] || ip netns list | sed -n "s/^\(${lib_sweep}[^ ]*\).*/\1/p"
}

# End the background commands; those that clean up after themselves get 5 s for it.
lib_end_jobs()
{
	local signal=TERM try

	for try in {1..50} last; do
		[ -n "$(jobs -pr)" ] || return
		[ "$try" != last ] || signal=KILL
		# shellcheck disable=SC2046
		[ -z "$signal" ] || kill -s $signal $(jobs -pr) 2>/dev/null
		signal=
		sleep 0.1
	done
	wait 2>/dev/null
}

trap lib_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

pass()
{
	lib_passed=$((lib_passed + 1))
	echo "ok: $1"
}

fail()
{
	lib_failed=$((lib_failed + 1))
	echo "not ok: $1"
}

# skip NAME WHY: say what is missing.
skip()
{
	lib_skipped=$((lib_skipped + 1))
	echo "skip: $1: $2"
}

# The line that tests/run adds up; ends the script.
finish()
{
	lib_finished=1
	echo "$lib_passed passed, $lib_failed failed, $lib_skipped skipped"
	[ $lib_failed = 0 ]
	exit
}

# start COMMAND...: run it in the background, its number in $started; it ends with the script.
start()
{
	"$@" &
	started=$!
}

# bounded SECONDS COMMAND...: its exit status, 124 when it took too long. In the background, so that
# a signal to the script is served at once.
bounded()
{
	local seconds=$1

	shift
	timeout -k 5 "$seconds" "$@" <&0 &
	wait $!
}

# check NAME COMMAND...: passes when the command or function does; shows its output when it does not.
check()
{
	local name=$1 status

	shift
	"$@" >"$lib_tmp/check.log" 2>&1
	status=$?
	if [ $status = 0 ]; then
		pass "$name"
	else
		fail "$name (exit status $status)"
		sed 's/^/    /' "$lib_tmp/check.log"
	fi
	return $status
}

# netns NAME: make a namespace; its full name in $made. No IPv6, which would send by itself.
netns()
{
	made=$lib_prefix-$1
	lib_namespaces+=("$made") # before it is there: a signal may come in between
	ip netns add "$made" || return 1
	ip netns exec "$made" sh -c '
		ip link set lo up
		for f in all default; do
			f=/proc/sys/net/ipv6/conf/$f/disable_ipv6
			[ ! -e $f ] || echo 1 >$f
		done'
}

# net_pair [QUEUES [MTU]]: the network above, up, with offloads off so that frames arrive as sent.
net_pair()
{
	local queues=${1:-1} mtu=${2:-1500} end ns feature q

	netns a && ns_a=$made && netns b && ns_b=$made || return 1
	q="numrxqueues $queues numtxqueues $queues"
	# shellcheck disable=SC2086
	ip link add veth_a netns "$ns_a" mtu "$mtu" $q type veth \
		peer name veth_b netns "$ns_b" mtu "$mtu" $q || return 1
	for end in a b; do
		ns=$lib_prefix-$end
		for feature in rx tx gso gro tso rxvlan txvlan; do
			ip netns exec "$ns" ethtool -K "veth_$end" "$feature" off >/dev/null 2>&1
		done
		ip -n "$ns" link set "veth_$end" up || return 1
	done
	bounded 20 sh -c "until ip -n $ns_a link show veth_a | grep -q LOWER_UP; do sleep 0.05; done"
}
