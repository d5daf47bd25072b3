"""Forgetting a data subject: what was to happen does not, and nobody's words are left."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from approvals import answer
from approvals.act import ReceiptSent, Redeem
from approvals.erasure import Erased, HasSubject
from approvals.errors import (
    AlreadyFinal,
    GrantRevoked,
    InvalidRequest,
    NotAllowed,
    NotFound,
    SecretFound,
    UnknownPerson,
)
from approvals.model import PersonId, RequestId
from approvals.service import ApprovalService
from approvals.store.records import LOADED_AT_ONCE, Records
from approvals.store.scripts import Answer, Commit, Scripts
from approvals.store.system import SystemRecord
from tests.approvals.store.support import dump
from tests.conftest import ANNA, BEN, BILLING, CLEO, CLI, CRM, JONAS, OLGA, SECRETS, Placet
from tests.erasing import (
    ACT,
    CANARY,
    ERASED,
    SUBJECT,
    all_ways,
    approved,
    asks_about_them,
    assert_nowhere,
    denied,
    entries,
    erases,
    now,
    used,
    waits,
    words_of,
)
from tests.stories.telling import asks, history, told

OTHER = "customer:2"
REASON = "They asked for it"


async def test_before_it_is_forgotten_it_can_be_read_and_stands_nowhere_in_clear(
    placet: Placet,
) -> None:
    requests = await all_ways(placet)
    for request in requests.values():
        assert any(CANARY in words for words in await words_of(placet, request.id))
    await assert_nowhere(placet)


async def test_what_waited_is_cancelled_and_what_was_granted_is_revoked(placet: Placet) -> None:
    requests = await all_ways(placet)
    assert await erases(placet) == Erased(requests=7, cancelled=1, revoked=1, before=0)
    pending, active = await now(placet, requests["pending"]), await now(placet, requests["active"])
    assert pending.decision is not None
    assert (pending.status, pending.decision.reason) == ("cancelled", "subject_erased")
    assert active.grant is not None
    assert active.grant.closing is not None
    closing = active.grant.closing
    assert (active.status, active.grant.status) == ("approved", "revoked")
    assert (closing.reason, closing.person) == ("subject_erased", BEN)


async def test_both_are_called_back_and_nothing_else_is(placet: Placet) -> None:
    requests = await all_ways(placet)
    before = {name: await told(placet, one.id) for name, one in requests.items()}
    await erases(placet)
    for name, request in requests.items():
        new = (await told(placet, request.id))[len(before[name]) :]
        expected = {"pending": ["request.cancelled"], "active": ["grant.revoked"]}
        assert [one["type"] for one in new] == expected.get(name, [])


async def test_what_was_over_keeps_its_state_its_ids_and_its_times(placet: Placet) -> None:
    requests = await all_ways(placet)
    await erases(placet)
    for name in ("denied", "cancelled", "revoked", "used", "accounted for"):
        before, after = requests[name], await now(placet, requests[name])
        assert answer.callback_data(after) == answer.callback_data(before)
        assert after.views == before.views
        assert after.digest == before.digest


async def test_no_words_can_be_read_of_any_of_them(placet: Placet) -> None:
    requests = await all_ways(placet)
    await erases(placet)
    for request in requests.values():
        assert await words_of(placet, request.id) == []
        assert (await now(placet, request)).salt is None
    await assert_nowhere(placet)
    async with placet.engine.client() as client:
        assert not [one for one in await dump(client, placet.store.keys) if "vault" in one]


async def test_a_view_says_erased_and_is_still_on_record(placet: Placet) -> None:
    request = await denied(placet)
    await erases(placet)
    shown = await placet.service.view(request.id, OLGA, CLI)
    assert (shown.is_erased, shown.justification, shown.said) == (True, ERASED, ERASED)
    assert (shown.fields, shown.ticket, shown.given_name) == ((), None, None)
    assert CANARY not in shown.model_dump_json()
    last = (await history(placet, request.id))[-1]
    assert last["type"] == "request.viewed"
    assert json.loads(json.dumps(last["data"]))["shown"] == shown.fingerprint()


async def test_its_own_service_learns_that_the_words_are_erased(placet: Placet) -> None:
    request = await denied(placet)
    (said,) = await placet.service.denied_because([await now(placet, request)])
    assert said == f"{CANARY} has withdrawn"
    await erases(placet)
    after = await placet.service.get_own(CRM, request.id)
    (said,) = await placet.service.denied_because([after])
    told_now = answer.answer(after, said=said)
    assert told_now["salt"] is None
    assert isinstance(told_now["decision"], dict)
    assert told_now["decision"]["reason"] == "erased"
    assert answer.callback_data(after)["decision"] == answer.public_decision(request)


async def test_who_cancels_too_late_learns_no_words_either(placet: Placet) -> None:
    request = await denied(placet)
    await erases(placet)
    with pytest.raises(AlreadyFinal) as refused:
        await placet.service.cancel_by_service(CRM, request.id)
    assert CANARY not in repr(refused.value.facts)
    assert "erased" in repr(refused.value.facts)


async def test_lists_and_card_facts_go_on(placet: Placet) -> None:
    requests = await all_ways(placet)
    await erases(placet)
    page = await placet.service.list_own(CRM, status=None, action=None, limit=50, cursor=None)
    assert {one.id for one in page.items} == {one.id for one in requests.values()}
    assert await placet.service.pending() == ()
    said = await placet.service.denied_because(page.items)
    assert [words for words in said if words] == ["erased"]


async def test_a_grant_that_was_taken_back_opens_nothing(placet: Placet) -> None:
    request = await approved(placet)
    await erases(placet)
    for sent in ({"digest": request.digest}, {"action": "customer.view", **ACT}):
        with pytest.raises(GrantRevoked):
            await placet.service.grants.redeem(
                CRM, request.id, Redeem.parse({"nonce": "n2", **sent})
            )


async def test_a_receipt_after_it_is_taken_and_keeps_no_note(placet: Placet) -> None:
    request = await used(placet)
    await erases(placet)
    sent = ReceiptSent.parse({"records": 3, "outcome": "failed", "note": f"{CANARY} was gone"})
    after = await placet.service.grants.give_receipt(CRM, request.id, sent)
    assert after.grant is not None
    assert after.grant.receipt is not None
    assert (after.grant.receipt.records, after.grant.receipt.outcome) == (3, "failed")
    assert after.grant.receipt.note == "erased"
    assert await words_of(placet, request.id) == []


async def test_every_entry_still_verifies_and_tells_who_had_it_done(placet: Placet) -> None:
    await all_ways(placet)
    before = await entries(placet)
    await erases(placet)
    found = await entries(placet)
    assert found[: len(before)] == before
    (subject,) = [entry for entry in found if entry["type"] == "subject.erased"]
    assert subject["record"] == "system"
    data = subject["data"]
    assert (data["person"], data["origin"]["via"]) == (BEN, "cli")
    assert (data["requests"], data["cancelled"], data["revoked"]) == (7, 1, 1)
    assert data["subject"] == placet.store.marks.subject(SUBJECT)
    erased = [entry for entry in found if entry["type"] == "request.erased"]
    assert len(erased) == 7
    assert {entry["data"]["reason"] for entry in erased} == {"by_admin"}
    assert REASON not in json.dumps(found)


async def test_the_proof_of_a_decision_still_names_its_entry(placet: Placet) -> None:
    requests = await all_ways(placet)
    await erases(placet)
    found = await entries(placet)
    for request in requests.values():
        decision = (await now(placet, request)).decision
        assert decision is not None
        assert decision.receipt is not None
        named = [e for e in found if (e["record"], e["n"]) == (request.id, decision.receipt.entry)]
        assert [e["mac"] for e in named] == [decision.receipt.mac]
        assert named[0]["type"] == f"request.{decision.outcome}"


async def test_a_callback_sent_again_is_the_same_bytes(placet: Placet) -> None:
    request = await denied(placet)
    callback = f"evt_{request.id}_1"
    key = placet.store.keys.callback(callback)  # type: ignore[arg-type]  # as the store names it
    async with placet.engine.client() as client:
        before = await client.hget(key, "body")
        await erases(placet)
        assert await client.hget(key, "body") == before
    assert before is not None
    assert CANARY.encode() not in before


async def test_other_subjects_and_requests_about_nobody_stay_readable(placet: Placet) -> None:
    await approved(placet)
    other = await asks(placet, subject=OTHER, justification="Somebody else asked for their data")
    alone = await asks(placet, subject=None, justification="Nobody in particular is asked about")
    await erases(placet)
    assert "Somebody else asked for their data" in await words_of(placet, other.id)
    assert "Nobody in particular is asked about" in await words_of(placet, alone.id)
    assert (await now(placet, other)).status == "pending"


async def test_to_erase_twice_is_to_erase_once(placet: Placet) -> None:
    requests = await all_ways(placet)
    await erases(placet)
    first = {name: await now(placet, one) for name, one in requests.items()}
    assert await erases(placet) == Erased(requests=0, cancelled=0, revoked=0, before=7)
    assert {name: await now(placet, one) for name, one in requests.items()} == first


async def test_what_is_asked_afterwards_has_a_key_of_its_own(placet: Placet) -> None:
    old = await denied(placet)
    await erases(placet)
    new = await denied(placet)
    assert f"{CANARY} has withdrawn" in await words_of(placet, new.id)
    assert await words_of(placet, old.id) == []
    assert (await placet.service.view(old.id, OLGA, CLI)).is_erased
    assert not (await placet.service.view(new.id, OLGA, CLI)).is_erased
    await erases(placet)
    assert await words_of(placet, new.id) == []


async def test_the_same_key_still_answers_the_same_request(placet: Placet) -> None:
    request = await asks_about_them(placet, key="once")
    await erases(placet)
    again = await asks_about_them(placet, key="once")
    assert (again.id, again.salt, again.status) == (request.id, None, "cancelled")


class Killed(Exception):
    """The process has ended here."""


class Dying(Scripts):
    """Ends at its `left`-th commit from now, before or after it is applied."""

    left = 0
    is_applied = False

    async def commit(self, commit: Commit) -> Answer:
        self.left -= 1
        if self.left == 0 and not self.is_applied:
            raise Killed
        answered = await super().commit(commit)
        if self.left == 0:
            raise Killed
        return answered


def dying(placet: Placet, at: int, *, is_applied: bool) -> Placet:
    """Another process over the same data, which ends at its `at`-th commit."""
    store = placet.store
    scripts = Dying(store.pipeline, store.keys)
    scripts.left, scripts.is_applied = at, is_applied
    records = Records(store.pipeline, scripts, store.keys, SECRETS.audit, store.marks)
    system = SystemRecord(scripts, store.keys, SECRETS.audit)
    dead = replace(store, records=records, system=system)
    return replace(placet, store=dead, service=ApprovalService(dead, placet.configuration))


@pytest.mark.parametrize("is_applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_who_is_killed_at_any_commit_calls_again_and_that_ends_it(
    placet: Placet, at: int, is_applied: bool
) -> None:
    requests = [await waits(placet), await approved(placet), await denied(placet)]
    with pytest.raises(Killed):
        await erases(dying(placet, at, is_applied=is_applied))
    done = await erases(placet)
    assert done.requests + done.before == 3
    for request in requests:
        after = await now(placet, request)
        assert after.erased_at is not None
        assert after.is_final
        assert after.grant is None or after.grant.status == "revoked"
        assert await words_of(placet, request.id) == []
    types = [entry["type"] for entry in await entries(placet)]
    assert types.count("request.erased") == 3
    async with placet.engine.client() as client:
        assert not [one for one in await dump(client, placet.store.keys) if "vault" in one]


@pytest.mark.parametrize("person", [ANNA, CLEO, JONAS, OLGA])
async def test_only_an_admin_may_and_others_are_on_record(placet: Placet, person: PersonId) -> None:
    about, alone = await waits(placet), await asks(placet, subject=None)
    erasure = placet.service.erasure
    with pytest.raises(NotAllowed):
        await erasure.erase_subject(SUBJECT, person, CLI, reason=REASON)
    with pytest.raises(NotAllowed):
        await erasure.erase_request(alone.id, person, CLI, reason=REASON)
    assert (await now(placet, about)).erased_at is None
    assert (await now(placet, alone)).erased_at is None
    refused = [entry["data"] for entry in await entries(placet) if entry["type"] == "right.refused"]
    assert [(one["actor"], one["wanted"], one["code"]) for one in refused] == [
        (person, "erase", "not_allowed")
    ] * 2
    assert [one.get("request") for one in refused] == [None, alone.id]
    await assert_nowhere(placet)


async def test_who_is_in_no_file_may_not(placet: Placet) -> None:
    await waits(placet)
    with pytest.raises((NotAllowed, UnknownPerson)):
        await placet.service.erasure.erase_subject(SUBJECT, PersonId("mallory"), CLI, reason=REASON)


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [("AKIA" + "Q" * 16, SecretFound), ("x" * 501, InvalidRequest)],
)
async def test_a_reason_that_cannot_be_kept_stops_it(
    placet: Placet, reason: str, refusal: type[Exception]
) -> None:
    request = await waits(placet)
    with pytest.raises(refusal):
        await placet.service.erasure.erase_subject(SUBJECT, BEN, CLI, reason=reason)
    assert (await now(placet, request)).erased_at is None
    await assert_nowhere(placet, reason)


async def test_a_subject_of_whom_nothing_is_known_is_told_and_not_repeated(placet: Placet) -> None:
    await asks(placet)
    with pytest.raises(NotFound) as refused:
        await erases(placet)
    assert CANARY not in refused.value.detail


async def test_a_request_about_nobody_is_forgotten_by_its_id(placet: Placet) -> None:
    one, other = await asks(placet, subject=None), await asks(placet, subject=None)
    done = await placet.service.erasure.erase_request(one.id, BEN, CLI, reason=REASON)
    assert done == Erased(requests=1, cancelled=1, revoked=0, before=0)
    assert await words_of(placet, one.id) == []
    assert await words_of(placet, other.id) != []
    (entry,) = [e["data"] for e in await entries(placet) if e["type"] == "subject.erased"]
    assert (entry.get("subject"), entry["request"]) == (None, one.id)
    again = await placet.service.erasure.erase_request(one.id, BEN, CLI, reason=REASON)
    assert again == Erased(requests=0, cancelled=0, revoked=0, before=1)


async def test_the_key_of_a_request_about_nobody_goes_in_the_same_commit(placet: Placet) -> None:
    request = await asks(placet, subject=None)
    with pytest.raises(Killed):  # right after the request's own commit
        await dying(placet, 1, is_applied=True).service.erasure.erase_request(
            request.id, BEN, CLI, reason=REASON
        )
    assert (await now(placet, request)).erased_at is not None
    async with placet.engine.client() as client:
        assert not [one for one in await dump(client, placet.store.keys) if "vault" in one]


async def test_a_request_about_somebody_is_not_forgotten_by_itself(placet: Placet) -> None:
    request = await waits(placet)
    with pytest.raises(HasSubject):
        await placet.service.erasure.erase_request(request.id, BEN, CLI, reason=REASON)
    assert (await now(placet, request)).erased_at is None


async def test_an_unknown_request_is_not_found(placet: Placet) -> None:
    with pytest.raises(NotFound):
        await placet.service.erasure.erase_request(
            RequestId("req_" + "0" * 26), BEN, CLI, reason=REASON
        )


async def test_all_services_that_asked_about_them_are_meant(placet: Placet) -> None:
    mine, theirs = await waits(placet), await asks_about_them(placet, caller=BILLING)
    assert (await erases(placet)).requests == 2
    for request in (mine, theirs):
        assert await words_of(placet, request.id) == []


async def test_more_requests_than_are_read_at_once_are_all_forgotten(placet: Placet) -> None:
    many = [await asks_about_them(placet) for _ in range(LOADED_AT_ONCE + 1)]
    assert (await erases(placet)).cancelled == len(many)
    for request in (many[0], many[-1]):
        assert await words_of(placet, request.id) == []


async def test_why_it_was_done_is_kept_for_the_deployment_and_in_no_entry(placet: Placet) -> None:
    await waits(placet)
    await erases(placet)
    (entry,) = [one for one in await entries(placet) if one["type"] == "subject.erased"]
    async with placet.engine.client() as client:
        held = await dump(client, placet.store.keys)
    record = held["system"]
    assert isinstance(record, dict)
    assert f"words:{entry['n']}".encode() in record
    await assert_nowhere(placet, REASON)


async def test_what_had_expired_unseen_is_erased_as_expired(placet: Placet) -> None:
    request = await waits(placet)
    async with placet.engine.client() as client:
        at = request.expires_at + timedelta(seconds=1)
        await client.set(placet.store.keys.clock, int(at.timestamp() * 1000))
    assert await erases(placet) == Erased(requests=1, cancelled=0, revoked=0, before=0)
    after = await now(placet, request)
    assert (after.status, after.erased_at is not None) == ("expired", True)
    assert [one["type"] for one in await told(placet, request.id)] == ["request.expired"]
