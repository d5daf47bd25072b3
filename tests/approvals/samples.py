"""Requests, people and openings that tests change in one detail each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from approvals.change import Opening
from approvals.lifecycle import open_request
from approvals.model import (
    ActionId,
    ApprovalRequest,
    Asked,
    Caller,
    Encrypted,
    KeyId,
    MatchedPolicy,
    Origin,
    Person,
    PersonId,
    Requester,
    RequestId,
    Role,
    ServiceId,
    Stage,
)
from tests.words import personal

NOW = datetime(2026, 11, 23, 14, 17, 0, 123000, tzinfo=UTC)
SAID = Encrypted("somebody's words, encrypted")
CLI = Origin(via="cli", os_user="tester", host="testhost")
SLACK = Origin(via="slack")
EXPIRES_IN = timedelta(minutes=15)
GRANT_TTL = timedelta(minutes=10)


def person(name: str, *groups: str, roles: tuple[Role, ...] = ("approver",)) -> Person:
    return Person(
        id=PersonId(name), name=name.title(), roles=frozenset(roles), groups=frozenset(groups)
    )


ANNA = person("anna", "privacy")
BEN = person("ben", "privacy", roles=("approver", "admin"))
CLEO = person("cleo", "duty")
DORA = person("dora", "privacy", "duty")
JONAS = person("jonas", "privacy")  # the requester, who would be entitled to any other request
OLGA = person("olga", roles=("auditor",))
ADMIN = person("alma", roles=("admin",))


def policy(**changes: object) -> MatchedPolicy:
    matched = MatchedPolicy(
        version="3f9a",
        rule="one-approver",
        why="Somebody else looks first",
        decision="review",
        threshold=1,
        groups=("privacy",),
    )
    return MatchedPolicy.model_validate(matched.model_dump() | changes)


def in_stages(*stages: tuple[int, str]) -> tuple[Stage, ...]:
    """Stages, each of a threshold and of groups with blanks between them."""
    return tuple(Stage(threshold=most, groups=tuple(groups.split())) for most, groups in stages)


def asked(**changes: object) -> Asked:
    said = Asked(
        action=ActionId("customer.view"),
        title="Open one customer profile",
        requester=Requester(id="okta:00u1", person=PersonId("jonas")),
        personal=personal(),
        subject_mark="5" * 32,
        callback_url="http://127.0.0.1:9/placet",
    )
    return Asked.model_validate(said.model_dump() | changes)


def opening(
    request: str = "req_1",
    *,
    asked_for: Asked | None = None,
    under: MatchedPolicy | None = None,
    service: str = "crm",
    expires_in: timedelta = EXPIRES_IN,
    grant_ttl: timedelta = GRANT_TTL,
    uses: int = 1,
) -> Opening:
    return Opening(
        id=RequestId(request),
        caller=Caller(service=ServiceId(service), key_id=KeyId("crm-1"), address="127.0.0.1"),
        asked=asked_for or asked(),
        policy=under or policy(),
        expires_in=expires_in,
        grant_ttl=grant_ttl,
        uses=uses,
        digest="sha256:" + "0" * 64,
        salt="c2FsdA==",
        body_mark="b" * 32,
    )


def pending(under: MatchedPolicy | None = None, **changes: object) -> ApprovalRequest:
    """A request opened at `NOW`; `changes` are those of its record."""
    request = open_request(opening(under=under), NOW).request
    return request.model_copy(update=changes)
