# SPDX-License-Identifier: BSD-3-Clause
"""How connections end: answers that are owed, half-closes, lingering, stopping."""
import errno
import socket
import threading

from harness import DEADLINE, connect, expect_eof, expect_reset, recv_all, recv_exactly, recv_until, reset, wait_for
from lab import MAY_BE_LATE, PATIENCE, Lab, Stopwatch, worker_counts

LINES = b"".join(b"line %d\n" % i for i in range(100))


def owing(lab, lines=LINES):
    """A client that has sent lines and its FIN, all of which the server has seen: it owes every answer."""
    client = lab.connect()
    client.sendall(lines)
    client.shutdown(socket.SHUT_WR)
    lab.wait_events("message", len(lines.splitlines()))
    lab.wait_log(r"#\d+ open -> draining")
    return client


def test_answers_owed_arrive_after_the_clients_fin():
    for workers in worker_counts():
        with Lab(frame="line", mode="hold", workers=workers, log_level=4) as lab, owing(lab) as client:
            lab.tell("pay", 200)  # milliseconds; from another thread
            assert recv_exactly(client, len(LINES)) == LINES
            expect_eof(client)
            lab.expect_closed(1, "peer closed")


def test_answers_owed_arrive_while_stopping():
    for workers in worker_counts():
        with Lab(frame="line", mode="hold", workers=workers, log_level=4) as lab, lab.connect() as client:
            client.sendall(LINES)
            lab.wait_events("message", 100)
            lab.tell("stop", 8000)
            lab.wait_log("#1 open -> draining")
            lab.tell("pay", 200)
            assert recv_all(client) == LINES
            client.close()
            assert lab.end() == 0
            lab.expect_closed(1, "drain")


def test_answers_owed_after_the_fin_arrive_while_stopping():
    with Lab(frame="line", mode="hold", log_level=4) as lab, owing(lab) as client:
        lab.tell("stop", 8000)
        lab.tell("pay", 200)
        assert recv_all(client) == LINES
        assert lab.end() == 0
        lab.expect_closed(1, "peer closed")


def test_never_released_closes_at_the_drain_timeout():
    with Lab(frame="line", mode="hold", drain_timeout_ms=300, log_level=4) as lab:
        watch = Stopwatch()
        with owing(lab) as client:
            expect_reset(client)  # what it was owed is missing
            assert 0.298 < watch.seconds() < 0.3 + MAY_BE_LATE * PATIENCE, watch.seconds()
            lab.expect_closed(1, "drain timeout")


def test_never_released_is_cut_off_at_the_stop_deadline():
    with Lab(frame="line", mode="hold", log_level=4) as lab, owing(lab) as client:
        watch = Stopwatch()
        lab.tell("stop", 300)
        expect_reset(client)  # what it was owed is missing
        assert 0.298 < watch.seconds() < 0.3 + MAY_BE_LATE * PATIENCE, watch.seconds()
        assert lab.end() == -errno.ETIMEDOUT
        lab.expect_closed(1, "drain timeout")


def test_second_stop_brings_the_deadline_nearer():
    with Lab(frame="line", mode="hold", log_level=4) as lab, owing(lab) as client:
        watch = Stopwatch()
        lab.tell("stop", 600000)
        lab.tell("stop", 200)
        lab.tell("stop", 600000)  # and never further away
        expect_reset(client)  # what it was owed is missing
        assert 0.198 < watch.seconds() < 0.2 + MAY_BE_LATE * PATIENCE, watch.seconds()
        assert lab.end() == -errno.ETIMEDOUT


def test_stop_without_a_deadline_waits():
    with Lab(frame="line", mode="hold", log_level=4) as lab, owing(lab) as client:
        lab.tell("stop", -1)
        lab.tell("pay", 300)
        assert recv_all(client) == LINES
        assert lab.end() == 0


def test_fin_behind_more_than_the_output_may_hold():
    """The client says all it has and ends its side before it reads: everything is answered all the same."""
    lines = b"".join(b"%07d\n" % i for i in range(500000))
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, quiet=1, output_bytes_max=50000) as lab, \
                lab.connect(receive_buffer=65536) as client:
            def send():
                client.sendall(lines)
                client.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send)
            sender.start()
            assert recv_all(client) == lines
            sender.join(DEADLINE)
            lab.expect_closed(1, "peer closed")


def test_hold_keeps_a_close_waiting():
    with Lab(frame="line", mode="verbs") as lab, lab.connect() as client:
        client.sendall(b"hold\nhold\nclose\nsend never\n")
        lab.wait_events("did", 3)
        lab.tell("conn", 1, "send", "one")
        lab.tell("conn", 1, "release")
        assert recv_until(client, b"\n") == b"one\n"
        lab.tell("conn", 1, "send", "two")
        lab.tell("conn", 1, "release")
        assert recv_all(client) == b"two\n"
        client.close()
        lab.expect_closed(1, "closed")


def test_close_after_weir_conn_end():
    with Lab(frame="line", mode="verbs", linger_timeout_ms=20000) as lab, lab.connect() as client:
        client.sendall(b"end\nclose\nsend never\n")
        assert recv_all(client) == b""
        client.close()
        lab.expect_closed(1, "closed")


def test_reset_while_answers_are_owed():
    with Lab(frame="line", mode="hold", log_level=4) as lab:
        client = owing(lab)
        reset(client)
        lab.expect_closed(1, "reset by peer")
        assert lab.ask("pay", 0, answer="gone")["conn"] == 1


def test_lingering_close_loses_nothing():
    """Closing with unread input would send a reset, which destroys what was just sent."""
    for workers in worker_counts():
        with Lab(frame="line", mode="verbs", workers=workers) as lab, lab.connect() as client:
            client.sendall(b"big 200000\nclose\n" + b"never read " * 5000)
            answer = recv_all(client)
            assert len(answer) == 200001, len(answer)
            client.close()
            lab.expect_closed(1, "closed")


def test_lingering_close_to_a_client_that_goes_on_sending():
    with Lab(frame="line", mode="verbs", linger_bytes_max=1 << 30) as lab, lab.connect() as client:
        over = threading.Event()

        def send():
            try:
                while not over.is_set():
                    client.sendall(b"more and more ")
            except OSError:
                pass
        client.sendall(b"big 200000\nclose\n")
        sender = threading.Thread(target=send)
        sender.start()
        try:
            assert len(recv_all(client)) == 200001
        finally:
            over.set()
            sender.join(DEADLINE)
        client.shutdown(socket.SHUT_WR)
        lab.expect_closed(1, "closed")


def test_linger_timeout_closes_a_client_that_never_ends():
    with Lab(frame="line", mode="verbs", linger_timeout_ms=300) as lab, lab.connect() as client:
        watch = Stopwatch()
        client.sendall(b"close\n")
        expect_eof(client)
        lab.expect_closed(1, "closed")
        assert 0.298 < watch.seconds() < 0.3 + MAY_BE_LATE * PATIENCE, watch.seconds()


def test_linger_bytes_bound_what_is_thrown_away():
    with Lab(frame="line", mode="verbs", linger_timeout_ms=600000, linger_bytes_max=100000) as lab, \
            lab.connect() as client:
        client.sendall(b"close\n")
        expect_eof(client)
        try:
            for _ in range(1000):
                client.sendall(b"x" * 1000)
        except (ConnectionResetError, BrokenPipeError):
            pass
        lab.expect_closed(1, "closed")


def test_abort_closes_at_once_and_drops_what_waits():
    with Lab(frame="line", mode="verbs", output_bytes_max=64 << 20) as lab, \
            lab.connect(receive_buffer=4096) as client:
        client.sendall(b"big 20000000\n")
        assert lab.wait_events("did")[0]["result"] == 0
        assert lab.ask("conn", 1, "counters", answer="conn_counters")["output_bytes"] > 1000000
        lab.tell("conn", 1, "abort")
        lab.expect_closed(1, "kicked")


def test_weir_conn_end_still_delivers_what_the_client_says():
    with Lab(frame="line", mode="none") as lab, lab.connect() as client:
        client.sendall(b"before\n")
        lab.wait_events("message")
        lab.tell("conn", 1, "send", "a last word")
        lab.tell("conn", 1, "end")
        assert recv_all(client) == b"a last word\n"
        client.sendall(b"after\n")
        assert [event["text"] for event in lab.wait_events("message", 2)] == ["before", "after"]
        lab.tell("conn", 1, "send", "too late")
        assert lab.wait_events("did", 3)[-1]["result"] == -5004  # WEIR_ECLOSING
        client.shutdown(socket.SHUT_WR)
        lab.expect_closed(1, "peer closed")


def test_stop_with_many_clients_says_goodbye_to_each():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, quiet=1) as lab:
            clients = [lab.connect() for _ in range(50)]
            for client in clients:
                client.sendall(b"hello\n")
            for client in clients:
                assert recv_until(client, b"\n") == b"hello\n"
            lab.tell("stop", 8000)
            for client in clients:
                expect_eof(client)
                client.close()
            assert lab.end() == 0
            assert [event["reason"] for event in lab.events("close")] == ["drain"] * 50


def test_clients_that_never_end_do_not_hold_up_a_stop_beyond_its_deadline():
    """All they were owed has left, so this is a good end too."""
    with Lab(frame="line", mode="echo", linger_timeout_ms=60000) as lab, lab.connect() as client:
        client.sendall(b"hello\n")
        assert recv_until(client, b"\n") == b"hello\n"
        watch = Stopwatch()
        lab.tell("stop", 300)
        expect_eof(client)
        assert lab.end() == 0
        assert 0.298 < watch.seconds() < 0.3 + MAY_BE_LATE * PATIENCE, watch.seconds()


def test_connect_while_stopping_is_refused():
    with Lab(frame="line", mode="hold", log_level=4) as lab, owing(lab):
        lab.tell("stop", 8000)

        def is_refused():
            try:
                connect(lab.port).close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:  # it was in the queue of the socket that was closed
                pass
            return False
        wait_for(is_refused, "the listener's end")
        lab.tell("pay", 0)
        assert lab.end() == 0
