# SPDX-License-Identifier: BSD-3-Clause
"""What the store deletes: by size, by age and for the disk's sake, while messages come and are acknowledged."""
import contextlib
import os
import re
import threading
import time

from harness import DEADLINE, FLAVOUR, Server, recv_exactly, wait_for
from test_store import ACKED, a_store, a_store_on_a_disk_of, acks, put_ballast, rows

MIB = 1024 * 1024
LINE = b"x" * 999 + b"\n"


def count(path):
    return rows(path, "SELECT count(*) FROM message")[0][0]


def ids(path):
    """Of the oldest and the newest message."""
    return rows(path, "SELECT min(id), max(id) FROM message")[0]


def size_of(path):
    """Of the database and its log."""
    total = 0
    for name in (path, path + "-wal"):
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(name).st_size
    return total


def eat(path, leaves=0):
    """Takes up what is free on its disk, as another program would."""
    folder = os.path.dirname(path)
    with open(os.path.join(folder, "eaten"), "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                space = os.statvfs(folder)
                if space.f_bavail * space.f_frsize <= leaves:
                    return
                file.write(bytes(16 * 1024))


class Sizes:
    """The largest size that a store has had, looked at all the time while the block runs."""

    def __init__(self, path):
        self.path = path
        self.largest = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self):
        while not self._ends.wait(0.002):
            self.largest = max(self.largest, size_of(self.path))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()


def send_acknowledged(client, content, first, count_):
    """Sends it so many times, and takes the acknowledgements meanwhile."""
    sender = threading.Thread(target=lambda: client.sendall(content * count_), daemon=True)
    sender.start()
    acks(client, first, count_)
    sender.join(DEADLINE)


def test_flood_keeps_to_its_bytes_and_what_is_newest_is_there():
    total = 30000 if FLAVOUR == "release" else 12000
    with a_store() as path:
        with Server("--store", path, *ACKED, "--keep-bytes", "8MiB") as server, server.connect() as client:
            server.wait_stderr(r"messages are stored in .*\nthe oldest are deleted, beyond 8\.0 MiB, "
                               r"when less than 5% of the disk is free")
            with Sizes(path) as sizes:
                send_acknowledged(client, LINE, 1, total)
            server.wait_stderr(r"^store .*it has reached 8\.0 MiB \(--keep-bytes\): the oldest are being deleted")
            assert server.stderr.text().count("being deleted") == 1, server.stderr.text()
        assert 6 * MIB < sizes.largest <= 8 * MIB, sizes.largest
        oldest, newest = ids(path)
        assert newest == total and count(path) == newest - oldest + 1
        assert 4 * MIB / 1000 < count(path) < 8 * MIB / 1000
        assert rows(path, "SELECT seq FROM message WHERE id = ?", newest) == [(total,)]
        assert rows(path, "SELECT last_message FROM connection") == [(newest,)]
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        assert re.search(r"deleted since the start: the oldest %s messages" % format(oldest - 1, ","),
                         server.stderr.text()), server.stderr.text()


def test_smaller_bound_at_the_next_start_gives_the_disk_back():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_acknowledged(client, LINE, 1, 12000)
        assert size_of(path) > 12 * MIB
        with Server("--store", path, *ACKED, "--keep-bytes", "4MiB") as server:
            wait_for(lambda: size_of(path) <= 4 * MIB, "a small file")
        oldest, newest = ids(path)
        assert newest == 12000 and count(path) == newest - oldest + 1 > 2000
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_messages_go_when_they_are_too_old_and_ids_go_on():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--keep-for", "1s") as server, server.connect() as client:
            server.wait_stderr("the oldest are deleted.*, after 1s")
            begun = time.monotonic()
            client.sendall(b"x\n" * 1000)
            acks(client, 1, 1000)
            wait_for(lambda: count(path) == 1, "the newest to be alone")
            assert time.monotonic() - begun >= 1
            server.wait_stderr(r"messages are older than 1s \(--keep-for\): the oldest are being deleted")
            server.kill()
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"y\n")
            acks(client, 1, 1)
        assert rows(path, "SELECT id, previous FROM message") == [(1000, 999), (1001, 0)]
        assert rows(path, "SELECT count(*) FROM connection WHERE id = 1") == [(1,)]  # nobody has closed it


def test_connections_that_are_over_go_with_their_messages():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--keep-for", "1s", "--workers", 1) as server, \
                server.connect() as lasting:
            lasting.sendall(b"first\n")
            acks(lasting, 1, 1)
            for _ in range(20):
                with server.connect() as client:
                    client.sendall(b"x\n")
                    acks(client, 1, 1)
            lasting.sendall(b"still here\n")
            acks(lasting, 2, 1)
            wait_for(lambda: rows(path, "SELECT id FROM connection") == [(1,)], "only one connection")
        assert rows(path, "SELECT count(*) FROM connection WHERE closed IS NULL") == [(0,)]


def test_disk_that_is_too_small_for_the_bound_is_told_at_the_start():
    with a_store_on_a_disk_of("20m") as path:
        with Server("--store", path, "--keep-bytes", "1GiB") as server:
            server.wait_stderr(r"beyond 1\.0 GiB, when less than 5% of the disk is free; the disk has 20 MiB, and when it "
                               "is full before that clients wait")
        with Server("--store", path, "--keep-bytes", "8MiB") as server:
            server.wait_stderr("when less than 5% of the disk is free$")


def fill_and_go_on(path, server, client):
    """Somebody else takes the whole disk; what comes then is acknowledged all the same."""
    send_acknowledged(client, LINE, 1, 4000)
    eat(path)
    send_acknowledged(client, LINE, 4001, 8000)
    server.wait_stderr(r"warning: store .*less than 5% of the disk is free \(--keep-free\): "
                       "the oldest are being deleted")


def expect_the_newest_of_12000(path):
    oldest, newest = ids(path)
    assert newest == 12000 and count(path) == newest - oldest + 1 >= 2000
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_full_disk_makes_room_for_what_is_new():
    """The oldest go, down to half, so that the newest have room."""
    with a_store_on_a_disk_of("16m") as path:
        with Server("--store", path, *ACKED, "--keep-bytes", "6MiB") as server, server.connect() as client:
            assert os.stat(path + ".reserve").st_size == 576 * 1024
            fill_and_go_on(path, server, client)
        expect_the_newest_of_12000(path)


def test_full_disk_makes_room_without_a_reserve():
    """What is in the log must find room in the database even then, or nothing could ever be deleted."""
    with a_store_on_a_disk_of("16m") as path:
        os.mkdir(path + ".reserve")  # so that none can be made
        with Server("--store", path, *ACKED, "--keep-bytes", "6MiB") as server, server.connect() as client:
            fill_and_go_on(path, server, client)
        expect_the_newest_of_12000(path)


def test_disk_that_others_fill_takes_half_and_says_so():
    with a_store_on_a_disk_of("32m") as path:
        with Server("--store", path, *ACKED, "--keep-bytes", "8MiB") as server, server.connect() as client:
            send_acknowledged(client, LINE, 1, 6500)
            told = re.compile(r"warning: store .*less than 5% of the disk is free .*"
                              r"keeps its newest 4\.0 MiB in any case")
            wait_for(lambda: eat(path, MIB) or told.search(server.stderr.text()), "the floor")
        oldest, newest = ids(path)
        assert newest - oldest + 1 == count(path) > 3000, (oldest, newest)


def test_no_room_for_a_reserve_is_no_error():
    with a_store_on_a_disk_of("1m") as path:
        with Server("--store", path, *ACKED, "--keep-bytes", "64MiB") as server, server.connect() as client:
            assert not os.path.exists(path + ".reserve")
            client.sendall(b"x\n")
            acks(client, 1, 1)
