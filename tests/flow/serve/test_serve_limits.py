# SPDX-License-Identifier: BSD-3-Clause
"""When there is no room: the limit of clients, no descriptors left, accept failing in every way. The listener never
dies, never spins, and the clients that are in do not notice."""
import os
import re
import select
import shutil
import socket
import subprocess
import time

from harness import DEADLINE, FLAVOUR, Server, connect, enter_network, in_time, recv_exactly, recv_until, set_loopback, \
    skip, wait_for, within

SLOW = 1 if FLAVOUR == "release" else 3


def echoes(client, line=b"x\n"):
    client.sendall(line)
    assert recv_until(client, b"\n") == line


def open_clients(server, count):
    """So many connections, whether the server has accepted them or the kernel keeps them waiting."""
    return [server.connect() for _ in range(count)]


def is_closed(client):
    """Waits for its end, by FIN or by reset."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_clients_over_the_limit_are_closed_at_once():
    start = time.monotonic()
    with Server("--max-clients", 10, "--frame", "line", "--reply", "echo") as server:
        server.wait_stderr(r"room for 10 clients")
        clients = open_clients(server, 10)
        for client in clients:
            echoes(client)
        for _ in range(20):
            with server.connect() as refused:
                assert is_closed(refused)
        server.wait_stderr(r"warning: a client was refused: 10 are connected")
        for client in clients:
            echoes(client)
        clients.pop().close()
        wait_for(lambda: try_echo(server), "room for one more")
        for client in clients:
            client.close()
    refused = [line for line in server.stderr.text().splitlines() if "refused" in line]
    assert len(refused) <= time.monotonic() - start + 2, refused


def try_echo(server):
    with server.connect() as client:
        try:
            echoes(client)
            return True
        except (AssertionError, ConnectionResetError, BrokenPipeError):
            return False


def test_descriptor_limit_is_printed_and_kept_back_from():
    """Without --max-clients the limit of clients is what the descriptors allow, less a reserve."""
    with Server("--frame", "line", "--reply", "echo", wrap=["prlimit", "--nofile=64:64"]) as server:
        room = int(server.wait_stderr(r"room for (\d+) clients \(descriptor limit 64\)")[1])
        assert 30 <= room <= 50, room
        clients = open_clients(server, 200)
        closed = 0
        for client in clients[room:]:
            closed += is_closed(client)
        assert closed == 200 - room
        for client in clients[:room]:
            echoes(client)
        assert server.descriptors() <= 60
        assert "accepting pauses" not in server.stderr.text()
        for client in clients:
            client.close()


def test_soft_descriptor_limit_is_raised_to_the_hard_one():
    with Server(wrap=["prlimit", "--nofile=64:256"]) as server:
        server.wait_stderr(r"room for \d+ clients \(descriptor limit 256\)")


def test_room_that_is_printed_is_there():
    """Workers and listeners have their descriptors before clients are promised any."""
    with Server("--workers", 8, "--frame", "line", "--reply", "echo", "--listen", "127.0.0.1:0", "--listen",
                "127.0.0.1:0", wrap=["prlimit", "--nofile=96:96"]) as server:
        room = int(server.wait_stderr(r"room for (\d+) clients")[1])
        assert room > 20, room
        clients = open_clients(server, room)
        for client in clients:
            echoes(client)
        with server.connect() as one_too_many:
            assert is_closed(one_too_many)
        assert server.descriptors() + 96 // 4 <= 96, server.descriptors()
        for client in clients:
            echoes(client)
            client.close()
    assert "pauses" not in server.stderr.text(), server.stderr.text()


def expect_quiet(server, clients, seconds):
    """For so long nothing happens to these clients, and the server uses next to no processor time: under 5 %."""
    before = server.cpu_seconds()
    ends = select.poll()
    for client in clients:
        ends.register(client, select.POLLIN)
    start = time.monotonic()
    assert ends.poll(seconds * 1000) == []
    used = server.cpu_seconds() - before
    assert used < 0.05 * SLOW * (time.monotonic() - start), "%g s of processor time" % used


def test_out_of_descriptors():
    with Server("--max-clients", 1000, "--frame", "line", "--reply", "echo",
                wrap=["prlimit", "--nofile=64:64"]) as server:
        server.wait_stderr("room for")
        served = 64 - server.descriptors()
        assert 40 < served < 64, served
        clients = open_clients(server, 200)
        for client in clients:
            client.sendall(b"first\n")
        server.wait_stderr(r"warning: accepting pauses: .*\(ulimit -n\)")
        wait_for(lambda: server.descriptors() == 64, "all descriptors in use")
        for client in clients[:served]:
            assert recv_until(client, b"\n") == b"first\n"
        start = time.monotonic()
        lines = len(server.stderr.text().splitlines())
        expect_quiet(server, clients[served:], 1.5)
        for client in clients[:served]:
            echoes(client)
        said = len(server.stderr.text().splitlines()) - lines
        assert said <= time.monotonic() - start + 2, server.stderr.text()

        for client in clients[:served]:  # room again: those who waited are served
            client.close()
        for client in clients[served:2 * served]:
            assert recv_until(client, b"\n") == b"first\n"
        for client in clients[served:]:
            client.close()
        wait_for(lambda: try_echo(server), "room for all")


def strace(*inject):
    """Words that run a command under strace, which makes accept4 fail; skips where that is not possible."""
    if shutil.which("strace") is None:
        skip("strace is not installed: apt-get install strace")
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4"]
    for expression in inject:
        words += ["-e", "inject=accept4:" + expression]
    trial = subprocess.run(words + ["true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, check=False)
    if trial.returncode != 0:
        skip("strace does not work here: " + trial.stderr.strip())
    return words


class TracedServer(Server):
    """A server below strace. Signals and measurements are for the server itself."""

    def __init__(self, *options, inject):
        # Leaks are looked for by ptrace as well, and two cannot have it.
        super().__init__(*options, wrap=strace(*inject), env={"ASAN_OPTIONS": "detect_leaks=0"})
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid), encoding="ascii") as file:
            self.pid = int(file.read().split()[0])


def test_accept_that_fails_for_one_client_is_passed_over():
    """ECONNABORTED and its like say nothing of the next client: no pause, no line."""
    for error in ("ECONNABORTED", "EPERM", "EPROTO", "ENETDOWN"):
        with TracedServer("--frame", "line", "--reply", "echo", inject=["error=%s:when=1..9+3" % error]) as server:
            for _ in range(5):
                with server.connect() as client:
                    echoes(client)
            assert "pauses" not in server.stderr.text(), (error, server.stderr.text())


def test_accept_that_fails_for_the_system_pauses_and_goes_on():
    for error, words in (("ENFILE", "too many open files in system"), ("ENOMEM", "out of memory|cannot allocate memory"),
                         ("ENOBUFS", "no buffer space"), ("EMFILE", "too many open files"), ("EINVAL", "invalid")):
        with TracedServer("--frame", "line", "--reply", "echo", "--workers", 1,
                          inject=["error=%s:when=2..3" % error]) as server, server.connect() as before:
            echoes(before)
            with server.connect() as client:
                client.sendall(b"x\n")
                server.wait_stderr(r"(?i)warning: accepting pauses: .*(%s)" % words)
                echoes(before)
                assert recv_until(client, b"\n") == b"x\n"


def test_accept_that_never_works_does_not_spin():
    """Whatever the error is: a lasting one costs neither a core nor a full disk."""
    for error in ("ENFILE", "ECONNABORTED", "EPERM"):
        with TracedServer("--frame", "line", "--reply", "echo", "--workers", 1,
                          inject=["error=%s:when=2+" % error]) as server, server.connect() as before:
            echoes(before)
            with server.connect() as client:
                client.sendall(b"x\n")
                server.wait_stderr("accepting pauses")
                start = time.monotonic()
                lines = len(server.stderr.text().splitlines())
                expect_quiet_under_strace(server, [client])
                said = len(server.stderr.text().splitlines()) - lines
                assert said <= time.monotonic() - start + 3, server.stderr.text()
                echoes(before)


def expect_quiet_under_strace(server, clients):
    """As expect_quiet; each system call costs the server some of its time when it is traced."""
    before = server.cpu_seconds()
    ends = select.poll()
    for client in clients:
        ends.register(client, select.POLLIN)
    start = time.monotonic()
    assert ends.poll(1000) == []
    assert server.cpu_seconds() - before < 0.1 * SLOW * (time.monotonic() - start)


def test_frame_timeout_closes_the_slow_loris():
    """A byte now and then is not progress; the time runs from a message's first byte to its last."""
    with Server("--frame", "line", "--reply", "echo", "--frame-timeout", "600ms", "--print", "json") as server, \
            server.connect() as other:
        clients = open_clients(server, 30)
        begun = {}
        start = time.monotonic()
        for client in clients:
            echoes(client)
            begun[client] = time.monotonic()  # before: the server may have read it before we go on
            client.sendall(b"a")
        open_ones = set(clients)
        while open_ones:
            assert time.monotonic() - start < DEADLINE
            ended = [client for client in select.select(list(open_ones), [], [], 0.05)[0] if is_closed(client)]
            assert all(time.monotonic() - begun[client] > 0.598 for client in ended)
            open_ones.difference_update(ended)
            for client in open_ones:
                try:
                    client.sendall(b"a")
                except (BrokenPipeError, ConnectionResetError):
                    pass
            echoes(other)
        closed = server.wait_events("close", 30)
        assert {event["reason"] for event in closed} == {"frame timeout"}, closed
        echoes(other)


@in_time
def test_message_that_comes_in_time_is_whole_however_slow_the_next():
    """Each message has its own time."""
    with Server("--frame", "line", "--reply", "echo", "--frame-timeout", "1500ms") as server, \
            server.connect() as client:
        never = select.poll()
        start = time.monotonic()
        while time.monotonic() - start < 2.5:
            with within(0.75):  # half the time: a message is in time when this round and the last one are
                client.sendall(b"half ")
                never.poll(300)
                client.sendall(b"whole\nnext ")
                assert recv_until(client, b"\n").endswith(b"half whole\n")


@in_time
def test_idle_timeout():
    with Server("--frame", "line", "--reply", "echo", "--idle-timeout", "1s", "--print", "json") as server:
        start = time.monotonic()
        silent = server.connect()
        with within(0.5):  # half the time: a line is in time when this round and the last one are
            active = server.connect()
            echoes(active)
        is_over = False
        while not is_over:
            with within(0.5):
                is_over = select.select([silent], [], [], 0.1)[0]
                echoes(active)
            assert time.monotonic() - start < DEADLINE
        assert is_closed(silent) and time.monotonic() - start > 0.998
        close = server.wait_events("close")[0]
        assert close["reason"] == "idle timeout" and close["messages_in"] == 0, close
        silent.close()
        active.close()


def test_keepalive_and_close_on_exec_are_set():
    """As ss(8) shows the server's end: it asks a silent peer's machine."""
    if shutil.which("ss") is None:
        skip("ss is not installed: apt-get install iproute2")
    with Server("--frame", "line", "--reply", "echo", "--keepalive", "7s,2s,3") as server, server.connect() as client:
        def is_shown():
            """For a moment another timer may run: the one for what was sent and is not acknowledged yet."""
            echoes(client)
            shown = subprocess.run(["ss", "-Htno", "sport = :%d" % server.port], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True, check=True).stdout
            return re.search(r"timer:\(keepalive,[67]", shown)
        wait_for(is_shown, "the keepalive timer")
        for number in os.listdir("/proc/%d/fd" % server.pid):
            with open("/proc/%d/fdinfo/%s" % (server.pid, number), encoding="ascii") as file:
                flags = int(re.search(r"^flags:\s+(\d+)", file.read(), re.M)[1], 8)
            assert int(number) <= 2 or flags & 0o2000000, "descriptor %s would be inherited" % number


def test_half_closed_client_is_answered_and_does_not_linger():
    with Server("--frame", "line", "--reply", "echo") as server:
        with server.connect() as keeper:
            echoes(keeper)
            descriptors = server.descriptors()
            clients = [connect(server.port) for _ in range(50)]
            for client in clients:
                client.sendall(b"one\ntwo\n")
                client.shutdown(socket.SHUT_WR)
            for client in clients:
                assert recv_exactly(client, 8) == b"one\ntwo\n" and client.recv(1) == b""
            # Both sides have ended: nothing is kept for the clients that still hold their socket open.
            wait_for(lambda: server.descriptors() == descriptors, "its descriptors back")
            for client in clients:
                client.close()


def test_peer_that_vanishes_is_lost():
    """Its machine is off, or the cable is out: nothing says so, and only keepalive's questions find it out."""
    enter_network()
    with Server("--frame", "line", "--reply", "echo", "--keepalive", "1s,1s,2", "--print", "json") as server, \
            server.connect() as client:
        echoes(client)
        start = time.monotonic()
        set_loopback(up=False)
        close = server.wait_events("close")[0]
        assert close["reason"] == "peer lost" and close["messages_in"] == 1, close
        assert time.monotonic() - start > 0.9, "before it was asked"
