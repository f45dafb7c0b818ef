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

# What a room may include of its own half: itself, and these rooms and single files. A room without a row is an error.
GROUND = ["lib/clock.h", "lib/forks.h", "lib/fail.h", "lib/log.h", "lib/memory.h", "lib/portable.h"]
ROOMS = {
    "lib/net": GROUND,
    "lib/gate": GROUND + ["lib/net"],
    "lib/frame": GROUND,
    "lib/conn": GROUND + ["lib/net", "lib/engine/engine.h", "lib/engine/worker.h"],
    "lib/engine": GROUND + ["lib/net", "lib/gate", "lib/conn"],
    "app/base": [],
    "app/text": ["app/base"],
    "app/cli": ["app/text", "app/base"],
    "app/terminal": ["app/text", "app/base"],
    "app/typing": ["app/cli/values.h", "app/text"],
    "app/store": ["app/text", "app/base"],
    "app/answer": ["app/cli", "app/text", "app/base"],
    "app/journal": ["app/store", "app/text", "app/base"],
    "app/desk": ["app/typing", "app/terminal", "app/text", "app/base"],
    "app/serve": ["app/desk", "app/journal", "app/answer", "app/store", "app/terminal", "app/cli", "app/text", "app/base"],
    "app/dial": ["app/cli", "app/base"],
    "app/connect": ["app/dial", "app/typing", "app/terminal", "app/cli", "app/text", "app/base"],
    "app/bench": ["app/dial", "app/terminal", "app/cli", "app/text", "app/base"],
    "app/verify": ["app/dial", "app/store", "app/terminal", "app/cli", "app/text", "app/base"],
    "app/check": ["app/serve", "app/answer", "app/store", "app/terminal", "app/cli", "app/text", "app/base"],
    "app/log": ["app/store", "app/terminal", "app/cli", "app/text", "app/base"],
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
    room = "/".join(path.split("/")[:2])
    if path.count("/") < 2:
        return None
    if room not in ROOMS:
        return "%s: %s has no row in ROOMS" % (path, room)
    if not any(is_below(target, place) for place in [room] + ROOMS[room]):
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
