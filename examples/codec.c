/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A codec of one's own, for the frames of an imaginary meter:
 *
 *     length   1 byte, of type and payload together: 1 to 255
 *     type     1 byte
 *     payload  length - 1 bytes
 *     check    1 byte: the sum of all bytes before it, modulo 256
 *
 * The codec finds the frames and checks them; to the rest of the program a message is the type and the payload. A
 * meter's reading is acknowledged by its number, a ping is answered, everything else is refused. Build it from the
 * clone with `cc examples/codec.c $(./dev flags) -o codec`, start it with `./codec [PORT]`, and send it a reading of
 * 1234 with `printf '\005\001\000\000\004\322\334' | weir connect 8000 | od -An -tx1`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

enum { HEADER_BYTES = 1, CHECK_BYTES = 1, CONTENT_BYTES_MAX = 255 };

enum type { READING = 0x01, PING = 0x02, STORED = 0x81, PONG = 0x82, REFUSED = 0xff };

/* ---- The codec: bytes and a state, no sockets ---- */

static unsigned char sum(const unsigned char *bytes, size_t len)
{
    unsigned total = 0;

    for (size_t i = 0; i < len; i++)
        total += bytes[i];
    return (unsigned char)(total & 0xff);
}

/* Called with all bytes that no frame has used yet, be it half a frame or ten: finds the first one. What comes over a
 * network is a claim, so nothing is believed before it has been compared with what is there.
 *
 * There is no state. Only the length byte is looked at again when a frame comes in pieces; a codec that has to search
 * for the frame's end keeps in its state how far it has come. */
static enum weir_decoded meter_decode(const void *config, void *state, struct weir_decode *decode)
{
    size_t content_len;

    if (decode->len < HEADER_BYTES) return WEIR_DECODED_MORE;
    content_len = decode->bytes[0];
    if (content_len == 0) return WEIR_DECODED_MALFORMED; /* not even a type */
    if (content_len > decode->message_bytes_max) return WEIR_DECODED_TOO_LONG;
    if (decode->len < HEADER_BYTES + content_len + CHECK_BYTES) return WEIR_DECODED_MORE;
    if (decode->bytes[HEADER_BYTES + content_len] != sum(decode->bytes, HEADER_BYTES + content_len))
        return WEIR_DECODED_MALFORMED; /* nobody knows where the next frame would begin: the connection closes */
    decode->message = (struct weir_bytes){ decode->bytes + HEADER_BYTES, content_len }; /* where it lies, uncopied */
    decode->original_len = content_len;
    decode->consumed = HEADER_BYTES + content_len + CHECK_BYTES;
    return WEIR_DECODED_MESSAGE;
}

static size_t meter_encoded_bytes_max(const void *config, size_t len)
{
    return HEADER_BYTES + len + CHECK_BYTES;
}

/* The inverse; ret has the room that the function above asked for. */
static ssize_t meter_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    if (message.len == 0 || message.len > CONTENT_BYTES_MAX) return -EMSGSIZE;
    ret[0] = (unsigned char)message.len;
    memcpy(ret + HEADER_BYTES, message.data, message.len);
    ret[HEADER_BYTES + message.len] = sum(ret, HEADER_BYTES + message.len);
    return (ssize_t)(HEADER_BYTES + message.len + CHECK_BYTES);
}

static const struct weir_codec meter_codec =
    WEIR_CODEC(.name = "meter", .decode = meter_decode, .encoded_bytes_max = meter_encoded_bytes_max,
               .encode = meter_encode);

/* ---- The service: whole, checked messages ---- */

static uint32_t get_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void answer(struct weir_conn *conn, enum type type, const void *payload, size_t len)
{
    unsigned char message[CONTENT_BYTES_MAX];

    message[0] = (unsigned char)type;
    memcpy(message + 1, payload, len);
    weir_conn_send(conn, (struct weir_bytes){ message, 1 + len });
}

static void on_reading(struct weir_conn *conn, uint32_t value)
{
    struct weir_message_info info;
    unsigned char number[4];

    weir_conn_message(conn, &info);
    printf("#%" PRIu64 " reading %" PRIu64 " is %" PRIu32 "\n", weir_conn_id(conn), info.seq, value);
    for (int i = 0; i < 4; i++)
        number[i] = (unsigned char)(info.seq >> (24 - 8 * i) & 0xff);
    answer(conn, STORED, number, sizeof(number));
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    const unsigned char type = message.data[0]; /* the codec lets no message without a type through */
    const struct weir_bytes payload = { message.data + 1, message.len - 1 };

    if (type == READING && payload.len == 4)
        on_reading(conn, get_u32(payload.data));
    else if (type == PING)
        answer(conn, PONG, payload.data, payload.len);
    else
        answer(conn, REFUSED, &type, 1);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    printf("#%" PRIu64 " %s\n", weir_conn_id(conn), weir_reason_text(reason));
}

int main(int argc, char **argv)
{
    const struct weir_service meters =
        WEIR_SERVICE(.codec = &meter_codec, .on_message = on_message, .on_close = on_close);
    struct weir *weir = NULL;
    struct weir_listener *listener = NULL;
    char address[WEIR_ADDRESS_BYTES_MAX];
    int err = weir_new(NULL, &weir);

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!err) err = weir_listen(weir, argc > 1 ? argv[1] : "8000", &meters, &listener);
    if (!err) err = weir_listener_address(listener, 0, address);
    if (!err) {
        fprintf(stderr, "listening on %s\n", address);
        err = weir_run(weir);
    }
    if (err) fprintf(stderr, "codec: %s\n", weir_error_text(weir));
    weir_free(weir);
    return err != 0;
}
