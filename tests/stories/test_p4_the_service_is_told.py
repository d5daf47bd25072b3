"""P4: every final state reaches the service, byte-identical over retries and validly signed.

What cannot be delivered is in the dead letters, and two different ends are never told.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from approvals.answer import answer
from approvals.model import ApprovalRequest, Encrypted, EventId, Grant, event_id
from approvals.policy.loader import Configuration
from bot.callbacks import SCHEDULE
from tests.calling_back import (
    BILLING_SECRET,
    ENVIRONMENT,
    SECRETS_OF_CRM,
    Postman,
    calling,
    due_callbacks,
    postman,
)
from tests.conftest import ANNA, BEN, CLI, CRM, Placet
from tests.servers.callback_receiver import (
    CallbackReceiver,
    answers,
    answers_hugely,
    callback_receiver,
    closes_mid_body,
    closes_without_a_word,
)
from tests.stories.telling import asks, looks_and_votes, passes, set_store_time, time_works

WORDS = "Dana is on holiday"  # an approver's
PRIVATE = (WORDS, "Jonas Berg", "copy of their data", "48213", "dana@example.com")
# What a service may learn by asking, but is not told by a callback.
ONLY_IN_ANSWERS = {"salt"}


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with callback_receiver() as receiver:
        yield receiver


@pytest.fixture
def configuration(tmp_path: Path, receiver: CallbackReceiver) -> Configuration:
    return calling(tmp_path / "config", receiver.port)


@pytest.fixture
async def post(placet: Placet) -> AsyncIterator[Postman]:
    async with postman(placet) as post:
        yield post


async def is_approved(placet: Placet) -> ApprovalRequest:
    request = await asks(placet)
    return await looks_and_votes(placet, ANNA, request.id)


async def is_approved_by_a_rule(placet: Placet) -> ApprovalRequest:
    return await asks(placet, action="report.read")


async def is_denied(placet: Placet) -> ApprovalRequest:
    request = await asks(placet)
    return await looks_and_votes(placet, ANNA, request.id, "deny", WORDS)


async def is_denied_by_a_rule(placet: Placet) -> ApprovalRequest:
    return await asks(placet, action="data.sell")


async def expires(placet: Placet) -> ApprovalRequest:
    request = await asks(placet)
    await passes(placet, request, timedelta(0))
    (expired,) = await time_works(placet)
    return expired


async def is_cancelled_by_the_service(placet: Placet) -> ApprovalRequest:
    request = await asks(placet)
    return await placet.service.cancel_by_service(CRM, request.id)


async def is_cancelled_by_an_admin(placet: Placet) -> ApprovalRequest:
    request = await asks(placet)
    return await placet.service.cancel_by_person(request.id, BEN, CLI, reason=WORDS)


@dataclass(frozen=True)
class End:
    happens: Callable[[Placet], Awaitable[ApprovalRequest]]
    status: str
    reason: str | None


ENDS = [
    End(is_approved, "approved", None),
    End(is_approved_by_a_rule, "approved", "The report holds no personal data"),
    End(is_denied, "denied", "denied_by_approver"),
    End(is_denied_by_a_rule, "denied", "We do not sell customer data"),
    End(expires, "expired", "no_decision"),
    End(is_cancelled_by_the_service, "cancelled", "by_service"),
    End(is_cancelled_by_an_admin, "cancelled", "by_admin"),
]
every_end = pytest.mark.parametrize("end", ENDS, ids=lambda end: end.happens.__name__)


@every_end
async def test_however_a_request_ends_its_service_is_told_once(
    placet: Placet, post: Postman, receiver: CallbackReceiver, end: End
) -> None:
    request = await end.happens(placet)

    await post.goes_round()

    (delivery,) = receiver.deliveries
    assert delivery.id == event_id(request.id, 1)
    for secret in SECRETS_OF_CRM:
        event = delivery.verified(secret)
        assert event["type"] == f"request.{end.status}"
        assert event["seq"] == 1
        assert event["data"]["status"] == end.status
        assert event["data"]["decision"]["reason"] == end.reason


@every_end
async def test_a_callback_tells_what_asking_would_without_words_salt_and_token(
    placet: Placet, post: Postman, receiver: CallbackReceiver, end: End
) -> None:
    request = await end.happens(placet)

    await post.goes_round()

    told = receiver.deliveries[0].told()["data"]
    asked = json.loads(json.dumps(answer(await placet.service.get_own(CRM, request.id))))
    assert {*asked} - {*told} == ONLY_IN_ANSWERS
    del asked["salt"]
    if asked["grant"]:
        del asked["grant"]["token"]
    if asked["decision"]["reason"] == WORDS:
        asked["decision"]["reason"] = "denied_by_approver"
    assert told == asked


@every_end
async def test_no_callback_carries_anybodys_words_or_secrets(
    placet: Placet, post: Postman, receiver: CallbackReceiver, end: End
) -> None:
    request = await end.happens(placet)

    await post.goes_round()

    sent = receiver.deliveries[0]
    text = sent.body.decode() + str(sent.headers)
    assert request.salt
    for private in (*PRIVATE, request.salt, *ENVIRONMENT.values(), "salt", "token"):
        assert private not in text


async def test_every_attempt_carries_the_same_bytes_and_id_and_a_signature_of_its_own(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    failures = [
        answers(500),
        closes_without_a_word,
        answers(302, Location=f"{receiver.origin}/elsewhere"),
        answers(429, Retry_After="7"),
    ]
    receiver.script.extend(failures)
    request = await is_denied(placet)

    await post.goes_round()
    for _ in failures:
        await post.waits_for_the_next_try()
        await post.goes_round()

    assert len(receiver.deliveries) == len(failures) + 1
    assert {delivery.body for delivery in receiver.deliveries} == {receiver.deliveries[0].body}
    assert {delivery.id for delivery in receiver.deliveries} == {event_id(request.id, 1)}
    assert {delivery.path for delivery in receiver.deliveries} == {"/placet"}
    for delivery in receiver.deliveries:
        for secret in SECRETS_OF_CRM:
            assert delivery.verified(secret)["type"] == "request.denied"
    assert await due_callbacks(placet) == []


async def test_a_signature_is_worth_nothing_for_another_body_another_id_or_another_secret(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    await is_approved(placet)
    await post.goes_round()
    (sent,) = receiver.deliveries
    others = tuple(
        (name, "evt_other_1" if name.lower() == "webhook-id" else value)
        for name, value in sent.headers
    )
    changed = sent.body.replace(b"anna", b"olga")

    with pytest.raises(WebhookVerificationError):
        sent.verified(BILLING_SECRET)
    with pytest.raises(WebhookVerificationError):
        type(sent)(sent.path, others, sent.body).verified(SECRETS_OF_CRM[0])
    with pytest.raises(WebhookVerificationError):
        type(sent)(sent.path, sent.headers, changed).verified(SECRETS_OF_CRM[0])


@pytest.mark.parametrize("behaviour", [answers_hugely, closes_mid_body], ids=["huge", "cut off"])
async def test_a_reply_that_misbehaves_after_a_good_status_counts_as_told(
    placet: Placet,
    post: Postman,
    receiver: CallbackReceiver,
    behaviour: Callable[..., Awaitable[object]],
) -> None:
    receiver.script.append(behaviour)  # type: ignore[arg-type]  # a table of two behaviours
    request = await is_approved(placet)

    await post.goes_round()

    callback = await placet.store.outbox.callback(event_id(request.id, 1))
    assert callback.status == "delivered"


async def test_later_facts_come_as_events_of_their_own_with_a_higher_seq(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    request = await is_approved(placet)
    grant = request.grant
    assert isinstance(grant, Grant)
    await post.goes_round()
    await set_store_time(placet, grant.expires_at)
    await time_works(placet)
    await post.goes_round()

    first, second = (delivery.told() for delivery in receiver.deliveries)
    assert (first["type"], first["seq"]) == ("request.approved", 1)
    assert (second["type"], second["seq"]) == ("grant.ended", 2)
    assert second["data"]["status"] == "approved"
    assert second["data"]["grant"]["status"] == "ended"
    assert [delivery.id for delivery in receiver.deliveries] == [
        event_id(request.id, 1),
        event_id(request.id, 2),
    ]


async def fails_to_the_end(post: Postman, receiver: CallbackReceiver) -> EventId:
    receiver.otherwise = answers(503)
    request = await is_denied(post.placet)
    await post.goes_round()
    while await due_callbacks(post.placet):
        await post.waits_for_the_next_try()
        await post.goes_round()
    return event_id(request.id, 1)


async def test_after_the_last_attempt_a_callback_is_in_the_dead_letters(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    event = await fails_to_the_end(post, receiver)

    assert len(receiver.of(event)) == len(SCHEDULE) == 15
    assert (await placet.store.outbox.callback(event)).status == "dead"
    assert await placet.store.outbox.dead() == [event]


async def test_a_dead_letter_replayed_is_the_same_letter(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    event = await fails_to_the_end(post, receiver)
    dead = await placet.store.outbox.callback(event)
    receiver.otherwise = answers(204)

    assert await placet.store.outbox.replay(dead, BEN, CLI, Encrypted("Mended"))
    await post.goes_round()

    *_, before, replayed = receiver.of(event)
    assert replayed.body == before.body
    assert replayed.verified(SECRETS_OF_CRM[1])["type"] == "request.denied"
    assert await placet.store.outbox.dead() == []
    assert (await placet.store.outbox.callback(event)).status == "delivered"


async def test_a_replay_that_fails_has_the_whole_schedule_ahead(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    event = await fails_to_the_end(post, receiver)

    await placet.store.outbox.replay(
        await placet.store.outbox.callback(event), BEN, CLI, Encrypted("Mended")
    )
    await post.goes_round()

    callback = await placet.store.outbox.callback(event)
    assert (callback.status, callback.attempts) == ("queued", 1)
    assert await placet.store.outbox.dead() == []
    assert len(await due_callbacks(placet)) == 1


async def test_a_receiver_that_is_gone_for_good_is_not_called_again(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    receiver.script.append(answers(410))
    request = await is_approved(placet)

    await post.goes_round()

    callback = await placet.store.outbox.callback(event_id(request.id, 1))
    assert callback.status == "refused"
    assert await due_callbacks(placet) == []
    assert len(receiver.deliveries) == 1


async def test_the_bytes_told_are_those_frozen_with_the_decision(
    placet: Placet, post: Postman, receiver: CallbackReceiver
) -> None:
    request = await is_approved(placet)
    grant = request.grant
    assert grant is not None
    await set_store_time(placet, grant.expires_at)
    await time_works(placet)  # the request has changed since: its grant has ended

    await post.goes_round()

    (first,) = receiver.of(event_id(request.id, 1))
    assert first.told()["data"]["grant"]["status"] == "active"
    assert first.told()["timestamp"] == first.told()["data"]["decision"]["at"]
