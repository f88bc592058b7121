#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Count executed instructions and read-modify-writes (RMW) per packet, libraries included.

usage: count.py [--case C,..] [--variant V,..] [--burst N,..] [--frames N,..] [--packets N]
                [--functions | --listing NAME] PROGRAM

PROGRAM is refcost, or anything that takes --fixed like it: for each of its cases it calls the
function bench_counted() once, and prints "CASE VARIANT BURST FRAMES PACKETS". It runs under callgrind,
which zeroes its counters at that function's entry and dumps them at its return, for each instruction
address of each object. Joined with the objects' disassembly this says exactly how often each
instruction was executed. An RMW is an instruction with a lock prefix, or an xchg with memory.

Prints a line "CASE VARIANT BURST FRAMES INSTRUCTIONS RMW" per case, both per packet. --functions adds
instructions and RMW of each function, --listing NAME each executed instruction of the functions
whose names start with NAME. x86-64 only.

Exit status: 0, 1 when counting fails, 3 when a tool is missing.
"""
import argparse
import collections
import concurrent.futures
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

COUNTED = "bench_counted"
SECONDS = 110  # for one run under callgrind

REGISTER = re.compile(r"%[a-z0-9]+(\(\d\))?$")
XCHG = re.compile(r"xchg[bwlq]?$")
DISASSEMBLED = re.compile(r"\s*([0-9a-f]+):\t(.*)")


class Failure(Exception):
    """Counting is impossible; the text says why."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def check_tools():
    if platform.machine() != "x86_64":
        raise Failure(f"counts x86-64 instructions, and this machine is {platform.machine()}", 3)
    missing = [tool for tool in ("valgrind", "objdump") if not shutil.which(tool)]
    if missing:
        raise Failure(f"{' and '.join(missing)} missing: install valgrind and binutils", 3)


def is_rmw(instruction):
    """Is this line of disassembly (AT&T syntax) a read-modify-write of memory?"""
    words = instruction.split("#")[0].split()
    if "lock" in words[:-1]:
        return True
    for i, word in enumerate(words[:2]):  # a prefix may stand before it
        if XCHG.match(word) and i + 1 < len(words):
            operands = re.split(r",(?![^(]*\))", words[i + 1])
            return not all(REGISTER.match(operand) for operand in operands)
    return False


class Objects:
    """Disassembly of program and libraries, each read once."""

    def __init__(self):
        self.known = {}

    def instructions(self, path):
        if path not in self.known:
            try:
                text = subprocess.run(
                    ["objdump", "-d", "--no-show-raw-insn", "-w", path],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True).stdout
            except subprocess.CalledProcessError as e:
                raise Failure(f"objdump {path}: {e.stderr.strip()}") from e
            found = (DISASSEMBLED.match(line) for line in text.splitlines())
            self.known[path] = {int(m[1], 16): m[2] for m in found if m}
        return self.known[path]

    def at(self, path, function, address):
        # Callgrind knows no object for the procedure linkage table: jumps through a pointer.
        if path == "???" and function.endswith("[PLT]"):
            return "jmp"
        try:
            return self.instructions(path)[address]
        except KeyError:
            raise Failure(f"no disassembly of the instruction at {address:#x} in {path}") from None


def read_dump(path):
    """Executions by (object, function, address) of one callgrind dump."""
    counts = collections.Counter()
    where = {"ob": "???", "fn": "???"}
    inclusive, total = False, None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("0x"):
                # The line after calls= is the cost of what was called: counted there already.
                if not inclusive:
                    address, count = line.split()
                    counts[where["ob"], where["fn"], int(address, 16)] += int(count)
                inclusive = False
            elif line.startswith("calls="):
                inclusive = True
            elif line.startswith(("ob=", "fn=")):
                where[line[:2]] = line[3:].strip()
            elif line.startswith("totals:"):
                total = int(line.split()[1])
            elif line.startswith("positions:") and line.split()[1:] != ["instr"]:
                raise Failure(f"unexpected format of callgrind's output: {line.strip()}")
    if sum(counts.values()) != total:
        raise Failure(f"callgrind executed {total} instructions and lists {sum(counts.values())}")
    return counts


def run_callgrind(command, directory):
    """Run a program; a list of (case, variant, burst, frames, packets, dump file) of its cases."""
    out = os.path.join(directory, "out")
    # By default callgrind hides the procedure linkage table, and then does not zero its counts.
    valgrind = ["valgrind", "--tool=callgrind", "--skip-plt=no", "--dump-instr=yes", "--dump-line=no",
                "--compress-pos=no", "--compress-strings=no", f"--zero-before={COUNTED}",
                f"--dump-after={COUNTED}", f"--callgrind-out-file={out}"]
    try:
        done = subprocess.run(valgrind + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} took more than {SECONDS} s under callgrind") from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} failed under callgrind:\n{done.stderr.strip()}")
    cases = [line.split() for line in done.stdout.splitlines()]
    dumps = [f"{out}.{i + 1}" for i in range(len(cases))]
    if not cases or not all(map(os.path.exists, dumps)) or os.path.exists(f"{out}.{len(cases) + 1}"):
        raise Failure(f"{command[0]} has {len(cases)} cases, and callgrind dumped "
                      f"{len(os.listdir(directory)) - 1}")
    return [(case[0], case[1], int(case[2]), int(case[3]), int(case[4]), dump)
            for case, dump in zip(cases, dumps)]


class Case:
    """What was executed for one case."""

    def __init__(self, key, packets, counts, objects):
        self.key = key
        self.packets = packets
        self.counts = counts
        self.objects = objects
        self.instructions = sum(counts.values()) / packets
        self.rmw = sum(n for at, n in counts.items() if self.is_rmw(at)) / packets

    def is_rmw(self, at):
        return is_rmw(self.objects.at(*at))

    def functions(self):
        """(function, instructions, RMW) per packet, the largest first."""
        total, rmw = collections.Counter(), collections.Counter()
        for at, n in self.counts.items():
            total[at[1]] += n
            rmw[at[1]] += n if self.is_rmw(at) else 0
        return [(name, n / self.packets, rmw[name] / self.packets) for name, n in total.most_common()]

    def listing(self, name):
        """(executions per packet, address, instruction) of the functions called name..., in order."""
        return [(n / self.packets, at[2], self.objects.at(*at))
                for at, n in sorted(self.counts.items()) if at[1].startswith(name)]


def count(program, frames, options, packets):
    """Cases of the program, for each number of frames; two processes at a time."""
    check_tools()
    objects = Objects()

    def one(n):
        command = [program, *options, "--fixed", str(packets)] + (["--frames", n] if n else [])
        with tempfile.TemporaryDirectory(prefix="refcost-") as directory:
            return [Case(key[:4], key[4], read_dump(key[5]), objects)
                    for key in run_callgrind(command, directory)]

    with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as executor:
        return [case for cases in executor.map(one, frames or [None]) for case in cases]


def main():
    parser = argparse.ArgumentParser(add_help=False)
    for option in ("--case", "--variant", "--burst", "--frames", "--listing"):
        parser.add_argument(option)
    parser.add_argument("--packets", type=int, default=1 << 14)
    parser.add_argument("--functions", action="store_true")
    parser.add_argument("--help", action="store_true")
    parser.add_argument("program", nargs="?")
    args = parser.parse_args()
    if args.help or not args.program:
        print(__doc__, file=sys.stdout if args.help else sys.stderr)
        return 0 if args.help else 1
    options = [word for option in ("case", "variant", "burst") if getattr(args, option)
               for word in ("--" + option, getattr(args, option))]
    frames = args.frames.split(",") if args.frames else []
    for case in count(args.program, frames, options, args.packets):
        print(*case.key, f"{case.instructions:.4f} {case.rmw:.6f}")
        if args.functions:
            for name, instructions, rmw in case.functions():
                print(f"    {instructions:9.3f} {rmw:9.5f}  {name}")
        if args.listing:
            for n, address, instruction in case.listing(args.listing):
                print(f"    {n:9.4f}  {address:6x}  {instruction}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"count.py: {failure}", file=sys.stderr)
        sys.exit(failure.status)
