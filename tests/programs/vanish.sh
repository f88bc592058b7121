#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An interface that goes away or down under load: each program ends with a clear sentence, status 1, and
# a full account, at once.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# hit INTERFACE COMMAND LINKS PROGRAM ARGUMENT...: the time that it took in $took, milliseconds.
hit()
{
	local interface=$1 sentence load

	took=
	launch "${@:3}" || return 1
	start "$traffic/traffic" echo "$host1/h1" --load 2 >/dev/null 2>&1
	load=$started
	sleep 0.7
	case $2 in
	removed)
		ip -n "$forwarder" link del "$interface"
		sentence="$interface: interface removed"
		;;
	down)
		ip -n "$forwarder" link set "$interface" down
		sentence="$interface: interface is down; set its link up"
		;;
	esac
	took=$(date +%s%N)
	await_program 5
	took=$((($(date +%s%N) - took) / 1000000))
	wait "$load"
	cat "$program_log"
	echo "it ended with status $ended"
	[ "$ended" = 1 ] && grep -qx "$sentence" "$program_log" &&
		grep -qx 'every frame accounted for' "$program_log"
}

# How long it took is for people to read: what passes must not depend on how busy the machine is.
try()
{
	check "$@" && echo "    after $took ms"
}

restore()
{
	ip -n "$forwarder" link show "f$1" >/dev/null 2>&1 || leg "${!2}" "$1"
	ip -n "$forwarder" link set "f$1" up
}

net_line || { fail "network"; finish; }

for what in removed down; do
	try "l2fwd-1link, $what" hit f1 $what 1 l2fwd-1link --link-name f1
	restore 1 host1
	try "rxdrop that never sleeps, $what" hit f1 $what 1 rxdrop --link f1 --wait busy
	restore 1 host1
	try "l2fwd-2link, first link $what" \
		hit f1 $what 2 l2fwd-2link --link1-name f1 --link2-name f2
	restore 1 host1
	try "l2fwd-2link, second link $what" \
		hit f2 $what 2 l2fwd-2link --link1-name f1 --link2-name f2
	restore 2 host2
	try "rxdrop, the idle one of two $what" hit f2 $what 2 rxdrop --link f1 --link f2
	restore 2 host2
	try "rxdrop, the busy one of two $what" hit f1 $what 2 rxdrop --link f1 --link f2
	restore 1 host1
done
finish
