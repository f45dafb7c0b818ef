# SPDX-License-Identifier: BSD-3-Clause
"""What is opened as a store, and what is refused before anything is made beside it."""
import os

from harness import Server, run_weir
from test_store import ACKED, a_store, acks, flip_bit, refuse
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
