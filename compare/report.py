#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes docs/performance.md and the plots from compare/results/*.json.

    report.py [--check]

`./dev bench report` calls it. The words come from performance.in.md, where {{...}} stands for what is made here, and
from performance-notes.md, which says what is slower than its peers and why. With --check nothing is written: what
differs from what is there is named. A test does so.
"""
import argparse
import json
import os
import re
import statistics
import sys

import comparison
import plot
from workloads import GROWTHS, WORKLOADS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NOT_MEASURED = "Not measured yet."


def load_results(directory):
    """{workload: result} of those that there are."""
    results = {}
    for name in [*WORKLOADS, *GROWTHS]:
        path = os.path.join(directory, name + ".json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                results[name] = json.load(file)
    return results


# ---- Tables ----

def table(heads, rows, texts=1):
    """The first columns are text, so many of them; the others are numbers, and stand to the right."""
    lines = ["| %s |" % " | ".join(heads), "|" + " --- |" * texts + " ---: |" * (len(heads) - texts)]
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in rows])


def number_text(value, form="%.3f"):
    """With commas from 1,000 on."""
    text = form % value
    return re.sub(r"^(-?\d+)", lambda digits: "{:,}".format(int(digits[1])), text) if abs(value) >= 1000 else text


def row_texts(row, form):
    interval = "%s to %s" % (number_text(row.low, form), number_text(row.high, form))
    if row.coverage < 0.95:
        interval += " (%.0f %%)" % (100 * row.coverage)
    return number_text(row.median, form), interval


def verdict_text(row):
    return "**missed**" if row.verdict == comparison.MISSED else row.verdict


def workload_rows(name, results):
    workload = WORKLOADS[name]
    rounds = results[name]["rounds"] if name in results else []
    return comparison.compare(rounds, workload.pairs, workload.columns[0].key)


def summary(results):
    """One line for each bound."""
    lines = []
    for name, workload in WORKLOADS.items():
        link = "[%s](#%s)" % (name, name)
        rows = workload_rows(name, results)
        lines += [[link, row.name, workload.column_of(row.pair).heading.split(",")[0], row.pair.bound,
                   *row_texts(row, workload.form_of(row.pair)), verdict_text(row)] for row in rows if row.pair.bound]
        lines += [[link, text, workload.column_of(pair).heading.split(",")[0], pair.bound, "not measured", "", ""]
                  for pair, text in comparison.unmeasured(rows, workload.pairs)]
    return table(["workload", "compared", "figure", "bound", "median", "interval", ""], lines, texts=4)


def measured_text(result, rounds):
    return "%d rounds of %g s, %s." % (rounds, result["seconds"], result["date"])


def heading_of(workload):
    pair = workload.pairs[0]
    heading = workload.column_of(pair).heading.split(",")[0]
    if pair.under is None:
        return heading
    return "%s of %s" % ("difference" if pair.is_difference else "ratio", heading)


def workload_section(name, results):
    workload = WORKLOADS[name]
    parts = ["### %s" % name, workload.text]
    if name not in results:
        return "\n\n".join(parts + [NOT_MEASURED])
    result = results[name]
    rounds = result["rounds"]
    servers = [label for label in workload.servers
               if label not in result["skipped"] and any(label in each for each in rounds)]
    parts.append(table(["server"] + [column.heading for column in workload.columns], [
        [label] + [number_text(statistics.median(comparison.figures(rounds, label, column.key)), column.form)
                   for column in workload.columns] for label in servers]))
    heads = [heading_of(workload), "median", "interval", "bound", ""]
    parts.append(table(heads, [
        [workload.name_of(row), *row_texts(row, workload.form_of(row.pair)), row.pair.bound, verdict_text(row)]
        for row in workload_rows(name, results)]))
    if "epoll_most_per_second" in result["settings"]:
        parts.append("All were driven at %s messages a second; the epoll loop's most was %s." % (
            number_text(result["settings"]["rate_per_second"], "%.0f"),
            number_text(result["settings"]["epoll_most_per_second"], "%.0f")))
    if "file_system" in result["settings"]:
        parts.append("The stores lay on %s." % result["settings"]["file_system"])
    parts.append(measured_text(result, len(rounds)))
    parts += ["Left out: %s (%s)." % (label, result["skipped"].get(label, "not measured yet"))
              for label in workload.servers if label not in servers]
    return "\n\n".join(parts)


def setting_text(setting, value):
    if setting == "message_bytes":
        return "%d KiB" % (value // 1024) if value >= 1024 else "%d B" % value
    return "{:,}".format(value)


def growth_labels(name, result):
    return [label for label in GROWTHS[name].servers if label not in result["skipped"]]


def growth_section(name, results):
    growth = GROWTHS[name]
    if name not in results:
        return "\n\n".join([growth.text, NOT_MEASURED])
    result = results[name]
    labels = growth_labels(name, result)
    median = lambda point, label, key: statistics.median(comparison.figures(point["rounds"], label, key))
    rows = [[setting_text(growth.setting, point[growth.setting])] +
            [number_text(median(point, label, column.key) / column.unit, column.form)
             for column in growth.columns for label in labels] for point in result["points"]]
    return "\n\n".join([
        growth.text,
        *("![%s](../compare/results/%s-%s.svg)" % (column.title, name, column.file) for column in growth.columns),
        table([growth.setting.replace("_bytes", "").replace("_", " ")] +
              ["%s, %s" % (label, column.heading) for column in growth.columns for label in labels], rows),
        measured_text(result, len(result["points"][0]["rounds"]))])


def machine_text(results):
    """Each machine that results come from, with the workloads measured on it."""
    machines = {}
    for name, result in results.items():
        machines.setdefault(json.dumps(result["machine"]), []).append(name)
    parts = []
    for text, names in machines.items():
        one = json.loads(text)
        libraries = ", ".join("%s %s" % library for library in one["libraries"].items())
        lines = [("processor", "%s, %d cores" % (one["processor"], one["cores"])), ("kernel", one["kernel"]),
                 ("compiler", one["compiler"]), ("weir", one["weir"]), ("libraries", libraries)]
        heading = "" if len(machines) == 1 else "%s were measured on:\n\n" % ", ".join(names)
        parts.append(heading + "\n".join("- %s: %s" % line for line in lines))
    return "\n\n".join(parts) or NOT_MEASURED


# ---- Plots ----

def ratio_plot(results):
    rows = [("%s: %s" % (name, row.name), row) for name in WORKLOADS for row in workload_rows(name, results)
            if row.pair.over == "weir" and row.pair.under and row.pair.at_least is None]
    return plot.ratios("weir compared with its peers", "weir's figure over its peer's: left of 1 weir costs less", rows)


def place_of(value):
    """On an axis that is logarithmic: nothing stands a decade before the first million."""
    return value or 100000


def growth_series(name, result, column):
    series = {}
    for label in growth_labels(name, result):
        points = []
        for point in result["points"]:
            values = [max(value / column.unit, column.floor)
                      for value in comparison.figures(point["rounds"], label, column.key)]
            points.append((place_of(point[GROWTHS[name].setting]), *comparison.median_interval(values)[:3]))
        series[label] = points
    return series


def growth_plots(name, result):
    setting = GROWTHS[name].setting
    ticks = [(place_of(point[setting]), setting_text(setting, point[setting]).replace(",000,000", "M").replace(",000", "k")) for point in result["points"]]
    label = {"connections": "connections", "message_bytes": "bytes of a message",
             "stored_messages": "messages in the store"}[setting]
    return {"%s-%s.svg" % (name, column.file): plot.lines(column.title, label, column.axis, ticks,
                                                          growth_series(name, result, column))
            for column in GROWTHS[name].columns}


def make_plots(results):
    """{file name: SVG}"""
    plots = {}
    if any(name in results for name in WORKLOADS):
        plots["ratios.svg"] = ratio_plot(results)
    for name in GROWTHS:
        if name in results:
            plots.update(growth_plots(name, results[name]))
    return plots


# ---- The document ----

def render(template, notes, results):
    """The template with all its {{...}} filled in."""
    makers = {
        "machine": lambda: machine_text(results),
        "summary": lambda: summary(results),
        "notes": notes.strip,
        "workloads": lambda: "\n\n".join(workload_section(name, results) for name in WORKLOADS),
        **{name: lambda name=name: growth_section(name, results) for name in GROWTHS},
    }
    return re.sub(r"\{\{(\S+)\}\}", lambda mark: makers[mark[1]](), template)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def make_files(root, results_directory):
    """{path: text} of all that is written."""
    results = load_results(results_directory)
    here = os.path.join(root, "compare")
    template, notes = (read(os.path.join(here, name)) for name in ("performance.in.md", "performance-notes.md"))
    text = render(template, notes, results)
    files = {os.path.join(root, "docs", "performance.md"): text}
    for name, svg in make_plots(results).items():
        files[os.path.join(results_directory, name)] = svg
    return files


def differing(files):
    """Those that are not there, or not so."""
    return [path for path, text in files.items() if not os.path.exists(path) or read(path) != text]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench report",
                                     description="Write docs/performance.md from the results.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when it would change something")
    args = parser.parse_args()
    files = make_files(ROOT, os.path.join(ROOT, "compare", "results"))
    if args.check:
        for path in differing(files):
            print("%s is not what the results give: ./dev bench report" % os.path.relpath(path, ROOT))
        return 1 if differing(files) else 0
    for path, text in files.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
