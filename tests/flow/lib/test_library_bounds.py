# SPDX-License-Identifier: BSD-3-Clause
"""Every bound of the engine, hit."""
import re
import signal
import socket
import struct
import threading

from harness import DEADLINE, FLAVOUR, PATIENCE, recv_all, recv_exactly, reset, skip, wait_for
from lab import Lab, Stopwatch, worker_counts

KIB, MIB = 1 << 10, 1 << 20


def echoes(client, line=b"hello\n"):
    client.sendall(line)
    assert recv_exactly(client, len(line)) == line


def ended(client):
    """The server has closed it: with a FIN, or with a reset where what we sent was not read."""
    try:
        return recv_all(client) == b""
    except ConnectionResetError:
        return True


# ---- Clients and accepting ----

def test_clients_max_closes_further_clients_at_once():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, clients_max=3) as lab:
            clients = [lab.connect() for _ in range(3)]
            for client in clients:
                echoes(client)
            further = [lab.connect() for _ in range(5)]
            assert all(ended(client) for client in further)
            wait_for(lambda: lab.counters()["closed"]["too many clients"] == 5, "the count")
            counters = lab.counters()
            assert counters["clients"] == counters["clients_max"] == counters["accepted"] == 3, counters
            for client in clients:
                echoes(client)
            clients.pop().close()
            lab.wait_events("close")
            clients.append(lab.connect())
            for client in clients:
                echoes(client)
                client.close()
            assert len(lab.wait_events("close", 4)) == 4  # those that never opened have no on_close


def refusals(lab):
    """What the log says of refused clients: (how many a line tells of, the line)."""
    found = []
    for line in lab.stderr.text().splitlines():
        more = re.search(r"\(and (\d+) more like this\)|(\d+) more lines? about refused clients", line)
        if "a client was refused" in line:
            found.append((1 + int(more[1] if more else 0), line))
        elif more:
            found.append((int(more[2]), line))
    return found


def test_refused_clients_that_no_next_line_tells_of_are_told_by_themselves():
    with Lab(frame="line", clients_max=1) as lab, lab.connect():
        lab.wait_events("open")
        for _ in range(20):
            assert ended(lab.connect())
        wait_for(lambda: sum(count for count, _ in refusals(lab)) == 20, "all to be told of")
        assert len(refusals(lab)) <= 3, refusals(lab)
        for _ in range(5):
            assert ended(lab.connect())
        wait_for(lambda: lab.counters()["closed"]["too many clients"] == 25, "the count")
        lab.tell("stop", 5000)  # the end does not wait for the second to be over
        lab.end()
        assert sum(count for count, _ in refusals(lab)) == 25, refusals(lab)


def test_refused_clients_are_logged_once_a_second_and_counted():
    with Lab(frame="line", clients_max=1, linger_timeout_ms=100) as lab, lab.connect():
        lab.wait_events("open")
        watch = Stopwatch()
        refused = 0

        def lines():
            return refusals(lab)

        def told():
            return sum(count for count, _ in lines())
        # Who is refused after a line is told of in the next, so that with a line that we see at once all are told of.
        while len(lines()) < 3 or told() < refused:
            assert ended(lab.connect())
            refused += 1
            wait_for(lambda: lab.counters()["closed"]["too many clients"] == refused, "the count")
            lab.settle()  # the line comes behind the count
            assert watch.seconds() < DEADLINE, (told(), refused, lines())
        assert told() == refused, (told(), refused, lines())
        assert watch.seconds() > len(lines()) - 1.01, "%d lines after %g s" % (len(lines()), watch.seconds())


def test_dialled_connections_count_as_clients():
    with Lab(frame="line", mode="echo", clients_max=2) as lab:
        lab.tell("dial", lab.urls[0])
        lab.wait_events("open", 2)  # both ends are here
        assert ended(lab.connect())
        assert lab.counters()["clients"] == 2


def test_accepts_in_one_wake_up_are_bounded():
    with Lab(frame="line", mode="echo", accepts_max=4, workers=1) as lab:
        lab.ask("block", 0, answer="blocked")
        clients = [lab.connect() for _ in range(64)]
        lab.tell("unblock")
        lab.wait_events("open", 64)
        counters = lab.counters()
        assert counters["accepted"] == 64 and counters["turn_opens_max"] == 4, counters
        for client in clients:
            client.close()


# ---- What one connection may take of a turn ----

class Flood:
    """A client that sends without end, and takes what comes back."""

    def __init__(self, client, data):
        self.client, self.data, self.over = client, data, threading.Event()
        self.threads = [threading.Thread(target=self._send), threading.Thread(target=self._take)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        try:
            while not self.over.is_set():
                self.client.sendall(self.data)
        except OSError:
            pass

    def _take(self):
        try:
            while self.client.recv(MIB):
                pass
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.client.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(DEADLINE)
        self.client.close()


def test_polite_client_beside_one_that_floods():
    """wake_messages_max: whoever has had his number of messages waits until the others have had theirs."""
    with Lab(frame="line", mode="echo", workers=1, wake_messages_max=50, quiet=1) as lab, lab.connect() as polite:
        echoes(polite)
        with Flood(lab.connect(), b"x\n" * 100000):
            wait_for(lambda: lab.counters()["messages_in"] > 100000, "the flood")
            before = lab.counters()
            for _ in range(100):
                echoes(polite)
            after = lab.counters()
            # The flooder's share, once, and some of the polite client's.
            assert after["turn_messages_max"] <= 50 + 2, after
            assert after["messages_in"] - before["messages_in"] > 100, "there was no flood"


def test_bytes_of_one_connection_in_a_turn_are_bounded():
    with Lab(frame="delimiter:|", mode="none", workers=1, wake_bytes_max=64 * KIB, quiet=1,
             message_bytes_max=8 * KIB) as lab:
        lab.ask("block", 0, answer="blocked")
        client = lab.connect()
        writer = threading.Thread(target=client.sendall, args=((b"x" * 1023 + b"|") * 4096,))
        writer.start()
        lab.tell("unblock")
        wait_for(lambda: lab.counters()["messages_in"] == 4096, "all of it")
        writer.join(DEADLINE)
        # A read takes in up to 64 KiB, and may begin with one byte of the share left.
        assert lab.counters()["turn_messages_max"] <= 2 * 64 + 2, lab.counters()
        client.close()


# ---- Messages that are too long ----

def test_too_long_close():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, message_bytes_max=100) as lab, lab.connect() as client:
            client.sendall(b"a" * 100 + b"\n" + b"b" * 101 + b"\nnever seen\n")
            assert recv_all(client) == b"a" * 100 + b"\n"  # its answer leaves before the end
            client.close()
            lab.expect_closed(1, "message too long")
            assert len(lab.events("message")) == 1


def test_too_long_without_an_end_is_closed_in_bounded_memory():
    with Lab(frame="line", message_bytes_max=100000, linger_timeout_ms=100) as lab, lab.connect() as client:
        try:
            for _ in range(1000):
                client.sendall(b"a" * 100000)
        except (ConnectionResetError, BrokenPipeError):
            pass
        lab.expect_closed(1, "message too long")
        assert lab.counters()["memory_bytes"] < 2 * MIB


def test_too_long_skip():
    with Lab(frame="line", mode="echo", too_long=1, message_bytes_max=100) as lab, lab.connect() as client:
        client.sendall(b"one\n" + b"b" * 101 + b"\ntwo\n" + b"c" * 500000 + b"\nthree\n")
        assert recv_exactly(client, 14) == b"one\ntwo\nthree\n"
        assert [event["seq"] for event in lab.wait_events("message", 3)] == [1, 3, 5]  # skipped ones count
        counters = lab.counters()
        assert counters["messages_in"] == 5 and counters["messages_skipped"] == 2, counters
        assert counters["memory_bytes"] < MIB


def test_too_long_truncate():
    with Lab(frame="line", mode="echo", too_long=2, message_bytes_max=100) as lab, lab.connect() as client:
        client.sendall(b"one\n" + b"b" * 101 + b"\ntwo\n" + b"c" * 500000 + b"\n")
        assert recv_exactly(client, 4 + 101 + 4 + 101) == b"one\n" + b"b" * 100 + b"\ntwo\n" + b"c" * 100 + b"\n"
        events = lab.wait_events("message", 4)
        assert [event["flags"] for event in events] == [0, 1, 0, 1]  # WEIR_MESSAGE_TRUNCATED
        assert [event["original_len"] for event in events] == [3, 101, 3, 500000]
        assert lab.counters()["messages_truncated"] == 2


def test_lengths_that_lie_take_no_memory():
    for length in (101, 1 << 31, (1 << 32) - 1):
        with Lab(frame="length:u32be", mode="echo", message_bytes_max=100) as lab, lab.connect() as client:
            client.sendall(struct.pack(">I", length) + b"x" * 10)
            assert ended(client)
            client.close()
            lab.expect_closed(1, "message too long")
            assert lab.counters()["memory_bytes"] < 64 * KIB


# ---- Output ----

def test_client_that_never_reads_stops_its_own_input():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, output_bytes_max=100000, message_bytes_max=20000,
                 quiet=1) as lab, lab.connect(receive_buffer=4096) as greedy, lab.connect() as polite:
            wait_for(lambda: lab.counters()["clients"] == 2, "both")
            greedy.settimeout(0.5 * PATIENCE)
            sent, counters = 0, {"output_bytes": 0}
            while counters["output_bytes"] < 100000:
                try:
                    while True:
                        sent += greedy.send((b"y" * 9999 + b"\n")[sent % 10000:])
                        assert sent < 256 * MIB, "its input does not stop"
                except TimeoutError:  # nobody takes it in any more, or somebody is slow
                    counters = lab.ask("conn", 1, "counters", answer="conn_counters")
            assert 100000 <= counters["output_bytes"] <= 120002, counters
            assert counters["messages_in"] == counters["messages_out"], counters  # every message had its answer
            assert lab.counters()["memory_bytes"] < MIB
            echoes(polite)
            greedy.settimeout(DEADLINE)
            whole = sent // 10000 * 10000
            assert recv_exactly(greedy, whole) == (b"y" * 9999 + b"\n") * (whole // 10000)
            assert len([event for event in lab.wait_events("writable") if event["conn"] == 1]) >= 1


def test_sending_fails_above_the_hard_cap():
    with Lab(frame="line", mode="verbs", output_bytes_max=100000, message_bytes_max=50000) as lab, \
            lab.connect(receive_buffer=4096) as client:
        client.sendall(b"counters\n")
        lab.wait_events("did")

        def results():
            return [event["result"] for event in lab.events("did") if event["verb"] == "big"]
        while -105 not in results():  # -ENOBUFS
            lab.tell("conn", 1, "big", 49999)
            lab.settle()
            assert len(results()) < 1000, "the output has no bound"
        assert set(results()) == {0, 1, -105} and results()[-2] == 1, results()
        assert lab.ask("conn", 1, "counters", answer="conn_counters")["output_bytes"] <= 150001
        sent = (len(results()) - 1) * 50000
        assert len(recv_exactly(client, sent)) == sent  # what was refused left no trace
        lab.tell("conn", 1, "send", "bye")
        assert recv_exactly(client, 4) == b"bye\n"


# ---- Memory in total ----

def half_sent(lab, total, sent):
    """A client that has claimed so many bytes, and sent some of them."""
    client = lab.connect()
    client.sendall(struct.pack(">I", total) + b"m" * sent)
    return client


def test_memory_max_closes_those_who_hold_the_most():
    for workers in worker_counts():
        with Lab(frame="length:u32be", mode="echo", workers=workers, memory_bytes_max=4 * MIB, quiet=1,
                 linger_timeout_ms=100) as lab:
            small = [half_sent(lab, 100, 50) for _ in range(10)]
            wait_for(lambda: lab.counters()["bytes_in"] == 540, "the small ones")
            large = []
            for i in range(12):
                try:
                    large.append(half_sent(lab, MIB, 900 * KIB))
                except (ConnectionResetError, BrokenPipeError):  # it held the most already
                    assert i > 0
                wait_for(lambda n=i: lab.counters()["bytes_in"] == 540 + (n + 1) * (900 * KIB + 4)
                         or len(lab.events("close")) > 0, "the large ones")
            wait_for(lambda: lab.counters()["closed"]["out of memory"] >= 1, "somebody to be closed")
            wait_for(lambda: lab.counters()["memory_bytes"] <= 4 * MIB, "the total to be bounded")
            lab.wait_events("close")
            assert {event["reason"] for event in lab.events("close")} == {"out of memory"}
            assert min(event["conn"] for event in lab.events("close")) > 10, lab.events("close")
            for client in small:
                client.sendall(b"m" * 50)
                assert recv_exactly(client, 104) == struct.pack(">I", 100) + b"m" * 100
                client.close()
            for client in large:
                reset(client)


def test_memory_max_holds_within_a_turn():
    """However many sockets are ready at once, those that pass the bound are closed before the next one is read."""
    if FLAVOUR != "release":
        skip("a sanitizer's own memory is in the figure")
    with Lab(frame="length:u32be", mode="echo", workers=1, memory_bytes_max=2 * MIB, quiet=1) as lab:
        clients = [lab.connect() for _ in range(100)]
        wait_for(lambda: lab.counters()["clients"] == len(clients), "the clients")
        before = lab.memory_bytes()
        lab.send_signal(signal.SIGSTOP)
        for client in clients:
            client.sendall(struct.pack(">I", MIB) + b"m" * 200 * KIB)
        lab.send_signal(signal.SIGCONT)
        wait_for(lambda: lab.counters()["closed"]["out of memory"] >= 80, "most to be closed")
        grown = lab.peak_memory_bytes() - before
        assert grown < 6 * MIB, "memory has grown by %d bytes" % grown
        for client in clients:
            reset(client)


def test_memory_held_on_one_worker_does_not_cost_the_clients_of_another():
    """Whoever fills the memory must go, wherever he is served; not whoever happens to come after him."""
    with Lab(frame="length:u32be", mode="echo", workers=2, memory_bytes_max=4 * MIB, quiet=1) as lab:
        # Ids count up from 1, and the worker is id % 2: the hogs are the odd ones, the others the even.
        hogs, others, busy, sent = [], [], [], 0

        def sends(client, total):
            client.sendall(struct.pack(">I", total) + b"m" * 100 * KIB)
            wait_for(lambda: lab.counters()["bytes_in"] == sent, "what was sent")
        # What holds 100 KiB has 100 to 250 KiB of memory, as the reads were cut.
        while lab.counters()["memory_bytes"] < 3.3 * MIB:
            hogs.append(lab.connect())
            others.append(lab.connect())
            sent += 4 + 100 * KIB
            sends(hogs[-1], MIB)
        assert lab.events("close") == []
        while not lab.events("close"):
            busy.append(others[len(busy)])
            sent += 4 + 100 * KIB
            sends(busy[-1], 200 * KIB)
            wait_for(lambda: lab.counters()["memory_bytes"] <= 4 * MIB, "the total to be bounded")
        assert {event["conn"] % 2 for event in lab.events("close")} == {1}, lab.events("close")
        for client in busy:
            client.sendall(b"m" * 100 * KIB)
            assert len(recv_exactly(client, 200 * KIB + 4)) == 200 * KIB + 4
        assert {event["conn"] % 2 for event in lab.events("close")} == {1}, lab.events("close")
        for client in hogs + others:
            reset(client)


def test_memory_is_given_back():
    for workers in worker_counts():
        with Lab(frame="length:u32be", mode="echo", workers=workers, quiet=1) as lab:
            before = lab.counters()["memory_bytes"]
            clients = [half_sent(lab, MIB, MIB - 1) for _ in range(8)]
            wait_for(lambda: lab.counters()["bytes_in"] == 8 * (MIB + 3), "the first half")
            assert lab.counters()["memory_bytes"] >= 8 * (MIB - 1)
            for client in clients[:4]:
                client.sendall(b"m")
                assert len(recv_exactly(client, MIB + 4)) == MIB + 4
            for client in clients:
                client.close()
            lab.wait_events("close", 8)
            # The last is buried behind its event. Small pieces may be kept spare.
            wait_for(lambda: lab.counters()["memory_bytes"] <= before + 256 * KIB, "the memory")
