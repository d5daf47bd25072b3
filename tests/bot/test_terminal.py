"""Foreign text reaches a terminal as text: nothing in it is obeyed, and no line can be forged."""

from __future__ import annotations

import io
import json

import pytest

from bot.terminal import Terminal, neutral, table


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
