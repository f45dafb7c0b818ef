/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Options in, a plan out. Holds every check of a server's options that the option table cannot make, once and in one
 * order. Must never bind, resolve, or touch a file. */
#include "plan.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/ack.h"
#include "text/encoding.h"

enum {
    WORKERS_MAX = 256,
    STORED_BYTES_MAX = 999 * 1000 * 1000, /* a row of SQLite's: 10^9 bytes (https://www.sqlite.org/limits.html) */
    REASON_BYTES_MAX = 256
};

static unsigned available_processors(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

    return count > WORKERS_MAX ? WORKERS_MAX : (unsigned)count;
}

/* Bad words in an option are the caller's to mend. */
static int blame(int err)
{
    return err == -EINVAL ? WEIR_ECONFIG : err;
}

static enum plan_store store_kind(const char *store)
{
    if (!store || strcmp(store, "auto") == 0) return PLAN_STORE_AUTO;
    return strcmp(store, "none") == 0 ? PLAN_STORE_NONE : PLAN_STORE_PATH;
}

/* ---- Listeners ---- */

static int make_reply(struct plan_listener *listener, char error[OPTIONS_ERROR_BYTES_MAX])
{
    const struct endpoint_options *options = listener->options;
    char reason[REASON_BYTES_MAX];
    int err = reply_init(&listener->reply, options->reply, reason, sizeof(reason));

    if (!err) err = reply_check(&listener->reply, &options->service, reason, sizeof(reason));
    if (err) snprintf(error, OPTIONS_ERROR_BYTES_MAX, "--reply %s: %s", options->reply, reason);
    return err;
}

static int check_message_bytes(const struct weir_service *service, bool is_stored, char error[OPTIONS_ERROR_BYTES_MAX])
{
    if (!is_stored || service->message_bytes_max <= STORED_BYTES_MAX) return 0;
    snprintf(error, OPTIONS_ERROR_BYTES_MAX,
             "--max-frame %lld: a message of more than %d bytes cannot be stored; allow fewer, or store nothing: "
             "--store none",
             (long long)service->message_bytes_max, STORED_BYTES_MAX);
    return -EINVAL;
}

static bool sends_raw(const struct weir_service *service)
{
    struct weir_frame *frame = NULL;
    const bool is_framed = !weir_service_send_frame(service, &frame, NULL, 0) && weir_frame_is_sendable(frame);

    weir_frame_free(frame);
    return !is_framed;
}

static int make_listener(const struct endpoint_options *options, bool is_stored, struct plan_listener *ret,
                         char error[OPTIONS_ERROR_BYTES_MAX])
{
    const struct weir_service *service = &options->service;
    int err = weir_service_check(service, error, OPTIONS_ERROR_BYTES_MAX);

    *ret = (struct plan_listener){ .options = options,
                                   .url = options->url ? options->url : SERVE_ADDRESS,
                                   .frame = service->frame ? service->frame : "raw",
                                   .sends_raw = sends_raw(service),
                                   .ack = { .when = (enum ack_when)options->ack_when,
                                            .acks_truncated = options->ack_truncated } };
    if (!err) err = make_reply(ret, error);
    if (!err) err = check_message_bytes(service, is_stored, error);
    if (!err) err = ack_new(options, is_stored, &ret->ack.template, error, OPTIONS_ERROR_BYTES_MAX);
    return err;
}

/* Without an endpoint the options common to all are those of the one listener. */
static int make_listeners(struct plan *plan, char error[OPTIONS_ERROR_BYTES_MAX])
{
    const struct options *options = plan->options;
    const struct endpoint_options *endpoints = options->endpoint_count ? options->endpoints : &options->common;
    const size_t count = options->endpoint_count ? options->endpoint_count : 1;
    int err = 0;

    plan->listeners = calloc(count, sizeof(*plan->listeners));
    if (!plan->listeners) {
        snprintf(error, OPTIONS_ERROR_BYTES_MAX, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    plan->listener_count = count;
    for (size_t i = 0; i < count && !err; i++)
        err = make_listener(&endpoints[i], plan->store != PLAN_STORE_NONE, &plan->listeners[i], error);
    return err;
}

/* ---- The store ---- */

/* "8000.db" for tcp://127.0.0.1:8000, "device.sock.db" for unix:/run/device.sock. */
static void name_after(const char *address, char *ret, size_t size)
{
    struct weir_url url = { .kind = 0 };
    const char *slash = NULL;

    weir_url_parse(address, &url, NULL, 0);
    slash = strrchr(url.path, '/');
    if (url.kind == WEIR_URL_UNIX)
        snprintf(ret, size, "%s.db", slash ? slash + 1 : url.path);
    else if (url.kind == WEIR_URL_FD || url.port == 0)
        snprintf(ret, size, "PORT.db");
    else
        snprintf(ret, size, "%u.db", url.port);
}

int plan_find_store(const struct plan *plan, const char *address, char ret[FOLDER_PATH_BYTES_MAX],
                    char error[FOLDER_ERROR_BYTES_MAX])
{
    char name[WEIR_ADDRESS_BYTES_MAX];

    if (plan->store == PLAN_STORE_PATH) return folder_resolve(plan->options->store, ret, error);
    name_after(address, name, sizeof(name));
    return folder_default(name, ret, error);
}

static int place_store(struct plan *plan, char error[OPTIONS_ERROR_BYTES_MAX])
{
    _Static_assert((int)OPTIONS_ERROR_BYTES_MAX >= (int)FOLDER_ERROR_BYTES_MAX,
                   "error has room for a folder's sentence");

    if (plan->store == PLAN_STORE_NONE) return 0;
    plan->retention = (struct retention_wish){ .age_ms_max = plan->options->keep_for_ms,
                                               .bytes_max = plan->options->keep_bytes_max,
                                               .free_percent = plan->options->keep_free_percent };
    return plan_find_store(plan, plan->listeners[0].url, plan->store_path, error);
}

/* ---- The whole ---- */

static int fill(struct plan *plan, char error[OPTIONS_ERROR_BYTES_MAX])
{
    const struct options *options = plan->options;
    int err = 0;

    plan->workers = options->workers ? (unsigned)options->workers : available_processors();
    plan->store = store_kind(options->store);
    err = blame(budget_init(&plan->budget, options, plan->store != PLAN_STORE_NONE, plan->workers, error));
    if (!err) err = options_open_encoding(options, &plan->encoding, error);
    if (!err) err = blame(make_listeners(plan, error));
    return err ? err : place_store(plan, error);
}

int plan_new(const struct options *options, struct plan **ret, char error[OPTIONS_ERROR_BYTES_MAX])
{
    struct plan *plan = calloc(1, sizeof(*plan));
    int err = -ENOMEM;

    if (plan) {
        plan->options = options;
        err = fill(plan, error);
    } else {
        snprintf(error, OPTIONS_ERROR_BYTES_MAX, "%s", weir_strerror(err));
    }
    if (err)
        plan_free(plan);
    else
        *ret = plan;
    return err;
}

void plan_free(struct plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->listener_count; i++) {
        reply_fini(&plan->listeners[i].reply);
        template_free(plan->listeners[i].ack.template);
    }
    free(plan->listeners);
    encoding_close(plan->encoding);
    free(plan);
}
