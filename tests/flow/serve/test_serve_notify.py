# SPDX-License-Identifier: BSD-3-Clause
"""What a service manager is told (sd_notify): ready once clients can connect, how the store is, and that it stops."""
import contextlib
import os
import socket
import subprocess
import tempfile

from harness import DEADLINE, Server, recv_until
from test_store import ACKED, KEEP_ALL, a_store_on_a_disk_of, acks, put_ballast


@contextlib.contextmanager
def a_manager(name=None):
    """A socket that listens as systemd's, and what to set for it."""
    with tempfile.TemporaryDirectory(prefix="weir-notify-") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = name or os.path.join(folder, "notify")
        manager.bind(path.replace("@", "\0"))
        manager.settimeout(DEADLINE)
        yield manager, {"NOTIFY_SOCKET": path}


def test_ready_and_stopping():
    for name in (None, "@weir-test-%d" % os.getpid()):
        with a_manager(name) as (manager, env):
            with Server(env=env) as server:
                assert manager.recv(4096) == b"READY=1"
                assert server.stop() == 0
                assert manager.recv(4096) == b"STOPPING=1"


def test_nobody_listens():
    """A manager that has gone, an address of another kind, and none at all: the server does not mind."""
    for name in ("/nowhere/notify", "vsock:2:1", "@", "/" + "x" * 200, ""):
        with Server("--reply", "echo", env={"NOTIFY_SOCKET": name}) as server, server.connect() as client:
            client.sendall(b"hello")
            assert recv_until(client, b"hello").endswith(b"hello")


def test_state_of_the_store():
    with a_manager() as (manager, env), a_store_on_a_disk_of("1m") as path:
        ballast = put_ballast(path, 600 * 1024)
        with Server("--store", path, *ACKED, *KEEP_ALL, env=env) as server, server.connect() as client:
            assert manager.recv(4096) == b"READY=1"
            client.sendall((b"x" * 1023 + b"\n") * 300)
            state = manager.recv(4096).decode()
            assert state.startswith("STATUS=store %s: " % path) and "full" in state, state
            subprocess.run(["mount", "-o", "remount,size=64m", os.path.dirname(path)], stdin=subprocess.DEVNULL,
                           check=True)
            os.remove(ballast)
            assert manager.recv(4096).decode() == "STATUS=store %s: works" % path
            acks(client, 1, 300)
