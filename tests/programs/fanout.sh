#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# fanout: what comes in is written, sent on and counted, each packet by each worker; a slow one misses packets,
# and nobody else does. Every frame comes home.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

packets=(python3 "$(dirname "${BASH_SOURCE[0]}")/packets.py")

# shared MTU OPTION...: all three workers have all of the packets, unchanged.
shared()
{
	local status

	net_mtu "$1" && "${packets[@]}" make "$lib_tmp/sent.pcap" 1000 "$1" $(($1 + 14)) tidy || return 1
	listen "$host2" h2 "$lib_tmp/heard.pcap" || return 1
	launch 2 fanout --link-name f1 --pass-to f2 --write "$lib_tmp/written.pcapng" --json "${@:2}" || return 1
	bounded 60 ip netns exec "$host1" "${packets[@]}" send "$lib_tmp/sent.pcap" h1
	heard "${packets[@]}" same "$lib_tmp/sent.pcap" "$lib_tmp/heard.pcap"
	status=$?
	end_program
	cat "$program_log"
	[ $status = 0 ] && "${packets[@]}" same "$lib_tmp/sent.pcap" "$lib_tmp/written.pcapng" || return 1
	[ "$ended" = 0 ] && [ "$(field "[d['links'][0][w] for w in ('write', 'forward', 'count', 'flows')]")" = \
		"[1000, 1000, 1000, $("${packets[@]}" flows "$lib_tmp/sent.pcap")]" ]
}

# More than its queue holds comes while the one that counts sleeps. The others keep up: what their queues hold comes
# when they have passed on what came before.
slow()
{
	local before sent

	net_mtu 1500 && "${packets[@]}" make "$lib_tmp/sent.pcap" 12000 3 200 tidy &&
		launch 2 fanout --link-name f1 --pass-to f2 --write "$lib_tmp/written.pcapng" --json \
			--hold 1000 || return 1
	before=$(ip netns exec "$host2" cat /sys/class/net/h2/statistics/rx_packets)
	for sent in {0..11}000; do
		bounded 60 ip netns exec "$host1" "${packets[@]}" send-part "$lib_tmp/sent.pcap" h1 $sent $((sent + 1000))
		has_received "$host2" h2 $((before + sent + 1000)) || echo "not all of $sent to $((sent + 1000)) arrived"
	done
	end_program
	cat "$program_log"
	[ "$ended" = 0 ] && [ "$(field "(d := d['links'][0])['write'] == d['forward'] == d['rx_packets'] ==
		d['count'] + d['missed_by_count'] == 12000 > d['count']")" = True ]
}

# goes_down PROGRAM ARGUMENT...: where it sends to. It ends, and every frame is accounted for.
goes_down()
{
	launch 2 "$@" --link-name f1 --pass-to f2 || return 1
	start ip netns exec "$host1" ping -q -f -c 5000 10.77.0.2 >"$lib_tmp/ping"
	sleep 0.3
	ip -n "$forwarder" link set f2 down
	await_program 20
	ip -n "$forwarder" link set f2 up
	cat "$program_log"
	[ "$ended" = 1 ] && grep -q '^f2: interface is down; set its link up$' "$program_log" &&
		grep -q '^every frame accounted for$' "$program_log"
}

net_line || { fail "network"; finish; }
check "all workers have all packets" shared 1500
check "packets of several Bufs, SKB, smaller pool" shared 9000 --attach skb --bufnum 16384
check "a slow worker misses packets, and nobody else" slow
check "fanout ends when the interface behind it goes down" goes_down fanout
check "dump ends when the interface behind it goes down" goes_down dump
finish
