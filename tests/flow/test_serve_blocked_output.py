# SPDX-License-Identifier: BSD-3-Clause
"""Standard output and error that nobody reads, that are closed, or that are full: clients are served all the same, and
what could not be shown is counted."""
import os
import re
import subprocess
import tempfile

from flood import PROMPT, Ping
from harness import DEADLINE, PATIENCE, Server, in_time, recv_exactly, wait_for, within

ECHO = ["--frame", "line", "--reply", "echo"]


def exchange(client, count, size=100):
    """So many lines there and back."""
    line = b"x" * (size - 1) + b"\n"
    for _ in range(count // 100):
        client.sendall(line * 100)
        assert recv_exactly(client, 100 * size) == line * 100


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
        lost = int(server.wait_stderr(r"^\(([\d,]+) lines? not shown: the output is too slow\)$")[1].replace(",", ""))

        def all_are_counted():
            """What was shown and what was not are all there was: 30,100 messages and their answers, and two clients
            that came, of whom one went. (The first exchange is one more message.)"""
            said = re.findall(r"\(([\d,]+) lines? not shown", server.stderr.text())
            return len(server.events()) + sum(int(text.replace(",", "")) for text in said) == 2 * (30000 + 101) + 3
        wait_for(all_are_counted, "every line to be shown or counted")
        assert lost > 10000, lost
        ping.exchange()  # and it goes on
        wait_for(lambda: server.events("message")[-1]["text"] == "ping 101", "the next line")


def test_lines_still_waiting_at_the_end_are_counted():
    with Server(*ECHO, "--print", "json") as server:
        server.stdout.freeze()
        with server.connect() as client:
            exchange(client, 30000)
        assert server.stop() == 0
        server.wait_stderr(r"^\([\d,]+ lines not shown: the output is too slow\)$")


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


def test_standard_output_is_closed_by_its_reader():
    reader, writer = os.pipe()
    with Server(*ECHO, "--print", "json", stdout=writer) as server, server.connect() as client:
        os.close(writer)
        exchange(client, 100)
        os.close(reader)
        exchange(client, 1000)
        server.wait_stderr(r"^weir: standard output: closed; nothing more is printed$")
        exchange(client, 1000)
        assert server.stderr.text().count("standard output") == 1


def test_full_disk():
    with open("/dev/full", "wb") as full, Server(*ECHO, "--print", "json", stdout=full) as server, \
            server.connect() as client:
        exchange(client, 1000)
        server.wait_stderr(r"(?i)^weir: standard output: no space left on device$")
        exchange(client, 1000)
        assert server.stderr.text().count("standard output") == 1


def test_file_over_its_quota():
    """The signal that goes with it would end a program that did not ignore it."""
    with tempfile.TemporaryFile() as shown, Server(*ECHO, "--print", "json", stdout=shown,
                                                   wrap=["prlimit", "--fsize=4096"]) as server, server.connect() as client:
        exchange(client, 1000)
        server.wait_stderr(r"(?i)^weir: standard output: file too large$")
        exchange(client, 1000)
        assert shown.seek(0, 2) == 4096


def test_standard_output_was_never_open():
    with Server(*ECHO, "--print", "json", wrap=["sh", "-c", 'exec "$@" >&-', "sh"]) as server, \
            server.connect() as client:
        exchange(client, 1000)


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
