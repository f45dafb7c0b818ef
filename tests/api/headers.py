# SPDX-License-Identifier: BSD-3-Clause
"""Reads the public headers, for the checks in this folder."""
import glob
import os
import re


def headers(include):
    """The public headers: (path, text)."""
    found = []
    for path in sorted(glob.glob(os.path.join(include, "weir", "*.h"))):
        with open(path, encoding="utf-8") as file:
            found.append((path, file.read()))
    if not found:
        raise SystemExit("no headers in %s/weir" % include)
    return found


def functions(text):
    """The functions a header declares: (name, where its declaration begins)."""
    for match in re.finditer(r"^WEIR_PUBLIC\b([^;]*);", text, re.M):
        yield re.search(r"(weir_\w+)\(", match[1])[1], match.start()
