#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What `./dev` makes of packages that it unpacks below .deps/: one may bring any of the folders, or none.

    check_unpacking.py ROOT
"""
import os
import subprocess
import sys
import tempfile

ROOT = sys.argv[1]
sys.path.insert(0, os.path.join(ROOT, "tests", "documents"))

from tap import run as run_checks

TRIPLET = os.uname().machine + "-linux-gnu"


def mend(files, program="mend_deps"):
    """Runs a function of packages.sh over a folder with these files, {path: text}; the files and links then."""
    with tempfile.TemporaryDirectory() as deps:
        for path, text in files.items():
            os.makedirs(os.path.join(deps, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(deps, path), "w", encoding="utf-8") as file:
                file.write(text)
        script = 'set -eu\nroot=$1\n. "$root/packaging/packages.sh"\ndeps=$2\napt_download() { :; }\n' + program
        done = subprocess.run(["sh", "-c", script, "sh", ROOT, deps], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), done
        return {os.path.relpath(os.path.join(folder, name), deps) for folder, folders, names in os.walk(deps)
                for name in names + folders if name in names or os.path.islink(os.path.join(folder, name))}


def a_package_may_bring_no_folder_at_all():
    assert mend({}) == set()


def a_package_may_bring_a_server_and_nothing_else():
    assert mend({"root/usr/sbin/nats-server": ""}) == {"root/usr/sbin/nats-server"}


def a_package_may_bring_any_one_folder():
    for path in ("etc/rc", "usr/bin/program", "usr/include/x.h", "usr/lib/libx.so", "usr/share/doc/x",
                 "usr/lib/%s/crti.o" % TRIPLET, "usr/lib/%s/pkgconfig/x.pc" % TRIPLET):
        assert mend({"root/" + path: "x\n"}) == {"root/" + path}, path
    assert "root/usr/bin/cfg" in mend({"root/usr/lib/%s/cppcheck/cfg/std.cfg" % TRIPLET: ""})


def debug_symbols_are_found_where_valgrind_looks():
    files = mend({"root/usr/lib/debug/.build-id/ab/cd.debug": ""})
    assert "root/usr/lib/debug/lib/%s/cd.debug" % TRIPLET in files, files
    files = mend({"root/usr/lib/debug/.build-id/ab/readme": ""})
    assert files == {"root/usr/lib/debug/.build-id/ab/readme"}, files


def nothing_may_have_been_downloaded():
    mend({}, "unpack_packages nothing")


sys.exit(run_checks([
    a_package_may_bring_no_folder_at_all, a_package_may_bring_a_server_and_nothing_else,
    a_package_may_bring_any_one_folder, debug_symbols_are_found_where_valgrind_looks, nothing_may_have_been_downloaded]))
