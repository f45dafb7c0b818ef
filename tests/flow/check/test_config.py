# SPDX-License-Identifier: BSD-3-Clause
"""The configuration file, and weir check: what a configuration means, and what a framing makes of bytes."""
import os
import re
import resource
import socket
import subprocess
import tempfile

from harness import PATIENCE, Server, WEIR, connect, recv_until, run_weir, skip, weir


class Config:
    """A configuration file for one test."""

    def __init__(self, text):
        self.file = tempfile.NamedTemporaryFile("w", prefix="weir-", suffix=".yaml")
        self.file.write(text)
        self.file.flush()
        self.path = self.file.name

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.file.close()


def checked(*arguments, **process):
    """What `weir check` says is in effect: {(whose, option): (origin, value)}."""
    status, stdout, stderr = run_weir("check", *arguments, **process)
    assert (status, stderr) == (0, ""), (arguments, status, stderr)
    rows = [line.split(None, 3) for line in stdout.splitlines()]
    assert all(len(row) == 4 for row in rows), stdout
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


TWO = """\
reply: echo
listeners:
  - { listen: "127.0.0.1:0", frame: line }
  - listen: 127.0.0.1:0
    frame: length:u8
workers: 1
"""


def test_listeners_of_the_file_are_served():
    with Config(TWO) as path, weir("serve", "--config", path) as server:
        server.wait_stderr(r"(?s)(listening on [^\n]+\n.*){2}")
        ports = re.findall(r"listening on tcp://127\.0\.0\.1:(\d+)", server.stderr.text())
        for port, message in zip(ports, (b"x\n", b"\1x")):
            with connect(int(port)) as client:
                client.sendall(message)
                assert recv_until(client, message) == message
        assert server.stop() == 0


def test_command_line_and_environment_outweigh_the_file():
    with Config(TWO) as path:
        with Server("--config", path, "--frame", "line", env={"WEIR_REPLY": "text:env"}) as server, \
                server.connect() as client:  # its one --listen takes the place of the file's two
            assert len(server.urls) == 1, server.urls
            client.sendall(b"x\n")
            assert recv_until(client, b"\n") == b"env\n"
        rows = checked("--config", path, "--frame", "slip", env={"WEIR_REPLY": "text:env"})
        for whose in ("listener-1", "listener-2"):
            assert rows[whose, "frame"] == ("command-line", "slip"), rows
            assert rows[whose, "reply"] == ("WEIR_REPLY", "text:env"), rows


def test_check_says_what_is_in_effect_and_from_where():
    with Config(TWO) as path:
        rows = checked("--log-level", "debug", env={"WEIR_CONFIG": path, "WEIR_MAX_FRAME": "2KiB"})
    assert rows["listener-1", "listen"] == (path + ":3", "127.0.0.1:0"), rows
    assert rows["listener-2", "listen"] == (path + ":4", "127.0.0.1:0"), rows
    assert rows["listener-1", "frame"] == (path + ":3", "line")
    assert rows["listener-2", "frame"] == (path + ":5", "length:u8")
    assert rows["listener-1", "reply"] == rows["listener-2", "reply"] == (path + ":1", "echo")
    assert rows["listener-2", "max-frame"] == ("WEIR_MAX_FRAME", "2KiB")
    assert rows["listener-2", "idle-timeout"] == ("default", "off")
    assert rows["server", "workers"] == (path + ":6", "1")
    assert rows["server", "log-level"] == ("command-line", "debug")
    assert rows["server", "max-clients"] == ("default", "what the descriptor limit allows")
    assert rows["server", "config"] == ("WEIR_CONFIG", path)
    assert not any("listener-3" == whose for whose, _ in rows)


def test_check_is_aligned_and_safe_to_show():
    with Config('listeners:\n- { listen: ":1", reply: "text:\\e[31m\\u202e b" }\n') as path:
        status, stdout, _ = run_weir("check", "--config", path)
    assert status == 0 and "\033" not in stdout and "\u202e" not in stdout, stdout
    assert '"text:\\u001b[31m\\u202e b"' in stdout, stdout
    columns = {re.match(r"(\S+ +)(\S+ +)(\S+ +)", line).regs[1:] for line in stdout.splitlines()}
    assert len(columns) == 1, columns


def test_check_binds_and_resolves_nothing():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        path = os.path.join(tempfile.gettempdir(), "weir-check-%d.sock" % os.getpid())
        rows = checked("127.0.0.1:%d" % port, "no-such-host.invalid:1", "unix:" + path, "fd:77")
    assert rows["listener-4", "listen"] == ("command-line", "fd:77")
    assert not os.path.exists(path)


def test_wrong_configurations_are_wrong_for_both_commands():
    """The sentence is the same, and the status: 2 for what is wrong, 1 for a file that cannot be read."""
    for text, words in (("fram: line\n", ":1: unknown key fram; the nearest is frame"),
                        ("listeners:\n- { listen: 1, max-frame: x }\n", ":2: max-frame x: not a size"),
                        ("reply: text:\\q\n", ":1: reply text:\\q: not an escape"),
                        ("a: [\n", ":1: unknown key a"), ("frame: \x01\n", ":1: not YAML")):
        with Config(text) as path:
            for command in ("serve", "check"):
                status, stdout, stderr = run_weir(command, "--config", path)
                assert (status, stdout) == (2, ""), (text, status, stderr)
                assert stderr.startswith("weir: " + path + words), stderr
                assert stderr.endswith("\ntry: weir %s --help\n" % command), stderr
    for name in ("/no/such/weir.yaml", "/"):
        for command in ("serve", "check"):
            status, stdout, stderr = run_weir(command, "--config", name)
            assert (status, stdout) == (1, "") and stderr.startswith("weir: --config %s: " % name), (status, stderr)
            assert len(stderr.splitlines()) == 1, stderr


def test_configuration_that_may_not_be_read():
    if os.geteuid() == 0:
        wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    else:
        wrap = []
    with Config("frame: line\n") as path:
        os.chmod(path, 0)
        if subprocess.run(wrap + ["test", "-x", WEIR], check=False).returncode:
            skip("the program is not for other users")
        done = subprocess.run(wrap + [WEIR, "check", "--config", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.lower() == "weir: --config %s: permission denied\n" % path, done


def test_check_shows_what_hex_is_cut_into():
    status, stdout, stderr = run_weir("check", "--frame", "length:u16be", "--hex", "00 03 61:62:63\n0x00 0x05 64")
    assert (status, stderr) == (0, ""), (status, stderr)
    assert stdout == "message 1, 3 bytes: abc\nleft over, from byte 6 on, 3 bytes: 00 05 64  |..d|\n1 message in 8 bytes\n", stdout
    status, stdout, _ = run_weir("check", "--frame", "line", "--max-frame", "2", "--too-long", "truncate", "--print", "hex",
                                 "--hex", "6162630a 610a")
    assert stdout == "message 1, 2 bytes, truncated from 3 bytes: 61 62\nmessage 2, 1 byte: 61\n2 messages in 6 bytes\n", stdout
    assert status == 0
    status, stdout, _ = run_weir("check", "--frame", "netstring", "--hex", "31 3a 61 2c 78")
    assert status == 1 and "malformed, from byte 5 on, 1 byte: x\n" in stdout, stdout
    status, stdout, _ = run_weir("check", "--frame", "line", "--max-frame", "2", "--hex", "616263")
    assert status == 1 and stdout.startswith("too long, "), stdout


def test_check_refuses_what_makes_no_sense():
    for arguments, word in ((["--hex", "78 7g"], "'g' at character 5"), (["--hex", "78", "--file", "-"], "exclude"),
                            (["--hex", "78", ":8000"], "no listeners"), (["--hex", "78", "--print", "json"], "json"),
                            (["--hex", "78", "--frame", "bogus"], "bogus")):
        status, stdout, stderr = run_weir("check", *arguments)
        assert (status, stdout) == (2, "") and word in stderr, (arguments, status, stderr)
    status, stdout, stderr = run_weir("check", "--file", "/no/such/file")
    assert (status, stdout) == (1, "") and "--file /no/such/file: " in stderr, stderr
    status, _, stderr = run_weir("check", "--file", "/")
    assert status == 1 and "is a directory" in stderr, stderr


def test_check_streams_a_long_file_in_little_memory():
    """However long the file, and whether a message in it ends or not."""
    megabytes = 48
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    for options, shown in ((["--frame", "length:u24be", "--print", "off"], "%d messages in" % (16 * megabytes)),
                           (["--frame", "line", "--too-long", "skip"], "message 1 skipped, "),
                           (["--frame", "raw", "--print", "off"], "messages in")):
        with weir("check", *options, "--file", "-", stdin=True) as check:
            for _ in range(megabytes):
                check.stdin.write((b"\0\xff\xfd" + bytes(0xfffd)) * 16)
            check.stdin.close()
            assert check.wait() == 0
            text = check.stdout.text()
        assert shown in text and text.endswith(" in %s bytes\n" % format(megabytes << 20, ",")), text[-300:]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < max(before, 32 << 10) or PATIENCE > 1


def test_check_whose_output_cannot_be_written_fails():
    for arguments in (["check"], ["check", "--frame", "line", "--hex", "61 0a"]):
        with open("/dev/full", "wb") as full:
            status, _, stderr = run_weir(*arguments, stdout=full)
        assert (status, stderr.lower()) == (1, "weir: standard output: no space left on device\n"), (arguments, stderr)


def test_bytes_are_shown_in_their_encoding():
    status, stdout, stderr = run_weir("check", "--frame", "line", "--encoding", "gbk", "--hex", "cec2b6c80a")
    assert (status, stderr) == (0, "") and "\u6e29\u5ea6" in stdout, (stdout, stderr)
    status, _, stderr = run_weir("check", "--encoding", "klingon")
    assert status == 2 and "--encoding klingon: " in stderr, stderr


def test_framing_of_what_is_sent_is_the_one_in_effect():
    for options, expected in (((), "raw"), (("--frame", "line"), "same"), (("--frame", "length:u16be,offset=2"), "raw"),
                              (("--frame", "fixed:4"), "raw"), (("--frame", "fixed:4,pad=0"), "same"),
                              (("--frame", "fixed:4", "--send-frame", "line"), "line")):
        status, stdout, stderr = run_weir("check", *options)
        assert status == 0 and re.search(r"send-frame +\S+ +(\S+)", stdout)[1] == expected, (options, stdout, stderr)
