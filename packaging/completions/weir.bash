# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Completions of weir for bash, made from its option table by ./dev documents: change that, not this.

_weir() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' is_file=''
    COMPREPLY=()
    # For bash the = of --name=VALUE is a word of its own.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'serve connect bench verify check log --help --version' -- "$cur")
        return
    fi
    case ${COMP_WORDS[1]} in
    serve)
        case $prev in
        --listen) ;;
        --frame) words=' raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --send-frame) words=' same raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --max-frame) ;;
        --too-long) words=' close skip truncate' ;;
        --reply) words=' none echo text:' ;;
        --ack) ;;
        --ack-when) words=' stored received' ;;
        --idle-timeout) words=' off' ;;
        --frame-timeout) words=' off' ;;
        --write-timeout) words=' off' ;;
        --answer-timeout) words=' off' ;;
        --linger-timeout) words=' off' ;;
        --linger-limit) ;;
        --arrive-timeout) words=' off' ;;
        --keepalive) words=' off' ;;
        --output-limit) ;;
        --wake-bytes) ;;
        --wake-messages) ;;
        --wake-accepts) ;;
        --backlog) ;;
        --defer-accept) words=' off' ;;
        --unix-mode) ;;
        --workers) ;;
        --max-clients) ;;
        --max-memory) ;;
        --drain-timeout) words=' off' ;;
        --store) ;;
        --store-queue) ;;
        --keep-for) words=' off' ;;
        --keep-bytes) words=' off' ;;
        --keep-free) words=' off' ;;
        --print) words=' auto off text hex both json' ;;
        --encoding) ;;
        --log-level) words=' error warning info debug' ;;
        --log-format) words=' text json' ;;
        --config) is_file=yes ;;
        *) words=' --listen --frame --send-frame --max-frame --too-long --reply --ack --ack-when --ack-truncated --store-replies --idle-timeout --frame-timeout --write-timeout --answer-timeout --linger-timeout --linger-limit --arrive-timeout --keepalive --output-limit --wake-bytes --wake-messages --wake-accepts --backlog --reuseport --defer-accept --unix-mode --workers --max-clients --max-memory --drain-timeout --store --store-on-network --store-queue --keep-for --keep-bytes --keep-free --print --encoding --log-level --log-format --config --help -h' ;;
        esac
        ;;
    connect)
        case $prev in
        --frame) words=' raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --send-frame) words=' same raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --encoding) ;;
        --print) words=' auto raw text hex both off' ;;
        --timeout) words=' off' ;;
        --connect-timeout) words=' off' ;;
        *) words=' --frame --send-frame --encoding --crlf -C --hex --print --timeout --connect-timeout --help -h' ;;
        esac
        ;;
    bench)
        case $prev in
        --frame) words=' raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --send-frame) words=' same raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --max-frame) ;;
        --connect-timeout) words=' off' ;;
        -c | --connections) ;;
        -d | --duration) ;;
        -n | --messages) ;;
        -s | --size) ;;
        --file) is_file=yes ;;
        -p | --depth) ;;
        --rate) words=' off' ;;
        --ramp) words=' off' ;;
        --lifetime) words=' off' ;;
        --lifetime-messages) words=' off' ;;
        --from) ;;
        --fail-if) ;;
        --misbehave) ;;
        --seed) ;;
        --workers) ;;
        *) words=' --frame --send-frame --max-frame --connect-timeout --connections -c --duration -d --messages -n --size -s --file --depth -p --rate --ramp --one-way --lifetime --lifetime-messages --from --fail-if --misbehave --seed --json --workers --help -h' ;;
        esac
        ;;
    verify)
        case $prev in
        --frame) words=' raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --send-frame) words=' same raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --connect-timeout) words=' off' ;;
        --ledger) is_file=yes ;;
        --store) ;;
        -c | --connections) ;;
        -n | --messages) ;;
        -s | --size) ;;
        -p | --depth) ;;
        --rate) words=' off' ;;
        --give-up) words=' off' ;;
        *) words=' --frame --send-frame --connect-timeout --ledger --check --store --connections -c --messages -n --size -s --depth -p --rate --give-up --help -h' ;;
        esac
        ;;
    check)
        case $prev in
        --listen) ;;
        --frame) words=' raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --send-frame) words=' same raw line line:crlf delimiter: fixed: length: varint octet-count netstring between: slip' ;;
        --max-frame) ;;
        --too-long) words=' close skip truncate' ;;
        --reply) words=' none echo text:' ;;
        --ack) ;;
        --ack-when) words=' stored received' ;;
        --idle-timeout) words=' off' ;;
        --frame-timeout) words=' off' ;;
        --write-timeout) words=' off' ;;
        --answer-timeout) words=' off' ;;
        --linger-timeout) words=' off' ;;
        --linger-limit) ;;
        --arrive-timeout) words=' off' ;;
        --keepalive) words=' off' ;;
        --output-limit) ;;
        --wake-bytes) ;;
        --wake-messages) ;;
        --wake-accepts) ;;
        --backlog) ;;
        --defer-accept) words=' off' ;;
        --unix-mode) ;;
        --workers) ;;
        --max-clients) ;;
        --max-memory) ;;
        --drain-timeout) words=' off' ;;
        --store) ;;
        --store-queue) ;;
        --keep-for) words=' off' ;;
        --keep-bytes) words=' off' ;;
        --keep-free) words=' off' ;;
        --print) words=' auto off text hex both json' ;;
        --encoding) ;;
        --log-level) words=' error warning info debug' ;;
        --log-format) words=' text json' ;;
        --config) is_file=yes ;;
        --hex) ;;
        --file) is_file=yes ;;
        *) words=' --listen --frame --send-frame --max-frame --too-long --reply --ack --ack-when --ack-truncated --store-replies --idle-timeout --frame-timeout --write-timeout --answer-timeout --linger-timeout --linger-limit --arrive-timeout --keepalive --output-limit --wake-bytes --wake-messages --wake-accepts --backlog --reuseport --defer-accept --unix-mode --workers --max-clients --max-memory --drain-timeout --store --store-on-network --store-queue --keep-for --keep-bytes --keep-free --print --encoding --log-level --log-format --config --hex --file --accept-loss --help -h' ;;
        esac
        ;;
    log)
        case $prev in
        --encoding) ;;
        --store) ;;
        --client) ;;
        --since) ;;
        --until) ;;
        --after) ;;
        -n | --last) words=' off' ;;
        --format) words=' auto text hex both json csv' ;;
        *) words=' --encoding --store --client --since --until --after --last -n --follow -f --format --help -h' ;;
        esac
        ;;
    esac
    if [[ $is_file ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames 2>/dev/null
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        # More is to come behind a colon.
        if [[ ${COMPREPLY[*]} == *: ]]; then compopt -o nospace 2>/dev/null; fi
    fi
    return 0
}

complete -F _weir weir
