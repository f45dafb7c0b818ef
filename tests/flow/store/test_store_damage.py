# SPDX-License-Identifier: BSD-3-Clause
"""A store in which bits have flipped: no message is lost in silence, and weir check says what is lost, and goes on without
it when it is told to."""
import contextlib
import glob
import os
import re
import shutil
import sqlite3

from harness import Server, run_weir, weir
from test_store import ACKED, a_store, a_store_on_a_disk_of, acks, content_of, flip_bit, messages, put_ballast, refuse
from test_store_faults import expect_stored, send_numbers

COUNT = 60  # so few that the log is not begun anew


def fill(path, kill):
    """So many messages, each in a commit of its own. After a kill they are in the log, else in the database."""
    with Server("--store", path, *ACKED) as server, server.connect() as client:
        for seq in range(1, COUNT + 1):
            send_numbers(client, seq, 1)
            acks(client, seq, 1)
        if kill:
            server.kill()


def check(path, *options):
    return run_weir("check", "--store", path, *options)


def contents(path):
    """Of all files of the store and of its copies; but for those that hold nothing of it: the log's index, the lock, and
    room that is kept free."""
    return {name: content_of(name) for name in glob.glob(path + "*") if not name.endswith(("-shm", ".lock", ".reserve"))}


def flip_in(path, content):
    """A bit of these bytes, wherever they are in the file."""
    offset = content_of(path).index(content)
    flip_bit(path, offset + len(content) - 1)


def test_flipped_bit_in_the_middle_of_the_log():
    """Without the walk the database opens without a word, and integrity_check says ok."""
    with a_store() as path:
        fill(path, kill=True)
        flip_bit(path + "-wal", os.path.getsize(path + "-wal") // 2)
        damaged = contents(path)

        error = refuse("--store", path, *ACKED, status=1)
        assert "weir check --store %s --accept-loss" % path in error, error
        assert contents(path) == damaged

        status, out, error = check(path)
        lost = re.search(r"its log is damaged at byte \d+: behind it lie (\d+) commits.*Nothing was changed", error)
        kept = re.search(r"^messages  (\d+)$", out, re.M)
        assert status == 1 and lost and kept, (out, error)
        assert contents(path) == damaged

        status, out, error = check(path, "--accept-loss")
        assert status == 0 and error == "", error
        copy = re.search(r"^copied to (\S+) and -wal$", out, re.M)[1]
        assert re.fullmatch(re.escape(path) + r"\.damaged-\d{8}T\d{6}Z", copy), copy
        assert [content_of(copy), content_of(copy + "-wal")] == [damaged[path], damaged[path + "-wal"]]
        assert "given up: its log is damaged" in out and kept[0] in out, out
        stored = int(kept[1])
        assert 0 < stored < COUNT and stored + int(lost[1]) >= COUNT, (stored, lost[1])
        expect_stored(path, stored)

        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
        assert len(messages(path)) == stored + 10
        assert check(path)[0] == 0


def test_copies_that_do_not_fit_leave_everything_as_it_was():
    with a_store_on_a_disk_of("8m") as path:
        fill(path, kill=True)
        flip_bit(path + "-wal", os.path.getsize(path + "-wal") // 2)
        damaged = contents(path)
        free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
        put_ballast(path, free - os.path.getsize(path + "-wal") // 2)
        status, _, error = check(path, "--accept-loss")
        assert status == 1 and re.search("no copy.*[Nn]o space left.*Nothing was changed", error), error
        assert contents(path) == damaged


def test_log_without_a_database_is_put_aside():
    with a_store() as path:
        fill(path, kill=True)
        log = content_of(path + "-wal")
        os.remove(path)
        assert "its file is gone" in refuse("--store", path, *ACKED, status=1)
        status, out, error = check(path)
        assert status == 1 and "its file is gone" in error, (out, error)
        assert contents(path) == {path + "-wal": log}
        status, out, error = check(path, "--accept-loss")
        assert status == 0, error
        copy = re.search(r"^copied to (\S+)-wal$", out, re.M)[1]
        assert contents(path) == {copy + "-wal": log}
        with Server("--store", path, *ACKED):
            pass
        expect_stored(path, 0)


def test_one_commit_is_said_as_one():
    with a_store() as path:
        with Server("--store", path, *ACKED):
            pass
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("INSERT INTO meta VALUES ('one', 1)")
            shutil.copy(path + "-wal", path + ".kept")
        os.rename(path + ".kept", path + "-wal")
        os.remove(path)
        for error in check(path)[2], refuse("--store", path, *ACKED, status=1):
            assert "with 1 commit that means nothing without it" in error, error


def test_store_that_is_whole():
    with a_store() as path:
        fill(path, kill=False)
        before = contents(path)
        status, out, error = check(path)
        assert status == 0 and error == "", error
        assert re.search(r"^messages  %d\nnewest    %d of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nsize      %d bytes"
                         % (COUNT, COUNT, os.path.getsize(path)), out), out
        status, out, error = check(path, "--accept-loss")
        assert status == 0 and "all is well, and nothing was changed" in out, (out, error)
        assert {name: what for name, what in contents(path).items() if what} == before


def test_log_of_a_kill_is_no_damage():
    with a_store() as path:
        fill(path, kill=True)
        before = contents(path)
        status, out, _ = check(path, "--accept-loss")
        assert status == 0 and "messages  %d\n" % COUNT in out and "all is well" in out, out
        assert contents(path) == before


def test_flipped_bit_in_a_message():
    """It is found when the message is read, and by nothing that SQLite has; the store goes on all the same."""
    with a_store() as path:
        fill(path, kill=False)
        flip_in(path, b"message 42")
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for _ in range(2):
            status, out, error = check(path)
            assert status == 1 and re.search("1 message is not what was stored.*It is message 42", error), error
            assert "messages  %d\n" % COUNT in out, out
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send_numbers(client, 1, 1)
                acks(client, 1, 1)
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                db.execute("DELETE FROM message WHERE id > ?", (COUNT,))
        flip_in(path, b"message 43")
        status, _, error = check(path)
        assert status == 1 and re.search("2 messages are not what was stored.*The first is message 42", error), error


def break_page(path):
    """The root of the table of messages is no page of a table any more."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        page, = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'message'").fetchone()
        size, = db.execute("PRAGMA page_size").fetchone()
    with open(path, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xee")


def test_broken_page_is_said_and_not_mended():
    with a_store() as path:
        fill(path, kill=False)
        break_page(path)
        error = refuse("--store", path, *ACKED, status=1)
        assert path in error and "malformed" in error, error
        before = {name: what for name, what in contents(path).items() if what}
        for options in (), ("--accept-loss",):
            status, out, error = check(path, *options)
            assert status == 1 and "malformed" in error and ".dump" in error, (out, error)
        assert {name: what for name, what in contents(path).items() if what} == before


def test_file_that_is_no_database():
    with a_store() as path:
        with open(path, "w", encoding="ascii") as file:
            file.write("a text, and not a database\n" * 1000)
        for status, error in ((1, refuse("--store", path, *ACKED, status=1)), check(path)[::2], check(path, "--accept-loss")[::2]):
            assert status == 1 and path in error and "not a database" in error, error
        assert content_of(path).startswith(b"a text")


def test_store_that_a_server_has():
    """Its messages are read; nothing is given up."""
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        send_numbers(client, 1, 10)
        acks(client, 1, 10)
        status, out, error = check(path)
        assert status == 0 and "in use" in out and "messages  10\n" in out, (out, error)
        status, _, error = check(path, "--accept-loss")
        assert status == 1 and "in use by process %d; end that first" % server.pid in error, error
        send_numbers(client, 11, 10)
        acks(client, 11, 10)


def test_what_is_asked_must_be_clear():
    with a_store() as path:
        status, _, error = check(path)
        assert status == 1 and path in error and "o such file" in error, error
        assert not os.path.exists(path) and not os.path.exists(path + ".lock")
        for options in (["--accept-loss"], ["--accept-loss", "--store", path, ":0"],
                        ["--accept-loss", "--store", path, "--frame", "line"], ["--accept-loss", "--store", "auto"]):
            status, _, error = run_weir("check", *options)
            assert status == 2 and "--store" in error, (options, error)
        status, out, _ = run_weir("check", "--store", path, "--frame", "line")  # what a server would make of it
        assert status == 0 and re.search(r"store +arguments? +|store.*" + re.escape(path), out), out


def test_progress_on_a_terminal():
    with a_store() as path:
        fill(path, kill=False)
        with contextlib.closing(sqlite3.connect(path)) as db, db:  # long enough to be seen
            db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
                       " INSERT INTO message SELECT NULL, 1, 0, i, 0, 0, 0, NULL, 0, 'x' FROM n")
        with weir("check", "--store", path, terminal=True) as command:
            command.wait_stdout(r"\r\d+ messages, \d+%")
            assert command.wait() == 1
