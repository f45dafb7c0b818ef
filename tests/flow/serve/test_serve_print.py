# SPDX-License-Identifier: BSD-3-Clause
"""What standard output shows: JSON as the contract has it, text and hex for people, and nothing where nothing was asked
for."""
import base64
import datetime
import re

from flood import Ping, send_until_stopped
from harness import Server, connect, recv_all, recv_exactly, reset

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def exchange(server, sent):
    """One client's whole life; its address and all that it was answered."""
    with server.connect() as client:
        client.sendall(sent)
        client.shutdown(1)
        return "%s:%d" % client.getsockname(), recv_all(client)


def test_json_fields():
    before = datetime.datetime.now(datetime.timezone.utc)
    with Server("--frame", "line", "--reply", "text:OK", "--print", "json") as server:
        peer, _ = exchange(server, b"h\xc3\xa9llo\n\xff\x00\nend")
        server.wait_events("close")
        events = server.events()
        url = server.urls[0]
    head = {"conn": 1, "listener": url, "peer": peer}
    expected = [
        {"event": "open"},
        {"event": "message", "seq": 1, "len": 6, "text": "h\u00e9llo"},
        {"event": "sent", "len": 2, "text": "OK"},
        {"event": "message", "seq": 2, "len": 2, "base64": "/wA="},
        {"event": "sent", "len": 2, "text": "OK"},
        {"event": "message", "seq": 3, "len": 3, "text": "end", "unfinished": True},
        {"event": "sent", "len": 2, "text": "OK"},
        {"event": "close", "reason": "peer closed", "messages_in": 3, "messages_out": 3, "bytes_in": 13,
         "bytes_out": 9, "input_bytes": 0, "output_bytes": 0},
    ]
    times = [event.pop("time") for event in events]
    assert events == [dict(event, **head) for event in expected], events
    assert all(TIME.fullmatch(time) for time in times) and times == sorted(times), times
    first = datetime.datetime.fromisoformat(times[0].replace("Z", "+00:00"))
    after = datetime.datetime.now(datetime.timezone.utc)
    assert before <= first <= after, (before, first, after)


def test_json_counts_connections_and_names_their_listeners():
    with Server("--print", "json", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0") as server:
        for number, port in enumerate(server.ports + server.ports, 1):
            connect(port).close()
            server.wait_events("close", number)
        opened = server.events("open")
        assert [event["conn"] for event in opened] == [1, 2, 3, 4]
        assert [event["listener"] for event in opened] == server.urls + server.urls


def test_json_text_is_what_was_sent():
    """Every character that JSON, a terminal or a line-reading program could stumble over."""
    text = "".join(map(chr, range(1, 0x250))) + "\u2028\u2029\u202e\u200b\ufeff\ufffd\ufffe\uffff\U0001f600\U0010ffff"
    strange = [b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"a\xffb"]
    with Server("--frame", "delimiter:\\x00", "--print", "json") as server:
        exchange(server, b"\0".join([text.encode()] + strange) + b"\0")
        messages = server.wait_events("message", 1 + len(strange))
        output = server.stdout.bytes()
    assert messages[0]["text"] == text and messages[0]["len"] == len(text.encode())
    assert [base64.b64decode(message["base64"]) for message in messages[1:]] == strange
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]", output)


def test_json_lines_are_whole_however_many_write_them():
    """Four workers, messages around the size of a pipe's buffer."""
    with Server("--workers", 4, "--frame", "line", "--reply", "echo", "--print", "json") as server:
        clients = [server.connect() for _ in range(8)]
        for round_number in range(6):
            for number, client in enumerate(clients):
                client.sendall(b"%d-%d-" % (number, round_number) + b"x" * (9000 * round_number) + b"\n")
            for client in clients:
                recv_until_newline(client)
        for client in clients:
            client.close()
        server.wait_events("close", 8)
        lines = server.stdout.bytes().split(b"\n")
        assert lines.pop() == b"" and len(lines) == 8 + 8 * 6 * 2 + 8, len(lines)
        texts = sorted(event["text"].rstrip("x") for event in server.events("message"))
        assert texts == sorted("%d-%d-" % (i, j) for i in range(8) for j in range(6)), texts


def recv_until_newline(client):
    received = b""
    while not received.endswith(b"\n"):
        chunk = client.recv(65536)
        assert chunk, received
        received += chunk
    return received


def test_reset_while_answers_wait_says_what_was_not_sent():
    with Server("--frame", "line", "--reply", "echo", "--print", "json") as server, Ping(server) as ping:
        client = server.connect(receive_buffer=4096)
        send_until_stopped(client, b"x" * 65535 + b"\n", ping)
        reset(client)
        close = server.wait_events("close")[0]
        assert close["reason"] == "reset by peer", close
        assert close["output_bytes"] > 0 and close["messages_in"] == close["messages_out"], close


def print_lines(mode, sent, *options):
    """What --print MODE makes of one client, line by line, without the times."""
    with Server("--print", mode, *options) as server:
        exchange(server, sent)
        if mode not in ("off", "auto"):
            server.stdout.wait(r"peer closed:.*\n")
        assert server.stop() == 0
        return re.sub(r"(?m)^\d\d:\d\d:\d\d\.\d{3} ", "", server.stdout.text()).splitlines()


def test_text_to_a_pipe():
    lines = print_lines("text", b"hello\n\x1b[2J\r\x00\x00\x00\x00\x00\xff\nh\xc3\xa9\nend", "--frame", "line", "--max-frame",
                        "20")
    assert re.fullmatch(r"#1 127\.0\.0\.1:\d+ connected", lines[0]), lines
    assert lines[1:] == ["#1 hello", r"#1 \x1b[2J\r\0x5\xff", "#1 h\u00e9", "#1 end (unfinished)",
                         "#1 peer closed: 4 messages, 25 bytes in, 0 bytes out"], lines


def test_one_line_a_message_whatever_it_contains():
    lines = print_lines("text", b"a\nb\r\nc\x0b\x0c\xc2\x85\xe2\x80\xa8d;", "--frame", "delimiter:;")
    assert lines[1:-1] == [r"#1 a\nb\r\nc\x0b\x0c\xc2\x85\xe2\x80\xa8d"], lines


def test_hex_and_both_to_a_pipe():
    assert print_lines("hex", b"Hi\n\n", "--frame", "line")[1:3] == ["#1 48 69", "#1 (0 bytes)"]
    assert print_lines("both", b"Hi\x1b\n", "--frame", "line")[1] == "#1 48 69 1b  |Hi.|"


def test_long_messages_are_whole_in_a_pipe():
    assert print_lines("text", b"x" * 70000 + b"\n", "--frame", "line")[1] == "#1 " + "x" * 70000
    assert print_lines("hex", b"x" * 70000 + b"\n", "--frame", "line")[1] == "#1 " + " ".join(["78"] * 70000)


def test_truncated_message_says_so_in_text():
    lines = print_lines("text", b"x" * 2000 + b"\n", "--frame", "line", "--max-frame", "4", "--too-long", "truncate")
    assert lines[1] == "#1 xxxx (truncated from 2,000 bytes)", lines


def test_off_and_auto_in_a_pipe_show_nothing():
    assert print_lines("off", b"hello\n", "--frame", "line") == []
    assert print_lines("auto", b"hello\n", "--frame", "line") == []


def test_several_listeners_are_named_in_text():
    with Server("--print", "text", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0") as server:
        for port, url in zip(server.ports, server.urls):
            connect(port).close()
            server.stdout.wait("connected to %s\n" % re.escape(url))


def test_answers_do_not_wait_for_what_is_printed():
    """Answers come while nobody reads what the server prints."""
    with Server("--frame", "line", "--reply", "echo", "--print", "json") as server, server.connect() as client:
        server.stdout.freeze()
        for number in range(1000):
            line = b"%d " % number + b"x" * 1000 + b"\n"
            client.sendall(line)
            assert recv_exactly(client, len(line)) == line
        server.stdout.thaw()
        client.close()
        server.wait_events("close")  # all is read now: a stop gives up on a reader that is slow
