#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies point one way: app -> include <- lib, and inside each half from the top to the rooms below.

    check_includes.py ROOT

The program uses the public headers only, which is the proof that they suffice; a codec knows no sockets; a room knows
nothing of who uses it; no two headers need each other.
"""
import os
import re
import sys

# What a folder may include of its own half: folders and single files. What is not listed may include all of its half.
LIB_BASE = ["lib/fail.h", "lib/memory.h", "lib/portable.h"]
ROOMS = {
    "lib/frame": ["lib/frame"] + LIB_BASE,
    "lib/gate": ["lib/gate"] + LIB_BASE,
    "app/options": ["app/options"],
    "app/terminal": ["app/terminal", "app/clock.h", "app/options/values.h"],
    "app/clients": ["app/clients"],
    "app/desk": ["app/desk", "app/clients", "app/terminal"],
    "app/check": ["app/check", "app/clients", "app/journal", "app/options", "app/terminal", "app/status.h", "app/ack.h",
                  "app/clock.h", "app/keep.h"],
    "app/documents": ["app/documents", "app/options"],
    "app/bench": ["app/bench", "app/client/again.h", "app/client/verdict.h", "app/clients/framing.h", "app/clock.h",
                  "app/descriptors.h", "app/options", "app/status.h", "app/terminal"],
    "app/verify": ["app/verify", "app/clock.h", "app/bench/timetable.h", "app/client/again.h",
                   "app/client/verdict.h", "app/clients/framing.h", "app/descriptors.h", "app/journal/locate.h",
                   "app/journal/reader.h", "app/journal/record.h", "app/options", "app/status.h", "app/terminal"],
    "app/client": ["app/client", "app/clock.h", "app/options", "app/terminal", "app/status.h"],
}

# What a folder may not include of others, and why.
FORBIDDEN = [
    ("include", r"event2/|sys/socket\.h|netinet/", "the public headers show neither libevent nor sockets"),
    ("lib/frame", r"event2/|sys/socket\.h|netinet/", "a codec knows bytes, no sockets and no loop"),
    ("lib", r"event2/(buffer|bufferevent)", "no bufferevent and no evbuffer on the data path"),
    ("app", r"event2/(buffer|bufferevent)", "no bufferevent and no evbuffer on the data path"),
]


def source_files(root):
    for half in ("include", "lib", "app"):
        for folder, _, names in os.walk(os.path.join(root, half)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def includes_of(root, path):
    """What a file includes: (the name, whether in quotes)."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for match in re.finditer(r'^\s*#\s*include\s*(["<])([^">]+)[">]', file.read(), re.M):
            yield match[2], match[1] == '"'


def resolve(root, path, name):
    """The file of the same half that a name in quotes means, or None."""
    for folder in (os.path.dirname(path), path.split("/")[0]):
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(root, candidate)) and candidate.split("/")[0] == path.split("/")[0]:
            return candidate
    return None


def is_below(path, folder):
    return path == folder or path.startswith(folder + "/")


def check_quoted(path, name, target):
    if path.startswith("include/"):
        return "%s: a public header includes %s in quotes" % (path, name)
    if target is None:
        return "%s: %s is not in its half of the tree" % (path, name)
    for room, allowed in ROOMS.items():
        if is_below(path, room) and not any(is_below(target, place) for place in allowed):
            return "%s: %s may not include %s" % (path, room, target)
    return None


def check_angled(path, name):
    for folder, pattern, why in FORBIDDEN:
        if is_below(path, folder) and re.match(pattern, name):
            return "%s: includes <%s>: %s" % (path, name, why)
    return None


def cycles(graph):
    """Headers that include each other by any route, each cycle once, as `a -> b -> a`."""
    done, found = set(), []

    def walk(path, route):
        if path in route:
            found.append(" -> ".join(route[route.index(path):] + [path]))
        elif path not in done:
            for target in graph.get(path, []):
                walk(target, route + [path])
            done.add(path)

    for path in sorted(graph):
        walk(path, [])
    return found


def main(root):
    wrong, graph = [], {}
    for path in source_files(root):
        for name, quoted in includes_of(root, path):
            target = resolve(root, path, name) if quoted else None
            wrong.append(check_quoted(path, name, target) if quoted else check_angled(path, name))
            if target and path.endswith(".h"):
                graph.setdefault(path, []).append(target)
    wrong = [sentence for sentence in wrong if sentence is not None]
    wrong += ["headers need each other: " + cycle for cycle in cycles(graph)]
    for sentence in wrong:
        print(sentence)
    if not graph:
        print("no headers below " + root)
    return 1 if wrong or not graph else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
