# SPDX-License-Identifier: BSD-3-Clause
"""weir log: what it finds in a store, with a server on it, after it and after kill -9, and how it ends."""
import contextlib
import csv
import io
import json
import os
import pty
import re
import select
import signal
import sqlite3
import tempfile

from harness import FLAVOUR, Server, recv_exactly, recv_until, run_weir, wait_for, weir

ACKED = ["--frame", "line", "--ack", "{id}"]


@contextlib.contextmanager
def a_store():
    """The path of a store that is not there yet, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="weir-store-") as folder:
        yield os.path.join(folder, "s.db")


def send(client, *lines):
    """Sends lines, and waits until they are stored; returns the id of the last."""
    last = None
    for line in lines:
        client.sendall(line + b"\n")
        last = int(recv_until(client, b"\n"))
    return last


def log(path, *options, status=0, **process):
    """What weir log shows."""
    done, output, error = run_weir("log", "--store", path, *options, **process)
    assert done == status, (done, output, error)
    return output if status == 0 else output + error


def log_json(path, *options):
    return [json.loads(line) for line in log(path, "--format", "json", *options).splitlines()]


def texts(path, *options):
    return [message["text"] for message in log_json(path, *options)]


def change(path, sql):
    """As somebody would who should not: by hand, in a store without a server."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


def test_reads_while_a_server_runs_after_it_and_after_a_kill():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as one, server.connect() as two:
            send(one, b"one", b"three")
            send(two, b"two")
            assert texts(path) == ["one", "three", "two"]
            server.stop()
        assert texts(path) == ["one", "three", "two"]
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, b"four")
            server.kill()
        assert os.path.getsize(path + "-wal") > 0
        assert texts(path) == ["one", "three", "two", "four"]
        assert os.path.getsize(path + "-wal") > 0, "a reader has moved the log"


def test_picks_by_client_id_and_number():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as one, server.connect(source="127.0.0.2") as two:
            send(one, b"a1")
            send(two, b"b1")
            behind = send(one, b"a2")
            send(two, b"b2")
            send(one, b"a3")
            first = log_json(path)
            of_one = [message["conn"] for message in first if message["text"] == "a1"][0]
            peer = "%s:%d" % one.getsockname()
            for _ in range(2):  # with the server, whose heads may be behind, and without
                assert texts(path, "--client", of_one) == texts(path, "--client", "#%d" % of_one) == ["a1", "a2", "a3"]
                assert texts(path, "--client", of_one, "-n", 2) == ["a2", "a3"]
                assert texts(path, "--client", peer, "-n", 1) == ["a3"]
                assert texts(path, "--client", "127.0.0.2") == ["b1", "b2"]
                assert texts(path, "--after", behind) == ["b2", "a3"]
                assert texts(path, "--after", behind, "--client", "127.0.0.2") == ["b2"]
                assert texts(path, "-n", 2) == ["b2", "a3"]
                assert texts(path, "--after", 0, "-n", "off") == ["a1", "b1", "a2", "b2", "a3"]
                if server.process.poll() is None:
                    server.stop()
        assert "no client 127.0.0.9" in log(path, "--client", "127.0.0.9", status=1)
        assert "no client 4711" in log(path, "--client", "4711", status=1)


def test_picks_by_time():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, b"1", b"2", b"3")
        for number, hour in (1, 9), (2, 10), (3, 11):
            change(path, "UPDATE message SET time = strftime('%%s', '2026-11-23T%02d:00:00') * 1000000 WHERE seq = %d"
                   % (hour, number))
        change(path, "DELETE FROM second")
        change(path, "INSERT INTO second SELECT time / 1000000, id FROM message")
        assert texts(path, "--since", "2026-11-23T10:00Z") == ["2", "3"]
        assert texts(path, "--since", "2026-11-23T10:00:00.000001Z") == ["3"]
        assert texts(path, "--until", "2026-11-23T10:00Z") == ["1"]
        assert texts(path, "--since", "2026-11-23Z", "--until", "2026-11-24Z") == ["1", "2", "3"]
        assert texts(path, "--since", "2026-11-24Z") == texts(path, "--until", "2026-11-23Z") == []
        assert texts(path, "--since", "2026-11-23Z", "-n", "1", "--until", "2026-11-23T11:00Z") == ["2"]
        done, output, _ = run_weir("log", "--store", path, "--since", "2026-11-23T11:00", "--format", "json",
                                   env={"TZ": "XXX-1"})
        assert done == 0 and [json.loads(line)["text"] for line in output.splitlines()] == ["2", "3"]
        change(path, "UPDATE message SET time = strftime('%s', 'now') * 1000000 WHERE seq = 3")
        change(path, "UPDATE second SET time = strftime('%s', 'now') WHERE first_message = (SELECT max(id) FROM message)")
        assert texts(path, "--since", "10m") == ["3"]


def test_formats():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--store-replies") as server, server.connect() as client:
            peer = "%s:%d" % client.getsockname()
            first = send(client, b'say "hi", \x1b[2J', "grün".encode(), b"\xff\x00")
            url = server.urls[0]
        messages = log_json(path, "--client", peer)
        assert [message["event"] for message in messages].count("sent") == 3
        assert messages[0]["peer"] == peer and messages[0]["listener"] == url and messages[0]["seq"] == 1, messages[0]
        assert [message["id"] for message in messages] == list(range(1, 7)) and first == messages[-1]["id"] - 1, messages
        by_id = {row["id"]: row for row in csv.DictReader(io.StringIO(log(path, "--format", "csv"), newline=""))}
        assert len(by_id) == 6
        for message in messages:
            row = by_id[str(message["id"])]
            assert row["time"] == message["time"] and row["conn"] == str(message["conn"]) and row["peer"] == peer
            assert row["direction"] == ("in" if message["event"] == "message" else "out")
            assert int(row["len"]) == message["len"] and row["damaged"] == "0"
        rows = {row["seq"]: row for row in by_id.values() if row["direction"] == "in"}
        assert rows["1"]["hex"] == b'say "hi", \x1b[2J'.hex() and not rows["1"]["text"]
        assert rows["2"]["text"] == "grün" and rows["3"]["hex"] == "ff00"
        shown = log(path, "--format", "text")
        assert "\x1b" not in shown and 'say "hi", \\x1b[2J\n' in shown and "< " in shown, shown
        assert " ff 00\n" in log(path, "--format", "hex")


def test_a_damaged_message_is_shown_as_damaged():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, b"1", b"2", b"3")
        change(path, "UPDATE message SET bytes = x'39' WHERE seq = 2")
        shown = log(path, "--format", "json", status=1)
        messages = [json.loads(line) for line in shown.splitlines()[:3]]
        assert [message.get("damaged") for message in messages] == [None, True, None]
        assert "1 message damaged" in shown and path in shown, shown
        assert " 9 (damaged)\n" in log(path, status=1)
        assert "damaged" not in log(path, "--after", 2)


def test_a_damaged_log_is_named_when_nobody_writes_to_it():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, *[b"message %d" % seq for seq in range(100)])
            server.kill()
        with open(path + "-wal", "r+b") as file:
            file.seek(os.path.getsize(path + "-wal") // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        before = open(path + "-wal", "rb").read()
        done, output, error = run_weir("log", "--store", path)
        assert done == 1 and 0 < len(output.splitlines()) < 100, output
        assert "its log is damaged at byte" in error, error
        assert open(path + "-wal", "rb").read() == before


def test_what_is_no_store_is_refused():
    with a_store() as path:
        assert "there is none" in log(path, status=1)
        assert not os.path.exists(path)
        with open(path, "w", encoding="ascii") as file:
            file.write("no database at all\n" * 100)
        assert "not a database" in log(path, status=1)
        for words, options in (("not a time", ["--since", "later"]), ("exclude", ["--follow", "--until", "1m"]),
                               ("-n 0", ["-n", "0"]), ("--format", ["--format", "xml"]), ("options only", ["17"]),
                               ("encoding", ["--encoding", "morse"])):
            assert words in log(path, *options, status=2)


def test_finds_the_only_store_and_lists_several():
    with tempfile.TemporaryDirectory(prefix="weir-store-") as folder:
        env = {"XDG_STATE_HOME": folder, "STATE_DIRECTORY": "", "WEIR_STORE": None}
        with Server("--store", "auto", *ACKED, env=env) as server, server.connect() as client:
            send(client, b"hello")
            for options in (), ("--store", server.port), ("--store", "auto"):
                done, output, error = run_weir("log", *options, env=env)
                assert done == 0 and output.endswith(" hello\n"), (options, output, error)
        with open(folder + "/weir/1.db", "w", encoding="ascii"):
            pass
        done, output, error = run_weir("log", env=env)
        assert done == 1 and "1.db, %d.db" % server.port in error, error


def test_the_newest_on_a_terminal_all_elsewhere():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"".join(b"%d\n" % seq for seq in range(1, 251)) + b"x" * 500 + b"\n")
            while b"251\n" not in recv_until(client, b"\n"):
                pass
        assert len(log(path).splitlines()) == 251
        with weir("log", "--store", path, terminal=True) as shown:
            assert shown.wait() == 0
            lines = shown.stdout.text().split("\r\n")
        assert len(lines) == 101 and "\x1b[" in lines[0] and " ... 500 bytes" in lines[-2], lines
        with weir("log", "--store", path, "-n", "off", terminal=True) as shown:
            assert shown.wait() == 0
            assert shown.stdout.text().count("\r\n") == 251


# ---- As it comes ----

def test_follows_over_a_restart_and_a_kill():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, b"old", b"1")
            with weir("log", "--store", path, "--follow", "--format", "json", "-n", 1) as shown:
                shown.wait_events("message", 1)
                send(client, b"2")
                shown.wait_events("message", 2)
                server.stop()
                for number, end in (3, signal.SIGKILL), (4, signal.SIGTERM), (5, signal.SIGTERM):
                    with Server("--store", path, *ACKED) as again, again.connect() as later:
                        send(later, b"%d" % number)
                        shown.wait_events("message", number)
                        again.stop(end)
                assert [event["text"] for event in shown.events()] == ["1", "2", "3", "4", "5"]
                assert shown.stop(signal.SIGINT) == 0
                assert shown.stderr.text() == ""


def test_follows_one_client_and_goes_on_with_another_store_in_its_place():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client, server.connect(source="127.0.0.2") as other:
            send(client, b"1")
            with weir("log", "--store", path, "--follow", "--format", "json", "--client", "127.0.0.1") as shown:
                shown.wait_events("message", 1)
                send(other, b"no")
                send(client, b"2")
                shown.wait_events("message", 2)
                server.stop()
                for end in "", "-wal", "-shm":
                    if os.path.exists(path + end):
                        os.rename(path + end, path + ".old" + end)
                with Server("--store", path, *ACKED) as again, again.connect() as later, again.connect(source="127.0.0.2") as no:
                    send(no, b"no")
                    send(later, b"3")
                    shown.wait_events("message", 3)
                    assert [(event["text"], event["id"]) for event in shown.events()] == [("1", 1), ("2", 3), ("3", 2)]
                    assert shown.stop() == 0


def test_a_reader_that_goes_ends_it():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"x" * 999 + b"\n")
            recv_until(client, b"\n")
            ours, theirs = os.pipe()
            with weir("log", "--store", path, "--follow", stdout=theirs) as shown:
                os.close(theirs)
                assert os.read(ours, 65536).endswith(b"x\n")
                os.close(ours)
                assert shown.wait() == 0  # although nothing has come that it could not write
                assert shown.stderr.text() == ""
            client.sendall((b"x" * 999 + b"\n") * 200)
            recv_exactly(client, len("".join("%d\n" % number for number in range(2, 202))))
            ours, theirs = os.pipe()
            with weir("log", "--store", path, stdout=theirs) as shown:
                os.close(theirs)
                assert os.read(ours, 10)
                os.close(ours)
                assert shown.wait() == -signal.SIGPIPE  # as any program in a pipe
                assert shown.stderr.text() == ""


def test_ctrl_c_ends_an_export_behind_a_whole_line():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall((b"x" * 999 + b"\n") * 1000)
            recv_exactly(client, len("".join("%d\n" % number for number in range(1, 1001))))
        ours, theirs = os.pipe()
        with weir("log", "--store", path, "--format", "json", stdout=theirs) as shown:
            os.close(theirs)
            wait_for(shown.is_asleep, "a full pipe")
            shown.send_signal(signal.SIGINT)
            assert shown.wait() == 1
            assert "interrupted" in shown.stderr.text()
        os.close(ours)


def test_export_is_bounded_in_memory_and_does_not_hold_the_log():
    """A reader that stands still in the middle is in nobody's way."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall((b"x" * 1023 + b"\n") * 4096)
            recv_exactly(client, len("".join("%d\n" % number for number in range(1, 4097))))
            ours, theirs = os.pipe()
            master, slave = pty.openpty()
            with weir("log", "--store", path, stdout=theirs, stderr=slave, env={"TERM": "xterm"}) as shown:
                os.close(theirs)
                os.close(slave)
                wait_for(shown.is_asleep, "a full pipe")
                # It goes on, and tells how far it is.
                wait_for(lambda: os.read(ours, 4096) and select.select([master], [], [], 0)[0], "progress")
                assert re.search(rb"\r[\d,]+ messages?, \d+ %", os.read(master, 4096)), "no progress"
                for begin in range(4097, 4097 + 65536, 4096):  # 64 MiB more
                    client.sendall((b"y" * 1023 + b"\n") * 4096)
                    recv_exactly(client, len("".join("%d\n" % number for number in range(begin, begin + 4096))))
                wait_for(lambda: os.path.getsize(path + "-wal") < 40 * 1024 * 1024, "the log to begin anew")
                assert os.path.getsize(path + "-wal") < 40 * 1024 * 1024
                with open("/proc/%d/status" % shown.pid, encoding="ascii") as file:
                    peak = [int(line.split()[1]) for line in file if line.startswith("VmHWM")][0]
                shown.kill()
            os.close(ours)
            os.close(master)
        assert peak < 64 * 1024 or FLAVOUR != "release", peak
