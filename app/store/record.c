/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Records one behind the other, each on a boundary that its members need. */
#include "record.h"

#include <stdlib.h>

#include "base/debug.h"

struct batch *batch_new(unsigned worker, size_t room)
{
    struct batch *batch = malloc(sizeof(*batch) + room);

    if (!batch) return NULL;
    *batch = (struct batch){ .worker = worker, .room = room };
    return batch;
}

void batch_free_all(struct batch *batch)
{
    while (batch) {
        struct batch *next = batch->next;

        free(batch);
        batch = next;
    }
}

size_t record_bytes(size_t len)
{
    const size_t grain = _Alignof(struct record);

    return (sizeof(struct record) + len + grain - 1) / grain * grain;
}

struct record *batch_add(struct batch *batch, size_t len)
{
    const size_t bytes = record_bytes(len);
    struct record *record = (struct record *)(void *)(batch->bytes + batch->len);

    DEBUG_ASSERT(batch->len <= batch->room);
    if (bytes > batch->room - batch->len) return NULL;
    batch->len += bytes;
    batch->count++;
    record->len = (uint32_t)len;
    return record;
}

struct record *batch_next(struct batch *batch, const struct record *before)
{
    const size_t at = before ? (size_t)((const unsigned char *)before - batch->bytes) + record_bytes(before->len) : 0;

    return at < batch->len ? (struct record *)(void *)(batch->bytes + at) : NULL;
}

struct record *batch_next_message(struct batch *batch, const struct record *before)
{
    struct record *record = batch_next(batch, before);

    while (record && record->kind != RECORD_MESSAGE && record->kind != RECORD_SENT)
        record = batch_next(batch, record);
    return record;
}
