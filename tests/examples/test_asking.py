"""Every service of the examples can ask for every action it may, for everybody it may name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from approvals.ask import Ask
from approvals.change import Opening
from approvals.intake import Chance, prepare, request_id
from approvals.model import ActionId, Caller, KeyId
from approvals.policy.globs import matches_any
from approvals.policy.loader import PEOPLE
from approvals.policy.services import Service
from approvals.privacy.scanner import Scanner
from approvals.signing import Marks
from tests.examples.configurations import NAMES, base, claims, configuration, load
from tests.words import KEY

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday
ADDRESSES = {  # what each service calls from
    "customer-support": "10.30.4.17",
    "data-platform-exports": "10.40.8.21",
    "third-party-processors": "10.60.2.7",
}


def _requesters(name: str, service: Service) -> Iterator[str]:
    people = load(name, PEOPLE)["people"]
    persons = [one for person in people for one in person.get("requester_ids", ())]
    yield from (one for one in persons if matches_any(service.requesters, one))
    yield from (one.match.replace("*", "x") for one in service.machine_requesters)


def _opening(name: str, service: Service, action: ActionId, requester: str) -> Opening:
    entry = configuration(name).policy.actions[action]
    sent: dict[str, Any] = {
        "action": action,
        "requester": {"id": requester},
        "justification": "Needed for what the ticket tells, as agreed with the team",
        "params": dict.fromkeys(entry.fields, "something of the field"),
        "context": claims(base(name)),
        "subject": "customer:48213",
        "ticket": "ZD-48213",
        "record_count": 1,
        "purpose": entry.purposes[0] if entry.purposes else base(name)["request.purpose"],
    }
    return prepare(
        configuration(name),
        Caller(service=service.id, key_id=KeyId("key-1"), address=ADDRESSES[name]),
        Ask.parse(sent),
        now=NOW,
        marks=Marks(b"k" * 32),
        key=KEY,
        scanner=Scanner(),
        body=b"{}",
        chance=Chance(request_id(NOW, bytes(10)), bytes(16)),
    )


@pytest.mark.parametrize("name", NAMES)
def test_all_that_a_service_may_ask_is_judged(name: str) -> None:
    found = configuration(name)
    asked, decisions = set(), set()
    for service in found.services.all():
        for action in map(ActionId, found.policy.actions):
            for requester in _requesters(name, service) if service.may_ask(action) else ():
                opening = _opening(name, service, action, requester)
                asked.add(action)
                decisions.add(opening.policy.decision)
                assert opening.asked.hidden_fields == _hidden(name, action)
    assert asked == set(found.policy.actions)
    assert {"review", "deny"} <= decisions


def _hidden(name: str, action: ActionId) -> int:
    fields = configuration(name).policy.actions[action].fields.values()
    return sum(field.show == "hidden" for field in fields)
