# SPDX-License-Identifier: BSD-3-Clause
"""The processes of a measurement: a server, and the load that keeps it busy, each on a core of its own."""
import json
import os
import re
import socket
import subprocess
import tempfile
import time

CORES = [str(core) for core in sorted(os.sched_getaffinity(0))]
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
START_SECONDS = 60
STATUS_SKIPPED = 77


class BenchError(Exception):
    """Something that makes the numbers worthless."""


class CannotRun(Exception):
    """A server was not built, or says itself that it cannot run here."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Process:
    """A child that is pinned to cores, and is gone when the `with` block ends."""

    def __init__(self, command, cores, **streams):
        self.name = os.path.basename(command[0])
        self.process = subprocess.Popen(["taskset", "-c", cores] + command, **streams)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


class Server(Process):
    """A server on a free port; its standard error goes to a file, so that it can never block on us."""

    def __init__(self, command, cores=SERVER_CORE, environment=None):
        self.log = tempfile.TemporaryFile("w+")
        self.home = tempfile.TemporaryDirectory(prefix="weir-bench-")
        super().__init__(command, cores, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log,
                         cwd=self.home.name, env={**os.environ, **(environment or {})})
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.log.close()
        self.home.cleanup()

    def _wait_for_port(self):
        def port():
            status = self.process.poll()
            if status == STATUS_SKIPPED:
                raise CannotRun(self.text().strip())
            if status is not None:
                raise BenchError("%s ended with %d: %s" % (self.name, status, self.text()))
            return re.search(r"listening on tcp://[^\n]*:(\d+)\n", self.text())
        return int(wait_for(port, "%s to listen" % self.name)[1])

    def stop(self):
        """Asks it to end, and waits until it has."""
        self.process.terminate()
        self.process.wait(START_SECONDS)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def cpu_seconds(self, threads=None):
        """CPU time of its threads, of all where none are named, in the scheduler's nanoseconds; kernel time on their
        behalf is in it."""
        total = 0
        for task in threads or os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.pid, task), encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def memory_bytes(self):
        """Memory that is its own: what would come back if it ended. The kernel's socket buffers are not in it."""
        with open("/proc/%d/smaps_rollup" % self.pid, encoding="ascii") as file:
            return 1024 * int(re.search(r"^Private_Dirty:\s+(\d+) kB", file.read(), re.M)[1])

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def children(self):
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid), encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]


class Load(Process):
    """The load client (compare/load/): connected when this returns; run() is one measurement."""

    def __init__(self, build, port, arguments, cores=LOAD_CORE):
        command = [os.path.join(build, "compare", "load")] + [str(a) for a in arguments] + ["--control", str(port)]
        super().__init__(command, cores, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
        if self.process.stdout.readline() != "ready\n":
            self._fail()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.process.stderr.close()

    def _fail(self):
        self.process.kill()
        text = self.process.stderr.read().strip()
        self.__exit__()
        raise BenchError(text or "the load ended")

    def run(self, seconds, rate=0):
        """Runs for so long; seconds 0: one message on each connection. What it says of it, as a dictionary."""
        self.start(seconds, rate)
        return self.finish()

    def start(self, seconds, rate=0):
        self.process.stdin.write("%f %f\n" % (seconds, rate))
        self.process.stdin.flush()

    def finish(self):
        line = self.process.stdout.readline()
        if not line:
            self._fail()
        return json.loads(line)


def run_client(command, cores=LOAD_CORE):
    """One run of a client that connects by itself and prints what came of it as one JSON object."""
    with Process(command, cores, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                 text=True) as client:
        out, error = client.process.communicate()
        client.process.stderr.close()
        if client.process.returncode != 0:
            raise BenchError(error.strip() or "%s ended with %d" % (client.name, client.process.returncode))
        return json.loads(out)


def wait_for(predicate, what):
    deadline = time.monotonic() + START_SECONDS
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise BenchError("waited %d s for %s" % (START_SECONDS, what))
        time.sleep(0.005)
