#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 under load leaves nothing in the way of the next start: no program, no bound queue. 50 times, or
# with --all 200.
times=50
[ "${1-}" != --all ] || times=200
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# Kill it under load, start it again at once. Frames came back from the one that was killed.
killed_and_started()
{
	local load

	start "$traffic/traffic" echo "$host1/h1" --load 1
	load=$started
	sleep 0.4
	kill -KILL "$program"
	wait "$program"
	launch 1 l2fwd-1link --link-name f1 || return 1
	wait "$load"
}

program_is_gone()
{
	bounded 20 sh -c "while ip -n $forwarder -d link show f1 | grep -q xdp; do sleep 0.05; done"
}

net_line || { fail "network"; finish; }

check "starts" launch 1 l2fwd-1link --link-name f1
for ((i = 1; i <= times; i++)); do
	check "kill -9 under load, started again, $i" killed_and_started
done
check "the last one works, too" bounded 20 "$traffic/traffic" echo "$host1/h1" --load 1
kill -KILL "$program"
wait "$program" 2>/dev/null
check "no program is left after the last kill -9" program_is_gone
check "pinned objects are as before" [ "$(find /sys/fs/bpf | grep -c sxsk)" = 0 ]
finish
