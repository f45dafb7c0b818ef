# SPDX-License-Identifier: BSD-3-Clause
"""Each acknowledgement leaves after a sync that follows the write of its message; and who judges that sees it when one
does not."""
import itertools
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from audit import judge, trace  # noqa: E402 (where it lies is not known before)

MESSAGES = 10000

# What a server does with one message.
ACCEPT = b'7 accept4(9<socket:[3]>, {sa_family=AF_INET, sin_port=htons(4000)}, [16], SOCK_CLOEXEC) = 12<socket:[5]>'
HEADER = b'8 pwrite64(10</s.db-wal>, "\\0\\0\\0\\t\\0\\0\\0\\t12345678abcdefgh", 24, 32) = 24'
PAGE = b'8 pwrite64(10</s.db-wal>, "\\r\\0\\"\\1<4000.1>...", 8192, 56) = 8192'
SYNC = b'8 fdatasync(10</s.db-wal>) = 0'
SEND = b'7 sendto(12<socket:[5]>, "1\\n", 2, MSG_NOSIGNAL, NULL, 0) = 2'


def begun(line):
    """Its line while it is not done yet."""
    return line[:line.rindex(b")")] + b" <unfinished ...>"


def done(line):
    """The line that says so."""
    thread, name = re.match(rb"(\d+) (\w+)", line).groups()
    return thread + b" <... " + name + b" resumed>" + line[line.rindex(b")"):]


def verdict(*lines):
    result = judge(lines)
    assert result.acks == 1, result.acks
    return len(result.violations)


def expect_none(workers):
    result = judge(trace(MESSAGES, workers))
    assert result.acks == MESSAGES and result.syncs > 100, (result.acks, result.syncs)
    assert not result.violations, "%d violations: %s" % (len(result.violations), result.violations[:10])


def test_every_acknowledgement_of_one_worker_follows_its_sync():
    expect_none(workers=1)


def test_every_acknowledgement_of_two_workers_follows_its_sync():
    expect_none(workers=2)


def test_acknowledgements_of_what_was_only_received_are_found_out():
    result = judge(trace(1000, workers=2, ack_when="received"))
    assert result.acks == 1000 and len(result.violations) > 500, (result.acks, len(result.violations))


def test_syncs_that_fail_or_never_were_are_found_out():
    lines = trace(500, workers=2)
    assert not judge(lines).violations
    without = [line for line in lines if b"fdatasync" not in line]
    failed = [re.sub(rb"= 0$", b"= -1 EIO (Input/output error)", line.rstrip()) if b"fdatasync" in line else line
              for line in lines]
    for doctored in without, failed:
        assert len(judge(doctored).violations) == 500, len(judge(doctored).violations)


def test_one_order_only_is_right():
    right = (HEADER, PAGE, SYNC, SEND)
    for order in itertools.permutations(right):
        assert (verdict(ACCEPT, *order) == 0) == (order == right), order


def test_what_overlaps_does_not_follow():
    assert verdict(ACCEPT, HEADER, begun(PAGE), done(PAGE), begun(SYNC), done(SYNC), begun(SEND), done(SEND)) == 0
    assert verdict(ACCEPT, HEADER, begun(PAGE), begun(SYNC), done(PAGE), done(SYNC), SEND) == 1
    assert verdict(ACCEPT, HEADER, PAGE, begun(SYNC), SEND, done(SYNC)) == 1
    assert verdict(ACCEPT, HEADER, PAGE, begun(SYNC), begun(SEND), done(SYNC), done(SEND)) == 1


def test_sync_of_another_file_and_write_without_its_end_do_not_count():
    assert verdict(ACCEPT, HEADER, PAGE, SYNC.replace(b"-wal", b""), SEND) == 1
    assert verdict(ACCEPT, HEADER, PAGE.replace(b"-wal", b""), SYNC, SEND) == 1
    assert verdict(ACCEPT, HEADER.replace(b"\\0\\t1", b"\\0\\00001"), PAGE, SYNC, SEND) == 1


def test_acknowledgement_out_of_turn_is_found_out():
    assert verdict(ACCEPT, HEADER, PAGE, SYNC, SEND.replace(b'"1', b'"2')) == 1
    assert verdict(ACCEPT, HEADER, PAGE.replace(b"4000", b"4001"), SYNC, SEND) == 1
