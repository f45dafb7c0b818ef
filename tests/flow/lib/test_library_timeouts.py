# SPDX-License-Identifier: BSD-3-Clause
"""Every timeout of a connection: it fires, not early, and not much later; and what must keep it from firing does.
Lingering and draining are in test_library_closing.py, connecting in test_library_dialling.py, and a slow but steady
reader in test_flood.py."""
import time

from harness import PATIENCE, expect_eof, in_time, recv_exactly, recv_until, wait_for, within
from lab import MAY_BE_LATE, Lab, Stopwatch, cpu_share, worker_counts

EARLY = 0.002  # two clocks of whole milliseconds


def expect_within(watch, seconds):
    assert seconds - EARLY <= watch.seconds() < seconds + MAY_BE_LATE * PATIENCE, watch.seconds()


def pass_time(seconds):
    watch = Stopwatch()
    wait_for(lambda: watch.seconds() >= seconds, "time to pass")


def test_idle_timeout():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, idle_timeout_ms=300) as lab:
            watch = Stopwatch()
            with lab.connect() as client:
                expect_eof(client)
                expect_within(watch, 0.3)
                lab.expect_closed(1, "idle timeout")


@in_time
def test_idle_timeout_starts_again_with_each_byte_received():
    with Lab(frame="line", mode="none", idle_timeout_ms=800) as lab:
        with within(0.4):  # half the time: the next byte is in time when both rounds are
            client = lab.connect()
        for _ in range(8):
            watch = Stopwatch()  # before: the server may have read it before we go on
            with within(0.4):
                client.sendall(b"x")
                pass_time(0.15)
        expect_eof(client)
        expect_within(watch, 0.8)
        lab.expect_closed(1, "idle timeout")
        client.close()


@in_time
def test_idle_timeout_starts_again_with_what_is_sent():
    with Lab(frame="line", mode="none", idle_timeout_ms=800) as lab:
        with within(0.4):
            client = lab.connect()
            lab.wait_events("open")
        for _ in range(8):
            watch = Stopwatch()
            with within(0.4):
                lab.tell("send", 1, "hello")
                assert recv_until(client, b"\n") == b"hello\n"
                pass_time(0.15)
        expect_eof(client)
        expect_within(watch, 0.8)
        client.close()


def test_no_idle_timeout_by_default():
    with Lab(frame="line", mode="echo") as lab, lab.connect() as client:
        lab.wait_events("open")
        assert cpu_share(lab, 0.5) < 0.1
        client.sendall(b"hello\n")
        assert recv_until(client, b"\n") == b"hello\n"


def test_frame_timeout():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, frame_timeout_ms=300) as lab, lab.connect() as client:
            client.sendall(b"whole\n")
            assert recv_until(client, b"\n") == b"whole\n"
            watch = Stopwatch()
            client.sendall(b"half")
            expect_eof(client)
            expect_within(watch, 0.3)
            lab.expect_closed(1, "frame timeout")


def test_frame_timeout_of_a_slow_loris():
    """One byte at a time buys no time."""
    with Lab(frame="line", mode="echo", frame_timeout_ms=400) as lab, lab.connect() as client:
        watch = Stopwatch()
        while not lab.events("close"):
            try:
                client.sendall(b"x")
            except (ConnectionResetError, BrokenPipeError):
                break
            pass_time(0.02)
            assert watch.seconds() < 5 * PATIENCE, "it is never closed"
        expect_within(watch, 0.4)
        lab.expect_closed(1, "frame timeout")


@in_time
def test_frame_timeout_begins_with_each_message():
    with Lab(frame="length:u16be", mode="echo", frame_timeout_ms=800) as lab, lab.connect() as client:
        client.sendall(b"\x00")
        for _ in range(8):  # the end of one and the beginning of the next always come together
            with within(0.4):  # half the time: an end is in time when this round and the last one are
                pass_time(0.15)
                watch = Stopwatch()
                client.sendall(b"\x02ab\x00")
                assert recv_exactly(client, 4) == b"\x00\x02ab"
        expect_eof(client)
        expect_within(watch, 0.8)
        lab.expect_closed(1, "frame timeout")


def test_no_frame_timeout_between_messages_nor_for_raw():
    for frame in ("line", "raw"):
        with Lab(frame=frame, mode="echo", frame_timeout_ms=100) as lab, lab.connect() as client:
            client.sendall(b"hello\n")
            assert recv_until(client, b"\n") == b"hello\n"
            pass_time(0.4)
            client.sendall(b"again\n")
            assert recv_until(client, b"\n") == b"again\n"


def full(lab, client):
    """The client takes nothing, and something waits for it. Returns when the server last moved a byte."""
    last = Stopwatch()
    for before in range(1000):
        lab.tell("conn", 1, "big", 60000)
        lab.settle()
        lab.tell("conn", 1, "counters")
        counters = wait_for(lambda: lab.events("close") or lab.events("conn_counters")[before:], "the counters")[-1]
        if counters["event"] == "close" or counters["output_bytes"] > 0:  # or its time is over already
            return last
        last = Stopwatch()
    raise AssertionError("the socket never filled")


def test_write_timeout():
    for workers in worker_counts():
        with Lab(frame="line", mode="none", workers=workers, write_timeout_ms=400, output_bytes_max=64 << 20) as lab, \
                lab.connect(receive_buffer=4096) as client:
            lab.wait_events("open")
            watch = full(lab, client)
            lab.expect_closed(1, "write timeout")
            expect_within(watch, 0.4)


def test_write_timeout_holds_while_draining_too():
    with Lab(frame="line", mode="none", write_timeout_ms=400, drain_timeout_ms=60000,
             output_bytes_max=64 << 20) as lab, lab.connect(receive_buffer=4096) as client:
        lab.wait_events("open")
        watch = full(lab, client)
        lab.tell("conn", 1, "close")
        lab.expect_closed(1, "write timeout")
        expect_within(watch, 0.4)


def test_drain_timeout_with_output_that_does_not_leave():
    with Lab(frame="line", mode="none", write_timeout_ms=60000, drain_timeout_ms=400,
             output_bytes_max=64 << 20) as lab, lab.connect(receive_buffer=4096) as client:
        lab.wait_events("open")
        full(lab, client)
        watch = Stopwatch()
        lab.tell("conn", 1, "close")
        lab.expect_closed(1, "drain timeout")
        expect_within(watch, 0.4)


def test_many_deadlines_at_once():
    """They come in their order, whoever was opened when."""
    with Lab(frame="line", mode="none", idle_timeout_ms=600, quiet=1) as lab:
        clients, times = [], []
        for _ in range(100):
            times.append(time.monotonic())  # before: the server may have it accepted before we hear of it
            clients.append(lab.connect())
        for sock, born in zip(clients, times):
            expect_eof(sock)
            assert time.monotonic() - born > 0.6 - EARLY
            sock.close()
        wait_for(lambda: len(lab.events("close")) == 100, "all of them")
        assert {event["reason"] for event in lab.events("close")} == {"idle timeout"}
        assert all(event["lived_ms"] < 600 + 1000 * MAY_BE_LATE * PATIENCE for event in lab.events("close"))
