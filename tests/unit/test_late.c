/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Codecs that wait for silence, or want to be asked before a message is too late; bytes that belong to no message; a
 * message that is refused and answered. */
#include "one_client.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <time.h>

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

/* What the client has sent and the server has not read. */
static int unread_bytes(void)
{
    int len = -1;

    assert_int_equal(ioctl(test.client, SIOCOUTQ, &len), 0);
    return len;
}

static void hold_up_ms(int ms)
{
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    assert_int_equal(nanosleep(&time, NULL), 0);
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

/* A client writes while the server is held up for longer than the silence. */
static enum weir_decoded decode_real_gap(const void *config, void *state, struct weir_decode *decode)
{
    if (decode->late) assert_int_equal(unread_bytes(), 0);
    return decode_gap(config, state, decode);
}

static void write_and_be_held_up(void)
{
    if (test.steps <= 8) write_on("x");
    if (test.steps <= 8) hold_up_ms(SILENCE_MS + 5);
    if (strlen(codec.message) == strlen("axxxxxxxx")) weir_stop(test.weir, 1);
}

static void bytes_that_are_not_read_yet_are_no_silence(void **state)
{
    const struct weir_codec gap = WEIR_CODEC(.name = "gap", .decode = decode_real_gap);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &gap, .on_open = on_open, .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "a", write_and_be_held_up);
    assert_string_equal(codec.message, "axxxxxxxx");
}

/* The time that it gives is as wrong as a number can be. */
static enum weir_decoded decode_any_wait(const void *config, void *state, struct weir_decode *decode)
{
    const int64_t *wait_ms = config;

    (void)state;
    note_call(decode);
    decode->wait_ms = *wait_ms;
    return WEIR_DECODED_MORE;
}

static void no_time_to_wait_is_too_long(void **state)
{
    static const int64_t waits_ms[] = { INT64_MAX, INT64_MAX - 1, INT64_MAX / 2 + 1, INT64_MIN, -5 };
    const struct weir_codec any = WEIR_CODEC(.name = "any", .decode = decode_any_wait);

    (void)state;
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(*waits_ms); i++) {
        const struct weir_service service =
            WEIR_SERVICE(.codec = &any, .codec_config = &waits_ms[i], .frame_timeout_ms = 30, .on_open = on_open,
                         .on_close = on_close);
        begin();
        run(&service, "x", stop_when_closed);
        assert_int_equal(test.reason, WEIR_REASON_FRAME_TIMEOUT);
        assert_int_equal(codec.late, 1);
    }
}

static struct weir_counters counters;

static void pause_for_long(void)
{
    counters.size = sizeof(counters);
    if (test.steps == 20) weir_counters(test.weir, &counters);
    if (test.steps == 20) weir_conn_resume(test.conn, 1);
    if (test.steps == 20) codec.pauses = false;
    if (codec.late > 0) weir_stop(test.weir, 1);
}

static void a_paused_connection_wakes_nobody(void **state)
{
    const int64_t wait_ms = 1;
    const struct weir_codec any = WEIR_CODEC(.name = "any", .decode = decode_any_wait);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &any, .codec_config = &wait_ms, .on_open = on_open, .on_close = on_close);

    (void)state;
    begin();
    codec.pauses = true;
    run(&service, "x", pause_for_long);
    assert_in_range(counters.turns, 1, 20 + 5); /* a step is one, and the beginning a few */
    assert_true(codec.late > 0);
}

/* ---- At the end ---- */

/* Each byte is a message once the end is there; until then it waits for silence. */
static enum weir_decoded decode_at_end(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    decode->wait_ms = 1;
    if (!decode->ended) return WEIR_DECODED_MORE;
    decode->message = (struct weir_bytes){ decode->bytes, 1 };
    decode->original_len = decode->consumed = 1;
    return WEIR_DECODED_MESSAGE;
}

static void keep_and_pause(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    keep_message(conn, message, user);
    weir_conn_pause(conn, 1);
}

static unsigned ends;

static void on_end(struct weir_conn *conn, void *user)
{
    (void)user;
    ends++;
    weir_conn_close(conn);
}

/* The silence is over before the connection has its turn. */
static void resume_and_be_held_up(void)
{
    if (test.steps == 3) shutdown(test.client, SHUT_WR);
    if (test.conn && test.messages > 0) {
        weir_conn_resume(test.conn, 1);
        hold_up_ms(30);
    }
    stop_when_closed();
}

static void an_end_that_a_pause_stops_is_no_silence(void **state)
{
    const struct weir_codec at_end = WEIR_CODEC(.name = "at end", .decode = decode_at_end);
    const struct weir_service service = WEIR_SERVICE(.codec = &at_end, .on_open = on_open, .on_message = keep_and_pause,
                                                     .on_end = on_end, .on_close = on_close);

    (void)state;
    begin();
    ends = 0;
    run(&service, "abc", resume_and_be_held_up);
    assert_string_equal(codec.message, "abc");
    assert_int_equal(ends, 1);
    assert_int_equal(test.reason, WEIR_REASON_CLOSED);
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

/* It waits on after the first silence. */
static enum weir_decoded decode_second_chance(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    note_call(decode);
    decode->wait_ms = SILENCE_MS;
    return decode->late && codec.late > 1 ? everything(decode) : WEIR_DECODED_MORE;
}

static void be_held_up_once(void)
{
    if (test.steps == 1) hold_up_ms(2 * FRAME_MS);
    stop_when_closed_or_delivered();
}

static void silence_and_frame_timeout_are_told_apart(void **state)
{
    const struct weir_codec chance = WEIR_CODEC(.name = "chance", .decode = decode_second_chance);
    const struct weir_service service = WEIR_SERVICE(.codec = &chance, .frame_timeout_ms = FRAME_MS, .on_open = on_open,
                                                     .on_message = keep_message, .on_close = on_close);

    (void)state;
    begin();
    run(&service, "half", be_held_up_once);
    assert_string_equal(codec.message, "half");
    assert_int_equal(codec.late, 2);
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

/* ---- Beside output ---- */

enum { BIG_LEN = 4 * 1024, BIG_COUNT = 200, TAKEN_LEN = 48 * 1024, TAKEN_TIMES = 3, WRITE_MS = 100 };

static struct {
    unsigned times;
    int64_t at_ms;
} taken;

static int64_t clock_ms(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The client takes something before each write timeout, and too little for the socket to become writable. */
static void take_little(void)
{
    static char bytes[TAKEN_LEN];

    if (clock_ms() - taken.at_ms < WRITE_MS * 8 / 10) return;
    assert_int_equal(recv(test.client, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
    taken.at_ms = clock_ms();
    taken.times++;
}

static enum weir_decoded decode_restless(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    if (decode->late) take_little();
    decode->outside = true;
    decode->wait_ms = 1;
    return WEIR_DECODED_MORE;
}

static void send_much(struct weir_conn *conn, void *user)
{
    static const unsigned char big[BIG_LEN];

    on_open(conn, user);
    for (int i = 0; i < BIG_COUNT; i++)
        assert_true(weir_conn_send(conn, (struct weir_bytes){ big, sizeof(big) }) >= 0);
}

static void stop_when_closed_or_taken(void)
{
    if (taken.times == TAKEN_TIMES || test.closed > 0) weir_stop(test.weir, 1);
}

static void a_slow_reader_is_not_stuck_because_its_codec_waits(void **state)
{
    const struct weir_codec restless = WEIR_CODEC(.name = "restless", .decode = decode_restless);
    const struct weir_service service =
        WEIR_SERVICE(.codec = &restless, .output_bytes_max = (int64_t)2 * BIG_COUNT * BIG_LEN,
                     .write_timeout_ms = WRITE_MS, .on_open = send_much, .on_close = on_close);

    (void)state;
    taken.times = 0;
    taken.at_ms = clock_ms();
    run(&service, "x", stop_when_closed_or_taken);
    assert_int_equal(taken.times, TAKEN_TIMES);
}

/* ---- Skipped ---- */

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

/* Says that more was skipped than there is; at the end, that the rest was nothing. */
static enum weir_decoded decode_boast(const void *config, void *state, struct weir_decode *decode)
{
    const enum weir_decoded *decoded = config;

    (void)state;
    if (!decode->ended && decode->len < 3) return WEIR_DECODED_MORE;
    decode->skipped_bytes = SIZE_MAX;
    decode->consumed = decode->ended ? decode->len : 2;
    if (decode->ended) return WEIR_DECODED_MORE;
    decode->original_len = 1;
    decode->message = (struct weir_bytes){ decode->bytes, 1 };
    return *decoded;
}

static void end_and_read_counters(void)
{
    if (test.steps == 3) shutdown(test.client, SHUT_WR);
    if (test.closed == 0) return;
    counters.size = sizeof(counters);
    weir_counters(test.weir, &counters);
    weir_stop(test.weir, 1);
}

static void no_more_is_skipped_than_consumed(void **state)
{
    static const enum weir_decoded answers[] = { WEIR_DECODED_MESSAGE, WEIR_DECODED_SKIPPED, WEIR_DECODED_MORE };
    static const uint64_t skipped[] = { 6, 6, 6 };
    const struct weir_codec boast = WEIR_CODEC(.name = "boast", .decode = decode_boast);

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        const struct weir_service service =
            WEIR_SERVICE(.codec = &boast, .codec_config = &answers[i], .on_open = on_open, .on_close = on_close);
        begin();
        run(&service, "abcdef", end_and_read_counters);
        assert_int_equal(test.reason, WEIR_REASON_PEER_CLOSED);
        assert_int_equal(counters.skipped_bytes, skipped[i]);
    }
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
        cmocka_unit_test(bytes_that_are_not_read_yet_are_no_silence),
        cmocka_unit_test(no_time_to_wait_is_too_long),
        cmocka_unit_test(a_paused_connection_wakes_nobody),
        cmocka_unit_test(an_end_that_a_pause_stops_is_no_silence),
        cmocka_unit_test(silence_and_frame_timeout_are_told_apart),
        cmocka_unit_test(a_late_message_can_be_had),
        cmocka_unit_test(without_an_answer_the_frame_timeout_closes),
        cmocka_unit_test(a_codec_that_has_not_asked_is_not_called),
        cmocka_unit_test(a_refused_message_is_answered_and_the_connection_goes_on),
        cmocka_unit_test(a_slow_reader_is_not_stuck_because_its_codec_waits),
        cmocka_unit_test(bytes_between_messages_are_counted),
        cmocka_unit_test(no_more_is_skipped_than_consumed),
        cmocka_unit_test(a_state_of_200_bytes_lasts),
    };

    return cmocka_run_group_tests_name("late", tests, NULL, NULL);
}
