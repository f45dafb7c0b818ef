#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The first promise to a C programmer: `cc examples/echo.c $(./dev flags) -o echo` works, and what it makes echoes.

    check_echo.py ROOT BUILD_FOLDER

The example listens on port 8000, which somebody else may have: the copy tried here listens on a unix socket.
"""
import os
import socket
import subprocess
import sys
import tempfile
import time

DEADLINE = 20


def connect(path, process):
    end = time.monotonic() + DEADLINE
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        try:
            sock.connect(path)
            return sock
        except OSError:
            sock.close()
        assert process.poll() is None, "the example ended with status %s" % process.returncode
        assert time.monotonic() < end, "the example does not listen"
        time.sleep(0.01)


def try_echo(program, path):
    process = subprocess.Popen([program])
    try:
        with connect(path, process) as sock:
            sock.sendall(b"hello\n")
            answer = sock.makefile("rb").readline()
            assert answer == b"hello\n", answer
    finally:
        process.kill()
        process.wait()


def main(root, build):
    with open(os.path.join(root, "examples", "echo.c"), encoding="utf-8") as file:
        source = file.read()
    assert source.count("tcp://127.0.0.1:8000") == 1
    flags = subprocess.run([os.path.join(root, "dev"), "flags"], env=dict(os.environ, WEIR_BUILD=build, CI="1"),
                           stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    with tempfile.TemporaryDirectory(prefix="weir-echo-") as folder:
        path, program = os.path.join(folder, "socket"), os.path.join(folder, "echo")
        with open(os.path.join(folder, "echo.c"), "w", encoding="utf-8") as file:
            file.write(source.replace("tcp://127.0.0.1:8000", "unix:" + path))
        subprocess.run(["cc", file.name, *flags, "-o", program], check=True)
        try_echo(program, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
