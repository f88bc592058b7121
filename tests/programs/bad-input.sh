#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Whatever is wrong with what a program is asked to do: one sentence on stderr that names it, status 1,
# and nothing left attached.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

# refused WORD COMMAND...: status 1, one line on stderr, with that word (a regular expression).
refused()
{
	local word=$1 status lines

	shift
	bounded 20 ip netns exec "$forwarder" "$@" >"$lib_tmp/out" 2>"$lib_tmp/err"
	status=$?
	lines=$(wc -l <"$lib_tmp/err")
	if [ $status = 1 ] && [ "$lines" = 1 ] && grep -qE -- "$word" "$lib_tmp/err"; then
		pass "${*##*/}: $(cat "$lib_tmp/err")"
	else
		fail "${*##*/}: status $status, $lines lines on stderr, wanted: $word"
		sed 's/^/    /' "$lib_tmp/err"
	fi
}

attached()
{
	ip -n "$forwarder" -d link show | grep -q xdp
}

# Somebody else's XDP program on f2.
foreign_program()
{
	printf 'int pass(void *c) { return 2; }\n' >"$lib_tmp/pass.c"
	clang -O2 -target bpf -c "$lib_tmp/pass.c" -o "$lib_tmp/pass.o" &&
		ip -n "$forwarder" link set dev f2 xdp obj "$lib_tmp/pass.o" sec .text
}

one=$examples/l2fwd-1link two=$examples/l2fwd-2link drop=$examples/rxdrop dump=$examples/dump
many=$examples/l2fwd-2link-multicore gen=$examples/txgen
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"

net_line || { fail "network"; finish; }

refused 'link-name' "$one"
refused 'needs a value' "$one" --link-name
refused 'empty' "$one" --link-name ''
refused 'no interface nope' "$one" --link-name nope
refused 'abcdefghijklmno.*long' "$one" --link-name abcdefghijklmnop
refused 'no queue 7' "$one" --link-name f1 --link-channel 7
refused 'link-channel' "$one" --link-name f1 --link-channel x
refused 'link-channel' "$one" --link-name f1 --link-channel -1
refused 'link-channel' "$one" --link-name f1 --link-channel 99999999999999999999999
refused '2048' "$one" --link-name f1 --bufsize 3000
refused 'bufsize' "$one" --link-name f1 --bufsize 1024
refused 'bufnum' "$one" --link-name f1 --bufnum 63
refused 'bufnum' "$one" --link-name f1 --bufnum 2000000
refused 'batch-size' "$one" --link-name f1 --batch-size 0
refused 'duration' "$one" --link-name f1 --duration 1.5
refused 'frobnicate' "$one" --link-name f1 --frobnicate
refused "'f1'" "$one" f1
refused 'auto, native, skb, or beside others: dispatcher' "$one" --link-name f1 --attach fast
refused 'native' "$one" --link-name lo --attach native
refused 'zero-copy' "$one" --link-name f1 --zero-copy
refused 'contradicts' "$one" --link-name f1 --zero-copy --copy
refused 'zero-copy' "$one" --link-name mem:x --zero-copy
refused 'mem:' "$one" --link-name mem:
refused 'epoll, poll, or busy' "$one" --link-name f1 --wait idle
refused 'epoll, poll, or busy' "$one" --link-name f1 --wait ''
refused 'no CPU x' "$one" --link-name f1 --cpu x
refused 'CPU 99999' "$one" --link-name f1 --cpu 99999
refused 'link1-name' "$two"
refused 'link2-name' "$two" --link1-name f1
refused 'no interface nope' "$two" --link1-name f1 --link2-name nope
refused 'f1 queue 0' "$two" --link1-name f1 --link2-name f1
refused 'link' "$drop"
refused 'no queue 9' "$drop" --link f1:9
refused '99999' "$drop" --link f1:99999
refused 'empty' "$drop" --link :0
refused 'one of them' "$gen" --link f1 --size 100 --imix
refused '3840' "$gen" --link f1 --size 3841
refused '14 to 1792' "$gen" --link f1 --size 1793
refused '60' "$gen" --link f1 --size 59
refused 'hexadecimal' "$gen" --link f1 --headers 02000000000g
refused 'hexadecimal' "$gen" --link f1 --headers 020
refused 'hexadecimal' "$gen" --link f1 --headers "$(printf '%0122d' 0)"
refused 'nope: No such file' "$gen" --link f1 --pcap nope
refused 'bad-input.sh|pcap' "$gen" --link f1 --pcap "$0"
refused 'link' "$gen" --rate 1
refused 'pair' "$many"
refused 'A:Q=B:Q@CPU' "$many" --pair f1:0
refused 'no interface nope' "$many" --pair f1:0=nope:0@0
refused 'no queue 9' "$many" --pair f1:0=f2:9@0
refused 'no CPU x' "$many" --pair f1:0=f2:0@x
refused 'CPU 99999' "$many" --pair f1:0=f2:0@99999
refused 'f1 queue 0' "$many" --pair f1:0=f2:0 --pair f1=mem:x
refused 'which interface' "$dump" udp
refused 'syntax error' "$dump" --link-name f1 udp port and
refused 'rejects all packets' "$dump" --link-name f1 ip and arp
refused 'protochain 17.*jumps back' "$dump" --link-name f1 ip6 protochain 17
refused 'inbound.*packet type' "$dump" --link-name f1 inbound
refused 'mem:x.*udp' "$dump" --link-name mem:x udp
refused "'--frobnicate'" "$dump" --link-name f1 udp --frobnicate
refused 'count' "$dump" --link-name f1 --count 0
refused 'nowhere/x: No such file' "$dump" --link-name f1 --write nowhere/x
refused '/dev/full' "$dump" --link-name f1 --write /dev/full
refused '/dev/full' "$dump" --link-name mem:x --duration 1 --write /dev/full
refused 'no interface nope' "$dump" --link-name f1 --pass-to nope
refused 'f1 queue 0' "$dump" --link-name f1 --pass-to f1
# shellcheck disable=SC2086
refused 'CAP_BPF' $nobody "$dump" --link-name f1 udp
# shellcheck disable=SC2086
refused 'CAP_NET_RAW' $nobody "$one" --link-name f1
refused 'memory' sh -c "ulimit -v 100000; exec $one --link-name f1"
check "nothing is left attached" eval '! attached'

check "starts" launch 1 l2fwd-1link --link-name f1
refused 'f1 queue 0 is taken' "$one" --link-name f1 --duration 1
end_program
check "the first one did not notice" [ "$ended" = 0 ]

if foreign_program; then
	refused 'program' "$one" --link-name f2 --duration 1
	refused 'program' "$one" --link-name f2 --duration 1 --attach skb
	check "the other program is still there" attached
else
	fail "cannot attach a program of our own"
fi

# Without privileges, in process.
# shellcheck disable=SC2086
check "mem: needs no root" bounded 10 $nobody sh -c "cd / && exec $one --link-name mem:x --duration 1"
check "--help" bounded 10 "$one" --help
finish
