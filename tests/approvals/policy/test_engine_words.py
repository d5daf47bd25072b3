from __future__ import annotations

import pytest

from approvals.policy.condition_text import TextFault
from approvals.policy.engine_words import Known, faults_of, kind
from tests.approvals.policy.test_expressions import refused

KNOWN = Known((), ())
SYNTAX = "Check its quotes, brackets and operators: && || ! == != < > in"


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("geo.country.exists(x, true)", 3, "`when` loops over what is no list"),
        ("requester.roles.all(5, true)", 20, "`when` loops without a name for the item"),
        ("9999999999999999999999 == 1", 0, "`when` holds a number that is too large"),
        ("foo.exists(x, x)", 0, "no attribute is called `foo`"),
        ("geo.country == 'and' ; true", 21, "`when` cannot be read from `;` on"),
        ("request.record_count == = 5", 24, "`=` compares nothing"),
        ("request.record_count == ", 23, "`when` ends too early"),
        ("getHours(now, tz) > 1", 0, "`getHours` is called in a way it does not know"),
    ],
)
def test_what_the_engine_says_is_told_in_plain_words(text: str, offset: int, message: str) -> None:
    [fault] = refused(text)
    assert (fault.offset, fault.message) == (offset, message)


def test_what_nobody_foresaw_is_a_fault_all_the_same() -> None:
    assert faults_of("INTERNAL: something new", "x", KNOWN) == (
        TextFault(0, "`when` is no condition", SYNTAX),
    )
    told = "ERROR: <input>:1:2: something new [INVALID_ARGUMENT]"
    assert faults_of(told, "a b", KNOWN) == (TextFault(1, "`when` is no condition", SYNTAX),)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("STRING", "text"),
        ("LIST<STRING>", "a list of texts"),
        ("list(int)", "a list"),
        ("google.protobuf.Timestamp", "a time"),
        ("map(string, int)", "map(string, int)"),
    ],
)
def test_kinds_have_plain_names(name: str, words: str) -> None:
    assert kind(name) == words
