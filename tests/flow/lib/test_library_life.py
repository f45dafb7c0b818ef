# SPDX-License-Identifier: BSD-3-Clause
"""Engines that start, stop and are freed in every order, their timers, and what is posted to them: each a scene of
service_life, which checks itself."""
import os
import signal

from harness import PROGRAMS, Process
from lab import program


def scene(name):
    def play():
        assert program("service_life", name) == [{"event": "scene", "name": name}]
    return play


test_timer_once = scene("timer_once")
test_timer_repeating = scene("timer_repeating")
test_timer_wall_clock_jumps = scene("timer_wall_clock_jumps")
test_timer_started_late_in_a_turn = scene("timer_started_late_in_a_turn")
test_timer_stopped_by_another = scene("timer_stopped_by_another")
test_timer_freed_while_it_waits = scene("timer_freed_while_it_waits")
test_timer_bad_times = scene("timer_bad_times")
test_timer_for_ever = scene("timer_for_ever")
test_timer_every_for_ever = scene("timer_every_for_ever")
test_timer_stopped_after_it_ran = scene("timer_stopped_after_it_ran")
test_timer_stopped_on_close = scene("timer_stopped_on_close")
test_timer_argument_stays_the_callers = scene("timer_argument_stays_the_callers")
test_free_without_run = scene("free_without_run")
test_posted_after_the_end = scene("posted_after_the_end")
test_post_from_a_post = scene("post_from_a_post")
test_post_from_a_post_inside_free = scene("post_from_a_post_inside_free")
test_posts_of_each_thread_run_in_their_order = scene("posts_of_each_thread_run_in_their_order")
test_stop_before_run = scene("stop_before_run")
test_run_with_nothing_to_do = scene("run_with_nothing_to_do")
test_run_for_an_event_of_its_own = scene("run_for_an_event_of_its_own")
test_run_before_another_thread_listens = scene("run_before_another_thread_listens")
test_stop_twice_and_after_the_end = scene("stop_twice_and_after_the_end")
test_client_for_a_worker_that_has_ended = scene("client_for_a_worker_that_has_ended")
test_what_comes_after_the_end_is_told_so = scene("what_comes_after_the_end_is_told_so")
test_listen_while_stopping = scene("listen_while_stopping")
test_bad_configs = scene("bad_configs")
test_many_engines = scene("many_engines")
test_dial_inside_free = scene("dial_inside_free")


def test_resume_without_a_pause_is_a_fault_of_the_program():
    with Process([os.path.join(PROGRAMS, "service_life"), "resume_without_a_pause"]) as process:
        assert process.wait() == -signal.SIGABRT, process.stderr.text()
