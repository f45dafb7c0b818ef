# SPDX-License-Identifier: BSD-3-Clause
"""weir connect in pipes, and a server that ends its side first: that is the end of what it says, and not of what it
takes. (As a server that receives a file: nc -N -l 8000 </dev/null >file.)"""
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading

from harness import DEADLINE, FLAVOUR, accept, lasting_port, listener, recv_all, \
    recv_exactly, reset, run_weir, skip, wait_for, weir
from test_connect import expect_end, feed, fill, port_of


def listens_on(sock):
    """The words after `connect` for a listener."""
    return "unix:" + sock.getsockname() if sock.family == socket.AF_UNIX else str(port_of(sock))


class unix_listener:
    """As harness.listener, on a unix socket in a folder of its own."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-flow-")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE)
        self.sock.bind(os.path.join(self.folder.name, "s"))
        self.sock.listen(16)
        return self.sock

    def __exit__(self, *_):
        self.sock.close()
        self.folder.cleanup()


class ended_server:
    """A connection of a client to a server that has said this, and ended its side: the server's socket. The client has
    seen that, which the end of its output shows."""

    def __init__(self, sock, client, said=b"welcome\n"):
        self.sock, self.client, self.said = sock, client, said

    def __enter__(self):
        self.server = accept(self.sock)
        self.server.sendall(self.said)
        self.server.shutdown(socket.SHUT_WR)
        self.client.stdout.finish()
        return self.server

    def __exit__(self, *_):
        self.server.close()


def test_all_of_the_input_arrives():
    data = random.Random(3).randbytes(5000000 if FLAVOUR == "release" else 1500000)
    for make in (listener, unix_listener):
        with make() as sock, tempfile.TemporaryFile() as given:
            given.write(data)
            given.seek(0)
            with weir("connect", listens_on(sock), stdin=given) as client, accept(sock) as server:
                server.shutdown(socket.SHUT_WR)
                assert recv_all(server) == data
                server.close()
                assert (client.wait(), client.stdout.bytes(), client.stderr.text()) == (0, b"", "")


def test_a_server_that_ends_its_side_while_a_slow_one_still_takes():
    """The pipe is full and the client blocked when the end comes."""
    with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client, accept(sock) as server:
        written = fill(client)
        server.shutdown(socket.SHUT_WR)
        client.stdout.finish()
        feed(client, b"last")
        assert len(recv_all(server)) == written + 4
        server.close()
        assert (client.wait(), client.stderr.text()) == (0, "")


def test_what_comes_late_arrives():
    for make in (listener, unix_listener):
        for options, typed, wire in (((), b"late", b"late"), (("--frame", "line"), b"a\nb", b"a\nb\n"),
                                     (("--frame", "length:u8"), b"a\nbc\n", b"\1a\2bc"),
                                     (("-C",), b"a\nb\n", b"a\r\nb\r\n"), (("--hex",), b"41 42\n43", b"ABC"),
                                     (("--hex", "--frame", "line"), b"41\n42", b"A\nB\n"),
                                     (("--frame", "line", "--print", "text"), b"a\n", b"a\n"), ((), b"", b"")):
            with make() as sock, weir("connect", *options, listens_on(sock), stdin=True) as client, \
                    ended_server(sock, client) as server:
                assert client.process.poll() is None
                feed(client, typed)
                assert recv_all(server) == wire, options
                server.close()
                assert (client.wait(), client.stdout.bytes(), client.stderr.text()) == (0, b"welcome\n", ""), options


def test_early_and_late_and_many_lines():
    lines = b"".join(b"%d\n" % number for number in range(1, 100001))
    for options in ((), ("--frame", "line")):
        with listener() as sock, weir("connect", *options, listens_on(sock), stdin=True) as client:
            client.stdin.write(b"early\n")
            with ended_server(sock, client) as server:
                assert recv_exactly(server, 6) == b"early\n"
                feed(client, lines)
                assert recv_all(server) == lines
                server.close()
                assert (client.wait(), client.stdout.bytes(), client.stderr.text()) == (0, b"welcome\n", "")


def test_reader_of_its_output_learns_of_the_end():
    """Else a program between our output and our input would wait for us, and we for it: tac, of which nothing comes
    before the end."""
    if shutil.which("tac") is None:
        skip("tac is not installed")
    with listener() as sock:
        to_client, from_tac = os.pipe()
        from_client, to_tac = os.pipe()
        tac = subprocess.Popen(["tac"], stdin=from_client, stdout=from_tac)
        os.close(from_client)
        os.close(from_tac)
        with weir("connect", listens_on(sock), stdin=to_client, stdout=to_tac) as client, accept(sock) as server:
            os.close(to_client)
            os.close(to_tac)
            server.sendall(b"one\ntwo\n")
            server.shutdown(socket.SHUT_WR)
            assert recv_all(server) == b"two\none\n"
            server.close()
            assert (client.wait(), client.stderr.text()) == (0, "")
        assert tac.wait(DEADLINE) == 0


def test_rest_of_a_character_is_shown_at_the_end():
    with listener() as sock, weir("connect", "--print", "text", listens_on(sock), stdin=True) as client, \
            ended_server(sock, client, b"caf\xc3") as server:
        assert client.stdout.bytes() == b"caf\\xc3\n"
        feed(client, b"late")
        assert recv_all(server) == b"late"


def test_end_inside_a_message_is_said_when_all_is_sent():
    with listener() as sock, weir("connect", "--frame", "length:u16be", "--print", "text", listens_on(sock),
                                  stdin=True) as client, ended_server(sock, client, b"\0\3one\0\5hel") as server:
        assert client.stderr.text() == ""
        feed(client, b"late\n")
        assert recv_all(server) == b"\0\4late"
        server.close()
        assert client.wait() == 1
        assert client.stderr.text().endswith("ended inside a message: 5 bytes were left over\n"), client.stderr.text()
        assert client.stdout.bytes() == b"one\n"


def test_server_that_is_gone_resets_what_comes_late():
    """Its FIN was that of a close. Whether it is much that comes late, or little with its end right behind it."""
    for late, ends in ((b"x" * 5000000, True), (b"late", True), (b"late", False)):
        with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client:
            with ended_server(sock, client):
                pass
            assert client.process.poll() is None
            if ends:
                feed(client, late)
            else:
                client.stdin.write(late)
            assert client.wait() == 4, (len(late), ends, client.stderr.text())
            assert "connection reset" in client.stderr.text(), client.stderr.text()
            assert client.stdout.bytes() == b"welcome\n"


def test_input_that_never_ends_meets_the_reset():
    with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client, \
            ended_server(sock, client) as server:
        over = threading.Event()

        def write():
            try:
                while not over.is_set():
                    client.stdin.write(b"more and more ")
            except (BrokenPipeError, ValueError):
                pass
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        recv_exactly(server, 100000)
        reset(server)
        assert client.wait() == 4, client.stderr.text()
        over.set()


def test_reset_while_nothing_is_typed():
    with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client, \
            ended_server(sock, client) as server:
        reset(server)
        assert client.wait() == 4, client.stderr.text()


def test_server_gone_from_a_unix_socket_is_noticed_at_once():
    """The input has not ended, and what it may still bring can go nowhere: as over TCP, where the next byte shows it."""
    with unix_listener() as sock, weir("connect", listens_on(sock), stdin=True) as client:
        with ended_server(sock, client):
            pass
        assert (client.wait(), client.stdout.bytes()) == (4, b"welcome\n")
        assert "connection reset" in client.stderr.text(), client.stderr.text()
    with unix_listener() as sock, weir("connect", listens_on(sock), stdin=True) as client:
        server = accept(sock)
        fill(client)
        server.shutdown(socket.SHUT_WR)
        client.stdout.finish()
        server.close()
        assert client.wait() == 4, client.stderr.text()
        assert "connection reset" in client.stderr.text(), client.stderr.text()


def test_end_of_the_input_first_is_as_ever():
    with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client:
        feed(client, b"question")
        with accept(sock) as server:
            assert recv_all(server) == b"question"
            server.sendall(b"answer")
        assert (client.wait(), client.stdout.bytes(), client.stderr.text()) == (0, b"answer", "")


def test_timeout_goes_on():
    """It is how long nothing may have come, whatever else goes on."""
    with listener() as sock, weir("connect", "--timeout", "300ms", listens_on(sock), stdin=True) as client, \
            ended_server(sock, client) as server:
        assert client.wait() == 5, client.stderr.text()
        expect_end(server)


def test_signal_ends_it_behind_the_servers_end():
    with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client, \
            ended_server(sock, client) as server:
        assert client.stop(15) == -15
        expect_end(server)


def test_it_waits_without_work():
    """A FIN that has been read is not read again and again."""
    with listener() as sock, weir("connect", listens_on(sock), stdin=True) as client, ended_server(sock, client):
        wait_for(client.is_asleep, "the client to wait")


def receivers():
    """Servers that people receive a file with, as far as they are installed; each ends its side at once."""
    if shutil.which("nc") and b"-N" in subprocess.run(["nc", "-h"], capture_output=True, check=False).stderr:
        yield ["nc", "-N", "-l", "127.0.0.1"]
    if shutil.which("ncat"):
        yield ["ncat", "-l", "127.0.0.1"]


def test_against_nc_and_ncat():
    data = b"".join(b"%d\n" % number for number in range(200000))
    commands = list(receivers())
    if not commands:
        skip("neither nc of OpenBSD nor ncat is installed")
    for command in commands:
        port = str(lasting_port())
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as got:
            given.write(data)
            with subprocess.Popen(command + [port], stdin=subprocess.DEVNULL, stdout=got) as server:
                def deliver(number=port, file=given):
                    file.seek(0)
                    return run_weir("connect", number, stdin=file)
                try:
                    status, _, stderr = wait_for(lambda run=deliver: nothing_if_refused(run()), "a server")
                    server.wait(DEADLINE)
                finally:
                    server.kill()
            got.seek(0)
            assert (status, stderr, got.read() == data) == (0, "", True), (command, status, stderr)


def nothing_if_refused(result):
    return None if result[0] == 3 else result
