# SPDX-License-Identifier: BSD-3-Clause
"""Pausing a connection's input, or everybody's: what is in hand is kept, and comes without another event of the
socket; a peer that goes away is noticed; nothing spins."""
import socket
import threading

from harness import DEADLINE, expect_eof, in_time, recv_all, recv_exactly, recv_until, reset, wait_for, within
from lab import Lab, Stopwatch, cpu_share, worker_counts

LINES = b"".join(b"%03d\n" % i for i in range(1000))
IDLE_SHARE = 0.1  # of a processor: what a server that has nothing to do may take, with room for slow tools


def test_pause_with_many_messages_in_hand():
    """The client writes once and says nothing more: epoll would never wake the server for what it already has."""
    for workers in worker_counts():
        with Lab(frame="line", mode="pause", pause_every=10, resume_after_ms=2, workers=workers, quiet=1) as lab, \
                lab.connect() as client:
            client.sendall(LINES)
            assert recv_exactly(client, len(LINES)) == LINES


def test_pause_takes_effect_between_two_messages():
    with Lab(frame="line", mode="pause", pause_every=10, resume_after_ms=500) as lab, lab.connect() as client:
        watch = Stopwatch()
        client.sendall(LINES[:4 * 30])
        assert recv_exactly(client, 4 * 30) == LINES[:4 * 30]
        assert watch.seconds() > 0.998, watch.seconds()  # two pauses
        lab.wait_events("message", 30)


def test_what_was_answered_before_a_pause_does_not_wait_for_its_end():
    with Lab(frame="line", mode="verbs") as lab, lab.connect() as client:
        client.sendall(b"send one\npause\nsend two\n")
        assert recv_until(client, b"\n") == b"one\n"
        lab.settle()
        assert [event["text"] for event in lab.events("message")] == ["send one", "pause"]
        lab.tell("conn", 1, "resume")
        assert recv_until(client, b"\n") == b"two\n"


def test_fin_behind_many_messages_in_hand():
    for workers in worker_counts():
        with Lab(frame="line", mode="pause", pause_every=10, resume_after_ms=2, workers=workers) as lab, \
                lab.connect() as client:
            client.sendall(LINES + b"tail")
            client.shutdown(socket.SHUT_WR)
            assert recv_all(client) == LINES + b"tail\n"
            lab.expect_closed(1, "peer closed")
            events = lab.events("message")
            assert [event["seq"] for event in events] == list(range(1, 1002))
            assert [event["flags"] for event in events] == [0] * 1000 + [2], events[-1]  # WEIR_MESSAGE_UNFINISHED


def test_pause_in_every_size_of_hand():
    """Whatever is left over when the pause comes, in the read buffer or in a buffer of the connection's own."""
    lines = b"".join(b"%0*d\n" % (7 + i % 3000, i) for i in range(300))
    with Lab(frame="line", mode="pause", pause_every=1, resume_after_ms=1, quiet=1) as lab, lab.connect() as client:
        client.sendall(lines)
        assert recv_exactly(client, len(lines)) == lines


def paused(lab, verb="pause"):
    """A client whose connection, number 1, is paused."""
    client = lab.connect()
    client.sendall(b"%s\n" % verb.encode())
    lab.wait_events("did")
    return client


def test_reset_while_paused_is_noticed():
    for behind in (b"", b"more\n" * 10):
        with Lab(frame="line", mode="verbs") as lab:
            client = paused(lab)
            client.sendall(behind)
            reset(client)
            assert lab.expect_closed(1, "reset by peer")["error"] > 0
            assert len(lab.events("message")) == 1


def test_reset_while_paused_with_messages_in_hand_is_noticed():
    with Lab(frame="line", mode="verbs") as lab:
        client = lab.connect()
        client.sendall(b"pause\n" + b"counters\n" * 1000)
        lab.wait_events("did")
        reset(client)
        lab.expect_closed(1, "reset by peer")
        assert lab.events("conn_counters") == []


def test_paused_connection_costs_no_cpu():
    with Lab(frame="line", mode="verbs") as lab, paused(lab) as client:
        client.sendall(b"counters\n" * 1000)
        assert cpu_share(lab) < IDLE_SHARE
        client.shutdown(socket.SHUT_WR)
        assert cpu_share(lab) < IDLE_SHARE
        assert lab.events("conn_counters") == []
        lab.tell("conn", 1, "resume")
        lab.wait_events("conn_counters", 1000)
        lab.expect_closed(1, "peer closed")


def test_half_closed_connection_that_owes_costs_no_cpu():
    with Lab(frame="line", mode="hold") as lab, lab.connect() as client:
        client.sendall(b"one\n")
        client.shutdown(socket.SHUT_WR)
        lab.wait_events("message")
        assert cpu_share(lab) < IDLE_SHARE
        lab.tell("pay", 0)
        assert recv_all(client) == b"one\n"


def test_pausing_twice_is_pausing_once():
    with Lab(frame="line", mode="verbs") as lab, paused(lab) as client:
        lab.tell("conn", 1, "pause")
        lab.tell("conn", 1, "resume")
        client.sendall(b"send hello\n")
        assert recv_until(client, b"\n") == b"hello\n"


def test_pause_in_on_message_and_resume_at_once():
    """In one callback, so that nothing is left to say that the rest must go on."""
    with Lab(frame="line", mode="verbs", quiet=1) as lab, lab.connect() as client:
        client.sendall(b"pause\nresume\nsend hello\n")
        lab.wait_events("did")
        lab.tell("conn", 1, "resume")
        assert recv_until(client, b"\n") == b"hello\n"


def test_close_while_paused_with_messages_in_hand():
    """weir_conn_close delivers nothing more, and what lies unread must not become a reset."""
    with Lab(frame="line", mode="verbs") as lab, lab.connect() as client:
        client.sendall(b"send hello\npause\n" + b"counters\n" * 5000)
        lab.wait_events("did", 2)
        lab.tell("conn", 1, "close")
        assert recv_all(client) == b"hello\n"
        client.close()
        lab.expect_closed(1, "closed")
        assert lab.events("conn_counters") == []


def senders(lab, count, lines):
    """Clients that send and check their echoes, each in a thread of its own. The list fills up with what went wrong."""
    faults = []

    def run(number):
        data = b"".join(b"%d %d\n" % (number, i) for i in range(lines))
        try:
            with lab.connect() as client:
                writer = threading.Thread(target=client.sendall, args=(data,))
                writer.start()
                if recv_exactly(client, len(data)) != data:
                    faults.append("client %d got something else" % number)
                writer.join(DEADLINE)
        except (OSError, AssertionError) as error:
            faults.append("client %d: %r" % (number, error))
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads, faults


def test_input_pause_and_resume_from_another_thread_under_load():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, quiet=1, wake_messages_max=50) as lab:
            threads, faults = senders(lab, 4, 20000)
            while any(thread.is_alive() for thread in threads):
                for command in ("pause", "pause", "resume", "resume"):
                    lab.tell(command)
                lab.settle()
            assert faults == []
            assert lab.counters()["messages_in"] == 4 * 20000


def test_input_pause_needs_as_many_resumes():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab, lab.connect() as one, lab.connect() as two:
            lab.wait_events("open", 2)
            for command in ("pause", "pause", "resume"):
                lab.tell(command)
            lab.settle()
            one.sendall(b"one\n")
            two.sendall(b"two\n")
            assert cpu_share(lab) < IDLE_SHARE
            assert lab.events("message") == []
            lab.tell("resume")
            assert recv_until(one, b"\n") == b"one\n"
            assert recv_until(two, b"\n") == b"two\n"


def test_input_pause_does_not_undo_a_connections_own():
    with Lab(frame="line", mode="verbs") as lab, paused(lab) as client:
        client.sendall(b"send hello\n")
        lab.tell("pause")
        lab.tell("resume")
        lab.settle()
        assert len(lab.events("message")) == 1
        lab.tell("pause")
        lab.tell("conn", 1, "resume")
        lab.settle()
        assert len(lab.events("message")) == 1
        lab.tell("resume")
        assert recv_until(client, b"\n") == b"hello\n"


def test_clients_that_go_away_during_an_input_pause():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab:
            clients = [lab.connect() for _ in range(20)]
            lab.wait_events("open", 20)
            lab.tell("pause")
            lab.settle()
            for client in clients:
                client.sendall(b"hello\n")
            for client in clients[:10]:
                reset(client)
            lab.wait_events("close", 10)
            for client in clients[10:15]:
                client.shutdown(socket.SHUT_WR)
            lab.tell("resume")
            for client in clients[10:]:
                assert recv_until(client, b"\n") == b"hello\n"
            for client in clients[10:15]:
                expect_eof(client)
            for client in clients[15:]:
                client.close()
            lab.wait_events("close", 20)


def test_stop_during_an_input_pause():
    with Lab(frame="line", mode="echo") as lab, lab.connect() as client:
        lab.wait_events("open")
        lab.tell("pause")
        lab.settle()
        client.sendall(b"hello\n" * 1000)
        lab.tell("stop", 8000)
        expect_eof(client)
        client.close()
        assert lab.end() == 0


@in_time
def test_frame_timeout_does_not_run_while_we_do_not_read():
    for command in (("conn", 1, "pause"), ("pause",)):
        with Lab(frame="line", mode="echo", frame_timeout_ms=400) as lab, lab.connect() as client:
            with within(0.4):
                client.sendall(b"half a ")
                wait_for(lambda: lab.counters()["bytes_in"] == 7, "the first half", 1)
                lab.tell(*command)
                lab.settle()
            client.sendall(b"line\n")
            cpu_share(lab, 1)
            lab.tell(*command[:-1], "resume")
            assert recv_until(client, b"\n") == b"half a line\n"


@in_time
def test_idle_timeout_does_not_run_while_we_do_not_read():
    for command in (("conn", 1, "pause"), ("pause",)):
        with Lab(frame="line", mode="echo", idle_timeout_ms=400) as lab:
            with within(0.4):
                client = lab.connect()
                lab.wait_events("open")
                lab.tell(*command)
                lab.settle()
            client.sendall(b"hello\n")
            cpu_share(lab, 1)
            lab.tell(*command[:-1], "resume")
            assert recv_until(client, b"\n") == b"hello\n"
            client.close()
