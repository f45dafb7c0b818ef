# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees of what a program writes to a terminal: its lines, once carriage returns, cursor movements and
erasures have done their work. As much of a terminal as weir and libedit make use of; what it does not know it refuses,
so that no test passes on a screen that nobody would see."""
import re
import unicodedata

SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z@])")


def width_of(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """Lines without an end, `columns` wide. A cell is a character; behind a wide one comes an empty cell."""

    def __init__(self, columns):
        self.columns = columns
        self.rows = [[]]
        self.row = self.column = 0

    def show(self, text):
        at = 0
        while at < len(text):
            sequence = SEQUENCE.match(text, at)
            if sequence:
                self._obey(sequence[1], sequence[2])
                at = sequence.end()
            else:
                self._put(text[at])
                at += 1
        return self

    def lines(self):
        """Without blanks at their ends, and without empty lines at the screen's end."""
        lines = ["".join(row).rstrip() for row in self.rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._go_to_row(self.row + 1)
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character != "\a":
            assert character.isprintable(), "the screen does not know %r" % character
            self._write(character)

    def _write(self, character):
        width = width_of(character)
        if self.column + width > self.columns:
            self._go_to_row(self.row + 1)
            self.column = 0
        cells = self.rows[self.row]
        cells.extend(" " * (self.column + width - len(cells)))
        if width == 0:
            cells[self.column - 1] += character
        else:
            cells[self.column:self.column + width] = [character] + [""] * (width - 1)
        self.column += width

    def _go_to_row(self, row):
        self.row = max(0, row)
        while len(self.rows) <= self.row:
            self.rows.append([])

    def _obey(self, parameters, letter):
        if letter == "m" or parameters.startswith("?"):  # colours; modes such as bracketed paste
            return
        count = int(parameters.split(";")[0] or 0)
        cells = self.rows[self.row]
        if letter in "AB":
            self._go_to_row(self.row + max(1, count) * (-1 if letter == "A" else 1))
        elif letter in "CD":
            moved = self.column + max(1, count) * (-1 if letter == "D" else 1)
            self.column = min(max(0, moved), self.columns - 1)
        elif letter == "G":
            self.column = max(1, count) - 1
        elif letter == "P":
            del cells[self.column:self.column + max(1, count)]
        elif letter == "@":
            cells[self.column:self.column] = " " * max(1, count)
        elif letter in "JK" and count == 0:
            del cells[self.column:]
            if letter == "J":
                del self.rows[self.row + 1:]
        else:
            raise AssertionError("the screen does not know ESC [ %s %s" % (parameters, letter))
