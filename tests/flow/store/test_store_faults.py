# SPDX-License-Identifier: BSD-3-Clause
"""What fails beneath the store, or is done to it from outside while the server runs: nothing is acknowledged that is not
stored, a sentence says why, and it goes on by itself once that is safe."""
import contextlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

from harness import DEADLINE, FLAVOUR, PATIENCE, WEIR, Process, Server, recv_all, recv_exactly, recv_until, run_weir, \
    skip, wait_for
from test_store import ACKED, a_store, a_store_on_a_disk_of, acks, content_of, flip_bit, messages, read_to_the_end, refuse, rows

STOPS = "nothing is read or acknowledged"
FOR_EVER = 1000  # seconds that a call is held up: until the end of the injection lets it go


def expect_no_ack(client):
    """Nothing comes; to wait longer would prove more, and not much."""
    assert not select.select([client], [], [], 0.3)[0], "acknowledged: %r" % client.recv(1000)


def send_numbers(client, first, count):
    client.sendall(b"".join(b"message %d\n" % seq for seq in range(first, first + count)))


def expect_stored(path, count):
    """So many messages of one connection, each once and in order."""
    stored = [row[1:] for row in messages(path)]
    assert stored == [(seq, b"message %d" % seq) for seq in range(1, count + 1)], (len(stored), stored[-3:])


def open_files(server):
    """Their names, as far as they are still open when we come to them."""
    names = []
    for descriptor in os.listdir("/proc/%d/fd" % server.pid):
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink("/proc/%d/fd/%s" % (server.pid, descriptor)))
    return names


# ---- Its files are taken away ----

def test_deleted_file_is_noticed_at_once_and_nothing_is_acknowledged():
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        send_numbers(client, 1, 10)
        acks(client, 1, 10)
        os.remove(path)
        server.wait_stderr(r"error: .*its file has been deleted.*/proc/%d/fd.*%s" % (server.pid, STOPS),
                           deadline=1 * PATIENCE)
        send_numbers(client, 11, 10)
        expect_no_ack(client)
        assert not os.path.exists(path), "a fresh store has been made"
        assert server.stderr.text().count(STOPS) == 1, server.stderr.text()
        assert path + " (deleted)" in open_files(server)  # what the sentence says is so
        server.begin_stop()
        assert server.wait() == 1 or "could not be stored" not in server.stderr.text()
        assert not os.path.exists(path)


def test_file_that_is_moved_away_and_back_goes_on():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            os.rename(path, path + ".away")
            send_numbers(client, 11, 10)
            server.wait_stderr(STOPS)
            expect_no_ack(client)
            os.rename(path + ".away", path)
            server.wait_stderr("works again")
            acks(client, 11, 10)
            server.kill()
        expect_stored(path, 20)


def test_file_that_is_replaced_is_somebody_elses():
    """Not a byte of it changes, whatever the server does until its end."""
    with a_store() as path:
        with Server("--store", path + ".other", *ACKED):
            pass
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            before = content_of(path + ".other")
            os.rename(path + ".other", path)
            server.wait_stderr(STOPS)
            send_numbers(client, 11, 10)
            expect_no_ack(client)
            server.stop()
            assert content_of(path) == before


def test_deleted_log_is_rescued_into_the_database():
    """It was acknowledged and is in the log alone: it is moved to the database while the log is still open."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 100)
            acks(client, 1, 100)
            os.remove(path + "-wal")
            server.wait_stderr(r"error: .*its log \(-wal\) has been deleted.*%s" % STOPS, deadline=1 * PATIENCE)
            server.wait_stderr("works again")
            send_numbers(client, 101, 100)
            acks(client, 101, 100)
            server.kill()
        with Server("--store", path, *ACKED):
            pass
        expect_stored(path, 200)


def test_another_log_in_its_place_is_not_taken_for_ours():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 100)
            acks(client, 1, 100)
            other = path + ".other"
            shutil.copy(path + "-wal", other)
            os.rename(other, path + "-wal")
            server.wait_stderr(STOPS)
            before = content_of(path + "-wal")
            send_numbers(client, 101, 1)
            expect_no_ack(client)
            assert content_of(path + "-wal") == before
            os.remove(path + "-wal")
            server.wait_stderr("works again")
            acks(client, 101, 1)
        expect_stored(path, 101)


def test_deleted_index_is_made_anew():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            os.remove(path + "-shm")
            server.wait_stderr(r"its index \(-shm\) has been deleted")
            server.wait_stderr("works again")
            send_numbers(client, 11, 10)
            acks(client, 11, 10)
            server.kill()
        expect_stored(path, 20)


def test_start_beside_a_log_without_its_database_is_refused():
    """SQLite would make a fresh store, and delete the log of the old one."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 100)
            acks(client, 1, 100)
            server.kill()
        os.remove(path)
        before = content_of(path + "-wal")
        error = refuse("--store", path, *ACKED, status=1)
        assert re.search(r"its file is gone.*log.*\d+ commits.*--accept-loss", error), error
        assert not os.path.exists(path) and content_of(path + "-wal") == before


# ---- System calls that fail ----

class Injection:
    """Makes system calls of a running server fail or wait, all of them or those on one file; at the end of the block they
    work again."""

    def __init__(self, server, *injections, file=None):
        if shutil.which("strace") is None:
            skip("strace is not installed: apt-get install strace")
        names = ",".join(injection.split(":")[0] for injection in injections)
        words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + names]
        for injection in injections:
            words += ["-e", "inject=" + injection]
        if file is not None:
            words += ["-P", file]
        self.process = subprocess.Popen(words + ["-p", str(server.pid)], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: self.process.poll() is not None or self._has_all(server.pid), "strace")
            if self.process.poll() is not None:
                skip("strace does not work here: " + self.process.stderr.read().strip())
        except BaseException:
            self.end()
            raise

    @staticmethod
    def _has_all(pid):
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, thread), encoding="utf-8", errors="replace") as file:
                if not re.search(r"^TracerPid:\s+[1-9]", file.read(), re.M):
                    return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE)
        self.process.stderr.close()


def expect_a_failure_and_its_end(*injections, words):
    """All messages are acknowledged in the end, none of them while it fails, and each is there once after a kill."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 100)
            acks(client, 1, 100)
            with Injection(server, *injections):
                send_numbers(client, 101, 100)
                server.wait_stderr("(?i)error: .*store .*(%s).*%s" % (words, STOPS))
                expect_no_ack(client)
            server.wait_stderr("works again")
            acks(client, 101, 100)
            send_numbers(client, 201, 100)
            acks(client, 201, 100)
            server.kill()
        expect_stored(path, 300)


def test_sync_that_fails_for_ever():
    expect_a_failure_and_its_end("fdatasync:error=EIO", "fsync:error=EIO", words="i/o error")


def test_write_that_fails_for_ever():
    expect_a_failure_and_its_end("pwrite64:error=EIO", words="i/o error")


def test_file_system_that_has_become_read_only():
    """As ext4 does it after an error: descriptors stay open, and every write fails."""
    expect_a_failure_and_its_end("pwrite64:error=EROFS", "fdatasync:error=EROFS", "ftruncate:error=EROFS",
                                 words="i/o error|read-only")


def test_quota_that_is_used_up():
    expect_a_failure_and_its_end("pwrite64:error=EDQUOT", words="disk quota exceeded")


def test_call_that_fails_once():
    """The first, second and so on of the calls after the message: it is stored once, and acknowledged."""
    for call, last in ("fdatasync", 2), ("pwrite64", 3):
        for when in range(1, last + 1):
            with a_store() as path:
                with Server("--store", path, *ACKED) as server, server.connect() as client:
                    send_numbers(client, 1, 50)
                    acks(client, 1, 50)
                    with Injection(server, "%s:error=EIO:when=%d" % (call, when)):
                        send_numbers(client, 51, 50)
                        acks(client, 51, 50)
                    server.kill()
                expect_stored(path, 100)


def test_log_that_cannot_be_moved_to_the_database():
    """The commits are good, and acknowledged; they are in the log alone, and it says so before it is too long. When that
    is, the disk decides, and how busy the server is: a log of 1 MiB is moved when nothing waits, one of 4 MiB at once.
    (Each commit brings it several pages, however little is in them.)"""
    line = b"x" * 1023 + b"\n"
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            with Injection(server, "pwrite64:error=EIO", file=path):
                for seq in range(1, 11):
                    client.sendall(line)
                    acks(client, seq, 1)
                sending = threading.Thread(target=client.sendall, args=(line * 5000,))
                sending.start()  # which waits when nothing is read any more
                server.wait_stderr("(?i)error: .*store .*i/o error.*" + STOPS)
            server.wait_stderr("works again")
            acks(client, 11, 5000)
            sending.join(DEADLINE)
            client.sendall(line * 100)
            acks(client, 5011, 100)
            server.kill()
        assert len(messages(path)) == 5110


def test_log_is_walked_before_it_is_opened_again():
    """An I/O error, and while nothing could be written a bit has flipped: what is behind it would be dropped in silence,
    acknowledged messages with it. Nothing can be opened either, so that it flips between two tries and not in one."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            for seq in range(1, 21):  # so few that the log is not begun anew
                send_numbers(client, seq, 1)
                acks(client, seq, 1)
            with Injection(server, "pwrite64:error=EIO", "openat:error=EIO"):
                send_numbers(client, 21, 1)
                server.wait_stderr(STOPS)
                wait_for(lambda: path + "-wal" not in open_files(server), "the end of the store's connection")
                flip_bit(path + "-wal", os.path.getsize(path + "-wal") // 2)
            server.wait_stderr(r"error: .*its log is damaged at byte \d+.*" + STOPS)
            expect_no_ack(client)
            server.kill()
        assert "its log is damaged" in refuse("--store", path, *ACKED, status=1)


def test_stalled_sync_holds_up_its_acknowledgements_and_nobody_else():
    """For 5 seconds: answers keep their latency, memory its bounds, and the acknowledgements come afterwards. The sync
    would stall for longer: what is answered meanwhile has not waited for it."""
    with a_store() as path:
        with Server("--store", path, "--listen", "127.0.0.1:0", *ACKED,
                    "--listen", "127.0.0.1:0", "--frame", "line", "--reply", "echo") as server, \
                server.connect() as client, \
                socket.create_connection(("127.0.0.1", server.ports[1]), timeout=DEADLINE) as other:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            before = server.memory_bytes()
            with Injection(server, "fdatasync:delay_enter=%ds" % FOR_EVER):
                send_numbers(client, 11, 1000)
                start = time.monotonic()
                worst = count = 0
                while time.monotonic() - start < 5:
                    sent = time.monotonic()
                    other.sendall(b"x\n")
                    assert recv_exactly(other, 2) == b"x\n"
                    worst = max(worst, time.monotonic() - sent)
                    count += 1
                    assert not select.select([client], [], [], 0.001)[0], "acknowledged before the sync"
                assert worst < 2 * PATIENCE, worst
                grown = server.memory_bytes() - before
                assert FLAVOUR != "release" or grown < (6 << 20) + 200 * count, (grown, count)
            acks(client, 11, 1000)
            assert "error" not in server.stderr.text(), server.stderr.text()


def send_until_full(client, flood, sent):
    """Sends of it, from there on, until nothing more is taken; returns how far it has come."""
    while select.select([], [client], [], 0.3)[1]:
        sent += client.send(flood[sent:sent + 65536])
        assert sent < len(flood), "all of it was taken"
    return sent


def what_has_come(client):
    received = b""
    while select.select([client], [], [], 0)[0]:
        received += client.recv(65536)
    return received


def test_client_that_floods_waits_at_its_share_and_the_others_are_read():
    """While the disk stalls: `read` says that a message was, `ok` that it is stored. Nobody else would be read if the
    flood were let in until the queue is full."""
    share, length = 64 * 1024, 1000
    flood = b"".join(b"%-*d\n" % (length - 1, seq) for seq in range(1, 8001))
    with a_store() as path:
        with Server("--store", path, "--store-queue", "1MiB", "--reply", "text:read", *ACKED) as server, \
                contextlib.ExitStack() as stack:
            flooder, *others = [stack.enter_context(server.connect()) for _ in range(20)]
            flooder.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            for client in others:
                send_numbers(client, 1, 1)
                assert recv_exactly(client, 10) == b"read\nok 1\n"
            with Injection(server, "fdatasync:delay_enter=%ds" % FOR_EVER):
                sent = send_until_full(flooder, flood, 0)
                for client in others:
                    send_numbers(client, 2, 1)
                    assert recv_exactly(client, 5) == b"read\n"
                sent = send_until_full(flooder, flood, sent)
                came = what_has_come(flooder)
                assert b"ok" not in came and came.count(b"\n") <= share // length + 1, came
                assert not select.select(others, [], [], 0)[0], "acknowledged before the sync"
            for client in others:
                acks(client, 2, 1)
            count = -(-sent // length)  # what has begun is sent to its end
            flooder.sendall(flood[sent:count * length])
            flooder.shutdown(socket.SHUT_WR)
            came = (came + recv_all(flooder)).split(b"\n")[:-1]
            assert [line for line in came if line != b"read"] == [b"ok %d" % seq for seq in range(1, count + 1)]
            assert came.count(b"read") == count
        stored = {}
        for connection, seq, content in messages(path):
            stored.setdefault(connection, []).append((seq, content))
        assert sorted(stored.values(), key=len) == [[(1, b"message 1"), (2, b"message 2")]] * len(others) + \
            [list(enumerate(flood[:count * length].split(b"\n")[:-1], 1))]


# ---- Limits and permissions ----

def test_size_limit_of_files_is_named_and_ends_by_itself():
    """RLIMIT_FSIZE, whose signal would end the process (setrlimit(2))."""
    line = b"x" * 1023 + b"\n"
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(line)
            acks(client, 1, 1)
            _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (200 * 1024, most))
            client.sendall(line * 400)
            server.wait_stderr("error: .*store .*(?i:file too large).*" + STOPS)
            stored = len(messages(path))
            acks(client, 2, stored - 1)
            expect_no_ack(client)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
            server.wait_stderr("works again")
            acks(client, stored + 1, 401 - stored)
        assert len(messages(path)) == 401


def test_start_on_a_file_system_that_is_read_only():
    with a_store_on_a_disk_of("4m") as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            client.sendall(b"x\n")
            acks(client, 1, 1)
        subprocess.run(["mount", "-o", "remount,ro", os.path.dirname(path)], stdin=subprocess.DEVNULL, check=True)
        error = refuse("--store", path, *ACKED, status=1)
        assert path in error and "read-only" in error.lower(), error


def test_start_without_permission():
    if os.geteuid() != 0:
        skip("only root can have a file that is somebody else's")
    with a_store() as path:
        with Server("--store", path, *ACKED):
            pass
        folder = os.path.dirname(path)
        os.chmod(folder, 0o755)
        done = subprocess.run([WEIR, "serve", "--listen", "127.0.0.1:0", "--store", path],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                              user=65534, group=65534, extra_groups=[], timeout=DEADLINE)
        assert done.returncode == 1 and path in done.stderr and "ermission denied" in done.stderr, done.stderr


# ---- Other programs at the store ----

SQLITE = [sys.executable, "-c", "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);\n"
                                "for sql in sys.argv[2:]: print(db.execute(sql).fetchall())\n"
                                "db.close()"]


def run_sqlite(path, *statements):
    """Another process that comes, does this and goes; returns what it printed, or the error."""
    done = subprocess.run(SQLITE + [path, *statements], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE)
    return done.stdout if done.returncode == 0 else done.stderr


def test_reader_that_comes_and_goes_takes_nothing_along():
    """Where a process has lost its locks, such a reader deletes the log at its end; 100 commits said OK after that, and
    after kill -9 one row of 101 was left."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 1)
            acks(client, 1, 1)
            assert "[(1,)]" in run_sqlite(path, "SELECT count(*) FROM message")
            for seq in range(2, 102):
                send_numbers(client, seq, 1)
                acks(client, seq, 1)
            assert "[(101,)]" in run_sqlite(path, "SELECT count(*) FROM message")
            server.kill()
        expect_stored(path, 101)


def expect_noticed(*statements, count=100):
    """Another program writes to the store: the server says so though no message comes, by whichever it looks at first,
    the database or the log. Nothing is acknowledged before the store was opened again; then all is there, once."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, count)
            acks(client, 1, count)
            said = run_sqlite(path, *statements)
            assert "Error" not in said, said
            server.wait_stderr("error: .*(another program has written to it, or moved its log|"
                               r"its log \(-wal\) has been written over .* not by this server).*" + STOPS)
            server.wait_stderr("works again")
            send_numbers(client, count + 1, count)
            acks(client, count + 1, count)
            server.kill()
        expect_stored(path, 2 * count)


def test_foreign_writer_is_noticed_and_named():
    expect_noticed("INSERT INTO meta VALUES ('somebody', 1)")


def test_foreign_vacuum_is_noticed_and_named():
    expect_noticed("VACUUM")


def test_foreign_checkpoint_is_noticed_and_named():
    """Two that move the log can destroy it (SQLite before 3.51.3)."""
    expect_noticed("PRAGMA wal_checkpoint(TRUNCATE)", "INSERT OR IGNORE INTO meta VALUES ('somebody', 1)")


def test_foreign_checkpoint_without_a_sync_is_noticed_with_the_next_commit():
    """The log begins anew over what may be nowhere else on disk, so the database is synced before anything further is
    acknowledged."""
    for mode in "PASSIVE", "RESTART":
        with a_store() as path:
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send_numbers(client, 1, 100)
                acks(client, 1, 100)
                count = 100
                while STOPS not in server.stderr.text():  # not when the server has written while the other had it open
                    assert count < 1000
                    said = run_sqlite(path, "PRAGMA synchronous = OFF", "PRAGMA wal_checkpoint(%s)" % mode)
                    assert "[(0, " in said, said
                    send_numbers(client, count + 1, 100)
                    acks(client, count + 1, 100)
                    count += 100
                server.wait_stderr("error: .*another program has moved its log.*" + STOPS)
                server.wait_stderr("works again")
                server.kill()
            expect_stored(path, count)


def test_foreign_message_is_kept_and_does_not_take_a_number():
    """Its row has the id that ours would have had."""
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            run_sqlite(path, "INSERT INTO message SELECT NULL, 7, 0, 1, time, 0, 0, NULL, 0, 'not ours' FROM message"
                             " WHERE id = 1")
            send_numbers(client, 11, 10)
            server.wait_stderr("another program has written to it.*" + STOPS)
            acks(client, 11, 10)
            server.kill()
        stored = [row[2] for row in messages(path)]
        assert stored == [b"message %d" % seq for seq in range(1, 11)] + ["not ours"] + \
            [b"message %d" % seq for seq in range(11, 21)], stored


def test_foreign_change_of_the_journal_is_refused():
    with a_store() as path:
        with Server("--store", path, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            assert "locked" in run_sqlite(path, "PRAGMA busy_timeout = 0", "PRAGMA journal_mode = DELETE")
            send_numbers(client, 11, 10)
            acks(client, 11, 10)
            server.kill()
        expect_stored(path, 20)


def test_foreign_drop_of_a_table_stops_it():
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        send_numbers(client, 1, 10)
        acks(client, 1, 10)
        run_sqlite(path, "ALTER TABLE message RENAME TO elsewhere")
        server.wait_stderr("error: .*no such table: (main.)?message.*" + STOPS)
        send_numbers(client, 11, 10)
        expect_no_ack(client)
        run_sqlite(path, "ALTER TABLE elsewhere RENAME TO message")
        server.wait_stderr("works again")
        acks(client, 11, 10)


def test_foreign_program_that_drops_a_table_and_ends_last():
    """With its end it moves the log to the database and deletes it, as is right: the log was not cut."""
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        send_numbers(client, 1, 10)
        acks(client, 1, 10)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("ALTER TABLE message RENAME TO elsewhere")
            server.wait_stderr("error: .*no such table: (main.)?message.*" + STOPS)
        wait_for(lambda: not os.path.exists(path + "-wal"), "the log to be deleted")
        before = server.stderr.text().count(STOPS)
        with contextlib.suppress(AssertionError):
            server.wait_stderr("works again", deadline=2)  # it is tried again without a log, and says nothing new
        assert server.stderr.text().count(STOPS) == before, server.stderr.text()
        run_sqlite(path, "ALTER TABLE elsewhere RENAME TO message")
        server.wait_stderr("works again")
        send_numbers(client, 11, 10)
        acks(client, 11, 10)


def test_foreign_lock_holds_up_the_acknowledgements():
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client, \
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        send_numbers(client, 1, 10)
        server.wait_stderr("error: .*locked.*" + STOPS)
        expect_no_ack(client)
        other.execute("ROLLBACK")
        server.wait_stderr("works again")
        acks(client, 1, 10)


# ---- Between the commit and its acknowledgements ----

def test_file_that_is_deleted_during_a_commit():
    """The commit says that it is stored, and the look behind it that it is not."""
    with a_store() as path, Server("--store", path, *ACKED) as server, server.connect() as client:
        send_numbers(client, 1, 10)
        acks(client, 1, 10)
        with Injection(server, "fdatasync:delay_exit=%ds" % FOR_EVER):
            log = os.path.getsize(path + "-wal")
            send_numbers(client, 11, 10)
            wait_for(lambda: os.path.getsize(path + "-wal") > log, "the commit")
            os.remove(path)
        server.wait_stderr("its file has been deleted")
        expect_no_ack(client)
        server.kill()


# ---- At the start ----

def test_start_with_a_disk_that_does_not_read_or_write():
    """An error that names the store, and nothing is changed. (A read that fails is "malformed" to SQLite: it takes EIO
    there for a broken file system.)"""
    for injection in "pread64:error=EIO:when=2+", "pwrite64:error=EIO", "fdatasync:error=EIO":
        with a_store() as path:
            with Server("--store", path, *ACKED) as server, server.connect() as client:
                send_numbers(client, 1, 10)
                acks(client, 1, 10)
                server.kill()
            if shutil.which("strace") is None:
                skip("strace is not installed: apt-get install strace")
            call = injection.split(":")[0]
            wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", "inject=" + injection,
                    "-P", path, "-P", path + "-wal"]
            status, _, error = run_weir("serve", "--listen", "127.0.0.1:0", "--store", path, *ACKED, wrap=wrap,
                                        env={"ASAN_OPTIONS": "detect_leaks=0"})
            assert status == 1 and path in error and re.search("(?i)i/o error|malformed", error), (injection, error)
            with Server("--store", path, *ACKED):
                pass
            expect_stored(path, 10)


# ---- The clock ----

def test_clock_that_is_set_back_a_year():
    """Ids go on, so order does; rows of a second stay one each; nothing is due earlier or later than it was."""
    if FLAVOUR != "release":
        skip("a sanitizer's library must be the first, and so must that of faketime")
    if shutil.which("faketime") is None:
        skip("faketime is not installed: apt-get install faketime")
    with a_store() as path:
        stamp = os.path.join(os.path.dirname(path), "time")
        set_clock(stamp, "+0")
        # The monotonic clock is left alone, as it is when the time is set.
        env = {"FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
               "LD_PRELOAD": faketime_library()}
        with Server("--store", path, *ACKED, "--idle-timeout", "1h", "--print", "json", env=env) as server, \
                server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            for seq, change in ((11, "-365d"), (21, "+10y"), (31, "+0")):
                set_clock(stamp, change)
                send_numbers(client, seq, 10)
                acks(client, seq, 10)
            assert server.events("close") == [], "closed by a clock"
            assert "error" not in server.stderr.text(), server.stderr.text()
        expect_stored(path, 40)
        times = [row[0] for row in rows(path, "SELECT time / 1000000 FROM message ORDER BY id")]
        day, now = 86400, time.time()
        for first, expected in ((0, now), (10, now - 365 * day), (20, now + 3650 * day), (30, now)):
            assert all(abs(seen - expected) < 5 * day for seen in times[first:first + 10]), (first, times)
        assert rows(path, "SELECT time, first_message FROM second ORDER BY time") == \
            rows(path, "SELECT time / 1000000, min(id) FROM message GROUP BY 1 ORDER BY 1")
        assert [row[0] for row in rows(path, "SELECT first_message FROM step ORDER BY 1")] == [11, 31]


def faketime_library():
    for folder in ("/usr/lib/%s-linux-gnu/faketime" % os.uname().machine, "/usr/lib/faketime"):
        if os.path.exists(folder + "/libfaketimeMT.so.1"):
            return folder + "/libfaketimeMT.so.1"
    return skip("the library of faketime is not found")


def set_clock(stamp, change):
    """Whole, or not at all: the server reads it at any time."""
    with open(stamp + ".new", "w", encoding="ascii") as file:
        file.write(change + "\n")
    os.rename(stamp + ".new", stamp)


# ---- The end ----

def test_drain_timeout_bounds_the_whole_stop():
    """Clients are cut off at it, and the disk, which takes its time for each sync, is not waited for either. Nothing that
    is not stored was acknowledged."""
    with a_store() as path:
        with Server("--store", path, *ACKED, "--drain-timeout", "1s") as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            with Injection(server, "fdatasync:delay_enter=1500ms"):
                send_numbers(client, 11, 1000)
                start = time.monotonic()
                server.begin_stop()
                assert server.wait(DEADLINE) == 1
                took = time.monotonic() - start
            assert took < 5 * PATIENCE, took  # strace holds a thread in its sync beyond the process's end
            with contextlib.suppress(ConnectionResetError):
                assert recv_all(client) == b""
            assert "within --drain-timeout" in server.stderr.text(), server.stderr.text()
        with Server("--store", path, *ACKED):
            pass
        stored = [row[1] for row in messages(path)]
        assert stored == list(range(1, len(stored) + 1)) and len(stored) >= 10


def test_stop_without_haste_stores_all():
    with a_store() as path:
        with Server("--store", path, *ACKED, "--drain-timeout", "off", env={"ASAN_OPTIONS": "detect_leaks=0"}) as server, \
                server.connect() as client:
            with Injection(server, "fdatasync:delay_enter=300ms"):
                send_numbers(client, 1, 1000)
                client.shutdown(socket.SHUT_WR)
                wait_for(lambda: "#" in server.stderr.text() or client.recv(1, socket.MSG_PEEK), "an acknowledgement")
                assert server.stop(deadline=60) == 0
            assert recv_all(client).endswith(b"ok 1000\n")
        expect_stored(path, 1000)
