# SPDX-License-Identifier: BSD-3-Clause
"""Standard output and error that nobody reads, that are closed, or that are full: clients are served all the same, and
what could not be shown is counted."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile

from flood import PROMPT, Ping
from harness import DEADLINE, PATIENCE, Server, in_time, recv_exactly, wait_for, weir, within

ECHO = ["--frame", "line", "--reply", "echo"]


def exchange(client, count, size=100):
    """So many lines there and back."""
    line = b"x" * (size - 1) + b"\n"
    for _ in range(count // 100):
        client.sendall(line * 100)
        assert recv_exactly(client, 100 * size) == line * 100


def total(server):
    """How many events there were: those that were shown, and those that others tell of."""
    return sum(event.get("count", 1) for event in server.events())


def test_nobody_reads_standard_output():
    with Server(*ECHO, "--print", "json") as server, Ping(server) as ping:
        ping.exchange()
        before = server.memory_bytes()
        server.stdout.freeze()
        with server.connect() as client:
            exchange(client, 30000)
            for _ in range(100):
                ping.exchange()
        assert ping.slowest < PROMPT, ping.slowest
        assert server.memory_bytes() - before < 16 << 20 or PATIENCE > 1
        server.stdout.thaw()
        # 30,100 messages and their answers, and two clients that came, of whom one went. (The first exchange is one more.)
        wait_for(lambda: total(server) == 2 * (30000 + 101) + 3, "every event to be shown or counted")
        missed, = server.events("missed")
        assert missed["count"] > 10000, missed
        server.wait_stderr(r"^\(%s lines not shown: the output is too slow\)$" % format(missed["count"], ","))
        ping.exchange()  # and it goes on
        wait_for(lambda: server.events("message")[-1]["text"] == "ping 101", "the next line")


def test_each_gap_is_told_where_it_is():
    """What was shown and what was not are all there was, after each of several gaps: each connection's messages and their
    answers come in order, and what lacks is what the event between them says."""
    clients, count = 3, 20000
    with Server(*ECHO, "--print", "json", "--workers", "2") as server:
        for turn in range(1, 4):
            server.stdout.freeze()
            with contextlib.ExitStack() as stack:
                for client in [stack.enter_context(server.connect()) for _ in range(clients)]:
                    exchange(client, count)
            server.stdout.thaw()
            wait_for(lambda: total(server) == turn * clients * (2 * count + 2), "every event to be shown or counted")
        assert len(server.events("missed")) >= 3, server.events("missed")
        missed, seen = 0, {}
        for event in server.events():
            if event["event"] == "missed":
                assert sorted(event) == ["count", "event", "time"] and event["count"] > 0, event
                missed += event["count"]
            elif event["event"] == "message":
                seq, missed_then = seen.get(event["conn"], (0, 0))
                assert seq < event["seq"] <= seq + 1 + missed - missed_then, (event, seq, missed - missed_then)
                seen[event["conn"]] = (event["seq"], missed)


def test_gap_at_the_end_is_told():
    """Nobody reads until it is over: what the pipe holds are whole lines, and the last says how many lack."""
    for count in (2000, 30000):
        with Server(*ECHO, "--print", "json") as server:
            server.stdout.freeze()
            with server.connect() as client:
                exchange(client, count)
            assert server.stop() == 0
            assert server.stdout.bytes().endswith(b"\n")
            assert total(server) == 2 * count + 2
            missed = server.events()[-1]
            assert missed["event"] == "missed" and len(server.events("missed")) == 1, missed
            server.wait_stderr(r"^\(%s lines not shown: the output is too slow\)$" % format(missed["count"], ","))


def test_slow_reader_at_the_end_is_told():
    """One that takes a little now and then, and goes on when the server has ended."""
    with Server(*ECHO, "--print", "json") as server:
        server.stdout.freeze()
        with server.connect() as client:
            exchange(client, 60000)
        server.begin_stop()
        while server.process.poll() is None:
            server.stdout.thaw()
            server.stdout.freeze()
        assert server.wait() == 0
        assert server.stdout.bytes().endswith(b"\n")
        assert total(server) == 2 * 60000 + 2 and server.events()[-1]["event"] in ("close", "missed")


def test_text_for_people_tells_of_a_gap_at_the_end():
    with Server(*ECHO, "--print", "text") as server:
        server.stdout.freeze()
        with server.connect() as client:
            exchange(client, 60000)
        assert server.stop() == 0
        lines = server.stdout.text().splitlines(True)
        told = re.fullmatch(r"\(([\d,]+) lines not shown: the output is too slow\)\n", lines[-1])
        assert len(lines) - 1 + int(told[1].replace(",", "")) == 60000 + 2, lines[-1]


def test_reader_that_is_only_late_misses_nothing_of_the_longest_message():
    with Server(*ECHO, "--print", "json") as server, Ping(server) as ping:
        line = b"x" * (1 << 20) + b"\n"
        server.stdout.freeze()
        with server.connect() as client:
            client.sendall(line)
            assert recv_exactly(client, len(line)) == line
        ping.exchange()
        server.stdout.thaw()
        close = server.wait_events("close")[0]
        assert [event["len"] for event in server.events() if event["conn"] == close["conn"] and "len" in event] == \
            [1 << 20, 1 << 20]


def test_nobody_reads_text_for_people():
    """The count stands where the lines would."""
    with Server(*ECHO, "--print", "text") as server, server.connect() as client:
        server.stdout.freeze()
        exchange(client, 60000)
        server.stdout.thaw()
        server.wait_stdout(r"^\([\d,]+ lines not shown: the output is too slow\)$")


def serve_into(output, *options, **process):
    return Server(*ECHO, *options, stdout=output, **process)


ENDS = r"^weir: standard output: %s; the server ends, since with --store none messages go nowhere else$"


def test_standard_output_is_closed_by_its_reader():
    """With a store the server goes on, and says it once."""
    for mode in ("json", "text"):
        reader, writer = os.pipe()
        with serve_into(writer, "--print", mode, "--store", "s.db") as server, server.connect() as client:
            os.close(writer)
            exchange(client, 100)
            os.close(reader)
            exchange(client, 1000)
            server.wait_stderr(r"^weir: standard output: closed; nothing more is printed$")
            exchange(client, 1000)
            assert server.stderr.text().count("standard output") == 1


def test_reader_that_goes_ends_a_server_that_only_prints():
    for mode, talks in (("json", True), ("json", False), ("text", True), ("hex", False)):
        reader, writer = os.pipe()
        with serve_into(writer, "--print", mode) as server:
            os.close(writer)
            with server.connect() as client:
                exchange(client, 100)
                os.close(reader)
                if talks:
                    client.sendall(b"more\n")
                assert server.wait() == 1
            server.wait_stderr(ENDS % "its reader has gone")
            assert server.stderr.text().count("standard output") == 1, server.stderr.text()


def test_reader_that_was_never_there_ends_a_server_that_only_prints():
    """A pipe and a socket."""
    for reader, writer in (os.pipe(), [end.detach() for end in socket.socketpair()]):
        os.close(reader)
        with weir("serve", "127.0.0.1:0", "--print", "json", stdout=writer) as server:
            os.close(writer)
            assert server.wait() == 1
            server.wait_stderr(ENDS % "its reader has gone")


def test_reader_that_goes_when_the_server_stops_is_no_failure():
    """Ctrl-C ends both sides of a pipe."""
    reader, writer = os.pipe()
    with serve_into(writer, "--print", "json") as server:
        os.close(writer)
        client = server.connect()
        client.sendall(b"x\n")
        assert recv_exactly(client, 2) == b"x\n"
        server.begin_stop(signal.SIGINT)
        server.wait_stderr("stopping:")
        os.close(reader)
        client.close()
        assert server.wait() == 0


def test_socket_whose_reader_says_something():
    """It is there all the same."""
    reader, writer = socket.socketpair()
    with reader, serve_into(writer.fileno(), "--print", "json") as server, server.connect() as client:
        writer.close()
        reader.sendall(b"hello")
        exchange(client, 100)
        reader.shutdown(socket.SHUT_WR)
        exchange(client, 100)


def test_full_disk():
    with open("/dev/full", "wb") as full, serve_into(full, "--print", "json", "--store", "s.db") as server, \
            server.connect() as client:
        exchange(client, 1000)
        server.wait_stderr(r"(?i)^weir: standard output: no space left on device$")
        exchange(client, 1000)
        assert server.stderr.text().count("standard output") == 1


def test_full_disk_ends_a_server_that_only_prints():
    for mode in ("json", "text"):
        with open("/dev/full", "wb") as full, serve_into(full, "--print", mode) as server:
            server.connect().close()
            assert server.wait() == 1
            server.wait_stderr("(?i)" + ENDS % "no space left on device")
            assert server.stderr.text().count("standard output") == 1


def test_file_over_its_quota():
    """The signal that goes with it would end a program that did not ignore it."""
    with tempfile.TemporaryFile() as shown, serve_into(shown, "--print", "json",
                                                       wrap=["prlimit", "--fsize=4096"]) as server:
        with server.connect() as client:
            for _ in range(100):
                client.sendall(b"x\n")
            assert server.wait() == 1
        server.wait_stderr("(?i)" + ENDS % "file too large")
        assert shown.seek(0, 2) == 4096


def test_standard_output_was_never_open():
    """Whoever closes it has said that nobody reads it; he is told, and served."""
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    for store in ("none", "s.db"):
        with Server(*ECHO, "--print", "json", "--store", store, wrap=closed) as server, server.connect() as client:
            exchange(client, 1000)
            server.wait_stderr(r"(?i)^weir: standard output: bad file descriptor; nothing more is printed$")
            exchange(client, 1000)
            assert server.stderr.text().count("standard output") == 1


def test_standard_error_is_closed_by_its_reader():
    reader, writer = os.pipe()
    path = "socket"
    with Server(*ECHO, "--listen", "unix:" + path, "--listen", "127.0.0.1:0", "--log-level", "debug",
                listens=0, stderr=writer) as server:
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0, closefd=True) as lines:
            text = b""
            while b"room for" not in text:
                text += lines.read(4096)
        server.port = int(re.search(rb"listening on tcp://127.0.0.1:(\d+)", text)[1])
        for _ in range(100):
            with server.connect() as client:
                exchange(client, 100)


def test_nobody_reads_standard_error():
    """Thousands of lines for the log, and a pipe that takes a few hundred."""
    with Server(*ECHO, "--log-level", "debug") as server, Ping(server) as ping:
        server.stderr.freeze()
        for _ in range(1500):
            with server.connect() as client:
                client.sendall(b"x\n")
                assert recv_exactly(client, 2) == b"x\n"
        assert ping.slowest < PROMPT, ping.slowest
        ping.exchange()
        server.stderr.thaw()
        server.wait_stderr(r"#1 ")


def test_stop_does_not_wait_for_a_reader():
    """Both outputs are full and stay so."""
    with Server(*ECHO, "--print", "json", "--log-level", "debug") as server:
        server.stdout.freeze()
        server.stderr.freeze()
        for _ in range(20):
            with server.connect() as client:
                exchange(client, 1000)
        server.begin_stop()
        try:
            status = server.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError("it waits for its reader") from None
        assert status == 0


@in_time
def test_last_lines_are_written_before_the_end():
    """A reader that is only slow gets everything, up to the last close."""
    with Server(*ECHO, "--print", "json") as server:
        server.stdout.freeze()
        with server.connect() as client:
            exchange(client, 1000)
        with within(0.6):  # for longer it does not wait for its reader
            server.begin_stop()
            server.stdout.thaw()
        assert server.wait() == 0
        assert len(server.events("message")) == 1000 and server.events()[-1]["event"] == "close"
