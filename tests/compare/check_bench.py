#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The comparison's own arithmetic, and that docs/performance.md is what the results in the tree give.

    check_bench.py ROOT
"""
import argparse
import contextlib
import io
import os
import re
import statistics
import sys
import xml.etree.ElementTree

ROOT = sys.argv[1]
sys.path[:0] = [os.path.join(ROOT, "compare"), os.path.join(ROOT, "tests", "documents")]

import comparison
import plot
import report
import run
import stores
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


def verdict_of(pair, values=(90, 100, 110)):
    return comparison.compare([{"a": {"x": value}, "b": {"x": 100}} for value in values], [pair], "x")[0].verdict


def a_bound_is_met_when_the_median_meets_it():
    # The ratios are 0.9, 1 and 1.1: their median is 1, their interval all of them.
    assert verdict_of(Pair("a", "b", at_most=1)) == verdict_of(Pair("a", "b", at_least=1)) == "met"
    assert verdict_of(Pair("a", "b", at_most=1.2)) == verdict_of(Pair("a", "b", at_least=0.8)) == "met"
    assert verdict_of(Pair("a", "b", at_most=0, is_difference=True)) == "met"
    assert verdict_of(Pair("a", at_most=100)) == verdict_of(Pair("a", at_least=100)) == "met"
    assert verdict_of(Pair("a", "b")) == ""


def a_bound_that_only_the_interval_reaches_is_missed_within_the_noise():
    for pair in (Pair("a", "b", at_most=0.999), Pair("a", "b", at_most=0.9), Pair("a", "b", at_least=1.001),
                 Pair("a", "b", at_least=1.1), Pair("a", "b", at_most=-10, is_difference=True), Pair("a", at_most=99)):
        assert verdict_of(pair) == "missed, within the noise", pair


def a_bound_beyond_the_interval_is_missed():
    for pair in (Pair("a", "b", at_most=0.89), Pair("a", "b", at_least=1.11), Pair("a", at_most=89),
                 Pair("a", "b", at_most=-11, is_difference=True)):
        assert verdict_of(pair) == "MISSED", pair
    assert verdict_of(Pair("a", "b", at_most=0.999), values=(100, 100, 100)) == "MISSED"


def each_kind_of_verdict_stands_apart():
    rounds = [{"a": {"x": value}, "b": {"x": 100}} for value in (90, 100, 110)]
    rows = comparison.compare(rounds, [Pair("a", "b", at_most=bound) for bound in (1, 0.95, 0.5)], "x")
    assert [report.verdict_text(row) for row in rows] == ["met", "missed, within the noise", "**missed**"]
    assert len({plot.VERDICTS[row.verdict] for row in rows}) == 3
    svg = plot.ratios("T", "x", [(row.name, row) for row in rows])
    for colour, _ in (plot.VERDICTS[row.verdict] for row in rows):
        assert svg.count(colour) == 4, (colour, svg)  # in the legend, and a bar, a marker and a tick


def a_run_tells_misses_from_those_within_the_noise():
    def told(*verdicts):
        """What run_all says and returns where the workloads give these."""
        names = list(workloads.WORKLOADS)[:len(verdicts)]
        given = dict(zip(names, verdicts))
        kept = run.take, run.print_workload, run.write_result
        run.take = lambda workload, args, progress: {}
        run.print_workload = lambda workload, result: {given[workload.name]}
        run.write_result = lambda directory, result: None
        try:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                is_met = run.run_all(names, argparse.Namespace(rounds=1, seconds=1, results=None))
        finally:
            run.take, run.print_workload, run.write_result = kept
        return is_met, out.getvalue()
    assert told("met", "") == (True, "")
    assert told("met", "missed, within the noise") == (False, "\nmissed a bound within the noise: syscalls\n")
    assert told("MISSED", "met") == (False, "\nmissed a bound: echo\n")


def of_several_peers_the_best_counts():
    rounds = [{"a": {"x": 6}, "b": {"x": 3}, "c": {"x": 2}}]
    [row] = comparison.compare(rounds, [Pair("a", ("b", "c"))], "x")
    assert (row.name, row.median) == ("a / c", 3), row
    assert comparison.compare(rounds, [Pair("a", ("b", "missing"))], "x")[0].under == "b"


def where_more_is_better_the_best_peer_is_the_one_with_most():
    rounds = [{"a": {"x": 6, "y": 6}, "b": {"x": 3, "y": 3}, "c": {"x": 2, "y": 2}}]
    pairs = [Pair("a", ("b", "c"), at_least=1), Pair("a", ("c", "b"), "y", at_least=1),
             Pair("a", ("b", "c"), "y", at_most=9)]
    assert [row.name for row in comparison.compare(rounds, pairs, "x")] == ["a / b", "a / b", "a / c"]


def a_pair_may_have_a_figure_of_its_own_and_no_peer():
    rounds = [{"a": {"x": 1, "y": 30}, "b": {"x": 1, "y": 10}}]
    pairs = [Pair("a", "b", "y", at_most=2), Pair("a", figure="y", at_most=30), Pair("a", at_most=2)]
    rows = comparison.compare(rounds, pairs, "x")
    assert [(row.name, row.median, row.verdict) for row in rows] == [
        ("a / b", 3, "MISSED"), ("a", 30, "met"), ("a", 1, "met")], rows
    assert [name for _, name in comparison.unmeasured([], [Pair("a", at_most=1)])] == ["a"]


def what_comes_of_a_pair_is_written_as_its_figure_is():
    ingest, minute = workloads.WORKLOADS["ingest"], workloads.WORKLOADS["acked-minute"]
    rows = comparison.compare([{"weir": {"per_second": 2, "cpu_us": 1}, "rsyslog": {"per_second": 1, "cpu_us": 2},
                                "rsyslog, tuned": {"per_second": 2, "cpu_us": 3}}], ingest.pairs, "per_second")
    assert [ingest.name_of(row) for row in rows] == ["weir / rsyslog, tuned", "weir / rsyslog, CPU a message"]
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
    assert rows == [] and comparison.unmeasured(rows, pairs) == [
        (pairs[0], "a / missing"), (pairs[1], "a / gone or missing")]


def each_peer_that_stores_has_two_configurations_of_which_the_better_counts():
    found = 0
    for workload in workloads.WORKLOADS.values():
        peers = [label for label, store in workload.servers.items()
                 if isinstance(store, stores.Store) and store.is_peer]
        for pair in workload.pairs if peers else ():
            if pair.bound:
                assert len(peers) == 2 and peers[1] == peers[0] + ", tuned" and pair.under == tuple(peers), workload.name
                found += 1
    assert found == 4, found


def no_flush_interval_may_be_more_than_a_fiftieth_of_a_run():
    lazy = stores.Store(("server",), flush_seconds=1)
    stores.check_run(lazy, 50)
    try:
        stores.check_run(lazy, 49)
    except stores.BenchError as error:
        assert str(error) == ("server lets messages wait for 1 s, which is more than 2 % of a run of 49.00 s: "
                              "make it longer")
    else:
        raise AssertionError("a run that is too short passed")


def what_rsyslog_lets_wait_is_what_is_said_of_it():
    for store, name in ((stores.RSYSLOG, "rsyslog.conf"), (stores.RSYSLOG_TUNED, "rsyslog-tuned.conf")):
        assert "{here}/peers/" + name in store.words
        conf = report.read(os.path.join(ROOT, "compare", "peers", name))
        lines = [line for line in conf.splitlines() if not line.lstrip().startswith("#")]
        settings = dict(re.findall(r'(\w+)="([^"]*)"', " ".join(lines)))
        waits = settings.get("flushOnTXEnd") == "off"
        assert waits == (store.flush_seconds > 0), name
        assert not waits or int(settings.get("flushInterval", 1)) <= store.flush_seconds, name


def what_the_readmes_say_is_what_was_measured():
    """The few figures in them, each against the results."""
    results = report.load_results(os.path.join(ROOT, "compare", "results"))
    [echo] = [row for row in report.workload_rows("echo", results) if row.name == "weir / epoll"]
    [most] = [point for point in results["growth-connections"]["points"] if point["connections"] == 19000]
    megabytes = statistics.median(comparison.figures(most["rounds"], "weir", "memory_bytes")) / 1e6
    for name, words in (("README.md", ("within a few per cent", r"19,000 idle connections take under (\d+) MB")),
                        ("README.zh-CN.md", ("只差百分之几", r"19,000 个空闲连接占用不到 (\d+) MB"))):
        text = report.read(os.path.join(ROOT, name))
        assert words[0] in text and echo.is_met and echo.median < 1.1, (name, echo)
        assert megabytes < int(re.search(words[1], text)[1]) <= megabytes + 1, (name, megabytes)


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
    del results["echo"]["rounds"][0]["libev"]  # a result from before there was this server
    text = report.render("{{machine}}\n{{summary}}\n{{workloads}}\n{{growth-bytes}}\n{{notes}}\n", "why\n", results)
    for part in ("- kernel: K", "| weir | 3.000 | 12,345 |",
                 "| [echo](#echo) | weir / epoll | CPU a message | at most 1.08 | 1.500 | 1.500 to 1.500 (0 %) | **missed** |",
                 "| weir / libuv | CPU a message | at most 0.62 | not measured |", "Left out: libuv (not built).",
                 "Left out: libev (not measured yet).", "### lines", report.NOT_MEASURED, "why"):
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
    differing = report.differing(report.make_files(ROOT, os.path.join(ROOT, "compare", "results")))
    assert differing == [], "./dev bench report was not called: %s" % ", ".join(differing)


sys.exit(run_checks([
    an_interval_is_from_order_statistics, few_values_give_their_range_and_say_how_little_it_holds,
    a_ratio_is_taken_within_each_round, a_bound_is_met_when_the_median_meets_it,
    a_bound_that_only_the_interval_reaches_is_missed_within_the_noise, a_bound_beyond_the_interval_is_missed,
    each_kind_of_verdict_stands_apart, a_run_tells_misses_from_those_within_the_noise, of_several_peers_the_best_counts,
    where_more_is_better_the_best_peer_is_the_one_with_most, a_pair_may_have_a_figure_of_its_own_and_no_peer,
    what_comes_of_a_pair_is_written_as_its_figure_is, every_pair_of_a_workload_has_its_servers_and_its_figure,
    nothing_has_a_place_on_a_logarithmic_axis, what_was_not_measured_is_named,
    each_peer_that_stores_has_two_configurations_of_which_the_better_counts,
    no_flush_interval_may_be_more_than_a_fiftieth_of_a_run, what_rsyslog_lets_wait_is_what_is_said_of_it,
    the_time_left_follows_what_is_done, a_report_has_tables_verdicts_and_what_was_left_out,
    numbers_have_commas_from_a_thousand_on, plots_are_well_formed, a_logarithmic_axis_has_ticks_at_round_values,
    what_the_readmes_say_is_what_was_measured, the_report_is_what_the_results_give]))
