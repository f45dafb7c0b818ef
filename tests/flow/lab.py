# SPDX-License-Identifier: BSD-3-Clause
"""service_lab from a test's side: a server on libweir whose every setting is an option and whose every public function
is a command. See service_lab.c for the words."""
import os
import time

from harness import PATIENCE, PROGRAMS, Process, Server, connect, wait_for

MAY_BE_LATE = 5.0  # seconds that a timeout may be late on a busy machine, times the patience


def worker_counts():
    """With how many workers a test should run, where that matters."""
    return [int(os.environ["WEIR_TEST_WORKERS"])] if "WEIR_TEST_WORKERS" in os.environ else [1, 2]


class Lab(Server):
    """A service_lab with the given options: Lab(frame="line", mode="echo"). `listen` is one URL or a list of them;
    `words` come behind them, and `listens` then says how many `listening on` to wait for."""

    def __init__(self, listen="tcp://127.0.0.1:0", words=(), listens=None, stdin=True, wrap=(), **options):
        options.setdefault("workers", worker_counts()[0])
        urls = [listen] if isinstance(listen, str) else listen
        line = []
        for name, value in options.items():
            line += ["--" + name.replace("_", "-"), value]
        for url in urls:
            line += ["--listen", url]
        super().__init__(*line, *words, program="service_lab", listens=listens, stdin=stdin, wrap=wrap)

    def connect_to(self, listener, **options):
        """A client of another listener than the first."""
        return connect(self.ports[listener], **options)

    def tell(self, *words):
        self.stdin.write((" ".join(str(word) for word in words) + "\n").encode())

    def ask(self, *words, answer):
        """Sends a command and returns the event that answers it."""
        before = len(self.events(answer))
        self.tell(*words)
        return self.wait_events(answer, before + 1)[-1]

    def counters(self):
        return self.ask("counters", answer="counters")

    def settle(self):
        """Every worker has seen what was told before: flags are looked at behind the mail, so twice is once."""
        self.ask("turn", answer="turn")
        self.ask("turn", answer="turn")

    def closed(self, conn, deadline=None):
        """The close event of a connection, once it is there; there is never a second one."""
        def find():
            return [event for event in self.events("close") if event["conn"] == conn]
        events = wait_for(find, "the end of connection %d" % conn, deadline)
        assert len(events) == 1, events
        return events[0]

    def expect_closed(self, conn, reason, deadline=None):
        event = self.closed(conn, deadline)
        assert event["reason"] == reason, event
        return event

    def wait_log(self, pattern):
        return self.wait_stderr(r"log \d: .*" + pattern)

    def end(self, deadline=None):
        """Waits until it has ended by itself, and returns what weir_run returned."""
        self.wait(deadline)
        return self.events("ran")[-1]["result"]


def refused_start(*words, **process):
    """What a service_lab that cannot start says; its exit status must be 1."""
    with Process([os.path.join(PROGRAMS, "service_lab")] + [str(word) for word in words], **process) as process:
        status = process.wait()
        assert status == 1, (status, process.stderr.text())
        return process.stderr.text()


def program(name, *words, deadline=None):
    """Runs a helper program that checks itself to its end, and returns its events."""
    with Process([os.path.join(PROGRAMS, name)] + [str(word) for word in words]) as process:
        status = process.wait(deadline)
        assert status == 0, "%s %s ended with %d:\n%s" % (name, words, status, process.stderr.text())
        return process.events()


class Stopwatch:
    """Seconds since it was made, by the clock that the engine's deadlines go by."""

    def __init__(self):
        self.start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start


def cpu_share(server, seconds=0.4):
    """What part of a processor the server takes while a while goes by."""
    before, watch = server.cpu_seconds(), Stopwatch()
    wait_for(lambda: watch.seconds() > seconds, "time to pass")
    return (server.cpu_seconds() - before) / watch.seconds()
