# SPDX-License-Identifier: BSD-3-Clause
"""A terminal that is not its session's own, as in `socat - EXEC:'weir serve',pty`, under setsid(1), and in containers
whose init makes a session without one: no key sends a signal there, and nobody is ever in the background. Typing works
as on any other."""
import os
import shutil
import signal
import subprocess
import termios

from harness import DEADLINE, WEIR, Process, Server, accept, listener, recv_all, recv_exactly, recv_until, skip, wait_for
from lab import cpu_share
from screen import EDITED, IN_ORDER, attributes, wait_attributes
from test_connect import port_of
from test_connect_terminal import Client
from test_desk import CTRL_C, CTRL_D, CTRL_Z, TIME, UP, Desk

SAYS_MORE = "what you type goes to the client that the prompt names"


def ways():
    """How a process comes to such a terminal: in a session that has none, in a session that has another (the test's),
    and on one that is another session's."""
    yield {"job_control": False}
    yield {"job_control": False, "new_session": False}
    if shutil.which("setsid"):
        yield {"wrap": ("setsid", "--wait")}


def test_typing_is_read():
    for way in ways():
        with Desk("--frame", "line", **way) as desk:
            desk.wait_row(SAYS_MORE + ".*")
            desk.wait_prompt(">")
            assert attributes(desk) == EDITED
            with desk.client(1) as client:
                desk.wait_prompt("#1>")
                desk.enter("hello")
                assert recv_until(client, b"\n") == b"hello\n"
                desk.type(UP + b"!")
                client.sendall(b"between\n")
                desk.wait_row(TIME + "#1 between")
                desk.wait_prompt("#1> hello!")
                desk.enter("")
                assert recv_until(client, b"\n") == b"hello!\n"
                desk.enter("/list")
                desk.wait_row("> #1 .*")
                desk.type(CTRL_C)
                assert recv_all(client) == b""
            assert desk.wait() == 0
            assert attributes(desk) == IN_ORDER
            assert termios.tcgetattr(desk.stdin.fileno())[6][termios.VINTR] == CTRL_C


def test_lines_without_editing():
    for way in ways():
        if "wrap" in way:
            continue  # nothing there makes a signal of Ctrl-C, and the server is not the process that we could stop
        with Desk("--frame", "line", env={"TERM": "dumb"}, **way) as desk, desk.connect() as client:
            desk.wait_stdout("#1.*connected")
            desk.type("hello\n")
            assert recv_until(client, b"\n") == b"hello\n"


def test_ctrl_z_does_nothing_and_loses_nothing():
    for way in ways():
        with Desk("--frame", "line", **way) as desk, desk.client(1) as client:
            desk.wait_prompt("#1>")
            desk.type("half a line")
            desk.wait_prompt("#1> half a line")
            if "wrap" in way:  # there it stops the one that waits, whose terminal it is
                desk.type(", the rest\r")
            else:
                desk.type(CTRL_Z + b", the rest\r")
            assert recv_until(client, b"\n") == b"half a line, the rest\n"
            desk.type(CTRL_C)
            assert recv_all(client) == b""
            client.close()
            assert desk.wait() == 0


def test_stopped_and_continued_it_goes_on():
    """SIGTSTP does nothing where no shell could make the process go on, and stops it where one could."""
    for new_session in (True, False):
        with Desk("--frame", "line", job_control=False, new_session=new_session) as desk, desk.client(1) as client:
            desk.type("half")
            desk.wait_prompt("#1> half")
            desk.send_signal(signal.SIGTSTP)
            desk.send_signal(signal.SIGCONT)
            desk.type(", and the rest\r")
            assert recv_until(client, b"\n") == b"half, and the rest\n"
            wait_attributes(desk, EDITED)


def test_end_of_input_does_not_stop_the_server():
    with Desk("--frame", "line", job_control=False) as desk, desk.client(1) as client:
        desk.type(CTRL_D)
        desk.wait_row("nothing more is taken from here; .*")
        wait_attributes(desk, IN_ORDER)
        client.sendall(b"still here\n")
        desk.wait_row(TIME + "#1 still here")


def test_terminal_that_goes_away():
    """No signal tells of it. The server serves on, and does not look again and again."""
    with Server("--frame", "line", "--reply", "echo", terminal=True, job_control=False) as server, \
            server.connect() as client:
        server.wait_stdout("#1.*connected")
        server.stdout.freeze()
        server.stdin.close()
        client.sendall(b"still here\n")
        assert recv_until(client, b"\n") == b"still here\n"
        assert cpu_share(server) < 0.1
        server.send_signal(signal.SIGTERM)
        assert recv_all(client) == b""
        client.close()
        assert server.process.wait(DEADLINE) == 0


def test_started_in_the_background_nothing_is_said_of_typing():
    """There is job control, and what is typed is the shell's."""
    with Process(["sh", "-c", 'set -m; "$0" serve --listen 127.0.0.1:0 & cat; kill %1; wait', WEIR],
                 terminal=True) as shell:
        shell.wait_stdout("room for")
        shell.stdin.write(b"typed to cat\r")
        shell.wait_stdout("typed to cat\r\ntyped to cat\r\n")
        shell.stdin.write(CTRL_D)
        assert shell.wait() == 0
        assert SAYS_MORE not in shell.stdout.text(), shell.stdout.text()


def test_connect():
    for way in ways():
        with listener() as sock, Client(port_of(sock), **way) as client, accept(sock) as server:
            assert attributes(client) == EDITED
            client.enter("hello")
            assert recv_exactly(server, 6) == b"hello\n"
            server.sendall(b"answer\n")
            client.wait_row("answer")
            client.type(UP + CTRL_D + b"\r")
            assert recv_exactly(server, 6) == b"hello\n"
            client.enter("/quit")
            assert recv_all(server) == b""
            server.close()
            assert client.wait() == 0
            assert attributes(client) == IN_ORDER


def test_connect_and_ctrl_c():
    for way in ways():
        with listener() as sock, Client(port_of(sock), **way) as client, accept(sock) as server:
            client.type("half a line")
            client.wait_prompt("> half a line")
            client.type(CTRL_C)
            assert recv_all(server) == b""
            assert client.wait() == -signal.SIGINT or "wrap" in way  # which tells it in its own way
            assert attributes(client) == IN_ORDER


def test_connect_that_the_server_ends():
    with listener() as sock, Client(port_of(sock), job_control=False) as client:
        accept(sock).close()
        assert client.wait() == 0
        client.wait_row("tcp://.* closed the connection")
        assert attributes(client) == IN_ORDER


def test_under_socat():
    if shutil.which("socat") is None:
        skip("socat is not installed")
    with Server("--frame", "line", "--print", "json") as server:
        words = "EXEC:'%s connect --frame line %d',pty,stderr" % (WEIR, server.port)
        with subprocess.Popen(["socat", "-", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=dict(os.environ, TERM="dumb")) as socat:
            server.wait_events("open")
            socat.stdin.write(b"hello\n")
            socat.stdin.flush()
            assert server.wait_events("message")[0]["text"] == "hello"
            socat.stdin.write(b"/quit\n")
            socat.stdin.close()
            wait_for(lambda: socat.poll() is not None, "the end of socat")
