# SPDX-License-Identifier: BSD-3-Clause
"""The command line as people meet it: help, wrong usage that names what is wrong, the environment, addresses, and two
servers that want the same one."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

from harness import Server, connect, connect_unix, expect_eof, recv_exactly, recv_until, run_weir, skip, \
    wait_for

ANY = "127.0.0.1:0"


def expect_usage_error(arguments, *words, env=None):
    status, stdout, stderr = run_weir(*arguments, env=env)
    assert (status, stdout) == (2, ""), (arguments, status, stdout, stderr)
    assert stderr.startswith("weir: ") and "\ntry: weir " in stderr, (arguments, stderr)
    for word in words:
        assert word in stderr, (arguments, word, stderr)


def test_help_and_version_go_to_standard_output():
    for arguments, words in ((["--help"], ["serve", "connect", "--version"]), (["-h"], ["serve"]),
                             (["--version"], ["weir 0.", "libevent 2.", "compiled with"]),
                             (["serve", "--help"], ["--listen", "--frame", "--print", "1MiB"]),
                             (["serve", "-h"], ["--listen"]), (["connect", "--help"], ["--frame", "-C", "Exit status"]),
                             (["serve", "--frame", "line", "--help", "--no-such-thing"], ["--listen"])):
        status, stdout, stderr = run_weir(*arguments)
        assert (status, stderr) == (0, ""), (arguments, status, stderr)
        for word in words:
            assert word in stdout, (arguments, word)


def closed_reader():
    """The writing end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb")


CLOSED = ["sh", "-c", 'exec "$@" >&-', "sh"]
IGNORES_SIGPIPE = ["sh", "-c", "trap '' PIPE; exec \"$@\"", "sh"]


def expect_output_error(arguments, reason, **process):
    status, _, stderr = run_weir(*arguments, **process)
    assert (status, stderr.lower()) == (1, "weir: standard output: %s\n" % reason), (arguments, status, stderr)


def test_output_that_cannot_be_written_fails():
    """A full disk, no standard output at all, and a reader that has gone: of each command that prints."""
    with Server("--frame", "line", "--ack", "{seq}", "--store", "s.db") as server, tempfile.TemporaryDirectory() as folder:
        url, store = str(server.port), os.path.join(server.home.name, "s.db")
        ledger = os.path.join(folder, "ledger")
        status, _, stderr = run_weir("verify", "--frame", "line", "-n", "10", "--ledger", ledger, url)
        assert status == 0, stderr
        for arguments in (["--help"], ["--version"], ["help"], ["help", "log"], ["serve", "--help"], ["connect", "--help"],
                          ["check"], ["check", "--frame", "line", "--hex", "61 0a"], ["check", "--file", "/etc/passwd"],
                          ["check", "--store", store], ["log", "--store", store], ["log", "--store", store, "-n", "2"],
                          ["log", "--store", store, "--format", "json"], ["log", "--store", store, "--format", "csv"],
                          ["log", "--store", store, "--follow"],
                          ["bench", "-n", "10", "--frame", "line", url], ["bench", "-n", "10", "--frame", "line", "--json", url],
                          ["verify", "--frame", "line", "-n", "10", "--ledger", ledger + "2", url],
                          ["verify", "--check", "--ledger", ledger, "--store", store]):
            with open("/dev/full", "wb") as full:
                expect_output_error(arguments, "no space left on device", stdout=full)
            expect_output_error(arguments, "bad file descriptor", wrap=CLOSED)
            if arguments[0] == "log":  # whose reader says by it that it has enough
                with closed_reader() as output:
                    assert run_weir(*arguments, stdout=output, wrap=IGNORES_SIGPIPE) == (0, "", "")
                continue
            with closed_reader() as output:
                expect_output_error(arguments, "broken pipe", stdout=output, wrap=IGNORES_SIGPIPE)


def test_what_a_file_system_says_at_the_close_is_told():
    """As one over a network does that learns only then that it is full."""
    if shutil.which("strace") is None:
        skip("no strace")
    with tempfile.NamedTemporaryFile() as file:
        inject = ["strace", "-f", "-o", "/dev/null", "-P", file.name, "-e", "trace=close", "-e", "inject=close:error=EDQUOT"]
        if subprocess.run(inject + ["true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            skip("no strace here")
        # Leaks are looked for by ptrace as well, and two cannot have it.
        expect_output_error(["--version"], "disk quota exceeded", stdout=file, wrap=inject,
                            env={"ASAN_OPTIONS": "detect_leaks=0"})


def test_help_fits_a_terminal():
    for arguments in (["--help"], ["serve", "--help"], ["connect", "--help"]):
        wide = [line for line in run_weir(*arguments)[1].splitlines() if len(line) > 100]
        assert not wide, wide


def test_no_command_shows_help_and_fails():
    status, stdout, stderr = run_weir()
    assert (status, stdout) == (2, "") and "usage: weir COMMAND" in stderr


def test_unknown_names_and_the_nearest():
    expect_usage_error(["serve", "--lisen", ANY], "--lisen", "--listen")
    expect_usage_error(["serve", "--frmae=line"], "--frmae", "--frame")
    expect_usage_error(["serve", "--max-client", "1"], "--max-clients")
    expect_usage_error(["serve", "-x"], "-x")
    expect_usage_error(["srve"], "srve", "serve")
    expect_usage_error(["conect", "8000"], "connect")
    expect_usage_error(["--listen", ANY], "--listen", "weir serve")
    expect_usage_error(["connect", "--reply", "echo", "8000"], "--reply", "weir serve")


def test_words_of_later_versions_are_errors():
    for option in ("--admin", "--server"):
        expect_usage_error(["serve", option, "x", "--listen", ANY], option)
    for command in ("clients", "send", "kick", "tail", "stats"):
        expect_usage_error([command], command, "not in this version")
    for url in ("tls://127.0.0.1:0", "tls://:0"):
        expect_usage_error(["serve", url], url, "not in this version")


def test_bad_values_name_the_option():
    for option, value in (("--frame", ""), ("--send-frame", "length:u8,offset=3"), ("--max-frame", "1MB"), ("--max-frame", "-1"),
                          ("--max-frame", "0"), ("--too-long", "cut"), ("--reply", "ECHO"), ("--reply", "text:\\q"),
                          ("--reply", "text:\\x4"), ("--idle-timeout", "5"), ("--idle-timeout", "0"), ("--idle-timeout", "1 s"),
                          ("--idle-timeout", "99999999999999999999s"), ("--frame-timeout", "-1s"), ("--workers", "two"),
                          ("--workers", "257"), ("--max-clients", "1e3"), ("--print", "xml"), ("--log-level", "loud"),
                          ("--keepalive", "60s"), ("--keepalive", "1ms,1s,1"), ("--unix-mode", "0888"),
                          ("--defer-accept", "1500ms")):
        if (option, value) == ("--idle-timeout", "5"):  # bare numbers are seconds
            continue
        expect_usage_error(["serve", "--listen", ANY, option, value], option)
    expect_usage_error(["serve", "--listen", ANY, "--frame"], "--frame", "SPEC")
    expect_usage_error(["serve", "--listen", ANY, "--reuseport=yes"], "--reuseport")


def numeric_options():
    """Those of weir serve whose value is a number, a size or a time."""
    return re.findall(r"(--[a-z-]+) (?:N|SIZE|TIME|PERCENT)\b", run_weir("serve", "--help")[1])


def test_bounds_are_named_and_hold():
    """What an option calls its most is taken; more is refused in the option's own words."""
    options = numeric_options()
    assert len(options) >= 15, options
    for option in options:
        value = "9223372036854775807"
        for unit in ("", "ms", "%"):
            status, _, stderr = run_weir("serve", "--listen", ANY, option, value + unit)
            if "not a" not in stderr:
                break
        most = re.search(r"^weir: %s \d+(?:ms|%%)?: too large; at most (\S+)$" % option, stderr, re.M)
        assert status == 2 and most, (option, stderr)
        if option != "--workers":  # 256 threads prove nothing
            with Server(option, most[1]) as server:
                server.connect().close()


def test_bad_addresses():
    for url in ("127.0.0.1:70000", "127.0.0.1:x", "[::1", "http://127.0.0.1:0", "unix:", "unix:" + "x" * 108, "tcp://", "host",
                "", "127.0.0.1:-1", "fd:x"):
        expect_usage_error(["serve", "--", url], "address" if url else "")


def test_address_that_cannot_be_bound_is_named_before_anything_else():
    """The good one before it is not announced, and nothing is left of it."""
    for url, words in (("192.0.2.1:0", ["listen tcp://192.0.2.1:0", "cannot assign"]),
                       ("no-such-host.invalid:0", ["no-such-host.invalid"]),
                       ("unix:/no/such/folder/socket", ["listen unix:/no/such/folder/socket", "no such file"]),
                       ("fd:77", ["fd:77", "bad file descriptor"]), ("fd:0", ["fd:0"])):
        status, stdout, stderr = run_weir("serve", "--listen", ANY, "--listen", url)
        assert (status, stdout) == (1, ""), (url, status, stderr)
        assert "listening" not in stderr and len(stderr.splitlines()) == 1, stderr
        for word in words:
            assert word in stderr.lower(), (url, stderr)


def test_environment():
    with Server(env={"WEIR_FRAME": "line", "WEIR_REPLY": "text:env", "WEIR_WORKERS": "1", "WEIR_PRINT": "json",
                     "WEIR_REUSEPORT": "on", "WEIR_MAX_FRAME": ""}) as server, server.connect() as client:
        client.sendall(b"x\n")
        assert recv_until(client, b"\n") == b"env\n"
        server.wait_events("sent")
    with Server("--reply", "text:argument", env={"WEIR_FRAME": "line", "WEIR_REPLY": "text:env"}) as server, \
            server.connect() as client:
        client.sendall(b"x\n")
        assert recv_until(client, b"\n") == b"argument\n"
    expect_usage_error(["serve", "--listen", ANY], "WEIR_MAX_FRAME", "huge", env={"WEIR_MAX_FRAME": "huge"})
    expect_usage_error(["serve", "--listen", ANY], "WEIR_REUSEPORT", env={"WEIR_REUSEPORT": "1"})


def expect_port_taken(port, *options):
    status, stdout, stderr = run_weir("serve", "--listen", "127.0.0.1:%d" % port, *options)
    assert (status, stdout) == (1, ""), (status, stderr)
    assert stderr == "weir: listen tcp://127.0.0.1:%d: address already in use\n" % port, stderr


def test_second_server_on_the_port_fails_and_the_first_goes_on():
    for options in ([], ["--reuseport"]):
        with Server("--frame", "line", "--reply", "echo", "--workers", "2", *options) as server, server.connect() as client:
            for others in ([], ["--reuseport"]):
                expect_port_taken(server.port, *others)
            for _ in range(20):
                with server.connect() as other:
                    for sock in (client, other):
                        sock.sendall(b"still here\n")
                        assert recv_until(sock, b"\n") == b"still here\n"


def test_reuseport_serves_every_client_once():
    with Server("--reuseport", "--workers", "4", "--frame", "line", "--reply", "echo", "--print", "json") as server:
        clients = [server.connect() for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        for number, client in enumerate(clients):
            assert recv_until(client, b"\n") == b"%d\n" % number
            client.close()
        assert sorted(event["conn"] for event in server.wait_events("close", 200)) == list(range(1, 201))


def test_deferred_accept_waits_for_the_first_bytes():
    with Server("--defer-accept", "1m", "--frame", "line", "--reply", "echo", "--print", "json") as server, \
            server.connect() as silent, server.connect() as client:
        client.sendall(b"x\n")
        assert recv_until(client, b"\n") == b"x\n"
        opened = server.wait_events("open")
        assert [event["peer"] for event in opened] == ["%s:%d" % client.getsockname()], (opened, silent)


def test_port_is_free_again_at_once():
    """Connections of the last run that linger in the kernel are no reason to fail."""
    with Server("--frame", "line", "--reply", "echo") as server, server.connect() as client:
        client.sendall(b"x\n")
        recv_until(client, b"\n")
        port = server.port
        server.begin_stop()
        expect_eof(client)  # the server ends first: its side is in TIME_WAIT
        client.close()
        assert server.wait() == 0
    with Server("--listen", "127.0.0.1:%d" % port) as server:
        server.connect().close()


def test_bare_addresses_and_every_address():
    with Server("--frame", "line", "--reply", "echo", "0", "--listen", ":0", listens=2) as server:
        assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", server.urls[0]), server.urls
        hosts = ["127.0.0.1", "127.0.0.2"] + (["::1"] if has_ipv6() else [])
        for host in hosts:
            with connect(server.ports[1], host=host) as client:
                client.sendall(b"x\n")
                assert recv_until(client, b"\n") == b"x\n"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
            return True
    except OSError:
        return False


def test_ipv6():
    if not has_ipv6():
        skip("no IPv6 here")
    with Server("--print", "json", "--listen", "[::1]:0") as server, connect(server.port, host="::1") as client:
        assert re.fullmatch(r"tcp://\[::1\]:\d+", server.urls[0]), server.urls
        opened = server.wait_events("open")[0]
        assert opened["peer"] == "[::1]:%d" % client.getsockname()[1], opened


def test_unix_socket():
    """Its mode is as asked, a stale one is replaced, a live one or another kind of file never is."""
    with Server("--listen", ANY) as keeper:
        path = os.path.join(keeper.home.name, "socket")
        url = "unix:" + path
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stale.bind(path)
        stale.close()
        with Server("--listen", url, "--unix-mode", "0640", "--reply", "echo", "--print", "json") as server:
            assert server.urls == [url]
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
            with connect_unix(path) as client:
                client.sendall(b"x")
                assert recv_exactly(client, 1) == b"x"
                status, _, stderr = run_weir("serve", "--listen", url)
                assert (status, stderr) == (1, "weir: listen %s: address already in use\n" % url), (status, stderr)
                client.sendall(b"y")
                assert recv_exactly(client, 1) == b"y"
            assert server.wait_events("open")[0]["listener"] == url
        assert not os.path.exists(path)
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        assert run_weir("serve", "--listen", url)[0] == 1
        with open(path, encoding="ascii") as file:
            assert file.read() == "precious"


def test_inherited_socket():
    """fd:N, as a service manager hands one over."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        with Server("--listen", "fd:0", "--reply", "echo", stdin=sock) as server:
            assert server.port == sock.getsockname()[1]
            with server.connect() as client:
                client.sendall(b"x")
                assert recv_exactly(client, 1) == b"x"


def test_closed_standard_descriptors_do_not_become_sockets():
    """Without them a client's socket could be number 1, and be printed to."""
    path = "socket"
    with Server("--listen", "unix:" + path, "--frame", "line", "--reply", "echo", "--print", "json", listens=0,
                wrap=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]) as server:
        client = connect_when_ready(os.path.join(server.home.name, path))
        client.sendall(b"x\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"x\n"
        expect_eof(client)


def connect_when_ready(path):
    def attempt():
        try:
            return connect_unix(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
    return wait_for(attempt, "a server on " + path)


def test_nothing_is_read_from_standard_input():
    with Server("--listen", ANY, stdin=True) as server, server.connect() as client:
        server.stdin.write(b"quit\n")
        server.stdin.close()
        client.sendall(b"x")
        assert "stopping" not in server.stderr.text()


def test_log_level():
    for level, expected in (("error", []), ("warning", ["speaks HTTP"]), ("debug", ["speaks HTTP", "debug: #1 arriving -> open"])):
        with Server("--log-level", level, "--reply", "echo") as server, server.connect() as client:
            client.sendall(b"GET / HTTP/1.0\r\n")
            recv_until(client, b"\n")
        for words in ("speaks HTTP", "debug: #1 arriving -> open"):
            assert (words in server.stderr.text()) == (words in expected), (level, server.stderr.text())
