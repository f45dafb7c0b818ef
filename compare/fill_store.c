/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A store with a history: weir_fill_store PATH MESSAGES CONNECTIONS BYTES makes one as weir serve would have, had so
 * many clients sent lines in turn, a thousand a second in all, until now. What is there already stays. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"
#include "store/folder.h"
#include "store/store.h"

enum { TRANSACTION_RECORDS = 20000, TRANSACTIONS_A_CHECKPOINT = 16, MESSAGE_EVERY_US = 1000 };

struct fill {
    struct store *store;
    struct batch *batch;
    struct head *heads;
    unsigned long long messages, connections, bytes;
    int64_t first_us;
};

static struct record *add(struct fill *fill, struct head *head, enum record_kind kind, size_t len)
{
    struct record *record = batch_add(fill->batch, len);

    *record = (struct record){ .head = head, .kind = (uint8_t)kind, .original_len = len, .len = (uint32_t)len };
    return record;
}

static bool is_stored(const struct fill *fill, enum store_outcome outcome)
{
    if (outcome != STORE_STORED) fprintf(stderr, "weir_fill_store: %s\n", store_text(fill->store));
    return outcome == STORE_STORED;
}

/* Stores what is in the batch, and empties it. */
static bool store_batch(struct fill *fill)
{
    enum store_outcome outcome = store_begin(fill->store);

    if (outcome == STORE_STORED) outcome = store_add(fill->store, fill->batch);
    if (outcome == STORE_STORED) outcome = store_commit(fill->store);
    fill->batch->len = fill->batch->count = 0;
    return is_stored(fill, outcome);
}

static void add_opening(struct fill *fill, unsigned long long i)
{
    char bytes[128];
    const int len = snprintf(bytes, sizeof(bytes), "tcp://127.0.0.1:8000%cline%c127.%llu.%llu.%llu:50000", 0, 0,
                             1 + (i >> 16), i >> 8 & 255, i & 255);
    struct record *record = add(fill, &fill->heads[i], RECORD_OPEN, (size_t)len + 1);

    record->time_us = fill->first_us;
    memcpy(record->bytes, bytes, (size_t)len + 1);
}

static void add_message(struct fill *fill, unsigned long long i)
{
    struct record *record = add(fill, &fill->heads[i % fill->connections], RECORD_MESSAGE, fill->bytes);
    char text[64];
    const int len = snprintf(text, sizeof(text), "message %llu ", i + 1);

    record->seq = i / fill->connections + 1;
    record->time_us = fill->first_us + (int64_t)i * MESSAGE_EVERY_US;
    record->flags = RECORD_TEXT;
    memset(record->bytes, 'x', fill->bytes);
    memcpy(record->bytes, text, (size_t)len < fill->bytes ? (size_t)len : (size_t)fill->bytes);
    record->crc32c = crc32c(record->bytes, fill->bytes);
}

static bool fill_with(struct fill *fill, unsigned long long count,
                      void (*add_one)(struct fill *fill, unsigned long long i))
{
    int64_t left = 0;

    for (unsigned long long i = 0; i < count;) {
        add_one(fill, i++);
        if (i % TRANSACTION_RECORDS && i < count) continue;
        if (!store_batch(fill)) return false;
        if (i % ((unsigned long long)TRANSACTION_RECORDS * TRANSACTIONS_A_CHECKPOINT)) continue;
        if (!is_stored(fill, store_checkpoint(fill->store, &left))) return false;
    }
    return true;
}

static bool write_heads(struct fill *fill)
{
    enum store_outcome outcome = store_begin(fill->store);

    for (unsigned long long i = 0; i < fill->connections && outcome == STORE_STORED; i++)
        outcome = store_set_head(fill->store, &fill->heads[i]);
    if (outcome == STORE_STORED) outcome = store_set_heads_until(fill->store);
    if (outcome == STORE_STORED) outcome = store_commit(fill->store);
    return is_stored(fill, outcome) &&
           is_stored(fill, store_seal(fill->store, store_next_connection(fill->store), false));
}

static bool run(struct fill *fill)
{
    const uint64_t first_connection = store_next_connection(fill->store);

    fill->heads = calloc(fill->connections, sizeof(*fill->heads));
    fill->batch = batch_new(0, TRANSACTION_RECORDS * record_bytes(fill->bytes > 128 ? fill->bytes : 128));
    if (!fill->heads || !fill->batch) return false;
    for (unsigned long long i = 0; i < fill->connections; i++)
        fill->heads[i].connection = first_connection + i;
    fill->first_us = (int64_t)time(NULL) * 1000000 - (int64_t)fill->messages * MESSAGE_EVERY_US;
    return fill_with(fill, fill->connections, add_opening) && fill_with(fill, fill->messages, add_message) &&
           write_heads(fill);
}

int main(int argc, char **argv)
{
    char error[STORE_ERROR_BYTES_MAX] = "";
    struct fill fill = { .store = NULL };
    bool is_done = false;
    int lock = -1;

    if (argc == 5) {
        fill.messages = strtoull(argv[2], NULL, 10);
        fill.connections = strtoull(argv[3], NULL, 10);
        fill.bytes = strtoull(argv[4], NULL, 10);
    }
    if (!fill.connections || !fill.bytes) {
        fprintf(stderr, "usage: weir_fill_store PATH MESSAGES CONNECTIONS BYTES\n");
        return 2;
    }
    lock = folder_lock(argv[1], error);
    if (lock >= 0 && !folder_make_file(argv[1], error) && !store_open(argv[1], &fill.store, error))
        is_done = run(&fill);
    else
        fprintf(stderr, "weir_fill_store: %s\n", error);
    store_close(fill.store);
    folder_unlock(lock);
    free(fill.heads);
    free(fill.batch);
    return !is_done;
}
