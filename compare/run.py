#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The comparison: the same job, the same load, one server after the other, as ratios within one run.

`./dev bench` builds what this needs and calls it. The server is pinned to one core and the load to another. What is
compared is mostly the server's CPU time a message, as the scheduler counts it in nanoseconds, because it does not
depend on how fast the client is; absolute numbers of a shared machine say little, a ratio of two servers measured
within seconds of each other says much. Each workload (workloads.py) leaves compare/results/WORKLOAD.json, from which
report.py writes docs/performance.md. A workload that fails is named and does not lose the others.
"""
import argparse
import json
import os
import statistics
import sys
import time

import comparison
import machine
from processes import LOAD_CORE, SERVER_CORE, CannotRun
from workloads import GROWTHS, WARM_UP_SECONDS, WORKLOADS, Bench, server_command

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START_COST_SECONDS = 0.2


def say(text):
    print(text, file=sys.stderr, flush=True)


class Progress:
    """How much is left: what is planned, in seconds, corrected by how long what is done took."""

    def __init__(self, planned_seconds):
        self.left = self.planned = planned_seconds
        self.start = time.monotonic()

    def step(self, seconds):
        self.left -= seconds

    def drop(self, seconds_left):
        """What was planned and will not be done."""
        self.planned -= seconds_left
        self.left -= seconds_left

    def text(self):
        done = self.planned - self.left
        if done <= 0:
            return ""
        left = self.left * (time.monotonic() - self.start) / done
        return "about %d s left" % left if left < 100 else "about %d min left" % (left / 60 + 0.5)


def measurement_cost(workload, args):
    return args.seconds + WARM_UP_SECONDS + START_COST_SECONDS + workload.cost


def round_count(workload, args):
    return min(args.rounds, workload.rounds_max)


def planned_cost(workload, args):
    return len(workload.servers) * workload.point_count * round_count(workload, args) * measurement_cost(workload, args)


class Run:
    """One workload's rounds."""

    def __init__(self, workload, args, progress):
        self.workload, self.args, self.progress = workload, args, progress
        self.bench = Bench(args.build, args.seconds)
        self.servers = dict(workload.servers)
        self.skipped = {}
        self.cost_left = planned_cost(workload, args)

    def take_rounds(self, measure, settings):
        """A dictionary of servers and their figures for each round; the order turns round each time."""
        rounds = []
        for number in range(round_count(self.workload, self.args)):
            labels = list(self.servers)[::1 if number % 2 == 0 else -1]
            rounds.append({label: figures for label in labels
                           if (figures := self._measure(measure, label, settings)) is not None})
            say("%s: round %d of %d, %s" % (self.workload.name, number + 1, round_count(self.workload, self.args),
                                            self.progress.text()))
        return rounds

    def _measure(self, measure, label, settings):
        cost = measurement_cost(self.workload, self.args)
        self.progress.step(cost)
        self.cost_left -= cost
        try:
            command = server_command(self.args.build, self.servers[label])
            return {key: rounded(value) for key, value in measure(self.bench, command, settings).items()}
        except CannotRun as reason:
            say("%s: %s is left out: %s" % (self.workload.name, label, reason))
            self.skipped[label] = str(reason)
            del self.servers[label]
        return None


def rounded(value):
    """Six digits: more than is known, and short to read."""
    return float("%.6g" % value)


def run_workload(run):
    settings = dict(run.workload.settings)
    settings.update(run.workload.prepare(run.bench, settings))
    return {"settings": settings, "rounds": run.take_rounds(run.workload.measure, settings)}


def run_growth(run):
    growth = run.workload
    points = []
    for value in growth.values:
        settings = {**growth.settings, growth.setting: value}
        points.append({growth.setting: value, "rounds": run.take_rounds(growth.measure, settings)})
    return {"settings": growth.settings, "points": points}


def take(workload, args, progress):
    """Runs a workload: its result, as it is written and printed."""
    run = Run(workload, args, progress)
    try:
        result = run_growth(run) if workload.name in GROWTHS else run_workload(run)
    finally:
        progress.drop(run.cost_left)
    return {"workload": workload.name, "date": time.strftime("%Y-%m-%d", time.gmtime()), "seconds": args.seconds,
            "machine": args.machine, "skipped": run.skipped, **result}


# ---- What is printed ----

def print_workload(workload, result):
    """The tables; the verdicts on the bounds."""
    rows = comparison.compare(result["rounds"], workload.pairs, workload.columns[0].key)
    print("\n%s: %s" % (workload.name, workload.text))
    print("  %-14s" % "server" + "".join("%24s" % column.heading for column in workload.columns))
    for label in workload.servers:
        if label in result["skipped"]:
            continue
        shown = [column.form % statistics.median(comparison.figures(result["rounds"], label, column.key))
                 for column in workload.columns]
        print("  %-14s" % label + "".join("%24s" % text for text in shown))
    print("  %-28s %8s   %-26s %s" % (workload.columns[0].heading, "median", "interval", "bound"))
    for row in rows:
        form = workload.form_of(row.pair)
        interval = (form + " to " + form + " (%.0f %%)") % (row.low, row.high, 100 * row.coverage)
        print("  %-28s %8s   %-26s %s %s" % (workload.name_of(row), form % row.median, interval, row.pair.bound, row.verdict))
    for _, name in comparison.unmeasured(rows, workload.pairs):
        print("  %-28s not measured" % name)
    sys.stdout.flush()
    return {row.verdict for row in rows}


def print_growth(growth, result):
    print("\n%s: %s" % (growth.name, growth.text))
    labels = [label for label in growth.servers if label not in result["skipped"]]
    print("  %-14s" % growth.setting + "".join("%24s" % ("%s, %s" % (label, column.heading))
                                               for column in growth.columns for label in labels))
    for point in result["points"]:
        median = lambda label, key: statistics.median(comparison.figures(point["rounds"], label, key))
        print("  %-14d" % point[growth.setting] + "".join(
            "%24s" % (column.form % (median(label, column.key) / column.unit))
            for column in growth.columns for label in labels))
    sys.stdout.flush()
    return set()


def write_result(directory, result):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, result["workload"] + ".json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


def run_all(names, args):
    """Whether all workloads ran and all bounds are met."""
    workloads = [{**WORKLOADS, **GROWTHS}[name] for name in names]
    progress = Progress(sum(planned_cost(workload, args) for workload in workloads))
    failed, missed, in_noise = [], [], []
    for workload in workloads:
        try:
            result = take(workload, args, progress)
            verdicts = (print_growth if workload.name in GROWTHS else print_workload)(workload, result)
        except Exception as error:  # of whatever kind: the other workloads are worth having
            say("%s FAILED: %s: %s" % (workload.name, type(error).__name__, error))
            failed.append(workload.name)
            continue
        write_result(args.results, result)
        if comparison.MISSED in verdicts:
            missed.append(workload.name)
        elif comparison.WITHIN_NOISE in verdicts:
            in_noise.append(workload.name)
    for what, which in (("failed", failed), ("missed a bound", missed), ("missed a bound within the noise", in_noise)):
        if which:
            print("\n%s: %s" % (what, " ".join(which)))
    return not failed and not missed and not in_noise


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench", description="Compare weir with the peers. `./dev bench report` writes docs/performance.md "
        "from the results, `./dev bench check` checks that the peers do their job.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD",
                        help="of %s; default: all" % ", ".join([*WORKLOADS, *GROWTHS]))
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each workload (15)")
    parser.add_argument("--seconds", type=float, default=1, help="seconds of one measurement (1)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build-compare"), help="the build folder")
    parser.add_argument("--results", default=os.path.join(ROOT, "compare", "results"), help="where the JSON goes")
    args = parser.parse_args()
    for name in args.workloads:
        if name not in WORKLOADS and name not in GROWTHS:
            parser.error("there is no workload %s" % name)
    if args.rounds < 1 or args.seconds <= 0:
        parser.error("--rounds must be at least 1, --seconds more than 0")
    return args


def main():
    args = parse_arguments()
    if SERVER_CORE == LOAD_CORE:
        say("one core only: the load runs on the server's; the numbers are worth little")
    args.build = os.path.abspath(args.build)
    args.machine = machine.describe(server_command(args.build, ("weir",))[0], ROOT)
    return 0 if run_all(args.workloads or [*WORKLOADS, *GROWTHS], args) else 1


if __name__ == "__main__":
    sys.exit(main())
