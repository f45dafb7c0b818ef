# SPDX-License-Identifier: BSD-3-Clause
"""The store: what is in it, what is acknowledged and when, and what a kill, a full disk or a flipped bit does to it."""
import contextlib
import ctypes
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

from harness import DEADLINE, Server, connect, expect_eof, in_time, recv_all, recv_exactly, recv_until, reset, run_weir, \
    skip, wait_for, within

ACKED = ["--frame", "line", "--ack", "ok {seq}"]
KEEP_ALL = ["--keep-bytes", "off", "--keep-free", "off"]  # for disks so small that little could be kept


@contextlib.contextmanager
def a_store():
    """The path of a store that is not there yet, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="weir-store-") as folder:
        yield os.path.join(folder, "s.db")


def rows(path, sql, *values):
    """Of a store that is in use or not, as any other program reads it."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=DEADLINE)) as db:
        return db.execute(sql, values).fetchall()


def messages(path, connection=None):
    """(connection, seq, bytes) of what clients sent, in the store's order."""
    all_of_them = rows(path, "SELECT connection, seq, bytes FROM message WHERE direction = 0 ORDER BY id")
    return [row for row in all_of_them if connection in (None, row[0])]


def acks(client, first, count):
    """So many acknowledgements, without a gap."""
    expected = b"".join(b"ok %d\n" % seq for seq in range(first, first + count))
    assert recv_exactly(client, len(expected)) == expected


def refuse(*options, status=2):
    """The sentence with which a server does not start."""
    done, _, error = run_weir("serve", "--listen", "127.0.0.1:0", *options)
    assert done == status, (done, error)
    return error


# ---- What is kept ----

def test_what_comes_is_stored_in_order():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server:
            clients = [server.connect() for _ in range(3)]
            for seq in range(1, 51):
                for number, client in enumerate(clients):
                    client.sendall(b"%d of client %d\n" % (seq, number))
            for client in clients:
                acks(client, 1, 50)
                client.shutdown(socket.SHUT_WR)
                expect_eof(client)
                client.close()
        stored = messages(path)
        assert len(stored) == 150 and len({row[0] for row in stored}) == 3
        for connection in {row[0] for row in stored}:
            own = [row for row in stored if row[0] == connection]
            number = int(own[0][2].split()[-1])
            assert own == [(connection, seq, b"%d of client %d" % (seq, number)) for seq in range(1, 51)], own
        ends = rows(path, "SELECT reason, closed >= opened, listener, frame, last_message FROM connection")
        assert len(ends) == 3
        for reason, is_later, listener, frame, last in ends:
            assert (reason, is_later, frame) == ("peer closed", 1, "line") and listener == server.urls[0], ends
            assert rows(path, "SELECT seq FROM message WHERE id = ?", last) == [(50,)]
        chain = rows(path, "SELECT m.seq, p.seq, p.connection = m.connection FROM message m"
                           " LEFT JOIN message p ON p.id = m.previous")
        assert all((seq == 1 and before is None) or (before == seq - 1 and same) for seq, before, same in chain), chain


def test_close_is_stored_though_nothing_comes_after_it():
    with a_store() as path, Server("--store", path, *ACKED) as server:
        with server.connect() as client:
            client.sendall(b"x\n")
            acks(client, 1, 1)
        wait_for(lambda: rows(path, "SELECT reason FROM connection WHERE closed IS NOT NULL") == [("peer closed",)],
                 "the close in the store")


def test_recent_is_readable_while_it_runs():
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        client.sendall("grün\n".encode() + b"\x1b[2J\n" + b"\xff\x00\n" + b"tab\there\n")
        acks(client, 1, 4)
        shown = rows(path, "SELECT connection, direction, seq, len, bytes FROM recent")
        assert [row[2:] for row in shown] == [(4, 8, "tab\there"), (3, 2, "FF00"), (2, 4, "1B5B324A"), (1, 5, "grün")]
        assert all(row[1] == "in" for row in shown)
        for (time,) in rows(path, "SELECT time FROM recent"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time), time


def test_replies_are_stored_only_when_asked_for():
    for options, expected in ((), [("in", 1, "hello")]), \
            (["--store-replies"], [("in", 1, "hello"), ("out", 0, "HI"), ("out", 0, "ok 1")]):
        with a_store() as path:
            with Server("--store", path, *ACKED, "--reply", "text:HI", *options) as server, server.connect() as client:
                client.sendall(b"hello\n")
                assert recv_exactly(client, 8) == b"HI\nok 1\n"
            assert sorted(rows(path, "SELECT direction, seq, bytes FROM recent")) == expected


def test_two_listeners_and_their_own_acknowledgements():
    with a_store() as path:
        with Server("--store", path, "--listen", "127.0.0.1:0", "--frame", "line", "--ack", "a {seq}",
                    "--listen", "127.0.0.1:0", "--frame", "length:u16be", "--ack", "{seq:u32be}") as server, \
                connect(server.ports[0]) as lines, connect(server.ports[1]) as binary:
            lines.sendall(b"x\n")
            binary.sendall(b"\x00\x01y\x00\x02\x00\xff")
            assert recv_exactly(lines, 4) == b"a 1\n"
            assert recv_exactly(binary, 12) == b"\x00\x04\x00\x00\x00\x01\x00\x04\x00\x00\x00\x02"
        assert sorted(rows(path, "SELECT listener, frame FROM connection")) == \
            sorted(zip(server.urls, ("line", "length:u16be")))
        assert sorted(row[2] for row in messages(path)) == [b"\x00\xff", b"x", b"y"]


def test_many_connections_over_two_workers():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--workers", 2) as server:
            clients = [server.connect() for _ in range(200)]
            for client in clients:
                client.sendall(b"".join(b"line %d\n" % seq for seq in range(1, 21)))
            for client in clients:
                acks(client, 1, 20)
                client.close()
        stored = messages(path)
        assert len(stored) == 200 * 20 and len({row[0] for row in stored}) == 200
        next_of = {}
        for connection, seq, content in stored:
            assert seq == next_of.get(connection, 1) and content == b"line %d" % seq
            next_of[connection] = seq + 1


# ---- What is acknowledged ----

def test_acknowledged_after_a_half_close_and_not_what_has_no_end():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"x\n" * 1000 + b"no end")
            client.shutdown(socket.SHUT_WR)
            assert recv_all(client) == b"".join(b"ok %d\n" % seq for seq in range(1, 1001))
        assert rows(path, "SELECT seq, bytes, flags & 2 FROM message ORDER BY id DESC LIMIT 2") == \
            [(1001, b"no end", 2), (1000, b"x", 0)]


def test_what_was_read_is_acknowledged_in_a_drain():
    """Each acknowledgement has its message in the store, each message its acknowledgement."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server:
            clients = [server.connect() for _ in range(10)]
            for client in clients:
                client.sendall(b"first\n")
                acks(client, 1, 1)
            for client in clients:
                client.sendall(b"x\n" * 5000)
            server.begin_stop()
            counts = []
            for client in clients:
                received = b"ok 1\n" + read_to_the_end(client)
                counts.append(received.count(b"\n"))
                assert received == b"".join(b"ok %d\n" % seq for seq in range(1, counts[-1] + 1))
                client.close()
            assert server.wait() == 0
        stored = rows(path, "SELECT max(seq) FROM message GROUP BY connection")
        assert sorted(counts) == sorted(row[0] for row in stored)
        assert rows(path, "SELECT count(*) FROM connection WHERE closed IS NULL") == [(0,)]


def test_what_clients_that_have_gone_sent_need_not_be_looked_through_again():
    """Readers and the next start look at each message behind `heads_until` for those that it is the newest of."""
    with a_store() as path, Server("--store", path, *ACKED) as server:
        with server.connect() as client:
            client.sendall(b"x\n")
            acks(client, 1, 1)
            client.sendall(b"x\n" * 99)
            acks(client, 2, 99)
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as store:
            wait_for(lambda: store.execute("SELECT value FROM meta WHERE key = 'heads_until'").fetchall() == [(100,)],
                     "the heads")


def test_acknowledged_when_received():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--ack-when", "received") as server, server.connect() as client:
            client.sendall(b"x\n" * 3000)
            acks(client, 1, 3000)
        assert len(messages(path)) == 3000


def test_acknowledged_when_received_and_not_stored_is_said_so():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--ack-when", "received", "--drain-timeout", "1s") as server, \
                server.connect() as client, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            client.sendall(b"x\n")
            acks(client, 1, 1)
            server.wait_stderr("nothing is read or acknowledged until it works")
            client.sendall(b"y\n")
            assert server.stop() == 1
            assert not read_to_the_end(client), "it is read meanwhile"
            server.wait_stderr(r"\d+ records? could not be stored; messages among them may have been acknowledged, with "
                               "--ack-when received")


def test_fields_of_an_acknowledgement():
    with a_store() as path, Server("--store", path, "--frame", "line", "--ack", "{{{seq} {id} {conn} {len} {crc32} {time}}}") \
            as server, server.connect() as client:
        client.sendall(b"123456789\n")
        answer = recv_until(client, b"\n").decode()
        match = re.fullmatch(r"\{1 (\d+) (\d+) 9 cbf43926 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\}\n", answer)
        assert match, answer
        assert rows(path, "SELECT id, connection FROM message") == [(int(match[1]), int(match[2]))]


def test_what_cannot_be_is_refused_at_the_start():
    with a_store() as path:
        assert "nothing is on disk" in refuse("--frame", "line", "--ack", "ok")
        assert "nothing is on disk" in refuse("--store", "none", "--frame", "line", "--ack", "ok")
        assert "not a message" in refuse("--store", path, "--ack", "ok")
        assert "{seq}" in refuse("--store", path, "--frame", "line", "--ack", "{number}")
        assert "{id}" in refuse("--store", path, "--frame", "line", "--ack", "{id}", "--ack-when", "received")
        never = ["--frame", "line", "--ack", "ok\\n{seq}"]
        assert "it would not arrive as one message" in refuse("--store", path, *never)
        assert "a message of more than 999000000 bytes" in refuse("--store", path, "--max-frame", "1GiB")
        status, _, error = run_weir("check", "--store", path, *never)
        assert status == 2 and "it would not arrive as one message" in error, (status, error)
        assert not os.path.exists(path)


def test_raw_is_acknowledged_when_it_is_written_out():
    with a_store() as path, Server("--store", path, "--frame", "raw", "--ack", "ok\n") as server, \
            server.connect() as client:
        client.sendall(b"x")
        assert recv_exactly(client, 3) == b"ok\n"


# ---- From one run to the next ----

def test_numbers_of_connections_go_on():
    with a_store() as path:
        numbers = []
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            with Server("--store", path, *ACKED) as server:
                for _ in range(3):
                    with server.connect() as client:
                        client.sendall(b"x\n")
                        acks(client, 1, 1)
                server.stop(number)
            numbers = [row[0] for row in rows(path, "SELECT connection FROM message ORDER BY id")]
            assert len(set(numbers)) == len(numbers)
        assert len(numbers) == 9
        assert max(numbers[:3]) < min(numbers[3:6]) and max(numbers[3:6]) < min(numbers[6:]), numbers


# ---- Rows ----

def storm(port, count):
    """Health checks: each connects and ends, every other one by a reset, without a byte."""
    for number in range(count):
        client = connect(port)
        if number % 2:
            reset(client)
        else:
            client.close()


def connections(path, columns="id"):
    return rows(path, "SELECT %s FROM connection ORDER BY id" % columns)


def test_health_checks_leave_no_row():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--print", "json") as server:
            storm(server.port, 200)
            with server.connect() as client:
                client.sendall(b"x\n")
                acks(client, 1, 1)
                wait_for(lambda: len(server.events("close")) == 200, "the ends of all checks")
                number = messages(path)[0][0]
                assert connections(path, "id, closed") == [(number, None)], "who is connected now"
                assert len({event["conn"] for event in server.events("open")}) == 201
        assert [row[0] for row in connections(path, "closed IS NULL")] == [0]


def test_row_comes_with_a_byte_in_either_direction():
    """At the end at the latest, whether bytes were a message, or only begun one; nothing that is sent need be stored."""
    for sent, answer in ((b"x\n", b"hi\n"), (b"half", b"")):
        with a_store() as path:
            with Server("--store", path, "--frame", "line", "--reply", "text:hi", "--too-long", "skip") as server:
                with server.connect() as client:
                    client.sendall(sent)
                    assert recv_exactly(client, len(answer)) == answer
                wait_for(lambda: connections(path, "closed IS NULL, reason") == [(0, "peer closed")], "the row")
    with a_store() as path:
        with Server("--store", path, "--frame", "length:u16be", "--frame-timeout", "off") as server:
            with server.connect() as client:
                client.sendall(b"\x00")
            wait_for(lambda: connections(path, "closed IS NULL") == [(0,)], "the row of half a length")
        assert messages(path) == []


@in_time
def test_row_of_half_a_message_comes_while_it_is_not_ended():
    with a_store() as path, Server("--store", path, *ACKED, "--frame-timeout", "off") as server, server.connect() as client:
        with within(8):  # after 10 s there would be one in any case
            client.sendall(b"half")
            wait_for(lambda: connections(path, "closed") == [(None,)], "the row")
        client.sendall(b" and half\n")
        acks(client, 1, 1)
        assert len(connections(path)) == 1


def test_silent_client_has_a_row_after_ten_seconds():
    with a_store() as path, Server("--store", path, *ACKED) as server:
        begun, begun_us = time.monotonic(), time.time_ns() // 1000
        with server.connect() as one, server.connect(), server.connect() as three:
            connected_us = time.time_ns() // 1000
            wait_for(lambda: len(connections(path)) == 3, "three rows", deadline=DEADLINE + 12)
            assert time.monotonic() - begun >= 10
            opened = [row[0] for row in connections(path, "opened")]
            assert all(begun_us - 1000000 < when < connected_us + 5000000 for when in opened), (begun_us, opened)
            assert [row[0] for row in connections(path, "closed")] == [None] * 3
            one.sendall(b"x\n")
            acks(one, 1, 1)
            reset(three)
            wait_for(lambda: ("reset by peer",) in connections(path, "reason"), "its end")
            assert len(connections(path)) == 3


def test_row_of_what_is_typed_or_acknowledged_when_received():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--ack-when", "received", "--store-replies") as server, server.connect() as client:
            client.sendall(b"x\n")
            acks(client, 1, 1)
        assert rows(path, "SELECT count(*) FROM message m LEFT JOIN connection c ON c.id = m.connection WHERE c.id IS NULL"
                          " OR c.opened > m.time") == [(0,)]
        assert len(connections(path)) == 1 and rows(path, "SELECT count(*) FROM message") == [(2,)]


def test_connections_of_a_killed_server_are_closed_by_the_next():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--frame-timeout", "off") as server:
            with server.connect() as gone, server.connect() as spoke, server.connect() as half, server.connect():
                gone.sendall(b"x\n")
                acks(gone, 1, 1)
                gone.close()
                spoke.sendall(b"x\nx\n")
                acks(spoke, 1, 2)
                half.sendall(b"half")
                wait_for(lambda: sorted(connections(path, "closed IS NULL")) == [(0,), (1,), (1,)], "three rows")
                server.kill()
        assert len(connections(path)) == 3
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"x\n")
            acks(client, 1, 1)
            assert rows(path, "SELECT count(*) FROM connection WHERE closed IS NULL") == [(1,)], "who is connected now"
            killed = rows(path, "SELECT last_message, closed, opened FROM connection WHERE reason = 'killed'"
                                " ORDER BY last_message DESC")
            assert len(killed) == 2 and killed[1][0] == 0 and killed[1][1] == killed[1][2], killed
            assert rows(path, "SELECT time FROM message WHERE id = ?", killed[0][0]) == [(killed[0][1],)]
            server.kill()
        with Server("--store", path):
            pass
        assert rows(path, "SELECT reason, count(*) FROM connection GROUP BY reason ORDER BY reason") == \
            [("killed", 3), ("peer closed", 1)]


def test_no_number_comes_again_after_kills_in_storms():
    """Of connections that left no row, too: what was told of them has their numbers."""
    with a_store() as path:
        told, highest = set(), 0
        for run in range(4):
            with Server("--store", path, "--frame", "line", "--ack", "{conn}", "--print", "json") as server:
                storms = [threading.Thread(target=storm_until_the_end, args=(server.port,)) for _ in range(4)]
                for thread in storms:
                    thread.start()
                for _ in range(3):
                    with server.connect() as client:
                        client.sendall(b"x\n")
                        told_now = int(recv_until(client, b"\n"))
                        assert told_now > highest
                wait_for(lambda: len(server.events("open")) > 500 + 6000 * (run == 1), "a storm", deadline=3 * DEADLINE)
                server.kill() if run < 3 else server.stop()
                for thread in storms:
                    thread.join()
            numbers = [event["conn"] for event in server.events("open")]
            assert len(set(numbers)) == len(numbers) and not told & set(numbers)
            assert min(numbers) > highest, (min(numbers), highest)
            told |= set(numbers)
            highest = max(numbers)
        assert len(connections(path)) == 12
        with Server("--store", path, "--frame", "line", "--ack", "{conn}") as server, server.connect() as client:
            client.sendall(b"x\n")
            number = int(recv_until(client, b"\n"))
            assert highest < number <= highest + 100, "a stop leaves no gap that a kill would"


def storm_until_the_end(port):
    with contextlib.suppress(OSError):
        while True:
            storm(port, 50)


def test_accepting_waits_for_numbers_that_cannot_be_taken():
    """None is given that is not on disk, however long the store fails."""
    with a_store() as path:
        with Server("--store", path, "--frame", "line", "--ack", "{conn}", "--print", "json") as server, \
                contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            limit = other.execute("SELECT value FROM meta WHERE key = 'numbers_taken'").fetchall()[0][0]
            storms = [threading.Thread(target=storm_until_the_end, args=(server.port,)) for _ in range(4)]
            for thread in storms:
                thread.start()
            server.wait_stderr("accepting pauses until more ids may be given", deadline=5 * DEADLINE)
            numbers = [event["conn"] for event in server.events("open")]
            assert limit - 300 < max(numbers) < limit
            other.execute("ROLLBACK")
            wait_for(lambda: max(event["conn"] for event in server.events("open")) > limit, "more", deadline=3 * DEADLINE)
            server.kill()
            for thread in storms:
                thread.join()
        highest = max(event["conn"] for event in server.events("open"))
        with Server("--store", path, "--frame", "line", "--ack", "{conn}") as server, server.connect() as client:
            client.sendall(b"x\n")
            assert int(recv_until(client, b"\n")) > highest


def read_to_the_end(client):
    """What has come, whether it ends well or not."""
    received = b""
    while True:
        try:
            chunk = client.recv(65536)
        except ConnectionResetError:
            return received
        if not chunk:
            return received
        received += chunk


def kill_with_messages_in_flight(path, run):
    """Returns (connection, acknowledged) of each client of a server that was killed."""
    with Server("--store", path, "--frame", "line", "--ack", "{conn} {seq}") as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.sendall(b"".join(b"run %d message %d\n" % (run, seq) for seq in range(1, 4001)))
        received = [recv_exactly(clients[0], 1 + 3000 * run), b"", b""]
        server.kill()
        counts = []
        for client, begun in zip(clients, received):
            lines = (begun + read_to_the_end(client)).split(b"\n")[:-1]
            connection = int(lines[0].split()[0]) if lines else 0
            assert lines == [b"%d %d" % (connection, seq) for seq in range(1, len(lines) + 1)]
            counts.append((connection, len(lines)))
            client.close()
    return counts


def test_all_that_was_acknowledged_survives_a_kill():
    with a_store() as path:
        for run in range(5):
            counts = kill_with_messages_in_flight(path, run)
            assert counts[0][1] > 0
            with Server("--store", path, *ACKED):
                pass
            for connection, count in counts:
                stored = messages(path, connection)
                assert len(stored) >= count, "of %d acknowledged messages %d are there" % (count, len(stored))
                assert stored == [(connection, seq, b"run %d message %d" % (run, seq))
                                  for seq in range(1, len(stored) + 1)]
                if stored:  # the chain was made good by the start after the kill
                    assert rows(path, "SELECT m.seq FROM connection c JOIN message m ON m.id = c.last_message"
                                      " WHERE c.id = ?", connection) == [(len(stored),)]


def test_second_server_is_refused_and_told_why():
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        error = refuse("--store", path, status=1)
        assert "in use by process %d" % server.pid in error, error
        client.sendall(b"x\n")
        acks(client, 1, 1)


def test_small_queue_makes_clients_wait_and_loses_nothing():
    """Over and over the queue is full, one worker stops the input and another lets it go on."""
    with a_store() as path:
        with Server("--store", path, *ACKED, "--workers", 2, "--store-queue", "1MiB") as server:
            clients = [server.connect() for _ in range(20)]
            for client in clients:
                client.sendall((b"x" * 199 + b"\n") * 6000)
            for client in clients:
                acks(client, 1, 6000)
                client.close()
        assert rows(path, "SELECT count(*), max(seq) FROM message") == [(20 * 6000, 6000)]


# ---- Without a word about it ----

DEFAULT = {"WEIR_STORE": None}  # as if the tests had not said that nothing is stored


@contextlib.contextmanager
def a_home():
    with tempfile.TemporaryDirectory(prefix="weir-home-") as folder:
        yield folder


def stored_in(server):
    return server.wait_stderr(r"^messages are stored in (/[^;\r\n]*)")[1]


def mode_of(path):
    return os.stat(path).st_mode & 0o7777


def send_and_stop(server, *lines):
    with server.connect() as client:
        client.sendall(b"".join(line + b"\n" for line in lines))
        client.shutdown(socket.SHUT_WR)
        expect_eof(client)
    assert server.stop() == 0


def test_messages_are_stored_without_a_word_about_it():
    """In the state folder, named after the port, readable by nobody else; STATE_DIRECTORY is systemd's word for it."""
    with a_home() as home:
        os.mkdir(home + "/service", 0o755)
        for variables, folder in (({"XDG_STATE_HOME": None, "HOME": home}, home + "/.local/state/weir"),
                                  ({"XDG_STATE_HOME": home + "/a/b", "HOME": home}, home + "/a/b/weir"),
                                  ({"STATE_DIRECTORY": home + "/service:/nowhere"}, home + "/service")):
            with Server("--frame", "line", env={**DEFAULT, **variables}, wrap=["sh", "-c", 'umask 0; exec "$@"', "sh"]) \
                    as server:
                path = stored_in(server)
                assert path == "%s/%d.db" % (folder, server.port)
                assert {mode_of(path + end) for end in ("", "-wal", "-shm", ".lock")} == {0o600}
                assert mode_of(folder) == (0o755 if folder.endswith("service") else 0o700)
                send_and_stop(server, b"hello")
            assert messages(path) == [(1, 1, b"hello")]


def test_two_servers_side_by_side_have_a_store_each():
    with a_home() as home:
        env = {**DEFAULT, "XDG_STATE_HOME": home}
        with Server("--frame", "line", env=env) as one, Server("--frame", "line", env=env) as two:
            paths = [stored_in(one), stored_in(two)]
            send_and_stop(one, b"to one")
            send_and_stop(two, b"to two", b"and two")
        assert [[row[2] for row in messages(path)] for path in paths] == [[b"to one"], [b"to two", b"and two"]]
        assert paths == ["%s/weir/%d.db" % (home, server.port) for server in (one, two)]


def test_second_server_on_a_port_has_to_name_a_store():
    """The same port on another address: the store is the first one's, which goes on."""
    with a_home() as home:
        env = {**DEFAULT, "XDG_STATE_HOME": home}
        with Server("--frame", "line", env=env) as server:
            path = stored_in(server)
            other = "127.0.0.2:%d" % server.port
            status, _, error = run_weir("serve", other, env=env)
            assert status == 1 and "store %s: in use by process %d; name another with --store" % (path, server.pid) in error
            with Server("--listen", other, "--store", home + "/other.db", env=env) as second:
                assert stored_in(second) == home + "/other.db"
            send_and_stop(server, b"still here")
        assert messages(path) == [(1, 1, b"still here")]


def test_store_of_a_unix_socket_is_named_after_its_file():
    with a_home() as home, Server("--listen", "unix:%s/device.sock" % home, "--listen", "127.0.0.1:0",
                                  env={**DEFAULT, "XDG_STATE_HOME": home}) as server:
        assert stored_in(server) == home + "/weir/device.sock.db"


def test_nothing_is_stored_when_that_is_asked_for():
    with a_home() as home, tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write("store: none\n")
        config.flush()
        for options, variables in ((["--store", "none"], DEFAULT), ([], {"WEIR_STORE": "none"}),
                                   (["--config", config.name], DEFAULT)):
            with Server(*options, "--frame", "line", env={**variables, "XDG_STATE_HOME": home, "HOME": home}) as server:
                send_and_stop(server, b"hello")
                assert "stored" not in server.stderr.text()
            assert os.listdir(home) == []


def test_store_is_named_by_the_environment_or_the_configuration():
    with a_home() as home:
        for number, where in enumerate(("environment", "file")):
            path = "%s/named-%d/s.db" % (home, number)
            os.mkdir(os.path.dirname(path))
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
                config.write("store: %s\n" % (path if where == "file" else home + "/outweighed.db"))
                config.flush()
                env = {"WEIR_STORE": path if where == "environment" else None, "XDG_STATE_HOME": home}
                with Server("--config", config.name, "--frame", "line", env=env) as server:
                    assert stored_in(server) == path
                    send_and_stop(server, b"hello")
            assert messages(path) == [(1, 1, b"hello")]
        assert not os.path.exists(home + "/outweighed.db")


def test_folder_of_a_named_store_is_not_made():
    """In place of a volume that is not mounted, or of a name that is wrong, a store would begin on another disk."""
    with a_home() as home, tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        folder = home + "/volume/weir"
        path = folder + "/s.db"
        config.write("store: %s\n" % path)
        config.flush()
        for options, variables in (["--store", path], {}), ([], {"WEIR_STORE": path}), (["--config", config.name], DEFAULT), \
                (["--store", "volume/weir/s.db"], {}), (["--store", "./volume/weir/s.db"], {}):
            status, _, error = run_weir("serve", "127.0.0.1:0", *options, env=variables, cwd=home)
            assert status == 1 and "folder %s: it is not there, and it is not made" % folder in error, (status, error)
            assert "mount" in error and "mkdir -p %s\n" % folder in error, error
        for words in ["check"], ["check", "--accept-loss"], ["log"], ["verify", "--check", "--ledger", path + ".ledger"]:
            status, _, error = run_weir(*words, "--store", path, env=DEFAULT)
            assert status == 1 and "store %s: " % path in error, (words, status, error)
        status, _, error = run_weir("verify", "--ledger", path, "-n", "1", "1")
        assert status == 1 and path in error, (status, error)
        status, _, error = run_weir("serve", "unix:%s/socket" % folder)
        assert status == 1 and folder in error, (status, error)
        assert os.listdir(home) == []
        os.makedirs(folder)
        with Server("--store", path):
            pass
        os.symlink(home + "/elsewhere", home + "/link")
        status, _, error = run_weir("serve", "127.0.0.1:0", "--store", home + "/link/s.db")
        assert status == 1 and "folder %s/link: it is a link" % home in error and "readlink -m %s/link" % home in error, error
        assert sorted(os.listdir(home)) == ["link", "volume"]


def test_folder_that_systemd_names_is_made_as_any_default_place():
    with a_home() as home:
        env = {**DEFAULT, "STATE_DIRECTORY": home + "/state", "XDG_STATE_HOME": home + "/other"}
        with Server(env=env) as server:
            assert stored_in(server) == "%s/state/%d.db" % (home, server.port) and mode_of(home + "/state") == 0o700
        assert os.listdir(home) == ["state"]


def test_named_store_is_told_by_its_absolute_path():
    with a_home() as home, tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        home = os.path.realpath(home)
        path = home + "/s.db"
        config.write("store: s.db\n")
        config.flush()
        for options, variables in (["--store", "s.db"], {}), (["--store", "./s.db"], {}), ([], {"WEIR_STORE": "s.db"}), \
                (["--config", config.name], DEFAULT):
            with Server(*options, env=variables, cwd=home) as server:
                assert stored_in(server) == path
                status, _, error = run_weir("serve", "127.0.0.1:0", *options, env=variables, cwd=home)
                assert status == 1 and "store %s: in use" % path in error, (status, error)
            status, shown, error = run_weir("check", *options, "127.0.0.1:0", env=variables, cwd=home)
            assert status == 0 and re.search(r"(?m)^server +store +\S+ +%s$" % re.escape(path), shown), (shown, error)
        with open(home + "/broken", "w", encoding="ascii") as file:
            file.write("no store")
        for words in ["serve", "127.0.0.1:0"], ["check"], ["log"], ["verify", "--check", "--ledger", "none"]:
            for name, whole in ("broken", home + "/broken"), ("missing/s.db", home + "/missing"):
                status, _, error = run_weir(*words, "--store", name, env=DEFAULT, cwd=home)
                assert status == 1 and whole in error, (words, name, status, error)
        os.symlink("s.db", home + "/link.db")
        with Server("--store", "link.db", cwd=home) as server:
            assert stored_in(server) == path


def test_without_a_place_for_it_the_server_does_not_start():
    """And says how to do without."""
    with a_home() as home:
        env = {**DEFAULT, "XDG_STATE_HOME": None, "HOME": None}
        for command in ("serve", "check"):
            status, _, error = run_weir(command, "127.0.0.1:0", env=env)
            assert status == 1 and "no place for the store: HOME is not set" in error, (status, error)
            status, _, error = run_weir(command, "127.0.0.1:0", env={**env, "HOME": "some/home"})
            assert status == 1 and "HOME is some/home, which is no absolute path" in error, (status, error)
        with Server("--store", "none", env=env):
            pass
        with open(home + "/file", "w", encoding="ascii"):
            pass
        status, _, error = run_weir("serve", "127.0.0.1:0", env={**DEFAULT, "XDG_STATE_HOME": home + "/file"})
        assert status == 1 and "folder %s/file/weir: " % home in error, (status, error)
        assert "or do without: --store none" in error, error


def test_check_says_where_messages_would_be_stored():
    def checked(*options, **variables):
        status, stdout, stderr = run_weir("check", *options, env={"XDG_STATE_HOME": "/state", "WEIR_STORE": None, **variables})
        assert (status, stderr) == (0, ""), (status, stderr)
        return re.search(r"(?m)^server +store +(\S+) +(.*)$", stdout).groups()
    assert checked() == ("default", "/state/weir/8000.db")
    assert checked(":5023", "unix:/run/x.sock") == ("default", "/state/weir/5023.db")
    assert checked("unix:/run/x.sock", ":5023") == ("default", "/state/weir/x.sock.db")
    assert checked("127.0.0.1:0") == checked("fd:77") == ("default", "/state/weir/PORT.db")
    assert checked(STATE_DIRECTORY="/var/lib/weir") == ("default", "/var/lib/weir/8000.db")
    assert checked("--store", "auto") == ("command-line", "/state/weir/8000.db")
    assert checked("--store", "/x/y.db", "8000") == ("command-line", "/x/y.db")
    assert checked("--store", "none") == ("command-line", "none")
    assert checked(WEIR_STORE="none") == ("WEIR_STORE", "none")
    assert not os.path.exists("/state")


# ---- When the store fails ----

@contextlib.contextmanager
def a_store_on_a_disk_of(size):
    """On a file system of that size, seen by this test and its children alone; it goes with them."""
    new_mounts = 0x20000  # CLONE_NEWNS (sched.h)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_mounts):
        skip("no mounts of its own are to be had here: " + os.strerror(ctypes.get_errno()))
    with a_store() as path:
        folder = os.path.dirname(path)
        for words in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "size=" + size, "tmpfs", folder]):
            done = subprocess.run(["mount"] + words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  check=False)
            if done.returncode != 0:
                skip("nothing can be mounted here: " + done.stderr.strip())
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", folder], stdin=subprocess.DEVNULL, check=True)


def put_ballast(path, size):
    """Takes up so many bytes of the disk; returns the file, whose end makes room."""
    name = os.path.join(os.path.dirname(path), "ballast")
    with open(name, "wb") as file:
        file.write(bytes(size))
    return name


def fill_output(client, content, most):
    """Sends until the peer takes no more, or most bytes. Returns the bytes sent."""
    client.setblocking(False)
    sent = 0
    while sent < most:
        try:
            sent += client.send(content[sent % len(content):])
        except BlockingIOError:
            if not select.select([], [client], [], 1)[1]:
                break
    client.settimeout(DEADLINE)
    return sent


def test_full_disk_stops_the_reading_until_there_is_room():
    line = b"x" * 1023 + b"\n"
    with a_store_on_a_disk_of("1m") as path:
        ballast = put_ballast(path, 600 * 1024)
        with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client, server.connect() as other:
            other.sendall(b"before\n")
            acks(other, 1, 1)
            client.sendall(line * 300)
            server.wait_stderr(r"error: .*%s.*full.*nothing is read or acknowledged" % re.escape(path))
            sent = 300 * len(line) + fill_output(client, line, 32 * 1024 * 1024)
            assert sent < 32 * 1024 * 1024, "it goes on reading"
            stored = len(messages(path)) - 1
            acks(client, 1, stored)
            assert stored < 300 and not select.select([client], [], [], 0)[0], "acknowledged and not stored"
            assert server.stderr.text().count("nothing is read or acknowledged") == 1, server.stderr.text()

            subprocess.run(["mount", "-o", "remount,size=256m", os.path.dirname(path)], stdin=subprocess.DEVNULL,
                           check=True)
            os.remove(ballast)
            server.wait_stderr("works again")
            acks(client, stored + 1, sent // len(line) - stored)
            other.sendall(b"after\n")
            acks(other, 2, 1)


def test_full_disk_in_a_quiet_hour_ends_by_itself():
    """Moving the log to the database is what fails, when no message waits that would have it tried again."""
    with a_store_on_a_disk_of("4m") as path:
        ballast = put_ballast(path, 2400 * 1024)
        with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
            client.sendall((b"x" * 1023 + b"\n") * 1150)
            server.wait_stderr(r"error: .*full.*nothing is read or acknowledged")
            os.remove(ballast)  # by now all is acknowledged, unless the machine is slow and some is not read yet
            server.wait_stderr("works again")
            acks(client, 1, 1150)
            client.sendall(b"after\n")
            acks(client, 1151, 1)


def test_start_on_a_full_disk_leaves_the_closing_of_a_killed_run_to_the_next():
    """It is no reason not to start: deleting may be what makes room."""
    left_open = "SELECT count(*) FROM connection WHERE closed IS NULL"
    with a_store_on_a_disk_of("24m") as path:
        with Server("--store", path, *KEEP_ALL):
            pass
        with contextlib.closing(sqlite3.connect(path)) as store, store:  # in the database, with a log that is empty
            store.executemany("INSERT INTO connection (id, listener, frame, peer, opened) VALUES (?, 'l', 'line', ?, 1)",
                              ((number, "p" * 80) for number in range(1, 5001)))
        disk = os.statvfs(os.path.dirname(path))
        ballast = put_ballast(path, disk.f_bavail * disk.f_frsize - 96 * 1024)
        for _ in range(2):
            with Server("--store", path, *KEEP_ALL):
                assert rows(path, left_open) == [(5000,)]
        os.remove(ballast)
        with Server("--store", path, *KEEP_ALL):
            assert rows(path, left_open) == [(0,)]


def test_disk_that_stays_full_is_told_at_the_end():
    with a_store_on_a_disk_of("1m") as path:
        with Server("--store", path, *ACKED, *KEEP_ALL, "--drain-timeout", "1s") as server, server.connect() as client:
            client.sendall((b"x" * 1023 + b"\n") * 2000)
            server.wait_stderr("nothing is read or acknowledged")
            assert server.stop() == 1
            server.wait_stderr(r"\d+ records could not be stored; none was acknowledged")
            acknowledged = read_to_the_end(client).count(b"\n")
        assert acknowledged <= len(messages(path))


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def flip_bit(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_flipped_bit_in_the_log_is_noticed_and_nothing_is_changed():
    with a_store() as path:
        copy = os.path.join(os.path.dirname(path), "copy.db")
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            for seq in range(1, 101):
                client.sendall(b"message %d\n" % seq)
                acks(client, seq, 1)
            server.kill()
        length = os.path.getsize(path + "-wal")
        for offset, words in (length // 2, r"byte \d+: behind it lie \d+ commits"), (17, r"byte 0: behind it lie (\d+ )?commits"):
            for end in ("", "-wal"):
                shutil.copy(path + end, copy + end)
            flip_bit(copy + "-wal", offset)
            before = [content_of(copy + end) for end in ("", "-wal")]
            error = refuse("--store", copy, *ACKED, status=1)
            assert re.search("its log is damaged at " + words, error), error
            assert [content_of(copy + end) for end in ("", "-wal")] == before
        with Server("--store", path, *ACKED):  # and the one that is whole is taken
            pass
        assert len(messages(path)) == 100
