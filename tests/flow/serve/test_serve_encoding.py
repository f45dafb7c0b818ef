# SPDX-License-Identifier: BSD-3-Clause
"""Messages in other encodings than UTF-8, as people see them. See test_serve_json.py for programs."""
from harness import Server, run_weir, wait_for
from test_terminal import expect_harmless, messages_shown


def test_messages_are_shown_in_their_encoding():
    for name, text in (("gbk", "\u6e29\u5ea6 25\u2103"), ("big5", "\u529f\u80fd"), ("shift_jis", "\u30bd\u30fc\u30b9"),
                       ("latin1", "caf\u00e9"), ("utf-16le", "caf\u00e9 \u6e29")):
        with Server("--frame", "delimiter:;", "--encoding", name, terminal=True) as server, server.connect() as client:
            client.sendall(text.encode(name) + b";" + "\u00e9\n".encode(name, "ignore") + b";")
            wait_for(lambda server=server: len(messages_shown(server)) == 3, "both messages")
            assert messages_shown(server)[1] == text, messages_shown(server)
            expect_harmless(server.stdout.bytes())


def test_wide_characters_of_another_encoding_fit_the_width():
    text = "\u6e29" * 200
    with Server("--frame", "line", "--encoding", "gb18030", terminal=True, columns=60) as server, \
            server.connect() as client:
        client.sendall(text.encode("gb18030") + b"\n")
        wait_for(lambda: len(messages_shown(server)) == 2, "the message")
        shown = messages_shown(server)[1]
        assert shown.endswith("\u6e29 ... 400 bytes"), shown
        assert 55 <= len("12:00:00.000 #1 ") + len(shown) + shown.count("\u6e29") <= 60, shown


def test_unknown_encoding_is_named():
    for name, words in (("nosuch", "not an encoding that this system knows"), ("iso-2022-jp", "depend on those before")):
        status, stdout, stderr = run_weir("serve", "--encoding", name, "127.0.0.1:0")
        assert (status, stdout) == (2, "") and "--encoding %s: " % name in stderr and words in stderr, stderr
