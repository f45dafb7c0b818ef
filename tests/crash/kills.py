#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The kill loop: the server is killed at random instants while weir verify sends to it, and started again on the same
store; whatever it has acknowledged must be there.

usage: kills.py [KILLS] [--seed N] [--keep]

A few kills are a round: one weir verify with its own framing, size and rate, and servers with one worker or two. Some
kills come while the server still starts. After each round weir verify --check compares the ledger with the store, with
the server running on it. Rounds go on with the same store and ledger, so that a server finds what the one before has
left: a log to recover, a database half moved to. After CHAPTER kills the store is looked at as a whole, the check is
itself checked, by a row that is taken away, and a new store begins.

Prints TAP, a test for each chapter, and on standard error how it goes, when that is a terminal. The seed is printed: the
same seed makes the same choices, but not the same instants. --keep leaves the folder of a chapter that failed. The
environment is that of ../flow/harness.py.
"""
import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "flow"))
# pylint: disable=wrong-import-position
from harness import DEADLINE, WEIR, Process, Server, lasting_port, run_weir, weir  # noqa: E402

ROUND = 10  # kills with one weir verify
CHAPTER = 50  # kills with one store
KILL_AFTER = (0.03, 0.35)  # seconds after it listens: the first are before all clients are back
KILL_STARTING_AFTER = (0.0, 0.03)  # seconds after it was started
STARTING_SHARE = 0.15  # of the kills
FOR_EVER = 10 ** 12

# What the server is told, and what verify is.
FRAMINGS = [
    (["--frame", "line"], []),
    (["--frame", "line"], ["--size", "1000"]),
    (["--frame", "length:u16be"], ["--frame", "length:u16be"]),
    (["--frame", "fixed:96,pad=\\x20"], ["--frame", "fixed:96"]),
    (["--frame", "netstring"], ["--frame", "netstring", "--size", "40"]),
]
RATES = ["off", "20000", "2000"]  # the disk is always busy; sometimes; hardly


def say(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


class Totals:
    """What all of it came to."""

    def __init__(self):
        self.kills = 0
        self.acknowledged = 0
        self.sent_again = 0
        self.lost = 0
        self.slowest_start = 0.0
        self.most_log_bytes = 0


class Chapter:
    """One store, one ledger, one port."""

    def __init__(self, folder, choice, totals):
        self.folder = folder
        self.choice = choice
        self.totals = totals
        self.store = os.path.join(folder, "s.db")
        self.ledger = os.path.join(folder, "ledger")
        self.port = lasting_port(choice)

    def options(self, framing):
        return ["--listen", "127.0.0.1:%d" % self.port, "--store", self.store, "--ack", "{seq}",
                "--workers", str(self.choice.choice([1, 2])), "--keep-bytes", "off", "--keep-free", "off"] + framing

    def kill_one(self, framing, sender):
        """Starts a server, and kills it."""
        if os.path.exists(self.store + "-wal"):
            self.totals.most_log_bytes = max(self.totals.most_log_bytes, os.path.getsize(self.store + "-wal"))
        if sender is not None and self.choice.random() < STARTING_SHARE:
            with Process([WEIR, "serve"] + self.options(framing)) as server:
                time.sleep(self.choice.uniform(*KILL_STARTING_AFTER))
                server.kill()
        else:
            start = time.monotonic()
            with Server(*self.options(framing)) as server:
                self.totals.slowest_start = max(self.totals.slowest_start, time.monotonic() - start)
                time.sleep(self.choice.uniform(*KILL_AFTER))
                server.kill()
        self.totals.kills += 1
        assert sender is None or sender.process.poll() is None, \
            "weir verify has ended:\n" + sender.stdout.text() + sender.stderr.text()

    def check(self, status=0):
        got, output, error = run_weir("verify", "--check", "--ledger", self.ledger, "--store", self.store,
                                      deadline=6 * DEADLINE)
        assert got == status, "verify --check ended with %d:\n%s%s" % (got, output, error)
        return output

    def run_round(self, kills, on_kill):
        framing, sending = self.choice.choice(FRAMINGS)
        rate = self.choice.choice(RATES)
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(Server(*self.options(framing)))
            sender = stack.enter_context(weir("verify", "--messages", FOR_EVER, "--rate", rate, *sending,
                                              "--ledger", self.ledger, str(self.port)))
            time.sleep(self.choice.uniform(*KILL_AFTER))
            server.kill()
            self.totals.kills += 1
            on_kill()
            for _ in range(kills - 1):
                self.kill_one(framing, sender)
                on_kill()
            with Server(*self.options(framing)):
                self.end_round(sender)
                self.check()

    def end_round(self, sender):
        """Lets it have its last acknowledgements, and adds up what it tells."""
        time.sleep(self.choice.uniform(*KILL_AFTER))
        status = sender.stop(signal.SIGINT)
        output = sender.stdout.text()
        assert status == 0, "weir verify ended with %d:\n%s%s" % (status, output, sender.stderr.text())
        self.totals.acknowledged += int(re.search(r"acknowledged +([\d,]+)", output)[1].replace(",", ""))
        self.totals.sent_again += int(re.search(r"(\d+) of them again", output)[1])
        self.totals.lost += int(re.search(r"(\d+) lost", output)[1])

    def look_at_the_whole(self):
        """With the server gone: the database is whole, and no number was given to two connections."""
        with contextlib.closing(sqlite3.connect(self.store)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            seen = {}
            for connection, seq in db.execute("SELECT connection, seq FROM message WHERE direction = 0 ORDER BY id"):
                assert seq == seen.get(connection, 0) + 1, "message %d of connection %d is behind %d" % \
                    (seq, connection, seen.get(connection, 0))
                seen[connection] = seq
            assert not db.execute("SELECT DISTINCT connection FROM message EXCEPT SELECT id FROM connection").fetchall()

    def check_the_check(self):
        """It finds a loss: a message that was acknowledged is taken away."""
        run, connection, number = sent_once_and_acknowledged(self.ledger)
        begin = "%s %d %d " % (run, connection, number)
        with contextlib.closing(sqlite3.connect(self.store)) as db:
            done = db.execute("DELETE FROM message WHERE substr(bytes, 1, ?) = CAST(? AS BLOB)", (len(begin), begin))
            assert done.rowcount == 1, begin
            db.commit()
        output = self.check(7)
        assert "missing: message %d of connection %d of run %s\n" % (number, connection, run) in output, output
        assert "missing 1, altered 0, out of order 0, too often 0" in output, output


def sent_once_and_acknowledged(ledger):
    """(run, connection, number) of a message that is in the store once, as its ledger has it."""
    with open(ledger, encoding="ascii") as file:
        for line in file:
            word, *rest = line.split()
            if word == "run":
                run, sent = rest[0], {}
                continue
            connection = int(rest[0])
            first, last = map(int, rest[1].split("-"))
            times = sent.setdefault(connection, {})
            for number in range(first, last + 1):
                if word == "sent":
                    times[number] = times.get(number, 0) + 1
                elif times[number] == 1:
                    return run, connection, number
    raise AssertionError("nothing was acknowledged")


def run_chapter(kills, folder, choice, totals, on_kill):
    chapter = Chapter(folder, choice, totals)
    left = kills
    while left > 0:
        chapter.run_round(min(ROUND, left), on_kill)
        left -= ROUND
    with Server(*chapter.options(["--frame", "line"])):  # and an orderly end
        pass
    chapter.check()
    chapter.look_at_the_whole()
    chapter.check_the_check()


def try_chapter(kills, choice, totals, keep, on_kill):
    """Returns whether all was well."""
    folder = tempfile.mkdtemp(prefix="weir-crash-")
    is_kept = False
    try:
        run_chapter(kills, folder, choice, totals, on_kill)
        return True
    except Exception:  # pylint: disable=broad-except
        say("")
        print("".join("# %s\n" % line for line in traceback.format_exc().splitlines()), end="")
        is_kept = keep
        if keep:
            print("# the store and the ledger are in " + folder)
        return False
    finally:  # also at Ctrl-C
        if not is_kept:
            shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description="the kill loop")
    parser.add_argument("kills", type=int, nargs="?", default=CHAPTER)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10 ** 9))
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    choice = random.Random(arguments.seed)
    totals = Totals()
    chapters = [min(CHAPTER, arguments.kills - done) for done in range(0, arguments.kills, CHAPTER)]
    begin = time.monotonic()
    failed = 0

    def on_kill():
        say("%d of %d kills, %d s" % (totals.kills, arguments.kills, time.monotonic() - begin))

    print("1..%d" % len(chapters))
    print("# seed %d" % arguments.seed)
    for number, kills in enumerate(chapters, 1):
        is_well = try_chapter(kills, choice, totals, arguments.keep, on_kill)
        failed += not is_well
        say("")
        print("%s %d - %d kills, all that was acknowledged is there" % ("ok" if is_well else "not ok", number, kills),
              flush=True)
    print("# %d kills in %.1f s: %d messages acknowledged, %d sent again, %d connections lost; slowest start %.2f s, "
          "longest log found at one %.1f MiB" %
          (totals.kills, time.monotonic() - begin, totals.acknowledged, totals.sent_again, totals.lost,
           totals.slowest_start, totals.most_log_bytes / 2 ** 20))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
