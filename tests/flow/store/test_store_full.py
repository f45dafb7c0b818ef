# SPDX-License-Identifier: BSD-3-Clause
"""A full disk, and a reader that keeps the log until the disk is full: the reason is said, the server goes on by itself
once the reason has gone, and starts on what is left."""
import contextlib
import os
import re
import select
import subprocess
import sys
import time

from harness import DEADLINE, Server, wait_for
from test_store import ACKED, KEEP_ALL, a_store_on_a_disk_of, acks, messages, put_ballast, refuse
from test_store_faults import STOPS

LINE = b"x" * 2000 + b"\n"


class Reader:
    """Another process inside a read transaction."""

    CODE = "import sqlite3, sys; db = sqlite3.connect('file:%s?mode=ro' % sys.argv[1], uri=True, isolation_level=None);" \
           "db.execute('BEGIN'); print(db.execute('SELECT count(*) FROM message').fetchall(), flush=True); sys.stdin.read()"

    def __init__(self, path):
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
            self.process.wait(DEADLINE)
            self.process.stdout.close()


def processor_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send_until_full(client, server):
    """Returns how many lines were sent whole; the rest of the one that was begun."""
    client.setblocking(False)
    sent = 0
    flood = LINE * 50
    while not re.search("is full.*" + STOPS, server.stderr.text()):
        if select.select([], [client], [], 0.05)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += client.send(flood[sent % len(LINE):])
        while select.select([client], [], [], 0)[0]:
            assert client.recv(65536)
        assert sent < 400 << 20
    client.setblocking(True)
    return sent


def fill_by_a_reader(size, *options, at_once=True):
    """The log is held until the disk is full; then the reader goes, and all that was sent is acknowledged."""
    with a_store_on_a_disk_of(size) as path:
        with Server("--store", path, *ACKED, *options) as server, server.connect() as client:
            client.sendall(b"one\n")
            acks(client, 1, 1)
            with Reader(path) as reader:
                sent = send_until_full(client, server)
                server.wait_stderr(r"is full; its log \(\d+ KiB\) cannot be emptied while process %d \(\S+\) reads it.*%s"
                                   % (reader.process.pid, STOPS))
                before = processor_seconds(server.pid)
                start = time.monotonic()
                with contextlib.suppress(AssertionError):
                    server.wait_stderr("works again", deadline=2)  # it must not
                assert "works again" not in server.stderr.text()
                used = (processor_seconds(server.pid) - before) / (time.monotonic() - start)
                assert used < 0.3, "busy: %.2f of a processor" % used
                assert server.stderr.text().count(STOPS) <= 2, server.stderr.text()
            client.settimeout(DEADLINE)
            left = -sent % len(LINE)
            if left:
                client.sendall(LINE[-left:])
            server.wait_stderr("works again")
            wanted = b"ok %d\n" % (1 + -(-sent // len(LINE)))
            received = b""
            while not received.endswith(wanted):
                received = (received + client.recv(65536))[-1000:]
            client.sendall(b"after\n")
            acks(client, 2 + -(-sent // len(LINE)), 1)
            newest = 2 + -(-sent // len(LINE))
            if at_once:
                server.stop()
            else:
                server.kill()
        with Server("--store", path, *ACKED, *options) as server, server.connect() as client:
            client.sendall(b"x\n")
            acks(client, 1, 1)
        ids = [row[1] for row in messages(path)][:-1]
        assert ids[-1] == newest and ids == list(range(ids[0], newest + 1)), (ids[:3], ids[-3:], newest)


def test_reader_that_holds_the_log_until_the_disk_is_full():
    fill_by_a_reader("20m")
    fill_by_a_reader("60m", at_once=False)


def test_reader_that_holds_the_log_of_a_store_that_is_kept_to_its_bytes():
    fill_by_a_reader("20m", "--keep-bytes", "4MiB")


def test_reader_that_holds_the_log_where_everything_is_kept():
    """Nothing may be deleted, but the log is what fills the disk."""
    with a_store_on_a_disk_of("20m") as path:
        with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
            client.sendall(b"one\n")
            acks(client, 1, 1)
            with Reader(path):
                send_until_full(client, server)
                server.wait_stderr("cannot be emptied while process")
            server.wait_stderr("works again")
            server.kill()  # by now the messages themselves may have filled it


def test_started_again_while_the_reader_still_holds_the_log():
    with a_store_on_a_disk_of("20m") as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"one\n")
            acks(client, 1, 1)
            with Reader(path):
                send_until_full(client, server)
                server.kill()
                second = Server("--store", path, *ACKED, listens=0)
                wait_for(lambda: re.search("listening on|the server starts once", second.stderr.text()), "a word")
            with second:
                second.wait_until_listening(1)
                with second.connect() as other:
                    other.sendall(b"x\n")
                    acks(other, 1, 1)


def fill_disk(path, leave=0):
    """To the last block, but for so many bytes."""
    status = os.statvfs(os.path.dirname(path))
    put_ballast(path, max(0, status.f_bavail * status.f_frsize - leave))


def test_start_on_a_disk_that_was_filled_after_a_clean_stop():
    """The reserve is there for it."""
    for options in [], ["--keep-for", "1d", "--keep-free", "off"]:
        with a_store_on_a_disk_of("40m") as path:
            with Server("--store", path, *ACKED, *options) as server, server.connect() as client:
                for first in range(1, 2001, 500):
                    client.sendall(LINE * 500)
                    acks(client, first, 500)
            fill_disk(path)
            with Server("--store", path, *ACKED, *options) as server, server.connect() as client:
                client.sendall(b"one\n")
                acks(client, 1, 1)


def test_start_on_a_full_disk_without_a_reserve_waits_for_room():
    """What is tried again while it runs is no reason not to start."""
    for kill in False, True:
        with a_store_on_a_disk_of("16m") as path:
            with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
                client.sendall(LINE * 100)
                acks(client, 1, 100)
                if kill:
                    server.kill()
            fill_disk(path)
            with Server("--store", path, *ACKED, *KEEP_ALL, listens=0) as server:
                server.wait_stderr("store .*(is full|[Nn]o space left).*the server starts once")
                assert server.process.poll() is None
                os.remove(os.path.join(os.path.dirname(path), "ballast"))
                server.wait_until_listening(1)
                assert server.stderr.text().count("the server starts once") == 1


def test_start_that_waits_ends_when_asked_to():
    with a_store_on_a_disk_of("16m") as path:
        with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
            client.sendall(LINE)
            acks(client, 1, 1)
        fill_disk(path)
        with Server("--store", path, *ACKED, *KEEP_ALL, listens=0) as server:
            server.wait_stderr("the server starts once")
            server.begin_stop()
            assert server.wait() == 0
            assert "stopped" in server.stderr.text()


def test_first_start_on_a_full_disk_names_it():
    for size in "60k", "100k":
        with a_store_on_a_disk_of(size) as path:
            error = refuse("--store", path, *ACKED, status=1)
            assert re.search("is full|[Nn]o space left", error) and "rollback" not in error, error


def test_no_inodes_left_is_said_so():
    with a_store_on_a_disk_of("16m,nr_inodes=16") as path:
        with Server("--store", path, *ACKED):
            pass
        folder = os.path.dirname(path)
        number = 0
        with contextlib.suppress(OSError):
            while True:
                with open(os.path.join(folder, "f%d" % number), "xb"):
                    number += 1
        with Server("--store", path, *ACKED, listens=0) as server:
            server.wait_stderr("[Nn]o space left on device.*inodes")
            for name in range(number):
                os.remove(os.path.join(folder, "f%d" % name))
            server.wait_until_listening(1)
