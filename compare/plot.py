# SPDX-License-Identifier: BSD-3-Clause
"""Plots as SVG, in plain text: how a cost grows, and ratios with their intervals. Both axes of what grows are
logarithmic: there a straight line that rises by one decade in one decade is a cost in step with its work.

The background is left to the page. All colours are of middling lightness, so that they stand out from white and from
black, and each line has its own marker too, for those who see colours otherwise.
"""
import html
import math

import comparison

TEXT, GRID = "#767676", "#76767655"
STYLES = [("#2f81f7", "circle"), ("#c4761b", "square"), ("#bb4fc4", "triangle"), ("#2a9d57", "diamond")]
VERDICTS = {comparison.MET: ("#2f81f7", "circle"), comparison.WITHIN_NOISE: ("#b58900", "square"),
            comparison.MISSED: ("#d1531d", "diamond"), "": (TEXT, "circle")}
FONT = "font-family=\"system-ui, sans-serif\" font-size=\"13\""


class Svg:
    """Shapes, one a line, in the order of drawing."""

    def __init__(self, width, height, title):
        self.lines = [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" %s>' % (
                width, height, width, height, FONT),
            "<title>%s</title>" % html.escape(title),
        ]

    def line(self, x1, y1, x2, y2, colour=TEXT, width=1.0):
        self.lines.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>' % (
            x1, y1, x2, y2, colour, width))

    def path(self, points, colour):
        text = " ".join("%.1f,%.1f" % point for point in points)
        self.lines.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (text, colour))

    def text(self, x, y, text, anchor="middle", weight="normal", turned=False):
        turn = ' transform="rotate(-90 %.1f %.1f)"' % (x, y) if turned else ""
        self.lines.append('<text x="%.1f" y="%.1f" fill="%s" text-anchor="%s" font-weight="%s"%s>%s</text>' % (
            x, y, TEXT, anchor, weight, turn, html.escape(text)))

    def marker(self, kind, x, y, colour):
        if kind == "circle":
            self.lines.append('<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>' % (x, y, colour))
            return
        corners = {"square": [(-4, -4), (4, -4), (4, 4), (-4, 4)], "triangle": [(0, -5), (5, 4), (-5, 4)],
                   "diamond": [(0, -5), (5, 0), (0, 5), (-5, 0)]}[kind]
        points = " ".join("%.1f,%.1f" % (x + dx, y + dy) for dx, dy in corners)
        self.lines.append('<polygon points="%s" fill="%s"/>' % (points, colour))

    def __str__(self):
        return "\n".join(self.lines + ["</svg>", ""])


class LogScale:
    """Maps the values from low to high to pixels."""

    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        """1, 2 and 5 of each decade; over more than two decades only 1."""
        steps = (1, 2, 5) if self.high / self.low < 100 else (1,)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [step * 10.0 ** decade for decade in decades for step in steps]
        return [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]


def lines(title, x_label, y_label, x_ticks, series):
    """series: {name: [(x, median, low, high)]}; x_ticks: [(x, text)]. Each point has its interval as a bar."""
    width, height, left, right, top, bottom = 760, 420, 70, 130, 40, 60
    svg = Svg(width, height, title)
    values = [value for points in series.values() for point in points for value in point[1:]]
    xs = [x for x, _ in x_ticks]
    to_x = LogScale(min(xs), max(xs), left + 15, width - right - 15)
    to_y = LogScale(min(values) / 1.3, max(values) * 1.3, height - bottom, top)

    svg.text(left, 22, title, "start", "600")
    for value in to_y.ticks():
        svg.line(left, to_y(value), width - right, to_y(value), GRID)
        svg.text(left - 8, to_y(value) + 4, "{:,g}".format(value) if value < 1e6 else "%g" % value, "end")
    for value, text in x_ticks:
        svg.line(to_x(value), height - bottom, to_x(value), height - bottom + 5)
        svg.text(to_x(value), height - bottom + 21, text)
    svg.line(left, height - bottom, width - right, height - bottom)
    svg.text((left + width - right) / 2, height - 14, x_label)
    svg.text(18, (top + height - bottom) / 2, y_label, turned=True)

    for (name, points), (colour, marker), place in zip(series.items(), STYLES, range(len(STYLES))):
        svg.path([(to_x(x), to_y(median)) for x, median, _, _ in points], colour)
        for x, median, low, high in points:
            svg.line(to_x(x), to_y(low), to_x(x), to_y(high), colour)
            svg.marker(marker, to_x(x), to_y(median), colour)
        svg.line(width - right + 12, top + 10 + 24 * place, width - right + 36, top + 10 + 24 * place, colour, 2)
        svg.marker(marker, width - right + 24, top + 10 + 24 * place, colour)
        svg.text(width - right + 42, top + 14 + 24 * place, name, "start")
    return str(svg)


def ratios(title, x_label, rows):
    """rows: [(name, row of comparison.py)]: the median as a dot, its interval as a bar, its bound as a tick."""
    width, left, right, top, step = 760, 290, 30, 62, 24
    bottom = top + step * len(rows)
    svg = Svg(width, bottom + 60, title)
    values = [value for _, row in rows for value in (row.low, row.high, row.pair.at_most) if value]
    scale = LogScale(min(values + [0.5]) / 1.1, max(values + [2]) * 1.1, left, width - right)

    svg.text(20, 22, title, "start", "600")
    draw_ratio_legend(svg, 20, 44)
    for value in scale.ticks():
        svg.line(scale(value), top, scale(value), bottom, TEXT if value == 1 else GRID)
        svg.text(scale(value), bottom + 20, "%g" % value)
    for place, (name, row) in enumerate(rows):
        y = top + step * (place + 0.5)
        colour, marker = VERDICTS[row.verdict]
        svg.text(left - 12, y + 4, name, "end")
        svg.line(scale(row.low), y, scale(row.high), y, colour, 3)
        svg.marker(marker, scale(row.median), y, colour)
        if row.pair.at_most is not None:
            svg.line(scale(row.pair.at_most), y - 9, scale(row.pair.at_most), y + 9, colour, 2)
    svg.text((left + width - right) / 2, bottom + 46, x_label)
    return str(svg)


def draw_ratio_legend(svg, x, y):
    for verdict, text, room in ((comparison.MET, "met", 55), (comparison.WITHIN_NOISE, "missed, within the noise", 180),
                                (comparison.MISSED, "missed", 75), ("", "no bound", 90)):
        colour, marker = VERDICTS[verdict]
        svg.marker(marker, x + 4, y - 4, colour)
        svg.text(x + 14, y, text, "start")
        x += room
    svg.line(x + 4, y - 13, x + 4, y + 5, TEXT, 2)
    svg.text(x + 14, y, "the bound; bars are the medians' intervals", "start")
