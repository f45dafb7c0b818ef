# SPDX-License-Identifier: BSD-3-Clause
"""docs/json.md says what is printed: every event of every kind has the members that stand there, and no others."""
import base64
import os
import re
import socket

from harness import ROOT, Server, recv_all, recv_exactly, recv_until, reset

TYPES = {"string": str, "number": int, "boolean": bool}


def documented():
    """{kind: {member: (type, whether it is always there)}}; None is what every event has, "conn" what those of a
    connection have."""
    with open(os.path.join(ROOT, "docs", "json.md"), encoding="utf-8") as file:
        text = file.read().partition("## `weir log")[0]
    schema, kind = {None: {}}, None
    for line in text.splitlines():
        begins = re.match(r"An? `(\w+)` |All but `missed` belong to a (conn)ection, ", line)
        row = re.match(r"\| `(\w+)` \| (\w+) \| (.*) \|$", line)
        if begins:
            kind = begins[1] or begins[2]
            schema[kind] = {}
        elif row:
            optional = row[3].startswith("only when") or row[1] in ("text", "base64")
            schema[kind][row[1]] = (TYPES[row[2]], not optional)
    return schema


def check(event, schema, seen):
    members = dict(schema[None], **schema[event["event"]])
    if event["event"] != "missed":
        members.update(schema["conn"])
    assert set(event) <= set(members), event
    for name, (kind, always) in members.items():
        assert name in event or not always, (name, event)
        assert name not in event or type(event[name]) is kind, (name, event)
    if event["event"] in ("message", "sent"):
        assert ("text" in event) != ("base64" in event), event
    seen.update((event["event"], name) for name in event)


def exchange(server, sent):
    """One client's whole life."""
    number = len(server.events("close"))
    with server.connect() as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        recv_all(client)
    server.wait_events("close", number + 1)


def miss_some(server):
    """One client that sends more than is kept for a reader, while nobody reads."""
    server.stdout.freeze()
    with server.connect() as client:
        for _ in range(400):
            client.sendall(b"x\n" * 100)
            recv_exactly(client, 200)
    server.stdout.thaw()
    server.wait_events("missed")


def test_events_are_as_documented():
    schema, seen = documented(), set()
    assert sorted(schema, key=str) == sorted([None, "conn", "open", "message", "sent", "end", "close", "missed"],
                                             key=str), schema
    with Server("--frame", "line", "--max-frame", 8, "--too-long", "truncate", "--reply", "echo", "--print",
                "json") as server:
        exchange(server, b"text\n\xff\nlonger than eight\nend")
        client = server.connect()
        client.sendall(b"x\n")
        recv_until(client, b"\n")
        reset(client)
        server.wait_events("close", 2)
        miss_some(server)
        for event in server.events():
            check(event, schema, seen)
        messages = server.events("message")[:5]
        assert [event.get("original_len") for event in messages] == [None, None, 17, None, None], messages
        assert [event.get("unfinished") for event in messages] == [None, None, None, True, None], messages
        kinds = [event["event"] for event in server.events() if event.get("conn") == 1]
        assert kinds == ["open"] + ["message", "sent"] * 4 + ["close"], kinds
    with Server("--half-close", "keep", "--print", "json") as server, server.connect() as client:
        client.shutdown(socket.SHUT_WR)
        check(server.wait_events("end")[0], schema, seen)
    assert ("end", "event") in seen
    for kind, members in schema.items():
        for name in members:
            assert ("open" if kind in (None, "conn") else kind, name) in seen, "no event of this test has shown %s.%s" % (kind, name)


def test_what_is_left_over_is_counted():
    with Server("--frame", "length:u16be", "--print", "json") as server:
        exchange(server, b"\x00\x02ok\x00\x09half")
        close = server.wait_events("close")[0]
        assert (close["messages_in"], close["bytes_in"], close["input_bytes"]) == (1, 10, 6), close


def test_skipped_messages_have_a_number():
    with Server("--frame", "line", "--max-frame", 4, "--too-long", "skip", "--print", "json") as server:
        exchange(server, b"one\nlonger\ntwo\n")
        close = server.wait_events("close")[0]
        assert [(event["seq"], event["text"]) for event in server.events("message")] == [(1, "one"), (3, "two")]
        assert close["messages_in"] == 3, close


def test_text_is_in_the_encoding():
    with Server("--frame", "line", "--encoding", "gbk", "--reply", "echo", "--print", "json") as server:
        exchange(server, "\u6e29\u5ea6 25\u2103 \\ \"\n".encode("gbk") + b"\xff\xfe\n" + "\u00e9".encode() + b"\xff\n")
        server.wait_events("close")
        for kind in ("message", "sent"):
            first, second, third = server.events(kind)
            assert (first["text"], first["len"]) == ("\u6e29\u5ea6 25\u2103 \\ \"", 13), first
            assert base64.b64decode(second["base64"]) == b"\xff\xfe", second
            assert base64.b64decode(third["base64"]) == b"\xc3\xa9\xff", third
