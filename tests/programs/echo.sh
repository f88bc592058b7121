#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# l2fwd-1link: frames come back complete, in order, byte for byte, with their MACs swapped once; it
# ends as documented, and its account says what happened.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# echo_frames COUNT ATTACH OPTION...: through a fresh l2fwd-1link, which is left running.
echo_frames()
{
	launch 1 l2fwd-1link --link-name f1 --attach "$2" --json "${@:3}" || return 1
	bounded 60 "$traffic/traffic" echo "$host1/h1" --count "$1" --seed $RANDOM --timeout 50 \
		"${window[@]}"
}

# ends STATUS [SIGNAL]: it ends with that status.
ends()
{
	end_program "${2:-INT}"
	[ "$ended" = "$1" ] && return
	echo "it ended with status $ended instead of $1"
	cat "$program_log"
	return 1
}

# log_has TEXT...
log_has()
{
	local text

	for text; do
		grep -qF -- "$text" "$program_log" || {
			echo "not said: $text"
			cat "$program_log"
			return 1
		}
	done
}

# The object in the last line: its fields and what they say.
json_is_right()
{
	cat "$program_log"
	[ "$(field "d['program'], d['accounted'], len(d['links'])")" = "l2fwd-1link True 1" ] || return 1
	[ "$(field "[d['links'][0][k] for k in ('name', 'queue', 'mode', 'attach')]")" = \
		"['f1', 0, 'copy', 'skb']" ] || return 1
	[ "$(field "[d['links'][0][k] for k in ('rx_packets', 'tx_packets', 'tx_completed')]")" = \
		"[1000, 1000, 1000]" ] || return 1
	[ "$(field "sorted(d['links'][0]['kernel'])")" = "['rx_dropped', 'rx_fill_ring_empty_descs', \
'rx_invalid_descs', 'rx_ring_full', 'tx_invalid_descs', 'tx_ring_empty_descs']" ] || return 1
	[ "$(field "d['frames']['total'] == sum(d['frames'][k] for k in ('lanes', 'depot', 'fill', \
'quarantined', 'retired')), d['frames']['user'], d['frames']['tx'], d['seconds'] > 0")" = \
		"True 0 0 True" ]
}

window=()
net_line || { fail "network"; finish; }

check "100,000 frames, native" echo_frames 100000 native
check "SIGINT ends it with status 0" ends 0
check "native, as asked" log_has "on f1 queue 0: copy mode, native" "every frame accounted for"
check "100,000 frames, SKB" echo_frames 100000 skb
check "SIGTERM ends it with status 0" ends 0 TERM
check "SKB, as asked" log_has "on f1 queue 0: copy mode, skb" "every frame accounted for"

check "1,000 frames, one packet at a time" echo_frames 1000 skb --batch-size 1
check "ends" ends 0
check "the JSON object" json_is_right
# The kernel gets half of the frames to receive into, and new ones when it lacks half of those, at the
# next receive: few may be on the way.
window=(--window 8)
check "20,000 frames, the smallest pool" echo_frames 20000 native --bufnum 64 --batch-size 8
window=()
check "ends" ends 0
check "frames of 4096 bytes, batches of 1024" \
	echo_frames 20000 native --bufsize 4096 --bufnum 16384 --batch-size 1024
check "ends" ends 0

# Packets of several frames, by itself where the MTU exceeds one; a batch is of one packet at least.
check "MTU 9000" net_mtu 9000
window=(--max 9014)
check "20,000 frames of up to 9014 bytes, native" echo_frames 20000 native
check "as multi-buffer" log_has "native, multi-buffer"
check "ends" ends 0
window=(--min 9014 --max 9014)
check "5,000 frames of 9014 bytes, SKB, one packet at a time" \
	echo_frames 5000 skb --bufsize 4096 --batch-size 1
check "ends" ends 0
window=()
check "MTU 1500 again" net_mtu 1500

# Under more load than it can carry: packets get lost, but none is spoilt, doubled or swapped twice.
check "starts" launch 1 l2fwd-1link --link-name f1
check "overload" bounded 30 "$traffic/traffic" echo "$host1/h1" --load 3
check "ends with every frame accounted for" ends 0

check "holds one Buf back" echo_frames 1000 native --hold-one
check "and ends with status 1" ends 1
check "and says who has it" log_has "held by 1 reference" "NOT every frame" '"accounted": false'

launch 1 l2fwd-1link --link-name f1 --duration 2
await_program 10
check "--duration ends it with status 0" [ "$ended" = 0 ]
check "with a line each second" log_has " s  f1:0 rx 0 pps tx 0 pps drops 0"
finish
