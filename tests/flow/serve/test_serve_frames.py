# SPDX-License-Identifier: BSD-3-Clause
"""Framing on the wire: what comes out is what went in, however the bytes are cut, and what lies is refused."""
import random
import struct

from harness import FLAVOUR, Server, connect, expect_eof, recv_all, recv_exactly, recv_until, reset, run_weir, \
    wait_for

# SPEC, messages as they are framed on the wire, and what --reply echo makes of them.
FRAMES = [
    ("line", b"one\ntwo\r\n\n\r\nx\r\ry\n", b"one\ntwo\n\n\nx\r\ry\n"),
    ("line:crlf", b"one\ntwo\r\n\n", b"one\r\ntwo\r\n\r\n"),
    ("delimiter:\\x03", b"one\x03\x03two\x03", None),
    ("delimiter:END", b"oneENDENEND\nENDENENDEND", None),
    ("delimiter:\\r\\n\\r\\n", b"one\r\n\r\n\r\r\n\r\n\r\n\r\n", None),
    ("length:u8", b"\x03one\x00\x01x", None),
    ("length:u16be", b"\x00\x03one\x00\x00\x00\x01x", None),
    ("length:u16le", b"\x03\x00one\x00\x00\x01\x00x", None),
    ("length:u24be", b"\x00\x00\x03one\x00\x00\x00", None),
    ("length:u24le", b"\x03\x00\x00one\x00\x00\x00", None),
    ("length:u32be", b"\x00\x00\x00\x03one\x00\x00\x00\x00", None),
    ("length:u32le", b"\x03\x00\x00\x00one\x00\x00\x00\x00", None),
    ("length:u64be", b"\x00\x00\x00\x00\x00\x00\x00\x03one", None),
    ("length:u64le", b"\x03\x00\x00\x00\x00\x00\x00\x00one", None),
    # The length counts itself; it stands behind two other bytes; it stays with its message.
    ("length:u16be,adjust=-2", b"\x00\x05one\x00\x02", None),
    ("length:u8,offset=2", b"ab\x03onecd\x00ef\x01x", None),
    ("length:u8,strip=0", b"\x03one\x00\x01x", None),
    ("length:u8,offset=1,strip=2", b"a\x03oneb\x01x", b"onex"),
    ("fixed:3", b"onetwo", None),
    ("fixed:3,pad=.", b"one...two", None),
    ("varint", b"\x03one\x00\x80\x01" + b"x" * 128, None),
    ("octet-count", b"3 one10 0123456789", None),
    ("netstring", b"3:one,0:,10:0123456789,", None),
    # What is between frames is skipped; an empty frame is a message.
    ("between:<,>", b"\r\n<one>x<><two>", b"<one><><two>"),
    # Equal start and end, shared by two frames or not: empty frames are skipped.
    ("between:~,~", b"~~~one~two~~three~", b"~one~~two~~three~"),
    ("between:~,~,escape=},xor=0x20", b"~o}^n}]e~", None),
    ("between:~,~,escape=},map=~:2,map=}:1", b"~o}\x02n}\x01e~", None),
    ("between:\\x10\\x02,\\x10\\x03,escape=\\x10", b"\x10\x02o\x10\x10ne\x10\x03", None),
    ("slip", b"one\xc0\xc0o\xdb\xdcn\xdb\xdde\xc0", b"\xc0one\xc0\xc0o\xdb\xdcn\xdb\xdde\xc0"),
]
MESSAGES = {
    "line": ["one", "two", "", "", "x\r\ry"],
    "delimiter:END": ["one", "EN", "\n", "ENEND"[:2], ""],
    "length:u8,offset=2": ["ab\x03one", "cd\x00", "ef\x01x"],
    "length:u8,offset=1,strip=2": ["one", "x"],
    "fixed:3,pad=.": ["one", "...", "two"],
    "varint": ["one", "", "x" * 128],
    "octet-count": ["one", "0123456789"],
    "netstring": ["one", "", "0123456789"],
    "between:<,>": ["one", "", "two"],
    "between:~,~": ["one", "two", "three"],
    "between:~,~,escape=},xor=0x20": ["o~n}e"],
    "between:~,~,escape=},map=~:2,map=}:1": ["o~n}e"],
    "between:\\x10\\x02,\\x10\\x03,escape=\\x10": ["o\x10ne"],
}


def listen_on_all(frames):
    return [word for frame in frames for word in ("--listen", "127.0.0.1:0", "--frame", frame)]


def peer_name(client):
    """Its address, as events have it."""
    return "%s:%d" % client.getsockname()


def texts_of(server, url, peer):
    """All messages of a client that has gone. Clients of different listeners may have had the same address."""
    def events(kind):
        return [event for event in server.events(kind) if (event["listener"], event["peer"]) == (url, peer)]
    wait_for(lambda: events("close"), "the end of " + peer)
    return [event.get("text", event.get("base64")) for event in events("message")]


def test_each_frame_echoed_whole_and_byte_by_byte():
    specs = [frame[0] for frame in FRAMES]
    # One worker: once it has answered the other client, it has seen the byte that was sent before.
    with Server("--workers", 1, "--reply", "echo", "--print", "json", *listen_on_all(specs)) as server, \
            server.connect() as other:
        for (spec, wire, echo), url, port in zip(FRAMES, server.urls, server.ports):
            echo = wire if echo is None else echo
            with connect(port) as glued, connect(port) as split:
                glued.sendall(wire)
                assert recv_exactly(glued, len(echo)) == echo, spec
                for i in range(len(wire)):
                    split.sendall(wire[i:i + 1])
                    other.sendall(b".\n")
                    recv_until(other, b"\n")
                assert recv_exactly(split, len(echo)) == echo, spec
                names = [peer_name(glued), peer_name(split)]
                for client in (glued, split):
                    client.shutdown(1)
                    expect_eof(client)
            whole, pieces = (texts_of(server, url, name) for name in names)
            assert whole == pieces == MESSAGES.get(spec, pieces) and pieces, (spec, whole, pieces)


def test_raw_is_what_a_read_returned():
    with Server("--reply", "echo", "--print", "json") as server, server.connect() as client:
        for sent in (b"\x00\xff", b"a\nb", b"\r\n"):
            client.sendall(sent)
            assert recv_exactly(client, len(sent)) == sent
        events = server.wait_events("message", 3)
        assert [event.get("text") for event in events] == [None, "a\nb", "\r\n"], events
        assert events[0]["base64"] == "AP8=", events


def test_text_reply_with_escapes_in_the_listeners_framing():
    with Server("--reply", r"text:\x00OK\t\\\"\e\xff\n",
                "--listen", "127.0.0.1:0",
                "--listen", "127.0.0.1:0", "--frame", "line",
                "--listen", "127.0.0.1:0", "--frame", "line:crlf", "--reply", "text:OK",
                "--listen", "127.0.0.1:0", "--frame", "length:u16be",
                "--listen", "127.0.0.1:0", "--frame", "length:u8,offset=2",
                "--listen", "127.0.0.1:0", "--frame", "delimiter:\\x03", "--reply", "text:",
                "--listen", "127.0.0.1:0", "--frame", "fixed:2",
                "--listen", "127.0.0.1:0", "--frame", "fixed:4,pad=\\x20", "--reply", "text:OK",
                "--listen", "127.0.0.1:0", "--frame", "slip") as server:
        text = b"\x00OK\t\\\"\x1b\xff\n"
        exchanges = [(b"x", text), (b"x\n", text), (b"x\n", b"OK\r\n"), (b"\x00\x01x", b"\x00\x09" + text),
                     (b"..\x00", text), (b"x\x03", b"\x03"), (b"xx", text), (b"xxxx", b"OK  "),
                     (b"x\xc0", b"\xc0" + text + b"\xc0")]
        for port, (sent, answer) in zip(server.ports, exchanges):
            with connect(port) as client:
                client.sendall(sent)
                client.shutdown(1)
                assert recv_all(client) == answer, (sent, answer)


def test_send_frame():
    with Server("--frame", "line", "--reply", "echo",
                "--listen", "127.0.0.1:0", "--send-frame", "same",
                "--listen", "127.0.0.1:0", "--send-frame", "raw",
                "--listen", "127.0.0.1:0", "--send-frame", "length:u16be",
                "--listen", "127.0.0.1:0", "--send-frame", "line:crlf",
                "--listen", "127.0.0.1:0", "--send-frame", "delimiter:\\x03",
                "--listen", "127.0.0.1:0", "--send-frame", "fixed:5,pad=\\x00",
                "--listen", "127.0.0.1:0", "--send-frame", "varint",
                "--listen", "127.0.0.1:0", "--send-frame", "netstring",
                "--listen", "127.0.0.1:0", "--send-frame", "between:<,>") as server:
        for port, answer in zip(server.ports, (b"one\n\n", b"one", b"\x00\x03one\x00\x00", b"one\r\n\r\n",
                                               b"one\x03\x03", b"one\0\0" + b"\0" * 5, b"\x03one\x00", b"3:one,0:,",
                                               b"<one><>")):
            with connect(port) as client:
                client.sendall(b"one\n\n")
                client.shutdown(1)
                assert recv_all(client) == answer, answer


def test_send_frame_that_cannot_be_sent_in_is_an_error_at_the_start():
    for spec in ("length:u16be,offset=2", "length:u8,strip=0", "fixed:8"):
        status, stdout, stderr = run_weir("serve", "--listen", "127.0.0.1:0", "--send-frame", spec)
        assert (status, stdout) == (2, "") and "--send-frame %s: " % spec in stderr, (spec, status, stderr)
        assert "listening" not in stderr, stderr


def test_answer_that_its_framing_cannot_carry_closes_that_client_only():
    with Server("--frame", "line", "--send-frame", "length:u8", "--reply", "echo", "--print", "json") as server, \
            server.connect() as other, server.connect() as client:
        client.sendall(b"x" * 256 + b"\n")
        assert recv_until_end(client) == b""
        assert server.wait_events("close")[0]["reason"] == "failed"
        other.sendall(b"y" * 255 + b"\n")
        assert recv_exactly(other, 256) == b"\xff" + b"y" * 255


def recv_until_end(client):
    """All until the FIN or the reset."""
    received = b""
    try:
        while chunk := client.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def test_options_before_the_first_listen_are_for_all():
    with Server("--frame", "line", "--reply", "text:all", "--max-frame", "4",
                "--listen", "127.0.0.1:0",
                "--listen", "127.0.0.1:0", "--reply", "text:second",
                "--listen", "127.0.0.1:0", "--frame", "delimiter:;", "--max-frame", "5") as server:
        assert len(set(server.ports)) == 3, server.urls
        for port, sent, answer in zip(server.ports, (b"four\n", b"four\n", b"five5;"),
                                      (b"all\n", b"second\n", b"all;")):
            with connect(port) as client:
                client.sendall(sent)
                assert recv_exactly(client, len(answer)) == answer


def test_unfinished_tail():
    """Only line and delimiter make a message of it; for the others the bytes are counted."""
    tails = [("line", b"one\ntail", "tail", 0), ("delimiter:;", b"one;tail", "tail", 0),
             ("delimiter:;;", b"one;;tail;", "tail;", 0), ("length:u8", b"\x03one\x09tail", None, 5),
             ("length:u32be", b"\x00\x00\x00\x03one\x00\x00\x00", None, 3), ("fixed:3", b"oneta", None, 2),
             ("varint", b"\x03one\x09tail", None, 5), ("octet-count", b"3 one9 tail", None, 6),
             ("netstring", b"3:one,4:tail", None, 6), ("between:<,>", b"<one>\r\n<tail", None, 5),
             ("between:~,~", b"~one~tail", None, 4), ("between:~,~", b"~one~", None, 0),
             ("slip", b"\xc0one\xc0tail", None, 4)]
    with Server("--reply", "echo", "--print", "json", *listen_on_all(tail[0] for tail in tails)) as server:
        for number, ((spec, sent, unfinished, left), port) in enumerate(zip(tails, server.ports), 1):
            with connect(port) as client:
                client.sendall(sent)
                client.shutdown(1)
                recv_all(client)
                close = server.wait_events("close", number)[-1]
            last = [event for event in server.events("message") if event["conn"] == close["conn"]][-1]
            assert (close["reason"], close["input_bytes"]) == ("peer closed", left), (spec, close)
            assert last.get("unfinished", False) is (unfinished is not None), (spec, last)
            assert last["text"] == (unfinished or "one"), (spec, last)


def test_reset_delivers_no_tail():
    with Server("--frame", "line", "--reply", "echo", "--print", "json") as server:
        client = server.connect()
        client.sendall(b"one\ntail")
        assert recv_until(client, b"\n") == b"one\n"
        reset(client)
        close = server.wait_events("close")[0]
        assert close["reason"] == "reset by peer", close
        assert [event["text"] for event in server.events("message")] == ["one"]


def test_too_long_close():
    with Server("--frame", "line", "--max-frame", "8", "--reply", "echo", "--print", "json") as server, \
            server.connect() as client:
        client.sendall(b"12345678\n123456789\nafter\n")
        client.shutdown(1)
        assert recv_all(client) == b"12345678\n"  # what was good is answered, and then comes the end, not a reset
        assert server.wait_events("close")[0]["reason"] == "message too long"
        assert [event["seq"] for event in server.events("message")] == [1]


def test_too_long_skip_counts_in_seq():
    with Server("--frame", "line", "--max-frame", "8", "--too-long", "skip", "--reply", "echo", "--print",
                "json") as server, server.connect() as client:
        client.sendall(b"first\n" + b"x" * 100000 + b"\nthird\n123456789\n12345678\n")
        client.shutdown(1)
        assert recv_all(client) == b"first\nthird\n12345678\n"
        close = server.wait_events("close")[0]
        assert [event["seq"] for event in server.events("message")] == [1, 3, 5]
        assert close["messages_in"] == 5, close


def test_too_long_truncate_shows_the_length_it_had():
    with Server("--max-frame", "8", "--too-long", "truncate", "--reply", "echo", "--print", "json",
                *listen_on_all(("line", "delimiter:;;", "length:u32be"))) as server:
        wires = (b"x" * 100000 + b"\nok\n", b"x" * 100000 + b";;ok;;",
                 struct.pack(">I", 100000) + b"x" * 100000 + b"\0\0\0\2ok")
        answers = (b"xxxxxxxx\nok\n", b"xxxxxxxx;;ok;;", b"\0\0\0\x08xxxxxxxx\0\0\0\2ok")
        for number, (port, wire, answer) in enumerate(zip(server.ports, wires, answers)):
            with connect(port) as client:
                client.sendall(wire)
                client.shutdown(1)
                assert recv_all(client) == answer, answer
            long, short = server.wait_events("message", 2 * number + 2)[-2:]
            assert (long["seq"], long["len"], long["original_len"], long["text"]) == (1, 8, 100000, "xxxxxxxx"), long
            assert short["text"] == "ok" and "original_len" not in short, short


def test_without_a_delimiter_memory_stays_bounded():
    """A gigabyte would do no more than these megabytes do: more than any buffer on the way."""
    megabytes = 200 if FLAVOUR == "release" else 32
    limit = 16 << 20
    piece = b"x" * (1 << 20)
    with Server("--frame", "line", "--reply", "echo", "--print", "json",
                "--listen", "127.0.0.1:0", "--too-long", "close",
                "--listen", "127.0.0.1:0", "--too-long", "skip",
                "--listen", "127.0.0.1:0", "--too-long", "truncate") as server:
        with connect(server.ports[0]) as client:
            try:
                for _ in range(megabytes):
                    client.sendall(piece)
                raise AssertionError("a message without an end was taken")
            except (ConnectionResetError, BrokenPipeError):
                pass
        assert server.wait_events("close")[0]["reason"] == "message too long"
        for port, answer in ((server.ports[1], b""), (server.ports[2], piece + b"\n")):
            before = server.memory_bytes()
            with connect(port) as client:
                for _ in range(megabytes):
                    client.sendall(piece)
                    if FLAVOUR == "release":
                        assert server.memory_bytes() < before + limit
                client.sendall(b"\nok\n")
                client.shutdown(1)
                assert recv_all(client) == answer + b"ok\n"
        skipped, truncated = server.wait_events("close", 3)[1:]
        assert skipped["messages_in"] == truncated["messages_in"] == 2
        long = [event for event in server.events("message") if "original_len" in event]
        assert [event["original_len"] for event in long] == [megabytes << 20], len(long)


def test_lengths_that_lie_are_refused_before_memory_is_taken():
    lies = [("length:u32be", b"\x00\x10\x00\x01"), ("length:u32be", b"\x80\x00\x00\x00"),
            ("length:u32be", b"\xff\xff\xff\xff"), ("length:u64be", b"\xff" * 8), ("length:u64be", b"\x7f" + b"\xff" * 7),
            ("length:u64le,adjust=16", b"\xf8" + b"\xff" * 7), ("length:u64be,adjust=-8", b"\x00" * 8),
            ("length:u16be,adjust=-2", b"\x00\x01"), ("length:u32be,offset=4,adjust=-8", b"abcd\x00\x00\x00\x07")]
    with Server("--reply", "echo", "--print", "json", *listen_on_all(lie[0] for lie in lies)) as server:
        before = server.memory_bytes()
        for number, ((spec, header), port) in enumerate(zip(lies, server.ports), 1):
            with connect(port) as client:
                client.sendall(header + b"x" * 1000)
                assert recv_until_end(client) == b"", spec
            reason = server.wait_events("close", number)[-1]["reason"]
            assert reason in ("message too long", "malformed message"), (spec, reason)
        assert FLAVOUR != "release" or server.memory_bytes() < before + (4 << 20)
        assert server.events("message") == []


def test_length_that_never_ends_is_skipped_in_bounded_memory():
    with Server("--frame", "length:u64be", "--too-long", "skip", "--frame-timeout", "300ms", "--print",
                "json") as server, server.connect() as client:
        before = server.memory_bytes()
        client.sendall(b"\x3f" + b"\xff" * 7 + b"x" * (8 << 20))
        assert recv_until_end(client) == b""
        assert server.wait_events("close")[0]["reason"] == "frame timeout"
        assert FLAVOUR != "release" or server.memory_bytes() < before + (4 << 20)


def test_smallest_limits_change_no_byte():
    """One message and one byte a wake-up, and an output that is full at once: slower, and the same."""
    source = random.Random(3)
    messages = [source.randbytes(source.choice((0, 1, 50, 100, 101, 300))) for _ in range(2000)]
    wire = b"".join(struct.pack(">H", len(message)) + message for message in messages)
    answers = b"".join(struct.pack(">H", min(100, len(message))) + message[:100] for message in messages)
    with Server("--frame", "length:u16be", "--max-frame", "100", "--too-long", "truncate", "--output-limit", "1",
                "--wake-messages", "1", "--wake-bytes", "1", "--wake-accepts", "1", "--reply", "echo") as server, \
            server.connect() as client:
        client.sendall(wire)
        client.shutdown(1)
        assert recv_all(client) == answers


def test_longest_message_and_one_more():
    """At the limit it is taken, one byte more is not: for the default, through both ways of finding it."""
    limit = 1 << 20
    with Server("--reply", "echo", *listen_on_all(("line", "length:u32be"))) as server:
        for port, head, tail in ((server.ports[0], b"", b"\n"),
                                 (server.ports[1], struct.pack(">I", limit), b"")):
            with connect(port) as client:
                wire = head + b"x" * limit + tail
                client.sendall(wire)
                assert recv_exactly(client, len(wire)) == wire
        with connect(server.ports[0]) as client:
            client.sendall(b"x" * (limit + 1) + b"\n")
            assert recv_until_end(client) == b""


def test_bad_spec_names_what_is_wrong():
    for spec, word in (("lines", "lines"), ("length:u17be", "u17be"), ("delimiter:", "delimiter"),
                       ("length:u16be,offset=x", "offset"), ("delimiter:" + "x" * 65, "64"),
                       ("delimiter:\\q", "\\q"), ("line:cr", "cr")):
        status, stdout, stderr = run_weir("serve", "--listen", "127.0.0.1:0", "--frame", spec)
        assert (status, stdout) == (2, ""), (spec, status, stderr)
        assert "--frame" in stderr and word in stderr, (spec, stderr)


def test_answer_that_its_framing_can_never_carry_is_refused_at_the_start():
    for options, why in ((("--frame", "fixed:4,pad=0", "--reply", "text:toolong"), "fixed: it is too long"),
                         (("--frame", r"between:\x02,\x03", "--reply", r"text:\x03"), "between: it could not be read back"),
                         (("--frame", "line", "--send-frame", "length:u8", "--reply", "text:" + 300 * "x"),
                          "length: it is too long")):
        for command in ("serve", "check"):
            status, _, stderr = run_weir(command, *options, "127.0.0.1:0")
            assert status == 2 and "cannot be sent in the framing " + why in stderr, (command, options, stderr)


def test_answer_that_cannot_be_sent_closes_its_client_and_says_why():
    with Server("--frame", "length:u16be", "--send-frame", "fixed:2,pad=0x20", "--reply", "echo") as server:
        for _ in range(3):
            with server.connect() as client:
                client.sendall(b"\x00\x02ok")
                assert recv_exactly(client, 2) == b"ok"
                client.sendall(b"\x00\x03toolong")
                assert recv_all(client) == b""
        server.wait_stderr(r"^warning: #\d is closed: its answer cannot be sent in this framing \(message too long\)")
        assert server.stderr.text().count("cannot be sent") == 1, server.stderr.text()
