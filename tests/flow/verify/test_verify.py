# SPDX-License-Identifier: BSD-3-Clause
"""weir verify: what it sends and writes down, how it goes on after a server that was killed, and what --check finds.
The kill loop itself is in tests/crash/."""
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import tempfile
import threading

from harness import DEADLINE, FLAVOUR, Server, lasting_port, run_weir, skip, wait_for, weir

ACKED = ["--frame", "line", "--ack", "{seq}"]
ALL_WELL = "missing 0, altered 0, out of order 0, too often 0"


@contextlib.contextmanager
def a_folder():
    """(store, ledger): paths of what is not there yet."""
    with tempfile.TemporaryDirectory(prefix="weir-verify-") as folder:
        yield os.path.join(folder, "s.db"), os.path.join(folder, "ledger")


def verify(ledger, port, *options, status=0, **process):
    """Runs it to its end; returns standard output and error."""
    got, output, error = run_weir("verify", "--ledger", ledger, *[str(option) for option in options], str(port),
                                  deadline=6 * DEADLINE, **process)
    assert got == status, (got, output, error)
    return output, error


def check(ledger, store, status=0):
    got, output, error = run_weir("verify", "--check", "--ledger", ledger, "--store", store)
    assert got == status, (got, output, error)
    return output + error


def usage(*words):
    """The sentence of what makes no sense."""
    status, _, error = run_weir("verify", *words)
    assert status == 2, (status, error)
    return error


def counted(pattern, output):
    return int(re.search(pattern, output)[1].replace(",", ""))


def entries(ledger):
    with open(ledger, encoding="ascii") as file:
        return [line.split() for line in file]


def wait_until_acknowledged(sender, ledger, behind=0):
    """On the last of its ten connections, behind so many bytes of the ledger."""
    def is_acknowledged():
        if not os.path.exists(ledger):
            return False
        with open(ledger, encoding="ascii") as file:
            file.seek(behind)
            return "acknowledged 10 " in file.read() or sender.process.poll() is not None
    wait_for(is_acknowledged, "an acknowledgement")


class Peer:
    """A server of the test's own: serve gets the number of the client, from 1 on, and its socket."""

    def __init__(self, serve):
        self.serve = serve
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        number = 0
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:  # closed by __exit__
                return
            number += 1
            client.settimeout(DEADLINE)
            threading.Thread(target=self._serve, args=(number, client), daemon=True).start()

    def _serve(self, number, client):
        with client, contextlib.suppress(OSError):
            self.serve(number, client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def lines_of(client):
    with client.makefile("rb") as stream:
        yield from stream


# ---- Sending ----

def test_every_framing():
    """What the listener has, and what verify is told."""
    same = ["line", "line:crlf", "delimiter:\\x03", "length:u16be", "length:u32le", "varint", "octet-count", "netstring",
            "between:\\x02,\\x03,escape=\\x1b", "slip"]
    framings = [(["--frame", spec], ["--frame", spec]) for spec in same]
    framings.append((["--frame", "fixed:64,pad=\\x20"], ["--frame", "fixed:64"]))
    framings.append((["--frame", "fixed:64", "--send-frame", "line"], ["--frame", "line", "--send-frame", "fixed:64,pad=x"]))
    options = []
    for serve, _ in framings:
        options += ["--listen", "127.0.0.1:0"] + serve + ["--ack", "{seq}"]
    with a_folder() as (store, ledger):
        with Server("--store", store, *options) as server:
            for (_, words), port in zip(framings, server.ports):
                output, _ = verify(ledger, port, *words, "-c", 3, "-n", 300)
                assert "acknowledged  300 messages" in output and "3 opened, 0 lost" in output, output
            assert ALL_WELL in check(ledger, store)  # while the server runs
        output = check(ledger, store)
        assert ALL_WELL in output and "3,600 messages in 12 runs" in output, output
        assert "0 of them again, 0 not acknowledged; 0 not of this ledger" in output, output


def test_messages_are_numbered_and_shared_out():
    with a_folder() as (store, ledger), Server("--store", store, *ACKED) as server:
        output, _ = verify(ledger, server.port, "-c", 3, "-n", 7, "-s", 30)
        run = re.match(r"run ([0-9a-f]{8}): 3 connections", output)[1]
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % store, uri=True)) as db:
            stored = [row[0] for row in db.execute("SELECT bytes FROM message ORDER BY id")]
        assert {len(row) for row in stored} == {30}
        heads = sorted(row.split()[:3] for row in stored)
        assert heads == [[run.encode(), b"%d" % connection, b"%d" % number]
                         for connection in (1, 2, 3) for number in range(1, 4 if connection == 1 else 3)], heads
        output, _ = verify(ledger, server.port, "-n", 2)  # no connection that has nothing to send
        assert "2 connections" in output


def test_acknowledgement_without_text_is_counted():
    """Also where its bytes happen to be digits: 48 is 0 as text, and 8,240 a blank and a 0. Numbers in 8 bits begin again."""
    for ack, count in ("{seq:u32be}", 1000), ("{seq:u8}", 700), ("A{seq:u8}", 100), ("{seq:u16be}", 8300), ("{seq:u16le}", 8300):
        with a_folder() as (store, ledger), Server("--store", store, "--frame", "length:u16be", "--ack", ack) as server:
            output, _ = verify(ledger, server.port, "--frame", "length:u16be", "-n", count, "-c", 1)
            assert f"acknowledged  {count:,} messages" in output, (ack, output)


def test_acknowledgement_without_text_is_counted_anew_on_the_next_connection():
    """Which has another first one."""
    def serve(number, client):
        for nth in range(1, 60):
            if not client.recv(2, socket.MSG_WAITALL) or not client.recv(100, socket.MSG_WAITALL):
                return
            client.sendall(bytes([0, 1, nth]))

    with a_folder() as (_, ledger), Peer(serve) as peer:
        output, _ = verify(ledger, peer.port, "--frame", "length:u16be", "-s", 100, "-n", 150, "-c", 1)
        assert "acknowledged  150 messages" in output and "0 lost" not in output, output


def test_wrong_number_in_a_byte_that_could_be_one_is_told():
    """50 is 2 in ASCII: a 2 in the text is no number in binary when the first acknowledgement was text."""
    def serve(_, client):
        for nth, _ in enumerate(lines_of(client), 1):
            client.sendall(b"%d\n" % (nth if nth < 50 else nth + 2))

    with a_folder() as (_, ledger), Peer(serve) as peer:
        _, error = verify(ledger, peer.port, "-n", 100, "-c", 1, "-p", 1, status=1)
        assert 'acknowledgement 50 of connection 1 has another number in it: "52"' in error, error


def test_rate_is_kept():
    """A lower bound on time is all that a busy machine leaves."""
    with a_folder() as (store, ledger), Server("--store", store, *ACKED) as server:
        output, _ = verify(ledger, server.port, "-n", 400, "--rate", 1000, "-c", 4)
        assert float(re.search(r"in ([\d.]+) s", output)[1]) >= 0.39, output


def test_ledger_has_it_before_it_is_sent():
    """Whatever the server has received by then."""
    seen = []

    def serve(_, client):
        for line in lines_of(client):
            _, connection, number, _ = line.split()
            sent = [entry[2].split("-") for entry in entries(ledger) if entry[:2] == ["sent", connection.decode()]]
            assert any(int(first) <= int(number) <= int(last) for first, last in sent)
            seen.append(number)
            client.sendall(b"%s\n" % number)

    with a_folder() as (_, ledger), Peer(serve) as peer:
        verify(ledger, peer.port, "-c", 2, "-n", 200, "-p", 7)
        assert len(seen) == 200
        for connection in "12":
            acknowledged = [entry[2].split("-") for entry in entries(ledger) if entry[:2] == ["acknowledged", connection]]
            numbers = [number for first, last in acknowledged for number in range(int(first), int(last) + 1)]
            assert numbers == list(range(1, 101))


def test_no_more_are_in_flight_than_asked():
    most = []

    def serve(_, client):
        received = acknowledged = 0
        while True:
            chunk = client.recv(65536)
            if not chunk:
                return
            received += chunk.count(b"\n")
            most.append(received - acknowledged)
            while acknowledged < received:
                acknowledged += 1
                client.sendall(b"%d\n" % acknowledged)

    with a_folder() as (_, ledger), Peer(serve) as peer:
        verify(ledger, peer.port, "-c", 1, "-n", 100, "-p", 5)
        assert max(most) == 5, most


# ---- What is wrong ----

def test_wrong_number_is_told():
    with a_folder() as (store, ledger), Server("--store", store, "--frame", "line", "--ack", "id {id}") as server:
        _, error = verify(ledger, server.port, "-c", 2, status=1)
        assert re.search(r'acknowledgement \d+ of connection \d has another number in it: "id \d+"; start the server with '
                         r'--ack \{seq\}', error), error


def test_more_acknowledgements_than_messages_are_told():
    def serve(_, client):
        for _ in lines_of(client):
            client.sendall(b"ok\nok\n")  # in one piece, so that it comes with one message in flight

    with a_folder() as (_, ledger), Peer(serve) as peer:
        _, error = verify(ledger, peer.port, "-n", 100, "-c", 1, "-p", 1, status=1)
        assert "one acknowledgement for each, and nothing else" in error, error


def test_acknowledgement_that_was_cut_off_is_none():
    """The server ends inside its third, whose first digit is all that is there."""
    def serve(number, client):
        for nth, _ in enumerate(lines_of(client), 1):
            if number == 1 and nth == 12:
                client.sendall(b"1")
                return
            client.sendall(b"%d\n" % nth)

    with a_folder() as (_, ledger), Peer(serve) as peer:
        output, _ = verify(ledger, peer.port, "-n", 30, "-c", 1, "-p", 1)
        assert "31 messages, 1 of them again" in output and "2 opened, 1 lost" in output, output
        assert ["sent", "1", "12-12"] in entries(ledger) and entries(ledger).count(["sent", "1", "12-12"]) == 2


def test_server_that_does_not_acknowledge_is_told():
    if FLAVOUR != "release":
        skip("it takes five seconds, and a sanitizer adds nothing")
    with a_folder() as (_, ledger), Server("--frame", "line", "--store", "none") as server:
        _, error = verify(ledger, server.port, status=1)
        assert "the server does not acknowledge; start it with --ack {seq}" in error, error


def test_server_that_stops_acknowledging_is_given_up():
    def serve(_, client):
        for nth, _ in enumerate(lines_of(client), 1):
            if nth < 5:
                client.sendall(b"%d\n" % nth)

    with a_folder() as (_, ledger), Peer(serve) as peer:
        _, error = verify(ledger, peer.port, "--give-up", "500ms", status=5)
        assert "nothing was acknowledged any more" in error, error


def test_server_that_is_not_there():
    port = lasting_port()
    with a_folder() as (_, ledger):
        output, error = verify(ledger, port, status=3)
        assert "connection refused" in error and not output, (output, error)
        _, error = verify(ledger, "tcp://no-such-host.invalid:1", status=6)


def test_server_that_goes_for_good_is_given_up():
    with a_folder() as (store, ledger):
        port = lasting_port()
        with Server("--listen", "127.0.0.1:%d" % port, "--store", store, *ACKED) as server, \
                weir("verify", "--ledger", ledger, "-n", "1000000", "--rate", "1000", "--give-up", "1s", str(port)) \
                as sender:
            wait_until_acknowledged(sender, ledger)
            server.kill()
            assert sender.wait() == 3
            assert "connection refused" in sender.stderr.text()
            assert "acknowledged" in sender.stdout.text()
        assert ALL_WELL in check(ledger, store)


def test_ledger_that_cannot_be_written_ends_it():
    with a_folder() as (store, ledger):
        with Server("--store", store, *ACKED) as server:
            _, error = verify(ledger, server.port, wrap=["prlimit", "--fsize=3000"], status=1)
            assert "ledger %s: file too large" % ledger in error, error
        assert ALL_WELL in check(ledger, store)
        with Server("--store", store, *ACKED) as server:  # what was not written whole is cut off
            verify(ledger, server.port)
        assert ALL_WELL in check(ledger, store)


def test_what_makes_no_sense_is_refused():
    assert "--ledger" in usage("8000")
    assert "verify what?" in usage("--ledger", "l")
    assert "a read is not a message" in usage("--ledger", "l", "--frame", "raw", "8000")
    assert "check which store?" in usage("--ledger", "l", "--check")
    assert "sends nothing" in usage("--ledger", "l", "--check", "--store", "s", "8000")
    assert "--store is for --check" in usage("--ledger", "l", "--store", "s", "8000")
    assert "too few" in usage("--ledger", "l", "-s", "14", "8000")
    assert "too few" in usage("--ledger", "l", "--frame", "fixed:14", "8000")
    assert "do not arrive as they are" in usage("--ledger", "l", "--frame", "delimiter:a", "8000")
    assert "do not arrive as they are" in usage("--ledger", "l", "--frame", "fixed:64", "-s", "63", "8000")
    assert "do not arrive as they are" in usage("--ledger", "l", "--frame", "length:u8", "-s", "256", "8000")


# ---- Going on ----

def test_goes_on_with_a_server_that_was_killed_and_came_back():
    """With as many in flight as may be, so that some are always without their acknowledgement."""
    with a_folder() as (store, ledger):
        port = lasting_port()
        options = ["--listen", "127.0.0.1:%d" % port, "--store", store] + ACKED
        behind = 0
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(Server(*options))
            sender = stack.enter_context(weir("verify", "--ledger", ledger, "-n", "1000000000", str(port)))
            for _ in range(2):
                wait_until_acknowledged(sender, ledger, behind)
                server.kill()
                behind = os.path.getsize(ledger)
                server = stack.enter_context(Server(*options))
            wait_until_acknowledged(sender, ledger, behind)
            assert sender.stop(signal.SIGINT) == 0, sender.stderr.text()
            output = sender.stdout.text()
        assert counted(r"(\d+) lost", output) > 0, output
        assert counted(r"(\d+) of them again", output) > 0, output
        acknowledged = counted(r"acknowledged +([\d,]+)", output)
        output = check(ledger, store)
        assert ALL_WELL in output, output
        assert counted(r"acknowledged +([\d,]+)", output) == acknowledged, output


def test_interrupt_ends_it_with_its_result():
    with a_folder() as (store, ledger):
        with Server("--store", store, *ACKED) as server, \
                weir("verify", "--ledger", ledger, "-n", "1000000", "--rate", "2000", str(server.port)) as sender:
            wait_until_acknowledged(sender, ledger)
            assert sender.stop(signal.SIGINT) == 0
            assert counted(r"acknowledged +([\d,]+)", sender.stdout.text()) > 0
            assert ALL_WELL in check(ledger, store)


def test_progress_is_shown_on_a_terminal():
    with a_folder() as (store, ledger), Server("--store", store, *ACKED) as server, \
            weir("verify", "--ledger", ledger, "-n", "1000000", "--rate", "2000", str(server.port), terminal=True,
                 columns=80) as sender:
        sender.wait_stdout(r"acknowledged [\d,]+ of 1,000,000   \d+/s   10 open   lost 0   resent 0")
        assert sender.stop(signal.SIGINT) == 0
        assert "\r\033[Krun " in sender.stdout.text()  # it is taken off before the result


# ---- The check ----

def changed(store, *statements):
    """A copy of the store in which something was changed."""
    copy = store + ".copy"
    with contextlib.suppress(FileNotFoundError):
        os.remove(copy)
    shutil.copy(store, copy)
    with contextlib.closing(sqlite3.connect(copy)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount == 1, statement
        db.commit()
    return copy


def test_check_finds_what_was_done_to_the_store():
    with a_folder() as (store, ledger):
        with Server("--store", store, *ACKED) as server:
            verify(ledger, server.port, "-n", 500, "-c", 1)
        assert ALL_WELL in check(ledger, store)

        output = check(ledger, changed(store, "DELETE FROM message WHERE seq = 300"), 7)
        assert re.search(r"^missing: message 300 of connection 1 of run [0-9a-f]{8}$", output, re.M), output
        assert "missing 1, altered 0, out of order 0, too often 0" in output

        # The last byte of it; the row's checksum is left, or made good: neither is believed.
        for checksum in "crc32c", "crc32c + 1":
            output = check(ledger, changed(store, "UPDATE message SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) ||"
                                           " x'7a' AS BLOB), crc32c = %s WHERE seq = 301" % checksum), 7)
            assert re.search("^altered: message 301 of connection 1 of run .*, message 301 of the store$", output, re.M), \
                output
            assert "missing 0, altered 1, out of order 0, too often 0" in output

        output = check(ledger, changed(store, "UPDATE message SET id = -1 WHERE id = 302",
                                       "UPDATE message SET id = 302 WHERE id = 303",
                                       "UPDATE message SET id = 303 WHERE id = -1"), 7)
        assert "out of order: message 302 of connection 1" in output, output
        assert "missing 0, altered 0, out of order 1, too often 0" in output

        output = check(ledger, changed(store, "INSERT INTO message SELECT 1000, connection, direction, seq, time, previous,"
                                       " flags, original_len, crc32c, bytes FROM message WHERE seq = 304"), 7)
        assert re.search("^stored more often than sent: message 304 of .*; stored 2 times, sent 1 times$", output, re.M), \
            output
        assert "missing 0, altered 0, out of order 0, too often 1" in output


def delete(store, which):
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("DELETE FROM message WHERE " + which)
        db.commit()


def test_check_of_many_losses_names_the_first():
    with a_folder() as (store, ledger):
        with Server("--store", store, *ACKED) as server:
            verify(ledger, server.port, "-n", 500, "-c", 1)
        delete(store, "seq > 100")
        output = check(ledger, store, 7)
        assert "the store begins" not in output, output
        assert [int(number) for number in re.findall("missing: message (\\d+)", output)] == [101, 102, 103, 104, 105]
        assert "missing: and 395 more" in output, output


def test_check_says_where_a_store_begins_whose_oldest_messages_were_deleted():
    with a_folder() as (store, ledger):
        with Server("--store", store, *ACKED) as server:
            verify(ledger, server.port, "-n", 50, "-c", 1)
        delete(store, "seq <= 10")
        output = check(ledger, store, 7)
        assert "missing: and 5 more" in output and "the store begins with message 11: " in output, output


def test_check_of_what_is_not_there():
    with a_folder() as (store, ledger):
        with Server("--store", store, *ACKED) as server:
            verify(ledger, server.port, "-n", 10)
        assert "no such file" in check(ledger + "x", store, 1).lower()
        assert store + "x" in check(ledger, store + "x", 1)
        with open(ledger, "a", encoding="ascii") as file:
            file.write("received 1 1-3\n")
        assert re.search(r"ledger .*: line \d+ is none of a ledger's", check(ledger, store, 1))


def test_runs_and_others_on_one_store_do_not_mix():
    with a_folder() as (store, ledger), Server("--store", store, *ACKED) as server:
        verify(ledger, server.port, "-n", 100)
        verify(ledger + "2", server.port, "-n", 50)
        verify(ledger, server.port, "-n", 100, "-s", 40)
        with server.connect() as client:
            client.sendall(b"a meter's reading\n")
            client.recv(10)
        output = check(ledger, store)
        assert ALL_WELL in output and "200 messages in 2 runs" in output and "51 not of this ledger" in output, output
        assert "201 not of this ledger" in check(ledger + "2", store)
