# SPDX-License-Identifier: BSD-3-Clause
"""The examples do what they say, compiled by the line that their first comment gives: the tutorial's server and client
against each other and against weir, and the programs on libweir. echo.c is tried by tests/api/check_echo.py."""
import glob
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import (FLAVOUR, ROOT, WEIR, Process, Server, accept, connect, expect_eof, listener,
                     recv_all, recv_exactly, recv_until, reset, run_weir, wait_for)

BUILD = os.path.dirname(os.path.abspath(WEIR))
SANITIZED = FLAVOUR in ("asan", "tsan")  # memory is not what it is then, and `cc` knows nothing of it
WORKERS = [1, 2]


# ---- Building ----


def first_comment(name):
    with open(os.path.join(ROOT, "examples", name + ".c"), encoding="utf-8") as file:
        comment = re.match(r"/\*(.*?)\*/", file.read(), re.S)[1]
    return " ".join(re.sub(r"^ \* ?", "", comment, flags=re.M).split())


def compile_by_its_own_line(name, folder):
    """Runs the line in a folder that looks like the clone, so that nothing is left behind in the clone itself."""
    line = re.search(r"`(cc examples/%s\.c [^`]*)`" % name, first_comment(name))
    assert line, "examples/%s.c does not say how to compile it" % name
    os.symlink(os.path.join(ROOT, "examples"), os.path.join(folder, "examples"))
    with open(os.path.join(folder, "dev"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec '%s' \"$@\"\n" % os.path.join(ROOT, "dev"))
    os.chmod(file.name, 0o755)
    done = subprocess.run(["sh", "-c", line[1]], cwd=folder, env=dict(os.environ, WEIR_BUILD=BUILD, CI="1"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and done.stdout == "", "%s\n%s" % (line[1], done.stdout)
    return os.path.join(folder, name)


class Example:
    """A program, ready to be started: `with Example("dial") as dial: Process([dial.path, ...])`. Compiled by its own
    line; with a sanitizer, which that line does not know of, it is the one that meson built."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-example-")
        try:
            if not SANITIZED:
                self.path = compile_by_its_own_line(self.name, self.folder.name)
            else:
                self.path = os.path.join(BUILD, "examples", "example_" + self.name)
        except BaseException:
            self.folder.cleanup()
            raise
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def serve(self, *arguments, **process):
        """Started as a server, on a free port."""
        return Server("0", *arguments, program=self.path, **process)

    def run(self, *arguments, **process):
        """Runs to its end: (status, standard output, standard error)."""
        with Process([self.path] + [str(word) for word in arguments], **process) as command:
            status = command.wait()
            return status, command.stdout.bytes(), command.stderr.text()


def letters(count, seed=0):
    return bytes(random.Random(count + seed).choices(b"abcdefghijklmnopqrstuvwxyz ", k=count))


class Input:
    """A file to be somebody's standard input."""

    def __init__(self, content):
        self.file = tempfile.TemporaryFile()
        self.file.write(content)
        self.file.seek(0)

    def __enter__(self):
        return self.file

    def __exit__(self, *_):
        self.file.close()


def send_in_background(sock, content, then=lambda: None):
    def run():
        sock.sendall(content)
        then()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def tcp_state(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]


def test_each_says_how_to_compile_it():
    names = [os.path.basename(path)[:-2] for path in sorted(glob.glob(os.path.join(ROOT, "examples", "*.c")))]
    assert {"echo", "chat", "codec", "dial", "tutorial_server", "tutorial_client"} <= set(names), names
    for name in names:
        with tempfile.TemporaryDirectory(prefix="weir-example-") as folder:
            if not SANITIZED:
                assert os.access(compile_by_its_own_line(name, folder), os.X_OK), name
            else:
                assert "`cc examples/%s.c " % name in first_comment(name), name


# ---- The tutorial's server ----


def test_tutorial_server_echoes_and_shows_messages_of_any_length():
    with Example("tutorial_server") as example, example.serve() as server, server.connect() as client:
        for count in (1, 127, 128, 129, 255, 256, 5000, 100000):
            message = letters(count)
            client.sendall(message)
            assert recv_exactly(client, count) == message
        client.close()
        server.wait_stdout("^#1 closed: ")
        # Nothing but the bytes: what is shown of a whole buffer ends where the buffer ends.
        shown = [line for line in server.stdout.text().splitlines() if " bytes: " in line]
        whole = [line for line in shown if line.startswith("#1 128 bytes: ")]
        assert len(whole) > 2 and all(len(line) == len("#1 128 bytes: ") + 128 for line in whole), whole
        total = sum(int(line.split()[1]) for line in shown)
        assert total == 1 + 127 + 128 + 129 + 255 + 256 + 5000 + 100000, total


def test_tutorial_server_shows_no_escape_codes():
    with Example("tutorial_server") as example, example.serve() as server, server.connect() as client:
        client.sendall(b"a\x1b[2J\0b\x7f\xe4\xbd\xa0\n")
        server.wait_stdout("^#1 12 bytes: a\\.\\[2J\\.b\\.\u4f60\\.$")


def test_tutorial_server_serves_many_clients_at_once():
    with Example("tutorial_server") as example, example.serve() as server:
        clients = [server.connect() for _ in range(200)]
        try:
            for number, client in enumerate(clients):
                client.sendall(letters(300, number))
            for number, client in enumerate(clients):
                assert recv_exactly(client, 300) == letters(300, number)
        finally:
            for client in clients:
                client.close()


def test_tutorial_server_forgets_clients_that_reset():
    with Example("tutorial_server") as example, example.serve() as server:
        with server.connect() as client:
            client.sendall(b"x")
            recv_exactly(client, 1)
            before = server.descriptors() - 1
        for number in range(50):
            client = server.connect()
            client.sendall(letters(1000))
            if number % 2:
                recv_exactly(client, 1)
            reset(client)
        server.wait_stdout("^#51 closed: Connection reset by peer$")
        wait_for(lambda: server.descriptors() == before, "the descriptors to be closed")


def test_tutorial_server_outlives_writing_to_a_client_that_reset():
    """The reset overtakes the answer: the client ends its side and resets while the server stands still. A write to
    such a socket is what raises SIGPIPE."""
    fin_wait_2 = 5  # enum tcp_state: the server's machine has the client's end
    with Example("tutorial_server") as example, example.serve() as server:
        client = server.connect()
        client.sendall(b"x")
        recv_exactly(client, 1)
        server.send_signal(signal.SIGSTOP)
        client.sendall(letters(20000))
        client.shutdown(socket.SHUT_WR)
        wait_for(lambda: tcp_state(client) == fin_wait_2, "the end to arrive")
        reset(client)
        server.send_signal(signal.SIGCONT)
        server.wait_stdout("^#1 closed: Broken pipe$")
        with server.connect() as other:
            other.sendall(b"still there?")
            assert recv_exactly(other, 12) == b"still there?"


def test_tutorial_server_bounds_what_a_client_that_never_reads_may_cost():
    content = letters(1 << 20) * 24
    with Example("tutorial_server") as example, example.serve() as server, server.connect() as other:
        other.sendall(b"x")
        recv_exactly(other, 1)
        before = server.memory_bytes()
        with connect(server.port, receive_buffer=4096) as client:
            client.settimeout(0.5)
            sent = 0
            while sent < len(content):
                try:
                    sent += client.send(content[sent:sent + 65536])
                except TimeoutError:
                    if server.is_asleep():
                        break
            assert sent < len(content), "the server took all of it, and was not read"
            if not SANITIZED:
                assert server.memory_bytes() - before < 4 << 20, server.memory_bytes() - before
            other.sendall(b"y")
            assert recv_exactly(other, 1) == b"y"
            client.settimeout(other.gettimeout())
            assert recv_exactly(client, sent) == content[:sent]  # it was only late


def test_tutorial_server_answers_everything_after_a_half_close():
    content = letters(1 << 20) * 4
    with Example("tutorial_server") as example, example.serve() as server, server.connect() as client:
        sender = send_in_background(client, content, lambda: client.shutdown(socket.SHUT_WR))
        assert recv_all(client) == content
        sender.join()
        server.wait_stdout("^#1 closed: it had sent all, and was sent all$")


def test_tutorial_server_closes_idle_clients():
    with Example("tutorial_server") as example, example.serve("1") as server, server.connect() as client:
        expect_eof(client)
        server.wait_stdout("^#1 closed: it sent nothing for too long$")


def test_tutorial_server_waits_quietly_for_descriptors():
    with Example("tutorial_server") as example, example.serve(wrap=["prlimit", "--nofile=32"]) as server:
        start = time.monotonic()  # before: we may see the first line late, and all of them at once
        clients = [server.connect() for _ in range(60)]
        try:
            server.wait_stderr("^accept: Too many open files; again in 1 s$")
            before = server.cpu_seconds()
            server.wait_stderr("(?s)(again in 1 s\n.*){4}")
            assert time.monotonic() - start > 2.9, "it does not wait"
            assert server.cpu_seconds() - before < 0.2, "it is busy with waiting"
            clients[0].sendall(b"hello")  # whoever is in is served
            assert recv_exactly(clients[0], 5) == b"hello"
            for client in clients[:50]:
                client.close()
            clients[59].sendall(b"late")
            assert recv_exactly(clients[59], 4) == b"late"
        finally:
            for client in clients:
                client.close()


def test_tutorial_server_stops_with_clients_connected():
    with Example("tutorial_server") as example, example.serve() as server, server.connect() as client:
        client.sendall(b"x")
        recv_exactly(client, 1)
        assert server.stop() == 0
        expect_eof(client)
        assert server.stdout.text().endswith("#1 closed: the server stops\n")


def test_tutorial_server_says_when_the_port_is_taken():
    with Example("tutorial_server") as example, example.serve() as server:
        assert example.run(server.port) == (1, b"", "tutorial_server: Address already in use\n")
        assert example.run("65536")[0] == 2


# ---- The tutorial's client ----


def client_says(port, content):
    with Example("tutorial_client") as example, Input(content) as stdin:
        return example.run(port, stdin=stdin)


def test_tutorial_client_and_server():
    content = b"hello world\n" + letters(128) + b"\n" + letters(10000) + b"\n\nno newline at the end"
    with Example("tutorial_server") as example, example.serve() as server:
        assert client_says(server.port, content) == (0, content, "")
        assert client_says(server.port, b"") == (0, b"", "")
        content = letters(1 << 20) * 8
        assert client_says(server.port, content) == (0, content, "")


def test_tutorial_client_and_weir():
    content = b"hello world\n" + letters(128) + b"\n" + letters(100000) + b"\n"
    with Server("--frame", "line", "--reply", "echo") as server:
        assert client_says(server.port, content) == (0, content, "")


def test_weir_connect_and_tutorial_server():
    content = b"hello world\n" + letters(128) + b"\n" + letters(100000) + b"\n"
    with Example("tutorial_server") as example, example.serve() as server, Input(content) as stdin:
        status, stdout, stderr = run_weir("connect", str(server.port), stdin=stdin)
        assert (status, stdout, stderr) == (0, content.decode(), "")


def test_tutorial_client_sends_what_was_typed_and_waits_for_the_answer():
    with Example("tutorial_client") as example, listener() as door:
        with Process([example.path, door.getsockname()[1]], stdin=True) as client, accept(door) as sock:
            client.stdin.write(b"hi\n")
            assert recv_exactly(sock, 3) == b"hi\n"
            client.stdin.write(b"two words\n")
            client.stdin.close()
            assert recv_all(sock) == b"two words\n"
            sock.sendall(b"late answer\n")
            client.wait_stdout("^late answer$")
            sock.shutdown(socket.SHUT_WR)
            assert client.wait() == 0
            assert client.stdout.bytes() == b"late answer\n"


def test_tutorial_client_prompts_on_a_terminal():
    with Example("tutorial_server") as example, example.serve() as server, Example("tutorial_client") as other:
        with Process([other.path, server.port], terminal=True) as client:
            client.wait_stdout("^Input: $")
            client.stdin.write(b"hello world\n")
            client.wait_stdout("(?s)Input: .*Input: .*\x1b\\[Khello world\r\nInput: $")
            client.stdin.write(b"\x04")
            assert client.wait() == 0


def test_tutorial_client_says_why_it_failed():
    with socket.socket() as held:  # nobody listens on it, and nobody else takes it
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert client_says(port, b"hi\n") == (1, b"", "127.0.0.1:%d: Connection refused\n" % port)
    with Example("tutorial_client") as example, listener() as door:
        port = door.getsockname()[1]
        with Process([example.path, port], stdin=True) as client:
            reset(accept(door))
            assert client.wait() == 1
            assert client.stderr.text() == "127.0.0.1:%d: Connection reset by peer\n" % port
        with Process([example.path, port], stdin=True) as client:
            accept(door).close()
            assert client.wait() == 1
            assert client.stderr.text() == "127.0.0.1:%d: the server closed\n" % port


def test_tutorial_client_holds_little_of_a_large_file():
    content = letters(1 << 20) * 48
    with Example("tutorial_client") as example, listener() as door, Input(content) as stdin:
        with Process([example.path, door.getsockname()[1]], stdin=stdin) as client, accept(door) as sock:
            assert recv_all(sock) == content
            with open("/proc/%d/status" % client.pid, encoding="ascii") as file:
                peak = 1024 * int(re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.M)[1])
            assert peak < 8 << 20 or SANITIZED, peak
            sock.close()
            assert client.wait() == 0


# ---- Chat ----


def join_chat(server, name):
    client = server.connect()
    assert recv_until(client, b"\n") == b"* your name?\n"
    client.sendall(name + b"\n")
    return client


def expect_line(client, line):
    got = recv_until(client, b"\n")
    assert got == line + b"\n", (got, line)


def chat_with_three(workers):
    with Example("chat") as example, example.serve(workers) as server:
        ann = join_chat(server, b"ann")
        expect_line(ann, b"* ann is here, and that makes 1")
        bob = join_chat(server, b"bob")
        eve = None
        try:
            for client in (ann, bob):
                expect_line(client, b"* bob is here, and that makes 2")
            eve = join_chat(server, b"e\x1bve")
            for client in (ann, bob, eve):
                expect_line(client, b"* e.ve is here, and that makes 3")
            for speaker, name in ((ann, b"ann"), (bob, b"bob"), (eve, b"e.ve")):
                speaker.sendall(b"hello \x1b[2Jfrom me\n")
                for client in (ann, bob, eve):
                    expect_line(client, name + b": hello .[2Jfrom me")
            reset(bob)
            for client in (ann, eve):
                expect_line(client, b"* bob is gone (reset by peer), and that leaves 2")
            eve.shutdown(socket.SHUT_WR)
            expect_eof(eve)
            expect_line(ann, b"* e.ve is gone (peer closed), and that leaves 1")
        finally:
            for client in (ann, bob, eve):
                if client is not None:
                    client.close()


def test_chat_of_three():
    for workers in WORKERS:
        chat_with_three(workers)


def same_order(workers, count=10000):
    with Example("chat") as example, example.serve(workers) as server:
        clients = []
        for name in (b"ann", b"bob", b"eve"):
            clients.append(join_chat(server, name))
            for client in clients:
                recv_until(client, b"\n")
        lines = b"".join(b"%d\n" % number for number in range(count))
        senders = [send_in_background(client, lines) for client in clients]
        size = sum(len(b"ann: ") + len(b"%d\n" % number) for number in range(count)) * 3
        heard = [recv_exactly(client, size).splitlines() for client in clients]
        for sender in senders:
            sender.join()
        assert heard[0] == heard[1] == heard[2], "they did not hear the same in the same order"
        for name in (b"ann: ", b"bob: ", b"eve: "):
            assert [line for line in heard[0] if line.startswith(name)] == [name + b"%d" % n for n in range(count)]
        for client in clients:
            client.close()


def test_chat_is_heard_in_the_same_order_by_all():
    for workers in WORKERS:
        same_order(workers)


def test_chat_asks_for_a_name_of_a_sensible_length():
    with Example("chat") as example, example.serve() as server, join_chat(server, b"x" * 25) as client:
        expect_line(client, b"* a name has 1 to 24 bytes; yours?")
        client.sendall(b"\n")
        expect_line(client, b"* a name has 1 to 24 bytes; yours?")
        client.sendall(b"x" * 24 + b"\n")
        expect_line(client, b"* " + b"x" * 24 + b" is here, and that makes 1")
        client.sendall(b"y" * 3000 + b"\n")
        expect_line(client, b"x" * 24 + b": " + b"y" * 1000)


def test_chat_stops_with_people_in_it():
    for workers in WORKERS:
        with Example("chat") as example, example.serve(workers) as server:
            clients = [join_chat(server, b"%d" % number) for number in range(6)]
            recv_until(clients[5], b"\n")
            server.send_signal(signal.SIGTERM)
            for client in clients:
                recv_all(client)
                client.close()
            assert server.wait() == 0


# ---- A codec of one's own ----


def frame(content):
    body = bytes([len(content)]) + content
    return body + bytes([sum(body) % 256])


def test_codec_finds_frames_however_they_come():
    stream = frame(b"\x02ping") + frame(b"\x01\0\0\4\xd2") + frame(b"\x07?") + frame(b"\x02" + b"p" * 254)
    answers = frame(b"\x82ping") + frame(b"\x81\0\0\0\2") + frame(b"\xff\x07") + frame(b"\x82" + b"p" * 254)
    with Example("codec") as example, Meters(example) as server:
        with server.connect() as client:  # all at once
            client.sendall(stream)
            assert recv_exactly(client, len(answers)) == answers
        for split in range(1, len(stream), 7):
            with server.connect() as client:
                client.sendall(stream[:split])
                client.sendall(stream[split:])
                assert recv_exactly(client, len(answers)) == answers
        with server.connect() as client:  # byte by byte
            for byte in stream:
                client.sendall(bytes([byte]))
            assert recv_exactly(client, len(answers)) == answers
        server.wait_stdout("^#1 reading 2 is 1234$")


def test_codec_refuses_what_is_no_frame():
    with Example("codec") as example, Meters(example) as server, server.connect() as other:
        bad = frame(b"\x02ping")[:-1] + b"\0"
        for number, stream in enumerate((bad, b"\0\0", frame(b"\x02ping") + bad), 2):
            with server.connect() as client:
                client.sendall(stream)
                answer = recv_all(client)
                assert answer == (frame(b"\x82ping") if len(stream) > len(bad) else b""), answer
            server.wait_stdout("^#%d malformed message$" % number)
        other.sendall(frame(b"\x02"))
        assert recv_exactly(other, 3) == frame(b"\x82")


class Meters(Server):
    """The codec's server. It runs until it is killed."""

    def __init__(self, example):
        super().__init__("0", program=example.path)

    def end_at_exit(self, failed):
        self.kill()


def test_codec_answers_as_its_comment_says():
    comment = first_comment("codec")
    octal = re.search(r"printf '([^']*)' \| weir connect", comment)[1]
    stream = bytes(int(number, 8) for number in re.findall(r"\\(\d{3})", octal))
    with Example("codec") as example, Meters(example) as server, server.connect() as client:
        client.sendall(stream)
        assert recv_exactly(client, 7) == frame(b"\x81\0\0\0\1")
        server.wait_stdout("^#1 reading 1 is 1234$")


# ---- Dialling ----


def test_dial_sends_lines_and_shows_the_answers():
    with Example("dial") as dial, Server("--frame", "line", "--reply", "echo") as server:
        assert dial.run(server.port, "hello", "how are you", "") == (0, b"hello\nhow are you\n\n", "")
        assert dial.run("tcp://127.0.0.1:%d" % server.port) == (0, b"", "")
        # Over the output's high mark of 1 MiB, so that it has to wait for room.
        lines = [letters(100000, seed).decode() for seed in range(15)]
        status, stdout, stderr = dial.run(server.port, *lines)
        assert (status, stderr) == (0, "") and stdout.decode().splitlines() == lines


def test_dial_waits_for_answers_after_its_end():
    with Example("dial") as dial, listener() as door:
        with Process([dial.path, door.getsockname()[1], "hi"]) as client, accept(door) as sock:
            assert recv_all(sock) == b"hi\n"
            sock.sendall(b"late answer\n")
            sock.shutdown(socket.SHUT_WR)
            assert client.wait() == 0
            assert client.stdout.bytes() == b"late answer\n"


def test_dial_says_why_it_failed():
    with Example("dial") as dial, listener() as door:
        port = door.getsockname()[1]
        with Process([dial.path, port, "hi"]) as client:
            sock = accept(door)
            recv_all(sock)
            reset(sock)
            assert client.wait() == 1
            assert client.stderr.text() == "dial: %d: reset by peer\n" % port
        with socket.socket() as held:  # nobody listens on it, and nobody else takes it
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
            assert dial.run(port, "hi") == (1, b"", "dial: %d: connection refused\n" % port)
        assert dial.run()[0] == 2


# ---- The guide for those who come from libevent ----


def guide():
    with open(os.path.join(ROOT, "docs", "from-libevent.md"), encoding="utf-8") as file:
        return file.read()


def headers(*paths):
    text = ""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text += file.read()
    return text


def test_guide_names_what_exists():
    """Every name of weir in it stands in the public headers, and every flag of libevent's stands in it."""
    public = headers(*glob.glob(os.path.join(ROOT, "include", "weir", "*.h")))
    reasons = ["WEIR_REASON_" + name for name in re.findall(r"X\((\w+),", public)]
    names = set(re.findall(r"\b(?:weir_\w+|WEIR_\w+)\b", guide()))
    assert len(names) > 30, names
    unknown = [name for name in names if not re.search(r"\b%s\b" % name, public) and name not in reasons]
    assert not unknown, unknown
    members = set(re.findall(r"`\.(\w+)", guide()))
    assert len(members) > 15 and not [name for name in members if not re.search(r"\b%s;|\*%s\)" % (name, name), public)]
    for path in re.findall(r"\]\(\.\./([^)]+)\)", guide()):
        assert os.path.exists(os.path.join(ROOT, path)), path
    includes = "#include <event2/bufferevent.h>\n#include <event2/listener.h>\n"
    event2 = subprocess.run(["cc", "-E", "-dD", "-"], input=includes, stdout=subprocess.PIPE, text=True, check=True)
    flags = set(re.findall(r"\b(?:LEV_OPT|BEV_OPT|BEV_EVENT)_\w+", event2.stdout))
    assert len(flags) > 15 and not [flag for flag in flags if "`%s`" % flag not in guide()], flags


def cc(*line, folder):
    done = subprocess.run(["cc", *line], cwd=folder, env=dict(os.environ, LC_ALL="C"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_guide_shows_programs_that_compile_and_are_at_fault():
    server, client = re.findall(r"^```c\n(.*?)^```", guide(), re.S | re.M)[:2]
    with tempfile.TemporaryDirectory(prefix="weir-example-") as folder:
        for name, source in (("faulty_server", server), ("faulty_client", client)):
            with open(os.path.join(folder, name + ".c"), "w", encoding="utf-8") as file:
                file.write(source)
            assert cc(name + ".c", "-levent", "-o", name, folder=folder) == (0, "")
        _, said = cc("-Wextra", "faulty_server.c", "-levent", "-o", "faulty_server", folder=folder)
        assert "faulty_server.c:13:11: warning: comparison of unsigned expression in '< 0' is always" in said, said
