#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How many instructions a message costs on each of the engine's main paths, and whether that is what is recorded.

    instructions.py PROGRAM [--recorded FILE]             a table; status 1 when a path is not as recorded
    instructions.py PROGRAM --update [--recorded FILE]    record what is counted now
    instructions.py PROGRAM --functions PATH              where a path's instructions go

Time depends on the machine and on who else uses it; the number of instructions that callgrind counts does not, so a few
per cent more are seen at once, on any machine. What they are is a matter of the compiler and of the libraries, so each
combination is recorded under a key of its own. The kernel's work is not in them, nor what a cache miss costs: they say
that something has changed, `./dev bench` says whether it matters.

PROGRAM is tests/instructions/paths of a release build.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORDED = os.path.join(ROOT, "bench", "instructions.json")
TOLERANCE = 0.05

# The C library has its string functions several times over and takes those for the processor it finds. These are the
# extensions it may choose for; without them every processor gets the same. A name that it does not know does nothing.
EXTENSIONS = ["AVX", "AVX2", "AVX2_Usable", "AVX512F", "AVX512VL", "AVX512BW", "AVX_Fast_Unaligned_Load", "BMI2", "ERMS",
              "EVEX", "FSRM", "RTM", "SSE4_1", "SSE4_2", "SSSE3"]
TUNABLES = "glibc.cpu.hwcaps=" + ",".join("-" + name for name in EXTENSIONS)
KEPT = ["PATH", "LD_LIBRARY_PATH", "VALGRIND_LIB", "VALGRIND_OPTS", "TMPDIR"]


class Unknown(Exception):
    """There is nothing to compare with, or nothing to count with; the reason is the sentence."""


def environment():
    """The same for everybody, for what is in it lies on the program's stack."""
    return dict({name: os.environ[name] for name in KEPT if name in os.environ}, LC_ALL="C", GLIBC_TUNABLES=TUNABLES)


def output_of(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment(), check=False)
    if done.returncode != 0 or done.stderr:
        sys.exit("%s: status %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout.splitlines()


def key_of(program):
    """What the counts depend on: "gcc 12.2.0, libevent 2.1.12-stable, glibc 2.36, x86_64"."""
    return output_of([program, "none of the paths"])[0] + ", " + platform.machine()


def read_dump(path):
    """Instructions by function, without those of the functions that it calls. The format is in valgrind's manual."""
    counts, names, function, of_a_call = {}, {}, None, False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            named = re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line)
            if named:
                if named[2]:
                    names[named[1]] = named[2]
                if line.startswith("fn="):
                    function = names[named[1]]
            elif line.startswith("calls="):
                of_a_call = True
            elif re.match(r"[-+*\d]\S* \d+$", line):
                if not of_a_call:
                    counts[function] = counts.get(function, 0) + int(line.split()[1])
                of_a_call = False
    return counts


def read_sum(path):
    """All of them."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return {"all": int(re.search(r"^summary: (\d+)$", file.read(), re.M)[1])}


def measure(program, *paths, read=read_dump):
    """{path: {function: instructions a message}}, of all paths or of those."""
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise Unknown("valgrind is not installed: apt-get install valgrind")
    with tempfile.TemporaryDirectory(prefix="weir-instructions-") as folder:
        dump = os.path.join(folder, "dump")
        lines = output_of([valgrind, "--quiet", "--tool=callgrind", "--callgrind-out-file=" + dump,
                           "--toggle-collect=weir_run", "--toggle-collect=script_*", "--dump-after=weir_run",
                           program, *paths])[1:]
        found = {}
        for number, line in enumerate(lines):
            path, messages = line.split("\t")
            once, twice = (read("%s.%d" % (dump, 2 * number + k)) for k in (1, 2))
            found[path] = {name: (twice[name] - once.get(name, 0)) / int(messages) for name in twice}
        return found


def count(program, *paths):
    """{path: instructions a message}."""
    return {path: round(counts["all"]) for path, counts in measure(program, *paths, read=read_sum).items()}


def read_recorded(file_name):
    with open(file_name, encoding="utf-8") as file:
        return json.load(file)


def recorded_for(key, file_name):
    recorded = read_recorded(file_name)
    if key not in recorded:
        raise Unknown("no instructions are recorded for %s, only for %s; ./dev instructions --update records them"
                      % (key, "; ".join(recorded) or "nothing"))
    return recorded[key]


def complaints(recorded, counted):
    """A sentence for each path that is not as it is recorded."""
    sentences = []
    for path, now in counted.items():
        before = recorded.get(path)
        if before is None:
            sentences.append("%s: %d instructions a message, and none recorded; ./dev instructions --update records them"
                             % (path, now))
        elif abs(now - before) > TOLERANCE * before:
            advice = ("./dev instructions --functions '%s' says where they go; if it is meant, ./dev instructions --update"
                      " records it" % path if now > before else "./dev instructions --update keeps the gain")
            sentences.append("%s: %d instructions a message, and %d are recorded (%+.1f %%, and %d %% are let pass); %s"
                             % (path, now, before, 100.0 * (now - before) / before, 100 * TOLERANCE, advice))
    sentences += ["%s: recorded, and no path any more; ./dev instructions --update takes it out" % path
                  for path in recorded if path not in counted]
    return sentences


def update(key, counted, file_name):
    recorded = read_recorded(file_name) if os.path.exists(file_name) else {}
    recorded[key] = counted
    with open(file_name, "w", encoding="utf-8") as file:
        json.dump(recorded, file, indent=2)
        file.write("\n")


def show(recorded, counted):
    print("%-34s %9s %9s" % ("instructions a message", "now", "recorded"))
    for path, now in counted.items():
        before = recorded.get(path)
        print("%-34s %9d %9s %s" % (path, now, "-" if before is None else before,
                                    "%+.1f %%" % (100.0 * (now - before) / before) if before else ""))


def show_functions(program, path):
    functions = measure(program, path).get(path)
    if functions is None:
        sys.exit("there is no path '%s'; there are: '%s'" % (path, "' '".join(count(program))))
    total = sum(functions.values())
    print("%9.1f 100.0 %%  %s" % (total, path))
    for name, instructions in sorted(functions.items(), key=lambda item: -item[1]):
        if instructions >= 0.005 * total:
            print("%9.1f %5.1f %%  %s" % (instructions, 100 * instructions / total, name))


def main():
    parser = argparse.ArgumentParser(prog="./dev instructions")
    parser.add_argument("program")
    parser.add_argument("--recorded", metavar="FILE", default=RECORDED)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--functions", metavar="PATH")
    args = parser.parse_args()
    if args.functions:
        return show_functions(args.program, args.functions)
    key = key_of(args.program)
    counted = count(args.program)
    print(key)
    if args.update:
        update(key, counted, args.recorded)
    recorded = recorded_for(key, args.recorded)
    show(recorded, counted)
    return "\n".join(complaints(recorded, counted)) or 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unknown as reason:
        sys.exit(str(reason))
