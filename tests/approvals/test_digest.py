"""The digest of an action, by known answers computed outside this project."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from approvals.digest import action_digest, canonical
from approvals.errors import InvalidRequest

EXPORT: dict[str, JsonValue] = {"format": "csv", "fields": ["email"], "n": 1240, "share": 0.5}
# printf '%s' '{"action":"users.export","params":{...},"salt":...,"subject":...}' | sha256sum
EXPORT_DIGEST = "sha256:24788e7a385ca02d30c404ca6ad6faa9f9a97f3ea4eabf8cd1fea6f203c9f32e"


def digest(
    action: str = "users.export",
    subject: str | None = "customer:48213",
    params: dict[str, JsonValue] | None = None,
    salt: str | None = "c2FsdA==",
) -> str:
    return action_digest(action=action, subject=subject, params=params, salt=salt)


def test_a_known_action_has_its_known_digest() -> None:
    assert digest(params=EXPORT) == EXPORT_DIGEST


def test_absent_members_are_left_out() -> None:
    known = "sha256:fd2ce2d4a67dc45ebff83edeefb6abbaa5fc5adbec9a13ca063bcfd4baadb360"
    assert digest("report.read", None, None, None) == known


def test_the_order_of_members_changes_nothing() -> None:
    assert digest(params=dict(reversed(EXPORT.items()))) == EXPORT_DIGEST


@pytest.mark.parametrize(
    "other",
    [
        digest("users.read", params=EXPORT),
        digest(subject="customer:48214", params=EXPORT),
        digest(subject=None, params=EXPORT),
        digest(params=EXPORT | {"n": 1241}),
        digest(params=EXPORT | {"n": "1240"}),
        digest(params=EXPORT | {"more": None}),
        digest(params=None),
        digest(params={}),
        digest(params=EXPORT, salt="other"),
        digest(params=EXPORT, salt=None),
    ],
)
def test_any_other_action_has_another_digest(other: str) -> None:
    assert other != EXPORT_DIGEST


def test_empty_params_are_not_absent_ones() -> None:
    assert digest(params={}) != digest(params=None)


def test_the_example_of_rfc_8785_is_canonical() -> None:
    value: JsonValue = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**30, float("inf"), float("nan")])
def test_a_number_json_cannot_carry_is_refused_without_being_told(number: float) -> None:
    with pytest.raises(InvalidRequest) as refused:
        digest(params={"deep": [{"n": number}]})
    (finding,) = refused.value.findings
    assert finding.pointer == "/params"
    assert str(number) not in finding.message


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0, -0.0, 1e300])
def test_a_number_json_can_carry_is_taken(number: float) -> None:
    assert digest(params={"n": number}).startswith("sha256:")
