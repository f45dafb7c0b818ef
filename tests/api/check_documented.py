#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every public function has a comment, and every member of a struct that callers fill in.

    check_documented.py INCLUDE_FOLDER

A function's comment stands directly above it, or above the block of declarations without an empty line that it is in. A
member's stands above it or behind it; or the comment of a neighbour, or of the whole struct, mentions it by name.
"""
import re
import sys

from headers import functions, headers


def block_above(text, start):
    """What stands above a position, up to the nearest empty line."""
    return text[:start].rsplit("\n\n", 1)[-1]


def undocumented_functions(text):
    return [name for name, start in functions(text) if "*/" not in block_above(text, start)]


def filled_in_structs(text):
    """The structs that have a macro to begin them with: (name, the comment above, the body)."""
    for name in sorted(set(re.findall(r"\.size = sizeof\(struct (\w+)\)", text))):
        match = re.search(r"^struct %s \{\n(.*?)^\};" % name, text, re.M | re.S)
        yield name, block_above(text, match.start()), match[1]


def undocumented_members(above, body):
    """Members without a comment. Walks through comments and declarations in their order."""
    mentioned = set(re.findall(r"\w+", " ".join(re.findall(r"/\*.*?\*/", above + body, re.S))))
    missing, has_comment = [], False
    for token in re.finditer(r"/\*.*?\*/|[^;/]+;([ \t]*/\*)?", body, re.S):
        if token[0].startswith("/*"):
            has_comment = True
            continue
        declaration = token[0].split(";")[0]
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        name = pointer[1] if pointer else re.findall(r"\w+", declaration.split("[")[0])[-1]
        if not (has_comment or token[1] or name in mentioned):
            missing.append(name)
        has_comment = False
    return missing


def main(include):
    wrong = []
    for path, text in headers(include):
        wrong += ["%s: %s() has no comment" % (path, name) for name in undocumented_functions(text)]
        for struct, above, body in filled_in_structs(text):
            wrong += ["%s: %s.%s has no comment" % (path, struct, name) for name in undocumented_members(above, body)]
    for sentence in wrong:
        print(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
