# SPDX-License-Identifier: BSD-3-Clause
"""What any thread may ask: by id, of all at once, and when a worker has no room for more. The lab's commands run on a
thread that is no worker."""
import contextlib
import errno
import threading

from harness import DEADLINE, PATIENCE, expect_eof, expect_reset, recv_exactly, recv_until, reset, wait_for
from lab import Lab, program, worker_counts

FULL = -errno.EAGAIN
GONE = -errno.ENOENT


# ---- Ids ----

def test_send_by_id():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers) as lab:
            clients = [lab.connect() for _ in range(6)]
            for opened in lab.wait_events("open", 6):
                assert opened["worker"] == opened["conn"] % workers, opened
                lab.tell("send", opened["conn"], "to port %s" % opened["peer"].split(":")[1])
            for client in clients:
                assert recv_until(client, b"\n") == b"to port %d\n" % client.getsockname()[1]
                client.close()
            assert [event["result"] for event in lab.wait_events("sent", 6)] == [0] * 6


def test_stale_id_finds_nobody():
    """However many came since, and in whatever place in memory."""
    for workers in worker_counts():
        with Lab(frame="line", workers=workers, linger_timeout_ms=200) as lab:
            first = [lab.connect() for _ in range(8)]
            lab.wait_events("open", 8)
            for i, client in enumerate(first):
                (client.close if i % 2 else lambda sock=client: reset(sock))()
            lab.wait_events("close", 8)
            later = [lab.connect() for _ in range(8)]
            lab.wait_events("open", 16)
            for conn in range(1, 9):
                assert lab.ask("send", conn, "stale", answer="sent") == {"event": "sent", "conn": conn, "result": GONE}
                assert lab.ask("conn", conn, "abort", answer="gone")["conn"] == conn
            for client, opened in zip(later, lab.events("open")[8:]):
                assert opened["conn"] > 8
                lab.tell("send", opened["conn"], "hello")
            for client in later:
                assert recv_until(client, b"\n") == b"hello\n"
                client.close()


def test_ids_that_never_were():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers) as lab, lab.connect():
            lab.wait_events("open")
            for conn in (0, 2, 3, 1 << 32, (1 << 32) + 1, (1 << 64) - 1):
                assert lab.ask("send", conn, "nobody", answer="sent") == {"event": "sent", "conn": conn, "result": GONE}
                assert lab.ask("conn", conn, "abort", answer="gone")["conn"] == conn
            assert lab.events("close") == []


def test_ids_go_on_from_first_id():
    with Lab(frame="line", first_id=(1 << 53) - 3) as lab, lab.connect(), lab.connect():
        assert {event["conn"] for event in lab.wait_events("open", 2)} == {(1 << 53) - 3, (1 << 53) - 2}


def test_no_id_reaches_the_limit_and_clients_wait_until_it_is_raised():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab, contextlib.ExitStack() as clients:
            assert lab.ask("id-limit", 3 + workers - 1, answer="id-limit")["next"] == 1
            waiting = [clients.enter_context(lab.connect()) for _ in range(5)]
            for client in waiting:
                client.sendall(b"hello\n")
            lab.wait_log("accepting pauses until more ids may be given")
            given = lab.ask("id-limit", 3 + workers - 1, answer="id-limit")["next"] - 1
            assert 2 <= given < 3 + workers - 1, given
            assert sorted(event["conn"] for event in lab.wait_events("open", given)) == list(range(1, given + 1))
            for client in waiting[:given]:
                assert recv_until(client, b"\n") == b"hello\n"
            assert lab.stderr.text().count("accepting pauses") == 1, "said once, however long it lasts"
            lab.ask("id-limit", 1000, answer="id-limit")
            for client in waiting[given:]:
                assert recv_until(client, b"\n") == b"hello\n"
            assert sorted(event["conn"] for event in lab.wait_events("open", 5)) == [1, 2, 3, 4, 5]


def test_limit_of_ids_on_several_workers_closes_nobody():
    """Accepting stops short of the limit by as many as there are workers, which may all be about to take one."""
    with Lab(frame="line", workers=4, quiet=1, reuseport=1) as lab, contextlib.ExitStack() as clients:
        lab.ask("id-limit", 1, answer="id-limit")
        for _ in range(300):
            clients.enter_context(lab.connect())
        for limit in 2, 50, 51, 150, 299:
            wait_for(lambda: lab.ask("id-limit", limit, answer="id-limit")["next"] > limit - 4, "ids up to the limit")
            assert lab.counters()["accepted"] < limit
        lab.ask("id-limit", 1 << 53, answer="id-limit")
        wait_for(lambda: lab.counters()["accepted"] == 300, "all clients")
        assert lab.counters()["closed"]["too many clients"] == 0


def test_dial_at_the_limit_of_ids():
    with Lab(frame="line") as lab:
        lab.ask("id-limit", 1, answer="id-limit")
        refused = lab.ask("dial", lab.urls[0], answer="dial")
        assert refused["result"] == -errno.EAGAIN and "the limit of ids" in refused["error"], refused
        lab.ask("id-limit", 100, answer="id-limit")
        lab.tell("dial", lab.urls[0])
        lab.wait_events("open", 2)


def test_send_to_a_connection_that_is_closing():
    with Lab(frame="line", mode="verbs", linger_timeout_ms=20000) as lab, lab.connect() as client:
        client.sendall(b"close\n")
        expect_eof(client)
        assert lab.ask("send", 1, "too late", answer="sent")["result"] == -5004  # WEIR_ECLOSING


def test_storm_of_connections_and_senders():
    for workers in worker_counts():
        storm = program("service_storm", workers, 1000, deadline=2 * DEADLINE)[-1]
        assert storm["opened"] >= 100 and storm["arrived"] >= 100 and storm["broadcasts"] >= 10, storm


# ---- Broadcast ----

def test_broadcast_reaches_all_in_their_own_framing():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers, words=("--frame", "length:u16be", "--listen", "tcp://127.0.0.1:0"),
                 listens=2) as lab:
            lines = [lab.connect() for _ in range(3)]
            lab.wait_events("open", 3)
            lengths = [lab.connect_to(1) for _ in range(3)]
            lab.wait_events("open", 6)
            assert lab.ask("broadcast", "hello", answer="broadcast")["sent"] == 6
            for client in lines:
                assert recv_exactly(client, 6) == b"hello\n"
            for client in lengths:
                assert recv_exactly(client, 7) == b"\x00\x05hello"
            assert lab.ask("broadcast", "listener=1", "two", answer="broadcast")["sent"] == 3
            assert lab.ask("broadcast", "except=1", "three", answer="broadcast")["sent"] == 5
            assert lab.ask("broadcast", "match=odd", "four", answer="broadcast")["sent"] == 3
            assert lab.ask("broadcast", "listener=0", "except=1", "match=odd", "five", answer="broadcast")["sent"] == 1
            lab.tell("broadcast", "end")
            heard = sorted(recv_until(client, b"end\n").decode().split() for client in lines)
            assert heard == [["four", "end"], ["three", "end"], ["three", "four", "five", "end"]], heard
            for client in lines + lengths:
                client.close()


def test_broadcast_to_nobody():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers) as lab:
            assert lab.ask("broadcast", "hello", answer="broadcast")["sent"] == 0


def test_broadcast_that_one_framing_cannot_carry():
    """300 bytes do not go behind a length of one byte. Those clients have done nothing wrong."""
    with Lab(frame="line", words=("--frame", "length:u8", "--listen", "tcp://127.0.0.1:0"), listens=2) as lab, \
            lab.connect() as line, lab.connect_to(1) as length:
        lab.wait_events("open", 2)
        assert lab.ask("broadcast", "len=300", "x", answer="broadcast")["sent"] == 1
        assert recv_exactly(line, 301) == b"x" * 300 + b"\n"
        lab.tell("broadcast", "hello")
        assert recv_exactly(length, 6) == b"\x05hello"
        assert lab.events("close") == []


def test_broadcast_closes_a_slow_reader_and_reaches_the_others():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers, output_bytes_max=100000, message_bytes_max=70000, quiet=1) as lab:
            slow = lab.connect(receive_buffer=4096)
            wait_for(lambda: lab.counters()["clients"] == 1, "the slow reader")
            others = [lab.connect() for _ in range(3)]
            wait_for(lambda: lab.counters()["clients"] == 4, "the others")
            rounds = 0
            while not lab.events("close"):
                lab.ask("broadcast", "len=60000", "x", answer="broadcast")
                for client in others:
                    assert recv_exactly(client, 60001) == b"x" * 60000 + b"\n"
                rounds += 1
                assert rounds < 1000, "the slow reader is never closed"
            lab.expect_closed(1, "slow reader")
            assert lab.ask("broadcast", "bye", answer="broadcast")["sent"] == 3
            for client in others:
                assert recv_exactly(client, 4) == b"bye\n"
                client.close()
            expect_reset(slow)
            assert lab.counters()["closed"]["slow reader"] == 1


# ---- The mailbox ----

def blocked(lab, worker=0):
    """The worker is inside a callback, and stays there."""
    lab.ask("block", worker, answer="blocked")


def test_full_mailbox_refuses_posts_and_runs_those_it_took():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers, mailbox_items_max=100) as lab:
            blocked(lab)
            posted = lab.ask("post", 0, 150, answer="posted")
            assert posted == {"event": "posted", "accepted": 100, "full": 50}
            assert lab.counters()["mailbox_full"] == 50
            lab.tell("unblock")
            wait_for(lambda: lab.counters()["posts_ran"] == 100, "the posts")
            assert lab.ask("post", 0, 10, answer="posted")["accepted"] == 10


def test_full_mailbox_refuses_sends_and_broadcasts():
    with Lab(frame="line", workers=2, mailbox_bytes_max=100000) as lab, lab.connect() as one, lab.connect() as two:
        lab.wait_events("open", 2)
        blocked(lab, 1)
        assert lab.ask("burst", 1, 15, 10000, answer="burst") == {"event": "burst", "accepted": 10, "full": 5, "too_long": 0}
        assert lab.ask("send", 1, "no room", answer="refused")["result"] == FULL
        # All or nobody: the other worker has room, and its client must not get it.
        assert lab.ask("broadcast", "no room", answer="refused")["result"] == FULL
        assert lab.ask("send", 2, "room", answer="sent")["result"] == 0
        assert recv_exactly(two, 5) == b"room\n"
        lab.tell("unblock")
        assert recv_exactly(one, 10 * 10001) == (b"b" * 10000 + b"\n") * 10
        assert lab.ask("broadcast", "again", answer="broadcast")["sent"] == 2
        assert recv_exactly(one, 6) == recv_exactly(two, 6) == b"again\n"
        assert lab.counters()["mailbox_full"] == 7


def test_message_larger_than_the_mailbox_is_refused_for_ever():
    with Lab(frame="line", mailbox_bytes_max=1000) as lab, lab.connect():
        lab.wait_events("open")
        assert lab.ask("burst", 1, 1, 1001, answer="burst") == \
            {"event": "burst", "accepted": 0, "full": 0, "too_long": 1}
        assert lab.ask("burst", 1, 1, 1000, answer="burst") == \
            {"event": "burst", "accepted": 1, "full": 0, "too_long": 0}


def test_pause_and_resume_do_not_need_room():
    with Lab(frame="line", mode="echo", mailbox_items_max=10) as lab, lab.connect() as client:
        lab.wait_events("open")
        lab.tell("pause")
        lab.settle()
        client.sendall(b"hello\n")
        blocked(lab)
        assert lab.ask("post", 0, 20, answer="posted")["full"] == 10
        lab.tell("resume")
        lab.counters()
        lab.tell("unblock")
        assert recv_until(client, b"\n") == b"hello\n"


def test_stop_does_not_need_room():
    for workers in worker_counts():
        with Lab(frame="line", workers=workers, mailbox_items_max=10) as lab, lab.connect() as client:
            lab.wait_events("open")
            blocked(lab)
            assert lab.ask("post", 0, 20, answer="posted")["full"] == 10
            lab.tell("stop", 8000)
            lab.counters()
            lab.tell("unblock")
            expect_eof(client)
            client.close()
            assert lab.end() == 0


def test_clients_arrive_though_the_mailbox_is_full():
    """They are bounded by clients_max; a client that was accepted is not to be lost for want of a letter's room."""
    with Lab(frame="line", mode="echo", workers=2, mailbox_items_max=10) as lab:
        blocked(lab, 1)
        lab.ask("post", 1, 20, answer="posted")
        clients = [lab.connect() for _ in range(10)]
        wait_for(lambda: lab.counters()["accepted"] == 5, "those of the other worker", 10 * PATIENCE)
        lab.tell("unblock")
        for client in clients:
            client.sendall(b"hello\n")
            assert recv_until(client, b"\n") == b"hello\n"
            client.close()


def test_sends_from_several_threads_keep_each_threads_order():
    """One pipe, one thread; several of them at once is what service_storm does. Here: order through one mailbox."""
    for workers in worker_counts():
        with Lab(frame="line", workers=workers, quiet=1, output_bytes_max=8 << 20) as lab, lab.connect() as client:
            wait_for(lambda: lab.counters()["clients"] == 1, "the client")
            lab.stdin.write(b"".join(b"send 1 %d\n" % i for i in range(5000)))
            expected = b"".join(b"%d\n" % i for i in range(5000))
            assert recv_exactly(client, len(expected)) == expected
            results = [event["result"] for event in lab.wait_events("sent", 5000)]
            assert set(results) == {0}


def test_counters_from_another_thread_while_serving():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers, quiet=1) as lab, lab.connect() as client:
            data = b"hello\n" * 20000
            writer = threading.Thread(target=client.sendall, args=(data,))
            writer.start()
            reader = threading.Thread(target=recv_exactly, args=(client, len(data)))
            reader.start()
            last = 0
            while reader.is_alive():
                seen = lab.counters()["messages_in"]
                assert seen >= last, (seen, last)
                last = seen
            writer.join(DEADLINE)
            assert lab.counters()["messages_in"] == lab.counters()["messages_out"] == 20000
            # The client may have it before the worker has counted it.
            wait_for(lambda: lab.counters()["bytes_out"] >= len(data), "the count")
            assert lab.counters()["bytes_in"] == lab.counters()["bytes_out"] == len(data)
