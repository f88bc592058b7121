#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The checker is checked: it passes a right forwarder, and finds each mistake of a wrong one.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# reflect FAULT ARGUMENT...: a forwarder over packet sockets, as good as asked.
reflect()
{
	: >"$program_log"
	start "$traffic/reflect" "${@:2}" --fault "$1" --seconds 30 >"$program_log" 2>&1
	program=$started
	bounded 20 sh -c "until grep -q ready $program_log; do sleep 0.05; done"
}

# expect STATUS NAME ARGUMENT...: what the checker has to say.
expect()
{
	local wanted=$1 name=$2 status

	bounded 60 "$traffic/traffic" "${@:3}" >"$lib_tmp/traffic" 2>&1
	status=$?
	if [ $status = "$wanted" ]; then
		pass "$name"
	else
		fail "$name (exit status $status instead of $wanted)"
		sed 's/^/    /' "$lib_tmp/traffic"
	fi
	end_program TERM
}

net_line || { fail "network"; finish; }

reflect none echo "$forwarder/f1"
expect 0 "frames that come back as they should" echo "$host1/h1" --count 20000
reflect none forward "$forwarder/f1" "$forwarder/f2"
expect 0 "frames that arrive in both directions" forward "$host1/h1" "$host2/h2" --count 20000
for fault in drop duplicate reorder corrupt truncate untag noswap; do
	reflect $fault:500 echo "$forwarder/f1"
	expect 1 "finds: $fault" echo "$host1/h1" --count 5000
done
reflect corrupt:5000 echo "$forwarder/f1"
expect 1 "finds the one wrong frame of 5000" echo "$host1/h1" --count 5000
expect 1 "finds that nothing comes back" echo "$host1/h1" --count 10
expect 1 "refuses an interface that is not there" echo "$host1/h9"
finish
