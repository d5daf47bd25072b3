"""Approved requests at every point of their grant's life, with words that stay out of channels."""

from __future__ import annotations

from datetime import timedelta

from approvals import grants, lifecycle
from approvals.change import DenyRule, Receipting, Redeeming, TakingBack
from approvals.model import ApprovalRequest, MatchedPolicy, Person, ReceiptOutcome
from tests import words
from tests.approvals.samples import ANNA, NOW, policy
from tests.bot.chat.records import CANARIES, CONSOLE, MINUTE, after, opened, voted

REVOKING, NOTE = "canary-revoker-words", "canary-receipt-note"
WITHIN = 5 * MINUTE
RECEIPTED = policy(receipt_within=WITHIN)


def at(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)


def granted(
    under: MatchedPolicy = RECEIPTED, *, uses: int = 1, records: int | None = 1240
) -> ApprovalRequest:
    """Approved by Anna two minutes after the opening; the access lasts ten minutes from then."""
    return voted(opened(under, record_count=records).model_copy(update={"uses": uses}), ANNA)


def redeemed(request: ApprovalRequest, minutes: float = 3) -> ApprovalRequest:
    """Used once more; each time by a nonce of its own."""
    redeeming = Redeeming(CANARIES["digest"], f"nonce at {minutes}", {}, "127.0.0.1")
    return after(grants.redeem(request, redeeming, NOW + at(minutes), policy="v1"))


def receipted(
    request: ApprovalRequest,
    records: int = 1240,
    minutes: float = 4,
    outcome: ReceiptOutcome = "succeeded",
) -> ApprovalRequest:
    receipting = Receipting(records, outcome, words.receipt_note(NOTE))
    return grants.give_receipt(request, receipting, NOW + at(minutes)).request


def time_passes(request: ApprovalRequest, minutes: float) -> ApprovalRequest:
    """All that time does until then."""
    while change := lifecycle.on_deadline(request, NOW + at(minutes)):
        request = change.request
    return request


def ended(request: ApprovalRequest, minutes: float = 5) -> ApprovalRequest:
    return grants.end(request, NOW + at(minutes)).request


def revoked(request: ApprovalRequest, person: Person, minutes: float = 5) -> ApprovalRequest:
    revoking = TakingBack(person, CONSOLE, words.revoking(REVOKING))
    return grants.revoke(request, revoking, NOW + at(minutes)).request


def revoked_by_rule(request: ApprovalRequest) -> ApprovalRequest:
    """Redeeming has met a deny rule that came into force since."""
    redeeming = Redeeming(CANARIES["digest"], "too late", {}, "127.0.0.1")
    rule = DenyRule("freeze", "Nothing leaves the house this week", "v2")
    change = grants.redeem(request, redeeming, NOW + at(3), policy="v2", denied_by=rule)
    return after(change)
