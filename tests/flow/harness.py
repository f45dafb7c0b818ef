# SPDX-License-Identifier: BSD-3-Clause
"""What the flow tests stand on: the real program in a child process, sockets that speak to it, and deadlines.

A test never sleeps: it waits for an event with a deadline (wait_for, recv_until, Process.wait_stderr), and the deadline
is long enough to mean that something is broken. Every process that a test starts is ended when its `with` block ends,
by its own number, and must not have reported a leak or a race.

The environment, set by meson or by ./dev:
  WEIR                the program (default build/weir)
  WEIR_FLOW_PROGRAMS  the folder with the helper programs service_*
  WEIR_FLAVOUR        release, asan, tsan or valgrind: what the program was built with, or runs under
  WEIR_WRAP           words put before every command: a tool to run it under
  WEIR_TEST_WORKERS   when set, servers get this many workers, unless the test says how many
  WEIR_TEST_PATIENCE  what every deadline is multiplied by, for slow tools (default 1)
"""
import ctypes
import fcntl
import functools
import json
import os
import pty
import random
import re
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))
PROGRAMS = os.environ.get("WEIR_FLOW_PROGRAMS", os.path.join(ROOT, "build", "tests", "flow"))
FLAVOUR = os.environ.get("WEIR_FLAVOUR", "release")
PATIENCE = float(os.environ.get("WEIR_TEST_PATIENCE", "1"))
DEADLINE = 10 * PATIENCE

REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer|: runtime error: |^==\d+== \S", re.M)


# Whoever runs the tests behind a shell's & or nohup has these ignored, and what we start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Skip(Exception):
    """Raised by skip."""


def skip(reason):
    """Ends the test as skipped; the reason is shown."""
    raise Skip(reason)


def wait_for(predicate, what="it", deadline=None):
    """Waits until predicate() is true and returns its value; fails with `what` when the deadline passes."""
    end = time.monotonic() + (DEADLINE if deadline is None else deadline)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.005)


class HeldUp(Exception):
    """The machine has held the test up, so that what it saw proves nothing."""


class within:
    """What is in the block must be done in so many seconds, or else HeldUp: for a test that has to act before a deadline
    of the server's. Below @in_time."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, kind, error, _):
        if time.monotonic() - self.start >= self.seconds and (kind is None or issubclass(kind, (AssertionError, OSError))):
            raise HeldUp("not within %g s" % self.seconds) from error


def in_time(test):
    """Makes a test that is run again when it was held up."""
    @functools.wraps(test)
    def run():
        for _ in range(20):
            try:
                return test()
            except HeldUp as reason:
                print("held up:", reason)
        raise AssertionError("it was held up every time")
    return run


class Output:
    """What a process writes, collected by a thread, so that it never blocks on us. After freeze() nothing is read until
    thaw(): the process then meets a full pipe."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._bytes = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._may_read = threading.Event()
        self._may_read.set()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while True:
            self._may_read.wait()
            try:
                chunk = os.read(self._descriptor, 65536)
            except OSError:  # a terminal whose other side is closed
                chunk = b""
            with self._changed:
                self._bytes += chunk
                self._ended = not chunk
                self._changed.notify_all()
            if not chunk:
                return

    def freeze(self):
        self._may_read.clear()

    def thaw(self):
        self._may_read.set()

    def bytes(self):
        with self._changed:
            return bytes(self._bytes)

    def whole_lines(self, start):
        """The lines from there on that have their end. Of one that is still coming, which may be long, nothing is copied:
        whoever asks over and over would keep it from coming."""
        with self._changed:
            end = self._bytes.rfind(b"\n", start)
            return bytes(self._bytes[start:end + 1]) if end >= 0 else b""

    def text(self):
        return self.bytes().decode("utf-8", "replace")

    def wait(self, pattern, deadline=None):
        """Waits until the regular expression is found in the output, and returns the match."""
        end = time.monotonic() + (DEADLINE if deadline is None else deadline)
        with self._changed:
            while True:
                text = self._bytes.decode("utf-8", "replace")
                match = re.search(pattern, text, re.M)
                if match:
                    return match
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = "the output ended" if self._ended else "the deadline passed"
                    raise AssertionError("%s before %r came; it was:\n%s" % (why, pattern, text[-4000:]))
                self._changed.wait(left)

    def finish(self):
        """Waits for the end of the output; for a process that has ended."""
        self.thaw()
        self._thread.join(DEADLINE)
        if self._thread.is_alive():
            raise AssertionError("a process has ended, but somebody still holds its output open")


def nothing():
    """A descriptor that is at its end."""
    return os.open(os.devnull, os.O_RDONLY)


def take_terminal():
    """Makes standard input the terminal that Ctrl-C comes from. In the child, behind its setsid."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Process:
    """A command under test in a folder of its own, or in `cwd`. `terminal` gives it a pseudo-terminal for all three
    streams, `columns` wide, whose output is then in `stdout`; it is the terminal of a session of the command's own, or
    without `job_control` nobody's, in a session of its own or in ours (`new_session`). Otherwise standard input is empty, or a pipe when `stdin` is true, or that
    file; standard output and error are collected, or go to the file given as `stdout` or `stderr`. `wrap` are words
    before the command: a program that becomes the command (prlimit), or one that runs it. `env` adds variables, or takes
    them away when they are None. Nothing is stored unless the test asks for it, and then never outside of the folder."""

    def __init__(self, command, stdin=False, terminal=False, env=None, wrap=(), columns=80, stdout=None, stderr=None,
                 job_control=True, new_session=True, cwd=None):
        self.command = [str(word) for word in command]
        self.home = tempfile.TemporaryDirectory(prefix="weir-flow-")
        self.cwd = cwd or self.home.name
        self._checked = False
        self._events = []
        self._parsed_bytes = 0
        environment = dict(os.environ, HOME=self.home.name, XDG_RUNTIME_DIR=self.home.name,
                           XDG_STATE_HOME=self.home.name, STATE_DIRECTORY=None, WEIR_STORE="none",
                           RES_OPTIONS="timeout:1 attempts:1")  # a name server that is away costs a second
        environment.update(env or {})
        environment = {name: value for name, value in environment.items() if value is not None}
        wrapped = list(wrap) + shlex.split(os.environ.get("WEIR_WRAP", "")) + self.command
        if terminal:
            self._start_on_terminal(wrapped, environment, columns, take_terminal if job_control else None, new_session)
        else:
            self._start_on_pipes(wrapped, environment, stdin, stdout, stderr)
        self.pid = self.process.pid

    def _start_on_pipes(self, command, environment, stdin, stdout, stderr):
        if isinstance(stdin, bool):
            stdin = subprocess.PIPE if stdin else subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=stdin, cwd=self.cwd, env=environment, bufsize=0,
                                        stdout=subprocess.PIPE if stdout is None else stdout,
                                        stderr=subprocess.PIPE if stderr is None else stderr)
        self.stdin = self.process.stdin
        self.stdout = Output(self.process.stdout.fileno() if stdout is None else nothing())
        self.stderr = Output(self.process.stderr.fileno() if stderr is None else nothing())

    def _start_on_terminal(self, command, environment, columns, before, new_session):
        master, slave = pty.openpty()
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment.setdefault("TERM", "xterm")
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=self.cwd,
                                        env=environment, start_new_session=new_session, preexec_fn=before)
        os.close(slave)
        self.stdin = os.fdopen(master, "wb", buffering=0)
        self.stdout = self.stderr = Output(master)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process.poll() is None:
                self.end_at_exit(kind is not None)
            self.check_reports()
        finally:
            self.kill()
            for stream in {self.process.stdout, self.process.stderr, self.stdin} - {None}:
                stream.close()
            self.home.cleanup()

    def end_at_exit(self, failed):
        """A process that a test leaves running: a server is asked to stop, others are killed."""
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self, deadline=None):
        """Waits for the process to end, and returns its exit status: -N when signal N ended it."""
        try:
            status = self.process.wait(DEADLINE if deadline is None else deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s did not end; standard error:\n%s" % (self.command, self.stderr.text())) from None
        self.check_reports()
        return status

    def is_asleep(self):
        """All its threads wait: what it has not done by now it waits for, and is not only slow."""
        try:
            for thread in os.listdir("/proc/%d/task" % self.pid):
                with open("/proc/%d/task/%s/stat" % (self.pid, thread), encoding="ascii", errors="replace") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] != "S":
                        return False
        except OSError:  # a thread, or the process, that has just ended
            return False
        return True

    def begin_stop(self, number=signal.SIGTERM):
        """Sends the signal, and sees to it that it arrives: ThreadSanitizer puts off what comes outside a system call,
        and once in a thousand times forgets it. (strace shows it delivered to the main thread, which then waits in
        epoll_wait as if nothing had been.)"""
        self.send_signal(number)
        if FLAVOUR != "tsan" or self.command[:2] != [WEIR, "serve"]:
            return
        try:
            wait_for(lambda: self.process.poll() is not None or "stopping:" in self.stderr.text(),
                     deadline=2 * PATIENCE)
        except AssertionError:
            self.send_signal(number)

    def stop(self, number=signal.SIGTERM, deadline=None):
        """Sends a signal and returns the exit status."""
        self.begin_stop(number)
        return self.wait(deadline)

    def check_reports(self):
        """Fails when a sanitizer or valgrind had something to say. The process has ended."""
        if self._checked or self.process.poll() is None:
            return
        self._checked = True
        self.stdout.finish()
        self.stderr.finish()
        assert not REPORT.search(self.stderr.text()), "the program is at fault:\n" + self.stderr.text()

    def wait_stdout(self, pattern, deadline=None):
        return self.stdout.wait(pattern, deadline)

    def wait_stderr(self, pattern, deadline=None):
        return self.stderr.wait(pattern, deadline)

    def events(self, kind=None):
        """What `--print json` has shown so far, whole lines only; `kind` picks one kind of event."""
        lines = self.stdout.whole_lines(self._parsed_bytes)
        self._events += [json.loads(line) for line in lines.split(b"\n")[:-1]]
        self._parsed_bytes += len(lines)
        return [event for event in self._events if kind in (None, event["event"])]

    def wait_events(self, kind, count=1, deadline=None):
        """Waits until `--print json` has shown so many events of a kind, and returns them."""
        wait_for(lambda: len(self.events(kind)) >= count, "%d %s events" % (count, kind), deadline)
        return self.events(kind)


class Server(Process):
    """`weir serve` with the given options, or a helper program, listening when the constructor returns. Without a
    --listen among the options it listens on a free port of 127.0.0.1. Leaving the `with` block stops it with SIGTERM
    and fails unless it drained and ended with status 0."""

    def __init__(self, *options, program=None, listens=None, **process):
        options = [str(option) for option in options]
        if program is not None:
            command = [os.path.join(PROGRAMS, program)] + options
        else:
            command = [WEIR, "serve"] + self._defaults(options) + options
        super().__init__(command, **process)
        self.urls = []
        try:
            self.wait_until_listening(max(1, options.count("--listen")) if listens is None else listens)
            self._work_before = self.cpu_seconds()
        except BaseException:
            self.__exit__(AssertionError)
            raise

    @staticmethod
    def _defaults(options):
        added = []
        if "--listen" not in options:
            added += ["--listen", "127.0.0.1:0"]
        if "WEIR_TEST_WORKERS" in os.environ and "--workers" not in options:
            added += ["--workers", os.environ["WEIR_TEST_WORKERS"]]
        return added

    def wait_until_listening(self, count):
        # Each line fits one way only: a pattern that could try several would take for ever with many listeners.
        self.stderr.wait(r"\A(?:(?:(?!.*listening on ).*\n)*.*listening on .*\n){%d}" % count)
        self.urls = re.findall(r"listening on ([^\s]+)", self.stderr.text())
        self.ports = [int(url.rsplit(":", 1)[1]) for url in self.urls if url.startswith("tcp:")]
        self.port = self.ports[0] if self.ports else None

    def end_at_exit(self, failed):
        if failed:
            self.kill()
            print("standard error of %s:\n%s" % (self.command, self.stderr.text()))
        else:
            status = self.stop()
            assert status == 0, "%s ended with status %d:\n%s" % (self.command, status, self.stderr.text())

    def connect(self, **options):
        return connect(self.port, **options)

    def wait_for_work(self, seconds=0.1):
        """Waits until it has used so much CPU time since it began to listen. (Under a slow tool its start alone may.)"""
        wait_for(lambda: self.cpu_seconds() > self._work_before + seconds, "load")

    def memory_bytes(self, field="VmRSS"):
        """Its resident memory, for tests that see it grow."""
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            return 1024 * int(re.search(r"^%s:\s+(\d+) kB" % field, file.read(), re.M)[1])

    def peak_memory_bytes(self):
        """The most that it was."""
        return self.memory_bytes("VmHWM")

    def descriptors(self):
        """How many it has open."""
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def cpu_seconds(self):
        """CPU time of all its threads, for tests that see it spin."""
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def weir(*arguments, **process):
    """Any command of the program: `with weir("connect", url, stdin=True) as client:`."""
    return Process([WEIR] + list(arguments), **process)


def run_weir(*arguments, deadline=None, **process):
    """Runs a command to its end: (status, standard output, standard error), as text."""
    with weir(*arguments, **process) as command:
        status = command.wait(deadline)
        return status, command.stdout.text(), command.stderr.text()


def enter_network():
    """Gives this process a network in which nothing but itself and what it starts is to be reached."""
    new_user, new_network = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET (sched.h)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_network) and libc.unshare(new_user | new_network):
        skip("no network of its own is to be had here: " + os.strerror(ctypes.get_errno()))
    set_loopback(up=True)


def set_loopback(up):
    """In a network of one's own: ip link set lo up, or down."""
    siocsifflags, iff_up = 0x8914, 1  # netdevice(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH14x", b"lo", iff_up if up else 0))


def connect(port, host="127.0.0.1", receive_buffer=None, source=None):
    """A connected socket whose every operation has the deadline. A small receive_buffer makes a client that soon
    stops taking what is sent; source is the address it comes from."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if source is not None:
        sock.bind((source, 0))
    sock.settimeout(DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect((host, port))
    return sock


def listener(port=0, backlog=128):
    """A socket that listens: for a client under test."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(backlog)
    return sock


def lasting_port(choice=random):
    """A free port for a server that goes and comes back, for all but whom a port of 0 is right. It is one that nobody is
    given by chance: while the server is away a client that dials could be given its very port, and would then have met
    itself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = map(int, file.read().split())
    ports = [port for port in range(10000, 65536) if not first <= port <= last] or list(range(10000, 65536))
    for _ in range(1000):
        port = choice.choice(ports)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


def accept(sock):
    """The next client of a listener, with the deadline."""
    client, _ = sock.accept()
    client.settimeout(DEADLINE)
    return client


def connect_unix(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect(path)
    return sock


def recv_exactly(sock, count):
    """Exactly count bytes; fails when the peer ends before."""
    received = bytearray()
    while len(received) < count:
        chunk = sock.recv(min(65536, count - len(received)))
        assert chunk, "the peer ended after %d of %d bytes: %r" % (len(received), count, bytes(received[-200:]))
        received += chunk
    return bytes(received)


def recv_until(sock, end):
    """All up to and with the bytes `end`, and not a byte more."""
    received = bytearray()
    while not received.endswith(end):
        received += recv_exactly(sock, 1)
    return bytes(received)


def recv_all(sock):
    """All until the peer's FIN; a reset fails."""
    received = bytearray()
    while True:
        chunk = sock.recv(65536)
        if not chunk:
            return bytes(received)
        received += chunk


def expect_eof(sock):
    """The peer ends, and has nothing more to say."""
    rest = recv_all(sock)
    assert rest == b"", "more came before the end: %r" % rest[:200]


def expect_reset(sock):
    """The peer resets the connection; what comes before that is thrown away."""
    try:
        recv_all(sock)
    except ConnectionResetError:
        return
    raise AssertionError("the connection ended without a reset")


def reset(sock):
    """Closes with a reset in place of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
