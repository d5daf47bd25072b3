"""What a request leaves out, or says wrongly, makes no example policy looser."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from approvals.errors import InvalidRequest
from approvals.policy.analysis import Rulebook
from approvals.policy.attributes import CLAIMABLE, GIVEN, check_claims
from approvals.policy.document import Rule, Then
from approvals.policy.supposing import suppose
from tests.examples.configurations import (
    MAY_BE_ABSENT,
    NAMES,
    Given,
    claims,
    configuration,
    givens,
    services_without,
    terms,
)

examples = pytest.mark.parametrize("name", NAMES)
absences = st.frozensets(st.sampled_from(MAY_BE_ABSENT), min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
conditions = st.sampled_from(
    ["true", "!device.managed", 'geo.country == ""', "request.record_count > 100", "1 / 0 == 1"]
)


def without(given_: Given, names: frozenset[str]) -> Given:
    return {name: value for name, value in given_.items() if name not in names}


@examples
def test_one_attribute_less_approves_nothing(name: str) -> None:
    for case in givens(name):
        before = terms(name, case).matched.decision
        for absent in MAY_BE_ABSENT:
            after = terms(name, without(case, frozenset({absent}))).matched.decision
            assert after != "approve" or before == "approve"


@examples
@given(data=st.data(), absent=absences)
@settings(deadline=None)
def test_any_attributes_less_approve_nothing(
    name: str, data: st.DataObject, absent: frozenset[str]
) -> None:
    case = data.draw(st.sampled_from(givens(name)))
    before = terms(name, case).matched.decision
    after = terms(name, without(case, absent)).matched.decision
    assert after != "approve" or before == "approve"


@examples
@given(data=st.data(), attribute=st.sampled_from(sorted(CLAIMABLE)), value=json_values)
@settings(deadline=None)
def test_a_malformed_claim_is_refused_and_never_decided(
    name: str, data: st.DataObject, attribute: str, value: JsonValue
) -> None:
    case = data.draw(st.sampled_from(givens(name)))
    service = data.draw(st.sampled_from(configuration(name).services.all()))
    context = {**claims(case), attribute: value}
    if CLAIMABLE[attribute].fits(value):
        assert check_claims(context, service.asserts).accepted.keys() <= set(service.asserts)
    else:
        with pytest.raises(InvalidRequest) as refused:
            check_claims(context, service.asserts)
        assert [finding.pointer for finding in refused.value.findings] == [f"/context/{attribute}"]


@examples
@given(data=st.data(), reserved=st.sampled_from(sorted(GIVEN)), value=json_values)
@settings(deadline=None)
def test_what_placet_knows_by_itself_cannot_be_claimed(
    name: str, data: st.DataObject, reserved: str, value: JsonValue
) -> None:
    case = data.draw(st.sampled_from(givens(name)))
    with pytest.raises(InvalidRequest):
        check_claims({**claims(case), reserved: value}, tuple(CLAIMABLE))


@examples
@pytest.mark.parametrize("attribute", sorted(CLAIMABLE))
def test_a_claim_that_the_service_may_not_make_counts_as_absent(name: str, attribute: str) -> None:
    narrow = services_without(name, attribute)
    for case in givens(name):
        said = suppose(case, configuration(name).policy, narrow)
        assert (attribute in said.ignored) is (attribute in case)
        as_absent = terms(name, without(case, frozenset({attribute})), services=narrow)
        assert terms(name, case, services=narrow) == as_absent
        service = next(one for one in narrow.all() if one.id == case["service"])
        assert check_claims(claims(case), service.asserts).ignored == said.ignored


def rulebook(name: str, rules: Sequence[Rule]) -> Rulebook:
    found = configuration(name)
    # The same version, so that what is frozen can be compared.
    return Rulebook(found.policy.model_copy(update={"rules": tuple(rules)}), found.version)


@examples
@given(data=st.data(), when=conditions)
@settings(deadline=None, max_examples=20)
def test_one_deny_rule_more_never_loosens(name: str, data: st.DataObject, when: str) -> None:
    rules = list(configuration(name).policy.rules)
    actions = data.draw(st.sampled_from(sorted(configuration(name).policy.actions)))
    deny = Rule(id="added", actions=(actions,), when=when, then=Then(decision="deny"))
    rules.insert(data.draw(st.integers(0, len(rules))), deny)
    stricter = rulebook(name, rules)
    for case in givens(name):
        before, after = terms(name, case), terms(name, case, rulebook=stricter)
        assert after == before or after.matched.decision == "deny"


@examples
@given(data=st.data())
@settings(deadline=None, max_examples=20)
def test_where_deny_rules_stand_never_matters(name: str, data: st.DataObject) -> None:
    rules = configuration(name).policy.rules
    moved = [rule for rule in rules if rule.then.decision != "deny"]
    for deny in data.draw(st.permutations([one for one in rules if one not in moved])):
        moved.insert(data.draw(st.integers(0, len(moved))), deny)
    shuffled = rulebook(name, moved)
    for case in givens(name):
        before, after = terms(name, case), terms(name, case, rulebook=shuffled)
        assert after.matched.decision == before.matched.decision
        assert after == before or after.matched.decision == "deny"
