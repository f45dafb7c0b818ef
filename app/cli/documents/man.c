/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The manual page, weir(1). Commands and options come from the table; framings from the
 * library; what no table has (the configuration file, exit statuses) is written here, in roff. */
#include <string.h>

#include <weir/version.h>

#include "documents.h"

#define MANUAL_DATE "2026-11-24"

/* ---- Roff ---- */

static void write_character(FILE *file, char character)
{
    static const struct {
        char character;
        const char *roff;
    } special[] = { { '\\', "\\e" },  { '-', "\\-" },   { '\'', "\\(aq" },
                    { '`', "\\(ga" }, { '^', "\\(ha" }, { '~', "\\(ti" } };

    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (special[i].character != character) continue;
        fputs(special[i].roff, file);
        return;
    }
    fputc(character, file);
}

/* Text as it is, but for newlines, which stay: none of them may begin a request. */
static void write_text(FILE *file, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' && (i == 0 || text[i - 1] == '\n')) fputs("\\&", file);
        write_character(file, text[i]);
    }
}

static void write_string(FILE *file, const char *text)
{
    write_text(file, text, strlen(text));
}

/* Paragraphs that an empty line parts. */
static void write_paragraphs(FILE *file, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        write_text(file, text, end ? (size_t)(end - text) : strlen(text));
        fputc('\n', file);
        if (!end) return;
        fputs(".PP\n", file);
        text = end + 2;
    }
}

static void write_example(FILE *file, const char *text)
{
    fputs(".nf\n", file);
    write_string(file, text);
    fputs(".fi\n", file);
}

/* ---- Options ---- */

static void write_option(FILE *file, const struct option_spec *option)
{
    fputs(".TP\n", file);
    if (option->letter) fprintf(file, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", file);
    write_string(file, option->name);
    fputs("\\fR", file);
    if (option->argument) {
        fputs(" \\fI", file);
        write_string(file, option->argument);
        fputs("\\fR", file);
    }
    fputc('\n', file);
    write_string(file, option->help);
    if (option->type == OPTION_CHOICE) {
        fputs(" (", file);
        write_string(file, option->choices);
        fputc(')', file);
    }
    fputs(".\n", file);
    if (!option->default_text) return;
    fputs("Default: ", file);
    write_string(file, option->default_text);
    fputs(".\n", file);
}

/* Those of a scope; with is_own only those that no other command has. */
static void write_options(FILE *file, enum command command, enum option_scope scope, bool is_own)
{
    for (size_t i = 0; i < option_count; i++)
        if (command_has(command, &option_specs[i]) && option_specs[i].scope == scope &&
            (!is_own || option_specs[i].commands == 1U << command))
            write_option(file, &option_specs[i]);
}

/* ---- Commands ---- */

/* "weir serve [...]", a line for each way to call it. */
static void write_synopsis(FILE *file, const struct command_spec *command)
{
    const char *usage = command->usage;
    bool is_first = true;

    while (*usage) {
        const size_t len = strcspn(usage, "\n");
        const char *rest = usage;
        size_t rest_len = len;
        if (!is_first) { /* the program's and the command's name stand in front of it */
            rest = strstr(usage, command->name) + strlen(command->name) + 1;
            rest_len -= (size_t)(rest - usage);
        }
        fprintf(file, "\\fBweir %s\\fR ", command->name);
        write_text(file, rest, rest_len);
        fputs("\n.br\n", file);
        usage += len + (usage[len] == '\n');
        is_first = false;
    }
}

static void write_command(FILE *file, enum command command)
{
    const struct command_spec *spec = &command_specs[command];

    fprintf(file, ".SS weir %s\n", spec->name);
    write_paragraphs(file, spec->about);
    if (spec->endpoints_max <= 1) {
        write_options(file, command, OPTION_PER_ENDPOINT, false);
        write_options(file, command, OPTION_GLOBAL, false);
    } else if (command == COMMAND_SERVE) {
        fputs(".PP\n"
              "Options of a listener; after a URL for that listener, before the first for all:\n",
              file);
        write_options(file, command, OPTION_PER_ENDPOINT, false);
        fputs(".PP\n"
              "Options of the server:\n",
              file);
        write_options(file, command, OPTION_GLOBAL, false);
    } else {
        fputs(".PP\n"
              "Beside the options of \\fBweir serve\\fR:\n",
              file);
        write_options(file, command, OPTION_GLOBAL, true);
    }
}

/* ---- What no table has ---- */

static const char values[] =
    ".SH VALUES\n"
    ".TP\n"
    "\\fIURL\\fR\n"
    "\\fBtcp://\\fIHOST\\fB:\\fIPORT\\fR or \\fBunix:\\fIPATH\\fR.\n"
    "A bare port means 127.0.0.1; \\fB:9000\\fR and \\fB*:9000\\fR mean every address, IPv4 and\n"
    "IPv6; an IPv6 address stands in brackets.\n"
    "To listen, port 0 takes a free one, and \\fBfd:\\fIN\\fR is a socket that the process was\n"
    "given.\n"
    ".TP\n"
    "\\fISIZE\\fR\n"
    "\\fB4096\\fR, \\fB64KiB\\fR, \\fB1MiB\\fR, \\fB2GiB\\fR; a bare number is bytes.\n"
    ".TP\n"
    "\\fITIME\\fR\n"
    "\\fB500ms\\fR, \\fB10s\\fR, \\fB5m\\fR, \\fB2h\\fR, \\fB30d\\fR; a bare number is seconds.\n"
    "\\fBoff\\fR where that makes sense.\n"
    ".TP\n"
    "\\fIPERCENT\\fR\n"
    "\\fB5%\\fR\n";

static const char keeping[] =
    ".SH WHAT IS KEPT\n"
    "What is stored is deleted again, oldest first, when it is older than \\fB\\-\\-keep\\-for\\fR, when the database "
    "and\n"
    "its log would be larger than \\fB\\-\\-keep\\-bytes\\fR, or when less than \\fB\\-\\-keep\\-free\\fR of the file "
    "system\n"
    "is free, whoever uses it.\n"
    "For the sake of others the store does not become smaller than half of \\fB\\-\\-keep\\-bytes\\fR (of its default "
    "when\n"
    "that is off): a program that fills the disk would take all of it for nothing.\n"
    "On a disk that is full in spite of it nothing is read or acknowledged until there is room.\n"
    "Ages are judged by the system's clock.\n"
    "Beside the store lies a file \\fI.reserve\\fR, from which the deletion takes its room on a full disk.\n";

static const char framing_values[] =
    ".PP\n"
    "\\fIBYTES\\fR, \\fISTART\\fR and \\fIEND\\fR are text with the escapes \\en \\er \\et \\e0 \\exHH; in "
    "\\fISTART\\fR and\n"
    "\\fIEND\\fR a comma is \\ex2c.\n"
    "\\fIBYTE\\fR, \\fIFROM\\fR and \\fITO\\fR are one byte: an escape, a number (126, 0x7e), or a character that is "
    "not a\n"
    "digit.\n";

static const char configuration[] =
    ".SH CONFIGURATION FILE\n"
    "\\fB\\-\\-config\\fR reads a YAML file, of up to 1 MiB.\n"
    "Its keys are the names of the options of \\fBweir serve\\fR, without dashes in front, and its values are written "
    "as on\n"
    "the command line; an option without a value is \\fBon\\fR or \\fBoff\\fR (or true, false, yes, no).\n"
    "The key \\fBlisteners\\fR has a list; each listener has \\fBlisten\\fR, its address, and options of its own.\n"
    "Options of a listener that stand outside of the list are for all listeners in it that do not say otherwise.\n"
    "A value that begins with a colon, or has a blank, a comma or a hash in it, stands best in quotes.\n"
    "Anchors and aliases are not taken.\n"
    ".PP\n"
    ".nf\n"
    "idle\\-timeout: 5m\n"
    "log\\-format: json\n"
    "listeners:\n"
    "  \\- { listen: \":5023\", frame: \"length:u16be\" }\n"
    "  \\- listen: \":7001\"\n"
    "    frame: line\n"
    "    reply: \"text:OK\"\n"
    "    idle\\-timeout: off\n"
    ".fi\n"
    ".PP\n"
    "The environment outweighs the file, and the command line outweighs both.\n"
    "Addresses on the command line take the place of the whole list.\n"
    "Without any, the listeners of the file are served, and an option in the environment or on the command line counts "
    "for\n"
    "each of them, whatever the file says for that listener.\n"
    "\\fBweir check\\fR prints what comes of it.\n";

static const char environment[] =
    ".SH ENVIRONMENT\n"
    ".TP\n"
    "\\fBWEIR_\\fINAME\\fR\n"
    "An option, its name in capitals with underscores for dashes: \\fBWEIR_FRAME=line\\fR is \\fB\\-\\-frame "
    "line\\fR,\n"
    "\\fBWEIR_REUSEPORT=on\\fR is \\fB\\-\\-reuseport\\fR.\n"
    "An empty value is none.\n"
    "Not so for \\fB\\-\\-listen\\fR and for what concerns one call only.\n"
    ".TP\n"
    "\\fBJOURNAL_STREAM\\fR\n"
    "Set by \\fBsystemd\\fR(1).\n"
    "When standard error is what it names, each line there begins with its level, as \\fBsd\\-daemon\\fR(3) says.\n"
    ".TP\n"
    "\\fBNOTIFY_SOCKET\\fR\n"
    "Where \\fBweir serve\\fR says that it is ready, how its store is, and that it stops, as \\fBsd_notify\\fR(3) "
    "says: for\n"
    "\\fIType=notify\\fR in a unit of \\fBsystemd\\fR(1).\n"
    ".TP\n"
    "\\fBNO_COLOR\\fR, \\fBTERM\\fR\n"
    "Without colours when the first is set, or the second is dumb.\n"
    ".TP\n"
    "\\fBLC_ALL\\fR, \\fBLC_CTYPE\\fR, \\fBLANG\\fR\n"
    "The first that is set and names another character set than UTF\\-8 has everything beyond ASCII shown as "
    "escapes.\n";

static const char statuses[] =
    ".SH EXIT STATUS\n"
    ".TP\n"
    "0\n"
    "Asked to stop and drained; the server closed; all is well.\n"
    ".TP\n"
    "1\n"
    "Failed: an address that cannot be had, a file that cannot be read, connections that were cut\n"
    "off at the deadline of a stop.\n"
    "\\fBweir check\\fR: the bytes are malformed, or a message is too long.\n"
    "\\fBweir log\\fR: interrupted, no such client, or a damaged message.\n"
    "\\fBweir bench\\fR: a condition of \\fB\\-\\-fail\\-if\\fR is true.\n"
    ".TP\n"
    "2\n"
    "Wrong usage, also in the environment or in the configuration file.\n"
    ".TP\n"
    "3, 4, 5, 6\n"
    "\\fBweir connect\\fR: refused, reset, timed out, no such host or route.\n"
    "\\fBweir bench\\fR the same, when not one message was answered; 5 also when the server did not answer, or did no\n"
    "longer.\n";

static const char the_log[] =
    ".SH LOG\n"
    "What the server has to say goes to standard error, one line each; what clients sent is escaped in it.\n"
    "Of one kind there is at most one line a second, and the next one says how many there were beside it.\n"
    "Each bound address is said as \\fBlistening on tcp://127.0.0.1:8000\\fR at any level, once clients can connect.\n"
    "With \\fB\\-\\-log\\-format json\\fR a line is an object with the members \\fBtime\\fR, \\fBlevel\\fR (error, "
    "warning,\n"
    "info, debug), \\fBkind\\fR (a word: start, stop, fail, output, accept, limit, memory, stranger, state) and "
    "\\fBtext\\fR.\n"
    ".SH SIGNALS\n"
    "SIGINT, SIGTERM and SIGHUP stop the server: it accepts nobody any more, and answers that are owed leave within\n"
    "\\fB\\-\\-drain\\-timeout\\fR.\n"
    "A second SIGINT or SIGTERM ends it at once.\n"
    "SIGHUP is ignored when it was at the start, as under \\fBnohup\\fR(1).\n";

static const char files[] =
    ".SH FILES\n"
    "None but those that are named: a configuration file, and the files of unix sockets, which\n"
    "are removed at the end.\n"
    "A socket's file that nobody answers on is replaced; any other file never is.\n";

#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SIGNS "[]|."

/* Words are bold, those in capitals are for what stands in their place. */
static void write_syntax(FILE *file, const char *syntax)
{
    while (*syntax) {
        const size_t capital_len = strspn(syntax, CAPITALS);
        const size_t sign_len = strspn(syntax, SIGNS);
        const size_t len = capital_len ? capital_len : sign_len ? sign_len : strcspn(syntax, CAPITALS SIGNS);
        fputs(capital_len ? "\\fI" : sign_len ? "\\fR" : "\\fB", file);
        write_text(file, syntax, len);
        syntax += len;
    }
    fputs("\\fR\n", file);
}

static void write_framings(FILE *file)
{
    const struct weir_framing *row = NULL;

    fputs(".SH FRAMING\n"
          "A \\fISPEC\\fR says where a message begins and ends in the stream.\n",
          file);
    for (size_t i = 0; (row = weir_framing_get(i)); i++) {
        fputs(".TP\n", file);
        write_syntax(file, row->syntax);
        write_string(file, row->summary);
        fputc('\n', file);
    }
    fputs(framing_values, file);
}

/* ---- The page ---- */

void write_manual(FILE *file)
{
    fputs(".\\\" SPDX-License-Identifier: BSD-3-Clause\n"
          ".\\\" Made from the option table: change that, or app/cli/documents/man.c, not this.\n",
          file);
    fprintf(file, ".TH WEIR 1 \"%s\" \"weir %s\" \"User Commands\"\n", MANUAL_DATE, weir_version());
    fputs(".nh\n"
          ".SH NAME\n"
          "weir \\- receive messages over TCP, see and answer them\n"
          ".SH SYNOPSIS\n",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        write_synopsis(file, &command_specs[i]);
    fputs("\\fBweir \\-\\-help\\fR | \\fB\\-\\-version\\fR\n"
          ".SH DESCRIPTION\n"
          "weir receives messages from devices over TCP, shows each of them, and answers them.\n"
          "It cuts the stream into messages, bounds what a client may cost, notices who is gone, and closes without "
          "losing the\n"
          "last answer.\n"
          "What a client sends never reaches the terminal as it is: control characters, escape codes and broken "
          "UTF\\-8 are\n"
          "shown, not obeyed.\n"
          ".SH COMMANDS\n",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        write_command(file, (enum command)i);
    fputs(values, file);
    fputs(keeping, file);
    write_framings(file);
    fputs(configuration, file);
    fputs(environment, file);
    fputs(the_log, file);
    fputs(statuses, file);
    fputs(files, file);
    fputs(".SH EXAMPLES\n", file);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(file, ".SS weir %s\n", command_specs[i].name);
        write_example(file, command_specs[i].examples);
    }
    fputs(".SH SEE ALSO\n"
          "\\fBnc\\fR(1), \\fBsystemd.exec\\fR(5), \\fBtcp\\fR(7)\n",
          file);
}
