/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The bound on clients. Its counter is the only thing on the way of a connection that workers share. */
#include "admission.h"

#include <assert.h>
#include <dirent.h>
#include <stddef.h>
#include <sys/resource.h>

enum { RESERVE_MAX = 64, RESERVE_SHARE = 4 };

static uint64_t descriptors_open(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");

    if (!dir) return 3; /* no /proc: the three that every process has */
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') count++;
    }
    closedir(dir);
    return count - 1; /* less the folder's own */
}

uint64_t weir__admission_room(void)
{
    struct rlimit limit;
    uint64_t reserve, used;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
    if (limit.rlim_cur == RLIM_INFINITY) limit.rlim_cur = 1 << 20;
    reserve = limit.rlim_cur / RESERVE_SHARE;
    if (reserve > RESERVE_MAX) reserve = RESERVE_MAX;
    used = descriptors_open() + reserve;
    return limit.rlim_cur > used ? limit.rlim_cur - used : 1;
}

void weir__admission_shrink(struct weir__admission *admission, uint64_t descriptors)
{
    uint64_t before = atomic_load(&admission->clients_max);

    while (!atomic_compare_exchange_weak(&admission->clients_max, &before,
                                         before > descriptors ? before - descriptors : 1)) {
    }
}

void weir__admission_grow(struct weir__admission *admission, uint64_t descriptors)
{
    atomic_fetch_add(&admission->clients_max, descriptors);
}

bool weir__admission_take_place(struct weir__admission *admission)
{
    const uint64_t before = atomic_fetch_add_explicit(&admission->clients, 1, memory_order_relaxed);

    if (before < atomic_load_explicit(&admission->clients_max, memory_order_relaxed)) return true;
    weir__admission_return_place(admission);
    return false;
}

void weir__admission_force_place(struct weir__admission *admission)
{
    atomic_fetch_add_explicit(&admission->clients, 1, memory_order_relaxed);
}

void weir__admission_return_place(struct weir__admission *admission)
{
    const uint64_t before = atomic_fetch_sub_explicit(&admission->clients, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
}

enum weir_reason weir__admission_enter(struct weir__admission *admission, const struct weir__peer *peer)
{
    return admission->rule ? admission->rule->enter(peer) : WEIR_REASON_NONE;
}

void weir__admission_leave(struct weir__admission *admission, const struct weir__peer *peer)
{
    if (admission->rule) admission->rule->leave(peer);
}
