# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
#
# For ./dev: the packages that each purpose needs, and how they come: with apt-get as root, with sudo, or else unpacked
# below .deps/, where nothing is installed.

deps=$root/.deps
triplet=$(uname -m)-linux-gnu

# The one list of packages: what for, how its presence shows, and what Debian calls it. Packages to `build` are enough
# for ./dev run; `check` is optional, its tests are skipped without it.
packages() {
    cat <<'END'
build command:cc                gcc
build header:stdio.h            libc6-dev
build command:meson             meson
build command:ninja             ninja-build
build command:pkg-config        pkg-config
build pkg-config:libevent_core  libevent-dev
build pkg-config:libedit        libedit-dev
build pkg-config:yaml-0.1       libyaml-dev
build pkg-config:sqlite3        libsqlite3-dev
build pkg-config:zlib           zlib1g-dev
test  pkg-config:cmocka         libcmocka-dev
test  command:python3           python3
test  command:clang             clang
test  command:g++               g++
test  command:jq                jq
test  command:nm                binutils
test  command:ss                iproute2
test  command:setarch           util-linux
test  command:strace            strace
test  command:faketime          faketime
test  command:valgrind          valgrind
check command:clang-format      clang-format
check command:clang-tidy        clang-tidy
check command:cppcheck          cppcheck
check command:shellcheck        shellcheck
fuzz  command:clang             clang
fuzz  clang:fuzzer              libclang-rt-dev
bench command:python3           python3
bench command:taskset           util-linux
bench command:strace            strace
bench command:valgrind          valgrind
bench pkg-config:liburing       liburing-dev
bench pkg-config:libuv          libuv1-dev
bench header:ev.h               libev-dev
bench command:g++               g++
bench c++-header:asio.hpp       libasio-dev
peer  command:rsyslogd          rsyslog
peer  command:redis-server      redis-server
peer  command:nats-server       nats-server
count command:python3           python3
count command:valgrind          valgrind
END
}

has() {
    command -v "$1" >/dev/null 2>&1
}

is_present() {
    case $1 in
    command:*) has "${1#command:}" ;;
    pkg-config:*) has pkg-config && pkg-config --exists "${1#pkg-config:}" ;;
    clang:*) has clang && echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang "-fsanitize=${1#clang:}" -o /dev/null -x c - 2>/dev/null ;;
    header:*) has cc && echo "#include <${1#header:}>" | cc -E -o /dev/null -x c - 2>/dev/null ;;
    c++-header:*) has g++ && echo "#include <${1#c++-header:}>" | g++ -DASIO_STANDALONE -E -o /dev/null -x c++ - 2>/dev/null ;;
    esac
}

# Names the packages that are missing for the given purposes.
missing() {
    packages | while read -r purpose sign package; do
        case " $* " in *" $purpose "*) is_present "$sign" || printf '%s ' "$package" ;; esac
    done
}

# Sees to it that what the given purposes need is there, or ends with a sentence that names it.
need() {
    use_deps
    wanted=$(missing "$@")
    [ -z "$wanted" ] || install_packages "$wanted"
    use_deps
    wanted=$(missing "$@")
    [ -z "$wanted" ] || die "still missing: ${wanted% }; root gets it with: apt-get install $wanted"
}

# The same without installing anything: a server that is installed is started.
need_unpacked() {
    use_deps
    PATH="$PATH:/usr/sbin"
    wanted=$(missing "$@")
    [ -z "$wanted" ] || install_unpacked "$wanted"
    use_deps
}

install_packages() {
    has apt-get || die "missing: $1 (as Debian calls them); install them by hand: there is no apt-get here"
    if [ "$(id -u)" -eq 0 ]; then
        confirm "apt-get install $1"
        apt_install env -- "$1"
    elif has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        confirm "sudo apt-get install $1"
        if sudo -n true 2>/dev/null || sudo -v; then apt_install sudo -- "$1"; else install_unpacked "$1"; fi
    else
        install_unpacked "$1"
    fi
}

install_unpacked() {
    confirm "download into .deps/, without installing: $1"
    unpack_packages "$1"
}

confirm() {
    say "dev: $1"
    if [ -n "$yes" ] || ! [ -t 0 ] || ! [ -t 2 ]; then return; fi
    printf 'Go on? [Y/n] ' >&2
    read -r answer
    case $answer in '' | [Yy]*) ;; *) die "nothing was installed" ;; esac
}

# apt_install PREFIX -- "PACKAGES". The lists are fetched first: old ones still offer what has been mended since, libevent's
# security fixes among it.
apt_install() {
    apt_quietly "$1" update || say "dev: the package lists could not be fetched; going on with those that are here"
    # shellcheck disable=SC2086 # a list of words
    apt_try "$1" $3 || die "apt-get could not install $3"
}

apt_try() {
    prefix=$1
    shift
    apt_quietly "$prefix" install -y --no-install-recommends "$@"
}

apt_quietly() {
    prefix=$1
    shift
    "$prefix" DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >&2
}

# Without any rights: apt works out what is missing and downloads it, and it is unpacked below .deps/.
unpack_packages() {
    mkdir -p "$deps/apt/state/lists/partial" "$deps/apt/cache/archives/partial" "$deps/root"
    # shellcheck disable=SC2086 # a list of words
    { apt_download update && apt_download install $1; } ||
        apt_download -o Dir::State::lists=/var/lib/apt/lists install $1 ||
        die "could not download $1; root gets it with: apt-get install $1"
    for archive in "$deps"/apt/cache/archives/*.deb; do
        [ -e "$archive" ] || continue
        case ${archive##*/} in libc6_*) continue ;; esac # the machine has one, and no program runs on parts of two
        dpkg-deb -x "$archive" "$deps/root"
    done
    mend_deps
}

apt_download() {
    apt-get -q -y --no-install-recommends --download-only -o Debug::NoLocking=1 -o Dir::State="$deps/apt/state" \
        -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$deps/apt/cache" "$@" </dev/null >&2
}

# What was made for /usr now lies below .deps/: files that name /usr are told so, links to libraries that the machine
# already has are pointed there, and `cc` is made, which a package's installation would make. No package brings every
# folder, and a server of one file brings hardly any.
mend_deps() {
    usr=$deps/root/usr
    mkdir -p "$usr/bin" "$usr/lib"
    find "$usr" -name '*.pc' -exec sed -i "s|^prefix=/usr\$|prefix=$usr|" {} +
    find "$usr/lib" -type f -name 'lib*.so' -size -4k -exec sed -i "s|\([ (]\)/usr/lib/|\1$usr/lib/|g" {} +
    find "$usr/lib" -type l -name 'lib*.so' | while read -r link; do
        [ -e "$link" ] || ln -sf "/usr/lib/$triplet/$(basename "$(readlink "$link")")" "$link"
    done
    if [ -e "$usr/bin/gcc" ] && ! has cc; then ln -sf gcc "$usr/bin/cc"; fi
    # A compiler looks for its parts beside itself; some may be there already, and clang has no other place for those of
    # the C library.
    if [ -d "$usr/lib/gcc" ] && [ -d /usr/lib/gcc ]; then cp -rsn /usr/lib/gcc/. "$usr/lib/gcc/"; fi
    for folder in "$usr/lib/gcc/$triplet"/*/; do
        [ -d "$folder" ] || continue
        [ ! -e "$usr/lib/$triplet/crti.o" ] || ln -sf "$usr/lib/$triplet"/*crt?.o "$folder"
    done
    # cppcheck looks for its own files in /usr and beside itself; valgrind elsewhere than in /usr by name only.
    [ ! -d "$usr/lib/$triplet/cppcheck/cfg" ] || ln -sfn "../lib/$triplet/cppcheck/cfg" "$usr/bin/cfg"
    if [ -d "$usr/lib/debug/.build-id" ]; then
        mkdir -p "$usr/lib/debug/lib/$triplet" "$usr/lib/debug/usr/lib/$triplet"
        for folder in "$usr/lib/debug/lib/$triplet" "$usr/lib/debug/usr/lib/$triplet"; do
            find "$usr/lib/debug/.build-id" -name '*.debug' -exec ln -sf -t "$folder" {} +
        done
    fi
    [ -e /usr/bin/python3 ] ||
        find "$usr/bin" -type f -size -64k -exec sed -i "1s|^#! */usr/bin/python3|#!$usr/bin/python3|" {} +
}

# Makes what is below .deps/ usable, when there is anything.
use_deps() {
    [ -d "$deps/root/usr" ] || return 0
    usr=$deps/root/usr
    if [ -d "$usr/libexec/valgrind" ]; then # it may have come just now
        export VALGRIND_LIB="$usr/libexec/valgrind" VALGRIND_OPTS="--extra-debuginfo-path=$usr/lib/debug"
    fi
    if [ -d "$usr/lib/$triplet/rsyslog" ]; then export RSYSLOG_MODDIR="$usr/lib/$triplet/rsyslog"; fi
    [ -z "${deps_in_use:-}" ] || return 0
    deps_in_use=yes
    export PATH="$usr/bin:$usr/sbin:$deps/root/bin:$PATH"
    export PKG_CONFIG_PATH="$usr/lib/$triplet/pkgconfig:$usr/share/pkgconfig:${PKG_CONFIG_PATH:-}"
    export PYTHONPATH="$usr/lib/python3/dist-packages:${PYTHONPATH:-}"
    export LD_LIBRARY_PATH="$usr/lib/$triplet:$deps/root/lib/$triplet:${LD_LIBRARY_PATH:-}"
    export LDFLAGS="-Wl,-rpath,$usr/lib/$triplet ${LDFLAGS:-}" # for build/weir, called directly
    # For a compiler that nobody told: one that came along looks in /usr, and so does the machine's own when somebody
    # calls it as the tutorial does, with -levent and nothing else.
    export C_INCLUDE_PATH="$usr/include:$usr/include/$triplet${C_INCLUDE_PATH:+:$C_INCLUDE_PATH}"
    export CPLUS_INCLUDE_PATH="$C_INCLUDE_PATH"
    export LIBRARY_PATH="$usr/lib/$triplet${LIBRARY_PATH:+:$LIBRARY_PATH}"
}
