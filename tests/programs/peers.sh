#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Real peers on both sides of the forwarders: ping, iperf3 over TCP and UDP, curl and an HTTP server, a capture
# of that played by tcpreplay. What comes out is what went in. One stream over TCP is of 64 MiB, with --all of
# 1 GiB.
mib=64
[ "${1-}" != --all ] || mib=1024
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# serve PORT COMMAND...: a server on host2, up when it listens.
serve()
{
	local port=$1

	shift
	start ip netns exec "$host2" timeout 60 "$@" >"$lib_tmp/server" 2>&1
	server=$started
	bounded 10 ip netns exec "$host2" sh -c \
		"until ss -Hltn sport = $port | grep -q $port; do sleep 0.05; done"
}

# iperf OPTION...: its figures in a file, as JSON.
iperf()
{
	serve 5201 iperf3 -s -1 -B 10.77.0.2 &&
		bounded 30 ip netns exec "$host1" iperf3 -c 10.77.0.2 -J "$@" >"$lib_tmp/iperf"
	cat "$lib_tmp/iperf"
	wait "$server"
}

# iperf_says EXPRESSION: of its sums, d.
iperf_says()
{
	[ "$(python3 -c "import json; d = json.load(open('$lib_tmp/iperf'))['end']; print($1)")" = True ]
}

# UDP, so little that the receiver's buffer takes it all: none is missing among those that came. How long the
# server waits for the last ones is its own affair.
udp()
{
	iperf -u -b 200K -l 100 -k 250 &&
		iperf_says "d['sum']['lost_packets'] == 0 and d['sum_received']['packets'] > 0"
}

# All that h1 sends and receives meanwhile is in the capture.
http()
{
	local dump

	head -c 200000 /dev/urandom >"$lib_tmp/file"
	serve 8000 python3 -u -m http.server --bind 10.77.0.2 --directory "$lib_tmp" 8000 || return 1
	start ip netns exec "$host1" timeout 60 tcpdump -i h1 --immediate-mode -U -w "$lib_tmp/http.pcap" tcp port 8000 \
		>"$lib_tmp/tcpdump" 2>&1
	dump=$started
	bounded 10 sh -c "until grep -q 'listening on' $lib_tmp/tcpdump; do sleep 0.05; done" &&
		bounded 30 ip netns exec "$host1" curl -sS -o "$lib_tmp/got" http://10.77.0.2:8000/file
	cat "$lib_tmp/server"
	sleep 0.2
	kill "$server" "$dump"
	wait "$server" "$dump"
	cmp "$lib_tmp/file" "$lib_tmp/got"
}

# The capture, both sides of the conversation, from host1 to host2. Slowly: no more than a ring takes. What the
# hosts' stacks answer to that are resets.
replayed()
{
	local n dump no_resets='tcp port 8000 and tcp[tcpflags] & tcp-rst == 0'

	contents http "$no_resets" >"$lib_tmp/wanted"
	n=$(grep -c '^IP' "$lib_tmp/wanted")
	start ip netns exec "$host2" timeout 60 tcpdump -i h2 -U -Q in -c "$n" -w "$lib_tmp/replayed.pcap" \
		"$no_resets" >"$lib_tmp/tcpdump" 2>&1
	dump=$started
	bounded 10 sh -c "until grep -q 'listening on' $lib_tmp/tcpdump; do sleep 0.05; done" &&
		bounded 30 ip netns exec "$host1" tcpreplay -q -i h1 --pps 1000 "$lib_tmp/http.pcap" &&
		wait "$dump" || return 1
	contents replayed "" >"$lib_tmp/came"
	[ "$n" -gt 100 ] && diff "$lib_tmp/wanted" "$lib_tmp/came" | head -n 20
	return "${PIPESTATUS[0]}"
}

# contents NAME FILTER: the packets of a capture, all their bytes, without times.
contents()
{
	tcpdump -Z root -XXnr "$lib_tmp/$1.pcap" -t "$2" 2>/dev/null
}

# One stream, checked byte by byte at the other end.
stream()
{
	local seed=$RANDOM

	serve 5000 "$traffic/stream" receive 5000 $mib $seed &&
		bounded 60 ip netns exec "$host1" "$traffic/stream" send 10.77.0.2 5000 $mib $seed && wait "$server"
}

ends()
{
	end_program
	[ "$ended" = 0 ] && grep -qx 'every frame accounted for' "$program_log" && return
	echo "it ended with status $ended"
	cat "$program_log"
	return 1
}

# The forwarder "$@" between real peers.
peers()
{
	check "$1: starts" launch 2 "$@"
	check "$1: ping" no_ping_lost 50 0.01
	check "$1: iperf3, TCP" eval "iperf -n 4M && iperf_says \"d['sum_sent']['bytes'] >= 1 << 22 and d['sum_received']['bytes'] > 1000000\""
	check "$1: iperf3, UDP" udp
	check "$1: curl" http
	check "$1: tcpreplay" replayed
	check "$1: $mib MiB over TCP, every byte" stream
	check "$1: ends" ends
}

net_line || { fail "network"; finish; }
peers l2fwd-2link --link1-name f1 --link2-name f2
peers l2fwd-2link-multicore --pair f1=f2
finish
