#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Does each acknowledgement leave after a sync that follows the write of its message? Asked from outside: strace sees
what the server asks of the kernel, and in which order.

    audit.py [--messages N] [--workers N] [--ack-when stored|received]

prints what it saw, and ends with status 1 when an acknowledgement left too soon. Judge is for a trace that is there.

What a trace shows is enough: a call is noted before it begins and after it has ended. So when the end of a write is
noted before the beginning of a sync, the write had ended before the sync began; and likewise from a sync to a send.
"""
import argparse
import codecs
import os
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "flow"))
from harness import DEADLINE, Server, Skip, skip  # noqa: E402 (where it lies is not known before)

CALLS = "accept4,close,fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg"
SENDS = ("write", "writev", "sendto", "sendmsg")
DATA_BYTES_MAX = 20000   # of one call, as strace shows it: a page of the database, or acknowledgements
FRAME_HEADER_BYTES = 24  # https://www.sqlite.org/fileformat2.html#walformat
IN_FLIGHT = 8            # messages of a connection
CONNECTIONS = 8

BEGUN = re.compile(rb"(\d+) +(\w+)\((.*)$", re.S)
RESUMED = re.compile(rb"(\d+) +<\.\.\. (\w+) resumed>.*?\) += (-?\d+)", re.S)
RESULT = re.compile(rb"\) += (-?\d+)[^\"]*$")
UNFINISHED = b" <unfinished ...>"
MESSAGE = re.compile(rb"<(\d+)\.(\d+)>")
DESCRIPTOR = re.compile(rb"(\d+)(?:<(.*?)>)?(?:, |\)|$)")
TEXT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
PEER = re.compile(rb"sin_port=htons\((\d+)\)")


def message(port, seq):
    """A text that no other message has; a connection goes by its client's port."""
    return b"<%d.%d>%s\n" % (port, seq, b"." * 80)


class Call:
    """One that has begun: what it was asked, and what was on disk by then."""

    def __init__(self, name, arguments, line, safe_until):
        self.name = name
        self.arguments = arguments
        self.line = line
        self.safe_until = safe_until


class Judge:
    """Reads a trace, line by line, and counts. Instants are numbers of lines."""

    def __init__(self):
        self.lines = 0
        self.calls = {}       # by thread
        self.written = {}     # message: when the first write of it to the log, and its commit, had returned
        self.uncommitted = []  # messages that are written, and their commit is not
        self.ends_transaction = False  # the frame that is being written
        self.safe_until = -1  # writes that had returned before this are on disk: the begin of a sync that has succeeded
        self.clients = {}     # by descriptor: [port, acknowledgements, bytes of one that is not whole]
        self.syncs = 0
        self.acks = 0
        self.violations = []

    def read(self, line):
        self.lines += 1
        line = line.rstrip(b"\n")
        is_unfinished = line.endswith(UNFINISHED)
        if is_unfinished:
            line = line[:-len(UNFINISHED)]
        resumed = RESUMED.match(line)
        if resumed:
            call = self.calls.pop(resumed[1], None)
            if call:
                self.finish(call, int(resumed[3]), line)
            return
        begun = BEGUN.match(line)
        if not begun:
            return
        call = Call(begun[2].decode(), begun[3], self.lines, self.safe_until)
        if is_unfinished:
            self.calls[begun[1]] = call
            return
        result = RESULT.search(line)
        if result:
            self.finish(call, int(result[1]), line)

    def finish(self, call, result, line):
        """A call has returned; line is the one that says so."""
        descriptor = DESCRIPTOR.match(call.arguments)
        if result < 0 or not descriptor:
            return
        number, path = int(descriptor[1]), descriptor[2] or b""
        if call.name == "accept4":
            peer = PEER.search(call.arguments) or PEER.search(line)
            if peer:
                self.clients[result] = [int(peer[1]), 0, b""]
        elif call.name == "close":
            self.clients.pop(number, None)
        elif call.name == "pwrite64" and path.endswith(b"-wal"):
            self.note_write(call)
        elif call.name in ("fdatasync", "fsync") and path.endswith(b"-wal"):
            self.syncs += 1
            self.safe_until = max(self.safe_until, call.line)
        elif call.name in SENDS and number in self.clients:
            self.judge_send(call, self.clients[number], result)

    def note_write(self, call):
        """A frame is written as its header, which says whether it ends a transaction, and its page."""
        text = TEXT.search(call.arguments)
        if not text:
            return
        if len(text[1]) <= 4 * FRAME_HEADER_BYTES:
            header = codecs.escape_decode(text[1])[0]
            if len(header) == FRAME_HEADER_BYTES:
                self.ends_transaction = header[4:8] != bytes(4)
                return
        self.uncommitted += [(int(port), int(seq)) for port, seq in MESSAGE.findall(text[1])]
        if self.ends_transaction:
            for key in self.uncommitted:
                self.written.setdefault(key, self.lines)
            self.uncommitted = []

    def judge_send(self, call, client, sent):
        """All that the send has in it was decided when it began."""
        text = b"".join(TEXT.findall(call.arguments)).replace(rb"\n", b"\n")
        lines = (client[2] + text[:sent]).split(b"\n")
        client[2] = lines.pop()
        for line in lines:
            client[1] += 1
            self.acks += 1
            written = self.written.get((client[0], client[1]))
            if line != b"%d" % client[1]:
                self.violations.append("client %d: %r where %d is due" % (client[0], line, client[1]))
            elif written is None:
                self.violations.append("client %d: %d left before it was written" % (client[0], client[1]))
            elif written >= call.safe_until:
                self.violations.append("client %d: %d left at line %d, was written at %d, and the last sync began at %d"
                                       % (client[0], client[1], call.line, written, call.safe_until))


def judge(lines):
    """A trace, as lines of bytes."""
    result = Judge()
    for line in lines:
        result.read(line)
    return result


# ---- A trace of our own ----

def strace(path):
    """Words that run a command and write its trace to path; skips where that is not possible."""
    if shutil.which("strace") is None:
        skip("strace is not installed: apt-get install strace")
    words = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-s", str(DATA_BYTES_MAX), "-e", "abbrev=none",
             "-e", "signal=none", "-e", "trace=" + CALLS, "-o", path]
    trial = subprocess.run(words + ["true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, check=False)
    if trial.returncode != 0:
        skip("strace does not work here: " + trial.stderr.strip())
    return words


class TracedServer(Server):
    """A server below strace. Signals are for the server itself."""

    def __init__(self, *options, trace):
        # Leaks are looked for by ptrace as well, and two cannot have it.
        super().__init__(*options, wrap=strace(trace), env={"ASAN_OPTIONS": "detect_leaks=0"})
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid), encoding="ascii") as file:
            self.pid = int(file.read().split()[0])


class Client:
    """Keeps some messages in flight, as many at a time as the dice say."""

    def __init__(self, server, count):
        self.socket = server.connect()
        self.port = self.socket.getsockname()[1]
        self.left = count
        self.sent = 0
        self.acked = 0

    def send_some(self, dice):
        some = min(self.left, dice.randint(0, IN_FLIGHT - (self.sent - self.acked)))
        if self.sent == self.acked and self.left:
            some = max(some, 1)
        if some:
            self.socket.sendall(b"".join(message(self.port, self.sent + 1 + i) for i in range(some)))
            self.sent += some
            self.left -= some

    def receive(self):
        received = self.socket.recv(65536)
        assert received, "the server has closed a connection"
        self.acked += received.count(b"\n")

    def is_done(self):
        return self.left == 0 and self.acked == self.sent


def keep_busy(server, messages):
    dice = random.Random(messages)
    clients = [Client(server, messages // CONNECTIONS + (i < messages % CONNECTIONS)) for i in range(CONNECTIONS)]
    busy = {client.socket: client for client in clients}
    for client in clients:
        client.send_some(dice)
    while busy:
        readable = select.select(list(busy), [], [], DEADLINE)[0]
        assert readable, "no acknowledgement within the deadline"
        for sock in readable:
            client = busy[sock]
            client.receive()
            client.send_some(dice)
            if client.is_done():
                del busy[sock]
    for client in clients:
        client.socket.close()


def trace(messages, workers, ack_when="stored"):
    """The trace of a server that acknowledges so many messages, as lines of bytes."""
    with tempfile.TemporaryDirectory(prefix="weir-audit-") as folder:
        path = os.path.join(folder, "trace")
        with TracedServer("--frame", "line", "--ack", "{seq}", "--ack-when", ack_when, "--workers", workers,
                          "--store", os.path.join(folder, "s.db"), trace=path) as server:
            keep_busy(server, messages)
        with open(path, "rb") as file:
            return file.readlines()


def main():
    parser = argparse.ArgumentParser(description="does each acknowledgement leave after a sync of its message?")
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ack-when", default="stored", choices=["stored", "received"])
    options = parser.parse_args()
    try:
        lines = trace(options.messages, options.workers, options.ack_when)
    except Skip as reason:
        sys.exit(str(reason))
    result = judge(lines)
    for violation in result.violations[:20]:
        print(violation)
    print("%d acknowledgements, %d syncs of the log, %d MB of trace: %d violations"
          % (result.acks, result.syncs, sum(map(len, lines)) // 1000000, len(result.violations)))
    return 0 if result.acks == options.messages and not result.violations else 1


if __name__ == "__main__":
    sys.exit(main())
