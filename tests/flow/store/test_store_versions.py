# SPDX-License-Identifier: BSD-3-Clause
"""Stores of older versions of the schema: they are read as they are, copied as they are, and a server brings them up to
date. And what docs/store.md shows of reading a store with other programs."""
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess

from harness import Server, recv_until, run_weir, skip
from test_log import a_store

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
STORES = os.path.join(ROOT, "tests", "app", "stores")
OLDER = {1: 30, 2: 41}  # messages
VERSION = 3
ACKED = ["--frame", "line", "--ack", "{id}"]


@contextlib.contextmanager
def older_store(version):
    with a_store() as path:
        shutil.copyfile(os.path.join(STORES, "version%d.db" % version), path)
        os.chmod(path, 0o600)
        yield path


def rows(path, sql):
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as db:
        return db.execute(sql).fetchall()


def version_of(path):
    return rows(path, "SELECT user_version & 255 FROM pragma_user_version")[0][0]


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def run(*arguments):
    status, out, error = run_weir(*arguments)
    assert status == 0, (arguments, out, error)
    return out


def shown(path):
    return [(line["id"], line.get("text", line.get("hex"))) for line in
            map(json.loads, run("log", "--store", path, "--format", "json").splitlines())]


def test_every_command_that_reads_leaves_an_older_store_as_it_is():
    for version, messages in OLDER.items():
        with older_store(version) as path:
            before = contents(path)
            assert [number for number, _ in shown(path)] == list(range(1, messages + 1))
            assert len(run("log", "--store", path, "--client", "2", "--format", "csv").splitlines()) > 3
            assert "messages  %d\n" % messages in run("check", "--store", path)
            if version == 2:
                out = run("verify", "--check", "--ledger", os.path.join(STORES, "version2.ledger"), "--store", path)
                assert "missing 0, altered 0, out of order 0, too often 0" in out, out
            assert contents(path) == before
            assert version_of(path) == version


def test_a_copy_has_the_version_of_the_store():
    for version in OLDER:
        with older_store(version) as path, a_store() as copy:
            run("check", "--store", path, "--backup", copy)
            assert version_of(copy) == version_of(path) == version
            assert shown(copy) == shown(path)
            with Server("--store", copy, *ACKED):
                pass
            assert version_of(copy) == VERSION
            assert shown(copy) == shown(path)
            assert version_of(path) == version


def test_old_and_new_rows_are_read_side_by_side():
    for version, messages in OLDER.items():
        with older_store(version) as path:
            before = shown(path)
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                client.sendall(b"new\n")
                assert recv_until(client, b"\n") == b"%d\n" % (messages + 1)
                assert version_of(path) == VERSION
                assert shown(path) == before + [(messages + 1, "new")]
            assert "messages  %d\n" % (messages + 1) in run("check", "--store", path)
            if version == 2:
                run("verify", "--check", "--ledger", os.path.join(STORES, "version2.ledger"), "--store", path)
            assert rows(path, "SELECT count(*), count(client), count(verdict), count(rule), count(answers) FROM conversation") \
                == [(messages + 1, 0, 0, 0, 0)]


def test_a_newer_store_is_refused():
    with a_store() as path:
        with Server("--store", path, *ACKED):
            pass
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            (stamp,), = db.execute("PRAGMA user_version").fetchall()
            db.execute("PRAGMA user_version = %d" % (stamp + 1))
        for command in (["serve", "--store", path, "127.0.0.1:0"], ["log", "--store", path], ["check", "--store", path]):
            status, _, error = run_weir(*command)
            assert status == 1 and "newer weir (schema %d, this one knows %d)" % (VERSION + 1, VERSION) in error, (command, error)


def test_examples_of_reading_are_right():
    """With the shell of SQLite that is named there."""
    shell = shutil.which("sqlite3") or skip("sqlite3 is not installed")
    with open(os.path.join(ROOT, "docs", "store.md"), encoding="utf-8") as file:
        examples = re.findall(r"^sqlite3 -readonly \S+\.db '([^']+)'$", file.read(), re.MULTILINE)
    assert len(examples) == 3, examples
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"one\n")
            recv_until(client, b"\n")
            outputs = [subprocess.run([shell, "-readonly", path, example], capture_output=True, text=True, check=True,
                                      timeout=60).stdout for example in examples]
            assert "|one\n" in outputs[0] and outputs[1] == "" and outputs[2].startswith("1|127.0.0.1:"), outputs
            with_name = [shell, "-readonly", path, examples[1].replace("4711", "0")]
            assert subprocess.run(with_name, capture_output=True, text=True, check=True, timeout=60).stdout == "1||0|one\n"


def test_promises_are_kept():
    """Every column that docs/store.md names is there."""
    with open(os.path.join(ROOT, "docs", "store.md"), encoding="utf-8") as file:
        told = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", file.read(), re.MULTILINE))
    with a_store() as path:
        with Server("--store", path, *ACKED):
            pass
        names = {name for name, in rows(path, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'")}
        assert names <= set(told), names - set(told)
        for table in names - {"meta", "recent"}:
            for column, in rows(path, "SELECT name FROM pragma_table_info('%s')" % table):
                there = told[table] + (told["message"] if table == "conversation" else "")
                assert "`%s`" % column in there or table == "again" or column == "time", (table, column)
