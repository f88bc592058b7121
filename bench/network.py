# SPDX-License-Identifier: BSD-2-Clause
"""Two private network namespaces, and programs in them: for bench/veth."""
import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time

LIFE = 30  # seconds after which every program ends by itself
PREFIX = f"sxsk-bench-{os.getpid()}"
HOST, FORWARDER = f"{PREFIX}-h", f"{PREFIX}-f"


class Failure(Exception):
    """Measuring is impossible; the text says why."""


def command(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stdout.strip()}")


def open_counters(ns):
    """A namespace's /proc/net/dev: a thread that enters it opens it, and then anybody may read."""
    files = []

    def enter_and_open():
        with open(f"/run/netns/{ns}", "rb") as file:
            if ctypes.CDLL(None).setns(file.fileno(), 0) == 0:
                files.append(open("/proc/thread-self/net/dev", "rb"))

    thread = threading.Thread(target=enter_and_open)
    thread.start()
    thread.join()
    if not files:
        raise Failure(f"cannot enter the network namespace {ns}")
    return files[0]


class Network:
    """Two namespaces and two cables between them, h1 to f1 and h2 to f2, gone afterwards."""

    def __init__(self):
        self.counters = {}

    def __enter__(self):
        try:
            for ns in (HOST, FORWARDER):
                command("ip", "netns", "add", ns)
                # No neighbour discovery: only the flood's packets are on the cable.
                command("ip", "netns", "exec", ns, "sysctl", "-qw",
                        "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
            for i in ("1", "2"):
                command("ip", "link", "add", f"h{i}", "netns", HOST, "type", "veth", "peer", "name",
                        f"f{i}", "netns", FORWARDER)
                command("ip", "-n", FORWARDER, "link", "set", f"f{i}", "up")
                command("ip", "-n", HOST, "link", "set", f"h{i}", "up")
            self.counters = {ns: open_counters(ns) for ns in (HOST, FORWARDER)}
        except BaseException:
            self.__exit__()
            raise
        return self

    def received(self, interface):
        """Packets that h1, h2, f1 or f2 has received."""
        ns = HOST if interface[0] == "h" else FORWARDER
        for line in os.pread(self.counters[ns].fileno(), 1 << 16, 0).decode().splitlines():
            name, _, fields = line.partition(":")
            if name.strip() == interface:
                return int(fields.split()[1])
        raise Failure(f"{interface} is gone")

    def __exit__(self, *_):
        for file in self.counters.values():
            file.close()
        for ns in (HOST, FORWARDER):
            subprocess.run(["ip", "netns", "del", ns], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Program:
    """A program in a namespace, on one CPU, gone afterwards."""

    def __init__(self, ns, cpu, words, preload=""):
        self.name = os.path.basename(words[0])
        self.out = tempfile.TemporaryFile("w+")
        self.words = ["timeout", "--foreground", "-s", "KILL", str(LIFE + 5), "taskset", "-c", str(cpu),
                      "ip", "netns", "exec", ns, "env", f"LD_PRELOAD={preload}", "stdbuf", "-oL", *words]
        self.process = self.pid = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.out.close()

    def kill(self):
        """With all that it has in the kernel."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        end = time.monotonic() + 10
        while self.pid is not None and runs(self.pid) and time.monotonic() < end:
            time.sleep(0.001)

    def text(self):
        return os.pread(self.out.fileno(), 1 << 20, 0).decode(errors="replace")

    def start(self):
        # A session of its own: so that Ctrl-C reaches this script first, and for the priority below.
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=self.out,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        # The program's own process is the child of timeout, once it is what was asked for.
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        end = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < end:
            with open(path, encoding="ascii") as f:
                child = f.read().split()
            try:
                if child and os.path.basename(os.readlink(f"/proc/{child[0]}/exe")) == self.name:
                    self.pid = int(child[0])
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise Failure(f"{self.name} did not start: {self.text().strip()}")

    def prefer(self):
        """Before other work on this machine. Best effort: not all kernels group by session."""
        try:
            os.setpriority(os.PRIO_PROCESS, self.pid, -20)
            with open(f"/proc/{self.pid}/autogroup", "w", encoding="ascii") as f:
                f.write("-20")
        except OSError:
            pass

    def await_line(self, line):
        end = time.monotonic() + 10
        while line not in self.text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failure(f"{self.name}: {self.text().strip() or 'it says nothing'}")
            time.sleep(0.01)

    def finish(self, how=None):
        """Its output; it has to end well."""
        if how is not None:
            os.kill(self.pid, how)
        try:
            status = self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} does not end") from None
        if status != 0:
            raise Failure(f"{self.name} ended with {status}: {self.text().strip()}")
        return self.text()


def read_words(path):
    with open(path, encoding="ascii") as f:
        return f.read().split()
