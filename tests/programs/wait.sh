#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# --wait: a program with nothing to do sleeps, in epoll and in poll, and does not with busy; it forwards,
# also after it has slept (in epoll, all the other tests do). Idle programs are measured beside each other, for 2 s, with --all for 10.
#
#   i1 ... i18 on $forwarder, each with an end p1 ... p18 that nobody uses
seconds=2
[ "${1-}" != --all ] || seconds=10
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# idle PROGRAM ARGUMENT...: start it; the others are not waited for. Its links are opened first.
programs=()
idle()
{
	local name=$1 log=$lib_tmp/idle-${#programs[@]}

	shift
	start ip netns exec "$forwarder" "$examples/$name" --duration 120 "$@" >"$log" 2>&1
	programs+=("$started:$name $*")
	bounded 10 sh -c "until grep -q '^$name: on ' $log; do sleep 0.05; done"
}

# CPU time of all threads of a process, nanoseconds, as the scheduler counts it.
cpu_time()
{
	cat "/proc/$1/task"/*/schedstat | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# What all of them use while nothing comes; each is to use less than 1 % of a processor. What a busy machine charges
# them for besides does not repeat itself: one turn of five has to be so.
sleepers()
{
	local turn

	for turn in {1..5}; do
		echo "turn $turn"
		one_turn && return
	done
	return 1
}

one_turn()
{
	local i pid before=() used status=0

	sleep 1 # all threads have looked for packets in vain
	for i in "${!programs[@]}"; do
		before[i]=$(cpu_time "${programs[i]%%:*}") || return 1
	done
	sleep "$seconds"
	for i in "${!programs[@]}"; do
		pid=${programs[i]%%:*}
		used=$(($(cpu_time "$pid") - before[i]))
		echo "$((used / 1000)) us in $seconds s: ${programs[i]#*:}"
		[ $used -lt $((seconds * 10000000)) ] || status=1
	done
	return $status
}

# As by Ctrl-Z and fg: that interrupts a sleep, and nothing else.
stop_and_go_on()
{
	local i status=0

	for i in "${!programs[@]}"; do
		kill -STOP "${programs[i]%%:*}"
	done
	sleep 0.2
	for i in "${!programs[@]}"; do
		kill -CONT "${programs[i]%%:*}"
	done
	sleep 1
	for i in "${!programs[@]}"; do
		kill -0 "${programs[i]%%:*}" && continue
		cat "$lib_tmp/idle-$i"
		status=1
	done
	return $status
}

all_end_well()
{
	local i status=0

	for i in "${!programs[@]}"; do
		kill -INT "${programs[i]%%:*}"
	done
	for i in "${!programs[@]}"; do
		wait "${programs[i]%%:*}" && grep -qx 'every frame accounted for' "$lib_tmp/idle-$i" ||
			{ cat "$lib_tmp/idle-$i"; status=1; }
	done
	programs=()
	return $status
}

# One that never sleeps never gives its processor away.
never_sleeps()
{
	local before after

	idle rxdrop --link i1 --wait busy || return 1
	before=$(cpu_time "$started")
	bounded 60 sh -c "until [ \$(cat /proc/$started/task/*/schedstat |
		awk '{ sum += \$1 } END { printf \"%d\", sum }') -gt $((before + 100000000)) ]; do sleep 0.05; done"
}

# Packets that come after a while: each wakes them, and comes through.
after_a_sleep()
{
	launch "${@:2}" --wait "$1" || return 1
	no_ping_lost 4 0.4 || return 1
	bounded 60 "$traffic/traffic" forward "$host1/h1" "$host2/h2" --count 2000 --seed $RANDOM --timeout 50 &&
		end_program && [ "$ended" = 0 ]
}

# What it has sent counts in packets, and in Bufs: it must not wait for the numbers to be the same.
after_packets_of_several_bufs()
{
	net_mtu 9000 && launch 2 l2fwd-2link-multicore --pair f1=f2 --json || return 1
	bounded 20 ip netns exec "$host1" ping -q -c 3 -i 0.2 -w 15 -s 8900 -M do 10.77.0.2 || return 1
	programs=("$program:l2fwd-2link-multicore") seconds=1
	sleepers || return 1
	end_program
	[ "$ended" = 0 ] && [ "$(field "[l['tx_packets'] < l['tx_completed'] for l in d['links']]")" = "[True, True]" ]
}

net_line || { fail "network"; finish; }
for n in {1..18}; do
	ip -n "$forwarder" link add "i$n" type veth peer name "p$n" &&
		ip -n "$forwarder" link set "i$n" up && ip -n "$forwarder" link set "p$n" up ||
		{ fail "network"; finish; }
done

for how in epoll poll; do
	[ $how = epoll ] && set -- i{1..9} || set -- i{10..18}
	check "rxdrop, $how" idle rxdrop --link "$1" --wait $how --bufnum 4096
	check "l2fwd-1link, $how" idle l2fwd-1link --link-name "$2" --wait $how --bufnum 4096
	check "l2fwd-2link, $how" idle l2fwd-2link --link1-name "$3" --link2-name "$4" --wait $how --bufnum 8192
	check "dump, $how" idle dump --link-name "$7" --wait $how --bufnum 4096 udp
	check "fanout, $how" idle fanout --link-name "$8" --pass-to "$9" --wait $how --bufnum 4096
	check "l2fwd-2link-multicore, $how" idle l2fwd-2link-multicore --pair "$5=$6" --wait $how --bufnum 8192
done
check "none of them uses 1 % of a processor" sleepers
check "stopped, and continued, they go on" stop_and_go_on
check "they end well" all_end_well
check "a busy one does" never_sleeps
check "it ends well" all_end_well
for how in poll busy; do
	check "l2fwd-2link, $how" after_a_sleep $how 2 l2fwd-2link --link1-name f1 --link2-name f2
	check "l2fwd-2link-multicore, $how" after_a_sleep $how 2 l2fwd-2link-multicore --pair f1=f2
done
check "l2fwd-2link-multicore sleeps after packets of several Bufs" after_packets_of_several_bufs
finish
