from __future__ import annotations

import pytest

from approvals.policy.condition_text import (
    MOST_WORK,
    Possible,
    TextFault,
    looked_up,
    names_in,
    refused_calls,
    shadowing,
    tokens,
    unmet_constants,
    work_of,
)

SIZES = {"TEN": 10, "HUNDRED": 100, "THOUSAND": 1000}


def test_tokens_are_names_with_their_dots_texts_and_marks() -> None:
    found = tokens("!device . managed && r'a\"b' in [x] // geo.country")
    assert [(token.kind, token.text) for token in found] == [
        ("other", "!"),
        ("name", "device.managed"),
        ("other", "&&"),
        ("text", "r'a\"b'"),
        ("name", "in"),
        ("other", "["),
        ("name", "x"),
        ("other", "]"),
    ]


def test_names_within_texts_and_comments_are_none() -> None:
    found = tokens('\'geo.country\' == """device\nmanaged""" || geo.country.size() > 1 // service')
    assert names_in(found, {"geo.country", "device", "service"}) == ("geo.country",)


def test_what_is_called_after_a_name_belongs_to_the_longest_known_one() -> None:
    assert names_in(tokens("a.b.c(1) && a"), {"a", "a.b"}) == ("a.b", "a")


@pytest.mark.parametrize(
    ("text", "offset"),
    [("has(a.b)", 0), ("true && dyn (a)", 8), ("LIST.map(x, x)", 0), ("[1].map(x, x)", 3)],
)
def test_some_calls_are_refused(text: str, offset: int) -> None:
    assert [fault.offset for fault in refused_calls(tokens(text))] == [offset]


def test_a_name_that_only_looks_like_one_is_not() -> None:
    assert not refused_calls(tokens("hash(a) && 'has(' == b.has && mapped(x)"))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("TEN.all(a, true)", None),
        ("TEN.all(a, THOUSAND.all(b, true))", ")"),  # 10 * (1 + 1000)
        ("HUNDRED.all(a, TEN.all(b, true))", None),
        ("HUNDRED.all(a, HUNDRED.exists(b, true))", ")"),
        ("&&".join(["THOUSAND.all(a, true)"] * 6), None),
        ("&&".join(["THOUSAND.all(a, true)"] * 12), ")"),
        ("TEN.all(a, TEN.all(b, TEN.all(c, true)))", "T"),
        ("HUNDRED.all(a, (HUNDRED + TEN).all(c, true))", ")"),  # as large as all that are named
        ("['a', 'b'].all(x, ['c'].all(y, true))", None),
        ("TEN.exists(a, HUNDRED.exists(b, a in THOUSAND))", ")"),
        ("TEN.exists(a, a in THOUSAND)", None),
        ("TEN.exists(a, a.matches('x{99}'))", ")"),
        ("TEN.exists(a, a.matches('^x'))", None),
        ("HUNDRED.exists(a, HUNDRED.size() in [1, 2])", None),
        ("(((1))) == [2, {'a': 3}['a']][0] && f(TEN)", None),
        ("TEN.all(a, true)))", None),
    ],
)
def test_the_most_steps_are_counted_before_anything_runs(text: str, at: str | None) -> None:
    fault = work_of(tokens(text), SIZES)
    place = text[fault.offset] if isinstance(fault, TextFault) else None
    assert place == at


def test_what_may_run_away_is_told_by_its_reason() -> None:
    deep = work_of(tokens("TEN.all(a, TEN.all(b, TEN.all(c, true)))"), SIZES)
    assert deep == TextFault(22, "`when` loops more than 2 deep", "Split the rule in two")
    long = work_of(tokens("THOUSAND.all(a, THOUSAND.all(b, true))"), SIZES)
    assert isinstance(long, TextFault)
    assert long.message == "`when` may take more than 10,000 steps"


def test_what_a_condition_may_cost_is_bounded_and_known() -> None:
    little, much = (work_of(tokens(text), SIZES) for text in ("a == 'b'", "a in THOUSAND"))
    assert isinstance(little, int)
    assert isinstance(much, int)
    assert little < 10
    assert 1000 < much < MOST_WORK
    assert isinstance(work_of(tokens("THOUSAND.all(a, THOUSAND.all(b, true))"), SIZES), TextFault)


def test_an_item_of_a_loop_may_not_hide_an_attribute() -> None:
    found = tokens("TEN.exists(service, service == 'a') && f(service)")
    assert [fault.offset for fault in shadowing(found, {"service"})] == [11]


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [("a.matches(b)", True), ("a.matches('x' + b)", True), ("a.matches('x')", False)],
)
def test_a_pattern_is_written_and_not_made(text: str, is_refused: bool) -> None:
    assert bool(refused_calls(tokens(text))) is is_refused


def test_comments_within_names_and_quotes_within_texts_hide_nothing() -> None:
    assert names_in(tokens("a . // where\n b == 'x'"), {"a.b"}) == ("a.b",)
    hidden = r'''"""x\"""" != "" && dyn(1) == 1 && "" != "a"'''
    assert [fault.offset for fault in refused_calls(tokens(hidden))] == [hidden.index("dyn")]


KNOWN = {"service": Possible(lambda text: text in ("crm", "quiet"), lambda _: "Write crm")}


@pytest.mark.parametrize(
    "text",
    [
        "service == 'crn'",
        "'crn' == service",
        'service != "crn"',
        "service in ['crm', 'crn']",
        "true && service == 'crn' || false",
    ],
)
def test_a_text_that_an_attribute_never_is_is_told(text: str) -> None:
    [fault] = unmet_constants(tokens(text), KNOWN)
    assert fault == TextFault(text.index("crn") - 1, "`service` is never `crn`", "Write crm")


@pytest.mark.parametrize(
    "text",
    [
        "service == 'crm'",
        "other == 'crn'",
        "service in LIST",
        "service == other && 'crn' == other",
        "service in ['crm'] || 'crn' in other",
        "service + other == 'crn'",
        "service == 'crn' + other",
        "service == r'crn'",
        r"service == 'cr\x6e'",
        "service",
    ],
)
def test_other_texts_are_nobodys_business(text: str) -> None:
    assert not list(unmet_constants(tokens(text), KNOWN))


def test_lists_that_an_attribute_is_looked_up_in_are_found() -> None:
    found = tokens("geo.country in EEA && !(a.b in C) || 'x' in D || e in ['f']")
    assert list(looked_up(found)) == [("geo.country", "EEA"), ("a.b", "C")]


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("now.getHours() > 1", True),
        ("now . getHours( ) > 1", True),
        ("now.getHours(tz) > 1", False),
    ],
)
def test_a_time_without_its_zone_is_refused(text: str, is_refused: bool) -> None:
    assert bool(refused_calls(tokens(text))) is is_refused
