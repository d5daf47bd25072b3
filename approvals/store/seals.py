"""The seal of a grant: a MAC over what was decided and granted, whose key is not in Redis.

So whoever can write to Redis and no more cannot make an approval: no grant without its seal opens
anything. It does not stop them from putting back an older record; that the audit shows.
"""

from __future__ import annotations

import hmac
from typing import cast

from pydantic import JsonValue

from approvals.model import ApprovalRequest, EntryReceipt, Kept
from approvals.signing import entry_mac
from approvals.store.log import canonical_entry

_KIND = b"grant\0"  # an entry begins with a brace: no seal is a MAC of one
_SEALED = {
    "id",
    "service",
    "digest",
    "policy",
    "created_at",
    "grant_ttl",
    "uses",
    "decision",
}
# All that a redeem compares, and all that deny rules look at then. What an erasure takes away is
# not among it: the receipt of a grant may come after that.
_ASKED = {
    "action",
    "purpose",
    "record_count",
    "data_classes",
    "context",
    "address",
    "unreceipted",
    "overuse",
}
_REQUESTER = {"id", "person", "owner"}


def with_seal(key: bytes, request: ApprovalRequest, receipt: EntryReceipt) -> ApprovalRequest:
    """A request that is final by this commit: its decision with `receipt`, its grant sealed."""
    if request.decision is None:
        return request
    decision = request.decision.model_copy(update={"receipt": receipt})
    request = request.model_copy(update={"decision": decision})
    if request.grant is None:
        return request
    grant = request.grant.model_copy(update={"seal": _seal(key, request)})
    return request.model_copy(update={"grant": grant})


def is_sealed(key: bytes, request: ApprovalRequest) -> bool:
    """Whether the request's grant carries the seal of its own content, and has lost no use.

    The uses left are what the uses made leave: a count by itself, which each use lowers and no
    seal covers, could be set to any number.
    """
    grant = request.grant
    if grant is None or grant.uses_left != request.uses - len(grant.redemptions):
        return False
    return grant.uses_left >= 0 and hmac.compare_digest(
        grant.seal.encode(), _seal(key, request).encode()
    )


def _seal(key: bytes, request: ApprovalRequest) -> str:
    grant = request.grant
    asked = request.asked
    facts = {
        "request": _told(request, _SEALED),
        "asked": _told(asked, _ASKED),
        "requester": _told(asked.requester, _REQUESTER),
        "grant": [grant.id, grant.expires_at.isoformat()] if grant else None,
    }
    return entry_mac(key, _KIND + canonical_entry(cast("dict[str, JsonValue]", facts)))


def _told(data: Kept, names: set[str]) -> dict[str, JsonValue]:
    """`names` of `data` as its record has them: without defaults.

    A version that knows a field more finds the same there, and the seal fits for it too.
    """
    return data.model_dump(mode="json", include=names, exclude_defaults=True)
