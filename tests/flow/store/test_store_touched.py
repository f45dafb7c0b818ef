# SPDX-License-Identifier: BSD-3-Clause
"""What people do to a store's files while a server has them, or while they copy them: cut them, write over them, copy one
without the other. Nothing is acknowledged that is not in the store afterwards, and nothing is said to be whole that is
not."""
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys

from harness import DEADLINE, Server, run_weir, skip, wait_for
from test_store import ACKED, a_store, acks, content_of, messages, refuse
from test_store_faults import STOPS, Injection, expect_no_ack, expect_stored, run_sqlite, send_numbers

LOST = r"--accept-loss"
BRIEFLY = ACKED + ["--drain-timeout", "1s"]  # what is owed is not paid any more


def send(client, first, count):
    send_numbers(client, first, count)
    acks(client, first, count)


def send_one_by_one(client, first, count):
    """A commit each, so that the log is longer than one transaction."""
    for seq in range(first, first + count):
        send(client, seq, 1)


def check(path, *options):
    return run_weir("check", "--store", path, *options)


def newest(path):
    """The messages that are stored are the first so many."""
    stored = [row[1:] for row in messages(path)]
    assert stored == [(seq, b"message %d" % seq) for seq in range(1, len(stored) + 1)], stored[-3:]
    return len(stored)


def whole(path):
    """The database alone, as it lies there."""
    with contextlib.closing(sqlite3.connect("file:%s?immutable=1" % path, uri=True)) as db:
        try:
            return db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            return False


def a_reader(path):
    """Another process that has the store open, so that the log's index outlives the server's connection."""
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT count(*) FROM message')" \
           ".fetchall(); print(flush=True); sys.stdin.read()"
    reader = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reader.stdout.readline()
    return reader


@contextlib.contextmanager
def reading(path, is_wanted):
    reader = a_reader(path) if is_wanted else None
    try:
        yield
    finally:
        if reader:
            reader.stdin.close()
            reader.wait(DEADLINE)
            reader.stdout.close()


# ---- The log, in place ----

def expect_cut_log(cut, is_read=False, next_message=True, grows_again=False):
    """The older history is in the database, the newer in the log alone. The database stays whole, whoever closes it."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 100)
        with Server("--store", path, *BRIEFLY) as server, server.connect() as client, reading(path, is_read):
            send_one_by_one(client, 1, 50)
            size = os.path.getsize(path + "-wal")
            os.truncate(path + "-wal", cut(size))
            if grows_again:
                os.truncate(path + "-wal", size)
            if next_message:
                send_numbers(client, 51, 1)
            server.wait_stderr(r"error: .*its log \(-wal\) has been (cut|written over).*" + STOPS)
            expect_no_ack(client)
            server.begin_stop()
            assert server.wait() == 1
        assert whole(path)
        if not is_read:  # else the other, as the last one that had it, has moved what there was, and deleted the log
            error = refuse("--store", path, *ACKED, status=1)
            assert LOST in error and check(path)[0] == 1, error
        assert len(messages(path)) >= 100


def test_log_that_is_cut_to_nothing_leaves_the_database_whole():
    for is_read in False, True:
        for next_message in True, False:
            expect_cut_log(lambda size: 0, is_read, next_message)


def test_log_that_is_cut_anywhere_leaves_the_database_whole():
    for part in 10, 32, 4000:
        expect_cut_log(lambda size: part)
    expect_cut_log(lambda size: size // 2)
    expect_cut_log(lambda size: size // 2, is_read=True)
    expect_cut_log(lambda size: size - 1, next_message=False)
    expect_cut_log(lambda size: size // 2, grows_again=True)
    expect_cut_log(lambda size: 0, grows_again=True)


def test_log_that_is_cut_while_a_commit_is_written():
    """Each write takes a while, and the log is long again when it has come to its end: with a hole."""
    if shutil.which("strace") is None:
        skip("strace is not installed: apt-get install strace")
    for part in 2, 4:
        with a_store() as path:
            with Server("--store", path, *BRIEFLY, env={"ASAN_OPTIONS": "detect_leaks=0"}) as server, \
                    server.connect() as client:
                send_one_by_one(client, 1, 50)
                with Injection(server, "pwrite64:delay_enter=50ms"):
                    size = os.path.getsize(path + "-wal")
                    send_numbers(client, 51, 1)
                    wait_for(lambda: os.path.getsize(path + "-wal") > size, "a frame of the commit")
                    os.truncate(path + "-wal", size // part)
                    server.wait_stderr(r"error: .*its log \(-wal\) has been (cut|written over).*" + STOPS)
                expect_no_ack(client)
                server.kill()
            assert whole(path)
            assert LOST in refuse("--store", path, *ACKED, status=1)


def test_log_that_is_put_back_is_not_what_it_was():
    """What came after the copy is gone: the server does not go on with the rest, and the next one says so."""
    with a_store() as path:
        with Server("--store", path, *BRIEFLY) as server, server.connect() as client:
            send_one_by_one(client, 1, 50)
            shutil.copyfile(path + "-wal", path + ".copy")
            send_one_by_one(client, 51, 5)
            os.truncate(path + "-wal", 0)
            server.wait_stderr("its log .* has been cut.*" + STOPS)
            shutil.copyfile(path + ".copy", path + "-wal")
            send_numbers(client, 56, 1)
            server.wait_stderr(r"it ends at byte \d+, and what was stored at byte")
            expect_no_ack(client)
            assert "works again" not in server.stderr.text()
            server.kill()
        error = refuse("--store", path, *ACKED, status=1)
        assert re.search("was cut or written over while a server used it.*" + LOST, error), error
        assert check(path, "--accept-loss")[0] == 0
        with Server("--store", path, *ACKED):
            pass
        assert newest(path) == 50


def test_log_that_is_cut_to_nothing_refuses_the_start_until_that_is_accepted():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_one_by_one(client, 1, 50)
            os.truncate(path + "-wal", 0)
            server.wait_stderr("its log .* has been cut.*" + STOPS)
            server.kill()
        error = refuse("--store", path, *ACKED, status=1)
        assert re.search(r"write-ahead log \(-wal\) is missing or empty.*" + LOST, error), error
        status, _, error = check(path)
        assert status == 1 and "is missing or empty" in error, error
        status, out, error = check(path, "--accept-loss")
        assert status == 0 and "copied to" in out, (out, error)
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 1)


def test_log_is_cut_while_a_flood_comes():
    """At any instant of a commit, or while it is moved: then the database has a part of it, and is broken without the
    rest. Whatever is left, nothing is acknowledged behind the cut, and the next start says so."""
    line = b"x" * 200 + b"\n"
    for _ in range(3):
        with a_store() as path:
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send_one_by_one(client, 1, 5)
                client.sendall(line * 20000)
                acks(client, 6, 2000)
                os.truncate(path + "-wal", 0)
                with contextlib.suppress(AssertionError):
                    server.wait_stderr(STOPS, deadline=5)
                server.kill()
            if check(path)[0] == 1:
                error = refuse("--store", path, *ACKED, status=1)
                assert LOST in error or "Nothing was changed" in error or "malformed" in error, error
            else:  # nothing in it was still to be moved
                with Server("--store", path, *ACKED):
                    pass
                assert len(messages(path)) >= 2005


def test_another_log_written_over_ours():
    with a_store() as path, a_store() as other:
        with Server("--store", other, *ACKED) as server, server.connect() as client:
            send_one_by_one(client, 1, 60)
            server.kill()
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_one_by_one(client, 1, 50)
            shutil.copyfile(other + "-wal", path + "-wal")
            send_numbers(client, 51, 1)
            server.wait_stderr(STOPS)
            expect_no_ack(client)
            server.kill()
        assert whole(path)
        error = refuse("--store", path, *ACKED, status=1)
        assert re.search("its (write-ahead )?log .*" + LOST, error), error


# ---- The database, in place ----

def expect_whole(path, count):
    with Server("--store", path, *ACKED):
        pass
    assert len(messages(path)) >= count


def expect_spoiled(spoil, words="written over|cut", is_whole=False):
    """Somebody changes the database under the server. Nothing is acknowledged from then on, until the end of the server,
    and the next one refuses what is not whole. Returns its sentence."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_one_by_one(client, 1, 20)
        shutil.copyfile(path, path + ".old")
        with Server("--store", path, *BRIEFLY) as server, server.connect() as client:
            client.sendall(b"x" * 999 + b"\n")
            acks(client, 1, 1)
            shutil.copyfile(path, path + ".live")
            for seq in range(2, 3000, 200):  # so much that the log is moved when nothing more comes
                client.sendall((b"x" * 999 + b"\n") * 200)
                acks(client, seq, 200)
            wait_for(lambda: content_of(path) != content_of(path + ".live"), "the log to be moved")
            send_more = server.connect()
            with send_more:
                send_one_by_one(send_more, 1, 20)
                spoil(path)
                send_numbers(send_more, 21, 1)
                server.wait_stderr(r"error: .*its file has been (%s).*%s" % (words, STOPS))
                expect_no_ack(send_more)
                expect_no_ack(send_more)
                server.begin_stop()
                assert server.wait() == 1
        if is_whole:
            return expect_whole(path, 20 + 3001 + 20)
        error = refuse("--store", path, *ACKED, status=1)
        assert "Nothing was changed" in error or "not a database" in error, error
        assert check(path)[0] == 1
        return error


def test_old_copy_written_over_the_database():
    error = expect_spoiled(lambda path: shutil.copyfile(path + ".old", path))
    assert "belongs to another state of it" in error and LOST in error, error


def test_copy_of_a_store_in_use_written_over_it():
    error = expect_spoiled(lambda path: shutil.copyfile(path + ".live", path))
    assert "belongs to another state of it" in error, error


def test_other_store_written_over_the_database():
    def write_over(path):
        with a_store() as other:
            with Server("--store", other, *ACKED) as server, server.connect() as client:
                send_one_by_one(client, 1, 30)
            shutil.copyfile(other, path)

    error = expect_spoiled(write_over)
    assert "belongs to another state of it" in error, error


def test_database_that_is_cut():
    expect_spoiled(lambda path: os.truncate(path, 0), words="cut")
    expect_spoiled(lambda path: os.truncate(path, os.path.getsize(path) // 2), words="cut")


def test_own_content_written_over_the_database_loses_nothing():
    """It cannot be told from another while the server runs; the next one finds it whole."""
    def write_over(path):
        content = content_of(path)
        with open(path, "r+b") as file:
            file.write(content)

    expect_spoiled(write_over, is_whole=True)


# ---- What changes nothing is no reason to stop ----

def test_rights_and_readers_are_no_change():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 10)
            os.chmod(path, 0o640)
            os.chmod(path + "-wal", 0o640)
            assert "[(10,)]" in run_sqlite(path, "SELECT count(*) FROM message")
            assert check(path)[0] == 0
            shutil.copyfile(path, path + ".copy")
            send(client, 11, 10)
            send(client, 21, 10)
            assert "error" not in server.stderr.text(), server.stderr.text()
        expect_stored(path, 30)


def test_log_moved_by_another_is_no_damage():
    """As replicating tools do: a long read transaction, and checkpoints from outside."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client, \
                contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            send_one_by_one(client, 1, 10)
            for seq in range(11, 211, 10):
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM message").fetchall()
                run_sqlite(path, "PRAGMA wal_checkpoint(PASSIVE)")
                send_one_by_one(client, seq, 5)
                reader.execute("COMMIT")
                send_one_by_one(client, seq + 5, 5)
            assert not re.search("has been (cut|written over|deleted)", server.stderr.text()), server.stderr.text()
            server.kill()
        with Server("--store", path, *ACKED):
            pass
        expect_stored(path, 210)


# ---- One file without the other ----

def test_store_copied_without_its_log():
    """Also a young one, whose file has next to nothing in it yet."""
    for count in 1, 50, 3000:
        with a_store() as path, a_store() as copy:
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send(client, 1, count)
                shutil.copyfile(path, copy)
                server.kill()
            error = refuse("--store", copy, *ACKED, status=1)
            assert re.search("write-ahead log .* is missing.*" + LOST, error), error
            status, _, error = check(copy)
            assert status == 1 and "is missing" in error and LOST in error, error
            status, out, error = run_weir("log", "--store", copy)
            assert status == 1 and "is missing" in error, (status, out, error)
            run_sqlite(copy, "SELECT 1")  # which makes an empty log
            refuse("--store", copy, *ACKED, status=1)
            assert newest(path) == count
            with Server("--store", path, *ACKED):  # with its log it is whole
                pass
            assert check(copy, "--accept-loss")[0] == 0
            with Server("--store", copy, *ACKED) as server, server.connect() as client:
                send(client, 1, 1)


def test_store_copied_after_its_log_was_moved_and_more_came():
    with a_store() as path, a_store() as copy:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 100)
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 1)
            shutil.copyfile(path, copy)
        refuse("--store", copy, *ACKED, status=1)
        assert check(path)[0] == 0


def test_whatever_moves_the_log_leaves_a_whole_store():
    """kill -9, and then any program that opens the store recovers the log, moves it and deletes it."""
    for count in 1, 50, 3000:
        with a_store() as path:
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send(client, 1, count)
                server.kill()
            assert str(count) in run_sqlite(path, "SELECT count(*) FROM message")
            assert not os.path.exists(path + "-wal")
            assert check(path)[0] == 0
            with Server("--store", path, *ACKED):
                pass
            assert newest(path) == count


def test_log_moved_in_parts_leaves_a_whole_store():
    """A reader held it meanwhile: what is in the database by then was marked more than once."""
    line = b"x" * 1023 + b"\n"
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            for first in range(1, 12000, 2000):
                with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
                    reader.execute("BEGIN")
                    reader.execute("SELECT count(*) FROM message").fetchall()
                    client.sendall(line * 2000)
                    acks(client, first, 2000)
            server.kill()
        shutil.copyfile(path, path + ".copy")
        shutil.copyfile(path + "-wal", path + ".copy-wal")
        with Server("--store", path + ".copy", *ACKED):
            pass
        assert "12000" in run_sqlite(path, "SELECT count(*) FROM message")
        with Server("--store", path, *ACKED):
            pass
        assert len(messages(path)) == 12000


def test_store_restored_beside_a_newer_log():
    """An old database put back after a kill, with the log of the newer one still there."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 10)
        shutil.copyfile(path, path + ".old")
        for _ in range(2):
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send(client, 1, 10)
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send(client, 1, 10)
            server.kill()
        shutil.copyfile(path + ".old", path)
        before = content_of(path), content_of(path + "-wal")
        error = refuse("--store", path, *ACKED, status=1)
        assert re.search("belongs to another state of it.*" + LOST, error), error
        assert (content_of(path), content_of(path + "-wal")) == before
        status, out, error = check(path, "--accept-loss")
        assert status == 0 and "copied to" in out, (out, error)
        with Server("--store", path, *ACKED) as server:
            pass
        assert newest(path) == 10
