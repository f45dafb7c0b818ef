#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# fresh.sh CLONE [SUITE...]: what the README promises, on systems that have nothing but Debian's own minimum: a clone, the
# first message, and ./dev test. First as root, who installs packages; then as a user without any rights, for whom they
# are unpacked below .deps/. Says how long each took. Needs root, debootstrap, and a mirror, which it reads from apt's own
# configuration.
#
# It runs in namespaces of its own: whatever it mounts and starts ends with it, however it ends. The network is the
# machine's, because packages are fetched; servers listen on loopback and free ports.
set -eu

clone=$1
shift
work=${WEIR_FRESH:-}
deadline=900

die() {
    printf 'fresh: %s\n' "$*" >&2
    exit 1
}

if [ -z "$work" ]; then
    [ "$(id -u)" -eq 0 ] || die "makes systems and mounts them, which takes root: sudo ./dev fresh"
    command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap"
    WEIR_FRESH=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-fresh-XXXXXX")
    export WEIR_FRESH
    status=0
    unshare --mount --pid --fork --kill-child sh "$0" "$clone" "$@" || status=$?
    if [ $status -eq 0 ]; then rm -rf "$WEIR_FRESH"; else echo "what there is of it: $WEIR_FRESH" >&2; fi
    exit $status
fi

# ---- A system ----

# The archives of this machine's release, in apt's order. Of several that are listed not all may answer.
mirrors() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^$codename main //p" | awk '!seen[$0]++'
}

make_base() {
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    for mirror in $(mirrors); do
        rm -rf "$work/base"
        if debootstrap --variant=minbase "$codename" "$work/base" "$mirror" >"$work/base.log" 2>&1; then return 0; fi
    done
    tail -n 20 "$work/base.log" >&2
    die "no mirror in apt's configuration gave a system; is there a network?"
}

# make_system WHO: a system of his own, that fetches packages from where this machine does. In his home is what a clone has:
# what is committed.
make_system() {
    system=$work/$1
    cp -a "$work/base" "$system"
    cp /etc/resolv.conf /etc/hosts "$system/etc/"
    rm -f "$system/etc/apt/sources.list"
    for part in sources.list sources.list.d trusted.gpg.d keyrings auth.conf.d; do
        [ ! -e "/etc/apt/$part" ] || cp -r "/etc/apt/$part" "$system/etc/apt/"
    done
    cp -r /usr/share/keyrings "$system/usr/share/"
    apt-config dump Acquire::http Acquire::https >"$system/etc/apt/apt.conf.d/90machine"
    mount -t proc proc "$system/proc"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$system/dev/pts"
    mount -t tmpfs tmpfs "$system/dev/shm"
    [ "$1" = root ] || chroot "$system" useradd -m -s /bin/sh "$1"
    home=$(chroot "$system" getent passwd "$1" | cut -d : -f 6)
    mkdir "$system$home/weir"
    git -C "$clone" -c "safe.directory=$clone" archive HEAD | tar -x -C "$system$home/weir" # root need not own the clone
    chroot "$system" chown -R "$1" "$home/weir"
}

# as WHO COMMAND: what he types in the clone.
as() {
    chroot "$work/$1" su - "$1" -c "cd weir && $2" </dev/null
}

# ---- What is tried ----

# wait_for FILE PATTERN PID: until the pattern is in the file, the process has ended or it is too late.
wait_for() {
    end=$(($(date +%s) + deadline))
    until grep -q -e "$2" "$1"; do
        if ! kill -0 "$3" 2>/dev/null || [ "$(date +%s)" -gt $end ]; then
            cat "$1" >&2
            die "waited in vain for $2"
        fi
        sleep 0.1
    done
}

# How long apt says that it downloaded, in seconds; without a word it is 0.
downloaded() {
    sed -n 's/^Fetched .* in \(\([0-9]*\)min \)\{0,1\}\([0-9]*\)s .*/\2 \3/p' "$1" |
        awk '{ seconds += NF == 2 ? $1 * 60 + $2 : $1 } END { print seconds + 0 }'
}

# first_message WHO: from the clone to a client's line on the server's screen.
first_message() {
    log=$work/$1.log
    start=$(date +%s)
    as "$1" './dev -y run serve --listen 0 --frame line --print text' >"$log" 2>&1 &
    server=$!
    wait_for "$log" '^listening on ' $server
    port=$(sed -n 's|^listening on tcp://127.0.0.1:||p' "$log")
    as "$1" "echo hello | ./dev -y run connect $port" 2>>"$log"
    wait_for "$log" '#1 hello$' $server
    seconds=$(($(date +%s) - start))
    echo "$1: $seconds s from the clone to the first message, $(downloaded "$log") of them downloads"
    kill $server
}

# all_tests WHO [SUITE...]
all_tests() {
    who=$1
    shift
    start=$(date +%s)
    status=0
    as "$who" "./dev test -y $*" >"$work/$who-test.log" 2>&1 || status=$?
    echo "$who: ./dev test $* took $(($(date +%s) - start)) s, $(downloaded "$work/$who-test.log") of them downloads"
    grep -e '^FAILED' -e '^skipped' -e ' passed, ' "$work/$who-test.log" | sed 's/^/    /' || true
    [ $status -eq 0 ] || die "$who: ./dev test failed; all it said: $work/$who-test.log"
}

make_base
for who in root user; do
    make_system $who
    first_message $who
    all_tests $who "$@"
done
