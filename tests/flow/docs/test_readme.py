# SPDX-License-Identifier: BSD-3-Clause
"""The READMEs say the truth. Every block of code in them is tried: commands are run in a folder that looks like the clone,
what is typed in a session is typed on a terminal, and what the screen then shows is compared with what is printed there.
There is no way to leave a block out: what cannot be tried has no place in a README.

A block that begins with `$ ` is a new terminal, a line in it that begins with `> ` is typed; a block of a session without
`$ ` goes on in the server's terminal, where a line that begins with `#1> ` is typed. The client leaves when the server's
terminal is to show that it did. A block of `sh` is commands, one a line. The block of `c` is examples/echo.c.

They use port 8000, and run in a network of their own, so that nobody else does."""
import os
import re
import tempfile

from harness import (DEADLINE, FLAVOUR, PATIENCE, ROOT, WEIR, Process, connect, enter_network, recv_exactly, run_weir,
                     skip, wait_for)
from screen import Screen

COLUMNS = 100
READMES = ["README.md", "README.zh-CN.md"]
SECTIONS = {"start": 0, "session": 1, "library": 2}  # those with blocks, in their order

# What may differ from what is printed, and how: the time, a client's port, and what the machine has room for.
MAY_DIFFER = [
    (r"^\d\d:\d\d:\d\d\.\d{3} ", "TIME "),
    (r"\b127\.0\.0\.1:(?!8000\b)\d+", "127.0.0.1:PORT"),
    (r"^messages are stored in .*/\.local/state/weir/", "messages are stored in FOLDER/"),
    (r"^(the oldest are deleted, beyond) [\d.]+ [KMG]iB", r"\1 SIZE"),
    (r"\broom for \d+ clients \(descriptor limit \d+\)", "room for N clients (descriptor limit N)"),
]
PROMPT = re.compile(r"^(#\d+)?>$")  # the last line of a screen, where nothing has been typed yet
TYPED = re.compile(r"^#\d+> (.+)$")  # at the server's prompt


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def sections(text):
    """The blocks of each section that has any: lists of (language, lines)."""
    found = []
    for section in re.split(r"^## ", text, flags=re.M):
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.S | re.M)
        if blocks:
            found.append([(language, block.splitlines()) for language, block in blocks])
    return found


# ---- A network and a clone of one's own ----


class Clone:
    """A folder in which README's commands find what they name, and may leave behind what they like. Its ./dev is the real
    one, and builds nothing: it is told which build is tested."""

    def __init__(self, deadline):
        self.deadline = deadline

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-readme-")
        os.symlink(os.path.join(ROOT, "examples"), os.path.join(self.folder.name, "examples"))
        with open(os.path.join(self.folder.name, "dev"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec '%s' \"$@\"\n" % os.path.join(ROOT, "dev"))
        os.chmod(file.name, 0o755)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def type(self, line):
        """Starts what somebody types at a shell, on a terminal. Of a single command it is that command's status and
        Ctrl-C, not the shell's, which would end by it as well."""
        build = os.path.dirname(os.path.abspath(WEIR))
        command = line if re.search("[|&]", line) else "exec " + line
        return Process(["sh", "-c", command], terminal=True, columns=COLUMNS, wrap=["env", "-C", self.folder.name],
                       env={"WEIR_BUILD": build, "CI": "1", "LC_ALL": "C.UTF-8",
                            "WEIR_STORE": None, "XDG_STATE_HOME": None})

    def wait_for(self, predicate, what):
        return wait_for(predicate, what, self.deadline)


# ---- A session ----


def screen_of(terminal):
    rows = Screen(COLUMNS, terminal.stdout.text()).rows
    while rows and not rows[-1]:
        rows.pop()
    return rows


def has_prompt(terminal):
    return any(PROMPT.match(row) for row in screen_of(terminal)[-1:])


def alike(lines):
    """The lines with all that may differ made the same, without a prompt at the end."""
    lines = list(lines)
    while lines and (PROMPT.match(lines[-1]) or not lines[-1]):
        lines.pop()
    for pattern, same in MAY_DIFFER:
        lines = [re.sub(pattern, same, line) for line in lines]
    return lines


class Session:
    """The terminals that a reader has open."""

    def __init__(self, clone):
        self.clone = clone
        self.server = None
        self.client = None
        self.shown = []  # what the server's terminal should show by now

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.client is not None:
            self.client.__exit__(kind)
        if self.server is not None:
            if kind is None:
                end_with_ctrl_c(self.server)
            self.server.__exit__(kind)

    def block(self, lines):
        if not lines[0].startswith("$ "):
            self._go_on(lines)
        elif any(line.startswith("> ") for line in lines):
            self._client(lines[0][2:], lines[1:])
        else:
            assert self.server is None, "a second server, and no block between that shows how the first ends"
            self.server, self.shown = self.clone.type(lines[0][2:]), lines[1:]
            self._see(self.server, self.shown)

    def _go_on(self, lines):
        """In the server's terminal."""
        for line in lines:
            typed = TYPED.match(line)
            if typed:
                self._see(self.server, self.shown)
                self.clone.wait_for(lambda: has_prompt(self.server), "a prompt")
                self.server.stdin.write(typed[1].encode() + b"\r")
                continue
            if " peer closed: " in line:
                self._end_client()
            self.shown.append(line)
        self._see(self.server, self.shown)

    def _client(self, command, lines):
        assert self.client is None, "a second client, and no line between that shows how the first ends"
        self.client = client = self.clone.type(command)
        for at, line in enumerate(lines):
            if line.startswith("> "):
                self._see(client, lines[:at])
                self.clone.wait_for(lambda: has_prompt(client), "a prompt")
                client.stdin.write(line[2:].encode() + b"\n")
        self._see(client, lines)

    def _end_client(self):
        self._see(self.server, self.shown)
        self.client.stdin.write(b"\x04")
        assert self.client.wait(self.clone.deadline) == 0, self.client.stdout.text()
        self.client.__exit__(None)
        self.client = None

    def _see(self, terminal, lines):
        """Waits until a terminal shows these lines, and nothing else."""
        assert terminal is not None, "there is no server whose terminal would show %r" % lines
        try:
            self.clone.wait_for(lambda: alike(screen_of(terminal)) == alike(lines), "the screen")
        except AssertionError:
            raise AssertionError("printed in the README:\n%s\non the screen:\n%s" % (
                "\n".join(alike(lines)), "\n".join(alike(screen_of(terminal))))) from None


def end_with_ctrl_c(server):
    server.stdin.write(b"\x03")
    assert server.wait() == 0, server.stdout.text()


# ---- Commands ----


def try_server(clone, line):
    """It listens; where it has said where, somebody connects."""
    with clone.type(line) as server:
        url = server.wait_stdout(r"listening on ([^\s]+)\r$", clone.deadline)[1]
        if url.startswith("tcp:"):
            connect(int(url.rsplit(":", 1)[1])).close()
        server.stdin.write(b"\x03")
        status = server.wait(clone.deadline)
        assert status == 0 or "|" in line, server.stdout.text()  # of a pipe it is the last command's


def try_client(clone, line):
    """With the server of the session before it; what printf sends comes back."""
    sent = re.match(r"printf '([^']*)' \|", line)[1].replace("\\n", "\n")
    with clone.type("./dev run serve --frame line --reply echo") as server:
        server.wait_stdout("listening on ", clone.deadline)
        with clone.type(line + " >answers") as client:
            assert client.wait(clone.deadline) == 0, client.stdout.text()
        with open(os.path.join(clone.folder.name, "answers"), encoding="utf-8") as file:
            assert file.read() == sent
        end_with_ctrl_c(server)


def try_hex(clone, line):
    """What is typed in hex comes back from a server that echoes, and is seen in hex."""
    port = line.rsplit(" ", 1)[1]
    with clone.type("./dev run serve %s --reply echo" % port) as server:
        server.wait_stdout("listening on ", clone.deadline)
        with clone.type(line) as client:
            clone.wait_for(lambda: has_prompt(client), "a prompt")
            client.stdin.write(b"01 03 00 ff\r")
            clone.wait_for(lambda: any(row.startswith("01 03 00 ff  |") for row in screen_of(client)), "the answer")
            client.stdin.write(b"\x04")
            assert client.wait(clone.deadline) == 0, client.stdout.text()
        end_with_ctrl_c(server)


def try_bench(clone, line):
    """It loads an echo, and tells how that went."""
    with clone.type("./dev run serve 8000 --frame line --reply echo --print off") as server:
        server.wait_stdout("listening on ", clone.deadline)
        with clone.type(line) as load:
            assert load.wait(clone.deadline) == 0, load.stdout.text()
            assert re.search("(?m)^errors +none", load.stdout.text()), load.stdout.text()
        end_with_ctrl_c(server)


def try_echo(clone, line):
    """The example is compiled, and listens without a word."""
    def answer():
        try:
            with connect(8000) as client:
                client.sendall(b"hello\n")
                return recv_exactly(client, 6)
        except ConnectionRefusedError:
            if example.process.poll() is not None:
                example.stdout.finish()
                raise AssertionError("%s\n%s" % (line, example.stdout.text())) from None
            return None
    with clone.type(line) as example:
        assert clone.wait_for(answer, "the example to listen") == b"hello\n"
        assert example.stdout.text() == "", example.stdout.text()


def try_help(clone, line):
    with clone.type(line) as command:
        assert command.wait(clone.deadline) == 0 and "usage: weir serve " in command.stdout.text(), command.stdout.text()


# The first whose pattern is found in a command tries it.
TRIES = [(r"^\./dev run serve --help$", try_help), (r"^\./dev run( serve\b.*)?$", try_server),
         (r"^printf .* \| \./dev run connect 8000$", try_client), (r"^\./dev run connect --hex \d+$", try_hex),
         (r"^\./dev run bench .* 8000$", try_bench), (r"^cc examples/echo\.c .* && \./echo$", try_echo)]


def try_commands(clone, lines):
    for line in lines:
        command = line.split("  #")[0].rstrip()
        tries = [function for pattern, function in TRIES if re.search(pattern, command)]
        assert tries, "nobody knows how to try %r: TRIES has no line for it" % command
        if "| jq" in command and not any(os.access(os.path.join(path, "jq"), os.X_OK)
                                         for path in os.get_exec_path()):
            skip("jq is not installed: apt-get install jq")
        tries[0](clone, command)


def is_echo(lines):
    """The example as it is in its file, but for the comment at the top."""
    source = re.sub(r"\A/\*.*?\*/\n", "", read("examples/echo.c"), flags=re.S)
    assert "\n".join(lines) + "\n" == source, "the README's program is not examples/echo.c"


def try_section(text, name, deadline=DEADLINE):
    found = sections(text)
    assert len(found) == len(SECTIONS), "there are %d sections with blocks; SECTIONS knows %d" % (len(found), len(SECTIONS))
    commands = []
    with Clone(deadline) as clone:
        with Session(clone) as session:
            for language, lines in found[SECTIONS[name]]:
                if language == "c":
                    is_echo(lines)
                elif language == "sh":
                    commands += lines
                else:
                    session.block(lines)
        try_commands(clone, commands)


# ---- The tests ----


def test_start():
    enter_network()
    for name in READMES:
        try_section(read(name), "start")


def test_session_and_commands():
    enter_network()
    try_section(read("README.md"), "session")


def test_session_and_commands_in_chinese():
    enter_network()
    try_section(read("README.zh-CN.md"), "session")


def test_library():
    enter_network()
    for name in READMES:
        try_section(read(name), "library")


def expect_to_fail(section, old, new, reason):
    """The README would fail, and for that reason, if it had this in place of that."""
    text = read("README.md")
    assert old in text, "the README has no longer %r" % old
    try:
        try_section(text.replace(old, new, 1), section, 3 * PATIENCE)
    except AssertionError as error:
        assert re.search(reason, str(error)), (old, new, str(error))
        return
    raise AssertionError("nobody noticed %r in place of %r" % (new, old))


def test_what_is_printed_wrongly_is_noticed():
    enter_network()
    for old, new in (("listening on tcp://127.0.0.1:8000\n", "listening on tcp://127.0.0.1:8001\n"),
                     ("> hello\nhello\n", "> hello\nhallo\n"), (" #1 hello\n", " #2 hello\n"),
                     ("34 bytes out\n", "34 bytes out\nand more\n"), ("#1> what do", "#1> what did")):
        expect_to_fail("session", old, new, "(?s)printed in the README:.*on the screen:")


def test_what_is_called_wrongly_is_noticed():
    enter_network()
    for section, old, new, reason in (("start", "./dev run\n", "./dev runs\n", "nobody knows how to try"),
                                      ("session", "--reply echo\n", "--reply ehco\n", "on the screen:\nweir: --reply ehco"),
                                      ("session", "connect 8000\n", "connect\n", "on the screen:\nweir: connect where"),
                                      ("session", "--print json |", "--print jso |", "--print jso: must be one of"),
                                      ("library", "weir_run(weir)", "weir_runs(weir)", "is not examples/echo.c"),
                                      ("library", "dev flags", "dev flag", "there is no command flag")):
        expect_to_fail(section, old, new, reason)


def test_options_and_files_exist():
    """Those that are named beside the blocks too."""
    known = {"--help", "--version"}
    for command in ("serve", "connect", "bench", "verify", "log"):
        known |= set(re.findall(r"--[a-z][a-z-]+", run_weir(command, "--help")[1]))
    for name in READMES:
        text = read(name)
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
        assert named and named <= known, (name, named - known)
        for path in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"`((?:examples|include|docs)/[\w./-]+)`", text):
            assert os.path.exists(os.path.join(ROOT, path)), (name, path)


if FLAVOUR != "release":  # said once, not once for each
    for test in [name for name in globals() if name.startswith("test_")]:
        del globals()[test]

    def test_readmes():
        skip("they are about the release build")
