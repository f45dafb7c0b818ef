/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads the ledger and then the store, and tells what proof.c makes of them. Server and verify may
 * go on meanwhile: what the ledger says was acknowledged is in a store that is read later, and what the store had
 * before the ledger was read is in the ledger. Must never write to either. */
#include "audit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "ledger.h"
#include "proof.h"
#include "store/locate.h"
#include "store/reader.h"
#include "store/record.h"
#include "terminal/live.h"

#define SHOW_EVERY_NS INT64_C(1000000000)

struct audit {
    const struct verify_options *asked;
    struct proof *proof;
    struct reader *reader;
    uint64_t first_row; /* with which the store begins; 0: it has none */
    struct live live;
    int64_t shown_ns;
};

static enum status fail(int err, const char *sentence)
{
    return status_error(COMMAND_VERIFY, err, sentence);
}

/* ---- Reading ---- */

static enum status read_ledger(struct audit *audit)
{
    const char *path = audit->asked->ledger;
    char sentence[LEDGER_ERROR_BYTES_MAX];
    uint64_t line = 0;
    const int err = ledger_read(path, proof_add_entry, audit->proof, &line);

    if (!err) return STATUS_DONE;
    if (err == -EBADMSG)
        snprintf(sentence, sizeof(sentence),
                 "ledger %.400s: line %" PRIu64 " is none of a ledger's, or not in its place", path, line);
    else
        snprintf(sentence, sizeof(sentence), "ledger %.400s: %s", path, weir_strerror(err));
    return fail(err, sentence);
}

static void show(struct audit *audit, uint64_t at, uint64_t until)
{
    const int64_t now_ns = clock_ns();
    struct line *line = NULL;

    if (!audit->live.is_shown || now_ns - audit->shown_ns < SHOW_EVERY_NS) return;
    audit->shown_ns = now_ns;
    line = live_begin(&audit->live);
    line_add_count(line, at, "message");
    line_addf(line, " of the store looked at, of %" PRIu64, until);
    live_show(&audit->live);
}

/* What was cut off by the client's end is no message of its own, and never acknowledged. */
static int add_page(struct audit *audit, const struct reader_page *page, uint64_t late_from)
{
    int err = 0;

    if (!audit->first_row && page->count > 0) audit->first_row = page->messages[0].id;
    for (size_t i = 0; i < page->count && !err; i++) {
        const struct stored_message *message = &page->messages[i];
        const struct proof_row row = { .id = message->id,
                                       .connection = message->connection,
                                       .seq = message->seq,
                                       .is_late = message->id > late_from,
                                       .bytes = message->bytes };
        if (message->is_sent || message->flags & RECORD_UNFINISHED) continue;
        err = proof_add_row(audit->proof, &row);
    }
    return err;
}

static enum status read_store(struct audit *audit, uint64_t late_from)
{
    struct reader_range range = { .after = 0 };
    struct reader_page page;
    int err = reader_newest(audit->reader, &range.until);
    const uint64_t until = range.until;

    while (!err && range.after < range.until) {
        err = reader_read(audit->reader, &range, &page);
        if (err) break;
        if (add_page(audit, &page, late_from)) return fail(-ENOMEM, weir_strerror(-ENOMEM));
        show(audit, range.after, until);
    }
    return err ? fail(err, reader_text(audit->reader)) : STATUS_DONE;
}

/* ---- Telling ---- */

static const char *const kinds[PROOF_FAULT_COUNT] = { [PROOF_MISSING] = "missing",
                                                      [PROOF_ALTERED] = "altered",
                                                      [PROOF_DISORDERED] = "out of order",
                                                      [PROOF_REPEATED] = "stored more often than sent" };

static void add_fault(struct line *line, enum proof_fault_kind kind, const struct proof_fault *fault)
{
    line_addf(line, "%s: message %" PRIu64 " of connection %" PRIu32 " of run %08" PRIx32, kinds[kind], fault->number,
              fault->connection, fault->run);
    if (fault->row) line_addf(line, ", message %" PRIu64 " of the store", fault->row);
    if (kind == PROOF_REPEATED) line_addf(line, "; stored %u times, sent %u times", fault->stored, fault->sent);
    line_add_text(line, "\n");
}

static uint64_t add_faults(struct line *line, const struct proof_result *result)
{
    uint64_t total = 0;

    for (int kind = 0; kind < PROOF_FAULT_COUNT; kind++) {
        const uint64_t count = result->counts[kind];
        for (uint64_t i = 0; i < count && i < PROOF_NAMED_MAX; i++)
            add_fault(line, (enum proof_fault_kind)kind, &result->faults[kind][i]);
        if (count > PROOF_NAMED_MAX)
            line_addf(line, "%s: and %" PRIu64 " more\n", kinds[kind], count - PROOF_NAMED_MAX);
        total += count;
    }
    return total;
}

static void add_result(struct line *line, const struct proof_result *result, uint64_t first_row)
{
    line_add_text(line, "sent          ");
    line_add_count(line, result->messages, "message");
    line_add_text(line, " in ");
    line_add_count(line, result->runs, "run");
    line_add_text(line, "\nacknowledged  ");
    line_add_count(line, result->acknowledged, "message");
    line_add_text(line, "\nstored        ");
    line_add_count(line, result->stored, "message");
    line_addf(line, ": %" PRIu64 " of them again, %" PRIu64 " not acknowledged; %" PRIu64 " not of this ledger\n",
              result->stored_again, result->stored_beyond, result->others);
    line_addf(line, "missing %" PRIu64 ", altered %" PRIu64 ", out of order %" PRIu64 ", too often %" PRIu64 "\n",
              result->counts[PROOF_MISSING], result->counts[PROOF_ALTERED], result->counts[PROOF_DISORDERED],
              result->counts[PROOF_REPEATED]);
    if (result->counts[PROOF_MISSING] > 0 && first_row > 1)
        line_addf(line,
                  "the store begins with message %" PRIu64 ": those before it have been deleted, by --keep-for and the "
                  "like, and count as missing where they were acknowledged\n",
                  first_row);
}

static enum status tell(const struct proof_result *result, uint64_t first_row)
{
    struct line line = { 0 };
    const uint64_t faults = add_faults(&line, result);
    enum status status = STATUS_DONE;

    add_result(&line, result, first_row);
    if (line.failed) status = fail(-ENOMEM, weir_strerror(-ENOMEM));
    if (!line.failed) fwrite(line.bytes, 1, line.len, stdout);
    line_fini(&line);
    if (status == STATUS_DONE) status = status_stdout();
    return faults ? STATUS_NOT_STORED : status;
}

enum status audit_run(const struct options *options)
{
    struct audit audit = { .asked = &options->verify };
    char path[FOLDER_PATH_BYTES_MAX], error[LOCATE_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;
    uint64_t late_from = 0;
    int err = locate_store(audit.asked->store, path, error);

    if (!err) err = reader_open(path, &audit.reader, error);
    if (err) return fail(err, error);
    live_init(&audit.live);
    err = proof_new(&audit.proof);
    if (err) status = fail(err, weir_strerror(err));
    if (!err) err = reader_newest(audit.reader, &late_from);
    if (err && status == STATUS_DONE) status = fail(err, reader_text(audit.reader));
    if (status == STATUS_DONE) status = read_ledger(&audit);
    if (status == STATUS_DONE) status = read_store(&audit, late_from);
    live_clear(&audit.live);
    if (status == STATUS_DONE) status = tell(proof_end(audit.proof), audit.first_row);
    live_fini(&audit.live);
    proof_free(audit.proof);
    reader_close(audit.reader);
    return status;
}
