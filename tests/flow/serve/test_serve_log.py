# SPDX-License-Identifier: BSD-3-Clause
"""Standard error for programs: JSON, and the marks of journald. Text for people is what the other tests read."""
import json
import os
import re
import socket
import tempfile

from harness import DEADLINE, Server, recv_exactly, recv_until, run_weir, wait_for, weir

JSON = ["--log-format", "json", "--listen", "127.0.0.1:0"]


def objects(text):
    """Every line is an object with these members, in this order."""
    found = [json.loads(line) for line in text.splitlines()]
    for entry in found:
        assert list(entry) == ["time", "level", "kind", "text"], entry
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["time"]), entry
        assert entry["level"] in ("error", "warning", "info", "debug"), entry
        assert re.fullmatch("[a-z]+", entry["kind"]) and "\n" not in entry["text"], entry
    return found


def port_of(server):
    return int(server.wait_stderr(r'"text":"listening on tcp://127\.0\.0\.1:(\d+)"')[1])


def test_json_says_all_that_text_says():
    with weir("serve", *JSON, "--frame", "line", "--reply", "echo", "--log-level", "debug") as server:
        with socket.create_connection(("127.0.0.1", port_of(server)), DEADLINE) as client:
            client.sendall(b"GET / HTTP/1.0\r\n")
            recv_until(client, b"\n")
        assert server.stop() == 0
        found = objects(server.stderr.text())
    kinds = {entry["kind"] for entry in found}
    assert {"start", "stranger", "state", "stop"} <= kinds, found
    assert found[0]["text"].startswith("listening on ") and found[0]["level"] == "info", found[0]
    assert found[1]["text"].startswith("room for "), found[1]
    assert any(entry["text"] == "#1 arriving -> open" and entry["level"] == "debug" for entry in found), found
    assert found[-1]["text"].startswith("stopping: ") or found[-1]["kind"] == "state", found[-1]


def test_json_also_when_it_cannot_start():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        url = "127.0.0.1:%d" % taken.getsockname()[1]
        status, stdout, stderr = run_weir("serve", "--log-format", "json", url)
    assert (status, stdout) == (1, ""), (status, stderr)
    entry, = objects(stderr)
    assert (entry["level"], entry["kind"]) == ("error", "fail"), entry
    assert entry["text"] == "listen tcp://%s: address already in use" % url, entry


def test_json_of_what_the_output_has_to_say():
    """A reader that is gone: with a store the server goes on, and without one it ends."""
    reader, writer = os.pipe()
    with weir("serve", *JSON, "--print", "json", "--reply", "echo", "--store", "s.db", stdout=writer) as server:
        os.close(writer)
        os.close(reader)
        with socket.create_connection(("127.0.0.1", port_of(server)), DEADLINE) as client:
            client.sendall(b"x")
            assert recv_exactly(client, 1) == b"x"
        server.wait_stderr("nothing more is printed")
        assert server.stop() == 0
        entry, = [entry for entry in objects(server.stderr.text()) if entry["kind"] == "output"]
        assert (entry["level"], entry["text"]) == ("warning", "standard output: closed; nothing more is printed"), entry
    reader, writer = os.pipe()
    with weir("serve", *JSON, "--print", "json", stdout=writer) as server:
        os.close(writer)
        os.close(reader)
        assert server.wait() == 1
        entry, = [entry for entry in objects(server.stderr.text()) if entry["kind"] == "fail"]
        assert entry["level"] == "error" and entry["text"].startswith("standard output: its reader has gone; "), entry


def test_notes_of_lost_lines_are_few_and_count_all():
    """A reader that takes a little now and then loses much each time; each loss is counted, a note at most a second."""
    count = 60000
    with Server("--frame", "line", "--reply", "echo", "--print", "json") as server, server.connect() as client:
        server.stdout.freeze()
        for _ in range(2):
            for _ in range(count // 1000):
                client.sendall(b"x\n" * 1000)
                assert recv_exactly(client, 2000) == b"x\n" * 1000
            server.stdout.thaw()
            wait_for(lambda: "not shown" in server.stderr.text(), "a note")
            server.stdout.freeze()
        server.stdout.thaw()

        def said():
            notes = re.findall(r"^\(([\d,]+) lines? not shown", server.stderr.text(), re.M)
            return [int(note.replace(",", "")) for note in notes]

        def shown():
            return [event for event in server.events() if event["event"] != "missed"]
        wait_for(lambda: len(shown()) + sum(said()) == 4 * count + 1, "every line to be shown or counted")
        assert len(said()) <= 4, said()


def journal(file):
    status = os.fstat(file.fileno())
    return {"JOURNAL_STREAM": "%d:%d" % (status.st_dev, status.st_ino)}


def lines_of(file):
    """Its place stays: the server shares it, and would write over the beginning from where a reading puts it."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode().splitlines()


def test_marks_under_journald():
    with tempfile.TemporaryFile() as file:
        with weir("serve", "127.0.0.1:0", "--log-level", "debug", stderr=file, env=journal(file)) as server:
            wait_for(lambda: any("room for" in line for line in lines_of(file)), "the start")
            port = int(re.search(r"listening on tcp://127\.0\.0\.1:(\d+)", lines_of(file)[0])[1])
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
                client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
                wait_for(lambda: any("TLS" in line for line in lines_of(file)), "the stranger")
            assert server.stop() == 0
        lines = lines_of(file)
    assert lines[0] == "<6>listening on tcp://127.0.0.1:%d" % port, lines
    assert any(line.startswith("<7>debug: #1 arriving -> open") for line in lines), lines
    assert any(re.match("<[46]>.*TLS", line) for line in lines), lines
    assert all(re.match("<[3467]>", line) for line in lines), lines


def test_marks_of_errors_and_of_json_under_journald():
    for arguments, begins in ((["serve", "--bogus"], ["<3>weir: ", "<3>try: "]), (["check", "--config", "/nope"], ["<3>weir: "]),
                              (["serve", "--log-format", "json", "192.0.2.1:0"], ['<3>{"time":'])):
        with tempfile.TemporaryFile() as file:
            with weir(*arguments, stderr=file, env=journal(file)) as command:
                command.wait()
            lines = lines_of(file)
        assert len(lines) == len(begins) and all(map(str.startswith, lines, begins)), lines


def test_no_marks_elsewhere():
    """Standard error was sent elsewhere, or the variable is none."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as other:
        for value in (journal(other)["JOURNAL_STREAM"], "", "x", "1", "1:", ":2", journal(file)["JOURNAL_STREAM"] + "0",
                      journal(file)["JOURNAL_STREAM"] + ":"):
            file.seek(0)
            file.truncate()
            with weir("serve", "--bogus", stderr=file, env={"JOURNAL_STREAM": value}) as command:
                assert command.wait() == 2
            assert lines_of(file)[0].startswith("weir: unknown option --bogus"), (value, lines_of(file))


def test_level_of_what_the_program_says():
    """What other programs wait for is said at any level."""
    with Server("--log-level", "error") as server:
        server.connect().close()
        assert server.stop() == 0
        assert re.fullmatch(r"listening on tcp://127\.0\.0\.1:\d+\n", server.stderr.text()), server.stderr.text()
