#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Packets for the tests of dump and fanout, by the packet socket (AF_PACKET), without AF_XDP.

  packets.py make FILE COUNT SEED LONGEST [tidy]
                                              a capture (pcap) of packets of all kinds, odd ones unless tidy
  packets.py send FILE INTERFACE...           send them all, in order, on each interface
  packets.py same FILE FILE                   have both captures (pcap or pcapng) the same packets?
  packets.py parts FILE PART PART             is each packet in one of the parts, and only there?
  packets.py hex CAPTURE LOG                  are its packets' bytes what dump -x has printed?
  packets.py flows FILE                       how many flows are in a capture?
  packets.py tshark CAPTURE LOG               does tshark see in the capture what dump has printed?
  packets.py agree SENT DIRECTORY             do dumps and tcpdump agree which of the sent packets match?
                                              Of each expression, a line in DIRECTORY/expressions, there
                                              are DIRECTORY/N.pcapng and what was printed, N.log; from 0
"""
import json
import random
import re
import socket
import struct
import subprocess
import sys
import time

MACS = [bytes.fromhex(m) for m in ("020000000001", "020000000002", "ffffffffffff", "01005e000001", "333300000001")]
V4 = [bytes(a) for a in ((10, 77, 0, 1), (10, 77, 0, 2), (192, 168, 1, 9), (224, 0, 0, 5), (255, 255, 255, 255))]
V6 = [bytes.fromhex(a) for a in ("fd000000000000000000000000000001", "fd000000000000000000000000000002", "ff020000000000000000000000000001", "20010db8000000000000000000000009")]
PORTS = (22, 53, 80, 443, 4242, 5353, 30000)


class Random(random.Random):
    def usually(self, good, *bad):
        """Something that is wrong, or that few packets have, now and then, if that is wanted at all."""
        return good if self.tidy or self.random() < 0.9 else self.choice(bad)


def payload(r, longest):
    n = r.choice((0, 1, 5, 10, 18, 40, 100, 300, r.randrange(longest)))
    return r.randbytes(min(n, longest))


def transport(r, data, six):
    """(protocol number, bytes)"""
    kind = r.choice(("tcp", "tcp", "udp", "udp", "icmp", "other"))
    src, dst = r.choice(PORTS), r.choice(PORTS)
    if kind == "tcp":
        options = r.randbytes(4 * r.choice((0, 0, 3, 10)))
        doff = r.usually(5 + len(options) // 4, r.randrange(16))
        flags = r.choice((2, 0x12, 0x10, 0x18, 0x11, 4, 0, 0x29, 0xff))
        return 6, struct.pack("!HHIIBBHHH", src, dst, r.getrandbits(32), r.getrandbits(32), doff << 4,
                              flags, r.getrandbits(16), 0, r.choice((0, 9))) + options + data
    if kind == "udp":
        length = r.usually(8 + len(data), r.getrandbits(16), 0, 7)
        return 17, struct.pack("!HHHH", src, dst, length & 0xffff, 0) + data
    if kind == "icmp":
        types = (1, 2, 3, 128, 129, 133, 134, 135, 136, 143, 200) if six else (0, 3, 5, 8, 11, 12, 40)
        return 58 if six else 1, struct.pack("!BBHHH", r.choice(types), r.choice((0, 0, 1, 3)), 0, 7,
                                             r.randrange(100)) + data
    return r.choice((2, 47, 50, 89, 132, 255)), data


def ipv4(r, data):
    proto, rest = transport(r, data, False)
    options = r.randbytes(4 * r.choice((0, 0, 0, 1, 10)))
    ihl = r.usually(5 + len(options) // 4, r.randrange(16))
    total = r.usually(20 + len(options) + len(rest), 0, r.randrange(65536))
    frag = r.choice((0, 0, 0, 0, 0x4000, 0x2000, 0x2005, 0x00b9))
    version = r.usually(4, 4, 5)
    return struct.pack("!BBHHHBBH", version << 4 | ihl, r.choice((0, 0xb8)), total & 0xffff,
                       r.getrandbits(16), frag, r.choice((1, 2, 4, 64, 255)), proto, 0) \
        + r.choice(V4) + r.choice(V4) + options + rest


def ipv6(r, data):
    proto, rest = transport(r, data, True)
    for ext in r.sample((60, 44, 51) if r.tidy else (0, 60, 43, 44, 51), r.choice((0, 0, 0, 1, 2, 3))):
        if ext == 44:
            head = struct.pack("!BBHI", proto, 0, r.choice((0, 1, 0x00b9, 0x0100)), 99)
        elif ext == 51:
            head = struct.pack("!BB", proto, 4) + r.randbytes(22)
        else:
            n = r.choice((0, 0, 1, 3))
            pad = bytes((1, 4 + 8 * n)) + bytes(4 + 8 * n)
            head = struct.pack("!BB", proto, n) + r.usually(pad, r.randbytes(6 + 8 * n))
        proto, rest = ext, head + rest
    length = r.usually(len(rest), 0, r.randrange(65536))
    return struct.pack("!IHBB", r.usually(6, 6, 4) << 28 | r.getrandbits(20), length & 0xffff,
                       proto, r.choice((1, 64, 255))) + r.choice(V6) + r.choice(V6) + rest


def arp(r):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, r.choice((1, 1, 2, 2, 3))) + r.choice(MACS) + r.choice(V4) \
        + r.choice(MACS) + r.choice(V4) + bytes(r.choice((0, 18)))


def packet(r, longest):
    data = payload(r, max(1, longest - 200))
    kind = r.choice(("4", "4", "4", "6", "6", "arp", "802.3", "odd"))
    if kind == "4":
        kind, rest = 0x0800, ipv4(r, data)
    elif kind == "6":
        kind, rest = 0x86dd, ipv6(r, data)
    elif kind == "arp":
        kind, rest = 0x0806, arp(r)
    elif kind == "802.3":
        rest = b"\x42\x42\x03" + data[:1000]
        kind = len(rest)
    else:
        kind, rest = r.choice((0x88cc, 0x88b5, 0x0600, 0x88cc if r.tidy else 0x8847)), data
    tags = b""
    for tag in r.choice(((), (), (), (0x8100,), (0x88a8, 0x8100), (0x8100, 0x8100))):
        tags += struct.pack("!HH", tag, r.choice((0, 5, 7, 100, 4094)) | r.choice((0, 0, 0xa000)))
    frame = r.choice(MACS[:2] * 3 + MACS) + r.choice(MACS[:2]) + tags + struct.pack("!H", kind) + rest
    frame = frame[:r.usually(None, r.randrange(14, len(frame) + 1))]
    if len(frame) < 60 and (r.tidy or r.random() < 0.5):
        frame += bytes(60 - len(frame))
    return frame


def make(path, count, seed, longest, tidy=None):
    r = Random(int(seed))
    r.tidy = tidy is not None
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        for i in range(int(count)):
            frame = packet(r, int(longest))
            f.write(struct.pack("<IIII", 1000000000 + i, 0, len(frame), len(frame)) + frame)


def read_pcapng(data):
    at, lengths = 0, []
    while at < len(data):
        kind, total = struct.unpack_from("<II", data, at)
        assert total % 4 == 0 and struct.unpack_from("<I", data, at + total - 4)[0] == total, "block"
        if kind == 1:
            lengths.append(struct.unpack_from("<HHI", data, at + 8))
        elif kind == 6:
            interface, _, _, caught, full = struct.unpack_from("<IIIII", data, at + 8)
            assert interface < len(lengths) and caught == full, "packet"
            yield data[at + 28:at + 28 + caught]
        at += total


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    magic = struct.unpack_from("<I", data)[0]
    if magic == 0x0a0d0d0a:
        yield from read_pcapng(data)
        return
    order = "<" if magic in (0xa1b2c3d4, 0xa1b23c4d) else ">"
    at = 24
    while at < len(data):
        caught = struct.unpack_from(order + "IIII", data, at)[2]
        yield data[at + 16:at + 16 + caught]
        at += 16 + caught


def send(path, *interfaces, first=0, last=None):
    """A veth holds 256 packets: not too many at a time."""
    sockets = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in interfaces]
    for s, interface in zip(sockets, interfaces):
        s.bind((interface, 0))
    for i, frame in enumerate(list(read(path))[first:last]):
        for s in sockets:
            s.send(frame)
        if i % 64 == 63:
            time.sleep(0.005)


def send_part(path, interface, first, last):
    """The packets number first to last - 1."""
    send(path, interface, first=int(first), last=int(last))


def difference(one, other):
    """Of two captures; None: there is none."""
    one, other = list(read(one)), list(read(other))
    for i, (a, b) in enumerate(zip(one, other)):
        if a != b:
            return f"packet {i}: {len(a)} bytes {a[:60].hex()} and {len(b)} bytes {b[:60].hex()}"
    return None if len(one) == len(other) else f"{len(one)} packets and {len(other)}"


def disagreement(sent, capture, log, expression):
    """Of the capture, the lines and the counters with what tcpdump finds; None: there is none."""
    found = capture + ".found"
    done = subprocess.run(["tcpdump", "-r", sent, "-w", found, expression], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        return done.stderr
    with open(log) as f:
        lines = f.read().splitlines()
    n = sum(1 for _ in read(found))
    account = json.loads(lines[-1])
    link = account["links"][0]
    shown = sum(1 for line in lines if re.match(r"[0-9:]{8}\.[0-9]{6} ", line))
    if not n == shown == link["shown"] == link["rx_packets"] or n == 0:
        return f"tcpdump finds {n}, {link['rx_packets']} came, {link['shown']} counted, {shown} lines"
    if not account["accounted"]:
        return lines[-2]
    return difference(found, capture)


def agree(sent, directory):
    with open(f"{directory}/expressions") as f:
        for i, expression in enumerate(f.read().split("\n")[:-1]):
            try:
                why = disagreement(sent, f"{directory}/{i}.pcapng", f"{directory}/{i}.log", expression)
            except (OSError, ValueError, KeyError, IndexError, AssertionError, struct.error) as e:
                why = repr(e)
            print(f"not ok: '{expression}': {why}" if why else f"ok: '{expression}'")


FIELDS = ("frame.time_epoch", "frame.len", "eth.src", "eth.dst", "ieee8021ad.id", "vlan.id", "ip.src", "ip.dst",
          "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.len", "udp.srcport", "udp.dstport", "udp.length",
          "icmp.type", "icmpv6.type", "arp.opcode", "arp.src.proto_ipv4", "arp.dst.proto_ipv4", "arp.src.hw_mac")


def expected_parts(f):
    """What the line has to have, of tshark's fields."""
    src, dst = f["ip.src"] or f["ipv6.src"], f["ip.dst"] or f["ipv6.dst"]
    seconds, fraction = f["frame.time_epoch"].split(".")
    yield time.strftime("%H:%M:%S", time.localtime(int(seconds))) + f".{fraction[:6]} "
    yield f"{f['eth.src']} > {f['eth.dst']}, "
    yield f", length {f['frame.len']}: "
    for tag in f["tags"]:
        yield f"vlan {tag}, "
    if f["tcp.srcport"]:
        yield f"{src}.{f['tcp.srcport']} > {dst}.{f['tcp.dstport']}: Flags "
        yield f"length {f['tcp.len']}$" if f["tcp.len"] else "length "  # of a fragment it does not know
    elif f["udp.srcport"]:
        yield f"{src}.{f['udp.srcport']} > {dst}.{f['udp.dstport']}: UDP, length {int(f['udp.length']) - 8}$"
    elif src:
        yield f"{src} > {dst}: "
    if f["icmp.type"]:
        yield ": ICMP "
    if f["icmpv6.type"]:
        yield "ICMP6, "
    if f["arp.opcode"] == "2":
        yield f"Reply {f['arp.src.proto_ipv4']} is-at {f['arp.src.hw_mac']}, length "
    elif f["arp.opcode"]:
        yield f"Request who-has {f['arp.dst.proto_ipv4']} tell {f['arp.src.proto_ipv4']}, length "


def tshark(capture, log):
    options = [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(["tshark", "-r", capture, "-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
                           "-T", "fields", *options], capture_output=True, text=True, timeout=100, check=True)
    with open(log) as f:
        lines = [line for line in f.read().splitlines() if re.match(r"[0-9:]{8}\.[0-9]{6} ", line)]
    seen = done.stdout.splitlines()
    if len(seen) != len(lines):
        sys.exit(f"tshark sees {len(seen)} packets of {len(lines)} lines")
    for line, packet in zip(lines, seen):
        values = dict(zip(FIELDS, packet.split("\t")))
        tags = [t for name in ("ieee8021ad.id", "vlan.id") for t in values[name].split(",") if t]
        values = {name: value.split(",")[0] for name, value in values.items()}
        for part in expected_parts({**values, "tags": tags}):
            if part not in line.removesuffix(", more fragments") + "$":
                sys.exit(f"'{part}' is not in {line}")
    print(f"{len(lines)} packets")


def parts(whole, one, other):
    one, other = list(read(one)), list(read(other))
    if not one or not other or sorted(read(whole)) != sorted(one + other):
        sys.exit(f"parts of {len(one)} and {len(other)} packets")


def hex_lines(capture, log):
    with open(log) as f:
        printed = re.findall(r"^\t0x([0-9a-f]{4}): ((?: [0-9a-f]{2,4})+)$", f.read(), re.M)
    expected = []
    for packet in read(capture):
        for at in range(0, len(packet), 16):
            expected.append((f"{at:04x}", packet[at:at + 16].hex()))
    if expected != [(at, digits.replace(" ", "")) for at, digits in printed]:
        sys.exit(f"{len(expected)} lines expected, of {len(printed)}")
    print(f"{len(expected)} lines")


def flow_of(p):
    at = 12
    while p[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    kind, p = p[at:at + 2], p[at + 2:]
    if kind == b"\x08\x00":
        fragment, proto, rest = p[6] & 0x1f or p[7], p[9], p[4 * (p[0] & 15):]
        ends = p[12:20]
    elif kind == b"\x86\xdd":
        fragment, proto, rest, ends = False, p[6], p[40:], p[8:40]
        while proto in (0, 43, 44, 51, 60) and not fragment:
            fragment = proto == 44 and (rest[2] or rest[3] & 0xf8)
            size = 8 if proto == 44 else 8 + rest[1] * (4 if proto == 51 else 8)
            proto, rest = rest[0], rest[size:]
    else:
        return None
    return proto, ends, rest[:4] if proto in (6, 17) and not fragment else b""


def flows(path):
    print(len({flow_of(p) for p in read(path)}))


def same(one, other):
    sys.exit(difference(one, other))


if __name__ == "__main__":
    {"make": make, "send": send, "send-part": send_part, "same": same, "parts": parts, "flows": flows,
     "hex": hex_lines, "tshark": tshark, "agree": agree}[sys.argv[1]](*sys.argv[2:])
