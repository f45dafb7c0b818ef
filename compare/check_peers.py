#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks that the servers of the comparison do what they are compared for: a peer that loses bytes, forgets to close or
keeps all that a client does not read would be a fast one.

`./dev bench check` runs it. Each server is started anew for each check, its checks are printed as TAP, and a peer that
was not built or installed, or that says itself that it cannot run here, is skipped by name. Those that store are also
tried for what would make them slow by our fault: that they let messages wait.
"""
import argparse
import collections
import contextlib
import glob
import json
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import processes
import stores

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE_SECONDS = 20
STATUS_SKIPPED = 77
MIB = 1024 * 1024
SIZES = [1, 128, 4096, MIB]
FANOUT_BYTES = 1024
CHURN = 2000
# What a server and both ends' kernel buffers may take of a client that does not read, and the server's share of it: all
# the buffers that uring_echo's connections share, once.
TAKEN_BYTES_MAX, KEPT_BYTES_MAX = 64 * MIB, 16 * MIB


class Skip(Exception):
    """The server cannot run here."""


def wait_for(predicate, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not predicate():
        assert time.monotonic() < deadline, "waited %d s for %s" % (PATIENCE_SECONDS, what)
        time.sleep(0.01)


class Server:
    """A server of the build folder on a free port, or the given one; it must still run when the `with` block ends."""

    def __init__(self, program, *port):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([program, *port], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        self.port = None

    def __enter__(self):
        wait_for(lambda: self._read_port() or self.process.poll() is not None, "the server to listen")
        if self.process.poll() == STATUS_SKIPPED:
            self.__exit__("skipped")
            raise Skip(self.text().strip())
        assert self.port is not None, self.text()
        return self

    def __exit__(self, *exception):
        ended = self.process.poll()
        if ended is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        assert exception[0] is not None or ended in (None, 0), "it ended with %s: %s" % (ended, self.text())

    def _read_port(self):
        found = re.search(r"listening on tcp://127\.0\.0\.1:(\d+)\n", self.text())
        self.port = int(found[1]) if found else None
        return found

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def connect(self, receive_bytes=None):
        client = socket.socket()
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(PATIENCE_SECONDS)
        client.connect(("127.0.0.1", self.port))
        return client

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def memory_bytes(self):
        with open("/proc/%d/smaps_rollup" % self.process.pid, encoding="ascii") as file:
            return 1024 * int(re.search(r"^Private_Dirty:\s+(\d+) kB", file.read(), re.M)[1])


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def receive(client, count):
    """count bytes, fewer when it ends."""
    parts = bytearray()
    while len(parts) < count:
        part = client.recv(min(count - len(parts), MIB))
        if not part:
            break
        parts += part
    return bytes(parts)


class Stream:
    """One client that sends `data` in odd pieces, and takes what comes back in odd pieces too."""

    def __init__(self, client, data, chance):
        self.client, self.data, self.chance = client, data, chance
        self.sent = 0
        self.received = bytearray()

    def send_piece(self):
        piece = self.data[self.sent:self.sent + self.chance.choice([1, 7, 129, 4097, 70001])]
        self.sent += self.client.send(piece)

    def receive_piece(self):
        part = self.client.recv(self.chance.choice([1, 1000, 65537]))
        self.received += part
        return bool(part)


def exchange(clients, make_data, half_close=False):
    """Each client sends its data and gets it back, all at once; with half_close each ends its side behind it and waits
    for the server's end."""
    chance = random.Random(1)
    streams = {client: Stream(client, make_data(chance), chance) for client in clients}
    waiting = set(clients)
    while waiting:
        unsent = [c for c in waiting if streams[c].sent < len(streams[c].data)]
        readable, writable, _ = select.select(list(waiting), unsent, [], PATIENCE_SECONDS)
        assert readable or writable, "nothing came back any more"
        for client in writable:
            streams[client].send_piece()
            if half_close and streams[client].sent == len(streams[client].data):
                client.shutdown(socket.SHUT_WR)
        for client in readable:
            stream = streams[client]
            went_on = stream.receive_piece()
            assert went_on or half_close, "the server closed a connection"
            if not went_on or (not half_close and len(stream.received) >= len(stream.data)):
                waiting.remove(client)
    for stream in streams.values():
        assert stream.received == stream.data, "%d bytes came back for %d, or others" % (
            len(stream.received), len(stream.data))


def nonblocking(clients):
    for client in clients:
        client.setblocking(False)
    return clients


def echoes(server):
    client = server.connect()
    client.sendall(b"hello")
    assert receive(client, 5) == b"hello"
    client.close()


def churn(server, use):
    """Many clients come and go, and leave no descriptor behind."""
    before = server.descriptors()
    for _ in range(CHURN // 50):
        clients = [server.connect() for _ in range(50)]
        for client in clients:
            use(client)
            client.close()
    wait_for(lambda: server.descriptors() <= before, "%d descriptors to become %d" % (server.descriptors(), before))


# ---- Echo ----

def echo_sizes(size):
    def check_size(server):
        exchange(nonblocking([server.connect() for _ in range(5)]), lambda chance: chance.randbytes(size) * 3)
    check_size.__name__ = "echoes %d bytes in odd pieces" % size
    return check_size


def echo_half_close(server):
    """sends all of the echo, and then its end, to a client that has ended its side"""
    exchange(nonblocking([server.connect() for _ in range(5)]), lambda chance: chance.randbytes(MIB), half_close=True)


def echo_half_close_of_nothing(server):
    """ends when a client ends that has sent nothing"""
    client = server.connect()
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def echo_reset(server):
    """lives on when clients reset, with echoes on their way and without"""
    before = server.descriptors()
    for count in (0, 1, 256 * 1024):
        for _ in range(20):
            client = server.connect()
            client.setblocking(False)
            if count > 0:
                client.send(bytes(count))
            reset(client)
    echoes(server)
    wait_for(lambda: server.descriptors() <= before, "the descriptors of those that reset")


def fill(client):
    """Sends until nothing more is taken; returns what was."""
    chance, sent = random.Random(2), bytearray()
    client.setblocking(False)
    while select.select([], [client], [], 0.5)[1]:
        piece = chance.randbytes(65536)
        sent += piece[:client.send(piece)]
        assert len(sent) < TAKEN_BYTES_MAX, "it takes without bound what nobody reads"
    client.settimeout(PATIENCE_SECONDS)
    return bytes(sent)


def echo_unread(server):
    """does not take without bound from a client that does not read, serves others meanwhile, and still sends all to one
    that has ended its side"""
    first = server.connect(receive_bytes=4096)
    data = fill(first)  # what its connections share is filled by it, and not counted
    assert receive(first, len(data)) == data
    before = server.memory_bytes()
    clients = [server.connect(receive_bytes=4096) for _ in range(3)]
    sent = [fill(client) for client in clients]
    kept = (server.memory_bytes() - before) / len(clients)
    assert kept < KEPT_BYTES_MAX, "it keeps %d bytes of a client that does not read" % kept
    echoes(server)
    for client, data in zip(clients, sent):
        client.shutdown(socket.SHUT_WR)
        assert receive(client, len(data) + 1) == data


def echo_unread_reset(server):
    """gives back what it keeps for a client that does not read when that resets"""
    before = server.descriptors()
    client = server.connect(receive_bytes=4096)
    fill(client)
    reset(client)
    wait_for(lambda: server.descriptors() <= before, "its descriptor")
    echoes(server)


def echo_churn(server):
    """leaves no descriptor behind of 2,000 clients that come and go"""
    def use(client):
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
    churn(server, use)


def echo_shared_port(server):
    """shares a port with another of its kind, and each gets a part of the clients"""
    program, port = server.process.args[0], str(processes.free_port())
    with Server(program, port) as first, Server(program, port) as second:
        before = [one.descriptors() for one in (first, second)]
        clients = [first.connect() for _ in range(100)]
        for client in clients:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
        parts = [one.descriptors() - count for one, count in zip((first, second), before)]
        assert sum(parts) == len(clients) and min(parts) > 0, parts


# ---- Drain ----

def drain_counts(server):
    """takes all, sends nothing, ends behind a client's end, and counts right"""
    chance = random.Random(3)
    clients = [server.connect() for _ in range(5)]
    for size in SIZES:
        for client in clients:
            data = memoryview(bytes(size))
            while len(data) > 0:
                data = data[client.send(data[:chance.choice([1, 129, 70001])]):]
    for client in clients:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    reset(server.connect())
    reset(server.connect())
    server.process.terminate()
    assert int(server.process.stdout.read()) == len(clients) * sum(SIZES)
    assert server.process.wait(PATIENCE_SECONDS) == 0


def drain_churn(server):
    """leaves no descriptor behind of 2,000 clients that come and go"""
    churn(server, lambda client: client.sendall(b"x"))


# ---- Fan-out ----

def fanout_message(number):
    return struct.pack(">I", number) * (FANOUT_BYTES // 4)


def join(server, count):
    """Connected clients, of which the server knows all: each has got a message of the last one, and nothing after."""
    members = [server.connect() for _ in range(count)]
    for number, member in enumerate(members):
        member.sendall(fanout_message(number))
        while receive(member, FANOUT_BYTES) != fanout_message(number):
            pass
    for member in members[:-1]:
        while receive(member, FANOUT_BYTES) != fanout_message(count - 1):
            pass
    return members


def fanout_delivers(server):
    """sends each message, however it comes in, to all, whole and in order"""
    members = join(server, 20)
    for number, member in enumerate(members):
        data = fanout_message(1000 + number) + fanout_message(2000 + number)
        for begin, end in ((0, 1), (1, 700), (700, 1024), (1024, 2048)):
            member.sendall(data[begin:end])
        for other in members:
            assert receive(other, len(data)) == data


def fanout_leaving(server):
    """goes on without those who end or reset, one of them in the middle of a message"""
    members = join(server, 10)
    members[0].shutdown(socket.SHUT_WR)
    assert members[0].recv(1) == b""
    members[5].sendall(b"begun")
    reset(members[5])
    reset(members[9])
    rest = members[1:5] + members[6:9]
    for number in range(100):
        rest[0].sendall(fanout_message(number))
        for member in rest:
            assert receive(member, FANOUT_BYTES) == fanout_message(number)


def fanout_unread(server):
    """closes a client that does not read when too much waits for it, and serves the others"""
    sender, reader = join(server, 2)
    unread = server.connect(receive_bytes=4096)
    before = server.memory_bytes()
    count = TAKEN_BYTES_MAX // FANOUT_BYTES
    for number in range(0, count, 64):
        sender.sendall(fanout_message(number) * 64)
        for member in (sender, reader):
            assert receive(member, 64 * FANOUT_BYTES) == fanout_message(number) * 64
    kept = server.memory_bytes() - before
    assert kept < KEPT_BYTES_MAX, "it keeps %d bytes of a client that does not read" % kept
    try:
        assert len(receive(unread, count * FANOUT_BYTES)) < count * FANOUT_BYTES
    except ConnectionResetError:
        pass


def fanout_churn(server):
    """leaves no descriptor behind of 2,000 clients that come and go"""
    churn(server, lambda client: client.sendall(b"x"))


# ---- Stores ----

LINES, LINE_CLIENTS = 20000, 10
AT_ONCE_SECONDS, AT_ONCE_TRIES = 0.25, 3


def line(client, number):
    """It begins with no digit: rsyslog would take it for a length."""
    return b"#%03d %09d %s" % (client, number, b"x" * 112)


def lines_in(store):
    path = os.path.join(store.folder, "lines")
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        return file.read().split(b"\n")[:-1]


def rsyslog_keeps_lines(store):
    """writes each line once, as it was sent, and a client's in their order"""
    clients = [store.connect() for _ in range(LINE_CLIENTS)]
    for first in range(0, LINES, 500):
        for number, client in enumerate(clients):
            client.sendall(b"".join(line(number, first + i) + b"\n" for i in range(500)))
    wait_for(lambda: len(lines_in(store)) >= LINES * LINE_CLIENTS, "all lines")
    found = collections.defaultdict(list)
    for text in lines_in(store):
        found[int(text[1:4])].append(text)
    for number in range(LINE_CLIENTS):
        assert found[number] == [line(number, i) for i in range(LINES)], "client %d" % number


def rsyslog_writes_at_once(store):
    """lets no line wait in a buffer until its flush interval is over"""
    client, waited = store.connect(), []
    for number in range(AT_ONCE_TRIES):
        start = time.monotonic()
        client.sendall(line(0, number) + b"\n")
        wait_for(lambda number=number: len(lines_in(store)) == number + 1, "the line")
        waited.append(time.monotonic() - start)
    assert min(waited) < AT_ONCE_SECONDS, waited


def command(stream, *words):
    """Redis's answer to a command: a line, or for a string or an array of strings those."""
    stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    stream.flush()
    return answer(stream)


def answer(stream):
    head = stream.readline()
    assert head[:1] in b"+:$*" and head.endswith(b"\r\n"), head
    if head[:1] == b"*":
        return [answer(stream) for _ in range(int(head[1:]))]
    return stream.read(int(head[1:]) + 2)[:-2] if head[:1] == b"$" else head[1:-2]


def redis_keeps_messages(store):
    """syncs its log always, and has in it what it has answered when it is killed"""
    with store.connect() as client, client.makefile("rwb") as stream:
        assert command(stream, b"CONFIG", b"GET", b"appendfsync") == [b"appendfsync", b"always"]
        assert command(stream, b"CONFIG", b"GET", b"appendonly") == [b"appendonly", b"yes"]
        for number in range(1000):
            command(stream, b"XADD", b"weir", b"*", b"m", line(0, number))
        assert command(stream, b"XLEN", b"weir") == b"1000"
    store.server.process.kill()
    store.server.process.wait()
    log = b""
    for path in glob.glob(os.path.join(store.folder, "appendonlydir", "*.incr.aof")):
        with open(path, "rb") as file:
            log += file.read()
    assert all(line(0, number) in log for number in range(1000))


def nats_keeps_messages(store):
    """keeps what it has acknowledged in files"""
    with store.connect() as client, client.makefile("rwb") as stream:
        stream.write(b'CONNECT {"verbose":false}\r\nSUB ack 1\r\nSUB info 2\r\n')
        for number in range(1000):
            text = line(0, number)
            stream.write(b"PUB weir ack %d\r\n%s\r\n" % (len(text), text))
        stream.flush()
        for _ in range(1000):
            assert b'"stream":"weir"' in reply(stream)
        stream.write(b"PUB $JS.API.STREAM.INFO.weir info 0\r\n\r\n")
        stream.flush()
        info = json.loads(reply(stream))
    assert (info["config"]["storage"], info["state"]["messages"]) == ("file", 1000), info


def reply(stream):
    """What the next message of NATS says."""
    while not (head := stream.readline()).startswith(b"MSG "):
        assert head, "nats-server closed the connection"
    return stream.read(int(head.split()[-1]) + 2)[:-2]


class StoreServer:
    """A server that stores, in a folder."""

    def __init__(self, store, folder):
        try:
            self.server = store.resolve(None).start(folder)
        except processes.CannotRun as reason:
            raise Skip(str(reason)) from None
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.server.__exit__()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.server.port), PATIENCE_SECONDS)


ECHO = [echo_sizes(size) for size in SIZES] + [
    echo_half_close, echo_half_close_of_nothing, echo_reset, echo_unread, echo_unread_reset, echo_churn]
# It has no output queue, and drops whom it would need one for.
ECHO_WITHOUT_QUEUE = [echo_sizes(size) for size in SIZES[:-1]] + [echo_half_close_of_nothing, echo_reset, echo_churn]
FANOUT = [fanout_delivers, fanout_leaving, fanout_unread, fanout_churn]
CHECKS = {
    "epoll_echo": ECHO + [echo_shared_port],
    "event_echo": ECHO_WITHOUT_QUEUE,
    "bufferevent_echo": ECHO,
    "uring_echo": ECHO,
    "libuv_echo": ECHO,
    "libuv_guide_echo": ECHO,
    "libev_echo": ECHO,
    "asio_echo": ECHO,
    "epoll_drain": [drain_counts, drain_churn],
    "epoll_fanout": FANOUT,
    "weir_fanout": FANOUT,
}
RSYSLOG_CHECKS = [rsyslog_keeps_lines, rsyslog_writes_at_once]
STORE_CHECKS = {
    "rsyslog": (stores.RSYSLOG, RSYSLOG_CHECKS),
    "rsyslog_tuned": (stores.RSYSLOG_TUNED, RSYSLOG_CHECKS),
    "redis": (stores.REDIS, [redis_keeps_messages]),
    "redis_tuned": (stores.REDIS_TUNED, [redis_keeps_messages]),
    "nats": (stores.NATS, [nats_keeps_messages]),
    "nats_tuned": (stores.NATS_TUNED, [nats_keeps_messages]),
}
NAMES = [*CHECKS, *STORE_CHECKS]


@contextlib.contextmanager
def started(build, name):
    """The server of that name: one of the build folder, or one that stores."""
    if name in STORE_CHECKS:
        with tempfile.TemporaryDirectory(prefix="weir-peer-") as folder, \
                StoreServer(STORE_CHECKS[name][0], folder) as server:
            yield server
        return
    program = os.path.join(build, "compare", name)
    if not os.path.exists(program):
        raise Skip("not built: its library is not installed")
    with Server(program) as server:
        yield server


def run_one(build, name, check):
    """Whether it passed; prints its line."""
    text = "%s %s" % (name, re.sub(r"\s+", " ", check.__doc__ or check.__name__))
    try:
        with started(build, name) as server:
            check(server)
    except Skip as reason:
        print("ok - %s # SKIP %s" % (text, reason))
    except Exception:
        print("not ok - %s" % text)
        print(re.sub("^", "# ", traceback.format_exc().strip(), flags=re.M))
        return False
    else:
        print("ok - %s" % text)
    finally:
        sys.stdout.flush()
    return True


def check_peers(build, names=()):
    """All checks of the named servers, or of all; whether every one passed or was skipped."""
    failed = 0
    for name in names or NAMES:
        for check in CHECKS[name] if name in CHECKS else STORE_CHECKS[name][1]:
            failed += not run_one(build, name, check)
    return failed == 0


def main():
    parser = argparse.ArgumentParser(description="Check that the servers of the comparison do their job.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of %s; default: all" % ", ".join(NAMES))
    parser.add_argument("--build", default=os.path.join(ROOT, "build-compare"), help="the build folder")
    args = parser.parse_args()
    for name in args.names:
        if name not in NAMES:
            parser.error("there is no server %s" % name)
    return 0 if check_peers(args.build, args.names) else 1


if __name__ == "__main__":
    sys.exit(main())
