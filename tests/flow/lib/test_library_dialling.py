# SPDX-License-Identifier: BSD-3-Clause
"""Connections that the library opens outward."""
import errno
import os
import socket
import subprocess
import tempfile

from harness import DEADLINE, PATIENCE, expect_eof, recv_all, recv_until, reset, skip, wait_for
from lab import MAY_BE_LATE, Lab, Stopwatch, program, refused_start, worker_counts


class Peer:
    """A listening socket of the test's own."""

    def __init__(self, host="127.0.0.1", backlog=16):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.settimeout(DEADLINE)
        self.sock.bind((host, 0))
        self.sock.listen(backlog)
        self.port = self.sock.getsockname()[1]
        self.url = "tcp://%s:%d" % ("[%s]" % host if ":" in host else host, self.port)

    def accept(self):
        sock = self.sock.accept()[0]
        sock.settimeout(DEADLINE)
        return sock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Unused:
    """A port that nobody listens on, held so that nobody else takes it."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.url = "tcp://127.0.0.1:%d" % self.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def fill_queue(peer):
    """Clients that fill the queue of a listener with a backlog of 0, whose kernel then answers nobody."""
    clients = [socket.create_connection(("127.0.0.1", peer.port), DEADLINE)]
    for _ in range(2):
        clients.append(socket.socket())
        clients[-1].setblocking(False)
        clients[-1].connect_ex(("127.0.0.1", peer.port))
    return clients


def dialled(lab, url):
    """The id of a connection that was dialled."""
    event = lab.ask("dial", url, answer="dial")
    assert event["result"] == 0, event
    return event["conn"]


def expect_unopened(lab, conn, reason):
    event = lab.expect_closed(conn, reason)
    assert event["opened"] == 0, event
    assert [opened for opened in lab.events("open") if opened["conn"] == conn] == []
    return event


def test_dial_talks_like_an_accepted_connection():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab, Peer() as peer:
            ids = [dialled(lab, peer.url) for _ in range(3)]
            for _ in ids:
                with peer.accept() as sock:
                    sock.sendall(b"hello\nwor")
                    assert recv_until(sock, b"\n") == b"hello\n"
                    sock.sendall(b"ld\n")
                    assert recv_until(sock, b"\n") == b"world\n"
            for conn in ids:
                lab.expect_closed(conn, "peer closed")
            opened = {event["conn"]: event for event in lab.events("open")}
            assert sorted(opened) == sorted(ids) and all(event["dialled"] == 1 for event in opened.values())
            assert opened[ids[0]]["peer"] == "127.0.0.1:%d" % peer.port
            assert lab.counters()["dialled"] == 3 and lab.counters()["accepted"] == 0


def test_dial_ipv6():
    with Lab(frame="line", mode="echo") as lab, Peer("::1") as peer:
        dialled(lab, peer.url)
        with peer.accept() as sock:
            sock.sendall(b"hello\n")
            assert recv_until(sock, b"\n") == b"hello\n"
        assert lab.wait_events("open")[0]["peer"] == "[::1]:%d" % peer.port


def test_dial_refused():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers) as lab, Unused() as unused:
            conn = dialled(lab, unused.url)
            assert expect_unopened(lab, conn, "connection refused")["error"] == errno.ECONNREFUSED
            wait_for(lambda: lab.counters()["clients"] == 0, "the count")


def test_dial_unreachable():
    with Lab(frame="line") as lab:
        assert expect_unopened(lab, dialled(lab, "tcp://255.255.255.255:9"), "unreachable")["error"] != 0


def test_dial_what_cannot_be_dialled():
    with Lab(frame="line") as lab:
        for url in ("tcp://", "http://127.0.0.1:1", "fd:3", "tls://127.0.0.1:1", "127.0.0.1:70000", "unix:"):
            event = lab.ask("dial", url, answer="dial")
            assert event["result"] == -5001 and len(event["error"]) > 10, event  # WEIR_EADDRESS
        event = lab.ask("dial", "tcp://no-such-host.invalid:1", answer="dial")
        assert event["result"] == -5005 and "no-such-host.invalid" in event["error"], event  # WEIR_ERESOLVE
        assert lab.counters()["dialled"] == 0 and lab.events("close") == []


def test_dial_connect_timeout():
    """A queue of the kernel that is full answers nothing."""
    with Peer(backlog=0) as peer, Lab(frame="line", connect_timeout_ms=400) as lab:
        full = fill_queue(peer)
        watch = Stopwatch()
        conn = dialled(lab, peer.url)
        assert expect_unopened(lab, conn, "connect timeout")["error"] == errno.ETIMEDOUT
        assert 0.398 <= watch.seconds() < 0.4 + MAY_BE_LATE * PATIENCE, watch.seconds()
        for sock in full:
            sock.close()


def test_dial_unix():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab:
            path = os.path.join(lab.home.name, "peer.sock")
            with socket.socket(socket.AF_UNIX) as listening:
                listening.settimeout(DEADLINE)
                listening.bind(path)
                listening.listen()
                conn = dialled(lab, "unix:" + path)
                sock = listening.accept()[0]
                sock.settimeout(DEADLINE)
                sock.sendall(b"hello\n")
                assert recv_until(sock, b"\n") == b"hello\n"
                sock.close()
            lab.expect_closed(conn, "peer closed")
            assert lab.events("open")[0]["peer"] == "unix"
            expect_unopened(lab, dialled(lab, "unix:" + path), "connection refused")  # nobody listens there any more
            os.unlink(path)
            expect_unopened(lab, dialled(lab, "unix:" + path), "connection refused")  # no such file


def test_dial_from_inside_callbacks():
    """From on_message, and from on_close of a dial that was refused."""
    for workers in worker_counts():
        with Lab(frame="line", mode="verbs", workers=workers, redials=3) as lab, Peer() as peer, \
                lab.connect() as client, Unused() as unused:
            client.sendall(b"dial %s\n" % peer.url.encode())
            with peer.accept() as sock:
                sock.sendall(b"send hello\n")
                assert recv_until(sock, b"\n") == b"hello\n"
            client.sendall(b"dial %s\n" % unused.url.encode())
            refused = [event for event in lab.wait_events("close", 5) if event["reason"] == "connection refused"]
            assert len(refused) == 4, lab.events("close")


def test_dial_of_a_name_with_several_addresses():
    """They are tried in turn until one answers. The name is one of this test's own."""
    with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts:
        hosts.write("127.0.0.2 several.test\n127.0.0.3 several.test\n::1 several.test\n127.0.0.4 several.test\n")
        hosts.flush()
        wrap = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts.name]
        if subprocess.run(wrap + ["getent", "ahosts", "several.test"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            skip("names cannot be made up here")
        for host in ("127.0.0.2", "127.0.0.3", "::1", "127.0.0.4"):
            with Lab(frame="line", wrap=wrap) as lab, Peer(host) as peer:
                lab.tell("dial", "tcp://several.test:%d" % peer.port)
                with peer.accept():
                    assert lab.wait_events("open")[0]["peer"].startswith(host if ":" not in host else "[::1]")
        with Lab(frame="line", wrap=wrap) as lab, Unused() as unused:
            expect_unopened(lab, dialled(lab, "tcp://several.test:%d" % unused.port), "connection refused")
            assert len(lab.events("close")) == 1  # one for the dial, not one for each address


def test_half_close_of_our_side():
    """What a client does that has asked everything: answers that come behind our FIN arrive."""
    for workers in worker_counts():
        with Lab(frame="line", mode="none", workers=workers, end_output=1) as lab, Peer() as peer:
            conn = dialled(lab, peer.url)
            with peer.accept() as sock:
                expect_eof(sock)
                for i in range(100):
                    sock.sendall(b"answer %d\n" % i)
            lab.expect_closed(conn, "peer closed")
            assert [event["text"] for event in lab.events("message")] == ["answer %d" % i for i in range(100)]


def test_half_close_behind_output_that_waits():
    with Lab(frame="line", mode="none", output_bytes_max=64 << 20) as lab, Peer() as peer:
        conn = dialled(lab, peer.url)
        with peer.accept() as sock:
            lab.wait_events("open")
            lab.tell("conn", conn, "big", 20000000)
            lab.tell("conn", conn, "end")
            assert lab.wait_events("did", 2)[0]["result"] == 0
            assert len(recv_all(sock)) == 20000001
            sock.sendall(b"thanks\n")
        lab.expect_closed(conn, "peer closed")
        assert lab.events("message")[0]["text"] == "thanks"


def test_dialled_connection_that_is_reset():
    with Lab(frame="line") as lab, Peer() as peer:
        conn = dialled(lab, peer.url)
        sock = peer.accept()
        lab.wait_events("open")
        reset(sock)
        assert lab.expect_closed(conn, "reset by peer")["opened"] == 1


def test_stop_while_connecting():
    with Peer(backlog=0) as peer, Lab(frame="line", connect_timeout_ms=60000) as lab:
        full = fill_queue(peer)
        conn = dialled(lab, peer.url)
        lab.settle()
        lab.tell("stop", 8000)
        assert lab.end() == 0
        expect_unopened(lab, conn, "drain")
        for sock in full:
            sock.close()


def test_dial_from_an_address_of_ones_choice():
    with Lab(source="127.0.0.77") as lab, Peer() as peer:
        for _ in range(2):
            conn = dialled(lab, peer.url)
            sock = peer.accept()
            assert sock.getpeername()[0] == "127.0.0.77", sock.getpeername()
            sock.close()
            lab.expect_closed(conn, "peer closed")
    with Lab(source="::1") as lab, Peer() as peer, Peer("::1") as peer6:
        expect_unopened(lab, dialled(lab, peer.url), "unreachable")
        conn = dialled(lab, peer6.url)
        assert peer6.accept().getpeername()[0] == "::1"
        lab.expect_closed(conn, "peer closed")
    with Lab(source="192.0.2.1") as lab, Peer() as peer:  # nobody's (RFC 5737)
        expect_unopened(lab, dialled(lab, peer.url), "unreachable")


def test_a_source_that_is_no_address_is_refused():
    for word in ["localhost", "127.0.0.1:0", "127.0.0.256", "[::1]", "x"]:
        said = refused_start("--source", word, "--listen", "tcp://127.0.0.1:0")
        assert 'source "%s": not an IPv4 or IPv6 address' % word in said, said


def test_many_dials_at_once_to_ourselves():
    for workers in worker_counts():
        with Lab(frame="line", mode="none", workers=workers) as lab:
            for _ in range(200):
                lab.tell("dial", lab.urls[0])
            opened = lab.wait_events("open", 400)
            assert sorted(event["conn"] for event in opened) == list(range(1, 401))
            assert sum(event["dialled"] for event in opened) == 200
            assert all(event["worker"] == event["conn"] % workers for event in opened)
            lab.tell("stop", 8000)
            assert lab.end() == 0
            assert len(lab.events("close")) == 400


def test_100_mb_through_a_dialled_connection():
    """With flow control by on_writable, in little memory."""
    for workers in worker_counts():
        # What is under way between the two: a little, or as much as the high mark lets in.
        for window in (1000000, 100000000):
            pump = program("service_pump", workers, 100000000, window, deadline=2 * DEADLINE)[-1]
            assert pump["received"] == 100000000 and pump["writables"] > 3, pump
            assert pump["memory_most"] < 8 << 20, pump
