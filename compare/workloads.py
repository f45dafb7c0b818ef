# SPDX-License-Identifier: BSD-3-Clause
"""The workloads: who is measured, how, and what weir must reach.

A workload measures one server at a time; run.py takes the rounds. The first figure that a measurement gives is the
one that is compared; the others are shown beside it.
"""
import contextlib
import dataclasses
import itertools
import os
import re
import signal
import tempfile
import typing

import stores
from comparison import Pair
from processes import CORES, BenchError, CannotRun, Load, Server, free_port, run_client

WARM_UP_SECONDS = 0.3
AGAIN = "epoll again"  # the same server a second time: how far its ratio to itself is from 1 is the error of the method
OPEN_LOOP_SHARE = 0.7
# Enough for what a server does once in its life, and for each connection, to vanish in the difference.
FEW_MESSAGES, MANY_MESSAGES = 2000, 22000
GROWTH_CONNECTIONS = [1, 10, 100, 1000, 10000, 19000]
GROWTH_STORED = [0, 1000000, 10000000]
PAGE_KIB = 4
GROWTH_BYTES = [16, 64, 256, 1024, 4096, 16384, 65536]


def weir_serve(*options, workers=1):
    return ("weir", "serve", "--listen", "127.0.0.1:0", "--store", "none", "--print", "off", "--workers",
            str(workers)) + options


def weir_echo(frame="raw", workers=1):
    return weir_serve("--frame", frame, "--reply", "echo", workers=workers)


# In the order of measuring; each second round turns it round.
EPOLL_ONLY = {"epoll": "epoll_echo", "weir": weir_echo(), AGAIN: "epoll_echo"}
WITH_BUFFEREVENT = {**EPOLL_ONLY, "bufferevent": "bufferevent_echo"}
ALL_PEERS = {**WITH_BUFFEREVENT, "event": "event_echo", "libuv": "libuv_echo", "libuv, guide": "libuv_guide_echo",
             "libev": "libev_echo", "asio": "asio_echo", "io_uring": "uring_echo"}
A_A = Pair(AGAIN, "epoll")


def server_command(build, program):
    """The words that start a server: a program of compare/, or weir with its options. A store or a fleet, ready to start."""
    if isinstance(program, stores.Store):
        return program.resolve(server_command(build, ("weir",))[0])
    if isinstance(program, Fleet):
        return dataclasses.replace(program, program=server_command(build, program.program))
    if not isinstance(program, str):
        return [os.environ.get("WEIR", os.path.join(build, "weir"))] + list(program[1:])
    path = os.path.join(build, "compare", program)
    if not os.path.exists(path):
        raise CannotRun("not built: its library is not installed")
    return [path]


@dataclasses.dataclass(frozen=True)
class Bench:
    """What every measurement needs to know."""
    build: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Column:
    """A figure that is shown: its key in a measurement, its heading, and how it is written."""
    key: str
    heading: str
    form: str = "%.3f"


CPU = Column("cpu_us", "CPU a message, us")
PER_SECOND = Column("per_second", "messages a second", "%.0f")
LATENCIES = [Column("p99_ms", "p99, ms", "%.2f"), Column("p50_ms", "p50, ms", "%.2f"),
             Column("p999_ms", "p99.9, ms", "%.2f"), Column("worst_ms", "worst, ms", "%.1f"),
             Column("late_p99_ms", "the load's own p99, ms", "%.2f")]


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    text: str               # what happens in it, for people
    servers: dict           # label: program
    pairs: list
    columns: list           # the first is the figure that is compared
    measure: typing.Callable  # (bench, command, settings) -> {column key: number}
    settings: dict = dataclasses.field(default_factory=dict)
    prepare: typing.Callable = lambda bench, settings: {}  # further settings, found out once before the rounds
    rounds_max: int = 1000
    cost: float = 0.2       # seconds of one measurement beyond --seconds, for the time left

    @property
    def point_count(self):
        return 1

    def column_of(self, pair):
        return next(column for column in self.columns if pair.figure in (None, column.key))

    def form_of(self, pair):
        """How what comes of a pair is written: a ratio, or a figure like any other."""
        return self.column_of(pair).form if pair.is_difference or pair.under is None else "%.3f"

    def name_of(self, row):
        """What is compared, for a table; with the figure where it is not the workload's first."""
        return row.name + (", " + self.column_of(row.pair).heading.split(",")[0] if row.pair.figure else "")


# ---- CPU time a message ----

def measure_load(bench, command, arguments):
    """One server under one load: its CPU time a message, and messages a second."""
    with Server(command) as server, Load(bench.build, server.port, arguments) as load:
        load.run(WARM_UP_SECONDS)
        before = server.cpu_seconds()
        result = load.run(bench.seconds)
        used = server.cpu_seconds() - before
    if result["messages"] == 0:
        raise BenchError("no message came back from %s" % server.name)
    return {"cpu_us": used / result["messages"] * 1e6, "per_second": result["messages_per_second"]}


def measure_echo(bench, command, settings):
    return measure_load(bench, command, ["-c", settings["connections"], "-s", settings["message_bytes"],
                                         "-p", settings["in_flight"]])


def measure_one_way(bench, command, settings):
    result = measure_load(bench, command, ["--one-way", "-c", settings["connections"],
                                           "-s", settings["message_bytes"]])
    return {"cpu_ns": result["cpu_us"] * 1e3, "per_second": result["per_second"]}


def measure_fanout(bench, command, settings):
    return measure_load(bench, command, ["--fanout", "-c", settings["connections"], "-s", settings["message_bytes"]])


def measure_churn(bench, command, settings):
    return measure_load(bench, command, ["--churn", "-c", settings["connections"], "-s", settings["message_bytes"]])


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Processes of one server on some cores. They share a port, and the kernel deals out the clients; or they stand
    apart, each on a core and with a port of its own."""
    program: object
    cores: int = 1
    processes: int = 1
    is_apart: bool = False

    def start(self, stack, cores):
        """The servers, which end with the stack."""
        if self.is_apart:
            return [stack.enter_context(Server(self.program, core)) for core in cores]
        port = [] if self.processes == 1 else [str(free_port())]
        return [stack.enter_context(Server(self.program + port, ",".join(cores))) for _ in range(self.processes)]


def measure_workers(bench, fleet, settings):
    """On each core of the servers a load of its own beside them: were one worker given a core more for its load, two
    could only look worse. A load's clients go to any worker, and the packets of those that are served on the other core
    cross; with servers that stand apart none do."""
    cores = CORES[:fleet.cores]
    if len(cores) < fleet.cores:
        raise CannotRun("it needs %d cores" % fleet.cores)
    arguments = ["-c", settings["connections"] // len(cores), "-s", settings["message_bytes"],
                 "-p", settings["in_flight"]]
    with contextlib.ExitStack() as stack:
        servers = fleet.start(stack, cores)
        cpu_seconds = lambda: sum(server.cpu_seconds() for server in servers)
        loads = [stack.enter_context(Load(bench.build, server.port, arguments, core))
                 for core, server in zip(cores, itertools.cycle(servers))]
        for seconds in (WARM_UP_SECONDS, bench.seconds):
            before = cpu_seconds()
            for load in loads:
                load.start(seconds)
            results = [load.finish() for load in loads]
        used = cpu_seconds() - before
    messages = sum(result["messages"] for result in results)
    return {"per_cpu_second": messages / used, "per_second": sum(result["messages_per_second"] for result in results)}


# ---- The client ----

def measure_client(bench, command, settings):
    """Here the clients are compared, and the server is the bare epoll loop for each."""
    arguments = ["-c", settings["connections"], "-s", settings["message_bytes"], "-p", settings["in_flight"],
                 "-d", "%dms" % (bench.seconds * 1000) if "bench" in command else bench.seconds]
    with Server(server_command(bench.build, "epoll_echo")) as server:
        return {"per_second": run_client(command + [str(a) for a in arguments + [server.port]])["messages_per_second"]}


# ---- Latency ----

def find_rate(bench, settings):
    """What the bare epoll loop manages at most with so many connections, and the share of it that all are driven at."""
    most = 0
    with Server(server_command(bench.build, "epoll_echo")) as server:
        with Load(bench.build, server.port, ["-c", settings["connections"], "-s", settings["message_bytes"]]) as load:
            load.run(WARM_UP_SECONDS)
            most = max(load.run(bench.seconds)["messages_per_second"] for _ in range(3))
    return {"epoll_most_per_second": most, "rate_per_second": round(most * OPEN_LOOP_SHARE)}


def measure_latency(bench, command, settings):
    with Server(command) as server:
        with Load(bench.build, server.port, ["-c", settings["connections"], "-s", settings["message_bytes"]]) as load:
            load.run(WARM_UP_SECONDS, settings["rate_per_second"])
            result = load.run(2 * bench.seconds, settings["rate_per_second"])
    return {"p99_us": result["latency_us"]["p99"], "p50_us": result["latency_us"]["p50"],
            "late_p99_us": result["late_us"]["p99"], "per_second": result["messages_per_second"]}


# ---- Memory ----

def hold(server, bench, count, arguments=()):
    """Opens connections and has one message echoed on each, as in real life: buffers that a server does not give back
    then count. Gives the load, and the user memory that they came to in bytes."""
    memory_before, descriptors_before = server.memory_bytes(), server.descriptors()
    load = Load(bench.build, server.port, ["-c", count, *arguments])
    try:
        load.run(0)
        if server.descriptors() < descriptors_before + count:
            raise BenchError("%s does not hold %d connections" % (server.name, count))
        return load, max(0, server.memory_bytes() - memory_before)
    except BaseException:
        load.__exit__()
        raise


def measure_idle(bench, command, settings):
    with Server(command) as server:
        load, memory = hold(server, bench, settings["connections"])
        with load:
            return {"bytes": memory / settings["connections"]}


def measure_growth(bench, command, settings):
    with Server(command) as server:
        load, memory = hold(server, bench, settings["connections"], ["-s", settings["message_bytes"]])
        with load:
            load.run(WARM_UP_SECONDS)
            before = server.cpu_seconds()
            messages = load.run(bench.seconds)["messages"]
            return {"cpu_us": (server.cpu_seconds() - before) / messages * 1e6, "memory_bytes": memory}


# ---- Counts ----

def difference_per_message(bench, count, settings):
    """What one message adds to a count: a server's count for many less that for few, by a fixed number of messages.
    What it does at its start and for each connection is in both."""
    few, many = (count(bench, messages, settings) for messages in (FEW_MESSAGES, MANY_MESSAGES))
    return {key: (many[key] - few.get(key, 0)) / (MANY_MESSAGES - FEW_MESSAGES) for key in many}


def echo_fixed(bench, server, messages, settings):
    arguments = ["-n", messages, "-c", settings["connections"], "-s", settings["message_bytes"]]
    with Load(bench.build, server.port, arguments) as load:
        load.run(0)


def measure_syscalls(bench, command, settings):
    """Counted by strace: a traced server is slow, but it makes the same calls."""
    def count(bench, messages, settings):
        with tempfile.NamedTemporaryFile("r") as table:
            with Server(["strace", "-f", "-c", "-o", table.name] + command) as server:
                echo_fixed(bench, server, messages, settings)
                for pid in server.children():
                    os.kill(pid, signal.SIGKILL)  # strace then writes its table and ends
                server.process.wait(20)
            rows = [line.split() for line in table.read().splitlines()]
            return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}
    calls = difference_per_message(bench, count, settings)
    return {"calls": sum(calls.values()), **{name: calls.get(name, 0) for name in ("recvfrom", "sendto", "epoll_wait")}}


def measure_instructions(bench, command, settings):
    """Counted by callgrind: user space only, and the same on every machine with the same programs."""
    def count(bench, messages, settings):
        with tempfile.NamedTemporaryFile("r") as profile:
            callgrind = ["valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=" + profile.name]
            with Server(callgrind + command) as server:
                echo_fixed(bench, server, messages, settings)
                server.process.terminate()
                server.process.wait(60)
            return {"instructions": int(re.search(r"^(?:totals|summary): (\d+)", profile.read(), re.M)[1])}
    return difference_per_message(bench, count, settings)


# ---- The table ----

def echo_settings(connections=100, message_bytes=128, in_flight=1):
    return {"connections": connections, "message_bytes": message_bytes, "in_flight": in_flight}


def latency(connections):
    return Workload(
        "latency-%d" % connections,
        "%d connections, 128 bytes, messages due at fixed times, at 70 %% of the most that the bare epoll loop manages "
        "with so many connections; their latency counts from when they were due." % connections,
        EPOLL_ONLY, [Pair("weir", "epoll", at_most=1.15), A_A],
        [Column("p99_us", "p99, us", "%.0f"), Column("p50_us", "p50, us", "%.0f"),
         Column("late_p99_us", "the load's own p99, us", "%.0f"), PER_SECOND],
        measure_latency, {"connections": connections, "message_bytes": 128}, find_rate, cost=1 + connections / 5000)


def client(name, text, in_flight):
    return Workload(
        name, text, {"load": "load", "weir bench": ("weir", "bench", "--ramp", "off", "--json"), "load again": "load"},
        [Pair("weir bench", "load", at_least=0.95), Pair("load again", "load")], [PER_SECOND], measure_client,
        echo_settings(in_flight=in_flight))


def acked(name, label, peers, in_flight, at_least, text):
    """peers: the one as it comes, and tuned."""
    labels = (label, label + ", tuned")
    return Workload(
        name, "10 connections with %s messages of 128 bytes in flight on each; a message is acknowledged once it is "
        "stored. The peer is %s." % ("{:,}".format(in_flight), text),
        {**dict(zip(labels, peers)), "weir": stores.WEIR_ACKED}, [Pair("weir", labels, at_least=at_least)],
        [PER_SECOND, CPU], stores.measure_acked, {"connections": 10, "message_bytes": 128, "in_flight": in_flight},
        stores.describe_disk, cost=1)


WORKLOADS = {workload.name: workload for workload in [
    Workload(
        "echo", "100 connections, each with one message of 128 bytes in flight; the answer is the message.",
        ALL_PEERS, [Pair("weir", "epoll", at_most=1.08), Pair("weir", "bufferevent", at_most=0.70),
                    Pair("weir", "libuv", at_most=0.62), Pair("weir", "libuv, guide"),
                    Pair("weir", ("libev", "asio"), at_most=1.05), Pair("weir", "event"), Pair("weir", "io_uring"),
                    A_A],
        [CPU, PER_SECOND], measure_echo, echo_settings()),
    Workload(
        "syscalls", "System calls a message of the same echo, counted by strace.",
        {"epoll": "epoll_echo", "weir": weir_echo(), AGAIN: "epoll_echo"},
        [Pair("weir", "epoll", at_most=1.00), A_A],
        [Column("calls", "calls a message"), Column("recvfrom", "recv"), Column("sendto", "send"),
         Column("epoll_wait", "epoll_wait")],
        measure_syscalls, echo_settings(), rounds_max=5, cost=4),
    Workload(
        "line", "Instructions a message of the same echo, in user space, counted by callgrind: what `--frame line` "
        "costs more than `--frame raw`.",
        {"weir, line": weir_echo("line"), "weir, raw": weir_echo("raw")},
        [Pair("weir, line", "weir, raw", at_most=150, is_difference=True)],
        [Column("instructions", "instructions a message", "%.0f")],
        measure_instructions, echo_settings(), rounds_max=3, cost=8),
    Workload(
        "pipelined", "The same echo with 16 messages in flight on each connection.",
        WITH_BUFFEREVENT, [Pair("weir", "epoll", at_most=1.10), Pair("weir", "bufferevent"), A_A],
        [CPU, PER_SECOND], measure_echo, echo_settings(in_flight=16)),
    Workload(
        "large", "The same echo with messages of 4 KiB.",
        WITH_BUFFEREVENT, [Pair("weir", "epoll", at_most=1.10), Pair("weir", "bufferevent"), A_A],
        [CPU, PER_SECOND], measure_echo, echo_settings(message_bytes=4096)),
    latency(1000),
    latency(10000),
    Workload(
        "lines", "10 connections send lines of 128 bytes in large writes, as fast as the server takes them. weir cuts "
        "them into messages and counts those; its peer is a loop of recv that does not look at the bytes.",
        {"epoll": "epoll_drain", "weir": weir_serve("--frame", "line", "--reply", "none"), AGAIN: "epoll_drain"},
        [Pair("weir", "epoll", at_most=2.0), A_A],
        [Column("cpu_ns", "CPU a message, ns", "%.1f"), PER_SECOND], measure_one_way,
        {"connections": 10, "message_bytes": 128}),
    Workload(
        "fanout", "A message of 1 KiB goes to 10,000 connections; the next is sent when all have it.",
        {"epoll": "epoll_fanout", "weir": "weir_fanout", AGAIN: "epoll_fanout"},
        [Pair("weir", "epoll", at_most=1.10), A_A],
        [Column("cpu_us", "CPU a delivery, us"), Column("per_second", "deliveries a second", "%.0f")], measure_fanout,
        {"connections": 10000, "message_bytes": 1024}, cost=3),
    Workload(
        "accept", "Connect, one message of 128 bytes, one answer, close; 100 at a time.",
        EPOLL_ONLY, [Pair("weir", "epoll", at_most=1.15), A_A],
        [Column("cpu_us", "CPU a connection, us"), Column("per_second", "connections a second", "%.0f")],
        measure_churn, {"connections": 100, "message_bytes": 128}),
    Workload(
        "idle", "19,000 connections that have had one message echoed each, and wait.",
        {label: program for label, program in ALL_PEERS.items() if label != AGAIN},
        [Pair("weir", "bufferevent", at_most=0.16), Pair("weir", "event"), Pair("weir", "libuv"),
         Pair("weir", ("libev", "asio"))],
        [Column("bytes", "user memory a connection, bytes", "%.0f")],
        measure_idle, {"connections": 19000}, rounds_max=3, cost=2),
    Workload(
        "workers", "The pipelined echo on one worker and one core, and on two workers and two cores. The load runs on the "
        "same cores, one for each, so that two workers differ from one in nothing but that they are two, and that half of "
        "the packets cross cores. What that costs any server is shown by bare epoll loops: two that share a port and are "
        "loaded the same way, and two apart, each with a core, a port and a load of its own.",
        {"one worker": Fleet(weir_echo()), "two workers": Fleet(weir_echo(workers=2), cores=2),
         "one again": Fleet(weir_echo()), "one epoll": Fleet("epoll_echo"),
         "two epolls": Fleet("epoll_echo", cores=2, processes=2),
         "two epolls apart": Fleet("epoll_echo", cores=2, processes=2, is_apart=True)},
        [Pair("two workers", "one worker", at_least=0.9), Pair("two epolls", "one epoll"),
         Pair("two epolls apart", "one epoll"), Pair("two workers", "two epolls"), Pair("one again", "one worker")],
        [Column("per_cpu_second", "messages a CPU second", "%.0f"), PER_SECOND], measure_workers,
        echo_settings(in_flight=16)),
    Workload(
        "ingest", "10 connections send lines of 128 bytes as fast as the server takes them, and it stores each, until "
        "the last is stored: weir in its store, synced before it counts as there, rsyslog in a plain file, which it "
        "does not sync.",
        {"rsyslog": stores.RSYSLOG, "rsyslog, tuned": stores.RSYSLOG_TUNED, "weir": stores.WEIR,
         "weir again": stores.WEIR},
        [Pair("weir", ("rsyslog", "rsyslog, tuned"), at_least=1.3),
         Pair("weir", ("rsyslog", "rsyslog, tuned"), "cpu_us", at_most=0.8), Pair("weir again", "weir")],
        [PER_SECOND, CPU], stores.measure_ingest,
        {"connections": 10, "message_bytes": 128, "messages": 3000000}, stores.describe_disk, cost=4),
    acked("acked-redis", "redis", (stores.REDIS, stores.REDIS_TUNED), 64, 1.5, "Redis: XADD, with its log synced before "
          "each answer (appendfsync always)"),
    acked("acked-nats", "nats", (stores.NATS, stores.NATS_TUNED), 4000, 2, "NATS JetStream: a stream in files, published "
          "to asynchronously; it does not sync before it answers"),
    Workload(
        "acked-50000", "50,000 messages a second of 128 bytes, due at fixed times, on 100 connections; each is "
        "acknowledged once it is on disk. From when it was due to its acknowledgement.",
        {"weir": stores.WEIR_ACKED}, [Pair("weir", at_most=10)], LATENCIES, stores.measure_acked_latency,
        {"connections": 100, "message_bytes": 128, "rate_per_second": 50000}, stores.describe_disk, cost=3),
    Workload(
        "acked-1000", "1,000 clients with a message a second each.",
        {"weir": stores.WEIR_ACKED}, [Pair("weir", at_most=10)], LATENCIES, stores.measure_acked_latency,
        {"connections": 1000, "message_bytes": 128, "rate_per_second": 1000}, stores.describe_disk, cost=3),
    Workload(
        "acked-minute", "20,000 messages a second for 60 seconds: the worst of them all.",
        {"weir": stores.WEIR_ACKED}, [Pair("weir", figure="worst_ms", at_most=100)], LATENCIES,
        stores.measure_acked_latency,
        {"connections": 100, "message_bytes": 128, "rate_per_second": 20000, "run_seconds": 60}, stores.describe_disk,
        rounds_max=5, cost=60),
    Workload(
        "flood", "1,000 clients with a message a second each, while one more sends as much as is taken, and without it.",
        {"quiet": stores.WEIR_ACKED, "flooded": stores.WEIR_FLOODED},
        [Pair("flooded", "quiet", at_most=2)],
        LATENCIES + [Column("flood_per_second", "of the flood, a second", "%.0f")], stores.measure_flood,
        {"connections": 1000, "message_bytes": 128, "rate_per_second": 1000}, stores.describe_disk, cost=6),
    Workload(
        "echo-stored", "The echo with each message stored, and without: what the worker's thread pays for it.",
        {"stored": stores.WEIR_ECHO_STORED, "not stored": stores.WEIR_ECHO, "not stored again": stores.WEIR_ECHO},
        [Pair("stored", "not stored", at_most=0.3, is_difference=True),
         Pair("not stored again", "not stored", is_difference=True)],
        [Column("worker_us", "CPU of the worker a message, us"), Column("cpu_us", "CPU of all threads a message, us")],
        stores.measure_worker, echo_settings(), stores.describe_disk),
    Workload(
        "recovery", "The start after kill -9, with 1 GiB in the store and 64 MiB in its log.",
        {"weir": stores.WEIR_ACKED}, [Pair("weir", at_most=1000)],
        [Column("ready_ms", "until it listens, ms", "%.0f"), Column("store_mib", "store, MiB", "%.0f"),
         Column("log_mib", "log, MiB", "%.0f")],
        stores.measure_recovery, {"messages": 6500000}, stores.describe_disk, rounds_max=3, cost=40),
    client("client", "The client: what `weir bench` drives through the bare epoll loop, 100 connections with one message "
           "of 128 bytes in flight, against the bare epoll client that all servers are measured with.", 1),
    client("client-pipelined", "The same with 16 messages in flight.", 16),
]}


@dataclasses.dataclass(frozen=True)
class GrowthColumn(Column):
    """A figure with a plot of its own: the plot's title, what its axis says, and in which unit. Less than floor is drawn
    as floor."""
    file: str = ""
    title: str = ""
    axis: str = ""
    unit: float = 1
    floor: float = 0


GROWTH_COLUMNS = [
    GrowthColumn("cpu_us", "us", "%.2f", "cpu", "CPU time a message", "microseconds"),
    GrowthColumn("memory_bytes", "KiB", "%.0f", "memory", "User memory of all connections", "KiB", 1024, PAGE_KIB)]
STORE_COLUMNS = [
    GrowthColumn("per_second", "messages a second", "%.0f", "rate", "Messages stored a second", "messages a second"),
    GrowthColumn("history_ms", "newest 100 of a connection, ms", "%.1f", "history",
                 "The newest 100 messages of one connection", "milliseconds")]


@dataclasses.dataclass(frozen=True)
class Growth:
    """How figures grow with one setting: a measurement at each of its values, without a bound."""
    name: str
    text: str
    setting: str
    values: list
    settings: dict
    columns: list = dataclasses.field(default_factory=lambda: GROWTH_COLUMNS)
    measure: typing.Callable = measure_growth
    servers: dict = dataclasses.field(
        default_factory=lambda: {label: p for label, p in WITH_BUFFEREVENT.items() if label != AGAIN})
    rounds_max: int = 5
    cost: float = 0.6

    @property
    def point_count(self):
        return len(self.values)


GROWTHS = {growth.name: growth for growth in [
    Growth("growth-connections", "The echo with one message of 128 bytes in flight on each connection, from 1 to "
           "19,000 connections.", "connections", GROWTH_CONNECTIONS, {"message_bytes": 128}),
    Growth("growth-bytes", "The echo on 100 connections, from 16 bytes to 64 KiB a message.", "message_bytes",
           GROWTH_BYTES, {"connections": 100}),
    Growth("growth-store", "Lines of 128 bytes from 10 connections, stored as fast as they can be, into a store that has "
           "some million already; and how long weir log takes to show the newest 100 of one connection of 10,000, its "
           "own start included.", "stored_messages", GROWTH_STORED,
           {"connections": 10, "message_bytes": 128, "messages": 1000000}, STORE_COLUMNS, stores.measure_growth,
           {"weir": stores.WEIR}, rounds_max=3, cost=20),
]}
