#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The order of the library's objects: each uses only what stands in a row below its own.

    check_order.py ARCHIVE

Not by what a file includes but by what its object needs (nm(1)): a header may say what a struct looks like without
anybody being called. A new file needs its place here.
"""
import re
import subprocess
import sys

# From the top to the ground. Objects of one row do not know each other.
ORDER = """
engine/engine engine/dial
engine/post engine/fork
engine/worker
engine/turn engine/listener
engine/accept
engine/timer conn/conn_io
conn/conn engine/misuse engine/here
conn/stream_in
conn/stream_out conn/service
conn/work log conn/table engine/mailbox
conn/timeouts frame/check
frame/frame
frame/line frame/delimiter frame/fixed frame/length frame/varint frame/octet_count frame/netstring frame/slip frame/raw
frame/between
frame/spec
frame/escape net/unix_path net/transport/tcp gate/admission gate/stranger
net/address
error memory clock forks
"""


def floors():
    """The row of each object, counted from the ground."""
    rows = [row.split() for row in ORDER.strip().splitlines()]
    return {name.replace("/", "_"): len(rows) - at for at, row in enumerate(rows) for name in row}


def read(archive):
    """Who defines each symbol, and which symbols each object needs."""
    defined, needed = {}, {}
    for line in subprocess.check_output(["nm", "-A", archive], text=True).splitlines():
        match = re.match(r".*[:/](\w+)\.c\.o:\s*[0-9a-f]*\s+(\w) (\w+)$", line)
        if not match:
            continue
        needed.setdefault(match[1], set())
        if match[2] == "U":
            needed[match[1]].add(match[3])
        elif match[2].isupper():
            defined[match[3]] = match[1]
    return defined, needed


def main(archive):
    defined, needed = read(archive)
    order, wrong = floors(), []
    for name in sorted(set(needed) ^ set(order)):
        wrong.append("%s: %s" % (name, "has no row in ORDER" if name in needed else "is in ORDER alone"))
    for name in sorted(set(needed) & set(order)):
        for symbol in sorted(needed[name]):
            other = defined.get(symbol, name)
            if other != name and order.get(other, 0) >= order[name]:
                wrong.append("%s uses %s of %s, which does not stand below it" % (name, symbol, other))
    print("\n".join(wrong) if wrong else "%d objects in order" % len(needed))
    return 1 if wrong or not needed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
