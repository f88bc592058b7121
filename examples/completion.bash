# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Completion of the example programs' options and their values, as --help has them: . examples/completion.bash

_sxsk_example()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} line options=() value=
	local columns='^  (--[^ ]+) +([^ ]*)'

	while IFS= read -r line; do
		[[ $line =~ $columns ]] || continue
		options+=("${BASH_REMATCH[1]}")
		# A value's name stands in a column of its own, or there is nothing.
		if [ "${BASH_REMATCH[1]}" = "$before" ]; then
			value=${line:18}
			value=${value%% *}
		fi
	done < <("${COMP_WORDS[0]}" --help 2>/dev/null)
	case $value in
	'') ;;
	*'|'*) mapfile -t options < <(tr '|' '\n' <<<"$value") ;;
	IF*) mapfile -t options < <(ls /sys/class/net) ;;
	FILE*) mapfile -t options < <(compgen -f -- "$word") ;;
	*) options=() ;;
	esac
	COMPREPLY=()
	for line in "${options[@]}"; do # as they are: a name may look like a command
		[[ $line != "$word"* ]] || COMPREPLY+=("$line")
	done
}

complete -F _sxsk_example rxdrop txgen l2fwd-1link l2fwd-2link l2fwd-2link-multicore dump fanout
