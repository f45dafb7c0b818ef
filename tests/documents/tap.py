# SPDX-License-Identifier: BSD-3-Clause
"""Runs the checks of a file here, and prints TAP: a check is a function that fails by an exception, and is skipped by
raising Skip."""
import traceback


class Skip(Exception):
    """Raised with the reason."""


def run(checks):
    """Returns the exit status."""
    failed = 0
    print("1..%d" % len(checks))
    for number, check in enumerate(checks, 1):
        title = "%d - %s" % (number, check.__name__)
        try:
            check()
        except Skip as reason:
            print("ok %s # SKIP %s" % (title, reason))
        except Exception:
            failed += 1
            print("not ok %s\n# %s" % (title, traceback.format_exc().strip().replace("\n", "\n# ")))
        else:
            print("ok " + title)
    return 1 if failed else 0
