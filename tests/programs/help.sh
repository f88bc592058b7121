#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the programs say of themselves: the example in --help works, every option there is completed, and on
# mem: links they run without root, with traffic.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"
. "$lib_root/examples/completion.bash"

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)

# The options that --help prints.
options_of()
{
	"$1" --help | grep -oP '^  \K--[^ ]+' | sort
}

# completed WORD...: what is offered for the last word.
completed()
{
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_sxsk_example
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# Bash itself knows what to call for this program.
is_registered()
{
	complete -p "${1##*/}" | grep -q _sxsk_example
}

all_completed()
{
	[ "$(options_of "$1" | wc -l)" -gt 10 ] && diff <(options_of "$1") <(completed "$1" --) &&
		is_registered "$1"
}

values_completed()
{
	[ "$(completed "$1" --wait '' | xargs)" = "busy epoll poll" ] &&
		[ "$(completed "$1" --wait p)" = poll ] &&
		[ "$(completed "$1" --json --at | xargs)" = --attach ] &&
		[ "$(completed "$1" --attach d)" = dispatcher ] &&
		[ -z "$(completed "$1" --bufnum '')" ]
}

# Start the example, on in-process links instead, by nobody, beside the others.
start_example()
{
	local words

	read -r -a words < <("$1" --help | sed -n "s/^example: ${1##*/} //p" |
		sed 's/veth\([0-9]\)/mem:veth\1/g; s/@[0-9]//g')
	[ ${#words[@]} -gt 1 ] || return 1
	# shellcheck disable=SC2016
	start timeout -k 5 20 "${nobody[@]}" sh -c 'cd / && exec "$@"' sh "$1" "${words[@]}" \
		--duration 3 --json >"$lib_tmp/${1##*/}" 2>&1
	running[$1]=$started
}

# It ends well, and packets came or went.
example_works()
{
	program_log=$lib_tmp/${1##*/}
	wait "${running[$1]}" || { cat "$program_log"; return 1; }
	cat "$program_log"
	[ "$(field "d['accounted'], sum(l['rx_packets'] + l['tx_packets'] for l in d['links']) > 100")" = \
		"True True" ]
}

declare -A running
for program in "$examples"/*; do
	[ -f "$program" ] && [ -x "$program" ] || continue
	name=${program##*/}
	start_example "$program" || fail "$name: no example"
	check "$name: every option is completed" all_completed "$program"
	check "$name: values are completed" values_completed "$program"
done
for program in "${!running[@]}"; do
	check "${program##*/}: its example works" example_works "$program"
done
check "interfaces are completed" eval \
	'completed "$examples/rxdrop" --link "" | diff - <(ls /sys/class/net | sort)'
check "files are completed" eval \
	'[ "$(completed "$examples/txgen" --pcap "$lib_root/READM")" = "$lib_root/README.md" ]'
finish
