"""Somebody whose data many requests are about, and who is to be forgotten."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from approvals.act import ReceiptSent, Redeem
from approvals.erasure import Erased
from approvals.model import ApprovalRequest, RequestId
from approvals.store.log import is_genuine
from tests.approvals.store.support import dump
from tests.conftest import ANNA, BEN, CLI, CRM, JONAS, SECRETS, Placet
from tests.stories.telling import asks, looks_and_votes

CANARY = "Zwitscherlerche"  # stands in everything that is said about the subject
SUBJECT = f"customer:{CANARY}"
ACT: dict[str, Any] = {"subject": SUBJECT, "params": {"email": f"{CANARY}@example.org"}}
ERASED = "[erased]"

Way = Callable[[Placet], Awaitable[ApprovalRequest]]


async def asks_about_them(placet: Placet, **changes: object) -> ApprovalRequest:
    """A service asks about the subject, and names them wherever it can."""
    sent: dict[str, Any] = {
        "requester": {"id": "okta:00u1", "name": f"Jonas of {CANARY}"},
        "justification": f"{CANARY} has asked for a copy of their data",
        "ticket": f"{CANARY}-1",
        **ACT,
    }
    return await asks(placet, **(sent | changes))


async def approved(placet: Placet) -> ApprovalRequest:
    """Approved by a person who says why; its grant is active."""
    request = await asks_about_them(placet)
    return await looks_and_votes(placet, ANNA, request.id, reason=f"{CANARY} called me")


async def denied(placet: Placet) -> ApprovalRequest:
    """Denied by a person in their words."""
    request = await asks_about_them(placet)
    return await looks_and_votes(placet, ANNA, request.id, "deny", f"{CANARY} has withdrawn")


async def cancelled(placet: Placet) -> ApprovalRequest:
    """Cancelled by its requester, with a note."""
    request = await asks_about_them(placet)
    said = f"{CANARY} hung up"
    return await placet.service.cancel_by_person(request.id, JONAS, CLI, reason=said)


async def revoked(placet: Placet) -> ApprovalRequest:
    """Its grant was taken back by an admin, who says why."""
    request = await approved(placet)
    said = f"{CANARY} objects"
    return await placet.service.grants.revoke(request.id, BEN, CLI, reason=said)


async def used(placet: Placet) -> ApprovalRequest:
    """Its grant was used."""
    request = await approved(placet)
    sent = Redeem.parse({"nonce": "n1", "digest": request.digest})
    return (await placet.service.grants.redeem(CRM, request.id, sent)).request


async def accounted(placet: Placet) -> ApprovalRequest:
    """Its grant was used, and its service has said what for."""
    request = await used(placet)
    sent = ReceiptSent.parse({"records": 1, "outcome": "succeeded", "note": f"Sent to {CANARY}"})
    return await placet.service.grants.give_receipt(CRM, request.id, sent)


async def waits(placet: Placet) -> ApprovalRequest:
    """Waits for a decision, and somebody has looked."""
    request = await asks_about_them(placet)
    await placet.service.view(request.id, ANNA, CLI)
    return await placet.service.card_facts(request.id)


WAYS: dict[str, Way] = {
    "pending": waits,
    "active": approved,
    "denied": denied,
    "cancelled": cancelled,
    "revoked": revoked,
    "used": used,
    "accounted for": accounted,
}


async def all_ways(placet: Placet) -> dict[str, ApprovalRequest]:
    """One request about the subject in each state."""
    return {name: await way(placet) for name, way in WAYS.items()}


async def erases(placet: Placet, subject: str = SUBJECT) -> Erased:
    """An admin has the subject forgotten."""
    return await placet.service.erasure.erase_subject(subject, BEN, CLI, reason="They asked for it")


async def now(placet: Placet, request: ApprovalRequest) -> ApprovalRequest:
    """The request as it stands."""
    return await placet.service.card_facts(request.id)


async def words_of(placet: Placet, request: RequestId) -> list[str]:
    """Everything that can be read of what was said about a request."""
    reading = await placet.service.reading(await placet.service.card_facts(request))
    personal = reading.personal()
    said = [reading.reviewed(ANNA), reading.denied(), reading.cancelled()]
    said += [reading.revoked(), reading.receipt(), reading.justification()]
    fields = [field.value for field in personal.fields] if personal else []
    return [words for words in (*said, *fields) if words not in (None, ERASED)]


async def everything(placet: Placet) -> bytes:
    """All that the deployment holds in Redis, names and values."""
    async with placet.engine.client() as client:
        return repr(await dump(client, placet.store.keys)).encode()


def spellings(text: str) -> list[bytes]:
    """`text` as it might be found again."""
    plain = text.encode()
    shifted = [base64.b64encode(b"x" * n + plain)[4:-4] for n in range(3)]
    return [plain, plain.lower(), quote(text).encode(), plain.hex().encode(), *shifted]


async def assert_nowhere(placet: Placet, text: str = CANARY) -> None:
    """`text` stands in nothing that is stored."""
    held = await everything(placet)
    assert [one for one in spellings(text) if one in held] == []


async def entries(placet: Placet) -> list[dict[str, Any]]:
    """The audit entries, each of them genuine, without a gap in any record."""
    await placet.store.system.close()
    texts = [text async for text in placet.store.log.entries()]
    assert all(is_genuine(SECRETS.audit, text) for text in texts)
    found = [json.loads(text) for text in texts]
    for record in {entry["record"] for entry in found}:
        numbers = [entry["n"] for entry in found if entry["record"] == record]
        assert numbers == list(range(1, len(numbers) + 1))
    return found
