# SPDX-License-Identifier: BSD-3-Clause
"""What is opened as a store, and what is refused before anything is made beside it."""
import contextlib
import fcntl
import os
import re
import signal
import sqlite3
import subprocess
import tempfile

from harness import Server, run_weir, skip, weir
from test_store import ACKED, a_store, a_store_on_a_disk_of, acks, content_of, flip_bit, refuse
from test_store_faults import expect_stored, send_numbers


def fill(path, count=10, kill=False):
    with Server("--store", path, *ACKED) as server, server.connect() as client:
        send_numbers(client, 1, count)
        acks(client, 1, count)
        if kill:
            server.kill()


def names_beside(path):
    return sorted(os.listdir(os.path.dirname(path)))


# ---- More than one name ----

def test_file_with_two_names_is_refused():
    """Each name would have a log of its own, and what one of them holds would be lost to the other."""
    with a_store() as path:
        fill(path)
        os.link(path, path + ".other")
        before = names_beside(path)
        for name in path, path + ".other":
            error = refuse("--store", name, status=1)
            assert name in error and "2 names" in error and "find" in error and "-samefile" in error, error
            for options in (), ("--accept-loss",):
                status, _, error = run_weir("check", "--store", name, *options)
                assert status == 1 and name in error and "2 names" in error, error
        assert names_beside(path) == before
        os.remove(path + ".other")
        with Server("--store", path, *ACKED):
            pass
        expect_stored(path, 10)


def test_second_name_made_while_it_runs_does_not_open_it_again():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            os.link(path, path + ".other")
            assert "2 names" in refuse("--store", path + ".other", status=1)
            send_numbers(client, 11, 10)
            acks(client, 11, 10)
        os.remove(path + ".other")
        expect_stored(path, 20)


# ---- A link ----

def test_names_of_files_beside_a_store_are_refused():
    with a_store() as path:
        for end in "-wal", "-shm", "-journal", ".lock", ".reserve":
            error = refuse("--store", path + end, *ACKED, status=1)
            assert "belong to the store beside them; name another" in error, error
        assert names_beside(path) == [], names_beside(path)


def test_link_leads_to_the_one_store_behind_it():
    """SQLite follows it, and so do the lock, the log's walk and the reserve."""
    with a_store() as path:
        link = os.path.join(os.path.dirname(path), "link.db")
        fill(path)
        os.symlink(os.path.basename(path), link)
        with Server("--store", link, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            for name in path, link:
                assert "in use by process %d" % server.pid in refuse("--store", name, status=1)
            status, out, error = run_weir("check", "--store", link)
            assert status == 0 and "in use" in out and "messages  20\n" in out, (out, error)
            server.kill()
        status, out, error = run_weir("check", "--store", link)
        assert status == 0 and "messages  20\n" in out, (out, error)
        assert not [name for name in names_beside(path) if name.startswith("link.db") and name != "link.db"]


def test_damage_is_found_behind_a_link():
    with a_store() as path:
        link = os.path.join(os.path.dirname(path), "link.db")
        fill(path, kill=True)
        os.symlink(path, link)
        flip_bit(path + "-wal", os.path.getsize(path + "-wal") // 2)
        assert "its log is damaged" in refuse("--store", link, status=1)
        status, _, error = run_weir("check", "--store", link)
        assert status == 1 and "its log is damaged" in error, error


def test_link_that_leads_nowhere_is_refused():
    with a_store() as path:
        os.symlink(path + ".gone", path)
        error = refuse("--store", path, status=1)
        assert path in error and "a link" in error, error
        status, _, error = run_weir("check", "--store", path)
        assert status == 1 and path in error and "a link" in error, error
        assert names_beside(path) == [os.path.basename(path)]


# ---- What is no store ----

def test_what_is_no_store_is_refused_and_nothing_is_left_beside_it():
    with a_store() as path:
        folder = os.path.dirname(path)
        os.mkdir(os.path.join(folder, "folder"))
        os.mkfifo(os.path.join(folder, "pipe"))
        for name, content in ("some.py", b"print()\n"), ("short", b"SQLite"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        before = names_beside(path)
        for name, words in (("folder", "a folder"), ("pipe", "not a regular file"), ("some.py", "not a database"),
                            ("short", "not a database")):
            name = os.path.join(folder, name)
            error = refuse("--store", name, status=1)
            assert name in error and words in error, error
            for options in (), ("--accept-loss",):
                status, _, error = run_weir("check", "--store", name, *options)
                assert status == 1 and name in error and words in error, error
            assert names_beside(path) == before
        assert "not a regular file" in refuse("--store", "/dev/null", status=1)
        assert not os.path.exists("/dev/null.lock")


def test_other_programs_database_has_no_reserve():
    with a_store() as path:
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE bookmark (address TEXT)")
        assert path in refuse("--store", path, status=1)
        assert not os.path.exists(path + ".reserve")


def test_empty_file_becomes_a_store():
    with a_store() as path:
        open(path, "w", encoding="ascii").close()
        fill(path)
        expect_stored(path, 10)


def test_beginning_that_the_log_has_as_well_is_no_reason_to_refuse():
    """A page that is in the log is read from there, whatever the database has in its place."""
    with a_store() as path:
        fill(path, kill=True)
        assert os.path.getsize(path + "-wal") > 0
        with open(path, "r+b") as file:
            file.write(bytes(16))
        with Server("--store", path, *ACKED):
            pass
        expect_stored(path, 10)


# ---- A look that changes nothing ----

NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


def give_away(path):
    """The store and its folder become somebody else's, who has no lock there yet."""
    if os.geteuid() != 0:
        skip("only root can have a file that is somebody else's")
    folder = os.path.dirname(path)
    os.chmod(folder, 0o755)
    for name in os.listdir(folder):
        os.chown(os.path.join(folder, name), NOBODY, NOBODY)
    os.chown(folder, NOBODY, NOBODY)
    os.remove(path + ".lock")


def owners_beside(path):
    return {name: os.stat(os.path.join(os.path.dirname(path), name)).st_uid for name in names_beside(path)}


def test_check_makes_no_lock():
    with a_store() as path:
        fill(path)
        os.remove(path + ".lock")
        status, out, error = run_weir("check", "--store", path)
        assert status == 0 and "messages  10\n" in out, (out, error)
        assert not os.path.exists(path + ".lock")


def test_check_leaves_the_lock_as_it_is():
    with a_store() as path:
        fill(path)
        before = content_of(path + ".lock"), os.stat(path + ".lock").st_mtime_ns
        assert run_weir("check", "--store", path)[0] == 0
        assert (content_of(path + ".lock"), os.stat(path + ".lock").st_mtime_ns) == before


def test_check_as_root_takes_nothing_from_the_owner():
    with a_store() as path:
        fill(path)
        give_away(path)
        for options in (), ("--accept-loss",):
            status, _, error = run_weir("check", "--store", path, *options)
            assert status == 0, error
            assert set(owners_beside(path).values()) == {NOBODY}, owners_beside(path)
        with Server("--store", path, *ACKED, wrap=AS_NOBODY):
            pass


def test_what_accept_loss_makes_is_the_owners():
    with a_store() as path:
        fill(path, kill=True)
        give_away(path)
        flip_bit(path + "-wal", os.path.getsize(path + "-wal") // 2)
        status, out, error = run_weir("check", "--store", path, "--accept-loss")
        assert status == 0 and "copied to" in out, (out, error)
        assert set(owners_beside(path).values()) == {NOBODY}, owners_beside(path)
        with Server("--store", path, *ACKED, wrap=AS_NOBODY):
            pass


def test_a_lock_that_only_a_look_has_names_nobody_who_is_gone():
    with a_store() as path:
        fill(path)
        with open(path + ".lock", "r", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            assert "in use by another process" in refuse("--store", path, status=1)


# ---- Where nothing may be written ----

def read_as(wrap, path):
    """What weir log prints of it, and weir check: (status, output, error) of each."""
    return [run_weir(*words, "--store", path, wrap=wrap) for words in (["log", "--format", "json"], ["check"])]


def expect_readable(path, wrap=()):
    before = names_beside(path)
    for (status, out, error), words in zip(read_as(wrap, path), ("message 10\"", "messages  10\n")):
        assert status == 0 and words in out, (out, error)
    assert names_beside(path) == before


def expect_advice(path, wrap=()):
    for status, _, error in read_as(wrap, path):
        assert status == 1 and re.search("its log .*copy .*%s and .*-wal" % re.escape(path), error), error


def test_closed_store_is_read_on_a_file_system_that_is_read_only():
    with a_store_on_a_disk_of("16m") as path:
        folder = os.path.dirname(path)
        fill(path)
        subprocess.run(["mount", "-o", "remount,ro", folder], stdin=subprocess.DEVNULL, check=True)
        expect_readable(path)
        subprocess.run(["mount", "-o", "remount,rw", folder], stdin=subprocess.DEVNULL, check=True)
        os.rename(path, os.path.join(folder, "50% of it?.db"))
        subprocess.run(["mount", "-o", "remount,ro", folder], stdin=subprocess.DEVNULL, check=True)
        expect_readable(os.path.join(folder, "50% of it?.db"))


def test_closed_store_is_verified_on_a_file_system_that_is_read_only():
    with a_store_on_a_disk_of("16m") as path, a_store() as other:
        ledger = other + ".ledger"
        with Server("--store", path, *ACKED) as server:
            status, out, error = run_weir("verify", "--ledger", ledger, "-n", "10", str(server.port))
            assert status == 0, (out, error)
        subprocess.run(["mount", "-o", "remount,ro", os.path.dirname(path)], stdin=subprocess.DEVNULL, check=True)
        status, out, error = run_weir("verify", "--check", "--store", path, "--ledger", ledger)
        assert status == 0, (out, error)


def test_log_of_a_kill_cannot_be_read_there_and_a_sentence_says_what_to_do():
    with a_store_on_a_disk_of("16m") as path:
        fill(path, kill=True)
        os.remove(path + "-shm")
        subprocess.run(["mount", "-o", "remount,ro", os.path.dirname(path)], stdin=subprocess.DEVNULL, check=True)
        expect_advice(path)


def test_closed_store_is_read_in_a_folder_without_write_permission():
    with a_store() as path:
        fill(path)
        give_away(path)
        os.chmod(os.path.dirname(path), 0o555)
        expect_readable(path, wrap=AS_NOBODY)
        os.chmod(os.path.dirname(path), 0o755)


def test_log_without_write_permission():
    with a_store() as path:
        fill(path, kill=True)
        os.remove(path + "-shm")
        give_away(path)
        os.chmod(os.path.dirname(path), 0o555)
        expect_advice(path, wrap=AS_NOBODY)
        os.chmod(os.path.dirname(path), 0o755)


def test_follower_goes_on_when_the_owner_begins_to_write():
    with a_store() as path:
        fill(path)
        give_away(path)
        os.chmod(os.path.dirname(path), 0o555)
        with weir("log", "--store", path, "--follow", "--format", "json", wrap=AS_NOBODY) as shown:
            shown.wait_events("message", 10)
            with Server("--store", path, *ACKED) as server, server.connect() as client:  # root may
                send_numbers(client, 11, 10)
                acks(client, 1, 10)
                shown.wait_events("message", 20)
            assert shown.stop(signal.SIGINT) == 0
        os.chmod(os.path.dirname(path), 0o755)


# ---- Named by its port ----

def test_check_and_verify_take_the_port_for_the_store_of_that_name():
    with tempfile.TemporaryDirectory(prefix="weir-home-") as home:
        where = {"env": {"STATE_DIRECTORY": home}}
        path, ledger = os.path.join(home, "8000.db"), os.path.join(home, "ledger")
        with Server("--store", path, *ACKED) as server:
            status, out, error = run_weir("verify", "--ledger", ledger, "-n", "10", str(server.port))
            assert status == 0, (out, error)
        status, out, error = run_weir("check", "--store", "8000", **where)
        assert status == 0 and "messages  10\n" in out, (out, error)
        status, out, error = run_weir("verify", "--check", "--store", "8000", "--ledger", ledger, **where)
        assert status == 0, (out, error)
        status, _, error = run_weir("check", "--store", "8001", **where)
        assert status == 1 and os.path.join(home, "8001.db") in error, error
