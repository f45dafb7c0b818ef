# SPDX-License-Identifier: BSD-3-Clause
"""The least that must work before anything else is worth testing."""
import signal

from harness import Server, recv_exactly, recv_until, run_weir


def test_echo_of_lines():
    with Server("--frame", "line", "--reply", "echo") as server, server.connect() as client:
        client.sendall(b"hello\nwor")
        assert recv_until(client, b"\n") == b"hello\n"
        client.sendall(b"ld\r\n\n")
        assert recv_exactly(client, len(b"world\n\n")) == b"world\n\n"


def test_sigterm_drains_and_ends_with_0():
    with Server("--frame", "line", "--reply", "echo") as server:
        assert server.stop(signal.SIGTERM) == 0


def test_sigint_drains_and_ends_with_0():
    with Server("--frame", "line", "--reply", "echo") as server:
        assert server.stop(signal.SIGINT) == 0


def test_unknown_option_is_wrong_usage():
    status, stdout, stderr = run_weir("serve", "--lisen", "127.0.0.1:0")
    assert status == 2, status
    assert stdout == "", stdout
    assert "--lisen" in stderr and "--listen" in stderr, stderr
