/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Codecs that wait for silence, or want to be asked before a message is too late; bytes that belong to no message; a
 * message that is refused and answered. */
#include "one_client.h"

enum { SILENCE_MS = 60, FRAME_MS = 150 };

/* What the codecs below were called with. */
static struct {
    unsigned calls, late;
    char message[64]; /* all of them, one behind the other */
    unsigned flags;
    bool pauses;       /* its first call pauses the connection */
    size_t state_seen; /* largest sum that a state had */
} codec;

static void begin(void)
{
    memset(&codec, 0, sizeof(codec));
}

static enum weir_decoded everything(struct weir_decode *decode)
{
    decode->message = (struct weir_bytes){ decode->bytes, decode->len };
    decode->original_len = decode->consumed = decode->len;
    return WEIR_DECODED_MESSAGE;
}

static void note_call(const struct weir_decode *decode)
{
    assert_int_equal(decode->size, sizeof(struct weir_decode));
    if (codec.pauses && codec.calls == 0) weir_conn_pause(test.conn, 1);
    codec.calls++;
    codec.late += decode->late;
}

/* A message is what came before a silence. */
static enum weir_decoded decode_gap(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    note_call(decode);
    if (decode->late) return everything(decode);
    decode->wait_ms = SILENCE_MS;
    return WEIR_DECODED_MORE;
}

static void keep_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct weir_message_info info;

    (void)user;
    weir_conn_message(conn, &info);
    codec.flags = info.flags;
    test.messages++;
    assert_true(strlen(codec.message) + message.len < sizeof(codec.message));
    strncat(codec.message, (const char *)message.data, message.len);
}

static void stop_when_closed_or_delivered(void)
{
    if (test.messages > 0 || test.closed > 0) weir_stop(test.weir, 1);
}

static void stop_when_closed(void)
{
    if (test.closed > 0) weir_stop(test.weir, 1);
}

/* ---- After silence ---- */

static void write_on(const char *text)
{
    assert_int_equal(write(test.client, text, strlen(text)), strlen(text));
}

static void send_in_pieces(void)
{
    if (test.steps == 2) write_on("lo ");
    if (test.steps == 4) write_on("there");
    if (strlen(codec.message) == strlen("hello there")) weir_stop(test.weir, 1);
}

static void silence_ends_a_message(void **state)
{
    const struct weir_codec gap = WEIR_CODEC(.name = "gap", .decode = decode_gap);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &gap, .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "hel", send_in_pieces);
    assert_string_equal(codec.message, "hello there");
    assert_int_equal(codec.late, test.messages); /* one, unless we were held up ourselves */
    assert_true(codec.calls > codec.late);
}

static void pause_across_the_silence(void)
{
    if (test.steps < 12) assert_int_equal(codec.late, 0); /* it is we who do not read */
    if (test.steps == 12) weir_conn_resume(test.conn, 1);
    stop_when_closed_or_delivered();
}

static void a_pause_is_no_silence(void **state)
{
    const struct weir_codec gap = WEIR_CODEC(.name = "gap", .decode = decode_gap);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &gap, .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    codec.pauses = true;
    run(&service, "hello", pause_across_the_silence);
    assert_string_equal(codec.message, "hello");
    assert_in_range(test.steps, 12, 500);
}

/* Waits on and on: it is asked each time anew, and nothing else happens. */
static enum weir_decoded decode_patience(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    note_call(decode);
    if (codec.late == 3) return everything(decode);
    decode->outside = true;
    decode->wait_ms = 10;
    return WEIR_DECODED_MORE;
}

static void it_may_wait_again(void **state)
{
    const struct weir_codec patience = WEIR_CODEC(.name = "patience", .decode = decode_patience);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &patience, .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "x", stop_when_closed_or_delivered);
    assert_string_equal(codec.message, "x");
    assert_int_equal(codec.late, 3);
}

static enum weir_decoded decode_refusal_of_silence(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    note_call(decode);
    decode->wait_ms = 10;
    return decode->late ? WEIR_DECODED_MALFORMED : WEIR_DECODED_MORE;
}

static void silence_may_be_malformed(void **state)
{
    const struct weir_codec refusal = WEIR_CODEC(.name = "refusal", .decode = decode_refusal_of_silence);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &refusal, .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "x", stop_when_closed);
    assert_int_equal(test.reason, WEIR_REASON_MALFORMED);
    assert_int_equal(codec.late, 1);
}

/* ---- At the frame timeout ---- */

/* Asks for the frame timeout only; gives what there is then, as unfinished. */
static enum weir_decoded decode_until_late(const void *config, void *state, struct weir_decode *decode)
{
    (void)state;
    note_call(decode);
    if (decode->late && !config) {
        decode->flags = WEIR_MESSAGE_UNFINISHED;
        return everything(decode);
    }
    decode->wait_ms = WEIR_OFF;
    return WEIR_DECODED_MORE;
}

static void run_until_late(const void *config)
{
    const struct weir_codec until_late = WEIR_CODEC(.name = "until late", .decode = decode_until_late);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &until_late, .codec_config = config, .frame_timeout_ms = FRAME_MS, .on_open = on_open,
                     .on_message = keep_message, .on_close = on_close);

    begin();
    run(&service, "half", config ? stop_when_closed : stop_when_closed_or_delivered);
}

static void a_late_message_can_be_had(void **state)
{
    (void)state;
    run_until_late(NULL);
    assert_string_equal(codec.message, "half");
    assert_int_equal(codec.flags, WEIR_MESSAGE_UNFINISHED);
    assert_int_equal(codec.late, 1);
}

static void without_an_answer_the_frame_timeout_closes(void **state)
{
    (void)state;
    run_until_late("waits on");
    assert_int_equal(test.messages, 0);
    assert_int_equal(test.reason, WEIR_REASON_FRAME_TIMEOUT);
    assert_int_equal(codec.late, 1);
}

static enum weir_decoded decode_nothing(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    note_call(decode);
    return WEIR_DECODED_MORE;
}

static void a_codec_that_has_not_asked_is_not_called(void **state)
{
    const struct weir_codec nothing = WEIR_CODEC(.name = "nothing", .decode = decode_nothing);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &nothing, .frame_timeout_ms = FRAME_MS, .on_open = on_open, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "half", stop_when_closed);
    assert_int_equal(test.reason, WEIR_REASON_FRAME_TIMEOUT);
    assert_int_equal(codec.late, 0);
    assert_int_equal(codec.calls, 1);
}

/* ---- Refused ---- */

static enum weir_decoded decode_with_sum(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    if (decode->bytes[0] == '!') decode->flags = WEIR_MESSAGE_REFUSED;
    decode->message = (struct weir_bytes){ decode->bytes, 1 };
    decode->original_len = decode->consumed = 1;
    return WEIR_DECODED_MESSAGE;
}

static void answer(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct weir_message_info info;

    (void)message;
    (void)user;
    test.messages++;
    weir_conn_message(conn, &info);
    weir_conn_send(conn, (struct weir_bytes){ (const unsigned char *)(info.flags ? "no" : "ok"), 2 });
}

static void read_the_answers(void)
{
    char answers[8] = "";

    if (test.messages < 3) return;
    if (recv(test.client, answers, sizeof(answers) - 1, MSG_DONTWAIT | MSG_PEEK) < 6) return;
    assert_string_equal(answers, "oknook");
    weir_stop(test.weir, 1);
}

static void a_refused_message_is_answered_and_the_connection_goes_on(void **state)
{
    const struct weir_codec sum = WEIR_CODEC(.name = "sum", .decode = decode_with_sum);
    const struct weir_service service = WEIR_SERVICE(.codec = &sum, .send_frame = "raw", .on_open = on_open,
                                                     .on_message = answer, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "a!b", read_the_answers);
    assert_int_equal(test.messages, 3);
}

/* ---- Skipped ---- */

static struct weir_counters counters;

static void read_counters(void)
{
    if (test.messages < 2) return;
    counters.size = sizeof(counters);
    weir_counters(test.weir, &counters);
    weir_stop(test.weir, 1);
}

static void bytes_between_messages_are_counted(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "between:<,>", .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "ab<one>\r\n\r\n<two>xyz", read_counters);
    assert_int_equal(counters.skipped_bytes, 2 + 4 + 3);
    assert_int_equal(counters.messages_in, 2);
}

/* ---- A large state ---- */

enum { STATE_BYTES = 200 };

static enum weir_decoded decode_with_state(const void *config, void *state, struct weir_decode *decode)
{
    unsigned char *bytes = state;
    size_t sum = 0;

    (void)config;
    for (size_t i = 0; i < STATE_BYTES; i++)
        sum += bytes[i]++;
    if (sum > codec.state_seen) codec.state_seen = sum;
    return everything(decode);
}

static void send_three_times(void)
{
    if (test.messages > 0 && test.messages < 3 && test.steps % 3 == 0) write_on("x");
    if (test.messages >= 3) weir_stop(test.weir, 1);
}

static void a_state_of_200_bytes_lasts(void **state)
{
    const struct weir_codec large =
        WEIR_CODEC(.name = "large", .state_bytes = STATE_BYTES, .decode = decode_with_state);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &large, .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "x", send_three_times);
    assert_int_equal(test.messages, 3);
    assert_int_equal(codec.state_seen, 2 * STATE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_ends_a_message),
        cmocka_unit_test(a_pause_is_no_silence),
        cmocka_unit_test(it_may_wait_again),
        cmocka_unit_test(silence_may_be_malformed),
        cmocka_unit_test(a_late_message_can_be_had),
        cmocka_unit_test(without_an_answer_the_frame_timeout_closes),
        cmocka_unit_test(a_codec_that_has_not_asked_is_not_called),
        cmocka_unit_test(a_refused_message_is_answered_and_the_connection_goes_on),
        cmocka_unit_test(bytes_between_messages_are_counted),
        cmocka_unit_test(a_state_of_200_bytes_lasts),
    };

    return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
