# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For the demo and the tests of the example programs, to be sourced: two hosts with a forwarder
# between them, and the program under test in the middle.
#
#      $host1                       $forwarder                      $host2
#     +---------------+            +-----------------+            +---------------+
#     | h1  10.77.0.1 |------------| f1   (no IP) f2 |------------| h2  10.77.0.2 |
#     +---------------+            +-----------------+            +---------------+
#
# The forwarder's kernel forwards nothing: what goes from one host to the other has been through
# AF_XDP.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

program= # the running one
examples=${SXSK_BUILD:-$lib_root/build}/examples
traffic=${SXSK_BUILD:-$lib_root/build}/tests/traffic

# Offloads off: checksums, segmentation and VLAN tags are left to the card, and a veth has none, so
# what AF_XDP sees of such packets is unfinished. Not all kernels know all features.
plain()
{
	local feature

	for feature in rx tx sg gso gro tso rxvlan txvlan; do
		ip netns exec "$1" ethtool -K "$2" "$feature" off >/dev/null 2>&1
	done
}

# leg HOST NUMBER: host NUMBER and its cable to the forwarder, with so many queues.
net_queues=1
leg()
{
	local queues="numrxqueues $net_queues numtxqueues $net_queues"

	# shellcheck disable=SC2086
	ip link add "h$2" netns "$1" $queues type veth \
		peer name "f$2" netns "$forwarder" $queues || return 1
	plain "$1" "h$2"
	plain "$forwarder" "f$2"
	ip -n "$1" addr add "10.77.0.$2/24" dev "h$2" &&
		ip -n "$1" link set "h$2" up &&
		ip -n "$forwarder" link set "f$2" up
}

net_line()
{
	netns h1 && host1=$made && netns fw && forwarder=$made && netns h2 && host2=$made &&
		leg "$host1" 1 && leg "$host2" 2 && all_up
}

all_up()
{
	bounded 20 sh -c "until [ \$(ip -n $forwarder link show | grep -c 'f[12]@.*LOWER_UP') = 2 ]; do
		sleep 0.05; done"
}

# net_mtu BYTES: on all cables.
net_mtu()
{
	local end

	for end in "$host1/h1" "$forwarder/f1" "$forwarder/f2" "$host2/h2"; do
		ip -n "${end%/*}" link set "${end#*/}" mtu "$1" || return 1
	done
}

# Files that programs write to; readable by who ran sudo, gone with the script.
program_log=$lib_tmp/program.log

# launch LINKS PROGRAM ARGUMENT...: start a program on the forwarder; returns when it has opened that
# many links. Its number is in $program. It ends by itself, at the latest.
launch()
{
	local links=$1 name=$2

	shift 2
	: >"$program_log"
	start ip netns exec "$forwarder" "$examples/$name" --duration 120 "$@" >"$program_log" 2>&1
	program=$started
	if bounded 10 sh -c "until [ \$(grep -c '^$name: on ' $program_log) -ge $links ]; do
		kill -0 $program 2>/dev/null || exit 1
		sleep 0.05; done"; then
		[ -z "${SXSK_XSK_LOG-}" ] || echo "${0##*/}" >>"$SXSK_XSK_LOG"
		return 0
	fi
	cat "$program_log"
	return 1
}

# end_program [SIGNAL]: end it; its exit status in $ended. It has 20 seconds.
end_program()
{
	[ -z "$program" ] || kill -s "${1:-INT}" "$program" 2>/dev/null
	await_program 20
}

# await_program SECONDS: it has to end by itself. Its exit status in $ended, 124 if it did not.
await_program()
{
	local i status

	[ -n "$program" ] || return
	for ((i = 0; i < $1 * 20; i++)); do
		kill -0 "$program" 2>/dev/null || break
		sleep 0.05
	done
	ended=
	if kill -KILL "$program" 2>/dev/null; then
		ended=124
	fi
	wait "$program"
	status=$?
	ended=${ended:-$status} program=
}

# no_ping_lost COUNT INTERVAL [OPTION...]: each of so many pings of host1 is answered by host2, once. While ping
# waits for the last answer it may send one more, so its own account of what was lost says less.
no_ping_lost()
{
	local status

	bounded 30 ip netns exec "$host1" ping -c "$1" -i "$2" -w 20 "${@:3}" 10.77.0.2 >"$lib_tmp/ping" 2>&1
	status=$?
	sed -n '/transmitted/p; /rtt/p' "$lib_tmp/ping"
	[ $status = 0 ] && ! grep 'DUP!' "$lib_tmp/ping" &&
		diff <(grep -o 'icmp_seq=[0-9]* ' "$lib_tmp/ping" | sort -u) \
			<(seq -f 'icmp_seq=%.0f ' "$1" | sort)
}

# heard COMMAND...: it says that what listen() hears is complete: within 20 s, and still after the end of that.
heard()
{
	local i

	for ((i = 0; i < 100; i++)); do
		"$@" >/dev/null 2>&1 && break
		sleep 0.2
	done
	kill "$listening"
	wait "$listening"
	"$@"
}

# settled NAMESPACE INTERFACE: nothing more comes in there, for half a second.
settled()
{
	bounded 60 ip netns exec "$1" sh -c "now=none; until [ \"\$last\" = \"\$now\" ]; do
		last=\$(cat /sys/class/net/$2/statistics/rx_packets)
		sleep 0.5
		now=\$(cat /sys/class/net/$2/statistics/rx_packets); done"
}

# has_received NAMESPACE INTERFACE PACKETS: within 20 s, so many since it was made, and no more.
has_received()
{
	local file=/sys/class/net/$2/statistics/rx_packets

	bounded 20 ip netns exec "$1" sh -c "until [ \$(cat $file) -ge $3 ]; do sleep 0.05; done
		[ \$(cat $file) = $3 ]"
}

# A field of the JSON object in the log's last line; an expression on it, such as d["accounted"].
field()
{
	tail -n 1 "$program_log" | python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"
}

# listen NAMESPACE INTERFACE FILE: tcpdump of what comes in there, from now on; in $listening.
listen()
{
	start ip netns exec "$1" tcpdump -i "$2" -Q in --immediate-mode -s 10000 -B 16384 -U \
		-w "$3" 2>"$lib_tmp/listen"
	listening=$started
	bounded 10 sh -c "until grep -q '^tcpdump: listening on ' $lib_tmp/listen; do sleep 0.05; done"
}
