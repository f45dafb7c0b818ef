# SPDX-License-Identifier: BSD-3-Clause
"""What people at a terminal are told of streams that are not what was expected: a message that does not end, and lines
where nothing was framed."""
import socket

from harness import Server, wait_for
from lab import Stopwatch
from test_terminal import expect_harmless, messages_shown, plain

DIM = "\x1b\\[2m%s\x1b\\[0m\r\n"
HINT = "sends lines; to see each as a message: --frame line"


def test_message_that_does_not_end_is_shown_dim():
    with Server("--listen", "127.0.0.1:0", "--frame", "line", "--listen", "127.0.0.1:0", "--frame",
                "between:\\x02,\\x03,escape=\\x10", terminal=True) as server, \
            Server("--frame", "line", "--print", "text") as piped:
        lines, other, unseen = server.connect(), socket.create_connection(("127.0.0.1", server.ports[1])), piped.connect()
        watch = Stopwatch()
        unseen.sendall(b"hello")
        lines.sendall(b"first\nhel")
        server.wait_stdout("#1.* first\r\n")
        lines.sendall(b"lo \x1b[2J")
        other.sendall(b"\x02a\x10\x02b\x10")
        server.wait_stdout("#1\x1b\\[0m " + DIM % r"10 bytes, no newline yet: hello \\x1b\[2J")
        assert watch.seconds() >= 2, watch.seconds()
        server.wait_stdout("#2\x1b\\[0m " + DIM % r"5 bytes, no end yet: 02 61 02 62 10  \|\.a\.b\.\|")
        lines.shutdown(socket.SHUT_WR)
        server.wait_stdout(r"hello \\x1b\[2J\x1b\[2m \(unfinished\)")
        other.close()
        server.wait_stdout("#2.*, 6 bytes in, 0 bytes out, 5 bytes left that made no message")
        expect_harmless(server.stdout.bytes())
        assert server.stdout.text().count("yet") == 2, server.stdout.text()
        unseen.close()
        piped.wait_stdout("unfinished")
        assert "yet" not in piped.stdout.text()
        lines.close()


def test_long_unfinished_message_fits_the_width():
    with Server("--frame", "line", terminal=True, columns=70) as server, server.connect() as client:
        client.sendall(b"x" * 5000)
        shown = server.wait_stdout(r"#1\x1b\[0m \x1b\[2m(5,000 bytes, no newline yet: x+ \.\.\. 5,000 bytes)\x1b")[1]
        assert 64 <= len("12:00:00.000 #1 ") + len(shown) <= 70, shown


def test_lines_that_come_unframed_are_hinted_at_once():
    with Server("--workers", 2, terminal=True) as server:
        clients = [server.connect() for _ in range(4)]
        clients[0].sendall(b"\x01\x02\x00\xff\n")
        server.wait_stdout("01 02 00 ff 0a")
        clients[1].sendall(b"no newline")
        server.wait_stdout("no newline")
        assert HINT not in server.stdout.text()
        for number, client in enumerate(clients):
            client.sendall(b"one %d\ntwo\n" % number)
        wait_for(lambda: plain(server.stdout.text()).count("\\ntwo\\n") == 4, "all lines")
        server.wait_stdout(HINT)
        clients[0].sendall(b"end\n")
        server.wait_stdout("end")
        assert server.stdout.text().count(HINT) == 1, server.stdout.text()
        for client in clients:
            client.close()


def test_hint_is_for_people_and_for_raw_streams_only():
    for options, terminal in ((("--frame", "line"), True), (("--print", "json"), True), (("--print", "text"), False)):
        with Server(*options, terminal=terminal) as server, server.connect() as client:
            client.sendall(b"one\ntwo\n")
            client.close()
            server.wait_stdout("peer closed")
            assert HINT not in server.stdout.text(), server.stdout.text()
