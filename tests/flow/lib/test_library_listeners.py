# SPDX-License-Identifier: BSD-3-Clause
"""Listeners: which addresses, which files, which descriptors; and what is refused."""
import errno
import fcntl
import os
import re
import signal
import socket
import stat
import tempfile
import threading

from harness import DEADLINE, connect, connect_unix, recv_all, recv_until, wait_for
from lab import Lab, refused_start, worker_counts

CLOEXEC = 0o2000000


def echoes(client, line=b"hello\n"):
    client.sendall(line)
    assert recv_until(client, b"\n") == line


def works(sock):
    with sock as client:
        echoes(client)


def is_refused(port, host="127.0.0.1"):
    try:
        connect(port, host).close()
    except ConnectionRefusedError:
        return True
    return False


def keeps_to_its_family(url, other, **options):
    """Whether nobody can connect to the server's port of the other family. Another test's server may have that one by
    chance, but hardly three times."""
    for _ in range(3):
        with Lab(url, frame="line", mode="echo", **options) as lab:
            if is_refused(lab.port, other):
                return True
    return False


# ---- TCP ----

def test_ipv4():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab:
            works(lab.connect())
            assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9]\d*", lab.urls[0]), lab.urls
        assert keeps_to_its_family("tcp://127.0.0.1:0", "::1", workers=workers)


def test_short_forms():
    for url in ("0", "127.0.0.1:0", "tcp://127.0.0.1:0"):
        with Lab(url, frame="line", mode="echo") as lab:
            works(lab.connect())
            assert lab.urls[0].startswith("tcp://127.0.0.1:"), lab.urls


def test_ipv6():
    with Lab("tcp://[::1]:0", frame="line", mode="echo") as lab:
        works(lab.connect(host="::1"))
        assert lab.urls[0].startswith("tcp://[::1]:"), lab.urls
        assert lab.wait_events("open")[0]["peer"].startswith("[::1]:")
    assert keeps_to_its_family("tcp://[::1]:0", "127.0.0.1")


def test_every_address_of_both_families():
    for url in ("*:0", ":0", "tcp://*:0"):
        with Lab(url, frame="line", mode="echo") as lab:
            works(lab.connect())
            works(lab.connect(host="::1"))
            assert lab.urls == ["tcp://*:%d" % lab.port], lab.urls
            assert lab.wait_events("open", 2)[0]["peer"].startswith("127.0.0.1:")  # not ::ffff:127.0.0.1


def test_every_address_of_one_family():
    with Lab("tcp://0.0.0.0:0", frame="line", mode="echo") as lab:
        works(lab.connect())
        assert lab.urls == ["tcp://0.0.0.0:%d" % lab.port]
    assert keeps_to_its_family("tcp://0.0.0.0:0", "::1")
    with Lab("tcp://[::]:0", frame="line", mode="echo") as lab:
        works(lab.connect(host="::1"))
        assert lab.urls == ["tcp://[::]:%d" % lab.port]
    assert keeps_to_its_family("tcp://[::]:0", "127.0.0.1")


def test_localhost_takes_one_port_for_all_its_addresses():
    with Lab("tcp://localhost:0", frame="line", mode="echo") as lab:
        assert len(set(lab.ports)) == 1, lab.urls
        for url in lab.urls:
            works(lab.connect(host="::1" if "[" in url else "127.0.0.1"))


def test_several_listeners_with_their_own_settings():
    with Lab(["tcp://127.0.0.1:0", "tcp://[::1]:0"], frame="line", mode="echo",
             words=("--frame", "delimiter:|", "--listen", "127.0.0.1:0"), listens=3) as lab:
        works(lab.connect())
        works(lab.connect_to(1, host="::1"))
        with lab.connect_to(2) as client:
            client.sendall(b"a\nb|")
            assert recv_until(client, b"|") == b"a\nb|"


def test_port_that_is_taken():
    with Lab(frame="line", mode="echo") as lab:
        for listen in (lab.urls[0], ":%d" % lab.port, "localhost:%d" % lab.port):
            sentence = refused_start("--listen", listen)
            assert "address already in use" in sentence.lower() and str(lab.port) in sentence, sentence
        assert "address already in use" in refused_start("--reuseport", 1, "--listen", lab.urls[0]).lower()
        works(lab.connect())


def test_port_that_is_taken_with_reuseport():
    """SO_REUSEPORT alone would let the second server in, and split the clients between the two."""
    with Lab(frame="line", mode="echo", reuseport=1, workers=2) as lab:
        for words in ((), ("--reuseport", 1), ("--reuseport", 1, "--workers", 2)):
            assert "address already in use" in refused_start(*words, "--listen", lab.urls[0]).lower()
        works(lab.connect())


def test_addresses_that_cannot_be_bound():
    for url, words in (("tcp://192.0.2.1:0", "192.0.2.1"), ("tcp://no-such-host.invalid:1", "no-such-host.invalid"),
                       ("tcp://127.0.0.1", "127.0.0.1"), ("nonsense://x", "nonsense"), ("127.0.0.1:65536", "65536"),
                       ("tls://127.0.0.1:0", "TLS"), ("unix:/no/such/folder/x.sock", "/no/such/folder/x.sock"),
                       ("unix:/" + "x" * 200, "xxx")):
        sentence = refused_start("--listen", url)
        assert words in sentence, (url, sentence)


def test_a_listener_that_fails_leaves_nothing_behind():
    """The first address of the name is bound before the second turns out to be taken."""
    with Lab(frame="line", mode="echo") as lab:
        lab.settle()
        before = descriptors(lab)
        for url in (lab.urls[0], "fd:0", "fd:999", "unix:/no/such/folder/x", "127.0.0.1:x"):
            assert lab.ask("listen", url, answer="listen")["result"] < 0
        assert descriptors(lab) == before
        assert lab.ask("listen", "127.0.0.1:0", answer="listen")["result"] == 0


def descriptors(lab):
    return sorted(os.listdir("/proc/%d/fd" % lab.pid))


def test_restart_at_once_on_the_same_port():
    """Though connections of the last server, which closed first, wait out their time."""
    with Lab(frame="line", mode="verbs") as lab:
        clients = [lab.connect() for _ in range(5)]
        for client in clients:
            client.sendall(b"close\n")
            assert recv_all(client) == b""
            client.close()
        lab.wait_events("close", 5)
        url = lab.urls[0]
    with Lab(url, frame="line", mode="echo") as lab:
        works(lab.connect())


def test_restart_at_once_after_a_kill():
    with Lab(frame="line", mode="echo") as lab:
        client = lab.connect()
        echoes(client)
        assert lab.stop(signal.SIGKILL) == -signal.SIGKILL
        url = lab.urls[0]
    with Lab(url, frame="line", mode="echo") as lab:
        works(lab.connect())
    client.close()


def test_reuseport_accepts_on_every_worker():
    with Lab(frame="line", mode="echo", reuseport=1, workers=2) as lab:
        sockets = [fd for fd in descriptors(lab) if socket_is_listening(lab.pid, fd)]
        assert len(sockets) == 2, sockets
        lab.ask("block", 1, answer="blocked")  # what its socket takes waits; the other's is served
        clients = [lab.connect() for _ in range(40)]
        wait_for(lambda: lab.events("open"), "those of worker 0")
        lab.tell("unblock")
        for client in clients:
            echoes(client)
            client.close()
        ids = sorted(event["conn"] for event in lab.wait_events("open", 40))
        assert ids == list(range(1, 41)), ids


def socket_is_listening(pid, fd):
    link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
    if not link.startswith("socket:"):
        return False
    inode = link[len("socket:["):-1]
    with open("/proc/%d/net/tcp" % pid, encoding="ascii") as file:
        return any(line.split()[9] == inode and line.split()[3] == "0A" for line in file.readlines()[1:])


def test_backlog():
    """With accepting disabled, so many wait in the kernel's queue, and no more are let in."""
    with Lab(frame="line", mode="echo", backlog=2) as lab:
        assert lab.ask("disable", 0, answer="disable")["result"] == 0
        lab.settle()
        waiting = []
        for _ in range(6):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", lab.port))
            waiting.append(sock)
        wait_for(lambda: sum(map(is_connected, waiting)) >= 3, "the queue to fill up")
        queued = [sock for sock in waiting if is_connected(sock)]
        assert len(queued) == 3, len(queued)  # Linux queues one more
        lab.tell("enable", 0)
        for sock in queued:
            sock.settimeout(DEADLINE)
            echoes(sock)
        for sock in waiting:
            sock.close()


def is_connected(sock):
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_defer_accept():
    """A client that says nothing is not accepted yet; one that speaks is, at once."""
    with Lab(frame="line", mode="echo", defer_accept_ms=30000) as lab, lab.connect() as silent, lab.connect() as client:
        echoes(client)
        assert lab.counters()["accepted"] == 1
        echoes(silent)
        assert lab.counters()["accepted"] == 2


def test_start_disabled_enable_disable_enable():
    for options in ({}, {"workers": 2}, {"workers": 2, "reuseport": 1}):
        with Lab(frame="line", mode="echo", disabled=1, **options) as lab:
            assert is_refused(lab.port)
            assert lab.ask("enable", 0, answer="enable")["result"] == 0
            with lab.connect() as stays:
                echoes(stays)
                assert lab.ask("disable", 0, answer="disable")["result"] == 0
                lab.settle()
                waits = lab.connect()  # by the kernel; up to the backlog
                waits.sendall(b"patience\n")
                echoes(stays)  # open connections are not touched
                assert lab.counters()["accepted"] == 1
                assert lab.ask("enable", 0, answer="enable")["result"] == 0
                assert recv_until(waits, b"\n") == b"patience\n"
                waits.close()


def test_port_of_a_disabled_listener_is_not_free():
    """A port that is bound and not listened to could be taken by another with SO_REUSEADDR."""
    with Lab(frame="line", mode="echo", disabled=1) as lab, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", lab.port))
            raise AssertionError("the port was free")
        except OSError as error:
            assert error.errno == errno.EADDRINUSE, error
        assert lab.ask("enable", 0, answer="enable")["result"] == 0
        works(lab.connect())


def test_enable_and_disable_many_times_under_load():
    for options in ({"workers": 1}, {"workers": 2}, {"workers": 2, "reuseport": 1}):
        with Lab(frame="line", mode="echo", quiet=1, **options) as lab:
            for _ in range(50):
                lab.tell("disable", 0)
                lab.tell("enable", 0)
                works(lab.connect())


def test_listen_while_serving():
    for workers in worker_counts():
        with Lab(frame="line", mode="echo", workers=workers) as lab:
            assert lab.ask("listen", "127.0.0.1:0", answer="listen")["result"] == 0
            url = lab.wait_stderr(r"(?s)listening on .*listening on (tcp://\S+)")[1]
            works(connect(int(url.rsplit(":", 1)[1])))
            assert lab.ask("listen", url, answer="listen")["result"] == -errno.EADDRINUSE


# ---- Unix sockets ----

class Folder(tempfile.TemporaryDirectory):
    """A folder for sockets; its name is short, for a socket's path may have 107 bytes."""

    def __enter__(self):
        return self

    def path(self, name="x.sock"):
        return os.path.join(self.name, name)

    def names(self):
        return sorted(os.listdir(self.name))


def test_unix_socket_comes_and_goes():
    for workers in worker_counts():
        with Folder() as folder:
            with Lab("unix:" + folder.path(), frame="line", mode="echo", workers=workers) as lab:
                assert lab.urls == ["unix:" + folder.path()]
                works(connect_unix(folder.path()))
                assert stat.S_IMODE(os.stat(folder.path()).st_mode) == 0o600
                assert folder.names() == ["x.sock"]
                assert lab.wait_events("open")[0]["peer"] == "unix"
            assert folder.names() == []


def test_unix_mode():
    with Folder() as folder:
        for mode in (0o666, 0o660, 0o700):
            with Lab("unix:" + folder.path(), frame="line", unix_mode=mode):
                assert stat.S_IMODE(os.stat(folder.path()).st_mode) == mode


def test_unix_socket_of_a_killed_server_is_replaced():
    with Folder() as folder:
        with Lab("unix:" + folder.path(), frame="line", mode="echo") as lab:
            assert lab.stop(signal.SIGKILL) == -signal.SIGKILL
        assert folder.names() == ["x.sock"]
        with Lab("unix:" + folder.path(), frame="line", mode="echo"):
            works(connect_unix(folder.path()))
        assert folder.names() == []


def test_unix_socket_that_lives_is_left_alone():
    with Folder() as folder, Lab("unix:" + folder.path(), frame="line", mode="echo") as lab:
        before = os.stat(folder.path())
        sentence = refused_start("--listen", "unix:" + folder.path())
        assert "address already in use" in sentence.lower() and folder.path() in sentence, sentence
        assert os.stat(folder.path()).st_ino == before.st_ino
        works(connect_unix(folder.path()))
        lab.ask("block", 0, answer="blocked")  # and one that is too busy to accept lives too
        assert "in use" in refused_start("--listen", "unix:" + folder.path()).lower()
        lab.tell("unblock")


def test_unix_socket_with_a_full_queue_is_left_alone():
    with Folder() as folder, socket.socket(socket.AF_UNIX) as other:
        other.bind(folder.path())
        other.listen(0)
        full = []
        for _ in range(4):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            sock.connect_ex(folder.path())
            full.append(sock)
        assert "in use" in refused_start("--listen", "unix:" + folder.path()).lower()
        for sock in full:
            sock.close()
        assert folder.names() == ["x.sock"]


def test_other_files_at_a_unix_sockets_path_are_left_alone():
    with Folder() as folder:
        with open(folder.path("file"), "w", encoding="ascii") as file:
            file.write("precious")
        os.mkdir(folder.path("folder"))
        os.symlink(folder.path("file"), folder.path("link"))
        os.symlink(folder.path("nowhere"), folder.path("dangling"))
        os.mkfifo(folder.path("fifo"))
        before = {name: os.lstat(folder.path(name)) for name in folder.names()}
        for name in folder.names():
            sentence = refused_start("--listen", "unix:" + folder.path(name))
            assert folder.path(name) in sentence and "no socket" in sentence, sentence
        after = {name: os.lstat(folder.path(name)) for name in folder.names()}
        assert {n: (s.st_ino, s.st_mode, s.st_size) for n, s in before.items()} == \
            {n: (s.st_ino, s.st_mode, s.st_size) for n, s in after.items()}


def test_symlink_to_a_stale_socket_is_left_alone():
    with Folder() as folder:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(folder.path("stale"))
        os.symlink(folder.path("stale"), folder.path("link"))
        refused_start("--listen", "unix:" + folder.path("link"))
        assert folder.names() == ["link", "stale"] and os.path.islink(folder.path("link"))


def test_unix_socket_of_another_kind_is_left_alone():
    """A datagram socket is a socket file too, and a live one answers a stream's connect with EPROTOTYPE."""
    with Folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(folder.path())
        refused_start("--listen", "unix:" + folder.path())
        assert folder.names() == ["x.sock"]


def test_unix_socket_that_was_replaced_is_not_removed():
    """Ours was moved away and another's stands in its place: at our end only ours may go, and it is not there."""
    with Folder() as folder:
        with Lab("unix:" + folder.path(), frame="line", mode="echo"):
            os.rename(folder.path(), folder.path("moved"))
            with open(folder.path(), "w", encoding="ascii") as file:
                file.write("precious")
        assert folder.names() == ["moved", "x.sock"]


def test_two_servers_on_one_unix_path_at_once():
    """However they interleave, one of them wins, and the file is the winner's."""
    with Folder() as folder:
        for _ in range(5):
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(folder.path())
            labs, errors = [], []

            def start():
                try:
                    labs.append(Lab("unix:" + folder.path(), frame="line", mode="echo"))
                except AssertionError as error:
                    errors.append(error)
            threads = [threading.Thread(target=start) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE)
            assert len(labs) == 1 and len(errors) == 2, (labs, errors)
            works(connect_unix(folder.path()))
            labs[0].__exit__(None)
            assert folder.names() == []


def test_unix_path_in_the_working_folder():
    with Lab("unix:x.sock", frame="line", mode="echo") as lab:
        works(connect_unix(os.path.join(lab.home.name, "x.sock")))


def test_longest_unix_path():
    with Folder() as folder:
        longest = folder.path("y" * (107 - len(folder.name) - 1))
        assert len(longest) == 107
        with Lab("unix:" + longest, frame="line", mode="echo"):
            works(connect_unix(longest))


def test_longest_folder_of_a_unix_path():
    """The name that the socket is bound under first needs more room than its own."""
    with Folder() as folder:
        home = folder.path("y" * (105 - len(folder.name) - 1))
        os.mkdir(home)
        path = home + "/x"
        assert len(path) == 107
        for _ in range(2):  # the second replaces what is stale
            with Lab("unix:" + path, frame="line", mode="echo") as lab:
                works(connect_unix(path))
                lab.kill()
            assert os.listdir(home) == ["x"]


def test_folder_that_somebody_else_keeps_locked():
    """The lock that keeps two starting servers apart can be taken by anybody who may read the folder."""
    with Folder() as folder:
        lock = os.open(folder.name, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert folder.path() in refused_start("--listen", "unix:" + folder.path())
        os.close(lock)
        assert folder.names() == []


# ---- Descriptors ----

AT_DESCRIPTOR_7 = ["sh", "-c", 'exec "$@" 7<&0 0</dev/null', "sh"]  # what is given as standard input stands there


def test_inherited_listening_socket():
    for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0))):
        with socket.socket(family) as listening:
            listening.bind(address)
            listening.listen()
            host, port = listening.getsockname()[:2]
            with Lab("fd:7", frame="line", mode="echo", stdin=listening, wrap=AT_DESCRIPTOR_7) as lab:
                assert lab.port == port, lab.urls
                works(connect(port, host))
            assert not is_refused(port, host)  # it is ours too, and lives on


def test_descriptor_is_taken_over_once():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        said = refused_start("--listen", "fd:7", "--listen", "fd:7", stdin=listening, wrap=AT_DESCRIPTOR_7)
        assert "fd:7: address already in use" in said, said


def test_inherited_unix_socket_is_not_removed():
    with Folder() as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(folder.path())
        listening.listen()
        with Lab("fd:7", frame="line", mode="echo", stdin=listening, wrap=AT_DESCRIPTOR_7) as lab:
            assert lab.urls == ["unix:" + folder.path()], lab.urls
            works(connect_unix(folder.path()))
        assert folder.names() == ["x.sock"]


def test_descriptors_that_cannot_be_taken_over():
    with socket.socket() as bound, socket.socket(type=socket.SOCK_DGRAM) as datagrams, tempfile.TemporaryFile() as file:
        bound.bind(("127.0.0.1", 0))
        for given, words in ((bound, "listening"), (datagrams, "listening"), (file, "socket")):
            sentence = refused_start("--listen", "fd:7", stdin=given, wrap=AT_DESCRIPTOR_7)
            assert "fd:7" in sentence and words in sentence.lower(), sentence
    assert "fd:999" in refused_start("--listen", "fd:999")


def test_every_descriptor_is_closed_on_exec():
    for workers in worker_counts():
        with Folder() as folder, Lab(["*:0", "tcp://127.0.0.1:0", "unix:" + folder.path()], frame="line", mode="echo",
                                       workers=workers, reuseport=1) as lab, lab.connect() as client, \
                connect_unix(folder.path()) as other:
            echoes(client)
            echoes(other)
            lab.tell("dial", lab.urls[1])
            lab.wait_events("open", 4)
            for fd in descriptors(lab):
                with open("/proc/%d/fdinfo/%s" % (lab.pid, fd), encoding="ascii") as file:
                    flags = int(re.search(r"^flags:\s+(\d+)", file.read(), re.M)[1], 8)
                assert int(fd) <= 2 or flags & CLOEXEC, (fd, os.readlink("/proc/%d/fd/%s" % (lab.pid, fd)))
