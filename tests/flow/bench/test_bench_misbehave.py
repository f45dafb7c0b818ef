# SPDX-License-Identifier: BSD-3-Clause
"""weir bench --misbehave: each fault is committed, and what the server did about it is told as it was: of weir, and of
servers that are wrong on purpose."""
import json
import os
import re
import socket
import threading

from harness import DEADLINE, PATIENCE, ROOT, Server, listener, run_weir

CLIENTS = 4


def misbehave(port, fault, *options, seconds=1):
    """What the bench says of the faulty clients."""
    status, out, err = run_weir("bench", "--json", "--frame", "line", "-c", CLIENTS, "-d", "%dms" % (1000 * seconds),
                                "--misbehave", fault, *options, str(port), deadline=DEADLINE + 5 * seconds)
    assert status == 0, (status, err)
    found = json.loads(out)["misbehave"]
    assert found["fault"] == fault.split("=")[0]
    return found


def told(port, fault, *options):
    """The same, for people."""
    status, out, err = run_weir("bench", "--frame", "line", "-c", CLIENTS, "-d", "500ms", "--misbehave", fault, *options,
                                str(port))
    assert status == 0, (status, err)
    return out


class Wrong:
    """A server that does one thing wrong: `serve` is given each client's socket, in a thread of its own."""

    def __init__(self, serve):
        self._serve = serve
        self._sock = listener()
        self.port = self._sock.getsockname()[1]
        self.errors = []
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._sock.close()

    def _accept(self):
        while True:
            try:
                sock = self._sock.accept()[0]
            except OSError:
                return
            sock.settimeout(DEADLINE)
            threading.Thread(target=self._client, args=(sock,), daemon=True).start()

    def _client(self, sock):
        with sock:
            try:
                self._serve(sock)
            except OSError as error:
                self.errors.append(type(error))

    def keep(self):
        """Waits until the test is over."""
        self._ended.wait(DEADLINE)


def echo_lines(sock):
    """Right, but for what comes of it at the end: answers whole lines, and returns at the client's end."""
    rest = b""
    while True:
        data = sock.recv(65536)
        if not data:
            return
        lines, newline, rest = (rest + data).rpartition(b"\n")
        sock.sendall(lines + newline)


# ---- split ----

def test_split_messages_are_answered():
    with Server("--frame", "line", "--reply", "echo") as server:
        found = misbehave(server.port, "split")
    assert found["connections"] == CLIENTS and found["open"]["count"] == CLIENTS, found
    assert found["messages"] >= found["answers"] > CLIENTS, found
    assert found["messages"] - found["answers"] <= CLIENTS, found
    assert found["answers_as_sent"] == found["answers"], found
    assert found["pieces"] >= 129 * found["messages"], found  # a byte each, and the line's end


def test_split_messages_are_in_pieces_on_the_wire():
    sizes = []

    def serve(sock):
        while (data := sock.recv(65536)):
            sizes.append(len(data))
            if data.endswith(b"\n"):
                sock.sendall(b"\n")

    with Wrong(serve) as server:
        found = misbehave(server.port, "split")
    assert found["answers"] and found["answers_as_sent"] == 0, found
    assert sizes.count(1) > 10, sizes[:1000]  # those that the kernel has not put together


def test_long_split_messages_are_cut_anywhere():
    with Server("--frame", "line", "--reply", "echo") as server:
        found = misbehave(server.port, "split", "-s", "16KiB", seconds=PATIENCE)  # a slow tool takes a second for one
    assert found["messages"] and found["answers_as_sent"] == found["answers"] > 0, found
    assert 500 * found["messages"] < found["pieces"] < 2000 * (found["messages"] + CLIENTS), found


def test_split_over_raw():
    with Server("--reply", "echo") as server:
        found = misbehave(server.port, "split", "--frame", "raw")
    assert found["answers_as_sent"] == found["answers"] > CLIENTS, found


def test_a_server_that_takes_each_read_for_a_message_is_seen():
    def serve(sock):
        while sock.recv(65536):
            sock.sendall(b"what\n")

    with Wrong(serve) as server:
        found = misbehave(server.port, "split")
    assert found["answers"] and found["answers_as_sent"] == 0 and found["answered_half"], found


# ---- half ----

def test_half_messages_are_dropped_and_whole_ones_answered():
    with Server("--frame", "line", "--reply", "echo") as server:
        found = misbehave(server.port, "half", "-p", "3")
    assert found["messages"] == 3 * found["connections"] > 0, found
    assert found["closed"]["count"] == found["answered"] == found["connections"] > CLIENTS, found


def test_a_server_that_drops_answers_at_the_end_is_seen():
    def serve(sock):
        while sock.recv(65536):
            pass

    with Wrong(serve) as server:
        found = misbehave(server.port, "half")
    assert found["answered"] == 0 and found["closed"]["count"] > CLIENTS, found


def test_a_server_that_keeps_what_has_ended_is_seen():
    def serve(sock):
        echo_lines(sock)
        server.keep()

    with Wrong(serve) as server:
        found = misbehave(server.port, "half")
    assert found["answered"] == found["open"]["count"] == found["connections"] == CLIENTS, found
    assert found["open"]["least_ms"] > 300, found
    assert found["answered_half"] == 0, found


# ---- reset ----

def test_resets_are_resets_and_the_next_one_is_served():
    def serve(sock):
        echo_lines(sock)

    with Wrong(serve) as server:
        found = misbehave(server.port, "reset")
    assert found["reset_by_us"] == found["answered"] > CLIENTS, found
    assert found["connects_failed"] == 0, found
    assert server.errors.count(ConnectionResetError) >= found["reset_by_us"] - CLIENTS, (found, server.errors)


def test_weir_survives_resets():
    with Server("--frame", "line", "--reply", "echo") as server:
        found = misbehave(server.port, "reset")
        assert found["reset_by_us"] == found["answered"] > CLIENTS, found
        assert found["connects_failed"] == 0, found
        assert found["closed"]["count"] == found["reset"]["count"] == 0, found


def test_a_server_that_dies_of_a_reset_is_seen():
    def serve(sock):
        try:
            echo_lines(sock)
        except ConnectionResetError:
            server._sock.shutdown(socket.SHUT_RDWR)

    with Wrong(serve) as server:
        found = misbehave(server.port, "reset")
    assert found["reset_by_us"] >= 1 and found["connects_failed"] >= 1, found


# ---- silent ----

def test_silent_clients_are_closed_at_the_idle_timeout():
    with Server("--idle-timeout", "300ms") as server:
        found = misbehave(server.port, "silent", seconds=2 * PATIENCE)
    assert found["closed"]["count"] == found["connections"] == CLIENTS, found
    assert found["closed"]["least_ms"] > 250, found  # weir's clock has read the time before ours did
    assert found["bytes_out"] == found["bytes_in"] == 0, found


def test_silent_clients_may_stay():
    with Server() as server:
        found = misbehave(server.port, "silent")
        assert found["open"]["count"] == found["connections"] == CLIENTS, found
        assert found["open"]["least_ms"] > 900, found
        assert "4 connections still open at the end" in told(server.port, "silent")


# ---- slow-read ----

def test_clients_that_do_not_read_are_held_back_and_reset():
    with Server("--frame", "line", "--reply", "echo", "--write-timeout", "300ms") as server:
        found = misbehave(server.port, "slow-read", seconds=4 * PATIENCE)
    assert found["reset"]["count"] == found["connections"] == CLIENTS, found
    assert found["taken_whole"] == 0, found
    assert 0 < found["bytes_out_most"] < 64 << 20, found
    assert found["bytes_in"] == 0, found


def test_a_server_that_takes_everything_is_seen():
    def serve(sock):
        while sock.recv(1 << 20):
            pass

    with Wrong(serve) as server:
        found = misbehave(server.port, "slow-read", "-s", "16KiB", "-c", "1", seconds=4 * PATIENCE)
    assert found["taken_whole"] == 1 and found["bytes_out"] >= 64 << 20, found


# ---- garbage ----

def test_garbage_is_taken_or_refused():
    with Server("--frame", "line", "--reply", "echo") as server:
        found = misbehave(server.port, "garbage")
        assert found["taken_whole"] == found["closed"]["count"] == found["connections"] >= CLIENTS, found
        assert found["bytes_out"] == 65536 * found["connections"], found
    with Server("--frame", "line", "--max-frame", "2") as server:
        found = misbehave(server.port, "garbage")
        assert found["connections"] > CLIENTS and found["taken_whole"] == 0, found
        assert found["closed"]["count"] + found["reset"]["count"] == found["connections"], found


def garbage_of(seed):
    """What the first client of a run with that seed sends first."""
    streams = []

    def serve(sock):
        stream = bytearray()
        streams.append(stream)
        while (data := sock.recv(65536)):
            stream += data

    with Wrong(serve) as server:
        found = misbehave(server.port, "garbage", "-c", "1", "--seed", seed)
    assert found["seed"] == seed, found
    return bytes(streams[0])


def test_garbage_of_the_same_seed_is_the_same():
    first = garbage_of(7)
    assert len(first) == 65536
    assert garbage_of(7) == first
    assert garbage_of(8) != first


# ---- The object, and beside those that behave ----

def documented():
    """The members of the object, and of `misbehave` in it, in docs/json.md."""
    with open(os.path.join(ROOT, "docs", "json.md"), encoding="utf-8") as file:
        whole, _, faulty = file.read().partition("## `weir bench --json`")[2].partition("`misbehave` is about")
    return members(whole), members(faulty)


def members(section):
    names = re.findall(r"^\| (`[^|]*) \| (?:string|number|object) \|", section, re.M)
    return {name for cell in names for name in re.findall(r"`(\w+)`", cell)}


def test_the_object_is_as_documented():
    whole, faulty = documented()
    with Server("--reply", "echo") as server:
        _, out, _ = run_weir("bench", "--json", "-c", "2", "-d", "300ms", "--misbehave", "half=50", str(server.port))
    assert set(json.loads(out)) == whole, set(json.loads(out)) ^ whole
    found = json.loads(out)["misbehave"]
    assert set(found) == faulty, set(found) ^ faulty
    for end in ("closed", "reset", "open"):
        assert set(found[end]) == {"count", "least_ms", "most_ms"}, found


def test_a_share_of_the_connections():
    with Server("--frame", "line", "--reply", "echo") as server:
        assert misbehave(server.port, "silent=50")["connections"] == CLIENTS // 2
        assert misbehave(server.port, "silent=1")["connections"] == 1


def test_those_that_behave_are_told_of_first_if_there_are_any():
    with Server("--frame", "line", "--reply", "echo") as server:
        both = told(server.port, "half=50")
        assert re.search(r"^errors .*\n\nhalf ", both, re.M) and both.startswith("4 connections to"), both
        assert told(server.port, "half").startswith("half "), both
    status, _, err = run_weir("bench", "-n", "10", "--misbehave", "half", "8000")
    assert status == 2 and "how long is it to last" in err, (status, err)


def test_nobody_there():
    with listener(backlog=0) as sock:
        port = sock.getsockname()[1]
    status, out, _ = run_weir("bench", "--json", "-c", "1", "-d", "300ms", "--misbehave", "half", str(port))
    assert status in (0, 3), status
    if out:
        found = json.loads(out)["misbehave"]
        assert found["connections"] == 0 and found["connects_failed"] >= 1, found


def test_a_fault_that_there_is_not():
    for wrong, sentence in (("splits", "'splits' is not one of split, half, reset, silent, slow-read, garbage"),
                            ("", "'' is not one of split, half, reset, silent, slow-read, garbage"),
                            ("split=0", "'0' is not a share of 1 to 100 percent"),
                            ("split=101", "'101' is not a share of 1 to 100 percent"),
                            ("split=", "'' is not a share of 1 to 100 percent")):
        status, _, err = run_weir("bench", "--misbehave", wrong, "8000")
        assert status == 2 and sentence in err, (wrong, status, err)
