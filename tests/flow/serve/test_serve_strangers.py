# SPDX-License-Identifier: BSD-3-Clause
"""Browsers, TLS clients, SSH and proxies on a raw port: served like anybody, and named, once a minute an address."""
import re

from harness import DEADLINE, Server, connect, recv_exactly, wait_for
from lab import Lab

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + b"\x00" * 192
STRANGERS = [
    ("HTTP", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
    ("HTTP", b"POST /api HTTP/1.0\r\n\r\n"),
    ("HTTP", b"OPTIONS * HTTP/1.1\r\n\r\n"),
    ("HTTP", b"CONNECT example.org:443 HTTP/1.1\r\n\r\n"),
    ("HTTP", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("TLS", TLS_HELLO),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    ("PROXY", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
    ("PROXY", b"PROXY UNKNOWN\r\n"),
    ("PROXY", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)),
]
DEVICES = [b"GET 17\n", b"SSH\n", b"PROXY\n", b"\x16\x03", b"\x16\x03\x01\x00\x05hello", b"getting on\n", b"\r\n\r\n"]


def send_first(server, first, source):
    """A client whose first bytes these are, and that is served: with the echo it is over. Its number is returned."""
    with connect(server.port, source=source) as client:
        client.sendall(first)
        assert recv_exactly(client, len(first)) == first
        return "%s:%d" % client.getsockname()


def test_each_kind_is_named_and_served():
    """Each in a server of its own: an address is named once, and a line a second is the most."""
    for name, first in STRANGERS:
        with Server("--reply", "echo", "--print", "json") as server:
            peer = send_first(server, first, "127.0.0.1")
            conn = server.wait_events("close")[0]["conn"]
            assert server.events("open")[0]["peer"] == peer
            server.wait_stderr(r"^warning: #%d speaks %s$" % (conn, name))


def test_first_bytes_that_come_in_pieces():
    """A proxy and a slow link cut where they like; what has made no message yet is looked at as a whole."""
    with Lab(frame="line", mode="none") as lab, lab.connect() as client:
        lab.wait_events("open")
        sent = 0
        for piece in (b"G", b"ET", b" /index.html HT", b"TP/1.1\r\n", b"Host: example.org\r\n"):
            client.sendall(piece)
            sent += len(piece)
            wait_for(lambda: lab.ask("conn", 1, "counters", answer="conn_counters")["bytes_in"] == sent, "the piece")
        lab.wait_log("#1 speaks HTTP")
        assert lab.stderr.text().count("speaks") == 1, lab.stderr.text()


def test_devices_are_not_called_strangers():
    with Server("--reply", "echo") as server:
        for first in DEVICES:
            send_first(server, first, "127.0.0.1")
    assert "speaks" not in server.stderr.text(), server.stderr.text()


def test_once_a_minute_an_address():
    with Server("--reply", "echo", "--print", "json") as server:
        for _ in range(20):
            send_first(server, STRANGERS[0][1], "127.0.0.1")
        server.wait_stderr(r"#1 speaks HTTP")

        def second_is_named():
            """Lines of a kind are a second apart at least: the other address is named as soon as there is room."""
            send_first(server, STRANGERS[6][1], "127.0.0.2")
            return "speaks SSH" in server.stderr.text()
        wait_for(second_is_named, "the other address", DEADLINE)
        for _ in range(20):
            send_first(server, STRANGERS[0][1], "127.0.0.2")
            send_first(server, STRANGERS[0][1], "127.0.0.1")
    lines = re.findall(r"#\d+ speaks .*", server.stderr.text())
    assert len(lines) == 2, lines
