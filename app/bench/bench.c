/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/bench/bench.c: from the options of `weir bench` to its exit status. */
#include "bench.h"

enum status bench_run(const struct options *options)
{
    if (!options->endpoint_count) return status_usage(COMMAND_BENCH, "bench what? As in: weir bench 8000");
    return STATUS_DONE;
}
