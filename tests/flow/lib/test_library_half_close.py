# SPDX-License-Identifier: BSD-3-Clause
"""A peer that has ended its side and listens on: on_end, and the connection that stays open for sending. Each result of
the transport at each call is in tests/unit/test_transport.c."""
import os
import socket
import threading

from harness import DEADLINE, PATIENCE, accept, connect_unix, expect_eof, expect_reset, listener, recv_all, \
    recv_exactly, recv_until, reset, wait_for
from lab import MAY_BE_LATE, Lab, Stopwatch, cpu_share, worker_counts

IDLE_SHARE = 0.1


def listening(lab, sent=b"", connect=None):
    """A client that has sent this and its FIN, of which the server has been told."""
    client = connect() if connect else lab.connect()
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    lab.wait_events("end")
    return client


def test_end_is_told_once_behind_the_last_message_and_sending_goes_on():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", keep_ended=1, workers=workers) as lab, \
                listening(lab, b"one\ntwo\ntail") as client:
            assert [event["event"] for event in lab.events()][1:5] == ["message", "message", "message", "end"]
            assert recv_until(client, b"tail\n") == b"one\ntwo\ntail\n"
            for text in ("later", "and later"):
                lab.tell("send", 1, text)
                assert recv_until(client, b"\n") == text.encode() + b"\n"
            assert lab.counters()["clients"] == 1
            lab.tell("conn", 1, "close")
            expect_eof(client)
            lab.expect_closed(1, "closed")
            assert len(lab.events("end")) == 1


def test_what_made_no_message_is_told_and_kept():
    """And is not late: the frame timeout is for who may still end it."""
    with Lab(frame="length:u16be", mode="echo", keep_ended=1, frame_timeout_ms=200) as lab, \
            listening(lab, b"\0\3one\0\5hel") as client:
        assert lab.events("end")[0]["input_bytes"] == 5, lab.events("end")
        watch = Stopwatch()
        wait_for(lambda: watch.seconds() > 0.5, "more than the frame timeout")
        assert lab.ask("conn", 1, "counters", answer="conn_counters")["input_bytes"] == 5
        assert recv_exactly(client, 5) == b"\0\3one"
        lab.tell("conn", 1, "close")
        expect_eof(client)
        lab.expect_closed(1, "closed")


def test_it_costs_no_cpu():
    with Lab(frame="line", mode="echo", keep_ended=1) as lab, listening(lab, b"one\n"):
        assert cpu_share(lab) < IDLE_SHARE
        lab.tell("conn", 1, "pause")
        lab.tell("conn", 1, "resume")
        assert cpu_share(lab) < IDLE_SHARE
        lab.tell("conn", 1, "hold")
        lab.tell("conn", 1, "close")  # draining, with something owed
        assert cpu_share(lab) < IDLE_SHARE
        lab.tell("conn", 1, "release")
        lab.expect_closed(1, "closed")


def test_pause_keeps_the_end_back():
    with Lab(frame="line", mode="verbs", keep_ended=1) as lab, lab.connect() as client:
        client.sendall(b"pause\n")
        client.shutdown(socket.SHUT_WR)
        lab.wait_events("did")
        assert cpu_share(lab) < IDLE_SHARE
        assert lab.events("end") == []
        lab.tell("conn", 1, "resume")
        lab.wait_events("end")
        lab.tell("conn", 1, "send", "still there")
        assert recv_until(client, b"\n") == b"still there\n"


def test_paused_input_of_all_keeps_the_end_back():
    with Lab(frame="line", mode="none", keep_ended=1) as lab, lab.connect() as client:
        lab.wait_events("open")
        lab.tell("pause")
        lab.settle()
        client.shutdown(socket.SHUT_WR)
        assert cpu_share(lab) < IDLE_SHARE
        assert lab.events("end") == []
        lab.tell("resume")
        lab.wait_events("end")
        lab.tell("conn", 1, "close")
        expect_eof(client)


def test_output_of_many_megabytes_goes_to_who_listens():
    with Lab(frame="line", mode="none", keep_ended=1, output_bytes_max=64 << 20) as lab, listening(lab) as client:
        lab.tell("conn", 1, "big", 20000000)
        assert len(recv_exactly(client, 20000001)) == 20000001
        lab.tell("conn", 1, "big", 100)
        assert len(recv_exactly(client, 101)) == 101


def test_both_ends_are_the_end():
    """weir_conn_end behind on_end and before it, with output that still has to leave."""
    for first in (True, False):
        with Lab(frame="line", mode="none", keep_ended=1, output_bytes_max=64 << 20) as lab, lab.connect() as client:
            lab.wait_events("open")
            if first:
                client.shutdown(socket.SHUT_WR)
                lab.wait_events("end")
            lab.tell("conn", 1, "big", 20000000)
            lab.tell("conn", 1, "end")
            lab.wait_events("did", 2)
            if not first:
                client.shutdown(socket.SHUT_WR)
                lab.wait_events("end")
            lab.tell("conn", 1, "send", "too late")
            assert lab.wait_events("did", 3)[-1]["result"] == -5004  # WEIR_ECLOSING
            assert lab.events("close") == []
            assert len(recv_all(client)) == 20000001
            lab.expect_closed(1, "peer closed")


def test_a_peer_that_takes_nothing_meets_the_write_timeout():
    with Lab(frame="line", mode="none", keep_ended=1, output_bytes_max=64 << 20, write_timeout_ms=300) as lab, \
            listening(lab, connect=lambda: lab.connect(receive_buffer=4096)):
        lab.tell("conn", 1, "big", 20000000)
        lab.tell("conn", 1, "end")
        lab.expect_closed(1, "write timeout")


def test_idle_timeout_counts_from_the_last_byte_either_way():
    with Lab(frame="line", mode="none", keep_ended=1, idle_timeout_ms=400) as lab:
        watch = Stopwatch()
        with listening(lab) as client:
            expect_eof(client)
            assert 0.398 <= watch.seconds() < 0.4 + MAY_BE_LATE * PATIENCE, watch.seconds()
            lab.expect_closed(1, "idle timeout")


def test_reset_is_noticed():
    with Lab(frame="line", mode="none", keep_ended=1) as lab:
        reset(listening(lab))
        lab.expect_closed(1, "reset by peer")


def test_peer_that_has_gone_altogether_is_noticed_by_what_is_sent():
    with Lab(frame="line", mode="none", keep_ended=1) as lab:
        listening(lab).close()
        lab.settle()
        assert lab.events("close") == []  # the same FIN as that of who listens
        lab.tell("send", 1, "anybody there?")
        lab.expect_closed(1, "reset by peer")


def test_our_end_tells_whether_the_last_has_arrived():
    """A peer that has closed answers what is sent to it with a reset, and then our last was not taken."""
    with Lab(frame="line", mode="verbs", keep_ended=1) as lab:
        listening(lab).close()
        lab.tell("conn", 1, "send", "for nobody")
        lab.tell("conn", 1, "end")
        lab.expect_closed(1, "reset by peer")


def test_our_end_is_in_order_once_the_last_was_taken():
    """A unix socket's bytes are on their way until they are read, so it shows what takes a while elsewhere."""
    for reads, linger_ms, reason in ((True, 60000, "peer closed"), (False, 60000, "reset by peer"),
                                     (None, 300, "peer closed")):
        with Lab("unix:s", frame="line", mode="none", keep_ended=1, linger_timeout_ms=linger_ms, log_level=4) as lab, \
                listening(lab, connect=lambda: connect_unix(os.path.join(lab.home.name, "s"))) as client:
            lab.tell("send", 1, "the last")
            lab.tell("conn", 1, "end")
            lab.wait_log("#1 draining -> lingering")
            if reads:
                assert recv_all(client) == b"the last\n"
            if reads is not None:
                assert lab.events("close") == []
                client.close()
            lab.expect_closed(1, reason)


def test_unix_peer_that_has_gone_altogether_is_noticed_at_once():
    with Lab("unix:s", frame="line", mode="none", keep_ended=1) as lab:
        path = os.path.join(lab.home.name, "s")
        connect_unix(path).close()
        lab.expect_closed(1, "peer closed")
        with connect_unix(path) as client:
            client.shutdown(socket.SHUT_WR)
            lab.wait_events("end", 2)
            lab.tell("send", 2, "hello")
            assert recv_until(client, b"\n") == b"hello\n"
            assert cpu_share(lab) < IDLE_SHARE
            assert [event["conn"] for event in lab.events("close")] == [1]
        lab.expect_closed(2, "peer closed")


def test_answers_owed_do_not_close_it():
    with Lab(frame="line", mode="hold", keep_ended=1, drain_timeout_ms=200) as lab, listening(lab, b"one\n") as client:
        watch = Stopwatch()
        wait_for(lambda: watch.seconds() > 0.5, "more than the drain timeout")
        lab.tell("pay", 0)
        assert recv_until(client, b"\n") == b"one\n"
        lab.tell("send", 1, "more")
        assert recv_until(client, b"\n") == b"more\n"


def test_stop_ends_it():
    for workers in worker_counts():
        with Lab(frame="line", mode="hold", keep_ended=1, workers=workers) as lab, listening(lab, b"one\n") as client:
            lab.tell("stop", 60000)
            lab.tell("pay", 100)
            assert recv_all(client) == b"one\n"
            assert lab.end() == 0
            lab.expect_closed(1, "drain")


def test_abort_and_broadcast():
    with Lab(frame="line", mode="none", keep_ended=1) as lab, listening(lab) as client, lab.connect() as other:
        lab.wait_events("open", 2)
        assert lab.ask("broadcast", "all", answer="broadcast")["sent"] == 2
        assert recv_until(client, b"\n") == recv_until(other, b"\n") == b"all\n"
        lab.tell("conn", 1, "abort")
        expect_eof(client)
        lab.expect_closed(1, "kicked")


def test_dialled_connection_goes_on_sending_to_a_server_that_has_ended_its_side():
    with Lab(frame="line", mode="none", keep_ended=1, output_bytes_max=64 << 20) as lab, listener() as sock:
        lab.tell("dial", "tcp://127.0.0.1:%d" % sock.getsockname()[1])
        with accept(sock) as server:
            server.sendall(b"welcome\n")
            server.shutdown(socket.SHUT_WR)
            lab.wait_events("end")
            assert [event["text"] for event in lab.events("message")] == ["welcome"]
            received = []
            reader = threading.Thread(target=lambda: received.append(recv_all(server)), daemon=True)
            reader.start()
            lab.tell("conn", 1, "big", 5000000)
            lab.tell("conn", 1, "send", "last")
            lab.tell("conn", 1, "end")
            reader.join(DEADLINE)
            assert len(received[0]) == 5000001 + 5 and received[0].endswith(b"last\n")
        lab.expect_closed(1, "peer closed")


def test_close_before_the_end_is_told():
    """Who closes in its last on_message hears of no end."""
    with Lab(frame="line", mode="verbs", keep_ended=1) as lab, lab.connect() as client:
        client.sendall(b"close\n")
        client.shutdown(socket.SHUT_WR)
        expect_eof(client)
        lab.expect_closed(1, "closed")
        assert lab.events("end") == []


def test_peer_that_takes_nothing_is_reset_by_a_stop():
    with Lab(frame="line", mode="none", keep_ended=1, output_bytes_max=64 << 20) as lab, \
            listening(lab, connect=lambda: lab.connect(receive_buffer=4096)) as client:
        lab.tell("conn", 1, "big", 20000000)
        lab.tell("stop", 300)
        lab.end()
        expect_reset(client)
        lab.expect_closed(1, "drain timeout")
