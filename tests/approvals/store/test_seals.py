"""What the seal of a grant covers, and what it leaves to change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from approvals import grants
from approvals.change import Redeeming
from approvals.lifecycle import open_request
from approvals.model import ApprovalRequest, Asked, EntryReceipt, Grant, MatchedPolicy
from approvals.store.seals import is_sealed, with_seal
from tests.approvals.samples import NOW, opening, policy

KEY = b"k" * 32
RECEIPT = EntryReceipt(entry=2, mac="mac")
Forge = Callable[[ApprovalRequest], ApprovalRequest]


def sealed(uses: int = 1) -> ApprovalRequest:
    """A request that a rule approved at once."""
    approves = opening(under=policy(decision="approve", threshold=0, groups=()), uses=uses)
    return with_seal(KEY, open_request(approves, NOW).request, RECEIPT)


def redeemed(request: ApprovalRequest, nonce: str = "n1") -> ApprovalRequest:
    how = Redeeming(request.digest, nonce, {}, "")
    change = grants.redeem(request, how, NOW, policy="3f9a")
    assert change is not None
    return change.request


def grant_of(request: ApprovalRequest) -> Grant:
    assert request.grant is not None
    return request.grant


def asking(**changes: object) -> Forge:
    return lambda request: request.model_copy(
        update={"asked": request.asked.model_copy(update=changes)}
    )


def granting(**changes: object) -> Forge:
    return lambda request: request.model_copy(
        update={"grant": grant_of(request).model_copy(update=changes)}
    )


def saying(**changes: object) -> Forge:
    return lambda request: request.model_copy(
        update={"policy": request.policy.model_copy(update=changes)}
    )


FORGED: dict[str, Forge] = {
    "another service": lambda request: request.model_copy(update={"service": "billing"}),
    "another action": asking(action="users.export"),
    "another purpose, for deny rules": asking(purpose="legal"),
    "another number of records, for deny rules": asking(record_count=1),
    "other data classes, for deny rules": asking(data_classes=("health",)),
    "another context, for deny rules": asking(context={"geo.country": "DE"}),
    "another address, for deny rules": asking(address="192.0.2.1"),
    "no receipt missed, for deny rules": asking(unreceipted=7),
    "no receipt larger, for deny rules": asking(overuse=7),
    "nothing that must hold": saying(must_hold=("geo.country",)),
    "no receipt due": saying(receipt_within=timedelta(minutes=1)),
    "a longer window": granting(expires_at=NOW + timedelta(days=1)),
    "more uses": lambda request: request.model_copy(update={"uses": 20}),
    "more uses left": granting(uses_left=3),
    "uses without end": granting(uses_left=-1),
    "no seal": granting(seal=""),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_the_seal_fits_nothing_that_was_changed(forge: Forge) -> None:
    request = sealed()
    assert is_sealed(KEY, request)
    assert not is_sealed(KEY, forge(request))
    assert not is_sealed(b"x" * 32, request)


def test_each_use_lowers_what_is_left_and_no_count_is_believed_by_itself() -> None:
    once = redeemed(sealed(uses=2))
    assert is_sealed(KEY, once)
    assert not is_sealed(KEY, granting(uses_left=2)(once))
    twice = redeemed(once, "n2")
    assert is_sealed(KEY, twice)
    assert not is_sealed(KEY, granting(uses_left=1, status="active")(twice))


def test_the_seal_fits_after_an_erasure() -> None:
    request = sealed()
    requester = request.asked.requester.model_copy(update={"given_name": "[erased]"})
    request = asking(justification="[erased]", subject=None, params={}, requester=requester)(
        request
    )
    assert is_sealed(KEY, request.model_copy(update={"salt": None}))


class LaterPolicy(MatchedPolicy):
    """As a later version may know it."""

    new: int = 7


class LaterAsked(Asked):
    """As a later version may know it."""

    new: str = "new"


class Later(ApprovalRequest):
    """As a later version may know it."""

    policy: LaterPolicy
    asked: LaterAsked
    new: bool = False


def test_a_version_that_knows_more_finds_the_seal_as_it_was() -> None:
    kept = sealed().model_dump_json(exclude_defaults=True)
    assert is_sealed(KEY, Later.model_validate_json(kept))


def test_a_version_that_knows_less_finds_the_seal_as_it_was() -> None:
    later = sealed().model_dump()
    later["policy"]["new"] = 8
    request = with_seal(KEY, Later.model_validate(later), RECEIPT)
    kept = request.model_dump_json(exclude_defaults=True)
    assert is_sealed(KEY, ApprovalRequest.model_validate_json(kept))
