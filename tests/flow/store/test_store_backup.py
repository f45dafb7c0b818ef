# SPDX-License-Identifier: BSD-3-Clause
"""weir check --backup: a store copied whole from under a server, or without one; and stores that get an id of their own."""
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading

from harness import DEADLINE, HeldUp, Server, in_time, recv_until, run_weir, skip, wait_for, weir
from test_store import ACKED, KEEP_ALL, a_store, a_store_on_a_disk_of, acks, content_of, flip_bit, messages, mode_of, \
    put_ballast, rows
from test_store_damage import contents, flip_in
from test_store_faults import expect_stored, send_numbers
from test_store_open import AS_NOBODY, NOBODY, fill, give_away, names_beside

LONG = 500 * 1000  # bytes of a message of a large store, of whose messages a page of the copy holds some
MANY = 100         # such messages


def back_up(path, file, *options, **process):
    return run_weir("check", "--store", path, "--backup", file, *options, **process)


def expect_backup(path, file, *options, **process):
    """Makes one, and returns what was said, by its labels."""
    status, out, error = back_up(path, file, *options, **process)
    assert status == 0 and error == "", (out, error)
    said = dict(re.fullmatch(r"(\w+) +(.*)", line).groups() for line in out.splitlines())
    assert list(said) == ["copied", "messages", "oldest", "newest", "size", "id", "took"], out
    assert said["copied"] == "to " + file and said["size"] == "%d bytes" % os.path.getsize(file), out
    assert said["id"] == id_of(file), out
    expect_whole(file)
    return said


def expect_whole(file):
    """A store as any other, of which nothing is elsewhere."""
    assert not [name for name in names_beside(file) if name.startswith(os.path.basename(file) + "-")], names_beside(file)
    assert not [name for name in names_beside(file) if ".part-" in name], names_beside(file)
    assert mode_of(file) == 0o600
    status, out, error = run_weir("check", "--store", file)
    assert status == 0, (out, error)
    pragmas = [rows(file, "PRAGMA " + name) for name in ("application_id", "page_size", "auto_vacuum", "integrity_check")]
    assert pragmas == [[(0x77656972,)], [(8192,)], [(2,)], [("ok",)]], pragmas
    newest, = rows(file, "SELECT coalesce(max(id), 0), coalesce(max(id) - min(id) + 1, 0), count(*) FROM message")
    assert newest[1] == newest[2], "there is a gap: %r" % (newest,)
    assert rows(file, "SELECT count(*) FROM connection WHERE last_message > ?", newest[0]) == [(0,)]
    assert rows(file, "SELECT count(*) FROM message WHERE connection NOT IN (SELECT id FROM connection)") == [(0,)]


def id_of(path):
    (found,), = rows(path, "SELECT value FROM meta WHERE key = 'store'")
    assert re.fullmatch("[0-9a-f]{32}", found), found
    return found


def dump_of(path):
    """All of its tables, as SQL."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as db:
        return list(db.iterdump())


def refuse_backup(path, file, words, *options, status=1, **process):
    """No copy is made, for that reason, and no file is there that was not."""
    folders = {os.path.dirname(name) for name in (path, file) if os.path.isdir(os.path.dirname(name))}
    before = {folder: sorted(os.listdir(folder)) for folder in folders}
    done, out, error = back_up(path, file, *options, **process)
    assert done == status and re.search(words, error), (out, error)
    after = {folder: sorted(name for name in os.listdir(folder) if not name.endswith(("-shm", "-wal")) or name in before[folder])
             for folder in folders}
    assert after == before


# ---- What is copied ----

class Senders:
    """Clients that send one line after the other, and count what is acknowledged."""

    def __init__(self, server, count=4):
        self.acked = [0] * count
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(i,)) for i in range(count)]
        self._server = server

    def _send(self, number):
        with self._server.connect() as client:
            while not self._stopped.is_set():
                first = self.acked[number] + 1
                client.sendall(b"".join(b"%d of client %d\n" % (seq, number) for seq in range(first, first + 20)))
                acks(client, first, 20)
                self.acked[number] += 20

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def wait_for_more(self, count):
        """Returns how many of each client's are acknowledged then."""
        wanted = [acked + count for acked in self.acked]
        wait_for(lambda: all(acked >= least for acked, least in zip(self.acked, wanted)), "acknowledgements")
        return list(self.acked)


def test_all_that_was_acknowledged_before_is_in_it():
    with a_store() as path, a_store() as file:
        with Server("--store", path, *ACKED, "--workers", 2) as server, Senders(server) as senders:
            before = senders.wait_for_more(1000)
            said = expect_backup(path, file)
            senders.wait_for_more(20)  # the server goes on
        stored = messages(file)
        for number, acked in enumerate(before):
            texts = [text for _, _, text in stored if text.endswith(b"client %d" % number)]
            assert len(texts) >= acked and texts == [b"%d of client %d" % (seq, number) for seq in range(1, len(texts) + 1)]
        assert said["id"] == id_of(path)
        assert said["messages"] == "%d, of 4 connections" % len(stored)
        assert said["newest"].startswith("%d of 20" % len(stored)) and said["oldest"] == "1", said
        assert messages(path)[:len(stored)] == stored
        newest, = rows(file, "SELECT max(id) FROM message")[0]
        number, = rows(file, "SELECT max(id) FROM connection")[0]
        with Server("--store", file, *ACKED) as server, server.connect() as client:
            send_numbers(client, 1, 1)
            acks(client, 1, 1)
        assert rows(file, "SELECT id FROM message ORDER BY id DESC LIMIT 1") == [(newest + 1,)]
        assert rows(file, "SELECT max(id) > ? FROM connection", number) == [(1,)]


def test_closed_store_is_copied_as_it_is():
    with a_store() as path, a_store() as file:
        fill(path, 100)
        before = contents(path)
        expect_backup(path, file)
        assert dump_of(file) == dump_of(path)
        version = "SELECT user_version & 255 FROM pragma_user_version"
        assert rows(file, version) == rows(path, version)
        assert {name: what for name, what in contents(path).items() if what} == before
        os.chmod(file, 0o400)  # one that nobody writes to is read where nothing may be made beside it
        assert run_weir("log", "--store", file, "--format", "csv")[1] == run_weir("log", "--store", path, "--format", "csv")[1]


def test_log_of_a_kill_is_in_it():
    with a_store() as path, a_store() as file:
        fill(path, 50, kill=True)
        before = contents(path)
        expect_backup(path, file)
        expect_stored(file, 50)
        assert contents(path) == before
        with Server("--store", path, *ACKED):
            pass


def test_tables_that_are_not_known_are_copied():
    with a_store() as path, a_store() as file:
        fill(path)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.executescript("CREATE TABLE later (a INTEGER PRIMARY KEY, b); INSERT INTO later VALUES (7, x'00'), (9, 'nine');"
                             "CREATE VIEW both AS SELECT * FROM later, message; CREATE INDEX by_b ON later (b);")
        expect_backup(path, file)
        assert dump_of(file) == dump_of(path)


def test_store_without_messages():
    with a_store() as path, a_store() as file:
        with Server("--store", path, *ACKED):
            pass
        status, out, error = back_up(path, file)
        assert status == 0 and "messages  0, of 0 connections\n" in out and "newest" not in out, (out, error)
        expect_whole(file)
        with a_store() as empty:
            with open(empty, "wb"):
                pass
            refuse_backup(empty, file + "2", "nothing is in it yet")


def test_store_that_its_port_names():
    with a_store() as path:
        home = os.path.dirname(path)
        os.mkdir(os.path.join(home, "weir"))
        fill(os.path.join(home, "weir", "7001.db"))
        status, _, error = back_up("7001", path, env={"XDG_STATE_HOME": home})
        assert status == 0, error
        expect_stored(path, 10)


# ---- What happens meanwhile ----

def make_large(path):
    """So many long messages, too many for one transaction of the copy."""
    with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
        client.sendall(b"x" * LONG + b"\n")
        acks(client, 1, 1)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO message"
                   " SELECT NULL, connection, direction, i, time, i - 1, flags, original_len, crc32c, bytes FROM message, n"
                   " WHERE id = 1", (MANY,))
        db.execute("UPDATE connection SET last_message = ?", (MANY,))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('heads_until', ?)", (MANY,))


@contextlib.contextmanager
def half_way(path, file, *options, wrap=()):
    """A backup that stands still with a part of the messages copied, until it is told to go on."""
    with weir("check", "--store", path, "--backup", file, *options, wrap=wrap) as backup:
        part = "%s.part-%d" % (file, backup.pid)
        wait_for_start(backup, part)
        backup.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, backup.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if size_of(part) > MANY * LONG * 3 // 4:
            raise HeldUp("the copy is nearly done, or over")
        assert not os.path.exists(file)
        yield backup


def size_of(part):
    """More than any, when it is not there any more."""
    try:
        return os.path.getsize(part)
    except OSError:
        return 1 << 60


def wait_for_start(backup, part):
    """Looks without a pause: a page is written in no time."""
    while not os.path.exists(part) or os.path.getsize(part) < LONG:
        if backup.process.poll() is not None:
            raise HeldUp("it is over: " + backup.stderr.text())


def go_on(backup, status=0):
    backup.send_signal(signal.SIGCONT)
    assert backup.wait() == status, (backup.stdout.text(), backup.stderr.text())


@in_time
def test_server_that_is_killed_and_started_again_meanwhile():
    with a_store() as path, a_store() as file:
        make_large(path)
        with Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            with half_way(path, file) as backup:
                server.kill()
                with Server("--store", path, *ACKED, *KEEP_ALL) as second, second.connect() as other:
                    send_numbers(other, 1, 10)
                    acks(other, 1, 10)
                    second.kill()
                go_on(backup)
        expect_whole(file)
        assert rows(file, "SELECT max(id) FROM message") == [(MANY + 10,)]
        assert rows(path, "SELECT max(id) FROM message") == [(MANY + 20,)]


@in_time
def test_server_may_start_meanwhile():
    with a_store() as path, a_store() as file:
        make_large(path)
        with half_way(path, file) as backup, Server("--store", path, *ACKED, *KEEP_ALL) as server, server.connect() as client:
            send_numbers(client, 1, 10)
            acks(client, 1, 10)
            go_on(backup)
        expect_whole(file)
        assert rows(file, "SELECT max(id) FROM message") == [(MANY,)]


@in_time
def test_what_retention_deletes_meanwhile_is_missing_at_the_old_end():
    with a_store() as path, a_store() as file:
        make_large(path)
        with half_way(path, file) as backup:
            kept = 15 * 1000 * 1000
            with Server("--store", path, *ACKED, "--keep-bytes", kept, "--keep-free", "off") as server, \
                    server.connect() as client:
                send_numbers(client, 1, 1)
                acks(client, 1, 1)
                wait_for(lambda: rows(path, "SELECT min(id) > ? FROM message", MANY // 2) == [(1,)], "the deletion")
                go_on(backup)
        expect_whole(file)
        (first, last), = rows(file, "SELECT min(id), max(id) FROM message")
        assert MANY // 2 < first <= last == MANY, (first, last)


def test_retention_at_every_message():
    with a_store() as path, a_store() as file:
        with Server("--store", path, *ACKED, "--keep-bytes", "1MiB", "--keep-free", "off") as server, \
                Senders(server) as senders:
            senders.wait_for_more(20)
            wait_for(lambda: rows(path, "SELECT min(id) > 1 FROM message") == [(1,)], "the deletion")
            for i in range(5):
                senders.wait_for_more(100)
                expect_backup(path, file + str(i))
        for i in range(5):
            with Server("--store", file + str(i), *ACKED):
                pass


@in_time
def test_interrupted_backup_leaves_nothing():
    with a_store() as path, a_store() as file:
        make_large(path)
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            with half_way(path, file) as backup:
                backup.send_signal(number)
                go_on(backup, 1)
                assert re.search("no copy of it was made at %s: interrupted" % re.escape(file), backup.stderr.text())
                assert backup.stdout.text() == ""
            assert names_beside(file) == []


@in_time
def test_store_that_is_replaced_meanwhile():
    with a_store() as path, a_store() as file:
        make_large(path)
        with half_way(path, file) as backup:
            for name in names_beside(path):
                os.rename(os.path.join(os.path.dirname(path), name), path + ".old" + name)
            fill(path)
            go_on(backup, 1)
            assert "another file has taken the store's place" in backup.stderr.text()
        assert names_beside(file) == []


@in_time
def test_name_that_is_taken_meanwhile_stays():
    with a_store() as path, a_store() as file:
        make_large(path)
        with half_way(path, file) as backup:
            with open(file, "w", encoding="ascii") as other:
                other.write("mine")
            go_on(backup, 1)
            assert "there already" in backup.stderr.text()
        assert names_beside(file) == [os.path.basename(file)] and content_of(file) == b"mine"


@in_time
def test_disk_that_fills_up_meanwhile():
    with a_store_on_a_disk_of("200m") as path:
        make_large(path)
        file = path + ".copy"
        with half_way(path, file) as backup:
            free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
            put_ballast(path, free - 3 * 1000 * 1000)
            go_on(backup, 1)
            assert re.search("no copy.*full", backup.stderr.text()), backup.stderr.text()
        assert not [name for name in names_beside(path) if name.startswith("s.db.copy")], names_beside(path)


def test_file_that_may_not_grow():
    with a_store() as path, a_store() as file:
        make_large(path)
        refuse_backup(path, file, "no copy of it was made", wrap=["prlimit", "--fsize=%d" % (10 * LONG)])


def test_disk_without_room_is_left_as_it_is():
    """It may be the server's own: it is not filled first."""
    with a_store_on_a_disk_of("130m") as path:
        make_large(path)
        put_ballast(path, MANY * LONG)
        refuse_backup(path, path + ".copy", r"it needs 5\d{7} bytes, and no more than \d+ are free there")


def test_progress_on_a_terminal():
    with a_store() as path, a_store() as file:
        make_large(path)
        with contextlib.closing(sqlite3.connect(path)) as db, db:  # long enough to be seen
            db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)"
                       " INSERT INTO message SELECT NULL, 1, 0, i, 0, 0, 0, NULL, 0, '' FROM n")
        with weir("check", "--store", path, "--backup", file, terminal=True) as command:
            command.wait_stdout(r"\r[\d,]+ messages, \d+ %")
            assert command.wait() == 0


# ---- What is damaged ----

def test_damaged_message_is_told_and_copied_as_it_is():
    with a_store() as path, a_store() as file:
        fill(path, 60)
        flip_in(path, b"message 42")
        status, out, error = back_up(path, file)
        assert status == 1 and re.search("1 of its messages is not what was stored.*message 42$", error.strip()), error
        assert "messages  60, of 1 connection\n" in out, out
        assert dump_of(file) == dump_of(path)
        status, _, error = run_weir("check", "--store", file)
        assert status == 1 and "message 42" in error, error
        flip_in(path, b"message 43")
        status, _, error = back_up(path, file + ".2")
        assert status == 1 and re.search("2 of its messages are not .*message 42 is the first", error), error


def test_damaged_log_is_told_and_nothing_is_copied():
    with a_store() as path, a_store() as file:
        fill(path, 60, kill=True)
        flip_bit(path + "-wal", os.path.getsize(path + "-wal") // 2)
        before = contents(path)
        refuse_backup(path, file, "its log is damaged.*--accept-loss")
        for options in ["--new-id"], ["--backup", file, "--new-id"]:
            status, _, error = run_weir("check", "--store", path, *options)
            assert status == 1 and "its log is damaged" in error, error
        assert contents(path) == before


def test_broken_page_leaves_no_copy():
    with a_store() as path, a_store() as file:
        fill(path, 60)
        (page,), = rows(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'message'")
        with open(path, "r+b") as database:
            database.seek((page - 1) * 8192)
            database.write(b"\xee")
        refuse_backup(path, file, "malformed")


# ---- Where it may be ----

def test_nothing_is_overwritten():
    with a_store() as path, a_store() as file:
        fill(path)
        folder = os.path.dirname(file)
        with open(file, "w", encoding="ascii") as other:
            other.write("mine")
        os.symlink(os.path.join(folder, "nowhere"), os.path.join(folder, "link"))
        os.mkdir(os.path.join(folder, "folder"))
        for name, words in (file, "there already"), (os.path.join(folder, "link"), "there already"), (path, "there already"), \
                (os.path.join(folder, "folder"), "folder"), (os.path.join(folder, "folder") + "/", "name a file"), \
                ("/dev/null", "there already"), (os.path.join(folder, "no", "s.db"), "folder is not there"), \
                ("", "name a file"), (os.path.join(folder, "x" * 255), "too long"), (folder + "/x" * 600, "too long"):
            refuse_backup(path, name, words)
        assert content_of(file) == b"mine" and os.path.lexists(os.path.join(folder, "link"))


def test_names_that_belong_to_a_store_are_refused():
    """A -wal or -shm there would be taken for the store's own, or for the copy's."""
    with a_store() as path, a_store() as file:
        for store, server in (path, None), (file + ".running", Server):
            with server("--store", store, *ACKED) if server else contextlib.nullcontext(fill(store)):
                for end in "-wal", "-shm", "-journal", ".lock", ".reserve":
                    for name in store + end, file + end:
                        status, _, error = back_up(store, name)
                        assert status == 1 and re.search("belongs to a store|there already", error), (name, error)
                        assert name != file + end or not os.path.exists(name)
        for end in "-wal", "-shm", "-journal":
            with open(file + end, "wb"):
                pass
            refuse_backup(path, file, "-wal, -shm or -journal of that name")
            os.remove(file + end)
        expect_backup(path, file)


def test_folder_that_may_not_be_written_to():
    with a_store() as path, a_store() as file:
        fill(path)
        give_away(path)
        os.chmod(os.path.dirname(file), 0o755)
        refuse_backup(path, file, "Permission denied", wrap=AS_NOBODY)


def test_store_that_may_not_be_read():
    with a_store() as path, a_store() as file:
        fill(path)
        if os.geteuid() != 0:
            skip("only root can have a file that is somebody else's")
        for name in path, file:
            os.chmod(os.path.dirname(name), 0o777)
        refuse_backup(path, file, "ermission denied|cannot be read", wrap=AS_NOBODY)


def test_copy_is_the_owners():
    with a_store() as path, a_store() as file:
        fill(path)
        give_away(path)
        expect_backup(path, file)
        assert os.stat(file).st_uid == NOBODY


def test_store_on_a_file_system_that_is_read_only():
    with a_store_on_a_disk_of("16m") as path, a_store() as file:
        folder = os.path.dirname(path)
        fill(path)
        subprocess.run(["mount", "-o", "remount,ro", folder], stdin=subprocess.DEVNULL, check=True)
        expect_backup(path, file)
        refuse_backup(path, path + ".copy", "Read-only file system")


# ---- An id of its own ----

def test_store_gets_an_id_of_its_own():
    with a_store() as path:
        fill(path)
        before = dump_of(path), id_of(path)
        names = names_beside(path)
        assert "id        %s\n" % before[1] in run_weir("check", "--store", path)[1]
        status, out, error = run_weir("check", "--store", path, "--new-id")
        assert status == 0 and out == "was       %s\nid        %s\n" % (before[1], id_of(path)), (out, error)
        assert id_of(path) != before[1]
        assert [line.replace(id_of(path), before[1]) for line in dump_of(path)] == before[0]
        assert set(names_beside(path)) - set(names) <= {"s.db-shm", "s.db-wal"}, names_beside(path)
        with Server("--store", path, *ACKED):
            pass


def test_id_of_a_store_that_was_killed():
    with a_store() as path:
        fill(path, 20, kill=True)
        before = id_of(path)
        assert run_weir("check", "--store", path, "--new-id")[0] == 0
        assert id_of(path) != before
        expect_stored(path, 20)


def test_store_that_a_server_has_keeps_its_id():
    with a_store() as path, a_store() as file, Server("--store", path, *ACKED) as server, server.connect() as client:
        before = id_of(path)
        send_numbers(client, 1, 10)
        acks(client, 1, 10)
        status, _, error = run_weir("check", "--store", path, "--new-id")
        assert status == 1 and "in use by process %d; end that first" % server.pid in error, error
        said = expect_backup(path, file, "--new-id")
        assert said["id"] != before == id_of(path)
        send_numbers(client, 11, 10)
        assert recv_until(client, b"ok 20\n").startswith(b"ok 11\n")


def test_what_is_asked_must_be_clear():
    with a_store() as path, a_store() as file:
        fill(path)
        for options in ["--backup", file], ["--new-id"], ["--backup", file, "--store", "auto"], \
                ["--store", path, "--backup", file, "--frame", "line"], ["--store", path, "--new-id", ":0"], \
                ["--store", path, "--backup", file, "--accept-loss"], ["--store", path, "--accept-loss", "--new-id"]:
            status, _, error = run_weir("check", *options)
            assert status == 2 and re.search("--(store|accept-loss)", error), (options, error)
        assert names_beside(file) == []
        shutil.rmtree(os.path.dirname(path))
        os.mkdir(os.path.dirname(path))
        refuse_backup(path, file, "o such file")
