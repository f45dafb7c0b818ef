# SPDX-License-Identifier: BSD-3-Clause
"""weir connect on a terminal: what is typed, what is seen, and how the terminal is left."""
import os
import signal
import socket

from harness import WEIR, Process, Server, accept, listener, recv_all, recv_exactly, wait_for
from screen import EDITED, IN_ORDER, Typing, attributes, wait_attributes
from test_connect import free_port, port_of

CTRL_C, CTRL_D = b"\x03", b"\x04"
UP = b"\x1b[A"


class Client(Typing, Process):
    """Somebody at a terminal, connected to a port or URL."""

    def __init__(self, where, *options, columns=80, prompt=">", **process):
        self.columns = columns
        super().__init__([WEIR, "connect", *options, where], terminal=True, columns=columns, **process)
        if prompt:
            self.wait_prompt(prompt)

    def rows_behind(self, line):
        """What is shown behind a line that was typed, without the prompt."""
        rows = self.rows()
        return rows[rows.index("> " + line) + 1:-1]

    def wait_behind(self, line, expected):
        wait_for(lambda: "> " + line in self.rows() and self.rows_behind(line) == expected,
                 "%r behind %r; there is:\n%s" % (expected, line, "\n".join(self.rows())))


def test_conversation():
    with Server("--frame", "line", "--reply", "echo") as server, Client(server.port) as client:
        for line, answer in (("hello", "hello"), ("\u4f60\u597d", "\u4f60\u597d"), (r"a \\ b\x41\x0a\xe4\xbd\xa0!", None)):
            client.enter(line)
            client.wait_behind(line, [answer] if answer else [r"a \\ bA", "\u4f60!"])
        client.type(CTRL_D)
        assert client.wait() == 0
        assert client.rows()[0] == "connected to tcp://127.0.0.1:%d" % server.port
        assert client.rows()[-2:] == ["tcp://127.0.0.1:%d closed the connection" % server.port, ""], client.rows()


def test_answers_that_come_unasked_do_not_break_the_line():
    with listener() as sock, Client(port_of(sock)) as client, accept(sock) as server:
        client.type("half a li")
        client.wait_prompt("> half a li")
        server.sendall(b"first\r\nsecond\nthird?")
        client.wait_row(r"third\?")
        client.wait_prompt("> half a li")
        assert client.rows()[1:] == ["first", "second", "third?", "> half a li"], client.rows()
        server.sendall(b"\x1b[2J\x1b]0;owned\x07\x00\x01")
        client.wait_row(r"1b 5b 32 4a .*|.*\\x1b\[2J\\x1b\]0;owned\\x07\\0\\x01.*")
        assert b"\x07" not in client.stdout.bytes() and b"\x1b]" not in client.stdout.bytes()
        client.enter("ne")
        assert recv_exactly(server, 12) == b"half a line\n"


def test_character_that_comes_in_two_reads():
    text = "\u4f60\u597d\u4e16\u754c"
    with listener() as sock, Client(port_of(sock)) as client, accept(sock) as server:
        for at in (1, 2, 4, 5):
            server.sendall(b"piece %d\n" % at + text.encode()[:at])
            client.wait_row("piece %d" % at)
            server.sendall(text.encode()[at:] + b" %d\n" % at)
            client.wait_row("%s %d" % (text, at))
        server.sendall(b"the end \xe4\xbd")
        server.close()
        assert client.wait() == 0
        assert client.rows()[1:10] == ["piece 1", text + " 1", "piece 2", text + " 2", "piece 4", text + " 4", "piece 5",
                                       text + " 5", "the end \\xe4\\xbd"], client.rows()


def test_history():
    with listener() as sock, Client(port_of(sock)) as client, accept(sock) as server:
        client.enter("first")
        client.enter("second")
        assert recv_exactly(server, 13) == b"first\nsecond\n"
        client.type(UP + UP)
        client.wait_prompt("> first")
        client.enter(" again")
        assert recv_exactly(server, 12) == b"first again\n"


def test_typed_lines_as_messages():
    with Server("--frame", "length:u16be", "--reply", "echo", "--print", "json") as server, \
            Client(server.port, "--frame", "length:u16be") as client:
        for line in ("hello", "", r"\x00\xff", "/hex 41 00"):
            client.enter(line)
        events = server.wait_events("message", 4)
        assert [event.get("text") for event in events] == ["hello", "", None, "A\0"], events
        client.type(CTRL_D)
        assert client.wait() == 0


def test_crlf_when_typed():
    with listener() as sock, Client(port_of(sock), "-C") as client, accept(sock) as server:
        client.enter("GET / HTTP/1.0")
        client.enter("")
        client.enter("/hex 41")
        assert recv_exactly(server, 19) == b"GET / HTTP/1.0\r\n\r\nA"
        server.close()
        assert client.wait() == 0


def test_typed_hex():
    with listener() as sock, Client(port_of(sock), "--hex") as client, accept(sock) as server:
        for line in ("01 03 00ff", "", "/hex 10", "/repeat 2 1ms 61 62", "41"):
            client.enter(line)
        client.wait_row("repeated: 2 of 2 sent")
        client.enter("zz")
        client.wait_row("'z' at character . is no hex digit.*")
        client.enter("/repeat 2 1ms ping")
        client.wait_row("'p' at character 1 is no hex digit.*")
        client.type(CTRL_D)
        assert sorted(recv_all(server)) == sorted(b"\x01\x03\x00\xff\x10ababA")


def test_typed_in_another_encoding():
    with Server("--frame", "line", "--reply", "echo", "--print", "json", "--encoding", "gbk") as server, \
            Client(server.port, "--encoding", "gbk") as client:
        line = r"\u6e29\u5ea6 25\u2103 \x41\xc4\xe3".encode().decode("unicode_escape").replace("\xc4\xe3", r"\xc4\xe3")
        client.enter(line)
        client.wait_behind(line, ["\u6e29\u5ea6 25\u2103 A\u4f60"])
        assert server.wait_events("message")[0]["len"] == 13
        client.enter("\uac00")
        client.wait_row("\uac00: not a character of the encoding")
        client.enter("/nosuch")
        client.wait_row("unknown command /nosuch.*")
        assert len(server.events("message")) == 1


def test_file_and_repeat():
    data = b"line\n" * 60000
    with listener() as sock, Client(port_of(sock)) as client, accept(sock) as server:
        with open(os.path.join(client.home.name, "data"), "wb") as file:
            file.write(data)
        client.enter("/file data")
        assert recv_exactly(server, len(data)) == data
        client.wait_row("300,000 bytes of data sent")
        client.enter("/file nosuch")
        client.wait_row("/file nosuch: no such file or directory; nothing was sent|.*No such file.*")
        client.enter("/file .")
        client.wait_row("/file .: it is a directory; nothing was sent")
        client.enter("/repeat 3 1ms ping")
        assert recv_exactly(server, 15) == b"ping\n" * 3
        client.wait_row("repeated: 3 of 3 sent")
        client.enter("/repeat 100000 1ms /hex 41")
        recv_exactly(server, 5)
        client.enter("/repeat off")
        client.wait_row(r"no longer repeated: \d+ of 100,?000 sent")


def test_framed_file_is_one_message():
    with listener() as sock, Client(port_of(sock), "--frame", "length:u32be") as client, accept(sock) as server:
        for name, size in (("fits", 1 << 20), ("too-long", (1 << 20) + 1), ("empty", 0)):
            with open(os.path.join(client.home.name, name), "wb") as file:
                file.write(b"x" * size)
        client.enter("/file too-long")
        client.wait_row("/file too-long: too long for one message; nothing was sent")
        client.enter("/file empty")
        client.wait_row("/file empty: it is empty; nothing was sent")
        client.enter("/file fits")
        assert recv_exactly(server, 4 + (1 << 20)) == b"\x00\x10\x00\x00" + b"x" * (1 << 20)


def test_file_waits_for_a_slow_server_and_nothing_gets_between():
    data = os.urandom(1 << 20) * 12
    with listener() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with Client(port_of(sock)) as client, accept(sock) as server:
            with open(os.path.join(client.home.name, "data"), "wb") as file:
                file.write(data)
            client.enter("/file data")
            client.enter("between")
            client.wait_row("a file is still on its way; nothing was sent between")
            client.type(CTRL_D)  # ends our side behind the file
            assert recv_all(server) == data
            client.wait_row("12,582,912 bytes of data sent")
            server.close()
            assert client.wait() == 0


def test_server_that_goes_in_the_middle_of_things():
    """What was not done is said."""
    with listener() as sock, Client(port_of(sock), columns=120) as client, accept(sock) as server:
        with open(os.path.join(client.home.name, "data"), "wb") as file:
            file.truncate(64 << 20)
        client.enter("/repeat 1000 5s ping")
        assert recv_exactly(server, 5) == b"ping\n"
        client.enter("/file data")
        recv_exactly(server, 65536)
        server.shutdown(socket.SHUT_WR)
        recv_all(server)  # what was on the way is still sent
        client.wait_row("no longer repeated: 1 of 1000 sent")
        client.wait_row(r"/file data: the connection has ended; [\d,]+ bytes of it were on the way at most")
        assert client.wait() == 1
        client.wait_row("weir: .* closed the connection before it had taken all that was sent")


def test_quit_and_help():
    with listener() as sock, Client(port_of(sock)) as client, accept(sock) as server:
        client.enter("/help")
        client.wait_row("  /quit +end")
        client.enter("last")
        client.enter("/quit")
        assert recv_all(server) == b"last\n"
        server.close()
        assert client.wait() == 0
        client.wait_row("the connection to tcp://127.0.0.1:%d is closed" % port_of(sock))


def test_server_that_goes_while_somebody_thinks():
    with listener() as sock, Client(port_of(sock)) as client:
        server = accept(sock)
        client.type("half")
        client.wait_prompt("> half")
        wait_attributes(client, EDITED)
        server.close()
        assert client.wait() == 0
        assert client.rows()[1:] == ["tcp://127.0.0.1:%d closed the connection" % port_of(sock), ""], client.rows()
        assert attributes(client) == IN_ORDER


def test_ctrl_c_ends_it_at_once_and_leaves_the_terminal_in_order():
    with Server("--reply", "echo") as server, Client(server.port) as client:
        client.type("half a li")
        client.wait_prompt("> half a li")
        wait_attributes(client, EDITED)
        client.type(CTRL_C)
        assert client.wait() == -signal.SIGINT
        assert attributes(client) == IN_ORDER
        with server.connect() as other:
            other.sendall(b"x")
            assert recv_exactly(other, 1) == b"x"


def test_silence_on_a_terminal():
    with listener() as sock, Client(port_of(sock), "--timeout", "500ms", prompt=None) as client, accept(sock):
        assert client.wait() == 5
        client.wait_row("weir: timed out: nothing has come from tcp://127.0.0.1:%d for 500ms" % port_of(sock))
        assert attributes(client) == IN_ORDER


def test_raw_bytes_are_not_for_a_terminal():
    with Client(1, "--print", "raw", prompt=None, columns=120) as client:
        assert client.wait() == 2
        client.wait_row("weir: --print raw would let the server steer this terminal; send it through a pipe: .*")


def test_hex_is_shown_when_asked():
    with Server("--reply", "echo") as server, Client(server.port, "--print", "both") as client:
        client.enter("hi")
        client.wait_behind("hi", ["68 69 0a  |hi.|"])


def test_where_nothing_can_be_erased():
    with Server("--frame", "line", "--reply", "echo") as server, \
            Client(server.port, prompt=None, env={"TERM": "dumb"}) as client:
        client.wait_stdout("connected")
        client.type("hello\n")
        client.wait_stdout("hello\r\nhello\r\n")
        client.type(CTRL_D)
        assert client.wait() == 0
        assert b"\x1b" not in client.stdout.bytes()


def test_output_to_a_file_holds_only_what_the_server_sent():
    """Also when somebody types: what there is to say goes to the terminal that standard error is."""
    with Server("--frame", "line", "--reply", "echo") as server, \
            Client(server.port, prompt=None, wrap=["sh", "-c", 'exec "$@" >out', "sh"]) as client:
        client.wait_row("connected to .*")
        client.type("one\n\\x41\n")
        client.type(CTRL_D)
        assert client.wait() == 0
        client.wait_row(".* closed the connection")
        with open(os.path.join(client.home.name, "out"), "rb") as file:
            assert file.read() == b"one\n\\x41\n"  # and what was typed went as it was


def test_refusal_on_a_terminal():
    with free_port() as sock, Client(port_of(sock), prompt=None) as client:
        assert client.wait() == 3
        assert client.stdout.text().startswith("weir: connection refused: nothing listens"), client.stdout.text()
