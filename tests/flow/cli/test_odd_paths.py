# SPDX-License-Identifier: BSD-3-Clause
"""Paths and addresses that hold what would steer a terminal, begin a line or hide the text beside it: wherever they are
printed it is shown, not obeyed. Ordinary ones are printed as they are."""
import json
import os
import re
import socket

from harness import Server, connect_unix, recv_exactly, run_weir, weir

ODD = b"x\x1b[31m\n\x7f\x9b\xc2\x9b\xe2\x80\xae\\"
SHOWN = r"x\x1b[31m\x0a\x7f\x9b\xc2\x9b\xe2\x80\xae" + "\\"
PLAIN = "a b\\\u6e29\u00e9"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffd]")


def expect_safe(text, shown=SHOWN):
    """And that the path is among it."""
    assert not UNSAFE.search(text), text
    assert shown in text, text


def odd(path):
    return os.fsdecode(ODD) + path


def exchange(path):
    with connect_unix(path) as client:
        client.sendall(b"one\n")
        client.shutdown(socket.SHUT_WR)
        while client.recv(100):
            pass


def test_server_announces_odd_paths():
    for name, shown in ((odd(""), SHOWN), (PLAIN, PLAIN)):
        with Server("--listen", "unix:%s.1" % name, "--listen", "unix:%s.2" % name, "--frame", "line", "--ack", "{seq}",
                    "--store", name + ".db", "--print", "text", "--log-level", "debug") as server:
            exchange(os.path.join(server.home.name, name + ".2"))
            server.wait_stdout("peer closed")
            server.wait_stderr("room for")
            assert server.stop() == 0
        lines = server.stderr.text().splitlines()
        for number in "12":
            assert "listening on unix:%s.%s" % (shown, number) in lines, lines
        assert "messages are stored in %s/%s.db" % (server.home.name, shown) in lines, lines
        expect_safe(server.stderr.text(), shown)
        expect_safe(server.stdout.text(), shown + ".2")


def test_json_has_odd_paths_on_one_line():
    with weir("serve", "unix:" + odd(".s"), "--store", odd(".db"), "--log-format", "json") as server:
        server.wait_stderr("room for")
        assert server.stop() == 0
    text = server.stderr.text()
    assert not UNSAFE.search(text), text
    said = [json.loads(line)["text"] for line in text.splitlines()]
    assert "listening on unix:%s.s" % SHOWN in said, said
    stored = os.fsdecode(b"/x\x1b[31m\n\x7f")
    assert [text for text in said if text.startswith("messages are stored in /") and stored in text], said


def test_service_manager_is_not_told_a_second_thing():
    """Each line of what it is told is a setting of its own: a store that is away must not add one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0weir-odd-paths-%d" % os.getpid())
        manager.settimeout(20)
        name = "s\nMAINPID=1\n.db"
        with Server("--frame", "line", "--ack", "{seq}", "--store", name,
                    env={"NOTIFY_SOCKET": "@weir-odd-paths-%d" % os.getpid()}) as server, server.connect() as client:
            client.sendall(b"one\n")
            assert recv_exactly(client, 2) == b"1\n"
            os.rename(os.path.join(server.home.name, name), os.path.join(server.home.name, "away"))
            client.sendall(b"two\n")
            said = b""
            while not said.startswith(b"STATUS="):
                said = manager.recv(4096)
            assert b"\n" not in said and b"MAINPID" in said, said
            os.rename(os.path.join(server.home.name, "away"), os.path.join(server.home.name, name))
            server.wait_stderr("works again")


def test_other_commands_show_odd_paths():
    with Server("--listen", "unix:" + odd(".s"), "--frame", "line", "--ack", "{seq}", "--store", odd(".db")) as server:
        folder = server.home.name
        url, store = "unix:%s/%s" % (folder, odd(".s")), os.path.join(folder, odd(".db"))
        ledger = os.path.join(folder, odd(".ledger"))
        for arguments in (["bench", "--frame", "line", "-n", "10", url],
                          ["bench", "--frame", "line", "-n", "10", "--json", url],
                          ["verify", "--frame", "line", "-n", "10", "--ledger", ledger, url]):
            status, stdout, stderr = run_weir(*arguments)
            assert (status, stderr) == (0, ""), (arguments, stderr)
            assert not UNSAFE.search(stdout), stdout
        assert "x\x1b[31m" in json.loads(run_weir("bench", "--frame", "line", "-n", "1", "--json", url)[1])["asked"]["url"]
        with weir("connect", url, terminal=True) as client:
            client.wait_stdout(re.escape("connected to unix:%s/%s" % (folder, SHOWN)))
        server.wait_stderr("room for")
        assert run_weir("log", "--store", store, "--format", "json")[0] == 0
        expect_safe(run_weir("serve", url, "--store", "none")[2])
        expect_safe(run_weir("serve", "127.0.0.1:0", "--store", store)[2])
    away = "unix:" + odd(".away")
    for arguments in (["connect", away], ["bench", away], ["verify", "--frame", "line", "--ledger", "l", away],
                      ["log", "--store", odd(".away")], ["check", "--store", odd(".away")],
                      ["check", "--file", odd(".away")], ["check", "--config", odd(".away")],
                      ["serve", "--config", odd(".away")], ["serve", "unix:no/" + odd("")],
                      ["serve", "127.0.0.1:0", "--store", "/proc/no/" + odd("")],
                      ["verify", "--check", "--ledger", odd(".away"), "--store", odd(".away")],
                      ["verify", "--frame", "line", "--ledger", "no/" + odd(""), "1"],
                      ["bench", "--file", odd(".away"), "1"], ["connect", odd("")], ["serve", odd("")], [odd("")],
                      ["serve", "--frame", odd("")], ["serve", "--" + odd("")], ["serve", "--reply", odd("")],
                      ["serve", "--encoding", odd("")], ["log", "--since", odd("")], ["log", "--client", odd("")]):
        status, stdout, stderr = run_weir(*arguments)
        assert status != 0 and stderr, arguments
        assert not UNSAFE.search(stdout + stderr), (arguments, stdout, stderr)


def test_damage_in_a_store_of_an_odd_name():
    with Server("--frame", "line", "--ack", "{seq}", "--store", odd(".db")) as server:
        with server.connect() as client:
            client.sendall(b"one\n")
            assert recv_exactly(client, 2) == b"1\n"
            server.kill()
        path = os.path.join(server.home.name, odd(".db"))
        with open(path + "-wal", "r+b") as file:
            file.write(b"\0" * 32)
        for arguments in (["log", "--store", path], ["check", "--store", path],
                          ["serve", "127.0.0.1:0", "--store", path], ["check", "--store", path, "--accept-loss"]):
            _, stdout, stderr = run_weir(*arguments)
            expect_safe(stdout + stderr)
