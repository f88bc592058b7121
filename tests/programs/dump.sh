#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dump shows what `tcpdump -r` of the same packets shows, its capture is what was sent, and what no
# expression matches stays with the kernel's stack.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

packets=(python3 "$(dirname "${BASH_SOURCE[0]}")/packets.py")
expressions=(
	''
	'ip'
	'ip6'
	'arp'
	'not ip and not ip6 and not arp'
	'tcp'
	'udp port 53'
	'not port 22'
	'portrange 50-443'
	'src host 10.77.0.1 or dst host 10.77.0.2'
	'net 192.168.0.0/16 and not dst net 224.0.0.0/4'
	'ip broadcast'
	'ether broadcast'
	'ether multicast and not arp'
	'ether src 02:00:00:00:00:01 and (tcp or udp)'
	'vlan'
	'vlan 7'
	'vlan and ip6'
	'vlan and vlan 100 and tcp'
	'not vlan and icmp'
	'icmp6'
	'ip6 net fd00::/64 and udp'
	'ip6 proto 44 or ip6[6] = 0'
	'ip[8] < 5'
	'ip[6:2] & 0x1fff != 0'
	'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0'
	'ip[2:2] - ((ip[0] & 0xf) << 2) > 100'
	'len > 100'
	'greater 200 and less 1000'
	'ether[len - 1] & 1 = 1'
	'ether proto 0x88cc or stp'
	'icmp[icmptype] = icmp-echo or icmp6[icmp6type] = icmp6-echo'
)

# cables NUMBER: so many, from h1, h2 ... on host 1 to f1, f2 ...
cables()
{
	local i

	for ((i = 1; i <= $1; i++)); do
		echo "link add h$i type veth peer name f$i netns $forwarder"
		echo "link set h$i up"
	done >"$lib_tmp/near"
	for ((i = 1; i <= $1; i++)); do
		echo "link set f$i up"
	done >"$lib_tmp/far"
	ip -n "$host1" -b "$lib_tmp/near" && ip -n "$forwarder" -b "$lib_tmp/far"
}

mtu()
{
	local i

	for i in "${!expressions[@]}"; do
		ip -n "$host1" link set "h$((i + 1))" mtu "$1" &&
			ip -n "$forwarder" link set "f$((i + 1))" mtu "$1" || return 1
	done
}

# dumps OPTION...: one on each cable, with its expression in words. All are there when it returns.
dumps()
{
	local i

	dumping=()
	set -f # words are words
	for i in "${!expressions[@]}"; do
		# shellcheck disable=SC2086
		start ip netns exec "$forwarder" "$examples/dump" --link-name "f$((i + 1))" --json \
			--bufnum 8192 --duration 100 --write "$lib_tmp/$i.pcapng" "$@" \
			${expressions[i]} >"$lib_tmp/$i.log" 2>&1
		dumping[i]=$started
	done
	set +f
	for i in "${!expressions[@]}"; do
		bounded 20 sh -c "until grep -q '^dump: on ' $lib_tmp/$i.log; do
			kill -0 ${dumping[i]} || exit 1; sleep 0.05; done" || return 1
	done
	[ -z "${SXSK_XSK_LOG-}" ] || echo "${0##*/}" >>"$SXSK_XSK_LOG"
}

# The same packets on all cables; then the dumps are told to end.
sent()
{
	local interfaces=()

	for i in "${!expressions[@]}"; do
		interfaces+=("h$((i + 1))")
	done
	bounded 60 ip netns exec "$host1" "${packets[@]}" send "$lib_tmp/sent.pcap" "${interfaces[@]}"
	kill -INT "${dumping[@]}"
	wait "${dumping[@]}"
}

# agree NAME MTU OPTION...: what dumps with these options find is what tcpdump finds.
agree()
{
	local name=$1 mtu=$2 line

	shift 2
	printf '%s\n' "${expressions[@]}" >"$lib_tmp/expressions"
	"${packets[@]}" make "$lib_tmp/sent.pcap" 500 "$seed" $((mtu + 14)) $tidy &&
		check "$name: ${#expressions[@]} dumps start, seed $seed" dumps "$@" || return
	sent
	while read -r line; do
		case $line in
		ok:*) pass "$name: ${line#ok: }" ;;
		*) fail "$name: ${line#not ok: }" ;;
		esac
	done < <("${packets[@]}" agree "$lib_tmp/sent.pcap" "$lib_tmp")
}

declare -a dumping
seed=1 tidy=
netns h1 && host1=$made && netns fw && forwarder=$made && cables "${#expressions[@]}" ||
	{ fail "network"; finish; }
agree native 1500
# Packets of several Bufs: lengths are of the whole. Also by the kernel's other way.
expressions=('' 'len > 5000' 'ether[len - 1] & 1 = 1' 'ether[3000:2] < 0x8000' 'vlan and ip6')
check "MTU 9000" mtu 9000
agree "MTU 9000, SKB" 9000 --attach skb
tidy=tidy
agree "MTU 9000, tidy" 9000
check "tshark sees what is printed" "${packets[@]}" tshark "$lib_tmp/0.pcapng" "$lib_tmp/0.log"

# One dump, with these options, of what is sent to f1; what comes in at an interface meanwhile is heard().
one_dump()
{
	listen "$1" "$2" "$lib_tmp/heard.pcap" || return 1
	launch 1 dump --link-name f1 --json --write "$lib_tmp/0.pcapng" "${@:3}" || return 1
	bounded 60 ip netns exec "$host1" "${packets[@]}" send "$lib_tmp/sent.pcap" h1
	[ "$3" = --count ] || end_program
	await_program 10
	[ "${ended-}" = 0 ] || cat "$program_log"
}

# Some packets come up, all others come to the stack, where tcpdump listens.
stack_keeps()
{
	one_dump "$forwarder" f1 "$@" &&
		heard "${packets[@]}" parts "$lib_tmp/sent.pcap" "$lib_tmp/0.pcapng" "$lib_tmp/heard.pcap"
}

# What matches is seen at the far end of the other cable, and nothing else.
passes_on()
{
	one_dump "$host1" h2 --pass-to f2 "$@" &&
		heard "${packets[@]}" same "$lib_tmp/0.pcapng" "$lib_tmp/heard.pcap" &&
		[ "$(field "d['links'][0]['rx_packets'] == d['links'][1]['tx_packets'] > 50")" = True ]
}

# The first packets, and their bytes.
counts()
{
	one_dump "$forwarder" f1 --count 7 -x && heard true || return 1
	grep -E '^[0-9:]{8}\.' "$program_log"
	[ "$(grep -cE '^[0-9:]{8}\.' "$program_log")" = 7 ] &&
		"${packets[@]}" hex "$lib_tmp/0.pcapng" "$program_log" | grep .
}

# (The kernel drops what ends in a VLAN tag: no odd packets.)
"${packets[@]}" make "$lib_tmp/sent.pcap" 500 2 9014 tidy
check "the stack keeps what does not match" stack_keeps udp or vlan
check "the stack keeps what does not match, SKB" stack_keeps --attach skb ip6 or arp
check "what matches is passed on" passes_on ip and not port 22
check "what matches is passed on, SKB" passes_on --attach skb ip and not port 22
check "long and short packets are passed on" passes_on
check "--count, and -x shows all bytes" counts
finish
