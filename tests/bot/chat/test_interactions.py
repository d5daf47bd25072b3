"""What a click does: one use case, one private answer, and a plain sentence for each refusal."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals.errors import NotConfirmed, StoreUnavailable
from approvals.model import ApprovalRequest, Origin, Person, PersonId, PiiInText, RequestId
from approvals.policy.loader import load_configuration
from approvals.policy.people import People
from approvals.privacy.vault import Reading
from approvals.service import ApprovalService
from approvals.store.health import Demands
from approvals.store.pipeline import connection_pool
from approvals.store.store import Store
from bot.chat.card import Action, Card, Form, plain
from bot.chat.identity import Identities
from bot.chat.interactions import Interactions
from bot.chat.messages import Messages
from bot.chat.port import ChatBusy, ChatPort, ChatUser, Click, Platform
from tests.bot.chat.recording_port import RecordingPort
from tests.configurations import PEOPLE, POLICY, write_configuration
from tests.conftest import ANNA, BEN, BILLING, CLEO, CRM, JONAS, OLGA, SECRETS, Placet
from tests.stories.telling import asks, history, looks_and_votes, passes, time_works
from tests.words import JUSTIFICATION

PLATFORMS: tuple[Platform, ...] = ("slack", "teams", "console")
NOBODY = PersonId("nobody")
NO_REQUEST = RequestId("req_" + "0" * 26)
NOTHING = "Nothing was changed."


class Everywhere(Identities):
    """Identities where every platform names people as people.yaml does; adapters bring theirs."""

    def __init__(self, people: Callable[[], People]) -> None:
        super().__init__(people)
        self._everyone = people

    def person(self, user: ChatUser) -> Person:
        return super().person(ChatUser(platform="console", id=user.id, tenant=user.tenant))


@dataclass
class Desk:
    """People who click, and what each of them is told."""

    placet: Placet
    interactions: Interactions
    port: RecordingPort

    async def click(
        self,
        person: PersonId,
        action: Action,
        request: RequestId,
        reason: str | None = None,
        revision: int | None = 1,
    ) -> Card | Form:
        """Answers the one form, or the one reply, that a click gets."""
        click = Click(
            user=ChatUser(platform=self.port.platform, id=person),
            action=action,
            request=request,
            revision=revision,
            inputs={} if reason is None else {"reason": reason},
        )
        port: ChatPort = self.port
        replies, forms = len(self.port.replies), len(self.port.forms)
        await self.interactions.on_click(port, click)
        told = [*self.port.replies[replies:], *self.port.forms[forms:]]
        assert len(told) == 1
        assert isinstance(told[0], Card | Form)
        return told[0]

    async def told(
        self,
        person: PersonId,
        action: Action,
        request: RequestId,
        reason: str | None = None,
        revision: int | None = 1,
    ) -> Card:
        reply = await self.click(person, action, request, reason, revision)
        assert isinstance(reply, Card)
        assert reply.text == " ".join(plain(note) for note in reply.notes)
        assert reply.buttons == ()
        return reply

    async def shown(
        self, person: PersonId, action: Action, request: RequestId, reason: str | None = None
    ) -> Form:
        form = await self.click(person, action, request, reason)
        assert isinstance(form, Form)
        return form

    async def state(self, request: ApprovalRequest) -> ApprovalRequest:
        return await self.placet.service.card_facts(request.id)

    async def words(self, request: ApprovalRequest) -> Reading:
        """What people have said about a request."""
        return await self.placet.service.reading(await self.state(request))

    async def audited(self) -> list[dict[str, Any]]:
        """What the log has of refused rights."""
        await self.placet.store.system.close()
        texts = [json.loads(text) async for text in self.placet.store.log.entries()]
        return [entry["data"] for entry in texts if entry["type"] == "right.refused"]


def desk_over(
    placet: Placet, platform: Platform = "console", service: ApprovalService | None = None
) -> Desk:
    service = service or placet.service

    def people() -> People:
        return placet.service.configuration.people

    def pii_in_text() -> PiiInText:
        return placet.service.configuration.policy.defaults.pii_in_text

    messages = Messages(people, pii_in_text=pii_in_text)
    interactions = Interactions(service, Everywhere(people), messages)
    return Desk(placet, interactions, RecordingPort(platform))


@pytest.fixture
def desk(placet: Placet) -> Desk:
    return desk_over(placet)


@pytest.fixture(params=PLATFORMS)
def any_desk(request: pytest.FixtureRequest, placet: Placet) -> Desk:
    return desk_over(placet, request.param)


def now_reads(desk: Desk, folder: Path, *, policy: str = POLICY, people: str = PEOPLE) -> None:
    """The configuration is reloaded with other contents."""
    write_configuration(folder, policy=policy)
    (folder / "people.yaml").write_text(people)
    desk.placet.service.configuration = load_configuration(folder)


async def export(placet: Placet) -> ApprovalRequest:
    return await asks(placet, action="users.export", params={"format": "csv"})


# -- what each button does ------------------------------------------------------------------------


async def test_review_shows_everything_and_is_on_record_before(any_desk: Desk) -> None:
    request = await asks(any_desk.placet)
    form = await any_desk.shown(ANNA, "review", request.id)
    assert form.title == "Review this request"
    assert [quote.text for quote in form.card.quotes] == [JUSTIFICATION]
    (view,) = (await any_desk.state(request)).views
    assert (view.person, view.via, view.revision) == (ANNA, any_desk.port.platform, 1)


async def test_an_auditor_may_look_and_finds_nothing_to_press(desk: Desk) -> None:
    form = await desk.shown(OLGA, "review", (await asks(desk.placet)).id)
    assert (form.title, form.submits) == ("Request in full", ())


async def test_approve_after_review_decides_and_says_what_follows(any_desk: Desk) -> None:
    request = await asks(any_desk.placet)
    await any_desk.shown(ANNA, "review", request.id)
    reply = await any_desk.told(ANNA, "approve", request.id, reason="Looks right")
    after = await any_desk.state(request)
    assert after.decision is not None
    assert after.grant is not None
    assert reply.state == "info"
    assert reply.text == (
        f"You approved it. Approved by Anna Ek at {after.decision.at:%Y-%m-%d %H:%M:%S} UTC. "
        f"Access may be used until {after.grant.expires_at:%Y-%m-%d %H:%M:%S} UTC. "
        "crm is told now."
    )
    assert [(who.person, who.via) for who in after.decision.by] == [(ANNA, any_desk.port.platform)]
    assert (await any_desk.words(request)).reviewed(ANNA) == "Looks right"


async def test_the_first_of_two_learns_what_is_still_missing(desk: Desk) -> None:
    request = await export(desk.placet)
    await desk.shown(ANNA, "review", request.id)
    reply = await desk.told(ANNA, "approve", request.id)
    assert reply.text == (
        "Your approval counts: 1 of 2 approvals. One more approver is needed by "
        f"{request.expires_at:%Y-%m-%d %H:%M:%S} UTC."
    )
    assert (await desk.state(request)).status == "pending"


async def test_deny_with_a_reason_ends_it_without_a_view(any_desk: Desk) -> None:
    request = await asks(any_desk.placet)
    reply = await any_desk.told(ANNA, "deny", request.id, reason="No ticket of that number")
    assert reply.text == "You denied it. crm is told now. No access was given."
    after = await any_desk.state(request)
    assert after.decision is not None
    assert (after.decision.outcome, after.decision.reason) == (
        "denied",
        "denied_by_approver",
    )
    assert (await any_desk.words(request)).denied() == "No ticket of that number"
    assert [(who.person, who.via) for who in after.decision.by] == [(ANNA, any_desk.port.platform)]


async def test_a_service_without_callback_sees_the_outcome_when_it_asks(desk: Desk) -> None:
    request = await asks(desk.placet, callback_url=None)
    stored = await desk.state(request)
    assert stored.asked.callback_url  # the service's default
    reply = await desk.told(ANNA, "deny", request.id, reason="No")
    assert "crm is told now." in reply.text
    polled = await asks(desk.placet, caller=BILLING)
    assert polled.asked.callback_url is None
    reply = await desk.told(ANNA, "deny", polled.id, reason="No")
    assert reply.text == "You denied it. billing sees it when it asks. No access was given."


@pytest.mark.parametrize("reason", [None, "", "  \n "])
async def test_deny_without_a_reason_asks_for_one_and_changes_nothing(
    desk: Desk, reason: str | None
) -> None:
    request = await asks(desk.placet)
    form = await desk.shown(ANNA, "deny", request.id, reason=reason)
    assert form.title == "Deny this request"
    assert [(button.action, button.value) for button in form.submits] == [
        ("deny", f"{request.id}|1")
    ]
    assert await desk.state(request) == request


@pytest.mark.parametrize("person", [JONAS, CLEO, OLGA, NOBODY])
async def test_nobody_is_asked_for_a_reason_that_could_not_count(
    desk: Desk, person: PersonId
) -> None:
    request = await asks(desk.placet)
    reply = await desk.told(person, "deny", request.id)
    assert reply.state == "refused"
    assert desk.port.forms == []


async def test_who_has_voted_is_not_asked_for_a_reason_either(desk: Desk) -> None:
    request = await export(desk.placet)
    await looks_and_votes(desk.placet, ANNA, request.id)
    reply = await desk.told(ANNA, "deny", request.id)
    assert reply.state == "refused"


@pytest.mark.parametrize(("person", "cause"), [(JONAS, "by_requester"), (BEN, "by_admin")])
async def test_the_requester_or_an_admin_takes_a_request_back(
    any_desk: Desk, person: PersonId, cause: str
) -> None:
    request = await asks(any_desk.placet)
    reply = await any_desk.told(person, "cancel", request.id, reason="Not needed")
    assert reply.text == "The request is cancelled. crm is told now."
    after = await any_desk.state(request)
    assert after.decision is not None
    assert (after.status, after.decision.reason) == ("cancelled", cause)
    assert (await any_desk.words(request)).cancelled() == "Not needed"
    (*_, entry) = await history(any_desk.placet, request.id)
    assert isinstance(entry["data"], dict)
    assert entry["data"]["origin"] == {"via": any_desk.port.platform}


async def test_a_click_that_is_sent_twice_counts_once(desk: Desk) -> None:
    request = await export(desk.placet)
    await desk.shown(ANNA, "review", request.id)
    await desk.told(ANNA, "approve", request.id)
    again = await desk.told(ANNA, "approve", request.id)
    assert again.state == "refused"
    assert len((await desk.state(request)).approvals) == 1


async def test_a_platform_that_fails_is_the_adapters_matter(desk: Desk) -> None:
    request = await asks(desk.placet)
    desk.port.failure = ChatBusy("ratelimited")
    with pytest.raises(ChatBusy, match="ratelimited"):
        await desk.click(ANNA, "deny", request.id, reason="No")
    assert (await desk.state(request)).status == "denied"


# -- what each refusal says -----------------------------------------------------------------------

Prepare = Callable[[Desk], Awaitable[ApprovalRequest]]


@dataclass(frozen=True)
class Refused:
    """Who presses what, in which case, and what they are told. `code` is None where no right
    is missing, so that the log has nothing to note.
    """

    person: PersonId
    action: Action
    said: str
    code: str | None = None
    reason: str | None = None
    revision: int | None = 1


async def _plain(desk: Desk) -> ApprovalRequest:
    return await asks(desk.placet)


async def _machines(desk: Desk) -> ApprovalRequest:
    return await asks(desk.placet, action="users.export", requester={"id": "job:nightly"},
                      params=None)  # fmt: skip


async def _half(desk: Desk) -> ApprovalRequest:
    request = await export(desk.placet)
    return await looks_and_votes(desk.placet, ANNA, request.id)


async def _viewed(desk: Desk) -> ApprovalRequest:
    request = await asks(desk.placet)
    await desk.placet.service.view(request.id, ANNA, Origin(via="console"))
    return await desk.state(request)


OWN = (
    f"Nobody decides their own request, or that of a machine they own. {NOTHING} "
    "Another approver has to look at it."
)
NOT_ONE = (
    f"You are not an approver of this request. {NOTHING} "
    "Ask somebody of its groups; an admin may change them in people.yaml."
)
VOTED = (
    f"You have already voted on this request. A vote cannot be changed. {NOTHING} "
    "The other approvers decide the rest."
)
STALE = (
    f"The request has changed since you looked at it. View it again. {NOTHING} "
    "Press Review to see how it stands now."
)
UNSEEN = (
    f"View the full request before you approve it. {NOTHING} "
    "Press Review, look at it, and approve there."
)
NOT_YOURS = f"Only the requester or an admin may cancel this request. {NOTHING}"
STRANGER = f"Placet does not know you. Ask an admin to add you to people.yaml. {NOTHING}"
LONG = f"The reason holds more than 500 characters; shorten it. {NOTHING}"
HIDDEN = f"The reason holds U+200B, which a reader cannot see; remove it. {NOTHING}"

REFUSED: dict[str, tuple[Prepare, Refused]] = {
    "own request, review": (_plain, Refused(JONAS, "review", OWN, "own_request")),
    "own request, approve": (_plain, Refused(JONAS, "approve", OWN, "own_request")),
    "own request, deny": (_plain, Refused(JONAS, "deny", OWN, "own_request", "No")),
    "own machine, approve": (_machines, Refused(BEN, "approve", OWN, "own_request")),
    "not an approver, review": (_plain, Refused(CLEO, "review", NOT_ONE, "not_approver")),
    "not an approver, approve": (_plain, Refused(CLEO, "approve", NOT_ONE, "not_approver")),
    "not an approver, deny": (_plain, Refused(CLEO, "deny", NOT_ONE, "not_approver", "No")),
    "an auditor, approve": (_plain, Refused(OLGA, "approve", NOT_ONE, "not_approver")),
    "not theirs, cancel": (_plain, Refused(ANNA, "cancel", NOT_YOURS, "not_allowed")),
    "unknown, review": (_plain, Refused(NOBODY, "review", STRANGER, "not_allowed")),
    "unknown, approve": (_plain, Refused(NOBODY, "approve", STRANGER, "not_allowed")),
    "unknown, deny": (_plain, Refused(NOBODY, "deny", STRANGER, "not_allowed", "No")),
    "unknown, cancel": (_plain, Refused(NOBODY, "cancel", STRANGER, "not_allowed")),
    "already reviewed, approve": (_half, Refused(ANNA, "approve", VOTED)),
    "already reviewed, deny": (_half, Refused(ANNA, "deny", VOTED, reason="No")),
    "not reviewed": (_plain, Refused(ANNA, "approve", UNSEEN)),
    "looked by somebody else": (_viewed, Refused(BEN, "approve", UNSEEN)),
    "stale, approve": (_viewed, Refused(ANNA, "approve", STALE, revision=2)),
    "stale, deny": (_plain, Refused(ANNA, "deny", STALE, reason="No", revision=2)),
    "stale, deny without reason": (_plain, Refused(ANNA, "deny", STALE, revision=2)),
    "too long a reason": (_viewed, Refused(ANNA, "deny", LONG, reason="x" * 501)),
    "too long a comment": (_viewed, Refused(ANNA, "approve", LONG, reason="x" * 501)),
    "too long a note": (_viewed, Refused(JONAS, "cancel", LONG, reason="x" * 2001)),
    "an unseen character": (_viewed, Refused(ANNA, "deny", HIDDEN, reason="N\u200bo")),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_says_why_and_what_next_and_changes_nothing(desk: Desk, case: str) -> None:
    prepare, wanted = REFUSED[case]
    request = await prepare(desk)
    entries = await history(desk.placet, request.id)
    reply = await desk.told(
        wanted.person, wanted.action, request.id, wanted.reason, wanted.revision
    )
    assert (reply.state, reply.text) == ("refused", wanted.said)
    assert await desk.state(request) == request
    assert await history(desk.placet, request.id) == entries


@pytest.mark.parametrize("case", REFUSED)
async def test_a_right_that_is_refused_is_written_down_and_nothing_else(
    any_desk: Desk, case: str
) -> None:
    prepare, wanted = REFUSED[case]
    request = await prepare(any_desk)
    await any_desk.told(wanted.person, wanted.action, request.id, wanted.reason, wanted.revision)
    noted = {
        "actor": "unknown" if wanted.person == NOBODY else wanted.person,
        "code": wanted.code,
        "wanted": "view" if wanted.action == "review" else wanted.action,
        "request": request.id,
        "origin": {"via": any_desk.port.platform},
    }
    assert await any_desk.audited() == ([noted] if wanted.code else [])


# -- too late -------------------------------------------------------------------------------------


async def _approved(desk: Desk) -> ApprovalRequest:
    request = await asks(desk.placet)
    return await looks_and_votes(desk.placet, BEN, request.id)


async def _denied(desk: Desk) -> ApprovalRequest:
    request = await asks(desk.placet)
    return await looks_and_votes(desk.placet, BEN, request.id, "deny", "canary-words")


async def _cancelled(desk: Desk) -> ApprovalRequest:
    return await desk.placet.service.cancel_by_service(CRM, (await asks(desk.placet)).id)


async def _expired(desk: Desk) -> ApprovalRequest:
    request = await asks(desk.placet)
    await passes(desk.placet, request, timedelta(0))
    await time_works(desk.placet)
    return await desk.state(request)


LATE: dict[str, tuple[Prepare, str]] = {
    "approved": (_approved, "Approved by Ben Okafor at {at}. Access may be used until {end}."),
    "denied": (_denied, "Denied by Ben Okafor at {at}. No access was given."),
    "cancelled": (_cancelled, "Cancelled by the service at {at}. No access was given."),
    "expired": (_expired, "Expired with 0 of 1 approval at {at}. No access was given."),
}


@pytest.mark.parametrize("outcome", LATE)
@pytest.mark.parametrize(
    ("person", "action"), [(ANNA, "approve"), (ANNA, "deny"), (JONAS, "cancel")]
)
async def test_who_is_too_late_learns_who_was_first_and_when(
    desk: Desk, outcome: str, person: PersonId, action: Action
) -> None:
    prepare, said = LATE[outcome]
    request = await desk.state(await prepare(desk))
    reply = await desk.told(person, action, request.id, reason="Too late")
    form = "%Y-%m-%d %H:%M:%S UTC"
    assert request.decision is not None
    end = request.grant.expires_at.strftime(form) if request.grant else ""
    expected = said.format(at=request.decision.at.strftime(form), end=end)
    assert reply.text == f"It is already decided. {expected} {NOTHING}"
    assert await desk.state(request) == request
    assert await desk.audited() == []


async def test_a_denial_after_the_deadline_is_told_as_expired(desk: Desk) -> None:
    request = await asks(desk.placet)
    await passes(desk.placet, request, timedelta(0))
    reply = await desk.told(ANNA, "deny", request.id, reason="No")
    assert reply.text.startswith("It is already decided. Expired with 0 of 1 approval at ")
    assert (await desk.state(request)).status == "expired"


async def test_a_stranger_does_not_learn_how_it_ended(desk: Desk) -> None:
    request = await _denied(desk)
    tried: tuple[tuple[PersonId, Action], ...] = (
        (CLEO, "approve"), (ANNA, "cancel"), (NOBODY, "deny"),
    )  # fmt: skip
    for person, action in tried:
        reply = await desk.told(person, action, request.id, reason="No")
        assert reply.title == "Placet"
        assert reply.request is None
        assert "Ben" not in reply.text
        assert "enied" not in reply.text


async def test_the_words_of_a_denial_are_in_no_reply(desk: Desk) -> None:
    reply = await desk.told(ANNA, "approve", (await _denied(desk)).id)
    assert "canary" not in reply.model_dump_json()


async def test_a_request_that_is_not_there_is_told_so(desk: Desk) -> None:
    actions: tuple[Action, ...] = ("review", "approve", "deny", "cancel")
    for action in actions:
        reply = await desk.told(ANNA, action, NO_REQUEST, reason="No")
        assert reply.text == (
            f"There is no such request. {NOTHING} It may be of another deployment."
        )


# -- the configuration has changed ----------------------------------------------------------------

FROZEN = POLICY.replace(
    "rules:\n",
    "rules:\n"
    "  - id: freeze\n"
    "    why: Nothing is opened this week\n"
    "    actions: [customer.*]\n"
    "    then: {decision: deny}\n",
)


async def test_a_deny_rule_now_in_force_ends_the_request_and_says_so(
    desk: Desk, tmp_path: Path
) -> None:
    request = await asks(desk.placet)
    await desk.shown(ANNA, "review", request.id)
    now_reads(desk, tmp_path / "later", policy=FROZEN)
    reply = await desk.told(ANNA, "approve", request.id)
    assert (reply.state, reply.text) == (
        "refused",
        "Rule freeze, now in force, denies this request; it has ended.",
    )
    after = await desk.state(request)
    assert after.decision is not None
    assert (after.status, after.decision.rule, after.decision.by) == ("denied", "freeze", ())


async def test_who_has_left_a_group_may_not_approve_what_they_have_seen(
    desk: Desk, tmp_path: Path
) -> None:
    request = await asks(desk.placet)
    await desk.shown(ANNA, "review", request.id)
    seen = await desk.state(request)
    left = PEOPLE.replace("[anna, ben]", "[cleo, ben]")
    now_reads(desk, tmp_path / "later", people=left)
    reply = await desk.told(ANNA, "approve", request.id)
    assert reply.text == NOT_ONE
    assert await desk.state(request) == seen
    assert [noted["code"] for noted in await desk.audited()] == ["not_approver"]


# -- the store has failed -------------------------------------------------------------------------

BROKEN = (
    "The store could not do it, or could not say that it did. "
    "Look at the request again before you repeat it."
)


async def test_a_store_out_of_reach_is_said_plainly(desk: Desk) -> None:
    nowhere = Store.over(
        connection_pool("unix:///nowhere/s.sock"), "gone", SECRETS, Demands(durability="none")
    )
    nowhere.health.faults = ()
    lost = desk_over(desk.placet, service=ApprovalService(nowhere, desk.placet.configuration))
    actions: tuple[Action, ...] = ("review", "approve", "deny", "cancel")
    for action in actions:
        reply = await lost.told(ANNA, action, NO_REQUEST, reason="No")
        assert (reply.state, reply.text) == ("refused", BROKEN)
    await nowhere.close()


async def test_an_unfit_store_approves_nothing_and_tells_nothing_of_itself(desk: Desk) -> None:
    request = await asks(desk.placet)
    await desk.shown(ANNA, "review", request.id)
    seen = await desk.state(request)
    desk.placet.store.health.faults = ("appendonly is no",)
    reply = await desk.told(ANNA, "approve", request.id)
    assert reply.text == BROKEN
    assert await desk.state(request) == seen


class Unsure(ApprovalService):
    """Its store records a vote and cannot confirm it, as when the replicas are away."""

    async def review(self, *told: Any, **more: Any) -> ApprovalRequest:  # noqa: ANN401 - handed on
        await super().review(*told, **more)
        raise NotConfirmed("Recorded, but not yet confirmed by the replicas.")


async def test_a_vote_that_may_be_recorded_is_not_told_as_nothing(desk: Desk) -> None:
    request = await asks(desk.placet)
    unsure = desk_over(desk.placet, service=Unsure(desk.placet.store, desk.placet.configuration))
    reply = await unsure.told(ANNA, "deny", request.id, reason="No")
    assert (await desk.state(request)).status == "denied"
    assert (reply.state, reply.text) == ("refused", BROKEN)


class Forgetful(ApprovalService):
    """Its store goes away between the vote and the look at who was first."""

    async def card_facts(self, request: RequestId) -> ApprovalRequest:
        raise StoreUnavailable("gone")


async def test_who_is_too_late_is_told_so_even_without_the_outcome(desk: Desk) -> None:
    request = await _denied(desk)
    forgetful = Forgetful(desk.placet.store, desk.placet.configuration)
    reply = await desk_over(desk.placet, service=forgetful).told(ANNA, "approve", request.id)
    assert reply.text == f"This request is already denied. {NOTHING}"
