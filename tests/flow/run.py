#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the flow tests: every function test_* of every test_*.py here and in the rooms, or those whose names contain a
pattern. A test is named after its file and its function, whatever the room.

usage: run.py [--in FOLDER] [--light | --heavy] [PATTERN...]

--light leaves out the files of HEAVY, --heavy all others. For ThreadSanitizer those of ONE_THREAD are left out.

Each test is a process of its own with a time limit, some run at once, and the results are printed as TAP in a fixed
order. A test fails by an exception, by its time limit, and by leaving a process behind that it has started. Helpers
and the environment are described in harness.py.

A test's process is forked from this one, which has loaded the files: hundreds of new interpreters would take as much of
the processor as the tests themselves.
"""
import functools
import glob
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = float(os.environ.get("WEIR_TEST_PATIENCE", "1"))
TIME_LIMIT = 180 * PATIENCE
AT_ONCE = min(6 if PATIENCE <= 1 else 4, 3 * (os.cpu_count() or 1))  # most of a test is waiting, less so under a slow tool
STATUS_SKIPPED = 77
HEAVY = ["clock", "serve_memory"]  # a quarter of the time that all take
# Programs without threads, what a server does before it has any, and tests of tests.
ONE_THREAD = ["config", "log", "runner", "serve_options", "store_damage", "store_open", "verify"]
FORK = multiprocessing.get_context("fork")
MARK = "WEIR_FLOW_TEST"  # in the environment of a test and all that it starts, with a value of its own


@functools.lru_cache(maxsize=None)
def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files_in(directory):
    """The test files here and one floor down, by their names."""
    found = glob.glob(os.path.join(directory, "test_*.py")) + glob.glob(os.path.join(directory, "*", "test_*.py"))
    return sorted(found, key=os.path.basename)


def name_of(path):
    return os.path.basename(path)[len("test_"):-len(".py")]


def tests_of(path):
    return [name for name, value in vars(load(path)).items() if name.startswith("test_") and callable(value)]


def run_here(path, name):
    """Inside a test's own process: the exit status tells the result, the output why."""
    from harness import Skip
    try:
        getattr(load(path), name)()
    except Skip as reason:
        print(reason)
        return STATUS_SKIPPED
    except BaseException:  # a test that exits or is interrupted has failed as well
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def live(path, name, mark, output):
    """What a test's process does."""
    os.environ[MARK] = mark
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.exit(run_here(path, name))


def environment(directory):
    """That of a process, as it was started. In the midst of an execve there is none yet (proc(5), stat: env_end is 0), though
    whoever started it has heard by then that it succeeded; a zombie and a kernel's thread never have one, and no program."""
    while True:
        with open(directory + "/stat", "rb") as file:
            env_end = file.read().rsplit(b")", 1)[1].split()[48]
        if env_end != b"0":
            with open(directory + "/environ", "rb") as file:
                return file.read().split(b"\0")
        os.readlink(directory + "/exe")
        time.sleep(0.001)


def left_behind(mark):
    """Numbers of the processes with this mark in their environment."""
    pids = []
    for directory in glob.glob("/proc/[0-9]*"):
        try:
            if ("%s=%s" % (MARK, mark)).encode() in environment(directory):
                pids.append(int(os.path.basename(directory)))
        except OSError:  # it ended meanwhile, is somebody else's, or has no program
            continue
    return pids


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return "?"


def end_left_behind(mark):
    """Kills what a test has left behind, and says what it was."""
    found = []
    for pid in left_behind(mark):
        found.append("%d %s" % (pid, command_line(pid)))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return found


class Running:
    """A test in its process."""

    def __init__(self, path, name):
        self.mark = "%d-%s-%s" % (os.getpid(), os.path.basename(path), name)
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.start = time.monotonic()
        self.process = FORK.Process(target=live, args=(path, name, self.mark, self.output.fileno()))
        sys.stdout.flush()  # or it would be the test's to print
        self.process.start()

    def seconds(self):
        return time.monotonic() - self.start

    def end(self, has_ended):
        """When it has ended or is over its limit: (status, output, seconds)."""
        why = ""
        if not has_ended:
            # The test's own children end with it below.
            self.process.kill()
            why = "over its time limit of %g s\n" % TIME_LIMIT
        self.process.join()
        left = end_left_behind(self.mark)
        if left and not why:
            why = "left running: %s\n" % ", ".join(left)
        with self.output:
            self.output.seek(0)
            return 1 if why else self.process.exitcode, self.output.read() + why, self.seconds()


def run_all(tests):
    """Yields the number and the result of each, as they end."""
    waiting, running = list(enumerate(tests)), {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number, test = waiting.pop(0)
            running[number] = Running(*test)
        time_left = min(TIME_LIMIT - test.seconds() for test in running.values())
        ended = multiprocessing.connection.wait([test.process.sentinel for test in running.values()], max(0, time_left))
        for number, test in list(running.items()):
            has_ended = test.process.sentinel in ended
            if has_ended or test.seconds() >= TIME_LIMIT:
                del running[number]
                yield number, test.end(has_ended)


def in_order(numbered):
    """Yields the values by their numbers, each as soon as those before it are there."""
    held = {}
    following = 0
    for number, value in numbered:
        held[number] = value
        while following in held:
            yield held.pop(following)
            following += 1


def print_result(number, test, result):
    path, name = test
    status, output, seconds = result
    title = "%d - %s.%s" % (number, name_of(path), name[len("test_"):])
    if status == STATUS_SKIPPED:
        print("ok %s # SKIP %s" % (title, " ".join(output.split())))
    elif status == 0:
        print("ok %s" % title)
    else:
        print("not ok %s" % title)
        print("# after %.1f s:" % seconds)
        for line in output.splitlines():
            print("# " + line)
    sys.stdout.flush()


def is_wanted(name, weight):
    """Whether this run is with a file: "light", "heavy" or any weight."""
    if name in ONE_THREAD and os.environ.get("WEIR_FLAVOUR") == "tsan":
        return False
    return weight is None or (name in HEAVY) == (weight == "heavy")


def discover(directory, weight, patterns):
    """All tests whose name `file.test` has one of the patterns in it. A file that cannot be loaded is a failed test."""
    found = []
    paths = files_in(directory)
    sys.path += sorted({os.path.dirname(path) for path in paths})  # a test may use what another room's has
    for path in paths:
        if not is_wanted(name_of(path), weight):
            continue
        try:
            names = tests_of(path)
        except (Exception, SystemExit):
            names = ["test_can_be_loaded"]
        for name in names:
            title = "%s.%s" % (name_of(path), name[len("test_"):])
            if not patterns or any(pattern in title for pattern in patterns):
                found.append((path, name))
    return found


def main(arguments):
    directory, weight = HERE, None
    if arguments[:1] == ["--in"]:
        directory, arguments = arguments[1], arguments[2:]
    if arguments[:1] in (["--light"], ["--heavy"]):
        weight, arguments = arguments[0][2:], arguments[1:]
    tests = discover(directory, weight, arguments)
    print("1..%d" % len(tests), flush=True)
    failed = 0
    for number, (test, result) in enumerate(zip(tests, in_order(run_all(tests))), 1):
        print_result(number, test, result)
        failed += result[0] not in (0, STATUS_SKIPPED)
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
