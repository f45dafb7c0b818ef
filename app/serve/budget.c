/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Arithmetic: options in, shares out. The shares follow from --max-memory alone, up to what each of them
 * has when memory is plenty. Must never give out more than there is. */
#include "budget.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

static const size_t all_default = (size_t)1024 * MIB;

static size_t part(size_t bytes, size_t least, size_t most)
{
    return bytes < least ? least : bytes > most ? most : bytes;
}

static void add_size(char *ret, size_t size, size_t bytes)
{
    if (bytes % MIB == 0)
        snprintf(ret, size, "%zuMiB", bytes / MIB);
    else
        snprintf(ret, size, "%zu", bytes);
}

static int fail_queue(const struct budget *budget, char error[BUDGET_ERROR_BYTES_MAX])
{
    char queue[32], all[32], needed[32];

    add_size(queue, sizeof(queue), budget->store_queue);
    add_size(all, sizeof(all), budget->all);
    add_size(needed, sizeof(needed), budget->store_queue * 2);
    snprintf(error, BUDGET_ERROR_BYTES_MAX,
             "--store-queue %s: it counts in --max-memory %s, the memory of the whole process, and can be half of that "
             "at most; lower it, or raise --max-memory to %s",
             queue, all, needed);
    return -EINVAL;
}

/* What the others leave; in very small budgets it has its part all the same. */
static size_t rest(const struct budget *budget)
{
    const size_t others = budget->store_queue + budget->store_cache + budget->output + budget->spare;
    const size_t least = budget->all / 8 + 1;

    return budget->all > others + least ? budget->all - others : least;
}

int budget_init(struct budget *ret, const struct options *options, bool is_stored, unsigned workers,
                char error[BUDGET_ERROR_BYTES_MAX])
{
    const size_t all = options->memory_bytes_max ? (size_t)options->memory_bytes_max : all_default;
    struct budget budget = { .all = all, .spare = all / 8 };

    if (is_stored) {
        budget.store_queue = (size_t)options->store_queue_bytes_max;
        if (budget.store_queue > all / 2) return fail_queue(&budget, error);
        if (!budget.store_queue) budget.store_queue = part(all / 4, MIB, (size_t)64 * MIB);
        budget.store_cache = part(all / 16, 256 * KIB, (size_t)16 * MIB);
    }
    budget.output_queue = part(all / 16, 64 * KIB, (size_t)4 * MIB);
    budget.long_lines = all / 2;
    if (options->print != PRINT_OFF) budget.output = part(all / 16, 128 * KIB, (size_t)8 * MIB);
    budget.mailbox = part(all / 16, MIB, (size_t)64 * MIB);
    budget.batch = part(all / 256 / workers, 16 * KIB, 256 * KIB);
    budget.last_message = part(all / 16 / workers, 64 * KIB, SIZE_MAX);
    budget.answers = part(all / 16, 64 * KIB, SIZE_MAX);
    budget.clients = rest(&budget);
    *ret = budget;
    return 0;
}

/* ---- The allocator: the one place for what differs between C libraries ---- */

#if defined(__GLIBC__)
static void set_allocator(size_t mapped, bool is_one_arena)
{
    /* Also keeps the C library from raising it by itself (mallopt(3)). */
    mallopt(M_MMAP_THRESHOLD, (int)mapped);
    mallopt(M_TRIM_THRESHOLD, (int)mapped);
    if (is_one_arena) mallopt(M_ARENA_MAX, 1);
}
#else
static void set_allocator(size_t mapped, bool is_one_arena)
{
    (void)mapped;
    (void)is_one_arena;
}
#endif

/* What is mapped by itself goes back to the system at once. With arenas of its own a thread keeps what others could
 * use. Both cost time, which is not to be felt where there is memory. */
void budget_set_allocator(const struct budget *budget)
{
    if (budget->all >= all_default) return;
    set_allocator(part(budget->all / 256, 128 * KIB, (size_t)4 * MIB), budget->all < all_default / 4);
}
