"""The seal of a grant: a MAC over what was decided and granted, whose key is not in Redis.

So whoever can write to Redis and no more cannot make an approval: no grant without its seal opens
anything. It does not stop them from putting back an older record; that the audit shows.
"""

from __future__ import annotations

import hmac
from typing import cast

from pydantic import JsonValue

from approvals.model import ApprovalRequest, EntryReceipt
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
_ASKED = {"action", "requester", "record_count", "context", "address"}


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
    """Whether the request's grant carries the seal of its own content."""
    if request.grant is None:
        return False
    return hmac.compare_digest(request.grant.seal.encode(), _seal(key, request).encode())


def _seal(key: bytes, request: ApprovalRequest) -> str:
    grant = request.grant
    facts = {
        "request": request.model_dump(mode="json", include=_SEALED),
        "asked": request.asked.model_dump(mode="json", include=_ASKED),
        "grant": [grant.id, grant.expires_at.isoformat()] if grant else None,
    }
    return entry_mac(key, _KIND + canonical_entry(cast("dict[str, JsonValue]", facts)))
