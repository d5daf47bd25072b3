from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from approvals.errors import Finding, InvalidRequest
from approvals.policy.attributes import CLAIMABLE, check_claims, is_reserved

ALL = tuple(CLAIMABLE)
GOOD: dict[str, JsonValue] = {
    "requester.roles": ["support"],
    "requester.groups": [],
    "geo.country": "DE",
    "device.managed": True,
    "device.type": "laptop",
}


COUNTRY = "must be two capital letters, an ISO 3166 code such as DE"
WORD = "must be 1 to 64 letters, digits and _ . : -, a letter or digit first"
WORDS = (
    "must be a list of at most 50 texts, "
    "each 1 to 64 letters, digits and _ . : -, a letter or digit first"
)


def _findings(context: dict[str, JsonValue]) -> list[Finding]:
    with pytest.raises(InvalidRequest) as caught:
        check_claims(context, ALL)
    return list(caught.value.findings)


def test_what_a_service_may_assert_is_accepted() -> None:
    claims = check_claims(GOOD, ALL)
    assert claims.accepted == GOOD
    assert claims.ignored == ()


def test_what_it_may_not_assert_is_dropped_and_named() -> None:
    claims = check_claims(GOOD, ("geo.country",))
    assert claims.accepted == {"geo.country": "DE"}
    assert claims.ignored == tuple(name for name in GOOD if name != "geo.country")


def test_the_defaults_are_the_strict_case() -> None:
    assert {name: attribute.default for name, attribute in CLAIMABLE.items()} == {
        "requester.roles": [],
        "requester.groups": [],
        "geo.country": "",
        "device.managed": False,
        "device.type": "unknown",
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("device.managed", 1, "must be true or false"),
        ("device.managed", "yes", "must be true or false"),
        ("device.managed", None, "must be true or false"),
        *[("geo.country", value, COUNTRY) for value in (False, ["DE"], "", "de", "DEU", "DE\n")],
        *[("device.type", value, WORD) for value in (7, "", "Jonas Berg", "ä", "a" * 65, "a\n")],
        *[
            ("requester.roles", value, WORDS)
            for value in ("support", [True], ["ops", "j@x.example"])
        ],
        *[("requester.groups", value, WORDS) for value in ({"a": "b"}, [""], ["g"] * 51)],
        ("device.manged", True, "is not a context attribute; did you mean device.managed?"),
        ("zzz", 1, "is not a context attribute; known are " + ", ".join(sorted(ALL))),
        ("service", "crm", "is set by Placet and may not be sent; remove it"),
        ("now", "2026-01-01", "is set by Placet and may not be sent; remove it"),
        ("tz", "UTC", "is set by Placet and may not be sent; remove it"),
        ("client.ip", "::1", "is set by Placet and may not be sent; remove it"),
        ("requester.id", "x", "is set by Placet and may not be sent; remove it"),
        ("requester.unreceipted", 0, "is set by Placet and may not be sent; remove it"),
        ("requester.overuse", 0, "is set by Placet and may not be sent; remove it"),
        ("request.record_count", 1, "is set by Placet and may not be sent; remove it"),
    ],
)
def test_a_claim_that_cannot_be_meant_is_refused_at_its_pointer(
    name: str, value: JsonValue, message: str
) -> None:
    assert _findings({name: value}) == [Finding(f"/context/{name}", message)]


@pytest.mark.parametrize("name", ["Jonas Berg", "a/b", "a~b", "x" * 41, "", "request.JB", "49170"])
def test_a_name_that_may_be_personal_data_is_not_told_back(name: str) -> None:
    [finding] = _findings({name: "x"})
    assert finding.pointer == "/context"
    assert finding.message.startswith("holds a key that is no context attribute; known are device.")


def test_every_fault_is_told_also_of_what_would_be_ignored() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_claims({"geo.country": 1, "device.managed": True, "nwo": 2}, ())
    assert [finding.pointer for finding in caught.value.findings] == [
        "/context/geo.country",
        "/context/nwo",
    ]


def test_the_longest_that_fits_is_accepted() -> None:
    context: dict[str, JsonValue] = {
        "requester.roles": ["a" * 64] * 50,
        "device.type": "9_.:-Z",
    }
    assert check_claims(context, ALL).accepted == context


def test_one_answer_holds_at_most_twenty_findings_and_five_hints() -> None:
    names = [f"geo.countr{letter}{other}" for letter in "abcde" for other in "abcde"]
    findings = _findings(dict.fromkeys(names, 1))
    assert [finding.pointer for finding in findings] == [f"/context/{name}" for name in names[:20]]
    hints = ["did you mean geo.country?" in finding.message for finding in findings]
    assert hints == [True] * 5 + [False] * 15
    assert "known are" in findings[5].message


def test_names_that_are_known_or_never_told_back_use_up_no_hint() -> None:
    context: dict[str, JsonValue] = {"x" * 41 + str(number): 1 for number in range(6)}
    context |= {"now": 1, "geo.country": 1, "geo.contry": "DE"}
    assert _findings(context)[-1].message.endswith("did you mean geo.country?")


def test_no_claimable_attribute_is_reserved() -> None:
    assert not any(is_reserved(name) for name in CLAIMABLE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*ALL, "service", "x"]) | st.text(), JSON, max_size=4))
def test_whatever_is_accepted_is_known_and_of_its_type(context: dict[str, JsonValue]) -> None:
    with contextlib.suppress(InvalidRequest):
        claims = check_claims(context, ALL)
        assert all(CLAIMABLE[name].fits(value) for name, value in claims.accepted.items())
