# SPDX-License-Identifier: BSD-3-Clause
"""weir bench: what it sends, what it counts, how it ends. How fast it is is no matter of a test's."""
import json
import os
import signal
import socket
import struct
import tempfile
import threading

from harness import DEADLINE, Server, accept, connect_unix, listener, run_weir, \
    wait_for, weir


def bench(port, *options, status=0, **process):
    """What a run came to, of its JSON; and its standard error."""
    got, stdout, stderr = run_weir("bench", "--json", *options, str(port), deadline=6 * DEADLINE, **process)
    assert got == status, (got, stdout, stderr)
    return json.loads(stdout), stderr


def port_of(sock):
    return sock.getsockname()[1]


def requests(client, size=None):
    """What a client sends, until it ends: pieces of that size, or lines."""
    with client.makefile("rb") as stream:
        while True:
            data = stream.readline() if size is None else stream.read(size)
            if not data:
                return
            assert data.endswith(b"\n") if size is None else len(data) == size, data
            yield data


class Peer:
    """A server of the test's own: each client is served by `serve` in a thread of its own. What that raises, but for the
    client's going away, fails the test."""

    def __init__(self, serve, address="127.0.0.1"):
        self.serve = serve
        self.sock = socket.create_server((address, 0), backlog=512)
        self.port = port_of(self.sock)
        self.peers = []  # addresses of its clients, in their order
        self.failed = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, peer = self.sock.accept()
            except OSError:  # closed by __exit__
                return
            client.settimeout(DEADLINE)
            self.peers.append(peer[0])
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                self.serve(client)
            except (ConnectionError, socket.timeout):
                pass
            except Exception as error:  # pylint: disable=broad-except
                self.failed.append(error)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        if kind is None:
            assert not self.failed, self.failed


def read_all_of(client):
    data = bytearray()
    while True:
        chunk = client.recv(65536)
        if not chunk:
            return bytes(data)
        data += chunk


# ---- What is sent and counted ----


def test_a_number_of_messages_is_sent_and_answered():
    with Server("--reply", "echo") as server:
        for options in [("-p", 1), ("-p", 16), ("-c", 3, "-p", 7), ("-s", 70000, "-p", 3), ("--workers", 2),
                        ("-c", 1, "--workers", 4), ("--ramp", "off"), ("-s", 1, "-p", 100)]:
            got, _ = bench(server.port, "-n", 500, *options)
            assert got["sent"] == got["answered"] == got["latency_us"]["count"] == 500, (options, got)
            size = got["asked"]["message_bytes"]
            assert got["bytes_out"] == got["bytes_in"] == 500 * size, (options, got)
            assert got["errors"]["total"] == 0 and got["connects"] == got["asked"]["connections"], (options, got)
            assert 0 < got["latency_us"]["p50"] <= got["latency_us"]["p99"] <= got["latency_us"]["max"], got
            assert got["messages_per_second"] > 0 and got["connect_us"]["count"] == got["connects"], got


def test_with_a_framing_one_message_is_one_answer():
    for frame in ["line", "length:u16be", "netstring", "delimiter:\\x03", "slip", "octet-count", "varint"]:
        with Server("--frame", frame, "--reply", "text:OK") as server:
            got, _ = bench(server.port, "--frame", frame, "-n", 200, "-c", 4, "-p", 5)
            assert got["sent"] == got["answered"] == 200 and got["errors"]["total"] == 0, (frame, got)
            assert got["bytes_in"] < got["bytes_out"], (frame, got)


def test_over_raw_an_answer_is_as_many_bytes_as_were_sent():
    def in_pieces(client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in requests(client, 100):
            client.sendall(data[:1])
            client.sendall(data[1:60])
            client.sendall(data[60:])
    with Peer(in_pieces) as peer:
        got, _ = bench(peer.port, "-c", 1, "-n", 10, "-s", 100)
        assert got["answered"] == 10 and got["bytes_in"] == 1000 and got["errors"]["total"] == 0, got


def test_what_comes_unasked_is_no_answer():
    def greet(client):
        client.sendall(b"hello\nwho are you?\n")
        for _ in requests(client):
            client.sendall(b"well\n")
    with Peer(greet) as peer:
        # each is connected a second before its first message: a greeting behind that would be an answer too many
        got, _ = bench(peer.port, "-c", 2, "-n", 2, "--frame", "line", "--ramp", 1, "--rate", 1, "--workers", 1)
        assert got["sent"] == 2 and got["errors"]["total"] == 0, got


def test_lines_of_a_file_are_the_messages():
    received = []

    def take(client):
        for data in requests(client):
            received.append(data)
            client.sendall(data)
    with Peer(take) as peer, tempfile.NamedTemporaryFile("w") as file:
        file.write("one\r\n\ntwo\nthree")
        file.flush()
        got, _ = bench(peer.port, "-c", 1, "-n", 7, "--frame", "line", "--file", file.name)
        assert received == [b"one\n", b"two\n", b"three\n"] * 2 + [b"one\n"], received
        assert got["answered"] == 7 and got["bytes_out"] == 4 * 3 + 4 * 2 + 6 * 2, got
        received.clear()
        with weir("bench", "--json", "-n", 3, "-c", 1, "--frame", "line", "--file", "-", str(peer.port),
                  stdin=True) as client:
            client.stdin.write(b"four\nfive\n")
            client.stdin.close()
            assert client.wait() == 0
        assert received == [b"four\n", b"five\n", b"four\n"], received


def test_one_way_counts_what_was_sent():
    received = []

    def take(client):
        received.append(len(read_all_of(client)))
    for options in [("-n", 5000), ("-n", 5000, "--workers", 2), ("-n", 50, "--rate", 1000),
                    ("-n", 5000, "--lifetime-messages", 10), ("-n", 200, "-s", 200000)]:
        received.clear()
        with Peer(take) as peer:
            got, _ = bench(peer.port, "--one-way", "-c", 5, *options)
            size = got["asked"]["message_bytes"]
            wait_for(lambda: sum(received) == got["sent"] * size, "all that was sent")
            assert got["sent"] == options[1] and got["bytes_out"] == got["sent"] * size, (options, got)
            assert got["answered"] == 0 and got["errors"]["total"] == 0 and got["latency_us"]["p50"] is None, got
            # some more when the end came while those that had ended were being dialled again
            wait_for(lambda: len(received) >= got["connects"], "the end of each connection")


def test_one_way_does_not_count_what_did_not_leave():
    """Nobody reads: what the kernels hold was sent, the rest was not."""
    with listener() as sock:
        got, _ = bench(port_of(sock), "--one-way", "-c", 1, "-d", "300ms", "-s", "1000")
        held = accept(sock)
        held.close()
        assert 0 < got["sent"] * 1000 <= got["bytes_out"] < (got["sent"] + 2) * 1000, got


def test_a_fixed_rate():
    with Server("--reply", "echo") as server:
        for options in [(), ("--workers", 2), ("-p", 4, "-c", 2)]:
            got, _ = bench(server.port, "--rate", 500, "-n", 300, *options)
            assert got["answered"] == 300, got
            assert got["seconds"] >= 299 / 500 - 0.001, got  # the last one was not due before
            assert got["asked"]["rate"] == 500, got


def test_latency_counts_from_when_a_message_was_due():
    """A server that stalls once: what could not be sent meanwhile was late too. Without that one message in 100 is."""
    def stall(client):
        event = threading.Event()
        for number, data in enumerate(requests(client, 8)):
            if number == 0:
                event.wait(1)
            client.sendall(data)
    with Peer(stall) as peer:
        got, _ = bench(peer.port, "-c", 1, "-s", 8, "-n", 100, "--rate", 100)
        assert got["answered"] == 100, got
        assert got["latency_us"]["max"] >= 1e6, got
        assert got["latency_us"]["p50"] >= 4e5, got  # half of them were due in the first half of the second


# ---- Connections ----


def test_what_was_due_and_not_sent_counts():
    """A server that stands still for the rest of the run must not look fast."""
    def serve(client):
        for number, request in enumerate(requests(client, 16)):
            if number == 3:
                return client.recv(1)  # nothing more, until the client goes
            client.sendall(request)

    with Peer(serve) as peer:
        got, _ = bench(peer.port, "-c", "1", "-s", "16", "--rate", "100", "-d", "2s")
    assert got["answered"] == 3
    assert got["errors"]["unanswered"] == 1
    assert got["sent"] + got["errors"]["unsent"] == 200, got
    assert got["latency_us"]["count"] == 200
    assert got["latency_us"]["p50"] > 100000, got  # half of them waited for more than a second


def test_messages_that_the_framing_would_cut_are_refused():
    with listener() as sock:
        for options in (["--frame", "fixed:10", "-s", "20"], ["--frame", "delimiter:x"], ["--frame", "fixed:7,pad=x",
                                                                                         "-s", "9"]):
            status, _, stderr = run_weir("bench", *options, str(port_of(sock)))
            assert status == 2, (options, stderr)
            assert "framing" in stderr, stderr


def test_fixed_messages_have_their_length():
    with Server("--frame", "fixed:10", "--reply", "echo") as server:
        got, _ = bench(server.port, "--frame", "fixed:10", "-c", "1", "-n", "50")
        assert got["answered"] == 50
        assert got["bytes_out"] == 500, got


def test_answers_that_nothing_asked_for_are_errors():
    def serve(client):
        for request in requests(client):
            client.sendall(request * 5)

    with Peer(serve) as peer:
        got, _ = bench(peer.port, "--frame", "line", "-c", "1", "-n", "10", "-s", "4")
    assert got["errors"]["unasked"] > 0, got


def test_lifetimes():
    with Server("--reply", "echo") as server:
        got, _ = bench(server.port, "-c", 5, "-n", 1000, "--lifetime-messages", 10, "-p", 3)
        assert got["answered"] == 1000 and got["errors"]["total"] == 0, got
        assert 100 <= got["connects"] <= 105, got
        got, _ = bench(server.port, "-c", 2, "-d", "1s", "--lifetime", "50ms")
        assert got["connects"] > 4 and got["errors"]["total"] == 0, got
        got, _ = bench(server.port, "-c", 2, "-d", "1s", "--lifetime", "50ms", "--rate", 100, "--workers", 2)
        assert got["connects"] > 4 and got["errors"]["total"] == 0, got


def test_from_several_addresses():
    def echo(client):
        for data in requests(client, 128):
            client.sendall(data)
    with Peer(echo) as peer:
        bench(peer.port, "-c", 7, "-n", 70, "--from", "127.0.0.11-127.0.0.13")
        assert sorted(peer.peers) == ["127.0.0.11"] * 3 + ["127.0.0.12"] * 2 + ["127.0.0.13"] * 2, peer.peers
        got, stderr = bench(peer.port, "-n", 70, "--from", "192.0.2.1", status=6)  # nobody's (RFC 5737)
        assert got["errors"]["unreachable"] == 1 and "no route: " in stderr, (got, stderr)


def test_a_name_and_a_unix_socket():
    with Server("--reply", "echo", "--listen", "unix:s", "--listen", "127.0.0.1:0") as server:
        got, _ = bench("localhost:%d" % server.port, "-n", 100)
        assert got["answered"] == 100, got
        got, _ = bench("unix:" + os.path.join(server.home.name, "s"), "-n", 100)
        assert got["answered"] == 100 and got["errors"]["total"] == 0, got
        connect_unix(os.path.join(server.home.name, "s")).close()


def test_who_is_closed_connects_again():
    def answer_twice(client):
        for _, data in zip(range(2), requests(client, 128)):
            client.sendall(data)
    with Peer(answer_twice) as peer:
        got, _ = bench(peer.port, "-c", 3, "-d", "1s")
        assert got["connects"] > 3 and got["answered"] > 6 and got["errors"]["closed"] >= 3, got
        assert got["errors"]["unanswered"] == got["sent"] - got["answered"], got


def test_a_server_that_goes_away_is_counted():
    with Server("--reply", "echo") as server, weir("bench", "--json", "-d", "2s", "-c", 5, str(server.port)) as load:
        server.wait_for_work()
        server.kill()
        server.wait()
        assert load.wait() == 0
        got = json.loads(load.stdout.text())
        assert got["answered"] > 0 and got["errors"]["refused"] > 0, got
        assert got["errors"]["closed"] + got["errors"]["reset"] == 5, got
        assert got["seconds"] >= 2, got  # the silence counts


# ---- How it ends ----


def test_nobody_listens():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        got, stderr = bench(port_of(sock), status=3)
        assert got["errors"] == dict(got["errors"], refused=1, total=1) and got["connects_failed"] == 1, got
        assert "connection refused: nothing listens on" in stderr, stderr
        status, stdout, stderr = run_weir("bench", str(port_of(sock)))
        assert (status, stdout) == (3, ""), (status, stdout, stderr)
    status, stdout, stderr = run_weir("bench", "no-such-host.invalid:1")
    assert status == 6 and stdout == "" and "no-such-host.invalid" in stderr, (status, stdout, stderr)


def test_a_server_that_resets_or_closes_everybody():
    def drop(client):
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Peer(drop) as peer:
        got, stderr = bench(peer.port, "-d", "300ms", "-c", 2, status=4)
        assert got["errors"]["reset"] >= 2 and "connection reset: " in stderr, (got, stderr)
    with Peer(lambda client: client.recv(65536)) as peer:
        got, stderr = bench(peer.port, "-d", "300ms", "-c", 2, "-s", 10, status=1)
        assert got["errors"]["closed"] >= 2 and "closed each connection before" in stderr, (got, stderr)


def test_a_server_that_does_not_answer():
    with Server() as server:
        got, stderr = bench(server.port, "-n", 1000, "-c", 3, status=5)
        assert "no answers; use --one-way" in stderr, stderr
        assert got["seconds"] >= 5 and got["sent"] == got["errors"]["unanswered"] == 3, got
        _, stderr = bench(server.port, "-d", "100ms", status=5)
        assert "no answers; use --one-way" in stderr, stderr
    with Server("--reply", "text:OK") as server:
        got, stderr = bench(server.port, "-d", "100ms", status=5)
        assert "no answers as long as the messages; --frame says" in stderr and got["bytes_in"], (got, stderr)


def test_fail_if():
    with Server("--reply", "echo") as server:
        got, stderr = bench(server.port, "-n", 100, "--fail-if", "p99>60s,errors>0")
        assert got["answered"] == 100 and stderr == "", (got, stderr)
        _, stderr = bench(server.port, "-n", 100, "--fail-if", "p99>1us,errors>0", status=1)
        assert "p99>1us: it was " in stderr and "errors" not in stderr, stderr


def test_ctrl_c_ends_it_with_its_result():
    with Server("--reply", "echo") as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            with weir("bench", "-d", "1h", "-c", 5, str(server.port)) as load:
                before = server.cpu_seconds()
                wait_for(lambda: server.cpu_seconds() > before + 0.1, "load")
                load.send_signal(number)
                assert load.wait() == 0
                assert "5 connections to tcp://127.0.0.1:%d" % server.port in load.stdout.text(), load.stdout.text()


def test_a_live_line_on_a_terminal():
    with Server("--reply", "echo") as server, \
            weir("bench", "-d", "1h", "-c", 5, str(server.port), terminal=True) as load:
        load.stdout.wait(r"[1-9][0-9,]* messages/s   p50 .* 5 connections   0 errors")
        load.stdin.write(b"\x03")
        assert load.wait() == 0
        rest = load.stdout.text().rsplit("\r\x1b[K", 1)[1]
        assert rest.startswith("5 connections to tcp://127.0.0.1:%d, 128 bytes a message" % server.port), rest
        for label in ("messages ", "bytes ", "latency ", "connects ", "errors "):
            assert "\n" + label in rest, rest


def test_wrong_usage():
    for words, sentence in [
            (["8000", "-p", "2", "--one-way"], "-p counts messages that wait for an answer"),
            (["8000", "-s", "2", "--file", "x"], "-s and --file exclude each other"),
            (["unix:x", "--from", "127.0.0.1"], "a unix socket is not connected to from an address"),
            (["8000", "--from", "localhost"], "--from localhost: not an IPv4 or IPv6 address"),
            (["8000", "--fail-if", "speed>1"], "--fail-if "),
            (["8000", "--misbehave", "x"], "--misbehave "),
            (["8000", "--frame", "length:u8", "-s", "300"], "too long for one message in this framing"),
            (["0"], "connect to which port?"),
            ([], "bench what?"),
            (["8000", "-c", "100000000"], "there is room for "),
            (["8000", "--rate", "0"], "--rate 0: too small")]:
        status, stdout, stderr = run_weir("bench", *words)
        assert status == 2 and stdout == "" and sentence in stderr, (words, status, stderr)
    status, _, stderr = run_weir("bench", "8000", "--file", "/no/such/file")
    assert status == 1 and "/no/such/file: " in stderr, (status, stderr)


def test_too_few_descriptors():
    status, stdout, stderr = run_weir("bench", "8000", "-c", "100", wrap=["prlimit", "--nofile=100:100"])
    assert status == 2 and stdout == "", (status, stderr)
    assert "-c 100: there is room for " in stderr and "(descriptor limit 100" in stderr, stderr


def test_misbehaving_ones_beside_the_others():
    with Server("--frame", "line", "--reply", "echo") as server:
        got, _ = bench(server.port, "--frame", "line", "-c", 10, "-d", "500ms", "--misbehave", "half=20")
        assert got["connects"] == 8 and got["answered"] > 0 and got["errors"]["total"] == 0, got
        assert got["misbehave"], got
        got, _ = bench(server.port, "--frame", "line", "-c", 4, "-d", "300ms", "--misbehave", "garbage", "--seed", 7)
        assert got["connects"] == got["sent"] == 0 and got["misbehave"], got
