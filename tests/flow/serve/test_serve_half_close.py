# SPDX-License-Identifier: BSD-3-Clause
"""Clients that end their side and listen on, as nc HOST PORT </dev/null does on a display: `weir serve --half-close`."""
import json
import os
import re
import socket
import tempfile

from harness import PATIENCE, Server, connect, connect_unix, expect_eof, expect_reset, in_time, recv_all, recv_until, \
    reset, run_weir, wait_for, within
from lab import Stopwatch, cpu_share
from test_desk import TIME, Desk
from test_store import KEEP_ALL, a_store, rows

KEEP = ("--half-close", "keep")


def display(desk, number, sent=b""):
    """A client of a desk that has sent this and only listens from then on, which is seen."""
    client = desk.client(number)
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    desk.wait_row(TIME + "#%d has ended its side, and may still listen" % number)
    return client


def test_closed_by_default():
    for options in ((), ("--half-close", "close")):
        with Server("--frame", "line", "--reply", "echo", "--print", "json", *options) as server, \
                server.connect() as client:
            client.sendall(b"one\n")
            client.shutdown(socket.SHUT_WR)
            assert recv_all(client) == b"one\n"
            assert server.wait_events("close")[0]["reason"] == "peer closed"
            assert server.events("end") == []


def test_display_gets_what_is_typed():
    """With its end in every place where a client is counted, listed or named, it is there as any other."""
    for options in (("--frame", "line"), ("--frame", "line", "--store", "s.db")):
        with Desk(*KEEP, *options, columns=120) as desk, display(desk, 1) as client:
            desk.wait_prompt("#1>")
            desk.enter("hello")
            assert recv_until(client, b"\n") == b"hello\n"
            with desk.client(2) as other:
                desk.enter("/all both")
                assert recv_until(client, b"\n") == recv_until(other, b"\n") == b"both\n"
                desk.enter("/list")
                desk.wait_row(r"> #1 .*")
                desk.wait_row(r"  #2 .*")
                desk.enter("/repeat 3 1ms again")
                for _ in range(3):
                    assert recv_until(client, b"\n") == b"again\n"
            desk.wait_row(TIME + "#2 has ended its side, and may still listen")  # whoever closes looks the same
            assert cpu_share(desk) < 0.1
            desk.enter("/kick 1")
            expect_eof(client)
            desk.wait_row(TIME + "#1 kicked: .*")
            desk.wait_prompt("#2>")


def test_display_is_acknowledged_and_answered_as_ever():
    with a_store() as path:
        with Server(*KEEP, "--frame", "line", "--ack", "OK {seq}", "--store", path, *KEEP_ALL,
                    "--print", "json") as server, server.connect() as client:
            client.sendall(b"one\ntwo\nhalf")
            client.shutdown(socket.SHUT_WR)
            assert recv_until(client, b"OK 2\n") == b"OK 1\nOK 2\n"
            server.wait_events("end")
            assert [event["event"] for event in server.events()] == ["open", "message", "message", "message", "end"]
            server.begin_stop()
            expect_eof(client)
            server.wait_events("close")
            assert server.wait() == 0  # or a second signal, at the end of the block, would cut it off
        assert [row[0] for row in rows(path, "SELECT bytes FROM message ORDER BY id")] == [b"one", b"two", b"half"]
        assert rows(path, "SELECT count(*) FROM connection WHERE closed IS NOT NULL") == [(1,)]


def test_reset_idle_timeout_and_stop_end_it():
    with Server(*KEEP, "--idle-timeout", "400ms", "--print", "json") as server:
        watch = Stopwatch()
        with server.connect() as client:
            client.shutdown(socket.SHUT_WR)
            expect_eof(client)
            assert watch.seconds() > 0.398
        assert server.wait_events("close")[0]["reason"] == "idle timeout"
    with Server(*KEEP, "--print", "json") as server:
        client = server.connect()
        client.shutdown(socket.SHUT_WR)
        server.wait_events("end")
        reset(client)
        assert server.wait_events("close")[0]["reason"] == "reset by peer"
    with Server(*KEEP, "--print", "json") as server, server.connect() as client:
        client.shutdown(socket.SHUT_WR)
        server.wait_events("end")
        assert server.stop() == 0
        expect_eof(client)


@in_time
def test_idle_timeout_begins_anew_with_what_is_typed():
    with Desk(*KEEP, "--frame", "line", "--idle-timeout", "800ms") as desk:
        with within(0.4):
            client = display(desk, 1)
        for _ in range(4):
            with within(0.4):
                desk.enter("x")
                assert recv_until(client, b"\n") == b"x\n"
        expect_eof(client)
        desk.wait_row(TIME + "#1 idle timeout: .*")
        client.close()


def test_each_listener_has_its_own():
    with Server("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", *KEEP, "--print", "json") as server:
        closed, kept = server.connect(), connect(server.ports[1])
        for client in (closed, kept):
            client.shutdown(socket.SHUT_WR)
        expect_eof(closed)
        assert server.wait_events("end")[0]["listener"] == server.urls[1]
        assert [event["listener"] for event in server.wait_events("close")] == [server.urls[0]]
        closed.close()
        kept.close()


def test_unix_client_that_closes_leaves_at_once():
    with Server("--listen", "unix:s", *KEEP, "--print", "json") as server:
        path = os.path.join(server.home.name, "s")
        connect_unix(path).close()
        assert server.wait_events("close")[0]["reason"] == "peer closed"


def test_tcp_client_that_has_closed_goes_with_the_next_that_is_sent():
    with Desk(*KEEP, "--frame", "line", columns=120) as desk:
        display(desk, 1).close()
        desk.wait_prompt("#1>")
        desk.enter("anybody there?")
        desk.wait_row(TIME + "#1 reset by peer: .*")
        desk.wait_prompt(">")


def last_event(file, kind):
    """The last event in a file, when it is of this kind."""
    tail = os.pread(file.fileno(), 4096, max(0, os.fstat(file.fileno()).st_size - 4096))
    match = re.search(rb'\n(\{"event":"%s".*)\n\Z' % kind, tail)
    return json.loads(match[1]) if match else None


@in_time
def test_client_that_stops_taking_meets_the_write_timeout():
    """What is shown goes to a file: a pipe's reader may be too slow for so much, and would miss events."""
    with tempfile.TemporaryFile() as shown, \
            Server(*KEEP, "--frame", "raw", "--reply", "echo", "--write-timeout", "%gs" % (4 * PATIENCE), "--output-limit",
                   "16MiB", "--print", "json", stdout=shown) as server, \
            connect(server.port, receive_buffer=4096) as client:
        with within(3 * PATIENCE):
            client.sendall(b"x" * (8 << 20))
            client.shutdown(socket.SHUT_WR)
            wait_for(lambda: last_event(shown, b"end"), "the end")
        assert wait_for(lambda: last_event(shown, b"close"), "the close")["reason"] == "write timeout"
        expect_reset(client)


def test_leftover_is_told_at_the_close_and_is_not_late():
    with Server(*KEEP, "--frame", "length:u16be", "--frame-timeout", "300ms", "--print", "json") as server:
        with server.connect() as client:
            client.sendall(b"\0\5hel")
            client.shutdown(socket.SHUT_WR)
            server.wait_events("end")
            watch = Stopwatch()
            wait_for(lambda: watch.seconds() > 0.7, "more than the frame timeout")
            assert server.events("close") == []
            reset(client)
        assert server.wait_events("close")[0]["input_bytes"] == 5


def test_where_it_can_be_set():
    for arguments, env, shown in (((), {}, r"half-close +.*\bclose$"), (KEEP, {}, r"half-close +.*\bkeep$"),
                                  ((), {"WEIR_HALF_CLOSE": "keep"}, r"half-close +.*WEIR_HALF_CLOSE.*\bkeep$")):
        status, stdout, stderr = run_weir("check", *arguments, env=env)
        assert status == 0 and re.search(shown, stdout, re.M), (arguments, stdout, stderr)
    status, _, stderr = run_weir("check", "--half-close", "open")
    assert status == 2 and "must be one of close|keep" in stderr, stderr
