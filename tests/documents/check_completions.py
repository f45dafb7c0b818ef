#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The completions: bash is asked as it would be by the Tab key, and zsh can read its own.

    check_completions.py FOLDER
"""
import os
import shutil
import subprocess
import sys
import tempfile

from tap import Skip, run

FOLDER = sys.argv[1]


def complete(*words, folder=None):
    """What bash offers in place of the last word. bash parts --name=VALUE into three words."""
    if not shutil.which("bash"):
        raise Skip("bash is not installed: apt-get install bash")
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", os.path.join(FOLDER, "weir"), "weir", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), (words, done)
    return done.stdout.split()


def bash_knows_the_commands():
    assert complete("") == ["serve", "connect", "bench", "verify", "check", "log", "--help", "--version"], complete("")
    assert complete("se") == ["serve"] and complete("c") == ["connect", "check"]
    assert complete("no-such-command", "--f") == []


def bash_knows_each_commands_options():
    assert complete("serve", "--too") == complete("check", ":8000", "--too") == ["--too-long"]
    assert complete("connect", "--too") == [] and complete("serve", "--crlf") == []
    assert complete("connect", "--cr") == ["--crlf"] and "-C" in complete("connect", "-")
    assert "--hex" in complete("check", "--") and "--config" in complete("serve", "--")
    assert complete("serve", "") == complete("serve", ":8000", "")


def bash_knows_their_values():
    assert complete("serve", "--too-long", "") == ["close", "skip", "truncate"]
    assert complete("serve", "--too-long", "tr") == complete("serve", "--too-long", "=", "tr") == ["truncate"]
    assert complete("serve", "--too-long", "=") == ["close", "skip", "truncate"]
    assert complete("check", "--frame", "li") == ["line", "line:crlf"]
    assert complete("serve", "--send-frame", "sa") == ["same"]
    assert complete("serve", "--reply", "") == ["none", "echo", "text:"]
    assert complete("serve", "--idle-timeout", "") == ["off"]
    assert complete("serve", "--max-frame", "") == [] and complete("serve", "--listen", "") == []
    assert complete("serve", "--log-format", "j") == ["json"]


def bash_knows_files():
    with tempfile.TemporaryDirectory(prefix="weir-completions-") as folder:
        for name in ("weir.yaml", "with blank.yaml"):
            with open(os.path.join(folder, name), "w", encoding="ascii"):
                pass
        assert complete("serve", "--config", "we", folder=folder) == ["weir.yaml"]
        assert complete("check", "--config", "=", "wi", folder=folder) == ["with", "blank.yaml"]
        assert complete("check", "--file", "weir", folder=folder) == ["weir.yaml"]


def shellcheck_finds_nothing():
    if not shutil.which("shellcheck"):
        raise Skip("shellcheck is not installed: apt-get install shellcheck")
    done = subprocess.run(["shellcheck", os.path.join(FOLDER, "weir")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done


def zsh_can_read_its_own():
    if not shutil.which("zsh"):
        raise Skip("zsh is not installed: apt-get install zsh")
    done = subprocess.run(["zsh", "-f", "-n", os.path.join(FOLDER, "_weir")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done


sys.exit(run([bash_knows_the_commands, bash_knows_each_commands_options, bash_knows_their_values, bash_knows_files,
              shellcheck_finds_nothing, zsh_can_read_its_own]))
