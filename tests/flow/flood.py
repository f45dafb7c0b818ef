# SPDX-License-Identifier: BSD-3-Clause
"""A client that floods and does not read, and the well-behaved one beside it."""
import time

from harness import DEADLINE, PATIENCE, recv_until

MEBIBYTE = 1 << 20
PROMPT = 5 * PATIENCE  # seconds: who waits longer is not served beside the others, however busy the machine is


class Ping:
    """A well-behaved client beside the others. It is answered, and promptly."""

    def __init__(self, server):
        self.server = server
        self.sock = server.connect()
        self.count = 0
        self.slowest = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def exchange(self):
        start = time.monotonic()
        line = b"ping %d\n" % self.count
        self.sock.sendall(line)
        assert recv_until(self.sock, b"\n") == line
        self.count += 1
        self.slowest = max(self.slowest, time.monotonic() - start)


def send_until_stopped(client, data, ping):
    """Sends data again and again until the server takes no more of it, while another client is served a hundred times,
    and has nothing else to do. Returns how much was sent."""
    client.setblocking(False)
    sent = 0
    idle = 0
    while idle < 100 or not ping.server.is_asleep():
        try:
            sent += client.send(data[sent % len(data):])
            idle = 0
        except BlockingIOError:
            ping.exchange()
            idle += 1
        assert sent < 256 * MEBIBYTE, "the server's input does not stop"
    client.setblocking(True)
    client.settimeout(DEADLINE)
    return sent
