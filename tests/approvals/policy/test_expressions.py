"""A contract with the engine: on the real package, it decides whether a version may change."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

import pytest
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from approvals.policy.attributes import KINDS, MAY_BE_ABSENT, SIZES
from approvals.policy.condition_text import TextFault
from approvals.policy.expressions import (
    BadCondition,
    Condition,
    EngineUnfit,
    Judged,
    Language,
    Value,
    check_engine,
)

LISTS = {"EEA": ["DE", "FR"], "LONG": [f"x{n}" for n in range(1000)]}
LANGUAGE = Language(KINDS, SIZES, LISTS, MAY_BE_ABSENT)
KNOWN: dict[str, Value] = {
    "service": "crm",
    "requester.id": "okta:1",
    "requester.roles": ["support"],
    "requester.groups": [],
    "request.record_count": 5,
    "request.data_classes": ["contact"],
    "request.purpose": "support",
    "geo.country": "DE",
    "device.managed": True,
    "device.type": "laptop",
    "client.ip": "192.0.2.1",
    "now": datetime(2026, 3, 2, 9, tzinfo=UTC),
    "tz": "Europe/Berlin",
}


def _judged(text: str, without: str = "", **changes: Value) -> Judged:
    values = {**KNOWN, **{name.replace("__", "."): value for name, value in changes.items()}}
    values.pop(without, None)
    return LANGUAGE.compile(text).judge(LANGUAGE.facts(values))


def refused(text: str) -> tuple[TextFault, ...]:
    with pytest.raises(BadCondition) as caught:
        LANGUAGE.compile(text)
    return caught.value.faults


def _refused(text: str) -> str:
    return "; ".join(fault.message for fault in refused(text))


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("device.managed", True),
        ("!device.managed", False),
        ("geo.country in EEA", True),
        ("'support' in requester.roles", True),
        ("request.data_classes.exists(c, c in ['health'])", False),
        ("request.record_count > 4 && request.record_count <= 5", True),
        ("service == 'crm' && client.ip.startsWith('192.0.2.')", True),
        ("now.getHours(tz) == 10", True),
        ("now.getDayOfWeek(tz) == 1", True),
        ("now < timestamp('2026-03-02T09:00:00.001Z')", True),
        ("request.purpose.matches('^sup+ort$') // with a comment", True),
        ("EEA.exists(a, requester.roles.exists(b, a == b))", False),
    ],
)
def test_a_condition_says_true_or_false(text: str, truth: bool) -> None:
    assert _judged(text) == Judged(truth)


# Trap 1: an error of the engine is a value that counts as true in Python.
def test_an_absent_attribute_gives_an_error_and_not_what_python_takes_for_true() -> None:
    condition = LANGUAGE.compile("device.managed")
    raw = condition._compiled.eval(LANGUAGE.facts({}).activation)
    assert bool(raw.value()) is True
    assert condition.judge(LANGUAGE.facts({})) == Judged(None, "device.managed is not known")


# Trap 2: other errors are raised.
def test_past_the_budget_of_steps_it_is_an_error_and_the_next_one_works() -> None:
    endless = Condition("", (), 0, LANGUAGE._env.compile("LONG.all(a, LONG.all(b, true))"))
    facts = LANGUAGE.facts(KNOWN)
    assert endless.judge(facts) == Judged(None, "it takes too many steps")
    assert LANGUAGE.compile("device.managed").judge(facts) == Judged(True)


# Trap 3: a misspelt name is an error at load, for every attribute is declared with its dots.
def test_a_misspelt_name_does_not_compile() -> None:
    assert _refused("device.manged") == "no attribute is called `device.manged`"


# Trap 4: has() answers the value.
def test_has_is_refused_because_it_answers_the_value() -> None:
    raw = cel.NewEnv(variables={"device.managed": cel.Type.BOOL}).compile("has(device.managed)")
    assert raw.eval(LANGUAGE.facts({}).activation).type().name() == "ERROR"
    assert "has" in _refused("has(device.managed)")


@pytest.mark.parametrize(
    "text",
    ["has(device.managed)", "dyn(1) == 1", "EEA.map(a, a) == EEA", "now.getHours() > 5"],
)
def test_what_is_refused_is_not_in_the_engine_at_all(text: str) -> None:
    with pytest.raises(RuntimeError):
        LANGUAGE._env.compile(text)


@pytest.mark.parametrize("text", ['.geo.country != "XX"', ".EEA.exists(a, a == 'DE')"])
def test_a_name_that_the_engine_sees_and_we_do_not_is_refused(text: str) -> None:
    assert _refused(text) == "`when` uses a name in a way that cannot be followed"


@pytest.mark.parametrize("text", ["(now).getHours() > 5", "[now][0].getHours() > 5"])
def test_a_time_asks_for_its_zone_however_it_is_written(text: str) -> None:
    [fault] = refused(text)
    assert (fault.message, fault.remedy) == (
        "`getHours` does not go with a time",
        "Give it the zone: now.getHours(tz)",
    )


# Trap 5: an error is swallowed by `||` and `&&`, so deny rules are judged each by itself.
def test_an_error_is_swallowed_by_or_and_by_and() -> None:
    assert _judged("device.managed || true", without="device.managed") == Judged(True)
    assert _judged("device.managed && false", without="device.managed") == Judged(False)


# Trap 6: nothing is coerced.
@pytest.mark.parametrize("value", ["yes", 1, 0, None, [], "true"])
def test_a_wrong_type_is_an_error_and_never_coerced(value: Value) -> None:
    judged = _judged("device.managed", device__managed=value)
    assert judged == Judged(None, "an attribute has the wrong type")


def test_a_whole_number_takes_no_other_kind_of_number() -> None:
    for value in (True, 5.0, "5"):
        assert _judged("request.record_count > 1", request__record_count=value).truth is None


# Trap 8: a text compiles too.
@pytest.mark.parametrize(
    ("text", "gives"),
    [("geo.country", "text"), ("1 + 1", "a whole number"), ("EEA", "a list of texts")],
)
def test_what_is_neither_true_nor_false_is_refused(text: str, gives: str) -> None:
    assert _refused(text) == f"`when` gives {gives}, not true or false"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / (request.record_count - 5) == 1", "it divides by zero"),
        ("requester.groups[0] == 'x'", "it asks for an item that is not in the list"),
        ("now.getHours(geo.country) == 1", "it names a time zone that there is not"),
        ("geo.country.matches('(')", "its pattern is not valid"),
        ("int(geo.country) == 1", "it cannot be computed"),
    ],
)
def test_the_reason_of_an_error_holds_no_value(text: str, why: str) -> None:
    assert _judged(text) == Judged(None, why)


def test_a_pattern_that_backtracks_elsewhere_takes_no_time_here() -> None:
    assert _judged(
        "request.purpose.matches('^(a+)+$')", request__purpose="a" * 199 + "b"
    ) == Judged(False)


def test_an_error_has_its_reason_and_nothing_else_has() -> None:
    for truth, error in ((None, ""), (True, "x"), (False, "x")):
        with pytest.raises(ValueError, match="an error has its reason"):
            Judged(truth, error)


# Trap 15.
def test_another_series_of_the_engine_is_refused_at_the_start() -> None:
    check_engine(version("cel-expr-python"))
    with pytest.raises(EngineUnfit, match=r"cel-expr-python 0\.2\.0 is installed"):
        check_engine("0.2.0")


def test_a_condition_names_what_it_uses() -> None:
    condition = LANGUAGE.compile(
        "geo.country in EEA && 'geo.country' != device.type || geo.country == ''"
    )
    assert condition.names == ("geo.country", "EEA", "device.type")
    assert not condition.is_constant
    assert LANGUAGE.compile("1 < 2").is_constant


TEXTS = [
    "device.managed",
    "!device.managed // and a comment",
    "geo.country in EEA",
    "request.record_count > 3",
    "1 / request.record_count == 0",
    "requester.roles[0] == 'support'",
    "now.getHours(tz) >= 8",
    "(" * 29 + "true" + ")" * 29,
]


@given(
    st.lists(st.sampled_from(TEXTS), max_size=120),
    st.dictionaries(st.sampled_from(sorted(KNOWN)), st.sampled_from([0, "", None, True, []])),
    st.sets(st.sampled_from(sorted(KNOWN))),
)
def test_together_they_say_what_each_says_alone(
    texts: list[str], changes: dict[str, Value], absent: set[str]
) -> None:
    conditions = [LANGUAGE.compile(text) for text in texts]
    values = {name: value for name, value in {**KNOWN, **changes}.items() if name not in absent}
    facts = LANGUAGE.facts(values)
    alone = [condition.judge(facts) for condition in conditions]
    assert LANGUAGE.together(conditions).judge(facts) == alone


def test_together_past_the_budget_each_still_has_its_own() -> None:
    conditions = [LANGUAGE.compile("LONG.all(a, a != '')")] * 15
    facts = LANGUAGE.facts(KNOWN)
    assert LANGUAGE.together(conditions).judge(facts) == [Judged(True)] * 15


def test_what_fits_alone_but_is_too_deep_together_is_judged_alone() -> None:
    deep = LANGUAGE.compile("(" * 31 + "device.managed" + ")" * 31)
    assert LANGUAGE.together([deep, deep]).judge(LANGUAGE.facts(KNOWN)) == [Judged(True)] * 2


def test_only_the_lists_that_are_named_are_handed_over() -> None:
    facts = LANGUAGE.facts(KNOWN, {"EEA"})
    assert LANGUAGE.compile("geo.country in EEA").judge(facts) == Judged(True)
    assert LANGUAGE.compile("geo.country in LONG").judge(facts).truth is None
