"""bridged, the bridge as a program: its words, its exit codes, its signals."""
import os
import signal
import socket

import pytest


def test_it_says_where_it_listens_and_what_to_try(bridged):
    assert all(":0" not in url for url in bridged.urls)

    lines = []
    while len(lines) < 1 + len(bridged.urls):
        lines.append(bridged.line())

    assert lines[0] == "try, in another terminal:"
    assert any(str(bridged.port("mqtt")) in line for line in lines[1:])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero(start_bridged, number):
    program = start_bridged("mqtt://127.0.0.1:0")

    assert program.stop(number) == 0


def test_help_goes_to_stdout_and_ends_with_zero(bridged_program):
    code, out, err = bridged_program("--help")

    assert (code, err) == (0, "")
    assert out.startswith("usage: bridged") and "--check-config" in out


def test_version_names_the_library(bridged_program):
    assert bridged_program("--version") == (0, "bridged 0.1.0\n", "")


@pytest.mark.parametrize("argv, words", [
    (["--nonsense"], "nonsense"),
    (["127.0.0.1:1883"], "not a URL: 127.0.0.1:1883"),
    (["--check-config"], "--check-config needs -c FILE"),
    (["--log-level", "loud"], "no such log level: loud"),
    (["-c", "/nowhere/bridge.json"], "cannot read /nowhere/bridge.json: No such file or directory"),
    (["-c", "/"], "cannot read /: Is a directory"),
    (["gopher://127.0.0.1:0"], "gopher"),
])
def test_wrong_usage_is_two_and_names_the_word(bridged_program, argv, words):
    code, _, err = bridged_program(*argv)

    assert code == 2, err
    assert words in err


def test_a_port_in_use_is_one_and_names_the_listener(bridged_program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"

        code, _, err = bridged_program(url)

    assert code == 1 and url in err


def test_others_are_not_let_in_by_accident(bridged_program):
    code, _, err = bridged_program("mqtt://0.0.0.0:0")

    assert code == 2
    assert "anonymous=allow" in err


def test_sighup_without_a_file_changes_nothing(start_bridged):
    program = start_bridged("mqtt://127.0.0.1:0")

    program.send_signal(signal.SIGHUP)

    assert os.path.exists(program.log)
    with socket.create_connection(("127.0.0.1", program.port("mqtt")), 5):
        pass
