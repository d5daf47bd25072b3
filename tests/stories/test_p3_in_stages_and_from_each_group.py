"""P3: stages are filled in order, groups that must differ do, and time only adds who may decide."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals import lifecycle
from approvals.errors import NotApprover, PlacetError
from approvals.model import ApprovalRequest, Escalation, MatchedPolicy, PersonId
from approvals.policy.loader import load_configuration
from tests.approvals.samples import in_stages, policy
from tests.configurations import POLICY, write_configuration
from tests.conftest import ANNA, BEN, CLEO, CLI, Placet
from tests.stories.telling import asks, history, looks_and_votes, opens, set_store_time, time_works

BOTH = ("privacy", "duty")
STAGES = policy(
    rule="privacy-then-duty",
    stages=in_stages((2, "privacy"), (1, "duty")),
    threshold=3,
    groups=BOTH,
    quick_approve=True,
)
EACH = policy(
    rule="one-from-each", threshold=2, groups=BOTH, distinct_groups=True, quick_approve=True
)
MINUTE = timedelta(minutes=1)


async def facts_of(placet: Placet, request: ApprovalRequest, kind: str) -> list[dict[str, Any]]:
    """What the audit entries of one kind say, oldest first."""
    entries: list[dict[str, Any]] = await history(placet, request.id)
    return [entry["data"] for entry in entries if entry["type"] == kind]


async def votes_at_once(
    placet: Placet, request: ApprovalRequest, *people: PersonId
) -> list[PersonId]:
    """Everybody approves at the same moment; answers whose approval was taken."""

    async def vote(person: PersonId) -> PersonId | None:
        try:
            await placet.service.review(request.id, person, CLI, "approve")
        except PlacetError:
            return None
        return person

    return [person for person in await asyncio.gather(*map(vote, people)) if person]


async def test_the_second_stage_waits_for_the_first(placet: Placet) -> None:
    request = await opens(placet, STAGES)

    with pytest.raises(NotApprover, match="Stage 1 of 2 is open: it still needs 2 approvals"):
        await looks_and_votes(placet, CLEO, request.id)
    await looks_and_votes(placet, ANNA, request.id)
    await looks_and_votes(placet, BEN, request.id)
    after = await looks_and_votes(placet, CLEO, request.id)

    assert after.status == "approved"
    votes = await facts_of(placet, request, "request.reviewed")
    stood = [(vote["person"], vote.get("stage", 0), vote["groups"]) for vote in votes]
    assert stood == [("anna", 0, ["privacy"]), ("ben", 0, ["privacy"]), ("cleo", 1, ["duty"])]


async def test_who_decides_a_later_stage_may_deny_in_the_first(placet: Placet) -> None:
    request = await opens(placet, STAGES)

    after = await looks_and_votes(placet, CLEO, request.id, "deny", "Not for this customer")

    assert after.status == "denied"


async def test_votes_that_race_fill_no_stage_out_of_order(placet: Placet) -> None:
    request = await opens(placet, STAGES)

    await votes_at_once(placet, request, CLEO, ANNA, BEN, CLEO)

    facts = await placet.service.card_facts(request.id)
    stood = [(given.person, given.stage) for given in facts.approvals]
    assert {person for person, stage in stood if stage == 0} == {ANNA, BEN}
    assert facts.is_final == ((CLEO, 1) in stood)


async def test_two_of_one_group_are_not_two_groups(placet: Placet) -> None:
    request = await opens(placet, EACH)

    await looks_and_votes(placet, ANNA, request.id)
    told = "privacy has approved already; an approval from duty is needed."
    with pytest.raises(NotApprover, match=told):
        await looks_and_votes(placet, BEN, request.id)

    assert (await looks_and_votes(placet, CLEO, request.id)).status == "approved"


async def test_two_of_one_group_that_race_count_once(placet: Placet) -> None:
    request = await opens(placet, EACH)

    assert len(await votes_at_once(placet, request, ANNA, BEN)) == 1
    assert not (await placet.service.card_facts(request.id)).is_final


WAITING = policy(
    rule="privacy-then-everybody",
    threshold=1,
    remind=(2 * MINUTE,),
    escalate=(Escalation(after=5 * MINUTE, groups=("duty",), notify=("managers",)),),
)


async def comes(placet: Placet, request: ApprovalRequest, after: timedelta) -> list[str]:
    """The store's time stands `after` the opening, and what is due is done; answers the entries."""
    await set_store_time(placet, request.created_at + after)
    await time_works(placet)
    return [str(entry["type"]) for entry in await history(placet, request.id)]


async def test_time_reminds_then_adds_who_may_decide_then_expires(placet: Placet) -> None:
    request = await opens(placet, WAITING)
    with pytest.raises(NotApprover):
        await looks_and_votes(placet, CLEO, request.id)

    assert (await comes(placet, request, MINUTE))[1:] == []
    assert (await comes(placet, request, 2 * MINUTE))[1:] == ["request.reminded"]
    seen = await comes(placet, request, 6 * MINUTE)  # a minute late
    assert seen[2:] == ["request.escalated"]
    (escalated,) = await facts_of(placet, request, "request.escalated")
    assert escalated == {"step": 1, "groups": ["duty"], "notify": ["managers"]}
    await placet.service.view(request.id, CLEO, CLI)
    assert (await comes(placet, request, 15 * MINUTE))[-1] == "request.expired"


async def test_an_added_person_decides(placet: Placet) -> None:
    request = await opens(placet, WAITING, ago=6 * MINUTE)
    with pytest.raises(NotApprover):  # it is the escalation that adds them, not the time
        await looks_and_votes(placet, CLEO, request.id)
    await time_works(placet)

    after = await looks_and_votes(placet, CLEO, request.id)

    assert (after.status, after.revision) == ("approved", 1)


async def test_two_workers_take_each_step_once(placet: Placet) -> None:
    request = await opens(placet, WAITING)
    await set_store_time(placet, request.created_at + 6 * MINUTE)
    other = placet.another()

    await asyncio.gather(time_works(placet), time_works(other), time_works(placet))
    await other.store.close()

    entries = [str(entry["type"]) for entry in await history(placet, request.id)]
    assert entries[1:] == ["request.reminded", "request.escalated"]


async def test_what_is_overdue_after_the_deadline_only_expires(placet: Placet) -> None:
    request = await opens(placet, WAITING)

    assert (await comes(placet, request, 15 * MINUTE))[1:] == ["request.expired"]


def test_the_stories_rules_are_of_the_shape_that_policy_freezes() -> None:
    for rule in (STAGES, EACH, WAITING):
        assert MatchedPolicy.model_validate_json(rule.model_dump_json()) == rule


async def test_the_file_says_it_and_the_request_keeps_it(placet: Placet, tmp_path: Path) -> None:
    rule = "threshold: 2, groups: [privacy, duty]"
    stages = "stages: [{threshold: 1, groups: [privacy]}, {threshold: 1, groups: [duty]}]"
    write_configuration(tmp_path / "staged", policy=POLICY.replace(rule, stages))
    placet.service.configuration = load_configuration(tmp_path / "staged")
    request = await asks(placet, action="users.export", params=None)
    with pytest.raises(NotApprover, match="Stage 1 of 2 is open"):
        await looks_and_votes(placet, CLEO, request.id)
    placet.service.configuration = placet.configuration  # a reload moves no goalpost
    await looks_and_votes(placet, ANNA, request.id)
    assert (await looks_and_votes(placet, CLEO, request.id)).status == "approved"


async def test_a_step_that_would_be_committed_at_the_deadline_gives_way(placet: Placet) -> None:
    request = await opens(placet, WAITING, ago=15 * MINUTE - timedelta(seconds=1))
    stored = await placet.store.records.load(request.id)
    assert stored is not None
    late = lifecycle.on_deadline(stored.request, stored.now)
    assert late is not None
    assert late.request.escalated == 1
    await set_store_time(placet, request.expires_at)

    assert (await placet.store.records.commit(stored, late, "op-late")).code == "LATE"
    (expired,) = await time_works(placet)

    assert (expired.status, expired.escalated) == ("expired", 0)
