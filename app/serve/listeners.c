/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Binds the listeners of a plan, each in turn. */
#include "listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parties.h"
#include "session.h"

enum { DEFAULT_MESSAGE_BYTES_MAX = 1024 * 1024 /* the engine's */ };

/* What people are told of the listener's framing while they watch. */
static void choose_hints(struct listener *listener, const struct listeners_config *config, const char *spec)
{
    struct weir_frame *frame = NULL;
    const char *name = "";

    if (!config->is_watched || weir_frame_new(spec, &frame, NULL, 0)) return;
    name = weir_frame_codec(frame)->name;
    listener->hints = strcmp(name, "raw") == 0;
    listener->missing = strcmp(name, "line") == 0 ? "no newline yet" : "no end yet";
    weir_frame_free(frame);
}

static void prepare(struct listener *listener, const struct listeners_config *config, const struct plan_listener *plan)
{
    const struct weir_service *service = &plan->options->service;

    listener->reply = plan->reply;
    listener->ack = plan->ack;
    listener->keeps = config->plan->store != PLAN_STORE_NONE;
    listener->for_journal = (struct journal_listener){ .store_replies = plan->options->store_replies,
                                                       .frame = plan->frame,
                                                       .url = listener->url,
                                                       .on_owed = parties_on_owed };
    listener->show = config->show;
    listener->log = config->log;
    choose_hints(listener, config, plan->frame);
    listener->desk = config->desk;
    listener->for_desk.sends_raw = plan->sends_raw;
    listener->for_desk.message_bytes_max =
        service->message_bytes_max ? (size_t)service->message_bytes_max : DEFAULT_MESSAGE_BYTES_MAX;
}

static int start_listener(struct listeners *listeners, const struct listeners_config *config, size_t index)
{
    const struct plan_listener *plan = &config->plan->listeners[index];
    struct listener *listener = &listeners->all[index];
    struct weir_service service = plan->options->service;
    int err = 0;

    prepare(listener, config, plan);
    session_choose_callbacks(listener, &service);
    if (plan->options->half_close == HALF_CLOSE_CLOSE) service.on_end = NULL;
    err = weir_listen(config->weir, plan->url, &service, &listeners->of_engine[index]);
    if (err) return err;
    weir_listener_address(listeners->of_engine[index], 0, listener->url);
    if (config->plan->options->print == PRINT_JSON || config->plan->listener_count > 1)
        listener->shown_url = listener->url;
    listener->for_desk.url = listener->shown_url;
    return 0;
}

int listeners_start(struct listeners *listeners, const struct listeners_config *config,
                    char error[OPTIONS_ERROR_BYTES_MAX])
{
    const size_t count = config->plan->listener_count;
    int err = 0;

    listeners->all = calloc(count, sizeof(*listeners->all));
    listeners->of_engine = calloc(count, sizeof(struct weir_listener *));
    if (!listeners->all || !listeners->of_engine) {
        snprintf(error, OPTIONS_ERROR_BYTES_MAX, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    for (size_t i = 0; i < count && !err; i++) {
        listeners->count = i + 1;
        err = start_listener(listeners, config, i);
    }
    if (err) snprintf(error, OPTIONS_ERROR_BYTES_MAX, "%s", weir_error_text(config->weir));
    return err;
}

void listeners_set_journal(struct listeners *listeners, struct journal *journal)
{
    for (size_t i = 0; i < listeners->count; i++)
        listeners->all[i].journal = journal;
}

const char *listeners_missing(const struct weir_listener *of_engine, void *user)
{
    const struct listeners *listeners = user;

    for (size_t i = 0; i < listeners->count; i++)
        if (listeners->of_engine[i] == of_engine) return listeners->all[i].missing;
    return "no end yet";
}

void listeners_fini(struct listeners *listeners)
{
    free(listeners->all);
    free(listeners->of_engine);
}
