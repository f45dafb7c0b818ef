# SPDX-License-Identifier: BSD-3-Clause
"""--max-memory is what the process takes in all: its peak stays within 1.5 times of that and 16 MiB, whatever clients,
the disk and the reader of standard output do. Each load shows that it has reached the bound: clients were closed for
memory, or were not read from any more; and a well-behaved client is answered beside it."""
import contextlib
import os
import resource
import select
import signal
import sqlite3
import struct
import time

from flood import MEBIBYTE
from harness import DEADLINE, FLAVOUR, Server, recv_exactly, recv_until, run_weir, skip, wait_for

SIZES = [int(size) for size in os.environ.get("WEIR_TEST_MEMORY", "8 64").split()]  # MiB
CLOSED = r"closed for memory: it held"


@contextlib.contextmanager
def bounded(asked, *options, **process):
    """A server that may take so many MiB, and is looked at when the load is over."""
    if FLAVOUR != "release":
        skip("a sanitizer's own memory is in the figure")
    with Server("--max-memory", "%dMiB" % asked, *options, **process) as server:
        yield server
        peak = server.peak_memory_bytes()
        print("%d MiB asked: a peak of %.1f MB" % (asked, peak / 1e6))
        assert peak <= asked * MEBIBYTE * 3 // 2 + 16 * MEBIBYTE, "%d MiB asked: %d bytes" % (asked, peak)


class Crowd:
    """Clients that send without end and read nothing."""

    def __init__(self, server, count):
        self.server = server
        self.clients = [server.connect(receive_buffer=4096) for _ in range(count)]
        self.sent = dict.fromkeys(self.clients, 0)
        self.closed = 0
        self.waits = False  # nobody was read from any more when the last push ended
        for client in self.clients:
            client.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()

    def _send(self, client, data, most):
        sent = self.sent[client]
        try:
            self.sent[client] += client.send(data[sent % len(data):][:most - sent])
        except BlockingIOError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            self.closed += 1
            return False
        return self.sent[client] < most

    def push(self, data, most=1 << 40, seconds=4):
        """Each sends data again and again, until it has sent `most`, is closed, or nobody is read from any more; but for
        no longer than so many seconds."""
        poll = select.poll()
        by_number = {client.fileno(): client for client in self.clients}
        end = time.monotonic() + seconds
        calm = 0
        for number in by_number:
            poll.register(number, select.POLLOUT)
        while by_number and calm < 20 and time.monotonic() < end:
            ready = poll.poll(20)
            calm = 0 if ready or not self.server.is_asleep() else calm + 1
            for number, _ in ready:
                if not self._send(by_number[number], data, most):
                    poll.unregister(number)
                    del by_number[number]
        self.waits = calm >= 20


def served(server, line=b"hello\n"):
    """A client that comes now is answered."""
    with server.connect() as client:
        client.sendall(line)
        assert recv_until(client, b"\n")


@contextlib.contextmanager
def stalled(path):
    """A store that takes nothing: somebody else holds it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def each_size(load):
    """Runs a load with each of the sizes, and 2 workers with the larger ones."""
    def run():
        for asked in SIZES:
            load(asked, "--workers", 2 if asked >= 32 else 1)
    run.__name__, run.__doc__ = load.__name__, load.__doc__
    return run


@each_size
def test_answers_that_nobody_reads(asked, *options):
    with bounded(asked, "--frame", "line", "--reply", "echo", "--output-limit", "16MiB", "--store", "s.db",
                 *options) as server, Crowd(server, 12) as crowd:
        crowd.push(b"x" * 8191 + b"\n")
        server.wait_stderr(CLOSED)
        served(server)


@each_size
def test_replies_that_nobody_reads(asked, *options):
    with bounded(asked, "--frame", "line", "--reply", "text:" + "y" * 4000, "--store", "s.db", *options) as server, \
            Crowd(server, asked * 2) as crowd:
        crowd.push(b"x\n" * 512)
        server.wait_stderr(CLOSED)
        served(server)


@each_size
def test_acknowledgements_that_nobody_reads(asked, *options):
    with bounded(asked, "--frame", "line", "--ack", "{seq} " + "y" * 2000, "--store", "s.db", *options) as server, \
            Crowd(server, asked * 2) as crowd:
        crowd.push(b"x\n" * 400, most=6000)
        crowd.push(b"x\n" * 512)
        assert crowd.waits or crowd.closed
        served(server)


def test_acknowledgements_are_all_there_and_in_order_though_memory_is_short():
    """Those of one commit are more than is made in a turn, also of the last one before the stop."""
    with Server("--max-memory", "8MiB", "--frame", "line", "--ack", "{seq} " + "y" * 2000, "--store", "s.db", "--print",
                "json", "--workers", 2) as server:
        clients = [server.connect() for _ in range(6)]
        for begin in 1, 301:
            server.send_signal(signal.SIGSTOP)  # so that one turn reads all of them
            for client in clients:
                client.sendall(b"x\n" * 300)
            server.send_signal(signal.SIGCONT)
            if begin > 1:
                server.wait_events("message", len(clients) * (begin + 299))
                server.begin_stop()
            for client in clients:
                expected = b"".join(b"%d %s\n" % (seq, b"y" * 2000) for seq in range(begin, begin + 300))
                assert recv_exactly(client, len(expected)) == expected
        for client in clients:
            client.close()
        assert server.wait() == 0


@each_size
def test_messages_that_do_not_end(asked, *options):
    with bounded(asked, "--frame", "length:u32be", "--max-frame", "64MiB", "--reply", "echo", "--store", "s.db",
                 *options) as server, Crowd(server, 400) as crowd:
        crowd.push(struct.pack(">I", 32 * MEBIBYTE) + b"x" * MEBIBYTE, most=MEBIBYTE)
        server.wait_stderr(CLOSED)
        crowd.push(b"x" * MEBIBYTE, most=20 * MEBIBYTE, seconds=2)
        served(server, struct.pack(">I", 2) + b"x\n")


@each_size
def test_short_pieces_and_then_long_ones(asked, *options):
    """What was given back in many pieces is used for few."""
    with bounded(asked, "--frame", "line", "--max-frame", "64MiB", "--reply", "echo", "--store", "s.db",
                 *options) as server:
        with Crowd(server, 1000) as crowd:
            crowd.push(b"x" * MEBIBYTE, most=60000)
            with Crowd(server, 4) as others:
                others.push(b"x" * MEBIBYTE, most=20 * MEBIBYTE)
                server.wait_stderr(CLOSED)
                served(server)


@each_size
def test_long_lines_with_json(asked, *options):
    with bounded(asked, "--frame", "line", "--max-frame", "32MiB", "--ack", "{seq}", "--store", "s.db", "--print", "json",
                 *options) as server:
        for letter in b"x", b"\x01", b"\xff":
            with Crowd(server, 8) as crowd:
                crowd.push(letter * (20 * MEBIBYTE) + b"\n", most=20 * MEBIBYTE)
                server.wait_stderr(CLOSED)
                crowd.push(b"\n", most=20 * MEBIBYTE + 1)
                served(server)


def test_a_line_of_20_mebibytes_fits_into_64():
    with bounded(64, "--frame", "line", "--max-frame", "32MiB", "--ack", "{seq}", "--store", "s.db", "--print", "json",
                 "--workers", 2) as server:
        for number in range(3):
            with server.connect() as client:
                client.sendall(b"x" * (20 * MEBIBYTE) + b"\n")
                assert recv_exactly(client, 2) == b"1\n"
            wait_for(lambda: len(server.events("message")) == number + 1, "the line in JSON")


@each_size
def test_lines_that_are_long_in_json(asked, *options):
    """One byte becomes six."""
    with bounded(asked, "--frame", "line", "--ack", "{seq}", "--store", "s.db", "--print", "json", *options) as server, \
            Crowd(server, 40) as crowd:
        crowd.push(b"\x01" * (MEBIBYTE - 1) + b"\n", seconds=3)
        served(server)
        assert b"\\u0001" in server.stdout.bytes() or "not shown" in server.stderr.text()


@each_size
def test_a_reader_of_json_that_does_not_read(asked, *options):
    with bounded(asked, "--frame", "line", "--reply", "echo", "--store", "s.db", "--print", "json", *options) as server, \
            Crowd(server, 40) as crowd:
        server.stdout.freeze()
        crowd.push(b"\x01" * 20000 + b"\n", seconds=3)
        crowd.push(b"\x01" * (MEBIBYTE - 1) + b"\n", seconds=3)
        served(server)
        server.stdout.thaw()
        server.wait_stderr("not shown")


def stall(asked, data, *options):
    with bounded(asked, "--frame", "line", "--ack", "{seq}", "--store", "s.db", "--print", "json", *options) as server:
        served(server)
        with Crowd(server, 60) as crowd, stalled(os.path.join(server.home.name, "s.db")):
            crowd.push(data, seconds=20)
            assert crowd.waits
        server.wait_stderr("works again", deadline=DEADLINE)
        served(server)


@each_size
def test_a_store_that_stands_still(asked, *options):
    stall(asked, (b"x" * 99 + b"\n") * 600, *options)


@each_size
def test_a_store_that_stands_still_and_short_messages(asked, *options):
    stall(asked, b"x\n" * 1000, *options)


@each_size
def test_a_store_that_stands_still_and_long_messages(asked, *options):
    stall(asked, b"x" * 900000 + b"\n", *options)


@each_size
def test_a_flood_that_is_stored(asked, *options):
    with bounded(asked, "--frame", "line", "--store", "s.db", "--keep-bytes", "64MiB", *options) as server, \
            Crowd(server, 40) as crowd:
        crowd.push((b"x" * 200 + b"\n") * 300, seconds=2)
        crowd.push(b"x" * 30000 + b"\n", seconds=2)
        assert sum(crowd.sent.values()) > asked * MEBIBYTE  # four times what may wait for the disk


@each_size
def test_clients_that_do_nothing(asked, *options):
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 500:
        skip("needs %d descriptors, and the hard limit is %d" % (count + 500, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    with bounded(asked, "--frame", "line", "--reply", "echo", "--store", "s.db", *options) as server, \
            Crowd(server, count) as crowd:
        crowd.push(b"hello\n", most=6)
        served(server)
        assert server.descriptors() > count


@each_size
def test_a_broadcast_that_nobody_reads(asked, *options):
    with bounded(asked, "--frame", "line", "--max-frame", "4MiB", "--store", "s.db", *options, terminal=True) as server, \
            Crowd(server, 500) as crowd:
        crowd.push(b"x" * 5000 + b"\n", most=5001)
        crowd.push(b"x" * (3 * MEBIBYTE), most=3 * MEBIBYTE if asked > 32 else 200000, seconds=1)
        server.wait_stdout("closed for memory")
        with server.connect() as client:
            wait_for(lambda: b"#%d" % (len(crowd.clients) + 1) in server.stdout.bytes(), "the client to be there")
            for number in range(100):
                server.stdin.write(b"/all %d %s\r" % (number, b"z" * 900))
            assert recv_until(client, b"99 " + b"z" * 900 + b"\n")
        server.stdin.write(b"/show\r")


# ---- Who may have how much ----

def parts(*options):
    status, out, error = run_weir("check", "8000", *options)
    assert status == 0, error
    rows = [line.split() for line in out.splitlines()]
    unit = {"KiB": 1024, "MiB": MEBIBYTE}
    return {row[1]: int(row[3][:-3]) * unit[row[3][-3:]] for row in rows if row[0] == "memory"}


def test_check_says_the_parts_and_they_are_the_whole():
    for size in 8, 16, 64, 100, 128, 512, 1024, 8192:
        for options in (), ("--store", "s.db"), ("--print", "off"), ("--store", "s.db", "--store-queue", "4MiB"):
            found = parts("--max-memory", "%dMiB" % size, *options)
            assert abs(sum(found.values()) - size * MEBIBYTE) <= 5 * 1024, (size, options, found)
            assert found["clients"] >= size * MEBIBYTE // 4 - 1024, (size, options, found)
    assert parts("--store", "s.db") == {"clients": 808 * MEBIBYTE, "store-queue": 64 * MEBIBYTE, "spare": 128 * MEBIBYTE,
                                        "store-cache": 16 * MEBIBYTE, "output": 8 * MEBIBYTE}
    assert parts("--store", "s.db", "--store-queue", "5MiB")["store-queue"] == 5 * MEBIBYTE


def test_a_queue_that_does_not_fit_is_refused():
    for command in "check", "serve":
        status, out, error = run_weir(command, "0", "--store", "s.db", "--max-memory", "64MiB", "--store-queue", "33MiB")
        assert status == 2 and not out, (status, out, error)
        assert "--store-queue 33MiB: it counts in --max-memory 64MiB" in error and "to 66MiB" in error, error
        status, _, error = run_weir(command, "0", "--store", "s.db", "--store-queue", "64GiB")
        assert status == 2 and "--max-memory 1024MiB" in error, (status, error)
    parts("--store", "s.db", "--max-memory", "64MiB", "--store-queue", "32MiB")
    parts("--store", "none", "--max-memory", "64MiB", "--store-queue", "33MiB")
