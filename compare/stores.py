# SPDX-License-Identifier: BSD-3-Clause
"""Servers that keep what they are sent, and how they are measured.

All have both cores, and the load has them too: a server that stores has a thread that receives and one that stores, or
could have. What the kernel does later on its own threads, writing to the disk what was not synced, is in nobody's CPU
time. The stores lie in a folder below the build folder, on a disk, and are gone after each measurement.
"""
import contextlib
import dataclasses
import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import typing

from processes import CORES, BenchError, CannotRun, Load, Server, free_port, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ALL_CORES = ",".join(CORES)
FREE_BYTES_MIN = 6 << 30
POLL_SECONDS = 0.01
STORED_SECONDS_MAX = 120
HISTORY_CONNECTIONS = 10000
LOG_BYTES = 64 << 20  # of the log that a killed server leaves
FLUSH_SHARE_MAX = 0.02  # of a run: what a server may let wait in its buffers, by its own settings
REST_US = 200  # of a load at a fixed rate: the server has its core, too


# ---- The folder ----

def file_system(path):
    """The type of the one that path is on."""
    path = os.path.realpath(path)
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1:3] for line in file]
    holds = lambda mount: path == mount or path.startswith(mount.rstrip("/") + "/")
    return max((mount for mount in mounts if holds(mount[0])), key=lambda mount: len(mount[0]))[1]


def describe_disk(bench, _settings):
    return {"file_system": file_system(bench.build)}


def check_disk(path):
    free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    if file_system(path) in ("tmpfs", "ramfs"):
        raise BenchError("%s is in memory, where a sync costs nothing: build on a disk" % path)
    if free < FREE_BYTES_MIN:
        raise BenchError("%s has %d MiB free; the stores want %d" % (path, free >> 20, FREE_BYTES_MIN >> 20))


@contextlib.contextmanager
def scratch_folder(bench):
    check_disk(bench.build)
    with tempfile.TemporaryDirectory(dir=bench.build, prefix="store-") as folder:
        yield folder


# ---- The servers ----

@contextlib.contextmanager
def rows_of_weir(folder):
    """The messages that a reader sees: those whose commit has been synced."""
    with contextlib.closing(sqlite3.connect("file:%s/weir.db?mode=ro" % folder, uri=True)) as store:
        yield lambda: store.execute("SELECT coalesce(max(id), 0) FROM message").fetchall()[0][0]


@contextlib.contextmanager
def lines_of_rsyslog(folder, bytes_each=128):
    path = os.path.join(folder, "lines")
    yield lambda: os.path.getsize(path) // bytes_each if os.path.exists(path) else 0


def make_stream(port):
    """Tells NATS to keep what is published, in files."""
    wish = json.dumps({"name": "weir", "subjects": ["weir"], "storage": "file", "num_replicas": 1})
    with socket.create_connection(("127.0.0.1", port), 10) as server, server.makefile("rwb") as stream:
        stream.write(b'CONNECT {"verbose":false}\r\nSUB made 1\r\nPUB $JS.API.STREAM.CREATE.weir made %d\r\n%s\r\n' % (
            len(wish), wish.encode()))
        stream.flush()
        while not (line := stream.readline()).startswith(b"{"):
            if not line:
                raise BenchError("nats-server closed the connection")
        if b'"error"' in line:
            raise BenchError("nats-server: %s" % line.decode())


@dataclasses.dataclass(frozen=True)
class Store:
    """A server with a store. {folder}, {port} and {here} in its words are filled in."""
    words: tuple
    answers: str = "numbers"       # how the load counts what is acknowledged
    watch: typing.Callable = None  # (folder): a context that gives a function: how many messages are stored
    prepare: typing.Callable = lambda port: None
    is_peer: bool = True
    is_flooded: bool = False       # in measure_flood
    environment: tuple = ()        # (name, value) of what its environment has besides
    flush_seconds: float = 0       # the longest that its settings let a message wait before it is written

    def resolve(self, weir):
        """With the program's path."""
        path = weir if self.words[0] == "weir" else shutil.which(self.words[0])
        if not path:
            raise CannotRun("%s is not installed" % self.words[0])
        return dataclasses.replace(self, words=(path, *self.words[1:]))

    def start(self, folder, cores=ALL_CORES):
        """A Server or a Peer, ready."""
        filled = lambda port: [word.format(folder=folder, port=port, here=HERE) for word in self.words]
        return Peer(self, filled, folder, cores) if self.is_peer else Server(filled(None), cores)


class Peer(Server):
    """A server of somebody else's: it is told its port, and is ready when somebody can connect."""

    def __init__(self, store, command, folder, cores):
        self.given_port = free_port()
        super().__init__(command(self.given_port), cores, {
            "WEIR_BENCH_FOLDER": folder, "WEIR_BENCH_PORT": str(self.given_port), **dict(store.environment)})
        try:
            store.prepare(self.port)
        except BaseException:
            self.__exit__()
            raise

    def _wait_for_port(self):
        def answers():
            if self.process.poll() is not None:
                raise BenchError("%s ended with %d: %s" % (self.name, self.process.returncode, self.text()))
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.given_port), 1):
                return True
        wait_for(answers, "%s to listen" % self.name)
        return self.given_port


def weir_store(*options):
    return Store(("weir", "serve", "--listen", "127.0.0.1:0", "--print", "off", "--workers", "1", "--frame", "line",
                  "--store", "{folder}/weir.db") + options, watch=rows_of_weir, is_peer=False)


WEIR = dataclasses.replace(weir_store(), flush_seconds=0.025)  # what nobody waits for
WEIR_ACKED = weir_store("--ack", "{{seq}}")
WEIR_FLOODED = dataclasses.replace(WEIR_ACKED, is_flooded=True)
WEIR_ECHO = Store(("weir", "serve", "--listen", "127.0.0.1:0", "--print", "off", "--workers", "1", "--reply", "echo",
                   "--store", "none"), is_peer=False)
WEIR_ECHO_STORED = dataclasses.replace(WEIR_ECHO, words=WEIR_ECHO.words[:-1] + ("{folder}/weir.db",))


# The peers, each as it comes, told only what the job needs, and tuned, with what saves it work. In the report the better
# of the two counts, for each figure, so that no peer is held back by us.
def rsyslog(conf):
    return Store(("rsyslogd", "-n", "-f", "{here}/peers/" + conf, "-i", "{folder}/rsyslog.pid"),
                 watch=lines_of_rsyslog)


def redis(*options):
    return Store(("redis-server", "--bind", "127.0.0.1", "--protected-mode", "no", "--port", "{port}", "--dir", "{folder}",
                  "--appendonly", "yes", "--appendfsync", "always") + options, "redis")


RSYSLOG, RSYSLOG_TUNED = rsyslog("rsyslog.conf"), rsyslog("rsyslog-tuned.conf")
REDIS = redis()
REDIS_TUNED = redis(
    "--auto-aof-rewrite-percentage", "0",  # the log is never written anew beside what is measured
    "--save", "",                          # nor is a snapshot of all that is in memory
    "--latency-tracking", "no", "--slowlog-log-slower-than", "-1",  # no command's time is kept
    "--hz", "1")                           # the upkeep between commands runs once a second, not ten times
# Not io-threads: its threads spin for work, and on two cores they take them from Redis itself and from the load.
NATS = Store(("nats-server", "-js", "-sd", "{folder}", "-a", "127.0.0.1", "-p", "{port}"), "nats", prepare=make_stream)
# The collector of Go's memory runs when the heap has grown to 17 times what is in use, not twice. There is nothing to gain
# from fewer syncs: 2.9.10 syncs a stream every two minutes, which it has no setting for, and acknowledges what is
# written and not synced.
NATS_TUNED = dataclasses.replace(NATS, environment=(("GOGC", "1600"),))


# ---- Measuring ----

def ingest(bench, server, store, folder, settings, stored_before=0):
    """Sends a fixed number of messages: the seconds until the last of them is stored."""
    arguments = ["--one-way", "-c", settings["connections"], "-s", settings["message_bytes"],
                 "-n", settings["messages"]]
    with store.watch(folder) as stored, Load(bench.build, server.port, arguments, ALL_CORES) as load:
        start = time.monotonic()
        load.start(0)
        while stored() < stored_before + settings["messages"]:
            if time.monotonic() > start + STORED_SECONDS_MAX:
                raise BenchError("%d of %d messages are stored" % (stored() - stored_before, settings["messages"]))
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - start
        load.finish()
    return seconds


def check_run(store, seconds):
    """A server that lets messages wait loses that time once: in a run that is too short it would be slow for it."""
    if store.flush_seconds > FLUSH_SHARE_MAX * seconds:
        raise BenchError("%s lets messages wait for %g s, which is more than %g %% of a run of %.2f s: make it longer" % (
            os.path.basename(store.words[0]), store.flush_seconds, 100 * FLUSH_SHARE_MAX, seconds))


def measure_ingest(bench, store, settings):
    with scratch_folder(bench) as folder, store.start(folder) as server:
        before = server.cpu_seconds()
        seconds = ingest(bench, server, store, folder, settings)
        used = server.cpu_seconds() - before
    check_run(store, seconds)
    return {"per_second": settings["messages"] / seconds, "cpu_us": used / settings["messages"] * 1e6}


def acked_load(bench, server, store, settings):
    return Load(bench.build, server.port, ["--answers", store.answers, "-c", settings["connections"], "-s",
                                           settings["message_bytes"], "-p", settings.get("in_flight", 1),
                                           "--rest", REST_US], ALL_CORES)


def measure_acked(bench, store, settings):
    check_run(store, 2 * bench.seconds)
    with scratch_folder(bench) as folder, store.start(folder) as server, \
            acked_load(bench, server, store, settings) as load:
        load.run(0.3)
        before = server.cpu_seconds()
        result = load.run(2 * bench.seconds)
        used = server.cpu_seconds() - before
    return {"per_second": result["messages_per_second"], "cpu_us": used / result["messages"] * 1e6}


def latency_figures(result):
    """In milliseconds."""
    names = {"p50": "p50_ms", "p99": "p99_ms", "p99.9": "p999_ms", "max": "worst_ms"}
    return {**{key: result["latency_us"][name] / 1e3 for name, key in names.items()},
            "late_p99_ms": result["late_us"]["p99"] / 1e3}


def measure_acked_latency(bench, store, settings):
    with scratch_folder(bench) as folder, store.start(folder) as server, \
            acked_load(bench, server, store, settings) as load:
        load.run(0.3, settings["rate_per_second"])
        return latency_figures(load.run(settings.get("run_seconds", 3 * bench.seconds), settings["rate_per_second"]))


def measure_flood(bench, store, settings):
    """The latency of the many, with and without one who sends as much as is taken."""
    flood = {**settings, "connections": 1, "in_flight": 65536}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch_folder(bench))
        server = stack.enter_context(store.start(folder))
        load = stack.enter_context(acked_load(bench, server, store, settings))
        flooding = stack.enter_context(acked_load(bench, server, store, flood)) if store.is_flooded else None
        if flooding:
            flooding.start(6 * bench.seconds)
        load.run(bench.seconds, settings["rate_per_second"])
        result = load.run(4 * bench.seconds, settings["rate_per_second"])
        flooded = flooding.finish()["messages_per_second"] if flooding else 0
    return {**latency_figures(result), "flood_per_second": flooded}


def measure_worker(bench, store, settings):
    """The CPU time of the worker's thread alone, which is the process's first."""
    with scratch_folder(bench) as folder, store.start(folder) as server, \
            Load(bench.build, server.port, ["-c", settings["connections"], "-s", settings["message_bytes"]]) as load:
        load.run(0.3)
        before, before_all = server.cpu_seconds([server.pid]), server.cpu_seconds()
        messages = load.run(bench.seconds)["messages"]
        used, used_all = server.cpu_seconds([server.pid]) - before, server.cpu_seconds() - before_all
    return {"worker_us": used / messages * 1e6, "cpu_us": used_all / messages * 1e6}


# ---- How it grows, and how it comes back ----

def fill(bench, folder, messages, connections):
    """Makes a store with so many messages of 128 bytes, those of the connections by turns."""
    program = os.path.join(bench.build, "compare", "weir_fill_store")
    if not os.path.exists(program):
        raise CannotRun("%s is not built" % os.path.basename(program))
    if messages > 0:
        words = [program, os.path.join(folder, "weir.db"), str(messages), str(connections), "128"]
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def history_seconds(store, folder, connection):
    """How long it takes to see a connection's newest messages, the program's start included."""
    words = [store.words[0], "log", "--store", os.path.join(folder, "weir.db"), "--client", str(connection), "-n", "100"]
    start = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0 or done.stdout.count(b"\n") < 100:
        raise CannotRun("weir log: %s" % (done.stderr.decode().strip() or "fewer messages than there are"))
    return time.monotonic() - start


def wait_for_heads(folder):
    """Until the server has written where each connection's newest message is, which it does once a second."""
    query = "SELECT (SELECT value FROM meta WHERE key = 'heads_until') >= (SELECT max(id) FROM message)"
    with contextlib.closing(sqlite3.connect("file:%s/weir.db?mode=ro" % folder, uri=True)) as store:
        wait_for(lambda: store.execute(query).fetchone()[0], "the heads")


def measure_growth(bench, store, settings):
    """The history is of a connection in the middle of many; in a store that is empty at first, of one that filled it."""
    stored = settings["stored_messages"]
    with scratch_folder(bench) as folder:
        fill(bench, folder, stored, HISTORY_CONNECTIONS)
        with store.start(folder) as server:
            seconds = ingest(bench, server, store, folder, settings, stored)
            wait_for_heads(folder)
            history = statistics.median(history_seconds(store, folder, HISTORY_CONNECTIONS // 2 if stored else 5)
                                        for _ in range(5))
    return {"per_second": settings["messages"] / seconds, "history_ms": history * 1e3}


@contextlib.contextmanager
def held_log(folder):
    """While somebody reads, the log cannot begin anew. The reader is a process, and is killed, so that it cannot tidy."""
    code = ("import sqlite3, sys, time; store = sqlite3.connect('file:%s/weir.db?mode=ro' % sys.argv[1], uri=True); "
            "store.isolation_level = None; store.execute('BEGIN'); "
            "store.execute('SELECT max(id) FROM message').fetchall(); print(flush=True); time.sleep(600)")
    reader = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
    try:
        reader.stdout.readline()
        yield
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()


def leave_log(bench, store, folder):
    """Kills a server whose log has grown to LOG_BYTES, and which had no chance to move it."""
    with held_log(folder), store.start(folder) as server, \
            Load(bench.build, server.port, ["--answers", store.answers, "-c", 10, "-p", 1000], ALL_CORES) as load:
        while os.path.getsize(os.path.join(folder, "weir.db-wal")) < LOG_BYTES:
            load.run(0.2)
        server.process.kill()
        server.process.wait()


def measure_recovery(bench, store, settings):
    with scratch_folder(bench) as folder:
        fill(bench, folder, settings["messages"], 10)
        leave_log(bench, store, folder)
        sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in ("weir.db", "weir.db-wal")}
        start = time.monotonic()
        with store.start(folder):
            seconds = time.monotonic() - start
    return {"ready_ms": seconds * 1e3, "store_mib": sizes["weir.db"] / 2**20, "log_mib": sizes["weir.db-wal"] / 2**20}
