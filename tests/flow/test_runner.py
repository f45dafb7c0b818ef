# SPDX-License-Identifier: BSD-3-Clause
"""The runner itself: what it lets pass, no other test will find."""
import os
import subprocess
import sys
import tempfile

import run as runner
from harness import wait_for

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py")


def run(source, *options, patience="1", name="it"):
    """Runs the tests in a file of their own: (exit status, the lines of TAP)."""
    with tempfile.TemporaryDirectory(prefix="weir-runner-") as directory:
        with open(os.path.join(directory, "test_%s.py" % name), "w", encoding="utf-8") as file:
            file.write(source)
        done = subprocess.run([sys.executable, RUNNER, "--in", directory, *options], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, env=dict(os.environ, WEIR_TEST_PATIENCE=patience), check=False)
        return done.returncode, done.stdout.splitlines()


def runs(pid):
    """False also for a process that has ended and that nobody has asked for its status: it has no command line."""
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            return file.read() != b""
    except OSError:
        return False


def test_pass_fail_and_skip():
    status, lines = run("from harness import skip\n"
                        "def test_good(): pass\n"
                        "def test_bad(): assert 1 == 2, 'a sentence'\n"
                        "def test_absent(): skip('no such tool')\n")
    assert status == 1, lines
    assert lines[:2] == ["1..3", "ok 1 - it.good"], lines
    assert "not ok 2 - it.bad" in lines and any("a sentence" in line for line in lines), lines
    assert "ok 3 - it.absent # SKIP no such tool" in lines, lines


def test_all_pass():
    assert run("def test_good(): pass\n") == (0, ["1..1", "ok 1 - it.good"])


def test_no_test_is_a_failure():
    assert run("") == (1, ["1..0"])


def test_files_are_found_in_rooms_too_and_named_without_them():
    with tempfile.TemporaryDirectory(prefix="weir-runner-") as directory:
        for room, name, source in (("b", "first", "WORD = 1\ndef test_good(): pass\n"), ("", "second", "def test_good(): pass\n"),
                                   ("a", "third", "from test_first import WORD\ndef test_good(): pass\n")):
            os.makedirs(os.path.join(directory, room), exist_ok=True)
            with open(os.path.join(directory, room, "test_%s.py" % name), "w", encoding="utf-8") as file:
                file.write(source)
        done = subprocess.run([sys.executable, RUNNER, "--in", directory], stdout=subprocess.PIPE, text=True, check=False)
    assert done.stdout.splitlines() == ["1..3", "ok 1 - first.good", "ok 2 - second.good", "ok 3 - third.good"], done.stdout
    names = [runner.name_of(path) for path in runner.files_in(os.path.dirname(RUNNER))]
    assert len(names) == len(set(names)), names


def test_what_takes_long_is_left_out_when_there_is_little_time():
    test = "def test_good(): pass\n"
    heavy = runner.HEAVY[0]
    for name, option, status, lines in (("it", "--light", 0, ["1..1", "ok 1 - it.good"]), ("it", "--heavy", 1, ["1..0"]),
                                        (heavy, "--light", 1, ["1..0"]),
                                        (heavy, "--heavy", 0, ["1..1", "ok 1 - %s.good" % heavy])):
        assert run(test, option, name=name) == (status, lines), (name, option)
    assert run(test, name=heavy) == (0, ["1..1", "ok 1 - %s.good" % heavy])
    names = {runner.name_of(path) for path in runner.files_in(os.path.dirname(RUNNER))}
    assert set(runner.HEAVY + runner.ONE_THREAD) <= names, (runner.HEAVY, runner.ONE_THREAD)


def test_file_that_cannot_be_loaded_is_a_failure():
    status, lines = run("import no_such_module\n")
    assert status == 1 and "not ok 1 - it.can_be_loaded" in lines, lines


def test_time_limit():
    status, lines = run("import threading\ndef test_stuck(): threading.Event().wait()\n", patience="0.03")
    assert status == 1 and any("over its time limit" in line for line in lines), lines


def test_process_left_behind():
    status, lines = run("import subprocess\n"
                        "def test_careless(): subprocess.Popen(['sleep', '600'], start_new_session=True)\n")
    assert status == 1, lines
    left = [line for line in lines if "left running: " in line]
    assert left and left[0].endswith("sleep 600"), lines
    pid = left[0].split()[3]
    wait_for(lambda: not runs(pid), "the end of process " + pid)


def test_exit_inside_a_test_is_a_failure():
    status, lines = run("import sys\ndef test_quits(): sys.exit(0)\n")
    assert status == 1 and "not ok 1 - it.quits" in lines, lines


def test_killed_test_is_a_failure():
    status, lines = run("import os, signal\ndef test_dies(): os.kill(os.getpid(), signal.SIGKILL)\n")
    assert status == 1 and "not ok 1 - it.dies" in lines, lines


def test_results_are_in_the_order_of_the_file():
    """The first ends when the second has."""
    assert run("import os, tempfile\n"
               "from harness import wait_for\n"
               "path = tempfile.mktemp(prefix='weir-runner-')\n"
               "def test_first():\n"
               "    wait_for(lambda: os.path.exists(path))\n"
               "    os.unlink(path)\n"
               "def test_second(): open(path, 'x').close()\n") == (0, ["1..2", "ok 1 - it.first", "ok 2 - it.second"])


def test_what_one_test_changes_the_others_do_not_see():
    change = "    assert changed == [] and 'CHANGED' not in os.environ\n" \
             "    changed.append(1)\n" \
             "    os.environ['CHANGED'] = '1'\n"
    status, lines = run("import os\nchanged = []\ndef test_one():\n%sdef test_another():\n%s" % (change, change))
    assert status == 0, lines
