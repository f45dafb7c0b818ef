/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Turns the struct weir_service that a caller fills in into the one that the engine reads: every number checked, every
 * default in its place, SPECs read. Nothing after this asks again whether a value makes sense. */
#include "service.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/engine.h"
#include "engine/worker.h"
#include "fail.h"
#include "memory.h"

enum { MEBIBYTE = 1 << 20, REFUSED_A_SECOND_MAX = 10 };

/* How WEIR_OFF is read for a number. */
enum off { OFF_REFUSED, OFF_ENDLESS, OFF_ZERO };

struct number {
    const char *name;
    int64_t given;
    int64_t standard;
    int64_t least;
    int64_t most;
    enum off off;
};

static int read_number(const struct weir *weir, const struct number *number, int64_t *ret)
{
    if (number->given == 0) {
        *ret = number->standard;
        return 0;
    }
    if (number->given == WEIR_OFF && number->off != OFF_REFUSED) {
        *ret = number->off == OFF_ENDLESS ? INT64_MAX : 0;
        return 0;
    }
    if (number->given == WEIR_OFF) return weir__fail(weir, WEIR_ECONFIG, "%s: cannot be off", number->name);
    if (number->given < number->least || number->given > number->most)
        return weir__fail(weir, WEIR_ECONFIG, "%s: %lld is not between %lld and %lld", number->name,
                          (long long)number->given, (long long)number->least, (long long)number->most);
    *ret = number->given;
    return 0;
}

static int read_numbers(const struct weir *weir, const struct number *numbers, size_t count, int64_t *ret)
{
    for (size_t i = 0; i < count; i++) {
        const int err = read_number(weir, &numbers[i], &ret[i]);
        if (err != 0) return err;
    }
    return 0;
}

enum { DAY_MS = 24 * 60 * 60 * 1000, YEAR_S = 365 * 24 * 60 * 60 };

static const int64_t time_max_ms = (int64_t)YEAR_S * 1000;

static int read_times(struct weir__service *service, const struct weir *weir, const struct weir_service *given)
{
    const struct number numbers[] = {
        { "idle_timeout_ms", given->idle_timeout_ms, INT64_MAX, 1, time_max_ms, OFF_ENDLESS },
        { "frame_timeout_ms", given->frame_timeout_ms, 30000, 1, time_max_ms, OFF_ENDLESS },
        { "write_timeout_ms", given->write_timeout_ms, 30000, 1, time_max_ms, OFF_ENDLESS },
        { "drain_timeout_ms", given->drain_timeout_ms, 10000, 1, time_max_ms, OFF_ENDLESS },
        { "linger_timeout_ms", given->linger_timeout_ms, 2000, 1, DAY_MS, OFF_ZERO },
        { "arrive_timeout_ms", given->arrive_timeout_ms, 10000, 1, time_max_ms, OFF_ENDLESS },
        { "connect_timeout_ms", given->connect_timeout_ms, 10000, 1, time_max_ms, OFF_ENDLESS },
        { "keepalive_idle_ms", given->keepalive_idle_ms, 60000, 1000, 32767000, OFF_ZERO },
        { "keepalive_interval_ms", given->keepalive_interval_ms, 10000, 1000, 32767000, OFF_REFUSED },
        { "keepalive_count", given->keepalive_count, 5, 1, 127, OFF_REFUSED },
    };
    int64_t values[sizeof(numbers) / sizeof(*numbers)];
    const int err = read_numbers(weir, numbers, sizeof(numbers) / sizeof(*numbers), values);

    if (err != 0) return err;
    service->idle_timeout_ms = values[0];
    service->frame_timeout_ms = values[1];
    service->write_timeout_ms = values[2];
    service->drain_timeout_ms = values[3];
    service->linger_timeout_ms = values[4];
    service->arrive_timeout_ms = values[5];
    service->connect_timeout_ms = values[6];
    service->keepalive_idle_ms = values[7];
    service->keepalive_interval_ms = values[8];
    service->keepalive_count = values[9];
    return 0;
}

/* The cap leaves room above the high mark for one largest message as it is framed, so that whoever gets a message can
 * answer it. */
static void set_output_marks(struct weir__service *service, int64_t high)
{
    const struct weir_codec *encoder = service->encoder;
    size_t largest = service->message_bytes_max;

    if (encoder && encoder->encode)
        largest = encoder->encoded_bytes_max(service->encoder_config, service->message_bytes_max);
    service->output_high = (size_t)high;
    service->output_low = (size_t)high / 2;
    service->output_cap = largest < SIZE_MAX - (size_t)high ? (size_t)high + largest : SIZE_MAX;
}

static int read_sizes(struct weir__service *service, const struct weir *weir, const struct weir_service *given)
{
    const int64_t gibibyte = (int64_t)1024 * MEBIBYTE;
    const struct number numbers[] = {
        { "message_bytes_max", given->message_bytes_max, MEBIBYTE, 1, gibibyte, OFF_REFUSED },
        { "output_bytes_max", given->output_bytes_max, MEBIBYTE, 1, 64 * gibibyte, OFF_REFUSED },
        { "wake_bytes_max", given->wake_bytes_max, 256 * 1024, 1, gibibyte, OFF_REFUSED },
        { "wake_messages_max", given->wake_messages_max, 4096, 1, gibibyte, OFF_REFUSED },
        { "linger_bytes_max", given->linger_bytes_max, MEBIBYTE, 1, 64 * gibibyte, OFF_ENDLESS },
    };
    int64_t values[sizeof(numbers) / sizeof(*numbers)];
    const int err = read_numbers(weir, numbers, sizeof(numbers) / sizeof(*numbers), values);

    if (err != 0) return err;
    if ((unsigned)given->too_long > WEIR_TOO_LONG_TRUNCATE)
        return weir__fail(weir, WEIR_ECONFIG, "too_long: %d is no policy", (int)given->too_long);
    service->message_bytes_max = (size_t)values[0];
    service->too_long = given->too_long;
    service->wake_bytes_max = (size_t)values[2];
    service->wake_messages_max = (size_t)values[3];
    service->linger_bytes_max = (uint64_t)values[4];
    set_output_marks(service, values[1]);
    return 0;
}

static int read_spec(const struct weir *weir, const char *spec, struct weir_frame **ret)
{
    char error[256];
    const int err = weir_frame_new(spec, ret, error, sizeof(error));

    return err == 0 ? 0 : weir__fail(weir, err, "%s", err == -ENOMEM ? weir_strerror(err) : error);
}

static int check_codec(const struct weir *weir, const struct weir_codec *codec)
{
    if (codec->size < sizeof(struct weir_codec) || !codec->decode)
        return weir__fail(weir, WEIR_ECONFIG, "codec: has no decode, or was not made with WEIR_CODEC");
    if (codec->encode && !codec->encoded_bytes_max)
        return weir__fail(weir, WEIR_ECONFIG, "codec %s: has encode and no encoded_bytes_max", codec->name);
    if (codec->state_bytes > WEIR_CODEC_STATE_BYTES_MAX)
        return weir__fail(weir, WEIR_ECONFIG, "codec %s: a state of %zu bytes is more than %d", codec->name,
                          codec->state_bytes, WEIR_CODEC_STATE_BYTES_MAX);
    return 0;
}

static void set_decoder(struct weir__service *service, const struct weir_codec *codec, const void *config)
{
    service->decode = codec->decode;
    service->decode_config = config;
    service->state_bytes = codec->state_bytes;
    service->encoder = codec;
    service->encoder_config = config;
}

static int read_framing(struct weir__service *service, const struct weir *weir, const struct weir_service *given)
{
    const char *send = given->send_frame ? given->send_frame : "same";
    int err;

    if (given->codec) {
        if (given->frame) return weir__fail(weir, WEIR_ECONFIG, "frame and codec: give one of the two");
        err = check_codec(weir, given->codec);
        if (err != 0) return err;
        set_decoder(service, given->codec, given->codec_config);
    } else {
        err = read_spec(weir, given->frame ? given->frame : "raw", &service->frame);
        if (err != 0) return err;
        set_decoder(service, weir_frame_codec(service->frame), weir_frame_config(service->frame));
    }
    if (strcmp(send, "same") == 0) {
        if (service->frame && !weir_frame_is_sendable(service->frame)) service->encoder = NULL;
        return 0;
    }
    err = read_spec(weir, send, &service->send_frame);
    if (err != 0) return err;
    if (!weir_frame_is_sendable(service->send_frame))
        return weir__fail(weir, WEIR_ECONFIG, "send_frame \"%s\": what it sends could not be read back", send);
    service->encoder = weir_frame_codec(service->send_frame);
    service->encoder_config = weir_frame_config(service->send_frame);
    return 0;
}

static void set_callbacks(struct weir__service *service, const struct weir_service *given)
{
    service->on_open = given->on_open;
    service->on_message = given->on_message;
    service->on_writable = given->on_writable;
    service->on_end = given->on_end;
    service->on_close = given->on_close;
    service->on_refused = given->on_refused;
    service->user = given->user;
}

static int read_source(struct weir__service *service, const struct weir *weir, const char *source)
{
    if (!source || weir__address_parse(source, &service->source) == 0) return 0;
    return weir__fail(weir, WEIR_EADDRESS, "source \"%s\": not an IPv4 or IPv6 address", source);
}

/* A caller compiled against an older header gives a shorter struct; one against a newer a longer, which is fine as long
 * as it asks for nothing that we do not know. */
static int copy_given(const struct weir *weir, const struct weir_service *given, struct weir_service *ret)
{
    const unsigned char *bytes = (const unsigned char *)given;

    memset(ret, 0, sizeof(*ret));
    if (!given) return 0;
    if (given->size < sizeof(given->size) || given->size > 65536)
        return weir__fail(weir, WEIR_ECONFIG, "service: size is not set; use WEIR_SERVICE");
    for (size_t i = sizeof(*ret); i < given->size; i++) {
        if (bytes[i] != 0)
            return weir__fail(weir, WEIR_ECONFIG,
                              "service: uses a member that this version of the library does not know");
    }
    memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
    return 0;
}

static void free_frames(struct weir__service *service)
{
    weir_frame_free(service->frame);
    weir_frame_free(service->send_frame);
}

/* What the caller decides. The frames are freed on failure too. */
static int read_given(struct weir__service *service, const struct weir *weir, const struct weir_service *given)
{
    struct weir_service copy;
    int err = copy_given(weir, given, &copy);

    if (err != 0) return err;
    set_callbacks(service, &copy);
    err = read_framing(service, weir, &copy);
    if (err == 0) err = read_sizes(service, weir, &copy);
    if (err == 0) err = read_times(service, weir, &copy);
    if (err == 0) err = read_source(service, weir, copy.source);
    if (err != 0) free_frames(service);
    return err;
}

int weir__service_new(struct weir__worker *worker, const struct weir_service *given, struct weir__service **ret)
{
    struct weir__service *service = weir__zalloc(sizeof(*service));
    int err;

    if (!service) return weir__fail(worker->weir, -ENOMEM, "service: %s", weir_strerror(-ENOMEM));
    service->users = 1;
    service->worker = worker;
    service->tally = &worker->dialled;
    service->transport = &weir__transport_tcp;
    err = read_given(service, worker->weir, given);
    if (err != 0) {
        weir__free(service);
        return err;
    }
    *ret = service;
    return 0;
}

static void release_context(struct weir__transport_context *context)
{
    if (context && atomic_fetch_sub(&context->users, 1) == 1) context->free(context);
}

void weir__service_set_transport(struct weir__service *service, const struct weir__transport *transport,
                                 struct weir__transport_context *context)
{
    assert(service->users == 1);
    assert(!transport->is_plain || (!transport->open && !transport->handshake && !transport->pending));
    if (context) atomic_fetch_add(&context->users, 1);
    release_context(service->transport_context);
    service->transport = transport;
    service->transport_context = context;
}

void weir__service_release(struct weir__service *service)
{
    if (!service) return;
    assert(service->users > 0);
    if (--service->users > 0) return;
    release_context(service->transport_context);
    free_frames(service);
    weir__free(service);
}

void weir__service_tell_refused(struct weir__service *service, const struct weir__peer *peer, enum weir_reason reason)
{
    char text[WEIR_ADDRESS_BYTES_MAX];
    int64_t now_s;

    if (!service->on_refused) return;
    now_s = weir__worker_now(service->worker) / 1000;
    if (service->refused_s != now_s) service->refused_count = 0;
    service->refused_s = now_s;
    if (service->refused_count++ >= REFUSED_A_SECOND_MAX) return;
    service->on_refused(service->listener, weir__peer_text(peer, text), reason, service->user);
}

void weir__service_refused(struct weir__service *service, const struct weir__peer *peer, enum weir_reason reason)
{
    weir__count(&service->tally->refused, 1);
    weir__count(&service->tally->closed[reason], 1);
    weir__service_tell_refused(service, peer, reason);
}

int weir_service_check(const struct weir_service *service, char *error, size_t error_size)
{
    struct weir__listen_options options;
    struct weir__service read = { 0 };
    int err = read_given(&read, NULL, service);

    if (err == 0) {
        free_frames(&read);
        err = weir__listen_options(NULL, service, &options);
    }
    if (err != 0 && error) snprintf(error, error_size, "%s", weir_error_text(NULL));
    return err;
}

int weir_service_send_frame(const struct weir_service *service, struct weir_frame **ret, char *error, size_t error_size)
{
    struct weir_service copy = { 0 };
    const char *spec;

    if (!ret) {
        if (error) snprintf(error, error_size, "the place for the frame is NULL");
        return -EINVAL;
    }
    if (copy_given(NULL, service, &copy) != 0) {
        if (error) snprintf(error, error_size, "%s", weir_error_text(NULL));
        return WEIR_ECONFIG;
    }
    spec = copy.send_frame && strcmp(copy.send_frame, "same") != 0 ? copy.send_frame : copy.frame;
    if (spec && strcmp(spec, "raw") != 0) return weir_frame_new(spec, ret, error, error_size);
    *ret = NULL;
    return 0;
}

int weir__listen_options(const struct weir *weir, const struct weir_service *given, struct weir__listen_options *ret)
{
    struct weir_service copy;
    const struct number numbers[] = {
        { "accepts_max", 0, 64, 1, 65536, OFF_REFUSED },
        { "backlog", 0, 1024, 1, 1 << 20, OFF_REFUSED },
        { "defer_accept_ms", 0, 0, 1000, 32767000, OFF_ZERO },
        { "unix_mode", 0, 0600, 1, 0777, OFF_REFUSED },
    };
    enum { COUNT = sizeof(numbers) / sizeof(*numbers) };
    struct number filled[COUNT];
    int64_t values[COUNT];
    int err = copy_given(weir, given, &copy);

    if (err != 0) return err;
    memcpy(filled, numbers, sizeof(filled));
    filled[0].given = copy.accepts_max;
    filled[1].given = copy.backlog;
    filled[2].given = copy.defer_accept_ms;
    filled[3].given = copy.unix_mode;
    err = read_numbers(weir, filled, COUNT, values);
    if (err != 0) return err;
    *ret = (struct weir__listen_options){
        .accepts_max = (int)values[0],
        .backlog = (int)values[1],
        .defer_accept_s = (int)((values[2] + 999) / 1000),
        .unix_mode = (unsigned)values[3],
        .reuseport = copy.reuseport != 0,
        .disabled = copy.disabled != 0,
    };
    return 0;
}

static void set_int(int fd, int level, int option, int64_t value)
{
    const int number = value > INT32_MAX ? INT32_MAX : (int)value;

    (void)setsockopt(fd, level, option, &number, sizeof(number));
}

/* The user timeout (RFC 5482) makes the kernel give up on sent bytes that nobody acknowledges after the time that
 * keepalive takes to find a silent peer gone; without it that takes some 15 minutes. */
void weir__service_set_socket(const struct weir__service *service, int fd)
{
    const int64_t idle = service->keepalive_idle_ms;
    const int64_t interval = service->keepalive_interval_ms;

    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, idle > 0);
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, idle > 0 ? idle + interval * service->keepalive_count : 0);
    if (idle == 0) return;
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (idle + 999) / 1000);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (interval + 999) / 1000);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, service->keepalive_count);
}
