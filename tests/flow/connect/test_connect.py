# SPDX-License-Identifier: BSD-3-Clause
"""weir connect in pipes: bytes in, bytes out, and how it ends. See test_connect_terminal.py for somebody who types, and
test_connect_half_close.py for a server that ends its side first."""
import os
import random
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading

from harness import DEADLINE, FLAVOUR, PATIENCE, Server, accept, listener, recv_all, recv_exactly, reset, run_weir, \
    skip, wait_for, weir
from lab import Stopwatch


def port_of(sock):
    return sock.getsockname()[1]


def free_port():
    """A port that nobody listens on, held so that nobody else takes it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def feed(process, data):
    """Writes to its standard input, and ends that, in a thread: it may be slow to read."""
    def write():
        try:
            view = memoryview(data)
            while view:
                view = view[process.stdin.write(view):]
            process.stdin.close()
        except (BrokenPipeError, ValueError):  # it has ended, and the test with it
            pass
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def pipe_through(data, *arguments):
    """(status, standard output, standard error) of a client that is given this."""
    with weir("connect", *arguments, stdin=True) as client:
        feed(client, data)
        status = client.wait(DEADLINE)
        return status, client.stdout.bytes(), client.stderr.text()


def test_piped_bytes_go_and_come_as_they_are():
    data = random.Random(1).randbytes((8 if FLAVOUR == "release" else 2) << 20)
    with Server("--reply", "echo") as server:
        for url in ("tcp://127.0.0.1:%d" % server.port, "%d" % server.port, "localhost:%d" % server.port):
            assert pipe_through(data, url) == (0, data, ""), url


def test_file_in_file_out():
    data = random.Random(2).randbytes(1 << 20)
    with Server("--reply", "echo") as server, tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as got:
        given.write(data)
        given.flush()
        given.seek(0)
        with weir("connect", str(server.port), stdin=given, stdout=got) as client:
            assert client.wait() == 0
        got.seek(0)
        assert got.read() == data


def test_unix_socket():
    with Server("--listen", "unix:s", "--frame", "line", "--reply", "echo") as server:
        url = "unix:" + os.path.join(server.home.name, "s")
        assert pipe_through(b"one\ntwo\n", url) == (0, b"one\ntwo\n", "")
    status, _, stderr = pipe_through(b"", url)
    assert status == 3 and "nothing listens on " + url in stderr, stderr


def test_ipv6():
    try:
        server = Server("--listen", "[::1]:0", "--reply", "echo")
    except AssertionError:
        skip("no IPv6 here")
    with server:
        assert pipe_through(b"x", "[::1]:%d" % server.port) == (0, b"x", "")
        assert pipe_through(b"x", server.urls[0]) == (0, b"x", "")


def test_end_of_input_is_a_half_close_and_answers_are_awaited():
    with listener() as sock, weir("connect", str(port_of(sock)), stdin=True) as client:
        feed(client, b"question")
        with accept(sock) as server:
            assert recv_all(server) == b"question"  # up to its FIN
            for piece in (b"ans", b"wer", b"!" * 100000):
                server.sendall(piece)
                client.wait_stdout(piece[-3:].decode() + "$")
            assert client.process.poll() is None
        assert client.wait() == 0
        assert client.stdout.bytes() == b"answer" + b"!" * 100000


def test_input_that_is_empty_or_was_never_open():
    for stdin, wrap in ((False, ()), (True, ()), (False, ("sh", "-c", 'exec "$@" <&-', "sh"))):
        with listener() as sock, weir("connect", str(port_of(sock)), stdin=stdin, wrap=wrap) as client:
            if stdin:
                client.stdin.close()
            with accept(sock) as server:
                assert recv_all(server) == b""
                server.sendall(b"goodbye\n")
            assert client.wait() == 0
            assert (client.stdout.bytes(), client.stderr.text()) == (b"goodbye\n", "")


def test_input_that_cannot_be_read():
    with listener() as sock:
        folder = os.open("/", os.O_RDONLY)
        with weir("connect", str(port_of(sock)), stdin=folder) as client:
            with accept(sock) as server:
                expect_end(server)
            assert client.wait() == 1
            assert client.stderr.text() == "weir: standard input: is a directory\n", client.stderr.text()
        os.close(folder)


def expect_end(sock):
    """Its end, in order or not."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


def fill(client):
    """Writes to its standard input until it takes no more for a while, and has nothing else to do. Returns how much
    that was."""
    os.set_blocking(client.stdin.fileno(), False)
    written = 0
    while True:
        if select.select([], [client.stdin], [], 0.3 * PATIENCE)[1]:
            written += client.stdin.write(b"x" * 65536) or 0
            assert written < 64 << 20, "it takes everything"
        elif client.is_asleep():
            return written


def test_slow_server_slows_the_reading():
    """It holds no more than a chunk: what the server does not take stays in the pipe."""
    with listener() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with weir("connect", str(port_of(sock)), stdin=True) as client, accept(sock) as server:
            written = fill(client)
            client.stdin.close()
            assert len(recv_all(server)) == written
            server.close()
            assert client.wait() == 0


def test_reader_that_goes_away_ends_it():
    """As in: weir connect HOST | head -1."""
    reader, writer = os.pipe()
    with Server("--reply", "echo") as server, weir("connect", str(server.port), stdin=True, stdout=writer) as client:
        os.close(writer)
        client.stdin.write(b"one\n")
        assert os.read(reader, 100) == b"one\n"
        os.close(reader)
        client.stdin.write(b"two\n")
        assert client.wait() == -13  # SIGPIPE, as any program in a pipe


def test_full_disk():
    with open("/dev/full", "wb") as full, Server("--reply", "echo") as server, \
            weir("connect", str(server.port), stdin=True, stdout=full) as client:
        client.stdin.write(b"one\n")
        assert client.wait() == 1
        assert client.stderr.text().lower() == "weir: standard output: no space left on device\n", client.stderr.text()


def test_standard_output_was_never_open():
    """An answer has nowhere to go; without one there is nothing to be said."""
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    for options in ((), ("--print", "text"), ("--frame", "line")):
        with Server("--reply", "echo") as server, weir("connect", *options, str(server.port), stdin=True,
                                                       wrap=closed) as client:
            client.stdin.write(b"one\n")
            client.stdin.close()
            assert client.wait() == 1
            assert client.stderr.text().lower() == "weir: standard output: bad file descriptor\n", client.stderr.text()
    with Server() as server:
        for options in ((), ("--print", "off")):
            assert run_weir("connect", *options, str(server.port), wrap=closed) == (0, "", "")


def test_frame_with_piped_lines():
    """Each line is one message, the last one also without its newline; answers come out as the server sent them."""
    for frame, wire in (("length:u16be", b"\x00\x03one\x00\x00\x00\x05three"), ("line", b"one\n\nthree\n"),
                        ("line:crlf", b"one\r\n\r\nthree\r\n"), ("delimiter:\\x03", b"one\x03\x03three\x03"),
                        ("length:u8,offset=1", b"onethree"), ("raw", b"onethree")):
        with listener() as sock, weir("connect", "--frame", frame, str(port_of(sock)), stdin=True) as client:
            feed(client, b"one\r\n\nthree")
            with accept(sock) as server:
                assert recv_all(server) == wire, frame
                server.sendall(wire)
            assert client.wait() == 0
            assert client.stdout.bytes() == wire, frame


def test_frame_end_to_end():
    with Server("--frame", "length:u32le", "--reply", "echo", "--print", "json") as server:
        lines = [b"line %d" % number for number in range(5000)]
        status, out, err = pipe_through(b"\n".join(lines) + b"\n", "--frame", "length:u32le", str(server.port))
        assert (status, err) == (0, "")
        assert out == b"".join(len(line).to_bytes(4, "little") + line for line in lines)


def test_crlf():
    for flag in ("-C", "--crlf"):
        with listener() as sock, weir("connect", flag, str(port_of(sock)), stdin=True) as client:
            feed(client, b"one\ntwo\r\n\n\rx\nlast")
            with accept(sock) as server:
                assert recv_all(server) == b"one\r\ntwo\r\n\r\n\rx\r\nlast"
            assert client.wait() == 0


def test_hex_lines():
    """Each line is bytes, with or without blanks between them; framed, each is a message."""
    lines = b"01 03 00\xff\n".replace(b"\xff", b"ff") + b"\n  \n0A:0b,0c\r\n0x10\n4142"
    for options, wire in (((), b"\x01\x03\x00\xff\x0a\x0b\x0c\x10AB"),
                          (("--frame", "length:u8"), b"\x04\x01\x03\x00\xff\x03\x0a\x0b\x0c\x01\x10\x02AB")):
        with listener() as sock, weir("connect", "--hex", *options, str(port_of(sock)), stdin=True) as client:
            feed(client, lines)
            with accept(sock) as server:
                assert recv_all(server) == wire
            assert (client.wait(), client.stderr.text()) == (0, "")


def test_lines_that_are_not_hex_are_named():
    for bad in (b"xyz", b"123", b"41\x0042"):
        with listener() as sock, weir("connect", "--hex", str(port_of(sock)), stdin=True) as client:
            feed(client, b"41\n\n" + bad + b"\n42\n")
            with accept(sock) as server:
                expect_end(server)
            assert client.wait() == 1
            assert client.stderr.text() == "weir: standard input, line 3: not hexadecimal; as in: 01 03 ff\n", \
                client.stderr.text()


def test_print_modes_in_a_pipe():
    answer = b"one\r\n\x1b[2Jtwo\n\xc4\xe3"
    for options, expected in (
            (("--print", "raw"), answer), (("--print", "off"), b""), (("--print", "auto"), answer),
            (("--print", "text"), b"one\n\\x1b[2Jtwo\n\\xc4\\xe3\n"),
            (("--print", "text", "--encoding", "gbk"), "one\n\\x1b[2Jtwo\n\u4f60\n".encode()),
            (("--print", "hex"), b"6f 6e 65 0d 0a 1b 5b 32 4a 74 77 6f 0a c4 e3\n"),
            (("--print", "both", "--frame", "line"),
             b"6f 6e 65  |one|\n1b 5b 32 4a 74 77 6f  |.[2Jtwo|\nc4 e3  |..|\n"),
            (("--print", "raw", "--frame", "line"), answer)):
        with listener() as sock, weir("connect", *options, str(port_of(sock)), stdin=True) as client:
            feed(client, b"x")
            with accept(sock) as server:
                recv_all(server)
                server.sendall(answer)
            assert (client.wait(), client.stderr.text()) == (0, ""), options
            assert client.stdout.bytes() == expected, (options, client.stdout.bytes())


def test_send_frame():
    """One framing each way."""
    with listener() as sock, weir("connect", "--frame", "line", "--send-frame", "length:u8", "--print", "text",
                                  str(port_of(sock)), stdin=True) as client:
        feed(client, b"one\ntwo\n")
        with accept(sock) as server:
            assert recv_all(server) == b"\x03one\x03two"
            server.sendall(b"1\n2\n")
        assert client.wait() == 0
        assert client.stdout.bytes() == b"1\n2\n"


def test_line_too_long_for_a_message():
    with listener() as sock, weir("connect", "--frame", "length:u8", str(port_of(sock)), stdin=True) as client:
        feed(client, b"x" * 256 + b"\n")
        with accept(sock) as server:
            expect_end(server)
        assert client.wait() == 1
        assert client.stderr.text() == "weir: standard input: a line is too long for one message\n", client.stderr.text()


# ---- How it ends ----

def test_refused():
    with free_port() as sock:
        status, stdout, stderr = run_weir("connect", str(port_of(sock)))
        assert (status, stdout) == (3, ""), (status, stderr)
        assert stderr == "weir: connection refused: nothing listens on tcp://127.0.0.1:%d; start a server there with: " \
            "weir serve %d\n" % (port_of(sock), port_of(sock)), stderr


def swapped_pair():
    """Two ports, each the other with its bytes swapped: a listener on one, nobody on the other, which is held."""
    for _ in range(1000):
        sock = listener()
        port = port_of(sock)
        other = (port & 0xff) << 8 | port >> 8
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if other > 1024 and other != port:
                held.bind(("127.0.0.1", other))
                return sock, port, held, other
        except OSError:
            pass
        held.close()
        sock.close()
    raise AssertionError("no such ports")


def test_refused_because_of_a_forgotten_htons():
    sock, port, held, other = swapped_pair()
    with sock, held:
        for host in ("127.0.0.1", "localhost"):
            status, _, stderr = run_weir("connect", "%s:%d" % (host, other))
            assert status == 3 and stderr == "weir: connection refused: nothing listens on %d, but something does on %d, " \
                "which is %d without htons\n" % (other, port, other), stderr


def test_reset():
    with listener() as sock, weir("connect", str(port_of(sock)), stdin=True) as client:
        server = accept(sock)
        client.stdin.write(b"x")
        recv_exactly(server, 1)
        reset(server)
        assert client.wait() == 4
        assert client.stderr.text().startswith("weir: connection reset: tcp://127.0.0.1:%d" % port_of(sock))


def test_end_inside_a_message():
    """Only where answers are read as messages, and the framing has no use for the rest."""
    for options, answer, shown, left in (
            (("--frame", "length:u16be", "--print", "text"), b"\0\3one\0\5hel", b"one\n", "5 bytes were"),
            (("--frame", "length:u16be", "--print", "hex"), b"\0", b"", "1 byte was"),
            (("--frame", "length:u16be", "--print", "text"), b"\0\3one", b"one\n", None),
            (("--frame", "length:u16be", "--print", "raw"), b"\0\5hel", b"\0\5hel", None),
            (("--frame", "line", "--print", "text"), b"one\ntw", b"one\ntw\n", None),
            (("--print", "text"), b"\0\5hel", b"\\0\\x05hel\n", None)):
        with listener() as sock, weir("connect", *options, str(port_of(sock)), stdin=True) as client:
            feed(client, b"x\n")
            with accept(sock) as server:
                recv_all(server)
                server.sendall(answer)
            said = "weir: tcp://127.0.0.1:%d ended inside a message: %s left over\n" % (port_of(sock), left)
            assert (client.wait(), client.stderr.text()) == ((1, said) if left else (0, "")), (options, answer)
            assert client.stdout.bytes() == shown, (options, client.stdout.bytes())


def fill_queue(sock):
    """Clients that a listener does not accept, enough for it to answer no more. The first is in the queue for certain
    before the others try."""
    queue = [socket.create_connection(sock.getsockname(), DEADLINE)] + [socket.socket() for _ in range(3)]
    for client in queue[1:]:
        client.setblocking(False)
        client.connect_ex(sock.getsockname())
    return queue


def test_timed_out():
    """A listener whose queue is full does not answer, as a machine that is off."""
    with listener(backlog=0) as sock:
        queue = fill_queue(sock)
        status, stdout, stderr = run_weir("connect", "--connect-timeout", "300ms", str(port_of(sock)))
        for client in queue:
            client.close()
        if status == 0:
            skip("the kernel's queue of clients is longer here")
        assert (status, stdout) == (5, ""), (status, stderr)
        assert stderr.startswith("weir: timed out: no answer from tcp://127.0.0.1:%d" % port_of(sock)), stderr


def test_silence_times_out():
    """What counts is what comes from the server: neither what is sent, nor a message that is not whole yet."""
    with listener() as sock, weir("connect", "--frame", "line", "--print", "text", "--timeout", "400ms",
                                  str(port_of(sock)), stdin=True) as client, accept(sock) as server:
        watch = Stopwatch()
        for _ in range(3):
            server.sendall(b"x")
            wait_for(lambda end=watch.seconds() + 0.25: watch.seconds() > end, "a pause shorter than the limit")
            client.stdin.write(b"question\n")
        last = watch.seconds()
        server.sendall(b"\n")
        assert client.wait() == 5
        assert watch.seconds() - last >= 0.4, watch.seconds() - last
        assert client.stdout.bytes() == b"xxx\n"
        assert client.stderr.text() == "weir: timed out: nothing has come from tcp://127.0.0.1:%d for 400ms\n" % \
            port_of(sock), client.stderr.text()


def test_reader_that_is_slow_is_no_silence():
    """What has come waits for whoever reads our output: the server is not to blame."""
    with listener() as sock, weir("connect", "--timeout", "300ms", str(port_of(sock))) as client, accept(sock) as server:
        client.stdout.freeze()
        watch = Stopwatch()
        server.sendall(b"x" * (1 << 18))
        wait_for(lambda: watch.seconds() > 0.9, "a time longer than the limit")
        assert client.process.poll() is None, client.stderr.text()
        client.stdout.thaw()
        server.close()
        assert client.wait() == 0, client.stderr.text()
        assert client.stdout.bytes() == b"x" * (1 << 18)


def test_timeout_bounds_the_connecting():
    with listener(backlog=0) as sock:
        queue = fill_queue(sock)
        watch = Stopwatch()
        status, stdout, stderr = run_weir("connect", "--timeout", "300ms", str(port_of(sock)))
        for client in queue:
            client.close()
        if status == 0:
            skip("the kernel's queue of clients is longer here")
        assert (status, stdout) == (5, "") and watch.seconds() >= 0.3, (status, stderr, watch.seconds())
        assert stderr.startswith("weir: timed out: no answer from tcp://127.0.0.1:%d" % port_of(sock)), stderr


def test_no_such_host():
    status, stdout, stderr = run_weir("connect", "no-such-host.invalid:80", deadline=25 * PATIENCE)
    assert (status, stdout) == (6, ""), (status, stderr)
    assert stderr.startswith("weir: no-such-host.invalid: "), stderr


def test_no_route():
    """In a world of its own, without a network."""
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run(alone + ["true"], stderr=subprocess.DEVNULL, check=False).returncode:
        skip("unshare does not work here")
    for address in ("192.0.2.1:9", "[2001:db8::1]:9"):
        status, _, stderr = run_weir("connect", address, wrap=alone)
        assert status == 6 and stderr.startswith("weir: no route: tcp://%s cannot be reached" % address), (status, stderr)


def test_wrong_usage():
    for arguments, words in (([], "connect where?"), (["1", "2"], "one address"), (["0"], "port"),
                             (["-C", "--frame", "line", "1"], "--frame line:crlf"), (["fd:3"], "fd:3"),
                             (["--frame", "lines", "1"], "--frame"), (["host:x"], "host:x"), (["tls://h:1"], "tls"),
                             (["--connect-timeout", "soon", "1"], "--connect-timeout"), (["--hexx", "1"], "--hex"),
                             (["-C", "--hex", "1"], "0d 0a"), (["--print", "json", "1"], "auto|raw|text"),
                             (["--timeout", "0", "1"], "--timeout"), (["--encoding", "nosuch", "1"], "nosuch"),
                             (["--encoding", "utf-7", "1"], "depend on those before")):
        status, stdout, stderr = run_weir("connect", *arguments)
        assert (status, stdout) == (2, "") and words in stderr, (arguments, status, stderr)


HOSTS = "127.0.0.1 here\n::1 here\n127.0.0.2 only-second\n127.0.0.1 only-second\n"


def with_hosts(folder):
    """Words before a command that give it names of our own, in a world of its own where only /etc/hosts is another."""
    path = os.path.join(folder, "hosts")
    with open(path, "w", encoding="ascii") as file:
        file.write(HOSTS)
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', path]
    if shutil.which("unshare") is None or \
            subprocess.run(words + ["true"], stderr=subprocess.DEVNULL, check=False).returncode:
        skip("unshare does not work here")
    return words


def test_every_address_of_a_name_is_tried():
    """A server that listens on one of them is found, whichever it is and whatever comes first."""
    with tempfile.TemporaryDirectory() as folder:
        hosts = with_hosts(folder)
        for address, name in (("127.0.0.1", "here"), ("[::1]", "here"), ("127.0.0.1", "only-second"),
                              ("127.0.0.2", "only-second")):
            try:
                server = Server("--listen", address + ":0", "--reply", "echo")
            except AssertionError:
                continue  # no IPv6 here
            with server, weir("connect", "%s:%d" % (name, server.port), stdin=True, wrap=hosts) as client:
                feed(client, b"x")
                assert client.wait() == 0, (address, name, client.stderr.text())
                assert client.stdout.bytes() == b"x"
        with free_port() as sock, weir("connect", "here:%d" % port_of(sock), wrap=hosts) as client:
            assert client.wait() == 3, client.stderr.text()


def test_kill_it_while_it_waits():
    for number in (2, 15):
        with listener() as sock, weir("connect", str(port_of(sock)), stdin=True) as client, accept(sock) as server:
            client.stdin.write(b"x")
            recv_exactly(server, 1)
            assert client.stop(number) == -number
            expect_end(server)


def test_two_clients_and_a_restart():
    """The server comes again on the same port, and clients with it."""
    with Server("--frame", "line", "--reply", "echo") as server:
        assert pipe_through(b"one\n", str(server.port))[:2] == (0, b"one\n")
        port = server.port
    assert run_weir("connect", str(port))[0] == 3
    with Server("--listen", "127.0.0.1:%d" % port, "--frame", "line", "--reply", "text:again"):
        assert pipe_through(b"one\n", str(port))[:2] == (0, b"again\n")
