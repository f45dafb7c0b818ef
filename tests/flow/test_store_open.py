# SPDX-License-Identifier: BSD-3-Clause
"""What is opened as a store, and what is refused before anything is made beside it."""
import os

from harness import Server, run_weir
from test_store import ACKED, a_store, acks, refuse
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
