#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The comparison's own arithmetic, and that docs/performance.md is what the results in the tree give.

    check_bench.py ROOT
"""
import os
import sys
import xml.etree.ElementTree

ROOT = sys.argv[1]
sys.path[:0] = [os.path.join(ROOT, "bench"), os.path.join(ROOT, "tests", "documents")]

import comparison
import plot
import report
import run
import workloads
from comparison import Pair
from tap import run as run_checks


def an_interval_is_from_order_statistics():
    # Of 15 values the 4th and the 12th: the binomial table gives 96.5 %; the 5th and the 11th would give 88.2 %.
    median, low, high, coverage = comparison.median_interval(list(range(15, 0, -1)))
    assert (median, low, high) == (8, 4, 12), (median, low, high)
    assert round(coverage, 3) == 0.965, coverage


def few_values_give_their_range_and_say_how_little_it_holds():
    assert comparison.median_interval([3, 1, 2]) == (2, 1, 3, 0.75)
    assert comparison.median_interval([5]) == (5, 5, 5, 0.0)
    assert comparison.median_interval([1, 2, 3, 4, 5, 6])[1:3] == (1, 6)


def a_ratio_is_taken_within_each_round():
    # The machine was twice as slow in the second round: the ratio does not see it.
    rounds = [{"a": {"x": 2}, "b": {"x": 1}}, {"a": {"x": 4}, "b": {"x": 2}}]
    [row] = comparison.compare(rounds, [Pair("a", "b")], "x")
    assert (row.median, row.low, row.high, row.verdict) == (2, 2, 2, ""), row


def a_bound_is_met_when_the_interval_reaches_it():
    rounds = [{"a": {"x": value}, "b": {"x": 100}} for value in (90, 100, 110)]
    verdicts = lambda **bound: comparison.compare(rounds, [Pair("a", "b", **bound)], "x")[0].verdict
    assert (verdicts(at_most=0.9), verdicts(at_most=0.89)) == ("met", "MISSED")
    assert (verdicts(at_least=1.1), verdicts(at_least=1.11)) == ("met", "MISSED")
    assert (verdicts(at_most=-10, is_difference=True), verdicts(at_most=-11, is_difference=True)) == ("met", "MISSED")


def of_several_peers_the_best_counts():
    rounds = [{"a": {"x": 6}, "b": {"x": 3}, "c": {"x": 2}}]
    [row] = comparison.compare(rounds, [Pair("a", ("b", "c"))], "x")
    assert (row.name, row.median) == ("a / c", 3), row
    assert comparison.compare(rounds, [Pair("a", ("b", "missing"))], "x")[0].under == "b"


def a_pair_may_have_a_figure_of_its_own_and_no_peer():
    rounds = [{"a": {"x": 1, "y": 30}, "b": {"x": 1, "y": 10}}]
    pairs = [Pair("a", "b", "y", at_most=2), Pair("a", figure="y", at_most=30), Pair("a", at_most=2)]
    rows = comparison.compare(rounds, pairs, "x")
    assert [(row.name, row.median, row.verdict) for row in rows] == [
        ("a / b", 3, "MISSED"), ("a", 30, "met"), ("a", 1, "met")], rows
    assert comparison.unmeasured([], [Pair("a", at_most=1)]) == ["a"]


def what_comes_of_a_pair_is_written_as_its_figure_is():
    ingest, minute = workloads.WORKLOADS["ingest"], workloads.WORKLOADS["acked-minute"]
    rows = comparison.compare([{"weir": {"per_second": 2, "cpu_us": 1}, "rsyslog": {"per_second": 1, "cpu_us": 2}}],
                              ingest.pairs, "per_second")
    assert [ingest.name_of(row) for row in rows] == ["weir / rsyslog", "weir / rsyslog, CPU a message"]
    assert [ingest.form_of(row.pair) for row in rows] == ["%.3f", "%.3f"]
    assert minute.form_of(minute.pairs[0]) == "%.1f" and minute.column_of(minute.pairs[0]).key == "worst_ms"


def every_pair_of_a_workload_has_its_servers_and_its_figure():
    for workload in workloads.WORKLOADS.values():
        for pair in workload.pairs:
            under = pair.under if isinstance(pair.under, tuple) else (pair.under,) if pair.under else ()
            assert {pair.over, *under} <= set(workload.servers) and workload.column_of(pair), (workload.name, pair)


def what_was_not_measured_is_named():
    pairs = [Pair("a", "missing", at_most=1), Pair("a", ("gone", "missing"), at_most=1), Pair("a", "missing")]
    rows = comparison.compare([{"a": {"x": 1}}], pairs, "x")
    assert rows == [] and comparison.unmeasured(rows, pairs) == ["a / missing", "a / gone or missing"]


def the_time_left_follows_what_is_done():
    progress = run.Progress(100)
    assert progress.text() == ""
    progress.step(10)
    progress.start -= 20  # it took twice as long as planned
    assert progress.text() == "about 3 min left", progress.text()
    progress.drop(60)
    assert progress.text() == "about 60 s left", progress.text()


def result(name, rounds, **more):
    return {"workload": name, "date": "2026-01-01", "seconds": 1, "skipped": {"libuv": "not built"}, "settings": {},
            "machine": {"processor": "P", "cores": 2, "kernel": "K", "compiler": "C", "weir": "W", "libraries": {}},
            "rounds": rounds, **more}


def a_report_has_tables_verdicts_and_what_was_left_out():
    one = lambda cpu_us: {"cpu_us": cpu_us, "per_second": 12345}
    results = {"echo": result("echo", [{label: one(3 if label == "weir" else 2) for label in workloads.ALL_PEERS
                                        if label != "libuv"}])}
    text = report.render("{{machine}}\n{{summary}}\n{{workloads}}\n{{growth-bytes}}\n{{notes}}\n", "why\n", results)
    for part in ("- kernel: K", "| weir | 3.000 | 12,345 |", "| [echo](#echo) | weir / epoll | CPU a message | "
                 "at most 1.08 | 1.500 | 1.500 to 1.500 (0 %) | **missed** |", "| weir / libuv |  |  | not measured |",
                 "Left out: libuv (not built).", "### lines", report.NOT_MEASURED, "why"):
        assert part in text, (part, text)
    assert "{{" not in text


def numbers_have_commas_from_a_thousand_on():
    texts = [report.number_text(value, form) for value, form in ((999.4, "%.1f"), (1234567.8, "%.1f"), (0.5, "%.3f"))]
    assert texts == ["999.4", "1,234,567.8", "0.500"], texts


def nothing_has_a_place_on_a_logarithmic_axis():
    points = [{"stored_messages": value, "rounds": [{"weir": {"per_second": 1, "history_ms": 1}}]}
              for value in (0, 1000000)]
    plots = report.growth_plots("growth-store", {"skipped": {}, "points": points})
    assert list(plots) == ["growth-store-rate.svg", "growth-store-history.svg"], list(plots)
    assert ">0</text>" in plots["growth-store-rate.svg"] and ">1M</text>" in plots["growth-store-rate.svg"]


def plots_are_well_formed():
    points = [(1, 2.0, 1.0, 3.0), (1000, 20.0, 20.0, 20.0)]
    names = ["a<b", "c", "d", "e"]
    lines = plot.lines("T & U", "x", "y", [(1, "1"), (1000, "1k")], {name: points for name in names})
    rows = comparison.compare([{"a": {"x": 3}, "b": {"x": 2}}], [Pair("a", "b", at_most=1), Pair("a", "b")], "x")
    for svg in (lines, plot.ratios("T", "x", [(row.name, row) for row in rows])):
        texts = [element.text for element in xml.etree.ElementTree.fromstring(svg).iter() if element.text]
        assert "T" in texts or "T & U" in texts and set(names) <= set(texts), texts


def a_logarithmic_axis_has_ticks_at_round_values():
    assert plot.LogScale(3, 60, 0, 1).ticks() == [5, 10, 20, 50]
    assert plot.LogScale(1, 20000, 0, 1).ticks() == [1, 10, 100, 1000, 10000]
    assert plot.LogScale(1, 100, 50, 150)(10) == 100


def the_report_is_what_the_results_give():
    differing = report.differing(report.make_files(ROOT, os.path.join(ROOT, "bench", "results")))
    assert differing == [], "./dev bench report was not called: %s" % ", ".join(differing)


sys.exit(run_checks([
    an_interval_is_from_order_statistics, few_values_give_their_range_and_say_how_little_it_holds,
    a_ratio_is_taken_within_each_round, a_bound_is_met_when_the_interval_reaches_it, of_several_peers_the_best_counts,
    a_pair_may_have_a_figure_of_its_own_and_no_peer,
    what_comes_of_a_pair_is_written_as_its_figure_is, every_pair_of_a_workload_has_its_servers_and_its_figure,
    nothing_has_a_place_on_a_logarithmic_axis, what_was_not_measured_is_named, the_time_left_follows_what_is_done,
    a_report_has_tables_verdicts_and_what_was_left_out, numbers_have_commas_from_a_thousand_on, plots_are_well_formed,
    a_logarithmic_axis_has_ticks_at_round_values, the_report_is_what_the_results_give]))
