"""P3: approved by people means enough distinct, entitled persons, and never the requester."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from approvals.errors import (
    AlreadyReviewed,
    NoApproverReachable,
    NotAllowed,
    NotApprover,
    NotReviewed,
    OwnRequest,
    PlacetError,
)
from approvals.model import PersonId
from approvals.policy.loader import load_configuration
from tests.configurations import POLICY, write_configuration
from tests.conftest import ANNA, BEN, CLEO, CLI, JONAS, OLGA, Placet
from tests.stories.telling import asks, looks_and_votes

EXPORT: dict[str, Any] = {"action": "users.export", "params": {"format": "csv"}}


async def test_two_approvers_are_two_persons(placet: Placet) -> None:
    request = await asks(placet, **EXPORT)

    after_one = await looks_and_votes(placet, ANNA, request.id)
    assert after_one.status == "pending"
    with pytest.raises(AlreadyReviewed):
        await placet.service.review(request.id, ANNA, CLI, "approve")

    after_two = await looks_and_votes(placet, CLEO, request.id)
    assert after_two.status == "approved"
    assert after_two.decision is not None
    assert {who.person for who in after_two.decision.by} == {ANNA, CLEO}
    assert after_two.grant is not None
    assert after_two.grant.uses_left == 1


async def test_a_person_voting_many_times_at_once_counts_once(placet: Placet) -> None:
    request = await asks(placet, **EXPORT)
    await placet.service.view(request.id, ANNA, CLI)

    async def vote() -> bool:
        try:
            await placet.service.review(request.id, ANNA, CLI, "approve")
        except PlacetError:
            return False
        return True

    assert sum(await asyncio.gather(*(vote() for _ in range(8)))) == 1
    assert not (await placet.service.card_facts(request.id)).is_final


async def test_nobody_decides_their_own_request(placet: Placet) -> None:
    request = await asks(placet, **EXPORT, requester={"id": "okta:anna"})

    with pytest.raises(OwnRequest):
        await placet.service.view(request.id, ANNA, CLI)
    with pytest.raises(OwnRequest):
        await placet.service.review(request.id, ANNA, CLI, "approve")


async def test_nobody_decides_for_a_machine_they_own(placet: Placet) -> None:
    request = await asks(placet, **EXPORT, requester={"id": "job:nightly"})

    with pytest.raises(OwnRequest):
        await placet.service.review(request.id, BEN, CLI, "approve")


@pytest.mark.parametrize("person", [CLEO, JONAS, OLGA])
async def test_who_is_in_no_group_of_the_rule_may_not_decide(
    placet: Placet, person: PersonId
) -> None:
    request = await asks(placet, requester={"id": "okta:ben"})

    with pytest.raises(NotApprover):
        await placet.service.review(request.id, person, CLI, "approve")


async def test_a_stranger_may_nothing(placet: Placet) -> None:
    request = await asks(placet)

    with pytest.raises(NotAllowed):
        await placet.service.review(request.id, PersonId("nobody"), CLI, "deny", reason="x")


async def test_membership_is_todays_not_that_of_the_opening(placet: Placet, tmp_path: Path) -> None:
    request = await asks(placet)
    directory = tmp_path / "later"
    write_configuration(directory)
    people = directory / "people.yaml"
    people.write_text(people.read_text().replace("[anna, ben]", "[ben, cleo]"))
    placet.service.configuration = load_configuration(directory)

    with pytest.raises(NotApprover):
        await placet.service.review(request.id, ANNA, CLI, "approve")
    assert (await looks_and_votes(placet, CLEO, request.id)).status == "approved"


async def test_an_approval_without_a_look_does_not_count(placet: Placet) -> None:
    request = await asks(placet)

    with pytest.raises(NotReviewed):
        await placet.service.review(request.id, ANNA, CLI, "approve")


async def test_a_request_that_too_few_may_decide_is_refused_at_once(placet: Placet) -> None:
    with pytest.raises(NoApproverReachable):
        await asks(placet, action="thin.ice", requester={"id": "okta:anna"}, params=None)


async def test_what_a_rule_approves_carries_the_rule_and_no_person(placet: Placet) -> None:
    request = await asks(placet, action="report.read", params=None)

    assert request.status == "approved"
    assert request.decision is not None
    assert request.decision.rule == "reports-are-open"
    assert request.decision.by == ()
    assert request.grant is not None


async def test_a_deny_rule_of_today_ends_a_request_of_yesterday(
    placet: Placet, tmp_path: Path
) -> None:
    request = await asks(placet)
    await placet.service.view(request.id, ANNA, CLI)
    stricter = POLICY.replace(
        "rules:\n",
        "rules:\n  - id: frozen\n    actions: [customer.view]\n"
        "    then: {decision: deny, say: Access is frozen}\n",
    )
    directory = tmp_path / "stricter"
    # The rule it replaces can no longer be reached by this action, which the loader would refuse.
    stricter = stricter.replace("actions: [customer.view, case.close]", "actions: [case.close]")
    write_configuration(directory, policy=stricter)
    placet.service.configuration = load_configuration(directory)

    with pytest.raises(PlacetError, match="frozen"):
        await placet.service.review(request.id, ANNA, CLI, "approve")

    ended = await placet.service.card_facts(request.id)
    assert ended.status == "denied"
    assert ended.decision is not None
    assert ended.decision.by == ()
    assert ended.decision.rule == "frozen"
