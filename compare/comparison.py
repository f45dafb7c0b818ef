# SPDX-License-Identifier: BSD-3-Clause
"""What the rounds of a workload say: medians, their intervals, and whether a bound is met. Pure functions of numbers.

A bound is met when the median meets it. Where the median misses it and the interval reaches it, the rounds do not say
for sure that it is missed, and still less that it is met: that has a word of its own.

Each round measures every server once and gives one ratio for each pair; what disturbs the machine for longer than a
round disturbs both sides of a ratio. The median of the ratios is reported with an interval from order statistics, which
assumes nothing about the noise.
"""
import dataclasses
import math
import statistics

MET, WITHIN_NOISE, MISSED = "met", "missed, within the noise", "MISSED"


def median_interval(values):
    """(median, low, high, coverage): the narrowest pair of order statistics that holds the median with at least 95 %;
    with fewer than 6 values the range of all, which holds it less often, as the coverage says."""
    values = sorted(values)
    count = len(values)
    outside = lambda k: 2 * sum(math.comb(count, i) for i in range(k + 1)) / 2 ** count
    cut = 0
    while cut + 1 < count / 2 and outside(cut + 1) <= 0.05:
        cut += 1
    return statistics.median(values), values[cut], values[-1 - cut], max(0.0, 1 - outside(cut))


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two servers of a workload that are compared. under may name several: the best of them in this figure counts; or
    nobody: then the figure itself has the bound."""
    over: str
    under: object = None
    figure: str = None  # which; None: the workload's first
    at_most: float = None
    at_least: float = None
    is_difference: bool = False

    @property
    def bound(self):
        if self.at_most is not None:
            return "at most %g" % self.at_most
        if self.at_least is not None:
            return "at least %g" % self.at_least
        return ""

    @property
    def is_more_better(self):
        return self.at_least is not None

    def allows(self, value):
        """Whether a value meets the bound; True where there is none."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is None or value >= self.at_least


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of a pair."""
    pair: Pair
    under: str
    median: float
    low: float
    high: float
    coverage: float

    @property
    def is_met(self):
        return self.pair.allows(self.median)

    @property
    def verdict(self):
        if not self.pair.bound:
            return ""
        if self.is_met:
            return MET
        return WITHIN_NOISE if self.pair.allows(self.low) or self.pair.allows(self.high) else MISSED

    @property
    def name(self):
        return pair_name(self.pair, self.under)


def pair_name(pair, under):
    if under is None:
        return pair.over
    return "%s %s %s" % (pair.over, "-" if pair.is_difference else "/", under)


def figures(rounds, server, key):
    return [each[server][key] for each in rounds if server in each]


def best_of(rounds, names, key, is_more_better):
    """Of those that were measured, the one with the best median; None when none was."""
    present = [name for name in names if figures(rounds, name, key)]
    best = max if is_more_better else min
    return best(present, key=lambda name: statistics.median(figures(rounds, name, key)), default=None)


def compare(rounds, pairs, first_key):
    """A row for each pair of which both were measured. (A ratio to nothing says nothing.)"""
    rows = []
    for pair in pairs:
        key = pair.figure or first_key
        if pair.under is None:
            if figures(rounds, pair.over, key):
                rows.append(Row(pair, None, *median_interval(figures(rounds, pair.over, key))))
            continue
        names = (pair.under,) if isinstance(pair.under, str) else pair.under
        under = best_of(rounds, names, key, pair.is_more_better)
        if under is None or not figures(rounds, pair.over, key):
            continue
        if not pair.is_difference and min(figures(rounds, under, key)) == 0:
            continue
        values = [(over - under if pair.is_difference else over / under)
                  for over, under in zip(figures(rounds, pair.over, key), figures(rounds, under, key))]
        rows.append(Row(pair, under, *median_interval(values)))
    return rows


def unmeasured(rows, pairs):
    """The pairs that have a bound and no row, one of the two could not run: each with its name."""
    measured = [row.pair for row in rows]
    return [(pair, pair_name(pair, " or ".join(pair.under) if isinstance(pair.under, tuple) else pair.under))
            for pair in pairs if pair.bound and pair not in measured]
