"""The button that takes an access back: what it does, and what it says when nothing is left."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvals.act import Redeem
from approvals.errors import StoreUnavailable
from approvals.model import ApprovalRequest, PersonId, RequestId
from approvals.service import ApprovalService
from bot.chat.port import Platform
from tests.bot.chat.test_interactions import NOTHING, PLATFORMS, Desk, desk_over
from tests.conftest import ANNA, BEN, CLEO, CRM, JONAS, OLGA, Placet
from tests.stories.telling import asks, history, looks_and_votes, set_store_time

STRANGER = PersonId("nobody")
LEFT = "There is nothing left to revoke."


@pytest.fixture
def desk(placet: Placet) -> Desk:
    return desk_over(placet)


async def granted(placet: Placet) -> ApprovalRequest:
    return await looks_and_votes(placet, ANNA, (await asks(placet)).id)


async def redeemed(placet: Placet) -> ApprovalRequest:
    request = await granted(placet)
    sent = Redeem.parse({"nonce": "n1", "digest": request.digest})
    return (await placet.service.grants.redeem(CRM, request.id, sent)).request


def told(text: str, request: ApprovalRequest) -> str:
    """`text` with the times of the request's grant."""
    form, grant = "%Y-%m-%d %H:%M:%S UTC", request.grant
    assert grant is not None
    used = grant.redemptions[-1].at.strftime(form) if grant.redemptions else ""
    closed = grant.closing.at.strftime(form) if grant.closing else ""
    return text.format(used=used, closed=closed, end=grant.expires_at.strftime(form))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("person", "cause"), [(JONAS, "by_requester"), (ANNA, "by_approver"), (BEN, "by_approver")]
)
async def test_who_may_takes_the_access_back_with_a_reason_or_without(
    placet: Placet, platform: Platform, person: PersonId, cause: str
) -> None:
    desk = desk_over(placet, platform)
    for reason in ("Wrong customer", None):
        request = await granted(placet)
        reply = await desk.told(person, "revoke", request.id, reason)
        assert reply.state == "info"
        assert reply.text == "You revoked the access. crm is told now. It had not been used."
        grant = (await desk.state(request)).grant
        assert grant is not None
        assert grant.closing is not None
        closing = grant.closing
        assert (grant.status, closing.reason, closing.person) == ("revoked", cause, person)
        assert (await desk.words(request)).revoked() == reason
        (*_, entry) = await history(placet, request.id)
        assert isinstance(entry["data"], dict)
        assert (entry["type"], entry["data"]["origin"]) == ("grant.revoked", {"via": platform})


@pytest.mark.parametrize("person", [CLEO, OLGA, STRANGER])
async def test_who_may_not_is_told_so_and_it_is_written_down(desk: Desk, person: PersonId) -> None:
    request = await granted(desk.placet)
    reply = await desk.told(person, "revoke", request.id, "Why not")
    assert (reply.state, reply.title) == ("refused", "Placet")
    assert NOTHING in reply.text
    assert await desk.state(request) == request
    ((noted),) = await desk.audited()
    assert (noted["wanted"], noted["code"]) == ("revoke", "not_allowed")


async def test_who_comes_too_late_learns_how_the_access_ended(desk: Desk) -> None:
    placet, grants = desk.placet, desk.placet.service.grants
    used, ended, revoked = await redeemed(placet), await granted(placet), await granted(placet)
    await grants.end(CRM, ended.id)
    await desk.told(JONAS, "revoke", revoked.id, "canary-words")
    for request, said in (
        (used, "The access was used at {used}."),
        (ended, "crm ended the access early at {closed}. It was not used."),
        (revoked, "Jonas Berg revoked the access at {closed}. It was not used."),
    ):
        after = await desk.state(request)
        reply = await desk.told(ANNA, "revoke", request.id)
        assert reply.state == "refused"
        assert reply.text == f"{LEFT} {told(said, after)} {NOTHING}"
        assert await desk.state(request) == after


async def test_after_its_time_it_is_told_so_though_no_worker_came_by(desk: Desk) -> None:
    request = await granted(desk.placet)
    assert request.grant is not None
    await set_store_time(desk.placet, request.grant.expires_at + timedelta(seconds=1))
    reply = await desk.told(ANNA, "revoke", request.id)
    said = "The time of the access was up at {end}."
    assert reply.text == f"{LEFT} {told(said, request)} {NOTHING}"


async def test_without_an_access_there_is_nothing_to_take_back(desk: Desk) -> None:
    pending = await asks(desk.placet)
    denied = await looks_and_votes(desk.placet, BEN, (await asks(desk.placet)).id, "deny", "No")
    for request in (pending, denied):
        reply = await desk.told(ANNA, "revoke", request.id)
        assert (reply.state, reply.text.startswith("There is no such grant. ")) == ("refused", True)


async def test_the_details_of_an_open_access_offer_to_take_it_back(desk: Desk) -> None:
    request = await granted(desk.placet)
    form = await desk.shown(ANNA, "review", request.id)
    assert [button.action for button in form.submits] == ["revoke"]
    reply = await desk.told(ANNA, "revoke", request.id, "x" * 501)
    assert reply.text == f"The reason holds more than 500 characters; shorten it. {NOTHING}"


class Forgetful(ApprovalService):
    """Its store goes away before the look at how the access ended."""

    async def card_facts(self, request: RequestId) -> ApprovalRequest:
        raise StoreUnavailable("gone")


async def test_who_is_too_late_is_told_so_even_without_the_end(placet: Placet) -> None:
    request = await redeemed(placet)
    forgetful = Forgetful(placet.store, placet.configuration)
    reply = await desk_over(placet, service=forgetful).told(ANNA, "revoke", request.id)
    assert reply.text == f"{LEFT} {NOTHING}"
