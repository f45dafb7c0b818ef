#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The comparison: the same echo, the same load, one server after the other, as ratios within one run.

`./dev bench` builds what this needs and calls it. The server is pinned to one core and the load to another. What is
compared is the server's CPU time a message, as the scheduler counts it in nanoseconds, because it does not depend on
how fast the client is; absolute numbers of a shared machine say little, a ratio of two servers measured within seconds
of each other says much. Each round measures every server once, in turned-round order, and gives one ratio for each pair;
the median of the rounds is reported with an interval from order statistics, which assumes nothing about the noise. The
epoll server runs twice a round: how far its ratio to itself is from 1 is the error of the method.
"""
import argparse
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])
WARM_UP_SECONDS = 0.3
START_SECONDS = 20

# What weir's CPU ratio to a peer, and its memory, may be at most.
TARGETS = {"epoll": 1.15, "bufferevent": 0.75}
IDLE_BYTES_MAX = 300


class BenchError(Exception):
    """Something that makes the numbers worthless."""


def server_commands(build):
    weir = os.environ.get("WEIR", os.path.join(build, "weir"))
    peer = lambda name: [os.path.join(build, "bench", name + "_echo")]
    return {
        "weir": [weir, "serve", "--listen", "127.0.0.1:0", "--frame", "raw", "--reply", "echo", "--print", "off",
                 "--workers", "1"],
        "epoll": peer("epoll"),
        "event": peer("event"),
        "bufferevent": peer("bufferevent"),
    }


class Process:
    """A child that is pinned to a core, and is gone when the `with` block ends."""

    def __init__(self, command, core, **streams):
        self.process = subprocess.Popen(["taskset", "-c", core] + command, **streams)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


class Server(Process):
    """A server on a free port; its standard error goes to a file, so that it can never block on us."""

    def __init__(self, command, core=SERVER_CORE):
        self.log = tempfile.TemporaryFile("w+")
        self.home = tempfile.TemporaryDirectory(prefix="weir-bench-")
        super().__init__(command, core, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log,
                         cwd=self.home.name)
        self.port = self._wait_for_port()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.log.close()
        self.home.cleanup()

    def _wait_for_port(self):
        def port():
            if self.process.poll() is not None:
                raise BenchError("%s ended:\n%s" % (self.process.args, self.text()))
            return re.search(r"listening on tcp://[^\n]*:(\d+)\n", self.text())
        return int(wait_for(port, "%s to listen" % self.process.args)[1])

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def cpu_seconds(self):
        """CPU time of all its threads, in the scheduler's nanoseconds; kernel time on their behalf is in it."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.pid, task), encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def memory_bytes(self):
        """Memory that is its own: what would come back if it ended. The kernel's socket buffers are not in it."""
        with open("/proc/%d/smaps_rollup" % self.pid, encoding="ascii") as file:
            return 1024 * int(re.search(r"^Private_Dirty:\s+(\d+) kB", file.read(), re.M)[1])

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))


class Load(Process):
    """The load client: connected when this returns; run() is one measurement."""

    def __init__(self, build, arguments):
        super().__init__([os.path.join(build, "bench", "load")] + [str(a) for a in arguments], LOAD_CORE,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise BenchError("the load could not connect")

    def run(self, seconds):
        self.process.stdin.write("%f\n" % seconds)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise BenchError("the load failed")
        return json.loads(line)


def wait_for(predicate, what):
    deadline = time.monotonic() + START_SECONDS
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise BenchError("waited %d s for %s" % (START_SECONDS, what))
        time.sleep(0.02)


def measure_cpu(build, command, workload, seconds):
    """One server under one workload: microseconds of its CPU a message, and messages a second."""
    with Server(command) as server, Load(build, workload + ["--control", server.port]) as load:
        load.run(WARM_UP_SECONDS)
        before = server.cpu_seconds()
        result = load.run(seconds)
        used = server.cpu_seconds() - before
    if result["messages"] == 0:
        raise BenchError("no message came back from %s" % command)
    return {"cpu_us": used / result["messages"] * 1e6, "per_second": result["messages_per_second"]}


def measure_idle(build, command, count):
    """User memory of one idle connection in bytes. Each has had one message echoed before, as in real life: buffers
    that a server does not give back then count."""
    with Server(command) as server:
        memory_before, descriptors_before = server.memory_bytes(), server.descriptors()
        with Load(build, ["-c", count, "--control", server.port]) as load:
            load.run(0)
            if server.descriptors() < descriptors_before + count:
                raise BenchError("%s does not hold %d connections" % (command, count))
            return (server.memory_bytes() - memory_before) / count


def median_interval(values):
    """(median, low, high, coverage): the narrowest pair of order statistics that holds the median with at least 95 %;
    with fewer than 6 values the range of all, which holds it less often, as the coverage says."""
    values = sorted(values)
    count = len(values)
    outside = lambda k: 2 * sum(math.comb(count, i) for i in range(k + 1)) / 2 ** count
    cut = 0
    while cut + 1 < count / 2 and outside(cut + 1) <= 0.05:
        cut += 1
    return statistics.median(values), values[cut], values[-1 - cut], max(0.0, 1 - outside(cut))


def say(text):
    print(text, file=sys.stderr, flush=True)


def compare(args, name, workload):
    """Rounds of every server under one workload, each compared with the two that have targets."""
    commands = server_commands(args.build)
    turns = [("weir", "weir"), ("epoll", "epoll"), ("bufferevent", "bufferevent"), ("event", "event"),
             ("epoll again", "epoll")]
    rounds = []
    for number in range(args.rounds):
        order = turns if number % 2 == 0 else turns[::-1]
        rounds.append({label: measure_cpu(args.build, commands[key], workload, args.seconds) for label, key in order})
        say("%s: round %d of %d" % (name, number + 1, args.rounds))
    rows = []
    for over, under in [("weir", "epoll"), ("weir", "bufferevent"), ("weir", "event"), ("event", "epoll"),
                        ("bufferevent", "epoll"), ("epoll again", "epoll")]:
        median, low, high, coverage = median_interval([r[over]["cpu_us"] / r[under]["cpu_us"] for r in rounds])
        target = TARGETS.get(under) if over == "weir" else None
        rows.append({"over": over, "under": under, "ratio": median, "low": low, "high": high, "coverage": coverage,
                     "target": target, "met": target is None or median <= target})
    print_servers(name, args, turns, rounds)
    print_ratios(rows)
    return {"workload": workload, "rounds": rounds, "ratios": rows}, all(row["met"] for row in rows)


def print_servers(name, args, turns, rounds):
    print("\n%s: %d rounds of %g s" % (name, args.rounds, args.seconds))
    print("  %-14s %14s %16s" % ("server", "CPU/message", "messages/s"))
    for label, _ in turns:
        median = lambda key: statistics.median(r[label][key] for r in rounds)
        print("  %-14s %11.3f us %16.0f" % (label, median("cpu_us"), median("per_second")))


def print_ratios(rows):
    print("  %-28s %6s   %-18s %s" % ("CPU ratio", "median", "interval", "target"))
    for row in rows:
        interval = "%.3f to %.3f (%.0f %%)" % (row["low"], row["high"], 100 * row["coverage"])
        target = "" if row["target"] is None else "%.2f %s" % (row["target"], "met" if row["met"] else "MISSED")
        print("  %-28s %6.3f   %-22s %s" % (row["over"] + " / " + row["under"], row["ratio"], interval, target))


def run_echo(args):
    return compare(args, "echo", ["-c", args.connections, "-s", args.bytes, "-p", 1])


def run_pipelined(args):
    return compare(args, "pipelined", ["-c", args.connections, "-s", args.bytes, "-p", 16])


def run_idle(args):
    """Memory is all but deterministic, so three measurements of each do."""
    commands = server_commands(args.build)
    result = {}
    print("\nidle: user memory a connection, %d connections" % args.idle)
    for label in ("weir", "epoll", "event", "bufferevent"):
        result[label] = [measure_idle(args.build, commands[label], args.idle) for _ in range(3)]
        print("  %-14s %8.0f bytes" % (label, statistics.median(result[label])))
    met = statistics.median(result["weir"]) <= IDLE_BYTES_MAX
    print("  weir's target: %d bytes %s" % (IDLE_BYTES_MAX, "met" if met else "MISSED"))
    return {"connections": args.idle, "bytes_per_connection": result}, met


def run_syscalls(args):
    """System calls a message, counted by strace; a traced server is slow, but it makes the same calls."""
    commands = server_commands(args.build)
    result = {}
    print("\nsyscalls: a message, %d connections" % args.connections)
    for depth in (1, 16):
        for label in ("weir", "epoll", "event", "bufferevent"):
            calls = count_syscalls(args, commands[label], depth)
            result["%s, %d in flight" % (label, depth)] = calls
            often = sorted(((name, count) for name, count in calls.items() if count > 0.001), key=lambda call: -call[1])
            shown = ", ".join("%s %.3f" % call for call in often)
            print("  %-12s %2d in flight: %s" % (label, depth, shown))
    return {"calls_per_message": result}, True


def count_syscalls(args, command, depth):
    with tempfile.NamedTemporaryFile("r") as table:
        with Server(["strace", "-f", "-c", "-o", table.name] + command) as server:
            workload = ["-c", args.connections, "-s", args.bytes, "-p", depth, "--control", server.port]
            with Load(args.build, workload) as load:
                messages = load.run(args.seconds)["messages"]
                end_traced(server)
        calls = {}
        for line in table.read().splitlines():
            columns = line.split()
            if len(columns) >= 5 and columns[3].isdigit() and columns[-1] != "total":
                calls[columns[-1]] = int(columns[3]) / messages
        return calls


def end_traced(strace):
    """Ends the server, which is strace's child, so that strace writes its table and ends too."""
    with open("/proc/%d/task/%d/children" % (strace.pid, strace.pid), encoding="ascii") as file:
        for pid in file.read().split():
            os.kill(int(pid), signal.SIGKILL)
    strace.process.wait(START_SECONDS)


WORKLOADS = {"echo": run_echo, "pipelined": run_pipelined, "idle": run_idle, "syscalls": run_syscalls}


def write_results(directory, name, result):
    os.makedirs(directory, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(directory, "%s-%s.json" % (name, stamp))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(dict(result, name=name, time=stamp, kernel=os.uname().release, cores=os.cpu_count()), file, indent=1)
    say("written to " + os.path.relpath(path))


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description="Compare weir's echo with the peers'.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD",
                        help="of %s; default: all but syscalls" % ", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each workload (7)")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of one measurement (2)")
    parser.add_argument("--connections", type=int, default=100, help="busy connections (100)")
    parser.add_argument("--bytes", type=int, default=128, help="a message's length (128)")
    parser.add_argument("--idle", type=int, default=19000, help="idle connections (19000)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build-bench"), help="the build folder")
    parser.add_argument("--results", default=os.path.join(ROOT, "bench", "results"), help="where the JSON goes")
    args = parser.parse_args()
    for name in args.workloads:
        if name not in WORKLOADS:
            parser.error("there is no workload %s" % name)
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def main():
    args = parse_arguments()
    if SERVER_CORE == LOAD_CORE:
        say("one core only: the load runs on the server's; the numbers are worth little")
    all_met = True
    try:
        for name in args.workloads or ["echo", "pipelined", "idle"]:
            result, met = WORKLOADS[name](args)
            write_results(args.results, name, result)
            all_met = all_met and met
    except BenchError as error:
        say("bench: %s" % error)
        return 1
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
