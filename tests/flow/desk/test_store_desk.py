# SPDX-License-Identifier: BSD-3-Clause
"""What is typed at `weir serve` is stored as sent by somebody: once it is on its way, and nothing that is not."""
import os
import select
import subprocess

from harness import connect, recv_exactly, recv_until, reset, wait_for
from test_desk import TIME, Desk, write_file
from test_store import KEEP_ALL, a_store, a_store_on_a_disk_of, put_ballast, rows


def kept(path, *connections):
    """(direction, seq, bytes) of the messages in the store, in its order; of those connections, or of all."""
    found = rows(path, "SELECT connection, direction, seq, flags & 8, bytes FROM message ORDER BY id")
    assert not [row for row in found if row[3]], "what somebody typed is marked as an answer of the program's"
    return [(row[1], row[2], row[4]) for row in found if not connections or row[0] in connections]


def test_typed_messages_are_stored_between_those_that_came():
    with a_store() as path:
        with Desk("--store", path, "--frame", "line", "--reply", "text:answer", columns=120) as desk, \
                desk.client(1) as client:
            client.sendall(b"one\n")
            assert recv_until(client, b"\n") == b"answer\n"
            for line, message in (("hello \u4f60\u597d", "hello \u4f60\u597d".encode()), ("/hex 00 ff", b"\0\xff"),
                                  ("/repeat 3 1ms again", b"again"), ("/all to all", b"to all")):
                desk.enter(line)
                for _ in range(3 if message == b"again" else 1):
                    assert recv_until(client, b"\n") == message + b"\n"
            client.sendall(b"two\n")
            assert recv_until(client, b"\n") == b"answer\n"
        assert kept(path, 1) == [(0, 1, b"one"), (1, 0, "hello \u4f60\u597d".encode()), (1, 0, b"\0\xff"),
                                 (1, 0, b"again"), (1, 0, b"again"), (1, 0, b"again"), (1, 0, b"to all"), (0, 2, b"two")]
        assert rows(path, "SELECT direction, bytes FROM recent ORDER BY id LIMIT 3") == \
            [("in", "one"), ("out", "hello \u4f60\u597d"), ("out", "00FF")]


def test_what_was_not_sent_is_not_stored():
    """Because the framing cannot carry it, or nobody is there."""
    with a_store() as path:
        with Desk("--store", path, "--listen", "127.0.0.1:0", "--frame", "length:u8",
                  "--listen", "127.0.0.1:0", "--frame", "line", columns=120) as desk, connect(desk.ports[0]) as short:
            desk.wait_prompt("#1>")
            with connect(desk.ports[1]) as lines:
                wait_for(lambda: any(" #2 " in row for row in desk.rows()), "the second client")
                desk.enter("/hex " + "41" * 256)
                desk.wait_row("#1: too long for one message of its framing; nothing was sent")
                desk.enter("/all " + "B" * 256)
                assert recv_until(lines, b"\n") == b"B" * 256 + b"\n"
                desk.wait_row(r".*\(1 of 2 clients\)")
                reset(lines)
            desk.wait_row(TIME + "#2 .*reset by peer.*")
            desk.enter("/all C")
            assert recv_exactly(short, 2) == b"\1C"
        assert kept(path, 1) == [(1, 0, b"C")]
        assert kept(path, 2) == [(1, 0, b"B" * 256)]


def test_all_is_stored_once_for_each_client_of_each_worker():
    with a_store() as path:
        with Desk("--store", path, "--frame", "line", "--workers", 2) as desk:
            clients = [desk.client(number) for number in range(1, 6)]
            desk.enter("/all hello")
            for client in clients:
                assert recv_until(client, b"\n") == b"hello\n"
            desk.wait_row(TIME + r"all < hello \(5 clients\)")
            for client in clients:
                client.close()
        assert rows(path, "SELECT connection, direction, bytes FROM message ORDER BY connection") == \
            [(number, 1, b"hello") for number in range(1, 6)]


def test_file_is_stored_as_it_was_sent():
    """As one message where there are messages, else in the parts in which it left."""
    data = os.urandom(300000)
    for options, parts in (["--frame", "length:u32be"], 1), ([], 5):
        with a_store() as path:
            with Desk("--store", path, *options, columns=120) as desk, desk.client(1) as client:
                write_file(desk, "reading.bin", data)
                desk.enter("/file reading.bin")
                assert recv_exactly(client, len(data) + (4 if options else 0))[-len(data):] == data
                desk.wait_row(TIME + r"#1 < \(reading\.bin, 300,000 bytes\)")
            assert len(kept(path)) == parts and b"".join(row[2] for row in kept(path)) == data


def make_room(path, ballast):
    subprocess.run(["mount", "-o", "remount,size=64m", os.path.dirname(path)], stdin=subprocess.DEVNULL, check=True)
    os.remove(ballast)


def test_raw_file_waits_while_the_store_is_behind():
    """It is not held in memory for a disk that is full, and goes on when there is room."""
    data = os.urandom(1024) * 8 * 1024
    with a_store_on_a_disk_of("1m") as path:
        ballast = put_ballast(path, 600 * 1024)
        with Desk("--store", path, *KEEP_ALL, "--store-queue", "1MiB", columns=200) as desk, desk.client(1) as client:
            write_file(desk, "large.bin", data)
            desk.enter("/file large.bin")
            desk.wait_stdout("nothing is read or acknowledged")
            received = b""
            while select.select([client], [], [], 0.5)[0]:
                received += client.recv(65536)
            assert len(received) < 4 * 1024 * 1024, "it does not wait: %d bytes came" % len(received)
            make_room(path, ballast)
            received += recv_exactly(client, len(data) - len(received))
            assert received == data
            desk.wait_row(TIME + r"#1 < \(large\.bin, 8,388,608 bytes\)")
        assert b"".join(row[2] for row in kept(path)) == data


def test_message_for_which_the_store_has_no_room_is_not_sent():
    with a_store_on_a_disk_of("1m") as path:
        ballast = put_ballast(path, 600 * 1024)
        with Desk("--store", path, *KEEP_ALL, "--store-queue", "1MiB", "--frame", "length:u32be", "--ack", "ok",
                  "--output-limit", "8MiB", columns=200) as desk, desk.client(1) as client:
            data = os.urandom(500000)
            write_file(desk, "reading.bin", data)
            for sent in range(1, 10):
                desk.enter("/file reading.bin")
                wait_for(lambda: len([row for row in desk.rows() if "#1 < (reading.bin" in row]) == sent or
                         "too much waits to be stored" in "\n".join(desk.rows()), "the file, or the refusal")
                if "too much waits to be stored" in "\n".join(desk.rows()):
                    break
                assert recv_exactly(client, 4 + len(data))[4:] == data
            desk.wait_row("#1: too much waits to be stored already; nothing was sent")
            desk.enter("/all hello")
            desk.wait_row(TIME + r"all < hello \(0 of 1 client; too much waits to be stored already\)")
            make_room(path, ballast)
            client.sendall(b"\0\0\0\1x")
            assert recv_exactly(client, 6)[4:] == b"ok"  # so the worker knows of all before it that it is stored
            desk.enter("after")
            assert recv_exactly(client, 9)[4:] == b"after"
        assert kept(path) == [(1, 0, data)] * (sent - 1) + [(0, 1, b"x"), (1, 0, b"after")]
