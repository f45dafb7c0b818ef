#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints one suite's result for ./dev test and counts its tests, one by one.

    report.py --counts FILE --seconds N SUITE RESULTS      RESULTS: a test log of meson (.json) or TAP (.tap)
    report.py --counts FILE --seconds N SUITE --broken LOG the suite could not be built

A line `passed failed skipped` is added to the file of counts. A failed test is shown with its output and a skipped one
with its reason. A program that ends badly although none of its tests failed, and a suite or program without any test,
count as one failure each: silence is not success.
"""
import argparse
import json
import re
import sys

LINE = re.compile(r"^(?P<not>not )?ok\b\s*\d*\s*-?\s*(?P<name>[^#\n]*?)\s*(#\s*SKIP\S*\s*(?P<reason>.*)|#.*)?$", re.I)
OUTPUT_LINES_MAX = 200


class Result:
    """What is known of one suite."""

    def __init__(self):
        self.passed = 0
        self.failed = []   # (name, output)
        self.skipped = []  # (name, reason)

    def add_tap(self, program, text, ended_well=True, more_output=""):
        """The tests of one program; the lines behind a `not ok` are its output."""
        found = failed = 0
        planned = [int(count) for count in re.findall(r"^1\.\.(\d+)", text, re.M)]
        lines = text.splitlines()
        for number, line in enumerate(lines):
            match = LINE.match(line)
            if not match:
                continue
            found += 1
            name = ": ".join(part for part in (program, match["name"]) if part)
            if match["reason"] is not None:
                self.skipped.append((name, match["reason"] or "no reason given"))
            elif match["not"]:
                failed += 1
                self.failed.append((name, diagnostics(lines[number + 1:]) + more_output))
            else:
                self.passed += 1
        if found == 0:
            self.failed.append((program or "all", "no test ran\n" + text + more_output))
        elif planned and sum(planned) != found:
            self.failed.append((program or "all", "%d tests of %d ran\n" % (found, sum(planned)) + text + more_output))
        elif not failed and not ended_well:
            self.failed.append((program or "all", "ended badly\n" + text + more_output))

    def add_meson(self, path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                self.add_meson_test(json.loads(line))

    def add_meson_test(self, test):
        name = test["name"].rsplit(" / ", 1)[-1]
        stdout, stderr = test.get("stdout") or "", test.get("stderr") or ""
        if re.search(r"^1\.\.\d+|^(not )?ok\b", stdout, re.M):
            # cmocka says `not ok` of a skipped test too, which meson takes for a failure.
            ended_well = test["result"] in ("OK", "SKIP") or (test["result"] == "FAIL" and test["returncode"] == 0)
            self.add_tap(name, stdout, ended_well, stderr if test["result"] != "OK" else "")
        elif test["result"] == "OK":
            self.passed += 1
        elif test["result"] == "SKIP":
            self.skipped.append((name, " ".join((stdout + stderr).split()) or "no reason given"))
        else:
            self.failed.append((name, "%s, status %s\n%s%s" % (test["result"], test["returncode"], stdout, stderr)))


def diagnostics(lines):
    """The lines up to the next test's result, without TAP's mark."""
    output = []
    for line in lines:
        if LINE.match(line):
            break
        output.append(re.sub(r"^# ?", "", line))
    return "".join(line + "\n" for line in output)


def show(suite, seconds, result):
    for name, output in result.failed:
        print("FAILED %s: %s" % (suite, name))
        lines = output.splitlines()
        if len(lines) > OUTPUT_LINES_MAX:
            lines = ["[%d lines left out]" % (len(lines) - OUTPUT_LINES_MAX)] + lines[-OUTPUT_LINES_MAX:]
        for line in lines:
            print("    " + line)
    for name, reason in result.skipped:
        print("skipped %s: %s: %s" % (suite, name, reason))
    print("%s: %d passed, %d failed, %d skipped in %d s" % (suite, result.passed, len(result.failed),
                                                          len(result.skipped), seconds))


def read(suite, args):
    result = Result()
    try:
        if args.broken:
            with open(args.results, encoding="utf-8", errors="replace") as file:
                result.failed.append(("could not be built", file.read()))
        elif args.results.endswith(".json"):
            result.add_meson(args.results)
        else:
            with open(args.results, encoding="utf-8", errors="replace") as file:
                result.add_tap("", file.read())
    except (OSError, ValueError) as error:
        result.failed.append(("all", "no results: %s" % error))
    if not (result.passed or result.failed or result.skipped):
        result.failed.append(("all", "no test ran in " + suite))
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", required=True)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("suite")
    parser.add_argument("results")
    args = parser.parse_args()
    result = read(args.suite, args)
    show(args.suite, args.seconds, result)
    with open(args.counts, "a", encoding="ascii") as file:
        file.write("%d %d %d\n" % (result.passed, len(result.failed), len(result.skipped)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
