# SPDX-License-Identifier: BSD-3-Clause
"""The clock is set, ahead and back, while messages come and between two runs: whatever time is asked for, all messages of
that time are shown and no other, and `second` has a row for each second."""
import contextlib
import datetime
import json
import os
import shutil
import sqlite3

from harness import FLAVOUR, ROOT, Server, recv_until, run_weir, skip
from test_log import a_store
from test_store_faults import faketime_library, set_clock

ACKED = ["--frame", "line", "--ack", "{id}"]
VERSION_1 = os.path.join(ROOT, "tests", "app", "stores", "version1.db")
TODAY = datetime.datetime(2025, 11, 23, 10, tzinfo=datetime.timezone.utc)
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86400
WRONG = int((datetime.datetime(2036, 1, 1, tzinfo=datetime.timezone.utc) - TODAY).total_seconds())
BOOT = -int(TODAY.timestamp())  # 1970-01-01T00:00:00


@contextlib.contextmanager
def a_clock(path):
    """Sets the clock of servers, to so many seconds from TODAY, where it stays; .env is for them."""
    if FLAVOUR != "release":
        skip("a sanitizer's library must be the first, and so must that of faketime")
    if shutil.which("faketime") is None:
        skip("faketime is not installed: apt-get install faketime")
    stamp = path + ".time"

    def set_to(seconds):
        set_clock(stamp, (TODAY + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S"))

    set_to(0)
    set_to.env = {"FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                  "LD_PRELOAD": faketime_library(), "TZ": "UTC"}
    yield set_to


def send(client, *lines):
    for line in lines:
        client.sendall(line.encode() + b"\n")
        recv_until(client, b"\n")


def at(seconds):
    return (TODAY + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def log(path, *options):
    """Texts, and what was said besides."""
    done, output, error = run_weir("log", "--store", path, "--format", "json", *options)
    assert done == 0, (done, output, error)
    return [json.loads(line)["text"] for line in output.splitlines()], error


def window(path, since, until, *options):
    return log(path, *(["--since", at(since)] if since is not None else []), *(["--until", at(until)] if until is not None else []),
               *options)


def rows(path, sql):
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as db:
        return db.execute(sql).fetchall()


def times(path):
    return [(time // 1000000 - int(TODAY.timestamp()), text.decode("latin-1"))
            for time, text in rows(path, "SELECT time, bytes FROM message WHERE direction = 0 ORDER BY id")]


def expect_seconds(path):
    """A row for each second that has a message, with its first one."""
    assert rows(path, "SELECT time, first_message FROM second ORDER BY time") == \
        rows(path, "SELECT time / 1000000, min(id) FROM message GROUP BY 1 ORDER BY 1")


def expect_windows(path, *options, most=15):
    """Whatever window is asked for, what is shown is what has such times. Bounds: about each time there is."""
    stored = times(path)
    bounds = sorted({time + by for time, _ in stored for by in (-MINUTE, 0, 1)})
    bounds = [None] + bounds[::max(1, len(bounds) // most)] + [bounds[-1], None]
    for i, since in enumerate(bounds):
        for until in bounds[i + 1::3] + [None]:
            expected = [text for time, text in stored if (since is None or time >= since) and (until is None or time < until)]
            assert window(path, since, until, *options)[0] == expected, (since, until, expected)


def test_a_wrong_clock_hides_no_message():
    """The findings' table, and each other window."""
    with a_store() as path, a_clock(path) as clock:
        with Server("--store", path, *ACKED, env=clock.env) as server, server.connect() as client:
            send(client, "now-1")
            clock(-DAY)
            send(client, "back-1", "back-2")
            clock(2 * MINUTE)
            send(client, "now-2")
            clock(30 * DAY)
            send(client, "ahead-1")
            clock(3 * MINUTE)
            send(client, "now-3", "now-4")
            for _ in range(2):  # with the server, and without
                now = ["now-1", "now-2", "now-3", "now-4"]
                texts, said = window(path, -5 * MINUTE, 5 * MINUTE)
                assert texts == now, texts
                assert "the clock was set back 2 times" in said and said.count("\n") == 1, said
                assert "from 2025-12-23T10:00:00Z to 2025-11-23T10:03:00Z before message 6;" in said, said
                texts, said = window(path, -DAY - 5 * MINUTE, -DAY + 5 * MINUTE)
                assert texts == ["back-1", "back-2"] and "set back 1 time " in said, (texts, said)
                assert window(path, -5 * MINUTE, 5 * MINUTE, "-n", "3")[0] == now[1:]
                assert window(path, -5 * MINUTE, 5 * MINUTE, "--client", "1")[0] == now
                assert window(path, -5 * MINUTE, 5 * MINUTE, "--client", "1", "-n", "3")[0] == now[1:]
                assert window(path, -5 * MINUTE, 5 * MINUTE, "--after", "2")[0] == now[1:]
                assert log(path, "-n", "2") == (["now-3", "now-4"], "")
                assert window(path, 40 * DAY, None) == window(path, None, -2 * DAY) == ([], "")
                expect_windows(path)
                expect_windows(path, "--client", "127.0.0.1", most=6)
                expect_seconds(path)
                if server.process.poll() is None:
                    server.stop()
        assert rows(path, "SELECT first_message, datetime(before, 'unixepoch'), datetime(after, 'unixepoch') FROM step") == [
            (2, "2025-11-23 10:00:00", "2025-11-22 10:00:00"), (6, "2025-12-23 10:00:00", "2025-11-23 10:03:00")]


def test_one_message_of_2036_hides_no_later_day():
    with a_store() as path, a_clock(path) as clock:
        with Server("--store", path, *ACKED, env=clock.env) as server, server.connect() as client:
            send(client, "now-1", "now-2")
            clock(WRONG)
            send(client, "2036")
            for day in range(4):
                clock(day * DAY + HOUR)
                send(client, "day-%d" % day)
            texts, said = window(path, DAY, 2 * DAY)
            assert texts == ["day-1"] and "set back" in said, (texts, said)
            assert window(path, DAY, 2 * DAY, "--client", "1")[0] == ["day-1"]
            assert window(path, None, 3 * DAY)[0] == ["now-1", "now-2", "day-0", "day-1", "day-2"]
            expect_windows(path)
            expect_seconds(path)


def test_each_boot_begins_in_1970():
    """A board without a battery, in several runs, of which some begin in the same second; killed and stopped."""
    with a_store() as path, a_clock(path) as clock:
        for boot in range(5):
            clock(BOOT + boot % 2)
            with Server("--store", path, *ACKED, env=clock.env) as server, server.connect() as client:
                send(client, "%d early" % boot)
                clock(BOOT + 5)
                send(client, "%d later" % boot)
                clock(boot * HOUR)
                send(client, "%d right" % boot)
                (server.kill if boot % 2 else server.stop)()
        texts, said = window(path, BOOT, BOOT + MINUTE)
        assert texts == ["%d %s" % (boot, word) for boot in range(5) for word in ("early", "later")], texts
        assert "set back 4 times" in said, said
        assert window(path, HOUR, 3 * HOUR)[0] == ["1 right", "2 right"]
        expect_windows(path)
        with Server("--store", path, *ACKED, env=clock.env) as server:  # the log goes to the database
            server.stop()
        expect_seconds(path)
        assert len(rows(path, "SELECT * FROM step")) == 4


def test_steps_of_all_lengths_and_two_workers():
    """Back and ahead, by what is taken for workers that are apart, by a second more and less, and by years."""
    with a_store() as path, a_clock(path) as clock:
        with Server("--store", path, *ACKED, "--workers", "2", env=clock.env) as server:
            with server.connect() as one, server.connect() as two:
                now = 0
                for number, step in enumerate([0, -9, 9, -10, 10, -11, 11, -1, 1, -2, 30, -25, 3600, -3600, 3600, -7, 5, -12,
                                               365 * DAY, -365 * DAY, 20, 20, -40, 1, 1, -30 * DAY, 30 * DAY]):
                    now += step
                    clock(now)
                    send(one, "%d a" % number)
                    send(two, "%d b" % number)
            expect_windows(path)
            expect_seconds(path)
            server.stop()
        expect_seconds(path)


def test_a_clock_that_is_set_while_the_server_is_down():
    with a_store() as path, a_clock(path) as clock:
        for number, now in enumerate((0, -HOUR, 5, -10, -40 * MINUTE, 2 * HOUR, 2 * HOUR - 11, WRONG, 3 * HOUR)):
            clock(now)
            with Server("--store", path, *ACKED, env=clock.env) as server, server.connect() as client:
                send(client, str(number))
                (server.kill if number % 3 == 1 else server.stop)()
        expect_windows(path)
        assert [row[0] for row in rows(path, "SELECT first_message FROM step")] == [2, 4, 5, 7, 9], \
            rows(path, "SELECT * FROM step")


def test_nothing_is_said_where_the_clock_was_right():
    with a_store() as path, a_clock(path) as clock:
        with Server("--store", path, *ACKED, env=clock.env) as server, server.connect() as client:
            for day in range(3):
                clock(day * DAY)
                send(client, "day-%d" % day)
            clock(2 * DAY - HOUR)
            send(client, "back")
            clock(10 * DAY)
            send(client, "day-10")
            assert window(path, -HOUR, DAY) == (["day-0"], "")
            assert window(path, 9 * DAY, None) == (["day-10"], "")
            assert log(path)[1] == ""
            texts, said = window(path, 2 * DAY - MINUTE, None)
            assert texts == ["day-2", "day-10"] and "set back 1 time " in said, (texts, said)


def test_what_goes_takes_its_seconds_and_steps_with_it():
    """Retention for size, with each second's row right while it goes on: the clock goes back and forth all the time."""
    with a_store() as path, a_clock(path) as clock:
        with Server("--store", path, *ACKED, "--keep-bytes", "1MiB", "--keep-free", "off", env=clock.env) as server, \
                server.connect() as client:
            filler = "x" * 3000
            for round_ in range(120):
                for number, now in enumerate((round_ * MINUTE, BOOT + round_ % 3, round_ * MINUTE + 30, WRONG, WRONG + 1)):
                    clock(now)
                    send(client, "%d-%d %s" % (round_, number, filler))
            assert rows(path, "SELECT min(id) FROM message")[0][0] > 200
            expect_windows(path, most=12)
            server.stop()
        left = rows(path, "SELECT time / 1000000 FROM message GROUP BY 1")
        seconds = dict(rows(path, "SELECT time, first_message FROM second"))
        assert not [time for time, in left if time not in seconds], "a second has no row"
        assert len(seconds) <= len(left) + 40, (len(seconds), len(left))
        oldest = rows(path, "SELECT min(id) FROM message")[0][0]
        assert rows(path, "SELECT count(*) FROM step WHERE first_message < %d" % oldest) == [(0,)]


def copy_version_1(path):
    shutil.copyfile(VERSION_1, path)
    os.chmod(path, 0o600)


def version_1_rows(path):
    """What it has stored: of a connection, all but the end that a kill has left to the next start."""
    return rows(path, "SELECT * FROM message WHERE id <= 30 ORDER BY id"), \
        rows(path, "SELECT id, client, previous_connection, listener, frame, peer, opened, last_message FROM connection"
                   " WHERE id <= 1001")


def test_a_store_of_version_1_is_read_as_it_is():
    """With a wrong clock inside, whose steps nobody noted; and not written to."""
    with a_store() as path:
        copy_version_1(path)
        with open(path, "rb") as file:
            before = file.read()
        texts, said = window(path, -5 * MINUTE, 5 * MINUTE, "--client", "2")
        assert "stored by an older weir" in said and "up to 30 " in said, said
        assert [text for text in texts if not text.startswith("OK")] == ["two now-2", "two now-3", "without its end"], texts
        texts, _ = window(path, -DAY - HOUR, -DAY + HOUR)
        assert [text for text in texts if not text.startswith("OK")] == ["back-1", "two back-1", "back-2"], texts
        assert [text for text in window(path, MINUTE, WRONG)[0] if "now" in text] == [
            "now-2", "two now-2", "now-3", "two now-3", "now-4"]
        with open(path, "rb") as file:
            assert file.read() == before


def test_a_store_of_version_1_goes_on():
    with a_store() as path, a_clock(path) as clock:
        copy_version_1(path)
        before = version_1_rows(path)
        clock(2 * HOUR)
        with Server("--store", path, *ACKED, env=clock.env) as server, server.connect() as client:
            send(client, "new-1")
            clock(MINUTE)
            send(client, "new-2")
            clock(3 * HOUR)
            send(client, "new-3")
            for _ in range(2):
                assert version_1_rows(path) == before
                texts, said = window(path, 1, 5 * MINUTE)
                assert [text for text in texts if not text.startswith("OK")][-2:] == ["now-4", "new-2"], texts
                assert "older weir" in said and "set back 1 time " in said, said
                assert window(path, WRONG + 1, None) == ([], "")
                texts, said = window(path, 2 * HOUR, 4 * HOUR)
                assert texts == ["new-1", "new-3"], texts
                if server.process.poll() is None:
                    server.stop()
        assert rows(path, "SELECT first_message, after FROM step") == [(31, None), (32, int(TODAY.timestamp()) + MINUTE)]
