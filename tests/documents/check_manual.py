#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The manual page: what formats it has nothing to complain of, and every section is there.

    check_manual.py FOLDER
"""
import os
import re
import shutil
import subprocess
import sys

from tap import Skip, run

PAGE = os.path.join(sys.argv[1], "weir.1")
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "VALUES", "WHAT IS KEPT", "FRAMING", "CONFIGURATION FILE", "ENVIRONMENT", "LOG",
            "SIGNALS", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"]
PACKAGES = {"groff": "groff-base", "man": "man-db", "mandoc": "mandoc"}


def tool(*command, **environment):
    """Runs a formatter: (standard output, standard error)."""
    if not shutil.which(command[0]):
        raise Skip("%s is not installed: apt-get install %s" % (command[0], PACKAGES[command[0]]))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          env=dict(os.environ, LC_ALL="C.UTF-8", **environment))
    assert done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def groff_finds_nothing():
    assert tool("groff", "-man", "-ww", "-z", PAGE) == ("", "")


def mandoc_finds_nothing():
    assert tool("mandoc", "-T", "lint", "-W", "warning", PAGE) == ("", "")


def man_shows_it():
    text, complaints = tool("man", "--warnings", "-l", PAGE, MANWIDTH="100", MAN_KEEP_FORMATTING="")
    assert complaints == "", complaints
    text = re.sub(".\b", "", text)
    assert [line for line in text.splitlines() if re.match(r"[A-Z][A-Z ]+$", line)] == SECTIONS, text
    for words in ("--frame SPEC", "delimiter:\\x03", "weir check --config weir.yaml", "WEIR_FRAME=line"):
        assert words in text, words
    assert "\\e" not in text and "\\-" not in text and "\\(" not in text


sys.exit(run([groff_finds_nothing, mandoc_finds_nothing, man_shows_it]))
