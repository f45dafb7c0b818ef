# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
#
# For ./dev: the suites of the tests, and the checks. A suite is compiled, and the checks are run, while the tests of the
# one before it run, which mostly wait.

# What everybody runs, within minutes, and the rest.
first='release check'
rest='heavy asan tsan clang valgrind'

do_test() {
    # shellcheck disable=SC2086 # lists of words
    case ${1:-} in
    '') set -- $first ;;
    rest) set -- $rest ;;
    all) set -- $first $rest ;;
    esac
    for suite in "$@"; do
        case " $first $rest api " in *" $suite "*) ;; *) die "there is no suite $suite; there are: $first $rest api" ;; esac
    done
    case " $* " in
    *" check "*) need build test check ;;
    *) need build test ;;
    esac
    counts=$(mktemp)
    trap 'rm -f "$counts"' EXIT
    trap 'exit 130' INT
    prepare_suites "$@" | run_suites "$@"
    awk '{ passed += $1; failed += $2; skipped += $3 }
        END { printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""
              exit failed > 0 || passed == 0 }' "$counts"
}

# Compiles for the next suites, and checks, while the tests of one run, which mostly wait; prints the name of each suite
# that is ready. A build that fails here is of no account: the suite itself tries again, and reports. On Ctrl-C, a pipe's
# two sides end together.
prepare_suites() {
    nicely='nice -n 10'
    for suite in "$@"; do
        case $suite in
        asan | tsan | clang) "configure_$suite" && compile "$root/build-$suite" ;;
        check) configure_clang && check_all ;;
        esac >/dev/null 2>&1 || true # the others share the folder of the release build, and wait for their turn
        echo "$suite"
    done
}

# Reads what prepare_suites prints.
run_suites() {
    for suite in "$@"; do
        start=$(date +%s)
        read -r _ || die "what the suites need was not prepared to its end"
        "test_$suite" </dev/null
    done
}

# report WHAT...: one suite's result, as tests/report.py prints and counts it.
report() {
    python3 "$root/tests/report.py" --counts "$counts" --seconds "$(($(date +%s) - start))" "$@"
}

# meson_suite NAME FOLDER MESON-TEST-OPTION...: builds and runs tests; what cannot be built has failed.
meson_suite() {
    name=$1 folder=$2
    shift 2
    say "$name ..."
    if compile "$folder" 2>"$folder/compile.log"; then
        rm -f "$folder/meson-logs/$name.json"
        ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
            UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
            ${wrap:-} meson test -C "$folder" --no-rebuild --logbase "$name" "$@" >"$folder/test.log" 2>&1 || true
        report "$name" "$folder/meson-logs/$name.json"
    else
        report "$name" --broken "$folder/compile.log"
    fi
}

# configured SUITE FLAVOUR: configures a build of a flavour, or reports the suite as failed.
configured() {
    "configure_$2" 2>/dev/null || {
        report "$1" --broken "$root/build-$2/setup.log"
        return 1
    }
}

# configure_release_tests UNITS: true or false. A build folder from before there was that option has to be asked otherwise.
configure_release_tests() {
    configure_release
    meson configure "$build" -Dtests=true "-Dunits=$1" >"$build/setup.log" 2>&1 ||
        meson setup --reconfigure "$build" "$root" -Dtests=true "-Dunits=$1" >"$build/setup.log" 2>&1 || {
        cat "$build/setup.log" >&2
        die "cannot configure $build"
    }
}

# Units need a package more than building does.
has_units() {
    if is_present pkg-config:cmocka; then echo true; else echo false; fi
}

test_release() {
    configure_release_tests true
    meson_suite release "$build" --no-suite heavy
}

# What takes long of the release build's tests.
test_heavy() {
    configure_release_tests true
    meson_suite heavy "$build" --suite heavy
}

# A part of release, for ./dev check.
test_api() {
    configure_release_tests true
    meson_suite api "$build" --suite api
}

# configure_sanitized FLAVOUR SANITIZERS. Optimized little, which compiles in two thirds of the time and runs no slower;
# what the compiler then warns of it does not see whole, and the release build's warnings are errors.
configure_sanitized() {
    configure "$root/build-$1" --buildtype=debugoptimized -Doptimization=1 -Dwerror=false "-Db_sanitize=$2" \
        -Dc_args=-fno-omit-frame-pointer
}

configure_asan() {
    configure_sanitized asan address,undefined
}

test_asan() {
    configured asan asan || return 0
    meson_suite asan "$root/build-asan"
}

configure_tsan() {
    configure_sanitized tsan thread
}

# Threads only race when there are several: only what has threads is run, and servers have two workers. setarch: gcc 12's
# TSan cannot place its memory when the kernel spreads addresses as widely as newer ones do ("unexpected memory mapping").
test_tsan() {
    configured tsan tsan || return 0
    (
        if setarch "$(uname -m)" -R true 2>/dev/null; then wrap="setarch $(uname -m) -R"; fi
        export WEIR_TEST_WORKERS=2
        meson_suite tsan "$root/build-tsan" --suite threads
    )
}

configure_clang() {
    compiler=clang
    status=0
    configure "$root/build-clang" --buildtype=release || status=1
    compiler=
    return $status
}

test_clang() {
    configured clang clang || return 0
    meson_suite clang "$root/build-clang" --suite unit --num-processes 6 # the longest mostly wait
}

test_valgrind() {
    build_program
    say "valgrind ..."
    WEIR=$build/weir WEIR_FLAVOUR=valgrind WEIR_TEST_PATIENCE=10 \
        WEIR_WRAP='valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,possible' \
        python3 "$root/tests/flow/run.py" smoke >"$build/valgrind.tap" 2>&1 || true
    report valgrind "$build/valgrind.tap"
}

# ---- Checking ----

do_check() {
    need build test check
    do_test check api
}

# The checks have run while the suite was prepared.
test_check() {
    say "check ..."
    configured check clang || return 0
    report check "$root/build-clang/check.tap"
}

check_all() {
    {
        echo 1..4
        check_with clang-format check_format
        check_with clang-tidy check_tidy
        check_with cppcheck check_cppcheck
        check_with shellcheck check_shell
    } >"$root/build-clang/check.tap"
}

# check_with TOOL FUNCTION: one line of TAP, and behind a failure what the tool said.
check_with() {
    if ! has "$1"; then
        echo "ok - $1 # SKIP $1 is not installed: ./dev setup"
    elif "$2" >"$root/build-clang/check.log" 2>&1; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        sed -e '/^[0-9]* warnings* generated/d' -e 's/^/# /' "$root/build-clang/check.log"
    fi
}

# sources FOLDER...: the tracked files below, as paths from the root; all of them in a tree without git.
sources() {
    git -C "$root" ls-files -- "$@" 2>/dev/null || (cd "$root" && find "$@" -type f)
}

check_format() {
    cd "$root"
    sources lib app include examples tests compare | grep -E '\.(c|h|cpp)$' | xargs clang-format --dry-run -Werror
}

check_tidy() {
    cd "$root"
    sources lib app examples | grep '\.c$' | ${nicely:-} xargs python3 -B tests/tidy.py build-clang
}

check_cppcheck() {
    cd "$root"
    mkdir -p build-clang/cppcheck # what it has found in which file, for as long as that is the same
    ${nicely:-} cppcheck --cppcheck-build-dir=build-clang/cppcheck -j "$(getconf _NPROCESSORS_ONLN)" \
        --enable=warning,performance,portability --std=c11 --inline-suppr --error-exitcode=1 --quiet \
        --suppress=missingIncludeSystem -I include -I lib -I app lib app examples compare
}

check_shell() {
    cd "$root"
    shellcheck -x -a dev && shellcheck .ci/run tests/fresh.sh
}
