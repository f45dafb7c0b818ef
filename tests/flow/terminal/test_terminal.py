# SPDX-License-Identifier: BSD-3-Clause
"""The server on a terminal: hints, colours, lines that fit, and nothing from a client that steers the screen."""
import os
import re
import signal
import socket
import termios
import unicodedata

from harness import DEADLINE, Server, connect, recv_until, reset, wait_for

# Every escape sequence that weir itself writes: colours and their end.
OWN_ESCAPES = re.compile("\x1b\\[(?:0|2|31|32|33|34|35|36|95|96)m")

# The prompt with what takes it off again, and the last one, which stays, perhaps not yet written to its end.
PROMPTS = re.compile("(?:#\\d+)?> \r\x1b\\[J|(?:#\\d+)?>(?: (?:\r(?:\x1b\\[?)?)?)?\\Z")


def plain(text):
    return OWN_ESCAPES.sub("", PROMPTS.sub("", text))


def columns_of(line):
    """How wide a line is on the screen."""
    width = 0
    for character in line:
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def expect_harmless(output):
    """Nothing in it but text, weir's own colours and line ends; and nothing that hides text or turns it round."""
    text = plain(output.decode("utf-8"))  # strict: what is not UTF-8 must not be shown as it is
    bad = [character for character in text if character not in "\r\n" and unicodedata.category(character) in
           ("Cc", "Cs", "Cn", "Zl", "Zp") or character in "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
           "\u2060\u2066\u2067\u2068\u2069\ufeff\u061c\u00ad"]
    assert not bad, "%r in %r" % (bad[:10], text[:2000])
    assert "\r" not in text.replace("\r\n", "\n"), repr(text)


def messages_shown(server):
    """The lines behind the time and number of the one client."""
    return re.findall(r"(?m)^\d\d:\d\d:\d\d\.\d{3} #1 (.*?)\r$", plain(server.stdout.text()))


def show(sent, *options, lines=1, **process):
    """What a terminal shows of a client's messages, apart from its coming and going."""
    with Server(*options, terminal=True, **process) as server, server.connect() as client:
        client.sendall(sent)
        wait_for(lambda: len(messages_shown(server)) >= 1 + lines, "what is shown")
        expect_harmless(server.stdout.bytes())
        return messages_shown(server)[1:]


def test_one_line_for_each_event_in_colour():
    with Server("--frame", "line", "--reply", "echo", terminal=True) as server:
        client = server.connect()
        client.sendall(b"hello\n")
        assert recv_until(client, b"\n") == b"hello\n"
        client.close()
        server.wait_stdout("bytes out")
        other = server.connect()
        server.wait_stdout("#2.*connected")
        reset(other)
        server.wait_stdout("reset by peer")
        text = server.stdout.text()
        time = "\x1b\\[2m\\d\\d:\\d\\d:\\d\\d\\.\\d{3}\x1b\\[0m "
        for line in (time + "\x1b\\[33m#1\x1b\\[0m 127\\.0\\.0\\.1:\\d+ \x1b\\[32mconnected\x1b\\[0m\r\n",
                     time + "\x1b\\[33m#1\x1b\\[0m hello\r\n",
                     time + "\x1b\\[33m#1\x1b\\[0m \x1b\\[2mpeer closed\x1b\\[0m\x1b\\[2m: 1 message, 6 bytes in, 6 bytes out",
                     time + "\x1b\\[35m#2\x1b\\[0m \x1b\\[31mreset by peer\x1b\\[0m"):
            assert re.search(line, text), (line, text)
        expect_harmless(server.stdout.bytes())


def test_no_colour_where_it_is_not_wanted():
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        with Server("--frame", "line", terminal=True, env=env) as server, server.connect() as client:
            client.sendall(b"\x1b[31mred\x1b[0m\n")
            server.wait_stdout(re.escape(r"\x1b[31mred\x1b[0m"))
            text = PROMPTS.sub("", server.stdout.text())
            assert "\x1b" not in text, text
            assert ("> " not in server.stdout.text()) == ("TERM" in env)  # no prompt where none can be taken off


def test_start_on_loopback_says_how_to_let_devices_in():
    with Server(terminal=True) as server:
        server.wait_stdout(r"only programs on this machine can connect; for devices: weir serve --listen :%d\r\n" % server.port)
        server.wait_stdout(r"room for \d+ clients \(descriptor limit \d+\)\r\n")


def test_start_on_every_address_says_what_devices_connect_to():
    own = own_address()
    with Server("--listen", ":0", terminal=True) as server:
        server.wait_stdout("room for")
        text = server.stdout.text()
        assert "only programs on this machine" not in text
        if own is not None:
            assert re.search(r"^devices connect to .*\b%s:%d\b" % (re.escape(own), server.port), text, re.M), text


def own_address():
    """An address of this machine that is not only for itself; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = sock.getsockname()[0]
        return None if address.startswith("127.") else address


def test_hints_are_for_terminals_only():
    with Server() as server:
        server.wait_stderr("room for")
        assert "only programs" not in server.stderr.text()


def hostile_messages():
    """Lines made to steer a terminal, hide text, or look like what they are not."""
    yield b"\x1b]0;owned\x07 \x1b[2J\x1b[H\x1b[8m hidden \x1b[?1049h\x1bc \x1bP+q\x1b\\"
    yield b"\x9b2J \x9d0;owned\x9c \xc2\x9b2J \xc2\x9d0;x\xc2\x9c \xc2\x85"
    yield b"a\x7f\x7f\x7f b\x08\x08\x08c\x0b\x0c\x0e\x0f"
    yield b"one\r12:00:00.000 #2 forged\r"
    yield "evil \u202e\u2066gpj.exe\u2069 \u200b\u200e\u200f\u2028\u2029\u061c\u00ad\ufeff\u2060\U000e0041".encode()
    yield b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80 \xe2\x82"
    yield b"\x00" * 50 + b"\x01\x02\x03"
    yield ("Z" + "\u0300" * 200 + "algo").encode()
    yield "\U000f0000\ue000\ufffe\u0378".encode()
    yield bytes(range(256)).replace(b"\n", b"")
    yield b"\x1b" * 1000 + b"[31m"
    yield b"\\x1b[31m \\0x5 \\\\"


def test_hostile_messages_do_nothing():
    messages = list(hostile_messages())
    for mode in ("auto", "text", "hex", "both"):
        for env in ({}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}, {"LC_ALL": "en_US.ISO-8859-1"}):
            with Server("--frame", "line", "--print", mode, terminal=True, columns=100, env=env) as server, \
                    server.connect() as client:
                server.wait_stdout("/help says more\r\n")  # the last that it says of itself
                for message in messages:
                    client.sendall(message + b"\n")
                wait_for(lambda server=server: len(messages_shown(server)) == 1 + len(messages), "all messages")
                output = server.stdout.bytes()
                expect_harmless(output)
                assert "LC_ALL" not in env or env["LC_ALL"] == "C" or output.isascii(), output
                assert not env.get("NO_COLOR") or "\x1b" not in PROMPTS.sub("", output.decode())
                wide = [line for line in plain(output.decode()).splitlines() if columns_of(line) > 100]
                assert not wide, wide
                lines = output.count(b"\n")
                client.close()
                server.wait_stdout("peer closed")
                wait_for(lambda: server.stdout.bytes().count(b"\n") == lines + 1, "the last line")


def test_newlines_in_a_message_do_not_begin_a_line():
    assert show(b"one\n12:00:00.000 #7 forged\r\n\n;", "--frame", "delimiter:;") == \
        [r"one\n12:00:00.000 #7 forged\r\n\n"]


def test_backslashes_are_told_from_escapes():
    assert show(b"\\x41\\ \x01\n", "--frame", "line", "--print", "text") == ["\\\\x41\\\\ \\x01"]


def test_runs_of_one_byte_collapse():
    assert show(b"hello " + b"\x00" * 123) == [r"hello \0x123"]
    assert show(b"a" + b"\x1b" * 1000 + b"b" + b"\xff" * 4 + b"7", "--print", "text") == [r"a\x1bx1000b\xffx4\x37"]


def test_text_or_hex_by_what_the_bytes_are():
    assert show(b"plain text, h\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd\n", "--frame", "line") == ["plain text, h\u00e9 \u4f60\u597d"]
    assert show(b"\x01\x02\x00\xff\x10", "--frame", "raw") == ["01 02 00 ff 10  |.....|"]


def test_long_messages_are_cut_at_the_width_with_their_length():
    for columns in (60, 80, 132):
        for option, message in (("text", b"x" * 5000), ("hex", b"x" * 5000), ("both", b"x" * 5000),
                                ("text", "\u4f60".encode() * 3000), ("text", b"\x01\x02" * 2000)):
            lines = show(message + b"\n", "--frame", "line", "--print", option, columns=columns)
            assert lines[0].endswith(" ... {:,} bytes".format(len(message))), lines
            width = len("12:00:00.000 #1 ") + columns_of(lines[0])
            assert columns - 5 <= width <= columns, (columns, option, width, lines)


def test_message_of_exactly_the_width_is_whole():
    head = len("12:00:00.000 #1 ")
    assert show(b"x" * (80 - head) + b"\n", "--frame", "line") == ["x" * (80 - head)]
    assert show(b"x" * (81 - head) + b"\n", "--frame", "line")[0].endswith("... 65 bytes".replace("65", str(81 - head)))


def test_width_follows_the_terminal():
    with Server("--frame", "line", terminal=True, columns=80) as server, server.connect() as client:
        client.sendall(b"x" * 100 + b"\n")
        server.wait_stdout(r"\.\.\. 100 bytes")
        termios.tcsetwinsize(server.stdin.fileno(), (24, 200))
        server.send_signal(signal.SIGWINCH)

        def is_shown_whole():
            client.sendall(b"y" * 100 + b"\n")
            return "y" * 100 in server.stdout.text()
        wait_for(is_shown_whole, "the new width")


def test_empty_truncated_and_unfinished_are_marked():
    with Server("--frame", "line", "--max-frame", "5", "--too-long", "truncate", terminal=True) as server:
        with server.connect() as client:
            client.sendall(b"\n1234567\nend")
        wait_for(lambda: len(messages_shown(server)) == 5, "all lines")
        assert messages_shown(server)[1:4] == ["(0 bytes)", "12345 (truncated from 7 bytes)", "end (unfinished)"]


def test_log_has_nothing_of_a_clients_own():
    """What it says of a client comes from a fixed list."""
    with Server(terminal=True) as server, server.connect() as client:
        client.sendall(b"GET /\x1b]0;owned\x07 HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n")
        server.wait_stdout(r"warning: #1 speaks HTTP\r\n")
        expect_harmless(server.stdout.bytes())


def test_ctrl_c_stops_it():
    with Server(terminal=True) as server, connect(server.port) as client:
        server.wait_stdout("connected")
        server.stdin.write(b"\x03")
        assert client.recv(1) == b""
        client.close()
        assert server.wait() == 0
        assert "stopping: 1 connection to drain" in server.stdout.text()


def test_terminal_that_goes_away_ends_it():
    """Closing the window sends SIGHUP, and nothing can be shown any more."""
    with Server("--frame", "line", terminal=True) as server, server.connect() as client:
        client.sendall(b"x\n")
        server.wait_stdout("#1.* x")
        server.stdout.freeze()
        server.stdin.close()
        server.send_signal(signal.SIGHUP)
        assert client.recv(1) == b""
        client.close()
        assert server.process.wait(DEADLINE) == 0
