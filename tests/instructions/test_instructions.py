#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A message costs what is recorded, and the comparison sees it when it does not.

    test_instructions.py PROGRAM SERVER       tests/instructions/paths and weir of a release build
"""
import functools
import json
import os
import subprocess
import sys
import tempfile

import instructions

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "documents"))
from tap import Skip, run

PROGRAM, SERVER = sys.argv[1:]
PATH = "line, dropped"


def or_skip(function, *arguments):
    try:
        return function(*arguments)
    except instructions.Unknown as reason:
        raise Skip(reason) from None


@functools.lru_cache(maxsize=None)
def recorded():
    return or_skip(instructions.recorded_for, instructions.key_of(PROGRAM), instructions.RECORDED)


@functools.lru_cache(maxsize=None)
def counted():
    return or_skip(instructions.count, PROGRAM)


def messages_cost_what_is_recorded():
    wrong = instructions.complaints(recorded(), counted())
    assert not wrong, "\n".join(wrong)


@functools.lru_cache(maxsize=None)
def served_recorded():
    return or_skip(instructions.recorded_for, instructions.served_key_of(PROGRAM, SERVER), instructions.RECORDED)


@functools.lru_cache(maxsize=None)
def served():
    return or_skip(instructions.count_served, SERVER)


def served_messages_cost_what_is_recorded():
    wrong = instructions.complaints(served_recorded(), served())
    assert not wrong, "\n".join(wrong)


def two_runs_of_the_server_count_the_same():
    """Of the worker, which does nothing by the clock that would count."""
    served_recorded()
    path = "serve, acknowledged, 100 a read"
    now = sum(or_skip(instructions.measure_served, SERVER, path)[path].values())
    assert abs(now - served()[path]) <= 0.02 * served()[path], (now, served())


def difference_is_what_a_message_costs():
    """Whatever a run does once is not in it."""
    once, twice = {"start": 900, "read": 1100}, {"start": 900, "read": 2100, "late": 50}
    assert instructions.difference(once, twice, 100) == {"start": 0, "read": 10, "late": 0.5}


def threads_are_told_apart():
    """The worker has opened the store."""
    assert instructions.thread_of({"event_base_loop": 1, "sqlite3_step": 1}) == "worker"
    assert instructions.thread_of({"sqlite3_step": 1}) == "writer"
    assert instructions.thread_of({"write": 1}) == "other"


def two_runs_count_the_same():
    """And a path costs what its functions cost together; those of the script are not among them."""
    for path, functions in or_skip(instructions.measure, PROGRAM).items():
        assert abs(sum(functions.values()) - counted()[path]) <= 0.005 * counted()[path], (path, functions, counted())
        assert functions["weir__turn_end"] > 0, functions
        assert not any(name.startswith("script_") or name == "visit" for name in functions), functions


def complaint(before, now):
    """Of one path, recorded and counted so; "" without one."""
    sentences = instructions.complaints({PATH: before}, {PATH: now})
    assert len(sentences) <= 1, sentences
    return "".join(sentences)


def five_per_cent_are_let_pass():
    assert complaint(1000, 1050) == complaint(1000, 950) == complaint(1000, 1000) == ""


def dearer_path_is_named():
    sentence = complaint(1000, 1051)
    for words in (PATH + ": 1051 instructions", "1000 are recorded", "+5.1 %", "5 % are let pass", "--functions '%s'" % PATH,
                  "./dev instructions --update"):
        assert words in sentence, (words, sentence)


def cheaper_path_is_named():
    sentence = complaint(1000, 949)
    assert PATH + ": 949" in sentence and "-5.1 %" in sentence and "--update keeps the gain" in sentence, sentence


def path_that_is_new_or_gone_is_named():
    new = instructions.complaints({}, {PATH: 1})
    gone = instructions.complaints({PATH: 1}, {})
    assert len(new) == 1 and new[0].startswith(PATH + ": 1 instructions") and "none recorded" in new[0], new
    assert len(gone) == 1 and gone[0].startswith(PATH + ": recorded, and no path"), gone


def command(*arguments, **changes):
    """(status, standard output, standard error) of the command that people call."""
    done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "instructions.py"), PROGRAM, *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, **changes), check=False)
    return done.returncode, done.stdout, done.stderr


def recorded_numbers_decide():
    """The whole command, against a file with one number that is wrong, one of another compiler, and none."""
    or_skip(instructions.count, PROGRAM, PATH)
    key = instructions.key_of(PROGRAM)
    with tempfile.TemporaryDirectory(prefix="weir-instructions-") as folder:
        file_name = os.path.join(folder, "recorded.json")
        instructions.update("gcc 2.95", {PATH: 7}, file_name)
        status, _, complaints = command("--recorded", file_name)
        assert status == 1 and key in complaints and "gcc 2.95" in complaints, (status, complaints)

        status, table, complaints = command("--recorded", file_name, "--update")
        assert (status, complaints) == (0, "") and key in table and PATH in table, (status, table, complaints)
        with open(file_name, encoding="utf-8") as file:
            both = json.load(file)
        assert both["gcc 2.95"] == {PATH: 7} and len(both) == 2, both

        instructions.update(key, dict(both[key], **{PATH: round(both[key][PATH] / 1.1)}), file_name)
        status, _, complaints = command("--recorded", file_name)
        assert status == 1 and complaints.startswith(PATH + ": ") and complaints.count("\n") == 1, (status, complaints)


def unknown_key_is_a_skip_with_a_name():
    try:
        or_skip(instructions.recorded_for, "tcc 0.9", instructions.RECORDED)
    except Skip as reason:
        assert "tcc 0.9" in str(reason) and "--update" in str(reason), reason
    else:
        assert False, "tcc 0.9 is recorded"


def missing_valgrind_is_a_skip_with_a_name():
    path = os.environ["PATH"]
    os.environ["PATH"] = "/nowhere"
    try:
        or_skip(instructions.count, PROGRAM)
    except Skip as reason:
        assert str(reason) == "valgrind is not installed: apt-get install valgrind", reason
    else:
        assert False, "counted without valgrind"
    finally:
        os.environ["PATH"] = path


sys.exit(run([messages_cost_what_is_recorded, two_runs_count_the_same, served_messages_cost_what_is_recorded,
              two_runs_of_the_server_count_the_same, difference_is_what_a_message_costs, threads_are_told_apart,
              five_per_cent_are_let_pass, dearer_path_is_named, cheaper_path_is_named, path_that_is_new_or_gone_is_named, recorded_numbers_decide,
              unknown_key_is_a_skip_with_a_name, missing_valgrind_is_a_skip_with_a_name]))
