#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# l2fwd-2link-multicore: two workers on two queues of the same two interfaces are one cable of two
# wires. Nothing is lost, spoilt or out of order in either direction, and all of it ends together.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

net_queues=2
pairs=(--pair f1:0=f2:0@0 --pair f1:1=f2:1@1)
count=20000 # frames per queue and direction

# What a host's CPU N sends goes to queue N: a sender on one CPU stays in one queue.
pin_queues()
{
	# shellcheck disable=SC2016
	ip netns exec "$1" sh -c 'for q in 0 1; do
		echo $((1 << q)) >"/sys/class/net/$1/queues/tx-$q/xps_cpus" || exit; done' sh "$2"
}

# both COMMAND...: twice at the same time, on CPU 0 and on CPU 1. The second one's output follows.
both()
{
	local other status

	start taskset -c 1 "$@" >"$lib_tmp/other" 2>&1
	other=$started
	bounded 60 taskset -c 0 "$@"
	status=$?
	wait "$other" && [ $status = 0 ]
	status=$?
	cat "$lib_tmp/other"
	return $status
}

# Each worker has a CPU of its own, once it has started.
pinned()
{
	local all i

	for ((i = 0; i < 100; i++)); do
		all=$(grep -h Cpus_allowed_list "/proc/$program"/task/*/status | sort)
		[ "$(echo "$all" | grep -cP '\t0$')" = 1 ] && [ "$(echo "$all" | grep -cP '\t1$')" = 1 ] &&
			return
		sleep 0.05
	done
	echo "$all"
	return 1
}

ends()
{
	end_program
	[ "$ended" = "$1" ] && grep -q '^every frame accounted for$' "$program_log" && return
	echo "it ended with status $ended"
	cat "$program_log"
	return 1
}

# Each of the four sockets has received and sent what belongs to its queue, at least.
both_queues_used()
{
	cat "$program_log"
	[ "$(field "[(l['name'], l['queue']) for l in d['links'] if l['rx_packets'] >= $count \
and l['tx_packets'] >= $count]")" = "[('f1', 0), ('f2', 0), ('f1', 1), ('f2', 1)]" ]
}

# tcp CPU FROM TO ADDRESS: 64 MiB, checked byte by byte.
tcp()
{
	local port=$((5000 + $1)) seed=$RANDOM receiver

	start ip netns exec "$3" timeout 60 "$traffic/stream" receive $port 64 $seed
	receiver=$started
	bounded 20 ip netns exec "$3" sh -c \
		"until ss -Hltn sport = $port | grep -q $port; do sleep 0.05; done" || return 1
	bounded 60 ip netns exec "$2" taskset -c "$1" "$traffic/stream" send "$4" $port 64 $seed &&
		wait "$receiver"
}

# Both ways at once, from different CPUs, so that both workers carry some.
tcp_both_ways()
{
	local back status

	tcp 1 "$host2" "$host1" 10.77.0.1 >"$lib_tmp/back" 2>&1 &
	back=$!
	tcp 0 "$host1" "$host2" 10.77.0.2
	status=$?
	wait $back && [ $status = 0 ]
	status=$?
	cat "$lib_tmp/back"
	return $status
}

# Under load an interface goes away: both workers notice.
removed()
{
	start "$traffic/traffic" forward "$host1/h1" "$host2/h2" --load 2 >/dev/null 2>&1
	local load=$started

	sleep 0.7
	ip -n "$forwarder" link del f2
	await_program 5
	wait "$load"
	cat "$program_log"
	echo "it ended with status $ended"
	[ "$ended" = 1 ] && grep -qx 'f2: interface removed' "$program_log" &&
		grep -qx 'every frame accounted for' "$program_log"
}

if ! taskset -c 0,1 true 2>/dev/null; then
	skip "two workers on two CPUs" "CPU 0 and CPU 1 for this process"
	finish
fi
net_line && pin_queues "$host1" h1 && pin_queues "$host2" h2 || { fail "network"; finish; }

check "starts" launch 4 l2fwd-2link-multicore "${pairs[@]}" --json
check "each worker on its CPU" pinned
check "$count frames each way at once, on each queue" \
	both "$traffic/traffic" forward "$host1/h1" "$host2/h2" --count $count --seed $RANDOM \
	--window 64 --timeout 50
check "ends" ends 0
check "through both queues of both interfaces" both_queues_used

check "starts" launch 4 l2fwd-2link-multicore "${pairs[@]}" --attach skb --bufnum 8192
check "ping without loss" no_ping_lost 100 0.01
check "TCP both ways at once" tcp_both_ways
check "overload in both directions" \
	both "$traffic/traffic" forward "$host1/h1" "$host2/h2" --load 2
check "ends with every frame accounted for" ends 0

check "one Buf held back" launch 4 l2fwd-2link-multicore "${pairs[@]}" --hold-one
bounded 20 taskset -c 0 "$traffic/traffic" forward "$host1/h1" "$host2/h2" --count 100 >/dev/null
end_program
check "is found" grep -q 'NOT every frame' "$program_log"
check "and ends with status 1" [ "$ended" = 1 ]

check "l2fwd-2link with --cpu starts" launch 2 l2fwd-2link --link1-name f1 --link2-name f2 --cpu 1 --cpu 0
check "each thread on its CPU" pinned
check "ends" ends 0

check "starts on one queue of each" launch 2 l2fwd-2link-multicore --pair f1:1=f2:0@0
check "ends" ends 0

check "starts" launch 4 l2fwd-2link-multicore "${pairs[@]}"
check "an interface is removed under load" removed
finish
