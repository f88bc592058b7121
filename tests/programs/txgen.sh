#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# txgen's packets through a forwarder to `rxdrop --verify`: what was asked for was sent, and each thing that
# goes wrong on the way is counted for what it is.
#
#   txgen on $host1/h1  ->  $forwarder  ->  rxdrop --verify on $host2/h2
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

rxdrop_log=$lib_tmp/rxdrop.log txgen_log=$lib_tmp/txgen.log

receive()
{
	: >"$rxdrop_log"
	start ip netns exec "$host2" "$examples/rxdrop" --link h2 --verify --json --duration 60 "$@" \
		>"$rxdrop_log" 2>&1
	rxdrop=$started
	bounded 10 sh -c "until grep -q 'on h2' $rxdrop_log; do sleep 0.05; done"
}

# generate OPTION...: it ends by itself.
generate()
{
	bounded 30 ip netns exec "$host1" "$examples/txgen" --link h1 --json --duration 20 "$@" \
		>"$txgen_log" 2>&1
}

# through FORWARDER COMMAND...: generate through it, all to the end; what came of it is in the two logs.
through()
{
	local forward=$1 status

	shift
	$forward && receive || return 1
	generate "$@"
	status=$?
	settled "$host2" h2
	kill -INT "$rxdrop"
	wait "$rxdrop" || status=1
	end_program TERM
	cat "$txgen_log" "$rxdrop_log"
	return $status
}

cable()
{
	launch 2 l2fwd-2link --link1-name f1 --link2-name f2
}

# The forwarder of the checker's test, with a fault in one of a hundred packets.
reflect()
{
	start "$traffic/reflect" forward "$forwarder/f1" "$forwarder/f2" --fault "$fault" --seconds 30 \
		>"$lib_tmp/reflect.log" 2>&1
	program=$started
	bounded 20 sh -c "until grep -q ready $lib_tmp/reflect.log; do sleep 0.05; done"
}

# verified EXPRESSION VALUE: v is rxdrop's account of the packets, l of its link, s txgen's of its link.
verified()
{
	[ "$(python3 -c "
import json
def last(path):
    return json.loads(open(path).readlines()[-1])['links'][0]
l, s = last('$rxdrop_log'), last('$txgen_log')
v = l['verify']
print($1)")" = "$2" ]
}

counts="v['lost'], v['reordered'], v['duplicates'], v['corrupted']"

all_arrive()
{
	through cable --rate 1000 --count 1000 &&
		verified "s['tx_packets'], v['packets'], v['streams'], $counts" "1000 1000 1 0 0 0 0" &&
		verified "0 < v['latency_us']['p50'] <= v['latency_us']['p99'] <= v['latency_us']['max']" True
}

imix_arrives()
{
	through cable --rate 1000 --imix --count 600 &&
		verified "l['rx_bytes'], v['packets'], $counts" "214700 600 0 0 0 0"
}

# Longer than rxdrop's frames: the stamp is in the last Buf, the sum of all of them.
long_ones_arrive()
{
	net_mtu 9000 && through cable --rate 1000 --count 200 --bufsize 4096 --size 3840 &&
		verified "v['packets'], v['others'], l['rx_bytes'], $counts" "200 0 768000 0 0 0 0"
	local status=$?
	net_mtu 1500
	return $status
}

# Of 1050 packets 10 are hit. The last one is not: nobody would miss it.
found()
{
	fault=$1:100
	through reflect --rate 1000 --count 1050 && verified "$counts" "$2"
}

# The packets as they are, byte for byte, in turn.
capture_arrives()
{
	python3 - "$lib_tmp/in.pcap" <<'END'
import struct, sys
packets = [bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]) + bytes([n]) * n for n in (0, 46, 200)]
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for p in packets:
        f.write(struct.pack("<IIII", 0, 0, len(p), len(p)) + p)
END
	start ip netns exec "$host2" timeout 30 tcpdump -i h2 -w "$lib_tmp/out.pcap" -U -Q in -c 7 \
		>"$lib_tmp/tcpdump.log" 2>&1
	local dump=$started
	bounded 10 sh -c "until grep -q 'listening on' $lib_tmp/tcpdump.log; do sleep 0.05; done" &&
		cable && generate --pcap "$lib_tmp/in.pcap" --plain --rate 1000 --count 7 || return 1
	wait "$dump"
	end_program
	python3 - "$lib_tmp/in.pcap" "$lib_tmp/out.pcap" <<'END'
import struct, sys
def packets(path):
    with open(path, "rb") as f:
        f.read(24)
        while header := f.read(16):
            yield f.read(struct.unpack("<IIII", header)[2])
sent, got = list(packets(sys.argv[1])), list(packets(sys.argv[2]))
print([len(p) for p in got])
sys.exit(got != [sent[i % 3] for i in range(7)])
END
}

# It never sends more than was due: after s seconds at most 1 + s * rate, and one at a time.
never_too_fast()
{
	generate --rate 1000 --count 0 --batch-size 1 --duration 1 || return 1
	cat "$txgen_log"
	[ "$(program_log=$txgen_log field "10 < d['links'][0]['tx_packets'] <= 2 + d['seconds'] * 1000")" = True ]
}

# Without a rate, in batches: no more than that.
exactly_so_many()
{
	generate --count 1000
	cat "$txgen_log"
	[ "$(program_log=$txgen_log field "d['links'][0]['tx_packets'], d['links'][0]['unsent']")" = "1000 0" ]
}

net_line || { fail "network"; finish; }

check "all of 1000 packets arrive, each once" all_arrive
check "of the lengths of an IMIX" imix_arrives
check "of several Bufs" long_ones_arrive
check "finds: drop" found drop "10 0 0 0"
check "finds: duplicate" found duplicate "0 0 10 0"
check "finds: reorder" found reorder "0 10 0 0"
check "finds: corrupt" found corrupt "10 0 0 10"
check "the packets of a capture" capture_arrives
check "never too fast" never_too_fast
check "as many as asked for" exactly_so_many
finish
