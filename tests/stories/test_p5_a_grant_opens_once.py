"""P5: a grant opens at most its uses, for its digest, in its window, and never once revoked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import JsonValue

from approvals.act import ReceiptSent, Redeem
from approvals.errors import (
    ContextChanged,
    DigestMismatch,
    GrantDenied,
    GrantExpired,
    GrantOver,
    GrantRevoked,
    GrantUsed,
    NotFound,
    NotRedeemed,
    PlacetError,
    ReceiptExists,
    StoreUnavailable,
)
from approvals.granting import Redeemed
from approvals.model import ApprovalRequest, Caller, PersonId, RequestId, Review
from approvals.policy.loader import Configuration, load_configuration
from tests.configurations import POLICY, write_configuration
from tests.conftest import ANNA, BEN, BILLING, CLI, CRM, JONAS, OLGA, Placet
from tests.rewriting import forge
from tests.stories.telling import (
    asks,
    history,
    looks_and_votes,
    set_store_time,
    time_works,
    told,
)

SHORT = 3  # seconds: the store's time may be set that far ahead without its clock counting as wrong
ACT: dict[str, JsonValue] = {
    "action": "customer.view",
    "subject": "customer:48213",
    "params": {"email": "dana@example.com"},
}
DENIAL = """\
rules:
  - id: closed-for-now
    why: Nothing is opened today
    then: {decision: deny, say: The desk is closed}
"""


async def is_approved(
    placet: Placet, key: str | None = None, **changes: JsonValue
) -> ApprovalRequest:
    """A request that Anna has approved."""
    request = await asks(placet, caller=CRM, key=key, **changes)
    return await looks_and_votes(placet, ANNA, request.id)


async def redeems(
    placet: Placet,
    request: ApprovalRequest,
    nonce: str = "n1",
    *,
    caller: Caller = CRM,
    but: Mapping[str, JsonValue] | None = None,
    context: Mapping[str, JsonValue] | None = None,
) -> Redeemed:
    """The service acts, as its developer would write it: with what it is about to do."""
    sent = {"nonce": nonce, **ACT, **(but or {}), "context": context}
    present = {name: value for name, value in sent.items() if value is not None}
    return await placet.service.grants.redeem(caller, request.id, Redeem.parse(present))


async def receipts(placet: Placet, request: ApprovalRequest, records: int = 1) -> ApprovalRequest:
    sent = ReceiptSent.parse({"records": records, "outcome": "succeeded"})
    return await placet.service.grants.give_receipt(CRM, request.id, sent)


async def last_facts(placet: Placet, record: str) -> dict[str, Any]:
    """What the newest entry of a record tells."""
    return cast("dict[str, Any]", (await history(placet, record))[-1]["data"])


async def outcomes(*calls: Awaitable[object]) -> list[str]:
    """What became of calls that ran at once: `ok`, or a refusal's code."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, PlacetError):
            raise answer
    return [answer.code if isinstance(answer, PlacetError) else "ok" for answer in answers]


async def uses(placet: Placet, request: ApprovalRequest) -> int:
    """How often the audit says that the door was opened."""
    return [entry["type"] for entry in await history(placet, request.id)].count("grant.redeemed")


def under(tmp_path: Path, policy: str) -> Configuration:
    write_configuration(tmp_path / "other", policy=policy)
    return load_configuration(tmp_path / "other")


def with_denial(tmp_path: Path) -> Configuration:
    return under(tmp_path, POLICY.replace("rules:\n", DENIAL))


async def test_an_approval_opens_one_door_once(placet: Placet) -> None:
    request = await is_approved(placet)

    opened = await redeems(placet, request)

    assert (opened.grant.status, opened.grant.uses_left, opened.is_new) == ("used", 0, True)
    with pytest.raises(GrantUsed):
        await redeems(placet, request, "n2")
    assert [each["type"] for each in await told(placet, request.id)] == [
        "request.approved",
        "grant.redeemed",
    ]
    assert (await history(placet, request.id))[-1]["type"] == "grant.redeemed"
    facts = await last_facts(placet, request.id)
    assert facts["requester"] == "jonas"
    assert facts["digest"] == request.digest


async def test_fifty_at_once_open_it_once(placet: Placet) -> None:
    request = await is_approved(placet)

    codes = await outcomes(*(redeems(placet, request, f"n{i}") for i in range(50)))

    assert sorted(codes) == ["grant_used"] * 49 + ["ok"]
    assert await uses(placet, request) == 1


async def test_fifty_of_two_processes_open_three_uses_three_times(
    placet: Placet, tmp_path: Path
) -> None:
    placet.service.configuration = under(
        tmp_path, POLICY.replace("threshold: 1,", "threshold: 1, uses: 3,")
    )
    other = placet.another()
    other.service.configuration = placet.service.configuration
    request = await is_approved(placet)

    codes = await outcomes(*(redeems((placet, other)[i % 2], request, f"n{i}") for i in range(50)))

    assert codes.count("ok") == 3
    assert await uses(placet, request) == 3
    await other.store.close()


async def test_one_nonce_sent_fifty_times_is_one_use_and_one_answer(placet: Placet) -> None:
    request = await is_approved(placet)

    answers = await asyncio.gather(*(redeems(placet, request) for _ in range(50)))

    assert [answer.is_new for answer in answers].count(True) == 1
    assert {answer.grant.model_dump_json() for answer in answers} == {
        answers[0].grant.model_dump_json()
    }
    assert await uses(placet, request) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"params": {"email": "dana@example.con"}},
        {"params": {"email": "dana@example.com", "more": 1}},
        {"params": {}},
        {"params": None},
        {"subject": "customer:48214"},
        {"subject": None},
        {"action": "users.export"},
    ],
)
async def test_a_changed_byte_in_what_will_be_done_fits_no_grant(
    placet: Placet, changed: dict[str, JsonValue]
) -> None:
    request = await is_approved(placet)

    with pytest.raises(DigestMismatch):
        await redeems(placet, request, but=changed)

    assert await uses(placet, request) == 0
    await placet.store.system.close()
    alarm = (await history(placet, "system"))[-1]["data"]
    assert alarm == {
        "actor": "crm", "code": "digest_mismatch", "wanted": "redeem", "request": request.id,
    }  # fmt: skip
    assert (await redeems(placet, request)).is_new


async def test_the_digest_of_the_answer_is_as_good_as_what_will_be_done(placet: Placet) -> None:
    request = await is_approved(placet)
    by_digest = {"nonce": "n1", "digest": request.digest}
    assert (await placet.service.grants.redeem(CRM, request.id, Redeem.parse(by_digest))).is_new
    other = await is_approved(placet)
    sent = Redeem.parse({"nonce": "n1", "digest": request.digest})
    with pytest.raises(DigestMismatch):
        await placet.service.grants.redeem(CRM, other.id, sent)


async def test_another_service_learns_nothing_and_the_audit_does(placet: Placet) -> None:
    request = await is_approved(placet)

    with pytest.raises(NotFound) as refusal:
        await redeems(placet, request, caller=BILLING)

    with pytest.raises(NotFound) as nothing:
        await placet.service.grants.end(BILLING, RequestId(request.id.replace("req_0", "req_1")))
    assert refusal.value.code == nothing.value.code == "not_found"
    await placet.store.system.close()
    assert (await last_facts(placet, "system"))["actor"] == "billing"


async def test_it_ends_by_the_stores_time_whatever_the_services_clock_says(
    placet: Placet,
) -> None:
    request = await is_approved(placet, grant_ttl=SHORT)
    assert request.grant
    await set_store_time(placet, request.grant.expires_at)

    with pytest.raises(GrantExpired):
        await redeems(placet, request)

    assert await uses(placet, request) == 0
    await time_works(placet)
    assert (await told(placet, request.id))[-1]["type"] == "grant.ended"


async def test_a_moment_before_its_end_it_opens(placet: Placet) -> None:
    request = await is_approved(placet, grant_ttl=SHORT)
    assert request.grant
    await set_store_time(placet, request.grant.expires_at - timedelta(milliseconds=900))
    assert (await redeems(placet, request)).is_new


async def test_redeems_that_race_the_end_open_it_only_before(placet: Placet) -> None:
    request = await is_approved(placet, grant_ttl=SHORT)
    assert request.grant

    async def time_passes() -> None:
        assert request.grant
        await set_store_time(placet, request.grant.expires_at)
        await time_works(placet)

    codes = await outcomes(
        redeems(placet, request), time_passes(), *(redeems(placet, request, f"n{i}") for i in "23")
    )

    assert codes[1] == "ok"
    assert await uses(placet, request) == [code for code in codes if code == "ok"].count("ok") - 1
    last = (await placet.service.card_facts(request.id)).grant
    assert last
    assert last.status in ("used", "ended")


@pytest.mark.parametrize("who", [JONAS, BEN, ANNA])
async def test_once_revoked_nothing_opens(placet: Placet, who: PersonId) -> None:
    request = await is_approved(placet)

    after = await placet.service.grants.revoke(request.id, who, CLI, reason="Wrong customer")

    assert after.grant
    assert after.grant.status == "revoked"
    with pytest.raises(GrantRevoked):
        await redeems(placet, request)
    assert (await told(placet, request.id))[-1]["type"] == "grant.revoked"
    assert "Wrong customer" not in json.dumps(await history(placet, request.id))


async def test_who_has_no_right_to_it_revokes_nothing(placet: Placet) -> None:
    request = await is_approved(placet)
    with pytest.raises(PlacetError, match="Only the requester"):
        await placet.service.grants.revoke(request.id, OLGA, CLI)
    assert (await redeems(placet, request)).is_new


async def test_redeem_and_revoke_at_once_agree_on_who_was_first(placet: Placet) -> None:
    for turn in range(8):
        request = await is_approved(placet, key=f"turn-{turn}")

        redeemed, revoked = await outcomes(
            redeems(placet, request), placet.service.grants.revoke(request.id, BEN, CLI)
        )

        assert (redeemed, revoked) in {("ok", "grant_used"), ("grant_revoked", "ok")}
        assert await uses(placet, request) == (redeemed == "ok")


async def test_a_deny_rule_that_comes_into_force_takes_the_grant_back(
    placet: Placet, tmp_path: Path
) -> None:
    request = await is_approved(placet)
    placet.service.configuration = with_denial(tmp_path)

    with pytest.raises(GrantDenied) as refusal:
        await redeems(placet, request)

    assert "closed-for-now" in refusal.value.detail
    assert "The desk is closed" in refusal.value.detail
    assert (await history(placet, request.id))[-1]["type"] == "grant.revoked"
    facts = await last_facts(placet, request.id)
    assert facts["policy"] == placet.service.configuration.version
    placet.service.configuration = placet.configuration
    with pytest.raises(GrantRevoked):
        await redeems(placet, request)


async def test_redeems_that_race_a_reload_open_it_once_or_never(
    placet: Placet, tmp_path: Path
) -> None:
    denial = with_denial(tmp_path)
    for turn in range(8):
        placet.service.configuration = placet.configuration
        request = await is_approved(placet, key=f"turn-{turn}")

        async def reloads() -> None:
            placet.service.configuration = denial

        calls = [redeems(placet, request, f"n{i}") for i in range(4)]
        codes = await outcomes(*calls[: turn % 4], reloads(), *calls[turn % 4 :])

        opened = codes.count("ok") - 1
        assert opened == await uses(placet, request) <= 1
        assert set(codes) <= {"ok", "grant_used", "denied_by_policy", "grant_revoked"}
        grant = (await placet.service.card_facts(request.id)).grant
        assert grant
        assert grant.status == ("used" if opened else "revoked")


async def test_what_had_to_hold_must_be_told_again_and_be_the_same(
    placet: Placet, tmp_path: Path
) -> None:
    placet.service.configuration = under(
        tmp_path, POLICY.replace("threshold: 1,", "threshold: 1, must_hold: [geo.country],")
    )
    request = await is_approved(placet, context={"geo.country": "DE"})
    contexts: list[dict[str, JsonValue]] = [{}, {"geo.country": "FR"}, {"device.managed": True}]
    for context in contexts:
        with pytest.raises(ContextChanged) as refusal:
            await redeems(placet, request, context=context)
        assert refusal.value.facts["changed"] == ["geo.country"]

    opened = await redeems(placet, request, context={"geo.country": "DE"})

    assert opened.is_new
    assert (await last_facts(placet, request.id))["held"] == ["geo.country"]


async def test_what_the_service_may_not_assert_does_not_hold_and_is_named(
    placet: Placet, tmp_path: Path
) -> None:
    placet.service.configuration = under(
        tmp_path, POLICY.replace("threshold: 1,", "threshold: 1, must_hold: [device.type],")
    )
    request = await is_approved(placet, context={"device.type": "laptop"})
    assert request.asked.context_ignored == ("device.type",)
    with pytest.raises(ContextChanged):
        await redeems(placet, request, context={"device.type": "laptop"})
    placet.service.configuration = placet.configuration
    other = await is_approved(placet)
    opened = await redeems(placet, other, context={"device.type": "laptop"})
    assert opened.ignored == ("device.type",)


async def test_a_deny_rule_is_asked_about_where_the_service_says_it_is_now(
    placet: Placet, tmp_path: Path
) -> None:
    denial = DENIAL.replace("then: {d", "when: 'geo.country == \"KP\"'\n    then: {d")
    placet.service.configuration = under(tmp_path, POLICY.replace("rules:\n", denial))
    request = await is_approved(placet, context={"geo.country": "DE"})
    with pytest.raises(GrantDenied):
        await redeems(placet, request, context={"geo.country": "KP"})


async def test_a_service_may_end_it_early(placet: Placet) -> None:
    request = await is_approved(placet)
    await placet.service.grants.end(CRM, request.id)
    with pytest.raises(GrantOver) as refusal:
        await redeems(placet, request)
    assert refusal.value.code == "grant_ended"
    assert (await told(placet, request.id))[-1]["type"] == "grant.ended"


async def test_who_writes_to_the_store_alone_makes_no_grant_vote_or_use(placet: Placet) -> None:
    request = await asks(placet)
    approved = await is_approved(placet)
    assert approved.grant
    longer = {"expires_at": approved.grant.expires_at + timedelta(days=1)}
    made_up = {"status": "approved", "decision": approved.decision, "grant": approved.grant}
    vote = Review(person=BEN, via="cli", vote="approve", revision=1, at=request.created_at)
    for forged in (
        approved.model_copy(update={"digest": "sha256:" + "f" * 64}),
        approved.model_copy(update={"uses": 20}),
        approved.model_copy(update={"grant": approved.grant.model_copy(update=longer)}),
        approved.model_copy(update={"grant": approved.grant.model_copy(update={"uses_left": 3})}),
        request.model_copy(update=made_up),
        request.model_copy(update={"reviews": (vote,)}),
    ):
        await forge(placet, forged)

        with pytest.raises(StoreUnavailable, match="seal"):
            await redeems(placet, forged)
        with pytest.raises(StoreUnavailable, match="seal"):
            await looks_and_votes(placet, ANNA, forged.id)

        assert await uses(placet, forged) == 0


async def test_a_record_put_in_the_place_of_another_is_not_read(placet: Placet) -> None:
    request, approved = await asks(placet), await is_approved(placet)
    keys = placet.store.keys
    async with placet.engine.client() as client:
        for name, value in (await client.hgetall(keys.request(approved.id))).items():
            await client.hset(keys.request(request.id), name, value)
    with pytest.raises(StoreUnavailable, match="seal"):
        await placet.service.card_facts(request.id)


async def test_that_somebody_tried_a_forged_record_is_on_record(placet: Placet) -> None:
    request = await is_approved(placet)
    await forge(placet, request.model_copy(update={"uses": 20}))
    receipt = ReceiptSent.parse({"records": 1, "outcome": "succeeded"})
    for call in (
        redeems(placet, request),
        placet.service.grants.give_receipt(CRM, request.id, receipt),
        placet.service.grants.end(CRM, request.id),
    ):
        with pytest.raises(StoreUnavailable, match="seal"):
            await call
    with pytest.raises(StoreUnavailable, match="seal"):
        await placet.service.view(request.id, BEN, CLI)

    await placet.store.system.close()

    facts = [cast("dict[str, Any]", entry["data"]) for entry in await history(placet, "system")]
    assert [(fact["actor"], fact["code"], fact["wanted"]) for fact in facts] == [
        ("crm", "unsealed_record", "redeem"),
        ("crm", "unsealed_record", "receipt"),
        ("crm", "unsealed_record", "end"),
        ("ben", "unsealed_record", "view"),
    ]


async def test_a_receipt_tells_once_what_was_done(placet: Placet) -> None:
    request = await is_approved(placet, record_count=1)
    with pytest.raises(NotRedeemed):
        await receipts(placet, request)
    await redeems(placet, request)
    sent = ReceiptSent.parse({"records": 1, "outcome": "failed"})
    with pytest.raises(NotFound):
        await placet.service.grants.give_receipt(BILLING, request.id, sent)

    after = await receipts(placet, request)

    assert after.grant
    assert after.grant.receipt
    assert after.grant.receipt.records == 1
    with pytest.raises(ReceiptExists):
        await receipts(placet, request, 2)


async def test_ten_receipts_at_once_are_one(placet: Placet) -> None:
    request = await is_approved(placet)
    await redeems(placet, request)
    codes = await outcomes(*(receipts(placet, request, i) for i in range(10)))
    assert sorted(codes) == ["ok"] + ["receipt_exists"] * 9


CAREFUL = POLICY.replace(
    "title: Open one customer profile", "title: Open one customer profile\n    receipt_within: 2s"
).replace(
    "rules:\n",
    """rules:
  - id: owes-a-receipt
    why: Earlier access is not accounted for
    actions: [customer.view]
    when: "requester.unreceipted > 0"
    then: {decision: deny, say: Give the receipt first}
  - id: took-too-much
    why: More was read than was asked for
    actions: [customer.view]
    when: "requester.overuse > 1"
    then: {decision: deny, say: Twice more than asked}
""",
)


async def test_a_receipt_that_is_missing_is_a_fact_that_policy_may_use_until_it_comes(
    placet: Placet, tmp_path: Path
) -> None:
    placet.service.configuration = under(tmp_path, CAREFUL)
    request = await is_approved(placet)
    opened = await redeems(placet, request)
    assert (await asks(placet)).status == "pending"
    due = opened.grant.redemptions[-1].at + timedelta(seconds=2)
    await set_store_time(placet, due)
    await time_works(placet)
    assert (await history(placet, request.id))[-1]["type"] == "receipt.missed"

    owing = await asks(placet)
    await receipts(placet, request)
    settled = await asks(placet)

    assert (owing.status, owing.policy.rule, owing.asked.unreceipted) == (
        "denied", "owes-a-receipt", 1,
    )  # fmt: skip
    assert settled.status == "pending"
    assert (await last_facts(placet, request.id))["is_late"] is True
    assert (await asks(placet, requester={"id": "okta:ben"})).status == "pending"


async def test_receipts_larger_than_asked_are_counted_for_thirty_days(
    placet: Placet, tmp_path: Path
) -> None:
    placet.service.configuration = under(tmp_path, CAREFUL)
    for _ in range(2):
        assert (await asks(placet)).status == "pending"
        request = await is_approved(placet, record_count=1)
        await redeems(placet, request)
        assert (await receipts(placet, request, 500)).is_overused

    again = await asks(placet)

    assert (again.policy.rule, again.asked.overuse) == ("took-too-much", 2)
    now = await placet.store.records.now()
    history = await placet.store.receipts.history("okta:00u1", JONAS)
    assert history.conduct(now).overuse == 2
    assert history.conduct(now + timedelta(days=31)).overuse == 0


async def test_a_fit_for_approving_store_is_needed_to_redeem(placet: Placet) -> None:
    request = await is_approved(placet)
    placet.store.health.faults = ("appendonly is no; set appendonly yes.",)
    with pytest.raises(StoreUnavailable):
        await redeems(placet, request)
    placet.store.health.faults = ()
    assert (await redeems(placet, request)).is_new
