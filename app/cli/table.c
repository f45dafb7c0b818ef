/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one table of sub-commands and options. Data only: whoever adds an option adds a row here and
 * a member in options.h, and nothing else. A row's order is its place in --help. */
#include "options.h"

/* What can be served can be checked. */
#define SERVE (1U << COMMAND_SERVE | 1U << COMMAND_CHECK)
#define CONNECT (1U << COMMAND_CONNECT)
#define BENCH (1U << COMMAND_BENCH)
#define VERIFY (1U << COMMAND_VERIFY)
#define CHECK (1U << COMMAND_CHECK)
#define LOG (1U << COMMAND_LOG)

/* The member of the service that an option sets. */
#define SERVICE(member) offsetof(struct endpoint_options, service.member)
#define GLOBAL(member) offsetof(struct options, member)
#define BENCHED(member) offsetof(struct options, bench.member)
#define VERIFIED(member) offsetof(struct options, verify.member)
#define LOGGED(member) offsetof(struct options, log.member)

/* The bounds are the library's. Were one wider here, the library would refuse, and name its member, not our option. */
#define GIB (1LL << 30)
#define DAY_MS (24LL * 60 * 60 * 1000)
#define TIME_MAX (365 * DAY_MS)
#define KEEP_MAX (36500 * DAY_MS)
#define MEMORY_MAX (1024 * GIB)
#define STORE_MAX (1024 * 1024 * GIB)
#define QUEUE_MAX (64 * GIB)
#define COUNT_MAX (1LL << 30)
#define CLIENTS_MAX (1LL << 28)
#define RATE_MAX (1000LL * 1000 * 1000)
#define DEPTH_MAX (1LL << 16)
#define ACCEPTS_MAX (1LL << 16)
#define BACKLOG_MAX (1LL << 20)
#define DEFER_MAX_MS (32767LL * 1000)
#define LAST_MAX (1000LL * 1000)

/* clang-format off */
const struct option_spec option_specs[] = {
    { .name = "listen", .argument = "URL", .environment = "WEIR_LISTEN",
      .help = "accept clients here: tcp://HOST:PORT, HOST:PORT, PORT, :PORT (every address), unix:PATH, fd:N; can be "
              "given again, and the word --listen left out",
      .default_text = SERVE_ADDRESS, .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_ENDPOINT },

    { .name = "frame", .argument = "SPEC", .environment = "WEIR_FRAME",
      .help = "where messages begin and end",
      .default_text = "raw", .commands = SERVE | CONNECT | BENCH, .scope = OPTION_PER_ENDPOINT, .type = OPTION_FRAME,
      .target = SERVICE(frame) },
    { .name = "frame", .argument = "SPEC", .help = "the framing of the server's listener; not raw, where a read is no message",
      .default_text = "line", .commands = VERIFY, .scope = OPTION_PER_ENDPOINT, .type = OPTION_FRAME,
      .target = SERVICE(frame) },
    { .name = "send-frame", .argument = "SPEC", .environment = "WEIR_SEND_FRAME",
      .help = "framing of what is sent: same, raw or a SPEC",
      .default_text = "same", .commands = SERVE | CONNECT | BENCH | VERIFY, .scope = OPTION_PER_ENDPOINT, .type = OPTION_FRAME,
      .target = SERVICE(send_frame), .choices = "same", .sendable = true },
    { .name = "max-frame", .argument = "SIZE", .environment = "WEIR_MAX_FRAME",
      .help = "the longest message", .default_text = "1MiB", .commands = SERVE | BENCH,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_SIZE, .target = SERVICE(message_bytes_max), .min = 1, .max = GIB },
    { .name = "too-long", .argument = "WHAT", .environment = "WEIR_TOO_LONG",
      .help = "what happens to a longer message", .default_text = "close", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_CHOICE, .target = SERVICE(too_long),
      .choices = "close|skip|truncate" },
    { .name = "reply", .argument = "WHAT", .environment = "WEIR_REPLY",
      .help = "the answer to each message: none, echo, or text:BYTES with escapes (\\n \\r \\t \\0 \\xHH)",
      .default_text = "none", .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_TEXT,
      .target = offsetof(struct endpoint_options, reply), .choices = "none|echo", .escaped = "text:" },

    { .name = "ack", .argument = "TEMPLATE", .environment = "WEIR_ACK",
      .help = "acknowledge each message, once it is on disk: bytes with escapes and fields, {seq} (its number on the "
              "connection) {id} (in the store) {conn} {len} {time} {crc32}; {seq:u32be} and the like for binary protocols, "
              "{{ for a brace; not over raw, where a read is no message, unless --frame raw is written out",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_TEXT,
      .target = offsetof(struct endpoint_options, ack) },
    { .name = "ack-when", .argument = "WHEN", .environment = "WEIR_ACK_WHEN",
      .help = "acknowledge a message once it is on disk, or as soon as it has come", .default_text = "stored",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_CHOICE,
      .target = offsetof(struct endpoint_options, ack_when), .choices = "stored|received" },
    { .name = "ack-truncated", .environment = "WEIR_ACK_TRUNCATED",
      .help = "also acknowledge a message that was cut at --max-frame", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_FLAG, .target = offsetof(struct endpoint_options, ack_truncated) },
    { .name = "store-replies", .environment = "WEIR_STORE_REPLIES",
      .help = "keep the answers of --reply and --ack, too; what people and programs send is kept in any case",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_FLAG,
      .target = offsetof(struct endpoint_options, store_replies) },

    { .name = "idle-timeout", .argument = "TIME", .environment = "WEIR_IDLE_TIMEOUT",
      .help = "close a client that neither sent nor was sent anything for so long", .default_text = "off",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(idle_timeout_ms),
      .min = 1, .max = TIME_MAX, .off = true },
    { .name = "frame-timeout", .argument = "TIME", .environment = "WEIR_FRAME_TIMEOUT",
      .help = "from a message's first byte to its last; not for raw", .default_text = "30s", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(frame_timeout_ms), .min = 1,
      .max = TIME_MAX, .off = true },
    { .name = "write-timeout", .argument = "TIME", .environment = "WEIR_WRITE_TIMEOUT",
      .help = "close a client that takes nothing of what waits for it for so long", .default_text = "30s",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(write_timeout_ms),
      .min = 1, .max = TIME_MAX, .off = true },
    { .name = "half-close", .argument = "WHAT", .environment = "WEIR_HALF_CLOSE",
      .help = "what happens to a client that ends its side: close it once its answers have left, or keep it for what is "
              "sent to it later; then it stays until it resets, is lost or idle, or is closed from here",
      .default_text = "close", .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_CHOICE,
      .target = offsetof(struct endpoint_options, half_close), .choices = "close|keep" },
    { .name = "answer-timeout", .argument = "TIME", .environment = "WEIR_ANSWER_TIMEOUT",
      .help = "for answers to leave after the client has ended its side", .default_text = "10s", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(drain_timeout_ms), .min = 1,
      .max = TIME_MAX, .off = true },
    { .name = "linger-timeout", .argument = "TIME", .environment = "WEIR_LINGER_TIMEOUT",
      .help = "for the client to end its side after the server has", .default_text = "2s", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(linger_timeout_ms), .min = 1,
      .max = DAY_MS, .off = true },
    { .name = "linger-limit", .argument = "SIZE", .environment = "WEIR_LINGER_LIMIT",
      .help = "bytes thrown away meanwhile", .default_text = "1MiB", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_SIZE, .target = SERVICE(linger_bytes_max), .min = 1,
      .max = QUEUE_MAX },
    { .name = "arrive-timeout", .argument = "TIME", .environment = "WEIR_ARRIVE_TIMEOUT",
      .help = "for a new client to become ready", .default_text = "10s", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(arrive_timeout_ms), .min = 1,
      .max = TIME_MAX, .off = true },
    { .name = "keepalive", .argument = "IDLE,INTERVAL,COUNT", .environment = "WEIR_KEEPALIVE",
      .help = "TCP keepalive: ask a silent client's machine after IDLE, again each INTERVAL, and close after COUNT "
              "questions without an answer; or off",
      .default_text = "60s,10s,5", .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_KEEPALIVE,
      .target = SERVICE(keepalive_idle_ms), .off = true },
    { .name = "output-limit", .argument = "SIZE", .environment = "WEIR_OUTPUT_LIMIT",
      .help = "what may wait to be sent to one client; at it, its messages wait too", .default_text = "1MiB",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_SIZE, .target = SERVICE(output_bytes_max),
      .min = 1, .max = QUEUE_MAX },
    { .name = "wake-bytes", .argument = "SIZE", .environment = "WEIR_WAKE_BYTES",
      .help = "read from one client before others have their turn", .default_text = "256KiB", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_SIZE, .target = SERVICE(wake_bytes_max), .min = 1, .max = GIB },
    { .name = "wake-messages", .argument = "N", .environment = "WEIR_WAKE_MESSAGES",
      .help = "messages of one client before others have their turn", .default_text = "4096", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_COUNT, .target = SERVICE(wake_messages_max), .min = 1,
      .max = COUNT_MAX },
    { .name = "wake-accepts", .argument = "N", .environment = "WEIR_WAKE_ACCEPTS",
      .help = "clients accepted before others have their turn", .default_text = "64", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_COUNT, .target = SERVICE(accepts_max), .min = 1,
      .max = ACCEPTS_MAX },
    { .name = "backlog", .argument = "N", .environment = "WEIR_BACKLOG",
      .help = "clients that the kernel keeps waiting to be accepted", .default_text = "1024", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_COUNT, .target = SERVICE(backlog), .min = 1, .max = BACKLOG_MAX },
    { .name = "reuseport", .environment = "WEIR_REUSEPORT",
      .help = "one listening socket for each worker (SO_REUSEPORT)", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_FLAG, .target = SERVICE(reuseport) },
    { .name = "defer-accept", .argument = "TIME", .environment = "WEIR_DEFER_ACCEPT",
      .help = "accept a client once it has sent something, or after so long; whole seconds", .default_text = "off",
      .commands = SERVE, .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(defer_accept_ms),
      .min = 1000, .max = DEFER_MAX_MS, .step = 1000, .off = true },
    { .name = "unix-mode", .argument = "MODE", .environment = "WEIR_UNIX_MODE",
      .help = "permissions of a unix socket's file, octal", .default_text = "0600", .commands = SERVE,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_MODE, .target = SERVICE(unix_mode), .min = 1, .max = 0777 },

    { .name = "workers", .argument = "N", .environment = "WEIR_WORKERS",
      .help = "threads that serve clients", .default_text = "the processors available", .commands = SERVE,
      .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = GLOBAL(workers), .min = 1, .max = 256 },
    { .name = "max-clients", .argument = "N", .environment = "WEIR_MAX_CLIENTS",
      .help = "clients at once; more are closed and counted", .default_text = "what the descriptor limit allows",
      .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = GLOBAL(clients_max), .min = 1,
      .max = CLIENTS_MAX },
    { .name = "max-memory", .argument = "SIZE", .environment = "WEIR_MAX_MEMORY",
      .help = "memory of the whole process: clients' buffers, the store's queue and cache, lines to print; over it, the "
              "clients that hold the most are closed",
      .default_text = "1GiB", .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_SIZE, .target = GLOBAL(memory_bytes_max), .min = 1,
      .max = MEMORY_MAX },
    { .name = "drain-timeout", .argument = "TIME", .environment = "WEIR_DRAIN_TIMEOUT",
      .help = "how long connections have to end when the server is told to stop", .default_text = "10s",
      .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_TIME, .target = GLOBAL(drain_timeout_ms), .min = 1,
      .max = TIME_MAX, .off = true },
    { .name = "store", .argument = "PATH", .environment = "WEIR_STORE",
      .help = "keep every message in this SQLite database, on disk before it is acknowledged; its folder must be there; "
              "auto: PORT.db of the first port, in $STATE_DIRECTORY, $XDG_STATE_HOME/weir or ~/.local/state/weir, which is "
              "made; none: keep nothing",
      .default_text = "auto", .commands = SERVE,
      .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = GLOBAL(store) },
    { .name = "store-on-network", .environment = "WEIR_STORE_ON_NETWORK",
      .help = "keep it on a network file system, although locks and syncs may not be what they seem there",
      .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = GLOBAL(store_on_network) },
    { .name = "store-queue", .argument = "SIZE", .environment = "WEIR_STORE_QUEUE",
      .help = "what may wait for the disk, a part of --max-memory; a client with more than its share of it waits (64KiB "
              "are its in any case), at all of it all do",
      .default_text = "a quarter of --max-memory, at most 64MiB", .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_SIZE,
      .target = GLOBAL(store_queue_bytes_max), .min = 1024 * 1024, .max = 64 * GIB },
    { .name = "keep-for", .argument = "TIME", .environment = "WEIR_KEEP_FOR",
      .help = "delete stored messages that are older, but for the newest", .default_text = "off", .commands = SERVE,
      .scope = OPTION_GLOBAL, .type = OPTION_TIME, .target = GLOBAL(keep_for_ms), .min = 1000, .max = KEEP_MAX,
      .off = true },
    { .name = "keep-bytes", .argument = "SIZE", .environment = "WEIR_KEEP_BYTES",
      .help = "delete the oldest messages when the store, with its log, would be larger",
      .default_text = "10GiB, or a tenth of the file system if that is less", .commands = SERVE,
      .scope = OPTION_GLOBAL, .type = OPTION_SIZE, .target = GLOBAL(keep_bytes_max), .min = 1024 * 1024,
      .max = STORE_MAX, .off = true },
    { .name = "keep-free", .argument = "PERCENT", .environment = "WEIR_KEEP_FREE",
      .help = "delete the oldest messages when less of the file system is free, down to half of --keep-bytes",
      .default_text = "5%", .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_PERCENT,
      .target = GLOBAL(keep_free_percent), .min = 1, .max = 90, .off = true },
    { .name = "print", .argument = "MODE", .environment = "WEIR_PRINT",
      .help = "how connections and messages are shown on standard output; auto: text or hex on a terminal, off elsewhere",
      .default_text = "auto", .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_CHOICE,
      .target = GLOBAL(print), .choices = "auto|off|text|hex|both|json" },
    { .name = "encoding", .argument = "NAME", .environment = "WEIR_ENCODING",
      .help = "what characters messages are in, as shown and typed (also text in JSON): gbk, gb18030, big5, shift_jis, "
              "latin1 and others; bytes are never changed, and \\xHH is always a byte",
      .default_text = "utf-8", .commands = SERVE | CONNECT | LOG, .scope = OPTION_GLOBAL, .type = OPTION_TEXT,
      .target = GLOBAL(encoding) },
    { .name = "log-level", .argument = "LEVEL", .environment = "WEIR_LOG_LEVEL",
      .help = "what is said on standard error", .default_text = "info", .commands = SERVE, .scope = OPTION_GLOBAL,
      .type = OPTION_CHOICE, .target = GLOBAL(log_level), .choices = "error|warning|info|debug" },
    { .name = "log-format", .argument = "FORMAT", .environment = "WEIR_LOG_FORMAT",
      .help = "how it is said: lines for people, or one JSON object a line", .default_text = "text", .commands = SERVE,
      .scope = OPTION_GLOBAL, .type = OPTION_CHOICE, .target = GLOBAL(log_format), .choices = "text|json" },
    { .name = "config", .argument = "FILE", .environment = "WEIR_CONFIG",
      .help = "read options from this YAML file first; what the environment and the command line say outweighs it, and "
              "addresses on the command line take the place of its listeners",
      .commands = SERVE, .scope = OPTION_GLOBAL, .type = OPTION_CONFIG, .target = GLOBAL(config) },

    { .name = "hex", .argument = "BYTES",
      .help = "cut these bytes into messages as --frame says, and show them; two digits a byte, with blanks, colons and "
              "0x as you like",
      .commands = CHECK, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = GLOBAL(sample_hex) },
    { .name = "file", .argument = "FILE", .help = "the same with the bytes of a file; - is standard input",
      .commands = CHECK, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = GLOBAL(sample_file) },
    { .name = "accept-loss",
      .help = "with --store PATH: give up what cannot be read of a damaged store, after copying its files aside",
      .commands = CHECK, .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = GLOBAL(accept_loss) },
    { .name = "backup", .argument = "FILE",
      .help = "with --store PATH: copy the store, whole and checked, to this new file; a server may be on it",
      .commands = CHECK, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = GLOBAL(backup) },
    { .name = "new-id",
      .help = "with --store PATH: give the store an id of its own, for a copy that goes on beside its original; with "
              "--backup the copy, not the store",
      .commands = CHECK, .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = GLOBAL(new_id) },

    { .name = "crlf", .letter = 'C', .help = "end each line that is sent with CRLF in place of LF", .commands = CONNECT,
      .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = GLOBAL(crlf) },
    { .name = "hex", .help = "each line is bytes in hex, as in 01 03 00 ff", .commands = CONNECT, .scope = OPTION_GLOBAL,
      .type = OPTION_FLAG, .target = GLOBAL(hex) },
    { .name = "print", .argument = "MODE",
      .help = "how what the server sends is shown on standard output; auto: text or hex on a terminal, raw, which is "
              "byte for byte, elsewhere",
      .default_text = "auto", .commands = CONNECT, .scope = OPTION_GLOBAL, .type = OPTION_CHOICE,
      .target = GLOBAL(answers), .choices = "auto|raw|text|hex|both|off" },
    { .name = "timeout", .argument = "TIME", .environment = "WEIR_TIMEOUT",
      .help = "give up when nothing has come for so long; the connecting counts", .default_text = "off",
      .commands = CONNECT, .scope = OPTION_GLOBAL, .type = OPTION_TIME, .target = GLOBAL(silence_ms), .min = 1,
      .max = TIME_MAX, .off = true },
    { .name = "connect-timeout", .argument = "TIME", .environment = "WEIR_CONNECT_TIMEOUT",
      .help = "for the server to answer, each of its addresses", .default_text = "10s", .commands = CONNECT | BENCH | VERIFY,
      .scope = OPTION_PER_ENDPOINT, .type = OPTION_TIME, .target = SERVICE(connect_timeout_ms), .min = 1,
      .max = TIME_MAX, .off = true },

    { .name = "connections", .letter = 'c', .argument = "N", .help = "connections held open", .default_text = "50",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = BENCHED(connections), .min = 1,
      .max = CLIENTS_MAX },
    { .name = "duration", .letter = 'd', .argument = "TIME",
      .help = "how long messages are sent, once the connections are open; with -n as well, whichever comes first",
      .default_text = "10s", .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_TIME,
      .target = BENCHED(duration_ms), .min = 1, .max = TIME_MAX },
    { .name = "messages", .letter = 'n', .argument = "N", .help = "messages in total, in place of a time",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = BENCHED(messages), .min = 1 },
    { .name = "size", .letter = 's', .argument = "SIZE", .help = "what each message has, without framing",
      .default_text = "128", .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_SIZE,
      .target = BENCHED(message_bytes), .min = 1, .max = GIB },
    { .name = "file", .argument = "FILE",
      .help = "send the lines of this file in turn, each a message, without what ends it; - is standard input",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = BENCHED(file) },
    { .name = "depth", .letter = 'p', .argument = "N", .help = "messages that wait for an answer on a connection at once",
      .default_text = "1", .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = BENCHED(depth),
      .min = 1, .max = DEPTH_MAX },
    { .name = "rate", .argument = "N",
      .help = "messages a second in total, whatever the answers do; latency then counts from when a message was due. "
              "off: as fast as answers come",
      .default_text = "off", .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = BENCHED(rate),
      .min = 1, .max = RATE_MAX, .off = true },
    { .name = "ramp", .argument = "N", .help = "connects a second; off: all at once", .default_text = "1000",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = BENCHED(ramp), .min = 1,
      .max = RATE_MAX, .off = true },
    { .name = "one-way", .help = "expect no answers; count what is sent", .commands = BENCH, .scope = OPTION_GLOBAL,
      .type = OPTION_FLAG, .target = BENCHED(one_way) },
    { .name = "lifetime", .argument = "TIME", .help = "close each connection after so long, and open another in its place",
      .default_text = "off", .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_TIME,
      .target = BENCHED(lifetime_ms), .min = 1, .max = TIME_MAX, .off = true },
    { .name = "lifetime-messages", .argument = "N", .help = "the same after so many messages", .default_text = "off",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = BENCHED(lifetime_messages), .min = 1,
      .off = true },
    { .name = "from", .argument = "ADDR[-ADDR]",
      .help = "connect from this local address, or from those between two, taken in turn",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = BENCHED(from) },
    { .name = "fail-if", .argument = "CONDITIONS",
      .help = "end with status 1 when one of these is true, as in 'p99>10ms,errors>0': p50 p90 p99 p99.9 max mean (connect.p99 "
              "and so on for connects), rate, errors, or one kind of error as --json names it",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = BENCHED(fail_if) },
    { .name = "misbehave", .argument = "FAULT[=PERCENT]",
      .help = "that share of the connections, or all, does one thing wrong, and what the server did about it is told: "
              "split, half, reset, silent, slow-read or garbage",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = BENCHED(misbehave) },
    { .name = "seed", .argument = "N", .help = "of what --misbehave does at random, to have a run again",
      .default_text = "made up, and told", .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT,
      .target = BENCHED(seed), .min = 1, .max = COUNT_MAX },
    { .name = "json", .help = "print the result as one JSON object", .commands = BENCH, .scope = OPTION_GLOBAL,
      .type = OPTION_FLAG, .target = BENCHED(json) },
    { .name = "workers", .argument = "N", .help = "threads that drive the connections", .default_text = "1",
      .commands = BENCH, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = GLOBAL(workers), .min = 1,
      .max = 256 },

    { .name = "ledger", .argument = "FILE",
      .help = "where it is written down what is sent and what is acknowledged; one that is there is added to",
      .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = VERIFIED(ledger) },
    { .name = "check", .help = "send nothing: prove that what the ledger says was acknowledged is in the store",
      .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = VERIFIED(check) },
    { .name = "store", .argument = "PATH", .help = "with --check: the store, a path or the port that its server listens on; the server may run meanwhile",
      .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = VERIFIED(store) },
    { .name = "connections", .letter = 'c', .argument = "N",
      .help = "connections held open; one that ends is dialled again", .default_text = "10", .commands = VERIFY,
      .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = VERIFIED(connections), .min = 1, .max = CLIENTS_MAX },
    { .name = "messages", .letter = 'n', .argument = "N", .help = "messages in total, each until it is acknowledged",
      .default_text = "10000", .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_COUNT,
      .target = VERIFIED(messages), .min = 1 },
    { .name = "size", .letter = 's', .argument = "SIZE", .help = "what each message has, without framing",
      .default_text = "128", .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_SIZE,
      .target = VERIFIED(message_bytes), .min = 1, .max = GIB },
    { .name = "depth", .letter = 'p', .argument = "N",
      .help = "messages that wait for their acknowledgement on a connection at once", .default_text = "64",
      .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = VERIFIED(depth), .min = 1,
      .max = DEPTH_MAX },
    { .name = "rate", .argument = "N",
      .help = "messages a second in total, as far as -p allows; off: as fast as they are acknowledged",
      .default_text = "off", .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_COUNT,
      .target = VERIFIED(rate), .min = 1, .max = RATE_MAX, .off = true },
    { .name = "give-up", .argument = "TIME",
      .help = "end when nothing was acknowledged for so long, whether the server is there or not",
      .default_text = "30s", .commands = VERIFY, .scope = OPTION_GLOBAL, .type = OPTION_TIME,
      .target = VERIFIED(give_up_ms), .min = 1, .max = TIME_MAX, .off = true },

    { .name = "store", .argument = "PATH", .environment = "WEIR_STORE",
      .help = "the store to read: a path, or the port that its server listens on; auto: the only one where weir serve keeps "
              "its stores",
      .default_text = "auto", .commands = LOG, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = GLOBAL(store) },
    { .name = "client", .argument = "X",
      .help = "messages of one client only: a connection's number (17 or #17), an address with its port or without, or a "
              "client's name",
      .commands = LOG, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = LOGGED(client) },
    { .name = "since", .argument = "TIME",
      .help = "from this time on: how long ago, as 10m, or when, as 2026-11-23T10:00; seconds may follow, and Z for UTC, "
              "else it is local time; a date alone is its beginning",
      .commands = LOG, .scope = OPTION_GLOBAL, .type = OPTION_TEXT, .target = LOGGED(since) },
    { .name = "until", .argument = "TIME", .help = "before this time", .commands = LOG, .scope = OPTION_GLOBAL,
      .type = OPTION_TEXT, .target = LOGGED(until) },
    { .name = "after", .argument = "ID", .help = "messages with a higher id than this one, which is in json and csv",
      .commands = LOG, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = LOGGED(after) },
    { .name = "last", .letter = 'n', .argument = "N",
      .help = "the newest N of these, the oldest first; off: all",
      .default_text = "100 on a terminal or with --follow, unless it is said where to begin or end; else all",
      .commands = LOG, .scope = OPTION_GLOBAL, .type = OPTION_COUNT, .target = LOGGED(last), .min = 1,
      .max = LAST_MAX, .off = true },
    { .name = "follow", .letter = 'f', .help = "go on with what comes, until Ctrl-C", .commands = LOG,
      .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = LOGGED(follow) },
    { .name = "format", .argument = "FORMAT",
      .help = "lines for people, as weir serve --print makes them, one JSON object a line, or CSV (RFC 4180)",
      .default_text = "auto", .commands = LOG, .scope = OPTION_GLOBAL, .type = OPTION_CHOICE, .target = LOGGED(format),
      .choices = "auto|text|hex|both|json|csv" },

    { .name = "help", .letter = 'h', .help = "show this", .commands = SERVE | CONNECT | BENCH | VERIFY | LOG,
      .scope = OPTION_GLOBAL, .type = OPTION_FLAG, .target = GLOBAL(help) },
};
/* clang-format on */

_Static_assert(sizeof(option_specs) / sizeof(option_specs[0]) <= OPTIONS_MAX, "OPTIONS_MAX has to grow");

const size_t option_count = sizeof(option_specs) / sizeof(option_specs[0]);

const struct command_spec command_specs[COMMAND_COUNT] = {
    [COMMAND_SERVE] = {
        .name = "serve",
        .summary = "accept TCP clients, store their messages, show and answer them",
        .usage = "[[--listen] URL]... [options]",
        .endpoints_max = SIZE_MAX,
        .about = "Accepts TCP clients, cuts what they send into messages, and stores, shows and answers each of them.\n"
                 "Where they are stored is said at the start; --store PATH is another place, --store none nowhere.\n"
                 "On a terminal, what you type goes to the client that the prompt names; /help says more. There is no\n"
                 "typing where nothing is shown there: with --print off or json, or with output that goes to a file.\n"
                 "A reader of --print json that is too slow misses events; a missed event stands in their place, and\n"
                 "says how many. weir log --after ID has all messages, and waits for its reader.\n"
                 "With --store none, a server whose output has no reader or no room any more ends with status 1.\n"
                 "Ctrl-C stops it: answers that are owed leave first. A second one ends it at once.\n"
                 "Its resident memory stays within 1.5 times of --max-memory and 16 MiB; weir check says the parts.",
        .examples = "  weir serve                                    programs on this machine, port 8000\n"
                    "  weir serve :8000                              devices too: every address\n"
                    "  weir serve :8000 --frame line --reply echo    send each line back\n"
                    "  weir serve :5023 --frame length:u16be --reply 'text:OK'\n"
                    "                                                answer each message OK, framed like it\n"
                    "  weir serve :7001 --frame line --ack 'OK {seq}'\n"
                    "                                                acknowledge each line once it is on disk\n"
                    "  weir serve --idle-timeout 5m :7001 --frame line :7002 --frame 'delimiter:\\x03'\n"
                    "                                                two listeners, one timeout for both\n"
                    "  weir serve --half-close keep :7003            for displays too: nc HOST 7003 < /dev/null\n"
                    "  weir serve --config weir.yaml                 what is in a file; weir check says what it means\n"
                    "  weir serve --print json | jq .text            for programs: one JSON object a line\n",
    },
    [COMMAND_CONNECT] = {
        .name = "connect",
        .summary = "connect to a TCP server, send what is typed, show what it answers",
        .usage = "[options] URL|[HOST:]PORT",
        .endpoints_max = 1,
        .about = "Connects to a TCP server. On a terminal each line typed is sent, and answers are shown as they\n"
                 "come; \\n \\xHH and the like are bytes, /hex 01 03 sends bytes, /help says more. Ctrl-D ends our side\n"
                 "and waits for the rest. Piped input is sent byte for byte, and what the server sends goes to\n"
                 "standard output as it is, and nothing else does. With --frame each line is one message. When the\n"
                 "server ends its side first, standard output ends, and the rest of the input is still sent.\n"
                 "\n"
                 "Exit status: 0 the server closed, 1 failed (also: closed inside a message), 2 wrong usage,\n"
                 "3 refused, 4 reset, 5 timed out, 6 no such host or route.",
        .examples = "  weir connect 8000                             a server on this machine\n"
                    "  weir connect plc.local:5023                   one elsewhere\n"
                    "  printf 'GET / HTTP/1.0\\n\\n' | weir connect -C example.org:80\n"
                    "                                                lines that end with CRLF\n"
                    "  weir connect 8000 < reading.bin > answer.bin  bytes in, bytes out\n"
                    "  weir connect --frame length:u16be 5023        each line typed is one framed message\n"
                    "  echo '01 03 00 00 00 0a c5 cd' | weir connect --hex --print hex --timeout 2s 502\n"
                    "                                                ask in hex, see the answer in hex\n",
    },
    [COMMAND_BENCH] = {
        .name = "bench",
        .summary = "drive a TCP server with load, and measure how it answers",
        .usage = "[options] URL|[HOST:]PORT",
        .endpoints_max = 1,
        .about = "Connects to a TCP server many times over, sends messages, and waits for the answer to each: with a\n"
                 "--frame one message is one answer; over raw an answer is as many bytes as were sent. Prints messages\n"
                 "and bytes a second, how long answers and connects took, and errors by kind. On a terminal a line tells\n"
                 "once a second how it goes. Ctrl-C ends the run early, with its result.\n"
                 "\n"
                 "A server that answers nothing for 5 seconds ends the run; --one-way is for those that never do.\n"
                 "Only load what you may load.\n"
                 "\n"
                 "Exit status: 0 it ran, 1 failed, or a condition of --fail-if is true, 2 wrong usage; when not one\n"
                 "message was answered, 3 refused, 4 reset, 5 timed out or no answers, 6 no such host or route.",
        .examples = "  weir bench 8000                               50 connections, 128 bytes, 10 seconds\n"
                    "  weir bench -c 1000 -p 16 -d 1m 8000           1,000 connections, 16 messages in flight on each\n"
                    "  weir bench --frame line -n 100000 8000        100,000 lines\n"
                    "  weir bench --rate 20000 --fail-if 'p99>10ms,errors>0' 8000\n"
                    "                                                is it fast enough at that rate\n"
                    "  weir bench --one-way --frame line --file readings.txt meters.local:5023\n"
                    "                                                a file of messages, no answers\n"
                    "  weir bench --json 8000 | jq .latency_us.p99   for programs\n",
    },
    [COMMAND_VERIFY] = {
        .name = "verify",
        .summary = "prove that what a server acknowledges is in its store",
        .usage = "[options] --ledger FILE URL|[HOST:]PORT\n"
                 "       weir verify --check --ledger FILE --store PATH",
        .endpoints_max = 1,
        .about = "Sends numbered messages to a server that acknowledges each (weir serve --ack {seq}), and writes down in\n"
                 "the ledger what is sent, before it leaves, and what was acknowledged. When a connection ends, also\n"
                 "because the server was killed, it is dialled again, and what has no acknowledgement is sent again.\n"
                 "An acknowledgement that is text and has a number in it must have the right one: the first on a\n"
                 "connection 1, the next 2. Ctrl-C ends the run early, with its result.\n"
                 "\n"
                 "With --check nothing is sent. Of all runs in the ledger, each acknowledged message must be in the\n"
                 "store, unaltered and in its order, and twice only if it was sent twice; what was not acknowledged may\n"
                 "be there or not. What --keep-for and the like have removed is missing, too: check before.\n"
                 "It takes two bytes of memory for each message of the ledger, and the store is read once.\n"
                 "\n"
                 "Exit status: 0 all was acknowledged, or Ctrl-C; with --check, all is there; 1 failed, or what was\n"
                 "acknowledged is wrong; 2 wrong usage; 3 refused, 4 reset, 5 timed out, 6 no such host or route;\n"
                 "7 acknowledged and missing or altered.",
        .examples = "  weir serve :8000 --frame line --ack {seq} --store s.db\n"
                    "  weir verify --ledger ledger.txt meters.local:8000\n"
                    "                                                10 connections, 10,000 messages\n"
                    "  weir verify --check --ledger ledger.txt --store s.db\n"
                    "                                                are they there\n"
                    "  weir verify -c 100 -n 1000000 --rate 20000 --ledger ledger.txt 8000\n"
                    "                                                50 seconds of it; kill the server meanwhile\n"
                    "  weir verify --frame length:u16be -s 200 --ledger ledger.txt 8000\n",
    },
    [COMMAND_CHECK] = {
        .name = "check",
        .summary = "say what a configuration means, how bytes are cut, or whether a store is whole",
        .usage = "[--config FILE | serve options]\n"
                 "       weir check --frame SPEC [--max-frame SIZE] [--too-long WHAT] --hex BYTES | --file FILE\n"
                 "       weir check --store PATH [--accept-loss | [--backup FILE] [--new-id]]",
        .endpoints_max = SIZE_MAX,
        .about = "Reads the options of weir serve as it would, and serves nothing: prints what is in effect for each\n"
                 "listener and for the server, one line each: whose, the option, where its value comes from, the value.\n"
                 "With --hex or --file it cuts bytes into messages and prints these, and what is left over.\n"
                 "With --store PATH and nothing else it reads all of a store and compares checksums; nothing is\n"
                 "changed. PATH may be a port, for the store that its server keeps by itself. With --accept-loss\n"
                 "what cannot be read of a damaged one is given up, after its files were copied to\n"
                 "PATH.damaged-TIME beside it; no server may have it then. With --backup FILE the store is copied as\n"
                 "it is at that instant, a server on it or not, each checksum compared and the copy read back; what\n"
                 "fails leaves no FILE. With --new-id the store, which no server may have then, or the copy gets\n"
                 "another id: messages and connections are told apart by the store's id and their numbers, and two\n"
                 "stores that go on from one would give the same numbers under the same id.\n"
                 "\n"
                 "Exit status: 0 all is well, 1 the file cannot be read, the bytes are malformed or the store is\n"
                 "damaged or was not copied, 2 something in the configuration is wrong.",
        .examples = "  weir check --config weir.yaml                 is it right, and what does it mean\n"
                    "  weir check :5023 --frame line                 the same of a command line\n"
                    "  weir check --frame length:u16be --hex '00 03 61 62 63 00'\n"
                    "                                                one message, and one byte left over\n"
                    "  weir check --frame 'delimiter:\\x03' --file capture.bin\n"
                    "                                                a file as a device would send it\n"
                    "  weir check --store 8000.db                    is every message as it was stored\n"
                    "  weir check --store 8000 --backup /mnt/8000.db\n"
                    "                                                a copy of the store of a running server\n",
    },
    [COMMAND_LOG] = {
        .name = "log",
        .summary = "show what is in a store: by client, by time, or as it comes",
        .usage = "[options]",
        .endpoints_max = 0,
        .about = "Shows stored messages in the order in which they came, the oldest first, with a server on the store or\n"
                 "not; it only reads. On a terminal a long message is cut at the terminal's width; elsewhere all of it is\n"
                 "there. What was sent to a client is marked with a <. A message whose bytes are not those that were\n"
                 "stored, by its checksum, is marked as damaged. --since and --until go by each message's own time; where\n"
                 "the clock was set back over the time that is asked for, a line on standard error says so.\n"
                 "\n"
                 "Exit status: 0 all that was asked for was shown (with --follow also: Ctrl-C), 1 failed, interrupted, no\n"
                 "such client, or a damaged message among them, 2 wrong usage.",
        .examples = "  weir log                                      the newest messages\n"
                    "  weir log --client 17 -n 20                    the newest 20 of connection 17\n"
                    "  weir log --client 192.0.2.7 --since 10m       of one address, in the last ten minutes\n"
                    "  weir log --since 2026-11-23T10:00 --until 2026-11-23T11:00 --format csv > hour.csv\n"
                    "                                                an hour for a spreadsheet\n"
                    "  weir log --follow --format json | jq .text    what comes, for programs\n"
                    "  weir log --store 8000 --after 41200 --format json\n"
                    "                                                go on behind the last id that was seen\n",
    },
};
