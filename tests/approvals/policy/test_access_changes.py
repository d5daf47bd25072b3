"""Two people.yaml and two services.yaml side by side."""

from __future__ import annotations

import pytest

from approvals.policy.access_changes import people_changes, services_changes
from approvals.policy.people import PeopleDocument
from approvals.policy.services import ServicesDocument

ANNA = {"id": "anna", "name": "Anna", "roles": ["approver"], "requester_ids": ["okta:1"]}
BEN = {"id": "ben", "name": "Ben"}
GROUPS = {"privacy": {"members": ["anna"]}}
CRM = {"actions": ["customer.*"], "requesters": ["okta:*"], "asserts": ["geo.country"]}


def people(*persons: object, **groups: object) -> PeopleDocument:
    return PeopleDocument.model_validate({"people": persons, "groups": groups or GROUPS})


def services(**entries: object) -> ServicesDocument:
    return ServicesDocument.model_validate({"services": entries})


def of_people(old: PeopleDocument, new: PeopleDocument) -> list[tuple[str, str]]:
    return [(one.direction, one.words) for one in people_changes(old, new)]


def of_services(old: object, new: object) -> list[tuple[str, str]]:
    changes = services_changes(services(crm=old), services(crm=new))
    return [(one.direction, one.words) for one in changes]


def test_what_did_not_change_is_not_told() -> None:
    assert of_people(people(ANNA, BEN), people(BEN, ANNA)) == []
    assert of_services(CRM, dict(CRM)) == []
    assert of_services(CRM, CRM | {"actions": ["customer.*"]}) == []


def test_members_gained_are_looser_and_told_by_id() -> None:
    more = people(ANNA, BEN, privacy={"members": ["ben", "anna"]})
    assert of_people(people(ANNA, BEN), more) == [("looser", "group `privacy` gains ben")]
    assert of_people(more, people(ANNA, BEN)) == [("stricter", "group `privacy` loses ben")]


def test_roles_gained_are_looser_of_new_persons_too() -> None:
    old, new = people(ANNA, BEN), people(ANNA, BEN | {"roles": ["approver"]})
    assert of_people(old, new) == [("looser", "person `ben`: roles gains approver")]
    assert of_people(new, old) == [("stricter", "person `ben`: roles loses approver")]
    assert of_people(people(ANNA), new) == [
        ("looser", "person `ben`: roles gains approver"),
        ("new", "person `ben` added"),
    ]
    assert of_people(new, people(ANNA)) == [("stricter", "person `ben` removed")]


def test_who_may_ask_more_often_is_looser() -> None:
    rate = {"per_minute": 700, "per_requester": 60, "pending_per_requester": 5}
    assert of_services(CRM, CRM | {"rate": rate}) == [
        ("looser", "service `crm`: `rate`: `per_minute` 600 → 700"),
        ("stricter", "service `crm`: `rate`: `pending_per_requester` 20 → 5"),
    ]
    assert of_services(CRM, CRM | {"rate": {"per_minute": 600}}) == []


def test_groups_come_and_go() -> None:
    old, new = people(ANNA), people(ANNA, privacy=GROUPS["privacy"], duty={"members": ["anna"]})
    assert of_people(old, new) == [("new", "group `duty` added")]
    assert of_people(new, old) == [("stricter", "group `duty` removed")]


def test_of_accounts_only_the_change_is_told() -> None:
    changed = ANNA | {"requester_ids": ["okta:2"], "slack": {"team": "T1", "user": "U1"}}
    assert of_people(people(ANNA), people(changed)) == [
        ("other", "person `anna`: `requester_ids` changed"),
        ("other", "person `anna`: `slack` changed"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("actions", ["customer.*", "billing.*"], "gains billing.*"),
        ("actions", ["*"], "gains * and loses customer.*"),
        ("requesters", ["okta:*", "bot-*"], "gains bot-*"),
        ("asserts", ["geo.country", "device.managed"], "gains device.managed"),
        ("machine_requesters", [{"match": "job-*", "owner": "anna"}], "gains job-* (owner anna)"),
    ],
)
def test_what_a_service_gains_is_looser(key: str, value: object, words: str) -> None:
    new = CRM | {key: value}
    assert of_services(CRM, new) == [("looser", f"service `crm`: `{key}` {words}")]
    assert [direction for direction, _ in of_services(new, CRM)] == ["stricter"]


def test_patterns_count_by_what_they_fit() -> None:
    narrow = CRM | {"actions": ["customer.read"]}
    assert of_services(CRM, narrow) == [
        ("stricter", "service `crm`: `actions` gains customer.read and loses customer.*")
    ]
    both = CRM | {"actions": ["customer.*", "customer.read"]}
    assert [direction for direction, _ in of_services(CRM, both)] == ["other"]
    elsewhere = CRM | {"actions": ["billing.*"]}
    assert [direction for direction, _ in of_services(CRM, elsewhere)] == ["looser"]


def test_keys_and_callbacks_are_told_without_their_values() -> None:
    key = {"id": "crm-1", "hash": "sha256:" + "0" * 64}
    callback = {"secrets": [{"env": "SECRET"}], "origins": ["https://crm.example"]}
    assert of_services(CRM, CRM | {"keys": [key], "callback": callback}) == [
        ("other", "service `crm`: `keys` changed"),
        ("other", "service `crm`: `callback` changed"),
    ]


def test_services_come_and_go() -> None:
    one, two = services(crm=CRM), services(crm=CRM, desk=CRM)
    assert [(c.direction, c.words) for c in services_changes(one, two)] == [
        ("new", "service `desk` added")
    ]
    assert [c.direction for c in services_changes(two, one)] == ["stricter"]
