#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each public header compiles alone, as strict C11 and as strict C++17, under gcc and clang. Prints TAP.

    check_headers.py INCLUDE_FOLDER
"""
import os
import shutil
import subprocess
import sys

from headers import headers

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wundef", "-Werror"]
COMPILERS = [("gcc", "c", "c11"), ("clang", "c", "c11"), ("g++", "c++", "c++17"), ("clang++", "c++", "c++17")]


# Every config struct made with its macro, as a program would.
USE = {
    "frame.h": "int use(void); int use(void) { struct weir_codec made = WEIR_CODEC(); return made.size > 0; }\n",
    "weir.h": "int use(void); int use(void) { struct weir_config config = WEIR_CONFIG(); struct weir_filter filter ="
              " WEIR_FILTER(); struct weir_service service = WEIR_SERVICE(); service.frame = \"line\";"
              " return config.size + filter.size + service.size > 0; }\n",
}


def compile_alone(include, header, compiler, language, standard):
    """What the compiler says about a file that includes the header twice and is otherwise empty."""
    source = "#include <weir/%s>\n#include <weir/%s>\nextern int nothing;\n%s" % (header, header, USE.get(header, ""))
    command = [compiler, "-x", language, "-std=" + standard, *WARNINGS, "-I", include, "-fsyntax-only", "-"]
    return subprocess.run(command, input=source, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)


def main(include):
    there = [compiler for compiler in COMPILERS if shutil.which(compiler[0])]
    absent = [compiler[0] for compiler in COMPILERS if compiler not in there]
    cases = [(os.path.basename(path), compiler) for path, _ in headers(include) for compiler in there]
    failed = 0
    print("1..%d" % (len(cases) + len(absent)))
    for number, (header, (compiler, language, standard)) in enumerate(cases, 1):
        title = "%d - %s as %s under %s" % (number, header, standard, compiler)
        done = compile_alone(include, header, compiler, language, standard)
        failed += done.returncode != 0
        print("ok " + title if done.returncode == 0 else "not ok " + title)
        for line in done.stdout.splitlines():
            print("# " + line)
    for number, name in enumerate(absent, len(cases) + 1):
        package = name.replace("clang++", "clang")
        print("ok %d - all under %s # SKIP it is not installed: apt-get install %s" % (number, name, package))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
