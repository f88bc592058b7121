#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# l2fwd-2link is a cable: what goes in at one end comes out of the other unchanged, in both directions
# at once; the hosts' own stacks talk through it. rxdrop counts what it receives.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

ends()
{
	end_program
	[ "$ended" = "$1" ] && grep -q '^every frame accounted for$' "$program_log" && return
	echo "it ended with status $ended"
	cat "$program_log"
	return 1
}

forward_frames()
{
	launch 2 l2fwd-2link --link1-name f1 --link2-name f2 "${@:2}" || return 1
	bounded 60 "$traffic/traffic" forward "$host1/h1" "$host2/h2" --count "$1" --seed $RANDOM \
		--timeout 50 "${lengths[@]}"
}

# stream MIB FROM TO ADDRESS: over TCP, checked byte by byte.
stream()
{
	local seed=$RANDOM receiver

	start ip netns exec "$3" timeout 100 "$traffic/stream" receive 5000 "$1" $seed
	receiver=$started
	bounded 20 ip netns exec "$3" sh -c \
		'until ss -Hltn sport = 5000 | grep -q 5000; do sleep 0.05; done' || return 1
	bounded 100 ip netns exec "$2" "$traffic/stream" send "$4" 5000 "$1" $seed || return 1
	wait "$receiver"
}

# rxdrop has received as many as were sent, for more times than there are frames.
all_received()
{
	bounded 30 "$traffic/traffic" one-way "$host1/h1" "$host1/h1" --count 1 --timeout 1 >/dev/null
	bounded 30 "$traffic/traffic" echo "$host1/h1" --load 2 >"$lib_tmp/traffic"
	end_program
	cat "$lib_tmp/traffic" "$program_log"
	[ "$ended" = 0 ] || return 1
	[ "$(field "d['links'][0]['rx_packets'] > 4 * d['frames']['total']")" = True ] || return 1
	[ "$(field "d['links'][1]['name'], d['links'][1]['rx_packets']")" = "f2 0" ]
}

lengths=()
net_line || { fail "network"; finish; }

check "50,000 frames each way at once, native" forward_frames 50000
check "ends" ends 0
check "20,000 frames each way at once, SKB, small pool" \
	forward_frames 20000 --attach skb --bufnum 1024 --batch-size 32
check "ends" ends 0

check "starts" launch 2 l2fwd-2link --link1-name f1 --link2-name f2
check "ping without loss" no_ping_lost 100 0.01
check "1 GiB over TCP" stream 1024 "$host1" "$host2" 10.77.0.2
check "64 MiB back" stream 64 "$host2" "$host1" 10.77.0.1
check "overload in both directions" \
	bounded 30 "$traffic/traffic" forward "$host1/h1" "$host2/h2" --load 3
check "ends with every frame accounted for" ends 0

# Packets of several Bufs each: the programs see to it by themselves.
# The mean length of what came in at f1: TCP did use the MTU.
jumbo_account()
{
	ends 0 && grep -q 'f1 queue 0: .*, multi-buffer' "$program_log" || return 1
	[ "$(field "d['links'][0]['rx_bytes'] > 4000 * d['links'][0]['rx_packets']")" = True ]
}

check "MTU 9000" net_mtu 9000
lengths=(--max 9014)
check "10,000 frames of up to 9014 bytes each way at once" forward_frames 10000 --json
check "ends" ends 0
check "starts" launch 2 l2fwd-2link --link1-name f1 --link2-name f2 --json
check "ping with 8900 bytes" no_ping_lost 20 0.01 -s 8900 -M do
check "256 MiB over TCP at MTU 9000" stream 256 "$host1" "$host2" 10.77.0.2
check "long packets were long" jumbo_account
check "MTU 1500 again" net_mtu 1500

# Whatever host2 would still say, of connections that have ended, is not for rxdrop.
check "host2 has no address" ip -n "$host2" addr flush dev h2
check "rxdrop starts" launch 2 rxdrop --link f1:0 --link f2 --bufnum 8192 --json
check "rxdrop never runs out of frames" all_received
finish
