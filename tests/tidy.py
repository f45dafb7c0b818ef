#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs clang-tidy on files, several at once, but for those in which it found nothing the last time and that are the same.

    tidy.py BUILD_FOLDER FILE...     with a compile_commands.json in the folder; called where .clang-tidy is

A file is the same when the compiler would read the same bytes, headers of the system included, with the same words, and
neither clang-tidy nor its configuration is another. What is known is kept in BUILD_FOLDER/tidy.json.
"""
import concurrent.futures
import functools
import hashlib
import json
import os
import shlex
import subprocess
import sys


@functools.lru_cache(maxsize=None)
def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def commands_in(folder):
    """How each file is compiled: {path: (folder, words)}. A file that is compiled more than once is the last one's."""
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    return {os.path.realpath(os.path.join(entry["directory"], entry["file"])):
            (entry["directory"], shlex.split(entry["command"])) for entry in entries}


def files_read(folder, words):
    """What the compiler reads for this, or None where it cannot say: something is missing."""
    without = [word for i, word in enumerate(words)
               if word not in ("-c", "-o", "-MD", "-MQ", "-MF") and words[i - 1] not in ("-o", "-MQ", "-MF")]
    done = subprocess.run(without + ["-M", "-MT", "it"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    if done.returncode != 0:
        return None
    return [os.path.join(folder, path) for path in shlex.split(done.stdout.replace("\\\n", " "))[1:]]


def state_of(common, command):
    """All that clang-tidy's word on a file depends on, as one hash; None where it cannot be told."""
    paths = files_read(*command) if command else None
    if paths is None:
        return None
    return hashlib.sha256(json.dumps([common, command, [(path, digest_of(path)) for path in paths]]).encode()).hexdigest()


def check(folder, path):
    """Whether nothing was found, and what was."""
    done = subprocess.run(["clang-tidy", "-p", folder, "--quiet", "--warnings-as-errors=*", path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout


def main(folder, *paths):
    record = os.path.join(folder, "tidy.json")
    known = {}
    if os.path.exists(record):
        with open(record, encoding="utf-8") as file:
            known = json.load(file)
    version = subprocess.run(["clang-tidy", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    common = [version, digest_of(".clang-tidy")]
    commands = commands_in(folder)

    def look_at(path):
        state = state_of(common, commands.get(os.path.realpath(path)))
        if state is not None and known.get(path) == state:
            return True, state, ""
        is_good, output = check(folder, path)
        return is_good, state, output

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(zip(paths, pool.map(look_at, paths)))
    with open(record + ".new", "w", encoding="utf-8") as file:
        json.dump({path: state for path, (is_good, state, _) in found if is_good and state}, file, indent=0)
    os.replace(record + ".new", record)
    for _, (is_good, _, output) in found:
        if not is_good:
            print(output, end="")
    return 0 if all(is_good for _, (is_good, _, _) in found) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
