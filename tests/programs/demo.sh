#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The demo: ends well, ends with 1 when a Buf is held back, and leaves nothing behind however it ends.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

export SXSK_FRAMES=5000 SXSK_SECONDS=1 SXSK_NS_PREFIX=$lib_prefix-demo
demo_log=$lib_tmp/demo

# In a session of its own, so that what it leaves behind is found. What a script starts in the
# background would ignore SIGINT.
start_demo()
{
	setsid env --default-signal=INT "$lib_root/examples/demo" "$@" >"$demo_log" 2>&1 </dev/null &
	demo=$!
}

# ended STATUS: the demo ends with that status, and nothing of it is left.
ended()
{
	local status left i

	wait "$demo"
	status=$?
	for ((i = 0; i < 400; i++)); do # whom the signal has hit may still be on the way out
		pgrep -r R,S,D,T -s "$demo" >/dev/null || break
		sleep 0.05
	done
	left=$(ip netns list | grep -c "^$SXSK_NS_PREFIX")
	cat "$demo_log"
	echo "it ended with $status; left: $left namespaces, processes: $(pgrep -r R,S,D,T -s "$demo" -l)"
	[ $status = "$1" ] && [ "$left" = 0 ] && ! pgrep -r R,S,D,T -s "$demo" >/dev/null &&
		[ "$(find /sys/fs/bpf)" = "$pins" ]
}

said()
{
	cat "$demo_log"
	grep -qE "$1" "$demo_log"
}

pins=$(find /sys/fs/bpf)
start_demo
check "ends well" ended 0
check "says that every frame is accounted for" said 'every frame accounted for'
check "pings without loss" said ' 100 received'
check "shows the TCP rate" said 'bits/sec .*sender'
for part in $("$lib_root/examples/demo" --list | sed 's/ .*//'); do
	check "--list: there is a part '$part'" said "^== $part: "
done

SXSK_HOLD=1 start_demo cable
check "a Buf held back ends it with 1" ended 1
check "and shows who holds it" said 'held by 1 reference'

# At different moments: while it makes the network, with the first and with the second program.
for after in 0.7 'l2fwd-1link: on' 'l2fwd-2link: on'; do
	start_demo
	case $after in
	0*) sleep "$after" ;;
	*) bounded 60 sh -c "until grep -q '$after' $demo_log; do sleep 0.05; done" ;;
	esac
	kill -INT "$demo"
	check "SIGINT after $after" ended 130
done
start_demo
sleep 1
kill -TERM -- "-$demo"
check "SIGTERM to the whole group" ended 143
finish
