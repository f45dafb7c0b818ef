# SPDX-License-Identifier: BSD-3-Clause
"""Stopping: what was received is answered, nobody sees a reset before the answers, and the deadline holds."""
import json
import os
import re
import select
import signal
import socket
import tempfile
import threading
import time

from flood import Ping, send_until_stopped
from harness import DEADLINE, PATIENCE, HeldUp, Server, connect, in_time, recv_all, recv_until, reset, wait_for

ECHO = ["--frame", "line", "--reply", "echo"]


class Flooder(threading.Thread):
    """Sends numbered lines, a bounded number ahead of the answers, until the server ends the connection."""

    AHEAD = 200

    def __init__(self, server, number):
        super().__init__(daemon=True)
        self.sock = connect(server.port)
        self.peer = "%s:%d" % self.sock.getsockname()
        self.name = "flooder %d" % number
        self.answered = 0
        self.failure = None
        self.start()

    def run(self):
        try:
            self.exchange()
        except Exception as failure:  # shown by the test, in its own thread
            self.failure = failure
        self.sock.close()

    def exchange(self):
        sent = 0
        rest = b""
        while True:
            burst = b"".join(b"%d of %s\n" % (i, self.peer.encode()) for i in range(sent, self.answered + self.AHEAD))
            sent = max(sent, self.answered + self.AHEAD)
            try:
                self.sock.sendall(burst)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has ended its side and lingered long enough; what it answered is still to be read
            received = self.sock.recv(65536)
            if not received:
                assert rest == b"", "an answer was cut"
                return
            lines = (rest + received).split(b"\n")
            rest = lines.pop()
            for line in lines:
                assert line == b"%d of %s" % (self.answered, self.peer.encode()), line
                self.answered += 1


def test_sigterm_under_load_answers_all_that_was_received():
    for _ in range(3):
        with tempfile.TemporaryFile() as shown, Server(*ECHO, "--print", "json", stdout=shown) as server:
            flooders = [Flooder(server, number) for number in range(4)]
            wait_for(lambda: all(flooder.answered > 1000 for flooder in flooders), "a flood")
            assert server.stop(signal.SIGTERM) == 0
            for flooder in flooders:
                flooder.join(DEADLINE)
                assert not flooder.is_alive() and flooder.failure is None, flooder.failure
            server.stderr.wait(r"^stopping: 4 connections to drain$")
            shown.seek(0)
            closed = {event["peer"]: event for event in map(json.loads, shown) if event["event"] == "close"}
            assert "not shown" not in server.stderr.text()
            for flooder in flooders:
                event = closed[flooder.peer]
                assert event["reason"] == "drain" and event["output_bytes"] == 0, event
                assert event["messages_in"] == event["messages_out"] == flooder.answered, (event, flooder.answered)


def test_new_clients_are_refused_while_it_drains():
    with Server(*ECHO, "--drain-timeout", "10m", "--linger-timeout", "10m") as server, \
            server.connect(receive_buffer=4096) as stuck:
        fill(server, stuck)
        server.begin_stop()
        server.wait_stderr(r"stopping: \d connections? to drain")
        wait_for(lambda: is_refused(server.port), "the listener to close")
        received = recv_all(stuck)  # the stuck one reads at last, and gets its answers up to the last
        assert received and received == (b"x" * 999 + b"\n") * (len(received) // 1000), len(received)
        reset(stuck)  # its end is behind more than lingering throws away
        assert server.wait() == 0


def fill(server, client):
    """Sends to it until it takes no more, and reads nothing of what it answers."""
    with Ping(server) as ping:
        send_until_stopped(client, b"x" * 999 + b"\n", ping)
        assert select.select([client], [], [], DEADLINE)[0]


def is_refused(port):
    try:
        with socket.create_connection(("127.0.0.1", port), DEADLINE):
            return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was in the queue of the socket that was closed
        return False


def test_drain_timeout_cuts_off_who_does_not_read():
    with Server(*ECHO, "--drain-timeout", "1s") as server, server.connect(receive_buffer=4096) as stuck, \
            server.connect() as good:
        fill(server, stuck)
        good.sendall(b"hello\n")
        assert recv_until(good, b"\n") == b"hello\n"
        start = time.monotonic()
        server.begin_stop()
        assert recv_all(good) == b""
        good.close()
        assert server.wait() == 1
        assert 0.998 < time.monotonic() - start < 1 + 5 * PATIENCE
        assert server.stderr.text().endswith("stopped: 1 connection cut off at the deadline\n"), server.stderr.text()


def test_idle_clients_do_not_hold_up_the_stop():
    """They hear of the end at once; who does not answer with theirs is given a moment, and no failure."""
    with Server(*ECHO, "--linger-timeout", "500ms") as server:
        clients = [server.connect() for _ in range(100)]
        clients[-1].sendall(b"x\n")
        recv_until(clients[-1], b"\n")
        start = time.monotonic()
        server.begin_stop()
        for client in clients[1:]:
            assert client.recv(1) == b""
            client.close()
        assert server.wait() == 0
        assert time.monotonic() - start < 0.5 + 5 * PATIENCE
        clients[0].close()


def test_unfinished_message_does_not_hold_up_the_stop():
    with Server(*ECHO, "--print", "json") as server, server.connect() as client:
        client.sendall(b"whole\nhalf")
        assert recv_until(client, b"\n") == b"whole\n"
        server.begin_stop()
        assert recv_all(client) == b""
        client.close()
        assert server.wait() == 0
        close = server.events("close")[0]
        assert (close["reason"], close["input_bytes"]) == ("drain", 4), close
        assert [event["text"] for event in server.events("message")] == ["whole"]


def test_second_signal_ends_at_once():
    for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT),
                          (signal.SIGINT, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)):
        with Server(*ECHO, "--drain-timeout", "1h") as server, server.connect(receive_buffer=4096) as stuck:
            fill(server, stuck)
            server.begin_stop(first)
            server.wait_stderr(r"stopping: \d connections? to drain")
            wait_for(lambda: is_refused(server.port), "the listener to close")
            # Within a tenth of a second it is taken for the first one: timeout(1) sends each twice.
            start = time.monotonic()
            wait_for(lambda: time.monotonic() - start > 0.2, "a tenth of a second and more")
            status = server.stop(second)
            assert status == -second, (first, second, status, server.stderr.text())


@in_time
def test_signal_sent_twice_is_one_wish_to_stop():
    with Server(*ECHO, "--print", "json") as server, server.connect() as client:
        client.sendall(b"x\n")
        recv_until(client, b"\n")
        start = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.send_signal(signal.SIGTERM)
        if time.monotonic() - start > 0.1:  # then it may count as the second one
            raise HeldUp("more than a tenth of a second between two signals")
        assert recv_all(client) == b""
        client.close()
        assert server.wait() == 0


def test_any_number_of_sighups_is_one_stop():
    """A terminal that goes away sends several, and whoever sends them does not know when we have ended."""
    with Server(*ECHO, "--print", "json") as server:
        clients = [server.connect() for _ in range(20)]
        for client in clients:
            client.sendall(b"x\n")
            recv_until(client, b"\n")
        for client in clients:
            client.close()
        for _ in range(10000):
            server.send_signal(signal.SIGHUP)
        while server.process.poll() is None:
            server.send_signal(signal.SIGHUP)
        assert server.wait() == 0
        assert server.stderr.text().count("stopping:") == 1


def test_sighup_is_ignored_under_nohup():
    with Server(*ECHO, wrap=["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]) as server, server.connect() as client:
        server.send_signal(signal.SIGHUP)
        client.sendall(b"x\n")
        assert recv_until(client, b"\n") == b"x\n"
        assert "stopping" not in server.stderr.text()


def test_sigpipe_sigxfsz_and_sigusr_are_harmless_or_default():
    with Server(*ECHO) as server, server.connect() as client:
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGWINCH, signal.SIGCHLD):
            server.send_signal(number)
        client.sendall(b"x\n")
        assert recv_until(client, b"\n") == b"x\n"


def test_signals_are_for_the_main_thread():
    """Whatever else runs in the process leaves them alone: a handler of the program's must not meet a worker."""
    with Server(*ECHO, "--workers", 4, "--print", "json") as server, server.connect() as client:
        client.sendall(b"x\n")
        recv_until(client, b"\n")
        threads = set(map(int, os.listdir("/proc/%d/task" % server.pid))) - {server.pid}
        assert len(threads) >= 3 + 2, threads  # the other workers and the printers
        for thread in threads:
            with open("/proc/%d/task/%d/status" % (server.pid, thread), encoding="ascii") as file:
                blocked = int(re.search(r"^SigBlk:\s+([0-9a-f]+)$", file.read(), re.M)[1], 16)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                assert blocked >> (number - 1) & 1, "thread %d takes signal %d" % (thread, number)


def test_stop_during_a_storm_of_connects():
    """Clients that are accepted, being handed to their worker, or not yet accepted when the stop comes: nobody hangs."""
    for workers in (1, 4):
        with Server(*ECHO, "--workers", workers) as server:
            stop = threading.Event()

            def storm():
                while not stop.is_set():
                    try:
                        with connect(server.port) as client:
                            client.sendall(b"x\n")
                            client.recv(2)
                    except (ConnectionError, socket.timeout):
                        pass
            threads = [threading.Thread(target=storm, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            server.wait_for_work(0.05)
            try:
                assert server.stop() == 0
            finally:
                stop.set()
            for thread in threads:
                thread.join(DEADLINE)
                assert not thread.is_alive()


def test_stop_right_after_the_start():
    for _ in range(10):
        with Server(*ECHO) as server:
            assert server.stop(signal.SIGTERM) == 0
