from __future__ import annotations

from pathlib import Path

import pytest

from approvals.model import Person, PersonId
from approvals.policy.loader import load_configuration
from approvals.policy.people import People
from tests.approvals.policy.example import write

ANNA, BEN, CLEO = PersonId("anna"), PersonId("ben"), PersonId("cleo")


@pytest.fixture
def people(tmp_path: Path) -> People:
    return load_configuration(write(tmp_path)).people


def test_a_person_comes_with_roles_and_todays_groups(people: People) -> None:
    assert people.person(ANNA) == Person(
        id=ANNA,
        name="Anna Example",
        roles=frozenset({"approver", "admin"}),
        groups=frozenset({"privacy"}),
    )
    assert people.person(PersonId("nobody")) is None


def test_each_requester_id_leads_to_its_person(people: People) -> None:
    assert people.by_requester_id("okta:00u2") == people.person(ANNA)
    assert people.by_requester_id("okta:00u4") == people.person(CLEO)
    assert people.by_requester_id("okta:00U4") is None


def test_only_approvers_of_the_groups_may_decide(people: People) -> None:
    assert people.who_may_decide(["privacy"], None) == {ANNA}  # cleo is no approver
    assert people.who_may_decide(["privacy", "duty"], None) == {ANNA, BEN}
    assert people.who_may_decide(iter(["privacy", "duty"]), ANNA) == {BEN}
    assert people.who_may_decide(["duty"], BEN) == frozenset()


def test_no_group_and_an_unknown_group_are_nobody_and_never_everybody(people: People) -> None:
    assert people.who_may_decide([], None) == frozenset()
    assert people.who_may_decide(["nobody-knows"], None) == frozenset()


def test_admins_are_those_with_the_role(people: People) -> None:
    assert people.admins() == {ANNA}
