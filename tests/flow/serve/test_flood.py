# SPDX-License-Identifier: BSD-3-Clause
"""Clients that send without end, and that do not read what they are answered: memory stays bounded, they wait, and
nobody else does."""
import resource
import select
import socket
import subprocess
import sys
import time

from flood import MEBIBYTE, PROMPT, Ping, send_until_stopped
from harness import (DEADLINE, FLAVOUR, Server, connect, in_time, recv_all, recv_exactly, skip, wait_for,
                     within)


def expect_growth_under(server, before, limit):
    """Sanitizers keep books of their own about memory: there it says nothing."""
    if FLAVOUR == "release":
        grown = server.memory_bytes() - before
        assert grown < limit, "memory has grown by %d bytes" % grown


def read_answers(client, data, sent):
    """Ends our side behind what send_until_stopped has sent, and checks that the echo of all of it comes, and no reset:
    whole lines, and a last unfinished one with a newline of its own."""
    client.shutdown(socket.SHUT_WR)
    expected = (data * (sent // len(data) + 1))[:sent]
    received = recv_all(client)
    assert received in (expected, expected + b"\n"), (len(received), len(expected))


def test_client_that_never_reads_waits_and_then_gets_every_answer():
    lines = b"".join(b"line %d %s\n" % (i, b"x" * (i % 200)) for i in range(2000))
    with Server("--frame", "line", "--reply", "echo") as server, Ping(server) as ping:
        ping.exchange()
        before = server.memory_bytes()
        with server.connect(receive_buffer=4096) as client:
            sent = send_until_stopped(client, lines, ping)
            expect_growth_under(server, before, 8 * MEBIBYTE)
            assert ping.slowest < PROMPT, ping.slowest
            read_answers(client, lines, sent)


def test_many_clients_that_never_read():
    """Twenty at once: no more than their output limits, and the other is served as before."""
    line = b"x" * 1023 + b"\n"
    with Server("--frame", "line", "--reply", "echo", "--output-limit", "64KiB") as server, Ping(server) as ping:
        ping.exchange()
        before = server.memory_bytes()
        clients = [server.connect(receive_buffer=4096) for _ in range(20)]
        for client in clients:
            send_until_stopped(client, line, ping)
        expect_growth_under(server, before, 20 * MEBIBYTE)
        assert ping.slowest < PROMPT, ping.slowest
        for client in clients:
            client.close()


def test_write_timeout_closes_the_client_that_takes_nothing():
    line = b"x" * 65535 + b"\n"
    with Server("--frame", "line", "--reply", "echo", "--write-timeout", "1s", "--print", "json") as server, \
            Ping(server) as ping, server.connect(receive_buffer=4096) as client:
        start = time.monotonic()  # it does not take nothing before it has sent something
        try:
            while True:
                client.sendall(line)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert time.monotonic() - start > 0.998
        close = server.wait_events("close")[0]
        assert close["reason"] == "write timeout" and close["output_bytes"] > 0, close
        ping.exchange()


def test_a_reset_tells_the_client_that_takes_nothing():
    """Nothing that it sent is unread here, so that close alone would put a FIN behind megabytes that it will not take."""
    with Server("--frame", "line", "--reply", "text:" + "x" * 65535, "--write-timeout", "2s", "--output-limit", "32MiB",
                "--print", "text") as server, server.connect(receive_buffer=4096) as client:
        client.sendall(b"x\n" * 256)
        gone = select.poll()
        gone.register(client, 0)
        assert gone.poll(DEADLINE * 1000), "it was not told"
        server.wait_stdout("#1 write timeout: 256 messages, 512 bytes in, .* bytes not sent")


@in_time
def test_slow_but_steady_reader_is_not_timed_out():
    """What counts is that it takes something, however much waits for it, here and in the kernel."""
    line = b"x" * 65535 + b"\n"
    with Server("--frame", "line", "--reply", "echo", "--write-timeout", "3s", "--print", "json") as server, Ping(server) as ping, server.connect(receive_buffer=16384) as client:
        client.setblocking(False)
        never = select.poll()
        start = time.monotonic()
        while time.monotonic() - start < 6:
            with within(0.7):  # the kernel tells the server of room when several of these have made some
                try:
                    while client.send(line):
                        pass
                except BlockingIOError:
                    pass
                never.poll(50)  # waits for nothing: the pace of a slow line, some 80 kB a second
                assert select.select([client], [], [], DEADLINE)[0] and client.recv(4096)
                ping.exchange()
        assert server.events("close") == []


def test_answers_longer_than_the_longest_message():
    """One answer a message never fails for lack of room, however long it is and however small the limits are."""
    count = 20000  # their answers are more than the kernel takes for a client that does not read yet
    for limit in ("1", "1000", "64KiB"):
        with Server("--frame", "line", "--max-frame", "4", "--output-limit", limit, "--reply", "text:" + "y" * 300) as server, \
                server.connect(receive_buffer=4096) as client:
            client.sendall(b"ab\n" * count)
            client.shutdown(socket.SHUT_WR)
            received = recv_all(client)
            assert received == (b"y" * 300 + b"\n") * count, (limit, len(received))


def test_flood_does_not_starve_others():
    """Eight clients send as fast as they can and read as fast as they can; a ninth has its turn all the same."""
    flooder = """
import socket, sys, threading
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def send():
    try:
        while True: sock.sendall(b"0123456789\\n" * 5000)
    except OSError: pass
threading.Thread(target=send, daemon=True).start()
while sock.recv(1 << 20): pass
"""
    with Server("--frame", "line", "--reply", "echo") as server, Ping(server) as ping:
        before = server.memory_bytes()
        children = [subprocess.Popen([sys.executable, "-c", flooder, str(server.port)]) for _ in range(4)]
        try:
            server.wait_for_work()
            for _ in range(100):
                ping.exchange()
            expect_growth_under(server, before, 16 * MEBIBYTE)
        finally:
            for child in children:
                child.kill()
                child.wait()
        ping.exchange()


def test_total_memory_is_bounded():
    """Over --max-memory those who hold the most go; the others stay."""
    with Server("--frame", "line", "--max-memory", "4MiB", "--max-frame", "16MiB", "--reply", "echo", "--print",
                "json") as server, Ping(server) as ping:
        ping.exchange()
        clients = [server.connect() for _ in range(16)]
        for client in clients:
            try:
                client.sendall(b"x" * MEBIBYTE)
            except (ConnectionResetError, BrokenPipeError):
                pass
            ping.exchange()
        closed = server.wait_events("close", 8)
        assert {event["reason"] for event in closed} == {"out of memory"}, closed
        ping.exchange()
        for client in clients:
            client.close()


def raise_descriptor_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        skip("needs %d descriptors, and the hard limit is %d" % (wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def test_five_thousand_clients_at_once():
    count = 5000
    raise_descriptor_limit(count + 500)
    with Server("--frame", "line", "--reply", "echo") as server, Ping(server) as ping:
        ping.exchange()
        descriptors, memory = server.descriptors(), server.memory_bytes()
        clients = [server.connect() for _ in range(count)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        for number, client in enumerate(clients):
            answer = b"%d\n" % number
            assert recv_exactly(client, len(answer)) == answer
        assert server.descriptors() == descriptors + count
        for client in clients:
            client.close()
        wait_for(lambda: server.descriptors() == descriptors, "its descriptors back")
        ping.exchange()
        expect_growth_under(server, memory, 4 * MEBIBYTE)


def test_connect_storm_leaves_others_their_answers():
    storm = """
import socket, sys
for _ in range(int(sys.argv[2])):
    sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
    sock.close()
"""
    each = 2000
    with Server("--frame", "line", "--reply", "echo") as server, Ping(server) as ping:
        ping.exchange()
        descriptors = server.descriptors()
        children = [subprocess.Popen([sys.executable, "-c", storm, str(server.port), str(each)]) for _ in range(2)]
        while any(child.poll() is None for child in children):
            ping.exchange()
        assert [child.wait() for child in children] == [0, 0]
        assert ping.count > 10, ping.count
        wait_for(lambda: server.descriptors() == descriptors, "its descriptors back")


def test_reset_in_every_phase():
    """Clients that break off before, within and behind a message, and with answers on the way: each is closed once."""
    with Server("--frame", "line", "--reply", "echo", "--print", "json", "--log-level", "warning") as server, \
            Ping(server) as ping:
        ping.exchange()
        count = 0
        for sent in (b"", b"half", b"whole\n", b"whole\nhalf", b"x" * 5000 + b"\n", b"x\n" * 20):
            for _ in range(20):
                client = connect(server.port)
                client.sendall(sent)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                count += 1
            ping.exchange()
        wait_for(lambda: server.descriptors() <= 64, "its descriptors back")
        closed = server.wait_events("close", count)
        assert len({event["conn"] for event in closed}) == len(closed) == count
        assert {event["reason"] for event in closed} <= {"reset by peer", "peer closed"}, closed
