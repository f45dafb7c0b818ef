# SPDX-License-Identifier: BSD-3-Clause
"""What a terminal shows: reads what a program has written to it and keeps the rows, for tests of what is drawn and
erased. It knows the control sequences that weir and libedit use on an xterm, and fails for any other. The screen has no
bottom, so nothing scrolls out of it."""
import re
import termios
import unicodedata

from harness import wait_for

SEQUENCE = re.compile(r"\x1b\[\??(\d*)(?:;\d+)*([A-Za-z@])")


def width_of(character):
    """Columns of a character."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """A screen so many columns wide. `rows` is what is on it, as text without blanks at the ends of rows; `row` and
    `column` are the cursor's place."""

    def __init__(self, columns, output=""):
        self.columns = columns
        self.row = self.column = 0
        self._cells = [[]]
        self._wraps = False  # the last column was written: the next character begins the next row
        self.feed(output)

    @property
    def rows(self):
        return ["".join(cells).rstrip() for cells in self._cells]

    def feed(self, output):
        at = 0
        while at < len(output):
            at += self._take(output, at)

    def _take(self, output, at):
        character = output[at]
        if character == "\x1b":
            match = SEQUENCE.match(output, at)
            if match is None:  # cut off, as what has been read so far may be
                assert len(output) - at < 8, repr(output[at:at + 20])
                return len(output) - at
            self._do(match[2], int(match[1] or 1), match[1])
            return match.end() - at
        if character == "\r":
            self._move(self.row, 0)
        elif character == "\n":
            self._move(self.row + 1, self.column)
        elif character == "\b":
            self._move(self.row, max(0, self.column - 1))
        elif character != "\x07":
            self._write(character)
        return 1

    def _move(self, row, column):
        self.row, self.column, self._wraps = max(0, row), min(column, self.columns - 1), False
        while len(self._cells) <= self.row:
            self._cells.append([])

    def _write(self, character):
        assert character.isprintable() or character == " ", repr(character)
        width = width_of(character)
        if width == 0:
            self._cells[self.row][self.column - 1] += character
            return
        if self._wraps or self.column + width > self.columns:
            self._move(self.row + 1, 0)
        cells = self._cells[self.row]
        cells += " " * (self.column + width - len(cells))
        cells[self.column:self.column + width] = [character] + [""] * (width - 1)
        self._wraps = self.column + width == self.columns
        self.column = min(self.column + width, self.columns - 1)

    def _do(self, name, count, argument):
        cells = self._cells[self.row]
        if name in "mhl":  # colours; modes such as bracketed paste
            pass
        elif name == "A":
            self._move(self.row - count, self.column)
        elif name == "B":
            self._move(self.row + count, self.column)
        elif name == "C":
            self._move(self.row, self.column + count)
        elif name == "D":
            self._move(self.row, max(0, self.column - count))
        elif name == "G":
            self._move(self.row, count - 1)
        elif name == "K" and not argument:
            del cells[self.column:]
        elif name == "J" and not argument:
            del cells[self.column:]
            del self._cells[self.row + 1:]
        elif name == "P":
            del cells[self.column:self.column + count]
        elif name == "@":
            cells[self.column:self.column] = [" "] * count
        else:
            raise AssertionError("a control sequence that the screen does not know: %s%s" % (argument, name))


class Typing:
    """What somebody does who sits at a process on a terminal `columns` wide. Before harness.Process among the bases."""

    def type(self, text):
        """Types, and does not end the line."""
        self.stdin.write(text if isinstance(text, bytes) else text.encode())

    def enter(self, line):
        self.type(line + "\r")

    def rows(self):
        """What is on the screen."""
        return Screen(self.columns, self.stdout.text()).rows

    def prompt(self):
        """The last row."""
        return self.rows()[-1]

    def wait_prompt(self, prompt):
        wait_for(lambda: self.prompt() == prompt, "the prompt %r; there is:\n%s" % (prompt, "\n".join(self.rows())))

    def wait_row(self, pattern):
        """Waits until a row matches the whole of the regular expression."""
        def find():
            return next((match for match in (re.fullmatch(pattern, row) for row in self.rows()) if match), None)
        try:
            return wait_for(find, pattern)
        except AssertionError as error:
            raise AssertionError("%s; the screen was:\n%s" % (error, "\n".join(self.rows()))) from None


def attributes(process):
    """Whether the terminal echoes and takes whole lines, as one does that is in order, and as one where lines are
    edited does not."""
    flags = termios.tcgetattr(process.stdin.fileno())[3]
    return bool(flags & termios.ECHO), bool(flags & termios.ICANON), bool(flags & termios.ISIG)


IN_ORDER = (True, True, True)
EDITED = (False, False, True)


def wait_attributes(process, wanted):
    wait_for(lambda: attributes(process) == wanted, "the terminal's attributes")
