#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How many instructions a message costs on each main path of the engine and of the server, and whether that is what is
recorded.

    instructions.py PROGRAM [SERVER] [--recorded FILE]             a table; status 1 when a path is not as recorded
    instructions.py PROGRAM [SERVER] --update [--recorded FILE]    record what is counted now
    instructions.py PROGRAM [SERVER] --functions PATH              where a path's instructions go

Time depends on the machine and on who else uses it; the number of instructions that callgrind counts does not, so a few
per cent more are seen at once, on any machine. What they are is a matter of the compiler and of the libraries, so each
combination is recorded under a key of its own. The kernel's work is not in them, nor what a cache miss costs: they say
that something has changed, `./dev bench` says whether it matters.

PROGRAM is tests/instructions/paths of a release build, and has the paths of the engine. SERVER is weir itself, with one
worker, and one client that waits for the answers to what it has sent before it sends more: so each read and each commit
has as many messages as in any other run.
"""
import argparse
import glob
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORDED = os.path.join(ROOT, "tests", "instructions", "instructions.json")
TOLERANCE = 0.05

# The paths of the server: its options, how many messages the client sends, how many of them at once, and the path that
# each thread goes.
STORE = ["--store", "store.db", "--keep-free", "off", "--keep-bytes", "1GiB"]  # however full the disk is
SERVED = [
    (["--store", "none", "--reply", "echo"], 2000, 1, {"worker": "serve, echo"}),
    (["--store", "none", "--reply", "echo"], 4000, 100, {"worker": "serve, echo, 100 a read"}),
    (["--store", "none", "--reply", "echo", "--print", "text"], 1000, 100, {"worker": "serve, echo, shown, 100 a read"}),
    ([*STORE, "--reply", "echo"], 4000, 100, {"worker": "serve, echo, stored, 100 a read"}),
    ([*STORE, "--ack", "OK {seq}"], 4000, 100, {"worker": "serve, acknowledged, 100 a read",
                                                "writer": "writer, 100 a commit"}),
]
SERVED_PATHS = [path for *_, paths in SERVED for path in paths.values()]
MESSAGE = 127 * b"m" + b"\n"
DEADLINE_S = 60
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a slow disk is time, in which the writer looks around

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


def find_valgrind():
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise Unknown("valgrind is not installed: apt-get install valgrind")
    return valgrind


def difference(once, twice, messages):
    """{function: instructions a message}, of a run and one with twice the messages."""
    return {name: (twice[name] - once.get(name, 0)) / messages for name in twice}


def measure(program, *paths, read=read_dump):
    """{path: {function: instructions a message}}, of all paths or of those."""
    valgrind = find_valgrind()
    with tempfile.TemporaryDirectory(prefix="weir-instructions-") as folder:
        dump = os.path.join(folder, "dump")
        lines = output_of([valgrind, "--quiet", "--tool=callgrind", "--callgrind-out-file=" + dump,
                           "--toggle-collect=weir_run", "--toggle-collect=script_*", "--dump-after=weir_run",
                           program, *paths])[1:]
        found = {}
        for number, line in enumerate(lines):
            path, messages = line.split("\t")
            once, twice = (read("%s.%d" % (dump, 2 * number + k)) for k in (1, 2))
            found[path] = difference(once, twice, int(messages))
        return found


def count(program, *paths):
    """{path: instructions a message}."""
    return {path: round(counts["all"]) for path, counts in measure(program, *paths, read=read_sum).items()}


def send(address, messages, at_once):
    """Each message is answered with a line."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(address)
        for _ in range(messages // at_once):
            client.sendall(at_once * MESSAGE)
            missing = at_once
            while missing > 0:
                answers = client.recv(65536)
                if not answers:
                    sys.exit("the server has closed the connection")
                missing -= answers.count(b"\n")


def serve(folder, command, options, messages=0, at_once=1):
    """Starts the server in the folder, sends it the messages, and stops it."""
    command = [*command, "serve", "unix:socket", "--workers", "1", "--frame", "line", *options]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env=environment()) as process:
        said = process.stderr.readline()
        try:
            if said.startswith("listening on "):
                send(os.path.join(folder, "socket"), messages, at_once)
        finally:
            process.terminate()
        said += process.stderr.read()
    if process.returncode != 0 or not said.startswith("listening on "):
        sys.exit("%s: status %d\n%s" % (" ".join(command), process.returncode, said))


def served_key_of(program, server):
    """With the SQLite that writes the store: the version's number is in the database's header, 3040001 for 3.40.1."""
    with tempfile.TemporaryDirectory(prefix="weir-instructions-", dir=MEMORY) as folder:
        serve(folder, [server], STORE)
        with open(os.path.join(folder, "store.db"), "rb") as file:
            number = int.from_bytes(file.read(100)[96:], "big")
    return "%s, SQLite %d.%d.%d" % (key_of(program), number // 1000000, number // 1000 % 1000, number % 1000)


def thread_of(functions):
    """Told by public functions of the libraries. The main thread opens the store, and is the worker later."""
    return "worker" if "event_base_loop" in functions else "writer" if "sqlite3_step" in functions else "other"


def count_threads(server, *run):
    """{thread: {function: instructions}} of a run of the server."""
    with tempfile.TemporaryDirectory(prefix="weir-instructions-", dir=MEMORY) as folder:
        serve(folder, [find_valgrind(), "--quiet", "--tool=callgrind", "--callgrind-out-file=dump",
                       "--separate-threads=yes", server], *run)
        dumps = [read_dump(path) for path in sorted(glob.glob(os.path.join(folder, "dump-*")))]
        return {thread_of(functions): functions for functions in dumps}


def measure_served(server, *wanted):
    """The same as measure, of the server's paths. What threads do by the clock is among it: on the writer's path half a
    per cent for each second that the second run takes longer than the first. The workers' come out the same within half
    a per cent."""
    found = {}
    for options, messages, at_once, paths in SERVED:
        if wanted and not set(wanted) & set(paths.values()):
            continue
        once, twice = (count_threads(server, options, k * messages, at_once) for k in (1, 2))
        for thread, path in paths.items():
            found[path] = difference(once[thread], twice[thread], messages)
    return found


def count_served(server):
    return {path: round(sum(functions.values())) for path, functions in measure_served(server).items()}


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


def show_functions(program, server, path):
    functions = (measure_served(server, path) if server and path in SERVED_PATHS else measure(program, path)).get(path)
    if functions is None:
        sys.exit("there is no path '%s'; there are: '%s'"
                 % (path, "' '".join([*count(program), *(SERVED_PATHS if server else [])])))
    total = sum(functions.values())
    print("%9.1f 100.0 %%  %s" % (total, path))
    for name, instructions in sorted(functions.items(), key=lambda item: -item[1]):
        if instructions >= 0.005 * total:
            print("%9.1f %5.1f %%  %s" % (instructions, 100 * instructions / total, name))


def main():
    parser = argparse.ArgumentParser(prog="./dev instructions")
    parser.add_argument("program")
    parser.add_argument("server", nargs="?", type=os.path.abspath)
    parser.add_argument("--recorded", metavar="FILE", default=RECORDED)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--functions", metavar="PATH")
    args = parser.parse_args()
    if args.functions:
        return show_functions(args.program, args.server, args.functions)
    counts = {key_of(args.program): count(args.program)}
    if args.server:
        counts[served_key_of(args.program, args.server)] = count_served(args.server)
    sentences = []
    for key, counted in counts.items():
        print(key)
        if args.update:
            update(key, counted, args.recorded)
        recorded = recorded_for(key, args.recorded)
        show(recorded, counted)
        sentences += complaints(recorded, counted)
    return "\n".join(sentences) or 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unknown as reason:
        sys.exit(str(reason))
