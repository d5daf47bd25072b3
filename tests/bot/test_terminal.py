"""Foreign text reaches a terminal as text: nothing in it is obeyed, and no line can be forged."""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import termios
from dataclasses import replace

import pytest

from bot.terminal import OutputLost, Terminal, neutral, shortened, table, wrapped


def _terminal(types: str = "") -> Terminal:
    return Terminal({}, io.StringIO(types), io.StringIO(), io.StringIO())


def _out(terminal: Terminal) -> str:
    assert isinstance(terminal.output, io.StringIO)
    return terminal.output.getvalue()


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    terminal = _terminal()
    terminal.say("why         \x1b[2J\x1b]0;owned\x07approved", "x\r\ny")
    assert _out(terminal) == (
        "why         <U+001B>[2J<U+001B>]0;owned<U+0007>approved\nx<U+000D><U+000A>y\n"
    )


@pytest.mark.parametrize("character", ["\x9b", "\u202e", "\u200b", "\n", "\x7f", "\ud800"])
def test_what_steers_or_hides_is_named(character: str) -> None:
    assert neutral(f"a{character}b") == f"a<U+{ord(character):04X}>b"


def test_letters_of_every_script_stay() -> None:
    assert neutral("Zoë 😀 日本 ø") == "Zoë 😀 日本 ø"


def test_json_for_machines_is_ascii() -> None:
    terminal = _terminal()
    terminal.tell({"word": "\x9b é"})
    assert _out(terminal).isascii()
    assert json.loads(_out(terminal)) == {"word": "\x9b é"}


def test_a_table_stays_aligned_whatever_its_cells_hold() -> None:
    assert table([["A", "B"], ["one\n", "2"]]) == ["A            B", "one<U+000A>  2"]


def test_the_question_goes_to_standard_error() -> None:
    terminal = _terminal("YES\n")
    assert terminal.confirms("Approve?")
    assert _out(terminal) == ""


def test_bytes_of_another_encoding_are_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b"\xff\xfe yes\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", typed)
    assert not replace(Terminal.of_process(), errors=io.StringIO()).confirms("Approve?")


def test_a_server_goes_on_when_nobody_reads_it_and_says_so_once() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    errors = io.StringIO()
    with os.fdopen(theirs, "w") as output:
        terminal = Terminal({}, io.StringIO(), output, errors).of_server()
        terminal.say("one")
        terminal.say("two")
    told = "The output could not be written (Broken pipe). Placet goes on.\n"
    assert errors.getvalue() == told


def test_a_broken_pipe_is_told_once_and_harms_nothing_at_the_end() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as output:
        terminal = Terminal({}, io.StringIO(), output, io.StringIO())
        with pytest.raises(OutputLost) as lost:
            terminal.say("one")
        terminal.say("two")
    assert lost.value.has_reader_gone


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one  two", ["one two"]),
        ("first line\n\nsecond", ["first line", "|", "| second"]),
        ("abcdefghij klm", ["abcdefghij", "| klm"]),
        ("abcdefghijklm n", ["abcdefghij", "| klm n"]),
        ("日" * 6, ["日" * 5, "| 日"]),
        ("a\x1b[2Jb", ["a<U+001B>[", "| 2Jb"]),
        ("abcdefgh" + " " * 60 + "id   req_FAKE", ["abcdefgh", "| id", "| req_FAKE"]),
    ],
)
def test_text_is_broken_by_us_and_every_further_line_is_marked(text: str, lines: list[str]) -> None:
    assert wrapped(text, 12) == lines


def test_a_text_for_a_cell_is_one_short_line() -> None:
    assert shortened("one  two\nthree", 40) == "one two three"
    assert shortened("x" * 41, 40) == "x" * 39 + "…"
    assert shortened("日" * 21, 40) == "日" * 19 + "…"


def test_the_width_is_the_terminals_and_eighty_without_one() -> None:
    assert _terminal().width == 80
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    with os.fdopen(ours), os.fdopen(theirs, "w") as screen:
        assert Terminal({}, io.StringIO(), io.StringIO(), screen).width == 60
