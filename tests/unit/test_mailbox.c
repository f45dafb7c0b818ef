/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The mailbox: its bounds, who is told when it is full, that each thread's mail keeps its order, and that a worker that
 * sleeps is woken, however producers and consumer meet. Run under ThreadSanitizer too. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/error.h>

#include "engine/mailbox.h"

enum { PATIENCE_MS = 20000 };

/* A numbered piece of mail. */
struct letter {
    struct weir__mail mail;
    unsigned from;
    unsigned number;
};

static struct letter *letter_of(struct weir__mail *mail)
{
    return (struct letter *)(void *)mail;
}

static int is_readable(const struct weir__mailbox *box, int wait_ms)
{
    struct pollfd waits = { .fd = box->eventfd, .events = POLLIN };

    return poll(&waits, 1, wait_ms) == 1;
}

static unsigned count(const struct weir__mail *mail)
{
    unsigned result = 0;

    for (; mail; mail = mail->next)
        result++;
    return result;
}

static void open_box(struct weir__mailbox *box, size_t items_max, size_t bytes_max)
{
    assert_int_equal(weir__mailbox_init(box, items_max, bytes_max), 0);
}

/* ---- Bounds ---- */

static void items_are_bounded(void **state)
{
    struct letter letters[5] = { { .from = 0 } };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 4, 1000);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            assert_int_equal(weir__mailbox_post(&box, &letters[i].mail), 0);
        assert_int_equal(weir__mailbox_post(&box, &letters[4].mail), -EAGAIN);
        assert_int_equal(weir__mailbox_refused(&box), round + 1);
        assert_int_equal(count(weir__mailbox_take(&box)), 4);
        assert_null(weir__mailbox_take(&box));
    }
    weir__mailbox_fini(&box);
}

static void bytes_are_bounded(void **state)
{
    struct letter letters[4] = { { .mail.bytes = 600 }, { .mail.bytes = 401 }, { .mail.bytes = 400 }, { .from = 0 } };
    struct letter huge = { .mail.bytes = SIZE_MAX };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 100, 1000);
    assert_int_equal(weir__mailbox_post(&box, &huge.mail), -EMSGSIZE);
    assert_int_equal(weir__mailbox_post(&box, &letters[0].mail), 0);
    assert_int_equal(weir__mailbox_post(&box, &letters[1].mail), -EAGAIN);
    assert_int_equal(weir__mailbox_post(&box, &huge.mail), -EMSGSIZE);
    assert_int_equal(weir__mailbox_post(&box, &letters[2].mail), 0); /* exactly full */
    assert_int_equal(weir__mailbox_post(&box, &letters[3].mail), 0); /* of no bytes */
    assert_int_equal(weir__mailbox_refused(&box), 1);                /* for want of room */
    assert_int_equal(count(weir__mailbox_take(&box)), 3);
    assert_int_equal(box.bytes, 0);
    assert_int_equal(box.items, 0);
    weir__mailbox_fini(&box);
}

static void a_reservation_takes_room_until_put_or_cancelled(void **state)
{
    struct letter letters[2] = { { .mail.bytes = 10 }, { .mail.bytes = 10 } };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 2, 20);
    assert_int_equal(weir__mailbox_reserve(&box, 10), 0);
    assert_int_equal(weir__mailbox_reserve(&box, 10), 0);
    assert_int_equal(weir__mailbox_reserve(&box, 0), -EAGAIN);
    assert_false(is_readable(&box, 0)); /* room is no mail */
    assert_null(weir__mailbox_take(&box));
    weir__mailbox_cancel(&box, 10);
    assert_int_equal(weir__mailbox_post(&box, &letters[0].mail), 0);
    weir__mailbox_put(&box, &letters[1].mail);
    assert_int_equal(weir__mailbox_post(&box, &letters[1].mail), -EAGAIN);
    assert_int_equal(count(weir__mailbox_take(&box)), 2);
    assert_int_equal(box.items, 0);
    assert_int_equal(box.bytes, 0);
    weir__mailbox_fini(&box);
}

/* The clients of an accept are bounded elsewhere: they come in, though others are turned away. */
static void force_goes_over_the_bound(void **state)
{
    struct letter letters[4] = { { .from = 0 }, { .from = 1 }, { .from = 2 }, { .from = 3, .mail.bytes = 77 } };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 1, 10);
    assert_int_equal(weir__mailbox_post(&box, &letters[0].mail), 0);
    weir__mailbox_force(&box, &letters[1].mail);
    weir__mailbox_force(&box, &letters[3].mail);
    assert_int_equal(weir__mailbox_post(&box, &letters[2].mail), -EAGAIN);
    assert_int_equal(count(weir__mailbox_take(&box)), 3);
    assert_int_equal(box.items, 0);
    assert_int_equal(box.bytes, 0);
    assert_int_equal(weir__mailbox_post(&box, &letters[2].mail), 0);
    weir__mailbox_take(&box);
    weir__mailbox_fini(&box);
}

static void a_retired_box_is_handed_nothing_and_takes_the_rest(void **state)
{
    struct letter letters[4] = { { .from = 0 }, { .from = 1 }, { .from = 2 }, { .from = 3 } };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 1, 10);
    assert_true(weir__mailbox_hand(&box, &letters[0].mail));
    assert_true(weir__mailbox_hand(&box, &letters[1].mail)); /* over the bound, as force */
    assert_true(is_readable(&box, 0));
    assert_int_equal(count(weir__mailbox_retire(&box)), 2);
    assert_false(weir__mailbox_hand(&box, &letters[2].mail));
    assert_false(is_readable(&box, 0));
    assert_int_equal(box.items, 0);
    assert_int_equal(weir__mailbox_post(&box, &letters[3].mail), 0);
    assert_int_equal(count(weir__mailbox_take(&box)), 1);
    weir__mailbox_fini(&box);
}

static void a_closed_box_takes_what_was_reserved_and_nothing_more(void **state)
{
    struct letter letters[3] = { { .from = 0 }, { .from = 1 }, { .from = 2 } };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 10, 100);
    assert_int_equal(weir__mailbox_post(&box, &letters[0].mail), 0);
    assert_int_equal(weir__mailbox_reserve(&box, 0), 0);
    weir__mailbox_close(&box);
    assert_int_equal(weir__mailbox_post(&box, &letters[2].mail), WEIR_ESTOPPED);
    weir__mailbox_put(&box, &letters[1].mail);
    assert_int_equal(count(weir__mailbox_take(&box)), 2);
    assert_int_equal(weir__mailbox_post(&box, &letters[2].mail), WEIR_ESTOPPED);
    weir__mailbox_fini(&box);
}

/* weir_free meets boxes that weir_new has not come to. */
static void fini_of_a_box_that_never_was(void **state)
{
    struct weir__mailbox box;
    const int before = dup(0);

    (void)state;
    memset(&box, 0, sizeof(box));
    weir__mailbox_fini(&box);
    close(before);
    assert_int_equal(dup(0), before); /* descriptor 0 is still there: nobody closed it */
    close(before);
}

/* ---- Waking ---- */

static void one_ring_wakes_for_all(void **state)
{
    struct letter letters[20];
    struct weir__mailbox box;
    uint64_t rings = 0;

    (void)state;
    memset(letters, 0, sizeof(letters));
    open_box(&box, 100, 100);
    assert_false(is_readable(&box, 0));
    for (int i = 0; i < 20; i++)
        assert_int_equal(weir__mailbox_post(&box, &letters[i].mail), 0);
    weir__mailbox_wake(&box);
    assert_true(is_readable(&box, 0));
    assert_int_equal(read(box.eventfd, &rings, sizeof(rings)), sizeof(rings));
    assert_int_equal(rings, 1);
    assert_int_equal(count(weir__mailbox_take(&box)), 20);
    assert_int_equal(weir__mailbox_post(&box, &letters[0].mail), 0); /* the next one rings again */
    assert_true(is_readable(&box, 0));
    weir__mailbox_take(&box);
    assert_false(is_readable(&box, 0));
    weir__mailbox_fini(&box);
}

static void a_wake_needs_no_mail_and_no_room(void **state)
{
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 0, 0);
    weir__mailbox_wake(&box);
    weir__mailbox_wake(&box);
    assert_true(is_readable(&box, 0));
    assert_null(weir__mailbox_take(&box));
    assert_false(is_readable(&box, 0));
    weir__mailbox_fini(&box);
}

static _Atomic int interruptions; /* of the writes to come */

/* In place of the C library's, for the library under test. */
ssize_t write(int fd, const void *bytes, size_t len)
{
    if (interruptions > 0) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, len);
}

/* Nobody rings again before the worker has looked, so a ring that did not sound is one for ever. */
static void an_interrupted_ring_sounds(void **state)
{
    struct letter letter = { .from = 0 };
    struct weir__mailbox box;

    (void)state;
    open_box(&box, 4, 1000);
    interruptions = 3;
    weir__mailbox_wake(&box);
    assert_true(is_readable(&box, 0));
    assert_null(weir__mailbox_take(&box));
    interruptions = 1;
    assert_int_equal(weir__mailbox_post(&box, &letter.mail), 0);
    assert_true(is_readable(&box, 0));
    assert_int_equal(count(weir__mailbox_take(&box)), 1);
    interruptions = 1;
    assert_int_equal(weir__mailbox_hand(&box, &letter.mail), 1);
    assert_true(is_readable(&box, 0));
    assert_int_equal(count(weir__mailbox_take(&box)), 1);
    weir__mailbox_fini(&box);
}

/* ---- Threads ---- */

enum { PRODUCERS_COUNT = 4, LETTERS_COUNT = 15000, HELD_MAX = 64 };

struct producer {
    struct weir__mailbox *box;
    unsigned index;
    uint64_t refused;
    pthread_t thread;
};

static void post_letter(struct producer *producer, unsigned number)
{
    struct letter *letter = malloc(sizeof(*letter));

    if (!letter) abort();
    *letter = (struct letter){ .from = producer->index, .number = number };
    letter->mail.bytes = number % 3;
    if (number % 5 == 1) { /* a broadcast reserves in all boxes, and may have to give it back */
        if (weir__mailbox_reserve(producer->box, 7) == 0) {
            weir__mailbox_cancel(producer->box, 7);
        } else {
            producer->refused++;
        }
    }
    if (number % 11 == 0) {
        weir__mailbox_force(producer->box, &letter->mail);
        return;
    }
    while (weir__mailbox_post(producer->box, &letter->mail) != 0) {
        producer->refused++;
        sched_yield();
    }
    if (number % 17 == 0) weir__mailbox_wake(producer->box);
}

static void *produce(void *arg)
{
    struct producer *producer = arg;

    for (unsigned number = 0; number < LETTERS_COUNT; number++)
        post_letter(producer, number);
    return NULL;
}

/* A consumer that sleeps until the eventfd says otherwise: a ring that is missed is found out by its patience. */
static void producers_and_a_sleeping_consumer(void **state)
{
    struct producer producers[PRODUCERS_COUNT];
    unsigned expected[PRODUCERS_COUNT] = { 0 };
    unsigned left = PRODUCERS_COUNT * LETTERS_COUNT;
    uint64_t refused = 0;
    struct weir__mailbox box;

    (void)state;
    open_box(&box, HELD_MAX, 200);
    for (unsigned i = 0; i < PRODUCERS_COUNT; i++) {
        producers[i] = (struct producer){ .box = &box, .index = i };
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    while (left > 0) {
        struct weir__mail *mail;

        if (!is_readable(&box, PATIENCE_MS)) fail_msg("nobody rang, and %u letters are missing", left);
        for (mail = weir__mailbox_take(&box); mail; left--) {
            struct letter *letter = letter_of(mail);
            mail = mail->next;
            assert_int_equal(letter->number, expected[letter->from]);
            expected[letter->from]++;
            free(letter);
        }
    }
    for (unsigned i = 0; i < PRODUCERS_COUNT; i++) {
        pthread_join(producers[i].thread, NULL);
        refused += producers[i].refused;
    }
    assert_int_equal(weir__mailbox_refused(&box), refused);
    assert_null(weir__mailbox_take(&box));
    assert_int_equal(box.items, 0);
    assert_int_equal(box.bytes, 0);
    weir__mailbox_fini(&box);
}

/* One letter at a time, each sent after the last was taken: every round is the moment in which the consumer goes to
 * sleep while the producer rings. */
struct tennis {
    struct weir__mailbox there, back;
    struct letter ball;
    const char *complaint;
};

static const char *play(struct tennis *tennis)
{
    for (unsigned i = 0; i < LETTERS_COUNT; i++) {
        struct weir__mail *mail;

        if (!is_readable(&tennis->there, PATIENCE_MS)) return "no ball came";
        mail = weir__mailbox_take(&tennis->there);
        while (!mail) {
            if (!is_readable(&tennis->there, PATIENCE_MS)) return "a ring, and then no ball";
            mail = weir__mailbox_take(&tennis->there);
        }
        if (weir__mailbox_post(&tennis->back, mail) != 0) return "no room for the only ball";
    }
    return NULL;
}

static void *return_balls(void *arg)
{
    struct tennis *tennis = arg;

    tennis->complaint = play(tennis);
    return NULL;
}

static void no_ring_is_lost(void **state)
{
    struct tennis tennis = { .ball.number = 0 };
    pthread_t thread;

    (void)state;
    open_box(&tennis.there, 1, 1);
    open_box(&tennis.back, 1, 1);
    assert_int_equal(pthread_create(&thread, NULL, return_balls, &tennis), 0);
    for (unsigned i = 0; i < LETTERS_COUNT; i++) {
        assert_int_equal(weir__mailbox_post(&tennis.there, &tennis.ball.mail), 0);
        do {
            if (!is_readable(&tennis.back, PATIENCE_MS)) fail_msg("ball %u did not come back", i);
        } while (!weir__mailbox_take(&tennis.back));
    }
    pthread_join(thread, NULL);
    if (tennis.complaint) fail_msg("%s", tennis.complaint);
    weir__mailbox_fini(&tennis.there);
    weir__mailbox_fini(&tennis.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_bounded),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(a_reservation_takes_room_until_put_or_cancelled),
        cmocka_unit_test(force_goes_over_the_bound),
        cmocka_unit_test(a_closed_box_takes_what_was_reserved_and_nothing_more),
        cmocka_unit_test(a_retired_box_is_handed_nothing_and_takes_the_rest),
        cmocka_unit_test(fini_of_a_box_that_never_was),
        cmocka_unit_test(one_ring_wakes_for_all),
        cmocka_unit_test(a_wake_needs_no_mail_and_no_room),
        cmocka_unit_test(an_interrupted_ring_sounds),
        cmocka_unit_test(producers_and_a_sleeping_consumer),
        cmocka_unit_test(no_ring_is_lost),
    };

    return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
