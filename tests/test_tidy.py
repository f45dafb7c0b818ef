#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tidy.py looks at what has changed, and never lets a finding pass because of what it remembers."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "documents"))
from tap import Skip, run  # noqa: E402 (where it lies is not known before)

CONFIG = "Checks: '-*,bugprone-macro-parentheses'\n"
GOOD = "#define TWICE(x) ((x) * 2)\n"
BAD = "#define TWICE(x) (x * 2)\n"


class Tree:
    """A file, its header, and a clang-tidy that writes down what it is called for."""

    def __init__(self, folder):
        self.folder = folder
        tool = shutil.which("clang-tidy")
        if not tool or not shutil.which("clang"):
            raise Skip("clang-tidy is not installed: ./dev setup")
        os.makedirs(os.path.join(folder, "bin"))
        self.write("bin/clang-tidy", '#!/bin/sh\n[ "$1" = --version ] || echo x >>calls\nexec "%s" "$@"\n' % tool)
        os.chmod(os.path.join(folder, "bin", "clang-tidy"), 0o755)
        self.write(".clang-tidy", CONFIG)
        self.write("a.h", GOOD)
        self.write("a.c", '#include "a.h"\nint four(void);\nint four(void) { return TWICE(2); }\n')
        self.compile_with()
        self.calls = 0

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def compile_with(self, *words):
        command = " ".join(["clang", *words, "-MD", "-MF", "a.d", "-o", "a.o", "-c", "a.c"])
        self.write("compile_commands.json", json.dumps([{"directory": self.folder, "file": "a.c", "command": command}]))

    def expect(self, status, calls, says="macro-parentheses"):
        """The exit status of a run, how often clang-tidy was called for it, and what it said when it found something."""
        path = os.path.join(self.folder, "bin") + os.pathsep + os.environ["PATH"]
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "tidy.py"), ".", "a.c"], cwd=self.folder,
                              env=dict(os.environ, PATH=path), stdout=subprocess.PIPE, text=True, check=False)
        with open(os.path.join(self.folder, "calls"), encoding="utf-8") as file:
            before, self.calls = self.calls, len(file.readlines())
        assert (done.returncode, self.calls - before) == (status, calls), (done, self.calls - before)
        assert (says in done.stdout) == (status != 0), done.stdout


def in_tree(check):
    def run_check():
        with tempfile.TemporaryDirectory(prefix="weir-tidy-") as folder:
            check(Tree(os.path.realpath(folder)))
    run_check.__name__ = check.__name__
    return run_check


@in_tree
def what_has_not_changed_is_not_looked_at_again(tree):
    tree.expect(0, 1)
    tree.expect(0, 0)


@in_tree
def a_finding_is_found_each_time(tree):
    tree.write("a.h", BAD)
    tree.write(".clang-tidy", CONFIG + "HeaderFilterRegex: '.*'\n")
    tree.expect(1, 1)
    tree.expect(1, 1)
    tree.write("a.h", GOOD)
    tree.expect(0, 1)


@in_tree
def a_header_the_configuration_and_the_compiler_s_words_count(tree):
    tree.expect(0, 1)
    tree.write("a.h", BAD)
    tree.expect(0, 1)  # a header is not looked at without a filter
    tree.write(".clang-tidy", CONFIG + "HeaderFilterRegex: '.*'\n")
    tree.expect(1, 1)
    tree.write("a.h", "#ifdef WORSE\n" + BAD + "#else\n" + GOOD + "#endif\n")
    tree.expect(0, 1)
    tree.compile_with("-DWORSE")
    tree.expect(1, 1)


@in_tree
def what_cannot_be_compiled_is_looked_at(tree):
    tree.expect(0, 1)
    os.remove(os.path.join(tree.folder, "a.h"))
    tree.expect(1, 1, says="'a.h' file not found")
    tree.expect(1, 1, says="'a.h' file not found")


sys.exit(run([what_has_not_changed_is_not_looked_at_again, a_finding_is_found_each_time,
              a_header_the_configuration_and_the_compiler_s_words_count, what_cannot_be_compiled_is_looked_at]))
