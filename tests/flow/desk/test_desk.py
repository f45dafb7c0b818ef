# SPDX-License-Identifier: BSD-3-Clause
"""Typing at `weir serve` on a terminal: to whom it goes, what is seen, and how the terminal is left."""
import os
import re
import signal
import termios
import time

from harness import DEADLINE, WEIR, Process, Server, connect, expect_eof, recv_all, recv_exactly, recv_until, \
    reset, wait_for
from screen import EDITED, IN_ORDER, Screen, Typing, attributes, wait_attributes

CTRL_C, CTRL_D, CTRL_Z = b"\x03", b"\x04", b"\x1a"
UP, LEFT, HOME = b"\x1b[A", b"\x1b[D", b"\x01"


class Desk(Typing, Server):
    """A server on a terminal, with somebody who types."""

    def __init__(self, *options, columns=80, **process):
        self.columns = columns
        super().__init__(*options, terminal=True, columns=columns, **process)

    def client(self, number):
        """A client, which is this number, once the server shows it, and names it or another in the prompt."""
        sock = self.connect()
        self.wait_row(TIME + "#%d .* connected" % number)
        wait_for(lambda: re.match(r"#\d+>", self.prompt()), "a prompt with a client")
        return sock


TIME = r"\d\d:\d\d:\d\d\.\d{3} "


# ---- To whom ----


def test_line_goes_to_the_client_in_the_prompt():
    with Desk("--frame", "line") as desk:
        desk.wait_prompt(">")
        with desk.client(1) as client:
            desk.wait_prompt("#1>")
            desk.enter("hello \u4f60\u597d \\x41\\\\")
            assert recv_until(client, b"\n") == "hello \u4f60\u597d A\\\n".encode()
            desk.wait_row(TIME + "#1 < hello \u4f60\u597d A\\\\\\\\")
            desk.wait_prompt("#1>")
            assert not [row for row in desk.rows() if "hello" in row and "<" not in row]  # it is there once


def test_nobody_there_is_said():
    with Desk() as desk:
        desk.wait_prompt(">")
        desk.enter("hello")
        desk.wait_row("nobody is connected; nothing was sent")
        desk.enter("/all hello")
        desk.wait_row("> /list|nobody is connected; nothing was sent")
        desk.enter("/list")
        desk.wait_row("nobody is connected")


def test_target_changes_by_command_only():
    with Desk("--frame", "line") as desk, desk.client(1) as one, desk.client(2) as two:
        desk.wait_prompt("#1>")
        desk.enter("a")
        assert recv_until(one, b"\n") == b"a\n"
        desk.enter("/2")
        desk.wait_prompt("#2>")
        desk.enter("b")
        assert recv_until(two, b"\n") == b"b\n"
        with desk.client(3):
            desk.wait_prompt("#2>")
            desk.enter("/9")
            desk.wait_row("#9 is not connected; /list shows who is")
            desk.wait_prompt("#2>")


def test_half_typed_line_is_not_sent_to_another():
    with Desk("--frame", "line") as desk, desk.client(1) as one, desk.client(2) as two:
        desk.wait_prompt("#1>")
        desk.type("a secret for one")
        desk.wait_prompt("#1> a secret for one")
        one.close()
        desk.wait_row(TIME + "#1 .*peer closed.*")
        desk.wait_prompt("#1> a secret for one")
        desk.type("\r")
        desk.wait_row("#1 has left; nothing was sent")
        desk.wait_prompt("#2>")
        desk.type(UP)
        desk.wait_prompt("#2> a secret for one")
        desk.type("\r")
        assert recv_until(two, b"\n") == b"a secret for one\n"


def test_prompt_names_the_next_when_its_client_leaves():
    with Desk() as desk:
        clients = [desk.client(number) for number in (1, 2, 3)]
        desk.enter("/2")
        desk.wait_prompt("#2>")
        for index, prompt in ((1, "#3>"), (2, "#1>"), (0, ">")):
            clients[index].close()
            desk.wait_prompt(prompt)


def test_pasted_lines_go_to_the_client_they_were_meant_for():
    """Many at once, and the client leaves while they are worked off: those that are left go to nobody."""
    with Desk("--frame", "line") as desk, desk.client(1) as one, desk.client(2) as two:
        desk.wait_prompt("#1>")
        desk.type("".join("line %d\r" % number for number in range(200)))
        assert recv_until(one, b"\n") == b"line 0\n"
        reset(one)
        wait_for(lambda: len(re.findall(r"#1 < line \d+$|nothing was sent$", "\n".join(desk.rows()), re.M)) == 200,
                 "all lines")
        desk.wait_prompt("#2>")
        desk.enter("for two")
        assert recv_until(two, b"\n") == b"for two\n"


# ---- What is seen ----


def test_line_that_is_typed_stays_whole_around_messages():
    text = "\u4f60\u597d " * 9 + "and a line that is longer than the terminal is wide, twice over, " * 2 + "end"
    with Desk("--frame", "line", columns=50) as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        for index, character in enumerate(text):
            desk.type(character)
            if index % 10 == 0:
                client.sendall(b"message %d\n" % index)
        client.sendall(b"last\n")
        desk.wait_row(TIME + "#1 last")
        wait_for(lambda: "".join(desk.rows()).endswith("end"), "the typed line")
        expected = Screen(50, "#1> " + text).rows
        assert desk.rows()[-len(expected):] == expected, desk.rows()
        messages = [row for row in desk.rows() if "#1 message" in row]
        assert len(messages) == len(range(0, len(text), 10)), desk.rows()
        assert all(re.fullmatch(TIME + r"#1 message \d+", row) for row in messages), messages
        desk.type("\r")
        assert recv_until(client, b"\n") == text.encode() + b"\n"
        desk.wait_prompt("#1>")
        assert not [row for row in desk.rows() if row.startswith("#1> ")], desk.rows()  # no rests of it


def test_editing_in_the_middle_of_a_wrapped_line():
    with Desk("--frame", "line", columns=60) as desk, desk.client(1) as client:
        desk.type("0123456789" * 7 + "\u4f60")
        desk.type(LEFT * 3 + b"X" + HOME + b"Y")
        wait_for(lambda: "#1> Y" in "".join(desk.rows()), "the edit")
        client.sendall(b"between\n")
        desk.wait_row(TIME + "#1 between")
        expected = Screen(60, "#1> Y" + "0123456789" * 6 + "01234567X89\u4f60").rows
        wait_for(lambda: desk.rows()[-len(expected):] == expected, "the line behind the message")
        desk.type("\r")
        assert recv_until(client, b"\n") == ("Y" + "0123456789" * 6 + "01234567X89\u4f60\n").encode()


def test_width_changes_while_a_line_is_typed():
    with Desk("--frame", "line") as desk, desk.client(1) as client:
        desk.type("x" * 100)
        wait_for(lambda: "x" * 24 == desk.prompt(), "the line")
        termios.tcsetwinsize(desk.stdin.fileno(), (24, 132))  # sends SIGWINCH
        mark = len(desk.stdout.text())
        client.sendall(b"wide\n")
        desk.wait_stdout(r"#1\S* wide")
        wait_for(lambda: ("#1> " + "x" * 100) in desk.stdout.text()[mark:], "the line in one row")
        desk.type("\r")
        assert recv_until(client, b"\n") == b"x" * 100 + b"\n"


def test_history_goes_back_to_earlier_lines():
    with Desk("--frame", "line") as desk, desk.client(1) as client:
        for line in ("one", "two"):
            desk.enter(line)
            assert recv_until(client, b"\n") == line.encode() + b"\n"
        desk.type(UP + UP + b"!\r")
        assert recv_until(client, b"\n") == b"one!\n"


# ---- Commands ----


def test_commands_of_the_desk():
    with Desk("--frame", "line", "--print", "auto") as desk, desk.client(1) as one, desk.client(2) as two:
        desk.enter("/hex 41 0x42 43")
        assert recv_until(one, b"\n") == b"ABC\n"
        desk.enter("//slash")
        assert recv_until(one, b"\n") == b"/slash\n"
        desk.enter("/all hello")
        desk.wait_row(TIME + r"all < hello \(2 clients\)")
        assert recv_until(one, b"\n") == recv_until(two, b"\n") == b"hello\n"
        two.sendall(b"x" * 10 + b"\n")
        desk.wait_row(TIME + "#2 x{10}")
        desk.enter("/list")
        desk.wait_row(r"  client   peer +messages +bytes in +bytes out  since")
        desk.wait_row(r"> #1 +127\.0\.0\.1:\d+ +0 +0 +17  \d\d:\d\d:\d\d")
        desk.wait_row(r"  #2 +127\.0\.0\.1:\d+ +1 +11 +6  \d\d:\d\d:\d\d")
        desk.enter("/lits")
        desk.wait_row("unknown command /lits; the nearest is /list")
        desk.enter(r"a \q")
        desk.wait_row(r"not an escape: \\q \(there are .*")
        desk.enter("/help")
        desk.wait_row("  /repeat COUNT INTERVAL TEXT  send it so many times: .*")
        desk.enter("/kick 2")
        expect_eof_or_reset(two)
        desk.wait_row(TIME + "#2 kicked: .*")
        desk.enter("/kick 2")
        desk.wait_row("#2 is not connected; /list shows who is")
        desk.enter("/kick")
        expect_eof_or_reset(one)
        desk.wait_prompt(">")


def expect_eof_or_reset(sock):
    try:
        expect_eof(sock)
    except ConnectionResetError:
        pass


def test_list_names_listeners_when_there_are_several():
    with Desk("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", columns=120) as desk:
        with connect(desk.ports[1]):
            desk.wait_prompt("#1>")
            desk.enter("/list")
            desk.wait_row("> #1 .*  tcp://127.0.0.1:%d" % desk.ports[1])


def test_all_says_who_could_not_get_it():
    with Desk("--listen", "127.0.0.1:0", "--frame", "line", "--listen", "127.0.0.1:0", "--frame", "length:u8",
              columns=400) as desk, connect(desk.ports[0]) as one, connect(desk.ports[1]):
        desk.wait_row(TIME + "#2 .* connected.*")
        desk.enter("/all " + "x" * 300)
        assert recv_exactly(one, 301) == b"x" * 300 + b"\n"
        desk.wait_row(TIME + r"all < x{300} \(1 of 2 clients\)")
        desk.enter("/2")
        desk.wait_prompt("#2>")
        desk.enter("y" * 300)
        desk.wait_row("#2: too long for one message of its framing; nothing was sent")


def test_show_has_the_last_message_whole():
    with Desk("--frame", "length:u16be", columns=70) as desk, desk.client(1) as client:
        desk.enter("/show")
        desk.wait_row("no message has come yet")
        text = b"first line\r\n" + b"0123456789" * 20 + b"\x1b[2J"
        client.sendall(len(text).to_bytes(2, "big") + text)
        desk.wait_row(TIME + r"#1 first line.* \.\.\. 216 bytes")
        desk.enter("/show")
        desk.wait_row(TIME + "#1 message 1, 216 bytes:")
        wait_for(lambda: "first line\\r\\n" + "0123456789" * 20 + "\\x1b[2J" in
                 "".join(row.removeprefix("  ") for row in desk.rows()), "the text")
        data = bytes(range(256)) * 3
        client.sendall(len(data).to_bytes(2, "big") + data)
        desk.wait_row(TIME + r"#1 00 01 .* \.\.\. 768 bytes")
        desk.enter("/show")
        desk.wait_row(TIME + "#1 message 2, 768 bytes:")
        for at in range(0, 768, 16):
            row = "  %08x  %s" % (at, data[at:at + 16].hex(" "))
            wait_for(lambda row=row: any(line.startswith(row) for line in desk.rows()), row)


def test_repeat_sends_as_often_as_asked():
    with Desk("--frame", "line") as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        began = time.monotonic()
        desk.enter("/repeat 3 100ms ping")
        assert recv_exactly(client, 15) == b"ping\n" * 3
        assert time.monotonic() - began >= 0.15  # two intervals, by a clock that the loop may have read before
        desk.wait_row("#1: repeated; 3 of 3 sent")
        desk.enter("/repeat off")
        desk.wait_row("nothing is being repeated")


def test_repeat_can_be_stopped_and_typed_beside():
    with Desk("--frame", "line") as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        desk.enter("/repeat 1000000 1ms tick")
        assert recv_exactly(client, 15) == b"tick\n" * 3
        desk.enter("hello")
        line = b""
        while line != b"hello\n":
            line = recv_until(client, b"\n")
            assert line in (b"tick\n", b"hello\n")
        desk.enter("/repeat off")
        desk.wait_row(r"#1: no longer repeated; \d+ of 1000000 sent")
        desk.enter("end")
        while line != b"end\n":
            line = recv_until(client, b"\n")
        desk.enter("/repeat 1000000 5ms again")
        assert recv_until(client, b"\n") == b"again\n"
        client.close()
        desk.wait_row(r"#1: (it has left|no longer repeated); \d+ of 1000000 sent")
        desk.wait_prompt(">")


# ---- Files ----


def write_file(desk, name, data):
    path = os.path.join(desk.home.name, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_file_is_one_message_where_there_are_messages():
    with Desk("--frame", "length:u32be", "--max-frame", "200000", columns=120) as desk, desk.client(1) as client:
        data = os.urandom(200000)
        write_file(desk, "reading.bin", data)
        write_file(desk, "large.bin", data + b"x")
        desk.enter("/file reading.bin")
        assert recv_exactly(client, 4 + len(data)) == len(data).to_bytes(4, "big") + data
        desk.wait_row(TIME + r"#1 < \(reading\.bin, 200,000 bytes\)")
        desk.enter("/file large.bin")
        desk.wait_row("/file large.bin: too large for one message, of at most 200,000 bytes; nothing was sent")


def test_file_errors_name_the_file():
    with Desk("--frame", "line", columns=120) as desk, desk.client(1) as client:
        write_file(desk, "empty", b"")
        os.mkdir(os.path.join(desk.home.name, "folder"))
        os.mkfifo(os.path.join(desk.home.name, "pipe"))
        for name, reason in (("missing.bin", "no such file or directory"), ("folder", "it is a directory"),
                             ("empty", "it is empty"), ("pipe", "it is no ordinary file"), (".", "it is a directory")):
            desk.enter("/file " + name)
            desk.wait_row("(?i)/file %s: %s; nothing was sent" % (re.escape(name), reason))
        desk.enter("next")
        assert recv_until(client, b"\n") == b"next\n"


def test_raw_file_waits_for_a_slow_client():
    """Its bytes arrive all and in order, though the client takes them late; and the server does not hold them."""
    with Desk("--output-limit", "128KiB", columns=120) as desk:
        data = os.urandom(1024) * 24 * 1024
        write_file(desk, "large.bin", data)
        with connect(desk.port, receive_buffer=16384) as client:
            desk.wait_prompt("#1>")
            before = desk.memory_bytes()
            desk.enter("/file large.bin")
            received = recv_exactly(client, 1)  # it has begun, and soon stands still
            desk.enter("between")
            desk.wait_row("a file is still on its way to #1; nothing was sent between")
            desk.enter("/file large.bin")
            wait_for(lambda: len(re.findall("a file is still on its way", "\n".join(desk.rows()))) == 2, "the refusal")
            assert desk.memory_bytes() - before < 12 * 1024 * 1024
            received += recv_exactly(client, len(data) - 1)
            assert received == data
            desk.wait_row(TIME + r"#1 < \(large\.bin, 25,165,824 bytes\)")
            desk.enter("after")
            assert recv_exactly(client, 5) == b"after"


def test_all_leaves_out_who_is_in_the_middle_of_a_file():
    with Desk("--output-limit", "128KiB", columns=120) as desk:
        data = os.urandom(1024) * 16 * 1024
        write_file(desk, "large.bin", data)
        with connect(desk.port, receive_buffer=16384) as one:
            desk.wait_prompt("#1>")
            with desk.client(2) as two:
                desk.enter("/file large.bin")
                received = recv_exactly(one, 1)
                desk.enter("/all shout")
                desk.wait_row(TIME + r"all < shout \(1 of 2 clients; #1 is in the middle of a file\)")
                assert recv_exactly(two, 5) == b"shout"
                received += recv_exactly(one, len(data) - 1)
                assert received == data
                desk.wait_row(TIME + r"#1 < \(large\.bin, 16,777,216 bytes\)")
                desk.enter("/all after")
                assert recv_exactly(one, 5) == recv_exactly(two, 5) == b"after"


def test_raw_file_does_not_begin_while_something_is_repeated():
    with Desk(columns=120) as desk, desk.client(1) as client:
        data = b"x" * 1000
        write_file(desk, "small.bin", data)
        desk.enter("/repeat 1000000 5ms tick")
        assert recv_exactly(client, 8) == b"ticktick"
        desk.enter("/file small.bin")
        desk.wait_row("a repeat to #1 is running; /repeat off ends it")
        desk.enter("/repeat off")
        desk.wait_row(r"#1: no longer repeated; \d+ of 1000000 sent")
        desk.enter("/file small.bin")
        assert re.fullmatch(b"(tick)*" + data, recv_until(client, data))
        desk.wait_row(TIME + r"#1 < \(small\.bin, 1,000 bytes\)")


def test_file_that_is_a_message_may_come_between_what_is_repeated():
    with Desk("--frame", "line", columns=120) as desk, desk.client(1) as client:
        write_file(desk, "small.bin", b"from a file")
        desk.enter("/repeat 1000000 5ms tick")
        assert recv_until(client, b"\n") == b"tick\n"
        desk.enter("/file small.bin")
        line = b"tick\n"
        while line == b"tick\n":
            line = recv_until(client, b"\n")
        assert line == b"from a file\n"


def test_raw_file_whose_client_leaves_says_how_far_it_came():
    with Desk("--output-limit", "64KiB", columns=120) as desk:
        write_file(desk, "large.bin", b"x" * 16 * 1024 * 1024)
        client = connect(desk.port, receive_buffer=16384)
        desk.wait_prompt("#1>")
        desk.enter("/file large.bin")
        recv_exactly(client, 100000)
        client.close()
        desk.wait_row(r"#1 has left; [\d,]+ bytes of large\.bin went before")
        desk.wait_prompt(">")


def test_stop_while_a_file_is_on_its_way():
    with Desk("--output-limit", "64KiB", "--drain-timeout", "200ms") as desk:
        write_file(desk, "large.bin", b"x" * 16 * 1024 * 1024)
        with connect(desk.port, receive_buffer=16384) as client:
            desk.wait_prompt("#1>")
            desk.enter("/file large.bin")
            recv_exactly(client, 1)
            desk.begin_stop()
            assert desk.wait() in (0, 1)  # 1 when something had to be cut off at the deadline
        assert attributes(desk) == IN_ORDER


# ---- The terminal, and how it is left ----


def test_end_of_input_does_not_stop_the_server():
    with Desk("--frame", "line", "--reply", "echo") as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        desk.type(CTRL_D)
        desk.wait_row("nothing more is taken from here; the server goes on, and Ctrl-C stops it")
        wait_attributes(desk, IN_ORDER)
        client.sendall(b"still there?\n")
        assert recv_until(client, b"\n") == b"still there?\n"
        desk.wait_row(TIME + r"#1 still there\?")
        client.close()
        desk.type(CTRL_C)
        assert desk.wait() == 0


def test_terminal_is_left_as_it_was_found():
    for stop in (CTRL_C, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, CTRL_C + CTRL_C):
        with Desk() as desk:
            wait_attributes(desk, EDITED)
            desk.type("half a line")
            desk.wait_prompt("> half a line")
            if isinstance(stop, bytes):
                desk.type(stop)
                assert desk.wait() == 0
            else:
                status = desk.stop(stop)
                assert status == (-signal.SIGQUIT if stop == signal.SIGQUIT else 0), status
            assert attributes(desk) == IN_ORDER, stop


def test_second_ctrl_c_leaves_the_terminal_in_order():
    with Desk("--drain-timeout", "off") as desk, connect(desk.port) as client:
        desk.wait_prompt("#1>")
        desk.type("half a line")
        desk.type(CTRL_C)
        desk.wait_stdout("stopping: 1 connection to drain")
        wait_attributes(desk, IN_ORDER)  # while it drains

        def ended():
            desk.type(CTRL_C)
            return desk.process.poll() is not None
        wait_for(ended, "the end")
        assert desk.wait() == -signal.SIGINT
        assert attributes(desk) == IN_ORDER
        client.close()


def test_blocked_terminal_stops_nobody():
    """Ctrl-S: clients are served on, and what could not be shown is counted."""
    with Desk("--frame", "line", "--reply", "echo", columns=1000) as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        desk.stdout.freeze()
        message = b"x" * 900 + b"\n"
        for _ in range(150):  # twice what the queue holds
            client.sendall(message * 64)
            recv_exactly(client, len(message) * 64)
        desk.stdout.thaw()
        wait_for(lambda: b"not shown: the output is too slow" in desk.stdout.bytes(), "the count of lost lines")
        desk.enter("hello")
        assert recv_until(client, b"\n") == b"hello\n"


def test_blocked_terminal_does_not_keep_it_from_ending():
    with Desk("--frame", "line", "--reply", "echo") as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        desk.stdout.freeze()
        for _ in range(100):
            client.sendall(b"x\n" * 100)
            recv_exactly(client, 200)
        desk.send_signal(signal.SIGTERM)
        expect_eof_or_reset(client)
        client.close()
        assert desk.process.wait(DEADLINE) == 0
        assert attributes(desk) == IN_ORDER
        desk.stdout.thaw()


# ---- Where nobody types ----


class Shell(Process):
    """A shell with job control on a terminal."""

    def __init__(self):
        super().__init__(["sh", "-i"], terminal=True, env={"PS1": "$ ", "ENV": ""})
        self.stdout.wait(r"\$ ")

    def type(self, text):
        self.stdin.write(text)

    def serve(self, command):
        """Types the command line of a server, and returns its port."""
        self.type(command.encode() + b"\r")
        return int(self.stdout.wait(r"listening on tcp://127\.0\.0\.1:(\d+)")[1])

    def output_since(self, mark):
        return self.stdout.text()[mark:]

    def wait_since(self, mark, pattern):
        wait_for(lambda: re.search(pattern, self.output_since(mark)), "%s in %r" % (pattern, self.output_since(mark)))

    def end_job(self, number=1):
        mark = len(self.stdout.text())
        self.type(b"kill %%%d; wait %%%d; echo ended=$?\r" % (number, number))
        self.wait_since(mark, "ended=0")


SERVE = WEIR + " serve --listen 127.0.0.1:0 --frame line --workers 2"


def test_ctrl_z_background_and_foreground():
    with Shell() as shell:
        port = shell.serve(SERVE)
        with connect(port) as client:
            shell.stdout.wait("#1> ")
            shell.type(b"half a line")
            shell.stdout.wait("#1> half a line")
            mark = len(shell.stdout.text())
            shell.type(CTRL_Z)
            shell.wait_since(mark, r"Stopped[^$]*\$ ")
            assert attributes(shell) == IN_ORDER
            client.sendall(b"while it is stopped\n")
            mark = len(shell.stdout.text())
            shell.type(b"bg\r")
            shell.wait_since(mark, "#1.* while it is stopped")
            client.sendall(b"in the background\n")
            shell.wait_since(mark, "#1.* in the background")
            shell.type(b"echo typed-$((40 + 2)) to the shell\r")
            shell.wait_since(mark, "typed-42 to the shell")
            assert "#1> " not in shell.output_since(mark)
            assert attributes(shell) == IN_ORDER
            mark = len(shell.stdout.text())
            shell.type(b"fg\r")
            shell.wait_since(mark, "#1> half a line")
            wait_attributes(shell, EDITED)
            shell.type(b", the rest\r")
            assert recv_until(client, b"\n") == b"half a line, the rest\n"
            client.close()
            mark = len(shell.stdout.text())
            shell.type(CTRL_C)
            shell.wait_since(mark, r"stopping[^$]*\$ ")
            assert attributes(shell) == IN_ORDER


def test_ctrl_z_does_nothing_where_no_shell_could_go_on():
    """Stopped, it would be so for ever."""
    with Desk("--frame", "line") as desk, desk.client(1) as client:
        desk.wait_prompt("#1>")
        desk.type("half a line")
        desk.wait_prompt("#1> half a line")
        desk.type(CTRL_Z)
        desk.type(", the rest\r")
        assert recv_until(client, b"\n") == b"half a line, the rest\n"
        assert attributes(desk) == EDITED


def test_started_in_the_background_it_leaves_the_terminal_alone():
    with Shell() as shell:
        mark = len(shell.stdout.text())
        port = shell.serve(SERVE + " &")
        with connect(port) as client:
            client.sendall(b"hello\n")
            shell.wait_since(mark, "#1.* hello")
            shell.type(b"echo typed-$((40 + 2))\r")
            shell.wait_since(mark, "typed-42")
            assert "#1> " not in shell.output_since(mark)
        shell.end_job()


def test_input_that_is_no_terminal_is_not_read():
    with Shell() as shell:
        with open(os.path.join(shell.home.name, "lines"), "w", encoding="ascii") as file:
            file.write("hello\n" * 10)
        mark = len(shell.stdout.text())
        port = shell.serve(SERVE + " <lines &")
        with connect(port) as client:
            client.sendall(b"x\n")
            shell.wait_since(mark, "#1.* x")
            shell.end_job()
            assert recv_all(client) == b""


def test_no_typing_where_not_everything_is_shown():
    for mode in ("json", "off"):
        with Desk("--frame", "line", "--reply", "echo", "--print", mode) as desk, desk.connect() as client:
            client.sendall(b"x\n")
            assert recv_until(client, b"\n") == b"x\n"
            desk.enter("hello")
            assert attributes(desk) == IN_ORDER
            desk.begin_stop()
            assert recv_all(client) == b""
            client.close()
            assert desk.wait() == 0
            assert "> " not in desk.stdout.text()


def test_plain_lines_where_nothing_can_be_erased():
    with Desk("--frame", "line", env={"TERM": "dumb"}) as desk, desk.connect() as client:
        desk.wait_stdout("#1 .* connected")
        desk.enter("hello")
        assert recv_until(client, b"\n") == b"hello\n"
        desk.wait_stdout(r"#1 < hello\r")
        desk.enter("/list")
        desk.wait_stdout("> #1 ")
        assert "\x1b" not in desk.stdout.text()
        assert attributes(desk) == IN_ORDER
        desk.type(CTRL_D)
        desk.wait_stdout("nothing more is taken from here")
        client.sendall(b"x\n")
        desk.wait_stdout("#1 x")
