#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shared library exports what the headers declare, nothing else, and calls nothing that a library must not call.

    check_symbols.py LIBRARY INCLUDE_FOLDER
"""
import re
import subprocess
import sys

from headers import functions, headers

# A library never prints, never ends the process and never touches what belongs to all of it.
FORBIDDEN = {"printf", "fprintf", "vprintf", "vfprintf", "puts", "putchar", "fputs", "fwrite", "perror", "stdout",
             "exit", "_exit", "quick_exit", "signal", "sigaction", "setlocale", "chdir", "umask", "setenv", "putenv", "system",
             "fork", "strtok", "localtime", "gmtime", "strcpy", "strcat", "sprintf", "gets"}


def symbols(library, option):
    """Names in the dynamic symbol table, without their versions; the versions themselves (type A) are left out."""
    table = subprocess.run(["nm", "-D", option, library], check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split() for line in table.splitlines()]
    return {row[-1].split("@")[0] for row in rows if row[-2] != "A"}


def plain(name):
    """A checked variant of a function counts as the function."""
    match = re.fullmatch(r"__(\w+)_chk", name)
    return match[1] if match else name


def main(library, include):
    declared = {name for _, text in headers(include) for name, _ in functions(text)}
    exported = symbols(library, "--defined-only")
    imported = {plain(name) for name in symbols(library, "--undefined-only")}
    wrong = ["declared but not exported: " + name for name in sorted(declared - exported)]
    wrong += ["exported but not declared: " + name for name in sorted(exported - declared)]
    wrong += ["a library must not use: " + name for name in sorted(imported & FORBIDDEN)]
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
